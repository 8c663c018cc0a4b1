"""How every figure looks: colours, names, numbers and fonts, for plotly and matplotlib alike. Imports nothing.

The colours are taken from the palettes of Okabe and Ito (jfly.uni-koeln.de/color) and of Paul Tol
(personal.sron.nl/~pault), chosen so that any two columns stay apart for readers with deuteranopia and protanopia too; a
test simulates both and measures the distances.
"""

from typing import Any, NamedTuple


class Words(NamedTuple):
    """A column as it is drawn: its name in words, and its colour."""

    name: str
    colour: str


#: Columns of the attribution, in the order of the run folder.
COLUMNS = {
    "funding_pnl": Words("funding", "#0077BB"),
    "supply_yield": Words("supply yield", "#4EB265"),
    "borrow_cost": Words("borrow cost", "#E8601C"),
    "staking_yield": Words("staking yield", "#44BB99"),
    "reward_pnl": Words("rewards", "#DDCC77"),
    "peg_pnl": Words("peg", "#AA4499"),
    "delta_pnl": Words("price (delta)", "#7BAFDE"),
    "basis_pnl": Words("basis", "#E69F00"),
    "dust_pnl": Words("dust", "#CC79A7"),
    "fees": Words("fees", "#882E72"),
    "slippage": Words("slippage", "#663333"),
    "gas": Words("gas", "#777777"),
    "transfer_fees": Words("transfer fees", "#FFAABB"),
    "flash_fees": Words("flash fees", "#555555"),
    "liquidation_loss": Words("liquidation loss", "#CC3311"),
}
VENUES = {"binance": "#0077BB", "bybit": "#AA3377", "okx": "#009988", "aave_v3": "#33BBEE", "wallet": "#777777"}
#: Venues that have no colour of their own take these, in the order of their names.
OTHER_VENUES = ("#DDCC77", "#4EB265", "#CC79A7", "#999933")
#: Assets in the order of their table.
ASSETS = ("#663333", "#999933", "#CC79A7", "#4EB265")
#: Instruments in the order of their table.
HELD = (
    "#0077BB", "#E69F00", "#009988", "#AA3377", "#7BAFDE", "#DDCC77", "#4EB265", "#882E72", "#EE8866", "#33BBEE",
    "#999933", "#663333", "#FFAABB",
)  # fmt: skip
#: Runs beside each other, in their order.
RUNS = ("#0077BB", "#E69F00", "#AA3377", "#009988", "#663333", "#33BBEE", "#999933", "#777777")
#: Colours of a map: below its middle, at it, above it; and light ones, on which words can be read.
MAP, LIGHT_MAP = ("#B2182B", "#F7F7F7", "#2166AC"), ("#EF8A62", "#F7F7F7", "#67A9CF")
WARNING, CRITICAL = "#E69F00", "#CC3311"
#: Level of an alert → its name and colour.
LEVELS = {1: Words("warning", WARNING), 2: Words("critical", CRITICAL)}
#: Opacity of a shade by level.
SHADES = {1: 0.12, 2: 0.18}
EQUITY, DRAWDOWN, FLOW = "#0077BB", "#AA3377", "#009988"
LTV, HEALTH_FACTOR, LEVEL, OTHER = "#EE8866", "#33BBEE", "#9AA3AD", "#777777"
#: Colour of marks by kind.
MARKS = {
    "liquidation": CRITICAL,
    "critical": CRITICAL,
    "stop": CRITICAL,
    "deposit": FLOW,
    "withdrawal": FLOW,
    "deepest": DRAWDOWN,
    "decision": "#999933",
    "order": "#33BBEE",
    "fill": "#117733",
    "reject": "#EE7733",
    "transfer": "#332288",
    "arrival": "#AA4499",
    "funding": "#DDAA33",
    "reward": "#CC6677",
    "alert": WARNING,
    "flow": FLOW,
    "data": "#777777",
    "error": CRITICAL,
}

#: Kinds of marks that are few, and always of their whole size.
STANDING = ("liquidation", "stop", "deposit", "withdrawal", "deepest")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
PRINT_FONTS = ("Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
FONT_SIZE = 13


class Ground(NamedTuple):
    """What a figure is drawn on."""

    paper: str
    ink: str
    faint: str
    grid: str


LIGHT = Ground("#ffffff", "#1f2328", "#57606a", "#e4e7eb")
DARK = Ground("#16181d", "#e6e8eb", "#9aa3ad", "#2c3038")

#: Digits after the point of an amount in share class.
PLACES = {"USDT": 2, "ETH": 6}


def outline(level: int, spans: int) -> float:
    """Opacity of the outline that keeps a span of one hour in sight: fainter where many would add up."""
    return SHADES[level] * max(0.35, 2.0 * min(1.0, 40.0 / max(spans, 1)))


def crowding(kind: str, count: int) -> float:
    """Size of a mark against its usual one: what comes in crowds is smaller, a liquidation never is."""
    return 1.0 if kind in STANDING else max(0.55, min(1.0, 60.0 / max(count, 1)))


def rim(kind: str, count: int) -> float:
    """Width of the white rim of a mark: of many on one line the rims would wipe it out."""
    return 1.0 if kind in STANDING or (kind == "critical" and crowding(kind, count) == 1.0) else 0.0


def places(share_class: str) -> int:
    """Digits after the point of an amount in share class."""
    return PLACES.get(share_class, 6)


def column(name: str) -> Words:
    """Name and colour of an attribution column; one that is not known keeps its own name."""
    return COLUMNS.get(name, Words(name.replace("_", " "), OTHER))


def venue_colours(venues: Any) -> dict[str, str]:
    """Colour of each venue: its own, else the next of those left."""
    left = iter(sorted(set(venues) - set(VENUES)))
    rest = {name: OTHER_VENUES[i % len(OTHER_VENUES)] for i, name in enumerate(left)}
    return {name: VENUES.get(name) or rest[name] for name in venues}


def in_order(names: Any, colours: tuple[str, ...]) -> dict[str, str]:
    """Colours of names by their place; they begin again where there are more names."""
    return {name: colours[i % len(colours)] for i, name in enumerate(names)}


def two_lines(name: str) -> tuple[str, ...]:
    """A name as one or two lines, so that neighbours under an axis do not touch."""
    head, _, tail = name.rpartition(" ")
    return (head, tail) if head else (tail,)


def under_axis(names: Any, line: str = "\n") -> list[str]:
    """Names in one or two lines under an axis; the year of a month is left out where the month before says it."""
    said, shown = "", []
    for head, tail in ((*two_lines(name), "")[:2] for name in names):
        year = tail if tail.isdigit() else ""
        shown.append(line.join(part for part in (head, "" if year and year == said else tail) if part))
        said = year
    return shown


def faded(colour: str, opacity: float) -> str:
    """A colour ``#rrggbb`` as ``rgba()`` with an opacity."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def template(ground: Ground = LIGHT) -> dict[str, Any]:
    """The theme as a plotly template."""
    axis = {
        "gridcolor": ground.grid,
        "linecolor": ground.faint,
        "tickcolor": ground.faint,
        "tickfont": {"color": ground.faint},
        "title": {"font": {"color": ground.ink, "size": FONT_SIZE}, "standoff": 10},
        "automargin": True,
        "ticklabelstandoff": 4,
        "zerolinecolor": ground.faint,
        "zerolinewidth": 1,
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": FONT_SIZE, "color": ground.ink},
            "title": {"x": 0.0, "xref": "paper", "xanchor": "left", "font": {"size": FONT_SIZE + 4}},
            "paper_bgcolor": ground.paper,
            "plot_bgcolor": ground.paper,
            "colorway": [words.colour for words in COLUMNS.values()],
            "xaxis": {**axis, "showgrid": False, "showline": True, "ticks": "outside", "zeroline": False},
            "yaxis": {**axis, "showline": False},
            "legend": {"font": {"size": FONT_SIZE - 1}, "bgcolor": "rgba(0,0,0,0)"},
            "hoverlabel": {
                "font": {"family": FONT, "size": FONT_SIZE - 1, "color": ground.ink},
                "bgcolor": ground.paper,
                "bordercolor": ground.faint,
                "align": "left",
                "namelength": -1,
            },
            "annotationdefaults": {"font": {"color": ground.ink}},
        }
    }


def rc(ground: Ground = LIGHT) -> dict[str, Any]:
    """The theme as matplotlib's rc settings, for print: smaller, and text that stays text in a PDF."""
    return {
        "font.family": "sans-serif",
        "font.sans-serif": [*PRINT_FONTS],
        "font.size": 9,
        "text.color": ground.ink,
        "axes.edgecolor": ground.faint,
        "axes.facecolor": ground.paper,
        "axes.labelcolor": ground.ink,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.formatter.use_mathtext": False,
        "figure.facecolor": ground.paper,
        "grid.color": ground.grid,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "xtick.color": ground.faint,
        "ytick.color": ground.faint,
        "ytick.left": False,
    }
