"""The investor's flows: deposits, requests to take money out, and their payment (accounting §4.6)."""

from .events import emit_event
from .layout import codes
from .numba.jit import routine, stage

#: Less cash at a venue than this share of what is owed is not sent for it.
_UNSENT = 1e-6
#: What rounding may hide of the wallet's cash when nothing else is held, relative.
_ROUNDING = 1e-9


@stage
def book_flow(run, lane, amount):
    """Count money in (> 0) or out as a flow; the peak moves in proportion, so that drawdown is time-weighted."""
    state = run.state
    equity = state.equity[lane]
    state.net_flow[lane] += amount
    state.net_flows[lane] += amount
    state.capital_moved[lane] += abs(amount)
    if equity > 0.0:
        state.peak_equity[lane] *= (equity + amount) / equity
    state.equity[lane] = equity + amount


@stage
def report_flow(run, t, lane, code, quantity, amount):
    """Event of a flow."""
    slot = run.wallet.share_class
    event = run.scratch.events[emit_event(run, t, lane, codes.FLOW, code, slot, slot, 0)]
    event.quantity = quantity
    event.amount = amount


@routine
def take_flows(run, t, lane):
    """Deposits reach the wallet; withdrawals that are asked for become pending."""
    deposit = run.market.deposit[t]
    if deposit > 0.0:
        run.state.quantity[run.wallet.share_class, lane] += deposit
        book_flow(run, lane, deposit)
        report_flow(run, t, lane, codes.DEPOSITED, deposit, deposit)
    asked = int(run.market.withdrawals_asked[t])
    known = int(run.market.withdrawals_asked[t - 1]) if t > 0 else 0
    for k in range(known, asked):
        run.state.withdrawal_pending[lane] += run.withdrawals[k]
        report_flow(run, t, lane, codes.REQUESTED, 0.0, -run.withdrawals[k])


@stage
def cash_too_small_to_send(run, t, lane):
    """Worth of the cash at venues that is too little to be sent home, as `routes.margin.release_margin` sees it."""
    out = 0.0
    for v in range(run.shape.venues):
        cash = run.state.quantity[v, lane]
        worth = cash * run.hour.value[v]
        small = cash <= 2.0 * run.terms.venue[run.terms_index[t], v].withdrawal_fee
        if cash > 0.0 and (small or worth <= _UNSENT * run.state.withdrawal_pending[lane]):
            out += worth
    return out


@routine
def pay_withdrawals(run, t, lane):
    """Pay withdrawals whole and in order, once the wallet's cash covers them.

    One that is larger than what is left is paid what there is when nothing else is held; the rest is refused.
    """
    state = run.state
    slot = run.wallet.share_class
    asked = int(run.market.withdrawals_asked[t])
    while int(state.withdrawals_paid[lane]) < asked:
        wanted = run.withdrawals[int(state.withdrawals_paid[lane])]
        cash = state.quantity[slot, lane]
        # all that is left, and can be sent, is in the wallet: no later row can pay more
        movable = state.equity[lane] - cash_too_small_to_send(run, t, lane)
        alone = state.gross[lane] == 0.0 and cash >= movable * (1.0 - _ROUNDING)
        if cash < wanted and not alone:
            break
        paid = min(wanted, cash)
        state.quantity[slot, lane] -= paid
        book_flow(run, lane, -paid)
        state.withdrawals_paid[lane] += 1.0
        state.withdrawal_pending[lane] -= wanted
        if int(state.withdrawals_paid[lane]) == asked:
            state.withdrawal_pending[lane] = 0.0
        report_flow(run, t, lane, codes.PAID_OUT, -paid, -paid)
        if paid < wanted:
            e = emit_event(run, t, lane, codes.REJECT, codes.EXCEEDS_EQUITY, slot, slot, 0)
            run.scratch.events[e].amount = paid - wanted
