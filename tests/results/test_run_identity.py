"""The id of a run names the code that made it, so that no run of other code takes its folder."""

import shutil
import time
from pathlib import Path

import pytest
from run_cases import CASES

import basis
from basis.engine import identity
from basis.reports import Result

PACKAGE = Path(basis.__file__).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package's sources elsewhere."""
    folder = tmp_path_factory.mktemp("source") / "basis"
    return shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "_configs"))


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("kernel/fills.py", True), ("inputs/build.py", True), ("market/assemble.py", True),
        ("results/summary.py", True), ("engine/recording.py", True), ("strategies/lending.py", True), ("api.py", True),
        ("plots/theme.py", False), ("reports/run_report.py", False), ("cli/__init__.py", False),
    ],
)  # fmt: skip
def test_an_edit_of_what_makes_numbers_makes_another_id(copy, file, counts):
    before = identity.source_hash(copy)
    assert before == identity.source_hash() == identity.SOURCE
    text = (copy / file).read_text()
    (copy / file).write_text(text + "\n# a word more\n")
    assert (identity.source_hash(copy) != before) == counts
    (copy / file).write_text(text)


def test_the_id_holds_the_source(make_run, monkeypatch):
    recording = make_run(*CASES["lending"])
    before = Result.from_recording(recording).run_id
    assert Result.from_recording(recording).run_id == before
    monkeypatch.setattr(identity, "SOURCE", "another")
    assert Result.from_recording(recording).run_id != before


def test_it_costs_little():
    identity.source_hash()
    began = time.perf_counter()
    identity.source_hash()
    assert time.perf_counter() - began < 0.25
