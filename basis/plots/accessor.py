"""The figures of `result.plot` and `comparison.plot`. plotly and matplotlib are imported when a figure is drawn."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from basis.errors import InputError
from basis.plots.data import EVENT_KINDS, RunData
from basis.plots.figure_methods import FigureMethods, suggestion
from basis.plots.figures import (
    annotations,
    comparison,
    equity,
    funding,
    liquidation,
    overview,
    pnl,
    positions,
    returns,
    risk,
)
from basis.plots.picture import Picture
from basis.plots.thinning import ROWS, thin

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

Backend = Literal["plotly", "matplotlib"]
Kind = Literal["area", "waterfall", "monthly", "share"]
#: Figures of `attribution` by kind.
_ATTRIBUTION_KINDS = {
    "area": pnl.attribution_area,
    "waterfall": pnl.waterfall,
    "monthly": pnl.monthly,
    "share": pnl.share,
}


class Plots(FigureMethods):
    """Figures of a run.

    Every method takes ``backend``. ``plotly`` gives a plain `plotly.graph_objects.Figure` for the screen,
    ``matplotlib`` a `matplotlib.figure.Figure` for print (``.savefig("equity.pdf")``). Both show the numbers of the
    run's tables. Money is in share class, ratios are fractions that the axes show in percent, and times are UTC.

    Every figure over time takes ``rows``: about how many rows are drawn. A run with fewer rows is drawn whole. In a
    longer one the rows are divided into equal stretches; the lowest and the highest row of every line in each stretch
    are kept, so that no extreme is missing. The first and the last row, rows beside a gap and marked rows are kept as
    well. Values are never averaged, and the axis says how many rows are drawn. ``rows=None`` draws all of them, for a
    close look at single hours: ``result.plot.risk(rows=None)``.

    Every figure over time takes ``events``: kinds of the event table that are marked on its top panel, with a hover
    text each: ``result.plot.equity(events=("fill", "transfer"))``. The kinds are decision, order, fill, reject,
    transfer, arrival, funding, reward, liquidation, alert, flow, data and error.

    Raises
    ------
    InputError
        If a backend, kind or event is unknown (the message names the nearest one), or if rows is below 2.

    Examples
    --------
    >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
    >>> figure = result.plot.equity(events=("fill", "transfer"))
    >>> figure.layout.title.text, bool((figure.data[0].y == result.equity["equity"]).all())
    ('Equity', True)
    >>> figure.update_layout(height=400).write_html("equity.html")
    >>> result.plot.overview(backend="matplotlib").savefig("overview.pdf")
    """

    def __init__(self, run: RunData) -> None:
        self._run = run

    @overload
    def overview(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def overview(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def overview(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Equity, drawdown, P&L by column and the risk measure nearest to its limit, on one time axis.

        The risk measure is the health factor if the run has debt, else the lowest margin ratio of all venues, else the
        gross exposure.
        """
        return self._draw_over_time(overview.overview(self._run), events, backend, rows)

    @overload
    def equity(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def equity(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def equity(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Equity in share class, with flows, liquidations and a stop marked and critical alerts shaded."""
        return self._draw_over_time(equity.equity(self._run), events, backend, rows)

    @overload
    def drawdown(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def drawdown(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def drawdown(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Fall of the time-weighted growth from its highest value so far, fraction <= 0; flows do not count."""
        return self._draw_over_time(equity.drawdown(self._run), events, backend, rows)

    @overload
    def attribution(
        self,
        kind: Kind = "area",
        backend: Literal["plotly"] = "plotly",
        *,
        events: Sequence[str] = (),
        rows: int | None = ROWS,
    ) -> "go.Figure": ...
    @overload
    def attribution(
        self,
        kind: Kind = "area",
        *,
        backend: Literal["matplotlib"],
        events: Sequence[str] = (),
        rows: int | None = ROWS,
    ) -> "Figure": ...
    def attribution(
        self, kind: Kind = "area", backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> Any:
        """P&L by attribution column, share class. Columns below 1e-9 of the capital are rounding and not drawn.

        Parameters
        ----------
        kind : {"area", "waterfall", "monthly", "share"}
            ``area``: cumulative P&L by column over time, gains stacked above zero and losses below, with the
            balance-based P&L as a line. ``waterfall``: equity at the start, the total of each column, net flows, and
            equity at the end. ``monthly``: P&L of each month stacked by column, with the balance-based P&L as a mark;
            a month ends at 00:00 UTC of the first day of the next one. ``share``: the total of each column and its
            share of the P&L.
        events : sequence of str
            Kinds of events to mark on ``area``; the other kinds of figure have no time axis and ignore it.

        Raises
        ------
        InputError
            If the kind is unknown.
        """
        _refuse_backend("attribution", "kind", kind)
        if not isinstance(kind, str) or kind not in _ATTRIBUTION_KINDS:
            near = suggestion(kind, _ATTRIBUTION_KINDS)
            raise InputError(f"Unknown kind {kind!r}. Use 'area', 'waterfall', 'monthly' or 'share'.{near}")
        return self._draw_over_time(_ATTRIBUTION_KINDS[kind](self._run), events, backend, rows)

    @overload
    def monthly_returns(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def monthly_returns(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def monthly_returns(self, backend: Backend = "plotly") -> Any:
        """Coloured table of the time-weighted returns by month and year: gains blue, losses red.

        A month that the run covers in part has the return of that part.
        """
        return draw(returns.monthly_returns(self._run), backend)

    @overload
    def funding(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def funding(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def funding(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Cumulative funding by venue, share class.

        Below it are the rate that each venue settled last, fraction of notional, and the mean rate of the last seven
        days, per year.
        """
        return self._draw_over_time(funding.funding(self._run), events, backend, rows)

    @overload
    def exposure(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def exposure(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def exposure(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Value of every instrument, share class, stacked so that all sum to the equity; debts are below zero.

        Below it are the gross exposure, and the net delta of the assets that the run watches.
        """
        return self._draw_over_time(positions.exposure(self._run), events, backend, rows)

    @overload
    def positions(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def positions(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def positions(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Quantities in units of the asset, with a panel for each asset. Shorts and debts are below zero.

        Supplied and borrowed tokens include their interest: the stored quantity times its index.
        """
        return self._draw_over_time(positions.positions(self._run), events, backend, rows)

    @overload
    def risk(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def risk(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def risk(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Risk measures against their limits.

        Margin ratio by venue (worst of the bar, and after fills), health factor and LTV if there is debt, and net delta
        if there are perps. Limits are lines, alerts are shaded, liquidations are marked. A row without a position has
        no ratio and leaves a gap. The worst value is that of the whole bar, while alerts compare the values before
        decisions and after fills: a line may cross a limit between two rows without a shade.
        """
        return self._draw_over_time(risk.risk(self._run), events, backend, rows)

    @overload
    def liquidation_distance(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def liquidation_distance(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def liquidation_distance(
        self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> Any:
        """Distance to liquidation after the fills of each row.

        For perps, it is the move of a venue's mark prices, as a fraction, that takes the margin ratio to the row's
        maintenance ratio. For a loan, it is the fall of the collateral against the debt that takes the health factor
        to 1; and, if that is less than ten years away, the days until then at the rates known in the row
        (`liquidation_distance` and `days_to_liquidation` of the risk table). The formulas are in
        `basis.plots.figures.liquidation`.
        """
        return self._draw_over_time(liquidation.liquidation_distance(self._run), events, backend, rows)

    @overload
    def liquidation_map(
        self, timestamp: Any = None, venue: str | None = None, days: float = 30.0, backend: Literal["plotly"] = "plotly"
    ) -> "go.Figure": ...
    @overload
    def liquidation_map(
        self, timestamp: Any = None, venue: str | None = None, days: float = 30.0, *, backend: Literal["matplotlib"]
    ) -> "Figure": ...
    def liquidation_map(
        self, timestamp: Any = None, venue: str | None = None, days: float = 30.0, backend: Backend = "plotly"
    ) -> Any:
        """Margin ratio or health factor after moves of the price, from the positions after the fills of one row.

        For the perps of a venue it shows the margin ratio after a move of the mark prices, by the margin ratio before
        it. For a loan it shows the health factor after a move of the collateral's oracle price against the debt (a
        depeg, a fall of the price), followed by some days at a borrow rate. The line is the boundary of liquidation,
        the dot is the row. The formulas are in `basis.plots.figures.liquidation`.

        Parameters
        ----------
        timestamp : str, datetime or pandas.Timestamp, optional
            Instant, UTC. The last row at or before it is shown; by default the last row with something to liquidate.
        venue : str, optional
            An exchange, or ``aave_v3`` for the loan; by default the one nearest to liquidation in that row.
        days : float
            Days at the borrow rate.

        Raises
        ------
        InputError
            If the instant is outside the run, the venue has nothing to liquidate, or `days` is not above 0.
        """
        _refuse_backend("liquidation_map", "timestamp", timestamp)
        picture = liquidation.liquidation_map(self._run, _to_instant(timestamp), venue, days)
        return draw(picture, backend)

    def _draw_over_time(self, picture: Picture, events: Sequence[str], backend: str, rows: int | None) -> Any:
        """Draw a picture and mark events on it."""
        events = tuple(events) if isinstance(events, Iterable) and not isinstance(events, str) else (events,)
        for kind in events:
            if kind not in EVENT_KINDS:
                allowed = ", ".join(EVENT_KINDS)
                raise InputError(
                    f"Unknown kind of event {kind!r}. The kinds are {allowed}.{suggestion(kind, EVENT_KINDS)}"
                )
        return draw(annotations.with_event_marks(self._run, picture, events) if events else picture, backend, rows)


class ComparisonPlots(FigureMethods):
    """Figures of several runs side by side; ``backend`` and ``rows`` are those of `Plots`.

    Attributes
    ----------
    runs : Mapping[str, RunData]
        Name to the numbers of the run.
    config_rows : Sequence[tuple[str, ...]]
        Configuration keys that differ, each with its value in every run.
    """

    def __init__(self, runs: Mapping[str, RunData], config_rows: Sequence[tuple[str, ...]]) -> None:
        self.runs, self.config_rows = runs, config_rows

    @overload
    def overview(self, backend: Literal["plotly"] = "plotly", *, rows: int | None = ROWS) -> "go.Figure": ...
    @overload
    def overview(self, backend: Literal["matplotlib"], *, rows: int | None = ROWS) -> "Figure": ...
    def overview(self, backend: Backend = "plotly", *, rows: int | None = ROWS) -> Any:
        """Growth of 1 and drawdowns, on one time axis."""
        return draw(comparison.overview(self.runs), backend, rows)

    @overload
    def growth(self, backend: Literal["plotly"] = "plotly", *, rows: int | None = ROWS) -> "go.Figure": ...
    @overload
    def growth(self, backend: Literal["matplotlib"], *, rows: int | None = ROWS) -> "Figure": ...
    def growth(self, backend: Backend = "plotly", *, rows: int | None = ROWS) -> Any:
        """Time-weighted growth of 1 in each run; flows do not count."""
        return draw(comparison.growth(self.runs), backend, rows)

    @overload
    def drawdown(self, backend: Literal["plotly"] = "plotly", *, rows: int | None = ROWS) -> "go.Figure": ...
    @overload
    def drawdown(self, backend: Literal["matplotlib"], *, rows: int | None = ROWS) -> "Figure": ...
    def drawdown(self, backend: Backend = "plotly", *, rows: int | None = ROWS) -> Any:
        """Fall of each run's growth from its highest value so far, fraction <= 0."""
        return draw(comparison.drawdown(self.runs), backend, rows)

    @overload
    def attribution(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def attribution(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def attribution(self, backend: Backend = "plotly") -> Any:
        """Total of each attribution column in each run, as a fraction of its equity at the start."""
        return draw(comparison.attribution(self.runs), backend)

    @overload
    def differences(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def differences(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def differences(self, backend: Backend = "plotly") -> Any:
        """Table of the configuration keys that differ."""
        return draw(comparison.differences(self.runs, self.config_rows), backend)


def draw(picture: Picture, backend: str, rows: int | None = ROWS) -> Any:
    """Draw a picture, with about `rows` of its rows; None draws them all.

    Raises
    ------
    InputError
        If the backend is unknown, or `rows` is not a number of rows.
    """
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 2):
        raise InputError(
            f"rows={rows!r} is not a number of rows. Give about how many rows to draw, 2 or more, or None for all."
        )
    if backend == "plotly":
        from basis.plots.backends import plotly_figure as module
    elif backend == "matplotlib":
        from basis.plots.backends import matplotlib_figure as module
    else:
        near = suggestion(backend, ("plotly", "matplotlib"))
        raise InputError(f"Unknown backend {backend!r}. Use 'plotly' or 'matplotlib'.{near}")
    return module.draw_figure(picture if rows is None else thin(picture, rows))


def _refuse_backend(figure: str, argument: str, given: object) -> None:
    """Explain to a caller who gave the backend first that these figures have another first argument."""
    if isinstance(given, str) and given in ("plotly", "matplotlib"):
        raise InputError(
            f"The first argument of {figure} is {argument}, not the backend. Write {figure}(backend={given!r})."
        )


def _to_instant(timestamp: Any) -> np.datetime64 | None:
    """An instant as UTC without a zone.

    Raises
    ------
    InputError
        If it cannot be read as an instant.
    """
    if timestamp is None or isinstance(timestamp, np.datetime64):
        return timestamp
    import datetime

    try:
        if isinstance(timestamp, str):
            timestamp = datetime.datetime.fromisoformat(timestamp)
        if not isinstance(timestamp, datetime.datetime):
            timestamp = datetime.datetime(timestamp.year, timestamp.month, timestamp.day)
        if timestamp.tzinfo is not None:
            timestamp = timestamp.astimezone(datetime.UTC).replace(tzinfo=None)
        return np.datetime64(timestamp, "us")
    except (ValueError, AttributeError):
        raise InputError(f"Cannot read {timestamp!r} as an instant. Write it as '2024-08-05T02:00'.") from None
