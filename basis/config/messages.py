"""Validation errors in the words of the contract: path, what was given, what is allowed, nearest name.

May import pydantic and this package's leaf modules only.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from basis.config.fields import nearest

#: Fixed wording of what two keys must be.
_FIXED = {"initial_capital": "Must be > 0.", "share_class": "Must be 'USDT' or 'ETH'."}
_WORDS = {
    "Input should": "must",
    "valid tuple": "list",
    "valid string": "text",
    "valid integer": "whole number",
    "valid dictionary": "mapping",
}
#: Likeness (difflib's ratio) of two names that differ by a slip of the keyboard.
_VERY_NEAR = 0.85
#: Most characters of a value that a message shows, and what stands for the rest.
_SHOWN, _CUT = 120, "..."
_COMPARISONS = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="), "less_than": ("lt", "<")}
_COMPARISONS |= {"less_than_equal": ("le", "<=")}


def explain(error: ValidationError, raw: Mapping[str, Any]) -> str:
    """Write a validation error, one line for each complaint."""
    return "\n".join(line for detail in error.errors(include_url=False) for line in _lines(dict(detail), raw))


def _lines(detail: dict[str, Any], raw: Mapping[str, Any]) -> list[str]:
    path = _path(detail["loc"])
    context = detail.get("ctx", {})
    given = _given(raw, detail["loc"], detail.get("input"))
    kind = detail["type"]
    if kind == "unknown_key":
        allowed, below = context["allowed"], context["below"]
        return [_unknown(path, key, value, allowed, below) for key, value in context["keys"].items()]
    if kind == "missing":
        what = "value" if isinstance(detail["loc"][-1], int) else "key"
        return [f"Missing {what} {path}.{_misnamed(raw, detail['loc'])}"]
    if kind == "refused":
        path, given = ".".join(part for part in (path, context["key"]) if part), context["given"]
        must, near = context["must"], context["near"]
    else:
        must, near = _must(kind, context, detail["msg"]), None
    if path in _FIXED:
        return [f"Invalid {path}: {_show(given)}. {_FIXED[path]}"]
    if kind == "literal_error" and isinstance(given, str):
        near = nearest(given, re.findall(r"'([^']*)'", context["expected"]))
    hint = f" Did you mean {near}?" if near else ""
    return [f"Invalid {path or 'configuration'}: {_show(given)}. {must[:1].upper()}{must[1:]}.{hint}"]


def _unknown(path: str, key: str, value: Any, allowed: list[str], below: Mapping[str, str]) -> str:
    """A complaint with the nearest key, here or further down."""
    full = f"{path}.{key}" if path else key
    near = nearest(key, [*below, *allowed])
    near = near if near in allowed else below.get(near or "")
    hint = f" Did you mean {near}?" if near else ""
    return f"Unknown key {full}: {_show(value)}.{hint} Allowed: {', '.join(allowed)}."


def _misnamed(raw: Any, loc: tuple[Any, ...]) -> str:
    """Of a part that lacks a key: the part beside it whose name is so near that it may be meant."""
    if len(loc) < 2 or not isinstance(beside := _given(raw, loc[:-2], None), Mapping):
        return ""
    found = get_close_matches(str(loc[-2]), [str(name) for name in beside if name != loc[-2]], 1, _VERY_NEAR)
    return f" Did you mean {_path((*loc[:-2], found[0]))}?" if found else ""


def _must(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind in _COMPARISONS:
        name, sign = _COMPARISONS[kind]
        return f"must be {sign} {context[name]:g}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "finite_number":
        return "must be a finite number"
    if kind.startswith("bool"):
        return "must be true or false"
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _path(loc: tuple[Any, ...]) -> str:
    """Dotted path; positions in lists as [0]."""
    out = ""
    for part in loc:
        if part != "[key]":
            out += f"[{part}]" if isinstance(part, int) else f".{part}"
    return out.removeprefix(".")


def _given(raw: Any, loc: tuple[Any, ...], default: Any) -> Any:
    """The value as it was written, before anything was made of it."""
    for part in loc:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return default
    return raw


def _show(value: Any) -> str:
    text = value if isinstance(value, str) and value.strip() else repr(value)
    text = str(value) if isinstance(value, float) else text
    return text if len(text) <= _SHOWN else text[: _SHOWN - len(_CUT)] + _CUT
