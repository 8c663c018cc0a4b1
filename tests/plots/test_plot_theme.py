"""The theme: one colour a column, told apart by readers with colour blindness too; the same for both backends."""

from itertools import combinations

import numpy as np
import pytest

from basis.kernel.layout import COLUMN_NAMES
from basis.plots import theme

# Colour blindness as seen, on linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]
    ]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]
    ]),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour):
    value = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of linear RGB."""
    part = TO_XYZ @ np.clip(rgb, 0.0, 1.0) / WHITE
    x, y, z = np.where(part > 216 / 24389, np.cbrt(part), (24389 / 27 * part + 16) / 116)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(first, second):
    """CIEDE2000 between two L*a*b* colours (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    scale = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    c1, c2 = np.hypot(scale * a1, b1), np.hypot(scale * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, scale * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = h1 + h2 if not c1 * c2 else (h1 + turn / 2) % 360
    light, colour = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.2 * np.cos(np.radians(4 * hue - 63))
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * colour, 1 + 0.015 * colour * t
    angle = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    twist = -2 * np.sqrt(colour**7 / (colour**7 + 25.0**7)) * np.sin(angle)
    dl, dc = (l2 - l1) / sl, (c2 - c1) / sc
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / sh
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + twist * dc * dh))


def nearest(colours):
    """The smallest distance of any two of the colours, by any sight."""
    seen = {sight: [lab(matrix @ linear(colour)) for colour in colours] for sight, matrix in SIGHTS.items()}
    return min(distance(*pair) for labs in seen.values() for pair in combinations(labs, 2))


def contrast(first, second):
    """WCAG contrast of two colours."""
    one, two = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (first, second))
    return (two + 0.05) / (one + 0.05)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ],
)
def test_the_distance_is_that_of_the_published_pairs(first, second, expected):
    assert distance(first, second) == pytest.approx(expected, abs=1e-4)


def test_every_column_has_a_colour_in_the_order_of_the_run_folder():
    assert tuple(theme.COLUMNS) == COLUMN_NAMES
    assert len({words.colour for words in theme.COLUMNS.values()}) == len(COLUMN_NAMES)
    assert len({words.name for words in theme.COLUMNS.values()}) == len(COLUMN_NAMES)


def test_columns_are_told_apart_by_every_reader():
    assert nearest([words.colour for words in theme.COLUMNS.values()]) > 9.0
    basis = ("funding_pnl", "delta_pnl", "basis_pnl", "fees", "slippage", "gas", "transfer_fees", "liquidation_loss")
    assert nearest([theme.COLUMNS[name].colour for name in basis]) > 14.0


def test_venues_and_levels_are_told_apart_by_every_reader():
    venues = list(theme.VENUES.values())
    assert nearest([*venues, theme.WARNING, theme.CRITICAL]) > 9.0
    # what stands beside venues in the figure of risk
    assert nearest([*venues, theme.LTV, theme.ASSETS[0], theme.WARNING, theme.CRITICAL]) > 9.0


def test_events_are_seen_and_told_apart():
    """By colour or by shape; kinds of one shape by colour."""
    from basis.plots.backends.plotly_traces import MARK_SYMBOLS
    from basis.plots.data import EVENT_KINDS

    for kind in EVENT_KINDS:
        assert contrast(theme.MARKS[kind], theme.LIGHT.paper) > 1.9
    assert len({(MARK_SYMBOLS[kind][0], theme.MARKS[kind]) for kind in EVENT_KINDS}) == len(EVENT_KINDS)
    filled = ("fill", "transfer", "arrival", "funding", "reward", "order")
    assert nearest([theme.MARKS[kind] for kind in filled]) > 9.0


def test_the_year_of_months_is_said_once():
    assert theme.axis_labels(["Nov 2024", "Dec 2024", "Jan 2025"]) == ["Nov\n2024", "Dec", "Jan\n2025"]
    assert theme.axis_labels(["staking yield", "borrow yield", "P&L"]) == ["staking\nyield", "borrow\nyield", "P&L"]


def test_nothing_vanishes_on_either_ground():
    for ground in (theme.LIGHT, theme.DARK):
        assert contrast(ground.ink, ground.paper) > 12.0
        assert contrast(ground.faint, ground.paper) > 4.5
        for words in theme.COLUMNS.values():
            assert contrast(words.colour, ground.paper) > 1.6
        for colour in (*theme.VENUES.values(), theme.EQUITY, theme.DRAWDOWN, theme.CRITICAL):
            assert contrast(colour, ground.paper) > 2.2


def test_venues_keep_their_colours():
    assert theme.venue_colours(["okx", "binance"]) == {"okx": theme.VENUES["okx"], "binance": theme.VENUES["binance"]}
    others = theme.venue_colours(["kraken", "deribit", "okx"])
    assert others == theme.venue_colours(["okx", "deribit", "kraken"])
    assert len(set(others.values())) == 3


def test_plotly_and_matplotlib_take_it():
    import matplotlib as mpl
    import plotly.graph_objects as go

    for ground in (theme.LIGHT, theme.DARK):
        made = go.layout.Template(theme.plotly_template(ground))
        assert made.layout.paper_bgcolor == ground.paper
        assert list(made.layout.colorway) == [words.colour for words in theme.COLUMNS.values()]
        with mpl.rc_context(theme.matplotlib_settings(ground)):
            assert mpl.rcParams["figure.facecolor"] == ground.paper
            assert mpl.rcParams["text.color"] == made.layout.font.color
