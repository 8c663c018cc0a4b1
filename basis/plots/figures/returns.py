"""Figure of the time-weighted returns by month and year. Imports numpy only."""

import numpy as np

from basis.plots.data import RunData, months_of
from basis.plots.figures.common import make_picture
from basis.plots.figures.pnl import MONTHS
from basis.plots.picture import Heatmap, Panel, Picture


def monthly_returns(run: RunData) -> Picture:
    """Table of the time-weighted returns by month and year; a month covered in part has the return of that part."""
    if not len(run):
        return make_picture(run, "monthly_returns", "Returns by month", "fraction")
    row_months = months_of(run.stamps)
    months, first = np.unique(row_months, return_index=True)
    monthly = np.multiply.reduceat(1.0 + run.returns, first) - 1.0
    years, first_month = np.unique(months.astype("M8[Y]"), return_index=True)
    values = np.full((len(years), 13), np.nan)
    row = np.searchsorted(years, months.astype("M8[Y]"))
    values[row, months.astype(np.int64) % 12] = monthly
    values[:, 12] = np.multiply.reduceat(1.0 + monthly, first_month) - 1.0
    columns = np.array([*MONTHS, "year"])
    if not np.isfinite(monthly).any():
        return make_picture(
            run, "monthly_returns", "Returns by month", "fraction",
            note="There are no returns: the equity was not always above zero.",
        )  # fmt: skip
    covered = np.zeros(values.shape, dtype=bool)
    covered[row, months.astype(np.int64) % 12] = covered[:, 12] = True
    texts = np.vectorize(_cell_text)(values)
    largest = float(np.abs(monthly[np.isfinite(monthly)]).max(initial=0.0)) or 0.01
    heatmap = Heatmap(
        x=columns,
        y=np.array([str(year) for year in years]),
        values=values,
        hover_template="{x} {y}: {z:.2%}",
        cell_labels=np.where(covered, texts, ""),
        centre=0.0,
        half_range=largest,
        scale_title="return, %",
    )  # fmt: skip
    panel = Panel("return, %", "percent", heatmap=heatmap, note="time-weighted return, %")
    return make_picture(run, "monthly_returns", "Returns by month", "fraction", panel)


def _cell_text(value: float) -> str:
    """A return in percent with three digits, as many as a cell has room for."""
    if not np.isfinite(value):
        return "–"
    return f"{100.0 * value:.{1 if abs(value) >= 0.1 else 2}f}".replace("-", "−")
