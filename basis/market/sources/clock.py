"""Instants as int64 nanoseconds since the epoch, UTC. Imports numpy and `basis.errors` only."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from basis.errors import DataError

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
YEAR_365 = 365 * DAY

#: Seconds below which a span is printed in seconds, not in hours.
_SHORT = 600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_ns(instant: Any) -> int:
    """Nanoseconds since the epoch of an instant given by a user.

    Parameters
    ----------
    instant : str | datetime | date | numpy.datetime64 | int
        ISO text, a datetime (one without a zone is read as UTC, a bare date as its 00:00 UTC), or nanoseconds.

    Raises
    ------
    DataError
        Where it is no instant.
    """
    if isinstance(instant, (int, np.integer)) and not isinstance(instant, bool):
        return int(instant)
    if isinstance(instant, np.datetime64) and not np.isnat(instant):
        return int(instant.astype("datetime64[ns]").astype(np.int64))
    given = instant
    if isinstance(instant, str):
        try:
            instant = datetime.fromisoformat(instant.strip())
        except ValueError:
            instant = None
    if isinstance(instant, date) and not isinstance(instant, datetime):
        instant = datetime(instant.year, instant.month, instant.day, tzinfo=UTC)
    if not isinstance(instant, datetime) or instant != instant:
        raise DataError(f"Not an instant: {given!r}. Give an ISO date or time such as '2024-01-01T00:00:00Z'.")
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND * 1000


def to_datetime(ns: int) -> datetime:
    """The UTC datetime of an instant in nanoseconds (cut to the microsecond)."""
    return _EPOCH + timedelta(microseconds=int(ns) // 1000)


def iso(ns: int) -> str:
    """ISO text of an instant in nanoseconds, as messages print it: ``2024-01-01T00:00:00Z``."""
    return to_datetime(ns).isoformat().replace("+00:00", "Z")


def duration_ns(span: timedelta) -> int:
    """Nanoseconds of a duration."""
    return span // _MICROSECOND * 1000


def span_text(ns: float) -> str:
    """A duration in words for messages: ``36 h``, ``90 s``."""
    if not np.isfinite(ns):
        return "unbounded (nothing before it)"
    seconds = ns / SECOND
    return f"{seconds:g} s" if abs(seconds) < _SHORT else f"{ns / HOUR:.4g} h"


def modal_step(stamps: np.ndarray, default: int = HOUR) -> int:
    """The commonest difference of sorted stamps, ns; `default` for fewer than two."""
    if stamps.size < 2:
        return default
    steps, counts = np.unique(np.diff(stamps), return_counts=True)
    return int(steps[np.argmax(counts)])


def segment_sums(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Sums of ``values[first[i]:last[i]]`` (0 where empty); segments may overlap.

    Each sum depends on its own elements only, so that neither later data nor the window of a run touch its bits.
    """
    if values.size == 0:
        return np.zeros(first.size)
    bounds = np.column_stack((first, last)).ravel()
    sums = np.add.reduceat(np.append(values, 0.0), bounds)[::2]
    return np.where(last > first, sums, 0.0)
