"""What most deserves doubt: stand-ins, costs by assumption, size; each with the figure that rests on it."""

import re

import numpy as np
import pandas as pd
import pytest

import basis
from basis.results.doubts import doubts


def money(text):
    """The first amount of a sentence."""
    return float(re.search(r"([\d,.]*\d) (?:USDT|ETH)", text)[1].replace(",", ""))


def doubts_of(run, **changes):
    """The doubts of a run whose manifest, summary or configuration is another."""
    parts = {"config": run.config, "summary": run.summary, "manifest": run.manifest, **changes}
    return doubts(**parts, table=run.table)


@pytest.fixture(scope="module")
def long_run(sample_data):
    return basis.backtest("btc_basis", sample_data, start="2024-02-01", end="2024-08-01")


def test_a_run_names_three_at_most(results):
    for name, result in results.items():
        assert 1 <= len(result.doubts) <= 3, name
        assert all(text.endswith(".") for text in result.doubts)


def test_a_short_run_is_doubted(results):
    assert results["eth"].doubts.count("The run covers 7 days: figures by year are extrapolated from them.") == 1


def test_costs_by_assumption_are_summed(long_run):
    """Of the shipped tables, slippage, gas and fees of withdrawals are assumptions, and trading fees are not."""
    totals = -long_run.attribution.sum()
    [text] = [text for text in long_run.doubts if text.startswith("Costs")]
    assert money(text) == pytest.approx(totals[["slippage", "gas", "transfer_fees"]].sum(), abs=0.5)
    assert "fees of" not in text
    earned = long_run.attribution.sum().clip(lower=0.0).sum()
    share = float(re.search(r"\(([\d.]+)% of what was earned\)", text)[1])
    assert share == pytest.approx(100.0 * totals[["slippage", "gas", "transfer_fees"]].sum() / earned, abs=0.06)
    table = {"default": [{"from": "2020-01-01", "source": "measured", "buckets": [{"max_notional": "inf", "bps": 1}]}]}
    venues = ("binance", "bybit", "okx")
    cited = {f"venues.{venue}.{side}_slippage": table for venue in venues for side in ("spot", "perp")}
    without = doubts_of(long_run, config=long_run.config.replace(cited))
    assert not any("slippage" in text for text in without if text.startswith("Costs"))


def test_a_venue_that_stands_on_another_is_named_with_its_funding(long_run):
    coverage = {**long_run.manifest["coverage"], "perp/okx_btcusdt": {"own": 0.0, "resolved": 1.0}}
    coverage["funding/okx_btcusdt"] = {"own": 0.9, "resolved": 1.0}
    found = doubts_of(long_run, manifest={**long_run.manifest, "coverage": coverage})
    [text] = [text for text in found if text.startswith("okx")]
    assert "100.0% of its prices and 10.0% of its settlements stand in" in text
    assert money(text) == pytest.approx(long_run.attribution_by_venue["funding_pnl|okx"].sum(), abs=0.5)
    # a hole that nothing filled is no stand-in
    coverage["perp/okx_btcusdt"] = coverage["funding/okx_btcusdt"] = {"own": 0.9, "resolved": 0.9}
    found = doubts_of(long_run, manifest={**long_run.manifest, "coverage": coverage})
    assert not any(text.startswith("okx") for text in found)


def test_the_largest_orders_are_a_share_of_the_volume(long_run):
    [text] = [text for text in long_run.doubts if text.startswith("The largest orders")]
    fills = long_run.events[long_run.events["kind"] == "fill"]
    largest = 0.0
    for instrument, own in fills.groupby("instrument"):
        column = f"volume|{instrument}" if ":Perp:" in instrument else f"volume|spot|{instrument.split(':')[2]}"
        traded = own.groupby("timestamp")["quantity"].apply(lambda units: units.abs().sum())
        largest = max(largest, (traded / long_run.panel[column].loc[traded.index]).max())
    assert float(re.search(r"were ([\d.]+)%", text)[1]) == pytest.approx(100.0 * largest, rel=0.06)
    assert money(text) == pytest.approx(0.1 / largest * 100_000.0, rel=0.06)
    assert "execution.impact is 0" in text
    with_impact = doubts_of(long_run, config=long_run.config.replace({"execution.impact": 1.0}))
    assert not any("execution.impact is 0" in text for text in with_impact)


@pytest.fixture(scope="module")
def paid_in(sample_data):
    """A run into which fifty times its capital is paid."""
    flows = [{"timestamp": "2024-02-15T00:00:00Z", "amount": 5_000_000}]
    return basis.backtest("btc_basis", sample_data, "2024-02-01", "2024-03-01", {"flows": flows})


def test_the_capital_that_the_volume_allows_is_that_of_the_largest_order(paid_in):
    [text] = [text for text in doubts_of(paid_in) if text.startswith("The largest orders")]
    share, when = re.search(r"were ([\d.]+)% of its volume \(.*, (\S+ \S+)\)", text).groups()
    held = paid_in.equity["equity"].loc[pd.Timestamp(when, tz="UTC")]
    assert held > 5e6
    assert money(text) == pytest.approx(0.1 / (float(share) / 100.0) * held, rel=0.06)


def test_the_return_at_twice_the_costs_is_time_weighted(paid_in):
    [text] = [text for text in doubts_of(paid_in) if text.startswith("Costs")]
    told = float(re.search(r"about (−?[\d.]+)%", text)[1].replace("−", "-")) / 100.0
    assumed = ["slippage", "gas", "transfer_fees"]
    held, flow = paid_in.equity["equity"], paid_in.equity["net_flow"]
    before = held.shift(fill_value=100_000.0) + flow
    rows = (held - flow) / held.shift(fill_value=100_000.0) + paid_in.attribution[assumed].sum(axis=1) / before
    assert told == pytest.approx(rows.prod() - 1.0, abs=2e-4)


@pytest.mark.parametrize(
    ("earned", "said"), [(0.0, "(nothing was earned)"), (1e-9, "(nothing was earned)"), (1.0, "(more than was earned)")]
)
def test_a_run_that_earned_nothing_says_so(long_run, earned, said):
    found = {name: min(value, 0.0) for name, value in long_run.summary["attribution"].items()}
    told = doubts_of(long_run, summary={**long_run.summary, "attribution": {**found, "funding_pnl": earned}})
    [text] = [text for text in told if text.startswith("Costs")]
    assert said in text


def test_a_pool_of_unknown_size_is_named(results):
    lent = results["lending"]
    [text] = [text for text in lent.doubts if "size of the pool" in text]
    assert money(text) == pytest.approx(np.abs(lent.exposure["value|aave_v3:aToken:USDT"]).max(), abs=0.5)


def test_the_card_and_a_folder_have_them(long_run, tmp_path):
    card = long_run._repr_html_()
    assert "Most in doubt" in card
    opened = basis.open_run(long_run.save(tmp_path / "run", report=False))
    assert opened.doubts == long_run.doubts
