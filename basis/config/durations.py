"""Durations and instants as configuration writes them. Leaf module: standard library only."""

import re
from datetime import UTC, date, datetime, timedelta

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3_600, 86_400, 604_800  # seconds
_UNITS = {"s": 1, "sec": 1, "m": _MINUTE, "min": _MINUTE, "h": _HOUR, "d": _DAY, "w": _WEEK}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(sec|min|[smhdw])")
_ISO = re.compile("P{W}{D}(?:T{H}{M}{S})?".replace("{", r"(?:(\d+(?:\.\d+)?)").replace("}", ")?"))
#: Seconds of the parts of an ISO duration, in their order.
_ISO_SECONDS = (_WEEK, _DAY, _HOUR, _MINUTE, 1)
#: Start of the "always" of an entry without a date; also the earliest instant the grid (int64 ns) is used for.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: First and last year of instants: what int64 nanoseconds since the epoch can hold in whole years.
_YEARS = (1970, 2261)


def parse_duration(value: object) -> timedelta:
    """Read a duration: a timedelta, ``3h``, ``30m``, ``1d``, ``90s``, ``1h30m`` or ISO 8601 (``PT3H``).

    Raises
    ------
    ValueError
        For anything else, a bare number (its unit is unknown) and a negative duration included.
    """
    if isinstance(value, timedelta):
        if value == value and value >= timedelta(0):  # pandas' NaT is no duration and differs from itself
            return timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
    elif isinstance(value, str):
        seconds = _seconds(value.strip())
        if seconds is not None:
            try:
                return timedelta(seconds=seconds)
            except OverflowError:
                pass
    raise ValueError("must be a duration such as 90s, 30m, 3h, 1d or PT3H")


def _seconds(text: str) -> float | None:
    iso = _ISO.fullmatch(text.upper())
    if iso and any(iso.groups()):
        return sum(float(part) * unit for part, unit in zip(iso.groups(), _ISO_SECONDS, strict=True) if part)
    low = text.lower()
    parts = _PART.findall(low)
    if not parts or _PART.sub("", low).strip():
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(value: timedelta) -> str:
    """Write a duration so that :func:`parse_duration` reads it back: ``3h``, ``1d12h``, ``0s``."""
    rest = value.days * _DAY + value.seconds
    out = ""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        count, rest = divmod(rest, size)
        out += f"{count}{unit}" if count else ""
    if value.microseconds:
        return f"{out}{rest}.{value.microseconds:06d}s"
    return f"{out}{rest}s" if rest or not out else out


def parse_instant(value: object) -> datetime:
    """Read an instant in UTC: a datetime (naive means UTC), a date (00:00 UTC) or ISO 8601 text.

    Raises
    ------
    ValueError
        For anything that is no date, and outside the years 1970 to 2261 (instants are int64 ns later).
    """
    if type(value).__name__ == "datetime64":  # of NumPy, which this module does not import
        value = str(value)
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if isinstance(value, datetime) and value == value:  # pandas' NaT differs from itself
            utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            if _YEARS[0] <= utc.year <= _YEARS[1]:
                # A plain datetime, whatever subclass came in.
                clock = (utc.hour, utc.minute, utc.second, utc.microsecond)
                return datetime(utc.year, utc.month, utc.day, *clock, tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        f"must be a date or instant such as 2024-01-31 or 2024-01-31T08:00Z (UTC, years {_YEARS[0]} to {_YEARS[1]})"
    )


def format_instant(value: datetime) -> date | datetime:
    """What YAML should hold for an instant: a bare date at midnight UTC, else the instant itself."""
    midnight = not (value.hour or value.minute or value.second or value.microsecond)
    return value.date() if midnight else value
