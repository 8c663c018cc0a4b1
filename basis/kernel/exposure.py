"""Values, gross exposure, delta by asset and equity of the book (accounting §3, §6)."""

from . import layout as at
from .jit import stage


@stage
def expose(n, b, h, lane):
    """Equity, gross, delta by asset in units; worth of the largest delta and of the long leg.

    What is under way counts in equity and delta. A debt's value per unit is negative.
    """
    y = len(n.cash)
    perp = at.first_perp(n)
    equity = 0.0
    gross = 0.0
    invested = 0.0
    for i in range(len(n.cash) + len(n.token)):
        x = (b.q[i, lane] + b.transit[i, lane]) * h.value[i]
        equity += x
        gross += (x if x >= 0.0 else -x) * h.gross[i]
        invested += x * h.invested[i]
    for j in range(len(n.collateral) + len(n.debt)):
        i = y + len(n.token) + j
        x = b.q[i, lane] * h.value[i]
        equity += x
        gross += (x if x >= 0.0 else -x) * h.gross[i]
        invested += x * h.invested[i]
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            x = b.q[perp + i, lane] * h.value[perp + i]
            equity += x - b.cost[i, lane] * h.value[v]
            gross += x if x >= 0.0 else -x
    drift = 0.0
    for a in range(len(n.asset)):
        d = 0.0
        for i in range(len(n.cash) + len(n.token)):
            d += (b.q[i, lane] + b.transit[i, lane]) * (h.unit[i] * h.member[a * at.slots(n) + i])
        for j in range(len(n.collateral) + len(n.debt) + len(n.cash) * len(n.market)):
            i = y + len(n.token) + j
            d += b.q[i, lane] * (h.unit[i] * h.member[a * at.slots(n) + i])
        b.delta[a, lane] = d
        x = d * h.asset[a]
        x = x if x >= 0.0 else -x
        drift = x if x > drift else drift
    b.head[at.EQUITY, lane] = equity
    b.head[at.GROSS, lane] = gross
    b.head[at.DRIFT, lane] = drift
    b.head[at.INVESTED, lane] = invested
