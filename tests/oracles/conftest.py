"""Fixtures: the contracts, installed where that is possible."""

import pytest
from aave_oracle import Contracts, Unavailable


@pytest.fixture(scope="session")
def contracts():
    """The contracts on a chain; skips the test where they cannot be installed."""
    try:
        market = Contracts()
    except Unavailable as error:
        pytest.skip(f"the contracts cannot be run: {error}")
    yield market
    market.close()
