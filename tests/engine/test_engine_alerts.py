"""Alerts: when they are raised and lowered, and what their events say."""

import numpy as np
import pytest

import basis
from basis.errors import ConfigError
from support.kernel_view import RunView, alert_measures
from support.runs import FREE, run, settings
from support.small_markets import market, path, pool, steady

LIMITS = {"drawdown": {"warning": 0.01, "critical": 0.9}, "margin_ratio": {"warning": 0.45, "critical": 0.01}}


def test_every_change_of_a_level_is_an_event_with_what_it_was():
    panel = market(path((0, 60_000.0), (10, 60_000.0), (20, 66_000.0), (40, 58_000.0)))
    made = run(panel, overrides={**FREE, "risk.limits": LIMITS, "strategy.rebalance": False})
    assert len(made.events_of("alert")) > 0
    levels = dict.fromkeys(alert_measures(made.slots), 0.0)
    by_row = {}
    for e in made.events_of("alert"):
        assert e.quantity == levels[e.detail]
        assert e.level != levels[e.detail]
        levels[e.detail] = e.level
        by_row[e.row] = list(levels.values())
    for row, expected in by_row.items():
        assert made.alert_levels[:, row].tolist() == expected


def test_a_margin_alert_shows_the_ratio_and_its_venue():
    jump = np.where(np.arange(30) >= 10, 0.05, 0.0)
    panel = market(steady(30), basis={"binance": 0.0, "bybit": jump, "okx": 0.0})
    made = run(panel, overrides={**FREE, "risk.limits": LIMITS, "strategy.rebalance": False})
    raised = made.events_of("alert")
    assert raised.detail.tolist() == ["margin_ratio|bybit"]
    assert raised[0].row == 10
    assert raised[0].amount == made.margin_ratio("bybit")[10]


def test_the_event_of_a_drawdown_is_shown_in_its_own_unit():
    """A fraction; equity in the share class would be another number."""
    panel = market(steady(40), every=10, rate=-0.02)
    config = settings("btc_basis", {**FREE, "risk.limits": {"drawdown": {"warning": 0.01, "critical": 0.9}}})
    result = basis.backtest(config, panel)
    made = RunView(result._recording)
    raised = made.events_of("alert")
    peak = np.maximum.accumulate(made.equity)
    row = raised[0].row
    assert abs(raised[0].amount - (1.0 - made.equity[row] / peak[row])) < 1e-12
    detail = result.events.query("kind == 'alert'").detail.iloc[0]
    assert detail.startswith("drawdown")
    assert "USDT" not in detail


def test_the_event_of_a_delta_is_shown_in_its_own_unit():
    start = {"binance:BaseToken:BTC": 1.0, "binance:BaseToken:USDT": 40_000.0}
    limits = {"net_delta_ratio|BTC": {"warning": 0.1, "critical": 0.9}}
    config = settings("btc_basis", {**FREE, "risk.limits": limits, "strategy.rebalance": False})
    result = basis.backtest(config, market(steady(4)), positions=start)
    detail = result.events.query("kind == 'alert'").detail.iloc[0]
    assert "0.6" in detail  # 60,000 of 100,000
    assert not detail.partition(" (was")[0].endswith("BTC")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net_delta_ratio|DOGE", "net_delta_ratio|DOGE is of DOGE, .* Allowed for net_delta_ratio: BTC"),
        ("net_delta_ratio|btc", "Did you mean net_delta_ratio|BTC"),
        ("margin_ratio|okx", "margin_ratio|okx is of okx, .* Allowed for margin_ratio: binance, bybit"),
    ],
)
def test_limits_of_what_the_book_does_not_have_are_refused(name, words):
    overrides = {
        "risk.limits": {name: {"warning": 0.1, "critical": 0.1}},
        "strategy.hedge_allocation": {"binance": 0.5, "bybit": 0.5},
    }
    with pytest.raises(ConfigError, match=words.replace("|", r"\|")):
        run(market(steady(5)), overrides=overrides)
    with pytest.raises(ConfigError, match=r"It has nothing with a margin_ratio\."):
        run(pool(5), "pure_lending", {"risk.limits": {"margin_ratio|okx": {"warning": 0.1, "critical": 0.1}}})
