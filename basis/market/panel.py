"""Panel: what an observer knew at each row of a run's grid, as aligned arrays. May import numpy, `basis.errors` and the
instants of `basis.market.sources.clock`.

Columns are named `<measure>|<key>`; units:

====================================  =======================================================================
`spot|BTC`                            USDT per BTC (one spot per asset)
`usd|USDT`                            USD per USDT; absent means 1
`mark|<perp key>`                     USDT per base unit; the open of the perp's candle stands in for the mark
`high|…`, `low|…`                     extremes of the candles ended in (τ_{t−1}, τ_t]; in row 0 and in holes the mark
`volume|<perp key>`, `volume|spot|…`  base units of the candles ended in (τ_t − step, τ_t], else of the last one
`volatility|<perp key>`, `…|spot|…`   of the same from their range, per step (where orders meet the market's depth)
`funding_rate|<perp key>`             Σ of the rates settled in (τ_{t−1}, τ_t], fraction of notional
`funding_cash|<perp key>`             Σ mark(t_f)·rate of the same, USDT per base unit held
`funding_apr|<perp key>`              settled rates over the trailing window, per year of 365 days (with a rate rule)
`liquidity_index|aave_v3:USDT`        supply index of a reserve; `borrow_index|…` that of its variable debt
`supply_apr|aave_v3:USDT`             rate last observed, fraction per year, `borrow_apr|…` that of the debt;
                                      `…_mean|…` its trailing mean (with a rate rule)
`oracle_rate|weETH`                   ETH per LST at the protocol; `market_rate|…` where it trades
`staking_apr|weETH`                   growth of the oracle rate over the trailing window, per year (with a rate rule)
`staking_week|weETH`                  the same over the trailing week (where something is owed)
`gas_price_gwei`                      gwei per unit of gas
`reward_rate|EIGEN`                   tokens per eETH of the payouts in (τ_{t−1}, τ_t], for their whole periods
`feature|name.column`                 of a file of one's own, as known then; NaN where it is too old
`high|spot|ETH`, `low|spot|ETH`       extremes as of a perp; where what is lent and owed moves with different assets
====================================  =======================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from basis.errors import DataError, shown
from basis.market.sources.clock import SECOND, iso, to_ns


class Settlements(NamedTuple):
    """Funding events of one perp inside the window, (N,) each: int64 ns, fraction of notional, USDT per base unit,
    row that settles the event, index of its source."""

    stamps: np.ndarray
    rates: np.ndarray
    marks: np.ndarray
    rows: np.ndarray
    source: np.ndarray


class Distributions(NamedTuple):
    """Payouts of one reward token, (N,) each: instants of the payouts, and first and last (exclusive) of the periods
    they are for, int64 ns UTC; tokens per unit of what earns them (eETH of weETH) over the whole period."""

    stamps: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    rates: np.ndarray


class Stop(NamedTuple):
    """First row that cannot be filled: a series was older than its `max_staleness` (instant in ns UTC, age in s)."""

    row: int
    series: str
    instant: int
    age_s: float


def first_stop(timestamps: np.ndarray, holes: Mapping[str, np.ndarray]) -> Stop | None:
    """The earliest row with a hole (of several series the first named)."""
    stops = []
    for series, ages in holes.items():
        row = int(np.argmax(ages != 0.0))
        if ages[row] != 0.0:
            stops.append(Stop(row, series, int(timestamps[row]), float(ages[row])))
    return min(stops, key=lambda stop: stop.row, default=None)


def check_grid(timestamps: np.ndarray, step_s: int) -> None:
    """Refuse stamps that are no grid.

    Raises
    ------
    DataError
        Where there is no row, or two stamps are not one step apart; names them.
    """
    if not step_s > 0:
        raise DataError(f"Panel step_s is {step_s!r}; it must be the seconds of a step, above 0.")
    if timestamps.ndim != 1 or timestamps.size == 0:
        raise DataError("Panel timestamps must be an exact grid with at least one row; there is none.")
    wrong = np.flatnonzero(np.diff(timestamps) != step_s * SECOND)
    if wrong.size:
        before, after = (int(stamp) for stamp in timestamps[wrong[0] : wrong[0] + 2])
        how = (
            "comes twice"
            if after == before
            else "is before it"
            if after < before
            else f"is {(after - before) / SECOND:g} s after"
        )
        raise DataError(
            f"Panel timestamps must be an exact grid of {step_s} s: row {wrong[0] + 1} ({iso(after)}) after row "
            f"{wrong[0]} ({iso(before)}) {how}. Sort them, and fill or cut what is missing."
        )


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"Panel column {name!r} must be numbers; it holds {shown(values)}.") from None


@dataclass(frozen=True, slots=True)
class Panel:
    """Aligned market arrays of a run; made by `DataProvider.panel` or `Panel.from_columns`.

    Attributes
    ----------
    timestamps : numpy.ndarray
        (T,) int64 ns UTC, an exact grid.
    step_s : int
        Grid step in s.
    columns : dict[str, numpy.ndarray]
        (T,) float64, C-contiguous; NaN where not known (only from the `stop` row on, and where a trailing window or a
        volume is not known yet).
    sources : dict[str, numpy.ndarray]
        (T,) int8 per column: index into ``source_names[column]``; −1 without a value.
    ages : dict[str, numpy.ndarray]
        (T,) float64 per column: seconds since the value was known.
    settlements : dict[str, Settlements]
        Per perp key.
    distributions : dict[str, Distributions]
        Per reward token.
    coverage : dict[str, dict[str, float]]
        Per series: fraction fresh (funding: settled) from the first source, `own`, and from any, `resolved`.
    holes : dict[str, numpy.ndarray]
        (T,) float64 per series that cannot be filled somewhere: age in s in such rows, 0 in the others.
    stop : Stop | None
        The first such row: where a run on this panel has to end.
    files : dict[str, str]
        Path inside the data folder → sha256 of every file used.
    notes : tuple[str, ...]
        Stand-ins, carried values and missing files in words.
    warnings : tuple[str, ...]
        What is improbable in the data, and stand-ins for a whole end of the window, in words.
    """

    timestamps: np.ndarray
    step_s: int
    columns: dict[str, np.ndarray]
    sources: dict[str, np.ndarray] = field(default_factory=dict)
    source_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ages: dict[str, np.ndarray] = field(default_factory=dict)
    settlements: dict[str, Settlements] = field(default_factory=dict)
    distributions: dict[str, Distributions] = field(default_factory=dict)
    coverage: dict[str, dict[str, float]] = field(default_factory=dict)
    holes: dict[str, np.ndarray] = field(default_factory=dict)
    stop: Stop | None = None
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # what is made from a panel is kept beside it: an edit in place would not be seen
        for name, values in (("timestamps", self.timestamps), *self.columns.items()):
            if not isinstance(values, np.ndarray):
                raise DataError(
                    f"Panel {name} must be a numpy array; it is {shown(values)}. Panel.from_columns makes it."
                )
            values.setflags(write=False)

    @classmethod
    def from_columns(
        cls, timestamps: Any, step_s: int, columns: Mapping[str, Any], settlements: Mapping[str, Any] | None = None
    ) -> "Panel":
        """A panel from arrays at hand (tests, synthetic markets).

        Parameters
        ----------
        timestamps : array_like
            (T,) int64 ns UTC, ``step_s`` apart; or the first instant alone (str, datetime, int).
        step_s : int
            Grid step in s.
        columns : mapping
            Name → (T,) values or a scalar that holds in every row.
        settlements : mapping, optional
            Perp key → `Settlements` or a tuple of its five arrays.

        Raises
        ------
        DataError
            Where the grid is not exact or a column has another length.
        """
        arrays = {name: _numbers(name, values) for name, values in columns.items()}
        if isinstance(timestamps, str) or np.ndim(timestamps) == 0:
            rows = max((a.size for a in arrays.values() if a.ndim), default=1)
            grid = to_ns(timestamps) + np.arange(rows, dtype=np.int64) * (step_s * SECOND)
        else:
            grid = np.ascontiguousarray(timestamps)
            if grid.dtype.kind == "M":
                grid = grid.astype("datetime64[ns]")
            grid = grid.astype(np.int64)
        check_grid(grid, step_s)
        for name, values in arrays.items():
            if values.ndim and values.shape != grid.shape:
                raise DataError(f"Panel column {name!r} has shape {values.shape}, the grid {grid.shape}.")
        full = {name: np.array(np.broadcast_to(values, grid.shape), order="C") for name, values in arrays.items()}
        events = {key: Settlements(*map(np.asarray, value)) for key, value in (settlements or {}).items()}
        return cls(grid, int(step_s), full, settlements=events)

    def __len__(self) -> int:
        return self.timestamps.size

    def __repr__(self) -> str:
        span = f"{iso(self.timestamps[0])} .. {iso(self.timestamps[-1])}"
        return f"Panel({len(self)} rows of {self.step_s} s, {span}, {len(self.columns)} columns)"

    def row_at(self, instant: Any) -> int:
        """Index of the row at or before an instant.

        Raises
        ------
        DataError
            Where the instant is outside the grid (the last row holds for one step).
        """
        ns = to_ns(instant)
        row = (ns - int(self.timestamps[0])) // (self.step_s * SECOND)
        if not 0 <= row < len(self):
            span = f"{iso(self.timestamps[0])} .. {iso(self.timestamps[-1])}"
            raise DataError(f"{iso(ns)} is outside the panel {span}; choose an instant inside it.")
        return int(row)

    def slice(self, first_row: int, last_row: int) -> "Panel":
        """Rows first_row..last_row **inclusive**: the same as a panel built for that window, bit for bit.

        The first row has no hour before it, so its extremes are the price and it settles nothing. Coverage, notes and
        files stay those of the whole.
        """
        if not 0 <= first_row <= last_row < len(self):
            raise IndexError(f"Rows {first_row}..{last_row} are not inside 0..{len(self) - 1}.")
        rows = slice(first_row, last_row + 1)
        columns = {name: np.array(values[rows], order="C") for name, values in self.columns.items()}
        for name, values in columns.items():
            measure, _, key = name.partition("|")
            if measure in ("high", "low"):
                price = columns.get(f"mark|{key}", columns.get(key))
                values[0] = values[0] if price is None else price[0]
            elif measure in ("funding_rate", "funding_cash", "reward_rate"):
                values[0] = 0.0
        settlements = {}
        for key, events in self.settlements.items():
            inside = (events.rows > first_row) & (events.rows <= last_row)
            kept = Settlements(*(values[inside] for values in events))
            settlements[key] = kept._replace(rows=kept.rows - first_row)
        timestamps = self.timestamps[rows].copy()
        holes = {series: ages[rows].copy() for series, ages in self.holes.items() if ages[rows].any()}
        return replace(
            self,
            timestamps=timestamps,
            columns=columns,
            sources={name: values[rows].copy() for name, values in self.sources.items()},
            ages={name: values[rows].copy() for name, values in self.ages.items()},
            settlements=settlements,
            holes=holes,
            stop=first_stop(timestamps, holes),
        )
