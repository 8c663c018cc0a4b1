"""A higher cost never leaves more: each fee on its own."""

import numpy as np
import pytest

import basis
from support.runs import run, settings
from support.small_markets import VENUES, flows, market, walk

BUCKETS = {"buckets": [[10_000, 5], [100_000, 7], [None, 13]]}


def scaled(fee, factor):
    """Overrides that multiply one cost of every exchange."""
    if fee == "gas":
        return {"venues.wallet.gas_units.transfer": 65_000 * factor}
    if fee == "spot taker":
        return {f"venues.{v}.spot_fee.taker": 0.001 * factor for v in VENUES}
    if fee == "perp taker":
        return {f"venues.{v}.perp_fee.taker": 0.0005 * factor for v in VENUES}
    if fee == "withdrawal fee":
        return {f"venues.{v}.withdrawal_fee.USDT": 1.0 * factor for v in VENUES}
    if fee == "liquidation fee":
        return {f"venues.{v}.liquidation_fee.value": 0.0125 * factor for v in VENUES}
    market_of = fee.split()[0]
    table = [[limit, bps * factor] for limit, bps in BUCKETS["buckets"]]
    return {f"venues.{v}.{market_of}_slippage.BTCUSDT": {"buckets": table, "source": "test"} for v in VENUES}


FEES = ["spot taker", "perp taker", "spot slippage", "perp slippage", "withdrawal fee", "gas", "liquidation fee"]
FACTORS = (0.0, 0.5, 1.0, 2.0, 4.0)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("fee", FEES)
def test_what_is_held_earns_no_more_with_a_higher_fee(fee, seed):
    """Entered once, liquidated at one venue, closed at the end; the carry is positive."""
    panel = market(walk(80, seed, 0.003), rate=2e-4)
    high = "high|okx:Perp:BTCUSDT"
    panel.columns[high] = np.where(np.arange(len(panel)) == 40, 1.7, 1.0) * panel.columns[high]
    overrides = {"strategy.rebalance": False, "close_at_end": True, "risk.limits": {}}
    if fee == "withdrawal fee":
        overrides["start_venue"] = "binance"
    finals, booked = [], []
    # a liquidation costs no more than the margin that is left: maintenance, .4 to 1 % of the notional
    for factor in (0.0, 0.1, 0.2, 0.3) if fee == "liquidation fee" else FACTORS:
        made = run(panel, overrides={**overrides, **scaled(fee, factor)})
        assert made.rejects() == []
        assert len(made.events_of("liquidation")) == 1
        finals.append(made.equity[-1])
        booked.append(sum(made.pnl[c][-1] for c in ("fees", "slippage", "gas", "transfer_fees", "liquidation_loss")))
    assert (np.diff(finals) < 0.0).all(), finals
    assert (np.diff(booked) < 0.0).all(), booked


@pytest.mark.parametrize("fee", FEES[:-1])
def test_the_shipped_strategy_earns_no_more_on_the_sample_with_a_higher_fee(fee, sample_data):
    finals = []
    for factor in (0.0, 1.0, 3.0):
        result = basis.backtest("btc_basis", sample_data, overrides=scaled(fee, factor))
        assert result.status == "complete"
        finals.append(result.summary["final_equity"])
    assert (np.diff(finals) < 0.0).all(), finals


@pytest.mark.parametrize("fee", ["gas"])
def test_lending_earns_no_more_on_the_sample_with_higher_gas(fee, sample_data):
    finals = []
    for factor in (0, 1, 3):
        gas = {f"venues.aave_v3.gas_units.{op}": 180_000 * factor for op in ("supply", "withdraw")}
        finals.append(basis.backtest("pure_lending", sample_data, overrides=gas).summary["final_equity"])
    assert (np.diff(finals) < 0.0).all(), finals


def test_switched_off_costs_are_none():
    panel = market(walk(80, 3, 0.02))
    made = run(panel, overrides={"costs.enabled": False, "flows": flows(panel, (30, -20_000.0))})
    for column in ("fees", "slippage", "gas", "transfer_fees", "flash_fees"):
        assert not made.pnl[column].any(), column
    assert (made.events_of("fill").fee == 0.0).all()


def test_every_cost_is_in_its_column():
    """Costs of the events add up to the columns."""
    panel = market(walk(120, 4, 0.02))
    made = run(panel, overrides={"flows": flows(panel, (30, -20_000.0), (60, 50_000.0))})
    fills, moves = made.events_of("fill"), made.events_of("transfer")
    assert made.pnl["fees"][-1] == pytest.approx(-fills.fee.sum(), rel=1e-12)
    assert made.pnl["slippage"][-1] == pytest.approx(-fills.slippage.sum(), rel=1e-12)
    assert made.pnl["transfer_fees"][-1] == pytest.approx(-moves.fee.sum(), rel=1e-12)
    assert made.pnl["gas"][-1] == pytest.approx(-moves.gas.sum(), rel=1e-12)
    assert made.pnl["funding_pnl"][-1] == pytest.approx(made.events_of("funding").amount.sum(), rel=1e-12)


def test_settings_reach_the_costs():
    """A guard for the tests above: the overrides are what they say."""
    config = settings("btc_basis", scaled("spot slippage", 2.0))
    assert [b.bps for b in config.venues["binance"].slippage("spot", "BTCUSDT")[0].buckets] == [10, 14, 26]
