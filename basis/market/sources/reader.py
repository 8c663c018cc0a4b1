"""Parquet files of a data set → checked numpy arrays. Imports numpy and the leaves; pyarrow only while reading.

`_stamps` is the one boundary where stamps of any unit become int64 nanoseconds UTC.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from basis.errors import DataError
from basis.files import Unreadable, is_name, open_parquet, read_bytes, read_parquet
from basis.market.sources.clock import DAY, SECOND, iso

#: Most files read at once: more of them wait for the disk or for the interpreter.
_READERS = 4
#: Nanoseconds per unit of a parquet timestamp.
UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

#: Years between which market data lie: an epoch in another unit lands far outside.
_FIRST_YEAR, _LAST_YEAR = 2009, 2100
_FIRST_SECOND, _LAST_SECOND = (
    int(np.datetime64(f"{year}-01-01", "s").astype(np.int64)) for year in (_FIRST_YEAR, _LAST_YEAR)
)
_UNIT_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

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
    checked : dict[str, numpy.ndarray]
        Further columns that no run computes with and `basis.market.checks` looks at, as far as the file has them.
    """

    path: str
    stamps: np.ndarray
    columns: dict[str, np.ndarray]
    checked: dict[str, np.ndarray] = field(default_factory=dict)

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
        """Whether the folder holds a file.

        Raises
        ------
        DataError
            Where the path is not that of a file of a data set.
        """
        return _inside(self.root, path).is_file()

    def columns(self, path: str) -> tuple[str, ...]:
        """Names of the columns of a file.

        Raises
        ------
        DataError
            Where it is no parquet file.
        """
        return tuple(_parquet(self.root, path)[1].schema_arrow.names)

    def stamps(self, path: str) -> tuple[int, np.ndarray]:
        """Number of rows of a file, and the stamps or days of its first column of times: int64 ns UTC, sorted.

        Raises
        ------
        DataError
            Where it cannot be read.
        """
        _, file = _parquet(self.root, path)
        names = [f.name for f in file.schema_arrow if str(f.type).startswith(("timestamp", "date"))]
        if not names:
            return file.metadata.num_rows, np.empty(0, np.int64)
        try:
            found, _ = ticks(read_parquet(file, names[:1]).column(0))
        except Unreadable as error:
            raise _fault(self.root, path, f"cannot be read as parquet ({error}). Write the file again.") from error
        return file.metadata.num_rows, np.sort(found)

    def fetch(self, wanted: Iterable[tuple[str, Sequence[str], Sequence[str], Sequence[str]]]) -> None:
        """Read several files (path, columns, optional, checked columns) at once, those not read yet."""
        todo = [spec for spec in wanted if _named(*spec[:3]) not in self._tables]
        if len(todo) < 2:
            for spec in todo:
                self.table(*spec)
            return
        import pyarrow.parquet  # noqa: F401  imported once here, not raced for by the workers

        with ThreadPoolExecutor(min(_READERS, len(todo))) as pool:
            # Consumed in order, so that of several defects the same one is always reported.
            read = pool.map(lambda spec: _read(self.root, *spec), todo)
            for spec, (path, digest, table) in zip(todo, read, strict=True):
                self.hashes[path], self._tables[_named(*spec[:3])] = digest, table

    def table(
        self, path: str, columns: Sequence[str], optional: Sequence[str] = (), checked: Sequence[str] = ()
    ) -> Table:
        """The columns of a file; the first call for a set of columns says what else is read for `checked`.

        Raises
        ------
        DataError
            Names the file, the column, the first offending stamp and what to do.
        """
        key = _named(path, columns, optional)
        if key not in self._tables:
            _, self.hashes[path], self._tables[key] = _read(self.root, path, columns, optional, checked)
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

    digest, read = _open(root, path, (*dates, *columns), ())
    found = {}
    for name in dates:
        column = read.column(name)
        if not pa.types.is_date32(column.type) or column.null_count:
            raise _fault(root, path, f"column {name!r} is of type {column.type}, or null. Store a day (date32) in it.")
        found[name] = _array(column.cast(pa.int32()), np.int32).astype(np.int64) * DAY
    for name in columns:
        values = _floats(root, path, name, read.column(name))
        if not (np.isfinite(values) & (values >= 0.0)).all():
            raise _fault(root, path, f"column {name!r} holds a value that is null, not finite, or below 0. Correct it.")
        found[name] = values
    return digest, found


def _fault(root: Path, path: str, what: str) -> DataError:
    return DataError(f"{path}: {what} See `basis data check {root}`.")


def _inside(root: Path, path: str) -> Path:
    """A file of a data set: a folder and a name, so that nothing outside is ever read."""
    folder, _, name = path.partition("/")
    if not (is_name(folder) and is_name(name)):
        raise DataError(f"{path} is no file of a data set. A file is named by its folder and its name, without a path.")
    return root / folder / name


def _parquet(root: Path, path: str) -> tuple[str, Any]:
    """Hash of a file, and the file."""
    place = _inside(root, path)
    try:
        content = read_bytes(place, follow_links=True)
        return hashlib.sha256(content).hexdigest(), open_parquet(content)
    except Unreadable as error:
        raise _fault(root, path, f"cannot be read as parquet ({error}). Write the file again.") from error


def _open(root: Path, path: str, columns: Sequence[str], optional: Sequence[str]) -> tuple[str, Any]:
    """Hash of a file, and its columns as they are; an optional one that is absent, or holds nulls only, is left out."""
    import pyarrow as pa

    digest, file = _parquet(root, path)
    try:
        schema = file.schema_arrow
        missing = [name for name in columns if name not in schema.names]
        if missing:
            has = ", ".join(sorted(schema.names))
            raise _fault(root, path, f"column {missing[0]!r} is missing (it has {has}). Add it under that name.")
        twice = next((name for name in (*columns, *optional) if schema.names.count(name) > 1), None)
        if twice is not None:
            raise _fault(root, path, f"column {twice!r} is there twice. Keep one of them.")
        filled = [
            n for n in dict.fromkeys(optional) if n in schema.names and not pa.types.is_null(schema.field(n).type)
        ]
        return digest, read_parquet(file, [*dict.fromkeys((*columns, *filled))])
    except Unreadable as error:
        raise _fault(root, path, f"cannot be read as parquet ({error}). Write the file again.") from error


def _read(
    root: Path, path: str, columns: Sequence[str], optional: Sequence[str], checked: Sequence[str] = ()
) -> tuple[str, str, Table]:
    digest, read = _open(root, path, ("timestamp", *columns), (*optional, *checked))
    stamps = _stamps(root, path, "timestamp", read.column("timestamp"))
    _check_order(root, path, stamps)
    present = set(read.column_names)
    used = [*columns, *(name for name in optional if name in present)]
    values = {name: _values(root, path, name, read.column(name), stamps) for name in used}
    also = {name: as_floats(read.column(name)) for name in checked if name in present and name not in values}
    also = {name: column for name, column in also.items() if column is not None}
    return path, digest, Table(path, stamps, values, also)


def far_stamp(raw: np.ndarray, unit: str) -> tuple[int, str] | None:
    """The first row whose stamp no market data can have, and what it is in words; None where there is none.

    Parameters
    ----------
    raw : (N,) int64 counts of the unit since the epoch
    unit : ``s``, ``ms``, ``us`` or ``ns``
    """
    per_second = SECOND // UNIT_NS[unit]
    far = (raw < _FIRST_SECOND * per_second) | (raw >= _LAST_SECOND * per_second)
    if not far.any():
        return None
    row = int(np.argmax(far))
    count = int(raw[row])
    year = 1970 + count // (per_second * 31_556_952)
    outside = f"{int(far.sum())} of {raw.size} rows lie outside {_FIRST_YEAR} to {_LAST_YEAR}"
    text = f"row {row} is of the year {year}; {outside}"
    for other, word in _UNIT_WORDS.items():
        second = count * UNIT_NS[other] // SECOND
        if other != unit and _FIRST_SECOND <= second < _LAST_SECOND:
            true = np.datetime_as_string(np.datetime64(second, "s"))
            return row, f"{text}. It looks like {word} read as {_UNIT_WORDS[unit]}: it would be {true}Z"
    return row, text


def ticks(column: Any) -> tuple[np.ndarray, str]:
    """Stamps or days in ns since the epoch, nulls left out; and what is wrong where one is of no market's time."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        unit, raw = kind.unit, column.drop_null().cast(pa.int64())
    elif pa.types.is_date32(kind):
        unit, raw = "s", column.drop_null().cast(pa.int32()).cast(pa.int64())
    elif pa.types.is_date64(kind):
        unit, raw = "ms", column.drop_null().cast(pa.int64())
    else:
        return np.empty(0, np.int64), ""
    counts = np.concatenate(
        [np.asarray(c.to_numpy(zero_copy_only=False), np.int64) for c in raw.chunks] or [np.empty(0, np.int64)]
    )
    if pa.types.is_date32(kind):
        counts = counts * (DAY // SECOND)
    far = far_stamp(counts, unit)
    return (np.empty(0, np.int64), far[1]) if far else (counts * UNIT_NS[unit], "")


def _stamps(root: Path, path: str, name: str, column: Any) -> np.ndarray:
    """Stamps of a file's column in int64 ns UTC, whatever unit the file has."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) and len(column):
        first = column[0].as_py()
        hint = next((w for u, w in _UNIT_WORDS.items() if _in_epoch(first, u)), None)
        what = f"column {name!r} is of type {kind}" + (f" and looks like {hint} since 1970" if hint else "")
        raise _fault(root, path, f"{what}. Store timestamps with the time zone UTC.")
    if not pa.types.is_timestamp(kind):
        raise _fault(root, path, f"column {name!r} is of type {kind}. Store timestamps with the time zone UTC.")
    if kind.tz is None:
        first = f" (first {_first(column)})" if len(column) else ""
        raise _fault(root, path, f"column {name!r} has no time zone{first}. Store UTC: timestamp[us, tz=UTC].")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise _fault(root, path, f"column {name!r} is null in row {row}. Every row needs its time; drop the row.")
    raw = _array(column.cast(pa.int64()), np.int64)
    if far := far_stamp(raw, kind.unit):
        raise _fault(root, path, f"column {name!r}: {far[1]}. Correct the unit of the stamps.")
    return raw * UNIT_NS[kind.unit]


def _in_epoch(count: Any, unit: str) -> bool:
    return isinstance(count, int) and _FIRST_SECOND <= count * UNIT_NS[unit] // SECOND < _LAST_SECOND


def _first(column: Any) -> str:
    """The first stamp of a column as text, whatever it is."""
    try:
        return str(column[0])
    except (ValueError, OverflowError):
        return "not a date"


def _array(column: Any, dtype: type) -> np.ndarray:
    """A fixed-width column as an array of its own; NaN for null. (`to_numpy` of pyarrow would import pandas.)"""
    parts = []
    for chunk in column.chunks:
        if chunk.null_count == len(chunk):
            parts.append(np.full(len(chunk), np.nan) if len(chunk) else np.empty(0, dtype))
            continue
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


def as_floats(column: Any) -> np.ndarray | None:
    """A column of numbers as float64, NaN for null; None where it is of another type.

    Integers beyond 2^53 are rounded to the nearest float, as a volume in wei is.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return None
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    return _array(column.cast(pa.float64(), safe=False), np.float64)


def _floats(root: Path, path: str, name: str, column: Any) -> np.ndarray:
    values = as_floats(column)
    if values is None:
        raise _fault(root, path, f"column {name!r} is of type {column.type}, not a number. Store float64.")
    return values


def _values(root: Path, path: str, name: str, column: Any, stamps: np.ndarray) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return _stamps(root, path, name, column)
    values = _floats(root, path, name, column)
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
