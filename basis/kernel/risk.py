"""Risk of a portfolio in the pass over all lanes: margin at the extremes and marks, alert levels (accounting §6).

Divisions are slow: this pass compares products, and only what is looked at is divided.
"""

import math

from .numba.jit import stage
from .positions.lending import assess_accounts

#: A loan to value beyond every limit: a debt without collateral.
_BEYOND_EVERY_LIMIT = 1e100


@stage
def is_level_met(shape, state, lane, i, low, high, unit):
    """Whether prices from `low` to `high` meet the stop or the take-profit of perp `i`; levels times `unit`."""
    row = shape.state
    q = state[row.quantity + shape.first_perp + i, lane]
    stop = state[row.stop_price + i, lane] * unit
    take = state[row.take_profit_price + i, lane] * unit
    long = (low <= stop) | ((high >= take) & (take > 0.0))
    short = (low <= take) | ((high >= stop) & (stop > 0.0))
    return ((q > 0.0) & long) | ((q < 0.0) & short)


@stage
def check_extremes(shape, state, hour, lane):
    """Margin by venue at the adverse extremes of the hour; 1 where a venue has to be looked at closely.

    A stop or take-profit within the extremes is looked at, too. The portfolio is as the row before left it.
    """
    row = shape.state
    column = shape.hour
    flag = 0.0
    for v in range(shape.venues):
        margin = state[row.quantity + v, lane]
        notional = 0.0
        for k in range(shape.markets):
            i = v * shape.markets + k
            q = state[row.quantity + shape.first_perp + i, lane]
            # both are read before one is chosen: a choice between loads would not be vectorised
            low = q * hour[column.low + i]
            high = q * hour[column.high + i]
            x = low if q >= 0.0 else high
            margin += x - state[row.cost + i, lane]
            notional += x if x >= 0.0 else -x
        state[row.worst_margin + v, lane] = margin
        state[row.worst_notional + v, lane] = notional
        near = (margin <= state[row.maintenance_bound + v, lane] * notional) | (
            notional > state[row.bounded_notional + v, lane]
        )
        flag = 1.0 if near & (notional > 0.0) else flag
    for i in range(shape.stops):
        met = is_level_met(shape, state, lane, i, hour[column.low + i], hour[column.high + i], 1.0)
        flag = 1.0 if met else flag
    return flag


@stage
def assess_risk(shape, state, hour, lane):
    """LTV and health factor at oracle prices, margin by venue at the marks; 1 where a closer look is needed."""
    row = shape.state
    column = shape.hour
    flag = assess_accounts(shape, state, hour, lane)
    for v in range(shape.venues):
        # in share class; the price of the quote cancels in every ratio
        margin = state[row.quantity + v, lane] * hour[column.value + v]
        notional = 0.0
        for k in range(shape.markets):
            i = v * shape.markets + k
            slot = shape.first_perp + i
            x = state[row.quantity + slot, lane] * hour[column.value + slot]
            margin += x - state[row.cost + i, lane] * hour[column.value + v]
            notional += x if x >= 0.0 else -x
        state[row.margin + v, lane] = margin
        state[row.notional + v, lane] = notional
        near = (margin <= state[row.maintenance_bound + v, lane] * notional) & (notional > 0.0)
        flag = 1.0 if near else flag
        for k in range(shape.markets if shape.stops > 0 else 0):
            i = v * shape.markets + k
            mark = hour[column.value + shape.first_perp + i]
            met = is_level_met(shape, state, lane, i, mark, mark, hour[column.value + v])
            flag = 1.0 if met else flag
    return flag


@stage
def calculate_margin_ratios(shape, state, lane):
    """Margin ratio by venue, now and at the hour's extremes; +inf where nothing is open."""
    row = shape.state
    for v in range(shape.venues):
        x = state[row.notional + v, lane]
        state[row.margin_ratio + v, lane] = state[row.margin + v, lane] / x if x > 0.0 else math.inf
        x = state[row.worst_notional + v, lane]
        state[row.worst_margin_ratio + v, lane] = state[row.worst_margin + v, lane] / x if x > 0.0 else math.inf


@stage
def level_of(x, warning, critical):
    """0, 1 beyond warning, 2 beyond critical; larger is worse."""
    return (1.0 if x > warning else 0.0) + (1.0 if x > critical else 0.0)


@stage
def note_level(shape, state, lane, measure, level):
    """Keep the level of a measure; returns by how much it differs from what was last reported."""
    state[shape.state.level + measure, lane] = level
    return abs(level - state[shape.state.alert + measure, lane])


@stage
def compare_with_limits(shape, state, hour, lane):
    """Level of each measure now; above 0 where any differs from what was last reported.

    Measures for which less is worse are negated, as their limits are. Ratios are compared as products.
    """
    row = shape.state
    warning = shape.policy.warning
    critical = shape.policy.critical
    ltv = state[row.ltv, lane]
    ltv = ltv if ltv < _BEYOND_EVERY_LIMIT else _BEYOND_EVERY_LIMIT
    level = level_of(ltv, state[warning, lane], state[critical, lane])
    changed = note_level(shape, state, lane, 0, level)
    level = level_of(-state[row.health_factor, lane], state[warning + 1, lane], state[critical + 1, lane])
    changed += note_level(shape, state, lane, 1, level)
    for v in range(shape.venues):
        j = 2 + v
        x = state[row.notional + v, lane]
        level = level_of(-state[row.margin + v, lane], state[warning + j, lane] * x, state[critical + j, lane] * x)
        level = level if x > 0.0 else 0.0
        changed += note_level(shape, state, lane, j, level)
    equity = state[row.equity, lane]
    for a in range(shape.assets):
        j = 2 + shape.venues + a
        worth = abs(state[row.delta + a, lane] * hour[shape.hour.asset_price + a])
        level = level_of(worth, state[warning + j, lane] * equity, state[critical + j, lane] * equity)
        level = level if equity > 0.0 else 0.0
        changed += note_level(shape, state, lane, j, level)
    j = shape.measures - 1
    peak = state[row.peak_equity, lane]
    level = level_of(peak - equity, state[warning + j, lane] * peak, state[critical + j, lane] * peak)
    level = level if peak > 0.0 else 0.0
    return changed + note_level(shape, state, lane, j, level)
