"""Fixtures: a hand-made data set, and configurations that ask for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from market_files import Dataset

from basis.config import load_config


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


@pytest.fixture
def configure() -> Callable[..., Any]:
    """A configuration of instruments; costs are off unless asked for, so that no gas is needed."""

    def make(*instruments: str, share_class: str = "USDT", **keys: Any) -> Any:
        given = {
            "mode": "test",
            "share_class": share_class,
            "asset": "BTC",
            "initial_capital": 1000,
            "instruments": list(instruments),
            "costs": {"enabled": False},
            # rates of 10 % and prices at random: the checks of data have tests of their own
            "data": {"checks": "off", "sources": {"spot/btcusdt": ["binance", "bybit"], "spot/ethusdt": ["bybit"]}},
        }
        given.update({key: value for key, value in keys.items() if key != "data"})
        for key, value in keys.get("data", {}).items():
            given["data"][key] = {**given["data"].get(key, {}), **value} if isinstance(value, dict) else value
        return load_config(given)

    return make
