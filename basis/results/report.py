"""`report.html`: a run on one page that needs no network. Imports numpy; jinja2 and plotly's script on use."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from basis.config.durations import format_duration
from basis.plots import causes, distance, holdings, prepare, theme
from basis.plots.pictures import Picture
from basis.plots.prepare import earned, totals
from basis.plots.run import LESS_IS_WORSE, RunNumbers, in_words
from basis.results import page
from basis.results.card import day, graded_warnings
from basis.results.folder import REPORT
from basis.results.numbers import run_numbers
from basis.results.stats import STATS, make_stats, money, percent, shown

if TYPE_CHECKING:
    from basis.results.result import Result
    from basis.results.table import Table

#: Where a report is printed to, beside the page.
PDF = "report.pdf"
_HEADLINE = (
    "total_return", "cagr_365", "volatility_365", "sharpe_365", "sortino_365", "max_drawdown", "final_equity", "pnl",
    "costs", "funding_share", "fills", "liquidations",
)  # fmt: skip
#: Rows of a table of single events.
_LISTED = 200


class EventTable(NamedTuple):
    """A table of events: columns from `right` on the right, and how many rows it leaves out."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    more: int = 0


def make_report(result: "Result", manifest: Mapping[str, Any] | None = None) -> str:
    """The report as HTML; `manifest` is that of the folder it is for, where the result's own is not whole yet."""
    run, summary = run_numbers(result), result.summary
    manifest = result.manifest if manifest is None else manifest
    share_class, metrics = summary["share_class"], make_stats(result)
    grave, notes = graded_warnings(result)
    figures = _figures(run)
    maps = [page.drawn(picture, _CAPTIONS["liquidation_map"], 420) for picture in distance.maps(run)]
    events = result.table("events")
    return page.render(
        "report.html.jinja", title=f"{summary['mode']}, {day(summary['start'])} to {day(summary['end'])} UTC",
        summary=summary, interval=format_duration(result.config.bar_interval), manifest=manifest, grave=grave,
        notes=notes, capital=money(summary["initial_equity"], share_class),
        headline=[(STATS[name].label, shown(name, metrics[name], share_class)) for name in _HEADLINE],
        metrics=[(STATS[name].label, shown(name, value, share_class)) for name, value in metrics.items()],
        figures=figures, maps=maps, thinned=max((figure["drawn"] for figure in figures.values()), default=""),
        attribution=_attribution(run, summary), least=_least(summary), counts=_counts(events),
        event_tables=[_liquidations(events, share_class), _alerts(run), _rejects(events)],
        coverage=_coverage(manifest["coverage"]), config_yaml=result.config.to_yaml(),
        manifest_json=json.dumps(manifest, indent=2, ensure_ascii=False),
        summary_json=json.dumps(summary, indent=2, ensure_ascii=False),
    )  # fmt: skip


def write_report(result: "Result", path: "str | Path | None" = None, pdf: bool = False) -> Path:
    """Write the report as a page, or print it; by default into the run's folder.

    Raises
    ------
    InputError
        See `page.write_page` and `page.print_page`; also for a result in memory without a path.
    """
    if pdf:
        return page.print_page(make_report(result), result.folder / PDF if path is None else path)
    return page.write_page(make_report(result), result.folder / REPORT if path is None else path)


# --- figures ---------------------------------------------------------------------------------------------------------

_CAPTIONS = {
    "equity": "Worth of the book. Flows and liquidations are marked, critical alerts shaded.",
    "drawdown": "Growth of capital against its highest so far; flows do not count.",
    "monthly_returns": "Time-weighted. A month ends at 00:00 UTC of the first day of the next.",
    "area": "P&L since the start by cause: gains above zero, losses below, the line is their sum.",
    "waterfall": "From the equity at the start to that at the end.",
    "monthly": "P&L of each month by cause; the diamonds are the balance-based P&L.",
    "share": "What each cause earned or cost over the run, with its share of the P&L.",
    "funding": "Funding received and paid by venue, and the rates that were settled.",
    "exposure": "Worth of every instrument: what is owed hangs below zero, and all sum to the equity.",
    "positions": "Quantities after each row's fills, with their interest; what is short or owed is below zero.",
    "risk": "Measures of risk against their limits. Alerts are shaded; where there is no position there is no ratio.",
    "liquidation_distance": "How far prices had to move for a liquidation, from the book after each row's fills.",
    "liquidation_map": "The line is where the book is liquidated; the dot is the last row that had a position.",
}


def _figures(run: RunNumbers) -> dict[str, dict[str, Any]]:
    """Figures by name; of those that not every book has, the ones that hold something."""
    pictures = [
        prepare.equity(run), prepare.drawdown(run), causes.monthly_returns(run), prepare.attribution_area(run),
        prepare.waterfall(run), causes.monthly(run), causes.share(run), holdings.exposure(run),
        holdings.positions(run), prepare.risk(run),
    ]  # fmt: skip
    pictures += [picture for make in _OF_SOME for picture in (make(run),) if picture.panels]
    return {picture.name: page.drawn(picture, _CAPTIONS[picture.name], _height(picture)) for picture in pictures}


_OF_SOME = (causes.funding, distance.liquidation_distance)


def _height(picture: Picture) -> int:
    """Pixels of a figure of one panel."""
    panel = picture.panels[0] if picture.panels else None
    if panel is not None and panel.grid is not None:
        return 110 + 48 * len(panel.grid.y)
    if panel is not None and panel.stack is not None and panel.stack.lying:
        return 120 + 30 * len(panel.stack.categories)
    return {"drawdown": 320, "area": 420, "monthly": 420}.get(picture.name, 360)


# --- tables ----------------------------------------------------------------------------------------------------------


def _attribution(run: RunNumbers, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What each column earned, with its venues where it is known by venue; the sum, and the balance it must equal."""
    columns, drawn = totals(run.attribution), earned(run)
    # so many places that what is printed sums to the balance as closely as the numbers do
    least = 1e-9 * max(1.0, abs(run.initial_equity)) / max(len(columns), 1)
    places = max(theme.places(run.share_class), min(12, math.ceil(-math.log10(least))))
    pnl, capital = (float(run.pnl[-1]) if len(run) else 0.0), run.initial_equity
    total = float(np.sum(list(columns.values())))

    def line(value: float) -> dict[str, str]:
        return {
            "total": f"{round(value, places) + 0.0:+,.{places}f}",
            "of_pnl": percent(value / pnl) if run.counts(pnl) else "–",
            "of_capital": percent(value / capital) if capital > 0.0 else "–",
        }

    rows: list[dict[str, Any]] = []
    for name in drawn:
        words = theme.column(name)
        rows.append({"name": words.name, "column": name, "colour": words.colour, "part": False, **line(columns[name])})
        parts = {part: value for part, value in summary["attribution"].items() if part.startswith(f"{name}|")}
        for part, value in parts.items():
            rows.append({"name": f"at {part.partition('|')[2]}", "column": part, "part": True, **line(value)})
    return {
        "rows": rows,
        "empty": [theme.column(name).name for name in columns if name not in drawn],
        "sum": line(total),
        "balance": line(pnl),
        "difference": f"{total - pnl:.1e}" if total != pnl else "0",
    }


def _least(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(f"margin ratio at {venue}", percent(value)) for venue, value in summary["min_margin_ratio"].items()]
    if summary["min_health_factor"] is not None:
        found.append(("health factor", f"{summary['min_health_factor']:.4f}"))
    return found


def _counts(events: "Table") -> dict[str, Any]:
    """Number of events by kind and venue; decisions have no venue."""
    kinds, venues = events["kind"], events["venue"]
    named = sorted({venue for venue in venues if venue})
    rows = []
    for kind in sorted(set(kinds)):
        own = venues[kinds == kind]
        numbers = [f"{count:,}" if (count := int((own == venue).sum())) else "" for venue in named]
        rows.append((kind, numbers, f"{len(own):,}"))
    return {"venues": named, "rows": rows}


def _liquidations(events: "Table", share_class: str) -> EventTable:
    hit = np.flatnonzero(events["kind"] == "liquidation")
    names = ("timestamp", "venue", "instrument", "quantity", "price", "notional", "fee")
    columns = {name: events[name][hit[:_LISTED]] for name in names}
    rows = [
        # a lending token's price is no price of anything that trades
        (_instant(stamp), venue, instrument, f"{quantity:+,.6g}", "–" if "Token:" in instrument else f"{price:,.2f}",
         money(notional, share_class), money(fee, share_class))
        for stamp, venue, instrument, quantity, price, notional, fee in zip(*columns.values(), strict=True)
    ]  # fmt: skip
    head = ("time, UTC", "venue", "instrument", "quantity", "price, USDT", "notional", "penalty")
    return EventTable("Liquidations", head, rows, (3, 4, 5, 6), max(len(hit) - _LISTED, 0))


def _alerts(run: RunNumbers) -> EventTable:
    """Critical alerts by measure: how often, from when to when, and the worst value reported."""
    events = run.events
    hit = (events["kind"] == "alert") & (events["level"] == "critical")
    rows = []
    for measure in sorted(set(events["instrument"][hit])):
        own = hit & (events["instrument"] == measure)
        stamps, values = events["timestamp"][own], events["amount"][own]
        head = measure.partition("|")[0]
        worst = values.min() if head in LESS_IS_WORSE else values[np.abs(values).argmax()]
        limit = run.limits.get(measure)
        write = (lambda x: f"{x:.4f}") if head == "health_factor" else percent
        rows.append((
            in_words(measure), f"{own.sum():,}", _instant(stamps[0]), _instant(stamps[-1]), write(float(worst)),
            "–" if limit is None else write(limit[1]),
        ))  # fmt: skip
    head = ("measure", "times", "first, UTC", "last, UTC", "worst reported", "limit")
    return EventTable("Critical alerts", head, rows, (1, 4, 5))


def _rejects(events: "Table") -> EventTable:
    hit = events["kind"] == "reject"
    found = Counter(zip(events["detail"][hit], events["venue"][hit], strict=True))
    rows = [(reason, venue or "–", f"{count:,}") for (reason, venue), count in sorted(found.items())]
    return EventTable("Rejected orders by reason", ("reason", "venue", "times"), rows, (2,))


def _coverage(coverage: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str, bool]]:
    """Series, own share, share with stand-ins, and whether something had to stand in."""
    return [
        (series, _share(share["own"]), _share(share["resolved"]), share["own"] < share["resolved"])
        for series, share in sorted(coverage.items())
    ]


def _share(value: float) -> str:
    """A coverage in percent; only what is whole reads 100 %."""
    return "100%" if value == 1.0 else f"{min(value, 0.99999):.3%}"


def _instant(stamp: np.datetime64) -> str:
    return str(stamp.astype("M8[s]")).replace("T", " ").removesuffix(":00")
