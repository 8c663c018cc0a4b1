"""The small markets of the kernel's tests and the draws of the property tests serve here, too."""

import sys
from pathlib import Path

import pytest

from basis.config import load_config
from basis.market import DataProvider

for folder in ("kernel", "properties"):
    sys.path.append(str(Path(__file__).parent.parent / folder))


@pytest.fixture(scope="session")
def market_of(sample_data):
    """Configuration and panel of a mode and overrides on the sample; a panel serves every run of the same market."""
    made = {}

    def make(mode, overrides):
        config = load_config(mode, overrides, environ={})
        key = (mode, str(sorted(overrides.items(), key=str)))
        if key not in made:
            made[key] = DataProvider(sample_data, config).panel()
        return config, made[key]

    return make
