"""The compiled loop over hours: time outside, scenarios (lanes) inside (accounting §4).

Every hour has a branch-free pass over all lanes; what only some lanes need (a liquidation, an arrival, a decision) is
done by a scalar pass over the lanes that were flagged (`hour.attend`).
"""

from . import layout as at
from .exposure import expose
from .hour import DECIDE, REPORT, STRIKE, attend, triggers
from .jit import DECIDE as DECIDE_SIGNATURE
from .jit import aligned_stack, compiled, kernel, returning_int, stage
from .pnl import attribute, settle_funding, summarise
from .risk import assess, compare, test_extremes
from .settle import release

#: No row and lane writes more events than this: what is free in the buffer is checked once a row.
EVENTS_PER_ROW = 512


@stage
def fits(n, block, model, desk, record):
    """Whether every array has the size the shape says; the shapes become constants for the compiler."""
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
    b = at.book(n, block)
    aligned_stack()
    row = desk.row
    liquidates = model.settings[at.LIQUIDATE] > 0.0
    tolerance = model.settings[at.TOLERANCE]
    h = at.hour_of(n, row)
    lanes = len(n.lanes)
    for t in range(start, stop):
        if desk.events.shape[0] > 0 and desk.events.shape[0] - desk.count[0] < EVENTS_PER_ROW * lanes:
            return t, at.FULL
        busy = model.busy[t]
        for j in range(at.width(n)):
            row[j] = model.hours[t, j]
        if given < 0:
            if t > 0:
                struck = 0.0
                if liquidates:
                    for lane in range(lanes):
                        b.stat[at.FLAG, lane] = test_extremes(n, b, h, lane)
                    for lane in range(lanes):
                        struck = b.stat[at.FLAG, lane] if b.stat[at.FLAG, lane] > struck else struck
                    if (struck > 0.0) | ((busy & at.CHANGES) > 0):
                        for lane in range(lanes):
                            if (b.stat[at.FLAG, lane] > 0.0) | ((busy & at.CHANGES) > 0):
                                attention(sizes, block, model, desk, decide, t, lane, STRIKE, -1)
                else:
                    for lane in range(lanes):
                        test_extremes(n, b, h, lane)
                for lane in range(lanes):
                    attribute(n, b, h, lane)
                if struck > 0.0:
                    for lane in range(lanes):
                        release(n, b, lane)
                if (busy & at.FUNDS) > 0:
                    if desk.events.shape[0] > 0:
                        for lane in range(lanes):
                            attention(sizes, block, model, desk, decide, t, lane, REPORT, -1)
                    for lane in range(lanes):
                        settle_funding(n, b, h, lane)
            time = model.quotes[t, model.quotes.shape[1] - 1]
            for lane in range(lanes):
                b.head[at.FLOW, lane] = 0.0
                b.head[at.ARRIVED, lane] = 0.0
                b.head[at.TAILED, lane] = 0.0
                expose(n, b, h, lane)
                flag = assess(n, b, h, lane)
                changed = compare(n, b, h, lane)
                asked = triggers(n, b, h, lane)
                due_now = (
                    (b.stat[at.NEXT_DUE, lane] <= time) | (b.waiting[0, lane] > 0.0) | (b.head[at.ALERT, lane] >= 2.0)
                )
                b.stat[at.FLAG, lane] = 1.0 if (flag > 0.0) | (changed > 0.0) | (asked > 0.0) | due_now else 0.0
            due = 1.0 if (t == 0) | ((busy & (at.FLOWS_DUE | at.CHANGES)) > 0) else 0.0
            some = due
            for lane in range(lanes):
                some = b.stat[at.FLAG, lane] if b.stat[at.FLAG, lane] > some else some
        else:
            some = 1.0
            due = 0.0
            b.stat[at.FLAG, 0] = 1.0
        if some > 0.0:
            for lane in range(lanes):
                if (b.stat[at.FLAG, lane] > 0.0) | (due > 0.0):
                    reason = attention(sizes, block, model, desk, decide, t, lane, DECIDE, given)
                    if reason != at.END:
                        return t, reason
        given = -1
        broken = 0.0
        insolvent = 0.0
        for lane in range(lanes):
            scale = b.stat[at.SCALE, lane] if b.stat[at.SCALE, lane] > 1.0 else 1.0
            off = summarise(n, b, lane)
            broken = broken if off <= tolerance * scale else 1.0
            lost = (b.head[at.EQUITY, lane] < -tolerance * scale) & (b.param[at.REBALANCE, lane] > 0.0)
            insolvent = 1.0 if lost else insolvent
        if record.shape[0] > 0:
            for j in range(at.recorded(n)):
                record[t, j] = block[j, 0]
        if broken > 0.0:
            return t, at.BROKEN
        if insolvent > 0.0:
            return t, at.INSOLVENT
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
