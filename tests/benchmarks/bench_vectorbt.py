"""vectorbt in an environment of its own, on the trades that our run made.

What it is given: close prices of spot and perp, and the sizes our run traded by hour; it fills them at close with the
same mean fees and slippage. It knows no funding, margin, transfers or attribution.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_books import Book

from support.kernel_view import RunView

HERE = Path(__file__).resolve().parent
PINS = HERE / "vectorbt.txt"
#: Bytes that must be free before 1,000 scenarios are tried in one call (5 to 8 GB were seen).
NEEDED = 12e9


class Unavailable(Exception):
    """vectorbt cannot be measured here; the message says why."""


def environment(folder: Path) -> Path:
    """Python of an environment with the pinned packages; it is built where it is missing or the pins have changed.

    Raises
    ------
    Unavailable
        Where the packages cannot be installed.
    """
    stamp = folder / ".pins"
    wanted = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"building {folder.name} (once) ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    make = [[sys.executable, "-m", "venv", str(folder)]]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(PINS)]
    ways = [pip]
    if shutil.which("uv"):
        ways.insert(0, ["uv", "pip", "install", "--quiet", "--python", str(python), "-r", str(PINS)])
    for command in make:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"no environment: {_last(done.stderr or done.stdout)}")
    for command in ways:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            stamp.write_text(wanted)
            return python
    raise Unavailable(f"its packages cannot be installed: {_last(done.stderr)}")


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no message"


def _free() -> float:
    """Bytes of memory free, 0 where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 0.0


def schedule(book: Book) -> dict[str, Any]:
    """Prices, and what our run traded in each hour: spot in one column, the perps of all venues in the other."""
    r = book.recording
    made = RunView(r)
    fills = made.events_of("fill")
    size = np.zeros((book.rows, 2))
    spot = next(k for k in r.slots.keys if k.type == "BaseToken" and k.symbol == "BTC")
    costs = np.zeros((2, 3))
    for column, keys in enumerate(([spot], r.slots.perp)):
        mine = fills[np.isin(fills.instrument, [str(key) for key in keys])]
        np.add.at(size[:, column], mine.row, mine.quantity)
        costs[column] = [np.abs(paid).sum() for paid in (mine.notional, mine.fee, mine.slippage)]
        held = sum(made.quantity(key)[-1] for key in keys)
        if not np.isclose(size[:, column].sum(), held, rtol=1e-9):
            raise RuntimeError("the fills do not add up to the book")
    trades = int((size != 0.0).sum())
    columns = r.panel.columns
    return {
        "timestamps": r.panel.timestamps,
        "close": np.column_stack([columns["spot|BTC"], columns[f"mark|{r.slots.perp[0]}"]]),
        "size": np.where(size == 0.0, np.nan, size),
        "fees": costs[:, 1] / costs[:, 0],
        "slippage": costs[:, 2] / costs[:, 0],
        "capital": made.capital,
        "trades": trades,
    }


def compare(book: Book, folder: Path, scenarios: int) -> dict[str, Any]:
    """What vectorbt needs for the trades of the book, for one run and for many.

    Raises
    ------
    Unavailable
        Where it cannot be installed or its run fails.
    """
    python = environment(folder)
    given = schedule(book)
    with tempfile.TemporaryDirectory() as temporary:
        source, target = Path(temporary, "given.npz"), Path(temporary, "found.json")
        np.savez(source, scenarios=scenarios, whole=_free() > NEEDED, **given)
        command = [str(python), str(HERE / "vectorbt_side.py"), str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"its run failed: {_last(done.stderr)}")
        found = json.loads(target.read_text())
    found["trades"] = given["trades"]
    for engine, result in found["engines"].items():
        if result["orders"] != given["trades"]:
            raise RuntimeError(f"vectorbt ({engine}) made {result['orders']} trades, our run {given['trades']}")
    return found
