"""Figures of the positions: value by instrument, quantities, gross exposure. Imports numpy only."""

from dataclasses import replace

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData
from basis.plots.figures import annotations
from basis.plots.figures.common import make_picture
from basis.plots.figures.risk import delta_panels
from basis.plots.labels import instrument_label
from basis.plots.picture import Band, Line, Panel, Picture

#: So many instruments have a band of their own; the rest are summed.
_MAX_BANDS = 6
#: So many assets have a panel of their own, if they were ever worth this share of the equity at the start.
_MAX_ASSETS = 4
_MIN_ASSET_SHARE = 0.01
#: A net delta below this fraction of the equity counts as zero.
_ZERO_DELTA = 1e-6


def exposure(run: RunData) -> Picture:
    """Value of every instrument, stacked so that they sum to the equity; gross exposure; net delta by asset."""
    unit, decimals = run.share_class, theme.decimals(run.share_class)
    panels = [
        Panel(
            f"worth by instrument, {unit}", "money", decimals, bands=_bands(run), weight=2.2,
            lines=(Line("equity", "equity", run.equity, ""),), marks=annotations.liquidation_marks(run, run.equity),
        ),
        *filter(None, [gross_panel(run)]),
    ]  # fmt: skip
    # the figure of risk shows the net delta with its limits, this one without
    for panel in delta_panels(run):
        is_zero = all(np.abs(np.nan_to_num(line.values)).max(initial=0.0) < _ZERO_DELTA for line in panel.lines)
        panels.append(
            replace(panel, limits=(), shades=(), marks=(), axis_range=(-0.01, 0.01) if is_zero else None, note="")
        )
    return make_picture(run, "exposure", "Exposure", unit, *panels)


def _bands(run: RunData) -> tuple[Band, ...]:
    """A band for each of the instruments with the highest value, in the order of the table, and one for the rest."""
    highest = {key: float(np.abs(values).max(initial=0.0)) for key, values in run.positions.values.items()}
    held = [key for key in highest if run.is_material(highest[key])]
    own = sorted(held, key=lambda key: -highest[key])[: _MAX_BANDS if len(held) > _MAX_BANDS + 1 else len(held)]
    colours = theme.colours_in_order([key for key in held if key in own], theme.INSTRUMENTS)
    bands = [Band(instrument_label(key), f"value|{key}", run.positions.values[key], colours[key]) for key in colours]
    rest = [run.positions.values[key] for key in held if key not in own]
    if rest:
        bands.append(Band(f"{len(rest)} others", "others", np.sum(rest, axis=0), theme.OTHER))
    return tuple(bands)


def gross_panel(run: RunData) -> Panel | None:
    """Gross exposure: of everything whose price moves against the share class. None if there never was any."""
    if not run.positions.gross.any():
        return None
    line = Line("gross exposure", "gross", run.positions.gross, theme.NEUTRAL)
    return Panel(
        f"gross exposure, {run.share_class}", "money", theme.decimals(run.share_class),
        lines=(replace(line, in_legend=False),), note=f"what moves against {run.share_class}",
    )  # fmt: skip


def positions(run: RunData) -> Picture:
    """Quantities in units of the asset, with a panel for each asset. Debts and shorts are below zero."""
    held = run.positions
    smallest = _MIN_ASSET_SHARE * abs(run.initial_equity)
    groups: dict[str, list[str]] = {}
    for key, units in held.quantities.items():
        if np.abs(units).max(initial=0.0) > 0.0:
            groups.setdefault(_asset(key), []).append(key)
    # the value of a perp is small however large its quantity: a perp is always shown
    values = {
        asset: max(np.inf if ":Perp:" in key else float(np.abs(held.values[key]).max(initial=0.0)) for key in group)
        for asset, group in groups.items()
    }
    shown = [asset for asset in groups if values[asset] > smallest]
    shown = [asset for asset in shown if asset in sorted(shown, key=lambda name: -values[name])[:_MAX_ASSETS]]
    omitted = [asset for asset in groups if asset not in shown]
    keys = [key for asset in shown for key in groups[asset]]
    colours = theme.colours_in_order(keys, theme.INSTRUMENTS)
    panels = []
    for asset in shown:
        lines = tuple(
            Line(instrument_label(key), key, _signed(key, held.quantities[key]), colours[key], stepped="Perp" in key)
            for key in groups[asset]
        )
        decimals = theme.decimals(asset) if asset == "USDT" else 6
        panels.append(Panel(f"{asset} held, {asset}", "amount", decimals, lines=lines))
    if panels and omitted:
        panels[-1] = replace(panels[-1], note=f"too little to be shown: {', '.join(omitted)}")
    owned = any(run.is_material(np.abs(values).max(initial=0.0)) for values in held.values.values())
    note = "" if panels else "All assets were in transit." if owned else "The book held nothing."
    return make_picture(run, "positions", "Positions", "", *panels, note=note)


def _asset(key: str) -> str:
    """Asset of an instrument: the base of a perp, and ETH for WETH as well."""
    symbol = key.split(":")[2]
    symbol = symbol.removesuffix("USDT") or symbol
    return {"WETH": "ETH"}.get(symbol, symbol)


def _signed(key: str, units: np.ndarray) -> np.ndarray:
    """Quantities with debts below zero."""
    return -units if ":debtToken:" in key else units
