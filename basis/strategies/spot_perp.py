"""Spot-perp basis (strategy `spot_perp`): the coin bought spot, and sold short in equal size on perps.

With margin ratio target m, spot and short notional are E / (1 + m) each. The margin in USDT is E * m / (1 + m), spread
over the venues by weight.
"""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..inputs.plans import Plan, Strategy
from ..inputs.slots import Slots
from ..kernel.numba.jit import stage
from .base import closes_now, wants_carry
from .compiled import compiled

#: What rounding may hide of a target, relative.
_ROUNDING = 1e-9
#: A deposit that leaves the target off by more than this share of equity is put to work at once.
WORTH_A_DEPOSIT = 0.02
#: Place of the memory for the units that the legs are brought to; the others are the rate rule's and the hedge's.
_AIM = 2


def _plans(config: Config) -> tuple[Plan, ...]:
    token = f"{config.strategy.spot_venue}:BaseToken:{config.asset}"
    hedge = Plan("hedge", config.asset, token=token, market=f"{config.asset}USDT")
    return hedge, Plan("margin", "USDT")


def _policy(config: Config, slots: Slots) -> Mapping[str, float]:
    target = config.strategy.margin_ratio_target
    share, off = 1.0 / (1.0 + target), config.strategy.position_deviation_threshold
    low, high = (edge * target for edge in config.strategy.margin_ratio_band)
    # the margin of all venues together leaves its band where this share of equity is in the legs
    return {
        "min_invested": max(share - off, 1.0 / (1.0 + high)),
        "max_invested": min(share + off, 1.0 / (1.0 + low)),
    }


def funding_rate(config: Config, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """(rows,) funding settled over the window, per year, by weight of the venues."""
    weights = config.strategy.hedge_allocation or {}
    return np.sum(
        [w * columns[f"funding_apr|{v}:Perp:{config.asset}USDT"] for v, w in weights.items() if w > 0.0], axis=0
    )


@stage
def size_target(view, carries):
    """Units of both legs that are aimed at: E / (1 + m), less what is owed; none without carry or at the end."""
    price = view.price(view.asset)
    target = (view.equity - view.pending) / (1.0 + view.policy.margin_target) / price
    return 0.0 if target < 0.0 or not carries or closes_now(view) else target


@stage
def is_paid_in(view, target, less):
    """Whether money came in that is worth putting to work: unlike a price it does not come back by itself."""
    off = (target - less) * view.price(view.asset)
    return view.net_flow > 0.0 and off > min(view.policy.deviation, WORTH_A_DEPOSIT) * view.equity


@stage
def find_aim(view, target, more, less):
    """Units that both legs are brought to.

    Legs that have left their band go from its edge `rebalance_depth` of the way to the target, in as many rows as that
    takes. An entry, a deposit, a withdrawal, an exit and a critical alert go to the target itself.
    """
    worth = view.equity / view.price(view.asset)
    low = view.policy.min_invested * worth
    high = view.policy.max_invested * worth
    whole = view.first or less == 0.0 or target == 0.0 or view.pending > 0.0 or view.alert >= 2.0
    if whole or is_paid_in(view, target, less):
        view.memory[_AIM] = target
    elif more > high:
        view.memory[_AIM] = high + view.policy.rebalance_depth * (target - high)
    elif less < low:
        view.memory[_AIM] = low + view.policy.rebalance_depth * (target - low)
    return view.memory[_AIM]


@stage
def reduce(view, act, target, aim, more, less):
    """Bring both legs down to where they are brought, or even them out; whether anything has to be done in this row."""
    worth = more * view.price(view.asset)
    has_drifted = (more - less) * view.price(view.asset) > view.policy.max_drift * view.equity
    below = view.margin_low < view.policy.margin_low
    above = view.margin_high > view.policy.margin_high and more > 0.0
    left = worth > view.policy.max_invested * view.equity or worth < view.policy.min_invested * view.equity
    moved = left or has_drifted or view.pending > 0.0 or view.alert >= 2.0
    comes_in = view.first or view.arrived or is_paid_in(view, target, less)
    if not (moved or below or above or target == 0.0 or comes_in):
        return False
    if more > 0.0 and more > aim * (1.0 + _ROUNDING) and (moved or target == 0.0):
        kept = min(less, aim) if has_drifted else aim
        if target == 0.0:
            act.exit_full(view.asset, more - kept)
        else:
            act.exit_partial(view.asset, more - kept)
    elif has_drifted:
        act.exit_partial(view.asset, more - less)
    elif target == 0.0 and view.unfinished > 0.0:
        # an entry that the market has not let begin is not wanted any more
        act.exit_full(view.asset)
    return True


@stage
def grow(view, act, target, aim, less):
    """Bring both legs up to where they are brought, where they have left their band or something has come in."""
    left = less * view.price(view.asset) < view.policy.min_invested * view.equity
    if not (left or view.first or view.arrived or is_paid_in(view, target, less)):
        return
    if less == 0.0:
        act.entry_full(view.asset, aim - less)
    else:
        act.entry_partial(view.asset, aim - less)


@stage
def margin_of(view, target, less, critical):
    """Margin for the target, share class; while an alert is critical for no more than what is held."""
    goal = less if (critical and less < target) else target
    return goal * view.price(view.asset) * view.policy.margin_target


@stage
def fund(view, act, margin):
    """Bring so much margin to the venues (share class)."""
    amount = margin / view.quote_price
    if view.first:
        act.entry_full("USDT", amount)
    else:
        act.entry_partial("USDT", amount)


@stage
def pay_out(view, act, target):
    """Release margin for what is owed to the investor."""
    if view.pending > 0.0 and target == 0.0:
        act.exit_full("USDT", view.pending / view.quote_price)
    elif view.pending > 0.0:
        act.exit_partial("USDT", view.pending / view.quote_price)


@compiled
def decide(view, act):
    """Bring both legs to E / (1 + m), reduce first."""
    long = view.long(view.asset)
    short = view.short(view.asset)
    rebalances = view.policy.rebalance > 0.0
    # a book that starts hedged is held as it is
    entering = (view.first and short == 0.0) or view.arrived
    if not rebalances and not closes_now(view) and not entering:
        return
    target = size_target(view, wants_carry(view))
    more = max(short, long)
    less = min(short, long)
    less = less if less > 0.0 else 0.0
    if not rebalances and closes_now(view):
        act.exit_full(view.asset)
        return
    aim = find_aim(view, target, more, less)
    if rebalances and not reduce(view, act, target, aim, more, less):
        return
    critical = rebalances and view.alert >= 2.0
    if target > 0.0:
        # what the legs leave of equity is margin
        rest = view.equity - view.pending - aim * view.price(view.asset)
        fund(view, act, margin_of(view, target, less, critical) if critical else rest)
    if aim > less and not critical:
        grow(view, act, target, aim, less)
    pay_out(view, act, target)


STRATEGY = Strategy("spot_perp", decide, _plans, _policy, rate=funding_rate, rate_is_of_legs=True)
