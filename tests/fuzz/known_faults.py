"""Ask whether a pinned package has a known fault: pip-audit over ``constraints.txt``, where a network allows it.

    python tests/fuzz/known_faults.py

pip-audit is taken from PATH or from the environment, else installed into a temporary one. The exit code is 1 where a
package has a known fault; where nobody could be asked that is said, and the exit code is 2.
"""

import json
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
                [str(place), "--progress-spinner=off", "--format=json", *pins],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            print(f"No answer within {PATIENCE} seconds: nothing is known.", file=sys.stderr)
            return NOT_ASKED
    return report(done.stdout, done.stderr)


def report(answer: str, error: str) -> int:
    """Say what pip-audit has answered; a package that it could not ask about is not one without faults."""
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        last = (error.strip().splitlines() or ["it said nothing"])[-1]
        print(f"pip-audit could not ask its database (no network?): {last[:300]}", file=sys.stderr)
        return NOT_ASKED
    faults = [(each, fault) for each in packages for fault in each.get("vulns", ())]
    for each, fault in faults:
        mended = ", ".join(fault.get("fix_versions", ())) or "no version yet"
        print(f"{each['name']} {each['version']}: {fault['id']}, mended in {mended}")
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    asked = len(packages) - len(skipped)
    print(f"{asked} of {len(packages)} pinned packages were asked about, {len(faults)} known faults.")
    if skipped:
        print(
            f"The database did not know {len(skipped)}, such as {skipped[0]}: of them nothing is known.",
            file=sys.stderr,
        )
    return FAULTS if faults else NOT_ASKED if skipped else CLEAN


if __name__ == "__main__":
    sys.exit(main())
