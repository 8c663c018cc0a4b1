"""The second half of the door: books made by hand, one stage of the kernel on them, and a run laid out again.

`kernel_view` reads what a run holds; this module writes: it builds a small book, calls one stage on it, or runs the
model of a recording once more with other lanes, buffers or arrays. Stages called alone need ``NUMBA_DISABLE_JIT=1``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from basis.engine.model import make_limits, make_parameters
from basis.kernel import fills, risk, settle, state
from basis.kernel import hour as hour_parts
from basis.kernel import layout as at
from basis.kernel.coefficients import Coefficients, Slots
from basis.kernel.frame import DECISION, NOTHING
from basis.kernel.loop import EVENTS_PER_ROW, Loop

from .kernel_view import ORDER_KINDS, raw_events

#: Why a run of the loop came back.
END, ASKED, FULL, BROKEN, BAD_DECISION = at.END, at.ASKED, at.FULL, at.BROKEN, at.BAD_DECISION
#: Single formulas of the kernel, in plain Python.
tier_of, maintenance_margin, initial_margin = risk.tier_of, risk.maintenance, risk.initial_margin
alert_level_of, slippage_of = risk.level_of, fills.slippage_of


# --- a book of one venue ---------------------------------------------------------------------------------------------


class HourPrices(NamedTuple):
    """Extremes of an hour and the marks before it, as the stages read them."""

    coefficients: np.ndarray
    quotes_before: np.ndarray


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
        self.shape = at.make_shape(1, 1, 1, 0, 0, len(quantities), 1, stops=stops is not None)
        self.cells = np.zeros((at.rows(self.shape), 1))
        self._state = at.book(self.shape, self.cells)
        self._first = at.first_perp(self.shape)
        self._state.q[0] = cash
        self._state.q[self._first :, 0] = quantities
        self._state.cost[:, 0] = costs
        if stops is not None:
            self._state.stop[:, 0] = stops

    @property
    def cash(self) -> float:
        return self._state.q[0, 0]

    def quantity(self, place: int = 0) -> float:
        return self._state.q[self._first + place, 0]

    def cost(self, place: int = 0) -> float:
        return self._state.cost[place, 0]

    def hour(self, high: Any, low: Any, before: Any) -> HourPrices:
        """An hour with these extremes after these marks."""
        coefficients = np.zeros(at.width(self.shape) + at.still(self.shape))
        quotes = np.zeros(at.quote_width(self.shape))
        at.hour_of(self.shape, coefficients).high[:], at.hour_of(self.shape, coefficients).low[:] = high, low
        at.quote_of(self.shape, quotes).mark[:] = before
        return HourPrices(coefficients, quotes)

    def withdrawable(self, marks: np.ndarray, tiers: np.ndarray) -> float:
        """USDT that may leave the venue."""
        return risk.withdrawable(self.shape, self.cells, marks, 0, tiers, 0, 0)

    def bound_of_tiers(self, marks: np.ndarray, tiers: np.ndarray) -> tuple[float, float]:
        """(notional, maintenance rate that no tier exceeds up to it)."""
        settle.bound_tiers(self.shape, self.cells, marks, 0, tiers, 0, 0)
        return self._state.cap[0, 0], self._state.bound[0, 0]

    def margin_above_maintenance(self, marks: np.ndarray, tiers: np.ndarray) -> float:
        """Margin less maintenance margin at these marks, USDT."""
        margin = risk.margin_at(self.shape, self.cells, marks, 0, 0, 0)
        return margin - risk.maintenance_at(self.shape, self.cells, marks, 0, tiers, 0, 0)

    def first_stop(self, hour: HourPrices, share: float) -> tuple[int, float]:
        """(place of the perp whose stop is met first, price); -1 where a liquidation at `share` is nearer."""
        return settle.stop_first(self.shape, self.cells, *hour, share, 0, 0)

    def path_to_liquidation(self, hour: HourPrices, tiers: np.ndarray) -> float:
        """Share of the way to the extremes at which the venue liquidates; 2 where it does not."""
        return settle.path_to_liquidation(self.shape, self.cells, *hour, tiers, 0, 0)

    def fill_perp(self, quantity: float, price: float) -> float:
        """Trade the first perp; returns what was realised, USDT."""
        return fills.move_perp(self.shape, self.cells, self._first, 0, 0, quantity, price, 0)


def limit_steps_of_liquidation(monkeypatch: Any, most: int) -> None:
    """Let the search for a liquidation take no more than so many steps."""
    monkeypatch.setattr(settle, "_ITERATIONS", most)


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
        self.state = state.open_book(slots, recording.holdings, capital, lanes)
        if parameters is None:
            parameters = make_parameters(config, slots, recording.strategy)
        limits = make_limits(config, slots)
        state.set_policy(slots, self.state, parameters, limits, config.risk.simulate_liquidation)
        plans = recording.strategy.plans(config)
        long = [slots.index(plan.holds) for plan in plans if plan.holds]
        if events is None:
            events = EVENTS_PER_ROW * lanes + len(raw_events(recording)) * lanes * 2
        recorded = lanes == 1 if recorded is None else recorded
        self.record = np.zeros((self.rows if recorded else 0, at.recorded(shape)))
        desk = state.make_desk(slots, events, long)
        self.loop = Loop(shape, self.state, recording.model, desk, recording.strategy.decide, self.record)

    def run(self, start: int = 0, stop: int | None = None, given: int = -1) -> tuple[int, int]:
        """Rows start .. stop-1; (row it came to, reason)."""
        return self.loop.run(start, self.rows if stop is None else stop, given)

    def finishes(self) -> bool:
        """Run every row; whether the run came to its end."""
        return self.run() == (self.rows, END)

    def touch_memory(self) -> None:
        """Write to the memory that a run fills, so that it does not wait for the system to hand it out."""
        self.record[:] = 0.0
        self.loop.desk.events[:] = 0.0

    def grow(self) -> None:
        """Make room for more events."""
        self.loop.grow()

    @property
    def events_written(self) -> int:
        return events_written(self.loop)

    @property
    def events(self) -> np.ndarray:
        """Events so far, as the kernel wrote them."""
        return self.loop.desk.events[: self.events_written]

    def events_of_lane(self, lane: int) -> bytes:
        """Bits of the events of a lane, as if it had run alone."""
        own = self.events[self.events[:, at.E_LANE] == lane].copy()
        own[:, at.E_LANE] = 0.0
        return own.tobytes()

    def set_kind_of_plan(self, number: int, kind: int) -> None:
        """Let a plan be of another kind."""
        self.loop.frame.model.table.plan[number, at.PLAN_KIND] = kind

    def left_to_the_caller(self) -> None:
        """Come back for every decision instead of calling the strategy."""
        frame = self.loop.frame
        self.loop = Loop(frame.sizes, self.state, frame.model, frame.desk, None, self.record, DECISION)

    def decide(self) -> int:
        """Ask the strategy of the run about the row in which the loop came back; the number of its actions."""
        desk = self.loop.desk
        desk.actions[:] = 0.0
        return self.strategy.decide(desk.seen, desk.hour, desk.param, desk.actions)

    def price_order(self, kind: str, instrument: str, destination: str, quantity: float) -> str:
        """Why an order in row 0 of the starting book is rejected, or ``filled``; a kind that is none is unknown."""
        frame, model = self.loop.frame, self.loop.frame.model
        code = ORDER_KINDS.index(kind) if kind in ORDER_KINDS else 99
        order = np.array([code, self.slots.index(instrument), self.slots.index(destination), quantity], dtype=float)
        state, hour, quotes = self.state, model.hours[0], model.quotes[0]
        return at.REASONS[fills.price(frame.sizes, state, model, hour, quotes, frame.desk, 0, 0, order)]

    def with_unearned_basis(self, row: int, amount: float) -> "Rerun":
        """The same with basis booked in a row, USDT per BTC, that was not earned."""
        frame = self.loop.frame
        model = with_unearned_basis(frame.model, self.slots, row, amount)
        self.loop = Loop(frame.sizes, self.state, model, frame.desk, frame.decide, self.record)
        return self

    def with_misfit(self, part: str) -> None:
        """Make the loop with one array of the wrong size (`MISFITS`); it has to refuse."""
        frame = self.loop.frame
        model, desk, block, record = MISFITS[part](frame.model, frame.desk, self.state, self.record)
        Loop(frame.sizes, block, model, desk, frame.decide, record, NOTHING)


def events_written(loop: Any) -> int:
    """Number of events of a loop so far."""
    return int(loop.desk.count[0])


def free_rows_for_events(book: Any) -> int:
    """How many events still fit into the buffer of a book's loop."""
    return len(book.desk.events) - int(book.desk.count[0])


def with_unearned_basis(model: Any, slots: Slots, row: int, amount: float) -> Any:
    """A model in which one row books basis of the first perp that was not earned, USDT per unit."""
    hours = model.hours.copy()
    at.hour_of(slots.shape(), hours.T).basis[0, row] += amount
    return model._replace(hours=hours)


def equity_of_lanes(state_block: np.ndarray, slots: Slots) -> np.ndarray:
    """Equity of every lane of a state, share class."""
    return at.book(slots.shape(state_block.shape[1]), state_block).head[at.EQUITY]


def rate_of_hours(coefficients: Coefficients, slots: Slots) -> np.ndarray:
    """(rows,) what a rate rule watches."""
    return at.hour_of(slots.shape(), coefficients.hours.T).rate[0]


def flows_of_hours(coefficients: Coefficients, slots: Slots) -> np.ndarray:
    """(rows, 2) deposit of each row, withdrawals asked for so far."""
    return at.quote_of(slots.shape(), coefficients.quotes.T).flow.T


def lane_parameters(config: Any, slots: Slots, strategy: Any) -> np.ndarray:
    """(parameters, 1) policy of a lane."""
    return make_parameters(config, slots, strategy)


def tiers_of_row(recording: Any, row: int, perp: int) -> np.ndarray:
    """Margin tiers of a perp in force in a row."""
    return recording.model.terms.tier[recording.model.regime[row], perp]


def grown_event_buffer(slots: Slots, rows: int, written: int) -> tuple[np.ndarray, np.ndarray]:
    """A buffer of some rows with some of them written, and the same after it has grown."""
    desk = state.make_desk(slots, rows)
    desk.events[:written] = 7.0
    desk.count[0] = written
    return desk.events, state.grown(desk).events


def aligned_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros as the kernel allocates them."""
    return state.aligned(shape)


def _shorter(array: np.ndarray, axis: int = 0) -> np.ndarray:
    return np.ascontiguousarray(np.take(array, range(array.shape[axis] - 1), axis=axis))


#: What can have the wrong size: (model, desk, block, record) → the same with one array a row or column short.
MISFITS: dict[str, Callable] = {
    "block": lambda model, desk, block, record: (model, desk, _shorter(block), record),
    "hours": lambda model, desk, block, record: (model._replace(hours=_shorter(model.hours, 1)), desk, block, record),
    "quotes": lambda model, desk, block, record: (
        model._replace(quotes=_shorter(model.quotes, 1)), desk, block, record,
    ),
    "rows": lambda model, desk, block, record: (model._replace(quotes=_shorter(model.quotes)), desk, block, record),
    "regime": lambda model, desk, block, record: (model._replace(regime=_shorter(model.regime)), desk, block, record),
    "busy": lambda model, desk, block, record: (model._replace(busy=_shorter(model.busy)), desk, block, record),
    "record": lambda model, desk, block, record: (model, desk, block, _shorter(record, 1)),
    "events": lambda model, desk, block, record: (model, desk._replace(events=_shorter(desk.events, 1)), block, record),
    "seen": lambda model, desk, block, record: (model, desk._replace(seen=_shorter(desk.seen)), block, record),
    "row": lambda model, desk, block, record: (model, desk._replace(row=_shorter(desk.row)), block, record),
    "param": lambda model, desk, block, record: (model, desk._replace(param=_shorter(desk.param)), block, record),
    "orders": lambda model, desk, block, record: (model, desk._replace(orders=_shorter(desk.orders)), block, record),
    "venues": lambda model, desk, block, record: (
        model._replace(terms=model.terms._replace(venue=_shorter(model.terms.venue, 1))), desk, block, record,
    ),
    "tiers": lambda model, desk, block, record: (
        model._replace(terms=model.terms._replace(tier=_shorter(model.terms.tier, 1))), desk, block, record,
    ),
    "tokens": lambda model, desk, block, record: (
        model._replace(table=model.table._replace(venue=_shorter(model.table.venue))), desk, block, record,
    ),
}  # fmt: skip


# --- the book of an engine that runs ---------------------------------------------------------------------------------


def set_alert_level(book: Any, level: float) -> None:
    """Let the book of an engine stand at an alert level (2 critical), whatever was measured."""
    book.block[at.ALERT, 0] = level


def accept_decision(book: Any, actions: int) -> int:
    """Hand the kernel a decision of so many empty actions; returns its verdict."""
    book.desk.actions[:] = 0.0
    return book.do(hour_parts.ACCEPT, actions)


def decisions_of(book: Any) -> float:
    """Number of decisions of a run so far."""
    return book.head(at.book_at(book.slots.shape()).stat + at.DECISIONS)


def plan_of_action(book: Any, place: int) -> int:
    """Number of the plan of the action at a place of the decision."""
    return int(book.desk.actions[place, 1])


class PlannedAction(NamedTuple):
    """An action at hand: whether it enters, its amount, and the slots of the token and the debt of its plan."""

    enters: bool
    amount: float
    token: int
    debt: int


def planned_action(book: Any, place: int) -> PlannedAction:
    """The action at a place of the decision, with its plan; slots are -1 where there is none."""
    code, number, amount, *_ = book.desk.actions[place]
    plan = book.model.table.plan[int(number)]
    enters = int(code) in (at.ENTRY_FULL, at.ENTRY_PARTIAL)
    return PlannedAction(enters, float(amount), int(plan[at.PLAN_TOKEN]), int(plan[at.PLAN_DEBT]))


def write_order(book: Any, kind: str, slot: int, destination: int, quantity: float) -> None:
    """Write the first order of the action at hand."""
    book.desk.orders[0] = (float(ORDER_KINDS.index(kind)), slot, destination, quantity)
