"""From raw layers to a validated configuration: share class, venues, overrides.

May import pydantic and this package's modules only, but not `models`: the model is given.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from basis.config.instruments import conversion_of
from basis.config.layers import merge, overrides_from, put, resolve_like
from basis.config.messages import explain
from basis.config.strategy_settings import IDENTITY, SETTINGS
from basis.config_files import config_file, config_files, read_yaml
from basis.errors import ConfigError
from basis.kernel.keys import QUOTE_ASSET, parse_key

_SECTIONS = ("strategy", "costs", "execution", "transfers", "rewards", "risk", "data", "flows")
SHARE_CLASSES = ("USDT", "ETH")
#: What UTF-16 makes characters of, by itself.
_HALF = re.compile("[\ud800-\udfff]")
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
    _price_spot_where_traded(raw, changes, resolved)
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
    _refuse_unread(config, changes)
    return _trimmed(config)


def _refuse_unread(config: Any, changes: list[Change]) -> None:
    """Refuse an override of a setting that the strategy does not read: it would change nothing.

    The environment is left alone: one variable may be meant for several modes.

    Raises
    ------
    ConfigError
        Naming the setting, and what the strategy reads.
    """
    name = config.strategy.name
    if name not in SETTINGS:
        return
    for path, value, any_case in changes:
        if any_case or path[0] != "strategy":
            continue
        named = path[1:2] or (list(value) if isinstance(value, Mapping) else [])
        for setting in named:
            if setting not in (*SETTINGS[name], *IDENTITY):
                raise ConfigError(
                    f"strategy.{setting}: the strategy {name} of {config.mode} does not read it, so that nothing would "
                    f"change. Leave it out; it reads {', '.join(SETTINGS[name])}."
                )


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_text(key): _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, (list, tuple)) else _text(value)


def _text(value: Any) -> Any:
    """A value, which is no text that cannot be written: JSON and Python have halves of characters."""
    if isinstance(value, str) and _HALF.search(value):
        raise ConfigError(f"Invalid text {value!r}: it holds half a character (a surrogate), which no file can hold.")
    return value


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


def _price_spot_where_traded(raw: dict[str, Any], changes: list[Change], resolved: bool) -> None:
    """Name the spot venue first among the sources of the price of what is traded there, in place.

    Sources that were given for the series stay as they are; a run says where they are those of another venue.
    """
    strategy, data = raw.get("strategy"), raw.get("data")
    if not isinstance(strategy, Mapping) or not isinstance(data, dict) or not isinstance(data.get("sources"), Mapping):
        return
    venue, series = strategy.get("spot_venue"), f"spot/{str(raw.get('asset')).lower()}{QUOTE_ASSET.lower()}"
    names = data["sources"].get(series)
    if not isinstance(venue, str) or not isinstance(names, list) or names[:1] == [venue]:
        return
    paths = [[part.lower() for part in path] if any_case else path for path, _, any_case in changes]
    values = [value for _, value, _ in changes]
    moved = any(path[:2] in (["strategy"], ["strategy", "spot_venue"]) for path in paths)
    given = any(
        path == ["data", "sources", series]
        or (path == ["data", "sources"] and _holds(value, series))
        or (path == ["data"] and isinstance(value, Mapping) and _holds(value.get("sources"), series))
        for path, value in zip(paths, values, strict=True)
    )
    if given or (resolved and not moved):
        return
    if not moved and names != _shipped_sources(raw.get("mode"), series):
        return
    data["sources"] = {**data["sources"], series: [venue, *(name for name in names if name != venue)]}


def _holds(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and key in value


def _shipped_sources(mode: object, series: str) -> object:
    """Sources of a series in the shipped mode of that name."""
    path = config_files("modes").get(str(mode))
    return read_yaml(path).get("data", {}).get("sources", {}).get(series) if path is not None else None


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
