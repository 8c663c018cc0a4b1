"""The numbers that the figures of a run are drawn from, as plain arrays. Imports numpy only."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from basis.plots import theme

#: Kinds of the event table.
EVENT_KINDS = (
    "decision", "order", "fill", "reject", "transfer", "arrival", "funding", "reward", "liquidation", "alert", "flow",
    "data", "error", "revert",
)  # fmt: skip
#: Risk measures whose low values are the dangerous ones.
LOWER_IS_WORSE = ("margin_ratio", "health_factor")
#: An amount below this share of the capital is the rounding error of sums (accounting §5) and is not drawn.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PositionData:
    """Positions of a run, and their exposure.

    Attributes
    ----------
    values : Mapping[str, numpy.ndarray]
        Instrument key to (rows,) value in share class; the values of all instruments sum to the equity.
    quantities : Mapping[str, numpy.ndarray]
        Instrument key to (rows,) quantity in units of the asset: scaled balances times their index.
    gross : numpy.ndarray
        (rows,) gross exposure, share class.
    funding : Mapping[str, numpy.ndarray]
        Venue to (rows,) funding P&L of each row, share class.
    funding_rates : Mapping[str, numpy.ndarray]
        Perp key to (rows,) rate settled in the row, fraction of notional; 0 if none was settled.
    net_to_gross : Mapping[str, numpy.ndarray]
        Venue to (rows,) signed over absolute notional of its perps, from -1 (all short) to 1 (all long); NaN without
        perps.
    growth_rates : Mapping[str, numpy.ndarray]
        Key of a supplied or borrowed token to (rows,) rate per year at which it grows, staking yield included.
    """

    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    quantities: Mapping[str, np.ndarray] = field(default_factory=dict)
    gross: np.ndarray = field(default_factory=lambda: np.empty(0))
    funding: Mapping[str, np.ndarray] = field(default_factory=dict)
    funding_rates: Mapping[str, np.ndarray] = field(default_factory=dict)
    net_to_gross: Mapping[str, np.ndarray] = field(default_factory=dict)
    growth_rates: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class RunData:
    """Numbers of a run that its figures are drawn from.

    Attributes
    ----------
    name : str
        Mode and dates of the run.
    share_class : str
        Unit of money.
    stamps : numpy.ndarray
        (rows,) datetime64[us] UTC.
    initial_equity : float
        Equity before the first row, share class.
    equity, net_flow : numpy.ndarray
        (rows,) equity, and deposits less withdrawals of the row, share class.
    drawdown : numpy.ndarray
        (rows,) fraction <= 0.
    attribution : Mapping[str, numpy.ndarray]
        Column to (rows,) P&L of each row, share class, without the breakdowns by venue.
    risk : Mapping[str, numpy.ndarray]
        Column of `risk.parquet` to (rows,).
    net_delta : Mapping[str, numpy.ndarray]
        Asset to (rows,) net delta, fraction of equity.
    events : Mapping[str, numpy.ndarray]
        Column of `events.parquet` to (events,).
    limits : Mapping[str, tuple[float, float]]
        Measure to its limits (warning, critical), for the measures that have some.
    cause : str, optional
        Why the run stopped itself; None if it did not.
    returns : numpy.ndarray
        (rows,) time-weighted returns, fractions; NaN if there was no capital to earn a return on.
    load_positions : Callable
        Makes `positions` when it is first asked for.
    """

    name: str
    share_class: str
    stamps: np.ndarray
    initial_equity: float
    equity: np.ndarray
    net_flow: np.ndarray
    drawdown: np.ndarray
    attribution: Mapping[str, np.ndarray]
    risk: Mapping[str, np.ndarray]
    net_delta: Mapping[str, np.ndarray]
    events: Mapping[str, np.ndarray]
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    cause: str | None = None
    returns: np.ndarray = field(default_factory=lambda: np.empty(0))
    load_positions: Callable[[], PositionData] = PositionData

    @functools.cached_property
    def positions(self) -> PositionData:
        return self.load_positions()

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def pnl(self) -> np.ndarray:
        """(rows,) balance-based P&L since the start: equity less the equity at the start and less the net flows."""
        return self.equity - self.initial_equity - np.cumsum(self.net_flow)

    @property
    def bar_name(self) -> str:
        """Name of the step from row to row: ``hour`` or ``bar``."""
        steps = np.diff(self.stamps[:2])
        return "hour" if not len(steps) or steps[0] == np.timedelta64(1, "h") else "bar"

    def is_material(self, amount: float) -> bool:
        """Whether an amount in share class is more than a rounding error."""
        return abs(amount) > _ROUNDING * max(1.0, abs(self.initial_equity))

    def money(self, amount: float) -> str:
        """An amount in share class with its unit."""
        return f"{amount:,.{theme.decimals(self.share_class)}f} {self.share_class}"


def is_lending_token(instrument: str) -> bool:
    """Whether an instrument key is that of a supplied or borrowed token of a lending protocol."""
    return ":aToken:" in instrument or ":debtToken:" in instrument


def margin_venues(risk: Mapping[str, np.ndarray]) -> list[str]:
    """Venues that have a margin ratio, in the order of the risk table."""
    names = [name.split("|") for name in risk if name.startswith("margin_ratio|")]
    return [parts[1] for parts in names if len(parts) == 2]


def months_of(stamps: np.ndarray) -> np.ndarray:
    """(rows,) datetime64[M]: the month of each row. A month ends at 00:00 UTC of the first day of the next month.

    The first row ends no bar; it belongs to the month of the row after it.
    """
    months = (stamps.astype("M8[us]") - np.timedelta64(1, "us")).astype("M8[M]")
    if len(months):
        months[0] = months[1] if len(months) > 1 else stamps[0].astype("M8[M]")
    return months
