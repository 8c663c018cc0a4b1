"""Fixtures: a few short runs on the sample, made once."""

import pytest
from run_cases import CASES

from basis.config import load_config
from basis.engine.simulation import simulate
from basis.market import DataProvider
from basis.reports import Result


@pytest.fixture(scope="session")
def make_run(sample_data):
    """Run a mode on the sample: overrides, starting book, checkpoint → recording."""

    def make(mode, overrides, positions=None, resume=None, data=None):
        config = load_config(mode, overrides, environ={})
        return simulate(config, DataProvider(data or sample_data, config), positions=positions, resume=resume)

    return make


@pytest.fixture(scope="session")
def recordings(make_run):
    return {name: make_run(*case) for name, case in CASES.items()}


@pytest.fixture(scope="session", params=CASES)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def recording(case, recordings):
    return recordings[case]


@pytest.fixture(scope="session")
def results(recordings):
    return {name: Result.from_recording(recording) for name, recording in recordings.items()}


@pytest.fixture(scope="session")
def result(case, results):
    return results[case]


@pytest.fixture(scope="session")
def saved(results, tmp_path_factory):
    """Folder of the run with flows; for reading only."""
    return results["flows"].save(tmp_path_factory.mktemp("runs") / "flows")
