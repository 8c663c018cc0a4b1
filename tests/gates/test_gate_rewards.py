"""Gate of rewards: what holders of weETH are paid, what becomes of it, and when it is sold.

On a data set everything is worked out from its files (`reward_book`); on small markets every number is chosen.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basis
from basis import Action, Decision
from basis.config import load_config
from basis.errors import ConfigError, DataError, EngineError
from basis.market import DataProvider
from support.result_checks import check_accounts, columns_of, events, held, reasons, rows_of, same_tables
from support.reward_runs import DUST, ETHER, POOL, TOKEN, dust_by_hand, payouts, slipped, with_rewards
from support.small_markets import at_row, flows
from support.staking_markets import ether

MODES = ("eth_staking_only", "eth_leveraged")
#: The sample begins in the middle of a week of EIGEN; the real set in the middle of both periods, before EIGEN trades.
WINDOWS = {"sample": ("2024-02-22T05:00:00Z", "2024-04-10"), "real": ("2024-09-20", "2025-01-01")}
EARNS = {"supply_yield", "borrow_cost", "staking_yield", "peg_pnl", "reward_pnl", "dust_pnl"}
COSTS = {"gas", "flash_fees", "slippage"}
QUIET = {"risk.limits": {}}
IN_USDT = {"share_class": "USDT"}
BOOK = {ETHER: 100.0}
DRIVERS = ("kernel", "event")


def window(data):
    return WINDOWS["sample" if data.name == "sample" else "real"]


def twice(*given, **more):
    """The run of the compiled loop, after a look that the components leave the same bits."""
    one, other = (basis.backtest(*given, **more, driver=driver) for driver in DRIVERS)
    assert same_tables(one, other)
    assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))
    return one


# --- on a data set ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share_class", ["ETH", "USDT"])
@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("mode", MODES)
def test_every_hour_of_rewards_and_dust_is_that_of_the_files(data, mode, valuation, share_class):
    """Quantities, worth when received, drift, and the proceeds of every sale."""
    more, threshold = {**QUIET, "valuation": valuation}, 0.1
    if share_class == "USDT":
        threshold = 250.0
        more |= {**IN_USDT, "strategy.dust_threshold": threshold}
    book = BOOK if share_class == "USDT" else None
    result = twice(mode, data, *window(data), more, positions=book)
    hand = dust_by_hand(result, data, threshold, share_class)
    close = 1e-11 * result.summary["initial_equity"]
    for symbol, key in DUST.items():
        np.testing.assert_allclose(held(result, key), hand.kept[symbol], rtol=1e-10, atol=1e-10, err_msg=key)
        got = np.zeros(len(result.equity))
        reported = events(result, "reward", instrument=key)
        np.add.at(got, reported["row"], reported["quantity"])
        np.testing.assert_allclose(got, hand.received[symbol], rtol=1e-10)
    np.testing.assert_allclose(result.attribution["reward_pnl"], hand.reward, rtol=1e-10)
    np.testing.assert_allclose(result.attribution["dust_pnl"], hand.drift, rtol=1e-9, atol=close)
    assert result.attribution["reward_pnl"].sum() > 0.0 != result.attribution["dust_pnl"].abs().sum()
    sales = np.flatnonzero(hand.ether)
    assert len(sales) >= 1
    assert rows_of(result, "fill", action="sell_dust") == sales.tolist()
    # where the proceeds are put to work in the same row, the wallet does not show them
    alone = np.setdiff1d(sales, events(result, "fill", instrument=ETHER)["row"])
    assert len(alone) >= max(1, len(sales) - 2)
    gained = held(result, ETHER).diff().to_numpy()
    np.testing.assert_allclose(gained[alone], (hand.ether - hand.gas)[alone], rtol=1e-9)
    np.testing.assert_allclose(-result.attribution["slippage"].to_numpy()[sales], hand.slippage[sales], rtol=1e-9)
    allowed = EARNS | COSTS | ({"delta_pnl"} if share_class == "USDT" else set())
    check_accounts(result, allowed)
    assert reasons(result) == []


@pytest.mark.parametrize("mode", MODES)
def test_the_events_say_what_was_paid_on_what(driver, data, mode):
    result = basis.backtest(mode, data, *window(data), driver=driver)
    stamps, source = result.equity.index, TOKEN if mode == "eth_staking_only" else POOL
    reported = events(result, "reward")
    wanted = payouts(data, stamps)
    assert [(e.row, e.instrument) for e in reported.itertuples()] == [(p.row, DUST[p.symbol]) for p in wanted]
    np.testing.assert_allclose(reported["rate"], [p.rate for p in wanted], rtol=1e-12)
    assert (reported["detail"] == source).all()
    assert (reported["venue"] == "wallet").all()
    assert (reported["amount"] == reported["quantity"]).all()
    prices = [result.panel[f"spot|{p.symbol}"].iloc[p.row] for p in wanted]
    assert reported["price"].tolist() == prices
    spot = result.panel["spot|ETH"].to_numpy()[reported["row"]]
    np.testing.assert_allclose(reported["notional"], reported["quantity"] * reported["price"] / spot, rtol=1e-12)
    assert (reported[["fee", "slippage", "gas"]] == 0.0).all(axis=None)
    paid = reported.groupby("row")["notional"].sum()
    booked = result.attribution["reward_pnl"]
    np.testing.assert_allclose(booked.iloc[paid.index], paid, rtol=1e-12)
    assert (booked.drop(booked.index[paid.index]) == 0.0).all()


def test_a_run_that_begins_in_a_period_is_paid_its_days(driver, sample_data):
    """A week of EIGEN from Monday, 12 February; the run begins at different instants of it."""
    rate = 0.177016
    for start, days in (("2024-02-11", 7), ("2024-02-12", 7), ("2024-02-14", 5), ("2024-02-18T18:00:00Z", 0.25)):
        result = basis.backtest("eth_staking_only", sample_data, start, "2024-02-20", driver=driver)
        [(_, paid)] = [e for e in events(result, "reward").iterrows() if e[1]["timestamp"].day == 19]
        assert paid["rate"] == pytest.approx(rate * days / 7, rel=1e-8)
    # in row 0 nothing is paid, of that week nor of the one before
    result = basis.backtest("eth_staking_only", sample_data, "2024-02-19", "2024-02-26", driver=driver)
    assert [e.row for e in events(result, "reward").itertuples()] == [7 * 24]


def test_rows_of_four_hours_are_paid_in_the_first_at_or_after(sample_data):
    more = {"bar_interval": "4h", "data.max_staleness": {"price": "6h"}}
    result = basis.backtest("eth_staking_only", sample_data, "2024-02-13T02:00:00Z", "2024-02-28T02:00:00Z", more)
    assert [str(e.timestamp) for e in events(result, "reward").itertuples()] == [
        "2024-02-19 02:00:00+00:00",
        "2024-02-26 02:00:00+00:00",
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_run_is_the_whole_one(driver, sample_data, mode):
    """Cut before, at and after payouts and sales, in the middle of periods; the market of the rest read anew."""
    start, end = window(sample_data)
    whole = basis.backtest(mode, sample_data, start, end, driver=driver)
    stamps = whole.equity.index
    paid = payouts(sample_data, stamps)
    sale = rows_of(whole, "fill", action="sell_dust")[0]
    cuts = {paid[0].row + d for d in (-1, 0, 1)} | {paid[2].row + d for d in (-1, 0)} | {sale, sale - 30}
    for cut in sorted(cuts):
        kept = whole.checkpoint(stamps[cut])
        rest = basis.backtest(mode, sample_data, stamps[cut], end, resume=kept, driver=driver)
        for name in ("equity", "attribution", "positions", "exposure", "risk"):
            one, other = (getattr(x, name).loc[stamps[cut + 1] :] for x in (whole, rest))
            # how fast a loan is used up is measured over the week before, of which the rest knows nothing
            left = [column for column in one if column != "days_to_liquidation"]
            assert one[left].equals(other[left]), (cut, name)
        later = whole.events[whole.events["timestamp"] > stamps[cut]].reset_index(drop=True)
        again = rest.events[rest.events["timestamp"] > stamps[cut]].reset_index(drop=True)
        for told in (later, again):
            # why something was decided is worked out from tables, which begin with the cut
            told.loc[told["kind"] == "decision", "detail"] = ""
        unnamed = ["seq", "correlation_id"]
        assert later.drop(columns=unnamed).equals(again.drop(columns=unnamed)), cut


# --- data that is not there, or wrong --------------------------------------------------------------------------------


@pytest.fixture
def copied(sample_data, tmp_path):
    """The sample by links, files of it left out or rewritten by a function of their frame."""

    def make(without=(), **changed):
        root = tmp_path / "data"
        for file in sample_data.rglob("*.parquet"):
            name = file.relative_to(sample_data).with_suffix("").as_posix()
            target = root / file.relative_to(sample_data)
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in changed:
                changed[name](pd.read_parquet(file)).to_parquet(target, index=False)
            elif name not in without:
                target.symlink_to(file)
        return root

    return make


SHORT = ("2024-03-08", "2024-04-09")
NOT_THERE = {
    "rewards/eigen_distributions": ("EIGEN", "the data set has no rewards/eigen_distributions"),
    "spot/uniswapv3_eigenweth": ("EIGEN", "the data set has no spot/eigenweth"),
    "rewards/ethfi_topups": ("ETHFI", "the data set has no rewards/ethfi_topups"),
}


@pytest.mark.parametrize("name", NOT_THERE)
@pytest.mark.parametrize("mode", MODES)
def test_without_its_table_or_prices_a_token_is_not_paid_and_the_manifest_says_so(copied, mode, name):
    symbol, words = NOT_THERE[name]
    result = twice(mode, copied(without=[name]), *SHORT)
    assert any(symbol in note and words in note for note in result.manifest["notes"]), result.manifest["notes"]
    assert (held(result, DUST[symbol]) == 0.0).all()
    paid = set(events(result, "reward")["instrument"])
    assert paid == {key for other, key in DUST.items() if other != symbol}
    check_accounts(result, EARNS | COSTS)


def test_without_any_table_a_run_is_that_without_rewards(copied, driver):
    data = copied(without=["rewards/eigen_distributions", "rewards/ethfi_topups"])
    bare = basis.backtest("eth_leveraged", data, *SHORT, driver=driver)
    off = basis.backtest("eth_leveraged", data, *SHORT, {"rewards.enabled": False}, driver=driver)
    assert bare.equity.equals(off.equity)
    assert bare.attribution.equals(off.attribution)
    assert not any("reward" in note for note in off.manifest["notes"])


@pytest.mark.parametrize("mode", MODES)
def test_rewards_off_leave_no_trace(data, mode):
    result = twice(mode, data, *window(data), {"rewards.enabled": False})
    for table in (result.positions, result.exposure, result.panel):
        assert not [name for name in table if "EIGEN" in name or "ETHFI" in name]
    assert events(result, "reward").empty
    assert events(result, "decision", action="sell_dust").empty
    check_accounts(result, EARNS - {"reward_pnl", "dust_pnl"} | COSTS)
    # nothing of them is asked for: a data set that lacks them serves, a market for them is not configured
    more = {"rewards.enabled": False, "venues.uniswap_v3.spot_slippage": {"weETHETH": 10, "wstETHETH": 10}}
    assert basis.backtest(mode, data, *window(data), more).status == "complete"


@pytest.mark.parametrize("mode", MODES)
def test_the_other_token_earns_none(data, mode):
    """wstETH: with rewards on, a run is that with rewards off."""
    start, end = window(data)
    on, off = (
        basis.backtest(mode, data, start, end, {"strategy.lst": "wstETH", "rewards.enabled": x}) for x in (True, False)
    )
    assert same_tables(on, off)
    assert events(on, "reward").empty
    assert not [name for name in on.positions if "EIGEN" in name]


def test_a_reward_that_nobody_buys_is_refused_before_the_run(sample_data):
    slippage = {"weETHETH": 10}
    with pytest.raises(ConfigError, match=r"spot_slippage\.(EIGEN|ETHFI)ETH.*rewards\.enabled=false"):
        basis.backtest("eth_staking_only", sample_data, *SHORT, {"venues.uniswap_v3.spot_slippage": slippage})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="ethfi_per_eeth"), ["ethfi_topups", "ethfi_per_eeth"]),
        (lambda f: f.assign(ethfi_per_eeth=[-1.0, *f["ethfi_per_eeth"][1:]]), ["ethfi_topups", "ethfi_per_eeth"]),
        (lambda f: f.assign(ethfi_per_eeth=[np.nan, *f["ethfi_per_eeth"][1:]]), ["ethfi_topups", "ethfi_per_eeth"]),
        (lambda f: f.assign(payout_date=f["payout_date"].astype(str)), ["ethfi_topups", "payout_date"]),
        (lambda f: f.assign(payout_date=[None, *f["payout_date"][1:]]), ["ethfi_topups", "payout_date"]),
        (lambda f: f.drop(columns="period_start"), ["ethfi_topups", "period_start"]),
    ],
    ids=["no rate", "negative", "nan", "text", "no day", "no period"],
)
def test_a_table_that_cannot_be_read_is_an_error_that_names_it(copied, change, words):
    data = copied(**{"rewards/ethfi_topups": change})
    with pytest.raises(DataError) as caught:
        basis.backtest("eth_staking_only", data, *SHORT)
    for word in words:
        assert word in str(caught.value)


# --- nothing later changes a row -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after", [-1, 0, 7])
def test_no_row_knows_a_later_payout_or_price(copied, sample_data, driver, mode, after):
    """Tables and candles after a row rewritten; the row stands before, at and after a payout."""
    start, end = SHORT
    whole = basis.backtest(mode, sample_data, start, end, driver=driver)
    stamps = whole.equity.index
    cut = payouts(sample_data, stamps)[1].row + after
    last = stamps[cut]
    rng = np.random.default_rng(cut)

    def bars(frame):
        later, unfinished = frame["timestamp"] > last, frame["timestamp"] >= last
        for column in ("open", "high", "low", "close"):
            wild = rng.uniform(0.2, 5.0, len(frame))
            frame[column] *= np.where(later if column == "open" else unfinished, wild, 1.0)
        return frame

    def table(rate, payout, lag):
        def change(frame):
            due = pd.to_datetime(frame[payout], utc=True) + pd.Timedelta(days=lag)
            frame[rate] *= np.where(due > last, rng.uniform(0.2, 5.0, len(frame)), 1.0)
            # and one of them is forgotten
            return frame.drop(index=frame.index[due > last][1])

        return change

    data = copied(
        **{
            "spot/uniswapv3_eigenweth": bars,
            "spot/uniswapv3_ethfiweth": bars,
            "rewards/eigen_distributions": table("eigen_per_eeth_computed", "period_end", 1),
            "rewards/ethfi_topups": table("ethfi_per_eeth", "payout_date", 0),
        }
    )
    # candles at random are refused as no market's, unless nothing is checked
    other = basis.backtest(mode, data, start, end, driver=driver, overrides={"data.checks": "off"})
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        assert getattr(whole, name)[: cut + 1].equals(getattr(other, name)[: cut + 1]), name
    assert not whole.equity.equals(other.equity)
    one, two = (x.events[x.events["timestamp"] <= last].drop(columns="correlation_id") for x in (whole, other))
    assert one.equals(two)


# --- small markets: thresholds, sales, orders of things --------------------------------------------------------------

ROWS = 60
PRICE = 0.002  # ETH per EIGEN
PAID = ((10, 0.3), (20, 0.2), (30, 0.4), (40, 0.5))
#: No growth, no costs but those of the sale, all in the wallet at rate 1: a payout is rate times 90 tokens.
STILL = {"staking": 0.0, "supply": 0.0, "borrow": 0.0, "pool": 0.0, "peg": 1.0}
UNITS = 90.0


def market(price=PRICE, paid=PAID, rows=ROWS, gwei=20.0, **more):
    return with_rewards(ether(rows, **{**STILL, "gwei": gwei, **more}, oracle_rate__weETH=np.ones(rows)), paid, price)


def holds(panel, overrides=None, driver="kernel", units=UNITS, **more):
    """A run that has its tokens and waits: nothing is staked but what is sold."""
    given = {**QUIET, "strategy.gas_reserve": 1e3, **(overrides or {})}
    more.setdefault("positions", {TOKEN: units, ETHER: 0.5})
    return basis.backtest("eth_staking_only", panel, overrides=given, driver=driver, **more)


def worths(paid=PAID, price=PRICE):
    return [rate * UNITS * price for _, rate in paid]


@pytest.mark.parametrize("threshold", [None, 0.0, 0.05, 0.1, 1e6])
def test_dust_is_sold_where_its_worth_is_above_the_threshold(driver, threshold):
    result = holds(market(), {"strategy.dust_threshold": threshold}, driver)
    expected, worth = [], 0.0
    for (row, _), more in zip(PAID, worths(), strict=True):
        worth += more
        if threshold is not None and worth > threshold:
            expected.append(row)
            worth = 0.0
    assert rows_of(result, "fill", action="sell_dust") == expected
    assert {None: 0, 0.0: 4, 0.05: 3, 0.1: 1, 1e6: 0}[threshold] == len(expected)
    sold_last = expected and expected[-1] == PAID[-1][0]
    assert held(result, DUST["EIGEN"], -1) == pytest.approx(0.0 if sold_last else worth / PRICE, rel=1e-12)
    check_accounts(result, {"reward_pnl", "slippage", "gas"} | ({"peg_pnl"} if expected else set()))
    assert result.attribution["reward_pnl"].sum() == pytest.approx(sum(worths()), rel=1e-12)


def test_at_the_threshold_it_is_held(driver):
    # 0.5 * 64 * 2**-9: an exact number
    panel = market(price=2.0**-9, paid=((10, 0.5), (20, 0.5)))
    exact = 0.5 * 64.0 * 2.0**-9
    for threshold, rows in ((exact, [20]), (np.nextafter(exact, 0.0), [10, 20])):
        more = {"strategy.dust_threshold": float(threshold)}
        assert rows_of(holds(panel, more, driver, units=64.0), "fill", action="sell_dust") == rows


@pytest.mark.parametrize("close", [False, True])
def test_a_held_book_holds_its_dust_until_it_is_closed(driver, close):
    """With rebalance off nothing is sold; at the end neither: only what may be sold at all is."""
    more = {"strategy.dust_threshold": 0.0, "strategy.rebalance": False, "close_at_end": close}
    result = holds(market(), more, driver)
    assert rows_of(result, "fill", action="sell_dust") == []
    assert held(result, DUST["EIGEN"], -1) == pytest.approx(sum(worths()) / PRICE, rel=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("threshold", "sold"), [(0.1, True), (10.0, False), (None, False)])
def test_the_end_closes_dust_above_the_threshold(driver, mode, threshold, sold):
    # paid in the last row
    panel = with_rewards(ether(ROWS), ((ROWS - 1, 1.0),), PRICE)
    more = {**QUIET, "close_at_end": True, "strategy.dust_threshold": threshold, "strategy.stake_route": "market"}
    result = basis.backtest(mode, panel, overrides=more, driver=driver)
    assert rows_of(result, "fill", action="sell_dust") == ([ROWS - 1] if sold else [])
    assert (held(result, DUST["EIGEN"], -1) == 0.0) == sold
    assert held(result, TOKEN, -1) == 0.0
    assert result.attribution["reward_pnl"].iloc[-1] > 0.1
    check_accounts(result, EARNS | COSTS)


def test_a_sale_pays_slippage_by_its_size_and_gas_by_its_token(driver):
    """Notionals of 9, 50 and 500 thousand USDT: three buckets."""
    for thousand, bps in ((9.0, 10.0), (50.0, 16.0), (500.0, 35.0)):
        rate = thousand * 1e3 / 3_000.0 / PRICE / UNITS
        result = holds(market(paid=((10, rate),)), {"strategy.dust_threshold": 0.0}, driver)
        [(_, fill)] = events(result, "fill", action="sell_dust").iterrows()
        worth = rate * UNITS * PRICE
        assert slipped("EIGEN", thousand * 1e3) == pytest.approx(bps * 1e-4)
        assert fill["slippage"] == pytest.approx(worth * bps * 1e-4, rel=1e-12)
        assert fill["price"] == pytest.approx(PRICE * (1.0 - bps * 1e-4), rel=1e-12)
        assert fill["reference_price"] == pytest.approx(PRICE, rel=1e-12)
        assert fill["amount"] == pytest.approx(worth * (1.0 - bps * 1e-4), rel=1e-12)
        assert (fill["venue"], fill["detail"]) == ("wallet", "swap")
        gas = 203_000.0 * 20e-9
        assert fill["gas"] == pytest.approx(gas, rel=1e-12)
        assert held(result, ETHER, 10) == pytest.approx(0.5 + fill["amount"] - gas, rel=1e-12)
        assert result.attribution["dust_pnl"].abs().sum() == 0.0


def test_later_moves_are_dust_pnl_and_no_delta(driver):
    """The whole move in the share class: of the token against ETH, and of ETH."""
    eth = np.linspace(3_000.0, 4_000.0, ROWS)
    price = PRICE * np.linspace(1.0, 0.4, ROWS)
    panel = market(price=price, eth=eth)
    for share_class, unit in (("ETH", np.ones(ROWS)), ("USDT", eth)):
        result = holds(panel, {"strategy.dust_threshold": None, "share_class": share_class}, driver)
        kept = held(result, DUST["EIGEN"]).to_numpy()
        drift = kept[:-1] * np.diff(price * unit)
        np.testing.assert_allclose(result.attribution["dust_pnl"].iloc[1:], drift, rtol=1e-9, atol=1e-15)
        assert not [name for name in result.exposure if name.startswith("net_delta") and "EIGEN" in name]
        delta = np.diff(unit) * UNITS + 0.5 * np.diff(unit)
        np.testing.assert_allclose(result.attribution["delta_pnl"].iloc[1:], delta, rtol=1e-9, atol=1e-12)
        check_accounts(result, {"reward_pnl", "dust_pnl"} | ({"delta_pnl"} if share_class == "USDT" else set()))


def test_before_there_is_a_market_a_token_is_worth_nothing_and_nobody_buys_it(driver):
    """Paid in rows 10 and 20; the market opens in row 25: then its whole worth is dust P&L, and it is sold."""
    opened = np.where(np.arange(ROWS) < 25, 0.0, PRICE)
    result = holds(market(price=opened), {"strategy.dust_threshold": 0.0}, driver)
    got = 0.5 * UNITS
    assert held(result, DUST["EIGEN"], 24) == pytest.approx(got, rel=1e-12)
    assert (result.attribution["reward_pnl"].iloc[:25] == 0.0).all()
    assert (events(result, "reward")["notional"].iloc[:2] == 0.0).all()
    assert result.attribution["dust_pnl"].iloc[25] == pytest.approx(got * PRICE, rel=1e-12)
    assert rows_of(result, "fill", action="sell_dust") == [25, 30, 40]
    assert reasons(result) == []
    check_accounts(result, {"reward_pnl", "dust_pnl", "slippage", "gas", "peg_pnl"})


def test_one_token_without_a_market_does_not_keep_the_other(driver):
    panel = with_rewards(market(), ((10, 5.0),), np.zeros(ROWS), symbol="ETHFI")
    result = holds(panel, {"strategy.dust_threshold": 0.0}, driver)
    sold = events(result, "fill", action="sell_dust")
    assert set(sold["instrument"]) == {DUST["EIGEN"]}
    assert (held(result, DUST["ETHFI"]).iloc[10:] == 5.0 * UNITS).all()


def test_both_tokens_count_for_the_threshold_and_are_sold_together(driver):
    panel = with_rewards(market(paid=((10, 0.3), (30, 0.3))), ((20, 0.3),), 2.0 * PRICE, symbol="ETHFI")
    one = 0.3 * UNITS * PRICE
    result = holds(panel, {"strategy.dust_threshold": 2.5 * one}, driver)
    sold = events(result, "fill", action="sell_dust")
    assert sold["row"].tolist() == [20, 20]
    assert sold["instrument"].tolist() == [DUST["EIGEN"], DUST["ETHFI"]]
    assert held(result, DUST["EIGEN"], -1) == pytest.approx(0.3 * UNITS, rel=1e-12)
    # each sale has its own slippage and its own gas
    assert sold["slippage"].tolist() == pytest.approx(
        [one * slipped("EIGEN", 1.0), 2.0 * one * slipped("ETHFI", 1.0)], rel=1e-9
    )
    assert (sold["gas"] > 0.0).all()


def test_a_sale_whose_gas_nobody_can_pay_is_rejected_and_nothing_else_is(driver):
    panel = market(price=1e-7, paid=((10, 0.3),), gwei=200.0)
    result = holds(panel, {"strategy.dust_threshold": 0.0}, driver, positions={TOKEN: UNITS})
    check_accounts(result, {"reward_pnl", "slippage", "gas", "peg_pnl"})
    assert held(result, ETHER).min() >= 0.0
    assert result.equity["equity"].iloc[-1] <= UNITS + 0.3 * UNITS * 1e-7 + 1e-12


def test_rewards_follow_what_is_held_at_the_payout(driver):
    """What arrives in its row counts; what is staked or unstaked by its row's decision does not."""
    panel = with_rewards(ether(ROWS, **STILL, oracle_rate__weETH=np.ones(ROWS)), ((10, 0.3), (20, 0.2)), PRICE)
    more = {**QUIET, "strategy.dust_threshold": None, "flows": flows(panel, (7, 50.0), (20, -60.0))}
    for latency, counted in (("3h", True), ("4h", False)):
        result = basis.backtest(
            "eth_staking_only", panel, overrides={**more, "venues.etherfi.latency.deposit": latency}, driver=driver
        )
        first, second = events(result, "reward")["quantity"]
        assert first == pytest.approx(0.3 * held(result, TOKEN, 9 + counted), rel=1e-12)
        assert second == pytest.approx(0.2 * held(result, TOKEN, 19), rel=1e-12)
        assert held(result, TOKEN, 20) < held(result, TOKEN, 19)


def test_wallet_and_collateral_both_earn_by_what_they_are_worth_in_eeth(driver):
    rows, rate, index = 20, 1.07, 1.25
    panel = ether(rows, **STILL, oracle_rate__weETH=np.full(rows, rate), liquidity_index__weETH=np.full(rows, index))
    panel = with_rewards(panel, ((10, 0.3),), PRICE)
    book = {TOKEN: 7.0, POOL: 11.0}
    result = basis.backtest("eth_leveraged", panel, positions=book, driver=driver, strategy=seller())
    paid = events(result, "reward", row=10)
    got = dict(zip(paid["detail"], paid["quantity"], strict=True))
    expected = {TOKEN: 0.3 * 7.0 * rate, POOL: 0.3 * 11.0 * rate * index}
    assert got == {key: pytest.approx(value, rel=1e-12) for key, value in expected.items()}
    assert held(result, DUST["EIGEN"], -1) == pytest.approx(sum(expected.values()), rel=1e-12)


def test_a_reward_is_no_trigger_of_the_band(driver):
    """Dust is no part of what is put to work, nor of what is on its way: nothing is staked for it."""
    panel = with_rewards(ether(ROWS, **STILL), ((10, 40.0), (30, 40.0)), PRICE)
    result = basis.backtest(
        "eth_staking_only", panel, overrides={**QUIET, "strategy.dust_threshold": None}, driver=driver
    )
    assert rows_of(result, "fill") == [0]
    assert reasons(result) == []


def test_what_a_sale_brings_is_put_to_work(driver):
    panel = with_rewards(ether(ROWS, **STILL), ((10, 40.0),), PRICE)
    result = basis.backtest("eth_staking_only", panel, overrides={**QUIET}, driver=driver)
    assert rows_of(result, "fill", action="sell_dust") == [10]
    later = [row for row in rows_of(result, "fill") if row > 10]
    assert later
    assert held(result, TOKEN, -1) > held(result, TOKEN, 10) * 1.05


@pytest.mark.parametrize("mode", MODES)
def test_a_withdrawal_is_paid_though_there_is_dust(driver, mode):
    """The dust counts in equity, but it is no ether; what is asked for is paid in whole."""
    panel = with_rewards(ether(ROWS, gwei=20.0), ((10, 1.0),), PRICE)
    for threshold in (None, 0.1):
        more = {**QUIET, "strategy.dust_threshold": threshold, "strategy.stake_route": "market"}
        result = basis.backtest(
            mode, panel, overrides={**more, "flows": flows(panel, (10, -30.0), (40, -50.0))}, driver=driver
        )
        assert result.equity["net_flow"].sum() == -80.0
        assert (result.equity["withdrawal_pending"].iloc[-1:] == 0.0).all()
        assert reasons(result) == []
        check_accounts(result, EARNS | COSTS)


@pytest.mark.parametrize("mode", MODES)
def test_everything_may_be_withdrawn_though_there_is_dust(driver, mode):
    panel = with_rewards(ether(ROWS, gwei=20.0), ((10, 1.0),), PRICE)
    more = {**QUIET, "strategy.dust_threshold": 0.0, "strategy.stake_route": "market"}
    result = basis.backtest(mode, panel, overrides={**more, "flows": flows(panel, (30, -1e4))}, driver=driver)
    assert result.equity["equity"].iloc[-1] == pytest.approx(0.0, abs=1e-6)
    check_accounts(result, EARNS | COSTS)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [4.0, 0.125, 64.0])
def test_without_costs_everything_is_proportional_to_the_capital(sample_data, mode, factor):
    """Thresholds as well."""
    more = {**QUIET, "costs.enabled": False}
    one, other = (
        basis.backtest(
            mode, sample_data, *SHORT, {**more, "initial_capital": 100.0 * x, "strategy.dust_threshold": 0.05 * x}
        )
        for x in (1.0, factor)
    )
    assert rows_of(one, "fill", action="sell_dust")
    assert (other.equity["equity"] == factor * one.equity["equity"]).all()
    assert (other.attribution == factor * one.attribution).all(axis=None)
    assert (other.positions == factor * one.positions).all(axis=None)


def test_twice_the_rate_pays_twice(driver):
    one, two = (
        holds(market(paid=[(row, x * rate) for row, rate in PAID]), {"strategy.dust_threshold": None}, driver)
        for x in (1.0, 2.0)
    )
    assert (two.attribution["reward_pnl"] == 2.0 * one.attribution["reward_pnl"]).all()
    assert (held(two, DUST["EIGEN"]) == 2.0 * held(one, DUST["EIGEN"])).all()


def test_a_small_run_cut_at_any_row_goes_on_with_the_same_bits(driver):
    panel = with_rewards(ether(ROWS), PAID, PRICE * np.linspace(1.0, 0.5, ROWS), step=25)
    config = load_config("eth_leveraged", {**QUIET, "strategy.dust_threshold": 0.1}, environ={})
    whole = basis.backtest(config, panel, driver=driver)
    assert rows_of(whole, "fill", action="sell_dust")
    for row in (0, 1, 8, 9, 10, 11, 19, 20, 39, 40, ROWS - 2):
        kept = whole.checkpoint(at_row(panel, row))
        rest = basis.backtest(config, panel.slice(row, ROWS - 1), resume=kept, driver=driver)
        for name in ("equity", "attribution", "positions", "risk"):
            one, two = (getattr(x, name).loc[panel_stamp(panel, row + 1) :] for x in (whole, rest))
            assert one.equals(two), (row, name)


def panel_stamp(panel, row):
    return pd.Timestamp(int(panel.timestamps[row]), tz="UTC")


# --- strategies in plain Python --------------------------------------------------------------------------------------


def seller(*actions):
    """Does that wherever the dust is worth more than 0.1 ETH; nothing without actions."""

    class Seller(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            return Decision(actions) if self.view.dust > 0.1 else None

    return Seller


def test_a_strategy_in_python_sells_dust():
    panel = market()
    made = [
        holds(panel, {"strategy.dust_threshold": None}, driver, strategy=seller(Action("sell_dust", "dust")))
        for driver in DRIVERS
    ]
    assert same_tables(*made)
    compiled = holds(panel, {"strategy.dust_threshold": 0.1})
    for result in made:
        assert rows_of(result, "fill", action="sell_dust") == rows_of(compiled, "fill", action="sell_dust") == [30]
        assert result.equity.equals(compiled.equity)
        assert result.attribution.equals(compiled.attribution)


def test_a_strategy_in_python_is_reported_the_worth_of_the_dust(driver):
    reported = []

    class Watcher(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            reported.append(self.view.dust)
            return None

    result = holds(market(), {"strategy.dust_threshold": None}, driver, strategy=Watcher)
    assert rows_of(result, "fill") == []
    np.testing.assert_allclose(reported, np.concatenate(([0.0], np.cumsum(worths()))), rtol=1e-12)


@pytest.mark.parametrize(
    "action", [Action("sell_dust", "ETH"), Action("exit_full", "dust"), Action("entry_full", "dust", 1.0)]
)
def test_dust_is_only_sold_and_only_dust_is_sold_as_such(driver, action):
    with pytest.raises(EngineError, match="dust"):
        holds(market(), {"strategy.dust_threshold": None}, driver, strategy=seller(action))


def test_without_rewards_there_is_no_dust_to_sell(driver):
    class Seller(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            return Decision((Action("sell_dust", "dust"),))

    with pytest.raises(EngineError, match="dust"):
        holds(market(), {"rewards.enabled": False}, driver, strategy=Seller)


def test_a_sale_of_nothing_changes_nothing(driver):
    class Seller(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            return Decision((Action("sell_dust", "dust"),))

    result = holds(market(paid=((50, 0.3),)), {}, driver, strategy=Seller)
    assert (held(result, ETHER).iloc[:50] == 0.5).all()
    assert rows_of(result, "fill", action="sell_dust") == [50]
    assert reasons(result) == []


# --- every change has its event --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_change_of_a_stored_quantity_is_told(data, mode):
    """Tokens by the quantities of their events; the wallet's ether by amounts and gas."""
    result = basis.backtest(mode, data, *window(data), {**QUIET, "strategy.stake_route": "market"})
    log = result.events.assign(row=result.equity.index.get_indexer(pd.DatetimeIndex(result.events["timestamp"])))
    moves = log[log["kind"].isin(["fill", "reward", "liquidation"])]
    for key in [name for name in result.positions if "|" not in name]:
        reported = np.zeros(len(result.equity))
        own = moves[moves["instrument"] == key]
        np.add.at(reported, own["row"], own["quantity"])
        if key == ETHER:
            reported[0] += 100.0
            np.add.at(reported, own["row"], -own["gas"])
            for e in moves[moves["detail"].isin(["swap", "stake", "unstake"])].itertuples():
                reported[e.row] += e.amount - e.gas
        got = np.diff(held(result, key), prepend=0.0)
        unit = 1e-10 if key in DUST.values() else 1e-11
        np.testing.assert_allclose(got, reported, rtol=1e-9, atol=unit * max(1.0, held(result, key).max()), err_msg=key)
    assert set(columns_of(result)) >= {"reward_pnl", "dust_pnl"}


def test_a_payout_before_its_period_is_over_waits_for_it(copied, driver):
    """Nothing is known of a period before its end."""
    early = copied(**{"rewards/ethfi_topups": lambda f: f.assign(payout_date=f["period_end"])})
    result = basis.backtest("eth_staking_only", early, *SHORT, driver=driver)
    [(_, paid)] = events(result, "reward", instrument=DUST["ETHFI"]).iterrows()
    assert str(paid["timestamp"]) == "2024-03-18 00:00:00+00:00"


def test_a_slice_is_the_panel_of_its_window(sample_data):
    config = load_config("eth_leveraged", {}, environ={})
    provider = DataProvider(sample_data, config)
    whole = provider.panel(None, "2024-03-01", "2024-04-01")
    for row in (17 * 24, 17 * 24 + 5):
        part = whole.slice(row, row + 100)
        own = provider.panel(None, at_row(whole, row), at_row(whole, row + 100))
        assert set(part.columns) == set(own.columns)
        for name in own.columns:
            np.testing.assert_array_equal(part.columns[name], own.columns[name], err_msg=name)
        assert replace(part, columns={}).distributions.keys() == own.distributions.keys()
