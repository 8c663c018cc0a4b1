"""Panel: construction, look-up of a row, slices."""

import numpy as np
import pytest

import basis
from basis.errors import DataError
from basis.market import Panel, Settlements, Stop
from basis.market.panel import first_stop
from support.small_markets import market, steady

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
    [
        ([0, 5], {}, "exact grid of 1 s: row 1 .* is 5e-09 s after"),
        ([], {}, "at least one row; there is none"),
        ([10**9, 0], {}, "row 1 .* is before it"),
        ([0, 10**9, 10**9], {}, "row 2 .* comes twice"),
        ([0, 10**9], {"spot|BTC": [1, 2, 3]}, "spot|BTC"),
        ([0, 10**9], {"spot|BTC": ["high", "low"]}, "'spot|BTC' must be numbers; it holds"),
    ],
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


# --- what a run refuses ----------------------------------------------------------------------------------------------

SPOT, HIGH, LOW = "spot|BTC", f"high|{PERP}", f"low|{PERP}"


def run(panel, driver="kernel", **overrides):
    return basis.backtest("btc_basis", panel, overrides=overrides, driver=driver)


def with_value(column, row, value):
    """A small market whose column holds another value in a row."""
    panel = market(steady(12))
    columns = {name: values.copy() for name, values in panel.columns.items()}
    columns[column][row] = value
    return Panel.from_columns(panel.timestamps, panel.step_s, columns)


@pytest.mark.parametrize("driver", ["kernel", "event"])
@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (SPOT, -1.0, "must be a price above 0; not so in 1 row, first -1 in row 3 (2024-05-29 03:00)"),
        (SPOT, 0.0, "must be a price above 0"),
        (SPOT, np.inf, "must be finite"),
        (f"mark|{PERP}", np.nan, "must be known in every row; not so in 1 row, first nan in row 3"),
        (f"funding_rate|{PERP}", np.nan, "must be known in every row"),
        (LOW, 1e6, f"must be at most {HIGH} of the same row"),
        ("gas_price_gwei", 20e9, "must be gwei in (0, 5000]"),
    ],
)
def test_a_value_that_no_market_can_have_shown_is_refused(column, value, words, driver):
    with pytest.raises(DataError) as caught:
        run(with_value(column, 3, value), driver)
    said = str(caught.value)
    assert said.startswith(f"Panel column {column!r} {words}")
    assert "data.checks=off" in said


def test_checks_may_be_off():
    assert run(with_value("gas_price_gwei", 3, 5_001.0), **{"data.checks": "off"}).status == "complete"


@pytest.mark.parametrize("driver", ["kernel", "event"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: Panel(p.timestamps[:0], 3600, {}), "at least one row"),
        (lambda p: Panel(p.timestamps[::-1].copy(), 3600, dict(p.columns)), "row 1 .* after row 0 .* is before it"),
        (lambda p: Panel(p.timestamps, 3600, {**p.columns, SPOT: np.ones(11)}), r"'spot.BTC' has shape \(11,\)"),
        (lambda p: Panel(p.timestamps, 3600, {**p.columns, f"marc|{PERP}": p.columns[SPOT]}), "Did you mean mark"),
        (
            lambda p: Panel(p.timestamps, 3600, {k: v for k, v in p.columns.items() if k != SPOT}),
            "no column 'spot.BTC'",
        ),
    ],
)
def test_a_panel_that_no_files_could_have_made_is_refused(change, words, driver):
    with pytest.raises(DataError, match=words):
        run(change(market(steady(12))), driver)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (([0, 1], [0.1], [1.0, 1.0], [1, 2], [0, 0]), "five arrays must have one length"),
        (([1, 0], [0.1, 0.1], [1.0, 1.0], [2, 1], [0, 0]), "in the order of their stamps"),
        (([0], [0.1], [1.0], [12], [0]), r"a row is outside 0 \.\. 11"),
    ],
)
def test_settlements_that_do_not_fit_are_refused(events, words):
    panel = market(steady(12))
    with pytest.raises(DataError, match=words):
        run(Panel.from_columns(panel.timestamps, panel.step_s, panel.columns, {PERP: events}))


def test_columns_of_lists_are_refused_with_the_way_to_make_a_panel():
    with pytest.raises(DataError, match=r"spot\|BTC must be a numpy array.*Panel\.from_columns makes it"):
        Panel(np.zeros(1, dtype=np.int64), 3600, {SPOT: [1.0]})


def test_a_panel_is_looked_at_once_unless_it_changes():
    panel = market(steady(12))
    assert run(panel).status == "complete"
    panel.columns[SPOT] = np.full(12, -1.0)
    with pytest.raises(DataError, match="must be a price above 0"):
        run(panel)
