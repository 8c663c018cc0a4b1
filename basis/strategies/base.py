"""What a strategy is: a compiled decision and what its actions mean. Imports the kernel and the configuration only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel.coefficients import Slots


@dataclass(frozen=True)
class Plan:
    """What an action on an asset means in a run (see `basis.kernel.route`).

    Attributes
    ----------
    kind : ``hedge`` (spot and perp shorts), ``margin`` (cash at the venues), ``lend`` (token supplied to a pool) or
        ``stake`` (ether changed into a staking token) or ``lever`` (such a token supplied against a debt in ether)
    asset : the asset's name, as events show it
    token : key of the spot leg, or of the token that is lent
    pool : key of the supplied position
    market : symbol of the perps
    pays : key of the token that pays for what is staked
    at_market : whether it is traded rather than staked
    debt : key of the debt
    loops : borrowings of a loop by hand; 0 levers in one transaction
    """

    kind: Literal["hedge", "margin", "lend", "stake", "lever"]
    asset: str
    token: str | None = None
    pool: str | None = None
    market: str | None = None
    pays: str | None = None
    at_market: bool = False
    debt: str | None = None
    loops: int = 0


def need_share_class(config: Config, wanted: str) -> None:
    """A mode whose strategy counts in one share class.

    Raises
    ------
    ConfigError
        For another one.
    """
    if config.share_class != wanted:
        raise ConfigError(f"Invalid share_class: {config.share_class}. Must be {wanted} in mode {config.mode}.")


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
    """

    name: str
    decide: Any
    plans: Callable[[Config], tuple[Plan, ...]]
    policy: Callable[[Config, Slots], Mapping[int, float]] = _nothing
    rate: Callable[[Config, Mapping[str, np.ndarray]], np.ndarray] | None = None
