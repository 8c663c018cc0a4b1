"""Replay: run what a folder holds again in a fresh process, and say what is not as it was, bit for bit."""

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
from basis.results.folder import CONFIG, TABLES
from basis.results.result import Result, open_run
from basis.results.table import differences


@dataclass(frozen=True)
class ReplayReport:
    """What a replay found.

    Attributes
    ----------
    run_id : str
    identical : bool
        Data, configuration and every table are what they were.
    messages : tuple[str, ...]
        What differs, a sentence each; also versions that changed, which alone do not count.
    differing : dict[str, tuple[str, ...]]
        Table → its differences: column, number of rows, first row.
    """

    run_id: str
    identical: bool
    messages: tuple[str, ...]
    differing: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = "identical" if self.identical else "not identical"
        return "\n".join([f"{self.run_id}: {verdict}", *(f"  {message}" for message in self.messages)])


def compare_tables(first: Result, second: Result) -> dict[str, tuple[str, ...]]:
    """Tables that differ between two results, with what differs in them."""
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
        Where `path` is no run folder, its data folder is not here, or it cannot be repeated at all.
    """
    from basis.results.rerun import data_folder

    folder = Path(path)
    result = open_run(folder)
    where = data_folder(folder, data)
    wrong = _changed(folder, result, where)
    notes = _other_versions(result.manifest)
    differing: dict[str, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="basis-replay-") as scratch:
        again = Path(scratch) / "run"
        failed = _run_child(folder, where, again)
        if failed:
            wrong.append(f"the run could not be repeated: {failed}")
        else:
            repeated = open_run(again)
            new = sorted(set(repeated.manifest["data"]) - set(result.manifest["data"]))
            wrong += [f"data: {name} was not there when the run was made" for name in new]
            differing = compare_tables(result, repeated)
            wrong += [line for lines in differing.values() for line in lines]
            if repeated.status != result.status or repeated.cause != result.cause:
                wrong.append(f"status: {result.status} ({result.cause}) against {repeated.status} ({repeated.cause})")
    return ReplayReport(result.run_id, not wrong, (*wrong, *notes), differing)


def _changed(folder: Path, result: Result, data: Path) -> list[str]:
    """Files that are not what the manifest says."""
    from basis.results.manifest import sha256_of_file

    manifest, wrong = result.manifest, []
    expected = {name: (data / name, digest, "data: ") for name, digest in manifest["data"].items()}
    expected |= {name: (folder / name, digest, "run folder: ") for name, digest in manifest["tables"].items()}
    expected[CONFIG] = (folder / CONFIG, manifest["config"]["sha256"], "run folder: ")
    for name, (path, digest, title) in expected.items():
        if not path.is_file():
            wrong.append(f"{title}{name} is missing")
        elif (found := sha256_of_file(path)) != digest:
            wrong.append(f"{title}{name} has changed (sha256 {found[:12]}…, was {digest[:12]}…)")
    return wrong


def _other_versions(manifest: Mapping[str, Any]) -> list[str]:
    """What computes is not what it was: worth knowing where tables differ."""
    from basis.kernel.numba.cache import kernel_hash
    from basis.results.manifest import package_hash, versions

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
    """Run it again in a fresh process; returns why it could not."""
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
    """The fresh process."""
    from basis.results.rerun import rerun

    parser = argparse.ArgumentParser(description="Run what a run folder holds once more.")
    for name in ("--child", "--data", "--out"):
        parser.add_argument(name, required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        # events carry the name of the run, so the repeated one keeps it
        run_id = open_run(given.child).run_id
        Result.from_recording(rerun(given.child, given.data), run_id).save(given.out, report=False)
    except BasisError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1:]))
