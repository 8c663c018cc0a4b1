"""What a book's state says, by the names of the run folder: one source for tables of a run and readings of an hour.

Every function gives columns, name → (rows,), of the rows it is given. Plain numpy.
"""

import functools
from typing import Any

import numpy as np

from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.jit import compiled
from ..kernel.keys import Key
from ..kernel.state import review

#: Perps are quoted, and margin stands, in this.
QUOTE = "USDT"


def measure_names(slots: Slots) -> tuple[str, ...]:
    """Names of the alert measures, in the kernel's order."""
    margins = (f"margin_ratio|{v}" for v in slots.venues)
    deltas = (f"net_delta_ratio|{a}" for a in slots.assets)
    return ("ltv", "health_factor", *margins, *deltas, "drawdown")


class StateRows:
    """Recorded rows of a book seen by name; what several tables need is made once.

    Parameters
    ----------
    run : what has `slots`, `panel`, `model`, `loop` and `record` (a bound `Book`, a `Recording`)
    first, stop : first row, and the row after the last

    Attributes
    ----------
    book : layout.Book
        Views (k, rows) of the state after each row's fills.
    hour : layout.Hour
        Views (k, rows) of the coefficients.
    """

    def __init__(self, run: Any, first: int, stop: int) -> None:
        self.run, self.first, self.stop = run, first, stop
        self.slots: Slots = run.slots
        self.panel = run.panel
        self.shape = self.slots.shape()
        self.span = slice(first, stop)
        self.whole = at.book(self.shape, run.record.T)
        self.book = at.book(self.shape, run.record.T[:, self.span])
        self.hour = at.hour_of(self.shape, run.model.hours.T[:, self.span])
        self.quote = at.quote_of(self.shape, run.model.quotes.T[:, self.span])
        self.share_class = self.slots.share_class

    @property
    def capital(self) -> float:
        """What the run accounts for, share class."""
        return float(at.book(self.shape, self.run.block).stat[at.CAPITAL, 0])

    def __len__(self) -> int:
        return self.stop - self.first

    @functools.cached_property
    def perps(self) -> list[tuple[int, int, int, Key]]:
        """Perps that the book really has: place in the grid, slot, venue, key."""
        markets = len(self.slots.markets)
        base = at.first_perp(self.shape)
        grid = enumerate(self.slots.perp)
        return [(i, base + i, i // markets, key) for i, key in grid if key in self.slots.held]

    @functools.cached_property
    def margined(self) -> list[tuple[int, str]]:
        """Venues with a perp, with their place."""
        held = {v for _, _, v, _ in self.perps}
        return [(v, name) for v, name in enumerate(self.slots.venues) if v in held]

    @functools.cached_property
    def maintenance(self) -> np.ndarray:
        """(rows, 2 * venues) maintenance margin over notional: after fills, and at the hour's extremes."""
        out = np.zeros((len(self), 2 * len(self.slots.venues)))
        args = (self.run.loop.words, self.first, self.stop, out)
        compiled(review, args)(*args)
        return out

    def increments(self, cumulative: np.ndarray) -> np.ndarray:
        """Increments by row of a cumulative line of the whole record."""
        first, stop = self.span.start, self.span.stop
        line = cumulative[first:stop]
        before = cumulative[first - 1] if first else 0.0
        return np.diff(line, prepend=before)


def equity(rows: StateRows) -> dict[str, np.ndarray]:
    """Equity, flows, and P&L balance-based and attributed (accounting §5)."""
    head, panel = rows.book.head, rows.panel
    balance = head[at.EQUITY] - rows.capital - head[at.FLOWS]
    attributed = np.zeros(len(rows))
    for line in rows.book.column:
        attributed = attributed + line
    usd = panel.columns.get("usd|USDT")
    worth = np.ones(len(rows)) if usd is None else usd[rows.span]
    if rows.share_class != "USDT":
        worth = worth * panel.columns[f"spot|{rows.share_class}"][rows.span]
    return {
        "equity": head[at.EQUITY],
        "net_flow": head[at.FLOW],
        "withdrawal_pending": head[at.PENDING],
        "pnl_balance": balance,
        "pnl_attributed": attributed,
        "residual": balance - attributed,
        "share_class_usd": worth,
    }


def attribution(rows: StateRows) -> dict[str, np.ndarray]:
    """Increments of every attribution column, funding by venue beside the sum."""
    columns = {name: rows.increments(rows.whole.column[c]) for c, name in enumerate(at.COLUMN_NAMES)}
    for v, venue in rows.margined:
        columns[f"funding_pnl|{venue}"] = rows.increments(rows.whole.funding[v])
    return columns


def positions(rows: StateRows) -> dict[str, np.ndarray]:
    """Stored quantities after the row's fills, costs of perps, and what is under way."""
    book, slots = rows.book, rows.slots
    columns = {}
    moving = len(slots.cash) + len(slots.token)
    for i, key in enumerate(slots.keys[: at.first_perp(rows.shape)]):
        columns[str(key)] = book.q[i]
        if i < moving:
            columns[f"{key}|in_transit"] = book.transit[i]
    for i, slot, _, key in rows.perps:
        columns[str(key)] = book.q[slot]
        columns[f"{key}|cost"] = book.cost[i]
    return columns


def exposure(rows: StateRows) -> dict[str, np.ndarray]:
    """Gross, delta by asset, and worth of every instrument; the worths sum to the equity."""
    book, hour, slots = rows.book, rows.hour, rows.slots
    held = book.head[at.EQUITY]
    columns = {"gross": book.head[at.GROSS]}
    for a, asset in enumerate(slots.assets):
        columns[f"net_delta|{asset}"] = book.delta[a]
    for a, asset in enumerate(slots.assets):
        worth = book.delta[a] * hour.asset[a]
        # as in the kernel, a book without equity has no ratio
        columns[f"net_delta_ratio|{asset}"] = np.divide(worth, held, out=np.zeros_like(held), where=held > 0.0)
    moving = len(slots.cash) + len(slots.token)
    for i, key in enumerate(slots.keys[: at.first_perp(rows.shape)]):
        units = book.q[i] + book.transit[i] if i < moving else book.q[i]
        columns[f"value|{key}"] = units * hour.value[i]
    for i, slot, v, key in rows.perps:
        columns[f"value|{key}"] = book.q[slot] * hour.value[slot] - book.cost[i] * hour.value[v]
    return columns


def risk(rows: StateRows) -> dict[str, np.ndarray]:
    """Risk measures after fills, before decisions and at the hour's extremes, and alert levels.

    `ltv|worst` and `health_factor|worst` are those before decisions: nothing on-chain is tested inside the hour.
    """
    book, slots = rows.book, rows.slots
    venues = len(slots.venues)
    told = book.head[at.TAILED] > 0.0
    columns = {}

    def add(name: str, after: np.ndarray, before: np.ndarray, worst: np.ndarray | None = None) -> None:
        columns[name] = after
        # where nothing was decided, nothing changed
        columns[f"{name}|before"] = np.where(told, before, after)
        columns[f"{name}|worst"] = columns[f"{name}|before"] if worst is None else worst

    add("ltv", book.head[at.LTV], book.before[0])
    add("health_factor", book.head[at.HEALTH_FACTOR], book.before[1])
    for v, venue in rows.margined:
        add(f"margin_ratio|{venue}", book.margin[v], book.before[2 + v], book.worst[v])
    for v, venue in rows.margined:
        after, worst = rows.maintenance[:, v], rows.maintenance[:, venues + v]
        add(f"maintenance_ratio|{venue}", after, book.before[2 + venues + v], worst)
    margined = {f"margin_ratio|{venue}" for _, venue in rows.margined}
    for j, measure in enumerate(measure_names(slots)):
        if not measure.startswith("margin_ratio|") or measure in margined:
            columns[f"alert|{measure}"] = book.alert[j].astype(np.int8)
    return columns
