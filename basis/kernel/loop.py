"""The compiled loop over hours: time outside, scenarios (lanes) inside (accounting §4).

Every hour has a branch-free pass over all lanes. What only some lanes need (a liquidation, an arrival, a decision) is
done by a scalar pass over the lanes that were flagged (`step.run_step`).
"""

import functools
from contextlib import nullcontext
from typing import Any

import numpy as np

from .closings import check_stops_and_liquidations
from .context import (
    ADVANCE,
    STEP,
    Inputs,
    Memory,
    RunContext,
    Scratch,
    counts_of,
    make_run,
    open_view,
    pack,
    strategy,
    view,
    with_more_room,
)
from .exposure import calculate_delta, calculate_exposure
from .layout import codes
from .layout.shape import Shape, market_views
from .numba.jit import (
    address_of,
    aligned_stack,
    bind_sizes,
    borrowed,
    compile_in_parallel,
    compiled,
    keep_apart,
    kernel,
    open_kernel,
    routine,
)
from .pnl import BROKEN, attribute, check_identity
from .positions.exchange_liquidation import credit_closings
from .positions.funding import settle_funding
from .risk import assess_risk, check_extremes, compare_with_limits
from .routes.dispatch import route_action
from .step import Step, is_every_lane_due, needs_attention, open_row, record_row, run_step

#: Where `pass_over_lanes` begins.
FROM_EXTREMES, FROM_EARNINGS, FROM_ROW, FROM_CLOSE = range(4)
#: Why it stopped: lanes to check for closings, lanes to process, or how the row ended.
AT_CLOSINGS, AT_LANES, ROW_HOLDS, ROW_BROKEN, ROW_INSOLVENT = range(5)
#: What a row asks of the pass, as bits: stop at lanes near a closing, stop before the earnings in any case, stop before
#: the close in any case, settle funding.
STOP_AT_CLOSINGS, PAUSE, EVERY_LANE, FUND = 1, 2, 4, 8


@routine
def pass_over_lanes(shape, state_block, coefficients, phase, does, time):
    """What every lane needs of an hour, from `phase` on, until something has to be done for single lanes.

    One function of its own, so that no pointer call and no reference count disturbs its loops. The lanes that have to
    be looked at are flagged.

    Parameters
    ----------
    phase : FROM_EXTREMES, FROM_EARNINGS (after the closings), FROM_ROW (row 0 begins here) or FROM_CLOSE (after the
        lanes were processed)
    does : what the row asks, as bits
    time : instant of the row, seconds
    """
    keep_apart()
    row = shape.state
    state = borrowed(state_block, (shape.rows, shape.lanes))
    hour = borrowed(coefficients, (shape.hour_end,))
    aligned_stack()
    if phase == FROM_EXTREMES:
        for lane in range(shape.lanes):
            state[row.flag, lane] = check_extremes(shape, state, hour, lane)
        near = 0.0
        for lane in range(shape.lanes):
            near = state[row.flag, lane] if state[row.flag, lane] > near else near
        if ((does & STOP_AT_CLOSINGS) > 0 and near > 0.0) or (does & PAUSE) > 0:
            return AT_CLOSINGS
    if phase <= FROM_EARNINGS:
        for lane in range(shape.lanes):
            attribute(shape, state, hour, lane)
        if phase == FROM_EARNINGS:
            for lane in range(shape.lanes):
                credit_closings(shape, state, lane)
        if (does & FUND) > 0:
            for lane in range(shape.lanes):
                settle_funding(shape, state, hour, lane)
    if phase <= FROM_ROW:
        for lane in range(shape.lanes):
            open_row(shape, state, lane)
            calculate_exposure(shape, state, hour, lane)
        # assets outside: one loop over assets and slots would be too long to unroll, and no lanes would be vectorised
        for asset in range(shape.assets):
            for lane in range(shape.lanes):
                calculate_delta(shape, state, hour, lane, asset)
        for lane in range(shape.lanes):
            state[row.flag, lane] = assess_risk(shape, state, hour, lane)
        for lane in range(shape.lanes):
            changed = compare_with_limits(shape, state, hour, lane)
            state[row.flag, lane] = 1.0 if changed > 0.0 else state[row.flag, lane]
        for lane in range(shape.lanes):
            state[row.flag, lane] = needs_attention(shape, state, hour, lane, time, state[row.flag, lane])
        some = 0.0
        for lane in range(shape.lanes):
            some = state[row.flag, lane] if state[row.flag, lane] > some else some
        if some > 0.0 or (does & EVERY_LANE) > 0:
            return AT_LANES
    for lane in range(shape.lanes):
        state[row.flag, lane] = check_identity(shape, state, lane)
    verdict = 0.0
    for lane in range(shape.lanes):
        verdict = state[row.flag, lane] if state[row.flag, lane] > verdict else verdict
    if verdict > 0.0:
        return ROW_BROKEN if verdict == BROKEN else ROW_INSOLVENT
    return ROW_HOLDS


@routine
def record_lane(shape, state_block, record, t):
    """Copy what is recorded of lane 0."""
    keep_apart()
    state = borrowed(state_block, (shape.rows, shape.lanes))
    out = borrowed(record, (record.shape[0], shape.recorded))
    record_row(shape, state, out, t)


@open_kernel
def advance(handle, start, stop, given):
    """Rows start .. stop-1. Returns (row, reason).

    Parameters
    ----------
    handle : packed `RunContext`
    start, stop : first row and the row after the last
    given : -1, or the answer to the ASKED of row `start`: the number of actions written, or anything where the caller
        has done the row

    Reasons: END; ASKED (nothing of the decision has been done); FULL (the event buffer has no room for the row);
    BROKEN (identity); INSOLVENT; BAD_DECISION.
    """
    run = open_view(handle)
    shape = run.shape
    scratch = run.scratch
    state_block = run.block
    coefficients = run.coefficients
    run_step = run.run_step
    row_flags = run.row_flags
    record = run.record
    hours = run.hours
    flags = run.state.flag
    times = run.market.time
    room = scratch.events.shape[0] - 1
    needed = run.settings.events_per_row * shape.lanes
    always = STOP_AT_CLOSINGS if run.settings.liquidates > 0 or shape.stops > 0 else 0
    for t in range(start, stop):
        if room > 0 and room - scratch.count[0] < needed:
            return t, codes.FULL
        for j in range(shape.hour_width):
            coefficients[j] = hours[t, j]
        time = times[t]
        terms_change = (row_flags[t] & codes.TERMS_CHANGE) > 0
        funds = (row_flags[t] & codes.FUNDING_DUE) > 0
        every = is_every_lane_due(row_flags, t)
        reports = funds and room > 0 and t > 0
        does = always | (FUND if funds else 0) | (EVERY_LANE if every else 0)
        came = AT_LANES
        if given < 0:
            pause = PAUSE if terms_change or reports else 0
            phase = FROM_EXTREMES if t > 0 else FROM_ROW
            came = pass_over_lanes(shape, state_block, coefficients, phase, does | pause, time)
            if came == AT_CLOSINGS:
                for lane in range(shape.lanes):
                    if always > 0 and (flags[lane] > 0.0 or terms_change):
                        run_step(handle, t, lane, Step.CHECK_HOUR, 0, 0)
                    if reports:
                        run_step(handle, t, lane, Step.REPORT_FUNDING, 0, 0)
                came = pass_over_lanes(shape, state_block, coefficients, FROM_EARNINGS, does, time)
        if came == AT_LANES and not (given >= 0 and run.caller_handles == codes.OWN_ROW):
            for lane in range(shape.lanes):
                if flags[lane] > 0.0 or every or given >= 0:
                    reason = run_step(handle, t, lane, Step.PROCESS, 0, given)
                    if reason != codes.END:
                        return t, reason
        if came == AT_LANES:
            came = pass_over_lanes(shape, state_block, coefficients, FROM_CLOSE, 0, time)
        given = -1
        if record.shape[0] > 0:
            record_lane(shape, state_block, record, t)
        if came != ROW_HOLDS:
            return t, codes.BROKEN if came == ROW_BROKEN else codes.INSOLVENT
    return stop, codes.END


@kernel
def enter_loop(handle, start, stop, given):
    """`advance` for Python callers."""
    return view(handle).advance(handle, start, stop, given)


@strategy
def no_strategy(seen, policy, actions, decision, places):
    """Where the caller decides."""
    return 0


#: `advance` for the shapes that this process has met.
_bound: dict[Shape, Any] = {}


@functools.cache
def _entry_point(function: Any, numbers: int) -> Any:
    """`enter_loop` or `run_step` for Python callers, by how many numbers it is given beside the handle."""
    return compiled(function, (np.zeros(1, dtype=np.int64), *[0] * numbers))


#: What is compiled beside `run_step`, which calls them by their addresses.
_CALLED = {"route_action": route_action, "check_stops_and_liquidations": check_stops_and_liquidations}


def prepare(names: list[str]) -> None:
    """Compile some of `_CALLED`, for other processes to load."""
    for name in names:
        address_of(_CALLED[name], STEP)


class Loop:
    """The loop over one book: bound to its shape (or loaded), with what it works on.

    Parameters
    ----------
    shape : of the book
    inputs, memory : what it reads, and what it writes
    decide : a compiled strategy, None where there is none
    caller_handles : what the caller does himself: NOTHING, OWN_DECISION, OWN_ROW (`layout.codes`); `run` comes back
        with ASKED where that is due

    Raises
    ------
    ValueError
        Where an array has the wrong type or size; the message names it.
    """

    def __init__(
        self,
        shape: Shape,
        inputs: Inputs,
        memory: Memory,
        decide: Any,
        caller_handles: int = codes.NOTHING,
    ) -> None:
        parallel = compile_in_parallel(f"{__name__}.prepare", _CALLED, STEP)
        with nullcontext() if _bound else parallel:
            if shape not in _bound:
                _bound[shape] = bind_sizes(advance, ADVANCE, counts_of(shape))
            self.run_context: RunContext = make_run(
                shape, inputs, memory,
                advance=_bound[shape], run_step=run_step,
                check_stops_and_liquidations=check_stops_and_liquidations, route_action=route_action,
                decide=decide or no_strategy, caller_handles=caller_handles,
            )  # fmt: skip
            self.handle = pack(self.run_context)

    @property
    def scratch(self) -> Scratch:
        return self.run_context.scratch

    def run(self, start: int, stop: int, given: int = -1) -> tuple[int, int]:
        """Rows start .. stop-1; see `advance`."""
        return _entry_point(enter_loop, 3)(self.handle, start, stop, given)

    def do(self, step: int, t: int, place: int = 0, number: int = 0) -> int:
        """One step of row t for lane 0; see `step.Step`."""
        return self._step(self.handle, t, 0, step, place, number)

    @functools.cached_property
    def _step(self) -> Any:
        return _entry_point(run_step, 5)

    def read(self, inputs: Inputs) -> None:
        """Go on with other inputs of the same shape, such as those of a run that got more rows."""
        market = market_views(self.run_context.shape, inputs.quotes)
        self.run_context = self.run_context._replace(market=market, **inputs._asdict())
        self.handle = pack(self.run_context)

    def make_room(self) -> None:
        """Room for twice as many events, those written kept."""
        self.run_context = self.run_context._replace(scratch=with_more_room(self.scratch))
        self.handle = pack(self.run_context)
