"""The worked examples of the accounting that exchanges serve (§9 A, C1), as two-row data sets and runs.

Run as a script it prints every number of every case as hexadecimal floats, so that another process can compare bits:
`python worked_cases.py FOLDER`.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

import basis
from support.strategies import do_nothing

FIRST = datetime(2024, 3, 1, 7, tzinfo=UTC)
PERP, BTC, CASH = "binance:Perp:BTCUSDT", "binance:BaseToken:BTC", "binance:BaseToken:USDT"
#: Row 1 buys back and sells this much (example A).
PART = 0.4


def write(folder, path, first, step=timedelta(hours=1), **columns):
    """A series of a data set, from `first` on."""
    rows = len(next(iter(columns.values())))
    stamps = pd.DatetimeIndex([first + i * step for i in range(rows)]).as_unit("us")
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"timestamp": stamps, **columns}).to_parquet(file, index=False)


def bars(folder, path, opens, high=None, low=None):
    """Candles by their opens; the extremes are those of the hour that follows the open."""
    opens = np.asarray(opens, dtype=float)
    high = opens if high is None else np.asarray(high, dtype=float)
    low = opens if low is None else np.asarray(low, dtype=float)
    write(folder, path, FIRST, open=opens, high=np.maximum(high, opens), low=np.minimum(low, opens), close=opens)


def market(folder, spot, mark, rate, high=None, eth=(3000.0, 3030.0), usd=(0.9995, 1.0002)):
    """Two hours of one venue and a settlement at 08:00, row 1.

    What a run must not see is absurd: the extremes of the candle that begins in row 1, the settlement before row 0.
    """
    bars(folder, "spot/binance_btcusdt.parquet", spot)
    bars(folder, "perp/binance_btcusdt.parquet", mark, [high or mark[0], 1e9], [mark[0], 1e-9])
    bars(folder, "spot/bybit_ethusdt.parquet", eth)
    bars(folder, "spot/exchange_usdtusd.parquet", usd)
    midnight = FIRST - timedelta(hours=7)
    write(folder, "funding/binance_btcusdt.parquet", midnight, timedelta(hours=8), funding_rate=[9.0, rate])
    write(folder, "gas/ethereum.parquet", FIRST, gas_price_gwei=[20.0, 20.0])
    return folder


@basis.compiled(every_row=True)
def reduce_in_row_1(view, act, part=PART):
    """Close a part of both legs."""
    if not view.first:
        act.exit_partial("BTC", part)


ONE_VENUE = {
    "start": FIRST,
    "end": FIRST + timedelta(hours=1),
    "strategy.hedge_allocation": {"binance": 1.0, "bybit": 0.0, "okx": 0.0},
    "risk.limits": {},
    "data.sources.spot/usdtusd": ["exchange"],
    # the settlements of this market are the whole of it
    "data.min_funding_coverage": 0.0,
}


def example_a(folder, share_class):
    """30,000 USDT, +1 BTC, perp −1; .4 of both legs closed in row 1."""
    data = market(folder, (60_100.0, 60_700.0), (60_150.0, 60_680.0), 1e-4)
    book = {CASH: 30_000.0, BTC: 1.0, PERP: -1.0, f"{PERP}|cost": -60_000.0, "wallet:BaseToken:BTC": 0.0}
    overrides = ONE_VENUE | {
        "share_class": share_class,
        "venues.binance.perp_fee": {"taker": 5e-4, "maker": 7.0e-3},
        "venues.binance.spot_fee": {"taker": 10e-4, "maker": 7.0e-3},
        "venues.binance.perp_slippage": 20.0 / 60_680.0 * 1e4,
        "venues.binance.spot_slippage": 30.0 / 60_700.0 * 1e4,
    }
    return basis.backtest("btc_basis", data, overrides=overrides, positions=book, strategy=reduce_in_row_1)


def example_c1(folder, fee, size=2.0, cash=11_500.0, high=66_900.0, brackets=((1e12, 0.004, 0.0, 125.0),)):
    """A short against BTC in the wallet, liquidated inside the hour."""
    data = market(folder, (60_000.0, 64_200.0), (60_060.0, 64_250.0), 3e-4, high)
    book = {CASH: cash, "wallet:BaseToken:BTC": size, PERP: -size, f"{PERP}|cost": -60_000.0 * size}
    overrides = ONE_VENUE | {
        "venues.binance.liquidation_fee": fee,
        "venues.binance.tiers": {"BTCUSDT": {"brackets": [list(row) for row in brackets]}},
    }
    return basis.backtest("btc_basis", data, overrides=overrides, positions=book, strategy=do_nothing)


#: (largest notional, rate, amount, leverage); the amounts join the tiers at 300,000 and 800,000.
TIERS = ((300_000.0, 0.004, 0.0, 125.0), (800_000.0, 0.005, 300.0, 100.0), (1e12, 0.0065, 1_500.0, 75.0))
CASES = {
    "A, USDT": lambda folder: example_a(folder, "USDT"),
    "A, ETH": lambda folder: example_a(folder, "ETH"),
    "C1": lambda folder: example_c1(folder, 0.002),
    "C1, capped": lambda folder: example_c1(folder, 0.0125),
    "C1, tiers": lambda folder: example_c1(folder, 0.002, 10.0, 57_500.0, 67_500.0, TIERS),
}


def numbers(result):
    """Every number a case leaves, by table and column, as hexadecimal floats."""
    found = {}
    for name in ("equity", "attribution", "positions", "exposure", "risk"):
        for column, values in getattr(result, name).items():
            found[f"{name}/{column}"] = [float(v).hex() for v in values]
    events = result.events.select_dtypes("number")
    return found | {f"events/{column}": [float(v).hex() for v in events[column]] for column in events}


if __name__ == "__main__":
    root = Path(sys.argv[1])
    print(json.dumps({name: numbers(run(root / str(i))) for i, (name, run) in enumerate(CASES.items())}))
