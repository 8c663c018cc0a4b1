"""Engines whose components, clients and data provider log every call of a public method and do the same as ever."""

import functools
import inspect
from collections import Counter
from typing import NamedTuple

from basis.engine.event_driven import COMPONENTS
from basis.execution.factory import CLIENTS
from basis.market import DataProvider


class Call(NamedTuple):
    """A call of a public method: the part that was called, the method, the arguments."""

    name: str
    method: str
    given: tuple


class Log(list):
    """Calls in their order."""

    def of(self, name, method=None):
        return [call for call in self if call.name == name and method in (None, call.method)]

    def count(self, name, method=None):
        return len(self.of(name, method))

    def triggers(self, method="update_position"):
        """Number of position updates by their reason."""
        return Counter(call.given[0] for call in self if call.method == method)


def _logged(function, name, log):
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def method(self, *given, **named):
            log.append(Call(name(self), function.__name__, given))
            return await function(self, *given, **named)
    else:

        @functools.wraps(function)
        def method(self, *given, **named):
            log.append(Call(name(self), function.__name__, given))
            return function(self, *given, **named)

    return method


def logging_class(kind, name, log):
    """A subclass whose public methods log their calls; `name` makes the caller's name from the object."""
    members = {}
    for method in dir(kind):
        function = inspect.getattr_static(kind, method)
        if not method.startswith("_") and inspect.isfunction(function):
            members[method] = _logged(function, name, log)
    return type(f"Logging{kind.__name__}", (kind,), members)


def logging_parts(config, log):
    """`components` and `interfaces` of an engine in which every part logs its calls; none is the built-in class."""
    components = {name: logging_class(kind, lambda self, name=name: name, log) for name, kind in COMPONENTS.items()}
    interfaces = {
        name: logging_class(CLIENTS["simulation", venue.kind], lambda self: self.venue, log)
        for name, venue in config.venues.items()
    }
    return {"components": components, "interfaces": interfaces}


def logging_provider(data, config, log):
    """A data provider that logs its calls."""
    return logging_class(DataProvider, lambda self: "data_provider", log)(data, config)
