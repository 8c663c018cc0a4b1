"""Repeating the run of a folder: the same configuration on the same data."""

from pathlib import Path

from basis.config import load_config
from basis.engine.recording import Recording
from basis.engine.simulation import simulate
from basis.errors import InputError, as_path
from basis.market import DataProvider
from basis.results.opened import RunFiles


def data_folder(files: RunFiles, data: str | Path | None = None) -> Path:
    """Data folder of a run: the one given, or the one that the manifest names.

    Raises
    ------
    InputError
        If the data folder is missing, or if the run cannot be repeated from its folder.
    """
    folder, manifest = files.path, files.manifest
    if manifest["strategy"] is not None:
        raise InputError(
            f"{folder} was run with your own strategy ({manifest['strategy']}), which is not in the folder: it "
            "cannot be repeated."
        )
    own = ", ".join(f"{name} {code}" for name, code in manifest.get("own_code", {}).items())
    if own:
        raise InputError(
            f"{folder} was run with your own code ({own}), which is not in the folder: it cannot be repeated."
        )
    given = data if data is not None else manifest["data_dir"]
    if given is None:
        raise InputError(f"{folder} was run on arrays in memory and not on a data folder: it cannot be repeated.")
    found = as_path(given, "The data folder")
    if not found.is_dir():
        raise InputError(
            f"The data folder {found} of {folder} does not exist. Name the folder that holds the data now."
        )
    return found


def rerun(files: RunFiles, data: str | Path | None = None) -> Recording:
    """Repeat the run of a folder in this process.

    Raises
    ------
    InputError
        If the configuration, the data or the checkpoint cannot be used any more.
    """
    where, manifest = data_folder(files, data), files.manifest
    # the configuration is complete: environment variables of the reader must not change it
    config = load_config(files.config(), environ={})
    return simulate(
        config,
        DataProvider(where, config),
        start=manifest["window"]["start"],
        end=manifest["window"]["end"],
        positions=manifest["positions"],
        resume=files.checkpoint(),
    )
