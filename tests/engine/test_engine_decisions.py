"""Decisions of strategies in plain Python: what they may say, and how they are told what they may not."""

import asyncio

import numpy as np
import pytest

import basis
from basis import Action, Decision, EventDrivenStrategyEngine
from basis.errors import EngineError, InputError
from basis.strategies.manager import BadDecision
from support.kernel_view import asked_in_every_row, state_bits
from support.runs import settings
from support.small_markets import market, pool, walk

DRIVERS = ("kernel", "event")
#: What a strategy may not decide → what it is reported.
BAD = {
    "an unknown action": ([Action("buy", "BTC", 1.0)], ["'buy'", "entry_full", "entry_partial", "exit_full"]),
    "dust that is none": ([Action("sell_dust", "BTC", 1.0)], ["sell_dust BTC", "only dust"]),
    "no action": ([Action("", "BTC", 1.0)], ["''", "entry_full"]),
    "an unknown asset": ([Action("entry_full", "DOGE", 1.0)], ["entry_full", "'DOGE'", "BTC, USDT"]),
    "an amount that is none": ([Action("entry_full", "BTC", np.nan)], ["entry_full BTC", "nan", "finite, >= 0"]),
    "an infinite amount": ([Action("entry_full", "BTC", np.inf)], ["entry_full BTC", "inf", "finite, >= 0"]),
    "an amount below 0": ([Action("exit_partial", "USDT", -0.5)], ["exit_partial USDT", "-0.5", "finite, >= 0"]),
    "too many": ([Action("entry_full", "BTC", 0.1)] * 9, ["9 actions", "at most 8"]),
    "too much to remember": (Decision((), (1.0,) * 5), ["5 numbers", "at most 4"]),
    "a word": ("exit_full", ["'exit_full'", "Decision", "list of Action"]),
    "a number": (7, ["7", "Decision"]),
    "pairs": ([("exit_full", "BTC")], ["exit_full", "list of Action"]),
    "a good one after a bad one": (
        [Action("entry_full", "USDT", 1.0), Action("entry_full", "EUR", 1.0)], ["'EUR'"],
    ),
}  # fmt: skip


def says(decision, row=3):
    """A strategy that says it in a row."""

    class Says(basis.StrategyManager):
        @classmethod
        def definition(cls, strategy):
            return asked_in_every_row(strategy)

        def make_decision(self, timestamp=None, market_data=None):
            return decision if self.run.state.row == row else None

    return Says


def new_engine(panel=None, mode="btc_basis", **more):
    panel = market(walk(10, 1)) if panel is None else panel
    return EventDrivenStrategyEngine(settings(mode), "backtest", panel, 100_000.0, "USDT", **more)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_decision_is_reported_with_its_row(name, driver):
    decision, words = BAD[name]
    engine = new_engine(components={"strategy_manager": says(decision)})
    with pytest.raises(EngineError) as caught:
        asyncio.run(engine.run_backtest(driver=driver))
    message = str(caught.value)
    assert message.startswith("strategy_manager failed in row 3 (2024-05-29T03:00:00Z): ")
    for word in words:
        assert word in message
    assert isinstance(caught.value.__cause__, BadDecision)
    assert asyncio.run(engine.get_status())["health"]["components"]["strategy_manager"]["status"] == "unhealthy"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_decision_by_hand_is_wrong_input_and_changes_nothing(name):
    decision, words = BAD[name]
    engine = new_engine()

    async def go():
        await engine.run_backtest()
        before = dict(await engine.position_monitor.get_snapshot())
        with pytest.raises(InputError) as caught:
            await engine.execute_decision(decision)
        return str(caught.value), before, dict(await engine.position_monitor.get_snapshot())

    message, before, after = asyncio.run(go())
    for word in words:
        assert word in message
    assert after == before


@pytest.mark.parametrize("driver", DRIVERS)
def test_assets_are_those_of_the_mode(driver):
    engine = new_engine(pool(10), "pure_lending", components={"strategy_manager": says([Action("exit_full", "BTC")])})
    with pytest.raises(EngineError, match=r"exit_full: no asset 'BTC' in this strategy\. .*Allowed: USDT\."):
        asyncio.run(engine.run_backtest(driver=driver))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "decision",
    [
        [Action("exit_full", "BTC")],
        (Action("exit_partial", "BTC", 1e9),),
        Decision((Action("exit_partial", "USDT", 0.0),)),
        [Action("entry_partial", "USDT", np.float64(5.0)), Action("entry_partial", "BTC", 1)],
        [Action("exit_full", "BTC")] * 8,
    ],
)
def test_whatever_can_be_decided_can_be_carried_out(decision, driver):
    """Even where there is nothing to leave: what sends no order is no error, and no event."""
    result = basis.backtest(settings(), market(walk(10, 1)), driver=driver, strategy=says(decision))
    assert result.status == "complete"
    decided = result.events.query("kind == 'decision'").action.tolist()
    sent = result.events.query("kind in ['order', 'reject']").action.unique().tolist()
    assert set(decided) == set(sent) <= {action.action for action in getattr(decision, "actions", decision)}


def test_a_decision_is_true_where_there_is_something_to_do():
    assert not Decision()
    assert not Decision(memory=(1.0,))
    assert Decision((Action("exit_full", "BTC"),))
    assert Action("exit_full", "BTC").amount == 0.0
    with pytest.raises(AttributeError):
        Action("exit_full", "BTC").amount = 5.0


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_strategy_remembers_comes_back(driver):
    reported = []

    class Counts(basis.StrategyManager):
        definition = classmethod(lambda cls, strategy: says(None).definition(strategy))

        def make_decision(self, timestamp=None, market_data=None):
            reported.append(self.view.memory)
            row = self.run.state.row
            # None keeps it, and so does a decision that says nothing of it
            return (None, Decision(), Decision((), (float(row), 0.5)))[row % 3]

    basis.backtest(settings(), market(walk(9)), driver=driver, strategy=Counts)
    assert [memory[:2] for memory in reported] == [(0.0, 0.0)] * 3 + [(2.0, 0.5)] * 3 + [(5.0, 0.5)] * 3


def test_asking_the_strategy_changes_nothing():
    engine = new_engine(market(walk(30, 1, 0.02)))

    async def go():
        await engine.run_backtest()
        before = state_bits(engine.run.state)
        decisions = {repr(await engine.strategy_manager.make_decision()) for _ in range(3)}
        return before, decisions

    before, decisions = asyncio.run(go())
    assert state_bits(engine.run.state) == before
    assert len(decisions) == 1


@pytest.mark.parametrize("wrong", ["btc_basis", 7, dict, object()])
def test_a_strategy_that_is_none_is_reported_what_may_be_given(wrong):
    with pytest.raises(InputError, match=r"strategy is .*StrategyManager"):
        basis.backtest(settings(), market(walk(5)), strategy=wrong)
    if not isinstance(wrong, type):
        with pytest.raises(InputError, match=r"strategy is .*StrategyManager"):
            new_engine(strategy=wrong)
