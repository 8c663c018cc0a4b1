"""The numbers that the figures of a run are drawn from, taken from its tables. Imports numpy only."""

import functools
from collections.abc import Iterable

import numpy as np

from basis.plots.data import PositionData, RunData
from basis.reports.formatting import day
from basis.results import measures
from basis.results.run import Run
from basis.results.table import Table, Text
from basis.texts import without_tags

_EVENTS = (
    "kind", "level", "timestamp", "action", "venue", "instrument", "destination", "quantity", "price", "rate",
    "notional", "fee", "slippage", "gas", "flash_fee", "amount", "detail",
)  # fmt: skip


def run_data(run: Run) -> RunData:
    """Numbers of a run for its figures. The positions are loaded when a figure needs them."""
    equity, attribution, risk = (run.table(name) for name in ("equity", "attribution", "risk"))
    exposure, events, summary = run.table("exposure"), run.table("events"), run.summary
    returns = measures.row_returns(equity["equity"], equity["net_flow"], summary["initial_equity"])
    sums = [name for name in attribution.columns if name != "timestamp" and "|" not in name]
    delta_prefix = "net_delta_ratio|"
    return RunData(
        name=f"{without_tags(summary['mode'])}, {day(summary['start'])} to {day(summary['end'])} UTC",
        share_class=summary["share_class"],
        stamps=equity["timestamp"],
        initial_equity=summary["initial_equity"],
        equity=equity["equity"],
        net_flow=equity["net_flow"],
        drawdown=measures.drawdown(returns),
        attribution={name: attribution[name] for name in sums},
        risk={name: risk[name] for name in risk.columns if name != "timestamp"},
        net_delta={
            name[len(delta_prefix) :]: exposure[name] for name in exposure.columns if name.startswith(delta_prefix)
        },
        events={name: _drawn(events, name) for name in _EVENTS},
        limits=_limits(run, [name[len("alert|") :] for name in risk.columns if name.startswith("alert|")]),
        cause=None if run.cause is None else without_tags(run.cause),
        returns=returns,
        load_positions=functools.partial(position_data, run),
    )


def _drawn(events: Table, name: str) -> np.ndarray:
    """A column of the events, its texts as figures may show them."""
    values = events.columns.get(name)
    if isinstance(values, Text):
        return Text(values.codes, tuple(map(without_tags, values.labels))).values()
    return events[name]


def position_data(run: Run) -> PositionData:
    """Positions of a run, from the tables that only some figures need."""
    exposure, positions, panel = (run.table(name) for name in ("exposure", "positions", "panel"))
    attribution = run.table("attribution")
    values = {name[len("value|") :]: exposure[name] for name in exposure.columns if name.startswith("value|")}
    return PositionData(
        values=values,
        quantities={key: positions[key] * _index(panel, key) for key in values},
        gross=exposure["gross"],
        funding=_columns_with_prefix(attribution, "funding_pnl|"),
        funding_rates={
            key: rate for key, rate in _columns_with_prefix(panel, "funding_rate|").items() if key in values
        },
        net_to_gross=_net_to_gross(positions, panel, values),
        growth_rates={key: _growth_rate(panel, key) for key in values if key.split(":")[1] in ("aToken", "debtToken")},
    )


def _columns_with_prefix(table: Table, prefix: str) -> dict[str, np.ndarray]:
    """Columns ``<prefix><key>`` by key, without their variants."""
    names = [name for name in table.columns if name.startswith(prefix) and "|" not in name[len(prefix) :]]
    return {name[len(prefix) :]: table[name] for name in names}


def _index(panel: Table, key: str) -> np.ndarray | float:
    """(rows,) units of the asset in one unit of the stored quantity."""
    venue, kind, symbol = key.split(":")
    name = {"aToken": f"liquidity_index|{venue}:{symbol}", "debtToken": f"borrow_index|{venue}:{symbol}"}.get(kind)
    return panel[name] if name is not None and name in panel.columns else 1.0


def _net_to_gross(positions: Table, panel: Table, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Venue to (rows,) signed over absolute notional of its perps; NaN without perps."""
    net: dict[str, np.ndarray] = {}
    gross: dict[str, np.ndarray] = {}
    for key in keys:
        venue, kind, _ = key.split(":")
        if kind == "Perp":
            notional = positions[key] * panel[f"mark|{key}"]
            net[venue] = net.get(venue, 0.0) + notional
            gross[venue] = gross.get(venue, 0.0) + np.abs(notional)
    return {
        venue: np.divide(net[venue], gross[venue], out=np.full(len(positions), np.nan), where=gross[venue] > 0.0)
        for venue in net
    }


def _growth_rate(panel: Table, key: str) -> np.ndarray:
    """(rows,) growth per year of a supplied or borrowed token: interest, and the staking rate of the last week."""
    venue, kind, symbol = key.split(":")
    found = np.zeros(len(panel))
    for name in (f"{'supply' if kind == 'aToken' else 'borrow'}_apr|{venue}:{symbol}", f"staking_week|{symbol}"):
        if name in panel.columns:
            found = found + np.nan_to_num(panel[name])
    return found


def _limits(run: Run, measures: list[str]) -> dict[str, tuple[float, float]]:
    """(warning, critical) of each measure with limits: its own limits, or those of its kind."""
    given = run.config.risk.limits
    found = {name: given.get(name) or given.get(name.partition("|")[0]) for name in measures}
    return {name: (limit.warning, limit.critical) for name, limit in found.items() if limit is not None}
