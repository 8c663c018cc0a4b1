"""Gate of `pure_lending`: the wallet's USDT supplied to Aave, gas kept back, and nothing but interest and gas booked.

One run, the story, goes through entry, a deposit too small to act on, one that is, a withdrawal and the exit; the steps
look at it in that order. What the story cannot show has runs of its own.
"""

import numpy as np
import pytest

import basis
from support.result_checks import (
    check_accounts,
    events,
    gas_cost,
    gas_price,
    held,
    reasons,
    rows_of,
    same_tables,
    series,
    supply_index,
    utc,
)
from support.small_markets import flows, pool

WALLET, LENT = "wallet:BaseToken:USDT", "aave_v3:aToken:USDT"
#: The only columns that lending may fill.
EARNS, COSTS = "supply_yield", "gas"
FREE = {"costs.enabled": False}
CAPITAL, RESERVE, THRESHOLD = 100_000.0, 10.0, 0.02  # of the shipped configuration
ROWS, APR, GWEI, ETH = 72, 0.05, 20.0, 3_000.0
SUPPLY, TAKE = (gas_cost("aave_v3", operation, GWEI, ETH) for operation in ("supply", "withdraw"))
#: Gas that the wallet keeps back: so many times the dearer of the two transactions.
KEPT = RESERVE * max(SUPPLY, TAKE)
SMALL, LARGE, OUT = 1_000.0, 30_000.0, 25_000.0
AT_SMALL, AT_LARGE, AT_OUT, LAST = 10, 20, 40, ROWS - 1


def lend(driver, market=None, overrides=None, **more):
    market = pool(ROWS, apr=APR, gwei=GWEI, eth=ETH) if market is None else market
    return basis.backtest("pure_lending", market, overrides=overrides, driver=driver, **more)


def tell_story(driver):
    panel = pool(ROWS, apr=APR, gwei=GWEI, eth=ETH)
    moved = flows(panel, (AT_SMALL, SMALL), (AT_LARGE, LARGE), (AT_OUT, -OUT))
    return lend(driver, panel, {"flows": moved, "close_at_end": True})


@pytest.fixture(scope="module")
def story(driver):
    return tell_story(driver)


def index(result):
    return result.panel["liquidity_index|aave_v3:USDT"].to_numpy()


def lent(result):
    """The supplied balance with its interest, USDT."""
    return held(result, LENT).to_numpy() * index(result)


# --- the story -------------------------------------------------------------------------------------------------------


def test_1_entry_supplies_the_capital_in_row_0_and_keeps_gas_back(story):
    [(_, supply)] = events(story, "fill", row=0).iterrows()
    assert (supply["detail"], supply["instrument"], supply["venue"]) == ("supply", LENT, "aave_v3")
    assert lent(story)[0] == pytest.approx(CAPITAL - KEPT, rel=1e-12)
    assert held(story, LENT, 0) == pytest.approx((CAPITAL - KEPT) / index(story)[0], rel=1e-12)
    assert held(story, WALLET, 0) == pytest.approx(KEPT - SUPPLY, abs=1e-9)
    assert story.equity["equity"].iloc[0] == pytest.approx(CAPITAL - SUPPLY, abs=1e-9)


def test_2_holding_is_left_alone_while_the_index_pays(story):
    assert rows_of(story, "fill") == [0, AT_LARGE, AT_OUT, LAST]
    scaled = held(story, LENT).to_numpy()
    for since, until in ((0, AT_LARGE), (AT_LARGE, AT_OUT), (AT_OUT, LAST)):
        assert (scaled[since:until] == scaled[since]).all()
    interest = scaled[:-1] * np.diff(index(story))
    np.testing.assert_allclose(story.attribution[EARNS].iloc[1:], interest, rtol=1e-9)
    assert story.attribution[EARNS].iloc[0] == 0.0


def test_3_a_deposit_within_the_threshold_waits_in_the_wallet(story):
    assert SMALL < THRESHOLD * CAPITAL
    assert story.equity["net_flow"].iloc[AT_SMALL] == SMALL
    np.testing.assert_allclose(held(story, WALLET, slice(AT_SMALL, AT_LARGE)), KEPT - SUPPLY + SMALL, atol=1e-9)


def test_4_a_deposit_beyond_it_is_supplied_with_what_waited(story):
    [(_, supply)] = events(story, "fill", row=AT_LARGE).iterrows()
    # the wallet goes back to its reserve, which the first supply's gas had been taken from
    put_in = SMALL + LARGE - SUPPLY
    assert supply["quantity"] == pytest.approx(put_in / index(story)[AT_LARGE], rel=1e-9)
    assert held(story, WALLET, AT_LARGE) == pytest.approx(KEPT - SUPPLY, abs=1e-9)
    assert story.equity["net_flow"].iloc[AT_LARGE] == LARGE


def test_5_a_withdrawal_is_paid_whole_in_its_row_from_the_pool(story):
    assert story.equity["net_flow"].iloc[AT_OUT] == -OUT
    assert (story.equity["withdrawal_pending"] == 0.0).all()
    assert [e["detail"] for _, e in events(story, "flow", row=AT_OUT).iterrows()] == [
        "withdrawal requested",
        "withdrawal paid",
    ]
    [(_, taken)] = events(story, "fill", row=AT_OUT).iterrows()
    # what is owed and the gas of the way out, and the reserve is whole again
    assert taken["detail"] == "withdraw"
    assert held(story, WALLET, AT_OUT) == pytest.approx(KEPT + max(SUPPLY, TAKE) - TAKE, abs=1e-6)
    left = lent(story)[AT_OUT - 1] * index(story)[AT_OUT] / index(story)[AT_OUT - 1]
    drawn = OUT + TAKE + held(story, WALLET, AT_OUT) - held(story, WALLET, AT_OUT - 1)
    assert left - lent(story)[AT_OUT] == pytest.approx(drawn, rel=1e-9)


def test_6_the_exit_ends_in_cash(story):
    assert held(story, LENT, LAST - 1) > 0.0
    assert held(story, LENT, LAST) == 0.0
    assert held(story, WALLET, LAST) == pytest.approx(story.equity["equity"].iloc[-1], rel=1e-14)


def test_7_interest_and_gas_are_all_that_is_booked(story):
    check_accounts(story, {EARNS, COSTS})
    paid = {0: SUPPLY, AT_LARGE: SUPPLY, AT_OUT: TAKE, LAST: TAKE}
    expected = np.zeros(ROWS)
    expected[list(paid)] = [-cost for cost in paid.values()]
    np.testing.assert_allclose(story.attribution[COSTS], expected, atol=1e-9)
    assert (story.attribution[EARNS].iloc[1:] > 0.0).all()
    # money of the investor is no profit
    profit = story.attribution[[EARNS, COSTS]].to_numpy().sum()
    assert story.equity["equity"].iloc[-1] == pytest.approx(CAPITAL + SMALL + LARGE - OUT + profit, abs=1e-6)
    assert reasons(story) == []


def test_8_both_drivers_tell_the_same_story():
    assert same_tables(tell_story("kernel"), tell_story("event"))


# --- flows, risk, rule -----------------------------------------------------------------------------------------------


def test_a_withdrawal_of_more_than_there_is_gets_everything(driver):
    panel = pool(ROWS, apr=APR, gwei=GWEI, eth=ETH)
    result = lend(driver, panel, {"flows": flows(panel, (AT_OUT, -10.0 * CAPITAL))})
    assert reasons(result) == ["withdrawal exceeds equity"]
    before = result.equity["equity"].iloc[AT_OUT - 1]
    interest = result.attribution[EARNS].iloc[AT_OUT]
    assert -result.equity["net_flow"].sum() == pytest.approx(before + interest - TAKE, abs=1e-6)
    assert held(result, LENT, -1) == 0.0
    assert result.equity["equity"].iloc[-1] == pytest.approx(0.0, abs=1e-6)
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    check_accounts(result, {EARNS, COSTS})


def test_a_critical_alert_lets_money_out_and_none_in(driver):
    """The gas of the entry is a drawdown beyond the limit until interest has earned half of it back."""
    panel = pool(ROWS, apr=APR, gwei=GWEI, eth=ETH)
    limit = 0.5 * SUPPLY / CAPITAL
    more = {"risk.limits": {"drawdown": {"warning": limit / 2.0, "critical": limit}}}
    result = lend(driver, panel, {**more, "flows": flows(panel, (3, LARGE), (6, -OUT))})
    raised, ended = [alert for _, alert in events(result, "alert").iterrows()][:2]
    assert (raised["row"], raised["level"]) == (0, "critical")
    assert ended["level"] == "warning"
    over = ended["row"]
    assert 6 < over < LAST
    assert (result.risk["alert|drawdown"].iloc[:over] == 2).all()
    # in: rejected whenever it was asked for, and the deposit stays in the wallet
    entries = events(result, "reject", action="entry_partial")
    assert entries["row"].min() == 3
    assert entries["row"].max() < over
    assert set(entries["detail"]) == {"critical alert: only reductions"}
    assert (held(result, LENT, slice(0, over)).diff().iloc[1:] <= 0.0).all()
    assert held(result, WALLET, 3) == pytest.approx(KEPT - SUPPLY + LARGE, abs=1e-6)
    # out: paid in its row
    assert result.equity["net_flow"].iloc[6] == -OUT
    # and in the row in which it is over, what waited is supplied, as it is worth a transaction
    waited = held(result, WALLET, over - 1) - KEPT
    assert waited > THRESHOLD * result.equity["equity"].iloc[over]
    [(_, supply)] = events(result, "fill", row=over).iterrows()
    assert supply["detail"] == "supply"
    assert supply["seq"] > ended["seq"]
    assert held(result, WALLET, over) == pytest.approx(KEPT - SUPPLY, abs=1e-6)
    check_accounts(result, {EARNS, COSTS})


def test_the_rate_rule_enters_above_one_rate_and_leaves_below_another(driver):
    enter, leave = 0.04, 0.02
    mean = np.repeat([0.03, 0.05, 0.03, 0.01, 0.03, 0.05], 12)
    rule = {"enabled": True, "enter": enter, "leave": leave, "window": "24h"}
    panel = pool(len(mean), mean=mean)
    # between the two rates a deposit follows what was decided before: in at first, out later
    more = {"strategy.rate_rule": rule, "flows": flows(panel, (30, LARGE), (54, LARGE))}
    result = lend(driver, panel, {**FREE, **more})
    wanted, inside = [], False
    for rate in mean:
        inside = rate > enter or (inside and rate >= leave)
        wanted.append(inside)
    assert ((held(result, LENT) > 0.0).to_numpy() == wanted).all()
    assert held(result, LENT, 30) > held(result, LENT, 29)
    check_accounts(result, {EARNS})


# --- closed forms on a data set --------------------------------------------------------------------------------------

WINDOW = ("2024-05-20", "2025-02-20")


def growth(data):
    start, end = map(utc, WINDOW)
    return supply_index(data, end) / supply_index(data, start)


def test_without_costs_the_return_is_the_growth_of_the_index(driver, data):
    result = basis.backtest("pure_lending", data, *WINDOW, FREE, driver=driver)
    assert result.summary["total_return"] == pytest.approx(growth(data) - 1.0, abs=1e-12)
    assert result.attribution[EARNS].sum() == pytest.approx(CAPITAL * (growth(data) - 1.0), rel=1e-10)
    check_accounts(result, {EARNS})


def test_costs_take_the_gas_and_the_interest_on_what_is_kept_back(driver, data):
    start, end = map(utc, WINDOW)
    eth = series(data, "spot/bybit_ethusdt", "open")

    def gas(operation, stamp):
        return gas_cost("aave_v3", operation, gas_price(data, stamp), eth[stamp])

    result = basis.backtest("pure_lending", data, *WINDOW, {"close_at_end": True}, driver=driver)
    kept = RESERVE * max(gas("supply", start), gas("withdraw", start))
    ends = (CAPITAL - kept) * growth(data) + kept - gas("supply", start) - gas("withdraw", end)
    assert result.summary["final_equity"] == pytest.approx(ends, abs=1e-7)
    assert held(result, WALLET, -1) == pytest.approx(ends, abs=1e-7)
    assert result.summary["total_return"] < growth(data) - 1.0
    check_accounts(result, {EARNS, COSTS})
