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
from ..kernel.numba.jit import stage
from ..kernel.numba.named_arrays import (
    FixedNames,
    NamedArrays,
    integer_at,
    literal_text,
    number_at,
    second_number_at,
    vector,
)
from ..market.watched import WatchedColumns
from .book_names import MOST_NAMES, NOTHING, ONE, SEPARATOR, BookNames, Names
from .view import FLAGS, NO_SUCH_VENUE, NUMBERS, POLICY_NUMBERS, TEXTS, SeenView

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
_PLACES = vector(types.int64, MOST_NAMES)

_POLICY = NamedArrays(
    "policy", [vector(types.float64, _FIRST_WEIGHT)],
    lambda name, options: _no_attribute("A policy", name, options),
    FixedNames({name: _OF_POLICY[name] for name in POLICY_NUMBERS if name in _OF_POLICY}),
)  # fmt: skip
#: The numbers that the kernel has written for the strategy, its policy, and the places of what it names.
_VIEW = NamedArrays(
    "view", [vector(types.float64, _SEEN[""]), vector(types.float64, _FIRST_WEIGHT), _PLACES],
    lambda name, options: _no_attribute("A view", name, options),
    FixedNames(
        {name: _SEEN[name] for name in NUMBERS}, {name: _SEEN[name] for name in FLAGS},
        {"memory": (_SEEN["memory"], codes.MEMORIES)},
    ), texts={name: f"{{{name}}}" for name in TEXTS},
    parts={"policy": (_POLICY, 1)},
)  # fmt: skip
#: The actions of a decision, what is noted of it, and the places of what it names.
_ACT = NamedArrays(
    "act",
    [
        (from_dtype(records.ACTION), (codes.ACTIONS,)),
        vector(types.float64, codes.DECISION_NOTES),
        _PLACES,
    ],
    lambda name, options: _no_attribute("An act", name, options),
)
_actions_of, _notes_of = _ACT.array(0), _ACT.array(1)


def _add_asset_method(name: str) -> None:
    @_VIEW.method(name)
    def method(view, asset):
        number = view.subject.number_of(name, literal_text(f"view.{name}", asset))
        return lambda view, asset: number_at(view, integer_at(view, number))


def _add_key_method(name: str) -> None:
    @_VIEW.method(name)
    def method(view, key):
        number = view.subject.number_of(name, literal_text(f"view.{name}", key, "'wallet:BaseToken:USDT'"))
        return lambda view, key: number_at(view, integer_at(view, number))


for _name in ("long", "short"):
    _add_asset_method(_name)
for _name in ("quantity", "in_transit"):
    _add_key_method(_name)


def _one_or_number(view, place):
    return 1.0 if place == ONE else number_at(view, place)


_price_at = stage(_one_or_number)


@_VIEW.method("price")
def _price(view, asset):
    number = view.subject.number_of("price", literal_text("view.price", asset))
    return lambda view, asset: _price_at(view, integer_at(view, number))


@_VIEW.method("venues")
def _venues(view):
    number = view.subject.number_of("venues")
    return lambda view: integer_at(view, number)


def _checked(venue, venues):
    if venue < 0 or venue >= venues:
        raise IndexError(NO_SUCH_VENUE)
    return venue


_venue_of = stage(_checked)


@_VIEW.method("weight")
def _weight(view, venue):
    venues = view.subject.number_of("venues")
    return lambda view, venue: second_number_at(view, _FIRST_WEIGHT + _venue_of(venue, integer_at(view, venues)))


@_VIEW.method("cash")
def _cash(view, venue):
    number = view.subject.number_of("cash")
    venues = view.subject.number_of("venues")
    return lambda view, venue: number_at(view, integer_at(view, number) + _venue_of(venue, integer_at(view, venues)))


@_VIEW.method("perp")
def _perp(view, asset, venue):
    first = view.subject.number_of("perp", literal_text("view.perp", asset))
    markets = view.subject.number_of("markets")
    venues = view.subject.number_of("venues")
    return lambda view, asset, venue: number_at(
        view, integer_at(view, first) + _venue_of(venue, integer_at(view, venues)) * integer_at(view, markets)
    )


def _add_column_method(method: str, example: str) -> None:
    @_VIEW.method(method)
    def read(view, name):
        number = view.subject.number_of(method, literal_text(f"view.{method}", name, example))
        return lambda view, name: number_at(view, integer_at(view, number))


_add_column_method("column", "'spot|BTC'")
_add_column_method("feature", "'name.column'")


def _number_of_window(view: Any, method: str, name: Any, window: Any, example: str) -> int:
    texts = [literal_text(f"view.{method}", text, example) for text in (name, window)]
    return view.subject.number_of(method, SEPARATOR.join(texts))


@_VIEW.method("mean")
def _mean(view, name, window):
    number = _number_of_window(view, "mean", name, window, "'spot|BTC', '30d'")
    return lambda view, name, window: number_at(view, integer_at(view, number))


@_VIEW.method("funding_apr")
def _funding_apr(view, venue, window):
    number = _number_of_window(view, "funding_apr", venue, window, "'okx', '7d'")
    return lambda view, venue, window: number_at(view, integer_at(view, number))


@_VIEW.method("funding")
def _funding(view, venue, window=""):
    example = "'okx', '7d'"
    # a default is given as it is, or as what Numba makes of it when it is left out
    given = getattr(window, "value", window)
    texts = [literal_text("view.funding", venue, example)]
    if given != "":
        texts.append(literal_text("view.funding", window, example))
    number = view.subject.number_of("funding", SEPARATOR.join(texts))
    return lambda view, venue, window="": number_at(view, integer_at(view, number))


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
    elif count >= actions.shape[0]:
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


_write_compiled = stage(_write_action)


@_ACT.method("count")
def _count(act):
    return lambda act: int(_notes_of(act)[COUNT])


def _add_act_method(name: str) -> None:
    code = codes.ACTION_NAMES.index(name)

    def number_of(act: Any, asset: Any) -> int:
        return act.subject.number_of(name, literal_text(f"act.{name}", asset))

    if name == "sell_dust":

        @_ACT.method(name)
        def sell(act):
            plan = act.subject.number_of(name)
            return lambda act: _write_compiled(
                _actions_of(act), _notes_of(act), code, integer_at(act, plan), 0.0, 0.0, 0.0
            )

    elif name in _EXITS:

        @_ACT.method(name)
        def leave(act, asset, amount=0.0):
            plan = number_of(act, asset)
            return lambda act, asset, amount=0.0: _write_compiled(
                _actions_of(act), _notes_of(act), code, integer_at(act, plan), float(amount), 0.0, 0.0
            )

    else:

        @_ACT.method(name)
        def enter(act, asset, amount, stop=0.0, take_profit=0.0):
            plan = number_of(act, asset)
            return lambda act, asset, amount, stop=0.0, take_profit=0.0: _write_compiled(
                _actions_of(act), _notes_of(act), code, integer_at(act, plan),
                float(amount), float(stop), float(take_profit),
            )  # fmt: skip


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
    function: Callable, names: Names, key: str, parameters: int, part: Callable[[Callable], Any] = stage
) -> Callable:
    """The same in the language of the compiler, still to be compiled.

    Parameters
    ----------
    names : gets what the function names when it is compiled
    key : of the function
    parameters : how many it takes after the view and the act
    part : how it is compiled
    """
    own = "".join(f", policy[{_FIRST_OWN + place}]" for place in range(parameters))
    text = (
        "def decide(seen, policy, actions, notes, places):\n"
        f"    notes[{COUNT}] = 0.0\n"
        f"    body(view_of(seen, policy, places), act_of(actions, notes, places){own})\n"
        f"    return int(notes[{COUNT}])\n"
    )
    made: dict[str, Any] = {
        "body": part(function), "view_of": _VIEW.over(names, key), "act_of": _ACT.over(names, key),
    }  # fmt: skip
    exec(text, made)
    return made["decide"]
