"""One token of the wallet put to work and taken back, gas for the way out kept: what lending and staking share."""

from collections.abc import Mapping

from ..config import Config
from ..errors import ConfigError
from ..inputs.slots import Slots
from ..kernel.layout.codes import NO_LIMIT
from ..kernel.numba.jit import stage
from .base import closes_now, sell_dust, wants_carry
from .compiled import compiled

#: What rounding may hide of a withdrawal, relative.
_ROUNDING = 1e-9


def policy_of_wallet(config: Config, slots: Slots) -> Mapping[str, float]:
    """Policy of strategies that work with one token of the wallet: what they hold is meant to be delta.

    Raises
    ------
    ConfigError
        Where money is to flow in a share class that the strategy does not hold.
    """
    if config.flows and config.asset != config.share_class:
        raise ConfigError(
            f"flows: they come and go in {config.share_class}, and {config.mode} keeps its wallet in {config.asset}. "
            f"Leave them out, or set share_class={config.asset}."
        )
    return {"max_drift": NO_LIMIT}


def policy(config: Config, slots: Slots) -> Mapping[str, float]:
    """Policy of `decide`: when it has to be asked."""
    return {**policy_of_wallet(config, slots), "min_invested": 1.0 - config.strategy.position_deviation_threshold}


@stage
def leave(view, act, at_work):
    """Take back all that is at work, and sell the rewards."""
    if at_work > 0.0:
        act.exit_full(view.asset)
    # where money is owed, rewards of any worth pay for it
    sell_dust(view, act, 0.0 if view.pending > 0.0 else view.policy.dust_limit)


@compiled
def decide(view, act):
    """Put to work what is free, and take back what is owed to the investor."""
    price = view.price(view.asset)
    cash = view.quantity(view.wallet) * price
    at_work = view.invested * view.equity
    # on its way back to the wallet
    coming = view.equity - at_work - cash - view.dust
    coming = coming if coming > 0.0 else 0.0
    pending = view.pending
    if closes_now(view):
        if at_work > 0.0:
            act.exit_full(view.asset)
        sell_dust(view, act, view.policy.dust_limit)
        return
    if view.policy.rebalance == 0.0 and not view.first:
        return
    carries = wants_carry(view)
    reserve = view.policy.gas_reserve * view.gas_cost
    if not carries or pending >= view.equity:
        leave(view, act, at_work)
        return
    # gas is thought of once: what is on its way was asked for with it
    short = pending - cash - coming + (view.gas_cost if coming <= 0.0 else 0.0)
    if pending > 0.0 and short > _ROUNDING * pending and at_work > 0.0:
        act.exit_partial(view.asset, (short + reserve) / price)
        return
    free = cash - pending - (reserve if reserve > view.gas_cost else view.gas_cost)
    if free > 0.0 and view.first:
        act.entry_full(view.asset, free / price)
    elif free > 0.0 and free > view.policy.deviation * view.equity:
        act.entry_partial(view.asset, free / price)
    else:
        sell_dust(view, act, view.policy.dust_limit)
