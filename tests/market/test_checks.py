"""What a run refuses of its data, and what it warns of: each defect alone in a market that is otherwise right."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis.config import load_config
from basis.errors import DataError
from basis.market import DataProvider
from basis.market.quality import check, check_run, list_series

H = 3_600_000_000  # us
ROWS = 24 * 30 + 1
BEGIN = int(np.datetime64("2025-06-01", "us").astype(np.int64))
GRID = BEGIN + np.arange(ROWS) * H
MODE = {"strategy.hedge_allocation": {"binance": 0.5, "bybit": 0.5}}
Columns = dict[str, np.ndarray]


def write(root: Path, series: str, columns: Columns) -> None:
    path = root / f"{series}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = pa.array(columns["timestamp"], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**columns, "timestamp": stamps}), path)


def bars(price: np.ndarray) -> Columns:
    """Candles through prices of ROWS hours and one more."""
    after = np.append(price[1:], price[-1])
    volume = 900.0 + 10.0 * (np.arange(price.size) % 7)
    high, low = np.maximum(price, after) * 1.001, np.minimum(price, after) * 0.999
    return {
        "timestamp": GRID, "open": price, "high": high, "low": low, "close": after, "volume": volume,
        "quote_volume": volume * (high + low) / 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of two venues: a random walk, a premium that reverts, and funding that is its mean."""
    root, rng = tmp_path_factory.mktemp("clean"), np.random.default_rng(11)
    spot = 60_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.005, ROWS)))
    premium = np.zeros(ROWS)
    for t in range(1, ROWS):
        premium[t] = 0.97 * premium[t - 1] + rng.normal(0.0, 1e-4)
    ether = 3_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.006, ROWS)))
    write(root, "spot/bybit_ethusdt", bars(ether))
    for venue in ("binance", "bybit"):
        noise = 1.0 + rng.normal(0.0, 2e-5, ROWS)
        write(root, f"spot/{venue}_btcusdt", bars(spot * noise))
        write(root, f"perp/{venue}_btcusdt", bars(spot * (1.0 + premium)))
        due = np.arange(0, ROWS, 8)
        mean = np.array([premium[max(t - 8, 0) : max(t, 1)].mean() for t in due])
        write(root, f"funding/{venue}_btcusdt", {"timestamp": GRID[due], "funding_rate": mean + 1e-4})
    write(root, "gas/ethereum", {"timestamp": GRID, "gas_price_gwei": np.full(ROWS, 3.0)})
    return root


@pytest.fixture
def market(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "data"))


def change(root: Path, series: str, how: Callable[[Columns], Columns]) -> None:
    table = pq.read_table(root / f"{series}.parquet")
    columns = {name: table.column(name).to_numpy().copy() for name in table.column_names}
    columns["timestamp"] = columns["timestamp"].astype("datetime64[us]").astype(np.int64)
    write(root, series, how(columns))


def warnings(root: Path, **more: object) -> tuple[str, ...]:
    return DataProvider(root, load_config("btc_basis", {**MODE, **more})).panel().warnings


def times(column: str, factor: float, rows: slice | int = slice(None)) -> Callable[[Columns], Columns]:
    def how(columns: Columns) -> Columns:
        columns[column] = columns[column].astype(float)
        columns[column][rows] *= factor
        return columns

    return how


def whole_bar(factor: float, row: int) -> Callable[[Columns], Columns]:
    def how(columns: Columns) -> Columns:
        for name in ("open", "high", "low", "close"):
            columns[name][row] *= factor
        return columns

    return how


def swap(a: str, b: str) -> Callable[[Columns], Columns]:
    return lambda columns: {**columns, a: columns[b], b: columns[a]}


def later(hours: int) -> Callable[[Columns], Columns]:
    def how(columns: Columns) -> Columns:
        stamps = columns["timestamp"]
        return {**{k: v[: len(v) - hours] for k, v in columns.items()}, "timestamp": stamps[hours:]}

    return how


def test_a_market_that_is_right_is_told_nothing(clean: Path) -> None:
    assert warnings(clean) == ()
    assert check(clean) == []
    assert check_run(clean, load_config("btc_basis", MODE)) == []


IMPOSSIBLE = [
    ("funding/binance_btcusdt", times("funding_rate", 100.0), "per cent: divide by 100"),
    ("funding/bybit_btcusdt", times("funding_rate", 1e4), "within ±0.04, the cap of the venue"),
    ("funding/binance_btcusdt", times("funding_rate", 400.0, 12), "2025-06-05 00:00: funding_rate must be"),
    ("spot/binance_btcusdt", times("open", 10.0, 100), "spot/binance_btcusdt at 2025-06-05 04:00"),
    ("spot/binance_btcusdt", whole_bar(10.0, 100), "the next one takes back"),
    ("perp/bybit_btcusdt", whole_bar(0.1, 100), "perp/bybit_btcusdt at 2025-06-05 04:00"),
    ("spot/binance_btcusdt", whole_bar(10.0, ROWS - 1), "its price is 9.998 times that of the other 3"),
    ("spot/binance_btcusdt", swap("open", "volume"), "open and volume look swapped"),
    ("perp/binance_btcusdt", swap("high", "low"), "high and low look swapped"),
    ("spot/binance_btcusdt", later(8), "spot/binance_btcusdt at .*it moves 8 h behind"),
    ("perp/bybit_btcusdt", later(8), "perp/bybit_btcusdt at .*it moves 8 h behind"),
    ("gas/ethereum", times("gas_price_gwei", 1e9), "looks like wei: divide by 1e9"),
]


@pytest.mark.parametrize(
    ("series", "how", "text"), IMPOSSIBLE, ids=[f"{i:02}-{d[0]}" for i, d in enumerate(IMPOSSIBLE)]
)
def test_the_impossible_stops_a_run(market: Path, series: str, how: Callable[[Columns], Columns], text: str) -> None:
    change(market, series, how)
    with pytest.raises(DataError, match=text) as caught:
        warnings(market)
    assert series in str(caught.value)
    assert "data.checks=off" in str(caught.value)
    found = check_run(market, load_config("btc_basis", MODE))
    assert any(each.impossible and each.series == series for each in found)
    # the window decides: before the defect there is none, and who insists is let through
    DataProvider(market, load_config("btc_basis", {**MODE, "data.checks": "off"})).panel()


def test_the_window_decides(market: Path) -> None:
    change(market, "spot/binance_btcusdt", whole_bar(10.0, 500))
    assert warnings(market, end="2025-06-15") == ()
    with pytest.raises(DataError, match="cannot be right"):
        warnings(market)


def test_a_payment_at_the_start_is_not_of_the_window(market: Path) -> None:
    change(market, "funding/binance_btcusdt", times("funding_rate", 1e4, 3))
    assert warnings(market, start="2025-06-02") == ()
    with pytest.raises(DataError, match="at 2025-06-02 00:00: funding_rate"):
        warnings(market, start="2025-06-01T23:00")


def test_the_file_of_another_asset_is_refused(market: Path) -> None:
    shutil.copy(market / "spot/bybit_ethusdt.parquet", market / "spot/binance_btcusdt.parquet")
    with pytest.raises(DataError, match=r"spot/binance_btcusdt at .*another asset"):
        warnings(market)


def test_every_file_of_another_asset_is_refused(market: Path) -> None:
    for series in ("spot/binance_btcusdt", "spot/bybit_btcusdt", "perp/binance_btcusdt", "perp/bybit_btcusdt"):
        shutil.copy(market / "spot/bybit_ethusdt.parquet", market / f"{series}.parquet")
    with pytest.raises(DataError, match=r"prices of spot/.*one of the two files is of another asset"):
        warnings(market)


def test_the_only_price_of_an_asset_is_held_against_that_of_gas_and_of_the_oracle(market: Path) -> None:
    lending = {"asset": "ETH", "share_class": "ETH"}
    days = GRID[::24]
    index = 1.0 + 0.03 * np.arange(days.size) / 365
    columns = {"liquidity_index": index, "variable_borrow_index": index}
    columns |= {"supply_apr": np.full(days.size, 0.03), "variable_borrow_apr": np.full(days.size, 0.03)}
    prices = {"oracle_price_usd": np.full(days.size, 3_000.0)}
    write(market, "aave/weth", {"timestamp": days, **columns, **prices})
    assert DataProvider(market, load_config("pure_lending", lending)).panel().warnings == ()
    shutil.copy(market / "spot/bybit_btcusdt.parquet", market / "spot/bybit_ethusdt.parquet")
    with pytest.raises(DataError, match="times that in column oracle_price_usd of aave/weth"):
        DataProvider(market, load_config("pure_lending", lending)).panel()
    write(market, "aave/weth", {"timestamp": days, **columns})
    DataProvider(market, load_config("pure_lending", lending)).panel()
    change(market, "gas/ethereum", lambda c: {**c, "eth_usd": np.full(ROWS, 3_000.0)})
    with pytest.raises(DataError, match="times that in column eth_usd of gas/ethereum"):
        DataProvider(market, load_config("pure_lending", lending)).panel()


IMPROBABLE = [
    ("funding/binance_btcusdt", times("funding_rate", -1.0), "their sign looks flipped"),
    ("perp/binance_btcusdt", whole_bar(1.08, 300), "differs from the other 3 series"),
    ("spot/bybit_btcusdt", whole_bar(1.03, 300), "differs from spot/binance_btcusdt by more than 2%"),
    ("spot/binance_btcusdt", times("quote_volume", 0.01), "contracts"),
    (
        "perp/binance_btcusdt",
        lambda c: {**c, "timestamp": c["timestamp"] + H - 1000},
        "look like the close of a candle",
    ),
    ("perp/binance_btcusdt", later(1), "it moves 1 h behind"),
]


@pytest.mark.parametrize(
    ("series", "how", "text"), IMPROBABLE, ids=[f"{i:02}-{d[0]}" for i, d in enumerate(IMPROBABLE)]
)
def test_the_improbable_is_a_warning(market: Path, series: str, how: Callable[[Columns], Columns], text: str) -> None:
    change(market, series, how)
    told = [each for each in warnings(market) if text in each]
    assert len(told) == 1
    assert told[0].startswith(series)
    with pytest.raises(DataError, match=r"data\.checks is strict"):
        warnings(market, **{"data.checks": "strict"})
    assert not [each for each in warnings(market, **{"data.checks": "off"}) if text in each]
    assert any(text in each.message for each in check_run(market, load_config("btc_basis", MODE)))


def test_flat_bars_without_a_trade_are_told(market: Path) -> None:
    def quiet(columns: Columns) -> Columns:
        rows = slice(200, 240)
        for name in ("high", "low", "close"):
            columns[name][rows] = columns["open"][rows]
        columns["volume"][rows] = columns["quote_volume"][rows] = 0.0
        return columns

    change(market, "perp/binance_btcusdt", quiet)
    assert any("40 flat bars without a trade" in text for text in warnings(market))


# --- series that end, and what stands in ------------------------------------------------------------------------


def test_a_contract_that_no_longer_trades_ends_the_window(market: Path) -> None:
    def delisted(columns: Columns) -> Columns:
        last = slice(400, None)
        for name in ("open", "high", "low", "close"):
            columns[name][last] = columns["open"][400]
        columns["volume"][last] = columns["quote_volume"][last] = 0.0
        return columns

    change(market, "perp/binance_btcusdt", delisted)
    change(market, "funding/binance_btcusdt", lambda c: {k: v[:51] for k, v in c.items()})
    panel = DataProvider(market, load_config("btc_basis", MODE)).panel()
    assert len(panel) == 401
    assert set(panel.settlements["binance:Perp:BTCUSDT"].source) == {0}
    assert any("taken for delisted" in text for text in panel.warnings)
    with pytest.raises(DataError, match="the time in which it was traded"):
        DataProvider(market, load_config("btc_basis", {**MODE, "end": "2025-06-25"})).panel()
    # what ends before is told nothing
    assert warnings(market, end="2025-06-10") == ()


def test_a_stand_in_for_a_whole_tail_is_a_warning(market: Path) -> None:
    for series in ("perp/binance_btcusdt", "funding/binance_btcusdt"):
        change(market, series, lambda c: {k: v[: len(v) // 2] for k, v in c.items()})
    (market / "spot/binance_btcusdt.parquet").unlink()
    told = warnings(market)
    assert [text.partition(":")[0] for text in told] == [
        "spot/btcusdt", "perp/binance_btcusdt", "funding/binance_btcusdt",
    ]  # fmt: skip
    assert "binance has no prices in this window; those of bybit stand in for all of it" in told[0]
    assert "the prices of binance end 2025-06-15" in told[1]
    assert "those of bybit stand in for the 46 payments outside" in told[2]
    # the other way round where the spot venue is the other one
    (market / "spot/bybit_btcusdt.parquet").rename(market / "spot/binance_btcusdt.parquet")
    told = warnings(market, **{"strategy.spot_venue": "bybit"})
    assert "spot/btcusdt: bybit has no prices in this window; those of binance stand in for all of it." in told


def test_a_spot_venue_at_prices_of_another_is_told(market: Path) -> None:
    assert warnings(market, **{"strategy.spot_venue": "bybit"}) == ()
    told = warnings(market, **{"strategy.spot_venue": "bybit", "data.sources.spot/btcusdt": ["binance"]})
    assert [text for text in told if "traded at bybit and priced by binance" in text]


def test_hourly_candles_on_a_finer_grid_are_told(market: Path) -> None:
    [told] = warnings(market, bar_interval="30m")
    assert "720 of 1,441 rows lie between two candles of 1 h" in told
    assert "spot/btcusdt" in told
    assert "spot/ethusdt" not in told  # pays for gas, and is not traded


def test_a_window_between_the_candles_is_told(market: Path) -> None:
    [told] = warnings(market, start="2025-06-02T00:20", end="2025-06-03")
    assert "24 of 24 rows lie between two candles of 1 h" in told


def test_a_stand_in_that_begins_long_after_the_window_is_no_error(market: Path) -> None:
    """A stand-in much shorter than the window, which begins before it by more rows than it has."""
    change(market, "perp/bybit_btcusdt", lambda c: {k: v[-200:] for k, v in c.items()})
    sources = {"data.sources": {"perp/bybit_btcusdt": ["binance", "bybit"]}}
    assert DataProvider(market, load_config("btc_basis", {**MODE, **sources})).panel().timestamps.size == ROWS


def test_a_series_that_ends_long_before_the_others_is_told(market: Path) -> None:
    change(market, "gas/ethereum", lambda c: {k: v[:300] for k, v in c.items()})
    [told] = warnings(market)
    assert told == (
        "gas/ethereum: its data end 2025-06-14T11:00:00Z, and the window with them; "
        "others reach to 2025-07-01T07:59:59Z."
    )
    assert warnings(market, end="2025-06-10") == ()


def test_an_interval_of_the_venue_that_its_file_contradicts_is_told(market: Path) -> None:
    [told] = warnings(market, **{"venues.bybit.funding_interval": "1h"})
    assert told.startswith("funding/bybit_btcusdt: bybit mostly settles every 8 h, but venues.bybit.funding_interval")


# --- marks ---------------------------------------------------------------------------------------------------------


def test_a_series_of_marks_is_the_mark_and_its_extremes(market: Path) -> None:
    key = "binance:Perp:BTCUSDT"
    before = DataProvider(market, load_config("btc_basis", MODE)).panel()
    candles = pq.read_table(market / "perp/binance_btcusdt.parquet")
    mark = {name: candles.column(name).to_numpy() * 1.0005 for name in ("open", "high", "low")}
    mark["open"][50:60] = np.nan
    write(market, "mark/binance_btcusdt", {"timestamp": GRID, **mark})
    panel = DataProvider(market, load_config("btc_basis", MODE)).panel()
    whole = np.where(np.isnan(mark["open"]), before.columns[f"mark|{key}"], mark["open"])
    assert panel.columns[f"mark|{key}"].tobytes() == whole.tobytes()
    assert panel.columns[f"high|{key}"][20:40].tobytes() == mark["high"][19:39].tobytes()
    assert panel.columns[f"low|{key}"][20:40].tobytes() == mark["low"][19:39].tobytes()
    assert panel.columns[f"volume|{key}"].tobytes() == before.columns[f"volume|{key}"].tobytes()
    events = panel.settlements[key]
    assert events.marks.tobytes() == whole[events.rows].tobytes()
    assert "mark/binance_btcusdt.parquet" in panel.files
    assert any("10 of 721" in note and "the last price of binance" in note for note in panel.notes)
    stands_in = [note for note in panel.notes if note.startswith("marks:")]
    assert len(stands_in) == 1  # bybit still has none
    write(market, "mark/bybit_btcusdt", {"timestamp": GRID, **mark})
    panel = DataProvider(market, load_config("btc_basis", MODE)).panel()
    assert not [note for note in panel.notes if note.startswith("marks:")]


def test_impact_needs_volume_only_where_something_is_traded(market: Path) -> None:
    change(market, "spot/bybit_ethusdt", lambda c: {k: v for k, v in c.items() if k not in ("volume", "quote_volume")})
    warnings(market, **{"execution.impact": 1.0})
    for venue in ("binance", "bybit"):
        change(market, f"spot/{venue}_btcusdt", lambda c: {k: v for k, v in c.items() if k != "volume"})
    with pytest.raises(DataError, match="spot/btcusdt: its files have no volume"):
        warnings(market, **{"execution.impact": 1.0})


# --- lending and staking -------------------------------------------------------------------------------------------


def staked(root: Path, oracle: np.ndarray, apr: float, growth: float) -> Path:
    """A folder for the levered mode: rates of weETH, reserves whose index grows by `growth` a year, gas."""
    days = GRID[::24]
    write(root, "spot/bybit_ethusdt", bars(np.full(ROWS, 3_000.0)))
    write(root, "gas/ethereum", {"timestamp": GRID, "gas_price_gwei": np.full(ROWS, 3.0)})
    rates = {"oracle_rate_eth": oracle, "is_observed": np.ones(ROWS, bool), "market_rate_eth_median24h": oracle}
    write(root, "lst/weeth", {"timestamp": GRID, **rates})
    index = 1.0 + growth * np.arange(days.size) / 365
    columns = {"liquidity_index": index, "variable_borrow_index": index}
    columns |= {"supply_apr": np.full(days.size, apr), "variable_borrow_apr": np.full(days.size, apr)}
    for asset in ("weeth", "weth"):
        write(root, f"aave/{asset}", {"timestamp": days, **columns})
    return root


def of_staking(root: Path) -> tuple[str, ...]:
    return DataProvider(root, load_config("eth_leveraged", {"rewards.enabled": False})).panel().warnings


def test_rates_of_a_year_in_per_cent_and_staking_rates_that_fall_are_refused(tmp_path: Path) -> None:
    oracle = 1.05 + 1e-6 * np.arange(ROWS)
    assert of_staking(staked(tmp_path / "right", oracle, 0.03, 0.03)) == ()
    with pytest.raises(DataError, match=r"supply_apr is 3 in the median row.*per cent"):
        of_staking(staked(tmp_path / "percent", oracle, 3.0, 0.03))
    fallen = np.where(np.arange(ROWS) < 300, oracle, oracle * 0.9)
    with pytest.raises(DataError, match=r"lst/weeth at 2025-06-13 12:00: oracle_rate_eth falls by 10%"):
        of_staking(staked(tmp_path / "fallen", fallen, 0.03, 0.03))


# --- files of any bytes -------------------------------------------------------------------------------------------


def timestamps(unit: str, counts: np.ndarray, zone: str | None = "UTC") -> pa.Array:
    return pa.array(counts, pa.timestamp(unit, zone))


def bad_files() -> dict[str, Callable[[Path], None]]:
    price = np.linspace(60_000.0, 61_000.0, ROWS)
    good = {"open": price, "high": price + 1, "low": price - 1, "close": price, "volume": np.ones(ROWS)}

    def table(stamps: object, **columns: object) -> Callable[[Path], None]:
        return lambda path: pq.write_table(pa.table({"timestamp": stamps, **{**good, **columns}}), path)

    us = timestamps("us", GRID)
    mixed = np.where(np.arange(ROWS) < 300, GRID // 1000, GRID)
    return {
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("timestamp,open\n1,2\n"),
        "magic": lambda path: path.write_bytes(b"PAR1" + bytes(range(256)) + b"PAR1"),
        "truncated": lambda path: path.write_bytes(path.read_bytes()[:-500]),
        "no-rows": lambda path: pq.write_table(pq.read_table(path).slice(0, 0), path),
        "no-columns": lambda path: pq.write_table(pa.table({}), path),
        "microseconds-as-ms": table(timestamps("ms", mixed)),
        "all-microseconds-as-ms": table(timestamps("ms", GRID)),
        "milliseconds-as-us": table(timestamps("us", GRID // 1000)),
        "seconds-as-ns": table(timestamps("ns", GRID // 1_000_000)),
        "nanoseconds-as-us": table(timestamps("us", GRID * 1000)),
        "farthest": table(timestamps("ms", np.full(ROWS, 2**62))),
        "nearest": table(timestamps("us", np.full(ROWS, -(2**62)))),
        "integers-ms": table(pa.array(GRID // 1000)),
        "integers-ns": table(pa.array(GRID * 1000)),
        "floats": table(pa.array(GRID / 1e6)),
        "naive": table(timestamps("us", GRID, None)),
        "odd-zone": table(timestamps("us", GRID, "Nowhere/Land")),
        "null-stamps": table(pa.array([None] * ROWS, pa.timestamp("us", "UTC"))),
        "one-null-stamp": table(pa.array([None, *GRID[1:].tolist()], pa.timestamp("us", "UTC"))),
        "null-type": table(pa.nulls(ROWS)),
        "descending": table(timestamps("us", GRID[::-1])),
        "duplicates": table(timestamps("us", np.repeat(GRID, 2)[:ROWS])),
        "text-prices": table(us, open=pa.array(["1"] * ROWS)),
        "nested-prices": table(us, open=pa.array([[1.0]] * ROWS)),
        "bytes-that-are-no-text": table(
            us, note=pa.Array.from_buffers(pa.string(), ROWS, pa.array([b"\xff"] * ROWS).buffers())
        ),
        "null-prices": table(us, open=pa.nulls(ROWS)),
        "nan-prices": table(us, open=np.full(ROWS, np.nan)),
        "infinite": table(us, open=np.full(ROWS, np.inf)),
        "negative": table(us, open=-price),
        "prices-beyond-2^53": table(us, open=np.full(ROWS, 2**60 + 1)),
        "unsigned": table(us, open=np.full(ROWS, 2**64 - 1, np.uint64)),
        "dates": table(pa.array((GRID // (24 * H)).astype(np.int32), pa.date32())),
        "far-dates": table(pa.array(np.full(ROWS, 2**31 - 1, np.int32), pa.date32())),
        "durations": table(pa.array(GRID, pa.duration("us"))),
        "times-of-day": table(pa.array(np.zeros(ROWS, np.int64), pa.time64("us"))),
        "dictionary": table(us, open=pa.array(price).dictionary_encode()),
        "prices-twice": lambda path: pq.write_table(pq.read_table(path).append_column("open", pa.array(price)), path),
        "decimals": table(us, open=pa.array(price.astype(int)).cast(pa.decimal128(30, 2))),
    }


#: What a run does not read, or reads as what it is.
HARMLESS = ("odd-zone", "bytes-that-are-no-text", "dictionary")


@pytest.mark.parametrize("name", list(bad_files()))
def test_no_file_makes_a_traceback(market: Path, name: str) -> None:
    """Whatever its bytes, a file is a finding of `data check`, and one clear error of a run that names it."""
    bad_files()[name](market / "spot/binance_btcusdt.parquet")
    found = [each for each in check(market) if each.series == "spot/binance_btcusdt"]
    assert found
    list_series(market)
    alone = {"data.sources.spot/btcusdt": ["binance"]}
    if name in HARMLESS:
        warnings(market, **alone)
        return
    with pytest.raises(DataError, match=r"spot/(binance_)?btcusdt"):
        warnings(market, **alone)


def test_epochs_of_another_unit_are_named(market: Path) -> None:
    bad_files()["microseconds-as-ms"](market / "spot/binance_btcusdt.parquet")
    [found] = [each for each in check(market) if each.kind == "far_stamp"]
    assert found.series == "spot/binance_btcusdt"
    for text in ("microseconds read as milliseconds", "2025-06-13T12:00:00Z"):
        assert text in found.message
        with pytest.raises(DataError, match=text):
            warnings(market)


def test_bytes_at_random_make_no_traceback(market: Path) -> None:
    """Bytes of a good file overwritten at random, seeded: an error that names it, or a run."""
    path = market / "funding/binance_btcusdt.parquet"
    good, rng = path.read_bytes(), np.random.default_rng(5)
    for _ in range(150):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), rng.integers(1, 8)):
            bad[place] = rng.integers(0, 256)
        path.write_bytes(bytes(bad))
        check(market)
        list_series(market)
        try:
            warnings(market)
        except DataError as error:
            assert str(error)  # noqa: PT017


def test_integers_beyond_the_floats_and_columns_of_nulls_are_volumes(market: Path) -> None:
    table = pq.read_table(market / "spot/binance_btcusdt.parquet")
    place = table.column_names.index("volume")
    path = market / "spot/binance_btcusdt.parquet"
    pq.write_table(table.set_column(place, "volume", pa.array(np.full(ROWS, 3 * 10**18 + 1, np.int64))), path)
    assert any("quote_volume / volume" in text for text in warnings(market))
    pq.write_table(table.set_column(place, "volume", pa.nulls(ROWS)), path)
    assert warnings(market) == ()
