"""The event log: written while a run goes on, the same as the table, and joined from decision to arrival."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import scenarios
import told
from made_markets import engine_of, market, settings, walk

import basis
from basis import EventDrivenStrategyEngine
from basis.components import event_logger
from basis.components.event_logger import Event
from basis.components.event_records import EVENT_COLUMNS
from basis.errors import BasisError, EngineError, RunStoppedWarning
from basis.execution.managers import CEXExecutionManager
from basis.kernel import layout as at
from basis.kernel.numba.jit import strategy as compiled_strategy
from basis.market.panel import Stop
from basis.reports import Result
from basis.strategies.base import Strategy

DRIVERS = ("kernel", "event")
#: Settlements of their own instants, several in a row; resumed and in another share class (see `tests/results`).
FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000},
]
CASES = {
    "flows": ("btc_basis", {"start": "2024-02-01", "end": "2024-02-14", "flows": FLOWS}),
    "days": ("btc_basis", {"start": "2024-02-01", "end": "2024-02-14", "bar_interval": "1d"}),
    "struck": ("btc_basis", {"start": "2025-02-10", "end": "2025-02-20", "strategy.margin_ratio_target": 0.05}),
    "lending": ("pure_lending", {"start": "2024-02-01", "end": "2024-02-14", "flows": FLOWS}),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", CASES)
def test_the_file_is_the_table(case, driver, sample_data, tmp_path):
    """A line of JSON an event, in its order, with its bits."""
    mode, overrides = CASES[case]
    usual = basis.backtest(mode, sample_data, overrides=overrides)
    made = basis.backtest(
        mode, sample_data, overrides=overrides, driver=driver, event_log=tmp_path / "logs" / "events.jsonl"
    )
    assert made.run_id == usual.run_id
    lines = told.of_lines(tmp_path / "logs" / "events.jsonl")
    assert lines == told.without_infinities(told.of_table(usual))
    assert list(json.loads((tmp_path / "logs" / "events.jsonl").read_text().splitlines()[0])) == list(EVENT_COLUMNS)
    made.save(tmp_path / "run")
    assert told.of_table(basis.open_run(tmp_path / "run")) == told.of_table(usual)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["entry", "struck", "critical", "leave", "two_coins", "lend"])
def test_records_of_the_logger_are_the_table(name, driver):
    made = scenarios.SCENARIOS[name]()
    engine = engine_of(made)
    result = Result.from_recording(asyncio.run(engine.record(driver=driver)))
    assert told.of_records(engine.event_logger.events) == told.of_table(result)


def test_records_are_typed():
    made = scenarios.SCENARIOS["entry"]()
    engine = engine_of(made)
    asyncio.run(engine.record())
    events = engine.event_logger.events
    assert Event._fields == EVENT_COLUMNS
    for event in events:
        assert isinstance(event, Event)
        for name, kind in Event.__annotations__.items():
            assert type(getattr(event, name)) is kind, (name, event)
        assert event.timestamp.tzinfo is UTC
        assert event.effective_at.tzinfo is UTC
    assert [event.seq for event in events] == list(range(len(events)))
    assert events[0].timestamp == datetime(2024, 5, 29, tzinfo=UTC)
    with pytest.raises(AttributeError):
        events[0].price = 0.0


def test_the_file_grows_while_the_run_goes_on(tmp_path, monkeypatch):
    """Whoever follows it sees what happened before the run has ended."""
    monkeypatch.setattr(event_logger, "_BATCH", 1)
    path, seen = tmp_path / "events.jsonl", []

    class Looks(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            seen.append(len(path.read_text().splitlines()) if path.exists() else 0)
            return await super().make_decision(timestamp, market_data)

    made = basis.backtest(settings(), market(walk(60, 1, 0.02)), driver="event", strategy=Looks, event_log=path)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert 0 < seen[len(seen) // 2] < len(made.events)
    assert len(path.read_text().splitlines()) == len(made.events)


def test_small_batches_are_the_same_as_large_ones(tmp_path, monkeypatch):
    files = []
    for batch in (1, 7, 10_000):
        monkeypatch.setattr(event_logger, "_BATCH", batch)
        files.append(tmp_path / f"{batch}.jsonl")
        basis.backtest(settings(), market(walk(60, 1, 0.02)), driver="event", event_log=files[-1])
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_of_an_earlier_run_is_replaced(driver, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("an earlier run\n")

    class Idle(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            return None

    made = basis.backtest(settings(), market(walk(10)), driver=driver, event_log=path, strategy=Idle)
    assert len(made.events) == 0
    assert path.read_text() == ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_that_cannot_be_written_is_told_before_the_run(driver, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "events.jsonl"):
        with pytest.raises(BasisError, match="event log") as caught:
            basis.backtest(settings(), market(walk(10)), driver=driver, event_log=path)
        assert str(path) in str(caught.value)


# --- runs that end early ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_run_that_stopped_itself_ends_with_why(driver, tmp_path):
    panel = market(walk(40))
    holed = replace(panel, stop=Stop(25, "perp/okx_btcusdt", int(panel.timestamps[25]), 4 * 3600.0))
    with pytest.warns(RunStoppedWarning):
        made = basis.backtest(settings(), holed, driver=driver, event_log=tmp_path / "events.jsonl")
    lines = told.of_lines(tmp_path / "events.jsonl")
    assert lines == told.without_infinities(told.of_table(made))
    assert (lines[-1]["kind"], lines[-1]["detail"]) == ("error", made.cause)
    assert lines[-1]["timestamp"] == panel.timestamps[24] / 1e9
    assert lines[-1]["effective_at"] == panel.timestamps[25] / 1e9


@compiled_strategy
def fails_late(view, hour, params, actions):
    """Nothing for eight rows, then an action there is not."""
    view[at.MEMORY] += 1.0
    if view[at.MEMORY] < 9.0:
        return 0
    actions[0, 0] = 9.0
    return 1


class OwnManager(CEXExecutionManager):
    """The built-in manager by another name: the compiled loop leaves it the rest of a row."""


@pytest.mark.parametrize("components", [None, {"cex_execution_manager": OwnManager}], ids=["alone", "asks for rows"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_row_of_a_bad_decision_is_in_neither_log_nor_table(driver, components, tmp_path):
    """Funding was paid in the row that failed, but the row is none of the run's."""
    late = Strategy("late", fails_late, scenarios._hedged, lambda config, slots: {at.ASK_ALWAYS: 1.0})
    start = {
        "binance:BaseToken:USDT": 30_000.0, "binance:BaseToken:BTC": 1.0,
        "binance:Perp:BTCUSDT": -1.0, "binance:Perp:BTCUSDT|cost": -60_000.0,
    }  # fmt: skip
    with pytest.warns(RunStoppedWarning, match="strategy failed in row 8"):
        made = basis.backtest(
            settings(), market(walk(20, 1)), driver=driver, strategy=late, positions=start,
            event_log=tmp_path / "events.jsonl", components=components,
        )  # fmt: skip
    assert made.events.kind.tolist() == ["error"]
    assert told.of_lines(tmp_path / "events.jsonl") == told.of_table(made)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_component_that_raises_leaves_the_events_so_far(driver, tmp_path):
    class Fails(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            if self.book.row > 10:
                raise RuntimeError("enough")
            return await super().make_decision(timestamp, market_data)

    panel = market(walk(60, 1, 0.02))
    usual = basis.backtest(settings(), panel)
    with pytest.raises(EngineError, match="enough"):
        basis.backtest(settings(), panel, driver=driver, strategy=Fails, event_log=tmp_path / "events.jsonl")
    lines = told.of_lines(tmp_path / "events.jsonl")
    assert (lines[-1]["kind"], "enough" in lines[-1]["detail"]) == ("error", True)
    nameless = [{**line, "correlation_id": ""} for line in lines[:-1]]
    whole = [{**line, "correlation_id": ""} for line in told.without_infinities(told.of_table(usual))]
    assert len(nameless) > 10
    assert nameless == whole[: len(nameless)]


# --- correlation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", CASES)
def test_ids_join_a_decision_with_all_that_follows_from_it(case, driver, sample_data):
    """decision → order → fill, reject or transfer → arrival, in this order and nothing left over."""
    mode, overrides = CASES[case]
    events = basis.backtest(mode, sample_data, overrides=overrides, driver=driver).events
    decided, under_way, last_order = set(), {}, None
    for e in events.itertuples():
        if e.kind == "decision":
            decided.add(e.correlation_id)
        if e.kind not in ("decision", "order", "fill", "reject", "transfer", "arrival"):
            assert e.correlation_id == ""
            continue
        if e.kind == "reject" and e.correlation_id == "":
            assert e.detail == "withdrawal exceeds equity"
            continue
        assert e.correlation_id in decided, e
        if e.kind == "order":
            assert last_order is None, "the order before was neither filled nor refused"
            last_order = e
        elif e.kind == "arrival":
            assert under_way[e.correlation_id].pop((e.destination, e.amount))
        elif e.kind in ("fill", "transfer") or (e.kind == "reject" and last_order is not None):
            assert (last_order.correlation_id, last_order.action) == (e.correlation_id, e.action)
            if e.kind == "transfer":
                assert e.quantity == -last_order.quantity
                if e.effective_at > e.timestamp:
                    moving = under_way.setdefault(e.correlation_id, {})
                    moving[e.destination, e.amount] = moving.get((e.destination, e.amount), 0) + 1
            elif e.kind == "fill" and last_order.detail in ("spot", "perp"):
                assert (e.instrument, e.quantity) == (last_order.instrument, last_order.quantity)
            last_order = None
    assert last_order is None
    assert decided


def test_ids_of_orders_are_the_same_in_every_run(tmp_path):
    """An order that is sent again after a restart carries the id it had."""
    from basis.execution.simulation import ExchangeSimulation, WalletSimulation

    panel, ids = market(walk(60, 1, 0.02)), []

    def watched(kind, log):
        class Watched(kind):
            async def execute(self, order):
                log.append(order.client_order_id)
                return await super().execute(order)

        return Watched

    for driver in (*DRIVERS, "event"):
        ids.append([])
        clients = {"wallet": watched(WalletSimulation, ids[-1])}
        clients |= dict.fromkeys(("binance", "bybit", "okx"), watched(ExchangeSimulation, ids[-1]))
        engine = EventDrivenStrategyEngine(settings(), "backtest", panel, 100_000.0, "USDT", interfaces=clients)
        asyncio.run(engine.run_backtest(driver=driver))
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == len(ids[0]) > 10
