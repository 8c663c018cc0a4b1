"""What one row of a run follows from: market data, positions and events. pandas is imported on use."""

from typing import Any

from basis.kernel.keys import parse_key
from basis.results.row_prices import RowPrices
from basis.results.run import Run

#: `detail` of the fills that close a position at a stop-loss or a take-profit.
STOP_DETAILS = ("stop", "take_profit")


def is_perp(instrument: str) -> bool:
    """Whether an instrument key is that of a perp."""
    return ":Perp:" in instrument


class RowInputs(RowPrices):
    """Prices, rates, positions and events of one row, read from the tables of a run.

    Parameters
    ----------
    run : Run
    row : int
        Number of the row in the tables.

    Attributes
    ----------
    events : pandas.DataFrame
        All events of the row.
    panel : dict
        Columns of the market data.
    """

    def __init__(self, run: Run, row: int) -> None:
        import pandas as pd

        self.run, self.row = run, row
        self.share_class: str = run.summary["share_class"]
        stamps = run.table("equity")["timestamp"]
        self.timestamp = pd.Timestamp(stamps[row], tz="UTC")
        self.previous_timestamp = pd.Timestamp(stamps[row - 1], tz="UTC") if row else None
        panel = {name: values for name, values in run.table("panel").columns.items() if name != "timestamp"}
        super().__init__(panel, self.share_class, run.config.valuation == "oracle")  # type: ignore[arg-type]
        events: Any = run.table("events").to_pandas(index=False)
        self.events = events[events["timestamp"] == self.timestamp]

    @property
    def is_complete(self) -> bool:
        """Whether the tables hold the state before the row. The first row of a resumed run lacks it."""
        return self.row > 0 or self.run.manifest["resumed"] is None

    def events_of(self, *kinds: str) -> Any:
        """Events of some kinds."""
        return self.events[self.events["kind"].isin(kinds)]

    def held_before(self, name: str) -> float:
        """A column of the positions in the row before; 0 before the first row."""
        table = self.run.table("positions")
        return float(table[name][self.row - 1]) if self.row and name in table.columns else 0.0

    def reward_base(self, event: Any) -> float:
        """Amount on which a reward was paid, in units of the protocol's own token."""
        key = parse_key(event.detail)
        oracle, _ = self.rate_and_peg(key.symbol, self.row)
        arrived = sum(o.amount for o in self.events_of("arrival").itertuples() if o.destination == str(key))
        return (self.held_before(str(key)) + arrived) * oracle * self.lending_index(key, self.row)
