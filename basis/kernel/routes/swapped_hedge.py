"""A hedge whose long leg is on chain: ether swapped for USDT in the wallet, against perp shorts over venues."""

from ..layout import codes
from ..numba.jit import routine, stage
from ..positions.market_impact import whole_lots, within_capacity
from ..positions.staking import market_price_and_fee
from .gas import gas_reserve, usdt_pays_gas
from .hedge import long_units, short_units, units_that_margin_carries, units_to_buy_back
from .margin import fetch_usdt
from .orders import DONE, NEGLIGIBLE, WORTH_GAS, perp_place, perp_slot, write_order


@stage
def usdt_that_can_be_swapped(run, t, lane):
    """USDT of the wallet less what the gas of the swap takes of it."""
    gas = run.terms.gas[run.terms_index[t]].swap * run.market.gas_price[t]
    gas -= run.state.quantity[run.wallet.ether, lane]
    gas = gas * run.market.ether_price[t] if gas > 0.0 else 0.0
    spare = run.state.quantity[run.wallet.usdt, lane] - gas
    return spare if spare > 0.0 else 0.0


@routine
def enter_swapped_hedge(run, t, lane, plan, target, step):
    """Shorts, one venue a step, as the margin there carries, and then ether for all of them in one swap."""
    v = step - 1
    if v > run.shape.venues:
        return DONE
    usdt = run.wallet.usdt
    spot = run.market.spot[t, plan.token - run.shape.venues]
    short = short_units(run, lane, plan.market)
    long = long_units(run, lane, plan, short)
    ether, fee = market_price_and_fee(run, t, lane, usdt - run.shape.venues, target, False)
    cost = 1.0 / (ether * (1.0 - fee))
    if step == 0:
        return fetch_usdt(run, t, lane, target, spot, (target - long) * cost)
    # what is long already is hedged first; of the rest no more than the wallet pays, gas of the swap kept back
    most = usdt_that_can_be_swapped(run, t, lane) / cost
    if v == run.shape.venues:
        # the shorts first: where margin is refused, nothing is bought that nothing would hedge
        buy = min(short - long, most)
        worth = buy > WORTH_GAS * target
        return write_order(run, lane, 0, codes.SWAP, usdt, plan.token, buy * cost) if worth else 0
    most += long - short
    i = v * run.shape.markets + plan.market
    units = run.policy.weight[v, lane] * target + run.state.quantity[run.shape.first_perp + i, lane]
    units = units_that_margin_carries(run, t, lane, i, spot, min(units, most), long - short)
    worth = units > WORTH_GAS * target
    return write_order(run, lane, 0, codes.TRADE_PERP, run.shape.first_perp + i, 0, -units) if worth else 0


@stage
def share_of_venue(run, lane, venue):
    """A venue's share of what is left for it and the venues after it, by weight."""
    weights = 0.0
    for u in range(venue, run.shape.venues):
        weights += run.policy.weight[u, lane]
    return weights


@stage
def shrink_short(run, t, lane, venue, market, units, short):
    """Buy back `units` of a venue's short, as far as it has them and its market takes them."""
    slot = perp_slot(run, venue, market)
    place = perp_place(run, venue, market)
    held = -run.state.quantity[slot, lane]
    units = within_capacity(run, t, lane, place, min(units, held))
    units = held if units >= held * (1.0 - NEGLIGIBLE) else whole_lots(run, t, place, units)
    worth = units > WORTH_GAS * short
    return write_order(run, lane, 0, codes.TRADE_PERP, slot, 0, units) if worth else 0


@routine
def even_short(run, t, lane, plan, step):
    """The short towards what is long, a venue a step: by weight, then what lots and margins left over at any venue."""
    venues = run.shape.venues
    v = step if step < venues else step - venues
    if v >= venues:
        return DONE
    market = plan.market
    short = short_units(run, lane, market)
    long = long_units(run, lane, plan, short)
    units = long - short
    if units < 0.0:
        return shrink_short(run, t, lane, v, market, -units, short)
    weight = run.policy.weight[v, lane]
    if step < venues:
        weights = share_of_venue(run, lane, v)
        units = units * weight / weights if weights > 0.0 else 0.0
    elif weight <= 0.0:
        return 0
    spot = run.market.spot[t, plan.token - venues]
    units = units_that_margin_carries(run, t, lane, v * run.shape.markets + market, spot, units, long - short)
    worth = units > WORTH_GAS * long
    return write_order(run, lane, 0, codes.TRADE_PERP, perp_slot(run, v, market), 0, -units) if worth else 0


@stage
def ether_that_can_be_sold(run, t, lane, slot, whole):
    """The wallet's ether less the gas that is kept.

    Of all that goes that is what the wallet's USDT does not pay of the gas of going; a hair more, for rounding.
    """
    kept = gas_reserve(run, t, lane)
    if whole:
        kept = run.terms.gas[run.terms_index[t]].swap * run.market.gas_price[t]
        paid = run.state.quantity[run.wallet.usdt, lane] / run.market.ether_price[t] if usdt_pays_gas(run) else 0.0
        kept = (kept - paid) * (1.0 + NEGLIGIBLE) if kept > paid else 0.0
    free = run.state.quantity[slot, lane] - kept
    return free if free > 0.0 else 0.0


@routine
def leave_swapped_hedge(run, t, lane, plan, whole, target, step):
    """Shorts bought back, one venue a step, and then the wallet's ether swapped away, towards `target` units of both.

    What is still staked, or on its way, stays hedged: no more is bought back than there is ether to sell. Where that
    leaves delta beyond its band, shorts follow.
    """
    v = step
    venues = run.shape.venues
    slot = plan.token
    short = short_units(run, lane, plan.market)
    long = long_units(run, lane, plan, short)
    if v > venues:
        most = run.policy.max_drift[lane] * run.state.equity[lane]
        if whole or run.state.delta_drift[lane] <= most:
            return DONE
        return even_short(run, t, lane, plan, v - (venues + 1))
    free = ether_that_can_be_sold(run, t, lane, slot, whole)
    least = NEGLIGIBLE if whole else WORTH_GAS
    if v == venues:
        sell = min(long - max(short, target), free)
        return write_order(run, lane, 0, codes.SWAP, slot, run.wallet.usdt, sell) if sell > least * long else 0
    most = short - long + free
    units = units_to_buy_back(run, t, lane, v, plan.market, target, most if most > 0.0 else 0.0)
    worth = units > least * short
    return write_order(run, lane, 0, codes.TRADE_PERP, perp_slot(run, v, plan.market), 0, units) if worth else 0
