"""Checkpoints from elsewhere: compiled code reads places from them, so they are looked at before."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from basis.errors import BasisError, InputError
from basis.files import Unreadable
from basis.reports import Result
from basis.results.checkpoint_file import read_checkpoint, write_checkpoint
from support.damage import damaged, trials
from support.kernel_view import state_views

WINDOW = {"start": "2024-02-01", "end": "2024-02-04"}


@pytest.fixture(scope="module")
def run(make_run):
    return make_run("btc_basis", {**WINDOW, "fill": "next_bar"})


@pytest.fixture(scope="module")
def checkpoint(run):
    """A checkpoint with transfers and actions under way."""
    return Result.from_recording(run).checkpoint("2024-02-01T01:00:00Z")


@pytest.fixture(scope="module")
def content(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.npz"
    write_checkpoint(path, checkpoint)
    return path.read_bytes()


def resume(make_run, checkpoint):
    return make_run("btc_basis", {**WINDOW, "fill": "next_bar"}, resume=checkpoint)


def changed(run, checkpoint, name, value):
    state = checkpoint.state.copy()
    getattr(state_views(run.slots.shape(), state[:, None]), name)[:] = value
    return replace(checkpoint, state=state)


def test_read_is_what_was_written(content, checkpoint):
    read = read_checkpoint(content)
    assert (read.timestamp, read.started, read.share_class, read.keys) == (
        checkpoint.timestamp, checkpoint.started, checkpoint.share_class, checkpoint.keys,
    )  # fmt: skip
    assert (read.state == checkpoint.state).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue_slot", 1e6), ("queue_slot", -1.0), ("queue_slot", 0.5), ("waiting", 1e6), ("waiting_plan", 1e6),
        ("waiting_plan", -1.0), ("waiting_code", 7.0), ("withdrawals_paid", -5.0), ("alert_level", 9.0),
        ("quantity", np.nan), ("capital", np.inf), ("queue_due", np.nan), ("waiting", np.nan), ("equity", -np.inf),
    ],
)  # fmt: skip
def test_a_place_out_of_range_is_refused(make_run, run, checkpoint, name, value):
    """One place of 1e6 ended the process."""
    with pytest.raises(InputError, match=f"the checkpoint is damaged: {name}"):
        resume(make_run, changed(run, checkpoint, name, value))


def test_the_length_and_the_type_are_those_of_the_book(make_run, checkpoint):
    for state in (
        checkpoint.state[:-1],
        np.zeros(0),
        np.zeros(len(checkpoint.state), np.float32),
        checkpoint.state[None],
    ):
        with pytest.raises(InputError, match="Resume with the configuration and the version that made it"):
            resume(make_run, replace(checkpoint, state=state))


def test_no_cell_ends_the_process(make_run, checkpoint):
    """Any cell may be anything: the run is refused, stops itself, or goes on with other numbers."""
    strangers = (1e6, -1e6, 1e300, -1e300, 1e18, 0.5, 3.0, -2.0, 1e-300)
    refused = 0
    for chance in trials(60):
        state = checkpoint.state.copy()
        for _ in range(chance.choice((1, 1, 5, 50))):
            state[chance.randrange(len(state))] = chance.choice(strangers)
        try:
            Result.from_recording(resume(make_run, replace(checkpoint, state=state))).summary
        except BasisError:
            refused += 1
    assert refused


def test_a_damaged_file_is_one_error(content):
    found = 0
    for chance in trials(200):
        try:
            read_checkpoint(damaged(content, chance))
        except Unreadable:
            found += 1
    assert found > 100


@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2**62), (-1,)])
def test_a_header_that_asks_for_all_memory_is_refused(content, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with pytest.raises(Unreadable, match="no checkpoint"):
        read_checkpoint(with_state(content, header.getvalue()))


def test_pickles_are_not_read(content):
    held = io.BytesIO()
    np.save(held, np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(Unreadable, match="no checkpoint"):
        read_checkpoint(with_state(content, held.getvalue()))


def with_state(content, state):
    """A checkpoint file with other bytes for its state."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, state if name == "state.npy" else old.read(name))
    return out.getvalue()
