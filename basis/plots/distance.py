"""Pictures of how far a liquidation was. Imports numpy only.

Perps of a venue are margined together, and all marks move by one fraction x. With M the margin, N the notional,
m = M / N the margin ratio, μ the maintenance ratio and s the signed share of the notional (−1 all short, 1 all long),
after it

    M' = M + x s N,  N' = (1 + x) N,  m' = (m + s x) / (1 + x)

and the venue liquidates where m' <= μ, so at x* = (μ − m) / (s − μ). μ is that of the row: a move into another tier of
the venue changes it. A loan with health factor h, whose collateral moves by x against what is owed, and whose
collateral then grows at a rate e a year and its debt at b for T years, has

    h' = h (1 + x) exp((e − b) T)

and is liquidated where h' < 1 (accounting §6; e and b as in `days_to_liquidation` of the risk table).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from basis.errors import InputError
from basis.plots import marks, theme
from basis.plots.pictures import Grid, Line, Panel, Picture, Point
from basis.plots.prepare import finite, picture_of, window_of
from basis.plots.run import RunNumbers, minute, venues

#: Cells of a map across and up.
_ACROSS, _UP = 73, 49
_LOAN = "aave_v3"
#: Days after which rates are others, so that a liquidation then is none; share of the rows above which the days until
#: one have a panel.
_NEVER, _OFTEN = 3_650.0, 0.1


def moves(run: RunNumbers) -> dict[str, np.ndarray]:
    """Venue → (rows,) move of its marks at which it liquidates, signed fraction; 0 where it is there, NaN without."""
    found = {}
    for venue in venues(run.risk):
        side = run.book.sides.get(venue)
        ratio, least = finite(run, f"margin_ratio|{venue}"), finite(run, f"maintenance_ratio|{venue}")
        if side is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                move = np.where(ratio > least, (least - ratio) / (side - least), 0.0)
            found[venue] = np.where(np.isfinite(ratio) & np.isfinite(move), move, np.nan)
    return found


def fall(run: RunNumbers) -> np.ndarray:
    """(rows,) fall of the collateral against what is owed that liquidates the loan; NaN where nothing is owed."""
    owes = np.isfinite(finite(run, "health_factor"))
    return np.where(owes, finite(run, "liquidation_distance"), np.nan)


def liquidation_distance(run: RunNumbers) -> Picture:
    """How far prices had to move, and how many days had to pass at the rates then known."""
    far, loan, days = moves(run), fall(run), finite(run, "days_to_liquidation")
    colours = theme.venue_colours(far)
    lines = [
        Line(f"marks at {venue}", f"move|{venue}", np.abs(values), colours[venue])
        for venue, values in far.items()
        if np.isfinite(values).any()
    ]
    if np.isfinite(loan).any():
        lines.append(Line("collateral against debt", "liquidation_distance", loan, theme.HEALTH_FACTOR))
    panels = []
    if lines:
        nearest = np.fmin.reduce([line.values for line in lines])
        window, note = window_of([line.values for line in lines], [], 0.0, "percent")
        panels.append(
            Panel("move until liquidation, % of the price", "percent", lines=tuple(lines), window=window, note=note,
                  marks=marks.liquidations(run, nearest), weight=1.6)
        )  # fmt: skip
    owed = np.where(np.isfinite(loan) & (days < _NEVER), days, np.nan)
    # most loans of a carry get safer by themselves, and a few dots are no line
    if np.isfinite(owed).sum() > _OFTEN * len(run):
        window, note = window_of([owed], [], 0.0, "ratio")
        line = Line("days until liquidation", "days_to_liquidation", owed, theme.LTV)
        panels.append(Panel("time until liquidation, days", "days", 1, lines=(line,), window=window, note=note))
    note = "" if panels else "No liquidation applies: the book held no perps and no debt."
    return picture_of(run, "liquidation_distance", "Distance to liquidation", "fraction", *panels, note=note)


# --- the map ---------------------------------------------------------------------------------------------------------


class PerpState(NamedTuple):
    """Perps of a venue in a row: margin ratio, maintenance ratio, signed share of the notional."""

    ratio: float
    least: float
    side: float

    def after(self, move: np.ndarray, ratio: np.ndarray | float) -> np.ndarray:
        """Margin ratio after a move, had it been `ratio` before."""
        return (ratio + self.side * move) / (1.0 + move)


class LoanState(NamedTuple):
    """A loan in a row: health factor, rates a year of the collateral and of the debt."""

    health: float
    earned: float
    owed: float

    def after(self, move: np.ndarray | float, rate: np.ndarray | float, years: float) -> np.ndarray:
        """Health factor after a move of the collateral, and some time at a borrow rate."""
        return self.health * (1.0 + move) * np.exp((self.earned - rate) * years)


def liquidation_map(
    run: RunNumbers, at: np.datetime64 | None = None, venue: str | None = None, days: float = 30.0
) -> Picture:
    """Margin ratio or health factor over moves of the price and margin or borrow rate, with the line of liquidation.

    Raises
    ------
    InputError
        For an instant outside the run, a venue that has nothing to liquidate, or days that are no length of time.
    """
    if not (np.isfinite(days) and days > 0.0):
        raise InputError(f"days={days!r} is no length of time; give a number above 0.")
    away = {**moves(run), **({_LOAN: -fall(run)} if np.isfinite(fall(run)).any() else {})}
    away = {name: values for name, values in away.items() if np.isfinite(values).any()}
    if venue is not None and venue not in away:
        known = ", ".join(away) or "none"
        raise InputError(f"venue {venue!r} held nothing that could be liquidated; there are: {known}.")
    chosen = {name: values for name, values in away.items() if venue in (None, name)}
    row = _row(run, at, chosen)
    there = {name: values[row] for name, values in chosen.items() if row is not None and np.isfinite(values[row])}
    if row is None or not there:
        when = "" if at is None or row is None else f" at {minute(run.stamps[row])} UTC"
        return picture_of(
            run, "liquidation_map", "Liquidation map", "fraction",
            note=f"Nothing to liquidate{when}: the book held no perps and no debt.",
        )  # fmt: skip
    nearest = min(there, key=lambda name: abs(there[name]))
    grid = _loan_map(run, row, days) if nearest == _LOAN else _perp_map(run, row, nearest)
    when = f"{minute(run.stamps[row])} UTC"
    title = f"Liquidation map, {nearest}, {when}"
    panel = Panel(grid.scale, "percent", grid=grid, note=f"colour: {grid.scale}")
    return picture_of(run, "liquidation_map", title, "fraction", panel)


def maps(run: RunNumbers) -> list[Picture]:
    """The map of the exchange that was nearest to liquidation and that of the loan, where the book had them."""
    nearest = {name: np.nanmin(np.abs(values)) for name, values in moves(run).items() if np.isfinite(values).any()}
    made = [liquidation_map(run, venue=min(nearest, key=lambda name: nearest[name]))] if nearest else []
    if np.isfinite(fall(run)).any():
        made.append(replace(liquidation_map(run, venue=_LOAN), name="liquidation_map_loan"))
    return made


def _row(run: RunNumbers, at: np.datetime64 | None, away: dict[str, np.ndarray]) -> int | None:
    """The last row at or before an instant; without one, the last row that has something to liquidate."""
    if at is None:
        held = [np.flatnonzero(np.isfinite(values))[-1] for values in away.values()]
        return int(max(held)) if held else None
    if not len(run) or not run.stamps[0] <= at <= run.stamps[-1]:
        span = f"{minute(run.stamps[0])} to {minute(run.stamps[-1])} UTC" if len(run) else "no row"
        raise InputError(f"{minute(at)} is outside the run: it has {span}.")
    return int(np.searchsorted(run.stamps, at, side="right")) - 1


def perp_state(run: RunNumbers, row: int, venue: str) -> PerpState:
    """State of a venue's perps after the fills of a row."""
    names = (f"margin_ratio|{venue}", f"maintenance_ratio|{venue}")
    ratio, least = (float(run.risk[name][row]) for name in names)
    return PerpState(ratio, least, float(run.book.sides[venue][row]))


def loan_state(run: RunNumbers, row: int) -> LoanState:
    """State of the loan after the fills of a row; rates of several tokens are weighted by their worth."""
    rates = []
    for kind in (":aToken:", ":debtToken:"):
        keys = [key for key in run.book.growth if kind in key]
        worth = np.array([abs(run.book.values[key][row]) for key in keys])
        rates.append(float(np.sum(worth * [run.book.growth[key][row] for key in keys]) / (worth.sum() or 1.0)))
    return LoanState(float(run.risk["health_factor"][row]), *rates)


def _perp_map(run: RunNumbers, row: int, venue: str) -> Grid:
    state = perp_state(run, row, venue)
    away = float(moves(run)[venue][row])
    reach = float(np.clip(1.6 * abs(away), 0.1, 0.95))
    top = max(1.6 * state.ratio, 0.1)
    # a book that is liquidated by nobody may be below zero, and is on the map all the same
    foot = min(1.6 * state.ratio, 0.0)
    x, y = np.linspace(-reach, reach, _ACROSS), np.linspace(foot, top, _UP)
    values = state.after(x[None], y[:, None])
    struck = state.least * (1.0 + x) - state.side * x
    edge = np.stack([x, np.where((struck >= foot) & (struck <= top), struck, np.nan)])
    words = "margin ratio {y:.1%} before and {z:.1%} after a move of {x:+.1%}"
    now = Point(
        0.0, state.ratio, "the book",
        f"the book: margin ratio {state.ratio:.2%}, liquidation at a move of {away:+.2%}",
    )  # fmt: skip
    return Grid(
        x, y, values, words, None, state.least, max(state.ratio, 0.05), "margin ratio after the move, %",
        f"move of the prices at {venue}, %", "margin ratio before it, %", edge,
        f"liquidation at {state.least:.2%}", (now,),
    )  # fmt: skip


def _loan_map(run: RunNumbers, row: int, days: float) -> Grid:
    state, years = loan_state(run, row), days / 365.0
    away = 1.0 - 1.0 / state.health if state.health > 1.0 else 0.0
    reach = float(np.clip(1.8 * away, 0.02, 0.95))
    # the rate at which the days alone are enough
    enough = state.earned + np.log(max(state.health, 1.0)) / years
    top = float(np.clip(1.25 * enough, max(0.2, 2.0 * state.owed), 10.0))
    x, y = np.linspace(-reach, 0.25 * reach, _ACROSS), np.linspace(0.0, top, _UP)
    values = state.after(x[None], y[:, None], years)
    edge_x = np.exp((y - state.earned) * years) / state.health - 1.0
    edge = np.stack([np.where((edge_x >= x[0]) & (edge_x <= x[-1]), edge_x, np.nan), y])
    words = f"{days:g} days at {{y:.1%}} a year and a move of {{x:+.1%}}: health factor {{z:.3f}}"
    now = Point(
        0.0, state.owed, "the book",
        f"the book: health factor {state.health:.4f}, borrow rate {state.owed:.2%} a year; "
        f"{days:g} days later {float(state.after(0.0, state.owed, years)):.4f}",
    )  # fmt: skip
    return Grid(
        x, y, values, words, None, 1.0, max(state.health - 1.0, 0.02), "health factor after the move and the days",
        "move of the collateral's oracle price against the debt, %", f"borrow rate for {days:g} days, % a year", edge,
        "liquidation at 1", (now,),
    )  # fmt: skip
