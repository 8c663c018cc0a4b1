"""A page that needs no network: its templates, its figures, and its paper. Imports numpy; jinja2 and plotly on use."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis.errors import InputError
from basis.plots import embed, theme
from basis.plots.pictures import Picture
from basis.plots.thinning import thin
from basis.results.folder import write_file

if TYPE_CHECKING:
    from jinja2 import Environment

#: Browsers that print, by the names they have on PATH.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: Seconds in which a page has to be printed.
_PATIENCE = 180


def render(template: str, **content: Any) -> str:
    """A page from its template."""
    page = {
        "light": theme.LIGHT, "dark": theme.DARK, "critical": theme.CRITICAL, "font": theme.FONT,
        "themes": embed.themes(), "plotly_js": embed.plotly_js(), "script": embed.SCRIPT,
    }  # fmt: skip
    return _environment().get_template(template).render(page=page, **content)


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent, encoding="utf-8")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=False, auto_reload=False)


def drawn(picture: Picture, caption: str, height: int = 360) -> dict[str, Any]:
    """A figure of a page: packed, as high as its panels ask for, and how many rows of its lines it shows."""
    thinned = thin(picture)
    tall = sum(panel.weight for panel in picture.panels)
    return {
        "name": picture.name,
        "title": picture.title,
        "height": max(height, int(150 + 125 * tall)) if len(picture.panels) > 1 else height,
        "caption": caption,
        "drawn": "" if thinned.of_rows is None else f"{len(thinned.stamps):,}",
        "json": embed.packed(thinned),
    }


def write_page(text: str, path: str | Path) -> Path:
    """Write a page; replaces one that is there.

    Raises
    ------
    InputError
        Where it cannot be written, or what is there is no page.
    """
    if Path(path).is_file() and Path(path).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path} is there and no HTML file; give a path that ends in .html.")
    return write_file(path, text)


def print_page(text: str, path: str | Path) -> Path:
    """Print a page to PDF with a headless browser, whole or not at all; replaces one that is there.

    Raises
    ------
    InputError
        Where there is no browser, it fails, or the file cannot be written; what was there stays.
    """
    if Path(path).suffix.lower() != ".pdf":
        raise InputError(f"Cannot print to {path}: give a path that ends in .pdf.")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise InputError(
            f"Printing to PDF needs a browser: none of {', '.join(BROWSERS)} is on PATH. Install Chromium "
            "(on Debian: apt install chromium) or Google Chrome, or open the HTML report and print it from there."
        )

    def fill(made: Path) -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            page = Path(folder) / "page.html"
            page.write_text(text, encoding="utf-8")
            told = _run(browser, page, made, Path(folder) / "profile")
        if not made.is_file() or not made.read_bytes().startswith(b"%PDF"):
            raise InputError(f"Cannot print {path}: {browser} made no PDF. {told}".strip())

    return write_file(path, fill)


def _run(browser: str, page: Path, made: Path, profile: Path) -> str:
    """Let a browser print, without a network; returns the last line of what it complains of."""
    # a browser keeps no sandbox for the superuser
    more = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [
        browser, "--headless", *more, "--disable-gpu", f"--user-data-dir={profile}", "--no-pdf-header-footer",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--virtual-time-budget=20000",
        "--blink-settings=preferredColorScheme=1", f"--print-to-pdf={made}", page.as_uri(),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"It took more than {_PATIENCE} seconds."
    lines = done.stderr.strip().splitlines()
    return lines[-1] if done.returncode and lines else ""
