"""Liquidation of loans: which health factor, how much may be repaid, what is seized, what stays bad (accounting §6).

Inside an hour a loan is tested at the lowest and at the highest prices of the hour that ended, then at the row's.
"""

from ..close_rules import AAVE_V3_3
from ..events import emit_event
from ..layout import codes
from ..numba.jit import routine, stage

#: At or below this health factor a debt may be repaid whole (Aave v3, CLOSE_FACTOR_HF_THRESHOLD).
_CLOSE_WHOLE = 0.95
#: From v3.3 on, a leg worth fewer USD than this is closed whole (Aave v3.3, MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD).
_LEAST_LEG = 2_000.0
#: At which prices a loan is tested: the row's, the lowest, the highest of the hour that ended.
AT_ROW, AT_LOW, AT_HIGH = range(3)


@stage
def price_factor(run, t, scene, j):
    """Worth of collateral or debt `j` in a scene over that at the row's prices."""
    if scene == AT_ROW:
        return 1.0
    return run.market.low_factor[t, j] if scene == AT_LOW else run.market.high_factor[t, j]


@stage
def usd_factor(run, t, scene):
    """The same of a USD."""
    if scene == AT_ROW:
        return 1.0
    return run.market.low_usd_factor[t] if scene == AT_LOW else run.market.high_usd_factor[t]


@stage
def sums_in_scene(run, t, lane, account, scene):
    """Owed, collateral, and collateral weighted by its liquidation threshold, at the prices of a scene."""
    shape = run.shape
    quantity = run.state.quantity
    owed = 0.0
    for i in range(shape.debts):
        j = shape.collaterals + i
        if run.lent_account[j] == account:
            owed += quantity[shape.first_debt + i, lane] * run.hour.owed_value[i] * price_factor(run, t, scene, j)
    backing = 0.0
    limit = 0.0
    for i in range(shape.collaterals):
        if run.lent_account[i] == account:
            held = quantity[shape.first_collateral + i, lane] * price_factor(run, t, scene, i)
            backing += held * run.hour.oracle_value[i]
            limit += held * run.hour.threshold_value[i]
    return owed, backing, limit


@stage
def largest_debt(run, t, lane, account, scene):
    """Place and worth of the largest debt of an account."""
    shape = run.shape
    best = 0
    most = -1.0
    for i in range(shape.debts):
        j = shape.collaterals + i
        held = run.state.quantity[shape.first_debt + i, lane]
        worth = held * run.hour.owed_value[i] * price_factor(run, t, scene, j)
        if run.lent_account[j] == account and worth > most:
            best = i
            most = worth
    return best, most


@stage
def largest_collateral(run, t, lane, account, scene):
    """Place and worth of the largest collateral of an account."""
    shape = run.shape
    best = 0
    most = -1.0
    for i in range(shape.collaterals):
        held = run.state.quantity[shape.first_collateral + i, lane]
        worth = held * run.hour.oracle_value[i] * price_factor(run, t, scene, i)
        if run.lent_account[i] == account and worth > most:
            best = i
            most = worth
    return best, most


@stage
def repayable(rule, health, debt, total, collateral, usd):
    """What a liquidator may repay of a debt, share class, under a close rule; `usd` is the price of a USD."""
    half = health > _CLOSE_WHOLE
    if rule == AAVE_V3_3:
        half = half and debt >= _LEAST_LEG * usd and collateral >= _LEAST_LEG * usd
        return 0.5 * total if (half and 0.5 * total < debt) else debt
    return 0.5 * debt if half else debt


@stage
def liquidate_loan(run, t, lane, account, scene, sums):
    """Liquidate the largest debt of an account against its largest collateral; returns the slot of the debt.

    Inside the hour the drift of what goes ends at the scene's prices.
    """
    shape = run.shape
    quantity = run.state.quantity
    terms = run.terms_index[t]
    owed, _, limit = sums
    d, debt = largest_debt(run, t, lane, account, scene)
    c, collateral = largest_collateral(run, t, lane, account, scene)
    bonus = run.terms.collateral[terms, c].bonus
    usd = run.market.usd[t] * usd_factor(run, t, scene)
    moved = price_factor(run, t, scene, c)
    moved_debt = price_factor(run, t, scene, shape.collaterals + d)
    price = run.hour.oracle_value[c] * moved
    price_of_debt = run.hour.owed_value[d] * moved_debt
    repaid = repayable(run.terms.account[terms, account].close_rule, limit / owed, debt, owed, collateral, usd)
    seized = repaid * (1.0 + bonus)
    if seized > collateral:
        seized = collateral
        repaid = collateral / (1.0 + bonus)
    slot = shape.first_collateral + c
    due = shape.first_debt + d
    # a leg that closes whole leaves no dust
    taken = quantity[slot, lane] if seized >= collateral else seized / price
    cleared = quantity[due, lane] if repaid >= debt else repaid / price_of_debt
    quantity[slot, lane] -= taken
    quantity[due, lane] -= cleared
    peg = cleared * (-run.hour.value[due] - run.hour.owed_value[d]) * moved_debt
    peg -= taken * (run.hour.value[slot] - run.hour.oracle_value[c]) * moved
    # the holding drift took all of it to the row's prices
    drift = cleared * -run.hour.value[due] * (1.0 - moved_debt) - taken * run.hour.value[slot] * (1.0 - moved)
    run.pnl.liquidation_loss[lane] -= seized - repaid
    run.pnl.peg[lane] += peg
    run.pnl.delta[lane] += drift
    e = emit_event(run, t, lane, codes.LIQUIDATION, codes.LOAN_LIQUIDATED, slot, due, 0)
    event = run.scratch.events[e]
    event.quantity = -taken
    event.price = price
    event.reference = run.hour.oracle_value[c]
    event.fee_rate = bonus
    event.notional = seized
    event.fee = seized - repaid
    event.peg = peg
    e = emit_event(run, t, lane, codes.LIQUIDATION, codes.LOAN_LIQUIDATED, due, slot, 0)
    event = run.scratch.events[e]
    event.quantity = -cleared
    event.price = price_of_debt
    event.reference = run.hour.owed_value[d]
    event.notional = repaid
    return e


@stage
def burn_deficit(run, t, lane, account):
    """Take the debts of an account without collateral off the book: from Aave v3.3 on, the pool bears them."""
    shape = run.shape
    for i in range(shape.debts):
        due = shape.first_debt + i
        held = run.state.quantity[due, lane]
        if run.lent_account[shape.collaterals + i] == account and held > 0.0:
            borne = -held * run.hour.value[due]
            run.state.quantity[due, lane] = 0.0
            run.pnl.deficit_borne[lane] += borne
            e = emit_event(run, t, lane, codes.LIQUIDATION, codes.DEFICIT_BORNE, due, due, 0)
            event = run.scratch.events[e]
            event.quantity = -held
            event.price = -run.hour.value[due]
            event.reference = event.price
            event.notional = borne


@routine
def liquidate_account(run, t, lane, account, scene):
    """Liquidate an account while its health factor is below 1 in a scene; returns the number of liquidations.

    What no collateral covers is borne by the pool, or stays as bad debt, and the last event says how much.
    """
    done = 0
    last = -1
    for _ in range(codes.LIQUIDATIONS):
        owed, backing, limit = sums_in_scene(run, t, lane, account, scene)
        if owed <= 0.0 or limit >= owed or backing <= 0.0:
            break
        last = liquidate_loan(run, t, lane, account, scene, (owed, backing, limit))
        done += 1
    if done > 0:
        owed, backing, _ = sums_in_scene(run, t, lane, account, AT_ROW)
        rule = run.terms.account[run.terms_index[t], account].close_rule
        if owed > 0.0 and backing <= 0.0 and rule == AAVE_V3_3:
            burn_deficit(run, t, lane, account)
        elif owed > 0.0 and backing <= 0.0:
            event = run.scratch.events[last]
            event.code = codes.BAD_DEBT
            event.amount = owed
    return done


@routine
def check_health(run, t, lane):
    """Liquidate loans at the lowest and highest prices of the hour, then at the row's; returns their number."""
    done = 0
    for account in range(run.shape.accounts):
        if run.hour.safe_share[0] < 1.0:
            done += liquidate_account(run, t, lane, account, AT_LOW)
            done += liquidate_account(run, t, lane, account, AT_HIGH)
        done += liquidate_account(run, t, lane, account, AT_ROW)
    return done
