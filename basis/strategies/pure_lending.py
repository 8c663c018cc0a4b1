"""Lending: the wallet's token supplied to a pool, gas for the way out kept back (mode `pure_lending`)."""

from ..kernel import layout as at
from ..kernel.jit import strategy
from ..kernel.keys import reserve_of
from .base import Plan, Strategy

#: Own parameter: where the view shows the wallet's token.
WALLET = at.OWN


def _plans(config):
    pool = f"aave_v3:aToken:{reserve_of(config.asset)}"
    return (Plan("lend", config.asset, f"wallet:BaseToken:{config.asset}", pool),)


def _policy(config, slots):
    wallet = at.HEAD + at.SEEN * len(slots.assets) + slots.index(f"wallet:BaseToken:{config.asset}")
    return {WALLET: wallet, at.MIN_INVESTED: 1.0 - config.strategy.position_deviation_threshold}


def _rate(config, columns):
    return columns[f"supply_apr_mean|{reserve_of(config.asset)}"]


@strategy
def decide(view, hour, params, actions):
    """Supply what is free, withdraw what is owed to the investor; see `basis.kernel.jit.strategy` for the arguments."""
    cash = view[int(params[WALLET])]
    supplied = view[at.INVESTED] * view[at.EQUITY]
    pending = view[at.PENDING]
    first = view[at.FIRST] > 0.0
    if view[at.LAST] > 0.0 and params[at.CLOSE_AT_END] > 0.0:
        if supplied > 0.0:
            actions[0, 0] = at.EXIT_FULL
            return 1
        return 0
    if params[at.REBALANCE] == 0.0 and not first:
        return 0
    # memory 0: whether the carry is wanted (rate rule with hysteresis; without a rule it always is)
    if view[at.RATE] > params[at.ENTER_RATE] or params[at.ENTER_RATE] == at.NO_RULE:
        view[at.MEMORY] = 1.0
    elif view[at.RATE] < params[at.LEAVE_RATE]:
        view[at.MEMORY] = 0.0
    reserve = params[at.GAS_RESERVE] * view[at.GAS_COST]
    if view[at.MEMORY] == 0.0 or pending >= view[at.EQUITY]:
        if supplied > 0.0:
            actions[0, 0] = at.EXIT_FULL
            return 1
        return 0
    short = pending + view[at.GAS_COST] - cash
    if pending > 0.0 and short > 0.0:
        actions[0, 0] = at.EXIT_PARTIAL
        actions[0, 2] = short + reserve
        return 1
    free = cash - pending - (reserve if reserve > view[at.GAS_COST] else view[at.GAS_COST])
    if free > 0.0 and (first or free > params[at.DEVIATION] * view[at.EQUITY]):
        actions[0, 0] = at.ENTRY_FULL if first else at.ENTRY_PARTIAL
        actions[0, 2] = free
        return 1
    return 0


STRATEGY = Strategy("pure_lending", decide, _plans, _policy, _rate)
