"""Values, gross exposure, delta by asset and equity of the book (accounting §3, §6)."""

from . import layout as at
from .numba.jit import stage


@stage
def moving_worth(n, cells, coef, i, lane):
    """Worth of a cash or token slot, what is under way to it included, share class."""
    b = at.book_at(n)
    return (cells[b.q + i, lane] + cells[b.transit + i, lane]) * coef[at.hour_at(n).value + i]


@stage
def pool_worth(n, cells, coef, i, lane):
    """Worth of a collateral or debt slot; a debt's value per unit is negative."""
    return cells[at.book_at(n).q + i, lane] * coef[at.hour_at(n).value + i]


@stage
def perp_worth(n, cells, coef, i, v, lane):
    """Unrealised P&L of perp `i` of the grid, at venue `v`."""
    b = at.book_at(n)
    h = at.hour_at(n)
    slot = at.first_perp(n) + i
    return cells[b.q + slot, lane] * coef[h.value + slot] - cells[b.cost + i, lane] * coef[h.value + v]


@stage
def expose(n, cells, coef, lane):
    """Equity, gross exposure, worth of the long leg; what is under way counts.

    `delta_of` follows for every asset.
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    y = len(n.cash)
    perp = at.first_perp(n)
    equity = 0.0
    gross = 0.0
    invested = 0.0
    for i in range(len(n.cash) + len(n.token)):
        x = moving_worth(n, cells, coef, i, lane)
        equity += x
        gross += (x if x >= 0.0 else -x) * coef[h.gross + i]
        invested += x * coef[h.invested + i]
    for j in range(len(n.collateral) + len(n.debt)):
        i = y + len(n.token) + j
        x = pool_worth(n, cells, coef, i, lane)
        equity += x
        gross += (x if x >= 0.0 else -x) * coef[h.gross + i]
        invested += x * coef[h.invested + i]
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            x = cells[b.q + perp + i, lane] * coef[h.value + perp + i]
            equity += perp_worth(n, cells, coef, i, v, lane)
            gross += x if x >= 0.0 else -x
    cells[b.head + at.EQUITY, lane] = equity
    cells[b.head + at.GROSS, lane] = gross
    cells[b.head + at.DRIFT, lane] = 0.0
    cells[b.head + at.INVESTED, lane] = invested


@stage
def delta_of(n, cells, coef, a, lane):
    """Delta of an asset in units, what is under way counted; the worth of the largest stands in DRIFT."""
    b = at.book_at(n)
    h = at.hour_at(n)
    y = len(n.cash)
    d = 0.0
    for i in range(len(n.cash) + len(n.token)):
        d += (cells[b.q + i, lane] + cells[b.transit + i, lane]) * (
            coef[h.unit + i] * coef[h.member + a * at.slots(n) + i]
        )
    for j in range(len(n.collateral) + len(n.debt) + len(n.cash) * len(n.market)):
        i = y + len(n.token) + j
        d += cells[b.q + i, lane] * (coef[h.unit + i] * coef[h.member + a * at.slots(n) + i])
    cells[b.delta + a, lane] = d
    x = d * coef[h.asset + a]
    x = x if x >= 0.0 else -x
    drift = cells[b.head + at.DRIFT, lane]
    cells[b.head + at.DRIFT, lane] = x if x > drift else drift
