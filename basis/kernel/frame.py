"""Everything a run works on, handed to compiled code as one address: sizes, arrays and functions (`Frame`).

By value, the two dozen arrays of a run are some 300 words in every call, which costs time where few lanes are looked at
and far more where functions are compiled. So a frame is packed into one array of words (addresses and lengths), and
`view` gives compiled code its names back. In plain Python a frame is its own view.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    models,
    register_model,
)
from numba.np.arrayobj import populate_array

from . import layout as at
from .jit import DECIDE, address_of

#: What a caller may do himself (`Frame.asks`).
NOTHING, DECISION, ROW = range(3)


class Frame(NamedTuple):
    """What the loop, and whoever works on one hour of a book, is given."""

    sizes: at.Shape
    block: Any  # (rows, lanes) the state
    record: Any  # (rows of the run, recorded); (0, recorded) records nothing
    model: at.Model
    desk: at.Desk
    attend: Any  # `hour.attend`
    decide: Any  # the strategy; called where `asks` is 0
    asks: int  # 0, or what the caller does: DECISION, or ROW (all that follows on the pass over all lanes)


#: attend(words, t, lane, part, given) → int64
ATTEND = types.int64(types.int64[::1], types.int64, types.int64, types.int64, types.int64)

_DTYPES = {"f8": types.float64, "i8": types.int64, "u1": types.uint8}
#: dtype and axes of every array. An axis that is not a size of the book is free, but the same wherever it is named.
_ARRAYS: dict[str, dict[str, str]] = {
    "table": {"venue": "i8 tokens", "plan": "f8 plans plan", "wallet": "i8 wallet", "withdrawal": "f8 withdrawals"},
    "terms": {
        "venue": "f8 regimes venues terms",
        "gas": "f8 regimes gas",
        "tier": "f8 regimes perps tiers tier",
        "spot_slippage": "f8 regimes tokens spot_buckets bucket",
        "perp_slippage": "f8 regimes perps perp_buckets bucket",
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
        "wallet": 3, "terms": at.VENUE_TERMS, "gas": at.GAS_TERMS, "tier": 4, "bucket": 2, "settings": at.SETTINGS,
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


# --- Numba types ----------------------------------------------------------------------------------------------------


class _Size(types.Type):
    """An integer with a length, as a tuple has one."""


class _Struct(types.Type):
    """Names for places in the words of a frame; a value is the address of the words."""

    def __init__(self, name: str, fields: Mapping[str, tuple[int, types.Type]]) -> None:
        self.fields = dict(fields)
        super().__init__(name=f"basis.{name}")


_SIZE = _Size("basis.size")
_INT64 = ir.IntType(64)
register_model(_Struct)(models.OpaqueModel)


@register_model(_Size)
class _SizeModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _INT64)


_typing_of_len: Any = infer_global(len)


@_typing_of_len
class _SizeLen(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.intp, args[0]) if isinstance(args[0], _Size) else None


@lower_builtin(len, _Size)
def _size_len(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


@infer_getattr
class _StructFields(AttributeTemplate):
    key = _Struct

    def generic_resolve(self, struct: Any, name: str) -> Any:
        return struct.fields[name][1] if name in struct.fields else None


@lower_getattr_generic(_Struct)
def _field(context: Any, builder: Any, struct: Any, pointer: Any, name: str) -> Any:
    place, kind = struct.fields[name]
    if isinstance(kind, _Struct):
        return pointer
    words = builder.bitcast(pointer, _INT64.as_pointer())

    def word(i: int) -> Any:
        value = builder.load(builder.gep(words, [ir.Constant(_INT64, place + i)]))
        # the words never change while compiled code runs
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value

    if isinstance(kind, types.FunctionType):
        function = cgutils.create_struct_proxy(kind)(context, builder)
        nothing = context.get_constant_null(types.voidptr)
        function.c_addr = function.py_addr = nothing
        function.jit_addr = builder.inttoptr(word(0), nothing.type)
        return function._getvalue()
    if not isinstance(kind, types.Array):
        return word(0)
    lengths = [word(1 + axis) for axis in range(kind.ndim)]
    array = context.make_array(kind)(context, builder)
    item = ir.Constant(_INT64, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [item]
    for length in reversed(lengths[1:]):
        strides.insert(0, builder.mul(length, strides[0]))
    data = builder.inttoptr(word(0), array.data.type)
    populate_array(array, data=data, shape=lengths, strides=strides, itemsize=item, meminfo=None)
    return array._getvalue()


def _make_struct() -> tuple[_Struct, int]:
    place = 0

    def take(words: int) -> int:
        nonlocal place
        place += words
        return place - words

    def arrays(kind: str) -> dict[str, tuple[int, types.Type]]:
        found = {}
        for name, spec in _ARRAYS[kind].items():
            dtype, *names = spec.split()
            found[name] = (take(1 + len(names)), types.Array(_DTYPES[dtype], len(names), "C"))
        return found

    sizes = {name: (take(1), _SIZE) for name in at.Shape._fields}
    table, terms = (_Struct(kind, arrays(kind)) for kind in ("table", "terms"))
    fields: dict[str, tuple[int, types.Type]] = {
        "sizes": (0, _Struct("sizes", sizes)),
        "attend": (take(1), types.FunctionType(ATTEND)),
        "decide": (take(1), types.FunctionType(DECIDE)),
        "asks": (take(1), types.int64),
        "model": (0, _Struct("model", {**arrays("model"), "table": (0, table), "terms": (0, terms)})),
        "desk": (0, _Struct("desk", arrays("desk"))),
        **arrays("frame"),
    }
    return _Struct("frame", fields), place


_FRAME, _WORDS = _make_struct()


@intrinsic
def _view(typingctx: Any, words: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.bitcast(data, context.get_value_type(sig.return_type))

    return _FRAME(words), generate


def _as_it_is(frame: Any) -> Any:
    return frame


#: view(words) → the frame with its names; the caller keeps the arrays alive.
view: Any = _as_it_is if config.DISABLE_JIT else _view


def pack(frame: Frame) -> Any:
    """The words of a frame, for compiled code; the caller keeps the frame alive as long as they are used.

    Raises
    ------
    ValueError
        See `check`.
    """
    check(frame)
    if config.DISABLE_JIT:
        return frame
    words = np.zeros(_WORDS, dtype=np.int64)

    def put(struct: _Struct, parent: Any) -> None:
        for name, (place, kind) in struct.fields.items():
            part = getattr(parent, name)
            if isinstance(kind, _Struct):
                put(kind, part)
            elif isinstance(kind, types.FunctionType):
                words[place] = address_of(part, kind.signature)
            elif isinstance(kind, types.Array):
                words[place : place + 1 + kind.ndim] = (part.ctypes.data, *part.shape)
            else:
                words[place] = len(part) if kind is _SIZE else part

    put(_FRAME, frame)
    return words
