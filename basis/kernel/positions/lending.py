"""Supplied balances and debts at a lending protocol: pricing, booking, health, what indices earn (accounting §2, §6).

Balances are stored scaled: supplying `a` of the underlying stores a / index. A lending account is a venue's market: all
that is supplied there stands for all that is owed there, and loan to value and health factor are its own.
"""

import math

from ..events import emit_event
from ..layout import codes
from ..numba.jit import routine, stage
from .gas import can_pay_gas, pay_gas
from .transfer import ROUNDING


@stage
def in_account(shape, hour, account, j):
    """1 where collateral or debt `j` (collaterals first) belongs to a lending account."""
    return 1.0 if shape.accounts == 1 else hour[shape.hour.in_account + account * shape.lent + j]


@stage
def account_sums(shape, state, hour, account, lane):
    """Owed, collateral, and collateral weighted by its liquidation threshold; oracle worth in share class."""
    row = shape.state
    column = shape.hour
    owed = 0.0
    for i in range(shape.debts):
        scaled = state[row.quantity + shape.first_debt + i, lane]
        owed += scaled * (hour[column.owed_value + i] * in_account(shape, hour, account, shape.collaterals + i))
    backing = 0.0
    limit = 0.0
    for i in range(shape.collaterals):
        scaled = state[row.quantity + shape.first_collateral + i, lane]
        backing += scaled * (hour[column.oracle_value + i] * in_account(shape, hour, account, i))
        limit += scaled * (hour[column.threshold_value + i] * in_account(shape, hour, account, i))
    return owed, backing, limit


@stage
def assess_accounts(shape, state, hour, lane):
    """LTV and health factor of every lending account at oracle prices, and the worst of both; 1 where one is near 1."""
    row = shape.state
    near = 0.0
    worst_ltv = 0.0
    worst_health = math.inf
    for account in range(shape.accounts):
        owed, backing, limit = account_sums(shape, state, hour, account, lane)
        ltv = owed / backing if backing > 0.0 else (math.inf if owed > 0.0 else 0.0)
        health = limit / owed if owed > 0.0 else math.inf
        state[row.account_ltv + account, lane] = ltv
        state[row.account_health_factor + account, lane] = health
        worst_ltv = ltv if ltv > worst_ltv else worst_ltv
        worst_health = health if health < worst_health else worst_health
        near = 1.0 if limit * hour[shape.hour.safe_share] < owed else near
    state[row.ltv, lane] = worst_ltv
    state[row.health_factor, lane] = worst_health
    return near


@stage
def lending_sums(run, lane, account):
    """`account_sums` of a single lane."""
    return account_sums(run.shape, run.block, run.coefficients, account, lane)


@stage
def borrowable(run, t, lane, account):
    """What may be owed against the collateral of an account at opening, share class: the sum of collateral * LTV."""
    shape = run.shape
    most = 0.0
    for c in range(shape.collaterals):
        if run.lent_account[c] == account:
            held = run.state.quantity[shape.first_collateral + c, lane]
            most += held * run.hour.oracle_value[c] * run.terms.collateral[run.terms_index[t], c].max_ltv
    return most


@routine
def price_supply(run, t, lane, token, collateral, amount):
    """Price the supply of an underlying; returns FILLED or why it is refused."""
    terms = run.terms_index[t]
    quantity = run.state.quantity
    c = collateral - run.shape.first_collateral
    index = run.market.liquidity_index[t, c]
    units = run.terms.gas[terms].supply
    held = quantity[token, lane]
    if amount > held * (1.0 + ROUNDING):
        return codes.NO_CASH
    amount = min(amount, held)
    if quantity[collateral, lane] * index + amount > run.terms.collateral[terms, c].supply_cap:
        return codes.ABOVE_CAP
    if not can_pay_gas(run, t, lane, units, token, amount):
        return codes.NO_GAS
    set_pool_fill(run, lane, amount, index, units)
    return codes.FILLED


@stage
def set_pool_fill(run, lane, amount, index, units):
    """Write what a lending protocol makes of an order: it trades at its index."""
    fill = run.scratch.fills[lane]
    fill.quantity = amount
    fill.price = index
    fill.reference = index
    fill.gas_units = units


@routine
def price_withdrawal(run, t, lane, collateral, amount):
    """Price the withdrawal of an underlying; what stays has to cover what is owed."""
    c = collateral - run.shape.first_collateral
    index = run.market.liquidity_index[t, c]
    units = run.terms.gas[run.terms_index[t]].withdraw
    held = run.state.quantity[collateral, lane]
    if amount / index > held * (1.0 + ROUNDING):
        return codes.NOT_HELD
    # an order for all of it leaves no dust
    amount = held * index if amount / index >= held * (1.0 - ROUNDING) else amount
    owed, _, limit = lending_sums(run, lane, run.lent_account[c])
    if owed > 0.0 and limit - amount / index * run.hour.threshold_value[c] < owed:
        return codes.BREAKS_HEALTH
    if not can_pay_gas(run, t, lane, units, -1, 0.0):
        return codes.NO_GAS
    set_pool_fill(run, lane, amount, index, units)
    return codes.FILLED


@routine
def price_borrowing(run, t, lane, debt, amount):
    """Price a loan; what is owed afterwards stays within the LTV of its account."""
    d = debt - run.shape.first_debt
    index = run.market.borrow_index[t, d]
    units = run.terms.gas[run.terms_index[t]].borrow
    account = run.lent_account[run.shape.collaterals + d]
    owed, _, _ = lending_sums(run, lane, account)
    if owed + amount / index * run.hour.owed_value[d] > borrowable(run, t, lane, account) * (1.0 + ROUNDING):
        return codes.BEYOND_LTV
    if not can_pay_gas(run, t, lane, units, -1, 0.0):
        return codes.NO_GAS
    set_pool_fill(run, lane, amount, index, units)
    return codes.FILLED


@routine
def price_repayment(run, t, lane, token, debt, amount):
    """Price a repayment: no more than is owed, and an order for all of it leaves no dust."""
    quantity = run.state.quantity
    index = run.market.borrow_index[t, debt - run.shape.first_debt]
    units = run.terms.gas[run.terms_index[t]].repay
    held = quantity[debt, lane]
    amount = held * index if amount / index >= held * (1.0 - ROUNDING) else amount
    if amount > quantity[token, lane] * (1.0 + ROUNDING):
        return codes.NO_CASH
    if held <= 0.0:
        return codes.NOT_HELD
    if not can_pay_gas(run, t, lane, units, token, amount):
        return codes.NO_GAS
    set_pool_fill(run, lane, amount, index, units)
    return codes.FILLED


@routine
def book_lending(run, t, lane):
    """Book an underlying against a scaled balance or debt.

    Gas comes from what the wallet holds after it paid, and before it is paid.
    """
    fill = run.scratch.fills[lane]
    quantity = run.state.quantity
    amount = fill.quantity
    pays = fill.kind == codes.SUPPLY or fill.kind == codes.REPAY
    grows = fill.kind == codes.SUPPLY or fill.kind == codes.BORROW
    token = fill.slot if pays else fill.destination
    scaled = fill.destination if pays else fill.slot
    change = amount / fill.price if grows else -(amount / fill.price)
    if not grows and -change >= quantity[scaled, lane] * (1.0 - ROUNDING):
        change = -quantity[scaled, lane]
    quantity[token, lane] -= amount if pays else 0.0
    gas = pay_gas(run, t, lane, fill.gas_units)
    quantity[token, lane] += 0.0 if pays else amount
    quantity[scaled, lane] += change
    e = emit_event(run, t, lane, codes.FILL, fill.kind, scaled, token, fill.action)
    event = run.scratch.events[e]
    event.quantity = change
    event.price = fill.price
    event.reference = fill.reference
    event.notional = amount * run.hour.value[token]
    event.gas = gas
    event.gas_units = fill.gas_units
    event.amount = -amount if pays else amount


@stage
def supply_drift(shape, state, hour, lane, price, staking, peg):
    """Adds what a row earned on supplied balances to price, staking and peg P&L; returns them and the supply yield."""
    row = shape.state
    column = shape.hour
    supply = 0.0
    for i in range(shape.collaterals):
        slot = shape.first_collateral + i
        held = state[row.quantity + slot, lane]
        price += held * hour[column.price_pnl + slot]
        staking += held * hour[column.staking_pnl + shape.tokens + i]
        peg += held * hour[column.peg_pnl + shape.tokens + i]
        supply += held * hour[column.supply_pnl + i]
    return price, staking, peg, supply


@stage
def debt_drift(shape, state, hour, lane, price, staking, peg):
    """Adds what a row cost on debts to price, staking and peg P&L; returns them and the cost of borrowing."""
    row = shape.state
    column = shape.hour
    borrow = 0.0
    for i in range(shape.debts):
        slot = shape.first_debt + i
        held = state[row.quantity + slot, lane]
        price += held * hour[column.price_pnl + slot]
        staking += held * hour[column.staking_pnl + shape.tokens + shape.collaterals + i]
        peg += held * hour[column.peg_pnl + shape.tokens + shape.collaterals + i]
        borrow += held * hour[column.borrow_pnl + i]
    return price, staking, peg, borrow
