"""Building blocks of the configuration models: numbers, frozen mappings, the base model and its complaints.

May import pydantic and this package's leaf modules only.
"""

import difflib
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, NoReturn, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from basis.config.durations import parse_duration, parse_instant
from basis.errors import ConfigError
from basis.files import is_name

#: Likeness of two spellings (difflib's ratio) from which on one is proposed for the other.
_NEAR = 0.5
_FROZEN = "A configuration is frozen. Use config.replace({key: value}) for a changed copy."

K = TypeVar("K")
V = TypeVar("V")


def nearest(name: object, options: Iterable[object]) -> str | None:
    """The option whose spelling is closest to ``name`` (case aside), or None where none is near."""
    by_lower = {option.lower(): option for option in map(str, options)}
    match = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=_NEAR)
    return by_lower[match[0]] if match else None


def refuse(key: str, given: object, must: str, options: Iterable[str] = ()) -> NoReturn:
    """Raise, inside a validator, a complaint about ``key`` below the model being validated.

    ``must`` says what is allowed (``must be ...``); ``options`` are names among which the nearest is proposed.
    """
    context = {"key": key, "given": given, "must": must, "near": nearest(given, options)}
    raise PydanticCustomError("refused", "{must}", context)


def _number(value: object) -> float:
    # YAML 1.1 readers give "1e-4" as text, so text that is a number counts as one; a boolean never does.
    try:
        if isinstance(value, str) or (isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool)):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a number")


def _integer(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


def _boolean(value: object) -> object:
    if not isinstance(value, (bool, str)):
        raise ValueError("must be true or false")
    return value


def _file_name(value: str) -> str:
    if not is_name(value):
        raise ValueError("must be a name of letters, digits and . _ + - inside, not a path")
    return value


#: A finite float; numeric text is read, NaN, infinities and booleans are refused.
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
#: A fraction in [0, 1].
Fraction = Annotated[Number, Field(ge=0, le=1)]
Integer = Annotated[int, BeforeValidator(_integer)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Name = Annotated[str, Field(min_length=1)]
#: What a file or a folder is called by.
FileName = Annotated[str, AfterValidator(_file_name)]
Duration = Annotated[timedelta, PlainValidator(parse_duration)]
Instant = Annotated[datetime, PlainValidator(parse_instant)]


@dataclass(frozen=True)
class OneOf:
    """Annotation of a text that is one of several names; what they are is looked up when a value is checked."""

    options: Callable[[], Iterable[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        options = [repr(name) for name in self.options()]
        if repr(value) not in options:
            expected = " or ".join(filter(None, (", ".join(options[:-1]), options[-1])))
            raise PydanticKnownError("literal_error", {"expected": expected})
        return value


class NamedDict(dict[K, V]):
    """A dict whose error for an unknown key gives the nearest one."""

    def __missing__(self, key: Any) -> NoReturn:
        near = nearest(key, map(str, self)) if isinstance(key, str) else None
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(map(str, self)) or 'none'}."
        raise KeyError(f"There is no {key!r}; {hint}")


class FrozenDict(NamedDict[K, V]):
    """A dict that refuses changes: a frozen model must not be changed through a mapping it holds."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ConfigError(_FROZEN)

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        key, value = get_args(source)
        inner = handler.generate_schema(dict[key, value])  # type: ignore[valid-type]
        return core_schema.no_info_after_validator_function(cls, inner)


class Model(BaseModel):
    """Frozen base model that names an unknown key, the keys allowed and the nearest of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields:
            raise ConfigError(_FROZEN)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """Keys and own methods: those of pydantic are left out, so that Tab shows what can be set."""
        inherited = dir(BaseModel)
        return sorted({name for name in super().__dir__() if name not in inherited or name.startswith("__")})

    def __getattr__(self, name: str) -> Any:
        """Raise the error for a missing key, which names the nearest one."""
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError as error:
            if not name.startswith("_") and not hasattr(type(self), name):
                fields = type(self).model_fields
                below = {key: path for key, path in self._keys_below() if key not in fields}
                near = nearest(name, [*fields, *below])
                hint = f"Did you mean {below.get(near, near)}?" if near else f"Its keys are {', '.join(fields)}."
                raise AttributeError(f"A {type(self).__name__} has no {name!r}. {hint}") from None
            raise error

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise PydanticCustomError("no_mapping", "must be a mapping")
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = [key for key in data if key not in allowed]
        if unknown:
            given = {str(key): data[key] for key in unknown}
            context = {"keys": given, "allowed": allowed, "below": dict(cls._keys_below())}
            raise PydanticCustomError("unknown_key", "unknown key", context)
        return data

    @classmethod
    def _keys_below(cls) -> Iterator[tuple[str, str]]:
        """Keys of the models in this one's fields, each with its dotted path from here."""
        for name, field in cls.model_fields.items():
            for kind in (field.annotation, *get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, Model):
                    yield from ((key, f"{name}.{key}") for key in kind.model_fields)
                    yield from ((key, f"{name}.{path}") for key, path in kind._keys_below())
