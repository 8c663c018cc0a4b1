"""Strategies written as one function that is compiled, with names for what it sees and does.

`compiled` is the decorator. The function gets a view and an act, which speak the language of `View` and `Action` in
plain Python (`typed_view`), and its parameters. A misspelt name is an error when the function is compiled for the book
of a run, before a row is run.
"""

import hashlib
import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from ..components.book import slots_of, starting_holdings
from ..config import Config
from ..config.fields import nearest
from ..errors import InputError
from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.numba.named_arrays import CompileError, reason
from .base import Strategy
from .factory import make_strategy
from .typed_view import (
    BAD_AMOUNT,
    BAD_STOP,
    BAD_TAKE_PROFIT,
    CODE,
    COUNT,
    FAULT,
    NUMBER,
    PLAN,
    TOO_MANY,
    Book,
    decide_function,
)


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
        base = make_strategy(config.mode)
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
            return decide_function(self.function, book, len(self.params))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        except CompileError as error:
            raise InputError(
                f"{name} cannot be compiled: {reason(error, self.function)} Compiled code takes numbers, comparisons, "
                "loops and math; for anything else write a StrategyManager in plain Python."
            ) from error

    def fault(self, state: np.ndarray, config: Config) -> str | None:
        """What was wrong with its last decision, from what it left in the copy of the hour; None where nothing was."""
        if not state[COUNT] < 0.0:
            return None
        plans = [plan.asset for plan in make_strategy(config.mode).plans(config)]
        what = f"{at.ACTION_NAMES[int(state[CODE])]} {plans[int(state[PLAN])]}"
        if state[FAULT] == TOO_MANY:
            return f"{what}: there are {at.ACTIONS} actions already, the most of one decision"
        kind = {BAD_AMOUNT: "amount", BAD_STOP: "stop", BAD_TAKE_PROFIT: "take_profit"}[int(state[FAULT])]
        return f"{what}: {kind} {float(state[NUMBER])!r}; it must be finite, >= 0"


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
