"""Defects that look plausible row by row: marks, levels of funding, rates, payouts, units of gas and volume."""

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
from basis.market.quality import check

H = 3_600_000_000  # us
ROWS = 24 * 180 + 1
BEGIN = int(np.datetime64("2025-03-01", "us").astype(np.int64))
GRID = BEGIN + np.arange(ROWS) * H
BASIS = {"strategy.hedge_allocation": {"binance": 0.5, "bybit": 0.5}}
Columns = dict[str, np.ndarray]
Change = Callable[[Columns], Columns]
LATE = slice(int(0.7 * ROWS), None)


def write(root: Path, series: str, columns: Columns) -> None:
    path = root / f"{series}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        k: pa.array(v, pa.timestamp("us", "UTC")) if k == "timestamp" else pa.array(v) for k, v in columns.items()
    }
    pq.write_table(pa.table(arrays), path)


def bars(price: np.ndarray) -> Columns:
    after = np.append(price[1:], price[-1])
    volume = 900.0 + 10.0 * (np.arange(price.size) % 7)
    high, low = np.maximum(price, after) * 1.001, np.minimum(price, after) * 0.999
    return {
        "timestamp": GRID, "open": price, "high": high, "low": low, "close": after, "volume": volume,
        "quote_volume": volume * (high + low) / 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year of two venues with marks, a reserve, a staking token with rewards, and gas."""
    root, rng = tmp_path_factory.mktemp("clean"), np.random.default_rng(5)
    ether = 3_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.003, ROWS)))
    write(root, "spot/bybit_ethusdt", bars(ether))
    write(root, "spot/uniswapv3_wethusdt", bars(ether))
    spot = 60_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.003, ROWS)))
    premium = np.zeros(ROWS)
    for t in range(1, ROWS):
        premium[t] = 0.97 * premium[t - 1] + rng.normal(0.0, 3e-5)
    due = np.arange(0, ROWS, 8)
    for venue in ("binance", "bybit"):
        noise = 1.0 + rng.normal(0.0, 2e-5, ROWS)
        write(root, f"spot/{venue}_btcusdt", bars(spot * noise))
        mark = bars(spot * (1.0 + premium))
        write(root, f"perp/{venue}_btcusdt", mark)
        write(root, f"mark/{venue}_btcusdt", {k: mark[k] for k in ("timestamp", "open", "high", "low")})
        mean = np.array([premium[max(t - 8, 0) : max(t, 1)].mean() for t in due])
        write(root, f"funding/{venue}_btcusdt", {"timestamp": GRID[due], "funding_rate": mean + 1e-4})
    write(root, "gas/ethereum", {"timestamp": GRID, "gas_price_gwei": np.full(ROWS, 3.0)})
    years = np.arange(ROWS) / 8760.0
    index = 1.0 + 0.03 * years[::24]
    rates = {"supply_apr": np.full(index.size, 0.03), "variable_borrow_apr": np.full(index.size, 0.03)}
    indices = {"liquidity_index": index, "variable_borrow_index": index}
    write(root, "aave/weth", {"timestamp": GRID[::24], **indices, **rates})
    rate = 1.04 + 0.03 * years
    staked = {"oracle_rate_eth": rate, "is_observed": np.ones(ROWS, bool), "market_rate_eth_median24h": rate}
    write(root, "lst/weeth", {"timestamp": GRID, **staked})
    write(root, "spot/uniswapv3_eigenweth", bars(0.0012 * spot / spot[0]))
    weeks = np.datetime64("2025-03-03") + 7 * np.arange(20)
    paid = {"period_start": weeks, "period_end": weeks + 6, "eigen_per_eeth_computed": np.full(20, 0.17)}
    write(root, "rewards/eigen_distributions", paid)
    return root


@pytest.fixture
def market(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "data"))


def change(root: Path, series: str, how: Change) -> None:
    table = pq.read_table(root / f"{series}.parquet")
    columns = {name: table.column(name).to_numpy().copy() for name in table.column_names}
    write(root, series, how(columns))


def told(root: Path, mode: str = "btc_basis", **more: object) -> tuple[str, ...]:
    keys = BASIS if mode == "btc_basis" else {}
    if mode == "pure_lending":
        keys = {"asset": "ETH", "share_class": "ETH"}
    return DataProvider(root, load_config(mode, {**keys, **more})).panel().warnings


def times(factor: float, rows: slice | int = slice(None), *names: str) -> Change:
    def how(columns: Columns) -> Columns:
        for name in names or ("open", "high", "low"):
            columns[name][rows] = columns[name][rows] * factor
        return columns

    return how


def paid(factor: float, rows: slice | int = slice(None)) -> Change:
    return times(factor, rows, "funding_rate")


def later(hours: int) -> Change:
    def how(columns: Columns) -> Columns:
        stamps = columns["timestamp"]
        return {**{k: v[: len(v) - hours] for k, v in columns.items()}, "timestamp": stamps[hours:]}

    return how


def put(name: str, value: float, rows: slice | int = slice(None)) -> Change:
    def how(columns: Columns) -> Columns:
        columns[name][rows] = value
        return columns

    return how


def gradual(name: str, change: float) -> Change:
    """A column that goes to another level within a day, as where hours are interpolated between two days."""
    return lambda columns: {
        **columns,
        name: columns[name] * (1.0 + change * np.clip((np.arange(ROWS) - 2000) / 24, 0, 1)),
    }


MODES = ("btc_basis", "pure_lending", "eth_staking_only")


@pytest.mark.parametrize("mode", MODES)
def test_a_market_that_is_right_is_told_nothing(clean: Path, mode: str) -> None:
    assert told(clean, mode) == ()


def test_files_that_are_right_are_told_nothing(clean: Path) -> None:
    assert [each for each in check(clean) if each.series.partition("/")[0] in ("mark", "perp", "spot", "funding")] == []


FUNDING, MARK = "funding/binance_btcusdt", "mark/binance_btcusdt"
MONTHS = slice(int(0.7 * ROWS / 8), None)
STOPS: list[tuple[str, str, Change, str]] = [
    ("btc_basis", MARK, times(0.05), "another asset or another unit"),
    ("btc_basis", MARK, times(1e3), "another unit, by 1000"),
    ("btc_basis", MARK, later(8), "it moves 8 h behind"),
    ("btc_basis", MARK, times(10.0, 500), "the next one takes back"),
    ("btc_basis", FUNDING, paid(100.0, MONTHS), "multiplied by 100"),
    ("eth_staking_only", "lst/weeth", times(1.30, LATE, "oracle_rate_eth"), "changes by +30.0% within a day"),
    ("eth_staking_only", "lst/weeth", times(1.08, LATE, "oracle_rate_eth"), "the rate of another token"),
    ("eth_staking_only", "lst/weeth", times(1.05, LATE, "oracle_rate_eth"), "2% is more than any protocol pays"),
    ("pure_lending", "aave/weth", times(1.08, slice(100, None), "liquidity_index"), "changes by +8.0% within a day"),
    ("eth_staking_only", "lst/weeth", gradual("oracle_rate_eth", -0.08), "within a day"),
    ("eth_staking_only", "lst/weeth", gradual("oracle_rate_eth", 0.05), "within a day"),
    ("eth_staking_only", "spot/uniswapv3_eigenweth", times(100.0, LATE, "open", "high", "low", "close"), "in one step"),
    ("btc_basis", "gas/ethereum", times(1e-9, slice(None), "gas_price_gwei"), "it looks like ETH, multiply by 1e9"),
]


@pytest.mark.parametrize(
    ("mode", "series", "how", "text"), STOPS, ids=[f"{i:02}-{each[1]}" for i, each in enumerate(STOPS)]
)
def test_the_impossible_stops_a_run(market: Path, mode: str, series: str, how: Change, text: str) -> None:
    change(market, series, how)
    with pytest.raises(DataError) as caught:
        told(market, mode)
    lines = [
        line for line in str(caught.value).splitlines() if line.startswith(f"- {series} at 2025-") and text in line
    ]
    assert len(lines) == 1, str(caught.value)
    told(market, mode, **{"data.checks": "off"})


WARNED: list[tuple[str, str, Change, str]] = [
    ("btc_basis", MARK, times(1.03), "its price is 1.03 times that of the 4 series of the asset"),
    ("btc_basis", MARK, times(1.03, LATE), "another currency, another contract or a factor"),
    ("btc_basis", "perp/binance_btcusdt", times(1.03, slice(None), "open", "high", "low", "close"), "is 1.03 times"),
    ("btc_basis", FUNDING, paid(10.0, MONTHS), "multiplied by 10"),
    ("btc_basis", FUNDING, paid(0.1, MONTHS), "divided by 10"),
    ("btc_basis", FUNDING, put("funding_rate", 0.025, 200), "2.500% is paid"),
    ("btc_basis", FUNDING, put("funding_rate", 0.0076, slice(200, 203)), "0.760% is paid within 8 h"),
    ("btc_basis", FUNDING, put("funding_rate", 0.005, 200), "times the next largest payment"),
    ("btc_basis", FUNDING, put("funding_rate", 0.0008, MONTHS), "88% a year"),
    ("btc_basis", "perp/binance_btcusdt", put("high", np.nan), "high is null in 4,321 of 4,321 bars"),
    ("btc_basis", MARK, put("low", np.nan, LATE), "nothing is tested within those bars"),
    ("eth_staking_only", "lst/weeth", times(0.97, LATE, "oracle_rate_eth"), "changes by -3.0% within a day"),
    ("btc_basis", "gas/ethereum", put("gas_price_gwei", 0.005, LATE), "below 0.01 in 1,297 rows"),
    ("btc_basis", "gas/ethereum", put("gas_price_gwei", 0.005), "below 0.01 in 4,321 rows"),
    ("btc_basis", "perp/bybit_btcusdt", times(1e3, slice(None), "volume", "quote_volume"), "contracts or quote units"),
    (
        "eth_staking_only",
        "rewards/eigen_distributions",
        times(100.0, 5, "eigen_per_eeth_computed"),
        "17 EIGEN are paid for each ETH that is held",
    ),
]


@pytest.mark.parametrize(
    ("mode", "series", "how", "text"), WARNED, ids=[f"{i:02}-{each[1]}" for i, each in enumerate(WARNED)]
)
def test_the_improbable_is_a_warning(market: Path, mode: str, series: str, how: Change, text: str) -> None:
    change(market, series, how)
    found = [each for each in told(market, mode) if text in each]
    assert len(found) == 1, told(market, mode)
    assert found[0].startswith(f"{series} at 2025-")
    with pytest.raises(DataError, match=r"data\.checks is strict"):
        told(market, mode, **{"data.checks": "strict"})


@pytest.mark.parametrize("factor", [10.0, 9.0])
def test_funding_that_is_too_high_at_every_venue_is_told(market: Path, factor: float) -> None:
    for venue in ("binance", "bybit"):
        change(market, f"funding/{venue}_btcusdt", paid(factor))
    found = told(market)
    for venue in ("binance", "bybit"):
        assert any(each.startswith(f"funding/{venue}_btcusdt") and "more than 80% is unusual" in each for each in found)


def test_a_change_of_interval_is_no_change_of_level(market: Path) -> None:
    """From eight hours to one: each payment is an eighth, and as much is paid in a month."""

    def hourly(columns: Columns) -> Columns:
        first = MONTHS.start
        rates = columns["funding_rate"]
        stamps = np.concatenate((GRID[::8][:first], GRID[8 * first :]))
        fine = np.repeat(rates[first:], 8)[: stamps.size - first] / 8
        return {"timestamp": stamps, "funding_rate": np.concatenate((rates[:first], fine))}

    change(market, FUNDING, hourly)
    assert not [each for each in told(market) if "times as large" in each or "unusual" in each]


def test_marks_of_another_asset_at_every_venue_are_refused(market: Path) -> None:
    ether = pq.read_table(market / "spot/bybit_ethusdt.parquet").select(["timestamp", "open", "high", "low"])
    for venue in ("binance", "bybit"):
        pq.write_table(ether, market / f"mark/{venue}_btcusdt.parquet")
    with pytest.raises(DataError, match=r"mark/bybit_btcusdt at .* that of the 4 series of the asset"):
        told(market)
    assert any(each.series == MARK and each.kind == "other_price" for each in check(market))


def test_marks_are_judged_where_few_candles_are_left(market: Path) -> None:
    (market / "spot/bybit_btcusdt.parquet").unlink()
    change(market, "perp/bybit_btcusdt", lambda c: {k: v[: LATE.start] for k, v in c.items()})
    change(market, MARK, times(1.03, LATE))
    assert [each for each in told(market) if each.startswith(MARK) and "is 1.03 times" in each]
