"""The state with which a run begins, and what is read of recorded rows afterwards: the checked Python side."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from .context import view
from .exposure import lent_value, moving_value, perp_value
from .layout import codes
from .layout.shape import Shape, state_views
from .margin import maintenance_margin
from .numba.jit import compiled, kernel, stage

#: Doubles of a cache line of 64 bytes.
_LINE = 8


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros whose first element starts on a cache line."""
    size = int(np.prod(shape))
    raw = np.zeros(size + _LINE)
    start = (-raw.ctypes.data % (8 * _LINE)) // 8
    return raw[start : start + size].reshape(shape)


def aligned_copy(state_block: np.ndarray) -> np.ndarray:
    """A copy of a state block, aligned as it has to be."""
    out = aligned(state_block.shape)
    out[:] = state_block
    return out


def opening_state(shape: Shape, quantities: Mapping[int, float], costs: Mapping[int, float], capital: float) -> Any:
    """State block (rows, lanes) of a portfolio that has `capital` to account for.

    Parameters
    ----------
    quantities : by slot
    costs : cost K by perp of the grid
    capital : what the holdings are worth in row 0, share class
    """
    state_block = aligned((shape.rows, shape.lanes))
    state = state_views(shape, state_block)
    for slot, amount in quantities.items():
        state.quantity[slot] = amount
    for i, amount in costs.items():
        state.cost[i] = amount
    for line in (state.capital, state.peak_equity, state.capital_moved, state.trough_equity, state.trough_peak):
        line[:] = capital
    state.least_margin[:] = 1.0
    state.next_arrival[:] = np.inf
    state.worst_margin_ratio[:] = np.inf
    return state_block


def set_policy(shape: Shape, state_block: np.ndarray, policy: np.ndarray, liquidates: bool) -> None:
    """Put what a run follows into its state.

    Parameters
    ----------
    policy : (policies, 1), or a column for each lane
    liquidates : whether liquidations are simulated
    """
    state_block[shape.rows - shape.policies :] = policy
    state = state_views(shape, state_block)
    state.maintenance_bound[:] = 0.0 if liquidates else -codes.NO_LIMIT
    state.bounded_notional[:] = 0.0 if liquidates else np.inf


@stage
def ratio_of_row(run, terms, quantities, marks, venue):
    """Maintenance margin over notional of a venue for quantities of its perps at marks; 0 where nothing is open."""
    markets = run.shape.markets
    notional = 0.0
    for k in range(markets):
        i = venue * markets + k
        notional += abs(quantities[i]) * marks[i]
    needed = 0.0
    for k in range(markets):
        i = venue * markets + k
        needed += maintenance_margin(run.terms.tier[terms, i], abs(quantities[i]) * marks[i])
    return needed / notional if notional > 0.0 else 0.0


@kernel
def write_maintenance_ratios(handle, first, stop, out):
    """Maintenance margin over notional by row: by venue after fills, then by venue at the hour's extremes.

    The run's record holds the rows; `out` is (stop - first, 2 * venues). The extremes meet the portfolio as the row
    before left it, under that row's terms.
    """
    run = view(handle)
    shape = run.shape
    place = shape.state.quantity + shape.first_perp
    quantities = np.zeros(shape.perps)
    marks = np.zeros(shape.perps)
    for t in range(first, stop):
        hour = run.hours[t]
        for i in range(shape.perps):
            quantities[i] = run.record[t - 1, place + i] if t > 0 else 0.0
            marks[i] = hour[shape.hour.low + i] if quantities[i] >= 0.0 else hour[shape.hour.high + i]
        for v in range(shape.venues if t > 0 else 0):
            ratio = ratio_of_row(run, run.terms_index[t - 1], quantities, marks, v)
            out[t - first, shape.venues + v] = ratio
        for i in range(shape.perps):
            quantities[i] = run.record[t, place + i]
            marks[i] = run.market.mark[t, i]
        for v in range(shape.venues):
            out[t - first, v] = ratio_of_row(run, run.terms_index[t], quantities, marks, v)


@kernel
def write_slot_values(handle, first, stop, out):
    """Worth of every slot by row after its fills, share class; `out` is (stop - first, slots)."""
    run = view(handle)
    shape = run.shape
    state = np.zeros((shape.rows, 1))
    for t in range(first, stop):
        hour = run.hours[t]
        for j in range(shape.recorded):
            state[j, 0] = run.record[t, j]
        for slot in range(shape.moving):
            out[t - first, slot] = moving_value(shape, state, hour, 0, slot)
        for slot in range(shape.first_collateral, shape.first_perp):
            out[t - first, slot] = lent_value(shape, state, hour, 0, slot)
        for i in range(shape.perps):
            out[t - first, shape.first_perp + i] = perp_value(shape, state, hour, 0, i, i // shape.markets)


@functools.cache
def _compiled(function: Any) -> Any:
    return compiled(function, (np.zeros(1, dtype=np.int64), 0, 0, np.zeros((1, 1))))


def maintenance_ratios(handle: Any, first: int, stop: int, shape: Shape) -> np.ndarray:
    """(rows, 2 * venues), see `write_maintenance_ratios`."""
    out = np.zeros((stop - first, 2 * shape.venues))
    _compiled(write_maintenance_ratios)(handle, first, stop, out)
    return out


def slot_values(handle: Any, first: int, stop: int, shape: Shape) -> np.ndarray:
    """(rows, slots), see `write_slot_values`."""
    out = np.zeros((stop - first, shape.slots))
    _compiled(write_slot_values)(handle, first, stop, out)
    return out
