"""Thinning of figures to fewer rows, so that they stay fluid, with every extreme kept. Imports numpy only."""

from dataclasses import replace

import numpy as np

from basis.plots.picture import Marks, Panel, Picture, Shade

#: About so many rows of a run are drawn by default.
ROWS = 3_000
#: A screen has fewer columns of pixels than this. Of more shades or marks, those in one column are merged.
_SCREEN_COLUMNS = 1_500


def thin(picture: Picture, most: int = ROWS) -> Picture:
    """The picture with at most about `most` rows, which looks the same.

    The rows are divided into equal buckets. In each bucket the highest and the lowest row of every line, and of every
    stack as a whole, are kept; so are the first and the last row, the edges of gaps, and the rows of the marks. All
    lines keep the same rows, so that the values shown at an instant belong together.
    """
    rows = len(picture.stamps)
    series = [line.values for panel in picture.panels for line in panel.lines]
    for panel in picture.panels:
        if panel.bands:
            series += [band.values for band in panel.bands]
            series += [sum(band.upper for band in panel.bands), sum(band.lower for band in panel.bands)]
    if rows <= most or not series:
        return picture
    column = (picture.stamps[-1] - picture.stamps[0]) / _SCREEN_COLUMNS
    thinned = replace(picture, panels=tuple(_merge_crowded(panel, column) for panel in picture.panels))
    values = np.stack(series)
    marked = [marks.stamps for panel in thinned.panels for marks in panel.marks]
    fixed = np.unique(np.concatenate(([0, rows - 1], _gaps(values), *(_rows(picture.stamps, at) for at in marked))))
    # lines that move together share their extremes, so the first guess may exceed what fits in the worst case
    buckets = max(most * 3 // (2 * len(values)), 50)
    while True:
        kept = np.union1d(fixed, extremes(values, buckets))
        if len(kept) <= max(most, len(fixed) + most // 2) or buckets <= 50:
            return thinned.at_rows(kept)
        buckets = int(buckets * 0.8)


def extremes(values: np.ndarray, buckets: int) -> np.ndarray:
    """Sorted rows that hold the lowest or the highest value of a bucket, for each of the (lines, rows) values."""
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
    """Rows beside which a line begins or ends; of many in a screen column, the first and the last."""
    edges = np.flatnonzero((np.diff(np.isfinite(values), axis=1)).any(axis=0))
    column = edges * _SCREEN_COLUMNS // values.shape[1]
    ends = np.concatenate(([True], column[1:] != column[:-1], [True]))
    edges = edges[ends[:-1] | ends[1:]] if len(edges) else edges
    return np.concatenate((edges, edges + 1))


def _rows(stamps: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows of some instants."""
    return np.clip(np.searchsorted(stamps, wanted), 0, len(stamps) - 1)


def _merge_crowded(panel: Panel, column: np.timedelta64) -> Panel:
    """The panel without shades and alerts that a screen cannot separate from their neighbours."""
    shades = tuple(
        _merge_periods(shade, column) if len(shade.starts) > _SCREEN_COLUMNS else shade for shade in panel.shades
    )
    marks = tuple(
        _thin_marks(marks, column) if marks.kind == "critical" and len(marks.stamps) > _SCREEN_COLUMNS else marks
        for marks in panel.marks
    )
    return replace(panel, shades=shades, marks=marks)


def _merge_periods(shade: Shade, column: np.timedelta64) -> Shade:
    """Periods less than a screen column apart become one."""
    apart = shade.starts[1:] - shade.ends[:-1] >= column
    starts = shade.starts[np.concatenate(([True], apart))]
    return Shade(shade.level, starts, shade.ends[np.concatenate((apart, [True]))])


def _thin_marks(marks: Marks, column: np.timedelta64) -> Marks:
    """The lowest and the highest mark of each screen column."""
    place = ((marks.stamps - marks.stamps[0]) // column).astype(np.int64)
    order = np.lexsort((marks.values, place))
    first = np.concatenate(([True], place[order][1:] != place[order][:-1]))
    last = np.concatenate((first[1:], [True]))
    kept = np.sort(order[first | last])
    return replace(
        marks,
        stamps=marks.stamps[kept],
        values=marks.values[kept],
        hover_texts=tuple(marks.hover_texts[at] for at in kept),
    )
