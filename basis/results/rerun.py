"""Run what a run folder holds once more: its configuration on its data from its start."""

from pathlib import Path

from basis.config import load_config
from basis.engine.recording import Recording
from basis.engine.simulation import simulate
from basis.errors import InputError
from basis.market import DataProvider
from basis.results.folder import CONFIG, MANIFEST, read_json
from basis.results.manifest import read_checkpoint


def data_folder(folder: Path, data: str | Path | None = None) -> Path:
    """Folder of the data set a run was made from: the one given, else the one the manifest names.

    Raises
    ------
    InputError
        Where there is none, or the run cannot be repeated from a folder.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest["strategy"] is not None:
        raise InputError(
            f"{folder} was run with a strategy of its own ({manifest['strategy']}): it cannot be repeated."
        )
    own = ", ".join(f"{name} {code}" for name, code in manifest.get("own_code", {}).items())
    if own:
        raise InputError(f"{folder} was run with code of its own ({own}): it cannot be repeated from the folder.")
    named = data if data is not None else manifest["data_dir"]
    if named is None:
        raise InputError(f"{folder} was run on arrays in memory, not on a data folder: it cannot be repeated.")
    found = Path(named)
    if not found.is_dir():
        raise InputError(f"{folder}: its data folder {found} is not here. Name the folder that holds the data now.")
    return found


def rerun(folder: Path, data: str | Path | None = None) -> Recording:
    """Run it again in this process.

    Raises
    ------
    InputError
        Where configuration, data or checkpoint are not usable any more.
    """
    where = data_folder(folder, data)
    manifest = read_json(folder / MANIFEST)
    config = load_config(folder / CONFIG, environ={})
    resumed = manifest["resumed"]
    return simulate(
        config,
        DataProvider(where, config),
        start=manifest["window"]["start"],
        end=manifest["window"]["end"],
        positions=manifest["positions"],
        resume=read_checkpoint(folder / resumed["file"]) if resumed else None,
    )
