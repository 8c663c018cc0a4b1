"""A progress bar on standard error for runs that take a while. May import tqdm, only once a bar is shown."""

import sys
import time
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """Counts rows on a bar: ``progress(done, total)``. Context manager; leaving it removes the bar.

    Parameters
    ----------
    enabled
        False shows nothing.
    delay
        Seconds until the bar appears; a shorter run shows none.
    stream
        Where the bar is drawn, if it is a terminal; None is standard error.
    """

    def __init__(self, enabled: bool = True, delay: float = 1.0, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._enabled = enabled and self._stream.isatty()
        self._shows_from = time.monotonic() + delay
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        if not self._enabled or (self._bar is None and time.monotonic() < self._shows_from):
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, unit=" rows", unit_scale=True, leave=False, file=self._stream)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
