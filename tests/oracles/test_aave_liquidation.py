"""Liquidations by the real contracts of Aave v3.0.2 and by the kernel: each call, the loss, what is left.

Whoever liquidates takes the largest debt against the largest collateral, as much as the contracts let through, until
they refuse. See `test_aave_contract` for the version and for what its rounding of a mean threshold does.
"""

import math

import pytest
import ray_math as exact
from aave_book import DECIMALS, MANY, PAIR, holdings, owed, panel, run, supplied
from aave_scenes import DAY, EMODE, answered, entered, market, reserves

pytestmark = pytest.mark.slow
RAY, WAD = 10**27, 10**18
#: Health factor at or below which a debt may be repaid whole.
DEEP = 95 * WAD // 100

ONE = ("supply", "weETH", 1_000.0), ("borrow", "USDT", 2e6)
TWO_DEBTS = ("supply", "weETH", 1_000.0), ("borrow", "USDT", 9.5e5), ("borrow", "WETH", 250.0)
MIXED = (
    ("supply", "weETH", 500.0), ("supply", "WETH", 450.0), ("supply", "USDT", 902_000.0),
    ("borrow", "USDT", 1.4e6), ("borrow", "WETH", 300.0),
)  # fmt: skip
STABLE_DEBT = (*MIXED[:3], ("borrow", "USDT", 3.1e6))
LOOP = ("supply", "weETH", 1_000.0), ("borrow", "WETH", 930.0)
#: what the account holds, in e-mode?, whose price falls, to which health factor, the treasury's share of the bonus,
#: number of liquidations
FALLS = {
    "half": (ONE, False, "weETH", 0.98, 0, 1),
    "half, fee": (ONE, False, "weETH", 0.98, 1_000, 1),
    "half of each": (TWO_DEBTS, False, "weETH", 0.96, 0, 2),
    "whole": (ONE, False, "weETH", 0.94, 0, 1),
    "whole, fee": (ONE, False, "weETH", 0.94, 2_000, 1),
    "whole of both": (TWO_DEBTS, False, "weETH", 0.88, 0, 2),
    "collateral short": (ONE, False, "weETH", 0.7, 0, 1),
    "collateral short, fee": (ONE, False, "weETH", 0.7, 1_000, 1),
    "three collaterals": (MIXED, False, "weETH", 0.97, 0, 1),
    "three collaterals, ether": (STABLE_DEBT, False, "WETH", 0.9, 0, 2),
    "three collaterals, fee": (MIXED, False, "weETH", 0.93, 1_000, 1),
    "three collaterals, gone": (STABLE_DEBT, False, "WETH", 0.8, 0, 3),
    "e-mode": (LOOP, True, "weETH", 0.9962, 0, 1),
    "e-mode, again and again": (LOOP, True, "weETH", 0.96, 0, 7),
    "e-mode, spiral": (LOOP, True, "weETH", 0.959, 0, 6),
    "e-mode, short, fee": (LOOP, True, "weETH", 0.94, 1_000, 1),
}
#: Where debt is left that nothing covers, with what is left of it, USD.
BAD_DEBT = {
    "collateral short": 365_387, "collateral short, fee": 365_387, "three collaterals, gone": 166_436,
    "e-mode, spiral": 1_827, "e-mode, short, fee": 71_251,
}  # fmt: skip


def fallen(contracts, deeds, emode, asset, health, share=0, above=False):
    """The market right after the fall, what the liquidations left, and the same in the kernel, by valuation."""
    steps = entered(emode, *deeds)
    drop = {"do": "fall", "who": "alice", "asset": asset, "health": health, "above": above, "at": 31 * DAY}
    steps += [{"do": "fee", "fee": share, "see": []}, drop, {"do": "liquidate_all", "who": "alice"}]
    *_, before, _, dropped, done = answered(contracts.run(steps, **market()))
    book, mode = (PAIR, EMODE) if emode else (MANY, None)
    rows = [before["reserves"], dropped["reserves"]]
    days, positions = panel(rows, 30 * DAY, DAY), holdings(book, before["users"]["alice"])
    ours = [run(days, reserves(), positions, book, emode=mode, valuation=v) for v in ("oracle", "market")]
    return dropped, done, *ours


def fits(ours, theirs, symbol):
    """A quantity and integer units of the same: to 1e-9, or two units where there are few."""
    return ours * 10 ** DECIMALS[symbol] == pytest.approx(theirs, rel=1e-9, abs=2.0)


def check_integers(call, state, emode, share):
    """A call is what the contracts' arithmetic says, to the last unit; what was taken in all (units)."""
    debt, asset = call["debt"], call["asset"]
    due = exact.ray_mul(call["before"]["owed"][debt], state[debt]["debt"])
    held = exact.ray_mul(call["before"]["supplied"][asset], state[asset]["income"])
    factor = 10_000 if call["before"]["health_factor"] <= DEEP else 5_000
    bonus = EMODE["bonus"] if emode else reserves()[asset]["bonus"]
    prices, digits = (state[debt]["price"], state[asset]["price"]), (DECIMALS[debt], DECIMALS[asset])
    repaid, got, fee = exact.liquidation(due, held, prices, digits, (factor, bonus, share))
    assert (call["repaid"], call["seized"]) == (repaid, got)
    scaled, index = call["before"]["supplied"][asset], state[asset]["income"]
    # rounding may leave a unit less than the fee
    assert call["fee"] == min(exact.ray_div(fee, index), scaled - exact.ray_div(got, index))
    return got + fee


@pytest.mark.parametrize("case", FALLS)
def test_liquidations(contracts, case):
    deeds, emode, asset, health, share, count = FALLS[case]
    target = round(health * 10_000) * WAD // 10_000
    dropped, done, ours, valued = fallen(contracts, deeds, emode, asset, target, share)
    calls, state = done["calls"], dropped["reserves"]
    assert len(calls) == count
    legs = ours.events.query("kind == 'liquidation'")
    assert len(legs) == 2 * count
    lost = 0.0
    for n, call in enumerate(calls):
        seized = check_integers(call, state, emode, share)
        for leg, key, side, symbol, index, amount in (
            (legs.iloc[2 * n], supplied, "supplied", call["asset"], "income", seized),
            (legs.iloc[2 * n + 1], owed, "owed", call["debt"], "debt", call["repaid"]),
        ):
            assert leg.instrument == key(symbol)
            assert fits(-leg.quantity, call["before"][side][symbol] - call["after"][side][symbol], symbol)
            assert fits(-leg.quantity * (state[symbol][index] / RAY), amount, symbol)
            worth = amount * state[symbol]["price"] / 10 ** DECIMALS[symbol]
            lost += worth if side == "supplied" else -worth
    ether = state["WETH"]["price"]
    for result in (ours, valued):
        assert result.attribution.liquidation_loss.iloc[1] == pytest.approx(-lost / ether, rel=1e-9)
    left, positions = done["users"]["alice"], ours.positions
    assert positions.equals(valued.positions)
    for symbol in DECIMALS:
        for key, side in ((supplied(symbol), "supplied"), (owed(symbol), "owed")):
            assert fits(positions[key].iloc[1] if key in positions else 0.0, left[side][symbol], symbol)
    after = ours.risk.iloc[1]
    assert (left["collateral"] == 0) == (case in BAD_DEBT)
    assert done["refused"] == ("46" if case in BAD_DEBT else "45")
    if left["debt"] == 0:
        assert after.health_factor == math.inf
    elif case in BAD_DEBT:
        assert round(left["debt"] / 10**8) == BAD_DEBT[case]
        assert (after.health_factor, after.ltv) == (0.0, math.inf)
    else:
        assert left["health_factor"] >= WAD
        mixed = sum(balance > 0 for balance in left["supplied"].values()) > 1
        rounded = 1.0 / left["threshold"] if mixed else 0.0
        assert 0.0 <= after.health_factor / (left["health_factor"] / WAD) - 1.0 + 1e-9 < rounded + 2e-9
        assert after.ltv == pytest.approx(left["debt"] / left["collateral"], rel=1e-9)


def repaid_part(call):
    """Share of its debt that a call repaid."""
    symbol = call["debt"]
    return 1.0 - call["after"]["owed"][symbol] / call["before"]["owed"][symbol]


@pytest.mark.parametrize("emode", [False, True])
def test_one_unit_of_price_decides(contracts, emode):
    """A health factor of 1 is safe, with 1e-8 USD less the account is liquidated; likewise half and whole at .95."""
    deeds = LOOP if emode else ONE
    _, done, ours, _ = fallen(contracts, deeds, emode, "weETH", WAD - 1, above=True)
    assert (done["calls"], done["refused"]) == ([], "45")
    assert not (ours.events.kind == "liquidation").any()
    assert 1.0 <= ours.risk.health_factor.iloc[1] < 1.0 + 1e-10
    parts = []
    for health, above in ((WAD - 1, False), (DEEP, True), (DEEP, False)):
        _, done, ours, _ = fallen(contracts, deeds, emode, "weETH", health, above=above)
        first, legs = done["calls"][0], ours.events.query("kind == 'liquidation'")
        assert abs(first["before"]["health_factor"] / health - 1.0) < 1e-10
        assert len(legs) == 2 * len(done["calls"])
        change = first["before"]["owed"][first["debt"]] - first["after"]["owed"][first["debt"]]
        assert fits(-legs.quantity.iloc[1], change, first["debt"])
        parts.append(repaid_part(first))
    assert parts[:2] == pytest.approx([0.5, 0.5], rel=1e-9)
    assert parts[2] > 0.9


def test_several_thresholds_are_liquidated_sooner(contracts):
    """Just below 1 by the contracts' rounded mean threshold, just above 1 in the kernel, which does not round it."""
    _, done, ours, _ = fallen(contracts, MIXED, False, "weETH", WAD - 1)
    first = done["calls"][0]["before"]
    assert not (ours.events.kind == "liquidation").any()
    ratio = ours.risk.health_factor.iloc[1] / (first["health_factor"] / WAD)
    assert 1e-5 < ratio - 1.0 < 1.0 / first["threshold"]
