"""The files of a run folder, and writing it: it appears complete or not at all. `opened` reads it.

Imports only `basis.errors`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from basis.errors import InputError, as_path
from basis.processes import exchange, remove, sweep, temporary_beside

#: Tables of a run folder, one parquet file each.
TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events", "panel")
#: Its other files. Their names are fixed: no name that a file gives is ever used as a path.
SUMMARY, MANIFEST, CONFIG, CHECKPOINT = "summary.json", "manifest.json", "config.yaml", "checkpoint.npz"
#: The report is made from the other files: a folder without it is complete.
REPORT = "report.html"


def check_target(path: str | Path, force: bool = False) -> Path:
    """Check, before a run is made, that its folder can be written. Returns the absolute path.

    Raises
    ------
    InputError
        If the folder exists (with `force`: if it exists and is not a run folder), or if its parent cannot be written.
    """
    target = as_path(path, "The run folder").absolute()
    if os.path.lexists(target):
        if target.is_symlink():
            raise InputError(f"{path} is a link, which is not replaced. Give the folder itself.")
        if not force:
            raise InputError(f"{path} exists already. Name another folder, or replace it with force.")
        if not target.is_dir() or not ((target / MANIFEST).is_file() or not any(target.iterdir())):
            raise InputError(f"{path} exists and is not a run folder (it has no {MANIFEST}), so it is not replaced.")
    parent = target.parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write {path}: {parent} is not a folder that can be written.")
    return target


def write_whole(path: str | Path, fill: Callable[[Path], None], force: bool = False) -> Path:
    """Write a folder completely or not at all, replacing one that exists if `force` is set.

    `fill` writes into a temporary folder beside `path`, which is then renamed. If anything fails, the old folder stays.
    Missing folders above it are made.

    Raises
    ------
    InputError
        As of `check_target`; also if the disk is full or a permission is missing.
    """
    target = check_target(path, force)
    partial, old = temporary_beside(target), temporary_beside(target, "old")
    try:
        with _make_parents(target), _remove_afterwards(partial):
            sweep(target.parent)
            partial.mkdir()
            fill(partial)
            if not os.path.lexists(target):
                os.rename(partial, target)
            elif not exchange(partial, target):
                os.rename(target, old)
                try:
                    os.rename(partial, target)
                except BaseException:
                    os.rename(old, target)
                    raise
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error}.") from error
    remove(old)
    return target


def write_file(path: str | Path, content: str | Callable[[Path], None]) -> Path:
    """Write a file completely or not at all. An existing file is replaced, and missing folders above it are made.

    Parameters
    ----------
    content : str or Callable[[Path], None]
        The text, or a function that writes the file at the path it is given.

    Raises
    ------
    InputError
        If the file cannot be written; also any error of `content`.
    """
    target = as_path(path, "The file").absolute()
    if not target.name or target.is_dir():
        raise InputError(f"Cannot write {path}: it is a folder. Give the name of a file.")
    if target.exists() and not target.is_file():
        # a device or a pipe, in whose place the file would be put
        raise InputError(f"Cannot write {path}: it is no regular file, and is not replaced.")
    partial = temporary_beside(target)
    try:
        with _make_parents(target), _remove_afterwards(partial):
            sweep(target.parent)
            if isinstance(content, str):
                partial.write_bytes(content.encode(errors="backslashreplace"))
            else:
                content(partial)
            os.replace(partial, target)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error}.") from error
    return target


@contextmanager
def _make_parents(target: Path) -> Iterator[None]:
    """Make the missing folders above a path; remove them again if the body fails."""
    missing = [folder for folder in target.parents if not os.path.lexists(folder)]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _remove_afterwards(path: Path) -> Iterator[None]:
    """Remove a temporary file or folder if it still exists after the body."""
    try:
        yield
    finally:
        remove(path)


def write_json(path: Path, content: Any) -> None:
    """Write standard JSON, which has no NaN and no infinity."""
    # as bytes: a line ends in the same way on every system, so that hashes hold
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    # a path may hold bytes that are no text: JSON has the same escapes as Python for them
    path.write_bytes(text.encode(errors="backslashreplace"))


def own_hash(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest without its own, by which an accident to the file is seen."""
    content = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
