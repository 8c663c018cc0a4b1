"""The lines users know, word for word: in a script, in a cell of a notebook, and beside other work."""

import asyncio
import gc
import weakref

import pytest

import basis
from basis import DataProvider, EventDrivenStrategyEngine, load_config, unified_health_manager
from basis.engine import event_driven
from basis.engine.blocking import run_blocking
from basis.engine.row import RowDriver
from basis.errors import BasisError, InputError
from basis.results.folder import TABLES
from basis.results.table import differences
from support.kernel_view import asked_in_every_row
from support.runs import settings
from support.small_markets import flows, market, pool, steady, walk


def new_engine(panel=None, config=None, **more):
    config = settings() if config is None else config
    panel = market(walk(30, 1)) if panel is None else panel
    return EventDrivenStrategyEngine(config, "backtest", panel, config.initial_capital, config.share_class, **more)


def assert_same(first, second):
    lines = [line for name in TABLES for line in differences(first.table(name), second.table(name))]
    assert not lines, "\n".join(lines)


async def lines_of_a_notebook(config, data_provider):
    """The lines as they stand in the documents; only the dates are nearer to each other."""
    engine = EventDrivenStrategyEngine(config=config, execution_mode='backtest', data_provider=data_provider,
                                       initial_capital=100000.0, share_class='USDT')  # fmt: skip
    results = await engine.run_backtest(start_date="2024-02-01", end_date="2024-02-10")
    status = await engine.get_status(); status['health']['overall_status']  # noqa: E702  # fmt: skip
    timestamp, market_data = "2024-02-10", await data_provider.get_market_data("2024-02-10")
    position = await engine.position_monitor.get_snapshot()
    exposure = await engine.exposure_monitor.calculate_exposure(position, timestamp)
    risk = await engine.risk_monitor.assess_risk(exposure, timestamp)
    pnl = await engine.pnl_calculator.calculate_pnl(exposure, risk, timestamp)
    decision = await engine.strategy_manager.make_decision(timestamp, market_data)
    if decision: await engine.execute_decision(decision, timestamp, market_data)  # noqa: E701  # fmt: skip
    return results, status, position, exposure, risk, pnl


def check_lines(answers, compiled):
    results, status, position, exposure, risk, pnl = answers
    assert_same(results, compiled)
    assert status["health"]["overall_status"] == "healthy"
    for reading, table in ((position, "positions"), (exposure, "exposure"), (risk, "risk"), (pnl, "attribution")):
        last = getattr(compiled, table).iloc[-1]
        assert {name: reading[name] for name in last.index} == last.to_dict()


@pytest.fixture
def provider(sample_data):
    return DataProvider(sample_data, load_config("btc_basis", environ={}))


@pytest.fixture(scope="module")
def compiled(sample_data):
    config = load_config("btc_basis", environ={})
    return basis.backtest(config, DataProvider(sample_data, config).panel(start="2024-02-01", end="2024-02-10"))


def test_the_lines_work_in_a_script(provider, compiled):
    check_lines(asyncio.run(lines_of_a_notebook(provider.config, provider)), compiled)


def test_the_lines_work_in_a_cell_of_a_notebook(provider, compiled):
    """A notebook awaits in an event loop that runs already, one cell after the other."""
    loop = asyncio.new_event_loop()
    try:
        cell = loop.create_task(lines_of_a_notebook(provider.config, provider))
        check_lines(loop.run_until_complete(cell), compiled)
        again = loop.create_task(lines_of_a_notebook(provider.config, provider))
        check_lines(loop.run_until_complete(again), compiled)
    finally:
        loop.close()


@pytest.mark.parametrize("config", ["btc_basis", {"mode": "btc_basis"}])
def test_a_mode_by_name_goes_with_a_provider_of_it(config, provider, monkeypatch):
    engine = EventDrivenStrategyEngine(config, "backtest", provider, 100_000.0, "USDT")
    results = asyncio.run(engine.run_backtest("2024-02-01", "2024-02-03"))
    assert len(results.equity) == 49


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_blocking_calls_work_while_an_event_loop_runs(driver):
    panel = market(walk(30, 1))
    usual = basis.backtest(settings(), panel)

    async def cell():
        made = basis.backtest(settings(), panel, driver=driver, strategy=basis.StrategyManager)
        made.checkpoint(int(panel.timestamps[7]))
        return made

    assert_same(usual, asyncio.run(cell()))


def test_a_blocking_call_raises_what_a_script_would_see():
    async def fails():
        raise InputError("so it is")

    async def cell():
        run_blocking(fails())

    with pytest.raises(InputError, match="so it is"):
        asyncio.run(cell())
    with pytest.raises(InputError, match="so it is"):
        run_blocking(fails())


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_before_in_and_after_a_run():
    engine = new_engine()
    seen = []

    async def go():
        seen.append(await engine.get_status())
        await engine.run_backtest()
        seen.append(await engine.get_status())

    asyncio.run(go())
    for status in seen:
        assert list(status) == ["mode", "share_class", "execution_mode", "health", "current_timestamp", "is_running"]
        assert (status["mode"], status["share_class"], status["execution_mode"]) == ("btc_basis", "USDT", "backtest")
        health = status["health"]
        assert list(health) == ["overall_status", "timestamp", "summary", "components"]
        assert health["overall_status"] == "healthy"
        assert health["summary"] == {"healthy": len(health["components"]), "degraded": 0, "unhealthy": 0}
        assert set(health["components"]) == {
            "data_provider", *event_driven.COMPONENTS, "binance", "bybit", "okx", "wallet",
        }  # fmt: skip
        assert all(set(part) == {"status", "message"} for part in health["components"].values())
        assert status["is_running"] is False
    assert [status["current_timestamp"] for status in seen] == [None, "2024-05-30T05:00:00Z"]


@pytest.mark.parametrize("driver", ["event", "kernel"])
def test_status_while_it_runs(driver):
    seen = {}

    class Asks(basis.StrategyManager):
        async def make_decision(self, timestamp=None, market_data=None):
            seen[timestamp] = await engine.get_status()
            return await super().make_decision(timestamp, market_data)

    panel = market(walk(30, 1, 0.02))
    engine = new_engine(panel, components={"strategy_manager": Asks})
    asyncio.run(engine.run_backtest(driver=driver))
    assert len(seen) > 2
    for stamp, status in seen.items():
        assert status["is_running"] is True
        assert status["current_timestamp"] == f"{basis_stamp(stamp)}Z"
    assert asyncio.run(engine.get_status())["is_running"] is False


def basis_stamp(ns):
    import numpy as np

    return np.datetime_as_string(np.datetime64(ns, "ns"), unit="s")


def test_a_failed_run_is_not_running():
    class Fails(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            raise RuntimeError("no")

    engine = new_engine(components={"strategy_manager": Fails})
    with pytest.raises(basis.errors.EngineError):
        asyncio.run(engine.run_backtest())
    assert asyncio.run(engine.get_status())["is_running"] is False


# --- runs of one engine, and of several ------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["kernel", "event"])
@pytest.mark.parametrize("first", ["kernel", "event"])
def test_an_engine_runs_once(first, second):
    engine = new_engine()
    made = asyncio.run(engine.run_backtest(driver=first))
    before = made.table("equity")["equity"].copy()
    with pytest.raises(InputError, match=r"has had its run.*new engine"):
        asyncio.run(engine.run_backtest(driver=second))
    assert made.table("equity")["equity"].tobytes() == before.tobytes()
    assert asyncio.run(engine.get_status())["current_timestamp"] == "2024-05-30T05:00:00Z"


def test_a_second_run_while_the_first_goes_on_is_refused(monkeypatch):
    monkeypatch.setattr(event_driven, "_BREATH", 1)
    panel = market(walk(30, 1))
    engine = new_engine(panel)

    async def go():
        return await asyncio.gather(engine.run_backtest(), engine.run_backtest(), return_exceptions=True)

    first, second = asyncio.run(go())
    assert isinstance(second, InputError)
    assert_same(first, basis.backtest(settings(), panel))


def test_an_engine_whose_run_could_not_begin_can_still_run():
    panel = market(walk(30, 1))
    engine = new_engine(panel)
    for wrong in ({"start_date": "2031-01-01"}, {"driver": "fast"}):
        with pytest.raises(InputError):
            asyncio.run(engine.run_backtest(**wrong))
    assert_same(asyncio.run(engine.run_backtest()), basis.backtest(settings(), panel))


def test_a_run_that_ends_before_it_begins_is_an_error():
    with pytest.raises(BasisError):
        asyncio.run(new_engine().run_backtest("2024-05-29T05:00", "2024-05-29T03:00"))


def test_a_window_by_dates_is_inclusive():
    made = asyncio.run(new_engine().run_backtest("2024-05-29T03:00", "2024-05-30"))
    assert made.equity.index[[0, -1]].strftime("%d %H").tolist() == ["29 03", "30 00"]


def test_a_window_of_the_configuration_holds_without_dates():
    config = settings("btc_basis", {"start": "2024-05-29T02:00", "end": "2024-05-29T09:00"})
    assert len(asyncio.run(new_engine(config=config).run_backtest()).equity) == 8
    assert len(asyncio.run(new_engine(config=config).run_backtest(end_date="2024-05-29T04:00")).equity) == 3


def test_a_run_is_written_where_it_is_asked_for(tmp_path):
    panel = market(walk(30, 1))
    config = settings("btc_basis", {"flows": flows(panel, (5, -1_000.0))})
    engine = new_engine(panel, config)
    made = asyncio.run(engine.run_backtest(out=tmp_path / "run"))
    assert_same(basis.open_run(tmp_path / "run"), made)
    with pytest.raises(InputError, match="exists already"):
        asyncio.run(new_engine(panel, config).run_backtest(out=tmp_path / "run"))
    asyncio.run(new_engine(panel, config).run_backtest(out=tmp_path / "run", force=True))


def test_engines_side_by_side_do_not_touch_each_other(monkeypatch):
    """Row by row in turn, hedges and a pool, on the same panel and on others."""
    monkeypatch.setattr(event_driven, "_BREATH", 1)
    one, other, lent = market(walk(60, 1, 0.02)), market(walk(60, 2, 0.02)), pool(60)
    jobs = [
        (one, settings()),
        (one, settings("btc_basis", {"strategy.margin_ratio_target": 0.8})),
        (other, settings("btc_basis", {"flows": flows(other, (20, 9_000.0), (40, -15_000.0))})),
        (lent, settings("pure_lending", {"flows": flows(lent, (20, 9_000.0), (40, -15_000.0))})),
    ]
    alone = [basis.backtest(config, panel) for panel, config in jobs]
    turns, original = [], RowDriver.run_row

    async def run_row(self, row):
        turns.append(self.engine.name)
        return await original(self, row)

    monkeypatch.setattr(RowDriver, "run_row", run_row)

    async def go():
        engines = [new_engine(panel, config) for panel, config in jobs]
        return await asyncio.gather(*(engine.run_backtest() for engine in engines))

    for first, second in zip(alone, asyncio.run(go()), strict=True):
        assert first.run_id == second.run_id
        assert_same(first, second)
    assert len(set(turns[:8])) == 4


def test_engines_may_share_a_provider(provider, monkeypatch):
    """Each is told the market of its own window, whoever asked the provider for a panel last."""
    monkeypatch.setattr(event_driven, "_BREATH", 1)
    windows = (("2024-02-01", "2024-02-03"), ("2024-03-01", "2024-03-03"))

    def listening(seen):
        class Listens(basis.StrategyManager):
            @classmethod
            def definition(cls, strategy):
                return asked_in_every_row(strategy)

            def make_decision(self, timestamp=None, market_data=None):
                seen[timestamp] = dict(market_data)

        return Listens

    async def told_market(shared, together):
        seen = [{}, {}]
        runs = [
            new_engine(
                shared if together else DataProvider(shared.data_dir, shared.config), shared.config,
                components={"strategy_manager": listening(log)},
            ).run_backtest(*window)
            for log, window in zip(seen, windows, strict=True)
        ]  # fmt: skip
        await asyncio.gather(*runs)
        return seen

    alone, together = (asyncio.run(told_market(provider, way)) for way in (False, True))
    assert [len(seen) for seen in alone] == [49, 49]
    assert alone == together


def test_an_event_loop_has_room_for_others_while_a_run_goes_on():
    ticks = []

    async def clock():
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    async def go():
        task = asyncio.create_task(clock())
        await new_engine(market(steady(2_000))).run_backtest()
        task.cancel()

    asyncio.run(go())
    assert len(ticks) >= 3


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_engines_go_with_their_last_reference(driver):
    """Without waiting for the collector: a sweep makes thousands of them."""
    gc.collect()
    gc.disable()
    try:
        own = type("Own", (basis.StrategyManager,), {"check_health": lambda self: ("healthy", "")})
        engine = new_engine(components={"strategy_manager": own})
        parts = [engine, engine.run, engine.risk_monitor, engine.health_manager, engine.interfaces["okx"]]
        gone = [weakref.ref(part) for part in parts]
        name = engine.name
        result = asyncio.run(engine.run_backtest(driver=driver))
        asyncio.run(engine.get_status())
        final = result.summary["final_equity"]
        assert name in unified_health_manager.check_detailed_health()["engines"]
        del parts, engine, result
        assert [ref() for ref in gone] == [None] * len(gone)
        assert name not in unified_health_manager.check_detailed_health()["engines"]
        assert final > 0.0
    finally:
        gc.enable()


def test_an_engine_that_never_ran_goes_too():
    gc.disable()
    try:
        engine = new_engine()
        gone = weakref.ref(engine)
        del engine
        assert gone() is None
    finally:
        gc.enable()
