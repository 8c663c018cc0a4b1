"""Small markets by hand: a coin with perps at every venue, and a lending pool."""

from dataclasses import replace

import numpy as np

from basis.market.panel import Panel

VENUES = ("binance", "bybit", "okx")
START = "2024-05-29"  # the exchanges' tiers change on 2024-05-30


def walk(rows, seed=0, volatility=0.004, first=60_000.0, drift=0.0):
    """A random walk of prices, USDT."""
    steps = np.random.default_rng(seed).standard_normal(rows) * volatility + drift
    steps[0] = 0.0
    return first * np.exp(np.cumsum(steps))


def steady(rows, price=60_000.0):
    """A price that stays."""
    return np.full(rows, price)


def path(*points):
    """Prices through (row, price) points, linear in between."""
    rows, prices = zip(*points, strict=True)
    return np.interp(np.arange(rows[-1] + 1), rows, prices)


def market(
    spot,
    start=START,
    step=3600,
    venues=VENUES,
    basis=0.0,
    wick=0.002,
    rate=1e-4,
    every=8,
    eth=3_000.0,
    gwei=20.0,
    apr=0.1,
):
    """A panel of one coin, perps at every venue, ETH and gas.

    Parameters
    ----------
    spot : (rows,) USDT
    basis : mark over spot less 1; a number, (rows,), or either by venue
    wick : how far the hour's extremes lie beyond its two marks, fraction; a number or (rows,)
    rate : funding rate of every `every`-th row; a number, (rows,), or either by venue
    apr : what a rate rule watches, per year; a number or (rows,)
    """
    spot = np.asarray(spot, dtype=float)
    rows = len(spot)
    columns = {
        "spot|BTC": spot,
        "spot|ETH": np.broadcast_to(np.asarray(eth, dtype=float), rows),
        "gas_price_gwei": np.broadcast_to(np.asarray(gwei, dtype=float), rows),
    }
    due = (np.arange(rows) % every == 0) & (np.arange(rows) > 0)
    for venue in venues:
        key = f"{venue}:Perp:BTCUSDT"
        own = basis[venue] if isinstance(basis, dict) else basis
        mark = spot * (1.0 + own)
        before = np.concatenate((mark[:1], mark[:-1]))
        columns[f"mark|{key}"] = mark
        columns[f"high|{key}"] = np.maximum(mark, before) * (1.0 + wick)
        columns[f"low|{key}"] = np.minimum(mark, before) * (1.0 - wick)
        columns[f"high|{key}"][0] = columns[f"low|{key}"][0] = mark[0]
        rates = np.where(due, rate[venue] if isinstance(rate, dict) else rate, 0.0)
        columns[f"funding_rate|{key}"] = rates
        columns[f"funding_cash|{key}"] = rates * mark
        columns[f"funding_apr|{key}"] = np.broadcast_to(np.asarray(apr, dtype=float), rows)
    return Panel.from_columns(start, step, columns)


def pool(rows, start=START, step=3600, apr=0.05, mean=None, gwei=20.0, eth=3_000.0, index=1.1):
    """A panel of a lending pool: supply index that grows by `apr` per year, what a rate rule watches in `mean`."""
    return Panel.from_columns(
        start,
        step,
        {
            "liquidity_index|aave_v3:USDT": index * np.cumprod(np.full(rows, 1.0 + apr * step / 31_536_000)),
            "supply_apr|aave_v3:USDT": np.full(rows, apr),
            "supply_apr_mean|aave_v3:USDT": np.broadcast_to(
                np.asarray(apr if mean is None else mean, dtype=float), rows
            ),
            "spot|ETH": np.broadcast_to(np.asarray(eth, dtype=float), rows),
            "gas_price_gwei": np.broadcast_to(np.asarray(gwei, dtype=float), rows),
        },
    )


def deep(panel, volume):
    """The panel with one volume for its spot and its perps, base units an hour; their volatility is none."""
    names = [name.partition("|")[2] for name in panel.columns if name.startswith("mark|")] + ["spot|BTC"]
    known = {f"volume|{name}": np.broadcast_to(np.asarray(volume, dtype=float), len(panel)).copy() for name in names}
    return replace(panel, columns={**panel.columns, **known})


def at_row(panel, row):
    """Instant of a row, as flows name it."""
    return np.datetime_as_string(np.datetime64(int(panel.timestamps[row]), "ns"), unit="s") + "Z"


def flows(panel, *pairs):
    """Flows from (row, amount) pairs."""
    return [{"timestamp": at_row(panel, row), "amount": amount} for row, amount in pairs]
