"""Names over arrays whose places are looked up by number while a function is compiled, with errors a user can read.

A `NamedArrays` declares a kind of value for compiled code: numbers, flags and vectors at fixed places of its first
array, texts, parts that are such values themselves, and methods. A value stands over arrays and belongs to a subject, a
Python object that the methods ask while they are compiled. So ``view.equity`` becomes one load from an address, and
``view.equty`` an error that names what there is, before anything runs.

Examples
--------
>>> names = NamedArrays("prices", [types.float64], complain, refuse, FixedNames({"equity": 0}))
>>> price_at = stage(lambda prices, place: prices[place])
>>> @names.method("price", price_at)
... def price(view, asset):
...     return [view.subject.place_of(literal_text("view.price", asset))]
>>> over = names.over(registry, key="decide")
>>> @stage
... def decide(numbers):
...     return over(numbers).price("ETH")
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from numba import extending, types
from numba.core import errors
from numba.core.extending import lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, signature
from numba.extending import lower_builtin, lower_getattr_generic, models, register_model
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import carray

# It is typed too narrowly upstream.
_intrinsic: Any = extending.intrinsic
#: What is raised where a function cannot be compiled; see `reason`.
CompileError = errors.NumbaError
#: array_at(address, shape): the array that stands at an address, in compiled code.
array_at: Any = carray


class _NamesType(types.Type):
    """A kind of value for one subject; kinds of one name and key are the same."""

    def __init__(self, owner: "NamedArrays", subject: Any, key: str) -> None:
        self.owner, self.subject, self.key_of_subject = owner, subject, key
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        super().__init__(name=f"basis.{owner.name}.{digest}")


_VECTOR = types.Array(types.float64, 1, "C")


def _vector_at(context: Any, builder: Any, pointer: Any, length: int) -> Any:
    """An array of numbers without an owner, of constant length."""
    array = context.make_array(_VECTOR)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(types.float64)))
    shape, data = [context.get_constant(types.intp, length)], builder.bitcast(pointer, array.data.type)
    populate_array(array, data=data, shape=shape, strides=[size], itemsize=size, meminfo=None)
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
    arrays : type of the items of each array that a value stands over; one of them or three
    unknown : called with a name that is none of the others and no method, and all that there are; raises
    unwritable : called with a name that a function would set; raises
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
        arrays: Sequence[Any],
        unknown: Callable[[str, Sequence[str]], Any],
        unwritable: Callable[[str], Any],
        fixed: FixedNames = NO_FIXED_NAMES,
        texts: Mapping[str, str] | None = None,
        parts: "Mapping[str, tuple[NamedArrays, int]] | None" = None,
    ) -> None:
        self.name, self._arrays, self._unknown = name, arrays, unknown
        self._numbers, self._flags, self._vectors = fixed
        self._texts, self._parts = texts or {}, parts or {}
        self._methods: dict[str, Any] = {}
        self._kind: Any = type(f"_{name.title()}Type", (_NamesType,), {})
        pointers = [(f"array{i}", types.voidptr) for i in range(len(arrays))]

        class Model(models.StructModel):
            def __init__(self, manager: Any, kind: Any) -> None:
                super().__init__(manager, kind, pointers)

        register_model(self._kind)(Model)
        resolve = {"key": self._kind, "generic_resolve": lambda _, kind, attribute: self._type_of(kind, attribute)}
        infer_getattr(type(f"_{name.title()}Names", (AttributeTemplate,), resolve))
        lower_getattr_generic(self._kind)(self._read)
        lower_setattr_generic(self._kind)(lambda context, builder, sig, args, attribute: unwritable(attribute))

    def method(self, name: str, body: Any, returns: Any = types.float64, **takes: Any) -> Callable[[Callable], None]:
        """Declare a method, by a function that is called with types while a user's function is compiled.

        Its first argument has the attribute `subject`, and a text that is written in the source is given as a literal,
        see `literal_text`. It returns numbers, which are constants of the call.

        Parameters
        ----------
        body : made by `jit.stage` or `jit.routine`; called with the addresses of the arrays, the numbers, and the
            arguments that it takes. It is compiled once for all subjects, and each function only calls it
        returns : type of what it returns
        takes : type of each argument that is known only when the code runs
        """

        def decorate(declared: Callable) -> None:
            method = _Method(self, name, declared, body, returns, takes)
            key = (self._kind, name)
            made = {"key": key, "prefer_literal": True}
            made["generic"] = lambda template, args, kws: method.signature(template.this, args, kws)
            self._methods[name] = type(f"_{name}", (AbstractTemplate,), made)
            lower_builtin(key, self._kind, types.VarArg(types.Any))(method.lower)

        return decorate

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

    @property
    def pointers(self) -> list[Any]:
        """Type of the address of each array that a value stands over."""
        return [types.CPointer(dtype) for dtype in self._arrays]

    def _type_of(self, kind: Any, name: str) -> Any:
        if name in self._numbers or name in self._flags:
            # what is read is known before anything runs
            getattr(kind.subject, "reads", set()).add(f"{self.name}.{name}")
        if name in self._numbers:
            return types.float64
        if name in self._flags:
            return types.boolean
        if name in self._vectors:
            return _VECTOR
        if name in self._texts:
            return types.literal(self._texts[name])
        if name in self._parts:
            return self._part_type(kind, name)
        if name in self._methods:
            return types.BoundFunction(self._methods[name], kind)
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
            return _vector_at(context, builder, at(first), length)
        if name in self._numbers:
            return builder.load(at(self._numbers[name]))
        number = builder.load(at(self._flags[name]))
        return builder.fcmp_ordered(">", number, context.get_constant(types.float64, 0.0))


class _Method:
    """A method of a kind of value: how a call of it is typed, and the call of its body."""

    def __init__(
        self, owner: NamedArrays, name: str, declared: Callable, body: Any, returns: Any, takes: Mapping[str, Any]
    ) -> None:
        self._owner, self._name, self._declared, self._body = owner, f"{owner.name}.{name}", declared, body
        self._returns, self._takes = returns, takes
        self._form = inspect.signature(declared)
        self._parameters = list(self._form.parameters.values())[1:]

    def signature(self, kind: Any, args: tuple, kws: Mapping[str, Any]) -> Any:
        """Type of a call; its names are noted."""
        try:
            given = self._form.bind(kind, *args, **kws).arguments
        except TypeError as error:
            raise errors.TypingError(f"{self._name}: {error}") from None
        self._declared(**given)
        wanted = {}
        for parameter in self._parameters:
            name = parameter.name
            if name not in self._takes:
                # what is left out is known here, and nothing is passed for it
                wanted.update({name: given[name]} if name in given else {})
                continue
            wanted[name] = self._takes[name]
            if name in given:
                self._check(name, given[name], wanted[name])
        form = self._form.replace(parameters=[p for p in self._parameters if p.name in wanted])
        return signature(self._returns, *wanted.values(), recvr=kind).replace(pysig=form)

    def _check(self, name: str, given: Any, wanted: Any) -> None:
        given = given.type if isinstance(given, types.Optional) else given
        integer = isinstance(wanted, types.Integer)
        allowed = (types.Integer,) if integer else (types.Integer, types.Float, types.Boolean)
        if not isinstance(given, allowed):
            what = "an integer" if integer else "a number"
            raise errors.TypingError(f"{self._name}: {name} is {types.unliteral(given)}; it must be {what}")

    def lower(self, context: Any, builder: Any, sig: Any, args: Any) -> Any:
        """The call of the body."""
        kind, *given = sig.args
        numbers = self._declared(kind, *given)
        taken = [i for i, parameter in enumerate(self._parameters) if parameter.name in self._takes]
        kinds = [*self._owner.pointers, *(types.int64 for _ in numbers), *(given[i] for i in taken)]
        values = [
            builder.bitcast(builder.extract_value(args[0], place), context.get_value_type(pointer))
            for place, pointer in enumerate(self._owner.pointers)
        ]
        values += [context.get_constant(types.int64, number) for number in numbers] + [args[1 + i] for i in taken]
        body = context.typing_context.resolve_value_type(self._body)
        called = body.get_call_type(context.typing_context, tuple(kinds), {})
        call = context.get_function(body, called)
        context.add_linking_libs(getattr(call, "libs", ()))
        return context.cast(builder, call(builder, values), called.return_type, sig.return_type)


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


#: Lines of the compiler around what it has to say.
_FRAME = ("Failed in nopython mode", "- Resolution failure for ")


def reason(error: Exception, function: Callable) -> str:
    """What the compiler has to say of a function, in a line, with the line of its source."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if not line.startswith(_FRAME)]
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
