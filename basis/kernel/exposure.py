"""Values, gross exposure, delta by asset and equity of a portfolio (accounting §3, §6)."""

from .numba.jit import stage


@stage
def moving_value(shape, state, hour, lane, slot):
    """Worth of a cash or token slot, what is under way to it included, share class."""
    row = shape.state
    held = state[row.quantity + slot, lane] + state[row.transit + slot, lane]
    return held * hour[shape.hour.value + slot]


@stage
def lent_value(shape, state, hour, lane, slot):
    """Worth of a collateral or debt slot; a debt's value per unit is below 0."""
    return state[shape.state.quantity + slot, lane] * hour[shape.hour.value + slot]


@stage
def perp_value(shape, state, hour, lane, i, venue):
    """Unrealised P&L of perp `i` of the grid, at a venue."""
    row = shape.state
    value = shape.hour.value
    slot = shape.first_perp + i
    return state[row.quantity + slot, lane] * hour[value + slot] - state[row.cost + i, lane] * hour[value + venue]


@stage
def calculate_exposure(shape, state, hour, lane):
    """Equity, gross exposure and worth of the long leg; what is under way counts. `calculate_delta` follows."""
    row = shape.state
    column = shape.hour
    equity = 0.0
    gross = 0.0
    invested = 0.0
    for slot in range(shape.moving):
        x = moving_value(shape, state, hour, lane, slot)
        equity += x
        gross += (x if x >= 0.0 else -x) * hour[column.is_gross + slot]
        invested += x * hour[column.is_invested + slot]
    for j in range(shape.lent):
        slot = shape.first_collateral + j
        x = lent_value(shape, state, hour, lane, slot)
        equity += x
        gross += (x if x >= 0.0 else -x) * hour[column.is_gross + slot]
        invested += x * hour[column.is_invested + slot]
    for v in range(shape.venues):
        for k in range(shape.markets):
            i = v * shape.markets + k
            slot = shape.first_perp + i
            x = state[row.quantity + slot, lane] * hour[column.value + slot]
            equity += perp_value(shape, state, hour, lane, i, v)
            gross += x if x >= 0.0 else -x
    state[row.equity, lane] = equity
    state[row.gross, lane] = gross
    state[row.delta_drift, lane] = 0.0
    state[row.invested, lane] = invested


@stage
def calculate_delta(shape, state, hour, lane, asset):
    """Net delta of an asset in units, what is under way included; the worth of the largest is `delta_drift`."""
    row = shape.state
    column = shape.hour
    counted = column.in_asset + asset * shape.slots
    delta = 0.0
    for slot in range(shape.moving):
        held = state[row.quantity + slot, lane] + state[row.transit + slot, lane]
        delta += held * (hour[column.unit + slot] * hour[counted + slot])
    for j in range(shape.lent + shape.perps):
        slot = shape.first_collateral + j
        delta += state[row.quantity + slot, lane] * (hour[column.unit + slot] * hour[counted + slot])
    state[row.delta + asset, lane] = delta
    x = delta * hour[column.asset_price + asset]
    x = x if x >= 0.0 else -x
    drift = state[row.delta_drift, lane]
    state[row.delta_drift, lane] = x if x > drift else drift


@stage
def calculate_all_exposure(shape, state, hour, lane):
    """Exposure and the delta of every asset."""
    calculate_exposure(shape, state, hour, lane)
    for asset in range(shape.assets):
        calculate_delta(shape, state, hour, lane, asset)
