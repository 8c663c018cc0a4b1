"""The report of a run, `report.html`: one page that needs no network. Imports numpy; jinja2 and plotly on use."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from basis.config.durations import format_duration
from basis.plots import theme
from basis.plots.data import LOWER_IS_WORSE, RunData
from basis.plots.figures import equity, funding, liquidation, pnl, positions, returns, risk
from basis.plots.figures.pnl import column_totals, cumulative_pnl
from basis.plots.labels import measure_label
from basis.plots.picture import Picture
from basis.reports import html_page, pdf
from basis.reports.formatting import day, format_stat, money, percent, stat_texts
from basis.reports.plot_data import run_data
from basis.results.folder import REPORT
from basis.results.run import Run
from basis.results.stats import STATS, make_stats
from basis.results.table import Table

#: Name of the printed report in the folder of its run.
PDF_REPORT = "report.pdf"
_HEADLINE = (
    "total_return", "cagr_365", "volatility_365", "sharpe_365", "sortino_365", "max_drawdown", "final_equity", "pnl",
    "costs", "funding_share", "fills", "liquidations",
)  # fmt: skip
#: A table of single events has at most so many rows.
_MAX_EVENT_ROWS = 200


class EventTable(NamedTuple):
    """A table of events.

    Attributes
    ----------
    right_aligned : Sequence[int]
        Numbers of the columns that are aligned to the right.
    omitted : int
        Number of rows that are left out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right_aligned: Sequence[int] = ()
    omitted: int = 0


def make_report(run: Run, manifest: Mapping[str, Any] | None = None) -> str:
    """The report as HTML.

    Parameters
    ----------
    manifest : Mapping[str, Any], optional
        Manifest of the folder that the report belongs to, which has hashes that the manifest of a run in memory lacks.
    """
    data, summary = run_data(run), run.summary
    manifest = run.manifest if manifest is None else manifest
    share_class, metrics = summary["share_class"], make_stats(summary, run.table("equity"))
    figures, events = _figures(data), run.table("events")
    maps = [
        html_page.page_figure(picture, _CAPTIONS["liquidation_map"], 420)
        for picture in liquidation.liquidation_maps(data)
    ]
    return html_page.render(
        "run_report.html.jinja", title=f"{summary['mode']}, {day(summary['start'])} to {day(summary['end'])} UTC",
        summary=summary, interval=format_duration(run.config.bar_interval), manifest=manifest,
        warnings=run.run_warnings, doubts=run.doubts, notes=run.data_notes,
        capital=money(summary["initial_equity"], share_class),
        headline=[(STATS[name].label, format_stat(name, metrics[name], share_class)) for name in _HEADLINE],
        metrics=list(zip((stat.label for stat in STATS.values()), stat_texts(run), strict=True)),
        figures=figures, maps=maps, rows_drawn=max((figure["rows_drawn"] for figure in figures.values()), default=""),
        attribution=_attribution(data, summary), lowest=_lowest_ratios(summary), counts=_counts(events),
        event_tables=[_liquidations(events, share_class), _alerts(data), _rejects(events)],
        coverage=_coverage(manifest["coverage"]), config_yaml=run.config.to_yaml(),
        manifest_json=json.dumps(manifest, indent=2, ensure_ascii=False),
        summary_json=json.dumps(summary, indent=2, ensure_ascii=False),
    )  # fmt: skip


def write_report(run: Run, path: "str | Path | None" = None, as_pdf: bool = False) -> Path:
    """Write the report as a page or a PDF, by default into the run's folder.

    Raises
    ------
    InputError
        As of `html_page.write_page` and `pdf.print_page`; also if no path is given for a run in memory.
    """
    if as_pdf:
        return pdf.print_page(make_report(run), run.folder / PDF_REPORT if path is None else path)
    return html_page.write_page(make_report(run), run.folder / REPORT if path is None else path)


# --- figures ---------------------------------------------------------------------------------------------------------

_CAPTIONS = {
    "equity": "Equity. Flows and liquidations are marked, critical alerts are shaded.",
    "drawdown": "Fall of the time-weighted growth from its highest value so far; flows do not count.",
    "monthly_returns": "Time-weighted. A month ends at 00:00 UTC of the first day of the next.",
    "area": "Cumulative P&L by cause: gains above zero, losses below; the line is their sum.",
    "waterfall": "From the equity at the start to the equity at the end.",
    "monthly": "P&L of each month by cause; the diamonds are the balance-based P&L.",
    "share": "Total of each cause over the run, with its share of the P&L.",
    "funding": "Funding received and paid by venue, and the rates that were settled.",
    "exposure": "Value of every instrument. Debts are below zero, and all values sum to the equity.",
    "positions": "Quantities after each row's fills, interest included. Shorts and debts are below zero.",
    "risk": "Risk measures against their limits. Alerts are shaded. Without a position there is no ratio.",
    "liquidation_distance": "Move of prices that would have led to a liquidation, after each row's fills.",
    "liquidation_map": "The line is the boundary of liquidation. The dot is the last row with a position.",
}


def _figures(data: RunData) -> dict[str, dict[str, Any]]:
    """Figures by name. Those that not every run has are included only if they show something."""
    pictures = [
        equity.equity(data), equity.drawdown(data), returns.monthly_returns(data), pnl.attribution_area(data),
        pnl.waterfall(data), pnl.monthly(data), pnl.share(data), positions.exposure(data),
        positions.positions(data), risk.risk(data),
    ]  # fmt: skip
    optional = (funding.funding(data), liquidation.liquidation_distance(data))
    pictures += [picture for picture in optional if picture.panels]
    return {
        picture.name: html_page.page_figure(picture, _CAPTIONS[picture.name], _height(picture)) for picture in pictures
    }


def _height(picture: Picture) -> int:
    """Height of a figure with one panel, pixels."""
    panel = picture.panels[0] if picture.panels else None
    if panel is not None and panel.heatmap is not None:
        return 110 + 48 * len(panel.heatmap.y)
    if panel is not None and panel.category_bars is not None and panel.category_bars.horizontal:
        return 120 + 30 * len(panel.category_bars.categories)
    return {"drawdown": 320, "area": 420, "monthly": 420}.get(picture.name, 360)


# --- tables ----------------------------------------------------------------------------------------------------------


def _attribution(data: RunData, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Total of each column and of its venues, their sum, and the balance-based P&L that it must equal."""
    columns, shown = column_totals(data.attribution), cumulative_pnl(data)
    # with so many decimals the printed totals sum to the balance as closely as the numbers do
    precision = 1e-9 * max(1.0, abs(data.initial_equity)) / max(len(columns), 1)
    decimals = max(theme.decimals(data.share_class), min(12, math.ceil(-math.log10(precision))))
    total_pnl, capital = (float(data.pnl[-1]) if len(data) else 0.0), data.initial_equity
    total = float(np.sum(list(columns.values())))

    def line(value: float) -> dict[str, str]:
        return {
            "total": f"{round(value, decimals) + 0.0:+,.{decimals}f}",
            "of_pnl": percent(value / total_pnl) if data.is_material(total_pnl) else "–",
            "of_capital": percent(value / capital) if capital > 0.0 else "–",
        }

    rows: list[dict[str, Any]] = []
    for name in shown:
        label = theme.column_label(name)
        rows.append({"name": label.name, "column": name, "colour": label.colour, "part": False, **line(columns[name])})
        parts = {part: value for part, value in summary["attribution"].items() if part.startswith(f"{name}|")}
        for part, value in parts.items():
            rows.append({"name": f"at {part.partition('|')[2]}", "column": part, "part": True, **line(value)})
    return {
        "rows": rows,
        "empty": [theme.column_label(name).name for name in columns if name not in shown],
        "sum": line(total),
        "balance": line(total_pnl),
        "difference": f"{total - total_pnl:.1e}" if total != total_pnl else "0",
    }


def _lowest_ratios(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lowest margin ratio of each venue and the lowest health factor of the run."""
    found = [(f"margin ratio at {venue}", percent(value)) for venue, value in summary["min_margin_ratio"].items()]
    if summary["min_health_factor"] is not None:
        found.append(("health factor", f"{summary['min_health_factor']:.4f}"))
    return found


def _counts(events: Table) -> dict[str, Any]:
    """Number of events by kind and venue. Decisions have no venue."""
    kinds, venues = events["kind"], events["venue"]
    named = sorted({venue for venue in venues if venue})
    rows = []
    for kind in sorted(set(kinds)):
        own = venues[kinds == kind]
        numbers = [f"{count:,}" if (count := int((own == venue).sum())) else "" for venue in named]
        rows.append((kind, numbers, f"{len(own):,}"))
    return {"venues": named, "rows": rows}


def _liquidations(events: Table, share_class: str) -> EventTable:
    """The liquidations one by one."""
    hit = np.flatnonzero(events["kind"] == "liquidation")
    names = ("timestamp", "venue", "instrument", "quantity", "price", "notional", "fee")
    columns = {name: events[name][hit[:_MAX_EVENT_ROWS]] for name in names}
    rows = [
        # a lending token is not traded: its price is an index
        (_instant(stamp), venue, instrument, f"{quantity:+,.6g}", "–" if "Token:" in instrument else f"{price:,.2f}",
         money(notional, share_class), money(fee, share_class))
        for stamp, venue, instrument, quantity, price, notional, fee in zip(*columns.values(), strict=True)
    ]  # fmt: skip
    head = ("time, UTC", "venue", "instrument", "quantity", "price, USDT", "notional", "penalty")
    return EventTable("Liquidations", head, rows, (3, 4, 5, 6), max(len(hit) - _MAX_EVENT_ROWS, 0))


def _alerts(data: RunData) -> EventTable:
    """Critical alerts by measure: number, first and last time, and the worst value that was reported."""
    events = data.events
    hit = (events["kind"] == "alert") & (events["level"] == "critical")
    rows = []
    for measure in sorted(set(events["instrument"][hit])):
        own = hit & (events["instrument"] == measure)
        stamps, values = events["timestamp"][own], events["amount"][own]
        head = measure.partition("|")[0]
        worst = values.min() if head in LOWER_IS_WORSE else values[np.abs(values).argmax()]
        limit = data.limits.get(measure)
        format_value = (lambda x: f"{x:.4f}") if head == "health_factor" else percent
        rows.append((
            measure_label(measure), f"{own.sum():,}", _instant(stamps[0]), _instant(stamps[-1]),
            format_value(float(worst)), "–" if limit is None else format_value(limit[1]),
        ))  # fmt: skip
    head = ("measure", "times", "first, UTC", "last, UTC", "worst reported", "limit")
    return EventTable("Critical alerts", head, rows, (1, 4, 5))


def _rejects(events: Table) -> EventTable:
    """Number of rejected orders by reason and venue."""
    hit = events["kind"] == "reject"
    found = Counter(zip(events["detail"][hit], events["venue"][hit], strict=True))
    rows = [(reason, venue or "–", f"{count:,}") for (reason, venue), count in sorted(found.items())]
    return EventTable("Rejected orders by reason", ("reason", "venue", "times"), rows, (2,))


def _coverage(coverage: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str, bool]]:
    """Series, share of its own source, share with fallback sources, and whether a fallback source was used."""
    return [
        (series, _share(share["own"]), _share(share["resolved"]), share["own"] < share["resolved"])
        for series, share in sorted(coverage.items())
    ]


def _share(value: float) -> str:
    """A coverage in percent; 100 % only if nothing is missing."""
    return "100%" if value == 1.0 else f"{min(value, 0.99999):.3%}"


def _instant(stamp: np.datetime64) -> str:
    """An instant to the second, without seconds that are zero."""
    return str(stamp.astype("M8[s]")).replace("T", " ").removesuffix(":00")
