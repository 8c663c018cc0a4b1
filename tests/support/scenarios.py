"""Short runs that between them take every turn of the kernel; run compiled and in plain Python by the tests.

As a script: `python -m support.scenarios FILE` runs all and writes what they leave to an npz file.
"""

import sys
import warnings

import numpy as np

from basis.market.panel import Panel

from .kernel_view import MOST_ACTIONS, comparable_parts, raw_decision
from .runs import FREE, run
from .small_markets import flows, market, path, pool, steady, walk
from .strategies import put_in_usdt, take_back_all_usdt, take_back_usdt

BTC = "binance:BaseToken:BTC"
LENT = "aave_v3:aToken:USDT"


# --- markets ---------------------------------------------------------------------------------------------------------


def two_coins(rows, seed=3, spike=0):
    """BTC and ETH perps at two venues; a wick upwards in row `spike`."""
    btc, eth = walk(rows, seed), walk(rows, seed + 1, first=3_000.0)
    panel = market(btc, venues=("binance", "bybit"), eth=eth)
    columns = dict(panel.columns)
    for venue in ("binance", "bybit"):
        key = f"{venue}:Perp:ETHUSDT"
        columns[f"mark|{key}"] = eth * 1.0003
        for side, factor in (("high", 1.004), ("low", 0.996)):
            columns[f"{side}|{key}"] = columns[f"mark|{key}"] * factor
        columns[f"funding_cash|{key}"] = columns[f"funding_cash|{venue}:Perp:BTCUSDT"] / 20.0
        if spike:
            columns[f"high|{key}"][spike] *= 1.4
    return Panel.from_columns(panel.timestamps, 3600, columns)


def staked(rows):
    """Aave with WETH debt against weETH, rates that step daily, market rates about them."""
    rng = np.random.default_rng(9)
    day = np.arange(rows) // 24
    oracle = 1.05 * (1.0 + 1e-4) ** day
    return Panel.from_columns(
        "2024-06-01",
        3600,
        {
            "spot|ETH": walk(rows, 4, first=3_000.0),
            "gas_price_gwei": np.full(rows, 15.0),
            "liquidity_index|aave_v3:USDT": np.linspace(1.1, 1.101, rows),
            "liquidity_index|aave_v3:weETH": np.linspace(1.0005, 1.0006, rows),
            "borrow_index|aave_v3:WETH": np.linspace(1.06, 1.061, rows),
            "borrow_index|aave_v3:weETH": np.linspace(1.0, 1.0002, rows),
            "oracle_rate|weETH": oracle,
            "market_rate|weETH": oracle * (1.0 - 0.002 * rng.random(rows)),
            "supply_apr|aave_v3:USDT": np.full(rows, 0.05),
        },
    )


# --- scenarios -------------------------------------------------------------------------------------------------------


def _entry():
    panel = market(walk(60, 1))
    return run(panel, overrides={"flows": flows(panel, (20, 30_000.0), (35, -40_000.0))})


def _free():
    return run(market(walk(60, 2, 0.02), basis={"binance": 1e-3, "bybit": 0.0, "okx": -1e-3}), overrides=FREE)


def _next_bar():
    panel = market(walk(60, 3, 0.01))
    return run(
        panel,
        overrides={"fill": "next_bar", "close_at_end": True, "flows": flows(panel, (20, 30_000.0), (40, -20_000.0))},
    )


def _struck():
    return run(market(path((0, 60_000.0), (20, 61_000.0), (24, 90_000.0), (50, 70_000.0)), wick=0.01), overrides=STRUCK)


def _struck_held():
    return run(
        market(path((0, 60_000.0), (20, 61_000.0), (24, 90_000.0), (50, 70_000.0)), wick=0.01),
        overrides={**STRUCK, "strategy.rebalance": False, "close_at_end": True},
    )


def _struck_at_mark():
    """Extremes missing where the mark jumps: the margin test of the row has to see it."""
    panel = market(np.concatenate((steady(10), steady(20, 70_000.0))))
    for key in ("binance:Perp:BTCUSDT", "okx:Perp:BTCUSDT"):
        high = panel.columns[f"mark|{key}"].copy()
        high[10] = 0.0
        panel.columns[f"high|{key}"] = high
    return run(panel, overrides={**STRUCK, "data.checks": "off"})


def _unsafe():
    """No venue liquidates; the run goes through what would have been one, and ends insolvent where equity does."""
    return run(
        market(path((0, 60_000.0), (10, 60_000.0), (15, 100_000.0), (30, 60_000.0))),
        overrides={**STRUCK, "risk.simulate_liquidation": False},
    )


def _rule():
    apr = np.array([0.02] * 5 + [0.15] * 20 + [0.07] * 10 + [0.01] * 15 + [0.07] * 5 + [0.2] * 15)
    rule = {"enabled": True, "enter": 0.1, "leave": 0.05, "window": "24h"}
    return run(market(walk(len(apr), 5), apr=apr), overrides={"strategy.rate_rule": rule})


def _critical():
    panel = market(path((0, 60_000.0), (20, 60_000.0), (40, 75_000.0), (80, 60_000.0)), wick=0.0)
    limits = {"margin_ratio": {"warning": 0.45, "critical": 0.4}, "drawdown": {"warning": 0.001, "critical": 0.5}}
    return run(panel, overrides={"risk.limits": limits, "flows": flows(panel, (30, 50_000.0))})


def _leave():
    """Prices fall, so that profit is locked up at the venues: a withdrawal has to roll; then everything goes."""
    panel = market(path((0, 60_000.0), (10, 60_000.0), (40, 40_000.0), (110, 41_000.0)))
    return run(
        panel,
        overrides={
            "strategy.position_deviation_threshold": 0.3,
            "strategy.margin_ratio_band": [0.1, 5.0],
            "flows": flows(panel, (42, -20_000.0), (60, -5_000.0), (70, -500_000.0), (71, -10.0)),
        },
    )


def _uneven():
    """One venue alone falls out of its band, and another is far above."""
    rows = np.arange(60)
    jump = np.where((rows > 20) & (rows < 50), 0.12, 0.0)
    return run(
        market(steady(60), basis={"binance": 0.0, "bybit": jump, "okx": -0.3 * jump}),
        overrides={"strategy.position_deviation_threshold": 0.01, "risk.limits": {}},
    )


def _one_venue():
    return run(
        market(walk(40, 8, 0.02)),
        overrides={"strategy.hedge_allocation": {"bybit": 1.0}, "strategy.spot_venue": "binance"},
    )


def _at_venue():
    """Capital that starts at the spot venue."""
    return run(market(walk(40, 9)), overrides={"start_venue": "binance"})


def _daily():
    return run(market(walk(30, 10, 0.03), step=86_400, every=1), overrides={"bar_interval": "1d"})


def _in_eth():
    start = {
        "wallet:BaseToken:ETH": 2.0,
        "wallet:BaseToken:USDT": 30_000.0,
        "binance:BaseToken:USDT": 30_000.0,
        BTC: 1.0,
        "binance:Perp:BTCUSDT": -1.0,
        "binance:Perp:BTCUSDT|cost": -59_000.0,
    }
    panel = market(walk(50, 11), eth=walk(50, 12, first=3_000.0))
    overrides = {"share_class": "ETH", "initial_capital": 10, "strategy.rebalance": False, "close_at_end": True}
    return run(panel, overrides=overrides, positions=start)


def _two_coins():
    start = {
        "wallet:BaseToken:USDT": 50_000.0,
        "binance:BaseToken:USDT": 30_000.0,
        "bybit:BaseToken:USDT": 300_000.0,
        BTC: 1.0,
        "binance:Perp:BTCUSDT": -1.0,
        "binance:Perp:BTCUSDT|cost": -60_000.0,
        "binance:Perp:ETHUSDT": -20.0,
        "binance:Perp:ETHUSDT|cost": -60_000.0,
        "bybit:Perp:BTCUSDT": 0.5,
        "bybit:Perp:BTCUSDT|cost": 30_000.0,
        "bybit:Perp:ETHUSDT": -200.0,
        "bybit:Perp:ETHUSDT|cost": -600_000.0,
    }
    weights = {"binance": 0.5, "bybit": 0.5}
    overrides = {"strategy.hedge_allocation": weights, "strategy.rebalance": False, "close_at_end": True}
    return run(two_coins(40, spike=20), overrides=overrides, positions=start)


def _lend():
    panel = pool(60)
    return run(
        panel,
        "pure_lending",
        {"flows": flows(panel, (10, 20_000.0), (20, -30_000.0), (30, -200_000.0), (31, -5.0), (45, 1_000.0))},
    )


def _lend_rule():
    mean = np.array([0.01] * 5 + [0.06] * 10 + [0.03] * 5 + [0.01] * 5 + [0.06] * 15)
    rule = {"enabled": True, "enter": 0.05, "leave": 0.02, "window": "24h"}
    return run(pool(40, mean=mean), "pure_lending", {"strategy.rate_rule": rule, "close_at_end": True})


def _lend_poor():
    """Gas that the wallet cannot pay."""
    start = {LENT: 1_000.0}
    panel = pool(20, gwei=5_000.0)
    return run(panel, "pure_lending", {"flows": flows(panel, (5, -100.0))}, positions=start)


def _lend_gas_in_eth():
    start = {"wallet:BaseToken:USDT": 5_000.0, "wallet:BaseToken:ETH": 0.004}
    panel = pool(20)
    return run(panel, "pure_lending", {"flows": flows(panel, (5, -100.0))}, positions=start)


def _levered(valuation="market"):
    start = {
        "wallet:BaseToken:USDT": 1_000.0,
        "wallet:BaseToken:weETH": 2.0,
        "aave_v3:aToken:weETH": 10.0,
        "aave_v3:debtToken:WETH": 6.0,
        "aave_v3:debtToken:weETH": 0.5,
    }
    limits = {"ltv": {"warning": 0.5, "critical": 0.9}, "health_factor": {"warning": 1.5, "critical": 1.1}}
    overrides = {"strategy.rebalance": False, "valuation": valuation, "risk.limits": limits}
    return run(staked(60), "pure_lending", overrides, positions=start)


def _levered_oracle():
    return _levered("oracle")


def every_row(strategy, overrides=None, rows=30, **more):
    """A run in a market that stands still, whose strategy asks for the same in every row."""
    return run(market(steady(rows)), overrides={"risk.limits": {}, **(overrides or {})}, strategy=strategy, **more)


def _crowd():
    """Money called back every hour with a day's latency: the queue runs full."""
    start = {f"{v}:BaseToken:USDT": 50_000.0 for v in ("binance", "bybit", "okx")}
    slow = {f"venues.{v}.latency.withdrawal": "20h" for v in ("binance", "bybit", "okx")}
    return every_row(take_back_usdt(amount=500.0), slow, rows=45, positions=start)


def _tiny():
    """Transfers not worth their fee."""
    start = {f"{v}:BaseToken:USDT": 50_000.0 for v in ("binance", "bybit", "okx")}
    return every_row(take_back_all_usdt(amount=1e-3), positions=start, rows=5)


def _overdrawn():
    """More lent than there is, and more taken back than was lent."""
    panel = pool(6)
    first = run(panel, "pure_lending", strategy=put_in_usdt(amount=1e6))
    assert {reason for _, reason in first.rejects()} == {"not enough cash"}
    return run(
        panel,
        "pure_lending",
        strategy=take_back_all_usdt,
        positions={LENT: 100.0, "wallet:BaseToken:USDT": 50.0},
    )


#: Code, plan, amount, count, stop and take-profit that no strategy may come back with.
BAD_DECISIONS = {
    "no code": (0, 0, 1.0, 1),
    "unknown code": (6, 0, 1.0, 1),
    "unknown plan": (1, 2, 1.0, 1),
    "plan below 0": (1, -1, 1.0, 1),
    "amount that is none": (1, 0, np.nan, 1),
    "amount below 0": (1, 0, -1.0, 1),
    "infinite amount": (1, 0, np.inf, 1),
    "stop below 0": (1, 0, 1.0, 1, -0.1),
    "take-profit that is none": (1, 0, 1.0, 1, 0.0, np.nan),
    "too many": (1, 0, 1.0, MOST_ACTIONS + 1),
    "a negative count": (1, 0, 1.0, -1),
}


def run_with_bad_decision(name):
    """A run whose strategy comes back with a bad decision."""
    return run(market(steady(4)), strategy=raw_decision("btc_basis", *BAD_DECISIONS[name]))


STRUCK = {"strategy.margin_ratio_target": 0.15, "risk.limits": {"margin_ratio": {"warning": 0.1, "critical": 0.02}}}
SCENARIOS = {
    name[1:]: made
    for name, made in list(globals().items())
    if name.startswith("_") and callable(made) and name != "_levered" and getattr(made, "__module__", None) == __name__
}
SCENARIOS["levered"] = _levered
#: Books of their own, for which the compiled side of the comparison is not worth a compilation.
PLAIN_ONLY = {"in_eth", "lend_gas_in_eth"}


def run_all(names=None):
    """Every scenario by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return {name: SCENARIOS[name]() for name in names or SCENARIOS}


def arrays(runs):
    """What a scenario leaves, by its name, for npz files."""
    out = {}
    for name, made in runs.items():
        out |= {f"{name}.{part}": array for part, array in comparable_parts(made.recording).items()}
        out[f"{name}.cause"] = np.array(str(made.cause))
    return out


if __name__ == "__main__":
    np.savez(sys.argv[1], **arrays(run_all()))
