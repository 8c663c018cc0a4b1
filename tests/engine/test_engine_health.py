"""Health: what makes a component degraded or unhealthy, and errors that name who failed and where."""

import asyncio
import gc
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

import basis
from basis import EventDrivenStrategyEngine, unified_health_manager
from basis.components import run_state
from basis.config import load_config
from basis.engine.event_driven import COMPONENTS
from basis.engine.health import HealthManager
from basis.errors import EngineError, ExecutionError, RunStoppedWarning
from basis.execution.simulation import ExchangeSimulation
from basis.market import DataProvider
from basis.market.panel import Stop
from basis.market.provider import PanelProvider
from support import scenarios
from support.kernel_stages import with_unearned_basis
from support.kernel_view import asked_in_every_row
from support.runs import engine_of, settings
from support.small_markets import market, pool, steady, walk
from support.strategies import do_nothing

DRIVERS = ("kernel", "event")


def new_engine(panel=None, overrides=None, mode="btc_basis", **more):
    panel = market(walk(30, 1)) if panel is None else panel
    return EventDrivenStrategyEngine(settings(mode, overrides), "backtest", panel, 100_000.0, "USDT", **more)


def run(engine, **more):
    return asyncio.run(engine.run_backtest(**more))


def health_of(engine):
    return asyncio.run(engine.get_status())["health"]


def not_healthy(engine):
    """(status, message) of every component that is not healthy."""
    parts = health_of(engine)["components"]
    return {name: (part["status"], part["message"]) for name, part in parts.items() if part["status"] != "healthy"}


# --- stale data ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_hole_in_the_data_makes_the_provider_unhealthy(driver):
    panel = market(walk(40))
    holed = replace(panel, stop=Stop(25, "perp/okx_btcusdt", int(panel.timestamps[25]), 4 * 3600.0))
    engine = new_engine(holed)
    with pytest.warns(RunStoppedWarning):
        result = run(engine, driver=driver)
    assert result.status == "stopped"
    health = health_of(engine)
    assert health["overall_status"] == "unhealthy"
    assert health["summary"]["unhealthy"] == 1
    found = not_healthy(engine)
    assert list(found) == ["data_provider"]
    for part in ("perp/okx_btcusdt", "4.00 h", "2024-05-30T01:00:00Z"):
        assert part in found["data_provider"][1]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_hole_in_a_data_folder_makes_the_provider_unhealthy(driver, sample_data):
    """An exchange that keeps no candles for longer than they may be carried, and no other source."""
    config = load_config(
        "btc_basis",
        {"data.sources.spot/btcusdt": ["binance"], "data.max_staleness": "1h"},
        environ={},
    )
    engine = EventDrivenStrategyEngine(config, "backtest", DataProvider(sample_data, config), 100_000.0, "USDT")
    with pytest.warns(RunStoppedWarning, match="data hole"):
        run(engine, start_date="2024-05-13", end_date="2024-05-16", driver=driver)
    status, message = not_healthy(engine)["data_provider"]
    assert status == "unhealthy"
    assert "spot" in message


def test_a_hole_further_on_is_no_fault_yet():
    panel = market(walk(40))
    holed = replace(panel, stop=Stop(25, "perp/okx_btcusdt", int(panel.timestamps[25]), 4 * 3600.0))
    engine = new_engine(holed)
    run(engine, end_date="2024-05-29T20:00")
    assert not_healthy(engine) == {}


def test_a_series_that_is_carried_for_long_is_degraded():
    panel = market(walk(30))
    ages = np.zeros(30)
    ages[-1] = 1.6 * 3600.0
    aged = replace(panel, ages={"mark|okx:Perp:BTCUSDT": ages, "spot|BTC": 0.5 * ages})
    engine = new_engine(aged)
    run(engine)
    found = not_healthy(engine)
    assert found == {"data_provider": ("degraded", "mark|okx:Perp:BTCUSDT is 1.60 h old")}
    assert health_of(engine)["overall_status"] == "degraded"


# --- a sum that does not close ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_broken_identity_makes_the_pnl_calculator_unhealthy(driver, monkeypatch):
    original = run_state.make_inputs

    def broken(config, slots, *rest):
        return with_unearned_basis(original(config, slots, *rest), slots, 7, 1.0)

    monkeypatch.setattr(run_state, "make_inputs", broken)
    engine = new_engine(market(steady(20)))
    with pytest.warns(RunStoppedWarning, match="identity broken in row 7"):
        result = run(engine, driver=driver)
    assert (result.status, len(result.equity)) == ("stopped", 8)
    status, message = not_healthy(engine)["pnl_calculator"]
    assert status == "unhealthy"
    assert "identity broken" in message
    off = result.equity.residual.iloc[-1]
    assert repr(float(off)) in message
    assert abs(off) > 0.1


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_drivers_break_alike(driver, monkeypatch):
    """Where the identity breaks, the same row is the last, with the same bits."""
    original = run_state.make_inputs

    def broken(config, slots, *rest):
        return with_unearned_basis(original(config, slots, *rest), slots, 7, 1.0)

    monkeypatch.setattr(run_state, "make_inputs", broken)
    made = scenarios.SCENARIOS["entry"]()
    assert made.status == "stopped"
    recording = asyncio.run(engine_of(made).record(driver=driver))
    assert recording.cause == made.cause
    assert recording.record.tobytes() == made.record.tobytes()
    assert recording.events.tobytes() == made.raw_events.tobytes()


@pytest.mark.parametrize("driver", DRIVERS)
def test_insolvency_is_degraded(driver):
    panel = market(np.concatenate((steady(10), steady(10, 130_000.0))))
    start = {"binance:BaseToken:USDT": 30_000.0, "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0}
    engine = new_engine(
        panel, {"risk.simulate_liquidation": False, "costs.enabled": False, "risk.limits": {}},
        strategy=do_nothing, positions=start,
    )  # fmt: skip
    with pytest.warns(RunStoppedWarning, match="insolvent in row 10"):
        run(engine, driver=driver)
    assert not_healthy(engine)["pnl_calculator"][0] == "degraded"


# --- components that raise -------------------------------------------------------------------------------------------

#: Component → a method of it that every run comes to.
METHODS = {
    "position_monitor": "update_position",
    "event_logger": "log",
    "exposure_monitor": "calculate_exposure",
    "risk_monitor": "needs_attention",
    "pnl_calculator": "close_row",
    "strategy_manager": "make_decision",
    "position_update_handler": "handle_position_update",
    "cex_execution_manager": "execute_action",
    "onchain_execution_manager": "execute_action",
}


def failing(kind, method, row):
    """A subclass whose method raises in a row."""

    def raises(self, *given, **named):
        book = self.wiring.run.state if hasattr(self, "wiring") else self.run.state
        if book.row >= row:
            raise ZeroDivisionError("there is nothing to divide by")
        return getattr(kind, method)(self, *given, **named)

    return type("Failing", (kind,), {method: raises})


def check_failure(engine, name, driver, rows):
    with pytest.raises(EngineError) as caught:
        run(engine, driver=driver)
    message = str(caught.value)
    row = engine.run.state.row
    assert row in rows
    stamp = np.datetime_as_string(np.datetime64(engine.run.state.timestamp, "ns"), unit="s")
    assert message == f"{name} failed in row {row} ({stamp}Z): there is nothing to divide by"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    health = health_of(engine)
    assert health["overall_status"] == "unhealthy"
    assert health["components"][name] == {
        "status": "unhealthy",
        "message": "ZeroDivisionError: there is nothing to divide by",
    }
    assert [n for n, part in health["components"].items() if part["status"] == "unhealthy"] == [name]
    # health is asked again and again
    again = health_of(engine)
    assert again["components"] == health["components"]


@pytest.mark.parametrize("name", METHODS)
def test_a_component_that_raises_is_named_with_its_row(name):
    """And is unhealthy from then on, it alone."""
    lends = name == "onchain_execution_manager"
    panel = pool(30) if lends else market(walk(30, 1, 0.02))
    own = failing(COMPONENTS[name], METHODS[name], 0 if lends else 2)
    engine = new_engine(panel, mode="pure_lending" if lends else "btc_basis", components={name: own})
    check_failure(engine, name, "event", range(30))


@pytest.mark.parametrize("name", ["strategy_manager", "cex_execution_manager"])
def test_the_compiled_loop_names_who_fails_as_well(name):
    own = failing(COMPONENTS[name], METHODS[name], 2)
    engine = new_engine(market(walk(30, 1, 0.02)), components={name: own})
    check_failure(engine, name, "kernel", range(2, 30))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_client_that_raises_is_named_by_its_venue(driver):
    class Failing(ExchangeSimulation):
        async def execute(self, order):
            raise ZeroDivisionError("there is nothing to divide by")

    engine = new_engine(market(walk(30, 1)), interfaces={"bybit": Failing})
    check_failure(engine, "bybit", driver, range(30))


def test_a_provider_that_raises_is_named(sample_data):
    class Failing(DataProvider):
        async def get_market_data(self, timestamp):
            raise ZeroDivisionError("there is nothing to divide by")

    config = load_config("btc_basis", {"start": "2024-02-01", "end": "2024-02-02"}, environ={})
    engine = EventDrivenStrategyEngine(config, "backtest", Failing(sample_data, config), 100_000.0, "USDT")
    check_failure(engine, "data_provider", "event", [0])


def test_a_check_that_raises_is_unhealthy():
    class Silent(COMPONENTS["risk_monitor"]):
        def check_health(self):
            raise ZeroDivisionError("not even that")

    engine = new_engine(components={"risk_monitor": Silent})
    run(engine, driver="event")
    assert not_healthy(engine) == {"risk_monitor": ("unhealthy", "ZeroDivisionError: not even that")}


def test_a_component_may_say_that_it_is_not_well():
    class Tired(ExchangeSimulation):
        def check_health(self):
            return "degraded", "slow"

    engine = new_engine(interfaces={"okx": Tired})
    assert not_healthy(engine) == {"okx": ("degraded", "slow")}
    assert health_of(engine)["overall_status"] == "degraded"


# --- what a venue may answer -----------------------------------------------------------------------------------------


def answering(**changes):
    """An exchange and a wallet whose fills have other numbers."""

    class Answers(ExchangeSimulation):
        async def execute(self, order):
            fill = await super().execute(order)
            return fill and fill.replace(**{name: of(fill) for name, of in changes.items()})

    return Answers


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("venue", "changes"),
    [
        ("binance", {"price": lambda fill: np.nan}),
        ("binance", {"fee_rate": lambda fill: np.inf}),
        ("bybit", {"quantity": lambda fill: np.nan}),
        ("wallet", {"wait_s": lambda fill: np.nan}),
        ("wallet", {"quantity": lambda fill: 10.0 * fill.quantity}),
        ("binance", {"price": lambda fill: 100.0 * fill.price}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_fill_that_cannot_be_stops_the_run(venue, changes, driver):
    engine = new_engine(market(walk(30, 1)), interfaces={venue: answering(**changes)})
    with pytest.raises(EngineError, match=rf"position_monitor failed in row \d+ .*{venue} filled") as caught:
        run(engine, driver=driver)
    assert isinstance(caught.value.__cause__, ExecutionError)


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_slow_client_sends_arrives_or_is_refused(driver):
    """There is room for so many transfers at a time, which a client of one's own may not look at."""

    class Slow(ExchangeSimulation):
        async def execute(self, order):
            fill = await super().execute(order)
            return fill and fill.replace(wait_s=20 * 3600.0)

    class Sends(basis.StrategyManager):
        @classmethod
        def definition(cls, strategy):
            return asked_in_every_row(strategy)

        def make_decision(self, timestamp=None, market_data=None):
            return [basis.Action("exit_partial", "USDT", 100.0)]

    start = {f"{v}:BaseToken:USDT": 50_000.0 for v in ("binance", "bybit", "okx")}
    engine = new_engine(
        market(steady(60)), {"transfers.instant": True, "risk.limits": {}}, positions=start,
        interfaces=dict.fromkeys(("binance", "bybit", "okx"), Slow), components={"strategy_manager": Sends},
    )  # fmt: skip
    events = run(engine, driver=driver).events
    sent, arrived = (events[events.kind == kind] for kind in ("transfer", "arrival"))
    due = sent[sent.effective_at <= events.timestamp.iloc[-1]]
    assert len(arrived) == len(due)
    assert arrived.amount.sum() == pytest.approx(due.amount.sum())


# --- all engines -----------------------------------------------------------------------------------------------------


def test_the_unified_view_sees_every_engine_and_the_worst_of_them():
    sound = new_engine()
    failed = new_engine(components={"risk_monitor": failing(COMPONENTS["risk_monitor"], "needs_attention", 3)})
    health = unified_health_manager.check_detailed_health()
    assert {sound.name, failed.name} <= set(health["engines"])
    assert health["engines"][sound.name]["overall_status"] == "healthy"
    run(sound)
    with pytest.raises(EngineError):
        run(failed, driver="event")
    health = unified_health_manager.check_detailed_health()
    assert list(health) == ["overall_status", "timestamp", "summary", "engines"]
    assert health["overall_status"] == "unhealthy"
    assert health["summary"]["unhealthy"] >= 1
    assert sum(health["summary"].values()) == len(health["engines"])
    assert health["engines"][sound.name]["overall_status"] == "healthy"
    assert health["engines"][failed.name]["components"]["risk_monitor"]["status"] == "unhealthy"
    assert datetime.fromisoformat(health["timestamp"]).tzinfo is not None
    name = failed.name
    del failed
    # the error that was raised holds its frames in a circle
    gc.collect()
    assert name not in unified_health_manager.check_detailed_health()["engines"]


def test_a_health_manager_by_hand():
    manager = HealthManager()
    assert manager.check_detailed_health()["overall_status"] == "healthy"
    manager.register_component("one", lambda: ("healthy", "fine"))
    manager.register_component("two", lambda: ("degraded", "slow"))
    health = manager.check_detailed_health()
    assert health["overall_status"] == "degraded"
    assert health["summary"] == {"healthy": 1, "degraded": 1, "unhealthy": 0}
    manager.report_failure("three", RuntimeError("gone"))
    health = manager.check_detailed_health()
    assert health["components"]["three"] == {"status": "unhealthy", "message": "RuntimeError: gone"}
    assert health["overall_status"] == "unhealthy"


def test_a_panel_in_the_place_of_a_provider_is_known_as_one():
    engine = new_engine()
    assert isinstance(engine.data_provider, PanelProvider)
    assert health_of(engine)["components"]["data_provider"] == {"status": "healthy", "message": "no run yet"}
