"""What a run leaves: tables, summary, the run folder, and (in `replay`) running it again.

Above the engine, below the public API.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis.results.comparison import Comparison, compare
    from basis.results.result import Result, open_run

__all__ = ["Comparison", "Result", "compare", "open_run"]


def __getattr__(name: str) -> Any:
    """Load on first use, so that what needs no result imports no engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("Comparison", "compare"):
        from basis.results import comparison

        return getattr(comparison, name)
    from basis.results import result

    return getattr(result, name)
