"""Levered staking: a staking token on Aave against a debt in ether, kept at a loan to value (mode `eth_leveraged`)."""

from ..kernel import layout as at
from ..kernel.jit import strategy
from .base import WALLET, Plan, Strategy, dust_plan, price_of, sell_dust, wallet_places


def plan(config):
    """The staking token supplied against the debt."""
    settings = config.strategy
    return Plan(
        "lever",
        config.asset,
        f"wallet:BaseToken:{settings.lst}",
        f"aave_v3:aToken:{settings.lst}",
        pays=f"wallet:BaseToken:{config.asset}",
        at_market=settings.stake_route == "market",
        debt="aave_v3:debtToken:WETH",
        loops=settings.loop_steps,
    )


def ltv_limits(config):
    """Parameters of a loan to value that is kept in its band."""
    settings = config.strategy
    return {
        at.LOW_LTV: settings.target_ltv - settings.ltv_band,
        at.HIGH_LTV: settings.target_ltv + settings.ltv_band,
        at.LEAST_HEALTH: settings.min_health_factor,
    }


def _plans(config):
    return (plan(config), *dust_plan(config))


def _policy(config, slots):
    return {**wallet_places(config, slots), **ltv_limits(config)}


@strategy
def decide(view, hour, params, actions):
    """Hold the loan to value in its band, delever first; see `basis.kernel.jit.strategy` for the arguments."""
    price = price_of(view, params)
    cash = view[int(params[WALLET])] * price
    pending = view[at.PENDING]
    equity = view[at.EQUITY]
    first = view[at.FIRST] > 0.0
    ltv = view[at.LTV]
    held = view[at.INVESTED] > 0.0
    if view[at.LAST] > 0.0 and params[at.CLOSE_AT_END] > 0.0:
        count = 0
        if held:
            actions[0, 0] = at.EXIT_FULL
            count = 1
        return sell_dust(view, params, actions, count)
    # a book that starts with a loan is held as it is
    if params[at.REBALANCE] == 0.0 and (held or not first):
        return 0
    if view[at.RATE] > params[at.ENTER_RATE] or params[at.ENTER_RATE] == at.NO_RULE:
        view[at.MEMORY] = 1.0
    elif view[at.RATE] < params[at.LEAVE_RATE]:
        view[at.MEMORY] = 0.0
    if view[at.MEMORY] == 0.0 or (pending >= equity and pending > 0.0):
        if held:
            actions[0, 0] = at.EXIT_FULL
            return 1
        return 0
    reserve = params[at.GAS_RESERVE] * view[at.GAS_COST]
    reserve = reserve if reserve > view[at.GAS_COST] else view[at.GAS_COST]
    if pending > 0.0 and held and cash < pending + view[at.GAS_COST]:
        actions[0, 0] = at.EXIT_PARTIAL
        actions[0, 2] = pending / price
        return 1
    if held and (ltv > params[at.HIGH_LTV] or view[at.HEALTH_FACTOR] < params[at.LEAST_HEALTH]):
        actions[0, 0] = at.EXIT_PARTIAL
        return 1
    free = cash - pending - reserve
    free = free if free > 0.0 else 0.0
    low = held and ltv < params[at.LOW_LTV]
    if view[at.ALERT] < 2.0 and ((first and free > 0.0) or low or free > params[at.DEVIATION] * equity):
        actions[0, 0] = at.ENTRY_FULL if first else at.ENTRY_PARTIAL
        actions[0, 2] = free / price
        return 1
    count = sell_dust(view, params, actions, 0)
    if count > 0 and free + view[at.DUST_WORTH] > params[at.DEVIATION] * equity and view[at.ALERT] < 2.0:
        # what it is sold for is put to work at once; there is a little less than this
        actions[count, 0] = at.ENTRY_PARTIAL
        actions[count, 2] = (free + view[at.DUST_WORTH]) / price
        count += 1
    return count


STRATEGY = Strategy("eth_leveraged", decide, _plans, _policy)
