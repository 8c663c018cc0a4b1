"""Names over addresses: a struct of arrays is handed to compiled code as one array of words, and read by its names.

By value, the two dozen arrays of a run are some 300 words in every call. So they are packed into one int64 array, the
handle: addresses, lengths, counts. A `StructView` declares the names once, packs a value that has them, and gives
compiled code a view of the handle. In plain Python the packed value is its own handle and its own view.

Declaration of a field          What compiled code reads
------------------------------  ---------------------------------------------------------------------------------------
``"count"``                     int64; a constant in a kernel that is bound to it (`jit.bind_sizes`)
``"size"``                      the same as a length: ``len(view.name)``; packed from anything that has a length
``"int"``                       int64
``"f8 rows lanes"``             C-contiguous array (``f8``, ``i8``, ``u1``) of any number of axes
``"f8 rows k in width"``        float64 columns of a wider row-major table of `width` columns
``"f8 k lanes of block at x"``  `k` rows of the array field `block`, from row `x` on; ``"f8 lanes of block at x"`` is
                                row `x` alone, ``"f8 rows k in width of table at x"`` are columns from `x` on
a structured ``numpy.dtype``    array of records, each field float64 or int64: ``view.events[i].price = 2.0``
``(dtype, "axis")``             the same with a named axis
a Numba signature               function, packed from what `jit` compiled, or from an address
a mapping                       a nested struct

An axis, a width or a start that has the name of a ``"count"`` is that count: it is checked when a value is packed, and
is a constant where counts are bound. Other axes are free. Arrays ``of`` another array share its address in compiled
code, so that LLVM sees what overlaps: separate arrays would cost an overlap check for each pair in every loop.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_getattr_generic, models, register_model
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from . import internals
from .jit import address_of

_WORD = ir.IntType(64)
#: Types that records may be made of.
_RECORD_FIELDS = (np.dtype("f8"), np.dtype("i8"))


class _StructType(types.Type):
    """A struct in compiled code; a value is the address of the handle's words."""

    def __init__(self, name: str, fields: Mapping[str, "_Field"]) -> None:
        self.fields = dict(fields)
        super().__init__(name=name)


class _LengthType(types.Type):
    """An integer that has a length, as a tuple has."""


_LENGTH = _LengthType("basis.length")
register_model(_StructType)(models.OpaqueModel)


@register_model(_LengthType)
class _LengthModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WORD)


_typing_of_len: Any = infer_global(len)


@_typing_of_len
class _TypingOfLength(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.intp, args[0]) if isinstance(args[0], _LengthType) else None


@lower_builtin(len, _LengthType)
def _length(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


@infer_getattr
class _TypingOfFields(AttributeTemplate):
    key = _StructType

    def generic_resolve(self, struct: Any, name: str) -> Any:
        return struct.fields[name].type if name in struct.fields else None


class _Reader:
    """Writes the machine code that reads the words of a handle."""

    def __init__(self, context: Any, builder: Any, pointer: Any) -> None:
        self.context, self.builder = context, builder
        self.words = builder.bitcast(pointer, _WORD.as_pointer())

    def word(self, place: int) -> Any:
        value = self.builder.load(self.builder.gep(self.words, [ir.Constant(_WORD, place)]))
        # The words never change while compiled code runs.
        value.set_metadata("invariant.load", self.builder.module.add_metadata([]))
        return value

    def count(self, field: "_Count") -> Any:
        """A size is the result of a function of its name: `view` defines it by the words, binding by a constant."""
        function = cgutils.get_or_insert_function(self.builder.module, internals.SIZE_FUNCTION, field.function)
        function.attributes.add("readonly")
        function.attributes.add("nounwind")
        return self.builder.call(function, [self.words])

    def define(self, field: "_Count") -> None:
        """The function of a size that reads the words."""
        function = cgutils.get_or_insert_function(self.builder.module, internals.SIZE_FUNCTION, field.function)
        if function.is_declaration:
            # LLVM must not drop it before the parts that call it are linked.
            function.linkage = "weak_odr"
            function.attributes.add("alwaysinline")
            builder = ir.IRBuilder(function.append_basic_block())
            inner = _Reader(self.context, builder, function.args[0])
            builder.ret(inner.word(field.place))


@lower_getattr_generic(_StructType)
def _read_field(context: Any, builder: Any, struct: Any, pointer: Any, name: str) -> Any:
    field = struct.fields[name]
    return pointer if isinstance(field, _Nested) else field.read(_Reader(context, builder, pointer))


class _Field:
    """One name: where its words are, how they are packed and how they are read.

    Attributes
    ----------
    name : with the names of the structs that hold it, for messages
    place : of its first word in the handle
    width : number of its words
    type : in compiled code
    """

    width = 1
    type: types.Type = types.int64

    def __init__(self, name: str) -> None:
        self.name, self.place = name, 0

    def pack(self, words: np.ndarray, value: Any) -> None:
        words[self.place] = value

    def read(self, reader: _Reader) -> Any:
        return reader.word(self.place)


class _Count(_Field):
    """A size as an integer, or as a length."""

    def __init__(self, name: str, function: str, as_length: bool) -> None:
        super().__init__(name)
        self.function, self.as_length = function, as_length
        self.type = _LENGTH if as_length else types.int64

    def value_of(self, value: Any) -> int:
        return len(value) if self.as_length else int(value)

    def pack(self, words: np.ndarray, value: Any) -> None:
        words[self.place] = self.value_of(value)

    def read(self, reader: _Reader) -> Any:
        return reader.count(self)


class _Function(_Field):
    def __init__(self, name: str, kind: Any) -> None:
        super().__init__(name)
        self.type = types.FunctionType(kind)

    def pack(self, words: np.ndarray, value: Any) -> None:
        # In plain Python a function has no address, and is called as it is.
        if not config.DISABLE_JIT:
            words[self.place] = value if isinstance(value, int) else address_of(value, self.type.signature)

    def read(self, reader: _Reader) -> Any:
        function = cgutils.create_struct_proxy(self.type)(reader.context, reader.builder)
        nothing = reader.context.get_constant_null(types.voidptr)
        function.c_addr = function.py_addr = nothing
        function.jit_addr = reader.builder.inttoptr(reader.word(self.place), nothing.type)
        return function._getvalue()


class _Array(_Field):
    """An array: its words are the address, the lengths of its axes and, for columns of a table, the table's width.

    Attributes
    ----------
    axes, row : what the axes and the width of the table are called
    base, start : what the array is called that this one is a part of, and its first row (or column)
    counts : the counts by name, filled in by the layout
    whole : the array called `base`, filled in by the layout
    """

    def __init__(self, name: str, dtype: Any, axes: list[str]) -> None:
        super().__init__(name)
        self.dtype, self.axes = np.dtype(dtype), axes
        self.row = self.base = self.start = ""
        if "of" in axes:
            place = axes.index("of")
            self.base, _, self.start = axes[place + 1 :]
            self.axes = axes = axes[:place]
        if "in" in axes:
            self.axes, self.row = axes[:-2], axes[-1]
        self.width = 1 + len(self.axes) + bool(self.row)
        self.type = types.Array(from_dtype(self.dtype), len(self.axes), "A" if self.row else "C")
        self.counts: dict[str, _Count] = {}
        self.whole: _Array | None = None

    def pack(self, words: np.ndarray, value: Any) -> None:
        kind, axes = getattr(value, "dtype", None), getattr(value, "ndim", None)
        if kind != self.dtype or axes != len(self.axes):
            raise ValueError(f"{self.name} is {kind} of {axes} axes; it must be {self.dtype} of ({self._shape()}).")
        if self.dtype.fields and not isinstance(value, np.recarray):
            raise ValueError(f"{self.name} must be a numpy.recarray, as `make_records` makes it.")
        item = self.dtype.itemsize
        if self.row:
            if value.size and (value.strides[-2] % item or (value.strides[-1] != item and value.shape[-1] > 1)):
                raise ValueError(f"{self.name} must be contiguous along its last axis.")
            words[self.place + self.width - 1] = value.strides[-2] // item
        elif not value.flags.c_contiguous:
            raise ValueError(f"{self.name} must be C-contiguous.")
        words[self.place] = value.ctypes.data
        words[self.place + 1 : self.place + 1 + value.ndim] = value.shape

    def check(self, words: np.ndarray) -> None:
        """Compare a packed array with the counts and the array that its declaration refers to.

        Raises
        ------
        ValueError
            Names the array, what it is and what it has to be.
        """
        lengths = self._lengths(words)
        if self.row and lengths[-2] > 1 and lengths[-1] > 0:
            lengths.append(int(words[self.place + self.width - 1]))
        for axis, length in zip([*self.axes, self.row], lengths, strict=False):
            if axis in self.counts and length != words[self.counts[axis].place]:
                raise ValueError(
                    f"{self.name} has {length} {axis}, of ({self._shape()}); it must have "
                    f"{words[self.counts[axis].place]}."
                )
        if self.whole is None or not all(lengths):
            return
        first = int(words[self.counts[self.start].place]) if self.start in self.counts else int(self.start)
        items = first if self.row else first * math.prod(self.whole._lengths(words)[1:])
        if words[self.place] != words[self.whole.place] + items * self.dtype.itemsize:
            raise ValueError(f"{self.name} is not the part of {self.base} that begins at {self.start}.")

    def _lengths(self, words: np.ndarray) -> list[int]:
        return [int(length) for length in words[self.place + 1 : self.place + 1 + len(self.axes)]]

    def _shape(self) -> str:
        return ", ".join(self.axes) + (f" in {self.row}" if self.row else "")

    def read(self, reader: _Reader) -> Any:
        array = reader.context.make_array(self.type)(reader.context, reader.builder)
        item = ir.Constant(_WORD, self.dtype.itemsize)
        lengths, strides = self._read_lengths(reader), [item]
        for axis in range(len(lengths) - 1, 0, -1):
            items = lengths[axis]
            if self.row and axis == len(lengths) - 1:
                items = self._named(reader, self.row, self.width - 1)
            strides.insert(0, reader.builder.mul(items, strides[0]))
        data = self._read_pointer(reader, array.data.type)
        populate_array(array, data=data, shape=lengths, strides=strides, itemsize=item, meminfo=None)
        return array._getvalue()

    def _named(self, reader: _Reader, name: str, place: int) -> Any:
        """A count where the name is one, else a word of the array."""
        return reader.count(self.counts[name]) if name in self.counts else reader.word(self.place + place)

    def _read_lengths(self, reader: _Reader) -> list[Any]:
        return [self._named(reader, axis, 1 + i) for i, axis in enumerate(self.axes)]

    def _read_pointer(self, reader: _Reader, kind: Any) -> Any:
        """Pointer to the first item, of the LLVM type `kind`.

        A part is reached by an offset from its whole: two addresses of their own might overlap, for all LLVM knows.
        """
        build = reader.builder
        if self.whole is None:
            return build.inttoptr(reader.word(self.place), kind)
        if self.start in self.counts:
            offset = reader.count(self.counts[self.start])
        else:
            offset = ir.Constant(_WORD, int(self.start))
        for length in [] if self.row else self.whole._read_lengths(reader)[1:]:
            offset = build.mul(offset, length)
        return build.gep(self.whole._read_pointer(reader, kind), [offset])


class _Nested(_Field):
    width = 0

    def __init__(self, name: str, fields: dict[str, _Field]) -> None:
        super().__init__(name)
        self.fields = fields
        digest = hashlib.sha256(repr([(n, f.place, str(f.type)) for n, f in fields.items()]).encode()).hexdigest()[:12]
        self.type = _StructType(f"basis.{name}.{digest}", fields)

    def pack(self, words: np.ndarray, value: Any) -> None:
        for name, field in self.fields.items():
            field.pack(words, getattr(value, name))

    def leaves(self) -> Iterator[_Field]:
        """All fields that are no structs, those of nested structs too."""
        for field in self.fields.values():
            if isinstance(field, _Nested):
                yield from field.leaves()
            else:
                yield field


def _viewer(struct: _Nested, defines_sizes: bool) -> Any:
    counts = [field for field in struct.leaves() if isinstance(field, _Count)] if defines_sizes else []

    @intrinsic
    def view(typingctx: Any, handle: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            reader = _Reader(context, builder, data)
            for count in counts:
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
        counts = _by_last_name(field for field in leaves if isinstance(field, _Count))
        arrays = _by_last_name(field for field in leaves if isinstance(field, _Array))
        self._arrays = [field for field in leaves if isinstance(field, _Array)]
        for array in self._arrays:
            array.counts = counts
            if array.base:
                array.whole = arrays.get(array.base)
                if array.whole is None or array.whole.row or array.whole.dtype != array.dtype:
                    raise ValueError(f"{array.name} is declared a part of {array.base!r}, which is no such array.")
                if not array.start.isdecimal() and array.start not in counts:
                    raise ValueError(f"{array.name} begins at {array.start!r}, which is neither a count nor a number.")
        self.view: Any = _unchanged if config.DISABLE_JIT else _viewer(self._struct, True)
        self.open_view: Any = _unchanged if config.DISABLE_JIT else _viewer(self._struct, False)

    def pack(self, value: Any) -> Any:
        """The handle of a value with attributes of the declared names; the caller keeps the value alive.

        Returns
        -------
        (words,) int64 array; the value itself in plain Python

        Raises
        ------
        ValueError
            Where an array has another type, number of axes, order or length than was declared; names it.
        """
        words = np.zeros(self._words, dtype=np.int64)
        self._struct.pack(words, value)
        for array in self._arrays:
            array.check(words)
        return value if config.DISABLE_JIT else words

    def size_constants(self, field: str, value: Any) -> dict[str, int]:
        """The counts of a nested struct as `jit.bind_sizes` takes them.

        Parameters
        ----------
        field : name of the struct that holds counts
        value : with an attribute for each of them
        """
        struct = self._struct.fields[field]
        assert isinstance(struct, _Nested)
        return {
            count.function: count.value_of(getattr(value, name))
            for name, count in struct.fields.items()
            if isinstance(count, _Count)
        }

    def _nested(self, name: str, fields: Mapping[str, Any]) -> _Nested:
        found = {}
        for field, kind in fields.items():
            made = self._field(f"{name}.{field}", kind)
            if not isinstance(made, _Nested):
                made.place = self._words
                self._words += made.width
            found[field] = made
        return _Nested(name, found)

    def _field(self, name: str, kind: Any) -> _Field:
        if isinstance(kind, Mapping):
            return self._nested(name, kind)
        if isinstance(kind, np.dtype):
            return _records(name, kind, "records")
        if isinstance(kind, tuple):
            return _records(name, *kind)
        if not isinstance(kind, str):
            return _Function(name, kind)
        if kind in ("count", "size"):
            return _Count(name, f"basis.{name}", as_length=kind == "size")
        if kind == "int":
            return _Field(name)
        dtype, *axes = kind.split()
        if dtype not in ("f8", "i8", "u1") or not axes:
            raise ValueError(f"{name} is declared as {kind!r}, which is no kind of field.")
        return _Array(name, dtype, axes)


def _by_last_name(fields: Iterator[Any]) -> dict[str, Any]:
    """Fields by the last part of their names, without those that share it."""
    found: dict[str, list[Any]] = {}
    for field in fields:
        found.setdefault(field.name.rpartition(".")[2], []).append(field)
    return {name: those[0] for name, those in found.items() if len(those) == 1}


def _records(name: str, dtype: np.dtype, axis: str) -> _Array:
    for field, (kind, *_) in (dtype.fields or {}).items():
        if kind not in _RECORD_FIELDS:
            raise ValueError(f"{name}: field {field} of its records is {kind}; it must be float64 or int64.")
        if hasattr(np.record, field):
            raise ValueError(f"{name}: a field of records must not be called {field}, which numpy's records have.")
    if not dtype.fields:
        raise ValueError(f"{name}: {dtype} is no type of records.")
    return _Array(name, dtype, [axis])


def make_records(dtype: np.dtype, count: int) -> np.recarray:
    """Zeros whose fields are attributes in plain Python, too: ``records[i].price = 2.0``."""
    return np.zeros(count, dtype=dtype).view(np.recarray)
