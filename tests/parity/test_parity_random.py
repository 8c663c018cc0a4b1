"""Any market, any configuration: every way to make a run gives the same bits."""

import numpy as np
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from basis.engine.simulation import checkpoint, simulate
from support.exchange_draws import config_of, markets, policies
from support.kernel_view import RunView
from support.runs import by_components, settings
from support.same_run import WAYS, assert_same_arrays, assert_same_tables, first_difference, result_of
from support.small_markets import at_row, flows, pool


def goes_on_alike(made, row):
    """The rest of a run after a row is the run that never stopped, in either driver."""
    panel, config = made.panel, made.recording.config
    if row >= made.stop - 1:
        return
    rest, kept = panel.slice(row, len(panel) - 1), checkpoint(made.recording, at_row(panel, row))
    compiled = RunView(simulate(config, rest, resume=kept))
    assert_same_arrays(compiled, by_components(compiled))
    assert first_difference(compiled.record[1 : compiled.stop], made.record[row + 1 : made.stop]) is None


@trials(max_examples=25)
@given(drawn=markets(), policy=policies(), row=st.integers(1, 57), way=st.sampled_from(list(WAYS)[1:]))
def test_hedges_have_the_same_bits(drawn, policy, row, way):
    made = RunView(simulate(config_of(drawn.panel(), policy), drawn.panel()))
    stepped = by_components(made)
    assert_same_arrays(made, stepped)
    assert_same_tables(result_of(made), result_of(stepped))
    assert_same_arrays(made, by_components(made, **WAYS[way]))
    goes_on_alike(made, row)


@trials(max_examples=15)
@given(
    seed=st.integers(0, 999),
    gwei=st.sampled_from((0.0, 20.0, 4_000.0)),
    pairs=st.lists(st.tuples(st.integers(0, 39), st.sampled_from((-2e5, -5e4, -1.0, 300.0, 7e4))), max_size=4),
    rule=st.booleans(),
    fill=st.sampled_from(("same_bar", "next_bar")),
    close=st.booleans(),
    deviation=st.sampled_from((0.001, 0.02)),
    way=st.sampled_from(list(WAYS)[1:]),
)
def test_lending_has_the_same_bits(seed, gwei, pairs, rule, fill, close, deviation, way):
    rng = np.random.default_rng(seed)
    panel = pool(40, mean=0.04 + 0.03 * np.sin(np.arange(40) / 5.0), gwei=gwei * np.exp(0.5 * rng.standard_normal(40)))
    overrides = {
        "fill": fill,
        "close_at_end": close,
        "strategy.position_deviation_threshold": deviation,
        "flows": flows(panel, *sorted(pairs)),
        # gas is drawn beyond what any market has shown
        "data.checks": "off",
    }
    if rule:
        overrides["strategy.rate_rule"] = {"enabled": True, "enter": 0.05, "leave": 0.02, "window": "24h"}
    made = RunView(simulate(settings("pure_lending", overrides), panel))
    assert_same_arrays(made, by_components(made))
    assert_same_arrays(made, by_components(made, **WAYS[way]))
    goes_on_alike(made, int(rng.integers(1, 38)))
