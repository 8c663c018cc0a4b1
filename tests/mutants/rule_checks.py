"""Rules that tests once missed, in closed form; `test_mutants` runs them on the kernel as plain Python.

They begin with the places in which changed code had gone unnoticed: each is planted again by `test_mutants`.
"""

import os

import numpy as np
import pytest
from books import CASH, NEVER, SPOT, WALLET, WEIGHTS, at_venues, perp, script, short_run

import basis
from basis.market.panel import Panel
from support.kernel_stages import Rerun
from support.runs import run
from support.small_markets import VENUES, flows, market, steady
from support.strategies import do_nothing

assert os.environ.get("NUMBA_DISABLE_JIT") == "1", "run me with NUMBA_DISABLE_JIT=1"

PRICE = 60_000.0
FREE = {"costs__enabled": False, "transfers__instant": True}
#: The row in which dated terms change: the run begins at six o'clock of the day before.
CHANGE = 18


def dated(*values, then="2024-05-30"):
    """A dated entry of a venue that changes in row CHANGE, where two values are given."""
    since = ("2024-01-01", then)
    return [{"from": since[place], "source": "test", **value} for place, value in enumerate(values)]


def tiers(*rates):
    """Margin tiers of one rate, for positions of any size."""
    return {"BTCUSDT": dated(*({"brackets": [[1e12, rate, 0, 20]]} for rate in rates))}


def quiet(rows=24, start="2024-05-29T06:00:00", **at):
    """A market that pays no funding and stands still, but for a ``mark`` from a row on, or a ``high`` in one."""
    panel = market(steady(rows, PRICE), start=start, wick=0.0, rate=0.0)
    for name, (row, price) in at.items():
        for venue in VENUES:
            for measure in ("mark", "high", "low") if name == "mark" else (name,):
                column = panel.columns[f"{measure}|{perp(venue)}"].copy()
                column[row:] = price if name == "mark" else column[row:]
                column[row] = price
                panel.columns[f"{measure}|{perp(venue)}"] = column
    return panel


# --- what a strategy sees --------------------------------------------------------------------------------------------


def test_margin_on_its_way_counts_at_the_venue_that_it_goes_to():
    @basis.compiled(every_row=True)
    def tells(view, act):
        if view.first:
            act.entry_partial("USDT", 60_000.0)
        else:
            act.exit_partial("BTC", 0.01 * view.margin_low)
            act.exit_partial("BTC", 0.01 * view.margin_high)

    start = {WALLET: 60_000.0, SPOT: 1.5}
    start |= at_venues({v: 8_000.0 for v in VENUES}, {"binance": -0.6, "bybit": -0.5, "okx": -0.4}, PRICE)
    slow = {f"venues__{venue}__latency__deposit": "9h" for venue in VENUES}
    made = short_run("btc_basis", quiet(4), tells, start, **slow)
    sent = {venue: made.in_transit(CASH[venue])[0] for venue in VENUES}
    assert len(set(sent.values())) == 3
    ratios = [(made.margin_balance(v)[0] + sent[v]) / (-made.quantity(perp(v))[0] * PRICE) for v in VENUES]
    told = made.events_of("decision").amount[made.events_of("decision").row == 1]
    np.testing.assert_allclose(told, [0.01 * min(ratios), 0.01 * max(ratios)], rtol=1e-12)


# --- what an order needs ---------------------------------------------------------------------------------------------

SLIP, FEE = 0.002, 0.003
COSTLY = {
    "venues.binance.spot_slippage.BTCUSDT": dated({"buckets": [[1_000, 0], [None, 1e4 * SLIP]]}),
    "venues.binance.perp_slippage.BTCUSDT": dated({"buckets": [[1_000, 0], [None, 1e4 * SLIP]]}),
    "venues.binance.spot_fee.taker": FEE,
    "venues.binance.perp_fee.taker": FEE,
    "venues.binance.tiers": tiers(0.004),
}


def verdict(kind, instrument, quantity, cash):
    start = {WALLET: 1e5, CASH["binance"]: cash}
    made = run(market(steady(3, PRICE)), overrides={**COSTLY, "risk.limits": {}}, strategy=do_nothing, positions=start)
    return Rerun(made).price_order(kind, instrument, CASH["binance"], quantity)


def test_spot_needs_cash_for_its_slippage_and_its_fee():
    needed = 0.5 * PRICE * (1.0 + SLIP) * (1.0 + FEE)
    assert verdict("spot", SPOT, 0.5, needed * (1.0 + 1e-9)) == "filled"
    assert verdict("spot", SPOT, 0.5, needed * (1.0 - 1e-9)) == "not enough cash"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_opened_perp_needs_its_initial_margin_after_slippage_and_fee(side):
    notional = 0.5 * PRICE
    needed = notional / 20.0 + notional * SLIP + notional * (1.0 + side * SLIP) * FEE
    assert verdict("perp", perp("binance"), 0.5 * side, needed * (1.0 + 1e-9)) == "filled"
    assert verdict("perp", perp("binance"), 0.5 * side, needed * (1.0 - 1e-9)) == "not enough margin"


# --- which terms hold ------------------------------------------------------------------------------------------------


def liquidations(panel, cash=2_000.0, rates=(0.004, 0.05), fees=(0.001, 0.01)):
    """Liquidations of a short of one BTC at a venue whose tiers and fee change in row CHANGE; nothing else is done."""
    start = at_venues({"binance": cash}, {"binance": -1.0}, PRICE)
    terms = {
        "venues__binance__tiers": tiers(*rates),
        "venues__binance__liquidation_fee": dated(*({"value": fee} for fee in fees)),
    }
    made = short_run("btc_basis", panel, script(every_row=False), start, NEVER, strategy__rebalance=False, **terms)
    return made.events_of("liquidation")


def test_inside_an_hour_the_tiers_and_fees_of_its_beginning_hold():
    [event] = liquidations(quiet(high=(CHANGE, 70_000.0)), cash=5_000.0)
    met = (PRICE + 5_000.0) / 1.004
    assert (event.row, event.price) == (CHANGE, pytest.approx(met, rel=1e-12))
    assert event.fee == pytest.approx(0.001 * met, rel=1e-12)


def test_at_the_marks_the_tiers_and_fees_of_the_row_hold():
    """Margin is between the old maintenance margin and the new one: the price moves not at all."""
    [event] = liquidations(quiet(), cash=2_000.0)
    assert (event.row, event.price) == (CHANGE, PRICE)
    assert event.fee == pytest.approx(0.01 * PRICE, rel=1e-12)


def test_after_a_change_of_tiers_the_new_ones_hold_though_nothing_is_done():
    """The price goes no further than where the old tiers would have let the venue be."""
    [event] = liquidations(quiet(high=(CHANGE + 3, 62_500.0)), cash=5_000.0)
    met = (PRICE + 5_000.0) / 1.05
    assert (event.row, event.price) == (CHANGE + 3, pytest.approx(met, rel=1e-12))
    assert event.fee == pytest.approx(0.01 * met, rel=1e-12)


# --- money that is sent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fees", "paid"), [(0.9, True), (1.9, True), (2.0, True), (2.1, False), (2.9, False)])
def test_a_withdrawal_of_everything_leaves_behind_what_is_not_worth_two_fees(fees, paid):
    panel = quiet(6)
    fee = {"venues__bybit__withdrawal_fee__USDT": dated({"value": 30.0})}
    start = {WALLET: 1_000.0, CASH["bybit"]: fees * 30.0}
    made = short_run("btc_basis", panel, script(), start, flows=flows(panel, (2, -5_000.0)), **fee)
    assert made.total_flow[-1] == (-1_000.0 if paid else 0.0)
    assert (made.pending[-1] == 0.0) == paid


def test_what_a_venue_lacks_arrives_there_after_the_fees_of_all_that_give():
    fees = {"binance": 30.0, "bybit": 50.0, "okx": 70.0}
    start = {WALLET: 1.0, CASH["binance"]: 16_000.0, CASH["bybit"]: 11_000.0, CASH["okx"]: 3_500.0}
    terms = {f"venues__{venue}__withdrawal_fee__USDT": dated({"value": fee}) for venue, fee in fees.items()}
    act = script((1, "entry_partial", "USDT", 30_000.0))
    made = short_run("btc_basis", quiet(4), act, start, transfers__instant=True, **terms)
    sent = made.events_of("transfer")
    assert sent.quantity.tolist() == pytest.approx([-1_000.0, -(1_500.0 + 30.0 + 50.0)], rel=1e-12)
    assert made.quantity(CASH["okx"])[-1] == pytest.approx(WEIGHTS["okx"] * 30_000.0, rel=1e-12)


# --- a perp on one side ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plan", "side"), [("BTC long", 1.0), ("BTC short", -1.0)])
def test_one_side_is_held_and_left_by_the_weights_of_the_venues(plan, side):
    panel = quiet(6)
    columns = {**panel.columns, **{f"{name}|BTC": np.zeros(6) for name in ("signal", "confidence", "sd")}}
    panel = Panel.from_columns(panel.timestamps, 3600, columns)
    acts = script((1, "entry_full", plan, 1.0), (3, "exit_partial", plan, 0.4))
    start = {CASH[venue]: 90_000.0 for venue in VENUES}
    made = short_run("ml_directional", panel, acts, start, {"max_drift": 1e200}, **FREE)
    for venue, weight in WEIGHTS.items():
        held = made.quantity(perp(venue))
        assert held[[0, 2, 4]] == pytest.approx(side * weight * np.array([0.0, 1.0, 0.6]), rel=1e-12, abs=1e-12)
