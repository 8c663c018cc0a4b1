"""Allocate what the loop works on and set a book to its starting state: the checked Python side of the kernel."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import layout as at
from .coefficients import Slots
from .exposure import moving_worth, perp_worth, pool_worth
from .frame import view
from .numba.jit import compiled, kernel
from .risk import maintenance_at, notional_at


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros whose first element starts on a cache line of 64 bytes."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 8)
    start = (-raw.ctypes.data % 64) // 8
    return raw[start : start + size].reshape(shape)


def copied(block: np.ndarray) -> np.ndarray:
    """A copy of a state block, aligned as it has to be."""
    out = aligned(block.shape)
    out[:] = block
    return out


def make_desk(slots: Slots, events: int, invested: Iterable[int] = ()) -> at.Desk:
    """Working space for a book.

    Parameters
    ----------
    events : rows of event buffer; 0 keeps none
    invested : slots that the strategy holds long
    """
    n = slots.shape()
    v = len(slots.cash)
    row = np.zeros(at.width(n) + at.still(n))
    h = at.hour_of(n, row)
    h.gross[:] = [slots.asset_of(k) != slots.share_class for k in slots.keys]
    h.invested[list(invested)] = 1.0
    h.member[:] = [slots.asset_of(k) == a for a in slots.assets for k in slots.keys]
    return at.Desk(
        seen=np.zeros(at.viewed(n)),
        row=row,
        hour=row.copy(),
        param=np.zeros(at.parameters(n)),
        actions=np.zeros((at.ACTIONS, at.ACTION_WIDTH)),
        orders=np.zeros((at.ORDERS, at.ORDER_WIDTH)),
        deal=np.zeros(at.DEAL_WIDTH),
        need=np.zeros(v),
        surplus=np.zeros(v),
        events=np.zeros((events, at.EVENT_WIDTH)),
        count=np.zeros(1, dtype=np.int64),
    )


def grown(desk: at.Desk) -> at.Desk:
    """The desk with twice the room for events, those written kept."""
    events = np.zeros((2 * len(desk.events), at.EVENT_WIDTH))
    events[: desk.count[0]] = desk.events[: desk.count[0]]
    return desk._replace(events=events)


def worth(slots: Slots, holdings: Mapping[str, float], hour: np.ndarray) -> float:
    """Share-class worth of holdings (and ``<key>|cost`` of perps) at one row of coefficients."""
    h = at.hour_of(slots.shape(), hour)
    total = 0.0
    for name, amount in holdings.items():
        key, _, measure = name.partition("|")
        slot = slots.index(key)
        if measure == "cost":
            total -= amount * h.value[slots.venues.index(slots.keys[slot].venue)]
        else:
            total += amount * h.value[slot]
    return total


def open_book(slots: Slots, holdings: Mapping[str, float], capital: float, lanes: int = 1) -> np.ndarray:
    """State block (rows, lanes) of a book that holds `holdings` and has `capital` to account for.

    Parameters
    ----------
    holdings : quantity by instrument key, cost K of a perp as ``<key>|cost``
    capital : what the holdings are worth in row 0, share class
    """
    n = slots.shape(lanes)
    block = aligned((at.rows(n), lanes))
    b = at.book(n, block)
    for name, amount in holdings.items():
        key, _, measure = name.partition("|")
        slot = slots.index(key)
        if measure == "cost":
            b.cost[slot - at.first_perp(n)] = amount
        else:
            b.q[slot] = amount
    b.stat[at.CAPITAL] = capital
    b.stat[at.PEAK] = capital
    b.stat[at.SCALE] = capital
    b.stat[at.DEEPEST] = capital
    b.stat[at.DEEPEST_PEAK] = capital
    b.stat[at.LEAST_BALANCE] = 1.0
    b.stat[at.NEXT_DUE] = np.inf
    b.worst[:] = np.inf
    return block


def set_policy(slots: Slots, block: np.ndarray, parameters: np.ndarray, limits: np.ndarray, liquidate: bool) -> None:
    """Put what a run follows into its state: (parameters, 1) or one column per lane, (2 * measures, …) limits."""
    b = at.book(slots.shape(block.shape[1]), block)
    b.param[:] = parameters
    b.limit[:] = limits
    b.bound[:] = 0.0 if liquidate else -at.NO_LIMIT
    b.cap[:] = 0.0 if liquidate else np.inf


@kernel
def review(words, first, stop, out):
    """Maintenance ratio (maintenance margin over notional) by venue and row: after fills, and at the hour's extremes.

    ``words`` is a packed frame whose record holds the rows, ``out`` is (stop - first, 2 * venues). The extremes meet
    the book as the row before left it, under that row's terms; 0 where nothing is open.
    """
    frame = view(words)
    n = frame.sizes
    model = frame.model
    record = frame.record
    venues = len(n.cash)
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    cells = np.zeros((at.rows(n), 1))
    marks = np.zeros(at.perps(n))
    if first > 0:
        for i in range(at.slots(n)):
            cells[b.q + i, 0] = record[first - 1, b.q + i]
    for t in range(first, stop):
        coef = model.hours[t]
        tiers = model.terms.tier[model.regime[t - 1 if t > 0 else 0]]
        for j in range(marks.shape[0]):
            marks[j] = coef[h.low + j] if cells[b.q + at.first_perp(n) + j, 0] >= 0.0 else coef[h.high + j]
        for v in range(venues):
            notional = notional_at(n, cells, marks, 0, v, 0)
            need = maintenance_at(n, cells, marks, 0, tiers, v, 0)
            out[t - first, venues + v] = need / notional if notional > 0.0 and t > 0 else 0.0
        for i in range(at.slots(n)):
            cells[b.q + i, 0] = record[t, b.q + i]
        tape = model.quotes[t]
        tiers = model.terms.tier[model.regime[t]]
        for v in range(venues):
            notional = notional_at(n, cells, tape, quote.mark, v, 0)
            need = maintenance_at(n, cells, tape, quote.mark, tiers, v, 0)
            out[t - first, v] = need / notional if notional > 0.0 else 0.0


@kernel
def appraise(words, first, stop, out):
    """Worth of every slot by row after its fills, share class; ``out`` is (stop - first, slots), see `review`."""
    frame = view(words)
    n = frame.sizes
    cells = np.zeros((at.rows(n), 1))
    for t in range(first, stop):
        coef = frame.model.hours[t]
        for i in range(at.recorded(n)):
            cells[i, 0] = frame.record[t, i]
        for i in range(len(n.cash) + len(n.token)):
            out[t - first, i] = moving_worth(n, cells, coef, i, 0)
        for i in range(len(n.cash) + len(n.token), at.first_perp(n)):
            out[t - first, i] = pool_worth(n, cells, coef, i, 0)
        for i in range(at.perps(n)):
            out[t - first, at.first_perp(n) + i] = perp_worth(n, cells, coef, i, i // len(n.market), 0)


@functools.cache
def _ready(function: Any) -> Any:
    return compiled(function, (np.zeros(1, dtype=np.int64), 0, 0, np.zeros((1, 1))))


def maintenance(words: Any, first: int, stop: int, venues: int) -> np.ndarray:
    """(rows, 2 * venues), see `review`."""
    out = np.zeros((stop - first, 2 * venues))
    _ready(review)(words, first, stop, out)
    return out


def worths(words: Any, first: int, stop: int, slots: int) -> np.ndarray:
    """(rows, slots), see `appraise`."""
    out = np.zeros((stop - first, slots))
    _ready(appraise)(words, first, stop, out)
    return out
