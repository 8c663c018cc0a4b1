"""A picture drawn with matplotlib, for print; the counterpart of `plotly_figure`. Imports matplotlib on use."""

from typing import TYPE_CHECKING, Any

import numpy as np

from basis.errors import InputError
from basis.plots import theme
from basis.plots.backends import matplotlib_panels
from basis.plots.picture import Band, Line, Marks, Panel, Picture, Shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Height of a plot in points, as low as it is drawn; each further panel takes this gap of it.
_PLOT_HEIGHT = 200.0
_PANEL_GAP = 35.0
#: Height of a line of small text in points.
_LINE_HEIGHT = 9.0
#: Symbol and size of marks by kind.
MARK_SYMBOLS = {
    "liquidation": ("X", 8),
    "critical": ("D", 3.5),
    "stop": ("8", 8),
    "deposit": ("^", 7),
    "withdrawal": ("v", 7),
    "deepest": ("o", 5),
    "decision": ("|", 6),
    "order": (">", 4),
    "fill": ("o", 4),
    "reject": ("x", 5),
    "revert": ("P", 5),
    "transfer": (">", 5),
    "arrival": ("<", 5),
    "funding": ("d", 3.5),
    "reward": ("*", 6),
    "alert": ("D", 4),
    "flow": ("^", 7),
    "data": ("s", 4),
    "error": ("8", 8),
}


def draw_figure(picture: Picture) -> "Figure":
    """A matplotlib figure 8 inches wide. It does not touch the state of pyplot.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise InputError(
            "backend='matplotlib' needs matplotlib, which is not installed. Install it with: pip install matplotlib"
        ) from None
    with mpl.rc_context(theme.matplotlib_settings()):
        count = len(picture.panels)
        table = picture.panels[0].text_table if count else None
        height = 4.8 + 0.8 * max(count - 2, 0) if table is None else 0.8 + 0.2 * (len(table.rows) + 1)
        # margins in inches, so that no number touches the edge of the page
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
        figure = Figure(figsize=(8.0, height), layout=layout)
        figure.suptitle(picture.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        weights = [panel.weight for panel in picture.panels] or [1.0]
        axes = figure.subplots(len(weights), 1, sharex=True, squeeze=False, height_ratios=weights)[:, 0]
        first = picture.panels[0] if count else None
        heading_lines = 1.4 if first is not None and (count > 1 or first.note) else 0.0
        axes[0].set_title(
            picture.subtitle, fontsize=9, fontweight="normal", color=theme.LIGHT.faint, pad=6 + 9 * heading_lines
        )
        if not count:
            axes[0].set_axis_off()
            axes[0].text(0.5, 0.5, picture.note, ha="center", transform=axes[0].transAxes)
        for panel, ax in zip(picture.panels, axes, strict=False):
            _draw_panel(panel, picture, ax)
        if picture.panels and picture.over_time:
            _format_time_axis(axes[-1], picture)
        figure.align_ylabels(axes)
        _draw_legend(figure, axes)
    return figure


def _draw_panel(panel: Panel, picture: Picture, ax: "Axes") -> None:
    """Draw a panel on its axes."""
    from matplotlib.ticker import FuncFormatter

    for shade in panel.shades:
        _draw_shade(shade, ax)
    _draw_bands(panel.bands, picture, ax)
    for line in sorted(panel.lines, key=lambda line: not line.faint):
        _draw_line(line, picture, ax)
    height = _PLOT_HEIGHT - _PANEL_GAP * (len(picture.panels) - 1)
    _draw_limits(panel, height * panel.weight / sum(each.weight for each in picture.panels), ax)
    for marks in panel.marks:
        _draw_marks(marks, ax)
    if not panel.over_time:
        matplotlib_panels.draw_panel(panel, ax)
        if panel.note:
            _panel_heading(panel.note, ax)
        return
    alone = len(picture.panels) == 1
    if alone:
        ax.set_ylabel(panel.title)
    elif len(picture.panels) > 2:
        ax.tick_params(axis="y", labelsize=7)
    if panel.axis_range is not None:
        ax.set_ylim(*panel.axis_range)
    if panel.kind == "percent":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:,.10g}%".replace("-", "−")))
    else:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))
    heading = " · ".join(filter(None, ("" if alone else panel.title, panel.note)))
    if heading:
        _panel_heading(heading, ax)


def _panel_heading(text: str, ax: "Axes") -> None:
    """Write a text over a panel."""
    ax.annotate(
        text, (0.0, 1.0), xycoords="axes fraction", xytext=(0, 2), textcoords="offset points", va="bottom", fontsize=8,
    )  # fmt: skip


def _format_time_axis(ax: "Axes", picture: Picture) -> None:
    """Range, ticks and title of the time axis."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # For windows of days, ticks are evenly spaced through the end of a month; else the 29th and the 1st would touch.
    # With at least three ticks matplotlib finds an interval for any window, without a warning.
    first, last = picture.time_range
    evenly_spaced = np.timedelta64(4, "D") < last - first < np.timedelta64(33, "D")
    locator = AutoDateLocator(minticks=3, maxticks=9, interval_multiples=not evenly_spaced)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(
        ConciseDateFormatter(
            locator,
            formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
            zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
            # if the ticks show no year, it is written at the end of the axis
            offset_formats=["", "", "%Y", "%Y", "%d %b %Y", "%d %b %Y"],
        )
    )
    ax.set_xlabel(picture.time_axis_title)
    ax.set_xlim(*picture.time_range)


def _draw_line(line: Line, picture: Picture, ax: "Axes") -> None:
    """Draw a line and the area below it, if it is filled."""
    colour = line.colour or theme.LIGHT.ink
    ax.plot(
        picture.stamps, line.values, color=colour, linewidth=0.5 if line.faint else 1.2,
        alpha=0.6 if line.faint else 0.9, marker="o" if line.is_point else "", markersize=4,
        label=_legend_label(line), gid=line.key, drawstyle="steps-post" if line.stepped else "default",
    )  # fmt: skip
    if line.filled:
        ax.fill_between(picture.stamps, line.values, 0.0, color=colour, alpha=0.18, linewidth=0)


def _legend_label(line: Line) -> str:
    """Name of a line in the legend; the legend leaves out names that begin with an underscore."""
    if not line.in_legend or (line.faint and line.group):
        return "_" + line.name
    return line.group or line.name


def _draw_bands(bands: tuple[Band, ...], picture: Picture, ax: "Axes") -> None:
    """Draw the bands as a stack above zero and one below it."""
    above = below = np.zeros(len(picture.stamps))
    for band in bands:
        for start, part in ((above, band.upper), (below, band.lower)):
            if part.any():
                drawn = ax.fill_between(picture.stamps, start, start + part, color=band.colour, alpha=0.85, linewidth=0)
                drawn.set_gid(band.key)
                if len(part) == 1:
                    # an area of one row is invisible
                    ax.plot(picture.stamps, start + part, marker="o", markersize=4, color=band.colour, label="_dot")
        above, below = above + band.upper, below + band.lower
        # one legend entry, whichever side of zero the band is on
        label = band.name if band.in_legend else "_" + band.name
        ax.fill_between([], [], [], color=band.colour, alpha=0.85, linewidth=0, label=label)


def _draw_marks(marks: Marks, ax: "Axes") -> None:
    """Draw the marks of one kind, and a vertical line at each liquidation and stop."""
    symbol, size = MARK_SYMBOLS[marks.kind]
    count, colour = len(marks.stamps), theme.MARKS[marks.kind]
    # these are drawn as outlines; filled, an alert would look like funding
    is_outline = marks.kind in ("decision", "reject", "alert")
    ax.plot(
        marks.stamps, marks.values, linestyle="", marker=symbol, markersize=size * theme.mark_scale(marks.kind, count),
        color=colour, markerfacecolor="none" if is_outline else colour,
        markeredgecolor=colour if is_outline else "white",
        markeredgewidth=1.0 if is_outline else 0.5 * theme.mark_edge_width(marks.kind, count), zorder=5, gid=marks.kind,
        label="_deepest" if marks.kind == "deepest" else marks.name, clip_on=False,
    )  # fmt: skip
    if marks.kind in ("liquidation", "stop"):
        for stamp in np.unique(marks.stamps)[:100]:
            ax.axvline(stamp, color=theme.CRITICAL, linewidth=0.8, linestyle=":", zorder=1)


def _draw_shade(shade: Shade, ax: "Axes") -> None:
    """Draw all periods of a level, over the whole height."""
    from matplotlib.dates import date2num

    name, colour = theme.ALERT_LEVELS[shade.level]
    starts = date2num(shade.starts)
    periods = list(zip(starts, date2num(shade.ends) - starts, strict=True))
    opacity = theme.SHADE_OPACITY[shade.level]
    ax.broken_barh(
        periods, (0.0, 1.0), transform=ax.get_xaxis_transform(), facecolor=(colour, opacity), linewidth=0.4, zorder=0,
        edgecolor=(colour, theme.shade_edge_opacity(shade.level, len(periods))),
        label=f"{name} alert", gid=f"alert {shade.level}",
    )  # fmt: skip


def _draw_limits(panel: Panel, height: float, ax: "Axes") -> None:
    """Draw the limits with their labels at their ends; `height` of the panel in points."""
    for limit in panel.limits:
        ax.axhline(limit.value, color=limit.colour, linewidth=0.9, linestyle="--", label="_" + limit.name)
    for limit, shift in panel.limit_label_offsets(height, _LINE_HEIGHT):
        ax.annotate(
            limit.label, (1.0, limit.value), xycoords=("axes fraction", "data"), xytext=(3, shift),
            textcoords="offset points", va="center", fontsize=7, color=limit.colour,
        )  # fmt: skip


def _draw_legend(figure: "Figure", axes: Any) -> None:
    """Draw one legend for all panels below them; a single entry needs none."""
    from matplotlib.lines import Line2D

    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    # shades are last
    entries = dict(sorted(entries.items(), key=lambda entry: entry[0].endswith(" alert")))
    if len(entries) > 1:
        # a line of the legend holds some 110 letters; a symbol takes eight of them
        longest = max(len(label) for label in entries)
        legend = figure.legend(
            entries.values(), entries.keys(), loc="outside lower left", ncols=max(110 // (longest + 8), 1)
        )
        for shown, drawn in zip(legend.legend_handles, entries.values(), strict=True):
            # marks that are drawn small are shown at full size here
            kind = drawn.get_gid() if isinstance(drawn, Line2D) and drawn.get_linestyle() == "None" else None
            if kind in MARK_SYMBOLS and isinstance(shown, Line2D):
                shown.set_markersize(MARK_SYMBOLS[kind][1])
