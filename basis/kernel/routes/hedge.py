"""A spot leg at an exchange and equal perp shorts over venues by weight; what both kinds of hedge share."""

from ..layout import codes
from ..margin import initial_margin, margin_at, margin_incl_transit
from ..numba.jit import routine, stage
from ..positions.market_impact import fill_price, remaining_capacity, slippage_limit, whole_lots, within_capacity
from .gas import THIN_MARGIN, free_usdt
from .margin import margin_above, margin_goal, rebalance_venue_margin
from .orders import DONE, NEGLIGIBLE, perp_place, perp_slot, write_order


@stage
def short_units(run, lane, market):
    """Units of a market held short over all venues."""
    x = 0.0
    for v in range(run.shape.venues):
        x -= run.state.quantity[perp_slot(run, v, market), lane]
    return x


@stage
def long_units(run, lane, plan, short):
    """Units held long against a short: of the spot leg at its venue, or of all that is on chain."""
    if plan.venue >= 0:
        return run.state.quantity[plan.token, lane]
    return run.state.delta[plan.asset, lane] + short


@stage
def hedge_target(run, lane, plan, action):
    """Units that an action on a hedge aims at."""
    short = short_units(run, lane, plan.market)
    long = long_units(run, lane, plan, short)
    if action.code == codes.ENTRY_FULL or action.code == codes.ENTRY_PARTIAL:
        return min(short, long) + action.amount
    if action.code == codes.EXIT_FULL:
        return 0.0
    held = max(short, long)
    most = run.policy.max_drift[lane] * run.state.equity[lane]
    if action.amount == 0.0 and run.state.delta_drift[lane] > most:
        # nothing goes but what one leg has more than the other, where that is too much
        held = min(short, long)
    return held - action.amount if held > action.amount else 0.0


@stage
def unit_cost(run, t, lane, slot, venue, units):
    """Cash that a bought unit takes, slippage and fee included, quote units."""
    token = slot - run.shape.venues
    price, rate = fill_price(run, t, lane, token, venue, units, run.market.spot[t, token])
    return price * (1.0 + rate)


@stage
def margin_per_unit(run, t, lane, i, spot, units):
    """Margin that a unit of perp `i` needs, quote units: the lower band, or what opening it takes if that is more.

    The band is counted at the price `spot`.
    """
    terms = run.terms_index[t]
    mark = run.market.mark[t, i]
    notional = abs(units) * mark
    asked = initial_margin(run.terms.tier[terms, i], notional) / notional if notional > 0.0 else 0.0
    lost = slippage_limit(run, t, lane, run.shape.tokens + i, abs(units), mark)
    asked += run.terms.venue[terms, i // run.shape.markets].perp_taker + lost
    band = run.policy.margin_low[lane] * spot
    return asked * mark if asked * mark > band else band


@stage
def units_that_can_be_shorted(run, t, lane, i, units):
    """Units by which a short may grow in this row: no more than its market takes, in whole lots."""
    place = run.shape.tokens + i
    return whole_lots(run, t, place, within_capacity(run, t, lane, place, units))


@stage
def units_that_margin_carries(run, t, lane, i, spot, units, unhedged):
    """Of the units by which a short is to grow, what the margin of its venue carries, and its market takes.

    What is `unhedged`, long already, does not stay so until there is margin up to the band.
    """
    held = -run.state.quantity[run.shape.first_perp + i, lane]
    margin = margin_at(run, t, lane, i // run.shape.markets)
    most = margin / margin_per_unit(run, t, lane, i, spot, held + units) - held
    if most < units and most < unhedged:
        thin = margin / margin_per_unit(run, t, lane, i, THIN_MARGIN * spot, held + units) - held
        most = max(most, min(thin, unhedged))
    return units_that_can_be_shorted(run, t, lane, i, min(units, most))


@stage
def units_to_buy_back(run, t, lane, venue, market, target, most):
    """Units of a venue's short that go on the way down to `target`; venues above their weight give first.

    No more than `most`, than the market takes, and in whole lots, unless the short is closed.
    """
    short = short_units(run, lane, market)
    over = 0.0
    own = 0.0
    for u in range(venue, run.shape.venues):
        held = -run.state.quantity[perp_slot(run, u, market), lane]
        x = held - run.policy.weight[u, lane] * target
        x = x if x > 0.0 else 0.0
        over += x
        own = x if u == venue else own
    if short <= target or over <= 0.0:
        return 0.0
    units = min(own * ((short - target) / over), own, most)
    units = within_capacity(run, t, lane, perp_place(run, venue, market), units)
    held = -run.state.quantity[perp_slot(run, venue, market), lane]
    if units >= held * (1.0 - NEGLIGIBLE):
        return held
    return whole_lots(run, t, perp_place(run, venue, market), units)


@routine
def fetch_cash_for_spot(run, t, lane, plan, target, spot, cost):
    """Cash for the spot leg to its venue: from the wallet, else from venues with more margin than they aim at."""
    venue = plan.venue
    missing = (target - run.state.quantity[plan.token, lane]) * cost
    goal = margin_goal(run, lane, venue, target, spot)
    there = margin_incl_transit(run, t, lane, venue)
    ready = there - goal if there > goal else 0.0
    free = free_usdt(run, t, lane)
    if missing - ready > NEGLIGIBLE * target * spot and free > NEGLIGIBLE * target * spot:
        return write_order(run, lane, 0, codes.TRANSFER, run.wallet.usdt, venue, min(missing - ready, free))
    # the venue may dip to the lower band before others are asked
    least = goal * (run.policy.margin_low[lane] / run.policy.margin_target[lane])
    ready = there - least if there > least else 0.0
    for v in range(run.shape.venues):
        over = margin_above(run, t, lane, v, margin_goal(run, lane, v, target, spot))
        run.scratch.spare[lane, v] = over if (over > 0.0 and v != venue) else 0.0
        run.scratch.missing[lane, v] = 0.0
    if missing <= ready:
        return 0
    run.scratch.missing[lane, venue] = missing - (there - goal)
    return rebalance_venue_margin(run, t, lane, target * spot)


@stage
def units_that_cash_pays(run, t, lane, plan, venue, cost, carried):
    """Units by which a hedge may grow at a venue for the cash of the spot leg's venue.

    `cost` is cash per bought unit, `carried` margin per unit of the short.
    """
    at = plan.venue
    short = short_units(run, lane, plan.market)
    ahead = run.state.quantity[plan.token, lane] - short
    held = -run.state.quantity[perp_slot(run, at, plan.market), lane]
    spare = min(margin_at(run, t, lane, at) - carried * held, run.state.quantity[at, lane])
    if venue == at:
        # its cash pays the spot leg and carries the short
        return (spare + ahead * cost) / (cost + carried)
    return spare / cost + ahead


@routine
def enter_hedge(run, t, lane, plan, target, step):
    """Spot and short together, one venue's tranche a step, no more than the margin that has arrived carries."""
    slot = plan.token
    token = slot - run.shape.venues
    spot = run.market.spot[t, token]
    long = run.state.quantity[slot, lane]
    cost = unit_cost(run, t, lane, slot, plan.venue, target - long if target > long else 0.0)
    if step == 0:
        return fetch_cash_for_spot(run, t, lane, plan, target, spot, cost)
    v = step - 1
    if v >= run.shape.venues:
        return DONE
    i = v * run.shape.markets + plan.market
    held = -run.state.quantity[run.shape.first_perp + i, lane]
    units = run.policy.weight[v, lane] * target - held
    carried = margin_per_unit(run, t, lane, i, spot, held + units)
    units = min(units, margin_at(run, t, lane, v) / carried - held)
    units = min(units, units_that_cash_pays(run, t, lane, plan, v, cost, carried))
    # both legs by what the thinner market takes
    ahead = long - short_units(run, lane, plan.market)
    capacity = remaining_capacity(run, t, lane, token)
    if units > capacity + ahead:
        run.state.cut_short[lane] = 1.0
        units = capacity + ahead
    units = units_that_can_be_shorted(run, t, lane, i, units)
    if units <= NEGLIGIBLE * target:
        return 0
    # the short first: where its margin is refused, no spot is bought that nothing would hedge
    j = write_order(run, lane, 0, codes.TRADE_PERP, run.shape.first_perp + i, 0, -units)
    buy = units - ahead
    return write_order(run, lane, j, codes.TRADE_SPOT, slot, 0, buy) if buy > 0.0 else j


@routine
def leave_hedge(run, t, lane, plan, target, step):
    """Both legs down to `target` units, one venue a step; venues above their weight give first."""
    v = step
    if v >= run.shape.venues:
        return DONE
    token = plan.token - run.shape.venues
    short = short_units(run, lane, plan.market)
    long = run.state.quantity[plan.token, lane]
    # no more than the spot that can be sold with it
    capacity = remaining_capacity(run, t, lane, token)
    most = capacity + short - long
    most = most if most > 0.0 else 0.0
    if short - target > most * (1.0 + NEGLIGIBLE):
        run.state.cut_short[lane] = 1.0
    units = units_to_buy_back(run, t, lane, v, plan.market, target, most)
    j = 0
    if units > NEGLIGIBLE * short:
        j = write_order(run, lane, j, codes.TRADE_PERP, perp_slot(run, v, plan.market), 0, units)
    else:
        units = 0.0
    sell = within_capacity(run, t, lane, token, long - max(short - units, target))
    if sell < long:
        sell = whole_lots(run, t, token, sell)
    if sell > NEGLIGIBLE * long:
        j = write_order(run, lane, j, codes.TRADE_SPOT, plan.token, 0, -sell)
    return j
