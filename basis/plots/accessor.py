"""`result.plot`: the figures of a run, by name. plotly and matplotlib are imported when a figure is drawn."""

from typing import TYPE_CHECKING, Any, Literal, overload

from basis.errors import InputError
from basis.plots import prepare
from basis.plots.pictures import Picture
from basis.plots.run import RunNumbers

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

Backend = Literal["plotly", "matplotlib"]
Kind = Literal["area", "waterfall"]


class Plots:
    """Figures of a run.

    Every method takes ``backend``: ``plotly`` gives a plain `plotly.graph_objects.Figure` for the screen,
    ``matplotlib`` a `matplotlib.figure.Figure` for print (``.savefig("equity.pdf")``). Both hold the run's own numbers,
    row by row; money is in share class, ratios are fractions that the axes show in percent, instants are UTC.
    """

    def __init__(self, run: RunNumbers) -> None:
        self._run = run

    @overload
    def equity(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def equity(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def equity(self, backend: Backend = "plotly") -> Any:
        """Worth of the book in share class, with flows, liquidations and a stop marked and critical alerts shaded."""
        return _drawn(prepare.equity(self._run), backend)

    @overload
    def drawdown(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def drawdown(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def drawdown(self, backend: Backend = "plotly") -> Any:
        """Growth of capital against its highest so far, fraction <= 0; flows do not count."""
        return _drawn(prepare.drawdown(self._run), backend)

    @overload
    def attribution(self, kind: Kind = "area", backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def attribution(self, kind: Kind = "area", *, backend: Literal["matplotlib"]) -> "Figure": ...
    def attribution(self, kind: Kind = "area", backend: Backend = "plotly") -> Any:
        """P&L by cause, share class; what is no more than rounding (1e-9 of the capital) is not drawn.

        Parameters
        ----------
        kind : ``area``, cumulative by column over time, gains stacked above zero and losses below, and the
            balance-based P&L as a line; ``waterfall``, from the equity at the start over the total of each column and
            the net flows to the equity at the end

        Raises
        ------
        InputError
            For another kind.
        """
        if kind not in ("area", "waterfall"):
            raise InputError(f"kind {kind!r} is not known; use 'area' or 'waterfall'.")
        return _drawn((prepare.attribution_area if kind == "area" else prepare.waterfall)(self._run), backend)

    @overload
    def risk(self, backend: Literal["plotly"] = "plotly") -> "go.Figure": ...
    @overload
    def risk(self, backend: Literal["matplotlib"]) -> "Figure": ...
    def risk(self, backend: Backend = "plotly") -> Any:
        """How near the book came to its limits.

        Margin ratio by venue (worst of the hour, and after fills), health factor and LTV where there is debt, net delta
        where there are perps; limits as lines, alerts shaded, liquidations marked. A row without a position has no
        ratio and leaves a gap.
        """
        return _drawn(prepare.risk(self._run), backend)


def _drawn(picture: Picture, backend: str) -> Any:
    """A picture drawn.

    Raises
    ------
    InputError
        For a backend that is not known.
    """
    if backend == "plotly":
        from basis.plots import figures as drawing
    elif backend == "matplotlib":
        from basis.plots import print as drawing
    else:
        raise InputError(f"backend {backend!r} is not known; use 'plotly' or 'matplotlib'.")
    return drawing.figure(picture)
