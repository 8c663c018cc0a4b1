"""What the shipped strategies share: settings they need, keys of loans, the rate rule, selling reward tokens."""

from typing import Any

from ..assets import load_assets
from ..config import Config
from ..errors import ConfigError
from ..inputs.plans import Plan
from ..kernel.keys import GAS_ASSET, Key
from ..kernel.layout.codes import NO_RULE
from ..kernel.numba.jit import stage

#: While an alert is critical: how far above its target a loan to value is brought down to it, relative.
SETTLED = 1e-3


def required(config: Config, *names: str) -> list[Any]:
    """Settings of the strategy that its mode cannot do without.

    Raises
    ------
    ConfigError
        Where one is not set.
    """
    values = [getattr(config.strategy, name) for name in names]
    for name, value in zip(names, values, strict=True):
        if value is None:
            raise ConfigError(f"Invalid strategy.{name}: None. Must be set in mode {config.mode}.")
    return values


def supplied(config: Config, asset: str) -> Key:
    """Key of an asset that is supplied to the lending venue of the configuration."""
    [venue] = required(config, "lending_venue")
    return Key(venue, "aToken", load_assets().reserve_of(asset))


def owed(config: Config, asset: str) -> Key:
    """Key of a debt of an asset at the lending venue of the configuration."""
    [venue] = required(config, "lending_venue")
    return Key(venue, "debtToken", load_assets().reserve_of(asset))


def dust_plan(config: Config) -> tuple[Plan, ...]:
    """The plan by which reward tokens are sold; none where there are none."""
    return (Plan("dust", "dust", pays=f"wallet:BaseToken:{GAS_ASSET}"),) if config.distributions else ()


@stage
def wants_carry(view):
    """Whether the rate rule wants to be in, with hysteresis; without a rule it always does. Kept in memory 0.

    What the rate is above or below that of leaving has to pay for the round trip over the holding period.
    """
    over = view.rate - view.policy.leave_rate
    if view.policy.enter_rate == NO_RULE or (view.rate > view.policy.enter_rate and over > view.switching_cost):
        view.memory[0] = 1.0
    elif over < -view.switching_cost:
        view.memory[0] = 0.0
    return view.memory[0] > 0.0


@stage
def closes_now(view):
    """Whether everything is closed in this row, the last."""
    return view.last and view.policy.close_at_end > 0.0


@stage
def sell_dust(view, act, least):
    """Sell the reward tokens where they are worth more than `least`."""
    if view.policy.sells_dust > 0.0 and view.dust > least:
        act.sell_dust()
