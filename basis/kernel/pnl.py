"""P&L of the holding drift by column, and the running statistics with the identity (accounting §5)."""

from . import layout as at
from .jit import stage


@stage
def attribute(n, b, h, lane):
    """What the book earned from row t-1 to t at unchanged quantities, split exactly by column."""
    y = len(n.cash)
    debt = y + len(n.token) + len(n.collateral)
    perp = at.first_perp(n)
    price = 0.0
    staking = 0.0
    peg = 0.0
    for i in range(len(n.cash)):
        price += (b.q[i, lane] + b.transit[i, lane]) * h.price[i]
    for i in range(len(n.token)):
        held = b.q[y + i, lane] + b.transit[y + i, lane]
        price += held * h.price[y + i]
        staking += held * h.staking[i]
        peg += held * h.peg[i]
    supply = 0.0
    for i in range(len(n.collateral)):
        c = len(n.token) + i
        held = b.q[y + c, lane]
        price += held * h.price[y + c]
        staking += held * h.staking[c]
        peg += held * h.peg[c]
        supply += held * h.supply[i]
    borrow = 0.0
    for i in range(len(n.debt)):
        price += b.q[debt + i, lane] * h.price[debt + i]
        borrow += b.q[debt + i, lane] * h.borrow[i]
    basis = 0.0
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            # the quote term: unrealised P&L is a claim in the quote asset
            price += b.q[perp + i, lane] * h.price[perp + i] - b.cost[i, lane] * h.price[v]
            basis += b.q[perp + i, lane] * h.basis[i]
    b.column[at.DELTA, lane] += price
    b.column[at.STAKING, lane] += staking
    b.column[at.PEG, lane] += peg
    b.column[at.SUPPLY, lane] += supply
    b.column[at.BORROW, lane] += borrow
    b.column[at.BASIS, lane] += basis


@stage
def settle_funding(n, b, h, lane):
    """Funding on what survived the hour: cash = -q * mark(t_f) * rate, booked at the quote's price."""
    perp = at.first_perp(n)
    for v in range(len(n.cash)):
        paid = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            paid += b.q[perp + i, lane] * h.funding[i]
        b.q[v, lane] -= paid
        worth = paid * h.value[v]
        b.funding[v, lane] -= worth
        b.column[at.FUNDING, lane] -= worth


@stage
def summarise(n, b, lane):
    """Statistics after the row's fills; returns by how much the identity is off.

    The deepest drawdown and the least margin are kept as pairs and compared by products: no division.
    """
    s = b.stat
    e = b.head[at.EQUITY, lane]
    for v in range(len(n.cash)):
        less = (
            b.worst_balance[v, lane] * s[at.LEAST_NOTIONAL, lane]
            < s[at.LEAST_BALANCE, lane] * b.worst_notional[v, lane]
        )
        less = less & (b.worst_notional[v, lane] > 0.0)
        s[at.LEAST_BALANCE, lane] = b.worst_balance[v, lane] if less else s[at.LEAST_BALANCE, lane]
        s[at.LEAST_NOTIONAL, lane] = b.worst_notional[v, lane] if less else s[at.LEAST_NOTIONAL, lane]
    peak = s[at.PEAK, lane]
    peak = e if e > peak else peak
    s[at.PEAK, lane] = peak
    deeper = e * s[at.DEEPEST_PEAK, lane] < s[at.DEEPEST, lane] * peak
    s[at.DEEPEST, lane] = e if deeper else s[at.DEEPEST, lane]
    s[at.DEEPEST_PEAK, lane] = peak if deeper else s[at.DEEPEST_PEAK, lane]
    total = 0.0
    for c in range(at.COLUMNS):
        total += b.column[c, lane]
    off = e - s[at.CAPITAL, lane] - b.head[at.FLOWS, lane] - total
    off = off if off >= 0.0 else -off
    s[at.RESIDUAL, lane] = off if off > s[at.RESIDUAL, lane] else s[at.RESIDUAL, lane]
    return off
