"""Money that travels: a margin call it would have met, a rise that leaves nothing to move, gas that has to come home.

Every mode with perps is taken through the same markets, in both drivers where a number is claimed.
"""

import numpy as np
import pytest

import basis
from support.hedged_runs import VENUES, cash, hedged
from support.result_checks import check_accounts, columns_of, events, reasons, same_tables
from support.runs import busy
from support.small_markets import market, path, steady

ROWS, CALL, STRIKE = 30, 10, 11
BASES, STAKING = ("btc_basis", "eth_basis"), ("usdt_market_neutral_no_leverage", "usdt_market_neutral")
MODES = BASES + STAKING
#: Bybit's mark above the others' from row CALL on, and how far a wick of row STRIKE lies above it: a book that was
#: topped up in row CALL lives through it.
CALLED = {
    "btc_basis": (0.16, 0.32),
    "eth_basis": (0.28, 0.35),
    "usdt_market_neutral_no_leverage": (0.22, 0.42),
    "usdt_market_neutral": (0.22, 0.42),
}
WALLET = "wallet:BaseToken:USDT"


def coin(mode):
    return "BTC" if mode == "btc_basis" else "ETH"


def world(mode, spot, **more):
    """A market of the mode's coin."""
    return market(spot, **more) if mode == "btc_basis" else hedged(spot, **more)


def flat(mode, rows=ROWS):
    return steady(rows, 60_000.0 if mode == "btc_basis" else 3_000.0)


def short_at(result, mode, venue):
    return -result.positions[f"{venue}:Perp:{coin(mode)}USDT"].to_numpy()


def drift(result, mode):
    return np.abs(result.exposure[f"net_delta_ratio|{coin(mode)}"].to_numpy())


def latency(**by_route):
    return {f"venues.{v}.latency.{route}": wait for v in VENUES for route, wait in by_route.items()}


# --- a margin call ---------------------------------------------------------------------------------------------------


def called(mode, overrides, driver="kernel"):
    """Bybit's shorts lose while the others stand still, and an hour later a wick goes further."""
    off, wick = CALLED[mode]
    panel = world(mode, flat(mode), wick=0.001)
    key = f"bybit:Perp:{coin(mode)}USDT"
    mark = flat(mode) * np.where(np.arange(ROWS) >= CALL, 1.0 + off, 1.0)
    before = np.concatenate((mark[:1], mark[:-1]))
    panel.columns[f"mark|{key}"] = mark
    panel.columns[f"low|{key}"] = np.minimum(mark, before)
    panel.columns[f"high|{key}"] = np.maximum(mark, before)
    panel.columns[f"high|{key}"][STRIKE] = mark[STRIKE] * (1.0 + wick)
    return basis.backtest(mode, panel, overrides={**busy(mode), "risk.limits": {}, **overrides}, driver=driver)


@pytest.mark.parametrize("mode", MODES)
def test_a_margin_call_is_met_by_what_has_arrived_and_by_nothing_else(mode):
    saved = called(mode, {"transfers.instant": True})
    at_once = called(mode, latency(deposit="0m", withdrawal="0m"))
    late = called(mode, latency(deposit="2h", withdrawal="2h"))
    for result in (saved, at_once):
        assert result.summary["liquidations"] == 0
        assert (short_at(result, mode, "bybit")[CALL:] > 0.0).all()
    struck = events(late, "liquidation")
    assert len(struck) == 1
    assert struck["venue"].tolist() == ["bybit"]
    assert late.equity.index.get_loc(struck["timestamp"].iloc[0]) == STRIKE
    # the money that would have saved it was on its way, and is not lost
    assert late.positions[f"{cash('bybit')}|in_transit"].iloc[CALL] > 1_000.0
    check_accounts(late, columns_of(late))


@pytest.mark.parametrize("mode", MODES)
def test_money_on_its_way_to_a_liquidated_venue_arrives_there(mode):
    late = called(mode, latency(deposit="2h", withdrawal="2h"))
    way = late.positions[f"{cash('bybit')}|in_transit"].to_numpy()
    sent = way[CALL]
    came = events(late, "arrival", destination=cash("bybit"))
    assert came["amount"].max() == pytest.approx(sent, rel=1e-12) or came["amount"].sum() >= sent - 1e-9
    # what the liquidation left unhedged is hedged again or sold in its row
    assert drift(late, mode)[STRIKE] <= 0.02


@pytest.mark.parametrize("wait", ["20m", "5h"])
@pytest.mark.parametrize("mode", MODES)
def test_a_book_that_lost_every_short_does_not_wait_unhedged_for_margin(mode, wait):
    spot = flat(mode)
    panel = world(mode, spot, wick=0.001)
    for venue in VENUES:
        name = f"high|{venue}:Perp:{coin(mode)}USDT"
        panel.columns[name] = np.where(np.arange(ROWS) == STRIKE, 1.8 * spot, panel.columns[name])
    result = basis.backtest(mode, panel, overrides={"risk.limits": {}, **latency(deposit=wait, withdrawal=wait)})
    assert result.summary["liquidations"] == len(VENUES)
    assert drift(result, mode)[STRIKE:].max() <= 0.02
    # and goes to work again
    assert sum(short_at(result, mode, v)[-1] for v in VENUES) > 0.0


@pytest.mark.parametrize("times", [1, 30])
def test_a_loan_whose_margin_is_all_lost_ends_with_the_gas_of_selling_what_is_left(times):
    """With a margin of a twentieth no venue has any left, and gas that rises takes more than is kept for it."""
    spot = flat("usdt_market_neutral")
    row = np.arange(ROWS)
    panel = hedged(spot, wick=0.001, gwei=np.where(row < STRIKE, 2.0, 2.0 * times))
    for venue in VENUES:
        name = f"high|{venue}:Perp:ETHUSDT"
        panel.columns[name] = np.where(row == STRIKE, 1.8 * spot, panel.columns[name])
    overrides = {"risk.limits": {}, "strategy.stake_allocation": 1.0 / 1.05}
    result = basis.backtest("usdt_market_neutral", panel, overrides=overrides)
    assert result.summary["liquidations"] == len(VENUES)
    assert reasons(result) == []
    assert drift(result, "usdt_market_neutral")[STRIKE:].max() <= 0.02
    assert result.positions["aave_v3:aToken:weETH"].iloc[STRIKE] == 0.0


# --- a common rise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["20m", "5h"])
@pytest.mark.parametrize("mode", MODES)
def test_a_common_rise_ends_in_smaller_legs_and_not_in_circles(mode, wait):
    first = flat(mode)[0]
    spot = path((0, first), (5, first), (65, 2.0 * first), (90, 2.0 * first))
    result = basis.backtest(
        mode, world(mode, spot), overrides={"risk.limits": {}, **latency(deposit=wait, withdrawal=wait)}
    )
    legs = sum(short_at(result, mode, v) for v in VENUES)
    assert legs[-1] < 0.85 * legs.max()
    assert result.summary["liquidations"] == 0
    moved = events(result, "transfer")
    row = result.equity.index.get_indexer(moved["timestamp"])
    sent = [
        (r, a, b, -q)
        for r, a, b, q in zip(row, moved["instrument"], moved["destination"], moved["quantity"], strict=True)
        if r > 6 and -q > 300.0
    ]
    for k, (r, a, b, _) in enumerate(sent):
        back = [s for s in sent[k + 1 :] if s[0] - r <= 12 and (s[1], s[2]) == (b, a)]
        assert back == [], (sent[k], back[0])
    assert drift(result, mode)[6:].max() <= 0.02


# --- gas -------------------------------------------------------------------------------------------------------------


def dear_gas(mode, times, driver="kernel", **overrides):
    """Gas costs `times` as much from row 10 on, when a rise of nearly nine tenths begins."""
    gwei = np.r_[np.full(10, 2.0), np.full(91, 2.0 * times)]
    panel = hedged(path((0, 3_000.0), (10, 3_000.0), (100, 5_600.0)), gwei=gwei)
    return basis.backtest(mode, panel, overrides={**busy(mode), **overrides}, driver=driver)


@pytest.mark.parametrize("times", [15, 40])
@pytest.mark.parametrize("mode", STAKING)
def test_gas_that_runs_out_comes_home_from_a_venue(mode, times):
    """Else what is staked could not be sold, and shorts that lose would be liquidated for want of margin."""
    result = dear_gas(mode, times)
    assert result.summary["liquidations"] == 0
    assert drift(result, mode)[3:].max() <= 0.02
    assert min(result.summary["min_margin_ratio"].values()) > 0.4
    # it is waited for at most as long as it travels
    refused = events(result, "reject")
    assert len(refused) <= 1
    assert result.positions["wallet:BaseToken:weETH" if mode == STAKING[0] else "aave_v3:aToken:weETH"].iloc[-1] > 0.0
    same_tables(result, dear_gas(mode, times, driver="event"))


@pytest.mark.parametrize(("capital", "share"), [(5_000.0, 0.5), (20_000.0, 0.9), (100_000.0, 0.9)])
@pytest.mark.parametrize("mode", STAKING)
def test_gas_is_brought_home_from_what_stands_above_the_band(mode, capital, share):
    """Gas of ten transactions may be more than all the margin; below the band only that of selling is taken."""
    overrides = {"initial_capital": capital, "strategy.stake_allocation": share, "risk.limits": {}}
    gwei = np.r_[np.full(10, 2.0), np.full(91, 60.0)]
    panel = hedged(path((0, 3_000.0), (10, 3_000.0), (100, 3_600.0)), gwei=gwei)
    result = basis.backtest(mode, panel, overrides=overrides)
    low = 0.5 * result.config.strategy.margin_ratio_band[0] * (1.0 - share) / share
    margin = result.risk[[f"margin_ratio|{v}" for v in VENUES]].to_numpy()
    assert np.nanmin(margin) >= low
    assert result.summary["liquidations"] == 0


def test_gas_is_brought_as_often_as_it_is_spent_and_no_more():
    result = dear_gas(STAKING[0], 15)
    moved = events(result, "transfer")
    home = moved[(moved["destination"] == WALLET) & (moved["action"] == "exit_partial")]
    assert 1 <= len(home) <= 5
    assert -home["quantity"].sum() < 0.02 * 100_000.0
    # what stays in the wallet is what the ether there lacks of the reserve
    assert result.positions[WALLET].iloc[-1] < 1_000.0


# --- a long way ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", STAKING)
def test_over_two_days_of_latency_no_small_change_fills_the_queue(mode, sample_data):
    days = {"start": "2024-03-01", "end": "2024-06-01"}
    result = basis.backtest(mode, sample_data, overrides=latency(deposit="48h", withdrawal="48h"), **days)
    assert "transit queue full" not in reasons(result)
    moved = events(result, "transfer")
    # on chain no transfer is smaller than what its gas is worth
    assert (-moved["quantity"]).min() > 10.0
    assert drift(result, mode).max() <= 0.02


@pytest.mark.parametrize(
    "wait", [{"deposit": "24h", "withdrawal": "12h"}, {"deposit": "5h", "withdrawal": "3h"}], ids=str
)
@pytest.mark.parametrize("mode", MODES)
def test_what_waits_for_the_investor_is_not_sent_out_again(mode, wait, data):
    """A withdrawal of a third is paid once the money has come home, or twice as long again after a roll."""
    asked = {"flows": [{"timestamp": "2024-08-03T00:00:00Z", "amount": -30_000.0}]}
    result = basis.backtest(mode, data, "2024-07-29", "2024-08-18", {**latency(**wait), **asked})
    assert result.equity["net_flow"].sum() == -30_000.0
    assert (result.equity["withdrawal_pending"] > 0.0).sum() <= 3 * int(wait["withdrawal"][:-1])


# --- delta ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [{}, {"net_delta_ratio": {"warning": 0.05, "critical": 0.1}}], ids=["none", "critical"]
)
@pytest.mark.parametrize("mode", STAKING)
def test_a_staking_token_that_the_book_begins_with_goes_to_work_or_goes(mode, limits):
    book = {"wallet:BaseToken:USDT": 50_000.0, "wallet:BaseToken:weETH": 10.0, "wallet:BaseToken:ETH": 0.1}
    result = basis.backtest(mode, hedged(flat(mode)), positions=book, overrides={"risk.limits": limits})
    assert drift(result, mode)[2:].max() <= 0.02
    held = result.positions["wallet:BaseToken:weETH" if mode == STAKING[0] else "aave_v3:aToken:weETH"]
    assert held.iloc[-1] > 8.0
    assert mode == STAKING[0] or result.positions["wallet:BaseToken:weETH"].iloc[-1] == 0.0


def test_a_loan_below_its_target_gives_what_margin_calls_for(real_data):
    """By hand a loan is built up step by step, and is below its target for days."""
    overrides = {"strategy.stake_allocation": 0.8, "strategy.loop_steps": 1}
    result = basis.backtest("usdt_market_neutral", real_data, "2025-07-01", "2025-08-01", overrides=overrides)
    assert result.risk["ltv"].iloc[3] < 0.7
    assert len(events(result, "fill", detail="withdraw")) > 0
    low = result.config.strategy.margin_ratio_band[0] * 0.25
    margin = result.risk[[f"margin_ratio|{v}" for v in VENUES]].min(axis=1)
    assert (margin < 0.95 * low).sum() <= 1
    assert drift(result, "usdt_market_neutral").max() <= 0.02


@pytest.mark.parametrize("venues", [{"binance": 0.02, "bybit": 0.98}, dict.fromkeys(VENUES, 1 / 3)], ids=len)
def test_what_one_venue_takes_no_order_for_another_does(venues, sample_data):
    """Steps and smallest orders: a share of what is off may be too small for its venue."""
    overrides = {"execution.lots": True, "initial_capital": 3_000.0, "strategy.hedge_allocation": venues}
    result = basis.backtest("usdt_market_neutral", sample_data, "2024-09-01", "2025-02-01", overrides=overrides)
    assert drift(result, "usdt_market_neutral").max() <= 0.02


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"transfers.instant": True},
        {"strategy.stake_allocation": 0.3},
        {"strategy.hedge_allocation": {"bybit": 1.0}},
        {"strategy.margin_ratio_band": [0.95, 1.05]},
    ],
    ids=["shipped", "instant", "small share", "one venue", "narrow margin"],
)
@pytest.mark.parametrize("mode", STAKING)
def test_through_a_broken_peg_the_short_follows_what_putting_to_work_costs(mode, overrides, sample_data):
    """In the sample the peg breaks on 2025-06-10; staking at the protocol's rate then costs delta at once."""
    result = basis.backtest(mode, sample_data, start="2025-06-01", end="2025-06-20", overrides=overrides)
    assert drift(result, mode).max() <= 0.02
    assert "nothing to change at this loan to value" not in reasons(result)


@pytest.mark.parametrize(
    ("overrides", "band"),
    [({"strategy.max_delta_drift": 0.005}, 0.005), ({"initial_capital": 3_000.0}, 0.02)],
    ids=["narrow band", "small capital"],
)
@pytest.mark.parametrize("mode", STAKING)
def test_neither_rewards_sold_nor_gas_take_delta_out_of_its_band(mode, overrides, band, sample_data):
    """Rewards of a small book are up to a sixth of it when they are sold, a transaction a hundredth."""
    result = basis.backtest(mode, sample_data, overrides=overrides)
    assert drift(result, mode).max() <= band * (1.0 + 1e-9)


@pytest.mark.parametrize("mode", STAKING)
def test_a_first_entry_while_the_peg_is_off_is_hedged_at_what_it_became(mode, sample_data):
    overrides = {"strategy.stake_allocation": 0.9, "risk.limits": {}}
    result = basis.backtest(mode, sample_data, start="2025-06-11 12:00", end="2025-06-12", overrides=overrides)
    assert short_at(result, mode, "binance").max() > 0.0
    assert drift(result, mode).max() <= 0.02


@pytest.mark.parametrize("mode", STAKING)
def test_filled_a_bar_later_delta_is_back_in_its_band_a_bar_later(mode, sample_data):
    overrides = {"fill": "next_bar"}
    result = basis.backtest(mode, sample_data, start="2025-06-01", end="2025-06-20", overrides=overrides)
    off = np.flatnonzero(drift(result, mode) > 0.02)
    assert 0 < len(off) < 20
    assert (np.diff(off) > 1).all()
    decided = set(events(result, "decision")["effective_at"])
    assert {result.exposure.index[i] for i in off} <= decided


@pytest.mark.parametrize(
    "venues",
    [{"bybit": 1.0}, {"bybit": 0.6, "okx": 0.3, "binance": 0.1}, dict.fromkeys(VENUES, 1 / 3)],
    ids=["one", "uneven", "even"],
)
@pytest.mark.parametrize("capital", [20_000.0, 1e6])
@pytest.mark.parametrize("mode", STAKING)
def test_what_leaves_whole_keeps_the_gas_of_leaving(mode, capital, venues):
    """The short is not bought back where the ether could not be sold."""
    apr = np.where(np.arange(ROWS) < CALL, 0.5, -0.5)
    rule = {
        "strategy.rate_rule": {"enabled": True, "enter": 0.0, "leave": -0.1, "window": "24h", "holding_period": None}
    }
    result = basis.backtest(
        mode,
        hedged(flat(mode), wick=0.001, apr=apr),
        overrides={"strategy.hedge_allocation": venues, "initial_capital": capital, **rule},
    )
    assert drift(result, mode).max() <= 0.02
    assert reasons(result) == []
    assert max(short_at(result, mode, v).max() for v in venues) > 0.0
    assert all(short_at(result, mode, v)[-1] == 0.0 for v in venues)
    assert result.exposure["net_delta_ratio|ETH"].iloc[-1] == pytest.approx(0.0, abs=1e-3)


def test_a_short_too_small_for_what_remains_grows_as_the_long_leg_shrinks():
    """A peg that comes back makes the ether more than the short, and more than is aimed at."""
    peg = np.where((np.arange(40) >= 10) & (np.arange(40) < 20), 0.95, 1.0)
    result = basis.backtest("usdt_market_neutral", hedged(steady(40, 3_000.0), peg=peg), overrides={"risk.limits": {}})
    assert drift(result, "usdt_market_neutral").max() <= 0.02
