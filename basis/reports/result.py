"""The result of a run as users hold it: pandas frames, metrics, figures, report and explanation.

pandas and plotly are imported on use.
"""

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from basis.config.fields import nearest
from basis.errors import InputError, checked_call
from basis.results import measures
from basis.results.folder import MANIFEST, REPORT, TABLES, write_whole
from basis.results.run import Run
from basis.results.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import polars as pl

    from basis.plots.accessor import Plots
    from basis.reports.explain import Explanation
    from basis.reports.explained_period import PeriodExplanation


#: What a result inherits that serves the package.
_MACHINERY = (
    "changes", "check_target", "data_notes", "files", "from_folder", "from_recording", "reasons", "run_warnings",
    "write_files",
)  # fmt: skip


class Result(Run):
    """The result of a run: made by `backtest`, or opened from a folder with `open_run`.

    Tables are pandas frames with one row for each row of the run, on a UTC index named ``timestamp``. The unit of each
    column is in ``.attrs['units']``. `to_polars` gives the tables as polars frames. The parts of a column name are
    separated by bars: ``value|binance:BaseToken:BTC``. The error for a misspelt column names the nearest one. A result
    can be pickled and sent to another process, where it has no `checkpoint`.

    Attributes
    ----------
    run_id, status, cause : str, str, str | None
        Deterministic id; ``complete`` or ``stopped``; and why the run stopped.
    config : Config
        Complete configuration.
    summary : dict
        Headline numbers, as in `summary.json`.
    manifest : dict
        Inputs and versions of the run, as in `manifest.json`; in memory without the hashes of the table files.
    warnings : list[str]
        What a reader should know before relying on the numbers, one sentence each.
    doubts : list[str]
        The three things that most deserve doubt, by how much of what was earned rests on them: stand-ins, costs that
        are marked as assumptions, size against volume and pools. The card and the terminal show them.
    equity : pandas.DataFrame
        ``equity``, ``net_flow``, ``withdrawal_pending``, cumulative P&L both ways (``pnl_balance``, ``pnl_attributed``)
        and their ``residual``, share class; ``share_class_usd``, USD per unit of it.
    attribution : pandas.DataFrame
        P&L of each row by column, share class. The columns sum to the change of equity less flows.
    attribution_by_venue : pandas.DataFrame
        The same P&L broken down: ``funding_pnl|<venue>``, whose sum over the venues is ``funding_pnl``.
    positions : pandas.DataFrame
        Stored quantity by instrument after the row's fills (scaled for Aave); ``<key>|in_transit``, quantity in
        transit; ``<key>|cost``, cost of a perp position in quote currency.
    exposure : pandas.DataFrame
        ``value|<key>`` and ``gross``, share class; ``net_delta|<asset>``, units, and ``net_delta_ratio|<asset>``,
        fraction of the equity.
    risk : pandas.DataFrame
        ``ltv``, ``health_factor`` and ``margin_ratio|<venue>`` after fills, ``…|before`` decisions, and ``…|worst`` of
        the bar that ended; ``alert|<measure>`` is 0, 1 (warning) or 2 (critical); distance to liquidation.
    panel : pandas.DataFrame
        The market data that the run saw.
    events : pandas.DataFrame
        One event per row in the order of ``seq``, with instants as columns.
    drawdown : pandas.Series
        Fall of the time-weighted growth from its highest value so far, fraction <= 0.
    plot : Plots
        Figures: ``plot.overview()``, ``.equity()``, ``.attribution(kind)``, ``.risk()``, …; ``help(result.plot)``.

    Examples
    --------
    >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
    >>> result.equity.shape, result.equity.attrs["units"]["equity"]
    ((697, 7), 'USDT')
    >>> bool(abs(result.attribution.sum().sum() - result.equity["pnl_balance"].iloc[-1]) < 1e-6)
    True
    >>> result.stats(formatted=True)["max drawdown"].endswith("%")
    True
    """

    def __getattr__(self, name: str) -> Any:
        """Raise the error for a missing attribute, which names the nearest one."""
        if name.startswith("_") or hasattr(type(self), name):
            # a property that failed raises its own error
            return object.__getattribute__(self, name)
        near = nearest(name, (attribute for attribute in dir(type(self)) if not attribute.startswith("_")))
        hint = f" Did you mean {near}?" if near else f" Its tables are {', '.join(TABLES)}."
        raise AttributeError(f"A result has no {name!r}.{hint}")

    def __dir__(self) -> list[str]:
        """What users ask for: how a result is made and written is left out of what Tab shows."""
        return sorted(set(super().__dir__()) - set(_MACHINERY))

    # --- tables ------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def equity(self) -> "pd.DataFrame":
        return self.table("equity").to_pandas()

    @functools.cached_property
    def attribution(self) -> "pd.DataFrame":
        frame = self._attribution_columns(lambda name: "|" not in name)
        frame.attrs["elsewhere"] = "result.attribution_by_venue"
        return frame

    @functools.cached_property
    def attribution_by_venue(self) -> "pd.DataFrame":
        return self._attribution_columns(lambda name: "|" in name)

    def _attribution_columns(self, is_asked: "Callable[[str], bool]") -> "pd.DataFrame":
        table = self.table("attribution")
        columns = {name: table.columns[name] for name in table.columns if name == "timestamp" or is_asked(name)}
        return Table(table.name, columns, table.units).to_pandas()

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
        """Events of the run, one per row, in the order of ``seq``.

        ``timestamp`` is the row in which an event was booked, ``effective_at`` is when it happened. Both are UTC, as is
        text in a query. ``kind`` is decision, order, fill, reject, transfer, arrival, funding, reward, liquidation,
        alert, flow, data or error. Units of all columns are in ``.attrs['units']``.

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

    @checked_call
    def to_polars(self, name: str) -> "pl.DataFrame":
        """A table as a polars frame."""
        return self.table(name).to_polars()

    # --- returns and metrics -----------------------------------------------------------------------------------------

    @checked_call
    def returns(self, freq: "str | None" = None) -> "pd.Series":
        """Time-weighted returns, fractions.

        Parameters
        ----------
        freq : str, optional
            By default one return per row. Otherwise a pandas frequency: a number of bars (``4h``, ``1D``, ``7D``) or a
            calendar period (``W``, ``ME``, ``QE``). The rows in (start, end] of a period are compounded; a day ends at
            00:00 UTC, and row 0 belongs to the period that follows it. Periods of bars are counted from 00:00 UTC of
            the first day and carry the timestamp of their end; calendar periods carry the date that pandas gives them.

        Returns
        -------
        pandas.Series
            For any frequency, the product of 1 plus each return is 1 plus the return of the run, so that the first and
            the last period may be covered in part. `stats` is measured on the whole days of ``1D``.

        Raises
        ------
        InputError
            If `freq` is not a frequency, or not a multiple of the bar.

        Examples
        --------
        >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
        >>> len(result.returns()), len(result.returns("1D")), len(result.returns("W"))
        (697, 29, 5)
        >>> bool(abs((1 + result.returns("8h")).prod() - 1 - result.stats()["total_return"]) < 1e-12)
        True
        """
        from basis.results.periods import returns_by_period

        return returns_by_period(self.table("equity")["timestamp"], self.row_returns, freq, self.config.bar_interval)

    @functools.cached_property
    def drawdown(self) -> "pd.Series":
        """Fall of the time-weighted growth from its highest value so far, fraction <= 0."""
        import pandas as pd

        index = pd.DatetimeIndex(self.table("equity")["timestamp"], tz="UTC", name="timestamp")
        series = pd.Series(measures.drawdown(self.row_returns), index, name="drawdown")
        series.attrs["unit"] = "fraction"
        return series

    @checked_call
    def stats(self, formatted: bool = False) -> "pd.Series":
        """Headline and risk metrics.

        Parameters
        ----------
        formatted : bool
            Texts with units, for reading, instead of numbers.

        Returns
        -------
        pandas.Series
            By name; NaN if a metric is not defined, and why in ``.attrs['undefined']``; units in ``.attrs['units']``.

        Notes
        -----
        Returns are time-weighted: of a row (E_t − flow_t) / E_{t−1} − 1, of a day the compounded returns of its rows.
        Days end at 00:00 UTC (`basis.results.measures`), and only whole ones count: the first and the last day are left
        out where the run covers them in part. A year has 365 days, the risk-free rate is 0. Each entry says how the
        metric compares with `empyrical` (empyrical-reloaded, ``annualization=365``) and `quantstats`
        (``periods=365``) on the same daily returns ``result.returns("1D")``. *Same* means equal to 1e-12, which a test
        checks.

        initial_equity, final_equity, net_flows, pnl
            Share class; P&L = equity at end − equity at start − net flows.
        total_return
            Of the whole run. Same in both.
        cagr_365
            (1 + total)^(365 days / duration) − 1, over the time from first to last row. Same in both for whole days;
            they count an incomplete day as a whole one.
        volatility_365
            Sample deviation (ddof 1) of daily returns · √365. Same in both.
        sharpe_365
            Mean of daily returns · 365 / volatility. Same in both; NaN here if all days are equal up to rounding.
        sortino_365
            Mean of daily returns · 365 / (√(mean of min(r, 0)² over all days) · √365). Same in both; without a losing
            day it is NaN here and infinite there.
        max_drawdown
            Deepest fall of the growth from its highest value so far, over rows. Both libraries measure it over days
            only, which hides what happens within a day; on daily returns it is the same in both.
        calmar
            CAGR / |max drawdown|; it differs from both as the drawdown does. NaN without a drawdown.
        best_day, worst_day, positive_days
            Of daily returns; the last is the share of days with a gain. `quantstats.win_rate` leaves out the days
            without any return.
        skew, kurtosis
            Adjusted Fisher-Pearson coefficients; kurtosis in excess of the normal distribution. Same in `quantstats`;
            `empyrical` has none.
        var_95
            5 % quantile of daily returns, as a return. Same in `empyrical`; `quantstats` takes the quantile of a normal
            distribution.
        expected_shortfall_95
            Mean of the days at or below that quantile. Same in `quantstats` with ``method="historical"``; its default
            is that of a normal distribution. `empyrical` takes the lowest 1 + ⌊(days − 1)·5 %⌋ days: the same unless
            other days tie with the last of them.
        time_under_water, longest_under_water
            Share of the days that end below the highest end of a day so far, and the longest run of such days. The
            periods of `quantstats.drawdown_details` are the same, counted from date to date.
        turnover
            Notional of all fills divided by the mean equity.
        fills, liquidations, critical_alerts
            Counts. A venue that is liquidated in a row counts as one liquidation.
        costs
            Fees, slippage, gas, transfer and flash fees, divided by the equity at the start.
        funding_share
            Funding divided by P&L; more than 1 if funding also pays for the costs.
        """
        from basis.results import stats

        if not isinstance(formatted, bool):
            raise InputError(
                f"formatted={formatted!r}: give True or False. For one metric write stats()['sharpe_365']."
            )
        if formatted:
            from basis.reports.formatting import stat_texts
            from basis.results.frame import NamedSeries

            return NamedSeries(stat_texts(self), [stat.label for stat in stats.STATS.values()], name=self.run_id)
        equity, share_class = self.table("equity"), self.summary["share_class"]
        found = stats.make_stats(self.summary, equity)
        return stats.stats_series(found, share_class, self.run_id, stats.why_undefined(found, equity))

    # --- explanation, figures and report -----------------------------------------------------------------------------

    @overload
    def explain(self, timestamp: Any) -> "Explanation": ...
    @overload
    def explain(self, timestamp: Any, until: Any) -> "PeriodExplanation": ...
    @checked_call
    def explain(self, timestamp: Any, until: Any = None) -> "Explanation | PeriodExplanation":
        """One row of the run in words and numbers, with its P&L recomputed; with a second instant, a period.

        A row shows the market, settlements and flows, risk, why the strategy was asked, its bands, what it aimed at,
        what each order did and what stayed undone, exposure, and the P&L by column. Each column is recomputed from
        positions, prices and events, beside the booked amount. The last line says whether the columns sum to the change
        of equity.

        A period shows its P&L by cause, its worst row, the lowest risk measures, the dearest decisions and the events.

        Parameters
        ----------
        timestamp : str, datetime or pandas.Timestamp
            Instant of the row, or of the first row of a period; without a time zone it is UTC.
        until : str, datetime or pandas.Timestamp, optional
            Last instant of a period.

        Returns
        -------
        Explanation or PeriodExplanation
            Displays as text or HTML; its tables are pandas frames.

        Raises
        ------
        InputError
            If the run has no row at the instant; the message names the nearest row.

        Examples
        --------
        >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-08")
        >>> hour = result.explain("2024-06-02 08:00")
        >>> hour.settled[["instrument", "kind"]].head(1).to_dict("records")
        [{'instrument': 'binance:Perp:BTCUSDT', 'kind': 'funding'}]
        >>> bool(abs(hour.pnl["difference"]).max() < 1e-9 * 100_000), hour.check.closes
        (True, True)
        >>> result.explain("2024-06-02", "2024-06-04").pnl.index[0]
        'funding_pnl'
        """
        from basis.reports.explain import explain

        return explain(self, timestamp, until)

    @functools.cached_property
    def plot(self) -> "Plots":
        from basis.plots.accessor import Plots
        from basis.reports.plot_data import run_data

        return Plots(run_data(self))

    @checked_call
    def report(self, path: "str | Path | None" = None, pdf: bool = False) -> Path:
        """Write the report of the run: one HTML file that needs no network. An existing file is replaced.

        Parameters
        ----------
        path : str or Path, optional
            File to write; by default ``report.html`` (``report.pdf``) in the run's folder. Missing folders above it are
            made.
        pdf : bool
            Print the report to an A4 PDF with a headless Chromium or Chrome.

        Raises
        ------
        InputError
            If the file cannot be written or is not a report, if no path is given for a result in memory, or if there is
            no browser to print with.
        """
        from basis.reports.run_report import write_report

        return write_report(self, path, pdf)

    @checked_call
    def save(self, path: str | Path, force: bool = False, *, report: bool = True) -> Path:
        """Write the run folder `path`. The folder appears complete or not at all.

        Parameters
        ----------
        force : bool
            Replace the folder if it exists and is a run folder.
        report : bool
            Write `report.html` as well (some 5 MB, most of it the plotting library).

        Raises
        ------
        InputError
            If the folder exists and `force` is not set, or if it cannot be written.
        """
        if not report:
            return super().save(path, force)

        def fill(target: Path) -> None:
            self.write_files(target)
            self._add_report(target)

        return write_whole(path, fill, force)

    def _add_report(self, target: Path) -> None:
        """Copy the report of the folder that the run was opened from, or make one."""
        from basis.reports.run_report import make_report

        if self._folder is not None and (self._folder / REPORT).is_file():
            (target / REPORT).write_bytes(self.files.read(REPORT))
        else:
            manifest = json.loads((target / MANIFEST).read_bytes())
            (target / REPORT).write_bytes(make_report(self, manifest).encode())

    # --- display -----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        # this needs only the equity table: debuggers and event loops ask for it even if it is never read
        from basis.reports.formatting import percent

        deepest = float(measures.drawdown(self.row_returns).min(initial=0.0))
        return (
            f"<Result {self.run_id} {self.status}, {len(self.row_returns):,} rows: "
            f"return {percent(self.total_return)}, max drawdown {percent(deepest)}>"
        )

    def _repr_html_(self) -> str:
        from basis.reports.notebook_html import result_html

        return result_html(self)


@checked_call
def open_run(path: str | Path) -> Result:
    """The result in a run folder.

    Raises
    ------
    InputError
        If the folder is not a run folder, or a file of it is damaged; the message names it. A file that was changed
        after the run is a warning of the result.

    Examples
    --------
    >>> result = basis.backtest("pure_lending", start="2024-06-01", end="2024-06-08", out="runs/week")
    >>> again = basis.open_run("runs/week")
    >>> again.equity.equals(result.equity)
    True
    """
    return Result.from_folder(path)
