"""What the figures of a run are drawn from, and its measures in words. Imports numpy only."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from basis.plots import theme

#: Measures for which less is worse.
LESS_IS_WORSE = ("margin_ratio", "health_factor")
_NAMES = {
    "margin_ratio": "margin ratio",
    "health_factor": "health factor",
    "net_delta_ratio": "net delta",
    "ltv": "LTV",
    "drawdown": "drawdown",
}
#: What is less than this share of the capital is the rounding of sums (accounting §5) and not drawn.
_ROUNDING = 1e-9


#: Types of an instrument key in words.
_HELD = {"BaseToken": "{} at {}", "Perp": "{} perp at {}", "aToken": "{} supplied at {}", "debtToken": "{} owed at {}"}
#: Kinds of the event table.
EVENT_KINDS = (
    "decision", "order", "fill", "reject", "transfer", "arrival", "funding", "reward", "liquidation", "alert", "flow",
    "data", "error",
)  # fmt: skip


@dataclass(frozen=True)
class BookNumbers:
    """What the book held and what that was exposed to.

    Attributes
    ----------
    values : instrument key → (rows,) worth, share class; they sum to the equity
    units : instrument key → (rows,) what was held, units of the asset: scaled balances times their index
    gross : (rows,) gross exposure, share class
    funding : venue → (rows,) increments, share class
    rates : perp key → (rows,) rates settled in the row, fraction of notional; 0 where none was
    sides : venue → (rows,) signed over absolute notional of its perps, −1 all short to 1 all long; NaN without any
    growth : key of a supplied or owed token → (rows,) rate a year at which it grows, staking included
    """

    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, np.ndarray] = field(default_factory=dict)
    gross: np.ndarray = field(default_factory=lambda: np.empty(0))
    funding: Mapping[str, np.ndarray] = field(default_factory=dict)
    rates: Mapping[str, np.ndarray] = field(default_factory=dict)
    sides: Mapping[str, np.ndarray] = field(default_factory=dict)
    growth: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class RunNumbers:
    """What the figures of a run are drawn from.

    Attributes
    ----------
    name : mode and window in words
    share_class : unit of money
    stamps : (rows,) datetime64[us] UTC
    initial_equity : worth before the first row, share class
    equity, net_flow : (rows,) share class; the flow is that of the row
    drawdown : (rows,) fraction <= 0
    attribution : column → (rows,) increments, share class; without the breakdowns
    risk : column of `risk.parquet` → (rows,)
    net_delta : asset → (rows,) fraction of equity
    events : column of `events.parquet` → (events,)
    limits : measure → (warning, critical), of those that have some
    cause : why the run stopped itself, None where it did not
    returns : (rows,) time-weighted returns, fractions; NaN where there was nothing to earn on
    open_book : gives what the book held, on the first call of `book`
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
    open_book: Callable[[], BookNumbers] = BookNumbers

    @functools.cached_property
    def book(self) -> BookNumbers:
        return self.open_book()

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def pnl(self) -> np.ndarray:
        """(rows,) balance-based P&L since the start: equity less what it began with and what flowed in."""
        return self.equity - self.initial_equity - np.cumsum(self.net_flow)

    @property
    def bar(self) -> str:
        """What the time from row to row is called."""
        apart = np.diff(self.stamps[:2])
        return "hour" if not len(apart) or apart[0] == np.timedelta64(1, "h") else "bar"

    def counts(self, amount: float) -> bool:
        """Whether an amount is more than rounding."""
        return abs(amount) > _ROUNDING * max(1.0, abs(self.initial_equity))

    def money(self, amount: float) -> str:
        """An amount with its unit."""
        return f"{amount:,.{theme.places(self.share_class)}f} {self.share_class}"


def venues(risk: Mapping[str, np.ndarray]) -> list[str]:
    """Venues with a margin ratio, in the order of the table."""
    names = [name.split("|") for name in risk if name.startswith("margin_ratio|")]
    return [parts[1] for parts in names if len(parts) == 2]


def in_words(measure: str) -> str:
    """A measure of risk in words: ``margin_ratio|okx`` is the margin ratio at okx."""
    head, _, tail = measure.partition("|")
    return _NAMES.get(head, head) + (f" {'at ' if head == 'margin_ratio' else 'of '}{tail}" if tail else "")


def value_in_words(value: float, kind: str) -> str:
    """A value of a panel of a kind: four digits, a fraction in percent."""
    shown = value if kind == "ratio" else 100.0 * value
    words = f"{shown:,.0f}" if abs(shown) >= 1_000.0 else f"{shown:.4g}"
    return words.replace("-", "−") + ("" if kind == "ratio" else "%")


def minute(stamp: np.datetime64) -> str:
    """An instant to the minute."""
    return str(stamp.astype("M8[m]")).replace("T", " ")


def held_in_words(key: str) -> str:
    """An instrument in words: ``aave_v3:aToken:weETH`` is weETH supplied at aave_v3."""
    parts = key.split(":")
    if len(parts) != 3:
        return key
    venue, kind, symbol = parts
    return _HELD.get(kind, "{} at {}").format(symbol, venue)


def month_of(stamps: np.ndarray) -> np.ndarray:
    """(rows,) datetime64[M]: the month a row's hour lies in. A month ends at 00:00 UTC of the next one's first day.

    The first row has no hour before it and belongs to the month that follows it.
    """
    months = (stamps.astype("M8[us]") - np.timedelta64(1, "us")).astype("M8[M]")
    if len(months):
        months[0] = months[1] if len(months) > 1 else stamps[0].astype("M8[M]")
    return months
