"""The same bits from compiled code and plain Python, from one lane and 64, from a run in pieces."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scenarios
from made_markets import Run, settings

from basis.engine.model import make_limits, make_parameters
from basis.kernel import layout as at
from basis.kernel import state
from basis.kernel.loop import EVENTS_PER_ROW, Loop

HERE = Path(__file__).parent
COMPARED = [name for name in scenarios.SCENARIOS if name not in scenarios.PLAIN_ONLY]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Arrays of every scenario, run in plain Python by another process."""
    file = tmp_path_factory.mktemp("plain") / "runs.npz"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "scenarios.py"), str(file)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(file))


@pytest.fixture(scope="module")
def compiled():
    return scenarios.arrays(scenarios.run_all(COMPARED))


@pytest.mark.parametrize("name", COMPARED)
def test_plain_python_gives_the_bits_of_compiled_code(name, plain, compiled):
    for part in ("record", "events", "block", "cause"):
        one, other = compiled[f"{name}.{part}"], plain[f"{name}.{part}"]
        assert one.shape == other.shape, part
        if one.tobytes() != other.tobytes():
            at_row = np.argwhere(one.view(np.int64) != other.view(np.int64))[0]
            pytest.fail(f"{part} differs first at {at_row}: {one[tuple(at_row)]!r} and {other[tuple(at_row)]!r}")


def test_scenarios_cover_what_they_are_for(plain):
    kinds = {int(k) for name in scenarios.SCENARIOS for k in plain[f"{name}.events"][:, at.E_KIND]}
    assert kinds >= {int(k) for k in (at.DECISION, at.ORDER, at.FILL, at.REJECT, at.MOVE, at.ARRIVAL)}
    assert kinds >= {int(k) for k in (at.FUNDING_PAID, at.LIQUIDATION, at.ALERTED, at.FLOWED)}


def relaid(made, lanes, parameters=None, events=None):
    """The loop over a recording's model and starting book in another number of lanes, and its arrays."""
    recording = made.recording
    slots, config = recording.slots, recording.config
    n = slots.shape(lanes)
    block = state.open_book(slots, recording.holdings, float(config.initial_capital), lanes)
    if parameters is None:
        parameters = make_parameters(config, slots, recording.strategy)
    limits = make_limits(config, slots)
    state.set_policy(slots, block, parameters, limits, config.risk.simulate_liquidation)
    plans = recording.strategy.plans(config)
    long = [slots.index(plan.holds) for plan in plans if plan.holds]
    rows = len(recording.panel)
    desk = state.make_desk(
        slots, EVENTS_PER_ROW * lanes + len(recording.events) * lanes * 2 if events is None else events, long
    )
    record = np.zeros((rows if lanes == 1 else 0, at.recorded(n)))
    loop = Loop(n, block, recording.model, desk, recording.strategy.decide, record)
    return loop, block, desk, record


def bits(array):
    return np.ascontiguousarray(array).view(np.int64)


def kept(made):
    """Rows of the state but the margin ratios, which are divided out only where they are recorded."""
    rows = np.arange(float(len(made.block))).reshape(-1, 1)
    b = at.book(made.slots.shape(), rows)
    return np.setdiff1d(rows, np.concatenate((b.margin, b.worst))).astype(int)


@pytest.mark.stock
@pytest.mark.parametrize("name", ["entry", "struck", "next_bar"])
def test_every_of_64_lanes_has_the_bits_of_one(name):
    made = scenarios.SCENARIOS[name]()
    loop, block, desk, _ = relaid(made, 64)
    assert loop.run(0, len(made.panel)) == (len(made.panel), at.END)
    state_rows = kept(made)
    assert (bits(block)[state_rows] == bits(made.block)[state_rows]).all()
    events = desk.events[: desk.count[0]]
    for lane in (0, 17, 63):
        own = events[events[:, at.E_LANE] == lane].copy()
        own[:, at.E_LANE] = 0.0
        assert own.tobytes() == made.events.tobytes()


def test_lanes_of_different_policy_do_not_touch_each_other():
    made = scenarios.SCENARIOS["struck"]()
    slots, own = made.slots, made.recording
    margins = {0: 0.15, 1: 0.3, 40: 0.1, 63: 0.8}
    parameters = np.repeat(make_parameters(own.config, slots, own.strategy), 64, axis=1)
    singles = {}
    for lane, margin in margins.items():
        overrides = {**scenarios.STRUCK, "strategy.margin_ratio_target": margin}
        parameters[:, lane] = make_parameters(settings("btc_basis", overrides), slots, own.strategy)[:, 0]
        singles[lane] = relaid(made, 1, parameters[:, lane : lane + 1])
    loop, block, _, _ = relaid(made, 64, parameters, events=EVENTS_PER_ROW * 64 + 60_000)
    assert loop.run(0, len(made.panel)) == (len(made.panel), at.END)
    state_rows = kept(made)
    for lane, (loop, single, _, _) in singles.items():
        assert loop.run(0, len(made.panel)) == (len(made.panel), at.END)
        assert (bits(block[:, lane])[state_rows] == bits(single[:, 0])[state_rows]).all(), lane
    assert (bits(block[:, 2]) == bits(block[:, 62])).all()
    assert (block[:, 0] != block[:, 1]).any()


@pytest.mark.stock
def test_a_run_in_pieces_has_the_bits_of_one_in_one_go():
    made = scenarios.SCENARIOS["entry"]()
    loop, block, desk, record = relaid(made, 1)
    for start, stop in ((0, 1), (1, 2), (2, 21), (21, 60)):
        assert loop.run(start, stop) == (stop, at.END)
    assert record.tobytes() == made.record.tobytes()
    assert (bits(block) == bits(made.block)).all()
    assert desk.events[: desk.count[0]].tobytes() == made.events.tobytes()


def test_a_small_event_buffer_grows_and_loses_nothing():
    made = scenarios.SCENARIOS["entry"]()
    loop, _, _, record = relaid(made, 1, events=EVENTS_PER_ROW + 5)
    row, full = 0, 0
    while row < len(made.panel):
        row, reason = loop.run(row, len(made.panel))
        if reason == at.FULL:
            full += 1
            loop.grow()
    desk = loop.desk
    assert full > 0
    assert record.tobytes() == made.record.tobytes()
    assert desk.events[: desk.count[0]].tobytes() == made.events.tobytes()


def test_no_event_buffer_gives_the_same_book():
    made = scenarios.SCENARIOS["struck"]()
    loop, block, desk, record = relaid(made, 1, events=0)
    assert loop.run(0, len(made.panel)) == (len(made.panel), at.END)
    assert desk.count[0] == 0
    b = at.book(made.slots.shape(), np.arange(float(len(block)))[:, None])
    skip = int(b.stat[at.EVENTS, 0])  # how many events there were is not counted for funding then
    assert (np.delete(bits(block), skip, axis=0) == np.delete(bits(made.block), skip, axis=0)).all()
    assert record.tobytes() == made.record.tobytes()


def shorter(array, axis=0):
    return np.ascontiguousarray(np.take(array, range(array.shape[axis] - 1), axis=axis))


MISFITS = {
    "block": lambda model, desk, block, record: (model, desk, shorter(block), record),
    "hours": lambda model, desk, block, record: (model._replace(hours=shorter(model.hours, 1)), desk, block, record),
    "quotes": lambda model, desk, block, record: (model._replace(quotes=shorter(model.quotes, 1)), desk, block, record),
    "rows": lambda model, desk, block, record: (model._replace(quotes=shorter(model.quotes)), desk, block, record),
    "regime": lambda model, desk, block, record: (model._replace(regime=shorter(model.regime)), desk, block, record),
    "busy": lambda model, desk, block, record: (model._replace(busy=shorter(model.busy)), desk, block, record),
    "record": lambda model, desk, block, record: (model, desk, block, shorter(record, 1)),
    "events": lambda model, desk, block, record: (model, desk._replace(events=shorter(desk.events, 1)), block, record),
    "seen": lambda model, desk, block, record: (model, desk._replace(seen=shorter(desk.seen)), block, record),
    "row": lambda model, desk, block, record: (model, desk._replace(row=shorter(desk.row)), block, record),
    "param": lambda model, desk, block, record: (model, desk._replace(param=shorter(desk.param)), block, record),
    "orders": lambda model, desk, block, record: (model, desk._replace(orders=shorter(desk.orders)), block, record),
    "venues": lambda model, desk, block, record: (
        model._replace(terms=model.terms._replace(venue=shorter(model.terms.venue, 1))), desk, block, record,
    ),
    "tiers": lambda model, desk, block, record: (
        model._replace(terms=model.terms._replace(tier=shorter(model.terms.tier, 1))), desk, block, record,
    ),
    "tokens": lambda model, desk, block, record: (
        model._replace(table=model.table._replace(venue=shorter(model.table.venue))), desk, block, record,
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", MISFITS)
def test_arrays_of_the_wrong_size_are_refused(part):
    made = scenarios.SCENARIOS["entry"]()
    loop, block, desk, record = relaid(made, 1)
    model, desk, block, record = MISFITS[part](loop.frame.model, desk, block, record)
    with pytest.raises(ValueError, match="it must be C-contiguous"):
        Loop(loop.frame.sizes, block, model, desk, loop.frame.decide, record)


def test_runs_in_one_process_do_not_touch_each_other():
    first = scenarios.SCENARIOS["entry"]()
    scenarios.SCENARIOS["struck"]()
    again = scenarios.SCENARIOS["entry"]()
    assert isinstance(first, Run)
    assert again.record.tobytes() == first.record.tobytes()
    assert again.events.tobytes() == first.events.tobytes()
