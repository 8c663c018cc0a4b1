"""Aave indices, LST rates, gas: carried or accrued from what was observed by then."""

from datetime import timedelta

import numpy as np
import pytest
from market_files import DAY, HOUR, T0

from basis.errors import DataError
from basis.market import DataProvider

YEAR = 31_536_000.0
RULE = {"rate_rule": {"enabled": True, "enter": 0.1, "leave": 0.05, "window": "2d"}}


def test_supply_accrues_linearly_and_debt_compounds(dataset, configure):
    dataset.aave("aave/usdt.parquet", [1.0, 1.5, 1.4], [2.0, 2.5, 2.4], apr=0.1)
    config = configure("aave_v3:aToken:USDT", "aave_v3:debtToken:USDT")
    panel = DataProvider(dataset.root, config).panel()
    x = 0.1 * 3600 * np.arange(24) / YEAR
    supply, debt = panel.columns["liquidity_index|aave_v3:USDT"], panel.columns["borrow_index|aave_v3:USDT"]
    assert supply[:24] == pytest.approx(1.0 + x, rel=1e-15)
    assert debt[:24] == pytest.approx(2.0 * (1 + 2 * x + (2 * x) ** 2 / 2 + (2 * x) ** 3 / 6), rel=1e-15)
    # Exactly the observed index at an observation, also where it steps down.
    assert supply[[0, 24, 48]].tolist() == [1.0, 1.5, 1.4]
    assert debt[[0, 24, 48]].tolist() == [2.0, 2.5, 2.4]
    assert supply[48] < supply[47]
    assert set(panel.columns["supply_apr|aave_v3:USDT"]) == {0.1}
    assert set(panel.columns["borrow_apr|aave_v3:USDT"]) == {0.2}
    # The common range ends where the last observation may no longer be carried.
    assert panel.timestamps[-1] - panel.timestamps[48] == 36 * 3600 * 10**9
    assert panel.ages["liquidity_index|aave_v3:USDT"][-1] == 36 * 3600.0


def test_missing_observation_is_carried_36_hours_then_stops(dataset, configure):
    dataset.aave("aave/usdt.parquet", [1.0, None, 1.2], [1.0, 1.1, 1.2])
    panel = DataProvider(dataset.root, configure("aave_v3:aToken:USDT")).panel()
    assert panel.stop is not None
    assert (panel.stop.row, panel.stop.series) == (37, "aave/usdt")
    assert np.isnan(panel.columns["liquidity_index|aave_v3:USDT"][37:48]).all()
    assert panel.columns["liquidity_index|aave_v3:USDT"][48] == 1.2


def test_aave_window_may_reach_36_hours_past_the_last_snapshot(dataset, configure):
    dataset.aave("aave/usdt.parquet", [1.0, 1.1], [1.0, 1.1])
    provider = DataProvider(dataset.root, configure("aave_v3:aToken:USDT"))
    assert len(provider.panel(end=T0 + DAY + 36 * HOUR)) == 61
    with pytest.raises(DataError, match=r"aave/usdt: .*2024-03-01T00:00:00Z \.\. 2024-03-03T12:00:00Z"):
        provider.panel(end=T0 + DAY + 37 * HOUR)


def test_eth_is_lent_as_weth_and_priced_as_eth(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0, 2100.0])
    dataset.aave("aave/weth.parquet", [1.0], [1.0])
    provider = DataProvider(dataset.root, configure("aave_v3:aToken:WETH"))
    for symbol in ("ETH", "WETH"):
        panel = provider.panel(keys=[f"aave_v3:aToken:{symbol}"])
        assert panel.columns["spot|ETH"].tolist() == [2000.0, 2100.0]
        assert f"liquidity_index|aave_v3:{symbol}" in panel.columns


def test_only_observed_lst_rates_count(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0] * 5)
    dataset.lst("lst/weeth.parquet", [1.0, 1.1, 1.2, 1.3, 1.4], [1, 0, 0, 1, 0], [0.9, None, 0.92, 0.93, 0.94])
    panel = DataProvider(dataset.root, configure("wallet:BaseToken:weETH")).panel()
    assert panel.columns["oracle_rate|weETH"].tolist() == [1.0, 1.0, 1.0, 1.3, 1.3]
    assert panel.columns["market_rate|weETH"].tolist() == [0.9, 0.9, 0.92, 0.93, 0.94]
    assert panel.ages["market_rate|weETH"].tolist() == [0.0, 3600.0, 0.0, 0.0, 0.0]
    assert panel.coverage["lst/weeth (market rate)"]["own"] == 4 / 5


def test_market_rate_bounds_only_a_book_valued_at_it(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0] * 5)
    dataset.lst("lst/weeth.parquet", [1.0] * 5, [1, 0, 0, 1, 0], [None, None, 0.92, 0.93, 0.94])
    market = configure("wallet:BaseToken:weETH")
    provider = DataProvider(dataset.root, market)
    assert len(provider.panel()) == 3
    with pytest.raises(DataError, match=r"lst/weeth \(market rate\)"):
        provider.panel(start=T0)
    oracle = DataProvider(dataset.root, configure("wallet:BaseToken:weETH", valuation="oracle"))
    # row by row, whatever comes later; where it is not known nothing is traded at it
    panel = oracle.panel(start=T0)
    np.testing.assert_array_equal(panel.columns["market_rate|weETH"], [np.nan, np.nan, 0.92, 0.93, 0.94])
    assert panel.stop is None
    assert any("not known in 2 of 5 rows" in note for note in panel.notes)
    trades = configure("wallet:BaseToken:weETH", valuation="oracle", strategy={"stake_route": "market"})
    assert len(DataProvider(dataset.root, trades).panel()) == 3


def test_gas_is_known_when_its_block_was_sampled(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0] * 4)
    # The second block came ten seconds after its label, the third an hour before it.
    dataset.gas([10.0, 11.0, 12.0, 13.0], lag_s=[0, -10, 3500, 0])
    config = configure("wallet:BaseToken:USDT", costs={"enabled": True})
    panel = DataProvider(dataset.root, config).panel()
    assert panel.columns["gas_price_gwei"].tolist() == [10.0, 10.0, 12.0, 13.0]
    assert panel.ages["gas_price_gwei"].tolist() == [0.0, 3600.0, 3500.0, 0.0]


def test_gas_without_sampling_times_is_known_at_its_stamp(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0] * 2)
    dataset.write("gas/ethereum.parquet", [T0, T0 + HOUR], gas_price_gwei=[10.0, 11.0])
    config = configure("wallet:BaseToken:USDT", costs={"enabled": True})
    assert DataProvider(dataset.root, config).panel().columns["gas_price_gwei"].tolist() == [10.0, 11.0]


def test_trailing_rates_of_a_rule(dataset, configure):
    dataset.bars("spot/bybit_ethusdt.parquet", [2000.0] * 97)
    stamps = [T0 + i * DAY for i in range(5)]
    rates = [0.1, 0.2, 0.3, 0.4, 0.5]
    dataset.write(
        "aave/weeth.parquet",
        stamps,
        supply_apr=rates,
        variable_borrow_apr=rates,
        liquidity_index=[1.0] * 5,
        variable_borrow_index=[1.0] * 5,
    )
    dataset.write(
        "lst/weeth.parquet",
        stamps,
        oracle_rate_eth=[1.0, 1.01, 1.02, 1.03, 1.04],
        is_observed=[True] * 5,
        market_rate_eth_median24h=[1.0] * 5,
    )
    config = configure("aave_v3:aToken:weETH", strategy=RULE)
    panel = DataProvider(dataset.root, config).panel()
    mean = panel.columns["supply_apr_mean|aave_v3:weETH"]
    # Two daily observations are the whole window of two days.
    assert np.isnan(mean[:24]).all()
    assert mean[[24, 47, 48, 96]].tolist() == pytest.approx([0.15, 0.15, 0.25, 0.45])
    growth = panel.columns["staking_apr|weETH"]
    assert np.isnan(growth[:48]).all()
    assert growth[[48, 71]].tolist() == pytest.approx([0.02 * 365 / 2] * 2)
    assert panel.columns["supply_apr|aave_v3:weETH"][[0, 23, 24]].tolist() == [0.1, 0.1, 0.2]


def test_real_usdt_index_grows_as_recorded(real_data, configure):
    panel = DataProvider(real_data, configure("aave_v3:aToken:USDT")).panel(start="2024-01-01", end="2025-01-01")
    index = panel.columns["liquidity_index|aave_v3:USDT"]
    assert len(index) == 366 * 24 + 1
    assert index[-1] / index[0] - 1 == pytest.approx(0.0671218962634863, abs=1e-12)


def test_real_gas_looks_at_no_later_block(real_data, configure):
    config = configure("wallet:BaseToken:USDT", costs={"enabled": True})
    panel = DataProvider(real_data, config).panel()
    assert panel.ages["gas_price_gwei"].min() >= 0.0
    assert panel.ages["gas_price_gwei"].max() <= timedelta(hours=3).total_seconds()
