"""What few lanes need of an hour: margin test, arrivals, flows, the strategy and its fills (accounting §4.4-4.10).

The part every lane needs in every hour stands in `loop`.
"""

import math

from . import layout as at
from .exposure import expose
from .fills import emit, fill
from .jit import borrowed, kernel, routine, stage
from .risk import assess, compare, maintenance_at, margin_at, notional_at, rate_margins
from .route import aim, route
from .settle import arrive, flow, pay, release, report_funding, test_hour, test_margin

_STEPS = 64


@routine
def reckon(n, b, model, h, lane):
    """Exposure and risk of the book as it stands: the end of every position update."""
    expose(n, b, h, lane)
    assess(n, b, h, lane)
    rate_margins(n, b, lane)


@routine
def report_alerts(n, b, model, h, quote, desk, t, lane):
    """Levels that changed become events; the highest stands in the head."""
    compare(n, b, h, lane)
    worst = 0.0
    for j in range(at.measures(n)):
        now = b.level[j, lane]
        if now != b.alert[j, lane]:
            e = emit(desk, b, t, lane, at.ALERTED, j, -1, -1, 0)
            if e >= 0:
                desk.events[e, at.E_LEVEL] = now
                desk.events[e, at.E_QUANTITY] = b.alert[j, lane]
                e0 = b.head[at.EQUITY, lane]
                x = b.head[at.LTV, lane] if j == 0 else b.head[at.HEALTH_FACTOR, lane]
                for v in range(len(n.cash)):
                    x = b.margin[v, lane] if j == 2 + v else x
                for a in range(len(n.asset)):
                    ratio = b.delta[a, lane] * h.asset[a] / e0 if e0 != 0.0 else 0.0
                    x = ratio if j == 2 + len(n.cash) + a else x
                if j == at.measures(n) - 1:
                    x = 1.0 - e0 / b.stat[at.PEAK, lane]
                desk.events[e, at.E_AMOUNT] = x
                desk.events[e, at.E_EFFECTIVE] = quote.time[0]
            b.alert[j, lane] = now
        worst = now if now > worst else worst
    b.head[at.ALERT, lane] = worst


@stage
def triggers(n, b, h, lane):
    """1 where the strategy of a lane has to be asked: a limit is crossed or something has happened."""
    now = b.head
    params = b.param
    e = now[at.EQUITY, lane]
    asked = (now[at.INVESTED, lane] < params[at.MIN_INVESTED, lane] * e) | (
        now[at.INVESTED, lane] > params[at.MAX_INVESTED, lane] * e
    )
    for v in range(len(n.cash)):
        x = b.notional[v, lane]
        outside = (b.balance[v, lane] < params[at.BAND_LOW, lane] * x) | (
            b.balance[v, lane] > params[at.BAND_HIGH, lane] * x
        )
        asked = asked | (outside & (x > 0.0))
    asked = asked | (now[at.DRIFT, lane] > params[at.MAX_DRIFT, lane] * e)
    within = now[at.MEMORY, lane] > 0.0
    asked = asked | ((h.rate[0] < params[at.LEAVE_RATE, lane]) & within)
    asked = asked | ((h.rate[0] > params[at.ENTER_RATE, lane]) & (not within))
    return 1.0 if asked | (now[at.PENDING, lane] > 0.0) | (params[at.ASK_ALWAYS, lane] > 0.0) else 0.0


@routine
def before_decision(n, b, model, h, quote, regime, lane):
    """Keep the risk measures as they stand before the strategy decides."""
    b.before[0, lane] = b.head[at.LTV, lane]
    b.before[1, lane] = b.head[at.HEALTH_FACTOR, lane]
    for v in range(len(n.cash)):
        b.before[2 + v, lane] = b.margin[v, lane]
        notional = notional_at(n, b, quote.mark, v, lane)
        need = maintenance_at(n, b, quote.mark, model.terms.tier[regime], v, lane)
        b.before[2 + len(n.cash) + v, lane] = need / notional if notional > 0.0 else 0.0


@routine
def observe(n, b, model, h, quote, desk, regime, t, lane):
    """Write the view of a lane: head, assets, quantities, perp costs, margins (margin on its way counted)."""
    view = desk.seen
    for j in range(at.HEAD):
        view[j] = b.head[j, lane]
    low = math.inf
    high = -math.inf
    some = 0
    for v in range(len(n.cash)):
        notional = notional_at(n, b, quote.mark, v, lane)
        if notional > 0.0:
            ratio = (margin_at(n, b, quote.mark, v, lane) + b.transit[v, lane]) / notional
            low = ratio if (some == 0 or ratio < low) else low
            high = ratio if (some == 0 or ratio > high) else high
            some = 1
    view[at.MARGIN_LOW] = low
    view[at.MARGIN_HIGH] = high
    view[at.FIRST] = 1.0 if t == 0 else 0.0
    view[at.LAST] = 1.0 if t == int(model.settings[at.FINAL_ROW]) else 0.0
    view[at.RATE] = h.rate[0]
    e = b.head[at.EQUITY, lane]
    view[at.DRIFT] = b.head[at.DRIFT, lane] / e if e > 0.0 else 0.0
    view[at.INVESTED] = b.head[at.INVESTED, lane] / e if e > 0.0 else 0.0
    view[at.QUOTE_PRICE] = h.value[0] if len(n.cash) > 0 else 1.0
    units = model.terms.gas[regime, at.GAS_TRANSFER]
    for p in range(model.table.plan.shape[0]):
        if int(model.table.plan[p, at.PLAN_COLLATERAL]) >= 0:
            units = model.terms.gas[regime, at.GAS_WITHDRAW]
    view[at.GAS_COST] = units * quote.gas[0] * quote.gas[1]
    perp = at.first_perp(n)
    for a in range(len(n.asset)):
        long = 0.0
        short = 0.0
        for i in range(perp):
            x = b.q[i, lane] * (h.unit[i] * h.member[a * at.slots(n) + i])
            long += x
        for i in range(at.perps(n)):
            short -= b.q[perp + i, lane] * h.member[a * at.slots(n) + perp + i]
        view[at.HEAD + at.SEEN * a + at.LONG] = long
        view[at.HEAD + at.SEEN * a + at.SHORT] = short
        view[at.HEAD + at.SEEN * a + at.PRICE] = h.asset[a]
    j = at.HEAD + at.SEEN * len(n.asset)
    for i in range(at.slots(n)):
        view[j + i] = b.q[i, lane]
    j += at.slots(n)
    for i in range(at.perps(n)):
        view[j + i] = b.cost[i, lane]
    j += at.perps(n)
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
        opens = (code == at.ENTRY_FULL or code == at.ENTRY_PARTIAL) and int(plan[at.PLAN_KIND]) != at.PLAN_MARGIN
        if opens and b.head[at.ALERT, lane] >= 2.0 and param[at.RESTRICT] > 0.0:
            e = emit(desk, b, t, lane, at.REJECT, at.CRITICAL, -1, -1, code)
            if e >= 0:
                desk.events[e, at.E_AMOUNT] = action[2]
                desk.events[e, at.E_EFFECTIVE] = quote.time[0]
        else:
            action[3] = aim(n, b, plan, action, lane)
            for step in range(_STEPS):
                sent = route(n, b, model, h, quote, desk, regime, param, action, step, desk.orders, lane)
                if sent < 0:
                    break
                for j in range(sent):
                    order = desk.orders[j]
                    kind = int(order[0])
                    e = emit(desk, b, t, lane, at.ORDER, kind, int(order[1]), int(order[2]), code)
                    if e >= 0:
                        desk.events[e, at.E_QUANTITY] = order[3]
                        desk.events[e, at.E_EFFECTIVE] = quote.time[0]
                    status = fill(n, b, model, h, quote, desk, regime, t, lane, order, code)
                    reckon(n, b, model, h, lane)
                    if status != 0:
                        e = emit(desk, b, t, lane, at.REJECT, status, int(order[1]), int(order[2]), code)
                        if e >= 0:
                            desk.events[e, at.E_QUANTITY] = order[3]
                            desk.events[e, at.E_EFFECTIVE] = quote.time[0]
                        break


@stage
def record_decision(n, b, desk, quote, actions, count, t, lane):
    """One event per action; the number of the decision is the correlation id of all that follows from it."""
    b.stat[at.DECISIONS, lane] += 1.0
    for a in range(count):
        e = emit(desk, b, t, lane, at.DECISION, int(actions[a, 1]), -1, -1, int(actions[a, 0]))
        if e >= 0:
            desk.events[e, at.E_AMOUNT] = actions[a, 2]
            desk.events[e, at.E_EFFECTIVE] = quote.time[0]


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


@stage
def close_peak(b, lane):
    """A flow moves the peak in proportion, so that drawdown is time-weighted; the row is done."""
    e = b.head[at.EQUITY, lane]
    if b.head[at.FLOW, lane] != 0.0 and e != b.head[at.FLOW, lane]:
        b.stat[at.PEAK, lane] *= e / (e - b.head[at.FLOW, lane])
    return at.END


@routine
def tail(n, b, h, quote, model, desk, decide, regime, t, lane, given):
    """The rest of the hour for one lane. Returns END, or why the loop has to stop.

    `given` is -1, or the number of actions a caller has put into `desk.actions` as this row's decision: then what comes
    before the decision has been done.
    """
    param = desk.param
    for j in range(param.shape[0]):
        param[j] = b.param[j, lane]
    count = given
    if given < 0:
        b.head[at.TAILED, lane] = 1.0
        if model.settings[at.LIQUIDATE] > 0.0:
            if test_margin(n, b, model, h, quote, desk, regime, t, lane) > 0:
                release(n, b, lane)
        arrive(n, b, quote, desk, t, lane)
        flow(n, b, model, h, quote, desk, t, lane)
        reckon(n, b, model, h, lane)
        if b.head[at.PENDING, lane] > 0.0:
            pay(n, b, model, h, quote, desk, t, lane)
            reckon(n, b, model, h, lane)
        waiting = int(b.waiting[0, lane])
        if waiting > 0:
            # `next_bar`: what the row before decided is filled now
            for a in range(waiting):
                for j in range(at.ACTION_WIDTH):
                    desk.actions[a, j] = b.waiting[1 + at.ACTION_WIDTH * a + j, lane]
            b.waiting[0, lane] = 0.0
            execute(n, b, model, h, quote, desk, regime, desk.actions, waiting, t, lane)
        alerted = b.head[at.ALERT, lane]
        report_alerts(n, b, model, h, quote, desk, t, lane)
        before_decision(n, b, model, h, quote, regime, lane)
        last = t == int(model.settings[at.FINAL_ROW]) and param[at.CLOSE_AT_END] > 0.0
        wanted = triggers(n, b, h, lane) > 0.0 or t == 0 or last or b.head[at.ARRIVED, lane] > 0.0
        wanted = (
            wanted
            or (model.busy[t] & at.FLOWS_DUE) > 0
            or b.head[at.ALERT, lane] >= 2.0
            or b.head[at.ALERT, lane] != alerted
        )
        if not wanted:
            return close_peak(b, lane)
        observe(n, b, model, h, quote, desk, regime, t, lane)
        if decide is None:
            return at.ASKED
        for a in range(desk.actions.shape[0]):
            for j in range(at.ACTION_WIDTH):
                desk.actions[a, j] = 0.0
        for j in range(desk.hour.shape[0]):
            desk.hour[j] = desk.row[j]
        count = decide(desk.seen, desk.hour, param, desk.actions)
    for j in range(at.MEMORIES):
        b.head[at.MEMORY + j, lane] = desk.seen[at.MEMORY + j]
    if count < 0 or not valid(model, desk.actions, count):
        return at.BAD_DECISION
    if count > 0:
        record_decision(n, b, desk, quote, desk.actions, count, t, lane)
        if model.settings[at.NEXT_BAR] > 0.0:
            b.waiting[0, lane] = count
            for a in range(count):
                for j in range(at.ACTION_WIDTH):
                    b.waiting[1 + at.ACTION_WIDTH * a + j, lane] = desk.actions[a, j]
        else:
            execute(n, b, model, h, quote, desk, regime, desk.actions, count, t, lane)
    # cash that the fills freed pays what is owed to the investor in the same row
    if b.head[at.PENDING, lane] > 0.0:
        pay(n, b, model, h, quote, desk, t, lane)
        reckon(n, b, model, h, lane)
    report_alerts(n, b, model, h, quote, desk, t, lane)
    return close_peak(b, lane)


@stage
def borrowed_model(m):
    """The model without the owners of its arrays: reading a field counts no references."""
    t = m.table
    c = m.terms
    return at.Model(
        at.Table(
            borrowed(t.venue, t.venue.shape),
            borrowed(t.plan, t.plan.shape),
            borrowed(t.wallet, t.wallet.shape),
            borrowed(t.withdrawal, t.withdrawal.shape),
        ),
        borrowed(m.hours, m.hours.shape),
        borrowed(m.quotes, m.quotes.shape),
        borrowed(m.regime, m.regime.shape),
        borrowed(m.busy, m.busy.shape),
        at.Terms(
            borrowed(c.venue, c.venue.shape),
            borrowed(c.gas, c.gas.shape),
            borrowed(c.tier, c.tier.shape),
            borrowed(c.spot_slippage, c.spot_slippage.shape),
            borrowed(c.perp_slippage, c.perp_slippage.shape),
        ),
        borrowed(m.settings, m.settings.shape),
    )


@stage
def borrowed_desk(d):
    """The desk without the owners of its arrays."""
    return at.Desk(
        borrowed(d.seen, d.seen.shape),
        borrowed(d.row, d.row.shape),
        borrowed(d.hour, d.hour.shape),
        borrowed(d.param, d.param.shape),
        borrowed(d.actions, d.actions.shape),
        borrowed(d.orders, d.orders.shape),
        borrowed(d.need, d.need.shape),
        borrowed(d.surplus, d.surplus.shape),
        borrowed(d.events, d.events.shape),
        borrowed(d.count, d.count.shape),
    )


#: Parts of an hour that `attend` does.
STRIKE, REPORT, DECIDE = range(3)


@kernel
def attend(n, block, model, desk, decide, t, lane, part, given):
    """What one lane needs beyond the pass over all lanes; compiled once for all books and lane counts.

    Parameters
    ----------
    n : Shape whose fields are arrays: sizes are read while it runs, so that no book needs a compilation of its own
    part : STRIKE tests the hour that ended for liquidations, REPORT writes the funding events, DECIDE is `tail`
    given : see `tail`
    """
    model = borrowed_model(model)
    desk = borrowed_desk(desk)
    b = at.book(n, borrowed(block, block.shape))
    h = at.hour_of(n, desk.row)
    quote = at.quote_of(n, model.quotes[t])
    if part == STRIKE:
        before = at.quote_of(n, model.quotes[t - 1])
        test_hour(n, b, model, h, quote, desk, before.mark, model.regime[t - 1], t, lane)
        return at.END
    if part == REPORT:
        report_funding(n, b, h, quote, desk, t, lane)
        return at.END
    return tail(n, b, h, quote, model, desk, decide, model.regime[t], t, lane, given)
