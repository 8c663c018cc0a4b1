"""Gate of odd books and rows on chain: second debts and collaterals, rows without a market, caps, dust, gas spikes."""

from dataclasses import replace

import numpy as np
import pytest

import basis
from basis.engine.simulation import checkpoint, simulate
from basis.errors import ConfigError
from basis.market import DataProvider
from basis.market.panel import Panel
from basis.strategies import levered_staking
from support.kernel_view import RunView
from support.result_checks import check_accounts, events, held, reasons, rows_of, same_tables, term, utc
from support.runs import settings
from support.small_markets import at_row, flows
from support.staking_markets import after, ether, grown

ETHER, TOKEN = "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"
POOL, DEBT = "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH"
#: Legs beside them; where one is held the other is in the book with nothing, so that there is one book to compile.
WST_POOL, WST_DEBT = "aave_v3:aToken:wstETH", "aave_v3:debtToken:wstETH"
QUIET = {"risk.limits": {}}
AUGUST = ("2024-08-01", "2024-08-10")
EARNS = {"supply_yield", "borrow_cost", "staking_yield", "peg_pnl"}
COSTS = {"gas", "flash_fees", "slippage"}
TARGET, BAND = 0.85, 0.02
#: A debt in USDT is in no e-mode with the token.
LOWER = {"strategy.target_ltv": 0.7, "strategy.min_health_factor": 1.05}
RESERVED = ("equity", "attribution", "positions", "exposure", "risk")


def lever(driver, data, *window, overrides=None, **more):
    given = {**QUIET, **(overrides or {})}
    return basis.backtest("eth_leveraged", data, *window, overrides=given, driver=driver, **more)


def ltv(result):
    return result.risk["ltv"].to_numpy()


# --- (a) much ether beside a loan beyond its band --------------------------------------------------------------------


@pytest.mark.parametrize("route", ["protocol", "market"])
@pytest.mark.parametrize("free", [5.0, 15.0, 50.0])
def test_a_wallet_full_of_ether_delevers_and_goes_to_work(driver, real_data, free, route):
    book = {ETHER: free, POOL: 100.0, DEBT: 88.0}
    result = lever(driver, real_data, *AUGUST, overrides={"strategy.stake_route": route}, positions=book)
    assert ltv(result)[0] <= TARGET + BAND
    assert ltv(result)[0] >= TARGET - BAND - 1e-9
    assert reasons(result) == []
    assert held(result, ETHER, 0) < 0.02 * result.equity["equity"].iloc[0] + 0.5
    check_accounts(result, EARNS | COSTS)


# --- (b), (c), (j) second debts and collaterals ----------------------------------------------------------------------


@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("size", [1_000.0, 40_000.0, 100_000.0])
def test_a_second_debt_in_usdt_breaks_no_sum(driver, size, valuation):
    rows = 60
    eth = 3_000.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(1).standard_normal(rows)))
    panel = ether(rows, eth=eth, borrow_index__USDT=grown(rows, 0.08, 1.1))
    other = "aave_v3:debtToken:USDT"
    book = {ETHER: 20.0, POOL: 100.0, DEBT: 40.0, other: size}
    result = lever(driver, panel, overrides={**LOWER, "valuation": valuation}, positions=book)
    assert result.status == "complete" or result.cause.startswith("insolvent")
    booked = result.attribution[[c for c in result.attribution if "|" not in c]]
    earned = result.equity["equity"].diff() - result.equity["net_flow"]
    off = (earned - booked.sum(axis=1)).iloc[1:].abs().max()
    assert off <= 1e-9 * result.summary["initial_equity"]
    # nobody repays it: it only falls where it is liquidated
    if not rows_of(result, "liquidation"):
        assert (held(result, other) == size).all()


@pytest.mark.parametrize("share", [0.3, 0.9, 5.0])
def test_with_two_collaterals_a_withdrawal_is_paid(driver, share):
    rows = 40
    panel = ether(
        rows,
        liquidity_index__wstETH=grown(rows, 0.001, 1.0),
        borrow_index__wstETH=grown(rows, 0.01, 1.05),
        oracle_rate__wstETH=grown(rows, 0.03, 1.17),
        market_rate__wstETH=grown(rows, 0.03, 1.17),
    )
    other = WST_POOL
    book = {ETHER: 5.0, POOL: 100.0, other: 30.0, DEBT: 90.0, WST_DEBT: 0.0}
    asked = share * 40.0
    more = {"strategy.stake_route": "market", "flows": flows(panel, (10, -asked))}
    result = lever(driver, panel, overrides=more, positions=book)
    check_accounts(result, EARNS | COSTS)
    paid = -result.equity["net_flow"].sum()
    if share < 1.0:
        assert paid == pytest.approx(asked, rel=1e-12)
        assert reasons(result) == []
    else:
        # the second collateral is nobody's plan: what the plans hold goes
        assert paid >= 0.0
        assert (held(result, other) == 30.0).all()


@pytest.mark.parametrize("valuation", ["market", "oracle"])
def test_a_debt_in_a_staking_token_pays_its_yield_and_peg(driver, valuation):
    rows = 30
    peg = 1.0 - 0.002 * np.sin(np.arange(rows) / 4.0)
    rate = grown(rows, 0.04, 1.17)
    panel = ether(
        rows,
        liquidity_index__wstETH=np.ones(rows),
        borrow_index__wstETH=grown(rows, 0.01, 1.05),
        oracle_rate__wstETH=rate,
        market_rate__wstETH=rate * peg,
        supply=0.0,
        staking=0.0,
        peg=1.0,
    )
    book = {ETHER: 5.0, POOL: 100.0, WST_POOL: 0.0, WST_DEBT: 20.0}
    more = {"valuation": valuation, "strategy.rebalance": False}
    result = lever(driver, panel, overrides=more, positions=book)
    index, q = panel.columns["borrow_index|aave_v3:wstETH"], 20.0
    k = peg if valuation == "market" else np.ones(rows)
    booked = result.attribution.iloc[1:]
    np.testing.assert_allclose(booked["staking_yield"], -q * index[1:] * np.diff(rate) * k[:-1], rtol=1e-9)
    np.testing.assert_allclose(booked["borrow_cost"], -q * np.diff(index) * (rate * k)[:-1], rtol=1e-9)
    np.testing.assert_allclose(booked["peg_pnl"], -q * index[1:] * rate[1:] * np.diff(k), rtol=1e-9, atol=1e-14)
    assert booked["staking_yield"].sum() < 0.0
    check_accounts(result, EARNS)


# --- (d) rows without a market ---------------------------------------------------------------------------------------


def nulled(panel, row, name="market_rate|weETH"):
    """The same market, its rate not known after a row."""
    columns = {key: values.copy() for key, values in panel.columns.items()}
    columns[name][row + 1 :] = np.nan
    return Panel.from_columns(panel.timestamps, panel.step_s, columns)


def test_what_is_not_known_later_changes_nothing_before(driver):
    panel, row = ether(40), 20
    more = {"valuation": "oracle", "strategy.stake_route": "market", "flows": flows(panel, (5, 20.0), (12, -30.0))}
    one, other = (lever(driver, given, overrides=more) for given in (panel, nulled(panel, row)))
    for name in RESERVED:
        assert getattr(one, name).iloc[: row + 1].equals(getattr(other, name).iloc[: row + 1]), name


def test_a_trade_in_a_row_without_a_rate_is_rejected(driver):
    panel = ether(40)
    more = {"valuation": "oracle", "strategy.stake_route": "market", "flows": flows(panel, (30, 20.0))}
    result = lever(driver, nulled(panel, 20), overrides=more)
    assert set(reasons(result)) == {"no market price known"}
    assert min(rows_of(result, "reject")) == 30
    # it is tried again, but not each hour
    assert len(reasons(result)) <= 10
    assert held(result, ETHER, -1) > 20.0
    check_accounts(result, EARNS | COSTS)


def test_the_first_rows_of_the_real_market_have_no_rate(real_data):
    """2024-05-12: the market's median is known from the next morning on; resume takes the same decisions."""
    config = settings("eth_leveraged", {**QUIET, "valuation": "oracle", "rewards.enabled": False})
    panel = DataProvider(real_data, config).panel(start="2024-05-12", end="2024-05-16")
    assert np.isnan(panel.columns["market_rate|weETH"][:20]).all()
    assert not np.isnan(panel.columns["market_rate|weETH"][-20:]).any()
    whole = RunView(simulate(config, panel))
    kept = checkpoint(whole.recording, at_row(panel, 40))
    rest = RunView(simulate(config, panel.slice(40, len(panel.timestamps) - 1), resume=kept))
    assert rest.record.tobytes() == whole.record[40:].tobytes()


# --- (e) dust does not keep a withdrawal waiting ---------------------------------------------------------------------


@pytest.mark.parametrize("share", [1.0, 3.0])
@pytest.mark.parametrize(
    "mode", ["eth_staking_only", "eth_leveraged", "usdt_market_neutral_no_leverage", "usdt_market_neutral"]
)
def test_reward_dust_keeps_no_withdrawal_waiting(driver, sample_data, mode, share):
    window = ("2024-02-22T05:00:00Z", "2024-04-20")
    high = 1e9  # never sold of itself
    more = {**QUIET, "strategy.dust_threshold": high}
    if mode.startswith("eth"):
        more["strategy.stake_route"] = "market"
    calm = basis.backtest(mode, sample_data, *window, more, driver=driver)
    assert calm.equity.index[1000] > utc("2024-04-01")
    assert sum(held(calm, f"wallet:BaseToken:{name}", 1000) for name in ("EIGEN", "ETHFI")) > 0.0
    there = calm.equity["equity"].iloc[999]
    stamp = calm.equity.index[1000].isoformat()
    asked = {"flows": [{"timestamp": stamp, "amount": -share * there}]}
    result = basis.backtest(mode, sample_data, *window, {**more, **asked}, driver=driver)
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    assert -result.equity["net_flow"].sum() > 0.97 * there
    assert result.equity["equity"].iloc[-1] < 0.002 * there
    assert set(reasons(result)) <= {"withdrawal exceeds equity"}


# --- (f) rate rule ---------------------------------------------------------------------------------------------------


def test_the_rate_rule_watches_the_carry_of_a_loan(driver):
    borrow = np.repeat([0.029, 0.024, 0.0285, 0.04, 0.0285, 0.024], 10)
    rows, factor = len(borrow), 1.0 / (1.0 - TARGET)
    carry = factor * (0.03 + 0.001) - (factor - 1.0) * borrow
    rule = {"enabled": True, "enter": 0.06, "leave": 0.03, "window": "24h"}
    panel = ether(rows, supply_apr_mean__weETH=np.full(rows, 0.001), borrow_apr_mean__WETH=borrow)
    more = {"strategy.rate_rule": rule, "strategy.stake_route": "market", "costs.enabled": False}
    result = lever(driver, panel, overrides=more)
    wanted, inside = [], False
    for now in carry:
        inside = now > 0.06 or (inside and now >= 0.03)
        wanted.append(inside)
    assert 0 < sum(wanted) < rows
    assert ((held(result, DEBT) > 0.0) == wanted).all()


# --- (g) days to liquidation -----------------------------------------------------------------------------------------


def test_days_to_liquidation_are_those_worked_out_by_hand(real_data):
    window = ("2024-08-01", "2024-08-12")
    results = {step: lever("kernel", real_data, *window, overrides={"bar_interval": step}) for step in ("1h", "2h")}
    for step, result in results.items():
        panel, days = result.panel, result.risk["days_to_liquidation"].to_numpy()
        health = result.risk["health_factor"].to_numpy()
        earned = (panel["supply_apr|aave_v3:weETH"] + panel["staking_week|weETH"]).to_numpy()
        owed = panel["borrow_apr|aave_v3:WETH"].to_numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.where(owed > earned, 365.0 * np.log(health) / (owed - earned), np.inf)
        np.testing.assert_allclose(days, wanted, rtol=1e-9, err_msg=step)
        assert np.isfinite(days).any() or (owed <= earned).all()


def test_days_to_liquidation_are_none_where_it_is_there(driver):
    rate = after(grown(20, 0.03, 1.05), 10, 0.7)
    result = lever(driver, ether(20, oracle_rate__weETH=rate), overrides={"strategy.rebalance": False})
    assert (result.risk["health_factor"].iloc[10:] <= 1.0).all()
    assert (result.risk["days_to_liquidation"].iloc[10:] == 0.0).all()


# --- (h) the cap, (k) the loop ---------------------------------------------------------------------------------------


def test_a_cap_that_is_reached_reverts_once_a_day_at_most(driver):
    terms = {"ltv": 0.775, "liquidation_threshold": 0.8, "liquidation_bonus": 0.07, "source": "test"}
    most = {"venues.aave_v3.reserves.weETH": [{"from": "2024-01-01", "supply_cap": 100.0, **terms}]}
    result = lever(driver, ether(24 * 5), overrides=most)
    assert set(reasons(result)) == {"supply above the cap"}
    assert 2 <= len(reasons(result)) <= 5
    assert (np.diff(rows_of(result, "reject")) >= 24).all()
    check_accounts(result, EARNS | COSTS)


@pytest.mark.parametrize("steps", [2, 5])
def test_a_loop_relevers_without_free_ether(driver, steps):
    rate = after(grown(40, 0.03, 1.05), 20, 1.06)
    more = {"strategy.loop_steps": steps, "strategy.stake_route": "market", "costs.enabled": False}
    book = {POOL: 100.0, DEBT: 84.0}
    result = lever(driver, ether(40, oracle_rate__weETH=rate), overrides=more, positions=book)
    assert held(result, ETHER, 19) == pytest.approx(0.0, abs=1e-9)
    assert held(result, DEBT, 20) > held(result, DEBT, 19) * 1.05
    # as far as the steps reach, and on in the next rows
    assert ltv(result)[20] > 1.01 * ltv(result)[19] / 1.06
    assert ltv(result)[-1] > TARGET - BAND
    assert reasons(result) == []
    check_accounts(result, EARNS | COSTS)


# --- (i) one e-mode for an account -----------------------------------------------------------------------------------


def test_an_account_has_one_emode(driver, real_data):
    """Both tokens in one mode: their thresholds are the mode's, .95, for both or for none."""
    book = {ETHER: 1.0, POOL: 50.0, WST_POOL: 50.0, DEBT: 90.0, WST_DEBT: 0.0}
    more = {"strategy.rebalance": False, "strategy.target_ltv": 0.7, "strategy.min_health_factor": 1.01}
    result = lever(driver, real_data, "2025-03-18", "2025-03-20", overrides=more, positions=book)
    panel = result.panel
    backing = {
        name: 50.0 * panel[f"liquidity_index|aave_v3:{name}"] * panel[f"oracle_rate|{name}"]
        for name in ("weETH", "wstETH")
    }
    owed = 90.0 * panel["borrow_index|aave_v3:WETH"]
    wanted = 0.95 * (backing["weETH"] + backing["wstETH"]) / owed
    np.testing.assert_allclose(result.risk["health_factor"], wanted, rtol=1e-9)


# --- (l) bad debt ----------------------------------------------------------------------------------------------------


def test_bad_debt_is_an_event_and_a_key_of_the_summary(driver):
    rate = after(grown(30, 0.03, 1.05), 15, 0.7)
    panel = ether(30, oracle_rate__weETH=rate)
    result = lever(driver, panel, overrides={"strategy.rebalance": False})
    [(_, ruined)] = events(result, "liquidation", detail="lending, bad debt").iterrows()
    owed = held(result, DEBT, 15) * panel.columns["borrow_index|aave_v3:WETH"][15]
    assert (ruined["row"], ruined["instrument"]) == (15, DEBT)
    # the last leg says what is left
    assert ruined["amount"] == pytest.approx(owed, rel=1e-12)
    assert result.summary["bad_debt"] == pytest.approx(owed, rel=1e-12)
    # without a limit nobody is alerted of a ratio
    assert events(result, "alert").empty
    assert lever(driver, ether(30)).summary["bad_debt"] == 0.0


# --- (m) what must be set --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["target_ltv", "ltv_band", "stake_route", "lst", "min_health_factor"])
@pytest.mark.parametrize("mode", ["eth_leveraged", "usdt_market_neutral"])
def test_settings_that_are_needed_are_asked_for(mode, name):
    with pytest.raises(ConfigError, match=name):
        basis.backtest(mode, ether(3), overrides={f"strategy.{name}": None})


def test_a_strategy_that_watches_no_rate_refuses_a_rule(driver):
    rule = {"enabled": True, "enter": 0.06, "leave": 0.03, "window": "24h"}
    blind = replace(levered_staking.STRATEGY, rate=None)
    with pytest.raises(ConfigError, match=r"rate_rule.*watches no rate"):
        lever(driver, ether(3), overrides={"strategy.rate_rule": rule}, strategy=blind)


# --- (n) a gas spike -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gwei", [200.0, 2_000.0])
def test_a_partial_exit_in_a_gas_spike_keeps_the_loan(driver, gwei):
    price = np.where(np.abs(np.arange(40) - 20) < 2, gwei, 20.0)
    panel = ether(40, gwei=price)
    result = lever(driver, panel, overrides={"flows": flows(panel, (20, -30.0))})
    kinds = [e["detail"] for _, e in events(result, "fill", row=20, instrument=DEBT).iterrows()]
    assert kinds == ["delever"]
    assert held(result, DEBT, 20) > 0.5 * held(result, DEBT, 19)
    assert result.equity["net_flow"].sum() == -30.0
    spent = term("aave_v3", "gas_units", "delever")["value"] * gwei * 1e-9
    assert result.attribution["gas"].iloc[20] == pytest.approx(-spent, rel=1e-9)
    check_accounts(result, EARNS | COSTS)


def test_both_drivers_agree_on_odd_books():
    rows = 50
    panel = ether(rows, eth=3_000.0 + 5.0 * np.arange(rows), borrow_index__USDT=grown(rows, 0.08, 1.1))
    book = {ETHER: 20.0, POOL: 100.0, DEBT: 60.0, "aave_v3:debtToken:USDT": 30_000.0}
    more = {**LOWER, "flows": flows(panel, (10, -10.0), (20, 15.0))}
    one, other = (lever(driver, panel, overrides=more, positions=book) for driver in ("kernel", "event"))
    assert same_tables(one, other)
