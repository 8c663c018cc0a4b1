"""Figure of the funding by venue, and of the rates that were settled. Imports numpy only."""

import numpy as np

from basis.plots import theme
from basis.plots.data import RunData
from basis.plots.figures import annotations
from basis.plots.figures.common import make_picture
from basis.plots.picture import Line, Panel, Picture

#: Funding rates are averaged over this time.
_WEEK = np.timedelta64(7, "D")


def funding(run: RunData) -> Picture:
    """Cumulative funding by venue, the rate that each venue settled last, and the mean rate of 7 days per year."""
    positions, unit = run.positions, run.share_class
    if not positions.funding and not positions.funding_rates:
        return make_picture(run, "funding", "Funding", unit, note="No funding applies: the book has no perps.")
    colours = theme.venue_colours([*positions.funding, *(key.split(":")[0] for key in positions.funding_rates)])
    lines = [
        Line(venue, f"funding_pnl|{venue}", np.cumsum(paid), colours[venue], group=venue)
        for venue, paid in positions.funding.items()
    ]
    all_venues = np.cumsum(run.attribution.get("funding_pnl", np.zeros(len(run))))
    if len(lines) > 1:
        lines.append(Line("all venues", "funding_pnl", all_venues, ""))
    panels = [
        Panel(f"funding since the start, {unit}", "money", theme.decimals(unit), lines=tuple(lines), weight=1.4,
              marks=annotations.liquidation_marks(run, all_venues)),
    ]  # fmt: skip
    settled, yearly = [], []
    for key, rates in positions.funding_rates.items():
        venue = key.split(":")[0]
        settled.append(
            Line(
                venue,
                f"funding_rate|{key}",
                _last_settled(rates),
                colours[venue],
                faint=True,
                group=venue,
                stepped=True,
            )
        )
        yearly.append(Line(venue, f"funding_apr|{key}", _yearly_mean(run.stamps, rates), colours[venue], group=venue))
    if any(np.isfinite(line.values).any() for line in settled):
        panels.append(Panel("rate settled last, % of notional", "percent", lines=tuple(settled)))
    if any(np.isfinite(line.values).any() for line in yearly):
        panels.append(Panel("mean of the last 7 days, % a year", "percent", lines=tuple(yearly)))
    return make_picture(run, "funding", "Funding by venue", unit, *panels)


def _last_settled(rates: np.ndarray) -> np.ndarray:
    """(rows,) the rate that was settled last; NaN before the first settlement."""
    last = np.maximum.accumulate(np.where(rates != 0.0, np.arange(len(rates)), -1))
    return np.where(last >= 0, rates[np.maximum(last, 0)], np.nan)


def _yearly_mean(stamps: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """(rows,) sum of the rates settled in the last seven days, times 365 / 7; NaN in the first seven days."""
    if not len(stamps):
        return rates
    summed = np.concatenate(([0.0], np.cumsum(rates)))
    before = np.searchsorted(stamps, stamps - _WEEK, side="right")
    mean = (summed[1:] - summed[before]) * (365.0 / 7.0)
    return np.where(stamps - stamps[0] >= _WEEK, mean, np.nan)
