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
    """

    name: str
    key: str
    values: np.ndarray
    colour: str
    faint: bool = False
    filled: bool = False
    group: str = ""


@dataclass(frozen=True)
class Band:
    """One of a stack: what is positive stands on what is positive below it, what is negative hangs likewise.

    Attributes
    ----------
    values : (rows,) the band's own values, not those of the stack
    """

    name: str
    key: str
    values: np.ndarray
    colour: str

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
class Marks:
    """Instants that must be seen, each with its words.

    Attributes
    ----------
    kind : ``liquidation``, ``critical``, ``stop``, ``deposit``, ``withdrawal`` or ``deepest``
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
    kind : ``money``, ``percent`` (values are fractions) or ``ratio``
    places : digits after the point of an amount
    window : range of the axis, None for that of the values
    note : what the reader must know about the axis, or empty
    weight : height, in parts of the figure's
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


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : ``equity``, ``drawdown``, ``area``, ``waterfall`` or ``risk``
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
