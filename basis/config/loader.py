"""One loader: share class YAML < mode YAML < environment < overrides, validated to a frozen Config.

May import this package's modules only.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from basis.config.layers import merge, overrides_of, propose
from basis.config.models import Config
from basis.config.resolving import changes_of, resolve_config
from basis.config.strategy_settings import IDENTITY
from basis.config_files import config_files, read_yaml
from basis.errors import ConfigError, as_path, checked_call


def list_modes() -> dict[str, str]:
    """Return the shipped modes and a line about each."""
    return {name: str(read_yaml(path).get("description", "")) for name, path in config_files("modes").items()}


@checked_call
def load_config(
    x: "str | Path | Mapping[str, Any] | Config",
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Resolve a configuration.

    Parameters
    ----------
    x
        Name of a shipped mode, path of a YAML file, a dict, or a Config. A file or dict without `instruments` builds on
        the shipped mode that its `mode` names; one with `instruments` stands alone on its share class, and may be
        called anything where `strategy.name` says which strategy it runs; one that `Config.to_yaml` wrote is taken as
        it is.
    overrides
        Dotted keys to values; a text is parsed as YAML, a mapping replaces a mapping, ``a.b.key`` sets one entry.
    environ
        Where `BASIS__A__B` variables are looked up, by default the process's environment. A Config is not looked up
        again: it has its environment in it.

    Raises
    ------
    ConfigError
        For a key that is unknown or a value that is wrong, with the path, what was given, what is allowed, and the
        nearest name.

    Examples
    --------
    >>> config = basis.load_config("btc_basis", {"initial_capital": 250_000, "strategy.margin_ratio_target": 0.6})
    >>> config.strategy.margin_ratio_target, config.fill
    (0.6, 'same_bar')
    >>> basis.load_config("btc_bassis")
    Traceback (most recent call last):
    basis.errors.ConfigError: Unknown mode: btc_bassis. Did you mean btc_basis? Allowed: ...
    """
    if isinstance(x, Config):
        if not overrides:
            return x
        raw, found = x.to_dict(), []
    else:
        raw = _read(x)
        found = overrides_of(os.environ if environ is None else environ)
    changes = [(path, value, True) for path, value in found]
    return resolve_config(Config, raw, changes + changes_of(overrides))


def _read(x: Any) -> dict[str, Any]:
    """The raw layers of a mode, without share class and venues."""
    modes = config_files("modes")
    if isinstance(x, str) and x in modes:
        return read_yaml(modes[x])
    if isinstance(x, Mapping):
        raw = dict(x)
    elif isinstance(x, (str, Path)):
        path = as_path(x, "The configuration")
        with suppress(RuntimeError):  # ~name of a user that there is not
            path = path.expanduser()
        if not path.is_file():
            if isinstance(x, str) and path.suffix not in (".yaml", ".yml") and path.name == x:
                raise ConfigError(f"Unknown mode: {x}." + propose(x, modes) + " Or give the path of a YAML file.")
            raise ConfigError(f"Configuration file not found: {x}.")
        raw = read_yaml(path)
    else:
        raise ConfigError(f"Invalid configuration: {x!r}. Must be a mode name, a path, a mapping or a Config.")
    if "instruments" in raw or "instrument_templates" in raw:
        return _with_identity(raw, modes)
    mode = raw.get("mode")
    if mode is None:
        raise ConfigError("Missing key mode." + propose("", modes))
    if not isinstance(mode, str) or mode not in modes:
        raise ConfigError(f"Unknown mode: {mode}." + propose(str(mode), modes) + " Another mode needs instruments.")
    return merge(read_yaml(modes[mode]), raw)


def _with_identity(raw: dict[str, Any], modes: Mapping[str, Path]) -> dict[str, Any]:
    """A configuration that stands alone: what it does not say of the strategy is that of the shipped mode it names."""
    given, mode = raw.get("strategy") or {}, raw.get("mode")
    if not isinstance(mode, str) or mode not in modes or not isinstance(given, Mapping):
        return raw
    shipped = read_yaml(modes[mode]).get("strategy", {})
    identity = {key: shipped[key] for key in IDENTITY if key in shipped}
    return {**raw, "strategy": {**identity, **given}}
