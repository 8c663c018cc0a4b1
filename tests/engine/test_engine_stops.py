"""Runs that stop themselves: data holes, insolvency, bad decisions, a broken sum; and what they leave behind."""

from dataclasses import replace

import numpy as np
import pytest

import basis
from basis.engine import simulation
from basis.engine.simulation import simulate
from basis.errors import ConfigError, DataError, InputError, RunStoppedWarning
from basis.market.panel import Stop
from basis.strategies.manager import ACTIONS
from support import scenarios
from support.kernel_view import RunView
from support.runs import FREE, run, settings
from support.small_markets import flows, market, path, pool, steady, walk
from support.strategies import do_nothing


def holed(panel, row):
    """The panel with a series that cannot be filled from a row on."""
    instant = int(panel.timestamps[row])
    return replace(panel, stop=Stop(row, "perp/okx_btcusdt", instant, 4 * 3600.0))


def test_a_hole_in_the_data_stops_the_run_before_it():
    panel = market(walk(40))
    whole, made = run(panel), run(holed(panel, 25))
    assert made.status == "stopped"
    assert made.stop == 25
    for part in ("row 25", "2024-05-30", "perp/okx_btcusdt", "4.00 h"):
        assert part in made.cause
    assert made.record[:25].tobytes() == whole.record[:25].tobytes()
    assert not made.record[25:].any()
    assert made.events.row.max() < 25


def test_a_hole_past_the_last_row_asked_for_does_not_matter():
    panel = market(walk(40))
    made = RunView(simulate(settings(), holed(panel, 25), until=20))
    assert made.status == "complete"
    assert made.stop == 21


def test_a_hole_in_row_0_is_an_error_that_names_the_series():
    with pytest.raises(DataError, match="perp/okx_btcusdt"):
        run(holed(market(walk(10)), 0))


def test_a_stopped_run_warns_and_writes_its_rows(tmp_path):
    panel = holed(market(walk(40)), 25)
    with pytest.warns(RunStoppedWarning, match="perp/okx_btcusdt"):
        result = basis.backtest(settings(), panel, out=tmp_path / "run")
    assert result.status == "stopped"
    again = basis.open_run(tmp_path / "run")
    assert again.status == "stopped"
    assert len(again.equity) == 25
    assert again.cause == result.cause


def test_insolvency_stops_the_run_after_its_row():
    """Without liquidations a rally eats more than there is."""
    panel = market(np.concatenate((steady(10), steady(10, 130_000.0))))
    start = {"binance:BaseToken:USDT": 30_000.0, "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0}
    made = run(
        panel,
        overrides={**FREE, "risk.simulate_liquidation": False},
        strategy=do_nothing,
        positions=start,
    )
    assert made.status == "stopped"
    assert made.cause.startswith("insolvent in row 10")
    assert made.stop == 11
    assert made.equity[10] == pytest.approx(-40_000.0, rel=1e-3)


def test_without_rebalancing_insolvency_is_no_stop():
    panel = market(np.concatenate((steady(10), steady(10, 130_000.0), steady(5))))
    start = {"binance:BaseToken:USDT": 30_000.0, "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0}
    overrides = {**FREE, "risk.simulate_liquidation": False, "strategy.rebalance": False}
    made = run(panel, overrides=overrides, positions=start)
    assert made.status == "complete"
    assert made.equity[10] < 0.0 < made.equity[-1]


@pytest.mark.parametrize("name", scenarios.BAD_DECISIONS)
def test_a_bad_decision_stops_the_run_and_says_what_is_allowed(name):
    made = scenarios.run_with_bad_decision(name)
    assert made.status == "stopped"
    assert "strategy failed in row 0" in made.cause
    assert "finite amount >= 0" in made.cause
    for code, action in enumerate(ACTIONS, 1):
        assert f"{code} {action}" in made.cause
    assert made.stop == 0
    assert len(made.events) == 0


def test_flows_before_the_start_are_refused():
    panel = market(walk(10))
    early = [{"timestamp": "2024-05-28T23:59:59Z", "amount": 5.0}]
    with pytest.raises(ConfigError, match=r"flows.*2024-05-28.*before the start"):
        run(panel, overrides={"flows": early})


def test_flows_after_the_end_do_not_happen():
    panel = market(walk(10))
    late = [{"timestamp": "2024-06-28T00:00:00Z", "amount": -5_000.0}]
    made = run(panel, overrides={"flows": late})
    assert made.record.tobytes() == run(panel).record.tobytes()


@pytest.mark.parametrize("amount", [5_000.0, -5_000.0])
def test_flows_between_rows_happen_in_the_next_row(amount):
    panel = market(steady(20))
    between = [{"timestamp": "2024-05-29T09:30:00Z", "amount": amount}]
    made = run(panel, overrides={**FREE, "flows": between})
    assert np.flatnonzero(made.flow).tolist() == [10]
    exact = run(panel, overrides={**FREE, "flows": flows(panel, (10, amount))})
    assert exact.record.tobytes() == made.record.tobytes()


def test_a_flow_in_row_0_adds_to_the_capital():
    panel = market(steady(10))
    made = run(panel, overrides={**FREE, "flows": flows(panel, (0, 50_000.0))})
    assert made.equity[0] == pytest.approx(150_000.0)
    assert made.flow[0] == 50_000.0
    assert made.long[0] == pytest.approx(150_000.0 / 1.5 / 60_000.0, rel=1e-3)


def idle(panel, positions, *pairs):
    """A run in which nobody trades, so that flows meet the wallet as it is."""
    return run(panel, overrides={"flows": flows(panel, *pairs)}, strategy=do_nothing, positions=positions)


def test_withdrawals_are_paid_whole_and_in_order():
    start = {"wallet:BaseToken:USDT": 10_000.0, "binance:BaseToken:BTC": 1.0}
    made = idle(market(steady(12)), start, (3, -20_000.0), (4, -5_000.0), (6, 12_000.0), (8, 3_000.0))
    assert made.flow.tolist() == [0, 0, 0, 0, 0, 0, 12_000.0 - 20_000.0, 0, 3_000.0 - 5_000.0, 0, 0, 0]
    assert made.pending.tolist() == [0, 0, 0, 20_000, 25_000, 25_000, 5_000, 5_000, 0, 0, 0, 0]
    assert made.rejects() == []


def test_a_withdrawal_beyond_equity_is_paid_what_there_is_and_the_rest_refused():
    made = idle(
        market(steady(10)), {"wallet:BaseToken:USDT": 100_000.0}, (5, -30_000.0), (5, -50_000.0), (6, -50_000.0)
    )
    assert made.flow[5:8].tolist() == [-80_000.0, -20_000.0, 0.0]
    assert made.rejects() == [(6, "withdrawal exceeds equity")]
    assert made.events_of("reject")[0].amount == -30_000.0
    assert made.equity[-1] == 0.0
    assert made.pending[-1] == 0.0
    assert made.status == "complete"


def test_a_withdrawal_is_not_cut_short_while_other_assets_are_held():
    made = idle(market(steady(10)), {"wallet:BaseToken:USDT": 100.0, "binance:BaseToken:BTC": 1.0}, (5, -1e6))
    assert made.flow.sum() == 0.0
    assert made.pending[-1] == 1e6
    assert made.rejects() == []


def test_progress_is_reported_in_between_and_at_the_end(monkeypatch):
    monkeypatch.setattr(simulation, "PIECE", 10)
    reported = []
    panel = market(walk(35))
    made = run(panel, progress=lambda done, rows: reported.append((done, rows)))
    assert reported == [(10, 35), (20, 35), (30, 35), (35, 35)]
    assert made.record.tobytes() == run(panel).record.tobytes()


def test_two_runs_in_one_process_do_not_touch_each_other():
    panel = market(walk(60, 3))
    first = run(panel, overrides={"flows": flows(panel, (20, 9_000.0))})
    other = run(panel, overrides={"strategy.margin_ratio_target": 0.9})
    run(pool(60), "pure_lending")
    again = run(panel, overrides={"flows": flows(panel, (20, 9_000.0))})
    assert again.record.tobytes() == first.record.tobytes()
    assert again.raw_events.tobytes() == first.raw_events.tobytes()
    assert other.record.tobytes() != first.record.tobytes()
    assert np.array_equal(panel.columns["spot|BTC"], market(walk(60, 3)).columns["spot|BTC"])


def test_a_market_that_changes_after_a_run_changes_the_next_one():
    """Coefficients are kept by panel: another panel must never meet them."""
    for price in (50_000.0, 60_000.0, 70_000.0):
        made = run(market(steady(5, price)), overrides=FREE)
        assert made.long[-1] == pytest.approx(100_000.0 / 1.5 / price, rel=1e-3)


def test_a_market_without_a_series_names_it():
    panel = market(path((0, 1.0), (5, 1.0)))
    del panel.columns["mark|okx:Perp:BTCUSDT"]
    with pytest.raises((InputError, ValueError), match="okx:Perp:BTCUSDT"):
        run(panel)
