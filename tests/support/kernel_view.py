"""The one door from the tests to the kernel's state: what a run holds, by the words of the field.

Only this module and `kernel_stages` know how the kernel lays out its numbers. A test asks for the equity, the quantity
of an instrument or the fills by name; when the layout changes, these two files change and no test does.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from basis.config import load_config
from basis.inputs.plans import Bound, Strategy
from basis.inputs.slots import Slots
from basis.kernel.context import strategy as compile_raw
from basis.kernel.layout import codes
from basis.kernel.layout.shape import pnl_views, state_views
from basis.kernel.layout.state import POLICY, STATE, VIEW
from basis.strategies.factory import make_strategy

#: Names of the attribution columns, in the order of the run folder.
PNL_COLUMNS = codes.COLUMN_NAMES
#: Most actions in one decision, and numbers a strategy may keep from one decision to the next.
MOST_ACTIONS, MEMORIES = codes.ACTIONS, codes.MEMORIES
#: What an order is, by its code; the last two are fills of orders that rest at a venue.
ORDER_KINDS = (*codes.ORDER_NAMES, "stop", "take_profit")
#: What a liquidation is, by its code.
LIQUIDATION_KINDS = ("exchange", "lending", "lending, bad debt", "lending, borne by the pool")
#: Places that are the same in every book: what stands before them takes one place each.
_NO_COUNTS: Mapping[str, int] = defaultdict(int)
_OWN = POLICY.places(_NO_COUNTS).own
_MEMORY = VIEW.places(_NO_COUNTS).memory
_STATE = STATE.places(_NO_COUNTS, codes.COLUMNS)

#: Fields of a named event that are texts, and how long they may be.
_TEXTS = {"kind": 12, "detail": 64, "action": 16, "instrument": 48, "destination": 48}
#: Numbers of a named event → the field of the kernel's record.
_NUMBERS = {
    "row": "row",
    "lane": "lane",
    "decision": "correlation",
    "quantity": "quantity",
    "price": "price",
    "reference_price": "reference",
    "rate": "fee_rate",
    "notional": "notional",
    "fee": "fee",
    "slippage": "slippage",
    "gas": "gas",
    "gas_units": "gas_units",
    "realised_cash": "cash",
    "amount": "amount",
    "effective_at": "effective",
    "level": "level",
    "flash_fee": "flash_fee",
    "peg_conversion": "peg",
}


def alert_measures(slots: Slots) -> tuple[str, ...]:
    """Names of what alerts watch, in the kernel's order."""
    margins = (f"margin_ratio|{venue}" for venue in slots.venues)
    deltas = (f"net_delta_ratio|{asset}" for asset in slots.assets)
    return ("ltv", "health_factor", *margins, *deltas, "drawdown")


# --- strategies ------------------------------------------------------------------------------------------------------


def with_policy(strategy: Strategy, **values: float) -> Strategy:
    """The same strategy with some of its policy set, by the names of `kernel.layout.state.POLICY`."""
    policy = strategy.policy
    return replace(strategy, policy=lambda config, slots: {**policy(config, slots), **values})


def asked_in_every_row(strategy: Strategy, **changes: Any) -> Strategy:
    """The same strategy, asked in every row whether or not anything happens; `changes` replace its attributes.

    With plans of its own it does not know, by itself, what to do: its user decides.
    """
    if "plans" in changes:
        changes = {"decide": _RawDecision(_write_nothing), **changes}
    return replace(with_policy(strategy, every_row=1.0), **changes)


class _RawDecision:
    """What decides by writing into the kernel's arrays itself, unchecked; its parameters become the policy's own."""

    def __init__(self, function: Any, *own: float) -> None:
        self.function, self.params = function, {str(place): value for place, value in enumerate(own)}

    def bind(self, *book: Any) -> Bound:
        """What the kernel calls, and that it names nothing."""
        return Bound(self.function, np.zeros(0, dtype=np.int64), ())


@compile_raw
def _write_one_action(seen, policy, actions, decision, places):
    actions[0].code = int(policy[_OWN])
    actions[0].plan = int(policy[_OWN + 1])
    actions[0].amount = policy[_OWN + 2]
    actions[0].stop = policy[_OWN + 4]
    actions[0].take_profit = policy[_OWN + 5]
    return int(policy[_OWN + 3])


@compile_raw
def _write_nothing(seen, policy, actions, decision, places):
    return 0


@compile_raw
def _write_a_wrong_code_in_row_8(seen, policy, actions, decision, places):
    seen[_MEMORY] += 1.0
    actions[0].code = 9
    return 1 if seen[_MEMORY] >= 9.0 else 0


def _raw_strategy(mode: str, name: str, decide: _RawDecision) -> Strategy:
    """A raw decision with the plans of a mode, asked in every row; nothing else of the mode."""
    plans = make_strategy(load_config(mode, environ={})).plans
    return Strategy(name, decide, plans, lambda config, slots: {"every_row": 1.0})


def raw_decision(
    mode: str, code: int, plan: int, amount: float, count: int, stop: float = 0.0, take_profit: float = 0.0
) -> Strategy:
    """A strategy that writes the same decision in every row.

    Nothing is checked: the public language cannot write a wrong code, plan or count.
    """
    decide = _RawDecision(_write_one_action, code, plan, amount, count, stop, take_profit)
    return _raw_strategy(mode, "raw_decision", decide)


def wrong_code_in_row_8(mode: str = "btc_basis") -> Strategy:
    """A strategy that does nothing for eight rows and then writes an action that there is not."""
    return _raw_strategy(mode, "wrong_in_row_8", _RawDecision(_write_a_wrong_code_in_row_8))


def idle_strategy(**policy: float) -> Strategy:
    """A strategy without plans that never acts, with this policy."""
    decide = _RawDecision(_write_nothing)
    return Strategy("idle", decide, lambda config: (), lambda config, slots: policy)


# --- events ----------------------------------------------------------------------------------------------------------


def _recording_of(run: Any) -> Any:
    """The recording of a `RunView`, or a recording itself."""
    return getattr(run, "recording", run)


def raw_events(run: Any) -> np.ndarray:
    """Events as the kernel wrote them, for comparing bits."""
    return _recording_of(run).events


def kinds_of_events(log: np.ndarray) -> set[str]:
    """Names of the kinds that occur in a log as the kernel wrote it."""
    return {codes.EVENT_NAMES[kind] for kind in log["kind"]}


def count_of_events(run: Any, *kinds: str) -> int:
    """Number of events of some kinds."""
    return int(np.isin(raw_events(run)["kind"], [codes.EVENT_NAMES.index(kind) for kind in kinds]).sum())


def named_events(log: np.recarray, slots: Slots, plans: tuple[str, ...] = ()) -> np.recarray:
    """Events by name, in their order.

    `detail` says which: the kind of an order, the asset of a decision, the reason of a reject, what an alert watches,
    what a flow or a liquidation is. A quantity of an alert is the level before.
    """
    texts = [(name, f"U{length}") for name, length in _TEXTS.items()]
    numbers = [(name, log.dtype[field]) for name, field in _NUMBERS.items()]
    out = np.zeros(len(log), dtype=[*texts, *numbers]).view(np.recarray)
    for name, field in _NUMBERS.items():
        out[name] = log[field]
    keys = np.array([*map(str, slots.keys), ""])
    out["kind"] = np.array(codes.EVENT_NAMES)[log["kind"]]
    out["action"] = np.array(codes.ACTION_NAMES)[log["action"]]
    out["instrument"], out["destination"] = keys[log["slot"]], keys[log["destination"]]
    details: dict[str, tuple[str, ...]] = {
        "decision": plans,
        "order": ORDER_KINDS,
        "fill": ORDER_KINDS,
        "reject": codes.REASONS,
        "alert": alert_measures(slots),
        "flow": codes.FLOW_NAMES,
        "liquidation": LIQUIDATION_KINDS,
    }
    for kind, names in details.items():
        own = np.flatnonzero(out["kind"] == kind)
        if own.size:
            out["detail"][own] = np.array(names)[log["code"][own]]
    return out


def plan_assets(recording: Any) -> tuple[str, ...]:
    """The asset of every plan of a run."""
    return tuple(plan.asset for plan in recording.strategy.plans(recording.config))


# --- bits ------------------------------------------------------------------------------------------------------------


def recorded_rows(run: Any) -> np.ndarray:
    """(rows, numbers) everything that was recorded of each row, for comparing bits."""
    return _recording_of(run).record


def final_state(run: Any) -> np.ndarray:
    """(numbers, lanes) everything the run holds at its end, for comparing bits."""
    return _recording_of(run).block


def state_bits(run_state: Any) -> bytes:
    """Bits of everything that the run of an engine holds now."""
    return run_state.block.tobytes()


def comparable_parts(run: Any) -> dict[str, np.ndarray]:
    """Every array in which two equal runs are the same bit for bit."""
    return {"record": recorded_rows(run), "events": raw_events(run), "final state": final_state(run)}


def as_words(array: np.ndarray) -> np.ndarray:
    """The bits of an array as integers, in the shape of its numbers; of records, a row for each."""
    plain = np.ascontiguousarray(np.asarray(array).view(np.ndarray))
    words = plain.view(np.int64)
    return words.reshape(len(plain), plain.dtype.itemsize // 8) if plain.dtype.names else words


def _places(slots: Slots) -> Any:
    """The number of every row of the state block, by kind."""
    shape = slots.shape()
    return state_views(shape, np.arange(shape.rows))


def state_without_tier_bounds(run: Any) -> np.ndarray:
    """The final state but the bounds of the margin tiers, which a resumed run works out anew."""
    places = _places(run.slots)
    return np.delete(final_state(run), np.r_[places.maintenance_bound, places.bounded_notional], axis=0)


def state_without_margin_ratios(state: np.ndarray, slots: Slots) -> np.ndarray:
    """A state but its margin ratios, which are divided out only for the lane that is recorded."""
    places = _places(slots)
    return np.delete(state, np.r_[places.margin_ratio, places.worst_margin_ratio], axis=0)


def state_without_event_count(state: np.ndarray, slots: Slots) -> np.ndarray:
    """A state but the number of its events, which is not kept of funding where there is no buffer."""
    return np.delete(state, _places(slots).events, axis=0)


def state_without_memory(checkpoint: Any) -> np.ndarray:
    """The state of a checkpoint but what the strategy keeps for itself."""
    return np.delete(checkpoint.state, slice(_STATE.memory, _STATE.memory + codes.MEMORIES))


def quantities_of_checkpoint(checkpoint: Any, slots: Slots) -> dict[str, float]:
    """Quantity by instrument key."""
    held = state_views(slots.shape(), checkpoint.state.reshape(-1, 1)).quantity[:, 0]
    return dict(zip(checkpoint.keys, held.tolist(), strict=True))


# --- a run by name ---------------------------------------------------------------------------------------------------


class RunView:
    """A recording with its rows by name; (rows,) arrays where nothing else is said."""

    def __init__(self, recording: Any) -> None:
        self.recording = recording
        self.slots: Slots = recording.slots
        self.panel = recording.panel
        self.status, self.cause, self.stop = recording.status, recording.cause, recording.stop
        rows = recorded_rows(recording).T
        self._state = state_views(self.slots.shape(), rows)
        self._pnl = np.array(pnl_views(self.slots.shape(), rows))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recording, name)

    # what two equal runs have in common
    @property
    def record(self) -> np.ndarray:
        """(rows, numbers) everything that was recorded, for comparing bits."""
        return recorded_rows(self.recording)

    @property
    def final_state(self) -> np.ndarray:
        """(numbers, 1) everything held at the end, for comparing bits."""
        return final_state(self.recording)

    @property
    def raw_events(self) -> np.ndarray:
        """Events as the kernel wrote them, for comparing bits."""
        return raw_events(self.recording)

    def events_until(self, row: int) -> bytes:
        """Bits of the events up to and with a row."""
        log = self.raw_events
        return log[log.row <= row].tobytes()

    def events_after(self, row: int) -> bytes:
        """Bits of the events after a row, that row counted as row 0."""
        log = self.raw_events
        rest = log[log.row > row].copy()
        rest.row -= row
        return rest.tobytes()

    # totals
    @property
    def equity(self) -> np.ndarray:
        """Worth of everything held, share class."""
        return self._state.equity

    @property
    def gross(self) -> np.ndarray:
        """Gross exposure, share class."""
        return self._state.gross

    @property
    def ltv(self) -> np.ndarray:
        return self._state.ltv

    @property
    def health_factor(self) -> np.ndarray:
        return self._state.health_factor

    @property
    def flow(self) -> np.ndarray:
        """What the investor brought (> 0) or took in the row, share class."""
        return self._state.net_flow

    @property
    def total_flow(self) -> np.ndarray:
        """The sum of the flows up to the row, share class."""
        return self._state.net_flows

    @property
    def pending(self) -> np.ndarray:
        """What is owed to the investor and not paid yet, share class."""
        return self._state.withdrawal_pending

    @functools.cached_property
    def pnl(self) -> dict[str, np.ndarray]:
        """Cumulative P&L by attribution column, share class."""
        return dict(zip(PNL_COLUMNS, self._pnl, strict=True))

    @property
    def capital(self) -> float:
        """What the run accounts for at its start, share class."""
        return float(state_views(self.slots.shape(), self.final_state).capital[0])

    @property
    def residual(self) -> np.ndarray:
        """Balance-based less attributed P&L, share class."""
        return self.equity - self.capital - self.total_flow - self._pnl.sum(axis=0)

    # by instrument
    def quantity(self, key: Any) -> np.ndarray:
        """Stored quantity of an instrument."""
        return self._state.quantity[self.slots.index(key)]

    def quantities(self, keys: Iterable[Any] | None = None) -> np.ndarray:
        """(instruments, rows) stored quantities, of every instrument or of some."""
        if keys is None:
            return self._state.quantity
        return self._state.quantity[[self.slots.index(key) for key in keys]]

    def cost(self, key: Any) -> np.ndarray:
        """Cost of a perp: quantity times average entry price, USDT."""
        return self._state.cost[self.slots.index(key) - self.slots.shape().first_perp]

    def in_transit(self, key: Any) -> np.ndarray:
        """Units of a token that are under way to where the key says."""
        return self._state.transit[self.slots.index(key)]

    @property
    def all_in_transit(self) -> np.ndarray:
        """(cash and tokens, rows) units under way."""
        return self._state.transit

    def delta(self, asset: str) -> np.ndarray:
        """Net units of an asset."""
        return self._state.delta[self.slots.assets.index(asset)]

    def margin_ratio(self, venue: str) -> np.ndarray:
        """Margin ratio of a venue after each row's fills."""
        return self._state.margin_ratio[self.slots.venues.index(venue)]

    def funding(self, venue: str) -> np.ndarray:
        """Cumulative funding of a venue, share class."""
        return self._state.venue_funding[self.slots.venues.index(venue)]

    def alert_level(self, measure: str) -> np.ndarray:
        """Reported level of a measure of `alert_measures`: 0, 1 warning, 2 critical."""
        return self._state.alert[alert_measures(self.slots).index(measure)]

    @property
    def alert_levels(self) -> np.ndarray:
        """(measures, rows) reported levels, in the order of `alert_measures`."""
        return self._state.alert

    @property
    def in_proportion_to_capital(self) -> Mapping[str, np.ndarray]:
        """Everything that doubles where capital and flows double and no cost has steps."""
        state = self._state
        units = {"pnl": self._pnl, "funding": state.venue_funding, "quantity": state.quantity, "cost": state.cost}
        units |= {"in transit": state.transit, "delta": state.delta}
        names = ("equity", "gross", "pending", "flow", "total_flow")
        return units | {name: getattr(self, name) for name in names}

    @property
    def margin_ratios(self) -> np.ndarray:
        """(venues, rows) margin ratios after each row's fills."""
        return self._state.margin_ratio

    # of a hedge of one coin in BTC
    @property
    def long(self) -> np.ndarray:
        """Units of spot BTC."""
        return sum(self.quantity(k) for k in self.slots.keys if k.type == "BaseToken" and k.symbol == "BTC")

    @property
    def short(self) -> np.ndarray:
        """Units of BTC short over all venues."""
        return -sum(self.quantity(k) for k in self.slots.held)

    def short_at(self, venue: str) -> np.ndarray:
        """Units of BTC short at a venue."""
        return -self.quantity(f"{venue}:Perp:BTCUSDT")

    def margin_balance(self, venue: str) -> np.ndarray:
        """Margin of a venue after each row's fills, USDT."""
        key = f"{venue}:Perp:BTCUSDT"
        mark = self.panel.columns[f"mark|{key}"]
        return self.quantity(f"{venue}:BaseToken:USDT") + self.quantity(key) * mark - self.cost(key)

    # events
    @functools.cached_property
    def events(self) -> np.recarray:
        """Events by name; see `named_events`."""
        return named_events(self.raw_events, self.slots, plan_assets(self.recording))

    def events_of(self, kind: str, detail: str | None = None) -> np.recarray:
        """Events of a kind, and of a detail where one is given."""
        found = self.events[self.events.kind == kind]
        return found if detail is None else found[found.detail == detail]

    def rows_of(self, kind: str, detail: str | None = None) -> list[int]:
        """Rows of the events of a kind."""
        return self.events_of(kind, detail).row.tolist()

    def rejects(self) -> list[tuple[int, str]]:
        """(row, reason) of every rejection."""
        found = self.events_of("reject")
        return list(zip(found.row.tolist(), found.detail.tolist(), strict=True))
