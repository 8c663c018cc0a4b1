"""The fields of a `StructView`: how each kind is packed into the words of a handle, and read by compiled code."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import lower_getattr_generic, models, register_model
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from .intrinsics import size_function
from .jit import DEFAULT, MODE, PLAIN, address_of

_WORD = ir.IntType(64)
#: Types that records may be made of.
_RECORD_FIELDS = (np.dtype("f8"), np.dtype("i8"))
#: Names of axes that say nothing about a length.
_FREE_AXES = ("k", "records")


class StructType(types.Type):
    """A struct in compiled code; a value is the address of the handle's words."""

    def __init__(self, name: str, fields: Mapping[str, "Field"]) -> None:
        self.fields = dict(fields)
        super().__init__(name=name)


register_model(StructType)(models.OpaqueModel)


@infer_getattr
class _TypingOfFields(AttributeTemplate):
    key = StructType

    def generic_resolve(self, struct: Any, name: str) -> Any:
        return struct.fields[name].type if name in struct.fields else None


class Reader:
    """Writes the machine code that reads the words of a handle."""

    def __init__(self, context: Any, builder: Any, pointer: Any) -> None:
        self.context, self.builder = context, builder
        self.words = builder.bitcast(pointer, _WORD.as_pointer())

    def word(self, place: int) -> Any:
        value = self.builder.load(self.builder.gep(self.words, [ir.Constant(_WORD, place)]))
        # The words never change while compiled code runs.
        value.set_metadata("invariant.load", self.builder.module.add_metadata([]))
        return value

    def count(self, field: "Count") -> Any:
        """A size is what a function of its name returns: `view` makes it read the handle, binding makes it a constant.

        The stock way of compiling binds nothing, and reads the handle itself.
        """
        if MODE != DEFAULT:
            return self.word(field.place)
        return self.builder.call(size_function(self.builder.module, field.function), [self.words])

    def define(self, field: "Count") -> None:
        """Make the function of a size that reads the handle."""
        function = size_function(self.builder.module, field.function)
        if function.is_declaration:
            # LLVM must not drop it before the parts that call it are linked.
            function.linkage = "weak_odr"
            function.attributes.add("alwaysinline")
            builder = ir.IRBuilder(function.append_basic_block())
            inner = Reader(self.context, builder, function.args[0])
            builder.ret(inner.word(field.place))


@lower_getattr_generic(StructType)
def _read_field(context: Any, builder: Any, struct: Any, pointer: Any, name: str) -> Any:
    field = struct.fields[name]
    return pointer if isinstance(field, Nested) else field.read(Reader(context, builder, pointer))


class Field:
    """One name: where its words are, how they are packed and how they are read.

    Attributes
    ----------
    name : with the names of the structs that hold it, for messages
    place : of its first word in the handle
    width : number of its words
    type : in compiled code
    value_of : reads its value from the value of the whole struct
    """

    width = 1
    type: types.Type = types.int64

    def __init__(self, name: str) -> None:
        self.name, self.place = name, 0
        self.value_of = attrgetter(name.partition(".")[2] or name)

    def pack(self, words: np.ndarray, value: Any) -> None:
        words[self.place] = value

    def read(self, reader: Reader) -> Any:
        return reader.word(self.place)


class Count(Field):
    """An integer that binding makes a constant.

    Attributes
    ----------
    function : name of the function that returns it
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.function = f"basis.{name}"

    def read(self, reader: Reader) -> Any:
        return reader.count(self)


class Function(Field):
    def __init__(self, name: str, kind: Any) -> None:
        super().__init__(name)
        self.type = types.FunctionType(kind)

    def pack(self, words: np.ndarray, value: Any) -> None:
        # In plain Python a function has no address, and is called as it is.
        if MODE != PLAIN:
            words[self.place] = value if isinstance(value, int) else address_of(value, self.type.signature)

    def read(self, reader: Reader) -> Any:
        function = cgutils.create_struct_proxy(self.type)(reader.context, reader.builder)
        nothing = reader.context.get_constant_null(types.voidptr)
        function.c_addr = function.py_addr = nothing
        function.jit_addr = reader.builder.inttoptr(reader.word(self.place), nothing.type)
        return function._getvalue()


class Array(Field):
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
        self.counts: dict[str, Count] = {}
        self.whole: Array | None = None

    def pack(self, words: np.ndarray, value: Any) -> None:
        records = isinstance(value, np.recarray)
        # numpy looks up every attribute of a record array in Python
        value = np.asarray(value) if records else value
        kind, axes = getattr(value, "dtype", None), getattr(value, "ndim", None)
        if kind != self.dtype or axes != len(self.axes):
            raise ValueError(f"{self.name} is {kind} of {axes} axes; it must be {self.dtype} of ({self._shape()}).")
        if self.dtype.fields and not records:
            raise ValueError(f"{self.name} must be a numpy.recarray, as `make_records` makes it.")
        item = self.dtype.itemsize
        if self.row and value.ndim == 1:
            words[self.place + self.width - 1] = value.strides[0] // item
        elif self.row:
            if value.size and (value.strides[-2] % item or (value.strides[-1] != item and value.shape[-1] > 1)):
                raise ValueError(f"{self.name} must be contiguous along its last axis.")
            words[self.place + self.width - 1] = value.strides[-2] // item
        elif not value.flags.c_contiguous:
            raise ValueError(f"{self.name} must be C-contiguous.")
        words[self.place] = value.__array_interface__["data"][0]
        words[self.place + 1 : self.place + 1 + value.ndim] = value.shape

    def check(self, words: np.ndarray, shared: dict[str, tuple[str, int]]) -> None:
        """Compare a packed array with the counts and the arrays that its declaration refers to.

        Parameters
        ----------
        words : of the handle
        shared : axis without a count → the first array that has it, and its length; added to

        Raises
        ------
        ValueError
            Names the array, what it is and what it has to be.
        """
        lengths = self._lengths(words)
        if self.row and lengths[-2 if len(lengths) > 1 else -1] > 1 and lengths[-1] > 0:
            lengths.append(int(words[self.place + self.width - 1]))
        for axis, length in zip([*self.axes, self.row], lengths, strict=False):
            if axis in self.counts:
                wanted, why = int(words[self.counts[axis].place]), ""
            elif axis.isdecimal():
                wanted, why = int(axis), ""
            elif axis in _FREE_AXES:
                continue
            else:
                first, wanted = shared.setdefault(axis, (self.name, length))
                why = f", like {first}"
            if length != wanted:
                raise ValueError(f"{self.name} has {length} {axis}, of ({self._shape()}); it must have {wanted}{why}.")
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

    def read(self, reader: Reader) -> Any:
        array = reader.context.make_array(self.type)(reader.context, reader.builder)
        item = ir.Constant(_WORD, self.dtype.itemsize)
        lengths, strides = self._read_lengths(reader), [item]
        if self.row and len(lengths) == 1:
            strides = [reader.builder.mul(self._named(reader, self.row, self.width - 1), item)]
        for axis in range(len(lengths) - 1, 0, -1):
            items = lengths[axis]
            if self.row and axis == len(lengths) - 1:
                items = self._named(reader, self.row, self.width - 1)
            strides.insert(0, reader.builder.mul(items, strides[0]))
        data = self._read_pointer(reader, array.data.type)
        populate_array(array, data=data, shape=lengths, strides=strides, itemsize=item, meminfo=None)
        return array._getvalue()

    def _named(self, reader: Reader, name: str, place: int) -> Any:
        """A count where the name is one, else a word of the array."""
        return reader.count(self.counts[name]) if name in self.counts else reader.word(self.place + place)

    def _read_lengths(self, reader: Reader) -> list[Any]:
        return [self._named(reader, axis, 1 + i) for i, axis in enumerate(self.axes)]

    def _read_pointer(self, reader: Reader, kind: Any) -> Any:
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


class Nested(Field):
    width = 0

    def __init__(self, name: str, fields: dict[str, Field]) -> None:
        super().__init__(name)
        self.fields = fields
        digest = hashlib.sha256(repr([(n, f.place, str(f.type)) for n, f in fields.items()]).encode()).hexdigest()[:12]
        self.type = StructType(f"basis.{name}.{digest}", fields)

    def leaves(self) -> Iterator[Field]:
        """All fields that are no structs, those of nested structs too."""
        for field in self.fields.values():
            if isinstance(field, Nested):
                yield from field.leaves()
            else:
                yield field


def records_field(name: str, dtype: np.dtype, axes: str) -> Array:
    for field, (kind, *_) in (dtype.fields or {}).items():
        if kind not in _RECORD_FIELDS:
            raise ValueError(f"{name}: field {field} of its records is {kind}; it must be float64 or int64.")
        if hasattr(np.record, field):
            raise ValueError(f"{name}: a field of records must not be called {field}, which numpy's records have.")
    if not dtype.fields:
        raise ValueError(f"{name}: {dtype} is no type of records.")
    return Array(name, dtype, axes.split())
