"""HTML pages that need no network: their templates and figures. Imports numpy; jinja2 and plotly on use."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis.errors import InputError, as_path
from basis.plots import theme
from basis.plots.backends import html_embed
from basis.plots.picture import Picture
from basis.plots.thinning import thin
from basis.results.folder import write_file
from basis.texts import visible

if TYPE_CHECKING:
    from jinja2 import Environment


#: Most characters of a line of a page.
_LONGEST_LINE = 20_000


def render(template: str, **content: Any) -> str:
    """A page made from a template and its content."""
    page = {
        "light": theme.LIGHT, "dark": theme.DARK, "critical": theme.CRITICAL, "font": theme.FONT,
        "themes": html_embed.themes(), "plotly_js": html_embed.plotly_js(), "script": html_embed.SCRIPT,
    }  # fmt: skip
    return _environment().get_template(template).render(page=page, **content)


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False, finalize=_seen)


def _seen(value: Any) -> Any:
    """What a template shows, with every character in sight. What it marks as safe is of the package."""
    return visible(value, _LONGEST_LINE) if type(value) is str else value


def page_figure(picture: Picture, caption: str, height: int = 360) -> dict[str, Any]:
    """A figure as the templates take it: packed, with its caption and its height in pixels.

    `rows_drawn` is the number of rows that are drawn, as a text, or empty if all are.
    """
    thinned = thin(picture)
    weight = sum(panel.weight for panel in picture.panels)
    return {
        "name": picture.name,
        "title": picture.title,
        "height": max(height, int(150 + 125 * weight)) if len(picture.panels) > 1 else height,
        "caption": caption,
        "rows_drawn": "" if thinned.total_rows is None else f"{len(thinned.stamps):,}",
        "json": html_embed.pack_figure(thinned),
    }


def write_page(text: str, path: str | Path) -> Path:
    """Write a page. An existing page is replaced.

    Raises
    ------
    InputError
        If the page cannot be written, or if the file exists and is not an HTML file.
    """
    target = as_path(path, "The report")
    if target.is_file() and target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path} exists and is not an HTML file. Give a path that ends in .html.")
    return write_file(path, text)
