"""The configuration of a run: frozen models of every key of the contract, with defaults, units and checks.

May import pydantic, `basis.assets`, `basis.series_kinds` and this package's modules only.
"""

import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from basis.config import display
from basis.config.durations import parse_duration
from basis.config.fields import (
    Boolean,
    Duration,
    FileName,
    Fraction,
    FrozenDict,
    Instant,
    Integer,
    Model,
    Name,
    NonNegative,
    Number,
    Positive,
    refuse,
)
from basis.config.instruments import check_instruments, distributions, expand
from basis.config.resolving import changes_of, resolve_config
from basis.config.strategy_settings import StrategySettings
from basis.config.venues import Distribution, Venue
from basis.config.yaml_io import dump_yaml, plain
from basis.errors import checked_call
from basis.series_kinds import default_staleness, kinds

_HIGHER_IS_WORSE = ("ltv", "net_delta_ratio", "drawdown")
_LOWER_IS_WORSE = ("health_factor", "margin_ratio")
MEASURES = (*_HIGHER_IS_WORSE, *_LOWER_IS_WORSE, "margin_ratio|<venue>", "net_delta_ratio|<ASSET>")
#: Shortest and longest step of the grid: that of the finest candles, and that of the daily observations.
_BAR_INTERVALS = (timedelta(minutes=5), timedelta(days=1))
#: Least share of funding payments that must be there: one missing payment in a month is more than this.
_FUNDING_COVERAGE = 0.99
#: End of the seeds: they are int64 in the manifest.
_SEEDS_END = 2**63


class Costs(Model):
    """Costs of execution."""

    enabled: Boolean = Field(
        default=True, description="False switches off fees, slippage, gas, transfer and flash fees."
    )


class Execution(Model):
    """How orders at exchanges meet the market (accounting §8)."""

    orders: Literal["taker", "maker"] = Field(
        default="taker",
        description="taker: crosses the spread at once. maker: rests for the bar at the price of the row in which it "
        "was decided, for the maker fee; where the market does not go beyond it, it crosses after that. What is "
        "decided while an alert is critical or a margin is below its band crosses at once. Needs fill=next_bar.",
    )
    impact: NonNegative = Field(
        default=0.0,
        description="Square-root impact: slippage of an order of the whole volume of the hour that ended, in "
        "volatilities of that hour; 0 for none.",
    )
    participation: Annotated[Fraction, Field(gt=0)] | None = Field(
        default=None,
        description="Most of the volume of the hour that ended which orders of a row may take, fraction; the rest of "
        "an order is not filled. None: no cap.",
    )
    lots: Boolean = Field(default=False, description="Whether smallest orders and steps of the venues hold.")


class Transfers(Model):
    """Transfers between venues."""

    instant: Boolean = Field(default=False, description="True: a transfer arrives in the row in which it is sent.")


class Rewards(Model):
    """Reward tokens."""

    enabled: Boolean = Field(default=True, description="Whether distributions are credited.")


class Limit(Model):
    """Limits of one measure, in the measure's own unit (a ratio)."""

    warning: Number = Field(description="Beyond this an alert of level 1 is raised.")
    critical: Number = Field(description="Beyond this the strategy may only reduce risk.")


class Risk(Model):
    """Risk checks."""

    simulate_liquidation: Boolean = Field(default=True, description="Whether venues and protocols liquidate.")
    limits: FrozenDict[str, Limit] = Field(
        default=FrozenDict(), description="Limits by measure: " + ", ".join(MEASURES) + "; all ratios."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for measure, limit in self.limits.items():
            head, bar, tail = measure.partition("|")
            if measure not in MEASURES[:-2] and not (head in ("margin_ratio", "net_delta_ratio") and bar and tail):
                refuse("limits", measure, "measure must be one of " + ", ".join(MEASURES), MEASURES)
            if head in _LOWER_IS_WORSE and limit.critical > limit.warning:
                refuse(f"limits.{measure}.critical", limit.critical, f"must be <= warning ({limit.warning})")
            if head in _HIGHER_IS_WORSE and limit.critical < limit.warning:
                refuse(f"limits.{measure}.critical", limit.critical, f"must be >= warning ({limit.warning})")
        return self


def _all_staleness(value: Any) -> Any:
    """Fill in the defaults; a bare duration is the limit of every kind."""
    if isinstance(value, Mapping):
        return {**default_staleness(), **value}
    return dict.fromkeys(default_staleness(), parse_duration(value))


def _check_series(name: str) -> bool:
    kind, _, series = name.partition("/")
    return kind in kinds() and series.replace("_", "").isalnum()


class Data(Model):
    """Which series are used, and how old they may be."""

    sources: FrozenDict[str, tuple[FileName, ...]] = Field(
        default=FrozenDict(), description="Sources of a series in order; holes of one are filled from the next."
    )
    max_staleness: Annotated[FrozenDict[str, Duration], BeforeValidator(_all_staleness)] = Field(
        default_factory=lambda: FrozenDict(default_staleness()),
        description="How long an observation may be carried: a duration for all, or one by kind "
        "(price, aave, lst, gas) or by series (spot/btcusdt).",
    )
    min_funding_coverage: Fraction = Field(
        default=_FUNDING_COVERAGE,
        description="Least share of funding payments that must be there after fallbacks, fraction.",
    )
    checks: Literal["strict", "warn", "off"] = Field(
        default="warn",
        description="What checks of the series in the window do. warn: the impossible stops the run, the improbable "
        "is a warning. strict: the improbable stops it, too. off: nothing is checked.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        form = f"a series is <kind>/<name> as in perp/okx_btcusdt, kind one of {', '.join(kinds())}"
        for series, names in self.sources.items():
            if not _check_series(series):
                rest = series.partition("/")[2]
                refuse("sources", series, form, [f"{kind}/{rest}" for kind in kinds()])
            if len(set(names)) < len(names) or not all(name.replace("_", "").isalnum() for name in names):
                refuse(f"sources.{series}", list(names), "must be different names of sources, such as [binance, bybit]")
        limits = default_staleness()
        for name in self.max_staleness:
            if name not in limits and not _check_series(name):
                refuse("max_staleness", name, f"must be one of {', '.join(limits)} or {form}", limits)
        return self


class Flow(Model):
    """A deposit or withdrawal."""

    timestamp: Instant = Field(description="When it is asked for, UTC.")
    amount: Number = Field(description="Amount in share class, > 0 a deposit, < 0 a withdrawal.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.amount == 0:
            refuse("amount", self.amount, "must be > 0 (deposit) or < 0 (withdrawal)")
        return self


class Config(Model):
    """A resolved, frozen configuration; made by `basis.load_config` or a mode's constructor (`basis.BtcBasis`, …).

    Its keys are attributes (``config.strategy.margin_ratio_target``), and `help` of a mode's constructor says what each
    is. It holds everything that a run depends on but the data: venues with their dated fees and tiers included.

    Examples
    --------
    >>> config = basis.load_config("btc_basis")
    >>> config.share_class, config.strategy.margin_ratio_target, len(config.instruments)
    ('USDT', 0.5, 8)
    >>> safer = config.replace({"strategy.margin_ratio_target": 0.8})
    >>> safer.strategy.margin_ratio_target, config.strategy.margin_ratio_target
    (0.8, 0.5)
    >>> basis.load_config(basis.load_config("btc_basis").to_dict()) == config
    True
    """

    mode: FileName = Field(description="Strategy mode.")
    description: str = Field(default="", description="The mode in one line.")
    share_class: Literal["USDT", "ETH"] = Field(description="Currency of capital and of every result.")
    asset: Name = Field(description="Asset that the mode holds.")
    assets: tuple[Name, ...] | None = Field(default=None, description="Assets that the mode allows; None: any.")
    initial_capital: Positive = Field(description="Capital at the start, share class.")
    start: Instant | None = Field(
        default=None, description="First row, UTC; None: first of the range common to all series."
    )
    end: Instant | None = Field(default=None, description="Last row, UTC, inclusive; None: last of the common range.")
    bar_interval: Duration = Field(default=timedelta(hours=1), description="Step of the grid, 5 minutes to 1 day.")
    fill: Literal["same_bar", "next_bar"] = Field(default="same_bar", description="Row in which an order fills.")
    close_at_end: Boolean = Field(default=False, description="Whether positions are closed in the last row.")
    start_venue: Name = Field(default="wallet", description="Venue at which the capital arrives.")
    valuation: Literal["market", "oracle"] = Field(
        default="market", description="Rate at which staking tokens are valued."
    )
    seed: Annotated[Integer, Field(ge=0, lt=_SEEDS_END)] = Field(default=0, description="Seed of everything random.")
    strategy: StrategySettings = Field(default=StrategySettings(), description="What the strategy aims at.")
    costs: Costs = Field(default=Costs(), description="Costs of execution.")
    execution: Execution = Field(default=Execution(), description="How orders at exchanges meet the market.")
    transfers: Transfers = Field(default=Transfers(), description="Transfers between venues.")
    rewards: Rewards = Field(default=Rewards(), description="Reward tokens.")
    risk: Risk = Field(default=Risk(), description="Risk checks.")
    data: Data = Field(default=Data(), description="Series used.")
    flows: tuple[Flow, ...] = Field(default=(), description="Deposits and withdrawals, in the order of their time.")
    instrument_templates: tuple[Name, ...] = Field(
        description="Instrument keys; {asset} or {strategy.spot_venue} stand for a value, {hedge} for each hedge "
        "venue, {reserve} for the asset as a lending protocol names it."
    )
    venues: FrozenDict[str, Venue] = Field(description="The venues that the run uses, by name.")

    @functools.cached_property
    def instruments(self) -> tuple[str, ...]:
        """Instrument keys `venue:type:symbol` in the order of the templates, without repeats."""
        return expand(self)

    @functools.cached_property
    def distributions(self) -> Mapping[str, Distribution]:
        """Reward tokens that what the configuration holds is paid, by symbol; none where rewards are off."""
        return distributions(self)

    @property
    def depth(self) -> bool:
        """Whether orders are more than fills of any size at the slippage of their bucket."""
        costly = self.costs.enabled and (self.execution.impact > 0.0 or self.execution.orders == "maker")
        return costly or self.execution.participation is not None or self.execution.lots

    @property
    def hedge_venues(self) -> tuple[str, ...]:
        """Exchanges whose share of the hedge is > 0, in the order given."""
        return tuple(name for name, weight in (self.strategy.hedge_allocation or {}).items() if weight > 0)

    @checked_call
    def replace(self, overrides: Mapping[str, Any]) -> "Config":
        """Return a validated copy with dotted ``overrides``; what they do not name stays as it is, capital included."""
        return resolve_config(type(self), self.to_dict(), changes_of(overrides)) if overrides else self

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain dicts, lists, numbers, texts and dates, ready for YAML."""
        return plain(self.model_dump(by_alias=True))

    @functools.cached_property
    def _yaml(self) -> str:
        return dump_yaml(self.to_dict())

    def to_yaml(self) -> str:
        """Return resolved YAML; :func:`basis.load_config` reads an equal configuration from it."""
        return self._yaml

    def __repr__(self) -> str:
        return display.to_text(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return display.to_html(self)

    @field_validator("bar_interval")
    @classmethod
    def _check_bar_interval(cls, value: timedelta) -> timedelta:
        if not _BAR_INTERVALS[0] <= value <= _BAR_INTERVALS[1] or value.microseconds:
            raise ValueError("must be from 5m to 1d, in whole seconds")
        return value

    @field_validator("flows")
    @classmethod
    def _order_flows(cls, value: tuple[Flow, ...]) -> tuple[Flow, ...]:
        return tuple(sorted(value, key=lambda flow: flow.timestamp))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.assets is not None and self.asset not in self.assets:
            must = f"must be {' or '.join(self.assets)} in mode {self.mode}"
            refuse("asset", self.asset, must, self.assets)
        if self.start is not None and self.end is not None and self.end < self.start:
            refuse("end", self.end.isoformat(), f"must not be before start ({self.start.isoformat()})")
        for name, venue in self.venues.items():
            if venue.name != name:
                refuse(f"venues.{name}.name", venue.name, f"must be {name}, the key of the venue")
        if self.execution.orders == "maker" and self.fill != "next_bar":
            must = "needs fill=next_bar: an order rests for the bar after the row in which it was decided"
            refuse("execution.orders", "maker", must)
        self._check_venue_names()
        check_instruments(self)
        return self

    def _check_venue_names(self) -> None:
        exchanges = [name for name, venue in self.venues.items() if venue.kind == "exchange"]
        named = [("strategy.hedge_allocation", name) for name in self.strategy.hedge_allocation or ()]
        named += [("strategy.spot_venue", self.strategy.spot_venue)] if self.strategy.spot_venue else []
        limits = (measure.partition("|") for measure in self.risk.limits)
        named += [("risk.limits", venue) for head, _, venue in limits if venue and head == "margin_ratio"]
        for key, name in named:
            if name not in exchanges:
                refuse(key, name, "must name an exchange: " + ", ".join(exchanges), exchanges)
        holders = [name for name, venue in self.venues.items() if venue.kind in ("exchange", "wallet")]
        if self.start_venue not in holders:
            refuse("start_venue", self.start_venue, "must be one of " + ", ".join(holders), holders)
