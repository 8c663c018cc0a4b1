"""Health: what each component says of itself, for one engine and over all engines alive."""

import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

#: From best to worst.
STATUSES = ("healthy", "degraded", "unhealthy")


def _worst(found: list[str]) -> str:
    return max(found, key=STATUSES.index, default="healthy")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class HealthManager:
    """The health of one engine's components."""

    def __init__(self) -> None:
        self._checkers: dict[str, Callable[[], tuple[str, str]]] = {}
        self._failures: dict[str, str] = {}

    def register_component(self, name: str, checker: Callable[[], tuple[str, str]]) -> None:
        """Ask `checker` for (status, message) whenever health is checked; one that raises is unhealthy."""
        self._checkers[name] = checker

    def report_failure(self, name: str, error: BaseException) -> None:
        """A component raised: it stays unhealthy."""
        self._failures[name] = f"{type(error).__name__}: {error}"

    def check_detailed_health(self) -> dict[str, Any]:
        """overall_status, timestamp, summary (components by status) and components {name: status, message}."""
        components: dict[str, dict[str, str]] = {}
        for name, checker in self._checkers.items():
            try:
                status, message = checker()
            except Exception as error:
                status, message = "unhealthy", f"{type(error).__name__}: {error}"
            if name in self._failures:
                status, message = "unhealthy", self._failures[name]
            components[name] = {"status": status, "message": message}
        for name, message in self._failures.items():
            components.setdefault(name, {"status": "unhealthy", "message": message})
        found = [component["status"] for component in components.values()]
        return {
            "overall_status": _worst(found),
            "timestamp": _now(),
            "summary": {status: found.count(status) for status in STATUSES},
            "components": components,
        }


class UnifiedHealthManager:
    """Read-only view over the engines alive; `basis.unified_health_manager` is the one there is.

    Examples
    --------
    >>> sorted(basis.unified_health_manager.check_detailed_health())
    ['engines', 'overall_status', 'summary', 'timestamp']
    """

    def __init__(self) -> None:
        self._engines: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._next = 1

    def _add(self, engine: Any) -> str:
        number = self._next
        self._next += 1
        self._engines[number] = engine
        return f"engine-{number}"

    def check_detailed_health(self) -> dict[str, Any]:
        """overall_status, timestamp, summary (engines by status) and engines {name: health}."""
        engines = {f"engine-{n}": e.health_manager.check_detailed_health() for n, e in sorted(self._engines.items())}
        found = [health["overall_status"] for health in engines.values()]
        return {
            "overall_status": _worst(found),
            "timestamp": _now(),
            "summary": {status: found.count(status) for status in STATUSES},
            "engines": engines,
        }


#: The engines of this process.
unified_health_manager = UnifiedHealthManager()
