"""The same run twice: the ways there are to make it, and what has to be equal between them."""

import numpy as np

from basis.execution.managers import CEXExecutionManager, OnChainExecutionManager
from basis.reports import Result
from basis.results.folder import TABLES
from basis.results.table import differences
from basis.strategies.manager import StrategyManager


class AskedInPython(StrategyManager):
    """The mode's own strategy, asked from Python: the compiled loop has to stop for it."""

    async def make_decision(self, timestamp=None, market_data=None):
        return await super().make_decision(timestamp, market_data)


class OwnCex(CEXExecutionManager):
    """Not the built-in manager, though it does the same: the compiled loop leaves it the rest of a row."""


class OwnOnChain(OnChainExecutionManager):
    """See `OwnCex`."""


#: Tables in which the name of the run does not appear.
NAMELESS = [name for name in TABLES if name != "events"]
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


def unlike(first, second):
    """Where two arrays differ in a bit; None where they do not."""
    if first.shape != second.shape:
        return f"shapes {first.shape} and {second.shape}"
    apart = np.argwhere(np.ascontiguousarray(first).view(np.int64) != np.ascontiguousarray(second).view(np.int64))
    if not len(apart):
        return None
    place = tuple(apart[0])
    return f"{len(apart)} numbers, first {tuple(map(int, place))}: {first[place]!r} and {second[place]!r}"


def assert_same_arrays(first, second):
    """Record, events, final state and end of two recordings are the same, bit for bit."""
    for part in ("record", "events", "block"):
        found = unlike(getattr(first, part), getattr(second, part))
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


def assert_same_but_for_the_name(first, second):
    """Everything but the run's name, which correlation ids begin with."""
    assert_same_tables(first, second, NAMELESS)
    assert_same_arrays(first._recording, second._recording)
    renamed = first.events.correlation_id.str.replace(first.run_id, second.run_id)
    assert renamed.equals(second.events.correlation_id)
    rest = [frame.drop(columns="correlation_id") for frame in (first.events, second.events)]
    assert rest[0].equals(rest[1])


def result_of(recording):
    """Result of a recording or a `Run`."""
    return Result.from_recording(getattr(recording, "recording", recording))
