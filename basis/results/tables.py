"""Tables of a run from its recording: equity, attribution, positions, exposure, risk, panel. Plain numpy.

The rows are those from `first` to before `stop`. Row 0 of a resumed run is that of the checkpoint; it is in no table
and serves only for the changes of the first row.
"""

from collections.abc import Callable, Mapping

import numpy as np

from basis.components import state_tables
from basis.components.state_tables import StateRows
from basis.engine.recording import Recording
from basis.results.table import Column, Table, Text
from basis.results.units import unit


class RunRows(StateRows):
    """The rows of a recording by name.

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
        """Equity before the first row: the initial capital, or the equity of the checkpoint."""
        return float(self.state_before.equity[0]) if self.first else self.capital

    def table(self, name: str, columns: Mapping[str, Column]) -> Table:
        """A table with the timestamps of the rows."""
        made: dict[str, Column] = {"timestamp": self.stamps}
        for column, values in columns.items():
            made[column] = values if isinstance(values, Text) else np.ascontiguousarray(values)
        return Table(name, made, {column: unit(name, column, self.share_class) for column in made})


def _state_table(name: str) -> Callable[[RunRows], Table]:
    """The function that makes a table of the recorded state, with the columns of `state_tables`."""
    columns = getattr(state_tables, name)
    return lambda rows: rows.table(name, columns(rows))


def panel_table(rows: RunRows) -> Table:
    """The market data that the run saw.

    A value has a source column if it ever came from another than its first source, and an age column if it was ever
    carried forward.
    """
    market = rows.recording.panel
    columns: dict[str, Column] = {}
    for name, values in market.columns.items():
        columns[name] = values[rows.span]
        source = market.sources.get(name)
        if source is not None and (source[rows.span] > 0).any():
            # -1 stands for no value and gets the last label, an empty text
            columns[f"{name}|source"] = Text(
                (source[rows.span] % (len(market.source_names[name]) + 1)).astype(np.int32),
                (*market.source_names[name], ""),
            )
        age = market.ages.get(name)
        if age is not None and (age[rows.span] > 0.0).any():
            columns[f"{name}|age_s"] = age[rows.span]
    return rows.table("panel", columns)


#: Name of a table of the run folder to the function that makes it. Events are made by `events`.
TABLE_MAKERS: dict[str, Callable[[RunRows], Table]] = {
    **{name: _state_table(name) for name in ("equity", "attribution", "positions", "exposure", "risk")},
    "panel": panel_table,
}
