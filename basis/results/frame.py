"""Pandas frames and series whose error for a misspelt name gives the nearest one. Imports pandas."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from basis.config.fields import nearest


def _utc(value: Any) -> Any:
    """An instant; without a time zone it is UTC, as everywhere in the package."""
    if isinstance(value, str) or getattr(value, "tzinfo", value) is None:
        return pd.to_datetime(value, utc=True)
    return value


class _Instants(pd.Series):
    """Instants inside a query.

    Pandas compares instants with text in ``events["timestamp"] >= "2024-02-03"``, but not in a query; this class does.
    """

    def isin(self, values: Any) -> pd.Series:
        return pd.Series(self).isin([_utc(value) for value in values])


def _comparison(name: str) -> Callable[[pd.Series, Any], pd.Series]:
    def compare(self: pd.Series, other: Any) -> pd.Series:
        return getattr(pd.Series(self), name)(_utc(other))

    return compare


for _name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    setattr(_Instants, _name, _comparison(_name))


class _Loc(type(pd.DataFrame().loc)):
    """`.loc` of a frame: the error for an instant or a column that is not there names the nearest."""

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError as error:
            row, *columns = key if isinstance(key, tuple) else (key,)
            wanted = columns[0] if columns else None
            missing = [name for name in (wanted if isinstance(wanted, list) else [wanted]) if isinstance(name, str)]
            missing = [name for name in missing if name not in self.obj.columns]
            if missing:
                error.args = (f"There is no column {missing[0]!r}{_near(missing[0], self.obj.columns)}",)
            elif near := _nearest_rows(row, self.obj.index):
                error.args = (near,)
            raise


def _nearest_rows(wanted: Any, index: pd.Index) -> str:
    """That no row is at an instant, and which are next to it; nothing where `wanted` is no instant."""
    if not isinstance(index, pd.DatetimeIndex) or not len(index) or isinstance(wanted, slice | list | int):
        return ""
    try:
        instant = _utc(wanted)
        place = index.searchsorted(instant)
    except (TypeError, ValueError):
        return ""
    near = [f"{index[i]:%Y-%m-%d %H:%M}" for i in (place - 1, place) if 0 <= i < len(index)]
    return f"There is no row at {wanted}; next to it {'is' if len(near) == 1 else 'are'} {' and '.join(near)} UTC."


class Frame(pd.DataFrame):
    """A pandas frame with two additions.

    In `query` and `eval`, an instant without a time zone is UTC: ``query("timestamp >= '2024-02-03'")``. The error for
    an unknown column, in brackets or in `.loc`, names the nearest one, and that for an unknown instant the rows next to
    it.
    """

    @property
    def _constructor(self) -> "type[Frame]":
        return Frame

    @property
    def loc(self) -> Any:
        return _Loc("loc", self)

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError as error:
            wanted = key if isinstance(key, list) else [key]
            missing = [name for name in wanted if isinstance(name, str) and name not in self.columns]
            if missing and "|" in missing[0] and "elsewhere" in self.attrs:
                error.args = (f"There is no column {missing[0]!r}; breakdowns are in {self.attrs['elsewhere']}.",)
            elif missing:
                error.args = (f"There is no column {missing[0]!r}{_near(missing[0], self.columns)}",)
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
        # pandas looks for @names in the frame of the caller, which is one level further away
        kwargs["level"] = kwargs.pop("level", 0) + 1
        try:
            return super().eval(expr, **kwargs)
        except pd.errors.UndefinedVariableError as error:
            name = str(error).split("'")[1]
            if not str(error).startswith("local"):
                error.args = (f"There is no column {name!r}{_near(name, [*instants, *self.columns])}",)
            raise


class NamedSeries(pd.Series):
    """A pandas series whose error for an unknown name gives the nearest one."""

    @property
    def _constructor(self) -> "type[NamedSeries]":
        return NamedSeries

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError as error:
            _explain_missing(error, key, self.index)
            raise

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError as error:
            if not name.startswith("_") and (near := nearest(name, map(str, self.index))):
                error.args = (f"{error.args[0]}; did you mean {near!r}?",)
            raise


def _explain_missing(error: KeyError, key: Any, names: Iterable[Any]) -> None:
    """Rewrite the message of a KeyError: the missing name and the nearest known one."""
    wanted = key if isinstance(key, list) else [key]
    known = [name for name in names if isinstance(name, str)]
    missing = [name for name in wanted if isinstance(name, str) and name not in known]
    if missing:
        error.args = (f"There is no {missing[0]!r}{_near(missing[0], known)}",)


def _near(name: str, names: Iterable[str]) -> str:
    """The end of a message: the nearest name, or all names."""
    near = nearest(name, names)
    return f"; did you mean {near!r}?" if near else f"; there are {', '.join(names)}."
