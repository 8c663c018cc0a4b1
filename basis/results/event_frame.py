"""The event table as a frame in whose queries instants read as in selections. Imports pandas: on use only."""

from collections.abc import Callable
from typing import Any

import pandas as pd


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


class EventFrame(pd.DataFrame):
    """A frame whose queries take an instant without a zone for UTC: ``query("timestamp >= '2024-02-03'")``."""

    @property
    def _constructor(self) -> "type[EventFrame]":
        return EventFrame

    def eval(self, expr: str, *, inplace: bool = False, **kwargs: Any) -> Any:
        zoned = self.select_dtypes("datetimetz")
        instants = {name: _Instants(zoned[name]) for name in zoned.columns}
        kwargs["resolvers"] = (*kwargs.pop("resolvers", ()), instants)
        # one more frame between the caller and pandas, which looks there for @names
        kwargs["level"] = kwargs.pop("level", 0) + 1
        return super().eval(expr, inplace=inplace, **kwargs)
