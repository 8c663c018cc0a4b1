"""How fast the kernel and a run are, beside the aims: ``make bench``.

Prints a table and writes ``.benchmarks/bench.json``. Times are medians; what else the machine does skews them, so
compare the ratios to the reference loop, which is timed in the same run.
"""

import argparse
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_books import HOURS, LANES, ROOT, SAMPLE, Book, btc_basis, held, reference
from bench_vectorbt import Unavailable, compare

import basis
from basis.kernel.jit import strategy

FOLDER = ROOT / ".benchmarks"
SCENARIOS = 1_000


@dataclass
class Figure:
    """A line of the table.

    Attributes
    ----------
    value : what was measured, in `unit`
    aim, stretch : upper bounds in the same unit
    ratio : to the reference loop, for the kernel
    """

    group: str
    name: str
    value: float
    unit: str
    aim: float | None = None
    stretch: float | None = None
    ratio: float | None = None

    @property
    def verdict(self) -> str:
        if self.aim is None:
            return ""
        if self.stretch is not None and self.value <= self.stretch:
            return "stretch met"
        return "met" if self.value <= self.aim else "missed"


def timed(call: Callable[[], Any], repeats: int, before: Callable[[], Any] | None = None) -> float:
    """Median seconds of a call; `before` is run, not timed, before each."""
    took = []
    for i in range(repeats + 1):
        if before is not None:
            before()
        began = time.perf_counter()
        call()
        if i:
            took.append(time.perf_counter() - began)
    return median(took)


def kernel_figures(books: list[Book]) -> tuple[list[Figure], float]:
    """The compiled loop alone; the reference is timed around each book."""
    figures, references = [], []
    for book in books:
        before = reference(15)
        single = book.time(15, record=True)
        fresh = book.time(9, record=True, fresh=True)
        bare = book.time(9)
        wide = book.time(7, LANES)
        spread = book.time(7, LANES, parameters=book.spread(LANES)) if book.spread else None
        base = (before + reference(15)) / 2
        references.append(base)
        group = f"kernel: {book.name}" if str(book.slots) in book.name else f"kernel: {book.name}, {book.slots} slots"

        def add(name, seconds, lanes=1, aim=None, stretch=None, group=group, base=base, rows=book.rows):
            cost = seconds / rows / lanes
            figures.append(Figure(group, name, cost * 1e9, "ns/hour", aim, stretch, cost / base))

        add("1 lane, everything recorded", single, 1, 50.0, 30.0)
        add("1 lane, everything recorded, into fresh memory", fresh)
        add("1 lane, nothing recorded", bare)
        add(f"{LANES} lanes, per scenario", wide, LANES, 5.0, 3.0)
        if spread is not None:
            add(f"{LANES} lanes of different policy, per scenario", spread, LANES, 5.0, 3.0)
    return figures, median(references)


def backtest_figures(book: Book) -> list[Figure]:
    """`backtest` with the panel in memory."""
    config, panel = book.recording.config, book.recording.panel
    held_panel = [panel]

    def fresh():
        held_panel[0] = panel.slice(0, HOURS - 1)
        gc.collect()

    group = "backtest(), panel in memory"
    again = timed(lambda: basis.backtest(config, panel), 21)
    first = timed(lambda: basis.backtest(config, held_panel[0]), 9, fresh)
    equity = timed(lambda: basis.backtest(config, panel).equity, 9)
    named = timed(lambda: basis.backtest("btc_basis", panel), 7)
    edit = timed(lambda: edited(book), 5)
    return [
        Figure(group, "result object, panel used before", again * 1e3, "ms", 3.0, 1.0),
        Figure(group, "result object, panel new", first * 1e3, "ms", 3.0, 1.0),
        Figure(group, "with the equity table", equity * 1e3, "ms"),
        Figure(group, "mode named, configuration read anew", named * 1e3, "ms"),
        Figure(group, "strategy edited (compiled anew), run again", edit, "s", 0.3, 0.1),
    ]


def edited(book: Book) -> None:
    """What a notebook does after an edit of the strategy: decorate the function again and run."""
    made = book.recording.strategy
    source = getattr(made.decide, "py_func", made.decide)
    again = types.FunctionType(source.__code__, {**source.__globals__, "__name__": "notebook"}, source.__name__)
    again.__module__ = "notebook"
    basis.backtest(book.recording.config, book.recording.panel, strategy=replace(made, decide=strategy(again)))


_CHILD = """
import sys, time
import basis
imported = time.perf_counter()
if len(sys.argv) > 1:
    result = basis.backtest("btc_basis", sys.argv[1])
    done = time.perf_counter()
    result.summary
    print(imported, done, time.perf_counter())
else:
    print(imported)
"""


def child(*args: str, cache: str | None = None) -> list[float]:
    """Seconds from the start of a Python process to each of its marks (the clock is the machine's)."""
    env = {k: v for k, v in os.environ.items() if not k.upper().startswith("BASIS_") or k == "BASIS_CACHE_DIR"}
    if cache is not None:
        env["BASIS_CACHE_DIR"] = cache
    began = time.perf_counter()
    command = [sys.executable, "-c", _CHILD, *args]
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    return [float(mark) - began for mark in done.stdout.split()]


def process_figures() -> list[Figure]:
    """From the start of a process to its first result, and the command line."""
    child(str(SAMPLE))
    imports = median(child()[0] for _ in range(7))
    warm = [child(str(SAMPLE)) for _ in range(5)]
    with tempfile.TemporaryDirectory() as empty:
        cold = child(str(SAMPLE), cache=empty)
    group = "process"
    figures = [
        Figure(group, "start to `import basis` done", imports, "s", 0.4, 0.3),
        Figure(group, "start to result object, warm cache", median(w[1] for w in warm), "s", 1.0, 0.75),
        Figure(group, "start to its summary, warm cache", median(w[2] for w in warm), "s"),
        Figure(group, "start to result object, empty cache", cold[1], "s", 8.0, 4.0),
    ]
    script = shutil.which("basis", path=str(Path(sys.executable).parent))
    if script is None:
        print("basis backtest: skipped, the command is not beside this Python")
        return figures
    with tempfile.TemporaryDirectory() as out:
        command = [script, "backtest", "btc_basis", "--data", str(SAMPLE), "--out", str(Path(out, "run")), "--force"]
        took = timed(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True), 5)
    figures.append(Figure(group, "basis backtest btc_basis --data data/sample", took, "s"))
    return figures


def sweep(book: Book) -> float:
    """Seconds for 1,000 scenarios in chunks of 64 lanes on one core, from parameters to the equity of each."""
    parameters = book.spread(SCENARIOS) if book.spread else np.repeat(book.parameters(), SCENARIOS, axis=1)
    chunks = [parameters[:, i : i + LANES] for i in range(0, SCENARIOS, LANES)]
    short = LANES - chunks[-1].shape[1]
    # the last chunk is filled up with copies of its last scenario
    chunks[-1] = np.hstack([chunks[-1], np.repeat(chunks[-1][:, -1:], short, axis=1)])

    def run():
        out = []
        for chunk in chunks:
            loop, args, block = book.start(LANES, parameters=chunk)
            loop(*args)
            out.append(book.equity(block).copy())
        return np.concatenate(out)[:SCENARIOS]

    return timed(run, 3)


def vectorbt_figures(book: Book, ours: list[Figure]) -> tuple[list[Figure], dict[str, Any]]:
    """The same trades by vectorbt, beside our runs."""
    group = "vectorbt, same trades (no funding, margin, attribution)"
    many = sweep(book)
    rows = [Figure("sweep", f"{SCENARIOS:,} scenarios, one core, 64-lane kernel", many, "s")]
    try:
        found = compare(book, FOLDER / "vectorbt-venv", SCENARIOS)
    except Unavailable as reason:
        print(f"vectorbt: skipped, {reason}")
        return rows, {"skipped": str(reason)}
    single = next(f for f in ours if f.name.startswith("result object, panel used before")).value
    equity = next(f for f in ours if f.name == "with the equity table").value
    fastest, fastest_many = float("inf"), float("inf")
    for engine, result in found["engines"].items():
        rows.append(Figure(group, f"{engine}: simulation", result["simulation_s"] * 1e3, "ms"))
        rows.append(Figure(group, f"{engine}: simulation and value", result["value_s"] * 1e3, "ms"))
        rows.append(Figure(group, f"{engine}: {SCENARIOS:,} scenarios, 100 a call, scaled", result["chunked_s"], "s"))
        if "whole_s" in result:
            rows.append(Figure(group, f"{engine}: {SCENARIOS:,} scenarios in one call", result["whole_s"], "s"))
        fastest = min(fastest, result["value_s"] * 1e3)
        fastest_many = min(fastest_many, result["chunked_s"], result.get("whole_s", float("inf")))
    group = "vectorbt (its fastest, with value) / ours"
    rows += [
        Figure(group, "one run, ours to the result object", fastest / single, "x"),
        Figure(group, "one run, ours with the equity table", fastest / equity, "x"),
        Figure(group, f"{SCENARIOS:,} scenarios", fastest_many / many, "x"),
    ]
    return rows, found


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from llvmlite import binding

    try:
        model = next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                     if line.startswith("model name"))  # fmt: skip
    except (OSError, StopIteration):
        model = platform.processor()
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "avx512": bool(binding.get_host_cpu_features().get("avx512f", False)),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {"basis": basis.__version__}
        | {name: version(name) for name in ("numba", "numpy", "pandas", "pyarrow")},
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def show(figures: list[Figure]) -> None:
    """The table, one block per group."""
    width = max(len(f.name) for f in figures) + 2
    print(f"\n{'':{width}}{'measured':>14}{'aim':>8}{'stretch':>9}{'x reference':>13}")
    group = None
    for f in figures:
        if f.group != group:
            group = f.group
            print(f"\n{group}")
        ratio = "" if f.ratio is None else f"{f.ratio:.1f}"
        measured = f"{_number(f.value)} {f.unit}"
        line = f"  {f.name:{width - 2}}{measured:>14}{_number(f.aim):>8}{_number(f.stretch):>9}{ratio:>13}  {f.verdict}"
        print(line.rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-vectorbt", action="store_true", help="leave vectorbt out")
    parser.add_argument("--out", type=Path, default=FOLDER / "bench.json", help="the JSON file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    about = machine()
    vector = "with" if about["avx512"] else "without"
    print(f"{about['cpu']}, {about['cpus']} CPUs, {vector} AVX-512; Python {about['python']}, "
          + ", ".join(f"{k} {v}" for k, v in about["versions"].items()))  # fmt: skip
    if about["load"] is not None:
        print(f"load of the machine at the start: {about['load'][0]:.1f}; other load skews the times")
    basis_book = btc_basis()
    figures, base = kernel_figures([basis_book, held(12), held(27)])
    print(f"reference loop (12 products an hour, one core): {base * 1e9:.2f} ns/hour; {HOURS:,} hours")
    runs = backtest_figures(basis_book)
    figures += runs
    figures += process_figures()
    found: dict[str, Any] = {"skipped": "not asked for"}
    if not options.no_vectorbt:
        rows, found = vectorbt_figures(basis_book, runs)
        figures += rows
    show(figures)
    print(NOTES.format(version=found.get("version", "(not measured)")))
    took = time.perf_counter() - began
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 1.5:
        print(f"The load was {load:.1f} at the end, of which about 1 is this program's: other load slowed it.")
    report = {
        "machine": about,
        "hours": HOURS,
        "reference_ns": base * 1e9,
        "seconds": took,
        "figures": [{**vars(f), "verdict": f.verdict} for f in figures],
        "vectorbt": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    try:
        shown = options.out.resolve().relative_to(ROOT)
    except ValueError:
        shown = options.out
    print(f"\n{took:.0f} s in all; written to {shown}")


NOTES = """
The kernel's aims are for a book of 12 slots. Recorded: state, P&L columns and events. Fresh memory is what a
backtest has: the system hands it out page by page while the run writes.
held: never asked after the first hour. btc_basis: every rebalance, transfer and funding payment is done.
`import basis` loads names only; what a run needs loads with the first run.
vectorbt {version}: spot and perps (as one column) traded as our run did, at close, with its mean fees and slippage.
Its value is a series per scenario; ours, in the sweep, is the last equity with all sums and risk figures.
Not measured, as they are not there yet: the event driver, the sweep over processes and its memory."""


if __name__ == "__main__":
    main()
