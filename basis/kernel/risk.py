"""LTV, health factor, margin ratios, maintenance margin and alert levels (accounting §6)."""

import math

from . import layout as at
from .numba.jit import stage

_BEYOND = 1e100


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
def margin_at(n, cells, marks, first, v, lane):
    """Margin balance of a venue (cash and unrealised P&L) at the given marks, quote units."""
    b = at.book_at(n)
    m = cells[b.q + v, lane]
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        m += cells[b.q + at.first_perp(n) + i, lane] * marks[first + i] - cells[b.cost + i, lane]
    return m


@stage
def notional_at(n, cells, marks, first, v, lane):
    """Sum of |q| * mark over a venue's perps, quote units."""
    b = at.book_at(n)
    x = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        x += abs(cells[b.q + at.first_perp(n) + i, lane]) * marks[first + i]
    return x


@stage
def maintenance_at(n, cells, marks, first, tiers, v, lane):
    """Maintenance margin of a venue at the given marks; `tiers` is (perps, tiers, 4)."""
    b = at.book_at(n)
    x = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        x += maintenance(tiers[i], abs(cells[b.q + at.first_perp(n) + i, lane]) * marks[first + i])
    return x


@stage
def withdrawable(n, cells, marks, first, tiers, v, lane):
    """Cash a venue lets go: max(0, min(cash, margin - initial margin)); unrealised profit stays."""
    b = at.book_at(n)
    needed = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        needed += initial_margin(tiers[i], abs(cells[b.q + at.first_perp(n) + i, lane]) * marks[first + i])
    free = margin_at(n, cells, marks, first, v, lane) - needed
    free = free if free < cells[b.q + v, lane] else cells[b.q + v, lane]
    return free if free > 0.0 else 0.0


@stage
def touches(n, cells, i, low, high, unit, lane):
    """Whether prices between `low` and `high` meet the stop or the take-profit of perp `i`; levels times `unit`."""
    b = at.book_at(n)
    q = cells[b.q + at.first_perp(n) + i, lane]
    stop = cells[b.stop + i, lane] * unit
    take = cells[b.take + i, lane] * unit
    long = (low <= stop) | ((high >= take) & (take > 0.0))
    short = (low <= take) | ((high >= stop) & (stop > 0.0))
    return ((q > 0.0) & long) | ((q < 0.0) & short)


@stage
def test_extremes(n, cells, coef, lane):
    """Margin by venue at the adverse extremes of the hour; 1 where a venue has to be looked at closely.

    So it has where a stop or a take-profit lies within the extremes. The book is as the last row's fills left it.
    `bound` is a rate no tier exceeds up to the notional `cap`.
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    perp = at.first_perp(n)
    flag = 0.0
    for v in range(len(n.cash)):
        m = cells[b.q + v, lane]
        notional = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = cells[b.q + perp + i, lane]
            # both are read before one is chosen: a choice between loads would not be vectorised
            low = q * coef[h.low + i]
            high = q * coef[h.high + i]
            x = low if q >= 0.0 else high
            m += x - cells[b.cost + i, lane]
            notional += x if x >= 0.0 else -x
        cells[b.worst_balance + v, lane] = m
        cells[b.worst_notional + v, lane] = notional
        near = (m <= cells[b.bound + v, lane] * notional) | (notional > cells[b.cap + v, lane])
        flag = 1.0 if near & (notional > 0.0) else flag
    for i in range(len(n.stop)):
        flag = 1.0 if touches(n, cells, i, coef[h.low + i], coef[h.high + i], 1.0, lane) else flag
    return flag


@stage
def shock(n, tape, scene, j):
    """Worth of collateral or debt `j` (a USD after both) over that at the row's prices: in the row (scene 0), and at
    the lowest (1) and the highest (2) prices of the hour that ended."""
    quote = at.quote_at(n)
    return 1.0 if scene == 0 else tape[(quote.down if scene == 1 else quote.up) + j]


@stage
def shocked_sums(n, cells, coef, tape, scene, lane):
    """`lending_sums` in a scene of `shock`."""
    b = at.book_at(n)
    h = at.hour_at(n)
    first = len(n.cash) + len(n.token)
    owed = 0.0
    for i in range(len(n.debt)):
        j = len(n.collateral) + i
        owed += cells[b.q + first + j, lane] * coef[h.owed + i] * shock(n, tape, scene, j)
    backing = 0.0
    limit = 0.0
    for i in range(len(n.collateral)):
        held = cells[b.q + first + i, lane] * shock(n, tape, scene, i)
        backing += held * coef[h.oracle + i]
        limit += held * coef[h.threshold + i]
    return owed, backing, limit


@stage
def lending_sums(n, cells, coef, lane):
    """Owed, collateral, collateral weighted by its liquidation threshold; oracle worth in share class."""
    b = at.book_at(n)
    h = at.hour_at(n)
    first = len(n.cash) + len(n.token)
    owed = 0.0
    for i in range(len(n.debt)):
        owed += cells[b.q + first + len(n.collateral) + i, lane] * coef[h.owed + i]
    backing = 0.0
    limit = 0.0
    for i in range(len(n.collateral)):
        held = cells[b.q + first + i, lane]
        backing += held * coef[h.oracle + i]
        limit += held * coef[h.threshold + i]
    return owed, backing, limit


@stage
def assess(n, cells, coef, lane):
    """LTV, health factor at oracle prices, margin by venue at the marks; 1 where a closer look is needed."""
    b = at.book_at(n)
    h = at.hour_at(n)
    perp = at.first_perp(n)
    owed, backing, limit = lending_sums(n, cells, coef, lane)
    cells[b.head + at.LTV, lane] = owed / backing if backing > 0.0 else (math.inf if owed > 0.0 else 0.0)
    cells[b.head + at.HEALTH_FACTOR, lane] = limit / owed if owed > 0.0 else math.inf
    flag = 1.0 if limit * coef[h.thin + 0] < owed else 0.0
    for v in range(len(n.cash)):
        # in share class; the price of the quote cancels in every ratio
        m = cells[b.q + v, lane] * coef[h.value + v]
        notional = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            x = cells[b.q + perp + i, lane] * coef[h.value + perp + i]
            m += x - cells[b.cost + i, lane] * coef[h.value + v]
            notional += x if x >= 0.0 else -x
        cells[b.balance + v, lane] = m
        cells[b.notional + v, lane] = notional
        flag = 1.0 if (m <= cells[b.bound + v, lane] * notional) & (notional > 0.0) else flag
        for k in range(len(n.market) if len(n.stop) > 0 else 0):
            i = v * len(n.market) + k
            mark = coef[h.value + perp + i]
            flag = 1.0 if touches(n, cells, i, mark, mark, coef[h.value + v], lane) else flag
    return flag


@stage
def rate_margins(n, cells, lane):
    """Margin ratio by venue from balance and notional, now and at the hour's extremes; +inf where nothing is open.

    Divisions are slow: the pass over all lanes compares products, and only what is looked at is divided.
    """
    b = at.book_at(n)
    for v in range(len(n.cash)):
        x = cells[b.notional + v, lane]
        cells[b.margin + v, lane] = cells[b.balance + v, lane] / x if x > 0.0 else math.inf
        x = cells[b.worst_notional + v, lane]
        cells[b.worst + v, lane] = cells[b.worst_balance + v, lane] / x if x > 0.0 else math.inf


@stage
def level_of(x, warning, critical):
    """0, 1 beyond warning, 2 beyond critical (larger is worse)."""
    return (1.0 if x > warning else 0.0) + (1.0 if x > critical else 0.0)


@stage
def compare(n, cells, coef, lane):
    """Level of each measure now, into `level`; 1 where any differs from what was last reported in `alert`.

    `limit` holds warnings, then critical limits; measures for which less is worse are negated. Ratios are compared as
    products, without a division.
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    k = at.measures(n)
    changed = 0.0
    ltv = cells[b.head + at.LTV, lane]
    # a debt without collateral is beyond every limit there is
    ltv = ltv if ltv < _BEYOND else _BEYOND
    now = level_of(ltv, cells[b.limit + 0, lane], cells[b.limit + k, lane])
    changed += abs(now - cells[b.alert + 0, lane])
    cells[b.level + 0, lane] = now
    now = level_of(-cells[b.head + at.HEALTH_FACTOR, lane], cells[b.limit + 1, lane], cells[b.limit + k + 1, lane])
    changed += abs(now - cells[b.alert + 1, lane])
    cells[b.level + 1, lane] = now
    for v in range(len(n.cash)):
        j = 2 + v
        x = cells[b.notional + v, lane]
        now = level_of(-cells[b.balance + v, lane], cells[b.limit + j, lane] * x, cells[b.limit + k + j, lane] * x)
        now = now if x > 0.0 else 0.0
        changed += abs(now - cells[b.alert + j, lane])
        cells[b.level + j, lane] = now
    e = cells[b.head + at.EQUITY, lane]
    for a in range(len(n.asset)):
        j = 2 + len(n.cash) + a
        now = level_of(
            abs(cells[b.delta + a, lane] * coef[h.asset + a]),
            cells[b.limit + j, lane] * e,
            cells[b.limit + k + j, lane] * e,
        )
        now = now if e > 0.0 else 0.0
        changed += abs(now - cells[b.alert + j, lane])
        cells[b.level + j, lane] = now
    peak = cells[b.stat + at.PEAK, lane]
    now = level_of(peak - e, cells[b.limit + k - 1, lane] * peak, cells[b.limit + 2 * k - 1, lane] * peak)
    now = now if peak > 0.0 else 0.0
    changed += abs(now - cells[b.alert + k - 1, lane])
    cells[b.level + k - 1, lane] = now
    return changed
