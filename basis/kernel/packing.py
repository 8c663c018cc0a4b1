"""How a frame is packed into one array of words, and how compiled code reads it: Numba plumbing, see `frame`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_getattr_generic, models, register_model
from numba.np.arrayobj import populate_array

from . import compiler
from .jit import address_of

_DTYPES = {"f8": types.float64, "i8": types.int64, "u1": types.uint8}


class _Size(types.Type):
    """An integer with a length, as a tuple has one."""


class _Struct(types.Type):
    """Names for places in the words of a frame; a value is the address of the words."""

    def __init__(self, name: str, fields: Mapping[str, tuple[int, types.Type]]) -> None:
        self.fields = dict(fields)
        super().__init__(name=f"basis.{name}")

    def teller(self, field: str) -> str:
        """Name of the function that tells a size."""
        return f"{self.name}.{field}"

    def sizes(self) -> dict[str, int]:
        """Place of every size, by the name of the function that tells it."""
        found = {}
        for field, (place, kind) in self.fields.items():
            if isinstance(kind, _Struct):
                found |= kind.sizes()
            elif kind is _SIZE:
                found[self.teller(field)] = place
        return found


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


def _word(builder: Any, words: Any, place: int) -> Any:
    value = builder.load(builder.gep(words, [ir.Constant(_INT64, place)]))
    # the words never change while compiled code runs
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _tell(module: Any, size: str, place: int) -> None:
    """A function that tells a size by the words."""
    tells = cgutils.get_or_insert_function(module, compiler.SIZE, size)
    if tells.is_declaration:
        # not to be dropped before the parts that call it are there
        tells.linkage = "weak_odr"
        tells.attributes.add("alwaysinline")
        builder = ir.IRBuilder(tells.append_basic_block())
        builder.ret(_word(builder, tells.args[0], place))


@lower_getattr_generic(_Struct)
def _field(context: Any, builder: Any, struct: Any, pointer: Any, name: str) -> Any:
    place, kind = struct.fields[name]
    if isinstance(kind, _Struct):
        return pointer
    words = builder.bitcast(pointer, _INT64.as_pointer())
    if kind is _SIZE:
        # a size is asked for by name: the words tell it, or it is a constant (`jit.bound`)
        tells = cgutils.get_or_insert_function(builder.module, compiler.SIZE, struct.teller(name))
        tells.attributes.add("readonly")
        tells.attributes.add("nounwind")
        return builder.call(tells, [words])

    def word(i: int) -> Any:
        return _word(builder, words, place + i)

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


def _viewer(struct: _Struct, told: bool) -> Any:
    @intrinsic
    def view(typingctx: Any, words: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            for size, place in struct.sizes().items() if told else ():
                _tell(builder.module, size, place)
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            return builder.bitcast(data, context.get_value_type(sig.return_type))

        return struct(words), generate

    return view


class Packing:
    """A layout of words.

    Parameters
    ----------
    name : of the whole
    fields : name → a signature (a function, or its address), ``"size"``, ``"int"``, ``"f8 axis axis"`` (an array), or
        such a mapping

    Attributes
    ----------
    view : intrinsic, words → names; the caller keeps the arrays alive
    open_view : the same, its sizes left open (`jit.open_kernel`)
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self.words = 0
        self.struct = self._struct(name, fields)
        self.view, self.open_view = _viewer(self.struct, True), _viewer(self.struct, False)

    def told(self, field: str, value: Any) -> dict[str, int]:
        """The sizes that stand in a field, by the names of the functions that tell them; see `jit.bound`."""
        struct = self.struct.fields[field][1]
        return {struct.teller(name): len(getattr(value, name)) for name in struct.fields}

    def _take(self, words: int) -> int:
        self.words += words
        return self.words - words

    def _struct(self, name: str, fields: Mapping[str, Any]) -> _Struct:
        found: dict[str, tuple[int, types.Type]] = {}
        for field, kind in fields.items():
            if isinstance(kind, Mapping):
                found[field] = (0, self._struct(f"{name}.{field}", kind))
            elif kind == "size":
                found[field] = (self._take(1), _SIZE)
            elif kind == "int":
                found[field] = (self._take(1), types.int64)
            elif isinstance(kind, str):
                dtype, *axes = kind.split()
                found[field] = (self._take(1 + len(axes)), types.Array(_DTYPES[dtype], len(axes), "C"))
            else:
                found[field] = (self._take(1), types.FunctionType(kind))
        return _Struct(name, found)

    def pack(self, value: Any) -> np.ndarray:
        """The words of a value with attributes of these names."""
        words = np.zeros(self.words, dtype=np.int64)
        self._put(words, self.struct, value)
        return words

    def _put(self, words: np.ndarray, struct: _Struct, value: Any) -> None:
        for name, (place, kind) in struct.fields.items():
            part = getattr(value, name)
            if isinstance(kind, _Struct):
                self._put(words, kind, part)
            elif isinstance(kind, types.FunctionType):
                words[place] = part if isinstance(part, int) else address_of(part, kind.signature)
            elif isinstance(kind, types.Array):
                words[place : place + 1 + kind.ndim] = (part.ctypes.data, *part.shape)
            else:
                words[place] = len(part) if kind is _SIZE else part
