"""Prices and rates of one row, read from the market data that a run saw. Imports numpy and facts about assets."""

from collections.abc import Mapping

import numpy as np

from basis.assets import load_assets
from basis.kernel.keys import QUOTE_ASSET, Key


class RowPrices:
    """Prices of a run by row.

    Parameters
    ----------
    panel : columns of the market data, name → (rows,)
    share_class : of the run
    at_oracle : whether staking tokens are valued at the rate of their protocol
    """

    def __init__(self, panel: Mapping[str, np.ndarray], share_class: str, at_oracle: bool) -> None:
        self.panel, self.share_class, self.at_oracle = panel, share_class, at_oracle

    def market(self, name: str, row: int, default: float = np.nan) -> float:
        """A value of the market data in a row."""
        values = self.panel.get(name)
        return default if values is None else float(values[row])

    def price(self, asset: str, row: int) -> float:
        """Price of an asset in share class; 0 for a reward token without a market."""
        if asset == self.share_class:
            return 1.0
        in_quote = 1.0 if asset == QUOTE_ASSET else self.market(f"spot|{asset}", row, 0.0)
        return in_quote / (1.0 if self.share_class == QUOTE_ASSET else self.market(f"spot|{self.share_class}", row))

    def rate_and_peg(self, symbol: str, row: int) -> tuple[float, float]:
        """Protocol rate of a staked token, and its market rate over its protocol rate; 1 and 1 for anything else."""
        oracle = self.market(f"oracle_rate|{symbol}", row, 1.0)
        if f"oracle_rate|{symbol}" not in self.panel or self.at_oracle:
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
