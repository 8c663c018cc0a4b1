"""A seeded synthetic market in the layout of a data set: believable, small, and not a record of anything that happened.

May import: `basis.market.sample_model`, numpy; pyarrow only inside the writer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from basis.assets import load_assets
from basis.market import sample_model as model
from basis.market.sample_model import END, EVENTS, START, Array, Columns, Event
from basis.series_kinds import LENDING, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["END", "EVENTS", "FIVE_MINUTE_MONTH", "START", "Event", "write_sample"]

FIVE_MINUTE_MONTH = (datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))  # last stamp inclusive

_SIGNAL_BARS = 72  # look-back of the example rule, in bars
_ENTER, _LEAVE = 1.0, 0.2  # hysteresis of the example rule, in standard deviations


def write_sample(directory: Path | str, seed: int = 0) -> list[Path]:
    """Write the synthetic data set under `directory` (made if need be).

    Parameters
    ----------
    directory
        Folder of the data set; nothing else in it is touched.
    seed
        The same seed gives the same bytes for one version of numpy and pyarrow.

    Returns
    -------
    list of Path
        The files, in the order of writing. Columns and units are those of a data set (`data/README.md`); stamps run
        from `START` to `END` inclusive; `EVENTS` says what the market is made to contain and when.
    """
    import pyarrow.parquet as pq

    written = []
    for name, columns in tables(seed).items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = _to_arrow(name, columns)
        encoding = {c: _encoding(c, table.schema.field(c).type) for c in table.column_names}
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=15,
            use_dictionary=[c for c, e in encoding.items() if e is None],
            column_encoding={c: e for c, e in encoding.items() if e is not None},
            write_page_checksum=True,
        )
        written.append(path)
    return written


def tables(seed: int = 0) -> dict[str, Columns]:
    """All tables by file name; a column is an array in which NaN means null, stamps are seconds since the epoch."""
    clock = model.make_clock()
    log_price, vol = model.price_paths(clock, seed)
    out: dict[str, Columns] = {}
    paths: Columns = {}
    for kind, venues in (("spot", model.SPOT), ("perp", model.PERP)):
        for name in venues:
            base = model.base_of(name)
            path = log_price[base] + model.venue_premium(clock, seed, kind, name, log_price[base], vol[base])
            paths[f"{kind}/{name}"] = path
            out[f"{kind}/{name}.parquet"] = model.bars(clock, seed, kind, name, path, log_price[base], vol[base])
    for name, price, volume in (("wethusdt", 0.0, 2.0e6), ("eigenweth", 1.2e-3, 22.0), ("ethfiweth", 9.0e-4, 12.0)):
        pool = model.pool_bars(clock, seed, name, price, volume, log_price["ETH"], vol["ETH"])
        out[f"spot/uniswapv3_{name}.parquet"] = pool
    for name in model.PERP:
        mid, perp_open = log_price[model.base_of(name)], out[f"perp/{name}.parquet"]["open"]
        out[f"funding/{name}.parquet"] = model.funding(clock, seed, name, paths[f"perp/{name}"], mid, perp_open)
    eth_usd = out["spot/bybit_ethusdt.parquet"]["open"]
    staking = {
        "weeth": model.lst(clock, seed, "weeth", 1.035, 0.0305),
        "wsteth": model.lst(clock, seed, "wsteth", 1.15, 0.0295),
    }
    for name in model.RESERVES:
        usd = eth_usd * staking[name]["oracle_rate_eth"] if name in staking else eth_usd
        out[f"aave/{name}.parquet"] = model.reserve(clock, seed, name, log_price["BTC"], usd)
    out |= {f"lst/{name}.parquet": columns for name, columns in staking.items()}
    out["gas/ethereum.parquet"] = model.gas(clock, seed, eth_usd, vol["ETH"])
    out |= _rewards(seed)
    hourly = example_signals(clock.hours[:-1], np.exp(paths["perp/binance_btcusdt"][:-1]))
    out["signals/btc_1h.parquet"] = {k: v[clock.cut] for k, v in hourly.items()}
    perp = {k: v for k, v in out["perp/binance_btcusdt.parquet"].items() if k != "trades"}
    out |= _five_minutes(seed, perp)
    return out


def _five_minutes(seed: int, hourly: Columns) -> dict[str, Columns]:
    """A month of 5-minute bars that add up to the hourly ones, and signals on them."""
    rng = model.stream(seed, "five minutes")
    warm_up = timedelta(hours=24)
    first, last = (int(t.timestamp()) for t in (FIVE_MINUTE_MONTH[0] - warm_up, FIVE_MINUTE_MONTH[1]))
    hour = {k: v[(hourly["timestamp"] >= first) & (hourly["timestamp"] <= last)] for k, v in hourly.items()}
    n = hour["open"].size
    steps = rng.standard_normal((n, 12)) * np.log(hour["high"] / hour["low"])[:, None] / 4.5
    walk = np.concatenate((np.zeros((n, 1)), np.cumsum(steps, axis=1)), axis=1)
    bridge = walk - np.linspace(0, 1, 13) * (walk[:, -1:] - np.log(hour["close"] / hour["open"])[:, None])
    path = np.clip(hour["open"][:, None] * np.exp(bridge), hour["low"][:, None], hour["high"][:, None])
    path = np.round(path * 2) / 2
    path[:, -1] = hour["close"]
    open_, close = path[:, :-1], path[:, 1:]
    reach = np.abs(rng.standard_normal((2, n, 12))) * np.abs(steps).mean(axis=1)[None, :, None] * open_ / 2
    high = np.minimum(np.round((np.maximum(open_, close) + reach[0]) * 2) / 2, hour["high"][:, None])
    low = np.maximum(np.round((np.minimum(open_, close) - reach[1]) * 2) / 2, hour["low"][:, None])
    rows = np.arange(n)
    high[rows, high.argmax(axis=1)] = hour["high"]
    low[rows, low.argmin(axis=1)] = hour["low"]
    share = rng.dirichlet(np.full(12, 4.0), n) * np.sqrt(high - low + 1)
    share /= share.sum(axis=1, keepdims=True)
    bars = {
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": np.round(share * hour["volume"][:, None], 1),
    }
    bars["quote_volume"] = np.round(bars["volume"] * (open_ + close) / 2)
    flat = {"timestamp": first + 300 * np.arange(12 * n)} | {k: v.ravel() for k, v in bars.items()}
    signals = example_signals(flat["timestamp"], flat["open"])
    keep = (flat["timestamp"] >= first + int(warm_up.total_seconds())) & (flat["timestamp"] <= last)
    return {
        "perp_5m/binance_btcusdt.parquet": {k: v[keep] for k, v in flat.items()},
        "signals/btc_5m.parquet": {k: v[keep] for k, v in signals.items()},
    }


def example_signals(stamps: Array, open_: Array) -> Columns:
    """Example rule: follow the return over the last `_SIGNAL_BARS` bars while it is large against its noise.

    Everything at a stamp is made of openings up to that stamp, so it is known when the bar opens. `sd` is the
    standard deviation of one bar's return over the look-back, as a fraction of the price; confidence lies in [0, 1).
    """
    returns = np.diff(np.log(open_), prepend=np.log(open_[0]))
    windows = np.lib.stride_tricks.sliding_window_view(returns, _SIGNAL_BARS)
    sd = np.concatenate((np.full(_SIGNAL_BARS - 1, np.nan), np.sqrt((windows**2).mean(axis=1))))
    total = np.concatenate((np.full(_SIGNAL_BARS - 1, np.nan), windows.sum(axis=1)))
    score = np.nan_to_num(total / (sd * np.sqrt(_SIGNAL_BARS)))
    signal = np.zeros(score.size, dtype=np.int64)
    for i in range(1, score.size):
        held = signal[i - 1] if abs(score[i]) > _LEAVE and np.sign(score[i]) == signal[i - 1] else 0
        signal[i] = np.sign(score[i]) if abs(score[i]) > _ENTER else held
    return {
        "timestamp": stamps,
        "signal": signal,
        "confidence": np.round(np.tanh(np.abs(score)), 4),
        "sd": np.round(sd, 6),
    }


def _days(*dates: date) -> Array:
    return np.array([(d - date(1970, 1, 1)).days for d in dates], dtype=np.int64)


def _rewards(seed: int) -> dict[str, Columns]:
    """Weekly EIGEN, seven ETHFI top-ups, five seasons as ranges, and a daily table of yields."""
    rng = model.stream(seed, "rewards")
    monday = date(2024, 1, 1)
    weeks = [monday + timedelta(days=7 * i) for i in range(104)]
    n = len(weeks)
    progress = np.linspace(0, 1, n)
    restaked = np.round(1.3e6 * (1 + 0.6 * progress) * np.exp(0.02 * rng.standard_normal(n)))
    idle = np.round(restaked * np.clip(0.25 - 0.18 * progress + 0.01 * rng.standard_normal(n), 0.03, None))
    per_unit = 0.17 * np.exp(0.06 * rng.standard_normal(n))
    earned = np.round(per_unit * (restaked + idle))
    eigen = {
        "period_start": _days(*weeks),
        "period_end": _days(*(w + timedelta(days=6) for w in weeks)),
        "period_days": np.full(n, 7),
        "eigen_earned": earned,
        "eth_restaked": restaked,
        "eth_not_restaked": idle,
        "eigen_per_eeth_stated": np.round(per_unit, 3),
        "eigen_per_eeth_computed": earned / (restaked + idle),
    }
    starts = [monday + timedelta(days=63 + 98 * i) for i in range(7)]
    topups = {
        "payout_date": _days(*(s + timedelta(days=18) for s in starts)),
        "period_start": _days(*starts),
        "period_end": _days(*(s + timedelta(days=13) for s in starts)),
        "ethfi_amount": np.round(rng.uniform(4.5e5, 6.0e5, 7), -3),
        "ethfi_per_eeth": np.round(rng.uniform(0.2, 0.3, 7), 3),
    }
    opens = [monday + timedelta(days=140 * i) for i in range(5)]
    low = np.round(rng.uniform(0.001, 0.002, 5), 4)
    seasons = {
        "season": np.arange(1, 6),
        "start_date": _days(*opens),
        "end_date": _days(*(s + timedelta(days=120) for s in opens)),
        "payout_date": _days(*(s + timedelta(days=135) for s in opens)),
        "ethfi_per_eeth_low": np.round(rng.uniform(4, 7, 5)),
        "ethfi_per_eeth_high": np.round(rng.uniform(12, 16, 5)),
        "stated_yield_low": low,
        "stated_yield_high": np.round(3 * low, 4),
    }
    days = (END - START).days + 1
    apy = {
        "timestamp": int(START.timestamp()) + 86_400 * np.arange(days),
        "base_apy": np.round(0.031 + 0.002 * rng.standard_normal(days), 4),
        "reward_apy": np.round(0.010 + 0.001 * rng.standard_normal(days), 4),
    }
    return {
        "rewards/eigen_distributions.parquet": eigen,
        "rewards/ethfi_topups.parquet": topups,
        "rewards/ethfi_seasons_estimated.parquet": seasons,
        "rewards/eeth_apy_daily.parquet": apy,
    }


_STAMPS = {"timestamp", "sampled_at", "source_stamp"}
_DATES = {"period_start", "period_end", "payout_date", "start_date", "end_date"}
_INTEGERS = {"trades", "block_number", "sample_lag_s", "period_days", "season", "signal"}
_UNITS = {
    "trades": "count",
    "volume_contracts": "contracts of 0.01 BTC or 0.1 ETH",
    "funding_rate": "fraction of notional per 8h interval; >0: longs pay shorts",
    "perp_open": "USDT; open of the same venue's perp bar at timestamp, stand-in for the mark price",
    "source_stamp": "timestamp + 8h",
    "block_number": "Ethereum block (synthetic)",
    "supply_apr": "fraction per year, linear accrual",
    "variable_borrow_apr": "fraction per year, per-second compounding",
    "liquidity_index": "cumulative supply growth",
    "variable_borrow_index": "cumulative borrow growth",
    "utilization": "total_variable_debt/total_supplied",
    "oracle_rate_eth": "ETH per token",
    "is_observed": "true at 00:00; other hours repeat it",
    "market_rate_eth_median24h": "WETH per token, trailing 24h median of a pool price",
    "sampled_at": "time of the sampled block",
    "sample_lag_s": "seconds from sampled block to label",
    "is_fresh": "|lag| < 1800 s",
    "eth_usd": "USDT; open of the Bybit ETHUSDT spot bar at timestamp",
    "signal": "-1 short, 0 flat, 1 long",
    "confidence": "0 to 1",
    "sd": "standard deviation of one bar's return, fraction of the price",
    "period_days": "days, inclusive",
    "season": "number",
}


def _unit(file: str, column: str) -> str:
    """Unit of a column, as written into the field metadata."""
    folder, _, stem = file.removesuffix(".parquet").partition("/")
    if column in _UNITS:
        return _UNITS[column]
    if column == "timestamp":
        return "bar open time, UTC" if folder in ("spot", "perp", "perp_5m") else "UTC"
    if column in _DATES:
        return "UTC day"
    if column.endswith("_gwei"):
        return "gwei"
    if kind_of(folder) == LENDING:
        token = load_assets().symbol_of_file(stem)
        return f"USD per {token}" if column == "oracle_price_usd" else token
    if folder in ("spot", "perp", "perp_5m"):
        pair = stem.split("_")[1].upper()
        quote = "USDT" if pair.endswith("USDT") else "WETH"
        base = pair.removesuffix(quote)
        return {"volume": base, "quote_volume": quote}.get(column, f"{quote} per {base}")
    return {
        "eigen_earned": "EIGEN",
        "eth_restaked": "ETH",
        "eth_not_restaked": "ETH",
        "eigen_per_eeth_stated": "EIGEN per eETH",
        "eigen_per_eeth_computed": "EIGEN per eETH over the period; eigen_earned/(eth_restaked+eth_not_restaked)",
        "ethfi_amount": "ETHFI",
        "base_apy": "fraction per year",
        "reward_apy": "fraction per year",
    }.get(column, "ETHFI per eETH" if column.startswith("ethfi") else "fraction, not annualised")


def _to_arrow(file: str, columns: Columns) -> pa.Table:
    """The table with the dtypes of a data set; NaN becomes null."""
    import pyarrow as pa

    arrays, fields = [], []
    for name, values in columns.items():
        null = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.size, dtype=bool)
        if name in _STAMPS:
            kind, filled = pa.timestamp("us", tz="UTC"), np.where(null, 0, values).astype(np.int64) * 1_000_000
        elif name in _DATES:
            kind, filled = pa.date32(), values.astype(np.int32)
        elif name in _INTEGERS:
            kind, filled = pa.int64(), np.where(null, 0, values).astype(np.int64)
        elif values.dtype.kind == "b":
            kind, filled = pa.bool_(), values
        else:
            kind, filled = pa.float64(), np.where(null, 0.0, values.astype(np.float64))
        arrays.append(pa.array(filled, mask=null if null.any() else None).cast(kind))
        fields.append(pa.field(name, kind, metadata={"unit": _unit(file, name)}))
    return pa.table(arrays, schema=pa.schema(fields))


def _encoding(column: str, kind: pa.DataType) -> str | None:
    """Encoding that packs a column well; None is a dictionary."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind) or (pa.types.is_integer(kind) and column != "signal"):
        return "DELTA_BINARY_PACKED"
    if pa.types.is_float64(kind) and column not in ("oracle_rate_eth", "confidence"):
        return "BYTE_STREAM_SPLIT"
    return None if not pa.types.is_boolean(kind) else "PLAIN"
