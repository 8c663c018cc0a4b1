"""Checks of single parts of the kernel in plain Python; `test_kernel_plain` runs them with ``NUMBA_DISABLE_JIT=1``.

Compiled parts cannot be called one by one, and their bits are those of plain Python (`test_kernel_parity`).
"""

import math
import os

import numpy as np
import pytest
import scenarios
from hypothesis import given, settings
from hypothesis import strategies as st
from made_markets import by_components, engine_of, market, pool, run, steady, walk
from scenarios import script
from test_kernel_parity import MISFITS, relaid

from basis.engine.blocking import run_blocking
from basis.execution.managers import CEXExecutionManager, OnChainExecutionManager
from basis.kernel import fills, risk, settle, state
from basis.kernel import hour as hour_parts
from basis.kernel import layout as at
from basis.kernel.coefficients import make_coefficients
from basis.kernel.frame import DECISION
from basis.kernel.keys import parse_key
from basis.kernel.loop import Loop
from basis.reports import Result
from basis.strategies.manager import StrategyManager

assert os.environ.get("NUMBA_DISABLE_JIT") == "1", "run me with NUMBA_DISABLE_JIT=1"

TIERS = np.array([[50_000.0, 0.004, 0.0, 125.0], [600_000.0, 0.005, 50.0, 100.0], [np.inf, 0.01, 3_050.0, 50.0]])


# --- tiers, slippage, margins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notional", "tier"),
    [(0.0, 0), (50_000.0, 0), (np.nextafter(50_000.0, 1e9), 1), (600_000.0, 1), (600_001.0, 2), (1e12, 2)],
)
def test_tier_holds_up_to_its_largest_notional(notional, tier):
    assert risk.tier_of(TIERS, notional) == tier


def test_last_tier_serves_what_lies_beyond_it():
    assert risk.tier_of(np.array([[1_000.0, 0.01, 0.0, 100.0]]), 5_000.0) == 0


def test_maintenance_has_no_step_where_tiers_meet():
    for edge in (50_000.0, 600_000.0):
        below, above = risk.maintenance(TIERS, edge), risk.maintenance(TIERS, np.nextafter(edge, 1e9))
        assert above == pytest.approx(below, rel=1e-9)
    assert risk.maintenance(TIERS, 100_000.0) == 450.0


def test_initial_margin_is_notional_over_the_tiers_leverage():
    assert risk.initial_margin(TIERS, 50_000.0) == 400.0
    assert risk.initial_margin(TIERS, 100_000.0) == 1_000.0
    assert risk.initial_margin(TIERS, 1_000_000.0) == 20_000.0


@pytest.mark.parametrize(("notional", "slip"), [(0.0, 5e-4), (1e4, 5e-4), (10_000.1, 7e-4), (1e5, 7e-4), (1e9, 13e-4)])
def test_slippage_is_a_step_function_of_notional(notional, slip):
    buckets = np.array([[1e4, 5e-4], [1e5, 7e-4], [np.inf, 13e-4]])
    assert fills.slippage_of(buckets, notional) == slip


def venue(q, cost, cash):
    """Shape and state of one venue that holds perps `q`, one by market."""
    n = at.make_shape(1, 1, 1, 0, 0, len(q), 1)
    cells = np.zeros((at.rows(n), 1))
    b = at.book(n, cells)
    b.q[0], b.q[at.first_perp(n) :, 0], b.cost[:, 0] = cash, q, cost
    return n, cells, b


def hour(n, high, low, before):
    """The hour's coefficients with these extremes, and the tape of the row before with these marks."""
    coef, past = np.zeros(at.width(n) + at.still(n)), np.zeros(at.quote_width(n))
    at.hour_of(n, coef).high[:], at.hour_of(n, coef).low[:] = high, low
    at.quote_of(n, past).mark[:] = before
    return coef, past


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
    n, cells, _ = venue([-1.0], [-entry], cash)
    assert risk.withdrawable(n, cells, np.array([mark]), 0, TIERS[None], 0, 0) == pytest.approx(free, abs=1e-9)


def test_bound_is_a_rate_no_tier_exceeds_up_to_twice_the_notional():
    n, cells, b = venue([-1.0, 2.0], [0.0, 0.0], 0.0)
    tiers = np.array([TIERS, [[1e5, 0.02, 0.0, 50.0], [5e5, 0.03, 1_000.0, 20.0], [np.inf, 0.5, 9e4, 1.0]]])
    settle.bound_tiers(n, cells, np.array([60_000.0, 30_000.0]), 0, tiers, 0, 0)
    assert b.cap[0, 0] == 240_000.0
    assert b.bound[0, 0] == 0.03


@pytest.mark.parametrize(
    ("stops", "share", "first"),
    [
        ([58_000.0, 29_500.0], 2.0, (1, 29_500.0)),  # met a sixth of the way down, the other a third
        ([58_000.0, 29_500.0], 0.1, (-1, 0.0)),  # a liquidation is nearer
        ([58_000.0, 0.0], 2.0, (0, 58_000.0)),  # the other has none
        ([61_000.0, 29_500.0], 2.0, (0, 60_000.0)),  # beyond it from the start: never better than the mark
        ([53_000.0, 26_000.0], 2.0, (-1, 0.0)),  # beyond the extremes
    ],
)
def test_of_several_stops_of_a_venue_the_nearest_comes_first(stops, share, first):
    n = at.make_shape(1, 1, 1, 0, 0, 2, 1, stops=True)
    cells = np.zeros((at.rows(n), 1))
    b = at.book(n, cells)
    b.q[at.first_perp(n) :, 0], b.stop[:, 0] = [1.0, 2.0], stops
    coef, past = hour(n, [60_000.0, 30_000.0], [54_000.0, 27_000.0], [60_000.0, 30_000.0])
    assert settle.stop_first(n, cells, coef, past, share, 0, 0) == first


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
    n, cells, b = venue([q], [cost], 1_000.0)
    assert fills.move_perp(n, cells, 2, 0, 0, dq, price, 0) == pytest.approx(realised, abs=1e-12)
    assert b.q[2, 0] == left
    assert b.cost[0, 0] == pytest.approx(cost_left, abs=1e-12)
    assert b.q[0, 0] == pytest.approx(1_000.0 + realised, abs=1e-12)


@given(
    orders=st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(50.0, 200.0)), max_size=12), mark=st.floats(50.0, 200.0)
)
def test_perp_fills_change_no_worth_at_their_price(orders, mark):
    """Cash and unrealised P&L together are those of a ledger that only adds up what was paid."""
    n, cells, b = venue([0.0], [0.0], 0.0)
    q = paid = 0.0
    for dq, price in orders:
        fills.move_perp(n, cells, 2, 0, 0, dq, price, 0)
        q, paid = q + dq, paid + dq * price
    worth = b.q[0, 0] + b.q[2, 0] * mark - b.cost[0, 0]
    assert b.q[2, 0] == q
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
    n, cells, _ = venue(q, q * before, spare * np.abs(q * before).sum())
    high, low = before * (1.0 + np.array(rise)), before * (1.0 - np.array(fall))
    ends = np.where(q >= 0.0, low, high)

    def gap(x):
        marks = before + x * (ends - before)
        return risk.margin_at(n, cells, marks, 0, 0, 0) - risk.maintenance_at(n, cells, marks, 0, tiers, 0, 0)

    share = settle.path_to_liquidation(n, cells, *hour(n, high, low, before), tiers, 0, 0)
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
    n, cells, _ = venue([-1.0], [-60_000.0], 100.0)
    still = hour(n, 60_000.0, 60_000.0, 60_000.0)
    assert settle.path_to_liquidation(n, cells, *still, TIERS[None], 0, 0) == 0.0


def test_path_to_liquidation_gives_what_it_has_when_it_is_not_done(monkeypatch):
    monkeypatch.setattr(settle, "_ITERATIONS", 1)
    tiers = np.array([[[6.1e4, 0.004, 0.0, 125.0], [np.inf, 0.1, 6.1e4 * 0.096, 5.0]]])
    n, cells, _ = venue([-1.0], [-60_000.0], 3_000.0)
    rally = hour(n, 90_000.0, 60_000.0, 60_000.0)
    assert 0.0 < settle.path_to_liquidation(n, cells, *rally, tiers, 0, 0) < 1.0


@pytest.mark.parametrize("valuation", [0.0, math.nan])
def test_levels_of_what_cannot_be_compared_are_none(valuation):
    assert risk.level_of(valuation, 0.1, 0.2) == 0.0


def test_level_is_beyond_not_at_the_limit():
    assert [risk.level_of(x, 0.1, 0.2) for x in (0.1, 0.11, 0.2, 0.21)] == [0.0, 1.0, 1.0, 2.0]


# --- decisions, driver, orders ---------------------------------------------------------------------------------------


def test_a_caller_that_decides_itself_gives_the_same_bits():
    """`decide` None comes back with ASKED; what the strategy answers goes into the actions."""
    for name in ("entry", "struck", "next_bar", "rule"):
        made = scenarios.SCENARIOS[name]()
        loop, block, desk, record = relaid(made, 1)
        loop = Loop(loop.frame.sizes, block, loop.frame.model, desk, None, record, DECISION)
        decide, asked, given, row = made.recording.strategy.decide, 0, -1, 0
        while True:
            row, reason = loop.run(row, len(made.panel), given)
            if reason != at.ASKED:
                break
            asked += 1
            desk.actions[:] = 0.0
            given = decide(desk.seen, desk.hour, desk.param, desk.actions)
        assert reason == at.END
        assert asked > 3
        assert record.tobytes() == made.record.tobytes()
        assert desk.events[: desk.count[0]].tobytes() == made.events.tobytes()
        again = block.view(np.int64) == made.block.view(np.int64)
        assert again.all()


@pytest.mark.parametrize("kind", [7, 0])
def test_a_plan_of_no_known_kind_sends_no_orders(kind):
    made = scenarios._scripted(at.ENTRY_FULL, 0, 1.0)
    loop, _, desk, _ = relaid(made, 1)
    loop.frame.model.table.plan[0, at.PLAN_KIND] = kind
    assert loop.run(0, len(made.panel))[1] == at.END
    assert desk.count[0] == len(made.panel)  # decisions only


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ((99.0, 0.0, 0.0, 1.0), at.UNKNOWN_ORDER),
        ((at.TRADE_SPOT, 3.0, 0.0, 1.0), at.UNKNOWN_ORDER),  # the wallet is no market
        ((at.TRADE_SPOT, 4.0, 0.0, -1.0), at.NOT_HELD),
        ((at.TRADE_SPOT, 4.0, 0.0, 5.0), at.NO_CASH),
        ((at.TRADE_PERP, 5.0, 0.0, -50.0), at.NO_MARGIN),
        ((at.TRANSFER, 3.0, 0.0, 2e5), at.NO_CASH),
        ((at.TRANSFER, 0.0, 3.0, 0.5), at.BELOW_FEE),
    ],
)
def test_orders_that_cannot_be_filled_change_nothing(order, reason):
    made = run(market(steady(3)), strategy=script(1, 0, 0.0, count=0), positions={
        "wallet:BaseToken:USDT": 1e5, "binance:BaseToken:USDT": 1e4})  # fmt: skip
    loop, block, desk, _ = relaid(made, 1)
    n, model = loop.frame.sizes, loop.frame.model
    before = block.copy()
    order = np.array(order, dtype=float)
    assert fills.price(n, block, model, model.hours[0], model.quotes[0], desk, 0, 0, order) == reason
    assert block.tobytes() == before.tobytes()
    assert desk.count[0] == 0


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
    for part in ("record", "events", "block"):
        assert getattr(stepped, part).tobytes() == getattr(made, part).tobytes(), part
    assert (stepped.status, stepped.cause, stepped.stop) == (made.status, made.cause, made.stop)


class Asked(StrategyManager):
    """The mode's strategy, asked from outside the loop."""

    async def make_decision(self, timestamp=None, market_data=None):
        return await super().make_decision(timestamp, market_data)


class OwnManager(CEXExecutionManager):
    """The built-in manager by another name: the loop leaves it the row."""


class OwnPool(OnChainExecutionManager):
    """See `OwnManager`."""


@pytest.mark.parametrize("name", ["entry", "next_bar", "lend"])
@pytest.mark.parametrize(
    "components",
    [
        {"strategy_manager": Asked},
        {"cex_execution_manager": OwnManager, "onchain_execution_manager": OwnPool},
    ],
    ids=["decisions", "rows"],
)
def test_a_loop_that_asks_gives_the_same_bits(name, components):
    made = scenarios.SCENARIOS[name]()
    asked = by_components(made, driver="kernel", components=components)
    for part in ("record", "events", "block"):
        assert getattr(asked, part).tobytes() == getattr(made, part).tobytes(), part


@pytest.mark.parametrize("name", scenarios.BAD_DECISIONS)
def test_components_refuse_a_bad_decision_of_a_compiled_strategy(name):
    made = scenarios.misled(name)
    stepped = by_components(made)
    assert (stepped.status, stepped.cause, stepped.stop) == ("stopped", made.cause, 0)


def test_a_decision_by_hand_that_the_kernel_refuses_is_none():
    """The manager lets nothing through that the kernel would refuse; the kernel looks for itself all the same."""
    made = scenarios.SCENARIOS["entry"]()
    engine = engine_of(made)
    run_blocking(engine.record())
    engine.book.fork()
    engine.book.desk.actions[:] = 0.0
    decisions = engine.book.head(at.book_at(made.slots.shape()).stat + at.DECISIONS)
    assert engine.book.do(hour_parts.ACCEPT, 1) == at.BAD_DECISION
    assert engine.book.do(hour_parts.ACCEPT, 0) == at.END
    assert engine.book.head(at.book_at(made.slots.shape()).stat + at.DECISIONS) == decisions


def test_gas_is_paid_in_ether_first_and_the_rest_in_the_share_class():
    start = {"wallet:BaseToken:USDT": 1_000.0, "wallet:BaseToken:ETH": 0.001}
    made = run(pool(3), "pure_lending", positions=start)
    paid = 187_000 * 20e-9  # ETH
    assert made.q("wallet:BaseToken:ETH")[0] == 0.0
    supplied = made.q(scenarios.LENT)[0] * made.panel.columns["liquidity_index|aave_v3:USDT"][0]
    assert made.q("wallet:BaseToken:USDT")[0] == pytest.approx(1_000.0 - supplied - (paid - 0.001) * 3_000.0, abs=1e-9)
    assert made.columns["gas"][0] == pytest.approx(-paid * 3_000.0, abs=1e-9)


def test_every_step_of_a_run_without_costs_keeps_the_worth():
    made = run(market(steady(30)), overrides=scenarios.FREE)
    assert made.equity == pytest.approx(1e5 + made.columns["funding_pnl"], abs=1e-8)


@pytest.mark.parametrize(
    "name", ["entry", "struck", "struck_at_mark", "lend", "critical", "crowd", "leave", "two_coins"]
)
def test_runs_that_keep_no_events_are_the_same(name):
    made = scenarios.SCENARIOS[name]()
    if name in ("crowd", "two_coins"):
        capital = made.recording.block[made._stat + at.CAPITAL, 0]
        loop, block, desk, record = relaid(made, 1, events=0)
        block[made._stat + np.array([at.CAPITAL, at.PEAK, at.SCALE])] = capital
    else:
        loop, block, desk, record = relaid(made, 1, events=0)
    assert loop.run(0, len(made.panel)) == (len(made.panel), at.END)
    assert desk.count[0] == 0
    assert record[:, at.HEAD :].tobytes() == made.record[:, at.HEAD :].tobytes()


@pytest.mark.parametrize("part", MISFITS)
def test_arrays_of_the_wrong_size_are_refused(part):
    made = scenarios.SCENARIOS["entry"]()
    loop, block, desk, record = relaid(made, 1)
    model, desk, block, record = MISFITS[part](loop.frame.model, desk, block, record)
    with pytest.raises(ValueError, match="it must be C-contiguous"):
        Loop(loop.frame.sizes, block, model, desk, loop.frame.decide, record)


@pytest.mark.parametrize("name", scenarios.BAD_DECISIONS)
def test_a_bad_decision_stops_the_run(name):
    made = scenarios.misled(name)
    assert made.status == "stopped"
    assert "strategy failed in row 0" in made.cause
    assert len(made.events) == 0


def test_a_sum_that_does_not_close_stops_the_run():
    made = scenarios.SCENARIOS["entry"]()
    loop, block, desk, record = relaid(made, 1)
    hours = made.recording.model.hours.copy()
    at.hour_of(made.slots.shape(), hours.T).basis[0, 7] += 1.0  # USDT per BTC that nobody earned
    model = loop.frame.model._replace(hours=hours)
    loop = Loop(loop.frame.sizes, block, model, desk, loop.frame.decide, record)
    row, reason = loop.run(0, len(made.panel))
    assert (row, reason) == (7, at.BROKEN)


def test_no_entries_while_an_alert_is_critical():
    limits = {"margin_ratio": {"warning": 0.9, "critical": 0.8}}
    start = {"wallet:BaseToken:USDT": 50_000.0, "binance:BaseToken:USDT": 30_000.0, scenarios.BTC: 1.0,
             "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0}  # fmt: skip
    for code in (at.ENTRY_FULL, at.ENTRY_PARTIAL):
        made = scenarios._scripted(code, 0, 0.1, {"risk.limits": limits}, rows=4, positions=start)
        assert made.rejects() == [(row, "critical alert: only reductions") for row in range(4)]
        assert len(made.of(at.FILL)) == 0


def test_maintenance_ratio_of_a_recording():
    """Maintenance margin over notional by venue: after the fills, and at the extremes with the book a row earlier."""
    made = scenarios.SCENARIOS["two_coins"]()
    slots, rows = made.slots, len(made.panel)
    table = Result.from_recording(made.recording).table("risk")
    terms, regime = made.recording.model.terms, made.recording.model.regime

    def ratio(row, book_row, venue, measure, tier_row):
        need = notional = 0.0
        for i, key in enumerate(slots.perp):
            if key.venue == venue:
                q = made.q(key)[book_row]
                side = {"mark": "mark", "worst": "low" if q >= 0.0 else "high"}[measure]
                mark = made.panel.columns[f"{side}|{key}"][row]
                if side != "mark":
                    before = made.panel.columns[f"mark|{key}"][row - 1]
                    mark = min(mark, before) if q >= 0.0 else max(mark, before)
                need += risk.maintenance(terms.tier[regime[tier_row], i], abs(q) * mark)
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
        make_coefficients(made.slots, columns, made.panel.timestamps / 1e9, "market")


def test_coefficients_take_rate_and_flows():
    made = scenarios.SCENARIOS["entry"]()
    rows = len(made.panel)
    given_flows = np.arange(2.0 * rows).reshape(rows, 2)
    seconds = made.panel.timestamps / 1e9
    got = make_coefficients(made.slots, made.panel.columns, seconds, "market", None, np.arange(rows) / 7.0, given_flows)
    n = made.slots.shape()
    assert (at.hour_of(n, got.hours.T).rate[0] == np.arange(rows) / 7.0).all()
    assert (at.quote_of(n, got.quotes.T).flow.T == given_flows).all()


# --- the Python side -------------------------------------------------------------------------------------------------


def test_buffers_start_on_a_cache_line():
    for shape in ((3, 1), (264, 64), (7, 5)):
        made = state.aligned(shape)
        assert made.shape == shape
        assert made.ctypes.data % 64 == 0
        assert made.flags.c_contiguous
        assert not made.any()


def test_a_desk_that_grows_keeps_its_events():
    made = run(market(walk(10)))
    desk = state.make_desk(made.slots, 10)
    desk.events[:4] = 7.0
    desk.count[0] = 4
    more = state.grown(desk)
    assert len(more.events) == 20
    assert (more.events[:4] == 7.0).all()
    assert not more.events[4:].any()


def test_plain_python_needs_no_compiler():
    def function():
        return 1

    assert jit.strategy(function) is function
    assert jit.compiled(function, ()) is function


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_scenario_closes_to_the_cent(name):
    made = scenarios.SCENARIOS[name]()
    capital = made.recording.block[made._stat + at.CAPITAL, 0]
    scale = max(1.0, capital + np.abs(made.book.head[at.FLOW]).sum())
    assert np.abs(made.residual[: made.stop]).max() <= 1e-12 * scale
