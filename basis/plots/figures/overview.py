"""The overview of a run: equity, drawdown, P&L by column, and the risk measure that came nearest to its limit.

Imports numpy only.
"""

from dataclasses import replace

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData
from basis.plots.figures.common import make_picture
from basis.plots.figures.equity import drawdown_panel, equity_panel
from basis.plots.figures.pnl import area_panel
from basis.plots.figures.positions import gross_panel
from basis.plots.figures.risk import health_panels, margin_panels
from basis.plots.picture import Band, Line, Panel, Picture

#: The legend has little room: it names at most so many bands, and none below this share of the largest one.
_MAX_LEGEND_BANDS = 8
_MIN_LEGEND_SHARE = 0.02


def overview(run: RunData) -> Picture:
    """Equity, drawdown, P&L by column, and the risk measure nearest to its limit, on one time axis.

    Without a risk measure the last panel is the gross exposure.
    """
    equity, drawdown = equity_panel(run), drawdown_panel(run)
    panels = [
        replace(equity, lines=tuple(replace(line, in_legend=False) for line in equity.lines), weight=1.2),
        replace(drawdown, lines=tuple(replace(line, in_legend=False) for line in drawdown.lines), weight=0.8),
        replace(area_panel(run), bands=_with_legend_of_largest(area_panel(run).bands), weight=1.5),
    ]
    last = nearest_limit_panel(run) or gross_panel(run)
    panels += [] if last is None else [last]
    return make_picture(run, "overview", "Overview", run.share_class, *panels)


def _with_legend_of_largest(bands: tuple[Band, ...]) -> tuple[Band, ...]:
    """The same bands, of which the legend names only the large ones."""
    peaks = [float(np.nanmax(np.abs(band.values), initial=0.0)) for band in bands]
    smallest = max(
        _MIN_LEGEND_SHARE * max(peaks, default=0.0),
        *sorted(peaks, reverse=True)[_MAX_LEGEND_BANDS - 1 : _MAX_LEGEND_BANDS],
        0.0,
    )
    return tuple(replace(band, in_legend=peak >= smallest) for band, peak in zip(bands, peaks, strict=True))


def nearest_limit_panel(run: RunData) -> Panel | None:
    """Worst health factor of each hour, or else the lowest margin ratio of all venues; None if the run has neither."""
    panel = next((panel for make in (health_panels, margin_panels) for panel in make(run)), None)
    if panel is None:
        return None
    worst = [line for line in panel.lines if not line.faint]
    name, key = (worst[0].name, worst[0].key) if len(worst) == 1 else ("lowest of all venues", "margin_ratio")
    colour = worst[0].colour if len(worst) == 1 else theme.EQUITY
    lowest = Line(name, key, np.fmin.reduce([line.values for line in worst]), colour, in_legend=False)
    title = panel.title if len(worst) == 1 else f"lowest {panel.title}"
    limits = tuple(limit for limit in panel.limits if limit.name != "liquidation")
    return replace(panel, title=title, lines=(lowest,), limits=limits, weight=1.0, note="")
