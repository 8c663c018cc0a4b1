"""The series of a data folder, each read and put together once. May import `basis.errors`, `basis.kernel.keys`, numpy
and its siblings; takes any configuration object with the attributes of `basis.config.Config`.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from basis.errors import DataError
from basis.kernel.keys import Key
from basis.market import needed
from basis.market.checks.rules import untraded_tail
from basis.market.panel import Distributions
from basis.market.sources.bars import BarSeries
from basis.market.sources.clock import DAY, HOUR, duration_ns
from basis.market.sources.funding import FundingSeries
from basis.market.sources.observed import ReserveSeries, StepSeries
from basis.market.sources.reader import DataFolder, Table, read_days

#: Step of the candles that every data set has.
_COARSE = timedelta(hours=1)
#: Time between two settlements where a venue states none: every exchange here settles three times a day.
_FUNDING_STEP = 8 * HOUR
#: A gas price is that of a block up to an hour older than its label: an hourly one is fresh for two hours.
_GAS_STEP = 2 * HOUR


class SeriesStore:
    """The series of a data folder under a configuration.

    Parameters
    ----------
    data_dir : folder of the data set
    config : names the instruments, the sources and the grid

    Raises
    ------
    DataError
        Where the folder does not exist.
    """

    def __init__(self, data_dir: Path, config: Any) -> None:
        self.config = config
        self.data_dir = data_dir
        self.folder = DataFolder(data_dir)
        self._made: dict[tuple[Any, ...], Any] = {}

    def paths(self, series: str, sources: tuple[str, ...]) -> list[str]:
        """File of each source; on a grid finer than an hour the one with finer candles where the data set has it."""
        coarse = needed.source_paths(series, sources)
        if self.config.bar_interval >= _COARSE:
            return coarse
        fine = needed.source_paths(series, sources, needed.fine_folder(series))
        return [f if self.folder.has(f) else c for f, c in zip(fine, coarse, strict=True)]

    def held(self, path: str) -> Table | None:
        """The table of a file that has been read, with what is checked of it; None for a table of days."""
        return self._table(path) if needed.is_series(path) else None

    def mark_paths(self, series: str, sources: tuple[str, ...]) -> list[str]:
        """File of the mark prices of each source of a perp."""
        return [needed.mark_path(path) for path in self.paths(series, sources)]

    def _table(self, path: str) -> Table | None:
        return self.folder.table(path, *needed.columns_of(path)) if self.folder.has(path) else None

    def _tables(self, series: str, paths: list[str]) -> list[Table | None]:
        tables = [self._table(path) for path in paths]
        if all(table is None for table in tables):
            raise DataError(
                f"{series}: no file for it in {self.data_dir}; tried {', '.join(paths)}. Add one"
                + (f" or name another source in data.sources[{series!r}]." if "_" in paths[0] else ".")
            )
        return tables

    def _only_table(self, series: str) -> Table:
        """The table of a series that has one file."""
        [table] = self._tables(series, [needed.path_of(series)])
        assert table is not None  # noqa: S101 - for the type checker: `_tables` raises where no file is there
        return table

    def cached(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` makes, made once for a key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def last_trade(self, series: str, sources: tuple[str, ...]) -> int | None:
        """Last trade of a perp at its own venue, where its bars go on without any; None where they do not."""
        own = self.paths(series, sources)[0]
        table = self.held(own) if self.folder.has(own) else None
        return None if table is None else untraded_tail(table.stamps, table.columns)

    def bars(self, series: str, sources: tuple[str, ...]) -> BarSeries:
        """The candles of a series from its sources in order."""
        paths = self.paths(series, sources)
        return self.cached((series, *sources), lambda: BarSeries(self._tables(series, paths)))

    def marks(self, series: str, sources: tuple[str, ...]) -> tuple[BarSeries, tuple[str, ...]]:
        """Mark prices of a perp and the names of their sources: where a source has a file of marks, that, then its
        candles; where none has, the candles are all there is."""
        names, paths = [], []
        for source, path, mark in zip(
            sources, self.paths(series, sources), self.mark_paths(series, sources), strict=True
        ):
            if self.folder.has(mark):
                names, paths = [*names, source], [*paths, mark]
                source = f"the last price of {source}"
            if self.folder.has(path) or not self.folder.has(mark):
                names, paths = [*names, source], [*paths, path]
        if paths == self.paths(series, sources):
            return self.bars(series, sources), sources
        return self.cached(("mark", series, *sources), lambda: BarSeries(self._tables(series, paths))), tuple(names)

    def ranges(self, series: str, sources: tuple[str, ...]) -> BarSeries:
        """The candles of a spot series with their extremes, which only loans need."""
        present = [path for path in self.paths(series, sources) if self.folder.has(path)]
        columns = ("open", "high", "low")
        return self.cached(
            (series, *sources, "high", "low"), lambda: BarSeries([self.folder.table(path, columns) for path in present])
        )

    def funding(self, series: str, sources: tuple[str, ...], venue: str) -> FundingSeries:
        """The settlements of a series from its sources in order."""
        described = self.config.venues.get(venue)
        interval = getattr(described, "funding_interval", None)
        default = duration_ns(interval) if interval else _FUNDING_STEP
        paths = self.paths(series, sources)
        return self.cached((series, *sources), lambda: FundingSeries(self._tables(series, paths), default))

    def reserve(self, key: Key, debt: bool) -> ReserveSeries:
        """One side of a reserve of a lending protocol."""
        series = needed.reserve_series(key)

        def make() -> ReserveSeries:
            return ReserveSeries(self._only_table(series), debt)

        return self.cached((series, "debt" if debt else "supply"), make)

    def staking_token(self, symbol: str, market: bool) -> StepSeries:
        """Protocol rate of a staking token, or the rate at which it trades."""
        series = needed.staking_series(symbol)

        def make() -> StepSeries:
            table = self._only_table(series)
            if not market:
                # Hours between two observations are interpolated at the source with the later one.
                observed = table.only(table.columns["is_observed"] == 1.0)
                return StepSeries(observed.stamps, observed.columns["oracle_rate_eth"])
            nothing = np.full(table.stamps.size, np.nan)
            return StepSeries(table.stamps, table.columns.get("market_rate_eth_median24h", nothing))

        return self.cached((series, "market" if market else "oracle"), make)

    def gas(self) -> StepSeries:
        """Gas price by the time its block was sampled."""

        def make() -> StepSeries:
            table = self._only_table(needed.GAS_SERIES)
            known = table.columns.get("sampled_at", table.stamps).astype(np.int64)
            order = np.argsort(known, kind="stable")
            return StepSeries(known[order], table.columns["gas_price_gwei"][order], step=_GAS_STEP)

        return self.cached(("gas",), make)

    def signals(self, name: str) -> dict[str, StepSeries]:
        """Columns of a signal series; a row with a null says nothing.

        Raises
        ------
        DataError
            Where the data set has no such file; the message says what it holds.
        """
        series = needed.signal_series(name)
        path = needed.path_of(series)
        if not self.folder.has(path):
            raise DataError(
                f"{series}: no file {path} in {self.data_dir}. Add one with the columns "
                "timestamp (UTC; when the signal is known), signal (-1 short, 0 flat, 1 long), confidence (0 to 1) and "
                "sd (standard deviation of a bar's return, fraction of the price), or name another in "
                "strategy.signal_file."
            )

        def make() -> dict[str, StepSeries]:
            table = self._only_table(series)
            table = table.only(~np.isnan(np.array(list(table.columns.values()))).any(axis=0))
            return {name: StepSeries(table.stamps, values) for name, values in table.columns.items()}

        return self.cached((path,), make)

    def features(self, name: str) -> dict[str, StepSeries]:
        """Columns of a file of one's own, each known from its stamp on; a null says nothing.

        Raises
        ------
        DataError
            Where the data set has no such file, or it holds no numbers.
        """
        path = needed.path_of(needed.feature_series(name))
        if not self.folder.has(path):
            raise DataError(
                f"features/{name}: no file {path} in {self.data_dir}. Add one with the columns timestamp (UTC; when a "
                "row is known) and numbers (float64), or leave it out of strategy.features."
            )

        def make() -> dict[str, StepSeries]:
            names = tuple(found for found in self.folder.columns(path) if found != "timestamp")
            if not names:
                raise DataError(f"{path}: it has no column beside timestamp. Add one of numbers (float64).")
            table = self.folder.table(path, names)
            return {found: StepSeries(table.stamps, values) for found, values in table.columns.items()}

        return self.cached((path,), make)

    def distribution(self, symbol: str) -> Distributions | None:
        """Payouts of a reward token, as its venue's terms read them; None where the data set has no table of them."""
        terms = self.config.distributions[symbol]
        path = f"rewards/{terms.table}.parquet"
        if not self.folder.has(path):
            return None

        def make() -> Distributions:
            days = ("period_start", "period_end", terms.payout)
            self.folder.hashes[path], read = read_days(self.data_dir, path, days, (terms.rate,))
            stamps = read[terms.payout] + duration_ns(terms.lag)
            # nothing is known of a period before it is over
            ends = read["period_end"] + DAY
            order = np.argsort(stamps, kind="stable")
            columns = (np.maximum(stamps, ends), read["period_start"], ends, read[terms.rate])
            return Distributions(*(column[order] for column in columns))

        return self.cached((path, symbol), make)
