"""Series of observations: reserves of Aave, rates of staking tokens, gas. Imports numpy and its siblings only."""

from typing import NamedTuple

import numpy as np

from basis.market.sources.bars import Resolved
from basis.market.sources.clock import DAY, SECOND, YEAR_365, modal_step, segment_sums
from basis.market.sources.reader import Table

#: Aave's year, seconds: 365 days (accounting §1).
SECONDS_PER_YEAR = 31_536_000.0


class StepSeries:
    """Values that hold from their instant to the next observation.

    Parameters
    ----------
    known : numpy.ndarray
        (N,) int64 ns, sorted: when each value is known (equal instants: the last one counts).
    values : numpy.ndarray
        (N,) float64; NaN is a hole.
    step : int | None
        ns a value counts as fresh; None: the commonest distance of the observations.
    """

    def __init__(self, known: np.ndarray, values: np.ndarray, step: int | None = None) -> None:
        good = ~np.isnan(values)
        self.known, self.values = known[good], values[good]
        self.step = modal_step(self.known, DAY) if step is None else step

    def span(self, max_staleness: int) -> tuple[int, int] | None:
        """First instant known and the last one that may be carried to, ns."""
        return (int(self.known[0]), int(self.known[-1]) + max_staleness) if self.known.size else None

    def rows(self, instants: np.ndarray) -> np.ndarray:
        """Index of the latest observation at each instant; −1 before the first."""
        return np.searchsorted(self.known, instants, "right") - 1

    def at(self, instants: np.ndarray, max_staleness: int) -> Resolved:
        """The latest value at each instant (ns)."""
        if self.known.size == 0:
            nothing = np.full(instants.shape, np.nan)
            return Resolved(
                nothing, np.full(instants.shape, -1, np.int8), np.full(instants.shape, np.inf), nothing == 0.0
            )
        row = self.rows(instants)
        age = np.where(row >= 0, instants - self.known[row], np.inf)
        held = age <= max_staleness
        source = np.where(held, np.int8(0), np.int8(-1))
        return Resolved(np.where(held, self.values[row], np.nan), source, age / SECOND, held & (age < self.step))

    def trailing_mean(self, instants: np.ndarray, window: int) -> np.ndarray:
        """Mean of the observations in (τ − window, τ]; the latest where none falls in, NaN before a whole window."""
        if self.known.size == 0:
            return np.full(instants.shape, np.nan)
        last = np.searchsorted(self.known, instants, "right")
        first = np.searchsorted(self.known, instants - window, "right")
        count = last - first
        mean = segment_sums(self.values, first, last) / np.maximum(count, 1)
        mean = np.where(count > 0, mean, self.values[last - 1])
        return np.where(instants - window >= self.known[0] - self.step, mean, np.nan)

    def trailing_growth(self, instants: np.ndarray, window: int) -> np.ndarray:
        """Growth over (τ − window, τ] as a fraction per year of 365 days; NaN before a whole window."""
        before = self.rows(instants - window)
        if self.known.size == 0:
            return np.full(instants.shape, np.nan)
        growth = (self.values[self.rows(instants)] / self.values[before] - 1.0) * (YEAR_365 / window)
        return np.where(before >= 0, growth, np.nan)


class Accrued(NamedTuple):
    """An index at instants and the rate last observed (fraction per year)."""

    index: Resolved
    apr: np.ndarray


class ReserveSeries:
    """One side of an Aave reserve: indices observed daily, accrued causally in between (accounting §1).

    Parameters
    ----------
    table : Table
        Rows of ``aave/<asset>.parquet``.
    debt : bool
        The variable debt (compounding) instead of the supply (linear).
    """

    def __init__(self, table: Table, debt: bool) -> None:
        index = table.columns["variable_borrow_index" if debt else "liquidity_index"]
        apr = table.columns["variable_borrow_apr" if debt else "supply_apr"]
        good = ~(np.isnan(index) | np.isnan(apr))
        self.debt = debt
        self.index = StepSeries(table.stamps[good], index[good])
        self.apr = StepSeries(table.stamps[good], apr[good])

    def at(self, instants: np.ndarray, max_staleness: int) -> Accrued:
        """Index and rate at each instant (ns); at an observation exactly the observed index."""
        seen = self.index.at(instants, max_staleness)
        rate = self.apr.at(instants, max_staleness).values
        x = rate * np.where(np.isnan(rate), 0.0, seen.age) / SECONDS_PER_YEAR
        grown = 1.0 + x + x * x / 2.0 + x * x * x / 6.0 if self.debt else 1.0 + x
        return Accrued(seen._replace(values=seen.values * grown), rate)
