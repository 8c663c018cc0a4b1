"""Strategies written as one function that is compiled, with names for what it sees and does.

`compiled` is the decorator. The function gets a view and an act, which speak the language of `View` and `Action` in
plain Python, and its parameters. Both are names for places in the kernel's arrays (`basis.kernel.layout`): what is
misspelt is told when the function is compiled for the book of a run, before a row is run.
"""

import hashlib
import inspect
import math
import numbers
import re
import types as python
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, overload

import numba
import numpy as np
from numba import extending, types
from numba.core import config, errors
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import lower_getattr_generic, models, overload_method, register_model
from numba.np.arrayobj import populate_array

from ..components.book import slots_of, starting_holdings
from ..config import Config
from ..config.fields import nearest
from ..errors import InputError
from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.jit import DECIDE, stage
from .base import Strategy
from .factory import make_strategy
from .manager import _FLAGS, _HEAD, ACTIONS, View

# these are typed too narrowly upstream
_njit: Any = numba.njit
_intrinsic: Any = extending.intrinsic
#: Whether everything runs in plain Python.
_plain: bool = config.DISABLE_JIT  # pyright: ignore[reportAttributeAccessIssue]
#: Where the wrapper of a strategy counts its actions, in the copy of the hour that nobody else reads: how many there
#: are, -1 after a fault; then the fault: which, action, plan and the number that is wrong.
_COUNT, _FAULT, _CODE, _PLAN, _NUMBER = range(5)
_BAD_AMOUNT, _BAD_STOP, _BAD_TAKE_PROFIT, _TOO_MANY = range(1, 5)
_EXITS = ("exit_partial", "exit_full")


@dataclass(frozen=True)
class Book:
    """What of a run's book a strategy can name.

    Attributes
    ----------
    slots : slots of the instruments
    plans : asset of every plan
    """

    slots: Slots
    plans: tuple[str, ...]

    def place(self, what: str, asset: str, place: int) -> int:
        """Where the view shows something of an asset."""
        assets = self.slots.assets
        if asset not in assets:
            _unknown(f"{what}: no asset {asset!r} in this run", asset, assets)
        return at.HEAD + at.SEEN * assets.index(asset) + place

    def slot(self, key: str) -> int:
        """Where the view shows the quantity of an instrument."""
        keys = tuple(map(str, self.slots.keys))
        if key not in keys:
            _unknown(f"quantity: no instrument {key!r} in this run", key, keys)
        return at.HEAD + at.SEEN * len(self.slots.assets) + keys.index(key)

    def plan(self, action: str, asset: str) -> int:
        """Number of the plan for an asset."""
        if (action == "sell_dust") != (asset == "dust"):
            raise InputError(f"{action} {asset}: dust is sold by sell_dust, and only dust is.")
        if asset not in self.plans:
            _unknown(f"{action}: no asset {asset!r} in this run", asset, self.plans)
        return self.plans.index(asset)


def _unknown(what: str, given: str, options: Any) -> NoReturn:
    near = nearest(given, options)
    raise InputError(what + (f"; did you mean {near}?" if near else ".") + f" There are {', '.join(options)}.")


def _no_attribute(of: str, name: str, options: Any) -> NoReturn:
    near = nearest(name, options)
    raise InputError(
        f"{of} has no {name!r}" + (f"; did you mean {near}?" if near else ";") + f" It has {', '.join(options)}."
    )


# --- the faces in compiled code --------------------------------------------------------------------------------------


class _Face(types.Type):
    """A type of compiled code for one book."""

    methods: tuple[str, ...] = ()

    def __init__(self, book: Book) -> None:
        self.book = book
        digest = hashlib.sha256(repr((book.slots.assets, book.slots.keys, book.plans)).encode()).hexdigest()[:12]
        super().__init__(name=f"basis{type(self).__name__}_{digest}")


class _ViewType(_Face):
    """A view: the address of the numbers that the kernel has written (`hour.observe`)."""

    methods = ("long", "short", "price", "quantity")


class _ActType(_Face):
    """An act: the addresses of the actions, and of their count."""

    methods = ACTIONS


register_model(_ViewType)(models.OpaqueModel)


@register_model(_ActType)
class _ActModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("actions", types.voidptr), ("state", types.voidptr)])


_VECTOR, _TABLE = types.float64[::1], types.float64[:, ::1]


@infer_getattr
class _ViewNames(AttributeTemplate):
    key = _ViewType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        if name in _HEAD:
            return types.float64
        if name in _FLAGS:
            return types.boolean
        if name == "memory":
            return _VECTOR
        if name in kind.methods:
            return None
        _no_attribute("A view", name, (*_HEAD, *_FLAGS, "memory", *kind.methods))


@infer_getattr
class _ActNames(AttributeTemplate):
    key = _ActType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        if name not in kind.methods:
            _no_attribute("An act", name, kind.methods)


def _array_at(context: Any, builder: Any, kind: Any, pointer: Any, shape: tuple[int, ...]) -> Any:
    array = context.make_array(kind)(context, builder)
    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    steps = [size * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    as_int = [context.get_constant(types.intp, length) for length in shape]
    strides = [context.get_constant(types.intp, step) for step in steps]
    data = builder.bitcast(pointer, array.data.type)
    item = context.get_constant(types.intp, size)
    populate_array(array, data=data, shape=as_int, strides=strides, itemsize=item, meminfo=None)
    return array._getvalue()


def _number_at(context: Any, builder: Any, pointer: Any, place: Any) -> Any:
    data = builder.bitcast(pointer, context.get_value_type(types.float64).as_pointer())
    return builder.load(builder.gep(data, [place]))


@lower_getattr_generic(_ViewType)
def _seen(context: Any, builder: Any, kind: Any, pointer: Any, name: str) -> Any:
    if name == "memory":
        data = builder.bitcast(pointer, context.get_value_type(types.float64).as_pointer())
        first = builder.gep(data, [context.get_constant(types.intp, at.MEMORY)])
        return _array_at(context, builder, _VECTOR, first, (at.MEMORIES,))
    place = context.get_constant(types.intp, _HEAD.get(name, _FLAGS.get(name)))
    value = _number_at(context, builder, pointer, place)
    return value if name in _HEAD else builder.fcmp_ordered(">", value, context.get_constant(types.float64, 0.0))


@_intrinsic
def _at_place(typingctx: Any, view: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _number_at(context, builder, *args)

    return types.float64(view, types.intp), generate


def _named(what: str, text: Any) -> str:
    if not isinstance(text, types.StringLiteral):
        raise errors.TypingError(f"{what}: its name must stand there as a text, as in {what}('BTC')")
    return text.literal_value


def _add_view_method(name: str, place: int) -> None:
    @overload_method(_ViewType, name, prefer_literal=True)
    def method(view, asset):
        here = view.book.place(name, _named(f"view.{name}", asset), place)
        return lambda view, asset: _at_place(view, here)


for _name, _place in (("long", at.LONG), ("short", at.SHORT), ("price", at.PRICE)):
    _add_view_method(_name, _place)


@overload_method(_ViewType, "quantity", prefer_literal=True)
def _quantity(view, key):
    here = view.book.slot(_named("view.quantity", key))
    return lambda view, key: _at_place(view, here)


@_intrinsic
def _actions_of(typingctx: Any, act: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.extract_value(args[0], 0)
        return _array_at(context, builder, _TABLE, pointer, (at.ACTIONS, at.ACTION_WIDTH))

    return _TABLE(act), generate


@_intrinsic
def _state_of(typingctx: Any, act: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _array_at(context, builder, _VECTOR, builder.extract_value(args[0], 1), (_NUMBER + 1,))

    return _VECTOR(act), generate


def _put(actions, state, code, plan, amount, stop, take):
    """Add an action, or keep what is wrong with it: the first fault is told."""
    count = int(state[_COUNT])
    if count < 0:
        return
    fault, number = 0, amount
    # the limits are those of the kernel; a NaN is within none
    if not (amount >= 0.0 and amount < 1e300):
        fault = _BAD_AMOUNT
    elif not (stop >= 0.0 and stop < 1e300):
        fault, number = _BAD_STOP, stop
    elif not (take >= 0.0 and take < 1e300):
        fault, number = _BAD_TAKE_PROFIT, take
    elif count >= actions.shape[0]:
        fault = _TOO_MANY
    if fault > 0:
        state[_COUNT], state[_FAULT], state[_CODE], state[_PLAN], state[_NUMBER] = -1.0, fault, code, plan, number
        return
    actions[count, 0], actions[count, 1], actions[count, 2] = code, plan, amount
    actions[count, 4], actions[count, 5] = stop, take
    state[_COUNT] = count + 1.0


_put_part = stage(_put)


def _add_act_method(name: str) -> None:
    code = float(at.ACTION_NAMES.index(name))

    def plan_of(act: Any, asset: Any) -> float:
        return float(act.book.plan(name, _named(f"act.{name}", asset)))

    if name == "sell_dust":

        @overload_method(_ActType, name)
        def sell(act):
            plan = float(act.book.plan(name, "dust"))
            return lambda act: _put_part(_actions_of(act), _state_of(act), code, plan, 0.0, 0.0, 0.0)

    elif name in _EXITS:

        @overload_method(_ActType, name, prefer_literal=True)
        def leave(act, asset, amount=0.0):
            plan = plan_of(act, asset)
            return lambda act, asset, amount=0.0: _put_part(
                _actions_of(act), _state_of(act), code, plan, float(amount), 0.0, 0.0
            )

    else:

        @overload_method(_ActType, name, prefer_literal=True)
        def enter(act, asset, amount, stop=0.0, take_profit=0.0):
            plan = plan_of(act, asset)
            return lambda act, asset, amount, stop=0.0, take_profit=0.0: _put_part(
                _actions_of(act), _state_of(act), code, plan, float(amount), float(stop), float(take_profit)
            )


for _name in ACTIONS:
    _add_act_method(_name)


def _view_of(kind: _ViewType) -> Any:
    @_intrinsic
    def cast(typingctx: Any, seen: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
            return builder.bitcast(data, context.get_value_type(sig.return_type))

        return kind(seen), generate

    return cast


def _act_of(kind: _ActType) -> Any:
    @_intrinsic
    def cast(typingctx: Any, actions: Any, state: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = context.get_constant_null(sig.return_type)
            for place, (array, passed) in enumerate(zip(sig.args, args, strict=True)):
                data = context.make_array(array)(context, builder, passed).data
                pointer = builder.bitcast(data, context.get_value_type(types.voidptr))
                value = builder.insert_value(value, pointer, place)
            return value

        return kind(actions, state), generate

    return cast


# --- the faces in plain Python ---------------------------------------------------------------------------------------


class _PlainView(View):
    """A view over the kernel's numbers themselves, whose memory can be written."""

    def __init__(self, book: Book, seen: np.ndarray) -> None:
        self._book, self._seen = python.SimpleNamespace(slots=book.slots), seen  # type: ignore[assignment]

    @property
    def memory(self) -> Any:
        return self._seen[at.MEMORY : at.HEAD]


class _PlainAct:
    """An act over the kernel's actions."""

    def __init__(self, book: Book, actions: np.ndarray, state: np.ndarray) -> None:
        self._book, self._actions, self._state = book, actions, state

    def __getattr__(self, name: str) -> Any:
        if name not in ACTIONS:
            _no_attribute("An act", name, ACTIONS)

        def put(asset: str = "dust", amount: float = 0.0, stop: float = 0.0, take_profit: float = 0.0) -> None:
            plan = self._book.plan(name, asset)
            _put(self._actions, self._state, at.ACTION_NAMES.index(name), plan, amount, stop, take_profit)

        return put


def _wrapped(function: Callable, book: Book, count: int) -> Any:
    """The function as the kernel calls it; see `basis.kernel.jit.strategy`."""
    own = ", ".join(f"params[{at.OWN + place}]" for place in range(count))
    text = (
        "def decide(view, hour, params, actions):\n"
        "    hour[0] = 0.0\n"
        f"    body(view_of(view), act_of(actions, hour), {own})\n"
        "    return int(hour[0])\n"
    )
    names: dict[str, Any]
    if _plain:
        names = {
            "body": function,
            "view_of": lambda seen: _PlainView(book, seen),
            "act_of": lambda actions, hour: _PlainAct(book, actions, hour),
        }
    else:
        names = {"body": stage(function), "view_of": _view_of(_ViewType(book)), "act_of": _act_of(_ActType(book))}
    exec(text, names)
    if _plain:
        return names["decide"]
    # kernels call it by its address: wrappers for other callers would take as long again to compile
    return _njit(DECIDE, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(names["decide"])


# --- the strategy ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CompiledStrategy:
    """A function that decides, with its parameters; made by `compiled`, given to `basis.backtest` as ``strategy=``.

    Call it with parameters for a variant: ``modest(share=0.5)``. Variants share what was compiled.

    Attributes
    ----------
    function : the function as it was written
    params : its parameters
    every_row : whether it is asked in every row
    """

    function: Callable
    params: Mapping[str, float]
    every_row: bool = False
    _made: dict[Book, Any] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, **params: float) -> "CompiledStrategy":
        """The same strategy with other parameters.

        Raises
        ------
        InputError
            For a parameter it does not have, or a value that is no finite number.
        """
        for name, value in params.items():
            if name not in self.params:
                near = nearest(name, self.params)
                hint = f" Did you mean {near}?" if near else ""
                raise InputError(
                    f"{self.function.__name__} has no parameter {name!r}.{hint} "
                    f"It has {', '.join(self.params) or 'none'}."
                )
            _check_parameter(self.function, name, value)
        found = {name: float(value) for name, value in params.items()}
        return CompiledStrategy(self.function, {**self.params, **found}, self.every_row, self._made)

    @property
    def name(self) -> str:
        """What a run's manifest calls it: function, parameters, and a hash of the code."""
        code = self.function.__code__
        constants = tuple(value for value in code.co_consts if not inspect.iscode(value))
        made_of = (code.co_code, constants, code.co_names, tuple(self.params.items()), self.every_row)
        digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:8]
        shown = ", ".join(f"{name}={value:g}" for name, value in self.params.items())
        return f"{self.function.__name__}({shown}) {digest}"

    def bound(self, config: Config, positions: Mapping[str, float] | None = None) -> Strategy:
        """The strategy for the book of a configuration; compiled where it has not been for one like it.

        Raises
        ------
        InputError
            Where the function names what is not there, or cannot be compiled.
        """
        base = make_strategy(config)
        slots = slots_of(config, starting_holdings(config, positions), base.signal is not None)
        book = Book(slots, tuple(plan.asset for plan in base.plans(config)))
        if book not in self._made:
            self._made[book] = self._compiled(book)

        def policy(config: Config, slots: Slots) -> dict[int, float]:
            # what the mode's strategy keeps for itself gives way
            kept = {place: value for place, value in base.policy(config, slots).items() if place < at.OWN}
            own = {at.OWN + place: value for place, value in enumerate(self.params.values())}
            return {**kept, **({at.ASK_ALWAYS: 1.0} if self.every_row else {}), **own}

        return Strategy(self.name, self._made[book], base.plans, policy, base.rate, base.signal)

    def _compiled(self, book: Book) -> Any:
        name = self.function.__name__
        try:
            return _wrapped(self.function, book, len(self.params))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        except errors.NumbaError as error:
            raise InputError(
                f"{name} cannot be compiled: {_reason(error, self.function)} Compiled code takes numbers, comparisons, "
                "loops and math; for anything else write a StrategyManager in plain Python."
            ) from error

    def fault(self, state: np.ndarray, config: Config) -> str | None:
        """What was wrong with its last decision, from what it left in the copy of the hour; None where nothing was."""
        if not state[_COUNT] < 0.0:
            return None
        plans = [plan.asset for plan in make_strategy(config).plans(config)]
        what = f"{at.ACTION_NAMES[int(state[_CODE])]} {plans[int(state[_PLAN])]}"
        if state[_FAULT] == _TOO_MANY:
            return f"{what}: there are {at.ACTIONS} actions already, the most of one decision"
        kind = {_BAD_AMOUNT: "amount", _BAD_STOP: "stop", _BAD_TAKE_PROFIT: "take_profit"}[int(state[_FAULT])]
        return f"{what}: {kind} {float(state[_NUMBER])!r}; it must be finite, >= 0"


def _reason(error: Exception, function: Callable) -> str:
    """What the compiler has to say, in a line, with the line of the function."""
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


def _check_parameter(function: Callable, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"{function.__name__}: parameter {name} is {value!r}; it must be a finite number.")


@overload
def compiled(function: Callable) -> CompiledStrategy: ...
@overload
def compiled(*, every_row: bool = False) -> Callable[[Callable], CompiledStrategy]: ...
def compiled(function: "Callable | None" = None, *, every_row: bool = False) -> Any:
    """Make a strategy of a function, which is compiled when it is first run; in a cell it is edited and run again.

    It is called as ``function(view, act, **parameters)`` in the rows in which the mode's own strategy would be asked
    (`StrategyManager`), and its actions mean what they mean in the mode of the run. It may use numbers, comparisons,
    loops, `math`, numpy's functions of numbers, and other functions that Numba has compiled.

    Parameters
    ----------
    function : takes a view, an act, and parameters that are numbers, each with its default, eight at most
    every_row : ask it in every row

    Returns
    -------
    CompiledStrategy
        For ``backtest(…, strategy=…)``; call it for other parameters: ``modest(share=0.5)``.

    Raises
    ------
    InputError
        For a function of another form. What it names and is not there is told when it is run; an amount that is no
        number stops the run in its row. Of what is asked for beyond what is held no more is traded than there is, or
        the venue rejects the order; the result's `warnings` count both.

    Notes
    -----
    A view has what `basis.strategies.manager.View` has: ``equity``, ``gross``, ``ltv``, ``health_factor``, ``drift``,
    ``invested``, ``margin_low``, ``margin_high``, ``pending``, ``alert``, ``rate``, ``dust``, ``gas_cost``,
    ``quote_price``, ``arrived``, ``first``, ``last``, ``view.long("BTC")``, ``view.short("BTC")``,
    ``view.price("BTC")``, ``view.quantity("wallet:BaseToken:USDT")``, and ``memory``, four numbers that may be written
    and are there again when it is next asked.

    An act has the actions: ``act.entry_full(asset, amount, stop=0.0, take_profit=0.0)`` and ``act.entry_partial`` of
    the same form, ``act.exit_partial(asset, amount)``, ``act.exit_full(asset, amount=0.0)`` and ``act.sell_dust()``, at
    most eight in a decision, in the order in which they are carried out.

    Examples
    --------
    Hedges a share of the equity, with as much margin as coin; leaves when an alert is critical or money is called:

    >>> @basis.compiled
    ... def modest(view, act, share=0.4):
    ...     if view.alert >= 2 or view.pending > 0:
    ...         act.exit_full("BTC")
    ...         act.exit_full("USDT", view.equity)
    ...         return
    ...     wanted = share * view.equity / view.price("BTC")
    ...     if view.long("BTC") < 0.5 * wanted:
    ...         act.entry_full("USDT", share * view.equity)
    ...         act.entry_full("BTC", wanted - view.long("BTC"))
    >>> june = {"start": "2024-06-01", "end": "2024-06-30"}
    >>> result = basis.backtest("btc_basis", strategy=modest, **june)
    >>> bool(result.summary["total_return"] > 0)
    True
    >>> larger = basis.backtest("btc_basis", strategy=modest(share=0.5), **june)
    >>> bool(larger.stats()["turnover"] > result.stats()["turnover"])
    True
    """
    if function is None:
        return lambda function: compiled(function, every_row=every_row)  # type: ignore[call-overload]
    if not inspect.isfunction(function):
        raise InputError(f"compiled takes a function, as in @basis.compiled above it; it got {function!r}.")
    form = f"{function.__name__}(view, act, share=0.4)"
    found = list(inspect.signature(function).parameters.values())
    plain = all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in found)
    if len(found) < 2 or not plain or any(p.default is not p.empty for p in found[:2]):
        raise InputError(f"{function.__name__} must take a view, an act and named parameters, as in {form}.")
    if len(found) - 2 > at.OWNS:
        raise InputError(f"{function.__name__} has {len(found) - 2} parameters; at most {at.OWNS}.")
    for parameter in found[2:]:
        if parameter.default is parameter.empty:
            raise InputError(f"{function.__name__}: parameter {parameter.name} needs a default, as in {form}.")
        _check_parameter(function, parameter.name, parameter.default)
    return CompiledStrategy(function, {p.name: float(p.default) for p in found[2:]}, every_row)
