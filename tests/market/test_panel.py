"""Panel: construction, look-up of a row, slices."""

import numpy as np
import pytest

from basis.errors import DataError
from basis.market import Panel, Settlements, Stop
from basis.market.panel import first_stop

PERP = "binance:Perp:BTCUSDT"


def test_from_columns_with_first_instant_and_scalars():
    panel = Panel.from_columns("2024-03-01", 3600, {"spot|BTC": [1, 2, 3], "gas_price_gwei": 5})
    assert len(panel) == 3
    assert panel.timestamps.dtype == np.int64
    assert panel.timestamps[0] == 1709251200 * 10**9
    assert np.diff(panel.timestamps).tolist() == [3600 * 10**9] * 2
    assert panel.columns["gas_price_gwei"].tolist() == [5.0] * 3
    assert all(c.flags.c_contiguous and not c.flags.writeable and c.dtype == np.float64 for c in panel.columns.values())
    assert "3 rows" in repr(panel)


def test_from_columns_with_datetime64():
    stamps = np.array(["2024-03-01T00:00", "2024-03-01T01:00"], dtype="datetime64[us]")
    assert Panel.from_columns(stamps, 3600, {}).timestamps[1] == 1709254800 * 10**9


@pytest.mark.parametrize(
    ("stamps", "columns", "word"),
    [([0, 5], {}, "exact grid"), ([], {}, "exact grid"), ([0, 10**9], {"spot|BTC": [1, 2, 3]}, "spot|BTC")],
)
def test_from_columns_refuses(stamps, columns, word):
    with pytest.raises(DataError, match=word.replace("|", r"\|")):
        Panel.from_columns(np.array(stamps, dtype=np.int64), 1, columns)


def test_row_at():
    panel = Panel.from_columns("2024-03-01", 3600, {"spot|BTC": [1, 2]})
    assert panel.row_at("2024-03-01T00:59:59Z") == 0
    assert panel.row_at("2024-03-01T01:30:00Z") == 1
    for outside in ("2024-02-29T23:59:59Z", "2024-03-01T02:00:00Z"):
        with pytest.raises(DataError, match="outside the panel"):
            panel.row_at(outside)
    with pytest.raises(DataError, match="Not an instant: 'soon'"):
        panel.row_at("soon")


def test_slice_starts_anew():
    events = Settlements(
        np.array([1, 2]), np.array([0.1, 0.2]), np.array([10.0, 10.0]), np.array([1, 2]), np.zeros(2, np.int8)
    )
    columns = {
        f"mark|{PERP}": [10, 11, 12, 13],
        f"high|{PERP}": [20, 21, 22, 23],
        f"low|{PERP}": [1, 2, 3, 4],
        f"funding_rate|{PERP}": [0, 0.1, 0.2, 0],
        f"funding_cash|{PERP}": [0, 1, 2, 0],
    }
    panel = Panel.from_columns(0, 60, columns, {PERP: events}).slice(1, 2)
    assert panel.columns[f"high|{PERP}"].tolist() == [11, 22]
    assert panel.columns[f"low|{PERP}"].tolist() == [11, 3]
    assert panel.columns[f"funding_rate|{PERP}"].tolist() == [0, 0.2]
    assert panel.columns[f"funding_cash|{PERP}"].tolist() == [0, 2]
    assert panel.settlements[PERP].rows.tolist() == [1]
    assert panel.settlements[PERP].rates.tolist() == [0.2]
    with pytest.raises(IndexError, match=r"0\.\.1"):
        panel.slice(0, 2)


def test_slice_has_no_hour_before_it_for_spot_and_rewards():
    columns = {
        "spot|ETH": [10, 11, 12],
        "high|spot|ETH": [20, 21, 22],
        "low|spot|ETH": [1, 2, 3],
        "reward_rate|EIGEN": [0, 0.1, 0.2],
    }
    panel = Panel.from_columns(0, 60, columns).slice(1, 2)
    assert panel.columns["high|spot|ETH"].tolist() == [11, 22]
    assert panel.columns["low|spot|ETH"].tolist() == [11, 3]
    assert panel.columns["reward_rate|EIGEN"].tolist() == [0, 0.2]


def test_slice_finds_its_own_stop():
    stamps = np.arange(6, dtype=np.int64) * 60 * 10**9
    holes = {"a/x": np.array([0, 0, 9.0, 0, 0, 0]), "b/y": np.array([0, 0, 7.0, 0, 0, 8.0])}
    assert first_stop(stamps, holes) == Stop(2, "a/x", 120 * 10**9, 9.0)
    panel = Panel(stamps, 60, {}, holes=holes, stop=first_stop(stamps, holes))
    assert panel.slice(0, 1).stop is None
    assert panel.slice(1, 5).stop == Stop(1, "a/x", 120 * 10**9, 9.0)
    assert panel.slice(3, 5).stop == Stop(2, "b/y", 300 * 10**9, 8.0)
