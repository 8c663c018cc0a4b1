"""What every route uses: writing orders, sizes too small to trade, what an action asks for."""

from ..layout import codes
from ..numba.jit import stage

#: Orders smaller than this share of the target are left out.
NEGLIGIBLE = 1e-6
#: On chain, less than this share of the target is not worth a transaction.
WORTH_GAS = 1e-3
#: What a step returns when its route has come to its end.
DONE = -1


@stage
def write_order(run, lane, j, kind, slot, destination, quantity):
    """Write the order at place `j` of the step; returns the place after it. There is room for `shape.orders`."""
    if j >= run.shape.orders:
        run.scratch.lost[0] += 1
        return j
    order = run.scratch.orders[lane, j]
    order.kind = kind
    order.slot = slot
    order.destination = destination
    order.quantity = quantity
    return j + 1


@stage
def is_entry(action):
    """Whether an action opens."""
    return action.code == codes.ENTRY_FULL or action.code == codes.ENTRY_PARTIAL


@stage
def perp_slot(run, venue, market):
    """Slot of the perp of a market at a venue."""
    return run.shape.first_perp + venue * run.shape.markets + market


@stage
def perp_place(run, venue, market):
    """Place of the same perp among tokens and perps, see `positions.market_impact`."""
    return run.shape.tokens + venue * run.shape.markets + market
