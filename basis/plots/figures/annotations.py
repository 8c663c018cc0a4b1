"""Limits, alerts, liquidations, deposits and withdrawals, the stop of a run, and events, as marked on figures.

Imports numpy only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from basis.plots import theme
from basis.plots.data import LOWER_IS_WORSE, RunData
from basis.plots.figures.event_text import event_text, liquidation_text
from basis.plots.labels import format_minute, format_value, measure_label
from basis.plots.picture import Limit, Marks, Panel, Picture, Shade


def limit_lines(
    measure: str, warning_and_critical: tuple[float, float], kind: str, sign: float = 1.0
) -> tuple[Limit, ...]:
    """Lines at the warning and the critical limit. Their labels keep apart and leave the safe side free."""
    lower_is_worse = measure.partition("|")[0] in LOWER_IS_WORSE or sign < 0.0
    return tuple(
        Limit(
            theme.ALERT_LEVELS[level].name,
            sign * value,
            theme.ALERT_LEVELS[level].colour,
            f"{theme.ALERT_LEVELS[level].name} {format_value(value, kind)}",
            above=level == 1 or not lower_is_worse,
        )
        for level, value in zip((1, 2), warning_and_critical, strict=True)
    )


def alert_levels(run: RunData, measures: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """(rows,) highest alert level of each measure in each row, from the risk table and from the alert events."""
    named = [name[len("alert|") :] for name in run.risk if name.startswith("alert|")]
    found = {name: run.risk[f"alert|{name}"].copy() for name in named if measures is None or name in measures}
    events = run.events
    for level, label in theme.ALERT_LEVELS.items():
        hit = (events["kind"] == "alert") & (events["level"] == label.name)
        for name in set(events["instrument"][hit]) & set(found):
            own = hit & (events["instrument"] == name)
            rows = np.searchsorted(run.stamps, events["timestamp"][own])
            found[name][rows] = np.maximum(found[name][rows], level)
    return found


def alert_shades(run: RunData, measures: Sequence[str], wanted: Sequence[int]) -> tuple[Shade, ...]:
    """Periods in which any of the measures was at one of the levels `wanted`. A row lasts until the next one."""
    each = alert_levels(run, measures)
    if not each or not len(run):
        return ()
    worst = np.max(np.stack(list(each.values())), axis=0)
    found = []
    for level in wanted:
        within = np.concatenate(([False], worst == level, [False]))
        edges = np.flatnonzero(within[1:] != within[:-1])
        if len(edges):
            starts, ends = edges[::2], np.minimum(edges[1::2], len(run) - 1)
            found.append(Shade(level, run.stamps[starts], run.stamps[ends]))
    return tuple(found)


def critical_alerts(run: RunData, measures: Sequence[str]) -> tuple[Marks, ...]:
    """A mark for every critical alert, at the value that the alert reported."""
    events = run.events
    hit = (events["kind"] == "alert") & (events["level"] == "critical") & np.isin(events["instrument"], list(measures))
    if not hit.any():
        return ()
    stamps, values, texts = events["timestamp"][hit], events["amount"][hit], []
    for name, value in zip(events["instrument"][hit], values, strict=True):
        kind = "ratio" if name == "health_factor" else "percent"
        limit = run.limits.get(name)
        beyond = "" if limit is None else f", limit {format_value(limit[1], kind)}"
        texts.append(f"{measure_label(name)} critical: {format_value(value, kind)}{beyond}")
    return (Marks("became critical", "critical", stamps, values, _hover_texts(stamps, texts)),)


def liquidation_marks(run: RunData, line: np.ndarray | Mapping[str, np.ndarray]) -> tuple[Marks, ...]:
    """A mark for each liquidation on a line, or on the line of its venue. Those of one row and height share a mark."""
    events = run.events
    rows, values, sentences = [], [], []
    for event in np.flatnonzero(events["kind"] == "liquidation").tolist():
        own = line.get(str(events["venue"][event])) if isinstance(line, Mapping) else line
        if own is not None:
            row = int(np.searchsorted(run.stamps, events["timestamp"][event]))
            rows.append(row)
            values.append(float(own[row]) if np.isfinite(own[row]) else 0.0)
            sentences.append(liquidation_text(run, event))
    if not rows:
        return ()
    stamps = run.stamps[rows]
    hover_texts = _hover_texts(stamps, sentences)
    _, first = np.unique(np.column_stack([rows, values]), axis=0, return_index=True)
    first.sort()
    texts = tuple(hover_texts[at] for at in first)
    return (Marks("liquidation", "liquidation", stamps[first], np.array(values)[first], texts),)


def _hover_texts(stamps: np.ndarray, sentences: Sequence[str]) -> tuple[str, ...]:
    """Hover text of each mark: its instant, then every sentence of that instant, since only one mark is shown."""
    groups: dict[np.datetime64, list[str]] = {}
    for stamp, text in zip(stamps, sentences, strict=True):
        groups.setdefault(stamp, []).append(text)
    return tuple("\n".join((f"{format_minute(stamp)} UTC", *groups[stamp])) for stamp in stamps)


def flow_marks(run: RunData) -> Iterator[Marks]:
    """A mark for each deposit and withdrawal, in the row in which the cash moved."""
    for name, sign in (("deposit", 1.0), ("withdrawal", -1.0)):
        rows = np.flatnonzero(sign * run.net_flow > 0.0)
        if len(rows):
            sentences = [f"{name} of {run.money(sign * run.net_flow[row])}" for row in rows]
            yield Marks(name, name, run.stamps[rows], run.equity[rows], _hover_texts(run.stamps[rows], sentences))


def stop_mark(run: RunData, line: np.ndarray) -> tuple[Marks, ...]:
    """A mark where a run stopped itself, at the end of a line."""
    if run.cause is None or not len(run):
        return ()
    return (Marks("stopped", "stop", run.stamps[-1:], line[-1:], (f"the run stopped itself: {run.cause}",)),)


def with_event_marks(run: RunData, picture: Picture, kinds: Sequence[str]) -> Picture:
    """The picture with events of the given kinds marked on its top panel. Those of one kind and row share a mark.

    A kind that the panel marks already is not marked twice.
    """
    if not picture.panels or not picture.over_time:
        return picture
    panel, *others = picture.panels
    marked = {marks.kind for marks in panel.marks}
    marked |= {"flow"} if marked & {"deposit", "withdrawal"} else set()
    heights = _mark_heights(panel, len(run))
    found = [marks for kind in dict.fromkeys(kinds) if kind not in marked for marks in _event_marks(run, kind, heights)]
    return replace(picture, panels=(replace(panel, marks=(*panel.marks, *found)), *others))


def _mark_heights(panel: Panel, rows: int) -> np.ndarray:
    """(rows,) height of a mark: on the first line of the panel that has a value there, else at its lower edge."""
    found = np.full(rows, np.nan)
    for line in sorted(panel.lines, key=lambda line: line.faint):
        found = np.where(np.isfinite(found), found, line.values)
    return np.where(np.isfinite(found), found, 0.0 if panel.axis_range is None else panel.axis_range[0])


def _event_marks(run: RunData, kind: str, heights: np.ndarray) -> Iterator[Marks]:
    """The marks of one kind of event, one for each row that has some."""
    found = np.flatnonzero(run.events["kind"] == kind)
    if not len(found) or not len(run):
        return
    rows = np.minimum(np.searchsorted(run.stamps, run.events["timestamp"][found]), len(run) - 1)
    stamps = run.stamps[rows]
    texts = _hover_texts(stamps, [event_text(run, int(event)) for event in found])
    _, first = np.unique(rows, return_index=True)
    yield Marks(kind, kind, stamps[first], heights[rows[first]], tuple(texts[at] for at in first))
