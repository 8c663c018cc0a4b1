"""`summary.json`: the headline numbers of a run. Plain numpy on the tables."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from basis.kernel.layout import codes
from basis.kernel.layout.codes import COLUMN_NAMES
from basis.market.sources.clock import iso
from basis.results import measures
from basis.results.table import Table
from basis.results.tables import RunRows


def finite(value: Any) -> Any:
    """The value with plain Python numbers, and None for a number that is not finite, which JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def make_summary(rows: RunRows, run_id: str, tables: Mapping[str, Table]) -> dict[str, Any]:
    """Headline numbers.

    Parameters
    ----------
    tables : Mapping[str, Table]
        The tables `equity`, `risk` and `events` of the run.

    Notes
    -----
    `turnover` is the notional of all fills divided by the mean equity. `liquidations` counts each venue once in each
    row in which it was liquidated. `bad_debt` is the debt left without collateral after the last liquidation, share
    class. `components_s` and `peak_memory_mb` exist only for runs of the event driver. The lowest risk measures are
    taken over the values after fills, before decisions and at the extremes of each hour.
    """
    recording = rows.recording
    equity, risk, events = tables["equity"], tables["risk"], tables["events"]
    held, flow, start = equity["equity"], equity["net_flow"], rows.started_from
    returns = measures.row_returns(held, flow, start)
    total = measures.total_return(held, flow, start)
    measured = measures.measure(rows.stamps, returns, total)
    log = recording.events
    log = log[(log["row"] >= recording.first) & (log["row"] < recording.stop)]
    fills, liquidated = log[log["kind"] == codes.FILL], log[log["kind"] == codes.LIQUIDATION]
    # a liquidated loan has one event per leg, with different destinations
    venue = np.where(liquidated["code"] == codes.PERPS_LIQUIDATED, liquidated["destination"], -1)
    bad_debts = liquidated[liquidated["code"] == codes.BAD_DEBT]
    traded = float(fills["notional"].sum())
    mean = float(held.mean()) if len(held) else 0.0
    span = recording.panel.timestamps[[recording.first, max(recording.stop - 1, recording.first)]]
    summary = {
        "run_id": run_id,
        "status": recording.status,
        "cause": recording.cause,
        "mode": recording.config.mode,
        "share_class": rows.share_class,
        "start": iso(int(span[0])),
        "end": iso(int(span[1])),
        "rows": len(held),
        "initial_equity": start,
        "final_equity": held[-1] if len(held) else start,
        "net_flows": rows.increments(rows.state_before.net_flows).sum(),
        "total_return": total,
        **measured._asdict(),
        "attribution": _totals(rows),
        "max_abs_residual": np.abs(equity["residual"]).max(initial=0.0),
        "fills": len(fills),
        "turnover": traded / mean if mean > 0.0 else None,
        "liquidations": len(np.unique(np.column_stack((liquidated["row"], venue)), axis=0)),
        "bad_debt": float(bad_debts["amount"][-1]) if len(bad_debts) else 0.0,
        "min_health_factor": _lowest(risk, "health_factor"),
        "min_margin_ratio": {venue: _lowest(risk, f"margin_ratio|{venue}") for _, venue in rows.margined},
        "funding_coverage": {
            series: dict(share) for series, share in recording.panel.coverage.items() if series.startswith("funding/")
        },
        "alerts": {
            level: int(np.count_nonzero((events["kind"] == "alert") & (events["level"] == level)))
            for level in ("warning", "critical")
        },
        "elapsed_s": {name: recording.elapsed.get(name) for name in ("load", "compile", "kernel", "total")},
        "components_s": recording.spent,
        "peak_memory_mb": None if recording.peak_memory is None else recording.peak_memory / 2**20,
    }
    return finite(summary)


def _totals(rows: RunRows) -> dict[str, float]:
    """Total of each attribution column over the rows of the run, share class."""
    lines = dict(zip(COLUMN_NAMES, rows.pnl_before, strict=True))
    lines |= {f"funding_pnl|{venue}": rows.state_before.venue_funding[v] for v, venue in rows.margined}
    if not len(rows):
        return dict.fromkeys(lines, 0.0)
    return {name: line[-1] - (line[0] if rows.first else 0.0) for name, line in lines.items()}


def _lowest(risk: Table, measure: str) -> float:
    """Lowest value of a risk measure over its three columns."""
    return min(float(risk[name].min(initial=np.inf)) for name in (measure, f"{measure}|before", f"{measure}|worst"))
