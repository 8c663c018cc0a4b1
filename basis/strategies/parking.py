"""One token of the wallet put to work and taken back, gas for the way out kept: what simple earning modes share.

Plan 0 is what the token is put into.
"""

from ..kernel import layout as at
from ..kernel.numba.jit import strategy
from .base import WALLET, price_of, sell_dust, wallet_places, wants_carry


def policy(config, slots):
    """Parameters of `decide`: the wallet's token, and when it has to be asked."""
    return {**wallet_places(config, slots), at.MIN_INVESTED: 1.0 - config.strategy.position_deviation_threshold}


@strategy
def decide(view, hour, params, actions):
    """Put to work what is free, take back what is owed to the investor; see `basis.kernel.numba.jit.strategy`."""
    price = price_of(view, params)
    cash = view[int(params[WALLET])] * price
    at_work = view[at.INVESTED] * view[at.EQUITY]
    # on its way back to the wallet
    coming = view[at.EQUITY] - at_work - cash - view[at.DUST_WORTH]
    coming = coming if coming > 0.0 else 0.0
    pending = view[at.PENDING]
    first = view[at.FIRST] > 0.0
    if view[at.LAST] > 0.0 and params[at.CLOSE_AT_END] > 0.0:
        count = 0
        if at_work > 0.0:
            actions[0, 0] = at.EXIT_FULL
            count = 1
        return sell_dust(view, params, actions, count, params[at.DUST_LIMIT])
    if params[at.REBALANCE] == 0.0 and not first:
        return 0
    carries = wants_carry(view, params)
    reserve = params[at.GAS_RESERVE] * view[at.GAS_COST]
    if not carries or pending >= view[at.EQUITY]:
        count = 0
        if at_work > 0.0:
            actions[0, 0] = at.EXIT_FULL
            count = 1
        # all that there is, to pay with
        return sell_dust(view, params, actions, count, 0.0 if pending > 0.0 else params[at.DUST_LIMIT])
    # gas is thought of once: what is on its way was asked for with it
    short = pending - cash - coming + (view[at.GAS_COST] if coming <= 0.0 else 0.0)
    if pending > 0.0 and short > 1e-9 * pending and at_work > 0.0:
        actions[0, 0] = at.EXIT_PARTIAL
        actions[0, 2] = (short + reserve) / price
        return 1
    free = cash - pending - (reserve if reserve > view[at.GAS_COST] else view[at.GAS_COST])
    if free > 0.0 and (first or free > params[at.DEVIATION] * view[at.EQUITY]):
        actions[0, 0] = at.ENTRY_FULL if first else at.ENTRY_PARTIAL
        actions[0, 2] = free / price
        return 1
    return sell_dust(view, params, actions, 0, params[at.DUST_LIMIT])
