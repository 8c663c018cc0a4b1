"""Events of a run by name: the kernel's numbers become records, and funding one record per settlement. Plain numpy.

What the numbers mean: `basis.kernel.layout.records.EVENT`.
"""

import numpy as np

from ..inputs.policy import measure_names
from ..kernel.keys import QUOTE_ASSET
from ..kernel.layout import codes
from ..market.sources.clock import iso
from .state_tables import StateRows

#: Columns of `events.parquet`, in order.
EVENT_COLUMNS = (
    "seq", "timestamp", "effective_at", "kind", "level", "correlation_id", "action", "venue", "instrument",
    "destination", "quantity", "price", "reference_price", "rate", "notional", "fee", "fee_asset", "slippage", "gas",
    "gas_units", "flash_fee", "peg_conversion", "realised_cash", "amount", "detail",
)  # fmt: skip
LEVELS = ("normal", "warning", "critical")
#: Kind of an order, by its code.
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
#: What is liquidated, by its code.
DEFICIT_BORNE = "lending, borne by the pool"
LIQUIDATIONS = ("exchange", "lending", "lending, bad debt", DEFICIT_BORNE)
_PERP_FILLS = (codes.TRADE_PERP, codes.STOPPED, codes.TAKEN_PROFIT)
#: Kinds that follow from a decision.
_DECIDED = (codes.DECISION, codes.ORDER, codes.FILL, codes.REJECT, codes.MOVE, codes.ARRIVAL, codes.REVERT)
_NUMBERS = {
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
}
_US = 1_000_000


def render(rows: StateRows, log: np.ndarray, run_id: str) -> dict[str, np.ndarray]:
    """Columns of `EVENT_COLUMNS` but `seq` for raw events, texts as objects, in their order.

    `realised_cash` of a spot fill is all its cash, fee included; of a perp fill or liquidation what closing realised,
    before the fee. `amount` is the change of the cash (of a pool: of the underlying) that comes with it, after fees.

    Parameters
    ----------
    rows : rows of a run that has `strategy` and `config` beside its state
    log : (events,) records of those rows
    """
    effective = np.round(log["effective"] * _US).astype(np.int64)
    log, effective = _settled(rows, log, effective)
    return _Rendering(rows, log, effective, run_id).columns()


def _settled(rows: StateRows, log: np.ndarray, effective: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One funding event per settlement, each at its own instant with its own mark and rate."""
    market, first_perp = rows.panel, rows.shape.first_perp
    paid = np.flatnonzero(log["kind"] == codes.FUNDING_PAID)
    if not paid.size:
        return log, effective
    count = np.ones(len(log), dtype=np.int64)
    first = np.zeros(len(log), dtype=np.int64)
    for i, _, _, key in rows.perps:
        own = paid[log["slot"][paid] == first_perp + i]
        settled = market.settlements.get(str(key))
        row = log["row"][own]
        if settled is None or not len(settled.rows):
            rate, cash = (market.columns.get(f"funding_{what}|{key}") for what in ("rate", "cash"))
            if rate is not None and cash is not None:
                log["fee_rate"][own] = rate[row]
                log["price"][own] = np.divide(cash[row], rate[row], out=np.zeros(own.size), where=rate[row] != 0.0)
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
        own = np.flatnonzero((log["kind"] == codes.FUNDING_PAID) & (log["slot"] == first_perp + i))
        at_hand = settlement[own]
        rates, marks = settled.rates[at_hand], settled.marks[at_hand]
        log["fee_rate"][own], log["price"][own] = rates, marks
        effective[own] = settled.stamps[at_hand] // 1000
        cash = -log["quantity"][own] * (marks * rates)
        # a settlement alone in its row keeps the bits that moved the book
        log["amount"][own] = np.where(alone[own], log["amount"][own], cash)
        log["cash"][own] = log["amount"][own]
    for i, _, v, _ in rows.perps:
        own = (log["kind"] == codes.FUNDING_PAID) & (log["slot"] == first_perp + i)
        worth = rows.hour.value[v][log["row"][own] - rows.span.start]
        log["notional"][own] = np.abs(log["quantity"][own]) * log["price"][own] * worth
    return log, effective


def _plan_assets(rows: StateRows) -> tuple[str, ...]:
    """The asset of each plan, as the strategy names it; without a strategy as the kernel's table has it."""
    run, assets = rows.run, rows.slots.assets
    if run.strategy is not None:
        return tuple(plan.asset for plan in run.strategy.plans(run.config))
    places = [int(place) for place in run.inputs.plans.asset]
    return tuple(assets[a] if 0 <= a < len(assets) else QUOTE_ASSET for a in places)


class _Rendering:
    """Codes of a sorted log become texts."""

    def __init__(self, rows: StateRows, log: np.ndarray, effective: np.ndarray, run_id: str) -> None:
        self.rows, self.log, self.effective, self.run_id = rows, log, effective, run_id
        slots = rows.slots
        self.kind = log["kind"]
        self.code = log["code"]
        self.slot = log["slot"]
        self.dest = log["destination"]
        self.keys = tuple(map(str, slots.keys))
        self.symbols = tuple(key.symbol for key in slots.keys)
        self.venues = tuple(key.venue for key in slots.keys)
        self.measures = measure_names(slots)
        self.plans = _plan_assets(rows)
        # the order event holds an order's kind; a reject that follows it is about the same order
        self.order = np.where(np.isin(self.kind, (codes.ORDER, codes.FILL, codes.MOVE, codes.REVERT)), self.code, -1)
        after = np.flatnonzero(self.kind == codes.REJECT)
        after = after[after > 0]
        after = after[self.kind[after - 1] == codes.ORDER]
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
        alerts, decisions = self.of(codes.ALERT), self.of(codes.DECISION)
        instrument[alerts] = [self.measures[code] for code in self.code[alerts]]
        margins = np.array([m.startswith("margin_ratio|") for m in instrument[alerts]], dtype=bool)
        venue[alerts[margins]] = [m.partition("|")[2] for m in instrument[alerts[margins]]]
        instrument[decisions] = [self.plans[code] for code in self.code[decisions]]
        # an order to a pool is the pool's, whose token it is that moves
        supplies = (self.kind == codes.ORDER) & (self.code == codes.SUPPLY)
        venue[supplies] = self._by_slot(self.venues, self.dest, supplies)[supplies]
        numbers = {name: log[place].copy() for name, place in _NUMBERS.items()}
        numbers["quantity"][alerts] = 0.0
        self._cash(numbers["amount"])
        return {
            "timestamp": (rows.panel.timestamps[log["row"]] // 1000).view("M8[us]"),
            "effective_at": self.effective.view("M8[us]"),
            "kind": np.array(codes.EVENT_NAMES, dtype=object)[self.kind],
            "level": self._levels(),
            "correlation_id": self._correlations(),
            "action": np.array(codes.ACTION_NAMES, dtype=object)[log["action"]],
            "venue": venue,
            "instrument": instrument,
            "destination": self._destinations(),
            **numbers,
            "fee_asset": self._fee_assets(),
            "flash_fee": log["flash_fee"].copy(),
            "peg_conversion": log["peg"].copy(),
            "detail": self._details(),
        }

    def _cash(self, amount: np.ndarray) -> None:
        """Change of cash of a trade, fee included: the kernel leaves it to be summed."""
        log = self.log
        fills = self.of(codes.FILL)
        spot = fills[self.code[fills] == codes.TRADE_SPOT]
        perp = fills[np.isin(self.code[fills], _PERP_FILLS)]
        amount[spot] = log["cash"][spot]
        venue = log["slot"][perp] - self.rows.shape.first_perp
        venue //= max(len(self.rows.slots.markets), 1)
        worth = self.rows.hour.value[venue, log["row"][perp] - self.rows.span.start]
        amount[perp] = log["cash"][perp] - log["fee"][perp] / worth

    def _levels(self) -> np.ndarray:
        out = np.full(len(self.log), "", dtype=object)
        alerts = self.of(codes.ALERT)
        out[alerts] = [LEVELS[int(level)] for level in self.log["level"][alerts]]
        return out

    def _correlations(self) -> np.ndarray:
        """The decision an event follows from; of an arrival, that of its transfer."""
        out = np.full(len(self.log), "", dtype=object)
        number = self.log["correlation"]
        paid = (self.kind == codes.REJECT) & (self.code == codes.EXCEEDS_EQUITY)
        paid |= (self.kind == codes.FILL) & np.isin(self.code, (codes.STOPPED, codes.TAKEN_PROFIT))
        decided = np.flatnonzero(np.isin(self.kind, _DECIDED) & (number > 0) & ~paid)
        out[decided] = [f"{self.run_id}-{k:06d}" for k in number[decided]]
        return out

    def _destinations(self) -> np.ndarray:
        """Where a transfer, a supply, a withdrawal from a pool or a deposit goes."""
        there = np.isin(self.order, (codes.TRANSFER, codes.WITHDRAW, codes.SUPPLY))
        there |= np.isin(self.kind, (codes.ARRIVAL, codes.MOVE))
        there |= (self.kind == codes.FLOW) & (self.code == codes.DEPOSITED)
        out = self._by_slot(self.keys, self.dest, there)
        # a supply's event is of the pool's token: that is where the amount goes
        supplied = (self.kind == codes.FILL) & (self.code == codes.SUPPLY)
        out[supplied] = self._by_slot(self.keys, self.slot, supplied)[supplied]
        return out

    def _fee_assets(self) -> np.ndarray:
        paid = self.log["fee"] != 0.0
        out = np.where(paid, QUOTE_ASSET, "").astype(object)
        sent = (
            (self.kind == codes.MOVE) | ((self.kind == codes.LIQUIDATION) & (self.code == codes.LOAN_LIQUIDATED))
        ) & paid
        out[sent] = self._by_slot(self.symbols, self.slot, sent)[sent]
        return out

    def _details(self) -> np.ndarray:
        out = np.full(len(self.log), "", dtype=object)
        named = self.order >= 0
        out[named] = np.array(ORDERS, dtype=object)[self.order[named]]
        # a fill follows its order: where it is for less, the rest is not filled
        traded = np.flatnonzero((self.kind == codes.FILL) & np.isin(self.code, (codes.TRADE_SPOT, codes.TRADE_PERP)))
        traded = traded[traded > 0]
        traded = traded[self.kind[traded - 1] == codes.ORDER]
        asked = np.abs(self.log["quantity"][traded - 1])
        part = traded[np.abs(self.log["quantity"][traded]) < asked * (1.0 - 1e-9)]
        out[part] = [f"{detail}, partial" for detail in out[part]]
        moves = self.of(codes.MOVE)
        out[moves] = [f"arrives {iso(int(us) * 1000)}" for us in self.effective[moves]]
        liquidated = self.of(codes.LIQUIDATION)
        out[liquidated] = np.array(LIQUIDATIONS, dtype=object)[self.code[liquidated]]
        rewards = self.of(codes.REWARD_PAID)
        out[rewards] = self._by_slot(self.keys, self.dest, self.kind == codes.REWARD_PAID)[rewards]
        rejects, flows = self.of(codes.REJECT), self.of(codes.FLOW)
        out[rejects] = [codes.REASONS[code] for code in self.code[rejects]]
        out[flows] = [codes.FLOW_NAMES[code] for code in self.code[flows]]
        for e in self.of(codes.ALERT):
            measure, value = self.measures[self.code[e]], self.log["amount"][e]
            before = LEVELS[int(self.log["quantity"][e])]
            out[e] = f"{measure} {value:.6g} (was {before})"
        return out
