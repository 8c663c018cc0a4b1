"""What a figure shows, before anything draws it: panels of lines, stacked bands, bars, marks, shades and limits.

Values are the run's own, on the picture's stamps; how they are drawn is left to `figures` and `print`. Imports numpy
only.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Line:
    """A line through the rows.

    Attributes
    ----------
    name, key : in words, and the column of the run folder it is of
    values : (rows,) NaN where there is no value
    colour : ``#rrggbb``, or empty for the ink of the ground
    faint : drawn thin, behind the others
    filled : the area to zero is filled
    group : lines of a group share the entry of the legend that bears its name
    listed : it has an entry in the legend; its panel's title may say enough
    stepped : a value holds until the next
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    faint: bool = False
    filled: bool = False
    group: str = ""
    listed: bool = True
    stepped: bool = False

    @property
    def is_point(self) -> bool:
        """Whether it has one value: a line alone would not be seen."""
        return int(np.isfinite(self.values).sum()) == 1


@dataclass(frozen=True)
class Band:
    """One of a stack: what is positive stands on what is positive below it, what is negative hangs likewise.

    Attributes
    ----------
    values : (rows,) the band's own values, not those of the stack
    listed : it has an entry in the legend
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    listed: bool = True

    @property
    def upper(self) -> np.ndarray:
        """(rows,) values where positive, else 0; with `lower` they sum to the values exactly."""
        return np.maximum(self.values, 0.0)

    @property
    def lower(self) -> np.ndarray:
        """(rows,) values where negative, else 0."""
        return np.minimum(self.values, 0.0)


@dataclass(frozen=True)
class Bar:
    """A bar from `base` to `base + value`, its value in `words`; a `level` stands for itself and not for a step."""

    name: str
    key: str
    base: float
    value: float
    words: str
    colour: str
    level: bool = False

    @property
    def end(self) -> float:
        """Where the next bar begins."""
        return self.base + self.value


@dataclass(frozen=True)
class Part:
    """One series of a `Stack`.

    Attributes
    ----------
    values : (categories,) NaN where it has no bar
    words : a text per category, for the hover
    labels : a text per category beside its bar, or empty
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    words: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """Bars by category, on either side of zero.

    Attributes
    ----------
    categories : names along the axis
    parts : series; those of one category stand on each other, or ``grouped`` beside each other
    lying : categories stand on the vertical axis, the first on top
    totals : marks over the bars, or None
    """

    categories: tuple[str, ...]
    parts: tuple[Part, ...]
    grouped: bool = False
    lying: bool = False
    totals: Part | None = None


@dataclass(frozen=True)
class Point:
    """A point of a map, with its words."""

    x: float
    y: float
    name: str
    words: str


@dataclass(frozen=True)
class Grid:
    """Values over two axes, coloured: one hue below `middle` and another above it.

    Attributes
    ----------
    x, y : (columns,), (rows,) names of cells, or numbers
    values : (rows, columns) NaN where there is none
    words : what the hover says of a cell, by its ``{x}``, ``{y}`` and ``{z}`` with formats such as ``{z:.1%}``
    labels : (rows, columns) texts in the cells, None for none
    middle, reach : the colours go from ``middle − reach`` to ``middle + reach``
    scale : what the colours are, with its unit
    x_title, y_title : of the axes, with their units
    edge : (2, points) a line across, NaN where it leaves the map, with `edge_name`
    points : what is marked
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    words: str
    labels: np.ndarray | None
    middle: float
    reach: float
    scale: str
    x_title: str = ""
    y_title: str = ""
    edge: np.ndarray | None = None
    edge_name: str = ""
    points: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Cells:
    """A table of texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def letters(self) -> list[int]:
        """Letters that each column is wide."""
        return [max(map(len, column)) + 3 for column in zip(self.columns, *self.rows, strict=True)]


@dataclass(frozen=True)
class Marks:
    """Instants that must be seen, each with its words.

    Attributes
    ----------
    kind : ``critical``, ``stop``, ``deposit``, ``withdrawal``, ``deepest``, or a kind of event
    stamps, values : (marks,)
    words : a text per mark, lines divided by newlines
    """

    name: str
    kind: str
    stamps: np.ndarray
    values: np.ndarray
    words: tuple[str, ...]


@dataclass(frozen=True)
class Shade:
    """Spans in which a measure was beyond a limit (`level` 1 warning, 2 critical), each to where it no longer was."""

    level: int
    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class Limit:
    """A horizontal line; `above` says on which side of it its words stand."""

    name: str
    value: float
    colour: str
    words: str
    above: bool


@dataclass(frozen=True)
class Panel:
    """One vertical axis with what stands on it.

    Attributes
    ----------
    title : what is measured, and its unit
    kind : ``money``, ``amount``, ``days``, ``percent`` (values are fractions), ``ratio`` or ``text``
    places : digits after the point of an amount
    window : range of the axis, None for that of the values
    note : what the reader must know about the axis, or empty
    weight : height, in parts of the figure's
    stack, grid, cells : the one thing on a panel that is none of instants
    """

    title: str
    kind: str
    places: int = 2
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    bars: tuple[Bar, ...] = ()
    marks: tuple[Marks, ...] = ()
    shades: tuple[Shade, ...] = ()
    limits: tuple[Limit, ...] = ()
    window: tuple[float, float] | None = None
    note: str = ""
    weight: float = 1.0
    stack: Stack | None = None
    grid: Grid | None = None
    cells: Cells | None = None

    @property
    def unit(self) -> str:
        """Unit of what is measured, the last part of the title."""
        return self.title.rpartition(", ")[2]

    @property
    def timed(self) -> bool:
        """Whether it stands on the axis of instants."""
        return not (self.bars or self.stack or self.grid or self.cells)

    @property
    def reach(self) -> tuple[float, float] | None:
        """Lowest and highest value drawn over time; None where no value is a number."""
        drawn = [line.values for line in self.lines]
        if self.bands:
            drawn += [sum(band.upper for band in self.bands), sum(band.lower for band in self.bands)]
        drawn += [marks.values for marks in self.marks]
        found = np.concatenate([values[np.isfinite(values)] for values in drawn] or [np.empty(0)])
        if not len(found):
            return None
        ends = [found.min(), found.max(), *([0.0] if any(line.filled for line in self.lines) else [])]
        return float(min(ends)), float(max(ends))

    def words_of_limits(self, height: float, line: float) -> list[tuple[Limit, float]]:
        """Limits that have words, and how far over its line the middle of each one's words stands.

        Parameters
        ----------
        height, line : of the panel, and of a line of words, in one unit, which is that of what is returned
        """
        named = sorted((limit for limit in self.limits if limit.words), key=lambda limit: limit.value)
        if not named:
            return []
        low, high = self.window or (named[0].value, named[-1].value)
        scale = height / ((high - low) or 1.0)
        at = [limit.value * scale + (0.5 if limit.above else -0.5) * line for limit in named]
        for lower in range(len(at) - 1):
            short = line - (at[lower + 1] - at[lower])
            if short > 0.0:
                at[lower + 1] += short / 2
                at[: lower + 1] = [place - short / 2 for place in at[: lower + 1]]
        return [(limit, place - limit.value * scale) for limit, place in zip(named, at, strict=True)]


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : what `Plots` calls it; the kinds of attribution have their own
    title, subtitle : what it shows, and of which run
    stamps : (rows,) datetime64[us] UTC of lines and bands
    panels : from top to bottom; none where there is nothing to draw, and `note` says why
    of_rows : of how many rows those of `stamps` are some, None where they are all
    """

    name: str
    title: str
    subtitle: str
    unit: str
    stamps: np.ndarray
    panels: tuple[Panel, ...] = ()
    note: str = ""
    of_rows: int | None = None

    @property
    def timed(self) -> bool:
        """Whether its panels stand on an axis of instants; one that has another stands alone."""
        return all(panel.timed for panel in self.panels)

    @property
    def time_title(self) -> str:
        """Title of the axis of instants; it says where lines have not every row."""
        if self.of_rows is None:
            return "time, UTC"
        return f"time, UTC · {len(self.stamps):,} of {self.of_rows:,} rows drawn, every extreme kept"

    @property
    def span(self) -> tuple[np.datetime64, np.datetime64]:
        """Ends of the axis of instants."""
        first, last = self.stamps[0], self.stamps[-1]
        if first == last:
            # a single instant stands in the middle of its day
            return first - np.timedelta64(12, "h"), last + np.timedelta64(12, "h")
        marked = [
            stamp for panel in self.panels for marks in panel.marks for stamp in (marks.stamps[0], marks.stamps[-1])
        ]
        # a mark at the end would stand on the numbers beside the axis
        room = (last - first) * 3 // 200
        return first - room * (first in marked), last + room * (last in marked)

    def at_rows(self, rows: np.ndarray) -> "Picture":
        """The same with lines and bands at some of the rows only; everything else stays whole."""
        panels = tuple(
            replace(
                panel,
                lines=tuple(replace(line, values=line.values[rows]) for line in panel.lines),
                bands=tuple(replace(band, values=band.values[rows]) for band in panel.bands),
            )
            for panel in self.panels
        )
        return replace(self, stamps=self.stamps[rows], panels=panels, of_rows=len(self.stamps))
