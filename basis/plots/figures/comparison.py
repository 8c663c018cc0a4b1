"""Figures of several runs side by side. Imports numpy only."""

from collections.abc import Mapping, Sequence

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData
from basis.plots.figures.common import NO_VALUES, visible_panels
from basis.plots.figures.pnl import column_totals
from basis.plots.picture import BarSeries, CategoryBars, Line, Panel, Picture, TextTable


def overview(runs: Mapping[str, RunData]) -> Picture:
    """Growth of 1 and drawdowns on one axis of time."""
    stamps = _all_stamps(runs)
    panels = (_growth_panel(runs, stamps, 1.6), _drawdown_panel(runs, stamps)) if len(stamps) else ()
    return _make_picture(runs, "overview", "Growth and drawdown", stamps, *panels)


def growth(runs: Mapping[str, RunData]) -> Picture:
    """Time-weighted growth of 1; flows do not count."""
    stamps = _all_stamps(runs)
    return _make_picture(
        runs, "growth", "Growth of 1", stamps, *((_growth_panel(runs, stamps),) if len(stamps) else ())
    )


def drawdown(runs: Mapping[str, RunData]) -> Picture:
    """Fall of each run's growth from its highest value so far."""
    stamps = _all_stamps(runs)
    return _make_picture(
        runs, "drawdown", "Drawdowns", stamps, *((_drawdown_panel(runs, stamps),) if len(stamps) else ())
    )


def attribution(runs: Mapping[str, RunData]) -> Picture:
    """Total of each column in each run, as a fraction of the run's equity at the start.

    Fractions make runs of different capital or share class comparable. The amounts are in the hover texts.
    """
    totals = {name: column_totals(run.attribution) for name, run in runs.items()}
    columns = [column for column in theme.COLUMNS if any(runs[n].is_material(totals[n].get(column, 0.0)) for n in runs)]
    colours = theme.colours_in_order(runs, theme.RUNS)
    series = []
    for name, run in runs.items():
        amounts = [*(totals[name].get(column, 0.0) for column in columns), float(run.pnl[-1]) if len(run) else 0.0]
        start = run.initial_equity
        shares = np.array(amounts) / start if start > 0.0 else np.full(len(amounts), np.nan)
        hover_texts = tuple(f"{name}: {share:+.3%}, {run.money(a)}" for share, a in zip(shares, amounts, strict=True))
        series.append(BarSeries(name, name, shares, colours[name], hover_texts))
    names = (*(theme.column_label(column).name for column in columns), "P&L")
    panel = Panel(
        "P&L, % of the equity at start", "percent", category_bars=CategoryBars(names, tuple(series), grouped=True)
    )
    return _make_picture(runs, "attribution", "P&L by cause", np.empty(0, "M8[us]"), panel)


def differences(runs: Mapping[str, RunData], rows: Sequence[tuple[str, ...]]) -> Picture:
    """Table of the configuration keys that differ, with a column for each run."""
    note = "" if rows else "The configurations are the same."
    panels = (Panel("configuration", "text", text_table=TextTable(("key", *runs), tuple(rows))),) if rows else ()
    return _make_picture(
        runs, "differences", "Differences of the configuration", np.empty(0, "M8[us]"), *panels, note=note
    )


def _growth_panel(runs: Mapping[str, RunData], stamps: np.ndarray, weight: float = 1.0) -> Panel:
    grown = {name: np.cumprod(1.0 + run.returns) for name, run in runs.items()}
    return Panel("growth of 1", "ratio", 4, lines=_lines(runs, stamps, grown, "growth"), weight=weight)


def _drawdown_panel(runs: Mapping[str, RunData], stamps: np.ndarray) -> Panel:
    lines = _lines(runs, stamps, {name: run.drawdown for name, run in runs.items()}, "drawdown")
    is_zero = not any(np.nanmin(line.values, initial=0.0) < 0.0 for line in lines)
    return Panel("drawdown, %", "percent", lines=lines, axis_range=(-0.01, 0.0) if is_zero else None)


def _lines(
    runs: Mapping[str, RunData], stamps: np.ndarray, series: Mapping[str, np.ndarray], key: str
) -> tuple[Line, ...]:
    """A line for each run on the stamps of all runs.

    Between its rows a run keeps its last value; outside its window it has none.
    """
    colours, lines = theme.colours_in_order(runs, theme.RUNS), []
    for name, run in runs.items():
        at = np.searchsorted(run.stamps, stamps, side="right") - 1
        within = (at >= 0) & (stamps <= run.stamps[-1]) if len(run) else np.zeros(len(stamps), dtype=bool)
        values = np.full(len(stamps), np.nan)
        values[within] = series[name][at[within]]
        lines.append(Line(name, f"{key}|{name}", values, colours[name], group=name))
    return tuple(lines)


def _all_stamps(runs: Mapping[str, RunData]) -> np.ndarray:
    return np.unique(np.concatenate([run.stamps for run in runs.values()] or [np.empty(0, "M8[us]")]))


def _make_picture(
    runs: Mapping[str, RunData], name: str, title: str, stamps: np.ndarray, *panels: Panel, note: str = ""
) -> Picture:
    subtitle, shown = " · ".join(runs), visible_panels(panels)
    note = note or ("" if shown else NO_VALUES if panels else "The runs have no rows.")
    return Picture(name, title, subtitle, "", stamps, shown, note)
