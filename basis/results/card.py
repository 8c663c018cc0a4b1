"""The card of a run in a notebook: headline, a line of equity, warnings. Imports numpy only.

It sets no ground and takes the notebook's own ink, so that it reads in a light theme and in a dark one.
"""

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from basis.plots import theme
from basis.plots.thinning import extremes
from basis.results.stats import STATS, money, shown

if TYPE_CHECKING:
    from basis.results.result import Result

HEADLINE = (
    "total_return", "cagr_365", "volatility_365", "sharpe_365", "max_drawdown", "final_equity", "fills", "liquidations",
)  # fmt: skip
_WIDTH, _HEIGHT, _ROOM = 320, 64, 5
_LINE = "rgba(127,127,127,0.35)"


def make_card(result: "Result") -> str:
    """HTML of the card."""
    summary, share_class = result.summary, result.summary["share_class"]
    title = f"{summary['mode']}, {day(summary['start'])} to {day(summary['end'])} UTC"
    figures = "".join(
        f"<div><div style='opacity:0.7;font-size:85%'>{escape(STATS[name].label)}</div>"
        f"<div style='font-weight:600'>{escape(shown(name, summary[name], share_class))}</div></div>"
        for name in HEADLINE
    )
    grave, notes = graded_warnings(result)
    warned = "".join(f"<li style='color:{theme.CRITICAL};font-weight:600'>{escape(text)}</li>" for text in grave)
    warned += "".join(f"<li>{escape(text)}</li>" for text in notes)
    return (
        f"<div style='border:1px solid {_LINE};border-radius:6px;padding:10px 14px;max-width:760px'>"
        f"<div><strong>{escape(title)}</strong>, {escape(result.status)}"
        f" <code style='opacity:0.7;font-size:85%'>{escape(result.run_id)}</code></div>"
        "<div style='display:flex;flex-wrap:wrap;gap:10px 24px;align-items:center;margin-top:8px'>"
        f"{sparkline(result)}"
        "<div style='display:grid;grid-template-columns:repeat(4,auto);gap:6px 22px'>"
        f"{figures}</div></div>"
        + (f"<ul style='margin:8px 0 0;padding-left:18px;font-size:90%'>{warned}</ul>" if warned else "")
        + "</div>"
    )


def sparkline(result: "Result") -> str:
    """The equity as a small SVG, liquidations as dots; every extreme is on it."""
    equity = result.table("equity")["equity"]
    if not len(equity):
        return ""
    share_class = result.summary["share_class"]
    rows = np.union1d(extremes(equity[None], 120), (0, len(equity) - 1))
    x, y = _placed(rows, equity)
    events, stamps = result.table("events"), result.table("equity")["timestamp"]
    struck = np.unique(np.searchsorted(stamps, events["timestamp"][events["kind"] == "liquidation"]))
    dots = zip(*_placed(struck, equity), strict=True)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    label = f"equity from {money(float(equity[0]), share_class)} to {money(float(equity[-1]), share_class)}"
    shape = (
        f"<polyline points='{points}' fill='none' stroke='{theme.EQUITY}' stroke-width='1.5'/>"
        if len(equity) > 1
        else f"<circle cx='{x[0]:.1f}' cy='{y[0]:.1f}' r='3' fill='{theme.EQUITY}'/>"
    )
    marks = "".join(f"<circle cx='{a:.1f}' cy='{b:.1f}' r='3.5' fill='{theme.CRITICAL}'/>" for a, b in dots)
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'>"
        f"<title>{escape(label)}</title>{shape}{marks}</svg>"
    )


def _placed(rows: np.ndarray, equity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of rows on the line, pixels."""
    low, high = float(equity.min()), float(equity.max())
    x = _ROOM + rows / max(len(equity) - 1, 1) * (_WIDTH - 2 * _ROOM)
    share = (equity[rows] - low) / (high - low) if high > low else np.full(len(rows), 0.5)
    return x, _HEIGHT - _ROOM - share * (_HEIGHT - 2 * _ROOM)


def graded_warnings(result: "Result") -> tuple[list[str], list[str]]:
    """Warnings about the run itself, and notes on its data."""
    notes = list(result.manifest["notes"])
    warnings = result.warnings
    return warnings[: len(warnings) - len(notes)], notes


def day(instant: str) -> str:
    """``2024-01-01T00:00:00Z`` without the zone, and without a midnight."""
    return instant[:16].replace("T", " ").removesuffix(" 00:00")
