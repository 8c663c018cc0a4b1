"""Columns that a strategy watches beside its book: funding and trailing means, by row, from what was known then.

May import numpy, `basis.errors` and its siblings only.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from basis.errors import InputError
from basis.market.panel import Panel, Settlements
from basis.market.sources.clock import DAY, SECOND, YEAR_365, segment_sums, span_text

#: Rows that lead to a panel: nanoseconds → a panel that ends with the first row of the run; None where there are none.
History = Callable[[int], "Panel | None"]
#: The rate of a settlement that is older than this is not known any more: no exchange settles less than once a day.
_LAST_SETTLEMENT = 3 * DAY


class Watched(NamedTuple):
    """A column that a strategy names.

    Attributes
    ----------
    kind : ``column`` (a column of the panel as it is), ``mean`` (its trailing mean), ``funding`` (rate of the last
        settlement), ``funding_sum`` (rates settled within the window), ``funding_apr`` (the same per year)
    name : of the column; of funding the perps and their weights, ``okx:Perp:BTCUSDT=1``, several joined by ``,``
    window : nanoseconds; 0 for none
    """

    kind: str
    name: str
    window: int = 0

    def __str__(self) -> str:
        what = {"column": "column", "mean": "the mean of column"}.get(self.kind, "funding of")
        name = ", ".join(perp.partition("=")[0] for perp in self.name.split(","))
        return f"{what} {name}" + (f" over {span_text(self.window)}" if self.window else "")


def _unknown(name: str, columns: Mapping[str, np.ndarray]) -> InputError:
    from difflib import get_close_matches

    near = get_close_matches(name, columns, 1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return InputError(f"No column {name!r} in the market of this run{hint} It has {', '.join(sorted(columns))}.")


class WatchedColumns:
    """Columns of a run's rows, each made once; a value of row t is made of what was known at t.

    A trailing window is (τ − window, τ]. It reaches back before the first row where the data set does, so that a run
    sees the same whenever it begins; before a whole window the value is NaN.

    Parameters
    ----------
    panel : the rows of the run
    history : gives the rows before them; None where there are none
    whole : whether these are all the rows of the run: then a column that is known in none of them is an error
    """

    def __init__(self, panel: Panel, history: History | None = None, whole: bool = True) -> None:
        self._panel, self.history, self._whole = panel, history, whole
        self._before: tuple[int, Panel | None] = (0, None)
        self._lines: dict[Watched, np.ndarray] = {}

    def extend(self, panel: Panel) -> None:
        """Go on over a longer panel."""
        self._panel, self._lines = panel, {}

    def table(self, wanted: "list[Watched] | tuple[Watched, ...]") -> np.ndarray:
        """(rows, columns) float64 of the columns in their order."""
        made = np.empty((len(self._panel), len(wanted)))
        for place, one in enumerate(wanted):
            made[:, place] = self.line(one)
        return made

    def at(self, wanted: Watched, seconds: float) -> float:
        """Value of a column in the row of an instant, seconds since the epoch."""
        row = round((seconds - int(self._panel.timestamps[0]) / SECOND) / self._panel.step_s)
        return float(self.line(wanted)[row])

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the columns that were read is not known in some rows, in words."""
        found = []
        for wanted, line in self._lines.items():
            unknown = int(np.isnan(line).sum())
            if unknown:
                found.append(
                    f"the strategy read {wanted}, which is not known in {unknown:,} of {len(line):,} rows"
                    + (": the data does not reach back a whole window there" if wanted.window else "")
                )
        return tuple(found)

    def line(self, wanted: Watched) -> np.ndarray:
        """(rows,) float64, one column.

        Raises
        ------
        InputError
            Where the market has no such column, or it is known in no row.
        """
        if wanted not in self._lines:
            made = self._make(wanted)
            if self._whole and np.isnan(made).all():
                raise InputError(
                    f"{wanted} is not known in any of the {len(made):,} rows of this run. "
                    "Choose a shorter window, begin later, or add older data."
                )
            self._lines[wanted] = made
        return self._lines[wanted]

    def _make(self, wanted: Watched) -> np.ndarray:
        if wanted.kind == "column":
            return self._column(self._panel, wanted.name)
        if wanted.kind == "mean":
            return self._mean(wanted.name, wanted.window)
        parts = []
        for text in wanted.name.split(","):
            perp, _, weight = text.partition("=")
            parts.append(float(weight) * self._funding(wanted, perp))
        return np.sum(parts, axis=0)

    @staticmethod
    def _column(panel: Panel, name: str) -> np.ndarray:
        if name not in panel.columns:
            raise _unknown(name, panel.columns)
        return panel.columns[name]

    def _leading(self, span: int) -> Panel | None:
        """Rows of at least so many nanoseconds before the run's first, and that row, as far as the data reaches."""
        if self.history is None:
            return None
        if span > self._before[0]:
            self._before = (span, self.history(span))
        return self._before[1]

    def _mean(self, name: str, window: int) -> np.ndarray:
        panel = self._panel
        stamps, values = panel.timestamps, self._column(panel, name)
        before = self._leading(window)
        if before is not None:
            # the run's first row has no hour before it, the history's last has
            stamps = np.concatenate((before.timestamps, stamps[1:]))
            values = np.concatenate((self._column(before, name), values[1:]))
        last = np.searchsorted(stamps, panel.timestamps, "right")
        first = np.searchsorted(stamps, panel.timestamps - window, "right")
        mean = segment_sums(values, first, last) / np.maximum(last - first, 1)
        return np.where(panel.timestamps - window >= stamps[0], mean, np.nan)

    def _settled(self, perp: str, span: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Stamps and rates of a perp's settlements, and the instant after which they are all there."""
        panel = self._panel
        before = self._leading(span)
        found = [side.settlements.get(perp) for side in (before, panel) if side is not None]
        if found[-1] is None:
            raise InputError(f"The market of this run has no settlements of {perp}.")
        events: list[Settlements] = [one for one in found if one is not None]
        begin = int((before or panel).timestamps[0])
        return np.concatenate([e.stamps for e in events]), np.concatenate([e.rates for e in events]), begin

    def _funding(self, wanted: Watched, perp: str) -> np.ndarray:
        rows = self._panel.timestamps
        if wanted.kind == "funding":
            stamps, rates, _ = self._settled(perp, _LAST_SETTLEMENT)
            place = np.searchsorted(stamps, rows, "right") - 1
            if not stamps.size:
                return np.full(rows.shape, np.nan)
            known = (place >= 0) & (rows - stamps[place] < _LAST_SETTLEMENT)
            return np.where(known, rates[place], np.nan)
        window = wanted.window
        stamps, rates, begin = self._settled(perp, window)
        last = np.searchsorted(stamps, rows, "right")
        first = np.searchsorted(stamps, rows - window, "right")
        settled = segment_sums(rates, first, last)
        if wanted.kind == "funding_apr":
            settled = settled * (YEAR_365 / window)
        return np.where(rows - window >= begin, settled, np.nan)
