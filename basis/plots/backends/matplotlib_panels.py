"""Panels without a time axis drawn with matplotlib; the counterpart of `plotly_panels`. Imports matplotlib on use."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from basis.plots import theme
from basis.plots.picture import CategoryBars, Heatmap, Panel, TextTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: With more categories than this not every one is named under the axis.
_MAX_AXIS_NAMES = 12
#: More column names than this are written vertically.
_MAX_HORIZONTAL_NAMES = 8
#: A text in a table is cut to so many letters.
_MAX_CELL_LETTERS = 28


def draw_panel(panel: Panel, ax: "Axes") -> None:
    """Draw the panel on its axes."""
    if panel.text_table is not None:
        _draw_text_table(panel.text_table, ax)
        return
    if panel.heatmap is not None:
        _draw_heatmap(panel.heatmap, ax)
        return
    ax.set_ylabel(panel.title)
    if panel.axis_range is not None:
        (ax.set_xlim if panel.category_bars is not None and panel.category_bars.horizontal else ax.set_ylim)(
            *panel.axis_range
        )
    ax.yaxis.set_major_formatter(_formatter(panel.kind == "percent"))
    if panel.waterfall:
        _draw_waterfall(panel, ax)
    elif panel.category_bars is not None:
        _draw_category_bars(panel, panel.category_bars, ax)


def _formatter(percent: bool) -> Any:
    """Formatter of the numbers along an axis."""
    from matplotlib.ticker import FuncFormatter

    if percent:
        return FuncFormatter(lambda value, _: f"{100.0 * value:,.10g}%".replace("-", "−"))
    return FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−"))


def _draw_waterfall(panel: Panel, ax: "Axes") -> None:
    """Draw a waterfall."""
    count = len(panel.waterfall)
    size = 8 if count < 9 else 7 if count < 12 else 6
    for place, bar in enumerate(panel.waterfall):
        # the edge has the colour of the bar, so that a bar of little height is still a line
        ax.bar(
            place, bar.value, bottom=bar.base, width=0.65, color=bar.colour, edgecolor=bar.colour, linewidth=0.6,
            gid=bar.key, label="_" + bar.name,
        )  # fmt: skip
        up = bar.value >= 0.0
        ax.annotate(
            bar.label, (place, bar.end), xytext=(0, 2 if up else -2), textcoords="offset points", ha="center",
            va="bottom" if up else "top", fontsize=size,
        )  # fmt: skip
    for place, (bar, _) in enumerate(pairwise(panel.waterfall)):
        ax.plot([place, place + 1], [bar.end] * 2, color=theme.OTHER, linewidth=0.7, linestyle=":", label="_joint")
    vertical = count > _MAX_HORIZONTAL_NAMES
    names = [bar.name if vertical else "\n".join(theme.split_label(bar.name)) for bar in panel.waterfall]
    ax.set_xticks(range(len(names)), names, rotation=90 if vertical else 0, fontsize=8)
    ax.tick_params(axis="x", length=0)
    if panel.axis_range is None:
        # the labels need room; without it matplotlib would end the axis at the bars
        edges = [edge for bar in panel.waterfall for edge in (bar.base, bar.end)]
        low, high = min(edges), max(edges)
        height = (high - low) or 1.0
        # the labels of falling bars are below them and must not reach the names under the axis
        lowest = min([bar.end for bar in panel.waterfall if bar.value < 0.0], default=high)
        ax.set_ylim(min(low, lowest - 0.12 * height), high + 0.12 * height)


def _draw_category_bars(panel: Panel, bars: CategoryBars, ax: "Axes") -> None:
    """Draw bars by category, with totals as marks over them."""
    if bars.horizontal:
        _draw_horizontal_bars(panel, bars, ax)
        return
    count = len(bars.categories)
    places = np.arange(count)
    above, below = np.zeros(count), np.zeros(count)
    width = 0.75 / len(bars.series) if bars.grouped else 0.7
    for index, series in enumerate(bars.series):
        valid = np.flatnonzero(np.isfinite(series.values))
        values = series.values[valid]
        options: Any = {"color": series.colour, "gid": series.key, "label": series.name, "width": width}
        if bars.grouped:
            ax.bar(places[valid] + (index - (len(bars.series) - 1) / 2) * width, values, **options)
        else:
            ax.bar(places[valid], values, bottom=np.where(values >= 0.0, above[valid], below[valid]), **options)
            above[valid] += np.maximum(values, 0.0)
            below[valid] += np.minimum(values, 0.0)
    if bars.totals is not None:
        ax.plot(
            places, bars.totals.values, linestyle="", marker="D", markersize=4.5, color=theme.LIGHT.ink, zorder=5,
            markeredgecolor="white", label=bars.totals.name, gid=bars.totals.key, clip_on=False,
        )  # fmt: skip
    step = -(-count // _MAX_AXIS_NAMES) if not bars.grouped else 1
    # matplotlib would end the axis where a bar begins, which is right only at zero
    for bar in ax.patches:
        bar.sticky_edges.y[:] = [0.0]
    ax.margins(y=0.06)
    vertical = bars.grouped and count > _MAX_HORIZONTAL_NAMES
    names = bars.categories if vertical else theme.axis_labels(bars.categories[::step])
    ax.set_xticks(places[::step], names, rotation=90 if vertical else 0)
    ax.tick_params(axis="x", length=0, labelsize=8)
    ax.axhline(0.0, color=theme.LIGHT.faint, linewidth=0.8)


def _draw_horizontal_bars(panel: Panel, bars: CategoryBars, ax: "Axes") -> None:
    """Draw horizontal bars, the first category at the top, with a label beside each."""
    for series in bars.series:
        valid = np.flatnonzero(np.isfinite(series.values))
        values = series.values[valid]
        ax.barh(valid, values, height=0.7, color=series.colour, gid=series.key, label="_" + series.name)
        for place, value in zip(valid, values, strict=True):
            ax.annotate(
                series.bar_labels[place], (value, place), xytext=(3 if value >= 0.0 else -3, 0), va="center",
                fontsize=8, textcoords="offset points", ha="left" if value >= 0.0 else "right",
            )  # fmt: skip
    ax.set_yticks(np.arange(len(bars.categories)), bars.categories)
    ax.invert_yaxis()
    ax.set_xlabel(panel.title)
    ax.set_ylabel("")
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.xaxis.set_major_formatter(_formatter(panel.kind == "percent"))
    ax.axvline(0.0, color=theme.LIGHT.faint, linewidth=0.8)


def _draw_heatmap(heatmap: Heatmap, ax: "Axes") -> None:
    """Draw a heatmap: a coloured table if its axes have names, else a map over two quantities."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    is_table = heatmap.x.dtype.kind == "U"
    colours = LinearSegmentedColormap.from_list("map", theme.LIGHT_HEATMAP if is_table else theme.HEATMAP)
    scale = Normalize(heatmap.centre - heatmap.half_range, heatmap.centre + heatmap.half_range, clip=True)
    axes = (heatmap.x, heatmap.y)
    # the width of a single row or column does not follow from its neighbours
    edges = [np.arange(len(axis) + 1) - 0.5 if is_table else axis for axis in axes]
    drawn = ax.pcolormesh(
        *edges, heatmap.values, cmap=colours, norm=scale, shading="flat" if is_table else "nearest", gid="grid",
        rasterized=True, edgecolor="white" if is_table else "none", linewidth=1.5 if is_table else 0.0,
    )  # fmt: skip
    ax.grid(visible=False)
    if is_table:
        _label_cells(heatmap, ax)
    else:
        _draw_map(heatmap, drawn, ax)


def _label_cells(heatmap: Heatmap, ax: "Axes") -> None:
    """Names of rows and columns, and the labels in the cells, of a coloured table."""
    ax.set_xticks(np.arange(len(heatmap.x)), heatmap.x)
    ax.set_yticks(np.arange(len(heatmap.y)), heatmap.y)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for row, column in np.ndindex(heatmap.values.shape):
        if heatmap.cell_labels is not None and heatmap.cell_labels[row, column]:
            ax.text(column, row, str(heatmap.cell_labels[row, column]), ha="center", va="center", fontsize=7)


def _draw_map(heatmap: Heatmap, drawn: Any, ax: "Axes") -> None:
    """Colour scale, axes, boundary and points of a map over two quantities."""
    bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(_formatter(heatmap.scale_title.endswith("%")))
    ax.set_xlabel(heatmap.x_title)
    ax.set_ylabel(heatmap.y_title)
    ax.xaxis.set_major_formatter(_formatter(True))
    ax.yaxis.set_major_formatter(_formatter(True))
    ax.set_xlim(heatmap.x[0], heatmap.x[-1])
    ax.set_ylim(heatmap.y[0], heatmap.y[-1])
    if heatmap.boundary is not None:
        ax.plot(*heatmap.boundary, color=theme.LIGHT.ink, linewidth=1.5, label=heatmap.boundary_name, gid="edge")
    for point in heatmap.points:
        ax.plot(
            [point.x], [point.y], marker="o", linestyle="", markersize=7, color=theme.WARNING, gid="point",
            markeredgecolor=theme.LIGHT.ink, label=point.name,
        )  # fmt: skip


def _draw_text_table(table: TextTable, ax: "Axes") -> None:
    """Draw a table of texts; long ones are cut."""
    from matplotlib.transforms import Bbox

    ax.set_axis_off()
    short = [(key, *(text if len(text) <= _MAX_CELL_LETTERS else text[: _MAX_CELL_LETTERS - 1] + "…" for text in row))
             for key, *row in table.rows]  # fmt: skip
    table = TextTable(table.columns, tuple(short))
    letters_in_row = sum(table.column_widths)
    drawn = ax.table(
        cellText=[list(row) for row in table.rows], colLabels=list(table.columns), cellLoc="left", colLoc="left",
        bbox=Bbox.unit(), edges="horizontal",
        colWidths=[letters / letters_in_row for letters in table.column_widths],
    )  # fmt: skip
    drawn.auto_set_font_size(False)
    # six inches of 72 points must hold so many letters
    drawn.set_fontsize(min(8.0, 6 * 72 / (0.58 * letters_in_row)))
    for (row, _), cell in drawn.get_celld().items():
        cell.set_edgecolor(theme.LIGHT.grid)
        cell.PAD = 0.02
        if row == 0:
            cell.set_text_props(fontweight="bold")
    drawn.set_gid("cells")
