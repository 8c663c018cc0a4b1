"""What an engine is built of: checks of its arguments, its components and the clients of its venues."""

import inspect
import os
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from ..components.event_logger import EventLogger
from ..components.exposure_monitor import ExposureMonitor
from ..components.pnl_calculator import PnLCalculator
from ..components.position_monitor import PositionMonitor
from ..components.risk_monitor import RiskMonitor
from ..config import Config, load_config
from ..config.layers import propose
from ..config_files import read_yaml
from ..errors import BasisError, EngineError, InputError
from ..execution.factory import checked_environment
from ..execution.managers import CEXExecutionManager, OnChainExecutionManager
from ..inputs.plans import Strategy
from ..market.panel import Panel
from ..market.provider import PanelProvider
from ..strategies.manager import StrategyManager
from .position_update import PositionUpdateHandler

#: Components by name, in the order in which they are built; the data provider is given.
COMPONENTS: dict[str, type] = {
    "position_monitor": PositionMonitor,
    "event_logger": EventLogger,
    "exposure_monitor": ExposureMonitor,
    "risk_monitor": RiskMonitor,
    "pnl_calculator": PnLCalculator,
    "strategy_manager": StrategyManager,
    "position_update_handler": PositionUpdateHandler,
    "cex_execution_manager": CEXExecutionManager,
    "onchain_execution_manager": OnChainExecutionManager,
}
SHARE_CLASSES = ("USDT", "ETH")
#: Keys of the configuration that do not change the data.
_NOT_DATA = ("initial_capital", "start", "end")


def configured(config: Any, initial_capital: float, share_class: str) -> Config:
    """The configuration with the capital and share class of the arguments.

    Raises
    ------
    InputError
        Where they are wrong, or the configuration holds others.
    """
    if isinstance(initial_capital, bool) or not isinstance(initial_capital, Real) or not initial_capital > 0:
        raise InputError(f"Invalid initial_capital: {initial_capital}. Must be > 0.")
    if share_class not in SHARE_CLASSES:
        raise InputError(f"Invalid share_class: {share_class}. Must be 'USDT' or 'ETH'.")
    given = {"initial_capital": initial_capital, "share_class": share_class}
    held: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
    if isinstance(config, str | os.PathLike) and os.path.isfile(config):
        held = read_yaml(Path(config))
    if isinstance(config, Config):
        held = {name: getattr(config, name) for name in given}
    for name, value in given.items():
        if name in held and held[name] != value:
            raise InputError(f"{name}: the argument is {value!r}, the configuration holds {held[name]!r}. Give one.")
    return config if isinstance(config, Config) else load_config(config, given)


def checked_mode(execution_mode: str) -> str:
    checked_environment()
    wanted = os.environ.get("BASIS_EXECUTION_MODE")
    if wanted and wanted != execution_mode:
        raise InputError(f"execution_mode is {execution_mode!r}, BASIS_EXECUTION_MODE is {wanted!r}. They must agree.")
    if execution_mode not in ("backtest", "live"):
        raise InputError(f"Invalid execution_mode: {execution_mode}. Must be 'backtest' or 'live'.")
    if execution_mode == "live":
        raise InputError("execution_mode 'live' is not available yet. Use 'backtest'.")
    return execution_mode


def checked_provider(data_provider: Any, config: Config) -> Any:
    """A data provider for the engine's configuration; a panel that is ready becomes one.

    Raises
    ------
    InputError
        For what is no provider, and for one that was made for another configuration.
    """
    provider = PanelProvider(data_provider, config) if isinstance(data_provider, Panel) else data_provider
    if not all(hasattr(provider, name) for name in ("get_market_data", "panel")):
        raise InputError(f"data_provider is {provider!r}; give a DataProvider or a Panel.")
    theirs = getattr(provider, "config", config)
    different = [
        name
        for name in type(config).model_fields
        if name not in _NOT_DATA and getattr(theirs, name, None) != getattr(config, name)
    ]
    if different:
        raise InputError(
            f"data_provider was made for another configuration ({', '.join(different)} differ); make it with the "
            "engine's: DataProvider(data_dir, config)."
        )
    return provider


def component_classes(given: Mapping[str, type] | None) -> dict[str, type]:
    """Class of every component; those given instead of the built-in ones are subclasses of them.

    Raises
    ------
    InputError
        For a name that is no component, or another class.
    """
    classes = {**COMPONENTS, **(given or {})}
    for name, kind in classes.items():
        if name not in COMPONENTS:
            raise InputError(f"components: no {name!r}.{propose(name, COMPONENTS)}")
        if not (inspect.isclass(kind) and issubclass(kind, COMPONENTS[name])):
            raise InputError(f"components: {name} is {kind!r}; it must be a subclass of {COMPONENTS[name].__name__}.")
        if name == "strategy_manager" and kind is not StrategyManager:
            kind.check_own()
    return classes


def checked_strategy(strategy: Any) -> Strategy | None:
    """A strategy that is compiled, or none.

    Raises
    ------
    InputError
        For anything else.
    """
    if not isinstance(strategy, Strategy | None):
        raise InputError(
            f"strategy is {strategy!r}; give a compiled one (basis.inputs.plans.Strategy) or a subclass of "
            "StrategyManager."
        )
    return strategy


def named_errors(name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; an error that is no clear one of ours names the component."""
    try:
        return make()
    except BasisError:
        raise
    except Exception as error:
        raise EngineError(f"{name} cannot be made: {type(error).__name__}: {error}") from error
