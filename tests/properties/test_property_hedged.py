"""Ether against perp shorts over any market: sums close, drivers agree, nothing stays unhedged, time runs forward."""

import numpy as np
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from test_property_time import changed_after

import basis
from basis.engine.simulation import checkpoint, simulate
from support.hedged_runs import CAPITAL, COSTS, EARNS, PAYS, VENUES, hedged
from support.kernel_view import RunView, state_without_tier_bounds
from support.runs import settings
from support.small_markets import at_row, flows
from support.staking_markets import grown

ROWS = 60
MODES = ("eth_basis", "usdt_market_neutral_no_leverage", "usdt_market_neutral")


@st.composite
def markets(draw):
    """Prices, rates and the peg walk; gas is rough; now and then a venue's extremes reach far.

    Volumes, in ether an hour, are now and then nothing.
    """
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    steps = draw(st.sampled_from((0.002, 0.01, 0.03))) * rng.standard_normal(ROWS)
    steps[0] = 0.0
    reach = np.where(np.arange(ROWS) == draw(st.integers(1, ROWS - 1)), draw(st.sampled_from((0.002, 0.3, 0.8))), 0.002)
    wild = {draw(st.sampled_from(("binance", "bybit", "okx"))): reach}
    spot = 3_000.0 * np.exp(np.cumsum(steps))
    before = np.concatenate((spot[:1], spot[:-1]))
    traded = {
        "high__spot__ETH": np.maximum(spot, before) * (1.0 + 0.002 * rng.random(ROWS)),
        "low__spot__ETH": np.minimum(spot, before) * (1.0 - 0.002 * rng.random(ROWS)),
    }
    for name in ("spot__ETH", *(f"{venue}:Perp:ETHUSDT" for venue in VENUES)):
        traded[f"volume__{name}"] = 2_000.0 * rng.exponential(size=ROWS) * (rng.random(ROWS) > 0.05)
        traded[f"volatility__{name}"] = 0.01 * rng.random(ROWS)
    return hedged(
        spot,
        basis=draw(st.sampled_from((0.0, 0.001))) * rng.standard_normal(ROWS),
        rate=draw(st.sampled_from((1e-4, -2e-4))),
        wick=wild,
        apr=0.1 + 0.1 * rng.standard_normal(ROWS),
        peg=1.0 - draw(st.sampled_from((0.0, 0.002))) * rng.standard_normal(ROWS).cumsum() / np.sqrt(ROWS),
        gwei=draw(st.sampled_from((0.0, 20.0, 200.0))) * np.exp(0.5 * rng.standard_normal(ROWS)),
        oracle_rate__weETH=grown(ROWS, draw(st.sampled_from((0.03, 3.0))), 1.05),
        **traded,
    )


@st.composite
def policies(draw, calm=False):
    """A mode and overrides of its configuration; flows as (row, share of the capital)."""
    out = {
        "costs.enabled": draw(st.booleans()),
        "transfers.instant": draw(st.booleans()),
        "valuation": draw(st.sampled_from(("market", "oracle"))),
        "strategy.position_deviation_threshold": draw(st.sampled_from((0.02, 0.05))),
        "fill": draw(st.sampled_from(("same_bar", "same_bar", "next_bar"))),
        "close_at_end": draw(st.booleans()),
        "risk.simulate_liquidation": draw(st.sampled_from((True, True, False))),
    }
    if draw(st.booleans()):
        out["risk.limits"] = {}
    mode = draw(st.sampled_from(MODES))
    if mode == "eth_basis":
        out["strategy.margin_ratio_target"] = draw(st.sampled_from((0.5, 1.0)))
    else:
        out["strategy.stake_allocation"] = draw(st.sampled_from((0.3, 0.6, 0.7)))
        out["strategy.stake_route"] = draw(st.sampled_from(("protocol", "market")))
        out["venues.etherfi.latency.deposit"] = draw(st.sampled_from(("0m", "3h")))
        if mode == "usdt_market_neutral":
            out["venues.etherfi.latency.deposit"] = "0m"
    if draw(st.booleans()):
        out["strategy.rate_rule"] = {"enabled": True, "enter": 0.05, "leave": 0.0, "window": "24h"}
    if not calm and draw(st.booleans()):
        out["strategy.rebalance"] = draw(st.sampled_from((True, False)))
    # a book that trades against volumes has a shape of its own, which one mode pays for
    if not calm and mode == "usdt_market_neutral" and draw(st.booleans()):
        out["execution.participation"] = draw(st.sampled_from((0.001, 0.05)))
        out["execution.impact"] = draw(st.sampled_from((0.0, 0.7)))
        out["execution.lots"] = draw(st.booleans())
        if out["fill"] == "next_bar":
            out["execution.orders"] = draw(st.sampled_from(("taker", "maker")))
    pairs = draw(
        st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from((-2.0, -1.0, -0.5, -0.1, 0.05, 0.7))), max_size=3)
    )
    return mode, out, [(row, share * CAPITAL) for row, share in sorted(pairs)]


def config_of(panel, policy, **more):
    mode, overrides, pairs = policy
    return settings(
        mode, {"data.checks": "off", **overrides, **({"flows": flows(panel, *pairs)} if pairs else {}), **more}
    )


def ran(panel, policy, **more):
    return RunView(simulate(config_of(panel, policy, **more), panel))


@trials(max_examples=60)
@given(panel=markets(), policy=policies())
def test_sums_close_and_only_own_columns_are_booked(panel, policy):
    made = ran(panel, policy)
    stop, mode = made.stop, policy[0]
    assert made.status == "complete" or made.cause.startswith("insolvent")
    moved = CAPITAL + np.abs(made.flow).sum()
    assert np.abs(made.residual[:stop]).max() <= 1e-9 * moved
    # a venue's cash may be less than nothing while its perps' profit stands for it
    own = made.quantities((*made.slots.token, *made.slots.collateral, *made.slots.debt))[:, :stop]
    assert own.min() >= -1e-9 * CAPITAL
    columns = {name: values[:stop] for name, values in made.pnl.items()}
    for name, values in columns.items():
        assert name in EARNS[mode] | PAYS[mode] | {"liquidation_loss"} or not values.any(), name
    rests = policy[1].get("execution.orders") == "maker"
    for name in COSTS:
        # an order that rested is booked against the price of the row it is filled in, which may be worse than its own
        gains = name == "slippage" and rests
        assert gains or (np.diff(columns[name], prepend=0.0) <= 0.0).all(), name
        assert policy[1]["costs.enabled"] or not columns[name].any(), name


@trials(max_examples=60)
@given(panel=markets(), policy=policies())
def test_flows_add_up(panel, policy):
    made = ran(panel, policy)
    stop, pairs = made.stop, policy[2]
    deposits = sum(amount for row, amount in pairs if amount > 0.0 and row < stop)
    asked = -sum(amount for row, amount in pairs if amount < 0.0 and row < stop)
    paid = -made.events_of("flow", "withdrawal paid").amount.sum()
    over = -sum(e.amount for e in made.events_of("reject", "withdrawal exceeds equity"))
    assert np.isclose(deposits - paid, made.total_flow[stop - 1], rtol=1e-12, atol=1e-6)
    assert np.isclose(asked, paid + over + made.pending[stop - 1], rtol=1e-9, atol=1e-6)


@trials(max_examples=60)
@given(panel=markets(), policy=policies(calm=True))
def test_two_rows_after_a_shock_nothing_is_unhedged(panel, policy):
    """Where orders fill in their row, only a liquidation leaves more than a bundle costs, for two rows more at most."""
    mode, overrides, pairs = policy
    overrides = {**overrides, "fill": "same_bar", "strategy.rebalance": True}
    made = ran(panel, (mode, overrides, pairs))
    equity = made.equity[: made.stop]
    delta = made.delta("ETH")[: made.stop] * panel.columns["spot|ETH"][: made.stop]
    unhedged = (np.abs(delta) > 0.06 * np.abs(equity)) & (equity > 0.05 * CAPITAL)
    struck = {row for row in made.rows_of("liquidation")}
    for row in np.flatnonzero(unhedged):
        assert struck & {row, row - 1, row - 2}, (int(row), float(delta[row] / equity[row]))


@trials(max_examples=60)
@given(panel=markets(), policy=policies(calm=True))
def test_what_is_asked_for_is_paid_within_a_day(panel, policy):
    """No queue is waited for: a staking token that must go is sold at the market."""
    mode, overrides, pairs = policy
    pairs = [(min(row, ROWS - 24), amount) for row, amount in pairs]
    made = ran(panel, (mode, {**overrides, "strategy.rebalance": True}, sorted(pairs)))
    if made.status != "complete":
        return
    assert made.pending[-1] == 0.0


@trials(max_examples=30)
@given(panel=markets(), policy=policies())
def test_both_drivers_leave_the_same_bits(panel, policy):
    config = config_of(panel, policy)
    one, other = basis.backtest(config, panel), basis.backtest(config, panel, driver="event")
    assert (one.status, one.cause) == (other.status, other.cause)
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        assert getattr(one, name).equals(getattr(other, name)), name
    left, right = (x.events.drop(columns="correlation_id") for x in (one, other))
    assert left.equals(right)


@trials(max_examples=40)
@given(panel=markets(), policy=policies(), row=st.integers(0, ROWS - 2), seed=st.integers(0, 99))
def test_no_row_knows_a_later_one(panel, policy, row, seed):
    config = config_of(panel, policy)
    made, other = RunView(simulate(config, panel)), RunView(simulate(config, changed_after(panel, row, seed)))
    assert min(made.stop, row + 1) == min(other.stop, row + 1)
    assert other.record[: row + 1].tobytes() == made.record[: row + 1].tobytes()
    assert other.events_until(row) == made.events_until(row)


@trials(max_examples=40)
@given(panel=markets(), policy=policies(), row=st.integers(0, ROWS - 2))
def test_a_run_cut_anywhere_goes_on_with_the_same_bits(panel, policy, row):
    config = config_of(panel, policy)
    made = RunView(simulate(config, panel))
    if row >= made.stop - 1:
        return
    kept = checkpoint(made.recording, at_row(panel, row))
    rest = RunView(simulate(config, panel.slice(row, ROWS - 1), resume=kept))
    assert (rest.status, rest.stop) == (made.status, made.stop - row)
    assert rest.record.tobytes() == made.record[row:].tobytes()
    assert state_without_tier_bounds(rest).tobytes() == state_without_tier_bounds(made).tobytes()


@trials(max_examples=30)
@given(panel=markets(), policy=policies(), factor=st.sampled_from((2.0, 0.25, 8.0)))
def test_without_costs_every_row_is_proportional_to_the_capital(panel, policy, factor):
    """Where nothing is liquidated: tiers of maintenance margins know dollars."""
    mode, overrides, pairs = policy
    # and volumes know units
    overrides = {name: value for name, value in overrides.items() if not name.startswith("execution.")}
    off = {"costs.enabled": False, "risk.simulate_liquidation": False, "risk.limits": {}}
    one = ran(panel, (mode, overrides, pairs), initial_capital=CAPITAL, **off)
    more = (mode, overrides, [(row, factor * amount) for row, amount in pairs])
    other = ran(panel, more, initial_capital=factor * CAPITAL, **off)
    assert other.stop == one.stop
    np.testing.assert_allclose(other.equity, factor * one.equity, rtol=1e-9, atol=1e-6 * CAPITAL)
