"""What an action aims at, from row to row: actions that wait, and aims that the market has not let be reached (§4.8).

With `next_bar` the actions of a decision wait for the next row. In either way of filling, an action whose market took
less than it aims at goes on in the next row, towards the same target. It ends when the target is reached, or when a
decision about the same market replaces it. An entry also ends when a stop, a take-profit or a liquidation closes its
perp.
"""

from .events import emit_event
from .layout import codes
from .numba.jit import routine, stage

#: Target of an action that waits for its first row: none is fixed yet.
_NOT_FIXED = -1.0


@routine
def report_decision(run, t, lane, place):
    """Report what was decided, once something comes of it; the number of the decision is in all that follows from it.

    With `next_bar` it was decided in the row before.
    """
    actions = run.scratch.actions
    if actions[lane, place].status != codes.DECIDED:
        return
    is_first = True
    for a in range(codes.ACTIONS):
        is_first = is_first and actions[lane, a].status != codes.REPORTED
    if is_first:
        run.state.decisions[lane] += 1.0
    action = actions[lane, place]
    event = run.scratch.events[emit_event(run, t, lane, codes.DECISION, action.plan, -1, -1, action.code)]
    event.amount = action.amount
    if run.settings.next_bar > 0:
        event.effective = run.market.time[t - 1]
    action.status = codes.REPORTED


@routine
def refuse_action(run, t, lane, place, reason):
    """Report that nothing of an action can be done now, and why."""
    report_decision(run, t, lane, place)
    action = run.scratch.actions[lane, place]
    event = run.scratch.events[emit_event(run, t, lane, codes.REJECT, reason, -1, -1, action.code)]
    event.amount = action.amount


@stage
def is_urgent(run, lane):
    """Whether there is no time to wait for a price: an alert is critical, or a venue's margin is below its band."""
    below = False
    for v in range(run.shape.venues):
        margin, notional = run.state.margin[v, lane], run.state.notional[v, lane]
        below = below or margin < run.policy.margin_low[lane] * notional
    return below or run.state.alert_level[lane] >= 2.0


@stage
def wait_for_next_row(run, lane, place):
    """Let an action wait; one that goes on keeps its target."""
    state = run.state
    action = run.scratch.actions[lane, place]
    w = int(state.waiting[lane])
    # `take_waiting` has made room for all that a row carries out
    if w < codes.ACTIONS:
        state.waiting[lane] = w + 1.0
        state.waiting_code[w, lane] = action.code
        state.waiting_plan[w, lane] = action.plan
        state.waiting_amount[w, lane] = action.amount
        state.waiting_target[w, lane] = action.target if action.status != codes.DECIDED else _NOT_FIXED
        state.waiting_stop[w, lane] = action.stop
        state.waiting_take_profit[w, lane] = action.take_profit
        state.is_urgent[lane] = 1.0 if is_urgent(run, lane) else 0.0
    else:
        run.scratch.lost[0] += 1


@routine
def keep_aim(run, t, lane, place):
    """Let an action go on in the next row where the market took less than it aims at."""
    action = run.scratch.actions[lane, place]
    if run.state.cut_short[lane] > 0.0 and run.plans[action.plan].market >= 0:
        if action.status == codes.DECIDED:
            refuse_action(run, t, lane, place, codes.NO_VOLUME)
        wait_for_next_row(run, lane, place)


@stage
def is_replaced(run, lane, plan, decided):
    """Whether one of so many actions that were decided is about the same plan or market."""
    market = run.plans[plan].market
    for a in range(decided):
        other = run.scratch.actions[lane, a].plan
        if other == plan or (market >= 0 and run.plans[other].market == market):
            return True
    return False


@stage
def give_up(run, t, lane, w):
    """Report that a waiting action ends, since there is no room for it beside those that were decided."""
    code = int(run.state.waiting_code[w, lane])
    event = run.scratch.events[emit_event(run, t, lane, codes.REJECT, codes.TOO_MANY_ACTIONS, -1, -1, code)]
    event.amount = run.state.waiting_amount[w, lane]


@routine
def take_waiting(run, t, lane, decided):
    """Take what waits, after so many actions that were decided; those replace what is about their market.

    There are ACTIONS in all at most: what waits and finds no room is given up, with an event. Returns their number.
    """
    state = run.state
    count = decided
    for w in range(int(state.waiting[lane])):
        plan = int(state.waiting_plan[w, lane])
        if is_replaced(run, lane, plan, decided):
            continue
        if count == codes.ACTIONS:
            give_up(run, t, lane, w)
        else:
            action = run.scratch.actions[lane, count]
            action.code = int(state.waiting_code[w, lane])
            action.plan = plan
            action.amount = state.waiting_amount[w, lane]
            action.target = state.waiting_target[w, lane]
            action.stop = state.waiting_stop[w, lane]
            action.take_profit = state.waiting_take_profit[w, lane]
            action.status = codes.GOES_ON if action.target >= 0.0 else codes.DECIDED
            count += 1
    for a in range(count, codes.ACTIONS):
        run.scratch.actions[lane, a].status = codes.DECIDED
    state.waiting[lane] = 0.0
    return count


@stage
def keep_for_next_row(run, t, lane, decided):
    """Let the actions of a decision wait for the next row, and after them what goes on (`next_bar`)."""
    count = take_waiting(run, t, lane, decided)
    for a in range(count):
        wait_for_next_row(run, lane, a)


@routine
def forget_entries(run, lane, market):
    """Forget what would open a perp of a market again that has been closed by its stop or a liquidation."""
    state = run.state
    kept = 0
    for w in range(int(state.waiting[lane])):
        opens = state.waiting_code[w, lane] <= codes.ENTRY_PARTIAL and state.waiting_target[w, lane] >= 0.0
        if not (opens and run.plans[int(state.waiting_plan[w, lane])].market == market):
            state.waiting_code[kept, lane] = state.waiting_code[w, lane]
            state.waiting_plan[kept, lane] = state.waiting_plan[w, lane]
            state.waiting_amount[kept, lane] = state.waiting_amount[w, lane]
            state.waiting_target[kept, lane] = state.waiting_target[w, lane]
            state.waiting_stop[kept, lane] = state.waiting_stop[w, lane]
            state.waiting_take_profit[kept, lane] = state.waiting_take_profit[w, lane]
            kept += 1
    state.waiting[lane] = float(kept)
