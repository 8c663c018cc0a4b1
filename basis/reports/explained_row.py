"""One row of a run as tables: market, settlements, risk, decisions, fills, and the recomputed P&L. pandas on use.

Everything is read from the tables of the run, so that a run in a folder and a run in memory are explained alike.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from basis.kernel.keys import QUOTE_ASSET
from basis.kernel.layout.codes import COLUMN_NAMES
from basis.reports.decisions import undone
from basis.reports.recomputed_pnl import Term, recompute_terms
from basis.reports.row_inputs import STOP_DETAILS, RowInputs, is_perp
from basis.results.reasons import TRIGGER
from basis.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Largest difference allowed between sums, as a fraction of capital and flows (accounting §5).
TOLERANCE = 1e-9
#: Kinds of events that are settled before the strategy decides.
_SETTLED_KINDS = ("funding", "reward", "arrival", "liquidation")


class Check(NamedTuple):
    """Comparison of the columns with the change of equity less the flows, in share class."""

    equity_before: float
    equity: float
    net_flow: float
    pnl: float
    columns: float
    difference: float
    allowed: float

    @property
    def closes(self) -> bool:
        """Whether the difference is within the allowed one."""
        return abs(self.difference) <= self.allowed


class ExplainedRow:
    """The tables of one row. `basis.reports.explain.Explanation` documents them."""

    def __init__(self, run: Run, row: int) -> None:
        self.run, self.row = run, row
        self._inputs = RowInputs(run, row)
        self.share_class = self._inputs.share_class
        self.timestamp, self.before = self._inputs.timestamp, self._inputs.previous_timestamp

    @property
    def events(self) -> "pd.DataFrame":
        """All events of the row."""
        return self._inputs.events

    @functools.cached_property
    def market(self) -> "pd.DataFrame":
        names = [
            name
            for name in self._inputs.panel
            if not name.endswith(("|source", "|age_s")) and not name.startswith(("volume|", "funding_cash|"))
        ]
        return self._changes("panel", names)

    @functools.cached_property
    def positions(self) -> "pd.DataFrame":
        names = [name for name in self.run.table("positions").columns if name != "timestamp"]
        changes: Any = self._changes("positions", names)
        return changes[changes["change"] != 0.0].drop(columns="relative")

    @functools.cached_property
    def exposure(self) -> "pd.DataFrame":
        names = [name for name in self.run.table("exposure").columns if name != "timestamp"]
        return self._changes("exposure", names).drop(columns="relative")

    def _changes(self, table: str, names: list[str]) -> "pd.DataFrame":
        """Columns of a table in the row and in the row before, and their change."""
        import pandas as pd

        held = self.run.table(table)
        now = np.array([held[name][self.row] for name in names], dtype=float)
        before = np.array([held[name][self.row - 1] if self.row else np.nan for name in names], dtype=float)
        change = now - before
        relative = np.divide(change, before, out=np.full(len(names), np.nan), where=before != 0.0)
        columns = {"before": before, "now": now, "change": change, "relative": relative}
        return pd.DataFrame(columns, index=pd.Index(names, name=table, dtype="str"))

    @functools.cached_property
    def risk(self) -> "pd.DataFrame":
        import pandas as pd

        table, limits = self.run.table("risk"), self.run.config.risk.limits
        names = [name.removesuffix("|before") for name in table.columns if name.endswith("|before")]
        rows = {}
        for name in names:
            limit = limits.get(name) or limits.get(name.partition("|")[0])
            rows[name] = {
                "last_row": table[name][self.row - 1] if self.row else np.nan,
                "worst": table[f"{name}|worst"][self.row],
                "before": table[f"{name}|before"][self.row],
                "after": table[name][self.row],
                "warning": np.nan if limit is None else limit.warning,
                "critical": np.nan if limit is None else limit.critical,
            }
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float).rename_axis("measure")

    @functools.cached_property
    def settled(self) -> "pd.DataFrame":
        events: Any = self.events
        is_stop = (events["kind"] == "fill") & events["detail"].isin(STOP_DETAILS)
        found = events[events["kind"].isin(_SETTLED_KINDS) | is_stop]
        recomputed = np.array([self._recomputed_cash(event) for event in found.itertuples()], dtype=float)
        keep = ["effective_at", "kind", "venue", "instrument", "quantity", "price", "rate", "detail"]
        return found[keep].assign(booked=found["amount"], recomputed=recomputed)

    def _recomputed_cash(self, event: Any) -> float:
        """Cash of a settlement from the numbers of its event; NaN if they do not determine it."""
        if event.kind == "funding":
            return -event.quantity * event.price * event.rate
        if event.kind == "reward":
            return event.rate * self._inputs.reward_base(event)
        if is_perp(event.instrument):
            # a stop or a liquidation: the profit realised by closing, less the fee, both in the quote currency
            fee = event.fee / self._inputs.price(QUOTE_ASSET, self.row)
            return -event.quantity * event.price - self._inputs.held_before(f"{event.instrument}|cost") - fee
        return np.nan

    @property
    def flows(self) -> "pd.DataFrame":
        return self._inputs.events_of("flow")

    @property
    def decision(self) -> "pd.DataFrame":
        return self._inputs.events_of("decision")

    @functools.cached_property
    def asked_because(self) -> list[str]:
        details = [str(detail) for detail in self.decision["detail"] if str(detail).startswith(TRIGGER)]
        return details[0].removeprefix(TRIGGER).split("; ") if details else []

    @functools.cached_property
    def bands(self) -> "pd.DataFrame":
        import pandas as pd

        found = self.run.reasons.bands(self.row)
        index = pd.Index([band.name for band in found], name="measure", dtype="str")
        return pd.DataFrame([band[1:] for band in found], index, columns=["value", "low", "high", "aim"], dtype=float)

    def held_before_orders(self, name: str) -> float:
        """Stored quantity of an instrument before the orders of this row, what is under way included."""
        if not self.row:
            return self.run.reasons.held(name, 0)
        settled: Any = self.settled
        closed = settled[(settled["instrument"] == name) & settled["kind"].isin(("fill", "liquidation", "reward"))]
        held = self._inputs.held_before(name) + self._inputs.held_before(f"{name}|in_transit")
        return held + float(closed["quantity"].sum())

    @functools.cached_property
    def undone(self) -> list[str]:
        return list(undone(self.events, self._followed, self.run.reasons.plan_kinds))

    @functools.cached_property
    def _followed(self) -> "pd.DataFrame":
        """What followed from the decisions of this row, in any row."""
        events: Any = self.run.table("events").to_pandas(index=False)
        ids = set(self.decision["correlation_id"])
        return events[events["correlation_id"].isin(ids) & (events["kind"] != "decision")]

    @property
    def alerts(self) -> "pd.DataFrame":
        return self._inputs.events_of("alert")

    @property
    def orders(self) -> "pd.DataFrame":
        found = self._inputs.events_of("order", "fill", "reject", "transfer")
        return found[~found["detail"].isin(STOP_DETAILS)]

    # --- P&L ---------------------------------------------------------------------------------------------------------

    @property
    def is_recomputed(self) -> bool:
        """Whether the P&L can be recomputed; not in the first row of a resumed run."""
        return self._inputs.is_complete

    @functools.cached_property
    def _terms(self) -> list[Term]:
        return recompute_terms(self._inputs)

    @functools.cached_property
    def terms(self) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(self._terms, columns=list(Term._fields))

    @functools.cached_property
    def pnl(self) -> "pd.DataFrame":
        import pandas as pd

        table = self.run.table("attribution")
        booked = np.array([table[name][self.row] for name in COLUMN_NAMES])
        sums: dict[str, float] = dict.fromkeys(COLUMN_NAMES, 0.0)
        for term in self._terms:
            sums[term.column] += term.amount
        recomputed = np.array(list(sums.values())) if self.is_recomputed else np.full(len(sums), np.nan)
        index = pd.Index(COLUMN_NAMES, name="column", dtype="str")
        columns = {"booked": booked, "recomputed": recomputed, "difference": booked - recomputed}
        return pd.DataFrame(columns, index=index)

    @functools.cached_property
    def check(self) -> Check:
        table, capital = self.run.table("equity"), self.run.summary["initial_equity"]
        equity, flow = float(table["equity"][self.row]), float(table["net_flow"][self.row])
        before = float(table["equity"][self.row - 1]) if self.row else capital
        columns = float(self.pnl["booked"].to_numpy().sum())
        flows_so_far = float(np.abs(table["net_flow"][: self.row + 1]).sum())
        allowed = TOLERANCE * max(1.0, capital + flows_so_far)
        pnl = equity - before - flow
        return Check(before, equity, flow, pnl, columns, columns - pnl, allowed)
