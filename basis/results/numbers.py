"""What the figures of a run are drawn from, taken from its tables. Imports numpy and `basis.plots` only."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from basis.plots.run import BookNumbers, RunNumbers
from basis.results import measures
from basis.results.card import day

if TYPE_CHECKING:
    from basis.results.result import Result
    from basis.results.table import Table

_EVENTS = (
    "kind", "level", "timestamp", "action", "venue", "instrument", "destination", "quantity", "price", "rate",
    "notional", "fee", "slippage", "gas", "flash_fee", "amount", "detail",
)  # fmt: skip


def run_numbers(result: "Result") -> RunNumbers:
    """The numbers of a run, as arrays."""
    equity, attribution, risk = (result.table(name) for name in ("equity", "attribution", "risk"))
    exposure, events, summary = result.table("exposure"), result.table("events"), result.summary
    returns = measures.row_returns(equity["equity"], equity["net_flow"], summary["initial_equity"])
    sums = [name for name in attribution.columns if name != "timestamp" and "|" not in name]
    delta = "net_delta_ratio|"
    return RunNumbers(
        name=f"{summary['mode']}, {day(summary['start'])} to {day(summary['end'])} UTC",
        share_class=summary["share_class"],
        stamps=equity["timestamp"],
        initial_equity=summary["initial_equity"],
        equity=equity["equity"],
        net_flow=equity["net_flow"],
        drawdown=measures.drawdown(returns),
        attribution={name: attribution[name] for name in sums},
        risk={name: risk[name] for name in risk.columns if name != "timestamp"},
        net_delta={name[len(delta) :]: exposure[name] for name in exposure.columns if name.startswith(delta)},
        events={name: events[name] for name in _EVENTS},
        limits=_limits(result, [name[len("alert|") :] for name in risk.columns if name.startswith("alert|")]),
        cause=result.cause,
        returns=returns,
        open_book=functools.partial(book_numbers, result),
    )


def book_numbers(result: "Result") -> BookNumbers:
    """What the book held, row by row; of the tables that only some figures need."""
    exposure, positions, panel = (result.table(name) for name in ("exposure", "positions", "panel"))
    attribution = result.table("attribution")
    values = {name[len("value|") :]: exposure[name] for name in exposure.columns if name.startswith("value|")}
    return BookNumbers(
        values=values,
        units={key: positions[key] * _index(panel, key) for key in values},
        gross=exposure["gross"],
        funding=_headed(attribution, "funding_pnl|"),
        rates={key: rate for key, rate in _headed(panel, "funding_rate|").items() if key in values},
        sides=_sides(positions, panel, values),
        growth={key: _growth(panel, key) for key in values if key.split(":")[1] in ("aToken", "debtToken")},
    )


def _headed(table: "Table", head: str) -> dict[str, np.ndarray]:
    """Columns ``<head><key>`` by key, without their variants."""
    names = [name for name in table.columns if name.startswith(head) and "|" not in name[len(head) :]]
    return {name[len(head) :]: table[name] for name in names}


def _index(panel: "Table", key: str) -> np.ndarray | float:
    """What a unit of a stored quantity is in units of the asset."""
    venue, kind, symbol = key.split(":")
    name = {"aToken": f"liquidity_index|{venue}:{symbol}", "debtToken": f"borrow_index|{venue}:{symbol}"}.get(kind)
    return panel[name] if name is not None and name in panel.columns else 1.0


def _sides(positions: "Table", panel: "Table", keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Signed over absolute notional of each venue's perps."""
    signed: dict[str, np.ndarray] = {}
    whole: dict[str, np.ndarray] = {}
    for key in keys:
        venue, kind, _ = key.split(":")
        if kind == "Perp":
            notional = positions[key] * panel[f"mark|{key}"]
            signed[venue] = signed.get(venue, 0.0) + notional
            whole[venue] = whole.get(venue, 0.0) + np.abs(notional)
    return {
        venue: np.divide(signed[venue], whole[venue], out=np.full(len(positions), np.nan), where=whole[venue] > 0.0)
        for venue in signed
    }


def _growth(panel: "Table", key: str) -> np.ndarray:
    """(rows,) rate a year at which a supplied or owed token grows: interest, and the staking rate of the last week."""
    venue, kind, symbol = key.split(":")
    found = np.zeros(len(panel))
    for name in (f"{'supply' if kind == 'aToken' else 'borrow'}_apr|{venue}:{symbol}", f"staking_week|{symbol}"):
        if name in panel.columns:
            found = found + np.nan_to_num(panel[name])
    return found


def _limits(result: "Result", measures: list[str]) -> dict[str, tuple[float, float]]:
    """(warning, critical) of each measure that has limits: its own, else those of its kind."""
    given = result.config.risk.limits
    found = {name: given.get(name) or given.get(name.partition("|")[0]) for name in measures}
    return {name: (limit.warning, limit.critical) for name, limit in found.items() if limit is not None}
