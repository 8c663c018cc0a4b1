"""Compiled kernels on disk: a second process compiles nothing, an edit makes another folder, settings stay clean."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest
from filelock import FileLock

import basis
from basis.kernel.numba import cache

KERNEL = Path(basis.__file__).parent / "kernel"

COUNTING = textwrap.dedent(
    """
    import sys
    from numba.core import event
    with event.install_recorder("numba:compile") as compiled:
        from basis import backtest
        results = [backtest(mode, start="2024-02-01", end="2024-02-03") for mode in ("btc_basis", "pure_lending")]
        results += [backtest("btc_basis", start="2024-02-01", end="2024-02-03", overrides={"close_at_end": True})]
        results[0].risk
    assert all(r.status == "complete" for r in results)
    print(sum(e.is_start for _, e in compiled.buffer))
    print(*(r.summary["final_equity"].hex() for r in results))
    """
)


def compiled_in_child(folder):
    """How much a process compiles that keeps its kernels in `folder`, and what it found."""
    package = str(Path(basis.__file__).parent.parent)
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_DISABLE_JIT", "NUMBA_CACHE_DIR")}
    environment |= {"BASIS_CACHE_DIR": str(folder), "PYTHONPATH": package}
    done = subprocess.run(
        [sys.executable, "-c", COUNTING], env=environment, cwd=folder, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, found = done.stdout.strip().splitlines()
    return int(count), found


@pytest.mark.slow
def test_a_second_process_compiles_nothing():
    # the kernels of this session serve, so that only a fresh checkout compiles here
    folder = Path(cache.CACHE).parent
    _, first = compiled_in_child(folder)
    again, second = compiled_in_child(folder)
    assert again == 0
    assert second == first


@pytest.mark.slow
def test_a_new_book_is_bound_without_compiling(tmp_path):
    known, folder = Path(cache.CACHE).parent, tmp_path / "cache"
    _, first = compiled_in_child(known)
    # all but the machine code of single books; a process that only loads has to have what that asks of it
    shutil.copytree(
        known / Path(cache.CACHE).name, folder / Path(cache.CACHE).name, ignore=lambda *_: bound_files(_[1])
    )
    assert not bound_files(folder.rglob("*"))
    again, second = compiled_in_child(folder)
    assert again == 0
    assert second == first
    made = {path.name: path.stat().st_mtime_ns for path in bound_files(folder.rglob("*"))}
    assert len(made) == 2, "one of each book"
    assert compiled_in_child(folder) == (0, first)
    assert made == {path.name: path.stat().st_mtime_ns for path in bound_files(folder.rglob("*"))}


def bound_files(paths):
    return [path for path in paths if Path(path).name.startswith("bound-")]


PARALLEL = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from numba import types
    from basis.kernel.numba import internals, jit

    NUMBER = types.int64(types.int64)

    @jit.kernel
    def twice(x):
        return 2 * x

    @jit.kernel
    def thrice(x):
        return 3 * x

    KERNELS = {"twice": twice, "thrice": thrice}

    def prepare(names):
        if "fails" in sys.argv or os.environ.get("FAILS"):
            raise ValueError
        for name in names:
            jit.address_of(KERNELS[name], NUMBER)
            Path(f"{name}.{os.getpid()}").touch()

    if __name__ == "__main__":
        import parallel
        jit.processors = lambda: int(sys.argv[1])
        jit.sys.executable = sys.argv[2] or None
        with jit.compile_in_parallel("parallel.prepare", parallel.KERNELS, NUMBER):
            end = time.monotonic() + float(sys.argv[3])
            while time.monotonic() < end and len(list(Path().glob("t*.*"))) < 2:
                time.sleep(0.05)
            kept = [internals.is_kept(made, NUMBER) for made in parallel.KERNELS.values()]
            assert all(jit.address_of(made, NUMBER) > 0 for made in parallel.KERNELS.values())
        print(kept, len({path.suffix for path in Path().glob("t*.*")}))
    """
)


@pytest.mark.parametrize(
    ("processors", "patience", "python", "fails", "found"),
    [
        (1, 0, None, "", "[False, False] 0"),
        (2, 30, None, "", "[True, True] 1"),
        (8, 30, None, "", "[True, True] 2"),
        (2, 2, None, "yes", "[False, False] 0"),
        (2, 0, "no such program", "", "[False, False] 0"),
        (2, 0, "", "", "[False, False] 0"),
    ],
    ids=["alone", "one helper", "a helper for each", "a helper that fails", "no helper starts", "no program"],
)
def test_missing_kernels_are_compiled_in_parallel(tmp_path, processors, patience, python, fails, found):
    (tmp_path / "parallel.py").write_text(PARALLEL)
    path = os.pathsep.join([str(KERNEL.parent.parent), str(tmp_path)])
    environment = {**os.environ, "BASIS_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path, "FAILS": fails}
    environment.pop("NUMBA_DISABLE_JIT", None)

    def run(*arguments):
        command = [sys.executable, "parallel.py", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    first = run(processors, sys.executable if python is None else python, patience)
    assert (first.returncode, first.stdout.strip()) == (0, found), first.stderr
    # The second time nothing is missing, and no helper is started.
    helpers = sorted(tmp_path.glob("t*.*"))
    assert run(processors, "no such program", 0).stdout.startswith("[True, True]")
    assert sorted(tmp_path.glob("t*.*")) == helpers


SAVING = textwrap.dedent(
    """
    import sys, time
    from numba.core import event
    from basis.kernel.numba import internals
    from basis.kernel.numba.jit import compiled, kernel

    def total(numbers):
        return sum(numbers)

    write = internals.write_whole
    internals.write_whole = lambda path, content: time.sleep(0.3) or write(path, content)
    with event.install_recorder("numba:compile") as made:
        for count in map(int, sys.argv[1:]):
            assert compiled(kernel(total), ((1.0,) * count,))((1.0,) * count) == count
    print(any(e.is_start for _, e in made.buffer))
    """
)


@pytest.mark.parametrize("kept", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("size", [0, 60])
def test_a_damaged_kernel_is_compiled_again(tmp_path, kept, size):
    (tmp_path / "saving.py").write_text(SAVING)
    environment = {**os.environ, "BASIS_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(KERNEL.parent.parent)}

    def run():
        command = [sys.executable, "saving.py", "1"]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    assert run().stdout == "True\n"
    (file,) = tmp_path.rglob(kept)
    os.truncate(file, size)
    again = run()
    assert (again.returncode, again.stdout) == (0, "True\n"), again.stderr
    assert run().stdout == "False\n"


def test_a_damaged_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", str(tmp_path))
    made = iter(range(3))
    assert [cache.load_or_make("what", lambda: next(made)) for _ in range(2)] == [0, 0]
    os.truncate(tmp_path / "what", 3)
    assert [cache.load_or_make("what", lambda: next(made)) for _ in range(2)] == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["what"]


def test_a_removed_cache_folder_stops_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("")
    with cache.file_lock("what"):
        assert cache.load_or_make("what", lambda: 1) == 1
    (tmp_path / "file").unlink()
    # where it can be made again, it is
    with cache.file_lock("what"):
        assert cache.load_or_make("what", lambda: 2) == 2
        assert cache.load_or_make("what", lambda: 3) == 2


def test_a_half_written_file_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", str(tmp_path))

    def interrupted(made):
        raise KeyboardInterrupt

    def full(path, content):
        path.touch()
        raise OSError("No space left on device")

    with pytest.raises(KeyboardInterrupt):
        cache.load_or_make("what", lambda: 1, interrupted)
    monkeypatch.setattr(cache.pathlib.Path, "write_bytes", full)
    assert cache.load_or_make("what", lambda: 1) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_released_though_a_process_was_forked_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", str(tmp_path))
    monkeypatch.setattr(cache.config, "DISABLE_JIT", 0)
    waits, ends = os.pipe()
    with cache.file_lock("what"):
        child = os.fork()
        if child == 0:
            os.read(waits, 1)
            os._exit(0)
    try:
        with FileLock(tmp_path / ".what.lock", timeout=0):
            pass
    finally:
        os.write(ends, b"x")
        os.waitpid(child, 0)


def test_processes_that_compile_at_once_keep_all_their_kernels(tmp_path):
    (tmp_path / "saving.py").write_text(SAVING)
    environment = {**os.environ, "BASIS_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(KERNEL.parent.parent)}

    def start(*counts):
        command = [sys.executable, "saving.py", *map(str, counts)]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    # two of them want the same
    assert "True\n" in {process.communicate()[0] for process in [start(count) for count in (1, 2, 3, 3)]}
    assert start(1, 2, 3).communicate()[0] == "False\n"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The kernel's sources elsewhere, and the cache."""
    folder = tmp_path / "kernel"
    shutil.copytree(KERNEL, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "_KERNEL", folder)
    monkeypatch.setenv("BASIS_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.mark.parametrize("name", sorted(path.relative_to(KERNEL).as_posix() for path in KERNEL.rglob("*.py")))
def test_an_edit_of_any_kernel_file_changes_the_folder(copied, name):
    before = cache.cache_folder()
    assert cache.cache_folder() == before
    with (copied / name).open("a") as file:
        file.write("\n# a word more\n")
    after = cache.cache_folder()
    assert after != before
    assert Path(after).parent == Path(before).parent


def test_a_new_kernel_file_changes_the_folder(copied):
    before = cache.kernel_hash()
    (copied / "another.py").write_text("")
    assert cache.kernel_hash() != before


def test_the_order_of_cache_folders(copied, tmp_path, monkeypatch):
    assert Path(cache.cache_folder()).parent == tmp_path / "cache"
    monkeypatch.delenv("BASIS_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert Path(cache.cache_folder()).parent == tmp_path / "home" / "basis"


def test_a_cache_folder_that_cannot_be_written_is_not_used(copied, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BASIS_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="not kept .* Set BASIS_CACHE_DIR to a folder of your own"):
        assert cache.cache_folder() is None


def test_the_users_own_caches_are_left_alone():
    """Numba's setting is touched only while the kernels are decorated."""
    assert cache.CACHE != numba.config.CACHE_DIR


def test_a_strategy_that_is_passed_in_does_not_compile_the_loop_again():
    from numba.core import event

    from support import scenarios

    scenarios._tiny()
    with event.install_recorder("numba:compile") as compiled:
        scenarios._tiny()
    assert [e for _, e in compiled.buffer if e.is_start] == []
