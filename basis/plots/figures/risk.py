"""Figure of the risk measures against their limits: margin ratios, health factor, LTV, net delta.

Imports numpy only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData, is_lending_token, margin_venues
from basis.plots.figures import annotations
from basis.plots.figures.common import make_picture
from basis.plots.labels import format_value
from basis.plots.picture import Limit, Line, Panel, Picture

#: An axis shows values up to this many times the larger of their median and their limits.
_MAX_AXIS_MULTIPLE = 4.0


def risk(run: RunData) -> Picture:
    """Margin ratios, health factor, LTV and net delta against their limits, as far as the run has them."""
    makers = (margin_panels, health_panels, _ltv_panels, delta_panels)
    panels = [panel for make in makers for panel in make(run)]
    note = "" if panels else "No measure of risk applies: the book held no perps and no debt."
    return make_picture(run, "risk", "Risk", "ratio", *panels, note=note)


# --- one panel a measure, or none if the run does not have it -------------------------------------------------------


def margin_panels(run: RunData) -> Iterator[Panel]:
    """Margin ratio by venue: the worst of each hour, and behind it the value after fills."""
    after = {venue: finite_measure(run, f"margin_ratio|{venue}") for venue in _venues_with_ratio(run)}
    if not after:
        return
    worst = {venue: finite_measure(run, f"margin_ratio|{venue}|worst") for venue in after}
    colours = theme.venue_colours(margin_venues(run.risk))
    lines = [Line(f"{v}, after fills", f"margin_ratio|{v}", after[v], colours[v], True, group=v) for v in after]
    lines += [
        Line(f"{v}, worst of the {run.bar_name}", f"margin_ratio|{v}|worst", worst[v], colours[v], group=v)
        for v in after
    ]
    measures = [f"margin_ratio|{venue}" for venue in after]
    limits = _limits_of(run, measures, "percent")
    panel = _measure_panel(run, "margin ratio, % of notional", "percent", lines, measures, limits, floor=0.0)
    yield replace(panel, marks=(*panel.marks, *annotations.liquidation_marks(run, worst)), weight=2.0)


def _venues_with_ratio(run: RunData) -> list[str]:
    """Venues whose margin ratio was ever finite."""
    after_and_worst = {
        venue: [finite_measure(run, f"margin_ratio|{venue}"), finite_measure(run, f"margin_ratio|{venue}|worst")]
        for venue in margin_venues(run.risk)
    }
    return [venue for venue, values in after_and_worst.items() if np.isfinite(values).any()]


def health_panels(run: RunData) -> Iterator[Panel]:
    """Health factor: the worst of each hour, and behind it the value after fills."""
    after, worst = finite_measure(run, "health_factor"), finite_measure(run, "health_factor|worst")
    if not (np.isfinite(after).any() or np.isfinite(worst).any()):
        return
    colour, name = theme.HEALTH_FACTOR, "health factor"
    lines = [
        Line(f"{name}, after fills", "health_factor", after, colour, True, group=name),
        Line(f"{name}, worst of the {run.bar_name}", "health_factor|worst", worst, colour, group=name),
    ]
    liquidation = Limit("liquidation", 1.0, theme.CRITICAL, "liquidation at 1", above=False)
    limits = (*_limits_of(run, ["health_factor"], "ratio"), liquidation)
    panel = _measure_panel(run, "health factor, ratio", "ratio", lines, ["health_factor"], limits, floor=1.0)
    liquidations = annotations.liquidation_marks(run, dict.fromkeys(_liquidated_lenders(run), worst))
    yield replace(panel, marks=(*panel.marks, *liquidations), weight=1.4)


def _liquidated_lenders(run: RunData) -> list[str]:
    """Lending protocols that liquidated the run."""
    events = run.events
    venues = events["venue"][events["kind"] == "liquidation"]
    instruments = events["instrument"][events["kind"] == "liquidation"]
    return [str(venue) for venue, key in zip(venues, instruments, strict=True) if is_lending_token(str(key))]


def _ltv_panels(run: RunData) -> Iterator[Panel]:
    """Loan to value: the worst of each hour, and behind it the value after fills."""
    after, worst = run.risk.get("ltv"), run.risk.get("ltv|worst")
    if after is None or worst is None or not (after.any() or worst.any()):
        return
    lines = [
        Line("LTV, after fills", "ltv", finite_measure(run, "ltv"), theme.LTV, True, group="LTV"),
        Line(
            f"LTV, worst of the {run.bar_name}", "ltv|worst", finite_measure(run, "ltv|worst"), theme.LTV, group="LTV"
        ),
    ]
    # without debt the LTV is 0, far below its limits: those rows do not set the range of the axis
    with_debt = [np.where(line.values > 0.0, line.values, np.nan) for line in lines]
    limits = _limits_of(run, ["ltv"], "percent")
    panel = _measure_panel(run, "LTV, % of collateral", "percent", lines, ["ltv"], limits, axis_values=with_debt)
    yield replace(panel, weight=1.2)


def delta_panels(run: RunData) -> Iterator[Panel]:
    """Net delta of each asset that the run watches, with its limits on both sides of zero."""
    shown = {asset: values for asset, values in run.net_delta.items() if f"alert|net_delta_ratio|{asset}" in run.risk}
    if not shown or not (_venues_with_ratio(run) or any(values.any() for values in shown.values())):
        return
    lines = [
        Line(f"net delta, {asset}", f"net_delta_ratio|{asset}", values, theme.ASSETS[i % len(theme.ASSETS)])
        for i, (asset, values) in enumerate(shown.items())
    ]
    measures = [f"net_delta_ratio|{asset}" for asset in shown]
    limits_below_zero = tuple(
        Limit(limit.name, -limit.value, limit.colour, "", not limit.above)
        for pair in {run.limits[name] for name in measures if name in run.limits}
        for limit in annotations.limit_lines("net_delta_ratio", pair, "percent")
    )
    limits = (*_limits_of(run, measures, "percent"), *limits_below_zero)
    yield _measure_panel(run, "net delta, % of equity", "percent", lines, measures, limits)


def _limits_of(run: RunData, measures: Sequence[str], kind: str) -> tuple[Limit, ...]:
    """Lines at the limits of the measures; measures with the same limits share them."""
    pairs = sorted({run.limits[name] for name in measures if name in run.limits})
    return tuple(limit for pair in pairs for limit in annotations.limit_lines(measures[0], pair, kind))


def _measure_panel(
    run: RunData,
    title: str,
    kind: str,
    lines: Sequence[Line],
    measures: Sequence[str],
    limits: tuple[Limit, ...],
    *,
    floor: float | None = None,
    axis_values: Sequence[np.ndarray] | None = None,
) -> Panel:
    """A panel of risk measures with their limits. Alerts are shaded, and critical ones are marked.

    Parameters
    ----------
    floor : float, optional
        Lowest value of the axis. With it, an axis that would reach far above the limits is cut.
    axis_values : sequence of numpy.ndarray, optional
        Values that set the range of the axis; by default those of the lines.

    Notes
    -----
    If some lines are faint, the note of the panel says what strong and thin lines are. If the axis is cut, it says
    that instead of explaining the strong lines, since there is not room for everything.
    """
    values = axis_values or [line.values for line in lines]
    axis_range, cut_note = axis_range_near_limits(values, [limit.value for limit in limits], floor, kind)
    note = cut_note
    if any(line.faint for line in lines):
        strong = "" if cut_note else f"strong: worst of the {run.bar_name}"
        note = "; ".join(filter(None, (strong, "thin: after fills", cut_note)))
    return Panel(
        title, kind, 3 if kind == "ratio" else 2, lines=tuple(lines), axis_range=axis_range, note=note, limits=limits,
        marks=annotations.critical_alerts(run, measures), shades=annotations.alert_shades(run, measures, (1, 2)),
    )  # fmt: skip


def axis_range_near_limits(
    values: Sequence[np.ndarray], limits: Sequence[float], floor: float | None, kind: str
) -> tuple[tuple[float, float] | None, str]:
    """Range of an axis on which values near the limits can be read, and a note if the axis is cut.

    The margin ratio of a tiny position is huge. With a `floor`, the axis therefore ends at `_MAX_AXIS_MULTIPLE` times
    the larger of the median and the limits.
    """
    found = np.concatenate([v[np.isfinite(v)] for v in values] or [np.empty(0)])
    if not len(found):
        return None, ""
    low, high = float(found.min()), float(found.max())
    low, top = min([low, *limits]), max([high, *limits])
    note = ""
    if floor is not None:
        low = min(low, floor)
        furthest = _MAX_AXIS_MULTIPLE * max([float(np.median(found)), *limits])
        if top > 1.25 * furthest > 0.0:
            top = furthest
            note = f"cut at {format_value(furthest, kind)}, highest {format_value(high, kind)}"
    span = (top - low) or abs(top) or 1.0
    # the label of a limit needs room; a floor of zero is the edge of the axis itself
    above = 0.06 if not limits or top > max(limits) + 0.1 * span else 0.16
    return (low if low == floor == 0.0 else low - 0.06 * span, top + above * span), note


def finite_measure(run: RunData, name: str) -> np.ndarray:
    """(rows,) a risk measure, with NaN for every value that is not finite: without a position there is no ratio."""
    values = run.risk.get(name)
    if values is None:
        return np.full(len(run), np.nan)
    return np.where(np.isfinite(values), values, np.nan)
