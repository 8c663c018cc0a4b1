"""Notebooks: each stands in step with its script, is kept without its outputs, and runs on another data set.

On the sample each runs in JupyterLab (`test_jupyterlab`).
"""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from basis.errors import InputError
from basis.plots.notebook import show_figures

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PLOTLY = "application/vnd.plotly.v1+json"
#: Figures that a notebook has at the least.
FIGURES = {"01": 6, "02": 5, "03": 7, "04": 8, "05": 7, "06": 3}


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


def execute(notebooks, folder, home, monkeypatch):
    """Run the cells of notebooks in one kernel that starts in `folder`, emptied before each; keeps what they give.

    JupyterLab runs each of them in a fresh kernel.
    """
    for name in ("BASIS_DATA_DIR", "BASIS_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(home / "ipython"))
    client = NotebookClient(notebooks[0], timeout=600, kernel_name="python3")
    with client.setup_kernel(cwd=str(folder)):
        for notebook in notebooks:
            client.nb = notebook
            client.execute_cell(nbformat.v4.new_code_cell("%reset -f"), 0)
            for at, cell in enumerate(notebook.cells):
                client.execute_cell(cell, at)


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


def test_figures_are_shown_in_notebooks_only():
    from plotly import io

    before = io.renderers.default
    with pytest.raises(InputError, match=r"works only in a notebook.*figure\.show\(\)"):
        show_figures()
    assert io.renderers.default == before


@pytest.mark.slow
def test_notebooks_run_on_another_data_set(real_data, tmp_path, monkeypatch):
    """The variable reaches every run: what the sample has at other dates, or not at all, breaks no cell."""
    notebooks = [jupytext.read(path) for path in SCRIPTS]
    for notebook in notebooks:
        for cell in notebook.cells:
            cell.source = cell.source.replace("DATA = None", f"DATA = {str(real_data)!r}")
    execute(notebooks, tmp_path, tmp_path, monkeypatch)
    for path, notebook in zip(SCRIPTS, notebooks, strict=True):
        assert len(check_outputs(notebook)) >= FIGURES[path.stem[:2]], path.stem
