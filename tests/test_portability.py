"""Systems that are not POSIX: nothing that only POSIX has is needed to import the package or to run a backtest.

Windows and macOS are not at hand, so what they lack is hidden from a process of this system.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import basis

ROOT = Path(basis.__file__).parents[1]

HIDDEN = textwrap.dedent(
    """
    import os, signal, sys
    # they take their own way on every system, and choose it by the system's name
    import filelock, platformdirs

    for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"):
        sys.modules[name] = None
    for name in (
        "getuid", "geteuid", "getgid", "getegid", "fork", "forkpty", "sched_getaffinity", "mkfifo", "killpg", "getpgid",
        "setsid", "chown", "O_NOFOLLOW", "O_NOCTTY", "O_CLOEXEC", "O_DIRECTORY",
    ):
        if hasattr(os, name):
            delattr(os, name)
    for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGALRM", "SIGCHLD", "pthread_sigmask"):
        if hasattr(signal, name):
            delattr(signal, name)
    """
)

RUNS = textwrap.dedent(
    """
    import importlib, json, pkgutil
    import basis
    from basis.cli import main
    from basis.reports import open_run
    from basis.results.replay import replay

    for module in pkgutil.walk_packages(basis.__path__, "basis."):
        importlib.import_module(module.name)
    window = ["--start", "2024-02-01", "--end", "2024-02-02", "--data", sys.argv[1], "-q"]
    codes = [main(["backtest", "pure_lending", *window, "--out", "run", *more])
             for more in ([], ["--force"], ["--force", "--driver", "event"])]
    run = open_run("run")
    found = {"codes": codes, "changes": run.changes, "equity": run.equity["equity"].iloc[-1].hex()}
    print(json.dumps({**found, "replay": replay("run").identical, "left": sorted(os.listdir())}))
    """
)


def outcome(code, folder, sample_data):
    """What a process says at its end, in which some code ran first."""
    folder.mkdir()
    command = [sys.executable, "-P", "-c", code, str(sample_data)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_backtest_runs_without_what_only_posix_has(sample_data, tmp_path):
    usual = outcome("import os, sys\n" + RUNS, tmp_path / "usual", sample_data)
    hidden = outcome(HIDDEN + RUNS, tmp_path / "hidden", sample_data)
    assert usual == hidden
    assert (hidden["codes"], hidden["changes"], hidden["replay"], hidden["left"]) == ([0, 0, 0], [], True, ["run"])
