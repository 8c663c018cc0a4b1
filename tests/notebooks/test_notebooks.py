"""Notebooks: each runs from top to bottom, stands in step with its script, and is kept without its outputs."""

import re
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from headless import open_page
from nbclient import NotebookClient
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PLOTLY = "application/vnd.plotly.v1+json"
#: Figures that a notebook has at the least.
FIGURES = {"01": 6, "02": 5, "03": 7, "04": 8, "05": 7, "06": 3}
#: Leaves in the title of an exported page how many shapes each of its figures has drawn.
COUNT = """<script>window.addEventListener("load", () => {
  const drawn = (place) => place.querySelectorAll(".main-svg path.js-line, .main-svg .point, .main-svg .hm image").length
    + place.querySelectorAll(".table .column-block").length;
  document.title = [...document.querySelectorAll(".js-plotly-plot")].map(drawn).join(" ");
});</script>"""


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_every_script_has_its_notebook():
    assert SCRIPTS
    assert [path.stem for path in SCRIPTS] == [path.stem for path in NOTEBOOKS]
    assert [path.stem[:2] for path in SCRIPTS] == sorted(FIGURES)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_pair_is_in_step(path):
    script, notebook = jupytext.read(path), nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    assert cells(script) == cells(notebook), f"run: jupytext --sync {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [], "run: make notebooks"
            assert cell.execution_count is None


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_data_set_is_one_variable(path):
    source = "\n".join(cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code")
    assert len(re.findall(r"^DATA = None", source, re.MULTILINE)) == 1
    calls = source.count("backtest(") - source.count("def backtest(")
    assert source.count("data=DATA") == calls > 0


def executed(path, tmp_path, monkeypatch):
    """The notebook with what its cells gave, from a fresh kernel; the data set is what a checkout has."""
    for name in ("BASIS_DATA_DIR", "BASIS_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook, began = jupytext.read(path), time.perf_counter()
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    print(f"{path.stem}: {time.perf_counter() - began:.1f} s")
    return notebook


def check_outputs(notebook):
    """No error, nothing on stderr, no warning; returns the figures, of which none is empty."""
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output for output in shown if output.output_type == "error"] == []
    assert [output for output in shown if output.get("name") == "stderr"] == []
    assert not [output for output in shown if "Warning" in output.get("text", "")]
    figures = [output.data[PLOTLY] for output in shown if PLOTLY in output.get("data", {})]
    for figure in figures:
        assert figure["data"]
        assert all(any(key in trace for key in ("x", "y", "z", "cells")) for trace in figure["data"])
        assert figure["layout"]["title"]["text"]
    return figures


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch, subtests):
    notebook = executed(path, tmp_path, monkeypatch)
    figures = check_outputs(notebook)
    assert len(figures) >= FIGURES[path.stem[:2]]
    with subtests.test("its exported page shows the figures without a network"):
        text, _ = HTMLExporter(template_name="lab").from_notebook_node(notebook)
        page = tmp_path / "page.html"
        page.write_text(text.replace("</body>", f"{COUNT}</body>"), encoding="utf-8")
        drawn = [int(count) for count in open_page(page, tmp_path / "profile").title.split()]
        assert len(drawn) == len(figures)
        assert min(drawn) > 0


@pytest.mark.slow
def test_a_notebook_runs_on_another_data_set(real_data, tmp_path, monkeypatch):
    """The variable reaches every run: what the sample has at other dates, or not at all, breaks no cell."""
    for path in SCRIPTS:
        notebook = jupytext.read(path)
        for cell in notebook.cells:
            cell.source = cell.source.replace("DATA = None", f"DATA = {str(real_data)!r}")
        client = NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()
        assert len(check_outputs(notebook)) >= FIGURES[path.stem[:2]], path.stem
