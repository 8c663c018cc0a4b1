"""Figures inside an HTML page that needs no network: packed as JSON, and drawn by the embedded plotly.js."""

import base64
import json
from typing import Any

import numpy as np

from basis.plots import theme
from basis.plots.backends.plotly_figure import figure_data
from basis.plots.picture import Picture

#: Placeholder for the stamps in a packed figure; `SCRIPT` replaces it in every line by the one list of stamps.
_STAMPS = "stamps"


def plotly_js() -> str:
    """Source of the plotting library, for a script element."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def pack_figure(picture: Picture) -> str:
    """A figure as JSON for a script element: numbers in base64, stamps once.

    It has no title, since the page has a heading and a caption for each figure.
    """
    figure = figure_data(picture, stamps=_STAMPS)
    layout = figure["layout"]
    for name in ("title", "template", "height"):
        layout.pop(name, None)
    layout["margin"] |= {"t": 44, "l": 64}
    drawn = any(trace.get("x") is _STAMPS for trace in figure["data"])
    seconds = picture.stamps[: None if drawn else 0].astype("M8[s]").astype(np.int64)
    first = int(seconds[0]) if len(seconds) else 0
    content = {
        "data": figure["data"],
        "layout": layout,
        _STAMPS: {"first": first, "since": _base64((seconds - first).astype(np.uint32))},
    }
    # a tag or a comment inside a text would end the script element too early or too late
    return json.dumps(content, default=_to_json, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def themes() -> str:
    """The light and the dark theme as JSON."""
    both = {
        name: {"template": theme.plotly_template(ground), "ink": ground.ink, "paper": ground.paper}
        for name, ground in (("light", theme.LIGHT), ("dark", theme.DARK))
    }
    return json.dumps(both, separators=(",", ":"))


def _to_json(value: Any) -> Any:
    """An array as JSON: numbers packed in the form that plotly.js reads, instants as texts."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "M":
        return [None if np.isnat(stamp) else str(stamp.astype("M8[s]")) for stamp in value]
    if isinstance(value, np.ndarray):
        numbers = np.ascontiguousarray(value, dtype=np.float64)
        shape = {"shape": ", ".join(map(str, value.shape))} if value.ndim > 1 else {}
        return {"dtype": "f8", "bdata": _base64(numbers), **shape}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"Cannot write {type(value).__name__} as JSON.")


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


#: Draws every figure of the page in the theme that the reader prefers; on paper in the light theme and at page width.
SCRIPT = """
(() => {
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let paper = false;
  const unpack = ({first, since}) => {
    const bytes = Uint8Array.from(atob(since), (c) => c.charCodeAt(0));
    const iso = (s) => new Date((first + s) * 1000).toISOString().slice(0, 19);
    return Array.from(new Uint32Array(bytes.buffer), iso);
  };
  const figures = [...document.querySelectorAll("script[data-figure]")].map((source) => {
    const {data, layout, stamps} = JSON.parse(source.textContent);
    const x = unpack(stamps);
    for (const trace of data) if (trace.x === "stamps") trace.x = x;
    return {place: document.getElementById(source.dataset.figure), data, layout};
  });
  const paint = ({data, layout}) => {
    const {template, ink} = themes[dark.matches && !paper ? "dark" : "light"];
    for (const trace of data) if (trace.meta && trace.meta.ink) (trace.line || trace.marker).color = ink;
    return {...layout, template, ...(paper ? {width: 680} : {autosize: true})};
  };
  const options = {displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"]};
  for (const figure of figures) Plotly.newPlot(figure.place, figure.data, paint(figure), options);
  const repaint = () => {
    for (const figure of figures) Plotly.react(figure.place, figure.data, paint(figure), options);
  };
  dark.addEventListener("change", repaint);
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details.printed")) folded.open = true;
    paper = true;
    repaint();
  });
  window.addEventListener("afterprint", () => { paper = false; repaint(); });
  document.documentElement.dataset.drawn = figures.length;
})();
""".strip()
