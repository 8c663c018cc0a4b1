"""What a run follows: the policy of its configuration, the strategy's own parameters, weights, limits of alerts."""

import numpy as np

from ..config import Config
from ..config.fields import nearest
from ..errors import ConfigError
from ..kernel.layout import codes
from ..kernel.layout.shape import policy_views
from .plans import Plan, Strategy
from .slots import Slots


def measure_names(slots: Slots) -> tuple[str, ...]:
    """Names of the alert measures, in the kernel's order."""
    margins = (f"margin_ratio|{v}" for v in slots.venues)
    deltas = (f"net_delta_ratio|{a}" for a in slots.assets)
    return ("ltv", "health_factor", *margins, *deltas, "drawdown")


#: Measures for which less is worse; the kernel compares them negated.
_LESS_IS_WORSE = ("health_factor", "margin_ratio")


def check_limits(config: Config, slots: Slots) -> None:
    """Refuse limits for a venue or an asset that the book does not have, which would never alert.

    Raises
    ------
    ConfigError
        Names what there is.
    """
    margined = {f"margin_ratio|{key.venue}" for key in slots.held}
    watched = [name for name in measure_names(slots) if not name.startswith("margin_ratio|") or name in margined]
    for name in config.risk.limits:
        measure, bar, given = name.partition("|")
        if not bar or name in watched:
            continue
        there = [each.partition("|")[2] for each in watched if each.startswith(f"{measure}|")]
        near = nearest(given, there)
        raise ConfigError(
            f"risk.limits: {name} is of {given}, which the book of this run does not have."
            + (f" Did you mean {measure}|{near}?" if near else "")
            + (f" Allowed for {measure}: {', '.join(there)}." if there else f" It has nothing with a {measure}.")
        )


def _set_limits(policy: object, config: Config, slots: Slots) -> None:
    policy.warning[:] = policy.critical[:] = codes.NO_LIMIT
    for j, name in enumerate(measure_names(slots)):
        measure = name.partition("|")[0]
        limit = config.risk.limits.get(name) or config.risk.limits.get(measure)
        if limit is not None:
            sign = -1.0 if measure in _LESS_IS_WORSE else 1.0
            policy.warning[j], policy.critical[j] = sign * limit.warning, sign * limit.critical


def make_policy(config: Config, slots: Slots, strategy: Strategy, plans: tuple[Plan, ...]) -> np.ndarray:
    """(policies, 1) the policy of a lane, see `kernel.layout.state.POLICY`."""
    shape, settings = slots.shape(), config.strategy
    made = np.zeros((shape.policies, 1))
    policy = policy_views(shape, made)
    low, high = settings.margin_ratio_band
    policy.margin_target[:] = settings.margin_ratio_target
    policy.margin_low[:] = low * settings.margin_ratio_target
    policy.margin_high[:] = high * settings.margin_ratio_target
    policy.deviation[:] = settings.position_deviation_threshold
    policy.rebalance_depth[:] = settings.rebalance_depth
    policy.max_drift[:] = settings.max_delta_drift
    policy.gas_reserve[:] = settings.gas_reserve
    policy.rebalance[:] = policy.restricts[:] = float(settings.rebalance)
    policy.close_at_end[:] = float(config.close_at_end)
    rule = settings.rate_rule
    policy.enter_rate[:] = rule.enter if rule.enabled else codes.NO_RULE
    policy.leave_rate[:] = rule.leave if rule.enabled else -np.inf
    policy.min_invested[:], policy.max_invested[:] = -codes.NO_LIMIT, codes.NO_LIMIT
    policy.target_ltv[:] = settings.target_ltv or 0.0
    policy.low_ltv[:], policy.high_ltv[:] = -codes.NO_LIMIT, codes.NO_LIMIT
    has_dust = any(plan.kind == "dust" for plan in plans)
    sells = has_dust and bool(slots.rewards) and settings.rebalance
    policy.sells_dust[:] = float(sells)
    sells_above = sells and settings.dust_threshold is not None
    policy.dust_limit[:] = settings.dust_threshold if sells_above else codes.NO_LIMIT
    latencies = [config.venues[name].latency for name in slots.venues]
    waits = any(latency.deposit for latency in latencies if latency is not None)
    policy.instant_margin[:] = float(config.transfers.instant or not waits)
    for name, value in strategy.policy(config, slots).items():
        getattr(policy, name)[:] = value
    for place, value in enumerate(strategy.decide.params.values()):
        policy.own[place] = value
    for j, name in enumerate(slots.venues):
        policy.weight[j] = (settings.hedge_allocation or {}).get(name, 0.0)
    _set_limits(policy, config, slots)
    return made
