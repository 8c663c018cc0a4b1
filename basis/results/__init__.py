"""What a run leaves: tables, summary, the run folder, and running it again. Above the engine, below the public API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis.results.replay import ReplayReport, replay
    from basis.results.result import Result, open_run

__all__ = ["ReplayReport", "Result", "open_run", "replay"]

_HOMES = {"Result": "result", "open_run": "result", "ReplayReport": "replay", "replay": "replay"}


def __getattr__(name: str) -> Any:
    """Load on first use, so that a command that needs no tables imports none."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
