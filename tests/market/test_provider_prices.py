"""Candles: which price a row takes, from which source and how old; extremes and volumes of the hour that ended."""

from datetime import timedelta

import numpy as np
import pytest
from market_files import HOUR, T0

from basis.errors import DataError
from basis.market import DataProvider

SPOT = "wallet:BaseToken:BTC"
PERP = "binance:Perp:BTCUSDT"


def test_row_takes_the_open_known_then(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, 101.0, 102.0])
    panel = DataProvider(dataset.root, configure(SPOT)).panel()
    assert panel.columns["spot|BTC"].tolist() == [100.0, 101.0, 102.0]
    assert panel.ages["spot|BTC"].tolist() == [0.0, 0.0, 0.0]
    assert panel.step_s == 3600
    assert list(panel.files) == ["spot/binance_btcusdt.parquet"]
    assert len(panel.files["spot/binance_btcusdt.parquet"]) == 64
    assert panel.notes == ("spot/btcusdt: the data set has no spot/bybit_btcusdt.parquet",)
    assert "usd|USDT" not in panel.columns
    assert "gas_price_gwei" not in panel.columns


def test_start_off_whole_hours_sees_a_price_half_an_hour_old(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, 101.0, 102.0])
    panel = DataProvider(dataset.root, configure(SPOT)).panel(start=T0 + HOUR / 2, end=T0 + 2 * HOUR)
    assert panel.columns["spot|BTC"].tolist() == [100.0, 101.0]
    assert panel.ages["spot|BTC"].tolist() == [1800.0, 1800.0]
    assert panel.coverage["spot/btcusdt"] == {"own": 1.0, "resolved": 1.0}


def test_hole_is_filled_from_the_next_source_then_carried(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, None, None, None, 104.0])
    dataset.bars("spot/bybit_btcusdt.parquet", [200.0, 201.0, None, None, 204.0])
    panel = DataProvider(dataset.root, configure(SPOT)).panel()
    # Rows 2 and 3: nobody is fresh, and the youngest is the stand-in's.
    assert panel.columns["spot|BTC"].tolist() == [100.0, 201.0, 201.0, 201.0, 104.0]
    assert panel.sources["spot|BTC"].tolist() == [0, 1, 1, 1, 0]
    assert panel.source_names["spot|BTC"] == ("binance", "bybit")
    assert panel.ages["spot|BTC"].tolist() == [0.0, 0.0, 3600.0, 7200.0, 0.0]
    assert panel.coverage["spot/btcusdt"] == {"own": 2 / 5, "resolved": 3 / 5}
    assert "spot/btcusdt: 60.0 % of rows (3 of 5) stand in from bybit" in panel.notes
    assert any("2 of 5 rows are carried, at most 2 h" in note for note in panel.notes)
    assert panel.stop is None


def test_of_two_equally_old_the_first_source_is_carried(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, None, 102.0])
    dataset.bars("spot/bybit_btcusdt.parquet", [200.0, None, 202.0])
    panel = DataProvider(dataset.root, configure(SPOT)).panel()
    assert panel.columns["spot|BTC"].tolist() == [100.0, 100.0, 102.0]


def test_run_stops_where_nothing_may_be_carried(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, None, None, None, None, 105.0])
    panel = DataProvider(dataset.root, configure(SPOT)).panel()
    stop = panel.stop
    assert stop is not None
    assert (stop.row, stop.series, stop.age_s) == (4, "spot/btcusdt", 4 * 3600.0)
    assert stop.instant == panel.timestamps[4]
    assert panel.columns["spot|BTC"][:4].tolist() == [100.0] * 4
    assert np.isnan(panel.columns["spot|BTC"][4])
    assert panel.sources["spot|BTC"][4] == -1


@pytest.mark.parametrize("staleness", [{"price": "1h"}, {"spot/btcusdt": "1h"}, "1h"])
def test_row_0_cannot_stop(dataset, configure, staleness):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, None, None, 103.0])
    config = configure(SPOT, data={"max_staleness": staleness})
    assert DataProvider(dataset.root, config).panel(end=T0 + HOUR).stop is None
    with pytest.raises(DataError, match=r"spot/btcusdt: no value at 2024-03-01T02:00:00Z.* 2 h old.* 1 h\."):
        DataProvider(dataset.root, config).panel(start=T0 + 2 * HOUR)


def test_extremes_and_volume_are_of_the_hour_that_ended(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 4)
    dataset.bars("perp/binance_btcusdt.parquet", [100.0, 110.0, 120.0, 130.0])
    dataset.funding("funding/binance_btcusdt.parquet", [T0], [0.0])
    panel = DataProvider(dataset.root, configure(PERP)).panel(start=T0 + HOUR, end=T0 + 3 * HOUR)
    assert panel.columns[f"mark|{PERP}"].tolist() == [110.0, 120.0, 130.0]
    assert panel.columns[f"high|{PERP}"].tolist() == [110.0, 112.0, 122.0]
    assert panel.columns[f"low|{PERP}"].tolist() == [110.0, 108.0, 118.0]
    assert panel.columns[f"volume|{PERP}"].tolist() == [1.0, 2.0, 3.0]
    assert panel.columns["volume|spot|BTC"].tolist() == [1.0, 2.0, 3.0]


def test_extremes_in_a_hole_and_from_a_stand_in(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 4)
    dataset.bars("perp/binance_btcusdt.parquet", [100.0, None, None, 130.0])
    dataset.bars("perp/bybit_btcusdt.parquet", [200.0, 210.0, None, 230.0])
    dataset.funding("funding/binance_btcusdt.parquet", [T0], [0.0])
    config = configure(PERP, data={"sources": {"perp/binance_btcusdt": ["binance", "bybit"]}})
    panel = DataProvider(dataset.root, config).panel()
    assert panel.columns[f"mark|{PERP}"].tolist() == [100.0, 210.0, 210.0, 130.0]
    assert panel.columns[f"high|{PERP}"].tolist() == [100.0, 102.0, 212.0, 130.0]
    assert panel.columns[f"low|{PERP}"].tolist() == [100.0, 98.0, 208.0, 130.0]
    # The hour without a candle keeps the volume of the last one.
    assert panel.columns[f"volume|{PERP}"][1:].tolist() == [1.0, 2.0, 2.0]
    assert np.isnan(panel.columns[f"volume|{PERP}"][0])


def test_wide_rows_take_the_extremes_of_all_their_candles(dataset, configure):
    opens = [100.0, 150.0, 90.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0]
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 9)
    dataset.bars("perp/binance_btcusdt.parquet", opens)
    dataset.funding("funding/binance_btcusdt.parquet", [T0, T0 + 8 * HOUR], [0.0, 0.0])
    panel = DataProvider(dataset.root, configure(PERP, bar_interval="4h")).panel()
    assert panel.columns[f"mark|{PERP}"].tolist() == [100.0, 101.0, 105.0]
    assert panel.columns[f"high|{PERP}"].tolist() == [100.0, 152.0, 106.0]
    assert panel.columns[f"low|{PERP}"].tolist() == [100.0, 88.0, 99.0]
    assert panel.columns[f"volume|{PERP}"][1:].tolist() == [10.0, 26.0]


def test_fine_rows_on_hourly_and_on_five_minute_candles(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0, 101.0, 102.0])
    dataset.bars("perp/binance_btcusdt.parquet", [100.0, 101.0, 102.0])
    fine = [200.0 + i for i in range(13)]
    dataset.bars("perp_5m/binance_btcusdt.parquet", fine, step=timedelta(minutes=5))
    dataset.funding("funding/binance_btcusdt.parquet", [T0], [0.0])
    panel = DataProvider(dataset.root, configure(PERP, bar_interval="5m")).panel()
    assert panel.columns["spot|BTC"].tolist() == [100.0] * 12 + [101.0]
    assert panel.columns[f"mark|{PERP}"].tolist() == fine
    assert panel.columns[f"high|{PERP}"].tolist() == [200.0] + [f + 2.0 for f in fine[:-1]]
    assert "perp_5m/binance_btcusdt.parquet" in panel.files
    assert "perp/binance_btcusdt.parquet" not in panel.files


def test_bars_finer_than_the_candles_have_their_share_of_volume_and_volatility(dataset, configure):
    dataset.bars("spot/binance_btcusdt.parquet", [100.0] * 3)
    dataset.bars("perp/binance_btcusdt.parquet", [100.0] * 3, volume=[24.0, 48.0, 1.0])
    dataset.funding("funding/binance_btcusdt.parquet", [T0], [0.0])
    config = configure(PERP, bar_interval="5m", execution={"participation": 0.1})
    panel = DataProvider(dataset.root, config).panel(start=T0 + HOUR, end=T0 + 2 * HOUR)
    assert panel.columns[f"volume|{PERP}"].tolist() == [2.0] * 12 + [4.0]
    hourly = np.log(102.0 / 98.0) / (2.0 * np.sqrt(np.log(2.0)))
    assert panel.columns[f"volatility|{PERP}"] == pytest.approx(hourly / np.sqrt(12.0), rel=1e-15)


def test_a_token_quoted_in_weth(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0, 2100.0, 2200.0, 2300.0])
    dataset.bars("spot/uniswapv3_eigenweth.parquet", [0.001, 0.002], start=T0 + 2 * HOUR)
    sources = {"spot/eigenweth": ["uniswapv3"]}
    panel = DataProvider(dataset.root, configure("wallet:BaseToken:EIGEN", data={"sources": sources})).panel()
    assert panel.columns["spot|EIGEN"].tolist() == pytest.approx([0.0, 0.0, 2.2, 4.6])
    assert any("EIGEN is worth 0 until then" in note for note in panel.notes)
    assert panel.stop is None


def test_usd_per_usdt_where_configured(dataset, configure):
    dataset.bars("spot/kraken_usdtusd.parquet", [0.9995, 1.0002])
    config = configure("wallet:BaseToken:USDT", data={"sources": {"spot/usdtusd": ["kraken"]}})
    assert DataProvider(dataset.root, config).panel().columns["usd|USDT"].tolist() == [0.9995, 1.0002]


def test_eth_share_class_and_costs_ask_for_the_price_of_eth(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0, 2100.0])
    dataset.gas([10.0, 11.0])
    panel = DataProvider(dataset.root, configure("wallet:BaseToken:USDT", share_class="ETH")).panel()
    assert [name for name in panel.columns if "volume" not in name] == ["spot|ETH"]
    panel = DataProvider(dataset.root, configure("wallet:BaseToken:USDT", costs={"enabled": True})).panel()
    assert [name for name in panel.columns if "volume" not in name] == ["spot|ETH", "gas_price_gwei"]


def test_a_book_of_usdt_alone_needs_a_window(dataset, configure):
    provider = DataProvider(dataset.root, configure("wallet:BaseToken:USDT"))
    assert len(provider.panel(start="2024-03-01", end="2024-03-02")) == 25
    with pytest.raises(DataError, match="give start and end"):
        provider.panel()
