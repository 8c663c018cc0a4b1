"""What a data set holds and what is wrong with it: ranges, steps, holes, order, units, causality, series that disagree.

May import: `basis.assets`, `basis.errors`, `basis.market.checks`, `basis.series_kinds`, numpy; pyarrow only while
reading. It reads files as they are and corrects nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from basis.assets import load_assets
from basis.errors import DataError, as_path
from basis.files import DAMAGED, Unreadable, reason
from basis.market.checks.cross import Member, check_funding, check_funding_levels, check_prices, price_at
from basis.market.checks.file_rules import File, check_file
from basis.market.checks.finding import Finding, say, when
from basis.market.checks.rules import Rows
from basis.market.quality_rules import MAIN, PRICES
from basis.market.sources.clock import HOUR
from basis.series_kinds import FUNDING, MARK, PERP, SPOT, kind_of

__all__ = ["Finding", "SeriesInfo", "check", "check_run", "list_series"]

VENUE_TOLERANCE = 1e-2  # relative; arbitrage keeps venues nearer than this


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


def list_series(directory: Path | str) -> list[SeriesInfo]:
    """Every parquet file under `directory` that can be read, by name, with its range and step.

    Raises
    ------
    basis.errors.DataError
        If the directory does not exist or holds no parquet file.
    """
    return [_info(file) for name, path in _files(directory) if isinstance(file := _open(name, path), File)]


def check(directory: Path | str) -> list[Finding]:
    """Every defect found in the data set under `directory`, by series; an empty list means clean.

    A file that cannot be read is a finding. One finding stands for all rows of a series that share a defect.

    Raises
    ------
    basis.errors.DataError
        If the directory does not exist or holds no parquet file.
    """
    return _check(list(_files(directory, stray=True)))


def check_run(directory: Path | str, config: Any, start: Any = None, end: Any = None) -> list[Finding]:
    """Every defect of the files that a configuration uses, in its window, and all that its run would warn of.

    Raises
    ------
    basis.errors.DataError
        If the directory does not exist, or the run would not begin for a file that is missing or cannot be read.
    """
    from basis.market.assemble import PanelBuilder
    from basis.market.checks.run import findings, warnings_of
    from basis.market.needed import needed_series
    from basis.market.series import SeriesStore

    builder = PanelBuilder(SeriesStore(Path(directory), config), needed_series(config.instruments, config))
    builder.load()
    builder.grid(start if start is not None else config.start, end if end is not None else config.end)
    with np.errstate(all="ignore"):
        builder.fill()
    window = int(builder.timestamps[0]), int(builder.timestamps[-1])
    files = [(path.removesuffix(".parquet"), Path(directory) / path) for path in sorted(builder.files)]
    found = {(each.series, each.kind): each for each in _check(files, window)}
    found |= {(each.series, each.kind): each for each in findings(builder)}
    told = []
    for text in warnings_of(builder):
        series, _, message = text.partition(": ")
        told.append(Finding(series, "run", None, 1, message))
    return _sorted([*found.values(), *told])


def _check(paths: list[tuple[str, Path]], window: tuple[int, int] | None = None) -> list[Finding]:
    import pyarrow as pa

    found: list[Finding] = []
    read: list[File] = []
    for name, path in paths:
        if path.suffix != ".parquet":
            found.append(Finding(name, "unreadable", None, 1, f"{path.name} is not parquet and is not read"))
            continue
        file = _open(name, path)
        if not isinstance(file, File):
            found.append(Finding(name, "unreadable", None, 1, f"{path.name} cannot be read: {file}"))
            continue
        if window is not None:
            file.window(*window)
        try:
            with np.errstate(all="ignore"):
                found.extend(check_file(file))
        except (pa.ArrowException, *DAMAGED) as error:
            found.append(Finding(name, "unreadable", None, 1, f"{path.name} cannot be checked: {reason(error)}"))
            continue
        read.append(file)
    sound = [file for file in read if file.stamps.size and not file.null_stamps]
    return _sorted([*found, *_check_venues(sound), *_check_across(sound)])


def _sorted(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: (f.series, f.kind, f.first or datetime.min.replace(tzinfo=UTC)))


def _open(name: str, path: Path) -> File | str:
    """A file, or why it cannot be read."""
    try:
        return File(name, path)
    except Unreadable as error:
        return str(error)


def _info(file: File) -> SeriesInfo:
    first, last = (when(file.stamps.min()), when(file.stamps.max())) if file.stamps.size else (None, None)
    every = timedelta(microseconds=file.step // 1000) if file.step else None
    place = f"{file.folder}/{file.path.name}"
    return SeriesInfo(file.name, place, file.table.num_rows, first, last, every, file.columns)


def _files(directory: Path | str, stray: bool = False) -> Iterator[tuple[str, Path]]:
    """(series, path) of the files in the folders of `directory`, by name; `stray` adds tables that are not parquet."""
    root = as_path(directory, "The data folder")
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


def _pair(series: File) -> str:
    """The pair of a file name, wrapped tokens taken for what they stand for."""
    pair = series.path.stem.rpartition("_")[2].lower()
    for token, asset in load_assets().wrappers.items():
        if pair.startswith(token.lower()):
            return asset.lower() + pair[len(token) :]
    return pair


def _check_venues(files: list[File]) -> Iterator[Finding]:
    """Two files of one kind and pair whose bars differ by more than `VENUE_TOLERANCE` in a price."""
    for a, b in combinations(files, 2):
        if a.folder != b.folder or a.kind not in (SPOT, PERP) or _pair(a) != _pair(b):
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
            f"worst {off[:, worst].max():.2%} ({column}) at {say(stamps[worst])}"
        )
        yield Finding(a.name, "venues_disagree", when(stamps[rows[0]]), int(rows.size), message)


def _check_across(files: list[File]) -> Iterator[Finding]:
    """Prices of one pair against each other, and funding against the premium that it pays for, as a run checks them."""
    prices = [file for file in files if file.folder in (SPOT, PERP)]
    marks = [file for file in files if file.folder == MARK]
    for pair in dict.fromkeys(map(_pair, prices)):
        members = sorted((_member(file) for file in prices if _pair(file) == pair), key=lambda m: m.kind != SPOT)
        begin = max(int(member.stamps[0]) for member in members)
        end = min(int(member.stamps[-1]) for member in members)
        if end > begin:
            judged = [*members, *(_member(file) for file in marks if _pair(file) == pair)]
            yield from (each for each in check_prices(judged, begin, end) if each.kind != "venues_disagree")
        fundings = [file for file in files if file.kind == FUNDING and _pair(file) == pair]
        for file in fundings:
            yield from _funding_against(file, members)
        yield from _check_levels([file.rows() for file in fundings if file.stamps.size])


def _check_levels(fundings: list[Rows]) -> list[Finding]:
    """The level of funding at several venues, in the time in which any of them has some."""
    if len(fundings) < 2:
        return []
    known = [~np.isnan(rows.get("funding_rate")) for rows in fundings]
    files = [(r.name, r.stamps[k], r.get("funding_rate")[k]) for r, k in zip(fundings, known, strict=True)]
    begin, end = min(int(r.stamps[0]) for r in fundings), max(int(r.stamps[-1]) for r in fundings)
    return check_funding_levels(files, begin, end)


def _member(file: File) -> Member:
    rows = file.rows()
    return Member(file.name, file.kind, rows.stamps, rows.get("open"), rows.step)


def _funding_against(file: File, members: list[Member]) -> list[Finding]:
    """Funding of a venue against its perp over spot."""
    spot = next((member for member in members if member.kind == SPOT), None)
    perp = next((m for m in members if m.kind == PERP and m.name.partition("/")[2] == file.path.stem), None)
    if spot is None or perp is None:
        return []
    rows = file.rows()
    begin, end = (f(int(m.stamps[at]) for m in (spot, perp)) for f, at in ((max, 0), (min, -1)))
    grid = np.arange(-(-begin // HOUR) * HOUR, end + 1, HOUR)
    known = (rows.stamps >= begin) & (rows.stamps <= end) & ~np.isnan(rows.get("funding_rate"))
    if grid.size < 2 or not known.any():
        return []
    with np.errstate(divide="ignore", invalid="ignore"):
        premium = price_at(perp, grid) / price_at(spot, grid) - 1.0
    stamps = rows.stamps[known]
    row = np.minimum(np.searchsorted(grid, stamps), grid.size - 1)
    return check_funding(file.name, stamps, rows.get("funding_rate")[known], row, premium, 1 / 8)
