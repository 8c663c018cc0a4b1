"""Spot-perp basis: the coin bought spot, sold short in equal size on perps, margin in USDT at each venue (mode `btc_basis`).

With margin ratio target m, spot and short notional are E / (1 + m) each and the margin is E * m / (1 + m), spread over the
venues by weight. Plan 0 is the hedged asset, plan 1 the margin.
"""

from ..kernel.jit import strategy
from ..kernel.layout import (
    ALERT, ARRIVED, BAND_HIGH, BAND_LOW, CLOSE_AT_END, DEVIATION, ENTER_RATE, ENTRY_FULL, ENTRY_PARTIAL, EQUITY, EXIT_FULL,
    EXIT_PARTIAL, FIRST, GAS_COST, HEAD, LAST, LEAVE_RATE, LONG, MARGIN_HIGH, MARGIN_LOW, MAX_DRIFT, MEMORY, PENDING, POLICY,
    PRICE, RATE, REBALANCE, SHORT, TARGET_MARGIN,
)  # fmt: skip

HEDGE, MARGIN = 0, 1


@strategy
def decide(view, hour, params, actions):
    """Bring both legs to E / (1 + m), reduce first; see `basis.kernel.jit.strategy` for the arguments."""
    price = view[HEAD + PRICE]
    long = view[HEAD + LONG]
    short = view[HEAD + SHORT]
    equity = view[EQUITY]
    pending = view[PENDING]
    target_margin = params[TARGET_MARGIN]
    last = view[LAST] > 0.0 and params[CLOSE_AT_END] > 0.0
    if params[REBALANCE] == 0.0 and view[FIRST] == 0.0 and view[ARRIVED] == 0.0 and not last:
        return 0
    # memory 0: whether the carry is wanted (rate rule with hysteresis; without a rule it always is)
    if view[RATE] > params[ENTER_RATE] or params[ENTER_RATE] == -1e300:
        view[MEMORY] = 1.0
    elif view[RATE] < params[LEAVE_RATE]:
        view[MEMORY] = 0.0
    deploy = equity - pending
    target = deploy / (1.0 + target_margin) / price
    if target < 0.0 or view[MEMORY] == 0.0 or last:
        target = 0.0
    more = long if long > short else short
    less = long if long < short else short
    critical = view[ALERT] >= 2.0
    n = 0
    if params[REBALANCE] == 0.0:
        if last:
            actions[n, 0] = EXIT_FULL
            actions[n, 1] = HEDGE
            return 1
        critical = False
    else:
        off = (target - more) * price
        off = off if off >= 0.0 else -off
        adrift = (more - less) * price > params[MAX_DRIFT] * equity
        thin = view[MARGIN_LOW] < params[BAND_LOW]
        fat = view[MARGIN_HIGH] > params[BAND_HIGH] and more > 0.0
        moved = off > params[DEVIATION] * equity or adrift or pending > 0.0 or critical
        if not (moved or thin or fat or target == 0.0 or view[FIRST] > 0.0 or view[ARRIVED] > 0.0):
            return 0
        least = target if target < less else less
        if more > 0.0 and more > target * (1.0 + 1e-9) and (moved or target == 0.0):
            actions[n, 0] = EXIT_FULL if target == 0.0 else EXIT_PARTIAL
            actions[n, 1] = HEDGE
            actions[n, 2] = more - (least if adrift else target)
            n += 1
        elif adrift:
            actions[n, 0] = EXIT_PARTIAL
            actions[n, 1] = HEDGE
            actions[n, 2] = more - less
            n += 1
    if target > 0.0:
        # margin follows the smaller of what is aimed at and, while critical, what is held
        goal = less if (critical and less < target) else target
        actions[n, 0] = ENTRY_FULL if view[FIRST] > 0.0 else ENTRY_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = goal * price * target_margin
        n += 1
    if target > less and not critical:
        grows = (target - less) * price > params[DEVIATION] * equity
        if grows or view[FIRST] > 0.0 or view[ARRIVED] > 0.0:
            actions[n, 0] = ENTRY_FULL if less == 0.0 else ENTRY_PARTIAL
            actions[n, 1] = HEDGE
            actions[n, 2] = target - less
            n += 1
    if pending > 0.0:
        actions[n, 0] = EXIT_FULL if target == 0.0 else EXIT_PARTIAL
        actions[n, 1] = MARGIN
        actions[n, 2] = pending
        n += 1
    return n
