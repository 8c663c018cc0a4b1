"""What an outsider reads beside a run's tables: the data files resolved by the accounting's rules, and dated terms.

Nothing of `basis` is imported: a mistake of the package must not be repeated here.
"""

from bisect import bisect_right
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

SECONDS_PER_YEAR = 31_536_000.0
HOUR = pd.Timedelta(hours=1)


def utc(value):
    """A date or an instant of a configuration file."""
    stamp = pd.Timestamp(value)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def in_force(entries, stamp):
    """The entry of a dated table that holds at an instant; the first also serves the time before it."""
    ordered = sorted(entries, key=lambda entry: _sortable(entry["from"]))
    found = ordered[0]
    for entry in ordered[1:]:
        if _sortable(entry["from"]) <= stamp:
            found = entry
    return found


def _sortable(value):
    return utc(datetime(value.year, value.month, value.day) if type(value) is date else value)


class Terms:
    """Terms of the venues of a run at an instant, kept by the interval in which they do not change."""

    def __init__(self, venues):
        self.venues = venues
        self._kept = {}
        dates = {_sortable(entry["from"]) for venue in venues.values() for entry in _entries(venue)}
        self.dates = sorted(dates)

    def _of(self, stamp, name, make):
        key = (name, bisect_right(self.dates, stamp))
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def taker(self, stamp, venue, market):
        table = self.venues[venue][f"{market}_fee"]
        return self._of(stamp, ("taker", venue, market), lambda: in_force(table, stamp)["taker"])

    def liquidation_fee(self, stamp, venue):
        table = self.venues[venue]["liquidation_fee"]
        return self._of(stamp, ("liquidation", venue), lambda: in_force(table, stamp)["value"])

    def withdrawal_fee(self, stamp, venue, asset):
        table = self.venues[venue]["withdrawal_fee"][asset]
        return self._of(stamp, ("withdrawal", venue, asset), lambda: in_force(table, stamp)["value"])

    def gas_units(self, stamp, venue, operation):
        table = self.venues[venue]["gas_units"][operation]
        return self._of(stamp, ("gas", venue, operation), lambda: in_force(table, stamp)["value"])

    def slippage(self, stamp, venue, market, symbol, notional):
        tables = self.venues[venue][f"{market}_slippage"]
        table = tables.get(symbol) or tables["default"]
        buckets = self._of(stamp, ("slippage", venue, market, symbol), lambda: in_force(table, stamp)["buckets"])
        return next(bps for most, bps in buckets if most is None or notional <= most) * 1e-4

    def _brackets(self, stamp, venue, symbol):
        table = self.venues[venue]["tiers"][symbol]
        return self._of(stamp, ("tiers", venue, symbol), lambda: in_force(table, stamp)["brackets"])

    def maintenance(self, stamp, venue, symbol, notional):
        """Maintenance margin, quote."""
        rows = self._brackets(stamp, venue, symbol)
        _, rate, amount, _ = next((row for row in rows if row[0] is None or notional <= row[0]), rows[-1])
        return notional * rate - amount

    def initial(self, stamp, venue, symbol, notional):
        """Initial margin, quote."""
        rows = self._brackets(stamp, venue, symbol)
        return notional / next((row for row in rows if row[0] is None or notional <= row[0]), rows[-1])[3]

    def latency(self, venue, way):
        return pd.Timedelta(self.venues[venue]["latency"][way])


def _entries(venue):
    for value in venue.values():
        tables = [value] if isinstance(value, list) else value.values() if isinstance(value, dict) else []
        for table in tables:
            if isinstance(table, list):
                yield from (entry for entry in table if isinstance(entry, dict) and "from" in entry)


@lru_cache(maxsize=64)
def read(path):
    """A series by its instants; nobody changes the frame."""
    frame = pd.read_parquet(path)
    return frame.set_index(pd.DatetimeIndex(frame.pop("timestamp")))


class Files:
    """Series of a data folder on the grid of a run, resolved as accounting §1 says."""

    def __init__(self, folder, config, stamps):
        self.folder, self.config, self.stamps = Path(folder), config, stamps
        self.columns = {}

    def _read(self, path):
        return read(self.folder / path)

    def _sources(self, series, own):
        kind, name = series.split("/")
        given = self.config["data"]["sources"].get(series) or [own]
        paths = [f"{kind}/{source}_{name.rsplit('_', 1)[-1]}.parquet" for source in given]
        return [path for path in paths if (self.folder / path).is_file()]

    def bars(self, series, own=None):
        """Candles by their stamp; a hole of one source filled from the next."""
        made = None
        for path in self._sources(series, own):
            frame = self._read(path)
            frame = frame[[c for c in ("open", "high", "low") if c in frame]].dropna(subset="open")
            made = frame if made is None else pd.concat([made, frame[~frame.index.isin(made.index)]]).sort_index()
        return made

    def opens(self, series, own=None, at=None):
        """The open of the candle stamped at the instant, else the last one before it."""
        at = self.stamps if at is None else at
        return self.bars(series, own)["open"].reindex(at, method="ffill").to_numpy()

    def extremes(self, series, own, mark):
        """Highest and lowest price of the candles that ended after the row before, up to the row."""
        bars = self.bars(series, own)
        row = np.searchsorted(self.stamps, bars.index + HOUR, side="left")
        inside = (row > 0) & (row < len(self.stamps))
        by_row = bars[inside].groupby(row[inside])
        high, low = mark.copy(), mark.copy()
        high[by_row["high"].max().index] = by_row["high"].max()
        low[by_row["low"].min().index] = by_row["low"].min()
        return high, low

    def settlements(self, venue, symbol):
        """Payments due inside the run: instant, rate, mark, row."""
        series = f"funding/{venue}_{symbol.lower()}"
        made = None
        for path in self._sources(series, venue):
            rates = self._read(path)["funding_rate"].dropna()
            rates.index = rates.index.round("1s")
            made = rates if made is None else pd.concat([made, rates[~rates.index.isin(made.index)]]).sort_index()
        made = made[(made.index > self.stamps[0]) & (made.index <= self.stamps[-1])]
        return pd.DataFrame(
            {
                "rate": made,
                "mark": self.opens(f"perp/{venue}_{symbol.lower()}", venue, made.index),
                "row": np.searchsorted(self.stamps, made.index, side="left"),
            }
        )

    def supply_index(self, asset):
        """Observed index, accrued linearly since."""
        frame = self._read(f"aave/{'weth' if asset == 'ETH' else asset.lower()}.parquet")
        known = frame.reindex(self.stamps, method="ffill")
        since = np.searchsorted(frame.index, self.stamps, side="right") - 1
        years = (self.stamps - frame.index[since]) / pd.Timedelta(seconds=1) / SECONDS_PER_YEAR
        return (known["liquidity_index"] * (1.0 + known["supply_apr"] * years)).to_numpy()

    def signal(self, column):
        """The last signal, 0 where it is more than three hours old."""
        frame = self._read(f"signals/{self.config['strategy']['signal_file']}.parquet")
        return frame[column].reindex(self.stamps, method="ffill", tolerance=pd.Timedelta("3h")).fillna(0.0).to_numpy()

    def gas_price(self):
        """Gas price of the block sampled last."""
        frame = self._read("gas/ethereum.parquet").sort_values("sampled_at", kind="stable")
        place = np.searchsorted(pd.DatetimeIndex(frame["sampled_at"]), self.stamps, side="right") - 1
        return frame["gas_price_gwei"].to_numpy()[place]
