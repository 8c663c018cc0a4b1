"""Pictures of several runs beside each other. Imports numpy only."""

from collections.abc import Mapping, Sequence

import numpy as np

from basis.plots import theme
from basis.plots.pictures import Cells, Line, Panel, Part, Picture, Stack
from basis.plots.prepare import NO_VALUES, in_sight, totals
from basis.plots.run import RunNumbers


def overview(runs: Mapping[str, RunNumbers]) -> Picture:
    """Growth of 1 and drawdowns on one axis of time."""
    stamps = _stamps(runs)
    panels = (_growth(runs, stamps, 1.6), _drawdown(runs, stamps)) if len(stamps) else ()
    return _picture(runs, "overview", "Growth and drawdown", stamps, *panels)


def growth(runs: Mapping[str, RunNumbers]) -> Picture:
    """What 1 grew to; flows do not count."""
    stamps = _stamps(runs)
    return _picture(runs, "growth", "Growth of 1", stamps, *((_growth(runs, stamps),) if len(stamps) else ()))


def drawdown(runs: Mapping[str, RunNumbers]) -> Picture:
    """Growth of each against its highest so far."""
    stamps = _stamps(runs)
    return _picture(runs, "drawdown", "Drawdowns", stamps, *((_drawdown(runs, stamps),) if len(stamps) else ()))


def attribution(runs: Mapping[str, RunNumbers]) -> Picture:
    """What each column earned in each run, side by side, as a share of the run's equity at the start.

    So runs of different capital or share class can be told from each other; the amounts stand in the hover.
    """
    earned = {name: totals(run.attribution) for name, run in runs.items()}
    columns = [column for column in theme.COLUMNS if any(runs[n].counts(earned[n].get(column, 0.0)) for n in runs)]
    colours = theme.in_order(runs, theme.RUNS)
    parts = []
    for name, run in runs.items():
        amounts = [*(earned[name].get(column, 0.0) for column in columns), float(run.pnl[-1]) if len(run) else 0.0]
        start = run.initial_equity
        shares = np.array(amounts) / start if start > 0.0 else np.full(len(amounts), np.nan)
        words = tuple(f"{name}: {share:+.3%}, {run.money(a)}" for share, a in zip(shares, amounts, strict=True))
        parts.append(Part(name, name, shares, colours[name], words))
    names = (*(theme.column(column).name for column in columns), "P&L")
    panel = Panel("P&L, % of the equity at start", "percent", stack=Stack(names, tuple(parts), grouped=True))
    return _picture(runs, "attribution", "P&L by cause", np.empty(0, "M8[us]"), panel)


def differences(runs: Mapping[str, RunNumbers], rows: Sequence[tuple[str, ...]]) -> Picture:
    """Keys of the configuration that differ, a column a run."""
    note = "" if rows else "The configurations are the same."
    panels = (Panel("configuration", "text", cells=Cells(("key", *runs), tuple(rows))),) if rows else ()
    return _picture(runs, "differences", "Differences of the configuration", np.empty(0, "M8[us]"), *panels, note=note)


def _growth(runs: Mapping[str, RunNumbers], stamps: np.ndarray, weight: float = 1.0) -> Panel:
    grown = {name: np.cumprod(1.0 + run.returns) for name, run in runs.items()}
    return Panel("growth of 1", "ratio", 4, lines=_lines(runs, stamps, grown, "growth"), weight=weight)


def _drawdown(runs: Mapping[str, RunNumbers], stamps: np.ndarray) -> Panel:
    lines = _lines(runs, stamps, {name: run.drawdown for name, run in runs.items()}, "drawdown")
    flat = not any(np.nanmin(line.values, initial=0.0) < 0.0 for line in lines)
    return Panel("drawdown, %", "percent", lines=lines, window=(-0.01, 0.0) if flat else None)


def _lines(
    runs: Mapping[str, RunNumbers], stamps: np.ndarray, series: Mapping[str, np.ndarray], key: str
) -> tuple[Line, ...]:
    """A line a run, on the stamps of all: between its rows a run has the value of the last, outside them none."""
    colours, lines = theme.in_order(runs, theme.RUNS), []
    for name, run in runs.items():
        at = np.searchsorted(run.stamps, stamps, side="right") - 1
        within = (at >= 0) & (stamps <= run.stamps[-1]) if len(run) else np.zeros(len(stamps), dtype=bool)
        values = np.full(len(stamps), np.nan)
        values[within] = series[name][at[within]]
        lines.append(Line(name, f"{key}|{name}", values, colours[name], group=name))
    return tuple(lines)


def _stamps(runs: Mapping[str, RunNumbers]) -> np.ndarray:
    return np.unique(np.concatenate([run.stamps for run in runs.values()] or [np.empty(0, "M8[us]")]))


def _picture(
    runs: Mapping[str, RunNumbers], name: str, title: str, stamps: np.ndarray, *panels: Panel, note: str = ""
) -> Picture:
    subtitle, shown = " · ".join(runs), in_sight(panels)
    note = note or ("" if shown else NO_VALUES if panels else "The runs have no rows.")
    return Picture(name, title, subtitle, "", stamps, shown, note)
