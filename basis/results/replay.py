"""Replay: repeat the run of a folder in a fresh process, and report every difference, bit for bit."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import basis
from basis.errors import BasisError
from basis.processes import end_with_parent, remove, start_python, sweep, temporary_beside
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
    with _scratch_folder() as scratch:
        again = scratch / "run"
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


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder of this process alone, which goes with it, or with the next replay where this process is killed."""
    place = temporary_beside(Path(tempfile.gettempdir()) / "basis-replay")
    sweep(place.parent, "basis-replay")
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        remove(place)


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
    named = {"--child": folder, "--data": data, "--out": out}
    arguments = [text for name, path in named.items() for text in (name, str(path.absolute()))]
    with start_python(
        "-m", __name__, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=out.parent
    ) as child:
        assert child.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        said = child.stderr.read().strip()
        code = child.wait()
    if code == 0:
        return None
    lines = said.splitlines()
    return said if code == 2 else (lines[-1] if lines else f"exit code {code}")


def _child(arguments: list[str]) -> int:
    """Main function of the fresh process."""
    end_with_parent()
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
