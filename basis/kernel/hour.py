"""What few lanes need of an hour: margin test, arrivals, flows, the strategy and its fills (accounting §4.4-4.10).

The pass that every lane needs in every hour stands in `loop`. `attend` is the door to the hour for single lanes: the
loop has `tail` done through it, and the components of the event engine have every part of an hour done, one by one.
"""

import math

from . import layout as at
from .depth import open_trading
from .exposure import delta_of, expose
from .fills import book, emit, pay_gas, price
from .frame import DECISION, ROW, view
from .numba.jit import kernel, routine, stage
from .pnl import attribute, settle_funding, summarise
from .risk import assess, compare, maintenance_at, margin_at, notional_at, rate_margins, test_extremes
from .route import AIM_ONLY, dearest
from .settle import (
    AT_MARKS,
    IN_HOUR,
    arrive,
    flow,
    pay,
    pay_rewards,
    release,
    report_funding,
)

#: More steps than any route has.
STEPS = 128
_DAY = 86_400.0


@stage
def expose_all(n, cells, coef, lane):
    """Exposure of the book as it stands."""
    expose(n, cells, coef, lane)
    for a in range(len(n.asset)):
        delta_of(n, cells, coef, a, lane)


@routine
def reckon(n, cells, model, coef, lane):
    """Exposure and risk of the book as it stands: the end of every position update."""
    expose_all(n, cells, coef, lane)
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
def dust_of(n, cells, coef, lane):
    """Worth of the reward tokens in the wallet, share class."""
    b = at.book_at(n)
    h = at.hour_at(n)
    dust = 0.0
    for i in range(len(n.reward)):
        j = len(n.cash) + len(n.token) - len(n.reward) + i
        dust += cells[b.q + j, lane] * coef[h.value + j]
    return dust


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
    asked = asked | (dust_of(n, cells, coef, lane) > cells[b.param + at.DUST_LIMIT, lane])
    ltv = cells[b.head + at.LTV, lane]
    asked = asked | (ltv < cells[b.param + at.LOW_LTV, lane]) | (ltv > cells[b.param + at.HIGH_LTV, lane])
    asked = asked | (cells[b.head + at.HEALTH_FACTOR, lane] < cells[b.param + at.LEAST_HEALTH, lane])
    within = cells[b.head + at.MEMORY, lane] > 0.0
    asked = asked | ((coef[h.rate + 0] < cells[b.param + at.LEAVE_RATE, lane]) & within)
    ruled = cells[b.param + at.ENTER_RATE, lane] != at.NO_RULE
    asked = asked | ((coef[h.rate + 0] > cells[b.param + at.ENTER_RATE, lane]) & (not within) & ruled)
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
    view[at.DUST_WORTH] = dust_of(n, cells, coef, lane)
    # a bundle that reverted would revert again: a day is waited
    reverted = cells[b.head + at.REVERTED, lane]
    view[at.REVERTED] = 1.0 if reverted > 0.0 and tape[quote.time + 0] < reverted + _DAY else 0.0
    e = cells[b.head + at.EQUITY, lane]
    view[at.DRIFT] = cells[b.head + at.DRIFT, lane] / e if e > 0.0 else 0.0
    view[at.INVESTED] = cells[b.head + at.INVESTED, lane] / e if e > 0.0 else 0.0
    view[at.QUOTE_PRICE] = coef[h.value + 0] if len(n.cash) > 0 else 1.0
    view[at.GAS_COST] = dearest(model, regime) * tape[quote.gas + 0] * tape[quote.gas + 1]
    perp = at.first_perp(n)
    for a in range(len(n.asset)):
        long = 0.0
        short = 0.0
        for i in range(perp):
            held = cells[b.q + i, lane]
            if i < len(n.cash) + len(n.token):
                held += cells[b.transit + i, lane]
            long += held * (coef[h.unit + i] * coef[h.member + a * at.slots(n) + i])
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
def is_blocked(n, cells, model, tape, desk, action, t, lane):
    """Whether an action would open risk while an alert is critical; it is rejected then."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    code = int(action[0])
    plan = model.table.plan[int(action[1])]
    opens = (code == at.ENTRY_FULL or code == at.ENTRY_PARTIAL) and int(plan[at.PLAN_KIND]) != at.PLAN_MARGIN
    if not (opens and cells[b.head + at.ALERT, lane] >= 2.0 and desk.param[at.RESTRICT] > 0.0):
        return False
    e = emit(n, desk, cells, t, lane, at.REJECT, at.CRITICAL, -1, -1, code)
    if e >= 0:
        desk.events[e, at.E_AMOUNT] = action[2]
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
    return True


@routine
def report_order(n, cells, tape, desk, order, kind, code, action, t, lane):
    """The event of an order that is sent, or was refused."""
    quote = at.quote_at(n)
    e = emit(n, desk, cells, t, lane, kind, code, int(order[1]), int(order[2]), action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = order[3]
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@routine
def refuse(n, cells, model, tape, desk, regime, order, status, action, t, lane):
    """An order that is not filled; a bundle that reverts has cost its gas. Returns 1 where it has."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    report_order(n, cells, tape, desk, order, at.REJECT, status, action, t, lane)
    kind = int(order[0])
    bundle = kind >= at.LEVER_STAKE and kind <= at.UNWIND
    reverts = status == at.BEYOND_LTV or status == at.ABOVE_CAP or status == at.NOT_HELD or status == at.BREAKS_HF
    if not (bundle and reverts):
        return 0
    cells[b.head + at.REVERTED, lane] = tape[quote.time + 0]
    units = model.terms.gas[regime, at.GAS_LEVER if kind <= at.LEVER_SWAP else at.GAS_DELEVER]
    slot = model.table.wallet[2]
    before = cells[b.q + slot, lane]
    gas = pay_gas(n, cells, model.table, tape, units, lane)
    e = emit(n, desk, cells, t, lane, at.FILL, kind, slot, slot, action)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = cells[b.q + slot, lane] - before
        desk.events[e, at.E_AMOUNT] = cells[b.q + slot, lane] - before
        desk.events[e, at.E_GAS] = gas
        desk.events[e, at.E_GAS_UNITS] = units
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
    return 1


@routine
def execute(n, cells, coef, tape, frame, words, regime, count, t, lane):
    """Route each action and fill its orders; exposure and risk follow every fill before the next order is sent."""
    model = frame.model
    desk = frame.desk
    for a in range(count):
        action = desk.actions[a]
        code = int(action[0])
        if not is_blocked(n, cells, model, tape, desk, action, t, lane):
            frame.steer(words, t, lane, a, AIM_ONLY)
            for step in range(STEPS):
                sent = frame.steer(words, t, lane, a, step)
                if sent < 0:
                    break
                for j in range(sent):
                    order = desk.orders[j]
                    report_order(n, cells, tape, desk, order, at.ORDER, int(order[0]), code, t, lane)
                    status = price(n, cells, model, coef, tape, desk, regime, lane, order)
                    if status != at.OK:
                        refuse(n, cells, model, tape, desk, regime, order, status, code, t, lane)
                        reckon(n, cells, model, coef, lane)
                        break
                    book(n, cells, model, coef, tape, desk, t, lane, code)
                    reckon(n, cells, model, coef, lane)


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
    if count < 0 or count > actions.shape[0]:
        return False
    for a in range(count):
        code = actions[a, 0]
        plan = actions[a, 1]
        amount = actions[a, 2]
        if not (code >= 1.0 and code <= at.SELL_DUST and plan >= 0.0 and plan < model.table.plan.shape[0]):
            return False
        if code != float(int(code)) or plan != float(int(plan)):
            return False
        # dust is sold, and nothing else is done with it
        if (code == at.SELL_DUST) != (int(model.table.plan[int(plan), at.PLAN_KIND]) == at.PLAN_DUST):
            return False
        if not (amount >= 0.0 and amount < 1e300):
            return False
        # fractions of a price
        if not (actions[a, 4] >= 0.0 and actions[a, 4] < 1e300 and actions[a, 5] >= 0.0 and actions[a, 5] < 1e300):
            return False
    return True


@routine
def enter_row(n, cells, model, desk, t, lane):
    """What the hour reads: its coefficients, the parameters of the lane."""
    b = at.book_at(n)
    for j in range(at.width(n)):
        desk.row[j] = model.hours[t, j]
    for j in range(desk.param.shape[0]):
        desk.param[j] = cells[b.param + j, lane]


@stage
def is_forced(model, t):
    """Whether every lane is attended to in a row, flagged or not."""
    return t == 0 or (model.busy[t] & (at.FLOWS_DUE | at.CHANGES | at.CLOSES | at.REWARDS | at.ASKS)) > 0


#: What an hour begins with, as bits: strikes, funding events, crediting of what strikes left, funding.
STRIKES, REPORTS, PAUSES, FUNDS = 1, 2, 4, 8


@stage
def begin(n, model, desk, near, t):
    """How an hour begins whose extremes were tested; `near` where a venue needs a closer look."""
    renewed = (model.busy[t] & at.CHANGES) > 0
    funds = (model.busy[t] & at.FUNDS) > 0
    report = funds and desk.events.shape[0] > 0
    strikes = (model.settings[at.LIQUIDATE] > 0.0 or len(n.stop) > 0) and (near > 0.0 or renewed)
    return (
        (STRIKES if strikes else 0)
        | (REPORTS if report else 0)
        | (PAUSES if strikes or report or renewed else 0)
        | (FUNDS if funds else 0)
    )


@stage
def open_row(n, cells, lane):
    """Marks of the row before are taken off."""
    b = at.book_at(n)
    cells[b.head + at.FLOW, lane] = 0.0
    cells[b.head + at.ARRIVED, lane] = 0.0
    cells[b.head + at.TAILED, lane] = 0.0


@stage
def look(n, cells, coef, time, near, lane):
    """1 where a lane has to be attended to: near a limit, something due, a level changed, the strategy's triggers."""
    b = at.book_at(n)
    due = (cells[b.stat + at.NEXT_DUE, lane] <= time) | (cells[b.waiting + 0, lane] > 0.0)
    due = due | (cells[b.head + at.ALERT, lane] >= 2.0)
    asked = triggers(n, cells, coef, lane)
    return 1.0 if due | (asked > 0.0) else near


@stage
def receive(n, cells, model, coef, tape, desk, t, lane):
    """Rewards of the row, where there are any."""
    if (model.busy[t] & at.REWARDS) > 0:
        pay_rewards(n, cells, model, coef, tape, desk, t, lane)


@stage
def take_waiting(n, cells, desk, lane):
    """Actions that the row before decided, filled now (`next_bar`); returns their number."""
    b = at.book_at(n)
    waiting = int(cells[b.waiting + 0, lane])
    for a in range(waiting):
        for j in range(at.ACTION_WIDTH):
            desk.actions[a, j] = cells[b.waiting + 1 + at.ACTION_WIDTH * a + j, lane]
    cells[b.waiting + 0, lane] = 0.0
    return waiting


@stage
def put_off(n, cells, desk, count, lane):
    """Keep actions for the next row."""
    b = at.book_at(n)
    cells[b.waiting + 0, lane] = count
    for a in range(count):
        for j in range(at.ACTION_WIDTH):
            cells[b.waiting + 1 + at.ACTION_WIDTH * a + j, lane] = desk.actions[a, j]


@stage
def is_wanted(n, cells, model, coef, desk, alerted, t, lane):
    """Whether the strategy is asked in this row; `alerted` is the alert level before this row's alerts."""
    b = at.book_at(n)
    last = t == int(model.settings[at.FINAL_ROW]) and desk.param[at.CLOSE_AT_END] > 0.0
    wanted = triggers(n, cells, coef, lane) > 0.0 or t == 0 or last or cells[b.head + at.ARRIVED, lane] > 0.0
    level = cells[b.head + at.ALERT, lane]
    return wanted or (model.busy[t] & (at.FLOWS_DUE | at.ASKS)) > 0 or level >= 2.0 or level != alerted


@stage
def ask(desk, decide):
    """Let a compiled strategy decide on what `observe` has written; returns the number of its actions."""
    for a in range(desk.actions.shape[0]):
        for j in range(at.ACTION_WIDTH):
            desk.actions[a, j] = 0.0
    for j in range(desk.hour.shape[0]):
        desk.hour[j] = desk.row[j]
    return decide(desk.seen, desk.hour, desk.param, desk.actions)


@stage
def accept(n, cells, model, tape, desk, count, t, lane):
    """Take a decision: what the strategy remembers, and its actions if they are well-formed; whether they are."""
    b = at.book_at(n)
    for j in range(at.MEMORIES):
        cells[b.head + at.MEMORY + j, lane] = desk.seen[at.MEMORY + j]
    if not valid(model, desk.actions, count):
        return False
    if count > 0:
        record_decision(n, cells, desk, tape, desk.actions, count, t, lane)
    return True


@stage
def tail(n, cells, coef, tape, frame, words, regime, t, lane, given):
    """The rest of the hour for one lane. Returns END, or why the loop has to stop.

    `given` is -1, or the number of actions a caller has put into `desk.actions` as this row's decision: then what comes
    before the decision has been done.
    """
    b = at.book_at(n)
    model = frame.model
    desk = frame.desk
    count = given
    if given < 0:
        if frame.asks == ROW:
            return at.ASKED
        cells[b.head + at.TAILED, lane] = 1.0
        open_trading(n, cells, lane)
        if frame.strike(words, t, lane, AT_MARKS, 0) > 0:
            reckon(n, cells, model, coef, lane)
        arrive(n, cells, tape, desk, t, lane)
        receive(n, cells, model, coef, tape, desk, t, lane)
        flow(n, cells, model, coef, tape, desk, t, lane)
        reckon(n, cells, model, coef, lane)
        if cells[b.head + at.PENDING, lane] > 0.0:
            pay(n, cells, model, coef, tape, desk, regime, t, lane)
            reckon(n, cells, model, coef, lane)
        waiting = take_waiting(n, cells, desk, lane)
        if waiting > 0:
            execute(n, cells, coef, tape, frame, words, regime, waiting, t, lane)
        alerted = cells[b.head + at.ALERT, lane]
        report_alerts(n, cells, model, coef, tape, desk, t, lane)
        before_decision(n, cells, model, coef, tape, regime, lane)
        if not is_wanted(n, cells, model, coef, desk, alerted, t, lane):
            return at.END
        observe(n, cells, model, coef, tape, desk, regime, t, lane)
        if frame.asks == DECISION:
            return at.ASKED
        count = ask(desk, frame.decide)
    if not accept(n, cells, model, tape, desk, count, t, lane):
        return at.BAD_DECISION
    if count > 0:
        if model.settings[at.NEXT_BAR] > 0.0:
            put_off(n, cells, desk, count, lane)
        else:
            execute(n, cells, coef, tape, frame, words, regime, count, t, lane)
    # cash that the fills freed pays what is owed to the investor in the same row
    if cells[b.head + at.PENDING, lane] > 0.0:
        pay(n, cells, model, coef, tape, desk, regime, t, lane)
        reckon(n, cells, model, coef, lane)
    report_alerts(n, cells, model, coef, tape, desk, t, lane)
    return at.END


@stage
def close_row(n, cells, tolerance, lane):
    """Statistics of the row; 0, 1 where the lane is insolvent, 2 where its identity is broken."""
    b = at.book_at(n)
    scale = cells[b.stat + at.SCALE, lane] if cells[b.stat + at.SCALE, lane] > 1.0 else 1.0
    off = summarise(n, cells, lane)
    lost = (cells[b.head + at.EQUITY, lane] < -tolerance * scale) & (cells[b.param + at.REBALANCE, lane] > 0.0)
    return (1.0 if lost else 0.0) if off <= tolerance * scale else 2.0


@stage
def keep(n, cells, out, t):
    """Copy what is recorded of lane 0."""
    rate_margins(n, cells, 0)
    for j in range(at.recorded(n)):
        out[t, j] = cells[j, 0]


#: Parts of an hour, in their order; those of the loop first.
(
    STRIKE, REPORT, TAIL,
    ENTER, BEGIN, ATTRIBUTE, RELEASE, FUNDING, OPEN, EXPOSE, ASSESS, LOOK,
    MARK, STRIKE_AT_MARKS, ARRIVE, FLOW, PAY, WAITING, ALERTS, BEFORE, WANTED, OBSERVE, ASK, ACCEPT, PUT_OFF,
    BLOCKED, AIM, ROUTE, SEND, PRICE, BOOK, REFUSE, CLOSE, KEEP,
) = range(34)  # fmt: skip


@kernel
def attend(words, t, lane, part, given):
    """What is done for one lane beyond the pass over all lanes; compiled once for all books and lane counts.

    Parameters
    ----------
    words : a packed `Frame`
    part : STRIKE tests the hour that ended for liquidations, REPORT writes the funding events, TAIL is `tail`; the
        others are what these and the pass over all lanes are made of
    given : TAIL, see `tail`; WANTED, the alert level before; ACCEPT and PUT_OFF, number of actions; BLOCKED and AIM,
        place of the action; ROUTE, place * STEPS + step; SEND, PRICE, BOOK and REFUSE,
        (place of the order * 8 + action code) * 64 + reason
    """
    frame = view(words)
    n = frame.sizes
    cells = frame.block
    model = frame.model
    desk = frame.desk
    coef = desk.row
    tape = model.quotes[t]
    regime = model.regime[t]
    b = at.book_at(n)
    if part == STRIKE:
        return frame.strike(words, t, lane, IN_HOUR, 0)
    elif part == REPORT:
        report_funding(n, cells, coef, tape, desk, t, lane)
    elif part == TAIL:
        for j in range(desk.param.shape[0]):
            desk.param[j] = cells[b.param + j, lane]
        return tail(n, cells, coef, tape, frame, words, regime, t, lane, given)
    elif part == ENTER:
        enter_row(n, cells, model, desk, t, lane)
    elif part == BEGIN:
        return begin(n, model, desk, test_extremes(n, cells, coef, lane), t)
    elif part == ATTRIBUTE:
        attribute(n, cells, coef, lane)
    elif part == RELEASE:
        release(n, cells, lane)
    elif part == FUNDING:
        settle_funding(n, cells, coef, lane)
    elif part == OPEN:
        open_row(n, cells, lane)
    elif part == EXPOSE:
        expose_all(n, cells, coef, lane)
    elif part == ASSESS:
        cells[b.stat + at.FLAG, lane] = assess(n, cells, coef, lane)
        rate_margins(n, cells, lane)
    elif part == LOOK:
        near = cells[b.stat + at.FLAG, lane]
        near = 1.0 if compare(n, cells, coef, lane) > 0.0 else near
        near = look(n, cells, coef, tape[at.quote_at(n).time + 0], near, lane)
        return 1 if near > 0.0 or is_forced(model, t) else 0
    elif part == MARK:
        cells[b.head + at.TAILED, lane] = 1.0
        open_trading(n, cells, lane)
        # the pass over all lanes compares products and leaves ratios alone
        rate_margins(n, cells, lane)
    elif part == STRIKE_AT_MARKS:
        return frame.strike(words, t, lane, AT_MARKS, 0)
    elif part == ARRIVE:
        arrive(n, cells, tape, desk, t, lane)
        receive(n, cells, model, coef, tape, desk, t, lane)
    elif part == FLOW:
        flow(n, cells, model, coef, tape, desk, t, lane)
    elif part == PAY:
        pay(n, cells, model, coef, tape, desk, regime, t, lane)
    elif part == WAITING:
        return take_waiting(n, cells, desk, lane)
    elif part == ALERTS:
        report_alerts(n, cells, model, coef, tape, desk, t, lane)
    elif part == BEFORE:
        before_decision(n, cells, model, coef, tape, regime, lane)
    elif part == WANTED:
        return 1 if is_wanted(n, cells, model, coef, desk, float(given), t, lane) else 0
    elif part == OBSERVE:
        observe(n, cells, model, coef, tape, desk, regime, t, lane)
    elif part == ASK:
        return ask(desk, frame.decide)
    elif part == ACCEPT:
        return at.END if accept(n, cells, model, tape, desk, given, t, lane) else at.BAD_DECISION
    elif part == PUT_OFF:
        put_off(n, cells, desk, given, lane)
    elif part == BLOCKED:
        return 1 if is_blocked(n, cells, model, tape, desk, desk.actions[given], t, lane) else 0
    elif part == AIM:
        return frame.steer(words, t, lane, given, AIM_ONLY)
    elif part == ROUTE:
        return frame.steer(words, t, lane, given // STEPS, given % STEPS)
    elif part == CLOSE:
        cells[b.stat + at.FLAG, lane] = close_row(n, cells, model.settings[at.TOLERANCE], lane)
        return int(cells[b.stat + at.FLAG, lane])
    elif part == KEEP:
        keep(n, cells, frame.record, t)
    else:
        reason = given % 64
        code = given // 64 % 8
        order = desk.orders[given // 512]
        if part == SEND:
            report_order(n, cells, tape, desk, order, at.ORDER, int(order[0]), code, t, lane)
        elif part == PRICE:
            return price(n, cells, model, coef, tape, desk, regime, lane, order)
        elif part == BOOK:
            book(n, cells, model, coef, tape, desk, t, lane, code)
        elif part == REFUSE:
            return refuse(n, cells, model, tape, desk, regime, order, reason, code, t, lane)
    return at.END
