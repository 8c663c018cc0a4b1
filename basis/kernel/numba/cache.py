"""Where compiled kernels are kept on disk, and how several processes share that folder.

Nothing here fails a run: a cache that is damaged, full, removed or not writable costs time only. Machine code is run as
it is read, so the folder belongs to its user alone, and every file begins with the hash of what follows.
"""

import hashlib
import importlib.util
import os
import pathlib
import pickle
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.machinery import SourceFileLoader
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba import config

from basis.processes import remove, sweep, temporary_beside

_KERNEL = pathlib.Path(__file__).parent.parent
#: Folders of this many versions of the kernel are kept, those used last.
_KEPT_FOLDERS = 8
#: A process tells after so many seconds that it waits for another, and goes on by itself after so many.
TOLD_AFTER, GIVEN_UP_AFTER = 5.0, 300.0
#: Settings of Numba that change machine code.
_SETTINGS = (
    "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "CPU_NAME", "CPU_FEATURES",
)  # fmt: skip
#: Bytes at the beginning of a compiled module that say what source it was made of.
_HEADER = 16


def kernel_hash() -> str:
    """sha256 of the kernel sources, whatever they are compiled with."""
    digest = hashlib.sha256()
    for path in sorted(_KERNEL.rglob("*.py")):
        digest.update(path.relative_to(_KERNEL).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _code_hash() -> str:
    """sha256 of the kernel as Python runs it: of its bytecode files, and of the sources of those that have none.

    Python runs a bytecode file whose source has changed within a second and kept its length. A name by the source would
    then hand its kernels to the changed source.
    """
    digest = hashlib.sha256()
    for path in sorted(_KERNEL.rglob("*.py")):
        name = path.relative_to(_KERNEL).as_posix()
        digest.update(name.encode() + (_bytecode(path) or path.read_bytes()))
    return digest.hexdigest()


def _bytecode(path: pathlib.Path) -> bytes | None:
    """The bytecode that Python runs for a source file; None where it compiles it each time."""
    for _ in range(2):
        with suppress(OSError, NotImplementedError):
            content = pathlib.Path(importlib.util.cache_from_source(str(path))).read_bytes()
            source = path.stat()
            expected = b"".join(
                (number & 0xFFFFFFFF).to_bytes(4, "little") for number in (0, int(source.st_mtime), source.st_size)
            )
            if content[: len(importlib.util.MAGIC_NUMBER)] == importlib.util.MAGIC_NUMBER and (
                content[4:_HEADER] == expected or content[4] & 1
            ):
                return content[_HEADER:]
        if sys.dont_write_bytecode or not os.access(path.parent, os.W_OK):
            break
        # Python writes it
        with suppress(Exception):
            SourceFileLoader(f"basis.kernel.{path.stem}", str(path)).get_code(f"basis.kernel.{path.stem}")
    return None


def cache_folder() -> str | None:
    """Folder of the compiled kernels, which belongs to this user alone; None where there can be none.

    Its name is a hash of all that machine code is made of: the kernel as Python runs it, the versions of what compiles
    it, the processor. It is in ``BASIS_CACHE_DIR``, else in the user's cache, and nowhere else: in a folder that users
    share, another could put machine code of his own.
    """
    settings = [getattr(config, name, None) for name in _SETTINGS]
    processor = [binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()]
    versions = [
        sys.implementation.cache_tag,
        sys.version_info[:3],
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
    ]
    made_of = repr([*versions, *processor, *settings, _code_hash()])
    root = pathlib.Path(os.environ.get("BASIS_CACHE_DIR") or _users_cache())
    folder = root / f"kernel-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    try:
        is_new = not folder.is_dir()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _make_private(folder)
        os.utime(folder)
    except OSError as error:
        warnings.warn(
            f"Compiled kernels are not kept ({error}), so that every run compiles them for some twenty seconds. Set "
            "BASIS_CACHE_DIR to a folder of your own.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    if is_new:
        _evict(root, folder)
    else:
        sweep(folder)
    return str(folder)


def _users_cache() -> str:
    import platformdirs

    return platformdirs.user_cache_dir("basis", appauthor=False)


def _make_private(folder: pathlib.Path) -> None:
    """Make sure that a folder is one, is this user's, and can be used by nobody else."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or not _is_own(found):
        raise PermissionError(f"{folder} is another user's, or a link")
    if os.name == "posix" and stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written")


def _is_own(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()


def _evict(root: pathlib.Path, used: pathlib.Path) -> None:
    """Remove the folders of versions of the kernel that have not been used for longest."""
    with suppress(OSError):
        found = [path for path in root.glob("kernel-*") if path != used and not path.is_symlink() and path.is_dir()]
        for path in sorted(found, key=lambda each: each.stat().st_mtime, reverse=True)[_KEPT_FOLDERS - 1 :]:
            shutil.rmtree(path, ignore_errors=True)


#: The folder of this process, None where nothing is kept.
CACHE = cache_folder() if not config.DISABLE_JIT else None


@contextmanager
def file_lock(name: str) -> Iterator[None]:
    """Hold a lock of the cache folder, so that only one process at a time makes what the name says.

    Nothing depends on it: files appear whole, and are read without it. A process that waits says so, and goes on by
    itself in the end. Where the folder was removed it is made again; where it is full or knows no locks, none is held.
    """
    with ExitStack() as stack:
        if CACHE is not None and not config.DISABLE_JIT:
            from filelock import FileLock, Timeout

            with suppress(OSError, NotImplementedError):
                os.makedirs(CACHE, mode=0o700, exist_ok=True)
                lock = FileLock(os.path.join(CACHE, f".{name}.lock"), mode=0o600)
                try:
                    stack.enter_context(lock.acquire(timeout=TOLD_AFTER))
                except Timeout:
                    print("Waiting for another process that compiles the kernels …", file=sys.stderr)
                    with suppress(Timeout):
                        stack.enter_context(lock.acquire(timeout=GIVEN_UP_AFTER))
        yield


def read_whole(path: pathlib.Path) -> bytes | None:
    """What `write_whole` wrote; None where it is not there, not whole, or not this user's."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with suppress(OSError), open(os.open(path, flags), "rb") as file:
        if _is_own(os.fstat(file.fileno())):
            digest, content = file.read(hashlib.sha256().digest_size), file.read()
            if hashlib.sha256(content).digest() == digest:
                return content
    return None


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Write a file that appears whole, with the hash of its content; what cannot be written is not kept."""
    unfinished = temporary_beside(path)
    with suppress(OSError):
        try:
            unfinished.write_bytes(hashlib.sha256(content).digest() + content)
            unfinished.replace(path)
        finally:
            remove(unfinished)


def _unchanged(value: Any) -> Any:
    return value


def is_kept(name: str) -> bool:
    """Whether the cache may have something under a name."""
    return CACHE is not None and os.path.isfile(os.path.join(CACHE, name))


def load_or_make(name: str, make: Callable[[], Any], dump: Callable = _unchanged, load: Callable = _unchanged) -> Any:
    """Load what the cache keeps under a name; make it and keep it where the cache has none or a damaged one.

    Parameters
    ----------
    dump, load : turn what was made into what is pickled, and back
    """
    if CACHE is None:
        return make()
    file = pathlib.Path(CACHE) / name
    with suppress(Exception):
        if (content := read_whole(file)) is not None:
            return load(pickle.loads(content))  # noqa: S301 - the user's own file, and whole: `read_whole` looks
    made = make()
    write_whole(file, pickle.dumps(dump(made)))
    return made
