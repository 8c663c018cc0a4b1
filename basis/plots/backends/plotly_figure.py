"""A picture drawn with plotly: the figure, its axes and its panels over time.

The figure is built as plain data, so that a report needs no plotly. `plotly_panels` draws panels without a time axis;
`plotly_traces` draws the lines and marks of a panel. Imports numpy only; plotly is imported on use.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from basis.plots import theme
from basis.plots.backends import plotly_panels, plotly_traces
from basis.plots.picture import Panel, Picture

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Space between panels for their headings, as a share of the height.
_PANEL_GAP = 0.1
#: A panel lower than this share of the height needs no more than two ticks.
_LOW_PANEL = 0.16
#: A band lower than this share of its panel cannot be seen.
_VISIBLE_SHARE = 0.005
#: More legend entries than this make the legend smaller.
_MANY_ENTRIES = 8
#: Height of a plot in pixels, as small as it is drawn: of one panel, and of all panels of a figure with several.
_PLOT_HEIGHT = 420.0
_PANELS_HEIGHT = 240.0


def draw_figure(picture: Picture) -> "go.Figure":
    """A plain plotly figure with the picture's numbers in ``.data``."""
    import plotly.graph_objects as go

    return go.Figure(figure_data(picture))


def figure_data(picture: Picture, stamps: Any = None) -> dict[str, Any]:
    """The figure as the ``data`` and ``layout`` that plotly takes.

    Parameters
    ----------
    stamps : optional
        Short placeholder that the lines hold instead of the picture's stamps.
    """
    layout, data = _base_layout(picture), []
    panels = picture.panels
    if not panels:
        layout["annotations"].append(plotly_traces.centred_text(picture.note))
        layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    elif not picture.over_time:
        layout["showlegend"] = plotly_panels.draw_panel(panels[0], data, layout)
        if panels[0].note:
            layout["margin"]["t"] += 18
            layout["annotations"].append(plotly_traces.panel_heading(panels[0].note, "y"))
    else:
        x = _short_stamps(picture.stamps) if stamps is None else stamps
        _draw_time_panels(picture, x, data, layout)
    return {"data": data, "layout": layout}


def _base_layout(picture: Picture) -> dict[str, Any]:
    """What every figure has: theme, title, margins and the place of the legend."""
    return {
        "template": theme.plotly_template(),
        "title": {
            "text": picture.title,
            "y": 1.0,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 12},
            "subtitle": {"text": picture.subtitle, "font": {"size": theme.FONT_SIZE - 1}},
        },
        "margin": {"l": 70, "r": 20, "t": 64, "b": 46},
        # below everything, where the legend may grow to a second line
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


def _draw_time_panels(picture: Picture, x: Any, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """Draw all panels, one below the other, on one time axis."""
    panels = picture.panels
    layout |= {"hovermode": "x unified", "hoversubplots": "axis", "xaxis": _time_axis(picture)}
    weights = np.array([panel.weight for panel in panels])
    free = 1.0 - _PANEL_GAP * (len(weights) - 1)
    tops = 1.0 - np.concatenate(([0.0], np.cumsum(free * weights / weights.sum() + _PANEL_GAP)[:-1]))
    for place, (top, weight) in enumerate(zip(tops, weights, strict=True)):
        bottom = max(float(top - free * weight / weights.sum()), 0.0)
        _draw_time_panel(picture, place, (bottom, float(top)), x, data, layout)
    entries = _merge_legend_entries(data)
    layout["showlegend"] = entries > 1
    # room for half the name of the last instant, or for the labels of the limits
    layout["margin"]["r"] = 110 if any(limit.label for panel in panels for limit in panel.limits) else 36
    if len(panels) > 1 or any(panel.note for panel in panels):
        layout["margin"]["t"] += 18
    if len(panels) > 1 or entries > _MANY_ENTRIES:
        layout["legend"]["font"] = {"size": theme.FONT_SIZE - 2}
    if len(panels) > 1:
        layout["xaxis"]["title"]["standoff"] = 6
        # by default a notebook makes a figure only as high as one panel needs
        layout["height"] = 220 + 110 * len(panels)


def _merge_legend_entries(data: list[dict[str, Any]]) -> int:
    """Give each group one legend entry, which shows and hides all of it. Returns the number of entries."""
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
    """The same instants in the coarsest unit that holds them: a notebook stores each as a text, once for every line."""
    for unit in ("M8[h]", "M8[m]", "M8[s]"):
        if (stamps.astype(unit) == stamps).all():
            return stamps.astype(unit)
    return stamps


def _time_axis(picture: Picture) -> dict[str, Any]:
    """The time axis, below the lowest panel."""
    axis: dict[str, Any] = {
        "type": "date",
        "title": {"text": picture.time_axis_title},
        "hoverformat": "%Y-%m-%d %H:%M UTC",
        "anchor": f"y{len(picture.panels)}" if len(picture.panels) > 1 else "y",
        "showspikes": True,
        "spikemode": "across",
        "spikethickness": 1,
        "spikedash": "solid",
        "spikecolor": theme.OTHER,
        "spikesnap": "hovered data",
    }
    axis["range"] = [str(end) for end in picture.time_range]
    return axis


def _draw_time_panel(
    picture: Picture,
    place: int,
    domain: tuple[float, float],
    x: Any,
    data: list[dict[str, Any]],
    layout: dict[str, Any],
) -> None:
    """Draw the panel number `place`, counted from 0, on the share `domain` of the height."""
    panel, number = picture.panels[place], place + 1
    y = "y" if number == 1 else f"y{number}"
    alone = len(picture.panels) == 1
    axis: dict[str, Any] = {"title": {"text": panel.title if alone else ""}, "domain": list(domain), **_ticks(panel)}
    if not alone:
        ticks = 5 if len(picture.panels) == 2 else 3 if domain[1] - domain[0] > _LOW_PANEL else 2
        axis |= {
            **_low_panel_axis(panel, ticks),
            "tickfont": {"size": theme.FONT_SIZE - (2 if len(picture.panels) == 2 else 3)},
        }
    elif panel.axis_range is not None:
        axis["range"] = list(panel.axis_range)
    layout["yaxis" if number == 1 else f"yaxis{number}"] = axis
    if panel.shades:
        # shades have an axis of their own from 0 to 1, so that they span the panel at any zoom
        under = f"y{number + 50}"
        axis |= {"overlaying": under, "tickmode": "auto"}
        layout[f"yaxis{number + 50}"] = {
            "range": [0, 1], "visible": False, "fixedrange": True, "domain": list(domain)
        }  # fmt: skip
        data += [plotly_traces.shade_trace(shade, under, number) for shade in panel.shades]
    low, high = panel.value_range or (0.0, 1.0)
    for band in panel.bands:
        # the outline of a band too low to be seen would cover the colour of its neighbour
        outline = 0.5 if np.abs(band.values).max(initial=0.0) > _VISIBLE_SHARE * (high - low) else 0.0
        data += plotly_traces.band_traces(band, panel, x, y, outline)
    # faint lines are drawn first, behind the others
    lines = sorted(panel.lines, key=lambda line: not line.faint)
    data += [trace for line in lines for trace in plotly_traces.line_traces(line, panel, x, y)]
    data += [trace for marks in panel.marks for trace in plotly_traces.mark_traces(marks, y)]
    for marks in panel.marks:
        if marks.kind in ("liquidation", "stop"):
            layout["shapes"] += [plotly_traces.vertical_line(stamp, y) for stamp in np.unique(marks.stamps)[:100]]
    layout["shapes"] += [plotly_traces.limit_line(limit, y) for limit in panel.limits]
    height = (domain[1] - domain[0]) * (_PLOT_HEIGHT if alone else _PANELS_HEIGHT)
    layout["annotations"] += plotly_traces.limit_labels(panel, height, y)
    # several panels are too low for titles along their axes
    heading = " · ".join(filter(None, ("" if alone else f"<b>{panel.title}</b>", panel.note)))
    if heading:
        layout["annotations"].append(plotly_traces.panel_heading(heading, y))


def _low_panel_axis(panel: Panel, ticks: int) -> dict[str, Any]:
    """Ticks, and where needed the range, of the axis of a low panel.

    An axis with a single number is no scale, so there are at least two ticks; if necessary the axis is extended to the
    next one. Asked for a number of ticks, plotly makes at most so many, at 2, 5 or 10 times a power of ten. The range
    that plotly chooses would be far too wide on a low panel with marks, so it is set here.
    """
    low, high = panel.axis_range or panel.value_range or (0.0, 1.0)
    margin = (high - low) * (0.0 if panel.axis_range else 0.15 if panel.marks else 0.05)
    foot, top = low - margin, high + margin
    for count in (ticks, ticks + 1):
        step = _tick_step(top - foot, count)
        if np.floor(top / step) > np.ceil(foot / step):
            return {"nticks": count, **({"range": [foot, top]} if panel.marks or panel.axis_range else {})}
    below, above = float(np.floor(foot / step) * step), float(np.ceil(top / step) * step)
    foot, top = (below, top) if foot - below < above - top else (foot, above)
    return {"nticks": int(np.ceil((top - foot) / step)), "range": [foot, top]}


def _tick_step(span: float, most: int) -> float:
    """Distance between ticks if plotly is asked for `most` of them."""
    rough = span / most or 1.0
    power = 10.0 ** np.floor(np.log10(rough))
    return next(times * power for times in (2.0, 5.0, 10.0) if times * power >= rough)


def _ticks(panel: Panel) -> dict[str, Any]:
    """Format of the numbers along an axis."""
    if panel.kind == "percent":
        return {"tickformat": ",.6~%"}
    # enough digits for steps of cents on millions
    return {"tickformat": ",.6~g" if panel.kind == "ratio" else ",.12~g"}
