"""What a data set holds and what is wrong with it: ranges, steps, holes, order, units, causality, venues that disagree.

May import: `basis.assets`, `basis.errors`, `basis.market.quality_rules`, `basis.series_kinds`, numpy; pyarrow only
while reading. It reads files as they are and corrects nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from basis.assets import load_assets
from basis.errors import DataError
from basis.market.quality_rules import ALSO, DAY_COLUMNS, LIMITS, MAIN, PRICES, Array
from basis.series_kinds import GAS, LENDING, PERP, REWARDS, SIGNALS, SPOT, STAKING, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_TOLERANCE = 3e-4  # relative; a reserve index does not fall, but for the rounding of some sources
STALE_RUN = 12  # bars with one and the same open while something trades: half a day does not stand still
JOIN_TOLERANCE = 1e-3  # relative; a bar's close against the next bar's open, which is a trade later
VENUE_TOLERANCE = 1e-2  # relative; arbitrage keeps venues nearer than this
OBSERVED_GAP = timedelta(hours=36)  # staking rates are observed daily: half a day late is too late
LATE_SAMPLE = timedelta(minutes=30)  # gas samples are of the hour that ends at their label
BAR_GAP = 1.5  # steps between two stamps from which on one is missing between them


@dataclass(frozen=True)
class SeriesInfo:
    """What one file holds; `step` is the most frequent distance of stamps, None where there are fewer than two."""

    series: str
    file: str
    rows: int
    first: datetime | None
    last: datetime | None
    step: timedelta | None
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One kind of defect in one series: the first instant it shows (None where there is none) and how many rows."""

    series: str
    kind: str
    first: datetime | None
    count: int
    message: str


def list_series(directory: Path | str) -> list[SeriesInfo]:
    """Every parquet file under `directory` that can be read, by name, with its range and step.

    Raises
    ------
    basis.errors.DataError
        If the directory does not exist or holds no parquet file.
    """
    infos = []
    for name, path in _files(directory):
        try:
            series = _Series(name, path)
        except (OSError, ValueError, NotImplementedError):
            continue
        infos.append(series.info())
    return infos


def check(directory: Path | str) -> list[Finding]:
    """Every defect found in the data set under `directory`, by series; an empty list means clean.

    A file that cannot be read is a finding. One finding stands for all rows of a series that share a defect.

    Raises
    ------
    basis.errors.DataError
        If the directory does not exist or holds no parquet file.
    """
    findings: list[Finding] = []
    read: dict[str, _Series] = {}
    for name, path in _files(directory, stray=True):
        if path.suffix != ".parquet":
            findings.append(Finding(name, "unreadable", None, 1, f"{path.name} is not parquet and is not read"))
            continue
        try:
            series = read[name] = _Series(name, path)
        except (OSError, ValueError, NotImplementedError) as error:
            findings.append(Finding(name, "unreadable", None, 1, f"{path.name} cannot be read: {_first_line(error)}"))
            continue
        findings.extend(_check_one(series))
    findings.extend(_check_venues(read))
    return sorted(findings, key=lambda f: (f.series, f.kind, f.first or datetime.min.replace(tzinfo=UTC)))


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _files(directory: Path | str, stray: bool = False) -> Iterator[tuple[str, Path]]:
    """(series, path) of the files in the folders of `directory`, by name; `stray` adds tables that are not parquet."""
    root = Path(directory)
    if not root.is_dir():
        raise DataError(
            f"Data directory not found: {root}. Give a folder with spot/, perp/, funding/ … or write a sample."
        )
    kinds = {".parquet"} | ({".csv", ".txt", ".feather", ".pkl"} if stray else set())
    paths = [p for p in sorted(root.glob("*/*")) if p.is_file() and p.suffix in kinds]
    paths = [p for p in paths if p.suffix == ".parquet" or kind_of(p.parent.name) in MAIN]
    if not any(p.suffix == ".parquet" for p in paths):
        raise DataError(f"No parquet file in the folders of {root}. Expected <kind>/<source>_<pair>.parquet.")
    for path in paths:
        yield f"{path.parent.name}/{path.stem}", path


class _Series:
    """One file: its table, its stamps in microseconds (sorted as in the file) and its columns as floats."""

    def __init__(self, name: str, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name, self.path = name, path
        self.folder = path.parent.name
        self.kind = kind_of(self.folder)
        self.table: pa.Table = pq.ParquetFile(path).read()
        self.columns = tuple(self.table.column_names)
        key = "timestamp" if "timestamp" in self.columns else next((c for c in DAY_COLUMNS if c in self.columns), None)
        self.key = key
        self.stamps = np.empty(0, dtype=np.int64)
        self.null_stamps = 0
        if key is not None and pa.types.is_temporal(self.table.schema.field(key).type):
            column = self.table.column(key).combine_chunks()
            self.null_stamps = column.null_count
            self.stamps = micros(column)

    def info(self) -> SeriesInfo:
        first, last = (_when(self.stamps.min()), _when(self.stamps.max())) if self.stamps.size else (None, None)
        step = modal_step(self.stamps)
        every = timedelta(microseconds=step) if step else None
        file = f"{self.folder}/{self.path.name}"
        return SeriesInfo(self.name, file, self.table.num_rows, first, last, every, self.columns)

    def values(self, column: str) -> Array:
        """A column as float64, null as NaN; all NaN if it is absent or no number."""
        import pyarrow as pa

        if column in self.columns:
            kind = self.table.schema.field(column).type
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
                array = self.table.column(column).combine_chunks()
                return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        return np.full(self.table.num_rows, np.nan)

    def finding(self, kind: str, rows: Array, message: str) -> Finding:
        """A finding for the rows given by index."""
        first = _when(self.stamps[rows].min()) if rows.size and self.stamps.size == self.table.num_rows else None
        return Finding(self.name, kind, first, int(rows.size), message)


def micros(column: pa.Array | pa.ChunkedArray) -> Array:
    """Stamps or days as microseconds since the epoch, nulls left out."""
    import pyarrow as pa

    kind = pa.timestamp("us", tz=getattr(column.type, "tz", None))
    return np.asarray(column.drop_null().cast(kind, safe=False).cast(pa.int64()).to_numpy(zero_copy_only=False))


def modal_step(stamps: Array) -> int:
    """Most frequent positive distance between neighbouring stamps (microseconds), 0 where there is none."""
    gaps = np.diff(np.unique(stamps))
    if not gaps.size:
        return 0
    sizes, counts = np.unique(gaps, return_counts=True)
    return int(sizes[counts.argmax()])


def _when(micro: Any) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micro))


def _n(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _say(micro: Any) -> str:
    return f"{_when(micro):%Y-%m-%d %H:%M}"


def _check_one(series: _Series) -> Iterator[Finding]:
    yield from _check_columns(series)
    if series.table.num_rows == 0:
        yield Finding(series.name, "empty", None, 0, "no rows")
        return
    if series.key is None or series.stamps.size == 0:
        return
    if series.null_stamps:
        yield Finding(
            series.name, "null_stamp", None, series.null_stamps, f"{_n(series.null_stamps, 'row')} without a stamp"
        )
        return
    yield from _check_time(series)
    yield from _check_nulls(series)
    yield from _check_limits(series)
    if series.kind in (SPOT, PERP):
        yield from _check_bars(series)
    elif series.kind == LENDING:
        yield from _check_indices(series)
    elif series.kind == STAKING:
        yield from _check_observed(series)
    elif series.kind == GAS:
        yield from _check_gas(series)


def _check_columns(series: _Series) -> Iterator[Finding]:
    """Columns that must be there, their types, and a stamp that knows its zone."""
    import pyarrow as pa

    schema = series.table.schema
    wanted = dict.fromkeys(MAIN.get(series.kind, ()), "double")
    wanted |= ALSO.get(series.kind, {}) | ALSO.get(series.name, {})
    if series.kind == SIGNALS:
        wanted["signal"] = "int64"
    for column, kind in wanted.items():
        if column not in series.columns:
            yield Finding(series.name, "missing_column", None, 1, f"column {column} ({kind}) is missing")
        elif str(schema.field(column).type) != kind:
            given = schema.field(column).type
            yield Finding(series.name, "wrong_type", None, 1, f"column {column} is {given}, expected {kind}")
    if series.key is None:
        if series.kind in MAIN or series.name in ALSO:
            yield Finding(series.name, "missing_column", None, 1, "column timestamp (timestamp[us, UTC]) is missing")
        return
    kind = schema.field(series.key).type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            yield Finding(
                series.name, "naive_stamp", None, series.stamps.size, "timestamp has no time zone, expected UTC"
            )
        elif kind.tz not in ("UTC", "+00:00", "Etc/UTC"):
            message = f"timestamp is in {kind.tz}, expected UTC"
            yield Finding(series.name, "naive_stamp", None, series.stamps.size, message)
    elif not pa.types.is_date(kind):
        yield Finding(series.name, "wrong_type", None, 1, f"{series.key} is {kind}, expected timestamp[us, UTC]")


def _check_time(series: _Series) -> Iterator[Finding]:
    """Order, repetition, grid and missing stamps, all against the most frequent step."""
    stamps = series.stamps
    back = np.flatnonzero(np.diff(stamps) < 0) + 1
    if back.size:
        yield series.finding("unsorted", back, f"{_n(back.size, 'stamp')} before the one above")
    order = np.argsort(stamps, kind="stable")
    repeated = order[1:][np.diff(stamps[order]) == 0]
    if repeated.size:
        yield series.finding("duplicate", repeated, f"{_n(repeated.size, 'row')} with a stamp that was there already")
    if series.key != "timestamp" or series.kind == REWARDS:
        return  # a table of events has no grid
    step = modal_step(stamps)
    off = np.flatnonzero((stamps - np.median(stamps % step).astype(np.int64)) % step) if step else np.empty(0, np.int64)
    if off.size:
        message = f"{_n(off.size, 'stamp')} off the {timedelta(microseconds=step)} grid"
        yield series.finding("off_grid", off, message)
    unique = np.unique(stamps)
    gaps = np.diff(unique)
    wide = np.flatnonzero(gaps > BAR_GAP * step)
    if wide.size:
        missing = int((np.round(gaps[wide] / step) - 1).sum())
        worst = wide[gaps[wide].argmax()]
        longest = f"longest {_say(unique[worst])} to {_say(unique[worst + 1])}"
        message = f"{_n(missing, 'stamp')} missing in {_n(wide.size, 'gap')}, {longest}"
        yield Finding(series.name, "missing_stamp", _when(unique[wide[0]] + step), missing, message)


def _runs(mask: Array) -> list[tuple[int, int]]:
    """(start, length) of the runs of True."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), (ends - starts).tolist(), strict=True))


def _check_nulls(series: _Series) -> Iterator[Finding]:
    """Rows without a value (holes), and other columns that lack values in rows that have one."""
    main = [c for c in MAIN.get(series.kind, ()) if c in series.columns]
    hole = np.zeros(series.table.num_rows, dtype=bool)
    if main:
        empty = np.isnan([series.values(c) for c in main])
        hole = empty.all(axis=0)
    runs = _runs(hole)
    if runs:
        start, length = max(runs, key=lambda run: run[1])
        rows = np.flatnonzero(hole)
        where = f"{_n(len(runs), 'hole')}, longest {_n(length, 'row')} from {_say(series.stamps[start])}"
        message = f"{_n(rows.size, 'null row')} in {where}"
        yield series.finding("hole", rows, message)
    if series.kind not in MAIN and series.kind != REWARDS:
        return  # no mode reads it: its range and order are all that is said
    for column in series.columns:
        null = np.asarray(series.table.column(column).combine_chunks().is_null(nan_is_null=True)) & ~hole
        if null.any() and column != series.key:
            rows = np.flatnonzero(null)
            yield series.finding("null", rows, f"{column} is null in {_n(rows.size, 'row')} otherwise filled")


def _check_limits(series: _Series) -> Iterator[Finding]:
    """Values outside what their unit can be."""
    for column, allowed, fails in LIMITS.get(series.kind, ()):
        if column not in series.columns:
            continue
        values = series.values(column)
        known = ~np.isnan(values)
        bad = known & ~np.isfinite(values)
        bad[known] |= fails(values[known])
        rows = np.flatnonzero(bad)
        if rows.size:
            message = f"{column} must be {allowed}; not so in {_n(rows.size, 'row')}, first {values[rows[0]]:g}"
            yield series.finding("out_of_range", rows, message)


def _check_bars(series: _Series) -> Iterator[Finding]:
    """Bars that contradict themselves or the next one, stand still, or hold no trade."""
    open_, high, low, close = (series.values(c) for c in PRICES)
    wrong = (low > np.fmin(open_, close)) | (high < np.fmax(open_, close)) | (low > high)
    rows = np.flatnonzero(wrong)
    if rows.size:
        yield series.finding("ohlc", rows, f"{_n(rows.size, 'bar')} without low <= open, close <= high")
    traded = series.values("volume" if "volume" in series.columns else "quote_volume")
    still = np.concatenate(([False], (np.diff(open_) == 0) & ((traded[1:] > 0) | np.isnan(traded[1:]))))
    long = [(start, length + 1) for start, length in _runs(still) if length + 1 >= STALE_RUN]
    if long:
        rows = np.concatenate([np.arange(start - 1, start - 1 + length) for start, length in long])
        message = f"{_n(len(long), 'run')} of {STALE_RUN} or more bars with one open, longest {max(n for _, n in long)}"
        yield series.finding("stale", rows, message)
    rows = np.flatnonzero(traded == 0)
    if rows.size:
        yield series.finding("no_trades", rows, f"{_n(rows.size, 'bar')} without a trade")
    step = modal_step(series.stamps)
    with np.errstate(divide="ignore", invalid="ignore"):
        leap = np.abs(open_[1:] / close[:-1] - 1)
    rows = np.flatnonzero((leap > JOIN_TOLERANCE) & (np.diff(series.stamps) == step))
    if rows.size:
        worst = rows[leap[rows].argmax()]
        where = ", ".join(_say(series.stamps[r]) for r in rows[:5]) + (" …" if rows.size > 5 else "")
        message = (
            f"{_n(rows.size, 'close')} more than {JOIN_TOLERANCE * 1e4:g} bp from the next open ({where}), "
            f"worst {leap[worst] * 1e4:.0f} bp at {_say(series.stamps[worst])}"
        )
        yield series.finding("broken_bar", rows, message)


def _check_indices(series: _Series) -> Iterator[Finding]:
    """Reserve indices that fall, or that stand still though the rate is above zero."""
    for column, rate in (("liquidity_index", "supply_apr"), ("variable_borrow_index", "variable_borrow_apr")):
        index = series.values(column)
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = index[1:] / index[:-1] - 1
        rows = np.flatnonzero(growth < -INDEX_TOLERANCE) + 1
        if rows.size:
            message = f"{column} falls in {_n(rows.size, 'row')}, most by {-growth.min() * 1e4:.1f} bp"
            yield series.finding("index_falls", rows, message)
        rows = np.flatnonzero((growth == 0) & (series.values(rate)[:-1] > 0)) + 1
        if rows.size:
            yield series.finding(
                "stale", rows, f"{column} does not move into {_n(rows.size, 'row')} though {rate} is above 0"
            )


def _check_observed(series: _Series) -> Iterator[Finding]:
    """Oracle rates in rows that were not observed must repeat the last observation: anything else looks ahead."""
    if "is_observed" not in series.columns:
        return
    rate, observed = series.values("oracle_rate_eth"), series.values("is_observed") == 1
    if not observed.any():
        yield Finding(series.name, "not_observed", None, observed.size, "no row is observed")
        return
    last = np.maximum.accumulate(np.where(observed, np.arange(rate.size), 0))
    rows = np.flatnonzero(~observed & ~np.isnan(rate) & (rate != rate[last]))
    if rows.size:
        message = f"oracle_rate_eth is not the last observation in {_n(rows.size, 'unobserved row')}: it looks ahead"
        yield series.finding("non_causal", rows, message)
    seen = series.stamps[observed]
    wide = np.flatnonzero(np.diff(seen) > OBSERVED_GAP // timedelta(microseconds=1))
    if wide.size:
        message = f"more than {OBSERVED_GAP // timedelta(hours=1)} h between observations: {_n(wide.size, 'time')}"
        yield Finding(series.name, "not_observed", _when(seen[wide[0]]), int(wide.size), message)


def _check_gas(series: _Series) -> Iterator[Finding]:
    """Samples that were mined after the label under which they stand, and samples that are old."""
    import pyarrow as pa

    if "sampled_at" not in series.columns or not pa.types.is_timestamp(series.table.schema.field("sampled_at").type):
        return
    column = series.table.column("sampled_at").combine_chunks()
    known = np.flatnonzero(np.asarray(column.is_valid()))
    lag = (series.stamps[known] - micros(column)) / 1e6
    rows = known[lag < 0]
    if rows.size:
        message = f"{_n(rows.size, 'sample')} mined after the stamp, the latest by {-lag.min():.0f} s"
        yield series.finding("non_causal", rows, message)
    rows = known[lag >= LATE_SAMPLE.total_seconds()]
    if rows.size:
        yield series.finding(
            "late",
            rows,
            f"{_n(rows.size, 'sample')} {LATE_SAMPLE // timedelta(minutes=1)} minutes old or older, "
            f"the oldest {lag.max():.0f} s",
        )


def _pair(series: _Series) -> str:
    """The pair of a file name, wrapped tokens taken for what they stand for."""
    pair = series.path.stem.rpartition("_")[2].lower()
    for token, asset in load_assets().wrappers.items():
        if pair.startswith(token.lower()):
            return asset.lower() + pair[len(token) :]
    return pair


def _check_venues(read: dict[str, _Series]) -> Iterator[Finding]:
    """Two files of one kind and pair whose bars differ by more than `VENUE_TOLERANCE` in a price."""
    for a, b in combinations(read.values(), 2):
        if a.folder != b.folder or a.kind not in (SPOT, PERP) or _pair(a) != _pair(b):
            continue
        if a.null_stamps or b.null_stamps:
            continue
        stamps, left, right = np.intersect1d(a.stamps, b.stamps, return_indices=True)
        if not stamps.size:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(np.array([a.values(c)[left] / b.values(c)[right] - 1 for c in PRICES]))
        off = np.where(np.isnan(off), 0.0, off)
        rows = np.flatnonzero((off > VENUE_TOLERANCE).any(axis=0))
        if not rows.size:
            continue
        worst = rows[off[:, rows].max(axis=0).argmax()]
        column = PRICES[int(off[:, worst].argmax())]
        message = (
            f"differs from {b.name} by more than {VENUE_TOLERANCE:.0%} in {rows.size} of {stamps.size} bars, "
            f"worst {off[:, worst].max():.2%} ({column}) at {_say(stamps[worst])}"
        )
        yield Finding(a.name, "venues_disagree", _when(stamps[rows[0]]), int(rows.size), message)
