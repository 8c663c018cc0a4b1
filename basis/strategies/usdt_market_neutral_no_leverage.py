"""Hedged staking without leverage: a staking token in the wallet (mode `usdt_market_neutral_no_leverage`)."""

from .base import Plan, Strategy, required
from .hedged_staking import decide, funding, plans, policy


def _plans(config):
    settings = config.strategy
    required(config, "lst", "stake_route")
    token, ether = f"wallet:BaseToken:{settings.lst}", f"wallet:BaseToken:{config.asset}"
    return plans(config, Plan("stake", config.asset, token, pays=ether, at_market=settings.stake_route == "market"))


def _rate(config, columns):
    share, earned = config.strategy.stake_allocation, columns[f"staking_apr|{config.strategy.lst}"]
    return share * (earned + funding(config, columns))


STRATEGY = Strategy("usdt_market_neutral_no_leverage", decide, _plans, policy, _rate)
