"""Figures of the distance to liquidation. Imports numpy only.

**Perps.** The perps of a venue share their margin. Suppose all mark prices move by one fraction x. M is the margin, N
the notional, m = M / N the margin ratio, μ the maintenance ratio, and s the net over the gross notional (−1 all short,
1 all long). After the move

    M' = M + x s N,  N' = (1 + x) N,  m' = (m + s x) / (1 + x)

The venue liquidates at m' <= μ, that is at x* = (μ − m) / (s − μ). μ is the maintenance ratio of the row; a move into
another margin tier of the venue would change it.

**Loans.** h is the health factor. Suppose the price of the collateral moves by x against the debt, and then, for T
years, the collateral grows at e and the debt at b per year. The health factor becomes

    h' = h (1 + x) exp((e − b) T)

The loan is liquidated at h' < 1 (accounting §6; e and b as in `days_to_liquidation` of the risk table).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from basis.errors import InputError
from basis.plots import theme
from basis.plots.data import RunData, margin_venues
from basis.plots.figures import annotations
from basis.plots.figures.common import make_picture
from basis.plots.figures.risk import axis_range_near_limits, finite_measure
from basis.plots.labels import format_minute
from basis.plots.picture import Heatmap, Line, Panel, Picture, Point

#: Cells of a map along the move of the price, and along the margin ratio or the borrow rate.
_MAP_COLUMNS = 73
_MAP_ROWS = 49
#: A liquidation further away than this is not counted: interest rates will have changed long before.
_MAX_DAYS = 3_650.0
#: The days until liquidation have a panel if more than this share of the rows has a value.
_MIN_DAYS_SHARE = 0.1


def price_moves_to_liquidation(run: RunData) -> dict[str, np.ndarray]:
    """Venue to (rows,) move of its mark prices that leads to a liquidation, signed fraction.

    The move is 0 if the margin ratio is at or below maintenance, and NaN without perps.
    """
    found = {}
    for venue in margin_venues(run.risk):
        net_to_gross = run.positions.net_to_gross.get(venue)
        ratio = finite_measure(run, f"margin_ratio|{venue}")
        maintenance = finite_measure(run, f"maintenance_ratio|{venue}")
        if net_to_gross is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                move = np.where(ratio > maintenance, (maintenance - ratio) / (net_to_gross - maintenance), 0.0)
            found[venue] = np.where(np.isfinite(ratio) & np.isfinite(move), move, np.nan)
    return found


def collateral_fall_to_liquidation(run: RunData) -> np.ndarray:
    """(rows,) fall of the collateral against the debt that leads to a liquidation, fraction; NaN without debt."""
    has_debt = np.isfinite(finite_measure(run, "health_factor"))
    return np.where(has_debt, finite_measure(run, "liquidation_distance"), np.nan)


def liquidation_distance(run: RunData) -> Picture:
    """Move of prices, and number of days at the rates known in the row, that would have led to a liquidation."""
    price_moves, loan, days = (
        price_moves_to_liquidation(run),
        collateral_fall_to_liquidation(run),
        finite_measure(run, "days_to_liquidation"),
    )
    colours = theme.venue_colours(price_moves)
    lines = [
        Line(f"marks at {venue}", f"move|{venue}", np.abs(values), colours[venue])
        for venue, values in price_moves.items()
        if np.isfinite(values).any()
    ]
    if np.isfinite(loan).any():
        lines.append(Line("collateral against debt", "liquidation_distance", loan, theme.HEALTH_FACTOR))
    panels = []
    if lines:
        nearest = np.fmin.reduce([line.values for line in lines])
        axis_range, note = axis_range_near_limits([line.values for line in lines], [], 0.0, "percent")
        panels.append(
            Panel("move until liquidation, % of the price", "percent", lines=tuple(lines), axis_range=axis_range,
                  note=note, marks=annotations.liquidation_marks(run, nearest), weight=1.6)
        )  # fmt: skip
    shown_days = np.where(np.isfinite(loan) & (days < _MAX_DAYS), days, np.nan)
    # most carry loans become safer with time, and a handful of points would not make a line
    if np.isfinite(shown_days).sum() > _MIN_DAYS_SHARE * len(run):
        axis_range, note = axis_range_near_limits([shown_days], [], 0.0, "ratio")
        line = Line("days until liquidation", "days_to_liquidation", shown_days, theme.LTV)
        panels.append(Panel("time until liquidation, days", "days", 1, lines=(line,), axis_range=axis_range, note=note))
    note = "" if panels else "No liquidation applies: the book held no perps and no debt."
    return make_picture(run, "liquidation_distance", "Distance to liquidation", "fraction", *panels, note=note)


# --- map ---------------------------------------------------------------------------------------------------------


class PerpMargin(NamedTuple):
    """Perps of a venue in a row: margin ratio, maintenance ratio, and net over gross notional."""

    margin_ratio: float
    maintenance: float
    net_to_gross: float

    def ratio_after(self, move: np.ndarray, ratio: np.ndarray | float) -> np.ndarray:
        """Margin ratio after a move of the mark prices, if it was `ratio` before."""
        return (ratio + self.net_to_gross * move) / (1.0 + move)


class LoanHealth(NamedTuple):
    """A loan in a row: health factor, and growth per year of the collateral and of the debt."""

    health_factor: float
    supply_rate: float
    borrow_rate: float

    def health_after(self, move: np.ndarray | float, borrow_rate: np.ndarray | float, years: float) -> np.ndarray:
        """Health factor after a move of the collateral's price, and then some years at a borrow rate."""
        return self.health_factor * (1.0 + move) * np.exp((self.supply_rate - borrow_rate) * years)


def liquidation_map(
    run: RunData, at: np.datetime64 | None = None, venue: str | None = None, days: float = 30.0
) -> Picture:
    """Margin ratio, or health factor, after a move of prices: a heatmap with the boundary of liquidation.

    Raises
    ------
    InputError
        If the instant is outside the run, the venue has nothing to liquidate, or `days` is not above 0.
    """
    if not (np.isfinite(days) and days > 0.0):
        raise InputError(f"days={days!r} is not a length of time. Give a number above 0.")
    loan = _loan_moves(run)
    moves = {**price_moves_to_liquidation(run), **loan}
    moves = {name: values for name, values in moves.items() if np.isfinite(values).any()}
    if venue is not None and venue not in moves:
        known = ", ".join(moves) or "none"
        raise InputError(f"venue {venue!r} held nothing that could be liquidated. Venues that did: {known}.")
    chosen = {name: values for name, values in moves.items() if venue in (None, name)}
    row = _row(run, at, chosen)
    move_of = {name: values[row] for name, values in chosen.items() if row is not None and np.isfinite(values[row])}
    if row is None or not move_of:
        when = "" if at is None or row is None else f" at {format_minute(run.stamps[row])} UTC"
        return make_picture(
            run, "liquidation_map", "Liquidation map", "fraction",
            note=f"Nothing to liquidate{when}: the book held no perps and no debt.",
        )  # fmt: skip
    nearest = min(move_of, key=lambda name: abs(move_of[name]))
    heatmap = _loan_map(run, row, days) if nearest in loan else _perp_map(run, row, nearest)
    when = f"{format_minute(run.stamps[row])} UTC"
    title = f"Liquidation map, {nearest}, {when}"
    panel = Panel(heatmap.scale_title, "percent", heatmap=heatmap, note=f"colour: {heatmap.scale_title}")
    return make_picture(run, "liquidation_map", title, "fraction", panel)


def liquidation_maps(run: RunData) -> list[Picture]:
    """The map of the exchange that came nearest to liquidation, and that of the loan, as far as the run has them."""
    nearest = {
        name: np.nanmin(np.abs(values))
        for name, values in price_moves_to_liquidation(run).items()
        if np.isfinite(values).any()
    }
    made = [liquidation_map(run, venue=min(nearest, key=lambda name: nearest[name]))] if nearest else []
    for venue in _loan_moves(run):
        made.append(replace(liquidation_map(run, venue=venue), name="liquidation_map_loan"))
    return made


def _loan_moves(run: RunData) -> dict[str, np.ndarray]:
    """Lending venue to (rows,) move of the collateral that leads to a liquidation; empty without debt."""
    fall = collateral_fall_to_liquidation(run)
    if not np.isfinite(fall).any():
        return {}
    return {next(key.split(":")[0] for key in run.positions.growth_rates): -fall}


def _row(run: RunData, at: np.datetime64 | None, moves: dict[str, np.ndarray]) -> int | None:
    """The last row at or before an instant. Without an instant, the last row that has something to liquidate."""
    if at is None:
        held = [np.flatnonzero(np.isfinite(values))[-1] for values in moves.values()]
        return int(max(held)) if held else None
    if not len(run) or not run.stamps[0] <= at <= run.stamps[-1]:
        covered = f"{format_minute(run.stamps[0])} to {format_minute(run.stamps[-1])} UTC" if len(run) else "no rows"
        raise InputError(f"{format_minute(at)} is outside the run, which has {covered}.")
    return int(np.searchsorted(run.stamps, at, side="right")) - 1


def perp_margin(run: RunData, row: int, venue: str) -> PerpMargin:
    """Margin of a venue's perps after the fills of a row."""
    names = (f"margin_ratio|{venue}", f"maintenance_ratio|{venue}")
    ratio, maintenance = (float(run.risk[name][row]) for name in names)
    return PerpMargin(ratio, maintenance, float(run.positions.net_to_gross[venue][row]))


def loan_health(run: RunData, row: int) -> LoanHealth:
    """Health of the loan after the fills of a row. Rates of several tokens are averaged by their value."""
    rates = []
    for kind in (":aToken:", ":debtToken:"):
        keys = [key for key in run.positions.growth_rates if kind in key]
        values = np.array([abs(run.positions.values[key][row]) for key in keys])
        rates.append(
            float(np.sum(values * [run.positions.growth_rates[key][row] for key in keys]) / (values.sum() or 1.0))
        )
    return LoanHealth(float(run.risk["health_factor"][row]), *rates)


def _perp_map(run: RunData, row: int, venue: str) -> Heatmap:
    """Margin ratio after a move of the mark prices, by the margin ratio before it."""
    state = perp_margin(run, row, venue)
    move = float(price_moves_to_liquidation(run)[venue][row])
    reach = float(np.clip(1.6 * abs(move), 0.1, 0.95))
    top = max(1.6 * state.margin_ratio, 0.1)
    # without simulated liquidations a margin ratio can be negative; the map still shows it
    foot = min(1.6 * state.margin_ratio, 0.0)
    x, y = np.linspace(-reach, reach, _MAP_COLUMNS), np.linspace(foot, top, _MAP_ROWS)
    values = state.ratio_after(x[None], y[:, None])
    boundary_ratio = state.maintenance * (1.0 + x) - state.net_to_gross * x
    boundary = np.stack([x, np.where((boundary_ratio >= foot) & (boundary_ratio <= top), boundary_ratio, np.nan)])
    hover_template = "margin ratio {y:.1%} before and {z:.1%} after a move of {x:+.1%}"
    now = Point(
        0.0, state.margin_ratio, "the book",
        f"the book: margin ratio {state.margin_ratio:.2%}, liquidation at a move of {move:+.2%}",
    )  # fmt: skip
    return Heatmap(
        x, y, values, hover_template, None, centre=state.maintenance, half_range=max(state.margin_ratio, 0.05),
        scale_title="margin ratio after the move, %", x_title=f"move of the prices at {venue}, %",
        y_title="margin ratio before it, %", boundary=boundary,
        boundary_name=f"liquidation at {state.maintenance:.2%}", points=(now,),
    )  # fmt: skip


def _loan_map(run: RunData, row: int, days: float) -> Heatmap:
    """Health factor after a move of the collateral's price, by the borrow rate of the days that follow."""
    state, years = loan_health(run, row), days / 365.0
    margin = 1.0 - 1.0 / state.health_factor if state.health_factor > 1.0 else 0.0
    reach = float(np.clip(1.8 * margin, 0.02, 0.95))
    # the borrow rate that liquidates the loan without any move of the price
    critical_rate = state.supply_rate + np.log(max(state.health_factor, 1.0)) / years
    top = float(np.clip(1.25 * critical_rate, max(0.2, 2.0 * state.borrow_rate), 10.0))
    x, y = np.linspace(-reach, 0.25 * reach, _MAP_COLUMNS), np.linspace(0.0, top, _MAP_ROWS)
    values = state.health_after(x[None], y[:, None], years)
    boundary_x = np.exp((y - state.supply_rate) * years) / state.health_factor - 1.0
    boundary = np.stack([np.where((boundary_x >= x[0]) & (boundary_x <= x[-1]), boundary_x, np.nan), y])
    hover_template = f"{days:g} days at {{y:.1%}} a year and a move of {{x:+.1%}}: health factor {{z:.3f}}"
    now = Point(
        0.0, state.borrow_rate, "the book",
        f"the book: health factor {state.health_factor:.4f}, borrow rate {state.borrow_rate:.2%} a year; "
        f"{days:g} days later {float(state.health_after(0.0, state.borrow_rate, years)):.4f}",
    )  # fmt: skip
    return Heatmap(
        x, y, values, hover_template, None, centre=1.0, half_range=max(state.health_factor - 1.0, 0.02),
        scale_title="health factor after the move and the days",
        x_title="move of the collateral's oracle price against the debt, %",
        y_title=f"borrow rate for {days:g} days, % a year", boundary=boundary, boundary_name="liquidation at 1",
        points=(now,),
    )  # fmt: skip
