"""What a run was made of: identity, hashes, versions, coverage. Of all this only `created` depends on the clock."""

import functools
import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import basis
from basis.engine.recording import Checkpoint, Recording
from basis.errors import InputError
from basis.kernel.jit import kernel_hash
from basis.market.sources.clock import iso, to_datetime

_PACKAGE = Path(basis.__file__).parent
#: Length of the hash in a run id, hex digits.
_DIGITS = 10
CHECKPOINT_FILE = "checkpoint.npz"


def sha256_of(content: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def package_hash() -> str:
    """sha256 of every module of the package."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


_kernel_hash = functools.cache(kernel_hash)


def starting_positions(recording: Recording) -> dict[str, float] | None:
    """The starting book where it is not the capital in the share class at the start venue."""
    config = recording.config
    usual = {f"{config.start_venue}:BaseToken:{config.share_class}": float(config.initial_capital)}
    return None if recording.resumed is not None or recording.holdings == usual else dict(recording.holdings)


def own_strategy(recording: Recording) -> str | None:
    """Name of the strategy where it is not the mode's own."""
    from basis.strategies.factory import make_strategy

    strategy = recording.strategy
    if strategy is None:
        return None
    try:
        return None if make_strategy(recording.config.mode) is strategy else str(getattr(strategy, "name", strategy))
    except InputError:
        return str(getattr(strategy, "name", strategy))


def _stamp(ns: int) -> str:
    moment = to_datetime(ns)
    return moment.strftime("%Y%m%d" if moment.time() == datetime.min.time() else "%Y%m%dT%H%M%S")


def make_run_id(recording: Recording) -> str:
    """``<mode>-<start>-<end>-<hash>``: the same for the same configuration, data, package version, kernel and start.

    The hash is of the resolved configuration, the data files, the package version, the kernel sources, the window, the
    starting book and the checkpoint that was resumed.
    """
    stamps = recording.panel.timestamps
    made_of = {
        "config": recording.config.to_yaml(),
        "data": dict(sorted(recording.panel.files.items())),
        "version": basis.__version__,
        "kernel": _kernel_hash(),
        "window": [int(stamps[0]), int(stamps[-1])],
        "positions": starting_positions(recording),
        "strategy": own_strategy(recording),
        "resumed": None if recording.resumed is None else sha256_of(recording.resumed.state.tobytes()),
    }
    digest = sha256_of(json.dumps(made_of, sort_keys=True).encode())
    return (
        f"{recording.config.mode}-{_stamp(int(stamps[recording.first]))}-{_stamp(int(stamps[-1]))}-{digest[:_DIGITS]}"
    )


def versions() -> dict[str, str]:
    """Versions of what computes and writes; of pandas only where it is loaded."""
    names = ["numpy", "numba", "pyarrow"] + ["pandas"] * ("pandas" in sys.modules)
    found = {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
    return found | {"platform": f"{platform.system()} {platform.machine()}"}


def make_manifest(recording: Recording, run_id: str, files: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a run; `files` are the sha256 of the table files."""
    panel, config, resumed = recording.panel, recording.config, recording.resumed
    return {
        "run_id": run_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "package": {"name": "basis", "version": basis.__version__, "sha256": package_hash()},
        "kernel": {"sha256": _kernel_hash()},
        "versions": versions(),
        "config": {"file": "config.yaml", "sha256": sha256_of(config.to_yaml().encode())},
        "window": {"start": iso(int(panel.timestamps[0])), "end": iso(int(panel.timestamps[-1]))},
        "seed": config.seed,
        "strategy": own_strategy(recording),
        "positions": starting_positions(recording),
        "resumed": None if resumed is None else {"timestamp": iso(resumed.timestamp), "file": CHECKPOINT_FILE},
        "data_dir": None if recording.provider is None else str(recording.provider.data_dir),
        "data": dict(sorted(panel.files.items())),
        "coverage": {series: dict(share) for series, share in panel.coverage.items()},
        "notes": list(panel.notes),
        "tables": dict(files),
    }


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Keep the checkpoint that a run resumed."""
    np.savez(
        path,
        timestamp=np.int64(checkpoint.timestamp),
        started=np.int64(checkpoint.started),
        share_class=np.array(checkpoint.share_class),
        keys=np.array(checkpoint.keys),
        state=checkpoint.state,
    )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises
    ------
    InputError
        Where the file is missing or not what it should be.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            return Checkpoint(
                int(held["timestamp"]), int(held["started"]), str(held["share_class"]),
                tuple(map(str, held["keys"])), np.array(held["state"]),
            )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"Cannot read {path}: {error}. The run was resumed from it.") from error
