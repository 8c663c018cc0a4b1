"""Headline and risk metrics of a run, with their names and units. Imports numpy; pandas on use."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from basis.results import measures
from basis.results.table import Table

if TYPE_CHECKING:
    import pandas as pd

#: Costs of trading (accounting §5), without losses of liquidations.
COSTS = ("fees", "slippage", "gas", "transfer_fees", "flash_fees")
#: A P&L below this share of the capital is a rounding error, and fractions of it mean nothing.
_ROUNDING = 1e-9


class Stat(NamedTuple):
    """A metric.

    Attributes
    ----------
    label : str
        Name as displayed.
    kind : str
        How it is displayed: ``money``, ``percent`` (of a fraction), ``ratio``, ``days``, ``times``, ``count``.
    unit : str
        Unit of the number; empty for money, which is in share class.
    """

    label: str
    kind: str
    unit: str = ""


#: Metrics in the order of `Result.stats`.
STATS = {
    "initial_equity": Stat("equity at start", "money"),
    "final_equity": Stat("equity at end", "money"),
    "net_flows": Stat("net flows", "money"),
    "pnl": Stat("P&L", "money"),
    "total_return": Stat("return", "percent", "fraction"),
    "cagr_365": Stat("CAGR", "percent", "fraction per year"),
    "volatility_365": Stat("volatility", "percent", "fraction per √year"),
    "sharpe_365": Stat("Sharpe", "ratio", "ratio"),
    "sortino_365": Stat("Sortino", "ratio", "ratio"),
    "max_drawdown": Stat("max drawdown", "percent", "fraction"),
    "calmar": Stat("Calmar", "ratio", "ratio"),
    "best_day": Stat("best day", "percent", "fraction"),
    "worst_day": Stat("worst day", "percent", "fraction"),
    "positive_days": Stat("days with a gain", "percent", "fraction of days"),
    "skew": Stat("skew", "ratio", "ratio"),
    "kurtosis": Stat("excess kurtosis", "ratio", "ratio"),
    "var_95": Stat("value at risk, 95 %, a day", "percent", "fraction"),
    "expected_shortfall_95": Stat("expected shortfall, 95 %, a day", "percent", "fraction"),
    "time_under_water": Stat("time under water", "percent", "fraction of days"),
    "longest_under_water": Stat("longest under water", "days", "days"),
    "turnover": Stat("turnover", "times", "times the mean equity"),
    "fills": Stat("fills", "count", "count"),
    "liquidations": Stat("liquidations", "count", "count"),
    "critical_alerts": Stat("critical alerts", "count", "count"),
    "costs": Stat("costs, of the capital", "percent", "fraction of the equity at start"),
    "funding_share": Stat("funding, of the P&L", "percent", "fraction of the P&L"),
}


def make_stats(summary: Mapping[str, Any], equity: Table) -> dict[str, float | None]:
    """The metrics of a run by name; None for one that is not defined. `Result.stats` explains each.

    Parameters
    ----------
    summary : Mapping[str, Any]
        Summary of the run.
    equity : Table
        Its equity table.
    """
    start, by_column = summary["initial_equity"], summary["attribution"]
    returns = measures.row_returns(equity["equity"], equity["net_flow"], start)
    days = measures.whole_days(equity["timestamp"], returns)
    pnl = summary["final_equity"] - start - summary["net_flows"]
    has_shares = abs(pnl) > _ROUNDING * max(1.0, start)
    found = {
        **{name: summary[name] for name in STATS if name in summary},
        **measures.measure_days(days)._asdict(),
        "pnl": pnl,
        "critical_alerts": summary["alerts"]["critical"],
        # 0 less the sum, so that a run without costs has 0 and not -0
        "costs": 0.0 - sum(by_column[name] for name in COSTS) / start if start > 0.0 else None,
        "funding_share": by_column["funding_pnl"] / pnl if has_shares else None,
    }
    return {name: found[name] for name in STATS}


def why_undefined(stats: Mapping[str, float | None], equity: Table) -> dict[str, str]:
    """Why a metric is not defined, in a few words, for each of `make_stats` that is None."""
    days = measures.whole_days(
        equity["timestamp"], measures.row_returns(equity["equity"], equity["net_flow"], stats["initial_equity"] or 0.0)
    )
    if not np.isfinite(days).all():
        of_days = few = "the equity was not always above zero"
    else:
        of_days = "the run has no whole day" if not len(days) else ""
        few = of_days or ("the run has one whole day" if len(days) == 1 else "")
    equal = few or "all days are equal"
    words = {
        "cagr_365": "the run is too short, or lost more than all",
        "volatility_365": few,
        "sharpe_365": equal,
        "sortino_365": few or "no day has a loss",
        "max_drawdown": "the equity was not always above zero",
        "calmar": "the run has no drawdown" if stats["cagr_365"] is not None else "CAGR is not defined",
        "skew": few or ("the run has two whole days" if len(days) == 2 else equal),
        "kurtosis": few or (f"the run has {len(days)} whole days" if len(days) < 4 else equal),
        "turnover": "the mean equity is not above zero",
        "costs": "the run began without equity",
        "funding_share": "the run has no P&L",
    }
    return {name: words.get(name) or of_days or "not known" for name, value in stats.items() if value is None}


def stats_series(
    stats: Mapping[str, float | None], share_class: str, name: str, undefined: "Mapping[str, str] | None" = None
) -> "pd.Series":
    """Metrics as a pandas series called `name`; NaN for one that is not defined.

    Units are in ``.attrs['units']``, and why a metric is not defined is in ``.attrs['undefined']``.
    """
    from basis.results.frame import NamedSeries

    numbers = [float("nan") if value is None else float(value) for value in stats.values()]
    series = NamedSeries(numbers, list(stats), name=name)
    series.attrs["units"] = units(share_class)
    series.attrs["undefined"] = dict(undefined or {})
    return series


def units(share_class: str) -> dict[str, str]:
    """Unit of each metric."""
    return {name: stat.unit or share_class for name, stat in STATS.items()}
