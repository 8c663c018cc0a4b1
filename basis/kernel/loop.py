"""The compiled loop over hours: time outside, scenarios (lanes) inside (accounting §4).

Every hour has a branch-free pass over all lanes; what only some lanes need (a liquidation, an arrival, a decision) is
done by a scalar pass over the lanes that were flagged (`hour.attend`).
"""

import functools
from contextlib import nullcontext
from typing import Any

import numpy as np

from . import layout as at
from .exposure import delta_of, expose
from .frame import ADVANCE, ATTEND, NOTHING, ROW, Frame, open_view, pack, sizes_of, view
from .hour import REPORT, STRIKE, TAIL, attend, close_row, is_forced, keep, look, open_row
from .numba.jit import (
    address_of,
    aligned_stack,
    apart,
    bind_sizes,
    borrowed,
    compile_in_parallel,
    compiled,
    kernel,
    open_kernel,
    routine,
    strategy,
)
from .pnl import attribute, settle_funding
from .risk import assess, compare, test_extremes
from .route import steer
from .settle import release, strike
from .state import grown

#: No row and lane writes more events than this: what is free in the buffer is checked once a row.
EVENTS_PER_ROW = 512


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
    liquidates : whether a lane near liquidation, or at a stop, is a reason to stop
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
            open_row(n, cells, lane)
            expose(n, cells, coef, lane)
        # assets outside: one loop over assets and slots would be too long to unroll, and no lanes would be vectorised
        for a in range(len(n.asset)):
            for lane in range(len(n.lanes)):
                delta_of(n, cells, coef, a, lane)
        for lane in range(len(n.lanes)):
            cells[b.stat + at.FLAG, lane] = assess(n, cells, coef, lane)
        for lane in range(len(n.lanes)):
            changed = compare(n, cells, coef, lane)
            cells[b.stat + at.FLAG, lane] = 1.0 if changed > 0.0 else cells[b.stat + at.FLAG, lane]
        for lane in range(len(n.lanes)):
            cells[b.stat + at.FLAG, lane] = look(n, cells, coef, time, cells[b.stat + at.FLAG, lane], lane)
        some = 0.0
        for lane in range(len(n.lanes)):
            some = cells[b.stat + at.FLAG, lane] if cells[b.stat + at.FLAG, lane] > some else some
        if some > 0.0 or forced:
            return TAILS
    for lane in range(len(n.lanes)):
        cells[b.stat + at.FLAG, lane] = close_row(n, cells, tolerance, lane)
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
    keep(n, cells, out, t)


@open_kernel
def advance(words, start, stop, given):
    """Rows start .. stop-1. Returns (row, reason).

    Parameters
    ----------
    words : a packed `Frame`
    start, stop : first row and the row after the last
    given : -1, or the answer to the ASKED of row `start`: the number of actions in `desk.actions`, or anything where
        the caller has done the ROW

    Reasons: END; ASKED (nothing of the decision has been done); FULL (the event buffer has no room for the row);
    BROKEN (identity); INSOLVENT; BAD_DECISION.
    """
    frame = open_view(words)
    n = frame.sizes
    block = frame.block
    model = frame.model
    desk = frame.desk
    record = frame.record
    attend = frame.attend
    row = desk.row
    lanes = len(n.lanes)
    liquidates = model.settings[at.LIQUIDATE] > 0.0 or len(n.stop) > 0
    tolerance = model.settings[at.TOLERANCE]
    tells = desk.events.shape[0] > 0
    flags = block[at.flag_row(n)]
    stamp = at.quote_at(n).time + 0
    for t in range(start, stop):
        if tells and desk.events.shape[0] - desk.count[0] < EVENTS_PER_ROW * lanes:
            return t, at.FULL
        busy = model.busy[t]
        for j in range(at.width(n)):
            row[j] = model.hours[t, j]
        time = model.quotes[t, stamp]
        renewed = (busy & at.CHANGES) > 0
        funds = (busy & at.FUNDS) > 0
        every = is_forced(model, t)
        came = TAILS
        phase = EXTREMES if t > 0 else LOOK
        never = t < 0
        if given < 0:
            report = funds and tells and t > 0
            came = pass_over(n, block, row, phase, liquidates, renewed or report, every, funds, time, tolerance)
            if came == STRIKES:
                for lane in range(lanes):
                    if liquidates and (flags[lane] > 0.0 or renewed):
                        attend(words, t, lane, STRIKE, -1)
                    if report:
                        attend(words, t, lane, REPORT, -1)
                phase = EARN
                came = pass_over(n, block, row, phase, liquidates, never, every, funds, time, tolerance)
        if came == TAILS and not (given >= 0 and frame.asks == ROW):
            for lane in range(lanes):
                if flags[lane] > 0.0 or every or given >= 0:
                    reason = attend(words, t, lane, TAIL, given)
                    if reason != at.END:
                        return t, reason
        if came == TAILS:
            phase = CLOSE
            came = pass_over(n, block, row, phase, liquidates, never, never, never, time, tolerance)
        given = -1
        if record.shape[0] > 0:
            keep_row(n, block, record, t)
        if came != GOOD:
            return t, at.BROKEN if came == OFF else at.INSOLVENT
    return stop, at.END


@kernel
def enter(words, start, stop, given):
    """`advance` for Python callers."""
    return view(words).advance(words, start, stop, given)


@strategy
def nobody(view, hour, params, actions):
    """Stands where the caller decides."""
    return 0


#: `advance` for the shapes that this process has met.
_ready: dict[at.Shape, Any] = {}


@functools.cache
def _door(function: Any, numbers: int) -> Any:
    """`enter` or `hour.attend` for Python callers, by how many numbers it is given beside the words."""
    return compiled(function, (np.zeros(1, dtype=np.int64), *[0] * numbers))


#: What is compiled beside `attend`: it calls them by their addresses.
_BESIDE = {"steer": steer, "strike": strike}


def prepare(names: list[str]) -> None:
    """Compile some of `_BESIDE`, for other processes to load."""
    for name in names:
        address_of(_BESIDE[name], ATTEND)


class Loop:
    """The loop over one book: bound to its shape (or loaded), with what it works on.

    Parameters
    ----------
    n : Shape, sizes as lengths of tuples
    block : (rows, lanes) float64, the state; changed in place
    model, desk : Model and Desk
    decide : a compiled strategy, None where there is none
    asks : what the caller does himself (`frame.DECISION`, `frame.ROW`): `run` comes back with ASKED where that is due
    record : (rows of the run, recorded) float64, filled for lane 0; (0, recorded) records nothing

    Raises
    ------
    ValueError
        Where an array has the wrong type or size; the message names it.
    """

    def __init__(
        self, n: at.Shape, block: Any, model: at.Model, desk: at.Desk, decide: Any, record: Any, asks: int = NOTHING
    ) -> None:
        with compile_in_parallel(f"{__name__}.prepare", _BESIDE, ATTEND) if not _ready else nullcontext():
            if n not in _ready:
                _ready[n] = bind_sizes(advance, ADVANCE, sizes_of(n))
            self.frame = Frame(n, block, record, model, desk, _ready[n], attend, strike, steer, decide or nobody, asks)
            self.words = pack(self.frame)

    @property
    def desk(self) -> at.Desk:
        return self.frame.desk

    def run(self, start: int, stop: int, given: int = -1) -> tuple[int, int]:
        """Rows start .. stop-1; see `advance`."""
        return _door(enter, 3)(self.words, start, stop, given)

    def do(self, part: int, t: int, given: int = 0) -> int:
        """One part of row t for lane 0; see `hour.attend`."""
        return _door(attend, 4)(self.words, t, 0, part, given)

    def grow(self) -> None:
        """Room for twice as many events, those written kept."""
        self.frame = self.frame._replace(desk=grown(self.frame.desk))
        self.words = pack(self.frame)
