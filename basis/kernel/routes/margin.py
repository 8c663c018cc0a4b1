"""Margin at the venues: towards a total split by weight, between venues, and back to the wallet."""

from ..layout import codes
from ..margin import margin_at, margin_incl_transit, notional_at, withdrawable
from ..numba.jit import routine, stage
from ..positions.market_impact import remaining_capacity, whole_lots
from .gas import free_usdt, gas_of_transfer, usdt_pays_gas, withdraw_for_gas
from .orders import DONE, NEGLIGIBLE, WORTH_GAS, write_order

#: Two taker fees must be worth it: a perp is rolled only where its profit, and what is locked, are more than this share
#: of what is wanted.
_WORTH_ROLLING = 0.01
#: A transfer is sent only where it is more than so many times its fee; a small one is sent with so much.
_WORTH_SENDING, _SENT_AT_LEAST = 2.0, 3.0


@stage
def withdrawal_fee(run, t, venue):
    """Fee of a withdrawal from a venue, quote units."""
    return run.terms.venue[run.terms_index[t], venue].withdrawal_fee


@stage
def margin_above(run, t, lane, venue, goal):
    """Cash that a venue can give while its margin, what is on its way included, stays at a goal; may be below 0."""
    return min(margin_incl_transit(run, t, lane, venue) - goal, withdrawable(run, t, lane, venue))


@stage
def rebalance_venue_margin(run, t, lane, wanted):
    """Transfers from venues that can spare cash to venues that lack margin; `wanted` is the margin aimed at in all."""
    missing = run.scratch.missing
    spare = run.scratch.spare
    j = 0
    for v in range(run.shape.venues):
        for u in range(run.shape.venues):
            fee = withdrawal_fee(run, t, u)
            x = min(missing[lane, v] + fee, spare[lane, u])
            worth = missing[lane, v] > NEGLIGIBLE * wanted and u != v and x > _WORTH_SENDING * fee
            if worth:
                j = write_order(run, lane, j, codes.TRANSFER, u, v, x)
                spare[lane, u] -= x
                missing[lane, v] -= x - fee
    return j


@stage
def fund_from_wallet(run, t, lane, total):
    """Margin from the wallet to every venue that lacks more than the tolerated deviation."""
    missing = run.scratch.missing
    lacking = 0.0
    count = 0
    for v in range(run.shape.venues):
        goal = run.policy.weight[v, lane] * total
        x = goal - margin_incl_transit(run, t, lane, v)
        missing[lane, v] = x if x > run.policy.deviation[lane] * goal else 0.0
        lacking += missing[lane, v]
        count += 1 if missing[lane, v] > 0.0 else 0
    free = free_usdt(run, t, lane) - (count - 1) * gas_of_transfer(run, t)
    j = 0
    # on chain a small amount is not worth its gas
    if lacking > 0.0 and free > (WORTH_GAS if usdt_pays_gas(run) else NEGLIGIBLE) * total:
        part = free / lacking if free < lacking else 1.0
        for v in range(run.shape.venues):
            if missing[lane, v] > 0.0:
                j = write_order(run, lane, j, codes.TRANSFER, run.wallet.usdt, v, part * missing[lane, v])
    return j


@stage
def even_out_venues(run, t, lane, total):
    """Margin from venues above their share to venues below their band."""
    for v in range(run.shape.venues):
        goal = run.policy.weight[v, lane] * total
        now = margin_incl_transit(run, t, lane, v)
        notional = notional_at(run, t, lane, v)
        needed = notional if notional > 0.0 else goal / run.policy.margin_target[lane]
        floor = run.policy.margin_low[lane] * needed
        run.scratch.missing[lane, v] = goal - now if (now < floor and goal > now) else 0.0
        over = margin_above(run, t, lane, v, goal)
        run.scratch.spare[lane, v] = over if (over > 0.0 and run.scratch.missing[lane, v] == 0.0) else 0.0
    return rebalance_venue_margin(run, t, lane, total)


@routine
def fund_margin(run, t, lane, total, step):
    """Margin towards `total` split by weight: first from the wallet, then from venues above their share."""
    if step == 0:
        return fund_from_wallet(run, t, lane, total)
    if step == 1:
        return even_out_venues(run, t, lane, total)
    if step == 2 and usdt_pays_gas(run) and run.state.invested[lane] > 0.0:
        return withdraw_for_gas(run, t, lane)
    return DONE


@stage
def quantity_that_can_roll(run, t, lane, i, q):
    """How much of a perp can be closed and opened again in this row."""
    place = run.shape.tokens + i
    capacity = 0.5 * remaining_capacity(run, t, lane, place)
    if abs(q) <= capacity:
        return q
    units = whole_lots(run, t, place, capacity)
    return units if q > 0.0 else -units


@stage
def roll_perps(run, t, lane, wanted):
    """Close perps whose profit is locked and open them again, so that it becomes cash."""
    shape = run.shape
    j = 0
    for i in range(shape.perps):
        v = i // shape.markets
        locked = run.scratch.missing[lane, v] - run.scratch.spare[lane, v]
        slot = shape.first_perp + i
        q = run.state.quantity[slot, lane]
        profit = q * run.market.mark[t, i] - run.state.cost[i, lane]
        least = _WORTH_ROLLING * wanted
        if locked > least and profit > least:
            rolled = quantity_that_can_roll(run, t, lane, i, q)
            if rolled != 0.0:
                j = write_order(run, lane, j, codes.TRADE_PERP, slot, 0, -rolled)
                j = write_order(run, lane, j, codes.TRADE_PERP, slot, 0, rolled)
    return j


@stage
def send_home(run, t, lane, wanted, total):
    """Cash from every venue that can spare some, in proportion, to the wallet."""
    part = wanted / total if wanted < total else 1.0
    j = 0
    for v in range(run.shape.venues if total > 0.0 else 0):
        fee = withdrawal_fee(run, t, v)
        # a small amount is sent with enough to be worth its fee
        x = max(part * run.scratch.spare[lane, v] + fee, _SENT_AT_LEAST * fee)
        x = min(x, run.scratch.spare[lane, v])
        if x > _WORTH_SENDING * fee and x > NEGLIGIBLE * wanted:
            j = write_order(run, lane, j, codes.TRANSFER, v, run.wallet.usdt, x)
    return j


@routine
def release_margin(run, t, lane, wanted, step):
    """Cash back to the wallet: what stands above the margin that open perps need, in proportion to it.

    Unrealised profit cannot be withdrawn: where cash falls short of the surplus, the venue's perps are rolled in step 0
    before the transfers of step 1.
    """
    missing = run.scratch.missing
    spare = run.scratch.spare
    total = 0.0
    for v in range(run.shape.venues):
        kept = (1.0 - run.policy.deviation[lane]) * run.policy.margin_target[lane] * notional_at(run, t, lane, v)
        over = margin_at(run, t, lane, v) - kept
        out = min(over, withdrawable(run, t, lane, v))
        missing[lane, v] = over if over > 0.0 else 0.0
        spare[lane, v] = out if out > 0.0 else 0.0
        total += spare[lane, v]
    if step == 0:
        return roll_perps(run, t, lane, wanted) if total < wanted else 0
    if step == 1:
        return send_home(run, t, lane, wanted, total)
    return DONE


@stage
def margin_goal(run, lane, venue, target, spot):
    """Margin that a venue aims at for a hedge of `target` units at a spot price, quote units."""
    return run.policy.weight[venue, lane] * target * spot * run.policy.margin_target[lane]


@routine
def fetch_usdt(run, t, lane, target, spot, missing):
    """USDT that the wallet lacks, from venues with more margin than they aim at; what is on its way counts."""
    usdt = run.wallet.usdt
    coming = run.state.transit[usdt, lane]
    missing -= run.state.quantity[usdt, lane] + coming
    # what is on its way is waited for, where little more is missing
    least = (run.policy.deviation[lane] if coming > 0.0 else WORTH_GAS) * target * spot
    spare = run.scratch.spare
    total = 0.0
    for v in range(run.shape.venues):
        over = margin_above(run, t, lane, v, margin_goal(run, lane, v, target, spot))
        spare[lane, v] = over if over > 0.0 else 0.0
        total += spare[lane, v]
    j = 0
    if missing > least and total > 0.0:
        part = missing / total if missing < total else 1.0
        for v in range(run.shape.venues):
            x = part * spare[lane, v]
            if x > WORTH_GAS * target * spot and x > _WORTH_SENDING * withdrawal_fee(run, t, v):
                j = write_order(run, lane, j, codes.TRANSFER, v, usdt, x)
    return j
