"""Metrics: against `empyrical` and `quantstats` on the same daily returns, and against worked figures."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import basis
from basis.reports import Result
from basis.reports.formatting import format_stat, money, percent
from basis.results import measures
from basis.results.stats import STATS
from support.small_markets import pool

DAYS = 365
#: Cases with enough days for every metric.
WHOLE = ("plain", "flows", "struck", "lending", "eth", "daily")


@pytest.fixture(scope="session")
def empyrical():
    return pytest.importorskip("empyrical", reason="needs empyrical-reloaded, an extra of dev")


@pytest.fixture(scope="session")
def quantstats():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("quantstats", reason="needs quantstats, an extra of dev")
        import quantstats.stats

    return quantstats.stats


def made_up(seed, count=400):
    """Daily returns of a strategy with fat tails."""
    draw = np.random.default_rng(seed)
    index = pd.date_range("2024-01-02", periods=count, freq="D", tz="UTC")
    return pd.Series(draw.standard_t(4, count) * 0.004 + draw.normal(3e-4, 1e-4), index)


@pytest.fixture(params=[*WHOLE, 0, 1, 2])
def days(request, results):
    """Daily returns of a run, and made up ones."""
    if isinstance(request.param, int):
        return made_up(request.param)
    return results[request.param].returns("1D")


def measured(days):
    """Our metrics of daily returns alone."""
    returns = days.to_numpy()
    stamps = days.index.tz_localize(None).to_numpy().astype("M8[us]")
    first = stamps[:1] - np.timedelta64(1, "D")
    total = float(np.prod(1.0 + returns) - 1.0)
    whole = measures.measure(np.concatenate((first, stamps)), np.concatenate(([0.0], returns)), total)
    return {**whole._asdict(), **measures.measure_days(returns)._asdict(), "total_return": total}


def agrees(ours, theirs):
    assert ours == pytest.approx(float(theirs), rel=1e-12, abs=1e-12)


def test_as_empyrical_has_them(days, empyrical):
    ours, options = measured(days), {"annualization": DAYS}
    agrees(ours["total_return"], empyrical.cum_returns_final(days))
    agrees(ours["cagr_365"], empyrical.annual_return(days, **options))
    agrees(ours["volatility_365"], empyrical.annual_volatility(days, **options))
    agrees(ours["sharpe_365"], empyrical.sharpe_ratio(days, **options))
    if ours["sortino_365"] is not None:
        agrees(ours["sortino_365"], empyrical.sortino_ratio(days, **options))
    agrees(ours["max_drawdown"], empyrical.max_drawdown(days))
    if ours["calmar"] is not None:
        agrees(ours["calmar"], empyrical.calmar_ratio(days, **options))
    agrees(ours["var_95"], empyrical.value_at_risk(days))
    agrees(ours["expected_shortfall_95"], empyrical.conditional_value_at_risk(days))


def test_as_quantstats_has_them(days, quantstats):
    ours, options = measured(days), {"periods": DAYS}
    naive = days.tz_localize(None)
    agrees(ours["total_return"], quantstats.comp(naive))
    agrees(ours["cagr_365"], quantstats.cagr(naive, **options))
    agrees(ours["volatility_365"], quantstats.volatility(naive, **options))
    agrees(ours["sharpe_365"], quantstats.sharpe(naive, **options))
    if ours["sortino_365"] is not None:
        agrees(ours["sortino_365"], quantstats.sortino(naive, **options))
    agrees(ours["max_drawdown"], quantstats.max_drawdown(naive))
    if ours["calmar"] is not None:
        agrees(ours["calmar"], quantstats.calmar(naive, **options))
    agrees(ours["best_day"], quantstats.best(naive))
    agrees(ours["worst_day"], quantstats.worst(naive))
    agrees(ours["expected_shortfall_95"], quantstats.conditional_value_at_risk(naive, method="historical"))
    agrees(ours["skew"], quantstats.skew(naive))
    agrees(ours["kurtosis"], quantstats.kurtosis(naive))
    if (naive != 0.0).all():
        agrees(ours["positive_days"], quantstats.win_rate(naive))


def test_where_empyrical_differs(empyrical):
    """Where days tie at the quantile: all of them here, so many of the lowest there."""
    days = pd.Series([-0.03, -0.01, *[0.0] * 38], pd.date_range("2024-01-02", periods=40, freq="D", tz="UTC"))
    assert measured(days)["expected_shortfall_95"] == pytest.approx(-0.02, rel=1e-12)
    tied = pd.Series([-0.03, *[-0.01] * 20, *[0.01] * 19], days.index)
    assert measured(tied)["expected_shortfall_95"] == pytest.approx(-0.23 / 21.0, rel=1e-12)
    assert empyrical.conditional_value_at_risk(tied, 0.05) == pytest.approx(-0.02, rel=1e-12)


def test_all_that_was_lost_is_lost_by_year(empyrical):
    days = pd.Series([0.01, -0.02, -1.0], pd.date_range("2024-01-02", periods=3, freq="D", tz="UTC"))
    assert measured(days)["cagr_365"] == empyrical.cagr(days, annualization=DAYS) == -1.0


def test_where_quantstats_differs(quantstats):
    """What the docstring says: its value at risk is that of a normal distribution, and its shortfall by default."""
    days = made_up(3)
    ours, naive = measured(days), days.tz_localize(None)
    normal = float(days.mean()) - 1.6448536269514722 * float(days.std())
    assert quantstats.value_at_risk(naive) == pytest.approx(normal, rel=1e-9)
    assert abs(ours["expected_shortfall_95"] - quantstats.conditional_value_at_risk(naive)) > 1e-5
    assert abs(ours["var_95"] - normal) > 1e-5


def test_drawdowns_last_as_long_as_quantstats_says(quantstats):
    days = made_up(4)
    details = quantstats.drawdown_details(quantstats.to_drawdown_series(days.tz_localize(None)))
    assert measured(days)["longest_under_water"] == int(details["days"].max())


# --- definitions


def test_stats_are_the_summary_and_the_days(result):
    stats, summary = result.stats(), result.summary
    assert list(stats.index) == list(STATS)
    assert set(stats.attrs["units"]) == set(STATS)
    assert all(stats.attrs["units"].values())
    for name in set(STATS) & set(summary):
        assert stats[name] == summary[name] or (math.isnan(stats[name]) and summary[name] is None)
    days = result.returns("1D").to_numpy()
    assert stats.best_day == days.max()
    assert stats.worst_day == days.min()
    assert stats.positive_days == (days > 0.0).mean()
    profit = result.equity.equity.iloc[-1] - summary["initial_equity"] - result.equity.net_flow.sum()
    assert stats.pnl == pytest.approx(profit, abs=1e-9 * summary["initial_equity"])
    costs = result.attribution[["fees", "slippage", "gas", "transfer_fees", "flash_fees"]].sum().sum()
    assert stats.costs == pytest.approx(-costs / summary["initial_equity"], abs=1e-12)
    assert stats.costs >= 0.0
    assert stats.funding_share == pytest.approx(result.attribution.funding_pnl.sum() / profit, rel=1e-6, abs=1e-9)


def test_rows_are_deeper_than_days(results):
    """The docstring's difference: what happens between two midnights counts."""
    result = results["struck"]
    on_days = measures.drawdown(result.returns("1D").to_numpy()).min()
    assert result.stats().max_drawdown <= on_days


def test_worked_days():
    found = measures.measure_days(np.array([0.01, -0.02, 0.005, -0.01, 0.04, 0.0]))
    assert (found.best_day, found.worst_day, found.positive_days) == (0.04, -0.02, 0.5)
    # wealth 1.01, .9898, .994749, .98480151, 1.0241935704, 1.0241935704
    assert found.time_under_water == 0.5
    assert found.longest_under_water == 3
    # a quarter of the way from the lowest day to the one above it
    assert found.var_95 == pytest.approx(-0.02 + 0.25 * 0.01)
    assert found.expected_shortfall_95 == -0.02
    series = pd.Series([0.01, -0.02, 0.005, -0.01, 0.04, 0.0])
    assert found.skew == pytest.approx(series.skew(), rel=1e-12)
    assert found.kurtosis == pytest.approx(series.kurt(), rel=1e-12)


@pytest.mark.parametrize(
    ("days", "defined"),
    [
        ([], ()),
        ([0.01, float("nan")], ()),
        ([0.01], ("best_day", "var_95", "time_under_water")),
        ([0.01, 0.02], ("best_day", "var_95", "time_under_water")),
        ([0.01, 0.02, 0.0], ("best_day", "skew")),
        ([0.01, 0.02, 0.0, -0.01], ("best_day", "skew", "kurtosis")),
        ([1e-4] * 50, ("best_day", "time_under_water")),
    ],
)
def test_what_is_not_defined_is_none(days, defined):
    found = measures.measure_days(np.array(days))._asdict()
    some = {name for name, value in found.items() if value is not None}
    if not defined:
        assert some == set()
    else:
        assert set(defined) <= some
        assert ("skew" in some) == ("skew" in defined)
        assert ("kurtosis" in some) == ("kurtosis" in defined)


def test_a_run_of_one_row_has_few(make_run):
    one = Result.from_recording(make_run("btc_basis", {"start": "2024-02-01", "end": "2024-02-01"}))
    stats = one.stats()
    assert stats[["cagr_365", "volatility_365", "sharpe_365", "skew", "kurtosis", "calmar"]].isna().all()
    assert stats.fills == 0.0
    assert one.stats(formatted=True)["Sharpe"] == "not defined: the run has no whole day"


# --- rounding, and days in part


@pytest.mark.parametrize("rate", [0.0, 1e-8, 1e-4, 1.3e-4, 1e-3, 0.05, -2e-4])
@pytest.mark.parametrize("count", [2, 3, 30, 400])
@pytest.mark.parametrize("noise", [0.0, 2.2e-16, 1e-14])
def test_ratios_of_equal_days_are_not_defined(rate, count, noise):
    """A constant return, with what double precision leaves of it: no Sharpe, no skew, no Sortino of its noise."""
    drawn = np.random.default_rng(count).standard_normal(count) * noise
    found = measured(pd.Series(rate + drawn, pd.date_range("2024-01-02", periods=count, freq="D", tz="UTC")))
    assert found["volatility_365"] < 1e-11
    assert found["sharpe_365"] is found["skew"] is found["kurtosis"] is None
    if rate >= 0.0:
        assert found["sortino_365"] is found["calmar"] is None
        assert (found["time_under_water"], found["longest_under_water"]) == (0.0, 0)
        assert found["positive_days"] == (rate > 0.0)
    else:
        assert found["sortino_365"] == pytest.approx(-math.sqrt(365), rel=1e-6)
        assert found["calmar"] < 0.0


def test_days_that_differ_a_little_have_a_ratio():
    """The guard is for rounding: a lending rate that moves by a millionth of itself is measured."""
    days = 1e-4 * (1.0 + 1e-6 * np.random.default_rng(0).standard_normal(300))
    found = measured(pd.Series(days, pd.date_range("2024-01-02", periods=300, freq="D", tz="UTC")))
    assert found["sharpe_365"] == pytest.approx(days.mean() / days.std(ddof=1) * math.sqrt(365), rel=1e-6)


@pytest.mark.parametrize("bar", ["1h", "1d"])
@pytest.mark.parametrize("apr", [0.0, 0.0365, 0.3])
def test_a_rate_that_does_not_move_has_no_sharpe(apr, bar):
    """From the public interface: what a user tries first. The card and the report have no number for it either."""
    rows, hours = (24 * 40 + 1, 1) if bar == "1h" else (41, 24)
    grown = (1.0 + apr / 365.0) ** (np.arange(rows) * hours / 24.0)
    market = pool(rows, step=3600 * hours, apr=0.0, index=grown)
    result = basis.backtest("pure_lending", market, overrides={"costs.enabled": False, "bar_interval": bar})
    stats = result.stats()
    assert result.summary["sharpe_365"] is result.summary["sortino_365"] is result.summary["calmar"] is None
    assert stats[["sharpe_365", "sortino_365", "calmar", "skew"]].isna().all()
    assert stats.attrs["undefined"]["sharpe_365"] == "all days are equal"
    shown = result.stats(formatted=True)
    assert shown["Sharpe"] == "not defined: all days are equal"
    assert shown["Sortino"] == "not defined: no day has a loss"


def hourly(start, rows):
    return np.datetime64(start, "us") + np.arange(rows) * np.timedelta64(1, "h")


@pytest.mark.parametrize(
    ("start", "rows", "whole"),
    [
        ("2024-01-01T00", 1, 0),
        ("2024-01-01T00", 24, 0),
        ("2024-01-01T00", 25, 1),
        ("2024-01-01T00", 26, 1),
        ("2024-01-01T00", 49, 2),
        ("2024-01-01T07", 30, 0),
        ("2024-01-01T07", 17 + 24 + 1, 1),
        ("2024-01-01T23", 1 + 48 + 1 + 12, 2),
    ],
)
def test_a_day_in_part_is_no_day(start, rows, whole):
    returns = np.full(rows, 1e-3)
    returns[0] = 0.0
    days = measures.whole_days(hourly(start, rows), returns)
    np.testing.assert_allclose(days, np.full(whole, 1.001**24 - 1.0), rtol=1e-12)


def test_an_hour_more_changes_no_daily_measure(make_run):
    """A run that ends at 01:00 has the days of one that ends at midnight; the hour counts in its return only."""
    short, long = (
        Result.from_recording(make_run("btc_basis", {"start": "2024-02-01", "end": f"2024-02-10T0{hour}:00:00Z"}))
        for hour in (0, 1)
    )
    of_days = [
        "volatility_365", "sharpe_365", "sortino_365", "best_day", "worst_day", "positive_days", "skew", "kurtosis",
        "var_95", "expected_shortfall_95", "time_under_water", "longest_under_water",
    ]  # fmt: skip
    pd.testing.assert_series_equal(short.stats()[of_days], long.stats()[of_days], check_names=False)
    assert len(long.returns("1D")) == len(short.returns("1D")) + 1
    assert (1.0 + long.returns("1D")).prod() - 1.0 == pytest.approx(long.stats().total_return, rel=1e-9)


def test_every_metric_that_is_not_defined_says_why(make_run):
    """Half a day: no metric of days, each with its reason."""
    half = Result.from_recording(make_run("btc_basis", {"start": "2024-02-01", "end": "2024-02-01T12:00:00Z"}))
    stats = half.stats()
    assert set(stats.attrs["undefined"]) == set(stats.index[stats.isna()])
    assert stats.attrs["undefined"]["worst_day"] == stats.attrs["undefined"]["sharpe_365"] == "the run has no whole day"
    assert "not known" not in stats.attrs["undefined"].values()
    assert half.stats(formatted=True)["worst day"] == "not defined: the run has no whole day"


def test_formatted_for_reading(results):
    shown = results["struck"].stats(formatted=True)
    assert shown["equity at end"].endswith(" USDT")
    assert shown["return"].endswith("%")
    assert shown["liquidations"] == "3"
    assert shown["longest under water"].endswith(" days")
    assert shown["turnover"].endswith("×")
    assert results["eth"].stats(formatted=True)["P&L"].endswith(" ETH")


def test_numbers_in_words():
    assert percent(0.22241837) == "22.24%"
    assert percent(-0.0004512) == "-0.045%"
    assert percent(-1e-9) == "0.000%"
    assert percent(None) == percent(float("inf")) == "–"
    assert money(-0.001, "USDT") == "0.00 USDT"
    assert money(1234.5, "USDT") == "1,234.50 USDT"
    assert money(0.0123456789, "ETH") == "0.012346 ETH"
    assert format_stat("longest_under_water", 1, "USDT") == "1 day"
