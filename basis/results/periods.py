"""Returns by period from returns by row. pandas is imported on use."""

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from basis.config.durations import format_duration
from basis.errors import InputError
from basis.results import measures

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLES = "such as 4h, 1D, W or ME"
_INSTANT = np.timedelta64(1, "us")


def returns_by_period(stamps: np.ndarray, returns: np.ndarray, freq: "str | None", bar: timedelta) -> "pd.Series":
    """Compounded returns by period, as `Result.returns` describes them.

    Parameters
    ----------
    stamps : (rows,) datetime64[us] UTC
    returns : (rows,) fractions by row
    freq : pandas frequency; None for the rows themselves
    bar : length of a bar, the time from row to row
    """
    import pandas as pd

    if freq is None:
        ends, values = stamps, returns
    else:
        step = _step(freq, bar)
        if step is not None:
            ends, values = measures.period_returns(stamps, returns, step)
        else:
            values = returns
            # a row at 00:00 belongs to the day before it; row 0 belongs to its own
            days = np.where(np.arange(len(stamps)) > 0, stamps - _INSTANT, stamps)
            grouped = pd.Series(1.0 + values, pd.DatetimeIndex(days)).resample(freq).prod() - 1.0
            ends, values = grouped.index.to_numpy().astype("M8[us]"), grouped.to_numpy()
    series = pd.Series(values, pd.DatetimeIndex(ends, tz="UTC", name="timestamp"), name="return")
    series.attrs["unit"] = "fraction"
    return series


def _step(freq: str, bar: timedelta) -> "np.timedelta64 | None":
    """Length of a period that is a number of bars; None for a calendar period such as a month.

    Raises
    ------
    InputError
        If `freq` is not a frequency, or not a multiple of the bar.
    """
    from pandas.tseries.frequencies import to_offset
    from pandas.tseries.offsets import Day, Tick

    try:
        offset = to_offset(freq)
    except (ValueError, TypeError) as error:
        raise InputError(f"freq={freq!r} is not a pandas frequency. Give one {_EXAMPLES}.") from error
    if not isinstance(offset, Day | Tick):
        return None
    step = timedelta(days=offset.n) if isinstance(offset, Day) else timedelta(microseconds=offset.nanos / 1000)
    if step < bar or step % bar:
        raise InputError(f"freq={freq!r} is not a multiple of the bar ({format_duration(bar)}). Give one {_EXAMPLES}.")
    return np.timedelta64(step)
