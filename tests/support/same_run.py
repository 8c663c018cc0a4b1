"""The same run made in two ways: the ways there are, and what must be equal between them."""

import numpy as np

from basis.execution.managers import CEXExecutionManager, OnChainExecutionManager
from basis.reports import Result
from basis.results.folder import TABLES
from basis.results.table import differences
from basis.strategies.manager import StrategyManager

from .kernel_view import as_words, comparable_parts


class AskedInPython(StrategyManager):
    """The mode's own strategy, asked from Python: the compiled loop has to stop for it."""

    async def make_decision(self, timestamp=None, market_data=None):
        return await super().make_decision(timestamp, market_data)


class OwnCex(CEXExecutionManager):
    """Not the built-in manager, though it does the same: the compiled loop leaves it the rest of a row."""


class OwnOnChain(OnChainExecutionManager):
    """See `OwnCex`."""


#: Tables in which the id of the run does not appear.
TABLES_WITHOUT_RUN_ID = [name for name in TABLES if name != "events"]
_ASKED = {"strategy_manager": AskedInPython}
_OWN = {"cex_execution_manager": OwnCex, "onchain_execution_manager": OwnOnChain}
#: How a run can be made other than by the compiled loop alone.
WAYS = {
    "components": {"driver": "event"},
    "components, asked in python": {"driver": "event", "components": _ASKED},
    "loop that asks for decisions": {"driver": "kernel", "components": _ASKED},
    "loop that asks for rows": {"driver": "kernel", "components": _OWN},
    "loop that asks for rows and decisions": {"driver": "kernel", "components": {**_OWN, **_ASKED}},
}


def first_difference(first, second):
    """Where two arrays differ in a bit; None where they do not."""
    if first.shape != second.shape:
        return f"shapes {first.shape} and {second.shape}"
    places = np.argwhere(as_words(first) != as_words(second))
    if not len(places):
        return None
    place = tuple(places[0])
    one, other = (array[place[: array.ndim]] for array in (first, second))
    return f"{len(places)} numbers, first {tuple(map(int, place))}: {one!r} and {other!r}"


def assert_same_arrays(first, second):
    """Record, events, final state and end of two recordings are the same, bit for bit."""
    others = comparable_parts(second)
    for part, array in comparable_parts(first).items():
        found = first_difference(array, others[part])
        assert found is None, f"{part}: {found}"
    assert (first.status, first.cause, first.first, first.stop) == (
        second.status, second.cause, second.first, second.stop,
    )  # fmt: skip


def assert_same_tables(first, second, names=TABLES):
    """Tables of two results are the same, bit for bit."""
    found = {name: list(differences(first.table(name), second.table(name))) for name in names}
    assert not any(found.values()), "\n".join(line for lines in found.values() for line in lines)


def assert_same_run(first, second):
    """Two results are of one run: name, end, every table, final state."""
    assert first.run_id == second.run_id
    assert (first.status, first.cause) == (second.status, second.cause)
    assert_same_tables(first, second)
    assert_same_arrays(first._recording, second._recording)


def assert_same_but_for_the_run_id(first, second):
    """Two results are equal in everything but the id of the run, with which correlation ids begin."""
    assert_same_tables(first, second, TABLES_WITHOUT_RUN_ID)
    assert_same_arrays(first._recording, second._recording)
    renamed = first.events.correlation_id.str.replace(first.run_id, second.run_id)
    assert renamed.equals(second.events.correlation_id)
    rest = [frame.drop(columns="correlation_id") for frame in (first.events, second.events)]
    assert rest[0].equals(rest[1])


def result_of(recording):
    """Result of a recording or a `Run`."""
    return Result.from_recording(getattr(recording, "recording", recording))
