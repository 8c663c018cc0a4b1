"""What the actions of a strategy mean in a run, and what a strategy is to the kernel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel.layout import codes, records
from ..kernel.numba.struct_view import make_records
from ..market.watched import Watched
from .slots import Slots


@dataclass(frozen=True)
class Plan:
    """What an action on an asset means in a run (see `basis.kernel.routes`).

    Attributes
    ----------
    kind : one of `kernel.layout.codes.PLAN_NAMES`: ``hedge`` (spot and perp shorts), ``margin`` (cash at the venues),
        ``lend`` (token supplied to a pool), ``stake`` (ether changed into a staking token), ``lever`` (such a token
        supplied against a debt in ether), ``dust`` (reward tokens, which are only sold), ``long`` or ``short`` (perps
        on one side, over venues by weight)
    asset : the asset's name, as events show it
    token : key of the spot leg, or of the token that is lent
    pool : key of the supplied position
    market : symbol of the perps
    pays : key of the token that pays for what is staked
    at_market : whether it is traded rather than staked
    leaves_at_market : whether it is sold at the market however it was got, where a queue would come too late
    debt : key of the debt
    loops : borrowings of a loop by hand; 0 levers in one transaction

    Raises
    ------
    ValueError
        Where there is no such kind.
    """

    kind: str
    asset: str
    token: str | None = None
    pool: str | None = None
    market: str | None = None
    pays: str | None = None
    at_market: bool = False
    leaves_at_market: bool = False
    debt: str | None = None
    loops: int = 0

    def __post_init__(self) -> None:
        if self.kind not in codes.PLAN_NAMES[1:]:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(codes.PLAN_NAMES[1:])}.")

    @property
    def holds(self) -> str | None:
        """Key of what is held long for it; ether of the wallet only waits to be put to work."""
        if self.kind == "hedge" and self.token and self.token.startswith("wallet:"):
            return None
        return self.pool or self.token


class Bound(NamedTuple):
    """A strategy in a book.

    Attributes
    ----------
    decide : what the kernel calls
    places : (names,) int64, where the view shows what the strategy names
    watched : columns that it watches
    """

    decide: Any
    places: np.ndarray
    watched: tuple[Watched, ...]


def _no_policy(config: Config, slots: Slots) -> dict[str, float]:
    return {}


def usual_names(config: Config) -> dict[str, str]:
    """Texts that every mode has: its asset, and the key of that in the wallet."""
    return {"asset": config.asset, "wallet": f"wallet:BaseToken:{config.asset}"}


@dataclass(frozen=True)
class Strategy:
    """A strategy that the kernel can run.

    Attributes
    ----------
    name : of the strategy
    decide : what decides, see `strategies.compiled.CompiledStrategy`: ``bind(config, slots, plans, texts, columns)``
        gives it `Bound` to a book, `params` are its own parameters
    plans : configuration → plans; an action names a plan by its asset
    policy : configuration and slots → what its policy sets beside the configuration's, by the names of
        `kernel.layout.state.POLICY`
    names : configuration → texts that `decide` reads as attributes of its view, such as the asset of its mode
    rate : configuration and market columns → (rows,) the annualised rate a rate rule watches; None where it has none
    rate_is_of_legs : whether that is a rate of what is put to work, as funding of a notional is, and not of all equity
    signal : configuration and market columns → (signals, rows) a signal, whether it is trusted, and the distances of
        stop and take-profit; its perps then have both, and it is asked where either of the first two changes
    """

    name: str
    decide: Any
    plans: Callable[[Config], tuple[Plan, ...]]
    policy: Callable[[Config, Slots], Mapping[str, float]] = _no_policy
    names: Callable[[Config], Mapping[str, str]] = usual_names
    rate: Callable[[Config, Mapping[str, np.ndarray]], np.ndarray] | None = None
    signal: Callable[[Config, Mapping[str, np.ndarray]], np.ndarray] | None = None
    rate_is_of_legs: bool = False


def asked_in_every_row(strategy: Strategy) -> Strategy:
    """A strategy that is asked in every row, whatever its mode waits for."""

    def policy(config: Config, slots: Slots) -> dict[str, float]:
        return {**strategy.policy(config, slots), "every_row": 1.0}

    return replace(strategy, policy=policy)


def check_plans(strategy: Strategy, plans: tuple[Plan, ...], slots: Slots) -> None:
    """Every plan has an asset of its own name, and the book has all that it names.

    The kernel reads and writes the places of what is named, and does not look whether there are any.

    Raises
    ------
    ConfigError
        Where two plans share an asset, or an instrument is missing.
    """
    named = [plan.asset for plan in plans]
    if len(set(named)) < len(named):
        raise ConfigError(f"{strategy.name}: plans {', '.join(named)}. Each must have an asset of its own name.")
    for plan in plans:
        keys = [key for key in (plan.token, plan.pool, plan.pays, plan.debt) if key]
        missing = [key for key in keys if slots.index(key) < 0]
        if plan.market and plan.market not in slots.markets:
            missing.append(f"a perp of {plan.market}")
        if missing:
            raise ConfigError(
                f"instruments: strategy {strategy.name} needs {' and '.join(missing)}. Add what is missing."
            )


def plan_records(plans: tuple[Plan, ...], slots: Slots) -> np.recarray:
    """(plans,) records of what the kernel knows of the plans."""
    made = make_records(records.PLAN, len(plans))
    for row, plan in zip(made, plans, strict=True):
        venue = plan.token.split(":")[0] if plan.token else ""
        leaves = codes.LEAVES_AT_MARKET if plan.leaves_at_market else codes.AT_PROTOCOL
        row.kind = codes.PLAN_NAMES.index(plan.kind)
        row.asset = slots.assets.index(plan.asset) if plan.asset in slots.assets else -1
        row.token = slots.index(plan.token) if plan.token else -1
        row.collateral = slots.index(plan.pool) if plan.pool else -1
        row.venue = slots.venues.index(venue) if venue in slots.venues else -1
        row.market = slots.markets.index(plan.market) if plan.market else -1
        row.pays = slots.index(plan.pays) if plan.pays else -1
        row.place = codes.AT_MARKET if plan.at_market else leaves
        row.debt = slots.index(plan.debt) if plan.debt else -1
        row.loops = plan.loops
    return made
