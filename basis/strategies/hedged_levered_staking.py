"""Hedged staking with leverage: a staking token on Aave against a debt in ether (`hedged_levered_staking`)."""

from .base import Strategy
from .hedged_staking import LEVERED, decide, funding, plans, policy
from .levered_staking import carry, ltv_limits, plan


def _plans(config):
    return plans(config, plan(config))


def _policy(config, slots):
    times = 1.0 / (1.0 - config.strategy.target_ltv)
    return {**policy(config, slots, times), **ltv_limits(config), LEVERED: 1.0}


def _rate(config, columns):
    return config.strategy.stake_allocation * (carry(config, columns) + funding(config, columns))


STRATEGY = Strategy("hedged_levered_staking", decide, _plans, _policy, _rate)
