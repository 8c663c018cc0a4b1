"""Tokens of the wallet and staking: ether against a staking token, at the market or its protocol (accounting §5).

The price is ether per token. At the protocol there is no fee, but a wait.
"""

from ..events import emit_event
from ..layout import codes
from ..numba.jit import routine, stage
from .gas import can_pay_gas, pay_gas
from .market_impact import note_traded, swap_slippage
from .transfer import ROUNDING, deliver, free_queue_place


@stage
def market_price_and_fee(run, t, lane, token, ether, buys):
    """Price of a staking token at its market in ether, and the fee, for an order worth so much ether."""
    slip = swap_slippage(run, t, lane, token, worth_in_quote(run, t, ether))
    reference = run.market.market_rate[t, token]
    price = reference * (1.0 + slip if buys else 1.0 - slip)
    return price, run.terms.stake[run.terms_index[t], token].swap_fee


@stage
def worth_in_quote(run, t, ether):
    """Worth of so much ether, quote units."""
    return ether * run.market.spot[t, run.wallet.ether - run.shape.venues]


@stage
def gas_units_of_change(run, t, kind):
    """Gas of a swap, of staking, or of unstaking."""
    gas = run.terms.gas[run.terms_index[t]]
    if kind == codes.SWAP:
        return gas.swap
    return gas.stake if kind == codes.STAKE else gas.unstake


@routine
def price_change(run, t, lane, kind, slot, destination, amount):
    """Price a swap, staking or unstaking of `amount` units of what is given away; FILLED or why it is refused."""
    held = run.state.quantity[slot, lane]
    if amount > held * (1.0 + ROUNDING):
        return codes.NO_CASH
    amount = min(amount, held)
    first = run.shape.venues
    buys = slot == run.wallet.ether
    token = (destination if buys else slot) - first
    terms = run.terms.stake[run.terms_index[t], token]
    reference = run.market.protocol_rate[t, token]
    price = reference
    fee = 0.0
    wait = 0.0
    if kind == codes.SWAP:
        reference = run.market.market_rate[t, token]
        if reference <= 0.0:
            return codes.NO_MARKET
        slip = swap_slippage(run, t, lane, token, amount * run.market.spot[t, slot - first])
        price = reference * (1.0 + slip) if buys else reference * (1.0 - slip)
        fee = terms.swap_fee
    else:
        wait = terms.stake_latency if buys else terms.unstake_latency
        if wait > 0.0 and free_queue_place(run, lane) == run.shape.queue:
            return codes.QUEUE_FULL
    units = gas_units_of_change(run, t, kind)
    if not can_pay_gas(run, t, lane, units, slot, amount):
        return codes.NO_GAS
    fill = run.scratch.fills[lane]
    fill.quantity = amount
    fill.price = price
    fill.reference = reference
    fill.fee_rate = fee
    fill.gas_units = units
    fill.wait_s = wait
    return codes.FILLED


@routine
def book_change(run, t, lane):
    """Book ether against a staking token; what the book values beside the reference is peg P&L."""
    fill = run.scratch.fills[lane]
    amount = fill.quantity
    price = fill.price
    rate = fill.fee_rate
    buys = fill.slot == run.wallet.ether
    lst = fill.destination if buys else fill.slot
    ether = run.hour.value[run.wallet.ether]
    # signed: tokens in or out, ether with the fee in it
    tokens = amount * (1.0 - rate) / price if buys else -amount
    received = tokens if buys else amount * price * (1.0 - rate)
    fee = (amount * rate if buys else amount * price * rate) * ether
    lost = tokens * (price - fill.reference) * ether
    peg = tokens * (run.hour.value[lst] - fill.reference * ether)
    due = run.market.time[t] + fill.wait_s
    first = run.shape.venues
    if fill.kind == codes.SWAP:
        note_traded(run, lane, lst - first, amount * run.market.spot[t, fill.slot - first])
    run.state.quantity[fill.slot, lane] -= amount
    gas = pay_gas(run, t, lane, fill.gas_units)
    deliver(run, lane, fill.destination, received, due, fill.wait_s)
    run.pnl.fees[lane] -= fee
    run.pnl.slippage[lane] -= lost
    run.pnl.peg[lane] += peg
    # what is under way is no fill yet: its event names the slot that it left
    waits = fill.wait_s > 0.0
    kind = codes.MOVE if waits else codes.FILL
    left = fill.slot if waits else lst
    right = fill.slot if (buys and not waits) else fill.destination
    event = run.scratch.events[emit_event(run, t, lane, kind, fill.kind, left, right, fill.action)]
    event.quantity = -amount if waits else tokens
    event.price = price
    event.reference = fill.reference
    event.fee_rate = rate
    event.notional = (amount if buys else amount * price) * ether
    event.fee = fee
    event.slippage = lost
    event.gas = gas
    event.gas_units = fill.gas_units
    event.amount = received if waits else (-amount if buys else received)
    event.peg = peg
    event.effective = due


@stage
def token_drift(shape, state, hour, lane, price):
    """Adds what prices earned on the wallet's tokens to `price`; returns it, staking yield and peg P&L."""
    row = shape.state
    column = shape.hour
    staking = 0.0
    peg = 0.0
    for i in range(shape.tokens - shape.rewards):
        slot = shape.first_token + i
        held = state[row.quantity + slot, lane] + state[row.transit + slot, lane]
        price += held * hour[column.price_pnl + slot]
        staking += held * hour[column.staking_pnl + i]
        peg += held * hour[column.peg_pnl + i]
    return price, staking, peg
