"""The package as it is shipped: pins, what is tracked, and how little ``import basis`` loads."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import basis

ROOT = Path(__file__).resolve().parent.parent

#: Written in parts, so that this file does not hold what it forbids.
FORBIDDEN = [
    "/" + "work/",
    "/" + "root/",
    "/" + "home/",
    "files." + "pythonhosted",
    "pypi.org/" + "simple",
    "--" + "index-url",
    "--" + "find-links",
]
HEAVY = ["numba", "numpy", "pandas", "polars", "pyarrow", "plotly", "matplotlib"]


def tracked_files() -> list[Path]:
    """Files under version control; skips outside a checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name and (ROOT / name).is_file()]


def in_fresh_python(code: str) -> str:
    """Standard output of ``code`` in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.strip()


def test_no_tracked_file_names_a_machine_path_or_a_registry():
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        found += [f"{path.relative_to(ROOT)}: {text}" for text in FORBIDDEN if text.encode() in content]
    assert not found


def test_nothing_that_a_run_writes_is_tracked():
    parts = {"runs", "__pycache__", ".venv", ".hypothesis", ".benchmarks"}
    assert not [path for path in tracked_files() if parts & set(path.relative_to(ROOT).parts)]


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+", line)] == []


def test_every_declared_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = {canonical(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    names = {canonical(re.split(r"[\[<>=!~; ]", item, maxsplit=1)[0]) for item in declared}
    assert names <= pinned


def canonical(name: str) -> str:
    """A distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_importing_the_package_is_cheap():
    code = f"import basis, sys, json; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    assert json.loads(in_fresh_python(code)) == []


def test_public_names_are_listed_and_unknown_ones_refused():
    assert {"backtest", "open_run", "load_config", "DataProvider", "__version__"} <= set(dir(basis))
    with pytest.raises(AttributeError, match="no_such_name"):
        basis.no_such_name


def test_public_names_load():
    for name in basis.__all__:
        assert getattr(basis, name) is not None


def test_version_has_one_source():
    assert re.fullmatch(r"\d+\.\d+\.\d+", basis.__version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "basis/__init__.py"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_another_interpreter_has_its_own_environment():
    """`make check PYTHON=python3.12` ran whatever interpreter had made `.venv`."""
    version = "{}.{}".format(*sys.version_info)
    done = subprocess.run(
        ["make", "-n", "check", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f".venv-{version}/bin/python -m pytest" in done.stdout
    assert f"{sys.executable} -m venv .venv-{version}" in done.stdout
    done = subprocess.run(["make", "-n", "check", "PYTHON=nosuch"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "PYTHON=nosuch does not run" in done.stderr
