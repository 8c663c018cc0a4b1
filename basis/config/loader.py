"""One loader: share class YAML < mode YAML < environment < overrides, validated to a frozen Config.

May import pydantic and this package's modules only.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from basis.config.instruments import conversion_of
from basis.config.layers import merge, overrides_from, overrides_of, propose, put, resolve_like
from basis.config.messages import explain
from basis.config.models import Config
from basis.config_files import config_file, config_files, read_yaml
from basis.errors import ConfigError
from basis.kernel.keys import parse_key

_SECTIONS = ("strategy", "costs", "execution", "transfers", "rewards", "risk", "data", "flows")
_SHARE_CLASSES = ("USDT", "ETH")
#: Path, value, and whether the case of the path counts for nothing.
Change = tuple[list[str], Any, bool]


def list_modes() -> dict[str, str]:
    """Return the shipped modes and a line about each."""
    return {name: str(read_yaml(path).get("description", "")) for name, path in config_files("modes").items()}


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
        the shipped mode that its `mode` names; one with `instruments` stands alone on its share class; one that
        `Config.to_yaml` wrote is taken as it is.
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
    changes += [(path, value, False) for path, value in overrides_from(overrides)]
    return _build(raw, changes)


def _read(x: Any) -> dict[str, Any]:
    """The raw layers of a mode, without share class and venues."""
    modes = config_files("modes")
    if isinstance(x, str) and x in modes:
        return read_yaml(modes[x])
    if isinstance(x, Mapping):
        raw = dict(x)
    elif isinstance(x, (str, Path)):
        path = Path(x).expanduser()
        if not path.is_file():
            if isinstance(x, str) and path.suffix not in (".yaml", ".yml") and path.name == x:
                raise ConfigError(f"Unknown mode: {x}." + propose(x, modes) + " Or give the path of a YAML file.")
            raise ConfigError(f"Configuration file not found: {x}.")
        raw = read_yaml(path)
    else:
        raise ConfigError(f"Invalid configuration: {x!r}. Must be a mode name, a path, a mapping or a Config.")
    if "instruments" in raw or "instrument_templates" in raw:
        return raw
    mode = raw.get("mode")
    if mode is None:
        raise ConfigError("Missing key mode." + propose("", modes))
    if mode not in modes:
        raise ConfigError(f"Unknown mode: {mode}." + propose(str(mode), modes) + " Another mode needs instruments.")
    return merge(read_yaml(modes[mode]), raw)


def _build(raw: dict[str, Any], changes: list[Change]) -> Config:
    resolved = "instrument_templates" in raw
    mode = raw.get("mode")
    files = {name: read_yaml(path) for name, path in config_files("venues").items()}
    given = raw.get("venues") or {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"Invalid venues: {given!r}. Must be a mapping of names to venues.")
    # A resolved configuration holds its venues whole; the files only add those that it does not hold.
    venues = {**files, **given} if resolved else merge(files, given)
    raw = _copied({**raw, "venues": venues})
    resolve_like(raw["venues"])
    raw = _with_share_class(raw, changes, resolved)
    if "instruments" in raw:
        raw["instrument_templates"] = raw.pop("instruments")
    for path, value, any_case in changes:
        if path[0] == "instruments" or (any_case and path[0].lower() == "instruments"):
            path = ["instrument_templates", *path[1:]]
        put(raw, path, _copied(value), any_case)
    if raw.get("mode") != mode:
        raise ConfigError(f"Invalid mode: {raw['mode']}. Must stay {mode}: load_config is called with the mode.")
    if isinstance(raw.get("venues"), dict):
        raw["venues"] = {**{name: venue for name, venue in files.items() if name not in raw["venues"]}, **raw["venues"]}
        resolve_like(raw["venues"])
        for name, venue in raw["venues"].items():
            venue.setdefault("name", name)
    for section in _SECTIONS:
        if raw.get(section, 0) is None:
            del raw[section]
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, raw)) from None
    return _trimmed(config)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _with_share_class(raw: dict[str, Any], changes: list[Change], resolved: bool) -> dict[str, Any]:
    """Lay the configuration on its share class, which a change may name."""
    if resolved:
        return raw
    share_class = raw.get("share_class")
    for path, value, any_case in changes:
        if len(path) == 1 and (path[0].lower() if any_case else path[0]) == "share_class":
            share_class = value
    if share_class not in _SHARE_CLASSES:
        raise ConfigError(f"Invalid share_class: {share_class}. Must be 'USDT' or 'ETH'.")
    return merge(read_yaml(config_file(f"share_classes/{share_class.lower()}.yaml")), raw)


def _trimmed(config: Config) -> Config:
    """Keep the venues that the run uses, by name: others are neither recorded nor part of its identity."""
    used = {key.partition(":")[0] for key in config.instruments} | set(config.strategy.hedge_allocation or ())
    used |= {config.start_venue, config.strategy.spot_venue}
    used |= {measure.partition("|")[2] for measure in config.risk.limits if measure.startswith("margin_ratio|")}
    used |= {name for name, venue in config.venues.items() if venue.kind == "wallet"}
    for key in config.instruments:
        used |= set(conversion_of(config, parse_key(key).symbol).venues)
    venues = {name: venue for name, venue in sorted(config.venues.items()) if name in used}
    return config.model_copy(update={"venues": type(config.venues)(venues)})
