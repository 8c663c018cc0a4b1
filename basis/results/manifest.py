"""The manifest of a run: identity, hashes, versions and coverage of the data. Only `created` depends on the clock."""

import functools
import hashlib
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import basis
from basis.assets import facts_hash
from basis.engine.identity import kernel_identity, own_strategy, sha256_of, starting_positions
from basis.engine.recording import Recording
from basis.market.sources.clock import iso
from basis.results.folder import CHECKPOINT, CONFIG

_PACKAGE = Path(basis.__file__).parent


def sha256_of_file(path: Path) -> str:
    """sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def package_hash() -> str:
    """sha256 of every module of the package, and of the facts about assets that ship with it."""
    digest = hashlib.sha256(facts_hash().encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute and write; of pandas only if it is loaded."""
    names = ["numpy", "numba", "pyarrow"] + ["pandas"] * ("pandas" in sys.modules)
    found = {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
    return found | {"platform": f"{platform.system()} {platform.machine()}"}


def make_manifest(recording: Recording, run_id: str, files: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a run; `files` holds the sha256 of each table file."""
    panel, config, resumed = recording.panel, recording.config, recording.resumed
    return {
        "run_id": run_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "package": {"name": "basis", "version": basis.__version__, "sha256": package_hash()},
        "kernel": {"sha256": kernel_identity()},
        "versions": versions(),
        "config": {"file": CONFIG, "sha256": sha256_of(config.to_yaml().encode())},
        "window": {"start": iso(int(panel.timestamps[0])), "end": iso(int(panel.timestamps[-1]))},
        "seed": config.seed,
        "strategy": own_strategy(recording),
        "own_code": recording.own_code,
        "positions": starting_positions(recording),
        "resumed": None if resumed is None else {"timestamp": iso(resumed.timestamp), "file": CHECKPOINT},
        "data_dir": recording.data_dir,
        "data": dict(sorted(panel.files.items())),
        "coverage": {series: dict(share) for series, share in panel.coverage.items()},
        "notes": [*panel.notes, *recording.notes],
        "warnings": list(panel.warnings),
        "tables": dict(files),
    }
