"""Panels that stand on no axis of time, for matplotlib: a twin of `charts`. Imports matplotlib on use."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from basis.plots import theme
from basis.plots.pictures import Cells, Grid, Panel, Stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: With more categories than this not every one is named under the axis; more names of causes than this stand upright.
_NAMED, _WIDE = 12, 8
#: Letters of a cell of a table; what is longer is cut.
_LETTERS = 28


def draw(panel: Panel, ax: "Axes") -> None:
    """Draw the one panel of a picture."""
    if panel.cells is not None:
        _table(panel.cells, ax)
        return
    if panel.grid is not None:
        _grid(panel.grid, ax)
        return
    ax.set_ylabel(panel.title)
    if panel.window is not None:
        (ax.set_xlim if panel.stack is not None and panel.stack.lying else ax.set_ylim)(*panel.window)
    ax.yaxis.set_major_formatter(_formatter(panel.kind == "percent"))
    if panel.bars:
        _bars(panel, ax)
    elif panel.stack is not None:
        _stack(panel, panel.stack, ax)


def _formatter(percent: bool, form: str = ",.10g") -> Any:
    from matplotlib.ticker import FuncFormatter

    if percent:
        return FuncFormatter(lambda value, _: f"{100.0 * value:{form}}%".replace("-", "−"))
    return FuncFormatter(lambda value, _: f"{value:{form}}".replace("-", "−"))


def _bars(panel: Panel, ax: "Axes") -> None:
    for place, bar in enumerate(panel.bars):
        # an edge of its colour, so that what is too low for a bar is a line
        ax.bar(
            place, bar.value, bottom=bar.base, width=0.65, color=bar.colour, edgecolor=bar.colour, linewidth=0.6,
            gid=bar.key, label="_" + bar.name,
        )  # fmt: skip
        up = bar.value >= 0.0
        ax.annotate(
            bar.words, (place, bar.end), xytext=(0, 2 if up else -2), textcoords="offset points", ha="center",
            va="bottom" if up else "top", fontsize=8 if len(panel.bars) < 9 else 7 if len(panel.bars) < 12 else 6,
        )  # fmt: skip
    for place, (bar, _) in enumerate(pairwise(panel.bars)):
        ax.plot([place, place + 1], [bar.end] * 2, color=theme.OTHER, linewidth=0.7, linestyle=":", label="_joint")
    upright = len(panel.bars) > _WIDE
    names = [bar.name if upright else "\n".join(theme.two_lines(bar.name)) for bar in panel.bars]
    ax.set_xticks(range(len(names)), names, rotation=90 if upright else 0, fontsize=8)
    ax.tick_params(axis="x", length=0)
    if panel.window is None:
        # room for the words; bars would hold the axis at their edge
        edges = [edge for bar in panel.bars for edge in (bar.base, bar.end)]
        low, high = min(edges), max(edges)
        room = (high - low) or 1.0
        # those of what falls stand below it, where they must not reach the names under the axis
        lowest = min([bar.end for bar in panel.bars if bar.value < 0.0], default=high)
        ax.set_ylim(min(low, lowest - 0.12 * room), high + 0.12 * room)


def _stack(panel: Panel, stack: Stack, ax: "Axes") -> None:
    count = len(stack.categories)
    places = np.arange(count)
    above, below = np.zeros(count), np.zeros(count)
    width = 0.75 / (len(stack.parts) if stack.grouped else 1)
    for index, part in enumerate(stack.parts):
        there = np.flatnonzero(np.isfinite(part.values))
        values = part.values[there]
        options: Any = {"color": part.colour, "gid": part.key, "label": ("_" if stack.lying else "") + part.name}
        if stack.lying:
            ax.barh(there, values, height=0.7, **options)
            for place, value in zip(there, values, strict=True):
                ax.annotate(
                    part.labels[place], (value, place), xytext=(3 if value >= 0.0 else -3, 0), va="center", fontsize=8,
                    textcoords="offset points", ha="left" if value >= 0.0 else "right",
                )  # fmt: skip
        elif stack.grouped:
            ax.bar(places[there] + (index - (len(stack.parts) - 1) / 2) * width, values, width=width, **options)
        else:
            start = np.where(values >= 0.0, above[there], below[there])
            ax.bar(places[there], values, bottom=start, width=0.7, **options)
            above[there] += np.maximum(values, 0.0)
            below[there] += np.minimum(values, 0.0)
    if stack.totals is not None:
        ax.plot(
            places, stack.totals.values, linestyle="", marker="D", markersize=4.5, color=theme.LIGHT.ink, zorder=5,
            markeredgecolor="white", label=stack.totals.name, gid=stack.totals.key, clip_on=False,
        )  # fmt: skip
    if stack.lying:
        ax.set_yticks(places, stack.categories)
        ax.invert_yaxis()
        ax.set_xlabel(panel.title)
        ax.set_ylabel("")
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x")
        ax.xaxis.set_major_formatter(_formatter(panel.kind == "percent"))
        ax.axvline(0.0, color=theme.LIGHT.faint, linewidth=0.8)
    else:
        step = -(-count // _NAMED) if not stack.grouped else 1
        # a bar holds the axis where it begins: only at zero is that an edge of the panel
        for bar in ax.patches:
            bar.sticky_edges.y[:] = [0.0]
        ax.margins(y=0.06)
        upright = stack.grouped and count > _WIDE
        names = stack.categories if upright else theme.under_axis(stack.categories[::step])
        ax.set_xticks(places[::step], names, rotation=90 if upright else 0)
        ax.tick_params(axis="x", length=0, labelsize=8)
        ax.axhline(0.0, color=theme.LIGHT.faint, linewidth=0.8)


def _grid(grid: Grid, ax: "Axes") -> None:
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    named = grid.x.dtype.kind == "U"
    x, y = (np.arange(len(axis)) if named else axis for axis in (grid.x, grid.y))
    colours = LinearSegmentedColormap.from_list("map", theme.LIGHT_MAP if named else theme.MAP)
    scale = Normalize(grid.middle - grid.reach, grid.middle + grid.reach, clip=True)
    # a single row or column has no neighbour to tell how wide it is
    edges = [np.arange(len(axis) + 1) - 0.5 if named else axis for axis in (x, y)]
    drawn = ax.pcolormesh(
        *edges, grid.values, cmap=colours, norm=scale, shading="flat" if named else "nearest", gid="grid",
        rasterized=True, edgecolor="white" if named else "none", linewidth=1.5 if named else 0.0,
    )  # fmt: skip
    ax.grid(visible=False)
    if named:
        ax.set_xticks(x, grid.x)
        ax.set_yticks(y, grid.y)
        ax.invert_yaxis()
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        for row, column in np.ndindex(grid.values.shape):
            if grid.labels is not None and grid.labels[row, column]:
                ax.text(column, row, str(grid.labels[row, column]), ha="center", va="center", fontsize=7)
        return
    bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(_formatter(grid.scale.endswith("%")))
    ax.set_xlabel(grid.x_title)
    ax.set_ylabel(grid.y_title)
    ax.xaxis.set_major_formatter(_formatter(True))
    ax.yaxis.set_major_formatter(_formatter(True))
    ax.set_xlim(grid.x[0], grid.x[-1])
    ax.set_ylim(grid.y[0], grid.y[-1])
    if grid.edge is not None:
        ax.plot(*grid.edge, color=theme.LIGHT.ink, linewidth=1.5, label=grid.edge_name, gid="edge")
    for point in grid.points:
        ax.plot(
            [point.x], [point.y], marker="o", linestyle="", markersize=7, color=theme.WARNING, gid="point",
            markeredgecolor=theme.LIGHT.ink, label=point.name,
        )  # fmt: skip


def _table(cells: Cells, ax: "Axes") -> None:
    from matplotlib.transforms import Bbox

    ax.set_axis_off()
    short = [(key, *(text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…" for text in row))
             for key, *row in cells.rows]  # fmt: skip
    cells = Cells(cells.columns, tuple(short))
    wide = sum(cells.letters)
    made = ax.table(
        cellText=[list(row) for row in cells.rows], colLabels=list(cells.columns), cellLoc="left", colLoc="left",
        bbox=Bbox.unit(), edges="horizontal",
        colWidths=[letters / wide for letters in cells.letters],
    )  # fmt: skip
    made.auto_set_font_size(False)
    # six inches of 72 points hold so many letters
    made.set_fontsize(min(8.0, 6 * 72 / (0.58 * wide)))
    for (row, _), cell in made.get_celld().items():
        cell.set_edgecolor(theme.LIGHT.grid)
        cell.PAD = 0.02
        if row == 0:
            cell.set_text_props(fontweight="bold")
    made.set_gid("cells")
