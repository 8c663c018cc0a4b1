"""From raw layers to a validated configuration: share class, venues, overrides.

May import pydantic and this package's modules only, but not `models`: the model is given.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from basis.config.instruments import conversion_of
from basis.config.layers import merge, overrides_from, put, resolve_like
from basis.config.messages import explain
from basis.config_files import config_file, config_files, read_yaml
from basis.errors import ConfigError
from basis.kernel.keys import parse_key

_SECTIONS = ("strategy", "costs", "execution", "transfers", "rewards", "risk", "data", "flows")
SHARE_CLASSES = ("USDT", "ETH")
#: Path, value, and whether the case of the path counts for nothing.
Change = tuple[list[str], Any, bool]


def changes_of(overrides: Mapping[str, Any] | None) -> list[Change]:
    """Overrides as changes, whose case counts."""
    return [(path, value, False) for path, value in overrides_from(overrides)]


def resolve_config(kind: Any, raw: dict[str, Any], changes: list[Change]) -> Any:
    """Lay raw layers on share class and venues, apply changes, and validate the whole.

    Parameters
    ----------
    kind : the model, `basis.config.Config`
    raw : keys of a mode, or of a resolved configuration (which has `instrument_templates`)
    changes : overrides, in order

    Raises
    ------
    ConfigError
        For a key that is unknown or a value that is wrong.
    """
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
        config = kind.model_validate(raw)
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
    if share_class not in SHARE_CLASSES:
        raise ConfigError(f"Invalid share_class: {share_class}. Must be 'USDT' or 'ETH'.")
    return merge(read_yaml(config_file(f"share_classes/{share_class.lower()}.yaml")), raw)


def _trimmed(config: Any) -> Any:
    """Keep the venues that the run uses, by name: others are neither recorded nor part of its identity."""
    used = {key.partition(":")[0] for key in config.instruments} | set(config.strategy.hedge_allocation or ())
    used |= {config.start_venue, config.strategy.spot_venue}
    used |= {measure.partition("|")[2] for measure in config.risk.limits if measure.startswith("margin_ratio|")}
    used |= {name for name, venue in config.venues.items() if venue.kind == "wallet"}
    for key in config.instruments:
        used |= set(conversion_of(config, parse_key(key).symbol).venues)
    venues = {name: venue for name, venue in sorted(config.venues.items()) if name in used}
    return config.model_copy(update={"venues": type(config.venues)(venues)})
