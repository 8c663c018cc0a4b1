"""A few days of the sample, and ways to damage a copy of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Range of the small data set, and a window inside it.
FIRST, LAST = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 9, tzinfo=UTC)
START, END = "2024-05-04", "2024-05-07"
WINDOW = ["--start", START, "--end", END]

SPOT = ("spot/binance_btcusdt", "spot/bybit_btcusdt")
FUNDING = ("funding/binance_btcusdt", "funding/bybit_btcusdt", "funding/okx_btcusdt")
SERIES = (
    *SPOT,
    "spot/bybit_ethusdt",
    "perp/binance_btcusdt",
    "perp/bybit_btcusdt",
    "perp/okx_btcusdt",
    *FUNDING,
    "gas/ethereum",
    "aave/usdt",
)


def cut(sample: Path, folder: Path) -> Path:
    """Copy `SERIES` between `FIRST` and `LAST` from the sample."""
    for name in SERIES:
        table = pq.read_table(sample / f"{name}.parquet")
        stamps = table.column("timestamp")
        inside = pc.and_(pc.greater_equal(stamps, pa.scalar(FIRST)), pc.less_equal(stamps, pa.scalar(LAST)))
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.filter(inside), path)
    return folder


def damage(folder: Path, series: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a series again as `change` makes it."""
    path = folder / f"{series}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def nulled(first: str, last: str, *columns: str) -> Callable[[pa.Table], pa.Table]:
    """Columns (all but the stamp where none is named) are null from `first` to `last` inclusive."""

    def change(table: pa.Table) -> pa.Table:
        stamps = _stamps(table)
        hole = (stamps >= np.datetime64(first, "us")) & (stamps <= np.datetime64(last, "us"))
        for name in columns or [name for name in table.column_names if name != "timestamp"]:
            column = table.column(name).combine_chunks()
            table = _with(table, name, pc.if_else(pa.array(hole), pa.scalar(None, column.type), column))
        return table

    return change


def with_value(column: str, row: int, value: float) -> Callable[[pa.Table], pa.Table]:
    """One value is another."""

    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        return _with(table, column, pa.array(values, table.schema.field(column).type))

    return change


def twice(row: int) -> Callable[[pa.Table], pa.Table]:
    """One row stands there twice."""
    return lambda table: pa.concat_tables([table.slice(0, row + 1), table.slice(row)])


def swapped(row: int) -> Callable[[pa.Table], pa.Table]:
    """Two neighbouring rows in the wrong order."""

    def change(table: pa.Table) -> pa.Table:
        order = list(range(table.num_rows))
        order[row], order[row + 1] = order[row + 1], order[row]
        return table.take(order)

    return change


def naive(table: pa.Table) -> pa.Table:
    """Stamps without a time zone."""
    return _with(table, "timestamp", pa.array(_stamps(table)))


def without(column: str) -> Callable[[pa.Table], pa.Table]:
    """A column is missing."""
    return lambda table: table.drop_columns([column])


def _stamps(table: pa.Table) -> Any:
    return table.column("timestamp").combine_chunks().cast(pa.int64()).to_numpy().astype("datetime64[us]")


def _with(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)
