"""Fixtures: both drivers, and both data sets, for every gate."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session", params=["kernel", "event"])
def driver(request) -> str:
    """What drives a run; a mode is accepted with both."""
    return request.param


@pytest.fixture(params=["sample_data", "real_data"])
def data(request) -> Path:
    """The sample, then the real data set where there is one."""
    return request.getfixturevalue(request.param)
