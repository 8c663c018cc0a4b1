"""What a strategy can name in a run's book, and where it is shown: the one list for compiled and plain strategies.

What a run does not have is an error that says what to set: it is never a number that only looks like one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from ..config import Config
from ..config.durations import parse_duration
from ..config.fields import nearest
from ..errors import InputError
from ..inputs.plans import Plan
from ..inputs.slots import Slots
from ..kernel.keys import QUOTE_ASSET
from ..kernel.layout import codes
from ..kernel.layout.state import VIEW
from ..market.sources.clock import duration_ns
from ..market.watched import Watched

#: Most names of a function.
MOST_NAMES = 64
#: Place of a price that is always 1, and plan of an action that does nothing.
ONE, NOTHING = -1, -1
#: Stands for the exchanges of `strategy.hedge_allocation`, by their weights.
HEDGE = "hedge"
#: What a view reads of columns: method → kind of `Watched`.
_WATCHES = {"funding": "funding", "funding_apr": "funding_apr", "mean": "mean", "column": "column", "feature": "column"}
#: Between the arguments of a method in a list of names.
SEPARATOR = "\n"
_SIGNAL = ("signal", "signal_trusted", "stop_distance", "take_profit_distance")
_NO_RULE = (
    "there is no rate rule in this run. Set strategy.rate_rule to {enabled: true, enter: …, leave: …, window: …}, "
    "or read view.funding_apr('hedge', '7d'), which needs none"
)
_NO_LOAN = "mode {mode} has no loan. Run one that borrows, such as eth_leveraged, or leave it out"
_NO_EXCHANGE = "mode {mode} has no exchange. Run one with a hedge, such as btc_basis, or leave it out"
_NO_SIGNAL = (
    "mode {mode} has no signal. Run ml_directional with strategy.signal_file; a series of your own is read by "
    "view.feature, once strategy.features names its file"
)
_NO_TARGET = "strategy.target_ltv is not set in this run. Set it in a mode that borrows, such as eth_leveraged"


@dataclass(frozen=True)
class BookNames:
    """What of a run's book a strategy can name.

    Attributes
    ----------
    config : of the run
    slots : slots of the instruments
    plans : of the strategy
    texts : texts of the mode, such as its asset
    checks : whether numbers that the run does not have are refused; the shipped strategies look at what is set first
    """

    config: Config
    slots: Slots
    plans: tuple[Plan, ...]
    texts: Mapping[str, str]
    checks: bool = True

    def text(self, given: str) -> str:
        """A text as it was written, or the mode's where it stands for one."""
        if not given.startswith("{"):
            return given
        name = given[1:-1]
        if name not in self.texts:
            raise InputError(f"view.{name}: this mode has none. It has {', '.join(self.texts)}.")
        return self.texts[name]

    # --- what is there -----------------------------------------------------------------------------------------------

    def check(self, name: str) -> None:
        """Refuse to read a number that this run does not have: ``view.rate``, ``policy.target_ltv``.

        Raises
        ------
        InputError
            Where there is none; says what to set.
        """
        why = self._why_not(name) if self.checks else ""
        if why:
            shown = name if name.startswith("view.") else f"view.{name}"
            raise InputError(f"{shown}: {why.format_map({'mode': self.config.mode})}.")

    def _why_not(self, name: str) -> str:
        of, _, number = name.partition(".")
        if number in ("rate", "enter_rate", "leave_rate", "switching_cost"):
            return "" if self.config.strategy.rate_rule.enabled else _NO_RULE.replace("{", "{{").replace("}", "}}")
        if number in ("ltv", "health_factor"):
            return "" if self.slots.debt else _NO_LOAN
        if number in ("margin_low", "margin_high", "margin_target"):
            return "" if self.slots.venues else _NO_EXCHANGE
        if number == "quote_price":
            return "" if self.slots.venues or self.slots.share_class == QUOTE_ASSET else _NO_EXCHANGE
        if number in _SIGNAL:
            return "" if self.slots.stops else _NO_SIGNAL
        if number == "invested" and not any(plan.holds for plan in self.plans):
            return "mode {mode} holds nothing long beside its perps. Read view.short, below 0 for a long perp"
        if of == "policy" and number == "target_ltv":
            return "" if self.config.strategy.target_ltv is not None else _NO_TARGET
        return ""

    # --- where it is -------------------------------------------------------------------------------------------------

    def resolve(self, what: str, given: str) -> int:
        """Where a view shows what is named, or the number of a plan.

        Raises
        ------
        InputError
            Where the book has no such thing.
        """
        text, shape = self.text(given), self.slots.shape()
        first = VIEW.places(shape._asdict())
        if what in ("long", "short", "price"):
            if what == "price" and text == self.slots.share_class:
                return ONE
            if text not in self.slots.assets:
                _unknown(f"{what}: no asset {text!r} in this run", text, self.slots.assets)
            return getattr(first, what) + self.slots.assets.index(text)
        if what == "quantity":
            return first.quantity + self._slot(what, text)
        if what == "in_transit":
            return first.transit + self._moving(text)
        if what == "cash":
            return first.quantity
        if what == "venues":
            return shape.venues
        if what == "markets":
            return shape.markets
        if what == "perp":
            market = f"{text}{QUOTE_ASSET}"
            if market not in self.slots.markets:
                bases = tuple(name.removesuffix(QUOTE_ASSET) for name in self.slots.markets)
                _unknown(f"perp: no perp of {text!r} in this run", text, bases)
            return first.quantity + shape.first_perp + self.slots.markets.index(market)
        return self._plan(what, text)

    def _slot(self, what: str, key: str) -> int:
        keys = tuple(map(str, self.slots.keys))
        if key not in keys:
            _unknown(f"{what}: no instrument {key!r} in this run", key, keys)
        return keys.index(key)

    def _moving(self, key: str) -> int:
        moving = tuple(map(str, (*self.slots.cash, *self.slots.token)))
        if key not in moving:
            _unknown(f"in_transit: no cash or token {key!r} in this run", key, moving)
        return moving.index(key)

    def _plan(self, action: str, asset: str) -> int:
        plans = tuple(plan.asset for plan in self.plans)
        if action == "sell_dust":
            # a run without rewards has none to sell
            return plans.index("dust") if "dust" in plans else NOTHING
        if asset == "dust":
            raise InputError(f"{action} {asset}: dust is sold by sell_dust, and only dust is.")
        if asset not in plans:
            _unknown(f"{action}: no asset {asset!r} in this run", asset, plans)
        return plans.index(asset)

    # --- columns -----------------------------------------------------------------------------------------------------

    def watched(self, what: str, *given: str) -> Watched:
        """The column that a method of a view reads.

        Parameters
        ----------
        what : the method, ``funding``
        given : its arguments, ``okx`` and ``7d``

        Raises
        ------
        InputError
            Where the run has no such venue, or the window is no duration.
        """
        first, window = self.text(given[0]), _window(what, given[1]) if len(given) > 1 and given[1] else 0
        kind = _WATCHES[what]
        if what == "feature":
            self._check_feature(first)
            return Watched(kind, f"feature|{first}")
        if what in ("column", "mean"):
            return Watched(kind, first, window)
        kind = "funding_sum" if what == "funding" and window else kind
        return Watched(kind, self._perps(what, first), window)

    def _check_feature(self, name: str) -> None:
        files = self.config.strategy.features
        if name.partition(".")[0] not in files:
            named = f"it names {', '.join(files)}" if files else "it names none"
            raise InputError(
                f"feature: {name!r} is 'name.column' of a file features/name.parquet that strategy.features names; "
                f"{named}."
            )

    def _perps(self, what: str, venue: str) -> str:
        """The perps that a venue stands for, with their weights."""
        held = {str(key): key.venue for key in sorted(self.slots.held, key=str)}
        if venue in held:
            return f"{venue}=1"
        own = f"{self.config.asset}{QUOTE_ASSET}"
        perps = {name: key for key, name in held.items() if key == f"{name}:Perp:{own}"}
        if not perps:
            raise InputError(f"{what}: mode {self.config.mode} has no perp of {self.config.asset}.")
        if venue == HEDGE:
            weights = self.config.strategy.hedge_allocation or {}
            return ",".join(f"{perps[name]}={weight!r}" for name, weight in weights.items() if weight > 0.0)
        if venue not in perps:
            _unknown(f"{what}: no exchange {venue!r} with a perp in this run", venue, (*perps, HEDGE))
        return f"{perps[venue]}=1"


def _window(what: str, text: str) -> int:
    try:
        window = duration_ns(parse_duration(text))
    except ValueError:
        window = 0
    if window <= 0:
        raise InputError(f"{what}: the window {text!r} is no duration above 0; write one such as '7d' or '36h'.")
    return window


def _unknown(what: str, given: str, options: Any) -> NoReturn:
    near = nearest(given, options)
    raise InputError(what + (f"; did you mean {near}?" if near else ".") + f" There are {', '.join(options)}.")


@dataclass
class Names:
    """What a function names, in the order in which the compiler met it.

    Attributes
    ----------
    used : (what, text) of each
    reads : numbers of the view and of the policy that it reads, ``view.rate``
    """

    used: list[tuple[str, str]] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)

    def number_of(self, what: str, text: str = "") -> int:
        """Place of a name in the list; it is added where it is new."""
        if (what, text) not in self.used:
            if len(self.used) == MOST_NAMES:
                raise InputError(f"{what} {text}: a strategy may name at most {MOST_NAMES} assets and instruments.")
            self.used.append((what, text))
        return self.used.index((what, text))

    def resolve(self, book: BookNames) -> tuple[np.ndarray, tuple[Watched, ...]]:
        """(MOST_NAMES,) int64, the place of every name in a book; and the columns that are shown there.

        Raises
        ------
        InputError
            Where the book lacks one of them.
        """
        places = np.zeros(MOST_NAMES, dtype=np.int64)
        columns: list[Watched] = []
        first = VIEW.places(book.slots.shape()._asdict()).watched
        for number, (what, text) in enumerate(self.used):
            if what not in _WATCHES:
                places[number] = book.resolve(what, text)
                continue
            wanted = book.watched(what, *text.split(SEPARATOR))
            if wanted not in columns:
                columns.append(wanted)
            if len(columns) > codes.WATCHED:
                raise InputError(f"{what}: a strategy may watch at most {codes.WATCHED} columns.")
            places[number] = first + columns.index(wanted)
        return places, tuple(columns)
