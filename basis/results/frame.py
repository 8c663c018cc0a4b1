"""The tables of a run as frames, in which what is misspelt is told. Imports pandas: on use only."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from basis.config.fields import nearest


def _utc(value: Any) -> Any:
    """An instant without a zone as UTC, as everywhere in the package."""
    if isinstance(value, str) or getattr(value, "tzinfo", value) is None:
        return pd.to_datetime(value, utc=True)
    return value


class _Instants(pd.Series):
    """Instants of a query: what pandas refuses there, but takes in ``events["timestamp"] >= "2024-02-03"``."""

    def isin(self, values: Any) -> pd.Series:
        return pd.Series(self).isin([_utc(value) for value in values])


def _comparison(name: str) -> Callable[[pd.Series, Any], pd.Series]:
    def compare(self: pd.Series, other: Any) -> pd.Series:
        return getattr(pd.Series(self), name)(_utc(other))

    return compare


for _name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    setattr(_Instants, _name, _comparison(_name))


class Frame(pd.DataFrame):
    """A pandas frame with two helps.

    `query` and `eval` take an instant without a zone for UTC, as in ``query("timestamp >= '2024-02-03'")``, and a
    column that is not there is told with the nearest that is.
    """

    @property
    def _constructor(self) -> "type[Frame]":
        return Frame

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError as error:
            wanted = key if isinstance(key, list) else [key]
            missing = [name for name in wanted if isinstance(name, str) and name not in self.columns]
            if missing:
                error.args = (f"No column {missing[0]!r}{_near(missing[0], self.columns)}",)
            raise

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError as error:
            if not name.startswith("_") and (near := nearest(name, self.columns)):
                error.args = (f"{error.args[0]}; did you mean {near!r}?",)
            raise

    def eval(self, expr: str, **kwargs: Any) -> Any:
        zoned = self.select_dtypes("datetimetz")
        instants = {name: _Instants(zoned[name]) for name in zoned.columns}
        if isinstance(self.index, pd.DatetimeIndex) and self.index.name is not None:
            instants[self.index.name] = _Instants(self.index, self.index)
        kwargs["resolvers"] = (*kwargs.pop("resolvers", ()), instants)
        # one more frame between the caller and pandas, which looks there for @names
        kwargs["level"] = kwargs.pop("level", 0) + 1
        try:
            return super().eval(expr, **kwargs)
        except pd.errors.UndefinedVariableError as error:
            name = str(error).split("'")[1]
            if not str(error).startswith("local"):
                error.args = (f"No column {name!r}{_near(name, [*instants, *self.columns])}",)
            raise


class Named(pd.Series):
    """A pandas series by name, in which a name that is not there is told with the nearest that is."""

    @property
    def _constructor(self) -> "type[Named]":
        return Named

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError as error:
            _tell(error, key, self.index)
            raise

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError as error:
            if not name.startswith("_") and (near := nearest(name, map(str, self.index))):
                error.args = (f"{error.args[0]}; did you mean {near!r}?",)
            raise


def _tell(error: KeyError, key: Any, names: Iterable[Any]) -> None:
    """Let an error name what is missing, and what is near it."""
    wanted = key if isinstance(key, list) else [key]
    known = [name for name in names if isinstance(name, str)]
    missing = [name for name in wanted if isinstance(name, str) and name not in known]
    if missing:
        error.args = (f"No {missing[0]!r} among them{_near(missing[0], known)}",)


def _near(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return f"; did you mean {near!r}?" if near else f"; there are {', '.join(names)}."
