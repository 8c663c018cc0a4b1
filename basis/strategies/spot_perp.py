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


def _plans(config: Config) -> tuple[Plan, ...]:
    token = f"{config.strategy.spot_venue}:BaseToken:{config.asset}"
    hedge = Plan("hedge", config.asset, token=token, market=f"{config.asset}USDT")
    return hedge, Plan("margin", "USDT")


def _policy(config: Config, slots: Slots) -> Mapping[str, float]:
    share = 1.0 / (1.0 + config.strategy.margin_ratio_target)
    off = config.strategy.position_deviation_threshold
    return {"min_invested": share - off, "max_invested": share + off}


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
def reduce(view, act, target, more, less):
    """Bring both legs down to the target, or even them out; whether anything has to be done in this row."""
    price = view.price(view.asset)
    off = abs((target - more) * price)
    has_drifted = (more - less) * price > view.policy.max_drift * view.equity
    below = view.margin_low < view.policy.margin_low
    above = view.margin_high > view.policy.margin_high and more > 0.0
    moved = off > view.policy.deviation * view.equity or has_drifted or view.pending > 0.0 or view.alert >= 2.0
    if not (moved or below or above or target == 0.0 or view.first or view.arrived):
        return False
    if more > 0.0 and more > target * (1.0 + _ROUNDING) and (moved or target == 0.0):
        left = min(less, target) if has_drifted else target
        if target == 0.0:
            act.exit_full(view.asset, more - left)
        else:
            act.exit_partial(view.asset, more - left)
    elif has_drifted:
        act.exit_partial(view.asset, more - less)
    elif target == 0.0 and view.unfinished > 0.0:
        # an entry that the market has not let begin is not wanted any more
        act.exit_full(view.asset)
    return True


@stage
def fund(view, act, target, less, critical):
    """Margin follows the smaller of the target and, while an alert is critical, what is held."""
    goal = less if (critical and less < target) else target
    amount = goal * view.price(view.asset) * view.policy.margin_target / view.quote_price
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
    if rebalances and not reduce(view, act, target, more, less):
        return
    critical = rebalances and view.alert >= 2.0
    if target > 0.0:
        fund(view, act, target, less, critical)
    if target > less and not critical:
        grows = (target - less) * view.price(view.asset) > view.policy.deviation * view.equity
        if (grows or view.first or view.arrived) and less == 0.0:
            act.entry_full(view.asset, target - less)
        elif grows or view.first or view.arrived:
            act.entry_partial(view.asset, target - less)
    pay_out(view, act, target)


STRATEGY = Strategy("spot_perp", decide, _plans, _policy, rate=funding_rate)
