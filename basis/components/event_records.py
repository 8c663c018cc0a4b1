"""Events of a run by name: the kernel's numbers become records, and funding one record per settlement. Plain numpy.

What the numbers mean: `basis.kernel.layout`, E_* and what fills them in `fills`, `settle` and `hour`.
"""

import numpy as np

from ..kernel import layout as at
from ..market.sources.clock import iso
from .readings import QUOTE, StateRows, measure_names

#: Columns of `events.parquet`, in order.
EVENT_COLUMNS = (
    "seq", "timestamp", "effective_at", "kind", "level", "correlation_id", "action", "venue", "instrument",
    "destination", "quantity", "price", "reference_price", "rate", "notional", "fee", "fee_asset", "slippage", "gas",
    "gas_units", "flash_fee", "peg_conversion", "realised_cash", "amount", "detail",
)  # fmt: skip
LEVELS = ("normal", "warning", "critical")
#: What an order is, by E_CODE.
ORDERS = (
    "spot",
    "perp",
    "transfer",
    "supply",
    "withdraw",
    "swap",
    "stake",
    "unstake",
    "borrow",
    "repay",
    "lever",
    "lever",
    "delever",
    "unwind",
    "stop",
    "take_profit",
)
_PERP_FILLS = (at.TRADE_PERP, at.STOPPED, at.TAKEN)
#: Kinds that follow from a decision.
_DECIDED = (at.DECISION, at.ORDER, at.FILL, at.REJECT, at.MOVE, at.ARRIVAL)
_NUMBERS = {
    "quantity": at.E_QUANTITY,
    "price": at.E_PRICE,
    "reference_price": at.E_REFERENCE,
    "rate": at.E_RATE,
    "notional": at.E_NOTIONAL,
    "fee": at.E_FEE,
    "slippage": at.E_SLIPPAGE,
    "gas": at.E_GAS,
    "gas_units": at.E_GAS_UNITS,
    "realised_cash": at.E_CASH,
    "amount": at.E_AMOUNT,
}
_US = 1_000_000


def render(rows: StateRows, log: np.ndarray, run_id: str) -> dict[str, np.ndarray]:
    """Columns of `EVENT_COLUMNS` but `seq` for raw events, texts as objects, in their order.

    `realised_cash` of a spot fill is all its cash, fee included; of a perp fill or liquidation what closing realised,
    before the fee. `amount` is the change of the cash (of a pool: of the underlying) that comes with it, after fees.

    Parameters
    ----------
    rows : rows of a run that has `strategy` and `config` beside its state
    log : (events, EVENT_WIDTH) of those rows
    """
    effective = np.round(log[:, at.E_EFFECTIVE] * _US).astype(np.int64)
    log, effective = _settled(rows, log, effective)
    return _Rendering(rows, log, effective, run_id).columns()


def _settled(rows: StateRows, log: np.ndarray, effective: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One funding event per settlement, each at its own instant with its own mark and rate."""
    market, first_perp = rows.panel, at.first_perp(rows.shape)
    paid = np.flatnonzero(log[:, at.E_KIND] == at.FUNDING_PAID)
    if not paid.size:
        return log, effective
    count = np.ones(len(log), dtype=np.int64)
    first = np.zeros(len(log), dtype=np.int64)
    for i, _, _, key in rows.perps:
        own = paid[log[paid, at.E_SLOT] == first_perp + i]
        settled = market.settlements.get(str(key))
        row = log[own, at.E_ROW].astype(np.int64)
        if settled is None or not len(settled.rows):
            rate, cash = (market.columns.get(f"funding_{what}|{key}") for what in ("rate", "cash"))
            if rate is not None and cash is not None:
                log[own, at.E_RATE] = rate[row]
                log[own, at.E_PRICE] = np.divide(cash[row], rate[row], out=np.zeros(own.size), where=rate[row] != 0.0)
            continue
        first[own] = np.searchsorted(settled.rows, row, "left")
        count[own] = np.maximum(np.searchsorted(settled.rows, row, "right") - first[own], 1)
    source = np.repeat(np.arange(len(log)), count)
    within = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    settlement = first[source] + within
    alone = count[source] == 1
    log, effective = log[source].copy(), effective[source].copy()
    for i, _, _, key in rows.perps:
        settled = market.settlements.get(str(key))
        if settled is None or not len(settled.rows):
            continue
        own = np.flatnonzero((log[:, at.E_KIND] == at.FUNDING_PAID) & (log[:, at.E_SLOT] == first_perp + i))
        at_hand = settlement[own]
        rates, marks = settled.rates[at_hand], settled.marks[at_hand]
        log[own, at.E_RATE], log[own, at.E_PRICE] = rates, marks
        effective[own] = settled.stamps[at_hand] // 1000
        cash = -log[own, at.E_QUANTITY] * (marks * rates)
        # a settlement alone in its row keeps the bits that moved the book
        log[own, at.E_AMOUNT] = np.where(alone[own], log[own, at.E_AMOUNT], cash)
        log[own, at.E_CASH] = log[own, at.E_AMOUNT]
    for i, _, v, _ in rows.perps:
        own = (log[:, at.E_KIND] == at.FUNDING_PAID) & (log[:, at.E_SLOT] == first_perp + i)
        worth = rows.hour.value[v][log[own, at.E_ROW].astype(np.int64) - rows.span.start]
        log[own, at.E_NOTIONAL] = np.abs(log[own, at.E_QUANTITY]) * log[own, at.E_PRICE] * worth
    return log, effective


def _plan_assets(rows: StateRows) -> tuple[str, ...]:
    """The asset of each plan, as the strategy names it; without a strategy as the kernel's table has it."""
    run, assets = rows.run, rows.slots.assets
    if run.strategy is not None:
        return tuple(plan.asset for plan in run.strategy.plans(run.config))
    places = [int(place) for place in run.model.table.plan.reshape(-1, at.PLAN_WIDTH)[:, at.PLAN_ASSET]]
    return tuple(assets[a] if 0 <= a < len(assets) else QUOTE for a in places)


class _Rendering:
    """Codes of a sorted log become texts."""

    def __init__(self, rows: StateRows, log: np.ndarray, effective: np.ndarray, run_id: str) -> None:
        self.rows, self.log, self.effective, self.run_id = rows, log, effective, run_id
        slots = rows.slots
        self.kind = log[:, at.E_KIND]
        self.code = log[:, at.E_CODE].astype(np.int64)
        self.slot = log[:, at.E_SLOT].astype(np.int64)
        self.dest = log[:, at.E_DEST].astype(np.int64)
        self.keys = tuple(map(str, slots.keys))
        self.symbols = tuple(key.symbol for key in slots.keys)
        self.venues = tuple(key.venue for key in slots.keys)
        self.measures = measure_names(slots)
        self.plans = _plan_assets(rows)
        # an order's type stands in the order event; a reject that follows it is about the same order
        self.order = np.where(np.isin(self.kind, (at.ORDER, at.FILL, at.MOVE)), self.code, -1)
        after = np.flatnonzero(self.kind == at.REJECT)
        after = after[after > 0]
        after = after[self.kind[after - 1] == at.ORDER]
        self.order[after] = self.code[after - 1]

    def of(self, kind: float) -> np.ndarray:
        return np.flatnonzero(self.kind == kind)

    def _by_slot(self, names: tuple[str, ...], slot: np.ndarray, where: np.ndarray) -> np.ndarray:
        """`names[slot]` as objects where asked and there is a slot, else empty."""
        return np.array([*names, ""], dtype=object)[np.where(where & (slot >= 0), slot, len(names))]

    def columns(self) -> dict[str, np.ndarray]:
        rows, log = self.rows, self.log
        every = np.ones(len(log), dtype=bool)
        instrument = self._by_slot(self.keys, self.slot, every)
        venue = self._by_slot(self.venues, self.slot, every)
        alerts, decisions = self.of(at.ALERTED), self.of(at.DECISION)
        instrument[alerts] = [self.measures[code] for code in self.code[alerts]]
        margins = np.array([m.startswith("margin_ratio|") for m in instrument[alerts]], dtype=bool)
        venue[alerts[margins]] = [m.partition("|")[2] for m in instrument[alerts[margins]]]
        instrument[decisions] = [self.plans[code] for code in self.code[decisions]]
        # an order to a pool is the pool's, whose token it is that moves
        supplies = (self.kind == at.ORDER) & (self.code == at.SUPPLY_POOL)
        venue[supplies] = self._by_slot(self.venues, self.dest, supplies)[supplies]
        numbers = {name: log[:, place].copy() for name, place in _NUMBERS.items()}
        numbers["quantity"][alerts] = 0.0
        self._cash(numbers["amount"])
        return {
            "timestamp": (rows.panel.timestamps[log[:, at.E_ROW].astype(np.int64)] // 1000).view("M8[us]"),
            "effective_at": self.effective.view("M8[us]"),
            "kind": np.array(at.KIND_NAMES, dtype=object)[self.kind.astype(np.int64)],
            "level": self._levels(),
            "correlation_id": self._correlations(),
            "action": np.array(at.ACTION_NAMES, dtype=object)[log[:, at.E_ACTION].astype(np.int64)],
            "venue": venue,
            "instrument": instrument,
            "destination": self._destinations(),
            **numbers,
            "fee_asset": self._fee_assets(),
            "flash_fee": log[:, at.E_FLASH].copy(),
            "peg_conversion": log[:, at.E_PEG].copy(),
            "detail": self._details(),
        }

    def _cash(self, amount: np.ndarray) -> None:
        """Change of cash of a trade, fee included: the kernel leaves it to be summed."""
        log = self.log
        fills = self.of(at.FILL)
        spot = fills[self.code[fills] == at.TRADE_SPOT]
        perp = fills[np.isin(self.code[fills], _PERP_FILLS)]
        amount[spot] = log[spot, at.E_CASH]
        venue = log[perp, at.E_SLOT].astype(np.int64) - at.first_perp(self.rows.shape)
        venue //= max(len(self.rows.slots.markets), 1)
        worth = self.rows.hour.value[venue, log[perp, at.E_ROW].astype(np.int64) - self.rows.span.start]
        amount[perp] = log[perp, at.E_CASH] - log[perp, at.E_FEE] / worth

    def _levels(self) -> np.ndarray:
        out = np.full(len(self.log), "", dtype=object)
        alerts = self.of(at.ALERTED)
        out[alerts] = [LEVELS[int(level)] for level in self.log[alerts, at.E_LEVEL]]
        return out

    def _correlations(self) -> np.ndarray:
        """The decision an event follows from; of an arrival, that of its transfer."""
        out = np.full(len(self.log), "", dtype=object)
        number = self.log[:, at.E_CORRELATION].astype(np.int64)
        paid = (self.kind == at.REJECT) & (self.code == at.EXCEEDS_EQUITY)
        paid |= (self.kind == at.FILL) & np.isin(self.code, (at.STOPPED, at.TAKEN))
        decided = np.flatnonzero(np.isin(self.kind, _DECIDED) & (number > 0) & ~paid)
        out[decided] = [f"{self.run_id}-{k:06d}" for k in number[decided]]
        return out

    def _destinations(self) -> np.ndarray:
        """Where a transfer, a supply, a withdrawal from a pool or a deposit goes."""
        there = np.isin(self.order, (at.TRANSFER, at.WITHDRAW_POOL, at.SUPPLY_POOL))
        there |= np.isin(self.kind, (at.ARRIVAL, at.MOVE))
        there |= (self.kind == at.FLOWED) & (self.code == at.DEPOSITED)
        out = self._by_slot(self.keys, self.dest, there)
        # a supply's event is of the pool's token: that is where the amount goes
        supplied = (self.kind == at.FILL) & (self.code == at.SUPPLY_POOL)
        out[supplied] = self._by_slot(self.keys, self.slot, supplied)[supplied]
        return out

    def _fee_assets(self) -> np.ndarray:
        paid = self.log[:, at.E_FEE] != 0.0
        out = np.where(paid, QUOTE, "").astype(object)
        sent = ((self.kind == at.MOVE) | ((self.kind == at.LIQUIDATION) & (self.code == 1))) & paid
        out[sent] = self._by_slot(self.symbols, self.slot, sent)[sent]
        return out

    def _details(self) -> np.ndarray:
        out = np.full(len(self.log), "", dtype=object)
        named = self.order >= 0
        out[named] = np.array(ORDERS, dtype=object)[self.order[named]]
        # a fill follows its order: where it is for less, the rest is not filled
        traded = np.flatnonzero((self.kind == at.FILL) & np.isin(self.code, (at.TRADE_SPOT, at.TRADE_PERP)))
        traded = traded[traded > 0]
        traded = traded[self.kind[traded - 1] == at.ORDER]
        asked = np.abs(self.log[traded - 1, at.E_QUANTITY])
        part = traded[np.abs(self.log[traded, at.E_QUANTITY]) < asked * (1.0 - 1e-9)]
        out[part] = [f"{detail}, partial" for detail in out[part]]
        moves = self.of(at.MOVE)
        out[moves] = [f"arrives {iso(int(us) * 1000)}" for us in self.effective[moves]]
        struck = self.of(at.LIQUIDATION)
        out[struck] = np.array(("exchange", "lending", "lending, bad debt"), dtype=object)[self.code[struck]]
        rewards = self.of(at.REWARD_PAID)
        out[rewards] = self._by_slot(self.keys, self.dest, self.kind == at.REWARD_PAID)[rewards]
        rejects, flows = self.of(at.REJECT), self.of(at.FLOWED)
        out[rejects] = [at.REASONS[code] for code in self.code[rejects]]
        out[flows] = [at.FLOW_NAMES[code] for code in self.code[flows]]
        for e in self.of(at.ALERTED):
            measure, value = self.measures[self.code[e]], self.log[e, at.E_AMOUNT]
            before = LEVELS[int(self.log[e, at.E_QUANTITY])]
            out[e] = f"{measure} {value:.6g} (was {before})"
        return out
