"""What single lanes need of a row beyond the pass over all lanes (accounting §4.4-4.10), as named steps.

`loop` has `PROCESS` done for the lanes that it flags; the components of the event engine have every step done, one by
one. Both call `run_step`.
"""

from enum import IntEnum

from .aims import keep_aim, keep_for_next_row, take_waiting
from .closings import AT_MARKS, IN_HOUR
from .context import view
from .decision import (
    accept_decision,
    ask_strategy,
    find_triggers,
    is_asked,
    refuse_while_critical,
    write_view,
)
from .events import emit_event, report_order
from .exposure import calculate_all_exposure
from .fills import book_fill, price_order, refuse_order
from .investor import pay_withdrawals, take_flows
from .layout import codes
from .margin import maintenance_ratio
from .numba.jit import kernel, routine, stage
from .pnl import attribute, check_identity
from .positions.exchange_liquidation import credit_closings
from .positions.funding import report_funding, settle_funding
from .positions.market_impact import open_trading
from .positions.rewards import pay_rewards
from .positions.transfer import receive_arrivals
from .risk import assess_risk, calculate_margin_ratios, check_extremes, compare_with_limits
from .routes.dispatch import RESOLVE_TARGET


class Step(IntEnum):
    """A step of a row for one lane; the loop uses the first three, the event engine all others."""

    CHECK_HOUR = 0  # stops and liquidations inside the hour that ended
    REPORT_FUNDING = 1  # events of the funding of this row
    PROCESS = 2  # all that follows the pass over all lanes; number: see `process_lane`
    ENTER_ROW = 3  # read the coefficients of the row
    PLAN_OPENING = 4  # returns how the row begins, as bits: CHECKS, REPORTS, PAUSES, FUNDS
    ATTRIBUTE = 5  # P&L of the holding drift
    CREDIT_CLOSINGS = 6  # cash of what was closed inside the hour
    SETTLE_FUNDING = 7
    OPEN_ROW = 8
    CALCULATE_EXPOSURE = 9
    ASSESS_RISK = 10
    NEEDS_ATTENTION = 11  # returns 1 where the lane has to be processed
    BEGIN_PROCESSING = 12
    CHECK_MARKS = 13  # stops and liquidations at the marks; returns 1 where anything was closed
    RECEIVE = 14  # arrivals and rewards
    TAKE_FLOWS = 15
    PAY_WITHDRAWALS = 16
    TAKE_WAITING = 17  # number: of actions decided in this row; returns how many they are with those that wait
    REPORT_ALERTS = 18
    KEEP_RISK_BEFORE = 19
    IS_ASKED = 20  # number: alert level before this row's alerts; returns 1 where the strategy is asked
    WRITE_VIEW = 21
    ASK_STRATEGY = 22  # returns the number of its actions
    ACCEPT_DECISION = 23  # number: of actions; returns END or BAD_DECISION
    KEEP_FOR_NEXT_ROW = 24  # number: of actions
    REFUSE_WHILE_CRITICAL = 25  # place of the action; returns 1 where it is refused
    RESOLVE_TARGET = 26  # place of the action
    ROUTE = 27  # place of the action, number: of the route's step; returns the number of orders, -1 at its end
    SEND_ORDER = 28  # place of the order
    PRICE_ORDER = 29  # place of the order; returns FILLED or the reason why it is refused
    BOOK_FILL = 30
    REFUSE_ORDER = 31  # place of the order, number: the reason; returns 1 where it has cost gas
    KEEP_AIM = 32  # place of the action that has been carried out
    CHECK_IDENTITY = 33  # returns HOLDS, INSOLVENT or BROKEN
    RECORD_ROW = 34


#: How a row begins, as bits: stops and liquidations are checked, funding is reported, closings are credited before the
#: funding, funding is settled.
CHECKS, REPORTS, PAUSES, FUNDS = 1, 2, 4, 8


@routine
def revalue(run, lane):
    """Exposure and risk as they stand: the end of every position update."""
    calculate_all_exposure(run.shape, run.block, run.coefficients, lane)
    assess_risk(run.shape, run.block, run.coefficients, lane)
    calculate_margin_ratios(run.shape, run.block, lane)


@stage
def measured(run, lane, measure):
    """What an alert measure is now: loan to value, health factor, margin ratios, deltas over equity, drawdown."""
    shape = run.shape
    state = run.state
    equity = state.equity[lane]
    if measure == 0:
        return state.ltv[lane]
    if measure == 1:
        return state.health_factor[lane]
    if measure < 2 + shape.venues:
        return state.margin_ratio[measure - 2, lane]
    if measure < shape.measures - 1:
        a = measure - 2 - shape.venues
        return state.delta[a, lane] * run.hour.asset_price[a] / equity if equity != 0.0 else 0.0
    peak = state.peak_equity[lane]
    return 1.0 - equity / peak if peak > 0.0 else 0.0


@routine
def report_alerts(run, t, lane):
    """Levels that changed become events; the highest is kept as the alert level."""
    state = run.state
    compare_with_limits(run.shape, run.block, run.coefficients, lane)
    worst = 0.0
    for j in range(run.shape.measures):
        level = state.level[j, lane]
        if level != state.alert[j, lane]:
            event = run.scratch.events[emit_event(run, t, lane, codes.ALERT, j, -1, -1, 0)]
            event.level = level
            event.quantity = state.alert[j, lane]
            event.amount = measured(run, lane, j)
            state.alert[j, lane] = level
        worst = level if level > worst else worst
    state.alert_level[lane] = worst


@routine
def keep_risk_before_decision(run, t, lane):
    """Keep the risk measures as they stand before the strategy decides."""
    state = run.state
    state.ltv_before[lane] = state.ltv[lane]
    state.health_factor_before[lane] = state.health_factor[lane]
    for v in range(run.shape.venues):
        state.margin_ratio_before[v, lane] = state.margin_ratio[v, lane]
        state.maintenance_ratio_before[v, lane] = maintenance_ratio(run, t, lane, v)


@stage
def fill_orders(run, t, lane, sent):
    """Fill the orders of a step; exposure and risk follow every fill before the next order is sent."""
    for j in range(sent):
        report_order(run, t, lane, j, codes.ORDER, run.scratch.orders[lane, j].kind)
        reason = price_order(run, t, lane, j)
        if reason != codes.FILLED:
            refuse_order(run, t, lane, j, reason)
            revalue(run, lane)
            break
        book_fill(run, t, lane)
        revalue(run, lane)


@routine
def execute_actions(run, handle, t, lane, count):
    """Carry out the actions of a decision, step by step of their routes."""
    for a in range(count):
        if not refuse_while_critical(run, t, lane, a):
            run.route_action(handle, t, lane, a, RESOLVE_TARGET, 0)
            # every route comes to its end by the number of the step
            step = 0
            sent = run.route_action(handle, t, lane, a, step, 0)
            while sent >= 0:
                fill_orders(run, t, lane, sent)
                step += 1
                sent = run.route_action(handle, t, lane, a, step, 0)
            keep_aim(run, t, lane, a)


@routine
def enter_row(run, t):
    """Read the coefficients of a row."""
    for j in range(run.shape.hour_width):
        run.coefficients[j] = run.hours[t, j]


@stage
def is_every_lane_due(row_flags, t):
    """Whether every lane is processed in a row, flagged or not."""
    return t == 0 or (row_flags[t] & codes.EVERY_LANE) > 0


@stage
def plan_opening(run, t, near):
    """How a row begins whose extremes were checked, as bits; `near` where a venue needs a closer look."""
    terms_change = (run.row_flags[t] & codes.TERMS_CHANGE) > 0
    funds = (run.row_flags[t] & codes.FUNDING_DUE) > 0
    reports = funds and run.scratch.events.shape[0] > 1
    checks = (run.settings.liquidates > 0 or run.shape.stops > 0) and (near > 0.0 or terms_change)
    return (
        (CHECKS if checks else 0)
        | (REPORTS if reports else 0)
        | (PAUSES if checks or reports or terms_change else 0)
        | (FUNDS if funds else 0)
    )


@stage
def open_row(shape, state, lane):
    """Take off the marks of the row before."""
    row = shape.state
    state[row.net_flow, lane] = 0.0
    state[row.arrived, lane] = 0.0
    state[row.processed, lane] = 0.0


@stage
def needs_attention(shape, state, hour, lane, time, near):
    """1 where a lane has to be processed: near a limit, something due, a trigger of the strategy."""
    row = shape.state
    due = (state[row.next_arrival, lane] <= time) | (state[row.waiting, lane] > 0.0)
    due = due | (state[row.alert_level, lane] >= 2.0)
    asked = find_triggers(shape, state, hour, lane)
    return 1.0 if due | (asked > 0.0) else near


@stage
def receive(run, t, lane):
    """Arrivals, and rewards where the row has any."""
    receive_arrivals(run, t, lane)
    if (run.row_flags[t] & codes.REWARDS_DUE) > 0:
        pay_rewards(run, t, lane)


@stage
def pay_investor(run, t, lane):
    """Pay what is owed, as far as the wallet covers it."""
    if run.state.withdrawal_pending[lane] > 0.0:
        pay_withdrawals(run, t, lane)
        revalue(run, lane)


@stage
def process_before_decision(run, handle, t, lane):
    """Closings, arrivals, flows, waiting actions and alerts of a row; whether the strategy is asked after them."""
    run.state.processed[lane] = 1.0
    open_trading(run, t, lane)
    if run.check_stops_and_liquidations(handle, t, lane, AT_MARKS, 0, 0) > 0:
        revalue(run, lane)
    receive(run, t, lane)
    take_flows(run, t, lane)
    revalue(run, lane)
    pay_investor(run, t, lane)
    if run.settings.next_bar > 0:
        execute_actions(run, handle, t, lane, take_waiting(run, t, lane, 0))
    alerted = run.state.alert_level[lane]
    report_alerts(run, t, lane)
    keep_risk_before_decision(run, t, lane)
    return is_asked(run, t, lane, alerted)


@stage
def process_lane(run, handle, t, lane, given):
    """The rest of the row for one lane. Returns END, or why the loop has to stop.

    `given` is -1, or the number of actions that a caller has written as this row's decision: then what comes before the
    decision has been done.
    """
    count = given
    asked = True
    if given < 0:
        if run.caller_handles == codes.OWN_ROW:
            return codes.ASKED
        asked = process_before_decision(run, handle, t, lane)
        if asked:
            write_view(run, t, lane)
            if run.caller_handles == codes.OWN_DECISION:
                return codes.ASKED
            count = ask_strategy(run, lane)
        elif run.settings.next_bar > 0 or run.state.waiting[lane] <= 0.0:
            return codes.END
        else:
            count = 0
    if asked and not accept_decision(run, lane, count):
        return codes.BAD_DECISION
    if run.settings.next_bar == 0:
        execute_actions(run, handle, t, lane, take_waiting(run, t, lane, count))
    elif count > 0:
        keep_for_next_row(run, t, lane, count)
    # cash that the fills freed pays what is owed to the investor in the same row
    pay_investor(run, t, lane)
    report_alerts(run, t, lane)
    return codes.END


@stage
def record_row(shape, state, record, t):
    """Copy what is recorded of lane 0."""
    calculate_margin_ratios(shape, state, 0)
    for j in range(shape.recorded):
        record[t, j] = state[j, 0]


@stage
def assess_lane(run, t, lane):
    """Whether a lane has to be processed, after its exposure and risk."""
    state = run.state
    near = state.flag[lane]
    near = 1.0 if compare_with_limits(run.shape, run.block, run.coefficients, lane) > 0.0 else near
    near = needs_attention(run.shape, run.block, run.coefficients, lane, run.market.time[t], near)
    return 1 if near > 0.0 or is_every_lane_due(run.row_flags, t) else 0


@routine
def settle_step(run, t, lane, step):
    """The steps of a row before its lane is processed, and those that end it."""
    shape = run.shape
    state = run.state
    if step == Step.ENTER_ROW:
        enter_row(run, t)
    elif step == Step.PLAN_OPENING:
        return plan_opening(run, t, check_extremes(shape, run.block, run.coefficients, lane))
    elif step == Step.ATTRIBUTE:
        attribute(shape, run.block, run.coefficients, lane)
    elif step == Step.CREDIT_CLOSINGS:
        credit_closings(shape, run.block, lane)
    elif step == Step.SETTLE_FUNDING:
        settle_funding(shape, run.block, run.coefficients, lane)
    elif step == Step.OPEN_ROW:
        open_row(shape, run.block, lane)
    elif step == Step.CALCULATE_EXPOSURE:
        calculate_all_exposure(shape, run.block, run.coefficients, lane)
    elif step == Step.ASSESS_RISK:
        state.flag[lane] = assess_risk(shape, run.block, run.coefficients, lane)
        calculate_margin_ratios(shape, run.block, lane)
    elif step == Step.NEEDS_ATTENTION:
        return assess_lane(run, t, lane)
    elif step == Step.CHECK_IDENTITY:
        state.flag[lane] = check_identity(shape, run.block, lane)
        return int(state.flag[lane])
    elif step == Step.RECORD_ROW:
        record_row(shape, run.block, run.record, t)
    return codes.END


@routine
def process_step(run, t, lane, step, number):
    """The steps of processing a lane, up to its decision."""
    if step == Step.BEGIN_PROCESSING:
        run.state.processed[lane] = 1.0
        open_trading(run, t, lane)
        # the pass over all lanes compares products and leaves ratios alone
        calculate_margin_ratios(run.shape, run.block, lane)
    elif step == Step.RECEIVE:
        receive(run, t, lane)
    elif step == Step.TAKE_FLOWS:
        take_flows(run, t, lane)
    elif step == Step.PAY_WITHDRAWALS:
        pay_withdrawals(run, t, lane)
    elif step == Step.TAKE_WAITING:
        return take_waiting(run, t, lane, number)
    elif step == Step.REPORT_ALERTS:
        report_alerts(run, t, lane)
    elif step == Step.KEEP_RISK_BEFORE:
        keep_risk_before_decision(run, t, lane)
    elif step == Step.IS_ASKED:
        return 1 if is_asked(run, t, lane, float(number)) else 0
    elif step == Step.WRITE_VIEW:
        write_view(run, t, lane)
    elif step == Step.ASK_STRATEGY:
        return ask_strategy(run, lane)
    elif step == Step.ACCEPT_DECISION:
        return codes.END if accept_decision(run, lane, number) else codes.BAD_DECISION
    elif step == Step.KEEP_FOR_NEXT_ROW:
        keep_for_next_row(run, t, lane, number)
    return codes.END


@routine
def execution_step(run, t, lane, step, place, number):
    """The steps of carrying out an action."""
    if step == Step.REFUSE_WHILE_CRITICAL:
        return 1 if refuse_while_critical(run, t, lane, place) else 0
    if step == Step.SEND_ORDER:
        report_order(run, t, lane, place, codes.ORDER, run.scratch.orders[lane, place].kind)
    elif step == Step.PRICE_ORDER:
        return price_order(run, t, lane, place)
    elif step == Step.BOOK_FILL:
        book_fill(run, t, lane)
    elif step == Step.REFUSE_ORDER:
        return refuse_order(run, t, lane, place, number)
    elif step == Step.KEEP_AIM:
        keep_aim(run, t, lane, place)
    return codes.END


@kernel
def run_step(handle, t, lane, step, place, number):
    """Do one step of row t for a lane; compiled once for all books and lane counts.

    Parameters
    ----------
    handle : packed `RunContext`
    step : a `Step`, which says what it returns
    place : of an action in a decision, or of an order in a step of a route
    number : see `Step`
    """
    run = view(handle)
    if step == Step.CHECK_HOUR:
        return run.check_stops_and_liquidations(handle, t, lane, IN_HOUR, 0, 0)
    if step == Step.REPORT_FUNDING:
        report_funding(run, t, lane)
        return codes.END
    if step == Step.PROCESS:
        return process_lane(run, handle, t, lane, number)
    if step == Step.CHECK_MARKS:
        return run.check_stops_and_liquidations(handle, t, lane, AT_MARKS, 0, 0)
    if step == Step.RESOLVE_TARGET:
        return run.route_action(handle, t, lane, place, RESOLVE_TARGET, 0)
    if step == Step.ROUTE:
        return run.route_action(handle, t, lane, place, number, 0)
    if step < Step.BEGIN_PROCESSING or step > Step.KEEP_AIM:
        return settle_step(run, t, lane, step)
    if step < Step.REFUSE_WHILE_CRITICAL:
        return process_step(run, t, lane, step, number)
    return execution_step(run, t, lane, step, place, number)
