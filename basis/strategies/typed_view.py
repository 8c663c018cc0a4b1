"""The view and the act of a compiled strategy: names over the kernel's arrays, for the book of one run.

They speak the language of `View` and `Action`. What a strategy misspells is an `InputError` when it is compiled for the
book of a run, before a row is run. In plain Python the same names are attributes of two small classes.
"""

import types as python
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..config.fields import nearest
from ..errors import InputError
from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.numba.jit import MODE, PLAIN, stage, strategy_for_kernels
from ..kernel.numba.named_arrays import NamedArrays, literal_text, number_at
from .manager import _FLAGS, _HEAD, ACTIONS, View

#: Where the wrapper of a strategy counts its actions, in the copy of the hour that only it reads: how many there are,
#: -1 after a fault; then the fault: which, action, plan and the number that is wrong.
COUNT, FAULT, CODE, PLAN, NUMBER = range(5)
BAD_AMOUNT, BAD_STOP, BAD_TAKE_PROFIT, TOO_MANY = range(1, 5)
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

    @property
    def key(self) -> str:
        """The same for books that have the same names in the same places."""
        return repr((self.slots.assets, self.slots.keys, self.plans))


def _unknown(what: str, given: str, options: Any) -> NoReturn:
    near = nearest(given, options)
    raise InputError(what + (f"; did you mean {near}?" if near else ".") + f" There are {', '.join(options)}.")


def _no_attribute(of: str, name: str, options: Any) -> NoReturn:
    near = nearest(name, options)
    raise InputError(
        f"{of} has no {name!r}" + (f"; did you mean {near}?" if near else ";") + f" It has {', '.join(options)}."
    )


# --- in compiled code ------------------------------------------------------------------------------------------------

#: The numbers that the kernel has written for the strategy. A view reads no further than its names, which are within.
_VIEW = NamedArrays(
    "view", [(at.HEAD,)], lambda name, options: _no_attribute("A view", name, options),
    numbers=_HEAD, flags=_FLAGS, vectors={"memory": (at.MEMORY, at.MEMORIES)},
)  # fmt: skip
#: The actions of a decision, and where they are counted.
_ACT = NamedArrays(
    "act", [(at.ACTIONS, at.ACTION_WIDTH), (NUMBER + 1,)], lambda name, options: _no_attribute("An act", name, options)
)
_actions_of, _state_of = _ACT.array(0), _ACT.array(1)


def _add_view_method(name: str, place: int) -> None:
    @_VIEW.method(name)
    def method(view, asset):
        here = view.subject.place(name, literal_text(f"view.{name}", asset), place)
        return lambda view, asset: number_at(view, here)


for _name, _place in (("long", at.LONG), ("short", at.SHORT), ("price", at.PRICE)):
    _add_view_method(_name, _place)


@_VIEW.method("quantity")
def _quantity(view, key):
    here = view.subject.slot(literal_text("view.quantity", key))
    return lambda view, key: number_at(view, here)


def _write_action(actions, state, code, plan, amount, stop, take_profit):
    """Add an action. Only the first that is wrong is kept, with what is wrong with it; none is added after it."""
    count = int(state[COUNT])
    if count < 0:
        return
    fault, number = 0, amount
    # the limits are those of the kernel; a NaN is within none
    if not (amount >= 0.0 and amount < 1e300):
        fault = BAD_AMOUNT
    elif not (stop >= 0.0 and stop < 1e300):
        fault, number = BAD_STOP, stop
    elif not (take_profit >= 0.0 and take_profit < 1e300):
        fault, number = BAD_TAKE_PROFIT, take_profit
    elif count >= actions.shape[0]:
        fault = TOO_MANY
    if fault > 0:
        state[COUNT], state[FAULT], state[CODE], state[PLAN], state[NUMBER] = -1.0, fault, code, plan, number
        return
    actions[count, 0], actions[count, 1], actions[count, 2] = code, plan, amount
    actions[count, 4], actions[count, 5] = stop, take_profit
    state[COUNT] = count + 1.0


_write_compiled = stage(_write_action)


def _add_act_method(name: str) -> None:
    code = float(at.ACTION_NAMES.index(name))

    def plan_of(act: Any, asset: Any) -> float:
        return float(act.subject.plan(name, literal_text(f"act.{name}", asset)))

    if name == "sell_dust":

        @_ACT.method(name)
        def sell(act):
            plan = float(act.subject.plan(name, "dust"))
            return lambda act: _write_compiled(_actions_of(act), _state_of(act), code, plan, 0.0, 0.0, 0.0)

    elif name in _EXITS:

        @_ACT.method(name)
        def leave(act, asset, amount=0.0):
            plan = plan_of(act, asset)
            return lambda act, asset, amount=0.0: _write_compiled(
                _actions_of(act), _state_of(act), code, plan, float(amount), 0.0, 0.0
            )

    else:

        @_ACT.method(name)
        def enter(act, asset, amount, stop=0.0, take_profit=0.0):
            plan = plan_of(act, asset)
            return lambda act, asset, amount, stop=0.0, take_profit=0.0: _write_compiled(
                _actions_of(act), _state_of(act), code, plan, float(amount), float(stop), float(take_profit)
            )


for _name in ACTIONS:
    _add_act_method(_name)


# --- in plain Python -------------------------------------------------------------------------------------------------


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

        def write(asset: str = "dust", amount: float = 0.0, stop: float = 0.0, take_profit: float = 0.0) -> None:
            plan = self._book.plan(name, asset)
            _write_action(self._actions, self._state, at.ACTION_NAMES.index(name), plan, amount, stop, take_profit)

        return write


# --- in both ---------------------------------------------------------------------------------------------------------


def decide_function(function: Callable, book: Book, parameters: int) -> Any:
    """The function of a view, an act and parameters as the kernel calls it; see `basis.kernel.numba.jit.strategy`.

    Parameters
    ----------
    parameters : how many it takes after the view and the act

    Raises
    ------
    InputError
        Where the function names what the book has not.
    """
    own = ", ".join(f"params[{at.OWN + place}]" for place in range(parameters))
    text = (
        "def decide(view, hour, params, actions):\n"
        "    hour[0] = 0.0\n"
        f"    body(view_of(view), act_of(actions, hour), {own})\n"
        "    return int(hour[0])\n"
    )
    names: dict[str, Any]
    if MODE == PLAIN:
        names = {
            "body": function,
            "view_of": lambda seen: _PlainView(book, seen),
            "act_of": lambda actions, hour: _PlainAct(book, actions, hour),
        }
    else:
        names = {
            "body": stage(function),
            "view_of": _VIEW.over(book, book.key),
            "act_of": _ACT.over(book, book.key),
        }
    exec(text, names)
    return strategy_for_kernels(names["decide"])
