"""Modes by name: a table of them, and a constructor for each with its own arguments. Imports pandas on use only.

A mode is a YAML in `configs/modes`; its constructor takes the settings that its strategy reads. `modes.pyi` beside this
file tells editors the same: ``make stubs`` writes it from the YAMLs, and a test keeps the two in step.
"""

import functools
import inspect
import operator
import re
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from basis.config.fields import FrozenDict, Model, OneOf
from basis.config.layers import propose
from basis.config.loader import list_modes as _descriptions
from basis.config.loader import load_config
from basis.config.models import Config
from basis.config.strategy_settings import StrategySettings, settings_of
from basis.config_files import config_files
from basis.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

#: Keys of the configuration that every constructor takes.
TOP = (
    "initial_capital", "share_class", "asset", "start", "end", "bar_interval", "fill", "close_at_end", "start_venue",
    "valuation", "seed", "flows",
)  # fmt: skip
#: Parts of the configuration that are given as mappings; a key of one may be dotted.
SECTIONS = ("costs", "execution", "transfers", "rewards", "risk", "data", "venues")


def class_name(mode: str) -> str:
    """Name of a mode's constructor: ``BtcBasis`` of ``btc_basis``."""
    return "".join(part.capitalize() for part in re.split(r"\W|_", mode))


def constructors() -> dict[str, str]:
    """Name of each constructor → its mode: one for every YAML in `configs/modes`."""
    return {class_name(mode): mode for mode in config_files("modes")}


def list_modes() -> "pd.DataFrame":
    """The modes that ship, one in a row.

    Returns
    -------
    pandas.DataFrame
        By mode: share class, what it does, the constructor of its configuration, its assets, the venues where it trades
        or holds something, and the instruments; all as shipped, without what the environment overrides.

    Examples
    --------
    >>> modes = basis.list_modes()
    >>> modes.loc["btc_basis", "share_class"], modes.loc["btc_basis", "venues"]
    ('USDT', 'wallet, binance, bybit, okx')
    >>> list(modes.index[modes["share_class"] == "ETH"])
    ['eth_leveraged', 'eth_staking_only']
    """
    import pandas as pd

    rows = {}
    for mode, description in _descriptions().items():
        config = load_config(mode, environ={})
        rows[mode] = {
            "share_class": config.share_class,
            "description": description,
            "constructor": class_name(mode),
            "assets": ", ".join(config.assets or (config.asset,)),
            "venues": ", ".join(dict.fromkeys(key.partition(":")[0] for key in config.instruments)),
            "instruments": ", ".join(config.instruments),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("mode")


# --- constructors ----------------------------------------------------------------------------------------------------


def fields_of(mode: str) -> dict[str, tuple[str, Any]]:
    """Arguments of a mode's constructor: name → (dotted key, its field of the models)."""
    read = settings_of(load_config(mode, environ={}).strategy.name)
    found = {name: (name, Config.model_fields[name]) for name in TOP}
    found |= {name: (f"strategy.{name}", StrategySettings.model_fields[name]) for name in read}
    return found | {name: (name, Config.model_fields[name]) for name in SECTIONS}


def signature_of(mode: str) -> inspect.Signature:
    """Arguments with what may be given for them, and what ships; a part of the configuration begins empty."""
    config = load_config(mode, environ={}).to_dict()
    shipped = {**config, **config["strategy"], **{name: {} for name in (*SECTIONS, "rate_rule")}}
    keyword = inspect.Parameter.KEYWORD_ONLY
    made = [
        inspect.Parameter(name, keyword, default=shipped[name], annotation=_accepted(field.annotation))
        for name, (_, field) in fields_of(mode).items()
    ]
    return inspect.Signature(made, return_annotation=Config)


def _accepted(kind: Any) -> Any:
    """What may be given where a model holds a type."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        names = next((part.options() for part in parts[1:] if isinstance(part, OneOf)), None)
        return _accepted(parts[0]) if names is None else Literal[tuple(names)]
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, map(_accepted, parts))
    if origin is FrozenDict:
        values = _accepted(parts[1])
        return Mapping[str, values if values is float else Any]
    if origin is tuple and parts[-1] is Ellipsis:
        return Sequence[_accepted(parts[0])]
    if origin is tuple:
        return tuple[tuple(_accepted(part) for part in parts)]
    if inspect.isclass(kind) and issubclass(kind, Model):
        return Mapping[str, Any]
    return {timedelta: str | timedelta, datetime: str | date}.get(kind, kind)


def _doc(mode: str, name: str) -> str:
    """Docstring of a mode's constructor."""
    lines = [
        _descriptions()[mode],
        "",
        f"``{name}(key=value)`` is ``load_config({mode!r}, {{key: value}})``, a frozen `Config`; keys of",
        "`strategy` come without their prefix. What is not given is as it ships (the defaults shown), or as the",
        "environment has it. Parts of the configuration are mappings, whose keys may be dotted; what such a mapping",
        "does not name stays as it is:",
        "``data={'min_funding_coverage': 0.9}``, ``venues={'binance.perp_fee.taker': 0.0004}``.",
        "",
        "Parameters",
        "----------",
    ]
    for argument, (_, field) in fields_of(mode).items():
        lines += [argument, f"    {field.description}"]
    lines += ["", "Raises", "------", "ConfigError", "    For an argument that is unknown, or a value that is wrong."]
    lines += ["", "Examples", "--------", f">>> config = basis.{name}(initial_capital=25_000, start='2024-06-01')"]
    lines += [">>> config.initial_capital, config.mode", f"(25000.0, {mode!r})", ">>> result = basis.backtest(config)"]
    return "\n".join(lines)


@functools.cache
def _constructor(mode: str) -> Callable[..., Config]:
    name = class_name(mode)

    def construct(*args: Any, **given: Any) -> Config:
        fields, overrides = fields_of(mode), {}
        if args:
            raise ConfigError(f"{name} takes named arguments only, as in {name}(initial_capital=1_000).")
        for argument, value in given.items():
            if argument not in fields:
                raise ConfigError(f"{name} has no argument {argument}." + propose(argument, fields))
            if argument not in SECTIONS:
                overrides[fields[argument][0]] = value
            elif isinstance(value, Mapping):
                overrides |= {f"{argument}.{key}": entry for key, entry in value.items()}
            else:
                raise ConfigError(f"Invalid {argument}: {value!r}. Must be a mapping of its keys to values.")
        return load_config(mode, overrides)

    construct.__name__ = construct.__qualname__ = name
    construct.__module__, construct.__doc__ = "basis", _doc(mode, name)
    construct.__signature__ = signature_of(mode)  # type: ignore[attr-defined]
    return construct


def __getattr__(name: str) -> Any:
    """A constructor is made on first use: its signature takes a configuration."""
    mode = constructors().get(name)
    if mode is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _constructor(mode)
