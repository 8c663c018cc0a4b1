"""Fixtures: a small data set, and the command line called in this process."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_market import cut

from basis.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


@pytest.fixture
def basis(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call the command line; compiled kernels are shared by all calls of a process."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def small_data(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight days of the sample, for reading only."""
    return cut(sample_data, tmp_path_factory.mktemp("market") / "small")


@pytest.fixture
def own_data(small_data: Path, tmp_path: Path) -> Path:
    """A copy of the small data set, to be damaged."""
    return Path(shutil.copytree(small_data, tmp_path / "market"))


@pytest.fixture
def listing(tmp_path: Path) -> Callable[[], list[str]]:
    """Everything under the test's folder, by name."""
    return lambda: sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
