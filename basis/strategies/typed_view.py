"""The view and the act of a compiled strategy: names over the kernel's arrays.

They speak the language of `View` and `Action`. A function is compiled once for all books: what it names becomes a list,
and each name is resolved to its place in the book of a run before a row is run (`book_names`). What a strategy
misspells is an `InputError` then, or when the function is compiled.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numba import from_dtype, types

from ..config.fields import nearest
from ..errors import InputError
from ..kernel.layout import codes, records
from ..kernel.layout.state import POLICY, VIEW
from ..kernel.numba.jit import begin_decision, own_stage, routine, stage
from ..kernel.numba.named_arrays import (
    FixedNames,
    NamedArrays,
    array_at,
    literal_text,
)
from ..market.watched import WatchedColumns
from .book_names import NOTHING, ONE, SEPARATOR, BookNames, Names
from .view import FLAGS, NO_SUCH_VENUE, NUMBERS, POLICY_NUMBERS, TEXTS, SeenView, refuse_writing

#: Actions that a strategy may name.
ACTIONS = codes.ACTION_NAMES[1:]
_EXITS = ("exit_partial", "exit_full")
#: What a strategy notes of its decision: how many actions, -1 after a fault; then the fault: which, action, plan, and
#: the number that is wrong.
COUNT, FAULT, CODE, PLAN, NUMBER = range(codes.DECISION_NOTES)
BAD_AMOUNT, BAD_STOP, BAD_TAKE_PROFIT, TOO_MANY = range(1, 5)


def _no_attribute(of: str, name: str, options: Any) -> NoReturn:
    near = nearest(name, options)
    raise InputError(
        f"{of} has no {name!r}" + (f"; did you mean {near}?" if near else ";") + f" It has {', '.join(options)}."
    )


# --- in compiled code ------------------------------------------------------------------------------------------------


def _fixed_places(layout: Any) -> dict[str, int]:
    """Place of the items that stand at the same place in every book: those before the first whose count varies."""
    found, place = {}, 0
    for item in layout.items:
        if item.count and not isinstance(item.count, int):
            break
        found[item.name] = place
        place += item.count or 1
    return {**found, "": place}


_SEEN, _OF_POLICY = _fixed_places(VIEW), _fixed_places(POLICY)
_FIRST_OWN, _FIRST_WEIGHT = _OF_POLICY["own"], _OF_POLICY[""]

_POLICY = NamedArrays(
    "policy", [types.float64],
    lambda name, options: _no_attribute("A policy", name, options),
    lambda name: refuse_writing("policy", name, "Set strategy.* of the configuration."),
    FixedNames({name: _OF_POLICY[name] for name in POLICY_NUMBERS if name in _OF_POLICY}),
)  # fmt: skip
#: The numbers that the kernel has written for the strategy, its policy, and the places of what it names.
_VIEW = NamedArrays(
    "view", [types.float64, types.float64, types.int64],
    lambda name, options: _no_attribute("A view", name, options),
    lambda name: refuse_writing("view", name),
    FixedNames(
        {name: _SEEN[name] for name in NUMBERS}, {name: _SEEN[name] for name in FLAGS},
        {"memory": (_SEEN["memory"], codes.MEMORIES)},
    ), texts={name: f"{{{name}}}" for name in TEXTS},
    parts={"policy": (_POLICY, 1)},
)  # fmt: skip
#: The actions of a decision, what is noted of it, and the places of what it names.
_ACT = NamedArrays(
    "act", [from_dtype(records.ACTION), types.float64, types.int64],
    lambda name, options: _no_attribute("An act", name, options),
    lambda name: refuse_writing("act", name, "Call it, as in act.entry_full('BTC', 0.5)."),
)  # fmt: skip


# What the methods do is compiled once for all strategies, over the addresses of the arrays.


def _number(seen, policy, places, name):
    return seen[places[name]]


def _one_or_number(seen, policy, places, name):
    place = places[name]
    return 1.0 if place == ONE else seen[place]


def _integer(seen, policy, places, name):
    return places[name]


def _checked(venue, venues):
    if venue < 0 or venue >= venues:
        raise IndexError(NO_SUCH_VENUE)
    return venue


_venue_of = stage(_checked)


def _weight_of(seen, policy, places, venues, venue):
    return policy[_FIRST_WEIGHT + _venue_of(venue, places[venues])]


def _cash_of(seen, policy, places, first, venues, venue):
    return seen[places[first] + _venue_of(venue, places[venues])]


def _perp_of(seen, policy, places, first, markets, venues, venue):
    return seen[places[first] + _venue_of(venue, places[venues]) * places[markets]]


_number_at, _price_at, _integer_at = stage(_number), stage(_one_or_number), stage(_integer)
_weight_at, _cash_at, _perp_at = stage(_weight_of), stage(_cash_of), stage(_perp_of)


def _add_asset_method(name: str, body: Any = _number_at) -> None:
    @_VIEW.method(name, body)
    def method(view, asset):
        return [view.subject.number_of(name, literal_text(f"view.{name}", asset))]


def _add_key_method(name: str) -> None:
    @_VIEW.method(name, _number_at)
    def method(view, key):
        return [view.subject.number_of(name, literal_text(f"view.{name}", key, "'wallet:BaseToken:USDT'"))]


def _add_column_method(method: str, example: str) -> None:
    @_VIEW.method(method, _number_at)
    def read(view, name):
        return [view.subject.number_of(method, literal_text(f"view.{method}", name, example))]


_add_asset_method("long")
_add_asset_method("short")
_add_asset_method("price", _price_at)
_add_key_method("quantity")
_add_key_method("in_transit")
_add_column_method("column", "'spot|BTC'")
_add_column_method("feature", "'name.column'")


@_VIEW.method("venues", _integer_at, types.int64)
def _venues(view):
    return [view.subject.number_of("venues")]


@_VIEW.method("weight", _weight_at, venue=types.int64)
def _weight(view, venue):
    return [view.subject.number_of("venues")]


@_VIEW.method("cash", _cash_at, venue=types.int64)
def _cash(view, venue):
    return [view.subject.number_of(name) for name in ("cash", "venues")]


@_VIEW.method("perp", _perp_at, venue=types.int64)
def _perp(view, asset, venue):
    first = view.subject.number_of("perp", literal_text("view.perp", asset))
    return [first, *(view.subject.number_of(name) for name in ("markets", "venues"))]


def _number_of_window(view: Any, method: str, name: Any, window: Any, example: str) -> list[int]:
    texts = [literal_text(f"view.{method}", text, example) for text in (name, window)]
    return [view.subject.number_of(method, SEPARATOR.join(texts))]


@_VIEW.method("mean", _number_at)
def _mean(view, name, window):
    return _number_of_window(view, "mean", name, window, "'spot|BTC', '30d'")


@_VIEW.method("funding_apr", _number_at)
def _funding_apr(view, venue, window):
    return _number_of_window(view, "funding_apr", venue, window, "'okx', '7d'")


@_VIEW.method("funding", _number_at)
def _funding(view, venue, window=None):
    if window is not None and getattr(window, "literal_value", None) != "":
        return _number_of_window(view, "funding", venue, window, "'okx', '7d'")
    return [view.subject.number_of("funding", literal_text("view.funding", venue, "'okx', '7d'"))]


def _write_action(actions, notes, code, plan, amount, stop, take_profit):
    """Add an action. Only the first that is wrong is kept, with what is wrong with it; none is added after it."""
    count = int(notes[COUNT])
    if count < 0 or plan == NOTHING:
        return
    fault, number = 0, amount
    # the limits are those of the kernel; a NaN is within none
    if not (amount >= 0.0 and amount < codes.TOO_LARGE):
        fault = BAD_AMOUNT
    elif not (stop >= 0.0 and stop < codes.TOO_LARGE):
        fault, number = BAD_STOP, stop
    elif not (take_profit >= 0.0 and take_profit < codes.TOO_LARGE):
        fault, number = BAD_TAKE_PROFIT, take_profit
    elif count >= codes.ACTIONS:
        fault = TOO_MANY
    if fault > 0:
        notes[COUNT], notes[FAULT], notes[CODE], notes[PLAN], notes[NUMBER] = -1.0, fault, code, plan, number
        return
    action = actions[count]
    action.code = code
    action.plan = plan
    action.amount = amount
    action.stop = stop
    action.take_profit = take_profit
    notes[COUNT] = count + 1.0


_write = stage(_write_action)


def _write_at(actions, notes, code, plan, amount, stop, take_profit):
    _write(array_at(actions, (codes.ACTIONS,)), notes, code, plan, amount, stop, take_profit)


_add_action = stage(_write_at)


def _none_yet(notes):
    notes[COUNT] = 0.0


def _noted(notes):
    return int(notes[COUNT])


def _parameter(policy, place):
    return policy[place]


def _begin_decision(notes):
    begin_decision()
    notes[COUNT] = 0.0


_begin, _count_noted, _own = stage(_none_yet), stage(_noted), stage(_parameter)
_begin_own = stage(_begin_decision)


def _counted(actions, notes, places):
    return int(notes[COUNT])


def _enter(actions, notes, places, code, plan, amount, stop, take_profit):
    _add_action(actions, notes, code, places[plan], amount, stop, take_profit)


def _leave(actions, notes, places, code, plan, amount):
    _add_action(actions, notes, code, places[plan], amount, 0.0, 0.0)


def _sell(actions, notes, places, code, plan):
    _add_action(actions, notes, code, places[plan], 0.0, 0.0, 0.0)


_count_of = stage(_counted)
# a strategy writes few actions, in few of its rows: inlined, they would take longer to compile
_enter_by, _leave_by, _sell_by = routine(_enter), routine(_leave), routine(_sell)


@_ACT.method("count", _count_of, types.int64)
def _count(act):
    return []


def _add_act_method(name: str) -> None:
    code, number = codes.ACTION_NAMES.index(name), types.float64

    def numbers_of(act: Any, asset: Any) -> list[int]:
        return [code, act.subject.number_of(name, literal_text(f"act.{name}", asset))]

    if name == "sell_dust":

        @_ACT.method(name, _sell_by, types.none)
        def sell(act):
            return [code, act.subject.number_of(name)]

    elif name in _EXITS:

        @_ACT.method(name, _leave_by, types.none, amount=number)
        def leave(act, asset, amount=0.0):
            return numbers_of(act, asset)

    else:

        @_ACT.method(name, _enter_by, types.none, amount=number, stop=number, take_profit=number)
        def enter(act, asset, amount, stop=0.0, take_profit=0.0):
            return numbers_of(act, asset)


for _name in ACTIONS:
    _add_act_method(_name)


# --- in plain Python -------------------------------------------------------------------------------------------------


class PlainAct:
    """An act over the kernel's actions."""

    def __init__(self, book: BookNames, actions: np.recarray, notes: np.ndarray) -> None:
        self._book, self._actions, self._notes = book, actions, notes

    def count(self) -> int:
        """Number of actions so far."""
        return int(self._notes[COUNT])

    def __getattr__(self, name: str) -> Any:
        if name not in ACTIONS:
            _no_attribute("An act", name, (*ACTIONS, "count"))

        def write(asset: str = "", amount: float = 0.0, stop: float = 0.0, take_profit: float = 0.0) -> None:
            plan = self._book.resolve(name, asset)
            _write_action(self._actions, self._notes, codes.ACTION_NAMES.index(name), plan, amount, stop, take_profit)

        return write


def plain_decision(
    function: Callable, book: BookNames, parameters: int, columns: WatchedColumns | None = None
) -> Callable:
    """The function of a view, an act and parameters as the kernel calls it, in plain Python."""

    def decide(seen: Any, policy: Any, actions: Any, notes: Any, places: Any) -> int:
        notes[COUNT] = 0.0
        view, act = SeenView(book, seen, policy, columns), PlainAct(book, actions, notes)
        function(view, act, *policy[_FIRST_OWN : _FIRST_OWN + parameters])
        return int(notes[COUNT])

    return decide


def compiled_decision(
    function: Callable, names: Names, key: str, parameters: int, is_own: Callable[[Any], bool] | None
) -> Callable:
    """The same in the language of the compiler, still to be compiled.

    Parameters
    ----------
    names : gets what the function names when it is compiled
    key : of the function
    parameters : how many it takes after the view and the act
    is_own : whether another function that it calls is one of the user, who has written it; None for one of the package
    """
    own = "".join(f", own(policy, {_FIRST_OWN + place})" for place in range(parameters))
    text = (
        "def decide(seen, policy, actions, notes, places):\n"
        "    begin(notes)\n"
        f"    body(view_of(seen, policy, places), act_of(actions, notes, places){own})\n"
        "    return count(notes)\n"
    )
    made: dict[str, Any] = {
        "body": stage(function) if is_own is None else own_stage(function, is_own),
        "view_of": _VIEW.over(names, key), "act_of": _ACT.over(names, key),
        "begin": _begin if is_own is None else _begin_own, "own": _own, "count": _count_noted,
    }  # fmt: skip
    exec(text, made)  # noqa: S102 - the text above, with numbers in it
    return made["decide"]
