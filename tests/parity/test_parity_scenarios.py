"""The kernel's scenarios once more: through the components, and with a compiled loop that has to ask."""

import pytest

from support import scenarios
from support.runs import by_components
from support.same_run import WAYS, assert_same_arrays, assert_same_tables, result_of

NAMES = [name for name in scenarios.SCENARIOS if name not in scenarios.PLAIN_ONLY]


@pytest.fixture(scope="module")
def compiled():
    """Every scenario, run by the compiled loop alone."""
    return scenarios.run_all(NAMES)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_has_the_same_bits(name, way, compiled):
    assert_same_arrays(compiled[name], by_components(compiled[name], **WAYS[way]))


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_a_scenario_are_the_same(name, compiled):
    """Names and texts, too: events of the components carry the same correlation ids and details."""
    assert_same_tables(result_of(compiled[name]), result_of(by_components(compiled[name])))


@pytest.mark.parametrize("way", ["components", "loop that asks for rows"])
@pytest.mark.parametrize("name", scenarios.BAD_DECISIONS)
def test_a_bad_decision_of_a_compiled_strategy_stops_every_driver_alike(name, way):
    made = scenarios.run_with_bad_decision(name)
    other = by_components(made, **WAYS[way])
    assert (other.status, other.cause, other.stop) == (made.status, made.cause, made.stop)
    assert other.events.shape == made.events.shape
