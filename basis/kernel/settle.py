"""Jumps no strategy asked for: liquidations, arrivals, the investor's flows, funding events (accounting §4.1-4.6)."""

import math

from . import layout as at
from .fills import emit
from .jit import routine, stage
from .risk import maintenance_at, margin_at, notional_at, tier_of

_ITERATIONS = 64


@stage
def bound_tiers(n, b, marks, tiers, v, lane):
    """Renew the maintenance rate no tier exceeds up to twice the notional: most hours then need no look at tiers."""
    cap = 2.0 * notional_at(n, b, marks, v, lane)
    rate = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        for j in range(tiers.shape[1]):
            if j == 0 or cap > tiers[i, j - 1, 0]:
                rate = tiers[i, j, at.TIER_RATE] if tiers[i, j, at.TIER_RATE] > rate else rate
    b.bound[v, lane] = rate
    b.cap[v, lane] = cap


@stage
def path_to_liquidation(n, b, h, before, tiers, v, lane):
    """Share of the way from the last marks to the adverse extremes at which margin meets maintenance; 2 if it does not.

    All marks of the venue move together and linearly. Margin less maintenance falls along the way, piecewise linear
    with the tiers: Newton from the far end reaches the first crossing in as many steps as tiers are crossed.
    """
    perp = at.first_perp(n)
    x = 1.0
    for step in range(_ITERATIONS):
        gap = b.q[v, lane]
        slope = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = b.q[perp + i, lane]
            size = abs(q)
            move = (h.low[i] if q >= 0.0 else h.high[i]) - before[i]
            mark = before[i] + x * move
            j = tier_of(tiers[i], size * mark)
            rate = tiers[i, j, at.TIER_RATE]
            gap += q * mark - b.cost[i, lane] - (size * mark * rate - tiers[i, j, at.TIER_AMOUNT])
            slope += q * move - size * move * rate
        if step == 0 and gap > 0.0:
            return 2.0
        if slope >= 0.0:
            return 0.0
        nearer = x - gap / slope
        if nearer >= x or nearer <= 0.0:
            return x if nearer > 0.0 else 0.0
        x = nearer
    return x


@routine
def liquidate(n, b, model, h, quote, desk, regime, before, share, v, t, lane):
    """Close a venue's perps `share` of the way from `before` to the extremes; at the marks of the row where share < 0.

    Inside the hour every series but the mark already has its row-t value and the basis is frozen, so the drift to that
    instant is price only. The cash is credited after the holding drift (`release`).
    """
    perp = at.first_perp(n)
    worth = h.value[v]
    left = b.q[v, lane] + b.due[v, lane]
    notional = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        q = b.q[perp + i, lane]
        end = h.low[i] if q >= 0.0 else h.high[i]
        price = quote.mark[i] if share < 0.0 else before[i] + share * (end - before[i])
        left += q * price - b.cost[i, lane]
        notional += abs(q) * price
    rate = model.terms.venue[regime, v, at.LIQUIDATION_FEE]
    # no more than the margin that is left; less than nothing left is the venue's loss
    fee = rate * notional if rate * notional < left else left
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        q = b.q[perp + i, lane]
        if q != 0.0:
            end = h.low[i] if q >= 0.0 else h.high[i]
            price = quote.mark[i] if share < 0.0 else before[i] + share * (end - before[i])
            if share >= 0.0:
                b.column[at.DELTA, lane] += (
                    q * (price - before[i]) * worth + (q * before[i] - b.cost[i, lane]) * h.price[v]
                )
            cash = q * price - b.cost[i, lane]
            part = fee * (abs(q) * price / notional)
            e = emit(desk, b, t, lane, at.LIQUIDATION, 0, perp + i, v, 0)
            if e >= 0:
                desk.events[e, at.E_QUANTITY] = -q
                desk.events[e, at.E_PRICE] = price
                desk.events[e, at.E_REFERENCE] = quote.mark[i] if share < 0.0 else before[i]
                desk.events[e, at.E_RATE] = rate
                desk.events[e, at.E_NOTIONAL] = abs(q) * price * worth
                desk.events[e, at.E_FEE] = part * worth
                desk.events[e, at.E_CASH] = cash
                desk.events[e, at.E_AMOUNT] = cash - part
                desk.events[e, at.E_EFFECTIVE] = quote.time[0]
            b.due[v, lane] += cash - part
            b.q[perp + i, lane] = 0.0
            b.cost[i, lane] = 0.0
            b.column[at.LIQUIDATION_LOSS, lane] -= part * worth
    b.cap[v, lane] = 0.0


@routine
def test_hour(n, b, model, h, quote, desk, before, regime, t, lane):
    """Adverse test: venues whose margin met maintenance inside the hour are liquidated there."""
    for v in range(len(n.cash)):
        if notional_at(n, b, before, v, lane) > 0.0:
            share = path_to_liquidation(n, b, h, before, model.terms.tier[regime], v, lane)
            if share <= 1.0:
                liquidate(n, b, model, h, quote, desk, regime, before, share, v, t, lane)
            else:
                bound_tiers(n, b, before, model.terms.tier[regime], v, lane)


@routine
def test_margin(n, b, model, h, quote, desk, regime, t, lane):
    """Margin test at the marks of the row; returns whether a venue was liquidated."""
    struck = 0
    tiers = model.terms.tier[regime]
    for v in range(len(n.cash)):
        if notional_at(n, b, quote.mark, v, lane) > 0.0:
            if margin_at(n, b, quote.mark, v, lane) <= maintenance_at(n, b, quote.mark, tiers, v, lane):
                liquidate(n, b, model, h, quote, desk, regime, quote.mark, -1.0, v, t, lane)
                struck = 1
            else:
                bound_tiers(n, b, quote.mark, tiers, v, lane)
    return struck


@stage
def release(n, b, lane):
    """Credit what liquidations left, after the drift of the hour."""
    for v in range(len(n.cash)):
        b.q[v, lane] += b.due[v, lane]
        b.due[v, lane] = 0.0


@stage
def report_funding(n, b, h, quote, desk, t, lane):
    """One event per perp that paid or received in this row."""
    perp = at.first_perp(n)
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = b.q[perp + i, lane]
            if q * h.funding[i] != 0.0:
                e = emit(desk, b, t, lane, at.FUNDING_PAID, 0, perp + i, v, 0)
                if e >= 0:
                    desk.events[e, at.E_QUANTITY] = q
                    desk.events[e, at.E_AMOUNT] = -q * h.funding[i]
                    desk.events[e, at.E_CASH] = -q * h.funding[i]
                    desk.events[e, at.E_EFFECTIVE] = quote.time[0]


@routine
def arrive(n, b, quote, desk, t, lane):
    """What has reached its destination becomes usable, in the first row at or after its time."""
    b.stat[at.NEXT_DUE, lane] = math.inf
    for j in range(at.QUEUE):
        amount = b.queue_amount[j, lane]
        if amount != 0.0 and b.queue_due[j, lane] <= quote.time[0]:
            slot = int(b.queue_to[j, lane])
            b.q[slot, lane] += amount
            left = b.transit[slot, lane] - amount
            b.queue_amount[j, lane] = 0.0
            # the last one out leaves exactly nothing behind
            others = 0
            for k in range(at.QUEUE):
                others += 1 if (b.queue_amount[k, lane] != 0.0 and int(b.queue_to[k, lane]) == slot) else 0
            b.transit[slot, lane] = left if others > 0 else 0.0
            b.head[at.ARRIVED, lane] = 1.0
            e = emit(desk, b, t, lane, at.ARRIVAL, 0, slot, slot, 0)
            if e >= 0:
                desk.events[e, at.E_QUANTITY] = amount
                desk.events[e, at.E_AMOUNT] = amount
                desk.events[e, at.E_EFFECTIVE] = b.queue_due[j, lane]
        elif amount != 0.0 and b.queue_due[j, lane] < b.stat[at.NEXT_DUE, lane]:
            b.stat[at.NEXT_DUE, lane] = b.queue_due[j, lane]


@routine
def flow(n, b, model, h, quote, desk, t, lane):
    """Deposits reach the wallet; withdrawals are paid whole and in order, once the wallet's cash covers them.

    A withdrawal larger than what is left is paid what there is when nothing else is held; the rest is refused.
    """
    slot = model.table.wallet[0]
    amount = quote.flow[0]
    if amount > 0.0:
        b.q[slot, lane] += amount
        b.head[at.FLOW, lane] += amount
        b.head[at.FLOWS, lane] += amount
        b.stat[at.SCALE, lane] += amount
        e = emit(desk, b, t, lane, at.FLOWED, at.DEPOSITED, slot, slot, 0)
        if e >= 0:
            desk.events[e, at.E_QUANTITY] = amount
            desk.events[e, at.E_AMOUNT] = amount
            desk.events[e, at.E_EFFECTIVE] = quote.time[0]
    asked = int(quote.flow[1])
    known = int(model.quotes[t - 1, model.quotes.shape[1] - 2]) if t > 0 else 0
    for k in range(known, asked):
        wanted = model.table.withdrawal[k]
        b.head[at.PENDING, lane] += wanted
        e = emit(desk, b, t, lane, at.FLOWED, at.REQUESTED, slot, slot, 0)
        if e >= 0:
            desk.events[e, at.E_AMOUNT] = -wanted
            desk.events[e, at.E_EFFECTIVE] = quote.time[0]


@routine
def pay(n, b, model, h, quote, desk, t, lane):
    """Pay the withdrawals that the wallet covers; see `flow`."""
    slot = model.table.wallet[0]
    asked = int(quote.flow[1])
    while int(b.stat[at.PAID, lane]) < asked:
        wanted = model.table.withdrawal[int(b.stat[at.PAID, lane])]
        cash = b.q[slot, lane]
        # all that is left is in the wallet: no later row can pay more
        alone = b.head[at.GROSS, lane] == 0.0 and cash >= b.head[at.EQUITY, lane] * (1.0 - 1e-9)
        if cash < wanted and not alone:
            break
        paid = wanted if wanted <= cash else cash
        b.q[slot, lane] -= paid
        b.head[at.FLOW, lane] -= paid
        b.head[at.FLOWS, lane] -= paid
        b.stat[at.SCALE, lane] += paid
        b.stat[at.PAID, lane] += 1.0
        b.head[at.PENDING, lane] -= wanted
        if int(b.stat[at.PAID, lane]) == asked:
            b.head[at.PENDING, lane] = 0.0
        e = emit(desk, b, t, lane, at.FLOWED, at.PAID_OUT, slot, slot, 0)
        if e >= 0:
            desk.events[e, at.E_QUANTITY] = -paid
            desk.events[e, at.E_AMOUNT] = -paid
            desk.events[e, at.E_EFFECTIVE] = quote.time[0]
        if paid < wanted:
            e = emit(desk, b, t, lane, at.REJECT, at.EXCEEDS_EQUITY, slot, slot, 0)
            if e >= 0:
                desk.events[e, at.E_AMOUNT] = paid - wanted
                desk.events[e, at.E_EFFECTIVE] = quote.time[0]
