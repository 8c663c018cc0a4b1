"""Settings of strategies: the section `strategy` of a configuration, and which strategy reads which of them.

May import pydantic, `basis.assets` and this package's leaf modules only.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from basis.assets import load_assets
from basis.config.fields import (
    Boolean,
    Duration,
    FileName,
    Fraction,
    FrozenDict,
    Integer,
    Model,
    Name,
    NonNegative,
    Number,
    OneOf,
    Positive,
    refuse,
)

#: By how much weights may miss a sum of 1: the rounding of decimal fractions.
_SUM_TOLERANCE = 1e-9
#: Most borrowings of a loop by hand: at a loan to value of 0.85 the fortieth adds 0.15 % of the capital.
MAX_LOOP_STEPS = 40

#: Settings that say what a mode is: which strategy it runs, and where it lends.
IDENTITY = ("name", "lending_venue")

_ANY = ("rebalance", "position_deviation_threshold", "gas_reserve", "features")
_HEDGE = ("hedge_allocation", "margin_ratio_band", "max_delta_drift")
_LEND = ("lending_venue",)
_STAKE = ("lst", "stake_route", "dust_threshold", "rate_rule")
_LEVER = (*_LEND, "target_ltv", "ltv_band", "min_health_factor", "loop_steps")
_SIGNAL = ("signal_file", "signal_threshold", "stop_sd", "take_profit_sd", "sd_floor", "sd_cap")
#: Name of a strategy → the settings that it reads.
SETTINGS = {
    "spot_perp": ("spot_venue", "margin_ratio_target", "rebalance_depth", *_HEDGE, "rate_rule", *_ANY),
    "lending": (*_LEND, "rate_rule", *_ANY),
    "staking": (*_STAKE, *_ANY),
    "levered_staking": (*_LEVER, *_STAKE, *_ANY),
    "hedged_staking": ("stake_allocation", *_HEDGE, *_STAKE, *_ANY),
    "hedged_levered_staking": ("stake_allocation", *_LEVER, *_HEDGE, *_STAKE, *_ANY),
    "directional": (*_SIGNAL, "margin_ratio_target", *_HEDGE, *_ANY),
}


def settings_of(strategy: str | None) -> tuple[str, ...]:
    """The settings that a strategy reads; all of them where it is not one of the shipped."""
    every = tuple(name for name in StrategySettings.model_fields if name != "name")
    return SETTINGS.get(strategy or "", every)


class RateRule(Model):
    """Entry and exit on a rate, with hysteresis: in above `enter`, out below `leave`."""

    enabled: Boolean = Field(default=False, description="Whether the rule applies; it does where both rates are given.")
    enter: Number | None = Field(default=None, description="Enter above this trailing mean rate, fraction per year.")
    leave: Number | None = Field(default=None, description="Leave below this trailing mean rate, fraction per year.")
    window: Duration | None = Field(default=None, description="Duration that the trailing mean covers.")
    holding_period: Duration | None = Field(
        default=timedelta(days=30),
        description="Time over which the difference to `leave` has to pay for the way out and in again: fees, slippage "
        "and gas of the initial capital. None: costs are not looked at.",
    )

    @model_validator(mode="before")
    @classmethod
    def _on_where_given(cls, values: Any) -> Any:
        """A rule whose rates are given is on, where nothing else is said."""
        if isinstance(values, Mapping) and "enabled" not in values and {"enter", "leave"} <= set(values):
            return {**values, "enabled": True}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.enter is not None and self.leave is not None and self.leave >= self.enter:
            refuse("leave", self.leave, f"must be < enter ({self.enter})")
        if self.enabled:
            for name in ("enter", "leave", "window"):
                if not getattr(self, name) and getattr(self, name) != 0:
                    refuse(name, getattr(self, name), "must be set (and window > 0) where the rule is enabled")
        return self


class StrategySettings(Model):
    """Which strategy a mode runs and what it aims at; None where the strategy does not use a setting."""

    name: Name | None = Field(default=None, description="Strategy that the mode runs, a module of basis.strategies.")
    rebalance: Boolean = Field(default=True, description="False: enter at row 0, then hold.")
    position_deviation_threshold: Fraction = Field(
        default=0.02, description="Trade only when a target is off by more than this fraction of equity."
    )
    rebalance_depth: Fraction = Field(
        default=1.0,
        description="How deep into its band a rebalance trades: 0 to the edge that was left, 1 to the target.",
    )
    max_delta_drift: Fraction = Field(default=0.02, description="Net delta that is tolerated, fraction of equity.")
    margin_ratio_target: Positive = Field(default=0.5, description="Margin / notional aimed at, fraction.")
    margin_ratio_band: tuple[Number, Number] = Field(
        default=(0.7, 1.5), description="Band of the margin ratio [low, high], as multiples of the target."
    )
    hedge_allocation: FrozenDict[str, NonNegative] | None = Field(
        default=None, description="Share of the hedge by exchange, fractions that sum to 1; 0 skips the venue."
    )
    spot_venue: Name | None = Field(default=None, description="Exchange on which spot is traded.")
    lst: Annotated[str, OneOf(lambda: load_assets().staking_tokens)] | None = Field(
        default=None, description="Liquid staking token."
    )
    lending_venue: Annotated[str, OneOf(lambda: load_assets().lending_protocols)] | None = Field(
        default=None, description="Protocol at which is lent and borrowed."
    )
    stake_route: Literal["protocol", "market"] | None = Field(default=None, description="Where the token is got from.")
    stake_allocation: Annotated[Fraction, Field(gt=0)] | None = Field(
        default=None, description="Share of equity that goes on-chain, fraction; the rest is margin."
    )
    target_ltv: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Loan to value, fraction."
    )
    ltv_band: Annotated[Number, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Deviation of the loan to value tolerated on either side of the target, fraction."
    )
    loop_steps: Annotated[Integer, Field(ge=0, le=MAX_LOOP_STEPS)] = Field(
        default=0, description="Borrowings of a leverage loop by hand; 0: one transaction with a flash loan."
    )
    min_health_factor: Annotated[Number, Field(ge=1)] | None = Field(
        default=None, description="Health factor below which debt is reduced, ratio."
    )
    dust_threshold: NonNegative | None = Field(
        default=None, description="Worth of reward tokens above which they are sold, share class."
    )
    gas_reserve: NonNegative = Field(default=10.0, description="Gas kept back in the wallet, number of transactions.")
    rate_rule: RateRule = Field(default=RateRule(), description="Entry and exit on a rate.")
    signal_file: FileName | None = Field(
        default=None, description="Signal series: its file name below signals/ of the data set."
    )
    signal_threshold: Fraction | None = Field(default=None, description="Least confidence that is traded, fraction.")
    stop_sd: Positive | None = Field(default=None, description="Distance of the stop-loss, standard deviations.")
    take_profit_sd: Positive | None = Field(
        default=None, description="Distance of the take-profit, standard deviations."
    )
    sd_floor: NonNegative | None = Field(
        default=None, description="Least standard deviation used, fraction of the price."
    )
    sd_cap: Positive | None = Field(
        default=None, description="Greatest standard deviation used, fraction of the price."
    )

    features: tuple[FileName, ...] = Field(
        default=(),
        description="Files of one's own below features/ of the data set, for a strategy of one's own.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.features:
            if not name.replace("_", "").isalnum():
                refuse(
                    "features",
                    name,
                    "must be the name of a file below features/ without its ending: letters, digits, _",
                )
        low, high = self.margin_ratio_band
        if not 0 < low < 1 < high:
            refuse("margin_ratio_band", [low, high], "must be [low, high] with 0 < low < 1 < high")
        weights = self.hedge_allocation
        if weights is not None and abs(sum(weights.values()) - 1) > _SUM_TOLERANCE:
            must = f"weights must sum to 1 (they sum to {sum(weights.values()):.12g})"
            refuse("hedge_allocation", weights, must)
        if self.target_ltv is not None and self.ltv_band is not None and self.target_ltv + self.ltv_band >= 1:
            refuse("ltv_band", self.ltv_band, f"must be < 1 - target_ltv ({1 - self.target_ltv:.12g})")
        if self.sd_floor is not None and self.sd_cap is not None and self.sd_floor > self.sd_cap:
            refuse("sd_floor", self.sd_floor, f"must be <= sd_cap ({self.sd_cap})")
        return self
