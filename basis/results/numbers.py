"""What the figures of a run are drawn from, taken from its tables. Imports numpy and `basis.plots` only."""

from typing import TYPE_CHECKING

from basis.plots.run import RunNumbers
from basis.results import measures
from basis.results.card import day

if TYPE_CHECKING:
    from basis.results.result import Result

_EVENTS = (
    "kind",
    "level",
    "timestamp",
    "venue",
    "instrument",
    "quantity",
    "price",
    "notional",
    "fee",
    "amount",
    "detail",
)


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
    )


def _limits(result: "Result", measures: list[str]) -> dict[str, tuple[float, float]]:
    """(warning, critical) of each measure that has limits: its own, else those of its kind."""
    given = result.config.risk.limits
    found = {name: given.get(name) or given.get(name.partition("|")[0]) for name in measures}
    return {name: (limit.warning, limit.critical) for name, limit in found.items() if limit is not None}
