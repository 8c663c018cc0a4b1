"""Time spent in each component, what it calls left out."""

import time
from types import TracebackType
from typing import Self


class Stopwatch:
    """``with clock.of(name): …`` counts for `name` what no inner name counts."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._running: list[str] = []
        self._next = ""
        self._mark = time.perf_counter()
        #: Name in which an error came up first.
        self.failed: str | None = None

    def of(self, name: str) -> Self:
        self._next = name
        return self

    def __enter__(self) -> Self:
        self._switch()
        self._running.append(self._next)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._switch()
        name = self._running.pop()
        if error is not None and self.failed is None:
            self.failed = name

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.spent[name] = self.spent.get(name, 0.0) + now - self._mark
        self._mark = now
