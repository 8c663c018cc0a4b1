"""Gate of `usdt_market_neutral_no_leverage`: a staking token in the wallet against perps short in equal size.

Closed forms, and how ether and token come and go. What it shares with the levered mode is in that mode's gate.
"""

import pytest

import basis
from basis.errors import ConfigError
from support.hedged_runs import (
    CAPITAL,
    ETHER,
    HELD,
    QUIET,
    VENUES,
    WALLET,
    cash,
    check_columns,
    check_hedged,
    equity,
    fills,
    hedged,
    held_return,
    perp_gain,
    price,
    rate_growth,
    short,
    spot_of,
    trade,
)
from support.result_checks import check_accounts, events, held, reasons, series, term, utc
from support.small_markets import flows, path, steady

MODE = "usdt_market_neutral_no_leverage"
TOKEN = "wallet:BaseToken:weETH"
SHARE = 0.6  # of the shipped configuration
GWEI = 20.0


# --- closed forms on a data set --------------------------------------------------------------------------------------


def test_the_return_of_eight_months_is_the_number_worked_out_by_hand(driver, real_data):
    more = {"strategy.stake_allocation": 0.5, "strategy.hedge_allocation": {"bybit": 1.0}}
    result = basis.backtest(MODE, real_data, "2024-05-12", "2025-01-01", {**HELD, **more}, driver=driver)
    assert result.summary["total_return"] == pytest.approx(0.0466428451246583, abs=1e-9)


@pytest.mark.parametrize(
    ("lst", "start", "end"),
    [
        ("weETH", "2024-05-12", "2025-01-01"),
        ("wstETH", "2024-06-10T07:00:00Z", "2025-03-01"),
        ("weETH", "2024-08-01", "2024-09-01"),
    ],
)
@pytest.mark.parametrize(
    ("share", "weights"),
    [(0.5, (0.05, 0.9, 0.05)), (0.7, (0.6, 0.3, 0.1)), (0.25, (0.8, 0.0625, 0.1375))],
)
def test_held_without_costs_the_return_is_that_of_its_legs(driver, data, lst, start, end, share, weights):
    weights = dict(zip(VENUES, weights, strict=True))
    more = {"strategy.stake_allocation": share, "strategy.hedge_allocation": weights, "strategy.lst": lst}
    result = basis.backtest(MODE, data, start, end, {**HELD, **more}, driver=driver)
    assert result.summary["total_return"] == pytest.approx(held_return(data, share, weights, start, end, lst), abs=1e-9)
    check_accounts(result, {"funding_pnl", "basis_pnl", "delta_pnl", "staking_yield", "peg_pnl"})
    assert result.attribution["peg_pnl"].abs().sum() <= 1e-12 * CAPITAL
    spot = spot_of(data)
    units = share * CAPITAL / spot[utc(start)]
    moved, funding = perp_gain(data, weights, start, end)
    assert result.attribution["funding_pnl"].sum() == pytest.approx(units * funding, abs=1e-9 * CAPITAL)
    expected = units * (moved + spot[utc(end)] - spot[utc(start)])
    assert result.attribution["basis_pnl"].sum() == pytest.approx(expected, abs=1e-8 * CAPITAL)
    grown = rate_growth(data, lst, start, end)
    # what the token gains is not hedged where nothing is rebalanced: it is in both, the rest in none
    rest = units * (grown * spot[utc(end)] - spot[utc(end)])
    both = result.attribution[["staking_yield", "delta_pnl"]].to_numpy().sum()
    assert both == pytest.approx(rest, abs=1e-8 * CAPITAL)


@pytest.mark.parametrize("lst", ["weETH", "wstETH"])
def test_bought_at_the_market_and_valued_there_the_market_rate_takes_the_place(driver, data, lst):
    start, end, share, weights = "2024-06-10T07:00:00Z", "2024-12-01", 0.6, {"binance": 0.5, "bybit": 0.4, "okx": 0.1}
    more = {"strategy.hedge_allocation": weights, "strategy.lst": lst, "strategy.stake_route": "market"}
    result = basis.backtest(MODE, data, start, end, {**HELD, **more, "valuation": "market"}, driver=driver)
    check_accounts(result, {"funding_pnl", "basis_pnl", "delta_pnl", "staking_yield", "peg_pnl"})
    rate = series(data, f"lst/{lst.lower()}", "market_rate_eth_median24h")
    spot = spot_of(data)
    moved = rate[utc(end)] / rate[utc(start)] * spot[utc(end)] - spot[utc(start)]
    wanted = share / spot[utc(start)] * (moved + sum(perp_gain(data, weights, start, end)))
    assert result.summary["total_return"] == pytest.approx(wanted, abs=1e-9)


# --- entry, by hand --------------------------------------------------------------------------------------------------


def test_no_ether_is_bought_before_margin_has_arrived(driver):
    """Deposits at binance take 20 minutes, at bybit 90, at okx 170: three tranches, each hedged."""
    latency = {"venues.bybit.latency.deposit": "90m", "venues.okx.latency.deposit": "170m"}
    result = trade(MODE, driver, hedged(steady(8, 3_000.0)), {**QUIET, **latency})
    assert held(result, ETHER, 0) == held(result, TOKEN, 0) == 0.0
    for row, part in ((1, 0.4), (2, 0.7), (3, 1.0)):
        assert short(result)[row] == pytest.approx(part * SHARE * CAPITAL / 3_000.0, rel=0.01), row
    check_hedged(result, 0.002)
    check_columns(result, MODE)


def test_entry_is_priced_by_the_venues_terms(driver):
    """Row 1: shorts pay their venue's taker fee, swaps gas and the pool's fee, the stake its gas."""
    result = trade(MODE, driver, hedged(steady(4, 3_000.0), gwei=GWEI), QUIET)
    sold = fills(result, row=1, detail="perp")
    charged = 0.0
    for _, leg in sold.iterrows():
        charged += leg["notional"] * term(leg["venue"], "perp_fee")["taker"]
    assert result.attribution["fees"].iloc[1] == pytest.approx(-charged, rel=1e-9)
    swap, stake = term("uniswap_v3", "gas_units", "swap")["value"], term("etherfi", "gas_units", "stake")["value"]
    swaps = len(fills(result, row=1, detail="swap"))
    assert swaps == 1
    assert result.attribution["gas"].iloc[1] == pytest.approx(-(swaps * swap + stake) * GWEI * 1e-9 * 3_000.0, rel=1e-9)
    bought = -fills(result, row=1, detail="swap")["quantity"].sum()
    got = fills(result, row=1, detail="stake")
    assert len(got) == 1
    assert bought == pytest.approx(SHARE * CAPITAL, rel=0.005)
    # the token, and the gas that is kept for later
    there = held(result, TOKEN, 1) * result.panel["oracle_rate|weETH"].iloc[1] + held(result, ETHER, 1)
    assert there == pytest.approx(short(result)[1], rel=0.002)


def test_the_token_is_got_from_its_protocol_and_sold_at_the_market(driver):
    """A hedge whose margin runs low cannot wait for a queue of a week."""
    panel = hedged(path((0, 3_000.0), (5, 3_000.0), (40, 4_500.0), (60, 4_500.0)))
    result = trade(MODE, driver, panel, QUIET)
    assert len(fills(result, detail="stake")) >= 1
    assert fills(result, detail="unstake").empty
    sold = fills(result, detail="swap", instrument=TOKEN)
    assert len(sold) >= 3
    assert (sold["quantity"] < 0.0).all()
    assert f"{ETHER}|in_transit" not in result.positions or (held(result, f"{ETHER}|in_transit") == 0.0).all()


@pytest.mark.parametrize("route", ["protocol", "market"])
def test_a_queue_for_entries_stays_hedged_while_it_lasts(driver, route):
    latency = {"venues.etherfi.latency.deposit": "30h", "strategy.stake_route": route}
    panel = hedged(path((0, 3_000.0), (5, 3_000.0), (50, 3_300.0), (100, 2_900.0)))
    result = trade(MODE, driver, panel, {**QUIET, **latency})
    check_hedged(result)
    check_columns(result, MODE)
    assert (held(result, TOKEN, 3) > 0.0) == (route == "market")
    assert held(result, TOKEN, -1) > 0.0


@pytest.mark.parametrize("share", [None, 1.0])
def test_a_share_that_leaves_no_margin_is_refused(driver, share):
    with pytest.raises(ConfigError, match="stake_allocation"):
        trade(MODE, driver, hedged(steady(3, 3_000.0)), {"strategy.stake_allocation": share})


@pytest.mark.parametrize("missing", ["lst", "stake_route"])
def test_what_the_mode_cannot_do_without_is_asked_for(driver, missing):
    with pytest.raises(ConfigError, match=missing):
        trade(MODE, driver, hedged(steady(3, 3_000.0)), {f"strategy.{missing}": None})


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_the_share_aimed_at_stands_on_chain(driver, share):
    result = trade(MODE, driver, hedged(steady(6, 3_000.0)), {**QUIET, "strategy.stake_allocation": share})
    assert short(result)[-1] * price(result)[-1] == pytest.approx(share * equity(result)[-1], rel=0.01)
    for venue in VENUES:
        ratio = result.risk[f"margin_ratio|{venue}"].iloc[-1]
        assert ratio == pytest.approx((1.0 - share) / share, rel=0.02), venue
    assert reasons(result) == []


def test_everything_goes_home_when_everything_is_asked_for(driver):
    panel = hedged(steady(60, 3_000.0))
    result = trade(MODE, driver, panel, {**QUIET, "flows": flows(panel, (20, -10.0 * CAPITAL))})
    check_columns(result, MODE)
    check_hedged(result)
    assert reasons(result) == ["withdrawal exceeds equity"]
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    assert short(result)[-1] == held(result, TOKEN, -1) == 0.0
    left = sum(held(result, key, -1) for key in (WALLET, *map(cash, VENUES)))
    assert left == pytest.approx(equity(result)[-1], abs=0.05 * 3_000.0)
    assert equity(result)[-1] < 0.001 * CAPITAL
    assert -result.equity["net_flow"].sum() > 0.985 * CAPITAL
    assert len(events(result, "flow", detail="withdrawal paid")) >= 1
