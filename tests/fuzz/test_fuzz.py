"""`make fuzz` finds what is planted, says how to repeat it, and draws from tests that are there."""

import json
import subprocess
import sys

import fuzz
import known_faults
import pytest

pytestmark = pytest.mark.slow

PLANTED = """
import os, time
from support.damage import trials

def test_planted():
    for number, chance in enumerate(trials(5)):
        drawn = chance.random()
        print("drew", drawn)
        {harm}
"""


@pytest.fixture
def plant(tmp_path, monkeypatch):
    # a conftest of the temporary folder is none of ours
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--confcutdir={tmp_path}")

    def make(harm):
        path = tmp_path / "test_planted.py"
        path.write_text(PLANTED.format(harm=harm))
        return f"{path}::test_planted"

    return make


def test_every_kind_is_a_test():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *fuzz.KINDS.values()],
        cwd=fuzz.ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert sum("::" in line for line in done.stdout.splitlines()) == len(fuzz.KINDS)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("assert drawn < 0.9, 'too large'", "too large"),
        ("drawn < 0.9 or os.kill(os.getpid(), 11)", "ended with -11"),
        ("drawn < 0.9 or time.sleep(60)", "hung"),
    ],
)
def test_what_is_planted_is_found_and_repeated(plant, tmp_path, harm, told):
    test = plant(harm)
    said = fuzz.run(test, "3", 5.0, tmp_path / "out", hangs_after=4.0)
    assert told in said
    trial = (tmp_path / "out" / "trial").read_text()
    assert int(trial) > 0
    assert f"BASIS_FUZZ_SEED=3 BASIS_FUZZ_TRIAL={trial} python -m pytest '{test}'" in said


def test_where_nothing_is_wrong_nothing_is_said(plant, tmp_path):
    assert fuzz.run(plant("assert True"), "1", 0.2, tmp_path / "out") is None
    assert int((tmp_path / "out" / "trial").read_text()) > 5


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ([{"name": "x", "version": "1", "vulns": []}], known_faults.CLEAN),
        ([{"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}], known_faults.FAULTS),
        # pip-audit itself ends with 0 where it could ask about nothing
        ([{"name": "x", "skip_reason": "not found"}], known_faults.NOT_ASKED),
    ],
)
def test_a_package_nobody_could_ask_about_is_not_clean(packages, code):
    assert known_faults.report(json.dumps({"dependencies": packages}), "") == code
    assert known_faults.report("", "no network") == known_faults.NOT_ASKED
