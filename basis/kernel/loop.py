"""The compiled loop over hours: time outside, scenarios (lanes) inside (accounting §4).

Every hour has a branch-free pass over all lanes; what only some lanes need (a liquidation, an arrival, a decision) is
done by a scalar pass over the lanes that were flagged (`hour.attend`).
"""

from . import layout as at
from .exposure import expose
from .hour import DECIDE, REPORT, STRIKE, attend, triggers
from .jit import DECIDE as DECIDE_SIGNATURE
from .jit import aligned_stack, apart, borrowed, compiled, kernel, returning_int, routine, stage
from .pnl import attribute, settle_funding, summarise
from .risk import assess, compare, rate_margins, test_extremes
from .settle import release

#: No row and lane writes more events than this: what is free in the buffer is checked once a row.
EVENTS_PER_ROW = 512


@stage
def fits(n, block, model, desk, record):
    """Whether every array has the size the shape says, which every pass relies on."""
    lanes = len(n.lanes)
    return (
        block.shape[0] == at.rows(n)
        and block.shape[1] == lanes
        and model.hours.shape[1] == at.width(n)
        and model.quotes.shape[1] == at.quote_width(n)
        and model.quotes.shape[0] == model.hours.shape[0]
        and model.regime.shape[0] == model.hours.shape[0]
        and model.busy.shape[0] == model.hours.shape[0]
        and model.table.venue.shape[0] == len(n.token)
        and model.terms.venue.shape[1] == len(n.cash)
        and model.terms.venue.shape[2] == at.VENUE_TERMS
        and model.terms.tier.shape[1] == at.perps(n)
        and desk.param.shape[0] == at.parameters(n)
        and desk.seen.shape[0] == at.viewed(n)
        and desk.row.shape[0] == at.width(n) + at.still(n)
        and desk.hour.shape[0] == desk.row.shape[0]
        and desk.orders.shape[0] == at.ORDERS
        and (desk.events.shape[1] == at.EVENT_WIDTH)
        and record.shape[1] == at.recorded(n)
    )


@routine
def drift_pass(n, block, row):
    """All lanes: margin at the extremes of the hour, then nothing else may come before the strikes. 1 where one is due.

    A pass is a function of its own, so that no pointer call and no reference count disturbs its loops.
    """
    apart()
    b = at.book(n, borrowed(block, (at.rows(n), len(n.lanes))))
    h = at.hour_of(n, borrowed(row, (at.width(n) + at.still(n),)))
    aligned_stack()
    struck = 0.0
    for lane in range(len(n.lanes)):
        b.stat[at.FLAG, lane] = test_extremes(n, b, h, lane)
    for lane in range(len(n.lanes)):
        struck = b.stat[at.FLAG, lane] if b.stat[at.FLAG, lane] > struck else struck
    return struck


@routine
def earn_pass(n, block, row, struck):
    """All lanes: P&L of the drift; the cash of liquidations is credited after it."""
    apart()
    b = at.book(n, borrowed(block, (at.rows(n), len(n.lanes))))
    h = at.hour_of(n, borrowed(row, (at.width(n) + at.still(n),)))
    aligned_stack()
    for lane in range(len(n.lanes)):
        attribute(n, b, h, lane)
    if struck > 0.0:
        for lane in range(len(n.lanes)):
            release(n, b, lane)
    return 0.0


@routine
def fund_pass(n, block, row):
    """All lanes: funding of the row."""
    apart()
    b = at.book(n, borrowed(block, (at.rows(n), len(n.lanes))))
    h = at.hour_of(n, borrowed(row, (at.width(n) + at.still(n),)))
    aligned_stack()
    for lane in range(len(n.lanes)):
        settle_funding(n, b, h, lane)
    return 0.0


@routine
def look_pass(n, block, row, time):
    """All lanes: exposure, risk, alerts, triggers. 1 where a lane needs more than this."""
    apart()
    b = at.book(n, borrowed(block, (at.rows(n), len(n.lanes))))
    h = at.hour_of(n, borrowed(row, (at.width(n) + at.still(n),)))
    aligned_stack()
    for lane in range(len(n.lanes)):
        b.head[at.FLOW, lane] = 0.0
        b.head[at.ARRIVED, lane] = 0.0
        b.head[at.TAILED, lane] = 0.0
        expose(n, b, h, lane)
    for lane in range(len(n.lanes)):
        b.stat[at.FLAG, lane] = assess(n, b, h, lane)
    for lane in range(len(n.lanes)):
        changed = compare(n, b, h, lane)
        b.stat[at.FLAG, lane] = 1.0 if changed > 0.0 else b.stat[at.FLAG, lane]
    for lane in range(len(n.lanes)):
        due = (b.stat[at.NEXT_DUE, lane] <= time) | (b.waiting[0, lane] > 0.0) | (b.head[at.ALERT, lane] >= 2.0)
        asked = triggers(n, b, h, lane)
        b.stat[at.FLAG, lane] = 1.0 if due | (asked > 0.0) else b.stat[at.FLAG, lane]
    some = 0.0
    for lane in range(len(n.lanes)):
        some = b.stat[at.FLAG, lane] if b.stat[at.FLAG, lane] > some else some
    return some


@routine
def keep_row(n, block, record, t):
    """Copy what is recorded of lane 0."""
    apart()
    cells = borrowed(block, (at.rows(n), len(n.lanes)))
    rate_margins(n, at.book(n, cells), 0)
    for j in range(at.recorded(n)):
        record[t, j] = cells[j, 0]


@routine
def close_pass(n, block, tolerance):
    """All lanes: statistics and the identity. 0, or 1 for a broken identity, 2 for insolvency."""
    apart()
    b = at.book(n, borrowed(block, (at.rows(n), len(n.lanes))))
    aligned_stack()
    for lane in range(len(n.lanes)):
        scale = b.stat[at.SCALE, lane] if b.stat[at.SCALE, lane] > 1.0 else 1.0
        off = summarise(n, b, lane)
        lost = (b.head[at.EQUITY, lane] < -tolerance * scale) & (b.param[at.REBALANCE, lane] > 0.0)
        b.stat[at.FLAG, lane] = (2.0 if lost else 0.0) if off <= tolerance * scale else 1.0
    verdict = 0.0
    for lane in range(len(n.lanes)):
        verdict = b.stat[at.FLAG, lane] if b.stat[at.FLAG, lane] > verdict else verdict
    for lane in range(len(n.lanes)):
        verdict = 1.0 if b.stat[at.FLAG, lane] == 1.0 else verdict
    return verdict


@kernel
def advance(n, sizes, block, model, desk, attention, decide, record, start, stop, given):
    """Rows start .. stop-1. Returns (row, reason).

    Parameters
    ----------
    n : Shape, sizes as lengths of tuples
    sizes : the same Shape, sizes as lengths of arrays (`layout.sizes`), which `attend` takes
    block : (rows, lanes) float64, the state; changed in place
    model, desk : Model and Desk
    attention : pointer to `hour.attend`
    decide : pointer to a strategy, or None to come back with ASKED at every row where one is wanted
    record : (rows of the run, recorded) float64, filled for lane 0; (0, recorded) records nothing
    start, stop : first row and the row after the last
    given : -1, or the number of actions in `desk.actions` that answer the ASKED of row `start`

    Reasons: END; ASKED (nothing of the decision has been done); FULL (the event buffer has no room for the row);
    MISFIT (an array has the wrong size); BROKEN (identity); INSOLVENT; BAD_DECISION.
    """
    if not fits(n, block, model, desk, record):
        return start, at.MISFIT
    row = desk.row
    lanes = len(n.lanes)
    liquidates = model.settings[at.LIQUIDATE] > 0.0
    tolerance = model.settings[at.TOLERANCE]
    flags = block[at.flag_row(n)]
    for t in range(start, stop):
        if desk.events.shape[0] > 0 and desk.events.shape[0] - desk.count[0] < EVENTS_PER_ROW * lanes:
            return t, at.FULL
        busy = model.busy[t]
        for j in range(at.width(n)):
            row[j] = model.hours[t, j]
        if given < 0:
            if t > 0:
                struck = drift_pass(n, block, row)
                renewed = (busy & at.CHANGES) > 0
                if liquidates and (struck > 0.0 or renewed):
                    for lane in range(lanes):
                        if flags[lane] > 0.0 or renewed:
                            attention(sizes, block, model, desk, decide, t, lane, STRIKE, -1)
                earn_pass(n, block, row, struck)
                if (busy & at.FUNDS) > 0:
                    if desk.events.shape[0] > 0:
                        for lane in range(lanes):
                            attention(sizes, block, model, desk, decide, t, lane, REPORT, -1)
                    fund_pass(n, block, row)
            some = look_pass(n, block, row, model.quotes[t, model.quotes.shape[1] - 1])
            every = t == 0 or (busy & (at.FLOWS_DUE | at.CHANGES)) > 0
        else:
            some = 1.0
            every = False
            flags[0] = 1.0
        if some > 0.0 or every:
            for lane in range(lanes):
                if flags[lane] > 0.0 or every:
                    reason = attention(sizes, block, model, desk, decide, t, lane, DECIDE, given)
                    if reason != at.END:
                        return t, reason
        given = -1
        verdict = close_pass(n, block, tolerance)
        if record.shape[0] > 0:
            keep_row(n, block, record, t)
        if verdict > 0.0:
            return t, at.BROKEN if verdict == 1.0 else at.INSOLVENT
    return stop, at.END


def prepare(n, block, model, desk, decide, record, start, stop):
    """The loop compiled (or loaded) for a book, and its arguments: ``run, args = prepare(…); run(*args)``.

    `decide` None gives a loop that comes back with ASKED wherever a strategy is wanted.
    """
    sizes = at.sizes(n)
    pointers = ((decide, DECIDE_SIGNATURE),) if decide is not None else ()
    rest = (sizes, block, model, desk, decide, 0, 0, 0, 0)
    _, types = compiled(attend, rest, pointers)
    args = (n, sizes, block, model, desk, attend, decide, record, start, stop, -1)
    if types is not None:
        pointers = (*pointers, (attend, returning_int(types)))
    return compiled(advance, args, pointers)[0], args
