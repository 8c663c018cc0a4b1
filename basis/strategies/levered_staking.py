"""Levered staking (`levered_staking`): a staking token supplied against a debt in ether, kept at a loan to value."""

from ..kernel import layout as at
from ..kernel.jit import strategy
from .base import (
    SETTLED,
    WALLET,
    Plan,
    Strategy,
    dust_plan,
    owed,
    price_of,
    required,
    sell_dust,
    supplied,
    wallet_places,
    wants_carry,
)


def plan(config):
    """The staking token supplied against the debt."""
    settings = config.strategy
    required(config, "lst", "stake_route", "target_ltv", "ltv_band", "min_health_factor")
    return Plan(
        "lever",
        config.asset,
        f"wallet:BaseToken:{settings.lst}",
        str(supplied(config, settings.lst)),
        pays=f"wallet:BaseToken:{config.asset}",
        at_market=settings.stake_route == "market",
        debt=str(owed(config, config.asset)),
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
        return sell_dust(view, params, actions, count, params[at.DUST_LIMIT])
    # a book that starts with a loan is held as it is
    if params[at.REBALANCE] == 0.0 and (held or not first):
        return 0
    carries = wants_carry(view, params)
    if not carries or (pending >= equity and pending > 0.0):
        count = 0
        if held:
            actions[0, 0] = at.EXIT_FULL
            count = 1
        # all that there is, to pay with
        return sell_dust(view, params, actions, count, 0.0 if pending > 0.0 else params[at.DUST_LIMIT])
    reserve = params[at.GAS_RESERVE] * view[at.GAS_COST]
    reserve = reserve if reserve > view[at.GAS_COST] else view[at.GAS_COST]
    if pending > 0.0 and held and cash < pending + view[at.GAS_COST]:
        actions[0, 0] = at.EXIT_PARTIAL
        actions[0, 2] = pending / price
        return 1
    free = cash - pending - reserve
    free = free if free > 0.0 else 0.0
    critical = view[at.ALERT] >= 2.0
    unsafe = ltv > params[at.HIGH_LTV] or view[at.HEALTH_FACTOR] < params[at.LEAST_HEALTH]
    if held and (unsafe or (critical and ltv > params[at.TARGET_LTV] * (1.0 + SETTLED))):
        actions[0, 0] = at.EXIT_PARTIAL
        if critical or free <= params[at.DEVIATION] * equity:
            return 1
        # what of the wallet is not needed for that goes in afterwards
        actions[1, 0] = at.ENTRY_PARTIAL
        actions[1, 2] = free / price
        return 2
    low = held and ltv < params[at.LOW_LTV]
    wanted = (first and free > 0.0) or low or free > params[at.DEVIATION] * equity
    if wanted and not critical and view[at.REVERTED] == 0.0:
        actions[0, 0] = at.ENTRY_FULL if first else at.ENTRY_PARTIAL
        actions[0, 2] = free / price
        return 1
    count = sell_dust(view, params, actions, 0, params[at.DUST_LIMIT])
    if count > 0 and free + view[at.DUST_WORTH] > params[at.DEVIATION] * equity and view[at.ALERT] < 2.0:
        # what it is sold for is put to work at once; there is a little less than this
        actions[count, 0] = at.ENTRY_PARTIAL
        actions[count, 2] = (free + view[at.DUST_WORTH]) / price
        count += 1
    return count


def carry(config, columns):
    """(rows,) yearly rate of a loan at the target: L·(staking + supply) − (L − 1)·borrow, L = 1 / (1 − target_ltv)."""
    settings = config.strategy
    leverage = 1.0 / (1.0 - settings.target_ltv)
    supply, borrow = supplied(config, settings.lst).reserve, owed(config, config.asset).reserve
    earned = columns[f"staking_apr|{settings.lst}"] + columns[f"supply_apr_mean|{supply}"]
    return leverage * earned - (leverage - 1.0) * columns[f"borrow_apr_mean|{borrow}"]


STRATEGY = Strategy("levered_staking", decide, _plans, _policy, carry)
