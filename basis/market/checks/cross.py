"""The rules that look at several series: prices of one asset, and funding against what it is paid for.

May import numpy, `basis.series_kinds`, `basis.market.sources.clock` and siblings.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from basis.market.checks.finding import Array, Finding, say, when
from basis.market.sources.clock import HOUR
from basis.series_kinds import MARK, SPOT

#: Venues of one kind nearer than this are the rule, fraction; arbitrage keeps them so.
VENUES_APART = 0.02
#: Mark and spot nearer than this are the rule, fraction.
BASIS = 0.05
#: A week in which a price is off by this in the median hour is off by a constant ratio, fraction.
_RATIO, _WEEK, _LEAST_HOURS = 0.01, 168, 24
#: Logarithm of the factor from which on two prices are not of one asset in one unit: in the median, and at an instant.
_OTHER_ASSET, _OTHER_TICK = np.log(1.5), np.log(2.0)
#: Correlation of hourly moves: below the first they do not go together, above the second they do with a shift.
_APART, _TOGETHER = 0.5, 0.8
#: Fewest hours over which a shift is looked for, and most hours that it may have.
_HOURS, _MOST_SHIFT = 48, 24
#: Fewest payments over which the sign of funding is judged, and the correlation with the premium that refutes it.
_PAYMENTS, _FLIPPED = 30, -0.3
#: Median rate above which funding has to have a premium: beyond it either is in another unit.
_HIGH_RATE = 0.003
#: How far a payment may be from the premium that it is made of, per eight hours: venues add up to 0.05 %.
_OFF_PREMIUM = 0.0015
#: Pieces over which funding of two venues is compared, and how many on either side of a change.
_MONTH, _MONTHS = 30 * 24 * HOUR, 3
#: Fewest payments in a piece, and how near a change is to a power of ten, as a logarithm to the base of ten.
_LEAST_PAYMENTS, _NEAR_TEN = 10, 0.2


class Member(NamedTuple):
    """One price series of an asset: its file, kind, stamps (ns) and opens (NaN where none), and its step (ns)."""

    name: str
    kind: str
    stamps: Array
    opens: Array
    step: int


def check_prices(members: Sequence[Member], start: int, end: int) -> list[Finding]:
    """Prices of one asset against each other, from hour to hour of a window.

    With three or more the middle one is the measure, and the one that differs is named; of two both are. Files of marks
    are held against the candles, which they follow.
    """
    members = sorted(members, key=lambda member: member.kind == MARK)  # marks are judged, and judge nothing else
    judges = [member for member in members if member.kind != MARK] or members
    grid = np.arange(-(-start // HOUR) * HOUR, end + 1, HOUR)
    values = np.array([price_at(member, grid) for member in members])
    if len(members) < 2 or grid.size < 1:
        return []
    with np.errstate(all="ignore"):
        logs = np.log(values)
        logs[~np.isfinite(logs)] = np.nan
        few = len(judges) < 3
        measure = logs[0] if few else _middle(logs[: len(judges)])
        found: list[Finding] = []
        for place, (member, own) in enumerate(zip(members, logs, strict=True)):
            if few and place == 0:
                continue
            count = len(judges) - (member in judges)
            other = members[0].name if few else f"the {'other ' * (member in judges)}{count} series of the asset"
            # where few candles are left a mark still has the first of them
            by = np.where(np.isnan(measure), logs[0], measure) if member.kind == MARK else measure
            found += _against(member, own, by, grid, other)
        told = {finding.series for finding in found}
        for kind in dict.fromkeys(member.kind for member in members):
            same = [(m, own) for m, own in zip(members, logs, strict=True) if m.kind == kind and m.name not in told]
            for member, own in same[1:]:
                found += _apart(member, own, same[0][1], grid, same[0][0].name, VENUES_APART, "venues_disagree")
    return found


def check_level(member: Member, reference: Member, start: int, end: int) -> list[Finding]:
    """A price against a coarse one of another kind of series, as that of an oracle: another asset, another unit."""
    grid = np.arange(-(-start // HOUR) * HOUR, end + 1, HOUR)
    with np.errstate(all="ignore"):
        own, theirs = price_at(member, grid), price_at(reference, grid)
        off = np.log(own / theirs)
    known = np.flatnonzero(np.isfinite(off))
    if not known.size or abs(typical := float(np.median(off[known]))) < _OTHER_ASSET:
        return []
    first = known[0]
    message = (
        f"its price is {np.exp(typical):.4g} times that in {reference.name} ({own[first]:g} against {theirs[first]:g} "
        f"at {say(grid[first])}): another asset or another unit"
    )
    return [Finding(member.name, "other_price", when(grid[first]), known.size, message, True)]


def check_assets(spots: Sequence[Member], start: int, end: int) -> list[Finding]:
    """Two assets that have the same prices, though neither is worth about one: the file of one stands for the other."""
    grid = np.arange(-(-start // HOUR) * HOUR, end + 1, HOUR)
    found = []
    with np.errstate(all="ignore"):
        logs = [np.log(price_at(member, grid)) for member in spots]
        for place, (member, own) in enumerate(zip(spots, logs, strict=True)):
            for other, theirs in list(zip(spots, logs, strict=True))[:place]:
                off = np.abs(own - theirs)
                known = np.flatnonzero(np.isfinite(off))
                if known.size and np.median(off[known]) < VENUES_APART and abs(np.median(own[known])) > _OTHER_TICK:
                    message = (
                        f"it has the prices of {other.name} ({np.exp(own[known[0]]):g}, {np.exp(theirs[known[0]]):g} "
                        f"at {say(grid[known[0]])}): one of the two files is of another asset"
                    )
                    found.append(Finding(member.name, "other_price", when(grid[known[0]]), known.size, message, True))
    return found


def price_at(member: Member, grid: Array) -> Array:
    """The open of the candle that covers each instant, NaN where none does."""
    if not member.stamps.size:
        return np.full(grid.size, np.nan)
    first, last, step = int(member.stamps[0]), int(member.stamps[-1]), max(member.step, 1)
    if last - first == (member.stamps.size - 1) * step:  # without a gap a division finds the row
        row = np.clip((grid - first) // step, -1, member.stamps.size - 1)
    else:
        row = np.searchsorted(member.stamps, grid, "right") - 1
    fresh = (row >= 0) & (grid - member.stamps[row] < step)
    return np.where(fresh, member.opens[row], np.nan)


def _middle(logs: Array) -> Array:
    """Median over the series at each instant at which three have a value: of two it is not clear which is wrong."""
    ranked = np.sort(logs, axis=0)  # NaN come last
    count = (~np.isnan(logs)).sum(axis=0)
    if not (count > 2).any():
        return logs[0]
    columns, some = np.arange(logs.shape[1]), np.maximum(count, 1)
    return np.where(count > 2, (ranked[(some - 1) // 2, columns] + ranked[some // 2, columns]) / 2, np.nan)


def _against(member: Member, own: Array, measure: Array, grid: Array, other: str) -> Iterator[Finding]:
    """A series that is another asset, in another unit, shifted in time, or far from the measure."""
    off = own - measure
    known = np.flatnonzero(~np.isnan(off))
    if not known.size:
        return
    typical = float(np.median(off[known]))

    def finding(kind: str, rows: Array, message: str, impossible: bool) -> Finding:
        return Finding(member.name, kind, when(grid[rows[0]]), int(rows.size), message, impossible)

    def values(row: int) -> str:
        return f"{np.exp(own[row]):g} against {np.exp(measure[row]):g} at {say(grid[row])}"

    if abs(typical) > _OTHER_ASSET:
        power = typical / np.log(10.0)
        unit = abs(power) > 0.5 and abs(power - round(power)) < 0.02
        cause = f"another unit, by {10.0 ** round(power):g}" if unit else "another asset or another unit"
        message = f"its price is {np.exp(typical):.4g} times that of {other} ({values(known[0])}): {cause}"
        yield finding("other_price", known, message, True)
        return
    ticks = known[np.abs(off[known]) > _OTHER_TICK]
    if ticks.size:
        message = f"its price is {np.exp(off[ticks[0]]):.4g} times that of {other} ({values(ticks[0])})"
        yield finding("other_price", ticks, message, True)
        return
    shift = _shift(own, measure)
    if shift:
        cause = (
            "its stamps look like those of another zone" if abs(shift) > 1 else "one is stamped at the candle's close"
        )
        message = f"it moves {abs(shift)} h {'behind' if shift > 0 else 'ahead of'} {other}: {cause}"
        yield finding("shifted", known, message, abs(shift) > 1)
        return
    if member.kind != SPOT:  # spot venues are held against each other, below
        yield from _ratio(member, own, measure, grid, other)
    yield from _apart(member, own, measure, grid, other, BASIS, "basis")


def _ratio(member: Member, own: Array, measure: Array, grid: Array, other: str) -> Iterator[Finding]:
    """A series that is a constant ratio off for a week: in another currency, or scaled."""
    off = own - measure
    weeks = np.full(-(-off.size // _WEEK) * _WEEK, np.nan)
    weeks[: off.size] = off
    ranked = np.sort(weeks.reshape(-1, _WEEK), axis=1)  # NaN come last
    hours = (~np.isnan(ranked)).sum(axis=1)
    typical = np.where(hours >= _LEAST_HOURS, ranked[np.arange(hours.size), np.maximum(hours - 1, 0) // 2], 0.0)
    far = np.flatnonzero(np.abs(typical) > np.log1p(_RATIO))
    if far.size:
        first = far[0] * _WEEK
        row = first + int(np.flatnonzero(~np.isnan(off[first : first + _WEEK]))[0])
        message = (
            f"its price is {np.exp(typical[far[0]]):.4g} times that of {other} in the median hour of a week "
            f"({np.exp(own[row]):g} against {np.exp(measure[row]):g}), and more than {_RATIO:.0%} off is unusual: "
            "another currency, another contract or a factor"
        )
        yield Finding(member.name, "ratio", when(grid[row]), int(hours[far].sum()), message)


def _apart(
    member: Member, own: Array, measure: Array, grid: Array, other: str, limit: float, kind: str
) -> Iterator[Finding]:
    """A series that is now and then further than `limit` from another."""
    off = np.abs(own - measure)
    rows = np.flatnonzero(off > np.log1p(limit))
    if rows.size:
        worst = rows[off[rows].argmax()]
        message = (
            f"differs from {other} by more than {limit:.0%} in {rows.size:,} of {int((~np.isnan(off)).sum()):,} hours, "
            f"worst {np.expm1(off[worst]):.1%} at {say(grid[worst])} "
            f"({np.exp(own[worst]):g} against {np.exp(measure[worst]):g})"
        )
        yield Finding(member.name, kind, when(grid[rows[0]]), int(rows.size), message)


def _shift(own: Array, measure: Array) -> int:
    """Hours by which a series runs behind another (negative: ahead); 0 where it does not, or it cannot be told."""
    x, y = np.diff(own), np.diff(measure)
    known = ~(np.isnan(x) | np.isnan(y))
    if known.sum() < _HOURS or not _correlation(x, y, known) < _APART:
        return 0
    best, hours = _TOGETHER, 0
    for lag in (*range(1, _MOST_SHIFT + 1), *range(-1, -_MOST_SHIFT - 1, -1)):
        a, b = (x[lag:], y[:-lag]) if lag > 0 else (x[:lag], y[-lag:])
        both = ~(np.isnan(a) | np.isnan(b))
        if both.sum() >= _HOURS and (found := _correlation(a, b, both)) > best:
            best, hours = found, lag
    return hours


def _correlation(x: Array, y: Array, where: Array) -> float:
    """Correlation of two series; NaN where one stands still."""
    with np.errstate(all="ignore"):
        a, b = x[where] - x[where].mean(), y[where] - y[where].mean()
        # sums, not products of matrices: those wake the threads of a library
        size = float(np.sqrt((a * a).sum() * (b * b).sum()))
        return float((a * b).sum()) / size if size > 1e-12 * a.size else float("nan")


def check_funding(name: str, stamps: Array, rates: Array, rows: Array, premium: Array, per_row: float) -> list[Finding]:
    """Settlements of a window against the premium of the mark over spot in their intervals.

    Parameters
    ----------
    stamps, rates : (N,) payments from the venue itself, ns and fraction per interval
    rows : (N,) row of the grid that settles each
    premium : (T,) mark / spot - 1, NaN where unknown
    per_row : share of eight hours that a row is
    """
    if rates.size < 2:
        return []
    finite = np.isfinite(premium)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, premium, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    first, last = rows[:-1], rows[1:]
    rate, number = rates[1:], counts[last] - counts[first]
    known = number > 0
    if not known.any():
        return []
    mean = (sums[last] - sums[first])[known] / number[known]
    rate = rate[known]
    eighths = rate / ((last - first)[known] * per_row)
    typical, paid_for = float(np.median(np.abs(rate))), float(np.median(np.abs(mean)))
    found: list[Finding] = []

    def say_so(kind: str, message: str, impossible: bool) -> None:
        found.append(Finding(name, kind, when(stamps[0]), int(rate.size), message, impossible))

    text = f"the median payment is {typical:.3%} of the notional, the median premium of mark over spot {paid_for:.3%}"
    if typical > _HIGH_RATE and paid_for < typical / 10:
        say_so("funding_unit", f"{text}: it looks like per cent, divide by 100", True)
    elif np.median(np.abs(eighths - mean)) > _OFF_PREMIUM and paid_for < np.median(np.abs(eighths)) / 3:
        cause = "per cent or basis points" if typical > 5e-4 else "an interval that is not its own"
        say_so("funding_unit", f"{text}: it may be in {cause}", False)
    together = _correlation(rate, mean, np.ones(rate.size, bool))
    if rate.size >= _PAYMENTS and together < _FLIPPED:
        message = (
            f"payments go against the premium of mark over spot (correlation {together:.2f} over {rate.size:,}): "
            "their sign looks flipped, or their stamps shifted"
        )
        say_so("funding_sign", message, False)
    return found


def check_funding_levels(files: Sequence[tuple[str, Array, Array]], start: int, end: int) -> list[Finding]:
    """Funding of one asset at several venues: a level that changes tenfold or a hundredfold at one of them alone.

    Parameters
    ----------
    files : name, stamps (ns) and payments (fraction per interval) of each
    """
    levels = [_levels(stamps, rates, start, end) for _, stamps, rates in files]
    found: dict[str, Finding] = {}
    for place, level in enumerate(levels):
        for other in range(place):
            step, month = _largest_step(level - levels[other])
            power = abs(round(step))
            if power not in (1, 2) or abs(abs(step) - power) > _NEAR_TEN:
                continue
            own, theirs = (_step_at(each, month) for each in (level, levels[other]))
            # of the two the one whose own level has changed more is wrong
            wrong, beside, size = (place, other, step) if abs(own) >= abs(theirs) else (other, place, -step)
            name, stamps, _ = files[wrong]
            first = int(np.searchsorted(stamps, start + month * _MONTH))
            message = (
                f"measured by those of {files[beside][0]}, its payments become about {10.0**size:.3g} times as large "
                "within a month, and venues keep within a factor of four: from here on it looks "
                f"{'multiplied' if size > 0 else 'divided'} by {10**power}"
            )
            impossible = power == 2
            found.setdefault(
                name, Finding(name, "funding_step", when(stamps[first]), stamps.size - first, message, impossible)
            )
    return list(found.values())


def _levels(stamps: Array, rates: Array, start: int, end: int) -> Array:
    """Mean size of what is paid per time in each month of a window, as a logarithm; NaN where little is known."""
    count = int((end - start) // _MONTH) + 1
    if stamps.size < 2:
        return np.full(count, np.nan)
    month = (stamps[1:] - start) // _MONTH
    paid = np.bincount(month, np.abs(rates[1:]), count)
    time = np.bincount(month, np.minimum(np.diff(stamps), 8 * HOUR), count)  # a hole is no time
    with np.errstate(all="ignore"):
        known = (np.bincount(month, minlength=count) >= _LEAST_PAYMENTS) & (paid > 0)
        return np.where(known, np.log10(paid / time), np.nan)


def _step_at(values: Array, month: int) -> float:
    """Change of a typical value from the months before one to those from it on; NaN where it cannot be told."""
    sides = (values[max(month - _MONTHS, 0) : month], values[month : month + _MONTHS])
    before, after = (side[~np.isnan(side)] for side in sides)
    return float(np.median(after) - np.median(before)) if before.size and after.size else float("nan")


def _largest_step(values: Array) -> tuple[float, int]:
    """The largest such change, and its month; 0 where there is none."""
    steps = np.nan_to_num([0.0, *(_step_at(values, month) for month in range(1, values.size))])
    month = int(np.abs(steps).argmax())
    return float(steps[month]), month
