"""Jumps no strategy asked for: liquidations, arrivals, the investor's flows, funding events (accounting §4.1-4.6)."""

import math

from . import layout as at
from .close_rules import AAVE_V3_3
from .depth import lost_at
from .fills import emit
from .frame import view
from .jit import kernel, routine, stage
from .risk import maintenance, maintenance_at, margin_at, notional_at, shock, shocked_sums, tier_of

#: Less than this share of what is owed is not sent for it.
_UNSENT = 1e-6

_ITERATIONS = 64
#: At or below this health factor a debt may be repaid whole; a leg smaller than that many USD is.
_CLOSE_WHOLE, _LEAST_LEG = 0.95, 2_000.0


@stage
def bound_tiers(n, cells, marks, first, tiers, v, lane):
    """Renew the maintenance rate no tier exceeds up to twice the notional: most hours then need no look at tiers."""
    b = at.book_at(n)
    cap = 2.0 * notional_at(n, cells, marks, first, v, lane)
    rate = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        for j in range(tiers.shape[1]):
            if j == 0 or cap > tiers[i, j - 1, 0]:
                rate = tiers[i, j, at.TIER_RATE] if tiers[i, j, at.TIER_RATE] > rate else rate
    cells[b.bound + v, lane] = rate
    cells[b.cap + v, lane] = cap


@stage
def path_to_liquidation(n, cells, coef, past, tiers, v, lane):
    """Share of the way from the last marks to the adverse extremes at which margin meets maintenance; 2 if it does not.

    All marks of the venue move together and linearly. Margin less maintenance falls along the way, piecewise linear
    with the tiers: Newton from the far end reaches the first crossing in as many steps as tiers are crossed.
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    perp = at.first_perp(n)
    x = 1.0
    for step in range(_ITERATIONS):
        gap = cells[b.q + v, lane] + cells[b.due + v, lane]
        slope = 0.0
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = cells[b.q + perp + i, lane]
            size = abs(q)
            move = (coef[h.low + i] if q >= 0.0 else coef[h.high + i]) - past[quote.mark + i]
            mark = past[quote.mark + i] + x * move
            j = tier_of(tiers[i], size * mark)
            rate = tiers[i, j, at.TIER_RATE]
            gap += q * mark - cells[b.cost + i, lane] - (size * mark * rate - tiers[i, j, at.TIER_AMOUNT])
            slope += q * move - size * move * rate
        if step == 0 and gap > 0.0:
            return 2.0
        if slope >= 0.0:
            return 0.0
        nearer = x - gap / slope
        if nearer >= x or nearer <= 0.0:
            return x if nearer > 0.0 else 0.0
        x = nearer
    return x


@routine
def liquidate(n, cells, model, coef, tape, desk, regime, past, share, v, t, lane):
    """Close a venue's perps `share` of the way from `past` to the extremes; at the marks of the row where share < 0.

    Inside the hour every series but the mark already has its row-t value and the basis is frozen, so the drift to that
    instant is price only. The cash is credited after the holding drift (`release`).
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    perp = at.first_perp(n)
    worth = coef[h.value + v]
    left = cells[b.q + v, lane] + cells[b.due + v, lane]
    notional = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        q = cells[b.q + perp + i, lane]
        end = coef[h.low + i] if q >= 0.0 else coef[h.high + i]
        price = tape[quote.mark + i] if share < 0.0 else past[quote.mark + i] + share * (end - past[quote.mark + i])
        left += q * price - cells[b.cost + i, lane]
        notional += abs(q) * price
    rate = model.terms.venue[regime, v, at.LIQUIDATION_FEE]
    # no more than the margin that is left; less than nothing left is the venue's loss
    fee = rate * notional if rate * notional < left else left
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        q = cells[b.q + perp + i, lane]
        if q != 0.0:
            end = coef[h.low + i] if q >= 0.0 else coef[h.high + i]
            price = tape[quote.mark + i] if share < 0.0 else past[quote.mark + i] + share * (end - past[quote.mark + i])
            if share >= 0.0:
                cells[b.column + at.DELTA, lane] += (
                    q * (price - past[quote.mark + i]) * worth
                    + (q * past[quote.mark + i] - cells[b.cost + i, lane]) * coef[h.price + v]
                )
            cash = q * price - cells[b.cost + i, lane]
            part = fee * (abs(q) * price / notional)
            e = emit(n, desk, cells, t, lane, at.LIQUIDATION, 0, perp + i, v, 0)
            if e >= 0:
                desk.events[e, at.E_QUANTITY] = -q
                desk.events[e, at.E_PRICE] = price
                desk.events[e, at.E_REFERENCE] = tape[quote.mark + i] if share < 0.0 else past[quote.mark + i]
                desk.events[e, at.E_RATE] = rate
                desk.events[e, at.E_NOTIONAL] = abs(q) * price * worth
                desk.events[e, at.E_FEE] = part * worth
                desk.events[e, at.E_CASH] = cash
                desk.events[e, at.E_AMOUNT] = cash - part
                desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
            cells[b.due + v, lane] += cash - part
            cells[b.q + perp + i, lane] = 0.0
            cells[b.cost + i, lane] = 0.0
            cells[b.column + at.LIQUIDATION_LOSS, lane] -= part * worth
    cells[b.cap + v, lane] = 0.0


@stage
def way_to(level, past, end, falls):
    """Share of the way from `past` to `end` at which a level is met, and the price there, never before `past`; 2 where
    it is not met."""
    price = (level if level < past else past) if falls else (level if level > past else past)
    if (end > level) if falls else (end < level):
        return 2.0, price
    return ((price - past) / (end - past) if price != past else 0.0), price


@routine
def close_perp(n, cells, model, coef, tape, desk, regime, past, price, code, i, t, lane):
    """Close a perp at its stop or take-profit: a taker's fill whose slippage is measured from `price` (accounting §4).

    `past` is the mark from which the price moved there, as in `liquidate`; 0 at the marks of the row, to which the
    holding drift has taken it.
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    slot = at.first_perp(n) + i
    v = i // len(n.market)
    q = cells[b.q + slot, lane]
    cost = cells[b.cost + i, lane]
    worth = coef[h.value + v]
    if past > 0.0:
        cells[b.column + at.DELTA, lane] += q * (price - past) * worth + (q * past - cost) * coef[h.price + v]
    slip = lost_at(n, cells, model, tape, regime, len(n.token) + i, abs(q), price, lane)
    paid = price * (1.0 - slip) if q > 0.0 else price * (1.0 + slip)
    rate = model.terms.venue[regime, v, at.PERP_TAKER]
    fee = rate * (abs(q) * paid)
    lost = -q * (paid - price) * worth
    cash = q * paid - cost
    cells[b.due + v, lane] += cash - fee
    cells[b.q + slot, lane] = 0.0
    cells[b.cost + i, lane] = 0.0
    cells[b.column + at.FEES, lane] -= fee * worth
    cells[b.column + at.SLIPPAGE, lane] -= lost
    e = emit(n, desk, cells, t, lane, at.FILL, code, slot, v, 0)
    if e >= 0:
        desk.events[e, at.E_QUANTITY] = -q
        desk.events[e, at.E_PRICE] = paid
        desk.events[e, at.E_REFERENCE] = price
        desk.events[e, at.E_RATE] = rate
        desk.events[e, at.E_NOTIONAL] = abs(q) * paid * worth
        desk.events[e, at.E_FEE] = fee * worth
        desk.events[e, at.E_SLIPPAGE] = lost
        desk.events[e, at.E_CASH] = cash
        desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@stage
def stop_first(n, cells, coef, past, share, v, lane):
    """The perp of a venue whose stop is met first inside the hour, and the price there; -1 where none is met before
    `share` of the way."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    first = -1
    at_price = 0.0
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        q = cells[b.q + at.first_perp(n) + i, lane]
        stop = cells[b.stop + i, lane]
        if q != 0.0 and stop > 0.0:
            end = coef[h.low + i] if q > 0.0 else coef[h.high + i]
            met, price = way_to(stop, past[quote.mark + i], end, q > 0.0)
            if met <= 1.0 and met < share:
                first = i
                at_price = price
                share = met
    return first, at_price


@routine
def take_profits(n, cells, model, coef, tape, desk, past, regime, v, t, lane):
    """Close what met its take-profit inside the hour."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    for k in range(len(n.market)):
        i = v * len(n.market) + k
        q = cells[b.q + at.first_perp(n) + i, lane]
        take = cells[b.take + i, lane]
        if q != 0.0 and take > 0.0:
            mark = past[quote.mark + i]
            met, price = way_to(take, mark, coef[h.high + i] if q > 0.0 else coef[h.low + i], q < 0.0)
            if met <= 1.0:
                close_perp(n, cells, model, coef, tape, desk, regime, mark, price, at.TAKEN, i, t, lane)


@routine
def stop_at_marks(n, cells, model, coef, tape, desk, regime, t, lane):
    """Close what the row opens beyond its stop or take-profit, at the marks; returns how many perps.

    A venue whose margin had met maintenance before the stop, or is all gone, is left to the margin test.
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    tiers = model.terms.tier[regime]
    closed = 0
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = cells[b.q + at.first_perp(n) + i, lane]
            mark = tape[quote.mark + i]
            stop = cells[b.stop + i, lane]
            take = cells[b.take + i, lane]
            stopped = q != 0.0 and stop > 0.0 and ((mark <= stop) if q > 0.0 else (mark >= stop))
            taken = q != 0.0 and take > 0.0 and ((mark >= take) if q > 0.0 else (mark <= take))
            if stopped and model.settings[at.LIQUIDATE] > 0.0:
                margin = margin_at(n, cells, tape, quote.mark, v, lane) + cells[b.due + v, lane]
                need = maintenance_at(n, cells, tape, quote.mark, tiers, v, lane)
                need += maintenance(tiers[i], abs(q) * stop) - maintenance(tiers[i], abs(q) * mark)
                stopped = margin > 0.0 and margin + q * (stop - mark) > need
            if stopped or taken:
                code = at.STOPPED if stopped else at.TAKEN
                close_perp(n, cells, model, coef, tape, desk, regime, 0.0, mark, code, i, t, lane)
                closed += 1
    return closed


@routine
def test_hour(n, cells, model, coef, tape, desk, past, regime, t, lane):
    """Adverse test: venues whose margin met maintenance inside the hour are liquidated there.

    Before that, what met its stop on the way is closed there; take-profits come last (accounting §4).
    """
    quote = at.quote_at(n)
    tiers = model.terms.tier[regime]
    liquidates = model.settings[at.LIQUIDATE] > 0.0
    for v in range(len(n.cash)):
        if notional_at(n, cells, past, quote.mark, v, lane) > 0.0:
            share = path_to_liquidation(n, cells, coef, past, tiers, v, lane) if liquidates else 2.0
            for _ in range(len(n.market) if len(n.stop) > 0 else 0):
                i, price = stop_first(n, cells, coef, past, share, v, lane)
                if i >= 0:
                    mark = past[quote.mark + i]
                    close_perp(n, cells, model, coef, tape, desk, regime, mark, price, at.STOPPED, i, t, lane)
                    share = path_to_liquidation(n, cells, coef, past, tiers, v, lane) if liquidates else 2.0
            if notional_at(n, cells, past, quote.mark, v, lane) <= 0.0:
                continue
            if share <= 1.0:
                liquidate(n, cells, model, coef, tape, desk, regime, past, share, v, t, lane)
            else:
                if len(n.stop) > 0:
                    take_profits(n, cells, model, coef, tape, desk, past, regime, v, t, lane)
                if liquidates:
                    bound_tiers(n, cells, past, quote.mark, tiers, v, lane)


@routine
def test_margin(n, cells, model, coef, tape, desk, regime, t, lane):
    """Margin test at the marks of the row; returns whether a venue was liquidated."""
    quote = at.quote_at(n)
    struck = 0
    tiers = model.terms.tier[regime]
    for v in range(len(n.cash)):
        if notional_at(n, cells, tape, quote.mark, v, lane) > 0.0:
            if margin_at(n, cells, tape, quote.mark, v, lane) <= maintenance_at(
                n, cells, tape, quote.mark, tiers, v, lane
            ):
                liquidate(n, cells, model, coef, tape, desk, regime, tape, -1.0, v, t, lane)
                struck = 1
            else:
                bound_tiers(n, cells, tape, quote.mark, tiers, v, lane)
    return struck


@stage
def largest(n, cells, coef, tape, scene, place, start, count, lane):
    """Place and worth of the largest of `count` collaterals and debts from `start`, by the coefficients at `place`."""
    b = at.book_at(n)
    best = 0
    most = -1.0
    for i in range(count):
        held = cells[b.q + len(n.cash) + len(n.token) + start + i, lane]
        worth = held * coef[place + i] * shock(n, tape, scene, start + i)
        best = i if worth > most else best
        most = worth if worth > most else most
    return best, most


@stage
def repayable(rule, health, debt, total, collateral, usd):
    """What a liquidator may repay of a debt, share class (accounting §6); `rule` is one of `close_rules`."""
    half = health > _CLOSE_WHOLE
    if rule == AAVE_V3_3:
        half = half and debt >= _LEAST_LEG * usd and collateral >= _LEAST_LEG * usd
        return 0.5 * total if (half and 0.5 * total < debt) else debt
    return 0.5 * debt if half else debt


@routine
def test_health(n, cells, model, coef, tape, desk, regime, t, lane):
    """Lending liquidations at the lowest and highest prices of the hour, then at the row's; returns their number."""
    done = 0
    if coef[at.hour_at(n).thin + 0] < 1.0:
        done += liquidate_debt(n, cells, model, coef, tape, desk, regime, 1, t, lane)
        done += liquidate_debt(n, cells, model, coef, tape, desk, regime, 2, t, lane)
    return done + liquidate_debt(n, cells, model, coef, tape, desk, regime, 0, t, lane)


@routine
def liquidate_debt(n, cells, model, coef, tape, desk, regime, scene, t, lane):
    """Lending liquidations while the health factor is below 1 in a scene (`shock`); returns their number.

    What is uncovered is bad debt. Inside the hour the drift of what goes ends at the scene's prices (accounting §4).
    """
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    first = len(n.cash) + len(n.token)
    done = 0
    due = -1
    for _ in range(_ITERATIONS):
        owed, backing, limit = shocked_sums(n, cells, coef, tape, scene, lane)
        if owed <= 0.0 or limit >= owed or backing <= 0.0:
            break
        d, debt = largest(n, cells, coef, tape, scene, h.owed, len(n.collateral), len(n.debt), lane)
        c, collateral = largest(n, cells, coef, tape, scene, h.oracle, 0, len(n.collateral), lane)
        bonus = model.terms.pool[regime, c, at.BONUS]
        usd = tape[quote.usd + 0] * shock(n, tape, scene, len(n.collateral) + len(n.debt))
        moved = shock(n, tape, scene, c)
        moved_debt = shock(n, tape, scene, len(n.collateral) + d)
        price = coef[h.oracle + c] * moved
        price_debt = coef[h.owed + d] * moved_debt
        repaid = repayable(model.terms.lending[regime, at.CLOSE_RULE], limit / owed, debt, owed, collateral, usd)
        seized = repaid * (1.0 + bonus)
        if seized > collateral:
            seized = collateral
            repaid = collateral / (1.0 + bonus)
        slot = first + c
        due = first + len(n.collateral) + d
        # a leg that closes whole leaves no dust
        taken = cells[b.q + slot, lane] if seized >= collateral else seized / price
        cleared = cells[b.q + due, lane] if repaid >= debt else repaid / price_debt
        cells[b.q + slot, lane] -= taken
        cells[b.q + due, lane] -= cleared
        peg = cleared * (-coef[h.value + due] - coef[h.owed + d]) * moved_debt
        peg -= taken * (coef[h.value + slot] - coef[h.oracle + c]) * moved
        # the holding drift took all of it to the row's prices
        drift = cleared * -coef[h.value + due] * (1.0 - moved_debt) - taken * coef[h.value + slot] * (1.0 - moved)
        cells[b.column + at.LIQUIDATION_LOSS, lane] -= seized - repaid
        cells[b.column + at.PEG, lane] += peg
        cells[b.column + at.DELTA, lane] += drift
        e = emit(n, desk, cells, t, lane, at.LIQUIDATION, 1, slot, due, 0)
        if e >= 0:
            desk.events[e, at.E_QUANTITY] = -taken
            desk.events[e, at.E_PRICE] = price
            desk.events[e, at.E_REFERENCE] = coef[h.oracle + c]
            desk.events[e, at.E_RATE] = bonus
            desk.events[e, at.E_NOTIONAL] = seized
            desk.events[e, at.E_FEE] = seized - repaid
            desk.events[e, at.E_PEG] = peg
            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
        e = emit(n, desk, cells, t, lane, at.LIQUIDATION, 1, due, slot, 0)
        if e >= 0:
            desk.events[e, at.E_QUANTITY] = -cleared
            desk.events[e, at.E_PRICE] = price_debt
            desk.events[e, at.E_REFERENCE] = coef[h.owed + d]
            desk.events[e, at.E_NOTIONAL] = repaid
            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
        done += 1
    if done > 0:
        owed, backing, _ = shocked_sums(n, cells, coef, tape, 0, lane)
        if owed > 0.0 and backing <= 0.0:
            # bad debt: the last leg says what is left
            e = desk.count[0] - 1
            if desk.events.shape[0] > 0 and int(desk.events[e, at.E_SLOT]) == due:
                desk.events[e, at.E_CODE] = 2
                desk.events[e, at.E_AMOUNT] = owed
    return done


@stage
def release(n, cells, lane):
    """Credit what liquidations left, after the drift of the hour."""
    b = at.book_at(n)
    for v in range(len(n.cash)):
        cells[b.q + v, lane] += cells[b.due + v, lane]
        cells[b.due + v, lane] = 0.0


@stage
def report_funding(n, cells, coef, tape, desk, t, lane):
    """One event per perp that paid or received in this row."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    perp = at.first_perp(n)
    for v in range(len(n.cash)):
        for k in range(len(n.market)):
            i = v * len(n.market) + k
            q = cells[b.q + perp + i, lane]
            if q * coef[h.funding + i] != 0.0:
                e = emit(n, desk, cells, t, lane, at.FUNDING_PAID, 0, perp + i, v, 0)
                if e >= 0:
                    desk.events[e, at.E_QUANTITY] = q
                    desk.events[e, at.E_AMOUNT] = -q * coef[h.funding + i]
                    desk.events[e, at.E_CASH] = -q * coef[h.funding + i]
                    desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@routine
def strike_at_marks(n, cells, model, coef, tape, desk, regime, t, lane):
    """Stops and margin test at the marks of the row, health at its oracle prices; what is left is credited at once."""
    liquidates = model.settings[at.LIQUIDATE] > 0.0
    struck = False
    if len(n.stop) > 0 and stop_at_marks(n, cells, model, coef, tape, desk, regime, t, lane) > 0:
        release(n, cells, lane)
        struck = True
    if liquidates and test_margin(n, cells, model, coef, tape, desk, regime, t, lane) > 0:
        release(n, cells, lane)
        struck = True
    # a starting book is taken as it is
    if liquidates and len(n.debt) > 0 and t > 0 and test_health(n, cells, model, coef, tape, desk, regime, t, lane) > 0:
        struck = True
    return struck


#: What `strike` tests.
IN_HOUR, AT_MARKS = range(2)


@kernel
def strike(words, t, lane, what, given):
    """Liquidations and stops for one lane, compiled apart from the rest of the hour.

    Parameters
    ----------
    words : a packed `Frame`
    what : IN_HOUR tests the hour that ended (`test_hour`), AT_MARKS the marks of the row (`strike_at_marks`)

    Returns
    -------
    int
        Of AT_MARKS, 1 where anything was struck.
    """
    frame = view(words)
    n = frame.sizes
    model = frame.model
    tape = model.quotes[t]
    regime = model.regime[t]
    if what == AT_MARKS:
        return 1 if strike_at_marks(n, frame.block, model, frame.desk.row, tape, frame.desk, regime, t, lane) else 0
    past = model.quotes[t - 1]
    test_hour(n, frame.block, model, frame.desk.row, tape, frame.desk, past, model.regime[t - 1], t, lane)
    return 0


@routine
def arrive(n, cells, tape, desk, t, lane):
    """What has reached its destination becomes usable, in the first row at or after its time."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    cells[b.stat + at.NEXT_DUE, lane] = math.inf
    for j in range(at.QUEUE):
        amount = cells[b.queue_amount + j, lane]
        if amount != 0.0 and cells[b.queue_due + j, lane] <= tape[quote.time + 0]:
            slot = int(cells[b.queue_to + j, lane])
            cells[b.q + slot, lane] += amount
            left = cells[b.transit + slot, lane] - amount
            cells[b.queue_amount + j, lane] = 0.0
            # the last one out leaves exactly nothing behind
            others = 0
            for k in range(at.QUEUE):
                others += (
                    1 if (cells[b.queue_amount + k, lane] != 0.0 and int(cells[b.queue_to + k, lane]) == slot) else 0
                )
            cells[b.transit + slot, lane] = left if others > 0 else 0.0
            cells[b.head + at.ARRIVED, lane] = 1.0
            e = emit(n, desk, cells, t, lane, at.ARRIVAL, 0, slot, slot, 0)
            if e >= 0:
                desk.events[e, at.E_QUANTITY] = amount
                desk.events[e, at.E_AMOUNT] = amount
                desk.events[e, at.E_EFFECTIVE] = cells[b.queue_due + j, lane]
                desk.events[e, at.E_CORRELATION] = cells[b.queue_by + j, lane]
        elif amount != 0.0 and cells[b.queue_due + j, lane] < cells[b.stat + at.NEXT_DUE, lane]:
            cells[b.stat + at.NEXT_DUE, lane] = cells[b.queue_due + j, lane]


@routine
def pay_rewards(n, cells, model, coef, tape, desk, t, lane):
    """Distributions of the row: tokens for what is held then, arrivals included, at their worth now (accounting §5)."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    for k in range(model.table.payout.shape[0]):
        if int(model.table.payout[k, at.PAYOUT_ROW]) == t:
            slot = int(model.table.payout[k, at.PAYOUT_TO])
            source = int(model.table.payout[k, at.PAYOUT_FROM])
            tokens = cells[b.q + source, lane] * model.table.payout[k, at.PAYOUT_PER_UNIT]
            if tokens > 0.0:
                worth = tokens * coef[h.value + slot]
                cells[b.q + slot, lane] += tokens
                cells[b.column + at.REWARD, lane] += worth
                cells[b.head + at.ARRIVED, lane] = 1.0
                e = emit(n, desk, cells, t, lane, at.REWARD_PAID, 0, slot, source, 0)
                if e >= 0:
                    desk.events[e, at.E_QUANTITY] = tokens
                    desk.events[e, at.E_PRICE] = tape[quote.spot + slot - len(n.cash)]
                    desk.events[e, at.E_REFERENCE] = tape[quote.spot + slot - len(n.cash)]
                    desk.events[e, at.E_RATE] = model.table.payout[k, at.PAYOUT_RATE]
                    desk.events[e, at.E_NOTIONAL] = worth
                    desk.events[e, at.E_AMOUNT] = tokens
                    desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@stage
def book_flow(n, cells, amount, lane):
    """Money in (> 0) or out: counted as a flow, and the peak moves in proportion, so that drawdown is time-weighted."""
    b = at.book_at(n)
    e = cells[b.head + at.EQUITY, lane]
    cells[b.head + at.FLOW, lane] += amount
    cells[b.head + at.FLOWS, lane] += amount
    cells[b.stat + at.SCALE, lane] += abs(amount)
    if e > 0.0:
        cells[b.stat + at.PEAK, lane] *= (e + amount) / e
    cells[b.head + at.EQUITY, lane] = e + amount


@routine
def flow(n, cells, model, coef, tape, desk, t, lane):
    """Deposits reach the wallet; withdrawals are paid whole and in order, once the wallet's cash covers them.

    A withdrawal larger than what is left is paid what there is when nothing else is held; the rest is refused.
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    slot = model.table.wallet[0]
    amount = tape[quote.flow + 0]
    if amount > 0.0:
        cells[b.q + slot, lane] += amount
        book_flow(n, cells, amount, lane)
        e = emit(n, desk, cells, t, lane, at.FLOWED, at.DEPOSITED, slot, slot, 0)
        if e >= 0:
            desk.events[e, at.E_QUANTITY] = amount
            desk.events[e, at.E_AMOUNT] = amount
            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
    asked = int(tape[quote.flow + 1])
    known = int(model.quotes[t - 1, quote.flow + 1]) if t > 0 else 0
    for k in range(known, asked):
        wanted = model.table.withdrawal[k]
        cells[b.head + at.PENDING, lane] += wanted
        e = emit(n, desk, cells, t, lane, at.FLOWED, at.REQUESTED, slot, slot, 0)
        if e >= 0:
            desk.events[e, at.E_AMOUNT] = -wanted
            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]


@stage
def stranded(n, cells, model, coef, regime, lane):
    """Worth of the cash at venues that is too little to be sent, as `release_margin` sees it."""
    b = at.book_at(n)
    h = at.hour_at(n)
    out = 0.0
    for v in range(len(n.cash)):
        x = cells[b.q + v, lane]
        worth = x * coef[h.value + v]
        small = x <= 2.0 * model.terms.venue[regime, v, at.WITHDRAWAL_FEE]
        if x > 0.0 and (small or worth <= _UNSENT * cells[b.head + at.PENDING, lane]):
            out += worth
    return out


@routine
def pay(n, cells, model, coef, tape, desk, regime, t, lane):
    """Pay the withdrawals that the wallet covers; see `flow`."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    slot = model.table.wallet[0]
    asked = int(tape[quote.flow + 1])
    while int(cells[b.stat + at.PAID, lane]) < asked:
        wanted = model.table.withdrawal[int(cells[b.stat + at.PAID, lane])]
        cash = cells[b.q + slot, lane]
        # all that is left, and can be sent, is in the wallet: no later row can pay more
        movable = cells[b.head + at.EQUITY, lane] - stranded(n, cells, model, coef, regime, lane)
        alone = cells[b.head + at.GROSS, lane] == 0.0 and cash >= movable * (1.0 - 1e-9)
        if cash < wanted and not alone:
            break
        paid = wanted if wanted <= cash else cash
        cells[b.q + slot, lane] -= paid
        book_flow(n, cells, -paid, lane)
        cells[b.stat + at.PAID, lane] += 1.0
        cells[b.head + at.PENDING, lane] -= wanted
        if int(cells[b.stat + at.PAID, lane]) == asked:
            cells[b.head + at.PENDING, lane] = 0.0
        e = emit(n, desk, cells, t, lane, at.FLOWED, at.PAID_OUT, slot, slot, 0)
        if e >= 0:
            desk.events[e, at.E_QUANTITY] = -paid
            desk.events[e, at.E_AMOUNT] = -paid
            desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
        if paid < wanted:
            e = emit(n, desk, cells, t, lane, at.REJECT, at.EXCEEDS_EQUITY, slot, slot, 0)
            if e >= 0:
                desk.events[e, at.E_AMOUNT] = paid - wanted
                desk.events[e, at.E_EFFECTIVE] = tape[quote.time + 0]
