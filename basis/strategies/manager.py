"""StrategyManager: decides actions, never venues. A strategy in plain Python is a subclass with its `make_decision`."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from ..components.book import Book
from ..config import Config
from ..config.layers import propose
from ..errors import InputError
from ..kernel import hour
from ..kernel import layout as at
from .base import Strategy

#: Actions a strategy may name.
ACTIONS = at.ACTION_NAMES[1:]


class BadDecision(InputError):
    """A strategy decided what cannot be; the message says what."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a strategy wants: an action on an asset, as much of it.

    Attributes
    ----------
    action : ``entry_full``, ``entry_partial``, ``exit_partial``, ``exit_full``; ``sell_dust`` of the asset ``dust``
    asset : asset of one of the strategy's plans (``BTC`` the hedged coin, ``USDT`` the margin, …)
    amount : units of the asset, >= 0; of no matter to ``exit_full`` of a hedge or perp and to ``sell_dust``
    stop, take_profit : of an entry into a perp, in a mode with stops: distance from the price of the fill that opens,
        fraction of it; 0 for none

    Examples
    --------
    >>> basis.Action("entry_full", "BTC", 0.5)
    Action(action='entry_full', asset='BTC', amount=0.5, stop=0.0, take_profit=0.0)
    """

    action: str
    asset: str
    amount: float = 0.0
    stop: float = 0.0
    take_profit: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions in the order in which they are carried out, eight at most; false where there are none.

    Attributes
    ----------
    actions : tuple of Action
    memory : at most `layout.MEMORIES` numbers the strategy wants to see again in its next view; None keeps the last

    Examples
    --------
    >>> margin, coin = basis.Action("entry_full", "USDT", 40_000.0), basis.Action("entry_full", "BTC", 0.5)
    >>> decision = basis.Decision((margin, coin))
    >>> bool(decision), bool(basis.Decision())
    (True, False)
    """

    actions: tuple[Action, ...] = ()
    memory: tuple[float, ...] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.actions)


#: Names of a view's head.
_HEAD = {
    "equity": at.EQUITY, "gross": at.GROSS, "ltv": at.LTV, "health_factor": at.HEALTH_FACTOR, "drift": at.DRIFT,
    "invested": at.INVESTED, "margin_low": at.MARGIN_LOW, "margin_high": at.MARGIN_HIGH, "pending": at.PENDING,
    "alert": at.ALERT, "rate": at.RATE, "dust": at.DUST_WORTH, "gas_cost": at.GAS_COST, "quote_price": at.QUOTE_PRICE,
}  # fmt: skip
_FLAGS = {"arrived": at.ARRIVED, "first": at.FIRST, "last": at.LAST}
_ASKED = ("long", "short", "price", "quantity")


class View:
    """What a strategy sees of the book, the same as a compiled one; a copy.

    Attributes
    ----------
    equity, gross, gas_cost : share class
    drift, invested : largest net delta and the long leg, fractions of equity
    ltv, health_factor, margin_low, margin_high : ratios; margin on its way counts in the last two
    pending : what is owed to the investor, share class
    alert : highest level reported (0, 1 warning, 2 critical)
    rate : what a rate rule watches, per year
    quote_price : share class per USDT
    dust : worth of the reward tokens, share class
    arrived, first, last : whether something arrived, first row, last row
    memory : what the strategy kept
    """

    def __init__(self, book: Book) -> None:
        self._book, self._seen = book, book.desk.seen.copy()

    def __getattr__(self, name: str) -> Any:
        if name in _HEAD:
            return float(self._seen[_HEAD[name]])
        if name in _FLAGS:
            return bool(self._seen[_FLAGS[name]] > 0.0)
        raise AttributeError(f"A view has no {name!r}.{propose(name, (*_HEAD, *_FLAGS, 'memory', *_ASKED))}")

    @property
    def memory(self) -> tuple[float, ...]:
        return tuple(self._seen[at.MEMORY : at.HEAD].tolist())

    def _asset(self, asset: str, place: int) -> float:
        assets = self._book.slots.assets
        if asset not in assets:
            raise InputError(f"No asset {asset!r} in this run.{propose(asset, assets)}")
        return float(self._seen[at.HEAD + at.SEEN * assets.index(asset) + place])

    def long(self, asset: str) -> float:
        """Units held long, spot and on-chain."""
        return self._asset(asset, at.LONG)

    def short(self, asset: str) -> float:
        """Units short in perps."""
        return self._asset(asset, at.SHORT)

    def price(self, asset: str) -> float:
        """Share class per unit."""
        return self._asset(asset, at.PRICE)

    def quantity(self, key: str) -> float:
        """Stored quantity of an instrument, 0 where the book has none."""
        slots = self._book.slots
        slot = slots.index(key)
        return 0.0 if slot < 0 else float(self._seen[at.HEAD + at.SEEN * len(slots.assets) + slot])


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


class StrategyManager:
    """Asks the strategy of a run; a subclass with its own `make_decision` is a strategy in plain Python.

    Give the class to ``backtest(strategy=…)``; it runs in either driver. It is asked where the mode's own would be: in
    row 0, where something arrives or flows, where an alert changes or is critical, where a signal changes, and while a
    band of the mode is left. What the actions mean is the mode's: in ``btc_basis`` ``BTC`` is the hedged coin and
    ``USDT`` the margin. `basis.compiled` makes the same of a function, and is quicker.

    Parameters
    ----------
    config, data_provider, book : given by the engine

    Attributes
    ----------
    config : Config
        The run's.
    view : View
        What there is to see in the row: numbers such as ``view.equity`` and ``view.price("BTC")``.

    Raises
    ------
    EngineError
        From a run, where `make_decision` raises or decides what cannot be; the message names the row and the reason.

    Examples
    --------
    Hedges 40 % of the equity, with as much margin as coin, and holds:

    >>> class Hold(basis.StrategyManager):
    ...     def make_decision(self, timestamp=None, market_data=None):
    ...         view = self.view
    ...         if view.long("BTC") > 0:
    ...             return None
    ...         coin = 0.4 * view.equity / view.price("BTC")
    ...         margin = basis.Action("entry_full", "USDT", 0.4 * view.equity)
    ...         return [margin, basis.Action("entry_full", "BTC", coin)]
    >>> result = basis.backtest("btc_basis", strategy=Hold, start="2024-06-01", end="2024-06-08")
    >>> result.status, bool(result.exposure["net_delta_ratio|BTC"].abs().max() < 1e-9)
    ('complete', True)
    """

    def __init__(self, config: Config, data_provider: Any, book: Book) -> None:
        self.config, self.data_provider, self.book = config, data_provider, book

    @classmethod
    def definition(cls, strategy: Strategy) -> Strategy:
        """What the actions mean, from the mode's strategy; a subclass may give other plans, policy or rate."""
        return strategy

    @property
    def strategy(self) -> Strategy:
        return self.book.strategy

    @property
    def view(self) -> View:
        """What there is to see in this row, a copy.

        ``equity``, ``gross``, ``pending`` (owed to the investor), ``dust`` (worth of reward tokens) and ``gas_cost`` in
        share class; ``drift`` and ``invested``, fractions of equity; ``ltv``, ``health_factor``, ``margin_low``,
        ``margin_high``; ``alert`` (0, 1 warning, 2 critical), ``rate`` (per year), ``quote_price`` (share class per
        USDT); ``arrived``, ``first``, ``last``; ``memory``. By asset ``long("BTC")`` and ``short("BTC")`` in units and
        ``price("BTC")`` in share class; ``quantity("wallet:BaseToken:USDT")`` of an instrument.
        """
        self.book.row_of()
        self.book.do(hour.OBSERVE)
        return View(self.book)

    async def make_decision(self, timestamp: Any = None, market_data: Mapping[str, float] | None = None) -> Any:
        """Decide on the row the book stands in; None or an empty `Decision` does nothing.

        Asking changes nothing: a decision counts once it is executed.

        Parameters
        ----------
        timestamp : instant of the row, ns UTC
        market_data : what is known then, by the names of `panel.parquet`

        Returns
        -------
        Decision, a list of Action, or None
            May be awaited or not: ``async def`` or ``def``.
        """
        book = self.book
        book.need_now(timestamp)
        book.do(hour.OBSERVE)
        count = book.do(hour.ASK)
        desk, plans = book.desk, self._plans
        if not 0 <= count <= at.ACTIONS:
            raise BadDecision(f"The strategy wrote {count} actions; there are at most {at.ACTIONS}.")
        actions = []
        for code, plan, amount, _, stop, take in desk.actions[:count].tolist():
            known = 0 < code < len(at.ACTION_NAMES) and 0 <= plan < len(plans)
            if not known or code != int(code) or plan != int(plan):
                raise BadDecision(f"The strategy wrote action {code!r} on plan {plan!r}; there are no such.")
            actions.append(Action(at.ACTION_NAMES[int(code)], plans[int(plan)], amount, stop, take))
        return Decision(tuple(actions), tuple(desk.seen[at.MEMORY : at.HEAD].tolist()))

    @functools.cached_property
    def _plans(self) -> list[str]:
        """Asset of every plan, by its place."""
        return [plan.asset for plan in self.strategy.plans(self.config)]

    def hand_over(self, decision: "Decision | Sequence[Action] | None") -> int:
        """Give a decision to the kernel; returns the number of its actions.

        Raises
        ------
        BadDecision
            Where an action cannot be: an unknown name or asset, an amount that is no number or below 0.
        """
        if decision is None:
            decision = Decision()
        elif not isinstance(decision, Decision):
            if not isinstance(decision, Sequence) or not all(isinstance(action, Action) for action in decision):
                raise BadDecision(f"make_decision returned {decision!r}; give a Decision, a list of Action, or None.")
            decision = Decision(tuple(decision))
        desk, plans = self.book.desk, self._plans
        if len(decision.actions) > at.ACTIONS:
            raise BadDecision(
                f"{len(decision.actions)} actions in one decision; at most {at.ACTIONS}. Decide on fewer."
            )
        desk.actions[:] = 0.0
        for row, wanted in zip(desk.actions, decision.actions, strict=False):
            if wanted.action not in ACTIONS:
                raise BadDecision(f"No action {wanted.action!r}.{propose(wanted.action, ACTIONS)}")
            if wanted.asset not in plans:
                raise BadDecision(
                    f"{wanted.action}: no asset {wanted.asset!r} in this strategy.{propose(wanted.asset, plans)}"
                )
            if (wanted.action == "sell_dust") != (wanted.asset == "dust"):
                raise BadDecision(f"{wanted.action} {wanted.asset}: dust is sold by sell_dust, and only dust is.")
            if not (_is_number(wanted.amount) and 0.0 <= wanted.amount < 1e300):
                raise BadDecision(f"{wanted.action} {wanted.asset}: amount {wanted.amount!r}; it must be finite, >= 0.")
            for what, distance in (("stop", wanted.stop), ("take_profit", wanted.take_profit)):
                if not (_is_number(distance) and 0.0 <= distance < 1e300):
                    raise BadDecision(
                        f"{wanted.action} {wanted.asset}: {what} {distance!r}; it must be finite, >= 0 (a fraction)."
                    )
            row[4], row[5] = wanted.stop, wanted.take_profit
            row[0], row[1], row[2] = at.ACTION_NAMES.index(wanted.action), plans.index(wanted.asset), wanted.amount
        seen, kept = desk.seen[at.MEMORY : at.HEAD], self.book.block[at.MEMORY : at.HEAD, 0]
        seen[:] = kept
        if decision.memory is not None:
            if len(decision.memory) > at.MEMORIES:
                raise BadDecision(f"{len(decision.memory)} numbers to remember; at most {at.MEMORIES}.")
            seen[: len(decision.memory)] = decision.memory
        return len(decision.actions)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", self.strategy.name
