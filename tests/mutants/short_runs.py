"""The snapshot of the short books: every column of every table, in numbers, accepted like the golden table.

    python tests/mutants/short_runs.py             compare with short_runs.txt; the exit code is 1 where anything differs
    python tests/mutants/short_runs.py --accept    write short_runs.txt anew, once a change of numbers is meant

It is made for plain Python (``NUMBA_DISABLE_JIT=1``), in which it takes a few seconds. A column is one number: the sum of
its values, each with a weight of its own, so that a value in another row, or with another sign, shows.
"""

import sys
import warnings
import zlib
from collections.abc import Iterator
from math import isclose
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import chain_books  # noqa: E402, F401
import exchange_books  # noqa: E402, F401
from books import BOOKS  # noqa: E402

from basis.reports import Result  # noqa: E402
from support.kernel_view import RunView  # noqa: E402

SNAPSHOT = HERE / "short_runs.txt"
#: The panel is what goes in; the rest is what comes out.
TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events")
#: Rounding alone.
LEFT_OUT = ("residual",)
#: What platforms may round differently, relative and in units.
RELATIVE, ABSOLUTE = 1e-10, 1e-8


def number_of(values: np.ndarray) -> float:
    """A column as one number."""
    if values.dtype.kind not in "fiub":
        return float(zlib.crc32("\n".join(map(str, values)).encode()))
    known = np.nan_to_num(values.astype(float), nan=7.0, posinf=11.0, neginf=-11.0)
    return float(known @ (1.0 + np.arange(len(known)) * 0.6180339887498949 % 1.0))


def numbers_of(made: RunView) -> dict[str, list[tuple[str, float]]]:
    """Name and number of every column, by table."""
    result = Result.from_recording(made.recording)
    found = {}
    for name in TABLES:
        table = result.table(name).to_pandas(index=name != "events")
        if name == "events":
            # the name of a run holds a hash of the sources
            table["correlation_id"] = [text.rpartition("-")[2] for text in table["correlation_id"]]
        columns = [(str(column), values) for column, values in table.items() if column not in LEFT_OUT]
        found[name] = [(column, number_of(values.to_numpy())) for column, values in columns]
    summary = result.summary
    worst = (summary["max_drawdown"], summary["min_health_factor"], *summary["min_margin_ratio"].values())
    found["summary"] = [("worst", number_of(np.array([number], dtype=float))) for number in worst]
    return found


def lines() -> Iterator[str]:
    """The snapshot, a line for each table of a book: how the run ended, and its numbers."""
    for name, make in BOOKS.items():
        made = make()
        end = (made.cause or "complete").partition(" ")[0]
        for table, columns in numbers_of(made).items():
            yield " ".join([f"{name}/{table}", end, *(f"{number:.12g}" for _, number in columns)])


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
