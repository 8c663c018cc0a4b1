"""Figures for print, at 8 and at 6 inches: no words overlap or are cut off, and what was drawn is on the paper."""

import io
from itertools import combinations

import numpy as np
import pytest

from basis.plots import theme
from basis.plots.backends import matplotlib_figure
from basis.plots.data import EVENT_KINDS
from basis.plots.figures import (
    annotations,
    comparison,
    equity,
    funding,
    liquidation,
    overview,
    pnl,
    positions,
    returns,
    risk,
)
from basis.plots.picture import BarSeries, CategoryBars, Line, Panel, Picture, WaterfallStep
from basis.plots.thinning import thin

CASES = ("two years", "struck", "alerts", "flows", "loan", "staked", "below zero", "no trades", "one row", "levered")
MAKERS = (
    overview.overview, equity.equity, equity.drawdown, pnl.attribution_area, pnl.waterfall, risk.risk,
    pnl.monthly, pnl.share, returns.monthly_returns, funding.funding, positions.exposure, positions.positions,
    liquidation.liquidation_distance, liquidation.liquidation_map,
)  # fmt: skip


def texts_of(figure):
    """Words that are on the paper → their boxes in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    found = [figure._suptitle, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in figure.get_axes():
        found += [ax._left_title, *ax.texts]
        found += [cell.get_text() for table in ax.tables for cell in table.get_celld().values()]
        if not ax.axison:
            continue
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [axis.label, axis.offsetText, *(tick.label1 for tick in ticks)]
            found += [tick.label2 for tick in ticks]
    shown = [text for text in found if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def wrong(figure, wide, high):
    """What overlaps, or is cut off, at a size in inches."""
    figure.set_size_inches(wide, high)
    figure.set_dpi(100)
    boxes, found = texts_of(figure), []
    for text, box in boxes:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > 100 * wide + 1 or box.y1 > 100 * high + 1:
            found.append(f"{text} is cut off")
    for (one, a), (other, b) in combinations(boxes, 2):
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 3:
            found.append(f"{one} overlaps {other}")
    return found


@pytest.mark.parametrize("name", CASES)
def test_no_words_overlap_on_paper(numbers, name):
    for make in MAKERS:
        picture = thin(make(numbers[name]))
        for wide, high in ((8.0, 4.8), (6.0, 4.0)) if name in ("two years", "levered") else ((6.0, 4.0),):
            assert wrong(matplotlib_figure.draw_figure(picture), wide, high) == [], make.__name__


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("days", [2, 3, 4, 5, 6, 7, 9, 12, 16, 18, 20, 25, 31, 33, 36, 45, 75, 100])
def test_ticks_do_not_touch_at_the_end_of_a_month(days):
    stamps = np.datetime64("2025-03-01T00", "us") + np.arange(24 * days) * np.timedelta64(1, "h")
    lines = (Line("equity", "equity", np.linspace(9e4, 1e5, len(stamps)), "#0077BB"),)
    for shift in range(0, 31, 5):
        moved = stamps + np.timedelta64(24 * shift + 3, "h")
        picture = Picture("equity", "Equity", "run", "USDT", moved, (Panel("equity, USDT", "money", lines=lines),))
        figure = matplotlib_figure.draw_figure(picture)
        assert wrong(figure, 6.0, 4.0) == []
        assert len([text for text in figure.get_axes()[0].get_xticklabels() if text.get_text()]) >= 2


def test_the_words_of_a_fall_to_nothing_stand_above_the_names():
    steps = (("start", 0.0, 1e5, True), ("basis", 1e5, -6e4, False), ("slippage", 4e4, -39_000.0, False),
             ("gas", 1_000.0, -1.25, False), ("end", 0.0, 998.75, True))  # fmt: skip
    bars = tuple(
        WaterfallStep(name, name, base, value, f"{value:,.2f}", "#777777", level) for name, base, value, level in steps
    )
    panel = Panel("equity, USDT", "money", waterfall=bars)
    picture = Picture("waterfall", "From start to end", "run", "USDT", np.empty(0, "M8[us]"), (panel,))
    for wide, high in ((8.0, 4.8), (6.0, 4.0)):
        assert wrong(matplotlib_figure.draw_figure(picture), wide, high) == []


def test_a_bar_of_a_month_ends_inside_its_panel(numbers):
    parts = tuple(BarSeries(name, name, np.array(values), "#777777", ("", "")) for name, values in (
        ("basis", [-9e4, 9e4]), ("gas", [-1.0, 1.0]),
    ))  # fmt: skip
    stack = CategoryBars(("Mar 2025", "Apr 2025"), parts)
    panel = Panel("P&L of the month, USDT", "money", category_bars=stack)
    made = Picture("monthly", "P&L by month", "run", "USDT", np.empty(0, "M8[us]"), (panel,))
    for picture in (made, *(pnl.monthly(numbers[name]) for name in ("struck", "two years", "levered"))):
        ax = matplotlib_figure.draw_figure(picture).get_axes()[0]
        low, high = ax.get_ylim()
        ends = [end for bar in ax.patches for end in (bar.get_y(), bar.get_y() + bar.get_height())]
        room = 0.03 * (max(ends) - min(ends))
        assert low < min(ends) - room or min(ends) == 0.0
        assert high > max(ends) + room or max(ends) == 0.0


def test_no_words_of_runs_beside_each_other_overlap(numbers):
    runs = {name: numbers[name] for name in ("two years", "alerts", "eth", "staked", "loan", "levered")}
    for make in (comparison.overview, comparison.growth, comparison.drawdown, comparison.attribution):
        for wide, high in ((8.0, 4.8), (6.0, 4.0)):
            assert wrong(matplotlib_figure.draw_figure(thin(make(runs))), wide, high) == [], make.__name__


def test_no_words_of_a_table_overlap(numbers):
    """Of as many keys, and as long ones, as two modes differ in."""
    key, value = "strategy.position_deviation_threshold", "wallet:BaseToken:USDT, wallet:BaseToken:ETH…"
    rows = [(f"{key[:-2]}{at:02d}", value, "usdt_market_neutral") for at in range(33)]
    for names in (("two years", "alerts"), ("two years", "alerts", "eth")):
        picture = comparison.differences(
            {name: numbers[name] for name in names}, [(*row, *("none",) * (len(names) - 2)) for row in rows]
        )
        for wide, high in ((8.0, 7.6), (8.0, 4.8), (6.0, 4.0)):
            assert wrong(matplotlib_figure.draw_figure(picture), wide, high) == []


def image_of(figure):
    """(rows, columns, 3) of a figure on paper."""
    from PIL import Image

    held = io.BytesIO()
    figure.savefig(held, dpi=100, format="png")
    return np.asarray(Image.open(held).convert("RGB")).astype(int)


def near(image, colour, within=30):
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return int((np.abs(image - wanted).max(axis=2) <= within).sum())


def test_a_table_of_one_year_is_coloured(numbers):
    """A single row of cells has no neighbour that says how high it is."""
    for name in ("one row", "struck"):
        image = image_of(matplotlib_figure.draw_figure(returns.monthly_returns(numbers[name])))
        assert near(image, theme.LIGHT_HEATMAP[0]) > 3_000


def test_the_areas_of_one_row_are_dots(numbers):
    picture = positions.exposure(numbers["one row"])
    lines = matplotlib_figure.draw_figure(picture).get_axes()[0].get_lines()
    dots = [line for line in lines if line.get_marker() == "o"]
    tops = np.cumsum([band.values[0] for band in picture.panels[0].bands])
    assert [line.get_color() for line in dots[:3]] == [band.colour for band in picture.panels[0].bands]
    np.testing.assert_allclose([line.get_ydata()[0] for line in dots[:3]], tops)


def legend_of(figure):
    """Handles of the legend with their words."""
    [legend] = figure.legends
    return zip(legend.legend_handles, legend.get_texts(), strict=True)


def test_a_line_is_seen_below_hundreds_of_events(numbers):
    """Marks in crowds are small and have no rim, which would wipe out the line and the marks themselves."""
    from matplotlib.lines import Line2D

    run = numbers["two years"]
    figure = matplotlib_figure.draw_figure(thin(annotations.with_event_marks(run, equity.equity(run), EVENT_KINDS)))
    shown = [line for line in figure.get_axes()[0].get_lines() if line.get_gid() in EVENT_KINDS]
    assert {"decision", "fill", "funding"} <= {line.get_gid() for line in shown}
    for line in shown:
        assert line.get_markeredgecolor() != "white" or line.get_markeredgewidth() == 0.0
    assert near(image_of(figure), theme.MARKS["funding"]) > 1_000
    sizes = {line.get_label(): line.get_markersize() for line in shown}
    entries = {text.get_text(): handle for handle, text in legend_of(figure)}
    for name in ("decision", "fill", "funding"):
        # in the legend they can be told apart
        entry = entries[name]
        assert isinstance(entry, Line2D)
        assert entry.get_markersize() > 1.5 * sizes[name]


def test_an_alert_does_not_pass_for_funding(numbers):
    """Both are diamonds of a like colour: as with plotly the one is hollow."""
    run = numbers["alerts"]
    figure = matplotlib_figure.draw_figure(
        thin(annotations.with_event_marks(run, equity.equity(run), ("alert", "funding")))
    )
    faces = {line.get_gid(): line.get_markerfacecolor() for line in figure.get_axes()[0].get_lines()}
    assert (faces["alert"], faces["funding"]) == ("none", theme.MARKS["funding"])
