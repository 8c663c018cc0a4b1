"""The second half of the door: books made by hand, one stage of the kernel on them, and a run laid out again.

`kernel_view` reads what a run holds; this module writes: it builds a small book, calls one stage on it, or runs the
inputs of a recording once more with other lanes, buffers or arrays. Stages called alone need ``NUMBA_DISABLE_JIT=1``.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from basis.inputs.coefficients import Coefficients, constants_of
from basis.inputs.policy import make_policy
from basis.inputs.slots import Slots
from basis.kernel import decision, fills, margin, risk
from basis.kernel.context import Inputs, Memory, make_scratch, with_more_room
from basis.kernel.layout import codes, records
from basis.kernel.layout.shape import BookCounts, hour_views, make_shape, market_views, seen_views, state_views
from basis.kernel.loop import Loop
from basis.kernel.numba.struct_view import make_records
from basis.kernel.positions import exchange, exchange_liquidation, market_impact
from basis.kernel.start import aligned, opening_state, set_policy
from basis.kernel.step import Step

from .kernel_view import ORDER_KINDS, raw_events

#: Why a run of the loop came back.
END, ASKED, FULL, BROKEN, BAD_DECISION = codes.END, codes.ASKED, codes.FULL, codes.BROKEN, codes.BAD_DECISION


# --- single formulas, in plain Python --------------------------------------------------------------------------------


def _records(dtype: np.dtype, table: np.ndarray) -> np.recarray:
    """Records of a table whose last axis has a number for each field; records as they are."""
    if table.dtype.names:
        return table  # type: ignore[return-value]
    made = make_records(dtype, table.shape[:-1])
    for place, name in enumerate(dtype.names or ()):
        made[name] = table[..., place]
    return made


def tier_of(tiers: np.ndarray, notional: float) -> int:
    """Place of the margin tier of a notional; a row for each tier: largest notional, rate, amount, leverage."""
    return margin.tier_of(_records(records.TIER, tiers), notional)


def maintenance_margin(tiers: np.ndarray, notional: float) -> float:
    return margin.maintenance_margin(_records(records.TIER, tiers), notional)


def initial_margin(tiers: np.ndarray, notional: float) -> float:
    return margin.initial_margin(_records(records.TIER, tiers), notional)


def slippage_of(buckets: np.ndarray, notional: float) -> float:
    """Fraction of the price that an order loses; a row for each bucket: largest notional, fraction."""
    return market_impact.slippage_of(_records(records.BUCKET, buckets), notional)


alert_level_of = risk.level_of


# --- a book of one venue ---------------------------------------------------------------------------------------------


class HourPrices(NamedTuple):
    """Extremes of an hour and the marks before it."""

    high: np.ndarray
    low: np.ndarray
    before: np.ndarray


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
        book = BookCounts(venues=1, tokens=1, markets=len(quantities), assets=1, stops=stops is not None)
        self.shape = make_shape(book)
        self.state = state_views(self.shape, np.zeros((self.shape.rows, 1)))
        self.state.quantity[0] = cash
        self.state.quantity[self.shape.first_perp :, 0] = quantities
        self.state.cost[:, 0] = costs
        if stops is not None:
            self.state.stop_price[:, 0] = stops

    @property
    def cash(self) -> float:
        return self.state.quantity[0, 0]

    def quantity(self, place: int = 0) -> float:
        return self.state.quantity[self.shape.first_perp + place, 0]

    def cost(self, place: int = 0) -> float:
        return self.state.cost[place, 0]

    def hour(self, high: Any, low: Any, before: Any) -> HourPrices:
        """An hour with these extremes after these marks."""
        return HourPrices(*(np.broadcast_to(np.asarray(x, dtype=float), self.shape.perps) for x in (high, low, before)))

    def _run(self, marks: Any, tiers: np.ndarray | None = None, hour: HourPrices | None = None) -> Any:
        """What the stages read of a run whose first row has these marks; row 1 ends the hour."""
        made = None if tiers is None else _records(records.TIER, np.asarray(tiers)[None])
        return SimpleNamespace(
            shape=self.shape,
            state=self.state,
            market=SimpleNamespace(mark=np.array([marks, np.full(self.shape.perps, np.nan)])),
            hour=hour,
            terms=SimpleNamespace(tier=made),
            terms_index=np.zeros(2, dtype=np.int64),
        )

    def withdrawable(self, marks: np.ndarray, tiers: np.ndarray) -> float:
        """USDT that may leave the venue."""
        return margin.withdrawable(self._run(marks, tiers), 0, 0, 0)

    def bound_of_tiers(self, marks: np.ndarray, tiers: np.ndarray) -> tuple[float, float]:
        """(notional, maintenance rate that no tier exceeds up to it)."""
        exchange_liquidation.bound_maintenance(self._run(marks, tiers), 0, 0, 0)
        return self.state.bounded_notional[0, 0], self.state.maintenance_bound[0, 0]

    def margin_above_maintenance(self, marks: np.ndarray, tiers: np.ndarray) -> float:
        """Margin less maintenance margin at these marks, USDT."""
        run = self._run(marks, tiers)
        return margin.margin_at(run, 0, 0, 0) - margin.maintenance_at(run, 0, 0, 0)

    def first_stop(self, hour: HourPrices, share: float) -> tuple[int, float]:
        """(place of the perp whose stop is met first, price); -1 where a liquidation at `share` is nearer."""
        return exchange_liquidation.first_stop(self._run(hour.before, hour=hour), 1, 0, 0, share)

    def path_to_liquidation(self, hour: HourPrices, tiers: np.ndarray) -> float:
        """Share of the way to the extremes at which the venue liquidates; 2 where it does not."""
        return exchange_liquidation.share_to_liquidation(self._run(hour.before, tiers, hour), 1, 0, 0)

    def fill_perp(self, quantity: float, price: float) -> float:
        """Trade the first perp; returns what was realised, USDT."""
        return exchange.move_perp(self._run(np.zeros(self.shape.perps)), 0, 0, quantity, price)


def limit_steps_of_liquidation(monkeypatch: Any, most: int) -> None:
    """Let the search for a liquidation take no more than so many steps."""
    monkeypatch.setattr(exchange_liquidation, "_ITERATIONS", most)


def events_per_row(run: Any) -> int:
    """Room for events that a row needs, of a recording or the state of a run."""
    return run.inputs.settings.events_per_row


# --- a run laid out again --------------------------------------------------------------------------------------------


class Rerun:
    """The loop over the inputs and the starting book of a run, with arrays of its own.

    Parameters
    ----------
    made : a run (`RunView`)
    lanes : how many scenarios side by side; only one is recorded
    policy : (policies, lanes) policy of each lane; None takes the run's for all
    events : rows of the event buffer; None makes it large enough
    recorded : whether rows are kept; None keeps those of a run of one lane
    capital : what the starting book accounts for; None takes the configuration's
    """

    def __init__(
        self,
        made: Any,
        lanes: int = 1,
        policy: np.ndarray | None = None,
        events: int | None = None,
        recorded: bool | None = None,
        capital: float | None = None,
    ) -> None:
        recording = made.recording
        slots, config = recording.slots, recording.config
        self.rows, self.slots = len(recording.panel), slots
        shape = slots.shape(lanes)
        capital = float(config.initial_capital) if capital is None else capital
        self.state = opening_state(shape, *_holdings(slots, recording.holdings), capital)
        policy = lane_policy(config, slots, recording.strategy) if policy is None else policy
        set_policy(shape, self.state, policy, config.risk.simulate_liquidation)
        plans = recording.strategy.plans(config)
        invested = tuple(slots.index(plan.holds) for plan in plans if plan.holds)
        if events is None:
            events = (events_per_row(recording) + 2 * len(raw_events(recording))) * lanes
        recorded = lanes == 1 if recorded is None else recorded
        self.record = np.zeros((self.rows if recorded else 0, shape.recorded))
        memory = Memory(self.state, constants_of(slots, invested), self.record, make_scratch(shape, events))
        self._decide = recording.strategy.decide.bind(config, slots, plans, recording.strategy.names(config)).decide
        self._made_with(recording.inputs, memory)

    def _made_with(self, inputs: Inputs, memory: Memory, decide: bool = True, handles: int = codes.NOTHING) -> None:
        self.inputs, self.memory = inputs, memory
        shape = self.slots.shape(self.state.shape[1])
        self.loop = Loop(shape, inputs, memory, self._decide if decide else None, handles)

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
    def events(self) -> np.recarray:
        """Events so far, as the kernel wrote them."""
        return self.loop.scratch.events[: self.events_written]

    def events_of_lane(self, lane: int) -> bytes:
        """Bits of the events of a lane, as if it had run alone."""
        own = self.events[self.events.lane == lane].copy()
        own.lane = 0
        return own.tobytes()

    def set_kind_of_plan(self, number: int, kind: int) -> None:
        """Let a plan be of another kind."""
        plans = self.inputs.plans.copy()
        plans[number].kind = kind
        self._made_with(self.inputs._replace(plans=plans), self.memory)

    def leave_decisions_to_caller(self) -> None:
        """Come back for every decision instead of calling the strategy."""
        self._made_with(self.inputs, self.memory, decide=False, handles=codes.OWN_DECISION)

    def decide(self) -> int:
        """Ask the strategy of the run about the row in which the loop came back; the number of its actions."""
        return decision.ask_strategy(self.loop.run_context._replace(decide=self._decide), 0)

    def price_order(self, kind: str, instrument: str, destination: str, quantity: float) -> str:
        """Why an order in row 0 of the starting book is rejected, or ``filled``; a kind that is none is unknown."""
        order = self.loop.scratch.orders[0, 0]
        order.kind = ORDER_KINDS.index(kind) if kind in ORDER_KINDS else 99
        order.slot, order.destination = self.slots.index(instrument), self.slots.index(destination)
        order.quantity = quantity
        return codes.REASONS[fills.price_order(self.loop.run_context, 0, 0, 0)]

    def with_unearned_basis(self, row: int, amount: float) -> "Rerun":
        """The same with basis booked in a row, USDT per BTC, that was not earned."""
        self._made_with(with_unearned_basis(self.inputs, self.slots, row, amount), self.memory)
        return self

    def with_misfit(self, part: str) -> None:
        """Make the loop with one array of the wrong size (`MISFITS`); it has to refuse."""
        self._made_with(*MISFITS[part](self.inputs, self.memory))


def _holdings(slots: Slots, holdings: Any) -> tuple[dict[int, float], dict[int, float]]:
    """Quantities by slot and costs by perp of a starting book."""
    quantities, costs = {}, {}
    for name, amount in holdings.items():
        key, _, measure = name.partition("|")
        place = slots.index(key)
        if measure == "cost":
            costs[place - slots.shape().first_perp] = amount
        else:
            quantities[place] = amount
    return quantities, costs


def lane_policy(config: Any, slots: Slots, strategy: Any) -> np.ndarray:
    """(policies, 1) what a lane follows."""
    return make_policy(config, slots, strategy, strategy.plans(config))


def equity_of_lanes(state: np.ndarray, slots: Slots) -> np.ndarray:
    """Equity of every lane of a state, share class."""
    return state_views(slots.shape(state.shape[1]), state).equity


def record_without_totals(record: np.ndarray, slots: Slots) -> np.ndarray:
    """Recorded rows but the totals that say whether single lanes were looked at."""
    shape = slots.shape()
    return np.delete(record, slice(shape.state.equity, shape.state.venue_funding), axis=1)


def state_by_name(made: Any) -> dict[str, np.ndarray]:
    """Items of the state of a run: by row where they are recorded, and as they stand at its end."""
    shape, recording = made.slots.shape(), made.recording
    kept = {name: x for name, x in state_views(shape, recording.record.T)._asdict().items() if x.size}
    return kept | {f"last {name}": x for name, x in state_views(shape, recording.block)._asdict().items()}


def seen_by_name(made: Any, seen: np.ndarray) -> dict[str, np.ndarray]:
    """Items of what the strategy of a run was shown, of a (times asked, width) table."""
    return seen_views(made.slots.shape(), seen)._asdict()


def events_written(loop: Any) -> int:
    """Number of events of a loop so far."""
    return int(loop.scratch.count[0])


def with_unearned_basis(inputs: Inputs, slots: Slots, row: int, amount: float) -> Inputs:
    """Inputs in which one row books basis of the first perp that was not earned, USDT per unit."""
    hours = inputs.hours.copy()
    hour_views(slots.shape(), hours.T).basis_pnl[0, row] += amount
    return inputs._replace(hours=hours)


def watched_rate(coefficients: Coefficients, slots: Slots) -> np.ndarray:
    """(rows,) what a rate rule watches."""
    return hour_views(slots.shape(), coefficients.hours.T).watched_rate[0]


def scheduled_flows(coefficients: Coefficients, slots: Slots) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) deposit of each row, and withdrawals asked for so far."""
    market = market_views(slots.shape(), coefficients.quotes)
    return market.deposit, market.withdrawals_asked


def tiers_of_row(recording: Any, row: int, perp: int) -> np.ndarray:
    """Margin tiers of a perp in force in a row."""
    return recording.inputs.terms.tier[recording.inputs.terms_index[row], perp]


def grown_event_buffer(slots: Slots, rows: int, written: int) -> tuple[np.recarray, np.recarray]:
    """A buffer of some rows with some of them written, and the same after it has grown."""
    scratch = make_scratch(slots.shape(), rows)
    scratch.events.price[:written] = 7.0
    scratch.count[0] = written
    return scratch.events, with_more_room(scratch).events


def aligned_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros as the kernel allocates them."""
    return aligned(shape)


def _shorter(array: np.ndarray, axis: int = 0) -> np.ndarray:
    made = np.ascontiguousarray(np.take(array, range(array.shape[axis] - 1), axis=axis))
    return made.view(np.recarray) if array.dtype.names else made


def _short_input(name: str, axis: int = 0) -> Callable:
    return lambda inputs, memory: (inputs._replace(**{name: _shorter(getattr(inputs, name), axis)}), memory)


def _short_terms(name: str) -> Callable:
    def make(inputs: Inputs, memory: Memory) -> tuple[Inputs, Memory]:
        terms = inputs.terms._replace(**{name: _shorter(getattr(inputs.terms, name), 1)})
        return inputs._replace(terms=terms), memory

    return make


def _short_scratch(name: str, axis: int = 1) -> Callable:
    def make(inputs: Inputs, memory: Memory) -> tuple[Inputs, Memory]:
        scratch = memory.scratch._replace(**{name: _shorter(getattr(memory.scratch, name), axis)})
        return inputs, memory._replace(scratch=scratch)

    return make


#: What can have the wrong size: (inputs, memory) → the same with one array a row or column short.
MISFITS: dict[str, Callable] = {
    "block": lambda inputs, memory: (inputs, memory._replace(block=_shorter(memory.block))),
    "record": lambda inputs, memory: (inputs, memory._replace(record=_shorter(memory.record, 1))),
    "coefficients": lambda inputs, memory: (inputs, memory._replace(coefficients=_shorter(memory.coefficients))),
    "hours": _short_input("hours", 1),
    "quotes": _short_input("quotes", 1),
    "venues of tokens": _short_input("token_venue"),
    "terms of venues": _short_terms("venue"),
    "tiers": _short_terms("tier"),
    "seen": _short_scratch("seen"),
    "policy": _short_scratch("policy"),
    "rows": _short_input("quotes"),
    "terms index": _short_input("terms_index"),
    "row flags": _short_input("row_flags"),
    "actions": _short_scratch("actions"),
    "orders": _short_scratch("orders"),
    "words of events": _short_scratch("event_words", 0),
}


# --- the run of an engine --------------------------------------------------------------------------------------------


def free_rows_for_events(run_state: Any) -> int:
    """How many events still fit into the buffer of an engine's run."""
    return len(run_state.scratch.events) - 1 - run_state.events_written


def set_alert_level(run_state: Any, level: float) -> None:
    """Let the run of an engine stand at an alert level (2 critical), whatever was measured."""
    run_state.state.alert_level[0] = level


def accept_decision(run_state: Any, actions: int) -> int:
    """Hand the kernel a decision of so many empty actions; returns its verdict."""
    run_state.scratch.actions[:] = np.zeros((), dtype=run_state.scratch.actions.dtype)
    return run_state.do(Step.ACCEPT_DECISION, 0, actions)


def decisions_of(run_state: Any) -> float:
    """Number of decisions of a run so far."""
    return float(run_state.state.decisions[0])


def plan_of_action(run_state: Any, place: int) -> int:
    """Number of the plan of the action at a place of the decision."""
    return int(run_state.scratch.actions[0, place].plan)


class PlannedAction(NamedTuple):
    """An action at hand: its code, whether it enters, its amount, and the slots of the token and debt of its plan."""

    code: int
    enters: bool
    amount: float
    token: int
    debt: int


def planned_action(run_state: Any, place: int) -> PlannedAction:
    """The action at a place of the decision, with its plan; slots are -1 where there is none."""
    action = run_state.scratch.actions[0, place]
    plan = run_state.inputs.plans[action.plan]
    enters = action.code in (codes.ENTRY_FULL, codes.ENTRY_PARTIAL)
    return PlannedAction(int(action.code), enters, float(action.amount), int(plan.token), int(plan.debt))


def write_order(run_state: Any, kind: str, slot: int, destination: int, action: PlannedAction) -> None:
    """Write the first order of an action, for its amount."""
    order = run_state.scratch.orders[0, 0]
    order.kind, order.slot, order.destination = ORDER_KINDS.index(kind), slot, destination
    order.action, order.quantity = action.code, action.amount
