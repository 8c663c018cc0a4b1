"""Runs side by side on one page that needs no network. Takes a `Comparison`; imports numpy, the rest on use."""

from typing import TYPE_CHECKING, Any

from basis.plots import comparison as pictures
from basis.plots import theme
from basis.results import page
from basis.results.card import day
from basis.results.stats import money, percent

if TYPE_CHECKING:
    from basis.results.comparison import Comparison

_CAPTIONS = {
    "overview": "Time-weighted; flows do not count. A run has no line outside its window.",
    "attribution": "What each cause earned or cost, as a share of the equity at the start of the run.",
}


def make_page(comparison: "Comparison") -> str:
    """The page as HTML."""
    runs = comparison.plot.runs
    heights = {"attribution": 420}
    figures = {
        picture.name: page.drawn(picture, _CAPTIONS[picture.name], heights.get(picture.name, 360))
        for picture in (pictures.overview(runs), pictures.attribution(runs))
    }
    names = list(comparison.results)
    return page.render(
        "comparison.html.jinja", title=f"Comparison: {', '.join(names)}", names=names,
        colours=theme.in_order(names, theme.RUNS), runs=run_rows(comparison), stats=stats_rows(comparison),
        attribution=attribution_rows(comparison), differences=comparison.plot.rows, notes=comparison.notes,
        figures=figures,
    )  # fmt: skip


def tables(comparison: "Comparison") -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Head and rows of each table, for a terminal; the last is left out where the configurations are the same."""
    names = tuple(comparison.results)
    found: list[tuple[tuple[str, ...], list[tuple[str, ...]]]] = [
        (("run", "id", "window, UTC", "rows", "status"), [*run_rows(comparison)]),
        (("metric", *names), stats_rows(comparison)),
        (("P&L by cause", *names), attribution_rows(comparison)),
        (("configuration", *names), [*comparison.plot.rows]),
    ]
    return [(head, rows) for head, rows in found if rows]


def run_rows(comparison: "Comparison") -> list[tuple[str, str, str, str, str]]:
    """Name, id, window, rows and status of each run."""
    found = []
    for name, result in comparison.results.items():
        summary = result.summary
        window = f"{day(summary['start'])} to {day(summary['end'])}"
        found.append((name, result.run_id, window, f"{summary['rows']:,}", result.status))
    return found


def stats_rows(comparison: "Comparison") -> list[tuple[str, ...]]:
    """Each metric in words, and of every run."""
    return [(str(label), *map(str, row)) for label, row in zip(*_parts(comparison.formatted), strict=True)]


def attribution_rows(comparison: "Comparison") -> list[tuple[str, ...]]:
    """Each column that a run earned something in: its total in every run, and of the capital; the sum below."""
    classes = comparison.share_classes.values()
    found = []
    for column, totals in zip(*_parts(comparison.attribution), strict=True):
        if any(run.counts(total) for run, total in zip(comparison.plot.runs.values(), totals, strict=True)):
            told = zip(totals, comparison.contribution.loc[column], classes, strict=True)
            found.append((theme.column(column).name, *(_amount(*each) for each in told)))
    sums = zip(comparison.attribution.sum(), comparison.contribution.sum(), classes, strict=True)
    return [*found, ("sum of the columns", *(_amount(*each) for each in sums))]


def _amount(total: float, share: float, share_class: str) -> str:
    return f"{money(total, share_class)} ({percent(share)})" if total else "–"


def _parts(frame: Any) -> tuple[list[Any], list[list[Any]]]:
    return list(frame.index), frame.to_numpy().tolist()
