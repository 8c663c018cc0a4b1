"""Figures of the P&L by attribution column: over time, as a waterfall, by month, and as shares of the P&L.

Imports numpy only.
"""

from collections.abc import Mapping

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData, months_of
from basis.plots.figures import annotations
from basis.plots.figures.common import NO_VALUES, make_picture
from basis.plots.picture import Band, BarSeries, CategoryBars, Line, Panel, Picture, WaterfallStep

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def attribution_area(run: RunData) -> Picture:
    """Cumulative P&L by column as stacked bands, and the balance-based P&L as a line."""
    return make_picture(run, "area", "P&L by cause", run.share_class, area_panel(run))


def area_panel(run: RunData) -> Panel:
    """The panel of `attribution_area`."""
    bands = tuple(
        Band(theme.column_label(name).name, name, values, theme.column_label(name).colour)
        for name, values in cumulative_pnl(run).items()
    )
    pnl = run.pnl
    return Panel(
        f"P&L since the start, {run.share_class}",
        "money",
        theme.decimals(run.share_class),
        bands=bands,
        lines=(Line("P&L", "pnl", pnl, ""),),
        marks=annotations.liquidation_marks(run, pnl),
    )


def waterfall(run: RunData) -> Picture:
    """Equity at the start, the total of every column, the net flows, and the equity at the end."""
    steps = [_step(run, "start", "initial_equity", 0.0, run.initial_equity, theme.NEUTRAL)]
    for name, total in column_totals(run.attribution).items():
        if run.is_material(total):
            steps.append(
                _step(run, theme.column_label(name).name, name, steps[-1].end, total, theme.column_label(name).colour)
            )
    if run.net_flow.any():
        steps.append(_step(run, "net flows", "net_flow", steps[-1].end, float(np.sum(run.net_flow)), theme.FLOW))
    final = float(run.equity[-1]) if len(run) else run.initial_equity
    if not np.isfinite(final):
        return make_picture(run, "waterfall", "From start to end by cause", run.share_class, note=NO_VALUES)
    steps.append(_step(run, "end", "equity", 0.0, final, theme.NEUTRAL))
    edges = [edge for step in steps for edge in ((step.end,) if step.is_total else (step.base, step.end))]
    low, high = min(edges), max(edges)
    room = high - low
    axis_range, note = None, ""
    if low > 0.0 and room < 0.5 * low:
        # steps would be hairlines on an axis from 0
        room = room or 0.01 * low
        axis_range, note = (low - 0.25 * room, high + 0.15 * room), "the axis does not begin at 0"
    title = f"equity, {run.share_class}"
    panel = Panel(
        title, "money", theme.decimals(run.share_class), waterfall=tuple(steps), axis_range=axis_range, note=note
    )
    return make_picture(run, "waterfall", "From start to end by cause", run.share_class, panel, needs_rows=False)


def _step(run: RunData, name: str, key: str, base: float, value: float, colour: str) -> WaterfallStep:
    """A bar of the waterfall. Its label is short, since there may be many bars."""
    is_total = key in ("initial_equity", "equity")
    label = f"{value:,.{0 if abs(value) >= 1_000.0 else 2}f}" if is_total else short_amount(value)
    return WaterfallStep(name, key, base, value, label.replace("-", "−"), colour, is_total)


def short_amount(amount: float) -> str:
    """An amount with its sign and three digits, for the label of a bar."""
    if abs(amount) >= 10_000.0:
        return f"{amount / 1_000.0:+,.1f}k"
    return f"{amount:+,.0f}" if abs(amount) >= 100.0 else f"{amount:+.{3 if abs(amount) >= 1.0 else 2}g}"


def monthly(run: RunData) -> Picture:
    """P&L of each month as stacked bars by column, and its balance-based P&L as a mark."""
    months, first = np.unique(months_of(run.stamps), return_index=True)
    names = tuple(f"{MONTHS[int(month.astype(int)) % 12]} {month.astype('M8[Y]')}" for month in months)
    unit, decimals = run.share_class, theme.decimals(run.share_class)

    def series(name: str, key: str, values: np.ndarray, colour: str) -> BarSeries:
        return BarSeries(name, key, values, colour, tuple(f"{name} {value:+,.{decimals}f} {unit}" for value in values))

    columns = tuple(
        series(
            theme.column_label(key).name,
            key,
            np.add.reduceat(run.attribution[key], first),
            theme.column_label(key).colour,
        )
        for key in cumulative_pnl(run)
    )
    ends = np.append(run.pnl[first[1:] - 1], run.pnl[-1:])
    if len(run) and not np.isfinite(ends).any():
        return make_picture(run, "monthly", "P&L by month and cause", unit, note=NO_VALUES)
    total = series("P&L", "pnl", np.diff(ends, prepend=0.0), "")
    panel = Panel(
        f"P&L of the month, {unit}", "money", decimals, category_bars=CategoryBars(names, columns, totals=total)
    )
    return make_picture(run, "monthly", "P&L by month and cause", unit, panel)


def share(run: RunData) -> Picture:
    """Total of each column, the largest first, with its share of the P&L."""
    unit, decimals = run.share_class, theme.decimals(run.share_class)
    found = {name: total for name, total in column_totals(run.attribution).items() if run.is_material(total)}
    pnl = float(run.pnl[-1]) if len(run) else 0.0
    has_shares = run.is_material(pnl)
    if not (found or has_shares):
        return make_picture(
            run, "share", "Share of the P&L by cause", unit,
            note="The P&L is zero, so it has no shares." if np.isfinite(pnl) else NO_VALUES,
        )  # fmt: skip
    amounts = [*sorted(found.items(), key=lambda item: -abs(item[1])), ("pnl", pnl)]
    names = tuple("P&L" if key == "pnl" else theme.column_label(key).name for key, _ in amounts)
    series = []
    for place, ((key, amount), name) in enumerate(zip(amounts, names, strict=True)):
        values = np.full(len(amounts), np.nan)
        values[place] = amount
        of_pnl = _percent(amount / pnl) if has_shares else ""
        hover_text = f"{name}: {amount:+,.{decimals}f} {unit}" + (f", {of_pnl} of the P&L" if has_shares else "")
        label = short_amount(amount) + (f" ({of_pnl})" if has_shares else "")
        colour = theme.NEUTRAL if key == "pnl" else theme.column_label(key).colour
        empty = [""] * len(amounts)
        series.append(
            BarSeries(name, key, values, colour, (*empty[:place], hover_text, *empty[place + 1 :]),
                 (*empty[:place], label.replace("-", "−"), *empty[place + 1 :]))
        )  # fmt: skip
    bars = CategoryBars(names, tuple(series), horizontal=True)
    note = "in brackets: share of the P&L" if has_shares else "the P&L is zero, so it has no shares"
    low, high = (edge([0.0, *(amount for _, amount in amounts)]) for edge in (min, max))
    # the labels beside the bars need room
    room = 0.5 * (high - low)
    axis_range = (low - room * (low < 0.0), high + room * (1.0 if high > 0.0 else 0.08))
    panel = Panel(f"P&L, {unit}", "money", decimals, category_bars=bars, note=note, axis_range=axis_range)
    return make_picture(run, "share", "Share of the P&L by cause", unit, panel)


def _percent(part: float) -> str:
    """A share in percent; a share that rounds to zero has no sign."""
    return f"{round(part, 3) + 0.0:.1%}" if abs(part) < 10.0 else f"{part:,.0%}"


def cumulative_pnl(run: RunData) -> dict[str, np.ndarray]:
    """(rows,) cumulative P&L of each column that was ever more than a rounding error, share class."""
    cumulative = {name: np.cumsum(values) for name, values in run.attribution.items()}
    return {name: values for name, values in cumulative.items() if run.is_material(np.abs(values).max(initial=0.0))}


def column_totals(attribution: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Total of each column over all rows, share class; equal to the last value of its band, bit for bit."""
    return {name: float(np.cumsum(values)[-1]) if len(values) else 0.0 for name, values in attribution.items()}
