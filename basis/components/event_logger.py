"""EventLogger: ordered, typed events of a run, from decision to fill under one correlation id."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from ..config import Config
from ..errors import InputError
from ..market.sources.clock import iso
from .event_records import render
from .run_state import CurrentRun
from .state_tables import StateRows

#: Raw events that wait at most before they are written, and seconds.
_BATCH, _PATIENCE = 256, 1.0


class Event(NamedTuple):
    """One event, by the columns of `events.parquet`; texts are empty and numbers 0 where they do not apply."""

    seq: int
    timestamp: datetime
    effective_at: datetime
    kind: str
    level: str
    correlation_id: str
    action: str
    venue: str
    instrument: str
    destination: str
    quantity: float
    price: float
    reference_price: float
    rate: float
    notional: float
    fee: float
    fee_asset: str
    slippage: float
    gas: float
    gas_units: float
    flash_fee: float
    peg_conversion: float
    realised_cash: float
    amount: float
    detail: str

    def to_json(self) -> str:
        """One line of JSON; a number that is not finite is null."""
        return json.dumps({name: _plain(value) for name, value in self._asdict().items()}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Events(Sequence[Event]):
    """Events that were written together; made when they are looked at."""

    def __init__(self, logger: "EventLogger", first: int) -> None:
        self._logger, self._first = logger, first
        self._made: list[Event] | None = None

    def _all(self) -> list[Event]:
        if self._made is None:
            self._made = self._logger.batch(self._first)
        return self._made

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Event]:
        return iter(self._all())


class EventLogger:
    """The log of a run, which the engine writes to after every row.

    Parameters
    ----------
    config, data_provider, run : see `PositionMonitor`
    path : file that gets a line of JSON per event while the run goes on
    """

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun, path: str | Path | None = None) -> None:
        self.config, self.data_provider, self.run = config, data_provider, run
        self.path = None if path is None else Path(path)
        #: Name of the run, which correlation ids begin with; set when it begins.
        self.run_id: Callable[[], str] = str
        self._taken = 0
        self._flushed = time.monotonic()
        # first and last of what was written together: raw events that wait, and the records of those that do not
        self._pending: list[tuple[int, int]] = []
        self._batches: dict[int, tuple[int, int]] = {}
        self._done: list[Event] = []
        self._end: list[Event] = []

    def open(self) -> None:
        """Begin a log: a file that is there already is begun anew.

        Raises
        ------
        InputError
            Where the file cannot be written.
        """
        if self.path is not None and self.path.exists() and not self.path.is_file():
            # to open a pipe is to wait for somebody who reads it
            raise InputError(f"Cannot write the event log {self.path}: it is no regular file.")
        self._append([], "w")

    def collect(self) -> None:
        """Log what the run has written since the last time."""
        written = self.run.state.events_written
        if written > self._taken:
            first, self._taken = self._taken, written
            self._pending.append((first, written))
            self.log(self.run.state.timestamp, Events(self, first))

    def log(self, timestamp: int | None, events: Sequence[Event]) -> None:
        """Take the events of a row; called once for each row that has any.

        Parameters
        ----------
        timestamp : instant of the row, ns UTC
        """
        if self.path is None:
            return
        waiting = self._taken - self._pending[0][0] if self._pending else 0
        if waiting >= _BATCH or time.monotonic() - self._flushed > _PATIENCE:
            self.flush()

    @property
    def events(self) -> list[Event]:
        """Every event so far; the last of a run that stopped itself says why."""
        self.flush()
        return self._done + self._end

    def flush(self) -> None:
        """Make records of what waits, and write them to the file."""
        self._flushed = time.monotonic()
        if not self._pending:
            return
        run, pending = self.run.state, self._pending
        self._pending = []
        raw = run.scratch.events[pending[0][0] : pending[-1][1]].copy()
        span = raw["row"]
        first, stop = int(span.min()), int(span.max()) + 1
        rows = StateRows(run, first, stop, run.record[max(first - 1, 0) : stop])
        columns = render(rows, raw, self.run_id())
        seq = range(len(self._done), len(self._done) + len(columns["kind"]))
        stamps = [[_moment(us) for us in columns[name].astype(np.int64).tolist()] for name in _STAMPS]
        rest = [columns[name].tolist() for name in Event._fields[1 + len(_STAMPS) :]]
        made = [Event(*values) for values in zip(seq, *stamps, *rest, strict=True)]
        # a raw event of funding may have become several records, all of its row
        place, stamps_of = len(self._done), columns["timestamp"].astype(np.int64)
        lasts = [int(run.panel.timestamps[int(run.scratch.events[stop - 1].row)]) // 1000 for _, stop in pending]
        ends = np.searchsorted(stamps_of, lasts, side="right").tolist()
        for (first, _), start, end in zip(pending, [0, *ends], ends, strict=False):
            self._batches[first] = (place + start, place + end)
        self._done += made
        self._write(made)

    def batch(self, first: int) -> list[Event]:
        """Records of what was written together, from its first raw event on."""
        self.flush()
        start, stop = self._batches[first]
        return self._done[start:stop]

    def _write(self, made: list[Event]) -> None:
        self._append(made, "a")

    def _append(self, made: list[Event], mode: str) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open(mode, encoding="utf-8") as file:
                file.writelines(event.to_json() + "\n" for event in made)
        except OSError as error:
            raise InputError(f"Cannot write the event log {self.path}: {error}.") from error

    def close(self, cause: str | None = None, effective_at: int | None = None) -> None:
        """The end of a run; `cause` says why it stopped itself, `effective_at` (ns UTC) where."""
        if self.path is not None or cause is not None:
            self.flush()
        timestamp = self.run.state.timestamp
        if cause is not None and timestamp is not None:
            when = timestamp if effective_at is None else effective_at
            texts = dict.fromkeys(name for name, kind in Event.__annotations__.items() if kind is str)
            values: dict[str, Any] = {name: "" if name in texts else 0.0 for name in Event._fields}
            values |= {"seq": len(self._done), "kind": "error", "detail": cause}
            values |= {"timestamp": _moment(timestamp // 1000), "effective_at": _moment(when // 1000)}
            self._end = [Event(**values)]
            self._write(self._end)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        timestamp = self.run.state.timestamp if self.run.has_begun else None
        when = "" if timestamp is None else f" up to {iso(timestamp)}"
        return "healthy", f"{self._taken} events{when}"


_STAMPS = ("timestamp", "effective_at")


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
