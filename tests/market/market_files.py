"""Writes hand-made data sets of a few rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

T0 = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def hours(count: int, start: datetime = T0, step: timedelta = HOUR) -> list[datetime]:
    return [start + i * step for i in range(count)]


class Dataset:
    """Writes series of a data set under a folder; None is a null."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(
        self, path: str, stamps: Sequence[Any], unit: str = "us", zone: str | None = "UTC", **columns: Any
    ) -> Path:
        columns = {k: v if isinstance(v, pa.Array) else pa.array(list(v)) for k, v in columns.items()}
        table = pa.table({"timestamp": pa.array(stamps, pa.timestamp(unit, zone)), **columns})
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file)
        return file

    def bars(
        self,
        path: str,
        opens: Sequence[float | None],
        high: Sequence[float | None] | None = None,
        low: Sequence[float | None] | None = None,
        volume: Sequence[float | None] | None = None,
        start: datetime = T0,
        step: timedelta = HOUR,
    ) -> Path:
        """Candles whose high and low are 2 above and 2 below the open unless given; volumes 1, 2, 3, …"""
        high = [None if o is None else o + 2.0 for o in opens] if high is None else high
        low = [None if o is None else o - 2.0 for o in opens] if low is None else low
        volume = [None if o is None else i + 1.0 for i, o in enumerate(opens)] if volume is None else volume
        stamps = hours(len(opens), start, step)
        numbers = {"open": opens, "high": high, "low": low, "close": opens, "volume": volume}
        return self.write(path, stamps, **{k: pa.array(v, pa.float64()) for k, v in numbers.items()})

    def funding(self, path: str, stamps: Sequence[datetime], rates: Sequence[float | None]) -> Path:
        return self.write(path, stamps, funding_rate=pa.array(rates, pa.float64()))

    def aave(
        self,
        path: str,
        supply: Sequence[float | None],
        borrow: Sequence[float | None],
        apr: float = 0.1,
        start: datetime = T0,
    ) -> Path:
        n = len(supply)
        return self.write(
            path,
            hours(n, start, DAY),
            supply_apr=[apr] * n,
            variable_borrow_apr=[2 * apr] * n,
            liquidity_index=pa.array(supply, pa.float64()),
            variable_borrow_index=pa.array(borrow, pa.float64()),
        )

    def gas(self, prices: Sequence[float | None], lag_s: Sequence[int] | None = None, start: datetime = T0) -> Path:
        stamps = hours(len(prices), start)
        lags = [0] * len(prices) if lag_s is None else lag_s
        sampled = [s - timedelta(seconds=lag) for s, lag in zip(stamps, lags, strict=True)]
        return self.write(
            "gas/ethereum.parquet",
            stamps,
            gas_price_gwei=pa.array(prices, pa.float64()),
            sampled_at=pa.array(sampled, pa.timestamp("us", "UTC")),
        )

    def lst(self, path: str, oracle: Sequence[float], observed: Sequence[bool], market: Sequence[float | None]) -> Path:
        return self.write(
            path,
            hours(len(oracle)),
            oracle_rate_eth=oracle,
            is_observed=observed,
            market_rate_eth_median24h=pa.array(market, pa.float64()),
        )


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()
