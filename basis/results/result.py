"""The result of a run, from memory or from a folder: tables, summary, checkpoint, saving. pandas is imported on use."""

import functools
import html
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis.errors import InputError
from basis.results import measures
from basis.results.folder import CONFIG, MANIFEST, SUMMARY, TABLES, check_target, read_json, write_json, write_whole
from basis.results.table import Table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from basis.components.book import Checkpoint
    from basis.config import Config
    from basis.engine.recording import Recording
    from basis.results.tables import Rows

_HEADLINE = (
    ("total_return", "return", "%"),
    ("cagr_365", "CAGR", "%"),
    ("volatility_365", "volatility", "%"),
    ("sharpe_365", "Sharpe", ""),
    ("max_drawdown", "max drawdown", "%"),
    ("final_equity", "final equity", "money"),
    ("liquidations", "liquidations", "count"),
)


class Result:
    """What a run has made; from `backtest`, or from a folder with `open_run`.

    Attributes
    ----------
    run_id, status, cause : str, str, str | None
        Deterministic name; ``complete`` or ``stopped``, and why it stopped.
    config : Config
        Resolved configuration.
    summary : dict
        Headline numbers, `summary.json`.
    manifest : dict
        What the run was made of, `manifest.json`; in memory without the hashes of the table files.
    equity, attribution, positions, exposure, risk, panel : pandas.DataFrame
        On a UTC index named ``timestamp``, units in ``.attrs['units']``.
    events : pandas.DataFrame
        In the order of ``seq``, instants as columns.
    """

    def __init__(self, recording: "Recording | None", folder: Path | None, run_id: str | None = None) -> None:
        self._recording, self._folder, self._run_id = recording, folder, run_id
        self._made: dict[str, Table] = {}

    @classmethod
    def from_recording(cls, recording: "Recording", run_id: str | None = None) -> "Result":
        """The result of a run in memory; `run_id` overrules its own name (a repeated run keeps the first one's)."""
        return cls(recording, None, run_id)

    #: Whether a folder can be written, asked before a run is made for it.
    check_target = staticmethod(check_target)

    # --- what it is ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def run_id(self) -> str:
        if self._recording is None:
            return self.manifest["run_id"]
        from basis.engine.identity import make_run_id

        return self._run_id or make_run_id(self._recording)

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        if self._recording is None:
            return read_json(self.folder / MANIFEST)
        from basis.results.manifest import make_manifest

        return make_manifest(self._recording, self.run_id, {})

    @functools.cached_property
    def config(self) -> "Config":
        if self._recording is not None:
            return self._recording.config
        from basis.config import load_config

        # resolved: the environment of whoever opens it has no say
        return load_config(self.folder / CONFIG, environ={})

    @property
    def folder(self) -> Path:
        """Folder it was opened from.

        Raises
        ------
        InputError
            For a result that was never saved.
        """
        if self._folder is None:
            raise InputError("This result is in memory only; save it to have a folder.")
        return self._folder

    @property
    def status(self) -> str:
        return self.summary["status"]

    @property
    def cause(self) -> str | None:
        return self.summary["cause"]

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before believing the numbers, one sentence each."""
        found = [f"The run stopped itself: {self.cause}"] if self.status == "stopped" else []
        if self.summary["liquidations"]:
            found.append(f"{self.summary['liquidations']} liquidation(s).")
        critical = self.summary["alerts"]["critical"]
        if critical:
            found.append(f"{critical} critical alert(s).")
        return found + list(self.manifest["notes"])

    # --- tables ----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _rows(self) -> "Rows":
        from basis.results.tables import Rows

        assert self._recording is not None
        return Rows(self._recording)

    def table(self, name: str) -> Table:
        """A table as numpy columns with units.

        Raises
        ------
        InputError
            For a name that is none of the run folder's tables.
        """
        if name not in TABLES:
            raise InputError(f"No table {name!r}; there are {', '.join(TABLES)}.")
        if name not in self._made:
            self._made[name] = self._build(name)
        return self._made[name]

    def _build(self, name: str) -> Table:
        if self._recording is None:
            return Table.read(self.folder / f"{name}.parquet")
        from basis.results import events, tables

        if name == "events":
            return events.events(self._rows, self.run_id)
        return getattr(tables, name)(self._rows)

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        if self._recording is None:
            return read_json(self.folder / SUMMARY)
        from basis.results.summary import make_summary

        return make_summary(self._rows, self.run_id, {name: self.table(name) for name in ("equity", "risk", "events")})

    @functools.cached_property
    def equity(self) -> "pd.DataFrame":
        return self.table("equity").to_pandas()

    @functools.cached_property
    def attribution(self) -> "pd.DataFrame":
        return self.table("attribution").to_pandas()

    @functools.cached_property
    def positions(self) -> "pd.DataFrame":
        return self.table("positions").to_pandas()

    @functools.cached_property
    def exposure(self) -> "pd.DataFrame":
        return self.table("exposure").to_pandas()

    @functools.cached_property
    def risk(self) -> "pd.DataFrame":
        return self.table("risk").to_pandas()

    @functools.cached_property
    def panel(self) -> "pd.DataFrame":
        return self.table("panel").to_pandas()

    @functools.cached_property
    def events(self) -> "pd.DataFrame":
        return self.table("events").to_pandas(index=False)

    def to_polars(self, name: str) -> "pl.DataFrame":
        """A table as a polars frame."""
        return self.table(name).to_polars()

    # --- returns ---------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _row_returns(self) -> Any:
        table = self.table("equity")
        return measures.row_returns(table["equity"], table["net_flow"], self.summary["initial_equity"])

    def returns(self, freq: str | None = None) -> "pd.Series":
        """Time-weighted returns, fractions.

        Parameters
        ----------
        freq : str, optional
            None: one per row. Else a pandas frequency: rows in (start, end] of a period compound and stand at its end;
            days end at 00:00 UTC, and row 0 belongs to the period that follows it.
        """
        import pandas as pd

        stamps, values = self.table("equity")["timestamp"], self._row_returns
        if freq in ("1D", "D", "1d"):
            stamps, values = measures.daily_returns(stamps, values)
        index = pd.DatetimeIndex(stamps, tz="UTC", name="timestamp")
        series = pd.Series(values, index, name="return")
        if freq not in (None, "1D", "D", "1d"):
            if len(series) > 1:
                series.iloc[1] = (1.0 + series.iloc[0]) * (1.0 + series.iloc[1]) - 1.0
                series = series.iloc[1:]
            series = (1.0 + series).resample(freq, closed="right", label="right").prod() - 1.0
        series.attrs["unit"] = "fraction"
        return series

    @functools.cached_property
    def drawdown(self) -> "pd.Series":
        """Growth of capital against its highest so far, fraction <= 0."""
        import pandas as pd

        index = pd.DatetimeIndex(self.table("equity")["timestamp"], tz="UTC", name="timestamp")
        series = pd.Series(measures.drawdown(self._row_returns), index, name="drawdown")
        series.attrs["unit"] = "fraction"
        return series

    # --- going on --------------------------------------------------------------------------------------------------

    def checkpoint(self, timestamp: Any = None) -> "Checkpoint":
        """State after the fills of the row at or before an instant (default the last row): what `resume` takes.

        Raises
        ------
        InputError
            Where the instant is outside the run, or a run opened from a folder cannot be repeated.
        """
        from basis.engine.simulation import checkpoint

        if self._recording is None:
            return checkpoint(self._repeated, timestamp)
        return checkpoint(self._recording, timestamp)

    @functools.cached_property
    def _repeated(self) -> "Recording":
        from basis.results.rerun import rerun

        return rerun(self.folder)

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write the run folder `path`; it appears whole or not at all.

        Raises
        ------
        InputError
            Where the folder exists and `force` is not set, or it cannot be written.
        """
        return write_whole(path, self._copy if self._recording is None else self._write, force)

    def _copy(self, target: Path) -> None:
        for name in (*(f"{table}.parquet" for table in TABLES), SUMMARY, MANIFEST, CONFIG):
            shutil.copy2(self.folder / name, target / name)
        if self.manifest["resumed"]:
            name = self.manifest["resumed"]["file"]
            shutil.copy2(self.folder / name, target / name)

    def _write(self, target: Path) -> None:
        from basis.results.manifest import CHECKPOINT_FILE, make_manifest, sha256_of_file, write_checkpoint

        assert self._recording is not None
        for name in TABLES:
            self.table(name).write(target / f"{name}.parquet")
        (target / CONFIG).write_text(self.config.to_yaml(), encoding="utf-8")
        write_json(target / SUMMARY, self.summary)
        if self._recording.resumed is not None:
            write_checkpoint(target / CHECKPOINT_FILE, self._recording.resumed)
        hashes = {f"{name}.parquet": sha256_of_file(target / f"{name}.parquet") for name in TABLES}
        write_json(target / MANIFEST, make_manifest(self._recording, self.run_id, hashes))

    # --- display ---------------------------------------------------------------------------------------------------

    def _headline(self) -> list[tuple[str, str]]:
        out = []
        for name, label, kind in _HEADLINE:
            value = self.summary[name]
            if value is None:
                shown = "–"
            elif kind == "%":
                shown = f"{100 * value:.2f} %"
            elif kind == "money":
                shown = f"{value:,.6g} {self.summary['share_class']}" if abs(value) < 1e3 else f"{value:,.2f} "
                shown = shown if abs(value) < 1e3 else shown + self.summary["share_class"]
            else:
                shown = f"{value:.2f}" if kind == "" else str(value)
            out.append((label, shown))
        return out

    def __repr__(self) -> str:
        headline = ", ".join(f"{label} {shown}" for label, shown in self._headline()[:5])
        return f"<Result {self.run_id} {self.status}: {headline}>"

    def _repr_html_(self) -> str:
        summary = self.summary
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th><td>{html.escape(shown)}</td></tr>"
            for label, shown in self._headline()
        )
        warned = "".join(f"<li>{html.escape(text)}</li>" for text in self.warnings)
        title = f"{summary['mode']} · {summary['start']} … {summary['end']} · {summary['status']}"
        return (
            f"<div><b>{html.escape(title)}</b><br><code>{html.escape(self.run_id)}</code><table>{cells}</table>"
            + (f"<ul>{warned}</ul>" if warned else "")
            + "</div>"
        )


def open_run(path: str | Path) -> Result:
    """The result in a run folder.

    Raises
    ------
    InputError
        Where the folder is no run folder; the message names what is missing.
    """
    folder = Path(path)
    needed = [MANIFEST, SUMMARY, CONFIG, *(f"{name}.parquet" for name in TABLES)]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        what = "it does not exist" if not folder.exists() else f"it has no {', '.join(missing)}"
        raise InputError(f"{path} is no run folder: {what}.")
    return Result(None, folder)
