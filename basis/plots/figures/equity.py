"""Figures of the equity and of its drawdown. Imports numpy only."""

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData
from basis.plots.figures import annotations
from basis.plots.figures.common import make_picture
from basis.plots.labels import format_value
from basis.plots.picture import Line, Marks, Panel, Picture


def equity(run: RunData) -> Picture:
    """Equity, with flows, liquidations and a stop marked and critical alerts shaded."""
    return make_picture(run, "equity", "Equity", run.share_class, equity_panel(run))


def equity_panel(run: RunData) -> Panel:
    """The panel of `equity`."""
    line = Line("equity", "equity", run.equity, theme.EQUITY)
    return Panel(
        f"equity, {run.share_class}",
        "money",
        theme.decimals(run.share_class),
        lines=(line,),
        marks=(
            *annotations.flow_marks(run),
            *annotations.liquidation_marks(run, run.equity),
            *annotations.stop_mark(run, run.equity),
        ),
        shades=annotations.alert_shades(run, tuple(annotations.alert_levels(run)), (2,)),
    )


def drawdown(run: RunData) -> Picture:
    """Fall of the time-weighted growth from its highest value so far; flows do not count."""
    return make_picture(run, "drawdown", "Drawdown", "fraction", drawdown_panel(run))


def drawdown_panel(run: RunData) -> Panel:
    """The panel of `drawdown`: its limits, liquidations, and the deepest point."""
    line = Line("drawdown", "drawdown", run.drawdown, theme.DRAWDOWN, filled=True)
    deepest: list[Marks] = []
    if len(run) and np.isfinite(run.drawdown).any() and np.nanmin(run.drawdown) < 0.0:
        at = int(np.nanargmin(run.drawdown))
        text = f"deepest: {format_value(run.drawdown[at], 'percent')} on {str(run.stamps[at])[:10]}"
        deepest.append(Marks("deepest", "deepest", run.stamps[at : at + 1], run.drawdown[at : at + 1], (text,)))
    warning_and_critical = run.limits.get("drawdown")
    limits = (
        ()
        if warning_and_critical is None
        else annotations.limit_lines("drawdown", warning_and_critical, "percent", -1.0)
    )
    flat = len(run) > 0 and not deepest and np.isfinite(run.drawdown).any()
    return Panel(
        "drawdown, %",
        "percent",
        lines=(line,),
        axis_range=(-0.01, 0.0) if flat and not limits else None,
        marks=(*deepest, *annotations.liquidation_marks(run, run.drawdown)),
        shades=annotations.alert_shades(run, ("drawdown",), (1, 2)),
        limits=limits,
        note="".join(text for mark in deepest for text in mark.hover_texts),
    )
