"""Lending: the wallet's token supplied to a pool (mode `pure_lending`)."""

from ..kernel.keys import reserve_of
from .base import Plan, Strategy
from .parking import decide, policy


def _plans(config):
    pool = f"aave_v3:aToken:{reserve_of(config.asset)}"
    return (Plan("lend", config.asset, f"wallet:BaseToken:{config.asset}", pool),)


def _rate(config, columns):
    return columns[f"supply_apr_mean|{reserve_of(config.asset)}"]


STRATEGY = Strategy("pure_lending", decide, _plans, policy, _rate)
