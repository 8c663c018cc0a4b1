"""The kernel in plain Python: checks of its parts, and that the scenarios reach every turn of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import basis

HERE = Path(__file__).parent
#: Words in the names of tests: runs too long for plain Python; those that reach turns of their own.
LONG = ("files", "closed", "without_costs", "known_span", "august", "twice", "wild", "future")
SHORT = ("story", "60", "sixty", "slash", "ether", "debt", "loop", "gas", "any_size", "inside_the_hour")
#: What is run, by the words in its names.
CHECKS = {
    ("kernel/plain_checks.py",): "plain_checks",
    ("gates/test_gate_execution.py", "gates/test_gate_capital_in_motion.py"): (
        "(gas_is_brought or (kernel and (in_its_row or without_volume)))"
    ),
    ("gates/test_gate_eth_leveraged.py", "gates/test_gate_eth_staking_only.py", "gates/test_gate_ml_directional.py"): (
        f"kernel and not ({' or '.join(LONG)})"
    ),
    # short runs in made-up markets: hedges with a leg in the wallet, loans of more than one asset
    (
        "gates/test_gate_usdt_market_neutral.py",
        "gates/test_gate_onchain_edges.py",
        "accounting/test_loans_inside_the_hour.py",
    ): f"kernel and not real and not drawn and ({' or '.join(SHORT)})",
}
LEAST = 95.0  # % of lines and branches, but for how kernels are compiled, which has its own tests


def test_plain_checks_hold_and_reach_every_turn(tmp_path):
    package = Path(basis.__file__).parent
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "COVERAGE_FILE": str(tmp_path / "data"),
        "PYTHONPATH": os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")]),
    }
    # from a folder without the package, past the project's own coverage settings
    coverage = [sys.executable, "-m", "coverage"]
    rules = f"--rcfile={os.devnull}"
    include = f"--include={package / 'kernel' / '*.py'}"
    omit = f"--omit={package / 'kernel' / 'numba' / '*.py'}"
    pytest_ = ["-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:randomly"]
    files, chosen = [], []
    for names, words in CHECKS.items():
        files += [str(HERE.parent / name) for name in names]
        chosen += [f"({Path(name).stem} and {words})" for name in names]
    done = subprocess.run(
        [*coverage, "run", rules, "--branch", include, omit, *pytest_, *files, "-k", " or ".join(chosen)],
        env=environment, cwd=HERE, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert all(f"{Path(file).name}::" in done.stdout for file in files), done.stdout[-8000:]
    report = tmp_path / "report.json"
    made = subprocess.run(
        [*coverage, "json", rules, "-o", str(report)], env=environment, cwd=HERE, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    found = json.loads(report.read_text())
    missing = {
        Path(name).name: (part["missing_lines"], part["missing_branches"])
        for name, part in found["files"].items()
        if part["missing_lines"] or part["missing_branches"]
    }
    assert found["totals"]["percent_covered"] >= LEAST, missing
