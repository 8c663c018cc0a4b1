"""Notebooks: each runs from top to bottom, stands in step with its script, and is kept without its outputs."""

import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_every_script_has_its_notebook():
    assert SCRIPTS
    assert [path.stem for path in SCRIPTS] == [path.stem for path in NOTEBOOKS]


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
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    # the data set is the checkout's sample, whatever the environment names
    for name in ("BASIS_DATA_DIR", "BASIS_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook, began = jupytext.read(path), time.perf_counter()
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    print(f"{path.stem}: {time.perf_counter() - began:.1f} s")
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output for output in shown if output.output_type == "error"] == []
    assert [output for output in shown if output.get("name") == "stderr"] == []
    drawn = [output.data for output in shown if "data" in output]
    figures = [data["application/vnd.plotly.v1+json"] for data in drawn if "application/vnd.plotly.v1+json" in data]
    assert len(figures) >= 4
    assert all(figure["data"] for figure in figures)
