"""From the name of a strategy to the strategy: a module of this package that holds `STRATEGY`."""

import importlib
import pkgutil
from importlib.util import find_spec

from ..config import Config
from ..config.layers import propose
from ..errors import ConfigError
from ..inputs.plans import Strategy


def strategy_names() -> tuple[str, ...]:
    """Names of the strategies that ship."""
    modules = sorted(module.name for module in pkgutil.iter_modules(_package().__path__))
    return tuple(name for name in modules if hasattr(_module(name), "STRATEGY"))


def make_strategy(config: Config) -> Strategy:
    """The strategy that `strategy.name` of a configuration names.

    Raises
    ------
    ConfigError
        Where there is none of that name; the message lists those there are.
    """
    name, found = config.strategy.name, None
    if name is not None and name.isidentifier() and find_spec(f"{_package().__name__}.{name}") is not None:
        found = getattr(_module(name), "STRATEGY", None)
    if found is None:
        must = f"Must name the strategy of mode {config.mode}." + propose(str(name), strategy_names())
        raise ConfigError(f"Invalid strategy.name: {name}. {must}")
    return found


def _package():
    return importlib.import_module(__package__ or "basis.strategies")


def _module(name: str):
    return importlib.import_module(f".{name}", _package().__name__)
