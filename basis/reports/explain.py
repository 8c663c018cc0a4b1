"""The explanation of one row of a run, as `Result.explain` gives it."""

from typing import Any

import numpy as np

from basis.errors import InputError
from basis.market.sources.clock import iso, to_ns
from basis.reports.explain_text import to_html, to_text
from basis.reports.explained_period import PeriodExplanation
from basis.reports.explained_row import ExplainedRow
from basis.results.run import Run


class Explanation(ExplainedRow):
    """One row of a run, from the market to the P&L; made by `Result.explain`.

    Attributes
    ----------
    timestamp, before : pandas.Timestamp, pandas.Timestamp | None
        Instants of the row and of the row before.
    asked_because : list[str]
        Why the strategy was asked in this row: bands that were left, and what happened; empty where it decided nothing.
    bands : pandas.DataFrame
        By number that the strategy watches: value before the decision, low and high edge, what is aimed at.
    undone : list[str]
        What was decided in this row and not done, or not in full.
    market : pandas.DataFrame
        By column of the market data: before, now, change, and relative change as a fraction.
    settled : pandas.DataFrame
        Events before the decision: funding, rewards, arrivals, liquidations, stops. ``booked`` and ``recomputed`` are
        the amount as booked and as recomputed from the numbers of the event, in units of what was paid.
    flows, decision, orders, alerts : pandas.DataFrame
        Events: deposits and withdrawals of the investor; the decision; the orders, fills, rejects and transfers that
        followed; alerts.
    positions : pandas.DataFrame
        Stored quantities that changed: before, now, change.
    exposure : pandas.DataFrame
        After the fills of the row, and after those of the row before.
    risk : pandas.DataFrame
        By measure: after the fills of the row before, at the worst of the hour, before the decision, after it; limits.
    pnl : pandas.DataFrame
        By column: booked, recomputed, difference, share class.
    terms : pandas.DataFrame
        Terms of the recomputed P&L: column, what, formula, amount.
    check : Check
        The columns against the change of equity less the flows.
    """

    def __repr__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        return to_html(self)


def explain(run: Run, timestamp: Any, until: Any = None) -> "Explanation | PeriodExplanation":
    """The explanation of the row at an instant, or of the rows from it until another; see `Result.explain`."""
    stamps = run.table("equity")["timestamp"]
    if not len(stamps):
        raise InputError("The run has no rows to explain.")
    if until is None:
        return Explanation(run, _row_at(stamps, timestamp))
    begin, end = (np.datetime64(to_ns(instant) // 1000, "us") for instant in (timestamp, until))
    first, last = int(np.searchsorted(stamps, begin)), int(np.searchsorted(stamps, end, "right")) - 1
    if first > last:
        span = " to ".join(iso(int(stamp.astype(np.int64)) * 1000) for stamp in (stamps[0], stamps[-1]))
        raise InputError(f"The run has no rows from {timestamp} to {until}. Its rows are {span}; the end comes last.")
    return PeriodExplanation(run, first, last)


def _row_at(stamps: np.ndarray, timestamp: Any) -> int:
    """The row at an instant."""
    wanted = np.datetime64(to_ns(timestamp) // 1000, "us")
    row = int(np.searchsorted(stamps, wanted))
    if row == len(stamps) or stamps[row] != wanted:
        near = [iso(int(stamps[place].astype(np.int64)) * 1000) for place in (row - 1, row) if 0 <= place < len(stamps)]
        nearest = f"nearest row{'s are' if len(near) > 1 else ' is'} {' and '.join(near)}"
        raise InputError(f"The run has no row at {timestamp}. The {nearest}.")
    return row
