"""The run folder: it appears whole or not at all. Imports `basis.errors` and its siblings only."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from basis.errors import InputError

#: Tables of a run folder, one parquet file each.
TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events", "panel")
SUMMARY, MANIFEST, CONFIG = "summary.json", "manifest.json", "config.yaml"
#: What a summary has whatever the run was.
SUMMARY_KEYS = (
    "run_id", "status", "cause", "mode", "share_class", "start", "end", "rows", "initial_equity", "final_equity",
    "net_flows", "total_return", "cagr_365", "volatility_365", "sharpe_365", "max_drawdown", "attribution", "fills",
    "liquidations", "alerts", "min_health_factor", "min_margin_ratio",
)  # fmt: skip
#: Made from the rest: a folder without it is whole.
REPORT = "report.html"


def check_target(path: str | Path, force: bool = False) -> Path:
    """The folder to write, checked before a run is made for it.

    Raises
    ------
    InputError
        Where it exists already (with `force`: exists and is no run folder), or its parent cannot be written.
    """
    target = Path(path).absolute()
    if os.path.lexists(target):
        if not force:
            raise InputError(f"{path} exists already. Name another folder, or replace it with force.")
        if not target.is_dir() or not ((target / MANIFEST).is_file() or not any(target.iterdir())):
            raise InputError(f"{path} exists and is no run folder (it has no {MANIFEST}): it is not replaced.")
    parent = target.parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write {path}: {parent} is no folder that can be written.")
    return target


def write_whole(path: str | Path, fill: Callable[[Path], None], force: bool = False) -> Path:
    """Let `fill` write into a temporary sibling, then give it the name `path`. A failure leaves what was there before.

    Folders above it that are missing are made.

    Raises
    ------
    InputError
        See `check_target`; also where writing fails for want of room or rights.
    """
    target = check_target(path, force)
    mark = f".{target.name}.{secrets.token_hex(4)}"
    made, old = target.with_name(mark + ".partial"), target.with_name(mark + ".old")
    try:
        with _folders_above(target), _gone_after(made):
            made.mkdir()
            fill(made)
            if os.path.lexists(target):
                os.rename(target, old)
            try:
                os.rename(made, target)
            except BaseException:
                if os.path.lexists(old):
                    os.rename(old, target)
                raise
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error}.") from error
    shutil.rmtree(old, ignore_errors=True)
    return target


def write_file(path: str | Path, content: str | Callable[[Path], None]) -> Path:
    """Write a file whole or not at all; one that is there is replaced, folders above it that are missing are made.

    Parameters
    ----------
    content : its text, or what writes a file of the name it is given

    Raises
    ------
    InputError
        Where it cannot be written; also what `content` raises.
    """
    target = Path(path).absolute()
    if not target.name or target.is_dir():
        raise InputError(f"Cannot write {path}: it is a folder. Give the name of a file.")
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with _folders_above(target), _gone_after(made):
            if isinstance(content, str):
                made.write_text(content, encoding="utf-8")
            else:
                content(made)
            os.replace(made, target)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error}.") from error
    return target


@contextmanager
def _folders_above(target: Path) -> Iterator[None]:
    """Make the folders above a path that are missing; where what is done in them fails, they go again."""
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
def _gone_after(made: Path) -> Iterator[None]:
    """Remove what was written for the time being, if it is still there."""
    try:
        yield
    finally:
        with suppress(OSError):
            made.unlink(missing_ok=True)
        shutil.rmtree(made, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that any reader takes: no NaN, no infinity."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """Read a JSON file of a run folder that has to have the keys `needed`.

    Raises
    ------
    InputError
        Where it is missing, no JSON, or not what a run writes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in needed if not isinstance(content, dict) or key not in content]
        if missing:
            raise InputError(f"{path.parent} is no run folder: {path.name} has no {', '.join(missing)}.")
        return content
    except FileNotFoundError:
        raise InputError(f"{path.parent} is no run folder: it has no {path.name}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error
