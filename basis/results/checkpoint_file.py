"""`checkpoint.npz`, the checkpoint that a run went on from: an archive of five arrays, none of them trusted."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from basis.components.checkpoints import Checkpoint
from basis.files import DAMAGED, Unreadable, limit_of
from basis.results.folder import CHECKPOINT

#: The arrays with what they hold and how many axes they have.
_ARRAYS = {"timestamp": ("i", 0), "started": ("i", 0), "share_class": ("U", 0), "keys": ("U", 1), "state": ("f", 1)}


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint that a run resumed from."""
    np.savez(
        path,
        timestamp=np.int64(checkpoint.timestamp),
        started=np.int64(checkpoint.started),
        share_class=np.array(checkpoint.share_class),
        keys=np.array(checkpoint.keys),
        state=checkpoint.state,
    )


def read_checkpoint(content: bytes) -> Checkpoint:
    """What `write_checkpoint` wrote. Whether it fits a run, `run_state` checks.

    Raises
    ------
    Unreadable
        If it is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = {name: _array(archive, name, *kind) for name, kind in _ARRAYS.items()}
    except (zipfile.BadZipFile, EOFError, RuntimeError, *DAMAGED) as error:
        raise Unreadable(f"it is no checkpoint: {' '.join(str(error).split())[:200]}") from error
    return Checkpoint(
        int(held["timestamp"]), int(held["started"]), str(held["share_class"]),
        tuple(map(str, held["keys"])), np.array(held["state"], dtype=np.float64),
    )  # fmt: skip


def _array(archive: zipfile.ZipFile, name: str, kind: str, axes: int) -> Any:
    """An array of an archive. Its size is looked at before memory is taken for it."""
    place = archive.getinfo(f"{name}.npy")
    if place.file_size > limit_of(CHECKPOINT):
        raise ValueError(f"{name} has {place.file_size:,} bytes")
    file = io.BytesIO(archive.read(place))
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = read_header[npy.read_magic(file)](file)
    values = file.read()
    if dtype.kind != kind or len(shape) != axes or dtype.itemsize * int(np.prod(shape, dtype=object)) != len(values):
        raise ValueError(f"{name} is not what it must be")
    return np.frombuffer(values, dtype).reshape(shape) if dtype.itemsize else np.empty(shape, dtype)
