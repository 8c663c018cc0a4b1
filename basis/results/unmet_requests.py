"""Requests of the investor and of a user's own strategy that could not be met, in sentences. Imports numpy only."""

from collections.abc import Iterable
from datetime import UTC
from typing import Any

import numpy as np

from basis.kernel.keys import QUOTE_ASSET
from basis.results.table import Table

#: Flows that are named one by one.
_MOST_FLOWS = 3


def flows_left_out(flows: Iterable[Any], equity: Table, share_class: str) -> list[str]:
    """Warnings about flows of the configuration that come after the last row of a run.

    Parameters
    ----------
    flows : with `timestamp` and `amount`, in the order of their time
    equity : table of the run
    """
    if not len(equity):
        return []
    end: Any = equity["timestamp"][-1]
    late = [flow for flow in flows if np.datetime64(flow.timestamp.astimezone(UTC).replace(tzinfo=None)) > end]
    found = []
    for flow in late[:_MOST_FLOWS]:
        what = f"{'deposit' if flow.amount > 0.0 else 'withdrawal'} of {abs(flow.amount):,.8g} {share_class}"
        when = f"{flow.timestamp.astimezone(UTC):%Y-%m-%d %H:%M}"
        ended = str(end.astype("M8[m]")).replace("T", " ")
        found.append(f"The {what} at {when} UTC was left out: the run ended at {ended} UTC.")
    if len(late) > _MOST_FLOWS:
        found.append(f"{len(late) - _MOST_FLOWS:,} later flows were left out, too.")
    return found


def unmet_requests(events: Table, equity: Table, panel: Table, share_class: str) -> list[str]:
    """Warnings about rejected orders, and about decisions for more than the equity.

    Parameters
    ----------
    events, equity, panel : Table
        Tables of the run.
    share_class : str
        Share class of the run.

    Returns
    -------
    list[str]
        One sentence or two for each kind of request, or nothing.
    """
    found = []
    reasons, counts = np.unique(events["detail"][events["kind"] == "reject"].astype(str), return_counts=True)
    if len(reasons):
        by_reason = ", ".join(f"{reason} ({count:,})" for reason, count in zip(reasons, counts, strict=True))
        found.append(f"{counts.sum():,} order{'' if counts.sum() == 1 else 's'} rejected: {by_reason}.")
    too_large = _decisions_beyond_equity(events, equity, panel, share_class)
    if len(too_large):
        first: Any = too_large[0]
        stamp: Any = events["timestamp"][first]
        what = f"{events['action'][first]} {events['instrument'][first]} {events['amount'][first]:,.8g}"
        when = str(stamp.astype("M8[m]")).replace("T", " ")
        number = f"{len(too_large):,} decision{'' if len(too_large) == 1 else 's'}"
        found.append(
            f"{number} asked for more than the equity, first {what} at {when} UTC. "
            "Orders larger than the balance are cut to it."
        )
    return found


def _decisions_beyond_equity(events: Table, equity: Table, panel: Table, share_class: str) -> np.ndarray:
    """Places in the event table of the decisions whose amount is worth more than the equity of their row."""

    def price(asset: str) -> "np.ndarray | float":
        """(rows,) price in the quote currency; 0 if the panel has none."""
        if asset == QUOTE_ASSET:
            return 1.0
        is_staked = f"oracle_rate|{asset}" in panel.columns
        rate = panel[f"oracle_rate|{asset}"] if is_staked else 1.0
        name = f"spot|{'ETH' if is_staked else asset}"
        return rate * panel[name] if name in panel.columns else 0.0

    # the amount of an exit_full has no meaning
    decisions = np.flatnonzero((events["kind"] == "decision") & (events["action"] != "exit_full"))
    rows = np.searchsorted(equity["timestamp"], events["timestamp"][decisions])
    values = np.zeros(len(decisions))
    for asset in np.unique(events["instrument"][decisions].astype(str)):
        own = events["instrument"][decisions] == asset
        price_in_share_class = np.broadcast_to(price(asset.split()[0]) / price(share_class), len(equity))
        values[own] = events["amount"][decisions][own] * price_in_share_class[rows[own]]
    return decisions[values > equity["equity"][rows] * (1.0 + 1e-9)]
