"""The content of a figure before it is drawn: panels with lines, bands, bars, marks, shades and limits.

Values are the run's own numbers on the picture's stamps. The modules of `backends` decide how they are drawn. Imports
numpy only.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Line:
    """A line over the rows.

    Attributes
    ----------
    name : str
        Name for the legend and the hover text.
    key : str
        Column of the run folder that the values come from.
    values : numpy.ndarray
        (rows,); NaN where there is no value.
    colour : str
        ``#rrggbb``, or empty for the text colour of the figure.
    faint : bool
        The line is drawn thin and behind the others.
    filled : bool
        The area between the line and zero is filled.
    group : str
        Lines of one group share the legend entry of that name.
    in_legend : bool
        The line has a legend entry. It needs none where the title of its panel says enough.
    stepped : bool
        A value holds until the next one.
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    faint: bool = False
    filled: bool = False
    group: str = ""
    in_legend: bool = True
    stepped: bool = False

    @property
    def is_point(self) -> bool:
        """Whether the line has a single value, which is visible only with a marker."""
        return int(np.isfinite(self.values).sum()) == 1


@dataclass(frozen=True)
class Band:
    """One series of a stack over the rows. Positive values stack upwards from zero, negative values downwards.

    Attributes
    ----------
    values : numpy.ndarray
        (rows,); the values of this series alone, not those of the stack.
    in_legend : bool
        The band has a legend entry.
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    in_legend: bool = True

    @property
    def upper(self) -> np.ndarray:
        """(rows,) positive values, 0 elsewhere. `upper` plus `lower` equals `values` exactly."""
        return np.maximum(self.values, 0.0)

    @property
    def lower(self) -> np.ndarray:
        """(rows,) negative values, 0 elsewhere."""
        return np.minimum(self.values, 0.0)


@dataclass(frozen=True)
class WaterfallStep:
    """A bar of a waterfall, from `base` to `base + value`.

    Attributes
    ----------
    label : str
        Short text of the value, written over the bar.
    is_total : bool
        The bar shows a total (the equity at the start or at the end) and not a change.
    """

    name: str
    key: str
    base: float
    value: float
    label: str
    colour: str
    is_total: bool = False

    @property
    def end(self) -> float:
        """Value at which the next bar begins."""
        return self.base + self.value


@dataclass(frozen=True)
class BarSeries:
    """One series of `CategoryBars`.

    Attributes
    ----------
    values : numpy.ndarray
        (categories,); NaN where the series has no bar.
    hover_texts : tuple[str, ...]
        One hover text per category.
    bar_labels : tuple[str, ...]
        One text per category beside its bar, or empty.
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    hover_texts: tuple[str, ...]
    bar_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class CategoryBars:
    """Bars by category.

    Attributes
    ----------
    categories : tuple[str, ...]
        Names along the axis.
    series : tuple[BarSeries, ...]
        The bars of one category are stacked, or stand side by side if `grouped`.
    horizontal : bool
        Categories are on the vertical axis, the first at the top, and bars are horizontal.
    totals : BarSeries, optional
        Marks over the bars.
    """

    categories: tuple[str, ...]
    series: tuple[BarSeries, ...]
    grouped: bool = False
    horizontal: bool = False
    totals: BarSeries | None = None


@dataclass(frozen=True)
class Point:
    """A marked point of a heatmap."""

    x: float
    y: float
    name: str
    hover_text: str


@dataclass(frozen=True)
class Heatmap:
    """Coloured values over two axes. One hue stands for values below `centre`, another one for values above it.

    Attributes
    ----------
    x, y : numpy.ndarray
        (columns,) and (rows,); names of the cells, or numbers.
    values : numpy.ndarray
        (rows, columns); NaN where there is no value.
    hover_template : str
        Hover text of a cell, with ``{x}``, ``{y}`` and ``{z}`` and their formats, such as ``{z:.1%}``.
    cell_labels : numpy.ndarray, optional
        (rows, columns) texts inside the cells.
    centre, half_range : float
        The colour scale goes from ``centre - half_range`` to ``centre + half_range``.
    scale_title : str
        What the colours show, with its unit.
    x_title, y_title : str
        Titles of the axes, with their units.
    boundary : numpy.ndarray, optional
        (2, points); a line across the map called `boundary_name`, NaN where it leaves the map.
    points : tuple[Point, ...]
        Points that are marked.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    hover_template: str
    cell_labels: np.ndarray | None
    centre: float
    half_range: float
    scale_title: str
    x_title: str = ""
    y_title: str = ""
    boundary: np.ndarray | None = None
    boundary_name: str = ""
    points: tuple[Point, ...] = ()


@dataclass(frozen=True)
class TextTable:
    """A table of texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def column_widths(self) -> list[int]:
        """Width of each column in letters."""
        return [max(map(len, column)) + 3 for column in zip(self.columns, *self.rows, strict=True)]


@dataclass(frozen=True)
class Marks:
    """Markers at single instants, each with a hover text.

    Attributes
    ----------
    kind : str
        ``critical``, ``stop``, ``deposit``, ``withdrawal``, ``deepest``, or a kind of event.
    stamps, values : numpy.ndarray
        (marks,) instant and height of each marker.
    hover_texts : tuple[str, ...]
        One text per marker; its lines are separated by newlines.
    """

    name: str
    kind: str
    stamps: np.ndarray
    values: np.ndarray
    hover_texts: tuple[str, ...]


@dataclass(frozen=True)
class Shade:
    """Periods in which a measure was beyond a limit.

    Attributes
    ----------
    level : int
        1 warning, 2 critical.
    starts, ends : numpy.ndarray
        (periods,) first instant beyond the limit, and first instant within it again.
    """

    level: int
    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class Limit:
    """A horizontal line with a label, which stands above the line or below it."""

    name: str
    value: float
    colour: str
    label: str
    above: bool


@dataclass(frozen=True)
class Panel:
    """One vertical axis and what is drawn on it.

    Attributes
    ----------
    title : str
        What is measured, and its unit.
    kind : str
        ``money``, ``amount``, ``days``, ``percent`` (the values are fractions), ``ratio`` or ``text``.
    decimals : int
        Decimals of an amount in hover texts.
    axis_range : tuple[float, float], optional
        Range of the axis; None fits it to the values.
    note : str
        What the reader must know about the axis, or empty.
    weight : float
        Height relative to the other panels.
    waterfall, category_bars, heatmap, text_table
        Content of a panel without a time axis; such a panel holds exactly one of them and nothing else.
    """

    title: str
    kind: str
    decimals: int = 2
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    marks: tuple[Marks, ...] = ()
    shades: tuple[Shade, ...] = ()
    limits: tuple[Limit, ...] = ()
    axis_range: tuple[float, float] | None = None
    note: str = ""
    weight: float = 1.0
    waterfall: tuple[WaterfallStep, ...] = ()
    category_bars: CategoryBars | None = None
    heatmap: Heatmap | None = None
    text_table: TextTable | None = None

    @property
    def unit(self) -> str:
        """Unit of what is measured: the last part of the title."""
        return self.title.rpartition(", ")[2]

    @property
    def over_time(self) -> bool:
        """Whether the panel has a time axis."""
        return not (self.waterfall or self.category_bars or self.heatmap or self.text_table)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Lowest and highest value drawn over time; None if no value is finite."""
        drawn = [line.values for line in self.lines]
        if self.bands:
            drawn += [sum(band.upper for band in self.bands), sum(band.lower for band in self.bands)]
        drawn += [marks.values for marks in self.marks]
        found = np.concatenate([values[np.isfinite(values)] for values in drawn] or [np.empty(0)])
        if not len(found):
            return None
        ends = [found.min(), found.max(), *([0.0] if any(line.filled for line in self.lines) else [])]
        return float(min(ends)), float(max(ends))

    def limit_label_offsets(self, panel_height: float, label_height: float) -> list[tuple[Limit, float]]:
        """Place the labels of the limits so that they do not overlap.

        Parameters
        ----------
        panel_height, label_height : float
            Heights of the panel and of one label, in the same unit.

        Returns
        -------
        list[tuple[Limit, float]]
            Each limit that has a label, and how far above its line the middle of the label stands, in that unit.
        """
        labelled = sorted((limit for limit in self.limits if limit.label), key=lambda limit: limit.value)
        if not labelled:
            return []
        low, high = self.axis_range or (labelled[0].value, labelled[-1].value)
        scale = panel_height / ((high - low) or 1.0)
        at = [limit.value * scale + (0.5 if limit.above else -0.5) * label_height for limit in labelled]
        for lower in range(len(at) - 1):
            missing = label_height - (at[lower + 1] - at[lower])
            if missing > 0.0:
                at[lower + 1] += missing / 2
                at[: lower + 1] = [place - missing / 2 for place in at[: lower + 1]]
        return [(limit, place - limit.value * scale) for limit, place in zip(labelled, at, strict=True)]


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        Name of the method of `Plots` that makes it; each kind of attribution has its own.
    title, subtitle : str
        What the figure shows, and of which run.
    stamps : numpy.ndarray
        (rows,) datetime64[us] UTC of the lines and bands.
    panels : tuple[Panel, ...]
        From top to bottom. Without panels, `note` says why there is nothing to draw.
    total_rows : int, optional
        Number of rows of the run, if `stamps` holds only some of them.
    """

    name: str
    title: str
    subtitle: str
    unit: str
    stamps: np.ndarray
    panels: tuple[Panel, ...] = ()
    note: str = ""
    total_rows: int | None = None

    @property
    def over_time(self) -> bool:
        """Whether the panels share a time axis. A panel with another axis is the only one of its picture."""
        return all(panel.over_time for panel in self.panels)

    @property
    def time_axis_title(self) -> str:
        """Title of the time axis. It says so if not every row is drawn."""
        if self.total_rows is None:
            return "time, UTC"
        return f"time, UTC · {len(self.stamps):,} of {self.total_rows:,} rows drawn, every extreme kept"

    @property
    def time_range(self) -> tuple[np.datetime64, np.datetime64]:
        """First and last instant of the time axis."""
        first, last = self.stamps[0], self.stamps[-1]
        if first == last:
            # a single instant is shown in the middle of its day
            return first - np.timedelta64(12, "h"), last + np.timedelta64(12, "h")
        marked = [
            stamp for panel in self.panels for marks in panel.marks for stamp in (marks.stamps[0], marks.stamps[-1])
        ]
        # a mark at the very end would cover the numbers beside the axis
        margin = (last - first) * 3 // 200
        return first - margin * (first in marked), last + margin * (last in marked)

    def at_rows(self, rows: np.ndarray) -> "Picture":
        """The same picture with its lines and bands at the given rows only."""
        panels = tuple(
            replace(
                panel,
                lines=tuple(replace(line, values=line.values[rows]) for line in panel.lines),
                bands=tuple(replace(band, values=band.values[rows]) for band in panel.bands),
            )
            for panel in self.panels
        )
        return replace(self, stamps=self.stamps[rows], panels=panels, total_rows=len(self.stamps))
