"""Numbers, amounts, metrics and dates as reports show them. Imports numpy only."""

import math
from typing import Any

import numpy as np

from basis.plots import theme
from basis.results.run import Run
from basis.results.stats import STATS, make_stats, why_undefined


def format_stat(name: str, value: Any, share_class: str) -> str:
    """A metric of `Result.stats` with its unit; a dash if it is not defined."""
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


def stat_texts(run: Run) -> list[str]:
    """Every metric of a run for reading, and why it is not defined where it is not, in the order of `STATS`."""
    equity, share_class = run.table("equity"), run.summary["share_class"]
    found = make_stats(run.summary, equity)
    undefined = why_undefined(found, equity)
    return [
        f"not defined: {undefined[name]}" if name in undefined else format_stat(name, value, share_class)
        for name, value in found.items()
    ]


def money(value: float, share_class: str) -> str:
    """An amount with its unit: two decimals of USDT, six of anything else."""
    decimals = theme.decimals(share_class)
    return f"{round(value, decimals) + 0.0:,.{decimals}f} {share_class}"


def percent(value: float | None) -> str:
    """A fraction in percent, with three decimals if it is below 1 %; a dash if it is not defined."""
    if value is None or not math.isfinite(value):
        return "–"
    decimals = 2 if abs(value) >= 0.01 else 3
    return f"{round(value, decimals + 2) + 0.0:,.{decimals}%}"


def number(value: float) -> str:
    """A number with two decimals if it is at least 1,000, otherwise with eight digits."""
    if not np.isfinite(value):
        return "–" if np.isnan(value) else "∞"
    text = f"{value:,.2f}" if abs(value) >= 1_000.0 else f"{value:.8g}"
    return with_minus_sign(text)


def with_minus_sign(text: str) -> str:
    """A number whose hyphens are minus signs, which are as wide as a plus sign."""
    return text.replace("-", "−")


def day(instant: str) -> str:
    """An instant of a summary, ``2024-01-01T00:00:00Z``, without its zone, and without the time if that is midnight."""
    return instant[:16].replace("T", " ").removesuffix(" 00:00")
