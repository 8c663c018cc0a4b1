"""The part of an hour that few lanes need: margin test, arrivals, flows, the strategy and its fills (accounting §4.4-4.10).

The part every lane needs in every hour stands in `loop`.
"""

from .exposure import expose
from .fills import emit, fill
from .jit import routine, stage
from .layout import (
    ACTION_WIDTH,
    ALERT,
    ALERTED,
    ARRIVED,
    ASK_ALWAYS,
    ASKED,
    BAD_DECISION,
    BAND_HIGH,
    BAND_LOW,
    CLOSE_AT_END,
    CRITICAL,
    DECISION,
    DECISIONS,
    DRIFT,
    E_AMOUNT,
    E_EFFECTIVE,
    E_LEVEL,
    E_QUANTITY,
    END,
    ENTER_RATE,
    ENTRY_FULL,
    ENTRY_PARTIAL,
    FINAL_ROW,
    FIRST,
    FLOWS_DUE,
    GAS_COST,
    GAS_TRANSFER,
    GAS_WITHDRAW,
    HEAD,
    HEALTH_FACTOR,
    INVESTED,
    LAST,
    LEAVE_RATE,
    LIQUIDATE,
    LONG,
    LTV,
    MARGIN_HIGH,
    MARGIN_LOW,
    MAX_DRIFT,
    MAX_INVESTED,
    MEMORIES,
    MEMORY,
    MIN_INVESTED,
    NEXT_BAR,
    ORDER,
    PENDING,
    PLAN_COLLATERAL,
    PLAN_KIND,
    PLAN_MARGIN,
    PRICE,
    RATE,
    REJECT,
    RESTRICT,
    SEEN,
    SHORT,
    TAILED,
    book,
    first_perp,
    hour_of,
    measures,
    perps,
    quote_of,
    slots,
)  # fmt: skip
from .risk import assess, compare, maintenance_at, margin_at, notional_at
from .route import aim, route
from .settle import arrive, flow, pay, release, test_margin

_STEPS = 64


@routine
def reckon(n, b, model, h, lane):
    """Exposure and risk of the book as it stands: the end of every position update."""
    expose(n, b, model.table, h, lane)
    assess(n, b, h, lane)


@routine
def report_alerts(n, b, model, h, quote, desk, t, lane):
    """Levels that changed become events; the highest stands in the head."""
    compare(n, b, h, model.limit, lane)
    worst = 0.0
    for j in range(measures(n)):
        now = b.level[j, lane]
        if now != b.alert[j, lane]:
            e = emit(desk, b, t, lane, ALERTED, j, -1, -1, 0)
            if e >= 0:
                desk.events[e, E_LEVEL] = now
                desk.events[e, E_QUANTITY] = b.alert[j, lane]
                x = b.head[LTV, lane] if j == 0 else b.head[HEALTH_FACTOR, lane]
                for v in range(len(n.cash)):
                    x = b.margin[v, lane] if j == 2 + v else x
                for a in range(len(n.asset)):
                    x = b.delta[a, lane] if j == 2 + len(n.cash) + a else x
                desk.events[e, E_AMOUNT] = x if j < measures(n) - 1 else b.head[0, lane]
                desk.events[e, E_EFFECTIVE] = quote.time[0]
            b.alert[j, lane] = now
        worst = now if now > worst else worst
    b.head[ALERT, lane] = worst


@stage
def triggers(n, b, h, params, lane):
    """1 where the strategy of a lane has to be asked: a limit is crossed or something has happened."""
    now = b.head
    moved = (now[INVESTED, lane] < params[MIN_INVESTED, lane]) | (now[INVESTED, lane] > params[MAX_INVESTED, lane])
    stressed = (now[MARGIN_LOW, lane] < params[BAND_LOW, lane]) | (now[MARGIN_HIGH, lane] > params[BAND_HIGH, lane])
    adrift = now[DRIFT, lane] > params[MAX_DRIFT, lane]
    within = now[MEMORY, lane] > 0.0
    carry = ((h.rate[0] < params[LEAVE_RATE, lane]) & within) | ((h.rate[0] > params[ENTER_RATE, lane]) & (not within))
    return 1.0 if moved | stressed | adrift | carry | (now[PENDING, lane] > 0.0) | (params[ASK_ALWAYS, lane] > 0.0) else 0.0


@routine
def before_decision(n, b, model, h, quote, regime, lane):
    """Keep the risk measures as they stand before the strategy decides."""
    b.before[0, lane] = b.head[LTV, lane]
    b.before[1, lane] = b.head[HEALTH_FACTOR, lane]
    for v in range(len(n.cash)):
        b.before[2 + v, lane] = b.margin[v, lane]
        notional = notional_at(n, b, quote.mark, v, lane)
        need = maintenance_at(n, b, quote.mark, model.terms.tier[regime], v, lane)
        b.before[2 + len(n.cash) + v, lane] = need / notional if notional > 0.0 else 0.0


@routine
def observe(n, b, model, h, quote, desk, regime, t, lane):
    """Write the view of a lane: head, assets, quantities, perp costs, margins (margin on its way counted)."""
    view = desk.seen
    for j in range(HEAD):
        view[j] = b.head[j, lane]
    low = b.head[MARGIN_LOW, lane]
    high = b.head[MARGIN_HIGH, lane]
    some = 0
    for v in range(len(n.cash)):
        notional = notional_at(n, b, quote.mark, v, lane)
        if notional > 0.0:
            ratio = (margin_at(n, b, quote.mark, v, lane) + b.transit[v, lane]) / notional
            low = ratio if (some == 0 or ratio < low) else low
            high = ratio if (some == 0 or ratio > high) else high
            some = 1
    view[MARGIN_LOW] = low
    view[MARGIN_HIGH] = high
    view[FIRST] = 1.0 if t == 0 else 0.0
    view[LAST] = 1.0 if t == int(model.settings[FINAL_ROW]) else 0.0
    view[RATE] = h.rate[0]
    units = model.terms.gas[regime, GAS_TRANSFER]
    for p in range(model.table.plan.shape[0]):
        if int(model.table.plan[p, PLAN_COLLATERAL]) >= 0:
            units = model.terms.gas[regime, GAS_WITHDRAW]
    view[GAS_COST] = units * quote.gas[0] * quote.gas[1]
    perp = first_perp(n)
    for a in range(len(n.asset)):
        long = 0.0
        short = 0.0
        for i in range(perp):
            x = b.q[i, lane] * (h.unit[i] * model.table.asset[a, i])
            long += x
        for i in range(perps(n)):
            short -= b.q[perp + i, lane] * model.table.asset[a, perp + i]
        view[HEAD + SEEN * a + LONG] = long
        view[HEAD + SEEN * a + SHORT] = short
        view[HEAD + SEEN * a + PRICE] = h.asset[a]
    j = HEAD + SEEN * len(n.asset)
    for i in range(slots(n)):
        view[j + i] = b.q[i, lane]
    j += slots(n)
    for i in range(perps(n)):
        view[j + i] = b.cost[i, lane]
    j += perps(n)
    for v in range(len(n.cash)):
        view[j + v] = b.margin[v, lane]


@routine
def execute(n, b, model, h, quote, desk, regime, actions, count, t, lane):
    """Route each action and fill its orders; exposure and risk follow every fill before the next order is sent."""
    param = desk.param
    for a in range(count):
        action = actions[a]
        code = int(action[0])
        plan = model.table.plan[int(action[1])]
        opens = (code == ENTRY_FULL or code == ENTRY_PARTIAL) and int(plan[PLAN_KIND]) != PLAN_MARGIN
        if opens and b.head[ALERT, lane] >= 2.0 and param[RESTRICT] > 0.0:
            e = emit(desk, b, t, lane, REJECT, CRITICAL, -1, -1, code)
            if e >= 0:
                desk.events[e, E_AMOUNT] = action[2]
                desk.events[e, E_EFFECTIVE] = quote.time[0]
        else:
            action[3] = aim(n, b, plan, action, lane)
            for step in range(_STEPS):
                sent = route(n, b, model, h, quote, desk, regime, param, action, step, desk.orders, lane)
                if sent < 0:
                    break
                for j in range(sent):
                    order = desk.orders[j]
                    kind = int(order[0])
                    e = emit(desk, b, t, lane, ORDER, kind, int(order[1]), int(order[2]), code)
                    if e >= 0:
                        desk.events[e, E_QUANTITY] = order[3]
                        desk.events[e, E_EFFECTIVE] = quote.time[0]
                    status = fill(n, b, model, h, quote, desk, regime, t, lane, order, code)
                    reckon(n, b, model, h, lane)
                    if status != 0:
                        e = emit(desk, b, t, lane, REJECT, status, int(order[1]), int(order[2]), code)
                        if e >= 0:
                            desk.events[e, E_QUANTITY] = order[3]
                            desk.events[e, E_EFFECTIVE] = quote.time[0]
                        break


@stage
def record_decision(n, b, desk, quote, actions, count, t, lane):
    """One event per action; the number of the decision is the correlation id of all that follows from it."""
    b.stat[DECISIONS, lane] += 1.0
    for a in range(count):
        e = emit(desk, b, t, lane, DECISION, int(actions[a, 1]), -1, -1, int(actions[a, 0]))
        if e >= 0:
            desk.events[e, E_AMOUNT] = actions[a, 2]
            desk.events[e, E_EFFECTIVE] = quote.time[0]


@stage
def valid(model, actions, count):
    """Whether a strategy's actions are well-formed: known codes and plans, finite amounts that are not negative."""
    if count > actions.shape[0]:
        return False
    for a in range(count):
        code = actions[a, 0]
        plan = actions[a, 1]
        amount = actions[a, 2]
        if not (code >= 1.0 and code <= 5.0 and plan >= 0.0 and plan < model.table.plan.shape[0]):
            return False
        if not (amount >= 0.0 and amount < 1e300):
            return False
    return True


@routine
def tail(n, block, model, desk, decide, t, lane, given):
    """The rest of the hour for one lane. Returns END, or why the loop has to stop.

    `given` is -1, or the number of actions a caller has put into `desk.actions` as this row's decision: then what comes
    before the decision has been done.
    """
    b = book(n, block)
    h = hour_of(n, model.hours[t])
    quote = quote_of(n, model.quotes[t])
    regime = model.regime[t]
    param = desk.param
    for j in range(param.shape[0]):
        param[j] = model.params[j, lane]
    count = given
    if given < 0:
        b.head[TAILED, lane] = 1.0
        if model.settings[LIQUIDATE] > 0.0:
            if test_margin(n, b, model, h, quote, desk, regime, t, lane) > 0:
                release(n, b, lane)
        arrive(n, b, quote, desk, t, lane)
        flow(n, b, model, h, quote, desk, t, lane)
        reckon(n, b, model, h, lane)
        if b.head[PENDING, lane] > 0.0:
            pay(n, b, model, h, quote, desk, t, lane)
            reckon(n, b, model, h, lane)
        waiting = int(b.waiting[0, lane])
        alerted = b.head[ALERT, lane]
        report_alerts(n, b, model, h, quote, desk, t, lane)
        before_decision(n, b, model, h, quote, regime, lane)
        last = t == int(model.settings[FINAL_ROW]) and param[CLOSE_AT_END] > 0.0
        wanted = triggers(n, b, h, model.params, lane) > 0.0 or t == 0 or last or b.head[ARRIVED, lane] > 0.0
        wanted = wanted or (model.busy[t] & FLOWS_DUE) > 0 or b.head[ALERT, lane] >= 2.0 or b.head[ALERT, lane] != alerted
        if not wanted:
            return END
        observe(n, b, model, h, quote, desk, regime, t, lane)
        if decide is None:
            return ASKED
        for a in range(desk.actions.shape[0]):
            for j in range(ACTION_WIDTH):
                desk.actions[a, j] = 0.0
        for j in range(desk.row.shape[0]):
            desk.row[j] = model.hours[t, j]
        count = decide(desk.seen, desk.row, param, desk.actions)
    for j in range(MEMORIES):
        b.head[MEMORY + j, lane] = desk.seen[MEMORY + j]
    if count < 0 or not valid(model, desk.actions, count):
        return BAD_DECISION
    if count > 0:
        record_decision(n, b, desk, quote, desk.actions, count, t, lane)
        if model.settings[NEXT_BAR] > 0.0:
            b.waiting[0, lane] = count
            for a in range(count):
                for j in range(ACTION_WIDTH):
                    b.waiting[1 + ACTION_WIDTH * a + j, lane] = desk.actions[a, j]
        else:
            execute(n, b, model, h, quote, desk, regime, desk.actions, count, t, lane)
    # cash that the fills freed pays what is owed to the investor in the same row
    if b.head[PENDING, lane] > 0.0:
        pay(n, b, model, h, quote, desk, t, lane)
        reckon(n, b, model, h, lane)
    report_alerts(n, b, model, h, quote, desk, t, lane)
    return END
