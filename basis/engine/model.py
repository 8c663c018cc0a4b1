"""From a configuration and a market to what the kernel reads: terms of the venues, limits, plans, parameters."""

from collections import OrderedDict
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np

from ..config import Config
from ..config.instruments import conversion_of
from ..errors import ConfigError
from ..kernel import layout as at
from ..kernel.close_rules import CLOSE_RULES
from ..kernel.coefficients import Coefficients, Depth, Slots, make_coefficients
from ..kernel.keys import GAS_ASSET, QUOTE_ASSET, Key
from ..market.panel import Panel
from ..strategies.base import Plan, Strategy

_PLAN_KINDS = {
    "hedge": at.PLAN_HEDGE,
    "margin": at.PLAN_MARGIN,
    "lend": at.PLAN_LEND,
    "stake": at.PLAN_STAKE,
    "lever": at.PLAN_LEVER,
    "dust": at.PLAN_DUST,
    "long": at.PLAN_LONG,
    "short": at.PLAN_SHORT,
}
_NS = 1_000_000_000
#: All of them may fall due in one row, each with three events: less than `loop.EVENTS_PER_ROW`.
MAX_WITHDRAWALS = 150


def _single(venue):
    """Dated tables that a venue has one of."""
    return venue.spot_fee, venue.perp_fee, venue.liquidation_fee, venue.close_rule, venue.flash_fee


class _Pool(NamedTuple):
    """Lending parameters of a collateral."""

    ltv: float
    threshold: float
    bonus: float
    cap: float


def _emode(config: Config, slots: Slots, name: str, when: datetime) -> Any:
    """The e-mode an account is in: of those that take all its debts, the one for most of its collateral, then the one
    with the highest threshold; None where none fits."""
    debts = {debt.symbol for debt in slots.debt if debt.venue == name}
    held = {key.symbol for key in slots.collateral if key.venue == name}
    modes = [table.at(when) for table in config.venues[name].emodes.values()]
    fit = [mode for mode in modes if debts and debts <= set(mode.debt) and held & set(mode.collateral)]
    return max(fit, key=lambda mode: (len(held & set(mode.collateral)), mode.liquidation_threshold), default=None)


def pool_terms(config: Config, slots: Slots, key: Key, when: datetime) -> _Pool:
    """Parameters of a collateral in force: its own, or those of the account's e-mode where they reach further."""
    own = config.venues[key.venue].reserves[key.symbol].at(when)
    found = _Pool(
        own.ltv, own.liquidation_threshold, own.liquidation_bonus, np.inf if own.supply_cap is None else own.supply_cap
    )
    mode = _emode(config, slots, key.venue, when)
    if mode is None or key.symbol not in mode.collateral or mode.liquidation_threshold <= found.threshold:
        return found
    return found._replace(ltv=mode.ltv, threshold=mode.liquidation_threshold, bonus=mode.liquidation_bonus)


def check_leverage(config: Config, slots: Slots, instants: list[datetime]) -> None:
    """A loan to value aimed at has to be possible, and safe at the edge of its band, whatever is in force.

    Raises
    ------
    ConfigError
        Where it is not; the message says what is.
    """
    settings = config.strategy
    if settings.target_ltv is None or not slots.debt:
        return
    high = settings.target_ltv + (settings.ltv_band or 0.0)
    for when in instants:
        for key in slots.collateral:
            held = pool_terms(config, slots, key, when)
            what = f"{key.symbol} has LTV {held.ltv:.4g} and threshold {held.threshold:.4g} from {when:%Y-%m-%d} on"
            if settings.target_ltv > held.ltv:
                raise ConfigError(
                    f"Invalid strategy.target_ltv: {settings.target_ltv}. Must be <= {held.ltv:.4g}: {what}."
                )
            if high >= held.threshold:
                raise ConfigError(
                    f"Invalid strategy.ltv_band: {settings.ltv_band}. target_ltv + ltv_band must be < "
                    f"{held.threshold:.4g}: {what}."
                )
            floor = settings.min_health_factor
            if floor is not None and floor >= held.threshold / high:
                raise ConfigError(
                    f"Invalid strategy.min_health_factor: {floor}. Must be < {held.threshold / high:.4g}, the health "
                    f"factor at target_ltv + ltv_band: {what}."
                )


def _tables(config: Config, slots: Slots):
    """Every dated table the book's venues have."""
    converting = (name for k in slots.token for name in conversion_of(config, k.symbol).venues if name in config.venues)
    for name in dict.fromkeys((*(k.venue for k in slots.keys), *converting)):
        venue = config.venues[name]
        yield from (t for t in _single(venue) if t is not None)
        for group in (
            venue.spot_slippage,
            venue.perp_slippage,
            venue.spot_lots,
            venue.perp_lots,
            venue.tiers,
            venue.withdrawal_fee,
            venue.gas_units,
            venue.reserves,
            venue.emodes,
        ):
            yield from group.values()


def regimes(config: Config, slots: Slots, panel: Panel) -> tuple[list[datetime], np.ndarray]:
    """Instants at which terms change inside the panel (the first is its start), and the regime of every row."""
    first, last = (int(panel.timestamps[i]) for i in (0, -1))
    stamps = {int(t.timestamp()) * _NS for t in chain.from_iterable(t.changes() for t in _tables(config, slots))}
    starts = np.array([first, *sorted(s for s in stamps if first < s <= last)], dtype=np.int64)
    rows = np.searchsorted(starts, panel.timestamps, side="right") - 1
    return [datetime.fromtimestamp(int(s) // _NS, UTC) for s in starts], rows.astype(np.int64)


def _padded(tables: list[np.ndarray]) -> np.ndarray:
    """Tables of different lengths as one array; the last row of each is repeated."""
    longest = max((len(t) for t in tables), default=1)
    return np.array([np.concatenate((t, np.repeat(t[-1:], longest - len(t), axis=0))) for t in tables])


def make_terms(config: Config, slots: Slots, instants: list[datetime]) -> at.Terms:
    """Terms of the venues by regime.

    Raises
    ------
    ConfigError
        Where a venue of the book lacks a table it needs.
    """
    on = 1.0 if config.costs.enabled else 0.0
    travel = 0.0 if config.transfers.instant else 1.0
    r, v, p, k = len(instants), len(slots.cash), len(slots.perp), len(slots.token)
    venue = np.zeros((r, v, at.VENUE_TERMS))
    gas = np.zeros((r, at.GAS_TERMS))
    stake = np.zeros((r, k, at.STAKE_TERMS))
    pool = np.zeros((r, len(slots.collateral), at.POOL_TERMS))
    lending = np.zeros((r, at.LENDING_TERMS))
    lots = np.zeros((r, k + p if slots.depth else 0, at.LOT_TERMS))
    flat = np.array([[np.inf, 0.0]])
    tiers: list[np.ndarray] = []
    spot: list[np.ndarray] = []
    perp: list[np.ndarray] = []

    def need(table, venue_name: str, what: str):
        if table is None:
            raise ConfigError(
                f"venues.{venue_name}.{what} is missing; the book trades there. Add it with `from` and `source`."
            )
        return table

    def slippage(venue_name: str, market: Literal["spot", "perp"], symbol: str, when: datetime) -> np.ndarray:
        if not on:
            return flat
        try:
            buckets = config.venues[venue_name].slippage(market, symbol).at(when).buckets
        except KeyError:
            need(None, venue_name, f"{market}_slippage.{symbol}")
        return np.array([[b.max_notional, b.bps * 1e-4] for b in buckets])

    def lot(venue_name: str, market: Literal["spot", "perp"], symbol: str, when: datetime) -> tuple[float, float]:
        if not (slots.depth and config.execution.lots):
            return 0.0, 0.0
        tables = getattr(config.venues[venue_name], f"{market}_lots")
        rule = need(tables.get(symbol), venue_name, f"{market}_lots.{symbol}").at(when)
        return rule.step, rule.min_notional

    for i, when in enumerate(instants):
        for j, name in enumerate(slots.venues):
            terms = config.venues[name]
            out = venue[i, j]
            spot_fee, perp_fee = need(terms.spot_fee, name, "spot_fee"), need(terms.perp_fee, name, "perp_fee")
            out[at.SPOT_TAKER], out[at.SPOT_MAKER] = (
                on * x for x in (spot_fee.at(when).taker, spot_fee.at(when).maker)
            )
            out[at.PERP_TAKER], out[at.PERP_MAKER] = (
                on * x for x in (perp_fee.at(when).taker, perp_fee.at(when).maker)
            )
            out[at.LIQUIDATION_FEE] = need(terms.liquidation_fee, name, "liquidation_fee").at(when).value
            out[at.WITHDRAWAL_FEE] = (
                on * need(terms.withdrawal_fee.get("USDT"), name, "withdrawal_fee.USDT").at(when).value
            )
            latency = need(terms.latency, name, "latency")
            out[at.DEPOSIT_LATENCY] = travel * latency.deposit.total_seconds()
            out[at.WITHDRAWAL_LATENCY] = travel * latency.withdrawal.total_seconds()
        for j, key in enumerate(slots.perp):
            if slots.depth and key in slots.held:
                lots[i, k + j] = lot(key.venue, "perp", key.symbol, when)
            if key in slots.held:
                table = need(config.venues[key.venue].tiers.get(key.symbol), key.venue, f"tiers.{key.symbol}").at(when)
                tiers.append(np.array([tuple(b) for b in table.brackets], dtype=float))
                perp.append(slippage(key.venue, "perp", key.symbol, when))
            else:
                tiers.append(np.array([[np.inf, 1.0, 0.0, 1.0]]))
                perp.append(flat)
        for j, key in enumerate(slots.collateral):
            held = pool_terms(config, slots, key, when)
            pool[i, j] = held.ltv, held.bonus, held.cap
        for key in (*slots.collateral[:1], *slots.debt[:1]):
            terms = config.venues[key.venue]
            if terms.close_rule is not None:
                lending[i, at.CLOSE_RULE] = CLOSE_RULES[terms.close_rule.at(when).rule]
            if terms.flash_fee is not None:
                lending[i, at.FLASH_FEE] = on * terms.flash_fee.at(when).value
        protocols = {key.venue for key in (*slots.collateral, *slots.debt)}
        for j, key in enumerate(slots.token):
            trades = key.venue in slots.venues
            # a staking token that came with the starting book has no venue at which it can be converted
            conversion = conversion_of(config, key.symbol)
            market = conversion.market if conversion.market in config.venues else None
            protocols.update(name for name in conversion.venues if name in config.venues)
            if trades and slots.depth:
                lots[i, j] = lot(key.venue, "spot", f"{key.symbol}{QUOTE_ASSET}", when)
            if trades:
                spot.append(slippage(key.venue, "spot", f"{key.symbol}{QUOTE_ASSET}", when))
            elif market is None:
                spot.append(flat)
            else:
                spot.append(slippage(market, "spot", f"{key.symbol}{GAS_ASSET}", when))
                fee = need(config.venues[market].spot_fee, market, "spot_fee").at(when)
                stake[i, j, at.SWAP_FEE] = on * fee.taker
                protocol = conversion.protocol
                if protocol not in config.venues:
                    continue
                latency = need(config.venues[protocol].latency, protocol, "latency")
                stake[i, j, at.STAKE_LATENCY] = travel * latency.deposit.total_seconds()
                stake[i, j, at.UNSTAKE_LATENCY] = travel * latency.withdrawal.total_seconds()
        for name in ("wallet", *sorted(protocols)):
            units = config.venues[name].gas_units
            for place, operation in (
                (at.GAS_TRANSFER, "transfer"),
                (at.GAS_SUPPLY, "supply"),
                (at.GAS_WITHDRAW, "withdraw"),
                (at.GAS_SWAP, "swap"),
                (at.GAS_STAKE, "stake"),
                (at.GAS_UNSTAKE, "redeem"),
                (at.GAS_BORROW, "borrow"),
                (at.GAS_REPAY, "repay"),
                (at.GAS_LEVER, "lever"),
                (at.GAS_DELEVER, "delever"),
            ):
                if operation in units:
                    gas[i, place] = on * units[operation].at(when).value
    return at.Terms(
        venue,
        gas,
        np.ascontiguousarray(_padded(tiers).reshape(r, p, -1, 4)) if p else np.zeros((r, 0, 1, 4)),
        _padded(spot).reshape(r, k, -1, 2),
        _padded(perp).reshape(r, p, -1, 2) if p else np.zeros((r, 0, 1, 2)),
        stake,
        pool,
        lending,
        lots,
    )


def make_limits(config: Config, slots: Slots) -> np.ndarray:
    """(2 * measures, 1) warning and critical limits in the kernel's order; measures for which less is worse negated."""
    names = ["ltv", "health_factor", *(f"margin_ratio|{v}" for v in slots.venues)]
    names += [*(f"net_delta_ratio|{a}" for a in slots.assets), "drawdown"]
    out = np.full((2 * len(names), 1), at.NO_LIMIT)
    for j, name in enumerate(names):
        measure = name.partition("|")[0]
        limit = config.risk.limits.get(name) or config.risk.limits.get(measure)
        if limit is not None:
            sign = -1.0 if measure in ("health_factor", "margin_ratio") else 1.0
            out[j] = sign * limit.warning
            out[len(names) + j] = sign * limit.critical
    return out


def make_parameters(config: Config, slots: Slots, strategy: Strategy) -> np.ndarray:
    """(parameters, 1) policy of the configuration, the strategy's own, weights by venue."""
    s = config.strategy
    out = np.zeros((at.WEIGHT + len(slots.cash), 1))
    low, high = s.margin_ratio_band
    out[at.TARGET_MARGIN] = s.margin_ratio_target
    out[at.BAND_LOW] = low * s.margin_ratio_target
    out[at.BAND_HIGH] = high * s.margin_ratio_target
    out[at.DEVIATION] = s.position_deviation_threshold
    out[at.MAX_DRIFT] = s.max_delta_drift
    out[at.GAS_RESERVE] = s.gas_reserve
    out[at.REBALANCE] = out[at.RESTRICT] = float(s.rebalance)
    out[at.CLOSE_AT_END] = float(config.close_at_end)
    rule = s.rate_rule
    out[at.ENTER_RATE] = rule.enter if rule.enabled else at.NO_RULE
    out[at.LEAVE_RATE] = rule.leave if rule.enabled else -np.inf
    out[at.MIN_INVESTED], out[at.MAX_INVESTED] = -at.NO_LIMIT, at.NO_LIMIT
    out[at.TARGET_LTV], out[at.LOW_LTV], out[at.HIGH_LTV] = s.target_ltv or 0.0, -at.NO_LIMIT, at.NO_LIMIT
    plans = [plan.kind for plan in strategy.plans(config)]
    out[at.DUST_PLAN] = plans.index("dust") if "dust" in plans and slots.rewards and s.rebalance else -1.0
    sells = out[at.DUST_PLAN] >= 0.0 and s.dust_threshold is not None
    out[at.DUST_LIMIT] = s.dust_threshold if sells else at.NO_LIMIT
    for place, value in strategy.policy(config, slots).items():
        out[place] = value
    for j, name in enumerate(slots.venues):
        out[at.WEIGHT + j] = (s.hedge_allocation or {}).get(name, 0.0)
    return out


def _plan_row(plan: Plan, slots: Slots) -> list[float]:
    row = [0.0] * at.PLAN_WIDTH
    row[at.PLAN_KIND] = _PLAN_KINDS[plan.kind]
    row[at.PLAN_ASSET] = slots.assets.index(plan.asset) if plan.asset in slots.assets else -1
    row[at.PLAN_TOKEN] = slots.index(plan.token) if plan.token else -1
    row[at.PLAN_COLLATERAL] = slots.index(plan.pool) if plan.pool else -1
    venue = plan.token.split(":")[0] if plan.token else ""
    row[at.PLAN_VENUE] = slots.venues.index(venue) if venue in slots.venues else -1
    row[at.PLAN_MARKET] = slots.markets.index(plan.market) if plan.market else -1
    row[at.PLAN_PAYS] = slots.index(plan.pays) if plan.pays else -1
    row[at.PLAN_AT_MARKET] = 1.0 if plan.at_market else 2.0 * plan.leaves_at_market
    row[at.PLAN_LOOPS] = plan.loops
    row[at.PLAN_DEBT] = slots.index(plan.debt) if plan.debt else -1
    return row


def make_payouts(config: Config, slots: Slots, panel: Panel, started: int) -> np.ndarray:
    """(payouts, PAYOUT_WIDTH) distributions of the panel's rows, in their order.

    Holders are paid by what they hold in the row of the payout, before its decisions, in the protocol's own token
    (weETH counts as weETH times its rate). Of a period that had begun before the run (`started`, ns UTC), the days
    since then count.
    """
    out = []
    for symbol, terms in config.distributions.items():
        paid = panel.distributions.get(symbol)
        to = slots.index(f"wallet:BaseToken:{symbol}")
        if paid is None or to < 0:
            continue
        rows = np.searchsorted(panel.timestamps, paid.stamps, side="left")
        for k in np.flatnonzero((rows > 0) & (rows < len(panel))).tolist():
            since = max(int(paid.starts[k]), started)
            rate = paid.rates[k] * max(int(paid.ends[k]) - since, 0) / int(paid.ends[k] - paid.starts[k])
            for slot, key in enumerate(slots.keys):
                if key.symbol == terms.on and rate > 0.0 and key.type in ("BaseToken", "aToken"):
                    per_unit = rate
                    if f"oracle_rate|{terms.on}" in panel.columns:
                        per_unit *= panel.columns[f"oracle_rate|{terms.on}"][rows[k]]
                    if key.type == "aToken":
                        per_unit *= panel.columns[f"liquidity_index|{key.reserve}"][rows[k]]
                    out.append((float(rows[k]), float(to), float(slot), per_unit, rate))
    return np.array(sorted(out), dtype=float).reshape(-1, at.PAYOUT_WIDTH)


def make_table(slots: Slots, plans: tuple[Plan, ...], withdrawals: np.ndarray, payouts: np.ndarray) -> at.Table:
    """What never changes in a run."""
    return at.Table(
        venue=np.array(
            [slots.venues.index(k.venue) if k.venue in slots.venues else -1 for k in slots.token], dtype=np.int64
        ),
        plan=np.array([_plan_row(plan, slots) for plan in plans], dtype=float).reshape(-1, at.PLAN_WIDTH),
        wallet=np.array(
            [slots.index(f"wallet:BaseToken:{a}") for a in (slots.share_class, "USDT", "ETH")], dtype=np.int64
        ),
        twin=np.array(
            [slots.index(f"wallet:BaseToken:{k.symbol}") - len(slots.cash) for k in slots.collateral], dtype=np.int64
        ),
        withdrawal=withdrawals,
        payout=payouts,
    )


def schedule(config: Config, panel: Panel, started: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flows on the grid: (rows, 2) deposit and withdrawals asked so far; amounts of withdrawals; rows with a flow."""
    stamps = [int(f.timestamp.timestamp()) * _NS + f.timestamp.microsecond * 1000 for f in config.flows]
    early = next((f for f, s in zip(config.flows, stamps, strict=True) if s < started), None)
    if early is not None:
        raise ConfigError(
            f"flows: {early.timestamp.isoformat()} is before the start of the run; give flows from "
            "the start on, or raise initial_capital instead."
        )
    withdrawals = sum(flow.amount < 0 for flow in config.flows)
    if withdrawals > MAX_WITHDRAWALS:
        raise ConfigError(f"flows: {withdrawals} withdrawals; at most {MAX_WITHDRAWALS} a run. Merge some of them.")
    out = np.zeros((len(panel), 2))
    busy = np.zeros(len(panel), dtype=bool)
    withdrawals = []
    for flow, stamp in zip(config.flows, stamps, strict=True):
        row = int(np.searchsorted(panel.timestamps, stamp))
        known = row == 0 and stamp < panel.timestamps[0]
        if flow.amount < 0:
            withdrawals.append(-flow.amount)
            out[row:, 1] += 1.0
        elif row < len(panel) and not known:
            out[row, 0] += flow.amount
        if row < len(panel):
            busy[row] = True
    return out, np.array(withdrawals, dtype=float), busy


def depth_of(config: Config) -> Depth:
    """What orders meet under a configuration; without costs neither impact nor the price of a resting order."""
    execution, on = config.execution, config.costs.enabled
    cap = np.inf if execution.participation is None else execution.participation
    return Depth(execution.impact if on else 0.0, cap, on and execution.orders == "maker")


_made: OrderedDict[tuple, tuple[Panel, Coefficients]] = OrderedDict()


def coefficients(
    config: Config,
    slots: Slots,
    panel: Panel,
    thresholds: dict[str, np.ndarray],
    rate: np.ndarray | None,
    flows: np.ndarray,
    signal: np.ndarray | None = None,
) -> Coefficients:
    """Coefficients of a panel, kept for the last few panels: runs that differ in the strategy share them."""
    depth = depth_of(config) if slots.depth else None
    lines = tuple((name, line.tobytes()) for name, line in thresholds.items())
    key = (id(panel), slots, config.valuation, depth, lines)
    if key not in _made:
        seconds = panel.timestamps / 1e9
        # the panel is kept with its coefficients, so its id stays its own
        _made[key] = (
            panel,
            make_coefficients(slots, panel.columns, seconds, config.valuation, thresholds, depth=depth),
        )
        while len(_made) > 4:
            _made.popitem(last=False)
    _made.move_to_end(key)
    made = _made[key][1]
    n = slots.shape()
    h, q = at.hour_of(n, made.hours.T), at.quote_of(n, made.quotes.T)
    if rate is None and signal is None and not flows.any() and not h.rate.any() and not q.flow.any():
        return made
    own = Coefficients(made.hours.copy(), made.quotes.copy())
    at.hour_of(n, own.hours.T).rate[0] = 0.0 if rate is None else rate
    if signal is not None:
        at.hour_of(n, own.hours.T).signal[:] = signal
    at.quote_of(n, own.quotes.T).flow[:] = flows.T
    return own


def make_model(config: Config, slots: Slots, panel: Panel, strategy: Strategy, started: int) -> at.Model:
    """Everything the kernel reads in a run.

    Parameters
    ----------
    started : int64 ns UTC of row 0 of the run (before the panel's for a resumed one)
    """
    named = [plan.asset for plan in strategy.plans(config)]
    if len(set(named)) < len(named):
        raise ConfigError(f"{strategy.name}: plans {', '.join(named)}. Each must have an asset of its own name.")
    instants, regime = regimes(config, slots, panel)
    flows, withdrawals, flow_rows = schedule(config, panel, started)
    rate = None
    if config.strategy.rate_rule.enabled:
        if strategy.rate is None:
            raise ConfigError(f"Invalid strategy.rate_rule: {strategy.name} watches no rate. Must not be enabled.")
        rate = strategy.rate(config, panel.columns)
    signal = strategy.signal(config, panel.columns) if strategy.signal else None
    check_leverage(config, slots, instants)
    thresholds = {
        key.reserve: np.array([pool_terms(config, slots, key, when).threshold for when in instants])[regime]
        for key in slots.collateral
    }
    made = coefficients(config, slots, panel, thresholds, rate, flows, signal)
    funds = np.zeros(len(panel), dtype=bool)
    for key in slots.held:
        funds |= panel.columns.get(f"funding_cash|{key}", np.zeros(1)) != 0.0
    payouts = make_payouts(config, slots, panel, started)
    busy = at.FUNDS * funds + at.FLOWS_DUE * flow_rows
    busy[np.unique(payouts[:, at.PAYOUT_ROW].astype(np.int64))] += at.REWARDS
    busy[1:] += at.CHANGES * (np.diff(regime) != 0)
    if signal is not None:
        heard = signal[[at.SIGNAL, at.TRUSTED]]
        busy[1:] += at.ASKS * (heard[:, 1:] != heard[:, :-1]).any(axis=0)
    # an exit decided in the last row would not fill any more at `next_bar`
    final = max(0, len(panel) - 1 - (config.fill == "next_bar"))
    busy[final] += at.CLOSES * config.close_at_end
    return at.Model(
        table=make_table(slots, strategy.plans(config), withdrawals, payouts),
        hours=made.hours,
        quotes=made.quotes,
        regime=regime,
        busy=busy.astype(np.uint8),
        terms=make_terms(config, slots, instants),
        settings=np.array(
            [float(config.risk.simulate_liquidation), float(config.fill == "next_bar"), float(final), 1e-9]
        ),
    )
