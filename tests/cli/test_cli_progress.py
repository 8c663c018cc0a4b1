"""The bar: on a terminal only, after a while only, and gone in the end."""

import io
import subprocess
import sys

import pytest

from basis.cli.progress import Progress


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_a_long_run_shows_its_rows(terminal):
    with Progress(delay=0.0, stream=terminal) as progress:
        progress(100, 400)
        assert progress._bar.n == 100
        progress(400, 400)
        assert (progress._bar.n, progress._bar.total) == (400, 400)
    assert "400" in terminal.getvalue()


def test_a_short_run_shows_nothing(terminal):
    with Progress(delay=60.0, stream=terminal) as progress:
        progress(100, 400)
    assert terminal.getvalue() == ""


def test_quiet_shows_nothing(terminal):
    with Progress(enabled=False, delay=0.0, stream=terminal) as progress:
        progress(100, 400)
    assert terminal.getvalue() == ""


def test_no_terminal_shows_nothing_and_loads_no_bar():
    code = """
import sys
from basis.cli.progress import Progress
with Progress(delay=0.0) as progress:
    progress(1, 2)
print("tqdm" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_the_bar_is_gone_after_an_error(terminal):
    with pytest.raises(RuntimeError), Progress(delay=0.0, stream=terminal) as progress:
        progress(1, 2)
        raise RuntimeError
    assert progress._bar.disable
