"""Panels without a time axis as plotly's plain data: waterfalls, bars by category, heatmaps and tables.

Imports numpy only.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from basis.plots import theme
from basis.plots.picture import BarSeries, CategoryBars, Heatmap, Panel, TextTable, WaterfallStep

#: With more categories than this not every one is named under the axis.
_MAX_AXIS_NAMES = 12
#: More legend entries than this make the legend smaller.
_MANY_ENTRIES = 7


def draw_panel(panel: Panel, data: list[dict[str, Any]], layout: dict[str, Any]) -> bool:
    """Add the panel to `data` and `layout`. Returns whether the figure needs a legend."""
    if panel.text_table is not None:
        data.append(_text_table(panel.text_table))
        layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False, "domain": [0, 1]}}
        layout["margin"] |= {"l": 20, "b": 20}
        # the height follows the rows up to that of a screen; a longer table scrolls
        layout["height"] = min(130 + 26 * (len(panel.text_table.rows) + 1), 900)
        return False
    layout["yaxis"] = {"title": {"text": panel.title}, **_ticks(panel)}
    if panel.axis_range is not None:
        layout["yaxis"]["range"] = [*panel.axis_range]
    if panel.waterfall:
        _waterfall(panel, data, layout)
        return False
    if panel.heatmap is not None:
        _heatmap(panel.heatmap, data, layout)
        if panel.heatmap.cell_labels is not None:
            layout["height"] = 180 + 48 * len(panel.heatmap.y)
        return False
    assert panel.category_bars is not None  # noqa: S101 - for the type checker: a panel has one of them
    _category_bars(panel, panel.category_bars, data, layout)
    layout["legend"]["font"] = {"size": theme.FONT_SIZE - (2 if len(panel.category_bars.series) > _MANY_ENTRIES else 1)}
    if panel.category_bars.grouped:
        # room for a legend of runs, and for vertical names
        layout["height"] = 460
    return not panel.category_bars.horizontal


def _ticks(panel: Panel) -> dict[str, Any]:
    return {"tickformat": ",.6~%" if panel.kind == "percent" else ",.12~g"}


# --- waterfall -------------------------------------------------------------------------------------------------------


def _waterfall(panel: Panel, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """A waterfall: each bar begins where the one before it ended, with a thin line between them."""
    count = len(panel.waterfall)
    few = count <= 8
    size = theme.FONT_SIZE - (1 if count <= 7 else 3 if count <= 10 else 4 if count <= 15 else 5)
    data += [_step(step, panel, size) for step in panel.waterfall]
    connectors: list[tuple[Any, Any]] = []
    for step, after in pairwise(panel.waterfall):
        connectors += [(step.name, step.end), (after.name, step.end), (None, None)]
    data.append({
        "type": "scatter", "mode": "lines", "meta": {"key": "joints"}, "x": [x for x, _ in connectors],
        "y": [y for _, y in connectors], "line": {"color": theme.OTHER, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    })  # fmt: skip
    names = [step.name for step in panel.waterfall]
    layout["xaxis"] = {
        "type": "category",
        "tickvals": names,
        "ticktext": theme.axis_labels(names, "<br>"),
        **({"tickangle": 0} if few else {"autotickangles": [0, 90]}),
        "tickfont": {"size": theme.FONT_SIZE - (0 if few else 3)},
        # the label of the first bar is wider than the bar
        "range": [-0.6 if few else -0.8, count - (0.4 if few else 0.2)],
    }
    layout["bargap"] = 0.35
    for trace in data:
        trace["showlegend"] = False


def _step(step: WaterfallStep, panel: Panel, size: int) -> dict[str, Any]:
    """A bar of a waterfall; `size` is the font size of its label."""
    shown = f"{step.value:{'' if step.is_total else '+'},.{panel.decimals}f}"
    return {
        "type": "bar",
        "name": step.name,
        "meta": {"key": step.key},
        "x": [step.name],
        "y": [step.value],
        "base": [step.base],
        "marker": {"color": step.colour},
        "text": [step.label],
        "textposition": "outside",
        "constraintext": "none",
        "textangle": 0,
        "textfont": {"size": size},
        "cliponaxis": False,
        "hovertemplate": f"{step.name}: {shown} {panel.unit}<extra></extra>",
    }


# --- bars by category ------------------------------------------------------------------------------------------------


def _category_bars(panel: Panel, bars: CategoryBars, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """Bars by category, with totals as marks over them."""
    names = list(bars.categories)
    along: dict[str, Any] = {"type": "category", "categoryorder": "array", "categoryarray": names}
    if bars.horizontal:
        # the vertical axis begins at the bottom, the categories at the top
        along |= {"autorange": "reversed"}
        layout["xaxis"] = {
            "title": {"text": panel.title}, **_ticks(panel), "zeroline": True, "showgrid": True,
            "range": layout["yaxis"]["range"],
        }  # fmt: skip
        layout["yaxis"] = along | {"showgrid": False}
        layout["barmode"] = "overlay"
        layout["hovermode"] = "closest"
    else:
        # of many months only some have a name; columns always have theirs
        many = len(names) > _MAX_AXIS_NAMES
        step = -(-len(names) // _MAX_AXIS_NAMES) if not bars.grouped else 1
        along |= {"tickvals": names[::step], "ticktext": theme.axis_labels(names[::step], "<br>")}
        if many and bars.grouped:
            along |= {"autotickangles": [0, 90], "tickfont": {"size": theme.FONT_SIZE - 3}}
        else:
            along |= {"tickangle": 0}
        layout["xaxis"] = along
        layout["barmode"] = "group" if bars.grouped else "relative"
        layout["hovermode"] = "x unified"
    layout["bargap"] = 0.3
    data += [_series(series, bars) for series in bars.series]
    if bars.totals is not None:
        data.append(_totals(bars.totals, bars))


def _series(series: BarSeries, bars: CategoryBars) -> dict[str, Any]:
    """The bars of one series, without those that have no value."""
    valid = np.flatnonzero(np.isfinite(series.values))
    names, values = [bars.categories[at] for at in valid], series.values[valid]
    trace = {
        "type": "bar",
        "name": series.name,
        "meta": {"key": series.key},
        "legendgroup": series.key,
        "x": values if bars.horizontal else names,
        "y": names if bars.horizontal else values,
        "marker": {"color": series.colour},
        "hovertext": [series.hover_texts[at] for at in valid],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "cliponaxis": False,
    }
    if bars.horizontal:
        trace |= {"orientation": "h", "showlegend": False}
    if series.bar_labels:
        trace |= {"text": [series.bar_labels[at] for at in valid], "textposition": "outside", "constraintext": "none"}
        trace["textfont"] = {"size": theme.FONT_SIZE - 2}
    return trace


def _totals(totals: BarSeries, bars: CategoryBars) -> dict[str, Any]:
    """The totals of the categories as marks."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": totals.name,
        "meta": {"key": totals.key, "ink": True},
        "legendgroup": totals.key,
        "x": list(bars.categories),
        "y": totals.values,
        "marker": {"symbol": "diamond", "size": 8, "color": theme.LIGHT.ink, "line": {"width": 1, "color": "#ffffff"}},
        "hovertext": list(totals.hover_texts),
        "hovertemplate": "<b>%{hovertext}</b><extra></extra>",
        "cliponaxis": False,
    }


# --- heatmaps --------------------------------------------------------------------------------------------------------


def _heatmap(heatmap: Heatmap, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """A heatmap: a coloured table if its axes have names, else a map over two quantities."""
    is_table = heatmap.x.dtype.kind == "U"
    data.append({
        "type": "heatmap",
        "meta": {"key": "grid"},
        "x": heatmap.x.tolist() if is_table else heatmap.x,
        "y": heatmap.y.tolist() if is_table else heatmap.y,
        "z": heatmap.values,
        "zmin": heatmap.centre - heatmap.half_range,
        "zmax": heatmap.centre + heatmap.half_range,
        "zmid": heatmap.centre,
        "colorscale": [*zip((0.0, 0.5, 1.0), theme.LIGHT_HEATMAP if is_table else theme.HEATMAP, strict=True)],
        # a table has its numbers in its cells
        "showscale": not is_table,
        "colorbar": {
            "thickness": 12, "outlinewidth": 0,
            "tickformat": ",.6~%" if heatmap.scale_title.endswith("%") else ",.6~g",
            "nticks": 6,
        },
        "hovertemplate": heatmap.hover_template.replace("{", "%{") + "<extra></extra>",
        "hoverongaps": False,
        "xgap": 2 if is_table else 0,
        "ygap": 2 if is_table else 0,
    })  # fmt: skip
    if is_table:
        _table_of_colours(heatmap, data, layout)
    else:
        _map(heatmap, data, layout)


def _table_of_colours(heatmap: Heatmap, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """Axes and cell labels of a coloured table, whose trace is the last of `data`."""
    layout["xaxis"] = {"type": "category", "showline": False, "ticks": ""}
    layout["yaxis"] = {"type": "category", "autorange": "reversed", "showgrid": False, "ticks": ""}
    layout["margin"] |= {"b": 40}
    labels = heatmap.cell_labels
    if labels is None:
        return
    data[-1] |= {
        "text": labels.tolist(), "texttemplate": "%{text}",
        "textfont": {"size": theme.FONT_SIZE - 2, "color": theme.LIGHT.ink},
    }  # fmt: skip
    # plotly writes no label into a cell without a value
    layout["annotations"] += [
        {"x": str(heatmap.x[column]), "y": str(heatmap.y[row]), "text": labels[row, column], "showarrow": False}
        for row, column in np.argwhere((labels != "") & ~np.isfinite(heatmap.values))
    ]


def _map(heatmap: Heatmap, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """Axes, boundary and points of a map over two quantities."""
    x, y = heatmap.x, heatmap.y
    layout["hovermode"] = "closest"
    layout["xaxis"] = {
        "title": {"text": heatmap.x_title}, "tickformat": ",.6~%", "range": [x[0], x[-1]], "zeroline": True,
    }  # fmt: skip
    layout["yaxis"] = {
        "title": {"text": heatmap.y_title}, "tickformat": ",.6~%", "range": [y[0], y[-1]], "showgrid": False,
    }  # fmt: skip
    # the colours of a map are light on a dark page too
    ink = theme.LIGHT.ink
    if heatmap.boundary is not None:
        data.append({
            "type": "scatter", "mode": "lines", "name": heatmap.boundary_name, "meta": {"key": "edge"},
            "x": heatmap.boundary[0], "y": heatmap.boundary[1], "line": {"color": ink, "width": 2},
            "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
        inside = np.flatnonzero(np.isfinite(heatmap.boundary).all(axis=0))
        if len(inside):
            layout["annotations"].append(_boundary_label(heatmap, inside))
    for point in heatmap.points:
        data.append({
            "type": "scatter", "mode": "markers", "name": point.name, "meta": {"key": "point"}, "x": [point.x],
            "y": [point.y], "text": [point.hover_text], "hovertemplate": "%{text}<extra></extra>", "showlegend": False,
            "marker": {"symbol": "circle", "size": 11, "color": theme.WARNING, "line": {"width": 1.5, "color": ink}},
        })  # fmt: skip
        # the label goes on the side of the point that is away from the boundary
        left = _boundary_at(heatmap, point.y) > point.x
        layout["annotations"].append({
            "x": point.x, "y": point.y, "text": point.name, "showarrow": False, "xanchor": "right" if left else "left",
            "xshift": -10 if left else 10, "yshift": 13, "font": {"color": ink, "size": theme.FONT_SIZE - 1},
            "bgcolor": theme.with_opacity("#ffffff", 0.6),
        })  # fmt: skip


def _boundary_at(heatmap: Heatmap, y: float) -> float:
    """x of the boundary at the height nearest to `y`; minus infinity if the map has no boundary."""
    boundary = (
        np.empty((2, 0)) if heatmap.boundary is None else heatmap.boundary[:, np.isfinite(heatmap.boundary).all(axis=0)]
    )
    return float(boundary[0, np.abs(boundary[1] - y).argmin()]) if boundary.size else -np.inf


def _boundary_label(heatmap: Heatmap, inside: np.ndarray) -> dict[str, Any]:
    """The name of the boundary, on its liquidated side, at a height with room. `inside` are its points on the map."""
    assert heatmap.boundary is not None  # noqa: S101 - for the type checker: it has points inside
    up = heatmap.boundary[1, inside] / heatmap.y[-1]
    has_room = (up > 0.2) & (up < 0.9)
    inside = inside[has_room] if has_room.any() else inside
    x = heatmap.boundary[0, inside]
    middle = np.argmin(np.abs(heatmap.values[len(heatmap.y) // 2] - heatmap.centre))
    row = heatmap.values[len(heatmap.y) // 2]
    liquidated_left = bool(row[max(middle - 3, 0)] < row[min(middle + 3, len(row) - 1)])
    along = (x - heatmap.x[0]) / (heatmap.x[-1] - heatmap.x[0])
    at = inside[np.abs(along - (0.6 if liquidated_left else 0.4)).argmin()]
    return {
        "x": float(heatmap.boundary[0, at]), "y": float(heatmap.boundary[1, at]), "text": heatmap.boundary_name,
        "showarrow": False, "xanchor": "right" if liquidated_left else "left", "xshift": -8 if liquidated_left else 8,
        "font": {"color": theme.LIGHT.ink, "size": theme.FONT_SIZE - 1}, "bgcolor": theme.with_opacity("#ffffff", 0.6),
    }  # fmt: skip


# --- tables ----------------------------------------------------------------------------------------------------------


def _text_table(table: TextTable) -> dict[str, Any]:
    """A table of texts."""
    columns = [list(column) for column in zip(*table.rows, strict=True)]
    # lines break between words, so the longest word sets the width
    widths = [max(len(word) for text in column for word in (text.split() or [""])) for column in columns]
    return {
        "type": "table",
        "meta": {"key": "cells"},
        "columnwidth": [max(letters, len(name) + 2) + 3 for letters, name in zip(widths, table.columns, strict=False)],
        "header": {
            "values": [f"<b>{name}</b>" for name in table.columns], "align": "left",
            "fill": {"color": theme.LIGHT.grid},
            "font": {"color": theme.LIGHT.ink, "size": theme.FONT_SIZE - 1}, "line": {"color": theme.LIGHT.grid},
        },
        "cells": {
            "values": columns, "align": "left", "fill": {"color": theme.LIGHT.paper}, "height": 24,
            "font": {"color": theme.LIGHT.ink, "size": theme.FONT_SIZE - 1}, "line": {"color": theme.LIGHT.grid},
        },
    }  # fmt: skip
