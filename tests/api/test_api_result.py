"""The result as its user meets it: returns of any period, queries, names that are misspelt, every hour explained."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from test_loans_inside_the_hour import dip, hold, owing_usdt

import basis
from basis.errors import InputError
from basis.reports import Result
from basis.results.folder import TABLES
from basis.results.table import Table, differences
from support.kernel_view import PNL_COLUMNS

YEAR = {"start": "2024-05-20", "end": "2024-07-20"}
FLOWS = [{"timestamp": "2024-06-05T03:00:00Z", "amount": 20}, {"timestamp": "2024-06-10T03:30:00Z", "amount": -30}]
SWAPPED = {"strategy.lst": "wstETH", "strategy.stake_route": "market"}
BY_HAND = {"strategy.loop_steps": 5, "valuation": "oracle"}
NARROW = {"strategy.margin_ratio_target": 0.15, "strategy.rebalance": False}
FIVE = {"bar_interval": "5m", "strategy.signal_file": "btc_5m", "strategy.margin_ratio_target": 0.05, "risk.limits": {}}
ETHER = {"share_class": "ETH", "initial_capital": 30, "risk.limits": {}}
#: Runs between them have every kind of event and every column: mode, overrides, starting book.
RUNS = {
    "btc_basis": ("btc_basis", {**YEAR, "fill": "next_bar"}, None),
    "eth_basis": ("eth_basis", YEAR, None),
    "pure_lending": ("pure_lending", YEAR, None),
    "eth_staking_only": ("eth_staking_only", {**YEAR, **SWAPPED, "close_at_end": True}, None),
    "eth_leveraged": ("eth_leveraged", YEAR, None),
    "levered and swapped, with flows": ("eth_leveraged", {**YEAR, **SWAPPED, "flows": FLOWS}, None),
    "levered by hand, at the oracle": ("eth_leveraged", {**YEAR, **BY_HAND}, None),
    "usdt_market_neutral_no_leverage": ("usdt_market_neutral_no_leverage", YEAR, None),
    "usdt_market_neutral": ("usdt_market_neutral", YEAR, None),
    "ml_directional": ("ml_directional", YEAR, None),
    "bars of five minutes": ("ml_directional", {"start": "2025-03-01", "end": "2025-03-12", **FIVE}, None),
    "liquidated": ("btc_basis", {"start": "2024-01-20", "end": "2024-04-10", **NARROW}, None),
    "days": ("btc_basis", {"start": "2024-02-01", "end": "2024-03-14", "bar_interval": "1d"}, None),
    "in ether": (
        "btc_basis",
        {"start": "2024-02-01", "end": "2024-02-20", **ETHER},
        {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0},
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def reported(request, run):
    mode, overrides, positions = RUNS[request.param]
    return run(mode, overrides, positions=positions)


def eventful(result):
    """Instants of rows: the first, a few of every kind of event, some where nothing happened, the last."""
    events, stamps = result.events, result.equity.index
    rows = {0, 1, len(stamps) - 1, *np.linspace(0, len(stamps) - 1, 4).astype(int).tolist()}
    for _, some in events.groupby(["kind", "detail"]):
        rows |= set(stamps.get_indexer(some["timestamp"].drop_duplicates()[:3]).tolist())
    return [stamps[row] for row in sorted(rows)]


@pytest.fixture(scope="module")
def hours(reported):
    """The eventful hours of a run, each explained once."""
    return {instant: reported.explain(instant) for instant in eventful(reported)}


# --- explain ---------------------------------------------------------------------------------------------------------


def test_what_is_computed_again_is_what_was_booked(reported, hours):
    capital = reported.summary["initial_equity"]
    for instant, hour in hours.items():
        assert list(hour.pnl.index) == list(PNL_COLUMNS)
        np.testing.assert_allclose(hour.pnl["recomputed"], hour.pnl["booked"], rtol=0, atol=1e-12 * capital)
        assert (hour.pnl["booked"] == reported.attribution.loc[instant, list(PNL_COLUMNS)]).all()
        known = hour.settled.dropna(subset="recomputed")
        np.testing.assert_allclose(known["recomputed"], known["booked"], rtol=1e-11, atol=1e-12 * capital)


def test_the_columns_sum_to_the_change_of_equity(reported, hours):
    equity, flow = reported.equity["equity"], reported.equity["net_flow"]
    earned = equity.diff().fillna(equity.iloc[0] - reported.summary["initial_equity"]) - flow
    for instant, hour in hours.items():
        check = hour.check
        assert check.closes
        assert check.pnl == pytest.approx(earned[instant], abs=1e-9)
        assert (
            abs(check.columns - check.pnl)
            <= check.allowed
            == pytest.approx(1e-9 * max(1, reported.summary["initial_equity"] + flow[:instant].abs().sum()))
        )


def test_every_hour_is_reported_in_text_and_in_html(reported, hours):
    for instant, hour in hours.items():
        text, html = repr(hour), hour._repr_html_()
        assert text.startswith(f"{reported.summary['mode']}, {instant:%Y-%m-%d %H:%M} UTC")
        for title in ("Market", "Settled", "Flows", "Risk", "Decision", "Orders and fills", "Exposure", "P&L", "Check"):
            assert f"\n{title}\n" in text
        assert not re.search(r"\bnan\b", text)
        assert text.rstrip().endswith("allowed)")
        assert ": closes (" in text
        assert "<script" not in html
        assert f"{instant:%Y-%m-%d %H:%M} UTC" in html
        for event in hour.events.itertuples():
            if event.kind in ("reject", "order", "fill", "liquidation", "funding", "transfer"):
                assert event.instrument in text


def test_the_runs_meet_every_column_and_kind(run):
    seen, kinds, details = set(), set(), set()
    for mode, overrides, positions in RUNS.values():
        result = run(mode, overrides, positions=positions)
        seen |= {name for name in PNL_COLUMNS if (result.attribution[name].abs() > 1e-9).any()}
        kinds |= set(result.events["kind"])
        details |= set(result.events.query("kind == 'fill'")["detail"])
    # no pool bears a deficit on the sample (tests/gates/test_gate_eth_leveraged.py)
    assert seen == set(PNL_COLUMNS) - {"deficit_borne"}
    assert kinds >= {"decision", "order", "fill", "transfer", "arrival", "funding", "reward", "liquidation", "flow"}
    assert details >= {"spot", "perp", "swap", "stake", "supply", "borrow", "lever", "delever", "stop", "take_profit"}


def test_a_number_that_was_booked_wrong_does_not_pass(lean, monkeypatch):
    made = Result(lean._recording, None)
    table = lean.table("attribution")
    row = len(lean.equity) // 2
    funding = table["funding_pnl"].copy()
    funding[row] += 1e-3
    made._tables["attribution"] = Table("attribution", {**table.columns, "funding_pnl": funding}, table.units)
    hour = made.explain(lean.equity.index[row])
    assert not hour.check.closes
    assert "DOES NOT CLOSE" in repr(hour)
    assert hour.pnl.loc["funding_pnl", "difference"] == pytest.approx(1e-3)


def test_the_numbers_are_those_of_the_tables(lean):
    instant = lean.events.query("kind == 'funding'")["timestamp"].iloc[4]
    before = instant - pd.Timedelta("1h")
    hour = lean.explain(instant)
    assert (hour.timestamp, hour.before) == (instant, before)
    for name, table in (("market", lean.panel), ("exposure", lean.exposure)):
        frame = getattr(hour, name)
        for column in frame.index:
            assert frame.loc[column, "now"] == table.loc[instant, column]
            assert frame.loc[column, "before"] == table.loc[before, column]
    for name in ("margin_ratio|bybit", "ltv"):
        line = hour.risk.loc[name]
        assert line["last_row"] == lean.risk.loc[before, name]
        assert [line["worst"], line["before"], line["after"]] == [
            lean.risk.loc[instant, f"{name}{variant}"] for variant in ("|worst", "|before", "")
        ]
    assert hour.risk.loc["margin_ratio|bybit", ["warning", "critical"]].tolist() == [0.3, 0.2]
    q, mark = lean.positions.loc[before, "bybit:Perp:BTCUSDT"], lean.panel.loc[instant, "mark|bybit:Perp:BTCUSDT"]
    rate = lean.panel.loc[instant, "funding_rate|bybit:Perp:BTCUSDT"]
    paid = hour.settled.query("venue == 'bybit'")
    assert paid["recomputed"].tolist() == [pytest.approx(-q * mark * rate, rel=1e-12)]
    assert hour.terms.query("column == 'funding_pnl'")["amount"].sum() == pytest.approx(
        lean.attribution.loc[instant, "funding_pnl"], rel=1e-12
    )


def test_a_folder_tells_the_same_as_the_run_in_memory(run, tmp_path):
    result = run("btc_basis", {**RUNS["liquidated"][1]})
    again = basis.open_run(result.save(tmp_path / "run", report=False))
    for instant in eventful(result):
        saved, hour = again.explain(instant), result.explain(instant)
        assert repr(saved) == repr(hour)
        pd.testing.assert_frame_equal(saved.pnl, hour.pnl)


@pytest.mark.parametrize("share_class", ["USDT", "ETH"])
def test_a_loan_that_is_liquidated_at_the_low(share_class):
    panel = dip()
    result = hold(panel, owing_usdt(panel, 0.97, symbol="weETH"), share_class=share_class)
    assert result.summary["liquidations"] > 0
    capital = result.summary["initial_equity"]
    for instant in result.equity.index:
        hour = result.explain(instant)
        np.testing.assert_allclose(hour.pnl["recomputed"], hour.pnl["booked"], rtol=0, atol=1e-12 * capital)
    struck = result.explain(result.events.query("kind == 'liquidation'")["timestamp"].iloc[0])
    assert "liquidation of aave_v3:aToken:weETH" in repr(struck)


@pytest.mark.parametrize("lots", [False, True])
def test_partial_fills_are_computed_again(sample_data, lots):
    overrides = {"execution.participation": 0.002, "execution.lots": lots, "initial_capital": 1e7}
    result = basis.backtest("ml_directional", sample_data, "2024-06-01", "2024-06-20", overrides)
    partial = result.events[result.events["detail"] == "perp, partial"]
    assert len(partial) > 0
    for instant in partial["timestamp"].drop_duplicates()[:3]:
        hour = result.explain(instant)
        np.testing.assert_allclose(hour.pnl["recomputed"], hour.pnl["booked"], rtol=0, atol=1e-5)


def test_a_run_that_went_on_says_what_it_cannot_compute_again(lean):
    half = lean.equity.index[len(lean.equity) // 2]
    later = basis.backtest(lean.config, resume=lean.checkpoint(half))
    hour = later.explain(later.equity.index[0])
    assert hour.pnl["recomputed"].isna().all()
    assert hour.check.closes
    assert "resumed from a checkpoint" in repr(hour)
    hour = later.explain(later.equity.index[1])
    np.testing.assert_allclose(hour.pnl["recomputed"], hour.pnl["booked"], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "instant",
    [
        "2024-02-05 02:00",
        "2024-02-05T02:00Z",
        pd.Timestamp("2024-02-05 03:00", tz="Europe/Zurich"),
        np.datetime64("2024-02-05T02"),
    ],
)
def test_an_instant_may_be_said_in_many_ways(lean, instant):
    assert lean.explain(instant).timestamp == pd.Timestamp("2024-02-05 02:00", tz="UTC")


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        ("2024-02-05 02:30", ["2024-02-05T02:00:00Z and 2024-02-05T03:00:00Z", "no row"]),
        ("2023-02-05", ["nearest row is 2024-02-01T00:00:00Z"]),
        ("2030-02-05", ["nearest row is 2024-02-14T00:00:00Z"]),
        ("tomorrow", ["tomorrow"]),
    ],
)
def test_what_is_no_row_is_reported_with_the_nearest(lean, instant, words):
    with pytest.raises(InputError) as caught:
        lean.explain(instant)
    for word in words:
        assert word in str(caught.value)


# --- returns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "freq", [None, "1h", "4h", "1D", "D", "7D", "36h", "W", "ME", "MS", "QE", "YE", pd.Timedelta("12h")]
)
def test_periods_multiply_up_to_the_return(run, freq):
    result = run("btc_basis", {"start": "2024-01-20T05:00Z", "end": "2024-04-10T17:00Z"})
    returns = result.returns(freq)
    assert (1.0 + returns).prod() - 1.0 == pytest.approx(result.summary["total_return"], abs=1e-12)
    assert returns.index.is_monotonic_increasing
    assert str(returns.index.tz) == "UTC"
    assert returns.attrs["unit"] == "fraction"


@pytest.mark.parametrize("freq", ["1D", "D", "24h", "1440min"])
def test_days_are_those_that_the_stats_are_measured_on(flowing, freq):
    days = flowing.returns(freq)
    assert days.std(ddof=1) * np.sqrt(365) == pytest.approx(flowing.stats()["volatility_365"], rel=1e-12)
    assert days.max() == flowing.stats()["best_day"]
    assert (days.index == days.index.normalize()).all()


def test_a_month_compounds_its_days(run):
    result = run("btc_basis", {"start": "2024-01-20", "end": "2024-04-10"})
    days, months = result.returns("1D"), result.returns("ME")
    # a day stands at its end, which is 00:00 of the next
    by_hand = (1.0 + days).groupby((days.index - pd.Timedelta("1us")).strftime("%Y-%m")).prod() - 1.0
    np.testing.assert_allclose(months, by_hand, atol=1e-13)
    assert list(months.index.strftime("%Y-%m-%d")) == ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]


@pytest.mark.parametrize(
    ("freq", "words"),
    [
        ("90min", "not a multiple of the bar (1h)"),
        ("30min", "(1h)"),
        ("x", "not a pandas frequency"),
        ("", "not a pandas frequency"),
        (3, "not"),
    ],
)
def test_a_frequency_that_cannot_be_is_told(lean, freq, words):
    with pytest.raises(InputError) as caught:
        lean.returns(freq)
    assert words in str(caught.value)


# --- tables and names ------------------------------------------------------------------------------------------------


def test_events_are_queried_as_they_read(lean):
    fills = lean.events.query("kind == 'fill' and venue == 'bybit'")
    assert len(fills) > 0
    assert set(fills["instrument"]) == {"bybit:Perp:BTCUSDT"}
    assert len(lean.events.query("kind in ['fill', 'reject'] and quantity < 0 and timestamp >= '2024-02-01T00Z'"))
    assert lean.events.groupby("kind")["fee"].sum()["fill"] == pytest.approx(-lean.attribution["fees"].sum(), rel=1e-9)


@pytest.mark.parametrize(
    "said",
    [
        "timestamp >= '2024-02-03 08:00'",
        "'2024-02-03T08:00Z' <= timestamp",
        "timestamp >= @naive",
        "timestamp >= @zoned and kind != 'nothing'",
        "not timestamp < '2024-02-03 09:00+01:00'",
    ],
)
def test_an_instant_in_a_query_is_utc_as_in_a_selection(lean, said):
    naive = pd.Timestamp("2024-02-03T08:00")
    zoned = naive.tz_localize("UTC").tz_convert("Asia/Tokyo")
    events = lean.events
    wanted = events[events["timestamp"] >= zoned]
    assert 0 < len(wanted) < len(events)
    assert naive.tz is None  # a query sees the names of its caller
    found = events.query(said)
    pd.testing.assert_frame_equal(found, wanted)
    assert found.query(said).attrs["units"] == events.attrs["units"]


def test_instants_of_events_keep_their_zone_and_are_found_in_lists(lean):
    events = lean.events
    assert str(events["timestamp"].dtype) == str(events["effective_at"].dtype) == "datetime64[us, UTC]"
    paid = events.query("kind == 'funding' and effective_at in ['2024-02-03 08:00', '2024-02-03T16:00Z']")
    assert sorted(set(paid["effective_at"].dt.hour)) == [8, 16]
    assert events.eval("effective_at == timestamp").sum() == (events["effective_at"] == events["timestamp"]).sum()
    with pytest.raises(ValueError, match="soon"):
        events.query("timestamp > 'soon'")


def test_a_result_goes_to_another_process_and_back(flowing, tmp_path):
    there = pickle.loads(pickle.dumps(flowing))
    again = pickle.loads(pickle.dumps(there))
    for made in (there, again):
        assert (made.run_id, made.status, made.cause) == (flowing.run_id, flowing.status, flowing.cause)
        assert (made.config, made.summary, made.manifest) == (flowing.config, flowing.summary, flowing.manifest)
        for name in TABLES:
            assert not list(differences(made.table(name), flowing.table(name)))
        pd.testing.assert_series_equal(made.stats(), flowing.stats())
        assert repr(made) == repr(flowing)
        assert made.explain("2024-02-05 03:00").check.closes
    assert [trace.name for trace in again.plot.overview().data] == [
        trace.name for trace in flowing.plot.overview().data
    ]
    stored = basis.open_run(again.save(tmp_path / "run", report=False))
    assert stored.equity.equals(flowing.equity)
    assert sorted(stored.manifest["tables"]) == sorted(f"{name}.parquet" for name in TABLES)
    assert pickle.loads(pickle.dumps(stored)).folder == stored.folder
    with pytest.raises(InputError, match=r"Save it with save\(path\), then open it with open_run\(path\)"):
        again.checkpoint()


def test_a_pickled_run_that_went_on_keeps_what_it_went_on_from(flowing, sample_data, tmp_path):
    config = flowing.config
    resumed = basis.backtest(config, sample_data, resume=flowing.checkpoint("2024-02-08 05:00"))
    stored = basis.open_run(pickle.loads(pickle.dumps(resumed)).save(tmp_path / "run", report=False))
    assert stored.checkpoint().state.tolist() == flowing.checkpoint().state.tolist()


def test_formatted_stats_are_those_of_the_card(lean):
    from basis.reports.notebook_html import HEADLINE
    from basis.results.stats import STATS

    card, texts = lean._repr_html_(), lean.stats(formatted=True)
    for name in HEADLINE:
        assert texts[STATS[name].label] in card


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("equty", "equity"),
        ("attributon", "attribution"),
        ("stat", "stats"),
        ("explian", "explain"),
        ("Events", "events"),
    ],
)
def test_a_misspelt_attribute_suggests_the_nearest(lean, name, near):
    with pytest.raises(AttributeError, match=f"no '{name}'. Did you mean {near}"):
        getattr(lean, name)
    assert not hasattr(lean, name)
    assert not hasattr(lean, "_ipython_display_")


def test_a_property_that_fails_keeps_its_own_error():
    class Broken(Result):
        @property
        def equity(self):
            return self.summary.nothing

    broken = Broken(None, None)
    broken.__dict__["summary"] = {}
    with pytest.raises(AttributeError, match="'dict' object has no attribute 'nothing'"):
        broken.equity
