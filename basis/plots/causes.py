"""Pictures of what was earned when and by what: by month, as shares, returns by month, funding. Imports numpy only."""

import numpy as np

from basis.plots import marks, theme
from basis.plots.pictures import Grid, Line, Panel, Part, Picture, Stack
from basis.plots.prepare import NO_VALUES, earned, in_short, picture_of, totals
from basis.plots.run import RunNumbers, month_of

#: Length of the mean of funding rates.
_WEEK = np.timedelta64(7, "D")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def monthly(run: RunNumbers) -> Picture:
    """P&L of each month by column, stacked; the balance-based P&L of the month as a mark."""
    months, first = np.unique(month_of(run.stamps), return_index=True)
    names = tuple(f"{_MONTHS[int(month.astype(int)) % 12]} {month.astype('M8[Y]')}" for month in months)
    unit, places = run.share_class, theme.places(run.share_class)

    def part(name: str, key: str, values: np.ndarray, colour: str) -> Part:
        return Part(name, key, values, colour, tuple(f"{name} {value:+,.{places}f} {unit}" for value in values))

    parts = tuple(
        part(theme.column(key).name, key, np.add.reduceat(run.attribution[key], first), theme.column(key).colour)
        for key in earned(run)
    )
    ends = np.append(run.pnl[first[1:] - 1], run.pnl[-1:])
    if len(run) and not np.isfinite(ends).any():
        return picture_of(run, "monthly", "P&L by month and cause", unit, note=NO_VALUES)
    total = part("P&L", "pnl", np.diff(ends, prepend=0.0), "")
    panel = Panel(f"P&L of the month, {unit}", "money", places, stack=Stack(names, parts, totals=total))
    return picture_of(run, "monthly", "P&L by month and cause", unit, panel)


def share(run: RunNumbers) -> Picture:
    """What each column earned, with its share of the P&L beside it, the largest first."""
    unit, places = run.share_class, theme.places(run.share_class)
    found = {name: total for name, total in totals(run.attribution).items() if run.counts(total)}
    pnl = float(run.pnl[-1]) if len(run) else 0.0
    told = run.counts(pnl)
    if not (found or told):
        return picture_of(
            run, "share", "Share of the P&L by cause", unit,
            note="The P&L is nothing, so there are no shares of it." if np.isfinite(pnl) else NO_VALUES,
        )  # fmt: skip
    amounts = [*sorted(found.items(), key=lambda item: -abs(item[1])), ("pnl", pnl)]
    names = tuple("P&L" if key == "pnl" else theme.column(key).name for key, _ in amounts)
    parts = []
    for place, ((key, amount), name) in enumerate(zip(amounts, names, strict=True)):
        values = np.full(len(amounts), np.nan)
        values[place] = amount
        of_pnl = _share(amount / pnl) if told else ""
        words = f"{name}: {amount:+,.{places}f} {unit}" + (f", {of_pnl} of the P&L" if told else "")
        label = in_short(amount) + (f" ({of_pnl})" if told else "")
        colour = theme.LEVEL if key == "pnl" else theme.column(key).colour
        empty = [""] * len(amounts)
        parts.append(
            Part(name, key, values, colour, (*empty[:place], words, *empty[place + 1 :]),
                 (*empty[:place], label.replace("-", "−"), *empty[place + 1 :]))
        )  # fmt: skip
    stack = Stack(names, tuple(parts), lying=True)
    note = "in brackets: share of the P&L" if told else "the P&L is nothing, so there are no shares of it"
    low, high = (edge([0.0, *(amount for _, amount in amounts)]) for edge in (min, max))
    # room for the words beside the bars
    room = 0.5 * (high - low)
    window = (low - room * (low < 0.0), high + room * (1.0 if high > 0.0 else 0.08))
    panel = Panel(f"P&L, {unit}", "money", places, stack=stack, note=note, window=window)
    return picture_of(run, "share", "Share of the P&L by cause", unit, panel)


def _share(part: float) -> str:
    """A share in percent; what rounds to nothing has no sign."""
    return f"{round(part, 3) + 0.0:.1%}" if abs(part) < 10.0 else f"{part:,.0%}"


def monthly_returns(run: RunNumbers) -> Picture:
    """Time-weighted return of each month and year; a month or year that the run holds a part of has that part's."""
    if not len(run):
        return picture_of(run, "monthly_returns", "Returns by month", "fraction")
    each = month_of(run.stamps)
    months, first = np.unique(each, return_index=True)
    of_months = np.multiply.reduceat(1.0 + run.returns, first) - 1.0
    years, begin = np.unique(months.astype("M8[Y]"), return_index=True)
    values = np.full((len(years), 13), np.nan)
    row = np.searchsorted(years, months.astype("M8[Y]"))
    values[row, months.astype(np.int64) % 12] = of_months
    values[:, 12] = np.multiply.reduceat(1.0 + of_months, begin) - 1.0
    named = np.array([*_MONTHS, "year"])
    if not np.isfinite(of_months).any():
        return picture_of(
            run, "monthly_returns", "Returns by month", "fraction",
            note="There are no returns: the equity was not always above zero.",
        )  # fmt: skip
    there = np.zeros(values.shape, dtype=bool)
    there[row, months.astype(np.int64) % 12] = there[:, 12] = True
    texts = np.vectorize(_in_a_cell)(values)
    reach = float(np.abs(of_months[np.isfinite(of_months)]).max(initial=0.0)) or 0.01
    grid = Grid(
        x=named,
        y=np.array([str(year) for year in years]),
        values=values,
        words="{x} {y}: {z:.2%}",
        labels=np.where(there, texts, ""),
        middle=0.0,
        reach=reach,
        scale="return, %",
    )  # fmt: skip
    panel = Panel("return, %", "percent", grid=grid, note="time-weighted return, %")
    return picture_of(run, "monthly_returns", "Returns by month", "fraction", panel)


def _in_a_cell(value: float) -> str:
    """A return in percent, of which a cell has room for three digits."""
    if not np.isfinite(value):
        return "–"
    return f"{100.0 * value:.{1 if abs(value) >= 0.1 else 2}f}".replace("-", "−")


def funding(run: RunNumbers) -> Picture:
    """Funding by venue since the start, the rate each venue settled last, and its mean over a week as a rate a year."""
    book, unit = run.book, run.share_class
    if not book.funding and not book.rates:
        return picture_of(run, "funding", "Funding", unit, note="No funding applies: the book has no perps.")
    colours = theme.venue_colours([*book.funding, *(key.split(":")[0] for key in book.rates)])
    lines = [
        Line(venue, f"funding_pnl|{venue}", np.cumsum(paid), colours[venue], group=venue)
        for venue, paid in book.funding.items()
    ]
    # all venues: what the column of the attribution holds
    whole = np.cumsum(run.attribution.get("funding_pnl", np.zeros(len(run))))
    if len(lines) > 1:
        lines.append(Line("all venues", "funding_pnl", whole, ""))
    panels = [
        Panel(f"funding since the start, {unit}", "money", theme.places(unit), lines=tuple(lines), weight=1.4,
              marks=marks.liquidations(run, whole)),
    ]  # fmt: skip
    settled, yearly = [], []
    for key, rates in book.rates.items():
        venue = key.split(":")[0]
        settled.append(
            Line(venue, f"funding_rate|{key}", _held(rates), colours[venue], faint=True, group=venue, stepped=True)
        )
        yearly.append(Line(venue, f"funding_apr|{key}", _of_a_week(run.stamps, rates), colours[venue], group=venue))
    if any(np.isfinite(line.values).any() for line in settled):
        panels.append(Panel("rate settled last, % of notional", "percent", lines=tuple(settled)))
    if any(np.isfinite(line.values).any() for line in yearly):
        panels.append(Panel("mean of the last 7 days, % a year", "percent", lines=tuple(yearly)))
    return picture_of(run, "funding", "Funding by venue", unit, *panels)


def _held(rates: np.ndarray) -> np.ndarray:
    """(rows,) the rate settled last; NaN before the first."""
    at = np.maximum.accumulate(np.where(rates != 0.0, np.arange(len(rates)), -1))
    return np.where(at >= 0, rates[np.maximum(at, 0)], np.nan)


def _of_a_week(stamps: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """(rows,) rates settled in the seven days up to a row, times 365 / 7; NaN before there are seven."""
    if not len(stamps):
        return rates
    summed = np.concatenate(([0.0], np.cumsum(rates)))
    before = np.searchsorted(stamps, stamps - _WEEK, side="right")
    mean = (summed[1:] - summed[before]) * (365.0 / 7.0)
    return np.where(stamps - stamps[0] >= _WEEK, mean, np.nan)
