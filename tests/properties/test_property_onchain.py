"""The modes in ether over any market: sums close, drivers agree, time runs forward, nothing depends on scale."""

import numpy as np
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from made_markets import Run, at_row
from onchain_draws import CAPITAL, config_of, markets, policies
from test_property_time import changed_after, remembered, upto

import basis
from basis.engine.simulation import checkpoint, simulate
from basis.kernel import layout as at

ROWS = 60
COSTS = ("fees", "slippage", "gas", "transfer_fees", "flash_fees")


def ran(made, policy, **more):
    panel = made.panel()
    return Run(simulate(config_of(made, panel, policy, **more), panel))


def scale_of(run):
    """What rounding is relative to: everything that is held or owed, not only what is left of it."""
    return max(CAPITAL, np.abs(run.book.head[at.FLOW]).sum(), np.abs(run.book.head[at.GROSS]).max())


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
    assert made.book.q[:, : made.stop].min() >= -1e-9 * CAPITAL
    assert made.book.transit[:, : made.stop].min() >= 0.0


@trials(max_examples=80)
@given(drawn=markets(ROWS), policy=policies(ROWS))
def test_costs_are_costs_and_only_own_columns_are_booked(drawn, policy):
    made = ran(drawn, policy)
    mode, overrides, _ = policy
    columns = {name: values[: made.stop] for name, values in made.columns.items()}
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
    paid = -made.of(at.FLOWED, at.PAID_OUT)[:, at.E_AMOUNT].sum()
    over = -sum(e[at.E_AMOUNT] for e in made.of(at.REJECT, at.EXCEEDS_EQUITY))
    assert np.isclose(deposits - paid, made.book.head[at.FLOWS][stop - 1], rtol=1e-12, atol=1e-9)
    assert np.isclose(asked, paid + over + made.book.head[at.PENDING][stop - 1], rtol=1e-12, atol=1e-9)


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
    for row in range(made.stop):
        # who owes more than there is has nothing to delever with; the run ends there and says so
        if made.equity[row] < -1e-6:
            assert row == made.stop - 1
            assert made.cause.startswith("insolvent")
            return
        beyond = made.book.head[at.LTV][row] > high * (1.0 + 1e-9)
        assert not beyond or row in rejected, row


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
    made, other = Run(simulate(config, panel)), Run(simulate(config, changed_after(panel, row, seed)))
    assert min(made.stop, row + 1) == min(other.stop, row + 1)
    assert other.record[: row + 1].tobytes() == made.record[: row + 1].tobytes()
    assert upto(other, row).tobytes() == upto(made, row).tobytes()


@trials(max_examples=60)
@given(drawn=markets(ROWS), policy=policies(ROWS), row=st.integers(0, ROWS - 2))
def test_a_run_cut_anywhere_goes_on_with_the_same_bits(drawn, policy, row):
    """While tokens wait in a queue, withdrawals wait for it, a rate rule remembers and debt stands."""
    panel = drawn.panel()
    config = config_of(drawn, panel, policy)
    made = Run(simulate(config, panel))
    if row >= made.stop - 1:
        return
    kept = checkpoint(made.recording, at_row(panel, row))
    rest = Run(simulate(config, panel.slice(row, ROWS - 1), resume=kept))
    assert (rest.status, rest.stop) == (made.status, made.stop - row)
    assert rest.record.tobytes() == made.record[row:].tobytes()
    state = remembered(made)
    assert rest.block[state].tobytes() == made.block[state].tobytes()
    tail = made.events[made.events[:, at.E_ROW] > row].copy()
    tail[:, at.E_ROW] -= row
    assert rest.events.tobytes() == tail.tobytes()


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
    for name in ("column", "q", "transit", "delta"):
        assert (getattr(other.book, name) == factor * getattr(one.book, name)).all(), name
    for row in (at.EQUITY, at.GROSS, at.PENDING, at.FLOW, at.FLOWS):
        assert (other.book.head[row] == factor * one.book.head[row]).all(), row
    for row in (at.LTV, at.HEALTH_FACTOR):
        assert (other.book.head[row] == one.book.head[row]).all(), row
    assert (other.events[:, at.E_KIND] == one.events[:, at.E_KIND]).all()
