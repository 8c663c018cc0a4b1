"""P&L of the holding drift by column, the running statistics, and the identity (accounting §5)."""

from .layout.codes import COLUMNS
from .numba.jit import stage
from .positions.exchange import cash_drift, perp_drift
from .positions.lending import debt_drift, supply_drift
from .positions.rewards import reward_drift
from .positions.staking import token_drift

#: By how much balance-based and attributed P&L may differ, relative to the capital and all flows.
IDENTITY_TOLERANCE = 1e-9
#: What the identity says of a row.
HOLDS, INSOLVENT, BROKEN = range(3)


@stage
def attribute(shape, state, hour, lane):
    """What the portfolio earned from row t-1 to t at unchanged quantities, split exactly by column."""
    price = cash_drift(shape, state, hour, lane)
    dust = reward_drift(shape, state, hour, lane)
    price, staking, peg = token_drift(shape, state, hour, lane, price)
    price, staking, peg, supply = supply_drift(shape, state, hour, lane, price, staking, peg)
    price, staking, peg, borrow = debt_drift(shape, state, hour, lane, price, staking, peg)
    price, basis = perp_drift(shape, state, hour, lane, price)
    row = shape.pnl
    state[row.delta, lane] += price
    state[row.staking_yield, lane] += staking
    state[row.peg, lane] += peg
    state[row.supply_yield, lane] += supply
    state[row.borrow_cost, lane] += borrow
    state[row.basis, lane] += basis
    state[row.dust, lane] += dust


@stage
def note_least_margin(shape, state, lane):
    """Keep the smallest margin ratio at the extremes as a pair that is compared by products."""
    row = shape.state
    for v in range(shape.venues):
        margin = state[row.worst_margin + v, lane]
        notional = state[row.worst_notional + v, lane]
        less = margin * state[row.least_margin_notional, lane] < state[row.least_margin, lane] * notional
        less = less & (notional > 0.0)
        state[row.least_margin, lane] = margin if less else state[row.least_margin, lane]
        state[row.least_margin_notional, lane] = notional if less else state[row.least_margin_notional, lane]


@stage
def note_drawdown(shape, state, lane):
    """Keep the peak, and the deepest drawdown as a pair that is compared by products."""
    row = shape.state
    equity = state[row.equity, lane]
    peak = state[row.peak_equity, lane]
    peak = equity if equity > peak else peak
    state[row.peak_equity, lane] = peak
    deeper = equity * state[row.trough_peak, lane] < state[row.trough_equity, lane] * peak
    state[row.trough_equity, lane] = equity if deeper else state[row.trough_equity, lane]
    state[row.trough_peak, lane] = peak if deeper else state[row.trough_peak, lane]


@stage
def identity_residual(shape, state, lane):
    """By how much balance-based and attributed P&L differ, share class."""
    row = shape.state
    total = 0.0
    for c in range(COLUMNS):
        total += state[c, lane]
    off = state[row.equity, lane] - state[row.capital, lane] - state[row.net_flows, lane] - total
    off = off if off >= 0.0 else -off
    largest = state[row.largest_residual, lane]
    state[row.largest_residual, lane] = off if off > largest else largest
    return off


@stage
def check_identity(shape, state, lane):
    """Statistics of the row after its fills; HOLDS, INSOLVENT, or BROKEN where the identity is."""
    row = shape.state
    moved = state[row.capital_moved, lane]
    scale = moved if moved > 1.0 else 1.0
    note_least_margin(shape, state, lane)
    note_drawdown(shape, state, lane)
    off = identity_residual(shape, state, lane)
    lost = (state[row.equity, lane] < -IDENTITY_TOLERANCE * scale) & (state[shape.policy.rebalance, lane] > 0.0)
    return (1.0 if lost else 0.0) if off <= IDENTITY_TOLERANCE * scale else 2.0
