"""Pictures drawn with matplotlib, for print: a twin of `figures`, from the same pictures. Imports matplotlib on use."""

from typing import TYPE_CHECKING, Any

import numpy as np

from basis.errors import InputError
from basis.plots import print_charts, theme
from basis.plots.pictures import Band, Line, Marks, Panel, Picture, Shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points: height of a plot as low as it is drawn; what each panel more takes of it; of a small line.
_PLOT_HEIGHT, _GAP, _LINE_HEIGHT = 200.0, 35.0, 9.0
#: Symbol and size of marks by kind.
_MARKS = {
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
    "transfer": (">", 5),
    "arrival": ("<", 5),
    "funding": ("d", 3.5),
    "reward": ("*", 6),
    "alert": ("D", 4),
    "flow": ("^", 7),
    "data": ("s", 4),
    "error": ("8", 8),
}


def figure(picture: Picture) -> "Figure":
    """A matplotlib figure 8 inches wide; none of pyplot's state is touched.

    Raises
    ------
    InputError
        Where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise InputError(
            "backend='matplotlib' needs matplotlib, which is not installed: pip install matplotlib."
        ) from None
    with mpl.rc_context(theme.rc()):
        count = len(picture.panels)
        table = picture.panels[0].cells if count else None
        height = 4.8 + 0.8 * max(count - 2, 0) if table is None else 0.8 + 0.2 * (len(table.rows) + 1)
        # inches, so that no number touches the edge of the page
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
        made = Figure(figsize=(8.0, height), layout=layout)
        made.suptitle(picture.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        weights = [panel.weight for panel in picture.panels] or [1.0]
        axes = made.subplots(len(weights), 1, sharex=True, squeeze=False, height_ratios=weights)[:, 0]
        first = picture.panels[0] if count else None
        lines = 1.4 if first is not None and (count > 1 or first.note) else 0.0
        axes[0].set_title(picture.subtitle, fontsize=9, fontweight="normal", color=theme.LIGHT.faint, pad=6 + 9 * lines)
        if not count:
            axes[0].set_axis_off()
            axes[0].text(0.5, 0.5, picture.note, ha="center", transform=axes[0].transAxes)
        for panel, ax in zip(picture.panels, axes, strict=False):
            _draw(panel, picture, ax)
        if picture.panels and picture.timed:
            _time_axis(axes[-1], picture)
        made.align_ylabels(axes)
        _legend(made, axes)
    return made


def _draw(panel: Panel, picture: Picture, ax: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter

    for shade in panel.shades:
        _shade(shade, ax)
    _bands(panel.bands, picture, ax)
    for line in sorted(panel.lines, key=lambda line: not line.faint):
        _line(line, picture, ax)
    height = _PLOT_HEIGHT - _GAP * (len(picture.panels) - 1)
    _limits(panel, height * panel.weight / sum(each.weight for each in picture.panels), ax)
    for marks in panel.marks:
        _marks(marks, picture, ax)
    if not panel.timed:
        print_charts.draw(panel, ax)
        if panel.note:
            _heading(panel.note, ax)
        return
    alone = len(picture.panels) == 1
    if alone:
        ax.set_ylabel(panel.title)
    elif len(picture.panels) > 2:
        ax.tick_params(axis="y", labelsize=7)
    if panel.window is not None:
        ax.set_ylim(*panel.window)
    if panel.kind == "percent":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:,.10g}%".replace("-", "−")))
    else:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))
    heading = " · ".join(filter(None, ("" if alone else panel.title, panel.note)))
    if heading:
        _heading(heading, ax)


def _heading(text: str, ax: "Axes") -> None:
    ax.annotate(
        text, (0.0, 1.0), xycoords="axes fraction", xytext=(0, 2), textcoords="offset points", va="bottom", fontsize=8,
    )  # fmt: skip


def _time_axis(ax: "Axes", picture: Picture) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # some days apart ticks are even through the end of a month: those from its 29th to the 1st would touch
    # (with no fewer than three ticks matplotlib finds an interval for every span, and warns of none)
    first, last = picture.span
    even = np.timedelta64(4, "D") < last - first < np.timedelta64(33, "D")
    locator = AutoDateLocator(minticks=3, maxticks=9, interval_multiples=not even)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(
        ConciseDateFormatter(
            locator,
            formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
            zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
            # where ticks have no year it stands at the end
            offset_formats=["", "", "%Y", "%Y", "%d %b %Y", "%d %b %Y"],
        )
    )
    ax.set_xlabel(picture.time_title)
    ax.set_xlim(*picture.span)


def _line(line: Line, picture: Picture, ax: "Axes") -> None:
    colour = line.colour or theme.LIGHT.ink
    ax.plot(
        picture.stamps, line.values, color=colour, linewidth=0.5 if line.faint else 1.2,
        alpha=0.6 if line.faint else 0.9, marker="o" if line.is_point else "", markersize=4,
        label=_label(line), gid=line.key, drawstyle="steps-post" if line.stepped else "default",
    )  # fmt: skip
    if line.filled:
        ax.fill_between(picture.stamps, line.values, 0.0, color=colour, alpha=0.18, linewidth=0)


def _label(line: Line) -> str:
    """What the legend calls it; what begins with an underscore it leaves out."""
    if not line.listed or (line.faint and line.group):
        return "_" + line.name
    return line.group or line.name


def _bands(bands: tuple[Band, ...], picture: Picture, ax: "Axes") -> None:
    """Each band between the sum of those before it and its own on top, on either side of zero."""
    above = below = np.zeros(len(picture.stamps))
    for band in bands:
        for start, part in ((above, band.upper), (below, band.lower)):
            if part.any():
                drawn = ax.fill_between(picture.stamps, start, start + part, color=band.colour, alpha=0.85, linewidth=0)
                drawn.set_gid(band.key)
                if len(part) == 1:
                    # an area of one row is none
                    ax.plot(picture.stamps, start + part, marker="o", markersize=4, color=band.colour, label="_dot")
        above, below = above + band.upper, below + band.lower
        # one entry in the legend, whichever side it is on
        label = band.name if band.listed else "_" + band.name
        ax.fill_between([], [], [], color=band.colour, alpha=0.85, linewidth=0, label=label)


def _marks(marks: Marks, picture: Picture, ax: "Axes") -> None:
    symbol, size = _MARKS[marks.kind]
    count, colour = len(marks.stamps), theme.MARKS[marks.kind]
    # these have no face, only an edge: an alert would pass for funding
    bare = marks.kind in ("decision", "reject", "alert")
    ax.plot(
        marks.stamps, marks.values, linestyle="", marker=symbol, markersize=size * theme.crowding(marks.kind, count),
        color=colour, markerfacecolor="none" if bare else colour, markeredgecolor=colour if bare else "white",
        markeredgewidth=1.0 if bare else 0.5 * theme.rim(marks.kind, count), zorder=5, gid=marks.kind,
        label="_deepest" if marks.kind == "deepest" else marks.name, clip_on=False,
    )  # fmt: skip
    if marks.kind in ("liquidation", "stop"):
        for stamp in np.unique(marks.stamps)[:100]:
            ax.axvline(stamp, color=theme.CRITICAL, linewidth=0.8, linestyle=":", zorder=1)


def _shade(shade: Shade, ax: "Axes") -> None:
    """All spans of a level, over the whole height."""
    from matplotlib.dates import date2num

    name, colour = theme.LEVELS[shade.level]
    starts = date2num(shade.starts)
    spans = list(zip(starts, date2num(shade.ends) - starts, strict=True))
    opacity = theme.SHADES[shade.level]
    ax.broken_barh(
        spans, (0.0, 1.0), transform=ax.get_xaxis_transform(), facecolor=(colour, opacity), linewidth=0.4, zorder=0,
        edgecolor=(colour, theme.outline(shade.level, len(spans))), label=f"{name} alert", gid=f"alert {shade.level}",
    )  # fmt: skip


def _limits(panel: Panel, height: float, ax: "Axes") -> None:
    """Lines, and their words at their ends; height of the panel in points."""
    for limit in panel.limits:
        ax.axhline(limit.value, color=limit.colour, linewidth=0.9, linestyle="--", label="_" + limit.name)
    for limit, shift in panel.words_of_limits(height, _LINE_HEIGHT):
        ax.annotate(
            limit.words, (1.0, limit.value), xycoords=("axes fraction", "data"), xytext=(3, shift),
            textcoords="offset points", va="center", fontsize=7, color=limit.colour,
        )  # fmt: skip


def _legend(made: "Figure", axes: Any) -> None:
    """One legend for all panels, below them; none for a single entry."""
    from matplotlib.lines import Line2D

    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    # shades come last
    entries = dict(sorted(entries.items(), key=lambda entry: entry[0].endswith(" alert")))
    if len(entries) > 1:
        # a line of the legend holds some 110 letters, of which a handle takes eight
        longest = max(len(label) for label in entries)
        legend = made.legend(
            entries.values(), entries.keys(), loc="outside lower left", ncols=max(110 // (longest + 8), 1)
        )
        for shown, drawn in zip(legend.legend_handles, entries.values(), strict=True):
            # what a crowd makes small is of whole size here
            kind = drawn.get_gid() if isinstance(drawn, Line2D) and drawn.get_linestyle() == "None" else None
            if kind in _MARKS and isinstance(shown, Line2D):
                shown.set_markersize(_MARKS[kind][1])
