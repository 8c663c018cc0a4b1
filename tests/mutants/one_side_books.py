"""Short books of perps on one side: entries with stops and take-profits, gaps, thin margins, signals."""

import numpy as np
from books import CASH, NEVER, at_venues, book, coins, deep, script, short_run, wave

import basis
from basis.market.panel import Panel


def with_signals(panel, signal, confidence=0.9, sd=0.004):
    rows = len(panel)
    for name, values in (("signal", signal), ("confidence", confidence), ("sd", sd)):
        panel.columns[f"{name}|BTC"] = np.broadcast_to(np.asarray(values, dtype=float), rows).copy()
    return panel


def one_side(acts, spot, start=None, wick=0.003, signal=0.0, policy=None, **more):
    panel = with_signals(coins(np.asarray(spot, dtype=float), wick=wick), signal)
    if more.get("execution__participation") or more.get("execution__impact"):
        panel = deep(panel, 200.0)
    start = start or at_venues({v: 31_000.0 + 2_000.0 * i for i, v in enumerate(CASH)}, {}, 0.0)
    return short_run("ml_directional", panel, script(*acts), start, {"max_drift": 1e200, **(policy or {})}, **more)


SIDES = (
    (1, "entry_full", "BTC long", 0.8, 0.02, 0.05),
    (3, "entry_partial", "BTC long", 0.3, 0.01, 0.01),
    (5, "exit_partial", "BTC long", 0.35),
    (8, "exit_full", "BTC long"),
    (9, "entry_full", "BTC short", 0.9, 0.03, 0.02),
    (12, "exit_partial", "BTC short", 0.2),
    (15, "entry_partial", "BTC short", 0.4, 0.006, 0.004),
    (20, "entry_full", "BTC long", 0.3, 0.5, 0.5),
    (22, "exit_full", "BTC short"),
)
SWING = np.interp(
    np.arange(26), [0, 2, 5, 7, 10, 13, 16, 19, 25], [6e4, 6e4, 61_500, 60_200, 60_000, 58_300, 60_100, 59_200, 60_900]
)


@book
def sides():
    return one_side(SIDES, SWING)


@book
def sides_next_bar():
    return one_side(SIDES, SWING, fill="next_bar", close_at_end=True)


@book
def sides_in_ether():
    start = {**at_venues({v: 31_000.0 + 2_000.0 * i for i, v in enumerate(CASH)}, {}, 0.0), "wallet:BaseToken:ETH": 2.0}
    return one_side(SIDES, SWING, start, share_class="ETH", initial_capital=30)


@book
def sides_by_volume():
    return one_side(SIDES, SWING, execution__participation=0.0007, execution__lots=True, execution__impact=0.3)


@book
def sides_never_liquidated():
    return one_side(SIDES, SWING, risk__simulate_liquidation=False, wick=0.02)


@book
def sides_with_thin_margin():
    start = at_venues({v: 2_100.0 - 300.0 * i for i, v in enumerate(CASH)}, {}, 0.0)
    acts = ((1, "entry_full", "BTC long", 1.2, 0.07, 0.09), (9, "entry_full", "BTC short", 0.9, 0.05, 0.08))
    spot = np.interp(np.arange(20), [0, 2, 5, 7, 10, 15, 19], [6e4, 6e4, 61_000, 57_900, 58_000, 60_900, 60_000])
    return one_side(acts, spot, start, wick=0.012, policy={"margin_low": 0.04, "margin_target": 0.05})


@book
def gaps():
    """The price jumps from row to row beyond stops, take-profits and what margin carries."""
    acts = (
        (1, "entry_full", "BTC long", 0.8, 0.02, 0.04),
        (5, "entry_full", "BTC long", 0.8, 0.02, 0.04),
        (9, "entry_full", "BTC short", 0.8, 0.02, 0.04),
        (13, "entry_full", "BTC short", 0.8, 0.02, 0.04),
        (17, "entry_full", "BTC short", 1.6, 0.3, 0.4),
    )
    steps = np.repeat([60_000.0, 58_000.0, 61_000.0, 63_000.0, 60_000.0, 94_000.0], [2, 4, 4, 4, 4, 2])
    panel = with_signals(coins(steps, wick=0.0), 0.0)
    # the extremes of the hour do not know of the jump
    columns = {
        name: np.zeros(20) if name.startswith("high|") else (np.full(20, 1e9) if name.startswith("low|") else x)
        for name, x in panel.columns.items()
    }
    start = at_venues({v: 21_000.0 + 2_000.0 * i for i, v in enumerate(CASH)}, {}, 0.0)
    panel = Panel.from_columns(panel.timestamps, 3600, columns)
    return short_run("ml_directional", panel, script(*acts), start, {"max_drift": 1e200})


@book
def signals():
    """What is asked by signals alone."""
    signal = np.repeat([0.0, 1.0, 1.0, -1.0, 0.0, 1.0], 3)
    panel = with_signals(coins(SWING[:18]), signal, np.tile([0.9, 0.2], 9), wave(18, 0.004, 0.3))
    start = at_venues({v: 31_000.0 + 2_000.0 * i for i, v in enumerate(CASH)}, {}, 0.0)

    @basis.compiled
    def follows(view, act):
        act.exit_full("BTC long")
        if view.signal > 0.0 and view.signal_trusted > 0.0:
            act.entry_full("BTC long", 0.2, view.stop_distance, view.take_profit_distance)
        elif view.signal < 0.0:
            act.entry_full("BTC short", 0.1, view.stop_distance, view.take_profit_distance)

    return short_run("ml_directional", panel, follows, start, {**NEVER})


@book
def stopped_while_others_wait():
    """A stop closes perps while an entry of the row before waits, and an exit that the market has not let end."""
    acts = (
        (1, "entry_full", "BTC long", 0.9, 0.02, 0.5),
        (4, "exit_partial", "BTC long", 0.8),
        (4, "entry_partial", "BTC short", 0.2, 0.3, 0.3),
        (5, "entry_partial", "BTC short", 0.1, 0.3, 0.3),
        (6, "entry_full", "BTC long", 0.4, 0.2, 0.2),
        (8, "entry_full", "BTC short", 0.9, 0.01, 0.5),
    )
    spot = np.interp(np.arange(14), [0, 4, 6, 8, 11, 13], [6e4, 6e4, 57_000, 57_500, 59_500, 59_000])
    return one_side(acts, spot, fill="next_bar", execution__participation=0.0004)


@book
def stopped_while_an_entry_goes_on():
    acts = (
        (1, "entry_full", "BTC long", 2.0, 0.015, 0.5),
        (8, "exit_partial", "BTC long", 0.1),
        (9, "exit_full", "BTC long"),
    )
    spot = np.interp(np.arange(14), [0, 3, 5, 8, 11, 13], [6e4, 6e4, 58_800, 58_500, 59_500, 59_000])
    return one_side(acts, spot, execution__participation=0.0006)


def stopped_at_one_venue(**more):
    """A wick meets a stop at one venue alone; what else the wallet holds moves the places of what is kept."""
    start = {**at_venues({v: 31_000.0 + 2_000.0 * i for i, v in enumerate(CASH)}, {}, 0.0), **more}
    # in the first hour every venue is looked at closely
    wick = np.where(np.arange(7) == 4, 0.003, 0.0)
    return one_side([(1, "entry_full", "BTC long", 0.8, 0.009, 0.5)], np.full(7, 60_000.0), start, wick)


@book
def stopped_at_the_last_venue():
    return stopped_at_one_venue()


@book
def stopped_at_the_last_venue_beside_ether():
    return stopped_at_one_venue(**{"wallet:BaseToken:ETH": 2.0})


@book
def stopped_at_the_last_venue_beside_tokens():
    return stopped_at_one_venue(**{"wallet:BaseToken:ETH": 2.0, "binance:BaseToken:BTC": 0.1})


@book
def sides_beside_another_market():
    """A second market a venue, in which the book only starts."""
    panel = with_signals(coins(SWING, bases=("BTC", "ETH")), 0.0)
    start = at_venues({}, {"binance": -1.0, "bybit": 2.0, "okx": -3.0}, 3_010.0, "ETH")
    start |= {CASH[v]: 31_000.0 + 2_000.0 * i for i, v in enumerate(CASH)}
    return short_run("ml_directional", panel, script(*SIDES), start, {"max_drift": 1e200})
