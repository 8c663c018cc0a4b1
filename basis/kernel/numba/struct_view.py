"""Names over addresses: a struct of arrays is handed to compiled code as one array of words, and read by its names.

By value, the two dozen arrays of a run are some 300 words in every call. So they are packed into one int64 array, the
handle: addresses, lengths, counts. A `StructView` declares the names once, packs a value that has them, and gives
compiled code a view of the handle. In plain Python the packed value is its own handle and its own view.

Declaration of a field          What compiled code reads
------------------------------  ---------------------------------------------------------------------------------------
``"count"``                     int64; a constant in a kernel that is bound to it (`jit.bind_sizes`)
``"int"``                       int64
``"f8 rows lanes"``             C-contiguous array (``f8``, ``i8``, ``u1``) of any number of axes
``"f8 rows k in width"``        float64 columns of a wider row-major table of `width` columns
``"f8 rows in width"``          one such column
``"f8 k lanes of block at x"``  `k` rows of the array field `block`, from row `x` on; ``"f8 lanes of block at x"`` is
                                row `x` alone, ``"f8 rows k in width of table at x"`` are columns from `x` on
a structured ``numpy.dtype``    array of records, each field float64 or int64: ``view.events[i].price = 2.0``
``(dtype, "axis axis")``        the same with named axes
a Numba signature               function, packed from what `jit` compiled, or from an address
a mapping                       a nested struct

An axis, a width or a start that has the name of a ``"count"`` is that count: it is checked when a value is packed, and
is a constant where counts are bound. An axis that is a number has that length. Any other name stands for one length,
whichever it is, wherever a struct uses it; only ``k`` and ``records`` say nothing about a length. Arrays ``of`` another
array share its address in compiled code, so that LLVM sees what overlaps: separate arrays would cost an overlap check
for each pair in every loop.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numba.extending import intrinsic

from .jit import DEFAULT, MODE, PLAIN
from .struct_fields import Array, Count, Field, Function, Nested, Reader, records_field


def _viewer(struct: Nested, defines_sizes: bool) -> Any:
    counts = [field for field in struct.leaves() if isinstance(field, Count)]

    @intrinsic
    def view(typingctx: Any, handle: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            reader = Reader(context, builder, data)
            for count in counts if defines_sizes and MODE == DEFAULT else ():
                reader.define(count)
            return builder.bitcast(data, context.get_value_type(sig.return_type))

        return struct.type(handle), generate

    return view


def _unchanged(value: Any) -> Any:
    return value


class StructView:
    """A layout of names, for one kind of struct.

    Parameters
    ----------
    name : of the struct, for messages and types
    fields : name → declaration, see the table above

    Attributes
    ----------
    view : callable in compiled code, handle → names; the caller keeps the arrays alive
    open_view : the same for kernels whose sizes are left open (`jit.open_kernel`)

    Raises
    ------
    ValueError
        For a declaration that is none of the table.

    Notes
    -----
    A view is a struct without an owner: it holds no references, so that it costs no reference counts.
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self._words = 0
        self._struct = self._nested(name, fields)
        leaves = list(self._struct.leaves())
        counts = _by_last_name(field for field in leaves if isinstance(field, Count))
        arrays = _by_last_name(field for field in leaves if isinstance(field, Array))
        self._parts = [field for field in leaves if isinstance(field, Array) and field.base]
        self._wholes = [field for field in leaves if field not in self._parts]
        self._count_places = [field.place for field in leaves if isinstance(field, Count)]
        self._part_places = [field.place + word for field in self._parts for word in range(field.width)]
        # counts of a value → words of its parts, once these have been looked at
        self._words_of_parts: dict[bytes, np.ndarray] = {}
        for array in [field for field in leaves if isinstance(field, Array)]:
            array.counts = counts
            if array.base:
                array.whole = arrays.get(array.base)
                if array.whole is None or array.whole.row or array.whole.dtype != array.dtype:
                    raise ValueError(f"{array.name} is declared a part of {array.base!r}, which is no such array.")
                if not array.start.isdecimal() and array.start not in counts:
                    raise ValueError(f"{array.name} begins at {array.start!r}, which is neither a count nor a number.")
        self.view: Any = _unchanged if MODE == PLAIN else _viewer(self._struct, True)
        self.open_view: Any = _unchanged if MODE == PLAIN else _viewer(self._struct, False)

    def pack(self, value: Any) -> Any:
        """The handle of a value with attributes of the declared names; the caller keeps the value alive.

        Returns
        -------
        (words,) int64 array; the value itself in plain Python

        Raises
        ------
        ValueError
            Where an array has another type, number of axes, order or length than was declared; names it.

        Notes
        -----
        Parts of other arrays are looked at the first time that a value has these counts: a layout cuts them, always in
        the same way, and compiled code reads their lengths and not their addresses.
        """
        words = np.zeros(self._words, dtype=np.int64)
        for field in self._wholes:
            field.pack(words, field.value_of(value))
        counts = words[self._count_places].tobytes()
        known = self._words_of_parts.get(counts)
        looked_at = [field for field in self._wholes if isinstance(field, Array)]
        if known is None:
            looked_at += self._parts
            for part in self._parts:
                part.pack(words, part.value_of(value))
        else:
            words[self._part_places] = known
        shared: dict[str, tuple[str, int]] = {}
        for array in looked_at:
            array.check(words, shared)
        self._words_of_parts[counts] = words[self._part_places]
        return value if MODE == PLAIN else words

    def size_constants(self, field: str, value: Any) -> dict[str, int]:
        """The counts of a nested struct as `jit.bind_sizes` takes them.

        Parameters
        ----------
        field : name of the struct that holds counts
        value : with an attribute for each of them
        """
        struct = self._struct.fields[field]
        assert isinstance(struct, Nested)  # noqa: S101 - for the type checker: only these have counts
        return _sizes_in(struct, value)

    def _nested(self, name: str, fields: Mapping[str, Any]) -> Nested:
        found = {}
        for field, kind in fields.items():
            made = self._field(f"{name}.{field}", kind)
            if not isinstance(made, Nested):
                made.place = self._words
                self._words += made.width
            found[field] = made
        return Nested(name, found)

    def _field(self, name: str, kind: Any) -> Field:
        if isinstance(kind, Mapping):
            return self._nested(name, kind)
        if isinstance(kind, np.dtype):
            return records_field(name, kind, "records")
        if isinstance(kind, tuple):
            return records_field(name, *kind)
        if not isinstance(kind, str):
            return Function(name, kind)
        if kind == "count":
            return Count(name)
        if kind == "int":
            return Field(name)
        dtype, *axes = kind.split()
        if dtype not in ("f8", "i8", "u1") or not axes:
            raise ValueError(f"{name} is declared as {kind!r}, which is no kind of field.")
        return Array(name, dtype, axes)


def _sizes_in(struct: Nested, value: Any) -> dict[str, int]:
    """Value of every count of a struct, those of its nested structs too, by the name of its function."""
    found = {}
    for name, field in struct.fields.items():
        part = getattr(value, name)
        if isinstance(field, Nested):
            found |= _sizes_in(field, part)
        elif isinstance(field, Count):
            found[field.function] = int(part)
    return found


def _by_last_name(fields: Iterable[Any]) -> dict[str, Any]:
    """Fields by the last part, and by the last two parts, of their names, without those that share it."""
    found: dict[str, list[Any]] = {}
    for field in fields:
        parts = field.name.split(".")
        found.setdefault(parts[-1], []).append(field)
        found.setdefault(".".join(parts[-2:]), []).append(field)
    return {name: those[0] for name, those in found.items() if len(those) == 1}


def make_records(dtype: np.dtype, shape: "int | tuple[int, ...]") -> np.recarray:
    """Zeros whose fields are attributes in plain Python, too: ``records[i].price = 2.0``."""
    return np.zeros(shape, dtype=dtype).view(np.recarray)
