"""Lending: the wallet's token supplied to a pool (strategy `lending`)."""

from .base import Plan, Strategy, supplied
from .parking import decide, policy


def _plans(config):
    return (Plan("lend", config.asset, f"wallet:BaseToken:{config.asset}", str(supplied(config, config.asset))),)


def _rate(config, columns):
    return columns[f"supply_apr_mean|{supplied(config, config.asset).reserve}"]


STRATEGY = Strategy("lending", decide, _plans, policy, _rate)
