"""Runs side by side: every number is that of the run itself."""

import numpy as np
import pandas as pd
import pytest

import basis
from basis.errors import InputError
from basis.kernel.layout import COLUMN_NAMES


@pytest.fixture(scope="module")
def both(lean, flowing):
    return basis.compare(lean, flowing, names=["lean", "flowing"])


@pytest.fixture(scope="module")
def mixed(lean, ether):
    return basis.compare(lean, ether)


def test_the_columns_are_the_runs(both, lean, flowing):
    for table in (both.stats, both.attribution, both.contribution, both.equity, both.config, both.formatted):
        assert list(table.columns) == ["lean", "flowing"]
    assert list(both.runs.index) == ["lean", "flowing"]
    assert both.results == {"lean": lean, "flowing": flowing}


def test_stats_are_those_of_each(both, lean, flowing):
    for name, result in (("lean", lean), ("flowing", flowing)):
        pd.testing.assert_series_equal(both.stats[name], result.stats(), check_names=False, check_series_type=False)
        assert list(both.formatted[name]) == list(result.stats(formatted=True))
    assert both.stats.attrs["share_class"] == {"lean": "USDT", "flowing": "USDT"}


def test_a_column_of_the_attribution_sums_to_the_profit(both, flowing):
    assert list(both.attribution.index) == list(COLUMN_NAMES)
    for name in both.results:
        assert both.attribution[name].sum() == pytest.approx(both.stats.loc["pnl", name], abs=1e-6)
    totals = flowing.attribution[list(COLUMN_NAMES)].sum()
    np.testing.assert_allclose(both.attribution["flowing"], totals, atol=1e-8)
    np.testing.assert_allclose(both.contribution["flowing"], totals / 50_000, atol=1e-12)


def test_growth_is_of_one_whatever_flows(both, lean, flowing):
    for name, result in (("lean", lean), ("flowing", flowing)):
        assert both.equity[name].iloc[-1] == pytest.approx(1.0 + result.summary["total_return"], rel=1e-12)
    without = lean.equity["equity"] / 100_000.0
    np.testing.assert_allclose(both.equity["lean"], without, rtol=1e-12)
    moved = flowing.equity["equity"].pct_change().abs().max()
    assert both.equity["flowing"].pct_change().abs().max() < 0.01 < moved


def test_only_keys_that_differ_are_told(both):
    assert both.config.to_dict("index") == {
        "initial_capital": {"lean": 100_000.0, "flowing": 50_000.0},
        "fill": {"lean": "same_bar", "flowing": "next_bar"},
        "strategy.margin_ratio_target": {"lean": 0.3, "flowing": 0.5},
        "flows": {"lean": [], "flowing": both.results["flowing"].config.to_dict()["flows"]},
    }


def test_a_run_does_not_differ_from_itself(lean):
    same = basis.compare(lean, lean)
    assert same.config.empty
    assert len(set(same.results)) == 2
    assert same.stats.iloc[:, 0].equals(same.stats.iloc[:, 1])
    assert "configuration" not in repr(same)


def test_modes_differ_by_key_and_not_by_every_number_of_a_venue(mixed):
    keys = list(mixed.config.index)
    assert list(mixed.results) == ["btc_basis", "eth_leveraged"]
    assert mixed.config.loc["venues.aave_v3"].tolist() == ["–", "set"]
    assert mixed.config.loc["strategy.target_ltv"].tolist() == [None, 0.85]
    assert mixed.config.loc["data.sources.spot/btcusdt"].tolist() == [["binance", "bybit"], "–"]
    assert not [key for key in keys if key.startswith("venues.") and key.count(".") > 1]
    assert "description" not in keys


def test_share_classes_are_said_and_not_mixed(mixed, lean, ether):
    assert mixed.share_classes == {"btc_basis": "USDT", "eth_leveraged": "ETH"}
    assert mixed.stats.loc["final_equity", "eth_leveraged"] == ether.equity["equity"].iloc[-1]
    assert "share class of each run: btc_basis in USDT, eth_leveraged in ETH" in repr(mixed)
    assert "share class of each run" in mixed._repr_html_()
    assert "different windows" in repr(mixed)


def test_runs_of_other_hours_are_aligned(mixed, lean, ether):
    grown = mixed.equity
    assert len(grown) == len(lean.equity.index.union(ether.equity.index))
    assert grown["btc_basis"].dropna().index.equals(lean.equity.index)
    assert grown["eth_leveraged"].dropna().index.equals(ether.equity.index)


def test_folders_and_ids_are_opened(lean, flowing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lean.save(tmp_path / "runs" / lean.run_id, report=False)
    flowing.save(tmp_path / "elsewhere", report=False)
    stored = basis.compare(lean.run_id, tmp_path / "elsewhere", names=["lean", "flowing"])
    memory = basis.compare(lean, flowing, names=["lean", "flowing"])
    for table in ("stats", "attribution", "contribution", "equity", "config", "runs"):
        pd.testing.assert_frame_equal(getattr(stored, table), getattr(memory, table))
    assert repr(stored) == repr(memory)
    with pytest.raises(InputError, match=f"There is no run {lean.run_id[:-1]}x: .*Did you mean {lean.run_id}"):
        basis.compare(lean, lean.run_id[:-1] + "x")


@pytest.mark.parametrize(
    ("runs", "names", "words"),
    [
        (1, None, ["1 run to compare", "two or more"]),
        (0, None, ["0 runs", "two or more"]),
        (2, ["a"], ["'a'", "2 different"]),
        (2, ["a", "a"], ["2 different"]),
        (2, "ab", ["'ab'", "2 different"]),
        (2, [1, 2], ["1, 2", "texts"]),
    ],
)
def test_wrong_use_is_told(lean, runs, names, words):
    with pytest.raises(InputError) as caught:
        basis.compare(*[lean] * runs, names=names)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("what", "words"),
    [(7, "Cannot compare 7"), ("nowhere/at/all", "not a run folder"), (None, "Cannot compare None")],
)
def test_what_is_no_run_is_told(lean, what, words):
    with pytest.raises(InputError, match=words):
        basis.compare(lean, what)


def test_the_display_escapes_and_names_what_it_shows(lean, flowing):
    html = basis.compare(lean, flowing, names=["<b>", "b & c"])._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    for text in ("Sharpe", "strategy.margin_ratio_target", "funding_pnl"):
        assert text in html
