"""The examples in docstrings run on the sample and give what they show."""

import doctest
import importlib
import inspect

import pytest

import basis
from basis.config.modes import constructors

#: Modules whose docstrings have examples.
MODULES = (
    "basis", "basis.api", "basis.config.loader", "basis.config.models", "basis.config.modes", "basis.engine.health",
    "basis.execution.simulation", "basis.market.provider", "basis.plots.accessor", "basis.reports.comparison",
    "basis.reports.result", "basis.strategies.compiled", "basis.strategies.manager",
)  # fmt: skip


def examples():
    for name in MODULES:
        module = importlib.import_module(name)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs={"basis": basis}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_an_example_gives_what_it_shows(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reported = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=reported.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(reported)


def test_the_one_line_functions_have_examples():
    with_examples = {test.values[0].name.rpartition(".")[2] for test in examples()}
    assert {"backtest", "open_run", "compare", "list_modes", "load_config"} <= with_examples


def test_help_of_every_public_name_has_an_example():
    for name in basis.__all__:
        # a comparison is what `compare` gives, and its example is there; errors are raised, not made
        raised = isinstance(getattr(basis, name), type) and issubclass(getattr(basis, name), Exception)
        if not name.startswith("__") and name != "Comparison" and not raised:
            assert ">>> " in inspect.getdoc(getattr(basis, name)), name


@pytest.mark.parametrize("name", constructors())
def test_the_example_of_a_constructor_gives_what_it_shows(name):
    document = inspect.getdoc(getattr(basis, name)).replace(">>> result = basis.backtest(config)", "")
    test = doctest.DocTestParser().get_doctest(document, {"basis": basis}, name, None, None)
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_help_of_every_figure_says_what_it_shows():
    from basis.plots.accessor import ComparisonPlots, Plots

    for kind in (Plots, ComparisonPlots):
        for name, figure in vars(kind).items():
            if not name.startswith("_"):
                assert len(inspect.getdoc(figure)) > 30, name
