"""Ether of the wallet changed into a staking token and back, and reward tokens sold for ether."""

from ..layout import codes
from ..numba.jit import stage
from ..positions.rewards import first_reward
from ..positions.staking import market_price_and_fee
from .gas import all_but_gas
from .orders import DONE, is_entry, write_order


@stage
def ether_per_token(run, t, lane, plan, ether, on_market):
    """Ether that a staking token brings when so much ether is asked for, slippage and fee taken off."""
    token = plan.token - run.shape.venues
    if not on_market:
        return run.market.protocol_rate[t, token]
    price, fee = market_price_and_fee(run, t, lane, token, ether, False)
    return price * (1.0 - fee)


@stage
def stake(run, t, lane, plan, action, step):
    """Stake or buy for the target in ether, or give back tokens for so much ether; more than is held gives all."""
    if step > 0:
        return DONE
    if is_entry(action):
        kind = codes.SWAP if plan.place == codes.AT_MARKET else codes.STAKE
        target = all_but_gas(run, t, lane, plan.pays, action.target)
        return write_order(run, lane, 0, kind, plan.pays, plan.token, target) if target > 0.0 else DONE
    on_market = plan.place != codes.AT_PROTOCOL
    kind = codes.SWAP if on_market else codes.UNSTAKE
    held = run.state.quantity[plan.token, lane]
    if held <= 0.0:
        return DONE
    worth = ether_per_token(run, t, lane, plan, action.target, on_market)
    whole = action.code == codes.EXIT_FULL or action.target > held * worth
    return write_order(run, lane, 0, kind, plan.token, plan.pays, held if whole else action.target / worth)


@stage
def sell_dust(run, lane, plan, step):
    """Sell all of one reward token a step, once it has a market."""
    if step >= run.shape.rewards:
        return DONE
    token = first_reward(run.shape) + step
    held = run.state.quantity[token, lane]
    if held * run.hour.value[token] <= 0.0:
        return 0
    return write_order(run, lane, 0, codes.SWAP, token, plan.pays, held)
