"""Funding settlements of a perp from several sources in order (accounting §1). May import numpy, `basis.errors`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from basis.errors import DataError
from basis.market.sources.clock import DAY, HOUR, SECOND, YEAR_365, iso, segment_sums
from basis.market.sources.reader import Table

#: Stamp differences over which the local step is the median: three days of payments every eight hours.
MEDIAN_WINDOW = 9
#: A stamp this near to a whole hour is that hour: venues print 08:00:00.011, and some a few seconds.
_JITTER = 60 * SECOND
#: Longest interval of an exchange that settles more than once a day. A longer step is a hole.
_LONGEST = 8 * HOUR
#: Intervals to which a venue goes for a single payment; another longer step has to come twice in a row.
_LONG = (4 * HOUR, 8 * HOUR)
#: Most hours that a column `interval` may state.
_MOST_HOURS = 24
#: An instant before all data.
_BEGINNING = -(2**62)


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


class Intervals(NamedTuple):
    """The time that each payment is for, and the payments that are absent between the rows of a file.

    ``widths`` (N,) ns before each stamp; ``due`` and ``due_widths`` (M,) instants and times of absent payments, ns;
    ``doubtful`` (K,) stamps whose step is longer than those around it, once, and was taken for an interval.
    """

    widths: np.ndarray
    due: np.ndarray
    due_widths: np.ndarray
    doubtful: np.ndarray


def intervals(stamps: np.ndarray, default: int, stated: np.ndarray | None = None) -> Intervals:
    """Intervals of settlements that may change between 1, 2, 4 and 8 hours.

    What a file states holds. Where it states nothing, a step longer than those around it is an interval of its own,
    not a hole, where it ends on its own grid, and is of 4 or 8 hours or comes twice in a row.

    Parameters
    ----------
    stamps : (N,) int64 ns, sorted, on their grid (`on_grid`)
    default : ns between payments where there are fewer than three
    stated : (N,) interval that ends at each stamp, ns; 0 where it is not stated
    """
    usual = local_steps(stamps, default)
    stated = np.zeros(stamps.size, np.int64) if stated is None else stated
    nothing = np.empty(0, np.int64)
    if stamps.size < 2:
        widths = np.where(stated > 0, stated, usual[: stamps.size])
        return Intervals(widths, nothing, nothing, nothing)
    steps = np.diff(stamps)
    same = np.concatenate(([False], np.diff(steps) == 0, [False]))
    twice = same[1:] | same[:-1]
    long = (steps > usual) & (steps <= _LONGEST) & (stamps[1:] % steps == 0) & (DAY % steps == 0)
    own = long & (twice | np.isin(steps, _LONG))
    width = np.where(stated[1:] > 0, stated[1:], np.where(own, steps, usual))
    absent = np.maximum(np.rint(steps / width).astype(np.int64) - 1, 0)
    width = np.where(absent > 0, width, steps)
    first = stated[0] if stated[0] > 0 else min(int(usual[0]), int(width[0]))
    # the absent ones of each step, counted back from the stamp that ends it
    back = np.repeat(absent, absent) - (np.arange(absent.sum()) - np.repeat(np.cumsum(absent) - absent, absent))
    due_widths = np.repeat(width, absent)
    due = np.repeat(stamps[1:], absent) - back * due_widths
    doubtful = stamps[1:][own & ~twice & (stated[1:] == 0)]
    return Intervals(np.concatenate(([first], width)), due, due_widths, doubtful)


def on_grid(stamps: np.ndarray) -> np.ndarray:
    """Stamps (ns) within a minute of a whole hour as that hour, others on their whole second."""
    hour = (stamps + HOUR // 2) // HOUR * HOUR
    return np.where(np.abs(stamps - hour) <= _JITTER, hour, (stamps + SECOND // 2) // SECOND * SECOND)


def local_steps(stamps: np.ndarray, default: int) -> np.ndarray:
    """Step in force at each stamp difference, ns: the median of the nine around it (the lower one of an even count)."""
    if stamps.size < 3:
        return np.full(max(stamps.size - 1, 1), default, np.int64)
    steps = np.diff(stamps)
    width = min(MEDIAN_WINDOW, steps.size)
    medians = np.sort(np.lib.stride_tricks.sliding_window_view(steps, width), axis=1)[:, (width - 1) // 2]
    return medians[np.clip(np.arange(steps.size) - width // 2, 0, medians.size - 1)]


class _Payments(NamedTuple):
    """The rows of a file: instants, rates (NaN where a payment is due and not known), and their intervals."""

    stamps: np.ndarray
    rates: np.ndarray
    intervals: Intervals

    @classmethod
    def of(cls, table: Table | None, default: int) -> "_Payments":
        if table is None:
            empty = np.empty(0, np.int64)
            return cls(empty, np.empty(0), intervals(empty, default))
        stamps = on_grid(table.stamps)
        twice = np.flatnonzero(np.diff(stamps) == 0)
        if twice.size:
            raise DataError(
                f"{table.path}: column 'timestamp': two settlements at {iso(int(stamps[twice[0]]))} after rounding (a "
                "stamp within a minute of a whole hour is that hour). Keep one of them."
            )
        return cls(stamps, table.columns["funding_rate"], intervals(stamps, default, _stated(table)))

    @property
    def paid(self) -> np.ndarray:
        return ~np.isnan(self.rates)


def _stated(table: Table) -> np.ndarray | None:
    """Column `interval` of a file in ns; 0 where a row has none."""
    hours = table.columns.get("interval")
    if hours is None:
        return None
    wrong = (hours <= 0.0) | (hours > _MOST_HOURS)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{table.path}: column 'interval' is {hours[row]:g} at {iso(int(table.stamps[row]))}; it is in hours, "
            f"above 0 and at most {_MOST_HOURS}. Minutes have to be divided by 60."
        )
    return np.rint(np.nan_to_num(hours) * HOUR).astype(np.int64)


class FundingSeries:
    """Settlement events, the holes of the first source filled from the next ones.

    A stand-in pays for the missing time only: of a payment that covers more than what is missing, its share of time;
    of several that cover one missing payment, their sum. It pays when it is known that the payment is missing, which
    is when that was due, and no sooner than at its own stamp.

    Parameters
    ----------
    tables : sequence of Table | None
        One per source, in order; column ``funding_rate`` (fraction of notional per interval; null is a payment that is
        due and not known), and ``interval`` (hours) where the file states it.
    default_step : int
        ns between settlements where the first source has fewer than three.

    Attributes
    ----------
    stamps, rates, source : numpy.ndarray
        (N,) int64 ns, sorted, float64, int8 index of the source.
    usual : int
        Commonest interval of the first source that has one, ns.
    doubtful : numpy.ndarray
        Stamps of the first source whose longer step was taken for an interval without the file saying so.
    """

    def __init__(self, tables: Sequence[Table | None], default_step: int) -> None:
        self._default_step = default_step
        payments = [_Payments.of(table, default_step) for table in tables]
        self._first = payments[0]
        paid = self._first.paid
        self.own = self._first.stamps[paid]
        self.doubtful = self._first.intervals.doubtful
        self.stamps, self.rates = self.own, self._first.rates[paid]
        self.source = np.zeros(self.stamps.size, np.int8)
        reach = max((int(later.stamps[-1]) for later in payments[1:] if later.stamps.size), default=_BEGINNING)
        missing = self._missing_time(reach)
        covered = []
        for index, later in enumerate(payments[1:], start=1):
            stamps, rates, missing, filled = _fill(missing, later)
            covered.append(filled)
            order = np.argsort(np.concatenate((self.stamps, stamps)), kind="stable")
            self.stamps = np.concatenate((self.stamps, stamps))[order]
            self.rates = np.concatenate((self.rates, rates))[order]
            self.source = np.concatenate((self.source, np.full(stamps.size, index, np.int8)))[order]
        parts = np.concatenate(covered, axis=1) if covered else np.empty((2, 0), np.int64)
        self._covered = parts[:, np.argsort(parts[0])]
        widths = next((each.intervals.widths for each in payments if each.stamps.size), np.array([default_step]))
        sizes, counts = np.unique(widths, return_counts=True)
        self.usual = int(sizes[counts.argmax()])

    def _missing_time(self, reach: int) -> np.ndarray:
        """(3, M) begin, end and instant due of what the first source misses, up to the last stamp of a stand-in."""
        stamps = self._first.stamps
        if stamps.size == 0:
            return np.array([[_BEGINNING], [max(reach, _BEGINNING + 1)], [_BEGINNING]])
        due, width = self._absent(int(stamps[0]) - 1, max(reach, int(stamps[-1])))
        early = int(stamps[0] - self._first.intervals.widths[0])
        inside = due > early
        begin, due = (due - width)[inside], due[inside]
        # before its first payment nothing is known to be due
        return np.column_stack(([[_BEGINNING], [early], [_BEGINNING]], [begin, due, due]))

    def _absent(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Instants in (start, end] at which the first source misses a payment, and the time each is for (ns)."""
        stamps, widths = self._first.stamps, self._first.intervals.widths
        if stamps.size == 0:
            step = self._default_step
            due = np.arange(start // step + 1, end // step + 1, dtype=np.int64) * step
            return due, np.full(due.size, step)
        first, last, before, after = int(stamps[0]), int(stamps[-1]), int(widths[0]), int(widths[-1])
        early = first - before * np.arange(1, max((first - start) // before + 1, 1), dtype=np.int64)
        late = last + after * np.arange(1, max((end - last) // after + 1, 1), dtype=np.int64)
        unknown, found = ~self._first.paid, self._first.intervals
        due = np.concatenate((early, found.due, stamps[unknown], late))
        width = np.concatenate(
            (np.full(early.size, before), found.due_widths, widths[unknown], np.full(late.size, after))
        )
        order = np.argsort(due)
        order = order[(due[order] > start) & (due[order] <= end)]
        return due[order], width[order]

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
        """How many of the settlements due in (start, end] are there; one counts where half of its time is paid."""
        present = int(np.searchsorted(self.own, end, "right") - np.searchsorted(self.own, start, "right"))
        due, width = self._absent(start, end)
        paid = self._covered_until(due) - self._covered_until(due - width)
        return Coverage(present + due.size, present, present + int((2 * paid >= width).sum()))

    def _covered_until(self, instants: np.ndarray) -> np.ndarray:
        """Time before each instant for which a stand-in paid, ns."""
        begin, end = self._covered
        if begin.size == 0:
            return np.zeros(instants.size, np.int64)
        whole = np.concatenate(([0], np.cumsum(end - begin)))
        last = np.searchsorted(begin, instants, "left")
        beyond = np.where(last > 0, np.maximum(end[np.maximum(last - 1, 0)] - instants, 0), 0)
        return whole[last] - beyond

    def trailing_apr(self, instants: np.ndarray, window: int) -> np.ndarray:
        """Σ of the rates settled in (τ − window, τ] per year of 365 days; NaN before a whole window of data."""
        last = np.searchsorted(self.stamps, instants, "right")
        first = np.searchsorted(self.stamps, instants - window, "right")
        apr = segment_sums(self.rates, first, last) * (YEAR_365 / window)
        if self.stamps.size == 0:
            return np.full(instants.shape, np.nan)
        begin = self.stamps[0] - local_steps(self.stamps, self._default_step)[0]
        return np.where(instants - window >= begin, apr, np.nan)


def _fill(missing: np.ndarray, later: _Payments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stamps and rates with which a later source stands in, the time still missing, and the time filled (2, K)."""
    paid = later.paid
    end, rates, width = later.stamps[paid], later.rates[paid], later.intervals.widths[paid]
    begins, ends, due = missing
    if not ends.size or not end.size:
        return np.empty(0, np.int64), np.empty(0), missing, np.empty((2, 0), np.int64)
    edges = np.unique(np.concatenate((begins, ends, end - width, end)))
    left, right = edges[:-1], edges[1:]
    hole, event = np.searchsorted(ends, right), np.searchsorted(end, right)
    in_hole, in_event = hole < ends.size, event < end.size
    hole, event = np.minimum(hole, ends.size - 1), np.minimum(event, end.size - 1)
    in_hole &= begins[hole] <= left
    both = in_hole & in_event & ((end - width)[event] <= left)
    still = in_hole & ~both
    missing = np.array([left[still], right[still], due[hole[still]]])
    if not both.any():
        return np.empty(0, np.int64), np.empty(0), missing, np.empty((2, 0), np.int64)
    which, length = event[both], (right - left)[both]
    stamp = np.maximum(end[which], due[hole[both]])
    # the parts of one payment that are due at one instant make one sum of time, so that a whole payment stays whole
    new = np.flatnonzero(np.concatenate(([True], (np.diff(which) != 0) | (np.diff(stamp) != 0))))
    time, which, stamp = np.add.reduceat(length, new), which[new], stamp[new]
    rate = rates[which] * (time / width[which])
    new = np.flatnonzero(np.concatenate(([True], np.diff(stamp) != 0)))
    return stamp[new], np.add.reduceat(rate, new), missing, np.array([left[both], right[both]])
