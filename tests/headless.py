"""Pages in a headless Chromium: what they say on the console, and what they have drawn.

As a script it installs Debian's Chromium where there is no browser, for a superuser of Debian or of what is made of it.
"""

import html
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from basis.reports.pdf import BROWSERS

#: Options of a browser that runs in a container and asks nobody for anything.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: Texts of a plotly figure that a reader must be able to read.
TEXTS = (
    "[class*='xtick'] text, [class*='ytick'] text, .g-xtitle text, .g-ytitle text, .gtitle, .gtitle-subtitle, "
    ".legendtext, .annotation-text, .bartext, .colorbar text"
)
#: Leaves in the title of the page, a line a figure, how many texts it has and which of them overlap, touch or are cut
#: off, and which of its axes has but one number.
CHECK = f"""
document.title = [...document.querySelectorAll(".drawn")].map((place) => {{
  const frame = place.getBoundingClientRect(), wrong = [];
  const texts = [...place.querySelectorAll("{TEXTS}")].filter((node) => node.textContent.trim());
  const boxes = texts.map((node) => [node.textContent, node.getBoundingClientRect()]).filter(([_, box]) => box.width);
  boxes.forEach(([text, a], i) => {{
    if (a.left < frame.left - 1 || a.top < frame.top - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1)
      wrong.push(text + " is cut off");
    boxes.slice(i + 1).forEach(([other, b]) => {{
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > -1 && high > 2) wrong.push(text + (wide > 1 ? " overlaps " : " touches ") + other);
    }});
  }});
  const layout = place.querySelector(".js-plotly-plot")._fullLayout;
  for (const [name, axis] of Object.entries(layout).filter(([name]) => /^yaxis/.test(name)))
    if (axis.visible && axis.type === "linear" && place.querySelectorAll(`.${{axis._id}}tick > text`).length < 2)
      wrong.push(name + " has no two numbers");
  return place.id + ": " + boxes.length + " texts" + wrong.map((text) => ", " + text).join("");
}}).join("|");
"""


@dataclass(frozen=True)
class Page:
    """A page after it was loaded: its DOM as HTML, and the lines of its console."""

    dom: str
    console: list[str]

    @property
    def title(self) -> str:
        return html.unescape(re.search("<title>(.*?)</title>", self.dom, re.DOTALL)[1])


def find_chromium() -> "str | None":
    """Path of a Chromium."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def chromium() -> str:
    """Path of a Chromium; skips the test where there is none."""
    found = find_chromium()
    if found is None:
        pytest.skip(f"needs a Chromium to draw with: none of {', '.join(BROWSERS)} is on the path")
    return found


@contextmanager
def driven(width: int = 1200, height: int = 900) -> Iterator[Any]:
    """A Chromium that playwright drives, for pages of this size; skips the test where there is no Chromium."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET])
        try:
            yield browser.new_context(viewport={"width": width, "height": height})
        finally:
            browser.close()


def run_chromium(path: Path, profile: Path, width: int, height: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Open a file with the network off; `profile` is a folder for the browser alone."""
    command = [
        chromium(), "--headless", *QUIET, "--hide-scrollbars", f"--user-data-dir={profile}",
        f"--window-size={width},{height}", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
        "--virtual-time-budget=20000", *more, path.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done


def open_page(path: Path, profile: Path, width: int = 1000, height: int = 700, dark: bool = False) -> Page:
    """Load a page and give what it has become; `dark` prefers a dark colour scheme."""
    more = ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = run_chromium(path, profile, width, height, "--dump-dom", *more)
    return Page(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])


def page_of(figures: Mapping[str, Any], folder: Path, width: int = 1000, height: int = 600) -> Path:
    """A page with plotly figures one below the other, each at its size."""
    from plotly.offline import get_plotlyjs

    parts = []
    for name, figure in figures.items():
        figure.update_layout(width=width, height=height)
        drawn = figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
        parts.append(f"<div class='drawn' id='{name}' style='width:{width}px;height:{height}px'>{drawn}</div>")
    path = folder / "figures.html"
    path.write_text(
        f"<!doctype html><meta charset='utf-8'><title></title><script>{get_plotlyjs()}</script>"
        f"<body style='margin:0'>{''.join(parts)}<script>window.onload = () => {{{CHECK}}}</script>",
        encoding="utf-8",
    )
    return path


def screenshot(path: Path, profile: Path, width: int, height: int) -> Any:
    """(height, width, 3) uint8 of a page from its top."""
    import numpy as np
    from PIL import Image

    # the window is a little higher than the page in it
    run_chromium(path, profile, width, height + 200, f"--screenshot={path.with_suffix('.png')}")
    return np.asarray(Image.open(path.with_suffix(".png")).convert("RGB"))[:height]


def install() -> str:
    """Install Chromium where there is none; returns what to say about it, or nothing."""
    if find_chromium():
        return ""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "No Chromium here: tests in a browser are skipped (on Debian: apt install chromium)."
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(["apt-get", "-qq", *command], env=environ, capture_output=True, text=True, check=False)
    if find_chromium():
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()[-1:]
    return " ".join(("No Chromium here, and apt-get installed none: tests in a browser are skipped.", *said))


if __name__ == "__main__":
    told = install()
    print(told, end="\n" if told else "")
