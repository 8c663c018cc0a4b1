"""Lines, bands, marks, shades and limits of a panel over time as plotly's plain data. Imports numpy only."""

from typing import TYPE_CHECKING, Any

import numpy as np

from basis.plots import theme
from basis.plots.picture import Band, Limit, Line, Marks, Panel, Shade

if TYPE_CHECKING:
    pass

#: Symbol and size of marks by kind.
MARK_SYMBOLS = {
    "liquidation": ("x", 12),
    "critical": ("diamond", 7),
    "stop": ("octagon", 13),
    "deposit": ("triangle-up", 11),
    "withdrawal": ("triangle-down", 11),
    "deepest": ("circle", 8),
    "decision": ("line-ns-open", 8),
    "order": ("triangle-right", 8),
    "fill": ("circle", 7),
    "reject": ("x-thin-open", 8),
    "revert": ("hourglass-open", 8),
    "transfer": ("triangle-right", 9),
    "arrival": ("triangle-left", 9),
    "funding": ("diamond", 6),
    "reward": ("star", 9),
    "alert": ("diamond-open", 8),
    "flow": ("triangle-up", 11),
    "data": ("square", 7),
    "error": ("octagon", 13),
}
#: With fewer rows than this a band needs markers to be seen.
_MIN_BAND_ROWS = 2
#: Pixels between two labels.
_LINE_HEIGHT = 13.0


def _hover_number(panel: Panel, variable: str) -> str:
    """Template of a value in a hover text."""
    if panel.kind == "percent":
        return f"%{{{variable}:.3%}}"
    if panel.kind == "ratio":
        return f"%{{{variable}:.{panel.decimals}f}}"
    return f"%{{{variable}:,.{panel.decimals}f}} {panel.unit}"


def line_traces(line: Line, panel: Panel, x: Any, y: str) -> list[dict[str, Any]]:
    """The line, and the filled area below it if it has one."""
    colour = line.colour or theme.LIGHT.ink
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if line.is_point else "lines",
        "name": line.name,
        "meta": {"key": line.key, "ink": not line.colour},
        "x": x,
        "y": line.values,
        "xaxis": "x",
        "yaxis": y,
        "line": {"color": colour, "width": 0.8 if line.faint else (2.2 if not line.colour else 1.5)},
        "opacity": 0.6 if line.faint else 0.9,
        "hovertemplate": f"{line.name} {_hover_number(panel, 'y')}<extra></extra>",
        "connectgaps": False,
        # plotly sets legend entries of groups close together, all others in wide columns
        "legendgroup": line.group or line.key,
    }
    if line.group:
        # a faint line belongs to another line of its group, which has the legend entry
        trace |= {"name": line.group, "showlegend": not line.faint}
    if not line.in_legend:
        trace["showlegend"] = False
    if line.stepped:
        trace["line"]["shape"] = "hv"
    if not line.filled:
        return [trace]
    fill = {"fill": "tozeroy", "fillcolor": theme.with_opacity(colour, 0.18)}
    valid = np.flatnonzero(np.isfinite(line.values))
    if not len(valid) or len(valid) > valid[-1] - valid[0]:
        return [trace | fill]
    # plotly would fill across a gap; the area is a trace of its own that is zero in the gap
    filled = line.values.copy()
    filled[valid[0] : valid[-1] + 1][~np.isfinite(line.values[valid[0] : valid[-1] + 1])] = 0.0
    area = {
        **trace, **fill, "mode": "lines", "meta": {"key": "fill"}, "y": filled, "hoverinfo": "skip",
        "showlegend": False, "line": {**trace["line"], "width": 0},
    }  # fmt: skip
    area.pop("hovertemplate")
    return [area, trace]


def band_traces(band: Band, panel: Panel, x: Any, y: str, outline: float) -> list[dict[str, Any]]:
    """A trace of the positive and one of the negative values, as far as there are any; `outline` in pixels."""
    upper, lower = band.upper, band.lower
    parts = [(part, side) for part, side in ((upper, "above"), (lower, "below")) if part.any()]
    traces = []
    for index, (part, side) in enumerate(parts or [(upper, "above")]):
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines" if len(band.values) >= _MIN_BAND_ROWS else "lines+markers",
            "name": band.name,
            "legendgroup": band.key,
            "showlegend": index == 0 and band.in_legend,
            "meta": {"key": band.key, "side": side},
            "x": x,
            "y": part,
            "xaxis": "x",
            "yaxis": y,
            "stackgroup": side,
            "line": {"color": band.colour, "width": outline},
            "fillcolor": theme.with_opacity(band.colour, 0.85),
        }
        if len(parts) == 2 and index == 0:
            # the hover text shows the band's own value, positive or negative
            trace["customdata"] = band.values
        if index == 0:
            variable = "customdata" if len(parts) == 2 else "y"
            trace["hovertemplate"] = f"{band.name} {_hover_number(panel, variable)}<extra></extra>"
        else:
            trace["hoverinfo"] = "skip"
        traces.append(trace)
    return traces


def mark_traces(marks: Marks, y: str) -> list[dict[str, Any]]:
    """The marks. Many marks are drawn small; an empty trace then gives the legend one of full size."""
    symbol, size = MARK_SYMBOLS[marks.kind]
    scale = theme.mark_scale(marks.kind, len(marks.stamps))
    open_mark = symbol.endswith("-open")
    edge = {"width": 1.5, "color": theme.MARKS[marks.kind]} if open_mark else {
        "width": theme.mark_edge_width(marks.kind, len(marks.stamps)), "color": "#ffffff",
    }  # fmt: skip
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": marks.name,
        "meta": {"key": marks.kind},
        "x": marks.stamps,
        "y": marks.values,
        "xaxis": "x",
        "yaxis": y,
        "text": [text.replace("\n", "<br>") for text in marks.hover_texts],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": symbol,
            "size": size * scale,
            "color": theme.MARKS[marks.kind],
            "line": edge,
        },
        "cliponaxis": False,
        "legendgroup": f"mark {marks.kind}",
        "legendrank": 1100,
        "showlegend": marks.kind != "deepest",
    }
    if scale == 1.0:
        return [trace]
    shown = {name: trace[name] for name in ("type", "mode", "name", "xaxis", "yaxis", "legendgroup", "legendrank")}
    shown |= {"meta": {"key": "legend"}, "x": [None], "y": [None], "marker": {**trace["marker"], "size": size}}
    return [trace | {"showlegend": False}, shown | {"showlegend": True}]


def shade_trace(shade: Shade, y: str, panel_number: int) -> dict[str, Any]:
    """All periods of a level as one trace of boxes. Its outline keeps a period of one hour visible."""
    name, colour = theme.ALERT_LEVELS[shade.level]
    gap = np.full(len(shade.starts), np.datetime64("NaT"))
    x = np.stack([shade.starts, shade.starts, shade.ends, shade.ends, gap], axis=1).ravel()
    heights = np.tile([0.0, 1.0, 1.0, 0.0, np.nan], len(shade.starts))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name} alert",
        "meta": {"key": f"alert {shade.level}", "panel": panel_number},
        "x": x,
        "y": heights,
        "xaxis": "x",
        "yaxis": y,
        "fill": "toself",
        "fillcolor": theme.with_opacity(colour, theme.SHADE_OPACITY[shade.level]),
        "line": {
            "color": theme.with_opacity(colour, theme.shade_edge_opacity(shade.level, len(shade.starts))),
            "width": 1,
        },
        "hoverinfo": "skip",
        "legendgroup": name,
        "legendrank": 1200 - shade.level,
    }


def limit_line(limit: Limit, y: str) -> dict[str, Any]:
    """A dashed line across the panel."""
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": y, "y0": limit.value, "y1": limit.value,
        "line": {"color": limit.colour, "width": 1.4, "dash": "dash"}, "name": limit.name, "layer": "above",
    }  # fmt: skip


def limit_labels(panel: Panel, height: float, y: str) -> list[dict[str, Any]]:
    """Labels of the limits in the margin at the end of their lines; `height` of the panel in pixels."""
    return [
        {
            "x": 1.0, "y": limit.value, "xref": "paper", "yref": y, "text": limit.label, "showarrow": False,
            "xanchor": "left", "yanchor": "middle", "xshift": 4, "yshift": shift,
            "font": {"color": limit.colour, "size": theme.FONT_SIZE - 2},
        }
        for limit, shift in panel.limit_label_offsets(height, _LINE_HEIGHT)
    ]  # fmt: skip


def vertical_line(stamp: np.datetime64, y: str) -> dict[str, Any]:
    """A vertical line through a panel."""
    return {
        "type": "line", "xref": "x", "x0": str(stamp), "x1": str(stamp), "yref": f"{y} domain", "y0": 0, "y1": 1,
        "line": {"color": theme.CRITICAL, "width": 1.2, "dash": "dot"}, "layer": "below",
    }  # fmt: skip


def panel_heading(text: str, y: str) -> dict[str, Any]:
    """A text over a panel."""
    return {
        "x": 0.0, "y": 1.0, "xref": "paper", "yref": f"{y} domain", "text": text, "showarrow": False,
        "xanchor": "left", "yanchor": "bottom", "xshift": -2, "yshift": 1, "font": {"size": theme.FONT_SIZE - 1},
    }  # fmt: skip


def centred_text(text: str) -> dict[str, Any]:
    """A text in the middle of the figure."""
    return {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "text": text, "showarrow": False}
