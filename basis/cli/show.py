"""Tables for the terminal. May import rich and the number formats of the figures; knows the fields of a summary."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from basis.plots.theme import decimals
from basis.texts import LONGEST_CELL, visible

#: Wide enough for any line: text that goes to a file or a pipe is not folded.
_UNFOLDED = 500


def console() -> Console:
    """Standard output; only a terminal folds lines."""
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _UNFOLDED)


def _text(value: Any, style: str = "", longest: int = 4_000) -> Text:
    """A text as it is printed: no markup, since a message may hold brackets, and every character in sight."""
    return Text(visible(value, longest), style=style)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print rows under a header; columns named in `right` are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(_text(column), justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(_text(cell, longest=LONGEST_CELL) for cell in row))
    console().print(table)


def print_summary(summary: Mapping[str, Any], warnings: Sequence[str], doubts: Sequence[str] = ()) -> None:
    """Print a run's headline, its P&L by cause, and what one should know before believing either."""
    title = f"{summary['mode']}, {_day(summary['start'])} to {_day(summary['end'])}, {summary['rows']:,} rows"
    title += "" if summary["status"] == "complete" else f", {summary['status']}"
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in summary_rows(summary):
        table.add_row(_text(name), _text(value))
    screen = console()
    screen.print(_text(title, "bold"))
    screen.print(table)
    for warning in warnings:
        screen.print(_text(f"warning: {warning}", "yellow"))
    for place, doubt in enumerate(doubts, 1):
        screen.print(_text(f"doubt {place}: {doubt}"))


def print_comparison(tables: Iterable[tuple[Sequence[str], Sequence[Sequence[str]]]], notes: Sequence[str]) -> None:
    """Print tables of texts, the first about the runs and the others with a column a run, and notes."""
    for place, (head, rows) in enumerate(tables):
        if place:
            console().print()
        print_table(head, rows, () if place == 0 else head[1:])
    for note in notes:
        console().print(_text(f"note: {note}", "yellow"))


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each line under the headline; the causes are those that the P&L above them is the sum of."""
    unit = summary["share_class"]
    places = decimals(unit)
    causes = {name: value for name, value in summary["attribution"].items() if "|" not in name}
    coverage = sorted(summary["funding_coverage"].items())
    return [
        ("total return", _percent(summary["total_return"])),
        ("CAGR, 365 days", _percent(summary["cagr_365"])),
        ("max drawdown", _percent(summary["max_drawdown"])),
        *_nearest(summary["min_margin_ratio"]),
        (f"equity at end, {unit}", f"{summary['final_equity']:,.{places}f}"),
        (f"P&L, {unit}", f"{sum(causes.values()):,.{places}f}"),
        *((f"  {name}", f"{value:,.{places}f}") for name, value in _closed(causes, places).items() if value),
        ("fills", f"{summary['fills']:,}"),
        ("liquidations", f"{summary['liquidations']:,}"),
        *((f"{name} known", _cover(cover)) for name, cover in coverage if cover["own"] < 1.0),
        ("seconds", f"{summary['elapsed_s']['total']:.2f}"),
    ]


def _closed(causes: Mapping[str, float], places: int) -> dict[str, float]:
    """The causes as printed: rounded, and what rounding leaves of their sum is with the largest."""
    shown = {name: round(value, places) for name, value in causes.items()}
    if shown:
        largest = max(shown, key=lambda name: abs(shown[name]))
        left = round(sum(causes.values()), places) - sum(shown.values())
        shown[largest] = round(shown[largest] + left, places)
    return shown


def _nearest(ratios: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """The lowest margin ratio of the run and its venue, where there was a position."""
    found = {venue: ratio for venue, ratio in ratios.items() if ratio is not None}
    if not found:
        return []
    venue = min(found, key=lambda name: found[name])
    return [(f"lowest margin ratio, {venue}", _percent(found[venue]))]


def _day(instant: Any) -> str:
    return str(instant)[:16].replace("T", " ")


def _percent(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3%}"


def _cover(cover: Mapping[str, float]) -> str:
    own, resolved = cover["own"], cover["resolved"]
    return _percent(own) if own == resolved else f"{_percent(own)}, with fallbacks {_percent(resolved)}"
