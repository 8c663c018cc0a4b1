"""`btc_basis` does what it is described to do: entry, rebalancing, flows, exits, alerts, liquidations."""

import numpy as np
import pytest

from support.runs import FREE, run
from support.small_markets import VENUES, flows, market, path, steady, walk

WEIGHTS = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
TARGET, THRESHOLD = 0.5, 0.02
BAND = (0.7 * TARGET, 1.5 * TARGET)
INSTANT = {"transfers.instant": True}


def off_target(made, pending=None):
    """|E / (1 + m) - spot notional| over E, row by row."""
    equity = made.equity - (made.pending if pending is None else pending)
    off = np.abs(equity / (1.0 + TARGET) - made.long * made.panel.columns["spot|BTC"])
    return off / np.where(made.equity > 0.0, made.equity, 1.0)


def unhedged(made):
    """|spot - short| over what is held, row by row."""
    return np.abs(made.long - made.short) / np.maximum(made.long, 1e-300)


def under_way(made):
    """Whether money travels after a row's fills."""
    return made.all_in_transit.any(axis=0)


def trades(made, row):
    """Signed quantities of the fills of a row: (spot, perps)."""
    spot = [e.quantity for e in made.events_of("fill", "spot") if e.row == row]
    perps = [e.quantity for e in made.events_of("fill", "perp") if e.row == row]
    return spot, perps


# --- entry -----------------------------------------------------------------------------------------------------------


def test_instant_transfers_let_it_enter_in_row_0():
    made = run(market(steady(3)), overrides=FREE)
    units = 100_000.0 / 1.5 / 60_000.0
    assert made.long[0] == pytest.approx(units, rel=1e-6)
    for venue, weight in WEIGHTS.items():
        assert made.short_at(venue)[0] == pytest.approx(weight * units, rel=1e-6)
        assert made.margin_ratio(venue)[0] == pytest.approx(TARGET, rel=1e-5)
    assert made.quantity("wallet:BaseToken:USDT")[0] == pytest.approx(0.0, abs=0.1)
    assert made.rejects() == []


def test_costs_are_paid_from_the_capital_that_enters():
    made = run(market(steady(3)), overrides=INSTANT)
    assert made.long[0] == pytest.approx(made.short[0], rel=1e-9)
    assert off_target(made)[0] < THRESHOLD
    assert min(made.margin_ratio(v)[0] for v in VENUES) > BAND[0]
    assert made.rejects() == []


def test_each_tranche_opens_in_the_row_its_margin_arrives():
    """Margin at binance takes 20 minutes, at bybit 90, at okx 170; spot never waits for it without a short."""
    latency = {"venues.bybit.latency.deposit": "90m", "venues.okx.latency.deposit": "170m"}
    made = run(market(steady(8)), overrides={**latency, "risk.limits": {}})
    for venue, row in (("binance", 1), ("bybit", 2), ("okx", 3)):
        short = made.short_at(venue)
        assert (short[:row] == 0.0).all()
        assert short[row] > 0.0
        assert short[row] == pytest.approx(WEIGHTS[venue] * made.long[3], rel=0.01)
    assert (np.diff(made.long[:4]) > 0.0).all()
    assert unhedged(made)[1:].max() < 1e-9
    assert made.long[0] == 0.0
    assert off_target(made)[3:].max() < THRESHOLD


@pytest.mark.parametrize("target", [0.004, 0.008, 0.02, 0.1])
@pytest.mark.parametrize("capital", [1e5, 1e9])
def test_no_spot_is_bought_that_its_short_cannot_follow(target, capital):
    """Where a venue's tiers ask more margin than the lower band, as much is opened as they allow, both legs alike."""
    overrides = {"strategy.margin_ratio_target": target, "initial_capital": capital, "risk.limits": {}, **INSTANT}
    made = run(market(steady(6)), overrides=overrides)
    assert made.long[0] > 0.0
    assert unhedged(made).max() < 1e-6
    assert {reason for _, reason in made.rejects()} <= {"not enough margin"}
    for row, _ in made.rejects():
        assert trades(made, row)[0] == []


def test_money_under_way_is_shown_where_it_goes_and_never_as_margin():
    made = run(market(steady(4)))
    for venue in VENUES:
        cash = f"{venue}:BaseToken:USDT"
        assert made.in_transit(cash)[0] > 9_000.0
        assert made.quantity(cash)[0] == 0.0
        assert made.in_transit(cash)[1] == 0.0
    assert made.equity[0] == pytest.approx(100_000.0 + made.pnl["gas"][0], abs=1e-9)


def test_a_venue_of_weight_0_is_left_out():
    made = run(market(steady(4)), overrides={"strategy.hedge_allocation": {"binance": 0.5, "bybit": 0.5, "okx": 0.0}})
    assert not any(key.venue == "okx" for key in made.slots.keys)
    assert made.short_at("binance")[-1] == pytest.approx(made.short_at("bybit")[-1], rel=0.01)


def test_capital_that_starts_at_the_spot_venue_is_spread_from_there():
    made = run(market(steady(6)), overrides={"start_venue": "binance"})
    assert made.short_at("binance")[0] > 0.0
    assert off_target(made)[-1] < THRESHOLD
    assert unhedged(made)[made.long > 0.0].max() < 1e-9
    for venue in VENUES:
        assert BAND[0] < made.margin_ratio(venue)[-1] < BAND[1]


# --- rebalancing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rebalancing_keeps_legs_and_margins_where_money_moves_at_once(seed):
    made = run(market(walk(400, seed, 0.012)), overrides=FREE)
    assert off_target(made).max() <= THRESHOLD + 1e-6
    assert unhedged(made).max() < 1e-9
    for venue in VENUES:
        assert made.margin_ratio(venue).min() >= BAND[0] - 1e-6
    assert len(made.events_of("liquidation")) == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rebalancing_with_costs_and_latencies(seed):
    made = run(market(walk(400, seed, 0.012)), overrides={"risk.limits": {}})
    entered = np.argmax(made.long > 0.0)
    settled = ~under_way(made)
    settled[: entered + 1] = False
    assert settled.mean() > 0.5
    # fees and slippage of the last trade are the only reason to be off by more
    assert off_target(made)[settled].max() <= THRESHOLD + 0.002
    assert unhedged(made)[entered:].max() < 1e-9
    for venue in VENUES:
        assert made.margin_ratio(venue)[settled].min() >= BAND[0] * 0.97
    assert len(made.events_of("liquidation")) == 0
    assert made.rejects() == []


def test_a_common_rally_ends_in_smaller_legs():
    made = run(
        market(path((0, 60_000.0), (5, 60_000.0), (65, 90_000.0), (80, 90_000.0))), overrides={"risk.limits": {}}
    )
    assert made.long[-1] == pytest.approx(made.equity[-1] / 1.5 / 90_000.0, rel=0.03)
    assert made.long[-1] < 0.7 * made.long[4]
    assert unhedged(made)[1:].max() < 1e-9
    for venue in VENUES:
        assert made.margin_ratio(venue)[-1] >= BAND[0]
    assert len(made.events_of("liquidation")) == 0


def test_a_fall_ends_in_larger_legs():
    made = run(
        market(path((0, 60_000.0), (5, 60_000.0), (65, 40_000.0), (80, 40_000.0))), overrides={"risk.limits": {}}
    )
    assert made.long[-1] > 1.3 * made.long[4]
    assert off_target(made)[-1] <= THRESHOLD
    assert unhedged(made)[1:].max() < 1e-9


def uneven(level, rows=30, at_row=10, **more):
    jump = np.where(np.arange(rows) >= at_row, level, 0.0)
    panel = market(steady(rows), basis={"binance": 0.0, "bybit": jump, "okx": 0.0}, **more)
    return panel


def test_a_venue_alone_out_of_its_band_is_evened_out_before_legs_shrink():
    # bybit's mark rises 11 %: its margin ratio falls from .5 to .35, the others stay
    made = run(uneven(0.12), overrides={"risk.limits": {}})
    to_bybit = [e for e in made.events_of("transfer") if e.destination == "bybit:BaseToken:USDT" and e.row >= 10]
    assert [e.row for e in to_bybit][0] == 10
    assert trades(made, 10) == ([], [])
    assert made.long[-1] == pytest.approx(made.long[9], rel=0.01)
    assert made.margin_ratio("bybit")[-1] >= BAND[0]
    assert unhedged(made)[2:].max() < 1e-9


def test_margin_on_its_way_is_counted_so_that_it_is_sent_once():
    made = run(uneven(0.12, every=1000), overrides={"risk.limits": {}, "venues.bybit.latency.deposit": "5h"})
    sent = [e.row for e in made.events_of("transfer") if e.row >= 10]
    assert sent
    assert set(sent) == {10}
    assert made.margin_ratio("bybit")[-1] > BAND[0]


def test_nothing_is_traded_while_targets_are_within_the_threshold():
    made = run(market(path((0, 60_000.0), (5, 60_000.0), (40, 60_900.0), (60, 60_100.0))))
    entered = max(made.rows_of("fill"))
    assert entered <= 3
    assert made.long[-1] == made.long[entered]


def test_the_threshold_is_taken_from_the_configuration():
    panel = market(walk(300, 7, 0.008))
    often = run(panel, overrides={**FREE, "strategy.position_deviation_threshold": 0.005})
    seldom = run(panel, overrides={**FREE, "strategy.position_deviation_threshold": 0.05})
    assert len(often.events_of("fill")) > 2 * len(seldom.events_of("fill"))
    assert off_target(often).max() <= 0.005 + 1e-6


# --- flows and exits -------------------------------------------------------------------------------------------------


def test_a_deposit_is_deployed():
    panel = market(steady(40))
    made = run(panel, overrides={**FREE, "flows": flows(panel, (20, 50_000.0))})
    assert made.flow[20] == 50_000.0
    assert made.long[20] == pytest.approx(made.equity[20] / 1.5 / 60_000.0, rel=1e-3)
    late = run(panel, overrides={"flows": flows(panel, (20, 50_000.0))})
    # at once only what the margin that is there can carry
    assert late.long[20] < late.long[-1] - 0.4
    assert min(late.margin_ratio(v)[20] for v in VENUES) >= BAND[0] * 0.97
    assert off_target(late)[-1] < THRESHOLD
    assert unhedged(late)[1:].max() < 1e-9


def test_a_withdrawal_unwinds_both_legs_in_proportion_and_is_paid():
    panel = market(steady(40), every=1000)
    made = run(panel, overrides={**FREE, "flows": flows(panel, (20, -30_000.0))})
    assert made.flow[20] == -30_000.0
    assert made.pending[20] == 0.0
    assert made.equity[20] == pytest.approx(70_000.0, abs=1e-6)
    assert made.long[20] == pytest.approx(0.7 * made.long[19], rel=1e-3)
    assert unhedged(made).max() < 1e-9
    for venue in VENUES:
        assert made.short_at(venue)[20] == pytest.approx(0.7 * made.short_at(venue)[19], rel=1e-3)
        assert made.margin_ratio(venue)[20] == pytest.approx(TARGET, rel=0.05)


def test_a_withdrawal_waits_while_money_travels_back():
    panel = market(steady(40))
    made = run(panel, overrides={"flows": flows(panel, (20, -30_000.0))})
    paid = made.rows_of("flow", "withdrawal paid")
    assert len(paid) == 1
    assert 21 <= paid[0] <= 25
    assert (made.pending[20 : paid[0]] == 30_000.0).all()
    assert (made.pending[paid[0] :] == 0.0).all()
    assert made.flow.sum() == -30_000.0
    assert made.long[20] < 0.75 * made.long[19]
    assert unhedged(made)[1:].max() < 1e-9
    assert made.equity[-1] == pytest.approx(made.equity[19] - 30_000.0, rel=0.005)


def test_a_withdrawal_no_venue_can_pay_from_cash_realises_profit_first():
    """After a fall the margin is unrealised profit of the shorts."""
    panel = market(path((0, 60_000.0), (5, 60_000.0), (30, 35_000.0), (60, 35_000.0)))
    wide = {"strategy.position_deviation_threshold": 0.4, "strategy.margin_ratio_band": [0.01, 20.0]}
    made = run(panel, overrides={**wide, "risk.limits": {}, "flows": flows(panel, (35, -25_000.0))})
    assert made.flow.sum() == -25_000.0
    assert max(made.rows_of("flow", "withdrawal paid")) < 50
    assert unhedged(made)[1:].max() < 1e-9


@pytest.mark.parametrize("instant", [True, False])
def test_everything_can_be_withdrawn(instant):
    panel = market(steady(40))
    made = run(panel, overrides={"transfers.instant": instant, "flows": flows(panel, (20, -1e6))})
    assert made.equity[-1] == pytest.approx(0.0, abs=1e-6)
    assert made.long[-1] == 0.0
    assert made.short[-1] == 0.0
    assert made.flow.sum() == pytest.approx(-made.equity[19], rel=0.005)
    assert [reason for _, reason in made.rejects()] == ["withdrawal exceeds equity"]
    assert made.pending[-1] == 0.0
    assert made.status == "complete"


def test_a_deposit_after_everything_was_withdrawn_is_deployed():
    panel = market(steady(60))
    made = run(panel, overrides={"flows": flows(panel, (20, -1e6), (40, 60_000.0))})
    assert made.long[39] == 0.0
    assert off_target(made)[-1] < THRESHOLD
    assert made.long[-1] > 0.6


@pytest.mark.parametrize("rebalance", [True, False])
def test_close_at_end_closes_both_legs(rebalance):
    made = run(market(walk(30, 4)), overrides={"close_at_end": True, "strategy.rebalance": rebalance})
    assert made.long[-2] > 0.9
    assert made.long[-1] == 0.0
    assert made.short[-1] == 0.0
    assert made.equity[-1] == pytest.approx(made.equity[-2], rel=0.005)


def test_a_withdrawal_raises_no_alert_of_a_drawdown():
    panel = market(steady(40), every=1000)
    limits = {"drawdown": {"warning": 0.1, "critical": 0.2}}
    made = run(panel, overrides={**FREE, "risk.limits": limits, "flows": flows(panel, (20, -40_000.0))})
    assert len(made.events_of("alert")) == 0
    assert made.alert_levels.max() == 0.0


def test_a_deposit_hides_no_drawdown():
    panel = market(steady(40), every=10, rate=-0.15)
    limits = {"drawdown": {"warning": 0.05, "critical": 0.9}}
    made = run(panel, overrides={**FREE, "risk.limits": limits, "flows": flows(panel, (15, 100_000.0))})
    level = made.alert_level("drawdown")
    assert level[14] == 1.0
    assert level[15] == 1.0


# --- rate rule, alerts, liquidations ---------------------------------------------------------------------------------


def test_the_rate_rule_enters_above_one_rate_and_leaves_below_another():
    apr = np.array([0.07] * 5 + [0.12] * 5 + [0.07] * 10 + [0.04] * 5 + [0.07] * 10 + [0.12] * 10)
    rule = {"enabled": True, "enter": 0.1, "leave": 0.05, "window": "24h"}
    made = run(market(steady(len(apr)), apr=apr), overrides={**FREE, "strategy.rate_rule": rule})
    held = made.long > 0.0
    assert not held[:5].any()  # between the two: not entered
    assert held[5:20].all()  # entered above, kept between
    assert not held[20:35].any()  # left below, kept out between
    assert held[35:].all()
    assert unhedged(made)[held].max() < 1e-9


def growing(made):
    """Rows and levels of fills that open risk: spot bought or perps sold, with the highest alert reported before."""
    levels, out = {}, []
    for e in made.events:
        if e.kind == "alert":
            levels[e.detail] = e.level
        buys = e.kind == "fill" and e.detail == "spot" and e.quantity > 0.0
        sells = e.kind == "fill" and e.detail == "perp" and e.quantity < 0.0
        if buys or sells:
            out.append((e.row, max(levels.values(), default=0.0)))
    return out


def test_nothing_is_opened_while_an_alert_is_critical():
    limits = {"margin_ratio": {"warning": 0.45, "critical": 0.4}}
    panel = market(path((0, 60_000.0), (20, 60_000.0), (40, 75_000.0), (80, 60_000.0)), wick=0.0)
    made = run(panel, overrides={"risk.limits": limits, "flows": flows(panel, (30, 50_000.0))})
    assert max(made.alert_level(f"margin_ratio|{v}").max() for v in VENUES) == 2.0
    assert max(level for _, level in growing(made)) < 2.0
    assert unhedged(made)[1:].max() < 1e-9


def test_a_delta_alert_is_read_with_its_own_limit():
    limits = {
        "net_delta_ratio|BTC": {"warning": 1e-6, "critical": 0.2},
        "margin_ratio": {"warning": 0.3, "critical": 0.2},
    }
    start = {"binance:BaseToken:BTC": 1.0, "binance:BaseToken:USDT": 40_000.0, "wallet:BaseToken:USDT": 10_000.0}
    made = run(market(steady(4)), overrides={"risk.limits": limits, **INSTANT}, positions=start)
    assert made.events_of("alert")[0].level == 2.0
    assert made.alert_level("net_delta_ratio|BTC")[-1] == 0.0
    assert abs(made.long[-1] - made.short[-1]) < 1e-9


def spiked(venue, row, rows=40, factor=1.7):
    panel = market(steady(rows))
    name = f"high|{venue}:Perp:BTCUSDT"
    panel.columns[name] = np.where(np.arange(len(panel)) == row, factor, 1.0) * panel.columns[name]
    return panel


@pytest.mark.parametrize("venue", VENUES)
def test_spot_left_unhedged_by_a_liquidation_is_sold_or_hedged_in_the_same_row(venue):
    made = run(spiked(venue, 20), overrides={"risk.limits": {}})
    struck = made.events_of("liquidation")
    assert [e.row for e in struck] == [20]
    assert struck.instrument.tolist() == [f"{venue}:Perp:BTCUSDT"]
    assert unhedged(made)[20] < 1e-9
    assert np.abs(made.delta("BTC") * 60_000.0 / made.equity)[19:].max() < 0.02
    assert off_target(made)[-1] < THRESHOLD
    assert made.short_at(venue)[-1] > 0.0


def test_without_rebalancing_the_entry_is_held():
    made = run(market(walk(300, 5, 0.01)), overrides={"strategy.rebalance": False})
    entered = np.argmax(made.long > 0.0)
    assert entered == 1
    assert (made.long[entered:] == made.long[entered]).all()
    assert (made.short[entered:] == made.short[entered]).all()
    assert set(made.rows_of("fill")) == {entered}


def test_without_rebalancing_what_a_liquidation_left_is_held():
    made = run(spiked("bybit", 20), overrides={"strategy.rebalance": False, "risk.limits": {}})
    assert len(made.events_of("liquidation")) == 1
    assert made.short_at("bybit")[20] == 0.0
    assert made.short_at("okx")[-1] == made.short_at("okx")[19]
    assert made.long[-1] == made.long[19]
    assert max(made.rows_of("fill")) < 20


def test_a_hedged_starting_book_is_held_as_it_is():
    start = {"wallet:BaseToken:USDT": 100.0, "binance:BaseToken:USDT": 25_000.0, "binance:BaseToken:BTC": 1.0,
             "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0}  # fmt: skip
    made = run(market(walk(20, 6)), overrides={"strategy.rebalance": False}, positions=start)
    assert len(made.events_of("fill")) == 0
    assert (made.long == 1.0).all()


def test_in_ether_it_hedges_the_same_coin():
    """The first priced asset of such a book is USDT, not BTC."""
    start = {"wallet:BaseToken:USDT": 60_000.0}
    overrides = {"share_class": "ETH", "initial_capital": 20, **FREE}
    made = run(market(steady(5)), overrides=overrides, positions=start)
    assert made.long[-1] == pytest.approx(60_000.0 / 1.5 / 60_000.0, rel=0.03)
    assert unhedged(made)[-1] < 1e-9
    assert len(made.events_of("fill")) <= 6


# --- whole data sets -------------------------------------------------------------------------------------------------


def survives(result):
    assert result.status == "complete", result.cause
    assert result.summary["liquidations"] == 0
    assert result.summary["max_abs_residual"] <= 1e-9 * 100_000.0
    rows = result.exposure["net_delta_ratio|BTC"].abs()
    assert rows.max() <= 0.02 + 1e-9
    margins = result.risk[[f"margin_ratio|{v}" for v in VENUES]].to_numpy()
    assert margins[np.isfinite(margins)].min() > 0.5 * BAND[0]
    attribution = result.attribution
    assert attribution["funding_pnl"].sum() > 0.0
    # costs of two years of rebalancing are a few per cent, not a drain
    assert attribution[["fees", "slippage", "gas", "transfer_fees"]].to_numpy().sum() > -0.25 * 100_000.0


def test_it_survives_the_whole_sample(sample_data):
    import basis

    survives(basis.backtest("btc_basis", data=sample_data))


@pytest.mark.slow
def test_it_survives_the_real_data(real_data):
    import basis

    survives(basis.backtest("btc_basis", data=real_data, start="2024-05-01"))
