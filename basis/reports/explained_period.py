"""A period of a run: P&L by cause, the worst row, and the events that mattered. pandas is imported on use.

Everything is read from the tables of the run.
"""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from basis.kernel.layout.codes import COLUMN_NAMES
from basis.reports.formatting import money, number, percent, with_minus_sign
from basis.results import measures
from basis.results.reasons import TRIGGER
from basis.results.run import Run
from basis.texts import for_page

if TYPE_CHECKING:
    import pandas as pd

#: Events that are told one by one, and how many of a kind.
_TOLD, _MOST = ("flow", "liquidation", "reject", "alert", "error"), 5
#: Decisions that are told: those that cost most.
_COSTLIEST = 3
#: P&L below this share of the capital is rounding and not told.
_ROUNDING = 1e-12


class PeriodExplanation:
    """Rows of a run from one instant to another; made by `Result.explain` with two instants.

    Attributes
    ----------
    start, end : pandas.Timestamp
        First and last row of the period; its P&L is that of these rows, the first included.
    pnl : pandas.Series
        P&L by column, share class, the largest first; columns without any are left out.
    worst : pandas.Series
        P&L of the row that lost most, by column; its instant is the name.
    events : pandas.DataFrame
        Events of the period.
    decisions : pandas.DataFrame
        By decision: instant, why it was asked, number of fills, and cost, share class: fees, slippage, gas, flash fees.
    """

    def __init__(self, run: Run, first: int, last: int) -> None:
        import pandas as pd

        self.run, self.rows = run, slice(first, last + 1)
        self.share_class: str = run.summary["share_class"]
        stamps = run.table("equity")["timestamp"]
        self.start, self.end = (pd.Timestamp(stamps[row], tz="UTC") for row in (first, last))

    @functools.cached_property
    def _attribution(self) -> "pd.DataFrame":
        frame: Any = self.run.table("attribution").to_pandas()
        return frame[list(COLUMN_NAMES)].iloc[self.rows]

    @property
    def _rounding(self) -> float:
        """P&L below this is rounding, share class."""
        return _ROUNDING * max(1.0, float(self.run.summary["initial_equity"]))

    @functools.cached_property
    def pnl(self) -> "pd.Series":
        sums: Any = self._attribution.sum()
        return sums[sums.abs() > self._rounding].sort_values(key=abs, ascending=False)

    @functools.cached_property
    def worst(self) -> "pd.Series":
        row: Any = self._attribution.loc[self._attribution.sum(axis=1).idxmin()]
        return row[row.abs() > self._rounding].sort_values()

    @functools.cached_property
    def events(self) -> "pd.DataFrame":
        found: Any = self.run.table("events").to_pandas(index=False)
        return found[(found["timestamp"] >= self.start) & (found["timestamp"] <= self.end)]

    @functools.cached_property
    def decisions(self) -> "pd.DataFrame":
        import pandas as pd

        events: Any = self.events
        made = events[events["kind"] == "decision"].drop_duplicates("correlation_id").set_index("correlation_id")
        followed = events[events["kind"].isin(("fill", "transfer", "reject"))]
        costs = followed[["fee", "slippage", "gas", "flash_fee"]].sum(axis=1).groupby(followed["correlation_id"]).sum()
        fills = followed[followed["kind"] == "fill"].groupby("correlation_id").size()
        return pd.DataFrame(
            {
                "timestamp": made["timestamp"],
                "asked_because": made["detail"].str.removeprefix(TRIGGER),
                "fills": fills.reindex(made.index, fill_value=0),
                "cost": costs.reindex(made.index, fill_value=0.0),
            }
        )

    # --- display -----------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        return f"{self.run.summary['mode']}, {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    def sections(self) -> dict[str, list[str]]:
        """Lines by section."""
        return {
            "Result": list(self._result()),
            "P&L by cause": [f"{name} {self._signed(value)}" for name, value in self.pnl.items()],
            "Worst row": list(self._worst()),
            "Risk": list(self._lowest()),
            "Decisions": list(self._costliest()),
            "Events": list(self._told()),
        }

    def _signed(self, value: Any) -> str:
        return with_minus_sign(("+" if value > 0.0 else "") + money(float(value), self.share_class))

    def _result(self) -> Any:
        equity = self.run.table("equity")
        first = self.rows.start
        before = float(equity["equity"][first - 1]) if first else float(self.run.summary["initial_equity"])
        end, flows = float(equity["equity"][self.rows.stop - 1]), float(equity["net_flow"][self.rows].sum())
        returns = self.run.row_returns[self.rows]
        flowed = f", less flows {self._signed(flows)}" if flows else ""
        earned = self._signed(end - before - flows)
        yield f"equity {number(before)} → {number(end)} {self.share_class}{flowed}: P&L {earned}"
        deepest = float(measures.drawdown(returns).min(initial=0.0))
        total = float(np.prod(1.0 + returns)) - 1.0
        yield f"return {with_minus_sign(percent(total))}, deepest fall within it {with_minus_sign(percent(deepest))}"

    def _worst(self) -> Any:
        total = float(self.worst.sum())
        if total >= 0.0:
            yield "no row lost"
            return
        when: Any = self.worst.name
        causes = ", ".join(f"{name} {self._signed(value)}" for name, value in self.worst.items())
        yield f"{when:%Y-%m-%d %H:%M}: {self._signed(total)} ({causes})"

    def _lowest(self) -> Any:
        risk = self.run.table("risk")
        for name in risk.columns:
            if not (name.startswith("margin_ratio|") or name == "health_factor|worst") or not name.endswith("|worst"):
                continue
            values = risk[name][self.rows]
            held = np.isfinite(values) & (values != 0.0)
            if held.any():
                row = int(np.argmin(np.where(held, values, np.inf)))
                when = str(risk["timestamp"][self.rows][row])[:16].replace("T", " ")
                yield f"lowest {name.removesuffix('|worst')} {values[row]:.4g} at {when}"

    def _costliest(self) -> Any:
        decisions: Any = self.decisions
        if not len(decisions):
            return
        yield f"{len(decisions):,} in all, which cost {money(float(decisions['cost'].sum()), self.share_class)}"
        for one in decisions.nlargest(_COSTLIEST, "cost").itertuples():
            why = f", asked because {one.asked_because}" if one.asked_because else ""
            yield f"{one.timestamp:%Y-%m-%d %H:%M}: {one.fills} fills, {money(one.cost, self.share_class)}{why}"

    def _told(self) -> Any:
        counts = self.events["kind"].value_counts()
        if len(counts):
            yield ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        for kind in _TOLD:
            found: Any = self.events[self.events["kind"] == kind]
            for one in found.head(_MOST).itertuples():
                what = " ".join(filter(None, (one.level, one.instrument, one.detail)))
                amount = f" {number(one.amount)}" if kind in ("flow", "liquidation") and one.amount else ""
                yield f"{one.timestamp:%Y-%m-%d %H:%M}: {kind} {what}{amount}"
            if len(found) > _MOST:
                yield f"and {len(found) - _MOST:,} {kind} events more"

    def __repr__(self) -> str:
        parts = [self._title()]
        for title, lines in self.sections().items():
            parts += [title, *(f"  {line}" for line in lines or ["none"])]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr><td style='vertical-align:top;text-align:left;opacity:0.7;white-space:nowrap'>"
            f"{for_page(title)}</td><td style='text-align:left'>"
            f"{'<br>'.join(map(for_page, lines or ['none']))}</td></tr>"
            for title, lines in self.sections().items()
        )
        return f"<div><strong>{for_page(self._title())}</strong><table>{rows}</table></div>"
