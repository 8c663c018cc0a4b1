"""Events: what happened in a row, in order. Every change of a stored quantity has its event."""

from typing import Any

from .layout import codes
from .numba.jit import keep_apart, routine, stage

#: An order is followed by its fill, of a bundle three, or by its reject and the revert.
_EVENTS_OF_ORDER = 4
#: An account is liquidated at the low, at the high and at the row's prices, each time with two events.
_SCENES, _EVENTS_OF_LIQUIDATION = 3, 2
#: Steps of a route beside those that are counted by venue, reward or loop.
_OTHER_STEPS = 8


def most_events_of_row(shape: Any, loops: int, payouts: int, withdrawals: int) -> int:
    """More events than one row and lane can write: what is free in the buffer is checked once a row.

    Parameters
    ----------
    loops : most of a plan
    payouts : most of a row
    withdrawals : of the whole run, which may all fall due in one row
    """
    # at most: margin from the wallet and between venues, perps rolled, shorts evened out twice
    orders = 2 * shape.perps + 4 * shape.venues + shape.rewards + 3 * loops + _OTHER_STEPS
    actions = codes.ACTIONS * (2 + _EVENTS_OF_ORDER * orders)
    # in the hour and at the marks
    closings = 2 * shape.perps
    loans = shape.accounts * (_SCENES * codes.LIQUIDATIONS * _EVENTS_OF_LIQUIDATION + shape.debts)
    market = shape.perps + shape.queue + payouts + 2 * shape.measures
    return actions + closings + loans + market + 1 + 3 * withdrawals


@routine
def emit_event(run, t, lane, kind, code, slot, destination, action):
    """Begin an event, effective at the row; returns its place in the buffer, where the caller writes the rest.

    Where events are not kept, or the buffer is full, it is the spare place at the end of the buffer.
    """
    keep_apart()
    state = run.state
    scratch = run.scratch
    sequence = state.events[lane]
    state.events[lane] = sequence + 1.0
    spare = scratch.events.shape[0] - 1
    e = spare
    if scratch.count[0] < spare:
        e = scratch.count[0]
        scratch.count[0] = e + 1
    elif spare > 0:
        scratch.lost[0] += 1
    for j in range(scratch.event_words.shape[1]):
        scratch.event_words[e, j] = 0
    event = scratch.events[e]
    event.row = t
    event.lane = lane
    event.kind = kind
    event.code = code
    event.slot = slot
    event.destination = destination
    event.action = action
    event.correlation = int(state.decisions[lane])
    event.sequence = int(sequence)
    event.effective = run.market.time[t]
    return e


@stage
def emit_fill(run, t, lane, slot, destination):
    """Begin the event of what a venue filled: kind, action, price, reference and fee rate are those of the fill."""
    fill = run.scratch.fills[lane]
    e = emit_event(run, t, lane, codes.FILL, fill.kind, slot, destination, fill.action)
    event = run.scratch.events[e]
    event.price = fill.price
    event.reference = fill.reference
    event.fee_rate = fill.fee_rate
    return e


@routine
def report_order(run, t, lane, place, kind, code):
    """Event of an order that is sent (`codes.ORDER`) or refused (`codes.REJECT`, the code is the reason)."""
    order = run.scratch.orders[lane, place]
    e = emit_event(run, t, lane, kind, code, order.slot, order.destination, order.action)
    run.scratch.events[e].quantity = order.quantity
