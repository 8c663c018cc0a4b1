"""Gate of `ml_directional`: one perp, long, short or none, as a signal series says, stop and take-profit in the bar.

The trades are worked by hand on small markets without wicks but those that are put in; then data sets.
"""

import numpy as np
import pandas as pd
import pytest

import basis
from basis import Action, Decision
from basis.errors import ConfigError, DataError
from support.result_checks import (
    check_accounts,
    events,
    gas_cost,
    held,
    reasons,
    rows_of,
    same_tables,
    series,
    slippage_rate,
    term,
)
from support.small_markets import flows, market, steady, walk

PERP, CASH, WALLET = "binance:Perp:BTCUSDT", "binance:BaseToken:USDT", "wallet:BaseToken:USDT"
CAPITAL, P = 100_000.0, 60_000.0
SD, STOP, TAKE = 0.005, 0.02, 0.04  # of the shipped configuration: 4 and 8 standard deviations
COSTS = ("fees", "slippage", "gas", "transfer_fees")
BOOKED = ("funding_pnl", "basis_pnl", "delta_pnl", *COSTS)
#: Cash at the exchange, no costs, no funding (in the markets below): what is left is the trade itself.
BARE = {"costs.enabled": False, "start_venue": "binance", "risk.limits": {}}


def made(prices, signal, confidence=1.0, sd=SD, extremes=(), rate=0.0, venues=("binance",), **more):
    """A market with a signal; `extremes` are (row, high or None, low or None) of the bars that end there."""
    prices = np.asarray(prices, dtype=float)
    panel = market(prices, venues=venues, wick=0.0, rate=rate, **more)
    for name, values in (("signal", signal), ("confidence", confidence), ("sd", sd)):
        panel.columns[f"{name}|BTC"] = np.broadcast_to(np.asarray(values, dtype=float), len(prices)).copy()
    for row, high, low in extremes:
        for name, value in (("high", high), ("low", low)):
            if value is not None:
                column = panel.columns[f"{name}|{PERP}"].copy()
                column[row] = value
                panel.columns[f"{name}|{PERP}"] = column
    return panel


def trade(driver, panel, overrides=None, bare=True, **more):
    return basis.backtest(
        "ml_directional", panel, overrides={**(BARE if bare else {}), **(overrides or {})}, driver=driver, **more
    )


def q(result):
    return held(result, PERP).to_numpy()


def ends(result):
    """(row, how, trigger) of everything closed at a stop or a take-profit."""
    found = events(result, "fill")
    found = found[found["detail"].isin(["stop", "take_profit"])]
    return [(e["row"], e["detail"], e["reference_price"]) for _, e in found.iterrows()]


def signals(rows, **at):
    """A signal that is 0 but from the rows named on: ``signals(9, r2=1, r5=0)``."""
    out = np.zeros(rows)
    for row, value in at.items():
        out[int(row[1:]) :] = value
    return out


# --- one trade by hand -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, -1])
def test_a_trade_opens_at_the_open_and_a_flat_signal_closes_it(driver, side):
    panel = made([P, P, 61_000.0, 60_500.0, 60_500.0], signals(5, r1=side, r3=0))
    result = trade(driver, panel, {"strategy.stop_sd": None, "strategy.take_profit_sd": None})
    assert q(result).tolist() == pytest.approx([0.0, side * CAPITAL / P, side * CAPITAL / P, 0.0, 0.0])
    assert result.equity["equity"].iloc[-1] == pytest.approx(CAPITAL + side * CAPITAL / P * 500.0, abs=1e-9)
    assert [e["action"] for _, e in events(result, "fill").iterrows()] == ["entry_full", "exit_full"]
    assert ends(result) == []
    check_accounts(result, ("delta_pnl",))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("how", ["stop", "take_profit"])
def test_inside_the_bar_it_ends_at_the_level(driver, side, how):
    """Entry at 60,000; the bar that ends in row 3 goes to the level and back."""
    level = P * (1.0 + side * (-STOP if how == "stop" else TAKE))
    beyond = level + (level - P) * 0.1
    high, low = (beyond, None) if beyond > P else (None, beyond)
    result = trade(driver, made(steady(6), signals(6, r1=side), extremes=[(3, high, low)]))
    assert ends(result) == [(3, how, pytest.approx(level, rel=1e-15))]
    assert q(result)[2] == pytest.approx(side * CAPITAL / P)
    assert (q(result)[3:] == 0.0).all()
    earned = CAPITAL * (-STOP if how == "stop" else TAKE)
    assert result.attribution["delta_pnl"].iloc[3] == pytest.approx(earned, abs=1e-9)
    assert result.equity["equity"].iloc[-1] == pytest.approx(CAPITAL + earned, abs=1e-9)
    # while it is open the levels stand in the risk table
    stops = result.risk[f"stop|{PERP}"].to_numpy()
    assert stops[1:3] == pytest.approx(P * (1.0 - side * STOP))
    assert result.risk[f"take_profit|{PERP}"].to_numpy()[1:3] == pytest.approx(P * (1.0 + side * TAKE))
    assert (stops[[0, 3, 4, 5]] == 0.0).all()
    check_accounts(result, ("delta_pnl",))


@pytest.mark.parametrize("side", [1, -1])
def test_a_level_that_is_just_met_counts_and_one_that_is_not_does_not(driver, side):
    stop = P * (1.0 - side * STOP)
    for price, expected in ((stop, [(3, "stop", stop)]), (stop + side * 0.01, [])):
        extremes = [(3, None, price) if side > 0 else (3, price, None)]
        assert ends(trade(driver, made(steady(5), signals(5, r1=side), extremes=extremes))) == expected


@pytest.mark.parametrize("side", [1, -1])
def test_in_a_bar_that_touches_both_the_stop_comes_first(driver, side):
    extremes = [(3, P * 1.1, P * 0.9)]
    result = trade(driver, made(steady(6), signals(6, r1=side), extremes=extremes))
    assert ends(result) == [(3, "stop", pytest.approx(P * (1.0 - side * STOP), rel=1e-15))]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("how", ["stop", "take_profit"])
def test_a_gap_beyond_a_level_ends_at_the_open(driver, side, how):
    """The bar that ends in row 3 stays where it is; the next opens 6 % beyond, worse than the stop, better than the
    take-profit."""
    opened = P * (1.0 + 0.06 * side * (-1.0 if how == "stop" else 1.0))
    panel = made([P, P, P, opened, opened, opened], signals(6, r1=side), extremes=[(3, P, P)])
    result = trade(driver, panel)
    assert ends(result) == [(3, how, opened)]
    assert result.equity["equity"].iloc[-1] == pytest.approx(CAPITAL * (1.06 if how == "take_profit" else 0.94))
    check_accounts(result, ("delta_pnl",))


def test_what_moves_after_the_stop_is_nobodys(driver):
    """Stopped at 58,800 in a bar that opened at 59,500 and ends at 70,000."""
    prices = [P, P, 59_500.0, 70_000.0]
    result = trade(driver, made(prices, signals(4, r1=1), extremes=[(3, None, 58_000.0)]))
    units = CAPITAL / P
    assert result.attribution["delta_pnl"].tolist() == pytest.approx([0.0, 0.0, -500.0 * units, -700.0 * units])
    assert (result.attribution["basis_pnl"] == 0.0).all()


def test_the_basis_stays_frozen_until_the_stop(driver):
    """Mark 60 above spot at entry and 30 above at the start of the bar: the rest of its way is price."""
    spot, ahead = [P, P, P, P], np.array([60.0, 60.0, 30.0, 90.0]) / P
    panel = made(spot, signals(4, r1=1), basis=ahead, extremes=[(3, None, 50_000.0)])
    result = trade(driver, panel)
    units, entry = CAPITAL / P, P + 60.0
    trigger = entry * (1.0 - STOP)
    assert ends(result) == [(3, "stop", pytest.approx(trigger))]
    assert result.attribution["basis_pnl"].tolist() == pytest.approx([0.0, 0.0, -30.0 * units, 0.0])
    assert result.attribution["delta_pnl"].iloc[3] == pytest.approx((trigger - (P + 30.0)) * units)


@pytest.mark.parametrize("fill", ["same_bar", "next_bar"])
def test_with_costs_every_number_of_a_trade(driver, fill):
    """Wallet, transfer, entry, stop: fees on the fills, slippage from the mark and from the trigger."""
    panel = made(steady(8), signals(8, r3=1), extremes=[(6, None, 58_000.0)], gwei=20.0, eth=3_000.0)
    result = trade(driver, panel, {"fill": fill, "risk.limits": {}}, bare=False)
    gas = gas_cost("wallet", "transfer", 20.0, 3_000.0)
    margin = CAPITAL - gas
    taker, slip = term("binance", "perp_fee")["taker"], slippage_rate("binance", "perp", margin)
    entry = P * (1.0 + slip)
    row = 4 if fill == "next_bar" else 3
    bought, sold = (e for _, e in events(result, "fill").iterrows())
    assert (bought["row"], bought["detail"], sold["row"], sold["detail"]) == (row, "perp", 6, "stop")
    units = bought["quantity"]
    assert units == pytest.approx(margin / P, rel=1e-9)
    trigger = entry * (1.0 - STOP)
    paid = trigger * (1.0 - slippage_rate("binance", "perp", units * trigger))
    assert (sold["price"], sold["reference_price"]) == (pytest.approx(paid), pytest.approx(trigger))
    assert sold["fee"] == pytest.approx(taker * units * paid)
    assert sold["slippage"] == pytest.approx(units * (trigger - paid))
    assert sold["realised_cash"] == pytest.approx(units * (paid - entry))
    assert sold["amount"] == pytest.approx(units * (paid - entry) - sold["fee"])
    assert sold["correlation_id"] == ""
    left = margin + units * (paid - entry) - taker * units * (entry + paid)
    assert held(result, CASH, -1) == pytest.approx(left, abs=1e-6)
    sums = result.attribution.sum()
    assert sums["fees"] == pytest.approx(-taker * units * (entry + paid))
    assert sums["slippage"] == pytest.approx(-units * (entry - P + trigger - paid))
    assert sums["gas"] == pytest.approx(-gas)
    check_accounts(result, ("delta_pnl", *COSTS))


# --- stop and liquidation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("stop_sd", "first"), [(4.0, "stop"), (60.0, "liquidation")])
def test_of_stop_and_liquidation_the_nearer_comes_first(driver, side, stop_sd, first):
    """Five times levered: the margin is gone after a fifth; a stop at 2 % comes before, one at 30 % never does."""
    extremes = [(3, None, P * 0.6) if side > 0 else (3, P * 1.4, None)]
    panel = made(steady(6), signals(6, r1=side), extremes=extremes)
    levered = {"strategy.margin_ratio_target": 0.2, "strategy.stop_sd": stop_sd}
    result = trade(driver, panel, levered)
    assert q(result)[2] == pytest.approx(side * 5.0 * CAPITAL / P)
    assert (q(result)[3:] == 0.0).all()
    struck = rows_of(result, "liquidation")
    if first == "stop":
        assert ends(result) == [(3, "stop", pytest.approx(P * (1.0 - side * STOP)))]
        assert struck == []
        assert result.attribution["liquidation_loss"].sum() == 0.0
    else:
        assert (ends(result), struck) == ([], [3])
        assert result.attribution["liquidation_loss"].sum() < 0.0
    check_accounts(result, ("delta_pnl", "liquidation_loss"))


@pytest.mark.parametrize(("sd", "first"), [(SD, "stop"), (0.197 / 4.0, "liquidation")])
def test_of_both_in_a_gap_the_nearer_counts(driver, sd, first):
    """Opened 19.7 % lower, five times levered: 0.4 % margin is left, too little. A stop at 2 % had been met before
    that, one at 19.7 % had not."""
    opened = P * (1.0 - 0.197)
    panel = made([P, P, P, opened, opened], signals(5, r1=1), sd=sd, extremes=[(3, P, P)])
    result = trade(driver, panel, {"strategy.margin_ratio_target": 0.2})
    assert rows_of(result, "liquidation") == ([] if first == "stop" else [3])
    assert ends(result) == ([(3, "stop", opened)] if first == "stop" else [])


def test_a_liquidation_comes_before_the_take_profit_of_the_same_bar(driver):
    extremes = [(3, P * 1.5, P * 0.6)]
    panel = made(steady(6), signals(6, r1=1), extremes=extremes)
    result = trade(driver, panel, {"strategy.margin_ratio_target": 0.2, "strategy.stop_sd": None})
    assert (ends(result), rows_of(result, "liquidation")) == ([], [3])


def test_stops_hold_where_liquidations_are_not_simulated(driver):
    panel = made(steady(6), signals(6, r1=1), extremes=[(3, None, P * 0.6)])
    off = {"strategy.margin_ratio_target": 0.2, "risk.simulate_liquidation": False}
    assert ends(trade(driver, panel, off)) == [(3, "stop", pytest.approx(P * (1.0 - STOP)))]
    result = trade(driver, panel, {**off, "strategy.stop_sd": None})
    assert (ends(result), rows_of(result, "liquidation")) == ([], [])
    gap = made([P, P, P, P * 0.85, P * 0.85], signals(5, r1=1), extremes=[(3, P, P)])
    assert ends(trade(driver, gap, {**off, "strategy.stop_sd": 4.0})) == [(3, "stop", P * 0.85)]


# --- signals ---------------------------------------------------------------------------------------------------------


def test_a_repeated_signal_holds(driver):
    """The position of the first signal is neither renewed nor resized, and its levels stay."""
    prices = P * (1.0 + 0.001 * np.arange(12))
    result = trade(driver, made(prices, signals(12, r1=1), sd=np.linspace(SD, 3 * SD, 12)))
    assert rows_of(result, "fill") == [1]
    assert len(set(q(result)[1:])) == 1
    assert result.risk[f"stop|{PERP}"].iloc[1:].nunique() == 1


def test_what_was_stopped_out_stays_out_until_the_signal_has_been_another(driver):
    signal = signals(14, r1=1, r7=0, r8=1, r11=-1)
    confidence = np.ones(14)
    # neither a confidence that comes and goes nor the bars that follow are a new signal
    confidence[5] = 0.1
    result = trade(driver, made(steady(14), signal, confidence, extremes=[(3, None, 50_000.0)]))
    assert (q(result) > 0.0).tolist() == [1 <= row < 3 or 8 <= row < 11 for row in range(14)]
    assert (q(result) < 0.0).tolist() == [row >= 11 for row in range(14)]


def test_a_doubtful_turn_does_not_make_the_signal_that_is_held_a_new_one(driver):
    """Held through a turn that is not trusted, stopped, and asked again because money comes in: it stays out."""
    signal, confidence = signals(14, r1=1, r3=-1, r4=1), np.ones(14)
    confidence[3] = 0.1
    panel = made(steady(14), signal, confidence, extremes=[(6, None, 50_000.0)])
    result = trade(driver, panel, {"flows": flows(panel, (9, 100.0))})
    assert (q(result) > 0.0).tolist() == [1 <= row < 6 for row in range(14)]


def test_a_turn_of_the_signal_closes_and_opens_in_one_row(driver):
    result = trade(driver, made(steady(6), signals(6, r1=1, r3=-1)))
    assert [e["action"] for _, e in events(result, "fill", row=3).iterrows()] == ["exit_full", "entry_full"]
    assert q(result)[3] == pytest.approx(-CAPITAL / P)
    assert result.risk[f"stop|{PERP}"].iloc[3] == pytest.approx(P * (1.0 + STOP))


def test_confidence_at_the_threshold_is_traded_and_below_it_is_not(driver):
    confidence = np.array([0.0, 0.59, 0.6, 0.3, 0.59, 0.6, 0.0])
    signal = np.array([0, 1, 1, 1, -1, -1, 0])
    result = trade(driver, made(steady(7), signal, confidence))
    # a doubtful turn leaves what is held; flat needs no confidence
    assert np.sign(q(result)).tolist() == [0, 0, 1, 1, 1, -1, 0]


@pytest.mark.parametrize(("sd", "used"), [(1e-5, 0.001), (0.02, 0.02), (0.5, 0.05)])
def test_sd_is_clipped(driver, sd, used):
    result = trade(driver, made(steady(3), 1.0, sd=sd))
    assert result.risk[f"stop|{PERP}"].iloc[-1] == pytest.approx(P * (1.0 - 4.0 * used))
    assert result.risk[f"take_profit|{PERP}"].iloc[-1] == pytest.approx(P * (1.0 + 8.0 * used))


def test_the_sd_of_the_decision_counts_at_next_bar(driver):
    result = trade(driver, made(steady(4), signals(4, r1=1), sd=[SD, 2 * SD, 3 * SD, SD]), {"fill": "next_bar"})
    assert rows_of(result, "fill") == [2]
    assert result.risk[f"stop|{PERP}"].iloc[-1] == pytest.approx(P * (1.0 - 2 * STOP))


def test_future_signals_change_nothing_before(driver):
    rows, cut = 120, 60
    rng = np.random.default_rng(5)
    prices = walk(rows, seed=3)
    signal, confidence = rng.integers(-1, 2, rows), rng.uniform(0.3, 1.0, rows)
    sd = rng.uniform(0.0, 0.01, rows)
    one = trade(driver, made(prices, signal, confidence, sd), bare=False)
    after = np.arange(rows) > cut
    other = made(
        np.where(after, prices * 1.1, prices), np.where(after, -signal, signal), np.where(after, 1.0, confidence),
        np.where(after, 0.003, sd),
    )  # fmt: skip
    other = trade(driver, other, bare=False)
    assert [row for row, _, _ in ends(one) if row <= cut]
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        assert getattr(one, name)[: cut + 1].equals(getattr(other, name)[: cut + 1]), name
    assert not one.positions.equals(other.positions)


# --- money, risk -----------------------------------------------------------------------------------------------------


def test_capital_travels_and_the_first_trade_waits_for_it(driver):
    result = trade(driver, made(steady(4), 1.0), bare=False)
    assert (rows_of(result, "transfer"), rows_of(result, "fill")) == ([0], [1])
    assert result.risk["margin_ratio|binance"].iloc[1] == pytest.approx(1.0, rel=0.01)


def test_instant_transfers_trade_in_the_first_row(driver):
    result = trade(driver, made(steady(4), 1.0), {"transfers.instant": True}, bare=False)
    assert rows_of(result, "fill") == [0]


def test_a_deposit_enlarges_and_a_withdrawal_shrinks_in_proportion(driver):
    panel = made(steady(40), 1.0)
    result = trade(driver, panel, {"flows": flows(panel, (10, 50_000.0), (25, -60_000.0))}, bare=False)
    units = q(result) * P
    assert units[9] == pytest.approx(CAPITAL, rel=0.01)
    assert units[11] == pytest.approx(1.5 * CAPITAL, rel=0.01)
    assert units[-1] == pytest.approx(0.9 * CAPITAL, rel=0.02)
    assert result.equity["net_flow"].sum() == pytest.approx(-10_000.0)
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    # what was added stands at the levels of the first fill
    assert result.risk[f"stop|{PERP}"].iloc[1:].nunique() == 1
    assert reasons(result) == []
    check_accounts(result, ("delta_pnl", *COSTS))


def test_everything_can_be_taken_out(driver):
    panel = made(steady(30), 1.0)
    result = trade(driver, panel, {"flows": flows(panel, (10, -10.0 * CAPITAL))}, bare=False)
    assert q(result)[-1] == 0.0
    assert result.equity["equity"].iloc[-1] == pytest.approx(0.0, abs=1e-6)


def test_a_thin_margin_is_restored_by_selling_and_never_by_buying(driver):
    """A short without a stop in a rally: below the band it is cut to its target."""
    prices = np.linspace(P, 1.5 * P, 60)
    result = trade(driver, made(prices, -1.0), {"strategy.stop_sd": None, "strategy.take_profit_sd": None})
    size = -q(result)
    assert size[-1] < size[0]
    assert (np.diff(size) <= 0.0).all()
    assert result.risk["margin_ratio|binance"].min() > 0.69


def test_a_critical_alert_blocks_entries(driver):
    """A drawdown of 2 % is critical here: after the stop nothing is opened until it is over."""
    limits = {"risk.limits": {"drawdown": {"warning": 0.01, "critical": 0.015}}}
    panel = made(steady(8), signals(8, r1=1, r5=-1), extremes=[(3, None, 50_000.0)])
    result = trade(driver, panel, limits)
    assert (q(result)[3:] == 0.0).all()
    assert rows_of(result, "fill") == [1, 3]
    check_accounts(result, ("delta_pnl",))


def test_each_venue_has_its_own_stop(driver):
    """Half the position at each of two exchanges; a spike at one leaves the other."""
    two = {
        "strategy.hedge_allocation": {"binance": 0.5, "bybit": 0.5},
        "transfers.instant": True,
        "start_venue": "wallet",
    }
    panel = made(steady(6), signals(6, r1=1), venues=("binance", "bybit"), extremes=[(3, None, 58_000.0)])
    result = trade(driver, panel, two)
    other = held(result, "bybit:Perp:BTCUSDT").to_numpy()
    assert ends(result) == [(3, "stop", pytest.approx(P * (1.0 - STOP)))]
    assert (np.sign(q(result)).tolist(), np.sign(other).tolist()) == ([0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1])
    assert other[-1] == pytest.approx(0.5 * CAPITAL / P)
    check_accounts(result, ("delta_pnl",))


def test_closed_at_the_end(driver):
    result = trade(driver, made(steady(6), 1.0), {"close_at_end": True})
    assert q(result)[-2] > 0.0
    assert q(result)[-1] == 0.0


class Own(basis.StrategyManager):
    """Half a coin short with a stop of 1 % in row 1, whatever the signal."""

    async def make_decision(self, timestamp=None, market_data=None):
        if self.view.first:
            return Decision((Action("entry_full", "BTC short", 0.5, stop=0.01),))
        return None


def test_a_strategy_in_plain_python_sets_its_own_stop(driver):
    result = trade(driver, made(steady(5), 0.0, extremes=[(3, 61_000.0, None)]), strategy=Own)
    assert q(result)[:3].tolist() == [-0.5] * 3
    assert ends(result) == [(3, "stop", pytest.approx(60_600.0))]


# --- what holds for every mode ---------------------------------------------------------------------------------------


def wild(rows=400, seed=1):
    """A market with wicks, funding and a signal that changes its mind."""
    rng = np.random.default_rng(seed)
    prices = walk(rows, seed=seed, volatility=0.006)
    wick = np.abs(rng.standard_normal((2, rows))) * 0.006
    wick[:, ::23] = 0.16
    before = np.concatenate((prices[:1], prices[:-1]))
    extremes = [
        (
            row,
            max(prices[row], before[row]) * (1.0 + wick[0, row]),
            min(prices[row], before[row]) * (1.0 - wick[1, row]),
        )
        for row in range(1, rows)
    ]
    signal = np.repeat(rng.integers(-1, 2, rows // 5), 5)
    basis_ = 3e-4 * np.sin(np.arange(rows) / 7.0)
    confidence, sd = rng.uniform(0.3, 1.0, rows), rng.uniform(0.0, 0.03, rows)
    return made(prices, signal, confidence, sd, extremes, rate=1e-4, basis=basis_)


#: So levered that liquidations come before some of the stops.
WILD = {
    "strategy.margin_ratio_target": 0.15,
    "strategy.take_profit_sd": 5.0,
    "strategy.stop_sd": 6.0,
    "risk.limits": {},
}


def test_a_wild_run_adds_up(driver):
    panel = wild()
    result = trade(driver, panel, {**WILD, "flows": flows(panel, (90, 40_000.0), (200, -20_000.0))}, bare=False)
    assert {how for _, how, _ in ends(result)} == {"stop", "take_profit"}
    assert rows_of(result, "liquidation")
    check_accounts(result, (*BOOKED, "liquidation_loss"))
    # every change of a quantity has its event
    moved = events(result, "fill").groupby("row")["quantity"].sum()
    moved = moved.add(events(result, "liquidation").groupby("row")["quantity"].sum(), fill_value=0.0)
    assert np.diff(q(result), prepend=0.0) == pytest.approx(
        moved.reindex(range(len(q(result))), fill_value=0.0), abs=1e-9
    )


def test_both_drivers_give_the_same_bits():
    for overrides in (WILD, {**WILD, "fill": "next_bar"}, {"risk.limits": {}}):
        one, other = (trade(driver, wild(seed=2), overrides, bare=False) for driver in ("kernel", "event"))
        assert same_tables(one, other)
        assert one.events.drop(columns="correlation_id").equals(other.events.drop(columns="correlation_id"))


def test_a_run_in_two_parts_is_the_run(driver):
    panel = wild(200, seed=4)
    whole = trade(driver, panel, WILD, bare=False)
    opened = np.flatnonzero(q(whole))[:-5]
    for row in (int(opened[len(opened) // 2]), int(opened[-1]), 77):
        stamp = whole.equity.index[row]
        later = panel.slice(row, len(panel) - 1)
        rest = trade(driver, later, WILD, bare=False, resume=whole.checkpoint(stamp))
        for name in ("equity", "positions", "risk"):
            both = getattr(whole, name).loc[getattr(rest, name).index]
            assert getattr(rest, name).equals(both), (row, name)


def test_twice_the_capital_is_twice_of_everything(driver):
    one, two = (
        trade(driver, wild(seed=6), {**WILD, "costs.enabled": False, "initial_capital": capital}, bare=False)
        for capital in (10_000.0, 20_000.0)
    )
    assert two.equity["equity"].to_numpy() == pytest.approx(2.0 * one.equity["equity"].to_numpy(), rel=1e-9)
    assert q(two) == pytest.approx(2.0 * q(one), rel=1e-9, abs=1e-12)


# --- data sets -------------------------------------------------------------------------------------------------------

FIVE = {"bar_interval": "5m", "strategy.signal_file": "btc_5m"}
MARKETS = {"1h": ({}, "perp", ("2024-06-01", "2024-09-01")), "5m": (FIVE, "perp_5m", ("2025-03-02", "2025-03-20"))}


@pytest.mark.parametrize("bars", list(MARKETS))
def test_the_sample_trades_as_its_files_say(driver, sample_data, bars):
    """Every stop and take-profit is where the entry's signal puts it, in the first bar that reaches it."""
    overrides, folder, window = MARKETS[bars]
    result = basis.backtest("ml_directional", sample_data, *window, overrides, driver=driver)
    check_accounts(result, BOOKED)
    candles = pd.read_parquet(sample_data / folder / "binance_btcusdt.parquet").set_index("timestamp")
    signal = pd.read_parquet(sample_data / "signals" / f"btc_{bars}.parquet").set_index("timestamp")
    settings = basis.load_config("ml_directional").strategy
    entry, count = None, {"stop": 0, "take_profit": 0}
    for _, event in events(result, "fill").iterrows():
        bar = candles.index.get_loc(event["timestamp"])
        if event["action"] == "entry_full":
            heard = signal.loc[event["timestamp"]]
            assert heard["signal"] == np.sign(event["quantity"])
            assert heard["confidence"] >= settings.signal_threshold
            entry = (bar, event["price"], heard["signal"], min(max(heard["sd"], settings.sd_floor), settings.sd_cap))
            continue
        since, price, side, sd = entry
        stop, take = price * (1.0 - side * settings.stop_sd * sd), price * (1.0 + side * settings.take_profit_sd * sd)
        held_in = candles.iloc[since:bar]
        worst = held_in["low" if side > 0 else "high"].to_numpy()
        best = held_in["high" if side > 0 else "low"].to_numpy()
        stopped, taken = side * (worst - stop) <= 0.0, side * (best - take) >= 0.0
        if event["detail"] == "perp":
            assert signal.loc[event["timestamp"], "signal"] != side
            assert not (stopped | taken).any()
            continue
        count[event["detail"]] += 1
        assert not (stopped | taken)[:-1].any()
        opened = candles["open"].iloc[bar]
        if stopped[-1] or taken[-1]:
            assert event["detail"] == ("stop" if stopped[-1] else "take_profit")
            level = stop if stopped[-1] else take
            assert event["reference_price"] == pytest.approx(level, rel=1e-12)
        else:
            assert event["reference_price"] == opened
    assert min(count.values()) > 0, count


def test_without_start_and_end_the_five_minute_run_is_as_long_as_its_signals(sample_data):
    result = basis.backtest("ml_directional", sample_data, overrides=FIVE)
    stamps = series(sample_data, "signals/btc_5m", "signal").index
    assert result.equity.index[0] == stamps[0]
    assert result.equity.index[-1] <= stamps[-1] + pd.Timedelta("3h")
    assert (result.equity.index[1:] - result.equity.index[:-1] == pd.Timedelta("5min")).all()


# --- wrong input -----------------------------------------------------------------------------------------------------


@pytest.fixture
def data_set(sample_data, tmp_path):
    """The sample by links, its signals to be written."""
    for folder in ("spot", "perp", "funding", "gas"):
        (tmp_path / folder).symlink_to(sample_data / folder)
    (tmp_path / "signals").mkdir()
    frame = pd.read_parquet(sample_data / "signals" / "btc_1h.parquet")
    return tmp_path, frame


WINDOW = ("2024-06-01", "2024-06-20")


def test_without_a_file_it_says_which_columns_it_needs(data_set, driver):
    folder, _ = data_set
    with pytest.raises(DataError) as error:
        basis.backtest("ml_directional", folder, *WINDOW, driver=driver)
    for word in ("signals/btc_1h.parquet", "timestamp", "signal", "confidence", "sd", "strategy.signal_file"):
        assert word in str(error.value)
    with pytest.raises(ConfigError) as error:
        basis.backtest("ml_directional", folder, *WINDOW, {"strategy.signal_file": None}, driver=driver)
    for word in ("strategy.signal_file", "timestamp", "signal", "confidence", "sd"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda f: f.drop(columns="confidence"), ("column 'confidence' is missing",)),
        (lambda f: f.assign(signal=2.0), ("column 'signal' is 2", "-1, 0 or 1")),
        (lambda f: f.assign(confidence=1.5), ("column 'confidence' is 1.5", "from 0 to 1")),
        (lambda f: f.assign(sd=-0.1), ("column 'sd' is -0.1",)),
    ],
)
def test_a_wrong_file_is_one_clear_error(data_set, wrong, words):
    folder, frame = data_set
    wrong(frame).to_parquet(folder / "signals" / "btc_1h.parquet")
    with pytest.raises(DataError) as error:
        basis.backtest("ml_directional", folder, *WINDOW)
    for word in ("signals/btc_1h.parquet", *words):
        assert word in str(error.value)


def test_a_market_without_a_signal_or_with_a_wrong_one_is_refused(driver):
    with pytest.raises(DataError, match=r"signal\|BTC"):
        trade(driver, market(steady(4), venues=("binance",)))
    with pytest.raises(DataError, match=r"signal\|BTC.*-1, 0 or 1; .* first 2 in row 0"):
        trade(driver, made(steady(4), 2.0))


def test_a_signal_too_old_is_flat(data_set, driver):
    """Half a day without rows: three hours on the last signal holds no more, and the next one is a new one."""
    folder, frame = data_set
    frame = frame.assign(signal=1, confidence=1.0, sd=0.05).set_index("timestamp")
    hole = pd.date_range("2024-06-05 07:00", "2024-06-05 18:00", freq="h", tz="UTC")
    frame.drop(hole).reset_index().to_parquet(folder / "signals" / "btc_1h.parquet")
    result = basis.backtest("ml_directional", folder, *WINDOW, {"strategy.stop_sd": None}, driver=driver)
    open_ = held(result, PERP) > 0.0
    assert open_["2024-06-02":"2024-06-05 09:00"].all()
    assert not open_["2024-06-05 10:00":"2024-06-05 18:00"].any()
    assert open_["2024-06-05 19:00":"2024-06-06"].all()
    check_accounts(result, BOOKED)
