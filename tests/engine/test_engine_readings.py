"""What the components say after a run: its last row, an earlier one; that asking changes nothing; going on by hand."""

import asyncio
import itertools
from dataclasses import replace

import numpy as np
import pytest

import basis
from basis import Action, Decision, EventDrivenStrategyEngine
from basis.errors import InputError
from basis.market.panel import Stop
from basis.reports import Result
from basis.results.folder import TABLES
from basis.results.table import differences
from support import scenarios
from support.kernel_stages import events_per_row, free_rows_for_events
from support.kernel_view import RunView, comparable_parts, state_without_memory
from support.runs import engine_of, settings
from support.small_markets import at_row, market, pool, steady, walk
from support.strategies import decide_wrongly_in_row_8, do_nothing

NAMES = ("entry", "next_bar", "struck", "struck_held", "critical", "leave", "daily", "lend", "two_coins")
DRIVERS = ("kernel", "event")


#: Its funding is due in row 8.
HEDGED = {
    "wallet:BaseToken:USDT": 50_000.0,
    "binance:BaseToken:USDT": 30_000.0,
    "binance:BaseToken:BTC": 1.0,
    "binance:Perp:BTCUSDT": -1.0,
    "binance:Perp:BTCUSDT|cost": -60_000.0,
}


async def readings(engine, timestamp=None):
    """What the four of them say of an instant (None: now)."""
    position = await engine.position_monitor.get_snapshot(timestamp)
    exposure = await engine.exposure_monitor.calculate_exposure(position, timestamp)
    risk = await engine.risk_monitor.assess_risk(exposure, timestamp)
    pnl = await engine.pnl_calculator.calculate_pnl(exposure, risk, timestamp)
    return {"positions": position, "exposure": exposure, "risk": risk, "pnl": pnl}


def bits_of(reading):
    return np.array(list(reading.values()), dtype=float).tobytes()


def bytes_of(result):
    """Everything that tables are made from."""
    recording = result._recording
    return b"".join(part.tobytes() for part in comparable_parts(recording).values())


def ran(name, driver):
    """An engine that has run a scenario, and the result of it."""
    made = scenarios.SCENARIOS[name]()
    engine = engine_of(made)
    return engine, Result.from_recording(asyncio.run(engine.record(driver=driver)))


def check_row(said, result, row):
    """Readings are the row of their tables, bit for bit and name for name."""
    tables = {name: [result.table(name)] for name in ("positions", "exposure", "risk")}
    tables["pnl"] = [result.table("equity"), result.table("attribution")]
    for name, parts in tables.items():
        expected = {column: part[column][row] for part in parts for column in part.columns if column != "timestamp"}
        own = dict(said[name])
        if name == "exposure":
            assert own.pop("equity") == result.table("equity")["equity"][row]
        assert list(own) == list(expected), name
        for column, value in expected.items():
            assert np.float64(own[column]).tobytes() == np.float64(value).tobytes(), (name, column, row)
        assert said[name].equity == result.table("equity")["equity"][row]
        assert said[name].timestamp == result.table("equity")["timestamp"][row].astype("M8[ns]").astype(int)


# --- the last row ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", NAMES)
def test_after_a_run_they_read_its_last_row(name, driver):
    engine, result = ran(name, driver)
    check_row(asyncio.run(readings(engine)), result, -1)
    last = int(result._recording.panel.timestamps[-1])
    check_row(asyncio.run(readings(engine, last)), result, -1)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["entry", "struck", "critical", "lend"])
def test_asking_again_and_in_any_order_changes_nothing(name, driver):
    engine, result = ran(name, driver)
    before = bytes_of(result)
    asks = {
        "positions": lambda: engine.position_monitor.get_snapshot(),
        "exposure": lambda: engine.exposure_monitor.calculate_exposure(),
        "risk": lambda: engine.risk_monitor.assess_risk(),
        "pnl": lambda: engine.pnl_calculator.calculate_pnl(),
    }

    async def go():
        said = {ask: set() for ask in asks}
        for order in itertools.permutations(asks):
            for ask in order * 3:
                said[ask].add(bits_of(await asks[ask]()))
            await engine.get_status()
            len(engine.event_logger.events)
            await engine.strategy_manager.make_decision()
        return said

    said = asyncio.run(go())
    assert {ask: len(bits) for ask, bits in said.items()} == dict.fromkeys(asks, 1)
    check_row(asyncio.run(readings(engine)), result, -1)
    assert bytes_of(result) == before


def test_a_reading_stays_what_it_was():
    """It is a copy: what happens to the book later does not reach it."""
    engine, result = ran("entry", "event")

    async def go():
        said = await readings(engine)
        await engine.execute_decision(Decision((Action("exit_full", "BTC"),)))
        return said

    check_row(asyncio.run(go()), result, -1)


# --- earlier rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_earlier_instant_reads_its_row(name, driver):
    engine, result = ran(name, driver)
    before = bytes_of(result)
    panel = result._recording.panel
    for row in (0, 1, len(panel) // 2, len(panel) - 2):
        check_row(asyncio.run(readings(engine, int(panel.timestamps[row]))), result, row)
        check_row(asyncio.run(readings(engine, at_row(panel, row))), result, row)
    assert bytes_of(result) == before


def test_an_instant_between_rows_reads_the_row_before_it():
    engine, result = ran("entry", "event")
    check_row(asyncio.run(readings(engine, "2024-05-29T10:59:59Z")), result, 10)


def test_a_row_of_a_resumed_run_is_its_own():
    panel = market(walk(40, 1, 0.01))
    whole = basis.backtest(settings(), panel)
    rest = basis.backtest(settings(), panel.slice(15, 39), resume=whole.checkpoint(at_row(panel, 15)))
    engine = engine_of(RunView(rest._recording))
    again = Result.from_recording(asyncio.run(engine.record()))
    for row, instant in ((0, 16), (5, 21), (-1, 39)):
        check_row(asyncio.run(readings(engine, at_row(panel, instant))), again, row)


def test_an_instant_the_run_has_not_come_to_is_refused():
    panel = market(walk(40))
    instant = int(panel.timestamps[25])
    holed = replace(panel, stop=Stop(25, "perp/okx_btcusdt", instant, 4 * 3600.0))
    engine = EventDrivenStrategyEngine(settings(), "backtest", holed, 100_000.0, "USDT")
    with pytest.warns(basis.errors.RunStoppedWarning):
        result = asyncio.run(engine.run_backtest())
    check_row(asyncio.run(readings(engine)), result, -1)
    assert len(result.equity) == 25
    with pytest.raises(InputError, match="is after that"):
        asyncio.run(readings(engine, instant))
    with pytest.raises(InputError, match="outside"):
        asyncio.run(readings(engine, "2023-01-01"))


def test_before_a_run_there_is_a_book_and_no_prices():
    made = scenarios.SCENARIOS["two_coins"]()
    engine = engine_of(made)
    held = asyncio.run(engine.position_monitor.get_snapshot())
    for name, quantity in made.recording.holdings.items():
        assert held[name] == quantity
    assert held.timestamp is None
    for ask in (
        engine.exposure_monitor.calculate_exposure,
        engine.risk_monitor.assess_risk,
        engine.pnl_calculator.calculate_pnl,
        engine.strategy_manager.make_decision,
    ):
        with pytest.raises(InputError, match="No run yet"):
            asyncio.run(ask())
    with pytest.raises(InputError, match="No run yet"):
        asyncio.run(engine.execute_decision(Decision((Action("exit_full", "BTC"),))))


def test_a_name_there_is_not_lists_those_there_are():
    engine, _ = ran("entry", "event")
    said = asyncio.run(readings(engine))
    with pytest.raises(KeyError, match=r"net_delta\|DOGE.*gross.*net_delta\|BTC"):
        said["exposure"]["net_delta|DOGE"]
    assert "equity=" in repr(said["pnl"])


# --- runs that stopped themselves ------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_asking_after_a_bad_decision_changes_no_row(driver):
    """The row that failed is none of the run's: what the book holds then must not become the row before it."""
    panel = market(walk(20, 1))
    with pytest.warns(basis.errors.RunStoppedWarning, match="row 8"):
        made = RunView(basis.backtest(settings(), panel, strategy=decide_wrongly_in_row_8, positions=HEDGED)._recording)
    assert made.stop == 8
    engine = engine_of(made)
    result = Result.from_recording(asyncio.run(engine.record(driver=driver)))
    before = bytes_of(result)
    asyncio.run(engine.get_status())
    said = asyncio.run(readings(engine))
    assert bytes_of(result) == before
    check_row(said, Result.from_recording(made.recording), 7)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_checkpoint_after_a_bad_decision_is_of_the_last_row(driver):
    """Going on from there settles the funding of row 8 once."""
    panel = market(walk(20, 1))
    whole = basis.backtest(settings(), panel, strategy=do_nothing, positions=HEDGED)
    with pytest.warns(basis.errors.RunStoppedWarning):
        failed = basis.backtest(settings(), panel, strategy=decide_wrongly_in_row_8, positions=HEDGED, driver=driver)
    kept, expected = failed.checkpoint(), whole.checkpoint(at_row(panel, 7))
    assert kept.timestamp == expected.timestamp
    assert (state_without_memory(kept) == state_without_memory(expected)).all()


# --- going on by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["entry", "lend"])
def test_a_decision_after_a_run_leaves_its_result_as_it_is(name, driver):
    engine, result = ran(name, driver)
    tables = {table: result.table(table) for table in TABLES}
    before = bytes_of(result)
    lent = name == "lend"
    leave = Decision((Action("exit_full", "USDT" if lent else "BTC"),))

    async def go():
        held = await engine.position_monitor.get_snapshot()
        await engine.execute_decision(leave, None, None)
        return held, await readings(engine)

    held, said = asyncio.run(go())
    key = "aave_v3:aToken:USDT" if lent else "binance:Perp:BTCUSDT"
    assert held[key] != 0.0
    assert said["positions"][key] == 0.0
    assert said["pnl"]["residual"] == pytest.approx(0.0, abs=1e-6)
    assert said["exposure"]["gross"] < 1e-6 or lent
    assert bytes_of(result) == before
    again = Result.from_recording(result._recording)
    assert not [line for table in TABLES for line in differences(tables[table], again.table(table))]
    assert unchanged_checkpoint(result)


def unchanged_checkpoint(result):
    panel = result._recording.panel
    whole = basis.backtest(
        result.config, panel,
        positions=result._recording.holdings if result._recording.given else None,
    )  # fmt: skip
    return result.checkpoint().state.tobytes() == whole.checkpoint().state.tobytes()


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_same_decision_by_hand_and_in_a_run_fills_alike(driver):
    """The last row of a run, once decided by its strategy and once by hand."""
    panel = market(steady(12))
    start = {"wallet:BaseToken:USDT": 10_000.0, **HEDGED}

    class Leaves(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            return [Action("exit_partial", "BTC", 0.25)] if self.view.last else None

    class Holds(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            return None

    config = settings("btc_basis", {"risk.limits": {}, "close_at_end": True})
    decided = basis.backtest(config, panel, positions=start, strategy=Leaves)
    engine = EventDrivenStrategyEngine(
        config, "backtest", panel, 100_000.0, "USDT", positions=start, components={"strategy_manager": Holds}
    )

    async def go():
        await engine.run_backtest(driver=driver)
        await engine.execute_decision([Action("exit_partial", "BTC", 0.25)])
        return await readings(engine)

    said = asyncio.run(go())
    assert decided.events.query("kind == 'fill'").shape[0] == 2
    last = decided.positions.iloc[-1]
    assert {name: said["positions"][name] for name in last.index} == last.to_dict()
    assert said["exposure"].equity == decided.equity.equity.iloc[-1]


def test_decisions_by_hand_go_on_from_one_another():
    engine, _ = ran("entry", "event")

    async def go():
        held = []
        for _ in range(3):
            await engine.execute_decision([Action("exit_partial", "BTC", 0.1)])
            held.append(-sum(v for k, v in (await engine.position_monitor.get_snapshot()).items() if k.endswith("USDT")
                             and ":Perp:" in k))  # fmt: skip
        return held

    first, second, third = asyncio.run(go())
    assert (first - second, second - third) == (pytest.approx(0.1), pytest.approx(0.1))


def test_there_is_always_room_for_the_events_of_a_decision():
    """Compiled code writes events without asking whether there is room: whoever calls it has to see to it."""
    engine, _ = ran("entry", "event")
    there_and_back = [Action("exit_partial", "BTC", 0.01), Action("entry_partial", "BTC", 0.01)] * 4

    async def go():
        rooms = []
        for _ in range(60):
            rooms.append(free_rows_for_events(engine.run.state))
            if rooms[-1] < events_per_row(engine.run.state):
                break  # one more could write past the end
            await engine.execute_decision(there_and_back)
        return rooms

    assert min(asyncio.run(go())) >= events_per_row(engine.run.state)


def test_a_decision_put_off_to_the_next_bar_fills_nothing_now():
    panel = market(walk(20, 1))
    config = settings("btc_basis", {"fill": "next_bar"})
    engine = EventDrivenStrategyEngine(config, "backtest", panel, 100_000.0, "USDT")

    async def go():
        await engine.run_backtest()
        before = dict(await engine.position_monitor.get_snapshot())
        await engine.execute_decision([Action("exit_full", "BTC")])
        return before, dict(await engine.position_monitor.get_snapshot())

    before, after = asyncio.run(go())
    assert before == after


def test_nothing_to_do_changes_nothing():
    panel = pool(20)
    engine = EventDrivenStrategyEngine(settings("pure_lending"), "backtest", panel, 100_000.0, "USDT")

    async def go():
        await engine.run_backtest()
        before = {name: dict(said) for name, said in (await readings(engine)).items()}
        for nothing in (Decision(), [], None):
            await engine.execute_decision(nothing)
        return before, {name: dict(said) for name, said in (await readings(engine)).items()}

    before, after = asyncio.run(go())
    assert before == after
