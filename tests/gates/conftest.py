"""Both drivers for every gate; the small markets of the kernel's tests serve here, too."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "kernel"))


@pytest.fixture(scope="session", params=["kernel", "event"])
def driver(request) -> str:
    """What drives a run; a mode is accepted with both."""
    return request.param


@pytest.fixture(params=["sample_data", "real_data"])
def data(request) -> Path:
    """The sample, then the real data set where there is one."""
    return request.getfixturevalue(request.param)
