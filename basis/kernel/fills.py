"""An order becomes a fill: the venue prices it and changes nothing, then it is booked (accounting §4.9, §5, §8)."""

from .events import report_order
from .layout import codes
from .numba.jit import routine, stage
from .positions.exchange import book_trade, price_perp, price_spot
from .positions.gas import can_pay_gas
from .positions.lending import (
    book_lending,
    price_borrowing,
    price_repayment,
    price_supply,
    price_withdrawal,
)
from .positions.leverage import book_bundle, gas_units_of_bundle, price_bundle, revert_bundle
from .positions.staking import book_change, price_change
from .positions.transfer import book_transfer, price_transfer


@stage
def is_bundle(kind):
    """Whether an order is several steps in one transaction."""
    return kind >= codes.LEVER_STAKE and kind <= codes.UNWIND


@stage
def is_change(kind):
    """Whether an order changes ether into a token or back."""
    return kind == codes.SWAP or kind == codes.STAKE or kind == codes.UNSTAKE


@stage
def begin_fill(run, lane, order):
    """What a venue makes of an order begins with what the order says."""
    fill = run.scratch.fills[lane]
    fill.kind = order.kind
    fill.slot = order.slot
    fill.destination = order.destination
    fill.action = order.action
    fill.quantity = 0.0
    fill.price = 0.0
    fill.reference = 0.0
    fill.fee_rate = 0.0
    fill.fee = 0.0
    fill.gas_units = 0.0
    fill.wait_s = 0.0
    fill.put_in = 0.0


@stage
def price_order(run, t, lane, place):
    """What the venue makes of the order at a place; returns FILLED or why it is refused. Changes nothing else."""
    order = run.scratch.orders[lane, place]
    begin_fill(run, lane, order)
    kind = order.kind
    if kind == codes.TRADE_SPOT:
        return price_spot(run, t, lane, order.slot, order.quantity)
    if kind == codes.TRADE_PERP:
        return price_perp(run, t, lane, order.slot, order.quantity)
    if kind == codes.TRANSFER:
        return price_transfer(run, t, lane, order.slot, order.destination, order.quantity)
    if kind == codes.SUPPLY:
        return price_supply(run, t, lane, order.slot, order.destination, order.quantity)
    if kind == codes.WITHDRAW:
        return price_withdrawal(run, t, lane, order.slot, order.quantity)
    if is_change(kind):
        return price_change(run, t, lane, kind, order.slot, order.destination, order.quantity)
    if kind == codes.BORROW:
        return price_borrowing(run, t, lane, order.slot, order.quantity)
    if kind == codes.REPAY:
        return price_repayment(run, t, lane, order.slot, order.destination, order.quantity)
    if is_bundle(kind):
        return price_bundle(run, t, lane, order)
    return codes.UNKNOWN_ORDER


@stage
def book_fill(run, t, lane):
    """Take what a venue made of an order into the portfolio."""
    kind = run.scratch.fills[lane].kind
    if kind == codes.TRADE_SPOT or kind == codes.TRADE_PERP:
        book_trade(run, t, lane)
    elif kind == codes.TRANSFER:
        book_transfer(run, t, lane)
    elif is_change(kind):
        book_change(run, t, lane)
    elif is_bundle(kind):
        book_bundle(run, t, lane)
    else:
        book_lending(run, t, lane)


@routine
def refuse_order(run, t, lane, place, reason):
    """Report that an order is not filled; a bundle that reverts has cost its gas. Returns 1 where it has."""
    order = run.scratch.orders[lane, place]
    reverts = is_bundle(order.kind) and (
        reason == codes.BEYOND_LTV
        or reason == codes.ABOVE_CAP
        or reason == codes.NOT_HELD
        or reason == codes.BREAKS_HEALTH
    )
    if reverts and not can_pay_gas(run, t, lane, gas_units_of_bundle(run, t, order.kind), -1, 0.0):
        # no node takes a transaction whose gas cannot be paid
        reason = codes.NO_GAS
        reverts = False
    report_order(run, t, lane, place, codes.REJECT, reason)
    if not reverts:
        return 0
    revert_bundle(run, t, lane, order.kind, order.action)
    return 1
