"""The files of a run folder, read back: each by its schema, and held against the hash that the manifest has of it.

A folder may come from anybody. Its files have fixed names, no link is followed, and a file that cannot be used is one
error. A file that has changed since the run is read all the same, and named in `RunFiles.changed`.
"""

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis.config.fields import nearest
from basis.config_files import parse_yaml
from basis.errors import InputError, as_path
from basis.files import Unreadable, parse_json, read_bytes
from basis.results import schema
from basis.results.folder import CHECKPOINT, CONFIG, MANIFEST, SUMMARY, TABLES, own_hash
from basis.results.table import Table

if TYPE_CHECKING:
    from basis.components.checkpoints import Checkpoint


class RunFiles:
    """A run folder that was opened.

    Attributes
    ----------
    path : pathlib.Path
        The folder, absolute.
    manifest, summary : dict
        Content of the two JSON files.
    changed : tuple[str, ...]
        Files that are not what the manifest has a hash of, or of which it has none.

    Raises
    ------
    InputError
        If a file is missing, or its content is not what it must be; the message names it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = _run_folder(path)
        self.manifest = self._json(MANIFEST, schema.Manifest)
        self.summary = self._json(SUMMARY, schema.Summary)
        self.changed = tuple(name for name in self.names if not self._is_as_made(name))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the files that belong to the run, its report left out."""
        resumed = (CHECKPOINT,) if self.manifest["resumed"] else ()
        return (*(f"{table}.parquet" for table in TABLES), SUMMARY, MANIFEST, CONFIG, *resumed)

    def read(self, name: str) -> bytes:
        """Content of one of the files.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        try:
            return read_bytes(self.path / name)
        except Unreadable as error:
            raise self._refused(name, error) from error

    def table(self, name: str) -> Table:
        """A table.

        Raises
        ------
        InputError
            If it is damaged, or is not the table of its name.
        """
        file = f"{name}.parquet"
        try:
            content = self.read(file)
            if file not in self.changed and not self._is_hash_of(file, content):
                raise Unreadable("it was changed while it was open")
            table = Table.parse(name, content)
            for column in ("timestamp", *schema.COLUMNS.get(name, ())):
                if column not in table.columns:
                    raise Unreadable(f"it has no column {column}")
            if name == "exposure":
                _check_pairs(table)
            if name != "events" and len(table) != self.summary["rows"]:
                raise Unreadable(f"it has {len(table)} rows, and the run has {self.summary['rows']}")
            return table
        except Unreadable as error:
            raise self._refused(file, error) from error

    def config(self) -> dict[str, Any]:
        """The resolved configuration, as it was written.

        Raises
        ------
        InputError
            If it is no YAML mapping.
        """
        try:
            content = parse_yaml(self.read(CONFIG).decode("utf-8"), str(self.path / CONFIG))
        except UnicodeDecodeError as error:
            raise self._refused(CONFIG, error) from error
        if not isinstance(content, dict):
            raise self._refused(CONFIG, "it holds no mapping")
        return content

    def checkpoint(self) -> "Checkpoint | None":
        """The checkpoint that the run went on from.

        Raises
        ------
        InputError
            If the run resumed, and the file is missing or damaged.
        """
        from basis.results.checkpoint_file import read_checkpoint

        if not self.manifest["resumed"]:
            return None
        try:
            return read_checkpoint(self.read(CHECKPOINT))
        except Unreadable as error:
            raise self._refused(CHECKPOINT, error) from error

    def _json(self, name: str, kind: type) -> dict[str, Any]:
        try:
            return schema.check(kind, parse_json(self.read(name)))
        except Unreadable as error:
            raise self._refused(name, error) from error

    def _is_as_made(self, name: str) -> bool:
        if name == MANIFEST:
            return self.manifest.get("sha256") == own_hash(self.manifest)
        return self._is_hash_of(name, self.read(name))

    def _is_hash_of(self, name: str, content: bytes) -> bool:
        hashes = {**self.manifest["tables"], **self.manifest.get("files", {})}
        hashes[CONFIG] = self.manifest["config"]["sha256"]
        return hashes.get(name) == hashlib.sha256(content).hexdigest()

    def _refused(self, name: str, why: object) -> InputError:
        return InputError(f"Cannot read {self.path / name}: {why}. Save the run again, or run it again.")


def _check_pairs(exposure: Table) -> None:
    """Every net delta stands beside its ratio."""
    for column in exposure.columns:
        if column.startswith("net_delta|") and column.replace("delta|", "delta_ratio|", 1) not in exposure.columns:
            raise Unreadable(f"it has no ratio beside {column}")


def _run_folder(path: str | Path) -> Path:
    """Check that a folder holds all files of a run. Returns the absolute path."""
    folder = as_path(path, "The run folder")
    needed = [MANIFEST, SUMMARY, CONFIG, *(f"{name}.parquet" for name in TABLES)]
    try:
        missing = [name for name in needed if not (folder / name).is_file()]
        if not missing:
            return folder.absolute()
        if folder.exists():
            raise InputError(f"{path} is not a run folder: it has no {', '.join(missing)}.")
        near = nearest(folder.name, (held.parent.name for held in folder.parent.glob(f"*/{MANIFEST}")))
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error
    hint = f" Did you mean {folder.parent / near}?" if near else ""
    raise InputError(f"{path} is not a run folder: it does not exist.{hint}")
