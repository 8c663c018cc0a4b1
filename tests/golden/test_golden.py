"""The golden table in every run of the tests: each mode as shipped, on the sample. `make golden` compares the rest."""

import pytest
from golden import MODES, cases, difference, line_of, read_table


@pytest.fixture(scope="module")
def shipped():
    return {case.mode: case for case in cases("sample") if case.setting == "shipped"}


@pytest.mark.parametrize("mode", MODES)
def test_a_shipped_mode_keeps_its_bits(mode, shipped, sample_data):
    expected = read_table()[shipped[mode].name]
    found = line_of(shipped[mode], sample_data)
    assert found == expected, f"these differ: {difference(expected, found)}"
