"""From a mode's name to its strategy. A mode is a YAML in `configs/modes` and a module of the same name here."""

import importlib
import pkgutil

from ..errors import ConfigError
from .base import Strategy

#: Modules that are no modes.
_HELPERS = ("base", "compiled", "factory", "hedged_staking", "manager", "parking", "spot_perp")


def make_strategy(mode: str) -> Strategy:
    """Strategy of a mode.

    Raises
    ------
    ConfigError
        Where no strategy of that name exists; the message lists those there are.
    """
    package = importlib.import_module(__package__ or "basis.strategies")
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in _HELPERS)
    if mode not in names:
        raise ConfigError(f"mode {mode!r} has no strategy; there are: {', '.join(names)}.")
    return importlib.import_module(f".{mode}", package.__name__).STRATEGY
