"""Funding settlements of a perp from several sources in order (accounting §1). May import numpy, `basis.errors`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from basis.errors import DataError
from basis.market.sources.clock import SECOND, YEAR_365, iso, segment_sums
from basis.market.sources.reader import Table

#: Stamp differences over which the local step is the median: three days of payments every eight hours.
MEDIAN_WINDOW = 9
#: How much earlier than due a stand-in may settle and still count as due, fraction of the step.
_DUE_TOLERANCE = 0.01


class Coverage(NamedTuple):
    """Settlements of a window: due, there at the first source, and there after the stand-ins."""

    expected: int
    own_present: int
    resolved_present: int

    @property
    def own(self) -> float:
        """Fraction present at the first source; 1 where none is due."""
        return self.own_present / self.expected if self.expected else 1.0

    @property
    def resolved(self) -> float:
        """Fraction present after stand-ins; 1 where none is due."""
        return self.resolved_present / self.expected if self.expected else 1.0


class FundingSeries:
    """Settlement events, the holes of the first source filled from the next ones.

    Parameters
    ----------
    tables : sequence of Table | None
        One per source, in order; column ``funding_rate`` (fraction of notional per interval; null is no payment).
    default_step : int
        ns between settlements where the first source has fewer than three.

    Attributes
    ----------
    stamps, rates, source : numpy.ndarray
        (N,) int64 ns on whole seconds, float64, int8 index of the source.
    """

    def __init__(self, tables: Sequence[Table | None], default_step: int) -> None:
        events = [_events(table) for table in tables]
        self._default_step = default_step
        self.own = events[0][0]
        self.stamps, self.rates = events[0]
        self.source = np.zeros(self.stamps.size, np.int8)
        for index, (stamps, rates) in enumerate(events[1:], start=1):
            fill = self._fills(stamps)
            order = np.argsort(np.concatenate((self.stamps, stamps[fill])), kind="stable")
            self.stamps = np.concatenate((self.stamps, stamps[fill]))[order]
            self.rates = np.concatenate((self.rates, rates[fill]))[order]
            self.source = np.concatenate((self.source, np.full(int(fill.sum()), index, np.int8)))[order]

    def _fills(self, stamps: np.ndarray) -> np.ndarray:
        """Which events of a later source stand in: those in a hole, once the next payment was due.

        The second half keeps the choice causal: what comes after an event does not decide whether it counts.
        """
        have = self.stamps
        if have.size == 0:
            return np.ones(stamps.size, bool)
        steps = local_steps(have, self._default_step)
        after = np.searchsorted(have, stamps, "right") - 1
        taken = have[np.maximum(after, 0)] == stamps
        missing = np.append(_missing(have, steps), 1)
        hole = (after < 0) | (missing[after] >= 1)
        step = np.append(steps, steps[-1])[np.maximum(after, 0)]
        due = (after < 0) | (stamps - have[np.maximum(after, 0)] >= step * (1.0 - _DUE_TOLERANCE))
        return hole & due & ~taken

    def span(self) -> tuple[int, int] | None:
        """Instants between which no settlement is due without being in the files, ns."""
        if self.stamps.size == 0:
            return None
        steps = local_steps(self.stamps, self._default_step)
        return int(self.stamps[0] - steps[0]), int(self.stamps[-1] + steps[-1] - SECOND)

    def window(self, start: int, end: int) -> slice:
        """Events with start < t_f <= end, as a slice of `stamps`."""
        first, last = np.searchsorted(self.stamps, (start, end), "right")
        return slice(int(first), int(last))

    def coverage(self, start: int, end: int) -> Coverage:
        """How many of the settlements due in (start, end] are there."""
        own, default = self.own, self._default_step
        present = int(np.searchsorted(own, end, "right") - np.searchsorted(own, start, "right"))
        if own.size == 0:
            absent = np.arange(start // default + 1, end // default + 1) * default
            step = np.full(absent.size, default)
        else:
            absent, step = _absent(own, local_steps(own, default), start, end)
        covered = 0
        stand_ins = self.stamps[self.source > 0]
        if absent.size and stand_ins.size:
            right = np.searchsorted(stand_ins, absent)
            near = np.minimum(
                np.abs(stand_ins[np.minimum(right, stand_ins.size - 1)] - absent),
                np.abs(absent - stand_ins[np.maximum(right - 1, 0)]),
            )
            covered = int((near <= step // 2).sum())
        return Coverage(present + absent.size, present, present + covered)

    def trailing_apr(self, instants: np.ndarray, window: int) -> np.ndarray:
        """Σ of the rates settled in (τ − window, τ] per year of 365 days; NaN before a whole window of data."""
        last = np.searchsorted(self.stamps, instants, "right")
        first = np.searchsorted(self.stamps, instants - window, "right")
        apr = segment_sums(self.rates, first, last) * (YEAR_365 / window)
        if self.stamps.size == 0:
            return np.full(instants.shape, np.nan)
        begin = self.stamps[0] - local_steps(self.stamps, self._default_step)[0]
        return np.where(instants - window >= begin, apr, np.nan)


def _events(table: Table | None) -> tuple[np.ndarray, np.ndarray]:
    if table is None:
        return np.empty(0, np.int64), np.empty(0)
    good = ~np.isnan(table.columns["funding_rate"])
    # Venues print 08:00:00.011 for 08:00:00.
    stamps = (table.stamps[good] + SECOND // 2) // SECOND * SECOND
    twice = np.flatnonzero(np.diff(stamps) == 0)
    if twice.size:
        raise DataError(
            f"{table.path}: column 'timestamp': two settlements at {iso(int(stamps[twice[0]]))} after "
            "rounding to the second. Keep one of them."
        )
    return stamps, table.columns["funding_rate"][good]


def local_steps(stamps: np.ndarray, default: int) -> np.ndarray:
    """Step in force at each stamp difference, ns: the median of the nine around it (the lower one of an even count)."""
    if stamps.size < 3:
        return np.full(max(stamps.size - 1, 1), default, np.int64)
    steps = np.diff(stamps)
    width = min(MEDIAN_WINDOW, steps.size)
    medians = np.sort(np.lib.stride_tricks.sliding_window_view(steps, width), axis=1)[:, (width - 1) // 2]
    return medians[np.clip(np.arange(steps.size) - width // 2, 0, medians.size - 1)]


def _missing(stamps: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Payments missing in each interval between neighbours."""
    if stamps.size < 2:
        return np.zeros(0, np.int64)
    return np.maximum(np.rint(np.diff(stamps) / steps).astype(np.int64) - 1, 0)


def _absent(stamps: np.ndarray, steps: np.ndarray, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Instants in (start, end] at which a payment was due and is missing, and the local step of each (ns)."""
    first, last, before, after = int(stamps[0]), int(stamps[-1]), int(steps[0]), int(steps[-1])
    early = first - before * np.arange(1, max((first - start) // before + 1, 1), dtype=np.int64)
    late = last + after * np.arange(1, max((end - last) // after + 1, 1), dtype=np.int64)
    parts, widths = [early, late], [np.full(early.size, before), np.full(late.size, after)]
    missing = _missing(stamps, steps)
    for i in np.flatnonzero(missing):
        gap = int(stamps[i + 1] - stamps[i])
        parts.append(stamps[i] + gap * np.arange(1, missing[i] + 1, dtype=np.int64) // int(missing[i] + 1))
        widths.append(np.full(int(missing[i]), steps[i]))
    absent, width = np.concatenate(parts), np.concatenate(widths)
    inside = (absent > start) & (absent <= end)
    return absent[inside], width[inside]
