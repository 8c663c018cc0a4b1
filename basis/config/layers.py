"""Layers of raw configuration: deep merge of files, replacement by overrides, environment variables.

May import this package's leaf modules only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from basis.config.fields import nearest
from basis.config.venues import OVERRIDE
from basis.config_files import parse_yaml
from basis.errors import ConfigError

_PREFIX = "BASIS__"
#: Paths at which an override lays a mapping on what is there; elsewhere a mapping replaces a mapping.
_MERGED = (["data"], ["data", "sources"])


def merge(base: Any, over: Any) -> Any:
    """Lay ``over`` on ``base``: mappings merge key by key, anything else is taken from ``over``."""
    if isinstance(base, Mapping) and over is None:
        return base  # a section header without content
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}


def overrides_of(environ: Mapping[str, str]) -> list[tuple[list[str], Any]]:
    """Overrides that variables `BASIS__A__B` give, the shallow ones first."""
    found = []
    for name in sorted(environ):
        if name.upper().startswith(_PREFIX):
            path = name[len(_PREFIX) :].split("__")
            if not all(path):
                raise ConfigError(f"Invalid environment variable {name}: its form is BASIS__A__B=value.")
            found.append((path, parse_yaml(environ[name], f"environment variable {name}")))
    return sorted(found, key=lambda item: len(item[0]))


def overrides_from(overrides: Mapping[str, Any] | None) -> Iterator[tuple[list[str], Any]]:
    """Overrides as paths and values; a text is parsed as YAML."""
    if overrides is not None and not isinstance(overrides, Mapping):
        raise ConfigError(f"Invalid overrides: {overrides!r}. Must be a mapping of dotted keys to values.")
    for key, value in (overrides or {}).items():
        path = key.split(".") if isinstance(key, str) else []
        if not path or not all(path):
            raise ConfigError(f"Invalid override key: {key!r}. Must be a dotted key such as strategy.rebalance.")
        yield path, parse_yaml(value, f"{key}") if isinstance(value, str) else value


def put(raw: dict[str, Any], path: list[str], value: Any, any_case: bool = False) -> None:
    """Set ``value`` at ``path`` in place; below a venue's dated table, in every entry of it.

    Raises
    ------
    ConfigError
        Where the path runs through something that has no keys, or names an unknown venue.
    """
    if any_case:
        path = _spelled(raw, path)
    venues = raw.get("venues")
    if path[0] == "venues" and len(path) > 2 and isinstance(venues, Mapping) and path[1] not in venues:
        raise ConfigError(f"Unknown venue {'.'.join(path[:2])}." + propose(path[1], venues))
    _put(raw, path, 0, value)


def _put(node: Any, path: list[str], depth: int, value: Any) -> None:
    if isinstance(node, list) and path[0] == "venues" and all(isinstance(entry, dict) for entry in node):
        for entry in node:
            _put(entry, path, depth, value)
        return
    if not isinstance(node, dict):
        where = ".".join(path[:depth])
        raise ConfigError(f"Invalid override {'.'.join(path)}: {where} is {node!r} and has no keys; set it as a whole.")
    key = path[depth]
    if depth == len(path) - 1:
        # the sources of one series say nothing of the others
        node[key] = merge(node.get(key), value) if path in _MERGED and isinstance(value, Mapping) else value
        if path[0] == "venues" and "source" in node and key not in ("source", "from"):
            # The citation no longer covers the number.
            node["source"] = f"{OVERRIDE} of {key}; else {node['source']}"
        return
    if node.get(key) is None:
        node[key] = {}
    _put(node[key], path, depth + 1, value)


def _spelled(raw: Any, path: list[str]) -> list[str]:
    """The path as the keys spell it: variables come in capitals."""
    out = []
    for part in path:
        node = raw[0] if isinstance(raw, list) and raw else raw
        keys = node if isinstance(node, Mapping) else {}
        out.append(part if part in keys else next((k for k in keys if str(k).lower() == part.lower()), part.lower()))
        raw = keys.get(out[-1])
    return out


def propose(given: str, allowed: Any) -> str:
    """End of a message: the nearest name, and all that are allowed."""
    near = nearest(given, allowed)
    return (f" Did you mean {near}?" if near else "") + f" Allowed: {', '.join(map(str, allowed))}."


def resolve_like(venues: dict[str, Any]) -> None:
    """Replace `{like: other, source: ...}` as a venue's field by the other venue's, in place."""
    for name, venue in venues.items():
        if not isinstance(venue, dict):
            raise ConfigError(f"Invalid venues.{name}: {venue!r}. Must be a mapping.")
    for name, venue in venues.items():
        for key, value in venue.items():
            if isinstance(value, dict) and "like" in value:
                venue[key] = _like(venues, f"venues.{name}.{key}", key, value)


def _like(venues: dict[str, Any], where: str, key: str, value: dict[str, Any]) -> Any:
    if set(value) != {"like", "source"}:
        raise ConfigError(f"Invalid {where}: {value!r}. Must be {{like: <venue>, source: <text>}}.")
    like = str(value["like"])
    if like not in venues:
        raise ConfigError(f"Unknown venue in {where}.like: {like}." + propose(like, venues))
    other = venues[like].get(key)
    if other is None or (isinstance(other, dict) and "like" in other):
        raise ConfigError(f"Invalid {where}.like: {like} has no figures of its own for {key}.")
    return _with_source(other, value["source"])


def _with_source(node: Any, source: str) -> Any:
    if isinstance(node, list):
        return [_with_source(entry, source) for entry in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _with_source(entry, source) for key, entry in node.items()}
    return {**changed, "source": f"{source}; {node['source']}"} if "source" in node else changed
