"""Fixture: markets of the sample, made once."""

import pytest

from basis.market import DataProvider
from support.runs import settings


@pytest.fixture(scope="session")
def market_of(sample_data):
    """Configuration and panel of a mode and overrides on the sample; a panel serves every run of the same market."""
    made = {}

    def make(mode, overrides):
        config = settings(mode, overrides)
        key = (mode, str(sorted(overrides.items(), key=str)))
        if key not in made:
            made[key] = DataProvider(sample_data, config).panel()
        return config, made[key]

    return make
