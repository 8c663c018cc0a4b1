"""Hedged staking with leverage: a staking token on Aave against a debt in ether (mode `usdt_market_neutral`)."""

from .base import Strategy
from .eth_leveraged import carry, ltv_limits, plan
from .hedged_staking import LEVERED, decide, funding, plans, policy


def _plans(config):
    return plans(config, plan(config))


def _policy(config, slots):
    times = 1.0 / (1.0 - config.strategy.target_ltv)
    return {**policy(config, slots, times), **ltv_limits(config), LEVERED: 1.0}


def _rate(config, columns):
    return config.strategy.stake_allocation * (carry(config, columns) + funding(config, columns))


STRATEGY = Strategy("usdt_market_neutral", decide, _plans, _policy, _rate)
