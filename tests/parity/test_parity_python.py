"""A strategy and an exchange in plain Python: the same run in either driver, and, where they do the same, the compiled
one's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials

import basis
from basis.engine.blocking import run_blocking
from basis.engine.event_driven import EventDriver
from basis.engine.simulation import simulate
from basis.errors import InputError
from basis.results.replay import replay
from support.exchange_draws import config_of, markets, policies
from support.kernel_stages import FULL, Loop, events_written
from support.kernel_view import MEMORIES, final_state
from support.own_components import Churn, MakerExchange, PlainBasis, PlainExchange
from support.runs import settings
from support.same_run import (
    TABLES_WITHOUT_RUN_ID,
    assert_same_but_for_the_run_id,
    assert_same_run,
    assert_same_tables,
    first_difference,
    result_of,
)
from support.small_markets import flows, market, walk

EXCHANGES = dict.fromkeys(("binance", "bybit", "okx"), PlainExchange)
FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-20T03:30:00Z", "amount": -30_000},
]
MONTH = {"start": "2024-02-01", "end": "2024-03-01", "flows": FLOWS}
CASES = {
    "a month": MONTH,
    "next bar": {**MONTH, "fill": "next_bar", "close_at_end": True},
    "held": {**MONTH, "strategy.rebalance": False, "close_at_end": True},
    "while it pays": {
        **MONTH, "strategy.rate_rule": {"enabled": True, "enter": 0.08, "leave": 0.04, "window": "48h"}
    },
    "wide bands": {
        "start": "2024-09-01", "end": "2025-02-01", "strategy.position_deviation_threshold": 0.12,
        "strategy.rebalance_depth": 0.4, "strategy.margin_ratio_band": [0.8, 1.8], "flows": [
            {"timestamp": "2024-10-05T03:00:00Z", "amount": 6_000},
            {"timestamp": "2024-11-05T03:00:00Z", "amount": -500},
        ],
    },
    "thin": {"start": "2025-02-10", "end": "2025-03-01", "strategy.margin_ratio_target": 0.05},
    "alarmed": {**MONTH, "risk.limits": {"margin_ratio": {"warning": 0.47, "critical": 0.42}}},
}  # fmt: skip
OWN = {
    "strategy": {"strategy": PlainBasis},
    "exchange": {"interfaces": EXCHANGES},
    "both": {"strategy": PlainBasis, "interfaces": EXCHANGES},
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("case", CASES)
def test_plain_python_gives_the_compiled_run_in_either_driver(case, own, market_of):
    config, panel = market_of("btc_basis", CASES[case])
    compiled = basis.backtest(config, panel)
    made = [basis.backtest(config, panel, driver=driver, **OWN[own]) for driver in ("kernel", "event")]
    assert_same_run(*made)
    assert_same_but_for_the_run_id(compiled, made[0])


def test_from_a_data_folder_as_well(sample_data):
    made = [
        basis.backtest("btc_basis", sample_data, driver=driver, overrides=MONTH, **OWN["both"])
        for driver in ("kernel", "event")
    ]
    assert_same_run(*made)
    assert_same_but_for_the_run_id(basis.backtest("btc_basis", sample_data, overrides=MONTH), made[0])


@trials(max_examples=15)
@given(drawn=markets(), policy=policies())
def test_plain_python_follows_the_compiled_strategy_anywhere(drawn, policy):
    panel, config = drawn.panel(), config_of(drawn.panel(), policy)
    compiled = result_of(simulate(config, panel))
    for driver in ("kernel", "event"):
        engine = EventDriver(
            config, "backtest", panel, config.initial_capital, config.share_class,
            components={"strategy_manager": PlainBasis},
        )  # fmt: skip
        assert_same_but_for_the_run_id(compiled, result_of(run_blocking(engine.record(driver=driver))))


def test_an_exchange_with_other_terms_is_the_same_in_both_drivers(market_of):
    config, panel = market_of("btc_basis", MONTH)
    clients = dict.fromkeys(EXCHANGES, MakerExchange)
    made = [
        basis.backtest(config, panel, driver=driver, strategy=PlainBasis, interfaces=clients)
        for driver in ("kernel", "event")
    ]
    assert_same_run(*made)
    fills = made[0].events.query("kind == 'fill'")
    assert (fills.price == fills.reference_price).all()
    assert (fills.rate == -1e-4).all()
    assert (fills.slippage == 0.0).all()
    parts = made[0].attribution.sum()
    assert parts.fees == pytest.approx(1e-4 * fills.notional.sum())
    assert parts.slippage == 0.0
    assert made[0].summary["max_abs_residual"] < 1e-6


@pytest.mark.parametrize("own", OWN)
def test_the_folder_of_a_run_in_plain_python_says_that_it_cannot_be_repeated(own, sample_data, tmp_path):
    """What is written in Python is not in the folder: a replay without it would be another run."""
    short = {"start": "2024-02-01", "end": "2024-02-03"}
    basis.backtest("btc_basis", sample_data, overrides=short, out=tmp_path / "run", **OWN[own])
    with pytest.raises(InputError, match="cannot be repeated"):
        replay(tmp_path / "run")


def test_a_run_in_plain_python_goes_on_from_its_checkpoint(market_of):
    config, panel = market_of("btc_basis", MONTH)
    whole = [basis.backtest(config, panel, driver=driver, **OWN["both"]) for driver in ("kernel", "event")]
    kept = [made.checkpoint(int(panel.timestamps[300])) for made in whole]
    assert first_difference(kept[0].state, kept[1].state) is None
    rest = panel.slice(300, len(panel) - 1)
    for driver in ("kernel", "event"):
        again = basis.backtest(config, rest, driver=driver, resume=kept[0], **OWN["both"])
        assert first_difference(again._recording.record[1:], whole[0]._recording.record[301:]) is None


# --- a buffer that grows in the middle -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own", [{"strategy": Churn}, {"strategy": Churn, "interfaces": EXCHANGES}], ids=["strategy", "both"]
)
def test_many_events_make_the_buffer_grow_and_no_row_is_done_twice(own, monkeypatch):
    """There is room for some 3,000 events at first; a run that was asked anew after growing would show it."""
    panel = market(walk(320, 5))
    config = settings("btc_basis", {"risk.limits": {}, "flows": flows(panel, (100, 20_000.0), (200, -30_000.0))})
    grown, original = [], Loop.make_room
    monkeypatch.setattr(Loop, "make_room", lambda self: grown.append(events_written(self)) or original(self))
    made = {driver: basis.backtest(config, panel, driver=driver, **own) for driver in ("kernel", "event")}
    # once in either driver
    assert len(grown) >= 2
    assert min(grown) > 2_000
    assert_same_run(*made.values())
    result = made["kernel"]
    assert len(result.events) > 4_000
    decided = result.events.query("kind == 'decision'")
    by_row = decided.groupby("timestamp").correlation_id.nunique()
    assert (by_row == 1).all()
    assert decided.groupby("timestamp").size().iloc[10:].eq(4).all()
    assert result.summary["max_abs_residual"] < 1e-6


@pytest.mark.parametrize("interfaces", [None, EXCHANGES], ids=["asks for decisions", "asks for rows"])
def test_an_answer_stands_until_there_is_room_for_its_events(interfaces, monkeypatch):
    """The buffer is found full just where an answer comes back to the loop."""
    panel = market(walk(60, 5))
    config = settings("btc_basis", {"risk.limits": {}})
    usual = basis.backtest(config, panel, strategy=Churn, interfaces=interfaces)
    original, full = Loop.run, []

    def tight(self, start, stop, given=-1):
        if given >= 0 and start % 10 == 0 and start not in full:
            full.append(start)
            return start, FULL
        return original(self, start, stop, given)

    monkeypatch.setattr(Loop, "run", tight)
    assert_same_run(usual, basis.backtest(config, panel, strategy=Churn, interfaces=interfaces))
    assert full == list(range(0, 60, 10))


def test_progress_is_reported_however_often_the_loop_asks(market_of):
    config, panel = market_of("btc_basis", MONTH)
    usual = basis.backtest(config, panel, strategy=PlainBasis)
    for driver in ("kernel", "event"):
        reported = []
        made = basis.backtest(
            config, panel, driver=driver, strategy=PlainBasis, progress=lambda done, rows: reported.append((done, rows))
        )
        assert reported[-1] == (len(panel), len(panel))
        assert [done for done, _ in reported] == sorted(done for done, _ in reported)
        assert_same_tables(usual, made)


# --- what a strategy sees --------------------------------------------------------------------------------------------


def test_a_view_is_the_book_by_name():
    panel = market(walk(40, 3, 0.02))
    config = settings("btc_basis", {"risk.limits": {}})
    seen = {}

    class Looks(PlainBasis):
        async def make_decision(self, timestamp=None, market_data=None):
            seen[panel.row_at(timestamp)] = self.view
            return await super().make_decision(timestamp, market_data)

    made = basis.backtest(config, panel, driver="event", strategy=Looks)
    assert len(seen) > 3
    held = made.positions
    for row, view in seen.items():
        if row == 0:
            assert (view.first, view.last, view.equity, view.gross) == (True, False, 100_000.0, 0.0)
            assert view.long("BTC") == view.short("BTC") == 0.0
            assert (view.margin_low, view.margin_high) == (np.inf, -np.inf)
            continue
        assert view.price("BTC") == panel.columns["spot|BTC"][row]
        # before its fills the row holds what the row before left, where nothing arrived
        coins = held["binance:BaseToken:BTC"].iloc[row - 1]
        assert view.quantity("binance:BaseToken:BTC") == view.long("BTC") == coins
        assert view.short("BTC") == -sum(held[f"{v}:Perp:BTCUSDT"].iloc[row - 1] for v in EXCHANGES)
        with pytest.raises(InputError, match="no instrument 'kraken:BaseToken:BTC' in this run"):
            view.quantity("kraken:BaseToken:BTC")
        assert view.quote_price == 1.0
        assert len(view.memory) == MEMORIES
    view = seen[0]
    with pytest.raises(AttributeError, match=r"no 'fundings'. Did you mean funding.*equity.*memory"):
        view.fundings
    with pytest.raises(InputError, match=r"price: no asset 'DOGE' in this run. There are BTC"):
        view.price("DOGE")


def test_looking_at_everything_changes_nothing(market_of):
    """A strategy may ask every component whatever it likes in the middle of a row."""
    config, panel = market_of("btc_basis", {**CASES["thin"], "start": "2025-02-13", "end": "2025-02-16"})
    usual = basis.backtest(config, panel, strategy=PlainBasis)
    assert usual.summary["liquidations"] > 0
    for driver in ("kernel", "event"):
        looked = []

        class Nosy(PlainBasis):
            async def make_decision(self, timestamp=None, market_data=None):
                for _ in range(2):
                    risk = await engine.risk_monitor.assess_risk()
                    position = await engine.position_monitor.get_snapshot()
                    exposure = await engine.exposure_monitor.calculate_exposure(position, timestamp)
                    pnl = await engine.pnl_calculator.calculate_pnl(exposure, risk, timestamp)
                    looked.append((dict(position), dict(exposure), dict(risk), dict(pnl)))
                assert looked[-1] == looked[-2]
                status = await engine.get_status()
                assert status["is_running"]
                assert status["health"]["overall_status"] != "unhealthy"
                len(engine.event_logger.events)
                return await super().make_decision(timestamp, market_data)

        engine = EventDriver(
            config, "backtest", panel, config.initial_capital, config.share_class,
            components={"strategy_manager": Nosy},
        )  # fmt: skip
        made = result_of(run_blocking(engine.record(driver=driver)))
        assert len(looked) > 20
        assert_same_tables(usual, made, TABLES_WITHOUT_RUN_ID)
        assert first_difference(final_state(usual._recording), final_state(made._recording)) is None
