"""Gate of `eth_staking_only`: ether in a staking token, from its protocol or the market, and back.

The story goes through entry, a deposit, a withdrawal that waits for the unstaking queue, and the exit.
"""

import numpy as np
import pandas as pd
import pytest

import basis
from support.result_checks import check_accounts, events, held, reasons, rows_of, same_tables, series, term, utc
from support.small_markets import flows
from support.staking_markets import after, ether

WALLET, TOKEN = "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"
UNDER_WAY = f"{WALLET}|in_transit"
FREE = {
    "costs.enabled": False,
    "transfers.instant": True,
    "strategy.rebalance": False,
    "valuation": "oracle",
    "rewards.enabled": False,
}
CAPITAL, RESERVE, THRESHOLD, GWEI, PEG = 100.0, 10.0, 0.02, 20.0, 0.999
STAKE, REDEEM = (term("etherfi", "gas_units", name)["value"] * GWEI * 1e-9 for name in ("stake", "redeem"))
SWAP = term("uniswap_v3", "gas_units", "swap")["value"] * GWEI * 1e-9
KEPT = RESERVE * max(STAKE, REDEEM, SWAP)
QUEUE = 7 * 24  # hours in which EtherFi pays
IN, OUT, AT_IN, AT_OUT, LAST = 40.0, 30.0, 20, 40, 40 + QUEUE + 40
ROWS = LAST + 1


def stake(driver, panel, overrides=None, **more):
    return basis.backtest("eth_staking_only", panel, overrides=overrides, driver=driver, **more)


def tell_story(driver, **more):
    panel = ether(ROWS, peg=PEG, gwei=GWEI)
    moved = flows(panel, (AT_IN, IN), (AT_OUT, -OUT))
    return stake(driver, panel, {"flows": moved, "close_at_end": True, **more})


@pytest.fixture(scope="module")
def story(driver):
    return tell_story(driver)


def rate(result):
    return result.panel["oracle_rate|weETH"].to_numpy()


# --- the story -------------------------------------------------------------------------------------------------------


def test_1_entry_stakes_at_the_protocol_rate_and_keeps_gas_back(story):
    [(_, fill)] = events(story, "fill", row=0).iterrows()
    assert (fill["detail"], fill["price"]) == ("stake", rate(story)[0])
    assert held(story, TOKEN, 0) == pytest.approx((CAPITAL - KEPT) / rate(story)[0], rel=1e-12)
    assert held(story, WALLET, 0) == pytest.approx(KEPT - STAKE, abs=1e-12)
    # got at the protocol's rate, valued at the market's
    assert story.attribution["peg_pnl"].iloc[0] == pytest.approx((CAPITAL - KEPT) * (PEG - 1.0), rel=1e-9)
    assert story.equity["equity"].iloc[0] == pytest.approx(CAPITAL - STAKE + (CAPITAL - KEPT) * (PEG - 1.0), rel=1e-12)


def test_2_what_is_held_earns_the_growth_of_the_protocol_rate(story):
    held_before = held(story, TOKEN).to_numpy()[:-1]
    expected = held_before * np.diff(rate(story)) * PEG
    np.testing.assert_allclose(story.attribution["staking_yield"].iloc[1:], expected, rtol=1e-9)
    assert rows_of(story, "fill") == [0, AT_IN]
    assert rows_of(story, "transfer") == [AT_OUT, LAST]


def test_3_a_deposit_is_staked(story):
    got = held(story, TOKEN, AT_IN) - held(story, TOKEN, AT_IN - 1)
    assert got == pytest.approx((IN - STAKE) / rate(story)[AT_IN], rel=1e-9)
    assert held(story, WALLET, AT_IN) == pytest.approx(KEPT - STAKE, abs=1e-12)


def test_4_a_withdrawal_waits_for_the_queue_and_is_paid_whole(story):
    [(_, sent)] = events(story, "transfer", row=AT_OUT).iterrows()
    [(_, back)] = events(story, "arrival", row=AT_OUT + QUEUE).iterrows()
    assert sent["detail"].startswith("arrives ")
    assert (sent["instrument"], sent["destination"]) == (TOKEN, WALLET)
    assert back["instrument"] == WALLET
    assert sent["correlation_id"] == back["correlation_id"] != ""
    assert sent["amount"] == back["quantity"]
    assert back["effective_at"] == sent["effective_at"] == sent["timestamp"] + pd.Timedelta(hours=QUEUE)
    pending = story.equity["withdrawal_pending"]
    assert (pending.iloc[AT_OUT : AT_OUT + QUEUE] == OUT).all()
    assert (pending.iloc[AT_OUT + QUEUE :] == 0.0).all()
    assert story.equity["net_flow"].iloc[AT_OUT] == 0.0
    assert story.equity["net_flow"].iloc[AT_OUT + QUEUE] == -OUT
    assert reasons(story) == []
    # at the rate of the day on which it was asked for: what is in the queue earns nothing
    assert -sent["quantity"] * rate(story)[AT_OUT] == pytest.approx(sent["amount"], rel=1e-12)
    assert (held(story, UNDER_WAY, slice(AT_OUT, AT_OUT + QUEUE)) == sent["amount"]).all()


def test_5_the_exit_leaves_nothing_but_ether(story):
    assert held(story, TOKEN, LAST) == 0.0
    assert held(story, TOKEN, LAST - 1) > 0.0
    ends = held(story, WALLET, LAST) + held(story, UNDER_WAY, LAST)
    assert ends == pytest.approx(story.equity["equity"].iloc[-1], rel=1e-14)


def test_6_staking_peg_and_gas_are_all_that_is_booked(story):
    check_accounts(story, {"staking_yield", "peg_pnl", "gas"})
    paid = np.zeros(ROWS)
    paid[[0, AT_IN, AT_OUT, LAST]] = -STAKE, -STAKE, -REDEEM, -REDEEM
    np.testing.assert_allclose(story.attribution["gas"], paid, atol=1e-12)
    # in at the protocol, out at the protocol: what the market takes for it comes back, but for what it did to growth
    assert story.attribution["peg_pnl"].sum() == pytest.approx(
        (1.0 / PEG - 1.0) * story.attribution["staking_yield"].sum(), rel=1e-6
    )


def test_7_both_drivers_tell_the_same_story():
    assert same_tables(tell_story("kernel"), tell_story("event"))


def test_8_oracle_valuation_knows_no_peg(driver):
    result = tell_story(driver, valuation="oracle")
    check_accounts(result, {"staking_yield", "gas"})
    for key in (TOKEN, UNDER_WAY):
        np.testing.assert_allclose(held(result, key).iloc[:AT_IN], held(tell_story(driver), key).iloc[:AT_IN])


# --- the market's route, peg, flows, risk ----------------------------------------------------------------------------


def test_the_market_route_pays_slippage_and_is_back_in_its_row(driver):
    panel = ether(80, peg=PEG, gwei=GWEI, staking=0.0)
    more = {"strategy.stake_route": "market", "venues.uniswap_v3.spot_slippage.weETHETH": 10, "close_at_end": True}
    result = stake(driver, panel, {**more, "flows": flows(panel, (40, -OUT))})
    assert result.equity["net_flow"].iloc[40] == -OUT
    assert rows_of(result, "transfer") == []
    bought = events(result, "fill", row=0).iloc[0]
    assert bought["price"] == pytest.approx(1.05 * PEG * 1.001, rel=1e-12)
    assert held(result, TOKEN, 0) == pytest.approx((CAPITAL - KEPT) / bought["price"], rel=1e-12)
    assert result.attribution["slippage"].iloc[0] == pytest.approx(-(CAPITAL - KEPT) * (1.0 - 1.0 / 1.001), rel=1e-9)
    assert held(result, TOKEN, -1) == 0.0
    assert held(result, WALLET, -1) == pytest.approx(result.equity["equity"].iloc[-1], rel=1e-14)
    # valued where it is traded: no peg
    check_accounts(result, {"slippage", "gas", "peg_pnl"})
    assert result.attribution["peg_pnl"].abs().max() <= 1e-12 * CAPITAL


@pytest.mark.parametrize("valuation", ["market", "oracle"])
def test_a_depeg_is_peg_pnl_and_only_where_the_market_values(driver, valuation):
    peg = after(np.ones(40), 20, 0.95)
    result = stake(driver, ether(40, peg=peg), {"valuation": valuation})
    lost = result.attribution["peg_pnl"]
    worth = held(result, TOKEN, 19) * rate(result)[20] * -0.05
    assert lost.iloc[20] == pytest.approx(worth if valuation == "market" else 0.0, rel=1e-9)
    assert (lost.drop(lost.index[20]) == 0.0).all()
    check_accounts(result, {"staking_yield", "peg_pnl", "gas"})


def test_a_withdrawal_of_more_than_there_is_gets_everything(driver):
    panel = ether(20 + QUEUE, peg=1.0, gwei=GWEI)
    result = stake(driver, panel, {"flows": flows(panel, (10, -10.0 * CAPITAL))})
    assert reasons(result) == ["withdrawal exceeds equity"]
    assert held(result, TOKEN, -1) == 0.0
    assert result.equity["equity"].iloc[-1] == pytest.approx(0.0, abs=1e-9)
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    check_accounts(result, {"staking_yield", "gas", "peg_pnl"})


def test_a_critical_alert_lets_money_out_and_none_in(driver):
    peg = after(np.ones(60), 10, 0.9)
    panel = ether(60, peg=peg)
    limits = {"risk.limits": {"drawdown": {"warning": 0.02, "critical": 0.05}}}
    more = {**limits, "strategy.stake_route": "market", "flows": flows(panel, (20, IN), (40, -OUT))}
    result = stake(driver, panel, more)
    assert set(reasons(result)) == {"critical alert: only reductions"}
    assert events(result, "reject")["row"].min() == 20
    assert (held(result, TOKEN).diff().iloc[1:] <= 0.0).all()
    assert held(result, WALLET, 20) == pytest.approx(held(result, WALLET, 19) + IN, rel=1e-12)
    assert result.equity["net_flow"].iloc[40] == -OUT


# --- closed forms on a data set --------------------------------------------------------------------------------------

WINDOWS = [
    ("weETH", "2024-05-12", "2025-01-01"),
    ("wstETH", "2024-05-20", "2025-02-20"),
    ("wstETH", "2024-08-01", "2024-09-01"),
]


def protocol_rate(data, lst, stamp):
    known = series(data, f"lst/{lst.lower()}", "oracle_rate_eth")
    return known[known.index <= stamp].iloc[-1]


@pytest.mark.parametrize(("lst", "start", "end"), WINDOWS)
def test_without_costs_the_return_is_the_growth_of_the_rate(driver, data, lst, start, end):
    result = basis.backtest("eth_staking_only", data, start, end, {**FREE, "strategy.lst": lst}, driver=driver)
    growth = protocol_rate(data, lst, utc(end)) / protocol_rate(data, lst, utc(start)) - 1.0
    assert result.summary["total_return"] == pytest.approx(growth, abs=1e-9)
    check_accounts(result, {"staking_yield"})


def test_the_return_of_a_known_span(driver, real_data):
    result = basis.backtest("eth_staking_only", real_data, "2024-05-12", "2025-01-01", FREE, driver=driver)
    assert result.summary["total_return"] == pytest.approx(0.0177089466580886, abs=1e-9)


def test_august_2024_with_costs_closes_on_real_data(driver, real_data):
    result = basis.backtest("eth_staking_only", real_data, "2024-08-01", "2024-09-01", driver=driver)
    check_accounts(result, {"staking_yield", "peg_pnl", "gas"})
    assert result.attribution["staking_yield"].sum() > 0.0
