"""Writes `basis/config/modes.pyi`, from which editors know the constructors of the modes: ``make stubs``.

Run it after a change of the models, or of the YAMLs in `configs/modes`.
"""

import collections.abc
import datetime
import typing
from pathlib import Path

import basis.config.modes as modes

STUB = Path(modes.__file__).with_suffix(".pyi")
HEAD = '''"""Constructors of the modes, as editors see them; ``make stubs`` writes this file from `configs/modes`."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal

import pandas as pd

from basis.config.models import Config

__all__ = [
<names>]

TOP: tuple[str, ...]
SECTIONS: tuple[str, ...]

def class_name(mode: str) -> str: ...
def constructors() -> dict[str, str]: ...
def list_modes() -> pd.DataFrame: ...
'''


def words(kind):
    """An annotation as code."""
    if kind in (datetime.date, datetime.timedelta):
        return kind.__name__
    if kind is type(None):
        return "None"
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "Literal[" + ", ".join(f'"{part}"' for part in parts) + "]"
    if origin in (collections.abc.Mapping, collections.abc.Sequence, tuple):
        name = {tuple: "tuple"}.get(origin, origin.__name__)
        return f"{name}[{', '.join(words(part) for part in parts)}]"
    if parts:
        return " | ".join(words(part) for part in parts)
    return "Any" if kind is typing.Any else kind.__name__


def default(value):
    """A default as code; of what is long only that there is one."""
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value) if value is None or isinstance(value, (bool, int, float)) else "..."


def stub():
    """The text of the file."""
    names = modes.constructors()
    text = HEAD.replace("<names>", "".join(f'    "{name}",\n' for name in [*sorted(names), "list_modes"]))
    for name, mode in names.items():
        text += f"def {name}(\n    *,\n"
        for argument in modes.signature_of(mode).parameters.values():
            text += f"    {argument.name}: {words(argument.annotation)} = {default(argument.default)},\n"
        description = getattr(modes, name).__doc__.partition("\n")[0]
        text += f') -> Config:\n    """{description}"""\n    ...\n\n'
    return text.rstrip("\n") + "\n"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
