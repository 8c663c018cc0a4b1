"""Research backtester for crypto carry strategies.

The public names load on first use, so that ``import basis`` stays cheap: it imports no compiled code, no frames and no
plots.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from basis.api import EventDrivenStrategyEngine, backtest, open_run
    from basis.config import load_config
    from basis.engine.health import unified_health_manager
    from basis.execution.simulation import SimulationClient
    from basis.market import DataProvider
    from basis.strategies.manager import Action, Decision, StrategyManager

__all__ = [
    "Action",
    "DataProvider",
    "Decision",
    "EventDrivenStrategyEngine",
    "SimulationClient",
    "StrategyManager",
    "__version__",
    "backtest",
    "load_config",
    "open_run",
    "unified_health_manager",
]

#: Public name → the module that holds it.
_HOMES = {
    "backtest": "basis.api",
    "open_run": "basis.api",
    "EventDrivenStrategyEngine": "basis.api",
    "load_config": "basis.config",
    "unified_health_manager": "basis.engine.health",
    "SimulationClient": "basis.execution.simulation",
    "Action": "basis.strategies.manager",
    "Decision": "basis.strategies.manager",
    "StrategyManager": "basis.strategies.manager",
    "DataProvider": "basis.market",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
