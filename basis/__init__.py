"""Research backtester for crypto carry strategies.

Run a mode and look at the result:

>>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
>>> result.status, result.attribution.shape
('complete', (697, 16))
>>> figure = result.plot.overview()

======================================  ============================================================================
`backtest`, `open_run`, `compare`       run a configuration, open a run's folder, put runs side by side
`list_modes`, `load_config`, `Config`   what can be run, and everything that a mode stands for
`BtcBasis` … `MlDirectional`            a constructor for each mode, whose arguments are its keys
`compiled`                              a strategy of one's own: a function that is compiled
`StrategyManager`, `Decision`,          the same in plain Python
`Action`
`View`                                  what both kinds see of a run
`SimulationClient`                      a venue of one's own
`DataProvider`                          what a run sees of a data set
`EventDrivenStrategyEngine`             the components of a run one by one; `unified_health_manager` watches them
`Comparison`                            what `compare` gives
`InputError`, `EngineError`, …          what can go wrong; `basis.errors` has them all
======================================  ============================================================================

Money is in the share class (USDT or ETH), ratios and rates are fractions, times are UTC. Wrong input raises an
`InputError`, which says what was given, what is allowed and what to do.
"""

# The public names load on first use, so that `import basis` stays cheap: it imports no compiled code, no frames and no
# plots.

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from basis.api import EventDrivenStrategyEngine, backtest, open_run
    from basis.config import Config, load_config, modes
    from basis.config.modes import *  # noqa: F403  the constructors, which the generated stub lists
    from basis.engine.health import unified_health_manager
    from basis.errors import (
        BasisError,
        ConfigError,
        DataError,
        EngineError,
        ExecutionError,
        InputError,
        RunStoppedWarning,
    )
    from basis.execution.simulation import SimulationClient
    from basis.market import DataProvider
    from basis.reports import Comparison, compare
    from basis.strategies.compiled import compiled
    from basis.strategies.manager import Action, Decision, StrategyManager
    from basis.strategies.view import View

    # for editors; in a run `__getattr__` makes the list, with the constructors of all modes there are
    __all__ = [
        "Action",
        "BasisError",
        "Comparison",
        "Config",
        "ConfigError",
        "DataError",
        "DataProvider",
        "Decision",
        "EngineError",
        "EventDrivenStrategyEngine",
        "ExecutionError",
        "InputError",
        "RunStoppedWarning",
        "SimulationClient",
        "StrategyManager",
        "View",
        "__version__",
        "backtest",
        "compare",
        "compiled",
        "load_config",
        "open_run",
        "unified_health_manager",
    ]
    __all__ += modes.__all__

#: Public name → the module that holds it.
_HOMES = {
    "backtest": "basis.api",
    "open_run": "basis.api",
    "EventDrivenStrategyEngine": "basis.api",
    "Config": "basis.config",
    "load_config": "basis.config",
    "list_modes": "basis.config.modes",
    "unified_health_manager": "basis.engine.health",
    "BasisError": "basis.errors",
    "ConfigError": "basis.errors",
    "DataError": "basis.errors",
    "EngineError": "basis.errors",
    "ExecutionError": "basis.errors",
    "InputError": "basis.errors",
    "RunStoppedWarning": "basis.errors",
    "SimulationClient": "basis.execution.simulation",
    "DataProvider": "basis.market",
    "Comparison": "basis.reports",
    "compare": "basis.reports",
    "compiled": "basis.strategies.compiled",
    "Action": "basis.strategies.manager",
    "Decision": "basis.strategies.manager",
    "StrategyManager": "basis.strategies.manager",
    "View": "basis.strategies.view",
}


def _constructors() -> list[str]:
    """Names of the modes' constructors: each is made from a YAML in `configs/modes`."""
    return list(import_module("basis.config.modes").constructors())


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name == "__all__":
        return sorted({"__version__", *_HOMES, *_constructors()})
    # only classes and constructors begin with a capital letter: anything else needs no look at the modes
    made = _constructors() if name[:1].isupper() and name not in _HOMES else []
    home = "basis.config.modes" if name in made else _HOMES.get(name)
    if home is None:
        from difflib import get_close_matches

        near = get_close_matches(name, (*_HOMES, *made), 1)
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}." + (f" Did you mean {near[0]}?" if near else "")
        )
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_constructors()})
