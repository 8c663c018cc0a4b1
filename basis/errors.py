"""What can go wrong, as types, and calls that do not fit. Leaf module: imports `basis.texts` only."""

import difflib
import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from basis.texts import visible

#: Most characters of a value that an error shows.
_LONGEST = 80
#: Most bytes of a name and characters of a path on the usual systems.
_LONGEST_NAME, _LONGEST_PATH = 255, 4_000
P = ParamSpec("P")
R = TypeVar("R")


class BasisError(Exception):
    """Base of every error the package raises on purpose."""

    def __str__(self) -> str:
        # a message may quote a file or an argument, and is printed as it is
        return visible(super().__str__())


class InputError(BasisError, ValueError):
    """The input is wrong (configuration, data or usage): exit code 2 on the command line."""


class ConfigError(InputError):
    """A configuration key or value is wrong; the message names the path, what was given and what is allowed."""


class DataError(InputError):
    """A data set cannot be used; the message names the series, the instant and what to do."""


class EngineError(BasisError):
    """A component failed: the message names it and the row, the cause is chained."""


class ExecutionError(EngineError):
    """A venue's answer cannot be taken into the book."""


class RunStoppedWarning(UserWarning):
    """A run stopped itself before its end (broken identity, data hole, insolvency); the rows so far are kept."""


def checked_call(function: Callable[P, R]) -> Callable[P, R]:
    """A public function whose wrong call is an `InputError`, with its arguments and the nearest of them."""

    @functools.wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        try:
            return function(*args, **named)
        except TypeError:
            misfit = _misfit(function, args, named)
            if misfit is None:
                raise
        raise InputError(misfit)

    return call


def _misfit(function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """What is wrong with a call; None where the arguments fit, so that the error came from elsewhere."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        name = type(args[0]).__name__ if function.__name__ == "__init__" else function.__qualname__
        star = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        own = {each.name: each for each in signature.parameters.values() if each.kind not in star}
        own.pop("self", None)
        allowed = f" Allowed: {', '.join(own)}." if own else " It takes none."
        allowed += " Keys of the configuration go into overrides." if "overrides" in own else ""
        for unknown in (each for each in named if each not in own):
            near = difflib.get_close_matches(unknown, own, 1)
            return f"{name} has no argument {unknown}." + (f" Did you mean {near[0]}?" if near else "") + allowed
        return f"{name}: {error}.{allowed}"
    return None


def as_path(given: Any, what: str) -> Path:
    """A path that was given.

    Raises
    ------
    InputError
        Where it is no text and no path, or no system has such a path.
    """
    if not isinstance(given, str | os.PathLike) or not (given := os.fspath(given)) or not isinstance(given, str):
        raise InputError(f"{what} is {shown(given)}. Give its path as text or as a pathlib.Path.")
    path = Path(given)
    longest = max((len(part.encode(errors="replace")) for part in path.parts), default=0)
    if longest > _LONGEST_NAME or len(given) > _LONGEST_PATH or "\0" in given:
        raise InputError(f"{what} is {shown(given)}, which cannot be a path: it is too long, or holds a zero.")
    return path


def shown(value: Any) -> str:
    """A value as an error shows it: one line, not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
