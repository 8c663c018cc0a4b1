"""Hedged staking: a share of equity in a staking token, plain or levered in a loan, against perps short in equal size.

With a share a of equity on chain, the margin aimed at is (1 − a) / a of the notional, so that ether and short are worth
a·E each. Ether is swapped for in the wallet when margin has arrived, in the row in which the short is opened. The short
follows all that is held of ether: wallet, staking token, collateral less debt, and what is on its way.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..inputs.plans import Plan, Strategy, usual_names
from ..inputs.slots import Slots
from ..kernel.layout.codes import NO_LIMIT
from ..kernel.numba.jit import stage
from .base import SETTLED, closes_now, dust_plan, required, sell_dust, wants_carry
from .compiled import compiled
from .levered_staking import is_unsafe
from .spot_perp import WORTH_A_DEPOSIT, fund, funding_rate, is_paid_in, margin_of, pay_out
from .staking import stake_plan

#: What is off by less than so many times the gas of a transaction stays so.
WORTH_GAS = 10.0
#: What arrives goes on with what was begun, down to this share of what is tolerated.
_GOES_ON = 0.5
#: What rounding may hide of a target, relative.
_ROUNDING = 1e-9
#: Places of the memory for whether there has been a hedge, and a deposit that is still to be put to work; memory 0 is
#: the rate rule's.
_HEDGED, _PAID_IN = 1, 2


def _check_accounts(config: Config) -> None:
    settings = config.strategy
    if config.share_class != "USDT":
        raise ConfigError(f"share_class: {config.share_class}. {config.mode} keeps its accounts in USDT; leave it out.")
    if settings.gas_reserve < 1.0:
        raise ConfigError(
            f"Invalid strategy.gas_reserve: {settings.gas_reserve:g}. Must be >= 1 in mode {config.mode}: without gas "
            "nothing that is staked could be sold."
        )


def hedged_plans(config: Config, stake: Plan) -> tuple[Plan, ...]:
    """The plans of a mode that puts its ether into `stake`: pair of ether and short, margin, stake, rewards.

    Raises
    ------
    ConfigError
        Where the accounts are in ether, or nothing is kept to pay gas with.
    """
    _check_accounts(config)
    pair = Plan("hedge", config.asset, token=f"wallet:BaseToken:{config.asset}", market=f"{config.asset}USDT")
    # a hedge whose margin runs low cannot wait for a queue; actions tell plans apart by their assets
    stake = replace(stake, asset=config.strategy.lst, leaves_at_market=True)
    return (pair, Plan("margin", "USDT"), stake, *dust_plan(config))


def names(config: Config) -> Mapping[str, str]:
    """Texts that `decide` reads: the asset, the staking token, and the keys of both in the wallet."""
    [lst] = required(config, "lst")
    return {**usual_names(config), "staking_token": lst, "staking_wallet": f"wallet:BaseToken:{lst}"}


def hedged_policy(config: Config, slots: Slots, times: float = 1.0) -> Mapping[str, float]:
    """Policy of `decide`; the margin aimed at follows from the share of equity on chain.

    Parameters
    ----------
    times : what is held on chain over what it is worth net, the leverage

    Raises
    ------
    ConfigError
        Where that share leaves no margin.
    """
    settings = config.strategy
    share = settings.stake_allocation
    if share is None or share >= 1.0:
        raise ConfigError(f"Invalid strategy.stake_allocation: {share}. Must be > 0 and < 1: the rest is margin.")
    low, high = settings.margin_ratio_band
    target = (1.0 - share) / share
    off = settings.position_deviation_threshold
    return {
        "margin_target": target,
        "margin_low": low * target,
        "margin_high": high * target,
        "min_invested": (share - off) * times,
        "max_invested": (share + off) * times,
    }


class Legs(NamedTuple):
    """Both legs of the hedge, units of ether, and what is worth doing, share class."""

    price: Any
    long: Any
    short: Any
    more: Any  # the longer leg
    less: Any  # the shorter leg
    gas: Any  # ether that is kept for gas
    free: Any  # ether of the wallet that is not
    ether: Any  # ether of the wallet
    idle: Any  # a staking token that is no collateral yet
    coming: Any  # what waits to be swapped away: in the wallet, or on its way out of its protocol
    tolerated: Any  # what may be off: it has to be worth the gas of mending it
    has_drifted: Any  # whether the legs are further apart than their band
    holds_stake: Any  # whether anything is staked


@stage
def see_legs(view, target, levered):
    """The legs as the view shows them; gas is kept for more where anything is to stay."""
    price = view.price(view.asset)
    long = view.long(view.asset)
    short = view.short(view.asset)
    ether = view.quantity(view.wallet)
    gas = (view.policy.gas_reserve * view.gas_cost if target > 0.0 else view.gas_cost) / price
    idle = view.quantity(view.staking_wallet) if levered else 0.0
    staked = long - ether if levered else view.invested * view.equity / price
    more = max(short, long)
    less = min(short, long)
    less = less if less > 0.0 else 0.0
    return Legs(
        price,
        long,
        short,
        more,
        less,
        gas,
        ether - gas if ether > gas else 0.0,
        ether,
        idle,
        long - staked if long > staked else 0.0,
        max(view.policy.deviation * view.equity, WORTH_GAS * view.gas_cost),
        (more - less) * price > view.policy.max_drift * view.equity,
        view.invested > 0.0 or idle > 0.0,
    )


@stage
def lost_a_venue(view, short):
    """Whether a venue that carries a part of the hedge has lost it, which only a liquidation does."""
    for v in range(view.venues()):
        if view.weight(v) > 0.0 and view.perp(view.asset, v) == 0.0:
            return short > 0.0 or view.memory[_HEDGED] > 0.0
    return False


@stage
def size_target(view, carries):
    """Units of both legs that are aimed at; none without carry or at the end."""
    left = view.equity - view.dust - view.pending
    # where a withdrawal leaves little more than the gas that is kept, all of it goes
    kept = (view.policy.gas_reserve + WORTH_GAS) * view.gas_cost
    worth = left > 0.0 if view.pending == 0.0 else left > kept
    if not worth or not carries or closes_now(view):
        return 0.0
    return left / (1.0 + view.policy.margin_target) / view.price(view.asset)


@stage
def sell_and_even(view, act, before, least, apart):
    """Sell the rewards that are worth more than `least`, and even legs that are `apart` by so much (share class).

    What rewards bring and transactions cost is delta. The last action takes off what one leg then has more than the
    other, and does nothing inside the band; it is left out where they cannot go beyond it. `before` is the number of
    actions so far.
    """
    sell_dust(view, act, least)
    apart += WORTH_GAS * view.gas_cost if act.count() > 0 else 0.0
    apart += view.dust if act.count() > before else 0.0
    evens = view.policy.rebalance > 0.0 or apart >= NO_LIMIT
    if evens and act.count() > 0 and apart > view.policy.max_drift * view.equity:
        act.exit_partial(view.asset)


@stage
def has_moved(view, legs, target, critical, entering, levered):
    """Whether the target is off by more than is tolerated, and whether anything has to be done in this row."""
    rebalances = view.policy.rebalance > 0.0
    below = view.margin_low < view.policy.margin_low
    off = (legs.more - target) * legs.price
    moved = off > legs.tolerated or -off > legs.tolerated or view.pending > 0.0 or critical or (below and off > 0.0)
    waits = rebalances and (legs.free + legs.idle) * legs.price > legs.tolerated
    out = levered and legs.holds_stake and (view.ltv > view.policy.high_ltv or view.ltv < view.policy.low_ltv)
    out = rebalances and (out or view.health_factor < view.policy.least_health)
    waits = waits or (rebalances and is_paid_in(view, target, legs.less))
    acts = moved or legs.has_drifted or below or waits or out or target == 0.0 or entering or view.first
    return moved, acts


@stage
def shrink(view, act, legs, target, levered):
    """Bring both legs down to the target.

    What is on its way already is not asked for again, nor what a loan gives back of the wallet's; the gas that is kept
    is made up.
    """
    lacking = legs.gas - (legs.ether - legs.free if levered else legs.coming)
    out = legs.long - target + lacking if legs.long > target else 0.0
    if target == 0.0 and legs.holds_stake:
        act.exit_full(view.staking_token)
    elif legs.holds_stake and out > 0.0:
        act.exit_partial(view.staking_token, out)
    # a short that is larger than the ether goes down to it at once
    least = legs.long if legs.has_drifted and legs.long < target else target
    amount = legs.more - (least if least > 0.0 else 0.0)
    if target == 0.0:
        act.exit_full(view.asset, amount)
    else:
        act.exit_partial(view.asset, amount)


@stage
def even_out(view, act, legs):
    """Yields make the ether more than the short, gas makes it less: bring the legs together."""
    if legs.long > legs.short:
        act.entry_partial(view.asset, legs.more - legs.less)
    else:
        act.exit_partial(view.asset, legs.more - legs.less)


@stage
def puts_in_deposit(view, legs, target):
    """Whether the legs grow by a deposit, in its row or as the margin that it brings arrives."""
    wanted = (target - legs.less) * legs.price
    if is_paid_in(view, target, legs.less):
        view.memory[_PAID_IN] = 1.0
    elif wanted <= WORTH_A_DEPOSIT * view.equity:
        view.memory[_PAID_IN] = 0.0
    return view.memory[_PAID_IN] > 0.0 and (view.arrived or view.net_flow > 0.0)


@stage
def may_grow(view, legs, target, critical, shrinks, entering):
    """Whether the legs grow towards the target.

    A short that is too small for what remains grows to it as the other leg shrinks.
    """
    mends = shrinks and legs.has_drifted and legs.short < target and target < legs.long
    wanted = (target - legs.less) * legs.price
    goes_on = entering and wanted > _GOES_ON * legs.tolerated
    worth = mends or wanted > legs.tolerated or view.first or goes_on or puts_in_deposit(view, legs, target)
    return target > legs.less and not critical and (mends or not shrinks) and worth


@stage
def grow(view, act, legs, target):
    """Bring both legs up to the target; a book that starts without a hedge is not known to have had one."""
    if legs.less == 0.0:
        act.entry_full(view.asset, target - legs.less)
    else:
        act.entry_partial(view.asset, target - legs.less)
    view.memory[_HEDGED] = view.memory[_HEDGED] if legs.has_drifted else 1.0


@stage
def put_to_work(view, act, legs, target, grows, levered):
    """Stake all of the wallet's ether but the gas, where that is worth it; whether it is."""
    low = levered and legs.holds_stake and view.ltv < view.policy.low_ltv
    if not (grows or (legs.free + legs.idle) * legs.price > legs.tolerated or low):
        return False
    amount = target if grows or legs.free > 0.0 else 0.0
    if legs.holds_stake:
        act.entry_partial(view.staking_token, amount)
    else:
        act.entry_full(view.staking_token, amount)
    return True


@stage
def delever_if_unsafe(view, act, legs, target, critical, levered):
    """Bring a loan down to its target where it is above its band, or while an alert is critical."""
    unsafe = is_unsafe(view) or (critical and view.ltv > view.policy.target_ltv * (1.0 + SETTLED))
    if levered and legs.holds_stake and view.policy.rebalance > 0.0 and target > 0.0 and unsafe:
        act.exit_partial(view.staking_token)


@compiled
def decide(view, act, levered=0.0):
    """Hold a·E of ether and of the short, reduce first; `levered` is 1 where the ether is in a loan."""
    rebalances = view.policy.rebalance > 0.0
    entering = (view.first and view.short(view.asset) == 0.0) or view.arrived
    if not rebalances and not closes_now(view) and not entering:
        return
    in_loan = levered > 0.0
    target = size_target(view, wants_carry(view))
    legs = see_legs(view, target, in_loan)
    critical = rebalances and view.alert >= 2.0
    lost_hedge = critical or (rebalances and lost_a_venue(view, legs.short))
    if legs.has_drifted and legs.long > legs.short and lost_hedge:
        # what a liquidation left unhedged goes: it does not wait for margin that travels
        target = min(legs.short, target)
    moved, acts = has_moved(view, legs, target, critical, entering, in_loan)
    apart = (legs.more - legs.less) * legs.price
    if not acts:
        sell_and_even(view, act, 0, view.policy.dust_limit, apart)
        return
    if legs.short > 0.0:
        view.memory[_HEDGED] = 1.0
    delever_if_unsafe(view, act, legs, target, critical, in_loan)
    shrinks = legs.more > target * (1.0 + _ROUNDING) and (moved or target == 0.0) and legs.more > 0.0
    shrinks = shrinks and (rebalances or closes_now(view))
    if shrinks:
        shrink(view, act, legs, target, in_loan)
    elif legs.has_drifted and rebalances and (not critical or legs.short > legs.long):
        even_out(view, act, legs)
    elif target == 0.0 and view.unfinished > 0.0:
        # an entry that the market has not let begin is not wanted any more
        act.exit_full(view.asset)
    if target > 0.0:
        fund(view, act, margin_of(view, target, legs.less, critical))
        grows = may_grow(view, legs, target, critical, shrinks, entering)
        if grows:
            grow(view, act, legs, target)
        if not shrinks and not critical and put_to_work(view, act, legs, target, grows, in_loan):
            # what that costs is much where the peg is off
            apart = NO_LIMIT
    pay_out(view, act, target)
    # where money is owed and nothing is to stay, rewards of any worth pay for it
    least = 0.0 if view.pending > 0.0 and target == 0.0 else view.policy.dust_limit
    sell_and_even(view, act, act.count(), least, apart)


def _plans(config: Config) -> tuple[Plan, ...]:
    return hedged_plans(config, stake_plan(config))


def _rate(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """(rows,) yearly rate of the staked share and its hedge."""
    share, earned = config.strategy.stake_allocation, columns[f"staking_apr|{config.strategy.lst}"]
    return share * (earned + funding_rate(config, columns))


#: Hedged staking without leverage: a staking token in the wallet.
STRATEGY = Strategy("hedged_staking", decide, _plans, hedged_policy, names, _rate)
