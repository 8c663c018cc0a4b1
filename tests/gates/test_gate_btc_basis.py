"""Gate of `btc_basis`: spot BTC against perp shorts of equal size, margin at each venue, funding and basis earned.

One run, the story, goes through entry, a rally, a fall, a deposit, a withdrawal and the exit; the steps look at it in
that order. What the story cannot show has runs of its own.
"""

import numpy as np
import pytest

import basis
from basis import Action, Decision
from support.result_checks import (
    check_accounts,
    events,
    filled,
    gas_cost,
    held,
    reasons,
    rows_of,
    same_tables,
    settled,
    slippage_rate,
    term,
    under_way,
    utc,
)
from support.runs import busy
from support.small_markets import flows, market, path, steady

WEIGHTS = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
WALLET, SPOT, SPOT_CASH = "wallet:BaseToken:USDT", "binance:BaseToken:BTC", "binance:BaseToken:USDT"
CAPITAL, TARGET, THRESHOLD, MAX_DRIFT = 100_000.0, 0.5, 0.02, 0.02  # of the shipped configuration
LOW, HIGH = 0.7 * TARGET, 1.5 * TARGET
#: The only columns that the basis trade may fill; delta is what two equal legs leave of a price move: nothing.
EARNS = ("funding_pnl", "basis_pnl")
COSTS = ("fees", "slippage", "gas", "transfer_fees")
BOOKED = (*EARNS, *COSTS, "delta_pnl")
FREE = {"costs.enabled": False, "transfers.instant": True}
QUIET = {"risk.limits": {}}
GWEI, ETH = 20.0, 3_000.0
IN, OUT = 50_000.0, 40_000.0
RALLY, TOP, FALL, BOTTOM, AT_IN, AT_OUT, LAST = 10, 40, 60, 90, 105, 120, 140


def perp(venue):
    return f"{venue}:Perp:BTCUSDT"


def cash(venue):
    return f"{venue}:BaseToken:USDT"


def trade(driver, panel, overrides=None, **more):
    return basis.backtest(
        "btc_basis", panel, overrides={**busy("btc_basis"), **(overrides or {})}, driver=driver, **more
    )


def tell_story(driver, **overrides):
    turns = {0: 60_000.0, RALLY: 60_000.0, TOP: 78_000.0, FALL: 78_000.0, BOTTOM: 55_000.0, LAST: 55_000.0}
    prices = path(*turns.items())
    waves = 5e-4 * np.sin(np.arange(len(prices)) / 5.0)
    rate = {"binance": 1e-4, "bybit": 2e-4, "okx": -5e-5}
    panel = market(prices, basis={"binance": waves, "bybit": 0.0, "okx": -waves}, rate=rate, gwei=GWEI, eth=ETH)
    moved = flows(panel, (AT_IN, IN), (AT_OUT, -OUT))
    return trade(driver, panel, {**QUIET, "flows": moved, "close_at_end": True, **overrides})


@pytest.fixture(scope="module")
def story(driver):
    return tell_story(driver)


# --- what a result says, row by row ----------------------------------------------------------------------------------


def price(result):
    return result.panel["spot|BTC"].to_numpy()


def equity(result):
    return result.equity["equity"].to_numpy()


def long(result):
    return held(result, SPOT).to_numpy()


def short(result, venue=None):
    """Units short, at a venue or over all."""
    venues = WEIGHTS if venue is None else (venue,)
    return -sum(held(result, perp(v)).to_numpy() for v in venues if perp(v) in result.positions)


def margin(result, venue, when=""):
    return result.risk[f"margin_ratio|{venue}{when}"].to_numpy()


def off_target(result):
    """|E / (1 + m) - spot notional| over E; what is owed to the investor is not aimed at."""
    free = equity(result) - result.equity["withdrawal_pending"].to_numpy()
    return np.abs(free / (1.0 + TARGET) - long(result) * price(result)) / equity(result)


def check_hedged(result):
    """No row ends with one leg larger than the other."""
    larger = np.maximum(long(result), short(result))
    assert (np.abs(long(result) - short(result)) <= 1e-9 * larger).all()
    ratio = result.exposure["net_delta_ratio|BTC"].to_numpy()
    assert np.abs(ratio).max() <= 1e-9


def fill_rows(result):
    return set(rows_of(result, "fill"))


# --- the story -------------------------------------------------------------------------------------------------------


def test_1_entry_sends_margin_and_cash_first_and_trades_nothing(story):
    sent = events(story, "transfer", row=0)
    assert 0 not in fill_rows(story)
    for venue, weight in WEIGHTS.items():
        first = sent[sent["destination"] == cash(venue)].iloc[0]
        assert -first["quantity"] == pytest.approx(weight * CAPITAL * TARGET / (1.0 + TARGET), rel=1e-12)
    gas = len(sent) * gas_cost("wallet", "transfer", GWEI, ETH)
    travels = sum(held(story, f"{cash(v)}|in_transit", 0) for v in WEIGHTS)
    assert travels == pytest.approx(CAPITAL - gas, abs=1e-6)
    # on its way it is equity and no margin
    assert equity(story)[0] == pytest.approx(CAPITAL - gas, abs=1e-6)
    assert all(held(story, cash(v), 0) == 0.0 for v in WEIGHTS)


def test_2_both_legs_open_in_the_row_in_which_the_margin_arrives(story):
    [row] = {e["row"] for _, e in events(story, "arrival").iterrows() if e["row"] < RALLY}
    assert row == 1
    assert long(story)[row] * price(story)[row] == pytest.approx(CAPITAL / (1.0 + TARGET), rel=THRESHOLD)
    for venue, weight in WEIGHTS.items():
        assert short(story, venue)[row] == pytest.approx(weight * long(story)[row], rel=1e-9)
        assert margin(story, venue)[row] == pytest.approx(TARGET, rel=THRESHOLD)
    # venue by venue: the short, then the spot that it hedges
    legs = [(e["detail"], e["venue"], e["quantity"]) for _, e in events(story, "fill", row=row).iterrows()]
    for (first, venue, sold), (then, where, bought) in zip(legs[::2], legs[1::2], strict=True):
        assert (first, then, where) == ("perp", "spot", "binance")
        assert sold == pytest.approx(-bought, rel=1e-9)
        assert WEIGHTS[venue] > 0.0


def test_3_within_the_bands_nothing_is_traded(story):
    for since, until in ((2, RALLY), (TOP + 5, FALL), (BOTTOM + 5, AT_IN), (AT_IN + 5, AT_OUT)):
        assert not fill_rows(story) & set(range(since, until))
        assert not [row for row in rows_of(story, "transfer") if since <= row < until]


def test_4_a_rally_takes_margin_and_both_legs_shrink_for_it(story):
    row, trades = TOP + 5, events(story, "fill", detail="spot")
    trades = trades.loc[trades["row"].between(RALLY, TOP), "quantity"]
    assert len(trades) > 0
    assert (trades < 0.0).all()
    assert long(story)[row] < long(story)[RALLY]
    assert off_target(story)[row] <= THRESHOLD


def test_5_a_fall_frees_margin_and_both_legs_grow(story):
    row, trades = BOTTOM + 5, events(story, "fill", detail="spot")
    trades = trades.loc[trades["row"].between(FALL, BOTTOM), "quantity"]
    assert len(trades) > 0
    assert (trades > 0.0).all()
    assert long(story)[row] > long(story)[FALL - 1]
    assert off_target(story)[row] <= THRESHOLD


def test_6_rebalancing_answers_every_row_that_leaves_a_band(story):
    """Where nothing travels, a row that begins outside of a band is decided on, and none ends there."""
    decided, resting = set(rows_of(story, "decision")), ~under_way(story)
    left = 0
    for row in range(2, LAST):
        before = [margin(story, venue, "|before")[row] for venue in WEIGHTS]
        if resting[row - 1] and (min(before) < LOW or max(before) > HIGH):
            assert row in decided, row
            left += 1
        if resting[row]:
            # costs of the trades that keep the band are paid from the margin
            assert min(margin(story, venue)[row] for venue in WEIGHTS) > 0.97 * LOW
            assert row in decided or off_target(story)[row] <= THRESHOLD * (1.0 + 1e-9), row
    assert left > 0
    assert reasons(story) == []


def test_7_a_deposit_is_sent_to_the_venues_and_both_legs_grow_by_it(story):
    assert story.equity["net_flow"].iloc[AT_IN] == IN
    assert rows_of(story, "flow", detail="deposit") == [AT_IN]
    grown = long(story)[AT_IN + 3] / long(story)[AT_IN - 1]
    assert grown == pytest.approx(1.0 + IN / equity(story)[AT_IN - 1], rel=THRESHOLD)
    # before its margin has arrived only as much as the margin that is there carries
    assert long(story)[AT_IN] < long(story)[AT_IN + 1]
    assert min(margin(story, venue)[AT_IN] for venue in WEIGHTS) > 0.97 * LOW


def test_8_a_withdrawal_unwinds_both_legs_in_proportion_and_is_paid_whole(story):
    left = 1.0 - OUT / equity(story)[AT_OUT - 1]
    assert long(story)[AT_OUT] / long(story)[AT_OUT - 1] == pytest.approx(left, rel=THRESHOLD)
    for venue in WEIGHTS:
        assert short(story, venue)[AT_OUT] / short(story, venue)[AT_OUT - 1] == pytest.approx(left, rel=THRESHOLD)
    # it is owed while the money travels, once, and paid in the row in which it arrives
    [paid] = rows_of(story, "flow", detail="withdrawal paid")
    assert paid == next(row for row in rows_of(story, "arrival", instrument=WALLET) if row > AT_OUT)
    pending = story.equity["withdrawal_pending"].to_numpy()
    assert (pending[AT_OUT:paid] == OUT).all()
    assert (pending[paid:] == 0.0).all()
    assert story.equity["net_flow"].iloc[paid] == -OUT
    assert story.equity["net_flow"].sum() == IN - OUT


def test_9_the_exit_ends_in_cash(story):
    assert long(story)[-2] > 0.0
    assert long(story)[-1] == 0.0
    assert all(short(story, venue)[-1] == 0.0 for venue in WEIGHTS)
    everywhere = sum(held(story, key, -1) for key in (WALLET, *map(cash, WEIGHTS)))
    assert everywhere == pytest.approx(equity(story)[-1], abs=1e-6)


def test_10_both_legs_are_one_size_in_every_row(story):
    check_hedged(story)


def test_11_profit_stands_in_its_columns_and_adds_up(story):
    check_accounts(story, BOOKED)
    # what two legs of equal size leave is rounding
    moved = np.abs(np.diff(price(story))) @ long(story)[:-1]
    assert story.attribution["delta_pnl"].abs().sum() < 1e-9 * moved


def test_12_funding_is_what_each_venue_paid_on_the_short_it_saw(story):
    for venue in WEIGHTS:
        due = story.panel[f"funding_cash|{perp(venue)}"].to_numpy()[1:]
        paid = story.attribution_by_venue[f"funding_pnl|{venue}"].to_numpy()
        np.testing.assert_allclose(paid[1:], short(story, venue)[:-1] * due, rtol=1e-9, atol=1e-9)
        assert paid[0] == 0.0
    venues = story.attribution_by_venue[[f"funding_pnl|{venue}" for venue in WEIGHTS]].sum(axis=1)
    np.testing.assert_allclose(story.attribution["funding_pnl"], venues, atol=1e-9)


def test_13_basis_is_mark_against_spot(story):
    expected = np.zeros(len(story.equity))
    for venue in WEIGHTS:
        away = story.panel[f"mark|{perp(venue)}"].to_numpy() - price(story)
        expected[1:] -= short(story, venue)[:-1] * np.diff(away)
    assert np.abs(expected).sum() > 1.0
    np.testing.assert_allclose(story.attribution["basis_pnl"], expected, atol=1e-8)


def test_14_costs_are_those_of_the_venues(story):
    expected = {name: np.zeros(len(story.equity)) for name in COSTS}
    fills = events(story, "fill")
    # the bucket goes by what the row has traded of an instrument so far
    units = fills.quantity.abs()
    fills["before"] = units.groupby([fills.row, fills.instrument]).cumsum() - units
    for _, fill in fills.iterrows():
        kind, venue, row = fill["detail"], fill["venue"], fill["row"]
        mark = price(story) if kind == "spot" else story.panel[f"mark|{perp(venue)}"].to_numpy()
        bps = slippage_rate(venue, kind, (fill["before"] + abs(fill["quantity"])) * mark[row])
        paid = mark[row] * (1.0 + bps * np.sign(fill["quantity"]))
        rate = term(venue, f"{kind}_fee", when=story.equity.index[row])["taker"]
        expected["slippage"][row] -= abs(fill["quantity"]) * mark[row] * bps
        expected["fees"][row] -= abs(fill["quantity"]) * paid * rate
    for _, sent in events(story, "transfer").iterrows():
        if sent["instrument"] == WALLET:
            expected["gas"][sent["row"]] -= gas_cost("wallet", "transfer", GWEI, ETH)
        else:
            expected["transfer_fees"][sent["row"]] -= term(sent["venue"], "withdrawal_fee", "USDT")["value"]
    for name, costs in expected.items():
        assert costs.sum() < 0.0, name
        np.testing.assert_allclose(story.attribution[name], costs, atol=1e-8, err_msg=name)


def test_15_costs_lower_the_profit(story, driver):
    free = tell_story(driver, **FREE)
    check_accounts(free, (*EARNS, "delta_pnl"))
    charged = story.attribution[list(COSTS)].to_numpy().sum()
    lost = free.summary["final_equity"] - story.summary["final_equity"]
    # what is charged, and what the smaller legs and the wait for transfers earn less (or more)
    assert lost == pytest.approx(-charged, rel=0.5)


def test_16_both_drivers_tell_the_same_story():
    assert same_tables(tell_story("kernel"), tell_story("event"))


# --- entry by tranches, drift, thresholds ----------------------------------------------------------------------------


def test_each_tranche_opens_in_the_row_its_margin_arrives(driver):
    """A deposit at binance takes 20 minutes, at bybit 90, at okx 170."""
    latency = {"venues.bybit.latency.deposit": "90m", "venues.okx.latency.deposit": "170m"}
    result = trade(driver, market(steady(8)), {**QUIET, **latency})
    for venue, row in (("binance", 1), ("bybit", 2), ("okx", 3)):
        assert (short(result, venue)[:row] == 0.0).all()
        assert short(result, venue)[row] == pytest.approx(WEIGHTS[venue] * long(result)[3], rel=0.01)
    check_hedged(result)


@pytest.mark.parametrize("threshold", [0.005, 0.05])
def test_the_threshold_decides_how_far_off_a_leg_may_be(driver, threshold):
    prices = path((0, 60_000.0), (5, 60_000.0), (80, 80_000.0))
    result = trade(driver, market(prices), {**QUIET, **FREE, "strategy.position_deviation_threshold": threshold})
    worst = off_target(result).max()
    assert 0.5 * threshold < worst <= threshold * (1.0 + 1e-6)
    check_hedged(result)


def test_what_a_liquidation_leaves_unhedged_is_hedged_or_sold_in_the_same_row(driver):
    panel = market(steady(30))
    high = panel.columns[f"high|{perp('bybit')}"].copy()
    high[15] *= 1.7
    panel.columns[f"high|{perp('bybit')}"] = high
    result = trade(driver, panel, QUIET)
    [(_, struck)] = events(result, "liquidation").iterrows()
    assert (struck["row"], struck["venue"]) == (15, "bybit")
    check_hedged(result)
    assert off_target(result)[-1] < THRESHOLD
    assert short(result, "bybit")[-1] > 0.0
    check_accounts(result, (*BOOKED, "liquidation_loss"))
    assert result.attribution["liquidation_loss"].iloc[15] < 0.0


# --- risk override ---------------------------------------------------------------------------------------------------


def test_a_critical_alert_lets_both_legs_shrink_and_never_grow(driver):
    """Margin is critical above the band's lower end, so that the alert comes before the rebalancing."""
    panel = market(path((0, 60_000.0), (20, 60_000.0), (40, 75_000.0), (80, 60_000.0)), wick=0.0)
    limits = {"margin_ratio": {"warning": 0.45, "critical": 0.4}}
    result = trade(driver, panel, {"risk.limits": limits, "flows": flows(panel, (30, IN))})
    levels = {}
    grown = []
    for _, event in result.events.iterrows():
        if event["kind"] == "alert":
            levels[event["instrument"]] = event["level"]
        buys = event["kind"] == "fill" and (event["quantity"] > 0.0) == (event["detail"] == "spot")
        if buys:
            grown.append("critical" in levels.values())
    assert (events(result, "alert")["level"] == "critical").any()
    assert grown
    assert not any(grown)
    # it asks for nothing that would be refused, and the deposit is at work once the alert is over
    assert reasons(result) == []
    assert off_target(result)[-1] < THRESHOLD
    check_hedged(result)
    check_accounts(result, BOOKED)


class Stubborn(basis.StrategyManager):
    """Wants half a coin more in row 0, whatever the alerts say; in row 1 it gives half a coin back."""

    async def make_decision(self, timestamp=None, market_data=None):
        return Decision((Action("entry_partial" if self.view.first else "exit_partial", "BTC", 0.5),))


def test_a_strategy_that_wants_more_while_an_alert_is_critical_is_refused(driver):
    """One coin on 10,000 USDT of margin: a sixth, where a fifth is critical."""
    key = perp("binance")
    thin = {WALLET: 20_000.0, SPOT_CASH: 10_000.0, SPOT: 1.0, key: -1.0, f"{key}|cost": -60_000.0}
    one = {"strategy.hedge_allocation": {"binance": 1.0}}
    result = trade(driver, market(steady(2), every=100), one, positions=thin, strategy=Stubborn)
    assert events(result, "alert", row=0)["level"].tolist() == ["critical"]
    assert reasons(result) == ["critical alert: only reductions"]
    assert fill_rows(result) == {1}
    assert (long(result)[0], short(result)[0]) == (1.0, 1.0)
    # the way out is open
    assert long(result)[1] == pytest.approx(0.5)
    assert short(result)[1] == pytest.approx(0.5)
    check_accounts(result, BOOKED)


# --- the rate rule, and everything back ------------------------------------------------------------------------------


def test_the_rate_rule_enters_above_one_rate_and_leaves_below_another(driver):
    enter, leave = 0.10, 0.05
    apr = np.repeat([0.07, 0.12, 0.07, 0.04, 0.07, 0.12], 8)
    rule = {"enabled": True, "enter": enter, "leave": leave, "window": "24h"}
    panel = market(steady(len(apr)), apr=apr)
    # between the two rates a deposit follows what was decided before: in at first, out later
    more = {"strategy.rate_rule": rule, "flows": flows(panel, (20, IN), (36, IN))}
    result = trade(driver, panel, {**FREE, **QUIET, **more})
    wanted, inside = [], False
    for rate in apr:
        inside = rate > enter or (inside and rate >= leave)
        wanted.append(inside)
    assert ((long(result) > 0.0) == wanted).all()
    assert long(result)[20] > long(result)[19]
    check_hedged(result)


def test_everything_can_be_taken_out(driver):
    panel = market(steady(40))
    result = trade(driver, panel, {"flows": flows(panel, (20, -10.0 * CAPITAL))})
    assert reasons(result) == ["withdrawal exceeds equity"]
    assert long(result)[-1] == short(result)[-1] == 0.0
    assert equity(result)[-1] == pytest.approx(0.0, abs=1e-6)
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    spent = result.attribution[list(BOOKED)].to_numpy().sum()
    assert -result.equity["net_flow"].sum() == pytest.approx(CAPITAL + spent, abs=1e-6)
    check_accounts(result, BOOKED)


# --- data sets -------------------------------------------------------------------------------------------------------

WINDOW = ("2024-05-20", "2025-02-20")
TWO = {"binance": 0.7, "bybit": 0.3}
OTHER = {"binance": "bybit", "bybit": "binance"}


def test_held_without_costs_the_return_is_that_of_the_files(driver, data):
    """Spot bought and perps sold at the start: what the two prices do against each other, and every settlement."""
    start, end = map(utc, WINDOW)
    spot = filled(data, "spot", "binance", "bybit", "open")
    profit = dict.fromkeys(EARNS, 0.0)
    for venue, weight in TWO.items():
        units = weight * CAPITAL / (1.0 + TARGET) / spot[start]
        mark = filled(data, "perp", venue, OTHER[venue], "open")
        rate = filled(data, "funding", venue, OTHER[venue], "funding_rate")
        profit["basis_pnl"] += units * ((spot[end] - mark[end]) - (spot[start] - mark[start]))
        profit["funding_pnl"] += settled(units, mark, rate, start, end)
    held_still = {"strategy.hedge_allocation": TWO, "strategy.rebalance": False, "risk.simulate_liquidation": False}
    result = basis.backtest("btc_basis", data, *WINDOW, {**FREE, **held_still}, driver=driver)
    assert result.summary["total_return"] == pytest.approx(sum(profit.values()) / CAPITAL, abs=1e-9)
    for column, expected in profit.items():
        assert result.attribution[column].sum() == pytest.approx(expected, abs=1e-9 * CAPITAL)
    check_accounts(result, (*EARNS, "delta_pnl"))


def test_as_shipped_it_comes_through(driver, data):
    """Ten months, every cost, latency and hole: hedged, in its bands, never liquidated, and poorer for its costs."""
    result = basis.backtest("btc_basis", data, *WINDOW, driver=driver)
    check_accounts(result, BOOKED)
    assert result.summary["liquidations"] == 0
    assert result.exposure["net_delta_ratio|BTC"].abs().max() <= MAX_DRIFT
    resting = ~under_way(result) & (long(result) > 0.0)
    assert resting.mean() > 0.9
    for venue in WEIGHTS:
        assert margin(result, venue)[resting].min() > 0.97 * LOW
    charged = result.attribution[list(COSTS)].sum()
    assert (charged < 0.0).all()
    free = basis.backtest("btc_basis", data, *WINDOW, FREE, driver=driver)
    assert result.summary["total_return"] < free.summary["total_return"]
