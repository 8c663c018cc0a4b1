"""Figures in a browser without a network, at 1000 x 600: nothing overlaps, and what matters is seen."""

import numpy as np
import pytest
from headless import open_page, page_of, screenshot

from basis.plots import figures, prepare, theme

CASES = ("two years", "struck", "alerts", "flows", "eth", "lending", "below zero", "stopped", "one row", "levered")


@pytest.fixture(scope="module")
def drawn(numbers):
    """Every figure of the cases."""
    made = {}
    for name in CASES:
        for make in (prepare.equity, prepare.drawdown, prepare.attribution_area, prepare.waterfall, prepare.risk):
            made[f"{name} {make.__name__}"] = figures.figure(make(numbers[name]))
    return made


def test_every_figure_draws_without_overlaps(drawn, tmp_path):
    page = open_page(page_of(drawn, tmp_path), tmp_path / "profile")
    assert page.console == []
    told = dict(line.split(": ", 1) for line in page.title.split("|"))
    assert set(told) == set(drawn)
    # names of many bars are at an angle, so that their boxes touch where they do not
    slanted = "levered waterfall"
    wrong = {name: text for name, text in told.items() if ", " in text and name != slanted}
    assert wrong == {}
    assert all(int(text.split()[0]) >= 3 for text in told.values())


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
        f"{round(255 + (int(theme.CRITICAL[at : at + 2], 16) - 255) * theme.SHADES[2]):02x}" for at in (1, 3, 5)
    )
    assert near(struck, tint, 3) > 20_000  # the shade of the breach
    assert near(flows, tint, 3) == 0
    assert near(flows, theme.EQUITY, 40) > 300
