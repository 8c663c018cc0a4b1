"""Run a book over a market with the compiled loop: bind, advance in pieces, record, checkpoint and resume."""

import functools
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..components.checkpoints import Checkpoint
from ..components.run_state import RunState, StartingBook
from ..config import Config
from ..errors import DataError, EngineError, InputError, RunStoppedWarning
from ..inputs.plans import Strategy
from ..kernel.layout import codes
from ..kernel.layout.shape import pnl_views, seen_views
from ..market import DataProvider
from ..market.checks.given import check_given
from ..market.panel import Panel
from ..market.sources.clock import SECOND, iso, to_ns
from ..market.watched import History
from ..strategies.factory import make_strategy
from ..strategies.failure import failure_of
from ..strategies.own_thread import run_with
from .recording import Recording

#: Rows between two reports of progress, two looks at what there is to log, and two moments at which a signal is heard.
PIECE = 4_096


def _window(panel: Panel, config: Config, start: Any, end: Any) -> Panel:
    """The rows of a ready panel that are asked for."""
    if panel.step_s != config.bar_interval.total_seconds():
        raise InputError(f"The panel steps {panel.step_s} s; bar_interval is {config.bar_interval}. They must agree.")
    first = panel.row_at(start) if start is not None else 0
    last = panel.row_at(end) if end is not None else len(panel) - 1
    return panel if (first, last) == (0, len(panel) - 1) else panel.slice(first, last)


def prepare(
    start: StartingBook,
    market: DataProvider | Panel,
    first: Any = None,
    last: Any = None,
    caller_handles: int = codes.NOTHING,
    before: History | None = None,
) -> RunState:
    """The state of a run over a window of a market, for both drivers.

    Parameters
    ----------
    first, last : window, inclusive; see `simulate`
    caller_handles : what the caller of the loop does himself
    before : gives the rows before those of a panel that is ready; None takes them from the panel

    Raises
    ------
    InputError
        Where the configuration, the positions or the data cannot be used.
    """
    config, slots, resumed = start.config, start.slots, start.resumed
    if isinstance(market, Panel):
        check_given(market, config.data.checks != "off")
        panel = _window(market, config, None if resumed else first, last)
        row = int(np.searchsorted(market.timestamps, panel.timestamps[0]))

        def history(span: int) -> Panel | None:
            return before(span) if before else market.slice(0, row) if row else None

    else:
        keys = [str(k) for k in slots.keys if k.type != "Perp" or k in slots.held]
        panel = market.panel(keys=keys, start=resumed.timestamp if resumed else first, end=last)

        def history(span: int) -> Panel | None:
            return market.before(panel, keys, span) if hasattr(market, "before") else None

    begins = int(panel.timestamps[0])
    if resumed is not None and begins != resumed.timestamp:
        raise InputError(f"resume: the market begins {iso(begins)}, the checkpoint is of {iso(resumed.timestamp)}.")
    return RunState(start, panel, caller_handles, history=history)


def last_row(run: RunState, until: int | None = None) -> int:
    """The row after the last that can be run: at a hole in the data, or after `until`.

    Raises
    ------
    DataError
        Where there is no row to run.
    """
    panel = run.panel
    last = len(panel) if until is None else until + 1
    hole = panel.stop
    if hole is not None and hole.row < last:
        last = hole.row
    if last <= run.first:
        detail = f" ({hole.series} is {hole.age_s / 3600:.1f} h old in {iso(hole.instant)})" if hole else ""
        raise DataError(f"There is no row to run between {iso(int(panel.timestamps[0]))} and the end{detail}.")
    return last


def advance(
    run: RunState,
    row: int,
    last: int,
    progress: Callable[[int, int], None] | None = None,
    given: int = -1,
    end: int | None = None,
) -> tuple[int, int]:
    """Rows `row` .. `last` - 1 with the compiled loop, its events growing; returns (row, reason) as `Loop.run` does."""
    reason = codes.END
    # where the loop asks no strategy, none can keep it from coming back
    asks = run.strategy.decide if run.loop.run_context.caller_handles == codes.NOTHING else None
    while row < last:
        begun = row
        # a signal is heard after each piece
        work = functools.partial(run.loop.run, row, min(last, row + PIECE), given)
        try:
            row, reason = run_with(asks, work)
        except Exception as error:
            # the kernel raises nothing of its own
            said, cause = _strategy_failed(run, error)
            raise EngineError(said) from cause
        run.check_room(row)
        if reason != codes.FULL or row > begun:
            # until then the answer stands
            given = -1
        if reason == codes.FULL:
            run.loop.make_room()
        elif reason != codes.END:
            break
        if progress is not None:
            progress(row - run.first, (end or last) - run.first)
    return row, codes.END if reason == codes.FULL else reason


def _strategy_failed(run: RunState, error: Exception) -> tuple[str, Exception]:
    """What a compiled strategy raised, in the row that it was shown last, and the cause."""
    seconds = seen_views(run.slots.shape(), run.scratch.seen).time[0]
    row = run.panel.row_at(int(seconds) * SECOND)
    said, cause = failure_of(run, error)
    return f"strategy_manager failed in row {row} ({iso(int(run.panel.timestamps[row]))}): {said}", cause


def _cause(reason: int, row: int, run: RunState) -> str:
    """Why a run stopped, in one sentence."""
    state, when = run.state, f"row {row} ({iso(int(run.panel.timestamps[row]))})"
    equity = float(state.equity[0])
    if reason == codes.BROKEN:
        attributed = np.array([line[0] for line in pnl_views(run.slots.shape(), run.block)]).sum()
        balance = equity - state.capital[0] - state.net_flows[0]
        return f"identity broken in {when}: balance-based P&L {balance!r}, attributed P&L {attributed!r}."
    if reason == codes.INSOLVENT:
        return f"insolvent in {when}: equity {equity:.6f} {run.slots.share_class}."
    if reason == codes.BAD_DECISION:
        known = ", ".join(f"{code} {name}" for code, name in enumerate(codes.ACTION_NAMES) if name)
        return (
            f"strategy failed in {when}: an action is (a code: {known}; a plan that exists; a finite amount >= 0), "
            f"and there are at most {codes.ACTIONS}."
        )
    raise RuntimeError(f"The kernel refused the arrays it was given in {when} (reason {reason}).")


def finish(
    run: RunState,
    row: int,
    reason: int,
    elapsed: dict[str, float],
    data_dir: str | None,
    repeat: Callable[[int], Recording],
    until: int | None = None,
    **rest: Any,
) -> Recording:
    """The recording of a run that came to a row for a reason."""
    panel = run.panel
    hole = panel.stop
    status, cause, stop = "complete", None, row
    if reason != codes.END:
        status, cause = "stopped", _cause(reason, row, run)
        stop = row + (1 if reason in (codes.BROKEN, codes.INSOLVENT) else 0)
    elif hole is not None and hole.row == row and until is None:
        status = "stopped"
        cause = (
            f"data hole in row {hole.row} ({iso(hole.instant)}): {hole.series} is {hole.age_s / 3600:.2f} h old, "
            "more than max_staleness allows; name another source in data.sources or raise data.max_staleness."
        )
    if reason == codes.BAD_DECISION and stop > run.first:
        # the refused row has been begun: what counts is the state after the row before
        run.block[:] = repeat(stop - 1).block
        run.scratch.count[0] = np.count_nonzero(run.events.row < stop)
    run.row = max(stop - 1, run.first) if stop > run.first else None
    run.finished = True
    return Recording.of(
        run, stop=stop, status=status, cause=cause, elapsed=elapsed, data_dir=data_dir, repeat=repeat, **rest
    )


def simulate(
    config: Config,
    market: DataProvider | Panel,
    start: Any = None,
    end: Any = None,
    positions: Mapping[str, float] | None = None,
    resume: Checkpoint | None = None,
    strategy: Strategy | None = None,
    progress: Callable[[int, int], None] | None = None,
    until: int | None = None,
    elapsed: dict[str, float] | None = None,
    before: History | None = None,
) -> Recording:
    """Run a configuration over a market with the compiled loop.

    Parameters
    ----------
    config : resolved configuration
    market : provider of a data set, or a panel that is ready
    start, end : window, inclusive; None takes the configuration's, then the common range
    positions : starting book instead of capital in one token
    resume : checkpoint; the run goes on in the row after it
    strategy : another strategy than the mode's
    progress : called with (rows done, rows) between pieces of the run
    until : index of the last row to run; None runs all
    before : gives the rows before those of a panel, for what a strategy watches

    Raises
    ------
    InputError
        Where the configuration, the positions or the data cannot be used.
    EngineError
        Where the strategy raises; the message names the row and the line.
    """
    clock = time.perf_counter
    began = clock()
    took = dict(elapsed or {})
    begins_with = StartingBook(config, strategy or make_strategy(config), positions, resume)
    run = prepare(begins_with, market, start, end, before=before)
    last = last_row(run, until)
    took["compile"] = run.compile_s
    took["load"] = took.get("load", 0.0) + clock() - began - run.compile_s
    mark = clock()
    row, reason = advance(run, run.first, last, progress)
    took["kernel"] = clock() - mark
    took["total"] = clock() - began + (elapsed or {}).get("load", 0.0)

    def repeat(row: int) -> Recording:
        return simulate(
            config, run.panel, positions=positions, resume=resume, strategy=run.strategy, until=row,
            before=run.columns.history,
        )  # fmt: skip

    data_dir = None if isinstance(market, Panel) else str(market.data_dir)
    return finish(run, row, reason, took, data_dir, repeat, until)


def checkpoint(recording: Recording, timestamp: Any = None) -> Checkpoint:
    """State of a run after the fills of a row (the last at or before `timestamp`; None: the last row).

    The run is repeated up to that row, which takes a millisecond or two: its bits are the same.
    """
    panel = recording.panel
    row = recording.stop - 1 if timestamp is None else panel.row_at(to_ns(timestamp))
    if not recording.first <= row < recording.stop:
        span = f"{iso(int(panel.timestamps[recording.first]))} .. {iso(int(panel.timestamps[recording.stop - 1]))}"
        raise InputError(f"checkpoint: {timestamp!r} is outside the run {span}.")
    block = recording.block
    if row < recording.stop - 1:
        again = recording.repeat(row)
        block = again.block
    started = recording.resumed.started if recording.resumed else int(panel.timestamps[0])
    keys = tuple(str(k) for k in recording.slots.keys)
    return Checkpoint(int(panel.timestamps[row]), started, recording.config.share_class, keys, block[:, 0].copy())


def warn_if_stopped(recording: Recording) -> None:
    """A run that stopped itself says so."""
    if recording.status == "stopped":
        warnings.warn(f"The run stopped itself: {recording.cause}", RunStoppedWarning, stacklevel=3)
