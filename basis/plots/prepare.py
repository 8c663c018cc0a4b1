"""From a run's numbers to pictures of it: worth, causes and risk. Imports numpy only.

What a figure shows is worked out here and in `causes`, `holdings`, `distance` and `comparison`, and nowhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from basis.plots import marks, theme
from basis.plots.pictures import Band, Bar, Limit, Line, Marks, Panel, Picture
from basis.plots.run import RunNumbers, value_in_words, venues

#: Below this share of the largest, a cause has no entry in the legend of the overview, where there is little room, nor
#: has more than so many of the largest.
_MINOR, _MOST = 0.02, 8
#: What a figure says that has panels, but no number in them.
NO_VALUES = "There are no values to draw."
#: An axis shows values up to so many times what matters on it.
_FAR = 4.0


# --- the figures -----------------------------------------------------------------------------------------------------


def overview(run: RunNumbers) -> Picture:
    """What is asked first, on one axis of time: worth, drawdown, causes, and what was nearest to its limit."""
    worth, fall = equity_panel(run), drawdown_panel(run)
    panels = [
        replace(worth, lines=tuple(replace(line, listed=False) for line in worth.lines), weight=1.2),
        replace(fall, lines=tuple(replace(line, listed=False) for line in fall.lines), weight=0.8),
        replace(area_panel(run), bands=_major_listed(area_panel(run).bands), weight=1.5),
    ]
    last = nearest_panel(run) or gross_panel(run)
    panels += [] if last is None else [last]
    return picture_of(run, "overview", "Overview", run.share_class, *panels)


def _major_listed(bands: tuple[Band, ...]) -> tuple[Band, ...]:
    """The same bands, of which the legend names those that were of any size."""
    most = [float(np.nanmax(np.abs(band.values), initial=0.0)) for band in bands]
    least = max(_MINOR * max(most, default=0.0), *sorted(most, reverse=True)[_MOST - 1 : _MOST], 0.0)
    return tuple(replace(band, listed=peak >= least) for band, peak in zip(bands, most, strict=True))


def nearest_panel(run: RunNumbers) -> Panel | None:
    """Health factor, or the lowest margin ratio of all venues, at the worst of each hour; None without either."""
    panel = next((panel for make in (_health, _margin) for panel in make(run)), None)
    if panel is None:
        return None
    worst = [line for line in panel.lines if not line.faint]
    name, key = (worst[0].name, worst[0].key) if len(worst) == 1 else ("lowest of all venues", "margin_ratio")
    colour = worst[0].colour if len(worst) == 1 else theme.EQUITY
    lowest = Line(name, key, np.fmin.reduce([line.values for line in worst]), colour, listed=False)
    title = panel.title if len(worst) == 1 else f"lowest {panel.title}"
    limits = tuple(limit for limit in panel.limits if limit.name != "liquidation")
    return replace(panel, title=title, lines=(lowest,), limits=limits, weight=1.0, note="")


def equity(run: RunNumbers) -> Picture:
    """Worth of the book; flows, liquidations and a stop are marked, critical alerts shaded."""
    return picture_of(run, "equity", "Equity", run.share_class, equity_panel(run))


def equity_panel(run: RunNumbers) -> Panel:
    line = Line("equity", "equity", run.equity, theme.EQUITY)
    return Panel(
        f"equity, {run.share_class}",
        "money",
        theme.places(run.share_class),
        lines=(line,),
        marks=(*marks.flows(run), *marks.liquidations(run, run.equity), *marks.stop(run, run.equity)),
        shades=marks.shades(run, tuple(marks.levels(run)), (2,)),
    )


def drawdown(run: RunNumbers) -> Picture:
    """Growth of capital against its highest so far; flows do not count."""
    return picture_of(run, "drawdown", "Drawdown", "fraction", drawdown_panel(run))


def drawdown_panel(run: RunNumbers) -> Panel:
    line = Line("drawdown", "drawdown", run.drawdown, theme.DRAWDOWN, filled=True)
    deepest: list[Marks] = []
    if len(run) and np.isfinite(run.drawdown).any() and np.nanmin(run.drawdown) < 0.0:
        at = int(np.nanargmin(run.drawdown))
        words = f"deepest: {value_in_words(run.drawdown[at], 'percent')} on {str(run.stamps[at])[:10]}"
        deepest.append(Marks("deepest", "deepest", run.stamps[at : at + 1], run.drawdown[at : at + 1], (words,)))
    warning_critical = run.limits.get("drawdown")
    limits = () if warning_critical is None else marks.limits("drawdown", warning_critical, "percent", -1.0)
    flat = len(run) > 0 and not deepest and np.isfinite(run.drawdown).any()
    return Panel(
        "drawdown, %",
        "percent",
        lines=(line,),
        window=(-0.01, 0.0) if flat and not limits else None,
        marks=(*deepest, *marks.liquidations(run, run.drawdown)),
        shades=marks.shades(run, ("drawdown",), (1, 2)),
        limits=limits,
        note="".join(words for mark in deepest for words in mark.words),
    )


def attribution_area(run: RunNumbers) -> Picture:
    """P&L since the start by column, stacked, and the balance-based P&L as a line."""
    return picture_of(run, "area", "P&L by cause", run.share_class, area_panel(run))


def area_panel(run: RunNumbers) -> Panel:
    bands = tuple(
        Band(theme.column(name).name, name, values, theme.column(name).colour) for name, values in earned(run).items()
    )
    pnl = run.pnl
    return Panel(
        f"P&L since the start, {run.share_class}",
        "money",
        theme.places(run.share_class),
        bands=bands,
        lines=(Line("P&L", "pnl", pnl, ""),),
        marks=marks.liquidations(run, pnl),
    )


def gross_panel(run: RunNumbers) -> Panel | None:
    """Gross exposure, of all that moves against the share class; None where there never was any."""
    if not run.book.gross.any():
        return None
    line = Line("gross exposure", "gross", run.book.gross, theme.LEVEL)
    return Panel(
        f"gross exposure, {run.share_class}", "money", theme.places(run.share_class),
        lines=(replace(line, listed=False),), note=f"what moves against {run.share_class}",
    )  # fmt: skip


def waterfall(run: RunNumbers) -> Picture:
    """From the equity at the start over every column and the flows to the equity at the end."""
    bars = [_bar(run, "start", "initial_equity", 0.0, run.initial_equity, theme.LEVEL)]
    for name, total in totals(run.attribution).items():
        if run.counts(total):
            bars.append(_bar(run, theme.column(name).name, name, bars[-1].end, total, theme.column(name).colour))
    if run.net_flow.any():
        bars.append(_bar(run, "net flows", "net_flow", bars[-1].end, float(np.sum(run.net_flow)), theme.FLOW))
    final = float(run.equity[-1]) if len(run) else run.initial_equity
    if not np.isfinite(final):
        return picture_of(run, "waterfall", "From start to end by cause", run.share_class, note=NO_VALUES)
    bars.append(_bar(run, "end", "equity", 0.0, final, theme.LEVEL))
    edges = [edge for bar in bars for edge in ((bar.end,) if bar.level else (bar.base, bar.end))]
    low, high = min(edges), max(edges)
    room = high - low
    window, note = None, ""
    if low > 0.0 and room < 0.5 * low:
        # steps would be hairlines on an axis from 0
        room = room or 0.01 * low
        window, note = (low - 0.25 * room, high + 0.15 * room), "the axis does not begin at 0"
    title = f"equity, {run.share_class}"
    panel = Panel(title, "money", theme.places(run.share_class), bars=tuple(bars), window=window, note=note)
    return picture_of(run, "waterfall", "From start to end by cause", run.share_class, panel, whole=True)


def _bar(run: RunNumbers, name: str, key: str, base: float, value: float, colour: str) -> Bar:
    """A bar; the figure over it is short, for there may be many."""
    level = key in ("initial_equity", "equity")
    words = f"{value:,.{0 if abs(value) >= 1_000.0 else 2}f}" if level else in_short(value)
    return Bar(name, key, base, value, words.replace("-", "−"), colour, level)


def in_short(amount: float) -> str:
    """An amount in three digits and its sign, for a bar."""
    if abs(amount) >= 10_000.0:
        return f"{amount / 1_000.0:+,.1f}k"
    return f"{amount:+,.0f}" if abs(amount) >= 100.0 else f"{amount:+.{3 if abs(amount) >= 1.0 else 2}g}"


def risk(run: RunNumbers) -> Picture:
    """How near the book came to its limits: margin ratios, health factor, LTV and net delta, where there are any."""
    panels = [panel for make in (_margin, _health, _ltv, delta_panel) for panel in make(run)]
    note = "" if panels else "No measure of risk applies: the book held no perps and no debt."
    return picture_of(run, "risk", "Risk", "ratio", *panels, note=note)


def earned(run: RunNumbers) -> dict[str, np.ndarray]:
    """Cumulative P&L of the columns that ever held more than rounding, share class."""
    cumulative = {name: np.cumsum(values) for name, values in run.attribution.items()}
    return {name: values for name, values in cumulative.items() if run.counts(np.abs(values).max(initial=0.0))}


def totals(attribution: Mapping[str, np.ndarray]) -> dict[str, float]:
    """What each column earned over all rows, share class: the last value of its band."""
    return {name: float(np.cumsum(values)[-1]) if len(values) else 0.0 for name, values in attribution.items()}


# --- panels of risk --------------------------------------------------------------------------------------------------


def _margin(run: RunNumbers) -> Iterator[Panel]:
    """Worst of the hour by venue, and after fills behind it."""
    after = {venue: finite(run, f"margin_ratio|{venue}") for venue in _margined(run)}
    if not after:
        return
    worst = {venue: finite(run, f"margin_ratio|{venue}|worst") for venue in after}
    colours = theme.venue_colours(venues(run.risk))
    lines = [Line(f"{v}, after fills", f"margin_ratio|{v}", after[v], colours[v], True, group=v) for v in after]
    lines += [
        Line(f"{v}, worst of the {run.bar}", f"margin_ratio|{v}|worst", worst[v], colours[v], group=v) for v in after
    ]
    measures = [f"margin_ratio|{venue}" for venue in after]
    struck = marks.liquidations(run, worst)
    yield measured_panel(
        run, "margin ratio, % of notional", "percent", lines, measures, struck, floor=0.0, weight=2.0, both=True,
    )  # fmt: skip


def _margined(run: RunNumbers) -> list[str]:
    """Venues that ever had a margin ratio."""
    after_and_worst = {
        venue: np.stack([finite(run, f"margin_ratio|{venue}"), finite(run, f"margin_ratio|{venue}|worst")])
        for venue in venues(run.risk)
    }
    return [venue for venue, values in after_and_worst.items() if np.isfinite(values).any()]


def _health(run: RunNumbers) -> Iterator[Panel]:
    after, worst = finite(run, "health_factor"), finite(run, "health_factor|worst")
    if not (np.isfinite(after).any() or np.isfinite(worst).any()):
        return
    colour = theme.HEALTH_FACTOR
    lines = [
        Line("health factor, after fills", "health_factor", after, colour, True, group="health factor"),
        Line(f"health factor, worst of the {run.bar}", "health_factor|worst", worst, colour, group="health factor"),
    ]
    struck = marks.liquidations(run, {"aave_v3": worst})
    edge = Limit("liquidation", 1.0, theme.CRITICAL, "liquidation at 1", above=False)
    yield measured_panel(
        run, "health factor, ratio", "ratio", lines, ["health_factor"], struck, floor=1.0, more=(edge,),
        weight=1.4, both=True,
    )  # fmt: skip


def _ltv(run: RunNumbers) -> Iterator[Panel]:
    after, worst = run.risk.get("ltv"), run.risk.get("ltv|worst")
    if after is None or worst is None or not (after.any() or worst.any()):
        return
    lines = [
        Line("LTV, after fills", "ltv", finite(run, "ltv"), theme.LTV, True, group="LTV"),
        Line(f"LTV, worst of the {run.bar}", "ltv|worst", finite(run, "ltv|worst"), theme.LTV, group="LTV"),
    ]
    # without debt LTV is 0, which is far from what matters
    near = [np.where(line.values > 0.0, line.values, np.nan) for line in lines]
    yield measured_panel(
        run, "LTV, % of collateral", "percent", lines, ["ltv"], weight=1.2, both=True, near=near,
    )  # fmt: skip


def delta_panel(run: RunNumbers) -> Iterator[Panel]:
    """Net delta by asset, where the run watches it."""
    shown = {asset: values for asset, values in run.net_delta.items() if f"alert|net_delta_ratio|{asset}" in run.risk}
    if not shown or not (_margined(run) or any(values.any() for values in shown.values())):
        return
    lines = [
        Line(f"net delta, {asset}", f"net_delta_ratio|{asset}", values, theme.ASSETS[i % len(theme.ASSETS)])
        for i, (asset, values) in enumerate(shown.items())
    ]
    measures = [f"net_delta_ratio|{asset}" for asset in shown]
    mirrored = tuple(
        Limit(limit.name, -limit.value, limit.colour, "", not limit.above)
        for pair in {run.limits[name] for name in measures if name in run.limits}
        for limit in marks.limits("net_delta_ratio", pair, "percent")
    )
    yield measured_panel(run, "net delta, % of equity", "percent", lines, measures, more=mirrored)


def measured_panel(
    run: RunNumbers,
    title: str,
    kind: str,
    lines: Sequence[Line],
    measures: Sequence[str],
    struck: tuple[Marks, ...] = (),
    floor: float | None = None,
    more: tuple[Limit, ...] = (),
    weight: float = 1.0,
    both: bool = False,
    near: Sequence[np.ndarray] | None = None,
) -> Panel:
    """A panel of measures with their limits, breaches shaded and marked; the axis holds what is `near`.

    A note says what its two lines are, where there are `both`, and what the axis leaves out; for all there is no room.
    """
    at_limits = sorted({run.limits[name] for name in measures if name in run.limits})
    limits = (*(limit for pair in at_limits for limit in marks.limits(measures[0], pair, kind)), *more)
    window, beyond = window_of(near or [line.values for line in lines], [limit.value for limit in limits], floor, kind)
    strong = "" if beyond else f"strong: worst of the {run.bar}"
    note = "; ".join(filter(None, (strong, "thin: after fills", beyond))) if both else beyond
    return Panel(
        title, kind, 3 if kind == "ratio" else 2, tuple(lines), (), (), (*marks.crossings(run, measures), *struck),
        marks.shades(run, measures, (1, 2)), limits, window, note, weight,
    )  # fmt: skip


def window_of(
    values: Sequence[np.ndarray], limits: Sequence[float], floor: float | None, kind: str
) -> tuple[tuple[float, float] | None, str]:
    """Range of an axis on which what is near the limits can be read, and what that leaves out.

    A ratio of a tiny position is huge: the axis then ends at `_FAR` times the larger of median and limits.
    """
    found = np.concatenate([v[np.isfinite(v)] for v in values] or [np.empty(0)])
    if not len(found):
        return None, ""
    low, high = float(found.min()), float(found.max())
    low, top = min([low, *limits]), max([high, *limits])
    note = ""
    if floor is not None:
        low = min(low, floor)
        far = _FAR * max([float(np.median(found)), *limits])
        if top > 1.25 * far > 0.0:
            top, note = (
                far,
                f"cut at {value_in_words(far, kind)}, highest {value_in_words(high, kind)}",
            )
    span = (top - low) or abs(top) or 1.0
    # the words of a limit need room; a floor of zero is the edge of the axis itself
    above = 0.06 if not limits or top > max(limits) + 0.1 * span else 0.16
    return (low if low == floor == 0.0 else low - 0.06 * span, top + above * span), note


def finite(run: RunNumbers, name: str) -> np.ndarray:
    """(rows,) a measure with NaN where it is not finite: no position, no ratio."""
    values = run.risk.get(name)
    if values is None:
        return np.full(len(run), np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def picture_of(
    run: RunNumbers, name: str, title: str, unit: str, *panels: Panel, note: str = "", whole: bool = False
) -> Picture:
    """A picture; without a row there is nothing to draw, save what is of the run as a `whole`."""
    if not len(run) and not whole:
        panels, note = (), "The run has no rows."
    shown = in_sight(panels)
    return Picture(name, title, run.name, unit, run.stamps, shown, note if shown or not panels else NO_VALUES)


def in_sight(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The panels that have something to show; what never changes stands in the middle of its axis."""
    return tuple(_framed(panel) for panel in panels if not panel.timed or panel.reach is not None)


def _framed(panel: Panel) -> Panel:
    if not panel.timed or panel.window is not None or panel.reach is None:
        return panel
    low, high = panel.reach
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return panel
    room = 0.05 * abs(low) or (0.01 if panel.kind == "percent" else 1.0)
    return replace(panel, window=(low - room, low + room))
