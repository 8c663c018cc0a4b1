"""Liquid staking: the wallet's ether in a staking token, from its protocol or the market (strategy `staking`)."""

from .base import Plan, Strategy, dust_plan, required
from .parking import decide, policy


def _plans(config):
    settings = config.strategy
    required(config, "lst", "stake_route")
    token, ether = f"wallet:BaseToken:{settings.lst}", f"wallet:BaseToken:{config.asset}"
    stake = Plan("stake", config.asset, token, pays=ether, at_market=settings.stake_route == "market")
    return (stake, *dust_plan(config))


def _rate(config, columns):
    return columns[f"staking_apr|{config.strategy.lst}"]


STRATEGY = Strategy("staking", decide, _plans, policy, _rate)
