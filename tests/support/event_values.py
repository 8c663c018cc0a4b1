"""Events as plain Python values, so that a log can be compared with the event table."""

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
    """Rows of the event table, instants in seconds; without the reasons of decisions, which a log does not have."""
    events = result.events.copy()
    events.loc[events["kind"] == "decision", "detail"] = ""
    return [{name: _plain(value) for name, value in row.items()} for row in events.to_dict("records")]


def of_records(events):
    """Event records, instants in seconds."""
    return [{name: _plain(value) for name, value in event._asdict().items()} for event in events]


def of_lines(path):
    """Events of a file of JSON lines, instants in seconds."""
    out = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for event in out:
        for name in ("timestamp", "effective_at"):
            event[name] = datetime.fromisoformat(event[name]).timestamp()
    return out


def without_infinities(events):
    """The events as a file of JSON holds them: null where a number is not finite."""
    return [
        {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in event.items()}
        for event in events
    ]
