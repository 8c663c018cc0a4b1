"""Strategies written as one function: what they may name, what an error says, and that they do what they say."""

import asyncio
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import basis
from basis import Action, Decision
from basis.errors import InputError
from basis.strategies.view import FLAGS, NUMBERS

WINDOW = {"start": "2024-02-01", "end": "2024-03-10"}
SHORT = {"start": "2024-02-01", "end": "2024-02-05"}
DRIVERS = ("kernel", "event")


def modest(view, act, share=0.4):
    """Hedges a share of the equity, with as much margin as coin."""
    if view.alert >= 2 or view.pending > 0:
        act.exit_full("BTC")
        act.exit_full("USDT", view.equity)
        return
    wanted = share * view.equity / view.price("BTC")
    if view.long("BTC") < 0.5 * wanted:
        act.entry_full("USDT", share * view.equity)
        act.entry_full("BTC", wanted - view.long("BTC"))


class Modest(basis.StrategyManager):
    """The same in plain Python."""

    async def make_decision(self, timestamp=None, market_data=None):
        view = self.view
        if view.alert >= 2 or view.pending > 0:
            return Decision((Action("exit_full", "BTC"), Action("exit_full", "USDT", view.equity)))
        wanted = 0.4 * view.equity / view.price("BTC")
        if view.long("BTC") >= 0.5 * wanted:
            return None
        missing = wanted - view.long("BTC")
        return Decision((Action("entry_full", "USDT", 0.4 * view.equity), Action("entry_full", "BTC", missing)))


def run(strategy, driver="kernel", mode="btc_basis", window=SHORT, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", basis.errors.RunStoppedWarning)
        return basis.backtest(mode, strategy=strategy, driver=driver, **window, **more)


@pytest.mark.parametrize("driver", DRIVERS)
def test_it_does_what_the_same_in_plain_python_does(driver):
    flows = [{"timestamp": "2024-02-20", "amount": -70_000}]
    compiled = run(basis.compiled(modest), driver, window=WINDOW, overrides={"flows": flows})
    plain = run(Modest, window=WINDOW, overrides={"flows": flows})
    assert compiled.equity.equals(plain.equity)
    assert compiled.positions.equals(plain.positions)
    assert (compiled.events["kind"] == plain.events["kind"]).all()
    assert compiled.summary["fills"] > 6


def test_parameters_are_given_by_run_and_nothing_is_compiled_again():
    strategy = basis.compiled(modest)
    small = run(strategy(share=0.2))
    made = strategy._made.address
    large = run(strategy(share=0.5))
    assert strategy._made.address == made is not None
    held = [result.exposure["value|binance:BaseToken:BTC"].iloc[-1] for result in (small, large)]
    assert held[1] / held[0] == pytest.approx(2.5, rel=0.02)
    assert strategy.params == {"share": 0.4}
    assert strategy(share=1).params == {"share": 1.0}


def test_a_run_is_named_by_function_parameters_and_code(cell):
    first, second = cell("act.exit_full('BTC')"), cell("act.exit_full('USDT')")
    assert first.name != second.name != second(share=0.5).name
    assert first.name == cell("act.exit_full('BTC')").name
    result = run(basis.compiled(modest)(share=0.3))
    assert result.manifest["strategy"].startswith("modest(share=0.3) ")
    assert result.run_id != run(basis.compiled(modest)).run_id


def test_a_cell_is_edited_and_run_again(cell):
    shares = []
    for share in (0.2, 0.3, 0.4):
        strategy = cell(f"if view.first:\n    act.entry_full('USDT', {share} * view.equity)")
        shares.append(run(strategy).events.query("kind == 'decision'")["amount"].sum() / 100_000)
    assert shares == pytest.approx([0.2, 0.3, 0.4])


def test_one_function_runs_in_books_of_other_modes(cell):
    strategy = cell("if view.first:\n    act.entry_full('USDT', 0.25 * view.equity)")
    compiled = set()
    for mode in ("btc_basis", "eth_basis", "pure_lending", "btc_basis"):
        assert run(strategy, mode=mode).summary["fills"] + len(run(strategy, mode=mode).events) > 0
        compiled.add(strategy._made.address)
    assert len(compiled) == 1, "compiled once for all books"


#: What the book of btc_basis does not have.
ABSENT = {
    "rate", "switching_cost", "ltv", "health_factor", "signal", "signal_trusted", "stop_distance",
    "take_profit_distance",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({*NUMBERS, *FLAGS} - ABSENT))
def test_every_number_of_a_view_is_that_of_the_plain_one(name, cell):
    """Written into the memory in a row, and read there in plain Python."""
    seen = []

    class Reads(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            seen.append(float(getattr(self.view, name)))

    run(Reads, overrides={"strategy.rebalance": True})
    strategy = cell(
        f"value = view.{name}\n"
        "if view.memory[1] == 0.0:\n"
        "    view.memory[0] = value\n"
        "    view.memory[1] = 1.0\n"
        "act.entry_partial('USDT', min(abs(view.memory[0]), 1e9) + 1.0)"
    )
    kept = run(strategy).events.query("kind == 'decision'")["amount"].iloc[0]
    expected = 1.0 + min(abs(seen[0]), 1e9)
    assert kept == pytest.approx(expected, rel=1e-15)


def test_what_a_view_shows_of_assets_and_instruments(cell):
    strategy = cell(
        "if view.memory[0] < 1.0:\n"
        "    view.memory[0] = 1.0\n"
        "    act.entry_full('USDT', 0.4 * view.equity)\n"
        "elif view.arrived and view.long('BTC') == 0.0:\n"
        "    act.entry_full('BTC', 0.4 * view.equity / view.price('BTC'))\n"
        "elif view.long('BTC') > 0.0:\n"
        "    act.exit_partial('BTC', 0.25 * view.short('BTC'))\n"
        "    act.exit_partial('USDT', view.quantity('bybit:BaseToken:USDT') + view.quantity('okx:Perp:BTCUSDT'))"
    )
    result = run(strategy)
    decided = result.events.query("kind == 'decision' and instrument == 'USDT' and action == 'exit_partial'")
    row = result.equity.index.get_loc(decided["timestamp"].iloc[0]) - 1
    before = result.positions.iloc[row]
    flowed = result.events[(result.events["timestamp"] == decided["timestamp"].iloc[0])]
    cash = (
        before["bybit:BaseToken:USDT"]
        + flowed.query(
            "kind in ['funding', 'arrival'] and (venue == 'bybit' or destination == 'bybit:BaseToken:USDT')"
        )["amount"].sum()
    )
    assert decided["amount"].iloc[0] == pytest.approx(cash + before["okx:Perp:BTCUSDT"], rel=1e-9)
    left = result.events.query("kind == 'decision' and instrument == 'BTC' and action == 'exit_partial'")[
        "amount"
    ].iloc[0]
    short = -before[[name for name in before.index if name.endswith(":Perp:BTCUSDT")]].sum()
    assert left == pytest.approx(0.25 * short, rel=1e-9)


def test_it_may_be_asked_in_every_row(cell):
    body = "view.memory[0] += 1.0\nif view.last:\n    act.entry_partial('USDT', view.memory[0])"
    every = run(cell(body, decorator="@basis.compiled(every_row=True)"))
    assert every.events.query("kind == 'decision'")["amount"].tolist() == [len(every.equity)]
    assert cell(body, decorator="@basis.compiled(every_row=True)").every_row


def test_stops_and_take_profits_are_set(cell):
    strategy = cell(
        "if view.first:\n"
        "    act.entry_full('USDT', 0.5 * view.equity)\n"
        "elif view.arrived:\n"
        "    act.entry_full('BTC long', 0.2 * view.equity / view.price('BTC'), stop=0.01, take_profit=0.5)"
    )
    result = run(strategy, mode="ml_directional")
    opened = result.events.query("kind == 'fill' and detail == 'perp'").iloc[0]
    levels = result.risk.loc[opened["timestamp"]]
    assert levels[f"stop|{opened['instrument']}"] == pytest.approx(opened["price"] * 0.99, rel=1e-12)
    assert levels[f"take_profit|{opened['instrument']}"] == pytest.approx(opened["price"] * 1.5, rel=1e-12)


#: What may not be named → what the error says, before any row is run.
NAMED = {
    "view.equty": ["mine: A view has no 'equty'; did you mean equity?"],
    "view.price('DOGE')": ["mine: price: no asset 'DOGE' in this run", "There are BTC"],
    "view.long('btc')": ["no asset 'btc'", "did you mean BTC?"],
    "view.quantity('binance:BaseToken:BTX')": ["did you mean binance:BaseToken:BTC?"],
    "view.equity = 5.0": ["mine: view.equity cannot be set", "view.memory[0] = 1.0"],
    "view.equty = 5.0": ["A view has no 'equty'"],
    "view.policy.margin_low = 5.0": ["policy.margin_low cannot be set"],
    "view.weight(0.5)": ["view.weight: venue is float64; it must be an integer"],
    "view.price()": ["view.price: missing a required argument: 'asset'"],
    "act.exit_full('BTC', 'all')": ["act.exit_full: amount is", "it must be a number"],
    "act.buy('BTC', 1.0)": ["An act has no 'buy'", "entry_full, entry_partial, exit_partial, exit_full, sell_dust"],
    "act.entry_ful('BTC', 1.0)": ["did you mean entry_full?"],
    "act.entry_full('EUR', 1.0)": ["entry_full: no asset 'EUR' in this run", "BTC, USDT"],
    "act.entry_full('dust', 1.0)": ["dust is sold by sell_dust"],
    "act.entry_full('BTC')": ["mine cannot be compiled", "'amount'", "line 3: act.entry_full('BTC')"],
    "nothing + 1": ["mine cannot be compiled", "'nothing' is not defined", "line 3"],
    "open('x')": ["mine cannot be compiled", "open", "StrategyManager in plain Python"],
    "name = 'BTC'\nif share > 1.0:\n    name = 'USDT'\nact.exit_full(name)": ["its name must stand there as a text"],
}
#: What may not be decided → what the error says. The rows before it stay.
DECIDED = {
    "act.entry_full('BTC', math.nan)": "entry_full BTC: amount nan; it must be finite, >= 0",
    "act.entry_full('BTC', math.inf)": "entry_full BTC: amount inf; it must be finite, >= 0",
    "act.exit_partial('USDT', -0.5)": "exit_partial USDT: amount -0.5; it must be finite, >= 0",
    "act.entry_full('BTC', 0.1, stop=-1)": "entry_full BTC: stop -1.0; it must be finite, >= 0",
    "act.entry_full('BTC', 0.1, 0.1, math.nan)": "entry_full BTC: take_profit nan; it must be finite, >= 0",
    "for _ in range(9):\n    act.exit_full('BTC')": "exit_full BTC: there are 8 actions already",
    "act.exit_full('BTC')\nact.entry_full('USDT', view.equity / (view.equity - view.equity))": "amount inf",
}


@pytest.mark.parametrize("body", NAMED)
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_not_there_is_reported_before_the_run(body, driver, cell, tmp_path):
    with pytest.raises(InputError) as caught:
        run(cell(body), driver, out=tmp_path / "run")
    for words in NAMED[body]:
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_without_rewards_there_is_no_dust_to_sell(driver, cell):
    """So one function serves books with rewards and without."""
    result = run(cell("act.sell_dust()", decorator="@basis.compiled(every_row=True)"), driver)
    assert result.status == "complete"
    assert len(result.events) == 0


@pytest.mark.parametrize("body", DECIDED)
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_may_not_be_decided_stops_the_run_in_its_row(body, driver, cell):
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    strategy = cell(
        f"view.memory[0] += 1.0\nif view.memory[0] > 3.0:\n{lines}", decorator="@basis.compiled(every_row=True)"
    )
    with pytest.warns(basis.errors.RunStoppedWarning, match="strategy mine failed in row 3"):
        result = basis.backtest("btc_basis", strategy=strategy, driver=driver, **SHORT)
    assert result.status == "stopped"
    assert result.cause.startswith("strategy mine failed in row 3 (2024-02-01T03:00:00Z): ")
    assert DECIDED[body] in result.cause
    assert len(result.equity) == 3


@pytest.mark.parametrize("strategy", ["compiled", "plain"])
def test_more_than_there_is_is_told(strategy, cell):
    class Greedy(basis.StrategyManager):
        def make_decision(self, timestamp=None, market_data=None):
            return [Action("entry_full", "BTC", 1e6)] if self.view.first else None

    greedy = cell("if view.first:\n    act.entry_full('BTC', 1e6)") if strategy == "compiled" else Greedy
    result = run(greedy)
    reported = [line for line in result.warnings if "more than the equity" in line]
    assert len(reported) == 1
    assert reported[0].startswith("1 decision asked for more")
    assert "entry_full BTC 1,000,000 at 2024-02-01 00:00 UTC" in reported[0]
    assert result.status == "complete"
    assert not any("more than the equity" in line for line in run(basis.compiled(modest)).warnings)


def test_rejected_orders_of_ones_own_strategy_are_told(cell):
    strategy = cell(
        "if view.first:\n    act.entry_full('USDT', 0.4 * view.equity)\nelse:\n    act.entry_partial('BTC', 0.01)",
        decorator="@basis.compiled(every_row=True)",
    )
    result = run(strategy, overrides={"risk.limits": {"drawdown": {"warning": 1e-9, "critical": 1e-9}}})
    rejected = result.events.query("kind == 'reject'")["detail"].value_counts()
    assert rejected["critical alert: only reductions"] > 10
    reported = next(line for line in result.warnings if "rejected" in line)
    assert reported.startswith(f"{rejected.sum():,} orders rejected: ")
    for reason, count in rejected.items():
        assert f"{reason} ({count:,})" in reported


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("view", "must take a view, an act and named parameters"),
        ("view, act, *shares", "must take a view, an act"),
        ("view, act, share", "parameter share needs a default"),
        ("view, act, share='much'", "parameter share is 'much'; it must be a finite number"),
        ("view, act, share=True", "it must be a finite number"),
        ("view, act, " + ", ".join(f"p{k}=0.0" for k in range(9)), "has 9 parameters; at most 8"),
    ],
)
def test_another_form_is_refused_where_it_is_written(head, words, cell):
    with pytest.raises(InputError, match=f"mine.*{words}".replace("'", ".")):
        cell("return", head)


@pytest.mark.parametrize("given", [{"shar": 0.5}, {"share": math.nan}, {"share": "x"}, {"share": None}])
def test_wrong_parameters_are_told(given):
    strategy = basis.compiled(modest)
    with pytest.raises(InputError, match=r"modest.*(Did you mean share\?|finite number)"):
        strategy(**given)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: basis.compiled(every_rows=True), "compiled has no argument every_rows. Did you mean every_row?"),
        (lambda: basis.Action("entry_full"), "Action: missing a required argument: 'asset'"),
        (lambda: basis.Action("exit_full", "BTC", amout=1.0), "Action has no argument amout. Did you mean amount?"),
        (lambda: basis.Decision(action=()), "Decision has no argument action. Did you mean actions?"),
    ],
)
def test_a_call_that_does_not_fit_is_told(call, said):
    with pytest.raises(InputError) as caught:
        call()
    assert said in str(caught.value)


@pytest.mark.parametrize("what", [None, 7, "modest", Modest])
def test_what_is_no_function_is_refused(what):
    if what is None:
        with pytest.raises(InputError, match="strategy is"):
            basis.backtest("btc_basis", strategy=modest, **SHORT)
        return
    with pytest.raises(InputError, match="compiled takes a function"):
        basis.compiled(what)


def test_the_engine_takes_it_too():
    config = basis.load_config("btc_basis", SHORT)
    provider = basis.DataProvider(basis.api.default_data(), config)
    engine = basis.EventDrivenStrategyEngine(
        config, "backtest", provider, 100_000.0, "USDT", strategy=basis.compiled(modest)
    )
    result = asyncio.run(engine.run_backtest())
    assert result.equity.equals(run(basis.compiled(modest)).equity)


def test_without_compiling_it_is_the_same(sample_data, tmp_path):
    """The function, its view and its act in plain Python."""
    script = tmp_path / "plain.py"
    script.write_text(
        "import sys, inspect; sys.path[:0] = sys.argv[1:2]\n"
        "import basis\n"
        "from test_api_compiled import modest\n"
        "window = {'start': '2024-02-01', 'end': '2024-02-01T12:00Z'}\n"
        "r = basis.backtest('btc_basis', strategy=basis.compiled(modest), **window)\n"
        "print(r.equity['equity'].iloc[-1].hex(), len(r.events))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(Path(__file__).parent)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = run(basis.compiled(modest), window={"start": "2024-02-01", "end": "2024-02-01T12:00Z"})
    assert done.stdout.split() == [result.equity["equity"].iloc[-1].hex(), str(len(result.events))]
