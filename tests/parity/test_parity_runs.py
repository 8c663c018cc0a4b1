"""Runs on the sample: the components give the bits of the compiled loop, in every mode and with every switch."""

import pytest

import basis
from basis.components.run_state import RunState, StartingBook
from basis.engine.simulation import advance, simulate
from basis.errors import InputError
from basis.strategies.factory import make_strategy
from support.kernel_stages import Loop
from support.kernel_view import final_state, raw_events, recorded_rows, state_bits
from support.runs import busy
from support.same_run import assert_same_run, assert_same_tables, first_difference

FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000},
    {"timestamp": "2024-02-20", "amount": -500},
    {"timestamp": "2024-02-20", "amount": 4_000},
    {"timestamp": "2024-02-25T07:00:00Z", "amount": -300_000},
]
MONTH = {"start": "2024-02-01", "end": "2024-03-01"}
WEEK = {"start": "2024-02-01", "end": "2024-02-08"}
RALLY = {"start": "2024-01-20", "end": "2024-04-10", "strategy.margin_ratio_target": 0.15}
IN_ETH = {"share_class": "ETH", "initial_capital": 30, "risk.limits": {}}
RULE = {"enabled": True, "window": "48h"}
HEDGED = {
    "binance:BaseToken:USDT": 40_000.0,
    "binance:BaseToken:BTC": 1.5,
    "okx:BaseToken:USDT": 30_000.0,
    "okx:Perp:BTCUSDT": -1.2,
    "okx:Perp:BTCUSDT|cost": -50_000.0,
}
#: mode, overrides, starting book
CASES = {
    "a quarter": ("btc_basis", {"start": "2024-02-01", "end": "2024-05-01"}, None),
    "lending": ("pure_lending", {"start": "2024-02-01", "end": "2024-05-01"}, None),
    "next bar": ("btc_basis", {**MONTH, "fill": "next_bar", "flows": FLOWS, "close_at_end": True}, None),
    "closed at the end": ("btc_basis", {**WEEK, "close_at_end": True}, None),
    "flows": ("btc_basis", {**MONTH, "flows": FLOWS}, None),
    "held": ("btc_basis", {**MONTH, "strategy.rebalance": False, "flows": FLOWS}, None),
    "held and closed": ("btc_basis", {**WEEK, "strategy.rebalance": False, "close_at_end": True}, None),
    "struck": ("btc_basis", {**RALLY, "strategy.rebalance": False}, None),
    "struck and rebalanced": (
        "btc_basis", {"start": "2025-02-10", "end": "2025-03-01", "strategy.margin_ratio_target": 0.05}, None
    ),
    "never struck": ("btc_basis", {**RALLY, "strategy.rebalance": False, "risk.simulate_liquidation": False}, None),
    "without costs": ("btc_basis", {**MONTH, "costs.enabled": False, "transfers.instant": True}, None),
    "while it pays": ("btc_basis", {**MONTH, "strategy.rate_rule": {**RULE, "enter": 0.08, "leave": 0.04}}, None),
    "days": ("btc_basis", {**MONTH, "bar_interval": "1d", "flows": FLOWS}, None),
    "from positions": ("btc_basis", WEEK, HEDGED),
    "in ether": (
        "btc_basis", {**WEEK, **IN_ETH}, {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0}
    ),
    "lending with flows": ("pure_lending", {**MONTH, "flows": FLOWS, "close_at_end": True}, None),
    "lending at the next bar": ("pure_lending", {**MONTH, "flows": FLOWS, "fill": "next_bar"}, None),
    "lending while it pays": (
        "pure_lending", {**MONTH, "strategy.rate_rule": {**RULE, "enter": 0.041, "leave": 0.0385}}, None
    ),
    "a supplied book": ("pure_lending", WEEK, {"wallet:BaseToken:USDT": 900.0, "aave_v3:aToken:USDT": 50_000.0}),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(market_of):
    """Case → (result of the compiled loop, result of the components), each made once."""
    made = {}

    def make(case):
        if case not in made:
            mode, overrides, positions = CASES[case]
            config, panel = market_of(mode, overrides)
            made[case] = [
                basis.backtest(config, panel, positions=positions, driver=driver) for driver in ("kernel", "event")
            ]
        return made[case]

    return make


@pytest.mark.parametrize("case", CASES)
def test_components_give_the_bits_of_the_compiled_loop(case, runs):
    compiled, stepped = runs(case)
    assert_same_run(compiled, stepped)


def test_the_cases_have_in_them_what_they_are_for(runs):
    """A comparison of runs in which nothing happens would prove nothing."""
    kinds = {case: set(runs(case)[0].events.kind) for case in CASES}
    assert {"decision", "order", "fill", "transfer", "arrival", "funding"} <= kinds["a quarter"]
    assert "flow" in kinds["flows"] & kinds["lending with flows"]
    assert "liquidation" in kinds["struck"] & kinds["struck and rebalanced"]
    assert "liquidation" not in kinds["never struck"]
    assert {"alert", "reject"} <= set().union(*kinds.values())
    short = runs("held and closed")[0].positions["binance:Perp:BTCUSDT"]
    assert (short.min() < 0.0, short.iloc[-1]) == (True, 0.0)
    for case in ("while it pays", "lending while it pays"):
        actions = set(runs(case)[0].events.query("kind == 'decision'").action)
        assert "exit_full" in actions, case
        assert actions & {"entry_full", "entry_partial"}, case


@pytest.mark.parametrize("case", ["held", "struck and rebalanced", "next bar", "lending at the next bar"])
def test_a_run_that_gets_its_rows_one_by_one_has_the_same_bits(case, market_of):
    """As a live run gets them: its state is given room, and each row when its market is known."""
    mode, overrides, _ = CASES[case]
    config, panel = market_of(mode, overrides)
    panel = panel.slice(0, min(len(panel), 200) - 1)
    whole = simulate(config, panel)
    run = RunState(StartingBook(config, make_strategy(config)), panel.slice(0, 0), capacity=len(panel))
    for row in range(len(panel)):
        if row:
            run.extend(panel.slice(0, row))
        advance(run, row, row + 1)
    assert state_bits(run) == final_state(whole).tobytes()
    assert run.record.tobytes() == recorded_rows(whole).tobytes()
    assert run.events.tobytes() == raw_events(whole).tobytes()
    assert len(run.events) > 5
    with pytest.raises(InputError, match="must begin with"):
        run.extend(panel.slice(0, len(panel) - 1))


@pytest.mark.parametrize("case", ["flows", "struck", "next bar", "lending with flows", "in ether"])
@pytest.mark.parametrize(("first", "second"), [("kernel", "event"), ("event", "kernel")])
def test_a_run_goes_on_in_the_other_driver(case, first, second, runs, market_of):
    """A checkpoint says nothing of the driver that came to it."""
    mode, overrides, positions = CASES[case]
    config, panel = market_of(mode, overrides)
    whole = runs(case)[first == "event"]
    kept = len(panel) // 3
    instant = int(panel.timestamps[kept])
    checkpoint = whole.checkpoint(instant)
    assert first_difference(checkpoint.state, runs(case)[first == "kernel"].checkpoint(instant).state) is None
    rest = panel.slice(kept, len(panel) - 1)
    # a book of instruments that the mode does not name has to be named again
    one, other = (
        basis.backtest(config, rest, positions=positions, resume=checkpoint, driver=driver)
        for driver in (first, second)
    )
    assert_same_run(one, other)
    assert first_difference(other._recording.record[1:], whole._recording.record[kept + 1 :]) is None


def test_a_run_goes_on_from_a_data_folder(sample_data, runs):
    """With providers instead of a panel; the name of the run says which checkpoint it went on from."""
    mode, overrides, _ = CASES["flows"]
    instant = "2024-02-12T05:00:00Z"
    checkpoint = runs("flows")[1].checkpoint(instant)
    made = [
        basis.backtest(
            mode, sample_data, overrides={**busy(mode), **overrides, "start": None}, resume=checkpoint, driver=driver
        )
        for driver in ("kernel", "event")
    ]
    assert_same_run(*made)
    assert made[0].run_id != runs("flows")[0].run_id
    whole = runs("flows")[0].equity
    assert made[1].equity.equals(whole[whole.index > instant])


def test_a_data_folder_gives_the_run_of_its_panel(sample_data, runs):
    mode, overrides, positions = CASES["from positions"]
    made = [
        basis.backtest(mode, sample_data, overrides={**busy(mode), **overrides}, positions=positions, driver=driver)
        for driver in ("kernel", "event")
    ]
    assert_same_run(*made)
    assert_same_tables(made[0], runs("from positions")[0], ("equity", "attribution", "positions", "exposure", "risk"))


@pytest.mark.parametrize("case", ["flows", "lending with flows"])
def test_components_never_run_the_compiled_loop(case, market_of, runs, monkeypatch):
    def run(self, start, stop, given=-1):
        raise AssertionError(f"rows {start} .. {stop} were run by the compiled loop")

    compiled, _ = runs(case)
    mode, overrides, positions = CASES[case]
    config, panel = market_of(mode, overrides)
    monkeypatch.setattr(Loop, "run", run)
    assert_same_run(compiled, basis.backtest(config, panel, positions=positions, driver="event"))


def test_components_work_on_the_row_they_stand_in(market_of, monkeypatch):
    """Parts of the hour are asked of one row at a time, rows in order, and never a later one."""
    config, panel = market_of(*CASES["closed at the end"][:2])
    asked, original = [], Loop.do
    monkeypatch.setattr(Loop, "do", lambda self, step, t, *more: asked.append(t) or original(self, step, t, *more))
    basis.backtest(config, panel, driver="event")
    assert asked == sorted(asked)
    assert set(asked) == set(range(len(panel)))
