"""The one door from the tests to the kernel's state: what a run holds, by the words of the field.

Only this module and `kernel_stages` know how the kernel lays out its numbers. A test asks for the equity, the quantity
of an instrument or the fills by name; when the layout changes, these two files change and no test does.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from basis.config import load_config
from basis.inputs.plans import Strategy
from basis.inputs.policy import measure_names
from basis.inputs.slots import Slots
from basis.kernel.context import strategy as compile_raw
from basis.kernel.layout import codes
from basis.kernel.layout.shape import pnl_views, state_views
from basis.kernel.layout.state import POLICY
from basis.strategies.factory import make_strategy

#: Names of the attribution columns, in the order of the run folder.
PNL_COLUMNS = codes.COLUMN_NAMES
#: Most actions in one decision, and numbers a strategy may keep from one decision to the next.
MOST_ACTIONS, MEMORIES = codes.ACTIONS, codes.MEMORIES
#: What an order is, by its code; the last two are fills of orders that rest at a venue.
ORDER_KINDS = (*codes.ORDER_NAMES, "stop", "take_profit")
#: What a liquidation is, by its code.
LIQUIDATION_KINDS = ("exchange", "lending", "lending, bad debt")
#: A word of `policy_parameters` → its name in the policy of a lane.
PARAMETERS = {
    "target_margin": "margin_target",
    "margin_band_low": "margin_low",
    "margin_band_high": "margin_high",
    "max_delta_drift": "max_drift",
    "rebalance": "rebalance",
    "restrict_when_critical": "restricts",
    "enter_rate": "enter_rate",
    "leave_rate": "leave_rate",
    "every_row": "every_row",
    "target_ltv": "target_ltv",
}

#: Fields of an event: name, type, and the column of the kernel's buffer; the texts are looked up.
_EVENT_FIELDS: tuple[tuple[str, Any, str | None], ...] = (
    ("row", np.int64, "row"),
    ("lane", np.int64, "lane"),
    ("kind", "U12", None),
    ("detail", "U64", None),
    ("action", "U16", None),
    ("instrument", "U48", None),
    ("destination", "U48", None),
    ("quantity", np.float64, "quantity"),
    ("price", np.float64, "price"),
    ("reference_price", np.float64, "reference"),
    ("rate", np.float64, "fee_rate"),
    ("notional", np.float64, "notional"),
    ("fee", np.float64, "fee"),
    ("slippage", np.float64, "slippage"),
    ("gas", np.float64, "gas"),
    ("gas_units", np.float64, "gas_units"),
    ("realised_cash", np.float64, "cash"),
    ("amount", np.float64, "amount"),
    ("effective_at", np.float64, "effective"),
    ("decision", np.int64, "correlation"),
    ("level", np.float64, "level"),
    ("flash_fee", np.float64, "flash_fee"),
    ("peg_conversion", np.float64, "peg"),
)


def alert_measures(slots: Slots) -> tuple[str, ...]:
    """Names of what alerts watch, in the kernel's order."""
    return measure_names(slots)


# --- policy and strategies -------------------------------------------------------------------------------------------


def policy_parameters(**values: float) -> dict[str, float]:
    """Parameters of a strategy's policy by the words of `PARAMETERS`, as `Strategy.policy` returns them."""
    return {PARAMETERS[name]: value for name, value in values.items()}


def with_policy(strategy: Strategy, **values: float) -> Strategy:
    """The same strategy with some parameters of its policy set; see `policy_parameters`."""
    policy = strategy.policy
    return replace(strategy, policy=lambda config, slots: {**policy(config, slots), **policy_parameters(**values)})


def asked_in_every_row(strategy: Strategy, **changes: Any) -> Strategy:
    """The same strategy, asked in every row whether or not anything happens; `changes` replace its attributes."""
    return replace(with_policy(strategy, every_row=1.0), **changes)


class RawDecision:
    """What a strategy decides with, written in the kernel's own arrays: nothing is checked.

    Parameters
    ----------
    decide : ``decide(seen, policy, actions, notes, places)``, returns the number of actions
    params : its own parameters
    """

    def __init__(self, decide: Any, **params: float) -> None:
        self.decide, self.params = decide, params

    def bind(self, slots: Any, plans: Any, texts: Any) -> tuple[Any, np.ndarray]:
        return self.decide, np.zeros(1, dtype=np.int64)


#: Where a lane's own parameters begin in its policy.
_OWN = [item.name for item in POLICY.items].index("own")
#: Where a view keeps what a strategy remembers.
_MEMORY = 22


@compile_raw
def _write_one_action(seen, policy, actions, notes, places):
    """Write the action that the parameters hold, whether or not the kernel can accept it."""
    actions[0].code = int(policy[_OWN])
    actions[0].plan = int(policy[_OWN + 1])
    actions[0].amount = policy[_OWN + 2]
    return int(policy[_OWN + 3])


@compile_raw
def _write_nothing(seen, policy, actions, notes, places):
    return 0


def raw_decision(mode: str, code: float, plan: float, amount: float, count: float) -> Strategy:
    """A strategy with the plans of a mode that writes the same decision in every row.

    Nothing is checked: the public language cannot write a wrong code, plan or count.
    """
    plans = make_strategy(load_config(mode)).plans
    decide = RawDecision(_write_one_action, code=code, plan=plan, amount=amount, count=count)
    return Strategy("raw_decision", decide, plans, lambda config, slots: {"every_row": 1.0})


@compile_raw
def _write_a_wrong_code_in_row_8(seen, policy, actions, notes, places):
    seen[_MEMORY] += 1.0
    actions[0].code = 9
    return 1 if seen[_MEMORY] >= 9.0 else 0


def wrong_code_in_row_8(mode: str = "btc_basis") -> Strategy:
    """A strategy that does nothing for eight rows and then writes an action that there is not."""
    plans = make_strategy(load_config(mode)).plans
    decide = RawDecision(_write_a_wrong_code_in_row_8)
    return Strategy("wrong_in_row_8", decide, plans, lambda *_: policy_parameters(every_row=1.0))


def idle_strategy(**values: float) -> Strategy:
    """A strategy without plans that never acts; its policy is `policy_parameters` alone."""
    decide = RawDecision(_write_nothing)
    return Strategy("idle", decide, lambda config: (), lambda config, slots: policy_parameters(**values))


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
    wanted = [codes.EVENT_NAMES.index(kind) for kind in kinds]
    return int(np.isin(raw_events(run)["kind"], wanted).sum())


def named_events(log: np.ndarray, slots: Slots, plans: tuple[str, ...] = ()) -> np.recarray:
    """Events by name, in their order.

    `detail` says which: the kind of an order, the asset of a decision, the reason of a reject, what an alert watches,
    what a flow or a liquidation is. A quantity of an alert is the level before.
    """
    out = np.zeros(len(log), dtype=[(name, kind) for name, kind, _ in _EVENT_FIELDS]).view(np.recarray)
    for name, _, column in _EVENT_FIELDS:
        if column is not None:
            out[name] = log[column]
    code = log["code"]
    keys = np.array([*map(str, slots.keys), ""])
    out["kind"] = np.array(codes.EVENT_NAMES)[log["kind"]]
    out["action"] = np.array(codes.ACTION_NAMES)[log["action"]]
    out["instrument"] = keys[log["slot"]]
    out["destination"] = keys[log["destination"]]
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
            out["detail"][own] = np.array(names)[code[own]]
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


def book_bits(book: Any) -> bytes:
    """Bits of everything an engine's book holds now."""
    return book.state.block.tobytes()


def comparable_parts(run: Any) -> dict[str, np.ndarray]:
    """Every array in which two equal runs are the same bit for bit."""
    return {"record": recorded_rows(run), "events": raw_events(run), "final state": final_state(run)}


def _rows_of(slots: Slots, *names: str) -> np.ndarray:
    """The numbers of the rows of the state block that hold what is named."""
    shape = slots.shape()
    places = state_views(shape, np.arange(shape.rows))
    return np.concatenate([np.atleast_1d(getattr(places, name)) for name in names])


def state_without_tier_bounds(run: Any) -> np.ndarray:
    """The final state but the bounds of the margin tiers, which a resumed run works out anew."""
    return np.delete(final_state(run), _rows_of(run.slots, "maintenance_bound", "bounded_notional"), axis=0)


def state_without_margin_ratios(state: np.ndarray, slots: Slots) -> np.ndarray:
    """A state but its margin ratios, which are divided out only for the lane that is recorded."""
    return np.delete(state, _rows_of(slots, "margin_ratio", "worst_margin_ratio"), axis=0)


def state_without_event_count(state: np.ndarray, slots: Slots) -> np.ndarray:
    """A state but the number of its events, which is not kept of funding where there is no buffer."""
    return np.delete(state, _rows_of(slots, "events"), axis=0)


def record_without_totals(run: Any) -> np.ndarray:
    """Recorded rows without equity, alerts and the other totals: attribution, and all that is by slot or venue."""
    shape = run.slots.shape()
    totals = range(shape.state.equity, shape.state.venue_funding)
    return np.delete(recorded_rows(run), totals, axis=1)


def state_without_memory(checkpoint: Any, slots: Slots | None = None) -> np.ndarray:
    """The state of a checkpoint but what the strategy keeps for itself."""
    first = len(codes.COLUMN_NAMES) + _MEMORY_OF_STATE
    return np.delete(checkpoint.state, slice(first, first + codes.MEMORIES))


#: Place of the memory among the rows of a lane's state.
_MEMORY_OF_STATE = 13


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
        self._state, self._pnl = state_views(self.slots.shape(), rows), pnl_views(self.slots.shape(), rows)

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
        return log[log["row"] <= row].tobytes()

    def events_after(self, row: int) -> bytes:
        """Bits of the events after a row, that row counted as row 0."""
        log = self.raw_events
        rest = log[log["row"] > row].copy()
        rest["row"] -= row
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
        return dict(zip(codes.COLUMN_NAMES, self._pnl, strict=True))

    @property
    def capital(self) -> float:
        """What the run accounts for at its start, share class."""
        return float(state_views(self.slots.shape(), self.final_state).capital[0])

    @property
    def residual(self) -> np.ndarray:
        """Balance-based less attributed P&L, share class."""
        return self.equity - self.capital - self.total_flow - np.array(self._pnl).sum(axis=0)

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
        units = {
            "pnl": np.array(self._pnl),
            "funding": state.venue_funding,
            "quantity": state.quantity,
            "cost": state.cost,
        }
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
