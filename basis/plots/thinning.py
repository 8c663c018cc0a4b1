"""Fewer rows than a run has, for figures that stay fluid, with every extreme kept. Imports numpy only."""

from dataclasses import replace

import numpy as np

from basis.plots.pictures import Marks, Panel, Picture, Shade

#: Rows of a figure's lines, about.
ROWS = 3_000
#: A screen has fewer columns than this: of more shades or marks, those nearer to each other than a column are one.
_COLUMNS = 1_500


def thin(picture: Picture, most: int = ROWS) -> Picture:
    """A picture with about `most` rows at the most, for the eye the same.

    The rows are cut into equal buckets. Of each the highest and the lowest row of every line stay, and of every stack
    as a whole; so do the first and the last row, the edges of gaps, and the rows of the marks. All lines keep the
    same rows, so that what is read at an instant belongs together.
    """
    rows = len(picture.stamps)
    series = [line.values for panel in picture.panels for line in panel.lines]
    for panel in picture.panels:
        if panel.bands:
            series += [band.values for band in panel.bands]
            series += [sum(band.upper for band in panel.bands), sum(band.lower for band in panel.bands)]
    if rows <= most or not series:
        return picture
    column = (picture.stamps[-1] - picture.stamps[0]) / _COLUMNS
    thinned = replace(picture, panels=tuple(_sparse(panel, column) for panel in picture.panels))
    values = np.stack(series)
    marked = [marks.stamps for panel in thinned.panels for marks in panel.marks]
    fixed = np.unique(np.concatenate(([0, rows - 1], _gaps(values), *(_rows(picture.stamps, at) for at in marked))))
    # lines that move together share their extremes, so that the first guess is more than would fit at the worst
    buckets = max(most * 3 // (2 * len(values)), 50)
    while True:
        kept = np.union1d(fixed, extremes(values, buckets))
        if len(kept) <= max(most, len(fixed) + most // 2) or buckets <= 50:
            return thinned.at_rows(kept)
        buckets = int(buckets * 0.8)


def extremes(values: np.ndarray, buckets: int) -> np.ndarray:
    """Rows, in order, of the lowest and the highest value in each bucket of each of the (lines, rows) values."""
    lines, rows = values.shape
    size = -(-rows // buckets)
    short = -rows % size
    found = []
    for sign in (1.0, -1.0):
        signed = np.where(np.isfinite(values), sign * values, np.inf)
        cut = np.pad(signed, ((0, 0), (0, short)), constant_values=np.inf).reshape(lines, -1, size)
        found.append((cut.argmin(axis=2) + np.arange(cut.shape[1]) * size).ravel())
    both = np.concatenate(found)
    return np.unique(both[both < rows])


def _gaps(values: np.ndarray) -> np.ndarray:
    """Rows beside which a line begins or ends; of many in a column of the screen the first and the last."""
    edges = np.flatnonzero((np.diff(np.isfinite(values), axis=1)).any(axis=0))
    column = edges * _COLUMNS // values.shape[1]
    ends = np.concatenate(([True], column[1:] != column[:-1], [True]))
    edges = edges[ends[:-1] | ends[1:]] if len(edges) else edges
    return np.concatenate((edges, edges + 1))


def _rows(stamps: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(stamps, wanted), 0, len(stamps) - 1)


def _sparse(panel: Panel, column: np.timedelta64) -> Panel:
    """The panel without shades and alerts that no screen could tell from their neighbours; few stay as they are."""
    shades = tuple(_joined(shade, column) if len(shade.starts) > _COLUMNS else shade for shade in panel.shades)
    marks = tuple(
        _apart(marks, column) if marks.kind == "critical" and len(marks.stamps) > _COLUMNS else marks
        for marks in panel.marks
    )
    return replace(panel, shades=shades, marks=marks)


def _joined(shade: Shade, column: np.timedelta64) -> Shade:
    """Spans less than a column apart become one."""
    apart = shade.starts[1:] - shade.ends[:-1] >= column
    starts = shade.starts[np.concatenate(([True], apart))]
    return Shade(shade.level, starts, shade.ends[np.concatenate((apart, [True]))])


def _apart(marks: Marks, column: np.timedelta64) -> Marks:
    """Of the marks in each column the lowest and the highest."""
    place = ((marks.stamps - marks.stamps[0]) // column).astype(np.int64)
    order = np.lexsort((marks.values, place))
    first = np.concatenate(([True], place[order][1:] != place[order][:-1]))
    last = np.concatenate((first[1:], [True]))
    kept = np.sort(order[first | last])
    return replace(
        marks, stamps=marks.stamps[kept], values=marks.values[kept], words=tuple(marks.words[at] for at in kept)
    )
