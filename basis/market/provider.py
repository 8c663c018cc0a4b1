"""DataProvider: the series a book needs, resolved onto a run's grid. May import `basis.errors`, `basis.kernel.keys`,
numpy and its siblings; takes any configuration object with the attributes of `basis.config.Config`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from basis.errors import InputError, as_path, checked_call
from basis.kernel.keys import Key
from basis.market.assemble import PanelBuilder
from basis.market.checks.run import doubt
from basis.market.needed import needed_series
from basis.market.panel import Panel
from basis.market.series import SeriesStore
from basis.market.sources.clock import to_datetime
from basis.series_kinds import folders


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
        A data set: ``spot/ perp/ mark/ funding/ aave/ lst/ gas/ rewards/ signals/``, one parquet file per series. The
        page docs/data.md has their columns and units; ``basis data check`` names what is wrong with one.
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

    @checked_call
    def __init__(self, data_dir: "str | os.PathLike[str]", config: Any) -> None:
        if not hasattr(config, "instruments"):
            raise InputError(f"config is {config!r}; give a Config, such as basis.load_config makes.")
        self.config = config
        self.data_dir = as_path(data_dir, "data")
        self._store = SeriesStore(self.data_dir, config)
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

    def before(self, panel: Panel, keys: Iterable[str | Key], span: int) -> Panel | None:
        """The rows that lead to a panel, its first one included; None where the data set has none before it.

        Parameters
        ----------
        panel : begins where they end
        keys : instruments of the panel
        span : nanoseconds that they reach back, as far as the data set does
        """
        builder = PanelBuilder(self._store, needed_series(keys, self.config))
        builder.load()
        begin = builder.first_before(int(panel.timestamps[0]), span)
        if begin is None:
            return None
        builder.grid(begin, int(panel.timestamps[0]))
        builder.fill()
        return builder.panel(lenient=True)

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
        found = []
        for path in (p for folder in folders() for p in sorted(self.data_dir.glob(f"{folder}/*.parquet"))):
            name = path.relative_to(self.data_dir).as_posix()
            rows, stamps = self._store.folder.stamps(name)
            first, last = (to_datetime(int(stamps[i])) for i in (0, -1)) if stamps.size else (None, None)
            found.append(SeriesInfo(name.removesuffix(".parquet"), name, first, last, rows))
        return found

    # --- the panel -------------------------------------------------------------------------------------------------

    def _build(self, keys: Iterable[str | Key] | None, start: Any, end: Any, lenient: bool = False) -> Panel:
        config = self.config
        builder = PanelBuilder(self._store, needed_series(config.instruments if keys is None else keys, config))
        builder.load()
        builder.grid(start, end)
        with np.errstate(all="ignore"):  # a number without sense is refused below, and named
            builder.fill()
        if not lenient:
            builder.warnings = doubt(builder)
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
