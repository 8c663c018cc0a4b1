"""Spot-perp basis (strategy `spot_perp`): the coin bought spot, and sold short in equal size on perps.

With margin ratio target m, spot and short notional are E / (1 + m) each. The margin in USDT is E * m / (1 + m), spread
over the venues by weight. Plan 0 is the hedged asset, plan 1 the margin.
"""

import numpy as np

from ..kernel import layout as at
from ..kernel.jit import strategy
from .base import Plan, Strategy, wants_carry

HEDGE, MARGIN = 0, 1
#: Own parameter: where the view shows the asset.
ASSET = at.OWN


def plans(config):
    """Plan 0 the hedged asset, plan 1 the margin."""
    token = f"{config.strategy.spot_venue}:BaseToken:{config.asset}"
    return (
        Plan("hedge", config.asset, token=token, market=f"{config.asset}USDT"),
        Plan("margin", "USDT"),
    )


def policy(config, slots):
    """Parameters of `decide`: the asset, and the long leg within which it need not be asked."""
    share = 1.0 / (1.0 + config.strategy.margin_ratio_target)
    off = config.strategy.position_deviation_threshold
    asset = at.HEAD + at.SEEN * slots.assets.index(config.asset)
    return {ASSET: asset, at.MIN_INVESTED: share - off, at.MAX_INVESTED: share + off}


def rate(config, columns):
    """Funding settled over the window, per year, by weight of the venues."""
    weights = config.strategy.hedge_allocation
    return np.sum(
        [w * columns[f"funding_apr|{v}:Perp:{config.asset}USDT"] for v, w in weights.items() if w > 0.0], axis=0
    )


@strategy
def decide(view, hour, params, actions):
    """Bring both legs to E / (1 + m), reduce first; see `basis.kernel.jit.strategy` for the arguments."""
    asset = int(params[ASSET])
    price = view[asset + at.PRICE]
    long = view[asset + at.LONG]
    short = view[asset + at.SHORT]
    equity = view[at.EQUITY]
    pending = view[at.PENDING]
    target_margin = params[at.TARGET_MARGIN]
    last = view[at.LAST] > 0.0 and params[at.CLOSE_AT_END] > 0.0
    # a book that starts hedged is held as it is
    entering = (view[at.FIRST] > 0.0 and short == 0.0) or view[at.ARRIVED] > 0.0
    if params[at.REBALANCE] == 0.0 and not last and not entering:
        return 0
    carries = wants_carry(view, params)
    deploy = equity - pending
    target = deploy / (1.0 + target_margin) / price
    if target < 0.0 or not carries or last:
        target = 0.0
    more = long if long > short else short
    less = long if long < short else short
    less = less if less > 0.0 else 0.0
    critical = view[at.ALERT] >= 2.0
    n = 0
    if params[at.REBALANCE] == 0.0:
        if last:
            actions[n, 0] = at.EXIT_FULL
            actions[n, 1] = HEDGE
            return 1
        critical = False
    else:
        off = (target - more) * price
        off = off if off >= 0.0 else -off
        adrift = (more - less) * price > params[at.MAX_DRIFT] * equity
        thin = view[at.MARGIN_LOW] < params[at.BAND_LOW]
        fat = view[at.MARGIN_HIGH] > params[at.BAND_HIGH] and more > 0.0
        moved = off > params[at.DEVIATION] * equity or adrift or pending > 0.0 or critical
        if not (moved or thin or fat or target == 0.0 or view[at.FIRST] > 0.0 or view[at.ARRIVED] > 0.0):
            return 0
        least = target if target < less else less
        if more > 0.0 and more > target * (1.0 + 1e-9) and (moved or target == 0.0):
            actions[n, 0] = at.EXIT_FULL if target == 0.0 else at.EXIT_PARTIAL
            actions[n, 1] = HEDGE
            actions[n, 2] = more - (least if adrift else target)
            n += 1
        elif adrift:
            actions[n, 0] = at.EXIT_PARTIAL
            actions[n, 1] = HEDGE
            actions[n, 2] = more - less
            n += 1
    if target > 0.0:
        # margin follows the smaller of what is aimed at and, while critical, what is held
        goal = less if (critical and less < target) else target
        actions[n, 0] = at.ENTRY_FULL if view[at.FIRST] > 0.0 else at.ENTRY_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = goal * price * target_margin / view[at.QUOTE_PRICE]
        n += 1
    if target > less and not critical:
        grows = (target - less) * price > params[at.DEVIATION] * equity
        if grows or view[at.FIRST] > 0.0 or view[at.ARRIVED] > 0.0:
            actions[n, 0] = at.ENTRY_FULL if less == 0.0 else at.ENTRY_PARTIAL
            actions[n, 1] = HEDGE
            actions[n, 2] = target - less
            n += 1
    if pending > 0.0:
        actions[n, 0] = at.EXIT_FULL if target == 0.0 else at.EXIT_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = pending / view[at.QUOTE_PRICE]
        n += 1
    return n


STRATEGY = Strategy("spot_perp", decide, plans, policy, rate)
