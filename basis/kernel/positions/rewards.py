"""Reward tokens: distributions for what is held, their worth, what their later price earns (accounting §5)."""

from ..events import emit_event
from ..layout import codes
from ..numba.jit import routine, stage


@stage
def first_reward(shape):
    """Slot of the first reward token."""
    return shape.first_token + shape.tokens - shape.rewards


@stage
def dust_value(shape, state, hour, lane):
    """Worth of the reward tokens in the wallet, share class."""
    dust = 0.0
    for i in range(shape.rewards):
        j = first_reward(shape) + i
        dust += state[shape.state.quantity + j, lane] * hour[shape.hour.value + j]
    return dust


@stage
def reward_drift(shape, state, hour, lane):
    """What the price of reward tokens earned, those under way included."""
    row = shape.state
    dust = 0.0
    for i in range(shape.rewards):
        j = first_reward(shape) + i
        dust += (state[row.quantity + j, lane] + state[row.transit + j, lane]) * hour[shape.hour.price_pnl + j]
    return dust


@routine
def pay_rewards(run, t, lane):
    """Pay the distributions of a row: tokens for what is held then, arrivals included, at their worth now."""
    state = run.state
    for k in range(run.payouts.shape[0]):
        payout = run.payouts[k]
        if payout.row != t:
            continue
        tokens = state.quantity[payout.earner, lane] * payout.per_unit
        if tokens > 0.0:
            slot = payout.reward
            worth = tokens * run.hour.value[slot]
            price = run.market.spot[t, slot - run.shape.venues]
            state.quantity[slot, lane] += tokens
            run.pnl.reward[lane] += worth
            state.arrived[lane] = 1.0
            e = emit_event(run, t, lane, codes.REWARD_PAID, 0, slot, payout.earner, 0)
            event = run.scratch.events[e]
            event.quantity = tokens
            event.price = price
            event.reference = price
            event.fee_rate = payout.rate
            event.notional = worth
            event.amount = tokens
