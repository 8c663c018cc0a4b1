"""Time spent in each component, what it calls left out."""

import time
from collections import defaultdict
from types import TracebackType
from typing import Self


class Stopwatch:
    """``with clock.of(name): …`` counts for `name` what no inner name counts."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._next = ""
        self._mark = time.perf_counter()
        self._failed: tuple[str, BaseException] | None = None

    def of(self, name: str) -> Self:
        self._next = name
        return self

    def __enter__(self) -> Self:
        now, running = time.perf_counter(), self._running
        if running:
            self.spent[running[-1]] += now - self._mark
        self._mark = now
        running.append(self._next)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now, name = time.perf_counter(), self._running.pop()
        self.spent[name] += now - self._mark
        self._mark = now
        if error is not None and (self._failed is None or self._failed[1] is not error):
            self._failed = (name, error)

    def where(self, error: BaseException) -> str | None:
        """The innermost name that an error has passed."""
        return self._failed[0] if self._failed is not None and self._failed[1] is error else None
