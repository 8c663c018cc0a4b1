"""P&L of the holding drift by column, and the running statistics with the identity (accounting §5)."""

from .jit import stage
from .layout import (
    BASIS,
    BORROW,
    CAPITAL,
    COLUMNS,
    DELTA,
    DRAWDOWN,
    EQUITY,
    FLOW,
    FLOWS,
    FUNDING,
    HEALTH_FACTOR,
    MIN_HEALTH_FACTOR,
    MIN_MARGIN,
    PEAK,
    PEG,
    PREVIOUS,
    RESIDUAL,
    STAKING,
    SUM,
    SUM_SQUARES,
    SUPPLY,
    first_perp,
)  # fmt: skip


@stage
def attribute(n, b, h, lane):
    """What the book earned from row t-1 to t at unchanged quantities, split exactly by column."""
    y = len(n.cash)
    debt = y + len(n.token) + len(n.collateral)
    perp = first_perp(n)
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
    b.column[DELTA, lane] += price
    b.column[STAKING, lane] += staking
    b.column[PEG, lane] += peg
    b.column[SUPPLY, lane] += supply
    b.column[BORROW, lane] += borrow
    b.column[BASIS, lane] += basis


@stage
def settle_funding(n, b, h, lane):
    """Funding on what survived the hour: cash = -q * mark(t_f) * rate, booked at the quote's price."""
    perp = first_perp(n)
    for v in range(len(n.cash)):
        paid = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            paid += b.q[perp + i, lane] * h.funding[i]
        b.q[v, lane] -= paid
        worth = paid * h.value[v]
        b.funding[v, lane] -= worth
        b.column[FUNDING, lane] -= worth


@stage
def summarise(n, b, lane):
    """Statistics after the row's fills; returns by how much the identity is off."""
    s = b.stat
    now = b.head
    s[MIN_HEALTH_FACTOR, lane] = (
        now[HEALTH_FACTOR, lane] if now[HEALTH_FACTOR, lane] < s[MIN_HEALTH_FACTOR, lane] else s[MIN_HEALTH_FACTOR, lane]
    )
    for v in range(len(n.cash)):
        s[MIN_MARGIN, lane] = b.worst[v, lane] if b.worst[v, lane] < s[MIN_MARGIN, lane] else s[MIN_MARGIN, lane]
        s[MIN_MARGIN, lane] = b.margin[v, lane] if b.margin[v, lane] < s[MIN_MARGIN, lane] else s[MIN_MARGIN, lane]
    e = now[EQUITY, lane]
    before = s[PREVIOUS, lane]
    r = (e - now[FLOW, lane]) / before - 1.0 if before != 0.0 else 0.0
    s[PREVIOUS, lane] = e
    s[SUM, lane] += r
    s[SUM_SQUARES, lane] += r * r
    # time-weighted: a flow moves the peak in proportion
    peak = s[PEAK, lane] * (e / (e - now[FLOW, lane])) if (now[FLOW, lane] != 0.0) & (e != now[FLOW, lane]) else s[PEAK, lane]
    peak = e if e > peak else peak
    s[PEAK, lane] = peak
    d = 1.0 - e / peak if peak > 0.0 else 0.0
    s[DRAWDOWN, lane] = d if d > s[DRAWDOWN, lane] else s[DRAWDOWN, lane]
    total = 0.0
    for c in range(COLUMNS):
        total += b.column[c, lane]
    off = e - s[CAPITAL, lane] - now[FLOWS, lane] - total
    off = off if off >= 0.0 else -off
    s[RESIDUAL, lane] = off if off > s[RESIDUAL, lane] else s[RESIDUAL, lane]
    return off
