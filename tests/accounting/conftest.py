"""Fixtures: a process in which nothing is compiled, and both drivers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session", params=["kernel", "event"])
def driver(request) -> str:
    """What drives a run."""
    return request.param


@pytest.fixture(scope="session")
def plain_python():
    """Run a script of this folder with ``NUMBA_DISABLE_JIT=1``; returns the JSON it prints."""

    def run(script, *arguments):
        paths = [str(HERE.parents[1]), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(HERE / script), *map(str, arguments)],
            env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
