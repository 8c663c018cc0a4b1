"""Gate of what a run aims at and what it tells of it: exits that take several rows, entries that are not wanted any
more, prices by the sum of a row, decisions that something comes of, and transactions that no node takes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_gate_eth_leveraged import BOOK, QUIET, UP, WALLET, in_row_1, lever, lever_plan

import basis
from support.result_checks import events, held, reasons, slippage_rate
from support.runs import settings
from support.small_markets import deep, market, steady
from support.staking_markets import ether

PERP = "binance:Perp:BTCUSDT"
P, CAPITAL = 60_000.0, 100_000.0
#: No costs, no transfers that wait, a stop of 8 % and a take-profit of 16 %.
BARE = {
    "costs.enabled": False, "transfers.instant": True, "risk.limits": {}, "strategy.stop_sd": 4.0,
    "strategy.take_profit_sd": 8.0, "strategy.signal_threshold": 0.0,
}  # fmt: skip


def signalled(prices, signal, volume, sd=0.02, volatility=0.004, venues=("binance",)):
    """A market of one perp with a signal, a volume and a volatility of each hour that ended."""
    panel = market(np.asarray(prices, dtype=float), venues=venues, wick=0.0, rate=0.0)
    rows = len(panel)
    for name, values in (("signal", signal), ("confidence", 1.0), ("sd", sd)):
        panel.columns[f"{name}|BTC"] = np.broadcast_to(np.asarray(values, dtype=float), rows).copy()
    for name in [name.partition("|")[2] for name in panel.columns if name.startswith("mark|")] + ["spot|BTC"]:
        panel.columns[f"volume|{name}"] = np.broadcast_to(np.asarray(volume, dtype=float), rows).copy()
        panel.columns[f"volatility|{name}"] = np.full(rows, volatility)
    return panel


def follow(driver, panel, overrides=None, **more):
    return basis.backtest("ml_directional", panel, overrides={**BARE, **(overrides or {})}, driver=driver, **more)


def q(result):
    return held(result, PERP).to_numpy()


# --- aims stay until they are reached -------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
def test_an_exit_goes_on_until_nothing_is_left(driver, fill):
    """1.67 BTC are held, and an hour takes 0.4: the exit takes five rows, at 0.4 each."""
    signal = np.r_[0.0, np.ones(4), np.zeros(12)]
    volume = np.r_[np.full(5, 1e6), np.full(12, 4.0)]
    result = follow(driver, signalled(steady(17), signal, volume), {"execution.participation": 0.1, "fill": fill})
    first = 5 if fill == "same_bar" else 6
    full = CAPITAL / P
    assert q(result)[first - 1] == pytest.approx(full)
    left = np.maximum(full - 0.4 * np.arange(1, 6), 0.0)
    assert q(result)[first : first + 5] == pytest.approx(left)
    assert (q(result)[first + 4 :] == 0.0).all()
    # it was decided once
    assert len(events(result, "decision", action="exit_full")) == 1


def test_no_row_holds_against_its_signal_while_the_market_takes_more(sample_data):
    config = {"execution.participation": 2e-6, "initial_capital": 1e6}
    result = basis.backtest("ml_directional", sample_data, "2024-02-01", "2024-04-01", config)
    assert result.status == "complete"
    flat = result.panel["signal|BTC"].to_numpy() == 0.0
    still = flat & (q(result) != 0.0)
    assert still.any()
    fills = events(result, "fill")
    took = (
        fills.groupby("row").quantity.apply(lambda units: units.abs().sum()).reindex(range(len(flat)), fill_value=0.0)
    )
    most = 2e-6 * result.panel[f"volume|{PERP}"].to_numpy()
    assert took.to_numpy()[still] == pytest.approx(most[still])


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
def test_an_entry_that_no_market_took_is_dropped_with_its_signal(driver, fill):
    """No volume while the signal is 1; when there is some, the signal is 0 again."""
    volume = np.r_[np.zeros(6), np.full(6, 1e6)]
    panel = signalled(steady(12), np.r_[0.0, np.ones(3), np.zeros(8)], volume)
    result = follow(driver, panel, {"execution.participation": 0.5, "fill": fill})
    assert (q(result) == 0.0).all()
    assert reasons(result) == ["no volume left to take in this hour"]
    later = signalled(steady(12), np.r_[0.0, np.ones(11)], volume)
    entered = q(follow(driver, later, {"execution.participation": 0.5, "fill": fill}))
    assert entered[6:] == pytest.approx(np.full(6, CAPITAL / P))


def test_what_was_stopped_out_is_not_entered_again_by_what_was_left_of_its_entry(driver):
    """0.4 of 1.67 BTC are entered a row; in the third the bar falls through the stop."""
    panel = signalled(steady(10), np.r_[0.0, np.ones(9)], np.full(10, 4.0))
    low = panel.columns[f"low|{PERP}"].copy()
    low[3] = 0.8 * P
    panel.columns[f"low|{PERP}"] = low
    result = follow(driver, panel, {"execution.participation": 0.1})
    assert q(result)[:3] == pytest.approx([0.0, 0.4, 0.8])
    assert (q(result)[3:] == 0.0).all()


def test_a_new_decision_replaces_what_was_left(driver):
    """The signal turns while the exit of the other side is on its way: it goes on to the new side."""
    signal = np.r_[0.0, np.ones(4), np.full(12, -1.0)]
    panel = signalled(steady(17), signal, np.r_[np.full(5, 1e6), np.full(12, 8.0)])
    result = follow(driver, panel, {"execution.participation": 0.1})
    assert q(result)[-1] == pytest.approx(-CAPITAL / P)
    assert (np.diff(q(result)[4:]) <= 1e-12).all()


@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral_no_leverage"])
def test_a_hedge_that_ends_in_thin_hours_ends(sample_data, mode):
    """No row keeps what its market would have taken, and the legs stay even."""
    config = {"execution.participation": 2e-5, "flows": [{"timestamp": "2025-02-10", "amount": -2e5}]}
    result = basis.backtest(mode, sample_data, "2025-02-01", "2025-03-01", config)
    assert result.status == "complete"
    assert result.exposure.filter(like="net_delta_ratio|").iloc[-1].abs().max() <= 0.05
    perps = result.positions.filter(regex=r":Perp:\w+$").iloc[-1]
    assert (perps.abs() < 1e-6).all()


# --- stops belong to their side ---------------------------------------------------------------------------------------


def net_then_roll(view, act):
    """A long without a stop; then a short entry with one, which only nets a little; then profit is called home."""
    if view.memory[0] == 0.0:
        act.entry_full("USDT", view.equity)
        act.entry_full("BTC long", 1.0)
    elif view.memory[0] == 1.0:
        act.entry_partial("BTC short", 0.1, 0.01)
    elif view.memory[0] == 2.0:
        act.exit_partial("USDT", view.equity)
    view.memory[0] += 1.0


def test_an_entry_on_the_other_side_arms_no_stop_on_what_is_held(driver):
    """Profit is called home by a roll: what is held is closed and opened again, and keeps what stops it has, none."""
    strategy = basis.compiled(every_row=True)(net_then_roll)
    panel = signalled([P, 1.5 * P, 1.5 * P, 1.5 * P, 1.4 * P, 1.4 * P], 0.0, 1e6)
    result = follow(driver, panel, {"strategy.margin_ratio_target": 0.1}, strategy=strategy)
    rolled = events(result, "fill", row=2)
    assert rolled.quantity.tolist() == pytest.approx([-0.9, 0.9])
    assert (result.risk[f"stop|{PERP}"] == 0.0).all()
    assert q(result) == pytest.approx([1.0, 0.9, 0.9, 0.9, 0.9, 0.9])


# --- prices by the sum of a row --------------------------------------------------------------------------------------


def test_a_stop_inside_the_hour_pays_for_its_own_size_only(driver):
    """What the row before traded was traded in another hour."""
    panel = signalled(steady(6), np.r_[0.0, np.ones(5)], 50.0)
    low = panel.columns[f"low|{PERP}"].copy()
    low[2] = 0.8 * P
    panel.columns[f"low|{PERP}"] = low
    more = {"costs.enabled": True, "execution.impact": 1.0}
    result = follow(driver, panel, more)
    [stop] = [event for event in events(result, "fill", detail="stop").itertuples()]
    units = -stop.quantity
    impact = 1.0 - stop.price / stop.reference_price - slippage_rate("binance", "perp", units * stop.reference_price)
    assert stop.row == 2
    assert impact == pytest.approx(0.004 * np.sqrt(units / 50.0), rel=1e-9)


def test_stops_on_the_sample_pay_for_their_own_size(sample_data):
    overrides = {"execution.impact": 1.0, "initial_capital": 1e7}
    result = basis.backtest("ml_directional", sample_data, "2024-01-15", "2024-04-15", overrides)
    ended = events(result, "fill")
    ended = ended[ended.detail.isin(["stop", "take_profit"])]
    assert len(ended) >= 3
    for event in ended.itertuples():
        row = result.panel.loc[event.timestamp]
        units = abs(event.quantity)
        slip = slippage_rate("binance", "perp", units * event.reference_price)
        slip += row[f"volatility|{PERP}"] * np.sqrt(units / row[f"volume|{PERP}"])
        assert abs(event.price / event.reference_price - 1.0) == pytest.approx(slip, rel=1e-9)


def test_slices_of_a_rebalance_pay_the_bucket_of_their_sum(driver):
    """The spot leg is bought in a tranche for each hedge venue; each slice alone is in the first bucket."""
    buckets = [[30_000.0, 1.0], [60_000.0, 5.0], [None, 40.0]]
    table = {"default": [{"from": "2020-01-01", "source": "test", "buckets": buckets}]}
    result = basis.backtest(
        settings(overrides={"venues.binance.spot_slippage": table, "transfers.instant": True}),
        market(steady(4), venues=("binance", "bybit", "okx")),
        driver=driver,
    )
    bought = events(result, "fill", detail="spot")
    bought = bought[bought.row == bought.row.min()]
    assert len(bought) == 3
    sums = (bought.quantity * bought.reference_price).cumsum()
    expected = np.select([sums <= 30_000.0, sums <= 60_000.0], [1e-4, 5e-4], 40e-4)
    assert (bought.price / bought.reference_price - 1.0).to_numpy() == pytest.approx(expected, rel=1e-9)
    assert set(np.round(expected, 6)) == {1e-4, 5e-4, 40e-4}


# --- decisions that something comes of --------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral", "ml_directional", "eth_leveraged"])
def test_every_decision_sends_or_is_refused(sample_data, mode, fill):
    result = basis.backtest(mode, sample_data, "2025-02-01", "2025-03-01", {"fill": fill})
    told = result.events[result.events.correlation_id != ""]
    after = told[told.kind.isin(["order", "reject"])].groupby("correlation_id").action.agg(set)
    decisions = told[told.kind == "decision"]
    assert len(decisions)
    for decision in decisions.itertuples():
        assert decision.action in after.get(decision.correlation_id, set()), decision
    step = pd.Timedelta("1h") if fill == "next_bar" else pd.Timedelta(0)
    assert (decisions.timestamp - decisions.effective_at == step).all()


# --- transactions that no node takes ----------------------------------------------------------------------------------


def test_a_bundle_whose_gas_cannot_be_paid_is_refused_without_cost(driver):
    poor = {**BOOK, WALLET: UP / 2.0}
    result = lever(
        driver, ether(4), QUIET, positions=poor, strategy=in_row_1(lever_plan(), amount=0.0, target_ltv=0.94)
    )
    assert reasons(result) == ["no gas: neither ETH nor share class in the wallet"]
    assert held(result, WALLET, 1) == UP / 2.0
    assert (result.attribution["gas"] == 0.0).all()
    assert len(events(result, "revert")) == 0


def test_a_revert_is_no_fill_and_costs_the_whole_gas(driver):
    result = lever(driver, ether(4), QUIET, positions=BOOK, strategy=in_row_1(lever_plan(), target_ltv=0.94))
    [revert] = [event for event in events(result, "revert").itertuples()]
    assert (revert.row, revert.detail, revert.quantity) == (1, "lever", pytest.approx(-UP, rel=1e-12))
    assert revert.gas == pytest.approx(UP, rel=1e-12)
    assert len(events(result, "fill")) == 0
    assert len(events(result, "order")) == len(events(result, "reject")) == 1


# --- (7) slices, and exits that the thinner market holds up -----------------------------------------------------------


def test_the_impact_of_slices_is_that_of_their_sum(driver):
    """Spot for one hedge venue, or for three one after the other: the same units at the same venue cost the same."""
    lost = []
    for venues in ({"binance": 1.0}, {"binance": 0.4, "bybit": 0.3, "okx": 0.3}):
        own = {
            "initial_capital": 500_000.0, "strategy.hedge_allocation": venues, "execution.impact": 1.0,
            "venues.binance.spot_slippage": 0, "transfers.instant": True, "risk.limits": {},
        }  # fmt: skip
        panel = deep(market(steady(3)), 50.0)
        names = [name.replace("volume", "volatility") for name in panel.columns if name.startswith("volume|")]
        panel = replace(panel, columns={**panel.columns, **{name: np.full(3, 0.004) for name in names}})
        result = basis.backtest("btc_basis", panel, overrides=own, driver=driver)
        spot = events(result, "fill", row=0, instrument="binance:BaseToken:BTC")
        lost.append(spot["slippage"].sum() / (spot["quantity"] * spot["reference_price"]).sum())
    assert lost[1] == pytest.approx(lost[0], rel=1e-3)
    assert lost[0] > 5e-4


@pytest.mark.parametrize("volume", [2.0, 0.0])
def test_an_exit_that_the_spot_market_holds_up_goes_on_until_it_is_done(driver, volume):
    """The spot market is the thinner one; in an hour without volume the exit is refused, and waits."""
    rows = 60
    panel = deep(market(steady(rows), apr=np.r_[np.full(10, 0.1), np.full(rows - 10, -0.1)]), 1e6)
    thin = np.r_[np.full(10, 1e6), np.full(3, volume), np.full(rows - 13, 2.0)]
    panel = replace(panel, columns={**panel.columns, "volume|spot|BTC": thin})
    rule = {"enabled": True, "enter": 0.05, "leave": 0.0, "window": "24h", "holding_period": None}
    own = {"strategy.rate_rule": rule, "execution.participation": 0.1, "transfers.instant": True, "risk.limits": {}}
    result = basis.backtest("btc_basis", panel, overrides=own, driver=driver)
    coins = held(result, "binance:BaseToken:BTC").to_numpy()
    assert coins[9] > 1.0
    assert (np.diff(coins[10:]) <= 0.0).all()
    assert coins[-1] == 0.0
    if volume == 0.0:
        assert "no volume left to take in this hour" in reasons(result)
