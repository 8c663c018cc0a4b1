"""More latency and higher fees never pay, mode by mode, on the sample and on real data; each exception says why.

Fees and gas change nothing of what is decided but through equity, so a higher rate leaves less. Equity is also what the
bands are measured by: a rebalance may come a row later for it, or not at all, and save more than the rate costs.
Latency is another matter: a profit may grow with it, because what travels longer is rebalanced less often, and
because prices move before what has arrived is traded. What it cannot do is earn more carry.
"""

from pathlib import Path

import numpy as np
import pytest
from gate_tools import rows_of, term
from hedge_book import VENUES, hedged
from made_markets import market, steady

import basis

HEDGED = ("btc_basis", "eth_basis", "usdt_market_neutral_no_leverage", "usdt_market_neutral")
MODES = (*HEDGED, "ml_directional")
SPANS = (("2024-08-01", "2024-09-01"), ("2024-12-01", "2025-01-01"), ("2024-05-14", "2025-09-01"))
FACTORS = (0.5, 1.0, 2.0, 4.0)
HOURS = (0, 1, 4, 12, 24)
ENTRIES = ("entry_full", "entry_partial")
CARRY = ["funding_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl"]
#: Mode, start and factor at which higher fees left more: the lower equity put off rebalances of December 2024, when gas
#: was dear. They cost 466 USDT more in fees than at half the factor, and 895 less in gas.
PUT_OFF = {("usdt_market_neutral", "2024-05-14", 4.0)}
GAS = {
    "wallet": ("transfer",),
    "aave_v3": ("lever", "delever", "supply", "withdraw", "borrow", "repay"),
    "uniswap_v3": ("swap",),
    "etherfi": ("stake",),
}
CHAINS = {
    "usdt_market_neutral": ("wallet", "aave_v3", "uniswap_v3", "etherfi"),
    "usdt_market_neutral_no_leverage": ("wallet", "uniswap_v3", "etherfi"),
}


def exchanges(mode):
    return ("binance",) if mode == "ml_directional" else VENUES


def fees(mode, factor):
    kinds = ("perp_fee",) if mode == "ml_directional" else ("perp_fee", "spot_fee")
    return {f"venues.{v}.{kind}.taker": term(v, kind)["taker"] * factor for v in exchanges(mode) for kind in kinds}


def gas(mode, factor):
    return {
        f"venues.{venue}.gas_units.{op}": term(venue, "gas_units", op)["value"] * factor
        for venue in CHAINS.get(mode, ("wallet",))
        for op in GAS[venue]
    }


def slow(mode, hours):
    return {f"venues.{v}.latency.{way}": f"{hours}h" for v in exchanges(mode) for way in ("deposit", "withdrawal")}


def ran(mode, data, span, overrides):
    result = basis.backtest(mode, data, *span, overrides=overrides)
    assert result.status == "complete", result.cause
    return result


def spans(mode, data):
    """Windows of a data set; a real one has no signals."""
    real = not Path(data).joinpath("signals").is_dir()
    if real and mode == "ml_directional":
        pytest.skip("no signals in the data set")
    return SPANS if real else ((None, None),)


@pytest.mark.parametrize("cost", [fees, gas])
@pytest.mark.parametrize("mode", MODES)
def test_a_higher_rate_never_leaves_more(mode, cost, data):
    for span in spans(mode, data):
        left = [ran(mode, data, span, cost(mode, factor)).summary["final_equity"] for factor in FACTORS]
        for factor, less, more in zip(FACTORS[1:], left, left[1:], strict=False):
            if cost is gas or (mode, span[0], factor) not in PUT_OFF:
                assert more < less, (span, factor, left)


@pytest.mark.parametrize("mode", HEDGED)
def test_latency_earns_no_carry(mode, data):
    """Funding, yields and rewards less interest: no more than without latency, but for .1 % of the capital.

    That much is a leg that was a little larger for a while, because its reduction, or its growth, came later.
    """
    for span in spans(mode, data):
        runs = [ran(mode, data, span, slow(mode, hours)) for hours in HOURS]
        carry = [run.attribution[CARRY].to_numpy().sum() for run in runs]
        assert max(carry) <= carry[0] + 1e-3 * runs[0].summary["initial_equity"], (span, carry)


@pytest.mark.parametrize("mode", HEDGED)
def test_where_prices_stand_still_and_funding_is_paid_latency_never_pays(mode):
    """The exceptions are prices and rebalances: without them profit falls with every hour of waiting."""
    panel = market(steady(120), rate=3e-4) if mode == "btc_basis" else hedged(steady(120, 3_000.0), rate=3e-4)
    quiet = {"risk.limits": {}, "strategy.rebalance": False}
    made = [ran(mode, panel, (None, None), {**quiet, **slow(mode, hours)}) for hours in (0, 8, 16, 32, 64)]
    assert (np.diff([run.summary["final_equity"] for run in made]) < 0.0).all()


def test_a_signal_is_followed_no_sooner_with_latency(sample_data):
    """What a late first trade would have won or lost is chance; from the next signal on it enters in the same rows."""
    trades = []
    for hours in HOURS:
        result = ran("ml_directional", sample_data, (None, None), slow("ml_directional", hours))
        trades.append({row for action in ENTRIES for row in rows_of(result, "fill", action=action)})
    begun = [min(rows) for rows in trades]
    assert begun == sorted(begun)
    signal = result.panel["signal|BTC"].to_numpy()
    turns = 1 + np.flatnonzero(np.diff(signal))
    for first, rows in zip(begun, trades, strict=True):
        turn = turns[turns > first][0]
        assert {row for row in rows if row > turn} == {row for row in trades[0] if row > turn}


@pytest.mark.parametrize("mode", MODES)
def test_costs_are_what_a_higher_rate_takes(mode, sample_data):
    """Where nothing is rebalanced, the column grows as the rate does."""
    held = {"strategy.rebalance": False, "risk.simulate_liquidation": False}
    one, two = (ran(mode, sample_data, ("2024-01-01", "2024-02-01"), {**held, **fees(mode, f)}) for f in (1.0, 2.0))
    booked = [run.attribution["fees"].to_numpy().sum() for run in (one, two)]
    swapped = 0.0
    if mode.startswith("usdt"):
        # the pool's fee is another
        none = ran(mode, sample_data, ("2024-01-01", "2024-02-01"), {**held, **fees(mode, 0.0)})
        swapped = none.attribution["fees"].to_numpy().sum()
    assert booked[1] - swapped == pytest.approx(2.0 * (booked[0] - swapped), rel=0.01)
