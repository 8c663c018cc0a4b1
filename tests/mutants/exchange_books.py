"""Short books at exchanges: spot hedged with perps, what is liquidated, funded, paid out, when a strategy is asked."""

import numpy as np
from books import (
    CASH,
    NEVER,
    SPOT,
    WALLET,
    at_venues,
    book,
    coins,
    deep,
    perp,
    script,
    short_run,
    wave,
    whenever_asked,
)

import basis
from basis.market.panel import Panel
from support.small_markets import flows

#: Capital that is at its venues within the row.
AT_ONCE = {"transfers__instant": True}
#: What is entered and left again, in odd steps; the margin first.
TO_AND_FRO = (
    (0, "entry_full", "USDT", 31_000.0),
    (2, "entry_full", "BTC", 0.7),
    (5, "entry_partial", "BTC", 0.2),
    (6, "entry_partial", "USDT", 37_000.0),
    (8, "exit_partial", "BTC", 0.17),
    (9, "exit_partial", "BTC", 0.0),
    (10, "exit_partial", "USDT", 3_000.0),
    (12, "exit_partial", "USDT", 1_500.0),
    (14, "entry_full", "BTC", 0.13),
    (19, "exit_full", "BTC"),
    (21, "exit_full", "USDT", 90_000.0),
)
STEEP = np.interp(np.arange(26), [0, 8, 11, 20, 25], [60_000.0, 61_000.0, 78_000.0, 70_000.0, 73_000.0])


def hedge(**more):
    panel = coins(wave(26, 60_000.0, 0.012, 0.3, 0.0011))
    paid = flows(panel, (3, 8_000.0), (7, -4_000.0), (17, -21_000.0), (23, -900_000.0))
    return short_run("btc_basis", panel, script(*TO_AND_FRO), flows=paid, **more)


@book
def hedged():
    return hedge()


@book
def hedged_next_bar():
    return hedge(fill="next_bar", close_at_end=True)


@book
def hedged_at_once():
    return hedge(**AT_ONCE, start_venue="binance", costs__enabled=False)


def limited(volume=500.0, **more):
    panel = deep(coins(wave(26, 60_000.0, 0.012, 0.3, 0.0011)), volume)
    return short_run("btc_basis", panel, script(*TO_AND_FRO), **AT_ONCE, **more)


@book
def hedged_at_one_venue():
    return hedge(strategy__hedge_allocation={"binance": 1.0})


@book
def in_lots():
    return limited(execution__lots=True, execution__impact=0.7)


@book
def by_volume():
    return limited(160.0, execution__participation=0.001, execution__lots=True, execution__impact=0.2)


@book
def by_volume_next_bar():
    return limited(160.0, execution__participation=0.0013, fill="next_bar")


@book
def resting():
    return limited(fill="next_bar", execution__orders="maker", execution__impact=0.3)


@book
def dry_hours():
    """Hours without any volume, in which nothing can be entered, left or rolled."""
    panel = deep(coins(wave(20, 60_000.0, 0.012, 0.3, -0.004)), 300.0, 1.6)
    acts = (
        (1, "entry_full", "USDT", 40_000.0),
        (2, "entry_full", "BTC", 0.5),
        (3, "entry_partial", "BTC", 0.1),
        (9, "exit_partial", "USDT", 25_000.0),
        (10, "exit_partial", "USDT", 25_000.0),
        (13, "exit_full", "BTC"),
    )
    return short_run("btc_basis", panel, script(*acts), **AT_ONCE, execution__participation=0.002)


TWO = {
    WALLET: 41_000.0,
    SPOT: 1.0,
    **at_venues(
        {"binance": 30_000.0, "bybit": 320_000.0, "okx": 4_000.0},
        {"binance": -1.0, "bybit": 0.5, "okx": -0.2},
        60_100.0,
    ),
    **at_venues({}, {"binance": -20.0, "bybit": -190.0, "okx": 3.0}, 3_020.0, "ETH"),
}
TWO = {**TWO, CASH["binance"]: 30_000.0, CASH["bybit"]: 320_000.0, CASH["okx"]: 4_000.0}


@book
def two_coins():
    """Two markets a venue, in tiers of several sizes; a wick liquidates one venue, another is left."""
    panel = coins(
        wave(24, 60_000.0, 0.02, 0.3), eth=wave(24, 3_010.0, 0.03, 1.0), usdt=wave(24, 0.999, 0.002, 2.0),
        bases=("BTC", "ETH"),
    )  # fmt: skip
    spiked = panel.columns[f"high|{perp('bybit', 'ETH')}"].copy()
    spiked[15] *= 1.5
    panel.columns[f"high|{perp('bybit', 'ETH')}"] = spiked
    acts = ((4, "exit_partial", "BTC", 0.31), (7, "exit_partial", "USDT", 9_000.0), (9, "entry_partial", "BTC", 0.1))
    return short_run("btc_basis", panel, script(*acts, (20, "exit_full", "BTC")), TWO, close_at_end=True)


@book
def two_coins_in_ether():
    panel = coins(wave(24, 60_000.0, 0.02, 0.3), eth=wave(24, 3_010.0, 0.03, 1.0), bases=("BTC", "ETH"), wick=0.03)
    start = {**TWO, "wallet:BaseToken:ETH": 3.0}
    acts = ((4, "exit_partial", "BTC", 0.31), (7, "exit_partial", "USDT", 9_000.0), (9, "entry_partial", "USDT", 2e4))
    return short_run("btc_basis", panel, script(*acts), start, share_class="ETH", initial_capital=100)


@book
def three_coins():
    """Three markets a venue, the third of them with tiers of its own."""
    brackets = [[50_000, 0.01, 0, 50], [200_000, 0.02, 500, 25], [1e9, 0.05, 6_500, 10]]
    dated = {"SOLUSDT": [{"from": "2024-01-01", "brackets": brackets, "source": "test"}]}
    slips = {"SOLUSDT": [{"from": "2024-01-01", "buckets": [[None, 3]], "source": "test"}]}
    spot = np.interp(np.arange(16), [0, 4, 9, 15], [60_000.0, 60_500.0, 74_000.0, 70_000.0])
    panel = coins(spot, eth=wave(16, 3_010.0, 0.03, 1.0), bases=("BTC", "ETH", "SOL"), wick=0.004)
    start = {
        SPOT: 1.0,
        **at_venues({}, {"binance": -1.0, "okx": -0.2}, 60_100.0),
        **at_venues({}, {"binance": -20.0, "okx": 3.0, "bybit": 4.0}, 3_020.0, "ETH"),
        **at_venues({}, {"binance": 110.0, "bybit": -900.0, "okx": -700.0}, 151.0, "SOL"),
        CASH["binance"]: 40_000.0, CASH["bybit"]: 28_000.0, CASH["okx"]: 45_000.0,
    }  # fmt: skip
    acts = ((2, "exit_partial", "BTC", 0.31), (3, "exit_partial", "USDT", 9_000.0), (12, "entry_partial", "USDT", 9e4))
    more = {f"venues__{venue}__tiers__SOLUSDT": dated["SOLUSDT"] for venue in CASH}
    more |= {f"venues__{venue}__perp_slippage__SOLUSDT": slips["SOLUSDT"] for venue in CASH}
    return short_run("btc_basis", panel, script(*acts), start, **more)


THIN = {
    WALLET: 9_000.0,
    SPOT: 1.5,
    **at_venues(
        {"binance": 11_000.0, "bybit": 5_500.0, "okx": 9_000.0}, {"binance": -0.8, "bybit": -0.3, "okx": 0.4}, 60_000.0
    ),
}


ALERTS = {
    "margin_ratio": {"warning": 0.3, "critical": 0.12},
    "net_delta_ratio": {"warning": 0.25, "critical": 0.8},
    "drawdown": {"warning": 0.01, "critical": 0.2},
}


@book
def liquidated():
    return short_run("btc_basis", coins(STEEP, wick=0.01), whenever_asked("entry_partial", "USDT", 9_000.0), THIN)


@book
def liquidated_in_ether():
    start = {**THIN, "wallet:BaseToken:ETH": 0.4}
    more = {"share_class": "ETH", "initial_capital": 30, "risk__limits": ALERTS}
    return short_run("btc_basis", coins(STEEP, wick=0.01), script((3, "exit_partial", "BTC", 0.2)), start, **more)


@book
def liquidated_at_marks():
    """Extremes that are not known: the check at the row's own marks has to see it."""
    panel = coins(STEEP)
    columns = {name: np.zeros(26) if name.startswith("high|") else x for name, x in panel.columns.items()}
    panel = Panel.from_columns(panel.timestamps, 3600, columns)
    # money that comes in the same row is measured by what the liquidation has left
    return short_run("btc_basis", panel, script(), THIN, flows=flows(panel, (11, 30_000.0), (12, -500.0)))


@book
def never_liquidated():
    return short_run("btc_basis", coins(STEEP), script(), THIN, risk__simulate_liquidation=False)


@book
def alarmed():
    """Every measure goes beyond its limits and back; while one is critical nothing is opened."""
    spot = np.interp(np.arange(24), [0, 8, 12, 20, 23], [60_000.0, 61_000.0, 69_000.0, 50_000.0, 52_000.0])
    acts = tuple((row, "entry_partial", "BTC", 0.02) for row in range(2, 22, 2))
    more = ((3, "entry_partial", "USDT", 12_000.0), (13, "exit_partial", "BTC", 0.3))
    return short_run("btc_basis", coins(spot), script(*acts, *more), THIN, risk__limits=ALERTS)


@book
def alarmed_but_free():
    acts = tuple((row, "entry_partial", "BTC", 0.02) for row in range(2, 22, 2))
    return short_run("btc_basis", coins(STEEP), script(*acts), THIN, risk__limits=ALERTS, strategy__rebalance=False)


@book
def rolled():
    """Profit that is locked has to be rolled before it can be sent home."""
    spot = np.interp(np.arange(24), [0, 6, 20, 23], [60_000.0, 60_000.0, 33_000.0, 34_000.0])
    start = {
        SPOT: 1.0,
        **at_venues({v: 300.0 + 200.0 * i for i, v in enumerate(CASH)},
                    {v: -0.3 - 0.02 * i for i, v in enumerate(CASH)}, 60_500.0),
    }  # fmt: skip
    acts = (
        (15, "exit_partial", "USDT", 5_000.0),
        (18, "exit_partial", "USDT", 2_500.0),
        (21, "exit_full", "USDT", 1e5),
    )
    panel = coins(spot)
    return short_run("btc_basis", panel, script(*acts), start, flows=flows(panel, (14, -3_000.0), (20, -70_000.0)))


@book
def evened_out():
    """Margin goes from venues that have too much to those that lack it; the wallet has none."""
    start = {SPOT: 0.9, **at_venues({"binance": 61_000.0, "bybit": 2_900.0, "okx": 800.0},
                                    {"binance": -0.45, "bybit": -0.27, "okx": -0.18}, 60_300.0)}  # fmt: skip
    acts = (
        (1, "entry_partial", "USDT", 27_000.0),
        (6, "entry_full", "USDT", 52_000.0),
        (9, "entry_partial", "BTC", 0.2),
    )
    more = ((12, "entry_partial", "USDT", 20_000.0), (14, "exit_partial", "BTC", 0.4), (15, "entry_full", "BTC", 0.5))
    return short_run("btc_basis", coins(wave(18, 60_000.0, 0.012, 0.3)), script(*acts, *more), start)


@book
def crowded():
    """More is called back than the transit queue holds, with cents that are not worth their fee."""
    start = at_venues({v: 5_000.0 + 700.0 * i for i, v in enumerate(CASH)}, {}, 0.0)
    slow = {f"venues__{v}__latency__withdrawal": f"{15 + i}h" for i, v in enumerate(CASH)}
    acts = [(row, "exit_partial", "USDT", 110.0 + row if row % 4 else 0.7) for row in range(18)]
    panel = coins(wave(24, 60_000.0, 0.012, 0.3))
    paid = flows(panel, (4, -2_000.0), (6, -1_000.0), (20, -15_500.0))
    return short_run("btc_basis", panel, script(*acts), start, flows=paid, **slow)


@book
def owed():
    """Withdrawals of more than there is, with cash at a venue that is too little to be sent."""
    start = {WALLET: 5_000.0, CASH["binance"]: 1.3, CASH["bybit"]: 1.9, CASH["okx"]: 0.4}
    panel = coins(wave(12, 60_000.0, 0.012, 0.3))
    paid = flows(panel, (2, -1_500.0), (3, -200.0), (5, 700.0), (6, -90_000.0), (8, 300.0), (9, -250.0))
    return short_run("btc_basis", panel, script(), start, flows=paid)


# --- when a strategy is asked ----------------------------------------------------------------------------------------


def asked(strategy=None, positions=None, policy=None, panel=None, **more):
    """A run in whose rows something small is traded whenever the strategy is asked."""
    start = {
        SPOT: 0.9,
        **at_venues({v: 17_000.0 for v in CASH}, {v: -0.29 - 0.02 * i for i, v in enumerate(CASH)}, 60_100.0),
    }
    panel = panel or coins(wave(20, 60_000.0, 0.012, 0.3, 0.0013))
    strategy = strategy or whenever_asked("exit_partial", "BTC", 0.004)
    return short_run("btc_basis", panel, strategy, positions or start, policy, **more)


@book
def asked_by_little_invested():
    return asked(policy={**NEVER, "min_invested": 0.515})


@book
def asked_by_much_invested():
    return asked(policy={**NEVER, "max_invested": 0.52})


@book
def asked_by_low_margin():
    return asked(policy={**NEVER, "margin_low": 0.9})


@book
def asked_by_high_margin():
    return asked(policy={**NEVER, "margin_high": 0.99})


@book
def asked_by_drift():
    return asked(policy={**NEVER, "max_drift": 0.01495})


@book
def asked_by_rate():
    panel = coins(wave(20, 60_000.0, 0.012, 0.3))
    rule = {"enabled": True, "enter": 0.06, "leave": 0.0, "window": "24h"}

    @basis.compiled
    def in_and_out(view, act):
        if view.rate > view.policy.enter_rate:
            view.memory[0] = 1.0
        elif view.rate < view.policy.leave_rate:
            view.memory[0] = 0.0
        act.exit_partial("BTC", 0.004 + 0.001 * view.memory[0])

    return asked(in_and_out, policy=NEVER, panel=panel, strategy__rate_rule=rule)


@book
def asked_for_two_reasons():
    """Every condition holds beside one that always does: what is asked twice is still asked."""
    rule = {"enabled": True, "enter": 0.06, "leave": 0.0, "window": "24h"}
    always = {**NEVER, "min_invested": 1e200, "max_invested": -1e200, "margin_low": 0.92, "max_drift": 0.0149}
    panel = coins(wave(12, 60_000.0, 0.012, 0.3))
    more = {"strategy__rate_rule": rule, "flows": flows(panel, (4, -300.0))}
    return asked(policy=always, panel=panel, **more)


@book
def asked_for_margin_and_drift():
    return asked(policy={**NEVER, "margin_low": 0.92, "max_drift": 0.0149})


@book
def asked_in_every_row_and_for_margin():
    return asked(policy={**NEVER, "margin_high": 0.92, "every_row": 1.0})


@book
def asked_at_the_end():
    panel = coins(wave(9, 60_000.0, 0.012, 0.3))
    paid = flows(panel, (3, 500.0), (5, -300.0))
    return asked(policy=NEVER, panel=panel, close_at_end=True, flows=paid)


@book
def asked_next_bar():
    panel = coins(wave(9, 60_000.0, 0.012, 0.3))
    paid = flows(panel, (3, 500.0), (5, -300.0))
    more = {
        "fill": "next_bar",
        "close_at_end": True,
        "risk__limits": {"drawdown": {"warning": 0.0002, "critical": 0.002}},
    }
    return asked(policy=NEVER, panel=panel, flows=paid, **more)
