"""The tables of a comparison as texts, for a notebook, a report and a terminal. pandas is imported on use."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from basis.plots import theme
from basis.reports.formatting import day, format_stat, money, percent
from basis.results.comparison import RunComparison
from basis.results.stats import STATS, make_stats
from basis.texts import for_page

if TYPE_CHECKING:
    import pandas as pd

#: Totals below this share of the equity at the start are rounding errors and not shown.
_ROUNDING = 1e-9
#: A configuration value is cut to so many letters.
_MAX_LETTERS = 44


def formatted_stats(comparison: RunComparison) -> "pd.DataFrame":
    """The metrics of each run as texts with units, by their labels."""
    import pandas as pd

    columns = {}
    for name, run in comparison.results.items():
        stats, share_class = make_stats(run.summary, run.table("equity")), run.summary["share_class"]
        columns[name] = {STATS[stat].label: format_stat(stat, value, share_class) for stat, value in stats.items()}
    return pd.DataFrame(columns, index=[stat.label for stat in STATS.values()])


def notes(comparison: RunComparison) -> list[str]:
    """What a reader should know before comparing the runs, one sentence each."""
    runs, share_classes = comparison.results, comparison.share_classes
    found = [f"{name}: {warning}" for name, run in runs.items() for warning in run.run_warnings]
    if len(set(share_classes.values())) > 1:
        each = ", ".join(f"{name} in {share_class}" for name, share_class in share_classes.items())
        found.insert(0, f"Returns and money are in the share class of each run: {each}.")
    if len({(run.summary["start"], run.summary["end"]) for run in runs.values()}) > 1:
        each = ", ".join(f"{name} {day(r.summary['start'])} to {day(r.summary['end'])}" for name, r in runs.items())
        found.append(f"The runs have different windows: {each}.")
    return found


def run_rows(comparison: RunComparison) -> list[tuple[str, ...]]:
    """Name, id, window, number of rows and status of each run."""
    found = []
    for name, run in comparison.results.items():
        summary = run.summary
        window = f"{day(summary['start'])} to {day(summary['end'])}"
        found.append((name, run.run_id, window, f"{summary['rows']:,}", run.status))
    return found


def stats_rows(comparison: RunComparison) -> list[tuple[str, ...]]:
    """Label of each metric and its value in every run."""
    frame = formatted_stats(comparison)
    return [(str(label), *map(str, values)) for label, values in zip(frame.index, frame.to_numpy(), strict=True)]


def attribution_rows(comparison: RunComparison) -> list[tuple[str, ...]]:
    """Each column that is material in some run: its total in every run, and as a share of the capital; then the sum."""
    totals, shares, classes = comparison.attribution, comparison.contribution, comparison.share_classes.values()
    smallest = [_ROUNDING * max(1.0, abs(run.summary["initial_equity"])) for run in comparison.results.values()]
    found = []
    for column in totals.index:
        amounts = totals.loc[column].tolist()
        if any(abs(amount) > least for amount, least in zip(amounts, smallest, strict=True)):
            found.append((theme.column_label(column).name, *map(_amount, amounts, shares.loc[column], classes)))
    return [*found, ("sum of the columns", *map(_amount, totals.sum(), shares.sum(), classes))]


def config_rows(comparison: RunComparison) -> list[tuple[str, ...]]:
    """Each configuration key that differs, and its value in every run."""
    config = comparison.config
    return [
        (str(key), *map(short_value, values))
        for key, values in zip(config.index, config.to_numpy().tolist(), strict=True)
    ]


def terminal_tables(comparison: RunComparison) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Header and rows of each table for a terminal. The last is left out if the configurations are the same."""
    names = tuple(comparison.results)
    found = [
        (("run", "id", "window, UTC", "rows", "status"), run_rows(comparison)),
        (("metric", *names), stats_rows(comparison)),
        (("P&L by cause", *names), attribution_rows(comparison)),
        (("configuration", *names), config_rows(comparison)),
    ]
    return [(header, rows) for header, rows in found if rows]


def notebook_html(comparison: RunComparison) -> str:
    """The tables as HTML for a notebook, side by side, with the notes below."""

    shares = comparison.contribution.map(lambda share: percent(share) if abs(share) >= _ROUNDING else "")
    shares = shares[(shares != "").any(axis=1)]
    tables = {
        "": formatted_stats(comparison),
        "P&L by cause, of the equity at start": shares,
        "Configuration keys that differ": comparison.config.map(short_value),
    }
    style = "style='display:inline-block;vertical-align:top;margin:0 28px 12px 0'"
    html = "".join(
        f"<div {style}><div style='opacity:0.7;font-size:85%'>{for_page(title)}</div>"
        f"{table.rename_axis(None).to_html(border=0)}</div>"
        for title, table in tables.items()
        if len(table)
    )
    items = "".join(f"<li>{for_page(note)}</li>" for note in notes(comparison))
    return f"<div>{html}" + (f"<ul style='font-size:90%'>{items}</ul>" if items else "") + "</div>"


def short_value(value: Any) -> str:
    """A configuration value as a text that fits into a table."""
    text = _value_text(value)
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 1]}…"


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value_text(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value_text, value))
    return "none" if value is None else str(value)


def _amount(total: float, share: float, share_class: str) -> str:
    """A total and its share of the equity at the start."""
    return f"{money(total, share_class)} ({percent(share)})" if total else "–"
