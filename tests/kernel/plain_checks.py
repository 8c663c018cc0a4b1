"""Checks of single parts of the kernel in plain Python; `test_kernel_plain` runs them with ``NUMBA_DISABLE_JIT=1``.

Compiled parts cannot be called one by one, and their bits are those of plain Python (`test_kernel_parity`).
"""

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis.engine.blocking import run_blocking
from basis.inputs.coefficients import MarketPrices, make_coefficients
from basis.kernel.keys import parse_key
from basis.kernel.numba import jit
from basis.reports import Result
from support import scenarios
from support.kernel_stages import (
    ASKED,
    BAD_DECISION,
    BROKEN,
    END,
    MISFITS,
    Rerun,
    VenueBook,
    accept_decision,
    alert_level_of,
    aligned_zeros,
    decisions_of,
    grown_event_buffer,
    initial_margin,
    limit_steps_of_liquidation,
    maintenance_margin,
    record_without_totals,
    scheduled_flows,
    slippage_of,
    tier_of,
    tiers_of_row,
    watched_rate,
)
from support.kernel_view import as_words
from support.runs import FREE, by_components, engine_of, run
from support.same_run import AskedInPython, OwnCex, OwnOnChain, assert_same_arrays
from support.small_markets import flows, market, pool, steady, walk
from support.strategies import add_to_hedge, do_nothing, enter_hedge

assert os.environ.get("NUMBA_DISABLE_JIT") == "1", "run me with NUMBA_DISABLE_JIT=1"

WALLET, CASH = "wallet:BaseToken:USDT", "binance:BaseToken:USDT"
TIERS = np.array([[50_000.0, 0.004, 0.0, 125.0], [600_000.0, 0.005, 50.0, 100.0], [np.inf, 0.01, 3_050.0, 50.0]])


# --- tiers, slippage, margins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notional", "tier"),
    [(0.0, 0), (50_000.0, 0), (np.nextafter(50_000.0, 1e9), 1), (600_000.0, 1), (600_001.0, 2), (1e12, 2)],
)
def test_tier_holds_up_to_its_largest_notional(notional, tier):
    assert tier_of(TIERS, notional) == tier


def test_last_tier_serves_what_lies_beyond_it():
    assert tier_of(np.array([[1_000.0, 0.01, 0.0, 100.0]]), 5_000.0) == 0


def test_maintenance_has_no_step_where_tiers_meet():
    for edge in (50_000.0, 600_000.0):
        below, above = maintenance_margin(TIERS, edge), maintenance_margin(TIERS, np.nextafter(edge, 1e9))
        assert above == pytest.approx(below, rel=1e-9)
    assert maintenance_margin(TIERS, 100_000.0) == 450.0


def test_initial_margin_is_notional_over_the_tiers_leverage():
    assert initial_margin(TIERS, 50_000.0) == 400.0
    assert initial_margin(TIERS, 100_000.0) == 1_000.0
    assert initial_margin(TIERS, 1_000_000.0) == 20_000.0


@pytest.mark.parametrize(("notional", "slip"), [(0.0, 5e-4), (1e4, 5e-4), (10_000.1, 7e-4), (1e5, 7e-4), (1e9, 13e-4)])
def test_slippage_is_a_step_function_of_notional(notional, slip):
    buckets = np.array([[1e4, 5e-4], [1e5, 7e-4], [np.inf, 13e-4]])
    assert slippage_of(buckets, notional) == slip


@pytest.mark.parametrize(
    ("cash", "entry", "mark", "free"),
    [
        (30_000.0, 60_000.0, 60_000.0, 29_400.0),  # initial margin 600 of 60,000 at leverage 100
        (30_000.0, 60_000.0, 40_000.0, 30_000.0),  # profit of a short stays where it is
        (30_000.0, 60_000.0, 70_000.0, 19_300.0),  # a loss does not
        (30_000.0, 60_000.0, 95_000.0, 0.0),
    ],
)
def test_withdrawable_is_cash_and_no_unrealised_profit(cash, entry, mark, free):
    book = VenueBook([-1.0], [-entry], cash)
    assert book.withdrawable(np.array([mark]), TIERS[None]) == pytest.approx(free, abs=1e-9)


def test_bound_is_a_rate_no_tier_exceeds_up_to_twice_the_notional():
    book = VenueBook([-1.0, 2.0], [0.0, 0.0], 0.0)
    tiers = np.array([TIERS, [[1e5, 0.02, 0.0, 50.0], [5e5, 0.03, 1_000.0, 20.0], [np.inf, 0.5, 9e4, 1.0]]])
    assert book.bound_of_tiers(np.array([60_000.0, 30_000.0]), tiers) == (240_000.0, 0.03)


@pytest.mark.parametrize(
    ("stops", "share", "first"),
    [
        ([58_000.0, 29_500.0], 2.0, (1, 29_500.0)),  # met a sixth of the way down, the other a third
        ([58_000.0, 29_000.0], 2.0, (0, 58_000.0)),  # both met a third of the way down: in their order
        ([58_000.0, 29_500.0], 0.1, (-1, 0.0)),  # a liquidation is nearer
        ([58_000.0, 0.0], 2.0, (0, 58_000.0)),  # the other has none
        ([61_000.0, 29_500.0], 2.0, (0, 60_000.0)),  # beyond it from the start: never better than the mark
        ([53_000.0, 26_000.0], 2.0, (-1, 0.0)),  # beyond the extremes
    ],
)
def test_of_several_stops_of_a_venue_the_nearest_comes_first(stops, share, first):
    book = VenueBook([1.0, 2.0], [0.0, 0.0], 0.0, stops)
    hour = book.hour([60_000.0, 30_000.0], [54_000.0, 27_000.0], [60_000.0, 30_000.0])
    assert book.first_stop(hour, share) == first


# --- fills of a perp -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "cost", "dq", "price", "left", "cost_left", "realised"),
    [
        (0.0, 0.0, -2.0, 100.0, -2.0, -200.0, 0.0),  # open
        (-2.0, -200.0, -1.0, 130.0, -3.0, -330.0, 0.0),  # add: the entry price is averaged
        (-3.0, -330.0, 1.0, 90.0, -2.0, -220.0, 20.0),  # partial close
        (-2.0, -220.0, 2.0, 120.0, 0.0, 0.0, -20.0),  # full close
        (-2.0, -220.0, 5.0, 100.0, 3.0, 300.0, 20.0),  # flip: a close and an open
        (4.0, 400.0, -1.0, 110.0, 3.0, 300.0, 10.0),
        (4.0, 400.0, -6.0, 90.0, -2.0, -180.0, -40.0),
    ],
)
def test_perp_fill_moves_cost_and_realises_into_cash(q, cost, dq, price, left, cost_left, realised):
    book = VenueBook([q], [cost], 1_000.0)
    assert book.fill_perp(dq, price) == pytest.approx(realised, abs=1e-12)
    assert book.quantity() == left
    assert book.cost() == pytest.approx(cost_left, abs=1e-12)
    assert book.cash == pytest.approx(1_000.0 + realised, abs=1e-12)


@given(
    orders=st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(50.0, 200.0)), max_size=12), mark=st.floats(50.0, 200.0)
)
def test_perp_fills_change_no_worth_at_their_price(orders, mark):
    """Cash and unrealised P&L together are those of a ledger that only adds up what was paid."""
    book = VenueBook([0.0], [0.0], 0.0)
    q = paid = 0.0
    for dq, price in orders:
        book.fill_perp(dq, price)
        q, paid = q + dq, paid + dq * price
    worth = book.cash + book.quantity() * mark - book.cost()
    assert book.quantity() == q
    assert worth == pytest.approx(q * mark - paid, abs=1e-8)


# --- the way to a liquidation ----------------------------------------------------------------------------------------


@st.composite
def tables(draw):
    """Tiers that meet without a step, rates that rise."""
    count = draw(st.integers(1, 5))
    edges = np.cumsum(draw(st.lists(st.floats(1e3, 3e5), min_size=count, max_size=count)))
    rates = np.cumsum(draw(st.lists(st.floats(1e-3, 0.12), min_size=count, max_size=count)))
    amounts = np.concatenate(([0.0], np.cumsum(edges[:-1] * np.diff(rates))))
    edges[-1] = np.inf
    return np.column_stack((edges, rates, amounts, 0.5 / rates))


@settings(max_examples=200)
@given(
    one=tables(), two=tables(),
    q=st.tuples(st.floats(-12.0, 12.0), st.floats(-12.0, 12.0)),
    before=st.tuples(st.floats(1e3, 1e5), st.floats(1e3, 1e5)),
    rise=st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5)), fall=st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5)),
    spare=st.floats(-0.05, 0.6),
)  # fmt: skip
def test_path_to_liquidation_finds_the_first_crossing(one, two, q, before, rise, fall, spare):
    """Against bisection, which needs no slope: margin less maintenance falls all the way."""
    q, before = np.array(q), np.array(before)
    if not (np.abs(q) > 1e-3).any():
        q[0] = 1.0
    longest = max(len(one), len(two))
    tiers = np.array([np.concatenate((x, np.repeat(x[-1:], longest - len(x), axis=0))) for x in (one, two)])
    book = VenueBook(q, q * before, spare * np.abs(q * before).sum())
    high, low = before * (1.0 + np.array(rise)), before * (1.0 - np.array(fall))
    ends = np.where(q >= 0.0, low, high)

    def gap(x):
        marks = before + x * (ends - before)
        return book.margin_above_maintenance(marks, tiers)

    share = book.path_to_liquidation(book.hour(high, low, before), tiers)
    scale = 1e-9 * np.abs(q * before).sum()
    if share == 2.0:
        assert gap(1.0) > -scale
    elif share == 0.0:
        assert gap(0.0) <= scale
    else:
        assert 0.0 < share <= 1.0
        assert abs(gap(share)) <= scale
        low, high = 0.0, 1.0
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if gap(middle) > 0.0 else (low, middle)
        # where the path is nearly flat, many shares are right
        assert share == pytest.approx(high, abs=1e-6) or abs(gap(high) - gap(share)) <= scale


def test_path_to_liquidation_with_marks_that_stand_still():
    book = VenueBook([-1.0], [-60_000.0], 100.0)
    assert book.path_to_liquidation(book.hour(60_000.0, 60_000.0, 60_000.0), TIERS[None]) == 0.0


def test_path_to_liquidation_gives_what_it_has_when_it_is_not_done(monkeypatch):
    limit_steps_of_liquidation(monkeypatch, 1)
    tiers = np.array([[[6.1e4, 0.004, 0.0, 125.0], [np.inf, 0.1, 6.1e4 * 0.096, 5.0]]])
    book = VenueBook([-1.0], [-60_000.0], 3_000.0)
    assert 0.0 < book.path_to_liquidation(book.hour(90_000.0, 60_000.0, 60_000.0), tiers) < 1.0


@pytest.mark.parametrize("valuation", [0.0, math.nan])
def test_levels_of_what_cannot_be_compared_are_none(valuation):
    assert alert_level_of(valuation, 0.1, 0.2) == 0.0


def test_level_is_beyond_not_at_the_limit():
    assert [alert_level_of(x, 0.1, 0.2) for x in (0.1, 0.11, 0.2, 0.21)] == [0.0, 1.0, 1.0, 2.0]


# --- decisions, driver, orders ---------------------------------------------------------------------------------------


def test_a_caller_that_decides_itself_gives_the_same_bits():
    """`decide` None comes back with ASKED; what the strategy answers goes into the actions."""
    for name in ("entry", "struck", "next_bar", "rule"):
        made = scenarios.SCENARIOS[name]()
        again = Rerun(made)
        again.leave_decisions_to_caller()
        asked, given, row = 0, -1, 0
        while True:
            row, reason = again.run(row, given=given)
            if reason != ASKED:
                break
            asked += 1
            given = again.decide()
        assert reason == END
        assert asked > 3
        assert again.record.tobytes() == made.record.tobytes()
        assert again.events.tobytes() == made.raw_events.tobytes()
        assert again.state.tobytes() == made.final_state.tobytes()


@pytest.mark.parametrize("kind", [7, 0])
def test_a_plan_of_no_known_kind_sends_no_orders(kind):
    again = Rerun(scenarios.every_row(enter_hedge))
    again.set_kind_of_plan(0, kind)
    assert again.finishes()
    assert again.events_written == 0


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (("no such kind", CASH, CASH, 1.0), "no such order"),
        (("spot", WALLET, CASH, 1.0), "no such order"),  # the wallet is no market
        (("spot", scenarios.BTC, CASH, -1.0), "not enough held"),
        (("spot", scenarios.BTC, CASH, 5.0), "not enough cash"),
        (("perp", "binance:Perp:BTCUSDT", CASH, -50.0), "not enough margin"),
        (("transfer", WALLET, CASH, 2e5), "not enough cash"),
        (("transfer", CASH, WALLET, 0.5), "amount below the fee"),
    ],
)
def test_orders_that_cannot_be_filled_change_nothing(order, reason):
    again = Rerun(run(market(steady(3)), strategy=do_nothing, positions={WALLET: 1e5, CASH: 1e4}))
    before = again.state.copy()
    assert again.price_order(*order) == reason
    assert again.state.tobytes() == before.tobytes()
    assert again.events_written == 0


# --- the hour by its parts -------------------------------------------------------------------------------------------


#: Between them they come to every part.
STEPPED = (
    "entry",
    "next_bar",
    "struck_at_mark",
    "critical",
    "leave",
    "in_eth",
    "lend",
    "lend_poor",
    "levered",
    "crowd",
)


@pytest.mark.parametrize("name", STEPPED)
def test_components_take_every_part_of_the_hour(name):
    """What the event engine does row by row gives the bits of the loop, here without any compiled code."""
    made = scenarios.SCENARIOS[name]()
    stepped = by_components(made)
    assert_same_arrays(stepped, made)


@pytest.mark.parametrize("name", ["entry", "next_bar", "lend"])
@pytest.mark.parametrize(
    "components",
    [
        {"strategy_manager": AskedInPython},
        {"cex_execution_manager": OwnCex, "onchain_execution_manager": OwnOnChain},
    ],
    ids=["decisions", "rows"],
)
def test_a_loop_that_asks_gives_the_same_bits(name, components):
    made = scenarios.SCENARIOS[name]()
    asked = by_components(made, driver="kernel", components=components)
    assert_same_arrays(asked, made)


@pytest.mark.parametrize("name", scenarios.BAD_DECISIONS)
def test_components_refuse_a_bad_decision_of_a_compiled_strategy(name):
    made = scenarios.run_with_bad_decision(name)
    stepped = by_components(made)
    assert (stepped.status, stepped.cause, stepped.stop) == ("stopped", made.cause, 0)


def test_a_decision_by_hand_that_the_kernel_refuses_is_none():
    """The manager lets nothing through that the kernel would refuse; the kernel looks for itself all the same."""
    made = scenarios.SCENARIOS["entry"]()
    engine = engine_of(made)
    run_blocking(engine.record())
    engine.run.go_on()
    decisions = decisions_of(engine.run.state)
    assert accept_decision(engine.run.state, 1) == BAD_DECISION
    assert accept_decision(engine.run.state, 0) == END
    assert decisions_of(engine.run.state) == decisions


def test_gas_is_paid_in_ether_first_and_the_rest_in_the_share_class():
    start = {"wallet:BaseToken:USDT": 1_000.0, "wallet:BaseToken:ETH": 0.001}
    made = run(pool(3), "pure_lending", positions=start)
    paid = 187_000 * 20e-9  # ETH
    assert made.quantity("wallet:BaseToken:ETH")[0] == 0.0
    supplied = made.quantity(scenarios.LENT)[0] * made.panel.columns["liquidity_index|aave_v3:USDT"][0]
    assert made.quantity("wallet:BaseToken:USDT")[0] == pytest.approx(
        1_000.0 - supplied - (paid - 0.001) * 3_000.0, abs=1e-9
    )
    assert made.pnl["gas"][0] == pytest.approx(-paid * 3_000.0, abs=1e-9)


def test_every_step_of_a_run_without_costs_keeps_the_worth():
    made = run(market(steady(30)), overrides=FREE)
    assert made.equity == pytest.approx(1e5 + made.pnl["funding_pnl"], abs=1e-8)


@pytest.mark.parametrize(
    "name", ["entry", "struck", "struck_at_mark", "lend", "critical", "crowd", "leave", "two_coins"]
)
def test_runs_that_keep_no_events_are_the_same(name):
    made = scenarios.SCENARIOS[name]()
    again = Rerun(made, events=0, capital=made.capital)
    assert again.finishes()
    assert again.events_written == 0
    left, right = (record_without_totals(record, made.slots) for record in (again.record, made.record))
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("part", MISFITS)
def test_arrays_of_the_wrong_size_are_refused(part):
    again = Rerun(scenarios.SCENARIOS["entry"]())
    with pytest.raises(ValueError, match=r"it must (be|have) "):
        again.with_misfit(part)


@pytest.mark.parametrize("name", scenarios.BAD_DECISIONS)
def test_a_bad_decision_stops_the_run(name):
    made = scenarios.run_with_bad_decision(name)
    assert made.status == "stopped"
    assert "strategy failed in row 0" in made.cause
    assert len(made.events) == 0


def test_a_sum_that_does_not_close_stops_the_run():
    again = Rerun(scenarios.SCENARIOS["entry"]()).with_unearned_basis(row=7, amount=1.0)
    assert again.run() == (7, BROKEN)


def test_no_entries_while_an_alert_is_critical():
    limits = {"margin_ratio": {"warning": 0.9, "critical": 0.8}}
    start = {"wallet:BaseToken:USDT": 50_000.0, "binance:BaseToken:USDT": 30_000.0, scenarios.BTC: 1.0,
             "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0}  # fmt: skip
    for strategy in (enter_hedge(amount=0.1), add_to_hedge(amount=0.1)):
        made = scenarios.every_row(strategy, {"risk.limits": limits}, rows=4, positions=start)
        assert made.rejects() == [(row, "critical alert: only reductions") for row in range(4)]
        assert len(made.events_of("fill")) == 0


def test_maintenance_ratio_of_a_recording():
    """Maintenance margin over notional by venue: after the fills, and at the extremes with the book a row earlier."""
    made = scenarios.SCENARIOS["two_coins"]()
    slots, rows = made.slots, len(made.panel)
    table = Result.from_recording(made.recording).table("risk")

    def ratio(row, book_row, venue, measure, tier_row):
        need = notional = 0.0
        for i, key in enumerate(slots.perp):
            if key.venue == venue:
                q = made.quantity(key)[book_row]
                side = {"mark": "mark", "worst": "low" if q >= 0.0 else "high"}[measure]
                mark = made.panel.columns[f"{side}|{key}"][row]
                if side != "mark":
                    before = made.panel.columns[f"mark|{key}"][row - 1]
                    mark = min(mark, before) if q >= 0.0 else max(mark, before)
                need += maintenance_margin(tiers_of_row(made.recording, tier_row, i), abs(q) * mark)
                notional += abs(q) * mark
        return need / notional if notional > 0.0 else 0.0

    for venue_name in slots.venues:
        for row in range(rows):
            now = ratio(row, row, venue_name, "mark", row)
            assert table[f"maintenance_ratio|{venue_name}"][row] == pytest.approx(now, rel=1e-12)
            worst = ratio(row, row - 1, venue_name, "worst", row - 1) if row else 0.0
            assert table[f"maintenance_ratio|{venue_name}|worst"][row] == pytest.approx(worst, rel=1e-12)


@pytest.mark.parametrize("name", ["two_coins", "levered", "in_eth"])
def test_worths_of_a_recording_sum_to_its_equity(name):
    made = scenarios.SCENARIOS[name]()
    table = Result.from_recording(made.recording).table("exposure")
    worths = np.array([table[column] for column in table.columns if column.startswith("value|")])
    assert worths.sum(axis=0) == pytest.approx(made.equity, rel=1e-12)
    assert (np.abs(worths).max(axis=1) > 0.0).sum() >= 4


@pytest.mark.parametrize("text", ["", "a:b", "a:BaseToken:", "a:Base:BTC", "a:Perp:BTCUSD", "a:Perp:USDT", 5])
def test_malformed_keys_name_the_three_parts(text):
    with pytest.raises(ValueError, match=r"venue:type:symbol|base and quote"):
        parse_key(text)


def test_a_market_without_a_column_is_named():
    made = scenarios.SCENARIOS["entry"]()
    columns = {k: v for k, v in made.panel.columns.items() if k != "mark|okx:Perp:BTCUSDT"}
    with pytest.raises(ValueError, match=r"mark\|okx:Perp:BTCUSDT"):
        make_coefficients(MarketPrices(columns, len(made.panel), made.slots, "market"), made.panel.timestamps / 1e9)


def test_coefficients_take_rate_and_flows():
    apr = np.arange(1.0, 61.0) / 7.0
    panel = market(steady(60), apr=apr)
    moved = flows(panel, (20, 30_000.0), (35, -40_000.0), (50, -1.0))
    rule = {"enabled": True, "enter": 1e3, "leave": 0.0, "window": "24h"}
    made = run(panel, overrides={"flows": moved, "strategy.rate_rule": rule})
    deposits, asked = scheduled_flows(made.inputs, made.slots)
    assert watched_rate(made.inputs, made.slots) == pytest.approx(apr, rel=1e-12)
    assert (deposits == np.where(np.arange(60) == 20, 30_000.0, 0.0)).all()
    assert (asked == np.searchsorted([35, 50], np.arange(60), side="right")).all()


# --- the Python side -------------------------------------------------------------------------------------------------


def test_buffers_start_on_a_cache_line():
    for shape in ((3, 1), (264, 64), (7, 5)):
        made = aligned_zeros(shape)
        assert made.shape == shape
        assert made.ctypes.data % 64 == 0
        assert made.flags.c_contiguous
        assert not made.any()


def test_an_event_buffer_that_grows_keeps_its_events():
    made = run(market(walk(10)))
    _, more = grown_event_buffer(made.slots, rows=10, written=4)
    assert len(more) == 2 * (10 + 1)  # a spare place is kept
    assert (more.price[:4] == 7.0).all()
    assert not as_words(more[4:]).any()


def test_plain_python_needs_no_compiler():
    def function():
        return 1

    assert jit.stage(function) is function
    assert jit.compiled(function, ()) is function


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_scenario_closes_to_the_cent(name):
    made = scenarios.SCENARIOS[name]()
    scale = max(1.0, made.capital + np.abs(made.flow).sum())
    assert np.abs(made.residual[: made.stop]).max() <= 1e-12 * scale
