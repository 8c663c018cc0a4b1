"""A run: its configuration, tables, summary and manifest, from memory or from a run folder.

May import the engine and what is below it. `basis.reports.result.Result` is a run with frames, figures and reports.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from basis.config.fields import NamedDict, nearest
from basis.errors import InputError, checked_call
from basis.results import measures
from basis.results.doubts import gas_warning
from basis.results.folder import (
    CHECKPOINT,
    CONFIG,
    MANIFEST,
    SUMMARY,
    TABLES,
    check_target,
    own_hash,
    write_json,
    write_whole,
)
from basis.results.opened import RunFiles
from basis.results.table import Table

if TYPE_CHECKING:
    from basis.components.checkpoints import Checkpoint
    from basis.config import Config
    from basis.engine.recording import Recording
    from basis.results.reasons import Before, Reasons
    from basis.results.tables import RunRows


class Run:
    """A finished run.

    A run in memory makes its tables from the recording when they are first asked for; a run in a folder reads them. A
    pickled run has no `checkpoint`.
    """

    def __init__(self, recording: "Recording | None", folder: Path | None, run_id: str | None = None) -> None:
        self._recording, self._folder, self._run_id = recording, folder, run_id
        self._resumed = None if recording is None else recording.resumed
        self._tables: dict[str, Table] = {}

    @classmethod
    def from_recording(cls, recording: "Recording", run_id: str | None = None) -> Self:
        """The run in memory. `run_id` replaces its own id; a replay keeps the id of the run that it repeats."""
        return cls(recording, None, run_id)

    @classmethod
    def from_folder(cls, path: str | Path) -> Self:
        """The run in a folder.

        Raises
        ------
        InputError
            If the folder is not a run folder, or a file of it is damaged; the message names it.
        """
        files = RunFiles(path)
        run = cls(None, files.path)
        run.files = files
        return run

    @functools.cached_property
    def files(self) -> RunFiles:
        """The files of the folder that the run was opened from, as they were when it was."""
        return RunFiles(self.folder)

    def __getstate__(self) -> dict[str, Any]:
        """A pickled run is its folder, or all its tables and headline numbers. The recording is left out."""
        state = {"_recording": None, "_folder": self._folder, "_run_id": None, "_resumed": self._resumed, "_tables": {}}
        if self._folder is None:
            state["_tables"] = {name: self.table(name) for name in TABLES}
            state |= {name: getattr(self, name) for name in ("run_id", "config", "summary", "manifest")}
        return state

    #: Checks whether a folder can be written, before a run is made for it.
    check_target = staticmethod(check_target)

    # --- identity and status -----------------------------------------------------------------------------------------

    @functools.cached_property
    def run_id(self) -> str:
        if self._recording is None:
            return self.manifest["run_id"]
        from basis.engine.identity import make_run_id

        return self._run_id or make_run_id(self._recording)

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        if self._recording is None:
            return self.files.manifest
        from basis.results.manifest import make_manifest

        return make_manifest(self._recording, self.run_id, {})

    @functools.cached_property
    def config(self) -> "Config":
        if self._recording is not None:
            return self._recording.config
        from basis.config import load_config

        # the configuration of the folder is complete: environment variables of the reader must not change it
        return load_config(self.files.config(), environ={})

    @property
    def folder(self) -> Path:
        """Folder that the run was opened from.

        Raises
        ------
        InputError
            If the run was not opened from a folder.
        """
        if self._folder is None:
            raise InputError(
                "This result is only in memory. Save it with save(path), then open it with open_run(path)."
            )
        return self._folder

    @property
    def status(self) -> str:
        return self.summary["status"] if self._recording is None else self._recording.status

    @property
    def cause(self) -> str | None:
        return self.summary["cause"] if self._recording is None else self._recording.cause

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before relying on the numbers, one sentence each."""
        return [*self.run_warnings, *self.data_notes]

    @property
    def changes(self) -> list[str]:
        """Whether the folder that the run was opened from is still what the run wrote: empty, or one sentence."""
        if self._folder is None or not self.files.changed:
            return []
        names = ", ".join(self.files.changed)
        earlier = "" if "sha256" in self.manifest else ", or an earlier version wrote it"
        again = "These numbers are not known to be those of the run: replay it, or run it again."
        return [f"The run folder was changed after the run ({names}){earlier}. {again}"]

    @property
    def run_warnings(self) -> list[str]:
        """Warnings about the run and its data: a stop, liquidations, alerts, requests not met, improbable data."""
        found = [f"The run stopped itself: {self.cause}"] if self.status == "stopped" else []
        found += self.changes
        if self.summary["liquidations"]:
            found.append(_count(self.summary["liquidations"], "liquidation"))
        if self.summary["alerts"]["critical"]:
            found.append(_count(self.summary["alerts"]["critical"], "critical alert"))
        if not self.summary["fills"]:
            rule = " Its rate rule was never in." if self.config.strategy.rate_rule.enabled else ""
            found.append(f"Not one order was filled: nothing was bought, sold, lent or staked.{rule}")
        if (gas := gas_warning(self.summary, self.table("equity")["equity"])) is not None:
            found.append(gas)
        from basis.results.unmet_requests import flows_left_out, unmet_requests

        found += flows_left_out(self.config.flows, self.table("equity"), self.summary["share_class"])
        if self.manifest["strategy"] is not None or "strategy_manager" in self.manifest.get("own_code", {}):
            events, equity, panel = (self.table(name) for name in ("events", "equity", "panel"))
            found += unmet_requests(events, equity, panel, self.summary["share_class"])
        return [*found, *self.data_warnings]

    @property
    def data_warnings(self) -> list[str]:
        """What is improbable in the market data that the run used."""
        return list(self.manifest.get("warnings", ()))

    @functools.cached_property
    def doubts(self) -> list[str]:
        """The three things that most deserve doubt, the gravest first, one sentence each."""
        from basis.results.doubts import doubts

        return doubts(self.config, self.summary, self.manifest, self.table)

    @property
    def data_notes(self) -> list[str]:
        """Notes on the market data: assumptions, fallback sources, prices carried forward."""
        return list(self.manifest["notes"])

    # --- tables ------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _rows(self) -> "RunRows":
        from basis.results.tables import RunRows

        assert self._recording is not None  # noqa: S101 - for the type checker: what was opened has tables instead
        return RunRows(self._recording)

    @checked_call
    def table(self, name: str) -> Table:
        """A table as numpy columns with units.

        Raises
        ------
        InputError
            If the run folder has no table of that name.
        """
        if name not in TABLES:
            near = nearest(name, TABLES)
            hint = f" Did you mean {near}?" if near else ""
            raise InputError(f"There is no table {name!r}. The tables are {', '.join(TABLES)}.{hint}")
        if name not in self._tables:
            self._tables[name] = self._make_table(name)
        return self._tables[name]

    def _make_table(self, name: str) -> Table:
        """Read a table from the folder, or make it from the recording."""
        if self._recording is None:
            return self.files.table(name)
        from basis.results import events, tables
        from basis.results.reasons import with_triggers

        if name == "events":
            made = events.event_table(self._rows, self.run_id)
            return with_triggers(made, self._reasons_of(made, self._recording.strategy))
        return tables.TABLE_MAKERS[name](self._rows)

    @functools.cached_property
    def reasons(self) -> "Reasons":
        """Why the strategy was asked, row by row."""
        return self._reasons_of(self.table("events"), None if self._recording is None else self._recording.strategy)

    def _reasons_of(self, events: Table, strategy: Any) -> "Reasons":
        from basis.results.reasons import Reasons

        given, before = self.manifest["positions"], self._before if self.manifest["resumed"] else None
        return Reasons(self.config, self.table, events, given, before, strategy)

    def _before(self) -> "Before":
        """The row before the first, of a run that went on from a checkpoint."""
        from basis.results.reasons import Before

        market = {}
        if self._recording is not None:
            market = {name: float(values[0]) for name, values in self._recording.panel.columns.items()}
        kept = self._resumed or self.files.checkpoint()
        assert kept is not None  # noqa: S101 - it is asked for only where a run went on
        return Before(kept, market)

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        return NamedDict(self._make_summary())

    def _make_summary(self) -> dict[str, Any]:
        if self._recording is None:
            return self.files.summary
        from basis.results.summary import make_summary

        return make_summary(self._rows, self.run_id, {name: self.table(name) for name in ("equity", "risk", "events")})

    @functools.cached_property
    def row_returns(self) -> np.ndarray:
        """(rows,) time-weighted return of each row, fraction."""
        return measures.row_returns(*self._equity_and_flows)

    @property
    def total_return(self) -> float:
        """Time-weighted return of the whole run, fraction."""
        return measures.total_return(*self._equity_and_flows)

    @property
    def _equity_and_flows(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Equity and net flow of each row, and the equity before the first one. Needs no other table."""
        table = self.table("equity")
        start = self.summary["initial_equity"] if self._recording is None else self._rows.started_from
        return table["equity"], table["net_flow"], start

    # --- checkpoint and folder ---------------------------------------------------------------------------------------

    @checked_call
    def checkpoint(self, timestamp: Any = None) -> "Checkpoint":
        """State after the fills of the row at or before an instant (by default the last row), for `resume`.

        Raises
        ------
        InputError
            If the instant is outside the run, or if a run opened from a folder cannot be repeated.
        """
        from basis.engine.simulation import checkpoint

        return checkpoint(self._repeated if self._recording is None else self._recording, timestamp)

    @functools.cached_property
    def _repeated(self) -> "Recording":
        from basis.results.rerun import rerun

        return rerun(self.files)

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write the run folder `path` without a report. The folder appears complete or not at all.

        Parameters
        ----------
        force : bool
            Replace the folder if it exists and is a run folder.

        Raises
        ------
        InputError
            If the folder exists and `force` is not set, or if it cannot be written.
        """
        return write_whole(path, self.write_files, force)

    def write_files(self, target: Path) -> None:
        """Write all files of the run except its report into an empty folder."""
        if self._folder is None:
            self._write_files(target)
        else:
            self._copy_files(target)

    def _copy_files(self, target: Path) -> None:
        """Copy the files of the folder that the run was opened from."""
        for name in self.files.names:
            (target / name).write_bytes(self.files.read(name))

    def _write_files(self, target: Path) -> None:
        """Write the files of a run in memory."""
        from basis.results.manifest import sha256_of_file

        for name in TABLES:
            self.table(name).write(target / f"{name}.parquet")
        (target / CONFIG).write_bytes(self.config.to_yaml().encode())
        write_json(target / SUMMARY, self.summary)
        if self._resumed is not None:
            from basis.results.checkpoint_file import write_checkpoint

            write_checkpoint(target / CHECKPOINT, self._resumed)
        hashes = {path.name: sha256_of_file(path) for path in target.iterdir()}
        tables = {name: hashes.pop(name) for name in (f"{table}.parquet" for table in TABLES)}
        manifest = {**self.manifest, "tables": tables, "files": dict(sorted(hashes.items()))}
        write_json(target / MANIFEST, {**manifest, "sha256": own_hash(manifest)})


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}."
