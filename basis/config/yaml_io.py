"""YAML in and out: a reader without the traps of YAML 1.1, and a writer whose text is deterministic.

May import PyYAML and this package's leaf modules only.
"""

import copy
import functools
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import yaml

from basis.config.durations import format_duration, format_instant
from basis.errors import ConfigError

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """Safe loader in which 1e-4 is a number, 12:30 and dates are text, `no` is no boolean, and no key comes twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} comes twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


_FLOAT = r"[-+]?(?:[0-9][0-9_]*)?\.?[0-9][0-9_]*\.?(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    _compiled = re.compile(rf"^(?:{_pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _compiled, [c if c != "\0" else "" for c in _first])


class _Dumper(yaml.SafeDumper):
    """Safe dumper without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML text; ``where`` names it in the error.

    Raises
    ------
    ConfigError
        Where the text is no YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"Invalid {where}: no YAML. {' '.join(str(error).split())}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping. The file is read again only when it has changed."""
    try:
        stat = path.stat()
        return copy.deepcopy(_read(path, stat.st_mtime_ns, stat.st_size))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read configuration file {path}: {error}") from error


@functools.lru_cache(maxsize=128)
def _read(path: Path, _modified: int, _size: int) -> dict[str, Any]:
    content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"Invalid {path}: it holds {type(content).__name__}, it must hold a mapping of keys.")
    return content


def plain(value: Any) -> Any:
    """Reduce a dumped model to what YAML knows; durations and instants as configuration writes them."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return format_instant(value)
    return None if isinstance(value, float) and math.isinf(value) else value


def dump_yaml(value: Any) -> str:
    """Write YAML in the order of the keys."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
