"""Returns and measures of them, as plain numpy functions. Imports numpy only.

The return of a row is time-weighted: (E_t − flow_t) / E_{t−1} − 1, where E is the equity; row 0 is measured against the
capital. A day ends at 00:00 UTC. Its return compounds the rows in (00:00, 00:00 of the next day]; row 0 belongs to the
day that follows it. A year has 365 days, and the risk-free rate is 0.

Daily measures are taken of whole days: the first and the last day are left out where the run covers them in part. A
ratio to a deviation that is nothing but rounding is not defined.
"""

import math
from typing import NamedTuple

import numpy as np

DAYS = 365.0
_DAY = np.timedelta64(1, "D")
#: Equity below this share of the capital counts as zero: a return on it would mean nothing.
_ZERO_EQUITY = 1e-9
#: A return below this, or below this share of the largest, is rounding: far above what double precision leaves of
#: equal days, which is some 1e-14 with levered books, and far below what any market moves.
_ROUNDING, _ROUNDING_SHARE = 1e-12, 1e-9


def row_returns(equity: np.ndarray, flow: np.ndarray, start: float) -> np.ndarray:
    """(rows,) time-weighted return of each row, fraction; 0 after an equity of zero, NaN after a negative one."""
    before = np.concatenate(([start], equity[:-1]))[: len(equity)]
    out = np.zeros(len(equity))
    np.divide(equity - flow, before, out=out, where=before > _ZERO_EQUITY * start)
    out[before > _ZERO_EQUITY * start] -= 1.0
    out[before < -_ZERO_EQUITY * start] = np.nan
    return out


def total_return(equity: np.ndarray, flow: np.ndarray, start: float) -> float:
    """Time-weighted return of the whole run, fraction.

    It multiplies the growth between flows; without flows it is E_end / start − 1 exactly.
    """
    if not len(equity):
        return 0.0
    growth, base = 1.0, start
    for row in np.flatnonzero(flow):
        if base > _ZERO_EQUITY * start:
            growth *= (equity[row] - flow[row]) / base
        base = equity[row]
    if not flow.any():
        return float(equity[-1] / base - 1.0)
    return float(growth * (equity[-1] / base if base > _ZERO_EQUITY * start else 1.0) - 1.0)


def wealth(returns: np.ndarray) -> np.ndarray:
    """(rows,) growth of 1."""
    return np.cumprod(1.0 + returns)


def drawdown(returns: np.ndarray) -> np.ndarray:
    """(rows,) fall of the growth from its highest value so far (1 at the start), fraction <= 0."""
    grown = wealth(returns)
    return grown / np.maximum(np.maximum.accumulate(grown), 1.0) - 1.0 if len(grown) else grown


def daily_returns(stamps: np.ndarray, returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (datetime64[us], 00:00 UTC) and returns of the days; the first and the last may be incomplete."""
    return period_returns(stamps, returns, _DAY)


def whole_days(stamps: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """(days,) returns of the days that the run covers whole, from 00:00 to 00:00 UTC."""
    ends, days = daily_returns(stamps, returns)
    if not len(days):
        return days
    first, last = stamps[[0, -1]].astype("M8[us]")
    return days[int(first > ends[0] - _DAY) : len(days) - int(last < ends[-1])]


def rounding(returns: np.ndarray) -> float:
    """Largest return, fraction, that counts as rounding among finite `returns`."""
    return max(_ROUNDING, _ROUNDING_SHARE * float(np.abs(returns).max(initial=0.0)))


def period_returns(stamps: np.ndarray, returns: np.ndarray, step: np.timedelta64) -> tuple[np.ndarray, np.ndarray]:
    """Ends (datetime64[us]) and returns of periods of one length, counted from 00:00 UTC of the first day.

    The rows in (start, end] of a period compound; row 0 belongs to the period that follows it.
    """
    stamps = stamps.astype("M8[us]")
    if not len(returns):
        return stamps, returns
    origin, step = stamps[0].astype("M8[D]").astype("M8[us]"), step.astype("m8[us]")
    # rounded up: a row at the end of a period is its last
    ends = origin - (origin - stamps) // step * step
    if len(ends) > 1:
        ends[0] = ends[1]
    first = np.flatnonzero(np.concatenate(([True], ends[1:] != ends[:-1])))
    return ends[first], np.multiply.reduceat(1.0 + returns, first) - 1.0


class DailyMeasures(NamedTuple):
    """Measures of daily returns; None if one is not defined. All are None if a day has no return."""

    best_day: float | None
    worst_day: float | None
    positive_days: float | None
    skew: float | None
    kurtosis: float | None
    var_95: float | None
    expected_shortfall_95: float | None
    time_under_water: float | None
    longest_under_water: int | None


def measure_days(days: np.ndarray) -> DailyMeasures:
    """Measures of the (days,) returns of `whole_days`.

    Notes
    -----
    Skew and kurtosis are the adjusted Fisher-Pearson coefficients, the second in excess of the normal distribution's.
    Value at risk is the historical quantile at 5 % (linear between neighbours) and expected shortfall the mean of the
    days at or below it. Both are returns, so a loss is negative. A day is under water if it ends below the highest
    end of a day so far (1 at the start); `longest_under_water` is the longest run of such days.
    """
    count = len(days)
    if not count or not np.isfinite(days).all():
        return DailyMeasures(*(None,) * 9)
    deviations, least = days - days.mean(), rounding(days)
    square = float((deviations**2).sum())
    skew = kurtosis = None
    # if all days are equal up to rounding, skew and kurtosis are not defined
    if square > count * least**2:
        if count > 2:
            skew = count * math.sqrt(count - 1) / (count - 2) * float((deviations**3).sum()) / square**1.5
        if count > 3:
            scale = (count - 1) / ((count - 2) * (count - 3))
            kurtosis = scale * (count * (count + 1) * float((deviations**4).sum()) / square**2 - 3 * (count - 1))
    quantile = float(np.quantile(days, 0.05))
    under = drawdown(days) < -least
    edges = np.flatnonzero(np.diff(np.concatenate(([0], under.astype(np.int8), [0]))))
    return DailyMeasures(
        float(days.max()), float(days.min()), float((days > least).mean()), skew, kurtosis, quantile,
        float(days[days <= quantile].mean()), float(under.mean()), int((edges[1::2] - edges[::2]).max(initial=0)),
    )  # fmt: skip


class Measures(NamedTuple):
    """Measures of a run; None if one is not defined."""

    cagr_365: float | None
    volatility_365: float | None
    sharpe_365: float | None
    sortino_365: float | None
    max_drawdown: float | None
    calmar: float | None


def measure(stamps: np.ndarray, returns: np.ndarray, total: float) -> Measures:
    """Measures of a run.

    Parameters
    ----------
    stamps : (rows,) datetime64[us] UTC
    returns : (rows,) fractions by row
    total : time-weighted return of the whole run, fraction

    Notes
    -----
    Volatility is the sample deviation (ddof 1) of the returns of whole days times √365. Sharpe is their mean times 365
    over it. Sortino divides by the root of the mean square of the negative days (against 0, over all days), times √365.
    Calmar is CAGR over |largest drawdown|; CAGR counts the time from the first to the last row. A ratio is not defined
    where what it divides by is rounding.
    """
    years = float((stamps[-1] - stamps[0]) / _DAY) / DAYS if len(stamps) else 0.0
    cagr = None
    if years > 0.0 and total > -1.0:
        exponent = math.log1p(total) / years
        cagr = math.expm1(exponent) if exponent < 700.0 else None
    elif years > 0.0 and total == -1.0:
        cagr = -1.0
    days = whole_days(stamps, returns)
    volatility = sharpe = sortino = None
    if len(days) > 1 and np.isfinite(days).all():
        mean, deviation, least = float(days.mean()), float(days.std(ddof=1)), rounding(days)
        volatility = deviation * math.sqrt(DAYS)
        downside = math.sqrt(float(np.mean(np.minimum(days, 0.0) ** 2)))
        sharpe = mean * DAYS / volatility if deviation > least else None
        sortino = mean * DAYS / (downside * math.sqrt(DAYS)) if downside > least else None
    deepest = float(drawdown(returns).min()) if len(returns) and np.isfinite(returns).all() else None
    calmar = cagr / -deepest if cagr is not None and deepest and -deepest > rounding(days) else None
    return Measures(cagr, volatility, sharpe, sortino, deepest, calmar)
