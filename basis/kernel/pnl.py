"""P&L of the holding drift by column, and the running statistics with the identity (accounting §5)."""

from . import layout as at
from .numba.jit import stage


@stage
def attribute(n, cells, coef, lane):
    """What the book earned from row t-1 to t at unchanged quantities, split exactly by column."""
    b = at.book_at(n)
    h = at.hour_at(n)
    y = len(n.cash)
    debt = y + len(n.token) + len(n.collateral)
    perp = at.first_perp(n)
    price = 0.0
    staking = 0.0
    peg = 0.0
    for i in range(len(n.cash)):
        price += (cells[b.q + i, lane] + cells[b.transit + i, lane]) * coef[h.price + i]
    plain = len(n.token) - len(n.reward)
    dust = 0.0
    for i in range(len(n.reward)):
        j = y + plain + i
        dust += (cells[b.q + j, lane] + cells[b.transit + j, lane]) * coef[h.price + j]
    for i in range(plain):
        held = cells[b.q + y + i, lane] + cells[b.transit + y + i, lane]
        price += held * coef[h.price + y + i]
        staking += held * coef[h.staking + i]
        peg += held * coef[h.peg + i]
    supply = 0.0
    for i in range(len(n.collateral)):
        c = len(n.token) + i
        held = cells[b.q + y + c, lane]
        price += held * coef[h.price + y + c]
        staking += held * coef[h.staking + c]
        peg += held * coef[h.peg + c]
        supply += held * coef[h.supply + i]
    borrow = 0.0
    for i in range(len(n.debt)):
        c = len(n.token) + len(n.collateral) + i
        price += cells[b.q + debt + i, lane] * coef[h.price + debt + i]
        staking += cells[b.q + debt + i, lane] * coef[h.staking + c]
        peg += cells[b.q + debt + i, lane] * coef[h.peg + c]
        borrow += cells[b.q + debt + i, lane] * coef[h.borrow + i]
    basis = 0.0
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            # the quote term: unrealised P&L is a claim in the quote asset
            price += (
                cells[b.q + perp + i, lane] * coef[h.price + perp + i] - cells[b.cost + i, lane] * coef[h.price + v]
            )
            basis += cells[b.q + perp + i, lane] * coef[h.basis + i]
    cells[b.column + at.DELTA, lane] += price
    cells[b.column + at.STAKING, lane] += staking
    cells[b.column + at.PEG, lane] += peg
    cells[b.column + at.SUPPLY, lane] += supply
    cells[b.column + at.BORROW, lane] += borrow
    cells[b.column + at.BASIS, lane] += basis
    cells[b.column + at.DUST, lane] += dust


@stage
def settle_funding(n, cells, coef, lane):
    """Funding on what survived the hour: cash = -q * mark(t_f) * rate, booked at the quote's price."""
    b = at.book_at(n)
    h = at.hour_at(n)
    perp = at.first_perp(n)
    for v in range(len(n.cash)):
        paid = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            paid += cells[b.q + perp + i, lane] * coef[h.funding + i]
        cells[b.q + v, lane] -= paid
        worth = paid * coef[h.value + v]
        cells[b.funding + v, lane] -= worth
        cells[b.column + at.FUNDING, lane] -= worth


@stage
def summarise(n, cells, lane):
    """Statistics after the row's fills; returns by how much the identity is off.

    The deepest drawdown and the least margin are kept as pairs and compared by products: no division.
    """
    b = at.book_at(n)
    e = cells[b.head + at.EQUITY, lane]
    for v in range(len(n.cash)):
        less = (
            cells[b.worst_balance + v, lane] * cells[b.stat + at.LEAST_NOTIONAL, lane]
            < cells[b.stat + at.LEAST_BALANCE, lane] * cells[b.worst_notional + v, lane]
        )
        less = less & (cells[b.worst_notional + v, lane] > 0.0)
        cells[b.stat + at.LEAST_BALANCE, lane] = (
            cells[b.worst_balance + v, lane] if less else cells[b.stat + at.LEAST_BALANCE, lane]
        )
        cells[b.stat + at.LEAST_NOTIONAL, lane] = (
            cells[b.worst_notional + v, lane] if less else cells[b.stat + at.LEAST_NOTIONAL, lane]
        )
    peak = cells[b.stat + at.PEAK, lane]
    peak = e if e > peak else peak
    cells[b.stat + at.PEAK, lane] = peak
    deeper = e * cells[b.stat + at.DEEPEST_PEAK, lane] < cells[b.stat + at.DEEPEST, lane] * peak
    cells[b.stat + at.DEEPEST, lane] = e if deeper else cells[b.stat + at.DEEPEST, lane]
    cells[b.stat + at.DEEPEST_PEAK, lane] = peak if deeper else cells[b.stat + at.DEEPEST_PEAK, lane]
    total = 0.0
    for c in range(at.COLUMNS):
        total += cells[b.column + c, lane]
    off = e - cells[b.stat + at.CAPITAL, lane] - cells[b.head + at.FLOWS, lane] - total
    off = off if off >= 0.0 else -off
    cells[b.stat + at.RESIDUAL, lane] = (
        off if off > cells[b.stat + at.RESIDUAL, lane] else cells[b.stat + at.RESIDUAL, lane]
    )
    return off
