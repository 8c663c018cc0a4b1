"""Every component and every client replaced by one that does the same and writes down what it is asked."""

import functools
import inspect
from collections import Counter
from typing import NamedTuple

from basis.engine.event_driven import COMPONENTS
from basis.execution.factory import CLIENTS
from basis.market import DataProvider


class Call(NamedTuple):
    """A call of a public method: of whom, of what, with what."""

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


def _told(function, name, log):
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


def spy(kind, name, log):
    """A subclass whose public methods write down their calls; `name` is told by the object."""
    members = {}
    for method in dir(kind):
        function = inspect.getattr_static(kind, method)
        if not method.startswith("_") and inspect.isfunction(function):
            members[method] = _told(function, name, log)
    return type(f"Spy{kind.__name__}", (kind,), members)


def spied(config, log):
    """`components` and `interfaces` of an engine in which nobody is the built-in one."""
    components = {name: spy(kind, lambda self, name=name: name, log) for name, kind in COMPONENTS.items()}
    interfaces = {
        name: spy(CLIENTS["simulation", venue.kind], lambda self: self.venue, log)
        for name, venue in config.venues.items()
    }
    return {"components": components, "interfaces": interfaces}


def spied_provider(data, config, log):
    """A data provider that writes down its calls."""
    return spy(DataProvider, lambda self: "data_provider", log)(data, config)
