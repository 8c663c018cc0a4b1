"""The event table of a run. `basis.components.event_records` defines the events."""

import numpy as np

from basis.components.event_records import EVENT_COLUMNS, render
from basis.results.table import Column, Table, Text
from basis.results.tables import RunRows
from basis.results.units import unit


def event_table(rows: RunRows, run_id: str) -> Table:
    """Every event of the run in order. The last event of a run that stopped itself gives the cause."""
    recording = rows.recording
    log = recording.events
    log = log[(log["row"] >= recording.first) & (log["row"] < recording.stop)]
    log = log[np.argsort(log["sequence"], kind="stable")]
    made = render(rows, log, run_id)
    if recording.status == "stopped" and len(rows.stamps):
        stop = min(recording.stop, len(recording.panel) - 1)
        last = {
            "timestamp": rows.stamps[-1],
            "effective_at": (recording.panel.timestamps[stop : stop + 1] // 1000).view("M8[us]")[0],
            "kind": "error",
            "detail": recording.cause or "",
        }
        for name, values in made.items():
            end = last.get(name, "" if values.dtype == object else 0.0)
            made[name] = np.append(values, np.array([end], dtype=values.dtype))
    made["seq"] = np.arange(len(made["timestamp"]))
    columns: dict[str, Column] = {
        name: Text.of(made[name].tolist()) if made[name].dtype == object else made[name] for name in EVENT_COLUMNS
    }
    return Table("events", columns, {name: unit("events", name, rows.share_class) for name in EVENT_COLUMNS})
