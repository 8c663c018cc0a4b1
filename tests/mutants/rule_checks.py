"""Rules that tests once missed, in closed form; `test_mutants` runs them on the kernel as plain Python.

They begin with the places in which changed code had gone unnoticed: each is planted again by `test_mutants`.
"""

import os

import numpy as np
import pytest
from books import CASH, ETHER, NEVER, SPOT, TOKEN, WALLET, WEIGHTS, at_venues, chain, perp, script, short_run, with_cap
from lending_books import LEGS

import basis
from basis.market.panel import Panel
from support.kernel_stages import Rerun, state_by_name
from support.kernel_view import state_without_margin_ratios
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


def tiers(*rates, of="BTCUSDT", most=20):
    """Margin tiers of one rate and leverage, for positions of any size."""
    return {of: dated(*({"brackets": [[1e12, rate, 0, most]]} for rate in rates))}


def quiet(rows=24, start="2024-05-29T06:00:00", **at):
    """A market that pays no funding and stands still, but for a ``mark`` from a row on, or a ``high`` in one."""
    panel = market(steady(rows, PRICE), start=start, wick=0.0, rate=0.0)
    for name, (row, price) in at.items():
        for venue in VENUES:
            column = panel.columns[f"{name}|{perp(venue)}"].copy()
            column[row : None if name == "mark" else row + 1] = price
            panel.columns[f"{name}|{perp(venue)}"] = column
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


def test_less_than_a_lot_is_no_order_though_the_venue_names_no_least_worth():
    lots = {"venues.okx.perp_lots.BTCUSDT": dated({"step": 0.01, "min_notional": 0.0}), "execution.lots": True}
    start = {WALLET: 1e5, CASH["okx"]: 1e5}
    again = Rerun(run(market(steady(3, PRICE)), overrides=lots, strategy=do_nothing, positions=start))
    assert again.price_order("perp", perp("okx"), CASH["okx"], 0.0099) == "below the smallest order of the venue"
    assert again.price_order("perp", perp("okx"), CASH["okx"], 0.0101) == "filled"
    assert again.loop.scratch.fills[0].quantity == 0.01


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


def test_money_that_comes_with_a_liquidation_is_measured_by_what_that_has_left():
    """The peak moves in proportion: 600 of 2,500 are lost before 1,000 come."""
    panel = quiet()
    start = {WALLET: 500.0, **at_venues({"binance": 2_000.0}, {"binance": -1.0}, PRICE)}
    terms = {
        "venues__binance__tiers": tiers(0.004, 0.05),
        "venues__binance__liquidation_fee": dated({"value": 0.01}),
        "flows": flows(panel, (CHANGE, 1_000.0)),
    }
    made = short_run("btc_basis", panel, script(every_row=False), start, NEVER, strategy__rebalance=False, **terms)
    assert made.rows_of("liquidation") == [CHANGE]
    assert made.equity[-1] == pytest.approx(2_900.0, rel=1e-12)
    assert state_by_name(made)["last peak_equity"][0] == pytest.approx(2_500.0 * 2_900.0 / 1_900.0, rel=1e-12)


def test_after_a_change_of_tiers_the_new_ones_hold_though_nothing_is_done():
    """The price goes no further than where the old tiers would have let the venue be."""
    [event] = liquidations(quiet(high=(CHANGE + 3, 62_500.0)), cash=5_000.0)
    met = (PRICE + 5_000.0) / 1.05
    assert (event.row, event.price) == (CHANGE + 3, pytest.approx(met, rel=1e-12))
    assert event.fee == pytest.approx(0.01 * met, rel=1e-12)


def test_the_largest_rate_of_the_venues_own_tiers_says_when_it_is_looked_at():
    """ETH needs more margin than BTC, at one venue alone; the price goes no further than where others would let it."""
    panel = quiet(6)
    for venue in VENUES:
        for name in ("mark", "high", "low"):
            panel.columns[f"{name}|{perp(venue, 'ETH')}"] = np.full(6, 3_000.0)
        panel.columns[f"funding_cash|{perp(venue, 'ETH')}"] = np.zeros(6)
    high = panel.columns[f"high|{perp('bybit', 'ETH')}"]
    high[4] = 3_125.0
    start = at_venues({}, {v: -0.1 for v in VENUES}, PRICE) | at_venues({}, {v: -20.0 for v in VENUES}, 3_000.0, "ETH")
    start |= {CASH[venue]: 5_000.0 for venue in VENUES}
    terms = {f"venues__{venue}__tiers": {**tiers(0.004), **tiers(0.004, of="ETHUSDT")} for venue in VENUES}
    terms["venues__bybit__tiers"] |= tiers(0.05, of="ETHUSDT")
    made = short_run("btc_basis", panel, script(every_row=False), start, NEVER, strategy__rebalance=False, **terms)
    eth = made.events_of("liquidation")
    eth = eth[eth.instrument == perp("bybit", "ETH")]
    # 5,000 - 20 (p - 3,000) = 0.05 * 20 p + 0.004 * 6,000
    assert eth.row.tolist() == [4]
    assert eth.price == pytest.approx([(5_000.0 + 60_000.0 - 24.0) / 21.0], rel=1e-12)


@pytest.mark.parametrize(("stop", "first"), [(0.047, "liquidation"), (0.045, "stop")])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_row_that_opens_beyond_both_stops_only_what_was_not_liquidated_before(side, stop, first):
    """Margin of 5 % of the notional meets a maintenance of 0.4 % just before a loss of 4.6 %."""
    panel = quiet(6, mark=(3, PRICE * (1.0 - 0.0485 * side)))
    columns = {**panel.columns, **{f"{name}|BTC": np.zeros(6) for name in ("signal", "confidence", "sd")}}
    panel = Panel.from_columns(panel.timestamps, 3600, columns)
    acts = script((1, "entry_full", "BTC long" if side > 0.0 else "BTC short", 1.0, stop, 0.5))
    more = {**FREE, "strategy__hedge_allocation": {"binance": 1.0}, "venues__binance__tiers": tiers(0.004, most=100)}
    start = {CASH["binance"]: 0.05 * PRICE}
    policy = {**NEVER, "margin_target": 0.04, "margin_low": 0.02}
    made = short_run("ml_directional", panel, acts, start, policy, **more)
    assert made.quantity(perp("binance"))[2] == side
    kinds = ["liquidation" if kind == "liquidation" else detail for kind, detail in zip(
        made.events.kind[made.events.row == 3], made.events.detail[made.events.row == 3]
    )]  # fmt: skip
    assert kinds == [first]


def test_a_run_that_records_no_rows_ends_in_the_same_state():
    made = short_run("btc_basis", quiet(6), script(), {WALLET: 1e4})
    again = Rerun(made, recorded=False, capital=made.capital)
    assert again.finishes()
    assert again.record.shape[0] == 0
    left, right = (state_without_margin_ratios(state, made.slots) for state in (again.state, made.final_state))
    assert left.tobytes() == right.tobytes()


# --- money that is sent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fees", "paid"), [(0.9, True), (1.9, True), (2.0, True), (2.1, False), (2.9, False)])
def test_a_withdrawal_of_everything_leaves_behind_what_is_not_worth_two_fees(fees, paid):
    panel = quiet(6)
    fee = {"venues__bybit__withdrawal_fee__USDT": dated({"value": 30.0})}
    start = {WALLET: 1_000.0, CASH["bybit"]: fees * 30.0}
    made = short_run("btc_basis", panel, script(), start, flows=flows(panel, (2, -5_000.0)), **fee)
    assert made.total_flow[-1] == (-1_000.0 if paid else 0.0)
    assert (made.pending[-1] == 0.0) == paid


@pytest.mark.parametrize(("cash", "paid"), [(0.049, True), (0.051, False)])
def test_a_withdrawal_leaves_behind_less_than_a_millionth_of_it(cash, paid):
    """Nothing costs anything, so that no fee says what is worth being sent."""
    panel = quiet(6)
    start = {WALLET: 1_000.0, CASH["bybit"]: cash}
    made = short_run("btc_basis", panel, script(), start, flows=flows(panel, (2, -50_000.0)), **FREE)
    assert made.total_flow[-1] == (-1_000.0 if paid else 0.0)


def test_what_a_venue_lacks_arrives_there_after_the_fees_of_all_that_give():
    fees = {"binance": 30.0, "bybit": 50.0, "okx": 70.0}
    start = {WALLET: 1.0, CASH["binance"]: 16_000.0, CASH["bybit"]: 11_000.0, CASH["okx"]: 3_500.0}
    terms = {f"venues__{venue}__withdrawal_fee__USDT": dated({"value": fee}) for venue, fee in fees.items()}
    act = script((1, "entry_partial", "USDT", 30_000.0))
    made = short_run("btc_basis", quiet(4), act, start, transfers__instant=True, **terms)
    sent = made.events_of("transfer")
    assert sent.quantity.tolist() == pytest.approx([-1_000.0, -(1_500.0 + 30.0 + 50.0)], rel=1e-12)
    assert made.quantity(CASH["okx"])[-1] == pytest.approx(WEIGHTS["okx"] * 30_000.0, rel=1e-12)


# --- loans -----------------------------------------------------------------------------------------------------------


def loan(lent, owed, ether, *acts, **more):
    """A loan of USDT, with ether in the wallet."""
    start = {"aave_v3:aToken:USDT": lent, "aave_v3:debtToken:USDT": owed, ETHER: ether, WALLET: 50.0}
    return short_run("pure_lending", chain(3), script(*acts), start, **LEGS, **more)


def test_a_debt_of_cents_holds_its_collateral():
    made = loan(100.0, 0.3, 1.0, (1, "exit_full", "USDT"))
    assert made.rejects() == [(1, "health factor would fall below 1")]
    assert loan(100.0, 0.0, 1.0, (1, "exit_full", "USDT")).rejects() == []


@pytest.mark.parametrize(
    ("amount", "verdict"), [(50.0, "filled"), (50.0 * (1.0 + 1e-9), "not enough cash"), (1e9, "not enough cash")]
)
def test_no_more_is_repaid_than_the_wallet_holds(amount, verdict):
    made = Rerun(loan(1_000.0, 300.0, 1.0))
    assert made.price_order("repay", WALLET, "aave_v3:debtToken:USDT", amount) == verdict


@pytest.mark.parametrize("amount", [30.0, 49.0])
def test_no_more_is_repaid_than_is_owed(amount):
    made = loan(1_000.0, 20.0, 1.0)
    again, owed = Rerun(made), 20.0 * made.panel.columns["borrow_index|aave_v3:USDT"][0]
    assert again.price_order("repay", WALLET, "aave_v3:debtToken:USDT", amount) == "filled"
    assert again.loop.scratch.fills[0].quantity == owed


def lent():
    """A loan in the asset that is lent; gas costs nothing, so that all that there is can go."""
    start = {"aave_v3:aToken:USDT": 1_000.0, "aave_v3:debtToken:USDT": 20.0, WALLET: 50.0}
    terms = {"venues__aave_v3__reserves__USDT": with_cap(1e9)}
    return short_run("pure_lending", chain(3, gas_price_gwei=np.zeros(3)), script(), start, **LEGS, **terms)


def lent_free():
    start = {"aave_v3:aToken:USDT": 1_000.0, WALLET: 50.0, ETHER: 0.05}
    return short_run("pure_lending", chain(3), script(), start, **LEGS)


def staked():
    panel = chain(3, gas_price_gwei=np.zeros(3))
    return short_run("eth_staking_only", panel, script(), {ETHER: 3.0, TOKEN: 2.0}, initial_capital=5)


def funded():
    panel = quiet(3)
    panel.columns["gas_price_gwei"] = np.zeros(3)
    return short_run("btc_basis", panel, script(), {WALLET: 700.0, CASH["bybit"]: 900.0})


def index(made, name):
    return made.panel.columns[f"{name}|aave_v3:USDT"][0]


def most_of_a_debt(made):
    """What may be borrowed more: LTV times collateral, less what is owed."""
    return 0.72 * 1_000.0 * index(made, "liquidity_index") - 20.0 * index(made, "borrow_index")


def most_of_a_balance(made):
    return 1_000.0 * index(made, "liquidity_index")


LIMITS_OF_ORDERS = {
    "supply": (lent, WALLET, "aave_v3:aToken:USDT", lambda made: 50.0, "not enough cash"),
    "withdraw": (lent_free, "aave_v3:aToken:USDT", WALLET, most_of_a_balance, "not enough held"),
    "borrow": (lent, "aave_v3:debtToken:USDT", WALLET, most_of_a_debt, "debt beyond the loan to value allowed"),
    "swap": (staked, ETHER, TOKEN, lambda made: 3.0, "not enough cash"),
    "stake": (staked, ETHER, TOKEN, lambda made: 3.0, "not enough cash"),
    "unstake": (staked, TOKEN, ETHER, lambda made: 2.0, "not enough cash"),
    "transfer": (funded, CASH["bybit"], WALLET, lambda made: 900.0, "not enough cash"),
}


@pytest.mark.parametrize("kind", LIMITS_OF_ORDERS)
def test_all_there_is_may_go_and_rounding_of_it_but_no_more(kind):
    book, slot, destination, most, reason = LIMITS_OF_ORDERS[kind]
    made = book()
    for times, verdict in ((1.0, "filled"), (1.0 + 5e-13, "filled"), (1.0 - 1e-9, "filled"), (1.0 + 1e-9, reason)):
        again = Rerun(made)
        context = again.loop.run_context
        context.coefficients[: made.slots.shape().hour_width] = context.hours[0]
        assert again.price_order(kind, slot, destination, times * most(made)) == verdict, times


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
