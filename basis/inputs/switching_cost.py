"""What leaving a position and entering it again costs: a rate rule switches only where the rate pays for that.

The cost is that of a book of the initial capital, at the fees, the slippage and the gas of each row.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from ..config import Config
from ..kernel.context import Terms
from ..kernel.keys import GAS_ASSET, QUOTE_ASSET
from .coefficients import GWEI
from .plans import Plan, Strategy
from .slots import Slots

_YEAR = timedelta(days=365)


def slippage_at(buckets: Any, notional: float) -> float:
    """Fraction of the price lost by an order of a notional (quote units), by the buckets of a slippage table."""
    place = int(np.searchsorted(buckets["max_notional"][:-1], notional, "left"))
    return float(buckets["fraction"][place])


class RoundTrip:
    """Cost of leaving the positions of some plans and entering them again, in one period of the venues' terms.

    Parameters
    ----------
    config, slots : of the run
    terms, period : the venues' terms, and the period of them
    share : of the capital that is put to work, fraction
    capital : in quote units
    """

    def __init__(self, config: Config, slots: Slots, terms: Terms, period: int, share: float, capital: float) -> None:
        self.config, self.slots, self.terms, self.period = config, slots, terms, period
        self.share, self.notional = share, share * capital

    def at_exchange(self, key: str) -> float:
        """One trade of a token of an exchange."""
        slot = self.slots.index(key)
        venue = self.slots.venues.index(key.split(":")[0])
        buckets = self.terms.spot_slippage[self.period, slot - len(self.slots.cash)]
        return self.terms.venue[self.period, venue].spot_taker + slippage_at(buckets, self.notional)

    def on_chain(self, key: str, times: float = 1.0) -> float:
        """One trade of a token of the wallet, `times` the share that is put to work."""
        token = self.slots.index(key) - len(self.slots.cash)
        buckets = self.terms.spot_slippage[self.period, token]
        return times * (self.terms.stake[self.period, token].swap_fee + slippage_at(buckets, times * self.notional))

    def perps(self, market: str) -> float:
        """One trade of the perps of a market, over the venues by weight."""
        cost, weights = 0.0, self.config.strategy.hedge_allocation or {}
        for place, key in enumerate(self.slots.perp):
            weight = weights.get(key.venue, 0.0)
            if key.symbol == market and weight > 0.0:
                fee = self.terms.venue[self.period, self.slots.venues.index(key.venue)].perp_taker
                slip = slippage_at(self.terms.perp_slippage[self.period, place], weight * self.notional)
                cost += weight * (fee + slip)
        return cost

    def of_hedge(self, plan: Plan) -> tuple[float, float]:
        """Both legs, in and out."""
        assert plan.token is not None  # noqa: S101 - for the type checker: a hedge has both
        assert plan.market is not None  # noqa: S101
        if not plan.token.startswith("wallet:"):
            return 2.0 * (self.at_exchange(plan.token) + self.perps(plan.market)), 0.0
        swaps = 2.0 * self.on_chain(f"wallet:BaseToken:{QUOTE_ASSET}")
        return swaps + 2.0 * self.perps(plan.market), 2.0 * self._gas("swap")

    def of_stake(self, plan: Plan) -> tuple[float, float]:
        """A staking token: from its protocol or the market, and back."""
        assert plan.token is not None  # noqa: S101 - for the type checker: what is staked has one
        trades = int(plan.at_market) + int(plan.at_market or plan.leaves_at_market)
        gas = self._gas("swap") * trades + self._gas("stake") * (not plan.at_market)
        gas += self._gas("unstake") * (trades == 0)
        return trades * self.on_chain(plan.token), gas

    def of_lever(self, plan: Plan) -> tuple[float, float]:
        """A loan: levered up with all of it, ended by selling what the debt is worth, flash loans both ways."""
        assert plan.token is not None  # noqa: S101 - for the type checker: what is levered has one
        target = self.config.strategy.target_ltv or 0.0
        times = 1.0 / (1.0 - target)
        flash = float(self.terms.account[self.period]["flash_fee"].max(initial=0.0))
        cost = self.on_chain(plan.token, times - 1.0) + 2.0 * (times - 1.0) * flash
        cost += self.on_chain(plan.token, times) if plan.at_market else 0.0
        # what is left of the collateral goes the way of a staking token
        stake, gas = self.of_stake(plan)
        left = stake - (self.on_chain(plan.token) if plan.at_market else 0.0)
        return cost + left, gas + self._gas("lever") + self._gas("delever") + self._gas("withdraw")

    def of_plan(self, plan: Plan) -> tuple[float, float]:
        """Fees and slippage as a fraction of what is put to work, and units of gas."""
        if plan.kind == "hedge":
            return self.of_hedge(plan)
        if plan.kind == "stake":
            return self.of_stake(plan)
        if plan.kind == "lever":
            return self.of_lever(plan)
        if plan.kind == "lend":
            return 0.0, self._gas("supply") + self._gas("withdraw")
        if plan.kind == "margin":
            funded = sum(weight > 0.0 for weight in (self.config.strategy.hedge_allocation or {}).values())
            return 0.0, funded * self._gas("transfer")
        return 0.0, 0.0

    def _gas(self, operation: str) -> float:
        return float(self.terms.gas[self.period][operation])


def share_at_work(config: Config, slots: Slots, strategy: Strategy) -> float:
    """Share of the capital that a strategy puts to work: what the margin of a hedge leaves, fraction."""
    if not any(plan.kind == "hedge" for plan in strategy.plans(config)):
        return 1.0
    target = strategy.policy(config, slots).get("margin_target", config.strategy.margin_ratio_target)
    return 1.0 / (1.0 + target)


def switching_cost(
    config: Config,
    slots: Slots,
    strategy: Strategy,
    terms: Terms,
    terms_index: np.ndarray,
    columns: Mapping[str, np.ndarray],
) -> np.ndarray | None:
    """(rows,) yearly rate that pays over the holding period for a round trip; None where the rule does not ask for it.

    Parameters
    ----------
    terms, terms_index : the venues' terms by period, and (rows,) the period of each row
    columns : of the market
    """
    rule = config.strategy.rate_rule
    if not rule.enabled or not rule.holding_period:
        return None
    ones = np.ones(len(terms_index))
    price = ones if slots.share_class == QUOTE_ASSET else columns[f"spot|{slots.share_class}"]
    share = share_at_work(config, slots, strategy)
    costs = []
    for period in range(len(terms.gas)):
        trip = RoundTrip(config, slots, terms, period, share, config.initial_capital * price[0])
        costs.append(np.sum([trip.of_plan(plan) for plan in strategy.plans(config)], axis=0))
    lost, gas_units = np.array(costs)[terms_index].T
    if "gas_price_gwei" in columns:
        ether = gas_units * columns["gas_price_gwei"] * GWEI
        lost = share * lost + ether * columns[f"spot|{GAS_ASSET}"] / price / config.initial_capital
    else:
        lost = share * lost
    # the rate has to pay for it: that of the legs is earned on a share of equity only
    return lost / (share if strategy.rate_is_of_legs else 1.0) * (_YEAR / rule.holding_period)
