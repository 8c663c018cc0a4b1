"""From an action to the route of its plan, compiled apart from the rest of the hour."""

from ..aims import report_decision
from ..context import view
from ..layout import codes
from ..numba.jit import kernel, stage
from .gas import usdt_pays_gas, withdraw_for_gas
from .hedge import enter_hedge, hedge_target, leave_hedge
from .lend import lend
from .lever import lever
from .margin import fund_margin, release_margin
from .orders import DONE, is_entry
from .perp import side_target, trade_side
from .stake import sell_dust, stake
from .swapped_hedge import enter_swapped_hedge, leave_swapped_hedge

#: The step in which the target of an action is fixed.
RESOLVE_TARGET = -1


@stage
def resolve_target(run, lane, plan, action):
    """What an action aims at, in the plan's units; fixed before its first step is taken."""
    if plan.kind == codes.PLAN_LONG or plan.kind == codes.PLAN_SHORT:
        return side_target(run, lane, plan, action)
    if plan.kind == codes.PLAN_HEDGE:
        return hedge_target(run, lane, plan, action)
    return action.amount


@stage
def route_hedge(run, t, lane, plan, action, step):
    """Route of a hedge, its long leg at an exchange or on chain."""
    if plan.venue >= 0:
        if is_entry(action):
            return enter_hedge(run, t, lane, plan, action.target, step)
        return leave_hedge(run, t, lane, plan, action.target, step)
    if is_entry(action):
        return enter_swapped_hedge(run, t, lane, plan, action.target, step)
    whole = action.code == codes.EXIT_FULL
    return leave_swapped_hedge(run, t, lane, plan, whole, action.target, step)


@stage
def route(run, t, lane, plan, action, step):
    """Orders of one step of an action; returns their number, or DONE."""
    entering = is_entry(action)
    on_chain = plan.kind == codes.PLAN_STAKE or plan.kind == codes.PLAN_LEVER
    if on_chain and not entering and usdt_pays_gas(run) and run.shape.venues > 0:
        # what is sold on chain needs gas first
        if step == 0:
            return withdraw_for_gas(run, t, lane)
        step -= 1
    if plan.kind == codes.PLAN_HEDGE:
        return route_hedge(run, t, lane, plan, action, step)
    if plan.kind == codes.PLAN_MARGIN:
        if entering:
            return fund_margin(run, t, lane, action.target, step)
        return release_margin(run, t, lane, action.target, step)
    if plan.kind == codes.PLAN_LONG or plan.kind == codes.PLAN_SHORT:
        return trade_side(run, t, lane, plan, entering, action.target, step)
    if plan.kind == codes.PLAN_LEND:
        return lend(run, t, lane, plan, action, step)
    if plan.kind == codes.PLAN_STAKE:
        return stake(run, t, lane, plan, action, step)
    if plan.kind == codes.PLAN_DUST:
        return sell_dust(run, lane, plan, step)
    if plan.kind == codes.PLAN_LEVER:
        return lever(run, t, lane, plan, action, step)
    return DONE


@kernel
def route_action(handle, t, lane, place, step, unused):
    """Fix the target of the action at a place (step RESOLVE_TARGET), or write the orders of a step of its route.

    Returns
    -------
    int
        Number of orders of the step, or DONE.
    """
    run = view(handle)
    action = run.scratch.actions[lane, place]
    plan = run.plans[action.plan]
    if step == RESOLVE_TARGET:
        run.state.cut_short[lane] = 0.0
        if action.status != codes.GOES_ON:
            action.target = resolve_target(run, lane, plan, action)
        return 0
    sent = route(run, t, lane, plan, action, step)
    if sent > 0:
        report_decision(run, t, lane, place)
    for j in range(sent):
        run.scratch.orders[lane, j].action = action.code
    return sent
