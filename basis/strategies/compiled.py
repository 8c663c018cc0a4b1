"""Strategies written as one function that is compiled, with names for what it sees and does.

`compiled` is the decorator. The function gets a view and an act, which speak the language of `View` and `Action` in
plain Python (`typed_view`), and its parameters. A misspelt name is an error before a row is run. The strategies of the
package are written in the same way.
"""

import functools
import hashlib
import inspect
import itertools
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..components.run_state import StartingBook
from ..config import Config
from ..config.fields import nearest
from ..errors import InputError, checked_call
from ..inputs.plans import Bound, Plan, Strategy, asked_in_every_row
from ..inputs.slots import Slots
from ..kernel.context import DECIDE
from ..kernel.layout import codes
from ..kernel.numba import jit
from ..kernel.numba.named_arrays import CompileError, reason
from ..market.watched import WatchedColumns
from .book_names import BookNames, Names
from .factory import make_strategy
from .own_code import WAY_OUT, NotCompilable, digest_of, is_own, prepare
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
    compiled_decision,
    plain_decision,
)

_compilations = itertools.count()
_PACKAGE = __name__.partition(".")[0] + "."


@functools.cache
def _sources() -> str:
    """Hash of the sources of this package: what the compiled code of a shipped strategy is made of."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass
class _Made:
    """What was compiled of a function: its address, of what (`own_code.digest_of`), and what it names."""

    address: int | None = None
    digest: str = ""
    names: Names = field(default_factory=Names)


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
    _made: _Made = field(default_factory=_Made, repr=False, compare=False)

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
        """What a run's manifest calls it: function, parameters, and a hash of the code and of what that reads."""
        made_of = (self._digest(), tuple(self.params.items()), self.every_row)
        digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:8]
        shown = ", ".join(f"{name}={value:g}" for name, value in self.params.items())
        return f"{self.function.__name__}({shown}) {digest}"

    @property
    def runs_apart(self) -> bool:
        """Whether it is compiled and not of this package: then it may never come back, and runs in another thread."""
        return not self._is_shipped and jit.MODE != jit.PLAIN

    @property
    def _is_shipped(self) -> bool:
        return (self.function.__module__ or "").startswith(_PACKAGE)

    def _digest(self) -> str:
        """Of the code and of what it reads from outside; of a shipped strategy the sources say all that."""
        if self._is_shipped:
            return _sources()
        try:
            return digest_of(self.function)
        except InputError as error:
            raise InputError(f"{self.function.__name__}: {error}") from None

    def strategy_for(self, config: Config) -> Strategy:
        """The strategy of a configuration's mode, decided by this function.

        Raises
        ------
        ConfigError
            Where the mode has no strategy.
        """
        made = replace(make_strategy(config), name=self.name, decide=self)
        return asked_in_every_row(made) if self.every_row else made

    def check(self, config: Config, positions: Mapping[str, float] | None = None) -> None:
        """Compile it, and look for what it names in the book of a configuration.

        Raises
        ------
        InputError
            Where the function names what is not there, or cannot be compiled.
        """
        start = StartingBook(config, self.strategy_for(config), positions)
        self.bind(config, start.slots, start.plans, start.strategy.names(config))

    def bind(
        self,
        config: Config,
        slots: Slots,
        plans: tuple[Plan, ...],
        texts: Mapping[str, str],
        columns: WatchedColumns | None = None,
    ) -> Bound:
        """What the kernel calls for a book, and what it names there.

        Parameters
        ----------
        columns : of the run's market, which plain Python reads by itself

        Raises
        ------
        InputError
            Where the function names what is not there, or cannot be compiled.
        """
        book = BookNames(config, slots, plans, texts, checks=not self._is_shipped)
        name = self.function.__name__
        if jit.MODE == jit.PLAIN:
            return Bound(plain_decision(self.function, book, len(self.params), columns), *Names().resolve(book))
        digest = self._digest()
        try:
            if self._made.digest != digest:
                self._compile(digest)
            for read in sorted(self._made.names.reads):
                book.check(read)
            return Bound(self._made.address, *self._made.names.resolve(book))
        except NotCompilable as error:
            raise InputError(f"{name} cannot be compiled: {error}") from None
        except jit.NeedsInterpreter:
            raise InputError(f"{name} cannot be compiled: something in it needs the interpreter. {WAY_OUT}") from None
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        except CompileError as error:
            raise InputError(
                f"{name} cannot be compiled: {reason(error, self.function)} Compiled code takes numbers, comparisons, "
                "loops and math; for anything else write a StrategyManager in plain Python."
            ) from error

    def _compile(self, digest: str) -> None:
        """Compile the function once for all books; what belongs to the package is kept on disk."""
        named = f"{self.function.__module__}.{self.function.__qualname__}"

        def make() -> tuple[Callable, Names]:
            names = Names()
            # what is compiled for a key notes its names once: another compilation is another key
            key = f"{named} {next(_compilations)}"
            own = None if self._is_shipped else is_own
            return compiled_decision(self.function, names, key, len(self.params), own), names

        if self._is_shipped:
            address, names = jit.kept_callback(f"{named} {digest}", DECIDE, make)
        else:
            prepare(self.function)
            decide, names = make()
            address = jit.callback(decide, DECIDE, is_own=True)
        self._made.address, self._made.names, self._made.digest = address, names, digest

    def fault(self, notes: np.ndarray, config: Config) -> str | None:
        """What was wrong with its last decision, from what it noted; None where nothing was."""
        if not notes[COUNT] < 0.0:
            return None
        plans = [plan.asset for plan in make_strategy(config).plans(config)]
        what = f"{codes.ACTION_NAMES[int(notes[CODE])]} {plans[int(notes[PLAN])]}"
        if notes[FAULT] == TOO_MANY:
            return f"{what}: there are {codes.ACTIONS} actions already, the most of one decision"
        kind = {BAD_AMOUNT: "amount", BAD_STOP: "stop", BAD_TAKE_PROFIT: "take_profit"}[int(notes[FAULT])]
        return f"{what}: {kind} {float(notes[NUMBER])!r}; it must be finite, >= 0"


def _check_parameter(function: Callable, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"{function.__name__}: parameter {name} is {value!r}; it must be a finite number.")


@overload
def compiled(function: Callable) -> CompiledStrategy: ...
@overload
def compiled(*, every_row: bool = False) -> Callable[[Callable], CompiledStrategy]: ...
@checked_call
def compiled(function: "Callable | None" = None, *, every_row: bool = False) -> Any:
    """Make a strategy of a function, which is compiled when it is first run; in a cell it is edited and run again.

    It is called as ``function(view, act, **parameters)`` in the rows in which the mode's own strategy would be asked
    (`StrategyManager`), and its actions mean what they mean in the mode of the run. It may use numbers, comparisons,
    loops, `math`, numpy's functions of numbers, and other functions that Numba has compiled. Compiled code runs without
    the Python interpreter: `print`, texts made while it runs and object mode are refused. Numbers, texts and tuples
    that it reads from outside are part of the run's id, and it is compiled anew where they have changed; lists, arrays
    and dicts are refused, and so is a function that calls itself.

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
        For a function of another form. A name that the run does not have is an error when the run begins; an amount
        that is not a number stops the run in its row. Orders larger than the balance are cut to it, or the venue
        rejects them; the result's `warnings` count both.
    EngineError
        From a run, where the function raises, reaches beyond an array, or does not come to an end; the message names
        strategy, row and line, and the index.

    Notes
    -----
    A view has what `basis.View` has (``help(basis.View)`` lists it, with units): ``equity``, ``gross``, ``pending``,
    ``drift``, ``invested``, ``alert``, ``margin_low``, ``margin_high``, ``ltv``, ``health_factor``, ``rate``, ``dust``,
    ``gas_cost``, ``quote_price``, ``time``; ``arrived``, ``first``, ``last``; the bands of the mode, such as
    ``view.policy.margin_low``; and ``memory``, four numbers that may be written and are there again when it is next
    asked. By name ``view.long("BTC")``, ``view.short("BTC")``, ``view.price("BTC")``,
    ``view.quantity("wallet:BaseToken:USDT")``, ``view.in_transit("okx:BaseToken:USDT")``. Of the market
    ``view.funding("okx")``, ``view.funding_apr("hedge", "7d")``, ``view.column("spot|BTC")``,
    ``view.mean("spot|BTC", "30d")`` and ``view.feature("name.column")``. Names are written there as texts.

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
    if len(found) - 2 > codes.OWN_PARAMETERS:
        raise InputError(f"{function.__name__} has {len(found) - 2} parameters; at most {codes.OWN_PARAMETERS}.")
    for parameter in found[2:]:
        if parameter.default is parameter.empty:
            raise InputError(f"{function.__name__}: parameter {parameter.name} needs a default, as in {form}.")
        _check_parameter(function, parameter.name, parameter.default)
    return CompiledStrategy(function, {p.name: float(p.default) for p in found[2:]}, every_row)
