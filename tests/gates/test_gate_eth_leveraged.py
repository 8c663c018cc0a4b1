"""Gate of `eth_leveraged`: a staking token on Aave against a debt in ether, its loan to value held in a band.

The story goes through entry, a rise and a fall of the loan to value, a deposit, a withdrawal and the exit. What the
story cannot show has runs of its own; what is expected is worked out from prices, indices and the venues' files.
"""

import numpy as np
import pandas as pd
import pytest

import basis
from basis.errors import ConfigError
from basis.inputs.plans import Plan
from support.kernel_view import asked_in_every_row, with_policy
from support.result_checks import check_accounts, events, held, reasons, rows_of, same_tables, series, term, utc
from support.small_markets import flows
from support.staking_markets import YEAR_S, after, ether, grown

WALLET, TOKEN = "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"
POOL, DEBT = "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH"
UNDER_WAY = f"{WALLET}|in_transit"
FREE = {
    "costs.enabled": False,
    "transfers.instant": True,
    "strategy.rebalance": False,
    "valuation": "oracle",
    "rewards.enabled": False,
}
QUIET = {"risk.limits": {}}
CAPITAL, TARGET, BAND, GWEI, PEG = 100.0, 0.85, 0.02, 20.0, 0.999  # of the shipped configuration, and of the market
UP, DOWN = (term("aave_v3", "gas_units", name)["value"] * GWEI * 1e-9 for name in ("lever", "delever"))
FLASH = term("aave_v3", "flash_fee")["value"]
KEPT = 10.0 * UP
EARNS = ("supply_yield", "borrow_cost", "staking_yield", "peg_pnl")
COSTS = ("gas", "flash_fees", "slippage")
THRESHOLD, BONUS, MOST = 0.95, 0.01, 0.93  # e-mode of June 2024
RISE, DROP, AT_IN, AT_OUT, ROWS = 20, 40, 60, 80, 100
IN, OUT = 40.0, 30.0


def lever(driver, panel, overrides=None, **more):
    return basis.backtest("eth_leveraged", panel, overrides=overrides, driver=driver, **more)


def story_market():
    """In row RISE the debt grows by 3 %, in row DROP the token's worth by 4 %."""
    return ether(
        ROWS,
        peg=PEG,
        gwei=GWEI,
        borrow_index__WETH=after(grown(ROWS, 0.025, 1.06), RISE, 1.03),
        oracle_rate__weETH=after(grown(ROWS, 0.03, 1.05), DROP, 1.04),
    )


def tell_story(driver, **more):
    panel = story_market()
    moved = flows(panel, (AT_IN, IN), (AT_OUT, -OUT))
    return lever(driver, panel, {**QUIET, "flows": moved, "close_at_end": True, **more})


@pytest.fixture(scope="module")
def story(driver):
    return tell_story(driver)


# --- what a result says, row by row, in ether at the oracle's prices -------------------------------------------------


def collateral(result):
    return held(result, POOL) * result.panel["liquidity_index|aave_v3:weETH"] * result.panel["oracle_rate|weETH"]


def debt(result):
    return held(result, DEBT) * result.panel["borrow_index|aave_v3:WETH"]


def ltv(result):
    return (debt(result) / collateral(result)).fillna(0.0).to_numpy()


def before_fills(result):
    """The loan to value of every row with the book that the row before left."""
    panel = result.panel
    owed = held(result, DEBT).shift(1) * panel["borrow_index|aave_v3:WETH"]
    return (
        owed / (held(result, POOL).shift(1) * panel["liquidity_index|aave_v3:weETH"] * panel["oracle_rate|weETH"])
    ).to_numpy()


def moved(result, row):
    """Ether repaid or borrowed and the cost columns of a row."""
    [(_, leg)] = events(result, "fill", row=row, instrument=DEBT).iterrows()
    return leg["notional"], result.attribution.iloc[row]


# --- the story -------------------------------------------------------------------------------------------------------


def test_1_entry_levers_to_the_target_after_costs_in_one_transaction(story):
    put_in = CAPITAL - KEPT - UP
    loan = TARGET * put_in / (1.0 + FLASH - TARGET)
    legs = [(e["instrument"], e["detail"]) for _, e in events(story, "fill", row=0).iterrows()]
    assert legs == [(POOL, "lever"), (DEBT, "lever"), (WALLET, "lever")]
    assert collateral(story).iloc[0] == pytest.approx(loan + put_in, rel=1e-9)
    assert debt(story).iloc[0] == pytest.approx(loan * (1.0 + FLASH), rel=1e-9)
    assert ltv(story)[0] == pytest.approx(TARGET, abs=1e-9)
    assert held(story, WALLET, 0) == pytest.approx(KEPT, abs=1e-9)
    assert held(story, TOKEN, 0) == 0.0
    booked = story.attribution.iloc[0]
    assert booked["flash_fees"] == pytest.approx(-FLASH * loan, rel=1e-9)
    assert booked["gas"] == pytest.approx(-UP, rel=1e-12)
    # staked at the protocol's rate, valued at the market's
    assert booked["peg_pnl"] == pytest.approx((PEG - 1.0) * (loan + put_in), rel=1e-9)


def test_2_a_debt_that_grows_beyond_the_band_is_brought_down_to_the_target(story):
    assert before_fills(story)[RISE] > TARGET + BAND
    assert ltv(story)[RISE] == pytest.approx(TARGET, abs=1e-9)
    repaid, booked = moved(story, RISE)
    assert repaid > 0.0
    assert booked["flash_fees"] == pytest.approx(-FLASH * repaid, rel=1e-9)
    assert booked["gas"] == pytest.approx(-DOWN, rel=1e-9)
    assert booked["slippage"] < 0.0
    # what the wallet had beyond its reserve went in
    assert held(story, WALLET, RISE) == pytest.approx(10.0 * DOWN, abs=1e-9)


def test_3_a_token_that_gains_is_levered_up_to_the_target_again(story):
    assert before_fills(story)[DROP] < TARGET - BAND
    assert ltv(story)[DROP] == pytest.approx(TARGET, abs=1e-9)
    borrowed, booked = moved(story, DROP)
    assert borrowed > 0.0
    assert booked["gas"] == pytest.approx(-UP, rel=1e-9)
    assert booked["slippage"] == 0.0


def test_4_a_deposit_is_put_to_work_at_the_same_loan_to_value(story):
    assert ltv(story)[AT_IN] == pytest.approx(TARGET, abs=1e-9)
    grown_by = debt(story).iloc[AT_IN] / debt(story).iloc[AT_IN - 1]
    assert grown_by == pytest.approx(1.0 + IN / story.equity["equity"].iloc[AT_IN - 1], rel=0.02)
    assert story.equity["net_flow"].iloc[AT_IN] == IN


def test_5_a_withdrawal_is_paid_whole_in_its_row_and_the_loan_to_value_kept(story):
    assert story.equity["net_flow"].iloc[AT_OUT] == -OUT
    assert (story.equity["withdrawal_pending"] == 0.0).all()
    assert ltv(story)[AT_OUT] == pytest.approx(TARGET, abs=1e-9)
    shrunk = debt(story).iloc[AT_OUT] / debt(story).iloc[AT_OUT - 1]
    assert shrunk == pytest.approx(1.0 - OUT / story.equity["equity"].iloc[AT_OUT - 1], rel=0.02)
    assert reasons(story) == []


def test_6_nothing_is_done_within_the_band(story):
    assert rows_of(story, "fill") == [0, RISE, DROP, AT_IN, AT_OUT, ROWS - 1]
    assert (np.abs(ltv(story)[:-1] - TARGET) <= BAND).all()


def test_7_the_exit_leaves_no_debt_and_nothing_but_ether(story):
    last = story.positions.iloc[-1]
    assert last[DEBT] == last[POOL] == last[TOKEN] == 0.0
    assert last[WALLET] + last[UNDER_WAY] == pytest.approx(story.equity["equity"].iloc[-1], rel=1e-13)
    kinds = [e["detail"] for _, e in events(story, "fill", row=ROWS - 1, instrument=POOL).iterrows()]
    assert kinds == ["unwind", "withdraw"]
    assert len(events(story, "transfer", row=ROWS - 1)) == 1


def test_8_only_its_own_columns_are_booked_and_they_add_up(story):
    check_accounts(story, {*EARNS, *COSTS})
    booked, panel = story.attribution.iloc[1:], story.panel
    pool, owed = held(story, POOL).to_numpy()[:-1], held(story, DEBT).to_numpy()[:-1]
    index, rate, due = (
        panel[c].to_numpy() for c in ("liquidity_index|aave_v3:weETH", "oracle_rate|weETH", "borrow_index|aave_v3:WETH")
    )
    np.testing.assert_allclose(booked["supply_yield"], pool * np.diff(index) * rate[:-1] * PEG, rtol=1e-9)
    np.testing.assert_allclose(booked["staking_yield"], pool * index[1:] * np.diff(rate) * PEG, rtol=1e-9)
    np.testing.assert_allclose(booked["borrow_cost"], -owed * np.diff(due), rtol=1e-9)


def test_9_both_drivers_tell_the_same_story():
    assert same_tables(tell_story("kernel"), tell_story("event"))


def test_the_market_route_ends_in_the_wallet(driver):
    result = tell_story(driver, **{"strategy.stake_route": "market"})
    assert ltv(result)[[0, RISE, DROP, AT_IN, AT_OUT]] == pytest.approx(TARGET, abs=1e-9)
    assert result.positions.iloc[-1][WALLET] == pytest.approx(result.equity["equity"].iloc[-1], rel=1e-13)
    assert rows_of(result, "transfer") == []
    assert reasons(result) == []
    check_accounts(result, {*EARNS, *COSTS})


@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("target", [0.3, 0.65, 0.9])
def test_every_target_is_hit_after_costs(driver, target, valuation):
    more = {"strategy.target_ltv": target, "valuation": valuation, "strategy.stake_route": "market", **QUIET}
    result = lever(driver, ether(3, peg=0.99), more)
    assert ltv(result)[0] == pytest.approx(target, abs=1e-9)
    check_accounts(result, {*EARNS, *COSTS})


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98, 0.99, 0.999, 1.0, 10.0])
def test_a_withdrawal_of_nearly_all_is_paid_and_not_tried_for_ever(driver, share):
    """Where the exit costs more than what would be left, all is unwound, and who asked gets what there is."""
    panel = ether(60, gwei=GWEI)
    more = {**QUIET, "strategy.stake_route": "market"}
    there = lever(driver, panel, more).equity["equity"].iloc[9]
    result = lever(driver, panel, {**more, "flows": flows(panel, (10, -share * there))})
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    assert (result.equity["net_flow"] < 0.0).sum() == 1
    # nothing is tried again that has failed
    assert len(reasons(result)) <= 2
    assert result.attribution["gas"].sum() > -5.0 * UP


def nearly_all(driver, share, route, rows=60, **more):
    """A withdrawal of a share of the equity in row 10."""
    panel = ether(rows, gwei=GWEI)
    more = {**QUIET, "strategy.stake_route": route, **more}
    there = lever(driver, panel, more).equity["equity"].iloc[9]
    return share * there, lever(driver, panel, {**more, "flows": flows(panel, (10, -share * there))})


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
@pytest.mark.parametrize("share", [0.95, 0.97, 0.99, 0.999, 0.999999, 1.0, 10.0])
def test_where_next_to_nothing_would_be_left_all_is_unwound_at_once(driver, share, fill):
    """No bundle is tried and reverts; what is beyond the equity, and only that, is refused."""
    asked, result = nearly_all(driver, share, "market", fill=fill)
    row = 10 + (fill == "next_bar")
    assert held(result, DEBT, row) == held(result, POOL, row) == 0.0
    assert [e["detail"] for _, e in events(result, "fill", row=row, instrument=DEBT).iterrows()] == ["unwind"]
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    assert set(reasons(result)) <= {"withdrawal exceeds equity"}
    paid = -result.equity["net_flow"].sum()
    refused = sum(e["amount"] for _, e in events(result, "reject").iterrows())
    assert paid + abs(refused) == pytest.approx(asked, rel=1e-12)
    # the costs of one unwinding, and of it alone
    assert -result.attribution["gas"].iloc[row] < 2.0 * DOWN
    assert paid > 0.94 * min(asked, CAPITAL)
    check_accounts(result, {*EARNS, *COSTS})


@pytest.mark.parametrize("share", [0.95, 0.99, 1.0])
def test_what_goes_through_the_queue_is_unwound_at_once_as_well(driver, share):
    """The protocol pays a week later; until then nothing is tried."""
    asked, result = nearly_all(driver, share, "protocol", rows=200)
    assert held(result, DEBT, 10) == held(result, POOL, 10) == held(result, TOKEN, 10) == 0.0
    assert [row for row in rows_of(result, "fill") if 10 < row < 10 + 7 * 24] == []
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    assert set(reasons(result)) <= {"withdrawal exceeds equity"}
    assert -result.equity["net_flow"].sum() > 0.96 * asked
    check_accounts(result, {*EARNS, *COSTS})


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("route", ["market", "protocol"])
def test_what_leaves_enough_keeps_the_loan(driver, share, route):
    asked, result = nearly_all(driver, share, route)
    assert reasons(result) == []
    assert result.equity["net_flow"].iloc[10] == -asked
    assert ltv(result)[10] == pytest.approx(TARGET, abs=1e-9)


# --- the band, the floor, the spike ----------------------------------------------------------------------------------


def test_a_spike_of_the_borrow_rate_is_answered_before_the_floor(driver):
    """At .93, one point below the band's edge and two below the threshold, the debt grows by 3 % a day."""
    rows = 60
    panel = ether(rows, borrow=np.where(np.arange(rows) > 10, 0.03 * 365.0, 0.02))
    more = {"strategy.target_ltv": 0.93, "strategy.ltv_band": 0.01, "strategy.min_health_factor": 1.005, **QUIET}
    result = lever(driver, panel, more)
    answered = [row for row in rows_of(result, "fill") if row > 0]
    assert len(answered) >= 3
    for row in range(1, rows):
        outside = before_fills(result)[row] > 0.94 or THRESHOLD / before_fills(result)[row] < 1.005
        assert outside == (row in answered), row
    assert ltv(result)[answered] == pytest.approx(0.93, abs=1e-9)
    assert (result.risk["health_factor"] >= 1.005).all()
    assert (result.risk["health_factor|before"].iloc[1:] >= 1.005).all()
    assert rows_of(result, "liquidation") == []
    check_accounts(result, {*EARNS, *COSTS})


def test_a_jump_below_the_floor_is_answered_in_its_row(driver):
    panel = ether(30, borrow_index__WETH=after(grown(30, 0.02, 1.06), 12, 1.015))
    more = {"strategy.target_ltv": 0.93, "strategy.ltv_band": 0.01, "strategy.min_health_factor": 1.008, **QUIET}
    result = lever(driver, panel, more)
    assert 1.0 < THRESHOLD / before_fills(result)[12] < 1.008
    assert result.risk["health_factor|before"].iloc[12] == pytest.approx(
        THRESHOLD / before_fills(result)[12], rel=1e-12
    )
    assert ltv(result)[12] == pytest.approx(0.93, abs=1e-9)


def test_a_critical_alert_lets_money_out_and_debt_down_and_nothing_up(driver):
    panel = story_market()
    limits = {"risk.limits": {"ltv": {"warning": 0.1, "critical": 0.2}}}
    result = lever(driver, panel, {**limits, "flows": flows(panel, (AT_IN, IN), (AT_OUT, -OUT))})
    # entered before there was anything to alert of; then down, never up
    assert ltv(result)[0] == pytest.approx(TARGET, abs=1e-9)
    assert ltv(result)[RISE] == pytest.approx(TARGET, abs=1e-9)
    assert before_fills(result)[DROP] < TARGET - BAND
    assert (held(result, DEBT).diff().iloc[1:] <= 0.0).all()
    assert (held(result, POOL).diff().iloc[1:] <= 0.0).all()
    assert result.equity["net_flow"].iloc[AT_OUT] == -OUT
    check_accounts(result, {*EARNS, *COSTS})


# --- depeg, liquidation, bad debt ------------------------------------------------------------------------------------


@pytest.mark.parametrize("valuation", ["market", "oracle"])
def test_a_depeg_is_peg_pnl_and_exit_cost_and_no_matter_of_health(driver, valuation):
    peg = after(np.full(40, PEG), 20, 0.97)
    calm, hit = (
        lever(driver, ether(40, peg=x, gwei=GWEI), {**QUIET, "valuation": valuation, "close_at_end": True})
        for x in (PEG, peg)
    )
    np.testing.assert_array_equal(hit.risk["health_factor"].iloc[:-1], calm.risk["health_factor"].iloc[:-1])
    lost = hit.attribution["peg_pnl"].iloc[20]
    if valuation == "market":
        assert lost == pytest.approx(collateral(hit).iloc[20] * PEG * -0.03, rel=1e-9)
    else:
        assert lost == 0.0
        # the flash loan is repaid by tokens that are sold for less
        assert hit.attribution["peg_pnl"].iloc[-1] < -0.02 * debt(hit).iloc[-2]
    check_accounts(hit, {*EARNS, *COSTS})
    # either way the exit by the market costs what the peg has lost on the debt that it repays
    less = hit.equity["equity"].iloc[-1] - calm.equity["equity"].iloc[-1]
    repaid = debt(hit).iloc[-2] * 1.0
    assert less == pytest.approx(-(1.0 / 0.97 - 1.0) * repaid / PEG, rel=0.02)


def by_hand(backing, owed, whole_below=0.95):
    """Liquidations by the rules of v3.0: half of the debt, all of it at a health factor of .95 or less."""
    loss, count = 0.0, 0
    while owed > 0.0 and backing > 0.0 and THRESHOLD * backing < owed:
        repaid = owed if THRESHOLD * backing / owed <= whole_below else owed / 2.0
        seized = min(repaid * (1.0 + BONUS), backing)
        repaid = seized / (1.0 + BONUS)
        loss += seized - repaid
        backing, owed, count = backing - seized, owed - repaid, count + 1
    return backing, owed, loss, count


HOLD = {**QUIET, "strategy.rebalance": False}
STRUCK = 15


def fallen(cause, factor, rows=30, **more):
    """A market in which collateral over debt changes by a factor in row STRUCK."""
    if cause == "rate":
        return ether(rows, oracle_rate__weETH=after(grown(rows, 0.03, 1.05), STRUCK, factor), **more)
    return ether(rows, borrow_index__WETH=after(grown(rows, 0.025, 1.06), STRUCK, 1.0 / factor), **more)


@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("cause", ["rate", "index"])
@pytest.mark.parametrize("factor", [0.885, 0.86, 0.845])
def test_an_account_that_falls_below_is_liquidated_in_its_row_with_its_loss(driver, cause, factor, valuation):
    """Half of the debt, then more where that was not enough, all of it where it had fallen far."""
    peg = 0.98
    result = lever(driver, fallen(cause, factor, peg=peg), {**HOLD, "valuation": valuation})
    panel = result.panel
    backing = held(result, POOL, STRUCK - 1) * panel["liquidity_index|aave_v3:weETH"].iloc[STRUCK]
    backing *= panel["oracle_rate|weETH"].iloc[STRUCK]
    owed = held(result, DEBT, STRUCK - 1) * panel["borrow_index|aave_v3:WETH"].iloc[STRUCK]
    assert THRESHOLD * backing < owed
    left, owes, loss, count = by_hand(backing, owed)
    assert rows_of(result, "liquidation") == [STRUCK]
    assert len(events(result, "liquidation")) == 2 * count
    assert collateral(result).iloc[STRUCK] == pytest.approx(left, rel=1e-9)
    assert debt(result).iloc[STRUCK] == pytest.approx(owes, rel=1e-9, abs=1e-9)
    booked = result.attribution.iloc[STRUCK]
    assert booked["liquidation_loss"] == pytest.approx(-loss, rel=1e-9)
    # seized at the oracle's worth, booked at the market's: the discount that had been booked comes back
    came_back = (1.0 - peg) * (backing - left) if valuation == "market" else 0.0
    assert booked["peg_pnl"] == pytest.approx(came_back, rel=1e-6, abs=1e-9)
    check_accounts(result, {*EARNS, *COSTS, "liquidation_loss"})
    assert result.summary["liquidations"] >= 1


@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("cause", ["rate", "index"])
def test_what_is_uncovered_stays_as_bad_debt(driver, cause, valuation):
    result = lever(driver, fallen(cause, 0.7), {**HOLD, "valuation": valuation})
    assert rows_of(result, "liquidation") == [STRUCK]
    assert held(result, POOL, STRUCK) == 0.0
    owes = debt(result)
    assert owes.iloc[STRUCK] > 0.0
    assert (held(result, DEBT, slice(STRUCK, None)) == held(result, DEBT, STRUCK)).all()
    # it is in equity, in its exposure and in the health factor, and its interest goes on
    assert result.equity["equity"].iloc[-1] == pytest.approx(held(result, WALLET, -1) - owes.iloc[-1], rel=1e-12)
    assert result.equity["equity"].iloc[-1] < 0.0
    assert (result.risk["health_factor"].iloc[STRUCK:] == 0.0).all()
    assert (result.attribution["borrow_cost"].iloc[STRUCK + 1 :] < 0.0).all()
    check_accounts(result, {*EARNS, *COSTS, "liquidation_loss"})


POOL_BEARS = {"venues.aave_v3.close_rule": [{"from": "2024-01-01", "rule": "aave_v3.3", "source": "test"}]}


@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("cause", ["rate", "index"])
def test_from_v3_3_on_the_pool_bears_a_debt_without_collateral(driver, cause, valuation):
    kept = lever(driver, fallen(cause, 0.7), {**HOLD, "valuation": valuation})
    result = lever(driver, fallen(cause, 0.7), {**HOLD, **POOL_BEARS, "valuation": valuation})
    assert held(result, POOL, STRUCK) == held(result, DEBT, STRUCK) == 0.0
    # equity is what the wallet holds, and the column is the debt that the older rule keeps
    assert result.equity["equity"].iloc[STRUCK] == pytest.approx(held(result, WALLET, STRUCK), rel=1e-12)
    borne = result.attribution["deficit_borne"]
    assert borne.iloc[STRUCK] == pytest.approx(debt(kept).iloc[STRUCK], rel=1e-9)
    assert (borne.drop(borne.index[STRUCK]) == 0.0).all()
    [burnt] = [event for event in events(result, "liquidation", detail="lending, borne by the pool").itertuples()]
    assert (burnt.instrument, burnt.notional) == (DEBT, borne.iloc[STRUCK])
    assert result.summary["bad_debt"] == 0.0
    check_accounts(result, {*EARNS, *COSTS, "liquidation_loss", "deficit_borne"})
    explained = result.explain(result.equity.index[STRUCK])
    assert "deficit" in str(explained)


def test_collateral_that_stays_keeps_its_debt(driver):
    """What is left of the collateral still covers: nothing is borne."""
    result = lever(driver, fallen("rate", 0.885), {**HOLD, **POOL_BEARS})
    assert rows_of(result, "liquidation") != []
    assert (result.attribution["deficit_borne"] == 0.0).all()
    assert held(result, POOL, -1) > 0.0


def test_bad_debt_is_no_low_loan_to_value(driver):
    """A debt without collateral is beyond every limit of the loan to value."""
    result = lever(driver, fallen("rate", 0.7), {**HOLD, "risk.limits": {"ltv": {"warning": 0.9, "critical": 0.94}}})
    assert held(result, POOL, STRUCK) == 0.0
    assert debt(result).iloc[STRUCK] > 0.0
    assert (result.risk["ltv"].iloc[STRUCK:] > 0.94).all()


def test_an_account_that_delevers_in_time_is_not_liquidated(driver):
    calm = lever(driver, fallen("rate", 0.9), QUIET)
    assert rows_of(calm, "liquidation") == []
    assert ltv(calm)[STRUCK] == pytest.approx(TARGET, abs=1e-9)


# --- the loop by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4, 12])
@pytest.mark.parametrize("route", ["protocol", "market"])
def test_a_loop_by_hand_reaches_the_sum_of_its_steps(driver, steps, route):
    more = {**FREE, "strategy.loop_steps": steps, "strategy.stake_route": route, **QUIET}
    result = lever(driver, ether(3, peg=1.0), more)
    reached = (1.0 - TARGET ** (steps + 1)) / (1.0 - TARGET)
    assert collateral(result).iloc[0] == pytest.approx(CAPITAL * reached, rel=1e-9)
    assert debt(result).iloc[0] == pytest.approx(CAPITAL * (reached - 1.0), rel=1e-9)
    assert reasons(result) == []


def test_a_loop_by_hand_costs_more_gas_and_no_flash_fee(driver):
    panel = ether(3, peg=1.0, gwei=GWEI)
    one, loop = (lever(driver, panel, {**QUIET, "strategy.loop_steps": steps}) for steps in (0, 20))
    gas = {name: term("aave_v3", "gas_units", name)["value"] * GWEI * 1e-9 for name in ("supply", "borrow")}
    stake = term("etherfi", "gas_units", "stake")["value"] * GWEI * 1e-9
    assert one.attribution["gas"].iloc[0] == pytest.approx(-UP, rel=1e-12)
    spent = 21 * (stake + gas["supply"]) + 20 * gas["borrow"]
    assert loop.attribution["gas"].iloc[0] == pytest.approx(-spent, rel=1e-9)
    assert loop.attribution["flash_fees"].iloc[0] == 0.0 > one.attribution["flash_fees"].iloc[0]
    assert TARGET - 0.01 < ltv(loop)[0] < TARGET
    check_accounts(loop, {*EARNS, *COSTS})


# --- refused configurations and orders -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"strategy.target_ltv": 0.935}, ["target_ltv", "0.935", "0.93", "weETH"]),
        ({"strategy.target_ltv": 0.9, "strategy.ltv_band": 0.05}, ["ltv_band", "0.05", "0.95", "weETH"]),
        ({"strategy.min_health_factor": 1.2}, ["min_health_factor", "1.2", "1.092", "weETH"]),
        ({"venues.aave_v3.emodes": {}}, ["target_ltv", "0.85", "0.775", "weETH"]),
    ],
)
def test_a_target_that_cannot_be_held_is_refused(driver, changed, words):
    with pytest.raises(ConfigError) as caught:
        lever(driver, ether(3), changed)
    for word in words:
        assert word in str(caught.value)


def test_a_target_that_a_later_row_forbids_is_refused_before_the_run(driver):
    """The threshold falls in the middle of the run."""
    mode = {"collateral": ["weETH"], "debt": ["WETH"], "liquidation_bonus": 0.01, "source": "test"}
    table = [
        {"from": "2024-01-01", "ltv": 0.93, "liquidation_threshold": 0.95, **mode},
        {"from": "2024-06-02", "ltv": 0.8, "liquidation_threshold": 0.85, **mode},
    ]
    with pytest.raises(ConfigError, match="2024-06-02"):
        lever(driver, ether(60), {"venues.aave_v3.emodes": {"lst_main": table}})
    assert lever(driver, ether(20), {"venues.aave_v3.emodes": {"lst_main": table}}).status == "complete"


#: What the actions on a staking token mean: supplied as it is, or against a debt in ether by so many loops.
LEND = Plan("lend", "weETH", TOKEN, POOL)


def lever_plan(loops=0):
    return Plan("lever", "ETH", TOKEN, POOL, pays=WALLET, debt=DEBT, loops=loops)


def in_row_1(plan, action="entry_full", amount=50.0, **policy):
    """A strategy of one action in row 1, whatever the mode would do."""

    class InRow1(basis.StrategyManager):
        @classmethod
        def definition(cls, strategy):
            return asked_in_every_row(with_policy(strategy, **policy), plans=lambda config: (plan,))

        def make_decision(self, timestamp=None, market_data=None):
            return [basis.Action(action, plan.asset, amount)] if self.run.state.row == 1 else None

    return InRow1


BOOK = {POOL: 100.0, DEBT: 80.0, WALLET: 60.0, TOKEN: 10.0}


def refused(driver, made, **changed):
    """A run of few rows with one action, and that nothing but gas changed hands."""
    result = lever(driver, ether(4, gwei=GWEI), {**QUIET, **changed}, positions=BOOK, strategy=made)
    check_accounts(result, {*EARNS, *COSTS})
    for key in (POOL, DEBT, TOKEN):
        assert (held(result, key) == BOOK[key]).all(), key
    return result


def test_a_withdrawal_that_would_break_the_health_factor_is_rejected(driver):
    # 100 tokens carry 84.8 of debt: 14 of them may not leave
    result = refused(driver, in_row_1(LEND, "exit_partial", 20.0))
    assert reasons(result) == ["health factor would fall below 1"]
    assert (held(result, WALLET) == BOOK[WALLET]).all()
    fine = lever(driver, ether(4), QUIET, positions=BOOK, strategy=in_row_1(LEND, "exit_partial", 10.0))
    assert reasons(fine) == []
    assert (fine.risk["health_factor"] >= 1.0).all()


def test_a_bundle_beyond_the_loan_to_value_reverts_and_costs_its_gas(driver):
    result = refused(driver, in_row_1(lever_plan(), target_ltv=0.94))
    assert reasons(result) == ["debt beyond the loan to value allowed"]
    assert held(result, WALLET, 1) == pytest.approx(BOOK[WALLET] - UP, rel=1e-12)
    assert result.attribution["gas"].iloc[1] == pytest.approx(-UP, rel=1e-12)


def test_a_loan_beyond_the_loan_to_value_is_rejected(driver):
    made = in_row_1(lever_plan(loops=1), target_ltv=0.94)
    result = lever(driver, ether(4), QUIET, positions=BOOK, strategy=made)
    assert reasons(result) == ["debt beyond the loan to value allowed"]
    assert (held(result, DEBT) == BOOK[DEBT]).all()
    assert [e["detail"] for _, e in events(result, "fill", row=1).iterrows()][:2] == ["stake", "supply"]


def test_a_loop_by_hand_puts_in_no_more_than_it_is_asked_to(driver):
    """What the wallet holds beyond that stays there."""
    more = {**QUIET, "costs.enabled": False}
    for loops in (0, 1, 3):
        made = in_row_1(lever_plan(loops), target_ltv=TARGET)
        result = lever(driver, ether(4), more, positions={WALLET: 60.0}, strategy=made)
        assert reasons(result) == []
        assert held(result, WALLET, 1) == pytest.approx(10.0, abs=1e-9), loops


def capped(most):
    terms = {"ltv": 0.775, "liquidation_threshold": 0.8, "liquidation_bonus": 0.07, "source": "test"}
    return {"venues.aave_v3.reserves.weETH": [{"from": "2024-01-01", "supply_cap": most, **terms}]}


def test_a_supply_above_the_cap_is_rejected(driver):
    made = in_row_1(LEND, amount=8.0)
    result = refused(driver, made, **capped(105.0))
    assert reasons(result) == ["supply above the cap"]
    assert reasons(lever(driver, ether(4), {**QUIET, **capped(110.0)}, positions=BOOK, strategy=made)) == []


def test_a_bundle_above_the_cap_reverts_and_costs_its_gas(driver):
    result = refused(driver, in_row_1(lever_plan()), **capped(150.0))
    assert reasons(result) == ["supply above the cap"]
    assert held(result, WALLET, 1) == pytest.approx(BOOK[WALLET] - UP, rel=1e-12)


# --- closed forms on a data set --------------------------------------------------------------------------------------


def accrued(data, name, index, rate, stamp, compounds):
    """An index of Aave at an instant: the last observation, and its rate since."""
    frame = pd.read_parquet(data / "aave" / f"{name}.parquet").set_index("timestamp")
    known = frame[frame.index <= stamp].iloc[-1]
    years = (stamp - known.name).total_seconds() / YEAR_S
    return known[index] * (np.exp(known[rate] * years) if compounds else 1.0 + known[rate] * years)


def expected(data, lst, target, start, end):
    """L (R1/R0 I1/I0 - 1) - (L - 1) (B1/B0 - 1), straight from the files."""
    rate, name = series(data, f"lst/{lst.lower()}", "oracle_rate_eth"), lst.lower()
    stamps = [utc(start), utc(end)]
    before, after_ = (rate[rate.index <= stamp].iloc[-1] for stamp in stamps)
    supply = [accrued(data, name, "liquidity_index", "supply_apr", stamp, False) for stamp in stamps]
    owed = [accrued(data, "weth", "variable_borrow_index", "variable_borrow_apr", stamp, True) for stamp in stamps]
    factor = 1.0 / (1.0 - target)
    gain = after_ / before * supply[1] / supply[0] - 1.0
    return factor * gain - (factor - 1.0) * (owed[1] / owed[0] - 1.0)


@pytest.mark.parametrize("target", [0.65, 0.3, 0.9])
@pytest.mark.parametrize(
    ("lst", "start", "end"),
    [
        ("weETH", "2024-05-12", "2025-01-01"),
        ("wstETH", "2024-06-10", "2025-03-01"),
        ("weETH", "2024-08-01", "2024-09-01"),
    ],
)
def test_without_costs_the_return_is_that_of_its_legs(driver, data, lst, start, end, target):
    more = {**FREE, **QUIET, "strategy.lst": lst, "strategy.target_ltv": target}
    result = basis.backtest("eth_leveraged", data, start, end, more, driver=driver)
    assert result.summary["total_return"] == pytest.approx(expected(data, lst, target, start, end), abs=1e-9)
    check_accounts(result, {"supply_yield", "borrow_cost", "staking_yield", "peg_pnl"})
    # at the oracle's rate there is no peg but what rounding leaves of tokens times rate
    assert result.attribution["peg_pnl"].abs().sum() <= 1e-14 * CAPITAL / (1.0 - target)


@pytest.mark.parametrize("target", [0.85, 0.9])
def test_august_2024_keeps_to_the_band_on_real_data(driver, real_data, target):
    more = {"strategy.target_ltv": target, "strategy.min_health_factor": 1.02, **QUIET}
    result = basis.backtest("eth_leveraged", real_data, "2024-07-25", "2024-09-01", more, driver=driver)
    check_accounts(result, {*EARNS, *COSTS})
    assert (np.abs(ltv(result) - target) <= BAND).all()
    assert rows_of(result, "liquidation") == []


def test_the_terms_of_this_gate_are_those_of_the_venue():
    """A guard for the numbers above."""
    mode = term("aave_v3", "emodes", "lst_main", when="2024-06-01")
    assert (mode["liquidation_threshold"], mode["liquidation_bonus"], mode["ltv"]) == (THRESHOLD, BONUS, MOST)
