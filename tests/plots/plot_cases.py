"""Runs that figures are drawn of, and one made up: a levered book with debt, which no run on the sample has."""

from dataclasses import replace

import numpy as np

from basis.config import load_config
from basis.market import DataProvider
from basis.market.panel import Stop
from basis.plots.data import PositionData, RunData
from support.runs import busy

FEBRUARY = {"start": "2024-02-01", "end": "2024-02-14"}
FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000},
]
NEVER = {"strategy.rate_rule": {"enabled": True, "enter": 90.0, "leave": 80.0, "window": "24h"}}
#: More than falls by 6 % leave of it; nobody liquidates it, nobody stops it.
LOSING = {
    "binance:BaseToken:USDT": 3_000.0,
    "binance:Perp:BTCUSDT": 1.0,
    "binance:Perp:BTCUSDT|cost": 52_500.0,
}
#: Name → mode, overrides, starting book.
CASES = {
    "two years": ("btc_basis", busy("btc_basis"), None),
    "flows": ("btc_basis", {**FEBRUARY, "flows": FLOWS}, None),
    "struck": (
        "btc_basis",
        {"start": "2024-01-20", "end": "2024-03-10", "strategy.margin_ratio_target": 0.15, "strategy.rebalance": False},
        None,
    ),
    "alerts": ("btc_basis", {"start": "2024-01-01", "end": "2024-03-01", "strategy.margin_ratio_target": 0.25}, None),
    "lending": ("pure_lending", FEBRUARY, None),
    "eth": (
        "btc_basis",
        {**FEBRUARY, "share_class": "ETH", "initial_capital": 30, "risk.limits": {}},
        {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0},
    ),
    "loan": (
        "pure_lending",
        {**FEBRUARY, "strategy.rebalance": False},
        {"aave_v3:aToken:WETH": 60.0, "aave_v3:debtToken:USDT": 118_000.0},
    ),
    "staked": ("eth_leveraged", FEBRUARY, None),
    "no trades": ("btc_basis", {**FEBRUARY, **NEVER}, None),
    "below zero": (
        "btc_basis",
        {**FEBRUARY, "risk.simulate_liquidation": False, "strategy.rebalance": False},
        LOSING,
    ),
    "one row": ("btc_basis", {"start": "2024-02-01", "end": "2024-02-01"}, None),
}


def holed(data, mode, overrides, row):
    """Configuration and panel of a run that stops itself before a row for want of data."""
    config = load_config(mode, overrides, environ={})
    panel = DataProvider(data, config).panel()
    return config, replace(panel, stop=Stop(row, "perp/okx_btcusdt", int(panel.timestamps[row]), 4 * 3600.0))


def levered(rows: int = 500, seed: int = 0) -> RunData:
    """Numbers of a hedged, levered book: debt, a health factor, alerts, a margin ratio that is huge for a while."""
    draw = np.random.default_rng(seed)
    stamps = np.datetime64("2024-01-01T00", "us") + np.arange(rows) * np.timedelta64(1, "h")
    parts = {name: draw.normal(mean, 5.0, rows) for name, mean in (
        ("funding_pnl", 2.0), ("supply_yield", 1.0), ("borrow_cost", -3.0), ("staking_yield", 4.0), ("reward_pnl", 0.5),
        ("peg_pnl", 0.0), ("delta_pnl", 0.0), ("basis_pnl", 0.0), ("dust_pnl", 0.1), ("fees", -0.5),
        ("slippage", -0.3), ("gas", -0.2), ("transfer_fees", -0.1), ("flash_fees", -0.1), ("liquidation_loss", -0.2),
    )}  # fmt: skip
    equity = 100_000.0 + np.cumsum(sum(parts.values()))
    health = 1.25 + 0.1 * np.sin(np.arange(rows) / 40.0) - 0.2 * (np.arange(rows) > 0.7 * rows)
    health[:5] = np.inf
    margin = 0.5 + 0.2 * np.cos(np.arange(rows) / 30.0)
    margin[200:230] = 900.0
    margin[300:320] = np.inf
    measured = {
        "margin_ratio|binance": margin,
        "health_factor": health,
        "ltv": np.where(np.isfinite(health), 0.93, 0.0),
    }
    risk = {}
    for name, values in measured.items():
        risk[name] = np.where(values > 0.0, values + (0.004 if name == "health_factor" else 0.002), values)
        risk[f"{name}|before"] = values
        risk[f"{name}|worst"] = values
    level = (health < 1.08).astype(np.int8) + (health < 1.04)
    risk |= {"alert|health_factor": level.astype(np.int8), "alert|ltv": np.zeros(rows, np.int8)}
    risk |= {"alert|margin_ratio|binance": (margin < 0.32).astype(np.int8)}
    risk |= {"alert|net_delta_ratio|ETH": np.zeros(rows, np.int8)}
    first = int(np.argmax(level == 2))
    events = {
        "kind": np.array(["alert"], object), "level": np.array(["critical"], object), "timestamp": stamps[[first]],
        "venue": np.array([""], object), "instrument": np.array(["health_factor"], object),
        "quantity": np.zeros(1), "price": np.zeros(1), "fee": np.zeros(1), "amount": health[[first]],
        "detail": np.array([""], object),
    }  # fmt: skip
    before = np.concatenate(([100_000.0], equity[:-1]))
    owes = np.isfinite(health)
    risk |= {"maintenance_ratio|binance": np.full(rows, 0.004)}
    risk |= {"liquidation_distance": np.where(owes, 1.0 - 1.0 / health, 1.0), "days_to_liquidation": 900.0 * owes}
    collateral, debt, perp = "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH", "binance:Perp:ETHUSDT"
    worth = {collateral: 10.0 * equity, debt: -9.0 * equity, perp: np.zeros(rows)}
    book = PositionData(
        values=worth,
        quantities={collateral: worth[collateral] / 3_100.0, debt: -worth[debt] / 3_000.0, perp: -equity / 3_000.0},
        gross=10.0 * equity, funding={"binance": parts["funding_pnl"]},
        funding_rates={perp: np.where(np.arange(rows) % 8 == 0, 1e-4, 0.0)},
        net_to_gross={"binance": np.full(rows, -1.0)},
        growth_rates={collateral: np.full(rows, 0.03), debt: np.full(rows, 0.025)},
    )  # fmt: skip
    grown = equity / 100_000.0
    return RunData(
        "levered, 2024-01-01 to 2024-01-21 UTC", "USDT", stamps, 100_000.0, equity, np.zeros(rows),
        grown / np.maximum(np.maximum.accumulate(grown), 1.0) - 1.0, parts, risk,
        {"ETH": draw.normal(0.0, 0.005, rows)}, events,
        {
            "health_factor": (1.08, 1.04), "ltv": (0.94, 0.95), "margin_ratio|binance": (0.32, 0.2),
            "net_delta_ratio|ETH": (0.03, 0.05),
        },
        returns=equity / before - 1.0, load_positions=lambda: book,
    )  # fmt: skip
