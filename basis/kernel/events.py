"""Events: what happened in a row, in order. Every change of a stored quantity has its event."""

from .layout import codes
from .numba.jit import keep_apart, routine, stage


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
