"""Research backtester for crypto carry strategies.

Run a mode and look at the result:

>>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30")
>>> result.status, result.attribution.shape
('complete', (697, 18))
>>> figure = result.plot.overview()

======================================  ============================================================================
`backtest`, `open_run`, `compare`       run a configuration, open a run's folder, put runs side by side
`list_modes`, `load_config`, `Config`   what can be run, and everything that a mode stands for
`BtcBasis` … `MlDirectional`            a constructor for each mode, whose arguments are its keys
`compiled`                              a strategy of one's own: a function that is compiled
`StrategyManager`, `Decision`,          the same in plain Python
`Action`
`SimulationClient`                      a venue of one's own
`DataProvider`                          what a run sees of a data set
`EventDrivenStrategyEngine`             the components of a run one by one; `unified_health_manager` watches them
`Comparison`                            what `compare` gives
======================================  ============================================================================

Money is in the share class (USDT or ETH), ratios and rates are fractions, times are UTC. Wrong input raises an
`basis.errors.InputError`, which says what was given, what is allowed and what to do.
"""

# The public names load on first use, so that `import basis` stays cheap: it imports no compiled code, no frames and no
# plots.

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from basis.api import EventDrivenStrategyEngine, backtest, open_run
    from basis.config import Config, load_config
    from basis.config.modes import (
        BtcBasis,
        EthBasis,
        EthLeveraged,
        EthStakingOnly,
        MlDirectional,
        PureLending,
        UsdtMarketNeutral,
        UsdtMarketNeutralNoLeverage,
        list_modes,
    )
    from basis.engine.health import unified_health_manager
    from basis.execution.simulation import SimulationClient
    from basis.market import DataProvider
    from basis.reports import Comparison, compare
    from basis.strategies.compiled import compiled
    from basis.strategies.manager import Action, Decision, StrategyManager

#: Public name → the module that holds it.
_HOMES = {
    "backtest": "basis.api",
    "open_run": "basis.api",
    "EventDrivenStrategyEngine": "basis.api",
    "Config": "basis.config",
    "load_config": "basis.config",
    "list_modes": "basis.config.modes",
    "BtcBasis": "basis.config.modes",
    "EthBasis": "basis.config.modes",
    "EthLeveraged": "basis.config.modes",
    "EthStakingOnly": "basis.config.modes",
    "MlDirectional": "basis.config.modes",
    "PureLending": "basis.config.modes",
    "UsdtMarketNeutral": "basis.config.modes",
    "UsdtMarketNeutralNoLeverage": "basis.config.modes",
    "unified_health_manager": "basis.engine.health",
    "SimulationClient": "basis.execution.simulation",
    "DataProvider": "basis.market",
    "Comparison": "basis.reports",
    "compare": "basis.reports",
    "compiled": "basis.strategies.compiled",
    "Action": "basis.strategies.manager",
    "Decision": "basis.strategies.manager",
    "StrategyManager": "basis.strategies.manager",
}
__all__ = [
    "Action",
    "BtcBasis",
    "Comparison",
    "Config",
    "DataProvider",
    "Decision",
    "EthBasis",
    "EthLeveraged",
    "EthStakingOnly",
    "EventDrivenStrategyEngine",
    "MlDirectional",
    "PureLending",
    "SimulationClient",
    "StrategyManager",
    "UsdtMarketNeutral",
    "UsdtMarketNeutralNoLeverage",
    "__version__",
    "backtest",
    "compare",
    "compiled",
    "list_modes",
    "load_config",
    "open_run",
    "unified_health_manager",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        from difflib import get_close_matches

        near = get_close_matches(name, _HOMES, 1)
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}." + (f" Did you mean {near[0]}?" if near else "")
        )
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
