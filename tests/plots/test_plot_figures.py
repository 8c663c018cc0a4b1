"""Figures hold the run's numbers: every line, band, bar and mark is read back and compared bit for bit."""

import json
import math
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from plot_cases import FLOWS

from basis.errors import InputError
from basis.kernel.layout import COLUMN_NAMES
from basis.plots import theme
from basis.plots.backends import html_embed, matplotlib_figure, plotly_figure
from basis.plots.data import RunData
from basis.plots.figures import comparison, equity, pnl, returns, risk
from basis.plots.picture import Line, Panel
from basis.reports.plot_data import run_data

KINDS = ("equity", "drawdown", "area", "waterfall", "risk")
MAKERS = {
    "equity": equity.equity,
    "drawdown": equity.drawdown,
    "area": pnl.attribution_area,
    "waterfall": pnl.waterfall,
    "risk": risk.risk,
}


def drawn(result, kind, **options):
    """A figure of a result by the name of its picture, with every row."""
    if kind in ("area", "equity", "drawdown", "risk"):
        options = {"rows": None, **options}
    if kind in ("area", "waterfall"):
        return result.plot.attribution(kind, **options)
    return getattr(result.plot, kind)(**options)


def traces(figure, key):
    return [trace for trace in figure.data if (trace.meta or {}).get("key") == key]


def trace_of(figure, key):
    [trace] = traces(figure, key)
    return trace


def same_bits(first, second):
    first, second = (np.ascontiguousarray(values, dtype=np.float64) for values in (first, second))
    return first.tobytes() == second.tobytes()


def finite(values):
    return np.where(np.isfinite(values), values, np.nan)


@pytest.mark.parametrize("kind", KINDS)
def test_every_run_draws_as_plain_valid_plotly(result, kind):
    figure = drawn(result, kind)
    assert type(figure) is go.Figure
    content = json.loads(figure.to_json())
    assert set(content) <= {"data", "layout"}
    # nothing that a browser without WebGL cannot draw
    assert {trace.type for trace in figure.data} <= {"scatter", "bar"}
    assert result.summary["mode"] in figure.layout.title.subtitle.text
    if kind != "waterfall" and figure.data:
        assert figure.layout.hovermode == "x unified"
        assert figure.layout.xaxis.title.text == "time, UTC"


def test_equity_is_the_table_s(result):
    line, table = trace_of(result.plot.equity(rows=None), "equity"), result.equity
    assert (line.x == table.index.tz_localize(None).to_numpy()).all()
    assert same_bits(line.y, table.equity)
    assert result.plot.equity().layout.yaxis.title.text == f"equity, {result.summary['share_class']}"


def test_drawdown_is_the_series(result):
    line = trace_of(result.plot.drawdown(rows=None), "drawdown")
    assert (line.x == result.drawdown.index.tz_localize(None).to_numpy()).all()
    assert same_bits(line.y, result.drawdown)
    deepest = traces(result.plot.drawdown(), "deepest")
    if result.drawdown.min() < 0.0:
        assert list(deepest[0].y) == [result.drawdown.min()]
    else:
        assert deepest == []


def test_area_is_the_cumulative_attribution(result):
    figure, rounding = result.plot.attribution(rows=None), 1e-9 * max(1.0, result.summary["initial_equity"])
    total = np.zeros(len(result.equity))
    for column in COLUMN_NAMES:
        expected = np.cumsum(result.attribution[column].to_numpy())
        found = traces(figure, column)
        if not found:
            assert np.abs(expected).max() <= rounding
            continue
        assert same_bits(sum(trace.y for trace in found) + 0.0, expected + 0.0)
        for trace in found:
            side = trace.meta["side"]
            assert trace.stackgroup == side
            assert (trace.y >= 0.0).all() if side == "above" else (trace.y <= 0.0).all()
            assert trace.line.color == theme.COLUMNS[column].colour
        shown = [trace for trace in found if trace.hoverinfo != "skip"]
        [told] = shown
        assert same_bits((told.y if told.customdata is None else told.customdata) + 0.0, expected + 0.0)
        total += expected
    line = trace_of(figure, "pnl")
    np.testing.assert_allclose(total, line.y, rtol=0.0, atol=rounding)
    flows = result.equity.net_flow.cumsum()
    np.testing.assert_allclose(
        line.y, result.equity.equity - result.summary["initial_equity"] - flows, rtol=0.0, atol=rounding
    )


def test_the_total_line_is_the_balance_of_the_table(results):
    for name, result in results.items():
        line = trace_of(result.plot.attribution(rows=None), "pnl")
        if name == "resumed":
            # the table counts from the first start, the figure from this one
            earlier = results["flows"].equity.pnl_balance.loc["2024-02-08 05:00:00+00:00"]
            np.testing.assert_allclose(line.y, result.equity.pnl_balance - earlier, atol=1e-9 * 1e5)
        else:
            assert same_bits(line.y, result.equity.pnl_balance)


def test_waterfall_goes_from_start_to_end(result):
    figure, summary = result.plot.attribution(kind="waterfall"), result.summary
    bars = [trace for trace in figure.data if trace.type == "bar"]
    first, *steps, last = bars
    assert (first.meta["key"], first.y[0], first.base[0]) == ("initial_equity", summary["initial_equity"], 0.0)
    assert (last.meta["key"], last.y[0], last.base[0]) == ("equity", result.equity.equity.iloc[-1], 0.0)
    at = first.y[0]
    for step in steps:
        assert step.base[0] == at
        key = step.meta["key"]
        if key == "net_flow":
            assert step.y[0] == np.sum(result.equity.net_flow.to_numpy())
        else:
            assert step.y[0] == np.cumsum(result.attribution[key].to_numpy())[-1]
            assert step.y[0] == pytest.approx(summary["attribution"][key], abs=1e-9 * summary["initial_equity"])
            assert step.marker.color == theme.COLUMNS[key].colour
        at = step.base[0] + step.y[0]
    assert at == pytest.approx(last.y[0], abs=1e-9 * max(1.0, summary["initial_equity"]))
    pnl = sum(step.y[0] for step in steps if step.meta["key"] != "net_flow")
    balance = summary["final_equity"] - summary["initial_equity"] - summary["net_flows"]
    assert pnl == pytest.approx(balance, abs=1e-9 * max(1.0, summary["initial_equity"]))
    if figure.layout.yaxis.range is not None:
        low, high = figure.layout.yaxis.range
        ends = [bar.base[0] + bar.y[0] for bar in bars]
        assert low < min(ends)
        assert high > max(ends)


def test_risk_lines_are_the_table_s(result):
    figure = result.plot.risk(rows=None)
    for trace in figure.data:
        key = (trace.meta or {}).get("key", "")
        if key in result.risk:
            assert same_bits(np.isnan(trace.y), np.isnan(finite(result.risk[key].to_numpy())))
            assert same_bits(np.nan_to_num(trace.y), np.nan_to_num(finite(result.risk[key].to_numpy())))
        elif key in result.exposure:
            assert same_bits(trace.y, result.exposure[key])
    ratios = [name for name in result.risk if name.startswith("margin_ratio|") and not name.endswith("|before")]
    held = [name for name in ratios if np.isfinite(result.risk[name]).any()]
    for name in held:
        assert len(traces(figure, name)) == 1
    for name in [name for name in held if name.endswith("|worst")]:
        # the line that matters is the strong one, and the legend's
        [worst], [after] = traces(figure, name), traces(figure, name.removesuffix("|worst"))
        assert worst.line.width > after.line.width
        assert (worst.showlegend, after.showlegend) == (True, False)
        assert worst.line.color == after.line.color == theme.VENUES[name.split("|")[1]]


def test_without_perps_and_debt_the_figure_says_so(results):
    for name in ("lending", "one row", "no trades"):
        figure = results[name].plot.risk()
        assert not figure.data
        assert "no perps and no debt" in figure.layout.annotations[0].text


def test_limits_are_lines_with_words(results):
    figure = results["two years"].plot.risk()
    lines = {(shape.yref, shape.name, shape.y0) for shape in figure.layout.shapes if shape.type == "line"}
    assert {("y", "warning", 0.3), ("y", "critical", 0.2), ("y2", "warning", 0.05), ("y2", "critical", 0.2)} <= lines
    assert {("y2", "warning", -0.05), ("y2", "critical", -0.2)} <= lines
    words = {note.text for note in figure.layout.annotations}
    assert {"warning 30%", "critical 20%", "warning 5%"} <= words


def test_a_liquidation_stands_out(results):
    result = results["struck"]
    events = result.events[result.events.kind == "liquidation"]
    stamps = events.timestamp.dt.tz_localize(None)
    for figure in (result.plot.equity(), result.plot.risk(), result.plot.attribution(), result.plot.drawdown()):
        marks = trace_of(figure, "liquidation")
        assert set(marks.x) == set(stamps.to_numpy())
        assert (marks.marker.symbol, marks.marker.color) == ("x", theme.CRITICAL)
        assert marks.marker.size >= 12
        told = "".join(marks.text)
        for event in events.itertuples():
            assert f"liquidation at {event.venue}" in told
            assert f"penalty {event.fee:,.2f} USDT" in told
        rules = [shape for shape in figure.layout.shapes if shape.xref == "x"]
        assert {np.datetime64(shape.x0) for shape in rules} == set(stamps.to_numpy())
    on_equity = trace_of(result.plot.equity(), "liquidation")
    assert same_bits(on_equity.y, result.equity.equity[events.timestamp.unique()])


def covered(figure, key, panel, stamps):
    """(rows,) whether a shade of a panel covers the time from each row to the next."""
    inside = np.zeros(len(stamps), dtype=bool)
    for trace in traces(figure, key):
        if trace.meta["panel"] == panel:
            starts, ends = trace.x[0::5], trace.x[2::5]
            for start, end in zip(starts, ends, strict=True):
                inside |= (stamps >= start) & ((stamps < end) | ((end == stamps[-1]) & (stamps == end)))
    return inside


@pytest.mark.parametrize("name", ["struck", "alerts"])
def test_breaches_are_shaded_row_by_row(results, name):
    result = results[name]
    stamps = result.risk.index.tz_localize(None).to_numpy()
    measures = [column for column in result.risk if column.startswith("alert|margin_ratio|")]
    level = result.risk[measures].max(axis=1).to_numpy().copy()
    events = result.events[(result.events.kind == "alert") & result.events.instrument.str.startswith("margin_ratio|")]
    for event in events.itertuples():
        row = np.searchsorted(stamps, event.timestamp.tz_localize(None).to_datetime64())
        level[row] = max(level[row], {"normal": 0, "warning": 1, "critical": 2}[event.level])
    figure = result.plot.risk()
    for wanted in (1, 2):
        # what begins in the last row lasts no time
        assert (covered(figure, f"alert {wanted}", 1, stamps) == (level == wanted))[:-1].all()
    assert (level == 2).any()


def test_a_breach_is_marked_with_its_words(results):
    result = results["alerts"]
    critical = result.events[(result.events.kind == "alert") & (result.events.level == "critical")]
    marks = trace_of(result.plot.risk(), "critical")
    assert same_bits(marks.y, critical.amount)
    assert (marks.x == critical.timestamp.dt.tz_localize(None).to_numpy()).all()
    for text, event in zip(marks.text, critical.itertuples(), strict=True):
        assert f"margin ratio at {event.venue} critical" in text
        assert "limit 20%" in text
        assert str(event.timestamp)[:16] in text


def test_flows_are_marked(results):
    figure = results["flows"].plot.equity()
    deposit, withdrawal = trace_of(figure, "deposit"), trace_of(figure, "withdrawal")
    assert "deposit of 20,000.00 USDT" in deposit.text[0]
    assert str(deposit.x[0])[:13] == FLOWS[0]["timestamp"][:13]
    flow = results["flows"].equity.net_flow
    assert list(withdrawal.y) == list(results["flows"].equity.equity[flow < 0.0])
    assert all("withdrawal of" in text for text in withdrawal.text)


def test_a_stop_is_marked_with_its_cause(results):
    result = results["stopped"]
    mark = trace_of(result.plot.equity(), "stop")
    assert list(mark.y) == [result.equity.equity.iloc[-1]]
    assert "perp/okx_btcusdt" in mark.text[0]


def test_what_never_changes_stands_in_the_middle_of_its_axis(results):
    figure = results["no trades"].plot.equity()
    assert figure.layout.yaxis.range == (95_000.0, 105_000.0)
    assert results["no trades"].plot.attribution().layout.yaxis.range == (-1.0, 1.0)
    assert results["two years"].plot.equity().layout.yaxis.range is None


def test_a_low_panel_has_two_numbers_at_least():
    """Of any range of values, by the steps of plotly: where one number would be all, the axis reaches to the next."""
    draw = np.random.default_rng(1)
    for _ in range(300):
        low, span = draw.normal(0.0, 10.0 ** draw.uniform(-3, 6)), 10.0 ** draw.uniform(-4, 6)
        panel = Panel("worth, USDT", "money", lines=(Line("worth", "worth", np.array([low, low + span]), "#000000"),))
        for least in (2, 3):
            axis = plotly_figure._low_panel_axis(panel, least)
            foot, top = axis.get("range", (low - 0.05 * span, low + 1.05 * span))
            rough = (top - foot) / axis["nticks"]
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(times * power for times in (2, 5, 10) if times * power >= rough * (1 - 1e-12))
            ticks = math.floor(top / step + 1e-9) - math.ceil(foot / step - 1e-9) + 1
            assert 2 <= ticks <= least + 2
            assert foot <= low <= low + span <= top


def test_a_hole_in_the_drawdown_is_not_filled(numbers):
    run = numbers["levered"]
    hole = np.isin(np.arange(len(run)), [*range(100, 140), 250])
    holed = replace(run, drawdown=np.where(hole, np.nan, run.drawdown))
    figure = plotly_figure.draw_figure(equity.drawdown(holed))
    (line,), (area,) = traces(figure, "drawdown"), traces(figure, "fill")
    assert (line.fill, area.fill, area.showlegend) == (None, "tozeroy", False)
    assert same_bits(line.y, holed.drawdown)
    assert same_bits(area.y, np.where(hole, 0.0, run.drawdown))
    assert html_embed.pack_figure(equity.drawdown(holed))
    # an end without values is none
    ended = replace(run, drawdown=np.where(np.arange(len(run)) > 300, np.nan, run.drawdown))
    figure = plotly_figure.draw_figure(equity.drawdown(ended))
    assert traces(figure, "fill") == []
    assert trace_of(figure, "drawdown").fill == "tozeroy"


def test_panels_without_a_number_are_not_drawn(numbers):
    run = numbers["two years"]
    nan = {name: np.full(len(run), np.nan) for name in ("equity", "drawdown", "returns")}
    blind = replace(run, **nan, attribution={name: run.equity * np.nan for name in run.attribution})
    for make in (*MAKERS.values(), pnl.monthly, pnl.share, returns.monthly_returns):
        picture = make(blind)
        assert all(panel.value_range is not None for panel in picture.panels if panel.over_time)
        figure = plotly_figure.draw_figure(picture)
        assert figure.data or figure.layout.annotations[0].text.startswith("There are no ")


def test_the_bar_is_called_by_its_name(numbers):
    run = numbers["alerts"]
    events = {name: values[:0] for name, values in run.events.items()}
    rare = replace(run, stamps=run.stamps[0] + 2 * (run.stamps - run.stamps[0]), events=events)
    for each, word in ((run, "hour"), (rare, "bar")):
        panels = risk.risk(each).panels
        assert panels[0].note == f"strong: worst of the {word}; thin: after fills"
        assert {line.name.split(", ")[1] for line in panels[0].lines} == {"after fills", f"worst of the {word}"}


def test_a_mark_at_the_start_stands_beside_the_numbers_of_the_axis(results):
    figure, plain = results["flows"].plot.equity(events=("transfer",)), results["flows"].plot.equity()
    assert str(plain.layout.xaxis.range[0])[:10] == "2024-02-01"
    assert str(figure.layout.xaxis.range[0])[:10] == "2024-01-31"
    assert figure.layout.xaxis.range[1] == plain.layout.xaxis.range[1]


def test_one_row_is_a_point_in_the_middle_of_its_day(results):
    figure = results["one row"].plot.equity()
    assert "markers" in trace_of(figure, "equity").mode
    assert [str(edge)[:13] for edge in figure.layout.xaxis.range] == ["2024-01-31T12", "2024-02-01T12"]


def test_one_row_beside_other_runs_is_a_point(results):
    both = {name: run_data(results[name]) for name in ("one row", "no trades")}
    for make in (comparison.overview, comparison.growth, comparison.drawdown):
        drawn = plotly_figure.draw_figure(make(both))
        modes = {trace.name: trace.mode for trace in drawn.data}
        assert modes == {"one row": "lines+markers", "no trades": "lines"}
        paper = matplotlib_figure.draw_figure(make(both))
        lines = [line for ax in paper.axes for line in ax.lines if line.get_label().strip("_") in both]
        assert {(line.get_label().strip("_"), line.get_marker()) for line in lines} == {
            ("one row", "o"), ("no trades", ""),
        }  # fmt: skip


def test_units_are_on_axes_and_in_hovers(results):
    figure = results["eth"].plot.equity()
    assert figure.layout.yaxis.title.text == "equity, ETH"
    assert trace_of(figure, "equity").hovertemplate == "equity %{y:,.6f} ETH<extra></extra>"
    assert figure.layout.xaxis.hoverformat.endswith("UTC")
    assert results["eth"].plot.drawdown().layout.yaxis.title.text == "drawdown, %"
    assert results["eth"].plot.attribution().layout.yaxis.title.text == "P&L since the start, ETH"
    words = [note.text for note in results["eth"].plot.risk().layout.annotations]
    assert any("margin ratio, % of notional" in text for text in words)
    assert any("net delta, % of equity" in text for text in words)


def test_debt_has_its_panels(numbers):
    figure = plotly_figure.draw_figure(risk.risk(numbers["levered"]))
    run = numbers["levered"]
    for key in ("health_factor", "health_factor|worst", "ltv", "ltv|worst", "margin_ratio|binance|worst"):
        assert same_bits(np.nan_to_num(trace_of(figure, key).y), np.nan_to_num(finite(run.risk[key])))
    words = " ".join(note.text for note in figure.layout.annotations)
    for part in ("health factor", "LTV, % of collateral", "liquidation at 1", "warning 1.08", "critical 95%"):
        assert part in words


def test_an_axis_is_not_ruled_by_a_huge_ratio(numbers):
    figure = plotly_figure.draw_figure(risk.risk(numbers["levered"]))
    low, high = figure.layout.yaxis.range
    assert low == 0.0
    assert 0.32 < high < 3.0
    assert any("highest 90,000%" in note.text for note in figure.layout.annotations)


def test_nothing_is_clipped_below(numbers):
    for name in ("struck", "alerts", "two years"):
        panel = risk.risk(numbers[name]).panels[0]
        assert panel.axis_range[0] <= min(np.nanmin(line.values) for line in panel.lines)


def test_a_band_too_low_to_be_seen_paints_no_other(numbers):
    """An outline of half a pixel along a spike of another cause gave it a wrong colour."""
    for name in ("staked", "levered", "two years"):
        picture = pnl.attribution_area(numbers[name])
        low, high = picture.panels[0].value_range or (0.0, 0.0)
        figure, thin = plotly_figure.draw_figure(picture), 0
        for band in picture.panels[0].bands:
            seen = np.abs(band.values).max() > 0.005 * (high - low)
            assert {trace.line.width > 0.0 for trace in traces(figure, band.key)} == {seen}
            thin += not seen
        assert (thin > 0) == (name != "levered")


def test_the_legend_names_each_thing_once(result):
    for kind in KINDS:
        shown = [trace.name for trace in drawn(result, kind).data if trace.showlegend is not False]
        assert len(shown) == len(set(shown))


def test_what_is_not_known_is_named(results):
    plot = results["one row"].plot
    with pytest.raises(InputError, match="'monthly' or 'share'"):
        plot.attribution("pie")
    with pytest.raises(InputError, match="'plotly' or 'matplotlib'"):
        plot.equity(backend="bokeh")


def test_a_run_without_rows_draws(numbers):
    run = numbers["lending"]
    empty = {name: getattr(run, name)[:0] for name in ("stamps", "equity", "net_flow", "drawdown")}
    parts = {name: {key: values[:0] for key, values in getattr(run, name).items()} for name in ("attribution", "risk")}
    none = RunData(
        run.name, "USDT", empty["stamps"], 100.0, empty["equity"], empty["net_flow"], empty["drawdown"],
        parts["attribution"], parts["risk"], {}, run.events,
    )  # fmt: skip
    for make in MAKERS.values():
        plotly_figure.draw_figure(make(none)).to_json()
    assert [bar.value for bar in pnl.waterfall(none).panels[0].waterfall] == [100.0, 100.0]


# --- the twin for print


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_for_print_holds_the_same_numbers(run, kind, tmp_path):
    from matplotlib.figure import Figure

    from basis.plots.backends import matplotlib_figure

    picture = MAKERS[kind](run)
    figure = matplotlib_figure.draw_figure(picture)
    assert type(figure) is Figure
    figure.savefig(tmp_path / "figure.png", dpi=40)
    figure.savefig(tmp_path / "figure.pdf")
    axes = figure.get_axes()
    for panel, ax in zip(picture.panels, axes, strict=False):
        lines = {line.get_gid(): line for line in ax.get_lines() if line.get_gid()}
        for line in panel.lines:
            assert same_bits(lines[line.key].get_ydata(), line.values)
        for marks in panel.marks:
            assert same_bits(lines[marks.kind].get_ydata(), marks.values)
        bars = {patch.get_gid(): patch for patch in ax.patches if patch.get_gid()}
        for bar in panel.waterfall:
            assert bars[bar.key].get_height() == pytest.approx(bar.value, abs=1e-9 * max(1.0, abs(bar.end)))
        assert {band.key for band in panel.bands if band.values.any()} <= {c.get_gid() for c in ax.collections}
    if picture.panels and len(picture.panels) == 1:
        assert axes[0].get_ylabel() == picture.panels[0].title


def test_print_needs_no_pyplot(results):
    import sys

    figure = results["lending"].plot.equity(backend="matplotlib")
    assert figure.get_axes()[0].get_xlabel() == "time, UTC"
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_missing_matplotlib_is_told(results, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        results["lending"].plot.equity(backend="matplotlib")
