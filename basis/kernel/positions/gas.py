"""Gas of transactions on chain: paid in the wallet's ether, the shortfall in its share class (accounting §5)."""

from ..layout import codes
from ..numba.jit import stage

#: What rounding may take from a balance that is what is left of a much larger one, relative.
_ROUNDING = 1e-6


@stage
def has_own_ether(run):
    """Whether the wallet has an ether slot beside its share class."""
    return run.wallet.ether >= 0 and run.wallet.ether != run.wallet.share_class


@stage
def can_pay_gas(run, t, lane, units, slot, spent):
    """Whether the wallet can pay for so many units of gas, in ether or share class, once `spent` has left `slot`."""
    quantity = run.state.quantity
    ether = units * run.market.gas_price[t]
    if has_own_ether(run):
        held = quantity[run.wallet.ether, lane] - (spent if run.wallet.ether == slot else 0.0)
        ether = ether - held if ether > held else 0.0
    short = ether * run.market.ether_price[t]
    held = quantity[run.wallet.share_class, lane] - (spent if run.wallet.share_class == slot else 0.0)
    return short <= 0.0 or held >= short * (1.0 - _ROUNDING)


@stage
def pay_gas(run, t, lane, units):
    """Take gas from the wallet's ether, the shortfall from its share class; returns its worth in share class."""
    quantity = run.state.quantity
    ether = units * run.market.gas_price[t]
    worth = ether * run.market.ether_price[t]
    if has_own_ether(run):
        held = quantity[run.wallet.ether, lane]
        used = min(ether, held)
        quantity[run.wallet.ether, lane] -= used
        ether -= used
    short = ether * run.market.ether_price[t]
    held = quantity[run.wallet.share_class, lane]
    if short > held:
        # rounding took this from a balance that was meant to be enough
        worth -= short - held
        short = held
    quantity[run.wallet.share_class, lane] -= short
    run.pnl.gas[lane] -= worth
    return worth


@stage
def max_gas_units(run, t):
    """Gas units of the most expensive transaction that puts ether to work or takes it back, in this run."""
    gas = run.terms.gas[run.terms_index[t]]
    units = gas.transfer
    for j in range(run.plans.shape[0]):
        plan = run.plans[j]
        if plan.collateral >= 0:
            units = max(units, gas.supply, gas.withdraw)
        if plan.kind == codes.PLAN_LEVER:
            units = max(units, gas.lever, gas.delever)
        if plan.kind >= codes.PLAN_STAKE:
            units = max(units, gas.swap, gas.stake, gas.unstake)
    return units
