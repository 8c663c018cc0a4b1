"""The real contracts of Aave v3 as an oracle: installed once, then asked for what they make of a scenario.

The compiled contracts come from the npm package below, the chain they run on from PyPI (`aave.txt`), each pinned and
kept in the user's cache, outside the checkout. `aave_side.py` says what a scenario is.
"""

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PINS = HERE / "aave.txt"
PACKAGE, VERSION = "@aave/core-v3", "1.19.3"
#: sha512 of the package as it is published.
INTEGRITY = "Xr7+VcoU5b4mPwM4IUCnskw3lciwrnL4Xloyad8GOddYeixnri2lZYobNmErm1LwE50vqjI0O+9QGNKY2TDkeQ=="
#: Seconds an installation may take.
PATIENCE = 600


class Unavailable(Exception):
    """The contracts cannot be run here; the message says why."""


def cache_folder() -> Path:
    """Where what is installed is kept: in ``BASIS_CACHE_DIR``, else the user's cache, else the temporary folder.

    Raises
    ------
    Unavailable
        Where no folder can be written.
    """
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    roots = [Path(os.environ.get("BASIS_CACHE_DIR") or Path(user) / "basis")]
    roots.append(Path(tempfile.gettempdir()) / f"basis-{os.getuid()}")
    failed: list[str] = []
    for root in roots:
        folder = root / "oracles"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as error:
            failed.append(str(error))
    raise Unavailable(f"no folder to install into: {'; '.join(failed)}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time installs."""
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _why(text: str) -> str:
    """The first line of a failed command's output that says error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), (lines or ["no message"])[-1])[:160]


def _try(command: list[str], what: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from error
    if done.returncode:
        raise Unavailable(f"{what}: {_why(done.stderr or done.stdout)}")
    return done.stdout


def environment(cache: Path) -> Path:
    """Python of an environment with the pinned packages, named by pins and interpreter; built where it is missing.

    Raises
    ------
    Unavailable
        Where the packages cannot be installed.
    """
    made_of = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()
    folder = cache / f"aave-venv-{made_of[:12]}"
    complete, python = folder / ".complete", folder / "bin" / "python"
    if python.exists() and complete.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _try([sys.executable, "-m", "venv", str(folder)], "no environment")
    what = "the chain's packages cannot be installed"
    _try([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(PINS)], what)
    complete.touch()
    return python


def artifacts(cache: Path) -> Path:
    """Folder of the compiled contracts; fetched with npm where it is missing.

    Raises
    ------
    Unavailable
        Where npm is missing or does not get the package.
    """
    folder = cache / f"aave-core-v3-{VERSION}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"npm is not on PATH, and {PACKAGE} {VERSION} is not in the cache")
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        target = Path(temporary)
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--loglevel=error", "--pack-destination", temporary]
        _try(command, f"npm does not get {PACKAGE} {VERSION}")
        (packed,) = target.glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise RuntimeError(f"{PACKAGE} {VERSION} is not what was published: sha512 {found}")
        first = "package/artifacts/contracts/"
        with tarfile.open(packed) as archive:
            wanted = [m for m in archive if m.name.startswith(first) and m.name.endswith(".json")]
            archive.extractall(target, [m for m in wanted if not m.name.endswith(".dbg.json")], filter="data")
        (target / first).rename(folder)
    return folder


def installed() -> tuple[Path, Path]:
    """Python of the chain's environment and folder of the contracts, installed where they are missing.

    Raises
    ------
    Unavailable
        Where they cannot be installed.
    """
    cache = cache_folder()
    with _alone(cache):
        folder = artifacts(cache)
        return environment(cache), folder


class Contracts:
    """The contracts, in a process of their own: `run` gives what the steps of a scenario leave.

    Raises
    ------
    Unavailable
        Where they cannot be installed.
    """

    def __init__(self) -> None:
        python, folder = installed()
        command = [str(python), str(HERE / "aave_side.py"), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, steps: list[dict[str, Any]], **market: Any) -> list[dict[str, Any]]:
        """What each step of a scenario leaves; `market` is its reserves, e-modes and opening."""
        scenario = {**market, "steps": steps}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(scenario) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the chain's process ended with {self.process.wait()}")
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise RuntimeError(answer["failed"])
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
