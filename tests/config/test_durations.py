"""Durations and instants."""

from datetime import UTC, datetime, timedelta

import pytest

from basis.config.durations import format_duration, format_instant, parse_duration, parse_instant


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("30min", 1800),
        ("3h", 10_800),
        ("3 H", 10_800),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("0s", 0),
        ("PT3H", 10_800),
        ("P1DT2H", 93_600),
        ("PT0.5S", 0.5),
    ],
)
def test_durations_and_the_way_back(text, seconds):
    value = parse_duration(text)
    assert value == timedelta(seconds=seconds)
    assert parse_duration(format_duration(value)) == value
    assert parse_duration(value) == value


@pytest.mark.parametrize(
    "wrong", ["", "3", "h", "3x", "-1h", "P", "PT", "3h and more", "99999999999d", 3, 1.5, None, True]
)
def test_no_durations(wrong):
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(wrong)
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(timedelta(seconds=-1))


def test_instants_and_the_way_back():
    for text in ("2024-01-31", "2024-01-31T08:00:00.25Z"):
        value = parse_instant(text)
        assert value.tzinfo is UTC
        assert parse_instant(str(format_instant(value))) == parse_instant(format_instant(value)) == value


def test_instants_of_numpy_and_pandas():
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    expected = datetime(2024, 5, 14, 3, tzinfo=UTC)
    for value in (
        np.datetime64("2024-05-14T03", "ns"),
        pd.Timestamp("2024-05-14 03:00"),
        pd.Timestamp("2024-05-14 05:00", tz="Europe/Paris"),
    ):
        assert parse_instant(value) == expected
        assert type(parse_instant(value)) is datetime
    for value in (pd.NaT, np.datetime64("NaT")):
        with pytest.raises(ValueError, match="must be a date"):
            parse_instant(value)
    assert type(parse_duration(pd.Timedelta("3h"))) is timedelta
