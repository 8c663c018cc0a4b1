"""Markets and scenes for the contracts: reserves, a whale who sets the rates, half a year of two accounts."""

import random
from typing import Any

RAY = 10**27
DAY = 86_400


def units(symbol: str, amount: float) -> int:
    """An amount in the smallest unit of its token; floats of few digits only."""
    return round(amount * 10**6) * 10 ** (12 if symbol != "USDT" else 0)


def _rates(optimal: float, slope1: float, slope2: float) -> dict[str, int]:
    values = {"optimal": optimal, "base": 0.0, "slope1": slope1, "slope2": slope2}
    return {name: round(value * 10_000) * RAY // 10_000 for name, value in values.items()}


def reserves(**changes: dict[str, Any]) -> dict[str, Any]:
    """Three reserves with parameters like those of the Ethereum market; `changes` by symbol."""
    out = {
        "WETH": {
            "decimals": 18, "ltv": 8050, "threshold": 8300, "bonus": 500, "reserve_factor": 1500, "emode": 1,
            "price": 376_512_345_678, "rates": _rates(0.9, 0.027, 0.8),
        },
        "weETH": {
            "decimals": 18, "ltv": 7750, "threshold": 8000, "bonus": 700, "reserve_factor": 4500, "emode": 1,
            "price": 391_120_304_050, "rates": _rates(0.35, 0.07, 3.0),
        },
        "USDT": {
            "decimals": 6, "ltv": 7500, "threshold": 7800, "bonus": 450, "reserve_factor": 1000, "emode": 0,
            "price": 99_950_012, "rates": _rates(0.92, 0.055, 0.35),
        },
    }  # fmt: skip
    return {symbol: terms | changes.get(symbol, {}) for symbol, terms in out.items()}


EMODE = {"ltv": 9300, "threshold": 9500, "bonus": 100}
EMODES = {"1": EMODE}


def act(do: str, who: str, asset: str, amount: Any, at: int | None = None, **more: Any) -> dict[str, Any]:
    """A step; amounts are units of the token, or "all"."""
    size = amount if amount == "all" else units(asset, amount)
    step = {"do": do, "who": who, "asset": asset, "amount": size, "see": [], "watch": [], **more}
    return step if at is None else step | {"at": at}


def price(asset: str, value: int, at: int | None = None, **more: Any) -> dict[str, Any]:
    step = {"do": "price", "asset": asset, "price": value, "see": [], **more}
    return step if at is None else step | {"at": at}


def look(at: int, *watch: str) -> dict[str, Any]:
    return {"do": "look", "at": at, "watch": list(watch)}


#: What a whale supplies and owes: liquidity for the others, and rates.
OPENING = [
    act("supply", "whale", "WETH", 300_000),
    act("supply", "whale", "weETH", 100_000),
    act("supply", "whale", "USDT", 500e6),
    act("borrow", "whale", "WETH", 150_000),
    act("borrow", "whale", "weETH", 20_000),
    act("borrow", "whale", "USDT", 300e6),
]


def market(**changes: dict[str, Any]) -> dict[str, Any]:
    """The reserves, the e-mode of the staking tokens and the whale."""
    return {"reserves": reserves(**changes), "emodes": EMODES, "opening": OPENING}


#: What two accounts do, by day: one with a single collateral, one with three.
DEEDS: dict[str, dict[int, list[tuple[str, str, Any]]]] = {
    "alice": {
        1: [("supply", "weETH", 1_000.123456)],
        3: [("borrow", "USDT", 1_000_000.123456)],
        5: [("borrow", "WETH", 100.5), ("supply", "weETH", 0.000001)],
        20: [("supply", "weETH", 77.7)],
        40: [("repay", "USDT", 250_000.000001)],
        60: [("withdraw", "weETH", 50.333333)],
        90: [("repay", "WETH", "all")],
        120: [("borrow", "WETH", 30.25), ("borrow", "USDT", 12.345678)],
        150: [("repay", "USDT", "all")],
        180: [("repay", "WETH", "all")],
        185: [("withdraw", "weETH", "all")],
    },
    "bob": {
        2: [("supply", "WETH", 400.4), ("supply", "weETH", 300.3), ("supply", "USDT", 800_000.8)],
        4: [("borrow", "USDT", 900_000.9), ("borrow", "WETH", 150.15)],
        33: [("withdraw", "WETH", 41.404142), ("repay", "USDT", 11_111.111111)],
        66: [("repay", "WETH", 50.5), ("borrow", "USDT", 99_999.999999)],
        99: [("withdraw", "USDT", "all"), ("supply", "WETH", 12.345678)],
        133: [("supply", "USDT", 321.123456), ("borrow", "WETH", 5.000001)],
        166: [("withdraw", "weETH", 3.141592), ("repay", "USDT", 250_000)],
    },
}
#: Days of the diary: more than half a year.
DAYS = 186


def diary() -> list[dict[str, Any]]:
    """Half a year: prices move every third day, the whale changes all rates every sixth, at odd seconds."""
    draw = random.Random(3)
    steps: list[dict[str, Any]] = []
    ether, bound = 376_512_345_678, {"WETH": 20_000, "weETH": 4_000, "USDT": 40_000_000}
    for day in range(DAYS + 1):
        now = day * DAY
        if day % 3 == 0:
            ether = min(max(round(ether * draw.uniform(0.95, 1.053)), 330_000_000_000), 430_000_000_000)
            steps.append(price("WETH", ether, now))
            steps.append(price("weETH", round(ether * (1.0388 + 0.03 * day / 365))))
            steps.append(price("USDT", draw.randint(99_900_000, 100_100_000)))
        for who, deeds in DEEDS.items():
            steps += [act(do, who, asset, amount, now) for do, asset, amount in deeds.get(day, ())]
        shown = day % 5 == 0 or any(day in deeds for deeds in DEEDS.values())
        steps.append(look(now, *(DEEDS if shown else ())))
        if day % 6 == 5:
            for asset, second in zip(draw.sample(sorted(bound), 3), sorted(draw.sample(range(1, DAY), 3)), strict=True):
                amount = round(draw.uniform(0.1, 1.0) * bound[asset], 6)
                do = draw.choice(("borrow", "repay"))
                steps.append(act(do, "whale", asset, amount, now + second, see=[asset]))
    return steps


def entered(emode: bool, *deeds: tuple[str, str, float]) -> list[dict[str, Any]]:
    """An account that enters the market on the second day and is looked at on the thirtieth."""
    steps = []
    if emode:
        steps.append({"do": "emode", "who": "alice", "category": 1, "see": [], "watch": [], "at": DAY})
    steps += [act(do, "alice", symbol, amount, DAY) for do, symbol, amount in deeds]
    return [*steps, look(30 * DAY, "alice")]


def answered(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was found, if nothing was refused on the way."""
    refused = {step["error"] for step in found}
    assert refused == {None}
    return found
