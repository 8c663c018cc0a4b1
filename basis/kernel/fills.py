"""Orders become fills: quantities change at fixed prices, each cost in its own column (accounting §4.9, §5, §8)."""

from . import layout as at
from .jit import apart, routine, stage
from .risk import initial_margin, margin_at

#: What rounding may take from a balance, relative: an order for all of it is still filled.
_DUST = 1e-12
#: The same for gas, which is what is left of a much larger balance.
_ROUNDING = 1e-6


@routine
def begin_event(events, count, cells, stat, t, lane, kind, code, slot, dest, action):
    """An event row with its head written; -1 where events are not kept."""
    apart()
    cells[stat + at.EVENTS, lane] += 1.0
    if events.shape[0] == 0:
        return -1
    e = count[0]
    count[0] = e + 1
    for j in range(events.shape[1]):
        events[e, j] = 0.0
    events[e, at.E_ROW] = t
    events[e, at.E_LANE] = lane
    events[e, at.E_KIND] = kind
    events[e, at.E_CODE] = code
    events[e, at.E_SLOT] = slot
    events[e, at.E_DEST] = dest
    events[e, at.E_ACTION] = action
    events[e, at.E_CORRELATION] = cells[stat + at.DECISIONS, lane]
    events[e, at.E_SEQ] = cells[stat + at.EVENTS, lane] - 1.0
    return e


@stage
def emit(n, desk, cells, t, lane, kind, code, slot, dest, action):
    """Begin an event; what it holds beyond its head is written by the caller."""
    return begin_event(
        desk.events,
        desk.count,
        cells,
        at.book_at(n).stat,
        t,
        lane,
        kind,
        float(code),
        float(slot),
        float(dest),
        float(action),
    )


@stage
def slippage_of(buckets, notional):
    """Fraction of price lost by an order of that notional; `buckets` is (buckets, 2): largest notional, fraction."""
    j = 0
    while (j < buckets.shape[0] - 1) & (notional > buckets[j, 0]):
        j += 1
    return buckets[j, 1]


@stage
def gas_payable(n, cells, table, coef, tape, units, lane):
    """Whether the wallet can pay for that much gas, in ETH or share class."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    eth = units * tape[quote.gas + 0]
    if table.wallet[2] >= 0 and table.wallet[2] != table.wallet[0]:
        held = cells[b.q + table.wallet[2], lane]
        eth = eth - held if eth > held else 0.0
    short = eth * tape[quote.gas + 1]
    return short <= 0.0 or cells[b.q + table.wallet[0], lane] >= short * (1.0 - _ROUNDING)


@stage
def pay_gas(n, cells, table, coef, tape, units, lane):
    """Take gas from the wallet's ETH, the shortfall from its share class; returns its worth in share class."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    eth = units * tape[quote.gas + 0]
    worth = eth * tape[quote.gas + 1]
    if table.wallet[2] >= 0 and table.wallet[2] != table.wallet[0]:
        held = cells[b.q + table.wallet[2], lane]
        used = eth if eth < held else held
        cells[b.q + table.wallet[2], lane] -= used
        eth -= used
    short = eth * tape[quote.gas + 1]
    held = cells[b.q + table.wallet[0], lane]
    if short > held:
        # what rounding took from a balance meant to be enough
        worth -= short - held
        short = held
    cells[b.q + table.wallet[0], lane] -= short
    cells[b.column + at.GAS, lane] -= worth
    return worth


@routine
def report_trade(n, cells, coef, tape, desk, t, lane, kind, slot, v, dq, price, reference, rate, cash, action):
    """Book what a trade cost, in its columns, and write its event."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    worth = coef[h.value + v]
    fee = rate * (abs(dq) * price)
    cells[b.column + at.FEES, lane] -= fee * worth
    cells[b.column + at.SLIPPAGE, lane] -= dq * (price - reference) * worth
    e = emit(n, desk, cells, t, lane, at.FILL, kind, slot, v, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = dq
        desk.events[e, at.E_PRICE] = price
        desk.events[e, at.E_REFERENCE] = reference
        desk.events[e, at.E_RATE] = rate
        desk.events[e, at.E_NOTIONAL] = abs(dq) * price * worth
        desk.events[e, at.E_FEE] = fee * worth
        desk.events[e, at.E_SLIPPAGE] = dq * (price - reference) * worth
        desk.events[e, at.E_CASH] = cash
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@routine
def fill_spot(n, cells, model, coef, tape, desk, regime, t, lane, slot, dq, action):
    """Buy (dq > 0) or sell a token at its venue against the venue's cash."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    token = slot - len(n.cash)
    v = int(model.table.venue[token])
    if v < 0:
        return at.UNKNOWN_ORDER
    if dq < 0.0 and -dq > cells[b.q + slot, lane]:
        if -dq > cells[b.q + slot, lane] * (1.0 + _DUST):
            return at.NOT_HELD
        dq = -cells[b.q + slot, lane]
    reference = tape[quote.spot + token]
    slip = slippage_of(model.terms.spot_slippage[regime, token], abs(dq) * reference)
    price = reference * (1.0 + slip) if dq > 0.0 else reference * (1.0 - slip)
    rate = model.terms.venue[regime, v, at.SPOT_TAKER]
    fee = rate * (abs(dq) * price)
    cash = dq * price + fee
    if dq > 0.0 and cash > cells[b.q + v, lane] * (1.0 + _DUST):
        return at.NO_CASH
    cells[b.q + slot, lane] += dq
    cells[b.q + v, lane] -= cash
    report_trade(n, cells, coef, tape, desk, t, lane, at.TRADE_SPOT, slot, v, dq, price, reference, rate, -cash, action)
    return at.OK


@stage
def move_perp(n, cells, perp, i, v, dq, price, lane):
    """Change a perp at a price: the same side adds to cost, a close realises into cash (returned), a flip is both."""
    b = at.book_at(n)
    q = cells[b.q + perp + i, lane]
    cost = cells[b.cost + i, lane]
    after = q + dq
    realised = 0.0
    if q * dq >= 0.0:
        cells[b.cost + i, lane] = cost + dq * price
    elif q * after > 0.0:
        part = -dq / q
        realised = part * (q * price - cost)
        cells[b.cost + i, lane] = cost * (1.0 - part)
    else:
        realised = q * price - cost
        cells[b.cost + i, lane] = after * price
    cells[b.q + perp + i, lane] = after
    cells[b.q + v, lane] += realised
    return realised


@routine
def fill_perp(n, cells, model, coef, tape, desk, regime, t, lane, slot, dq, action):
    """Trade a linear perp against its mark; an order that opens needs its initial margin after costs."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    perp = at.first_perp(n)
    i = slot - perp
    v = i // len(n.market)
    reference = tape[quote.mark + i]
    slip = slippage_of(model.terms.perp_slippage[regime, i], abs(dq) * reference)
    price = reference * (1.0 + slip) if dq > 0.0 else reference * (1.0 - slip)
    rate = model.terms.venue[regime, v, at.PERP_TAKER]
    fee = rate * (abs(dq) * price)
    q = cells[b.q + slot, lane]
    if abs(q + dq) > abs(q):
        needed = 0.0
        for k in range(len(n.market)):
            j = v * len(n.market) + k
            held = abs(cells[b.q + perp + j, lane] + dq) if j == i else abs(cells[b.q + perp + j, lane])
            needed += initial_margin(model.terms.tier[regime, j], held * tape[quote.mark + j])
        lost = dq * (price - reference)
        if margin_at(n, cells, tape, quote.mark, v, lane) - fee - lost < needed:
            return at.NO_MARGIN
    realised = move_perp(n, cells, perp, i, v, dq, price, lane)
    cells[b.q + v, lane] -= fee
    report_trade(
        n, cells, coef, tape, desk, t, lane, at.TRADE_PERP, slot, v, dq, price, reference, rate, realised, action
    )
    return at.OK


@stage
def latency(n, model, regime, slot, dest):
    """Seconds from sending to arrival: out of a venue, into a venue, or both."""
    wait = 0.0
    out = slot if slot < len(n.cash) else int(model.table.venue[slot - len(n.cash)])
    into = dest if dest < len(n.cash) else int(model.table.venue[dest - len(n.cash)])
    if out >= 0:
        wait += model.terms.venue[regime, out, at.WITHDRAWAL_LATENCY]
    if into >= 0:
        wait += model.terms.venue[regime, into, at.DEPOSIT_LATENCY]
    return wait


@routine
def send(n, cells, model, coef, tape, desk, regime, t, lane, slot, dest, amount, action):
    """Move an asset between wallet and venues: fee or gas when sent, arrival after the route's latency."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    if amount > cells[b.q + slot, lane] * (1.0 + _DUST):
        return at.NO_CASH
    amount = cells[b.q + slot, lane] if amount > cells[b.q + slot, lane] else amount
    out = slot if slot < len(n.cash) else int(model.table.venue[slot - len(n.cash)])
    fee = 0.0
    units = 0.0
    if out >= 0:
        fee = model.terms.venue[regime, out, at.WITHDRAWAL_FEE]
    else:
        units = model.terms.gas[regime, at.GAS_TRANSFER]
    if amount <= fee:
        return at.BELOW_FEE
    wait = latency(n, model, regime, slot, dest)
    place = 0
    while (place < at.QUEUE) and cells[b.queue_amount + place, lane] != 0.0:
        place += 1
    if wait > 0.0 and place == at.QUEUE:
        return at.QUEUE_FULL
    cells[b.q + slot, lane] -= amount
    if not gas_payable(n, cells, model.table, coef, tape, units, lane):
        cells[b.q + slot, lane] += amount
        return at.NO_GAS
    gas = pay_gas(n, cells, model.table, coef, tape, units, lane)
    cells[b.column + at.TRANSFER_FEES, lane] -= fee * coef[h.value + slot]
    if wait > 0.0:
        cells[b.transit + dest, lane] += amount - fee
        cells[b.queue_to + place, lane] = dest
        cells[b.queue_amount + place, lane] = amount - fee
        cells[b.queue_due + place, lane] = tape[quote.time + 0] + wait
        if tape[quote.time + 0] + wait < cells[b.stat + at.NEXT_DUE, lane]:
            cells[b.stat + at.NEXT_DUE, lane] = tape[quote.time + 0] + wait
    else:
        cells[b.q + dest, lane] += amount - fee
    e = emit(n, desk, cells, t, lane, at.MOVE, at.TRANSFER, slot, dest, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = -amount
        desk.events[e, at.E_AMOUNT] = amount - fee
        desk.events[e, at.E_NOTIONAL] = amount * coef[h.value + slot]
        desk.events[e, at.E_FEE] = fee * coef[h.value + slot]
        desk.events[e, at.E_GAS] = gas
        desk.events[e, at.E_GAS_UNITS] = units
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0] + wait
    return at.OK


@routine
def fill_pool(n, cells, model, coef, tape, desk, regime, t, lane, token, collateral, amount, action):
    """Supply (amount > 0) or withdraw an underlying at a lending pool: scaled balance moves by amount / index."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    units = model.terms.gas[regime, at.GAS_SUPPLY if amount > 0.0 else at.GAS_WITHDRAW]
    c = collateral - len(n.cash) - len(n.token)
    index = tape[quote.index + c]
    change = amount / index
    if amount > 0.0:
        if amount > cells[b.q + token, lane] * (1.0 + _DUST):
            return at.NO_CASH
        if amount > cells[b.q + token, lane]:
            amount = cells[b.q + token, lane]
            change = amount / index
    elif -change >= cells[b.q + collateral, lane] * (1.0 - _DUST):
        if -change > cells[b.q + collateral, lane] * (1.0 + _DUST):
            return at.NOT_HELD
        # all of it: no dust stays behind
        change = -cells[b.q + collateral, lane]
        amount = change * index
    cells[b.q + token, lane] -= amount if amount > 0.0 else 0.0
    if not gas_payable(n, cells, model.table, coef, tape, units, lane):
        cells[b.q + token, lane] += amount if amount > 0.0 else 0.0
        return at.NO_GAS
    gas = pay_gas(n, cells, model.table, coef, tape, units, lane)
    cells[b.q + token, lane] -= amount if amount < 0.0 else 0.0
    cells[b.q + collateral, lane] += change
    e = emit(
        n,
        desk,
        cells,
        t,
        lane,
        at.FILL,
        at.SUPPLY_POOL if amount > 0.0 else at.WITHDRAW_POOL,
        collateral,
        token,
        action,
    )
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = change
        desk.events[e, at.E_PRICE] = index
        desk.events[e, at.E_REFERENCE] = index
        desk.events[e, at.E_NOTIONAL] = abs(amount) * coef[h.value + token]
        desk.events[e, at.E_GAS] = gas
        desk.events[e, at.E_GAS_UNITS] = units
        desk.events[e, at.E_AMOUNT] = -amount
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
    return at.OK


@stage
def fill(n, cells, model, coef, tape, desk, regime, t, lane, order, action):
    """Carry out one order; returns OK or why nothing changed."""
    kind = int(order[0])
    slot = int(order[1])
    dest = int(order[2])
    amount = order[3]
    if kind == at.TRADE_SPOT:
        return fill_spot(n, cells, model, coef, tape, desk, regime, t, lane, slot, amount, action)
    if kind == at.TRADE_PERP:
        return fill_perp(n, cells, model, coef, tape, desk, regime, t, lane, slot, amount, action)
    if kind == at.TRANSFER:
        return send(n, cells, model, coef, tape, desk, regime, t, lane, slot, dest, amount, action)
    if kind == at.SUPPLY_POOL:
        return fill_pool(n, cells, model, coef, tape, desk, regime, t, lane, slot, dest, amount, action)
    if kind == at.WITHDRAW_POOL:
        return fill_pool(n, cells, model, coef, tape, desk, regime, t, lane, dest, slot, -amount, action)
    return at.UNKNOWN_ORDER
