"""Funding of perps (accounting §4.3): cash = -q * mark(t_f) * rate for every payment in (t-1, t], booked at Q_t.

A short receives where the rate is above 0. The hour's coefficient `funding` is the sum of mark * rate of its payments.
"""

from ..events import emit_event
from ..layout import codes
from ..numba.jit import routine, stage


@stage
def settle_funding(shape, state, hour, lane):
    """Settle the funding of an hour on what survived it, into the cash of every venue and its column."""
    row = shape.state
    for v in range(shape.venues):
        paid = 0.0
        for k in range(shape.markets):
            i = v * shape.markets + k
            paid += state[row.quantity + shape.first_perp + i, lane] * hour[shape.hour.funding + i]
        state[row.quantity + v, lane] -= paid
        worth = paid * hour[shape.hour.value + v]
        state[row.venue_funding + v, lane] -= worth
        state[shape.pnl.funding, lane] -= worth


@routine
def report_funding(run, t, lane):
    """One event for every perp that paid or received in this row."""
    shape = run.shape
    for i in range(shape.perps):
        q = run.state.quantity[shape.first_perp + i, lane]
        paid = run.hour.funding[i]
        if q * paid != 0.0:
            slot = shape.first_perp + i
            e = emit_event(run, t, lane, codes.FUNDING_PAID, 0, slot, i // shape.markets, 0)
            event = run.scratch.events[e]
            event.quantity = q
            event.amount = -q * paid
            event.cash = -q * paid
