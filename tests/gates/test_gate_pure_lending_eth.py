"""Gate of `pure_lending` in ether: the wallet's ETH supplied as WETH, results, gas and flows in ETH."""

import numpy as np
import pandas as pd
import pytest

import basis
from support.result_checks import check_accounts, events, held, reasons, rows_of, same_tables, term, utc
from support.small_markets import flows
from support.staking_markets import YEAR_S, ether

WALLET, LENT = "wallet:BaseToken:ETH", "aave_v3:aToken:WETH"
EARNS, COSTS = "supply_yield", "gas"
IN_ETHER = {"asset": "ETH", "share_class": "ETH"}
FREE = {"costs.enabled": False, "transfers.instant": True, "strategy.rebalance": False, "rewards.enabled": False}
CAPITAL, RESERVE = 100.0, 10.0
ROWS, GWEI, POOL = 72, 20.0, 0.04
SUPPLY, TAKE = (term("aave_v3", "gas_units", name)["value"] * GWEI * 1e-9 for name in ("supply", "withdraw"))
KEPT = RESERVE * max(SUPPLY, TAKE)
IN, OUT, AT_IN, AT_OUT, LAST = 30.0, 25.0, 20, 40, ROWS - 1


def lend(driver, panel, overrides=None):
    return basis.backtest("pure_lending", panel, overrides={**IN_ETHER, **(overrides or {})}, driver=driver)


def tell_story(driver):
    panel = ether(ROWS, pool=POOL, gwei=GWEI)
    return lend(driver, panel, {"flows": flows(panel, (AT_IN, IN), (AT_OUT, -OUT)), "close_at_end": True})


@pytest.fixture(scope="module")
def story(driver):
    return tell_story(driver)


def index(result):
    return result.panel["liquidity_index|aave_v3:WETH"].to_numpy()


def lent(result):
    return held(result, LENT).to_numpy() * index(result)


def test_1_entry_supplies_the_ether_and_keeps_gas_back(story):
    assert lent(story)[0] == pytest.approx(CAPITAL - KEPT, rel=1e-12)
    assert held(story, WALLET, 0) == pytest.approx(KEPT - SUPPLY, abs=1e-12)
    assert story.equity["equity"].iloc[0] == pytest.approx(CAPITAL - SUPPLY, abs=1e-12)


def test_2_only_the_index_pays(story):
    assert rows_of(story, "fill") == [0, AT_IN, AT_OUT, LAST]
    scaled = held(story, LENT).to_numpy()
    np.testing.assert_allclose(story.attribution[EARNS].iloc[1:], scaled[:-1] * np.diff(index(story)), rtol=1e-9)
    check_accounts(story, {EARNS, COSTS})
    paid = np.zeros(ROWS)
    paid[[0, AT_IN, AT_OUT, LAST]] = -SUPPLY, -SUPPLY, -TAKE, -TAKE
    np.testing.assert_allclose(story.attribution[COSTS], paid, atol=1e-12)


def test_3_a_deposit_is_supplied_and_a_withdrawal_paid_whole_in_its_row(story):
    assert story.equity["net_flow"].iloc[AT_IN] == IN
    assert lent(story)[AT_IN] - lent(story)[AT_IN - 1] == pytest.approx(IN - SUPPLY, abs=1e-3)
    assert story.equity["net_flow"].iloc[AT_OUT] == -OUT
    assert (story.equity["withdrawal_pending"] == 0.0).all()
    assert reasons(story) == []


def test_4_the_exit_ends_in_ether(story):
    assert held(story, LENT, LAST) == 0.0
    assert held(story, WALLET, LAST) == pytest.approx(story.equity["equity"].iloc[-1], rel=1e-14)


def test_5_both_drivers_tell_the_same_story():
    assert same_tables(tell_story("kernel"), tell_story("event"))


def test_the_price_of_ether_is_no_result(driver):
    """In its own share class ether is the unit: its price moves nothing, nor does it move the cost of gas."""
    quiet = lend(driver, ether(ROWS, pool=POOL))
    wild = lend(driver, ether(ROWS, pool=POOL, eth=3_000.0 * (1.0 + 0.3 * np.sin(np.arange(ROWS)))))
    np.testing.assert_allclose(wild.equity["equity"], quiet.equity["equity"], rtol=1e-13)
    check_accounts(wild, {EARNS, COSTS})


def test_a_critical_alert_lets_money_out_and_none_in(driver):
    limit = 0.5 * SUPPLY / CAPITAL
    panel = ether(ROWS, pool=0.001)
    more = {"risk.limits": {"drawdown": {"warning": limit / 2.0, "critical": limit}}}
    result = lend(driver, panel, {**more, "flows": flows(panel, (3, IN), (30, -OUT))})
    assert set(reasons(result)) == {"critical alert: only reductions"}
    assert (held(result, LENT).diff().iloc[1:] <= 0.0).all()
    assert held(result, WALLET, 3) == pytest.approx(KEPT - SUPPLY + IN, abs=1e-9)
    assert result.equity["net_flow"].iloc[30] == -OUT


def test_a_supply_above_the_cap_is_rejected_with_a_reason(driver):
    table = [
        {"from": "2024-01-01", "ltv": 0.8, "liquidation_threshold": 0.83, "liquidation_bonus": 0.05, "supply_cap": cap}
        for cap in (CAPITAL + IN,)
    ]
    table[0]["source"] = "test"
    panel = ether(ROWS, pool=0.0)
    capped = {"venues.aave_v3.reserves.WETH": table}
    result = lend(driver, panel, {**capped, "flows": flows(panel, (AT_IN, IN / 2.0), (AT_OUT, IN))})
    assert set(reasons(result)) == {"supply above the cap"}
    assert events(result, "reject")["row"].min() == AT_OUT
    assert lent(result)[AT_IN] == pytest.approx(CAPITAL - KEPT + IN / 2.0 - SUPPLY, rel=1e-9)
    assert lent(result)[-1] == pytest.approx(lent(result)[AT_IN], rel=1e-12)
    # a supply that was refused has cost nothing and changed nothing
    assert held(result, WALLET, -1) == pytest.approx(KEPT - SUPPLY + IN, abs=1e-9)


# --- closed form on a data set ---------------------------------------------------------------------------------------


def weth_index(data, stamp):
    """The WETH supply index at an instant: the last observation, accrued linearly since."""
    frame = pd.read_parquet(data / "aave" / "weth.parquet").set_index("timestamp")
    known = frame[frame.index <= stamp].iloc[-1]
    return known["liquidity_index"] * (1.0 + known["supply_apr"] * (stamp - known.name).total_seconds() / YEAR_S)


@pytest.mark.parametrize("window", [("2024-05-20", "2025-02-20"), ("2024-08-01T05:00", "2024-08-20T17:00")])
def test_without_costs_the_return_is_the_growth_of_the_index(driver, data, window):
    result = basis.backtest("pure_lending", data, *window, {**IN_ETHER, **FREE}, driver=driver)
    start, end = map(utc, window)
    growth = weth_index(data, end) / weth_index(data, start) - 1.0
    assert result.summary["total_return"] == pytest.approx(growth, abs=1e-12)
    check_accounts(result, {EARNS})
