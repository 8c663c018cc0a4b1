"""A perp on one side, over venues by weight; the stop and take-profit of an entry hold from the fill that opens."""

from ..layout import codes
from ..margin import margin_at
from ..numba.jit import routine, stage
from ..positions.market_impact import within_capacity
from .hedge import margin_per_unit
from .orders import DONE, NEGLIGIBLE, is_entry, perp_place, perp_slot, write_order


@stage
def side_of(plan):
    """1 where a plan holds long, -1 where it holds short."""
    return 1.0 if plan.kind == codes.PLAN_LONG else -1.0


@stage
def units_on_side(run, lane, plan, venue):
    """Units that a venue's perp holds on the side of a plan, 0 where it stands on the other."""
    q = side_of(plan) * run.state.quantity[perp_slot(run, venue, plan.market), lane]
    return q if q > 0.0 else 0.0


@stage
def side_target(run, lane, plan, action):
    """Units that an action aims at on its side; an entry keeps its stop and take-profit for the fills that open."""
    state = run.state
    entering = is_entry(action)
    held = 0.0
    for v in range(run.shape.venues):
        x = units_on_side(run, lane, plan, v)
        held += x
        if entering and x == 0.0 and run.shape.stops > 0:
            i = v * run.shape.markets + plan.market
            state.sets_stop[i, lane] = side_of(plan)
            state.stop_distance[i, lane] = action.stop
            state.take_profit_distance[i, lane] = action.take_profit
    if entering:
        return held + action.amount
    return held - action.amount if (action.code != codes.EXIT_FULL and held > action.amount) else 0.0


@routine
def trade_side(run, t, lane, plan, entering, target, step):
    """A perp up or down to `target` units, one venue a step; entries by what the margin there carries."""
    v = step
    if v >= run.shape.venues:
        return DONE
    i = v * run.shape.markets + plan.market
    held = units_on_side(run, lane, plan, v)
    units = run.policy.weight[v, lane] * target - held
    if entering:
        carried = margin_per_unit(run, t, lane, i, run.market.mark[t, i], held + units)
        units = min(units, margin_at(run, t, lane, v) / carried - held)
        worth = units > NEGLIGIBLE * target
    else:
        worth = -units > NEGLIGIBLE * held
    if not worth or within_capacity(run, t, lane, perp_place(run, v, plan.market), abs(units)) <= 0.0:
        return 0
    return write_order(run, lane, 0, codes.TRADE_PERP, run.shape.first_perp + i, 0, side_of(plan) * units)
