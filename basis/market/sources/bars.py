"""Prices from candles of several sources in order (accounting §1). Imports numpy only."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from basis.market.sources.clock import SECOND, modal_step, segment_sums
from basis.market.sources.reader import Table


class Resolved(NamedTuple):
    """Values of a series at instants, with where they come from.

    ``values`` NaN where nothing may be carried; ``source`` index into the series' sources (−1 without a value);
    ``age`` in s, of the youngest value even where it is too old (inf where there is none); ``fresh`` whether the value
    covers its instant.
    """

    values: np.ndarray
    source: np.ndarray
    age: np.ndarray
    fresh: np.ndarray


class Candles(NamedTuple):
    """Candles of all sources merged: non-overlapping, sorted; ``ends`` and ``lengths`` in ns; high, low, volume (NaN
    where unknown)."""

    ends: np.ndarray
    lengths: np.ndarray
    high: np.ndarray
    low: np.ndarray
    volume: np.ndarray


class BarSeries:
    """One price series with its sources in order of preference.

    Parameters
    ----------
    tables : sequence of Table | None
        One per source, None where the data set has no file for it. Columns ``open``, and ``high``, ``low``, ``volume``
        where extremes or volumes are wanted.
    """

    def __init__(self, tables: Sequence[Table | None]) -> None:
        self.tables = tuple(tables)
        self.intervals = tuple(modal_step(table.stamps) if table else 0 for table in tables)
        # A candle without an open is a hole.
        self._good = tuple(
            table.only(~np.isnan(table.columns["open"])) if table is not None else None for table in self.tables
        )
        self._candles: Candles | None = None

    def span(self) -> tuple[int, int] | None:
        """First stamp with a price and last stamp at all over the sources that have prices, ns."""
        ends = [
            (int(good.stamps[0]), int(table.stamps[-1]))
            for good, table in zip(self._good, self.tables, strict=True)
            if good is not None and table is not None and good.stamps.size
        ]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None

    def at(self, instants: np.ndarray, max_staleness: int) -> Resolved:
        """Open of the latest candle at each instant (ns): the first fresh source, else the youngest in reach."""
        shape = instants.shape
        value, age = np.full(shape, np.nan), np.full(shape, np.inf)
        source, fresh = np.full(shape, -1, np.int8), np.zeros(shape, bool)
        for index, (table, interval) in enumerate(zip(self._good, self.intervals, strict=True)):
            if table is None or table.stamps.size == 0:
                continue
            row = np.searchsorted(table.stamps, instants, "right") - 1
            own_age = np.where(row >= 0, instants - table.stamps[row], np.inf)
            own_fresh = own_age < interval
            # An older source that is fresh beats one that is not; among the stale the youngest, the first on a tie.
            better = ~fresh & (own_fresh | (own_age < age))
            if better.any():
                value = np.where(better, table.columns["open"][row], value)
                source = np.where(better, np.int8(index), source)
                age = np.where(better, own_age, age)
                fresh |= own_fresh
            if fresh.all():
                break
        held = fresh | (age <= max_staleness)
        return Resolved(np.where(held, value, np.nan), np.where(held, source, np.int8(-1)), age / SECOND, fresh)

    def candles(self) -> Candles:
        """The candles of all sources, a later source only where no earlier one has a candle."""
        if self._candles is None:
            merged = Candles(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
            starts = np.empty(0, np.int64)
            for whole, interval in zip(self._good, self.intervals, strict=True):
                if whole is None or whole.stamps.size == 0:
                    continue
                extremes = [whole.columns[name] for name in ("high", "low") if name in whole.columns]
                table = whole.only(~np.isnan(np.sum(extremes, axis=0))) if extremes else whole
                begin, end = table.stamps, table.stamps + interval
                alone = np.searchsorted(merged.ends, begin, "right") == np.searchsorted(starts, end, "left")
                if not alone.any():
                    continue
                unknown = np.full(begin.size, np.nan)
                own = [end, end - begin] + [table.columns.get(name, unknown) for name in ("high", "low", "volume")]
                starts = np.concatenate((starts, begin[alone]))
                order = np.argsort(starts, kind="stable")
                starts = starts[order]
                merged = Candles(*(np.concatenate((a, b[alone]))[order] for a, b in zip(merged, own, strict=True)))
            self._candles = merged
        return self._candles

    def extremes(self, timestamps: np.ndarray, mark: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Highest and lowest price of the candles that ended in (τ_{t−1}, τ_t]; the mark in row 0 and in a hole."""
        candles = self.candles()
        keep = ~(np.isnan(candles.high) | np.isnan(candles.low))
        last = np.searchsorted(candles.ends[keep], timestamps, "right")
        first = np.append(last[:1], last[:-1])
        some = last > first
        high, low = mark.copy(), mark.copy()
        if some.any():
            # A sentinel keeps the last bound inside; every other segment of the pairs is a gap and dropped.
            bounds = np.column_stack((first[some], last[some])).ravel()
            high[some] = np.maximum.reduceat(np.append(candles.high[keep], 0.0), bounds)[::2]
            low[some] = np.minimum.reduceat(np.append(candles.low[keep], 0.0), bounds)[::2]
        return high, low

    def volatility(self, timestamps: np.ndarray, step: int, max_staleness: int) -> np.ndarray:
        """Volatility of the candles that ended in (τ_t − step, τ_t], from their range: ln(high / low) / (2 √ln 2).

        Parkinson (1980); of the step, not of a year. Where none ended it is that of the last closed candle, at most
        `max_staleness` old; NaN without one. A candle longer than the step gives the root of its share of time.
        """
        candles = self.candles()
        keep = ~(np.isnan(candles.high) | np.isnan(candles.low))
        ends, high, low = candles.ends[keep], candles.high[keep], candles.low[keep]
        shares = np.minimum(1.0, step / candles.lengths[keep])
        out = np.full(timestamps.shape, np.nan)
        if not ends.size:
            return out
        last = np.searchsorted(ends, timestamps, "right")
        first = np.minimum(np.searchsorted(ends, timestamps - step, "right"), np.maximum(last - 1, 0))
        known = (last > 0) & (timestamps - ends[np.maximum(last - 1, 0)] <= max_staleness)
        bounds = np.column_stack((first[known], last[known])).ravel()
        if known.any():
            top = np.maximum.reduceat(np.append(high, 0.0), bounds)[::2]
            bottom = np.minimum.reduceat(np.append(low, 0.0), bounds)[::2]
            out[known] = np.log(top / bottom) / (2.0 * np.sqrt(np.log(2.0))) * np.sqrt(shares[last[known] - 1])
        return out

    def volume(self, timestamps: np.ndarray, step: int, max_staleness: int) -> np.ndarray | None:
        """Volume, in base units, of the candles that ended in (τ_t − step, τ_t].

        Where none ended it is that of the last closed candle, at most `max_staleness` old; NaN without one; None where
        no source has volumes. A candle longer than the step gives its share of time.
        """
        candles = self.candles()
        keep = ~np.isnan(candles.volume)
        if not keep.any():
            return None
        ends = candles.ends[keep]
        volume = candles.volume[keep] * np.minimum(1.0, step / candles.lengths[keep])
        last = np.searchsorted(ends, timestamps, "right")
        first = np.searchsorted(ends, timestamps - step, "right")
        sums = segment_sums(volume, first, last)
        carried = np.where((last > 0) & (timestamps - ends[last - 1] <= max_staleness), volume[last - 1], np.nan)
        return np.where(last > first, sums, carried)
