"""One panel in the making: the series that a book needs, filled onto a grid. May import `basis.errors`,
`basis.kernel.keys`, numpy and its siblings.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from basis.errors import DataError
from basis.kernel.keys import GAS_ASSET, QUOTE_ASSET, Key
from basis.market import needed
from basis.market.checks.run import cut_short, payments_at_an_end, stand_in_at_an_end
from basis.market.needed import NeededSeries
from basis.market.panel import Distributions, Panel, Settlements, first_stop
from basis.market.series import SeriesStore
from basis.market.sources.bars import BarSeries, Resolved
from basis.market.sources.clock import DAY, SECOND, duration_ns, iso, span_text, to_ns
from basis.market.sources.funding import FundingSeries
from basis.series_kinds import FUNDING, PERP, default_staleness, limit_of_series

#: An instant before any data.
_BEGINNING = 0
#: What a run says of perps without a series of marks.
_NO_MARKS = "marks: the open of a perp's candle stands in for the mark price, its high and low for the extremes"
#: Span of `staking_week`, over which a staking rate is measured where something is owed.
_WEEK = 7 * DAY


class PanelBuilder:
    """One panel in the making.

    Parameters
    ----------
    store : the series of the data folder
    needs : the series that go into the panel
    """

    def __init__(self, store: SeriesStore, needs: NeededSeries) -> None:
        self.store, self.needs, self.config = store, needs, store.config
        config = self.config
        self.step = duration_ns(config.bar_interval)
        rule = config.strategy.rate_rule
        self.window = duration_ns(rule.window) if rule.enabled and rule.window else None
        trades_market = getattr(config.strategy, "stake_route", None) == "market"
        self.market_required = config.valuation == "market" or trades_market
        self.columns: dict[str, np.ndarray] = {}
        self.ages: dict[str, np.ndarray] = {}
        self.sources: dict[str, np.ndarray] = {}
        self.source_names: dict[str, tuple[str, ...]] = {}
        self.settlements: dict[str, Settlements] = {}
        self.distributions: dict[str, Distributions] = {}
        self.coverage: dict[str, dict[str, float]] = {}
        self.holes: dict[str, np.ndarray] = {}
        self.notes: list[str] = []
        self.warnings: list[str] = []
        #: Perps whose bars hold no trade to their end, and the stamp of the first of those, ns.
        self.delisted: dict[str, int] = {}
        self.files: set[str] = set()
        self.too_few: list[str] = []
        self.timestamps = np.empty(0, np.int64)

    def staleness(self, series: str) -> int:
        """How long a value of a series may be carried, ns: its own limit, then its kind's, then the default."""
        kind, limits = limit_of_series(series), self.config.data.max_staleness
        return duration_ns(limits.get(series, limits.get(kind, default_staleness()[kind])))

    # --- what is needed --------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Resolve the names of the series and read their files together."""
        needs, config = self.needs, self.config
        self.spots = {asset: needed.spot_series(config, asset) for asset in needs.spots if asset not in needs.rewards}
        for asset in needs.rewards:
            if why := self._unpaid(asset):
                self._note(f"{asset}: {why}; no rewards are paid in it")
            else:
                self.spots[asset] = needed.spot_series(config, asset)
        in_ether = any(needed.quoted_in_ether(series) for series, _ in self.spots.values())
        if in_ether and GAS_ASSET not in self.spots:
            self.spots[GAS_ASSET] = needed.spot_series(config, GAS_ASSET)
        self.marks = {key: needed.venue_series(config, PERP, key) for key in needs.perps}
        self.fundings = {key: needed.venue_series(config, FUNDING, key) for key in needs.perps}
        self.usd = (needed.USD_SERIES, needed.configured(config, needed.USD_SERIES)) if needs.usd else None
        named = [*self.spots.values(), *self.marks.values(), *self.fundings.values(), *filter(None, [self.usd])]
        paths = [path for series, sources in named for path in self.store.paths(series, sources)]
        paths += [path for series, sources in self.marks.values() for path in self.store.mark_paths(series, sources)]
        single = [needed.reserve_series(key) for key in (*needs.supplies, *needs.debts)]
        single += [needed.staking_series(symbol) for symbol in needs.staking_tokens]
        single += [needed.GAS_SERIES] if needs.gas else []
        single += [needed.signal_series(needs.signals)] if needs.signals else []
        paths += map(needed.path_of, single)
        folder = self.store.folder
        present = [path for path in dict.fromkeys(paths) if folder.has(path)]
        folder.fetch((path, *needed.columns_of(path)) for path in present)
        self.files.update(present)
        for series, sources in dict(named).items():
            absent = [p for p in self.store.paths(series, sources) if not folder.has(p)]
            if absent and len(absent) < len(sources):
                self.notes.append(f"{series}: the data set has no {', '.join(absent)}")

    def _unpaid(self, asset: str) -> str:
        """Why a reward token is not paid on this data set; empty where it is."""
        try:
            series, sources = needed.spot_series(self.config, asset)
        except DataError:
            return f"data.sources names no {needed.ether_series(asset)}"
        if not any(map(self.store.folder.has, self.store.paths(series, sources))):
            return f"the data set has no {series}"
        table = self.config.distributions[asset].table
        return "" if self.store.distribution(asset) else f"the data set has no rewards/{table}"

    def ranges(self) -> Iterable[tuple[str, tuple[int, int] | None, bool]]:
        """Series, first and last instant, and whether a window outside them is an error of its own."""
        store, needs = self.store, self.needs
        for series, sources in self.marks.values():
            bars, _ = store.marks(series, sources)
            yield series, self._until_delisted(series, sources, bars.span()), True
        for series, sources in [*self.spots.values(), *filter(None, [self.usd])]:
            span = store.bars(series, sources).span()
            # A token quoted in WETH is a reward; until it has a market it is worth nothing, and no window waits for it.
            yield series, (_BEGINNING, span[1]) if span and needed.quoted_in_ether(series) else span, True
        for key, (series, sources) in self.fundings.items():
            # Coverage judges a window outside the settlements.
            yield series, store.funding(series, sources, key.venue).span(), False
        for key, debt in [*((k, False) for k in needs.supplies), *((k, True) for k in needs.debts)]:
            series = needed.reserve_series(key)
            yield series, store.reserve(key, debt).index.span(self.staleness(series)), True
        for symbol in needs.staking_tokens:
            series = needed.staking_series(symbol)
            yield series, store.staking_token(symbol, market=False).span(self.staleness(series)), True
            if self.market_required:
                market = store.staking_token(symbol, market=True)
                yield f"{series} (market rate)", market.span(self.staleness(series)), True
        if needs.signals:
            series = needed.signal_series(needs.signals)
            yield series, store.signals(needs.signals)["signal"].span(self.staleness(series)), True
        if needs.gas:
            yield needed.GAS_SERIES, store.gas().span(self.staleness(needed.GAS_SERIES)), True

    def _until_delisted(
        self, series: str, sources: tuple[str, ...], span: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        """The range of a perp's prices; it ends with the last trade of its own venue where no other follows."""
        stamp = self.store.last_trade(series, sources)
        if stamp is None or span is None:
            return span
        self.delisted[series] = stamp
        return span[0], min(span[1], stamp)

    def grid(self, start: Any, end: Any) -> None:
        """Fix the rows: exact steps from start to end inclusive, inside every required series."""
        ranges = list(self.ranges())
        for series, span, _ in ranges:
            if span is None:
                raise DataError(
                    f"{series}: no value at all in its files. See `basis data check {self.store.data_dir}`."
                )
        spans = [span for _, span, _ in ranges if span is not None]
        if not spans and (start is None or end is None):
            raise DataError("No series is needed, so there is no common range: give start and end.")
        anchor = to_ns(self.config.start) if self.config.start is not None else 0
        first, last = self._common(spans, anchor)
        begin = first if start is None else to_ns(start)
        finish = last if end is None else to_ns(end)
        if end is None and not self.delisted:
            self._warn(cut_short(ranges, begin, finish))
        if finish < begin:
            if start is None or end is None:
                names = ", ".join(f"{series} {iso(s[0])} .. {iso(s[1])}" for series, s, _ in ranges if s)
                raise DataError(f"No common range from {iso(begin)} to {iso(finish)}; the series reach: {names}.")
            raise DataError(f"end {iso(finish)} is before start {iso(begin)}; give start <= end.")
        # Counted in integers: `arange` would size the grid in floats, which cannot hold the last nanosecond.
        self.timestamps = begin + np.arange((finish - begin) // self.step + 1, dtype=np.int64) * self.step
        for series, span, bounding in ranges:
            if bounding and span is not None and (begin < span[0] or self.timestamps[-1] > span[1]):
                data = "the time in which it was traded" if series in self.delisted else "its data"
                raise DataError(
                    f"{series}: the window {iso(begin)} .. {iso(self.timestamps[-1])} reaches outside {data}, "
                    f"{iso(span[0])} .. {iso(span[1])}. Choose start and end inside, or add data."
                )

    def first_before(self, instant: int, span: int) -> int | None:
        """First row at most `span` (and less than a step more) before an instant that all series have, on its grid."""
        first, _ = self._common([found for _, found, _ in self.ranges() if found is not None], instant)
        begin = max(first, instant - -(-span // self.step) * self.step)
        return begin if begin < instant else None

    def _common(self, spans: list[tuple[int, int]], anchor: int) -> tuple[int, int]:
        """Range that all series share, on the grid through `anchor`."""
        first = max((span[0] for span in spans), default=0)
        last = min((span[1] for span in spans), default=0)
        return first + (anchor - first) % self.step, last

    # --- filling ---------------------------------------------------------------------------------------------------

    def put(self, column: str, series: str, resolved: Resolved, names: tuple[str, ...], label: str = "") -> None:
        """Store a resolved column with its source, age, coverage, notes and holes."""
        self._keep(column, names, np.ascontiguousarray(resolved.values), resolved)
        rows, title = self.timestamps.size, label or series
        own = resolved.fresh & (resolved.source == 0)
        self.coverage[title] = {"own": float(own.mean()), "resolved": float(resolved.fresh.mean())}
        empty = np.isnan(resolved.values)
        if empty.any():
            self.holes[title] = np.where(empty, resolved.age, 0.0)
        for index, name in enumerate(names[1:], start=1):
            count = int((resolved.source == index).sum())
            if count:
                self._note(f"{title}: {100 * count / rows:.1f} % of rows ({count} of {rows}) stand in from {name}")
        self._warn(stand_in_at_an_end(title, names, resolved, self.timestamps))
        carried = ~resolved.fresh & ~empty & (resolved.age > 0.0)
        if carried.any():
            oldest = span_text(float(resolved.age[carried].max()) * SECOND)
            self._note(f"{title}: {int(carried.sum())} of {rows} rows are carried, at most {oldest}")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _warn(self, text: str | None) -> None:
        if text is not None and text not in self.warnings:
            self.warnings.append(text)

    def fill(self) -> None:
        """Every column that is needed; the price of ether first, since others are quoted in it."""
        for asset in sorted(self.spots, key=lambda a: a != GAS_ASSET):
            self._spot(asset)
        if self.usd is not None:
            series, names = self.usd
            resolved = self.store.bars(series, names).at(self.timestamps, self.staleness(series))
            self.put(f"usd|{QUOTE_ASSET}", series, resolved, names)
        for key in self.needs.perps:
            self._perp(key)
        for symbol in self.needs.rewards:
            if symbol in self.spots:
                self._rewards(symbol)
        for key in self.needs.supplies:
            self._reserve(key, "liquidity_index", "supply_apr", debt=False)
        for key in self.needs.debts:
            self._reserve(key, "borrow_index", "borrow_apr", debt=True)
        for symbol in self.needs.staking_tokens:
            self._staking_token(symbol)
        if self.needs.signals:
            self._signals(self.needs.signals)
        for name in self.needs.features:
            self._features(name)
        if self.needs.gas:
            series = needed.GAS_SERIES
            resolved = self.store.gas().at(self.timestamps, self.staleness(series))
            self.put("gas_price_gwei", series, resolved, (series.partition("/")[2],))

    def _spot(self, asset: str) -> None:
        series, names = self.spots[asset]
        bars, limit = self.store.bars(series, names), self.staleness(series)
        resolved = bars.at(self.timestamps, limit)
        if needed.quoted_in_ether(series):
            span = bars.span()
            unlisted = self.timestamps < span[0] if span else np.zeros(self.timestamps.shape, bool)
            values = np.where(unlisted, 0.0, resolved.values * self.columns[f"spot|{GAS_ASSET}"])
            resolved = resolved._replace(values=values, age=np.where(unlisted, 0.0, resolved.age))
            if unlisted.any() and span:
                self._note(f"{series}: no market before {iso(span[0])}; {asset} is worth 0 until then")
        self.put(f"spot|{asset}", series, resolved, names)
        if (self.needs.tested or self.needs.depth) and not needed.quoted_in_ether(series):
            candles = self.store.ranges(series, names)
            if self.needs.depth:
                self.columns[f"volatility|spot|{asset}"] = candles.volatility(self.timestamps, self.step, limit)
            high, low = candles.extremes(self.timestamps, self.columns[f"spot|{asset}"])
            self.columns[f"high|spot|{asset}"], self.columns[f"low|spot|{asset}"] = high, low
        self._volume(f"volume|spot|{asset}", bars, series, limit)

    def _volume(self, column: str, bars: BarSeries, series: str, limit: int) -> None:
        volume = bars.volume(self.timestamps, self.step, limit)
        if volume is not None:
            self.columns[column] = volume
            return
        execution = getattr(self.config, "execution", None)
        limited = execution and (execution.impact > 0.0 or execution.participation is not None)
        # what is not traded at an exchange meets no market there: ether for gas, a token that is sold at a pool
        if limited and (column.removeprefix("volume|spot|") in self.needs.traded or series.startswith(PERP)):
            raise DataError(
                f"{series}: its files have no volume, which execution.impact and execution.participation need. "
                "Name another source in data.sources, or leave them out."
            )

    def _rewards(self, symbol: str) -> None:
        paid, terms, rows = self.store.distribution(symbol), self.config.distributions[symbol], self.timestamps
        assert paid is not None  # noqa: S101 - for the type checker: only what is paid comes here
        self.distributions[symbol] = paid
        self.files.add(f"rewards/{terms.table}.parquet")
        row = np.searchsorted(rows, paid.stamps, "left")
        inside = (row > 0) & (row < rows.size)
        self.columns[f"reward_rate|{symbol}"] = np.bincount(row[inside], paid.rates[inside], rows.size).astype(float)
        if inside.any():
            later = f" + {span_text(duration_ns(terms.lag))}" if terms.lag else ""
            self._note(
                f"rewards/{terms.table}: {symbol} is paid by {terms.rate} on what is held at {terms.payout}{later}, "
                f"{terms.on} counted as {terms.on} times its protocol's rate"
            )

    def _perp(self, key: Key) -> None:
        series, names = self.marks[key]
        bars, limit, text = self.store.bars(series, names), self.staleness(series), str(key)
        prices, sources = self.store.marks(series, names)
        resolved = prices.at(self.timestamps, limit)
        self.put(f"mark|{text}", series, resolved, sources)
        mark = self.columns[f"mark|{text}"]
        self.columns[f"high|{text}"], self.columns[f"low|{text}"] = prices.extremes(self.timestamps, mark)
        self._volume(f"volume|{text}", bars, series, limit)
        if self.needs.depth:
            self.columns[f"volatility|{text}"] = bars.volatility(self.timestamps, self.step, limit)
        if not self.store.folder.has(self.store.mark_paths(series, names)[0]):
            self._note(_NO_MARKS)
        self._funding(key, prices, series, limit)

    def _funding(self, key: Key, bars: BarSeries, mark_series: str, limit: int) -> None:
        series, names = self.fundings[key]
        events = self.store.funding(series, names, key.venue)
        start, end = int(self.timestamps[0]), int(self.timestamps[-1])
        inside, text, rows = events.window(start, end), str(key), self.timestamps.size
        stamps, rates = events.stamps[inside], events.rates[inside]
        marked = bars.at(stamps, limit)
        row = np.searchsorted(self.timestamps, stamps, "left")
        self.settlements[text] = Settlements(stamps, rates, marked.values, row, events.source[inside])
        self.columns[f"funding_rate|{text}"] = np.bincount(row, rates, rows).astype(np.float64)
        self.columns[f"funding_cash|{text}"] = np.bincount(row, marked.values * rates, rows).astype(np.float64)
        if np.isnan(marked.values).any():
            ages = self.holes.setdefault(mark_series, np.zeros(rows))
            np.maximum.at(ages, row, np.where(np.isnan(marked.values), marked.age, 0.0))
        if self.window is not None:
            self.columns[f"funding_apr|{text}"] = events.trailing_apr(self.timestamps, self.window)
        self._warn(payments_at_an_end(series, names, events.source[inside], stamps))
        for stamp in events.doubtful[(events.doubtful > start) & (events.doubtful <= end)][:1]:
            self._note(
                f"{series}: the step that ends {iso(int(stamp))} is longer than those around it and taken for an "
                "interval of its own; a column `interval` (hours) settles it"
            )
        self._funding_coverage(series, names, events, start, end)

    def _funding_coverage(
        self, series: str, names: tuple[str, ...], events: FundingSeries, start: int, end: int
    ) -> None:
        covered = events.coverage(start, end)
        self.coverage[series] = {"own": covered.own, "resolved": covered.resolved}
        missing, stood_in = covered.expected - covered.own_present, covered.resolved_present - covered.own_present
        if missing:
            self._note(
                f"{series}: {missing} of {covered.expected} settlements are missing at {names[0]}, "
                f"{stood_in} of them stand in from {', '.join(names[1:]) or 'nowhere'}"
            )
        limit = self.config.data.min_funding_coverage
        if covered.resolved < limit:
            self.too_few.append(
                f"{series}: {covered.resolved_present} of the {covered.expected} settlements due in ({iso(start)}, "
                f"{iso(end)}] are there, a coverage of {covered.resolved:.4f}; data.min_funding_coverage is {limit:g}. "
                f"Name another source in data.sources[{series!r}] (now {list(names)}), choose another window, "
                "or lower data.min_funding_coverage."
            )

    def _reserve(self, key: Key, index: str, apr: str, debt: bool) -> None:
        """Index and rates of a supply or a debt; the columns are named by its reserve."""
        series = needed.reserve_series(key)
        reserve = self.store.reserve(key, debt)
        accrued = reserve.at(self.timestamps, self.staleness(series))
        self.put(f"{index}|{key.reserve}", series, accrued.index, (key.venue,))
        self.columns[f"{apr}|{key.reserve}"] = accrued.apr
        if self.window is not None:
            self.columns[f"{apr}_mean|{key.reserve}"] = reserve.apr.trailing_mean(self.timestamps, self.window)

    def _staking_token(self, symbol: str) -> None:
        series = needed.staking_series(symbol)
        oracle = self.store.staking_token(symbol, market=False)
        self.put(f"oracle_rate|{symbol}", series, oracle.at(self.timestamps, self.staleness(series)), ("oracle",))
        if self.window is not None:
            self.columns[f"staking_apr|{symbol}"] = oracle.trailing_growth(self.timestamps, self.window)
        if self.needs.debts:
            self.columns[f"staking_week|{symbol}"] = oracle.trailing_growth(self.timestamps, _WEEK)
        market = self.store.staking_token(symbol, market=True).at(self.timestamps, self.staleness(series))
        label, unknown = f"{series} (market rate)", int(np.isnan(market.values).sum())
        self.put(f"market_rate|{symbol}", series, market, ("market",), label)
        if not self.market_required:
            # a book valued at the oracle's rate needs none; where there is none, it does not trade at it
            self.holes.pop(label, None)
            if unknown:
                self._note(
                    f"{label}: not known in {unknown} of {self.timestamps.size} rows; nothing is traded at it there"
                )

    def _signals(self, name: str) -> None:
        """The latest signal of each row; 0 with no confidence where it is older than it may be."""
        series, asset = needed.signal_series(name), self.config.asset
        for measure, known in self.store.signals(name).items():
            resolved, column = known.at(self.timestamps, self.staleness(series)), f"{measure}|{asset}"
            old = np.isnan(resolved.values)
            self._keep(column, (name,), np.where(old, 0.0, resolved.values), resolved)
            self.coverage[series] = {"own": float(resolved.fresh.mean()), "resolved": float(resolved.fresh.mean())}
            if old.any():
                self._note(f"{series}: {int(old.sum())} of {old.size} rows have no signal that is young enough: flat")

    def _features(self, name: str) -> None:
        """Columns of a file of one's own: the latest value of each row, NaN where that is older than it may be."""
        series = needed.feature_series(name)
        self.files.add(needed.path_of(series))
        for measure, known in self.store.features(name).items():
            resolved = known.at(self.timestamps, self.staleness(series))
            self._keep(f"feature|{name}.{measure}", (name,), np.ascontiguousarray(resolved.values), resolved)
            unknown, rows = int(np.isnan(resolved.values).sum()), self.timestamps.size
            if unknown:
                self._note(f"{series}: {measure} is not known in {unknown} of {rows} rows (data.max_staleness)")

    def _keep(self, column: str, names: tuple[str, ...], values: np.ndarray, resolved: Resolved) -> None:
        """Store a column with the age and the source of every value."""
        self.columns[column], self.ages[column] = values, resolved.age
        self.sources[column], self.source_names[column] = resolved.source, names

    def panel(self, lenient: bool) -> Panel:
        """The finished panel.

        Parameters
        ----------
        lenient : bool
            Leave holes in row 0 and thin funding to the caller (a look-up, not a run).
        """
        stop = first_stop(self.timestamps, self.holes)
        if not lenient and stop is not None and stop.row == 0:
            series = stop.series.split(" ", 1)[0]
            limit = span_text(self.staleness(series))
            raise DataError(
                f"{stop.series}: no value at {iso(stop.instant)}: the latest is {span_text(stop.age_s * SECOND)} old, "
                f"max_staleness is {limit}. Start later, add a source to data.sources[{series!r}], or raise "
                "data.max_staleness."
            )
        if not lenient and self.too_few:
            raise DataError("\n".join(self.too_few))
        return Panel(
            timestamps=self.timestamps,
            step_s=self.step // SECOND,
            columns=self.columns,
            sources=self.sources,
            source_names=self.source_names,
            ages=self.ages,
            settlements=self.settlements,
            distributions=self.distributions,
            coverage=self.coverage,
            holes=self.holes,
            stop=stop,
            files={path: self.store.folder.hashes[path] for path in sorted(self.files)},
            notes=tuple(self.notes),
            warnings=tuple(self.warnings),
        )
