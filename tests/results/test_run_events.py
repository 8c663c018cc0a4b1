"""The event table: its texts, its funding, and that it tells every change of a stored quantity."""

import numpy as np
import pytest
from run_auditor import rebuild
from run_cases import CASES

from basis.reports import Result


def test_events_tell_every_change_of_a_quantity(result, recording):
    """An outsider rebuilds the positions from the events."""
    held = result.positions
    share = result.summary["share_class"]
    prices = result.panel["spot|ETH"].to_numpy() / (result.panel["spot|ETH"].to_numpy() if share == "ETH" else 1.0)
    rebuilt = rebuild(result.events, held.index, recording.holdings, share, prices)
    for row, (stamp, quantities, costs, moving) in enumerate(rebuilt):
        for name in held.columns:
            key, _, measure = name.partition("|")
            book = {"cost": costs, "in_transit": moving, "": quantities}[measure]
            was = held[name].iloc[row]
            assert book.get(key, 0.0) == pytest.approx(was, rel=1e-10, abs=1e-7), (name, stamp)


def test_costs_of_events_are_those_of_the_attribution(result):
    parts, events = result.attribution, result.events.set_index("timestamp")
    scale = result.summary["initial_equity"]
    trades = events[events.kind.eq("fill")]

    def by_row(values):
        return values.groupby(level=0).sum().reindex(parts.index, fill_value=0.0)

    for total, column in (
        (-by_row(trades.fee), "fees"),
        (-by_row(trades.slippage), "slippage"),
        (-by_row(events.gas), "gas"),
        (-by_row(events[events.kind == "transfer"].fee), "transfer_fees"),
        (-by_row(events[events.kind == "liquidation"].fee), "liquidation_loss"),
    ):
        np.testing.assert_allclose(total, parts[column], atol=1e-12 * scale, err_msg=column)


def test_one_funding_event_per_settlement(result, recording):
    funding = result.events[result.events.kind == "funding"]
    assert len(funding) == len(funding.drop_duplicates(["instrument", "effective_at"]))
    for key, settled in recording.panel.settlements.items():
        own = funding[funding.instrument == key]
        stamps = dict(zip(settled.stamps, zip(settled.rates, settled.marks, settled.rows)))
        for event in own.itertuples():
            rate, mark, row = stamps[event.effective_at.as_unit("ns").value]
            assert (event.rate, event.price) == (rate, mark)
            assert event.amount == pytest.approx(-event.quantity * mark * rate, rel=1e-12)
            assert event.timestamp == result.equity.index[row - recording.first]


def test_funding_events_sum_to_what_the_book_was_paid(results):
    for result in results.values():
        funding = result.events[result.events.kind == "funding"]
        share = result.summary["share_class"]
        for name in result.attribution_by_venue:
            paid = funding[funding.venue == name.partition("|")[2]].groupby("timestamp").amount.sum()
            price = 1.0 / result.panel["spot|ETH"] if share == "ETH" else 1.0
            total = paid.reindex(result.attribution.index, fill_value=0.0) * price
            np.testing.assert_allclose(
                total, result.attribution_by_venue[name], atol=1e-11 * result.summary["initial_equity"]
            )


def test_days_have_several_settlements_in_a_row(results):
    events = results["daily"].events
    funding = events[events.kind == "funding"]
    assert (funding.groupby(["timestamp", "instrument"]).size() == 3).any()
    assert sorted(set(funding.effective_at.dt.hour)) == [0, 8, 16]


def test_order_and_ids(result):
    events = result.events
    assert list(events.seq) == list(range(len(events)))
    assert events.timestamp.is_monotonic_increasing
    decided = events[events.kind.isin(["decision", "order", "fill", "transfer"])]
    assert decided.correlation_id.str.fullmatch(rf"{result.run_id}-\d{{6}}").all()
    assert (events[events.kind.isin(["funding", "flow", "alert", "liquidation"])].correlation_id == "").all()
    sent = events[events.kind == "transfer"]
    arrived = events[events.kind == "arrival"]
    assert set(arrived.correlation_id) <= set(sent.correlation_id)


def test_texts(results):
    events = results["flows"].events
    one = {kind: rows.iloc[0] for kind, rows in events.groupby("kind")}
    assert one["transfer"].detail.startswith("arrives 2024-02-01T00:")
    assert one["transfer"].destination.endswith(":BaseToken:USDT")
    assert one["transfer"].venue == "wallet"
    assert (one["fill"].detail, one["fill"].fee_asset, one["fill"].destination) == ("perp", "USDT", "")
    assert set(events[events.kind == "flow"].detail) == {"deposit", "withdrawal requested", "withdrawal paid"}
    assert set(events[events.kind == "decision"].instrument) == {"USDT", "BTC"}
    assert events[events.kind == "decision"].action.isin(["entry_full", "entry_partial", "exit_partial"]).all()
    sent = events[(events.kind == "transfer") & (events.fee > 0)]
    assert (sent.fee_asset == "USDT").all()
    fed = (events.fee == 0) == (events.fee_asset == "")
    assert fed.all()


def test_supply_names_pool_and_token(results):
    fill = results["lending"].events.query("kind == 'fill'").iloc[0]
    assert (fill.instrument, fill.destination, fill.detail) == ("aave_v3:aToken:USDT", "aave_v3:aToken:USDT", "supply")
    assert fill.quantity * fill.price == pytest.approx(-fill.amount)
    assert results["lending"].events.query("kind == 'decision'").iloc[0].instrument == "USDT"


def test_alerts_name_measure_level_and_what_was(results):
    alerts = results["struck"].events.query("kind == 'alert'")
    assert set(alerts.level) <= {"normal", "warning", "critical"}
    assert alerts.detail.str.contains(r"\(was (?:normal|warning|critical)\)").all()
    margin = alerts[alerts.instrument == "margin_ratio|binance"]
    assert len(margin)
    assert set(margin.venue) == {"binance"}
    assert (results["struck"].events.query("kind != 'alert'").level == "").all()


def test_a_run_that_stopped_ends_with_why(sample_data, make_run):
    overrides = dict(CASES["plain"][1], **{"data.sources.spot/btcusdt": ["binance"], "end": "2024-05-16"})
    overrides |= {"start": "2024-05-13", "data.max_staleness": "1h"}
    stopped = Result.from_recording(make_run("btc_basis", overrides))
    last = stopped.events.iloc[-1]
    assert (stopped.status, last.kind, last.detail) == ("stopped", "error", stopped.cause)
    assert last.timestamp == stopped.equity.index[-1]
    assert stopped.warnings[0].startswith("The run stopped itself: data hole")
