"""Figures in a browser without a network, at 1000 x 600 and 600 x 400: nothing overlaps, and what matters is seen."""

import numpy as np
import pytest
from headless import open_page, page_of, screenshot

from basis.plots import theme
from basis.plots.backends import plotly_figure
from basis.plots.figures import comparison, equity, funding, liquidation, overview, pnl, positions, returns, risk
from basis.plots.thinning import thin

CASES = ("two years", "struck", "alerts", "flows", "eth", "lending", "below zero", "stopped", "one row", "levered")
BOOKS = ("two years", "struck", "flows", "loan", "staked", "lending", "below zero", "one row", "no trades", "levered")
MAKERS = (equity.equity, equity.drawdown, pnl.attribution_area, pnl.waterfall, risk.risk)
OF_BOOKS = (
    overview.overview, pnl.monthly, pnl.share, returns.monthly_returns, funding.funding, positions.exposure,
    positions.positions, liquidation.liquidation_distance, liquidation.liquidation_map,
)  # fmt: skip


@pytest.fixture(scope="module")
def drawn(numbers):
    """Every figure of the cases."""
    return {
        f"{name} {make.__name__}": plotly_figure.draw_figure(thin(make(numbers[name])))
        for names, makers in ((CASES, MAKERS), (BOOKS, OF_BOOKS))
        for name in names
        for make in makers
    }


def overlaps(shown, folder, width, height):
    """Figure → which of its texts overlap or are cut off."""
    page = open_page(page_of(shown, folder, width, height), folder / "profile", width)
    assert page.console == []
    told = dict(line.split(": ", 1) for line in page.title.split("|"))
    assert set(told) == set(shown)
    assert all(int(text.split()[0]) >= 3 for text in told.values())
    return {name: text for name, text in told.items() if ", " in text}


@pytest.mark.parametrize(("width", "height"), [(1000, 600), (600, 400)])
def test_every_figure_draws_without_overlaps(drawn, width, height, tmp_path):
    assert overlaps(drawn, tmp_path, width, height) == {}


def test_runs_beside_each_other_draw_without_overlaps(numbers, tmp_path):
    runs = {name: numbers[name] for name in ("two years", "alerts", "eth")}
    makers = (comparison.overview, comparison.growth, comparison.drawdown, comparison.attribution)
    for width, height in ((1000, 600), (600, 400)):
        shown = {make.__name__: plotly_figure.draw_figure(thin(make(runs))) for make in makers}
        assert overlaps(shown, tmp_path, width, height) == {}


def near(image, colour, within=12):
    """How many pixels are of a colour."""
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return int((np.abs(image.astype(int) - wanted).max(axis=2) <= within).sum())


def test_a_liquidation_and_a_breach_are_seen(drawn, tmp_path):
    shown = {name: drawn[name] for name in ("struck equity", "struck risk", "flows equity")}
    image = screenshot(page_of(shown, tmp_path), tmp_path / "profile", 1000, 1800)
    struck, risk, flows = image[:600], image[600:1200], image[1200:]
    assert near(struck, theme.CRITICAL) > 150  # the cross and its line
    assert near(risk, theme.CRITICAL) > 250
    assert near(flows, theme.CRITICAL) == 0
    tint = "#" + "".join(
        f"{round(255 + (int(theme.CRITICAL[at : at + 2], 16) - 255) * theme.SHADE_OPACITY[2]):02x}" for at in (1, 3, 5)
    )
    assert near(struck, tint, 3) > 20_000  # the shade of the breach
    assert near(flows, tint, 3) == 0
    assert near(flows, theme.EQUITY, 40) > 300
