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
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_books import HOURS, LANES, ROOT, SAMPLE, Book, Took, held, mode, reference, timed
from bench_vectorbt import Unavailable, compare

import basis

FOLDER = ROOT / ".benchmarks"
SCENARIOS = 1_000


@dataclass
class Figure:
    """A line of the table.

    Attributes
    ----------
    value, best : median and best of what was measured, in `unit`
    aim, stretch : upper bounds of the median in the same unit
    ratio : to the reference loop, best to best, for the kernel
    """

    group: str
    name: str
    value: float
    best: float
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


def kernel_figures(books: list[Book]) -> tuple[list[Figure], Took]:
    """The compiled loop alone; the reference is timed around each book."""
    figures, references = [], []
    for book in books:
        references.append(reference(31))
        single = book.time(31, record=True)
        fresh = book.time(15, record=True, fresh=True)
        bare = book.time(31)
        wide = book.time(9, LANES)
        spread = book.time(9, LANES, parameters=book.spread(LANES)) if book.spread else None
        references.append(reference(31))
        base = min(r.best for r in references)
        group = f"kernel: {book.name}" if str(book.slots) in book.name else f"kernel: {book.name}, {book.slots} slots"

        def add(name, took, lanes=1, aim=None, stretch=None, group=group, base=base, book=book):
            cost = took.times(1 / book.rows / lanes)
            # the aims are for 12 slots and grow with them; an hour has some cost whatever the book holds
            size = max(book.slots, 6) / 12
            aim, stretch = (None if x is None else x * size for x in (aim, stretch))
            figures.append(Figure(group, name, *cost.times(1e9), "ns/hour", aim, stretch, cost.best / base))

        add("1 lane, everything recorded", single, 1, 50.0, 30.0)
        add("1 lane, everything recorded, into fresh memory", fresh)
        add("1 lane, nothing recorded", bare)
        add(f"{LANES} lanes, per scenario", wide, LANES, 5.0, 3.0)
        if spread is not None:
            add(f"{LANES} lanes of different policy, per scenario", spread, LANES, 5.0, 3.0)
    return figures, Took(median(r.median for r in references), min(r.best for r in references))


def mode_figures(books: list[Book]) -> list[Figure]:
    """Each mode as its user runs it: `backtest`, panel in memory, and the same hour by hour through the components."""
    figures = []
    for book in books:
        config, panel = book.recording.config, book.recording.panel
        name = f"{config.mode}, {book.slots} slots"
        took = timed(lambda config=config, panel=panel: basis.backtest(config, panel), 9)
        figures.append(Figure("backtest() by mode, panel in memory", name, *took.times(1e3), "ms", 3.0, 1.0))
        took = timed(lambda config=config, panel=panel: basis.backtest(config, panel, driver="event"), 1)
        figures.append(Figure("event driver by mode", name, *took, "s", 2.0, 0.7))
    return sorted(figures, key=lambda figure: figure.group)


def backtest_figures(book: Book) -> tuple[list[Figure], Took, Took]:
    """`backtest` with the panel in memory; also the times to the result object and to its equity table."""
    config, panel = book.recording.config, book.recording.panel
    new = [panel]

    def fresh():
        new[0] = panel.slice(0, HOURS - 1)
        gc.collect()

    group = "backtest(), panel in memory"
    again = timed(lambda: basis.backtest(config, panel), 31)
    first = timed(lambda: basis.backtest(config, new[0]), 11, fresh)
    equity = timed(lambda: basis.backtest(config, panel).equity, 15)
    named = timed(lambda: basis.backtest("btc_basis", panel), 9)
    edit = timed(lambda: edited(book), 5)
    figures = [
        Figure(group, "result object, panel used before", *again.times(1e3), "ms", 3.0, 1.0),
        Figure(group, "result object, panel new", *first.times(1e3), "ms", 3.0, 1.0),
        Figure(group, "with the equity table", *equity.times(1e3), "ms"),
        Figure(group, "mode named, configuration read anew", *named.times(1e3), "ms"),
        Figure(group, "strategy edited (compiled anew), run again", *edit, "s", 0.3, 0.1),
    ]
    return figures, again, equity


def edited(book: Book) -> None:
    """What a notebook does after an edit of the strategy: decorate the function again and run."""
    source = book.recording.strategy.decide.function
    again = types.FunctionType(source.__code__, {**source.__globals__, "__name__": "notebook"}, source.__name__)
    again.__module__ = "notebook"
    basis.backtest(book.recording.config, book.recording.panel, strategy=basis.compiled(again))


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
    imports = [child()[0] for _ in range(7)]
    warm = [child(str(SAMPLE)) for _ in range(5)]

    def of(marks):
        return median(marks), min(marks)

    with tempfile.TemporaryDirectory() as empty:
        cold = child(str(SAMPLE), cache=empty)
    group = "process"
    figures = [
        Figure(group, "start to `import basis` done", *of(imports), "s", 0.4, 0.3),
        Figure(group, "start to result object, warm cache", *of([w[1] for w in warm]), "s", 1.0, 0.75),
        Figure(group, "start to its summary, warm cache", *of([w[2] for w in warm]), "s"),
        Figure(group, "start to result object, empty cache", cold[1], cold[1], "s", 8.0, 4.0),
    ]
    script = shutil.which("basis", path=str(Path(sys.executable).parent))
    if script is None:
        print("basis backtest: skipped, the command is not beside this Python")
        return figures
    with tempfile.TemporaryDirectory() as out:
        command = [script, "backtest", "btc_basis", "--data", str(SAMPLE), "--out", str(Path(out, "run")), "--force"]
        took = timed(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True), 5)
    figures.append(Figure(group, "basis backtest btc_basis --data data/sample", *took, "s"))
    return figures


def sweep(book: Book) -> Took:
    """Time for 1,000 scenarios in chunks of 64 lanes on one core, from parameters to the equity of each."""
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


def vectorbt_figures(book: Book, single: Took, equity: Took) -> tuple[list[Figure], dict[str, Any]]:
    """The same trades by vectorbt, beside our runs."""
    many = sweep(book)
    rows = [Figure("sweep", f"{SCENARIOS:,} scenarios, one core, 64-lane kernel", *many, "s")]
    try:
        found = compare(book, FOLDER / "vectorbt-venv", SCENARIOS)
    except Unavailable as reason:
        print(f"vectorbt: skipped, {reason}")
        return rows, {"skipped": str(reason)}
    group = "vectorbt, same trades (no funding, margin, attribution)"
    runs, sweeps = [], []
    for engine, result in found["engines"].items():
        simulation, value = Took(*result["simulation_s"]), Took(*result["value_s"])
        runs.append(value)
        rows.append(Figure(group, f"{engine}: simulation", *simulation.times(1e3), "ms"))
        rows.append(Figure(group, f"{engine}: simulation and value", *value.times(1e3), "ms"))
        for key, how in (("chunked_s", ", 100 a call, scaled"), ("whole_s", " in one call")):
            if key in result:
                sweeps.append(Took(*result[key]))
                rows.append(Figure(group, f"{engine}: {SCENARIOS:,} scenarios{how}", *sweeps[-1], "s"))
    one, all_ = min(runs), min(sweeps)
    group = "vectorbt (its fastest, with value) / ours"
    for name, theirs, ours in (
        ("one run, ours to the result object", one, single),
        ("one run, ours with the equity table", one, equity),
        (f"{SCENARIOS:,} scenarios", all_, many),
    ):
        rows.append(Figure(group, name, theirs.median / ours.median, theirs.best / ours.best, "x"))
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
    print(f"\n{'':{width}}{'median':>14}{'best':>8}{'aim':>8}{'stretch':>9}{'x reference':>13}")
    group = None
    for f in figures:
        if f.group != group:
            group = f.group
            print(f"\n{group}")
        ratio = "" if f.ratio is None else f"{f.ratio:.1f}"
        bounds = f"{_number(f.best):>8}{_number(f.aim):>8}{_number(f.stretch):>9}{ratio:>13}"
        print(f"  {f.name:{width - 2}}{_number(f.value) + ' ' + f.unit:>14}{bounds}  {f.verdict}".rstrip())


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
    modes = [mode(name) for name in basis.config.list_modes()]
    [basis_book] = [book for book in modes if book.recording.config.mode == "btc_basis"]
    figures, base = kernel_figures([held(12), held(27), *modes])
    figures += mode_figures(modes)
    print(f"reference loop (12 products an hour, one core): median {base.median * 1e9:.2f}, best {base.best * 1e9:.2f} "
          f"ns/hour; runs of {HOURS:,} hours")  # fmt: skip
    runs, single, equity = backtest_figures(basis_book)
    figures += runs
    figures += process_figures()
    found: dict[str, Any] = {"skipped": "not asked for"}
    if not options.no_vectorbt:
        rows, found = vectorbt_figures(basis_book, single, equity)
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
        "reference_ns": base.times(1e9)._asdict(),
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
The kernel's aims are for a book of 12 slots and scaled by slots (six at least). Recorded: state, P&L, events. Fresh
memory is what a backtest has: the system hands it out page by page while the run writes.
held: never asked after the first hour. Modes: every rebalance, transfer, payment and reward is done.
`import basis` loads names only; what a run needs loads with the first run.
vectorbt {version}: spot and perps (as one column) traded as our run did, at close, with its mean fees and slippage.
Its value is a series per scenario; ours, in the sweep, is the last equity with all sums and risk figures.
Not measured, as they are not there yet: the sweep over processes and its memory."""


if __name__ == "__main__":
    main()
