"""Summary: every number against plain numpy on the tables, and its formulas against worked figures."""

import json
import math

import numpy as np
import pytest

import basis
from basis.results import measures
from basis.results.unmet_requests import flows_left_out
from support.kernel_view import PNL_COLUMNS

KEYS = (
    "run_id status cause mode share_class start end rows initial_equity final_equity net_flows total_return cagr_365 "
    "volatility_365 sharpe_365 sortino_365 max_drawdown calmar attribution max_abs_residual fills turnover "
    "liquidations min_health_factor min_margin_ratio funding_coverage elapsed_s"
).split()


def hours(n, start="2024-01-01T00"):
    return np.datetime64(start, "us") + np.arange(n) * np.timedelta64(1, "h")


def test_keys_of_the_contract(result):
    assert set(KEYS) <= set(result.summary)
    json.dumps(result.summary, allow_nan=False)
    assert set(result.summary["elapsed_s"]) == {"load", "compile", "kernel", "total"}


def test_without_flows_the_return_is_end_over_capital(results):
    for name in ("plain", "struck", "lending", "daily"):
        summary = results[name].summary
        assert summary["total_return"] == summary["final_equity"] / summary["initial_equity"] - 1.0
        assert summary["net_flows"] == 0.0


def test_numbers_against_the_tables(result):
    summary, equity, risk, events = result.summary, result.equity, result.risk, result.events
    held = equity.equity.to_numpy()
    before = np.concatenate(([summary["initial_equity"]], held[:-1]))
    row = (held - equity.net_flow.to_numpy()) / before - 1.0
    np.testing.assert_allclose(result.returns(), row, atol=1e-15)
    assert summary["total_return"] == pytest.approx(np.prod(1.0 + row) - 1.0, abs=1e-12)
    years = (len(held) - 1) * (equity.index[1] - equity.index[0]).total_seconds() / (365 * 86_400)
    assert summary["cagr_365"] == pytest.approx((1.0 + summary["total_return"]) ** (1.0 / years) - 1.0, rel=1e-9)
    # windows begin and end at midnight: wealth at every midnight, 1 at the start
    grown = np.cumprod(1.0 + row)
    midnight = equity.index.hour == 0
    at_midnight = np.concatenate(([1.0], grown[midnight][1:]))
    daily = at_midnight[1:] / at_midnight[:-1] - 1.0
    np.testing.assert_allclose(result.returns("1D"), daily, atol=1e-14)
    volatility = daily.std(ddof=1) * math.sqrt(365)
    assert summary["volatility_365"] == pytest.approx(volatility, rel=1e-9)
    assert summary["sharpe_365"] == pytest.approx(daily.mean() * 365 / volatility, rel=1e-9)
    down = math.sqrt((np.minimum(daily, 0.0) ** 2).mean() * 365)
    if down:
        assert summary["sortino_365"] == pytest.approx(daily.mean() * 365 / down, rel=1e-9)
    peak = np.maximum.accumulate(np.concatenate(([1.0], grown)))[1:]
    deepest = (grown / peak - 1.0).min()
    assert summary["max_drawdown"] == pytest.approx(deepest, abs=1e-14)
    assert result.drawdown.min() == summary["max_drawdown"]
    assert summary["calmar"] == pytest.approx(summary["cagr_365"] / abs(deepest), rel=1e-9)
    assert set(PNL_COLUMNS) <= set(summary["attribution"])
    for name, total in summary["attribution"].items():
        column = result.table("attribution")[name]
        assert column.sum() == pytest.approx(total, abs=1e-10 * summary["initial_equity"])
    assert summary["max_abs_residual"] == equity.residual.abs().max()
    fills = events[events.kind == "fill"]
    assert summary["fills"] == len(fills)
    assert summary["turnover"] == pytest.approx(fills.notional.sum() / held.mean(), rel=1e-12)
    assert summary["rows"] == len(equity)
    assert summary["net_flows"] == pytest.approx(equity.net_flow.sum())
    for venue, least in summary["min_margin_ratio"].items():
        name = f"margin_ratio|{venue}"
        found = risk[[name, f"{name}|before", f"{name}|worst"]].to_numpy().min()
        assert least == (found if np.isfinite(found) else None)


def test_flows_do_not_earn(results):
    plain, flows = results["plain"].summary, results["flows"].summary
    assert flows["net_flows"] == -10_000.0
    assert abs(flows["total_return"]) < 0.02
    assert flows["final_equity"] == pytest.approx(plain["final_equity"] - 10_000.0, rel=0.01)


def test_flows_after_the_end_are_told(results, sample_data, tmp_path):
    late = [
        {"timestamp": "2024-02-02T00:00:00Z", "amount": 1_000},
        {"timestamp": "2024-02-02T00:30:00Z", "amount": -2_500},
        {"timestamp": "2024-03-01T02:00:00+02:00", "amount": 100_000},
    ]
    made = basis.backtest("btc_basis", sample_data, "2024-02-01", "2024-02-02", {"flows": late})
    told = [
        "The withdrawal of 2,500 USDT at 2024-02-02 00:30 UTC was left out: the run ended at 2024-02-02 00:00 UTC.",
        "The deposit of 100,000 USDT at 2024-03-01 00:00 UTC was left out: the run ended at 2024-02-02 00:00 UTC.",
    ]
    assert made.summary["net_flows"] == 1_000.0
    assert [line for line in made.warnings if "left out" in line] == told
    opened = basis.open_run(made.save(tmp_path / "run", report=False))
    assert opened.warnings == made.warnings
    many = made.config.replace({"flows": [{**late[1], "timestamp": f"2024-02-1{day}"} for day in range(5)]})
    found = flows_left_out(many.flows, made.table("equity"), "USDT")
    assert len(found) == 4
    assert found[-1] == "2 later flows were left out, too."
    assert not any("left out" in line for line in results["flows"].warnings)


def test_a_measure_that_never_was_is_null(results):
    assert results["lending"].summary["min_health_factor"] is None
    assert results["lending"].summary["min_margin_ratio"] == {}


def test_coverage_is_of_the_funding_series(results):
    assert results["flows"].summary["funding_coverage"] == {
        f"funding/{venue}_btcusdt": {"own": 1.0, "resolved": 1.0} for venue in ("binance", "bybit", "okx")
    }


def test_days_end_at_midnight_and_the_first_row_opens_its_day():
    ends, days = measures.daily_returns(hours(49), np.full(49, 0.01))
    assert list(ends.astype("M8[h]").astype(str)) == ["2024-01-02T00", "2024-01-03T00"]
    np.testing.assert_allclose(days, [1.01**25 - 1.0, 1.01**24 - 1.0])
    ends, days = measures.daily_returns(hours(5, "2024-01-01T22"), np.full(5, 0.01))
    np.testing.assert_allclose(days, [1.01**3 - 1.0, 1.01**2 - 1.0])
    assert measures.daily_returns(hours(1), np.array([0.02]))[1] == pytest.approx([0.02])


def test_a_flow_splits_the_return():
    equity, flow = np.array([100.0, 110.0, 220.0, 231.0]), np.array([0.0, 0.0, 110.0, 0.0])
    assert list(measures.row_returns(equity, flow, 100.0)) == pytest.approx([0.0, 0.1, 0.0, 0.05])
    assert measures.total_return(equity, flow, 100.0) == pytest.approx(1.1 * 1.05 - 1.0)


def test_all_withdrawn_and_paid_in_again():
    equity, flow = np.array([100.0, 0.0, 0.0, 50.0, 55.0]), np.array([0.0, -100.0, 0.0, 50.0, 0.0])
    assert list(measures.row_returns(equity, flow, 100.0)) == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.1])
    assert measures.total_return(equity, flow, 100.0) == pytest.approx(0.1)


def test_measures_that_are_not_defined_are_none():
    flat = measures.measure(hours(49), np.zeros(49), 0.0)
    assert flat == (0.0, 0.0, None, None, 0.0, None)
    one = measures.measure(hours(1), np.zeros(1), 0.0)
    assert one == (None, None, None, None, 0.0, None)
    lost = measures.measure(hours(49), np.concatenate(([0.0], [-1.5], np.full(47, np.nan))), -1.5)
    assert lost == (None, None, None, None, None, None)
    rising = measures.measure(hours(49), np.full(49, 1e-5), math.expm1(49 * math.log1p(1e-5)))
    assert rising.sortino_365 is None
    assert rising.calmar is None
    assert rising.sharpe_365 > 0.0


def test_returns_of_other_periods_compound(results):
    result = results["flows"]
    weeks = result.returns("7D")
    assert (1.0 + weeks).prod() == pytest.approx(1.0 + result.summary["total_return"], abs=1e-12)
    assert result.returns().attrs["unit"] == "fraction"
