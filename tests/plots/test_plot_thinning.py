"""Thinned pictures: fewer rows, every extreme."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis.plots import prepare
from basis.plots.pictures import Line, Marks, Panel, Picture, Shade
from basis.plots.thinning import extremes, thin

START = np.datetime64("2024-01-01T00", "us")
HOUR = np.timedelta64(1, "h")


def picture(values, marks=(), shades=()):
    lines = tuple(Line(str(i), str(i), row, "#000000") for i, row in enumerate(values))
    stamps = START + np.arange(values.shape[1]) * HOUR
    return Picture("x", "x", "x", "x", stamps, (Panel("x", "money", lines=lines, marks=marks, shades=shades),))


def test_few_rows_stay_as_they_are():
    made = picture(np.random.default_rng(0).normal(size=(2, 300)))
    assert thin(made, 300) is made


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(200, 3_000))
def test_each_bucket_keeps_its_lowest_and_highest(seed, lines, rows):
    values = np.random.default_rng(seed).normal(size=(lines, rows)).cumsum(axis=1)
    kept = extremes(values, 50)
    size = -(-rows // 50)
    for start in range(0, rows, size):
        inside = kept[(kept >= start) & (kept < start + size)]
        part = values[:, start : start + size]
        assert (values[:, inside].min(axis=1) == part.min(axis=1)).all()
        assert (values[:, inside].max(axis=1) == part.max(axis=1)).all()


def test_ends_gaps_and_marks_stay():
    values = np.random.default_rng(1).normal(size=(3, 20_000)).cumsum(axis=1)
    values[1, 5_001:5_004] = np.nan
    marked = START + np.array([777, 12_345]) * HOUR
    marks = Marks("liquidation", "liquidation", marked, np.zeros(2), ("a", "b"))
    made = thin(picture(values, (marks,)), 2_000)
    rows = ((made.stamps - START) // HOUR).astype(int)
    assert made.of_rows == 20_000
    assert len(rows) <= 2_000
    assert {0, 19_999, 777, 12_345, 5_000, 5_001, 5_003, 5_004} <= set(rows)
    for line, original in zip(made.panels[0].lines, values, strict=True):
        assert line.values.tobytes() == original[rows].tobytes()
    assert made.panels[0].marks == (marks,)


def test_shades_nearer_than_a_column_of_the_screen_join_and_none_is_lost():
    rows = 20_000
    starts = np.arange(0, 9_000, 2)
    shade = Shade(2, START + starts * HOUR, START + (starts + 1) * HOUR)
    lone = Shade(1, START + np.array([15_000]) * HOUR, START + np.array([15_001]) * HOUR)
    made = thin(picture(np.zeros((1, rows)), shades=(shade, lone)), 1_000)
    joined, kept = made.panels[0].shades
    assert (joined.starts[0], joined.ends[-1]) == (shade.starts[0], shade.ends[-1])
    assert len(joined.starts) == 1
    assert (kept.starts, kept.ends) == (lone.starts, lone.ends)


def test_of_many_alerts_in_a_column_the_worst_stays():
    rows = 20_000
    stamps, values = START + np.arange(5_000, 10_000) * HOUR, np.random.default_rng(2).uniform(size=5_000)
    marks = Marks("became critical", "critical", stamps, values, tuple(map(str, values)))
    made = thin(picture(np.zeros((1, rows)), (marks,)), 4_000).panels[0].marks[0]
    assert len(made.values) < 1_000
    assert (made.values.min(), made.values.max()) == (values.min(), values.max())
    assert made.words == tuple(map(str, made.values))


@pytest.mark.parametrize("name", ["two years"])
def test_a_run_s_extremes_survive(numbers, name):
    run = numbers[name]
    assert len(run) == 17_545
    for make in (prepare.equity, prepare.drawdown, prepare.attribution_area, prepare.risk):
        whole = make(run)
        small = thin(whole)
        assert len(small.stamps) <= 4_000
        for before, after in zip(whole.panels, small.panels, strict=True):
            for one, two in zip((*before.lines, *before.bands), (*after.lines, *after.bands), strict=True):
                assert np.nanmin(two.values) == np.nanmin(one.values)
                assert np.nanmax(two.values) == np.nanmax(one.values)
