"""Command line: reads arguments, calls the package, prints. Holds no arithmetic of its own.

May import typer and the leaves; everything else of the package, rich and tqdm only inside a command, so that
`basis --help` stays quick.
"""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from basis import __version__
from basis.cli.data import app as data_app
from basis.cli.terminal import tell
from basis.errors import EngineError, InputError, as_path

__all__ = ["app", "main"]

#: Exit codes besides 0; what went wrong unexpectedly keeps its traceback and Python's own code, 1.
DIFFERENT, WRONG_INPUT, STOPPED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="basis",
    help="Backtest carry strategies on hourly market data, with accounts that close to the cent.",
    epilog="Exit codes: 0 done, 1 findings or a difference, 2 wrong input, 3 the run stopped itself or failed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")


class Driver(StrEnum):
    """How the hours are run."""

    kernel = "kernel"
    event = "event"


def _version(wanted: bool) -> None:
    if wanted:
        tell(f"basis {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def backtest(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="Name of a mode (see `basis modes`) or path of a YAML.")
    ],
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Data set; default BASIS_DATA_DIR, else the sample.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="T", help="First row, UTC; a bare date is 00:00. Default: start of the data.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="T", help="Last row, inclusive, UTC. Default: end of the data.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=V", help="Set a configuration key; V parses as YAML. May be repeated."),
    ] = None,
    driver: Annotated[
        Driver, typer.Option(help="The compiled loop, or the components hour by hour; both give the same bits.")
    ] = Driver.kernel,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="The run's folder. Default: runs/<run_id>.")] = None,
    log: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write each event to a file as it happens, a line of JSON each.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder, and the log, if it is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder's path and nothing else.")] = False,
) -> None:
    """Run one backtest and keep its tables in a folder."""
    import warnings

    from basis.cli.progress import Progress
    from basis.config import load_config
    from basis.errors import RunStoppedWarning

    window = {"start": start, "end": end}
    overrides = parse_changes(changes or ()) | {name: at for name, at in window.items() if at is not None}
    # Before anything compiled is imported, so that a wrong key is reported at once.
    resolved = load_config(config, overrides)
    if log is not None:
        check_log(log, out, force)
    with warnings.catch_warnings(), Progress(enabled=not quiet) as progress:
        # What stopped the run is reported below, once.
        warnings.simplefilter("ignore", RunStoppedWarning)
        from basis.api import backtest as run

        result = run(resolved, data, driver=driver.value, out=out, force=force, event_log=log, progress=progress)
    folder = Path(out) if out is not None else _keep(result)
    if not quiet:
        from basis.cli.show import print_summary

        print_summary(result.summary, result.warnings, result.doubts)
        tell(f"report: {folder / 'report.html'}")
    tell(folder)
    if result.status == "stopped":
        tell(f"Error: {result.summary['cause']}", err=True)
        raise typer.Exit(STOPPED)


def _keep(result: Any) -> Path:
    """Save a run under its id. The id names all that went in, so that a run of that id may be replaced."""
    folder = Path("runs") / result.summary["run_id"]
    result.save(folder, force=True)
    return folder


@app.command()
def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")],
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Data set, if it is not where the run found it.")
    ] = None,
) -> None:
    """Run a folder again and compare, bit by bit.

    Exit 0: every table is identical. Exit 1: one differs, and it says which column and row.
    """
    from basis.results.replay import replay as again

    report = again(run, data)
    for message in report.messages:
        tell(message)
    if not report.identical:
        tell(f"Error: {run} differs from its replay.", err=True)
        raise typer.Exit(DIFFERENT)
    tell(f"{run}: identical")


@app.command()
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")],
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File to write. Default: report.html (report.pdf) in the run's folder."),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it to PDF with a headless Chromium or Chrome.")] = False,
) -> None:
    """Write a run's report: figures, attribution, events and data on one page that needs no network."""
    from basis.reports import open_run

    result = open_run(run)
    _warn(result.changes)
    result.report(out, pdf)
    tell(out if out is not None else Path(run) / ("report.pdf" if pdf else "report.html"))


@app.command()
def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")],
    timestamp: Annotated[str, typer.Argument(metavar="T", help="Instant of the row, UTC: '2024-08-05 02:00'.")],
    until: Annotated[
        str | None, typer.Argument(metavar="[UNTIL]", help="Last instant of a period, which is told instead of a row.")
    ] = None,
) -> None:
    """Tell one row of a run: market, risk, why the strategy acted, fills, and P&L with its numbers; or a period."""
    from basis.reports import open_run

    result = open_run(run)
    _warn(result.changes)
    tell(result.explain(timestamp, until))


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Folders of runs, or ids of runs in runs/.")],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a page with figures as well, an HTML file.")
    ] = None,
) -> None:
    """Compare runs: metrics, P&L by cause, and what differs in their configuration."""
    from basis.cli.show import print_comparison
    from basis.reports import compare as side_by_side
    from basis.reports.comparison_tables import terminal_tables

    comparison = side_by_side(*runs)
    if out is not None:
        comparison.report(out)
    print_comparison(terminal_tables(comparison), comparison.notes)
    if out is not None:
        tell(out)


@app.command()
def modes() -> None:
    """List the modes that can be run by name."""
    from basis.cli.show import print_table
    from basis.config import list_modes, load_config

    # As shipped: what the environment overrides does not belong here.
    rows = [(name, load_config(name, environ={}).share_class, line) for name, line in list_modes().items()]
    print_table(("mode", "share class", "what it does"), rows)


def _warn(warnings: Sequence[str]) -> None:
    for text in warnings:
        tell(f"Warning: {text}", err=True)


def parse_changes(changes: Sequence[str]) -> dict[str, str]:
    """Overrides of `--set a.b=v`; of two for one key the later counts.

    Raises
    ------
    basis.errors.InputError
        For a change without a key or without ``=``.
    """
    overrides: dict[str, str] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"Invalid --set {change!r}. Its form is a.b=v, as in strategy.margin_ratio_target=0.6.")
        overrides.pop(key, None)
        overrides[key] = value
    return overrides


def check_log(log: str, out: str | None, force: bool) -> None:
    """Refuse a log that cannot be written, would overwrite what is no log, or would lie in a run's folder.

    Raises
    ------
    basis.errors.InputError
        The message says what to do instead.
    """
    path = as_path(log, "--log").absolute()
    runs = [folder for folder in path.parents if (folder / "manifest.json").is_file()]
    if runs or (out is not None and Path(out).absolute() in (path, *path.parents)):
        raise InputError(
            f"--log {log} lies in a run's folder, which is written whole in the end. Name a file elsewhere."
        )
    if path.is_dir():
        raise InputError(f"--log {log} is a folder. Name a file.")
    if path.is_file():
        if not force:
            raise InputError(f"--log {log} exists already. Name another file, or replace it with --force.")
        with path.open("rb") as file:
            if file.read(8) not in (b"", b'{"seq": '):
                raise InputError(f"--log {log} exists and is no log of events: it is not replaced.")
    near = next(place for place in (path, *path.parents) if place.exists())
    if (near.is_file() and near != path) or not os.access(near, os.W_OK):
        raise InputError(f"Cannot write --log {log}: {near} is no folder that can be written.")


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Wrong input (`InputError`, usage), or a component that failed in a run (`EngineError`), is one message on standard
    error; ``BASIS_DEBUG=1`` adds the traceback.
    """
    try:
        code = int(app(args=args, prog_name="basis", standalone_mode=False) or 0)
    except InputError as error:
        _explain(error, str(error))
        return WRONG_INPUT
    except EngineError as error:
        # The run is lost: what a component that failed has left in the book is no result.
        _explain(error, " ".join(str(error).split()))
        return STOPPED
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        # Usage errors; typer brings its own click, so that they are known by what they can do.
        if not hasattr(error, "format_message"):
            raise
        _explain(error, _usage(error))
        return WRONG_INPUT
    if code == INTERRUPTED:
        tell("Interrupted.", err=True)
    return code


def _usage(error: Any) -> str:
    """What was wrong with the arguments, and where to read on; the help itself where a command is missing."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if context is None or message == context.get_help():
        return message
    message = message.replace("Value error, ", "").removesuffix(".")
    return f"{message}{'' if message.endswith('?') else '.'} See `{context.command_path} --help`."


def _explain(error: BaseException, message: str) -> None:
    if os.environ.get("BASIS_DEBUG", "0") not in ("", "0"):
        import traceback

        traceback.print_exception(error)
    tell(message if message.startswith("Usage:") else f"Error: {message}", err=True)
