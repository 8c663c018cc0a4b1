"""Gate of the policies: bands, how deep a rebalance goes, deposits, priced rate rules, maker orders, gas and size."""

from dataclasses import replace

import numpy as np
import pytest

import basis
from basis.components.run_state import slots_of
from basis.inputs.switching_cost import switching_cost
from basis.inputs.terms import make_terms, terms_periods
from basis.results.doubts import gas_warning
from basis.strategies.factory import make_strategy
from support.hedged_runs import COSTS, hedged
from support.result_checks import events, held, rows_of, slippage_rate, term
from support.runs import FREE, settings
from support.small_markets import deep, flows, market, path, pool, steady
from support.staking_markets import ether

BTC = "binance:BaseToken:BTC"
TARGET, THRESHOLD, DEPTH, BAND = 0.5, 0.12, 0.6, (0.7, 1.8)
SHARE = 1.0 / (1.0 + TARGET)
#: Edges of the band of what is in the legs, as a share of equity: the deviation, or where the margin leaves its band.
LOWEST = max(SHARE - THRESHOLD, 1.0 / (1.0 + BAND[1] * TARGET))
HIGHEST = min(SHARE + THRESHOLD, 1.0 / (1.0 + BAND[0] * TARGET))


def carry(driver, panel, overrides=None, mode="btc_basis"):
    return basis.backtest(mode, panel, overrides=overrides, driver=driver)


def coins(result):
    """(rows,) BTC held spot."""
    return held(result, BTC).to_numpy()


def share(result):
    """What is in the spot leg over equity, row by row."""
    worth = coins(result) * result.panel["spot|BTC"].to_numpy()
    return worth / result.equity["equity"].to_numpy()


# --- bands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("last", "edge"), [(75_000.0, HIGHEST), (45_000.0, LOWEST)])
@pytest.mark.parametrize("depth", [0.0, DEPTH, 1.0])
def test_a_rebalance_goes_from_the_edge_to_its_depth(driver, last, edge, depth):
    """Equity stays where funding is nil, so that the share of the legs moves with the price alone."""
    panel = market(path((0, 60_000.0), (2, 60_000.0), (40, last)), rate=0.0)
    result = carry(driver, panel, {**FREE, "strategy.rebalance_depth": depth})
    shares, traded = share(result), np.flatnonzero(np.diff(coins(result)) != 0.0) + 1
    before = coins(result)[traded - 1] * result.panel["spot|BTC"].to_numpy()[traded] / 100_000.0
    first = traded[0]
    assert abs(shares[: first - 1] - SHARE).max() < abs(edge - SHARE)
    assert (before[0] > edge) if edge > SHARE else (before[0] < edge)
    assert shares[first] == pytest.approx(edge + depth * (SHARE - edge), rel=1e-6)


def test_inside_the_band_nothing_is_traded(driver):
    last = 60_000.0 * (HIGHEST / SHARE) * 0.999
    result = carry(driver, market(path((0, 60_000.0), (40, last)), rate=0.0), FREE)
    assert rows_of(result, "fill") == [0]


def test_less_is_traded_in_a_trend_that_turns_where_a_rebalance_stops_early(driver):
    panel = market(path((0, 60_000.0), (40, 80_000.0), (80, 60_000.0), (120, 80_000.0)), rate=0.0)
    turnover = [
        carry(driver, panel, {**FREE, "strategy.rebalance_depth": depth}).summary["turnover"]
        for depth in (0.2, 0.6, 1.0)
    ]
    assert turnover[0] < turnover[1] < turnover[2]


def test_a_rebalance_that_travels_goes_on_to_where_it_was_begun_for(driver):
    """With latency the margin of a grown hedge arrives later; what arrives ends the rebalance and begins no other."""
    panel = market(path((0, 60_000.0), (4, 60_000.0), (30, 44_000.0), (60, 44_000.0)), rate=0.0)
    result = carry(driver, panel, {"risk.limits": {}, "costs.enabled": False})
    aims = LOWEST + DEPTH * (SHARE - LOWEST)
    assert share(result)[-1] < aims + 1e-3
    assert share(result)[-1] > LOWEST


@pytest.mark.parametrize(("amount", "trades"), [(10_000.0, True), (1_000.0, False)])
def test_a_deposit_is_put_to_work_although_the_band_holds(driver, amount, trades):
    panel = market(steady(40), rate=0.0)
    result = carry(driver, panel, {**FREE, "flows": flows(panel, (20, amount))})
    assert share(result)[-1] == pytest.approx(SHARE if trades else SHARE / (1.0 + amount / 100_000.0), rel=1e-4)


@pytest.mark.parametrize("mode", ["usdt_market_neutral_no_leverage", "usdt_market_neutral"])
def test_a_deposit_is_put_to_work_in_hedged_staking_too(driver, mode):
    panel = hedged(steady(60, 3_000.0), rate=0.0, staking=0.0)
    result = carry(driver, panel, {"flows": flows(panel, (30, 10_000.0)), "risk.limits": {}}, mode)
    short = -sum(held(result, f"{venue}:Perp:ETHUSDT") for venue in ("binance", "bybit", "okx")).to_numpy()
    worth = short * 3_000.0 / result.equity["equity"].to_numpy()
    assert worth[29] == pytest.approx(0.6, abs=0.01)
    assert short[-1] == pytest.approx(1.1 * short[29], rel=0.02)
    assert worth[-1] > 0.58


# --- rate rules ------------------------------------------------------------------------------------------------------

NEVER_PAYS = {"enabled": True, "enter": -9.0, "leave": -10.0, "window": "24h", "holding_period": "365d"}
MARKETS = {
    "btc_basis": lambda: market(steady(200), rate=0.0),
    "pure_lending": lambda: pool(40, apr=0.0),
    "eth_staking_only": lambda: ether(400, staking=0.0),
    "eth_leveraged": lambda: ether(
        400, staking=0.0, supply_apr_mean__weETH=np.zeros(400), borrow_apr_mean__WETH=np.zeros(400)
    ),
    "usdt_market_neutral_no_leverage": lambda: hedged(steady(400, 3_000.0), rate=0.0, staking=0.0),
    "usdt_market_neutral": lambda: hedged(steady(400, 3_000.0), rate=0.0, staking=0.0),
}


def cost_of_round_trip(config, panel):
    """(rows,) fraction of the capital that the rate rule counts for leaving and entering again."""
    strategy = make_strategy(config)
    slots = slots_of(config, {}, strategy.signal is not None)
    instants, index = terms_periods(config, slots, panel.timestamps)
    return switching_cost(config, slots, strategy, make_terms(config, slots, instants), index, panel.columns)


@pytest.mark.parametrize("mode", MARKETS)
def test_what_a_rate_rule_counts_is_what_a_round_trip_costs(driver, mode):
    """Into every position of a mode and out again, at prices that stay."""
    panel = MARKETS[mode]()
    own = {"strategy.rate_rule": NEVER_PAYS, "close_at_end": True, "risk.limits": {}, "rewards.enabled": False}
    if mode.startswith("eth_"):
        own["strategy.stake_route"] = "market"
    result = carry(driver, panel, own, mode)
    paid = -sum(result.summary["attribution"][name] for name in COSTS)
    capital = result.summary["initial_equity"]
    # a year's funding at that rate, on the legs
    counted = cost_of_round_trip(result.config, panel)[0] * capital * (SHARE if mode == "btc_basis" else 1.0)
    assert result.exposure["gross"].iloc[-1] < 1e-3 * capital
    assert counted == pytest.approx(paid, rel=0.15)


def test_the_cost_of_a_round_trip_is_that_of_the_dated_terms():
    """Recomputed by hand for spot against perps: fees and the slippage of each order's size, four trades."""
    panel = market(steady(30))
    config = settings("btc_basis", {"strategy.rate_rule": NEVER_PAYS})
    notional, cost = SHARE * 100_000.0, 0.0
    for venue, weight in config.strategy.hedge_allocation.items():
        fee = term(venue, "perp_fee")["taker"]
        cost += 2.0 * weight * notional * (fee + slippage_rate(venue, "perp", weight * notional))
    cost += 2.0 * notional * (term("binance", "spot_fee")["taker"] + slippage_rate("binance", "spot", notional))
    gas = 3 * config.venues["wallet"].gas_units["transfer"].at("2024-05-29").value * 20e-9 * 3_000.0
    assert cost_of_round_trip(config, panel)[0] == pytest.approx((cost + gas) / notional, rel=1e-12)


@pytest.mark.parametrize("margin", [0.5, 2.0])
def test_funding_at_the_counted_cost_breaks_even_over_the_holding_period(driver, margin):
    """Thirty days of it pay for the way in and out, whatever share of equity the legs are."""
    rule = {"enter": 0.0, "leave": 0.0 - 1e-9, "window": "24h", "holding_period": "30d"}
    own = {"strategy.rate_rule": rule, "strategy.margin_ratio_target": margin, "risk.limits": {}, "close_at_end": True}
    cost = cost_of_round_trip(settings("btc_basis", own), market(steady(4)))[0]
    panel = market(steady(30 * 24 + 1), rate=cost / 365.0 / 3.0, apr=cost * (1.0 + 1e-6))
    result = carry(driver, panel, own)
    found = result.summary["attribution"]
    assert found["funding_pnl"] > 50.0
    assert -sum(found[name] for name in COSTS) == pytest.approx(found["funding_pnl"], rel=0.06)


@pytest.mark.parametrize("days", [30.0, 90.0])
def test_a_rate_rule_switches_only_where_the_rate_pays_for_it(driver, days):
    """The rate has to be above that of leaving by the cost of the round trip over the holding period, and below it."""
    rule = {"enabled": True, "enter": 0.05, "leave": 0.045, "window": "24h", "holding_period": f"{days:g}d"}
    own = {"strategy.rate_rule": rule, "transfers.instant": True, "risk.limits": {}}
    hurdle = cost_of_round_trip(settings("btc_basis", own), market(steady(4)))[0]
    above, below = 0.045 + hurdle, 0.045 - hurdle
    assert above > 0.05
    apr = np.array([above - 1e-6] * 5 + [above + 1e-6] * 5 + [0.04] * 5 + [below + 1e-6] * 5 + [below - 1e-6] * 5)
    result = carry(driver, market(steady(len(apr)), apr=apr), own)
    inside = coins(result) > 0.0
    assert inside.tolist() == [False] * 5 + [True] * 15 + [False] * 5
    assert f"band up to {above:.4g}" in str(result.explain(result.equity.index[5]))


def test_a_rule_without_a_holding_period_counts_no_cost(driver):
    rule = {"enabled": True, "enter": 0.05, "leave": 0.04, "window": "24h", "holding_period": None}
    apr = np.array([0.0499] * 5 + [0.0501] * 5 + [0.0401] * 5 + [0.0399] * 5)
    result = carry(driver, market(steady(len(apr)), apr=apr), {**FREE, "strategy.rate_rule": rule})
    assert (coins(result) > 0.0).tolist() == [False] * 5 + [True] * 10 + [False] * 5


# --- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("band", "urgent"), [(0.5, False), (0.98, True)])
def test_orders_that_risk_asks_for_do_not_rest(driver, band, urgent):
    """The price rises, and both legs shrink: at rest while the margin is in its band, at once where it is below."""
    own = {
        "execution.orders": "maker", "fill": "next_bar", "transfers.instant": True, "risk.limits": {},
        "strategy.margin_ratio_band": [band, 1.8], "strategy.position_deviation_threshold": 0.02,
    }  # fmt: skip
    spot = path((0, 60_000.0), (8, 60_000.0), (24, 70_000.0))
    panel = deep(market(spot, rate=0.0, wick=0.02), 1e6)
    panel = replace(panel, columns={**panel.columns, "high|spot|BTC": spot * 1.02, "low|spot|BTC": spot * 0.98})
    result = carry(driver, panel, own)
    later = events(result, "fill")
    later = later[(later["row"] > 8) & later["instrument"].str.contains("Perp")]
    assert len(later) > 3
    rates = {venue: term(venue, "perp_fee") for venue in ("binance", "bybit", "okx")}
    kinds = {("taker" if deal.rate == rates[deal.venue]["taker"] else "maker") for deal in later.itertuples()}
    assert kinds == ({"taker"} if urgent else {"maker"})


# --- gas and size ----------------------------------------------------------------------------------------------------


def test_gas_that_eats_the_carry_is_told_with_the_capital_that_it_needs():
    found = dict.fromkeys(("supply_yield", "borrow_cost", "staking_yield", "reward_pnl"), 0.0)
    summary = {
        "start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z",
        "initial_equity": 50_000.0, "share_class": "USDT",
        "attribution": {**found, "funding_pnl": 4_000.0, "gas": -1_000.0},
    }  # fmt: skip
    equity = np.full(100, 50_000.0)
    told = gas_warning(summary, equity)
    assert told is not None
    assert "25%" in told.replace(" ", "")
    assert "125,000" in told or "120,000" in told or "130,000" in told
    # the capital is that of the whole run, whatever came in or went out
    paid_in = gas_warning(summary, np.concatenate((equity[:50], equity[50:] * 3.0)))
    assert paid_in is not None
    assert "250,000" in paid_in
    assert gas_warning({**summary, "attribution": {**summary["attribution"], "gas": -399.0}}, equity) is None
    assert gas_warning({**summary, "end": "2024-02-01T00:00:00Z"}, equity) is None
    # a carry that is nothing but rounding has no share, and gas beyond the carry is told in money
    none = {**summary, "attribution": {**summary["attribution"], "funding_pnl": 3e-12}}
    assert gas_warning(none, equity) is None
    little = gas_warning({**summary, "attribution": {**summary["attribution"], "funding_pnl": 10.0}}, equity)
    assert little is not None
    assert little.startswith("Gas took more than the carry (1,000 USDT of 10 USDT).")


WINDOWS = [("2024-05-14", "2025-09-17"), ("2024-05-14", "2024-12-31"), ("2025-01-01", "2025-09-17")]
#: Largest share of the carry that costs may take, and the capital.
MOST = {
    "btc_basis": (0.08, 1e5),
    "eth_basis": (0.13, 1e5),
    "usdt_market_neutral_no_leverage": (0.13, 1e5),
    "usdt_market_neutral": (0.40, 1e6),
}


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window[0] + ".." + window[1])
@pytest.mark.parametrize("mode", MOST)
def test_as_shipped_costs_take_little_of_the_carry(real_data, mode, window):
    most, capital = MOST[mode]
    result = basis.backtest(mode, real_data, *window, {"initial_capital": capital})
    summary = result.summary
    found = summary["attribution"]
    carried = sum(
        found[name]
        for name in ("funding_pnl", "basis_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl")
    )
    assert -sum(found[name] for name in COSTS) < most * carried
    assert summary["liquidations"] == 0
    assert min(summary["min_margin_ratio"].values()) >= 0.2
