"""Hostile input, drawn by a seed for as long as one likes: whatever is given, there is a result or one clean message.

    python tests/fuzz/fuzz.py [--seed 1] [--minutes 5] [--kind NAME]

Each kind of input is a test that draws its trials by a seed (`tests/support/damage.py`); the tests of the suite make a
few of them. Here each has an equal share of the time, in rounds of new seeds. A trial that fails, ends the process or
hangs is told with the command that repeats it, and what it was given stays in the folder that is named. When it is
mended, it has a test of its own, or its place in ``corpus.toml``. The exit code is 1 where anything was found.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Kind → the test that draws it.
KINDS = {
    "YAML": "tests/config/test_hostile_yaml.py::test_damaged_configurations_are_one_error",
    "settings": "tests/engine/test_hostile_settings.py::test_any_settings_are_a_sound_run_or_one_error",
    "command lines": "tests/cli/test_hostile_arguments.py::test_any_command_line_is_a_result_or_a_message",
    "data": "tests/market/test_hostile_data.py::test_damaged_files_are_one_message",
    "data checks": "tests/market/test_hostile_data.py::test_checks_go_through_damaged_files",
    "tables": "tests/market/test_hostile_data.py::test_a_page_that_was_damaged_is_never_read_as_other_numbers",
    "run folders": "tests/results/test_hostile_folders.py::test_damaged_folders_are_one_message_or_a_warning",
    "checkpoint files": "tests/results/test_hostile_checkpoints.py::test_a_damaged_file_is_one_error",
    "checkpoint cells": "tests/results/test_hostile_checkpoints.py::test_no_cell_ends_the_process",
    "cache files": "tests/kernel/test_cache_safety.py::test_every_damage_is_noticed_before_anything_is_loaded",
    "kernels": "tests/kernel/test_cache_safety.py::test_a_damaged_kernel_is_compiled_again",
    "books": "tests/accounting/test_audit.py::test_books_and_markets_of_any_seed",
    "kills": "tests/test_kills.py::test_kills_leave_nothing_half_written",
}
#: Seconds of a round of one kind, its start left out, and after which a trial hangs: compiling may take a minute.
ROUND, HANGS_AFTER = 20.0, 180.0


def run(test: str, seed: str, seconds: float, folder: Path, hangs_after: float = HANGS_AFTER) -> str | None:
    """Make trials of a test; None where all were well, else what became of the one that was not."""
    folder.mkdir(parents=True)
    note, said = folder / "trial", folder / "output.txt"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BASIS_FUZZ_")},
        "BASIS_FUZZ_SEED": seed,
        "BASIS_FUZZ_SECONDS": str(seconds),
        "BASIS_FUZZ_NOTE": str(note),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    settings = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", f"--basetemp={folder / 'files'}"]
    began = time.time()
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "pytest", test, "-x", "-q", *settings],
            cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None:
            time.sleep(0.2)
            last = note.stat().st_mtime if note.exists() else began
            if time.time() - last > hangs_after:
                break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if code == 0:
        return None
    slow = f"hung, or was killed, after {time.time() - last:.0f} s"
    what = {1: "failed", -signal.SIGKILL: slow}.get(code, f"ended with {code}")
    trial = note.read_text() if note.exists() else "0"
    again = f"BASIS_FUZZ_SEED={seed} BASIS_FUZZ_TRIAL={trial} python -m pytest '{test}'"
    lines = said.read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("E ")][:12]
    return "\n".join([f"trial {trial} of seed {seed} {what}: {folder}", f"  again: {again}", *errors])


def main() -> int:
    """Rounds of every kind until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="which trials are drawn; default 1")
    parser.add_argument("--minutes", type=float, default=5.0, help="for how long; default 5")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind; may be repeated")
    given = parser.parse_args()
    kinds = {kind: KINDS[kind] for kind in given.kind or KINDS}
    end = time.monotonic() + 60.0 * given.minutes
    share = min(ROUND, 30.0 * given.minutes / len(kinds))
    home, found, number = Path(tempfile.mkdtemp(prefix="basis-fuzz-")), 0, 0
    while not number or time.monotonic() < end:
        for kind, test in kinds.items():
            if number and time.monotonic() > end:
                break
            folder = home / f"{kind.replace(' ', '_')}-{number}"
            failure = run(test, f"{given.seed}-{number}", share, folder)
            trials = int((folder / "trial").read_text()) + 1 if (folder / "trial").exists() else 0
            print(f"{kind:16} seed {given.seed}-{number}: {trials:5} trials", flush=True)
            if failure is None:
                shutil.rmtree(folder)
            else:
                found += 1
                print(failure, flush=True)
        number += 1
    print(f"{found} found" + (f"; what they were given is in {home}" if found else ""))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
