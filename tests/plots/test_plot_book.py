"""The figures of causes by month, holdings, funding and distance to liquidation: read back and worked out again."""

import calendar
import json
import math

import numpy as np
import pandas as pd
import pytest
from test_plot_figures import same_bits, trace_of, traces

from basis.errors import InputError
from basis.plots import theme
from basis.plots.backends import plotly_figure
from basis.plots.data import EVENT_KINDS, RunData, months_of
from basis.plots.figures import funding, liquidation, overview, pnl, positions, returns
from support.kernel_view import PNL_COLUMNS

NAMES = (
    "overview", "monthly", "share", "monthly_returns", "funding", "exposure", "positions", "liquidation_distance",
    "liquidation_map",
)  # fmt: skip
MAKERS = {
    "overview": overview.overview,
    "monthly": pnl.monthly,
    "share": pnl.share,
    "monthly_returns": returns.monthly_returns,
    "funding": funding.funding,
    "exposure": positions.exposure,
    "positions": positions.positions,
    "liquidation_distance": liquidation.liquidation_distance,
    "liquidation_map": liquidation.liquidation_map,
}


def drawn(result, name, **options):
    if name in ("area", "waterfall", "monthly", "share"):
        return result.plot.attribution(name, **options)
    return getattr(result.plot, name)(**options)


def profit(result):
    summary = result.summary
    return summary["final_equity"] - summary["initial_equity"] - summary["net_flows"]


def drawn_pnl(figure, kind):
    """Total of each column as a figure of the attribution has it."""
    found = {}
    for trace in figure.data:
        key = (trace.meta or {}).get("key")
        if key in PNL_COLUMNS:
            values = trace.x if kind == "share" else trace.y
            found[key] = found.get(key, 0.0) + (values[-1] if kind == "area" else np.sum(values))
    return found


def check_totals(result):
    """Every figure and the table of the attribution sum to the balance-based P&L, column by column."""
    within = 1e-9 * max(1.0, result.summary["initial_equity"])
    table = {name: result.summary["attribution"][name] for name in PNL_COLUMNS}
    assert sum(table.values()) == pytest.approx(profit(result), abs=within)
    for kind in ("area", "waterfall", "monthly", "share"):
        found = drawn_pnl(drawn(result, kind), kind)
        assert sum(found.values()) == pytest.approx(profit(result), abs=within), kind
        for name, total in table.items():
            assert found.get(name, 0.0) == pytest.approx(total, abs=within), (kind, name)


def test_every_attribution_sums_to_the_balance(result):
    check_totals(result)


def test_every_mode_draws_and_sums_to_the_balance(modes):
    for result in modes.values():
        check_totals(result)
        for name in (*NAMES, "equity", "drawdown", "area", "waterfall", "risk"):
            figure = drawn(result, name)
            json.loads(figure.to_json())
            assert figure.data or figure.layout.annotations[0].text


@pytest.mark.parametrize("name", NAMES)
def test_every_run_draws_in_both_backends(result, name):
    figure = drawn(result, name)
    content = json.loads(figure.to_json())
    assert set(content) <= {"data", "layout"}
    assert {trace.type for trace in figure.data} <= {"scatter", "bar", "heatmap"}
    assert result.summary["mode"] in figure.layout.title.subtitle.text
    drawn(result, name, backend="matplotlib").canvas.draw()


def bare(run: RunData, rows: int, **changes) -> RunData:
    """The first rows of a run."""

    def cut(values):
        return {key: line[:rows] for key, line in values.items()}

    book = run.positions
    held = type(book)(
        cut(book.values), cut(book.quantities), book.gross[:rows], cut(book.funding), cut(book.funding_rates),
        cut(book.net_to_gross), cut(book.growth_rates),
    )  # fmt: skip
    given = {
        "name": run.name, "share_class": run.share_class, "stamps": run.stamps[:rows], "initial_equity": 100.0,
        "equity": run.equity[:rows], "net_flow": run.net_flow[:rows], "drawdown": run.drawdown[:rows],
        "attribution": cut(run.attribution), "risk": cut(run.risk), "net_delta": cut(run.net_delta),
        "events": {name: values[:0] for name, values in run.events.items()}, "limits": run.limits,
        "returns": run.returns[:rows], "load_positions": lambda: held,
    }  # fmt: skip
    return RunData(**{**given, **changes})


@pytest.mark.parametrize("rows", [0, 1])
def test_a_run_without_rows_or_with_one_draws(numbers, rows):
    from basis.plots.backends import matplotlib_figure

    for name in ("levered", "two years", "loan"):
        for make in MAKERS.values():
            picture = make(bare(numbers[name], rows))
            plotly_figure.draw_figure(picture).to_json()
            matplotlib_figure.draw_figure(picture).canvas.draw()


def test_a_run_whose_risk_is_nan_draws(numbers):
    run = numbers["levered"]
    risk = {
        name: values * 0 if name.startswith("alert") else np.full(len(run), np.nan) for name, values in run.risk.items()
    }
    blind = bare(run, len(run), risk=risk)
    for name, make in MAKERS.items():
        figure = plotly_figure.draw_figure(make(blind))
        if name in ("liquidation_distance", "liquidation_map"):
            assert not figure.data
            assert "no perps and no debt" in figure.layout.annotations[0].text.lower()


# --- by month


def pandas_months(result):
    """Period of each row by pandas: an hour that ends at midnight belongs to the month before."""
    ends = result.equity.index.tz_localize(None)
    periods = (ends - pd.Timedelta("1us")).to_period("M").to_series(index=result.equity.index)
    if len(periods) > 1:
        periods.iloc[0] = periods.iloc[1]
    else:
        periods.iloc[0] = ends[0].to_period("M")
    return periods


def test_months_are_those_of_the_calendar(result):
    figure, months = result.plot.attribution("monthly"), pandas_months(result)
    within = 1e-9 * max(1.0, result.summary["initial_equity"])
    names = [f"{calendar.month_abbr[period.month]} {period.year}" for period in months.unique()]
    expected = result.attribution[list(PNL_COLUMNS)].groupby(months.to_numpy()).sum()
    for trace in figure.data:
        key = trace.meta["key"]
        assert list(trace.x) == names
        if key in PNL_COLUMNS:
            np.testing.assert_allclose(trace.y, expected[key], atol=within)
            assert trace.marker.color == theme.COLUMNS[key].colour
    # the balance: equity less what flowed, from month to month
    line = result.equity.equity - result.equity.net_flow.cumsum() - result.summary["initial_equity"]
    last = line.groupby(months.to_numpy()).last()
    np.testing.assert_allclose(trace_of(figure, "pnl").y, last.diff().fillna(last.iloc[0]), atol=within)
    assert figure.layout.barmode == "relative"


def test_the_first_of_a_month_belongs_to_the_one_before():
    stamps = np.array(["2024-01-01T00", "2024-01-31T23", "2024-02-01T00", "2024-02-01T01"], "M8[us]")
    assert months_of(stamps).astype(str).tolist() == ["2024-01", "2024-01", "2024-01", "2024-02"]


def test_returns_by_month_compound_to_those_of_the_run(result):
    months = pandas_months(result)
    returns = pd.Series(result.row_returns, result.equity.index)
    expected = (1.0 + returns).groupby(months.to_numpy()).agg(lambda rows: np.prod(rows.to_numpy())) - 1.0
    if not np.isfinite(expected).any():
        assert "no returns" in result.plot.monthly_returns().layout.annotations[0].text
        return
    grid = trace_of(result.plot.monthly_returns(), "grid")
    values = np.array(grid.z, dtype=float)
    for period, value in expected.items():
        found = values[list(grid.y).index(str(period.year)), period.month - 1]
        assert found == pytest.approx(value, abs=1e-12, nan_ok=True)
    assert np.isfinite(values[:, :12]).sum() == np.isfinite(expected).sum()
    total = np.prod(1.0 + values[:, 12]) - 1.0
    if np.isfinite(returns).all():
        assert total == pytest.approx(result.summary["total_return"], abs=1e-9)


def test_shares_are_of_the_profit(results):
    result = results["two years"]
    figure = result.plot.attribution("share")
    shown = {trace.meta["key"]: (trace.x[0], trace.text[0]) for trace in figure.data}
    total = profit(result)
    for key, (amount, label) in shown.items():
        assert label.replace("−", "-").endswith(f" ({amount / total:.1%})")
        assert amount == pytest.approx(total if key == "pnl" else result.summary["attribution"][key], abs=1e-4)
    sizes = [abs(trace.x[0]) for trace in figure.data[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    idle = results["no trades"].plot.attribution("share")
    assert "no shares" in idle.layout.annotations[0].text


# --- holdings


def test_worths_stand_on_each_other_and_are_the_equity(result):
    figure, table = result.plot.exposure(rows=None), result.exposure
    total = np.zeros(len(table))
    for trace in figure.data:
        if (trace.meta or {}).get("side"):
            total += trace.y
    within = 1e-9 * max(1.0, result.summary["initial_equity"], np.abs(result.equity.equity).max())
    np.testing.assert_allclose(total, result.equity.equity, atol=within * 10)
    # a panel of nothing is not drawn
    assert [same_bits(trace.y, table.gross) for trace in traces(figure, "gross")] == [True] * bool(table.gross.any())
    for column in table:
        parts = traces(figure, column)
        if column.startswith("value|") and parts:
            assert same_bits(sum(part.y for part in parts) + 0.0, table[column] + 0.0)


def test_quantities_are_the_table_s_with_their_interest(result):
    figure, positions, panel = result.plot.positions(rows=None), result.positions, result.panel
    for trace in figure.data:
        key = (trace.meta or {}).get("key", "")
        if key not in positions:
            continue
        _, kind, symbol = key.split(":")
        expected = positions[key]
        if kind == "aToken":
            expected = expected * panel[f"liquidity_index|aave_v3:{symbol}"]
        elif kind == "debtToken":
            expected = -expected * panel[f"borrow_index|aave_v3:{symbol}"]
        np.testing.assert_array_equal(trace.y, expected)
    titles = " ".join(note.text for note in figure.layout.annotations)
    if result.summary["mode"] == "btc_basis" and result.summary["fills"]:
        assert figure.layout.yaxis.title.text == "USDT held, USDT" or "BTC held, BTC" in titles


def test_funding_is_by_venue_and_sums_to_its_column(results):
    result = results["alerts"]
    figure = result.plot.funding()
    whole = trace_of(figure, "funding_pnl")
    assert same_bits(whole.y, np.cumsum(result.attribution.funding_pnl))
    lines = [trace for trace in figure.data if trace.meta["key"].startswith("funding_pnl|")]
    assert {trace.meta["key"] for trace in lines} == set(result.attribution_by_venue)
    np.testing.assert_allclose(sum(trace.y for trace in lines), whole.y, atol=1e-6)
    for trace in lines:
        assert same_bits(trace.y, np.cumsum(result.attribution_by_venue[trace.meta["key"]]))
    for column in [name for name in result.panel if name.startswith("funding_rate|")]:
        rates = result.panel[column]
        held = rates.where(rates != 0.0).ffill()
        assert same_bits(np.nan_to_num(trace_of(figure, column).y), np.nan_to_num(held))
        week = rates.rolling("7D").sum() * 365.0 / 7.0
        week[rates.index < rates.index[0] + pd.Timedelta("7D")] = np.nan
        np.testing.assert_allclose(trace_of(figure, column.replace("rate", "apr")).y, week, atol=1e-12)
    assert "no perps" in results["lending"].plot.funding().layout.annotations[0].text


def test_the_legend_of_the_overview_names_the_causes_of_some_size(result):
    found = {trace.meta["key"]: trace for trace in result.plot.overview().data if (trace.meta or {}).get("side")}
    sizes = {name: np.abs(np.cumsum(result.attribution[name])).max() for name in found}
    listed = {trace.name for trace in result.plot.overview().data if trace.showlegend and trace.meta.get("side")}
    largest = max(sizes.values(), default=0.0)
    most = sorted(sizes, key=lambda name: -sizes[name])[:8]
    assert listed == {theme.column_label(name).name for name in most if sizes[name] >= 0.02 * largest}
    # the figure of the attribution names all of them
    area = {trace.name for trace in result.plot.attribution().data if trace.showlegend is not False}
    assert {theme.column_label(name).name for name in found} <= area


def test_the_overview_has_one_axis_of_time_and_the_lowest_ratio(results):
    figure = results["alerts"].plot.overview()
    assert {trace.xaxis for trace in figure.data} == {"x"}
    assert figure.layout.hoversubplots == "axis"
    lowest = trace_of(figure, "margin_ratio")
    columns = [f"margin_ratio|{venue}|worst" for venue in ("binance", "bybit", "okx")]
    expected = results["alerts"].risk[columns].replace(np.inf, np.nan).min(axis=1)
    assert same_bits(np.nan_to_num(lowest.y), np.nan_to_num(expected))
    assert same_bits(trace_of(figure, "equity").y, results["alerts"].equity.equity)
    titles = " ".join(note.text for note in figure.layout.annotations)
    for part in ("equity, USDT", "drawdown, %", "P&L since the start, USDT", "lowest margin ratio, % of notional"):
        assert part in titles
    lending = results["lending"].plot.overview()
    assert not results["lending"].exposure.gross.any()
    assert "gross exposure" not in " ".join(note.text for note in lending.layout.annotations)
    assert lending.layout.yaxis3.domain[0] == 0.0
    assert "yaxis4" not in lending.layout


# --- events


def test_events_are_marks_with_words_on_any_figure_over_time(results):
    result = results["struck"]
    wanted = ("fill", "transfer", "liquidation", "alert", "funding")
    for name in ("overview", "equity", "drawdown", "area", "risk", "funding", "exposure", "positions",
                 "liquidation_distance"):  # fmt: skip
        figure = drawn(result, name, events=wanted)
        for kind in wanted:
            events = result.events[result.events.kind == kind]
            marks = traces(figure, kind)[0]
            assert set(pd.DatetimeIndex(marks.x)) == set(events.timestamp.dt.tz_localize(None))
            assert np.isfinite(marks.y).all()
            assert all("UTC" in text for text in marks.text)
    marks = trace_of(result.plot.equity(events=wanted), "fill")
    rows = result.equity.index.tz_localize(None).get_indexer(pd.DatetimeIndex(marks.x))
    assert same_bits(marks.y, result.equity.equity.to_numpy()[rows])
    fill = result.events[result.events.kind == "fill"].iloc[0]
    assert f"worth {fill.notional:,.2f} USDT" in marks.text[0]
    # every one of a row is told
    first = result.events[(result.events.kind == "fill") & (result.events.timestamp == fill.timestamp)]
    assert marks.text[0].count(" fill: ") == len(first)


def test_the_legend_shows_marks_in_crowds_of_whole_size(results):
    """Small as they are among hundreds they could not be told apart there."""
    figure = results["two years"].plot.equity(events=EVENT_KINDS)
    for kind in ("decision", "order", "fill", "funding"):
        marks = trace_of(figure, kind)
        [entry] = [trace for trace in traces(figure, "legend") if trace.legendgroup == marks.legendgroup]
        assert (marks.showlegend, entry.showlegend, entry.name) == (False, True, marks.name)
        assert (entry.marker.symbol, entry.marker.color) == (marks.marker.symbol, marks.marker.color)
        assert entry.marker.size > 1.5 * marks.marker.size
    # few marks have that size anyway
    assert not traces(results["flows"].plot.equity(events="transfer"), "legend")


def test_every_kind_of_event_has_words(modes, results):
    for result in (*modes.values(), results["loan"], results["flows"], results["stopped"]):
        figure = result.plot.equity(events=EVENT_KINDS)
        there = set(result.events.kind) - {"flow"}
        assert there <= {trace.meta["key"] for trace in figure.data if trace.meta}


def test_an_event_that_is_none_is_told(results):
    with pytest.raises(InputError, match=r"Unknown kind of event 'fil'.*Did you mean 'fill'"):
        results["one row"].plot.equity(events=("fil",))
    assert traces(results["flows"].plot.equity(events="fill"), "fill")


# --- distance to liquidation


@pytest.mark.parametrize("name", ["alerts", "struck", "below zero"])
def test_the_distance_of_perps_is_where_margin_meets_maintenance(results, name):
    """By the quantities of the tables alone: cash, costs, marks."""
    result = results[name]
    figure, positions, panel = result.plot.liquidation_distance(), result.positions, result.panel
    for trace in figure.data:
        key = (trace.meta or {}).get("key", "")
        if not key.startswith("move|"):
            continue
        venue = key.split("|")[1]
        perp = f"{venue}:Perp:BTCUSDT"
        q, mark = positions[perp], panel[f"mark|{perp}"]
        margin = positions[f"{venue}:BaseToken:USDT"] + q * mark - positions[f"{perp}|cost"]
        least = result.risk[f"maintenance_ratio|{venue}"]
        moved = np.where(q < 0.0, trace.y, -trace.y)
        # at the moved mark the margin is that of maintenance
        after, notional = margin + q * mark * moved, (q * mark).abs() * (1.0 + moved)
        held = (q != 0.0) & (margin > least * (q * mark).abs())
        assert held.any()
        np.testing.assert_allclose((after - least * notional)[held], 0.0, atol=1e-6 * notional[held].max())
        assert np.isnan(trace.y[(q == 0.0).to_numpy()]).all()
        gone = (q != 0.0) & ~held
        assert (trace.y[gone.to_numpy()] == 0.0).all()


def test_the_distance_of_a_loan_is_the_table_s(results):
    result = results["staked"]
    line = trace_of(result.plot.liquidation_distance(), "liquidation_distance")
    owes = np.isfinite(result.risk.health_factor)
    assert owes.any()
    np.testing.assert_array_equal(line.y, result.risk.liquidation_distance.where(owes))


def test_a_book_below_zero_is_on_its_map(results):
    figure = results["below zero"].plot.liquidation_map()
    grid, edge, point = (trace_of(figure, key) for key in ("grid", "edge", "point"))
    low, high = figure.layout.yaxis.range
    assert low == grid.y[0] < point.y[0] < 0.0 < high == grid.y[-1]
    assert np.nanmin(edge.y) < 0.0
    assert trace_of(results["alerts"].plot.liquidation_map(), "grid").y[0] == 0.0


def test_the_name_of_the_book_does_not_stand_on_the_line_of_its_map(results):
    for name in ("below zero", "struck", "alerts", "loan"):
        figure = results[name].plot.liquidation_map()
        edge, point = (trace_of(figure, key) for key in ("edge", "point"))
        words = next(words for words in figure.layout.annotations if words.text == "the book")
        there = np.isfinite(edge.x) & np.isfinite(edge.y)
        nearest = np.abs(edge.y[there] - point.y[0]).argmin()
        assert (words.xanchor == "right") == (words.xshift < 0) == (edge.x[there][nearest] > point.x[0]), name


def test_the_map_of_perps_is_the_margin_worked_out_again(results):
    result = results["alerts"]
    at = "2024-02-10T05:00"
    figure = result.plot.liquidation_map(at, venue="okx")
    grid, edge, point = (trace_of(figure, key) for key in ("grid", "edge", "point"))
    row = result.positions.index.get_loc(pd.Timestamp(at, tz="UTC"))
    positions, panel = result.positions.iloc[row], result.panel.iloc[row]
    q, mark = positions["okx:Perp:BTCUSDT"], panel["mark|okx:Perp:BTCUSDT"]
    margin = positions["okx:BaseToken:USDT"] + q * mark - positions["okx:Perp:BTCUSDT|cost"]
    assert (point.x[0], point.y[0]) == (0.0, pytest.approx(margin / abs(q * mark)))
    for j in range(0, len(grid.y), 7):
        for i in range(0, len(grid.x), 9):
            # as much margin as the ratio before says, and the marks moved
            had = grid.y[j] * abs(q * mark) + q * mark * grid.x[i]
            assert grid.z[j][i] == pytest.approx(had / (abs(q * mark) * (1.0 + grid.x[i])), abs=1e-12)
    least = result.risk["maintenance_ratio|okx"].iloc[row]
    there = np.isfinite(edge.y)
    assert there.sum() > 10
    ratio = (edge.y + math.copysign(1.0, q) * edge.x) / (1.0 + edge.x)
    np.testing.assert_allclose(ratio[there], least, atol=1e-12)
    # what the line says at the row's own ratio is the distance of the other figure
    away = trace_of(result.plot.liquidation_distance(), "move|okx").y[row]
    assert np.interp(point.y[0], edge.y[there], edge.x[there]) == pytest.approx(away, abs=1e-9)


def test_the_map_of_a_loan_meets_the_recorded_distance_and_days(results):
    result = results["loan"]
    owes = result.risk.health_factor.replace(np.inf, np.nan).dropna()
    when = owes.index[10]
    figure = result.plot.liquidation_map(when, days=20)
    grid, edge, point = (trace_of(figure, key) for key in ("grid", "edge", "point"))
    risk, panel = result.risk.loc[when], result.panel.loc[when]
    borrow, supply = panel["borrow_apr|aave_v3:USDT"], panel["supply_apr|aave_v3:WETH"]
    assert (point.x[0], point.y[0]) == (0.0, borrow)
    for j in range(0, len(grid.y), 7):
        for i in range(0, len(grid.x), 9):
            health = risk.health_factor * (1.0 + grid.x[i]) * math.exp((supply - grid.y[j]) * 20.0 / 365.0)
            assert grid.z[j][i] == pytest.approx(health, rel=1e-12)
    there = np.isfinite(edge.x)
    along = risk.health_factor * (1.0 + edge.x[there]) * np.exp((supply - edge.y[there]) * 20.0 / 365.0)
    np.testing.assert_allclose(along, 1.0, rtol=1e-12)
    state = liquidation.loan_health(_numbers(result), result.risk.index.get_loc(when))
    # a rate that does not grow the debt against the collateral leaves the recorded fall; the recorded days leave 1
    assert state.health_after(-risk.liquidation_distance, supply, 1.0) == pytest.approx(1.0, abs=1e-12)
    assert state.health_after(0.0, borrow, risk.days_to_liquidation / 365.0) == pytest.approx(1.0, abs=1e-9)


def _numbers(result):
    from basis.reports.plot_data import run_data

    return run_data(result)


def test_the_map_takes_the_nearest_and_tells_what_there_is_not(results):
    plot = results["alerts"].plot
    near = {t.meta["key"]: t.y[-1] for t in plot.liquidation_distance().data if t.meta["key"].startswith("move|")}
    assert f", {min(near, key=near.get).split('|')[1]}," in plot.liquidation_map().layout.title.text
    with pytest.raises(InputError, match=r"'kraken' held nothing.*binance, bybit, okx"):
        plot.liquidation_map(venue="kraken")
    with pytest.raises(InputError, match="outside the run, which has 2024-01-01 00:00 to 2024-03-01 00:00 UTC"):
        plot.liquidation_map("2025-01-01")
    with pytest.raises(InputError, match="as an instant"):
        plot.liquidation_map("soon")
    with pytest.raises(InputError, match="days=0"):
        plot.liquidation_map(days=0)
    assert "Nothing to liquidate" in results["lending"].plot.liquidation_map().layout.annotations[0].text


# --- print


@pytest.mark.parametrize("name", NAMES)
def test_the_twin_for_print_holds_the_same_numbers(run, name):
    from basis.plots.backends import matplotlib_figure

    picture = MAKERS[name](run)
    axes = matplotlib_figure.draw_figure(picture).get_axes()
    for panel, ax in zip(picture.panels, axes, strict=False):
        lines = {line.get_gid(): line for line in ax.get_lines() if line.get_gid()}
        for line in panel.lines:
            assert same_bits(lines[line.key].get_ydata(), line.values)
        if panel.heatmap is not None:
            [mesh] = [c for c in ax.collections if c.get_gid() == "grid"]
            assert same_bits(np.nan_to_num(np.ma.filled(mesh.get_array(), np.nan)), np.nan_to_num(panel.heatmap.values))
        if panel.category_bars is not None:
            for part in panel.category_bars.series:
                bars = [patch for patch in ax.patches if patch.get_gid() == part.key]
                sizes = [bar.get_width() if panel.category_bars.horizontal else bar.get_height() for bar in bars]
                np.testing.assert_allclose(sizes, part.values[np.isfinite(part.values)], rtol=1e-12, atol=1e-9)
