"""LTV, health factor, margin ratios, maintenance margin and alert levels (accounting §6)."""

import math

from . import layout as at
from .jit import stage


@stage
def tier_of(tiers, notional):
    """Index of the tier a notional falls into; `tiers` is (tiers, 4), sorted by largest notional."""
    j = 0
    while (j < tiers.shape[0] - 1) & (notional > tiers[j, at.TIER_NOTIONAL]):
        j += 1
    return j


@stage
def maintenance(tiers, notional):
    """Maintenance margin in quote units: notional * rate - amount of its tier."""
    j = tier_of(tiers, notional)
    return notional * tiers[j, at.TIER_RATE] - tiers[j, at.TIER_AMOUNT]


@stage
def initial_margin(tiers, notional):
    """Initial margin in quote units: notional over the largest leverage of its tier."""
    return notional / tiers[tier_of(tiers, notional), at.TIER_LEVERAGE]


@stage
def margin_at(n, b, marks, v, lane):
    """Margin balance of a venue (cash and unrealised P&L) at the given marks, quote units."""
    m = b.q[v, lane]
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        m += b.q[at.first_perp(n) + i, lane] * marks[i] - b.cost[i, lane]
    return m


@stage
def notional_at(n, b, marks, v, lane):
    """Sum of |q| * mark over a venue's perps, quote units."""
    x = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        x += abs(b.q[at.first_perp(n) + i, lane]) * marks[i]
    return x


@stage
def maintenance_at(n, b, marks, tiers, v, lane):
    """Maintenance margin of a venue at the given marks; `tiers` is (perps, tiers, 4)."""
    x = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        x += maintenance(tiers[i], abs(b.q[at.first_perp(n) + i, lane]) * marks[i])
    return x


@stage
def withdrawable(n, b, marks, tiers, v, lane):
    """Cash a venue lets go: max(0, min(cash, margin - initial margin)); unrealised profit stays."""
    needed = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        needed += initial_margin(tiers[i], abs(b.q[at.first_perp(n) + i, lane]) * marks[i])
    free = margin_at(n, b, marks, v, lane) - needed
    free = free if free < b.q[v, lane] else b.q[v, lane]
    return free if free > 0.0 else 0.0


@stage
def test_extremes(n, b, h, lane):
    """Margin by venue at the adverse extremes of the hour; 1 where a venue has to be looked at closely.

    The book is as the last row's fills left it. `bound` is a rate no tier exceeds up to the notional `cap`.
    """
    perp = at.first_perp(n)
    flag = 0.0
    for v in range(len(n.cash)):
        m = b.q[v, lane]
        notional = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = b.q[perp + i, lane]
            # both are read before one is chosen: a choice between loads would not be vectorised
            low = q * h.low[i]
            high = q * h.high[i]
            x = low if q >= 0.0 else high
            m += x - b.cost[i, lane]
            notional += x if x >= 0.0 else -x
        b.worst_balance[v, lane] = m
        b.worst_notional[v, lane] = notional
        near = (m <= b.bound[v, lane] * notional) | (notional > b.cap[v, lane])
        flag = 1.0 if near & (notional > 0.0) else flag
    return flag


@stage
def assess(n, b, h, lane):
    """LTV, health factor at oracle prices, margin by venue at the marks; 1 where a venue needs a closer look."""
    y = len(n.cash)
    perp = at.first_perp(n)
    owed = 0.0
    for i in range(len(n.debt)):
        owed += b.q[y + len(n.token) + len(n.collateral) + i, lane] * h.owed[i]
    backing = 0.0
    limit = 0.0
    for i in range(len(n.collateral)):
        held = b.q[y + len(n.token) + i, lane]
        backing += held * h.oracle[i]
        limit += held * h.threshold[i]
    b.head[at.LTV, lane] = owed / backing if backing > 0.0 else 0.0
    b.head[at.HEALTH_FACTOR, lane] = limit / owed if owed > 0.0 else math.inf
    flag = 0.0
    for v in range(len(n.cash)):
        # in share class; the price of the quote cancels in every ratio
        m = b.q[v, lane] * h.value[v]
        notional = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            x = b.q[perp + i, lane] * h.value[perp + i]
            m += x - b.cost[i, lane] * h.value[v]
            notional += x if x >= 0.0 else -x
        b.balance[v, lane] = m
        b.notional[v, lane] = notional
        flag = 1.0 if (m <= b.bound[v, lane] * notional) & (notional > 0.0) else flag
    return flag


@stage
def rate_margins(n, b, lane):
    """Margin ratio by venue from balance and notional, now and at the hour's extremes; +inf where nothing is open.

    Divisions are slow: the pass over all lanes compares products, and only what is looked at is divided.
    """
    for v in range(len(n.cash)):
        x = b.notional[v, lane]
        b.margin[v, lane] = b.balance[v, lane] / x if x > 0.0 else math.inf
        x = b.worst_notional[v, lane]
        b.worst[v, lane] = b.worst_balance[v, lane] / x if x > 0.0 else math.inf


@stage
def level_of(x, warning, critical):
    """0, 1 beyond warning, 2 beyond critical (larger is worse)."""
    return (1.0 if x > warning else 0.0) + (1.0 if x > critical else 0.0)


@stage
def compare(n, b, h, lane):
    """Level of each measure now, into `level`; 1 where any differs from what was last reported in `alert`.

    `limit` holds warnings, then critical limits; measures for which less is worse are negated. Ratios are compared as
    products, without a division.
    """
    limit = b.limit
    k = at.measures(n)
    changed = 0.0
    now = level_of(b.head[at.LTV, lane], limit[0, lane], limit[k, lane])
    changed += abs(now - b.alert[0, lane])
    b.level[0, lane] = now
    now = level_of(-b.head[at.HEALTH_FACTOR, lane], limit[1, lane], limit[k + 1, lane])
    changed += abs(now - b.alert[1, lane])
    b.level[1, lane] = now
    for v in range(len(n.cash)):
        j = 2 + v
        x = b.notional[v, lane]
        now = level_of(-b.balance[v, lane], limit[j, lane] * x, limit[k + j, lane] * x)
        now = now if x > 0.0 else 0.0
        changed += abs(now - b.alert[j, lane])
        b.level[j, lane] = now
    e = b.head[at.EQUITY, lane]
    for a in range(len(n.asset)):
        j = 2 + len(n.cash) + a
        now = level_of(abs(b.delta[a, lane] * h.asset[a]), limit[j, lane] * e, limit[k + j, lane] * e)
        now = now if e > 0.0 else 0.0
        changed += abs(now - b.alert[j, lane])
        b.level[j, lane] = now
    peak = b.stat[at.PEAK, lane]
    now = level_of(peak - e, limit[k - 1, lane] * peak, limit[2 * k - 1, lane] * peak)
    now = now if peak > 0.0 else 0.0
    changed += abs(now - b.alert[k - 1, lane])
    b.level[k - 1, lane] = now
    return changed
