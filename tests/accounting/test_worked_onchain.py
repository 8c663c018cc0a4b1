"""The worked examples of the accounting (§9 B and C2) to the printed digits, in both valuations, with both drivers.

Compiled and as plain Python they leave the same bits.
"""

import pytest
from test_worked_examples import exact, nothing_else, printed
from worked_cases import numbers
from worked_onchain_cases import CASES, DEBT, ETHER, POOL, TOKEN, run

DRIVERS = ("kernel", "event")


@pytest.fixture(scope="module")
def results():
    return {case: run(case) for case in CASES}


@pytest.fixture(scope="module")
def plain(plain_python):
    """Every number of every case from another process, with compilation switched off."""
    return plain_python("worked_onchain_cases.py")


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_plain_python_gives_the_same_bits(case, results, plain):
    compiled, other = numbers(results[case]), plain[", ".join(case)]
    assert compiled.keys() == other.keys()
    assert {column: values for column, values in compiled.items() if other[column] != values} == {}


@pytest.mark.parametrize("case", [case for case in CASES if case[2] == "kernel"], ids=", ".join)
def test_both_drivers_give_the_same_bits(case, results):
    assert numbers(results[case]) == numbers(results[(*case[:2], "event")])


#: Equity before and after, supply, staking and peg columns, as printed.
PRINTED_B = {
    "oracle": ("97.025", "96.069290872994", ".00105", ".10005010", "-.750146028475"),
    "market": ("94.92395", "93.667558601170", ".0010479", ".0998499998", "-1.0506261001"),
}
PRINTED_C2 = {
    "oracle": ("48.825", "43.726605", ".10005", None),
    "market": ("46.72395", "27.38647185", ".0998499", "-14.23888305"),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("valuation", PRINTED_B)
def test_example_b(valuation, driver, results):
    result = results["B", valuation, driver]
    before, after, supply, staking, peg = PRINTED_B[valuation]
    assert list(result.equity["equity"]) == [printed(before), printed(after)]
    earned = result.attribution.iloc[1]
    assert earned["supply_yield"] == printed(supply)
    assert earned["staking_yield"] == printed(staking)
    assert earned["peg_pnl"] == printed(peg)
    assert earned["borrow_cost"] == exact(-0.036)
    assert earned["gas"] == exact(-0.02125)
    assert earned["slippage"] == printed("-.124649265065")
    assert earned["flash_fees"] == printed("-.124763933466")
    named = ("supply_yield", "staking_yield", "peg_pnl", "borrow_cost", "gas", "slippage", "flash_fees")
    assert nothing_else(result.attribution, *named)
    assert (result.attribution.iloc[0] == 0.0).all()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("valuation", PRINTED_B)
def test_the_book_and_the_health_of_example_b(valuation, driver, results):
    result = results["B", valuation, driver]
    held, risk = result.positions.iloc[1], result.risk.iloc[1]
    assert held[POOL] == printed("762.000319490843")
    assert held[DEBT] == printed("664.605234772861")
    assert held[ETHER] == held[TOKEN] == 0.0
    # oracle prices in both valuations
    assert risk["health_factor|before"] == printed("1.046181480673")
    assert risk["health_factor"] == printed("1.079545454545")
    assert risk["ltv"] == pytest.approx(0.88, abs=1e-12)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("valuation", PRINTED_B)
def test_the_events_of_example_b(valuation, driver, results):
    events = results["B", valuation, driver].events
    assert list(events["kind"]) == ["decision", "order", "fill", "fill", "fill"]
    assert events["correlation_id"].nunique() == 1
    sold, repaid, spent = (row for _, row in events[events["kind"] == "fill"].iterrows())
    assert (sold.instrument, repaid.instrument, spent.instrument) == (POOL, DEBT, ETHER)
    assert repaid.notional == printed("249.527866931376")
    assert repaid.flash_fee == printed(".124763933466")
    # the market, 5 bps below
    assert sold.price == exact(1.0501 * 0.997 * 0.9995)
    assert sold.quantity == pytest.approx(762.000319490843 - 1_000.0, abs=1e-9)
    assert repaid.quantity == pytest.approx(664.605234772861 - 900.0, abs=1e-9)
    assert spent.gas == exact(0.02125)
    assert spent.quantity == exact(0.02125 - 0.5)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("valuation", PRINTED_C2)
def test_example_c2(valuation, driver, results):
    result = results["C2", valuation, driver]
    before, after, staking, peg = PRINTED_C2[valuation]
    assert list(result.equity["equity"]) == [printed(before), printed(after)]
    earned = result.attribution.iloc[1]
    assert earned["staking_yield"] == printed(staking)
    assert earned["peg_pnl"] == (0.0 if peg is None else printed(peg))
    assert earned["borrow_cost"] == exact(-0.189)
    assert earned["liquidation_loss"] == exact(-5.009445)
    assert nothing_else(result.attribution, "staking_yield", "peg_pnl", "borrow_cost", "liquidation_loss")
    assert (result.attribution.iloc[0] == 0.0).all()
    assert result.positions[POOL].iloc[1] == printed("518.425774256953")
    assert result.positions[DEBT].iloc[1] == exact(472.5)
    assert result.risk["health_factor"].iloc[1] == printed("1.032923906241")
    # the test comes before the decision of the row
    assert result.risk["health_factor|before"].iloc[1] == result.risk["health_factor"].iloc[1]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("valuation", PRINTED_C2)
def test_the_liquidation_of_example_c2(valuation, driver, results):
    result = results["C2", valuation, driver]
    assert list(result.events["kind"]) == ["liquidation", "liquidation"]
    seized, repaid = (row for _, row in result.events.iterrows())
    assert (seized.instrument, repaid.instrument) == (POOL, DEBT)
    assert -seized.quantity * 1.0005 == printed("481.8150128559")
    assert repaid.notional * 2_900.0 == printed("1,452,739.05")
    assert seized.fee == exact(5.009445)
    # below 1, by the book that the liquidator found
    found = 0.95 * 1_000.0 * 1.0005 * 1.0501 / (945.0 * 1.0602)
    assert found == printed(".996211953121")
    assert repaid.quantity == exact(-472.5)


def test_the_identity_holds_to_rounding(results):
    for result in results.values():
        assert result.status == "complete"
        assert result.equity["residual"].abs().max() <= 1e-12 * 1_000.0
