"""A table of a run: named numpy columns with units, to and from parquet and frames. Imports numpy and the leaves.

pyarrow, pandas and polars are imported on use. Columns are handed to pyarrow as buffers, because its own conversion
from numpy imports pandas, which a run from the command line does not need.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from basis.errors import InputError
from basis.files import Unreadable, open_parquet, read_parquet

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

#: Columns of instants: datetime64[us], UTC.
STAMPS = ("timestamp", "effective_at")
#: Types of a column in a file.
_KINDS = ("double", "int64", "int8", "string", "timestamp[us, tz=UTC]")


@dataclass(frozen=True)
class Text:
    """A column of texts: row i holds ``labels[codes[i]]``."""

    codes: np.ndarray
    labels: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> "Text":
        """From one text per row."""
        seen: dict[str, int] = {}
        codes = np.fromiter((seen.setdefault(v, len(seen)) for v in values), np.int32, len(values))
        return cls(codes, tuple(seen))

    def __len__(self) -> int:
        return self.codes.size

    def values(self) -> np.ndarray:
        """One object per row."""
        return np.array([*self.labels, ""], dtype=object)[self.codes]


Column = np.ndarray | Text


@dataclass(frozen=True)
class Table:
    """Columns of one file of the run folder.

    Attributes
    ----------
    name : str
        File name without its ending.
    columns : dict[str, numpy.ndarray | Text]
        All of one length; `STAMPS` are datetime64[us] in UTC.
    units : dict[str, str]
        Unit of every column.
    """

    name: str
    columns: dict[str, Column]
    units: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, column: str) -> np.ndarray:
        values = self.columns.get(column)
        if values is None:
            raise InputError(f"The table {self.name} of the run has no column {column!r}.")
        return values.values() if isinstance(values, Text) else values

    def with_texts(self, column: str, values: Sequence[str]) -> "Table":
        """A table whose column holds other texts."""
        return Table(self.name, {**self.columns, column: Text.of(list(values))}, self.units)

    # --- parquet ---------------------------------------------------------------------------------------------------

    def write(self, path: Path) -> None:
        """Write zstd parquet with the units as field metadata ``unit``."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = [_to_arrow(values) for values in self.columns.values()]
        fields = [
            pa.field(name, array.type, nullable=False, metadata={b"unit": self.units[name].encode()})
            for name, array in zip(self.columns, arrays, strict=True)
        ]
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        texts = [name for name, values in self.columns.items() if isinstance(values, Text)]
        pq.write_table(table, path, compression="zstd", use_dictionary=texts, write_page_checksum=True)  # pyright: ignore

    @classmethod
    def parse(cls, name: str, content: bytes) -> "Table":
        """A table of the bytes that `write` wrote.

        Raises
        ------
        Unreadable
            If they are no such table.
        """
        table = read_parquet(open_parquet(content))
        names = table.schema.names
        wrong = next((f.name for f in table.schema if not _is_known(f)), None)
        if wrong is not None or len(set(names)) < len(names):
            raise Unreadable(f"column {wrong} is of another type" if wrong is not None else "two columns have one name")
        if any(column.null_count for column in table.columns):
            raise Unreadable("a value is null")
        units = {f.name: (f.metadata or {}).get(b"unit", b"").decode(errors="replace") for f in table.schema}
        return cls(name, {name: _from_arrow(table.column(name)) for name in names}, units)

    # --- frames ----------------------------------------------------------------------------------------------------

    def to_pandas(self, index: bool = True) -> "pd.DataFrame":
        """A frame on a UTC index named ``timestamp`` (or a running one), the units in ``.attrs['units']``."""
        import pandas as pd

        from basis.results.frame import Frame

        frame = Frame(
            {name: _zoned(values) for name, values in self.columns.items() if not (index and name == "timestamp")}
        )
        if index:
            frame.index = pd.DatetimeIndex(_zoned(self.columns["timestamp"]), name="timestamp")
        frame.attrs["units"] = {name: unit for name, unit in self.units.items() if name in frame.columns}
        return frame

    def to_polars(self) -> "pl.DataFrame":
        """A polars frame, ``timestamp`` a column."""
        import polars as pl

        made = {
            name: pl.Series(name, values.values().tolist(), dtype=pl.String)
            if isinstance(values, Text)
            else pl.Series(name, values)
            for name, values in self.columns.items()
        }
        zoned = [pl.col(name).dt.replace_time_zone("UTC") for name in STAMPS if name in made]
        return pl.DataFrame(made).with_columns(zoned)


def _zoned(values: Column) -> Any:
    import pandas as pd

    if isinstance(values, Text):
        return pd.array(values.values(), dtype="str")
    return pd.DatetimeIndex(values, tz="UTC") if values.dtype.kind == "M" else values


def _to_arrow(values: Column) -> "pa.Array":
    import pyarrow as pa

    if isinstance(values, Text):
        texts = [label.encode() for label in values.labels] or [b""]
        ends = np.concatenate(([0], np.cumsum([len(text) for text in texts]))).astype(np.int32)
        labels = pa.Array.from_buffers(
            pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
        )
        codes = pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values.codes))])
        return pa.DictionaryArray.from_arrays(codes, labels).cast(pa.string())
    kinds = {
        "f": (np.float64, pa.float64()),
        "i": (np.int64, pa.int64()),
        "M": ("M8[us]", pa.timestamp("us", tz="UTC")),
    }
    dtype, kind = (np.int8, pa.int8()) if values.dtype == np.int8 else kinds[values.dtype.kind]
    data = np.ascontiguousarray(values, dtype=dtype)
    return pa.Array.from_buffers(kind, data.size, [None, pa.py_buffer(data.view(np.uint8))])


def _is_known(field: "pa.Field") -> bool:
    """Whether a column of a file is of a type that a table has, and instants are where they belong."""
    kind = str(field.type)
    return kind in _KINDS and (field.name in STAMPS) == kind.startswith("timestamp")


def _from_arrow(column: Any) -> Column:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind):
        coded = column.dictionary_encode().unify_dictionaries().combine_chunks()
        chunks = coded.chunks if isinstance(coded, pa.ChunkedArray) else [coded]
        if not chunks:
            return Text(np.empty(0, np.int32), ())
        codes = np.concatenate([_buffer(chunk.indices, np.int32) for chunk in chunks])
        return Text(codes, tuple(chunks[0].dictionary.to_pylist()))
    dtype = (
        "M8[us]" if pa.types.is_timestamp(kind) else {"double": np.float64, "int64": np.int64}.get(str(kind), np.int8)
    )
    parts = [_buffer(chunk, dtype) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _buffer(array: Any, dtype: Any) -> np.ndarray:
    data = np.frombuffer(array.buffers()[1], dtype=dtype, count=array.offset + len(array))
    return data[array.offset :].copy()


# --- comparing -----------------------------------------------------------------------------------------------------


def differences(first: Table, second: Table) -> Iterator[str]:
    """Differences between two tables, bit for bit (a NaN equals a NaN of the same bits), one sentence per column."""
    for name in [*first.columns, *(n for n in second.columns if n not in first.columns)]:
        if name not in second.columns or name not in first.columns:
            yield f"{first.name}: column {name!r} is only in the {'second' if name in second.columns else 'first'}"
    if len(first) != len(second):
        yield f"{first.name}: {len(first)} rows against {len(second)}"
    rows = min(len(first), len(second))
    for name in first.columns:
        if name not in second.columns:
            continue
        a, b = first[name][:rows], second[name][:rows]
        if a.dtype != b.dtype:
            yield f"{first.name}: column {name!r} is {a.dtype} against {b.dtype}"
            continue
        different = a != b if a.dtype == object else _bits(a) != _bits(b)
        if different.any():
            row = int(np.argmax(different))
            when = f" ({first['timestamp'][row]}Z)" if "timestamp" in first.columns else ""
            yield (
                f"{first.name}: column {name!r} differs in {int(different.sum())} of {rows} rows, first in row {row}"
                f"{when}: {_format(a[row])} against {_format(b[row])}"
            )
        if first.units.get(name) != second.units.get(name):
            yield f"{first.name}: column {name!r} is in {first.units.get(name)!r} against {second.units.get(name)!r}"


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _format(value: Any) -> str:
    return repr(float(value)) if isinstance(value, np.floating) else repr(str(value))
