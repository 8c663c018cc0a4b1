"""Short books of a lending protocol: what is lent and taken back, loans that only wait, loans that are liquidated."""

import numpy as np
from books import ETHER, TOKEN, WALLET, book, chain, script, short_run, wave, whenever_asked, with_cap

import basis
from support.small_markets import flows

# --- lending ---------------------------------------------------------------------------------------------------------

LENT = "aave_v3:aToken:USDT"


@book
def lent():
    panel = chain(20)
    acts = (
        (0, "entry_full", "USDT", 60_000.0),
        (3, "entry_partial", "USDT", 21_000.0),
        (5, "exit_partial", "USDT", 7_000.0),
        (9, "exit_partial", "USDT", 300_000.0),
        (11, "entry_full", "USDT", 40_000.0),
        (12, "entry_full", "USDT", 400_000.0),
        (16, "exit_full", "USDT"),
        (17, "exit_full", "USDT"),
    )
    paid = flows(panel, (2, 9_000.0), (4, -20_000.0), (14, -150_000.0))
    return short_run("pure_lending", panel, script(*acts), flows=paid)


@book
def lent_next_bar():
    acts = ((0, "entry_full", "USDT", 6_000.0), (3, "exit_partial", "USDT", 2_100.0), (5, "exit_full", "USDT"))
    return short_run("pure_lending", chain(9), script(*acts), fill="next_bar", close_at_end=True)


@book
def lent_in_ether():
    acts = ((0, "entry_full", "ETH", 30.0), (3, "exit_partial", "ETH", 11.0), (5, "entry_partial", "ETH", 11.5))
    return short_run("pure_lending", chain(9), script(*acts), share_class="ETH", asset="ETH", initial_capital=40)


@book
def poor():
    """Gas is more than the wallet has, in ether and in its share class."""
    acts = ((0, "entry_partial", "USDT", 30.0), (2, "exit_partial", "USDT", 31.0), (4, "exit_full", "USDT"))
    start = {WALLET: 45.0, ETHER: 0.001, LENT: 400.0}
    panel = chain(8, gas_price_gwei=np.array([60, 60, 60, 60, 300, 300, 20, 20]))
    return short_run("pure_lending", panel, script(*acts, (6, "exit_full", "USDT")), start)


@book
def gas_in_ether():
    acts = (
        (0, "entry_partial", "USDT", 4_000.0),
        (2, "exit_partial", "USDT", 700.0),
        (3, "exit_partial", "USDT", 900.0),
    )
    return short_run("pure_lending", chain(6), script(*acts), {WALLET: 5_000.0, ETHER: 0.011, LENT: 100.0})


@book
def capped():
    acts = ((0, "entry_partial", "USDT", 40_000.0), (1, "entry_partial", "USDT", 20_000.0), (2, "exit_full", "USDT"))
    return short_run("pure_lending", chain(4), script(*acts), venues__aave_v3__reserves__USDT=with_cap(50_000.0))


@book
def asked_by_rate_of_lending():
    @basis.compiled
    def in_and_out(view, act):
        if view.rate > view.policy.enter_rate:
            view.memory[0] = 1.0
            act.entry_partial("USDT", 900.0)
        elif view.rate < view.policy.leave_rate:
            view.memory[0] = 0.0
            act.exit_partial("USDT", 500.0)
        elif view.memory[0] > 0.0:
            act.exit_partial("USDT", 7.0)

    rule = {"enabled": True, "enter": 0.035, "leave": 0.02, "window": "24h"}
    mean = np.array([0.01, 0.03, 0.036, 0.04, 0.04, 0.03, 0.021, 0.01, 0.01, 0.03, 0.05, 0.05])
    panel = chain(12, supply_apr_mean__aave_v3=mean, **{"supply_apr_mean__aave_v3:USDT": mean})
    never = {"min_invested": -1e200, "max_drift": 1e200}
    return short_run("pure_lending", panel, in_and_out, policy=never, strategy__rate_rule=rule)


# --- loans that are liquidated ---------------------------------------------------------------------------------------

LEGS = {
    "instruments": [
        *(WALLET, ETHER, TOKEN),
        *(f"aave_v3:aToken:{name}" for name in ("WETH", "USDT", "weETH")),
        *(f"aave_v3:debtToken:{name}" for name in ("WETH", "USDT")),
    ]
}
#: The same behind one more token, so that collaterals and debts have other places.
MORE_LEGS = {"instruments": [*LEGS["instruments"], "wallet:BaseToken:wstETH"]}
FALL = np.interp(np.arange(14), [0, 5, 9, 13], [3_010.0, 3_000.0, 2_300.0, 2_450.0])


def loan(lent, owed, eth=FALL, rule="aave_v3.0", wick=0.01, acts=(), **more):
    low, high = eth * (1.0 - wick), eth * (1.0 + 1.4 * wick)
    panel = chain(len(eth), eth, low__spot__ETH=low, high__spot__ETH=high, usd__USDT=wave(len(eth), 0.999, 0.001))
    start = {f"aave_v3:aToken:{name}": units for name, units in lent.items()}
    start |= {f"aave_v3:debtToken:{name}": units for name, units in owed.items()}
    rules = [{"from": "2024-01-01", "rule": rule, "source": "test"}]
    limits = {"ltv": {"warning": 0.6, "critical": 0.75}, "health_factor": {"warning": 1.3, "critical": 1.05}}
    more = {"risk__limits": limits, "venues__aave_v3__close_rule": rules, **LEGS, **more}
    return short_run("pure_lending", panel, script(*acts), {WALLET: 50.0, ETHER: 0.4, TOKEN: 1.5, **start}, **more)


@book
def loan_in_dollars():
    return loan({"WETH": 100.0, "weETH": 10.0, "USDT": 900.0}, {"USDT": 205_000.0, "WETH": 1.0})


@book
def loan_in_dollars_under_later_rule():
    return loan(
        {"WETH": 100.0, "weETH": 10.0, "USDT": 900.0}, {"USDT": 205_000.0, "WETH": 9.0}, rule="aave_v3.3", **MORE_LEGS
    )


@book
def loan_in_dollars_in_ether():
    more = {"share_class": "ETH", "asset": "ETH", "initial_capital": 40, "valuation": "oracle"}
    return loan({"WETH": 100.0, "weETH": 10.0, "USDT": 900.0}, {"USDT": 205_000.0, "WETH": 1.0}, **more)


@book
def loan_in_ether():
    rise = 6_000.0 - FALL
    return loan({"USDT": 300_000.0, "weETH": 1.0}, {"WETH": 75.0, "USDT": 10.0}, rise, rule="aave_v3.3", **MORE_LEGS)


@book
def small_loans():
    return loan({"WETH": 0.9, "USDT": 20.0}, {"USDT": 1_790.0}, rule="aave_v3.3")


@book
def bad_debt():
    crash = np.array([3_010.0, 3_000.0, 3_005.0, 1_400.0, 1_300.0, 1_500.0])
    return loan({"WETH": 100.0, "weETH": 10.0}, {"USDT": 215_000.0, "WETH": 3.0}, crash)


@book
def borne_deficit():
    crash = np.array([3_010.0, 3_000.0, 3_005.0, 1_400.0, 1_300.0, 1_500.0])
    return loan({"WETH": 100.0, "weETH": 10.0}, {"USDT": 215_000.0, "WETH": 3.0}, crash, rule="aave_v3.3", **MORE_LEGS)


@book
def loan_that_keeps_collateral():
    acts = ((1, "exit_partial", "USDT", 3_000.0), (2, "exit_partial", "USDT", 300_000.0), (3, "exit_full", "USDT"))
    more = ((4, "entry_partial", "USDT", 30.0),)
    return loan({"WETH": 50.0, "USDT": 90_000.0}, {"USDT": 120_000.0}, acts=acts + more)


@book
def loan_never_liquidated():
    return loan({"WETH": 100.0}, {"USDT": 225_000.0}, risk__simulate_liquidation=False)


# --- when a strategy is asked ---------------------------------------------------------------------------------------


def asked_of_loan(**policy):
    """A loan whose ratios move with the price; a little is lent whenever the strategy is asked."""
    start = {WALLET: 3_000.0, ETHER: 0.5, "aave_v3:aToken:WETH": 50.0, "aave_v3:debtToken:USDT": 71_000.0}
    start |= dict.fromkeys(("aave_v3:aToken:weETH", "aave_v3:aToken:USDT", "aave_v3:debtToken:WETH", TOKEN), 0.0)
    never = {"min_invested": -1e200, "max_drift": 1e200, **policy}
    return short_run("pure_lending", chain(14), whenever_asked("entry_partial", "USDT", 30.0), start, never, **LEGS)


@book
def asked_by_low_ltv():
    return asked_of_loan(low_ltv=0.559)


@book
def asked_by_high_ltv():
    return asked_of_loan(high_ltv=0.56)


@book
def asked_by_health():
    return asked_of_loan(least_health=1.47)


@book
def asked_of_a_loan_for_two_reasons():
    return asked_of_loan(low_ltv=0.9, high_ltv=0.1)


@book
def asked_of_health_for_two_reasons():
    return asked_of_loan(high_ltv=0.56, least_health=1.47)
