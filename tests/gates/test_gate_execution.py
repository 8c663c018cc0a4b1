"""Gate of execution: impact, participation and partial fills, lots, resting orders; recomputed from a run's tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basis
from basis.errors import ConfigError, DataError
from basis.market import DataProvider
from support.result_checks import reasons, same_tables, slice_rate, slippage_rate, term
from support.runs import settings
from support.small_markets import VENUES, deep, market, steady, walk

WINDOW = {"sample_data": ("2025-02-01", "2025-03-01"), "real_data": ("2024-08-01", "2024-09-01")}
MODES = ("btc_basis", "eth_basis", "usdt_market_neutral_no_leverage", "usdt_market_neutral")
SPOT = "binance:BaseToken:BTC"
ALL = {
    "execution": {"orders": "maker", "impact": 0.5, "participation": 0.002, "lots": True},
    "fill": "next_bar",
}


@pytest.fixture(params=["sample_data", "real_data"])
def traded(request):
    """``traded(mode, overrides)``: a run on the sample, then on the real data where there are any."""
    folder = request.getfixturevalue(request.param)
    start, end = WINDOW[request.param]

    def run(mode, overrides=None, **more):
        return basis.backtest(mode, folder, start, end, overrides, **more)

    run.start = start
    return run


def lost(deal, impact=0.0):
    """Fraction of the price that a fill should lose: by its bucket, and by the root of its share of the volume."""
    kind = "spot" if ":BaseToken:" in deal.instrument else "perp"
    asset = deal.instrument.split(":")[2].removesuffix("USDT")

    slip = slippage_rate(deal.venue, kind, (deal.before + deal.units) * deal.reference_price, asset)
    if not impact:
        return slip
    # the bucket is that of the sum so far; the impact of all slices is that of their sum
    return slip + slice_rate(
        lambda units: impact * deal.volatility * np.sqrt(units / deal.volume), deal.before, deal.units
    )


def trades(result):
    """Fills of exchange trades with what the panel knew of their markets; `asked` is the quantity of the order."""
    events = result.events
    rows = np.flatnonzero((events.kind == "fill") & events.detail.str.match(r"(spot|perp)\b"))
    out = events.iloc[rows].reset_index(drop=True)
    orders = events.iloc[rows - 1].reset_index(drop=True)
    assert (orders.kind == "order").all()
    assert (orders.instrument == out.instrument).all()
    out["asked"] = orders.quantity
    out["name"] = [f"spot|{k.split(':')[2]}" if ":BaseToken:" in k else k for k in out.instrument]
    panel = result.panel
    for column in ("volume", "volatility", "high", "low"):
        known = [f"{column}|{name}" in panel for name in out.name]
        if all(known):
            out[column] = [panel.at[t, f"{column}|{n}"] for t, n in zip(out.timestamp, out.name, strict=True)]
    out["units"] = out.quantity.abs()
    out["before"] = out.groupby(["timestamp", "instrument"]).units.cumsum() - out.units
    return out


def taken(result):
    """Largest share of the volume of an hour that ended which the orders of a row took."""
    deals = trades(result)
    by_row = deals.groupby(["timestamp", "instrument"])
    return (by_row.units.sum() / by_row.volume.first()).max()


def check_closed(result):
    assert result.status == "complete", result.cause
    assert result.equity.residual.abs().max() <= 1e-9 * result.config.initial_capital


def worst_delta(result):
    return result.exposure.filter(like="net_delta_ratio|").abs().max().max()


# --- impact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_impact_is_the_root_of_the_share_of_the_volume(traded, mode):
    result = traded(mode, {"execution.impact": 0.8, "initial_capital": 5e6})
    check_closed(result)
    deals = trades(result)
    assert len(deals) > 5
    for deal in deals.itertuples():
        paid = np.sign(deal.quantity) * (deal.price / deal.reference_price - 1.0)
        assert paid == pytest.approx(lost(deal, 0.8), rel=1e-9)


def test_volatility_is_that_of_the_hour_that_ended(sample_data):
    """Parkinson's, from the candle that closed at the row."""
    result = basis.backtest("btc_basis", sample_data, "2025-02-01", "2025-02-05", {"execution.impact": 1.0})
    bars = pd.read_parquet(sample_data / "perp" / "bybit_btcusdt.parquet").set_index("timestamp")
    ended = bars.loc[result.panel.index - pd.Timedelta("1h")]
    expected = np.log(ended.high / ended.low) / (2.0 * np.sqrt(np.log(2.0)))
    seen = result.panel["volatility|bybit:Perp:BTCUSDT"]
    assert np.allclose(seen, expected, rtol=1e-12, atol=0.0, equal_nan=True)
    assert np.array_equal(result.panel["volume|bybit:Perp:BTCUSDT"], ended.volume)


# --- participation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cap", [0.01, 0.0005])
def test_no_row_takes_more_of_the_volume_than_allowed(traded, mode, cap):
    result = traded(mode, {"execution.participation": cap})
    check_closed(result)
    assert taken(result) <= cap * (1.0 + 1e-9)
    # legs grow and shrink together: what one market cannot take, the other does not trade
    assert worst_delta(result) <= 0.05


def test_a_small_cap_spreads_the_entry_over_rows_and_ends_where_a_large_one_does(traded):
    whole, small = traded("btc_basis"), traded("btc_basis", {"execution.participation": 2e-5})
    rows = [trades(run).query("instrument == @SPOT and quantity > 0").timestamp.nunique() for run in (whole, small)]
    assert rows[1] > 2 * rows[0]
    assert worst_delta(small) <= 1e-9
    assert small.positions[SPOT].iloc[-1] == pytest.approx(whole.positions[SPOT].iloc[-1], rel=0.05)


def test_an_order_beyond_the_volume_is_filled_in_part(sample_data):
    """ML trades one leg, so its order goes out whole and its venue takes what there is."""
    config = {"execution.participation": 2e-6, "initial_capital": 1e6}
    result = basis.backtest("ml_directional", sample_data, overrides=config)
    check_closed(result)
    deals = trades(result)
    part = deals[deals.detail == "perp, partial"]
    assert len(part)
    assert (part.units < part.asked.abs()).all()
    assert np.allclose(part.units + part.before, 2e-6 * part.volume, rtol=1e-9)
    assert (deals[deals.detail == "perp"].units == deals[deals.detail == "perp"].asked.abs()).all()


@pytest.mark.parametrize("execution", [{"execution.participation": 0.5}, {"execution.impact": 0.5}], ids=str)
def test_an_hour_without_volume_takes_nothing(driver, execution):
    """Neither an entry nor, in the last row, an exit: without a trade there is no price."""
    panel = deep(market(steady(40)), np.r_[np.zeros(10), np.full(29, 1_000.0), 0.0])
    names = [name.replace("volume", "volatility") for name in panel.columns if name.startswith("volume|")]
    panel = replace(panel, columns={**panel.columns, **{name: np.full(40, 0.005) for name in names}})
    result = basis.backtest(settings(overrides={**execution, "close_at_end": True}), panel, driver=driver)
    check_closed(result)
    assert trades(result).timestamp.min() == result.equity.index[10]
    assert trades(result).timestamp.max() < result.equity.index[-1]


def test_series_without_volume_are_refused_by_name(sample_data, tmp_path):
    for path in sample_data.rglob("*.parquet"):
        target = tmp_path / path.relative_to(sample_data)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    bare = tmp_path / "spot" / "binance_btcusdt.parquet"
    table = pd.read_parquet(bare).drop(columns=["volume"])
    bare.unlink()
    table.to_parquet(bare)
    overrides = {"execution.impact": 1.0, "data.sources": {"spot/btcusdt": ["binance"], "spot/ethusdt": ["bybit"]}}
    with pytest.raises(DataError, match=r"spot/btcusdt: its files have no volume.*execution\.impact"):
        basis.backtest("btc_basis", tmp_path, overrides=overrides)


# --- lots ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_orders_are_whole_lots_and_large_enough(traded, mode):
    result = traded(mode, {"execution.lots": True})
    check_closed(result)
    deals = trades(result)
    assert len(deals)
    for deal in deals.itertuples():
        symbol = deal.instrument.split(":")[2]
        kind, symbol = ("perp", symbol) if ":Perp:" in deal.instrument else ("spot", f"{symbol}USDT")
        step = term(deal.venue, f"{kind}_lots", symbol)["step"]
        assert abs(deal.units / step - round(deal.units / step)) <= 1e-6, deal
        assert deal.units * deal.reference_price >= term(deal.venue, f"{kind}_lots", symbol)["min_notional"]
    assert worst_delta(result) <= 0.02 + 1e-9


def test_what_is_left_of_a_lot_is_not_asked_for_again_and_again(sample_data):
    """After everything is closed less than a step may stay; that is no reason for an order in every row."""
    flow = [{"timestamp": "2025-02-10", "amount": -2e5}]
    result = basis.backtest(
        "btc_basis", sample_data, "2025-02-01", "2025-02-20", {"execution.lots": True, "flows": flow}
    )
    check_closed(result)
    late = result.events[(result.events.timestamp > pd.Timestamp("2025-02-12", tz="UTC"))]
    assert len(late[late.kind.isin(["order", "reject"])]) < 5
    # what there was is paid, and the rest refused once
    assert result.equity["withdrawal_pending"].iloc[-1] == 0.0
    assert result.equity["equity"].iloc[-1] == pytest.approx(0.0, abs=1e-6)
    assert reasons(result).count("withdrawal exceeds equity") == 1


@pytest.mark.parametrize("execution", [{"execution.lots": True}, {"execution.participation": 0.0005}], ids=str)
@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral"])
def test_a_withdrawal_is_owed_once_however_long_it_takes(traded, mode, execution):
    flow = [{"timestamp": traded.start[:-2] + "10", "amount": -30_000.0}]
    result = traded(mode, {**execution, "flows": flow, "risk.limits": {}})
    check_closed(result)
    assert set(result.equity["withdrawal_pending"]) == {0.0, 30_000.0}
    assert result.equity["net_flow"].sum() == -30_000.0


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_money_arrives_in_its_row_where_nothing_else_happens(driver):
    """Capital travels five hours, in which a strategy that tolerates anything has nothing to ask."""
    slow = {f"venues.{v}.latency.deposit": "5h" for v in VENUES}
    calm = {"strategy.position_deviation_threshold": 0.9, "strategy.rebalance": False, "risk.limits": {}}
    panel = deep(market(steady(24)), 1e6)
    result = basis.backtest("btc_basis", panel, overrides={**slow, **calm, "execution.lots": True}, driver=driver)
    came = result.events[result.events.kind == "arrival"]
    assert len(came) >= len(VENUES)
    assert set(result.equity.index.get_indexer(pd.DatetimeIndex(came.timestamp))) == {5}


# --- resting orders --------------------------------------------------------------------------------------------------


def urgent_rows(result):
    """(rows,) whether what a row decides does not wait for a price: a critical alert, or margin below its band."""
    settings, risk = result.config.strategy, result.risk
    target = settings.margin_ratio_target
    if settings.stake_allocation is not None:
        target = (1.0 - settings.stake_allocation) / settings.stake_allocation
    low = settings.margin_ratio_band[0] * target
    thin = (risk[[f"margin_ratio|{venue}" for venue in result.config.hedge_venues]] < low).any(axis=1)
    critical = (risk[[name for name in risk if name.startswith("alert|")]] >= 2).any(axis=1)
    return (thin | critical).to_numpy()


@pytest.mark.parametrize("mode", MODES)
def test_a_resting_order_is_filled_where_the_market_went_beyond_it(traded, mode):
    result = traded(mode, {"execution.orders": "maker", "fill": "next_bar"})
    check_closed(result)
    deals, panel, urgent = trades(result), result.panel, urgent_rows(result)
    makers = 0
    for deal in deals.itertuples():
        spot = ":BaseToken:" in deal.instrument
        row = panel.index.get_loc(deal.timestamp)
        limit = panel[deal.name if spot else f"mark|{deal.name}"].iloc[row - 1]
        reached = (deal.low < limit if deal.quantity > 0 else deal.high > limit) and not urgent[row - 1]
        rate = term(deal.venue, "spot_fee" if spot else "perp_fee")["maker" if reached else "taker"]
        assert deal.rate == rate
        makers += reached
        if reached:
            assert deal.price == limit
        else:
            paid = 1.0 + np.sign(deal.quantity) * lost(deal)
            assert deal.price == pytest.approx(deal.reference_price * paid, rel=1e-12)
        assert deal.slippage == pytest.approx(deal.quantity * (deal.price - deal.reference_price), rel=1e-9, abs=1e-9)
    assert makers


def test_resting_orders_need_the_next_bar():
    with pytest.raises(ConfigError, match="fill=next_bar"):
        basis.load_config("btc_basis", {"execution.orders": "maker"})


# --- all of it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_without_costs_prices_are_those_of_the_row(sample_data, mode):
    free = {"costs.enabled": False, "fill": "next_bar"}
    window = (sample_data, "2025-02-01", "2025-02-10")
    plain = basis.backtest(mode, *window, free)
    other = basis.backtest(mode, *window, {**free, "execution.orders": "maker", "execution.impact": 5.0})
    assert plain.equity.equity.equals(other.equity.equity)


@pytest.mark.parametrize("mode", MODES)
def test_both_drivers_and_both_halves_give_the_same_bits(sample_data, mode):
    window = (sample_data, "2025-02-01", "2025-02-08")
    one = basis.backtest(mode, *window, ALL)
    same_tables(one, basis.backtest(mode, *window, ALL, driver="event"))
    check_closed(one)
    kept = one.checkpoint("2025-02-04T07:00:00Z")
    rest = basis.backtest(mode, sample_data, "2025-02-04T07:00:00Z", "2025-02-08", ALL, resume=kept)
    for name in ("equity", "positions"):
        whole = getattr(one, name).loc[getattr(rest, name).index]
        assert whole.iloc[1:].equals(getattr(rest, name).iloc[1:]), name


def test_no_row_knows_the_volume_of_its_own_hour(sample_data):
    """What changes after a row leaves it as it was: volumes, ranges and prices alike."""
    config = basis.load_config("btc_basis", {**ALL, "start": "2025-02-01", "end": "2025-02-08"})
    panel = DataProvider(sample_data, config).panel(start=config.start, end=config.end)
    cut = 60
    changed = {
        name: np.r_[values[: cut + 1], values[cut + 1 :] * (3.0 if name.startswith(("volume", "volatility")) else 1.01)]
        for name, values in panel.columns.items()
    }
    one, other = basis.backtest(config, panel), basis.backtest(config, replace(panel, columns=changed))
    for name in ("equity", "positions", "risk"):
        assert getattr(one, name).iloc[: cut + 1].equals(getattr(other, name).iloc[: cut + 1]), name


def test_more_impact_never_pays(traded):
    made = [traded("btc_basis", {"execution.impact": x, "initial_capital": 1e7}).summary for x in (0.0, 0.3, 1.0, 3.0)]
    assert (np.diff([summary["total_return"] for summary in made]) < 0.0).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_smaller_share_of_the_volume_never_pays_where_the_carry_does(seed):
    """On a market that only pays funding; where prices move, a later entry may have the better price by chance."""
    panel = deep(market(steady(400), rate=2e-4), walk(400, seed, 0.3, 900.0))
    made = [
        basis.backtest(settings(overrides={"execution.participation": cap, "costs.enabled": False}), panel).summary
        for cap in (None, 1e-2, 1e-4, 1e-5)
    ]
    returns = [summary["total_return"] for summary in made]
    assert (np.diff(returns) <= 1e-15).all()
    assert returns[-1] < returns[0]
