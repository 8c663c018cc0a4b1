"""What a strategy of one's own asked for and could not have, in sentences. Imports numpy only."""

from typing import TYPE_CHECKING, Any

import numpy as np

from basis.kernel.keys import QUOTE_ASSET as QUOTE
from basis.plots.run import minute

if TYPE_CHECKING:
    from basis.results.result import Result


def unmet(result: "Result") -> list[str]:
    """Orders that were rejected, and decisions for more than all that is held is worth."""
    events, found = result.table("events"), []
    reasons, counts = np.unique(events["detail"][events["kind"] == "reject"].astype(str), return_counts=True)
    if len(reasons):
        told = ", ".join(f"{reason} ({count:,})" for reason, count in zip(reasons, counts, strict=True))
        found.append(f"{counts.sum():,} order{'' if counts.sum() == 1 else 's'} rejected: {told}.")
    beyond = _beyond(result)
    if len(beyond):
        first: Any = beyond[0]
        stamp: Any = events["timestamp"][first]
        what = f"{events['action'][first]} {events['instrument'][first]} {events['amount'][first]:,.8g}"
        count = f"{len(beyond):,} decision{'' if len(beyond) == 1 else 's'}"
        found.append(
            f"{count} for more than the equity is worth, the first {what} at {minute(stamp)} UTC: "
            "no more is traded than there is."
        )
    return found


def _beyond(result: "Result") -> np.ndarray:
    """Places of the decisions whose amount is worth more than the equity of their row."""
    events, equity, panel = (result.table(name) for name in ("events", "equity", "panel"))
    share = result.summary["share_class"]

    def price(asset: str) -> "np.ndarray | float":
        if asset == QUOTE:
            return 1.0
        rate = panel[f"oracle_rate|{asset}"] if f"oracle_rate|{asset}" in panel.columns else 1.0
        name = f"spot|{'ETH' if f'oracle_rate|{asset}' in panel.columns else asset}"
        return rate * panel[name] if name in panel.columns else 0.0

    # what an exit_full asks for is of no matter
    decided = np.flatnonzero((events["kind"] == "decision") & (events["action"] != "exit_full"))
    rows = np.searchsorted(equity["timestamp"], events["timestamp"][decided])
    worth = np.zeros(len(decided))
    for asset in np.unique(events["instrument"][decided].astype(str)):
        own = events["instrument"][decided] == asset
        units = np.broadcast_to(price(asset.split()[0]) / price(share), len(equity))
        worth[own] = events["amount"][decided][own] * units[rows[own]]
    return decided[worth > equity["equity"][rows] * (1.0 + 1e-9)]
