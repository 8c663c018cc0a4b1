"""A token of the wallet supplied to a pool, and withdrawn from it."""

from ..layout import codes
from ..numba.jit import stage
from .orders import DONE, write_order


@stage
def supplied(run, t, lane, slot):
    """Units of the underlying in a supplied balance."""
    return run.state.quantity[slot, lane] * run.market.liquidity_index[t, slot - run.shape.first_collateral]


@stage
def lend(run, t, lane, plan, action, step):
    """Supply the target, or withdraw it; more than is held withdraws all."""
    if step > 0:
        return DONE
    if action.code == codes.ENTRY_FULL or action.code == codes.ENTRY_PARTIAL:
        return write_order(run, lane, 0, codes.SUPPLY, plan.token, plan.collateral, action.target)
    held = supplied(run, t, lane, plan.collateral)
    if held <= 0.0:
        return DONE
    whole = action.code == codes.EXIT_FULL or action.target > held
    return write_order(run, lane, 0, codes.WITHDRAW, plan.collateral, plan.token, held if whole else action.target)
