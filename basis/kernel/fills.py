"""Orders become fills: quantities change at fixed prices, each cost in its own column (accounting §4.9, §5, §8).

A fill has two halves: `price` is the venue's (what it makes of the order; it changes nothing) and `book` is ours.
"""

from . import layout as at
from .depth import admitted, dealt_at, note_traded, slippage_of
from .numba.jit import apart, routine, stage
from .risk import initial_margin, lending_sums, margin_at

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
def gas_payable(n, cells, table, tape, units, slot, spent, lane):
    """Whether the wallet can pay for that much gas, in ETH or share class, once `spent` has left `slot`."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    eth = units * tape[quote.gas + 0]
    if table.wallet[2] >= 0 and table.wallet[2] != table.wallet[0]:
        held = cells[b.q + table.wallet[2], lane] - (spent if table.wallet[2] == slot else 0.0)
        eth = eth - held if eth > held else 0.0
    short = eth * tape[quote.gas + 1]
    held = cells[b.q + table.wallet[0], lane] - (spent if table.wallet[0] == slot else 0.0)
    return short <= 0.0 or held >= short * (1.0 - _ROUNDING)


@stage
def pay_gas(n, cells, table, tape, units, lane):
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


@stage
def deal_in(desk, kind, slot, dest, quantity, price, reference, rate, fee, units, wait):
    """Write what a venue makes of an order."""
    deal = desk.deal
    deal[at.D_KIND] = kind
    deal[at.D_SLOT] = slot
    deal[at.D_DEST] = dest
    deal[at.D_QUANTITY] = quantity
    deal[at.D_PRICE] = price
    deal[at.D_REFERENCE] = reference
    deal[at.D_RATE] = rate
    deal[at.D_FEE] = fee
    deal[at.D_UNITS] = units
    deal[at.D_WAIT] = wait


@routine
def price_spot(n, cells, model, tape, desk, regime, lane, slot, dq):
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
    dq, status = admitted(n, cells, model, tape, regime, token, dq, cells[b.q + slot, lane], reference, lane)
    if status != at.OK:
        return status
    price, rate = dealt_at(n, cells, model, tape, regime, token, v, dq, reference, lane)
    if price <= 0.0:
        return at.NO_VOLUME
    if dq > 0.0 and dq * price + rate * (abs(dq) * price) > cells[b.q + v, lane] * (1.0 + _DUST):
        return at.NO_CASH
    deal_in(desk, at.TRADE_SPOT, slot, v, dq, price, reference, rate, 0.0, 0.0, 0.0)
    return at.OK


@routine
def price_perp(n, cells, model, tape, desk, regime, lane, slot, dq):
    """Trade a linear perp against its mark; an order that opens needs its initial margin after costs."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    perp = at.first_perp(n)
    i = slot - perp
    v = i // len(n.market)
    reference = tape[quote.mark + i]
    q = cells[b.q + slot, lane]
    place = len(n.token) + i
    dq, status = admitted(n, cells, model, tape, regime, place, dq, q, reference, lane)
    if status != at.OK:
        return status
    price, rate = dealt_at(n, cells, model, tape, regime, place, v, dq, reference, lane)
    if price <= 0.0:
        return at.NO_VOLUME
    if abs(q + dq) > abs(q):
        needed = 0.0
        for k in range(len(n.market)):
            j = v * len(n.market) + k
            held = abs(cells[b.q + perp + j, lane] + dq) if j == i else abs(cells[b.q + perp + j, lane])
            needed += initial_margin(model.terms.tier[regime, j], held * tape[quote.mark + j])
        lost = rate * (abs(dq) * price) + dq * (price - reference)
        if margin_at(n, cells, tape, quote.mark, v, lane) - lost < needed:
            return at.NO_MARGIN
    deal_in(desk, at.TRADE_PERP, slot, v, dq, price, reference, rate, 0.0, 0.0, 0.0)
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


@stage
def free_place(n, cells, lane):
    """First free place of the transit queue; QUEUE where there is none."""
    b = at.book_at(n)
    place = 0
    while (place < at.QUEUE) and cells[b.queue_amount + place, lane] != 0.0:
        place += 1
    return place


@routine
def price_transfer(n, cells, model, tape, desk, regime, lane, slot, dest, amount):
    """Move an asset between wallet and venues: fee or gas when sent, arrival after the route's latency."""
    b = at.book_at(n)
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
    if wait > 0.0 and free_place(n, cells, lane) == at.QUEUE:
        return at.QUEUE_FULL
    if not gas_payable(n, cells, model.table, tape, units, slot, amount, lane):
        return at.NO_GAS
    deal_in(desk, at.TRANSFER, slot, dest, amount, 0.0, 0.0, 0.0, fee, units, wait)
    return at.OK


@routine
def price_pool(n, cells, model, coef, tape, desk, regime, lane, kind, token, pool, amount):
    """Supply or withdraw an underlying at a lending pool: the scaled balance moves by amount / index."""
    b = at.book_at(n)
    index = tape[at.quote_at(n).index + pool - len(n.cash) - len(n.token)]
    if kind == at.SUPPLY_POOL:
        units = model.terms.gas[regime, at.GAS_SUPPLY]
        if amount > cells[b.q + token, lane] * (1.0 + _DUST):
            return at.NO_CASH
        amount = cells[b.q + token, lane] if amount > cells[b.q + token, lane] else amount
        c = pool - len(n.cash) - len(n.token)
        if cells[b.q + pool, lane] * index + amount > model.terms.pool[regime, c, at.SUPPLY_CAP]:
            return at.ABOVE_CAP
        if not gas_payable(n, cells, model.table, tape, units, token, amount, lane):
            return at.NO_GAS
        deal_in(desk, kind, token, pool, amount, index, index, 0.0, 0.0, units, 0.0)
        return at.OK
    units = model.terms.gas[regime, at.GAS_WITHDRAW]
    held = cells[b.q + pool, lane]
    if amount / index > held * (1.0 + _DUST):
        return at.NOT_HELD
    # all of it: no dust stays behind
    amount = held * index if amount / index >= held * (1.0 - _DUST) else amount
    owed, _, limit = lending_sums(n, cells, coef, lane)
    c = pool - len(n.cash) - len(n.token)
    if owed > 0.0 and limit - amount / index * coef[at.hour_at(n).threshold + c] < owed:
        return at.BREAKS_HF
    if not gas_payable(n, cells, model.table, tape, units, -1, 0.0, lane):
        return at.NO_GAS
    deal_in(desk, kind, pool, token, amount, index, index, 0.0, 0.0, units, 0.0)
    return at.OK


@routine
def price_change(n, cells, model, tape, desk, regime, lane, kind, slot, dest, amount):
    """Change ether of the wallet into a staking token or back: at the market, or at its protocol (accounting §5).

    `amount` is of what is given away. The price is ether per token; at the protocol there is no fee, but a wait.
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    if amount > cells[b.q + slot, lane] * (1.0 + _DUST):
        return at.NO_CASH
    amount = cells[b.q + slot, lane] if amount > cells[b.q + slot, lane] else amount
    buys = slot == model.table.wallet[2]
    token = (dest if buys else slot) - len(n.cash)
    reference = tape[quote.rate + token]
    paid = reference
    fee = 0.0
    wait = 0.0
    gas = at.GAS_STAKE if kind == at.STAKE else at.GAS_UNSTAKE
    if kind == at.SWAP:
        reference = tape[quote.market + token]
        if reference <= 0.0:
            return at.NO_MARKET
        notional = amount * tape[quote.spot + slot - len(n.cash)]
        slip = slippage_of(model.terms.spot_slippage[regime, token], notional)
        paid = reference * (1.0 + slip) if buys else reference * (1.0 - slip)
        fee = model.terms.stake[regime, token, at.SWAP_FEE]
        gas = at.GAS_SWAP
    else:
        wait = model.terms.stake[regime, token, at.STAKE_LATENCY if buys else at.UNSTAKE_LATENCY]
        if wait > 0.0 and free_place(n, cells, lane) == at.QUEUE:
            return at.QUEUE_FULL
    units = model.terms.gas[regime, gas]
    if not gas_payable(n, cells, model.table, tape, units, slot, amount, lane):
        return at.NO_GAS
    deal_in(desk, kind, slot, dest, amount, paid, reference, fee, 0.0, units, wait)
    return at.OK


@stage
def borrowable(n, cells, model, coef, regime, lane):
    """What may be owed against the collateral at opening, share class: Σ collateral · LTV."""
    b = at.book_at(n)
    h = at.hour_at(n)
    most = 0.0
    for c in range(len(n.collateral)):
        held = cells[b.q + len(n.cash) + len(n.token) + c, lane]
        most += held * coef[h.oracle + c] * model.terms.pool[regime, c, at.LTV_MAX]
    return most


@routine
def price_debt(n, cells, model, coef, tape, desk, regime, lane, kind, debt, token, amount):
    """Borrow or repay an underlying: the scaled debt moves by amount / index; a new debt stays within the LTV."""
    b = at.book_at(n)
    h = at.hour_at(n)
    d = debt - len(n.cash) - len(n.token) - len(n.collateral)
    index = tape[at.quote_at(n).debt_index + d]
    if kind == at.BORROW_POOL:
        units = model.terms.gas[regime, at.GAS_BORROW]
        owed, _, _ = lending_sums(n, cells, coef, lane)
        if owed + amount / index * coef[h.owed + d] > borrowable(n, cells, model, coef, regime, lane) * (1.0 + _DUST):
            return at.BEYOND_LTV
        if not gas_payable(n, cells, model.table, tape, units, -1, 0.0, lane):
            return at.NO_GAS
        deal_in(desk, kind, debt, token, amount, index, index, 0.0, 0.0, units, 0.0)
        return at.OK
    units = model.terms.gas[regime, at.GAS_REPAY]
    held = cells[b.q + debt, lane]
    # no more than is owed; all of it leaves no dust
    amount = held * index if amount / index >= held * (1.0 - _DUST) else amount
    if amount > cells[b.q + token, lane] * (1.0 + _DUST):
        return at.NO_CASH
    if held <= 0.0:
        return at.NOT_HELD
    if not gas_payable(n, cells, model.table, tape, units, token, amount, lane):
        return at.NO_GAS
    deal_in(desk, kind, token, debt, amount, index, index, 0.0, 0.0, units, 0.0)
    return at.OK


@stage
def change_cost(n, model, tape, regime, token, ether, buys):
    """Price of a staking token at the market in ether, and the fee, for an order worth that much ether."""
    quote = at.quote_at(n)
    pays = model.table.wallet[2] - len(n.cash)
    slip = slippage_of(model.terms.spot_slippage[regime, token], ether * tape[quote.spot + pays])
    reference = tape[quote.market + token]
    return reference * (1.0 + slip if buys else 1.0 - slip), model.terms.stake[regime, token, at.SWAP_FEE]


@routine
def price_lever(n, cells, model, coef, tape, desk, regime, lane, kind, pool, debt, put_in):
    """Flash loan that brings the loan to value to its target after costs, all in one transaction (accounting §7).

    `put_in` is the wallet's ether that goes in, gas included; below 0 it comes out. The flash amount stands in the
    deal as quantity, what goes in as wait.
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    c = pool - len(n.cash) - len(n.token)
    token = model.table.twin[c]
    ether = coef[h.value + model.table.wallet[2]]
    owed, backing, limit = lending_sums(n, cells, coef, lane)
    backing = backing / ether
    owed = owed / ether
    limit = limit / ether
    # other debts and collaterals count, but only these two change
    due = len(n.cash) + len(n.token) + len(n.collateral)
    own = cells[b.q + debt, lane] * coef[h.owed + debt - due] / ether
    index = tape[quote.index + c]
    held = cells[b.q + pool, lane] * index
    up = kind == at.LEVER_STAKE or kind == at.LEVER_SWAP
    units = model.terms.gas[regime, at.GAS_LEVER if up else at.GAS_DELEVER]
    gas = units * tape[quote.gas + 0]
    flash = model.terms.lending[regime, at.FLASH_FEE]
    target = 0.0 if kind == at.UNWIND else desk.param[at.TARGET_LTV]
    rate = tape[quote.rate + token]
    if kind != at.LEVER_STAKE and tape[quote.market + token] <= 0.0:
        return at.NO_MARKET
    price = rate
    reference = rate
    fee = 0.0
    loan = 0.0
    # slippage comes in steps of size: a few rounds settle it
    for _ in range(8):
        if up:
            if kind == at.LEVER_SWAP:
                reference = tape[quote.market + token]
                price, fee = change_cost(n, model, tape, regime, token, loan + put_in - gas, True)
            kappa = (1.0 - fee) * rate / price
            loan = (target * (backing + kappa * (put_in - gas)) - owed) / (1.0 + flash - target * kappa)
        else:
            reference = tape[quote.market + token]
            sold = loan * (1.0 + flash) + gas - put_in
            price, fee = change_cost(n, model, tape, regime, token, sold, False)
            kappa = (1.0 - fee) * price / rate
            loan = (owed - target * backing + target * (gas - put_in) / kappa) / (1.0 - target * (1.0 + flash) / kappa)
            loan = loan if loan < own else own
            # no more than the collateral pays for
            most = (held * price * (1.0 - fee) + put_in - gas) / (1.0 + flash)
            loan = loan if loan < most else most
    if loan <= 0.0 or put_in > cells[b.q + model.table.wallet[2], lane] * (1.0 + _DUST):
        return at.NOTHING_TO_DO if loan <= 0.0 else at.NO_CASH
    if up:
        tokens = (loan + put_in - gas) * (1.0 - fee) / price
        most = borrowable(n, cells, model, coef, regime, lane) / ether
        most += tokens * rate * model.terms.pool[regime, c, at.LTV_MAX]
        if tokens <= 0.0:
            return at.NOTHING_TO_DO
        if owed + loan * (1.0 + flash) > most * (1.0 + _DUST):
            return at.BEYOND_LTV
        if held + tokens > model.terms.pool[regime, c, at.SUPPLY_CAP]:
            return at.ABOVE_CAP
    else:
        tokens = (loan * (1.0 + flash) + gas - put_in) / (price * (1.0 - fee))
        if tokens < 0.0 or tokens > held * (1.0 + _DUST):
            return at.NOT_HELD
        # collateral is withdrawn only as far as what stays owed is still covered
        left = owed - loan
        if left > owed * _DUST and limit - tokens / index * coef[h.threshold + c] / ether < left * (1.0 - _DUST):
            return at.BREAKS_HF
    deal_in(desk, kind, pool, debt, loan, price, reference, fee, flash, units, put_in)
    return at.OK


@stage
def price(n, cells, model, coef, tape, desk, regime, lane, order):
    """What the venue makes of an order, into `desk.deal`; returns OK or why it is refused. Changes nothing."""
    kind = int(order[0])
    slot = int(order[1])
    dest = int(order[2])
    amount = order[3]
    if kind == at.TRADE_SPOT:
        return price_spot(n, cells, model, tape, desk, regime, lane, slot, amount)
    if kind == at.TRADE_PERP:
        return price_perp(n, cells, model, tape, desk, regime, lane, slot, amount)
    if kind == at.TRANSFER:
        return price_transfer(n, cells, model, tape, desk, regime, lane, slot, dest, amount)
    if kind == at.SUPPLY_POOL:
        return price_pool(n, cells, model, coef, tape, desk, regime, lane, kind, slot, dest, amount)
    if kind == at.WITHDRAW_POOL:
        return price_pool(n, cells, model, coef, tape, desk, regime, lane, kind, dest, slot, amount)
    if kind == at.SWAP or kind == at.STAKE or kind == at.UNSTAKE:
        return price_change(n, cells, model, tape, desk, regime, lane, kind, slot, dest, amount)
    if kind == at.BORROW_POOL:
        return price_debt(n, cells, model, coef, tape, desk, regime, lane, kind, slot, dest, amount)
    if kind == at.REPAY_POOL:
        return price_debt(n, cells, model, coef, tape, desk, regime, lane, kind, dest, slot, amount)
    if kind >= at.LEVER_STAKE and kind <= at.UNWIND:
        return price_lever(n, cells, model, coef, tape, desk, regime, lane, kind, slot, dest, amount)
    return at.UNKNOWN_ORDER


@stage
def set_levels(n, cells, i, q, price, lane):
    """Stop and take-profit of a perp that has been opened at a price; once, so that a roll keeps those it has."""
    b = at.book_at(n)
    way = 1.0 if q > 0.0 else -1.0
    stop = cells[b.stop_by + i, lane]
    take = cells[b.take_by + i, lane]
    cells[b.stop + i, lane] = max(price * (1.0 - way * stop), 0.0) if stop > 0.0 else 0.0
    cells[b.take + i, lane] = max(price * (1.0 + way * take), 0.0) if take > 0.0 else 0.0
    cells[b.armed + i, lane] = 0.0


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
    if len(n.stop) > 0 and q * after <= 0.0 and cells[b.armed + i, lane] > 0.0:
        set_levels(n, cells, i, after, price, lane)
    return realised


@routine
def book_trade(n, cells, coef, tape, desk, t, lane, action):
    """Quantities after a trade, its costs in their columns, its event."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    deal = desk.deal
    kind = int(deal[at.D_KIND])
    slot = int(deal[at.D_SLOT])
    v = int(deal[at.D_DEST])
    dq = deal[at.D_QUANTITY]
    price = deal[at.D_PRICE]
    fee = deal[at.D_RATE] * (abs(dq) * price)
    if kind == at.TRADE_SPOT:
        cash = -(dq * price + fee)
        cells[b.q + slot, lane] += dq
        cells[b.q + v, lane] += cash
        note_traded(n, cells, slot - len(n.cash), abs(dq), lane)
    else:
        perp = at.first_perp(n)
        cash = move_perp(n, cells, perp, slot - perp, v, dq, price, lane)
        note_traded(n, cells, len(n.token) + slot - perp, abs(dq), lane)
        cells[b.q + v, lane] -= fee
    worth = coef[h.value + v]
    lost = dq * (price - deal[at.D_REFERENCE]) * worth
    cells[b.column + at.FEES, lane] -= fee * worth
    cells[b.column + at.SLIPPAGE, lane] -= lost
    e = emit(n, desk, cells, t, lane, at.FILL, kind, slot, v, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = dq
        desk.events[e, at.E_PRICE] = price
        desk.events[e, at.E_REFERENCE] = deal[at.D_REFERENCE]
        desk.events[e, at.E_RATE] = deal[at.D_RATE]
        desk.events[e, at.E_NOTIONAL] = abs(dq) * price * worth
        desk.events[e, at.E_FEE] = fee * worth
        desk.events[e, at.E_SLIPPAGE] = lost
        desk.events[e, at.E_CASH] = cash
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@stage
def send_off(n, cells, dest, amount, due, wait, lane):
    """Let an amount arrive at once, or have it under way until it is due."""
    b = at.book_at(n)
    if wait > 0.0:
        place = free_place(n, cells, lane)
        cells[b.transit + dest, lane] += amount
        cells[b.queue_to + place, lane] = dest
        cells[b.queue_amount + place, lane] = amount
        cells[b.queue_due + place, lane] = due
        cells[b.queue_by + place, lane] = cells[b.stat + at.DECISIONS, lane]
        if due < cells[b.stat + at.NEXT_DUE, lane]:
            cells[b.stat + at.NEXT_DUE, lane] = due
    else:
        cells[b.q + dest, lane] += amount


@routine
def book_change(n, cells, model, coef, tape, desk, t, lane, action):
    """Ether against a staking token; what the book values it beside its reference is peg P&L."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    deal = desk.deal
    slot = int(deal[at.D_SLOT])
    dest = int(deal[at.D_DEST])
    amount = deal[at.D_QUANTITY]
    price = deal[at.D_PRICE]
    rate = deal[at.D_RATE]
    buys = slot == model.table.wallet[2]
    lst = dest if buys else slot
    ether = coef[h.value + model.table.wallet[2]]
    # signed: tokens in or out, ether with the fee in it
    tokens = amount * (1.0 - rate) / price if buys else -amount
    got = tokens if buys else amount * price * (1.0 - rate)
    fee = (amount * rate if buys else amount * price * rate) * ether
    lost = tokens * (price - deal[at.D_REFERENCE]) * ether
    peg = tokens * (coef[h.value + lst] - deal[at.D_REFERENCE] * ether)
    due = tape[quote.time + 0] + deal[at.D_WAIT]
    cells[b.q + slot, lane] -= amount
    gas = pay_gas(n, cells, model.table, tape, deal[at.D_UNITS], lane)
    send_off(n, cells, dest, got, due, deal[at.D_WAIT], lane)
    cells[b.column + at.FEES, lane] -= fee
    cells[b.column + at.SLIPPAGE, lane] -= lost
    cells[b.column + at.PEG, lane] += peg
    # what is under way is no fill yet: it stands where it left
    waits = deal[at.D_WAIT] > 0.0
    kind = at.MOVE if waits else at.FILL
    left = slot if waits else lst
    right = slot if (buys and not waits) else dest
    e = emit(n, desk, cells, t, lane, kind, int(deal[at.D_KIND]), left, right, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = -amount if waits else tokens
        desk.events[e, at.E_PRICE] = price
        desk.events[e, at.E_REFERENCE] = deal[at.D_REFERENCE]
        desk.events[e, at.E_RATE] = rate
        desk.events[e, at.E_NOTIONAL] = (amount if buys else amount * price) * ether
        desk.events[e, at.E_FEE] = fee
        desk.events[e, at.E_SLIPPAGE] = lost
        desk.events[e, at.E_GAS] = gas
        desk.events[e, at.E_GAS_UNITS] = deal[at.D_UNITS]
        desk.events[e, at.E_AMOUNT] = got if waits else (-amount if buys else got)
        desk.events[e, at.E_PEG] = peg
        desk.events[e, at.E_EFFECTIVE] = due


@routine
def book_transfer(n, cells, model, coef, tape, desk, t, lane, action):
    """What is sent leaves at once, with its gas, and is under way until it is due."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    deal = desk.deal
    slot = int(deal[at.D_SLOT])
    dest = int(deal[at.D_DEST])
    amount = deal[at.D_QUANTITY]
    fee = deal[at.D_FEE]
    due = tape[quote.time + 0] + deal[at.D_WAIT]
    cells[b.q + slot, lane] -= amount
    gas = pay_gas(n, cells, model.table, tape, deal[at.D_UNITS], lane)
    cells[b.column + at.TRANSFER_FEES, lane] -= fee * coef[h.value + slot]
    send_off(n, cells, dest, amount - fee, due, deal[at.D_WAIT], lane)
    e = emit(n, desk, cells, t, lane, at.MOVE, at.TRANSFER, slot, dest, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = -amount
        desk.events[e, at.E_AMOUNT] = amount - fee
        desk.events[e, at.E_NOTIONAL] = amount * coef[h.value + slot]
        desk.events[e, at.E_FEE] = fee * coef[h.value + slot]
        desk.events[e, at.E_GAS] = gas
        desk.events[e, at.E_GAS_UNITS] = deal[at.D_UNITS]
        desk.events[e, at.E_EFFECTIVE] = due


@routine
def book_pool(n, cells, model, coef, tape, desk, t, lane, action):
    """Underlying against a scaled balance or debt; gas from what the wallet holds after it paid, before it is paid."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    deal = desk.deal
    kind = int(deal[at.D_KIND])
    amount = deal[at.D_QUANTITY]
    index = deal[at.D_PRICE]
    pays = kind == at.SUPPLY_POOL or kind == at.REPAY_POOL
    grows = kind == at.SUPPLY_POOL or kind == at.BORROW_POOL
    token = int(deal[at.D_SLOT if pays else at.D_DEST])
    scaled = int(deal[at.D_DEST if pays else at.D_SLOT])
    change = amount / index if grows else -(amount / index)
    if not grows and -change >= cells[b.q + scaled, lane] * (1.0 - _DUST):
        change = -cells[b.q + scaled, lane]
    cells[b.q + token, lane] -= amount if pays else 0.0
    gas = pay_gas(n, cells, model.table, tape, deal[at.D_UNITS], lane)
    cells[b.q + token, lane] += 0.0 if pays else amount
    cells[b.q + scaled, lane] += change
    e = emit(n, desk, cells, t, lane, at.FILL, kind, scaled, token, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = change
        desk.events[e, at.E_PRICE] = index
        desk.events[e, at.E_REFERENCE] = deal[at.D_REFERENCE]
        desk.events[e, at.E_NOTIONAL] = amount * coef[h.value + token]
        desk.events[e, at.E_GAS] = gas
        desk.events[e, at.E_GAS_UNITS] = deal[at.D_UNITS]
        desk.events[e, at.E_AMOUNT] = -amount if pays else amount
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@routine
def book_lever(n, cells, model, coef, tape, desk, t, lane, action):
    """A bundle: tokens bought and supplied against a debt, or withdrawn and sold to repay it; one event per leg."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    deal = desk.deal
    kind = int(deal[at.D_KIND])
    pool = int(deal[at.D_SLOT])
    debt = int(deal[at.D_DEST])
    loan = deal[at.D_QUANTITY]
    price = deal[at.D_PRICE]
    rate = deal[at.D_RATE]
    flash = loan * deal[at.D_FEE]
    put_in = deal[at.D_WAIT]
    c = pool - len(n.cash) - len(n.token)
    index = tape[quote.index + c]
    slot = model.table.wallet[2]
    ether = coef[h.value + slot]
    gas = deal[at.D_UNITS] * tape[quote.gas + 0]
    up = kind == at.LEVER_STAKE or kind == at.LEVER_SWAP
    # ether that goes through the change, fee included
    through = loan + put_in - gas if up else (loan + flash + gas - put_in) / (1.0 - rate)
    tokens = through * (1.0 - rate) / price if up else -(through / price)
    scaled = tokens / index
    if not up and -scaled >= cells[b.q + pool, lane] * (1.0 - _DUST):
        scaled = -cells[b.q + pool, lane]
    due = tape[quote.debt_index + debt - len(n.cash) - len(n.token) - len(n.collateral)]
    owed = (loan + flash) / due if up else -(loan / due)
    if not up and -owed >= cells[b.q + debt, lane] * (1.0 - _DUST):
        owed = -cells[b.q + debt, lane]
    cells[b.q + pool, lane] += scaled
    cells[b.q + debt, lane] += owed
    cells[b.q + slot, lane] -= put_in - gas
    paid = pay_gas(n, cells, model.table, tape, deal[at.D_UNITS], lane)
    fee = through * rate * ether
    lost = tokens * (price - deal[at.D_REFERENCE]) * ether
    lst = model.table.twin[c] + len(n.cash)
    peg = tokens * (coef[h.value + lst] - deal[at.D_REFERENCE] * ether)
    cells[b.column + at.FEES, lane] -= fee
    cells[b.column + at.SLIPPAGE, lane] -= lost
    cells[b.column + at.PEG, lane] += peg
    cells[b.column + at.FLASH_FEES, lane] -= flash * ether
    e = emit(n, desk, cells, t, lane, at.FILL, kind, pool, slot, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = scaled
        desk.events[e, at.E_PRICE] = price
        desk.events[e, at.E_REFERENCE] = deal[at.D_REFERENCE]
        desk.events[e, at.E_RATE] = rate
        desk.events[e, at.E_NOTIONAL] = through * ether
        desk.events[e, at.E_FEE] = fee
        desk.events[e, at.E_SLIPPAGE] = lost
        desk.events[e, at.E_PEG] = peg
        desk.events[e, at.E_AMOUNT] = tokens
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
    e = emit(n, desk, cells, t, lane, at.FILL, kind, debt, slot, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = owed
        desk.events[e, at.E_PRICE] = due
        desk.events[e, at.E_REFERENCE] = due
        desk.events[e, at.E_NOTIONAL] = loan * ether
        desk.events[e, at.E_FLASH] = flash * ether
        desk.events[e, at.E_AMOUNT] = loan
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
    e = emit(n, desk, cells, t, lane, at.FILL, kind, slot, pool, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = gas - put_in
        desk.events[e, at.E_GAS] = paid
        desk.events[e, at.E_GAS_UNITS] = deal[at.D_UNITS]
        desk.events[e, at.E_AMOUNT] = gas - put_in
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@stage
def book(n, cells, model, coef, tape, desk, t, lane, action):
    """Take `desk.deal` into the book."""
    kind = int(desk.deal[at.D_KIND])
    if kind == at.TRADE_SPOT or kind == at.TRADE_PERP:
        book_trade(n, cells, coef, tape, desk, t, lane, action)
    elif kind == at.TRANSFER:
        book_transfer(n, cells, model, coef, tape, desk, t, lane, action)
    elif kind == at.SWAP or kind == at.STAKE or kind == at.UNSTAKE:
        book_change(n, cells, model, coef, tape, desk, t, lane, action)
    elif kind >= at.LEVER_STAKE and kind <= at.UNWIND:
        book_lever(n, cells, model, coef, tape, desk, t, lane, action)
    else:
        book_pool(n, cells, model, coef, tape, desk, t, lane, action)
