"""The YAML files that ship with the package: where they are, and a reader without the traps of YAML 1.1.

Leaf module: it may import PyYAML and the other leaves only.
"""

import copy
import functools
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from basis.errors import ConfigError
from basis.files import Unreadable, limit_of, read_bytes

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: How deep a configuration may be nested, how many values it may stand for, and how many characters count as one more.
_MOST_LEVELS, _MOST_NODES, _LONG_TEXT = 50, 100_000, 1_000
#: The one tag that may be written; `Config.to_yaml` writes it.
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
#: Number of files that are kept parsed: every file of `configs/`, with room for a user's own.
_KEPT_FILES = 128


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


#: Every digit can be read in one way only, so that no long text takes long.
_DIGITS = r"(?:[0-9][0-9_]*(?:\.(?:[0-9][0-9_]*)?)?|\.[0-9][0-9_]*)"
_FLOAT = rf"[-+]?{_DIGITS}(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    _compiled = re.compile(rf"^(?:{_pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _compiled, [c if c != "\0" else "" for c in _first])


@functools.cache
def config_dir() -> Path:
    """Folder of the shipped YAMLs: `configs/` of the checkout, else the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "configs"
    return checkout if all((checkout / part).is_dir() for part in ("modes", "venues")) else package / "_configs"


def config_file(name: str) -> Path:
    """Path of a file below `config_dir`."""
    return _file_in(config_dir(), name)


@functools.lru_cache(maxsize=_KEPT_FILES)
def _file_in(folder: Path, name: str) -> Path:
    return folder / name


def config_files(folder: str) -> dict[str, Path]:
    """The YAML files of a folder below `config_dir`, by name without ending."""
    return {path.stem: path for path in sorted((config_dir() / folder).glob("*.yaml"))}


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML text; ``where`` names it in the error.

    Raises
    ------
    ConfigError
        Where the text is no YAML.
    """
    try:
        _check_shape(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, made stricter
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"Invalid {where}: no YAML. {' '.join(str(error).split())}") from error


def _check_shape(text: str) -> None:
    """Refuse, before anything is made of a text, what would take all memory, or the stack, or is no plain data.

    An alias counts as much as what it stands for, since it is written out by what reads the configuration.
    """
    if len(text) > limit_of(".yaml"):
        raise ValueError(f"it has {len(text):,} characters, and at most {limit_of('.yaml'):,} are read")
    sizes: dict[str, int] = {}
    # anchor and size of every collection that is open
    stack: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Base):
        anchor, size = getattr(event, "anchor", None), 0
        if isinstance(event, yaml.AliasEvent):
            if anchor in (name for name, _ in stack):
                raise ValueError(f"the alias *{anchor} stands inside what it stands for")
            size = sizes.get(anchor, 1)
        elif isinstance(event, yaml.NodeEvent) and event.tag not in (None, _TIMESTAMP):
            raise ValueError(f"the tag {event.tag} is not allowed: text, numbers, lists and mappings need none")
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((anchor, 1))
            if len(stack) > _MOST_LEVELS:
                raise ValueError(f"it is nested more than {_MOST_LEVELS} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = stack.pop()
        elif isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value) // _LONG_TEXT
        if anchor is not None and size:
            sizes[anchor] = size
        opened, total = stack[-1]
        stack[-1] = (opened, total + size)
        if total + size > _MOST_NODES:
            raise ValueError(f"it stands for more than {_MOST_NODES:,} values, aliases counted as what they stand for")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping. The file is read again only when it has changed.

    Raises
    ------
    ConfigError
        Where the file cannot be read, is no YAML, or holds something else.
    """
    try:
        stat = path.stat()
        return copy.deepcopy(_read(path, stat.st_mtime_ns, stat.st_size))
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        raise ConfigError(f"Cannot read configuration file {path}: {error}") from error


@functools.lru_cache(maxsize=_KEPT_FILES)
def _read(path: Path, _modified: int, _size: int) -> dict[str, Any]:
    content = parse_yaml(read_bytes(path, follow_links=True).decode("utf-8"), str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"Invalid {path}: it holds {type(content).__name__}, it must hold a mapping of keys.")
    return content
