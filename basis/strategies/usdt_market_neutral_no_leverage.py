"""Hedged staking without leverage: a staking token in the wallet (mode `usdt_market_neutral_no_leverage`)."""

from .base import Plan, Strategy
from .hedged_staking import decide, plans, policy, rate


def _plans(config):
    settings = config.strategy
    token, ether = f"wallet:BaseToken:{settings.lst}", f"wallet:BaseToken:{config.asset}"
    return plans(config, Plan("stake", config.asset, token, pays=ether, at_market=settings.stake_route == "market"))


STRATEGY = Strategy("usdt_market_neutral_no_leverage", decide, _plans, policy, rate)
