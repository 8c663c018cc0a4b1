"""Actions become orders: a strategy says what and how much, the route says where (one compiled stage for every driver).

An action is (action, plan, amount, target). A plan says what the asset means in this run:

- ``PLAN_HEDGE``: a spot leg and equal perp shorts spread over venues by weight; amounts in units of the asset. A leg in
  the wallet is ether swapped for USDT, and all that the book holds of the asset on chain counts as long.
- ``PLAN_MARGIN``: cash that stands as margin at the venues by weight; amounts in quote units.
- ``PLAN_LEND``: a token of the wallet supplied to a pool; amounts in units of the token.
- ``PLAN_LEVER``: a staking token as collateral against a debt in ether, in one transaction; entries put that much ether
  of the wallet in, exits get that much out, at the target loan to value.
- ``PLAN_DUST``: the reward tokens of the wallet, all sold for ether at the market, one a step.
- ``PLAN_LONG``, ``PLAN_SHORT``: a perp on one side over venues by weight; amounts in units of the asset. An entry's
  stop and take-profit hold from the fill that opens.
- ``PLAN_STAKE``: ether of the wallet changed into a staking token, at its protocol or at the market; amounts in ether.

A route is taken step by step: each call writes the orders of one step from the state as the last step left it, so that
legs are sized by what has really arrived. Orders of a step belong together: where one is rejected the rest is not sent.
"""

from . import layout as at
from .depth import dealt_at, room_at, slippage_of, whole_lots, worst_at
from .fills import change_cost
from .frame import view
from .numba.jit import kernel, routine, stage
from .risk import initial_margin, lending_sums, margin_at, notional_at, withdrawable

#: Orders smaller than this share of what is aimed at are left out.
_NEGLIGIBLE = 1e-6
#: Less equity than this share of the collateral is no levered position: what an exit costs is as much.
_TOO_LITTLE = 0.01
#: Less than this share of what is aimed at is not worth a transaction on chain.
_WORTH_GAS = 1e-3
#: So much of the lower band is margin enough for a short that hedges what is held, or whose gas is asked for.
_THIN = 0.5
#: Transactions by which something on chain becomes USDT in the wallet.
_ENOUGH = 3.0
DONE = -1


@stage
def put(orders, j, kind, slot, dest, amount):
    orders[j, 0] = kind
    orders[j, 1] = slot
    orders[j, 2] = dest
    orders[j, 3] = amount
    return j + 1


@stage
def dearest(model, regime):
    """Gas units of the dearest transaction that puts ether to work or takes it back, in this run."""
    gas = model.terms.gas
    units = gas[regime, at.GAS_TRANSFER]
    for plan in range(model.table.plan.shape[0]):
        kind = int(model.table.plan[plan, at.PLAN_KIND])
        if int(model.table.plan[plan, at.PLAN_COLLATERAL]) >= 0:
            units = max(units, gas[regime, at.GAS_SUPPLY], gas[regime, at.GAS_WITHDRAW])
        if kind == at.PLAN_LEVER:
            units = max(units, gas[regime, at.GAS_LEVER], gas[regime, at.GAS_DELEVER])
        if kind >= at.PLAN_STAKE:
            units = max(units, gas[regime, at.GAS_SWAP], gas[regime, at.GAS_STAKE], gas[regime, at.GAS_UNSTAKE])
    return units


@stage
def all_but_gas(n, cells, model, tape, regime, param, slot, wanted, lane):
    """What is wanted of the wallet's ether; where it is more than there is, all but the gas that is kept."""
    held = cells[at.book_at(n).q + slot, lane]
    if wanted <= held:
        return wanted
    left = held - param[at.GAS_RESERVE] * dearest(model, regime) * tape[at.quote_at(n).gas + 0]
    # nobody aims at more than all there is
    price = tape[at.quote_at(n).gas + 1]
    most = cells[at.book_at(n).head + at.EQUITY, lane]
    wanted = most / price if wanted * price > most else wanted
    return left if left > _WORTH_GAS * wanted else 0.0


@stage
def short_of(n, cells, market, lane):
    """Units of a market held short over all venues."""
    b = at.book_at(n)
    x = 0.0
    for v in range(len(n.cash)):
        x -= cells[b.q + at.first_perp(n) + v * len(n.market) + market, lane]
    return x


@stage
def long_of(n, cells, plan, short, lane):
    """Units held long against a short: of the spot leg at its venue, or of all that is on chain."""
    b = at.book_at(n)
    if int(plan[at.PLAN_VENUE]) >= 0:
        return cells[b.q + int(plan[at.PLAN_TOKEN]), lane]
    return cells[b.delta + int(plan[at.PLAN_ASSET]), lane] + short


@stage
def held_on(n, cells, plan, v, lane):
    """Units that a venue's perp holds on the side of a plan, 0 where it stands on the other."""
    slot = at.first_perp(n) + v * len(n.market) + int(plan[at.PLAN_MARKET])
    q = cells[at.book_at(n).q + slot, lane]
    q = q if int(plan[at.PLAN_KIND]) == at.PLAN_LONG else -q
    return q if q > 0.0 else 0.0


@stage
def aim_side(n, cells, plan, action, lane):
    """Units on the side of a plan; an entry keeps its stop and take-profit for the fills that open."""
    b = at.book_at(n)
    entering = int(action[0]) == at.ENTRY_FULL or int(action[0]) == at.ENTRY_PARTIAL
    held = 0.0
    for v in range(len(n.cash)):
        x = held_on(n, cells, plan, v, lane)
        held += x
        if entering and x == 0.0 and len(n.stop) > 0:
            i = v * len(n.market) + int(plan[at.PLAN_MARKET])
            cells[b.armed + i, lane] = 1.0
            cells[b.stop_by + i, lane] = action[4]
            cells[b.take_by + i, lane] = action[5]
    if entering:
        return held + action[2]
    return held - action[2] if (int(action[0]) != at.EXIT_FULL and held > action[2]) else 0.0


@stage
def aim(n, cells, plan, action, lane):
    """What an action aims at, in the plan's units; fixed when its first step is taken."""
    b = at.book_at(n)
    amount = action[2]
    code = int(action[0])
    if int(plan[at.PLAN_KIND]) == at.PLAN_LONG or int(plan[at.PLAN_KIND]) == at.PLAN_SHORT:
        return aim_side(n, cells, plan, action, lane)
    if int(plan[at.PLAN_KIND]) != at.PLAN_HEDGE:
        return amount
    short = short_of(n, cells, int(plan[at.PLAN_MARKET]), lane)
    long = long_of(n, cells, plan, short, lane)
    if code == at.ENTRY_FULL or code == at.ENTRY_PARTIAL:
        return (long if long < short else short) + amount
    if code == at.EXIT_FULL:
        return 0.0
    held = long if long > short else short
    most = cells[b.param + at.MAX_DRIFT, lane] * cells[b.head + at.EQUITY, lane]
    if amount == 0.0 and cells[b.head + at.DRIFT, lane] > most:
        # nothing goes but what one leg has more than the other, where that is too much
        held = long if long < short else short
    return held - amount if held > amount else 0.0


@stage
def gas_of_transfer(n, model, tape, regime):
    """What one transfer out of the wallet costs, in share class."""
    quote = at.quote_at(n)
    return model.terms.gas[regime, at.GAS_TRANSFER] * tape[quote.gas + 0] * tape[quote.gas + 1]


@stage
def purse_lacks(n, cells, model, tape, regime, times, lane):
    """What the wallet's ether lacks for the gas of `times` of the dearest transactions, quote units; 0 where it has it.

    For books with ether beside the USDT that pays where the ether ends.
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    cost = times * dearest(model, regime) * tape[quote.gas + 0] - cells[b.q + model.table.wallet[2], lane]
    return cost * tape[quote.gas + 1] if cost > 0.0 else 0.0


@stage
def pays_in_usdt(model):
    """Whether gas is paid in the wallet's ether, and in its USDT where that ends."""
    usdt = model.table.wallet[1]
    return usdt >= 0 and usdt == model.table.wallet[0] and model.table.wallet[2] >= 0


@stage
def free_wallet(n, cells, model, tape, regime, param, lane):
    """USDT of the wallet that can be sent on, gas of the sending and of what is held on chain kept back."""
    b = at.book_at(n)
    slot = model.table.wallet[1]
    if slot < 0:
        return 0.0
    free = cells[b.q + slot, lane]
    if slot == model.table.wallet[0]:
        # and what waits for the investor
        free -= gas_of_transfer(n, model, tape, regime) + cells[b.head + at.PENDING, lane]
    if pays_in_usdt(model) and cells[b.head + at.INVESTED, lane] > 0.0:
        free -= purse_lacks(n, cells, model, tape, regime, param[at.GAS_RESERVE], lane)
    return free if free > 0.0 else 0.0


@routine
def bring_gas(n, cells, model, tape, desk, regime, param, orders, lane):
    """Gas home from the venue that can spare most, where the wallet could not pay a transaction; without it what is
    held on chain could not be sold. What is on its way counts. Margin below its band is touched for no more than that.
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    pays = model.table.wallet[1]
    there = cells[b.q + pays, lane] + cells[b.transit + pays, lane]
    if purse_lacks(n, cells, model, tape, regime, 1.0, lane) <= there:
        return 0
    least = purse_lacks(n, cells, model, tape, regime, _ENOUGH, lane) - there
    x = purse_lacks(n, cells, model, tape, regime, param[at.GAS_RESERVE], lane) - there
    x = x if x > least else least
    richest = 0
    most = 0.0
    fee = 0.0
    for share in (1.0, _THIN):
        for v in range(len(n.cash)):
            out = withdrawable(n, cells, tape, quote.mark, model.terms.tier[regime], v, lane)
            kept = share * param[at.BAND_LOW] * notional_at(n, cells, tape, quote.mark, v, lane)
            spare = margin_at(n, cells, tape, quote.mark, v, lane) - kept
            out = out if out < spare else spare
            richest = v if out > most else richest
            most = out if out > most else most
        fee = model.terms.venue[regime, richest, at.WITHDRAWAL_FEE]
        if most >= least + fee:
            break
        # out of what stands below the band no more than must be
        x = least
    x = x + fee if x + fee < most else most
    return put(orders, 0, at.TRANSFER, richest, pays, x) if x > 2.0 * fee else 0


@stage
def standing(n, cells, tape, v, lane):
    """Margin of a venue, what is on its way to it included, quote units."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    return margin_at(n, cells, tape, quote.mark, v, lane) + cells[b.transit + v, lane]


@stage
def share_out(n, model, desk, regime, orders, wanted):
    """Transfers from venues with surplus to venues in need, both in quote units; `wanted` limits the sum sent."""
    j = 0
    for v in range(len(n.cash)):
        for u in range(len(n.cash)):
            fee = model.terms.venue[regime, u, at.WITHDRAWAL_FEE]
            x = desk.need[v] + fee
            x = x if x < desk.surplus[u] else desk.surplus[u]
            if desk.need[v] > _NEGLIGIBLE * wanted and u != v and x > 2.0 * fee and j < orders.shape[0]:
                j = put(orders, j, at.TRANSFER, u, v, x)
                desk.surplus[u] -= x
                desk.need[v] -= x - fee
    return j


@routine
def fund_margin(n, cells, model, coef, tape, desk, regime, param, total, step, orders, lane):
    """Margin towards `total` split by weight: first from the wallet, then from venues above their share."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    if step == 0:
        lacking = 0.0
        count = 0
        for v in range(len(n.cash)):
            goal = param[at.WEIGHT + v] * total
            x = goal - standing(n, cells, tape, v, lane)
            desk.need[v] = x if x > param[at.DEVIATION] * goal else 0.0
            lacking += desk.need[v]
            count += 1 if desk.need[v] > 0.0 else 0
        free = free_wallet(n, cells, model, tape, regime, param, lane) - (count - 1) * gas_of_transfer(
            n, model, tape, regime
        )
        j = 0
        # on chain a little is not worth its gas
        if lacking > 0.0 and free > (_WORTH_GAS if pays_in_usdt(model) else _NEGLIGIBLE) * total:
            part = free / lacking if free < lacking else 1.0
            for v in range(len(n.cash)):
                if desk.need[v] > 0.0:
                    j = put(orders, j, at.TRANSFER, model.table.wallet[1], v, part * desk.need[v])
        return j
    if step == 1:
        for v in range(len(n.cash)):
            goal = param[at.WEIGHT + v] * total
            now = standing(n, cells, tape, v, lane)
            notional = notional_at(n, cells, tape, quote.mark, v, lane)
            floor = param[at.BAND_LOW] * (notional if notional > 0.0 else goal / param[at.TARGET_MARGIN])
            desk.need[v] = goal - now if (now < floor and goal > now) else 0.0
            over = now - goal
            out = withdrawable(n, cells, tape, quote.mark, model.terms.tier[regime], v, lane)
            over = over if over < out else out
            desk.surplus[v] = over if (over > 0.0 and desk.need[v] == 0.0) else 0.0
        return share_out(n, model, desk, regime, orders, total)
    if step == 2 and pays_in_usdt(model) and cells[b.head + at.INVESTED, lane] > 0.0:
        return bring_gas(n, cells, model, tape, desk, regime, param, orders, lane)
    return DONE


@stage
def rolled_over(n, cells, model, tape, regime, i, q, lane):
    """How much of a perp can be closed and opened again in this row."""
    place = len(n.token) + i
    room = 0.5 * room_at(n, cells, tape, place, lane)
    if abs(q) <= room:
        return q
    units = whole_lots(n, model, regime, place, room)
    return units if q > 0.0 else -units


@routine
def release_margin(n, cells, model, coef, tape, desk, regime, param, wanted, step, orders, lane):
    """Cash back to the wallet: what stands above the margin the open perps need, in proportion to it.

    Unrealised profit cannot be withdrawn: where cash falls short of the surplus, the venue's perps are rolled (closed
    and opened again, step 0) before the transfers (step 1).
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    total = 0.0
    for v in range(len(n.cash)):
        goal = (1.0 - param[at.DEVIATION]) * param[at.TARGET_MARGIN] * notional_at(n, cells, tape, quote.mark, v, lane)
        over = margin_at(n, cells, tape, quote.mark, v, lane) - goal
        out = withdrawable(n, cells, tape, quote.mark, model.terms.tier[regime], v, lane)
        desk.need[v] = over if over > 0.0 else 0.0
        desk.surplus[v] = over if over < out else out
        desk.surplus[v] = desk.surplus[v] if desk.surplus[v] > 0.0 else 0.0
        total += desk.surplus[v]
    if step == 0:
        j = 0
        if total < wanted:
            for v in range(len(n.cash)):
                locked = desk.need[v] - desk.surplus[v]
                for k in range(len(n.market)):
                    i = v * len(n.market) + k
                    slot = at.first_perp(n) + i
                    q = cells[b.q + slot, lane]
                    profit = q * tape[quote.mark + i] - cells[b.cost + i, lane]
                    # two taker fees must be worth it
                    if locked > 0.01 * wanted and profit > 0.01 * wanted and j < orders.shape[0] - 1:
                        rolled = rolled_over(n, cells, model, tape, regime, i, q, lane)
                        if rolled != 0.0:
                            j = put(orders, j, at.TRADE_PERP, slot, 0, -rolled)
                            j = put(orders, j, at.TRADE_PERP, slot, 0, rolled)
        return j
    if step == 1:
        part = wanted / total if wanted < total else 1.0
        j = 0
        if total > 0.0:
            for v in range(len(n.cash)):
                fee = model.terms.venue[regime, v, at.WITHDRAWAL_FEE]
                x = part * desk.surplus[v] + fee
                # a little is sent with enough to be worth its fee
                x = x if x > 3.0 * fee else 3.0 * fee
                x = x if x < desk.surplus[v] else desk.surplus[v]
                if x > 2.0 * fee and x > _NEGLIGIBLE * wanted:
                    j = put(orders, j, at.TRANSFER, v, model.table.wallet[1], x)
        return j
    return DONE


@stage
def unit_cost(n, cells, model, tape, regime, slot, venue, units, lane):
    """Cash a bought unit takes, slippage and fee included, quote units."""
    token = slot - len(n.cash)
    reference = tape[at.quote_at(n).spot + token]
    price, rate = dealt_at(n, cells, model, tape, regime, token, venue, units, reference, lane)
    return price * (1.0 + rate)


@routine
def bring_cash(n, cells, model, tape, desk, regime, param, spot, cost, target, slot, venue, orders, lane):
    """Cash for the spot leg to its venue: from the wallet, else from venues with more margin than they aim at."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    missing = (target - cells[b.q + slot, lane]) * cost
    goal = param[at.WEIGHT + venue] * target * spot * param[at.TARGET_MARGIN]
    there = standing(n, cells, tape, venue, lane)
    ready = there - goal if there > goal else 0.0
    free = free_wallet(n, cells, model, tape, regime, param, lane)
    j = 0
    if missing - ready > _NEGLIGIBLE * target * spot and free > _NEGLIGIBLE * target * spot:
        x = missing - ready
        return put(orders, j, at.TRANSFER, model.table.wallet[1], venue, x if x < free else free)
    # the venue may dip to the lower band before others are asked
    least = goal * (param[at.BAND_LOW] / param[at.TARGET_MARGIN])
    ready = there - least if there > least else 0.0
    for v in range(len(n.cash)):
        over = standing(n, cells, tape, v, lane) - param[at.WEIGHT + v] * target * spot * param[at.TARGET_MARGIN]
        out = withdrawable(n, cells, tape, quote.mark, model.terms.tier[regime], v, lane)
        over = over if over < out else out
        desk.surplus[v] = over if (over > 0.0 and v != venue) else 0.0
        desk.need[v] = 0.0
    if missing > ready:
        desk.need[venue] = missing - (there - goal)
        j = share_out(n, model, desk, regime, orders, target * spot)
    return j


@stage
def carried_by(n, cells, model, tape, regime, param, spot, i, v, units, lane):
    """Margin a unit of a short needs at its venue, quote units: the lower band, or what opening it takes if more."""
    mark = tape[at.quote_at(n).mark + i]
    notional = abs(units) * mark
    asked = initial_margin(model.terms.tier[regime, i], notional) / notional if notional > 0.0 else 0.0
    lost = worst_at(n, cells, model, tape, regime, len(n.token) + i, abs(units), mark, lane)
    asked += model.terms.venue[regime, v, at.PERP_TAKER] + lost
    band = param[at.BAND_LOW] * spot
    return asked * mark if asked * mark > band else band


@routine
def enter_hedge(n, cells, model, coef, tape, desk, regime, param, plan, target, step, orders, lane):
    """Spot and short together, one venue's tranche a step, no more than the margin that has arrived carries."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    slot = int(plan[at.PLAN_TOKEN])
    venue = int(plan[at.PLAN_VENUE])
    market = int(plan[at.PLAN_MARKET])
    spot = tape[quote.spot + slot - len(n.cash)]
    short = short_of(n, cells, market, lane)
    long = cells[b.q + slot, lane]
    cost = unit_cost(n, cells, model, tape, regime, slot, venue, target - long if target > long else 0.0, lane)
    if step == 0:
        return bring_cash(n, cells, model, tape, desk, regime, param, spot, cost, target, slot, venue, orders, lane)
    v = step - 1
    if v >= len(n.cash):
        return DONE
    i = v * len(n.market) + market
    held = -cells[b.q + at.first_perp(n) + i, lane]
    units = param[at.WEIGHT + v] * target - held
    carried = carried_by(n, cells, model, tape, regime, param, spot, i, v, held + units, lane)
    margin = margin_at(n, cells, tape, quote.mark, v, lane)
    most = margin / carried - held
    units = units if units < most else most
    if v == venue:
        # its cash pays the spot leg and carries the short
        spare = margin - carried * held
        spare = spare if spare < cells[b.q + venue, lane] else cells[b.q + venue, lane]
        most = (spare + (long - short) * cost) / (cost + carried)
    else:
        spare = (
            margin_at(n, cells, tape, quote.mark, venue, lane)
            - carried * -cells[b.q + at.first_perp(n) + venue * len(n.market) + market, lane]
        )
        spare = spare if spare < cells[b.q + venue, lane] else cells[b.q + venue, lane]
        most = spare / cost + (long - short)
    units = units if units < most else most
    # both legs by what the thinner market takes
    most = room_at(n, cells, tape, slot - len(n.cash), lane) + (long - short)
    units = units if units < most else most
    units = sold_short(n, cells, model, tape, regime, i, units, lane)
    if units <= _NEGLIGIBLE * target:
        return 0
    # the short first: where its margin is refused, no spot is bought that nothing would hedge
    j = put(orders, 0, at.TRADE_PERP, at.first_perp(n) + i, 0, -units)
    buy = units - (long - short)
    return put(orders, j, at.TRADE_SPOT, slot, 0, buy) if buy > 0.0 else j


@stage
def sold_short(n, cells, model, tape, regime, i, units, lane):
    """Units by which a short may grow in this row: no more than its market takes, in whole lots."""
    place = len(n.token) + i
    room = room_at(n, cells, tape, place, lane)
    return whole_lots(n, model, regime, place, units if units < room else room)


@stage
def carried_short(n, cells, model, tape, regime, param, spot, i, v, units, naked, lane):
    """Of the units by which a short is to grow, what the margin of its venue carries, and its market takes.

    What is `naked`, long already, does not stay so until there is margin up to the band.
    """
    held = -cells[at.book_at(n).q + at.first_perp(n) + i, lane]
    margin = margin_at(n, cells, tape, at.quote_at(n).mark, v, lane)
    most = margin / carried_by(n, cells, model, tape, regime, param, spot, i, v, held + units, lane) - held
    if most < units and most < naked:
        thin = margin / carried_by(n, cells, model, tape, regime, param, _THIN * spot, i, v, held + units, lane) - held
        thin = thin if thin < naked else naked
        most = most if most > thin else thin
    return sold_short(n, cells, model, tape, regime, i, units if units < most else most, lane)


@stage
def bought_back(n, cells, model, tape, regime, param, market, short, target, most, v, lane):
    """Units of a venue's short that go on the way down to `target`; venues above their weight give first.

    No more than `most`, than the market takes, and in whole lots, unless the short is closed.
    """
    b = at.book_at(n)
    over = 0.0
    own = 0.0
    for u in range(v, len(n.cash)):
        held = -cells[b.q + at.first_perp(n) + u * len(n.market) + market, lane]
        x = held - param[at.WEIGHT + u] * target
        x = x if x > 0.0 else 0.0
        over += x
        own = x if u == v else own
    if short <= target or over <= 0.0:
        return 0.0
    units = own * ((short - target) / over)
    units = units if units < own else own
    units = units if units < most else most
    place = len(n.token) + v * len(n.market) + market
    room = room_at(n, cells, tape, place, lane)
    units = units if units < room else room
    held = -cells[b.q + at.first_perp(n) + v * len(n.market) + market, lane]
    return held if units >= held * (1.0 - _NEGLIGIBLE) else whole_lots(n, model, regime, place, units)


@routine
def leave_hedge(n, cells, model, coef, tape, desk, regime, param, plan, target, step, orders, lane):
    """Both legs down to `target` units, one venue a step; venues above their weight give first."""
    b = at.book_at(n)
    v = step
    if v >= len(n.cash):
        return DONE
    slot = int(plan[at.PLAN_TOKEN])
    market = int(plan[at.PLAN_MARKET])
    short = short_of(n, cells, market, lane)
    long = cells[b.q + slot, lane]
    # no more than the spot that can be sold with it
    room = room_at(n, cells, tape, slot - len(n.cash), lane)
    most = room + short - long
    most = most if most > 0.0 else 0.0
    units = bought_back(n, cells, model, tape, regime, param, market, short, target, most, v, lane)
    j = 0
    if units > _NEGLIGIBLE * short:
        j = put(orders, j, at.TRADE_PERP, at.first_perp(n) + v * len(n.market) + market, 0, units)
    else:
        units = 0.0
    left = short - units
    left = left if left > target else target
    sell = long - left
    sell = sell if sell < room else room
    if sell < long:
        sell = whole_lots(n, model, regime, slot - len(n.cash), sell)
    if sell > _NEGLIGIBLE * long:
        j = put(orders, j, at.TRADE_SPOT, slot, 0, -sell)
    return j


@routine
def bring_home(n, cells, model, tape, desk, regime, param, spot, target, missing, orders, lane):
    """USDT that the wallet misses from venues with more margin than they aim at; what is on its way counts."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    pays = model.table.wallet[1]
    coming = cells[b.transit + pays, lane]
    missing -= cells[b.q + pays, lane] + coming
    # what is on its way is waited for, where little more is missing
    least = (param[at.DEVIATION] if coming > 0.0 else _WORTH_GAS) * target * spot
    total = 0.0
    for v in range(len(n.cash)):
        over = standing(n, cells, tape, v, lane) - param[at.WEIGHT + v] * target * spot * param[at.TARGET_MARGIN]
        out = withdrawable(n, cells, tape, quote.mark, model.terms.tier[regime], v, lane)
        over = over if over < out else out
        desk.surplus[v] = over if over > 0.0 else 0.0
        total += desk.surplus[v]
    j = 0
    if missing > least and total > 0.0:
        part = missing / total if missing < total else 1.0
        for v in range(len(n.cash)):
            x = part * desk.surplus[v]
            if x > _WORTH_GAS * target * spot and x > 2.0 * model.terms.venue[regime, v, at.WITHDRAWAL_FEE]:
                j = put(orders, j, at.TRANSFER, v, pays, x)
    return j


@routine
def enter_swapped(n, cells, model, coef, tape, desk, regime, param, plan, target, step, orders, lane):
    """Shorts, one venue a step, as the margin there carries, and then ether for all of them in one swap."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    v = step - 1
    if v > len(n.cash):
        return DONE
    slot = int(plan[at.PLAN_TOKEN])
    market = int(plan[at.PLAN_MARKET])
    pays = model.table.wallet[1]
    spot = tape[quote.spot + slot - len(n.cash)]
    short = short_of(n, cells, market, lane)
    long = long_of(n, cells, plan, short, lane)
    ether, fee = change_cost(n, model, tape, regime, pays - len(n.cash), target, False)
    cost = 1.0 / (ether * (1.0 - fee))
    if step == 0:
        missing = (target - long) * cost
        return bring_home(n, cells, model, tape, desk, regime, param, spot, target, missing, orders, lane)
    # what is long already is hedged first; of the rest no more than the wallet pays, gas of the swap kept back
    gas = model.terms.gas[regime, at.GAS_SWAP] * tape[quote.gas + 0] - cells[b.q + slot, lane]
    gas = gas * tape[quote.gas + 1] if gas > 0.0 else 0.0
    spare = cells[b.q + pays, lane] - gas
    most = (spare if spare > 0.0 else 0.0) / cost
    # the shorts first: where margin is refused, nothing is bought that nothing would hedge
    if v == len(n.cash):
        buy = short - long if short - long < most else most
        return put(orders, 0, at.SWAP, pays, slot, buy * cost) if buy > _WORTH_GAS * target else 0
    most += long - short
    i = v * len(n.market) + market
    units = param[at.WEIGHT + v] * target + cells[b.q + at.first_perp(n) + i, lane]
    units = units if units < most else most
    units = carried_short(n, cells, model, tape, regime, param, spot, i, v, units, long - short, lane)
    return put(orders, 0, at.TRADE_PERP, at.first_perp(n) + i, 0, -units) if units > _WORTH_GAS * target else 0


@routine
def even_short(n, cells, model, tape, regime, param, market, slot, long, short, step, orders, lane):
    """The short towards what is long, a venue a step: by weight, then what lots and margins left over at any venue."""
    v = step if step < len(n.cash) else step - len(n.cash)
    if v >= len(n.cash):
        return DONE
    i = v * len(n.market) + market
    perp = at.first_perp(n) + i
    place = len(n.token) + i
    units = long - short
    if units < 0.0:
        held = -cells[at.book_at(n).q + perp, lane]
        units = -units if -units < held else held
        room = room_at(n, cells, tape, place, lane)
        units = units if units < room else room
        units = held if units >= held * (1.0 - _NEGLIGIBLE) else whole_lots(n, model, regime, place, units)
        return put(orders, 0, at.TRADE_PERP, perp, 0, units) if units > _WORTH_GAS * short else 0
    if step < len(n.cash):
        weights = 0.0
        for u in range(v, len(n.cash)):
            weights += param[at.WEIGHT + u]
        units = units * param[at.WEIGHT + v] / weights if weights > 0.0 else 0.0
    elif param[at.WEIGHT + v] <= 0.0:
        return 0
    spot = tape[at.quote_at(n).spot + slot - len(n.cash)]
    units = carried_short(n, cells, model, tape, regime, param, spot, i, v, units, long - short, lane)
    return put(orders, 0, at.TRADE_PERP, perp, 0, -units) if units > _WORTH_GAS * long else 0


@routine
def leave_swapped(n, cells, model, coef, tape, desk, regime, param, plan, whole, target, step, orders, lane):
    """Shorts bought back, one venue a step, and then the wallet's ether swapped away, towards `target` units of both.

    What is still staked, or on its way, stays hedged: no more is bought back than there is ether to sell. Where that
    leaves delta beyond its band, shorts follow.
    """
    b = at.book_at(n)
    quote = at.quote_at(n)
    v = step
    slot = int(plan[at.PLAN_TOKEN])
    market = int(plan[at.PLAN_MARKET])
    short = short_of(n, cells, market, lane)
    long = long_of(n, cells, plan, short, lane)
    if v > len(n.cash):
        most = cells[b.param + at.MAX_DRIFT, lane] * cells[b.head + at.EQUITY, lane]
        if whole or cells[b.head + at.DRIFT, lane] <= most:
            return DONE
        v -= len(n.cash) + 1
        return even_short(n, cells, model, tape, regime, param, market, slot, long, short, v, orders, lane)
    kept = param[at.GAS_RESERVE] * dearest(model, regime) * tape[quote.gas + 0]
    if whole:
        # of all that goes, what the wallet's USDT does not pay of the gas of going; a hair more, for rounding
        kept = model.terms.gas[regime, at.GAS_SWAP] * tape[quote.gas + 0]
        paid = cells[b.q + model.table.wallet[1], lane] / tape[quote.gas + 1] if pays_in_usdt(model) else 0.0
        kept = (kept - paid) * (1.0 + _NEGLIGIBLE) if kept > paid else 0.0
    free = cells[b.q + slot, lane] - kept
    free = free if free > 0.0 else 0.0
    least = _NEGLIGIBLE if whole else _WORTH_GAS
    if v == len(n.cash):
        sell = long - (short if short > target else target)
        sell = sell if sell < free else free
        return put(orders, 0, at.SWAP, slot, model.table.wallet[1], sell) if sell > least * long else 0
    most = short - long + free
    most = most if most > 0.0 else 0.0
    units = bought_back(n, cells, model, tape, regime, param, market, short, target, most, v, lane)
    i = v * len(n.market) + market
    return put(orders, 0, at.TRADE_PERP, at.first_perp(n) + i, 0, units) if units > least * short else 0


@routine
def trade_side(n, cells, model, tape, regime, param, plan, entering, target, step, orders, lane):
    """A perp up or down to `target` units on the side of a plan, one venue a step; entries by what the margin there
    carries."""
    v = step
    if v >= len(n.cash):
        return DONE
    i = v * len(n.market) + int(plan[at.PLAN_MARKET])
    way = 1.0 if int(plan[at.PLAN_KIND]) == at.PLAN_LONG else -1.0
    held = held_on(n, cells, plan, v, lane)
    units = param[at.WEIGHT + v] * target - held
    if entering:
        mark = tape[at.quote_at(n).mark + i]
        carried = carried_by(n, cells, model, tape, regime, param, mark, i, v, held + units, lane)
        most = margin_at(n, cells, tape, at.quote_at(n).mark, v, lane) / carried - held
        units = units if units < most else most
        enough = units > _NEGLIGIBLE * target
    else:
        enough = -units > _NEGLIGIBLE * held
    return put(orders, 0, at.TRADE_PERP, at.first_perp(n) + i, 0, way * units) if enough else 0


@stage
def loop_up(n, cells, model, coef, tape, regime, param, plan, action, step, orders, lane):
    """The same by hand: change, supply, then as many times borrow, change and supply, a transaction each."""
    b = at.book_at(n)
    h = at.hour_at(n)
    quote = at.quote_at(n)
    token = int(plan[at.PLAN_TOKEN])
    pool = int(plan[at.PLAN_COLLATERAL])
    debt = int(plan[at.PLAN_DEBT])
    pays = int(plan[at.PLAN_PAYS])
    if step >= 2 + 3 * int(plan[at.PLAN_LOOPS]):
        return DONE
    part = (step + 1) % 3
    owed, backing, _ = lending_sums(n, cells, coef, lane)
    more = (param[at.TARGET_LTV] * backing - owed) / coef[h.value + pays]
    if part == 1:
        # a loan that was refused ends it
        if step > 0 and more > _NEGLIGIBLE * backing:
            return DONE
        spare = cells[b.q + pays, lane]
        units = max(model.terms.gas[regime, at.GAS_LEVER], model.terms.gas[regime, at.GAS_DELEVER])
        spare -= param[at.GAS_RESERVE] * units * tape[quote.gas + 0]
        spare = action[3] if action[3] < spare else spare
        kind = at.SWAP if int(plan[at.PLAN_AT_MARKET]) == 1 else at.STAKE
        # a loop of what stands there already begins with a loan
        return put(orders, 0, kind, pays, token, spare) if spare > 0.0 else (0 if step == 0 else DONE)
    if part == 2:
        held = cells[b.q + token, lane]
        return put(orders, 0, at.SUPPLY_POOL, token, pool, held) if held > 0.0 else (0 if step == 1 else DONE)
    # what the next round has to work with
    action[3] = more
    return put(orders, 0, at.BORROW_POOL, debt, pays, more) if more > _NEGLIGIBLE * backing else DONE


@stage
def lacking_to_leave(n, cells, model, tape, regime, plan, spent, lane):
    """Ether that the wallet, once it has `spent` so much, lacks for the gas of all that follows the end of a loan."""
    gas = model.terms.gas
    quote = at.quote_at(n)
    units = gas[regime, at.GAS_WITHDRAW]
    units += gas[regime, at.GAS_SWAP if int(plan[at.PLAN_AT_MARKET]) > 0 else at.GAS_UNSTAKE]
    there = cells[at.book_at(n).q + int(plan[at.PLAN_PAYS]), lane] - spent
    if pays_in_usdt(model):
        units += gas[regime, at.GAS_SWAP]
        there += cells[at.book_at(n).q + model.table.wallet[1], lane] / tape[quote.gas + 1]
    lacking = units * tape[quote.gas + 0] - there
    return lacking if lacking > 0.0 else 0.0


@routine
def lever(n, cells, model, coef, tape, regime, param, plan, action, step, orders, lane):
    """One transaction up or down to the target; to leave altogether, what is left is withdrawn and changed back."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    token = int(plan[at.PLAN_TOKEN])
    pool = int(plan[at.PLAN_COLLATERAL])
    debt = int(plan[at.PLAN_DEBT])
    pays = int(plan[at.PLAN_PAYS])
    on_market = int(plan[at.PLAN_AT_MARKET]) == 1
    code = int(action[0])
    if code == at.ENTRY_FULL or code == at.ENTRY_PARTIAL:
        if int(plan[at.PLAN_LOOPS]) > 0:
            return loop_up(n, cells, model, coef, tape, regime, param, plan, action, step, orders, lane)
        up = at.LEVER_SWAP if on_market else at.LEVER_STAKE
        put_in = all_but_gas(n, cells, model, tape, regime, param, pays, action[3], lane)
        held = cells[b.q + token, lane]
        if step == 0:
            # what stands in the wallet of a hedged book goes in as it is
            return put(orders, 0, at.SUPPLY_POOL, token, pool, held) if held > 0.0 and len(n.cash) > 0 else 0
        if step > 1 or (put_in <= 0.0 and action[3] > 0.0):
            return DONE
        # where the loan to value is at its target even with that, nothing can be borrowed: it goes into the debt
        owed, backing, _ = lending_sums(n, cells, coef, lane)
        more = put_in - model.terms.gas[regime, at.GAS_LEVER] * tape[quote.gas + 0]
        backing += more * coef[at.hour_at(n).value + pays]
        if owed > 0.0 and owed >= param[at.TARGET_LTV] * backing:
            return put(orders, 0, at.REPAY_POOL, pays, debt, put_in) if put_in > 0.0 else DONE
        return put(orders, 0, up, pool, debt, put_in)
    owes = cells[b.q + debt, lane] > 0.0
    # a bundle's own gas is the wallet's, as far as it has it: that is what its reserve is for
    gas = model.terms.gas[regime, at.GAS_DELEVER] * tape[quote.gas + 0]
    gas = gas if gas < cells[b.q + pays, lane] else cells[b.q + pays, lane]
    # and where the loan ends, what it will lack then comes out of the bundle
    last = gas - lacking_to_leave(n, cells, model, tape, regime, plan, gas, lane)
    if code == at.EXIT_PARTIAL:
        # what the wallet has to spare goes in; what is asked for, beside the reserve for any transaction, comes out
        units = dearest(model, regime) if action[3] > 0.0 else model.terms.gas[regime, at.GAS_DELEVER]
        spare = cells[b.q + pays, lane] - param[at.GAS_RESERVE] * units * tape[quote.gas + 0]
        spare = spare if spare > gas else gas
        owed, backing, _ = lending_sums(n, cells, coef, lane)
        if action[3] <= 0.0:
            over = (owed - param[at.TARGET_LTV] * backing) / coef[at.hour_at(n).value + pays]
            if over <= 0.0 or not owes or step > 0:
                return DONE
            # what the wallet has to spare goes into the bundle, unless it is enough without one
            alone = over * (1.0 + model.terms.lending[regime, at.FLASH_FEE])
            if spare >= alone + model.terms.gas[regime, at.GAS_DELEVER] * tape[quote.gas + 0]:
                return put(orders, 0, at.REPAY_POOL, pays, debt, over)
            return put(orders, 0, at.DELEVER, pool, debt, spare)
        if step == 0:
            left = (backing - owed) / coef[at.hour_at(n).value + pays] + spare - action[3]
            # so little left that its costs could not be paid: leave altogether
            if owes and left < _TOO_LITTLE * backing / coef[at.hour_at(n).value + pays]:
                return put(orders, 0, at.UNWIND, pool, debt, last)
            price = coef[at.hour_at(n).value + pays]
            backing += (spare - action[3] - model.terms.gas[regime, at.GAS_DELEVER] * tape[quote.gas + 0]) * price
            if not owes or owed > param[at.TARGET_LTV] * backing:
                return put(orders, 0, at.DELEVER, pool, debt, spare - action[3]) if owes else 0
            # a loan below its target even then has nothing to give, but its collateral has
            units = model.terms.gas[regime, at.GAS_WITHDRAW] + model.terms.gas[regime, at.GAS_SWAP]
            out = action[3] - spare + units * tape[quote.gas + 0]
            worth, fee = change_cost(n, model, tape, regime, token - len(n.cash), out, False)
            held = cells[b.q + pool, lane] * tape[quote.index + pool - len(n.cash) - len(n.token)]
            out = out / (worth * (1.0 - fee)) if worth > 0.0 else 0.0
            return put(orders, 0, at.WITHDRAW_POOL, pool, token, out if out < held else held) if out > 0.0 else DONE
        if step == 1:
            held = cells[b.q + token, lane]
            return put(orders, 0, at.SWAP, token, pays, held) if owes and held > 0.0 else 0
        # a bundle was refused: so much that too little would be left to owe against, so all of it
        if owes and cells[b.head + at.REVERTED, lane] != tape[quote.time + 0]:
            return DONE
        step -= 2
    if step == 0:
        return put(orders, 0, at.UNWIND, pool, debt, last) if owes else 0
    if step == 1:
        held = cells[b.q + pool, lane] * tape[quote.index + pool - len(n.cash) - len(n.token)]
        return put(orders, 0, at.WITHDRAW_POOL, pool, token, held) if (held > 0.0 and not owes) else 0
    if step == 2 and cells[b.q + token, lane] > 0.0:
        sold = int(plan[at.PLAN_AT_MARKET]) > 0
        return put(orders, 0, at.SWAP if sold else at.UNSTAKE, token, pays, cells[b.q + token, lane])
    return DONE


@stage
def route(n, cells, model, coef, tape, desk, regime, param, action, step, orders, lane):
    """Orders of one step of an action into `orders`; returns their number, or DONE."""
    b = at.book_at(n)
    quote = at.quote_at(n)
    plan = model.table.plan[int(action[1])]
    kind = int(plan[at.PLAN_KIND])
    entering = int(action[0]) == at.ENTRY_FULL or int(action[0]) == at.ENTRY_PARTIAL
    target = action[3]
    if (kind == at.PLAN_STAKE or kind == at.PLAN_LEVER) and not entering and pays_in_usdt(model) and len(n.cash) > 0:
        if step == 0:
            return bring_gas(n, cells, model, tape, desk, regime, param, orders, lane)
        step -= 1
    if kind == at.PLAN_HEDGE and int(plan[at.PLAN_VENUE]) < 0:
        if entering:
            return enter_swapped(n, cells, model, coef, tape, desk, regime, param, plan, target, step, orders, lane)
        whole = int(action[0]) == at.EXIT_FULL
        return leave_swapped(n, cells, model, coef, tape, desk, regime, param, plan, whole, target, step, orders, lane)
    if kind == at.PLAN_HEDGE:
        if entering:
            return enter_hedge(n, cells, model, coef, tape, desk, regime, param, plan, target, step, orders, lane)
        return leave_hedge(n, cells, model, coef, tape, desk, regime, param, plan, target, step, orders, lane)
    if kind == at.PLAN_MARGIN:
        if entering:
            return fund_margin(n, cells, model, coef, tape, desk, regime, param, target, step, orders, lane)
        return release_margin(n, cells, model, coef, tape, desk, regime, param, target, step, orders, lane)
    if kind == at.PLAN_LONG or kind == at.PLAN_SHORT:
        return trade_side(n, cells, model, tape, regime, param, plan, entering, target, step, orders, lane)
    if kind == at.PLAN_LEND and step == 0:
        token = int(plan[at.PLAN_TOKEN])
        pool = int(plan[at.PLAN_COLLATERAL])
        if entering:
            return put(orders, 0, at.SUPPLY_POOL, token, pool, target)
        held = cells[b.q + pool, lane] * tape[quote.index + pool - len(n.cash) - len(n.token)]
        if held <= 0.0:
            return DONE
        whole = int(action[0]) == at.EXIT_FULL or target > held
        return put(orders, 0, at.WITHDRAW_POOL, pool, token, held if whole else target)
    if kind == at.PLAN_STAKE and step == 0:
        token = int(plan[at.PLAN_TOKEN])
        pays = int(plan[at.PLAN_PAYS])
        on_market = int(plan[at.PLAN_AT_MARKET]) == 1
        if not entering:
            on_market = int(plan[at.PLAN_AT_MARKET]) > 0
        if entering:
            target = all_but_gas(n, cells, model, tape, regime, param, pays, target, lane)
            return put(orders, 0, at.SWAP if on_market else at.STAKE, pays, token, target) if target > 0.0 else DONE
        held = cells[b.q + token, lane]
        if held <= 0.0:
            return DONE
        i = token - len(n.cash)
        worth = tape[quote.rate + i]
        if on_market:
            slip = slippage_of(model.terms.spot_slippage[regime, i], target * tape[quote.spot + pays - len(n.cash)])
            worth = tape[quote.market + i] * (1.0 - slip) * (1.0 - model.terms.stake[regime, i, at.SWAP_FEE])
        whole = int(action[0]) == at.EXIT_FULL or target > held * worth
        return put(orders, 0, at.SWAP if on_market else at.UNSTAKE, token, pays, held if whole else target / worth)
    if kind == at.PLAN_DUST and step < len(n.reward):
        token = len(n.cash) + len(n.token) - len(n.reward) + step
        held = cells[b.q + token, lane]
        # before it has a market nobody buys it
        if held * coef[at.hour_at(n).value + token] <= 0.0:
            return 0
        return put(orders, 0, at.SWAP, token, int(plan[at.PLAN_PAYS]), held)
    if kind == at.PLAN_LEVER:
        return lever(n, cells, model, coef, tape, regime, param, plan, action, step, orders, lane)
    return DONE


#: The step in which an action is only aimed.
AIM_ONLY = -1


@kernel
def steer(words, t, lane, place, step):
    """`aim` (step AIM_ONLY) and `route` of the action at a place, compiled apart from the rest of the hour.

    Returns
    -------
    int
        Number of orders of the step, or DONE.
    """
    frame = view(words)
    n = frame.sizes
    cells = frame.block
    model = frame.model
    desk = frame.desk
    action = desk.actions[place]
    if step == AIM_ONLY:
        action[3] = aim(n, cells, model.table.plan[int(action[1])], action, lane)
        return 0
    tape = model.quotes[t]
    return route(n, cells, model, desk.row, tape, desk, model.regime[t], desk.param, action, step, desk.orders, lane)
