"""Stops and liquidations of one lane, compiled apart from the rest of the hour."""

from .context import view
from .numba.jit import kernel, routine
from .positions.exchange_liquidation import check_hour, check_margin, close_at_marks, credit_closings
from .positions.lending_liquidation import check_health

#: What `check_stops_and_liquidations` looks at: the hour that ended, or the marks of the row.
IN_HOUR, AT_MARKS = range(2)


@routine
def close_in_row(run, t, lane):
    """Stops and margin check at the marks of the row, health at its oracle prices; returns whether anything closed.

    What is left is credited at once. A starting book's loans are taken as they are.
    """
    liquidates = run.settings.liquidates > 0
    closed = False
    if run.shape.stops > 0 and close_at_marks(run, t, lane) > 0:
        credit_closings(run.shape, run.block, lane)
        closed = True
    if liquidates and check_margin(run, t, lane):
        credit_closings(run.shape, run.block, lane)
        closed = True
    if liquidates and run.shape.debts > 0 and t > 0 and check_health(run, t, lane) > 0:
        closed = True
    return closed


@kernel
def check_stops_and_liquidations(handle, t, lane, what, unused, unused_too):
    """Stops and liquidations of a lane, IN_HOUR or AT_MARKS; returns 1 where anything was closed AT_MARKS."""
    run = view(handle)
    if what == AT_MARKS:
        return 1 if close_in_row(run, t, lane) else 0
    check_hour(run, t, lane)
    return 0
