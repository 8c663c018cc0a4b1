"""Fixtures: the contracts, installed where that is possible."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from aave_oracle import Contracts, Unavailable, installed

HERE = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """An installation mostly waits for the network: it begins at once, while other tests run."""
    wanted = any(item.path.is_relative_to(HERE) for item in session.items)
    if wanted and not session.config.option.collectonly and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
        threading.Thread(target=_install, daemon=True).start()


def _install() -> None:
    # who needs the contracts meets the same failure, and tells it
    with suppress(Unavailable):
        installed()


@pytest.fixture(scope="session")
def contracts():
    """The contracts on a chain; skips the test where they cannot be installed."""
    try:
        market = Contracts()
    except Unavailable as error:
        pytest.skip(f"the contracts cannot be run: {error}")
    yield market
    market.close()
