"""Gate of `eth_basis`: spot ether against perp shorts of equal size; closed forms and the hedge kept."""

import numpy as np
import pytest

import basis
from support.hedged_runs import (
    CAPITAL,
    HELD,
    MAX_DRIFT,
    QUIET,
    books,
    check_columns,
    check_hedged,
    equity,
    hedged,
    held_return,
    margin,
    net_delta,
    perp_gain,
    price,
    short,
    spot_of,
    trade,
    travelling,
    utc,
)
from support.result_checks import check_accounts, reasons, same_tables
from support.small_markets import flows, path

MODE = "eth_basis"
SPOT = "bybit:BaseToken:ETH"
TARGET = 0.5
LOW = 0.7 * TARGET


@pytest.mark.parametrize(
    ("start", "end"),
    [("2024-05-12", "2025-01-01"), ("2024-08-01", "2024-09-01"), ("2025-01-15T05:00:00Z", "2025-07-01")],
)
@pytest.mark.parametrize(
    ("target", "weights"),
    [(0.5, {"bybit": 1.0}), (1.0, {"binance": 0.7, "bybit": 0.3}), (0.25, {"binance": 0.5, "bybit": 0.5})],
)
def test_held_without_costs_the_return_is_that_of_the_files(driver, data, start, end, target, weights):
    more = {"strategy.margin_ratio_target": target, "strategy.hedge_allocation": weights}
    result = basis.backtest(MODE, data, start, end, {**HELD, **more}, driver=driver)
    wanted = held_return(data, 1.0 / (1.0 + target), weights, start, end)
    assert result.summary["total_return"] == pytest.approx(wanted, abs=1e-9)
    check_accounts(result, {"funding_pnl", "basis_pnl", "delta_pnl"})
    spot = spot_of(data)
    units = CAPITAL / (1.0 + target) / spot[utc(start)]
    moved, funding = perp_gain(data, weights, start, end)
    assert result.attribution["funding_pnl"].sum() == pytest.approx(units * funding, abs=1e-9 * CAPITAL)
    expected = units * (moved + spot[utc(end)] - spot[utc(start)])
    assert result.attribution["basis_pnl"].sum() == pytest.approx(expected, abs=1e-9 * CAPITAL)
    assert result.attribution["delta_pnl"].abs().sum() <= 1e-9 * CAPITAL


def test_as_shipped_both_drivers_leave_the_same_bits_and_keep_the_hedge(data):
    window = ("2024-07-20", "2024-09-10")
    one, other = (basis.backtest(MODE, data, *window, driver=name) for name in ("kernel", "event"))
    assert same_tables(one, other)
    assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))
    check_columns(one, MODE)
    check_hedged(one, 1e-9)
    assert one.summary["liquidations"] == 0
    resting = ~travelling(one) & (short(one) > 0.0)
    assert resting.mean() > 0.9
    for venue in ("binance", "bybit", "okx"):
        assert margin(one, venue)[resting].min() > 0.97 * LOW
    free = basis.backtest(MODE, data, *window, {"costs.enabled": False})
    assert free.summary["total_return"] > one.summary["total_return"]


def test_up_and_down_both_legs_stay_one_size(driver):
    panel = hedged(path((0, 3_000.0), (5, 3_000.0), (60, 4_800.0), (70, 4_800.0), (130, 2_880.0), (150, 2_880.0)))
    moved = flows(panel, (65, 30_000.0), (135, -20_000.0))
    result = trade(MODE, driver, panel, {**QUIET, "flows": moved, "close_at_end": True})
    check_columns(result, MODE)
    check_hedged(result, 1e-9)
    assert reasons(result) == []
    assert result.summary["liquidations"] == 0
    assert result.equity["net_flow"].sum() == 10_000.0
    np.testing.assert_allclose(result.positions[SPOT], short(result), rtol=1e-9, atol=1e-9)
    assert short(result)[-1] == 0.0
    # the notional follows the equity all the way
    share = short(result) * price(result) / equity(result)
    assert np.abs(share[2:65] - 1.0 / (1.0 + TARGET)).max() < 0.05
    assert np.abs(net_delta(result)).max() < MAX_DRIFT
    assert set(books(MODE)) >= set(result.attribution.columns[(result.attribution != 0.0).any()].str.split("|").str[0])
