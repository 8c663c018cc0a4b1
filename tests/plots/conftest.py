"""Fixtures: the runs that figures are drawn of, made once."""

import pytest
from plot_cases import CASES, FEBRUARY, FLOWS, holed, levered

import basis
import basis.config
from basis.errors import RunStoppedWarning
from basis.reports.plot_data import run_data

NAMES = (*CASES, "stopped", "resumed")


@pytest.fixture(scope="session")
def results(sample_data):
    """Result of every case; one stopped for want of data, one resumed from the one with flows."""
    made = {
        name: basis.backtest(basis.load_config(mode, overrides, environ={}), sample_data, positions=positions)
        for name, (mode, overrides, positions) in CASES.items()
    }
    config, panel = holed(sample_data, "btc_basis", FEBRUARY, 50)
    with pytest.warns(RunStoppedWarning):
        made["stopped"] = basis.backtest(config, panel)
    config = basis.load_config("btc_basis", {**FEBRUARY, "flows": FLOWS}, environ={})
    made["resumed"] = basis.backtest(config, sample_data, resume=made["flows"].checkpoint("2024-02-08T05:00"))
    return made


@pytest.fixture(scope="session")
def modes(sample_data):
    """Result of every mode over the end of a month."""
    window = {"start": "2024-05-20", "end": "2024-06-10"}
    names = basis.config.list_modes()
    return {name: basis.backtest(basis.load_config(name, window, environ={}), sample_data) for name in names}


@pytest.fixture(scope="session")
def numbers(results):
    return {**{name: run_data(result) for name, result in results.items()}, "levered": levered()}


@pytest.fixture(scope="session", params=NAMES)
def result(request, results):
    return results[request.param]


@pytest.fixture(scope="session", params=[*NAMES, "levered"])
def run(request, numbers):
    return numbers[request.param]
