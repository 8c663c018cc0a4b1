"""A defect of a series, and how it is said. Imports numpy and the standard library only."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Finding:
    """One kind of defect in one series: the first instant it shows (None where there is none) and how many rows.

    What is ``impossible`` no market can have shown: a run on it means nothing. The rest is improbable.
    """

    series: str
    kind: str
    first: datetime | None
    count: int
    message: str
    impossible: bool = False

    def __str__(self) -> str:
        when = f" at {self.first:%Y-%m-%d %H:%M}" if self.first is not None else ""
        return f"{self.series}{when}: {self.message}"


def when(ns: Any) -> datetime:
    """The instant of a stamp in ns; the nearest that there is where it is of no year."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(ns) // 1000)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if ns > 0 else datetime.min.replace(tzinfo=UTC)


def say(ns: Any) -> str:
    """A stamp in ns as messages print it."""
    return f"{when(ns):%Y-%m-%d %H:%M}"


def count_of(count: int, noun: str) -> str:
    """``1 bar``, ``2 bars``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def runs_of(mask: Array) -> list[tuple[int, int]]:
    """(start, length) of the runs of True."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), (ends - starts).tolist(), strict=True))
