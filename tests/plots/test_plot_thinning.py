"""Thinned pictures: fewer rows, every extreme."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import basis
from basis.errors import InputError
from basis.kernel.layout import COLUMN_NAMES
from basis.plots.figures import comparison, equity, pnl, risk
from basis.plots.picture import Line, Marks, Panel, Picture, Shade
from basis.plots.thinning import ROWS, extremes, thin

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
    assert made.total_rows == 20_000
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
    assert made.hover_texts == tuple(map(str, made.values))


@pytest.mark.parametrize("name", ["two years"])
def test_a_run_s_extremes_survive(numbers, name):
    run = numbers[name]
    assert len(run) == 17_545
    for make in (equity.equity, equity.drawdown, pnl.attribution_area, risk.risk):
        whole = make(run)
        small = thin(whole)
        assert len(small.stamps) <= ROWS
        for before, after in zip(whole.panels, small.panels, strict=True):
            for one, two in zip((*before.lines, *before.bands), (*after.lines, *after.bands), strict=True):
                assert np.nanmin(two.values) == np.nanmin(one.values)
                assert np.nanmax(two.values) == np.nanmax(one.values)


# --- as `result.plot` draws by default

OVER_TIME = ("overview", "equity", "drawdown", "attribution", "funding", "exposure", "positions", "risk",
             "liquidation_distance")  # fmt: skip


def lines_of(figure):
    """The traces that go through rows, without marks and shades, by panel and key."""
    rows = [trace for trace in figure.data if trace.mode.startswith("lines") and trace.fill != "toself"]
    return {(trace.yaxis, trace.meta["key"], trace.meta.get("side")): trace for trace in rows}


def finite(values):
    return np.where(np.isfinite(np.asarray(values, dtype=float)), np.asarray(values, dtype=float), np.nan)


@pytest.mark.parametrize("name", OVER_TIME)
def test_a_long_run_is_drawn_with_fewer_rows_of_the_table_and_every_extreme(results, name):
    result = results["two years"]
    draw = getattr(result.plot, name)
    figure, whole = draw(), draw(rows=None)
    stamps = result.equity.index.tz_localize(None).to_numpy()
    few, every = lines_of(figure), lines_of(whole)
    assert list(few) == list(every)
    rows = np.searchsorted(stamps, next(iter(few.values())).x)
    assert len(rows) <= ROWS < len(stamps)
    assert (rows[0], rows[-1]) == (0, len(stamps) - 1)
    for key, line in few.items():
        # what is shown at an instant is what stands there, and all lines have the same instants
        assert (np.asarray(line.x) == stamps[rows]).all()
        np.testing.assert_array_equal(line.y, np.asarray(every[key].y)[rows])
        if line.customdata is not None:
            np.testing.assert_array_equal(line.customdata, np.asarray(every[key].customdata)[rows])
        # and no value is beyond all those that are kept within four days of it, which are some pixels of two years
        if line.stackgroup is None:
            values = pd.Series(finite(every[key].y))
            kept = values.where(values.index.isin(rows)).rolling(2 * 96 + 1, center=True, min_periods=1)
            seen = values.notna()
            assert (kept.max()[seen] >= values[seen]).all(), key
            assert (kept.min()[seen] <= values[seen]).all(), key
            assert (values.loc[rows].min(), values.loc[rows].max()) == (values.min(), values.max())
    # marks, limits, legend and units are those of the whole
    marks = [trace.to_plotly_json() for trace in figure.data if trace.mode == "markers"]
    for one, two in zip(marks, [t.to_plotly_json() for t in whole.data if t.mode == "markers"], strict=True):
        assert {**one, "x": list(one["x"]), "y": list(one["y"])} == {**two, "x": list(two["x"]), "y": list(two["y"])}
    assert figure.layout.shapes == whole.layout.shapes
    assert [trace.hovertemplate for trace in figure.data] == [trace.hovertemplate for trace in whole.data]
    assert f"{len(rows):,} of 17,545 rows" in figure.layout.xaxis.title.text
    assert whole.layout.xaxis.title.text == "time, UTC"
    assert len(figure.to_json()) < 0.4 * len(whole.to_json())


def test_totals_stay_the_balance(results):
    result = results["two years"]
    figure = result.plot.attribution()
    table = result.summary["attribution"]
    found = dict.fromkeys(COLUMN_NAMES, 0.0)
    for (_, key, side), trace in lines_of(figure).items():
        if side:
            found[key] += trace.y[-1]
    within = 1e-9 * result.summary["initial_equity"]
    assert found == pytest.approx({name: table[name] for name in COLUMN_NAMES}, abs=within)
    assert sum(found.values()) == pytest.approx(result.equity.pnl_balance.iloc[-1], abs=within)
    assert lines_of(figure)["y", "pnl", None].y[-1] == result.equity.pnl_balance.iloc[-1]


def test_every_alert_and_every_event_of_a_long_run_is_marked(sample_data):
    run = basis.backtest("btc_basis", sample_data, overrides={"strategy.margin_ratio_target": 0.3})
    critical = run.events[(run.events["kind"] == "alert") & (run.events["level"] == "critical")]
    assert len(critical) > 10
    [marks] = [trace for trace in run.plot.risk().data if (trace.meta or {}).get("key") == "critical"]
    assert list(marks.y) == list(critical["amount"])
    figure = run.plot.equity(events=("fill",))
    [fills] = [trace for trace in figure.data if (trace.meta or {}).get("key") == "fill"]
    stamps = run.events.loc[run.events["kind"] == "fill", "timestamp"].dt.tz_localize(None).unique()
    assert set(pd.DatetimeIndex(fills.x)) == set(stamps)
    # and the line goes through each
    line = lines_of(figure)["y", "equity", None]
    assert set(pd.DatetimeIndex(fills.x)) <= set(pd.DatetimeIndex(line.x))
    shades = [len(trace.x) for trace in run.plot.risk().data if trace.fill == "toself"]
    assert shades == [len(trace.x) for trace in run.plot.risk(rows=None).data if trace.fill == "toself"]


def test_runs_beside_each_other_are_thinned_and_keep_their_extremes(numbers):
    runs = {name: numbers[name] for name in ("two years", "alerts")}
    for make in (comparison.overview, comparison.growth, comparison.drawdown):
        whole = make(runs)
        small = thin(whole)
        assert len(small.stamps) <= ROWS < len(whole.stamps)
        for before, after in zip(whole.panels, small.panels, strict=True):
            for one, two in zip(before.lines, after.lines, strict=True):
                assert (np.nanmin(two.values), np.nanmax(two.values)) == (np.nanmin(one.values), np.nanmax(one.values))


def test_how_many_rows_may_be_said(results):
    plot = results["two years"].plot
    sizes = [len(plot.equity(rows=rows).data[0].x) for rows in (500, ROWS, 10_000, 20_000, None)]
    assert sizes == sorted(sizes)
    assert sizes[0] <= 500
    assert sizes[-2:] == [17_545, 17_545]
    [short] = lines_of(results["alerts"].plot.equity()).values()
    assert len(short.x) == 1_441
    print_rows = plot.equity(backend="matplotlib").get_axes()[0].get_lines()[0].get_xdata()
    assert len(print_rows) == sizes[1]
    for rows in (1, 0, -5, True, 2.5, "all"):
        with pytest.raises(InputError, match="2 or more, or None for all"):
            plot.equity(rows=rows)
