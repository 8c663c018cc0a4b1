"""DataProvider: the series a book needs, resolved onto a run's grid. May import `basis.errors`, `basis.kernel.keys`,
numpy and its siblings; takes any configuration object with the attributes of `basis.config.Config`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from basis.errors import DataError
from basis.kernel.keys import Key
from basis.market.assemble import PanelBuilder
from basis.market.panel import Distributions, Panel
from basis.market.sources import plan as plans
from basis.market.sources.bars import BarSeries
from basis.market.sources.clock import DAY, HOUR, duration_ns, to_datetime, to_ns
from basis.market.sources.funding import FundingSeries
from basis.market.sources.observed import ReserveSeries, StepSeries
from basis.market.sources.reader import DataFolder, Table, read_days

#: Folders of a data set, in the order of a listing.
KINDS = ("spot", "spot_5m", "perp", "perp_5m", "funding", "aave", "lst", "gas", "rewards", "signals")
_EIGHT_HOURS = 8 * HOUR


class SeriesInfo(NamedTuple):
    """A file of the data set: series name, path, first and last instant (None without a time column), rows."""

    series: str
    path: str
    first: datetime | None
    last: datetime | None
    rows: int


class MarketData(Mapping[str, float]):
    """The values of one row of a panel that are known, and each age as ``<column>|age_s``."""

    def __init__(self, panel: Panel, row: int) -> None:
        self.panel, self.row = panel, row

    def __getitem__(self, name: str) -> float:
        column, _, age = name.partition("|age_s")
        value = self.panel.columns[column][self.row]
        if value != value or (age and name != f"{column}|age_s"):
            raise KeyError(name)
        return float(self.panel.ages[column][self.row] if name.endswith("|age_s") else value)

    def __iter__(self) -> Iterator[str]:
        known = [name for name, values in self.panel.columns.items() if values[self.row] == values[self.row]]
        yield from known
        yield from (f"{name}|age_s" for name in self.panel.ages if name in known)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class DataProvider:
    """What was known when, from the parquet files of a data folder.

    `backtest` makes one of a folder's path; one that was made before can be given to it instead, so that files are read
    once for many runs.

    Parameters
    ----------
    data_dir : str | pathlib.Path
        A data set: ``spot/ perp/ funding/ aave/ lst/ gas/ rewards/ signals/``, one parquet file per series. README
        ("Your own data") has their columns and units; ``basis data check`` names what is wrong with one.
    config : Config
        Names the instruments, the sources, the staleness limits and the window.

    Raises
    ------
    DataError
        Where the folder does not exist.

    Examples
    --------
    >>> config = basis.BtcBasis(start="2024-06-01", end="2024-06-08")
    >>> provider = basis.DataProvider(basis.api.default_data(), config)
    >>> panel = provider.panel()
    >>> len(panel), panel.columns["spot|BTC"].shape, panel.coverage["spot/btcusdt"]["own"]
    (169, (169,), 1.0)
    >>> known = provider.market_data_at("2024-06-02 08:30")
    >>> bool(known["spot|BTC"] == panel.columns["spot|BTC"][32]), known["spot|BTC|age_s"]
    (True, 0.0)
    >>> result = basis.backtest(config, provider)
    """

    def __init__(self, data_dir: str | Path, config: Any) -> None:
        self.config = config
        self.data_dir = Path(data_dir)
        self.folder = DataFolder(data_dir)
        self._series: dict[tuple[str, ...], Any] = {}
        self._lookup: Panel | None = None
        #: Instruments that were asked for beside those of the configuration, such as a starting book's.
        self._beside: tuple[str, ...] = ()

    def panel(self, keys: Iterable[str | Key] | None = None, start: Any = None, end: Any = None) -> Panel:
        """The market on the grid start, start + bar_interval, …, end (inclusive).

        Parameters
        ----------
        keys : iterable of instrument keys, optional
            Default: the instruments of the configuration.
        start, end : str | datetime | int, optional
            Default: those of the configuration, else the range that all required series share.

        Returns
        -------
        Panel
            Columns ``<measure>|<key>``, (rows,) float64 each, by name in ``.columns``; their units are those of the
            table `panel` of a result. Instants are ``.timestamps``, (rows,) int64 ns UTC.

        Raises
        ------
        DataError
            Where a file is missing or defective, the window is outside the data, row 0 cannot be filled, or too few
            funding settlements are there.
        """
        config = self.config
        if keys is not None:
            keys = tuple(keys)
            known = {*map(str, config.instruments), *self._beside}
            if new := tuple(dict.fromkeys(str(key) for key in keys if str(key) not in known)):
                self._beside, self._lookup = (*self._beside, *new), None
        return self._build(keys, start if start is not None else config.start, end if end is not None else config.end)

    async def get_market_data(self, timestamp: Any) -> Mapping[str, float]:
        """What is known at an instant: the values of the row at or before it, and each age as ``<column>|age_s``.

        The instruments are those of the configuration and those of panels that were asked for before. A value that is
        not known then (too old, or a trailing window not yet whole) has no entry.

        Raises
        ------
        DataError
            Where the instant is outside the range that all required series share.
        """
        return self.market_data_at(timestamp)

    def market_data_at(self, timestamp: Any) -> Mapping[str, float]:
        """`get_market_data` for blocking callers."""
        if self._lookup is None:
            self._lookup = self._build((*map(str, self.config.instruments), *self._beside), None, None, lenient=True)
        return MarketData(self._lookup, self._lookup.row_at(timestamp))

    def series(self) -> list[SeriesInfo]:
        """Every file of the data set with its range; nothing is checked (that is `basis data check`)."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        found = []
        for path in (p for kind in KINDS for p in sorted(self.data_dir.glob(f"{kind}/*.parquet"))):
            file = pq.ParquetFile(path)
            name = path.relative_to(self.data_dir).as_posix()
            times = [f.name for f in file.schema_arrow if str(f.type).startswith(("timestamp", "date"))]
            first = last = None
            if times and file.metadata.num_rows:
                column = file.read(columns=times[:1]).column(0)
                span = pc.min_max(column).as_py()  # pyright: ignore[reportAttributeAccessIssue]
                first, last = (to_datetime(to_ns(span[side])) if span[side] else None for side in ("min", "max"))
            found.append(SeriesInfo(name.removesuffix(".parquet"), name, first, last, file.metadata.num_rows))
        return found

    def paths(self, series: str, sources: tuple[str, ...]) -> list[str]:
        """File of each source; on a grid finer than an hour the one with finer candles where the data set has it."""
        coarse = plans.source_paths(series, sources)
        if self.config.bar_interval >= timedelta(hours=1):
            return coarse
        fine = plans.source_paths(series, sources, series.split("/", 1)[0] + plans.FINE)
        return [f if self.folder.has(f) else c for f, c in zip(fine, coarse, strict=True)]

    # --- series, loaded once ---------------------------------------------------------------------------------------

    def _table(self, path: str) -> Table | None:
        return self.folder.table(path, *plans.columns_of(path)) if self.folder.has(path) else None

    def _tables(self, series: str, paths: list[str]) -> list[Table | None]:
        tables = [self._table(path) for path in paths]
        if all(table is None for table in tables):
            raise DataError(
                f"{series}: no file for it in {self.data_dir}; tried {', '.join(paths)}. Add one"
                + (f" or name another source in data.sources[{series!r}]." if "_" in paths[0] else ".")
            )
        return tables

    def _cached(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        if key not in self._series:
            self._series[key] = make()
        return self._series[key]

    def bars(self, series: str, sources: tuple[str, ...]) -> BarSeries:
        """The candles of a series from its sources in order."""
        paths = self.paths(series, sources)
        return self._cached((series, *sources), lambda: BarSeries(self._tables(series, paths)))

    def ranges(self, series: str, sources: tuple[str, ...]) -> BarSeries:
        """The candles of a spot series with their extremes, which only loans need."""
        present = [path for path in self.paths(series, sources) if self.folder.has(path)]
        columns = ("open", "high", "low")
        return self._cached(
            (series, *sources, "high", "low"), lambda: BarSeries([self.folder.table(path, columns) for path in present])
        )

    def funding(self, series: str, sources: tuple[str, ...], venue: str) -> FundingSeries:
        """The settlements of a series from its sources in order."""
        described = self.config.venues.get(venue)
        interval = getattr(described, "funding_interval", None)
        default = duration_ns(interval) if interval else _EIGHT_HOURS
        paths = self.paths(series, sources)
        return self._cached((series, *sources), lambda: FundingSeries(self._tables(series, paths), default))

    def reserve(self, symbol: str, debt: bool) -> ReserveSeries:
        """One side of an Aave reserve."""
        path = plans.aave_path(symbol)
        series = path.removesuffix(".parquet")
        return self._cached(
            (series, "debt" if debt else "supply"), lambda: ReserveSeries(_single(self._tables(series, [path])), debt)
        )

    def lst(self, symbol: str, market: bool) -> StepSeries:
        """Protocol rate of a staking token, or the rate at which it trades."""
        path = plans.lst_path(symbol)
        series = path.removesuffix(".parquet")

        def make() -> StepSeries:
            table = _single(self._tables(series, [path]))
            if not market:
                # Hours between two observations are interpolated at the source with the later one.
                observed = table.only(table.columns["is_observed"] == 1.0)
                return StepSeries(observed.stamps, observed.columns["oracle_rate_eth"])
            nothing = np.full(table.stamps.size, np.nan)
            return StepSeries(table.stamps, table.columns.get("market_rate_eth_median24h", nothing))

        return self._cached((series, "market" if market else "oracle"), make)

    def gas(self) -> StepSeries:
        """Gas price by the time its block was sampled."""

        def make() -> StepSeries:
            table = _single(self._tables("gas/ethereum", [plans.GAS_PATH]))
            known = table.columns.get("sampled_at", table.stamps).astype(np.int64)
            order = np.argsort(known, kind="stable")
            # A block is up to an hour older than its label, so an hourly series is fresh for two hours.
            return StepSeries(known[order], table.columns["gas_price_gwei"][order], step=2 * HOUR)

        return self._cached(("gas",), make)

    def signals(self, name: str) -> dict[str, StepSeries]:
        """Columns of a signal series; a row with a null says nothing.

        Raises
        ------
        DataError
            Where the data set has no such file; the message says what it holds.
        """
        path = plans.signals_path(name)
        if not self.folder.has(path):
            raise DataError(
                f"{path.removesuffix('.parquet')}: no file {path} in {self.data_dir}. Add one with the columns "
                "timestamp (UTC; when the signal is known), signal (-1 short, 0 flat, 1 long), confidence (0 to 1) and "
                "sd (standard deviation of a bar's return, fraction of the price), or name another in "
                "strategy.signal_file."
            )

        def make() -> dict[str, StepSeries]:
            table = _single([self._table(path)])
            table = table.only(~np.isnan(np.array(list(table.columns.values()))).any(axis=0))
            return {name: StepSeries(table.stamps, values) for name, values in table.columns.items()}

        return self._cached((path,), make)

    def distribution(self, symbol: str) -> Distributions | None:
        """Payouts of a reward token, as its venue's terms read them; None where the data set has no table of them."""
        terms = self.config.distributions[symbol]
        path = f"rewards/{terms.table}.parquet"
        if not (self.data_dir / path).is_file():
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

        return self._cached((path, symbol), make)

    # --- the panel -------------------------------------------------------------------------------------------------

    def _build(self, keys: Iterable[str | Key] | None, start: Any, end: Any, lenient: bool = False) -> Panel:
        config = self.config
        plan = plans.plan_series(config.instruments if keys is None else keys, config)
        builder = PanelBuilder(self, plan)
        builder.load()
        builder.grid(start, end)
        builder.fill()
        return builder.panel(lenient)


class PanelProvider:
    """A panel that is ready, in the place of a data provider.

    Attributes
    ----------
    whole : Panel
        All its rows; a run takes those of its window.
    """

    def __init__(self, panel: Panel, config: Any) -> None:
        self.whole, self.config = panel, config

    def panel(self, **window: Any) -> Panel:
        """All its rows."""
        return self.whole

    async def get_market_data(self, timestamp: Any) -> Mapping[str, float]:
        """See `DataProvider.get_market_data`."""
        return MarketData(self.whole, self.whole.row_at(timestamp))


def _single(tables: list[Table | None]) -> Table:
    table = tables[0]
    assert table is not None  # `_tables` raises where no file is there
    return table
