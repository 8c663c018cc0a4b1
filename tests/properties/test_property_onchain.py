"""The modes in ether over any market: sums close, drivers agree, time runs forward, nothing depends on scale."""

import numpy as np
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from test_property_time import changed_after

import basis
from basis.engine.simulation import checkpoint, simulate
from support.kernel_view import RunView, state_without_tier_bounds
from support.small_markets import at_row
from support.staking_draws import CAPITAL, config_of, markets, policies

ROWS = 60
COSTS = ("fees", "slippage", "gas", "transfer_fees", "flash_fees")


def ran(made, policy, **more):
    panel = made.panel()
    return RunView(simulate(config_of(made, panel, policy, **more), panel))


def scale_of(run):
    """What rounding is relative to: everything that is held or owed, not only what is left of it."""
    return max(CAPITAL, np.abs(run.flow).sum(), np.abs(run.gross).max())


@trials(max_examples=80)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_balance_and_attribution_agree_in_every_row(drawn, policy):
    made = ran(drawn, policy)
    assert made.status == "complete" or made.cause.startswith("insolvent")
    assert np.abs(made.residual[: made.stop]).max() <= 1e-9 * max(1.0, CAPITAL)
    assert np.abs(made.residual[: made.stop]).max() <= 1e-12 * scale_of(made) * ROWS


@trials(max_examples=80)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_nobody_holds_less_than_nothing(drawn, policy):
    made = ran(drawn, policy)
    assert made.quantities()[:, : made.stop].min() >= -1e-9 * CAPITAL
    assert made.all_in_transit[:, : made.stop].min() >= 0.0


@trials(max_examples=80)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_costs_are_costs_and_only_own_columns_are_booked(drawn, policy):
    made = ran(drawn, policy)
    mode, overrides, _ = policy
    columns = {name: values[: made.stop] for name, values in made.pnl.items()}
    for name in COSTS:
        assert (np.diff(columns[name], prepend=0.0) <= 0.0).all(), name
        assert overrides["costs.enabled"] or not columns[name].any(), name
    foreign = {"funding_pnl", "delta_pnl", "basis_pnl", "reward_pnl", "dust_pnl", "transfer_fees"}
    foreign |= {"pure_lending": {"staking_yield", "peg_pnl", "borrow_cost", "flash_fees", "slippage"}}.get(mode, set())
    foreign |= {"eth_staking_only": {"supply_yield", "borrow_cost", "flash_fees"}}.get(mode, set())
    if mode != "eth_leveraged":
        foreign.add("liquidation_loss")
    for name in foreign:
        assert not columns[name].any(), name


@trials(max_examples=80)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_flows_add_up(drawn, policy):
    made = ran(drawn, policy)
    stop, pairs = made.stop, policy[2]
    deposits = sum(amount for row, amount in pairs if amount > 0.0 and row < stop)
    asked = -sum(amount for row, amount in pairs if amount < 0.0 and row < stop)
    paid = -made.events_of("flow", "withdrawal paid").amount.sum()
    over = -sum(e.amount for e in made.events_of("reject", "withdrawal exceeds equity"))
    assert np.isclose(deposits - paid, made.total_flow[stop - 1], rtol=1e-12, atol=1e-9)
    assert np.isclose(asked, paid + over + made.pending[stop - 1], rtol=1e-12, atol=1e-9)


@trials(max_examples=60)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_no_row_ends_beyond_the_band_unless_the_log_says_why(drawn, policy):
    """The loan to value after a row's fills, with the strategy in charge and orders filled at once."""
    mode, overrides, pairs = policy
    if mode != "eth_leveraged":
        return
    overrides = {**overrides, "strategy.rebalance": True, "fill": "same_bar"}
    made = ran(drawn, (mode, overrides, pairs))
    high = overrides["strategy.target_ltv"] + overrides["strategy.ltv_band"]
    rejected = {row for row, _ in made.rejects()}
    ruined = made.rows_of("liquidation", "lending, bad debt")
    for row in range(made.stop):
        # who owes more than there is has nothing to delever with; the run ends there and says so
        if made.equity[row] < -1e-6:
            assert row == made.stop - 1
            assert made.cause.startswith("insolvent")
            return
        beyond = made.ltv[row] > high * (1.0 + 1e-9)
        # a liquidator who leaves bad debt has taken all that backs it: nothing is left to delever with
        explained = row in rejected or (made.ltv[row] == np.inf and min(ruined, default=ROWS) <= row)
        assert not beyond or explained, row


@trials(max_examples=40)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_both_drivers_leave_the_same_bits(drawn, policy):
    panel = drawn.panel()
    config = config_of(drawn, panel, policy)
    one, other = basis.backtest(config, panel), basis.backtest(config, panel, driver="event")
    assert (one.status, one.cause) == (other.status, other.cause)
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        assert getattr(one, name).equals(getattr(other, name)), name
    left, right = (x.events.drop(columns="correlation_id") for x in (one, other))
    assert left.equals(right)


@trials(max_examples=60)
@given(drawn=markets(ROWS), policy=policies(ROWS), row=st.integers(0, ROWS - 2), seed=st.integers(0, 99))
def test_no_row_knows_a_later_one(drawn, policy, row, seed):
    panel = drawn.panel()
    config = config_of(drawn, panel, policy)
    made, other = RunView(simulate(config, panel)), RunView(simulate(config, changed_after(panel, row, seed)))
    assert min(made.stop, row + 1) == min(other.stop, row + 1)
    assert other.record[: row + 1].tobytes() == made.record[: row + 1].tobytes()
    assert other.events_until(row) == made.events_until(row)


@trials(max_examples=60)
@given(drawn=markets(ROWS), policy=policies(ROWS), row=st.integers(0, ROWS - 2))
def test_a_run_cut_anywhere_goes_on_with_the_same_bits(drawn, policy, row):
    """While tokens wait in a queue, withdrawals wait for it, a rate rule remembers and debt stands."""
    panel = drawn.panel()
    config = config_of(drawn, panel, policy)
    made = RunView(simulate(config, panel))
    if row >= made.stop - 1:
        return
    kept = checkpoint(made.recording, at_row(panel, row))
    rest = RunView(simulate(config, panel.slice(row, ROWS - 1), resume=kept))
    assert (rest.status, rest.stop) == (made.status, made.stop - row)
    assert rest.record.tobytes() == made.record[row:].tobytes()
    assert state_without_tier_bounds(rest).tobytes() == state_without_tier_bounds(made).tobytes()
    assert rest.raw_events.tobytes() == made.events_after(row)


@trials(max_examples=40)
@given(drawn=markets(ROWS), policy=policies(ROWS), factor=st.sampled_from((2.0, 0.25, 64.0)))
def test_without_costs_every_row_is_proportional_to_the_capital(drawn, policy, factor):
    """Close factors of the pool know dollars from v3.3 on; these markets are of its earlier versions."""
    mode, overrides, pairs = policy
    off = {"costs.enabled": False}
    one = ran(drawn, policy, initial_capital=CAPITAL, **off)
    more = (mode, overrides, [(row, factor * amount) for row, amount in pairs])
    other = ran(drawn, more, initial_capital=factor * CAPITAL, **off)
    assert other.stop == one.stop
    for name, values in one.in_proportion_to_capital.items():
        assert (other.in_proportion_to_capital[name] == factor * values).all(), name
    assert (other.ltv == one.ltv).all()
    assert (other.health_factor == one.health_factor).all()
    assert (other.events.kind == one.events.kind).all()
