"""`basis data`: what a data set holds, what is wrong with it, and the synthetic one.

May import typer and `basis.errors`; everything else only inside a command.
"""

import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from basis.cli.terminal import tell
from basis.errors import DataError, InputError, as_path
from basis.processes import sweep, temporary_beside

FINDINGS = 1
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))

app = typer.Typer(help="Look at data sets.", no_args_is_help=True, rich_markup_mode=None)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with spot/, perp/, funding/, …")]


@app.command("list")
def list_(directory: Directory) -> None:
    """List every series with its rows, range and step."""
    from basis.cli.show import print_table
    from basis.market.quality import list_series

    rows = [
        (info.series, f"{info.rows:,}", _instant(info.first), _instant(info.last), _step(info.step), len(info.columns))
        for info in list_series(directory)
    ]
    print_table(("series", "rows", "first", "last", "step", "columns"), rows, right=("rows", "step", "columns"))


@app.command()
def check(
    directory: Directory,
    mode: Annotated[
        str | None,
        typer.Option(metavar="MODE|FILE", help="Only what this mode uses, in its window, as its run sees it."),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="With --mode: first row, UTC.")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="With --mode: last row, UTC, inclusive.")] = None,
) -> None:
    """Name what is wrong with a data set.

    Looks for holes, repeated and unsorted stamps, values that their unit cannot have, series that stand still, and
    series that disagree. Exit 0: clean. Exit 1: findings.
    """
    from basis.cli.show import print_table
    from basis.market.quality import check as defects
    from basis.market.quality import check_run

    if mode is None:
        if start is not None or end is not None:
            raise InputError("--start and --end need --mode: they are the window of its run.")
        findings = defects(directory)
    else:
        from basis.config import load_config

        window = {key: value for key, value in (("start", start), ("end", end)) if value is not None}
        findings = check_run(directory, load_config(mode, window))
    if not findings:
        tell(f"{directory}: clean")
        return
    rows = [(f.series, f.kind, _instant(f.first), f.count, f.message) for f in findings]
    print_table(("series", "finding", "first", "count", "what"), rows, right=("count",))
    tell(f"{directory}: {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    raise typer.Exit(FINDINGS)


@app.command()
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; made if it is not there.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another market.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds files; those of other names stay.")
    ] = False,
) -> None:
    """Write the synthetic data set.

    Two years of hours, made by a seeded generator: the same seed, the same files. A record of nothing.
    """
    as_path(directory, "The folder")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file. Give a folder.")
    if directory.is_dir() and any(directory.iterdir()) and not force:
        raise InputError(f"{directory} is not empty. Give another folder, or --force to write into it.")
    try:
        count = _write(directory.absolute(), seed)
    except OSError as error:
        raise DataError(f"Cannot write to {directory}: {error.strerror or error}.") from error
    tell(f"{directory}: {count} files")


def _write(target: Path, seed: int) -> int:
    """Write the sample beside `target` and move it there whole; the number of files."""
    from basis.market.sample import write_sample

    absent = [parent for parent in target.parents if not parent.exists()]
    temporary = temporary_beside(target)
    try:
        temporary.mkdir(parents=True)
        sweep(target.parent)
        files = write_sample(temporary, seed)
        if not target.exists():
            temporary.rename(target)
            return len(files)
        for file in files:
            place = target / file.relative_to(temporary)
            place.parent.mkdir(exist_ok=True)
            file.replace(place)
        shutil.rmtree(temporary)
        return len(files)
    except BaseException:
        # Nothing half-written stays, not even the empty folders above it.
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in absent:
            with suppress(OSError):
                parent.rmdir()
        raise


def _instant(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M}" if instant is not None else ""


def _step(step: timedelta | None) -> str:
    """A step as configurations write durations: 5m, 1h, 7d."""
    seconds = step.total_seconds() if step is not None else 0.0
    if not seconds:
        return ""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0 or size == 1)
    return f"{seconds / size:g}{unit}"
