"""Starting books: what they may hold, what they are worth, and how mistakes are reported."""

import pytest

from basis.errors import BasisError, InputError
from support.runs import FREE, run
from support.small_markets import market, pool, steady, walk

BTC, PERP, CASH = "binance:BaseToken:BTC", "binance:Perp:BTCUSDT", "binance:BaseToken:USDT"


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ({"binance-BTC": 1.0}, ["positions", "binance-BTC", "venue:type:symbol"]),
        ({"binance:BaseToken": 1.0}, ["positions", "venue:type:symbol"]),
        ({"binance:Coin:BTC": 1.0}, ["positions", "Coin", "BaseToken"]),
        ({"binance:Perp:BTCUSD": 1.0}, ["positions", "BTCUSD", "USDT"]),
        ({BTC: -1.0}, ["positions", BTC, "-1.0"]),
        ({BTC: float("nan")}, ["positions", BTC, "nan"]),
        ({BTC: float("inf")}, ["positions", BTC, "inf"]),
        ({PERP: -1.0}, ["positions", PERP, f"{PERP}|cost"]),
        ({f"{BTC}|cost": 1.0}, ["positions", f"{BTC}|cost"]),
        ({f"{PERP}|margin": 1.0}, ["positions", f"{PERP}|margin"]),
        ({"kraken:BaseToken:USDT": 1.0}, ["kraken", "binance"]),
        ({CASH: 0.0}, ["positions", "not > 0"]),
        ({}, ["positions", "not > 0"]),
        ({CASH: 10.0, PERP: -1.0, f"{PERP}|cost": -100.0}, ["positions", "not > 0"]),
    ],
)
def test_a_book_that_makes_no_sense_is_refused(positions, words):
    with pytest.raises(InputError) as caught:
        run(market(steady(3)), positions=positions)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("positions", [{BTC: "much"}, {BTC: None}, {5: 1.0}])
def test_what_is_no_quantity_or_key_is_refused_as_input(positions):
    with pytest.raises(BasisError, match="positions"):
        run(market(steady(3)), positions=positions)


def test_a_perp_of_quantity_0_needs_no_cost():
    made = run(market(steady(3)), positions={CASH: 1_000.0, PERP: 0.0})
    assert made.equity[0] == pytest.approx(1_000.0, rel=0.01)


def test_capital_is_what_the_book_is_worth_in_row_0():
    start = {CASH: 20_000.0, BTC: 1.0, PERP: -1.0, f"{PERP}|cost": -59_000.0}
    made = run(market(steady(5)), overrides={**FREE, "strategy.rebalance": False}, positions=start)
    assert made.equity[0] == pytest.approx(20_000.0 + 60_000.0 - 60_000.0 + 59_000.0)
    assert made.residual[0] == pytest.approx(0.0, abs=1e-9)
    assert made.quantity(PERP)[0] == -1.0
    assert made.cost(PERP)[0] == -59_000.0


def test_instruments_the_mode_does_not_name_are_held_along():
    start = {"wallet:BaseToken:USDT": 100_000.0, "wallet:BaseToken:BTC": 0.5}
    made = run(market(walk(20)), positions=start, overrides={"risk.limits": {}})
    assert (made.quantity("wallet:BaseToken:BTC") == 0.5).all()
    assert made.equity[0] > 129_000.0


def test_a_supplied_balance_is_scaled():
    made = run(pool(5, index=1.25), "pure_lending", FREE, positions={"aave_v3:aToken:USDT": 1_000.0})
    assert made.equity[0] == pytest.approx(1_250.0, rel=1e-4)
    assert made.pnl["supply_yield"][-1] > 0.0


def test_a_start_where_the_mode_holds_no_share_class_is_refused():
    with pytest.raises(InputError) as caught:
        run(pool(5), "pure_lending", {"start_venue": "aave_v3"})
    assert "start_venue" in str(caught.value)


def test_a_spot_book_without_perps_is_hedged():
    made = run(market(steady(10)), overrides={"risk.limits": {}}, positions={BTC: 1.0, CASH: 60_000.0})
    assert abs(made.long[-1] - made.short[-1]) < 1e-9
    assert made.long[-1] == pytest.approx(made.equity[-1] / 1.5 / 60_000.0, rel=0.03)
    assert made.status == "complete"
    assert (made.flow == 0.0).all()
