"""DataProvider: windows, defects of files, look-up, and that nothing is known before its time."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from market_files import HOUR, T0, hours, same_bits

from basis.errors import DataError
from basis.market import DataProvider, Panel

SPOT = "wallet:BaseToken:BTC"
ALL = ("binance:Perp:BTCUSDT", "okx:Perp:BTCUSDT", "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH")
SOURCES = {
    "spot/btcusdt": ["binance", "bybit"],
    "spot/ethusdt": ["bybit"],
    "perp/binance_btcusdt": ["binance", "bybit"],
    "perp/okx_btcusdt": ["okx", "bybit"],
    "funding/okx_btcusdt": ["okx", "bybit"],
}
RULE = {"rate_rule": {"enabled": True, "enter": 0.1, "leave": 0.05, "window": "1d"}}


# --- windows ---------------------------------------------------------------------------------------------------


def test_default_window_is_the_common_range_on_whole_steps(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 30)
    dataset.bars("spot/bybit_ethusdt.parquet", [100.0] * 30, start=T0 + HOUR)
    keys = (SPOT, "wallet:BaseToken:ETH")
    panel = DataProvider(dataset.root, configure(*keys)).panel()
    assert panel.timestamps[[0, -1]].tolist() == [1709254800 * 10**9, (1709251200 + 29 * 3600) * 10**9]
    daily = DataProvider(dataset.root, configure(*keys, bar_interval="1d")).panel()
    assert daily.timestamps.tolist() == [(1709251200 + 86400) * 10**9]


def test_window_from_configuration_and_arguments(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [float(i + 1) for i in range(50)])
    provider = DataProvider(dataset.root, configure(SPOT, start="2024-03-01T02:00:00Z", end="2024-03-02"))
    assert provider.panel().columns["spot|BTC"].tolist() == [float(i) for i in range(3, 26)]
    assert len(provider.panel(start=datetime(2024, 3, 1, 23), end=datetime(2024, 3, 2, 1, tzinfo=UTC))) == 3
    # An end between two rows is the row before it.
    assert len(provider.panel(start=T0, end=T0 + 1.5 * HOUR)) == 2
    assert len(provider.panel(start=T0, end=T0)) == 1


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2024-02-29T23:00:00Z", None, ["spot/btcusdt", "2024-03-01T00:00:00Z .. 2024-03-01T02:00:00Z"]),
        (None, "2024-03-01T03:00:00Z", ["spot/btcusdt", "2024-03-01T00:00:00Z .. 2024-03-01T02:00:00Z"]),
        ("2024-03-01T02:00:00Z", "2024-03-01T01:00:00Z", ["before start", "2024-03-01T01:00:00Z"]),
        ("2025-01-01", None, ["No common range", "spot/btcusdt"]),
    ],
)
def test_window_outside_the_data(dataset, configure, start, end, words):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 3)
    with pytest.raises(DataError) as caught:
        DataProvider(dataset.root, configure(SPOT)).panel(start=start, end=end)
    assert all(word in str(caught.value) for word in words)


def test_keys_may_differ_from_the_configuration(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 3)
    provider = DataProvider(dataset.root, configure(SPOT, "wallet:BaseToken:ETH"))
    assert "spot|BTC" in provider.panel(keys=[SPOT]).columns
    with pytest.raises(DataError, match="venue:type:symbol"):
        provider.panel(keys=["BTC"])


# --- defects ---------------------------------------------------------------------------------------------------

DEFECTS = {
    "naive": ({"zone": None}, {}, ["'timestamp'", "no time zone", "2024-03-01"]),
    "missing column": ({}, {"drop": "open"}, ["'open'", "missing"]),
    "duplicate": ({}, {"stamps": [T0, T0 + HOUR, T0 + HOUR]}, ["'timestamp'", "2024-03-01T01:00:00Z", "duplicated"]),
    "unsorted": ({}, {"stamps": [T0, T0 + 2 * HOUR, T0 + HOUR]}, ["'timestamp'", "2024-03-01T01:00:00Z", "sort"]),
    "null stamp": ({}, {"stamps": [T0, None, T0 + HOUR]}, ["'timestamp'", "null in row 1"]),
    "negative": ({}, {"open": [100.0, -1.0, -2.0]}, ["'open'", "-1 at 2024-03-01T01:00:00Z", "> 0"]),
    "zero": ({}, {"low": [100.0, 100.0, 0.0]}, ["'low'", "0 at 2024-03-01T02:00:00Z", "> 0"]),
    "infinite": ({}, {"high": [float("inf"), 100.0, 0.0]}, ["'high'", "inf at 2024-03-01T00:00:00Z", "finite"]),
    "volume": ({}, {"volume": [1.0, -5.0, 0.0]}, ["'volume'", "-5 at 2024-03-01T01:00:00Z", ">= 0"]),
    "text": ({}, {"open": ["a", "b", "c"]}, ["'open'", "not a number"]),
}


@pytest.mark.parametrize("name", list(DEFECTS))
def test_defects_of_a_file_are_named(dataset, configure, name):
    how, changes, words = DEFECTS[name]
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 3)
    columns = {c: [100.0] * 3 for c in ("open", "high", "low", "volume")}
    columns.update({k: v for k, v in changes.items() if k in columns})
    columns.pop(changes.get("drop"), None)
    path = "perp/binance_btcusdt.parquet"
    dataset.write(path, changes.get("stamps", hours(3)), **how, **columns)
    dataset.funding("funding/binance_btcusdt.parquet", [T0], [0.0])
    with pytest.raises(DataError) as caught:
        DataProvider(dataset.root, configure("binance:Perp:BTCUSDT")).panel()
    message = str(caught.value)
    assert message.startswith(path)
    assert f"basis data check {dataset.root}" in message
    assert all(word in message for word in words)


def test_an_index_must_be_positive(dataset, configure):
    dataset.aave("aave/usdt.parquet", [1.0, 0.0], [1.0, 1.0])
    with pytest.raises(DataError, match=r"aave/usdt\.parquet: column 'liquidity_index' is 0 at 2024-03-02T00:00:00Z"):
        DataProvider(dataset.root, configure("aave_v3:aToken:USDT")).panel()


def test_a_file_that_is_no_parquet_or_empty(dataset, configure):
    file = dataset.bars("spot/binance_btcusdt.parquet", [])
    with pytest.raises(DataError, match="no rows"):
        DataProvider(dataset.root, configure(SPOT)).panel()
    file.write_text("timestamp,open\n")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        DataProvider(dataset.root, configure(SPOT)).panel()
    dataset.bars("spot/binance_btcusdt.parquet", [None, None])
    with pytest.raises(DataError, match="spot/btcusdt: no value at all"):
        DataProvider(dataset.root, configure(SPOT)).panel()


def test_what_is_absent_is_named(dataset, configure, tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        DataProvider(tmp_path / "nowhere", configure(SPOT))
    with pytest.raises(DataError) as caught:
        DataProvider(dataset.root, configure(SPOT)).panel()
    for word in ("spot/binance_btcusdt.parquet", "spot/bybit_btcusdt.parquet", "data.sources['spot/btcusdt']"):
        assert word in str(caught.value)
    with pytest.raises(DataError, match=r"price of DOGE: set data\.sources\['spot/dogeusdt'\]"):
        DataProvider(dataset.root, configure("wallet:BaseToken:DOGE")).panel()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_stamps_of_any_unit_and_zone(dataset, configure, unit):
    dataset.write("spot/binance_btcusdt.parquet", hours(3), unit=unit, zone="Europe/Berlin", open=[1.0, 2.0, 3.0])
    panel = DataProvider(dataset.root, configure(SPOT)).panel()
    assert panel.timestamps[0] == 1709251200 * 10**9
    assert panel.columns["spot|BTC"].tolist() == [1.0, 2.0, 3.0]
    assert "volume|spot|BTC" not in panel.columns


def test_nulls_survive_chunks_and_offsets(dataset, configure):
    opens = [None if i % 7 == 3 else float(i + 1) for i in range(200)]
    table = pa.table(
        {"timestamp": pa.array(hours(200), pa.timestamp("us", "UTC")), "open": pa.array(opens, pa.float64())}
    )
    file = dataset.root / "spot" / "binance_btcusdt.parquet"
    file.parent.mkdir()
    pq.write_table(table, file, row_group_size=37)
    panel = DataProvider(dataset.root, configure(SPOT)).panel()
    carried = [opens[i] if opens[i] is not None else opens[i - 1] for i in range(200)]
    assert panel.columns["spot|BTC"].tolist() == carried


# --- look-up ---------------------------------------------------------------------------------------------------


def test_get_market_data_knows_the_row_at_or_before(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, None, None, None, None, 105.0])
    provider = DataProvider(dataset.root, configure(SPOT))
    known = asyncio.run(provider.get_market_data("2024-03-01T01:30:00Z"))
    assert known == {"spot|BTC": 100.0, "volume|spot|BTC": 1.0, "spot|BTC|age_s": 3600.0}
    # Past its staleness a price is not known any more.
    assert "spot|BTC" not in asyncio.run(provider.get_market_data(T0 + 4 * HOUR))
    assert asyncio.run(provider.get_market_data(T0 + 5 * HOUR))["spot|BTC"] == 105.0
    with pytest.raises(DataError, match="outside the panel"):
        asyncio.run(provider.get_market_data("2024-03-02"))


def test_series_lists_the_files(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, 101.0])
    dataset.funding("funding/okx_btcusdt.parquet", [T0], [0.1])
    (dataset.root / "rewards").mkdir()
    day = pa.array([T0.date()], pa.date32())
    pq.write_table(pa.table({"payout_date": day}), dataset.root / "rewards" / "x.parquet")
    listed = DataProvider(dataset.root, configure(SPOT)).series()
    assert [tuple(info) for info in listed] == [
        ("spot/binance_btcusdt", "spot/binance_btcusdt.parquet", T0, T0 + HOUR, 2),
        ("funding/okx_btcusdt", "funding/okx_btcusdt.parquet", T0, T0, 1),
        ("rewards/x", "rewards/x.parquet", T0, T0, 1),
    ]


def test_reading_needs_no_pandas(sample_data):
    code = (
        "import sys; from basis.config import load_config; from basis.market import DataProvider;"
        "assert 'pyarrow' not in sys.modules;"
        f"DataProvider({str(sample_data)!r}, load_config('btc_basis')).panel(end='2024-02-01');"
        "assert not {'pandas', 'numba', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is known when ----------------------------------------------------------------------------------------

ROWS = 24 * 6 + 1


@pytest.fixture
def market(dataset):
    """Six days of every kind of series, with holes."""
    rng = np.random.default_rng(3)

    def walk(count, holes=()):
        values = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, count)))
        return [None if i in holes else float(v) for i, v in enumerate(values)]

    days = ROWS // 24 + 1
    dataset.bars("spot/binance_btcusdt.parquet", walk(ROWS, {30, 31, 77}))
    dataset.bars("spot/bybit_btcusdt.parquet", walk(ROWS, {31}))
    dataset.bars("spot/bybit_ethusdt.parquet", walk(ROWS))
    dataset.bars("perp/binance_btcusdt.parquet", walk(ROWS, {40, 41, 64, 65}))
    dataset.bars("perp/bybit_btcusdt.parquet", walk(ROWS, {41}))
    eight = [T0 + 8 * i * HOUR + timedelta(milliseconds=11) for i in range(days * 3)]
    dataset.funding("funding/binance_btcusdt.parquet", eight, walk(len(eight)))
    dataset.funding("funding/okx_btcusdt.parquet", eight, walk(len(eight), {2, 7, 8}))
    dataset.funding("funding/bybit_btcusdt.parquet", eight, walk(len(eight)))
    for asset in ("weeth", "weth"):
        dataset.aave(f"aave/{asset}.parquet", walk(days), walk(days))
    midnight = [i % 24 == 0 for i in range(ROWS)]
    dataset.lst("lst/weeth.parquet", walk(ROWS), midnight, walk(ROWS, {50, 51}))
    dataset.gas(walk(ROWS), lag_s=[3500 if i % 2 else -20 for i in range(ROWS)], start=T0 - HOUR)
    return dataset


@pytest.fixture
def config(configure):
    return configure(
        *ALL, share_class="ETH", strategy=RULE, costs={"enabled": True}, data={"sources": SOURCES}, valuation="market"
    )


def rows_equal(a: Panel, b: Panel, count: int) -> None:
    """The first `count` rows and what settles in them are the same bits."""
    assert same_bits(a.timestamps[:count], b.timestamps[:count])
    for table in ("columns", "sources", "ages"):
        left, right = getattr(a, table), getattr(b, table)
        assert left.keys() == right.keys()
        for name in left:
            assert same_bits(left[name][:count], right[name][:count]), name
    for key in a.settlements:
        for left, right in zip(a.settlements[key], b.settlements[key], strict=True):
            inside = [np.asarray(s.settlements[key].rows) < count for s in (a, b)]
            assert same_bits(left[inside[0]], right[inside[1]])


def known_at(path: str, table: pa.Table) -> np.ndarray:
    """When each row of a file is known, ns."""
    column = "sampled_at" if "sampled_at" in table.column_names else "timestamp"
    stamps = table.column(column).cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    # Settlements are known at their whole second.
    return (stamps + 5 * 10**8) // 10**9 * 10**9 if path.startswith("funding") else stamps


@pytest.mark.parametrize("row", [3, 24, 41, 48, 64, 77, 100])
@pytest.mark.parametrize("how", ["change", "delete"])
def test_nothing_later_changes_a_row(market, config, row, how):
    end = T0 + (ROWS - 2) * HOUR if how == "change" else T0 + row * HOUR
    before = DataProvider(market.root, config).panel(start=T0, end=end)
    instant = int(before.timestamps[row])
    for file in sorted(market.root.rglob("*.parquet")):
        path = file.relative_to(market.root).as_posix()
        table = pq.read_table(file)
        later = known_at(path, table) > instant
        if how == "delete":
            pq.write_table(table.filter(pa.array(~later)), file)
            continue
        # A candle's high, low and volume are known when it ends.
        ended = known_at(path, table) + 3600 * 10**9 > instant if path.startswith(("spot", "perp")) else later
        for name in table.column_names:
            if pa.types.is_floating(table.column(name).type):
                values = np.array(table.column(name).to_pylist(), dtype=float)
                mask = ended if name in ("high", "low", "close", "volume") else later
                values = np.where(mask, np.where(np.isnan(values), 7.0, values * 1.7), values)
                table = table.set_column(table.column_names.index(name), name, pa.array(values, from_pandas=True))
        pq.write_table(table, file)
    after = DataProvider(market.root, config).panel(start=T0, end=end)
    rows_equal(before, after, row + 1)
    if how == "change":
        assert not same_bits(before.columns["spot|BTC"], after.columns["spot|BTC"])


def test_two_windows_agree_on_the_rows_they_share(market, config):
    provider = DataProvider(market.root, config)
    whole = provider.panel(start=T0, end=T0 + (ROWS - 2) * HOUR)
    for first, last in ((0, 40), (31, 90), (65, 140)):
        part = DataProvider(market.root, config).panel(start=T0 + first * HOUR, end=T0 + last * HOUR)
        cut = whole.slice(first, last)
        rows_equal(part, cut, len(part))
        for name, values in part.columns.items():
            if not name.startswith(("high", "low", "funding_rate", "funding_cash")):
                assert same_bits(values, whole.columns[name][first : last + 1]), name


def test_real_holes_of_binance_are_filled_by_bybit(real_data, configure):
    key = "binance:Perp:BTCUSDT"
    sources = {"sources": {"perp/binance_btcusdt": ["binance", "bybit"]}}
    panel = DataProvider(real_data, configure(key, data=sources)).panel(end="2025-09-18")
    own, other = (
        np.array(pq.read_table(real_data / f"perp/{v}_btcusdt.parquet").column("open").to_pylist(), dtype=float)
        for v in ("binance", "bybit")
    )
    rows = len(panel)
    hole = np.isnan(own[:rows])
    assert hole.sum() == 345 - np.isnan(own[rows:]).sum()
    mark = panel.columns[f"mark|{key}"]
    assert same_bits(mark, np.where(hole, other[:rows], own[:rows]))
    assert panel.coverage["perp/binance_btcusdt"] == {"own": 1 - hole.sum() / rows, "resolved": 1.0}
    assert (panel.sources[f"mark|{key}"] == 1).sum() == hole.sum()
    assert not panel.ages[f"mark|{key}"].any()
    assert (panel.columns[f"high|{key}"] >= panel.columns[f"low|{key}"]).all()
    assert panel.stop is None
    alone = DataProvider(real_data, configure(key, data={"sources": {"spot/btcusdt": ["bybit"]}})).panel()
    assert alone.stop is not None
    assert alone.stop.series == "perp/binance_btcusdt"
    assert alone.stop.age_s == 4 * 3600
    assert int(np.argmax(np.isnan(own))) + 3 == alone.stop.row
