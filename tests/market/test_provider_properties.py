"""Candles of random sources against the rules said in plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis.market.sources.bars import BarSeries
from basis.market.sources.clock import segment_sums
from basis.market.sources.reader import Table


@st.composite
def sources(draw):
    tables = []
    for index in range(draw(st.integers(1, 3))):
        count, step = draw(st.integers(2, 12)), draw(st.sampled_from([1, 2, 3]))
        first = draw(st.integers(0, 4))
        holes = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        opens = np.array([math.nan if h else 100.0 * (index + 1) + i for i, h in enumerate(holes)])
        stamps = first + step * np.arange(count, dtype=np.int64)
        columns = {"open": opens, "high": opens + 3.0 + np.arange(count) % 5, "low": opens - 3.0, "volume": opens}
        tables.append((step, Table("x", stamps, columns)))
    return tables


@given(sources(), st.integers(0, 4))
def test_price_source_and_age(given_sources, limit):
    series = BarSeries([table for _, table in given_sources])
    instants = np.arange(-2, 30, dtype=np.int64)
    resolved = series.at(instants, limit)
    for t, instant in enumerate(instants):
        best = None
        for index, (step, table) in enumerate(given_sources):
            known = [i for i, s in enumerate(table.stamps) if s <= instant and not math.isnan(table.columns["open"][i])]
            if known:
                age = instant - table.stamps[known[-1]]
                # Fresh before stale; among the fresh the order counts, among the stale the age first.
                rank = (0, index, 0) if age < step else (1, age, index)
                best = (
                    min(best, (rank, index, age, table.columns["open"][known[-1]]))
                    if best
                    else ((rank, index, age, table.columns["open"][known[-1]]))
                )
        if best is None or (best[0][0] == 1 and best[2] > limit):
            assert math.isnan(resolved.values[t])
            assert resolved.source[t] == -1
        else:
            assert (resolved.values[t], resolved.source[t], resolved.age[t]) == (best[3], best[1], best[2] / 1e9)
            assert resolved.fresh[t] == (best[0][0] == 0)


@given(sources(), st.integers(1, 4))
def test_extremes_and_volume_of_ended_candles(given_sources, step):
    series = BarSeries([table for _, table in given_sources])
    grid = np.arange(2, 30, step, dtype=np.int64)
    taken: list[tuple[int, int, float, float, float]] = []
    for width, table in given_sources:
        own = [
            (int(s), int(s) + width, *(float(table.columns[name][i]) for name in ("high", "low", "volume")))
            for i, s in enumerate(table.stamps)
            if not math.isnan(table.columns["open"][i])
        ]
        taken += [c for c in own if all(c[1] <= other[0] or c[0] >= other[1] for other in taken)]
    mark = np.full(grid.size, 7.0)
    high, low = series.extremes(grid, mark)
    volume = series.volume(grid, step, 10**6)
    assert (high[0], low[0]) == (7.0, 7.0)
    for t, instant in enumerate(grid):
        ended = sorted(c for c in taken if instant - step < c[1] <= instant)
        if t:
            assert high[t] == max((c[2] for c in ended), default=7.0)
            assert low[t] == min((c[3] for c in ended), default=7.0)
        before = [c for c in sorted(taken) if c[1] <= instant]
        if volume is not None and before:
            # of a candle longer than the step its share of time
            counted = [c[4] * min(1.0, step / (c[1] - c[0])) for c in ended or before[-1:]]
            assert volume[t] == pytest.approx(sum(counted), rel=1e-15)


@given(st.lists(st.integers(-5, 5), max_size=12), st.data())
def test_segment_sums(values, data):
    bounds = [sorted(data.draw(st.tuples(*[st.integers(0, len(values))] * 2))) for _ in range(5)]
    first, last = np.array(bounds).T
    sums = segment_sums(np.array(values, dtype=float), first, last)
    assert sums.tolist() == [float(sum(values[a:b])) for a, b in bounds]
