"""Help, version, usage errors, and how little the command line loads."""

import json
import os
import subprocess
import sys

import pytest

import basis as package
from basis.cli import parse_changes
from basis.errors import InputError

HEAVY = ["numba", "numpy", "pandas", "polars", "pyarrow", "plotly", "matplotlib", "rich", "tqdm"]
HELPS = [
    ["--help"],
    ["backtest", "--help"],
    ["replay", "--help"],
    ["modes", "--help"],
    ["data", "--help"],
    ["data", "list", "--help"],
    ["data", "check", "--help"],
    ["data", "sample", "--help"],
]


def run_python(code: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter."""
    env = {**os.environ, **environ}
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, env=env)


@pytest.mark.parametrize("args", HELPS, ids=" ".join)
def test_help_loads_nothing_heavy(args):
    code = f"""
import json, sys
from basis.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, [m for m in {HEAVY} if m in sys.modules]]))
"""
    done = run_python(code, *args)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert json.loads(lines[-1]) == [0, []]
    assert lines[0].startswith("Usage: basis")


def test_version(basis):
    done = basis("--version")
    assert (done.code, done.out, done.err) == (0, f"basis {package.__version__}\n", "")


@pytest.mark.parametrize("args", [[], ["data"]])
def test_without_a_command_the_help_is_shown(basis, args):
    done = basis(*args)
    assert done.code == 2
    assert done.err.startswith("Usage: basis")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["bcktest"], "backtest"),
        (["backtest"], "CONFIG"),
        (["backtest", "btc_basis", "--ouy", "x"], "--out"),
        (["backtest", "btc_basis", "--set"], "--set"),
        (["backtest", "btc_basis", "--driver", "fast"], "'kernel', 'event'"),
        (["replay"], "RUN"),
        (["data", "check"], "DIR"),
        (["data", "sample", "x", "--seed", "one"], "--seed"),
    ],
)
def test_a_usage_error_is_one_line(basis, args, said):
    done = basis(*args)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    assert said in done.err


def test_the_entry_point_gives_the_code_to_the_shell():
    done = run_python("import sys; from basis.cli import main; sys.exit(main())", "bcktest")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_traceback_is_shown_on_request():
    code = "import sys; from basis.cli import main; sys.exit(main())"
    plain = run_python(code, "backtest", "btc_basis", "--set", "seed")
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    full = run_python(code, "backtest", "btc_basis", "--set", "seed", BASIS_DEBUG="1")
    assert full.returncode == 2
    assert "Traceback" in full.stderr
    assert "InputError" in full.stderr


def test_a_reader_that_leaves_early_sees_no_traceback():
    code = "import os, sys; os.close(1); os.dup2(int(sys.argv.pop()), 1); from basis.cli import main; sys.exit(main())"
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-c", code, "modes", str(writes)]
    done = subprocess.run(command, stderr=subprocess.PIPE, pass_fds=[writes], text=True)
    os.close(writes)
    assert "Traceback" not in done.stderr


def test_an_unexpected_error_keeps_its_traceback(basis, monkeypatch):
    def broken():
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("basis.config.list_modes", broken)
    with pytest.raises(RuntimeError, match="unforeseen"):
        basis("modes")


def test_changes_are_split_at_the_first_equals_sign():
    assert parse_changes(["a.b=1", "c='x=y'", "d="]) == {"a.b": "1", "c": "'x=y'", "d": ""}


def test_of_two_changes_of_a_key_the_later_counts_and_comes_last():
    assert list(parse_changes(["a=1", "a.b=2", "a=3"]).items()) == [("a.b", "2"), ("a", "3")]


@pytest.mark.parametrize("change", ["a.b", "=1", " =1", ""])
def test_a_change_without_key_or_value_is_refused(change):
    with pytest.raises(InputError, match=r"a\.b=v"):
        parse_changes([change])
