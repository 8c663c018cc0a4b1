"""StrategyManager: decides actions, never venues. A strategy in plain Python is a subclass with its `make_decision`."""

import difflib
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from ..components.run_state import CurrentRun
from ..config import Config
from ..config.fields import nearest
from ..config.layers import propose
from ..errors import EngineError, InputError, checked_call
from ..inputs.plans import Strategy, asked_in_every_row
from ..kernel.layout import codes, records
from ..kernel.layout.state import VIEW
from ..kernel.step import Step
from .failure import failure_of
from .own_code import class_digest
from .own_thread import run_with
from .view import View

#: Actions a strategy may name.
ACTIONS = codes.ACTION_NAMES[1:]
_NO_ACTION = np.zeros((), dtype=records.ACTION)


#: What a subclass may override beside `make_decision` to decide otherwise than the mode's strategy, and what it may
#: override where it does not.
_DECIDING = ("definition", "hand_over")
_HARMLESS = ("__init__", "strategy", "view", "check_health")

#: From which likeness on a name is taken for a misspelt `every_row`.
_NEAR_MISS = 0.8


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
    memory : at most `kernel.layout.codes.MEMORIES` numbers that the strategy wants to see again in its next view; None
        keeps the last

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


# a call that does not fit is told with the arguments there are
for _kind in (Action, Decision):
    _kind.__init__ = checked_call(_kind.__init__)  # type: ignore[method-assign]


def _is_amount(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value) and 0.0 <= float(value) < codes.TOO_LARGE


class StrategyManager:
    """Asks the strategy of a run; a subclass with its own `make_decision` is a strategy in plain Python.

    Give the class to ``backtest(strategy=…)``; it runs in either driver. It is asked where the mode's own would be: in
    row 0, where something arrives or flows, where an alert changes or is critical, where a signal changes, and while a
    band of the mode is left. What the actions mean is the mode's: in ``btc_basis`` ``BTC`` is the hedged coin and
    ``USDT`` the margin. `basis.compiled` makes the same of a function, and is quicker.

    Parameters
    ----------
    config, data_provider, run : given by the engine

    Attributes
    ----------
    every_row : bool
        ``every_row = True`` in the class has it asked in every row.
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

    every_row: bool = False

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun) -> None:
        self.config, self.data_provider, self.run = config, data_provider, run

    @classmethod
    def definition(cls, strategy: Strategy) -> Strategy:
        """What the actions mean, from the mode's strategy; a subclass may give other plans, policy or rate.

        A subclass that gives other plans gives another ``decide`` as well: the run looks up in its plans every asset
        that ``decide`` names, and refuses to start where one is missing.
        """
        return strategy

    @classmethod
    def defined(cls, strategy: Strategy) -> Strategy:
        """The definition, under the name of the class where that decides, asked in every row where it says so."""
        made = cls.definition(strategy)
        if cls.make_decision is not StrategyManager.make_decision:
            made = replace(made, name=f"{cls.__name__} {class_digest(cls, StrategyManager)[:8]}")
        return asked_in_every_row(made) if cls.every_row else made

    @classmethod
    def check_own(cls, needs_decision: bool = False) -> None:
        """Refuse a class that would run the mode's strategy without a word, or that misspells `every_row`.

        Parameters
        ----------
        needs_decision : whether it has to bring a `make_decision` or a `definition`

        Raises
        ------
        InputError
            Where it overrides nothing; names what was meant.
        """
        parts = cls.__mro__[: cls.__mro__.index(StrategyManager)]
        for name in (each for part in parts for each in vars(part)):
            if name != "every_row" and difflib.get_close_matches(name.lower(), ["every_row"], cutoff=_NEAR_MISS):
                raise InputError(f"{cls.__name__}.{name} is never read. Did you mean every_row?")
        if cls is StrategyManager or cls.make_decision is not StrategyManager.make_decision:
            return
        own = [name for part in parts for name in vars(part) if not name.startswith("__") or name == "__init__"]
        if any(name in _DECIDING for name in own):
            return
        meant = next((name for name in own if name not in _HARMLESS and nearest(name, ("make_decision",))), None)
        if meant is None and not needs_decision and any(name in _HARMLESS for name in own):
            return
        hint = f" Its {meant} is never called; did you mean make_decision?" if meant else ""
        raise InputError(
            f"{cls.__name__} has no make_decision of its own, so that the mode's strategy would run.{hint} "
            "Write def make_decision(self, timestamp=None, market_data=None), and give it as strategy=."
        )

    @property
    def strategy(self) -> Strategy:
        return self.run.start.strategy

    @property
    def view(self) -> View:
        """What there is to see in this row, a copy; `View` says what that is, and ``dir(view)`` lists it."""
        run = self.run.state
        run.do(Step.WRITE_VIEW)
        return View(run)

    async def make_decision(self, timestamp: Any = None, market_data: Mapping[str, float] | None = None) -> Any:
        """Decide in the current row; None or an empty `Decision` does nothing.

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
        run, plans = self.run.state, self._plans
        run.need_now(timestamp)
        run.do(Step.WRITE_VIEW)
        try:
            count = run_with(self.strategy.decide, lambda: run.do(Step.ASK_STRATEGY))
        except Exception as error:
            said, cause = failure_of(run, error)
            raise EngineError(said) from cause
        if not 0 <= count <= codes.ACTIONS:
            raise BadDecision(f"The strategy wrote {count} actions; there are at most {codes.ACTIONS}.")
        written = run.scratch.actions[0, :count].tolist()
        actions = []
        for code, plan, _, amount, _, stop, take_profit in written:
            if not (0 < code < len(codes.ACTION_NAMES) and 0 <= plan < len(plans)):
                raise BadDecision(f"The strategy wrote action {code!r} on plan {plan!r}; there are no such.")
            actions.append(Action(codes.ACTION_NAMES[code], plans[plan], amount, stop, take_profit))
        return Decision(tuple(actions), tuple(run.scratch.seen[0, self._memory].tolist()))

    @functools.cached_property
    def _plans(self) -> list[str]:
        """Asset of every plan, by its place."""
        return [plan.asset for plan in self.strategy.plans(self.config)]

    @functools.cached_property
    def _memory(self) -> slice:
        """Where a view keeps what a strategy remembers."""
        places = VIEW.places(self.run.state.slots.shape()._asdict())
        return slice(places.memory, places.memory + codes.MEMORIES)

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
        if len(decision.actions) > codes.ACTIONS:
            raise BadDecision(
                f"{len(decision.actions)} actions in one decision; at most {codes.ACTIONS}. Decide on fewer."
            )
        if decision.memory is not None and len(decision.memory) > codes.MEMORIES:
            raise BadDecision(f"{len(decision.memory)} numbers to remember; at most {codes.MEMORIES}.")
        for wanted in decision.actions:
            self._check(wanted)
        run = self.run.state
        actions = run.scratch.actions
        actions[:] = _NO_ACTION
        for place, wanted in enumerate(decision.actions):
            code, plan = codes.ACTION_NAMES.index(wanted.action), self._plans.index(wanted.asset)
            # in the order of `kernel.layout.records.ACTION`
            actions[0, place] = (code, plan, 0, wanted.amount, 0.0, wanted.stop, wanted.take_profit)
        memory = run.scratch.seen[0, self._memory]
        memory[:] = run.state.memory[:, 0]
        if decision.memory is not None:
            memory[: len(decision.memory)] = decision.memory
        return len(decision.actions)

    def _check(self, wanted: Action) -> None:
        """Refuse an action that cannot be."""
        plans = self._plans
        if wanted.action not in ACTIONS:
            raise BadDecision(f"No action {wanted.action!r}.{propose(wanted.action, ACTIONS)}")
        if wanted.asset not in plans:
            raise BadDecision(
                f"{wanted.action}: no asset {wanted.asset!r} in this strategy.{propose(wanted.asset, plans)}"
            )
        if (wanted.action == "sell_dust") != (wanted.asset == "dust"):
            raise BadDecision(f"{wanted.action} {wanted.asset}: dust is sold by sell_dust, and only dust is.")
        if not _is_amount(wanted.amount):
            raise BadDecision(f"{wanted.action} {wanted.asset}: amount {wanted.amount!r}; it must be finite, >= 0.")
        for what, distance in (("stop", wanted.stop), ("take_profit", wanted.take_profit)):
            if not _is_amount(distance):
                raise BadDecision(
                    f"{wanted.action} {wanted.asset}: {what} {distance!r}; it must be finite, >= 0 (a fraction)."
                )

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", self.strategy.name
