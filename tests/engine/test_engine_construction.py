"""What an engine is made of: arguments that rule, messages for those that cannot be, classes of one's own."""

import math

import numpy as np
import pytest

import basis
from basis import EventDrivenStrategyEngine
from basis.config import load_config
from basis.engine.event_driven import COMPONENTS, EventDriver
from basis.errors import BasisError, EngineError, InputError
from basis.execution.simulation import ExchangeSimulation
from basis.market import DataProvider
from support.runs import settings
from support.small_markets import market, steady


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """The environment has no say."""
    monkeypatch.delenv("BASIS_EXECUTION_MODE", raising=False)


def engine(config=None, mode="backtest", data=None, capital=100_000.0, share_class="USDT", **more):
    return EventDriver(
        settings() if config is None else config,
        mode,
        market(steady(3)) if data is None else data,
        capital,
        share_class,
        **more,
    )


# --- capital and share class -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capital", "shown"), [(0, "0"), (0.0, "0.0"), (-1, "-1"), (-0.5, "-0.5"), (math.nan, "nan"), (-math.inf, "-inf")]
)
def test_a_capital_that_is_not_above_0_is_reported_in_the_words_users_know(capital, shown):
    with pytest.raises(ValueError) as caught:
        engine(capital=capital)
    assert str(caught.value) == f"Invalid initial_capital: {shown}. Must be > 0."


@pytest.mark.parametrize("capital", [None, "100000", True, [1.0], math.inf])
def test_a_capital_that_is_no_number_is_refused(capital):
    with pytest.raises(ValueError, match="initial_capital"):
        engine("btc_basis", capital=capital)


@pytest.mark.parametrize("share_class", ["EUR", "usdt", "", None, "BTC"])
def test_a_share_class_there_is_not_is_reported_in_the_words_users_know(share_class):
    with pytest.raises(ValueError) as caught:
        engine(share_class=share_class)
    assert str(caught.value) == f"Invalid share_class: {share_class}. Must be 'USDT' or 'ETH'."


@pytest.mark.parametrize("make", [EventDriver, EventDrivenStrategyEngine])
def test_the_public_engine_says_the_same(make):
    with pytest.raises(ValueError, match=r"^Invalid initial_capital: 0\. Must be > 0\.$"):
        make(config="btc_basis", execution_mode="backtest", data_provider=None, initial_capital=0, share_class="USDT")
    with pytest.raises(InputError, match="missing a required argument: 'initial_capital'"):
        make("btc_basis", "backtest", None)


@pytest.mark.parametrize("held", [settings("btc_basis", {"initial_capital": 5_000}), {"initial_capital": 5_000.0}])
def test_a_configuration_with_another_capital_is_refused_naming_both(held):
    held = held if not isinstance(held, dict) else {"mode": "btc_basis", **held}
    with pytest.raises(InputError) as caught:
        engine(held)
    for part in ("initial_capital", "100000.0", "5000"):
        assert part in str(caught.value)


def test_a_configuration_with_another_share_class_is_refused_naming_both():
    for held in (settings(), {"mode": "btc_basis", "share_class": "USDT"}):
        with pytest.raises(InputError) as caught:
            engine(held, capital=30.0 if isinstance(held, dict) else 100_000.0, share_class="ETH")
        for part in ("share_class", "'ETH'", "'USDT'"):
            assert part in str(caught.value)


def test_a_file_with_another_capital_is_refused_as_well(tmp_path):
    file = tmp_path / "btc_basis.yaml"
    file.write_text(settings("btc_basis", {"initial_capital": 5_000}).to_yaml(), encoding="utf-8")
    assert load_config(file, environ={}).initial_capital == 5_000.0
    with pytest.raises(InputError, match=r"initial_capital.*100000.*5000"):
        engine(file)


@pytest.mark.parametrize("config", ["btc_basis", {"mode": "btc_basis"}, {"mode": "btc_basis", "initial_capital": 7e3}])
def test_the_arguments_rule_where_the_configuration_says_nothing(config):
    made = engine(config, capital=7_000)
    assert made.config.initial_capital == 7_000.0
    assert isinstance(made.config.initial_capital, float)


@pytest.mark.parametrize("capital", [100_000, 1e5, np.float64(1e5), np.int64(100_000), np.float32(1e5)])
def test_a_capital_may_be_any_number(capital):
    assert engine(capital=capital).config.initial_capital == 1e5


# --- execution mode --------------------------------------------------------------------------------------------------


def test_live_says_that_it_is_not_there_yet():
    with pytest.raises(InputError, match=r"'live'.*not available"):
        engine(mode="live")


@pytest.mark.parametrize("mode", ["paper", "", None, "BACKTEST"])
def test_a_mode_there_is_not_names_those_there_are(mode):
    with pytest.raises(InputError, match=rf"Invalid execution_mode: {mode}\. Must be 'backtest' or 'live'\."):
        engine(mode=mode)


def test_the_environment_has_to_agree_with_the_argument(monkeypatch):
    monkeypatch.setenv("BASIS_EXECUTION_MODE", "live")
    with pytest.raises(InputError) as caught:
        engine(mode="backtest")
    for part in ("execution_mode", "'backtest'", "BASIS_EXECUTION_MODE", "'live'"):
        assert part in str(caught.value)
    monkeypatch.setenv("BASIS_EXECUTION_MODE", "backtest")
    assert engine().execution_mode == "backtest"


def test_the_environment_has_its_say_in_either_driver(monkeypatch):
    monkeypatch.setenv("BASIS_EXECUTION_MODE", "live")
    for driver in ("event", "kernel"):
        with pytest.raises(InputError, match="BASIS_EXECUTION_MODE"):
            basis.backtest(settings(), market(steady(3)), driver=driver)


def test_the_kind_of_backtest_needs_no_environment(monkeypatch):
    monkeypatch.setenv("BASIS_ENVIRONMENT", "production")
    made = engine()
    assert {type(client).__name__ for client in made.interfaces.values()} == {
        "ExchangeSimulation", "WalletSimulation",
    }  # fmt: skip


# --- data and components ---------------------------------------------------------------------------------------------


def test_a_provider_of_another_configuration_is_refused(sample_data):
    other = DataProvider(sample_data, settings("pure_lending"))
    with pytest.raises(InputError, match=r"data_provider.*another configuration.*DataProvider"):
        engine(data=other)
    changed = DataProvider(sample_data, settings("btc_basis", {"data.max_staleness.price": "6h"}))
    with pytest.raises(InputError, match="another configuration"):
        engine(data=changed)


def test_a_provider_that_is_none_is_refused():
    with pytest.raises(BasisError, match="data_provider"):
        EventDriver(settings(), "backtest", None, 100_000.0, "USDT")


def test_everybody_shares_one_configuration_one_provider_and_one_book(sample_data):
    config = settings()
    provider = DataProvider(sample_data, config)
    made = engine(config, data=provider)
    for name in COMPONENTS:
        component = getattr(made, name)
        assert type(component) is COMPONENTS[name]
        if name == "position_update_handler":
            continue
        assert component.config is config
        assert component.data_provider is provider
        assert component.run is made.run
    for client in made.interfaces.values():
        assert client.config is config
        assert client.data_provider is provider
        assert client.position_monitor is made.position_monitor
        assert client.event_logger is made.event_logger
    assert list(made.interfaces) == list(config.venues)


def test_components_are_made_once_and_in_order(sample_data):
    order = []

    def watched(name, kind):
        def __init__(self, *given):
            order.append(name)
            kind.__init__(self, *given)

        return type(kind.__name__, (kind,), {"__init__": __init__})

    engine(components={name: watched(name, kind) for name, kind in reversed(COMPONENTS.items())})
    assert order == list(COMPONENTS)


@pytest.mark.parametrize(
    ("components", "words"),
    [
        ({"risk": COMPONENTS["risk_monitor"]}, ["'risk'", "risk_monitor", "position_monitor"]),
        ({"data_provider": DataProvider}, ["'data_provider'", "position_monitor"]),
        ({"risk_monitor": COMPONENTS["pnl_calculator"]}, ["risk_monitor", "PnLCalculator", "subclass of RiskMonitor"]),
        ({"risk_monitor": "RiskMonitor"}, ["risk_monitor", "'RiskMonitor'", "subclass of RiskMonitor"]),
        ({"strategy_manager": lambda *given: None}, ["strategy_manager", "subclass of StrategyManager"]),
    ],
)
def test_a_component_that_cannot_be_is_named(components, words):
    with pytest.raises(InputError) as caught:
        engine(components=components)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_that_cannot_be_made_is_named_and_the_cause_chained(name):
    def __init__(self, *given):
        raise ZeroDivisionError("nothing to divide by")

    broken = type("Broken", (COMPONENTS[name],), {"__init__": __init__})
    with pytest.raises(EngineError, match=rf"{name} .*nothing to divide by") as caught:
        engine(components={name: broken})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_strategy_whose_definition_raises_is_named():
    class Undefined(basis.StrategyManager):
        @classmethod
        def definition(cls, strategy):
            raise ZeroDivisionError("nothing to divide by")

    with pytest.raises(EngineError, match=r"strategy_manager.*nothing to divide by"):
        engine(components={"strategy_manager": Undefined})


def test_a_venue_there_is_not_names_those_there_are():
    with pytest.raises(InputError, match=r"'kraken'.*binance.*bybit.*okx"):
        engine(interfaces={"kraken": ExchangeSimulation})
    with pytest.raises(InputError, match="'aave_v3'"):
        basis.backtest(settings(), market(steady(3)), interfaces={"aave_v3": ExchangeSimulation})


def test_a_client_that_is_no_client_is_named():
    for wrong in (dict, lambda venue, config: None, "ExchangeSimulation"):
        with pytest.raises(BasisError, match="okx"):
            engine(interfaces={"okx": wrong})


def test_a_driver_there_is_not_is_named():
    with pytest.raises(InputError, match=r"'fast'.*'kernel'.*'event'"):
        basis.backtest(settings(), market(steady(3)), driver="fast")
