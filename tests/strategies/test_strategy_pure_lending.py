"""`pure_lending` does what it is described to do: supply, withdrawals, gas, the rate rule."""

import numpy as np
import pytest

from support.runs import run
from support.small_markets import flows, pool

WALLET, LENT = "wallet:BaseToken:USDT", "aave_v3:aToken:USDT"
FREE = {"costs.enabled": False}
SUPPLY, TAKE = 187_000 * 20e-9 * 3_000.0, 178_000 * 20e-9 * 3_000.0  # worth of gas, USDT


def lent(made):
    """Supplied balance with interest, USDT."""
    return made.quantity(LENT) * made.panel.columns["liquidity_index|aave_v3:USDT"]


def test_it_supplies_in_row_0_and_keeps_gas_back():
    made = run(pool(50), "pure_lending")
    wallet = made.quantity(WALLET)[0]
    assert wallet == pytest.approx(10.0 * max(TAKE, SUPPLY) - SUPPLY, abs=1e-6)
    assert lent(made)[0] == pytest.approx(100_000.0 - 10.0 * max(TAKE, SUPPLY), abs=1e-6)
    assert made.pnl["gas"][0] == pytest.approx(-SUPPLY, abs=1e-9)
    assert (made.quantity(LENT) == made.quantity(LENT)[0]).all()  # scaled: constant while its worth grows
    assert made.rejects() == []


def test_the_gas_reserve_is_taken_from_the_configuration():
    for reserve in (0.0, 3.0):
        made = run(pool(5), "pure_lending", {"strategy.gas_reserve": reserve})
        if reserve == 0.0:
            continue
        assert made.quantity(WALLET)[0] == pytest.approx(reserve * max(TAKE, SUPPLY) - SUPPLY, abs=1e-6)


def test_no_reserve_leaves_the_gas_of_the_supply_itself():
    """Without a reserve the whole wallet is not worth a rejected transaction."""
    made = run(pool(5), "pure_lending", {"strategy.gas_reserve": 0.0})
    assert made.quantity(LENT)[0] > 0.0
    assert made.rejects() == []


def test_interest_is_the_growth_of_the_index():
    made = run(pool(24 * 30, apr=0.08), "pure_lending", FREE)
    index = made.panel.columns["liquidity_index|aave_v3:USDT"]
    assert made.pnl["supply_yield"] == pytest.approx(100_000.0 * (index / index[0] - 1.0), rel=1e-9, abs=1e-9)
    assert made.equity[-1] == pytest.approx(100_000.0 * index[-1] / index[0], rel=1e-12)


def test_a_deposit_above_the_threshold_is_supplied_and_a_small_one_waits():
    panel = pool(40)
    made = run(panel, "pure_lending", {**FREE, "flows": flows(panel, (10, 20_000.0), (20, 1_000.0), (30, 2_500.0))})
    supplied = [e.row for e in made.events_of("fill", "supply")]
    assert supplied == [0, 10, 30]
    assert made.quantity(WALLET)[20:30] == pytest.approx(1_000.0)
    assert made.quantity(WALLET)[30] == pytest.approx(0.0, abs=1e-9)


def test_a_withdrawal_is_taken_from_the_pool_and_paid_in_its_row():
    panel = pool(40)
    made = run(panel, "pure_lending", {"flows": flows(panel, (10, -30_000.0))})
    assert made.flow[10] == -30_000.0
    assert made.pending[10] == 0.0
    assert lent(made)[10] < lent(made)[9] - 29_000.0
    assert len(made.events_of("fill", "withdraw")) == 1
    assert made.rejects() == []
    assert made.equity[10] == pytest.approx(made.equity[9] - 30_000.0, abs=30.0)


def test_a_withdrawal_the_wallet_covers_needs_no_transaction():
    panel = pool(40)
    made = run(panel, "pure_lending", {"flows": flows(panel, (8, 1_000.0), (10, -500.0))})
    assert made.flow[10] == -500.0
    assert len(made.events_of("fill", "withdraw")) == 0


def test_a_withdrawal_larger_than_everything_gets_what_there_is():
    panel = pool(40)
    made = run(panel, "pure_lending", {"flows": flows(panel, (10, -1e6))})
    assert made.equity[-1] == pytest.approx(0.0, abs=1e-6)
    assert made.quantity(LENT)[-1] == 0.0
    assert made.flow.sum() == pytest.approx(-made.equity[9], abs=30.0)
    assert [reason for _, reason in made.rejects()] == ["withdrawal exceeds equity"]
    assert (made.pending[10:] == 0.0).all()


def test_without_gas_the_transaction_is_rejected_and_says_so():
    panel = pool(12, gwei=50_000.0)  # a withdrawal costs 26,700 USDT
    dear = {"flows": flows(panel, (5, -1_000.0)), "data.checks": "off"}
    made = run(panel, "pure_lending", dear, positions={WALLET: 10.0, LENT: 90_000.0})
    reasons = {reason for _, reason in made.rejects()}
    assert reasons == {"no gas: neither ETH nor share class in the wallet"}
    assert made.quantity(LENT)[-1] == 90_000.0
    assert made.quantity(WALLET)[-1] == 10.0
    assert made.pending[-1] == 1_000.0
    assert made.pnl["gas"][-1] == 0.0


def test_ether_in_the_wallet_pays_the_gas():
    panel = pool(12)
    start = {WALLET: 10_000.0, "wallet:BaseToken:ETH": 1.0}
    made = run(panel, "pure_lending", positions=start)
    assert made.quantity("wallet:BaseToken:ETH")[0] == pytest.approx(1.0 - 187_000 * 20e-9, abs=1e-15)
    assert made.pnl["gas"][0] == pytest.approx(-SUPPLY, abs=1e-9)


def test_the_rate_rule_supplies_above_one_rate_and_leaves_below_another():
    mean = np.array([0.03] * 5 + [0.06] * 10 + [0.03] * 10 + [0.01] * 5 + [0.03] * 5 + [0.06] * 5)
    rule = {"enabled": True, "enter": 0.05, "leave": 0.02, "window": "24h"}
    made = run(pool(len(mean), mean=mean), "pure_lending", {"strategy.rate_rule": rule})
    held = made.quantity(LENT) > 0.0
    assert not held[:5].any()
    assert held[5:25].all()
    assert not held[25:35].any()
    assert held[35:].all()


def test_close_at_end_takes_everything_back():
    made = run(pool(30), "pure_lending", {"close_at_end": True})
    assert made.quantity(LENT)[-2] > 0.0
    assert made.quantity(LENT)[-1] == 0.0


def test_without_rebalancing_the_supply_is_held():
    panel = pool(30)
    made = run(panel, "pure_lending", {"strategy.rebalance": False, "flows": flows(panel, (10, 20_000.0))})
    assert made.rows_of("fill") == [0]
    assert made.equity[-1] > 120_000.0 - 30.0


def test_next_bar_supplies_in_row_1():
    made = run(pool(5), "pure_lending", {"fill": "next_bar"})
    assert made.rows_of("fill") == [1]


def survives(result):
    assert result.status == "complete", result.cause
    assert result.summary["max_abs_residual"] <= 1e-9 * 100_000.0
    assert result.summary["total_return"] > 0.0
    assert result.events["kind"].tolist().count("reject") == 0


def test_it_survives_the_whole_sample(sample_data):
    import basis

    survives(basis.backtest("pure_lending", data=sample_data))


@pytest.mark.slow
def test_it_survives_the_real_data(real_data):
    import basis

    survives(basis.backtest("pure_lending", data=real_data, start="2024-05-01"))
