"""Strategies of one's own: what compiled code cannot do, what names a run, what is not there, what is misspelt."""

import numba
import numpy as np
import pytest

import basis
from basis import StrategyManager
from basis.errors import EngineError, InputError
from basis.strategies.own_code import digest_of

SHORT = {"start": "2024-02-01", "end": "2024-02-03"}
DRIVERS = ("kernel", "event")
EVERY_ROW = "@basis.compiled(every_row=True)"


def check(strategy, mode="btc_basis", overrides=None):
    """Compile a strategy, and look for what it names; nothing is run."""
    strategy.check(basis.load_config(mode, overrides or {}))


def run(strategy, driver="kernel", mode="btc_basis", **more):
    return basis.backtest(mode, strategy=strategy, driver=driver, **{**SHORT, **more})


# --- what cannot run there -------------------------------------------------------------------------------------------

#: What needs the interpreter → what the error says of it.
NEEDS_PYTHON = {
    "print(view.equity)": ["print needs the interpreter", "line 3: print(view.equity)"],
    "x = 1.0\nwith numba.objmode(x='float64'):\n    x = view.equity": ["objmode", "line 4"],
    "with objmode():\n    pass": ["objmode goes back to the interpreter", "line 3"],
    "name = f'{int(view.equity)}'\nact.exit_full('BTC', len(name))": ["a text is made while it runs", "line 3"],
    "act.exit_full('BTC', len(str(3)))": ["str needs the interpreter"],
    "if view.alert > 1:\n    raise ValueError('alert', view.alert)": ["constant text", "line 4"],
    "import os\nact.exit_full('BTC')": ["an import", "line 3"],
    "view.memory[0] = np.random.random()": ["np.random.random is random", "view.feature"],
    "act.exit_full('BTC', tells(view.equity))": ["print needs the interpreter", "of tells"],
}


@numba.njit
def tells(x):
    print(x)
    return x


@pytest.mark.parametrize("body", NEEDS_PYTHON)
def test_what_needs_the_interpreter_is_refused_before_it_can_wait_for_it(body, cell):
    strategy = cell(body, numba=numba, objmode=numba.objmode, tells=tells)
    with pytest.raises(InputError, match=r"^mine cannot be compiled: ") as caught:
        check(strategy)
    for words in (*NEEDS_PYTHON[body], "basis.StrategyManager in plain Python", "result.explain"):
        assert words in str(caught.value)


def test_what_reaches_the_interpreter_by_another_way_is_refused(cell, monkeypatch):
    """By what the machine code calls, whatever the source looks like."""
    monkeypatch.setattr("basis.strategies.compiled.prepare", lambda function: None)
    with pytest.raises(InputError, match="mine cannot be compiled: something in it needs the interpreter"):
        check(cell("print(view.equity)"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_exception_tells_strategy_row_and_line(driver, cell):
    strategy = cell(
        "view.memory[0] += 1.0\nif view.memory[0] > 3.0:\n    raise ValueError('too much')", decorator=EVERY_ROW
    )
    with pytest.raises(EngineError) as caught:
        run(strategy, driver)
    said = str(caught.value)
    assert "failed in row 3 (2024-02-01T03:00:00Z): strategy mine raised ValueError: too much" in said
    assert "(line 5: raise ValueError('too much'))" in said


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_venue_that_is_not_there_is_no_number(driver, cell):
    with pytest.raises(EngineError, match=r"row 0 .*IndexError: there is no exchange of that number"):
        run(cell("for v in range(4):\n    view.memory[0] = view.cash(v)"), driver)


# --- what a run is named by ------------------------------------------------------------------------------------------


def test_a_global_is_part_of_the_name_and_compiled_anew(cell):
    strategy = cell("if view.first:\n    act.entry_full('USDT', amount)", amount=20_000.0)
    runs = [run(strategy)]
    for amount in (30_000.0, 20_000.0):
        strategy.function.__globals__["amount"] = amount
        runs.append(run(strategy))
    sent = [made.events.query("kind == 'transfer'")["amount"].sum() for made in runs]
    assert sent == pytest.approx([20_000.0, 30_000.0, 20_000.0], rel=1e-3)
    ids = [made.run_id for made in runs]
    assert ids[0] == ids[2] != ids[1]


def test_a_closure_is_part_of_the_name():
    def made(share):
        @basis.compiled
        def mine(view, act):
            if view.first:
                act.entry_full("USDT", share * view.equity)

        return mine

    assert made(0.2).name == made(0.2).name != made(0.3).name


@numba.njit
def twice(x):
    return FACTOR * x


FACTOR = 2.0


def test_what_a_function_calls_is_part_of_the_name_and_compiled_anew(cell, monkeypatch):
    strategy = cell("if view.first:\n    act.entry_full('USDT', twice(10_000.0))", twice=twice)
    first = run(strategy)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    second = run(strategy)
    assert first.run_id != second.run_id
    sent = [made.events.query("kind == 'transfer'")["amount"].sum() for made in (first, second)]
    assert sent == pytest.approx([20_000.0, 30_000.0], rel=1e-3)


@pytest.mark.parametrize("limits", [[1.0, 2.0], np.ones(2), {1: 2.0}, {1.0}, (1.0, [2.0])])
def test_what_can_be_changed_in_place_is_refused(limits, cell):
    with pytest.raises(InputError, match=r"mine: it reads the global 'limits', a .* \(line 3: .*Make it a tuple"):
        check(cell("view.memory[0] = limits[1]", limits=limits))


def test_immutable_values_may_be_read(cell):
    check(cell("view.memory[0] = limits[1] + np.pi + math.inf + half", limits=(1.0, 2.0), half=np.float64(0.5)))


def test_a_recursive_function_has_a_digest():
    def again(n):
        return again(n - 1) if n else 0

    assert digest_of(again) == digest_of(again)


def test_plain_python_is_part_of_the_name():
    def made(wanted):
        class Mine(StrategyManager):
            share = wanted

            def make_decision(self, timestamp=None, market_data=None):
                return None

        return Mine

    ids = [run(made(share)).run_id for share in (0.2, 0.2, 0.3)]
    assert ids[0] == ids[1] != ids[2]


# --- what is misspelt ------------------------------------------------------------------------------------------------


class Misspelt(StrategyManager):
    def make_decison(self, timestamp=None, market_data=None):
        return None


class Empty(StrategyManager):
    share = 0.4


class NearMiss(StrategyManager):
    everyrow = True

    def make_decision(self, timestamp=None, market_data=None):
        return None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NearMiss, r"NearMiss\.everyrow is never read\. Did you mean every_row\?"),
        (Misspelt, "Misspelt has no make_decision of its own.*make_decison is never called; did you mean make_dec"),
        (Empty, "Empty has no make_decision of its own, so that the mode's strategy would run"),
    ],
)
def test_a_class_that_overrides_nothing_of_use_is_refused(kind, words):
    with pytest.raises(InputError, match=words):
        run(kind)
    with pytest.raises(InputError, match=words):
        basis.backtest("btc_basis", components={"strategy_manager": kind}, **SHORT)


def test_a_name_of_ones_own_is_no_misspelling():
    class Mine(StrategyManager):
        every_day, rows, row, every_row = 5, 7, 1, True

        def make_decision(self, timestamp=None, market_data=None):
            return None

    Mine.check_own()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("memory[0] = 1.0", r"view.memory is a copy.*basis.Decision\(actions, memory=\(1.0, 0.0\)\)"),
        ("memory = (1.0,)", r"view.memory cannot be set.*basis.Decision\(actions, memory="),
        ("equity = 5.0", "view.equity cannot be set"),
        ("equty = 5.0", "A view has no 'equty'"),
        ("policy.margin_low = 5.0", "policy.margin_low cannot be set"),
    ],
)
def test_what_is_seen_cannot_be_written(what, said, driver):
    class Writes(StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            exec(f"view.{what}", {"view": self.view})

    with pytest.raises(basis.errors.BasisError, match=said):
        run(Writes, driver)


@pytest.mark.parametrize("driver", DRIVERS)
def test_plain_python_may_be_asked_in_every_row(driver):
    asked = []

    class Every(StrategyManager):
        every_row = True

        def make_decision(self, timestamp=None, market_data=None):
            asked.append(timestamp)

    rows = len(run(Every, driver, mode="ml_directional").equity)
    assert len(asked) == rows == 49
    Every.every_row = False
    run(Every, driver, mode="ml_directional")
    assert 49 < len(asked) < 60, "the first row, and those in which the signal changes"


# --- what is not there -----------------------------------------------------------------------------------------------

#: Mode, what is read, and what the error says.
ABSENT = [
    ("btc_basis", "rate", "there is no rate rule in this run. Set strategy.rate_rule to {enabled: true"),
    ("btc_basis", "policy.enter_rate", "there is no rate rule in this run"),
    ("btc_basis", "ltv", "mode btc_basis has no loan"),
    ("btc_basis", "health_factor", "mode btc_basis has no loan"),
    ("btc_basis", "policy.target_ltv", "strategy.target_ltv is not set"),
    ("btc_basis", "signal", "mode btc_basis has no signal"),
    ("btc_basis", "signal_trusted", "mode btc_basis has no signal"),
    ("btc_basis", "stop_distance", "mode btc_basis has no signal"),
    ("pure_lending", "margin_low", "mode pure_lending has no exchange"),
    ("pure_lending", "policy.margin_target", "mode pure_lending has no exchange"),
    ("ml_directional", "invested", "mode ml_directional holds nothing long beside its perps"),
]


@pytest.mark.parametrize(("mode", "name", "words"), ABSENT)
def test_what_is_not_there_is_no_number(mode, name, words, cell):
    with pytest.raises(InputError) as caught:
        check(cell(f"view.memory[0] = view.{name}"), mode)
    assert f"mine: view.{name}: {words}" in str(caught.value)

    class Reads(StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            value = self.view
            for part in name.split("."):
                value = getattr(value, part)

    with pytest.raises(EngineError) as caught:
        run(Reads, mode=mode)
    assert f"failed in row 0 (2024-02-01T00:00:00Z): view.{name}: {words}" in str(caught.value)


def test_with_a_rule_there_is_a_rate(cell):
    rule = {"strategy.rate_rule": {"enabled": True, "enter": 0.0, "leave": -1.0, "window": "24h"}}
    check(cell("view.memory[0] = view.rate + view.policy.enter_rate"), overrides=rule)


def test_a_run_without_a_fill_says_so(cell):
    idle = run(cell("return"))
    assert any(line.startswith("Not one order was filled") for line in idle.warnings)
    assert "Not one order was filled" in idle._repr_html_()
    busy = run(cell("if view.first:\n    act.entry_full('USDT', 0.4 * view.equity)\n    act.entry_full('BTC', 0.1)"))
    filled = busy.summary["fills"] > 0
    assert filled != any(line.startswith("Not one order was filled") for line in busy.warnings)


@pytest.mark.parametrize(("read", "words"), [
    ("view.quantity('binance:BaseToken:BTX')", "did you mean binance:BaseToken:BTC"),
    ("view.in_transit('binance:Perp:BTCUSDT')", "no cash or token"),
    ("view.perp('ETH', 0)", "no perp of 'ETH' in this run. There are BTC"),
    ("view.funding('okex')", "did you mean okx"),
    ("view.funding('okx', 'a week')", "is no duration above 0"),
    ("view.mean('spot|BTX', '7d')", "did you mean spot|BTC"),
    ("view.feature('mine.x')", "strategy.features names; it names none"),
])  # fmt: skip
def test_what_is_named_and_not_there_is_told_alike(read, words, cell):
    with pytest.raises(InputError) as caught:
        run(cell(f"view.memory[0] = {read}"))
    assert words in str(caught.value)

    class Reads(StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            eval(read, {"view": self.view})

    with pytest.raises(EngineError) as caught:
        run(Reads)
    assert words in str(caught.value)
