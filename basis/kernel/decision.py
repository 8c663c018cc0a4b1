"""The strategy's part of a row: when it is asked, what it sees, and taking its decision (accounting §4.8)."""

import math

from .aims import refuse_action
from .layout import codes
from .margin import margin_incl_transit, notional_at
from .numba.jit import routine, stage
from .positions.gas import max_gas_units
from .positions.rewards import dust_value

#: A bundle that reverted would revert again: so many seconds are waited.
_WAIT_AFTER_REVERT = 86_400.0


@stage
def margin_out_of_band(shape, state, lane):
    """Whether a venue's margin is outside its band."""
    row = shape.state
    outside = False
    for v in range(shape.venues):
        x = state[row.notional + v, lane]
        low = state[row.margin + v, lane] < state[shape.policy.margin_low, lane] * x
        high = state[row.margin + v, lane] > state[shape.policy.margin_high, lane] * x
        outside = outside | ((low | high) & (x > 0.0))
    return outside


@stage
def find_triggers(shape, state, hour, lane):
    """1 where the strategy of a lane has to be asked: a band is left, something is owed, or a rate rule turns."""
    row = shape.state
    policy = shape.policy
    equity = state[row.equity, lane]
    invested = state[row.invested, lane]
    asked = (invested < state[policy.min_invested, lane] * equity) | (
        invested > state[policy.max_invested, lane] * equity
    )
    asked = asked | margin_out_of_band(shape, state, lane)
    asked = asked | (state[row.delta_drift, lane] > state[policy.max_drift, lane] * equity)
    asked = asked | (dust_value(shape, state, hour, lane) > state[policy.dust_limit, lane])
    ltv = state[row.ltv, lane]
    asked = asked | (ltv < state[policy.low_ltv, lane]) | (ltv > state[policy.high_ltv, lane])
    asked = asked | (state[row.health_factor, lane] < state[policy.least_health, lane])
    # the rate rule keeps in memory 0 whether it is in
    within = state[row.memory, lane] > 0.0
    rate = hour[shape.hour.watched_rate]
    has_rule = state[policy.enter_rate, lane] != codes.NO_RULE
    over = rate - state[policy.leave_rate, lane]
    cost = hour[shape.hour.switching_cost]
    asked = asked | ((over < -cost) & within)
    asked = asked | ((rate > state[policy.enter_rate, lane]) & (over > cost) & (not within) & has_rule)
    asked = asked | (state[row.withdrawal_pending, lane] > 0.0) | (state[policy.every_row, lane] > 0.0)
    return 1.0 if asked else 0.0


@stage
def is_asked(run, t, lane, alerted):
    """Whether the strategy is asked in this row; `alerted` is the alert level before this row's alerts."""
    state = run.state
    last = t == run.settings.final_row and run.policy.close_at_end[lane] > 0.0
    asked = find_triggers(run.shape, run.block, run.coefficients, lane) > 0.0
    asked = asked or t == 0 or last or state.arrived[lane] > 0.0
    level = state.alert_level[lane]
    due = (run.row_flags[t] & (codes.FLOWS_DUE | codes.SIGNAL_CHANGES)) > 0
    return asked or due or level >= 2.0 or level != alerted


@stage
def see_margins(run, t, lane):
    """Smallest and largest margin ratio of a venue, margin on its way included."""
    low = math.inf
    high = -math.inf
    some = False
    for v in range(run.shape.venues):
        notional = notional_at(run, t, lane, v)
        if notional > 0.0:
            ratio = margin_incl_transit(run, t, lane, v) / notional
            low = ratio if (not some or ratio < low) else low
            high = ratio if (not some or ratio > high) else high
            some = True
    run.seen.margin_low[lane] = low
    run.seen.margin_high[lane] = high


@stage
def see_assets(run, lane):
    """Units long and short, and the price, by asset."""
    shape = run.shape
    state = run.state
    for a in range(shape.assets):
        counted = a * shape.slots
        long = 0.0
        short = 0.0
        for slot in range(shape.first_perp):
            held = state.quantity[slot, lane]
            if slot < shape.moving:
                held += state.transit[slot, lane]
            long += held * (run.hour.unit[slot] * run.hour.in_asset[counted + slot])
        for i in range(shape.perps):
            slot = shape.first_perp + i
            short -= state.quantity[slot, lane] * run.hour.in_asset[counted + slot]
        run.seen.long[lane, a] = long
        run.seen.short[lane, a] = short
        run.seen.price[lane, a] = run.hour.asset_price[a]


@routine
def write_view(run, t, lane):
    """Write what the strategy sees of a lane, see `layout.state.VIEW`."""
    shape = run.shape
    state = run.state
    seen = run.seen
    equity = state.equity[lane]
    seen.equity[lane] = equity
    seen.gross[lane] = state.gross[lane]
    seen.ltv[lane] = state.ltv[lane]
    seen.health_factor[lane] = state.health_factor[lane]
    seen.drift[lane] = state.delta_drift[lane] / equity if equity > 0.0 else 0.0
    seen.invested[lane] = state.invested[lane] / equity if equity > 0.0 else 0.0
    see_margins(run, t, lane)
    seen.pending[lane] = state.withdrawal_pending[lane]
    seen.net_flow[lane] = state.net_flow[lane]
    seen.alert[lane] = state.alert_level[lane]
    seen.arrived[lane] = state.arrived[lane]
    seen.first[lane] = 1.0 if t == 0 else 0.0
    seen.last[lane] = 1.0 if t == run.settings.final_row else 0.0
    seen.rate[lane] = run.hour.watched_rate[0]
    seen.switching_cost[lane] = run.hour.switching_cost[0]
    seen.gas_cost[lane] = max_gas_units(run, t) * run.market.gas_price[t] * run.market.ether_price[t]
    seen.quote_price[lane] = run.hour.value[0] if shape.venues > 0 else 1.0
    seen.dust[lane] = dust_value(shape, run.block, run.coefficients, lane)
    reverted = state.reverted_at[lane]
    waits = reverted > 0.0 and run.market.time[t] < reverted + _WAIT_AFTER_REVERT
    seen.reverted[lane] = 1.0 if waits else 0.0
    seen.time[lane] = run.market.time[t]
    seen.unfinished[lane] = state.waiting[lane]
    for j in range(codes.MEMORIES):
        seen.memory[lane, j] = state.memory[j, lane]
    for j in range(run.watched.shape[1]):
        seen.watched[lane, j] = run.watched[t, j]
    see_assets(run, lane)
    for slot in range(shape.slots):
        seen.quantity[lane, slot] = state.quantity[slot, lane]
    for slot in range(shape.moving):
        seen.transit[lane, slot] = state.transit[slot, lane]
    if shape.signals > 0:
        seen.signal[lane] = run.hour.signal[codes.SIGNAL]
        seen.signal_trusted[lane] = run.hour.signal[codes.TRUSTED]
        seen.stop_distance[lane] = run.hour.signal[codes.STOP_DISTANCE]
        seen.take_profit_distance[lane] = run.hour.signal[codes.TAKE_PROFIT_DISTANCE]


@stage
def clear_actions(run, lane):
    """Take off the actions of the last decision."""
    for a in range(codes.ACTIONS):
        action = run.scratch.actions[lane, a]
        action.code = 0
        action.plan = 0
        action.amount = 0.0
        action.status = codes.DECIDED
        action.target = 0.0
        action.stop = 0.0
        action.take_profit = 0.0


@stage
def ask_strategy(run, lane):
    """Let a compiled strategy decide on what `write_view` has written; returns the number of its actions."""
    clear_actions(run, lane)
    scratch = run.scratch
    first = run.shape.rows - run.shape.policies
    for j in range(run.shape.policies):
        scratch.policy[lane, j] = run.block[first + j, lane]
    return run.decide(
        scratch.seen[lane], scratch.policy[lane], scratch.actions[lane], scratch.decision[lane], run.strategy_places
    )


@stage
def is_amount(x):
    """Whether a number is finite and not below 0."""
    return x >= 0.0 and x < codes.TOO_LARGE


@stage
def is_well_formed(run, lane, count):
    """Whether a strategy's actions name codes and plans that exist, and amounts that are finite and not below 0."""
    if count < 0 or count > codes.ACTIONS:
        return False
    for a in range(count):
        action = run.scratch.actions[lane, a]
        known = action.code >= codes.ENTRY_FULL and action.code <= codes.SELL_DUST
        if not (known and action.plan >= 0 and action.plan < run.plans.shape[0]):
            return False
        # dust is sold, and nothing else is done with it
        if (action.code == codes.SELL_DUST) != (run.plans[action.plan].kind == codes.PLAN_DUST):
            return False
        if not (is_amount(action.amount) and is_amount(action.stop) and is_amount(action.take_profit)):
            return False
    return True


@stage
def accept_decision(run, lane, count):
    """Take a decision: what the strategy remembers, and its actions if they are well formed; whether they are."""
    for j in range(codes.MEMORIES):
        run.state.memory[j, lane] = run.seen.memory[lane, j]
    return is_well_formed(run, lane, count)


@routine
def refuse_while_critical(run, t, lane, place):
    """Refuse an action that would open risk while an alert is critical; whether it was refused."""
    action = run.scratch.actions[lane, place]
    entering = action.code == codes.ENTRY_FULL or action.code == codes.ENTRY_PARTIAL
    opens = entering and run.plans[action.plan].kind != codes.PLAN_MARGIN
    if not (opens and run.state.alert_level[lane] >= 2.0 and run.policy.restricts[lane] > 0.0):
        return False
    refuse_action(run, t, lane, place, codes.CRITICAL)
    return True
