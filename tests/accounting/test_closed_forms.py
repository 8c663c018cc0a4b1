"""Runs whose result is a formula: lending, the basis trade without costs, and where it is liquidated.

The formulas read the parquet files and the venue YAML themselves; `basis` only makes the runs.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import basis

ROOT = Path(__file__).resolve().parents[2]
FREE = {"costs.enabled": False, "transfers.instant": True}
HELD = {**FREE, "strategy.rebalance": False}
ONE = {"binance": 1.0, "bybit": 0.0, "okx": 0.0}
#: Where a venue lacks a series, this one stands in.
STAND_IN = {"binance": "bybit", "bybit": "binance", "okx": "bybit"}


def filled(data, kind, venue, columns):
    """The venue's own rows, then those of the stand-in at instants it lacks."""
    frames = []
    for source in (venue, STAND_IN[venue]):
        file = data / kind / f"{source}_btcusdt.parquet"
        if file.is_file():
            frame = pd.read_parquet(file, columns=["timestamp", *columns]).dropna().set_index("timestamp")
            frames.append(frame)
    first, *rest = frames
    for frame in rest:
        first = pd.concat([first, frame.loc[frame.index.difference(first.index)]]).sort_index()
    return first


def utc(text):
    return pd.Timestamp(text, tz="UTC")


def held_return(data, start, end, equity, target, weights):
    """Return of spot bought at the start against shorts of equal size, held to the end."""
    start, end = utc(start), utc(end)
    spot = filled(data, "spot", "binance", ["open"])["open"]
    units = {venue: w * equity / (1.0 + target) / spot[start] for venue, w in weights.items() if w > 0.0}
    profit = sum(units.values()) * (spot[end] - spot[start])
    for venue, q in units.items():
        mark = filled(data, "perp", venue, ["open"])["open"]
        rate = filled(data, "funding", venue, ["funding_rate"])["funding_rate"]
        rate = rate[(rate.index > start) & (rate.index <= end)]
        profit += q * (mark[rate.index] * rate).sum() - q * (mark[end] - mark[start])
    return profit / equity


def run_held(data, start, end, equity=100_000.0, target=1.0, weights=ONE, **more):
    overrides = {
        **HELD,
        "initial_capital": equity,
        "strategy.margin_ratio_target": target,
        "strategy.hedge_allocation": weights,
        "risk.simulate_liquidation": False,
        **more,
    }
    return basis.backtest("btc_basis", data, start, end, overrides)


# --- lending -----------------------------------------------------------------------------------------------------


def index_at(data, stamp):
    """Aave's index as it is known at an instant: the last observation, accrued linearly since."""
    frame = pd.read_parquet(data / "aave" / "usdt.parquet").set_index("timestamp")
    known = frame[frame.index <= stamp].iloc[-1]
    years = (stamp - known.name).total_seconds() / 31_536_000.0
    return known["liquidity_index"] * (1.0 + known["supply_apr"] * years)


def test_lending_2024(real_data):
    result = basis.backtest("pure_lending", real_data, "2024-01-01", "2025-01-01", FREE)
    assert result.summary["total_return"] == pytest.approx(0.0671218962634863, abs=1e-12)
    grown = index_at(real_data, utc("2025-01-01")) / index_at(real_data, utc("2024-01-01")) - 1.0
    assert result.summary["total_return"] == pytest.approx(grown, abs=1e-12)


@pytest.mark.parametrize(
    ("start", "end", "capital"),
    [
        ("2024-03-05T07:00", "2024-08-20T19:00", 1_234.5),
        ("2024-12-31T23:00", "2025-01-01T01:00", 1e9),
        ("2025-02-01", "2025-06-30T12:00", 100_000.0),
    ],
)
@pytest.mark.parametrize("folder", ["real_data", "sample_data"])
def test_lending_grows_with_the_index(folder, start, end, capital, request):
    data = request.getfixturevalue(folder)
    result = basis.backtest("pure_lending", data, start, end, {**FREE, "initial_capital": capital})
    grown = index_at(data, utc(end)) / index_at(data, utc(start)) - 1.0
    assert result.summary["total_return"] == pytest.approx(grown, abs=1e-12)
    assert result.attribution["supply_yield"].sum() == pytest.approx(capital * grown, rel=1e-10)


# --- basis, held -------------------------------------------------------------------------------------------------


def test_basis_2024(real_data):
    result = run_held(real_data, "2024-01-01", "2025-01-01")
    assert result.summary["total_return"] == pytest.approx(0.09729160117389719, abs=1e-9)


MIXED = {"binance": 0.5, "bybit": 0.2, "okx": 0.3}
SHIPPED = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
WINDOWS = [
    ("2024-01-01", "2025-01-01", 100_000.0, 1.0, ONE),
    ("2024-05-01", "2024-09-01", 1_000_000.0, 0.4, SHIPPED),
    # the OKX of the real set has no perp, no funding before May, and holes in August
    ("2024-02-10T05:00", "2024-08-31T16:00", 37_500.0, 0.8, MIXED),
    ("2025-01-03T23:00", "2025-09-01", 250_000.0, 2.0, {"binance": 0.1, "bybit": 0.1, "okx": 0.8}),
    ("2024-06-20T15:00", "2024-06-20T17:00", 10_000.0, 0.5, SHIPPED),
    # starts and ends on a settlement: the first is not paid, the last is
    ("2024-07-01T08:00", "2024-07-01T16:00", 10_000.0, 0.5, ONE),
]


@pytest.mark.parametrize(("start", "end", "equity", "target", "weights"), WINDOWS)
@pytest.mark.parametrize("folder", ["real_data", "sample_data"])
def test_basis_held_is_its_closed_form(folder, start, end, equity, target, weights, request):
    data = request.getfixturevalue(folder)
    result = run_held(data, start, end, equity, target, weights)
    expected = held_return(data, start, end, equity, target, weights)
    assert result.summary["total_return"] == pytest.approx(expected, abs=1e-9)
    assert result.status == "complete"
    # nothing but the carry is booked
    booked = result.attribution[["funding_pnl", "delta_pnl", "basis_pnl"]].to_numpy().sum()
    assert booked == pytest.approx(expected * equity, abs=1e-9 * equity)


def test_basis_held_on_the_sample_over_its_holes(sample_data):
    for end in ("2024-05-15T10:00", "2024-05-16", "2024-11-21"):
        result = run_held(sample_data, "2024-05-14", end, weights=SHIPPED)
        expected = held_return(sample_data, "2024-05-14", end, 100_000.0, 1.0, SHIPPED)
        assert result.summary["total_return"] == pytest.approx(expected, abs=1e-9)


# --- where it is liquidated --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def venue_yaml():
    return yaml.safe_load((ROOT / "configs" / "venues" / "binance.yaml").read_text())


@lru_cache(maxsize=512)
def venue_terms(day):
    """Brackets and liquidation fee of Binance's YAML on a day."""
    venue = venue_yaml()
    when = pd.Timestamp(day, tz="UTC")

    def at(table):
        dated = [entry for entry in table if pd.Timestamp(entry["from"], tz="UTC") <= when]
        return max(dated, key=lambda entry: entry["from"]) if dated else min(table, key=lambda entry: entry["from"])

    return at(venue["tiers"]["BTCUSDT"])["brackets"], at(venue["liquidation_fee"])["value"]


def first_liquidation(data, start, end, equity, target):
    """Row, price and cash before it of the first liquidation of a held short at one venue.

    Hour by hour: margin at the worst of the hour against the maintenance margin of that notional; then the price
    between the last mark and the worst at which the two are equal.
    """
    start, end = utc(start), utc(end)
    spot = filled(data, "spot", "binance", ["open"])["open"]
    bars = filled(data, "perp", "binance", ["open", "high"])
    rates = filled(data, "funding", "binance", ["funding_rate"])["funding_rate"]
    q = equity / (1.0 + target) / spot[start]
    cash, entry = equity * target / (1.0 + target), bars["open"][start]

    def gap(price, when):
        brackets, _ = venue_terms(when.date())
        notional = q * price
        _, rate, amount, _ = next(b for b in brackets if notional <= b[0])
        return cash - q * (price - entry) - (notional * rate - amount)

    stamps = pd.date_range(start, end, freq="h")
    marks = bars["open"][stamps].to_numpy()
    worst = np.maximum(marks, bars["high"][stamps].to_numpy())[:-1]
    paid = np.where(stamps.isin(rates.index), rates.reindex(stamps, fill_value=0.0), 0.0)
    paid[0] = 0.0
    held = cash + q * np.cumsum(marks * paid)[:-1]
    # far from any tier's maintenance there is nothing to look for
    near = np.flatnonzero(held - q * (worst - entry) < 0.2 * q * worst)
    for row in near:
        cash, before = held[row], stamps[row]
        if gap(worst[row], before) <= 0.0:
            low, high = marks[row], worst[row]
            for _ in range(100):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if gap(middle, before) > 0.0 else (low, middle)
            return stamps[row + 1], high, q, cash, entry
    return None


def test_liquidation_of_november_2024(real_data):
    result = run_held(real_data, "2024-01-01", "2025-01-01", 100_000.0, 1.0, ONE, **{"risk.simulate_liquidation": True})
    struck = result.events[result.events["kind"] == "liquidation"]
    assert len(struck) == 1
    struck = struck.iloc[0]
    assert struck.timestamp == utc("2024-11-13T15:00")
    assert struck.price == pytest.approx(90_434.9, abs=0.05)
    check_liquidation(real_data, result, "2024-01-01", "2025-01-01", 100_000.0, 1.0)


@pytest.mark.parametrize(("equity", "target"), [(100_000.0, 0.3), (40_000_000.0, 0.6)])
@pytest.mark.parametrize("fee", [None, 0.0005])
def test_liquidations_of_other_books(real_data, equity, target, fee):
    more = {"risk.simulate_liquidation": True}
    more |= {} if fee is None else {"venues.binance.liquidation_fee": fee}
    result = run_held(real_data, "2024-01-01", "2025-01-01", equity, target, ONE, **more)
    check_liquidation(real_data, result, "2024-01-01", "2025-01-01", equity, target, fee)


@pytest.mark.parametrize("fee", [None, 0.0005])
def test_liquidation_in_the_squeeze_of_the_sample(sample_data, fee):
    more = {"risk.simulate_liquidation": True}
    more |= {} if fee is None else {"venues.binance.liquidation_fee": fee}
    result = run_held(sample_data, "2025-01-20", "2025-03-01", 100_000.0, 0.3, ONE, **more)
    check_liquidation(sample_data, result, "2025-01-20", "2025-03-01", 100_000.0, 0.3, fee)


def check_liquidation(data, result, start, end, equity, target, fee=None):
    """Row, price, fee and cash of a run's liquidation, from the files."""
    stamp, price, q, cash, entry = first_liquidation(data, start, end, equity, target)
    ((_, struck),) = result.events[result.events["kind"] == "liquidation"].iterrows()
    assert struck.timestamp == stamp
    assert struck.quantity == pytest.approx(q, rel=1e-12)
    assert struck.price == pytest.approx(price, rel=1e-12)
    left = cash - q * (price - entry)
    charged = min((venue_terms(stamp.date())[1] if fee is None else fee) * q * price, left)
    assert struck.fee == pytest.approx(charged, rel=1e-8)
    assert result.attribution["liquidation_loss"][stamp] == pytest.approx(-charged, rel=1e-8)
    held = result.positions.loc[stamp:]
    np.testing.assert_allclose(held["binance:BaseToken:USDT"], left - charged, rtol=0.0, atol=1e-9 * equity)
    assert (held["binance:Perp:BTCUSDT"] == 0.0).all()
    # the coin is held on, and nothing is paid any more
    assert held["binance:BaseToken:BTC"].to_numpy() == pytest.approx(q, rel=1e-12)
    assert (result.attribution["funding_pnl"].loc[stamp:] == 0.0).all()
