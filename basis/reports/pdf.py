"""Printing of an HTML page to PDF with a headless browser."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from basis.errors import InputError
from basis.results.folder import write_file

#: Browsers that can print, by their names on PATH.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: Printing is given up after so many seconds.
_TIMEOUT = 180


def print_page(text: str, path: str | Path) -> Path:
    """Print a page to PDF with a headless browser, completely or not at all. An existing file is replaced.

    Raises
    ------
    InputError
        If there is no browser, if printing fails, or if the file cannot be written. An existing file then stays.
    """
    if Path(path).suffix.lower() != ".pdf":
        raise InputError(f"Cannot print to {path}. Give a path that ends in .pdf.")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise InputError(
            f"Printing to PDF needs a browser, but none of {', '.join(BROWSERS)} is on PATH. Install Chromium "
            "(on Debian: apt install chromium) or Google Chrome, or open the HTML report and print it from there."
        )

    def print_to(target: Path) -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            page = Path(folder) / "page.html"
            page.write_text(text, encoding="utf-8")
            message = _run_browser(browser, page, target, Path(folder) / "profile")
        if not target.is_file() or not target.read_bytes().startswith(b"%PDF"):
            raise InputError(f"Cannot print {path}: {browser} made no PDF. {message}".strip())

    return write_file(path, print_to)


def _run_browser(browser: str, page: Path, target: Path, profile: Path) -> str:
    """Let a browser print a page without a network. Returns the last line of its error output, or an empty text."""
    # a browser refuses to start its sandbox as root
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [
        browser, "--headless", *sandbox, "--disable-gpu", f"--user-data-dir={profile}", "--no-pdf-header-footer",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--virtual-time-budget=20000",
        "--blink-settings=preferredColorScheme=1", f"--print-to-pdf={target}", page.as_uri(),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - a browser found on PATH, a page of our own, and no shell
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"It took more than {_TIMEOUT} seconds."
    lines = done.stderr.strip().splitlines()
    return lines[-1] if done.returncode and lines else ""
