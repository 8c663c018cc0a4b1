"""The kernel against the real contracts of Aave v3: indices, balances, health factor, what is refused.

The npm package `@aave/core-v3` 1.19.3 holds the compiled contracts of v3.0.2. What later versions changed cannot be
seen here: the close factor of v3.3 with its least leg of 2,000 USD, bad debt that is written off, and e-modes that take
some assets as collateral only.

The contracts count in integers. `ray_math` mirrors them to the last unit; the kernel counts in floats, with the
tolerance that each test states. Where the two do not agree, the test says by how much and why:

- interest on debt: the contracts take the binomial of the seconds, whose square term is smaller by 1 / seconds, and of
  (rate per second)³ they keep 27 digits: below 3.2 % a year their cubic term is 0, above it loses up to half;
- several thresholds: this version rounds the mean threshold (and LTV) down to a hundredth of a percent.
"""

import fcntl
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import ray_math as exact
from aave_book import DECIMALS, MANY, PAIR, START_NS, holdings, owed, panel, run, supplied
from aave_scenes import DAY, DAYS, DEEDS, EMODE, EMODES, act, answered, diary, entered, look, market, reserves, units

from basis.market.sources.observed import ReserveSeries
from basis.market.sources.reader import Table

pytestmark = pytest.mark.slow
SYMBOLS = tuple(DECIMALS)
RAY, WAD = 10**27, 10**18


@pytest.fixture(scope="module")
def year(contracts, tmp_path_factory):
    """Half a year of the contracts, step by step; one worker makes it for all."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared
    with open(shared / "aave_diary.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = shared / "aave_diary.json"
        if not kept.exists():
            kept.write_text(json.dumps(contracts.run(diary(), **market())))
    steps = json.loads(kept.read_text())
    assert {step["error"] for step in steps} == {None}
    return steps


def daily(steps):
    """The states at midnight, after what happened then."""
    return [step for step, reported in zip(steps, diary(), strict=True) if reported["do"] == "look"]


# --- interest -----------------------------------------------------------------------------------------------------


def states(steps, symbol):
    """What the reserve stored at each of its changes, by time."""
    seen = (step["reserves"][symbol] for step in steps if symbol in step["reserves"])
    return {state["stored"]: state for state in seen}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_indices_to_the_last_unit(year, symbol):
    stored = states(year, symbol)
    assert len(stored) > 8
    for (before, old), (now, new) in zip(list(stored.items())[:-1], list(stored.items())[1:], strict=True):
        growth = exact.linear(old["supply_rate"], now - before)
        assert new["liquidity_index"] == exact.ray_mul(growth, old["liquidity_index"])
        growth = exact.compounded(old["borrow_rate"], now - before)
        assert new["borrow_index"] == exact.ray_mul(growth, old["borrow_index"])
    for step in daily(year):
        state = step["reserves"][symbol]
        since = step["time"] - state["stored"]
        assert state["income"] == exact.ray_mul(exact.linear(state["supply_rate"], since), state["liquidity_index"])
        assert state["debt"] == exact.ray_mul(exact.compounded(state["borrow_rate"], since), state["borrow_index"])


def series(stored, debt):
    """Observations of a reserve as a data set holds them."""
    index, rate = ("borrow_index", "borrow_rate") if debt else ("liquidity_index", "supply_rate")
    names = ("variable_borrow_index", "variable_borrow_apr") if debt else ("liquidity_index", "supply_apr")
    stamps = START_NS + np.array(list(stored), dtype=np.int64) * 1_000_000_000
    columns = [np.array([state[name] / RAY for state in stored.values()]) for name in (index, rate)]
    return ReserveSeries(Table("", stamps, dict(zip(names, columns, strict=True))), debt)


def grown(stored, debt, times):
    """The index at times, from what was observed before."""
    instants = START_NS + np.array(times, dtype=np.int64) * 1_000_000_000
    return series(stored, debt).at(instants, 10**18).index.values


def too_much(rate, seconds):
    """What the series of the kernel, without rounding, is above the growth that the contracts compute, relative."""
    x = Fraction(rate * seconds, RAY * exact.YEAR)
    theirs = Fraction(exact.compounded(rate, seconds), RAY)
    return float((1 + x + x**2 / 2 + x**3 / 6) / theirs - 1)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_indices_between_observations(year, symbol):
    stored, days = states(year, symbol), daily(year)
    times = [step["time"] for step in days]
    theirs = np.array([step["reserves"][symbol]["income"] / RAY for step in days])
    assert grown(stored, False, times) / theirs - 1.0 == pytest.approx(0.0, abs=1e-15)
    theirs = np.array([step["reserves"][symbol]["debt"] / RAY for step in days])
    ours = grown(stored, True, times)
    above = ours / theirs - 1.0
    now = [step["reserves"][symbol] for step in days]
    known = [too_much(state["borrow_rate"], time - state["stored"]) for state, time in zip(now, times, strict=True)]
    assert above == pytest.approx(known, abs=1e-15)
    assert above == pytest.approx(0.0, abs=1e-9)
    # as a data set has it: observed within the last day
    fresh = np.array(times) - [state["stored"] for state in now] <= DAY
    assert fresh.sum() > 8
    assert above[fresh] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_indices_over_half_a_year(year, symbol):
    """From the first observation on by the rates alone: no index of the contracts is looked at between."""
    stored = states(year, symbol)
    final = daily(year)[-1]
    times = [*stored, final["time"]]
    assert times[-1] - times[0] > 184 * DAY
    for debt, index, now, tolerance in (
        (False, "liquidity_index", "income", 1e-14),
        (True, "borrow_index", "debt", 1e-9),
    ):
        grows = 1.0
        for (first, state), then in zip(stored.items(), times[1:], strict=True):
            alone = {first: state | {index: RAY}}
            grows *= float(grown(alone, debt, [then])[0])
        theirs = final["reserves"][symbol][now] / next(iter(stored.values()))[index]
        assert theirs > 1.001
        assert grows == pytest.approx(theirs, rel=tolerance)


@pytest.mark.parametrize(
    ("borrowed", "step", "apr", "most"),
    [(0, 18, 0.04, 3e-7), (15_000, 18, 0.07, 6e-7), (79_000, 1, 2.9, 5e-9)],
)
def test_debt_that_nobody_touches(contracts, borrowed, step, apr, most):
    """Half a year without a change, or ten days near 300 % a year: beyond 1e-9, by exactly what is known."""
    steps = [act("borrow", "whale", "weETH", borrowed)] if borrowed else []
    steps += [look(60 + n * step * DAY) for n in range(11)]
    found = contracts.run(steps, **market())[-11:]
    state = found[0]["reserves"]["weETH"]
    rate, since = state["borrow_rate"], [out["time"] - state["stored"] for out in found]
    assert apr <= rate / RAY < 1.1 * apr
    ours = grown({state["stored"]: state}, True, [out["time"] for out in found])
    above = ours / np.array([out["reserves"]["weETH"]["debt"] / RAY for out in found]) - 1.0
    assert above == pytest.approx([too_much(rate, seconds) for seconds in since], abs=1e-15)
    assert 1e-9 < above[-1] < most
    assert (above[:-1] <= above[1:]).all()


# --- balances, health factor ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lived(year):
    """The same half year in the kernel, by account."""
    rows = [step["reserves"] for step in daily(year)]
    assert len(rows) == DAYS + 1

    def script(deeds):
        return {
            day: [(do, symbol, np.inf if amount == "all" else amount) for do, symbol, amount in done]
            for day, done in deeds.items()
        }

    days = panel(rows, 0, DAY)
    return {who: run(days, reserves(), holdings(MANY), script=script(deeds)) for who, deeds in DEEDS.items()}


def shown(year, who):
    """(day, state of the account) where it was looked at."""
    return [(day, step["users"][who]) for day, step in enumerate(daily(year)) if who in step["users"]]


@pytest.mark.parametrize("who", DEEDS)
def test_scaled_balances(year, lived, who):
    days = daily(year)
    scaled = {key(symbol): 0 for key in (supplied, owed) for symbol in SYMBOLS}
    ours, done = lived[who].positions, dict.fromkeys(scaled, 0)
    looked = dict(shown(year, who))
    for day in range(DAYS + 1):
        for do, symbol, amount in DEEDS[who].get(day, ()):
            key, side = (supplied(symbol), "income") if do in ("supply", "withdraw") else (owed(symbol), "debt")
            change = scaled[key]
            if amount != "all":
                change = exact.ray_div(units(symbol, amount), days[day]["reserves"][symbol][side])
            scaled[key] += change if do in ("supply", "borrow") else -change
            done[key] += 1
        for symbol in SYMBOLS if day in looked else ():
            for key, theirs in ((supplied(symbol), "supplied"), (owed(symbol), "owed")):
                assert looked[day][theirs][symbol] == scaled[key]
                if key in ours:
                    held = ours[key].iloc[day] * 10 ** DECIMALS[symbol]
                    # a unit is halved with each deed; a float of 18 decimals holds no single ones
                    assert held == pytest.approx(scaled[key], rel=1e-13, abs=0.5 * done[key])
    assert max(done.values()) >= 4


@pytest.mark.parametrize("who", DEEDS)
def test_amounts_paid(year, lived, who):
    """What the account received or paid in each deed, all of a balance included."""
    reported = [(step, out) for step, out in zip(diary(), year, strict=True) if step.get("who") == who]
    fills = lived[who].events.query("kind == 'fill'")
    assert len(fills) == len(reported)
    assert not (lived[who].events.kind == "reject").any()
    for (step, out), amount in zip(reported, fills.amount, strict=True):
        assert amount == pytest.approx(out["received"] / 10 ** DECIMALS[step["asset"]], rel=1e-9)
        if step["amount"] != "all":
            assert abs(out["received"]) == step["amount"]


def test_ltv_and_health_factor(year, lived):
    risk = lived["alice"].risk
    for day, user in shown(year, "alice"):
        if user["debt"] == 0:
            assert risk.health_factor.iloc[day] == math.inf
            assert risk.ltv.iloc[day] == 0.0
            continue
        assert user["threshold"] == reserves()["weETH"]["threshold"]
        assert risk.health_factor.iloc[day] == pytest.approx(user["health_factor"] / WAD, rel=1e-11)
        assert risk.ltv.iloc[day] == pytest.approx(user["debt"] / user["collateral"], rel=1e-11)


def account_of(step, user):
    """Collateral by threshold and debt, 1e-8 USD, as the contracts add them up."""
    collateral, debt = {}, 0
    for symbol, decimals in DECIMALS.items():
        state, threshold = step["reserves"][symbol], reserves()[symbol]["threshold"]
        balance = exact.ray_mul(user["supplied"][symbol], state["income"])
        collateral[threshold] = balance * state["price"] // 10**decimals
        debt += exact.ray_mul(user["owed"][symbol], state["debt"]) * state["price"] // 10**decimals
    return collateral, debt


def test_several_thresholds(year, lived):
    """The contracts round the mean threshold down to a hundredth of a percent; the kernel does not round it.

    So its health factor is above theirs, by less than a hundredth of a percent of the threshold.
    """
    risk, days = lived["bob"].risk, daily(year)
    above = []
    for day, user in shown(year, "bob"):
        if user["debt"] == 0:
            continue
        collateral, debt = account_of(days[day], user)
        assert (sum(collateral.values()), debt) == (user["collateral"], user["debt"])
        assert exact.health_factor(collateral, debt) == (user["threshold"], user["health_factor"])
        ours = risk.health_factor.iloc[day]
        weighted = sum(threshold * worth for threshold, worth in collateral.items())
        assert ours == pytest.approx(weighted / (10_000 * debt), rel=1e-11)
        assert risk.ltv.iloc[day] == pytest.approx(debt / user["collateral"], rel=1e-11)
        above.append(ours / (user["health_factor"] / WAD) - 1.0)
    assert len(above) > 30
    assert min(above) >= 0.0
    assert 1e-5 < max(above) < 1.0 / 7_500


# --- e-mode and refusals --------------------------------------------------------------------------------------------


def test_ltv_and_health_factor_in_e_mode(contracts):
    steps = entered(True, ("supply", "weETH", 1_000.5), ("borrow", "WETH", 900.25))
    steps += [look(n * DAY, "alice") for n in (31, 32)]
    found = answered(contracts.run(steps, **market()))[-3:]
    rows = [step["reserves"] for step in found]
    ours = run(panel(rows, 30 * DAY, DAY), reserves(), holdings(PAIR, found[0]["users"]["alice"]), PAIR, emode=EMODE)
    for n, step in enumerate(found):
        user = step["users"]["alice"]
        assert user["threshold"] == EMODE["threshold"]
        assert ours.risk.health_factor.iloc[n] == pytest.approx(user["health_factor"] / WAD, rel=1e-11)
        assert ours.risk.ltv.iloc[n] == pytest.approx(user["debt"] / user["collateral"], rel=1e-11)


#: what is tried, whether in e-mode, what the account holds, code of the contracts, reason of the kernel
REFUSED = {
    "borrow USDT": ("borrow", "USDT", False, (("supply", "weETH", 10.1), ("borrow", "WETH", 1.5)), "36", "LTV"),
    "borrow WETH": ("borrow", "WETH", False, (("supply", "weETH", 1_000.1), ("borrow", "USDT", 5e5)), "36", "LTV"),
    "borrow, e-mode": ("borrow", "WETH", True, (("supply", "weETH", 1_000.1), ("borrow", "WETH", 5.5)), "36", "LTV"),
    "withdraw USDT": ("withdraw", "USDT", False, (("supply", "USDT", 54_321.0), ("borrow", "WETH", 7.7)), "35", "HF"),
    "withdraw weETH": ("withdraw", "weETH", False, (("supply", "weETH", 99.9), ("borrow", "USDT", 2e5)), "35", "HF"),
    "withdraw, e-mode": ("withdraw", "weETH", True, (("supply", "weETH", 1e3), ("borrow", "WETH", 850.0)), "35", "HF"),
}  # fmt: skip
WORDS = {
    "LTV": "debt beyond the loan to value allowed",
    "HF": "health factor would fall below 1",
    "cap": "supply above the cap",
}


def boundary(what, symbol, most):
    """Looks for the largest amount that goes through: to the unit of USDT, and to 1e-12 of ether."""
    step = {"do": "boundary", "what": what, "who": "alice", "asset": symbol, "most": units(symbol, most)}
    return step | ({} if symbol == "USDT" else {"unit": 10**6})


def reason(found, terms, book, emode, do, symbol, amount):
    """Why the kernel refuses an amount (in units of its token) in the state found; None where it does not."""
    positions = holdings(book, found["users"]["alice"])
    script = {0: [(do, symbol, amount)]}
    ours = run(panel([found["reserves"]], found["time"], DAY), terms, positions, book, script, emode)
    refused = ours.events.query("kind == 'reject'").detail.tolist()
    fills = ours.events.query("kind == 'fill'")
    assert len(refused) + len(fills) == 1
    return refused[0] if refused else None


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(contracts, case):
    """The largest amount that goes through, to the unit of USDT, and of ether to 3e-12: for debt, what is available.

    A debt is allowed a relative 1e-12 beyond the LTV in the kernel, and the contracts round worth to 1e-8 USD.
    """
    do, symbol, emode, deeds, code, why = REFUSED[case]
    steps = entered(emode, *deeds)
    steps.append(boundary(do, symbol, 60_000.0))
    *_, found, edge = answered(contracts.run(steps, **market()))
    assert edge["refused"] == code
    most, unit = edge["largest"] / 10 ** DECIMALS[symbol], 10.0 ** -DECIMALS[symbol]
    unit = max(unit, 3e-12 * most)
    user = found["users"]["alice"]
    if do == "borrow":
        worth = most * found["reserves"][symbol]["price"]
        assert user["available"] == exact.percent_mul(user["collateral"], user["ltv"]) - user["debt"]
        assert worth == pytest.approx(user["available"], rel=1e-11, abs=200.0)
    book, mode = (PAIR, EMODE) if emode else (MANY, None)
    assert reason(found, reserves(), book, mode, do, symbol, most - (unit if symbol != "USDT" else 0.0)) is None
    assert reason(found, reserves(), book, mode, do, symbol, most + unit) == WORDS[why]


@pytest.mark.parametrize(("symbol", "cap", "first"), [("USDT", 1_234_567, 1_000_000.1), ("weETH", 4_321, 1_234.5)])
def test_supply_above_the_cap(contracts, symbol, cap, first):
    """To the unit of USDT, and of ether to 3e-12, with interest of a month.

    The cap counts everybody's supply, and the treasury's; here there is nobody else's, and the treasury has no share.
    """
    terms = reserves(**{symbol: {"supply_cap": cap, "reserve_factor": 0}})
    steps = [act("supply", "alice", symbol, first), act("supply", "whale", "WETH", 5_000)]
    steps += [act("borrow", "whale", symbol, 0.9 * first), look(30 * DAY, "alice"), boundary("supply", symbol, cap)]
    *_, found, edge = answered(contracts.run(steps, reserves=terms, emodes=EMODES))
    assert edge["refused"] == "51"
    assert found["reserves"][symbol]["income"] > 1.001 * RAY
    most = edge["largest"] / 10 ** DECIMALS[symbol]
    unit = 1e-6 if symbol == "USDT" else 3e-12 * cap
    assert reason(found, terms, MANY, None, "supply", symbol, most - unit) is None
    assert reason(found, terms, MANY, None, "supply", symbol, most + unit) == WORDS["cap"]


@pytest.mark.parametrize(("do", "symbol", "code"), [("borrow", "USDT", "36"), ("withdraw", "USDT", "35")])
def test_several_thresholds_at_the_edge(contracts, do, symbol, code):
    """With several collaterals the contracts stop a little earlier: the mean LTV and threshold are rounded down."""
    deeds = ("supply", "weETH", 10.1), ("supply", "WETH", 3.3), ("supply", "USDT", 30_001.0), ("borrow", "WETH", 12.5)
    steps = entered(False, *deeds)
    steps.append(boundary(do, symbol, 30_000.0))
    *_, found, edge = answered(contracts.run(steps, **market()))
    assert edge["refused"] == code
    least, most = edge["largest"] / 10**6, edge["largest"] / 10**6 * 1.01
    assert reason(found, reserves(), MANY, None, do, symbol, least) is None
    assert reason(found, reserves(), MANY, None, do, symbol, most) is not None
    while most - least > 1e-6:
        middle = (least + most) / 2.0
        refused = reason(found, reserves(), MANY, None, do, symbol, middle)
        least, most = (middle, most) if refused is None else (least, middle)
    worth = found["users"]["alice"]["collateral"] / 10**8
    assert 0.0 <= least - edge["largest"] / 10**6 < 1.5e-4 * worth
