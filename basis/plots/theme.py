"""The look of all figures: colours, names, number formats and fonts, for plotly and matplotlib. Imports nothing.

The colours come from the palettes of Okabe and Ito (jfly.uni-koeln.de/color) and of Paul Tol (personal.sron.nl/~pault).
Any two columns stay distinguishable for readers with deuteranopia or protanopia; a test simulates both and measures
the distances.
"""

from typing import Any, NamedTuple


class Label(NamedTuple):
    """Name and colour of an attribution column or an alert level."""

    name: str
    colour: str


#: Columns of the attribution, in the order of the run folder.
COLUMNS = {
    "funding_pnl": Label("funding", "#0077BB"),
    "supply_yield": Label("supply yield", "#4EB265"),
    "borrow_cost": Label("borrow cost", "#E8601C"),
    "staking_yield": Label("staking yield", "#44BB99"),
    "reward_pnl": Label("rewards", "#DDCC77"),
    "peg_pnl": Label("peg", "#AA4499"),
    "delta_pnl": Label("price (delta)", "#7BAFDE"),
    "basis_pnl": Label("basis", "#E69F00"),
    "dust_pnl": Label("dust", "#CC79A7"),
    "fees": Label("fees", "#882E72"),
    "slippage": Label("slippage", "#663333"),
    "gas": Label("gas", "#777777"),
    "transfer_fees": Label("transfer fees", "#FFAABB"),
    "flash_fees": Label("flash fees", "#555555"),
    "liquidation_loss": Label("liquidation loss", "#CC3311"),
    "deficit_borne": Label("deficit borne", "#309060"),
}
#: Colours of exchanges.
VENUES = {"binance": "#0077BB", "bybit": "#AA3377", "okx": "#009988"}
#: Venues without a colour of their own get these, in the order of their names.
OTHER_VENUES = ("#DDCC77", "#4EB265", "#CC79A7", "#999933")
#: Colours of assets, in the order of their table.
ASSETS = ("#663333", "#999933", "#CC79A7", "#4EB265")
#: Colours of instruments, in the order of their table.
INSTRUMENTS = (
    "#0077BB", "#E69F00", "#009988", "#AA3377", "#7BAFDE", "#DDCC77", "#4EB265", "#882E72", "#EE8866", "#33BBEE",
    "#999933", "#663333", "#FFAABB",
)  # fmt: skip
#: Colours of compared runs, in their order.
RUNS = ("#0077BB", "#E69F00", "#AA3377", "#009988", "#663333", "#33BBEE", "#999933", "#777777")
#: Colours of a heatmap below, at and above its centre; and light ones, on which text can be read.
HEATMAP, LIGHT_HEATMAP = ("#B2182B", "#F7F7F7", "#2166AC"), ("#EF8A62", "#F7F7F7", "#67A9CF")
WARNING, CRITICAL = "#E69F00", "#CC3311"
#: Alert level to its name and colour.
ALERT_LEVELS = {1: Label("warning", WARNING), 2: Label("critical", CRITICAL)}
#: Opacity of a shade by level.
SHADE_OPACITY = {1: 0.12, 2: 0.18}
EQUITY, DRAWDOWN, FLOW = "#0077BB", "#AA3377", "#009988"
LTV, HEALTH_FACTOR, NEUTRAL, OTHER = "#EE8866", "#33BBEE", "#9AA3AD", "#777777"
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
    "revert": "#EE7733",
    "transfer": "#332288",
    "arrival": "#AA4499",
    "funding": "#DDAA33",
    "reward": "#CC6677",
    "alert": WARNING,
    "flow": FLOW,
    "data": "#777777",
    "error": CRITICAL,
}

#: Kinds of marks that are rare and always drawn at full size.
FULL_SIZE_MARKS = ("liquidation", "stop", "deposit", "withdrawal", "deepest")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
PRINT_FONTS = ("Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
FONT_SIZE = 13


class Palette(NamedTuple):
    """Colours of the background, the text and the grid of a figure."""

    paper: str
    ink: str
    faint: str
    grid: str


LIGHT = Palette("#ffffff", "#1f2328", "#57606a", "#e4e7eb")
DARK = Palette("#16181d", "#e6e8eb", "#9aa3ad", "#2c3038")

#: Decimals of an amount by share class.
DECIMALS = {"USDT": 2, "ETH": 6}


def shade_edge_opacity(level: int, periods: int) -> float:
    """Opacity of the outline of a shade, which keeps a period of one hour visible. Many periods have fainter ones."""
    return SHADE_OPACITY[level] * max(0.35, 2.0 * min(1.0, 40.0 / max(periods, 1)))


def mark_scale(kind: str, count: int) -> float:
    """Size of a mark relative to full size. Many marks are drawn smaller, but a liquidation never is."""
    return 1.0 if kind in FULL_SIZE_MARKS else max(0.55, min(1.0, 60.0 / max(count, 1)))


def mark_edge_width(kind: str, count: int) -> float:
    """Width of the white edge of a mark; many marks have none, since their edges would hide the line."""
    return 1.0 if kind in FULL_SIZE_MARKS or (kind == "critical" and mark_scale(kind, count) == 1.0) else 0.0


def decimals(share_class: str) -> int:
    """Decimals of an amount in a share class."""
    return DECIMALS.get(share_class, 6)


def column_label(name: str) -> Label:
    """Name and colour of an attribution column; an unknown column keeps its own name."""
    return COLUMNS.get(name, Label(name.replace("_", " "), OTHER))


def venue_colours(venues: Any) -> dict[str, str]:
    """Colour of each venue: its own, or the next of `OTHER_VENUES`."""
    without_own = iter(sorted(set(venues) - set(VENUES)))
    rest = {name: OTHER_VENUES[i % len(OTHER_VENUES)] for i, name in enumerate(without_own)}
    return {name: VENUES.get(name) or rest[name] for name in venues}


def colours_in_order(names: Any, colours: tuple[str, ...]) -> dict[str, str]:
    """Colours of names by their place; the colours repeat if there are more names."""
    return {name: colours[i % len(colours)] for i, name in enumerate(names)}


def split_label(name: str) -> tuple[str, ...]:
    """A name in one or two lines, so that neighbours under an axis do not touch."""
    head, _, tail = name.rpartition(" ")
    return (head, tail) if head else (tail,)


def axis_labels(names: Any, line: str = "\n") -> list[str]:
    """Names in one or two lines under an axis. A month shows its year only if the month before is of another year."""
    last_year, shown = "", []
    for head, tail in ((*split_label(name), "")[:2] for name in names):
        year = tail if tail.isdigit() else ""
        shown.append(line.join(part for part in (head, "" if year and year == last_year else tail) if part))
        last_year = year
    return shown


def with_opacity(colour: str, opacity: float) -> str:
    """A colour ``#rrggbb`` as ``rgba()`` with an opacity."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def plotly_template(palette: Palette = LIGHT) -> dict[str, Any]:
    """The theme as a plotly template."""
    axis = {
        "gridcolor": palette.grid,
        "linecolor": palette.faint,
        "tickcolor": palette.faint,
        "tickfont": {"color": palette.faint},
        "title": {"font": {"color": palette.ink, "size": FONT_SIZE}, "standoff": 10},
        "automargin": True,
        "ticklabelstandoff": 4,
        "zerolinecolor": palette.faint,
        "zerolinewidth": 1,
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": FONT_SIZE, "color": palette.ink},
            "title": {"x": 0.0, "xref": "paper", "xanchor": "left", "font": {"size": FONT_SIZE + 4}},
            "paper_bgcolor": palette.paper,
            "plot_bgcolor": palette.paper,
            "colorway": [label.colour for label in COLUMNS.values()],
            "xaxis": {**axis, "showgrid": False, "showline": True, "ticks": "outside", "zeroline": False},
            "yaxis": {**axis, "showline": False},
            "legend": {"font": {"size": FONT_SIZE - 1}, "bgcolor": "rgba(0,0,0,0)"},
            "hoverlabel": {
                "font": {"family": FONT, "size": FONT_SIZE - 1, "color": palette.ink},
                "bgcolor": palette.paper,
                "bordercolor": palette.faint,
                "align": "left",
                "namelength": -1,
            },
            "annotationdefaults": {"font": {"color": palette.ink}},
        }
    }


def matplotlib_settings(palette: Palette = LIGHT) -> dict[str, Any]:
    """The theme as rc settings of matplotlib, for print: smaller fonts, and text that stays text in a PDF."""
    return {
        "font.family": "sans-serif",
        "font.sans-serif": [*PRINT_FONTS],
        "font.size": 9,
        "text.color": palette.ink,
        "axes.edgecolor": palette.faint,
        "axes.facecolor": palette.paper,
        "axes.labelcolor": palette.ink,
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
        "figure.facecolor": palette.paper,
        "grid.color": palette.grid,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "xtick.color": palette.faint,
        "ytick.color": palette.faint,
        "ytick.left": False,
    }
