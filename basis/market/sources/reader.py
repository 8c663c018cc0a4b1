"""Parquet files of a data set → checked numpy arrays. Imports numpy, `basis.errors`; pyarrow only while reading.

`_stamps` is the one boundary where stamps of any unit become int64 nanoseconds UTC.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from basis.errors import DataError
from basis.market.sources.clock import DAY, iso

#: Most files read at once: more of them wait for the disk or for the interpreter.
_READERS = 4
#: Nanoseconds per unit of a parquet timestamp.
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

#: What a column must satisfy, and in words; columns not named only have to be finite.
_POSITIVE = frozenset(
    {"open", "high", "low", "close", "liquidity_index", "variable_borrow_index", "oracle_rate_eth"}
    | {"market_rate_eth_median24h"}
)
_NOT_NEGATIVE = frozenset({"volume", "gas_price_gwei", "sd"})


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one file.

    Attributes
    ----------
    path : str
        Path inside the data folder.
    stamps : numpy.ndarray
        (N,) int64, ns UTC, strictly increasing.
    columns : dict[str, numpy.ndarray]
        (N,) float64, NaN where the file has a null; columns of times are int64 ns.
    """

    path: str
    stamps: np.ndarray
    columns: dict[str, np.ndarray]

    def only(self, mask: np.ndarray) -> "Table":
        """The rows of a mask."""
        return Table(self.path, self.stamps[mask], {name: values[mask] for name, values in self.columns.items()})


class DataFolder:
    """A data folder; each file is read, hashed and checked once.

    Raises
    ------
    DataError
        Where the folder does not exist.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(
                f"Data folder {self.root} does not exist. Give a folder with spot/, perp/, funding/, … by --data or "
                "BASIS_DATA_DIR, or make the sample by `basis data sample`."
            )
        self.hashes: dict[str, str] = {}
        self._tables: dict[tuple[str, ...], Table] = {}

    def has(self, path: str) -> bool:
        """Whether the folder holds a file."""
        return (self.root / path).is_file()

    def columns(self, path: str) -> tuple[str, ...]:
        """Names of the columns of a file.

        Raises
        ------
        DataError
            Where it is no parquet file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return tuple(pq.read_schema(self.root / path).names)
        except (pa.ArrowException, OSError) as error:
            raise _fault(self.root, path, f"cannot be read as parquet ({error}). Write the file again.") from error

    def fetch(self, wanted: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> None:
        """Read several files (path, columns, optional columns) at once, those not read yet."""
        todo = [spec for spec in wanted if _named(*spec) not in self._tables]
        if len(todo) < 2:
            for spec in todo:
                self.table(*spec)
            return
        import pyarrow.parquet  # noqa: F401  imported once here, not raced for by the workers

        with ThreadPoolExecutor(min(_READERS, len(todo))) as pool:
            # Consumed in order, so that of several defects the same one is always reported.
            read = pool.map(lambda spec: _read(self.root, *spec), todo)
            for spec, (path, digest, table) in zip(todo, read, strict=True):
                self.hashes[path], self._tables[_named(*spec)] = digest, table

    def table(self, path: str, columns: Sequence[str], optional: Sequence[str] = ()) -> Table:
        """The checked columns of a file.

        Raises
        ------
        DataError
            Names the file, the column, the first offending stamp and what to do.
        """
        key = _named(path, columns, optional)
        if key not in self._tables:
            _, self.hashes[path], self._tables[key] = _read(self.root, path, columns, optional)
        return self._tables[key]


def _named(path: str, columns: Sequence[str], optional: Sequence[str]) -> tuple[str, ...]:
    return (path, *columns, "", *optional)


def read_days(root: Path, path: str, dates: Sequence[str], columns: Sequence[str]) -> tuple[str, dict[str, np.ndarray]]:
    """Hash of a file, and its columns by name: dates as int64 ns of their 00:00 UTC, numbers as float64.

    Raises
    ------
    DataError
        Names the file, the column and what to do.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = (root / path).read_bytes()
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        present = set(file.schema_arrow.names)
        missing = [name for name in (*dates, *columns) if name not in present]
        if missing:
            has = ", ".join(sorted(present))
            raise _fault(root, path, f"column {missing[0]!r} is missing (it has {has}). Add it under that name.")
        read = file.read(columns=[*dict.fromkeys((*dates, *columns))], use_threads=False)
    except pa.ArrowException as error:
        raise _fault(root, path, f"cannot be read as parquet ({error}). Write the file again.") from error
    found = {}
    for name in dates:
        column = read.column(name)
        if not pa.types.is_date32(column.type) or column.null_count:
            raise _fault(root, path, f"column {name!r} is of type {column.type}, or null. Store a day (date32) in it.")
        found[name] = _array(column.cast(pa.int32()), np.int32).astype(np.int64) * DAY
    for name in columns:
        values = read.column(name).cast(pa.float64()).to_numpy()
        if not (np.isfinite(values) & (values >= 0.0)).all():
            raise _fault(root, path, f"column {name!r} holds a value that is null, not finite, or below 0. Correct it.")
        found[name] = values
    return hashlib.sha256(content).hexdigest(), found


def _fault(root: Path, path: str, what: str) -> DataError:
    return DataError(f"{path}: {what} See `basis data check {root}`.")


def _read(root: Path, path: str, columns: Sequence[str], optional: Sequence[str]) -> tuple[str, str, Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = (root / path).read_bytes()
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        present = set(file.schema_arrow.names)
        missing = [name for name in ("timestamp", *columns) if name not in present]
        if missing:
            has = ", ".join(sorted(present))
            raise _fault(root, path, f"column {missing[0]!r} is missing (it has {has}). Add it under that name.")
        names = ["timestamp", *columns, *(name for name in optional if name in present)]
        read = file.read(columns=names, use_threads=False)
    except pa.ArrowException as error:
        raise _fault(root, path, f"cannot be read as parquet ({error}). Write the file again.") from error
    stamps = _stamps(root, path, "timestamp", read.column("timestamp"))
    _check_order(root, path, stamps)
    values = {name: _values(root, path, name, read.column(name), stamps) for name in names[1:]}
    return path, hashlib.sha256(content).hexdigest(), Table(path, stamps, values)


def _stamps(root: Path, path: str, name: str, column: Any) -> np.ndarray:
    """Stamps of a file's column in int64 ns UTC, whatever unit the file has."""
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_timestamp(kind):
        raise _fault(root, path, f"column {name!r} is of type {kind}. Store timestamps with the time zone UTC.")
    if kind.tz is None:
        first = f" (first {column[0]})" if len(column) else ""
        raise _fault(root, path, f"column {name!r} has no time zone{first}. Store UTC: timestamp[us, tz=UTC].")
    if column.null_count:
        row = column.to_pylist().index(None)
        raise _fault(root, path, f"column {name!r} is null in row {row}. Every row needs its time; drop the row.")
    return _array(column.cast(pa.int64()), np.int64) * _UNIT_NS[kind.unit]


def _array(column: Any, dtype: type) -> np.ndarray:
    """A fixed-width column as an array of its own; NaN for null. (`to_numpy` of pyarrow would import pandas.)"""
    parts = []
    for chunk in column.chunks:
        data = np.frombuffer(chunk.buffers()[1], dtype=dtype, count=chunk.offset + len(chunk))[chunk.offset :]
        if chunk.null_count:
            validity = np.frombuffer(chunk.buffers()[0], dtype=np.uint8)
            valid = np.unpackbits(validity, bitorder="little")[chunk.offset : chunk.offset + len(chunk)]
            data = np.where(valid, data, np.nan)
        parts.append(data)
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _check_order(root: Path, path: str, stamps: np.ndarray) -> None:
    steps = np.diff(stamps)
    if stamps.size == 0:
        raise _fault(root, path, "has no rows. Fill it or remove it.")
    if not (steps > 0).all():
        row = int(np.argmax(steps <= 0)) + 1
        what = "is duplicated; keep one row per stamp." if steps[row - 1] == 0 else "comes after a later one; sort it."
        raise _fault(root, path, f"column 'timestamp': {iso(stamps[row])} {what}")


def _values(root: Path, path: str, name: str, column: Any, stamps: np.ndarray) -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        return _stamps(root, path, name, column)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise _fault(root, path, f"column {name!r} is of type {kind}, not a number. Store float64.")
    values = _array(column.cast(pa.float64()), np.float64)
    wrong, rule = np.isinf(values), "finite"
    if name in _POSITIVE:
        wrong, rule = wrong | (values <= 0.0), "> 0 and finite"
    elif name in _NOT_NEGATIVE:
        wrong, rule = wrong | (values < 0.0), ">= 0 and finite"
    elif name == "signal":
        wrong, rule = ~np.isin(values, (-1.0, 0.0, 1.0)) & ~np.isnan(values), "-1, 0 or 1"
    elif name == "confidence":
        wrong, rule = (values < 0.0) | (values > 1.0), "from 0 to 1"
    if wrong.any():
        row = int(np.argmax(wrong))
        what = (
            f"column {name!r} is {values[row]:g} at {iso(stamps[row])}, but must be {rule}. Correct it or make it null."
        )
        raise _fault(root, path, what)
    return values
