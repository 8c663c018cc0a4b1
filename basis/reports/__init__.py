"""What users see of a run: frames, figures, reports, comparisons, and the explanation of a row.

Above `basis.results` and `basis.plots`, below the public API.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis.reports.comparison import Comparison, compare
    from basis.reports.result import Result, open_run

__all__ = ["Comparison", "Result", "compare", "open_run"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that other modules of the package can be imported without the engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("Comparison", "compare"):
        from basis.reports import comparison

        return getattr(comparison, name)
    from basis.reports import result

    return getattr(result, name)
