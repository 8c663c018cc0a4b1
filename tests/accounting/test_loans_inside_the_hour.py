"""Loans against another asset are tested at the hour's lowest and highest price, in closed form and at random.

The book of `lending_book` works out every seizure; runs hold their loan and do nothing else.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from lending_book import (
    BONUS,
    MOVES,
    THRESHOLD,
    book_of,
    by_hand,
    health,
    key,
    loan_to_value,
    market,
    never_acts,
    per_unit,
    price_of,
    stored_by_hand,
)

import basis
from support.result_checks import events, held, rows_of, same_tables, series
from support.staking_markets import ether

pytestmark = pytest.mark.filterwarnings("ignore::basis.errors.RunStoppedWarning")

DRIVERS = ("kernel", "event")
CLASSES = ("USDT", "ETH")
RULES = ("aave_v3.0", "aave_v3.3")
HIT, ROWS = 5, 9
FIRST, THEN = 3_000.0, 2_990.0
LOW, HIGH = 2_500.0, 3_600.0
#: One book for every loan, with legs of nothing: no book of a test is compiled for itself.
LEGS = {
    "instruments": [
        *("wallet:BaseToken:USDT", "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"),
        *map(key, MOVES),
        *(key(name, True) for name in ("WETH", "USDT")),
    ],
    "rewards.enabled": False,
}


def hold(panel, book, driver="kernel", share_class="USDT", rule="aave_v3.0", resume=None, **more):
    overrides = {
        **LEGS,
        "share_class": share_class,
        "risk.limits": {},
        "venues.aave_v3.close_rule": [{"from": "2024-01-01", "rule": rule, "source": "test"}],
        **more,
    }
    start = {"resume": resume} if resume else {"positions": book}
    return basis.backtest("pure_lending", panel, overrides=overrides, strategy=never_acts, driver=driver, **start)


def dip(low=LOW, high=None, growth=1e-6, peg=1.0):
    """A price that hardly moves, and what it did in the hour that ended in row HIT."""
    eth = np.where(np.arange(ROWS) < HIT, FIRST, THEN)
    lows, highs = eth.copy(), eth.copy()
    lows[HIT] = eth[HIT] if low is None else low
    highs[HIT] = FIRST if high is None else high
    return market(eth, lows, highs, peg=peg, growth=growth)


def owing_usdt(panel, factor, size=100.0, symbol="WETH", low=LOW):
    """ETH against a debt in USDT whose health factor is `factor` at the low of row HIT."""
    lent = {symbol: size}
    at_low = size * per_unit(panel, symbol, HIT) / per_unit(panel, symbol, 0) * low * THRESHOLD[symbol]
    grown = per_unit(panel, "USDT", HIT, True) / per_unit(panel, "USDT", 0, True)
    return book_of(lent, {"USDT": at_low / factor / grown}, panel)


def owing_eth(panel, factor, size=300_000.0):
    """USDT against a debt in ETH whose health factor is `factor` at the high of row HIT."""
    limit = size * per_unit(panel, "USDT", HIT) / per_unit(panel, "USDT", 0) * THRESHOLD["USDT"]
    grown = per_unit(panel, "WETH", HIT, True) / per_unit(panel, "WETH", 0, True)
    return book_of({"USDT": size}, {"WETH": limit / HIGH / factor / grown}, panel)


def agree(result, panel, hours, share_class="USDT"):
    """A run is what was worked out by hand: quantities, equity, attribution, the worst of every hour."""
    assert result.status == "complete" or result.cause.startswith("insolvent"), result.cause
    rows = len(result.equity)
    capital = abs(hours[0].equity)
    scale = max(capital, result.exposure["gross"].max())
    stored = stored_by_hand(panel, hours[:rows])
    for name in stored:
        expected = stored[name].to_numpy()
        np.testing.assert_allclose(held(result, name), expected, rtol=1e-9, atol=1e-10 * expected[0], err_msg=name)
    np.testing.assert_allclose(result.equity["equity"], [h.equity for h in hours[:rows]], rtol=1e-9, atol=1e-9 * scale)
    for column in hours[0].pnl:
        expected = [h.pnl[column] for h in hours[:rows]]
        np.testing.assert_allclose(
            result.attribution[column], expected, rtol=1e-7, atol=1e-9 * scale, err_msg=f"{column} in {share_class}"
        )
    assert result.equity["residual"].abs().max() <= 1e-12 * scale
    np.testing.assert_allclose(result.risk["health_factor|worst"], [h.health for h in hours[:rows]], rtol=1e-9)
    np.testing.assert_allclose(result.risk["ltv|worst"], [h.ltv for h in hours[:rows]], rtol=1e-9)


# --- in closed form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("share_class", CLASSES)
@pytest.mark.parametrize("factor", [0.999, 0.97, 0.951, 0.95, 0.93, 0.88])
def test_ether_against_usdt_is_seized_at_the_low(factor, share_class, rule):
    """Half of the debt above a health factor of .95, all of it at or below, at the price of the low."""
    panel = dip()
    book = owing_usdt(panel, factor)
    lent, owed = 100.0 * 1.000001**HIT, book[key("USDT", True)] * per_unit(panel, "USDT", HIT, True)
    repaid = owed / 2.0 if factor > 0.9505 else owed
    taken = repaid * 1.05 / LOW
    made = [hold(panel, book, driver, share_class, rule) for driver in DRIVERS]
    assert same_tables(*made)
    for result in made:
        if factor not in (0.95,):  # where rounding decides
            assert held(result, key("WETH"), HIT) * per_unit(panel, "WETH", HIT) == pytest.approx(
                lent - taken, rel=1e-9
            )
            left = held(result, key("USDT", True), HIT) * per_unit(panel, "USDT", HIT, True)
            assert left == pytest.approx(owed - repaid, rel=1e-9, abs=1e-9)
            [(_, seized), (_, paid)] = events(result, "liquidation", row=HIT).iterrows()
            unit = LOW if share_class == "ETH" else 1.0
            assert seized["price"] == pytest.approx(1.02 * 1.000001**HIT * LOW / unit, rel=1e-9)
            assert paid["notional"] == pytest.approx(repaid / unit, rel=1e-9)
            assert seized["notional"] == pytest.approx(1.05 * repaid / unit, rel=1e-9)
            loss = result.attribution["liquidation_loss"].iloc[HIT]
            assert loss == pytest.approx(-0.05 * repaid / unit, rel=1e-9)
            agree(result, panel, by_hand(panel, book, rule, share_class), share_class)
        assert rows_of(result, "liquidation") == [HIT]
        assert result.risk["health_factor|worst"].iloc[HIT] == pytest.approx(factor, rel=1e-9)
        assert result.risk["ltv|worst"].iloc[HIT] == pytest.approx(0.83 / factor, rel=1e-9)
        # in the row, and after it, the account is sound
        assert (result.risk["health_factor"] > 1.0).all()
        assert result.summary["min_health_factor"] == pytest.approx(factor, rel=1e-9)
        assert result.summary["min_health_factor"] < 1.0
        assert result.summary["liquidations"] == 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("share_class", CLASSES)
@pytest.mark.parametrize("factor", [0.99, 0.96, 0.94])
def test_usdt_against_ether_is_seized_at_the_high(factor, share_class, rule):
    panel = dip(low=None, high=HIGH)
    book = owing_eth(panel, factor)
    lent, owed = 300_000.0 * 1.000001**HIT, book[key("WETH", True)] * per_unit(panel, "WETH", HIT, True)
    repaid = owed / 2.0 if factor > 0.95 else owed
    made = [hold(panel, book, driver, share_class, rule) for driver in DRIVERS]
    assert same_tables(*made)
    result = made[0]
    assert rows_of(result, "liquidation") == [HIT]
    left = held(result, key("USDT"), HIT) * per_unit(panel, "USDT", HIT)
    assert left == pytest.approx(lent - repaid * HIGH * 1.045, rel=1e-9)
    due = held(result, key("WETH", True), HIT) * per_unit(panel, "WETH", HIT, True)
    assert due == pytest.approx(owed - repaid, rel=1e-9, abs=1e-12)
    unit = HIGH if share_class == "ETH" else 1.0
    assert result.attribution["liquidation_loss"].iloc[HIT] == pytest.approx(-0.045 * repaid * HIGH / unit, rel=1e-9)
    assert result.risk["health_factor|worst"].iloc[HIT] == pytest.approx(factor, rel=1e-9)
    agree(result, panel, by_hand(panel, book, rule, share_class), share_class)


@pytest.mark.parametrize("share_class", CLASSES)
@pytest.mark.parametrize("valuation", ["market", "oracle"])
def test_a_staking_token_seized_at_the_low_gives_back_its_discount(valuation, share_class):
    peg = 0.97
    panel = dip(peg=peg)
    book = owing_usdt(panel, 0.97, symbol="weETH")
    result = hold(panel, book, share_class=share_class, valuation=valuation)
    owed = book[key("USDT", True)] * per_unit(panel, "USDT", HIT, True)
    taken = owed / 2.0 * 1.07 / LOW
    back = taken * (1.0 - peg) * (LOW if share_class == "USDT" else 1.0) if valuation == "market" else 0.0
    assert result.attribution["peg_pnl"].iloc[HIT] == pytest.approx(back, rel=1e-9, abs=1e-9)
    agree(result, panel, by_hand(panel, book, "aave_v3.0", share_class, valuation), share_class)
    assert same_tables(result, hold(panel, book, "event", share_class=share_class, valuation=valuation))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [0.5, 5.0])
def test_small_legs_close_whole_from_v3_3_on(rule, size):
    """Half a token is worth less than 2,000 USD at the low, five are more."""
    panel = dip()
    book = owing_usdt(panel, 0.97, size=size)
    result = hold(panel, book, rule=rule)
    whole = rule == "aave_v3.3" and size * LOW < 2_000.0
    assert (held(result, key("USDT", True), HIT) == 0.0) == whole
    agree(result, panel, by_hand(panel, book, rule))


def test_a_leg_is_small_at_the_price_of_the_low():
    """Collateral of 2,100 USD in the row and 1,750 at the low: it closes whole."""
    panel = dip()
    book = owing_usdt(panel, 0.97, size=0.7)
    result = hold(panel, book, rule="aave_v3.3")
    assert held(result, key("USDT", True), HIT) == 0.0


@pytest.mark.parametrize("share_class", CLASSES)
def test_what_the_low_does_not_cover_stays_owed(share_class):
    low = 1_800.0
    panel = dip(low)
    book = owing_usdt(panel, 0.75, low=low)
    made = [hold(panel, book, driver, share_class) for driver in DRIVERS]
    assert same_tables(*made)
    result = made[0]
    assert held(result, key("WETH"), HIT) == 0.0
    owed = book[key("USDT", True)] * per_unit(panel, "USDT", HIT, True)
    left = owed - 100.0 * 1.000001**HIT * low / 1.05
    assert left > 0.0
    assert held(result, key("USDT", True), HIT) * per_unit(panel, "USDT", HIT, True) == pytest.approx(left, rel=1e-9)
    agree(result, panel, by_hand(panel, book, "aave_v3.0", share_class), share_class)


# --- what does not happen --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share_class", CLASSES)
@pytest.mark.parametrize("factor", [1.0000001, 1.05])
def test_a_low_above_the_threshold_strikes_nobody(driver, factor, share_class):
    panel = dip()
    book = owing_usdt(panel, factor)
    result = hold(panel, book, driver, share_class)
    assert rows_of(result, "liquidation") == []
    assert (held(result, key("WETH")) == book[key("WETH")]).all()
    assert result.risk["health_factor|worst"].iloc[HIT] == pytest.approx(factor, rel=1e-9)
    assert result.summary["min_health_factor"] == pytest.approx(factor, rel=1e-9)
    agree(result, panel, by_hand(panel, book, "aave_v3.0", share_class), share_class)


def test_a_high_is_no_danger_to_a_debt_in_usdt_nor_a_low_to_one_in_ether(driver):
    for panel, book in (
        (dip(low=None, high=10.0 * HIGH), owing_usdt(dip(), 0.97)),
        (dip(low=0.1 * LOW), owing_eth(dip(), 0.97)),
    ):
        result = hold(panel, book, driver)
        assert rows_of(result, "liquidation") == []
        assert (result.risk["health_factor|worst"] > 1.0).all()


def test_without_liquidations_the_worst_is_reported_all_the_same(driver):
    panel = dip()
    result = hold(panel, owing_usdt(panel, 0.97), driver, **{"risk.simulate_liquidation": False})
    assert rows_of(result, "liquidation") == []
    assert result.risk["health_factor|worst"].iloc[HIT] == pytest.approx(0.97, rel=1e-9)
    assert (result.attribution["liquidation_loss"] == 0.0).all()


def test_the_first_row_is_not_tested_inside_its_hour(driver):
    eth = np.full(ROWS, FIRST)
    low = eth.copy()
    low[0] = 1.0
    panel = market(eth, low, eth)
    result = hold(panel, owing_usdt(panel, 1.1), driver)
    assert rows_of(result, "liquidation") == []
    assert (result.risk["health_factor|worst"] > 1.0).all()


def test_a_low_on_the_wrong_side_is_no_better_than_the_prices(driver):
    """Extremes of a candle that do not span the hour: its two prices count as well."""
    eth = np.where(np.arange(ROWS) < HIT, FIRST, LOW)
    book = owing_usdt(market(eth), 0.97)
    # a check of the data would refuse them
    off, panels = {"data.checks": "off"}, (market(eth), market(eth, eth * 1.5, eth * 0.5))
    plain, odd = (hold(panel, book, driver, **off) for panel in panels)
    for name in ("equity", "attribution", "positions", "risk"):
        assert getattr(plain, name).equals(getattr(odd, name)), name
    assert rows_of(plain, "liquidation") == [HIT]


def test_the_price_of_the_last_row_belongs_to_the_hour(driver):
    """A debt in ETH that was sound in the last row at its price is tested at that price with this row's indices."""
    eth = np.where(np.arange(ROWS) < HIT, HIGH, THEN)
    panel = market(eth, eth, eth, growth=1e-3)
    book = owing_eth(panel, 0.9995)
    result = hold(panel, book, driver)
    agree(result, panel, by_hand(panel, book))
    assert HIT in rows_of(result, "liquidation")


@pytest.mark.parametrize("share_class", CLASSES)
def test_ether_against_ether_knows_no_price(driver, share_class):
    """A levered book is what it was, whatever the hour's extremes are."""
    plain = ether(60)
    rng = np.random.default_rng(1)
    wild = ether(60, low__spot__ETH=rng.uniform(1.0, 2e3, 60), high__spot__ETH=rng.uniform(4e3, 9e5, 60))
    more = {"share_class": share_class, "risk.limits": {}, "strategy.target_ltv": 0.9}
    made = [
        basis.backtest("eth_leveraged", panel, overrides=more, driver=driver, positions={"wallet:BaseToken:ETH": 100.0})
        for panel in (plain, wild)
    ]
    for name in ("equity", "attribution", "positions", "risk"):
        assert getattr(made[0], name).equals(getattr(made[1], name)), name
    np.testing.assert_array_equal(
        made[0].risk["health_factor|worst"].iloc[1:], made[0].risk["health_factor|before"].iloc[1:]
    )


def test_no_row_knows_a_later_extreme(driver):
    panel = dip()
    book = owing_usdt(panel, 0.97)
    calm, hit = (hold(p, book, driver) for p in (dip(low=None), panel))
    for name in ("equity", "attribution", "positions", "risk"):
        assert getattr(calm, name)[:HIT].equals(getattr(hit, name)[:HIT]), name
    assert not calm.equity.equals(hit.equity)


@pytest.mark.parametrize("row", [0, HIT - 1, HIT, HIT + 1])
def test_a_resumed_loan_is_the_whole_one(driver, row):
    panel = dip()
    book = owing_usdt(panel, 0.97)
    whole = hold(panel, book, driver)
    rest = hold(panel.slice(row, ROWS - 1), book, driver, resume=whole.checkpoint(int(panel.timestamps[row])))
    for name in ("equity", "attribution", "positions"):
        assert getattr(whole, name)[row + 1 :].equals(getattr(rest, name)), name
    for column in ("health_factor", "health_factor|before", "health_factor|worst", "ltv|worst"):
        assert whole.risk[column][row + 1 :].equals(rest.risk[column]), column


# --- at random -------------------------------------------------------------------------------------------------------


class Loan:
    """A drawn market and book: legs of several assets, sound in row 0."""

    def __init__(self, seed, wildness, peg, growth):
        rng = np.random.default_rng(seed)
        rows = 14
        eth = 3_000.0 * np.exp(np.cumsum(wildness * rng.standard_normal(rows)))
        wick = 1.0 + wildness * np.abs(rng.standard_normal((2, rows))) * rng.choice([0.1, 1.0, 3.0], rows)
        before = np.concatenate((eth[:1], eth[:-1]))
        low, high = np.minimum(eth, before) / wick[0], np.maximum(eth, before) * wick[1]
        self.panel = market(eth, low, high, peg, growth)
        size = 10.0 ** rng.uniform(-1.0, 3.0)
        weights = rng.dirichlet([0.6, 0.6, 0.6]) * rng.choice([0.0, 1.0, 1.0], 3)
        weights = weights + np.array([1e-3, 2e-3, 3e-3])
        lent = {s: size * w * 3_000.0 / price_of(s, eth[0]) for s, w in zip(MOVES, weights, strict=True)}
        limit = sum(v * price_of(s, eth[0]) * THRESHOLD[s] for s, v in lent.items())
        mixed = rng.choice([0.02, 0.5, 0.98])
        debt = limit / rng.uniform(1.003, 1.15)
        owed = {"USDT": debt * mixed, "WETH": debt * (1.0 - mixed) / eth[0]}
        self.book = book_of(lent, owed, self.panel)


loans = st.builds(
    Loan,
    seed=st.integers(0, 9_999),
    wildness=st.sampled_from((0.005, 0.03, 0.1)),
    peg=st.sampled_from((1.0, 0.98)),
    growth=st.sampled_from((0.0, 1e-5, 1e-3)),
)


@trials(max_examples=120)
@given(loan=loans, share_class=st.sampled_from(CLASSES), rule=st.sampled_from(RULES),
       valuation=st.sampled_from(("market", "oracle")))  # fmt: skip
def test_any_book_is_liquidated_as_by_hand(loan, share_class, rule, valuation):
    result = hold(loan.panel, loan.book, "kernel", share_class, rule, valuation=valuation)
    agree(result, loan.panel, by_hand(loan.panel, loan.book, rule, share_class, valuation), share_class)


@trials(max_examples=40)
@given(loan=loans, share_class=st.sampled_from(CLASSES), rule=st.sampled_from(RULES))
def test_both_drivers_leave_the_same_bits(loan, share_class, rule):
    one, other = (hold(loan.panel, loan.book, driver, share_class, rule) for driver in DRIVERS)
    assert (one.status, one.cause) == (other.status, other.cause)
    assert same_tables(one, other)
    assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))


@trials(max_examples=80)
@given(loan=loans, rule=st.sampled_from(RULES), valuation=st.sampled_from(("market", "oracle")))
def test_the_share_class_is_only_the_numeraire(loan, rule, valuation):
    """The same seizures in both; equity differs by the price of ETH."""
    usdt, eth = (hold(loan.panel, loan.book, "kernel", c, rule, valuation=valuation) for c in CLASSES)
    rows = min(len(usdt.equity), len(eth.equity))
    spot = loan.panel.columns["spot|ETH"][:rows]
    scale = usdt.exposure["gross"].max()
    np.testing.assert_allclose(usdt.equity["equity"][:rows], eth.equity["equity"][:rows] * spot, atol=1e-11 * scale)
    for name in loan.book:
        expected = held(eth, name)[:rows]
        np.testing.assert_allclose(held(usdt, name)[:rows], expected, rtol=1e-9, atol=1e-11 * loan.book[name])
    for column in ("health_factor", "health_factor|worst", "ltv|worst", "ltv"):
        np.testing.assert_allclose(usdt.risk[column][:rows], eth.risk[column][:rows], rtol=1e-9, atol=1e-12)
    assert rows_of(usdt, "liquidation") == rows_of(eth, "liquidation")


@trials(max_examples=40)
@given(loan=loans, share_class=st.sampled_from(CLASSES), rule=st.sampled_from(RULES))
def test_every_change_of_a_leg_is_told(loan, share_class, rule):
    """Outside of liquidations stored quantities do not move, and each moves by what its events say."""
    result = hold(loan.panel, loan.book, "kernel", share_class, rule)
    reported = events(result, "liquidation")
    for name in loan.book:
        moved = np.zeros(len(result.equity))
        own = reported[reported["instrument"] == name]
        np.add.at(moved, own["row"], own["quantity"])
        np.testing.assert_allclose(
            np.diff(held(result, name), prepend=loan.book[name]), moved, rtol=1e-9, atol=1e-12 * loan.book[name]
        )
    assert set(result.events["kind"]) <= {"liquidation", "alert", "error"}
    seized = reported[reported["fee"] != 0.0]
    booked = seized.groupby("row")["fee"].sum()
    np.testing.assert_allclose(
        result.attribution["liquidation_loss"].iloc[booked.index], -booked, rtol=1e-9, atol=1e-12
    )
    assert (result.summary["min_health_factor"] < 1.0) == (len(reported) > 0)


def test_the_draws_meet_what_they_are_meant_to_meet():
    """Seizures at lows and at highs of every pair, and bad debt."""
    seen = set()
    for seed in range(150):
        loan = Loan(seed, (0.005, 0.03, 0.1)[seed % 3], 0.98, 1e-3)
        eth = loan.panel.columns["spot|ETH"]
        for t, hour in enumerate(by_hand(loan.panel, loan.book)):
            for x in hour.seized:
                seen.add("low" if x.eth < eth[t] else "high")
                seen |= {f"{x.lent} for {x.owed}"}
            seen |= {"bad debt"} if hour.equity < 0.0 else set()
    wanted = {"low", "high", "bad debt"} | {f"{c} for {d}" for c in MOVES for d in ("USDT", "WETH")}
    assert wanted - seen == set()


# --- data sets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share_class", CLASSES)
def test_the_extremes_are_those_of_the_candle_that_ended(sample_data, share_class):
    book = {key("WETH"): 100.0, key("USDT", True): 100_000.0}
    more = {**LEGS, "share_class": share_class}
    result = basis.backtest(
        "pure_lending", sample_data, "2024-06-01", "2024-06-20", more, positions=book, strategy=never_acts
    )
    hour = pd.Timedelta(hours=1)
    for name, worse in (("low", np.minimum), ("high", np.maximum)):
        candles = series(sample_data, "spot/bybit_ethusdt", name).reindex(result.equity.index - hour)
        expected = candles.to_numpy(copy=True)
        expected[0] = result.panel["spot|ETH"].iloc[0]
        got = result.panel[f"{name}|spot|ETH"]
        np.testing.assert_array_equal(got[~np.isnan(expected)], expected[~np.isnan(expected)])
        # they span the hour's two prices, or those do
        assert (worse(got, result.panel["spot|ETH"]) == got).mean() > 0.95
    # without loans against another asset there are none
    for mode, positions in (("pure_lending", {key("USDT"): 1e5}), ("eth_leveraged", None)):
        calm = basis.backtest(mode, sample_data, "2024-06-01", "2024-06-05", positions=positions)
        assert not [name for name in calm.panel if name.startswith(("low|spot", "high|spot"))]


@pytest.mark.parametrize("share_class", CLASSES)
@pytest.mark.parametrize("start", [1.0, 1.25, 1.4])
def test_the_fall_of_august_2024(real_data, share_class, start):
    """ETH fell by a third in three days, with a low far below the prices of its hours."""
    window = ("2024-08-01", "2024-08-10")
    empty = basis.backtest(
        "pure_lending",
        real_data,
        *window,
        LEGS,
        positions={key("WETH"): 100.0, key("USDT", True): 1.0},
        strategy=never_acts,
    )
    panel = empty.panel
    backing = 100.0 * panel["liquidity_index|aave_v3:WETH"].iloc[0] * panel["spot|ETH"].iloc[0]
    debt = backing * 0.83 / (1.02 * start) / panel["borrow_index|aave_v3:USDT"].iloc[0]
    book = {key("WETH"): 100.0, key("USDT", True): debt}
    more = {**LEGS, "share_class": share_class}
    made = [
        basis.backtest("pure_lending", real_data, *window, more, positions=book, strategy=never_acts, driver=driver)
        for driver in DRIVERS
    ]
    assert same_tables(*made)
    result = made[0]
    assert result.equity["residual"].abs().max() <= 1e-11 * backing
    # by the tables alone: the worst of each hour
    lent = {"WETH": 100.0 * panel["liquidity_index|aave_v3:WETH"].to_numpy()}
    first = rows_of(result, "liquidation")
    stop = first[0] if first else len(panel) - 1
    prices = panel["spot|ETH"].to_numpy()
    for t in range(1, stop + 1):
        low = min(panel["low|spot|ETH"].iloc[t], prices[t - 1], prices[t])
        owed = {"USDT": debt * panel["borrow_index|aave_v3:USDT"].iloc[t]}
        own = {"WETH": lent["WETH"][t]}
        assert result.risk["health_factor|worst"].iloc[t] == pytest.approx(health(own, owed, low), rel=1e-12)
        assert result.risk["ltv|worst"].iloc[t] == pytest.approx(loan_to_value(own, owed, low), rel=1e-12)
        assert (health(own, owed, low) < 1.0) == (t in first), t
    assert bool(first) == (result.summary["min_health_factor"] < 1.0)
    assert start > 1.3 or first


def test_the_terms_here_are_those_of_the_venue(sample_data):
    result = basis.backtest(
        "pure_lending", sample_data, "2024-06-01", "2024-06-02", LEGS,
        positions={key("WETH"): 1.0, key("weETH"): 1.0, key("USDT", True): 1.0}, strategy=never_acts,
    )  # fmt: skip
    for symbol in MOVES:
        [entry] = result.config.venues["aave_v3"].reserves[symbol]
        assert (entry.liquidation_threshold, entry.liquidation_bonus) == (THRESHOLD[symbol], BONUS[symbol])
