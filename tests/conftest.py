"""Fixtures that every test may use: the real data set, the sample in the checkout, and how hypothesis runs."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# A first call compiles a kernel, which no deadline fits. CI draws the same examples each time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI", "").lower() == "true" else "dev")

# Compilers make objects by the million, hardly any of them garbage that only the collector finds.
gc.set_threshold(50_000, 50, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes the second begins with what compiles nothing, while the first compiles what all others need."""
    first = items[0].path if items else None
    items.sort(key=lambda item: 0 if item.path == first else 1 if item.path.name == "test_kernel_plain.py" else 2)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real market data: ``BASIS_TEST_DATA``, else ``../shared/market_data``; skips the test where there is none."""
    named = os.environ.get("BASIS_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "market_data"
    if not folder.is_dir():
        where = f"BASIS_TEST_DATA={named} is no folder" if named else "BASIS_TEST_DATA is not set"
        pytest.skip(f"needs real market data: {where}")
    return folder.resolve()


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The synthetic sample market of the checkout, ``data/sample``."""
    return ROOT / "data" / "sample"
