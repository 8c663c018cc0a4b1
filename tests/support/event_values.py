"""Events in plain Python values, to compare a log with a table."""

import json
import math
from datetime import datetime


def _plain(value):
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if isinstance(value, datetime):
        return value.timestamp()
    return value.item() if hasattr(value, "item") else value


def of_table(result):
    """Rows of the event table, instants in seconds."""
    return [{name: _plain(value) for name, value in row.items()} for row in result.events.to_dict("records")]


def of_records(events):
    """The same of `Event` records."""
    return [{name: _plain(value) for name, value in event._asdict().items()} for event in events]


def of_lines(path):
    """The same of a file of JSON lines."""
    out = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for event in out:
        for name in ("timestamp", "effective_at"):
            event[name] = datetime.fromisoformat(event[name]).timestamp()
    return out


def without_infinities(events):
    """A file of JSON has null where a number is not finite."""
    return [
        {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in event.items()}
        for event in events
    ]
