"""Stops, take-profits and liquidations of perps: inside the hour that ended, and at the marks of the row (§4, §6).

Inside an hour all marks of a venue move together and linearly, from the marks of the row before to their adverse
extremes. Every series but the mark already has its value of the row and the basis is frozen, so the drift to an instant
inside the hour is price only. Cash is credited after the holding drift (`credit_closings`). Terms are those of the row
before.
"""

from ..aims import forget_entries
from ..events import emit_event
from ..layout import codes
from ..margin import maintenance_at, maintenance_margin, margin_at, notional_at, tier_of
from ..numba.jit import routine, stage
from .market_impact import note_traded, open_trading, slippage

#: Newton reaches the first crossing in as many steps as tiers are crossed; there are never so many.
_ITERATIONS = 64
#: Shares of the way to the extremes: no point of it, and the marks of the row.
_NOT_REACHED, _AT_MARKS = 2.0, -1.0


@stage
def bound_maintenance(run, t, lane, venue):
    """Renew the maintenance rate that no tier exceeds up to twice the notional at the marks of row t.

    Most hours then need no look at tiers.
    """
    shape = run.shape
    most = 2.0 * notional_at(run, t, lane, venue)
    rate = 0.0
    for k in range(shape.markets):
        tiers = run.terms.tier[run.terms_index[t], venue * shape.markets + k]
        for j in range(tiers.shape[0]):
            if j == 0 or most > tiers[j - 1].max_notional:
                rate = max(rate, tiers[j].rate)
    run.state.maintenance_bound[venue, lane] = rate
    run.state.bounded_notional[venue, lane] = most


@stage
def adverse_extreme(run, i, q):
    """The extreme of the hour that is adverse to a quantity of perp `i`."""
    return run.hour.low[i] if q >= 0.0 else run.hour.high[i]


@stage
def share_to_liquidation(run, t, lane, venue):
    """Share of the way to the adverse extremes at which margin meets maintenance; _NOT_REACHED if it does not.

    Margin less maintenance falls along the way, piecewise linear with the tiers: Newton from the far end.
    """
    shape = run.shape
    state = run.state
    x = 1.0
    for step in range(_ITERATIONS):
        gap = state.quantity[venue, lane] + state.closing_cash[venue, lane]
        slope = 0.0
        for k in range(shape.markets):
            i = venue * shape.markets + k
            q = state.quantity[shape.first_perp + i, lane]
            size = abs(q)
            past = run.market.mark[t - 1, i]
            move = adverse_extreme(run, i, q) - past
            mark = past + x * move
            tiers = run.terms.tier[run.terms_index[t - 1], i]
            tier = tiers[tier_of(tiers, size * mark)]
            gap += q * mark - state.cost[i, lane] - (size * mark * tier.rate - tier.amount)
            slope += q * move - size * move * tier.rate
        if step == 0 and gap > 0.0:
            return _NOT_REACHED
        if slope >= 0.0:
            return 0.0
        nearer = x - gap / slope
        if nearer >= x or nearer <= 0.0:
            return x if nearer > 0.0 else 0.0
        x = nearer
    return x


@stage
def closing_price(run, t, i, q, share):
    """Price at which a liquidation closes perp `i`: a share of the way to the extremes, or at the marks of the row."""
    if share < 0.0:
        return run.market.mark[t, i]
    past = run.market.mark[t - 1, i]
    return past + share * (adverse_extreme(run, i, q) - past)


@routine
def liquidate_venue(run, t, lane, venue, share):
    """Close a venue's perps `share` of the way to the extremes; at the marks of the row where it is _AT_MARKS.

    The fee is no more than the margin that is left; less than nothing left is the venue's loss.
    """
    shape = run.shape
    state = run.state
    worth = run.hour.value[venue]
    terms_row = t if share < 0.0 else t - 1
    left = state.quantity[venue, lane] + state.closing_cash[venue, lane]
    notional = 0.0
    for k in range(shape.markets):
        i = venue * shape.markets + k
        q = state.quantity[shape.first_perp + i, lane]
        price = closing_price(run, t, i, q, share)
        left += q * price - state.cost[i, lane]
        notional += abs(q) * price
    rate = run.terms.venue[run.terms_index[terms_row], venue].liquidation_fee
    fee = min(rate * notional, left)
    for k in range(shape.markets):
        i = venue * shape.markets + k
        slot = shape.first_perp + i
        q = state.quantity[slot, lane]
        if q == 0.0:
            continue
        price = closing_price(run, t, i, q, share)
        past = run.market.mark[terms_row, i]
        if share >= 0.0:
            add_drift_to_close(run, lane, i, past, price)
        cash = q * price - state.cost[i, lane]
        part = fee * (abs(q) * price / notional)
        e = emit_event(run, t, lane, codes.LIQUIDATION, codes.PERPS_LIQUIDATED, slot, venue, 0)
        event = run.scratch.events[e]
        event.quantity = -q
        event.price = price
        event.reference = past
        event.fee_rate = rate
        event.notional = abs(q) * price * worth
        event.fee = part * worth
        event.cash = cash
        event.amount = cash - part
        state.closing_cash[venue, lane] += cash - part
        state.quantity[slot, lane] = 0.0
        state.cost[i, lane] = 0.0
        forget_entries(run, lane, k)
        run.pnl.liquidation_loss[lane] -= part * worth
    state.bounded_notional[venue, lane] = 0.0


@stage
def add_drift_to_close(run, lane, i, past, price):
    """Delta P&L of a perp from the marks of the row before to the price inside the hour at which it is closed."""
    shape = run.shape
    venue = i // shape.markets
    q = run.state.quantity[shape.first_perp + i, lane]
    run.pnl.delta[lane] += (
        q * (price - past) * run.hour.value[venue] + (q * past - run.state.cost[i, lane]) * run.hour.price_pnl[venue]
    )


@stage
def share_to_level(level, past, end, falls):
    """Share of the way from `past` to `end` at which a level is met, and the price there, never before `past`.

    The share is _NOT_REACHED where it is not met.
    """
    price = (level if level < past else past) if falls else (level if level > past else past)
    if (end > level) if falls else (end < level):
        return _NOT_REACHED, price
    return ((price - past) / (end - past) if price != past else 0.0), price


@routine
def close_perp(run, t, lane, i, code, price, inside_hour):
    """Close a perp at its stop or take-profit: a taker's fill whose slippage is measured from `price` (accounting §4).

    Inside the hour it first drifts from the marks of the row before; at the marks the holding drift has taken it there.
    """
    shape = run.shape
    state = run.state
    slot = shape.first_perp + i
    venue = i // shape.markets
    terms = run.terms_index[t - 1] if inside_hour else run.terms_index[t]
    q = state.quantity[slot, lane]
    cost = state.cost[i, lane]
    worth = run.hour.value[venue]
    if inside_hour:
        add_drift_to_close(run, lane, i, run.market.mark[t - 1, i], price)
    open_trading(run, t, lane)
    slip = slippage(run, t, lane, terms, shape.tokens + i, abs(q), price)
    paid = price * (1.0 - slip) if q > 0.0 else price * (1.0 + slip)
    rate = run.terms.venue[terms, venue].perp_taker
    fee = rate * (abs(q) * paid)
    lost = -q * (paid - price) * worth
    cash = q * paid - cost
    note_traded(run, lane, shape.tokens + i, abs(q))
    forget_entries(run, lane, i % shape.markets)
    state.closing_cash[venue, lane] += cash - fee
    state.quantity[slot, lane] = 0.0
    state.cost[i, lane] = 0.0
    run.pnl.fees[lane] -= fee * worth
    run.pnl.slippage[lane] -= lost
    event = run.scratch.events[emit_event(run, t, lane, codes.FILL, code, slot, venue, 0)]
    event.quantity = -q
    event.price = paid
    event.reference = price
    event.fee_rate = rate
    event.notional = abs(q) * paid * worth
    event.fee = fee * worth
    event.slippage = lost
    event.cash = cash


@stage
def first_stop(run, t, lane, venue, share):
    """The perp of a venue whose stop is met first inside the hour, and the price there.

    The perp is -1 where no stop is met before `share` of the way.
    """
    shape = run.shape
    first = -1
    at_price = 0.0
    for k in range(shape.markets):
        i = venue * shape.markets + k
        q = run.state.quantity[shape.first_perp + i, lane]
        stop = run.state.stop_price[i, lane]
        if q != 0.0 and stop > 0.0:
            end = run.hour.low[i] if q > 0.0 else run.hour.high[i]
            met, price = share_to_level(stop, run.market.mark[t - 1, i], end, q > 0.0)
            if met <= 1.0 and met < share:
                first = i
                at_price = price
                share = met
    return first, at_price


@routine
def take_profits(run, t, lane, venue):
    """Close what met its take-profit inside the hour."""
    shape = run.shape
    for k in range(shape.markets):
        i = venue * shape.markets + k
        q = run.state.quantity[shape.first_perp + i, lane]
        take = run.state.take_profit_price[i, lane]
        if q != 0.0 and take > 0.0:
            end = run.hour.high[i] if q > 0.0 else run.hour.low[i]
            met, price = share_to_level(take, run.market.mark[t - 1, i], end, q < 0.0)
            if met <= 1.0:
                close_perp(run, t, lane, i, codes.TAKEN_PROFIT, price, True)


@stage
def is_stopped(run, t, lane, i):
    """Whether the row opens beyond a perp's stop.

    A venue whose margin had met maintenance before the stop, or is all gone, is left to the margin check.
    """
    shape = run.shape
    venue = i // shape.markets
    q = run.state.quantity[shape.first_perp + i, lane]
    mark = run.market.mark[t, i]
    stop = run.state.stop_price[i, lane]
    stopped = q != 0.0 and stop > 0.0 and ((mark <= stop) if q > 0.0 else (mark >= stop))
    if stopped and run.settings.liquidates > 0:
        tiers = run.terms.tier[run.terms_index[t], i]
        margin = margin_at(run, t, lane, venue) + run.state.closing_cash[venue, lane]
        needed = maintenance_at(run, t, lane, venue)
        needed += maintenance_margin(tiers, abs(q) * stop) - maintenance_margin(tiers, abs(q) * mark)
        stopped = margin > 0.0 and margin + q * (stop - mark) > needed
    return stopped


@routine
def close_at_marks(run, t, lane):
    """Close what the row opens beyond its stop or take-profit, at the marks; returns how many perps."""
    shape = run.shape
    closed = 0
    for i in range(shape.perps):
        q = run.state.quantity[shape.first_perp + i, lane]
        mark = run.market.mark[t, i]
        take = run.state.take_profit_price[i, lane]
        stopped = is_stopped(run, t, lane, i)
        taken = q != 0.0 and take > 0.0 and ((mark >= take) if q > 0.0 else (mark <= take))
        if stopped or taken:
            close_perp(run, t, lane, i, codes.STOPPED if stopped else codes.TAKEN_PROFIT, mark, False)
            closed += 1
    return closed


@stage
def share_of_venue(run, t, lane, venue):
    """`share_to_liquidation` where the run simulates liquidations."""
    return share_to_liquidation(run, t, lane, venue) if run.settings.liquidates > 0 else _NOT_REACHED


@routine
def check_hour(run, t, lane):
    """The adverse check of the hour that ended (accounting §4.1), on the book as the row before left it.

    What meets its stop before its venue is liquidated is closed there; take-profits come last.
    """
    shape = run.shape
    for v in range(shape.venues):
        if notional_at(run, t - 1, lane, v) <= 0.0:
            continue
        share = share_of_venue(run, t, lane, v)
        for _ in range(shape.markets if shape.stops > 0 else 0):
            i, price = first_stop(run, t, lane, v, share)
            if i >= 0:
                close_perp(run, t, lane, i, codes.STOPPED, price, True)
                share = share_of_venue(run, t, lane, v)
        if notional_at(run, t - 1, lane, v) <= 0.0:
            continue
        if share <= 1.0:
            liquidate_venue(run, t, lane, v, share)
        else:
            if shape.stops > 0:
                take_profits(run, t, lane, v)
            if run.settings.liquidates > 0:
                bound_maintenance(run, t - 1, lane, v)


@routine
def check_margin(run, t, lane):
    """The margin check at the marks of the row (accounting §4.4); returns whether a venue was liquidated."""
    liquidated = False
    for v in range(run.shape.venues):
        if notional_at(run, t, lane, v) > 0.0:
            if margin_at(run, t, lane, v) <= maintenance_at(run, t, lane, v):
                liquidate_venue(run, t, lane, v, _AT_MARKS)
                liquidated = True
            else:
                bound_maintenance(run, t, lane, v)
    return liquidated


@stage
def credit_closings(shape, state, lane):
    """Credit what stops and liquidations left, after the drift of the hour."""
    row = shape.state
    for v in range(shape.venues):
        state[row.quantity + v, lane] += state[row.closing_cash + v, lane]
        state[row.closing_cash + v, lane] = 0.0
