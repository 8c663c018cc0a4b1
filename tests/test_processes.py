"""Processes: nothing of the working directory is run, and what was killed leaves nothing behind."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import basis
from basis import processes
from basis.cli import main
from basis.results.folder import MANIFEST, write_file, write_whole

ROOT = Path(basis.__file__).parents[1]
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals")
HOSTILE = "raise SystemExit(open('ran', 'w').write(__name__))"


def dead_process():
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def leftover(target, ending):
    path = processes.temporary_beside(target, ending)
    return path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{dead_process()}-"))


@pytest.mark.parametrize("path", ["", ".", "{root}", ":{root}", "{root}:"])
def test_a_child_runs_nothing_of_the_working_directory(tmp_path, monkeypatch, path):
    for name in ("argparse", "numba", "json", "platform", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", path.format(root=ROOT))
    code = "import argparse, json, basis, sys; print(argparse.__file__, basis.__file__, sys.path)"
    child = processes.start_python("-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert str(ROOT) in out
    assert str(tmp_path) not in out
    assert not (tmp_path / "ran").exists()


def test_a_replay_runs_nothing_of_the_working_directory(tmp_path, monkeypatch, sample_data, capfd):
    """The folder's `argparse.py` ran."""
    monkeypatch.chdir(tmp_path)
    window = ["--start", "2024-02-01", "--end", "2024-02-02", "--data", str(sample_data), "-q"]
    assert main(["backtest", "pure_lending", *window, "--out", "run"]) == 0
    for name in ("argparse", "numba", "json", "pandas"):
        Path(f"{name}.py").write_text(HOSTILE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(ROOT)]))
    assert main(["replay", "run"]) == 0
    assert "run: identical" in capfd.readouterr().out
    assert not Path("ran").exists()


def test_leftovers_of_dead_processes_are_swept(tmp_path):
    gone = [leftover(tmp_path / "run", "partial"), leftover(tmp_path / "report.html", "partial")]
    gone[0].mkdir()
    (gone[0] / "equity.parquet").write_text("")
    gone[1].write_text("")
    used = processes.temporary_beside(tmp_path / "other")
    elsewhere = tmp_path / f".run.00000000-{dead_process()}-00000000.partial"
    for path in (used, elsewhere, tmp_path / ".mine.partial"):
        path.mkdir()
    write_whole(tmp_path / "next", lambda made: (made / MANIFEST).write_text("{}"))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"next", used.name, elsewhere.name, ".mine.partial"}
    write_file(tmp_path / "next.html", "page")
    assert {path.name for path in tmp_path.iterdir()} == left | {"next.html"}


@POSIX
def test_leftovers_of_another_user_are_left(tmp_path, monkeypatch):
    """Whoever may write to a shared folder made others walk through any tree, and take it for a folder of theirs."""
    for ending in ("partial", "old"):
        leftover(tmp_path / "run", ending).mkdir()
    names = {path.name for path in tmp_path.iterdir()}
    mine = os.getuid()
    monkeypatch.setattr(processes.os, "getuid", lambda: mine + 1)
    processes.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names
    monkeypatch.undo()
    processes.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_what_was_moved_away_and_not_replaced_is_put_back(tmp_path):
    """A process that is killed between two renames has the only copy under the name of a leftover."""
    old = leftover(tmp_path / "run", "old")
    old.mkdir()
    (old / MANIFEST).write_text("{}")
    processes.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / MANIFEST).is_file()


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="cannot exchange two folders in one step")
def test_a_folder_that_is_replaced_is_there_at_every_instant(tmp_path):
    target, missing, stop = tmp_path / "run", [], threading.Event()

    def fill(made):
        (made / MANIFEST).write_text("{}")

    def watch():
        while not stop.is_set():
            try:
                os.stat(target / MANIFEST)
            except FileNotFoundError:
                missing.append(time.monotonic())

    write_whole(target, fill)
    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(200):
        write_whole(target, fill, force=True)
    stop.set()
    watcher.join()
    assert missing == []
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_is_replaced_where_two_cannot_be_exchanged(tmp_path, monkeypatch):
    from basis.results import folder

    monkeypatch.setattr(folder, "exchange", lambda *_: False)
    for text in ("first", "second"):
        write_whole(tmp_path / "run", lambda made, text=text: (made / MANIFEST).write_text(text), force=True)
        assert (tmp_path / "run" / MANIFEST).read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_several_may_write_the_sample_at_once(tmp_path):
    """Two first runs of an installed wheel: the second found the folder there and ended in a traceback."""

    def write(made):
        made.mkdir()
        (made / "file").write_text("")

    def write_while_another_does(made):
        write(made)
        processes.write_beside(tmp_path / "sample", write)

    processes.write_beside(tmp_path / "sample", write_while_another_does)
    assert [path.name for path in tmp_path.rglob("*")] == ["sample", "file"]


@POSIX
def test_a_child_ends_with_its_parent(tmp_path):
    code = (
        "import time, subprocess; from basis.processes import start_python\n"
        "inner = 'from basis.processes import end_with_parent; end_with_parent(); print(1, flush=True); import time; "
        "time.sleep(60)'\n"
        "child = start_python('-c', inner, stdout=subprocess.PIPE); child.stdout.readline()\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 1.0
    while time.monotonic() < end and Path(f"/proc/{child}").exists():
        time.sleep(0.02)
    status = Path(f"/proc/{child}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"
