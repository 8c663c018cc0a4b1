"""Everything a run works on, handed to compiled code as one address: sizes, arrays and functions (`Frame`).

By value, the two dozen arrays of a run are some 300 words in every call, which costs time where few lanes are looked at
and far more where functions are compiled. So a frame is packed into one array of words (addresses and lengths), and
`view` gives compiled code its names back. In plain Python a frame is its own view.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from . import layout as at
from .numba.jit import DECIDE
from .numba.struct_view import StructView

#: What a caller may do himself (`Frame.asks`).
NOTHING, DECISION, ROW = range(3)


class Frame(NamedTuple):
    """What the loop, and whoever works on one hour of a book, is given."""

    sizes: at.Shape
    block: Any  # (rows, lanes) the state
    record: Any  # (rows of the run, recorded); (0, recorded) records nothing
    model: at.Model
    desk: at.Desk
    advance: Any  # `loop.advance` for these sizes
    attend: Any  # `hour.attend`
    strike: Any  # `settle.strike`
    steer: Any  # `route.steer`
    decide: Any  # the strategy; called where `asks` is 0
    asks: int  # 0, or what the caller does: DECISION, or ROW (all that follows on the pass over all lanes)


#: attend, strike, steer: (words, t, lane, …) → int64
ATTEND = types.int64(types.int64[::1], types.int64, types.int64, types.int64, types.int64)

#: advance(words, start, stop, given) → (row, reason)
ADVANCE = types.UniTuple(types.int64, 2)(types.int64[::1], types.int64, types.int64, types.int64)

#: dtype and axes of every array. An axis that is not a size of the book is free, but the same wherever it is named.
_ARRAYS: dict[str, dict[str, str]] = {
    "table": {
        "venue": "i8 tokens",
        "plan": "f8 plans plan",
        "wallet": "i8 wallet",
        "twin": "i8 collaterals",
        "withdrawal": "f8 withdrawals",
        "payout": "f8 payouts payout",
    },
    "terms": {
        "venue": "f8 regimes venues terms",
        "gas": "f8 regimes gas",
        "tier": "f8 regimes perps tiers tier",
        "spot_slippage": "f8 regimes tokens spot_buckets bucket",
        "perp_slippage": "f8 regimes perps perp_buckets bucket",
        "stake": "f8 regimes tokens stake",
        "pool": "f8 regimes collaterals pool",
        "lending": "f8 regimes lending",
        "lot": "f8 regimes deep lot",
    },
    "model": {
        "hours": "f8 hours width",
        "quotes": "f8 hours quotes",
        "regime": "i8 hours",
        "busy": "u1 hours",
        "settings": "f8 settings",
    },
    "desk": {
        "seen": "f8 seen",
        "row": "f8 row",
        "hour": "f8 row",
        "param": "f8 param",
        "actions": "f8 actions action",
        "orders": "f8 orders order",
        "deal": "f8 deal",
        "need": "f8 venues",
        "surplus": "f8 venues",
        "events": "f8 events event",
        "count": "i8 one",
    },
    "frame": {"block": "f8 rows lanes", "record": "f8 kept recorded"},
}


def _axes(n: at.Shape) -> dict[str, int]:
    """Axes that a book or the layout fixes."""
    return {
        "lanes": len(n.lanes), "venues": len(n.cash), "tokens": len(n.token), "perps": at.perps(n),
        "rows": at.rows(n), "recorded": at.recorded(n), "width": at.width(n), "quotes": at.quote_width(n),
        "seen": at.viewed(n), "row": at.width(n) + at.still(n), "param": at.parameters(n), "plan": at.PLAN_WIDTH,
        "payout": at.PAYOUT_WIDTH,
        "wallet": 3, "terms": at.VENUE_TERMS, "gas": at.GAS_TERMS,
        "stake": at.STAKE_TERMS, "pool": at.POOL_TERMS, "lending": at.LENDING_TERMS, "collaterals": len(n.collateral),
        "deep": len(n.depth), "lot": at.LOT_TERMS,
        "tier": 4, "bucket": 2, "settings": at.SETTINGS,
        "actions": at.ACTIONS, "action": at.ACTION_WIDTH, "orders": at.ORDERS, "order": at.ORDER_WIDTH,
        "deal": at.DEAL_WIDTH, "event": at.EVENT_WIDTH, "one": 1,
    }  # fmt: skip


def check(frame: Frame) -> None:
    """Every array has the type and size on which compiled code relies.

    Raises
    ------
    ValueError
        Names the array, what it is and what it has to be.
    """
    axes = _axes(frame.sizes)

    def look(kind: str, parent: Any) -> None:
        for name, spec in _ARRAYS[kind].items():
            dtype, *names = spec.split()
            array = getattr(parent, name)
            wanted = tuple(axes.setdefault(axis, array.shape[i]) for i, axis in enumerate(names) if i < array.ndim)
            if array.dtype != np.dtype(dtype) or array.shape != wanted or not array.flags.c_contiguous:
                raise ValueError(
                    f"{kind}.{name} is {array.dtype} {array.shape}; it must be C-contiguous {np.dtype(dtype)} "
                    f"({', '.join(names)}) = {wanted}."
                )

    look("frame", frame)
    look("model", frame.model)
    look("table", frame.model.table)
    look("terms", frame.model.terms)
    look("desk", frame.desk)


_VIEW = StructView(
    "frame",
    {
        "sizes": dict.fromkeys(at.Shape._fields, "size"),
        "advance": ADVANCE,
        "attend": ATTEND,
        "strike": ATTEND,
        "steer": ATTEND,
        "decide": DECIDE,
        "asks": "int",
        "model": {**_ARRAYS["model"], "table": _ARRAYS["table"], "terms": _ARRAYS["terms"]},
        "desk": _ARRAYS["desk"],
        **_ARRAYS["frame"],
    },
)


#: view(words) → the frame with its names; the caller keeps the arrays alive.
view: Any = _VIEW.view
#: The same for code whose sizes are left open (`jit.open_kernel`).
open_view: Any = _VIEW.open_view


def sizes_of(n: at.Shape) -> dict[str, int]:
    """Sizes of a book as `jit.bind_sizes` takes them."""
    return _VIEW.size_constants("sizes", n)


def pack(frame: Frame) -> Any:
    """The words of a frame, for compiled code; the caller keeps the frame alive as long as they are used.

    Raises
    ------
    ValueError
        See `check`.
    """
    check(frame)
    return _VIEW.pack(frame)
