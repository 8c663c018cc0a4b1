"""Tables of a run: identities between them, and against the panel."""

import numpy as np
import pandas as pd
import pytest

from basis.assets import load_assets
from basis.kernel.keys import parse_key
from basis.reports import Result
from basis.results.folder import TABLES
from support.kernel_view import PNL_COLUMNS

CONTRACT = {
    "equity": [
        "equity",
        "net_flow",
        "withdrawal_pending",
        "pnl_balance",
        "pnl_attributed",
        "residual",
        "share_class_usd",
    ],
    "events": (
        "seq timestamp effective_at kind level correlation_id action venue instrument destination quantity price "
        "reference_price rate notional fee fee_asset slippage gas gas_units flash_fee peg_conversion realised_cash "
        "amount detail"
    ).split(),
}


def test_columns_are_those_of_the_contract(result):
    for name, columns in CONTRACT.items():
        assert list(getattr(result, name).columns) == columns
    assert list(result.attribution.columns)[: len(PNL_COLUMNS)] == list(PNL_COLUMNS)
    assert list(result.exposure.columns)[0] == "gross"
    assert list(result.risk.columns)[:3] == ["ltv", "ltv|before", "ltv|worst"]


def test_frames_stand_on_the_run_s_instants_in_utc(result, recording):
    for name in TABLES:
        frame = getattr(result, name)
        if name != "events":
            assert frame.index.name == "timestamp"
            assert str(frame.index.tz) == "UTC"
            assert len(frame) == result.summary["rows"]


def test_every_column_has_a_unit(result):
    for name in TABLES:
        table, frame = result.table(name), getattr(result, name)
        assert set(table.units) == set(table.columns)
        assert all(table.units.values())
        assert set(frame.attrs["units"]) == set(frame.columns)


def test_units_are_those_of_the_share_class(results):
    assert results["eth"].equity.attrs["units"]["equity"] == "ETH"
    units = results["flows"].positions.attrs["units"]
    assert units["binance:Perp:BTCUSDT"] == units["binance:BaseToken:BTC"] == "BTC"
    assert units["binance:Perp:BTCUSDT|cost"] == "USDT"
    assert results["lending"].positions.attrs["units"]["aave_v3:aToken:USDT"] == "scaled USDT"
    assert results["flows"].panel.attrs["units"]["mark|okx:Perp:BTCUSDT"] == "USDT/BTC"


def test_attribution_sums_to_the_balance(result):
    equity, parts = result.equity, result.attribution[list(PNL_COLUMNS)]
    scale = result.summary["initial_equity"]
    assert equity.residual.abs().max() <= 1e-12 * scale * 10
    np.testing.assert_allclose(parts.to_numpy().sum(axis=1).cumsum(), equity.pnl_attributed, atol=1e-11 * scale)
    np.testing.assert_allclose(equity.equity - scale - equity.net_flow.cumsum(), equity.pnl_balance, atol=1e-11 * scale)
    assert list(equity.residual) == list(equity.pnl_balance - equity.pnl_attributed)


def test_venues_funding_sums_to_the_column(result):
    venues = list(result.attribution_by_venue)
    if venues:
        total = result.attribution_by_venue.sum(axis=1)
        np.testing.assert_allclose(total, result.attribution.funding_pnl, atol=1e-9)


def test_values_sum_to_the_equity(result):
    values = result.exposure.filter(like="value|").sum(axis=1)
    np.testing.assert_allclose(values, result.equity.equity, rtol=1e-12)


def share_class_prices(result):
    """Share class per unit of each asset by row, from the panel alone."""
    panel, share = result.panel, result.summary["share_class"]
    usdt = {c.split("|")[1]: panel[c] for c in panel.columns if c.startswith("spot|") and c.count("|") == 1}
    usdt["USDT"] = pd.Series(1.0, panel.index)
    return {asset: price / usdt[share] for asset, price in usdt.items()}


def test_an_outsider_recomputes_value_delta_and_gross(result):
    prices, panel, held = share_class_prices(result), result.panel, result.positions
    share = result.summary["share_class"]
    delta, gross, total = {}, 0.0, 0.0
    for name in [c for c in held.columns if "|" not in c]:
        key = parse_key(name)
        units = held[name] + held.get(f"{name}|in_transit", 0.0)
        if key.type == "aToken":
            units = units * panel[f"liquidity_index|{key.reserve}"]
        asset = load_assets().underlying_of(key.base)
        if key.type == "Perp":
            value = (units * panel[f"mark|{name}"] - held[f"{name}|cost"]) * prices["USDT"]
            gross = gross + (units * panel[f"mark|{name}"] * prices["USDT"]).abs()
        else:
            value = units * prices[asset]
            gross = gross + (value.abs() if asset != share else 0.0)
        np.testing.assert_allclose(value, result.exposure[f"value|{name}"], rtol=1e-12, atol=1e-9)
        total = total + value
        delta[asset] = delta.get(asset, 0.0) + units
    np.testing.assert_allclose(total, result.equity.equity, rtol=1e-12)
    np.testing.assert_allclose(gross, result.exposure.gross, rtol=1e-12, atol=1e-9)
    for asset in delta:
        if asset != share:
            np.testing.assert_allclose(delta[asset], result.exposure[f"net_delta|{asset}"], atol=1e-9)
            ratio = delta[asset] * prices[asset] / result.equity.equity
            np.testing.assert_allclose(ratio, result.exposure[f"net_delta_ratio|{asset}"], atol=1e-12)


def test_share_class_in_usd(results):
    assert (results["flows"].equity.share_class_usd == 1.0).all()
    eth = results["eth"]
    assert (eth.equity.share_class_usd == eth.panel["spot|ETH"]).all()


def test_margin_ratio_is_margin_over_notional(results):
    result = results["flows"]
    held, panel, risk = result.positions, result.panel, result.risk
    for venue in ("binance", "bybit", "okx"):
        perp = f"{venue}:Perp:BTCUSDT"
        notional = (held[perp] * panel[f"mark|{perp}"]).abs()
        margin = held[f"{venue}:BaseToken:USDT"] + held[perp] * panel[f"mark|{perp}"] - held[f"{perp}|cost"]
        open_ = notional > 0.0
        np.testing.assert_allclose(risk[f"margin_ratio|{venue}"][open_], (margin / notional)[open_], rtol=1e-10)
        assert np.isposinf(risk[f"margin_ratio|{venue}"][~open_]).all()
        assert (risk[f"maintenance_ratio|{venue}"][~open_] == 0.0).all()
        assert (risk[f"maintenance_ratio|{venue}"][open_] > 0.0).all()


def test_maintenance_ratio_is_that_of_the_tier(recordings, results):
    recording, result = recordings["struck"], results["struck"]
    held, panel, risk = result.positions, result.panel, result.risk
    terms = recording.config.venues
    for venue in recording.slots.venues:
        perp = f"{venue}:Perp:BTCUSDT"
        table = terms[venue].tiers["BTCUSDT"]
        for row in range(0, len(risk), 7):
            when = risk.index[row]
            for variant, before, marks in (("", 0, f"mark|{perp}"), ("|worst", 1, f"high|{perp}")):
                if row < before:
                    continue
                size = abs(held[perp].iloc[row - before])
                mark = panel[marks].iloc[row]
                if before:
                    mark = max(mark, panel[f"mark|{perp}"].iloc[row - 1])  # the hour starts at the last mark
                brackets = table.at(risk.index[row - before] if before else when).brackets
                tier = next((t for t in brackets if size * mark <= t.max_notional), brackets[-1])
                expected = tier.rate - tier.amount / (size * mark) if size else 0.0
                assert risk[f"maintenance_ratio|{venue}{variant}"].iloc[row] == pytest.approx(expected, rel=1e-9)


def test_before_differs_from_after_only_where_something_happened(result):
    touched = set(result.events.timestamp)
    for name in [c for c in result.risk.columns if c.endswith("|before")]:
        after = result.risk[name.removesuffix("|before")]
        moved = result.risk.index[(result.risk[name] != after).to_numpy()]
        assert set(moved) <= touched


def test_a_liquidation_shows_at_the_hour_s_extreme(results):
    result = results["struck"]
    struck = result.events[result.events.kind == "liquidation"]
    assert len(struck) == result.summary["liquidations"] >= 1
    for event in struck.itertuples():
        row = result.risk.loc[event.timestamp]
        name = f"margin_ratio|{event.venue}"
        assert row[f"{name}|worst"] <= row[f"maintenance_{name.removeprefix('margin_')}|worst"]
        assert np.isposinf(row[name])
        assert result.positions.loc[event.timestamp, event.instrument] == 0.0
    critical = result.risk[[c for c in result.risk.columns if c.startswith("alert|")]]
    assert critical.dtypes.eq("int8").all()
    assert critical.to_numpy().max() == 2


def test_the_panel_names_sources_and_ages_only_where_they_matter(make_run):
    hole = make_run("btc_basis", {"start": "2024-05-14", "end": "2024-05-16"})
    panel = Result.from_recording(hole).panel
    assert list(panel["spot|BTC|source"][panel["spot|BTC|source"] == "bybit"].index.hour) == [9, 10, 11]
    assert set(panel["spot|BTC|source"]) == {"binance", "bybit"}
    assert "mark|okx:Perp:BTCUSDT|source" not in panel
    assert (panel["gas_price_gwei|age_s"] > 0.0).any()
    assert "mark|okx:Perp:BTCUSDT|age_s" not in panel


def test_positions_are_finite(result):
    assert np.isfinite(result.positions.to_numpy()).all()
    assert np.isfinite(result.exposure.to_numpy()).all()
