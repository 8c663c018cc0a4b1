"""Alerts: when they are raised and lowered, and what their events say."""

import numpy as np
from made_markets import FREE, Run, market, path, run, settings, steady

import basis
from basis.kernel import layout as at

LIMITS = {"drawdown": {"warning": 0.01, "critical": 0.9}, "margin_ratio": {"warning": 0.45, "critical": 0.01}}


def measure_of(made):
    """Index of a measure by name."""
    slots = made.slots
    names = ["ltv", "health_factor", *(f"margin_ratio|{v}" for v in slots.venues)]
    names += [*(f"net_delta_ratio|{a}" for a in slots.assets), "drawdown"]
    return {name: j for j, name in enumerate(names)}


def test_every_change_of_a_level_is_an_event_with_what_it_was():
    panel = market(path((0, 60_000.0), (10, 60_000.0), (20, 66_000.0), (40, 58_000.0)))
    made = run(panel, overrides={**FREE, "risk.limits": LIMITS, "strategy.rebalance": False})
    assert len(made.of(at.ALERTED)) > 0
    levels = np.zeros(len(measure_of(made)))
    by_row = {}
    for e in made.of(at.ALERTED):
        code = int(e[at.E_CODE])
        assert e[at.E_QUANTITY] == levels[code]
        assert e[at.E_LEVEL] != levels[code]
        levels[code] = e[at.E_LEVEL]
        by_row[int(e[at.E_ROW])] = levels.copy()
    for row, expected in by_row.items():
        assert (made.book.alert[:, row] == expected).all()


def test_a_margin_alert_shows_the_ratio_and_its_venue():
    jump = np.where(np.arange(30) >= 10, 0.05, 0.0)
    panel = market(steady(30), basis={"binance": 0.0, "bybit": jump, "okx": 0.0})
    made = run(panel, overrides={**FREE, "risk.limits": LIMITS, "strategy.rebalance": False})
    raised = made.of(at.ALERTED)
    assert raised[:, at.E_CODE].tolist() == [measure_of(made)["margin_ratio|bybit"]]
    assert raised[0, at.E_ROW] == 10
    assert raised[0, at.E_AMOUNT] == made.margin("bybit")[10]


def test_the_event_of_a_drawdown_is_told_in_its_own_unit():
    """A fraction; equity in the share class would be another number."""
    panel = market(steady(40), every=10, rate=-0.02)
    config = settings("btc_basis", {**FREE, "risk.limits": {"drawdown": {"warning": 0.01, "critical": 0.9}}})
    result = basis.backtest(config, panel)
    made = Run(result._recording)
    raised = made.of(at.ALERTED)
    peak = np.maximum.accumulate(made.equity)
    row = int(raised[0, at.E_ROW])
    assert abs(raised[0, at.E_AMOUNT] - (1.0 - made.equity[row] / peak[row])) < 1e-12
    detail = result.events.query("kind == 'alert'").detail.iloc[0]
    assert detail.startswith("drawdown")
    assert "USDT" not in detail


def test_the_event_of_a_delta_is_told_in_its_own_unit():
    start = {"binance:BaseToken:BTC": 1.0, "binance:BaseToken:USDT": 40_000.0}
    limits = {"net_delta_ratio|BTC": {"warning": 0.1, "critical": 0.9}}
    config = settings("btc_basis", {**FREE, "risk.limits": limits, "strategy.rebalance": False})
    result = basis.backtest(config, market(steady(4)), positions=start)
    detail = result.events.query("kind == 'alert'").detail.iloc[0]
    assert "0.6" in detail  # 60,000 of 100,000
    assert not detail.partition(" (was")[0].endswith("BTC")
