"""Settlements: which row pays them, at which mark; what is missing, and what stands in."""

from datetime import timedelta

import numpy as np
import pytest
from market_files import HOUR, T0, same_bits

from basis.errors import DataError
from basis.market import DataProvider
from basis.market.sources.funding import local_steps

PERP = "okx:Perp:BTCUSDT"
OWN, NEXT = "funding/okx_btcusdt.parquet", "funding/bybit_btcusdt.parquet"
BOTH = {"sources": {"funding/okx_btcusdt": ["okx", "bybit"]}}


def eights(count: int, first: int = 0):
    return [T0 + 8 * (first + i) * HOUR for i in range(count)]


@pytest.fixture
def market(dataset):
    opens = [100.0 + i for i in range(97)]
    dataset.bars("spot/binance_btcusdt.parquet", opens)
    dataset.bars("perp/okx_btcusdt.parquet", opens)
    return dataset


def test_events_settle_in_the_row_at_or_after_them(market, configure):
    # 11 ms of jitter are the venue's print; 08:30 is a settlement of its own.
    jitter = timedelta(milliseconds=11)
    stamps = [T0, T0 + 8 * HOUR + jitter, T0 + 16 * HOUR - jitter, T0 + 24 * HOUR + HOUR / 2, T0 + 32 * HOUR]
    market.funding(OWN, stamps, [0.1, 0.2, 0.3, 0.4, 0.5])
    panel = DataProvider(market.root, configure(PERP)).panel(end=T0 + 32 * HOUR)
    events = panel.settlements[PERP]
    assert events.rows.tolist() == [8, 16, 25, 32]
    assert events.stamps.tolist() == [int((T0.timestamp() + h * 3600) * 10**9) for h in (8, 16, 24.5, 32)]
    assert events.rates.tolist() == [0.2, 0.3, 0.4, 0.5]
    # The mark of 24:30 is the one known then, the open of 24:00.
    assert events.marks.tolist() == [108.0, 116.0, 124.0, 132.0]
    rate, cash = panel.columns[f"funding_rate|{PERP}"], panel.columns[f"funding_cash|{PERP}"]
    # The event at the start belongs to the window before.
    assert rate[0] == 0.0
    assert np.flatnonzero(rate).tolist() == [8, 16, 25, 32]
    assert cash[[8, 25]].tolist() == [108.0 * 0.2, 124.0 * 0.4]
    assert panel.coverage["funding/okx_btcusdt"] == {"own": 1.0, "resolved": 1.0}


def test_rows_sum_their_events(market, configure):
    market.funding(OWN, eights(13), [0.1 * (i + 1) for i in range(13)])
    panel = DataProvider(market.root, configure(PERP, bar_interval="1d")).panel()
    assert panel.columns[f"funding_rate|{PERP}"].tolist() == pytest.approx([0.0, 0.9, 1.8, 2.7, 3.6])
    assert panel.columns[f"funding_cash|{PERP}"][1] == pytest.approx(108 * 0.2 + 116 * 0.3 + 124 * 0.4)


@pytest.mark.parametrize(
    "rates", [[1, None, None, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [None, *range(2, 12), None, None]]
)
def test_a_null_or_absent_rate_is_a_missing_payment(market, configure, rates):
    market.funding(OWN, eights(13), [None if r is None else 0.01 * r for r in rates])
    missing = sum(r is None for r in rates[1:])
    with pytest.raises(DataError, match="min_funding_coverage") as caught:
        DataProvider(market.root, configure(PERP)).panel(end=T0 + 96 * HOUR)
    assert "funding/okx_btcusdt" in str(caught.value)
    assert f"{12 - missing} of the 12 settlements" in str(caught.value)
    panel = DataProvider(market.root, configure(PERP, data={"min_funding_coverage": 0.5})).panel(end=T0 + 96 * HOUR)
    assert panel.coverage["funding/okx_btcusdt"] == {"own": (12 - missing) / 12, "resolved": (12 - missing) / 12}


@pytest.mark.parametrize("as_null", [True, False])
def test_holes_are_filled_from_the_next_source(market, configure, as_null):
    holes = {0, 4, 5, 12}
    rates = [None if i in holes else 0.01 * i for i in range(13)]
    stamps = eights(13)
    if not as_null:
        stamps, rates = [s for i, s in enumerate(stamps) if i not in holes], [r for r in rates if r is not None]
    market.funding(OWN, stamps, rates)
    market.funding(NEXT, eights(13), [1.0 + i for i in range(13)])
    panel = DataProvider(market.root, configure(PERP, data=BOTH)).panel()
    events = panel.settlements[PERP]
    assert events.source.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1]
    assert events.rates.tolist() == pytest.approx(
        [0.01, 0.02, 0.03, 5.0, 6.0, 0.06, 0.07, 0.08, 0.09, 0.10, 0.11, 13.0]
    )
    assert panel.coverage["funding/okx_btcusdt"] == {"own": 9 / 12, "resolved": 1.0}
    assert any("3 of 12 settlements are missing at okx, 3 of them stand in from bybit" in n for n in panel.notes)


def test_a_first_source_without_a_file_is_all_stand_in(market, configure):
    market.funding(NEXT, eights(13), [0.01] * 13)
    panel = DataProvider(market.root, configure(PERP, data=BOTH)).panel()
    assert panel.coverage["funding/okx_btcusdt"] == {"own": 0.0, "resolved": 1.0}
    assert set(panel.settlements[PERP].source) == {1}


def test_stand_ins_pay_only_what_was_due(market, configure):
    # Own: every 8 h, one missing at 40:00. The stand-in pays every 4 h.
    own = [s for i, s in enumerate(eights(13)) if i != 5]
    market.funding(OWN, own, [0.01] * 12)
    market.funding(NEXT, [T0 + 4 * i * HOUR for i in range(25)], [1.0 + i for i in range(25)])
    panel = DataProvider(market.root, configure(PERP, data=BOTH)).panel()
    events = panel.settlements[PERP]
    # The payments of 36:00 and 40:00 are for the eight hours that are missing; it is known at 40:00 that they are.
    assert events.rows[events.source == 1].tolist() == [40]
    assert events.rates[events.source == 1].tolist() == [10.0 + 11.0]
    assert panel.coverage["funding/okx_btcusdt"]["resolved"] == 1.0


def test_a_change_of_the_interval_is_no_hole(market, configure):
    stamps = eights(7) + [T0 + (48 + 4 * i) * HOUR for i in range(1, 13)]
    market.funding(OWN, stamps, [0.01] * len(stamps))
    panel = DataProvider(market.root, configure(PERP)).panel()
    assert panel.coverage["funding/okx_btcusdt"] == {"own": 1.0, "resolved": 1.0}


def steps(*parts: tuple[int, int]) -> list[int]:
    """Hours of settlements: (step, how many of it) after each other, from 0."""
    return np.cumsum([0] + [step for step, count in parts for _ in range(count)]).tolist()


@pytest.mark.parametrize(
    "hours",
    [
        steps((1, 32), (4, 4), (1, 48)),
        steps((1, 32), (4, 1), (1, 59)),
        steps((8, 4), (4, 16)),
        steps((4, 12), (8, 6)),
        steps((8, 4), (1, 24), (8, 4)),
        steps((1, 20), (2, 2), (1, 72)),
        steps((8, 2), (2, 8), (1, 16), (4, 4), (8, 4)),
    ],
    ids=["1-4-1", "one-4-among-1", "8-4", "4-8", "8-1-8", "two-2-among-1", "8-2-1-4-8"],
)
def test_a_longer_interval_among_shorter_ones_is_no_hole(market, configure, hours):
    stamps = [T0 + h * HOUR for h in hours]
    market.funding(OWN, stamps, [0.01] * len(stamps))
    market.funding(NEXT, [T0 + h * HOUR for h in range(97)], [0.5] * 97)
    panel = DataProvider(market.root, configure(PERP, data=BOTH)).panel(end=stamps[-1])
    assert panel.coverage["funding/okx_btcusdt"] == {"own": 1.0, "resolved": 1.0}
    assert panel.settlements[PERP].source.sum() == 0
    assert panel.settlements[PERP].rows.tolist() == hours[1:]


@pytest.mark.parametrize(
    ("hours", "due"),
    [
        (steps((1, 31), (2, 1), (1, 60)), [32]),
        (steps((4, 7), (8, 1), (4, 12)), [32]),
        (steps((8, 3), (16, 1), (8, 4)), [32]),
        (steps((1, 30), (3, 1), (1, 60)), [31, 32]),
    ],
    ids=["one-2-among-1", "one-8-among-4", "16-among-8", "3-among-1"],
)
def test_a_longer_step_off_its_own_grid_is_a_hole(market, configure, hours, due):
    stamps = [T0 + h * HOUR for h in hours]
    market.funding(OWN, stamps, [0.01] * len(stamps))
    config = configure(PERP, data={"min_funding_coverage": 0.5})
    panel = DataProvider(market.root, config).panel(end=stamps[-1])
    expected = len(hours) - 1 + len(due)
    assert panel.coverage["funding/okx_btcusdt"]["own"] == (len(hours) - 1) / expected
    # A stand-in with an interval of eight hours pays its share of the missing time, once both are known.
    market.funding(NEXT, eights(13), [0.8] * 13)
    panel = DataProvider(market.root, configure(PERP, data=BOTH)).panel(end=stamps[-1])
    events = panel.settlements[PERP]
    widths = np.diff(hours).min()
    assert events.rates[events.source == 1].sum() == pytest.approx(0.1 * widths * len(due))
    assert panel.coverage["funding/okx_btcusdt"]["resolved"] == 1.0


def test_a_stated_interval_decides(market, configure):
    hours = steps((1, 32), (4, 1), (1, 40))
    stamps = [T0 + h * HOUR for h in hours]
    config = configure(PERP, data={"min_funding_coverage": 0.5})
    for stated, present in ((1.0, 73 / 76), (4.0, 1.0)):
        interval = [stated if h == 36 else 1.0 for h in hours]
        market.write(OWN, stamps, funding_rate=[0.01] * len(hours), interval=interval)
        panel = DataProvider(market.root, config).panel(end=stamps[-1])
        assert panel.coverage["funding/okx_btcusdt"]["own"] == pytest.approx(present)
    market.write(OWN, stamps, funding_rate=[0.01] * len(hours), interval=[60.0] * len(hours))
    with pytest.raises(DataError, match=r"interval.*is in hours"):
        DataProvider(market.root, config).panel()


@pytest.mark.parametrize("seconds", [-59, -0.2, 0.011, 30, 59])
def test_a_stamp_within_a_minute_of_an_hour_is_that_hour(market, configure, seconds):
    late = [s + timedelta(seconds=seconds) for s in eights(13)]
    market.funding(OWN, late, [0.01] * 13)
    panel = DataProvider(market.root, configure(PERP)).panel(end=T0 + 96 * HOUR, start=T0)
    assert panel.settlements[PERP].rows.tolist() == list(range(8, 97, 8))
    assert panel.coverage["funding/okx_btcusdt"]["own"] == 1.0


@pytest.mark.parametrize("every", [1, 2, 4, 8])
@pytest.mark.parametrize("own", [1, 4, 8])
def test_stand_ins_pay_for_the_missing_time_and_no_more(market, configure, own, every):
    """Sixteen hours are missing; whatever its interval, a stand-in that earns 0.001 an hour pays 0.016 for them."""
    hours = [h for h in range(0, 97, own) if not 32 < h <= 48]
    market.write(
        OWN, [T0 + h * HOUR for h in hours], funding_rate=[0.0] * len(hours), interval=[float(own)] * len(hours)
    )
    market.funding(NEXT, [T0 + h * HOUR for h in range(0, 97, every)], [0.001 * every] * (96 // every + 1))
    panel = DataProvider(market.root, configure(PERP, data=BOTH)).panel()
    assert panel.settlements[PERP].rates.sum() == pytest.approx(0.016)
    assert panel.coverage["funding/okx_btcusdt"]["resolved"] == 1.0


def test_local_steps_by_the_median_of_nine():
    stamps = np.cumsum([0] + [8] * 10 + [24] + [8] * 5)
    assert local_steps(stamps, 1).tolist() == [8] * 16
    assert local_steps(np.array([0, 5]), 7).tolist() == [7]


def test_the_mark_of_a_settlement_may_stand_in(market, configure):
    opens = [100.0 + i for i in range(97)]
    opens[8] = None
    market.bars("perp/okx_btcusdt.parquet", opens)
    market.bars("perp/bybit_btcusdt.parquet", [500.0 + i for i in range(97)])
    market.funding(OWN, eights(13), [0.01] * 13)
    config = configure(PERP, data={"sources": {"perp/okx_btcusdt": ["okx", "bybit"]}})
    panel = DataProvider(market.root, config).panel()
    assert panel.settlements[PERP].marks[:2].tolist() == [508.0, 116.0]
    assert panel.columns[f"mark|{PERP}"][8] == 508.0
    # Without the stand-in it is the mark carried from the hour before.
    assert DataProvider(market.root, configure(PERP)).panel().settlements[PERP].marks[0] == 107.0


def test_a_settlement_without_a_mark_stops_the_run(market, configure):
    opens = [None if 10 < i <= 15 else 100.0 for i in range(97)]
    market.bars("perp/okx_btcusdt.parquet", opens)
    market.funding(OWN, [T0 + (15 * i + 0.5) * HOUR for i in range(7)], [0.01] * 7)
    config = configure(PERP, bar_interval="4h", data={"max_staleness": "4h"})
    panel = DataProvider(market.root, config).panel()
    # Row 4 (16:00) has its own price again, but the payment of 15:30 has none.
    assert panel.stop is not None
    assert (panel.stop.row, panel.stop.series, panel.stop.age_s) == (4, "perp/okx_btcusdt", 5.5 * 3600)


def test_trailing_funding_is_the_same_for_every_start(market, configure):
    rates = [0.001 * (i + 1) for i in range(13)]
    market.funding(OWN, eights(13), rates)
    rule = {"rate_rule": {"enabled": True, "enter": 0.1, "leave": 0.05, "window": "1d"}}
    provider = DataProvider(market.root, configure(PERP, strategy=rule))
    whole = provider.panel().columns[f"funding_apr|{PERP}"]
    # A whole window lies in the data from the third settlement on, at 16:00.
    assert np.isnan(whole[:16]).all()
    assert whole[16] == pytest.approx(sum(rates[:3]) * 365)
    assert whole[39] == pytest.approx(sum(rates[2:5]) * 365)
    later = provider.panel(start=T0 + 30 * HOUR).columns[f"funding_apr|{PERP}"]
    assert same_bits(later, whole[30:])


def test_two_stamps_in_one_second_are_refused(market, configure):
    market.funding(OWN, [T0, T0 + timedelta(milliseconds=100)], [0.1, 0.1])
    with pytest.raises(DataError, match="after rounding"):
        DataProvider(market.root, configure(PERP)).panel()


def test_real_okx_settlements_before_and_after_stand_ins(real_data, configure):
    sources = {"perp/okx_btcusdt": ["okx", "bybit"], **BOTH["sources"]}
    provider = DataProvider(real_data, configure(PERP, data={"sources": sources}))
    panel = provider.panel(start="2024-04-30T08:00:00Z", end="2025-09-07T08:00:00Z")
    # 1485 stamps, 132 of them without a rate.
    assert panel.coverage["funding/okx_btcusdt"] == {"own": (1485 - 132) / 1485, "resolved": 1.0}
    assert panel.settlements[PERP].source.sum() == 132
    assert panel.coverage["perp/okx_btcusdt"] == {"own": 0.0, "resolved": 1.0}
    assert any("perp/okx_btcusdt: 100.0 % of rows" in note for note in panel.notes)
    alone = DataProvider(real_data, configure(PERP, data={"sources": {"perp/okx_btcusdt": ["bybit"]}}))
    with pytest.raises(DataError, match="1353 of the 1485 settlements"):
        alone.panel(start="2024-04-30T08:00:00Z", end="2025-09-07T08:00:00Z")
