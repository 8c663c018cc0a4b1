"""What few lanes need of an hour: margin test, arrivals, flows, the strategy and its fills (accounting §4.4-4.10).

The part every lane needs in every hour stands in `loop`.
"""

import math

from . import layout as at
from .exposure import delta_of, expose
from .fills import emit, fill
from .frame import view
from .jit import kernel, routine, stage
from .risk import assess, compare, maintenance_at, margin_at, notional_at, rate_margins
from .route import aim, route
from .settle import arrive, flow, pay, release, report_funding, test_hour, test_margin

_STEPS = 64


@routine
def reckon(n, cells, model, coef, lane):
    """Exposure and risk of the book as it stands: the end of every position update."""
    expose(n, cells, coef, lane)
    for a in range(len(n.asset)):
        delta_of(n, cells, coef, a, lane)
    assess(n, cells, coef, lane)
    rate_margins(n, cells, lane)


@routine
def report_alerts(n, cells, model, coef, tape, desk, t, lane):
    """Levels that changed become events; the highest stands in the head."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    compare(n, cells, coef, lane)
    worst = 0.0
    for j in range(at.measures(n)):
        now = cells[b.level + j, lane]
        if now != cells[b.alert + j, lane]:
            e = emit(n, desk, cells, t, lane, at.ALERTED, j, -1, -1, 0)
            if e >= 0:
                desk.events[e, at.E_LEVEL] = now
                desk.events[e, at.E_QUANTITY] = cells[b.alert + j, lane]
                e0 = cells[b.head + at.EQUITY, lane]
                x = cells[b.head + at.LTV, lane] if j == 0 else cells[b.head + at.HEALTH_FACTOR, lane]
                for v in range(len(n.cash)):
                    x = cells[b.margin + v, lane] if j == 2 + v else x
                for a in range(len(n.asset)):
                    ratio = cells[b.delta + a, lane] * coef[h.asset + a] / e0 if e0 != 0.0 else 0.0
                    x = ratio if j == 2 + len(n.cash) + a else x
                if j == at.measures(n) - 1:
                    peak = cells[b.stat + at.PEAK, lane]
                    x = 1.0 - e0 / peak if peak > 0.0 else 0.0
                desk.events[e, at.E_AMOUNT] = x
                desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
            cells[b.alert + j, lane] = now
        worst = now if now > worst else worst
    cells[b.head + at.ALERT, lane] = worst


@stage
def triggers(n, cells, coef, lane):
    """1 where the strategy of a lane has to be asked: a limit is crossed or something has happened."""
    b = at.book_at(n)
    h = at.hour_at(n)
    e = cells[b.head + at.EQUITY, lane]
    asked = (cells[b.head + at.INVESTED, lane] < cells[b.param + at.MIN_INVESTED, lane] * e) | (
        cells[b.head + at.INVESTED, lane] > cells[b.param + at.MAX_INVESTED, lane] * e
    )
    for v in range(len(n.cash)):
        x = cells[b.notional + v, lane]
        outside = (cells[b.balance + v, lane] < cells[b.param + at.BAND_LOW, lane] * x) | (
            cells[b.balance + v, lane] > cells[b.param + at.BAND_HIGH, lane] * x
        )
        asked = asked | (outside & (x > 0.0))
    asked = asked | (cells[b.head + at.DRIFT, lane] > cells[b.param + at.MAX_DRIFT, lane] * e)
    within = cells[b.head + at.MEMORY, lane] > 0.0
    asked = asked | ((coef[h.rate + 0] < cells[b.param + at.LEAVE_RATE, lane]) & within)
    asked = asked | ((coef[h.rate + 0] > cells[b.param + at.ENTER_RATE, lane]) & (not within))
    return (
        1.0 if asked | (cells[b.head + at.PENDING, lane] > 0.0) | (cells[b.param + at.ASK_ALWAYS, lane] > 0.0) else 0.0
    )


@routine
def before_decision(n, cells, model, coef, tape, regime, lane):
    """Keep the risk measures as they stand before the strategy decides."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    cells[b.before + 0, lane] = cells[b.head + at.LTV, lane]
    cells[b.before + 1, lane] = cells[b.head + at.HEALTH_FACTOR, lane]
    for v in range(len(n.cash)):
        cells[b.before + 2 + v, lane] = cells[b.margin + v, lane]
        notional = notional_at(n, cells, tape, quote.mark, v, lane)
        need = maintenance_at(n, cells, tape, quote.mark, model.terms.tier[regime], v, lane)
        cells[b.before + 2 + len(n.cash) + v, lane] = need / notional if notional > 0.0 else 0.0


@routine
def observe(n, cells, model, coef, tape, desk, regime, t, lane):
    """Write the view of a lane: head, assets, quantities, perp costs, margins (margin on its way counted)."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    view = desk.seen
    for j in range(at.HEAD):
        view[j] = cells[b.head + j, lane]
    low = math.inf
    high = -math.inf
    some = 0
    for v in range(len(n.cash)):
        notional = notional_at(n, cells, tape, quote.mark, v, lane)
        if notional > 0.0:
            ratio = (margin_at(n, cells, tape, quote.mark, v, lane) + cells[b.transit + v, lane]) / notional
            low = ratio if (some == 0 or ratio < low) else low
            high = ratio if (some == 0 or ratio > high) else high
            some = 1
    view[at.MARGIN_LOW] = low
    view[at.MARGIN_HIGH] = high
    view[at.FIRST] = 1.0 if t == 0 else 0.0
    view[at.LAST] = 1.0 if t == int(model.settings[at.FINAL_ROW]) else 0.0
    view[at.RATE] = coef[h.rate + 0]
    e = cells[b.head + at.EQUITY, lane]
    view[at.DRIFT] = cells[b.head + at.DRIFT, lane] / e if e > 0.0 else 0.0
    view[at.INVESTED] = cells[b.head + at.INVESTED, lane] / e if e > 0.0 else 0.0
    view[at.QUOTE_PRICE] = coef[h.value + 0] if len(n.cash) > 0 else 1.0
    units = model.terms.gas[regime, at.GAS_TRANSFER]
    for plan in range(model.table.plan.shape[0]):
        if int(model.table.plan[plan, at.PLAN_COLLATERAL]) >= 0:
            units = max(units, model.terms.gas[regime, at.GAS_SUPPLY], model.terms.gas[regime, at.GAS_WITHDRAW])
    view[at.GAS_COST] = units * tape[quote.gas + 0] * tape[quote.gas + 1]
    perp = at.first_perp(n)
    for a in range(len(n.asset)):
        long = 0.0
        short = 0.0
        for i in range(perp):
            x = cells[b.q + i, lane] * (coef[h.unit + i] * coef[h.member + a * at.slots(n) + i])
            long += x
        for i in range(at.perps(n)):
            short -= cells[b.q + perp + i, lane] * coef[h.member + a * at.slots(n) + perp + i]
        view[at.HEAD + at.SEEN * a + at.LONG] = long
        view[at.HEAD + at.SEEN * a + at.SHORT] = short
        view[at.HEAD + at.SEEN * a + at.PRICE] = coef[h.asset + a]
    j = at.HEAD + at.SEEN * len(n.asset)
    for i in range(at.slots(n)):
        view[j + i] = cells[b.q + i, lane]
    j += at.slots(n)
    for i in range(at.perps(n)):
        view[j + i] = cells[b.cost + i, lane]
    j += at.perps(n)
    for v in range(len(n.cash)):
        view[j + v] = cells[b.margin + v, lane]


@routine
def execute(n, cells, model, coef, tape, desk, regime, actions, count, t, lane):
    """Route each action and fill its orders; exposure and risk follow every fill before the next order is sent."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    param = desk.param
    for a in range(count):
        action = actions[a]
        code = int(action[0])
        plan = model.table.plan[int(action[1])]
        opens = (code == at.ENTRY_FULL or code == at.ENTRY_PARTIAL) and int(plan[at.PLAN_KIND]) != at.PLAN_MARGIN
        if opens and cells[b.head + at.ALERT, lane] >= 2.0 and param[at.RESTRICT] > 0.0:
            e = emit(n, desk, cells, t, lane, at.REJECT, at.CRITICAL, -1, -1, code)
            if e >= 0:
                desk.events[e, at.E_AMOUNT] = action[2]
                desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
        else:
            action[3] = aim(n, cells, plan, action, lane)
            for step in range(_STEPS):
                sent = route(n, cells, model, coef, tape, desk, regime, param, action, step, desk.orders, lane)
                if sent < 0:
                    break
                for j in range(sent):
                    order = desk.orders[j]
                    kind = int(order[0])
                    e = emit(n, desk, cells, t, lane, at.ORDER, kind, int(order[1]), int(order[2]), code)
                    if e >= 0:
                        desk.events[e, at.E_QUANTITY] = order[3]
                        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
                    status = fill(n, cells, model, coef, tape, desk, regime, t, lane, order, code)
                    reckon(n, cells, model, coef, lane)
                    if status != 0:
                        e = emit(n, desk, cells, t, lane, at.REJECT, status, int(order[1]), int(order[2]), code)
                        if e >= 0:
                            desk.events[e, at.E_QUANTITY] = order[3]
                            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
                        break


@stage
def record_decision(n, cells, desk, tape, actions, count, t, lane):
    """One event per action; the number of the decision is the correlation id of all that follows from it."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    cells[b.stat + at.DECISIONS, lane] += 1.0
    for a in range(count):
        e = emit(n, desk, cells, t, lane, at.DECISION, int(actions[a, 1]), -1, -1, int(actions[a, 0]))
        if e >= 0:
            desk.events[e, at.E_AMOUNT] = actions[a, 2]
            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@stage
def valid(model, actions, count):
    """Whether a strategy's actions are well-formed: known codes and plans, finite amounts that are not negative."""
    if count > actions.shape[0]:
        return False
    for a in range(count):
        code = actions[a, 0]
        plan = actions[a, 1]
        amount = actions[a, 2]
        if not (code >= 1.0 and code <= 4.0 and plan >= 0.0 and plan < model.table.plan.shape[0]):
            return False
        if code != float(int(code)) or plan != float(int(plan)):
            return False
        if not (amount >= 0.0 and amount < 1e300):
            return False
    return True


@stage
def tail(n, cells, coef, tape, frame, regime, t, lane, given):
    """The rest of the hour for one lane. Returns END, or why the loop has to stop.

    `given` is -1, or the number of actions a caller has put into `desk.actions` as this row's decision: then what comes
    before the decision has been done.
    """
    b = at.book_at(n)
    model = frame.model
    desk = frame.desk
    param = desk.param
    for j in range(param.shape[0]):
        param[j] = cells[b.param + j, lane]
    count = given
    if given < 0:
        cells[b.head + at.TAILED, lane] = 1.0
        if model.settings[at.LIQUIDATE] > 0.0:
            if test_margin(n, cells, model, coef, tape, desk, regime, t, lane) > 0:
                release(n, cells, lane)
                reckon(n, cells, model, coef, lane)
        arrive(n, cells, tape, desk, t, lane)
        flow(n, cells, model, coef, tape, desk, t, lane)
        reckon(n, cells, model, coef, lane)
        if cells[b.head + at.PENDING, lane] > 0.0:
            pay(n, cells, model, coef, tape, desk, t, lane)
            reckon(n, cells, model, coef, lane)
        waiting = int(cells[b.waiting + 0, lane])
        if waiting > 0:
            # `next_bar`: what the row before decided is filled now
            for a in range(waiting):
                for j in range(at.ACTION_WIDTH):
                    desk.actions[a, j] = cells[b.waiting + 1 + at.ACTION_WIDTH * a + j, lane]
            cells[b.waiting + 0, lane] = 0.0
            execute(n, cells, model, coef, tape, desk, regime, desk.actions, waiting, t, lane)
        alerted = cells[b.head + at.ALERT, lane]
        report_alerts(n, cells, model, coef, tape, desk, t, lane)
        before_decision(n, cells, model, coef, tape, regime, lane)
        last = t == int(model.settings[at.FINAL_ROW]) and param[at.CLOSE_AT_END] > 0.0
        wanted = triggers(n, cells, coef, lane) > 0.0 or t == 0 or last or cells[b.head + at.ARRIVED, lane] > 0.0
        wanted = (
            wanted
            or (model.busy[t] & at.FLOWS_DUE) > 0
            or cells[b.head + at.ALERT, lane] >= 2.0
            or cells[b.head + at.ALERT, lane] != alerted
        )
        if not wanted:
            return at.END
        observe(n, cells, model, coef, tape, desk, regime, t, lane)
        if frame.asks > 0:
            return at.ASKED
        for a in range(desk.actions.shape[0]):
            for j in range(at.ACTION_WIDTH):
                desk.actions[a, j] = 0.0
        for j in range(desk.hour.shape[0]):
            desk.hour[j] = desk.row[j]
        decide = frame.decide
        count = decide(desk.seen, desk.hour, param, desk.actions)
    for j in range(at.MEMORIES):
        cells[b.head + at.MEMORY + j, lane] = desk.seen[at.MEMORY + j]
    if count < 0 or not valid(model, desk.actions, count):
        return at.BAD_DECISION
    if count > 0:
        record_decision(n, cells, desk, tape, desk.actions, count, t, lane)
        if model.settings[at.NEXT_BAR] > 0.0:
            cells[b.waiting + 0, lane] = count
            for a in range(count):
                for j in range(at.ACTION_WIDTH):
                    cells[b.waiting + 1 + at.ACTION_WIDTH * a + j, lane] = desk.actions[a, j]
        else:
            execute(n, cells, model, coef, tape, desk, regime, desk.actions, count, t, lane)
    # cash that the fills freed pays what is owed to the investor in the same row
    if cells[b.head + at.PENDING, lane] > 0.0:
        pay(n, cells, model, coef, tape, desk, t, lane)
        reckon(n, cells, model, coef, lane)
    report_alerts(n, cells, model, coef, tape, desk, t, lane)
    return at.END


#: Parts of an hour that `attend` does.
STRIKE, REPORT, DECIDE = range(3)


@kernel
def attend(words, t, lane, part, given):
    """What one lane needs beyond the pass over all lanes; compiled once for all books and lane counts.

    Parameters
    ----------
    words : a packed `Frame`
    part : STRIKE tests the hour that ended for liquidations, REPORT writes the funding events, DECIDE is `tail`
    given : see `tail`
    """
    frame = view(words)
    n = frame.sizes
    cells = frame.block
    model = frame.model
    desk = frame.desk
    coef = desk.row
    tape = model.quotes[t]
    if part == STRIKE:
        test_hour(n, cells, model, coef, tape, desk, model.quotes[t - 1], model.regime[t - 1], t, lane)
        return at.END
    if part == REPORT:
        report_funding(n, cells, coef, tape, desk, t, lane)
        return at.END
    return tail(n, cells, coef, tape, frame, model.regime[t], t, lane, given)
