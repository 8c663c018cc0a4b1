"""Mutation tests of the kernel: one place of it is changed, it is run as plain Python, and a check has to fail.

    python tests/mutants/mutants.py [--seed 1] [--count 200] [--module basis/kernel/margin.py]

cosmic-ray makes the changes: it swaps operators, moves numbers by one, negates conditions. `--count` of them are drawn
by `--seed` from all that there are. Each is made in a temporary copy of the package, so the work tree is never touched.
A change that no check of `CHECKS` notices has survived. Survivors that change nothing that a run could show are listed
with their reasons in ``accepted.toml``. The exit code is 1 where fewer than 95 % of the rest die.
"""

import argparse
import difflib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
#: Survivors that are accepted, with their reasons.
ACCEPTED = HERE / "accepted.toml"
#: What of the kernel is not mutated: it compiles, and plain Python does not run it.
LEFT_OUT = "basis/kernel/numba/"
#: Decorators say how a function is compiled; to plain Python they are nothing. The next two have to be told names. The
#: kernel compares small whole numbers, which are the same objects in CPython where they are equal.
LEFT_OUT_OPERATORS = (
    "RemoveDecorator", "VariableReplacer", "VariableInserter", "ReplaceComparisonOperator_Eq_Is",
    "ReplaceComparisonOperator_NotEq_IsNot",
)  # fmt: skip
#: What has to notice a change, the fastest first; the next is run where one has noticed nothing.
RULES = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "tests/mutants/rule_checks.py")
CHECKS = (("tests/mutants/short_runs.py",), (*RULES, "tests/kernel/plain_checks.py"))
#: Share of the mutants that has to die, those accepted left out.
LEAST = 0.95
#: Processes at a time.
WORKERS = 2
#: A check that takes so many times as long as without a change hangs; never less than so many seconds.
TIMES_AS_LONG, LEAST_SECONDS = 8.0, 60.0


class Mutant(NamedTuple):
    """One change of the kernel: the occurrence of an operator in a module."""

    module: str  # path from the root of the checkout
    operator: str
    occurrence: int
    line: int
    function: str


class Outcome(NamedTuple):
    """What became of a mutant, and its lines before and after."""

    mutant: Mutant
    fate: str  # killed, timed out, survived
    was: str
    becomes: str
    diff: str


class Exemption(NamedTuple):
    """An accepted survivor; the lines may hold the wildcard *."""

    module: str
    reason: str
    function: str = "*"
    was: str = "*"
    becomes: str = "*"

    def covers(self, outcome: Outcome) -> bool:
        mutant = outcome.mutant
        return (
            self.module == mutant.module
            and self.function in ("*", mutant.function)
            and _matches(outcome.was, self.was)
            and _matches(outcome.becomes, self.becomes)
        )


def _matches(text: str, pattern: str) -> bool:
    """Whether a line is that of a pattern, in which only * is special."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def exemptions() -> list[Exemption]:
    """The accepted survivors."""
    return [Exemption(**entry) for entry in tomllib.loads(ACCEPTED.read_text()).get("survivor", [])]


# --- which mutants there are -----------------------------------------------------------------------------------------


def modules() -> list[str]:
    """Every module of the kernel that is mutated."""
    found = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "basis" / "kernel").rglob("*.py")))
    return [name for name in found if not name.startswith(LEFT_OUT)]


@cache
def operators() -> dict[str, Any]:
    """cosmic-ray's operators by name."""
    from cosmic_ray.plugins import get_operator, operator_names

    names = [name for name in operator_names() if name.rpartition("/")[2] not in LEFT_OUT_OPERATORS]
    return {name: get_operator(name)() for name in sorted(names)}


def mutants_of(module: str) -> list[Mutant]:
    """Every mutant of a module."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.ast.ast_query import ASTQuery

    counts = dict.fromkeys(operators(), 0)
    found = []
    for node in ast_nodes(get_ast((ROOT / module).read_text())):
        for name, operator in operators().items():
            for (line, _), _ in operator.mutation_positions(node):
                function = ASTQuery(node).get_definition_name() or ""
                found.append(Mutant(module, name, counts[name], line, function))
                counts[name] += 1
    return sorted(found)


def mutated(mutant: Mutant) -> tuple[str, str]:
    """A module before and after a mutant."""
    from cosmic_ray.mutating import mutate_code

    source = (ROOT / mutant.module).read_text()
    return source, mutate_code(source, operators()[mutant.operator], mutant.occurrence)


def sample(count: int, seed: int, chosen: Sequence[str]) -> list[Mutant]:
    """So many mutants of some modules, drawn by a seed; all of them where there are no more."""
    every = [mutant for module in chosen for mutant in mutants_of(module)]
    return every if count >= len(every) else sorted(random.Random(seed).sample(every, count))


# --- a copy of the package that is run -------------------------------------------------------------------------------


class Copy:
    """A temporary copy of the package and its tests, in which one module at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("basis", "configs", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        self._python("-m", "compileall", "-q", "basis", "tests", seconds=600.0)

    def _python(self, *arguments: str, seconds: float) -> bool:
        """Whether a Python process over the copy, with its kernel uncompiled, ends well within so many seconds.

        Raises
        ------
        subprocess.TimeoutExpired
            Where it does not end.
        """
        environment = {
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "CI": "true",  # hypothesis draws the same examples every time
            "PYTHONDONTWRITEBYTECODE": "1" if "compileall" not in arguments else "",
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(self.folder / "tests")]),
        }
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            self.said = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return process.returncode == 0

    def fate(self, module: str, text: str, checks: Sequence[Sequence[str]], seconds: float) -> str:
        """What becomes of a module's other text: ``killed``, ``timed out`` or ``survived``."""
        place = self.folder / module
        kept = place.read_text()
        for compiled in (place.parent / "__pycache__").glob(f"{place.stem}.*.pyc"):
            # compiled code that would be taken for that of another text of the same size
            compiled.unlink()
        place.write_text(text)
        try:
            alive = all(self._python(*check, seconds=seconds) for check in checks)
        except subprocess.TimeoutExpired:
            return "timed out"
        finally:
            place.write_text(kept)
        return "survived" if alive else "killed"


def seconds_without_change(copy: Copy, checks: Sequence[Sequence[str]]) -> float:
    """How long the slowest check takes on the package as it is.

    Raises
    ------
    RuntimeError
        Where a check fails: then no mutant says anything.
    """
    longest = 0.0
    for check in checks:
        began = time.monotonic()
        if not copy._python(*check, seconds=600.0):
            raise RuntimeError(f"The checks fail without any change:\n{copy.said[-4000:]}")
        longest = max(longest, time.monotonic() - began)
    return longest


def outcome_of(copy: Copy, mutant: Mutant, seconds: float) -> Outcome:
    """Make a mutant in a copy and see what becomes of it."""
    before, after = mutated(mutant)
    old, new = before.splitlines(), after.splitlines()
    diff = list(difflib.unified_diff(old, new, mutant.module, mutant.module, n=1, lineterm=""))
    was, becomes = (" ".join(line[1:].strip() for line in diff[2:] if line.startswith(sign)) for sign in ("-", "+"))
    return Outcome(mutant, copy.fate(mutant.module, after, CHECKS, seconds), was, becomes, "\n".join(diff[2:]))


def outcomes(mutants: Sequence[Mutant]) -> list[Outcome]:
    """What becomes of every mutant, `WORKERS` at a time, with a line for each as it ends."""
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(WORKERS) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        first = Copy(Path(scratch) / "0")
        seconds = max(LEAST_SECONDS, TIMES_AS_LONG * seconds_without_change(first, CHECKS))
        for copy in (first, *(Copy(Path(scratch) / str(number)) for number in range(1, WORKERS))):
            copies.put(copy)

        def look(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                return outcome_of(copy, mutant, seconds)
            finally:
                copies.put(copy)

        for number, outcome in enumerate(pool.map(look, mutants), 1):
            found.append(outcome)
            mutant = outcome.mutant
            where = f"{mutant.module}:{mutant.line} {mutant.operator.rpartition('/')[2]} {mutant.occurrence}"
            print(f"{number:4}/{len(mutants)} {outcome.fate:9} {where}", flush=True)
    return found


# --- the report ------------------------------------------------------------------------------------------------------


def report(found: Sequence[Outcome]) -> float:
    """Print the survivors and the figures; returns the share of the mutants that died, those accepted left out."""
    known = exemptions()
    survivors = [outcome for outcome in found if outcome.fate == "survived"]
    accepted = {outcome: rule for outcome in survivors for rule in known if rule.covers(outcome)}
    unexplained = [outcome for outcome in survivors if outcome not in accepted]
    for title, group in (("accepted", accepted), ("survived", unexplained)):
        for outcome in group:
            mutant = outcome.mutant
            print(f"\n{title}: {mutant.module}:{mutant.line} in {mutant.function}, {mutant.operator}")
            print(f"  {accepted[outcome].reason}" if outcome in accepted else outcome.diff)
    timed_out = sum(outcome.fate == "timed out" for outcome in found)
    died = len(found) - len(survivors)
    rest = died + len(unexplained)
    share = died / rest if rest else 1.0
    print(
        f"\n{len(found)} mutants: {died} died ({timed_out} of them hung), {len(accepted)} survivors are accepted, "
        f"{len(unexplained)} are not: {share:.1%} of {rest} died; {LEAST:.0%} have to."
    )
    return share


def main() -> int:
    """Draw, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn; default 1")
    parser.add_argument("--count", type=int, default=200, help="how many mutants are drawn; default 200")
    parser.add_argument("--module", choices=modules(), metavar="FILE", help="only mutants of this file of the kernel")
    arguments = parser.parse_args()
    try:
        drawn = sample(arguments.count, arguments.seed, [arguments.module] if arguments.module else modules())
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed; `make setup` installs what is pinned in constraints.txt")
    return 0 if report(outcomes(drawn)) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
