"""The display of a run in a notebook: headline metrics, a sparkline of the equity, warnings. Imports numpy only.

It sets no background and uses the text colour of the notebook, so that it is readable in a light and in a dark theme.
"""

import numpy as np

from basis.plots import theme
from basis.plots.thinning import extremes
from basis.reports.formatting import day, format_stat, money
from basis.results.run import Run
from basis.results.stats import STATS
from basis.texts import for_page

#: Metrics that are displayed.
HEADLINE = (
    "total_return", "cagr_365", "volatility_365", "sharpe_365", "max_drawdown", "final_equity", "fills", "liquidations",
)  # fmt: skip
#: Size of the sparkline and its margin, pixels.
_WIDTH, _HEIGHT, _MARGIN = 320, 64, 5
_LIST = "margin:2px 0 0;padding-left:18px"
_BORDER = "rgba(127,127,127,0.35)"


def result_html(run: Run) -> str:
    """The display as HTML."""
    summary, share_class = run.summary, run.summary["share_class"]
    title = f"{summary['mode']}, {day(summary['start'])} to {day(summary['end'])} UTC"
    figures = "".join(
        f"<div><div style='opacity:0.7;font-size:85%'>{for_page(STATS[name].label)}</div>"
        f"<div style='font-weight:600'>{for_page(format_stat(name, summary[name], share_class))}</div></div>"
        for name in HEADLINE
    )
    warnings = "".join(
        f"<li style='color:{theme.CRITICAL};font-weight:600'>{for_page(text)}</li>" for text in run.run_warnings
    )
    warnings += "".join(f"<li>{for_page(text)}</li>" for text in run.data_notes)
    doubts = "".join(f"<li>{for_page(text)}</li>" for text in run.doubts)
    return (
        f"<div style='border:1px solid {_BORDER};border-radius:6px;padding:10px 14px;max-width:760px'>"
        f"<div><strong>{for_page(title)}</strong>, {for_page(run.status)}"
        f" <code style='opacity:0.7;font-size:85%'>{for_page(run.run_id)}</code></div>"
        "<div style='display:flex;flex-wrap:wrap;gap:10px 24px;align-items:center;margin-top:8px'>"
        f"{sparkline(run)}"
        "<div style='display:grid;grid-template-columns:repeat(4,auto);gap:6px 22px'>"
        f"{figures}</div></div>"
        + (f"<ul style='margin:8px 0 0;padding-left:18px;font-size:90%'>{warnings}</ul>" if warnings else "")
        + (
            f"<div style='margin-top:8px;font-size:90%'>Most in doubt:<ol style='{_LIST}'>{doubts}</ol></div>"
            if doubts
            else ""
        )
        + "</div>"
    )


def sparkline(run: Run) -> str:
    """The equity as a small SVG with every extreme, and liquidations as dots."""
    equity = run.table("equity")["equity"]
    if not len(equity):
        return ""
    share_class = run.summary["share_class"]
    rows = np.union1d(extremes(equity[None], 120), (0, len(equity) - 1))
    x, y = _positions(rows, equity)
    events, stamps = run.table("events"), run.table("equity")["timestamp"]
    liquidated = np.unique(np.searchsorted(stamps, events["timestamp"][events["kind"] == "liquidation"]))
    dots = zip(*_positions(liquidated, equity), strict=True)
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
        f"<title>{for_page(label)}</title>{shape}{marks}</svg>"
    )


def _positions(rows: np.ndarray, equity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of rows on the sparkline, pixels."""
    low, high = float(equity.min()), float(equity.max())
    x = _MARGIN + rows / max(len(equity) - 1, 1) * (_WIDTH - 2 * _MARGIN)
    share = (equity[rows] - low) / (high - low) if high > low else np.full(len(rows), 0.5)
    return x, _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)
