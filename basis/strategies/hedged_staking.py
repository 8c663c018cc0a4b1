"""Hedged staking: a share of equity in a staking token, plain or levered on Aave, against perps short in equal size.

With a share a of equity on chain, the margin aimed at is (1 − a) / a of the notional, so that ether and short are worth
a·E each. Ether is swapped for in the wallet when margin has arrived, in the row in which the short is opened. The short
follows all that is held of ether: wallet, staking token, collateral less debt, and what is on its way. Plan 0 is the
pair of ether and short, plan 1 the margin, plan 2 what the ether is put into.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.jit import stage, strategy
from .base import SETTLED, Plan, Strategy, dust_plan, required, sell_dust, wants_carry
from .spot_perp import rate as funding

__all__ = ["LEVERED", "decide", "funding", "plans", "policy"]

PAIR, MARGIN, STAKE = 0, 1, 2
#: What is off by less than so many times the gas of a transaction stays so.
WORTH_GAS = 10.0
#: Own parameters: where the view shows the asset, the wallet's ether and staking token; whether it is levered; where it
#: shows the short of the first venue, how far on that of the next is, and how many there are.
ASSET, ETHER, TOKEN, LEVERED, SHORTS, STRIDE, VENUES = (at.OWN + i for i in range(7))
#: What is remembered beside the rate rule: whether there has been a hedge.
HEDGED = at.MEMORY + 1


def plans(config: Config, stake: Plan) -> tuple[Plan, ...]:
    """The plans of a mode that puts its ether into `stake`."""
    pair = Plan("hedge", config.asset, token=f"wallet:BaseToken:{config.asset}", market=f"{config.asset}USDT")
    # a hedge whose margin runs low cannot wait for a queue; actions tell plans apart by their assets
    stake = replace(stake, asset=config.strategy.lst, leaves_at_market=True)
    return (pair, Plan("margin", "USDT"), stake, *dust_plan(config))


def policy(config: Config, slots: Slots, times: float = 1.0) -> dict[int, float]:
    """Parameters of `decide`; the margin aimed at follows from the share of equity on chain.

    Parameters
    ----------
    times : what is held on chain over what it is worth net, the leverage

    Raises
    ------
    ConfigError
        Where that share leaves no margin, the accounts are in ether, or nothing is kept to pay gas with.
    """
    settings = config.strategy
    share = settings.stake_allocation
    if config.share_class != "USDT":
        raise ConfigError(f"share_class: {config.share_class}. {config.mode} keeps its accounts in USDT; leave it out.")
    if settings.gas_reserve < 1.0:
        raise ConfigError(
            f"Invalid strategy.gas_reserve: {settings.gas_reserve:g}. Must be >= 1 in mode {config.mode}: without gas "
            "nothing that is staked could be sold."
        )
    if share is None or share >= 1.0:
        raise ConfigError(f"Invalid strategy.stake_allocation: {share}. Must be > 0 and < 1: the rest is margin.")
    low, high = settings.margin_ratio_band
    target = (1.0 - share) / share
    off = settings.position_deviation_threshold
    places = at.HEAD + at.SEEN * len(slots.assets)
    return {
        at.TARGET_MARGIN: target,
        at.BAND_LOW: low * target,
        at.BAND_HIGH: high * target,
        at.MIN_INVESTED: (share - off) * times,
        at.MAX_INVESTED: (share + off) * times,
        ASSET: at.HEAD + at.SEEN * slots.assets.index(config.asset),
        ETHER: places + slots.index(f"wallet:BaseToken:{config.asset}"),
        TOKEN: places + slots.index(f"wallet:BaseToken:{settings.lst}"),
        SHORTS: places + slots.index(f"{slots.venues[0]}:Perp:{config.asset}USDT"),
        STRIDE: len(slots.markets),
        VENUES: len(slots.venues),
    }


@stage
def is_struck(view, params, short):
    """Whether a venue that carries a part of the hedge has lost it, which only a liquidation does."""
    for v in range(int(params[VENUES])):
        if params[at.WEIGHT + v] > 0.0 and view[int(params[SHORTS] + v * params[STRIDE])] == 0.0:
            return short > 0.0 or view[HEDGED] > 0.0
    return False


@stage
def sell_and_even(view, params, actions, count, least, apart):
    """Sell the rewards where they are worth more than `least`, and even legs that are `apart` by so much (share class).

    What rewards bring and transactions cost is delta. The last action takes off what one leg then has more than the
    other, and does nothing inside the band; it is left out where they cannot go beyond it.
    """
    n = sell_dust(view, params, actions, count, least)
    apart += WORTH_GAS * view[at.GAS_COST] if n > 0 else 0.0
    apart += view[at.DUST_WORTH] if n > count else 0.0
    rebalances = params[at.REBALANCE] > 0.0 or apart >= at.NO_LIMIT
    if rebalances and n > 0 and apart > params[at.MAX_DRIFT] * view[at.EQUITY]:
        actions[n, 0] = at.EXIT_PARTIAL
        actions[n, 1] = PAIR
        n += 1
    return n


@strategy
def decide(view, hour, params, actions):
    """Hold a·E of ether and of the short, reduce first; see `basis.kernel.jit.strategy` for the arguments."""
    asset = int(params[ASSET])
    price = view[asset + at.PRICE]
    long = view[asset + at.LONG]
    short = view[asset + at.SHORT]
    ether = view[int(params[ETHER])]
    equity = view[at.EQUITY]
    pending = view[at.PENDING]
    levered = params[LEVERED] > 0.0
    last = view[at.LAST] > 0.0 and params[at.CLOSE_AT_END] > 0.0
    rebalances = params[at.REBALANCE] > 0.0
    entering = (view[at.FIRST] > 0.0 and short == 0.0) or view[at.ARRIVED] > 0.0
    if not rebalances and not last and not entering:
        return 0
    carries = wants_carry(view, params)
    target = (equity - view[at.DUST_WORTH] - pending) / (1.0 + params[at.TARGET_MARGIN]) / price
    if target < 0.0 or not carries or last:
        target = 0.0
    gas = (params[at.GAS_RESERVE] * view[at.GAS_COST] if target > 0.0 else view[at.GAS_COST]) / price
    free = ether - gas if ether > gas else 0.0
    # a staking token that is no collateral yet
    idle = view[int(params[TOKEN])] if levered else 0.0
    # what waits to be swapped away: in the wallet, or on its way out of its protocol
    staked = long - ether if levered else view[at.INVESTED] * equity / price
    coming = long - staked if long > staked else 0.0
    more = long if long > short else short
    less = long if long < short else short
    less = less if less > 0.0 else 0.0
    # what is off has to be worth the gas of mending it
    tolerated = params[at.DEVIATION] * equity
    tolerated = tolerated if tolerated > WORTH_GAS * view[at.GAS_COST] else WORTH_GAS * view[at.GAS_COST]
    critical = rebalances and view[at.ALERT] >= 2.0
    thin = view[at.MARGIN_LOW] < params[at.BAND_LOW]
    off = (more - target) * price
    adrift = (more - less) * price > params[at.MAX_DRIFT] * equity
    if adrift and long > short and (critical or (rebalances and is_struck(view, params, short))):
        # what a liquidation left naked goes: it does not wait for margin that travels
        target = target if target < short else short
        off = (more - target) * price
    moved = off > tolerated or -off > tolerated or pending > 0.0 or critical or (thin and off > 0.0)
    held = view[at.INVESTED] > 0.0 or idle > 0.0
    waits = rebalances and (free + idle) * price > tolerated
    astray = levered and held and (view[at.LTV] > params[at.HIGH_LTV] or view[at.LTV] < params[at.LOW_LTV])
    astray = rebalances and (astray or view[at.HEALTH_FACTOR] < params[at.LEAST_HEALTH])
    apart = (more - less) * price
    if not (moved or adrift or thin or waits or astray or target == 0.0 or entering or view[at.FIRST] > 0.0):
        return sell_and_even(view, params, actions, 0, params[at.DUST_LIMIT], apart)
    if short > 0.0:
        view[HEDGED] = 1.0
    n = 0
    unsafe = view[at.LTV] > params[at.HIGH_LTV] or view[at.HEALTH_FACTOR] < params[at.LEAST_HEALTH]
    unsafe = unsafe or (critical and view[at.LTV] > params[at.TARGET_LTV] * (1.0 + SETTLED))
    if levered and held and rebalances and target > 0.0 and unsafe:
        actions[n, 0] = at.EXIT_PARTIAL
        actions[n, 1] = STAKE
        n += 1
    shrinks = more > target * (1.0 + 1e-9) and (moved or target == 0.0) and more > 0.0 and (rebalances or last)
    if shrinks:
        # what is on its way already is not asked for again, nor what a loan gives back of the wallet's; the gas that is
        # kept is made up
        lacking = gas - (ether - free if levered else coming)
        out = long - target + lacking if long > target else 0.0
        if target == 0.0 and held:
            actions[n, 0] = at.EXIT_FULL
            actions[n, 1] = STAKE
            n += 1
        elif held and out > 0.0:
            actions[n, 0] = at.EXIT_PARTIAL
            actions[n, 1] = STAKE
            actions[n, 2] = out
            n += 1
        # a short that is larger than the ether goes down to it at once
        least = long if adrift and long < target else target
        actions[n, 0] = at.EXIT_FULL if target == 0.0 else at.EXIT_PARTIAL
        actions[n, 1] = PAIR
        actions[n, 2] = more - (least if least > 0.0 else 0.0)
        n += 1
    elif adrift and rebalances and (not critical or short > long):
        # yields make the ether more than the short, gas makes it less; buying back a short that is too large only
        # reduces
        actions[n, 0] = at.ENTRY_PARTIAL if long > short else at.EXIT_PARTIAL
        actions[n, 1] = PAIR
        actions[n, 2] = more - less
        n += 1
    if target > 0.0:
        # margin follows the smaller of what is aimed at and, while critical, what is held
        goal = less if (critical and less < target) else target
        actions[n, 0] = at.ENTRY_FULL if view[at.FIRST] > 0.0 else at.ENTRY_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = goal * price * params[at.TARGET_MARGIN] / view[at.QUOTE_PRICE]
        n += 1
        # a short that is too small for what remains grows to it as the other leg shrinks
        mends = shrinks and adrift and short < target and target < long
        grows = target > less and not critical and (mends or not shrinks)
        # what arrives goes on with what was begun
        wanted = (target - less) * price
        grows = grows and (
            mends or wanted > tolerated or view[at.FIRST] > 0.0 or (entering and wanted > 0.5 * tolerated)
        )
        if grows:
            actions[n, 0] = at.ENTRY_FULL if less == 0.0 else at.ENTRY_PARTIAL
            actions[n, 1] = PAIR
            actions[n, 2] = target - less
            n += 1
            # a book that starts without one is not known to have had it
            view[HEDGED] = view[HEDGED] if adrift else 1.0
        low = levered and held and view[at.LTV] < params[at.LOW_LTV]
        if not shrinks and not critical and (grows or (free + idle) * price > tolerated or low):
            # all that is there then, but for the gas
            actions[n, 0] = at.ENTRY_FULL if not held else at.ENTRY_PARTIAL
            actions[n, 1] = STAKE
            actions[n, 2] = target if grows or free > 0.0 else 0.0
            n += 1
            # what that costs is much where the peg is off
            apart = at.NO_LIMIT
    if pending > 0.0:
        actions[n, 0] = at.EXIT_FULL if target == 0.0 else at.EXIT_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = pending / view[at.QUOTE_PRICE]
        n += 1
    # all that there is, to pay with
    least = 0.0 if pending > 0.0 and target == 0.0 else params[at.DUST_LIMIT]
    return sell_and_even(view, params, actions, n, least, apart)


def _plans(config: Config) -> tuple[Plan, ...]:
    settings = config.strategy
    required(config, "lst", "stake_route")
    token, ether = f"wallet:BaseToken:{settings.lst}", f"wallet:BaseToken:{config.asset}"
    return plans(config, Plan("stake", config.asset, token, pays=ether, at_market=settings.stake_route == "market"))


def _rate(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """(rows,) yearly rate of the staked share and its hedge."""
    share, earned = config.strategy.stake_allocation, columns[f"staking_apr|{config.strategy.lst}"]
    return share * (earned + funding(config, columns))


#: Hedged staking without leverage: a staking token in the wallet.
STRATEGY = Strategy("hedged_staking", decide, _plans, policy, _rate)
