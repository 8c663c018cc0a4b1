"""A configuration in a few lines, and the keys in which configurations differ.

May import this package's modules only, but not `models` or `loader`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from basis.config.resolving import resolve_config
from basis.config_files import config_files, read_yaml
from basis.texts import for_page

#: Value of a key that a configuration does not have.
_ABSENT = "–"
#: Branches deeper than this are compared as a whole.
_MAX_DEPTH = 7
#: Most keys that a display lists, and most characters of a value.
_MOST, _LONGEST = 12, 60
_REST = "config.to_dict() and print(config.to_yaml()) have every key; config.<key> is one of them."


def differences(trees: Sequence[Any], path: str = "") -> "list[tuple[str, list[Any]]]":
    """Dotted keys in which configurations differ, each with the value of every configuration.

    A branch that only some configurations have is one entry, not one for each of its keys.
    """
    if all(tree == trees[0] for tree in trees[1:]):
        return []
    if not all(isinstance(tree, Mapping) for tree in trees) or path.count(".") >= _MAX_DEPTH:
        return [(path, [_table_value(tree) for tree in trees])]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return [
        found
        for key in keys
        for found in differences([tree.get(key, _ABSENT) for tree in trees], f"{path}.{key}" if path else str(key))
    ]


def _table_value(value: Any) -> Any:
    """A configuration value for a table: ``set`` for a whole branch."""
    return "set" if isinstance(value, Mapping) and any(isinstance(v, Mapping | list) for v in value.values()) else value


def to_text(config: Any) -> str:
    """The mode, and what is not as it ships, as text."""
    return "\n".join([f"Config of {_headline(config)}", *(f"  {line}" for line in _lines(config)), _REST])


def to_html(config: Any) -> str:
    """The same for a notebook."""
    lines = "".join(f"<div style='padding-left:1.5em'><code>{for_page(line)}</code></div>" for line in _lines(config))
    return (
        f"<div><div>Config of <strong>{for_page(_headline(config))}</strong></div>{lines}"
        f"<div style='opacity:0.7;font-size:90%'>{for_page(_REST)}</div></div>"
    )


def _headline(config: Any) -> str:
    window = " to ".join("the data's " + end if at is None else f"{at:%Y-%m-%d %H:%M}" for end, at in _window(config))
    capital = f"{config.initial_capital:,.10g} {config.share_class}"
    return f"{config.mode}: {capital}, {config.asset}, {window.replace(' 00:00', '')}"


def _window(config: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("start", config.start), ("end", config.end)


def _lines(config: Any) -> Iterator[str]:
    """What differs from the mode as it ships, a key a line."""
    path = config_files("modes").get(config.mode)
    if path is None:
        yield "a mode of its own, which ships in no file"
        return
    shipped = resolve_config(type(config), read_yaml(path), [])
    found = differences([config.to_dict(), shipped.to_dict()])
    if not found:
        yield "as it ships"
    for key, (value, usual) in found[:_MOST]:
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{key} is not as it ships"
        else:
            yield f"{key} = {_short(value)} (ships with {_short(usual)})"
    if len(found) > _MOST:
        yield f"and {len(found) - _MOST} keys more that are not as they ship"


def _short(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
