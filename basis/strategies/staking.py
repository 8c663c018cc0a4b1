"""Liquid staking: the wallet's ether in a staking token, from its protocol or the market (strategy `staking`)."""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..inputs.plans import Plan, Strategy
from .base import dust_plan, required
from .single_asset import decide, policy


def stake_plan(config: Config) -> Plan:
    """The wallet's ether changed into the staking token."""
    settings = config.strategy
    required(config, "lst", "stake_route")
    token, ether = f"wallet:BaseToken:{settings.lst}", f"wallet:BaseToken:{config.asset}"
    return Plan("stake", config.asset, token, pays=ether, at_market=settings.stake_route == "market")


def _plans(config: Config) -> tuple[Plan, ...]:
    return (stake_plan(config), *dust_plan(config))


def _rate(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return columns[f"staking_apr|{config.strategy.lst}"]


STRATEGY = Strategy("staking", decide, _plans, policy, rate=_rate)
