"""Leverage in one transaction: a flash loan that brings the loan to value to its target after costs (accounting §7)."""

from ..events import emit_event, emit_fill
from ..layout import codes
from ..numba.jit import routine, stage
from .gas import pay_gas
from .lending import borrowable, lending_sums
from .market_impact import note_traded
from .staking import market_price_and_fee, worth_in_quote
from .transfer import ROUNDING

#: Slippage comes in steps of size: so many rounds settle it.
_ROUNDS = 8


@stage
def levers_up(kind):
    """Whether a bundle raises the loan."""
    return kind == codes.LEVER_STAKE or kind == codes.LEVER_SWAP


@stage
def gas_units_of_bundle(run, t, kind):
    """Units of gas of a bundle."""
    gas = run.terms.gas[run.terms_index[t]]
    return gas.lever if levers_up(kind) else gas.delever


@stage
def account_in_ether(run, lane, account):
    """Owed, collateral, and collateral weighted by its liquidation threshold of an account, in ether."""
    ether = run.hour.value[run.wallet.ether]
    owed, backing, limit = lending_sums(run, lane, account)
    return owed / ether, backing / ether, limit / ether


@stage
def size_up(run, t, lane, kind, c, put_in, gas):
    """Flash loan that levers collateral `c` up to the target; returns it with price, reference and fee of the change.

    All are in ether. Other debts and collaterals of the account count, but only these two change.
    """
    account = run.lent_account[c]
    token = run.wallet_token[c]
    owed, backing, _ = account_in_ether(run, lane, account)
    flash = run.terms.account[run.terms_index[t], account].flash_fee
    target = run.policy.target_ltv[lane]
    rate = run.market.protocol_rate[t, token]
    price = rate
    reference = rate
    fee = 0.0
    loan = 0.0
    for _ in range(_ROUNDS):
        if kind == codes.LEVER_SWAP:
            reference = run.market.market_rate[t, token]
            price, fee = market_price_and_fee(run, t, lane, token, loan + put_in - gas, True)
        kappa = (1.0 - fee) * rate / price
        loan = (target * (backing + kappa * (put_in - gas)) - owed) / (1.0 + flash - target * kappa)
    return loan, price, reference, fee


@stage
def size_down(run, t, lane, order, put_in, gas):
    """Flash loan that brings the loan down to its target; returns it with price, reference and fee of the change.

    It is no more than the debt, and no more than the collateral pays for.
    """
    c = order.slot - run.shape.first_collateral
    d = order.destination - run.shape.first_debt
    account = run.lent_account[c]
    token = run.wallet_token[c]
    owed, backing, _ = account_in_ether(run, lane, account)
    flash = run.terms.account[run.terms_index[t], account].flash_fee
    target = 0.0 if order.kind == codes.UNWIND else run.policy.target_ltv[lane]
    rate = run.market.protocol_rate[t, token]
    reference = run.market.market_rate[t, token]
    ether = run.hour.value[run.wallet.ether]
    own = run.state.quantity[order.destination, lane] * run.hour.owed_value[d] / ether
    held = run.state.quantity[order.slot, lane] * run.market.liquidity_index[t, c]
    price = rate
    fee = 0.0
    loan = 0.0
    for _ in range(_ROUNDS):
        sold = loan * (1.0 + flash) + gas - put_in
        price, fee = market_price_and_fee(run, t, lane, token, sold, False)
        kappa = (1.0 - fee) * price / rate
        loan = (owed - target * backing + target * (gas - put_in) / kappa) / (1.0 - target * (1.0 + flash) / kappa)
        loan = min(loan, own)
        most = (held * price * (1.0 - fee) + put_in - gas) / (1.0 + flash)
        loan = min(loan, most)
    return loan, price, reference, fee


@stage
def check_up(run, t, lane, c, loan, tokens):
    """FILLED, or why a bundle that supplies `tokens` against a loan would revert."""
    account = run.lent_account[c]
    terms = run.terms.collateral[run.terms_index[t], c]
    flash = run.terms.account[run.terms_index[t], account].flash_fee
    ether = run.hour.value[run.wallet.ether]
    owed, _, _ = account_in_ether(run, lane, account)
    held = run.state.quantity[run.shape.first_collateral + c, lane] * run.market.liquidity_index[t, c]
    most = borrowable(run, t, lane, account) / ether
    most += tokens * run.market.protocol_rate[t, run.wallet_token[c]] * terms.max_ltv
    if tokens <= 0.0:
        return codes.NOTHING_TO_DO
    if owed + loan * (1.0 + flash) > most * (1.0 + ROUNDING):
        return codes.BEYOND_LTV
    if held + tokens > terms.supply_cap:
        return codes.ABOVE_CAP
    return codes.FILLED


@stage
def check_down(run, t, lane, c, loan, tokens):
    """FILLED, or why a bundle that withdraws `tokens` to repay a loan would revert.

    Collateral is withdrawn only as far as what stays owed is still covered.
    """
    ether = run.hour.value[run.wallet.ether]
    owed, _, limit = account_in_ether(run, lane, run.lent_account[c])
    index = run.market.liquidity_index[t, c]
    held = run.state.quantity[run.shape.first_collateral + c, lane] * index
    if tokens < 0.0 or tokens > held * (1.0 + ROUNDING):
        return codes.NOT_HELD
    left = owed - loan
    covered = limit - tokens / index * run.hour.threshold_value[c] / ether
    if left > owed * ROUNDING and covered < left * (1.0 - ROUNDING):
        return codes.BREAKS_HEALTH
    return codes.FILLED


@routine
def price_bundle(run, t, lane, order):
    """Price a bundle; returns FILLED or why it is refused.

    The order's quantity is the wallet's ether that goes in, gas included; below 0 it comes out. The flash loan is the
    quantity of the fill.
    """
    c = order.slot - run.shape.first_collateral
    put_in = order.quantity
    up = levers_up(order.kind)
    units = gas_units_of_bundle(run, t, order.kind)
    gas = units * run.market.gas_price[t]
    flash = run.terms.account[run.terms_index[t], run.lent_account[c]].flash_fee
    if order.kind != codes.LEVER_STAKE and run.market.market_rate[t, run.wallet_token[c]] <= 0.0:
        return codes.NO_MARKET
    if up:
        loan, price, reference, fee = size_up(run, t, lane, order.kind, c, put_in, gas)
    else:
        loan, price, reference, fee = size_down(run, t, lane, order, put_in, gas)
    if loan <= 0.0:
        return codes.NOTHING_TO_DO
    if put_in > run.state.quantity[run.wallet.ether, lane] * (1.0 + ROUNDING):
        return codes.NO_CASH
    if up:
        tokens = (loan + put_in - gas) * (1.0 - fee) / price
        status = check_up(run, t, lane, c, loan, tokens)
    else:
        tokens = (loan * (1.0 + flash) + gas - put_in) / (price * (1.0 - fee))
        status = check_down(run, t, lane, c, loan, tokens)
    if status != codes.FILLED:
        return status
    fill = run.scratch.fills[lane]
    fill.quantity = loan
    fill.price = price
    fill.reference = reference
    fill.fee_rate = fee
    fill.fee = flash
    fill.gas_units = units
    fill.put_in = put_in
    return codes.FILLED


@routine
def book_bundle(run, t, lane):
    """Book a bundle: tokens bought and supplied against a debt, or withdrawn and sold to repay it; one event a leg."""
    fill = run.scratch.fills[lane]
    shape = run.shape
    quantity = run.state.quantity
    loan = fill.quantity
    price = fill.price
    flash = loan * fill.fee
    c = fill.slot - shape.first_collateral
    slot = run.wallet.ether
    ether = run.hour.value[slot]
    gas = fill.gas_units * run.market.gas_price[t]
    up = levers_up(fill.kind)
    # ether that goes through the change, fee included
    through = loan + fill.put_in - gas if up else (loan + flash + gas - fill.put_in) / (1.0 - fill.fee_rate)
    tokens = through * (1.0 - fill.fee_rate) / price if up else -(through / price)
    if fill.kind != codes.LEVER_STAKE:
        note_traded(run, lane, run.wallet_token[c], worth_in_quote(run, t, through))
    supplied = tokens / run.market.liquidity_index[t, c]
    if not up and -supplied >= quantity[fill.slot, lane] * (1.0 - ROUNDING):
        supplied = -quantity[fill.slot, lane]
    index = run.market.borrow_index[t, fill.destination - shape.first_debt]
    owed = (loan + flash) / index if up else -(loan / index)
    if not up and -owed >= quantity[fill.destination, lane] * (1.0 - ROUNDING):
        owed = -quantity[fill.destination, lane]
    quantity[fill.slot, lane] += supplied
    quantity[fill.destination, lane] += owed
    quantity[slot, lane] -= fill.put_in - gas
    paid = pay_gas(run, t, lane, fill.gas_units)
    fee = through * fill.fee_rate * ether
    lost = tokens * (price - fill.reference) * ether
    lst = run.wallet_token[c] + shape.venues
    peg = tokens * (run.hour.value[lst] - fill.reference * ether)
    run.pnl.fees[lane] -= fee
    run.pnl.slippage[lane] -= lost
    run.pnl.peg[lane] += peg
    run.pnl.flash_fees[lane] -= flash * ether
    event = run.scratch.events[emit_fill(run, t, lane, fill.slot, slot)]
    event.quantity = supplied
    event.notional = through * ether
    event.fee = fee
    event.slippage = lost
    event.peg = peg
    event.amount = tokens
    e = emit_event(run, t, lane, codes.FILL, fill.kind, fill.destination, slot, fill.action)
    event = run.scratch.events[e]
    event.quantity = owed
    event.price = index
    event.reference = index
    event.notional = loan * ether
    event.flash_fee = flash * ether
    event.amount = loan
    e = emit_event(run, t, lane, codes.FILL, fill.kind, slot, fill.slot, fill.action)
    event = run.scratch.events[e]
    event.quantity = gas - fill.put_in
    event.gas = paid
    event.gas_units = fill.gas_units
    event.amount = gas - fill.put_in


@routine
def revert_bundle(run, t, lane, kind, action):
    """A bundle that reverts has cost its gas; what it would have done is not tried again for a day."""
    state = run.state
    state.reverted_at[lane] = run.market.time[t]
    units = gas_units_of_bundle(run, t, kind)
    slot = run.wallet.ether
    before = state.quantity[slot, lane]
    gas = pay_gas(run, t, lane, units)
    e = emit_event(run, t, lane, codes.REVERT, kind, slot, slot, action)
    event = run.scratch.events[e]
    event.quantity = state.quantity[slot, lane] - before
    event.amount = state.quantity[slot, lane] - before
    event.gas = gas
    event.gas_units = units
