"""The second half of the door: books made by hand, one stage of the kernel on them, and a run laid out again.

`kernel_view` reads what a run holds; this module writes: it builds a small book, calls one stage on it, or runs the
model of a recording once more with other lanes, buffers or arrays. Stages called alone need ``NUMBA_DISABLE_JIT=1``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from basis.components.run_state import _opened
from basis.inputs.coefficients import Coefficients, constants_of
from basis.inputs.policy import make_policy
from basis.inputs.slots import Slots
from basis.kernel import fills, margin, risk, start
from basis.kernel.context import Inputs, Memory, Settings, Terms, Wallet, make_run, make_scratch, with_more_room
from basis.kernel.layout import codes, records
from basis.kernel.layout.shape import BookCounts, hour_views, make_shape, market_views, state_views
from basis.kernel.loop import EVENTS_PER_ROW, Loop
from basis.kernel.numba.struct_view import make_records
from basis.kernel.positions import exchange, exchange_liquidation, market_impact
from basis.kernel.step import Step

from .kernel_view import ORDER_KINDS, raw_events

#: Why a run of the loop came back.
END, ASKED, FULL, BROKEN, BAD_DECISION = codes.END, codes.ASKED, codes.FULL, codes.BROKEN, codes.BAD_DECISION


def _records_of(dtype: np.dtype, table: Any) -> np.recarray:
    """A table of numbers as records, one a row."""
    rows = [tuple(row) for row in np.asarray(table, dtype=float)]
    return np.array(rows, dtype=dtype).view(np.recarray)


#: Single formulas of the kernel, in plain Python; tables of tiers and buckets are plain arrays.
alert_level_of = risk.level_of


def tier_of(tiers: Any, notional: float) -> int:
    return margin.tier_of(_records_of(records.TIER, tiers), notional)


def maintenance_margin(tiers: Any, notional: float) -> float:
    return margin.maintenance_margin(_records_of(records.TIER, tiers), notional)


def initial_margin(tiers: Any, notional: float) -> float:
    return margin.initial_margin(_records_of(records.TIER, tiers), notional)


def slippage_of(buckets: Any, notional: float) -> float:
    return market_impact.slippage_of(_records_of(records.BUCKET, buckets), notional)


# --- a book of one venue ---------------------------------------------------------------------------------------------


class HourPrices(NamedTuple):
    """Extremes of an hour and the marks before it."""

    high: Any
    low: Any
    before: Any


class VenueBook:
    """A book of one venue with cash and perps, one perp a market.

    Parameters
    ----------
    quantities, costs : units and cost of each perp
    cash : USDT at the venue
    stops : price at which each perp is closed at a loss; None for a book without stops
    """

    def __init__(
        self, quantities: Sequence[float], costs: Sequence[float], cash: float, stops: Sequence[float] | None = None
    ) -> None:
        counts = BookCounts(venues=1, tokens=1, markets=len(quantities), assets=1, stops=stops is not None)
        self.shape = make_shape(counts)
        self.block = np.zeros((self.shape.rows, 1))
        self._state = state_views(self.shape, self.block)
        self._first = self.shape.first_perp
        self._state.quantity[0] = cash
        self._state.quantity[self._first :, 0] = quantities
        self._state.cost[:, 0] = costs
        if stops is not None:
            self._state.stop_price[:, 0] = stops

    @property
    def cash(self) -> float:
        return self._state.quantity[0, 0]

    def quantity(self, place: int = 0) -> float:
        return self._state.quantity[self._first + place, 0]

    def cost(self, place: int = 0) -> float:
        return self._state.cost[place, 0]

    def hour(self, high: Any, low: Any, before: Any) -> HourPrices:
        """An hour with these extremes after these marks."""
        return HourPrices(high, low, before)

    def _run(self, marks: Any = 0.0, tiers: Any = None, hour: HourPrices | None = None) -> Any:
        """A run of two rows with these marks (in row 0 those before an hour, in row 1 those now) under these tiers."""
        shape = self.shape
        quotes = np.zeros((2, shape.market_width))
        market_views(shape, quotes).mark[:] = marks if hour is None else hour.before
        coefficients = np.zeros(shape.hour_end)
        if hour is not None:
            hour_views(shape, coefficients).high[:], hour_views(shape, coefficients).low[:] = hour.high, hour.low
        table = np.asarray([[[np.inf, 0.0, 0.0, 1.0]]] if tiers is None else tiers, dtype=float)
        table = np.broadcast_to(table, (shape.perps, *table.shape[-2:]))
        tier = np.array([[tuple(row) for row in perp] for perp in table], dtype=records.TIER)[None].view(np.recarray)
        terms = Terms(
            make_records(records.VENUE_TERMS, (1, 1)), make_records(records.GAS_TERMS, 1), tier,
            make_records(records.BUCKET, (1, 1, 1)), make_records(records.BUCKET, (1, shape.perps, 1)),
            make_records(records.STAKE_TERMS, (1, 1)), make_records(records.COLLATERAL_TERMS, (1, 0)),
            make_records(records.ACCOUNT_TERMS, (1, 0)), make_records(records.LOT, (1, shape.limited)),
        )  # fmt: skip
        nothing, rows = np.zeros(0, dtype=np.int64), np.zeros(2, dtype=np.int64)
        inputs = Inputs(
            np.zeros((2, shape.hour_width)), quotes, rows, rows.astype(np.uint8), terms,
            make_records(records.PLAN, 0), make_records(records.PAYOUT, 0), np.zeros(0),
            np.full(1, -1, dtype=np.int64), nothing, nothing, nothing, Wallet(1, 1, -1), Settings(1, 0, 1),
        )  # fmt: skip
        memory = Memory(self.block, coefficients, np.zeros((0, shape.recorded)), make_scratch(shape, 0))
        return make_run(
            shape, inputs, memory, advance=None, run_step=None, check_stops_and_liquidations=None, route_action=None,
            decide=None, caller_handles=0,
        )  # fmt: skip

    def withdrawable(self, marks: np.ndarray, tiers: np.ndarray) -> float:
        """USDT that may leave the venue."""
        return margin.withdrawable(self._run(marks, tiers), 1, 0, 0)

    def bound_of_tiers(self, marks: np.ndarray, tiers: np.ndarray) -> tuple[float, float]:
        """(notional, maintenance rate that no tier exceeds up to it)."""
        exchange_liquidation.bound_maintenance(self._run(marks, tiers), 1, 0, 0)
        return self._state.bounded_notional[0, 0], self._state.maintenance_bound[0, 0]

    def margin_above_maintenance(self, marks: np.ndarray, tiers: np.ndarray) -> float:
        """Margin less maintenance margin at these marks, USDT."""
        run = self._run(marks, tiers)
        return margin.margin_at(run, 1, 0, 0) - margin.maintenance_at(run, 1, 0, 0)

    def first_stop(self, hour: HourPrices, share: float) -> tuple[int, float]:
        """(place of the perp whose stop is met first, price); -1 where a liquidation at `share` is nearer."""
        return exchange_liquidation.first_stop(self._run(hour=hour), 1, 0, 0, share)

    def path_to_liquidation(self, hour: HourPrices, tiers: np.ndarray) -> float:
        """Share of the way to the extremes at which the venue liquidates; 2 where it does not."""
        return exchange_liquidation.share_to_liquidation(self._run(tiers=tiers, hour=hour), 1, 0, 0)

    def fill_perp(self, quantity: float, price: float) -> float:
        """Trade the first perp; returns what was realised, USDT."""
        return exchange.move_perp(self._run(), 0, 0, quantity, price)


def limit_steps_of_liquidation(monkeypatch: Any, most: int) -> None:
    """Let the search for a liquidation take no more than so many steps."""
    monkeypatch.setattr(exchange_liquidation, "_ITERATIONS", most)


# --- a run laid out again --------------------------------------------------------------------------------------------


class Rerun:
    """The loop over the model and the starting book of a run, with arrays of its own.

    Parameters
    ----------
    made : a run (`RunView`)
    lanes : how many scenarios side by side; only one is recorded
    parameters : (parameters, lanes) policy of each lane; None takes the run's for all
    events : rows of the event buffer; None makes it large enough
    recorded : whether rows are kept; None keeps those of a run of one lane
    capital : what the starting book accounts for; None takes the configuration's
    """

    def __init__(
        self,
        made: Any,
        lanes: int = 1,
        parameters: np.ndarray | None = None,
        events: int | None = None,
        recorded: bool | None = None,
        capital: float | None = None,
    ) -> None:
        recording = made.recording
        slots, config = recording.slots, recording.config
        self.rows, self.slots, self.strategy = len(recording.panel), slots, recording.strategy
        shape = slots.shape(lanes)
        capital = float(config.initial_capital) if capital is None else capital
        alone = _opened(slots, recording.holdings, capital)
        self.state = start.aligned((shape.rows, lanes))
        self.state[:] = alone
        plans = recording.strategy.plans(config)
        if parameters is None:
            parameters = lane_parameters(config, slots, recording.strategy)
        start.set_policy(shape, self.state, parameters, config.risk.simulate_liquidation)
        invested = tuple(slots.index(plan.holds) for plan in plans if plan.holds)
        if events is None:
            events = EVENTS_PER_ROW * lanes + len(raw_events(recording)) * lanes * 2
        recorded = lanes == 1 if recorded is None else recorded
        self.record = np.zeros((self.rows if recorded else 0, shape.recorded))
        memory = Memory(self.state, constants_of(slots, invested), self.record, make_scratch(shape, events))
        texts = recording.strategy.names(config)
        self.decision, _ = recording.strategy.decide.bind(slots, plans, texts)
        self.loop = Loop(shape, recording.inputs, memory, self.decision)

    def _again(self, inputs: Any, memory: Any, decide: Any, handles: int = codes.NOTHING) -> Loop:
        return Loop(self.slots.shape(self.state.shape[1]), inputs, memory, decide, handles)

    def _inputs(self) -> Any:
        context = self.loop.run_context
        return Inputs(**{name: getattr(context, name) for name in Inputs._fields})

    def _memory(self) -> Any:
        context = self.loop.run_context
        return Memory(**{name: getattr(context, name) for name in Memory._fields})

    def run(self, start: int = 0, stop: int | None = None, given: int = -1) -> tuple[int, int]:
        """Rows start .. stop-1; (row it came to, reason)."""
        return self.loop.run(start, self.rows if stop is None else stop, given)

    def finishes(self) -> bool:
        """Run every row; whether the run came to its end."""
        return self.run() == (self.rows, END)

    def touch_memory(self) -> None:
        """Write to the memory that a run fills, so that it does not wait for the system to hand it out."""
        self.record[:] = 0.0
        self.loop.scratch.event_words[:] = 0

    def grow(self) -> None:
        """Make room for more events."""
        self.loop.make_room()

    @property
    def events_written(self) -> int:
        return events_written(self.loop)

    @property
    def events(self) -> np.ndarray:
        """Events so far, as the kernel wrote them."""
        return self.loop.scratch.events[: self.events_written]

    def events_of_lane(self, lane: int) -> bytes:
        """Bits of the events of a lane, as if it had run alone."""
        own = self.events[self.events["lane"] == lane].copy()
        own["lane"] = 0
        return own.tobytes()

    def set_kind_of_plan(self, number: int, kind: int) -> None:
        """Let a plan be of another kind."""
        self.loop.run_context.plans[number].kind = kind

    def left_to_the_caller(self) -> None:
        """Come back for every decision instead of calling the strategy."""
        self.loop = self._again(self._inputs(), self._memory(), None, codes.OWN_DECISION)

    def decide(self) -> int:
        """Ask the strategy of the run about the row in which the loop came back; the number of its actions."""
        asking = self._again(self._inputs(), self._memory(), self.decision)
        row = int(self.loop_row)
        return asking.do(Step.ASK_STRATEGY, row)

    #: Row in which the loop came back last; set by whoever drives it.
    loop_row = 0

    def price_order(self, kind: str, instrument: str, destination: str, quantity: float) -> str:
        """Why an order in row 0 of the starting book is rejected, or ``filled``; a kind that is none is unknown."""
        run = self.loop.run_context
        run.coefficients[: run.shape.hour_width] = run.hours[0]
        order = run.scratch.orders[0, 0]
        order.kind = ORDER_KINDS.index(kind) if kind in ORDER_KINDS else 99
        order.slot, order.destination = self.slots.index(instrument), self.slots.index(destination)
        order.quantity = quantity
        return codes.REASONS[fills.price_order(run, 0, 0, 0)]

    def with_unearned_basis(self, row: int, amount: float) -> "Rerun":
        """The same with basis booked in a row, USDT per BTC, that was not earned."""
        inputs = with_unearned_basis(self._inputs(), self.slots, row, amount)
        self.loop = self._again(inputs, self._memory(), self.decision)
        return self

    def with_misfit(self, part: str) -> None:
        """Make the loop with one array of the wrong size (`MISFITS`); it has to refuse."""
        inputs, memory = MISFITS[part](self._inputs(), self._memory())
        Loop(self.slots.shape(), inputs, memory, self.decision)


def events_written(loop: Any) -> int:
    """Number of events of a loop so far."""
    return int(loop.scratch.count[0])


def free_rows_for_events(book: Any) -> int:
    """How many events still fit into the buffer of a book's loop."""
    run = book.state
    return len(run.scratch.events) - 1 - run.events_written


def with_unearned_basis(inputs: Any, slots: Slots, row: int, amount: float) -> Any:
    """Inputs in which one row books basis of the first perp that was not earned, USDT per unit."""
    hours = inputs.hours.copy()
    hour_views(slots.shape(), hours.T).basis_pnl[0, row] += amount
    return inputs._replace(hours=hours)


def equity_of_lanes(state_block: np.ndarray, slots: Slots) -> np.ndarray:
    """Equity of every lane of a state, share class."""
    return state_views(slots.shape(state_block.shape[1]), state_block).equity


def rate_of_hours(coefficients: Coefficients, slots: Slots) -> np.ndarray:
    """(rows,) what a rate rule watches."""
    return hour_views(slots.shape(), coefficients.hours.T).watched_rate[0]


def flows_of_hours(coefficients: Coefficients, slots: Slots) -> np.ndarray:
    """(rows, 2) deposit of each row, withdrawals asked for so far."""
    return _flow_columns(market_views(slots.shape(), coefficients.quotes))


def _flow_columns(market: Any) -> np.ndarray:
    return np.column_stack((market.deposit, market.withdrawals_asked))


def lane_parameters(config: Any, slots: Slots, strategy: Any) -> np.ndarray:
    """(parameters, 1) policy of a lane."""
    return make_policy(config, slots, strategy, strategy.plans(config))


def tiers_of_row(recording: Any, row: int, perp: int) -> np.ndarray:
    """Margin tiers of a perp in force in a row."""
    tiers = recording.inputs.terms.tier[recording.inputs.terms_index[row], perp]
    return np.array(tiers.tolist())


def grown_event_buffer(slots: Slots, rows: int, written: int) -> tuple[np.ndarray, np.ndarray]:
    """A buffer of some rows with some of them written, and the same after it has grown."""
    scratch = make_scratch(slots.shape(), rows)
    scratch.events.quantity[:written] = 7.0
    scratch.count[0] = written
    return scratch.events[:-1], with_more_room(scratch).events[:-1]


def aligned_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros as the kernel allocates them."""
    return start.aligned(shape)


def _shorter(array: np.ndarray, axis: int = 0) -> np.ndarray:
    return np.ascontiguousarray(np.take(array, range(array.shape[axis] - 1), axis=axis))


def _of(part: str, name: str, axis: int = 0) -> Callable:
    """One array of the inputs, the memory, the scratch or the terms a row or column short."""

    def spoil(inputs: Any, memory: Any) -> tuple[Any, Any]:
        if part == "inputs":
            return inputs._replace(**{name: _shorter(getattr(inputs, name), axis)}), memory
        if part == "terms":
            wrong = inputs.terms._replace(**{name: _shorter(getattr(inputs.terms, name), axis).view(np.recarray)})
            return inputs._replace(terms=wrong), memory
        if part == "memory":
            return inputs, memory._replace(**{name: _shorter(getattr(memory, name), axis)})
        wrong = _shorter(getattr(memory.scratch, name), axis)
        wrong = wrong.view(np.recarray) if wrong.dtype.fields else wrong
        return inputs, memory._replace(scratch=memory.scratch._replace(**{name: wrong}))

    return spoil


#: What can have the wrong size: (inputs, memory) → the same with one array a row or column short.
MISFITS: dict[str, Callable] = {
    "block": _of("memory", "block"),
    "hours": _of("inputs", "hours", 1),
    "quotes": _of("inputs", "quotes", 1),
    "rows": _of("inputs", "quotes"),
    "terms_index": _of("inputs", "terms_index"),
    "row_flags": _of("inputs", "row_flags"),
    "record": _of("memory", "record", 1),
    "event_words": _of("scratch", "event_words", 1),
    "seen": _of("scratch", "seen", 1),
    "coefficients": _of("memory", "coefficients"),
    "policy": _of("scratch", "policy", 1),
    "orders": _of("scratch", "orders", 1),
    "venues": _of("terms", "venue", 1),
    "tiers": _of("terms", "tier", 1),
    "tokens": _of("inputs", "token_venue"),
}


# --- the book of an engine that runs ---------------------------------------------------------------------------------


def _state_of(book: Any) -> Any:
    """The state of a run: of what an engine's components share, or itself."""
    return book.state if hasattr(book, "has_begun") else book


def set_alert_level(book: Any, level: float) -> None:
    """Let the run of an engine stand at an alert level (2 critical), whatever was measured."""
    _state_of(book).state.alert_level[0] = level


def accept_decision(book: Any, actions: int) -> int:
    """Hand the kernel a decision of so many empty actions; returns its verdict."""
    run = _state_of(book)
    run.scratch.actions[:] = np.zeros((), dtype=run.scratch.actions.dtype)
    return run.do(Step.ACCEPT_DECISION, number=actions)


def decisions_of(book: Any) -> float:
    """Number of decisions of a run so far."""
    return float(_state_of(book).state.decisions[0])


def plan_of_action(book: Any, place: int) -> int:
    """Number of the plan of the action at a place of the decision."""
    return int(_state_of(book).scratch.actions[0, place].plan)


class PlannedAction(NamedTuple):
    """An action at hand: whether it enters, its amount, and the slots of the token and the debt of its plan."""

    enters: bool
    amount: float
    token: int
    debt: int


def planned_action(book: Any, place: int) -> PlannedAction:
    """The action at a place of the decision, with its plan; slots are -1 where there is none."""
    run = _state_of(book)
    action = run.scratch.actions[0, place]
    plan = run.inputs.plans[int(action.plan)]
    enters = int(action.code) in (codes.ENTRY_FULL, codes.ENTRY_PARTIAL)
    return PlannedAction(enters, float(action.amount), int(plan.token), int(plan.debt))


def write_order(book: Any, kind: str, slot: int, destination: int, quantity: float) -> None:
    """Write the first order of the action at hand."""
    run = _state_of(book)
    order = run.scratch.orders[0, 0]
    order.kind, order.slot, order.destination, order.quantity = ORDER_KINDS.index(kind), slot, destination, quantity
    order.action = run.scratch.actions[0, 0].code
