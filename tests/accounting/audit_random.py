"""Markets and books drawn at random, wild enough that everything happens within days."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = 96
VENUES = ("binance", "bybit")
INSTRUMENTS = [
    "binance:BaseToken:BTC",
    "wallet:BaseToken:BTC",
    "wallet:BaseToken:USDT",
    "wallet:BaseToken:ETH",
    *(f"{venue}:{rest}" for venue in VENUES for rest in ("BaseToken:USDT", "Perp:BTCUSDT", "Perp:ETHUSDT")),
    "aave_v3:aToken:USDT",
]


def write(folder, path, stamps, **columns):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    index = pd.DatetimeIndex(stamps).as_unit("us")
    pd.DataFrame({"timestamp": index, **columns}).to_parquet(file, index=False)


def _bars(rng, opens):
    """Candles around given opens, some with long wicks."""
    close = np.append(opens[1:], opens[-1])
    wick = rng.exponential(0.004, (2, len(opens))) * np.where(rng.random((2, len(opens))) < 0.05, 12.0, 1.0)
    return {
        "open": opens,
        "high": np.maximum(opens, close) * (1.0 + wick[0]),
        "low": np.minimum(opens, close) / (1.0 + wick[1]),
        "close": close,
    }


def make_market(folder, seed):
    """A data set of a few days: jumps, wicks, funding at odd instants, holes that another venue fills."""
    rng = np.random.default_rng(seed)
    hours = [FIRST + timedelta(hours=i) for i in range(ROWS)]
    for asset, start in (("btc", 60_000.0), ("eth", 3_000.0)):
        steps = rng.standard_t(3, ROWS) * 0.01
        spot = start * np.exp(np.cumsum(steps) - steps[0])
        bars = _bars(rng, spot)
        hole = rng.random(ROWS) < 0.1
        hole[0] = False
        for venue in VENUES:
            gone = hole if venue == "binance" else np.zeros(ROWS, bool)
            noisy = spot * (1.0 + rng.normal(0.0, 1e-4, ROWS)) if venue == "bybit" else spot
            own = bars if venue == "binance" else _bars(rng, noisy)
            perp = _bars(rng, noisy * (1.0 + rng.normal(0.0, 2e-3, ROWS)))
            for kind, candles in (("spot", own), ("perp", perp)):
                there = {name: np.where(gone, np.nan, values) for name, values in candles.items()}
                write(folder, f"{kind}/{venue}_{asset}usdt.parquet", hours, **there)
            stamps = [FIRST + timedelta(hours=4 * i, milliseconds=int(rng.integers(0, 300))) for i in range(ROWS // 4)]
            rate = rng.normal(0.0, 1e-3, len(stamps))
            write(folder, f"funding/{venue}_{asset}usdt.parquet", stamps, funding_rate=rate)
    write(
        folder,
        "gas/ethereum.parquet",
        hours,
        gas_price_gwei=rng.lognormal(3.0, 1.0, ROWS),
        sampled_at=pd.DatetimeIndex([h - timedelta(seconds=int(rng.integers(0, 3600))) for h in hours]).as_unit("us"),
    )
    days = ROWS // 24
    apr = rng.uniform(0.0, 0.5, days)
    write(
        folder,
        "aave/usdt.parquet",
        [FIRST + timedelta(days=i) for i in range(days)],
        supply_apr=apr,
        variable_borrow_apr=apr,
        liquidity_index=1.05 * np.cumprod(1.0 + apr / 365.0),
        variable_borrow_index=1.05 * np.cumprod(1.0 + apr / 365.0),
    )
    write(
        folder,
        "spot/exchange_usdtusd.parquet",
        hours,
        open=1.0 + rng.normal(0.0, 1e-3, ROWS),
    )
    return folder


def _tiers(rng):
    """Brackets whose maintenance margin has no jump."""
    edges = np.cumsum(rng.uniform(5e3, 5e4, 3))
    rates = np.cumsum(rng.uniform(0.002, 0.03, 4))
    amounts = np.concatenate(([0.0], np.cumsum(np.diff(rates) * edges)))
    leverage = [100.0, 50.0, 25.0, 10.0]
    return [[float(e), float(r), float(a), x] for e, r, a, x in zip((*edges, 1e12), rates, amounts, leverage)]


def make_case(seed):
    """Overrides and starting book of a run over `make_market(…, seed)`."""
    rng = np.random.default_rng(seed + 1_000)
    share = ("USDT", "ETH")[seed % 2]
    unit = 1.0 if share == "USDT" else 1.0 / 3_000.0
    # terms change in the middle of the run, tiers and fees of one venue each
    later = FIRST + timedelta(hours=int(rng.integers(20, 70)))
    dated = [{"from": FIRST, "source": "test"}, {"from": later, "source": "test"}]
    flows = [
        {
            "timestamp": FIRST + timedelta(minutes=int(rng.integers(60, 60 * (ROWS - 12)))),
            "amount": float(unit * rng.choice([-1.0, 1.0]) * rng.uniform(100.0, 30_000.0)),
        }
        for _ in range(4)
    ]
    overrides = {
        "share_class": share,
        "start": FIRST,
        "end": FIRST + timedelta(hours=ROWS - 1),
        "fill": str(rng.choice(["same_bar", "next_bar"])),
        "close_at_end": bool(rng.random() < 0.5),
        "instruments": INSTRUMENTS,
        "flows": flows,
        "risk.limits": {
            "margin_ratio": {"warning": 0.3, "critical": 0.05},
            "net_delta_ratio|BTC": {"warning": 0.1, "critical": 0.5},
            "drawdown": {"warning": 0.01, "critical": 0.9},
        },
        "strategy.hedge_allocation": {"binance": 0.6, "bybit": 0.4},
        "strategy.margin_ratio_target": float(rng.uniform(0.1, 0.8)),
        "strategy.rebalance": bool(rng.random() < 0.7),
        "transfers.instant": bool(rng.random() < 0.2),
        "costs.enabled": bool(rng.random() < 0.9),
        "data.sources": {
            **{f"spot/{a}usdt": ["binance", "bybit"] for a in ("btc", "eth")},
            **{f"perp/binance_{a}usdt": ["binance", "bybit"] for a in ("btc", "eth")},
            "spot/usdtusd": ["exchange"],
        },
        "data.min_funding_coverage": 0.0,
        "venues.binance.tiers": {s: [{**d, "brackets": _tiers(rng)} for d in dated] for s in ("BTCUSDT", "ETHUSDT")},
        "venues.bybit.perp_fee": [{**d, "taker": float(rng.uniform(-1e-4, 2e-3)), "maker": 0.0} for d in dated],
        "venues.bybit.perp_slippage": {"default": [[20_000.0, 2.0], [60_000.0, 9.0], [None, 30.0]]},
        "venues.binance.liquidation_fee": float(rng.choice([1e-4, 0.0125])),
        "venues.bybit.latency": {"deposit": "95m", "withdrawal": "3h"},
    }
    q = rng.normal(0.0, 8.0, 2)
    book = {
        "wallet:BaseToken:USDT": 60_000.0,
        # a little ETH beside USDT pays part of the gas
        "wallet:BaseToken:ETH": float(rng.choice([0.0, 0.002, 3.0])) if share == "USDT" else 3.0,
        "wallet:BaseToken:BTC": float(rng.uniform(0.0, 0.1)),
        "aave_v3:aToken:USDT": 5_000.0,
        "binance:BaseToken:USDT": 4_000.0,
        "bybit:BaseToken:USDT": 4_000.0,
    }
    for venue, units in zip(VENUES, q):
        key = f"{venue}:Perp:ETHUSDT"
        book |= {key: float(units), f"{key}|cost": float(units) * 3_000.0 * float(rng.uniform(0.98, 1.02))}
    return overrides, book
