"""Names over arrays whose places are looked up by number while a function is compiled, with errors a user can read.

A `NamedArrays` declares a kind of value for compiled code: numbers, flags and vectors at fixed places of its first
array, texts, parts that are such values themselves, and methods. A value stands over arrays and belongs to a subject, a
Python object that the methods ask while they are compiled. So ``view.equity`` becomes one load from an address, and
``view.equty`` an error that names what there is, before anything runs.

Examples
--------
>>> names = NamedArrays("prices", [vector(types.float64, 4)], complain, FixedNames({"equity": 0}))
>>> @names.method("price")
... def price(view, asset):
...     place = view.subject.place_of(literal_text("view.price", asset))
...     return lambda view, asset: number_at(view, place)
>>> over = names.over(registry, key="decide")
>>> @stage
... def decide(numbers):
...     return over(numbers).price("ETH")
"""

import hashlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from numba import extending, types
from numba.core import errors
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import lower_getattr_generic, models, overload_method, register_model
from numba.np.arrayobj import populate_array

# It is typed too narrowly upstream.
_intrinsic: Any = extending.intrinsic
#: What is raised where a function cannot be compiled; see `reason`.
CompileError = errors.NumbaError


class _NamesType(types.Type):
    """A kind of value for one subject; kinds of one name and key are the same."""

    def __init__(self, owner: "NamedArrays", subject: Any, key: str) -> None:
        self.owner, self.subject, self.key_of_subject = owner, subject, key
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        super().__init__(name=f"basis.{owner.name}.{digest}")


def vector(dtype: Any, length: int) -> tuple[Any, tuple[int, ...]]:
    """Declaration of a C-contiguous array of one axis: its type of items and its shape."""
    return dtype, (length,)


def _array_type(dtype: Any, shape: Sequence[int]) -> Any:
    return types.Array(dtype, len(shape), "C")


def _array_at(context: Any, builder: Any, pointer: Any, dtype: Any, shape: Sequence[int]) -> Any:
    """An array without an owner, of constant shape and strides."""
    kind = _array_type(dtype, shape)
    array = context.make_array(kind)(context, builder)
    size = context.get_abi_sizeof(context.get_data_type(dtype))
    lengths = [context.get_constant(types.intp, length) for length in shape]
    strides = [context.get_constant(types.intp, size * math.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    data = builder.bitcast(pointer, array.data.type)
    item = context.get_constant(types.intp, size)
    populate_array(array, data=data, shape=lengths, strides=strides, itemsize=item, meminfo=None)
    return array._getvalue()


class FixedNames(NamedTuple):
    """What stands at the same places of the first array for every subject.

    Attributes
    ----------
    numbers, flags : name → place; a flag is true where the number is > 0
    vectors : name → (first place, length); they may be written
    """

    numbers: Mapping[str, int] = {}
    flags: Mapping[str, int] = {}
    vectors: Mapping[str, tuple[int, int]] = {}


NO_FIXED_NAMES = FixedNames()


class NamedArrays:
    """A kind of value for compiled code: names over arrays.

    Parameters
    ----------
    name : of the kind
    arrays : type of items and shape of each array that a value stands over, see `vector`; one of them or three
    unknown : called with a name that is none of the others and no method, and all that there are; raises
    fixed : names of the first array, of float64
    texts : name → the text that methods are given for it
    parts : name → (another kind over one array, which of the arrays)

    Attributes
    ----------
    name : of the kind
    """

    def __init__(
        self,
        name: str,
        arrays: Sequence[tuple[Any, Sequence[int]]],
        unknown: Callable[[str, Sequence[str]], Any],
        fixed: FixedNames = NO_FIXED_NAMES,
        texts: Mapping[str, str] | None = None,
        parts: "Mapping[str, tuple[NamedArrays, int]] | None" = None,
    ) -> None:
        self.name, self._arrays, self._unknown = name, arrays, unknown
        self._numbers, self._flags, self._vectors = fixed
        self._texts, self._parts = texts or {}, parts or {}
        self._methods: list[str] = []
        self._kind: Any = type(f"_{name.title()}Type", (_NamesType,), {})
        pointers = [(f"array{i}", types.voidptr) for i in range(len(arrays))]

        class Model(models.StructModel):
            def __init__(self, manager: Any, kind: Any) -> None:
                super().__init__(manager, kind, pointers)

        register_model(self._kind)(Model)
        resolve = {"key": self._kind, "generic_resolve": lambda _, kind, attribute: self._type_of(kind, attribute)}
        infer_getattr(type(f"_{name.title()}Names", (AttributeTemplate,), resolve))
        lower_getattr_generic(self._kind)(self._read)

    def method(self, name: str) -> Callable[[Callable], Callable]:
        """Declare a method, by a function that is called with types and returns what is compiled for them.

        Its first argument has the attribute `subject`. A text that is written in the source is given as a literal, see
        `literal_text`. What it returns must take arguments of the same names; see `numba.extending.overload_method`.
        """
        self._methods.append(name)
        return overload_method(self._kind, name, prefer_literal=True)

    def over(self, subject: Any, key: str) -> Any:
        """A function for compiled code: arrays → value.

        Parameters
        ----------
        subject : what the methods ask
        key : of the subject; what is compiled for one key serves another subject of the same key
        """
        kind = self._kind(self, subject, key)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = context.get_constant_null(sig.return_type)
            for place, (array, passed) in enumerate(zip(sig.args, args, strict=True)):
                data = context.make_array(array)(context, builder, passed).data
                pointer = builder.bitcast(data, context.get_value_type(types.voidptr))
                value = builder.insert_value(value, pointer, place)
            return value

        if len(self._arrays) == 1:
            return _intrinsic(lambda typingctx, first: (kind(first), generate))
        return _intrinsic(lambda typingctx, first, second, third: (kind(first, second, third), generate))

    def array(self, place: int) -> Any:
        """A function for compiled code: value → one of the arrays that it stands over."""
        dtype, shape = self._arrays[place]

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _array_at(context, builder, builder.extract_value(args[0], place), dtype, shape)

        return _intrinsic(lambda typingctx, value: (_array_type(dtype, shape)(value), generate))

    def _type_of(self, kind: Any, name: str) -> Any:
        if name in self._numbers or name in self._flags:
            # what is read is known before anything runs
            getattr(kind.subject, "reads", set()).add(f"{self.name}.{name}")
        if name in self._numbers:
            return types.float64
        if name in self._flags:
            return types.boolean
        if name in self._vectors:
            return _array_type(types.float64, (1,))
        if name in self._texts:
            return types.literal(self._texts[name])
        if name in self._parts:
            return self._part_type(kind, name)
        if name in self._methods:
            return None
        names = (*self._numbers, *self._flags, *self._vectors, *self._texts, *self._parts, *self._methods)
        return self._unknown(name, names)

    def _part_type(self, kind: Any, name: str) -> Any:
        part, _ = self._parts[name]
        return part._kind(part, kind.subject, kind.key_of_subject)

    def _read(self, context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
        if name in self._texts:
            return context.get_dummy_value()
        if name in self._parts:
            made = context.get_constant_null(self._part_type(kind, name))
            return builder.insert_value(made, builder.extract_value(value, self._parts[name][1]), 0)
        numbers = context.get_value_type(types.float64).as_pointer()

        def at(place: int) -> Any:
            first = builder.bitcast(builder.extract_value(value, 0), numbers)
            return builder.gep(first, [context.get_constant(types.intp, place)])

        if name in self._vectors:
            first, length = self._vectors[name]
            return _array_at(context, builder, at(first), types.float64, (length,))
        if name in self._numbers:
            return builder.load(at(self._numbers[name]))
        number = builder.load(at(self._flags[name]))
        return builder.fcmp_ordered(">", number, context.get_constant(types.float64, 0.0))


def _loader(dtype: Any, array: int) -> Any:
    """A function for compiled code: value, place → the item of one of its arrays at a place."""

    @_intrinsic
    def load(typingctx: Any, value: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            items = context.get_value_type(dtype).as_pointer()
            first = builder.bitcast(builder.extract_value(args[0], array), items)
            return builder.load(builder.gep(first, [args[1]]))

        return dtype(value, types.intp), generate

    return load


#: A number of the first array that a value stands over, of the second, and an integer of the third.
number_at: Any = _loader(types.float64, 0)
second_number_at: Any = _loader(types.float64, 1)
integer_at: Any = _loader(types.int64, 2)


def literal_text(what: str, text: Any, example: str = "'BTC'") -> str:
    """The text that was written in the source for an argument of a method.

    Raises
    ------
    CompileError
        Where it is no text, or is known only when the code runs.
    """
    if not isinstance(text, types.StringLiteral):
        raise errors.TypingError(f"{what}: its name must stand there as a text, as in {what}({example})")
    return text.literal_value


def reason(error: Exception, function: Callable) -> str:
    """What the compiler has to say of a function, in a line, with the line of its source."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if not line.startswith("Failed in nopython mode")]
    named = [line.partition(": ")[2] for line in lines if re.match(r"\w+Error: ", line)]
    said = next((line for line in (*named, *lines) if line), "")
    place = re.findall(rf'"{re.escape(function.__code__.co_filename.rpartition("/")[2])}", line (\d+)', text)
    place = place or re.findall(r"\((\d+)\)$", text, flags=re.MULTILINE)
    where = ""
    if place:
        number = int(place[0])
        try:
            source, first = inspect.getsourcelines(function)
            where = f" (line {number}: {source[number - first].strip()})"
        except (OSError, IndexError):
            where = f" (line {number})"
    return f"{said.rstrip('.')}{where}."
