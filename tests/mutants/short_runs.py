"""The snapshot of the short books: all that the kernel leaves, in numbers, accepted like the golden table.

    python tests/mutants/short_runs.py             compare with short_runs.txt; the exit code is 1 where it differs
    python tests/mutants/short_runs.py --accept    write short_runs.txt anew, once a change of numbers is meant

It is made for plain Python (``NUMBA_DISABLE_JIT=1``), in which it takes a few seconds. Every column of a table is one
number, and so is every item of the state and every field of the events.
"""

import sys
import warnings
from collections.abc import Iterator
from math import isclose
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import chain_books  # noqa: E402, F401
import exchange_books  # noqa: E402, F401
import lending_books  # noqa: E402, F401
import one_side_books  # noqa: E402, F401
from books import BOOKS  # noqa: E402

from basis.reports import Result  # noqa: E402
from support.kernel_stages import seen_by_name, state_by_name  # noqa: E402
from support.kernel_view import RunView, raw_events  # noqa: E402

SNAPSHOT = HERE / "short_runs.txt"
#: Tables that hold more than the state by row does; events are taken as the kernel wrote them.
TABLES = ("attribution", "exposure", "risk")
#: Rounding alone, and the index.
LEFT_OUT = ("largest_residual", "last largest_residual", "timestamp")
#: What platforms may round differently, relative and in units.
RELATIVE, ABSOLUTE = 1e-10, 1e-8


def number_of(values: np.ndarray) -> float:
    """An array as one number: the sum of its values, each with a weight of its own."""
    known = np.nan_to_num(np.ravel(values).astype(float), nan=7.0, posinf=11.0, neginf=-11.0)
    return float(known @ (1.0 + np.arange(len(known)) * 0.6180339887498949 % 1.0))


def numbers_of(made: RunView) -> dict[str, list[float]]:
    """A number for every column of a table, every field of the events, every item of the state and of the view."""
    result = Result.from_recording(made.recording)
    found = {name: result.table(name).columns for name in TABLES}
    events = raw_events(made)
    found["events"] = {name: events[name] for name in events.dtype.names}
    found["state"] = state_by_name(made)
    found["seen"] = seen_by_name(made, made.seen) if len(made.seen) else {}
    return {
        part: [number_of(np.asarray(values)) for name, values in columns.items() if name not in LEFT_OUT]
        for part, columns in found.items()
    }


def lines() -> Iterator[str]:
    """The snapshot, a line for each part of a book: how the run ended, and its numbers."""
    for name, make in BOOKS.items():
        made = make()
        end = (made.cause or "complete").partition(" ")[0]
        for part, numbers in numbers_of(made).items():
            yield " ".join([f"{name}/{part}", end, *(f"{number:.12g}" for number in numbers)])


def difference(expected: str, found: str) -> str | None:
    """What is different in two lines; None where nothing is."""
    name, end, *numbers = found.split()
    known_name, known_end, *known = expected.split()
    if (name, end, len(numbers)) != (known_name, known_end, len(known)):
        return f"{name} {end}, {len(numbers)} columns; the snapshot has {known_name} {known_end}, {len(known)} columns"
    for place, (number, other) in enumerate(zip(numbers, known, strict=True)):
        if not isclose(float(number), float(other), rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            return f"{name}, column {place}: {number}; the snapshot has {other}"
    return None


def main() -> int:
    """Compare up to the first difference, or accept."""
    warnings.simplefilter("ignore")
    if "--accept" in sys.argv:
        SNAPSHOT.write_text("".join(f"{line}\n" for line in lines()))
        return 0
    known = SNAPSHOT.read_text().splitlines()
    count = 0
    for count, line in enumerate(lines(), 1):
        found = difference(known[count - 1], line) if count <= len(known) else f"{line.split()[0]} is new"
        if found:
            print(found)
            return 1
    if count < len(known):
        print(f"{known[count].split()[0]} is missing")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
