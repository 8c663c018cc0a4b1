"""Fresh Python processes, and what processes that were killed leave behind. Leaf module: standard library only."""

import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

#: The folder that holds the package.
_ROOT = Path(__file__).resolve().parents[1]
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.(?P<ending>partial|old)")
#: The working directory, and what exchanges two paths, in the calls of Linux (`renameat2`) and macOS (`renamex_np`).
_HERE, _SWAP = -100, 2
#: What `OpenProcess` of Windows is asked for, and how a process that runs ends there.
_QUERY, _STILL_ACTIVE = 0x1000, 259


def start_python(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """Start a fresh Python that finds this package, and nothing in the working directory.

    What it runs begins with `end_with_parent`, which notices at its standard input that this process is gone.
    """
    paths = [str(_ROOT), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONSAFEPATH": "1"}
    # -P, too: a module of the working directory must not take the place of another
    command = [sys.executable, "-P", *arguments]
    return subprocess.Popen(  # noqa: S603 - this interpreter, a module of this package, and no shell
        command, env=environment, stdin=subprocess.PIPE, text=True, **options
    )


def end_with_parent() -> None:
    """End this process at once when the process that started it by `start_python` has ended."""

    def wait() -> None:
        with suppress(OSError, ValueError):
            while os.read(0, 1):
                pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def temporary_beside(target: Path, ending: str = "partial") -> Path:
    """A hidden path beside another, from which `sweep` sees whether the process that uses it is still there."""
    return target.with_name(f".{target.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{ending}")


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what processes of this machine that are gone have left half written in a folder.

    What they had moved out of the way and not replaced is put back.

    Parameters
    ----------
    name : of what they were to write; None for anything
    """
    with suppress(OSError):
        for path in folder.iterdir():
            found = _LEFTOVER.fullmatch(path.name)
            if (
                found is None
                or name not in (None, found["name"])
                or found["host"] != _host()
                or not _is_own(path)
                or _is_alive(int(found["process"]))
            ):
                continue
            if found["ending"] == "old" and not os.path.lexists(folder / found["name"]):
                with suppress(OSError):
                    path.rename(folder / found["name"])
            remove(path)


def peak_memory() -> int | None:
    """Most memory that this process has had, bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one step, so that each is there at every instant; False where the system cannot."""
    import ctypes

    paths = os.fsencode(first), os.fsencode(second)
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return library.renamex_np(*paths, _SWAP) == 0
        here = ctypes.c_int(_HERE)
        return library.renameat2(here, paths[0], here, paths[1], ctypes.c_uint(_SWAP)) == 0
    return False


def write_beside(folder: Path, write: Callable[[Path], Any]) -> None:
    """Have a folder written beside its place and moved there whole; another process that was quicker is welcome."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    partial = temporary_beside(folder)
    try:
        write(partial)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def _host() -> str:
    """A name of this machine, and of its numbers of processes where a container has its own."""
    import platform

    numbers = ""
    with suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]


def _is_own(path: Path) -> bool:
    """Whether this user made a path. What another put into a shared folder is left, and its removal not waited for."""
    with suppress(OSError):
        return not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
    return False


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(_QUERY, False, process)
        code = ctypes.c_ulong(_STILL_ACTIVE)
        if handle:
            ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle) and code.value == _STILL_ACTIVE
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True
