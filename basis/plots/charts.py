"""Panels that stand on no axis of time, for plotly as plain data: bars, maps and tables. Imports numpy only."""

from itertools import pairwise
from typing import Any

import numpy as np

from basis.plots import theme
from basis.plots.pictures import Bar, Cells, Grid, Panel, Part, Stack

#: With more categories than this not every one is named under the axis.
_NAMED = 12
#: More entries than this make a legend smaller.
_MANY = 7


def draw(panel: Panel, data: list[dict[str, Any]], layout: dict[str, Any]) -> bool:
    """Put the one panel of a picture into a figure; returns whether a legend helps."""
    if panel.cells is not None:
        data.append(_table(panel.cells))
        layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False, "domain": [0, 1]}}
        layout["margin"] |= {"l": 20, "b": 20}
        # as high as its rows, within what a screen shows: a longer one scrolls
        layout["height"] = min(130 + 26 * (len(panel.cells.rows) + 1), 900)
        return False
    layout["yaxis"] = {"title": {"text": panel.title}, **_ticks(panel)}
    if panel.window is not None:
        layout["yaxis"]["range"] = [*panel.window]
    if panel.bars:
        _bars(panel, data, layout)
        return False
    if panel.grid is not None:
        _grid(panel.grid, data, layout)
        if panel.grid.labels is not None:
            layout["height"] = 180 + 48 * len(panel.grid.y)
        return False
    assert panel.stack is not None
    _stack(panel, panel.stack, data, layout)
    layout["legend"]["font"] = {"size": theme.FONT_SIZE - (2 if len(panel.stack.parts) > _MANY else 1)}
    if panel.stack.grouped:
        # room for a legend of runs, and for many names at an angle
        layout["height"] = 460
    return not panel.stack.lying


def _ticks(panel: Panel) -> dict[str, Any]:
    return {"tickformat": ",.6~%" if panel.kind == "percent" else ",.12~g"}


# --- steps -----------------------------------------------------------------------------------------------------------


def _bars(panel: Panel, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """A step per bar, each standing where the one before ended, and a thin line between them."""
    count = len(panel.bars)
    few = count <= 8
    size = theme.FONT_SIZE - (1 if count <= 7 else 3 if count <= 10 else 4 if count <= 15 else 5)
    data += [_bar(bar, panel, size) for bar in panel.bars]
    joints: list[tuple[Any, Any]] = []
    for bar, after in pairwise(panel.bars):
        joints += [(bar.name, bar.end), (after.name, bar.end), (None, None)]
    data.append({
        "type": "scatter", "mode": "lines", "meta": {"key": "joints"}, "x": [x for x, _ in joints],
        "y": [y for _, y in joints], "line": {"color": theme.OTHER, "width": 1, "dash": "dot"}, "hoverinfo": "skip",
    })  # fmt: skip
    names = [bar.name for bar in panel.bars]
    layout["xaxis"] = {
        "type": "category",
        "tickvals": names,
        "ticktext": theme.under_axis(names, "<br>"),
        **({"tickangle": 0} if few else {"autotickangles": [0, 90]}),
        "tickfont": {"size": theme.FONT_SIZE - (0 if few else 3)},
        # the words of the first bar are wider than it is
        "range": [-0.6 if few else -0.8, count - (0.4 if few else 0.2)],
    }
    layout["bargap"] = 0.35
    for trace in data:
        trace["showlegend"] = False


def _bar(bar: Bar, panel: Panel, size: int) -> dict[str, Any]:
    shown = f"{bar.value:{'' if bar.level else '+'},.{panel.places}f}"
    return {
        "type": "bar",
        "name": bar.name,
        "meta": {"key": bar.key},
        "x": [bar.name],
        "y": [bar.value],
        "base": [bar.base],
        "marker": {"color": bar.colour},
        "text": [bar.words],
        "textposition": "outside",
        "constraintext": "none",
        "textangle": 0,
        "textfont": {"size": size},
        "cliponaxis": False,
        "hovertemplate": f"{bar.name}: {shown} {panel.unit}<extra></extra>",
    }


# --- stacks ----------------------------------------------------------------------------------------------------------


def _stack(panel: Panel, stack: Stack, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    names = list(stack.categories)
    along: dict[str, Any] = {"type": "category", "categoryorder": "array", "categoryarray": names}
    if stack.lying:
        # the axis of categories begins below
        along |= {"autorange": "reversed"}
        layout["xaxis"] = {
            "title": {"text": panel.title}, **_ticks(panel), "zeroline": True, "showgrid": True,
            "range": layout["yaxis"]["range"],
        }  # fmt: skip
        layout["yaxis"] = along | {"showgrid": False}
        layout["barmode"] = "overlay"
        layout["hovermode"] = "closest"
    else:
        # of many months some have a name; of causes every one
        many = len(names) > _NAMED
        step = -(-len(names) // _NAMED) if not stack.grouped else 1
        along |= {"tickvals": names[::step], "ticktext": theme.under_axis(names[::step], "<br>")}
        if many and stack.grouped:
            along |= {"autotickangles": [0, 90], "tickfont": {"size": theme.FONT_SIZE - 3}}
        else:
            along |= {"tickangle": 0}
        layout["xaxis"] = along
        layout["barmode"] = "group" if stack.grouped else "relative"
        layout["hovermode"] = "x unified"
    layout["bargap"] = 0.3
    data += [_part(part, stack) for part in stack.parts]
    if stack.totals is not None:
        data.append(_totals(stack.totals, stack))


def _part(part: Part, stack: Stack) -> dict[str, Any]:
    there = np.flatnonzero(np.isfinite(part.values))
    names, values = [stack.categories[at] for at in there], part.values[there]
    trace = {
        "type": "bar",
        "name": part.name,
        "meta": {"key": part.key},
        "legendgroup": part.key,
        "x": values if stack.lying else names,
        "y": names if stack.lying else values,
        "marker": {"color": part.colour},
        "hovertext": [part.words[at] for at in there],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "cliponaxis": False,
    }
    if stack.lying:
        trace |= {"orientation": "h", "showlegend": False}
    if part.labels:
        trace |= {"text": [part.labels[at] for at in there], "textposition": "outside", "constraintext": "none"}
        trace["textfont"] = {"size": theme.FONT_SIZE - 2}
    return trace


def _totals(part: Part, stack: Stack) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": part.name,
        "meta": {"key": part.key, "ink": True},
        "legendgroup": part.key,
        "x": list(stack.categories),
        "y": part.values,
        "marker": {"symbol": "diamond", "size": 8, "color": theme.LIGHT.ink, "line": {"width": 1, "color": "#ffffff"}},
        "hovertext": list(part.words),
        "hovertemplate": "<b>%{hovertext}</b><extra></extra>",
        "cliponaxis": False,
    }


# --- maps ------------------------------------------------------------------------------------------------------------


def _grid(grid: Grid, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    named = grid.x.dtype.kind == "U"
    data.append({
        "type": "heatmap",
        "meta": {"key": "grid"},
        "x": grid.x.tolist() if named else grid.x,
        "y": grid.y.tolist() if named else grid.y,
        "z": grid.values,
        "zmin": grid.middle - grid.reach,
        "zmax": grid.middle + grid.reach,
        "zmid": grid.middle,
        "colorscale": [*zip((0.0, 0.5, 1.0), theme.LIGHT_MAP if named else theme.MAP, strict=True)],
        # a table has its numbers in its cells
        "showscale": not named,
        "colorbar": {
            "thickness": 12, "outlinewidth": 0, "tickformat": ",.6~%" if grid.scale.endswith("%") else ",.6~g",
            "nticks": 6,
        },
        "hovertemplate": grid.words.replace("{", "%{") + "<extra></extra>",
        "hoverongaps": False,
        "xgap": 2 if named else 0,
        "ygap": 2 if named else 0,
    })  # fmt: skip
    if named:
        layout["xaxis"] = {"type": "category", "showline": False, "ticks": ""}
        layout["yaxis"] = {"type": "category", "autorange": "reversed", "showgrid": False, "ticks": ""}
        layout["margin"] |= {"b": 40}
        if grid.labels is not None:
            data[-1] |= {
                "text": grid.labels.tolist(), "texttemplate": "%{text}",
                "textfont": {"size": theme.FONT_SIZE - 2, "color": theme.LIGHT.ink},
            }  # fmt: skip
            # a cell without a value has no words of its own
            layout["annotations"] += [
                {"x": str(grid.x[column]), "y": str(grid.y[row]), "text": grid.labels[row, column], "showarrow": False}
                for row, column in np.argwhere((grid.labels != "") & ~np.isfinite(grid.values))
            ]
        return
    layout["hovermode"] = "closest"
    layout["xaxis"] = {
        "title": {"text": grid.x_title}, "tickformat": ",.6~%", "range": [grid.x[0], grid.x[-1]], "zeroline": True,
    }  # fmt: skip
    layout["yaxis"] = {
        "title": {"text": grid.y_title}, "tickformat": ",.6~%", "range": [grid.y[0], grid.y[-1]], "showgrid": False,
    }  # fmt: skip
    # the ground of a map is light on a dark page too
    ink = theme.LIGHT.ink
    if grid.edge is not None:
        data.append({
            "type": "scatter", "mode": "lines", "name": grid.edge_name, "meta": {"key": "edge"}, "x": grid.edge[0],
            "y": grid.edge[1], "line": {"color": ink, "width": 2}, "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
        there = np.flatnonzero(np.isfinite(grid.edge).all(axis=0))
        if len(there):
            layout["annotations"].append(_edge_words(grid, there))
    for point in grid.points:
        data.append({
            "type": "scatter", "mode": "markers", "name": point.name, "meta": {"key": "point"}, "x": [point.x],
            "y": [point.y], "text": [point.words], "hovertemplate": "%{text}<extra></extra>", "showlegend": False,
            "marker": {"symbol": "circle", "size": 11, "color": theme.WARNING, "line": {"width": 1.5, "color": ink}},
        })  # fmt: skip
        # its name stands on the side that the line is not on
        left = _line_at(grid, point.y) > point.x
        layout["annotations"].append({
            "x": point.x, "y": point.y, "text": point.name, "showarrow": False, "xanchor": "right" if left else "left",
            "xshift": -10 if left else 10, "yshift": 13, "font": {"color": ink, "size": theme.FONT_SIZE - 1},
            "bgcolor": theme.faded("#ffffff", 0.6),
        })  # fmt: skip


def _line_at(grid: Grid, y: float) -> float:
    """Where the line of a map is at the height that is nearest to this one; minus infinity where there is no line."""
    there = np.empty((2, 0)) if grid.edge is None else grid.edge[:, np.isfinite(grid.edge).all(axis=0)]
    return float(there[0, np.abs(there[1] - y).argmin()]) if there.size else -np.inf


def _edge_words(grid: Grid, there: np.ndarray) -> dict[str, Any]:
    """The name of the line, on the side where all is lost, where that side has room."""
    assert grid.edge is not None
    up = grid.edge[1, there] / grid.y[-1]
    there = there[(up > 0.2) & (up < 0.9)] if ((up > 0.2) & (up < 0.9)).any() else there
    x = grid.edge[0, there]
    middle = np.argmin(np.abs(grid.values[len(grid.y) // 2] - grid.middle))
    row = grid.values[len(grid.y) // 2]
    lost_left = bool(row[max(middle - 3, 0)] < row[min(middle + 3, len(row) - 1)])
    along = (x - grid.x[0]) / (grid.x[-1] - grid.x[0])
    at = there[np.abs(along - (0.6 if lost_left else 0.4)).argmin()]
    return {
        "x": float(grid.edge[0, at]), "y": float(grid.edge[1, at]), "text": grid.edge_name, "showarrow": False,
        "xanchor": "right" if lost_left else "left", "xshift": -8 if lost_left else 8,
        "font": {"color": theme.LIGHT.ink, "size": theme.FONT_SIZE - 1}, "bgcolor": theme.faded("#ffffff", 0.6),
    }  # fmt: skip


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(cells: Cells) -> dict[str, Any]:
    columns = [list(column) for column in zip(*cells.rows, strict=True)]
    # a cell breaks between words: what is wide is its longest
    wide = [max(len(word) for text in column for word in (text.split() or [""])) for column in columns]
    return {
        "type": "table",
        "meta": {"key": "cells"},
        "columnwidth": [max(letters, len(name) + 2) + 3 for letters, name in zip(wide, cells.columns, strict=False)],
        "header": {
            "values": [f"<b>{name}</b>" for name in cells.columns], "align": "left",
            "fill": {"color": theme.LIGHT.grid},
            "font": {"color": theme.LIGHT.ink, "size": theme.FONT_SIZE - 1}, "line": {"color": theme.LIGHT.grid},
        },
        "cells": {
            "values": columns, "align": "left", "fill": {"color": theme.LIGHT.paper}, "height": 24,
            "font": {"color": theme.LIGHT.ink, "size": theme.FONT_SIZE - 1}, "line": {"color": theme.LIGHT.grid},
        },
    }  # fmt: skip
