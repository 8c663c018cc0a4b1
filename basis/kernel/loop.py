"""The compiled loop over hours: time outside, scenarios (lanes) inside (accounting §4).

Every hour has a branch-free pass over all lanes; what only some lanes need (a liquidation, an arrival, a decision) is
done by a scalar pass over the lanes that were flagged (`hour.attend`).
"""

from typing import Any

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


#: Where `pass_over` begins, and where it stopped: before the strikes, before the tails, or done with a verdict.
EXTREMES, EARN, LOOK, CLOSE = range(4)
STRIKES, TAILS, GOOD, OFF, LOST = range(5)


@routine
def pass_over(n, block, row, phase, liquidates, pause, forced, funds, time, tolerance):
    """What every lane needs of an hour, from `phase` on, until something has to be done for single lanes.

    One function of its own, so that no pointer call and no reference count disturbs its loops. Flagged lanes stand in
    FLAG.

    Parameters
    ----------
    phase : EXTREMES, EARN (after the strikes), LOOK (row 0 begins here) or CLOSE (after the tails)
    liquidates : whether a lane near liquidation is a reason to stop
    pause : stop before EARN in any case
    forced : stop before CLOSE in any case
    funds : whether the row has funding
    """
    apart()
    b = at.book_at(n)
    cells = borrowed(block, (at.rows(n), len(n.lanes)))
    coef = borrowed(row, (at.width(n) + at.still(n),))
    aligned_stack()
    if phase == EXTREMES:
        for lane in range(len(n.lanes)):
            cells[b.stat + at.FLAG, lane] = test_extremes(n, cells, coef, lane)
        struck = 0.0
        for lane in range(len(n.lanes)):
            struck = cells[b.stat + at.FLAG, lane] if cells[b.stat + at.FLAG, lane] > struck else struck
        if (liquidates and struck > 0.0) or pause:
            return STRIKES
    if phase <= EARN:
        for lane in range(len(n.lanes)):
            attribute(n, cells, coef, lane)
        if phase == EARN:
            for lane in range(len(n.lanes)):
                release(n, cells, lane)
        if funds:
            for lane in range(len(n.lanes)):
                settle_funding(n, cells, coef, lane)
    if phase <= LOOK:
        for lane in range(len(n.lanes)):
            cells[b.head + at.FLOW, lane] = 0.0
            cells[b.head + at.ARRIVED, lane] = 0.0
            cells[b.head + at.TAILED, lane] = 0.0
            expose(n, cells, coef, lane)
        for lane in range(len(n.lanes)):
            cells[b.stat + at.FLAG, lane] = assess(n, cells, coef, lane)
        for lane in range(len(n.lanes)):
            changed = compare(n, cells, coef, lane)
            cells[b.stat + at.FLAG, lane] = 1.0 if changed > 0.0 else cells[b.stat + at.FLAG, lane]
        for lane in range(len(n.lanes)):
            due = (cells[b.stat + at.NEXT_DUE, lane] <= time) | (cells[b.waiting + 0, lane] > 0.0)
            due = due | (cells[b.head + at.ALERT, lane] >= 2.0)
            asked = triggers(n, cells, coef, lane)
            cells[b.stat + at.FLAG, lane] = 1.0 if due | (asked > 0.0) else cells[b.stat + at.FLAG, lane]
        some = 0.0
        for lane in range(len(n.lanes)):
            some = cells[b.stat + at.FLAG, lane] if cells[b.stat + at.FLAG, lane] > some else some
        if some > 0.0 or forced:
            return TAILS
    for lane in range(len(n.lanes)):
        scale = cells[b.stat + at.SCALE, lane] if cells[b.stat + at.SCALE, lane] > 1.0 else 1.0
        off = summarise(n, cells, lane)
        lost = (cells[b.head + at.EQUITY, lane] < -tolerance * scale) & (cells[b.param + at.REBALANCE, lane] > 0.0)
        cells[b.stat + at.FLAG, lane] = (1.0 if lost else 0.0) if off <= tolerance * scale else 2.0
    verdict = 0.0
    for lane in range(len(n.lanes)):
        verdict = cells[b.stat + at.FLAG, lane] if cells[b.stat + at.FLAG, lane] > verdict else verdict
    if verdict > 0.0:
        return OFF if verdict == 2.0 else LOST
    return GOOD


@routine
def keep_row(n, block, record, t):
    """Copy what is recorded of lane 0."""
    apart()
    cells = borrowed(block, (at.rows(n), len(n.lanes)))
    out = borrowed(record, (record.shape[0], at.recorded(n)))
    rate_margins(n, cells, 0)
    for j in range(at.recorded(n)):
        out[t, j] = cells[j, 0]


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
    tells = desk.events.shape[0] > 0
    flags = block[at.flag_row(n)]
    last = model.quotes.shape[1] - 1
    for t in range(start, stop):
        if tells and desk.events.shape[0] - desk.count[0] < EVENTS_PER_ROW * lanes:
            return t, at.FULL
        busy = model.busy[t]
        for j in range(at.width(n)):
            row[j] = model.hours[t, j]
        time = model.quotes[t, last]
        renewed = (busy & at.CHANGES) > 0
        funds = (busy & at.FUNDS) > 0
        every = t == 0 or (busy & (at.FLOWS_DUE | at.CHANGES | at.CLOSES)) > 0
        came = TAILS
        phase = EXTREMES if t > 0 else LOOK
        never = t < 0
        if given < 0:
            report = funds and tells and t > 0
            came = pass_over(n, block, row, phase, liquidates, renewed or report, every, funds, time, tolerance)
            if came == STRIKES:
                for lane in range(lanes):
                    if liquidates and (flags[lane] > 0.0 or renewed):
                        attention(sizes, block, model, desk, decide, t, lane, STRIKE, -1)
                    if report:
                        attention(sizes, block, model, desk, decide, t, lane, REPORT, -1)
                phase = EARN
                came = pass_over(n, block, row, phase, liquidates, never, every, funds, time, tolerance)
        if came == TAILS:
            for lane in range(lanes):
                if flags[lane] > 0.0 or every or given >= 0:
                    reason = attention(sizes, block, model, desk, decide, t, lane, DECIDE, given)
                    if reason != at.END:
                        return t, reason
            phase = CLOSE
            came = pass_over(n, block, row, phase, liquidates, never, never, never, time, tolerance)
        given = -1
        if record.shape[0] > 0:
            keep_row(n, block, record, t)
        if came != GOOD:
            return t, at.BROKEN if came == OFF else at.INSOLVENT
    return stop, at.END


#: Loops that this process has compiled or loaded, by book and strategy.
_ready: dict[tuple, Any] = {}


def prepare(n, block, model, desk, decide, record, start, stop):
    """The loop compiled (or loaded) for a book, and its arguments: ``run, args = prepare(…); run(*args)``.

    `decide` None gives a loop that comes back with ASKED wherever a strategy is wanted.
    """
    args = (n, at.sizes(n), block, model, desk, attend, decide, record, start, stop, -1)
    # only the sizes of the book and the strategy make a difference to the types
    key = (n, decide)
    if key not in _ready:
        pointers = ((decide, DECIDE_SIGNATURE),) if decide is not None else ()
        _, types = compiled(attend, (args[1], block, model, desk, decide, 0, 0, 0, 0), pointers)
        if types is not None:
            pointers = (*pointers, (attend, returning_int(types)))
        _ready[key] = compiled(advance, args, pointers)[0]
    return _ready[key], args
