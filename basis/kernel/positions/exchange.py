"""Spot and linear perps at an exchange: pricing of an order, booking of its fill, what prices earn (accounting §2, §5).

A perp is worth (q * mark - K) * Q: quantity q, cost K = q * average entry, price Q of the quote. Cash of a venue is its
wallet in USDT.
"""

from ..events import emit_fill
from ..layout import codes
from ..margin import initial_margin, margin_at
from ..numba.jit import routine, stage
from .market_impact import accepted_quantity, fill_price, note_traded
from .transfer import ROUNDING


@stage
def accept_trade(run, lane, venue, dq, price, reference, rate):
    """Write down what a trade will be booked at; its slippage is measured from the reference."""
    fill = run.scratch.fills[lane]
    fill.destination = venue
    fill.quantity = dq
    fill.price = price
    fill.reference = reference
    fill.fee_rate = rate
    return codes.FILLED


@routine
def price_spot(run, t, lane, slot, dq):
    """Price a purchase (dq > 0) or sale of a token at its venue; returns FILLED or why it is refused."""
    quantity = run.state.quantity
    token = slot - run.shape.venues
    venue = run.token_venue[token]
    if venue < 0:
        return codes.UNKNOWN_ORDER
    held = quantity[slot, lane]
    if dq < 0.0 and -dq > held:
        if -dq > held * (1.0 + ROUNDING):
            return codes.NOT_HELD
        dq = -held
    reference = run.market.spot[t, token]
    dq, status = accepted_quantity(run, t, lane, token, dq, held, reference)
    if status != codes.FILLED:
        return status
    price, rate = fill_price(run, t, lane, token, venue, dq, reference)
    if price <= 0.0:
        return codes.NO_VOLUME
    if dq > 0.0 and dq * price + rate * (abs(dq) * price) > quantity[venue, lane] * (1.0 + ROUNDING):
        return codes.NO_CASH
    return accept_trade(run, lane, venue, dq, price, reference, rate)


@routine
def price_perp(run, t, lane, slot, dq):
    """Price a trade of a perp against its mark; an order that opens needs its initial margin after costs."""
    shape = run.shape
    quantity = run.state.quantity
    i = slot - shape.first_perp
    venue = i // shape.markets
    reference = run.market.mark[t, i]
    q = quantity[slot, lane]
    place = shape.tokens + i
    dq, status = accepted_quantity(run, t, lane, place, dq, q, reference)
    if status != codes.FILLED:
        return status
    price, rate = fill_price(run, t, lane, place, venue, dq, reference)
    if price <= 0.0:
        return codes.NO_VOLUME
    if abs(q + dq) > abs(q):
        needed = 0.0
        for k in range(shape.markets):
            j = venue * shape.markets + k
            held = quantity[shape.first_perp + j, lane]
            held = abs(held + dq) if j == i else abs(held)
            needed += initial_margin(run.terms.tier[run.terms_index[t], j], held * run.market.mark[t, j])
        lost = rate * (abs(dq) * price) + dq * (price - reference)
        if margin_at(run, t, lane, venue) - lost < needed:
            return codes.NO_MARGIN
    return accept_trade(run, lane, venue, dq, price, reference, rate)


@stage
def set_stop_and_take_profit(run, lane, i, q, price):
    """Set both for a perp that has been opened at a price; once, so that a roll keeps those it has."""
    state = run.state
    way = 1.0 if q > 0.0 else -1.0
    stop = state.stop_distance[i, lane]
    take = state.take_profit_distance[i, lane]
    state.stop_price[i, lane] = max(price * (1.0 - way * stop), 0.0) if stop > 0.0 else 0.0
    state.take_profit_price[i, lane] = max(price * (1.0 + way * take), 0.0) if take > 0.0 else 0.0
    state.sets_stop[i, lane] = 0.0


@stage
def move_perp(run, lane, i, dq, price):
    """Change a perp at a price; returns what a close realises into cash.

    The same side adds to its cost, a close realises its part, a flip is a close and an opening.
    """
    shape = run.shape
    state = run.state
    slot = shape.first_perp + i
    q = state.quantity[slot, lane]
    cost = state.cost[i, lane]
    after = q + dq
    realised = 0.0
    if q * dq >= 0.0:
        state.cost[i, lane] = cost + dq * price
    elif q * after > 0.0:
        part = -dq / q
        realised = part * (q * price - cost)
        state.cost[i, lane] = cost * (1.0 - part)
    else:
        realised = q * price - cost
        state.cost[i, lane] = after * price
    state.quantity[slot, lane] = after
    state.quantity[i // shape.markets, lane] += realised
    # an entry that only nets what is held on the other side opens nothing
    if shape.stops > 0 and q * after <= 0.0 and state.sets_stop[i, lane] * after > 0.0:
        set_stop_and_take_profit(run, lane, i, after, price)
    return realised


@routine
def book_trade(run, t, lane):
    """Book a trade: quantities, costs in their columns, the event."""
    shape = run.shape
    quantity = run.state.quantity
    fill = run.scratch.fills[lane]
    dq = fill.quantity
    fee = fill.fee_rate * (abs(dq) * fill.price)
    venue = fill.destination
    if fill.kind == codes.TRADE_SPOT:
        cash = -(dq * fill.price + fee)
        quantity[fill.slot, lane] += dq
        quantity[venue, lane] += cash
        note_traded(run, lane, fill.slot - shape.venues, abs(dq))
    else:
        i = fill.slot - shape.first_perp
        cash = move_perp(run, lane, i, dq, fill.price)
        note_traded(run, lane, shape.tokens + i, abs(dq))
        quantity[venue, lane] -= fee
    worth = run.hour.value[venue]
    lost = dq * (fill.price - fill.reference) * worth
    run.pnl.fees[lane] -= fee * worth
    run.pnl.slippage[lane] -= lost
    event = run.scratch.events[emit_fill(run, t, lane, fill.slot, venue)]
    event.quantity = dq
    event.notional = abs(dq) * fill.price * worth
    event.fee = fee * worth
    event.slippage = lost
    event.cash = cash


@stage
def cash_drift(shape, state, hour, lane):
    """What the price of the quote earned on the cash of all venues, what is under way included."""
    row = shape.state
    price = 0.0
    for v in range(shape.venues):
        held = state[row.quantity + v, lane] + state[row.transit + v, lane]
        price += held * hour[shape.hour.price_pnl + v]
    return price


@stage
def perp_drift(shape, state, hour, lane, price):
    """Adds what prices earned on the perps to `price`; returns it, and what mark against spot earned."""
    row = shape.state
    column = shape.hour
    basis = 0.0
    for v in range(shape.venues):
        for k in range(shape.markets):
            i = v * shape.markets + k
            q = state[row.quantity + shape.first_perp + i, lane]
            # the quote term: unrealised P&L is a claim in the quote asset
            price += (
                q * hour[column.price_pnl + shape.first_perp + i]
                - state[row.cost + i, lane] * hour[column.price_pnl + v]
            )
            basis += q * hour[column.basis_pnl + i]
    return price, basis
