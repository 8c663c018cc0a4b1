"""Run the compiled loop over a market: prepare, advance in pieces, record, checkpoint and resume."""

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ConfigError, DataError, InputError, RunStoppedWarning
from ..kernel import layout as at
from ..kernel import state
from ..kernel.coefficients import Slots, make_slots
from ..kernel.keys import parse_key
from ..kernel.loop import EVENTS_PER_ROW, Loop
from ..market import DataProvider
from ..market.panel import Panel
from ..market.sources.clock import iso, to_ns
from ..strategies.base import Strategy
from ..strategies.factory import make_strategy
from .model import make_limits, make_model, make_parameters
from .recording import Checkpoint, Recording

#: Rows between two reports of progress.
_PIECE = 4_096


def _holdings(config: Config, positions: Mapping[str, float] | None) -> dict[str, float]:
    """Starting book: the positions given, or the capital where it arrives.

    Raises
    ------
    InputError
        Where a key or quantity makes no sense.
    """
    if positions is None:
        key = f"{config.start_venue}:BaseToken:{config.share_class}"
        if key not in config.instruments:
            raise ConfigError(
                f"start_venue {config.start_venue!r}, share_class {config.share_class!r}: {config.mode} has no {key}. "
                f"Start with {' or '.join(k for k in config.instruments if ':BaseToken:' in k)}, or from positions."
            )
        return {key: float(config.initial_capital)}
    out: dict[str, float] = {}
    for name, amount in positions.items():
        text, _, measure = str(name).partition("|")
        try:
            key = parse_key(text)
        except ValueError as error:
            raise InputError(f"positions: {error}") from error
        if measure not in ("", "cost") or (measure == "cost" and key.type != "Perp"):
            raise InputError(f"positions: {name!r} is not known; write <key> for a quantity or <perp key>|cost.")
        try:
            value = float(amount)
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value) or (value < 0.0 and key.type != "Perp"):
            raise InputError(f"positions: {name!r} is {amount!r}; it must be finite, and only a perp may be below 0.")
        out[f"{key}|cost" if measure else str(key)] = value
    for name, quantity in list(out.items()):
        key = parse_key(name.partition("|")[0])
        if key.type == "Perp" and "|" not in name and quantity != 0.0 and f"{key}|cost" not in out:
            raise InputError(f"positions: {name!r} needs '{name}|cost', its quantity times the average entry price.")
        held = out.get(str(key), 0.0)
        if name.endswith("|cost") and not (quantity * held > 0.0 or quantity == held == 0.0):
            raise InputError(f"positions: {name!r} is {quantity!r}; it must have the sign of the quantity ({held!r}).")
    return out


def _slots(config: Config, holdings: Mapping[str, float]) -> Slots:
    keys = [*config.instruments, *(name.partition("|")[0] for name in holdings)]
    slots = make_slots(keys, config.share_class)
    for venue in dict.fromkeys(k.venue for k in slots.keys):
        if venue not in config.venues:
            raise ConfigError(
                f"positions: venue {venue!r} is not one of this run's ({', '.join(config.venues)}); name it in "
                "strategy.hedge_allocation (weight 0 will do) or leave the position out."
            )
    return slots


def _window(panel: Panel, config: Config, start: Any, end: Any) -> Panel:
    """The rows of a ready panel that are asked for."""
    if panel.step_s != config.bar_interval.total_seconds():
        raise InputError(f"The panel steps {panel.step_s} s; bar_interval is {config.bar_interval}. They must agree.")
    first = panel.row_at(start) if start is not None else 0
    last = panel.row_at(end) if end is not None else len(panel) - 1
    return panel if (first, last) == (0, len(panel) - 1) else panel.slice(first, last)


def _restore(checkpoint: Checkpoint, slots: Slots, share_class: str) -> np.ndarray:
    keys = tuple(str(k) for k in slots.keys)
    if checkpoint.keys != keys or checkpoint.share_class != share_class:
        raise InputError(
            f"resume: the checkpoint holds {', '.join(checkpoint.keys)} in {checkpoint.share_class}; this "
            f"configuration needs {', '.join(keys)} in {share_class}. Resume with the configuration that made it."
        )
    block = state.aligned((len(checkpoint.state), 1))
    block[:, 0] = checkpoint.state
    return block


def _cause(reason: int, row: int, panel: Panel, block: np.ndarray, slots: Slots) -> str:
    """Why a run stopped, in one sentence."""
    b = at.book(slots.shape(), block)
    when = f"row {row} ({iso(int(panel.timestamps[row]))})"
    equity = b.head[at.EQUITY, 0]
    if reason == at.BROKEN:
        booked = b.column[:, 0].sum()
        earned = equity - b.stat[at.CAPITAL, 0] - b.head[at.FLOWS, 0]
        return f"identity broken in {when}: balance-based P&L {earned!r}, attributed P&L {booked!r}."
    if reason == at.INSOLVENT:
        return f"insolvent in {when}: equity {equity:.6f} {slots.share_class}."
    if reason == at.BAD_DECISION:
        return (
            f"strategy failed in {when}: an action is (code 1-4, a plan that exists, a finite amount >= 0), and "
            f"there are at most {at.ACTIONS}."
        )
    raise RuntimeError(f"The kernel refused the arrays it was given in {when} (reason {reason}).")


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

    Raises
    ------
    InputError
        Where the configuration, the positions or the data cannot be used.
    """
    clock = time.perf_counter
    began = clock()
    took = dict(elapsed or {})
    strategy = strategy or make_strategy(config.mode)
    holdings = _holdings(config, positions)
    slots = _slots(config, holdings)
    if isinstance(market, Panel):
        panel = _window(market, config, None if resume else start, end)
    else:
        if resume is not None:
            start = resume.timestamp
        held = (k for k in slots.keys if k.type != "Perp" or k in slots.held)
        panel = market.panel(keys=[str(k) for k in held], start=start, end=end)
    first = 0
    started = int(panel.timestamps[0])
    if resume is not None:
        if started != resume.timestamp:
            raise InputError(f"resume: the market begins {iso(started)}, the checkpoint is of {iso(resume.timestamp)}.")
        first, started = 1, resume.started
    took["load"] = took.get("load", 0.0) + clock() - began
    model = make_model(config, slots, panel, strategy, started)
    n = slots.shape()
    if resume is None:
        capital = float(config.initial_capital)
        if positions is not None:
            capital = state.worth(slots, holdings, model.hours[0])
        if not capital > 0.0:
            raise InputError(f"positions: the starting book is worth {capital:.6g} {config.share_class}, not > 0.")
        block = state.open_book(slots, holdings, capital)
    else:
        block = _restore(resume, slots, config.share_class)
    limits, parameters = make_limits(config, slots), make_parameters(config, slots, strategy)
    state.set_policy(slots, block, parameters, limits, config.risk.simulate_liquidation)
    rows = len(panel)
    record = np.zeros((rows, at.recorded(n)))
    if first:
        record[0] = block[: at.recorded(n), 0]
    last = rows if until is None else until + 1
    hole = panel.stop
    if hole is not None and hole.row < last:
        last = hole.row
    if last <= first:
        detail = f" ({hole.series} is {hole.age_s / 3600:.1f} h old in {iso(hole.instant)})" if hole else ""
        raise DataError(f"There is no row to run between {iso(int(panel.timestamps[0]))} and the end{detail}.")
    long = [slots.index(k) for plan in strategy.plans(config) for k in (plan.pool or plan.token,) if k]
    desk = state.make_desk(slots, max(8 * EVENTS_PER_ROW, rows), long)
    mark = clock()
    loop = Loop(n, block, model, desk, strategy.decide, record)
    took["compile"] = clock() - mark
    mark = clock()
    row, reason = first, at.END
    while row < last:
        piece = min(last, row + _PIECE) if progress is not None else last
        row, reason = loop.run(row, piece)
        if reason == at.FULL:
            loop.grow()
        elif reason != at.END:
            break
        if progress is not None:
            progress(row - first, last - first)
    took["kernel"] = clock() - mark
    status, cause, stop = "complete", None, row
    if reason not in (at.END, at.FULL):
        status, cause = "stopped", _cause(reason, row, panel, block, slots)
        stop = row + (1 if reason in (at.BROKEN, at.INSOLVENT) else 0)
    elif hole is not None and hole.row == last and until is None:
        status = "stopped"
        cause = (
            f"data hole in row {hole.row} ({iso(hole.instant)}): {hole.series} is {hole.age_s / 3600:.2f} h old, "
            "more than max_staleness allows; name another source in data.sources or raise data.max_staleness."
        )
    took["total"] = clock() - began + (elapsed or {}).get("load", 0.0)
    return Recording(
        config=config,
        panel=panel,
        slots=slots,
        model=model,
        record=record,
        events=loop.desk.events[: loop.desk.count[0]].copy(),
        block=block,
        first=first,
        stop=stop,
        status=status,
        cause=cause,
        elapsed=took,
        holdings=holdings,
        given=positions is not None,
        provider=None if isinstance(market, Panel) else market,
        resumed=resume,
        strategy=strategy,
    )


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
        again = simulate(
            recording.config,
            panel,
            positions=recording.holdings if recording.given else None,
            resume=recording.resumed,
            strategy=recording.strategy,
            until=row,
        )
        block = again.block
    started = recording.resumed.started if recording.resumed else int(panel.timestamps[0])
    keys = tuple(str(k) for k in recording.slots.keys)
    return Checkpoint(int(panel.timestamps[row]), started, recording.config.share_class, keys, block[:, 0].copy())


def warn_if_stopped(recording: Recording) -> None:
    """A run that stopped itself says so."""
    if recording.status == "stopped":
        warnings.warn(f"The run stopped itself: {recording.cause}", RunStoppedWarning, stacklevel=3)
