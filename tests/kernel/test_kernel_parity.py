"""The same bits from compiled code and plain Python, from one lane and 64, from a run in pieces."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support import scenarios
from support.kernel_stages import END, FULL, MISFITS, Rerun, events_per_row, lane_policy
from support.kernel_view import (
    RunView,
    comparable_parts,
    kinds_of_events,
    state_without_event_count,
    state_without_margin_ratios,
)  # fmt: skip
from support.runs import settings
from support.same_run import first_difference

TESTS = Path(__file__).resolve().parents[1]
COMPARED = [name for name in scenarios.SCENARIOS if name not in scenarios.PLAIN_ONLY]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Arrays of every scenario, run in plain Python by another process."""
    file = tmp_path_factory.mktemp("plain") / "runs.npz"
    paths = [str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-m", "support.scenarios", str(file)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(file))


@pytest.fixture(scope="module")
def compiled():
    return scenarios.arrays(scenarios.run_all(COMPARED))


@pytest.mark.parametrize("name", COMPARED)
def test_plain_python_gives_the_bits_of_compiled_code(name, plain, compiled):
    for part in (part for part in compiled if part.startswith(f"{name}.") and not part.endswith(".cause")):
        assert first_difference(compiled[part], plain[part]) is None, part
    assert str(compiled[f"{name}.cause"]) == str(plain[f"{name}.cause"])


def test_scenarios_cover_what_they_are_for(plain):
    kinds = set().union(*(kinds_of_events(plain[f"{name}.events"]) for name in scenarios.SCENARIOS))
    assert kinds >= {"decision", "order", "fill", "reject", "transfer", "arrival"}
    assert kinds >= {"funding", "liquidation", "alert", "flow"}


def without_ratios(state, made):
    """Bits of a state but its margin ratios, which are divided out only where they are recorded."""
    return np.ascontiguousarray(state_without_margin_ratios(state, made.slots)).view(np.int64)


@pytest.mark.stock
@pytest.mark.stock
@pytest.mark.parametrize("name", ["entry", "struck", "next_bar"])
def test_every_of_64_lanes_has_the_bits_of_one(name):
    made = scenarios.SCENARIOS[name]()
    many = Rerun(made, lanes=64)
    assert many.finishes()
    assert (without_ratios(many.state, made) == without_ratios(made.final_state, made)).all()
    for lane in (0, 17, 63):
        assert many.events_of_lane(lane) == made.raw_events.tobytes()


def test_lanes_of_different_policy_do_not_touch_each_other():
    made = scenarios.SCENARIOS["struck"]()
    slots, own = made.slots, made.recording
    margins = {0: 0.15, 1: 0.3, 40: 0.1, 63: 0.8}
    policies = np.repeat(lane_policy(own.config, slots, own.strategy), 64, axis=1)
    singles = {}
    for lane, margin in margins.items():
        overrides = {**scenarios.STRUCK, "strategy.margin_ratio_target": margin}
        policies[:, lane] = lane_policy(settings("btc_basis", overrides), slots, own.strategy)[:, 0]
        singles[lane] = Rerun(made, policy=policies[:, lane : lane + 1])
    many = Rerun(made, 64, policies, events=events_per_row(made.recording) * 64 + 60_000)
    assert many.finishes()
    for lane, single in singles.items():
        assert single.finishes()
        assert (without_ratios(many.state[:, [lane]], made) == without_ratios(single.state, made)).all(), lane
    assert many.state[:, 2].tobytes() == many.state[:, 62].tobytes()
    assert (many.state[:, 0] != many.state[:, 1]).any()


@pytest.mark.stock
@pytest.mark.stock
def test_a_run_in_pieces_has_the_bits_of_one_in_one_go():
    made = scenarios.SCENARIOS["entry"]()
    again = Rerun(made)
    for start, stop in ((0, 1), (1, 2), (2, 21), (21, 60)):
        assert again.run(start, stop) == (stop, END)
    assert again.record.tobytes() == made.record.tobytes()
    assert again.state.tobytes() == made.final_state.tobytes()
    assert again.events.tobytes() == made.raw_events.tobytes()


def test_a_small_event_buffer_grows_and_loses_nothing():
    made = scenarios.SCENARIOS["entry"]()
    again = Rerun(made, events=events_per_row(made.recording) + 5)
    row, full = 0, 0
    while row < again.rows:
        row, reason = again.run(row)
        if reason == FULL:
            full += 1
            again.grow()
    assert full > 0
    assert again.record.tobytes() == made.record.tobytes()
    assert again.events.tobytes() == made.raw_events.tobytes()


def test_no_event_buffer_gives_the_same_book():
    made = scenarios.SCENARIOS["struck"]()
    again = Rerun(made, events=0)
    assert again.finishes()
    assert again.events_written == 0
    left, right = (state_without_event_count(state, made.slots) for state in (again.state, made.final_state))
    assert left.tobytes() == right.tobytes()
    assert again.record.tobytes() == made.record.tobytes()


@pytest.mark.parametrize("part", MISFITS)
def test_arrays_of_the_wrong_size_are_refused(part):
    again = Rerun(scenarios.SCENARIOS["entry"]())
    with pytest.raises(ValueError, match=r"it must (be|have) "):
        again.with_misfit(part)


def test_runs_in_one_process_do_not_touch_each_other():
    first = scenarios.SCENARIOS["entry"]()
    scenarios.SCENARIOS["struck"]()
    again = scenarios.SCENARIOS["entry"]()
    assert isinstance(first, RunView)
    parts = comparable_parts(first)
    for part, array in comparable_parts(again).items():
        assert array.tobytes() == parts[part].tobytes(), part
