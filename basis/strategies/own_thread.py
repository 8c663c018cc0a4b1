"""Runs what a user has compiled in a thread of its own, so that a signal ends it. Imports the standard library.

Compiled code lets no signal through: Python would hear of Ctrl-C when it comes back, which a loop that never ends does
not do. So the caller waits, in short steps, and stops the loop in the other thread. One that cannot be stopped is left
behind, and the run ends all the same.
"""

import _thread
import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from ..kernel.numba.turns import Turns

T = TypeVar("T")
#: Seconds between two looks for a signal.
_LOOK_S = 0.05
#: Seconds that a loop has to come back after it was stopped.
_GRACE_S = 0.4


class _Worker:
    """A thread that does one piece of work after another, and waits for the next."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._begin, self._done = _thread.allocate_lock(), _thread.allocate_lock()
        self._begin.acquire()
        self._done.acquire()
        self._work: Callable[[], Any] | None = None
        self._outcome: tuple[Any, BaseException | None] = (None, None)
        _thread.start_new_thread(self._serve, ())

    def _serve(self) -> None:
        while True:
            self._begin.acquire()
            self.turns.begin()
            try:
                assert self._work is not None  # noqa: S101 - for the type checker: who begins it has set it
                self._outcome = (self._work(), None)
            except BaseException as error:
                self._outcome = (None, error)
            self._work = None
            self._done.release()

    def start(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._begin.release()

    def comes_back(self, seconds: float) -> bool:
        """Whether the work is done within so many seconds; a signal ends the wait with what its handler raises."""
        return self._done.acquire(timeout=seconds)

    def take_outcome(self) -> tuple[Any, BaseException | None]:
        """What the work returned, and what it raised."""
        outcome, self._outcome = self._outcome, (None, None)
        return outcome


#: Threads that wait for work.
_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)


def run_with(decide: Any, work: Callable[[], T]) -> T:
    """What `work` returns, which may ask a strategy: in another thread where that may never come back."""
    return run_apart(work) if getattr(decide, "runs_apart", False) else work()


def run_apart(work: Callable[[], T]) -> T:
    """What `work` returns, done in another thread while this one listens for signals.

    Raises
    ------
    BaseException
        What the work raises, or a signal's handler: the work is stopped then.
    """
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    task = _current_task()
    try:
        worker.start(work)
        while not worker.comes_back(_LOOK_S):
            if task is not None and task.cancelling():
                # how `asyncio.run` passes on a Ctrl-C
                raise asyncio.CancelledError
    except BaseException:
        worker.turns.stop()
        # one that does not come back holds on to all that it works on
        if worker.comes_back(_GRACE_S):
            worker.take_outcome()
            _idle.append(worker)
        raise
    result, error = worker.take_outcome()
    _idle.append(worker)
    if error is not None:
        raise error
    return result


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
