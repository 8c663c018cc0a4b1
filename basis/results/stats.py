"""Headline and risk metrics of a run, with their names and units in words. Imports numpy only."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from basis.plots import theme
from basis.results import measures

if TYPE_CHECKING:
    from basis.results.result import Result

#: Costs of execution (accounting §5): what trading takes, without what a liquidation takes.
COSTS = ("fees", "slippage", "gas", "transfer_fees", "flash_fees")
#: A P&L below this share of the capital is rounding, and no share of it can be told.
_ROUNDING = 1e-9


class Stat(NamedTuple):
    """A metric: its name in words, and what its number is (``percent``: a fraction)."""

    label: str
    kind: str
    unit: str = ""


#: Metrics in the order of `stats`; the units are those of the numbers, ``money`` is in share class.
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


def make_stats(result: "Result") -> dict[str, float | None]:
    """The metrics of a run by name, None where one is not defined; `Result.stats` says what each is."""
    summary, table = result.summary, result.table("equity")
    returns = measures.row_returns(table["equity"], table["net_flow"], summary["initial_equity"])
    _, days = measures.daily_returns(table["timestamp"], returns)
    start, earned = summary["initial_equity"], summary["attribution"]
    pnl = summary["final_equity"] - start - summary["net_flows"]
    told = abs(pnl) > _ROUNDING * max(1.0, start)
    found = {
        **{name: summary[name] for name in STATS if name in summary},
        **measures.measure_days(days)._asdict(),
        "pnl": pnl,
        "critical_alerts": summary["alerts"]["critical"],
        # 0 less the sum, so that a run without costs has none and not -0
        "costs": 0.0 - sum(earned[name] for name in COSTS) / start if start > 0.0 else None,
        "funding_share": earned["funding_pnl"] / pnl if told else None,
    }
    return {name: found[name] for name in STATS}


def units(share_class: str) -> dict[str, str]:
    """Unit of every metric."""
    return {name: stat.unit or share_class for name, stat in STATS.items()}


def shown(name: str, value: Any, share_class: str) -> str:
    """A metric as it is displayed, with its unit."""
    kind = STATS[name].kind
    if value is None or not math.isfinite(value):
        return "–"
    if kind == "money":
        return money(value, share_class)
    if kind == "percent":
        return percent(value)
    if kind in ("count", "days"):
        return f"{value:,.0f}" + ((" day" if value == 1 else " days") if kind == "days" else "")
    return f"{value:,.2f}" + ("×" if kind == "times" else "")


def money(value: float, share_class: str) -> str:
    """An amount with its unit: cents of USDT, six places of anything else."""
    places = theme.places(share_class)
    return f"{round(value, places) + 0.0:,.{places}f} {share_class}"


def percent(value: float | None) -> str:
    """A fraction in percent, small ones with a place more; an undefined one is a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    places = 2 if abs(value) >= 0.01 else 3
    return f"{round(value, places + 2) + 0.0:,.{places}%}"
