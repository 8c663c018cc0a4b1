"""Where compiled kernels are kept on disk, and how several processes share that folder.

Nothing here fails a run: a cache that is damaged, full, removed or not writable costs time only.
"""

import fcntl
import hashlib
import os
import pathlib
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numba
from numba import config

_KERNEL = pathlib.Path(__file__).parent.parent


def kernel_hash() -> str:
    """sha256 of the kernel sources, whatever they are compiled with."""
    digest = hashlib.sha256()
    for path in sorted(_KERNEL.rglob("*.py")):
        digest.update(path.relative_to(_KERNEL).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def cache_folder() -> str | None:
    """Folder of the compiled kernels, named by a hash of all kernel sources; None where nothing can be written.

    Numba alone does not notice an edit in an imported module, so the name says what the kernels are made of.
    Order: ``BASIS_CACHE_DIR``, the user's cache, the temporary folder.
    """
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:3]} {kernel_hash()}".encode())
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    roots = [os.environ.get("BASIS_CACHE_DIR") or os.path.join(user, "basis")]
    roots.append(os.path.join(tempfile.gettempdir(), f"basis-{os.getuid()}"))
    for root in roots:
        folder = os.path.join(root, "kernel-" + digest.hexdigest()[:16])
        try:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


#: The folder of this process, None where nothing is kept.
CACHE = cache_folder()


@contextmanager
def file_lock(name: str) -> Iterator[None]:
    """Hold a lock of the cache folder, so that only one process at a time does what the name says.

    A folder that was removed is made again. Where the folder is full or knows no locks, no lock is held.
    """
    with ExitStack() as stack:
        if CACHE is not None and not config.DISABLE_JIT:
            with suppress(OSError):
                os.makedirs(CACHE, exist_ok=True)
                lock = stack.enter_context(open(os.path.join(CACHE, f".{name}.lock"), "w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Closing is not enough: a process that was forked meanwhile has the file open, too.
                stack.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        yield


def _unchanged(value: Any) -> Any:
    return value


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
        return load(pickle.loads(file.read_bytes()))
    made = make()
    unfinished = file.with_name(f".{name}.{os.getpid()}")
    with suppress(OSError):
        try:
            unfinished.write_bytes(pickle.dumps(dump(made)))
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    return made
