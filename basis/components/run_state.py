"""The state of one run: what it starts from, what it holds, its current row, what has happened.

A `StartingBook` is whole without a market. A `RunState` is made with its market. The components of an engine share a
`CurrentRun`, which has the first and, once a run has begun, the second.
"""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from ..assets import load_assets
from ..config import Config
from ..errors import ConfigError, EngineError, InputError
from ..inputs.build import extend_inputs, make_inputs, with_capacity
from ..inputs.coefficients import constants_of
from ..inputs.plans import Plan, Strategy
from ..inputs.policy import check_limits, make_policy
from ..inputs.slots import Slots, make_slots
from ..kernel.context import Memory, Scratch, copied, make_scratch
from ..kernel.layout.codes import NOTHING
from ..kernel.layout.shape import hour_views, state_views
from ..kernel.loop import Loop
from ..kernel.pnl import IDENTITY_TOLERANCE
from ..kernel.start import aligned_copy, opening_state, set_policy
from ..kernel.step import Step
from ..market.panel import Panel
from ..market.sources.clock import iso
from ..market.watched import History, WatchedColumns
from .checkpoints import Checkpoint, restored
from .holdings import starting_holdings

#: The buffer of events begins with room for so many rows that are as full as one can be.
_ROWS_OF_EVENTS = 4


def slots_of(config: Config, holdings: Mapping[str, float], stops: bool = False) -> Slots:
    keys = [*config.instruments, *(name.partition("|")[0] for name in holdings)]
    slots = make_slots(keys, config.share_class, load_assets(), config.distributions, stops, config.depth)
    for venue in dict.fromkeys(k.venue for k in slots.keys):
        if venue not in config.venues:
            raise ConfigError(
                f"positions: venue {venue!r} is not one of this run's ({', '.join(config.venues)}); name it in "
                "strategy.hedge_allocation (weight 0 will do) or leave the position out."
            )
    return slots


def _opened(slots: Slots, holdings: Mapping[str, float], capital: float) -> np.ndarray:
    """State block of holdings with a capital to account for."""
    shape = slots.shape()
    quantities, costs = {}, {}
    for name, amount in holdings.items():
        key, _, measure = name.partition("|")
        slot = slots.index(key)
        if measure == "cost":
            costs[slot - shape.first_perp] = amount
        else:
            quantities[slot] = amount
    return opening_state(shape, quantities, costs, capital)


def _worth(slots: Slots, holdings: Mapping[str, float], hour: np.ndarray) -> float:
    """Share-class worth of holdings at one row of coefficients."""
    value = hour_views(slots.shape(), hour).value
    total = 0.0
    for name, amount in holdings.items():
        key, _, measure = name.partition("|")
        slot = slots.index(key)
        if measure == "cost":
            total -= amount * value[slots.venues.index(slots.keys[slot].venue)]
        else:
            total += amount * value[slot]
    return total


class StartingBook:
    """What a run starts from.

    Parameters
    ----------
    config : resolved configuration
    strategy : what its actions mean
    positions : starting book instead of the capital in one token
    resumed : checkpoint to go on from

    Attributes
    ----------
    holdings : quantities and costs by instrument key
    given : whether positions were given
    slots : slots of the instruments
    block : (rows, 1) float64, the kernel's state; of given positions without their worth, which takes a market

    Raises
    ------
    InputError
        Where positions or checkpoint do not fit the configuration.
    """

    def __init__(
        self,
        config: Config,
        strategy: Strategy,
        positions: Mapping[str, float] | None = None,
        resumed: Checkpoint | None = None,
    ) -> None:
        self.config, self.strategy, self.resumed = config, strategy, resumed
        self.given = positions is not None
        self.holdings = starting_holdings(config, positions)
        self.slots: Slots = slots_of(config, self.holdings, strategy.signal is not None)
        check_limits(config, self.slots)
        if resumed is None:
            self.block = _opened(self.slots, self.holdings, float(config.initial_capital))
        else:
            self.block = restored(resumed, self.slots, config.share_class, len(self.plans))

    @cached_property
    def plans(self) -> tuple[Plan, ...]:
        """What the strategy's actions mean."""
        return self.strategy.plans(self.config)

    def opened_at(self, hour: np.ndarray) -> np.ndarray:
        """A state block of its own for a run whose row 0 has these coefficients.

        Raises
        ------
        InputError
            Where the positions are worth nothing.
        """
        if self.resumed is not None or not self.given:
            return aligned_copy(self.block)
        capital = _worth(self.slots, self.holdings, hour)
        if not capital > 0.0:
            raise InputError(f"positions: the starting book is worth {capital:.6g} {self.config.share_class}, not > 0.")
        return _opened(self.slots, self.holdings, capital)


class RunState:
    """State of one run, one lane, over a market; it is never reset: another run is another object.

    Parameters
    ----------
    start : what it starts from
    panel : the rows of the run
    caller_handles : what the caller of the loop does himself (`kernel.layout.codes`)
    capacity : rows that it may come to have, see `extend`; None for those of the panel
    history : gives the rows before the panel's, for what a strategy watches

    Attributes
    ----------
    inputs : what the kernel reads
    columns : what a strategy may watch beside its book
    block : (rows, 1) float64, the kernel's state
    state : the same by name
    policy : (policies, 1) what the run follows
    record : (rows of the run, recorded) float64
    loop : the compiled loop
    row : index of its current row, None before the first
    first : first row of the run: 1 where it goes on from a checkpoint, which is row 0
    finished : whether the run is over: then it is read from what was recorded, and nothing is written any more
    compile_s : seconds it took to compile or load the loop

    Raises
    ------
    InputError
        Where the configuration does not fit the market, or the starting book is worth nothing.
    """

    def __init__(
        self,
        start: StartingBook,
        panel: Panel,
        caller_handles: int = NOTHING,
        capacity: int | None = None,
        history: History | None = None,
    ) -> None:
        config, slots = start.config, start.slots
        self.start, self.panel, self.capacity = start, panel, capacity or len(panel)
        started = start.resumed.started if start.resumed else int(panel.timestamps[0])
        self.columns = WatchedColumns(panel, history, whole=capacity is None)
        self._bound = start.strategy.decide.bind(config, slots, start.plans, start.strategy.names(config), self.columns)
        watched = self.columns.table(self._bound.watched)
        self.inputs = make_inputs(
            config, slots, panel, start.strategy, start.plans, started, self._bound.places, watched
        )
        if capacity is not None:
            self.inputs = with_capacity(self.inputs, config, capacity)
        self.block = start.opened_at(self.inputs.hours[0])
        shape = slots.shape()
        self.state = state_views(shape, self.block)
        self.policy = make_policy(config, slots, start.strategy, start.plans)
        set_policy(shape, self.block, self.policy, config.risk.simulate_liquidation)
        self.record = np.zeros((self.capacity, shape.recorded))
        self.first = 0 if start.resumed is None else 1
        if self.first:
            self.record[0] = self.block[: shape.recorded, 0]
        self.row: int | None = None
        self.finished = False
        mark = time.perf_counter()
        room = max(_ROWS_OF_EVENTS * self.inputs.settings.events_per_row, len(panel))
        self.loop = self._make_loop(make_scratch(shape, room), caller_handles)
        self.compile_s = time.perf_counter() - mark

    def _make_loop(self, scratch: Scratch, caller_handles: int) -> Loop:
        slots = self.slots
        invested = tuple(slots.index(plan.holds) for plan in self.start.plans if plan.holds)
        memory = Memory(self.block, constants_of(slots, invested), self.record, scratch)
        return Loop(slots.shape(), self.inputs, memory, self._bound.decide, caller_handles)

    def extend(self, panel: Panel) -> None:
        """Go on over a longer panel, which begins with the rows that the run has.

        Raises
        ------
        InputError
            Where the panel does not begin with those rows, or has more than the run has room for.
        """
        known = len(self.panel)
        if len(panel) > self.capacity:
            raise InputError(f"The run has room for {self.capacity} rows, the panel has {len(panel)}.")
        if len(panel) <= known or not np.array_equal(panel.timestamps[:known], self.panel.timestamps):
            raise InputError(f"A longer panel must begin with the {known} rows that the run has, and go on.")
        started = self.resumed.started if self.resumed else int(panel.timestamps[0])
        start = self.start
        self.inputs = extend_inputs(self.inputs, known, self.config, self.slots, panel, start.strategy, started)
        self.panel = panel
        self.columns.extend(panel)
        self.inputs.watched[known : len(panel)] = self.columns.table(self._bound.watched)[known:]
        self.loop.read(self.inputs)

    @property
    def config(self) -> Config:
        return self.start.config

    @property
    def strategy(self) -> Strategy:
        return self.start.strategy

    @property
    def slots(self) -> Slots:
        return self.start.slots

    @property
    def holdings(self) -> dict[str, float]:
        return self.start.holdings

    @property
    def resumed(self) -> Checkpoint | None:
        return self.start.resumed

    @property
    def scratch(self) -> Scratch:
        """Working memory of the loop."""
        return self.loop.scratch

    def row_of(self, timestamp: Any = None) -> int:
        """The current row, or the one at or before an instant that the run has passed.

        Raises
        ------
        InputError
            Before the first row of a run, and for an instant it has not come to.
        """
        if self.row is None:
            raise InputError(_NO_RUN)
        if timestamp is None or timestamp == self.timestamp:
            return self.row
        row = self.panel.row_at(timestamp)
        if row > self.row:
            now = iso(int(self.panel.timestamps[self.row]))
            raise InputError(f"The run has come to {now}; {timestamp!r} is after that.")
        return row

    def stands_at(self, timestamp: Any = None) -> bool:
        """Whether an instant (None: now) is that of a row that is still open."""
        return self.row_of(timestamp) == self.row and not self.finished

    def need_now(self, timestamp: Any = None) -> None:
        """Refuse an instant that is not that of the current row.

        Raises
        ------
        InputError
            For an instant of another row.
        """
        if self.row_of(timestamp) != self.row and self.timestamp is not None:
            raise InputError(
                f"The run has come to {iso(self.timestamp)}; nothing can be decided at {timestamp!r} any more."
            )

    def forked(self) -> "RunState":
        """A copy that can go on, so that what a run has left stays as it is."""
        self.row_of()
        copy = object.__new__(RunState)
        copy.__dict__.update(self.__dict__)
        copy.finished = False
        copy.block, copy.record = aligned_copy(self.block), self.record.copy()
        copy.state = state_views(self.slots.shape(), copy.block)
        copy.loop = copy._make_loop(copied(self.scratch), self.loop.run_context.caller_handles)
        # the coefficients of the current row
        copy.loop.run_context.coefficients[:] = self.loop.run_context.coefficients
        return copy

    def do(self, step: Step, place: int = 0, number: int = 0) -> int:
        """One step of the current row; see `kernel.step.Step`."""
        if self.row is None:
            raise InputError(_NO_RUN)
        return self.loop.do(step, self.row, place, number)

    @property
    def is_queue_full(self) -> bool:
        """Whether nothing more can be under way."""
        return bool((self.state.queue_amount != 0.0).all())

    @property
    def events_written(self) -> int:
        """Number of events so far."""
        return self.loop.run_context.scratch.count.item(0)

    @property
    def events(self) -> np.recarray:
        """Records of the events so far."""
        return self.scratch.events[: self.events_written]

    def room_for_events(self, rows: int = 1) -> None:
        """Make sure that the events of so many rows fit, and that all those before did."""
        self.check_room()
        if len(self.scratch.events) - 1 - self.events_written < rows * self.inputs.settings.events_per_row:
            self.loop.make_room()

    def check_room(self, row: int | None = None) -> None:
        """Stop a run that had no room for something that happened: nothing is left out without a word.

        Raises
        ------
        EngineError
            Where there was none. The sizes follow the book, so that it is a fault of this package.
        """
        lost = self.scratch.lost.item(0)
        if lost:
            events, orders = self.inputs.settings.events_per_row, self.slots.shape().orders
            raise EngineError(
                f"{lost:,} events, orders or transfers found no room before row {self.row if row is None else row}: in "
                f"this book a row has room for {events:,} events, and a step for {orders:,} orders. Please report it "
                "with the configuration; fewer venues or actions in a row help meanwhile."
            )

    @property
    def timestamp(self) -> int | None:
        """Instant of the current row, ns UTC."""
        return None if self.row is None else self.panel.timestamps.item(self.row)

    @property
    def equity(self) -> float:
        """Worth of everything held, share class, as last calculated."""
        return float(self.state.equity[0])

    @property
    def tolerance(self) -> float:
        """By how much balance-based and attributed P&L may differ, share class."""
        return IDENTITY_TOLERANCE * max(1.0, float(self.state.capital_moved[0]))


_NO_RUN = "No run yet: there is no row to read prices of. Call run_backtest first."


class CurrentRun:
    """What the components of an engine share: what a run starts from, and its state once it has a market.

    Attributes
    ----------
    start : what it starts from
    state : the state of the run; an `InputError` before a run
    """

    # the components look it up a dozen times in a row: an attribute is quicker than a property
    state: RunState

    def __init__(self, start: StartingBook) -> None:
        self.start = start

    def __getattr__(self, name: str) -> NoReturn:
        if name == "state":
            raise InputError(_NO_RUN)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def has_begun(self) -> bool:
        """Whether there is a row to read."""
        return "state" in vars(self) and self.state.row is not None

    def begin(self, state: RunState) -> None:
        """Take the state of a run, once.

        Raises
        ------
        InputError
            Where there has been a run.
        """
        if "state" in vars(self):
            raise InputError("This engine has had its run, and is never reset. Make a new engine for a new run.")
        self.state = state

    def go_on(self) -> None:
        """Go on from the last row on a copy; the result of the run stays as it is."""
        self.state = self.state.forked()
