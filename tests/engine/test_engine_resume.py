"""Checkpoints: mistakes, and that a run that goes on is the run that never stopped."""

from dataclasses import replace

import pytest

from basis.engine.simulation import checkpoint, simulate
from basis.errors import InputError
from support.kernel_view import RunView
from support.runs import run, settings
from support.small_markets import at_row, flows, market, pool, walk


def resumed(panel, row, config, made):
    """The rest of a run after a row."""
    kept = checkpoint(made.recording, at_row(panel, row))
    return RunView(simulate(config, panel.slice(row, len(panel) - 1), resume=kept))


def test_a_run_goes_on_bit_for_bit():
    panel = market(walk(60, 1))
    config = settings("btc_basis", {"flows": flows(panel, (20, 30_000.0), (35, -40_000.0))})
    made = RunView(simulate(config, panel))
    for row in (0, 1, 19, 20, 21, 35, 36, 58):
        rest = resumed(panel, row, config, made)
        assert rest.record[0].tobytes() == made.record[row].tobytes()
        assert rest.record[1:].tobytes() == made.record[row + 1 :].tobytes(), row
        assert rest.raw_events.tobytes() == made.events_after(row), row


def test_resuming_with_other_instruments_is_refused():
    panel = market(walk(20))
    made = run(panel)
    kept = checkpoint(made.recording, at_row(panel, 10))
    other = settings("btc_basis", {"strategy.hedge_allocation": {"binance": 0.5, "bybit": 0.5}})
    with pytest.raises(InputError, match=r"resume.*okx:Perp:BTCUSDT"):
        simulate(other, panel.slice(10, 19), resume=kept)


def test_resuming_another_mode_or_share_class_is_refused():
    panel = market(walk(20))
    kept = checkpoint(run(panel).recording)
    with pytest.raises(InputError, match="resume"):
        simulate(settings("pure_lending"), pool(20), resume=kept)
    with pytest.raises(InputError, match=r"resume.*ETH"):
        simulate(settings(), panel.slice(19, 19), resume=replace(kept, share_class="ETH"))


def test_a_market_that_begins_elsewhere_is_refused():
    panel = market(walk(20))
    kept = checkpoint(run(panel).recording, at_row(panel, 10))
    with pytest.raises(InputError, match=r"resume.*2024-05-29T11:00.*2024-05-29T10:00"):
        simulate(settings(), panel.slice(11, 19), resume=kept)


@pytest.mark.parametrize("instant", ["2024-05-28T23:00:00Z", "2024-07-01"])
def test_a_checkpoint_outside_the_run_is_refused(instant):
    made = run(market(walk(20)))
    with pytest.raises(InputError):
        checkpoint(made.recording, instant)


def test_a_checkpoint_of_a_resumed_run():
    panel = market(walk(40, 2))
    config = settings("btc_basis", {"flows": flows(panel, (15, -20_000.0))})
    made = RunView(simulate(config, panel))
    second = resumed(panel, 14, config, made)
    third = resumed(second.panel, 3, config, second)
    assert third.record[1:].tobytes() == made.record[18:].tobytes()


def test_a_checkpoint_of_a_run_from_positions():
    panel = market(walk(30, 2))
    one = {"wallet:BaseToken:USDT": 120_000.0}
    many = {"wallet:BaseToken:USDT": 50_000.0, "binance:BaseToken:BTC": 1.0}
    for start in (one, many):
        made = run(panel, positions=start)
        rest = resumed(panel, 10, settings(), made)
        assert rest.record[1:].tobytes() == made.record[11:].tobytes()


def test_flows_before_the_checkpoint_are_not_asked_again():
    panel = pool(40)
    config = settings("pure_lending", {"flows": flows(panel, (5, 7_000.0), (10, -3_000.0), (30, -4_000.0))})
    made = RunView(simulate(config, panel))
    for row in (4, 5, 9, 10, 11, 29, 30):
        rest = resumed(panel, row, config, made)
        assert rest.record[1:].tobytes() == made.record[row + 1 :].tobytes()
    assert made.flow.sum() == 0.0


def test_a_checkpoint_of_the_last_row_has_nothing_left_to_run():
    panel = market(walk(20))
    made = run(panel)
    kept = checkpoint(made.recording)
    assert kept.timestamp == int(panel.timestamps[-1])
    with pytest.raises(InputError):
        simulate(settings(), panel.slice(19, 19), resume=kept)
