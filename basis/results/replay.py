"""Replay: repeat the run of a folder in a fresh process, and report every difference, bit for bit."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import basis
from basis.errors import BasisError
from basis.results.folder import TABLES
from basis.results.manifest import package_hash, sha256_of_file, versions
from basis.results.rerun import data_folder, rerun
from basis.results.run import Run
from basis.results.table import differences


@dataclass(frozen=True)
class ReplayReport:
    """Findings of a replay.

    Attributes
    ----------
    run_id : str
    identical : bool
        Whether data, configuration and every table are unchanged.
    messages : tuple[str, ...]
        Each difference in a sentence; also changed versions, which alone do not count as a difference.
    differing : dict[str, tuple[str, ...]]
        Table to its differences: column, number of rows, first row.
    """

    run_id: str
    identical: bool
    messages: tuple[str, ...]
    differing: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = "identical" if self.identical else "not identical"
        return "\n".join([f"{self.run_id}: {verdict}", *(f"  {message}" for message in self.messages)])


def compare_tables(first: Run, second: Run) -> dict[str, tuple[str, ...]]:
    """Tables that differ between two runs, each with its differences."""
    found = {name: tuple(differences(first.table(name), second.table(name))) for name in TABLES}
    return {name: lines for name, lines in found.items() if lines}


def replay(path: str | Path, data: str | Path | None = None) -> ReplayReport:
    """Check a run folder: hash its data, run it again in a fresh process, compare every table bit for bit.

    Parameters
    ----------
    path : run folder
    data : data folder, by default the one the run was made from

    Raises
    ------
    InputError
        If `path` is not a run folder, its data folder is missing, or the run cannot be repeated.
    """
    folder = Path(path)
    original = Run.from_folder(folder)
    where = data_folder(original.files, data)
    wrong = _changed_files(original, where)
    notes = _version_notes(original.manifest)
    differing: dict[str, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="basis-replay-") as scratch:
        again = Path(scratch) / "run"
        failed = _run_child(folder, where, again)
        if failed:
            wrong.append(f"the run could not be repeated: {failed}")
        else:
            repeated = Run.from_folder(again)
            new = sorted(set(repeated.manifest["data"]) - set(original.manifest["data"]))
            wrong += [f"data: {name} did not exist when the run was made" for name in new]
            differing = compare_tables(original, repeated)
            wrong += [line for lines in differing.values() for line in lines]
            if (repeated.status, repeated.cause) != (original.status, original.cause):
                statuses = (f"{run.status} ({run.cause})" for run in (original, repeated))
                wrong.append(f"status: {' against '.join(statuses)}")
    return ReplayReport(original.run_id, not wrong, (*wrong, *notes), differing)


def _changed_files(run: Run, data: Path) -> list[str]:
    """Files of the run and of its data that differ from their hash in the manifest."""
    wrong = [f"run folder: {name} has changed" for name in run.files.changed]
    for name, digest in run.manifest["data"].items():
        path = data / name
        if not path.is_file():
            wrong.append(f"data: {name} is missing")
        elif (found := sha256_of_file(path)) != digest:
            wrong.append(f"data: {name} has changed (sha256 {found[:12]}…, was {digest[:12]}…)")
    return wrong


def _version_notes(manifest: Mapping[str, Any]) -> list[str]:
    """Versions and sources that have changed, which may explain a difference."""
    from basis.kernel.numba.cache import kernel_hash

    then, now = dict(manifest["versions"]), versions()
    pairs = [(name, then.get(name), now.get(name)) for name in then if name != "pandas"]
    pairs.append(("basis", manifest["package"]["version"], basis.__version__))
    notes = [f"note: {name} was {old}, is {new}" for name, old, new in pairs if old != new]
    if manifest["kernel"]["sha256"] != kernel_hash():
        notes.append("note: the kernel's sources have changed since")
    elif manifest["package"]["sha256"] != package_hash():
        notes.append("note: the package's sources have changed since, the kernel's have not")
    return notes


def _run_child(folder: Path, data: Path, out: Path) -> str | None:
    """Repeat the run in a fresh process. Returns an error message, or None if it succeeded."""
    package = str(Path(basis.__file__).resolve().parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [
        sys.executable,
        "-m",
        "basis.results.replay",
        "--child",
        str(folder),
        "--data",
        str(data),
        "--out",
        str(out),
    ]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return done.stderr.strip() if done.returncode == 2 else (lines[-1] if lines else f"exit code {done.returncode}")


def _child(arguments: list[str]) -> int:
    """Main function of the fresh process."""
    parser = argparse.ArgumentParser(description="Repeat the run of a folder.")
    for name in ("--child", "--data", "--out"):
        parser.add_argument(name, required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        # events hold the id of the run, so the repeated run keeps it
        original = Run.from_folder(given.child)
        Run.from_recording(rerun(original.files, given.data), original.run_id).save(given.out)
    except BasisError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1:]))
