"""Tables of a run from its recording: equity, attribution, positions, exposure, risk, panel. Plain numpy.

Rows are those of the run, from `first` to before `stop`; a resumed run's row 0 is the checkpoint's and only what the
first increments are taken from.
"""

from collections.abc import Callable, Mapping

import numpy as np

from basis.components import state_tables
from basis.components.state_tables import StateRows
from basis.engine.recording import Recording
from basis.results.table import Column, Table, Text
from basis.results.units import unit


class Rows(StateRows):
    """A recording seen as named rows.

    Attributes
    ----------
    stamps : numpy.ndarray
        (rows,) datetime64[us] UTC.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording, recording.first, recording.stop)
        self.recording = recording
        self.stamps = (recording.panel.timestamps[self.span] // 1000).view("M8[us]")

    @property
    def started_from(self) -> float:
        """Equity before the first row: the capital, or the checkpoint's equity."""
        return float(self.state_before.equity[0]) if self.first else self.capital

    def table(self, name: str, columns: Mapping[str, Column]) -> Table:
        """A table on the rows' instants."""
        made: dict[str, Column] = {"timestamp": self.stamps}
        for column, values in columns.items():
            made[column] = values if isinstance(values, Text) else np.ascontiguousarray(values)
        return Table(name, made, {column: unit(name, column, self.share_class) for column in made})


def _of_state(name: str, columns: Callable[[StateRows], dict[str, np.ndarray]]) -> Callable[[Rows], Table]:
    def build(rows: Rows) -> Table:
        return rows.table(name, columns(rows))

    build.__doc__ = columns.__doc__
    return build


equity = _of_state("equity", state_tables.equity)
attribution = _of_state("attribution", state_tables.attribution)
positions = _of_state("positions", state_tables.positions)
exposure = _of_state("exposure", state_tables.exposure)
risk = _of_state("risk", state_tables.risk)


def panel(rows: Rows) -> Table:
    """What the run saw; where a value comes from and how old it is, where that is not the first source or not fresh."""
    market = rows.recording.panel
    columns: dict[str, Column] = {}
    for name, values in market.columns.items():
        columns[name] = values[rows.span]
        source = market.sources.get(name)
        if source is not None and (source[rows.span] > 0).any():
            # -1, no value, takes the last label
            columns[f"{name}|source"] = Text(
                (source[rows.span] % (len(market.source_names[name]) + 1)).astype(np.int32),
                (*market.source_names[name], ""),
            )
        age = market.ages.get(name)
        if age is not None and (age[rows.span] > 0.0).any():
            columns[f"{name}|age_s"] = age[rows.span]
    return rows.table("panel", columns)
