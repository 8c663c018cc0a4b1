"""Gas that routes keep back, and gas that is fetched from margin so that what is held on chain can be sold."""

from ..layout import codes
from ..margin import margin_at, notional_at, withdrawable
from ..numba.jit import routine, stage
from ..positions.gas import max_gas_units
from .orders import WORTH_GAS, write_order

#: So much of the lower edge of its band is margin enough for a short that hedges what is held, or that gives gas.
THIN_MARGIN = 0.5
#: Transactions by which something on chain becomes USDT in the wallet.
_TRANSACTIONS_TO_USDT = 3.0


@stage
def gas_reserve(run, t, lane):
    """Ether that is kept for the gas of coming transactions."""
    return run.policy.gas_reserve[lane] * max_gas_units(run, t) * run.market.gas_price[t]


@stage
def all_but_gas(run, t, lane, slot, wanted):
    """What is wanted of the wallet's ether; where it is more than there is, all but the gas that is kept."""
    held = run.state.quantity[slot, lane]
    if wanted <= held:
        return wanted
    left = held - gas_reserve(run, t, lane)
    # no target is larger than all there is
    price = run.market.ether_price[t]
    most = run.state.equity[lane]
    wanted = most / price if wanted * price > most else wanted
    return left if left > WORTH_GAS * wanted else 0.0


@stage
def gas_of_transfer(run, t):
    """What one transfer out of the wallet costs, share class."""
    return run.terms.gas[run.terms_index[t]].transfer * run.market.gas_price[t] * run.market.ether_price[t]


@stage
def gas_shortfall(run, t, lane, times):
    """What the wallet's ether lacks for the gas of `times` of the most expensive transactions, quote units.

    For books with ether beside the USDT that pays where the ether ends.
    """
    cost = times * max_gas_units(run, t) * run.market.gas_price[t] - run.state.quantity[run.wallet.ether, lane]
    return cost * run.market.ether_price[t] if cost > 0.0 else 0.0


@stage
def usdt_pays_gas(run):
    """Whether gas is paid in the wallet's ether, and in its USDT where that ends."""
    wallet = run.wallet
    return wallet.usdt >= 0 and wallet.usdt == wallet.share_class and wallet.ether >= 0


@stage
def free_usdt(run, t, lane):
    """USDT of the wallet that can be sent on; gas of the sending and of what is held on chain is kept back."""
    slot = run.wallet.usdt
    if slot < 0:
        return 0.0
    free = run.state.quantity[slot, lane]
    if slot == run.wallet.share_class:
        # what waits for the investor is kept, too
        free -= gas_of_transfer(run, t) + run.state.withdrawal_pending[lane]
    if usdt_pays_gas(run) and run.state.invested[lane] > 0.0:
        free -= gas_shortfall(run, t, lane, run.policy.gas_reserve[lane])
    return free if free > 0.0 else 0.0


@routine
def withdraw_for_gas(run, t, lane):
    """Fetch gas from the venue that can spare most, where the wallet could not pay a transaction.

    Without gas what is held on chain could not be sold. What is on its way counts. Margin below its band is touched for
    no more than that.
    """
    usdt = run.wallet.usdt
    there = run.state.quantity[usdt, lane] + run.state.transit[usdt, lane]
    if gas_shortfall(run, t, lane, 1.0) <= there:
        return 0
    least = gas_shortfall(run, t, lane, _TRANSACTIONS_TO_USDT) - there
    x = max(gas_shortfall(run, t, lane, run.policy.gas_reserve[lane]) - there, least)
    richest = 0
    most = 0.0
    fee = 0.0
    for share in (1.0, THIN_MARGIN):
        for v in range(run.shape.venues):
            kept = share * run.policy.margin_low[lane] * notional_at(run, t, lane, v)
            out = min(withdrawable(run, t, lane, v), margin_at(run, t, lane, v) - kept)
            richest = v if out > most else richest
            most = out if out > most else most
        fee = run.terms.venue[run.terms_index[t], richest].withdrawal_fee
        if most >= least + fee:
            break
        # of margin below its band no more is taken than must be
        x = least
    x = min(x + fee, most)
    return write_order(run, lane, 0, codes.TRANSFER, richest, usdt, x) if x > 2.0 * fee else 0
