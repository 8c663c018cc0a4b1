"""Hedged staking with leverage: a staking token in a loan against a debt in ether (`hedged_levered_staking`)."""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..inputs.plans import Plan, Strategy
from ..inputs.slots import Slots
from .base import required
from .hedged_staking import decide, hedged_plans, hedged_policy, names
from .levered_staking import carry, lever_plan, ltv_limits
from .spot_perp import funding_rate


def _plans(config: Config) -> tuple[Plan, ...]:
    return hedged_plans(config, lever_plan(config))


def _policy(config: Config, slots: Slots) -> Mapping[str, float]:
    [target] = required(config, "target_ltv")
    times = 1.0 / (1.0 - target)
    return {**hedged_policy(config, slots, times), **ltv_limits(config)}


def _rate(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return config.strategy.stake_allocation * (carry(config, columns) + funding_rate(config, columns))


STRATEGY = Strategy("hedged_levered_staking", decide(levered=1.0), _plans, _policy, names, _rate)
