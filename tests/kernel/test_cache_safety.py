"""Compiled kernels on disk: nobody else's are run, damaged ones are made again, no lock is needed to read."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from filelock import FileLock
from numba import types

import basis
from basis.kernel.numba import cache, jit
from support.damage import damaged, trials

KERNEL = Path(basis.__file__).parent / "kernel"
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs owners and links")
NUMBER = types.int64(types.int64)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where the cache is."""
    monkeypatch.setenv("BASIS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(root, monkeypatch):
    """A cache of its own for this process."""
    made = Path(cache.cache_folder())
    monkeypatch.setattr(cache, "CACHE", str(made))
    return made


@POSIX
def test_the_folder_is_the_users_alone(root):
    folder = Path(cache.cache_folder())
    assert (folder.stat().st_mode & 0o777, root.stat().st_mode & 0o777) == (0o700, 0o700)
    folder.chmod(0o777)
    assert cache.cache_folder() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@POSIX
@pytest.mark.parametrize("kind", ["a link", "another user's"])
def test_a_folder_that_another_made_is_not_used(root, tmp_path, kind, monkeypatch):
    folder = Path(cache.cache_folder())
    if kind == "a link":
        folder.rename(tmp_path / "theirs")
        folder.symlink_to(tmp_path / "theirs")
    else:
        monkeypatch.setattr(cache.os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.warns(RuntimeWarning, match="another user's, or a link"):
        assert cache.cache_folder() is None


def test_there_is_no_place_in_a_shared_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BASIS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    with pytest.warns(RuntimeWarning):
        assert cache.cache_folder() is None
    assert list((tmp_path / "shared").iterdir()) == []


@POSIX
def test_a_file_that_is_a_link_or_another_users_is_not_loaded(folder, tmp_path, monkeypatch):
    cache.load_or_make("what", lambda: "ours")
    shutil.move(folder / "what", tmp_path / "theirs")
    (folder / "what").symlink_to(tmp_path / "theirs")
    assert cache.load_or_make("what", lambda: "made anew") == "made anew"
    monkeypatch.setattr(cache.os, "getuid", lambda: folder.stat().st_uid + 1)
    assert cache.load_or_make("what", lambda: "once more") == "once more"


@POSIX
def test_no_lock_is_taken_through_a_link(folder, tmp_path):
    (tmp_path / "mine").write_text("all of it")
    (folder / ".what.lock").symlink_to(tmp_path / "mine")
    with cache.file_lock("what"):
        assert (tmp_path / "mine").read_text() == "all of it"


def test_every_damage_is_noticed_before_anything_is_loaded(folder):
    """Of seventy flipped bits nine ended the process or changed a number."""
    value = list(range(500))
    for chance in trials(200):
        assert cache.load_or_make("what", lambda: value) == value
        content = (folder / "what").read_bytes()
        bad = damaged(content, chance)
        (folder / "what").write_bytes(bad)
        assert (cache.read_whole(folder / "what") is None) == (bad != content)


@pytest.mark.skipif(jit.MODE != jit.DEFAULT, reason="the stock way keeps kernels by itself")
def test_a_damaged_kernel_is_compiled_again(folder, monkeypatch):
    def thrice(x):
        return 3 * x

    def address():
        return jit.address_of(jit.kernel(thrice), NUMBER)

    from numba.core import event

    def compiles():
        with event.install_recorder("numba:compile") as compiled:
            assert address() > 0
        return any(each.is_start for _, each in compiled.buffer)

    assert compiles()
    assert not compiles()
    for chance in trials(20):
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".nbi", ".nbc"))
        path = chance.choice(files)
        content = path.read_bytes()
        bad = damaged(content, chance)
        path.write_bytes(bad)
        assert compiles() == (bad != content)
        assert not compiles()
    # a whole one is loaded without a lock
    monkeypatch.setattr(cache, "file_lock", lambda name: pytest.fail("a lock was taken to read"))
    assert not compiles()


def test_who_waits_says_so_and_goes_on_in_the_end(folder, monkeypatch, capsys):
    monkeypatch.setattr(cache, "TOLD_AFTER", 0.1)
    monkeypatch.setattr(cache, "GIVEN_UP_AFTER", 0.3)
    began = time.monotonic()
    with FileLock(folder / ".what.lock"), cache.file_lock("what"):
        assert 0.3 < time.monotonic() - began < 5.0
    assert "Waiting for another process that compiles the kernels" in capsys.readouterr().err


def test_old_folders_are_removed(root):
    root.mkdir()
    for at in range(40):
        (root / f"kernel-{at:016x}").mkdir()
        (root / f"kernel-{at:016x}" / "file").write_text("")
        os.utime(root / f"kernel-{at:016x}", (at, at))
    (root / "sample").mkdir()
    used = Path(cache.cache_folder())
    left = {path.name for path in root.iterdir()}
    assert left == {used.name, "sample", *(f"kernel-{at:016x}" for at in range(33, 40))}


@pytest.mark.parametrize("module", ["numba", "llvmlite", "np"])
def test_another_version_has_another_folder(root, monkeypatch, module):
    before = cache.cache_folder()
    monkeypatch.setattr(getattr(cache, module), "__version__", "99")
    assert cache.cache_folder() != before


def test_another_processor_or_setting_has_another_folder(root, monkeypatch):
    found = {cache.cache_folder()}
    monkeypatch.setattr(cache.binding, "get_host_cpu_name", lambda: "another")
    found.add(cache.cache_folder())
    monkeypatch.setattr(cache.config, "BOUNDSCHECK", 1)
    found.add(cache.cache_folder())
    assert len(found) == 3


def test_the_name_is_of_the_code_that_python_runs(root, tmp_path, monkeypatch):
    """A source that changed within a second and kept its length: Python runs what it was."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    copy = tmp_path / "kernel"
    shutil.copytree(KERNEL, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "_KERNEL", copy)
    source = copy / "pnl.py"
    source.write_text(source.read_text() + "\nLAST = 1\n")
    before = cache.cache_folder()
    stamp = source.stat()
    source.write_text(source.read_text().replace("LAST = 1", "LAST = 2"))
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert cache.cache_folder() == before
    shutil.rmtree(copy / "__pycache__")
    assert cache.cache_folder() != before


SLOW = textwrap.dedent(
    """
    import os, time
    from pathlib import Path
    from numba import types
    from basis.kernel.numba import jit

    @jit.kernel
    def once(x):
        return x

    def prepare(names):
        Path("helper").write_text(str(os.getpid()))
        time.sleep(60)

    if __name__ == "__main__":
        jit.processors = lambda: 2
        with jit.compile_in_parallel("slow.prepare", {"once": once}, types.int64(types.int64)):
            time.sleep(60)
    """
)


@POSIX
@pytest.mark.skipif(jit.MODE != jit.DEFAULT, reason="the stock way has no helpers")
def test_helpers_of_a_killed_process_end(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    path = os.pathsep.join([str(KERNEL.parent.parent), str(tmp_path)])
    environment = {**os.environ, "BASIS_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}
    parent = subprocess.Popen([sys.executable, "slow.py"], env=environment, cwd=tmp_path)
    end = time.monotonic() + 60.0
    while not ((tmp_path / "helper").exists() and (tmp_path / "helper").read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    helper = int((tmp_path / "helper").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 1.0
    while time.monotonic() < end and is_running(helper):
        time.sleep(0.02)
    assert not is_running(helper)


def is_running(process):
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
