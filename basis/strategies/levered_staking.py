"""Levered staking (`levered_staking`): a staking token supplied against a debt in ether, kept at a loan to value."""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..inputs.plans import Plan, Strategy
from ..inputs.slots import Slots
from ..kernel.numba.jit import stage
from .base import SETTLED, closes_now, dust_plan, owed, required, sell_dust, supplied, wants_carry
from .compiled import compiled
from .single_asset import policy_of_wallet


def lever_plan(config: Config) -> Plan:
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


def ltv_limits(config: Config) -> Mapping[str, float]:
    """Policy of a loan to value that is kept in its band."""
    target, band, least = required(config, "target_ltv", "ltv_band", "min_health_factor")
    return {"low_ltv": target - band, "high_ltv": target + band, "least_health": least}


def _plans(config: Config) -> tuple[Plan, ...]:
    return (lever_plan(config), *dust_plan(config))


def _policy(config: Config, slots: Slots) -> Mapping[str, float]:
    return {**policy_of_wallet(config, slots), **ltv_limits(config)}


@stage
def leave(view, act, held, least):
    """Leave the loan altogether, and sell the rewards that are worth more than `least`."""
    if held:
        act.exit_full(view.asset)
    sell_dust(view, act, least)


@stage
def is_unsafe(view):
    """Whether the loan to value is above its band, or the health factor below its floor."""
    return view.ltv > view.policy.high_ltv or view.health_factor < view.policy.least_health


@stage
def put_to_work(view, act, free, price):
    """Put the wallet's free ether, and what rewards are sold for, into the loan where that is worth it."""
    held = view.invested > 0.0
    worth = view.policy.deviation * view.equity
    low = held and view.ltv < view.policy.low_ltv
    wanted = (view.first and free > 0.0) or low or free > worth
    if wanted and view.alert < 2.0 and not view.reverted:
        if view.first:
            act.entry_full(view.asset, free / price)
        else:
            act.entry_partial(view.asset, free / price)
        return
    sell_dust(view, act, view.policy.dust_limit)
    if act.count() > 0 and free + view.dust > worth and view.alert < 2.0:
        # what it is sold for is put to work at once; there is a little less than this
        act.entry_partial(view.asset, (free + view.dust) / price)


@compiled
def decide(view, act):
    """Hold the loan to value in its band, delever first."""
    price = view.price(view.asset)
    cash = view.quantity(view.wallet) * price
    pending = view.pending
    held = view.invested > 0.0
    if closes_now(view):
        leave(view, act, held, view.policy.dust_limit)
        return
    # a book that starts with a loan is held as it is
    if view.policy.rebalance == 0.0 and (held or not view.first):
        return
    carries = wants_carry(view)
    if not carries or (pending >= view.equity and pending > 0.0):
        # where money is owed, rewards of any worth pay for it
        leave(view, act, held, 0.0 if pending > 0.0 else view.policy.dust_limit)
        return
    reserve = view.policy.gas_reserve * view.gas_cost
    reserve = reserve if reserve > view.gas_cost else view.gas_cost
    if pending > 0.0 and held and cash < pending + view.gas_cost:
        act.exit_partial(view.asset, pending / price)
        return
    free = cash - pending - reserve
    free = free if free > 0.0 else 0.0
    critical = view.alert >= 2.0
    if held and (is_unsafe(view) or (critical and view.ltv > view.policy.target_ltv * (1.0 + SETTLED))):
        act.exit_partial(view.asset)
        if not critical and free > view.policy.deviation * view.equity:
            # what of the wallet is not needed for that goes in afterwards
            act.entry_partial(view.asset, free / price)
        return
    put_to_work(view, act, free, price)


def carry(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """(rows,) yearly rate of a loan at the target: L·(staking + supply) − (L − 1)·borrow, L = 1 / (1 − target_ltv)."""
    target, lst = required(config, "target_ltv", "lst")
    leverage = 1.0 / (1.0 - target)
    supply = columns[f"supply_apr_mean|{supplied(config, lst).reserve}"]
    borrow = columns[f"borrow_apr_mean|{owed(config, config.asset).reserve}"]
    earned = columns[f"staking_apr|{lst}"] + supply
    return leverage * earned - (leverage - 1.0) * borrow


STRATEGY = Strategy("levered_staking", decide, _plans, _policy, rate=carry)
