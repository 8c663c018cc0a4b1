"""The shape of a book: how many of each kind it has, and the places of everything in its arrays.

Slots are sorted by kind, ``cash | token | collateral | debt | perp``. Reward tokens are the last of the tokens. Perps
form a (venue x market) grid, so that those of a venue are neighbours. Compiled code asks a run for these numbers: they
are constants in the loop over hours, which is bound to each book, and are read elsewhere, so that one source serves any
book and any number of lanes.
"""

import functools
from typing import Any, NamedTuple

from .codes import COLUMNS, QUEUE, QUEUE_PER_VENUE, SIGNALS
from .inputs import FIRST_CONSTANT, HOUR, MARKET
from .state import LAST_RECORDED, PNL, POLICY, STATE, VIEW


class Shape(NamedTuple):
    """Counts of a book, and the first place of every item of its layouts."""

    lanes: int
    venues: int
    tokens: int
    collaterals: int
    debts: int
    markets: int
    assets: int
    accounts: int  # lending accounts
    rewards: int  # of the tokens, the last
    stops: int  # as many as perps where they have stops, else 0
    tradable: int  # tokens and perps
    limited: int  # as many where they trade against the volume of the hour, else 0
    signals: int
    perps: int
    slots: int
    moving: int  # cash and tokens: what can be under way
    yielding: int  # tokens, collaterals and debts
    lent: int  # collaterals and debts
    first_token: int
    first_collateral: int
    first_debt: int
    first_perp: int
    measures: int
    orders: int  # most orders of one step of a route
    queue: int  # transfers that can be under way at a time
    rows: int  # of the block
    recorded: int  # rows that are recorded
    hour_width: int  # what changes from hour to hour
    hour_end: int  # with what never changes
    market_width: int
    view_width: int
    policies: int
    pnl: Any  # rows of the block
    state: Any
    policy: Any
    hour: Any  # places in the coefficients of an hour


#: Names of the counts of a shape, which compiled code reads as integers.
COUNTS = tuple(name for name, kind in Shape.__annotations__.items() if kind is int)


class BookCounts(NamedTuple):
    """How many of each kind a book has.

    Attributes
    ----------
    stops : whether each perp has a stop and a take-profit, and the hour a signal
    limited : whether tokens and perps trade against the volume of the hour
    """

    venues: int = 0
    tokens: int = 0
    collaterals: int = 0
    debts: int = 0
    markets: int = 0
    assets: int = 0
    accounts: int = 0
    rewards: int = 0
    stops: bool = False
    limited: bool = False


@functools.cache
def make_shape(book: BookCounts, lanes: int = 1) -> Shape:
    """Shape of a book for a number of lanes."""
    venues, tokens, collaterals, debts, markets, assets = book[:6]
    perps = venues * markets
    first_perp = venues + tokens + collaterals + debts
    counts = {
        **book._asdict(), "lanes": lanes,
        "stops": perps if book.stops else 0, "tradable": tokens + perps,
        "limited": tokens + perps if book.limited else 0,
        "signals": SIGNALS if book.stops else 0, "perps": perps, "slots": first_perp + perps, "moving": venues + tokens,
        "yielding": tokens + collaterals + debts, "lent": collaterals + debts, "first_token": venues,
        "first_collateral": venues + tokens, "first_debt": venues + tokens + collaterals, "first_perp": first_perp,
        "measures": 3 + venues + assets,
        # a step sends a transfer to or from each venue, or closes each perp and opens it again, or sends two orders
        "orders": max(2, venues, 2 * perps), "queue": max(QUEUE, QUEUE_PER_VENUE * venues),
    }  # fmt: skip
    first_policy = COLUMNS + STATE.width(counts)
    hour = HOUR.places(counts)
    return Shape(
        **counts,
        rows=first_policy + POLICY.width(counts),
        recorded=STATE.end_of(LAST_RECORDED, counts, COLUMNS),
        hour_width=getattr(hour, FIRST_CONSTANT),
        hour_end=HOUR.width(counts),
        market_width=MARKET.width(counts),
        view_width=VIEW.width(counts),
        policies=POLICY.width(counts),
        pnl=PNL.places(counts),
        state=STATE.places(counts, COLUMNS),
        policy=POLICY.places(counts, first_policy),
        hour=hour,
    )


def _counts(shape: Shape) -> dict[str, int]:
    return shape._asdict()


def pnl_views(shape: Shape, state_block: Any) -> Any:
    """Attribution columns of a block (rows, lanes), or of transposed records (recorded, rows), by name."""
    return PNL.views(_counts(shape), state_block)


def state_views(shape: Shape, state_block: Any) -> Any:
    """State of a block by name; of transposed records, what is not recorded is empty."""
    return STATE.views(_counts(shape), state_block, COLUMNS)


def policy_views(shape: Shape, policy: Any) -> Any:
    """A policy (policies, lanes) by name."""
    return POLICY.views(_counts(shape), policy)


def hour_views(shape: Shape, table: Any) -> Any:
    """Coefficients by name, of a row (width,) or of a transposed table (width, rows); every item keeps its axis."""
    return HOUR.views(_counts(shape), table, keeps_axis=True)


def market_views(shape: Shape, table: Any) -> Any:
    """Market columns by name, of a (rows, width) table; an item of a single place loses the last axis."""
    return _columns(MARKET, shape, table)


def seen_views(shape: Shape, table: Any) -> Any:
    """What a strategy sees by name, of a (lanes, width) table."""
    return _columns(VIEW, shape, table)


def _columns(layout: Any, shape: Shape, table: Any) -> Any:
    return layout.Names(*[view.T for view in layout.views(_counts(shape), table.T)])
