"""Wrong inputs of every kind at the public functions: each is an `InputError` that says what to give."""

import pandas as pd
import pytest

import basis
from basis import errors
from basis.errors import InputError

WINDOW = {"start": "2024-02-01", "end": "2024-02-02"}
#: Arguments of `backtest` that are wrong → what the error says.
BACKTEST = {
    "no configuration": ({}, "missing a required argument: 'config'"),
    "none": ({"config": None}, "Invalid configuration: None. Must be a mode name"),
    "a number": ({"config": 5}, "Must be a mode name, a path, a mapping or a Config"),
    "a list": ({"config": ["btc_basis"]}, "Must be a mode name, a path, a mapping or a Config"),
    "a constructor": ({"config": basis.BtcBasis}, "Must be a mode name, a path, a mapping or a Config"),
    "a mode in a list": ({"config": {"mode": ["btc_basis"]}}, "Did you mean btc_basis?"),
    "data 5": ({"data": 5}, "data is 5. Give its path"),
    "data frame": ({"data": pd.DataFrame({"a": range(99)})}, "Give its path as text"),
    "no data": ({"data": "nowhere"}, "Data folder nowhere does not exist"),
    "start": ({"start": "first of june"}, "Invalid start: first of june. Must be a date"),
    "start 5": ({"start": 20240101}, "Invalid start: 20240101. Must be a date"),
    "end": ({"end": "2023-01-01"}, "Must not be before start"),
    "overrides": ({"overrides": ["a=1"]}, 'give a mapping, such as {"strategy.margin_ratio_target": 0.8}'),
    "overrides text": ({"overrides": "a=1"}, "overrides is 'a=1'; give a mapping"),
    "key 5": ({"overrides": {5: 1}}, "Invalid override key: 5"),
    "driver": ({"driver": []}, "use 'kernel' or 'event'"),
    "positions": ({"positions": ["BTC"]}, 'give a mapping, such as {"binance:BaseToken:USDT"'),
    "positions frame": ({"positions": pd.DataFrame({"a": range(99)})}, "positions is "),
    "position": ({"positions": {"binance:BaseToken:USDT": "many"}}, "it must be finite"),
    "components": ({"components": ["risk_monitor"]}, "components is ['risk_monitor']; give a mapping"),
    "component": ({"components": {"risk_monitor": 5}}, "must be a subclass of RiskMonitor"),
    "interfaces": ({"interfaces": ["bybit"]}, "interfaces is ['bybit']; give a mapping"),
    "interface": ({"interfaces": {"bybit": dict}}, "must be a subclass of VenueInterface"),
    "event log": ({"event_log": 5}, "event_log is 5. Give its path"),
    "progress": ({"progress": True}, "give a function of (rows done, rows)"),
    "out": ({"out": True}, "The run folder is True. Give its path"),
    "out empty": ({"out": ""}, "The run folder is ''"),
    "force": ({"out": "run", "force": "no"}, "force is 'no'; give True"),
    "strategy": ({"strategy": lambda view, act: None}, "give a function made one by basis.compiled"),
    "resume": ({"resume": "then"}, "give what Result.checkpoint has made"),
}


@pytest.mark.parametrize("name", BACKTEST)
def test_backtest_tells(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given, said = BACKTEST[name]
    config = {} if name == "no configuration" else {"config": "btc_basis"}
    with pytest.raises(InputError) as caught:
        basis.backtest(**{**config, **WINDOW, **given})
    assert said in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 400
    assert list(tmp_path.iterdir()) == []


CALLS = {
    "load_config": (lambda run: basis.load_config(), "missing a required argument: 'x'"),
    "load_config name": (lambda run: basis.load_config("btc_basis", overide={}), "Did you mean overrides?"),
    "replace": (lambda run: run.config.replace(), "missing a required argument: 'overrides'"),
    "replace 5": (lambda run: run.config.replace(5), "Must be a mapping of dotted keys"),
    "frozen": (lambda run: setattr(run.config, "fill", "next_bar"), "frozen. Use config.replace"),
    "frozen mapping": (lambda run: run.config.venues.update(a=1), "frozen. Use config.replace"),
    "open_run": (lambda run: basis.open_run(), "missing a required argument: 'path'"),
    "open_run none": (lambda run: basis.open_run(None), "The run folder is None. Give its path"),
    "open_run result": (lambda run: basis.open_run(run), "Give its path as text"),
    "compare": (lambda run: basis.compare(run, run, names=5), "give 2 different texts"),
    "compare names": (lambda run: basis.compare(run, run, names=[1, [2]]), "give 2 different texts"),
    "compare 5": (lambda run: basis.compare(run, 5), "Give a result, a run folder, or the id"),
    "provider": (lambda run: basis.DataProvider(), "DataProvider: missing a required argument"),
    "provider 5": (lambda run: basis.DataProvider(5, run.config), "data is 5. Give its path"),
    "provider mode": (lambda run: basis.DataProvider("data", "btc_basis"), "config is 'btc_basis'; give a Config"),
    "engine": (
        lambda run: basis.EventDrivenStrategyEngine(run.config),
        "missing a required argument: 'execution_mode'",
    ),
    "engine name": (
        lambda run: basis.EventDrivenStrategyEngine(run.config, "backtest", None, 1e5, "USDT", interface={}),
        "EventDrivenStrategyEngine has no argument interface. Did you mean interfaces?",
    ),
    "explain": (lambda run: run.explain(), "missing a required argument"),
    "explain name": (lambda run: run.explain(when="2024-02-02"), "Result.explain has no argument when"),
    "explain text": (lambda run: run.explain("yesterday"), "Not an instant: 'yesterday'"),
    "explain list": (lambda run: run.explain([1]), "Not an instant"),
    "table": (lambda run: run.table(5), "There is no table 5"),
    "polars": (lambda run: run.to_polars(None), "There is no table None"),
    "returns": (lambda run: run.returns(5), "freq=5 is not a pandas frequency"),
    "checkpoint": (lambda run: run.checkpoint("yesterday"), "Not an instant"),
    "stats": (lambda run: run.stats(format=True), "Did you mean formatted?"),
    "save": (lambda run: run.save(None), "The run folder is None"),
    "save nothing": (lambda run: run.save(), "missing a required argument: 'path'"),
    "report": (lambda run: run.report(5), "The report is 5. Give its path"),
    "plot events": (lambda run: run.plot.equity(events=5), "Unknown kind of event 5"),
    "plot kind": (lambda run: run.plot.attribution(kind=["area"]), "Unknown kind ['area']"),
    "plot name": (lambda run: run.plot.equity(color="red"), "Plots.equity has no argument color"),
    "plot rows": (lambda run: run.plot.equity(rows="all"), "is not a number of rows"),
}


@pytest.mark.parametrize("name", CALLS)
def test_public_calls_tell(name, lean, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, said = CALLS[name]
    with pytest.raises(InputError) as caught:
        call(lean)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_code_below_stays_what_it_is(lean):
    """Only a call that does not fit is reported as one."""

    def progress(done, rows):
        raise TypeError("of the user's own")

    with pytest.raises(TypeError, match="of the user's own"):
        basis.backtest("btc_basis", **WINDOW, progress=progress)


def test_what_can_go_wrong_is_public():
    """Whoever catches an error need not know the module that it comes from."""
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert {"InputError", "ConfigError", "DataError", "EngineError", "RunStoppedWarning"} <= set(kinds)
    for name, kind in kinds.items():
        assert getattr(basis, name) is kind
        assert name in basis.__all__
        assert name in dir(basis)
