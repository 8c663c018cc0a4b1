"""Short books on chain: staking, leverage, rewards, and hedges with their long leg in the wallet."""

import numpy as np
from books import (
    CASH,
    DEBT,
    ETHER,
    POOL,
    TOKEN,
    WALLET,
    at_venues,
    book,
    chain,
    deep,
    script,
    short_run,
    wave,
    whenever_asked,
    with_cap,
)

from support.reward_runs import with_rewards
from support.small_markets import flows

#: A swap costs a fee beside its slippage; the queue of the protocol is a short one.
FEES = {"venues__uniswap_v3__spot_fee__taker": 0.0007, "venues__etherfi__latency__withdrawal": "3h"}
AT_MARKET = {"strategy__stake_route": "market", **FEES}


def rewarded(panel, price=0.0012):
    """The market with two kinds of reward tokens."""
    rows = len(panel)
    made = with_rewards(panel, ((5, 0.004), (9, 0.003), (14, 0.005)), wave(rows, price, 0.2, 1.0), step=3)
    return with_rewards(made, ((7, 0.002), (9, 0.001)), wave(rows, 0.7 * price, 0.2, 2.0), "ETHFI", step=2)


# --- staking ---------------------------------------------------------------------------------------------------------

STAKING = (
    (0, "entry_full", "ETH", 60.0),
    (3, "entry_partial", "ETH", 20.0),
    (5, "exit_partial", "ETH", 15.0),
    (7, "entry_partial", "ETH", 500.0),
    (9, "exit_partial", "ETH", 30.0),
    (11, "entry_partial", "ETH", 0.0),
    (12, "sell_dust"),
    (15, "exit_full", "ETH"),
    (16, "exit_full", "ETH"),
)


def staked(positions=None, **more):
    panel = rewarded(chain(19))
    paid = flows(panel, (2, 7.0), (6, -4.0), (13, -20.0))
    given = {"initial_capital": 100, "rewards__enabled": True, "strategy__dust_threshold": 0.1, **FEES, **more}
    return short_run("eth_staking_only", panel, script(*STAKING), positions, flows=paid, **given)


@book
def staked_at_protocol():
    return staked()


@book
def staked_at_market():
    return staked(**AT_MARKET)


@book
def staked_at_oracle():
    return staked(valuation="oracle", **AT_MARKET)


@book
def staked_next_bar():
    return staked(fill="next_bar", close_at_end=True)


@book
def staked_without_market():
    panel = chain(9, peg=np.array([1.0, 1.0, np.nan, np.nan, 1.0, 1.0, 1.0, 1.0, 1.0]))
    acts = ((0, "entry_full", "ETH", 60.0), (2, "entry_partial", "ETH", 20.0), (3, "exit_full", "ETH"))
    more = {"initial_capital": 100, "valuation": "oracle", **AT_MARKET}
    return short_run("eth_staking_only", panel, script(*acts, (5, "exit_partial", "ETH", 9.0)), **more)


@book
def staked_in_dollars():
    panel = rewarded(chain(16))
    start = {WALLET: 9_000.0, ETHER: 10.0, TOKEN: 5.0}
    acts = (
        (1, "entry_partial", "ETH", 7.0),
        (4, "exit_partial", "ETH", 3.0),
        (9, "sell_dust"),
        (12, "exit_full", "ETH"),
    )
    more = {"share_class": "USDT", "rewards__enabled": True, **AT_MARKET}
    return short_run("eth_staking_only", panel, script(*acts), start, **more)


@book
def asked_by_dust():
    panel = rewarded(chain(16))
    policy = {"min_invested": -1e200, "max_drift": 1e200}
    more = {"initial_capital": 100, "rewards__enabled": True, "strategy__dust_threshold": 0.0004, **FEES}
    start = {ETHER: 40.0, TOKEN: 60.0}
    return short_run("eth_staking_only", panel, whenever_asked("entry_partial", "ETH", 0.3), start, policy, **more)


@book
def many_on_their_way():
    """More unstakings than the transit queue holds."""
    acts = [(row, "exit_partial", "ETH", 1.0 + 0.1 * row) for row in range(27)]
    more = {"initial_capital": 100, "venues__etherfi__latency__withdrawal": "26h"}
    return short_run("eth_staking_only", chain(30), script(*acts), {ETHER: 4.0, TOKEN: 96.0}, **more)


# --- leverage --------------------------------------------------------------------------------------------------------

LEVERED = {ETHER: 3.0, TOKEN: 0.2, POOL: 100.0, DEBT: 74.0}


def levered(*acts, positions=None, rows=14, panel=None, **more):
    given = {"initial_capital": 100, **FEES, **more}
    panel = panel or chain(rows)
    return short_run("eth_leveraged", panel, script(*acts), positions, **given)


UP_AND_DOWN = (
    (0, "entry_full", "ETH", 40.0),
    (2, "entry_partial", "ETH", 15.0),
    (4, "entry_partial", "ETH", 200.0),
    (5, "exit_partial", "ETH", 0.0),
    (6, "exit_partial", "ETH", 8.0),
    (8, "exit_partial", "ETH", 21.0),
    (10, "exit_full", "ETH"),
    (12, "exit_full", "ETH"),
)


@book
def levered_by_staking():
    return levered(*UP_AND_DOWN)


@book
def levered_with_less_than_gas():
    return levered(
        (0, "entry_full", "ETH", 0.001), (1, "entry_partial", "ETH", 2.0), (2, "entry_partial", "ETH", 0.001)
    )


@book
def levered_at_market():
    return levered(*UP_AND_DOWN, **AT_MARKET)


@book
def levered_at_oracle():
    return levered(*UP_AND_DOWN, valuation="oracle", **AT_MARKET)


@book
def levered_next_bar():
    return levered(*UP_AND_DOWN, fill="next_bar", close_at_end=True)


@book
def levered_by_hand():
    acts = ((0, "entry_full", "ETH", 40.0), (3, "entry_partial", "ETH", 5.0), (5, "exit_partial", "ETH", 0.0))
    more = ((6, "exit_partial", "ETH", 4.0), (8, "entry_partial", "ETH", 0.0), (10, "exit_full", "ETH"))
    return levered(*acts, *more, strategy__loop_steps=4)


@book
def levered_by_hand_at_market():
    acts = ((0, "entry_partial", "ETH", 2.0), (3, "exit_partial", "ETH", 25.0))
    return levered(*acts, positions=LEVERED, strategy__loop_steps=3, **AT_MARKET)


@book
def delevered():
    """A loan beyond its target: by a bundle, out of the wallet, by ether that is asked for."""
    start = {**LEVERED, DEBT: 88.0}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "exit_partial", "ETH", 2.0), (5, "entry_partial", "ETH", 1.0))
    more = ((7, "exit_partial", "ETH", 30.0), (9, "exit_full", "ETH"))
    return levered(*acts, *more, positions=start)


@book
def delevered_out_of_the_wallet():
    start = {ETHER: 60.0, POOL: 100.0, DEBT: 86.0}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "entry_partial", "ETH", 20.0), (5, "entry_partial", "ETH", 0.0))
    return levered(*acts, positions=start)


@book
def far_beyond_its_target():
    start = {ETHER: 2.0, POOL: 100.0, DEBT: 90.0}
    acts = ((1, "entry_partial", "ETH", 1.5), (3, "exit_partial", "ETH", 9.5), (5, "exit_full", "ETH"))
    return levered(*acts, positions=start, **AT_MARKET)


@book
def below_its_target():
    start = {ETHER: 1.0, POOL: 100.0, DEBT: 20.0}
    acts = ((1, "exit_partial", "ETH", 9.0), (3, "exit_partial", "ETH", 40.0), (5, "exit_partial", "ETH", 500.0))
    return levered(*acts, positions=start)


@book
def without_debt():
    start = {ETHER: 0.4, POOL: 40.0, DEBT: 0.0}
    acts = ((1, "exit_partial", "ETH", 9.0), (3, "exit_partial", "ETH", 0.0), (4, "entry_partial", "ETH", 6.0))
    return levered(*acts, (6, "exit_full", "ETH"), positions=start)


@book
def reverted():
    """A cap on what is supplied: the transaction reverts, and costs its gas; that is known for a day."""
    acts = ((1, "entry_partial", "ETH", 20.0), (3, "entry_partial", "ETH", 1.0), (5, "exit_partial", "ETH", 3.0))
    start = {ETHER: 30.0, POOL: 100.0, DEBT: 74.0}
    return levered(*acts, positions=start, rows=32, venues__aave_v3__reserves__weETH=with_cap(130.0))


@book
def levered_without_market():
    """What no market takes is refused before it costs gas."""
    panel = chain(8, peg=np.array([1.0, 1.0, np.nan, np.nan, 1.0, 1.0, 1.0, 1.0]))
    acts = ((2, "entry_partial", "ETH", 2.0), (3, "exit_partial", "ETH", 20.0), (5, "exit_partial", "ETH", 3.0))
    return levered(*acts, positions=LEVERED, panel=panel, valuation="oracle", **AT_MARKET)


@book
def asked_of_dust_for_two_reasons():
    panel = rewarded(chain(16))
    policy = {"min_invested": 1e200, "max_drift": 1e200, "low_ltv": 0.1}
    more = {"initial_capital": 100, "rewards__enabled": True, "strategy__dust_threshold": 0.0004, **FEES}
    start = {ETHER: 40.0, TOKEN: 60.0}
    return short_run("eth_staking_only", panel, whenever_asked("entry_partial", "ETH", 0.3), start, policy, **more)


@book
def several_loans():
    """Other collaterals and debts in the account of a loan that is levered up and down."""
    start = {
        **LEVERED, "aave_v3:aToken:wstETH": 20.0, "aave_v3:debtToken:wstETH": 3.0, "aave_v3:aToken:WETH": 5.0,
        ETHER: 20.0,
    }  # fmt: skip
    return levered(*UP_AND_DOWN[1:], positions=start, **AT_MARKET)


@book
def several_loans_in_another_order():
    """The collateral and the debt that are levered are not the first of their kinds."""
    legs = [ETHER, TOKEN, "aave_v3:aToken:wstETH", "aave_v3:aToken:WETH", POOL, "aave_v3:debtToken:wstETH", DEBT]
    start = {**LEVERED, legs[2]: 20.0, legs[3]: 5.0, legs[5]: 3.0, ETHER: 20.0}
    acts = (*UP_AND_DOWN[1:-2], (9, "exit_partial", "ETH", 25.0), *UP_AND_DOWN[-2:])
    return levered(*acts, positions=start, instruments=legs, **AT_MARKET)


@book
def small_loan():
    start = {ETHER: 0.4, POOL: 1.4, DEBT: 1.02}
    acts = ((1, "entry_partial", "ETH", 0.2), (3, "exit_partial", "ETH", 0.1), (5, "exit_partial", "ETH", 0.05))
    return levered(*acts, (7, "exit_full", "ETH"), positions=start)


# --- hedged on chain -------------------------------------------------------------------------------------------------


def neutral(mode, *acts, positions=None, panel=None, rows=20, paid=(), **more):
    panel = panel or rewarded(chain(rows, hedged=True))
    given = {"rewards__enabled": True, **FEES, **({"flows": flows(panel, *paid)} if paid else {}), **more}
    return short_run(mode, panel, script(*acts), positions, **given)


PAIR = (
    (0, "entry_full", "USDT", 42_000.0),
    (1, "entry_full", "ETH", 18.0),
    (2, "entry_partial", "weETH", 11.0),
    (4, "entry_partial", "USDT", 47_000.0),
    (5, "entry_partial", "ETH", 3.0),
    (6, "entry_partial", "weETH", 40.0),
    (8, "exit_partial", "weETH", 4.0),
    (9, "exit_partial", "ETH", 6.0),
    (10, "sell_dust"),
    (11, "exit_partial", "USDT", 6_000.0),
    (12, "exit_partial", "ETH", 0.0),
    (14, "exit_full", "weETH"),
    (15, "exit_full", "ETH"),
    (17, "exit_full", "USDT", 90_000.0),
)
FLOWS = ((3, 9_000.0), (7, -5_000.0), (13, -8_000.0), (16, -500_000.0))


@book
def neutral_staked():
    return neutral("usdt_market_neutral_no_leverage", *PAIR, paid=FLOWS)


@book
def neutral_staked_at_market():
    return neutral("usdt_market_neutral_no_leverage", *PAIR, paid=FLOWS, transfers__instant=True, **AT_MARKET)


@book
def neutral_staked_next_bar():
    return neutral("usdt_market_neutral_no_leverage", *PAIR, paid=FLOWS, fill="next_bar", close_at_end=True)


@book
def neutral_levered():
    return neutral("usdt_market_neutral", *PAIR, paid=FLOWS)


@book
def neutral_levered_at_market():
    return neutral("usdt_market_neutral", *PAIR, paid=FLOWS, transfers__instant=True, **AT_MARKET)


NEUTRAL = {
    WALLET: 700.0,
    ETHER: 2.0,
    TOKEN: 9.0,
    **at_venues({"binance": 9_000.0, "bybit": 2_100.0, "okx": 1_200.0}, {"binance": -6.0, "bybit": -3.6, "okx": -2.0},
                3_020.0, "ETH"),
}  # fmt: skip


@book
def without_gas():
    """The wallet cannot pay for what would sell its tokens: gas is fetched from margin first."""
    start = {**NEUTRAL, WALLET: 1.0, ETHER: 0.001}
    acts = (
        (1, "exit_partial", "weETH", 3.0),
        (3, "exit_partial", "weETH", 3.0),
        (5, "entry_partial", "USDT", 13_000.0),
    )
    more = ((8, "exit_full", "weETH"), (10, "exit_full", "ETH"))
    return neutral("usdt_market_neutral_no_leverage", *acts, *more, positions=start)


@book
def without_gas_and_margin():
    start = {
        **NEUTRAL, WALLET: 1.0, ETHER: 0.001,
        CASH["binance"]: 5_200.0, CASH["bybit"]: 2_900.0, CASH["okx"]: 1_700.0,
    }  # fmt: skip
    acts = ((1, "exit_partial", "weETH", 3.0), (4, "exit_full", "weETH"), (7, "exit_full", "ETH"))
    return neutral("usdt_market_neutral_no_leverage", *acts, positions=start)


@book
def short_of_hedge():
    """More is long than short: the short follows, as far as margins carry, venue by venue."""
    start = {**NEUTRAL, ETHER: 9.0}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "entry_partial", "ETH", 2.0), (6, "exit_partial", "ETH", 0.5))
    return neutral("usdt_market_neutral_no_leverage", *acts, positions=start)


@book
def short_of_hedge_in_steep_tiers():
    """What a unit of the short needs depends on how many there are: its tier, and the slippage of its size."""
    brackets = [[9_000, 0.01, 0, 8], [21_000, 0.03, 180, 4], [1e9, 0.1, 1_650, 3]]
    buckets = [[2_000, 3], [8_000, 90], [20_000, 150], [None, 300]]
    terms = {}
    for venue in CASH:
        terms[f"venues__{venue}__tiers__ETHUSDT"] = [{"from": "2024-01-01", "brackets": brackets, "source": "test"}]
        slips = [{"from": "2024-01-01", "buckets": buckets, "source": "test"}]
        terms[f"venues__{venue}__perp_slippage__ETHUSDT"] = slips
    start = {**NEUTRAL, ETHER: 0.3, TOKEN: 13.0, CASH["binance"]: 6_400.0, CASH["bybit"]: 3_300.0, CASH["okx"]: 2_000.0}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "entry_partial", "ETH", 2.0), (6, "exit_partial", "ETH", 0.5))
    return neutral("usdt_market_neutral_no_leverage", *acts, positions=start, **terms)


@book
def neutral_with_little_in_the_wallet():
    start = {**NEUTRAL, TOKEN: 0.4, ETHER: 0.8, POOL: 9.0, DEBT: 0.7}
    acts = ((1, "entry_partial", "weETH", 0.3), (3, "exit_partial", "weETH", 0.2), (5, "exit_full", "weETH"))
    return neutral("usdt_market_neutral", *acts, positions=start, rows=8)


@book
def too_much_hedge():
    start = {**NEUTRAL, ETHER: 0.2}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "entry_partial", "ETH", 2.0), (6, "exit_partial", "ETH", 1.0))
    return neutral("usdt_market_neutral_no_leverage", *acts, positions=start)


@book
def too_much_hedge_elsewhere():
    start = {**NEUTRAL, ETHER: 0.2, "binance:Perp:ETHUSDT": 0.0, "binance:Perp:ETHUSDT|cost": 0.0}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "exit_partial", "ETH", 1.0), (5, "entry_partial", "ETH", 3.0))
    return neutral("usdt_market_neutral_no_leverage", *acts, positions={**start, TOKEN: 4.0}, rows=8)


@book
def too_much_hedge_by_volume():
    """What one venue's market does not take back the others do."""
    start = {**NEUTRAL, ETHER: 0.2}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "entry_partial", "ETH", 2.0), (6, "exit_partial", "ETH", 1.0))
    panel = deep(rewarded(chain(10, hedged=True)), 300.0)
    mode = "usdt_market_neutral_no_leverage"
    return neutral(mode, *acts, positions=start, panel=panel, execution__participation=0.001)


@book
def short_of_hedge_by_volume():
    start = {**NEUTRAL, ETHER: 5.0, CASH["okx"]: 9_000.0, CASH["bybit"]: 9_000.0}
    acts = ((1, "exit_partial", "ETH", 0.0), (3, "entry_partial", "ETH", 2.0), (6, "exit_full", "ETH"))
    panel = deep(rewarded(chain(10, hedged=True)), 500.0)
    mode = "usdt_market_neutral_no_leverage"
    return neutral(mode, *acts, positions=start, panel=panel, execution__participation=0.001, execution__lots=True)


@book
def hedge_in_lots():
    start = {**NEUTRAL, WALLET: 21_000.0, ETHER: 6.0}
    acts = ((1, "entry_partial", "ETH", 2.345), (3, "exit_partial", "ETH", 1.2345), (6, "exit_full", "ETH"))
    return neutral("usdt_market_neutral_no_leverage", *acts, positions=start, execution__lots=True)


@book
def neutral_on_a_steep_market():
    eth = np.interp(np.arange(16), [0, 4, 9, 15], [3_010.0, 3_100.0, 3_900.0, 2_800.0])
    limits = {"margin_ratio": {"warning": 0.3, "critical": 0.1}, "ltv": {"warning": 0.7, "critical": 0.82}}
    start = {**NEUTRAL, POOL: 30.0, DEBT: 23.0}
    acts = tuple((row, *act) for row in range(1, 15, 3) for act in (
        ("entry_partial", "USDT", 14_000.0 + 100.0 * row), ("exit_partial", "weETH", 0.0), ("exit_partial", "ETH", 0.7),
    ))  # fmt: skip
    panel = rewarded(chain(16, eth, hedged=True))
    return neutral("usdt_market_neutral", *acts, positions=start, panel=panel, risk__limits=limits)
