"""Lending: the wallet's token supplied to a pool (strategy `lending`)."""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..inputs.plans import Plan, Strategy
from .base import supplied
from .single_asset import decide, policy


def _plans(config: Config) -> tuple[Plan, ...]:
    return (Plan("lend", config.asset, f"wallet:BaseToken:{config.asset}", str(supplied(config, config.asset))),)


def _rate(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return columns[f"supply_apr_mean|{supplied(config, config.asset).reserve}"]


STRATEGY = Strategy("lending", decide, _plans, policy, rate=_rate)
