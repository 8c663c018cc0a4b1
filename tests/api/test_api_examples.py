"""The examples in docstrings run on the sample and give what they show."""

import doctest
import importlib
import inspect

import pytest

import basis

#: Modules whose docstrings have examples.
MODULES = ("api", "strategies.compiled", "config.loader", "config.modes", "results.comparison", "results.result")


def examples():
    for name in MODULES:
        module = importlib.import_module(f"basis.{name}")
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs={"basis": basis}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_an_example_gives_what_it_shows(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_the_one_line_functions_have_examples():
    with_examples = {test.values[0].name.rpartition(".")[2] for test in examples()}
    assert {"backtest", "open_run", "compare", "list_modes", "load_config"} <= with_examples
    for name in basis.__all__:
        if not name.startswith("__"):
            assert inspect.getdoc(getattr(basis, name)), name
