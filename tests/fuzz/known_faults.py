"""Ask whether a pinned package has a known fault: pip-audit over ``constraints.txt``, where a network allows it.

    python tests/fuzz/known_faults.py

pip-audit is taken from PATH or from the environment, else installed into a temporary one. The exit code is 1 where a
package has a known fault; where nobody could be asked that is said, and the exit code is 2.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that installing and asking may take each.
PATIENCE = 300
CLEAN, FAULTS, NOT_ASKED = 0, 1, 2


def tool(folder: Path) -> Path | None:
    """Where pip-audit is; installed into a folder where there is none, None where it cannot be."""
    beside = Path(sys.executable).with_name("pip-audit")
    found = str(beside) if beside.is_file() else shutil.which("pip-audit")
    if found is not None:
        return Path(found)
    venv.create(folder, with_pip=True)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    install = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--retries", "1", "pip-audit"]
    done = subprocess.run(install, capture_output=True, timeout=PATIENCE)
    return binaries / "pip-audit" if done.returncode == 0 else None


def main() -> int:
    """Ask, and say what was answered."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            place = tool(Path(scratch) / "venv")
            if place is None:
                print(
                    "pip-audit is not here, and no index of packages is in reach: nothing was asked.", file=sys.stderr
                )
                return NOT_ASKED
            pins = ["--requirement", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip"]
            done = subprocess.run(
                [str(place), "--progress-spinner=off", *pins], capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            print(f"No answer within {PATIENCE} seconds: nothing is known.", file=sys.stderr)
            return NOT_ASKED
    print(done.stdout, end="")
    if done.returncode == 0:
        print("No pinned package has a known fault.")
        return CLEAN
    if "Found " in done.stderr:
        print(done.stderr, end="", file=sys.stderr)
        return FAULTS
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    print(f"pip-audit could not ask its database (no network?): {last[:300]}", file=sys.stderr)
    return NOT_ASKED


if __name__ == "__main__":
    sys.exit(main())
