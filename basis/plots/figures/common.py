"""Making a picture of the panels of a run, shared by all figures. Imports numpy only."""

from collections.abc import Sequence
from dataclasses import replace

from basis.plots.data import RunData
from basis.plots.picture import Panel, Picture

#: Note of a figure whose panels hold no finite value.
NO_VALUES = "There are no values to draw."


def make_picture(
    run: RunData, name: str, title: str, unit: str, *panels: Panel, note: str = "", needs_rows: bool = True
) -> Picture:
    """A picture of the panels that have something to show. A run without rows has an empty one, if it `needs_rows`."""
    if not len(run) and needs_rows:
        panels, note = (), "The run has no rows."
    shown = visible_panels(panels)
    return Picture(name, title, run.name, unit, run.stamps, shown, note if shown or not panels else NO_VALUES)


def visible_panels(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The panels that have a value to show. A constant value is shown in the middle of its axis."""
    return tuple(_with_axis_range(panel) for panel in panels if not panel.over_time or panel.value_range is not None)


def _with_axis_range(panel: Panel) -> Panel:
    if not panel.over_time or panel.axis_range is not None or panel.value_range is None:
        return panel
    low, high = panel.value_range
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return panel
    margin = 0.05 * abs(low) or (0.01 if panel.kind == "percent" else 1.0)
    return replace(panel, axis_range=(low - margin, low + margin))
