"""What `check` finds: each defect planted alone in a small clean set, the sample, and the real set's named defects."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from basis.errors import DataError
from basis.market.quality import check, list_series

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 96

Frame = pl.DataFrame


def stamps(rows: int, hours: int) -> list[datetime]:
    return [START + timedelta(hours=hours * i) for i in range(rows)]


def at(row: int, column: str, value: object) -> Callable[[Frame], Frame]:
    """A change of one cell."""

    def change(frame: Frame) -> Frame:
        values = frame[column].to_list()
        values[row] = value
        return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))

    return change


def clean() -> dict[str, Frame]:
    """A small data set without a defect."""
    price = [100.0 + 0.1 * i for i in range(HOURS + 1)]
    bars = pl.DataFrame(
        {
            "timestamp": stamps(HOURS, 1),
            "open": price[:-1],
            "high": [p + 0.5 for p in price[:-1]],
            "low": [p - 0.5 for p in price[:-1]],
            "close": price[1:],
            "volume": [5.0] * HOURS,
            "quote_volume": [5.0 * p for p in price[:-1]],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    funding = pl.DataFrame(
        {"timestamp": stamps(12, 8), "funding_rate": [1e-4] * 12, "perp_open": price[: 12 * 8 : 8]},
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    aave = pl.DataFrame(
        {
            "timestamp": stamps(4, 24),
            "block_number": [1, 2, 3, 4],
            "supply_apr": [0.03] * 4,
            "variable_borrow_apr": [0.05] * 4,
            "liquidity_index": [1.0, 1.0001, 1.0002, 1.0003],
            "variable_borrow_index": [1.0, 1.0002, 1.0004, 1.0006],
            "total_supplied": [10.0] * 4,
            "total_variable_debt": [8.0] * 4,
            "utilization": [0.8] * 4,
            "oracle_price_usd": [1.0] * 4,
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    lst = pl.DataFrame(
        {
            "timestamp": stamps(HOURS, 1),
            "oracle_rate_eth": [1.05 + 0.0001 * (i // 24) for i in range(HOURS)],
            "is_observed": [i % 24 == 0 for i in range(HOURS)],
            "market_rate_eth_median24h": [1.049] * HOURS,
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    gas = pl.DataFrame(
        {
            "timestamp": stamps(HOURS, 1),
            "gas_price_gwei": [12.0] * HOURS,
            "sampled_at": [t - timedelta(seconds=60) for t in stamps(HOURS, 1)],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC"), "sampled_at": pl.Datetime("us", "UTC")},
    )
    signals = pl.DataFrame(
        {"timestamp": stamps(HOURS, 1), "signal": [1] * HOURS, "confidence": [0.5] * HOURS, "sd": [0.01] * HOURS},
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    topups = pl.DataFrame({"payout_date": [date(2024, 1, 2), date(2024, 2, 5)], "ethfi_per_eeth": [0.2, 0.3]})
    return {
        "spot/binance_btcusdt": bars,
        "perp/binance_btcusdt": bars,
        "perp/bybit_btcusdt": bars,
        "funding/binance_btcusdt": funding,
        "aave/usdt": aave,
        "lst/weeth": lst,
        "gas/ethereum": gas,
        "signals/btc_1h": signals,
        "rewards/ethfi_topups": topups,
    }


def write(root: Path, frames: dict[str, Frame]) -> Path:
    for series, frame in frames.items():
        path = root / f"{series}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
    return root


def test_a_clean_set_has_no_finding(tmp_path: Path) -> None:
    assert check(write(tmp_path, clean())) == []


def drop(*rows: int) -> Callable[[Frame], Frame]:
    return lambda f: f.with_row_index("n").filter(~pl.col("n").is_in(rows)).drop("n")


def null(*rows: int) -> Callable[[Frame], Frame]:
    def change(frame: Frame) -> Frame:
        out = frame.with_row_index("n")
        hit = pl.col("n").is_in(rows)
        others = [c for c in frame.columns if c != "timestamp"]
        return out.with_columns(pl.when(hit).then(None).otherwise(pl.col(c)).alias(c) for c in others).drop("n")

    return change


def shift(row: int, by: timedelta) -> Callable[[Frame], Frame]:
    return lambda f: at(row, "timestamp", f["timestamp"][row] + by)(f)


def still(f: Frame) -> Frame:
    return f.with_columns(open=pl.when(pl.col("timestamp") < START + timedelta(hours=12)).then(104.0).otherwise("open"))


H = timedelta(hours=1)
DEFECTS: list[tuple[str, Callable[[Frame], Frame], str, datetime | None, int]] = [
    ("spot/binance_btcusdt", null(5, 6, 7), "hole", START + 5 * H, 3),
    ("spot/binance_btcusdt", drop(5, 6, 40), "missing_stamp", START + 5 * H, 3),
    ("spot/binance_btcusdt", lambda f: pl.concat([f, f[9:10]]).sort("timestamp"), "duplicate", START + 9 * H, 1),
    ("spot/binance_btcusdt", lambda f: pl.concat([f[1:2], f[0:1], f[2:]]), "unsorted", START, 1),
    (
        "spot/binance_btcusdt",
        shift(7, timedelta(milliseconds=3)),
        "off_grid",
        START + 7 * H + timedelta(milliseconds=3),
        1,
    ),
    (
        "spot/binance_btcusdt",
        lambda f: f.with_columns(pl.col("timestamp").dt.replace_time_zone(None)),
        "naive_stamp",
        None,
        HOURS,
    ),
    ("spot/binance_btcusdt", lambda f: f.drop("high"), "missing_column", None, 1),
    ("spot/binance_btcusdt", lambda f: f.drop("timestamp"), "missing_column", None, 1),
    ("spot/binance_btcusdt", lambda f: f.with_columns(pl.col("open").cast(pl.Float32)), "wrong_type", None, 1),
    ("spot/binance_btcusdt", lambda f: f.with_columns(pl.col("timestamp").cast(pl.String)), "wrong_type", None, 1),
    ("spot/binance_btcusdt", at(3, "timestamp", None), "null_stamp", None, 1),
    ("spot/binance_btcusdt", at(3, "volume", None), "null", START + 3 * H, 1),
    ("spot/binance_btcusdt", at(3, "low", -1.0), "out_of_range", START + 3 * H, 1),
    ("spot/binance_btcusdt", at(3, "low", 102.0), "ohlc", START + 3 * H, 1),
    ("spot/binance_btcusdt", at(3, "high", float("inf")), "out_of_range", START + 3 * H, 1),
    ("spot/binance_btcusdt", at(3, "close", 100.8), "broken_bar", START + 3 * H, 1),
    ("spot/binance_btcusdt", at(3, "volume", 0.0), "no_trades", START + 3 * H, 1),
    ("spot/binance_btcusdt", still, "stale", START, 12),
    ("spot/binance_btcusdt", lambda f: f.clear(), "empty", None, 0),
    ("perp/binance_btcusdt", at(3, "high", 103.0), "venues_disagree", START + 3 * H, 1),
    ("funding/binance_btcusdt", at(4, "funding_rate", 0.04), "out_of_range", START + 32 * H, 1),
    ("funding/binance_btcusdt", at(4, "funding_rate", None), "hole", START + 32 * H, 1),
    ("funding/binance_btcusdt", at(4, "perp_open", None), "null", START + 32 * H, 1),
    ("aave/usdt", at(2, "supply_apr", -0.01), "out_of_range", START + 48 * H, 1),
    ("aave/usdt", at(2, "variable_borrow_apr", 12.0), "out_of_range", START + 48 * H, 1),
    ("aave/usdt", at(2, "liquidity_index", 1.0003e27), "out_of_range", START + 48 * H, 1),
    ("aave/usdt", at(2, "variable_borrow_index", 0.99), "index_falls", START + 48 * H, 1),
    ("aave/usdt", at(2, "liquidity_index", 1.0001), "stale", START + 48 * H, 1),
    ("lst/weeth", at(30, "market_rate_eth_median24h", 1850.0), "out_of_range", START + 30 * H, 1),
    ("lst/weeth", at(30, "oracle_rate_eth", 1.05015), "non_causal", START + 30 * H, 1),
    ("lst/weeth", at(48, "is_observed", False), "not_observed", START + 24 * H, 1),
    ("gas/ethereum", at(30, "gas_price_gwei", 6_000.0), "out_of_range", START + 30 * H, 1),
    ("gas/ethereum", at(30, "sampled_at", START + 30 * H + timedelta(seconds=5)), "non_causal", START + 30 * H, 1),
    ("gas/ethereum", at(30, "sampled_at", START + 29 * H), "late", START + 30 * H, 1),
    ("signals/btc_1h", at(30, "signal", 2), "out_of_range", START + 30 * H, 1),
    ("signals/btc_1h", at(30, "confidence", 1.2), "out_of_range", START + 30 * H, 1),
    ("rewards/ethfi_topups", lambda f: f.reverse(), "unsorted", START + 24 * H, 1),
    ("rewards/ethfi_topups", lambda f: f.drop("ethfi_per_eeth"), "missing_column", None, 1),
]


@pytest.mark.parametrize(
    ("series", "change", "kind", "first", "count"),
    DEFECTS,
    ids=[f"{i:02}-{d[2]}-{d[0]}" for i, d in enumerate(DEFECTS)],
)
def test_a_planted_defect_is_found(
    tmp_path: Path, series: str, change: Callable[[Frame], Frame], kind: str, first: datetime | None, count: int
) -> None:
    frames = clean()
    frames[series] = change(frames[series])
    found = check(write(tmp_path, frames))
    hits = [f for f in found if f.series == series and f.kind == kind]
    assert len(hits) == 1, found
    assert (hits[0].first, hits[0].count) == (first, count)
    assert hits[0].message
    assert {f.series for f in found} == {series}, "a defect is blamed on another series"


@pytest.mark.parametrize("name", ["spot/okx_btcusdt.parquet", "spot/okx_btcusdt.csv"])
def test_a_file_that_is_no_parquet_is_a_finding(tmp_path: Path, name: str) -> None:
    write(tmp_path, clean())
    (tmp_path / name).write_text("timestamp,open\n")
    found = check(tmp_path)
    assert [(f.series, f.kind) for f in found] == [("spot/okx_btcusdt", "unreadable")]
    assert len(list_series(tmp_path)) == len(clean())


def test_wrapped_ether_is_compared_with_ether(tmp_path: Path) -> None:
    bars = clean()["spot/binance_btcusdt"]
    prices = ["open", "high", "low", "close"]
    pool = bars.with_columns(pl.col(prices) * 1.02).drop("volume", "quote_volume")
    found = check(write(tmp_path, {"spot/bybit_ethusdt": bars, "spot/uniswapv3_wethusdt": pool}))
    assert [(f.kind, f.count) for f in found] == [("venues_disagree", HOURS)]
    assert "uniswapv3_wethusdt" in found[0].message


@pytest.mark.parametrize("function", [check, list_series])
def test_a_folder_that_is_none_or_empty_is_an_error(tmp_path: Path, function: Callable[[Path], object]) -> None:
    with pytest.raises(DataError, match="not found"):
        function(tmp_path / "nowhere")
    with pytest.raises(DataError, match="No parquet"):
        function(tmp_path)


def test_list_series(tmp_path: Path) -> None:
    infos = {i.series: i for i in list_series(write(tmp_path, clean()))}
    assert list(infos) == sorted(clean())
    spot = infos["spot/binance_btcusdt"]
    assert (spot.file, spot.rows, spot.step) == ("spot/binance_btcusdt.parquet", HOURS, timedelta(hours=1))
    assert (spot.first, spot.last) == (START, START + 95 * H)
    assert spot.columns[:2] == ("timestamp", "open")
    assert infos["aave/usdt"].step == timedelta(days=1)
    assert infos["rewards/ethfi_topups"].first == START + 24 * H


def test_the_sample_has_its_two_deliberate_holes_and_nothing_else(sample_data: Path) -> None:
    assert [(f.series, f.kind, f.first, f.count) for f in check(sample_data)] == [
        ("funding/okx_btcusdt", "hole", datetime(2024, 11, 20, 8, tzinfo=UTC), 1),
        ("funding/okx_ethusdt", "hole", datetime(2024, 11, 20, 8, tzinfo=UTC), 1),
        ("perp/binance_btcusdt", "hole", datetime(2024, 5, 15, 9, tzinfo=UTC), 3),
        ("spot/binance_btcusdt", "hole", datetime(2024, 5, 15, 9, tzinfo=UTC), 3),
    ]


NAMED = [
    ("spot/binance_btcusdt", "hole", 345, "15 holes, longest 23 rows"),
    ("perp/binance_btcusdt", "hole", 345, "15 holes, longest 23 rows"),
    ("perp/binance_ethusdt", "hole", 345, "15 holes, longest 23 rows"),
    ("perp/okx_ethusdt", "hole", 1440, "2 holes, longest 720 rows from 2024-08-31 16:00"),
    ("funding/okx_btcusdt", "hole", 132, "93 rows"),
    ("funding/okx_ethusdt", "hole", 132, "93 rows"),
    ("perp/binance_btcusdt", "broken_bar", 2, "2024-10-28 20:00, 2024-10-28 21:00"),
    ("perp/binance_ethusdt", "broken_bar", 1, "worst 98 bp at 2024-10-28 21:00"),
    ("perp/binance_ethusdt", "venues_disagree", 4, "2024-08-05 01:00"),
    ("aave/weeth", "stale", 1, "liquidity_index"),
    ("gas/ethereum", "non_causal", 7292, "mined after"),
    ("gas/ethereum", "late", 7619, "30 minutes"),
    ("lst/weeth", "non_causal", 11523, "looks ahead"),
    ("lst/wsteth", "non_causal", 11615, "looks ahead"),
    ("spot/uniswapv3_wethusdt", "no_trades", 11, "without a trade"),
    ("spot/uniswapv3_eigenweth", "no_trades", 19, "without a trade"),
    ("spot/uniswapv3_ethfiweth", "no_trades", 242, "without a trade"),
    ("funding/binance_btcusdt", "null", 39, "perp_open"),
    ("gas/ethereum", "null", 24, "eth_usd"),
]


def test_the_named_defects_of_real_data_are_found(real_data: Path) -> None:
    found = check(real_data)
    for series, kind, count, text in NAMED:
        hits = [f for f in found if (f.series, f.kind, f.count) == (series, kind, count) and text in f.message]
        assert hits, (series, kind, count, text)
    assert not {f.series for f in found if f.series.startswith(("perp/bybit", "funding/bybit", "spot/bybit_btc"))}
    assert not {f.kind for f in found} & {
        "out_of_range",
        "ohlc",
        "duplicate",
        "unsorted",
        "unreadable",
        "missing_column",
    }
