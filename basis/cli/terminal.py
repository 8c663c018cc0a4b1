"""Where text goes out to the terminal. What it came from may have been written by anybody. May import typer."""

from typing import Any

import typer

from basis.texts import visible


def tell(text: Any, err: bool = False) -> None:
    """Print a text, with every character in sight."""
    typer.echo(visible(text), err=err)
