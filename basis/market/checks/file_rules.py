"""One file of a data set, whatever its bytes, and the rules that only `basis data check` has for it.

May import: `basis.market.quality_rules`, `basis.series_kinds`, numpy and siblings; pyarrow only while reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from basis.files import Unreadable, open_parquet, read_bytes, read_parquet
from basis.market.checks.finding import Array, Finding, count_of, runs_of, say, when
from basis.market.checks.rules import Rows, check_rows
from basis.market.quality_rules import ALSO, DAY_COLUMNS, MAIN
from basis.market.sources.clock import DAY, HOUR, SECOND, modal_step
from basis.market.sources.funding import intervals, on_grid
from basis.market.sources.reader import as_floats, ticks
from basis.series_kinds import FUNDING, GAS, LENDING, PERP, REWARDS, SIGNALS, SPOT, STAKING, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_TOLERANCE = 3e-4  # relative; a reserve index does not fall, but for the rounding of some sources
STALE_RUN = 12  # bars with one and the same open while something trades: half a day does not stand still
JOIN_TOLERANCE = 1e-3  # relative; a bar's close against the next bar's open, which is a trade later
OBSERVED_GAP = timedelta(hours=36)  # staking rates are observed daily: half a day late is too late
LATE_SAMPLE = timedelta(minutes=30)  # gas samples are of the hour that ends at their label
BAR_GAP = 1.5  # steps between two stamps from which on one is missing between them
FUNDING_STEP = 8 * HOUR  # of a file with fewer than three settlements


class File:
    """One file: its table, its stamps in ns (as in the file) and its columns as floats.

    Raises
    ------
    Unreadable
        Where its bytes are no table.
    """

    def __init__(self, name: str, path: Path) -> None:
        import pyarrow as pa

        self.name, self.path = name, path
        self.folder = path.parent.name
        self.kind = kind_of(self.folder)
        self.table: pa.Table = read_parquet(open_parquet(read_bytes(path, follow_links=True)))
        self.columns = tuple(self.table.column_names)
        twice = [column for column, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise Unreadable(f"two columns are named {twice[0]}")
        self.key = (
            "timestamp" if "timestamp" in self.columns else next((c for c in DAY_COLUMNS if c in self.columns), None)
        )
        self.stamps = np.empty(0, dtype=np.int64)
        self.null_stamps, self.far = 0, ""
        if self.key is not None and pa.types.is_temporal(self.table.schema.field(self.key).type):
            column = self.table.column(self.key)
            self.null_stamps = column.null_count
            found, self.far = ticks(column)
            self.stamps = found if not self.far else self.stamps

    @property
    def step(self) -> int:
        """Commonest distance of the stamps, ns; 0 where there is none."""
        return modal_step(np.unique(self.stamps), 0)

    def values(self, column: str) -> Array:
        """A column as float64, null as NaN; all NaN if it is absent or no number."""
        found = as_floats(self.table.column(column)) if column in self.columns else None
        return np.full(self.table.num_rows, np.nan) if found is None else found

    def rows(self) -> Rows:
        """The rows in the order of their stamps."""
        order = np.argsort(self.stamps, kind="stable")
        columns = {c: self.values(c)[order] for c in self.columns if as_floats(self.table.column(c)) is not None}
        return Rows(self.name, self.kind, self.stamps[order], columns, self.step)

    def window(self, start: int, end: int) -> None:
        """Keep the rows of a window (ns), both ends included."""
        if self.stamps.size == self.table.num_rows:
            inside = (self.stamps >= start) & (self.stamps <= end)
            self.table, self.stamps = self.table.filter(inside), self.stamps[inside]

    def finding(self, kind: str, rows: Array, message: str) -> Finding:
        """A finding for the rows given by index."""
        first = when(self.stamps[rows].min()) if rows.size and self.stamps.size == self.table.num_rows else None
        return Finding(self.name, kind, first, int(rows.size), message)


def check_file(file: File) -> Iterator[Finding]:
    """Every defect of one file."""
    yield from _check_columns(file)
    if file.table.num_rows == 0:
        yield Finding(file.name, "empty", None, 0, "no rows")
        return
    if file.far:
        yield Finding(file.name, "far_stamp", None, 1, f"{file.key}: {file.far}", impossible=True)
        return
    if file.null_stamps:
        yield Finding(
            file.name, "null_stamp", None, file.null_stamps, f"{count_of(file.null_stamps, 'row')} without a stamp"
        )
        return
    if file.key is None or file.stamps.size == 0:
        return
    yield from _check_time(file)
    yield from _check_nulls(file)
    # `no_trades` and `index_falls` are told below with finer limits
    yield from (found for found in check_rows(file.rows()) if found.kind not in ("flat", "index_falls"))
    if file.kind in (SPOT, PERP):
        yield from _check_bars(file)
    elif file.kind == LENDING:
        yield from _check_indices(file)
    elif file.kind == STAKING:
        yield from _check_observed(file)
    elif file.kind == GAS:
        yield from _check_gas(file)


def _check_columns(series: File) -> Iterator[Finding]:
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


def _check_time(series: File) -> Iterator[Finding]:
    """Order, repetition, grid and missing stamps, against the most frequent step, or funding's own intervals."""
    stamps = series.stamps
    back = np.flatnonzero(np.diff(stamps) < 0) + 1
    if back.size:
        yield series.finding("unsorted", back, f"{count_of(back.size, 'stamp')} before the one above")
    order = np.argsort(stamps, kind="stable")
    repeated = order[1:][np.diff(stamps[order]) == 0]
    if repeated.size:
        text = f"{count_of(repeated.size, 'row')} with a stamp that was there already"
        yield series.finding("duplicate", repeated, text)
    if series.key != "timestamp" or series.kind == REWARDS:
        return  # a table of events has no grid
    if series.kind == FUNDING:
        yield from _check_settlements(series)
        return
    step = series.step
    off = np.flatnonzero((stamps - np.median(stamps % step).astype(np.int64)) % step) if step else np.empty(0, np.int64)
    if off.size and series.kind not in (SPOT, PERP):
        message = f"{count_of(off.size, 'stamp')} off the {timedelta(microseconds=step // 1000)} grid"
        yield series.finding("off_grid", off, message)
    unique = np.unique(stamps)
    gaps = np.diff(unique)
    wide = np.flatnonzero(gaps > BAR_GAP * step)
    if wide.size:
        missing = int((np.round(gaps[wide] / step) - 1).sum())
        worst = wide[gaps[wide].argmax()]
        longest = f"longest {say(unique[worst])} to {say(unique[worst + 1])}"
        message = f"{count_of(missing, 'stamp')} missing in {count_of(wide.size, 'gap')}, {longest}"
        yield Finding(series.name, "missing_stamp", when(unique[wide[0]] + step), missing, message)


def _check_settlements(series: File) -> Iterator[Finding]:
    """Settlements that are missing by the intervals that a run takes, and stamps far from a whole hour."""
    stamps = np.unique(on_grid(series.stamps))
    off = np.flatnonzero(on_grid(series.stamps) % HOUR)
    if off.size:
        text = f"{count_of(off.size, 'stamp')} more than a minute from a whole hour"
        yield series.finding("off_grid", off, text)
    stated = None
    if "interval" in series.columns:
        hours = series.values("interval")
        wrong = np.flatnonzero((hours <= 0) | (hours > DAY // HOUR))
        if wrong.size:
            yield series.finding("out_of_range", wrong, f"interval is in hours, it is {hours[wrong[0]]:g}")
        elif stamps.size == series.stamps.size:
            order = np.argsort(series.stamps, kind="stable")
            stated = np.rint(np.nan_to_num(hours[order]) * HOUR).astype(np.int64)
    due = intervals(stamps, FUNDING_STEP, stated).due
    if due.size:
        message = f"{count_of(due.size, 'settlement')} missing, first {say(due[0])}, last {say(due[-1])}"
        yield Finding(series.name, "missing_stamp", when(due[0]), int(due.size), message)


def _check_nulls(series: File) -> Iterator[Finding]:
    """Rows without a value (holes), and other columns that lack values in rows that have one."""
    main = [c for c in MAIN.get(series.kind, ()) if c in series.columns]
    hole = np.zeros(series.table.num_rows, dtype=bool)
    if main:
        empty = np.isnan([series.values(c) for c in main])
        hole = empty.all(axis=0)
    runs = runs_of(hole)
    if runs:
        start, length = max(runs, key=lambda run: run[1])
        rows = np.flatnonzero(hole)
        where = f"{count_of(len(runs), 'hole')}, longest {count_of(length, 'row')} from {say(series.stamps[start])}"
        message = f"{count_of(rows.size, 'null row')} in {where}"
        yield series.finding("hole", rows, message)
    if series.kind not in MAIN and series.kind != REWARDS:
        return  # no mode reads it: its range and order are all that is said
    for column in series.columns:
        null = np.asarray(series.table.column(column).combine_chunks().is_null(nan_is_null=True)) & ~hole
        if null.any() and column != series.key:
            rows = np.flatnonzero(null)
            yield series.finding("null", rows, f"{column} is null in {count_of(rows.size, 'row')} otherwise filled")


def _check_bars(series: File) -> Iterator[Finding]:
    """Bars that contradict the next one, stand still, or hold no trade."""
    open_, close = series.values("open"), series.values("close")
    traded = series.values("volume" if "volume" in series.columns else "quote_volume")
    still = np.concatenate(([False], (np.diff(open_) == 0) & ((traded[1:] > 0) | np.isnan(traded[1:]))))
    long = [(start, length + 1) for start, length in runs_of(still) if length + 1 >= STALE_RUN]
    if long:
        rows = np.concatenate([np.arange(start - 1, start - 1 + length) for start, length in long])
        message = (
            f"{count_of(len(long), 'run')} of {STALE_RUN} or more bars with one open, longest {max(n for _, n in long)}"
        )
        yield series.finding("stale", rows, message)
    rows = np.flatnonzero(traded == 0)
    if rows.size:
        yield series.finding("no_trades", rows, f"{count_of(rows.size, 'bar')} without a trade")
    step = series.step
    with np.errstate(divide="ignore", invalid="ignore"):
        leap = np.abs(open_[1:] / close[:-1] - 1)
    rows = np.flatnonzero((leap > JOIN_TOLERANCE) & (np.diff(series.stamps) == step))
    if rows.size:
        worst = rows[leap[rows].argmax()]
        where = ", ".join(say(series.stamps[r]) for r in rows[:5]) + (" …" if rows.size > 5 else "")
        message = (
            f"{count_of(rows.size, 'close')} more than {JOIN_TOLERANCE * 1e4:g} bp from the next open ({where}), "
            f"worst {leap[worst] * 1e4:.0f} bp at {say(series.stamps[worst])}"
        )
        yield series.finding("broken_bar", rows, message)


def _check_indices(series: File) -> Iterator[Finding]:
    """Reserve indices that fall, or that stand still though the rate is above zero."""
    for column, rate in (("liquidity_index", "supply_apr"), ("variable_borrow_index", "variable_borrow_apr")):
        index = series.values(column)
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = index[1:] / index[:-1] - 1
        rows = np.flatnonzero(growth < -INDEX_TOLERANCE) + 1
        if rows.size:
            message = f"{column} falls in {count_of(rows.size, 'row')}, most by {-growth.min() * 1e4:.1f} bp"
            yield series.finding("index_falls", rows, message)
        rows = np.flatnonzero((growth == 0) & (series.values(rate)[:-1] > 0)) + 1
        if rows.size:
            yield series.finding(
                "stale", rows, f"{column} does not move into {count_of(rows.size, 'row')} though {rate} is above 0"
            )


def _check_observed(series: File) -> Iterator[Finding]:
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
        message = (
            f"oracle_rate_eth is not the last observation in {count_of(rows.size, 'unobserved row')}: it looks ahead"
        )
        yield series.finding("non_causal", rows, message)
    seen = series.stamps[observed]
    wide = np.flatnonzero(np.diff(seen) > OBSERVED_GAP.total_seconds() * SECOND)
    if wide.size:
        message = (
            f"more than {OBSERVED_GAP // timedelta(hours=1)} h between observations: {count_of(wide.size, 'time')}"
        )
        yield Finding(series.name, "not_observed", when(seen[wide[0]]), int(wide.size), message)


def _check_gas(series: File) -> Iterator[Finding]:
    """Samples that were mined after the label under which they stand, and samples that are old."""
    import pyarrow as pa

    if "sampled_at" not in series.columns or not pa.types.is_timestamp(series.table.schema.field("sampled_at").type):
        return
    column = series.table.column("sampled_at")
    known = np.flatnonzero(np.asarray(column.is_valid().combine_chunks()))
    lag = (series.stamps[known] - ticks(column)[0]) / 1e9
    rows = known[lag < 0]
    if rows.size:
        message = f"{count_of(rows.size, 'sample')} mined after the stamp, the latest by {-lag.min():.0f} s"
        yield series.finding("non_causal", rows, message)
    rows = known[lag >= LATE_SAMPLE.total_seconds()]
    if rows.size:
        yield series.finding(
            "late",
            rows,
            f"{count_of(rows.size, 'sample')} {LATE_SAMPLE // timedelta(minutes=1)} minutes old or older, "
            f"the oldest {lag.max():.0f} s",
        )
