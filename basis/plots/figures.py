"""Pictures drawn with plotly. A figure is made as plain data, so that a report needs no plotly; imports numpy only.

Here are the panels over time; those that have another axis are in `charts`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from basis.plots import charts, theme
from basis.plots.pictures import Band, Limit, Line, Marks, Panel, Picture, Shade

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Shares of the height: space between panels, for their headings; of what is lower than this, two ticks are enough.
_GAP, _LOW = 0.1, 0.16
#: Share of a panel's height below which a band is not seen.
_SEEN = 0.005
#: Pixels: of a plot of one panel and of all panels of one with more, as small as they are drawn; between two words.
_PLOT_HEIGHT, _PANELS_HEIGHT, _LINE_HEIGHT = 420.0, 240.0, 13.0
#: Symbol and size of marks by kind.
_MARKS = {
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
    "transfer": ("triangle-right", 9),
    "arrival": ("triangle-left", 9),
    "funding": ("diamond", 6),
    "reward": ("star", 9),
    "alert": ("diamond-open", 8),
    "flow": ("triangle-up", 11),
    "data": ("square", 7),
    "error": ("octagon", 13),
}
#: With fewer rows than this a band needs markers to be seen; more entries than this make a legend smaller.
_FEW, _MANY = 2, 8


def figure(picture: Picture) -> "go.Figure":
    """A plain plotly figure with the picture's numbers in ``.data``."""
    import plotly.graph_objects as go

    return go.Figure(spec(picture))


def spec(picture: Picture, stamps: Any = None) -> dict[str, Any]:
    """The figure as plotly has it: ``data`` and ``layout``.

    Parameters
    ----------
    stamps : what stands for the picture's stamps in the lines, where something shorter does
    """
    x = _short_stamps(picture.stamps) if stamps is None else stamps
    panels = picture.panels
    layout: dict[str, Any] = {
        "template": theme.template(),
        "title": {
            "text": picture.title,
            "y": 1.0,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 12},
            "subtitle": {"text": picture.subtitle, "font": {"size": theme.FONT_SIZE - 1}},
        },
        "margin": {"l": 70, "r": 20, "t": 64, "b": 46},
        # below everything, where it may grow to a second line
        "legend": {
            "orientation": "h",
            "x": 0.0,
            "xanchor": "left",
            "y": 0.0,
            "yref": "container",
            "yanchor": "bottom",
            "tracegroupgap": 0,
        },
        "shapes": [],
        "annotations": [],
    }
    data: list[dict[str, Any]] = []
    if len(panels) == 0:
        layout["annotations"].append(_centred(picture.note))
        layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
        return {"data": data, "layout": layout}
    if not picture.timed:
        layout["showlegend"] = charts.draw(panels[0], data, layout)
        if panels[0].note:
            layout["margin"]["t"] += 18
            layout["annotations"].append(_heading(panels[0].note, "y"))
        return {"data": data, "layout": layout}
    layout |= {"hovermode": "x unified", "hoversubplots": "axis", "xaxis": _time_axis(picture)}
    weights = np.array([panel.weight for panel in panels])
    free = 1.0 - _GAP * (len(weights) - 1)
    tops = 1.0 - np.concatenate(([0.0], np.cumsum(free * weights / weights.sum() + _GAP)[:-1]))
    for place, (panel, top, weight) in enumerate(zip(panels, tops, weights, strict=True), start=1):
        bottom = max(float(top - free * weight / weights.sum()), 0.0)
        _draw(panel, place, (bottom, float(top)), picture, x, data, layout)
    entries = _once_in_the_legend(data)
    layout["showlegend"] = entries > 1
    # room for half a name of the last instant, or for words beside the limits
    layout["margin"]["r"] = 110 if any(limit.words for panel in panels for limit in panel.limits) else 36
    if len(panels) > 1 or panels[0].note:
        layout["margin"]["t"] += 18
    if len(panels) > 1 or entries > _MANY:
        layout["legend"]["font"] = {"size": theme.FONT_SIZE - 2}
    if len(panels) > 1:
        layout["xaxis"]["title"]["standoff"] = 6
        # a notebook gives a figure no more than one panel needs
        layout["height"] = 220 + 110 * len(panels)
    return {"data": data, "layout": layout}


def _once_in_the_legend(data: list[dict[str, Any]]) -> int:
    """Let each group have one entry, which switches all of it; returns the number of entries."""
    seen: set[str] = set()
    count = 0
    for trace in data:
        group = trace.get("legendgroup")
        if group in seen:
            trace["showlegend"] = False
        if trace.get("showlegend", True):
            count += 1
            seen |= {group} if group else set()
    return count


def _short_stamps(stamps: np.ndarray) -> np.ndarray:
    """The same instants in the coarsest unit that holds them: in a notebook each is a text, once for every line."""
    for unit in ("M8[h]", "M8[m]", "M8[s]"):
        if (stamps.astype(unit) == stamps).all():
            return stamps.astype(unit)
    return stamps


def _time_axis(picture: Picture) -> dict[str, Any]:
    """The axis of instants, under the lowest panel."""
    axis: dict[str, Any] = {
        "type": "date",
        "title": {"text": picture.time_title},
        "hoverformat": "%Y-%m-%d %H:%M UTC",
        "anchor": f"y{len(picture.panels)}" if len(picture.panels) > 1 else "y",
        "showspikes": True,
        "spikemode": "across",
        "spikethickness": 1,
        "spikedash": "solid",
        "spikecolor": theme.OTHER,
        "spikesnap": "hovered data",
    }
    axis["range"] = [str(end) for end in picture.span]
    return axis


def _draw(
    panel: Panel,
    place: int,
    domain: tuple[float, float],
    picture: Picture,
    x: Any,
    data: list[dict[str, Any]],
    layout: dict[str, Any],
) -> None:
    """Put a panel on the axis number `place`."""
    y = "y" if place == 1 else f"y{place}"
    alone = len(picture.panels) == 1
    axis: dict[str, Any] = {"title": {"text": panel.title if alone else ""}, "domain": list(domain), **_ticks(panel)}
    if not alone:
        least = 5 if len(picture.panels) == 2 else 3 if domain[1] - domain[0] > _LOW else 2
        axis |= {**_scale(panel, least), "tickfont": {"size": theme.FONT_SIZE - (2 if len(picture.panels) == 2 else 3)}}
    elif panel.window is not None:
        axis["range"] = list(panel.window)
    layout["yaxis" if place == 1 else f"yaxis{place}"] = axis
    if panel.shades:
        # an axis of its own, from 0 to 1, under the panel's: a shade spans the panel however it is zoomed
        under = f"y{place + 50}"
        axis |= {"overlaying": under, "tickmode": "auto"}
        layout[f"yaxis{place + 50}"] = {
            "range": [0, 1], "visible": False, "fixedrange": True, "domain": list(domain)
        }  # fmt: skip
        data += [_shade(shade, under, place) for shade in panel.shades]
    low, high = panel.reach or (0.0, 1.0)
    for band in panel.bands:
        # the outline of what is too low to be seen would paint its neighbour in a wrong colour
        outline = 0.5 if np.abs(band.values).max(initial=0.0) > _SEEN * (high - low) else 0.0
        data += _band(band, panel, picture, x, y, outline)
    # what is faint lies behind
    lines = sorted(panel.lines, key=lambda line: not line.faint)
    data += [trace for line in lines for trace in _line(line, panel, picture, x, y)]
    data += [trace for marks in panel.marks for trace in _marks(marks, y)]
    for marks in panel.marks:
        if marks.kind in ("liquidation", "stop"):
            layout["shapes"] += [_rule(stamp, y) for stamp in np.unique(marks.stamps)[:100]]
    layout["shapes"] += [_limit(limit, y) for limit in panel.limits]
    layout["annotations"] += _limit_words(
        panel, (domain[1] - domain[0]) * (_PLOT_HEIGHT if alone else _PANELS_HEIGHT), y
    )
    # panels one above the other are too low for words along their axes
    heading = " · ".join(filter(None, ("" if alone else f"<b>{panel.title}</b>", panel.note)))
    if heading:
        layout["annotations"].append(_heading(heading, y))


def _scale(panel: Panel, least: int) -> dict[str, Any]:
    """Ticks of a low panel: as few as give two, for one number is no scale; where need be it reaches to the next.

    Of so many asked for plotly makes no more than that, at 2, 5 or 10 times a power of ten. An axis that it chooses
    ends beyond the values, but far beyond them where marks must find room on a low panel, so that one is chosen here.
    """
    low, high = panel.window or panel.reach or (0.0, 1.0)
    room = (high - low) * (0.0 if panel.window else 0.15 if panel.marks else 0.05)
    foot, top = low - room, high + room
    for count in (least, least + 1):
        step = _step(top - foot, count)
        if np.floor(top / step) > np.ceil(foot / step):
            return {"nticks": count, **({"range": [foot, top]} if panel.marks or panel.window else {})}
    below, above = float(np.floor(foot / step) * step), float(np.ceil(top / step) * step)
    foot, top = (below, top) if foot - below < above - top else (foot, above)
    return {"nticks": int(np.ceil((top - foot) / step)), "range": [foot, top]}


def _step(span: float, most: int) -> float:
    """From tick to tick, where so many are asked for."""
    rough = span / most or 1.0
    power = 10.0 ** np.floor(np.log10(rough))
    return next(times * power for times in (2.0, 5.0, 10.0) if times * power >= rough)


def _ticks(panel: Panel) -> dict[str, Any]:
    if panel.kind == "percent":
        return {"tickformat": ",.6~%"}
    # digits enough for steps of cents on millions
    return {"tickformat": ",.6~g" if panel.kind == "ratio" else ",.12~g"}


def _number(panel: Panel, variable: str) -> str:
    """How a value reads in the hover."""
    if panel.kind == "percent":
        return f"%{{{variable}:.3%}}"
    if panel.kind == "ratio":
        return f"%{{{variable}:.{panel.places}f}}"
    return f"%{{{variable}:,.{panel.places}f}} {panel.unit}"


def _line(line: Line, panel: Panel, picture: Picture, x: Any, y: str) -> list[dict[str, Any]]:
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
        "hovertemplate": f"{line.name} {_number(panel, 'y')}<extra></extra>",
        "connectgaps": False,
        # entries of groups stand as close as they fit, all others in columns
        "legendgroup": line.group or line.key,
    }
    if line.group:
        # what is faint follows the line it belongs to
        trace |= {"name": line.group, "showlegend": not line.faint}
    if not line.listed:
        trace["showlegend"] = False
    if line.stepped:
        trace["line"]["shape"] = "hv"
    if not line.filled:
        return [trace]
    fill = {"fill": "tozeroy", "fillcolor": theme.faded(colour, 0.18)}
    there = np.flatnonzero(np.isfinite(line.values))
    if not len(there) or len(there) > there[-1] - there[0]:
        return [trace | fill]
    # plotly fills across a hole from end to end: a trace of its own is zero there
    filled = line.values.copy()
    filled[there[0] : there[-1] + 1][~np.isfinite(line.values[there[0] : there[-1] + 1])] = 0.0
    area = {
        **trace, **fill, "mode": "lines", "meta": {"key": "fill"}, "y": filled, "hoverinfo": "skip",
        "showlegend": False, "line": {**trace["line"], "width": 0},
    }  # fmt: skip
    area.pop("hovertemplate")
    return [area, trace]


def _band(band: Band, panel: Panel, picture: Picture, x: Any, y: str, outline: float) -> list[dict[str, Any]]:
    """One trace of what is positive and one of what is negative, each only where there is some; outline in pixels."""
    upper, lower = band.upper, band.lower
    parts = [(part, side) for part, side in ((upper, "above"), (lower, "below")) if part.any()]
    traces = []
    for index, (part, side) in enumerate(parts or [(upper, "above")]):
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines" if len(picture.stamps) >= _FEW else "lines+markers",
            "name": band.name,
            "legendgroup": band.key,
            "showlegend": index == 0 and band.listed,
            "meta": {"key": band.key, "side": side},
            "x": x,
            "y": part,
            "xaxis": "x",
            "yaxis": y,
            "stackgroup": side,
            "line": {"color": band.colour, "width": outline},
            "fillcolor": theme.faded(band.colour, 0.85),
        }
        if len(parts) == 2 and index == 0:
            # the band's own value, whatever its sign
            trace["customdata"] = band.values
        if index == 0:
            variable = "customdata" if len(parts) == 2 else "y"
            trace["hovertemplate"] = f"{band.name} {_number(panel, variable)}<extra></extra>"
        else:
            trace["hoverinfo"] = "skip"
        traces.append(trace)
    return traces


def _marks(marks: Marks, y: str) -> list[dict[str, Any]]:
    """The marks; where a crowd makes them small, also an empty trace that shows one of whole size in the legend."""
    symbol, size = _MARKS[marks.kind]
    crowd = theme.crowding(marks.kind, len(marks.stamps))
    open_mark = symbol.endswith("-open")
    rim = {"width": 1.5, "color": theme.MARKS[marks.kind]} if open_mark else {
        "width": theme.rim(marks.kind, len(marks.stamps)), "color": "#ffffff",
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
        "text": [words.replace("\n", "<br>") for words in marks.words],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": symbol,
            "size": size * crowd,
            "color": theme.MARKS[marks.kind],
            "line": rim,
        },
        "cliponaxis": False,
        "legendgroup": f"mark {marks.kind}",
        "legendrank": 1100,
        "showlegend": marks.kind != "deepest",
    }
    if crowd == 1.0:
        return [trace]
    shown = {name: trace[name] for name in ("type", "mode", "name", "xaxis", "yaxis", "legendgroup", "legendrank")}
    shown |= {"meta": {"key": "legend"}, "x": [None], "y": [None], "marker": {**trace["marker"], "size": size}}
    return [trace | {"showlegend": False}, shown | {"showlegend": True}]


def _shade(shade: Shade, y: str, place: int) -> dict[str, Any]:
    """All spans of a level as one trace of boxes; the outline keeps a span of one hour in sight."""
    name, colour = theme.LEVELS[shade.level]
    gap = np.full(len(shade.starts), np.datetime64("NaT"))
    x = np.stack([shade.starts, shade.starts, shade.ends, shade.ends, gap], axis=1).ravel()
    heights = np.tile([0.0, 1.0, 1.0, 0.0, np.nan], len(shade.starts))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name} alert",
        "meta": {"key": f"alert {shade.level}", "panel": place},
        "x": x,
        "y": heights,
        "xaxis": "x",
        "yaxis": y,
        "fill": "toself",
        "fillcolor": theme.faded(colour, theme.SHADES[shade.level]),
        "line": {"color": theme.faded(colour, theme.outline(shade.level, len(shade.starts))), "width": 1},
        "hoverinfo": "skip",
        "legendgroup": name,
        "legendrank": 1200 - shade.level,
    }


def _limit(limit: Limit, y: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": y, "y0": limit.value, "y1": limit.value,
        "line": {"color": limit.colour, "width": 1.4, "dash": "dash"}, "name": limit.name, "layer": "above",
    }  # fmt: skip


def _limit_words(panel: Panel, height: float, y: str) -> list[dict[str, Any]]:
    """The words of the limits in the margin at their ends; height of the panel in pixels."""
    return [
        {
            "x": 1.0, "y": limit.value, "xref": "paper", "yref": y, "text": limit.words, "showarrow": False,
            "xanchor": "left", "yanchor": "middle", "xshift": 4, "yshift": shift,
            "font": {"color": limit.colour, "size": theme.FONT_SIZE - 2},
        }
        for limit, shift in panel.words_of_limits(height, _LINE_HEIGHT)
    ]  # fmt: skip


def _rule(stamp: np.datetime64, y: str) -> dict[str, Any]:
    """A vertical line through a panel."""
    return {
        "type": "line", "xref": "x", "x0": str(stamp), "x1": str(stamp), "yref": f"{y} domain", "y0": 0, "y1": 1,
        "line": {"color": theme.CRITICAL, "width": 1.2, "dash": "dot"}, "layer": "below",
    }  # fmt: skip


def _heading(text: str, y: str) -> dict[str, Any]:
    """Words over a panel."""
    return {
        "x": 0.0, "y": 1.0, "xref": "paper", "yref": f"{y} domain", "text": text, "showarrow": False,
        "xanchor": "left", "yanchor": "bottom", "xshift": -2, "yshift": 1, "font": {"size": theme.FONT_SIZE - 1},
    }  # fmt: skip


def _centred(text: str) -> dict[str, Any]:
    return {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "text": text, "showarrow": False}
