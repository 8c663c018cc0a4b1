"""What a book's state says, by the names of the run folder: one source for tables of a run and readings of an hour.

Every function gives columns, name → (rows,), of the rows it is given. Plain numpy.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.frame import pack
from ..kernel.hour import KEEP
from ..kernel.keys import Key
from ..kernel.state import maintenance, worths
from ..market.sources.clock import iso

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
    record : (rows, recorded) those rows, and before them the row before the first where there is one; None takes the
        run's

    Attributes
    ----------
    book : layout.Book
        Views (k, rows) of the state after each row's fills.
    hour, quote : layout.Hour, layout.Quote
        Views (k, rows) of the coefficients and quotes.
    """

    def __init__(self, run: Any, first: int, stop: int, record: np.ndarray | None = None) -> None:
        self.run, self.first, self.stop, self.kept = run, first, stop, record
        self.slots: Slots = run.slots
        self.panel = run.panel
        self.shape = self.slots.shape()
        self.span = slice(first, stop)
        # the rows and, if there is one, the row before
        before = min(first, 1)
        kept = run.record[first - before : stop] if record is None else record
        self.whole = at.book(self.shape, kept.T)
        self.book = at.book(self.shape, kept.T[:, before:])
        self.share_class = self.slots.share_class

    @functools.cached_property
    def hour(self) -> at.Hour:
        return at.hour_of(self.shape, self.run.model.hours.T[:, self.span])

    @functools.cached_property
    def quote(self) -> at.Quote:
        return at.quote_of(self.shape, self.run.model.quotes.T[:, self.span])

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
        return self._reviewed(maintenance, len(self.slots.venues))

    @functools.cached_property
    def worths(self) -> np.ndarray:
        """(rows, slots) worth of every slot, share class, what is under way to it included."""
        return self._reviewed(worths, len(self.slots.keys))

    def _reviewed(self, review: Callable[[Any, int, int, int], np.ndarray], width: int) -> np.ndarray:
        """What the kernel makes of recorded rows."""
        if self.kept is None:
            return review(self.run.loop.words, self.first, self.stop, width)
        before = min(self.first, 1)
        rows, model = slice(self.first - before, self.stop), self.run.model
        seen = {name: getattr(model, name)[rows] for name in ("hours", "quotes", "regime", "busy")}
        frame = self.run.loop.frame._replace(record=self.kept, model=model._replace(**seen))
        return review(pack(frame), before, before + len(self), width)

    def increments(self, cumulative: np.ndarray) -> np.ndarray:
        """Increments by row of a cumulative line of `whole`."""
        return np.diff(cumulative) if self.first else np.diff(cumulative, prepend=0.0)


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
    for slot, key in enumerate(slots.keys[: at.first_perp(rows.shape)]):
        columns[f"value|{key}"] = rows.worths[:, slot]
    for _, slot, _, key in rows.perps:
        columns[f"value|{key}"] = rows.worths[:, slot]
    return columns


def risk(rows: StateRows) -> dict[str, np.ndarray]:
    """Risk measures after fills, before decisions and at the hour's extremes, and alert levels."""
    book, slots = rows.book, rows.slots
    venues = len(slots.venues)
    told = book.head[at.TAILED] > 0.0
    columns = {}

    def add(name: str, after: np.ndarray, before: np.ndarray, worst: np.ndarray | None = None) -> None:
        columns[name] = after
        # where nothing was decided, nothing changed
        columns[f"{name}|before"] = np.where(told, before, after)
        columns[f"{name}|worst"] = columns[f"{name}|before"] if worst is None else worst

    ltv, health = _tested(rows)
    add("ltv", book.head[at.LTV], book.before[0], ltv)
    add("health_factor", book.head[at.HEALTH_FACTOR], book.before[1], health)
    for v, venue in rows.margined:
        add(f"margin_ratio|{venue}", book.margin[v], book.before[2 + v], book.worst[v])
    for v, venue in rows.margined:
        after, worst = rows.maintenance[:, v], rows.maintenance[:, venues + v]
        add(f"maintenance_ratio|{venue}", after, book.before[2 + venues + v], worst)
    if slots.stops:
        for i, slot, _, key in rows.perps:
            is_open = book.q[slot] != 0.0
            columns[f"stop|{key}"] = np.where(is_open, book.stop[i], 0.0)
            columns[f"take_profit|{key}"] = np.where(is_open, book.take[i], 0.0)
    if slots.debt:
        columns |= _to_liquidation(rows)
    margined = {f"margin_ratio|{venue}" for _, venue in rows.margined}
    for j, measure in enumerate(measure_names(slots)):
        if not measure.startswith("margin_ratio|") or measure in margined:
            columns[f"alert|{measure}"] = book.alert[j].astype(np.int8)
    return columns


def _tested(rows: StateRows) -> tuple[np.ndarray | None, np.ndarray | None]:
    """LTV and health factor of what the hour was begun with, at its worst: the row's prices, its lowest, its highest.

    It is what a lending liquidation is decided by; None in a book that owes nothing, and as after fills in row 0.
    """
    if not rows.slots.debt:
        return None, None
    slots, book, hour, quote = rows.slots, rows.book, rows.hour, rows.quote
    lent = len(slots.collateral)
    first = len(slots.cash) + len(slots.token)
    held = rows.whole.q[first : at.first_perp(rows.shape)]
    held = held[:, :-1] if rows.first else np.concatenate((held[:, :1], held[:, :-1]), axis=1)
    ltv, health = np.zeros(len(rows)), np.full(len(rows), np.inf)
    for factor in (np.ones_like(quote.down), quote.down, quote.up):
        worth = held * factor[:-1]
        owed = np.einsum("ij,ij->j", worth[lent:], hour.owed)
        backing = np.einsum("ij,ij->j", worth[:lent], hour.oracle)
        limit = np.einsum("ij,ij->j", worth[:lent], hour.threshold)
        owes = owed > 0.0
        ratio = np.divide(owed, backing, out=np.where(owes, np.inf, 0.0), where=owes & (backing > 0.0))
        ltv = np.maximum(ltv, ratio)
        health = np.minimum(health, np.divide(limit, owed, out=np.full(len(rows), np.inf), where=owes))
    if not rows.first:
        ltv[:1], health[:1] = book.head[at.LTV, :1], book.head[at.HEALTH_FACTOR, :1]
    return ltv, health


def _to_liquidation(rows: StateRows) -> dict[str, np.ndarray]:
    """How far a lending liquidation is: the fall of the collateral's price against the debt that brings HF to 1, that
    price as a multiple of today's, and days until HF = 1 at the rates now known: supply, borrowing, and the staking
    rate of the last week (inf where HF does not fall or nothing is owed, 0 where it is 1 or less).

    d ln HF / dt is the growth of the collateral, weighted by what it lets be owed, less that of the debt.
    """
    slots, health = rows.slots, rows.book.head[at.HEALTH_FACTOR]
    count = len(slots.collateral)
    first = at.first_perp(rows.shape) - count - len(slots.debt)
    held = rows.book.q[first : at.first_perp(rows.shape)]
    worth = held * np.concatenate((rows.hour.threshold, rows.hour.owed))
    growth = np.zeros_like(worth)
    for i, key in enumerate((*slots.collateral, *slots.debt)):
        side = "supply_apr" if key.type == "aToken" else "borrow_apr"
        for name in (f"{side}|{key.reserve}", f"staking_week|{key.symbol}"):
            if name in rows.panel.columns:
                growth[i] += np.nan_to_num(rows.panel.columns[name][rows.span])
    owes = np.isfinite(health)
    with np.errstate(divide="ignore", invalid="ignore"):
        earned = (growth * worth)[:count].sum(axis=0) / worth[:count].sum(axis=0)
        owed = (growth * worth)[count:].sum(axis=0) / worth[count:].sum(axis=0)
        days = np.where(owes & (owed > earned), 365.0 * np.log(health) / (owed - earned), np.inf)
        ratio = np.where(owes & (health > 0.0), 1.0 / health, 0.0)
    safe = ~owes | (health > 1.0)
    return {
        "liquidation_distance": np.where(owes & (health <= 0.0), 0.0, 1.0 - ratio),
        "liquidation_price": ratio,
        "days_to_liquidation": np.where(safe, days, 0.0),
    }


def pnl(rows: StateRows) -> dict[str, np.ndarray]:
    """`equity` and `attribution` side by side."""
    return {**equity(rows), **attribution(rows)}


class Reading(Mapping[str, float]):
    """One row of a table of the run folder, by the same names, as it stood when it was read.

    Attributes
    ----------
    name : what was read
    timestamp : instant of its row, ns UTC; None before a run
    equity : worth of the book then, share class
    """

    __slots__ = ("_columns", "_kept", "_run", "_values", "name", "row")

    def __init__(
        self, run: Any, name: str, columns: Callable[[StateRows], dict[str, np.ndarray]], row: int, kept: np.ndarray
    ) -> None:
        self._run, self.name, self._columns, self.row, self._kept = run, name, columns, row, kept
        self._values: dict[str, float] | None = None

    @classmethod
    def of(
        cls, book: Any, name: str, columns: Callable[[StateRows], dict[str, np.ndarray]], timestamp: Any = None
    ) -> "Reading":
        """What a book says now, or said after the fills of an earlier row.

        Raises
        ------
        InputError
            Before a run, of what needs prices; for an instant outside the run.
        """
        if book.row is None and columns is positions:
            return cls(book, name, columns, 0, book.block[: at.recorded(book.slots.shape())].T.copy())
        row = book.row_of(timestamp)
        if row == book.row and not book.finished:
            book.do(KEEP)
        return cls(book, name, columns, row, book.record[max(row - 1, 0) : row + 1].copy())

    def _fill(self) -> dict[str, float]:
        if self._values is None:
            rows = StateRows(self._run, self.row, self.row + 1, self._kept)
            self._values = {name: values[0].item() for name, values in self._columns(rows).items()}
            if self._columns is exposure:
                self._values["equity"] = self.equity
        return self._values

    @property
    def timestamp(self) -> int | None:
        return None if self._run.panel is None else int(self._run.panel.timestamps[self.row])

    @property
    def equity(self) -> float:
        return float(self._kept[-1, at.EQUITY])

    def __getitem__(self, name: str) -> float:
        try:
            return self._fill()[name]
        except KeyError:
            raise KeyError(f"No {name!r} in {self.name}; there are {', '.join(self)}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._fill())

    def __len__(self) -> int:
        return len(self._fill())

    def __repr__(self) -> str:
        when = "" if self.timestamp is None else f" {iso(self.timestamp)}"
        return f"<{self.name}{when} " + ", ".join(f"{k}={v:.6g}" for k, v in self.items()) + ">"
