"""What a strategy is: a compiled decision and what its actions mean. Imports the kernel and the configuration only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..assets import load_assets
from ..config import Config
from ..errors import ConfigError
from ..kernel import layout as at
from ..kernel.coefficients import Slots
from ..kernel.numba.jit import stage
from ..kernel.keys import Key


@dataclass(frozen=True)
class Plan:
    """What an action on an asset means in a run (see `basis.kernel.route`).

    Attributes
    ----------
    kind : ``hedge`` (spot and perp shorts), ``margin`` (cash at the venues), ``lend`` (token supplied to a pool),
        ``stake`` (ether changed into a staking token), ``lever`` (such a token supplied against a debt in ether),
        ``dust`` (reward tokens, which are only sold), ``long`` or ``short`` (perps on one side, over venues by weight)
    asset : the asset's name, as events show it
    token : key of the spot leg, or of the token that is lent
    pool : key of the supplied position
    market : symbol of the perps
    pays : key of the token that pays for what is staked
    at_market : whether it is traded rather than staked
    leaves_at_market : whether it is sold at the market however it was got, where a queue would come too late
    debt : key of the debt
    loops : borrowings of a loop by hand; 0 levers in one transaction
    """

    kind: Literal["hedge", "margin", "lend", "stake", "lever", "dust", "long", "short"]
    asset: str
    token: str | None = None
    pool: str | None = None
    market: str | None = None
    pays: str | None = None
    at_market: bool = False
    leaves_at_market: bool = False
    debt: str | None = None
    loops: int = 0

    @property
    def holds(self) -> str | None:
        """Key of what is held long for it; ether of the wallet only waits to be put to work."""
        if self.kind == "hedge" and self.token and self.token.startswith("wallet:"):
            return None
        return self.pool or self.token


#: While an alert is critical: how far above its target a loan to value is brought down to it, relative.
SETTLED = 1e-3
#: Own parameters of strategies that work with one token of the wallet: where the view shows it, and its price.
WALLET, PRICE = at.OWN, at.OWN + 1


def wallet_places(config: Config, slots: Slots) -> dict[int, float]:
    """Parameters `WALLET` and `PRICE` for the asset of the configuration.

    Raises
    ------
    ConfigError
        Where money is to flow in a share class that the strategy does not hold.
    """
    own = config.asset == config.share_class
    if config.flows and not own:
        raise ConfigError(
            f"flows: they come and go in {config.share_class}, and {config.mode} keeps its wallet in {config.asset}. "
            f"Leave them out, or set share_class={config.asset}."
        )
    wallet = at.HEAD + at.SEEN * len(slots.assets) + slots.index(f"wallet:BaseToken:{config.asset}")
    price = -1.0 if own else at.HEAD + at.SEEN * slots.assets.index(config.asset) + at.PRICE
    # delta is what these strategies hold, in whatever it is counted: nothing to be asked for
    return {WALLET: float(wallet), PRICE: float(price), at.MAX_DRIFT: at.NO_LIMIT}


@stage
def price_of(view, params):
    """Share class per unit of the asset of the wallet."""
    return view[int(params[PRICE])] if params[PRICE] >= 0.0 else 1.0


@stage
def wants_carry(view, params):
    """Whether the rate rule wants to be in, with hysteresis; without a rule it always does. Kept in memory 0."""
    if view[at.RATE] > params[at.ENTER_RATE] or params[at.ENTER_RATE] == at.NO_RULE:
        view[at.MEMORY] = 1.0
    elif view[at.RATE] < params[at.LEAVE_RATE]:
        view[at.MEMORY] = 0.0
    return view[at.MEMORY] > 0.0


def required(config: Config, *names: str) -> list[Any]:
    """Settings of the strategy that its mode cannot do without.

    Raises
    ------
    ConfigError
        Where one is not set.
    """
    values = [getattr(config.strategy, name) for name in names]
    for name, value in zip(names, values, strict=True):
        if value is None:
            raise ConfigError(f"Invalid strategy.{name}: None. Must be set in mode {config.mode}.")
    return values


def supplied(config: Config, asset: str) -> Key:
    """Key of an asset that is supplied to the lending venue of the configuration."""
    [venue] = required(config, "lending_venue")
    return Key(venue, "aToken", load_assets().reserve_of(asset))


def owed(config: Config, asset: str) -> Key:
    """Key of a debt of an asset at the lending venue of the configuration."""
    [venue] = required(config, "lending_venue")
    return Key(venue, "debtToken", load_assets().reserve_of(asset))


def dust_plan(config: Config) -> tuple[Plan, ...]:
    """The plan by which reward tokens are sold; none where there are none."""
    return (Plan("dust", "dust", pays="wallet:BaseToken:ETH"),) if config.distributions else ()


@stage
def sell_dust(view, params, actions, count, least):
    """Add the sale of the reward tokens to `count` actions where they are worth more; returns the number then."""
    if params[at.DUST_PLAN] < 0.0 or view[at.DUST_WORTH] <= least:
        return count
    actions[count, 0] = at.SELL_DUST
    actions[count, 1] = params[at.DUST_PLAN]
    return count + 1


def _nothing(config: Config, slots: Slots) -> dict[int, float]:
    return {}


@dataclass(frozen=True)
class Strategy:
    """A strategy the kernel can run.

    Attributes
    ----------
    name : mode it belongs to
    decide : ``decide(view, hour, params, actions) -> count``, made by `basis.kernel.jit.strategy`
    plans : configuration → plans; an action names a plan by its place
    policy : configuration and slots → parameters of the strategy, ``{index: value}`` (`basis.kernel.layout`)
    rate : configuration and market columns → (rows,) the annualised rate a rate rule watches; None where it has none
    signal : configuration and market columns → (`layout.SIGNALS`, rows) a signal, whether it is trusted, and the
        distances of stop and take-profit; its perps then have both, and it is asked where either of the first changes
    """

    name: str
    decide: Any
    plans: Callable[[Config], tuple[Plan, ...]]
    policy: Callable[[Config, Slots], Mapping[int, float]] = _nothing
    rate: Callable[[Config, Mapping[str, np.ndarray]], np.ndarray] | None = None
    signal: Callable[[Config, Mapping[str, np.ndarray]], np.ndarray] | None = None
