"""The notebooks in JupyterLab, in a browser: run by its own commands, and read back from what it has drawn.

What it saves is exported as a page. Where there is no browser, each notebook is run in a kernel alone.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from support.browser import chromium, driven, find_chromium
from nbconvert import HTMLExporter
from test_notebooks import FIGURES, check_outputs, execute

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent.parent / "notebooks").glob("*.ipynb"))
#: Seconds: until the server answers, and for a notebook.
_PATIENCE, _RUN = 90, 240
#: Of every figure on the page what it is made of, and what its SVG shows.
READ = """() => [...document.querySelectorAll(".js-plotly-plot")].map((place) => {
  const texts = (name) => [...place.querySelectorAll(name)].map((node) => node.textContent);
  const box = place.getBoundingClientRect(), data = place._fullData;
  return {
    traces: data.map((trace) => ({type: trace.type, key: (trace.meta || {}).key, rows: trace._length || 0})),
    bars: data.filter((trace) => trace.type === "bar").map((trace) => ({key: trace.meta.key, y: trace.y[0]})),
    named: data.filter((trace) => trace.showlegend).map((trace) => trace.name),
    title: texts(".gtitle").join(""),
    legend: texts(".legendtext"),
    labels: texts(".bartext"),
    lines: place.querySelectorAll(".scatterlayer path.js-line").length,
    points: place.querySelectorAll(".barlayer .point").length,
    width: box.width, height: box.height,
  };
})"""
#: Leaves in the title of an exported page how many shapes each of its figures has drawn.
COUNT = """<script>window.addEventListener("load", () => {
  const shapes = ".main-svg path.js-line, .main-svg .point, .main-svg .hm image, .table .column-block";
  const drawn = (place) => place.querySelectorAll(shapes).length;
  document.title = [...document.querySelectorAll(".js-plotly-plot")].map(drawn).join(" ");
});</script>"""


class Lab(NamedTuple):
    """A JupyterLab: where it is, its token, the folder it shows, and the browser it is looked at with."""

    address: str
    token: str
    folder: Path
    browser: Any


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on this machine alone, over a folder with copies of the notebooks."""
    chromium()
    pytest.importorskip("jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    work = home / "notebooks"
    work.mkdir()
    for path in NOTEBOOKS:
        shutil.copy2(path, work)
    # as shipped, but for what asks the network for news
    quiet = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
    }  # fmt: skip
    environ = {key: value for key, value in os.environ.items() if key not in ("BASIS_DATA_DIR", "BASIS_ENVIRONMENT")}
    environ |= {name: str(home / folder) for name, folder in folders.items()}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, env=environ, cwd=home, stdout=log, stderr=log)
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=5):
                    break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    pytest.fail((home / "log").read_text())
                time.sleep(0.2)
        with driven() as browser:
            yield Lab(address, token, work, browser)
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


@contextmanager
def page_without_network(lab):
    """A page in the browser that may ask this JupyterLab, and nobody else."""
    outside = []

    def local(route):
        if route.request.url.startswith((lab.address, "file:", "data:", "blob:")):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    page = lab.browser.new_page()
    try:
        page.route("**/*", local)
        yield page, outside
    finally:
        page.close()


def run_all(lab, name):
    """Open a notebook, run all its cells in its fresh kernel, and save it: gives it as saved, and its figures."""
    with page_without_network(lab) as (page, outside):
        page.goto(f"{lab.address}/lab/tree/{name}?token={lab.token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=_PATIENCE * 1000)
        page.set_default_timeout(_RUN * 1000)
        # a kernel that has not started yet would have nothing to run
        page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.ready")
        began = time.perf_counter()
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        notebook = nbformat.read(lab.folder / name, as_version=4)
        wanted = len(check_outputs(notebook))
        drawn = f"document.querySelectorAll('.js-plotly-plot .main-svg').length >= {wanted}"
        page.wait_for_function(f"{drawn} && document.querySelectorAll('.js-plotly-plot').length >= {wanted}")
        print(f"{name}: {time.perf_counter() - began:.1f} s")
        figures = page.evaluate(READ)
        page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    assert outside == []
    return notebook, figures


def check(notebook, figures):
    """Every figure of the notebook is drawn, once."""
    assert len(figures) == len(check_outputs(notebook))
    for figure in figures:
        assert figure["title"]
        assert figure["traces"]
        assert figure["width"] > 400
        assert figure["height"] > 150


def check_export(notebook, lab, folder):
    """The notebook's exported page shows every figure without a network."""
    text, _ = HTMLExporter(template_name="lab").from_notebook_node(notebook)
    path = folder / "page.html"
    path.write_text(text.replace("</body>", f"{COUNT}</body>"), encoding="utf-8")
    with page_without_network(lab) as (page, _):
        page.goto(path.as_uri())
        drawn = [int(count) for count in page.title().split()]
    assert len(drawn) == len(check_outputs(notebook))
    assert min(drawn) > 0


def number(text):
    """A number as a label has it."""
    return float(text.replace(",", "").replace("−", "-").replace("k", "e3").replace("M", "e6"))


def test_the_quickstart_in_jupyterlab(lab, tmp_path, subtests):
    notebook, figures = run_all(lab, "01_quickstart.ipynb")
    check(notebook, figures)
    assert len(figures) == FIGURES["01"]
    assert [figure["title"].split(",")[0] for figure in figures] == [
        "Equity", "Drawdown", "P&L by cause", "From start to end by cause", "Risk", "Risk",
    ]  # fmt: skip
    # what the notebook prints of the balances
    shown = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())]
    reported = next(text for text in shown if "change of equity" in text)
    columns, balance = (float(text.replace(",", "")) for text in re.findall(r"-?[\d,]+\.\d+", reported))
    assert columns == pytest.approx(balance, abs=1e-4)

    equity, drawdown, area, waterfall, risk, lean = figures
    for figure in (equity, drawdown, area, risk, lean):
        # lines go through fewer rows than the run has, so that they stay fluid, and all that is there is drawn
        lines = [trace for trace in figure["traces"] if trace["type"] == "scatter" and trace["rows"] > 500]
        assert lines
        assert all(trace["rows"] <= 3_000 for trace in lines)
        assert figure["lines"] >= len({trace["key"] for trace in lines})
    # the legend names what is drawn
    for figure in (area, risk):
        assert len(figure["legend"]) >= 3
        assert set(figure["legend"]) <= set(figure["named"])
    assert {"funding", "fees", "slippage", "P&L"} <= set(area["legend"])
    assert {"binance", "bybit", "okx"} <= set(risk["legend"])
    assert "critical alert" in " ".join(lean["legend"])

    # the steps lead from the first equity to the last, and what they sum to is the balance
    first, *steps, last = waterfall["bars"]
    assert (first["key"], last["key"]) == ("initial_equity", "equity")
    assert waterfall["points"] == len(waterfall["bars"])
    assert sum(step["y"] for step in steps) == pytest.approx(balance, abs=1e-4)
    assert last["y"] - first["y"] == pytest.approx(balance, abs=1e-4)
    labels = [number(text) for text in waterfall["labels"]]
    assert labels[-1] - labels[0] == pytest.approx(balance, abs=1.0)
    assert sum(labels[1:-1]) == pytest.approx(balance, abs=60.0)  # a label of thousands has three digits
    with subtests.test("its exported page"):
        check_export(notebook, lab, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_a_notebook_in_jupyterlab(path, lab, tmp_path, subtests):
    notebook, figures = run_all(lab, path.name)
    check(notebook, figures)
    assert len(figures) >= FIGURES[path.stem[:2]]
    with subtests.test("its exported page"):
        check_export(notebook, lab, tmp_path)


if not find_chromium():

    @pytest.mark.slow
    @pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
    def test_a_notebook_without_a_browser(path, tmp_path, monkeypatch):
        notebook = nbformat.read(path, as_version=4)
        execute([notebook], path.parent, tmp_path, monkeypatch)
        assert len(check_outputs(notebook)) >= FIGURES[path.stem[:2]]
