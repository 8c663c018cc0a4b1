"""Commands that are killed at any moment: nothing is half-written or left running, and the next run is right."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import basis
from support.damage import trials

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

ROOT = Path(basis.__file__).parents[1]
COMMANDS = {
    "backtest": "backtest pure_lending --start 2024-02-01 --end 2024-02-08 -q --out run --force".split(),
    "report": ["report", "run"],
    "page": ["compare", "run", "run/../run", "--out", "page.html"],
    "replay": ["replay", "run"],
    "sample": ["data", "sample", "market", "--force"],
}  # fmt: skip
#: Seconds after which a child of a killed process must be gone.
PATIENCE = 2.0


def start(name, folder, mark=""):
    code = "import sys; from basis.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BASIS_DATA_DIR": str(ROOT / "data" / "sample"), "MARK": mark}
    return subprocess.Popen(
        [sys.executable, "-c", code, *COMMANDS[name]],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(name, folder):
    """Let a command end, and say what it said."""
    process = start(name, folder)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def seconds(tmp_path_factory):
    """How long a command takes; the folder it leaves is what others are compared with."""
    folder, found = tmp_path_factory.mktemp("whole"), {}
    for name in COMMANDS:
        began = time.monotonic()
        finish(name, folder)
        found[name] = time.monotonic() - began
    return folder, found


def marked(mark):
    """Processes that were started under a mark, those that have ended left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MARK={mark}".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def tables(folder):
    return {path.name: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}


def assert_whole(folder, whole):
    """What is under its name is complete: as it was before, or as it is afterwards."""
    if (folder / "run").exists():
        result = basis.open_run(folder / "run")
        assert result.changes == []
        assert tables(folder / "run") == tables(whole / "run")
    for page in folder.rglob("*.html"):
        assert page.read_text().rstrip().endswith("</html>")
    for path in (folder / "market").rglob("*.parquet"):
        assert path.read_bytes() == (whole / "market" / path.relative_to(folder / "market")).read_bytes()


def test_kills_leave_nothing_half_written(seconds, tmp_path):
    whole, duration = seconds
    for chance in trials(4):
        name = chance.choice(tuple(COMMANDS))
        folder, mark = tmp_path / "folder", secrets.token_hex(8)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if name != "backtest" or chance.random() < 0.5:
            shutil.copytree(whole / "run", folder / "run")
        if chance.random() < 0.3:
            shutil.copytree(whole / "market", folder / "market")
        process = start(name, folder, mark)
        time.sleep(chance.uniform(0.0, 1.1 * duration[name]))
        process.kill()
        process.communicate()
        end = time.monotonic() + PATIENCE
        while (left := marked(mark)) and time.monotonic() < end:
            time.sleep(0.02)
        assert left == [], name
        assert_whole(folder, whole)
        finish(name, folder)
        assert_whole(folder, whole)
        assert [path for path in folder.rglob(".*") if path.suffix in (".partial", ".old")] == [], name
