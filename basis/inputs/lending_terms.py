"""Lending parameters of collaterals: their own, or those of the e-mode that their account is in."""

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel.keys import Key
from .slots import Slots


class CollateralTerms(NamedTuple):
    """Lending parameters of a collateral: LTV at opening, liquidation threshold and bonus, supply cap in units."""

    ltv: float
    threshold: float
    bonus: float
    cap: float


def _emode(config: Config, slots: Slots, name: str, when: datetime) -> Any:
    """The e-mode of the account at a venue.

    Of those that take all its debts it is the one for most of its collateral, then the one with the highest threshold;
    None where none fits.
    """
    debts = {debt.symbol for debt in slots.debt if debt.venue == name}
    held = {key.symbol for key in slots.collateral if key.venue == name}
    modes = [table.at(when) for table in config.venues[name].emodes.values()]
    fit = [mode for mode in modes if debts and debts <= set(mode.debt) and held & set(mode.collateral)]
    return max(fit, key=lambda mode: (len(held & set(mode.collateral)), mode.liquidation_threshold), default=None)


def collateral_terms(config: Config, slots: Slots, key: Key, when: datetime) -> CollateralTerms:
    """Parameters of a collateral in force: its own, or those of the account's e-mode where they reach further."""
    own = config.venues[key.venue].reserves[key.symbol].at(when)
    cap = np.inf if own.supply_cap is None else own.supply_cap
    found = CollateralTerms(own.ltv, own.liquidation_threshold, own.liquidation_bonus, cap)
    mode = _emode(config, slots, key.venue, when)
    if mode is None or key.symbol not in mode.collateral or mode.liquidation_threshold <= found.threshold:
        return found
    return found._replace(ltv=mode.ltv, threshold=mode.liquidation_threshold, bonus=mode.liquidation_bonus)


def check_leverage(config: Config, slots: Slots, instants: list[datetime]) -> None:
    """A loan to value aimed at has to be possible, and safe at the edge of its band, whatever is in force.

    Raises
    ------
    ConfigError
        Where it is not; the message says what is.
    """
    settings = config.strategy
    if settings.target_ltv is None or not slots.debt:
        return
    for when in instants:
        for key in slots.collateral:
            held = collateral_terms(config, slots, key, when)
            what = f"{key.symbol} has LTV {held.ltv:.4g} and threshold {held.threshold:.4g} from {when:%Y-%m-%d} on"
            _check_target(settings, held, what)


def _check_target(settings: Any, held: CollateralTerms, what: str) -> None:
    high = settings.target_ltv + (settings.ltv_band or 0.0)
    if settings.target_ltv > held.ltv:
        raise ConfigError(f"Invalid strategy.target_ltv: {settings.target_ltv}. Must be <= {held.ltv:.4g}: {what}.")
    if high >= held.threshold:
        raise ConfigError(
            f"Invalid strategy.ltv_band: {settings.ltv_band}. target_ltv + ltv_band must be < "
            f"{held.threshold:.4g}: {what}."
        )
    floor = settings.min_health_factor
    if floor is not None and floor >= held.threshold / high:
        raise ConfigError(
            f"Invalid strategy.min_health_factor: {floor}. Must be < {held.threshold / high:.4g}, the health "
            f"factor at target_ltv + ltv_band: {what}."
        )


def threshold_lines(
    config: Config, slots: Slots, instants: list[datetime], terms_index: np.ndarray
) -> dict[str, np.ndarray]:
    """Liquidation threshold in every row, by reserve of the collateral."""
    return {
        key.reserve: np.array([collateral_terms(config, slots, key, when).threshold for when in instants])[terms_index]
        for key in slots.collateral
    }
