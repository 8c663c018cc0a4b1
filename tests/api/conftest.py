"""Fixtures: runs on the sample, made once."""

import linecache
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import basis

sys.path.append(str(Path(__file__).resolve().parent.parent / "accounting"))

WINDOW = {"start": "2024-02-01", "end": "2024-02-14"}
FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000},
]


@pytest.fixture(autouse=True)
def _sample_is_the_data(sample_data, monkeypatch):
    """What names no data set takes the sample."""
    monkeypatch.setenv("BASIS_DATA_DIR", str(sample_data))


@pytest.fixture(scope="session")
def run(sample_data):
    """Run a mode on the sample, once for the same arguments."""
    made = {}

    def make(mode, overrides=None, **more):
        key = repr((mode, overrides, more))
        if key not in made:
            made[key] = basis.backtest(mode, data=sample_data, overrides=overrides, **more)
        return made[key]

    return make


@pytest.fixture(scope="session")
def lean(run):
    return run("btc_basis", {"strategy.margin_ratio_target": 0.3, **WINDOW})


@pytest.fixture(scope="session")
def flowing(run):
    """Flows, and another capital and fill."""
    return run("btc_basis", {"flows": FLOWS, "initial_capital": 50_000, "fill": "next_bar", **WINDOW})


@pytest.fixture(scope="session")
def ether(run):
    return run("eth_leveraged", {"start": "2024-05-20", "end": "2024-06-10"})


@pytest.fixture
def cell(request):
    """A function written in a cell: its body, and what it reads from outside → a strategy."""
    made = []

    def write(body, head="view, act, share=0.4", decorator="@basis.compiled", **outside):
        name = f"<cell {request.node.name} {len(made)}>"
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        source = f"{decorator}\ndef mine({head}):\n{lines}"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        made.append(name)
        names = {"basis": basis, "math": math, "np": np, **outside}
        exec(compile(source, name, "exec"), names)
        return names["mine"]

    yield write
    for name in made:
        del linecache.cache[name]
