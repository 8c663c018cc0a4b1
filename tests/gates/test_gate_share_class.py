"""Gate of the share class: a mode in ether counted in USDT is the same run, seen in another numeraire."""

import numpy as np
import pytest

import basis
from basis.errors import ConfigError
from support.result_checks import check_accounts, columns_of, events, held, reasons, same_tables
from support.reward_runs import DUST, with_rewards
from support.share_classes import COSTS, assert_same_but_for_the_numeraire
from support.small_markets import flows
from support.staking_markets import after, ether, grown

MODES = ("eth_staking_only", "eth_leveraged")
ETHER, TOKEN = "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"
POOL, DEBT = "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH"
BOOK = {ETHER: 100.0}
QUIET = {"risk.limits": {}, "strategy.dust_threshold": 0.0}
#: What came with the position and what was done to it; prices of ETH are the rest.
ONCHAIN = {"supply_yield", "borrow_cost", "staking_yield", "peg_pnl", "reward_pnl", "dust_pnl"}


def both(mode, data, *span, driver="kernel", positions=BOOK, **overrides):
    """The run in USDT and in ETH."""
    return [
        basis.backtest(
            mode,
            data,
            *span,
            driver=driver,
            positions=positions,
            overrides={**QUIET, **overrides, "share_class": name},
        )
        for name in ("USDT", "ETH")
    ]


@pytest.mark.parametrize("valuation", ["market", "oracle"])
@pytest.mark.parametrize("mode", MODES)
def test_on_a_data_set_the_share_class_is_only_the_numeraire(driver, data, mode, valuation):
    start, end = ("2024-02-20", "2024-04-10") if data.name == "sample" else ("2024-09-20", "2025-01-01")
    made = both(mode, data, start, end, driver=driver, valuation=valuation, close_at_end=True)
    assert_same_but_for_the_numeraire(*made, exact=1e-11)
    for result in made:
        check_accounts(result, ONCHAIN | COSTS | {"delta_pnl"})
        assert not events(result, "fill", action="sell_dust").empty
    assert made[1].attribution["delta_pnl"].abs().sum() == 0.0


@pytest.mark.parametrize("mode", MODES)
def test_both_drivers_count_in_usdt_alike(data, mode):
    span = ("2024-02-20", "2024-04-10") if data.name == "sample" else ("2024-09-20", "2025-01-01")
    more = {**QUIET, "share_class": "USDT"}
    one, other = (basis.backtest(mode, data, *span, more, positions=BOOK, driver=d) for d in ("kernel", "event"))
    assert same_tables(one, other)


@pytest.mark.parametrize("mode", MODES)
def test_all_that_is_held_is_exposed_to_ether(driver, mode):
    """Delta is the book's worth in ETH times what the price moved; staked tokens count at what they are worth."""
    rows = 80
    eth = 3_000.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(3).standard_normal(rows)))
    result, _ = both(mode, ether(rows, eth=eth), driver=driver)
    net = result.equity["equity"].to_numpy() / eth
    # growth of the hour stands in its own columns, the price moves what is there then
    grown_to = net[:-1] + sum(result.attribution[c].to_numpy()[1:] for c in ONCHAIN) / eth[:-1]
    np.testing.assert_allclose(result.attribution["delta_pnl"].iloc[1:], grown_to * np.diff(eth), rtol=1e-9)


def test_the_capital_is_that_of_the_book(driver):
    result, other = both("eth_staking_only", ether(10, eth=2_500.0), driver=driver)
    assert result.summary["initial_equity"] == 250_000.0
    assert other.summary["initial_equity"] == 100.0
    assert result.equity["pnl_balance"].iloc[0] == pytest.approx(
        result.attribution[columns_of(result)].iloc[0].sum(), rel=1e-9
    )


def test_a_threshold_of_dust_is_worth_share_class(driver):
    panel = with_rewards(ether(60), ((10, 0.5), (30, 0.5)), 0.002)
    for threshold, rows in ((200.0, [10, 30]), (400.0, [30]), (1_000.0, [])):
        result, _ = both("eth_staking_only", panel, driver=driver, **{"strategy.dust_threshold": threshold})
        assert sorted(set(events(result, "fill", action="sell_dust")["row"])) == rows
        assert (held(result, DUST["EIGEN"], -1) == 0.0) == bool(rows)


def fallen(factor, rows=40):
    return ether(
        rows,
        eth=np.linspace(3_000.0, 2_000.0, rows),
        oracle_rate__weETH=after(grown(rows, 0.03, 1.05), 15, factor),
    )


@pytest.mark.parametrize("rule", ["aave_v3.0", "aave_v3.3"])
@pytest.mark.parametrize("factor", [0.885, 0.86, 0.845, 0.7])
@pytest.mark.parametrize("size", [100.0, 0.05])
def test_a_liquidation_is_the_same_in_both(driver, factor, rule, size):
    """Close factors know dollars: legs of 0.05 ETH are small in both."""
    rules = [{"from": "2024-01-01", "rule": rule, "source": "test"}]
    more = {"venues.aave_v3.close_rule": rules, "strategy.rebalance": False, "costs.enabled": False}
    book = {POOL: 6.0 * size, DEBT: 5.2 * size}
    usdt, other = both("eth_leveraged", fallen(factor), driver=driver, positions=book, **more)
    assert not events(other, "liquidation").empty
    assert_same_but_for_the_numeraire(usdt, other)


@pytest.mark.parametrize("mode", MODES)
def test_without_a_book_another_share_class_is_refused(driver, mode):
    with pytest.raises(ConfigError, match=r"share_class.*USDT.*positions"):
        basis.backtest(mode, ether(5), overrides={"share_class": "USDT"}, driver=driver)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("amount", [10.0, -10.0])
def test_flows_in_another_share_class_are_refused(driver, mode, amount):
    panel = ether(30)
    more = {"share_class": "USDT", "flows": flows(panel, (10, amount))}
    with pytest.raises(ConfigError, match=r"flows.*USDT.*share_class=ETH"):
        basis.backtest(mode, panel, overrides=more, positions=BOOK, driver=driver)
    fine = basis.backtest(mode, panel, overrides={**more, "share_class": "ETH"}, positions=BOOK, driver=driver)
    assert reasons(fine) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_book_in_tokens_is_taken_as_it_is(driver, mode):
    """Staking tokens, collateral and debt from the start; the strategy goes on from there."""
    panel = ether(50, eth=np.linspace(3_000.0, 3_600.0, 50))
    book = {ETHER: 3.0, TOKEN: 40.0}
    if mode == "eth_leveraged":
        book |= {POOL: 200.0, DEBT: 170.0}
    assert_same_but_for_the_numeraire(*both(mode, panel, driver=driver, positions=book))
