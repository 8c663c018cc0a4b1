"""What one row of a run follows from: market data, positions and events. pandas is imported on use."""

from typing import Any

import numpy as np

from basis.assets import load_assets
from basis.kernel.keys import QUOTE_ASSET, Key, parse_key
from basis.results.run import Run

#: `detail` of the fills that close a position at a stop-loss or a take-profit.
STOP_DETAILS = ("stop", "take_profit")


def is_perp(instrument: str) -> bool:
    """Whether an instrument key is that of a perp."""
    return ":Perp:" in instrument


class RowInputs:
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
        self.panel = {name: values for name, values in run.table("panel").columns.items() if name != "timestamp"}
        events: Any = run.table("events").to_pandas(index=False)
        self.events = events[events["timestamp"] == self.timestamp]

    @property
    def is_complete(self) -> bool:
        """Whether the tables hold the state before the row. The first row of a resumed run lacks it."""
        return self.row > 0 or self.run.manifest["resumed"] is None

    def events_of(self, *kinds: str) -> Any:
        """Events of some kinds."""
        return self.events[self.events["kind"].isin(kinds)]

    def market(self, name: str, row: int, default: float = np.nan) -> float:
        """A value of the market data in a row."""
        values = self.panel.get(name)
        return default if values is None else float(values[row])  # type: ignore[index]

    def price(self, asset: str, row: int) -> float:
        """Price of an asset in share class; 0 for a reward token without a market."""
        if asset == self.share_class:
            return 1.0
        in_quote = 1.0 if asset == QUOTE_ASSET else self.market(f"spot|{asset}", row, 0.0)
        return in_quote / (1.0 if self.share_class == QUOTE_ASSET else self.market(f"spot|{self.share_class}", row))

    def rate_and_peg(self, symbol: str, row: int) -> tuple[float, float]:
        """Protocol rate of a staked token, and its market rate over its protocol rate; 1 and 1 for anything else."""
        oracle = self.market(f"oracle_rate|{symbol}", row, 1.0)
        if f"oracle_rate|{symbol}" not in self.panel or self.run.config.valuation == "oracle":
            return oracle, 1.0
        return oracle, self.market(f"market_rate|{symbol}", row) / oracle

    def lending_index(self, key: Key, row: int) -> float:
        """Index of a supplied or borrowed token; 1 for anything else."""
        kind = {"aToken": "liquidity_index", "debtToken": "borrow_index"}.get(key.type)
        return 1.0 if kind is None else self.market(f"{kind}|{key.reserve}", row)

    def unit_value(self, key: Key, row: int) -> float:
        """Value of one stored unit of an instrument other than a perp, share class; negative for a debt."""
        oracle, peg = self.rate_and_peg(key.symbol, row)
        sign = -1.0 if key.type == "debtToken" else 1.0
        return (
            sign * self.lending_index(key, row) * oracle * peg * self.price(load_assets().underlying_of(key.base), row)
        )

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
