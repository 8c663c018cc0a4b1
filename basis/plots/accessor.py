"""`result.plot` and the figures of a comparison, by name. plotly and matplotlib are imported when a figure is drawn."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from basis.errors import InputError
from basis.plots import causes, comparison, distance, holdings, marks, prepare
from basis.plots.pictures import Picture
from basis.plots.run import EVENT_KINDS, RunNumbers
from basis.plots.thinning import ROWS, thin

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

Backend = Literal["plotly", "matplotlib"]
Kind = Literal["area", "waterfall", "monthly", "share"]
#: What `attribution` draws, by kind.
_KINDS = {
    "area": prepare.attribution_area,
    "waterfall": prepare.waterfall,
    "monthly": causes.monthly,
    "share": causes.share,
}


class _Figures:
    """Methods that are figures: one that is misspelt is told."""

    def __getattr__(self, name: str) -> Any:
        names = [figure for figure in vars(type(self)) if not figure.startswith("_")]
        if name.startswith("_"):
            raise AttributeError(name)
        hint = _near(name, names) or f" There are {', '.join(names)}."
        raise AttributeError(f"There is no figure {name!r}.{hint}")


class Plots(_Figures):
    """Figures of a run.

    Every method takes ``backend``: ``plotly`` gives a plain `plotly.graph_objects.Figure` for the screen,
    ``matplotlib`` a `matplotlib.figure.Figure` for print (``.savefig("equity.pdf")``). Both hold the run's own numbers;
    money is in share class, ratios are fractions that the axes show in percent, instants are UTC.

    Every figure over time takes ``rows``, about how many rows its lines go through; a run with fewer is drawn whole.
    The rows are cut into equal stretches, and in each the lowest and the highest row of every line stays, so that no
    extreme is missing; so do the first and the last row, those beside a gap, and those that are marked. What is drawn
    is what the table has at that instant, nothing is averaged, and the axis says how many rows there are. ``rows=None``
    draws them all, for a close look at single hours: ``result.plot.risk(rows=None)``.

    Every figure over time takes ``events``, kinds of the event table that are marked on its upper panel, with their
    words in the hover: ``result.plot.equity(events=("fill", "transfer"))``. The kinds are decision, order, fill,
    reject, transfer, arrival, funding, reward, liquidation, alert, flow, data and error.

    Raises
    ------
    InputError
        For a backend, kind or event that is not known, and the message names the nearest; for rows below 2.

    Examples
    --------
    >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
    >>> figure = result.plot.equity(events=("fill", "transfer"))
    >>> figure.layout.title.text, bool((figure.data[0].y == result.equity["equity"]).all())
    ('Equity', True)
    >>> figure.update_layout(height=400).write_html("equity.html")
    >>> result.plot.overview(backend="matplotlib").savefig("overview.pdf")
    """

    def __init__(self, run: RunNumbers) -> None:
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
        """What is asked first, on one axis of time.

        Equity, drawdown, P&L by cause, and below them the health factor where there is debt, else the lowest margin
        ratio of all venues, else the gross exposure.
        """
        return self._timed(prepare.overview(self._run), events, backend, rows)

    @overload
    def equity(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def equity(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def equity(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Worth of the book in share class, with flows, liquidations and a stop marked and critical alerts shaded."""
        return self._timed(prepare.equity(self._run), events, backend, rows)

    @overload
    def drawdown(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def drawdown(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def drawdown(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Growth of capital against its highest so far, fraction <= 0; flows do not count."""
        return self._timed(prepare.drawdown(self._run), events, backend, rows)

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
        """P&L by cause, share class; what is no more than rounding (1e-9 of the capital) is not drawn.

        Parameters
        ----------
        kind : ``area``, cumulative by column over time, gains stacked above zero and losses below, and the
            balance-based P&L as a line; ``waterfall``, from the equity at the start over the total of each column and
            the net flows to the equity at the end; ``monthly``, each month's P&L stacked by column (a month ends at
            00:00 UTC of the next one's first day), its balance-based P&L a mark; ``share``, the total of each column,
            with its share of the P&L beside it
        events : marked on the area, which alone is over time

        Raises
        ------
        InputError
            For another kind.
        """
        _not_a_backend("attribution", "kind", kind)
        if kind not in _KINDS:
            raise InputError(
                f"kind {kind!r} is not known; use 'area', 'waterfall', 'monthly' or 'share'.{_near(kind, _KINDS)}"
            )
        return self._timed(_KINDS[kind](self._run), events, backend, rows)

    @overload
    def monthly_returns(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def monthly_returns(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def monthly_returns(self, backend: Backend = "plotly") -> Any:
        """Time-weighted return of each month and year, a table in colours: blue gains, red losses.

        A month that the run holds a part of has that part's return.
        """
        return drawn(causes.monthly_returns(self._run), backend)

    @overload
    def funding(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def funding(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def funding(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Funding by venue since the start, share class.

        Below it the rate each venue settled last, fraction of the notional, and what those of seven days are a year.
        """
        return self._timed(causes.funding(self._run), events, backend, rows)

    @overload
    def exposure(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def exposure(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def exposure(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Worth of every instrument, share class, stacked: what is owed hangs below zero, and all sum to the equity.

        Below it the gross exposure, and the net delta by asset where the run watches it.
        """
        return self._timed(holdings.exposure(self._run), events, backend, rows)

    @overload
    def positions(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def positions(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def positions(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """Quantities held, in units of the asset, a panel for each asset; what is short or owed is below zero.

        Supplied and owed tokens are with their interest: the stored quantity times its index.
        """
        return self._timed(holdings.positions(self._run), events, backend, rows)

    @overload
    def risk(
        self, backend: Literal["plotly"] = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "go.Figure": ...
    @overload
    def risk(
        self, backend: Literal["matplotlib"], *, events: Sequence[str] = (), rows: int | None = ROWS
    ) -> "Figure": ...
    def risk(self, backend: Backend = "plotly", *, events: Sequence[str] = (), rows: int | None = ROWS) -> Any:
        """How near the book came to its limits.

        Margin ratio by venue (worst of the bar, and after fills), health factor and LTV where there is debt, net delta
        where there are perps; limits as lines, alerts shaded, liquidations marked. A row without a position has no
        ratio and leaves a gap. The worst is that of the whole bar; alerts go by the row before
        decisions and after fills, so that a line may cross a limit between two rows and nothing is shaded.
        """
        return self._timed(prepare.risk(self._run), events, backend, rows)

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
        """How far a liquidation was, after each row's fills.

        Of perps the move of a venue's marks, fraction of the price, at which its margin is that of maintenance, at the
        row's maintenance ratio; of a loan the fall of the collateral against what is owed at which its health factor
        is 1, and, where that is within ten years, the days until then at the rates known in the row
        (`liquidation_distance` and `days_to_liquidation` of the risk table). `basis.plots.distance` has the formulas.
        """
        return self._timed(distance.liquidation_distance(self._run), events, backend, rows)

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
        """Where the book is liquidated, from its state after the fills of one row.

        For perps of a venue the margin ratio after a move of its marks, by the margin ratio before it; for a loan the
        health factor after a move of the collateral's oracle price against the debt (a depeg, a fall of the price) and
        some days at a borrow rate. The line is where the book is liquidated, the dot is the row. `basis.plots.distance`
        has the formulas.

        Parameters
        ----------
        timestamp : instant, UTC; the last row at or before it. None: the last row that has something to liquidate
        venue : an exchange, or ``aave_v3`` for the loan. None: the one that is nearest to liquidation in that row
        days : at the borrow rate

        Raises
        ------
        InputError
            For an instant outside the run, a venue that has nothing to liquidate, or days that are not above 0.
        """
        _not_a_backend("liquidation_map", "timestamp", timestamp)
        picture = distance.liquidation_map(self._run, _instant(timestamp), venue, days)
        return drawn(picture, backend)

    def _timed(self, picture: Picture, events: Sequence[str], backend: str, rows: int | None) -> Any:
        """A picture over time drawn, with events marked."""
        events = (events,) if isinstance(events, str) else tuple(events)
        for kind in events:
            if kind not in EVENT_KINDS:
                allowed = ", ".join(EVENT_KINDS)
                raise InputError(
                    f"events: {kind!r} is no kind of event; there are {allowed}.{_near(kind, EVENT_KINDS)}"
                )
        return drawn(marks.with_events(self._run, picture, events) if events else picture, backend, rows)


class ComparisonPlots(_Figures):
    """Figures of several runs beside each other; ``backend`` and ``rows`` are those of `Plots`.

    Attributes
    ----------
    runs : name → numbers of the run
    rows : texts, a key of the configuration that differs and its value in each run
    """

    def __init__(self, runs: Mapping[str, RunNumbers], rows: Sequence[tuple[str, ...]]) -> None:
        self.runs, self.rows = runs, rows

    @overload
    def overview(self, backend: Literal["plotly"] = "plotly", *, rows: int | None = ROWS) -> "go.Figure": ...
    @overload
    def overview(self, backend: Literal["matplotlib"], *, rows: int | None = ROWS) -> "Figure": ...
    def overview(self, backend: Backend = "plotly", *, rows: int | None = ROWS) -> Any:
        """Growth of 1 and drawdowns, on one axis of time."""
        return drawn(comparison.overview(self.runs), backend, rows)

    @overload
    def growth(self, backend: Literal["plotly"] = "plotly", *, rows: int | None = ROWS) -> "go.Figure": ...
    @overload
    def growth(self, backend: Literal["matplotlib"], *, rows: int | None = ROWS) -> "Figure": ...
    def growth(self, backend: Backend = "plotly", *, rows: int | None = ROWS) -> Any:
        """What 1 grew to in each run; flows do not count."""
        return drawn(comparison.growth(self.runs), backend, rows)

    @overload
    def drawdown(self, backend: Literal["plotly"] = "plotly", *, rows: int | None = ROWS) -> "go.Figure": ...
    @overload
    def drawdown(self, backend: Literal["matplotlib"], *, rows: int | None = ROWS) -> "Figure": ...
    def drawdown(self, backend: Backend = "plotly", *, rows: int | None = ROWS) -> Any:
        """Growth of each run against its highest so far, fraction <= 0."""
        return drawn(comparison.drawdown(self.runs), backend, rows)

    @overload
    def attribution(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def attribution(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def attribution(self, backend: Backend = "plotly") -> Any:
        """What each column earned in each run, side by side, as a fraction of its equity at the start."""
        return drawn(comparison.attribution(self.runs), backend)

    @overload
    def differences(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def differences(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def differences(self, backend: Backend = "plotly") -> Any:
        """Keys of the configuration that differ, as a table."""
        return drawn(comparison.differences(self.runs, self.rows), backend)


def drawn(picture: Picture, backend: str, rows: int | None = ROWS) -> Any:
    """A picture drawn, thinned to about so many rows where it has more; None draws them all.

    Raises
    ------
    InputError
        For a backend that is not known, or rows that are no number of rows.
    """
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 2):
        raise InputError(f"rows={rows!r}: give about how many rows to draw, 2 or more, or None for every row.")
    if backend == "plotly":
        from basis.plots import figures as drawing
    elif backend == "matplotlib":
        from basis.plots import print as drawing
    else:
        near = _near(backend, ("plotly", "matplotlib"))
        raise InputError(f"backend {backend!r} is not known; use 'plotly' or 'matplotlib'.{near}")
    return drawing.figure(picture if rows is None else thin(picture, rows))


def _not_a_backend(figure: str, argument: str, given: object) -> None:
    """Two figures have another first argument than the backend; one who forgot it is told."""
    if isinstance(given, str) and given in ("plotly", "matplotlib"):
        raise InputError(
            f"The first argument of {figure} is {argument}, not the backend; write {figure}(backend={given!r})."
        )


def _near(given: object, names: Any) -> str:
    """The nearest name as a question, or nothing."""
    found = difflib.get_close_matches(str(given), list(names), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def _instant(timestamp: Any) -> np.datetime64 | None:
    """An instant as UTC without a zone.

    Raises
    ------
    InputError
        Where it is none.
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
        raise InputError(f"{timestamp!r} is no instant; write it as in '2024-08-05T02:00'.") from None
