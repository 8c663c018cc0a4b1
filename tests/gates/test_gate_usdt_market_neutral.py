"""Gate of `usdt_market_neutral`: levered staking on Aave against perps short in equal size to what it is net.

The story is told of both modes of hedged staking: entry, a rise of 60 %, a deposit, a fall of 40 %, a withdrawal and
the exit. Then what only a loan brings with it, and closed forms.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basis
from support.hedged_runs import (
    CAPITAL,
    COSTS,
    DEBT,
    EARNS,
    ETHER,
    FREE,
    HELD,
    MAX_DRIFT,
    PAYS,
    QUIET,
    VENUES,
    WALLET,
    cash,
    check_columns,
    check_hedged,
    cumulated,
    equity,
    fills,
    hedged,
    held_return,
    long,
    margin,
    net_delta,
    perp,
    price,
    share_on_chain,
    short,
    trade,
    travelling,
)
from support.result_checks import check_accounts, events, held, reasons, rows_of, same_tables, utc
from support.small_markets import flows, path, steady
from support.staking_markets import after, grown

PLAIN, LEVERED = MODES = ("usdt_market_neutral_no_leverage", "usdt_market_neutral")
TOKEN, POOL = "wallet:BaseToken:weETH", "aave_v3:aToken:weETH"
SHARE, THRESHOLD, TARGET, BAND = 0.6, 0.05, 0.85, 0.02  # of the shipped configurations
GOAL = (1.0 - SHARE) / SHARE
LOW = 0.7 * GOAL
WEIGHTS = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
CALM, TOP, FALL, AT_IN, BOTTOM, AT_OUT, LAST = 10, 70, 80, 75, 140, 160, 220
IN, OUT = 50_000.0, 40_000.0


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return request.param


def story_market():
    return hedged(
        path((0, 3_000.0), (CALM, 3_000.0), (TOP, 4_800.0), (FALL, 4_800.0), (BOTTOM, 2_880.0), (LAST, 2_880.0))
    )


def tell_story(mode, driver, **more):
    panel = story_market()
    moved = flows(panel, (AT_IN, IN), (AT_OUT, -OUT))
    return trade(mode, driver, panel, {**QUIET, "flows": moved, "close_at_end": True, **more})


@pytest.fixture(scope="module")
def story(mode, driver):
    return tell_story(mode, driver)


def ltv(result):
    panel = result.panel
    backing = held(result, POOL) * panel["liquidity_index|aave_v3:weETH"] * panel["oracle_rate|weETH"]
    return (held(result, DEBT) * panel["borrow_index|aave_v3:WETH"] / backing).fillna(0.0).to_numpy()


def between(found, since, until):
    return found[found["row"].between(since, until)]


# --- the story -------------------------------------------------------------------------------------------------------


def test_1_entry_sends_margin_and_buys_no_ether(story, mode):
    assert 0 not in rows_of(story, "fill")
    sent = events(story, "transfer", row=0)
    for venue, weight in WEIGHTS.items():
        [(_, one)] = sent[sent["destination"] == cash(venue)].iterrows()
        assert -one["quantity"] == pytest.approx(weight * (1.0 - SHARE) * CAPITAL, rel=1e-9)
    assert held(story, ETHER, 0) == 0.0
    assert net_delta(story)[0] == 0.0


def test_2_ether_and_shorts_come_together_when_the_margin_is_there(story, mode):
    assert sorted(set(rows_of(story, "arrival")))[0] == 1
    assert short(story)[1] * price(story)[1] == pytest.approx(SHARE * CAPITAL, rel=0.01)
    # all of the ether goes to work in the same row
    assert held(story, ETHER, 1) < 0.02 * long(story)[1]
    if mode == LEVERED:
        assert ltv(story)[1] == pytest.approx(TARGET, abs=1e-9)
    for venue in VENUES:
        assert margin(story, venue)[1] == pytest.approx(GOAL, rel=0.01)


def test_3_while_nothing_moves_nothing_is_traded(story):
    acted = set(rows_of(story, "fill")) | set(rows_of(story, "transfer"))
    for since, until in ((2, CALM), (BOTTOM + 5, AT_OUT), (AT_OUT + 3, LAST)):
        assert not acted & set(range(since, until))


def test_4_a_rise_sells_the_token_and_sends_usdt_as_margin(story, mode):
    grew = between(fills(story), CALM, TOP)
    bought_back = grew[grew["detail"] == "perp"]
    assert (bought_back["quantity"] > 0.0).all()
    assert short(story)[TOP] < 0.75 * short(story)[1]
    sold = grew[grew["detail"] == ("delever" if mode == LEVERED else "swap")]
    assert len(sold) > 0
    sent = between(events(story, "transfer"), CALM, TOP)
    assert len(sent) >= 3
    assert set(sent["instrument"]) == {WALLET}
    # the short and the ether go down in the same row, and the margin leaves in it
    assert set(sent["row"]) <= set(bought_back["row"])


def test_5_a_fall_brings_margin_home_and_then_pairs_are_bought(story):
    fell = between(events(story, "transfer"), FALL, BOTTOM)
    assert set(fell["destination"]) == {WALLET}
    assert len(fell) > 0
    opened = between(fills(story, detail="perp"), FALL, BOTTOM)
    # those that profit cannot leave otherwise: closed and opened again
    rolled = opened.groupby("row")["quantity"].sum()
    assert rolled.max() <= 0.05 * short(story)[FALL]
    assert short(story)[BOTTOM + 5] > 1.2 * short(story)[FALL]
    first, home = opened[opened["quantity"] < 0.0]["row"], between(events(story, "arrival"), FALL, BOTTOM + 5)["row"]
    assert set(fell["row"]) & set(range(FALL, BOTTOM))
    assert first.max() <= BOTTOM + 5
    assert home.min() > fell["row"].min()


def test_6_no_row_is_unhedged(story, mode):
    check_hedged(story, MAX_DRIFT)
    resting = ~travelling(story)[2:LAST]
    off = np.abs(share_on_chain(story)[2:LAST] - SHARE)
    pending = story.equity["withdrawal_pending"].to_numpy()[2:LAST]
    deposited = np.zeros(LAST + 1, dtype=bool)
    deposited[AT_IN : AT_IN + 3] = True
    assert off[resting & (pending == 0.0) & ~deposited[2:LAST]].max() <= THRESHOLD + 0.02


def test_7_margins_keep_their_band(story):
    for venue in VENUES:
        ratio = margin(story, venue)[2:LAST]
        # costs of the trades that keep it are paid from the margin
        assert ratio[~travelling(story)[2:LAST]].min() > 0.97 * LOW
        assert ratio.min() > 0.8 * LOW
    assert rows_of(story, "liquidation") == []
    assert reasons(story) == []


def test_8_a_deposit_is_put_to_work(story):
    assert story.equity["net_flow"].iloc[AT_IN] == IN
    assert short(story)[AT_IN + 3] / short(story)[AT_IN - 1] > 1.3
    # no more ether at once than the margin that is there carries
    assert net_delta(story)[AT_IN] <= 0.01


def test_9_a_withdrawal_unwinds_both_legs_and_is_paid_whole(story):
    assert story.equity["net_flow"].sum() == IN - OUT
    [paid] = rows_of(story, "flow", detail="withdrawal paid")
    assert AT_OUT <= paid <= AT_OUT + 2
    assert short(story)[paid] < 0.8 * short(story)[AT_OUT - 1]
    assert share_on_chain(story)[paid] == pytest.approx(SHARE, abs=THRESHOLD)


def test_10_the_exit_ends_in_usdt(story, mode):
    assert short(story)[-1] == held(story, TOKEN, -1) == 0.0
    if mode == LEVERED:
        assert held(story, POOL, -1) == held(story, DEBT, -1) == 0.0
    everywhere = sum(held(story, key, -1) for key in (WALLET, *map(cash, VENUES)))
    assert everywhere == pytest.approx(equity(story)[-1], rel=1e-4)
    assert abs(net_delta(story)[-1]) < 1e-4


def test_11_only_its_own_columns_are_booked_and_they_add_up(story, mode):
    booked = check_columns(story, mode)
    for name in PAYS[mode]:
        assert booked[name] < 0.0, name
    assert booked["staking_yield"] > 0.0


def test_12_funding_and_basis_are_those_of_the_shorts(story):
    for venue in VENUES:
        due = story.panel[f"funding_cash|{perp(venue)}"].to_numpy()[1:]
        paid = story.attribution_by_venue[f"funding_pnl|{venue}"].to_numpy()
        np.testing.assert_allclose(paid[1:], short(story, venue)[:-1] * due, rtol=1e-9, atol=1e-9)
    assert cumulated(story)["funding_pnl"] > 0.0


def test_13_what_is_left_unhedged_is_net_delta_times_the_move(story):
    """Of the row before, for what it held; staking makes it a little more by the row's end."""
    moved = np.diff(price(story))
    expected = story.exposure["net_delta|ETH"].to_numpy()[:-1] * moved
    booked = story.attribution["delta_pnl"].to_numpy()[1:]
    np.testing.assert_allclose(booked, expected, rtol=1e-3, atol=0.02)


def test_14_costs_lower_the_profit(story, mode, driver):
    free = tell_story(mode, driver, **FREE)
    check_accounts(free, EARNS[mode])
    assert free.summary["final_equity"] > story.summary["final_equity"]
    check_hedged(free, 0.01)


def test_15_both_drivers_tell_the_same_story(mode):
    one, other = (tell_story(mode, name) for name in ("kernel", "event"))
    assert same_tables(one, other)
    assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))


def test_16_next_bar_trades_one_row_later_and_stays_hedged(story, mode, driver):
    late = tell_story(mode, driver, fill="next_bar")
    check_columns(late, mode)
    check_hedged(late, 0.03)
    assert min(rows_of(late, "fill")) == min(rows_of(story, "fill")) + 1
    assert late.equity["net_flow"].sum() == IN - OUT


# --- shocks ----------------------------------------------------------------------------------------------------------


def test_a_jump_of_sixty_percent_in_one_row(mode, driver):
    """Margin of 2/3 of the notional is all but gone; ether is sold and what is left stands again in its band."""
    panel = hedged(after(steady(60, 3_000.0), 20, 1.6), wick=0.0)
    result = trade(mode, driver, panel, QUIET)
    check_columns(result, mode, "liquidation_loss")
    for row in range(20, 60):
        assert abs(net_delta(result)[row]) <= 0.05, row
    assert min(margin(result, venue)[-1] for venue in VENUES) > LOW
    assert equity(result)[-1] > 0.9 * CAPITAL


def test_a_fall_of_forty_percent_in_one_row(mode, driver):
    panel = hedged(after(steady(60, 3_000.0), 20, 0.6), wick=0.0)
    result = trade(mode, driver, panel, QUIET)
    check_columns(result, mode)
    check_hedged(result)
    assert short(result)[-1] * price(result)[-1] == pytest.approx(SHARE * equity(result)[-1], rel=0.1)
    assert rows_of(result, "liquidation") == []


@pytest.mark.parametrize("venue", VENUES)
def test_a_liquidation_at_one_venue_leaves_nothing_unhedged_for_long(mode, driver, venue):
    wick = np.where(np.arange(40) == 15, 0.75, 0.002)
    result = trade(mode, driver, hedged(steady(40, 3_000.0), wick={venue: wick}), QUIET)
    struck = events(result, "liquidation")
    assert struck["row"].tolist() == [15]
    assert struck["venue"].tolist() == [venue]
    # what is more than is aimed at goes at once, the rest is hedged when its margin arrives: an hour later
    assert net_delta(result)[15] < WEIGHTS[venue] * SHARE
    assert np.abs(np.delete(net_delta(result), 15)).max() <= MAX_DRIFT
    check_columns(result, mode, "liquidation_loss")
    assert short(result, venue)[-1] > 0.0


def test_a_liquidation_under_shipped_limits_is_answered_too(mode, driver):
    """The alert that it raises lets ether go, not shorts be opened."""
    wick = np.where(np.arange(40) == 15, 0.75, 0.002)
    result = trade(mode, driver, hedged(steady(40, 3_000.0), wick={"binance": wick}))
    assert rows_of(result, "liquidation") == [15]
    assert np.abs(net_delta(result)[16:]).max() <= 0.02
    check_columns(result, mode, "liquidation_loss")


@pytest.mark.parametrize("venue", VENUES)
def test_a_single_venue_opens_no_short_whose_ether_cannot_be_paid(mode, driver, venue):
    """The gas of the swap comes out of the USDT it swaps: the short is no larger than what is left pays for."""
    result = trade(mode, driver, hedged(steady(60, 3_000.0)), {"strategy.hedge_allocation": {venue: 1.0}})
    check_hedged(result)
    assert not reasons(result)
    assert short(result)[-1] > 0.0


def test_a_short_larger_than_the_ether_is_bought_back_while_an_alert_is_critical(mode, driver):
    book = {TOKEN: 5.0, cash("bybit"): 60_000.0, WALLET: 5_000.0, ETHER: 0.5}
    book |= {perp("bybit"): -20.0, f"{perp('bybit')}|cost": -60_000.0}
    limits = {"net_delta_ratio": {"warning": 0.05, "critical": 0.1}}
    overrides = {"strategy.hedge_allocation": {"bybit": 1.0}, "risk.limits": limits}
    result = trade(mode, driver, hedged(steady(10, 3_000.0)), overrides, positions=book)
    assert result.events.query("kind == 'alert' and level == 'critical'").shape[0]
    check_hedged(result)
    assert short(result)[0] < 20.0


def test_a_critical_alert_only_reduces(mode, driver):
    panel = hedged(path((0, 3_000.0), (20, 3_000.0), (40, 3_900.0), (80, 2_900.0), (120, 2_900.0)), wick=0.0)
    limits = {"margin_ratio": {"warning": 0.6, "critical": 0.55}}
    result = trade(mode, driver, panel, {"risk.limits": limits, "flows": flows(panel, (30, IN))})
    levels, grown_while = {}, []
    for _, event in result.events.iterrows():
        if event["kind"] == "alert":
            levels[event["instrument"]] = event["level"]
        if event["kind"] == "fill" and event["detail"] == "perp" and event["quantity"] < 0.0:
            grown_while.append("critical" in levels.values())
    assert (events(result, "alert")["level"] == "critical").any()
    assert grown_while
    assert not any(grown_while)
    assert "critical alert: only reductions" not in reasons(result)
    check_hedged(result)
    check_columns(result, mode)
    assert short(result)[-1] * price(result)[-1] == pytest.approx(SHARE * equity(result)[-1], rel=0.1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.975, 0.98, 0.99, 0.9999, 1.0, 10.0])
@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
def test_a_withdrawal_of_any_size_is_paid(mode, driver, share, fill):
    panel = hedged(path((0, 3_000.0), (5, 3_000.0), (15, 3_100.0), (30, 2_900.0), (60, 2_950.0)))
    there = trade(mode, driver, panel, {**QUIET, "fill": fill}).equity["equity"].iloc[19]
    asked = share * there
    result = trade(mode, driver, panel, {**QUIET, "fill": fill, "flows": flows(panel, (20, -asked))})
    check_columns(result, mode)
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    paid = -result.equity["net_flow"].sum()
    refused = abs(sum(e["amount"] for _, e in events(result, "reject").iterrows()))
    assert paid + refused == pytest.approx(asked, rel=1e-9)
    assert paid > 0.97 * min(asked, there)
    assert set(reasons(result)) <= {"withdrawal exceeds equity"}
    check_hedged(result, 0.03)


# --- rate rule -------------------------------------------------------------------------------------------------------


def test_the_rate_rule_watches_the_carry(mode, driver):
    """a·(L(s + supply) − (L − 1)b + funding), or a·(s + funding): in above one rate, out below another."""
    funding = np.repeat([0.0, 0.08, 0.03, -0.02, 0.03, 0.08], 10)
    staking, supply, borrow = 0.03, 0.001, 0.025
    factor = 1.0 / (1.0 - TARGET)
    held_rate = staking if mode == PLAIN else factor * (staking + supply) - (factor - 1.0) * borrow
    carry = SHARE * (held_rate + funding)
    enter, leave = SHARE * (held_rate + 0.05), SHARE * held_rate
    rule = {"enabled": True, "enter": enter, "leave": leave, "window": "24h"}
    result = trade(
        mode, driver, hedged(steady(60, 3_000.0), apr=funding), {**FREE, **QUIET, "strategy.rate_rule": rule}
    )
    wanted, inside = [], False
    for now in carry:
        inside = now > enter or (inside and now >= leave)
        wanted.append(inside)
    assert ((short(result) > 0.0) == wanted).all()
    check_hedged(result)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 20, 65, 76, 161])
def test_a_resumed_run_is_the_whole_run(mode, cut):
    from basis.engine.simulation import checkpoint, simulate
    from support.kernel_view import RunView
    from support.runs import settings
    from support.small_markets import at_row

    panel = story_market()
    config = settings(mode, {**QUIET, "flows": flows(panel, (AT_IN, IN), (AT_OUT, -OUT))})
    whole = RunView(simulate(config, panel))
    kept = checkpoint(whole.recording, at_row(panel, cut))
    rest = RunView(simulate(config, panel.slice(cut, LAST), resume=kept))
    assert rest.record.tobytes() == whole.record[cut:].tobytes()


def test_capital_scales_everything_where_nothing_is_fixed(mode, driver):
    panel = story_market()
    one, other = (
        trade(mode, driver, panel, {**FREE, **QUIET, "initial_capital": capital})
        for capital in (CAPITAL, 8.0 * CAPITAL)
    )
    pd.testing.assert_frame_equal(other.positions, 8.0 * one.positions, check_exact=True)
    assert other.summary["total_return"] == one.summary["total_return"]


# --- the loan --------------------------------------------------------------------------------------------------------


def test_the_loan_keeps_to_its_band(driver):
    result = tell_story(LEVERED, driver)
    inside = ltv(result)[1:LAST]
    assert np.abs(inside - TARGET).max() <= BAND + 1e-9
    assert (result.risk["health_factor"].iloc[1:LAST] > 1.03).all()


@pytest.mark.parametrize("factor", [1.03, 0.97])
def test_a_loan_out_of_its_band_is_brought_back_and_the_short_follows(driver, factor):
    debt = after(grown(60, 0.025, 1.06), 20, factor)
    result = trade(LEVERED, driver, hedged(steady(60, 3_000.0), borrow_index__WETH=debt), QUIET)
    off = np.abs(ltv(result)[1:] - TARGET)
    # up may wait an hour for the ether that goes in with it, down does not wait
    assert np.delete(off, 19).max() <= BAND + 1e-9
    assert off.max() <= (BAND if factor > 1.0 else 0.03) + 1e-9
    check_hedged(result)
    check_columns(result, LEVERED)
    # what the debt takes from the ether, the short gives
    assert (short(result)[25] < short(result)[19]) == (factor > 1.0)


def test_a_slash_is_answered_within_its_row(driver):
    rate = after(grown(60, 0.03, 1.05), 20, 0.96)
    result = trade(LEVERED, driver, hedged(steady(60, 3_000.0), oracle_rate__weETH=rate), QUIET)
    assert np.abs(ltv(result)[1:] - TARGET).max() <= BAND + 1e-9
    check_hedged(result)
    check_columns(result, LEVERED)
    assert rows_of(result, "liquidation") == []


def test_a_lending_liquidation_leaves_the_short_no_larger_than_the_ether(driver):
    rate = after(grown(60, 0.03, 1.05), 20, 0.87)
    result = trade(LEVERED, driver, hedged(steady(60, 3_000.0), oracle_rate__weETH=rate), QUIET)
    assert rows_of(result, "liquidation") == [20]
    check_columns(result, LEVERED, "liquidation_loss")
    check_hedged(result)
    assert result.status == "complete"


# --- data sets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lst", "start", "end"),
    [
        ("weETH", "2024-05-12", "2025-01-01"),
        ("wstETH", "2024-06-10T07:00:00Z", "2025-03-01"),
        ("weETH", "2024-08-01", "2024-09-01"),
    ],
)
@pytest.mark.parametrize(
    ("share", "target", "weights"),
    [(0.5, 0.85, (0.05, 0.9, 0.05)), (0.7, 0.65, (0.6, 0.3, 0.1)), (0.3, 0.9, (0.8, 0.0625, 0.1375))],
)
def test_held_without_costs_the_return_is_that_of_its_legs(driver, data, lst, start, end, share, target, weights):
    weights = dict(zip(VENUES, weights, strict=True))
    more = {
        "strategy.stake_allocation": share,
        "strategy.hedge_allocation": weights,
        "strategy.lst": lst,
        "strategy.target_ltv": target,
    }
    result = basis.backtest(LEVERED, data, start, end, {**HELD, **more}, driver=driver)
    wanted = held_return(data, share, weights, start, end, lst, target)
    assert result.summary["total_return"] == pytest.approx(wanted, abs=1e-9)
    check_accounts(result, EARNS[LEVERED] - {"reward_pnl", "dust_pnl"})


WINDOWS = {"sample": ("2024-02-20", "2024-04-20"), "real": ("2024-07-25", "2024-09-01")}


@pytest.fixture(scope="module", params=["sample", "real"])
def shipped(request, mode):
    """A mode as it is shipped, on the sample and over August 2024."""
    data = request.getfixturevalue(f"{request.param}_data")
    return [basis.backtest(mode, data, *WINDOWS[request.param], driver=name) for name in ("kernel", "event")]


def test_as_shipped_both_drivers_leave_the_same_bits(shipped):
    one, other = shipped
    assert same_tables(one, other)
    assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))


def test_as_shipped_it_is_hedged_in_every_row(shipped, mode):
    check_columns(shipped[0], mode)
    check_hedged(shipped[0], 0.02 + 0.005)
    assert shipped[0].summary["liquidations"] == 0
    assert reasons(shipped[0]) == []


def test_as_shipped_margins_and_the_loan_keep_their_bands(shipped, mode):
    result = shipped[0]
    resting = ~travelling(result) & (short(result) > 0.0)
    assert resting.mean() > 0.8
    low = result.config.strategy.margin_ratio_band[0] * (1.0 - SHARE) / SHARE
    for venue in VENUES:
        assert margin(result, venue)[resting].min() > 0.97 * low, venue
    if mode == LEVERED:
        assert np.abs(ltv(result)[short(result) > 0.0] - TARGET).max() <= BAND + 1e-9


def test_as_shipped_costs_are_costs(shipped, mode, request):
    result = shipped[0]
    start, end = (str(result.equity.index[i]) for i in (0, -1))
    data = "sample" if utc(start.split("+")[0]) < utc("2024-06-01") else "real"
    free = basis.backtest(
        mode, request.getfixturevalue(f"{data}_data"), *WINDOWS[data], {"costs.enabled": False}, driver="kernel"
    )
    assert free.summary["total_return"] > result.summary["total_return"], end
    for name in COSTS:
        assert (free.attribution[name] == 0.0).all(), name


def test_no_row_knows_a_later_one(mode):
    panel = story_market()
    row = 90
    columns = {
        name: np.where(np.arange(len(values)) > row, values * 1.07, values) for name, values in panel.columns.items()
    }
    other = replace(panel, columns=columns) if hasattr(panel, "__dataclass_fields__") else None
    if other is None:
        from basis.market.panel import Panel

        other = Panel.from_columns(panel.timestamps, panel.step_s, columns)
    one, two = (trade(mode, "kernel", p, QUIET) for p in (panel, other))
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        left, right = (getattr(r, name).iloc[: row + 1] for r in (one, two))
        assert left.equals(right), name
    assert not one.positions.equals(two.positions)
