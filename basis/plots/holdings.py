"""Pictures of what the book held and what that was exposed to. Imports numpy only."""

from dataclasses import replace

import numpy as np

from basis.plots import marks, theme
from basis.plots.pictures import Band, Line, Panel, Picture
from basis.plots.prepare import delta_panel, gross_panel, picture_of
from basis.plots.run import RunNumbers, held_in_words

#: Instruments with a band, and assets with a panel, of their own; what was never worth this share of the start has no
#: panel.
_BANDS, _ASSETS, _SMALL = 6, 4, 0.01
#: A net delta below this fraction of the equity is none.
_FLAT = 1e-6


def exposure(run: RunNumbers) -> Picture:
    """Worth of every instrument, stacked, which sums to the equity; gross exposure; net delta by asset."""
    unit, places = run.share_class, theme.places(run.share_class)
    panels = [
        Panel(
            f"worth by instrument, {unit}", "money", places, bands=_bands(run), weight=2.2,
            lines=(Line("equity", "equity", run.equity, ""),), marks=marks.liquidations(run, run.equity),
        ),
        *filter(None, [gross_panel(run)]),
    ]  # fmt: skip
    # against its limits it stands in the figure of risk
    for panel in delta_panel(run):
        flat = all(np.abs(np.nan_to_num(line.values)).max(initial=0.0) < _FLAT for line in panel.lines)
        panels.append(replace(panel, limits=(), shades=(), marks=(), window=(-0.01, 0.01) if flat else None, note=""))
    return picture_of(run, "exposure", "Exposure", unit, *panels)


def _bands(run: RunNumbers) -> tuple[Band, ...]:
    """The instruments that were worth most, in the order of their table, and the sum of the rest."""
    most = {key: float(np.abs(values).max(initial=0.0)) for key, values in run.book.values.items()}
    held = [key for key in most if run.counts(most[key])]
    own = sorted(held, key=lambda key: -most[key])[: _BANDS if len(held) > _BANDS + 1 else len(held)]
    colours = theme.in_order([key for key in held if key in own], theme.HELD)
    bands = [Band(held_in_words(key), f"value|{key}", run.book.values[key], colours[key]) for key in colours]
    rest = [run.book.values[key] for key in held if key not in own]
    if rest:
        bands.append(Band(f"{len(rest)} others", "others", np.sum(rest, axis=0), theme.OTHER))
    return tuple(bands)


def positions(run: RunNumbers) -> Picture:
    """Quantities held, in units of the asset, a panel for each; what is owed or short is below zero."""
    book = run.book
    least = _SMALL * abs(run.initial_equity)
    groups: dict[str, list[str]] = {}
    for key, units in book.units.items():
        if np.abs(units).max(initial=0.0) > 0.0:
            groups.setdefault(_asset(key), []).append(key)
    # a perp is worth little, but what it is of is not: its quantity counts
    worth = {
        asset: max(np.inf if ":Perp:" in key else float(np.abs(book.values[key]).max(initial=0.0)) for key in keys)
        for asset, keys in groups.items()
    }
    shown = [asset for asset in groups if worth[asset] > least]
    shown = [asset for asset in shown if asset in sorted(shown, key=lambda name: -worth[name])[:_ASSETS]]
    left = [asset for asset in groups if asset not in shown]
    held = [key for asset in shown for key in groups[asset]]
    colours = theme.in_order(held, theme.HELD)
    panels = []
    for asset in shown:
        lines = tuple(
            Line(held_in_words(key), key, _signed(key, book.units[key]), colours[key], stepped="Perp" in key)
            for key in groups[asset]
        )
        places = theme.places(asset) if asset == "USDT" else 6
        panels.append(Panel(f"{asset} held, {asset}", "amount", places, lines=lines))
    if panels and left:
        panels[-1] = replace(panels[-1], note=f"too little to be shown: {', '.join(left)}")
    owns = any(run.counts(np.abs(values).max(initial=0.0)) for values in book.values.values())
    note = "" if panels else "All that the book owned was under way." if owns else "The book held nothing."
    return picture_of(run, "positions", "Positions", "", *panels, note=note)


def _asset(key: str) -> str:
    """What a quantity is of: ether, whether wrapped or not; of a perp its base."""
    symbol = key.split(":")[2]
    symbol = symbol.removesuffix("USDT") or symbol
    return {"WETH": "ETH"}.get(symbol, symbol)


def _signed(key: str, units: np.ndarray) -> np.ndarray:
    return -units if ":debtToken:" in key else units
