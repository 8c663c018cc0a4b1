"""A staking token as collateral against a debt in ether: one transaction up or down to the target loan to value."""

from ..layout import codes
from ..numba.jit import routine, stage
from ..positions.gas import max_gas_units
from ..positions.lending import lending_sums
from ..positions.staking import market_price_and_fee
from .gas import all_but_gas, usdt_pays_gas
from .lend import supplied
from .orders import DONE, NEGLIGIBLE, is_entry, write_order

#: Less equity than this share of the collateral is no levered position: what an exit costs is as much.
_TOO_LITTLE = 0.01


@stage
def account_of(run, plan):
    """Lending account of a plan."""
    return run.lent_account[plan.collateral - run.shape.first_collateral]


@stage
def gas_now(run, t):
    """Units of gas by operation, in force in row t."""
    return run.terms.gas[run.terms_index[t]]


@stage
def loop_up(run, t, lane, plan, action, step):
    """Leverage by hand: change, supply, then as many times borrow, change and supply, a transaction each."""
    if step >= 2 + 3 * plan.loops:
        return DONE
    part = (step + 1) % 3
    owed, backing, _ = lending_sums(run, lane, account_of(run, plan))
    more = (run.policy.target_ltv[lane] * backing - owed) / run.hour.value[plan.pays]
    if part == 1:
        # a loan that was refused ends it
        if step > 0 and more > NEGLIGIBLE * backing:
            return DONE
        gas = gas_now(run, t)
        spare = run.state.quantity[plan.pays, lane]
        spare -= run.policy.gas_reserve[lane] * max(gas.lever, gas.delever) * run.market.gas_price[t]
        spare = min(spare, action.target)
        kind = codes.SWAP if plan.place == codes.AT_MARKET else codes.STAKE
        if spare > 0.0:
            return write_order(run, lane, 0, kind, plan.pays, plan.token, spare)
        # a loop on collateral that is there already begins with a loan
        return 0 if step == 0 else DONE
    if part == 2:
        held = run.state.quantity[plan.token, lane]
        if held > 0.0:
            return write_order(run, lane, 0, codes.SUPPLY, plan.token, plan.collateral, held)
        return 0 if step == 1 else DONE
    # what the next round has to work with
    action.target = more
    worth = more > NEGLIGIBLE * backing
    return write_order(run, lane, 0, codes.BORROW, plan.debt, plan.pays, more) if worth else DONE


@routine
def enter_lever(run, t, lane, plan, action, step):
    """Supply what the wallet holds, then lever up in one transaction with so much of the wallet's ether."""
    if plan.loops > 0:
        return loop_up(run, t, lane, plan, action, step)
    put_in = all_but_gas(run, t, lane, plan.pays, action.target)
    held = run.state.quantity[plan.token, lane]
    if step == 0:
        # a staking token in the wallet of a hedged book goes in as it is
        if held > 0.0 and run.shape.venues > 0:
            return write_order(run, lane, 0, codes.SUPPLY, plan.token, plan.collateral, held)
        return 0
    if step > 1 or (put_in <= 0.0 and action.target > 0.0):
        return DONE
    # where the loan to value is at its target even with that, nothing can be borrowed: it goes into the debt
    owed, backing, _ = lending_sums(run, lane, account_of(run, plan))
    more = put_in - gas_now(run, t).lever * run.market.gas_price[t]
    backing += more * run.hour.value[plan.pays]
    if owed > 0.0 and owed >= run.policy.target_ltv[lane] * backing:
        return write_order(run, lane, 0, codes.REPAY, plan.pays, plan.debt, put_in) if put_in > 0.0 else DONE
    kind = codes.LEVER_SWAP if plan.place == codes.AT_MARKET else codes.LEVER_STAKE
    return write_order(run, lane, 0, kind, plan.collateral, plan.debt, put_in)


@stage
def gas_lacking_to_leave(run, t, lane, plan, spent):
    """Ether that the wallet, once it has spent so much, lacks for the gas of all that follows the end of a loan."""
    gas = gas_now(run, t)
    units = gas.withdraw
    units += gas.swap if plan.place != codes.AT_PROTOCOL else gas.unstake
    there = run.state.quantity[plan.pays, lane] - spent
    if usdt_pays_gas(run):
        units += gas.swap
        there += run.state.quantity[run.wallet.usdt, lane] / run.market.ether_price[t]
    lacking = units * run.market.gas_price[t] - there
    return lacking if lacking > 0.0 else 0.0


@stage
def gas_of_bundle(run, t, lane, plan):
    """A bundle's own gas, as far as the wallet has it: that is what its reserve is for."""
    gas = gas_now(run, t).delever * run.market.gas_price[t]
    return min(gas, run.state.quantity[plan.pays, lane])


@stage
def unwind(run, t, lane, plan):
    """End the loan; what its gas will lack after it comes out of the bundle."""
    gas = gas_of_bundle(run, t, lane, plan)
    last = gas - gas_lacking_to_leave(run, t, lane, plan, gas)
    return write_order(run, lane, 0, codes.UNWIND, plan.collateral, plan.debt, last)


@stage
def spare_ether(run, t, lane, plan, action):
    """Ether that the wallet has to spare for an exit, at least the gas of the bundle.

    Where ether is asked for, the reserve for any transaction stays beside it.
    """
    units = max_gas_units(run, t) if action.target > 0.0 else gas_now(run, t).delever
    spare = run.state.quantity[plan.pays, lane] - run.policy.gas_reserve[lane] * units * run.market.gas_price[t]
    return max(spare, gas_of_bundle(run, t, lane, plan))


@stage
def delever_to_target(run, t, lane, plan, action):
    """Bring the loan down to its target; the wallet's spare ether goes into the bundle, unless it is enough alone."""
    account = account_of(run, plan)
    owed, backing, _ = lending_sums(run, lane, account)
    over = (owed - run.policy.target_ltv[lane] * backing) / run.hour.value[plan.pays]
    if over <= 0.0 or run.state.quantity[plan.debt, lane] <= 0.0:
        return DONE
    spare = spare_ether(run, t, lane, plan, action)
    alone = over * (1.0 + run.terms.account[run.terms_index[t], account].flash_fee)
    if spare >= alone + gas_now(run, t).delever * run.market.gas_price[t]:
        return write_order(run, lane, 0, codes.REPAY, plan.pays, plan.debt, over)
    return write_order(run, lane, 0, codes.DELEVER, plan.collateral, plan.debt, spare)


@stage
def withdraw_below_target(run, t, lane, plan, wanted):
    """A loan below its target has nothing to give, but its collateral has: withdraw what brings so much ether."""
    gas = gas_now(run, t)
    units = gas.withdraw + gas.swap
    out = wanted + units * run.market.gas_price[t]
    worth, fee = market_price_and_fee(run, t, lane, plan.token - run.shape.venues, out, False)
    held = supplied(run, t, lane, plan.collateral)
    out = out / (worth * (1.0 - fee)) if worth > 0.0 else 0.0
    return write_order(run, lane, 0, codes.WITHDRAW, plan.collateral, plan.token, min(out, held)) if out > 0.0 else DONE


@stage
def get_ether_out(run, t, lane, plan, action):
    """Get the target of an exit out of the loan at the target loan to value, in one bundle."""
    owes = run.state.quantity[plan.debt, lane] > 0.0
    owed, backing, _ = lending_sums(run, lane, account_of(run, plan))
    spare = spare_ether(run, t, lane, plan, action)
    price = run.hour.value[plan.pays]
    left = (backing - owed) / price + spare - action.target
    # so little is left that its costs could not be paid: leave altogether
    if owes and left < _TOO_LITTLE * backing / price:
        return unwind(run, t, lane, plan)
    backing += (spare - action.target - gas_now(run, t).delever * run.market.gas_price[t]) * price
    if not owes:
        return 0
    if owed > run.policy.target_ltv[lane] * backing:
        return write_order(run, lane, 0, codes.DELEVER, plan.collateral, plan.debt, spare - action.target)
    return withdraw_below_target(run, t, lane, plan, action.target - spare)


@stage
def leave_whole(run, t, lane, plan, step):
    """End the loan, withdraw what is left, change it back into ether."""
    owes = run.state.quantity[plan.debt, lane] > 0.0
    if step == 0:
        return unwind(run, t, lane, plan) if owes else 0
    if step == 1:
        held = supplied(run, t, lane, plan.collateral)
        if held > 0.0 and not owes:
            return write_order(run, lane, 0, codes.WITHDRAW, plan.collateral, plan.token, held)
        return 0
    if step == 2 and run.state.quantity[plan.token, lane] > 0.0:
        kind = codes.SWAP if plan.place != codes.AT_PROTOCOL else codes.UNSTAKE
        return write_order(run, lane, 0, kind, plan.token, plan.pays, run.state.quantity[plan.token, lane])
    return DONE


@routine
def leave_lever(run, t, lane, plan, action, step):
    """Down to the target, so much ether out of the loan, or out of it altogether."""
    if action.code != codes.EXIT_PARTIAL:
        return leave_whole(run, t, lane, plan, step)
    if action.target <= 0.0:
        return delever_to_target(run, t, lane, plan, action) if step == 0 else DONE
    if step == 0:
        return get_ether_out(run, t, lane, plan, action)
    owes = run.state.quantity[plan.debt, lane] > 0.0
    if step == 1:
        held = run.state.quantity[plan.token, lane]
        return write_order(run, lane, 0, codes.SWAP, plan.token, plan.pays, held) if owes and held > 0.0 else 0
    # a bundle was refused: so much that too little would be left to owe against, so all of it
    if owes and run.state.reverted_at[lane] != run.market.time[t]:
        return DONE
    return leave_whole(run, t, lane, plan, step - 2)


@stage
def lever(run, t, lane, plan, action, step):
    """Route of an action on a levered position."""
    if is_entry(action):
        return enter_lever(run, t, lane, plan, action, step)
    return leave_lever(run, t, lane, plan, action, step)
