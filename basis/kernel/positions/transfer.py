"""Transfers between wallet and venues: fee or gas when sent, arrival after the route's latency (accounting §8)."""

import math

from ..events import emit_event
from ..layout import codes
from ..numba.jit import routine, stage
from .gas import can_pay_gas, pay_gas

#: What rounding may take from a balance, relative: an order for all of it is still filled.
ROUNDING = 1e-12


@stage
def venue_of(run, slot):
    """Venue of a cash or token slot, -1 for the wallet."""
    return slot if slot < run.shape.venues else run.token_venue[slot - run.shape.venues]


@stage
def latency(run, t, slot, destination):
    """Seconds from sending to arrival: out of a venue, into a venue, or both."""
    terms = run.terms.venue
    wait = 0.0
    out = venue_of(run, slot)
    into = venue_of(run, destination)
    if out >= 0:
        wait += terms[run.terms_index[t], out].withdrawal_latency
    if into >= 0:
        wait += terms[run.terms_index[t], into].deposit_latency
    return wait


@stage
def free_queue_place(run, lane):
    """First free place of the transit queue; `shape.queue` where there is none."""
    place = 0
    while (place < run.shape.queue) and run.state.queue_amount[place, lane] != 0.0:
        place += 1
    return place


@routine
def price_transfer(run, t, lane, slot, destination, amount):
    """Price the sending of an asset from one place to another; returns FILLED or why it is refused."""
    held = run.state.quantity[slot, lane]
    if amount > held * (1.0 + ROUNDING):
        return codes.NO_CASH
    amount = min(amount, held)
    out = venue_of(run, slot)
    fee = 0.0
    units = 0.0
    if out >= 0:
        fee = run.terms.venue[run.terms_index[t], out].withdrawal_fee
    else:
        units = run.terms.gas[run.terms_index[t]].transfer
    if amount <= fee:
        return codes.BELOW_FEE
    wait = latency(run, t, slot, destination)
    if wait > 0.0 and free_queue_place(run, lane) == run.shape.queue:
        return codes.QUEUE_FULL
    if not can_pay_gas(run, t, lane, units, slot, amount):
        return codes.NO_GAS
    fill = run.scratch.fills[lane]
    fill.quantity = amount
    fill.fee = fee
    fill.gas_units = units
    fill.wait_s = wait
    return codes.FILLED


@stage
def deliver(run, lane, destination, amount, due, wait):
    """Let an amount arrive at once, or put it under way until it is due."""
    state = run.state
    if wait > 0.0:
        place = free_queue_place(run, lane)
        if place == run.shape.queue:
            # what prices an order has refused it before
            run.scratch.lost[0] += 1
            return
        state.transit[destination, lane] += amount
        state.queue_slot[place, lane] = destination
        state.queue_amount[place, lane] = amount
        state.queue_due[place, lane] = due
        state.queue_decision[place, lane] = state.decisions[lane]
        state.next_arrival[lane] = min(state.next_arrival[lane], due)
    else:
        state.quantity[destination, lane] += amount


@routine
def book_transfer(run, t, lane):
    """Book a transfer: it leaves at once, with its gas, and is under way until it is due."""
    fill = run.scratch.fills[lane]
    value = run.hour.value[fill.slot]
    due = run.market.time[t] + fill.wait_s
    run.state.quantity[fill.slot, lane] -= fill.quantity
    gas = pay_gas(run, t, lane, fill.gas_units)
    run.pnl.transfer_fees[lane] -= fill.fee * value
    deliver(run, lane, fill.destination, fill.quantity - fill.fee, due, fill.wait_s)
    e = emit_event(run, t, lane, codes.MOVE, codes.TRANSFER, fill.slot, fill.destination, fill.action)
    event = run.scratch.events[e]
    event.quantity = -fill.quantity
    event.amount = fill.quantity - fill.fee
    event.notional = fill.quantity * value
    event.fee = fill.fee * value
    event.gas = gas
    event.gas_units = fill.gas_units
    event.effective = due


@stage
def is_more_on_its_way(run, lane, slot):
    """Whether anything in the queue still goes to a slot."""
    for j in range(run.shape.queue):
        if run.state.queue_amount[j, lane] != 0.0 and int(run.state.queue_slot[j, lane]) == slot:
            return True
    return False


@routine
def receive_arrivals(run, t, lane):
    """Make usable what has reached its destination, in the first row at or after its time."""
    state = run.state
    state.next_arrival[lane] = math.inf
    for j in range(run.shape.queue):
        amount = state.queue_amount[j, lane]
        if amount != 0.0 and state.queue_due[j, lane] <= run.market.time[t]:
            slot = int(state.queue_slot[j, lane])
            state.quantity[slot, lane] += amount
            left = state.transit[slot, lane] - amount
            state.queue_amount[j, lane] = 0.0
            # the last arrival leaves exactly nothing in transit
            state.transit[slot, lane] = left if is_more_on_its_way(run, lane, slot) else 0.0
            state.arrived[lane] = 1.0
            e = emit_event(run, t, lane, codes.ARRIVAL, 0, slot, slot, 0)
            event = run.scratch.events[e]
            event.quantity = amount
            event.amount = amount
            event.effective = state.queue_due[j, lane]
            event.correlation = int(state.queue_decision[j, lane])
        elif amount != 0.0:
            state.next_arrival[lane] = min(state.next_arrival[lane], state.queue_due[j, lane])
