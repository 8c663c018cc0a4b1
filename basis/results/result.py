"""The result of a run, from memory or from a folder: tables, summary, figures, report, checkpoint, saving.

pandas and plotly are imported on use.
"""

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from basis.config.layers import refuse_arguments
from basis.errors import InputError
from basis.results import measures
from basis.results.folder import (
    CONFIG,
    MANIFEST,
    REPORT,
    SUMMARY,
    SUMMARY_KEYS,
    TABLES,
    check_target,
    read_json,
    write_json,
    write_whole,
)
from basis.results.table import Table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from basis.components.run_state import Checkpoint
    from basis.config import Config
    from basis.engine.recording import Recording
    from basis.plots.accessor import Plots
    from basis.results.explain import Explanation
    from basis.results.tables import Rows


class Result:
    """What a run has made; from `backtest`, or from a folder with `open_run`.

    Tables are pandas frames, a row per row of the run on a UTC index named ``timestamp``, with the unit of each column
    in ``.attrs['units']``; `to_polars` gives them to polars. Parts of a column's name stand between bars:
    ``value|binance:BaseToken:BTC``. A misspelt column is told with the nearest. A result can be pickled, to come back
    from another process; it has no `checkpoint` then.

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
    warnings : list[str]
        What a reader should know before believing the numbers.
    equity : pandas.DataFrame
        ``equity``, ``net_flow``, ``withdrawal_pending``, cumulative P&L both ways (``pnl_balance``, ``pnl_attributed``)
        and their ``residual``, share class; ``share_class_usd``, USD per unit of it.
    attribution : pandas.DataFrame
        P&L of each row by cause, share class: the columns without a bar in their name sum to the change of equity less
        flows; ``funding_pnl|<venue>`` is a breakdown.
    positions : pandas.DataFrame
        Stored quantity by instrument after the row's fills (scaled for Aave), ``<key>|in_transit``, and of perps what
        they cost, ``<key>|cost``, quote.
    exposure : pandas.DataFrame
        ``value|<key>`` and ``gross``, share class; ``net_delta|<asset>``, units, and ``net_delta_ratio|<asset>``,
        fraction of the equity.
    risk : pandas.DataFrame
        ``ltv``, ``health_factor``, ``margin_ratio|<venue>``: after fills, ``…|before`` decisions, ``…|worst`` of the
        bar that ended; ``alert|<measure>``, 0, 1 warning, 2 critical; distance to liquidation.
    panel : pandas.DataFrame
        The market as the run saw it.
    events : pandas.DataFrame
        One event in a row in the order of ``seq``, instants as columns.
    drawdown : pandas.Series
        Growth of capital against its highest so far, fraction <= 0.
    plot : Plots
        Figures: ``plot.overview()``, ``.equity()``, ``.attribution(kind)``, ``.risk()``, …; ``help(result.plot)``.

    Examples
    --------
    >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
    >>> result.equity.shape, result.equity.attrs["units"]["equity"]
    ((697, 7), 'USDT')
    >>> causes = result.attribution[[name for name in result.attribution if "|" not in name]]
    >>> bool(abs(causes.to_numpy().sum() - result.equity["pnl_balance"].iloc[-1]) < 1e-6)
    True
    >>> result.stats(formatted=True)["max drawdown"].endswith("%")
    True
    """

    def __init__(self, recording: "Recording | None", folder: Path | None, run_id: str | None = None) -> None:
        self._recording, self._folder, self._run_id = recording, folder, run_id
        self._resumed = None if recording is None else recording.resumed
        self._made: dict[str, Table] = {}

    @classmethod
    def from_recording(cls, recording: "Recording", run_id: str | None = None) -> "Result":
        """The result of a run in memory; `run_id` overrules its own name (a repeated run keeps the first one's)."""
        return cls(recording, None, run_id)

    def __getstate__(self) -> dict[str, Any]:
        """Pickled, a result is its folder, or all its tables and headline; what runs it again stays behind."""
        state = {"_recording": None, "_folder": self._folder, "_run_id": None, "_resumed": self._resumed, "_made": {}}
        if self._folder is None:
            state["_made"] = {name: self.table(name) for name in TABLES}
            state |= {name: getattr(self, name) for name in ("run_id", "config", "summary", "manifest")}
        return state

    #: Whether a folder can be written, asked before a run is made for it.
    check_target = staticmethod(check_target)

    def __getattr__(self, name: str) -> Any:
        """Only what is missing comes here: the nearest name is told."""
        if name.startswith("_") or hasattr(type(self), name):
            # a property that failed: its own error
            return object.__getattribute__(self, name)
        from basis.config.fields import nearest

        near = nearest(name, (attribute for attribute in dir(type(self)) if not attribute.startswith("_")))
        hint = f" Did you mean {near}?" if near else f" Its tables are {', '.join(TABLES)}."
        raise AttributeError(f"A result has no {name!r}.{hint}")

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
            return read_json(self.folder / MANIFEST, "run_id", "notes", "coverage", "resumed")
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
            raise InputError("This result is in memory only; save it to have a folder, and open that with open_run.")
        return self._folder

    @property
    def status(self) -> str:
        return self.summary["status"] if self._recording is None else self._recording.status

    @property
    def cause(self) -> str | None:
        return self.summary["cause"] if self._recording is None else self._recording.cause

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before believing the numbers, one sentence each."""
        found = [f"The run stopped itself: {self.cause}"] if self.status == "stopped" else []
        if self.summary["liquidations"]:
            found.append(_counted(self.summary["liquidations"], "liquidation"))
        critical = self.summary["alerts"]["critical"]
        if critical:
            found.append(_counted(critical, "critical alert"))
        if self.manifest["strategy"] is not None or "strategy_manager" in self.manifest.get("own_code", {}):
            from basis.results.wishes import unmet

            found += unmet(self)
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
            from basis.config.fields import nearest

            near = nearest(name, TABLES)
            hint = f" Did you mean {near}?" if near else ""
            raise InputError(f"No table {name!r}; there are {', '.join(TABLES)}.{hint}")
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
            return read_json(self.folder / SUMMARY, *SUMMARY_KEYS)
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
        """What happened, one event in a row, in the order of ``seq``.

        ``timestamp`` is the row in which it was booked, ``effective_at`` when it happened; both are UTC, and text in a
        query is read as that. ``kind`` is decision, order, fill, reject, transfer, arrival, funding, reward,
        liquidation, alert, flow, data or error. Units of all columns are in ``.attrs['units']``.

        Examples
        --------
        >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-08")
        >>> fills = result.events.query("kind == 'fill' and venue == 'bybit'")
        >>> sorted(fills["instrument"].unique())
        ['bybit:Perp:BTCUSDT']
        >>> day = result.events.query("'2024-06-02' < timestamp <= '2024-06-03' and kind == 'funding'")
        >>> sorted(day["effective_at"].dt.hour.unique().tolist())
        [0, 8, 16]
        """
        return self.table("events").to_pandas(index=False)

    def to_polars(self, name: str) -> "pl.DataFrame":
        """A table as a polars frame."""
        return self.table(name).to_polars()

    # --- returns ---------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _row_returns(self) -> Any:
        return measures.row_returns(*self._growth)

    @property
    def _growth(self) -> tuple[Any, Any, float]:
        """Equity and flow of each row and the equity before the first, without the other tables."""
        table = self.table("equity")
        start = self.summary["initial_equity"] if self._recording is None else self._rows.started_from
        return table["equity"], table["net_flow"], start

    def returns(self, freq: "str | None" = None) -> "pd.Series":
        """Time-weighted returns, fractions.

        Parameters
        ----------
        freq : str, optional
            None: one per row. Else a pandas frequency: a number of bars (``4h``, ``1D``, ``7D``) or of the calendar
            (``W``, ``ME``, ``QE``). The rows in (start, end] of a period compound, where a day ends at 00:00 UTC; row 0
            belongs to the period that follows it. Periods of bars are counted from 00:00 UTC of the first day and stand
            at their end, those of the calendar at the date that pandas gives them.

        Returns
        -------
        pandas.Series
            Whatever the periods, 1 plus each multiplies up to 1 plus the return of the run. ``1D`` gives the days on
            which `stats` is measured.

        Raises
        ------
        InputError
            For what is no frequency, or no multiple of the bar.

        Examples
        --------
        >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
        >>> len(result.returns()), len(result.returns("1D")), len(result.returns("W"))
        (697, 29, 5)
        >>> bool(abs((1 + result.returns("8h")).prod() - 1 - result.stats()["total_return"]) < 1e-12)
        True
        """
        from basis.results.periods import compounded

        stamps, values = self.table("equity")["timestamp"], self._row_returns
        return compounded(stamps, values, freq, self.config.bar_interval)

    @functools.cached_property
    def drawdown(self) -> "pd.Series":
        """Growth of capital against its highest so far, fraction <= 0."""
        import pandas as pd

        index = pd.DatetimeIndex(self.table("equity")["timestamp"], tz="UTC", name="timestamp")
        series = pd.Series(measures.drawdown(self._row_returns), index, name="drawdown")
        series.attrs["unit"] = "fraction"
        return series

    def explain(self, timestamp: Any) -> "Explanation":
        """One row of the run as a short story that is audited.

        What the market did, what was settled and flowed, the risk, what was decided and filled, the exposure, and the
        P&L by column with the numbers that make it: computed again from positions, prices and events, beside what was
        booked. The last line says whether the columns sum to the change of equity.

        Parameters
        ----------
        timestamp : instant of the row, as text, datetime or pandas Timestamp; without a zone it is UTC

        Returns
        -------
        Explanation
            Reads as text or HTML; its tables are frames.

        Raises
        ------
        InputError
            Where the instant is no row of the run; the message names the nearest.

        Examples
        --------
        >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-08")
        >>> hour = result.explain("2024-06-02 08:00")
        >>> hour.settled[["instrument", "kind"]].head(1).to_dict("records")
        [{'instrument': 'binance:Perp:BTCUSDT', 'kind': 'funding'}]
        >>> bool(abs(hour.pnl["difference"]).max() < 1e-9 * 100_000), hour.check.closes
        (True, True)
        """
        from basis.results.explain import explain

        return explain(self, timestamp)

    # --- measures and figures --------------------------------------------------------------------------------------

    def stats(self, formatted: bool = False) -> "pd.Series":
        """Headline and risk metrics.

        Parameters
        ----------
        formatted : texts with units, for reading, instead of numbers

        Returns
        -------
        pandas.Series
            By name; NaN where a metric is not defined; units in ``.attrs['units']``.

        Notes
        -----
        Returns are time-weighted: of a row (E_t − flow_t) / E_{t−1} − 1, of a day those of its rows compounded; days
        end at 00:00 UTC (`basis.results.measures`). A year has 365 days, the riskless rate is 0. Beside each, how
        `empyrical` (empyrical-reloaded, ``annualization=365``) and `quantstats` (``periods=365``) have it on the same
        daily returns ``result.returns("1D")``: *same* is to 1e-12, and a test holds it to that.

        initial_equity, final_equity, net_flows, pnl
            Share class; P&L = equity at end − equity at start − net flows.
        total_return
            Of the whole run. Same in both.
        cagr_365
            (1 + total)^(365 days / duration) − 1, over the time from first to last row. Same in both where the days
            are whole; they count days, so that the part of one is a whole one.
        volatility_365
            Sample deviation (ddof 1) of the days · √365. Same in both.
        sharpe_365
            Mean of the days · 365 / volatility. Same in both; where all days are equal it is NaN here.
        sortino_365
            Mean of the days · 365 / (√(mean of min(r, 0)² over all days) · √365). Same in both; without a losing day it
            is NaN here and infinite there.
        max_drawdown
            Deepest fall of the wealth from its highest so far, over rows. Both have it over days only, which hides
            what happens between two midnights; on days it is the same in both.
        calmar
            CAGR / |max drawdown|, so it differs from both as that does.
        best_day, worst_day, positive_days
            Of the days; the last is the share of days with a gain, where `quantstats.win_rate` leaves out the days
            without any return.
        skew, kurtosis
            Adjusted Fisher-Pearson coefficients; the second is the excess over the normal distribution. Same in
            `quantstats`; `empyrical` has none.
        var_95
            5 % quantile of the days, as a return. Same in `empyrical`; `quantstats` takes the quantile of a normal
            distribution.
        expected_shortfall_95
            Mean of the days at or below that quantile. Same in `quantstats` with ``method="historical"``; by default it
            has that of a normal distribution. `empyrical` takes the lowest 1 + ⌊(days − 1)·5 %⌋ days: the same unless
            others tie with the last of them.
        time_under_water, longest_under_water
            Share of the days that end below the highest end so far, and the longest stretch of them in days. A
            stretch of `quantstats.drawdown_details` is the same, counted from date to date.
        turnover
            Notional of all fills over the mean equity.
        fills, liquidations, critical_alerts
            Counts; of liquidations, venues and rows in which one was liquidated.
        costs
            Fees, slippage, gas, transfer and flash fees over the equity at the start.
        funding_share
            Funding over P&L; more than 1 where funding pays for the costs as well.
        """
        from basis.results import stats
        from basis.results.frame import Named

        if not isinstance(formatted, bool):
            raise InputError(f"formatted={formatted!r}: give True or False. One metric is stats()['sharpe_365'].")
        found, share_class = stats.make_stats(self), self.summary["share_class"]
        if formatted:
            texts = [stats.shown(name, value, share_class) for name, value in found.items()]
            return Named(texts, [stats.STATS[name].label for name in found], name=self.run_id)
        numbers = [float("nan") if value is None else float(value) for value in found.values()]
        series = Named(numbers, list(found), name=self.run_id)
        series.attrs["units"] = stats.units(share_class)
        return series

    @functools.cached_property
    def plot(self) -> "Plots":
        from basis.plots.accessor import Plots
        from basis.results.numbers import run_numbers

        return Plots(run_numbers(self))

    def report(self, path: "str | Path | None" = None, pdf: bool = False) -> Path:
        """Write the report of the run: one HTML file that needs no network; replaces the file if it is there.

        Parameters
        ----------
        path : file to write, default ``report.html`` (``report.pdf``) in the run's folder; folders above it are made
        pdf : print it, A4, with a headless Chromium or Chrome instead

        Raises
        ------
        InputError
            Where it cannot be written, what is there is no page, the result is in memory only and no path is given, or
            there is no browser to print with.
        """
        from basis.results.report import write_report

        return write_report(self, path, pdf)

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

    def save(self, path: str | Path, force: bool = False, *, report: bool = True) -> Path:
        """Write the run folder `path`; it appears whole or not at all.

        Parameters
        ----------
        force : replace the folder where it is a run's
        report : whether `report.html` is among its files (some 5 MB, of which most is the plotting library)

        Raises
        ------
        InputError
            Where the folder exists and `force` is not set, or it cannot be written.
        """
        write = self._write if self._folder is None else self._copy

        def fill(target: Path) -> None:
            write(target)
            if report:
                self._add_report(target)

        return write_whole(path, fill, force)

    def _add_report(self, target: Path) -> None:
        """The report of a folder is kept as it is; where there is none yet it is made."""
        from basis.results.report import make_report

        kept = None if self._folder is None else self._folder / REPORT
        if kept is not None and kept.is_file():
            shutil.copy2(kept, target / REPORT)
        else:
            (target / REPORT).write_text(make_report(self, read_json(target / MANIFEST)), encoding="utf-8")

    def _copy(self, target: Path) -> None:
        for name in (*(f"{table}.parquet" for table in TABLES), SUMMARY, MANIFEST, CONFIG):
            shutil.copy2(self.folder / name, target / name)
        if self.manifest["resumed"]:
            name = self.manifest["resumed"]["file"]
            shutil.copy2(self.folder / name, target / name)

    def _write(self, target: Path) -> None:
        from basis.results.manifest import CHECKPOINT_FILE, sha256_of_file, write_checkpoint

        for name in TABLES:
            self.table(name).write(target / f"{name}.parquet")
        (target / CONFIG).write_text(self.config.to_yaml(), encoding="utf-8")
        write_json(target / SUMMARY, self.summary)
        if self._resumed is not None:
            write_checkpoint(target / CHECKPOINT_FILE, self._resumed)
        hashes = {f"{name}.parquet": sha256_of_file(target / f"{name}.parquet") for name in TABLES}
        write_json(target / MANIFEST, {**self.manifest, "tables": hashes})

    # --- display ---------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        # from the equity alone: a debugger or an event loop asks for this of results that nobody reads
        from basis.results.stats import percent

        deepest = float(measures.drawdown(self._row_returns).min(initial=0.0))
        return (
            f"<Result {self.run_id} {self.status}, {len(self._row_returns):,} rows: "
            f"return {percent(measures.total_return(*self._growth))}, max drawdown {percent(deepest)}>"
        )

    def _repr_html_(self) -> str:
        from basis.results.card import make_card

        return make_card(self)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}."


def open_run(path: str | Path, **misspelt: Never) -> Result:
    """The result in a run folder.

    Raises
    ------
    InputError
        Where the folder is no run folder; the message names what is missing.

    Examples
    --------
    >>> result = basis.backtest("pure_lending", start="2024-06-01", end="2024-06-08", out="runs/week")
    >>> again = basis.open_run("runs/week")
    >>> again.equity.equals(result.equity)
    True
    """
    refuse_arguments(open_run, misspelt)
    folder = Path(path)
    needed = [MANIFEST, SUMMARY, CONFIG, *(f"{name}.parquet" for name in TABLES)]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        what = "it does not exist" if not folder.exists() else f"it has no {', '.join(missing)}"
        from basis.config.fields import nearest

        near = nearest(folder.name, (held.parent.name for held in folder.parent.glob(f"*/{MANIFEST}")))
        hint = f" Did you mean {folder.parent / near}?" if near and not folder.exists() else ""
        raise InputError(f"{path} is no run folder: {what}.{hint}")
    return Result(None, folder.absolute())
