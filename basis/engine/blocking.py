"""Coroutines for blocking callers: in a script, and in a notebook, whose event loop runs. Imports the standard library.

Ctrl-C stops what runs where it is, whether or not it ever waits for something.
"""

import asyncio
import contextlib
import ctypes
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")
#: Seconds between two looks at what else waits, and at whether a task that waits for a coroutine has been cancelled.
_LOOK_S = 0.1


class Breath:
    """Lets whatever else waits in the caller's event loop have its turn, a cancellation for one, every now and then.

    Parameters
    ----------
    rows : after so many at the latest
    """

    def __init__(self, rows: int) -> None:
        self._rows, self._count, self._last = rows, 0, time.perf_counter()

    async def take(self) -> None:
        """Wait for the others after a row, where that is due."""
        self._count += 1
        if self._count >= self._rows or time.perf_counter() - self._last > _LOOK_S:
            await asyncio.sleep(0)
            self._count, self._last = 0, time.perf_counter()


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives.

    Where an event loop runs in this thread already, another thread runs the coroutine. `asyncio.run` would answer
    Ctrl-C by waiting for the coroutine to let go, which a run of plain Python never does.

    Raises
    ------
    BaseException
        What the coroutine raises; `KeyboardInterrupt` or `asyncio.CancelledError` after Ctrl-C, when it has stopped.
    """

    def run(loop: asyncio.AbstractEventLoop) -> T:
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.close()

    loop = asyncio.new_event_loop()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run(loop)
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(run(loop))
        except BaseException as error:
            outcome.set_exception(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    caller = asyncio.current_task()
    try:
        while not wait((outcome,), _LOOK_S).done:
            if caller is not None and caller.cancelling():
                # how `asyncio.run` passes on a Ctrl-C
                raise asyncio.CancelledError
        return outcome.result()
    except (KeyboardInterrupt, asyncio.CancelledError):
        # it has come to this thread; the coroutine is in the other
        if worker.is_alive():
            number, error = ctypes.c_ulong(worker.ident or 0), ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, error)
            with contextlib.suppress(RuntimeError):
                # one that waits for something wakes up
                loop.call_soon_threadsafe(lambda: None)
            worker.join()
        raise
