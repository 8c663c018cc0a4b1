"""Instrument templates to instrument keys, and whether their venues can serve them.

May import `basis.assets`, `basis.kernel.keys` and this package's modules only.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from basis.assets import load_assets
from basis.config.fields import refuse
from basis.config.venues import Distribution, Venue
from basis.kernel.keys import GAS_ASSET, QUOTE_ASSET, Key, parse_key

#: Text in braces in a template.
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KINDS = {
    "BaseToken": ("wallet", "exchange"),
    "Perp": ("exchange",),
    "aToken": ("protocol",),
    "debtToken": ("protocol",),
}


class Configuration(Protocol):
    """What this module reads of a configuration; `basis.config.Config` has it."""

    @property
    def asset(self) -> str: ...
    @property
    def instrument_templates(self) -> tuple[str, ...]: ...
    @property
    def hedge_venues(self) -> tuple[str, ...]: ...
    @property
    def instruments(self) -> tuple[str, ...]: ...
    @property
    def distributions(self) -> Mapping[str, Distribution]: ...
    @property
    def venues(self) -> Mapping[str, Venue]: ...
    @property
    def rewards(self) -> Any: ...


class Conversion(NamedTuple):
    """Where a token of the wallet is changed into ether and back.

    Attributes
    ----------
    protocol : venue of its protocol; None where it has none
    market : venue of the market; None where it is not changed at all
    """

    protocol: str | None = None
    market: str | None = None

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues that there are, the protocol first."""
        return tuple(venue for venue in self if venue is not None)


def expand(config: Configuration) -> tuple[str, ...]:
    """Expand the configuration's templates to keys, in order and without repeats."""
    keys: dict[str, None] = {}
    for template in config.instrument_templates:
        venues = config.hedge_venues if "{hedge}" in template else ("",)
        if not venues:
            refuse("strategy.hedge_allocation", None, f"must be set: the instruments hold {template}")
        for venue in venues:
            text = template.replace("{hedge}", venue)
            keys[_PLACEHOLDER.sub(lambda match: _value(config, template, match[1]), text)] = None  # noqa: B023
    keys |= {f"wallet:BaseToken:{symbol}": None for symbol in _distributed(config, keys)}
    return tuple(keys)


def _distributed(config: Configuration, keys: Iterable[str]) -> dict[str, Distribution]:
    held = {key.rpartition(":")[2] for key in keys} if config.rewards.enabled else set()
    paid = (item for venue in config.venues.values() for item in venue.rewards.items())
    return {symbol: terms for symbol, terms in paid if terms.on in held}


def distributions(config: Configuration) -> dict[str, Distribution]:
    """Reward tokens that what the configuration holds is paid, by symbol; none where rewards are off."""
    return _distributed(config, config.instruments)


def _value(config: Configuration, template: str, path: str) -> str:
    """The text for a placeholder: that of a key of the configuration, or of `reserve`."""
    if path == "reserve":
        return load_assets().reserve_of(config.asset)
    value: object = config
    for part in path.split("."):
        fields = getattr(type(value), "model_fields", {})
        if part not in fields:
            refuse("instruments", template, f"{{{path}}} is no key of the configuration", ())
        value = getattr(value, part)
    if value is None:
        refuse(path, None, f"must be set: the instruments hold {template}")
    if not isinstance(value, str):
        refuse("instruments", template, f"{{{path}}} must stand for a text, it is {value!r}")
    return value


def conversion_of(config: Configuration, symbol: str) -> Conversion:
    """Where a token of the wallet is changed into ether and back.

    A staking token is changed at its protocol and at the market, reward tokens at the market, and so is USDT where the
    wallet also holds ether. Other tokens are not changed.
    """
    facts = load_assets()
    token = facts.staking_tokens.get(symbol)
    if token is not None:
        return Conversion(token.staked_at, token.traded_at)
    both = {f"wallet:BaseToken:{asset}" for asset in (QUOTE_ASSET, GAS_ASSET)}
    swaps = symbol == QUOTE_ASSET and both <= set(config.instruments)
    return Conversion(market=facts.swap_venue) if swaps or symbol in config.distributions else Conversion()


def check_instruments(config: Configuration) -> None:
    """Refuse a key that is malformed, whose venue is unknown, or for which its venue lacks numbers."""
    for text in config.instruments:
        try:
            key = parse_key(text)
        except ValueError as error:
            refuse("instruments", text, str(error).rstrip("."))
        if key.venue not in config.venues:
            known = ", ".join(config.venues)
            refuse("instruments", text, f"venue {key.venue!r} is unknown; the venues are {known}", config.venues)
        venue = config.venues[key.venue]
        if venue.kind not in _KINDS[key.type]:
            refuse("instruments", text, f"{key.type} must be at a venue of kind {' or '.join(_KINDS[key.type])}")
        for missing in _missing(venue, key):
            refuse(f"venues.{venue.name}.{missing}", None, f"must be set: the instruments hold {text}")
    swap_venue = load_assets().swap_venue
    market = config.venues.get(swap_venue)
    for symbol in config.distributions:
        pair = f"{symbol}{GAS_ASSET}"
        if market is None or market.spot_fee is None or not {pair, "default"} & set(market.spot_slippage):
            what = f"venues.{swap_venue}.spot_slippage.{pair}"
            refuse(what, None, f"must be set: {symbol} is sold there (or set rewards.enabled=false)")


def _missing(venue: Venue, key: Key) -> list[str]:
    """Keys of the venue without which the instrument cannot be traded or margined."""
    if key.type == "Perp":
        needs = {
            "perp_fee": venue.perp_fee,
            "perp_slippage": {key.symbol, "default"} & set(venue.perp_slippage),
            "liquidation_fee": venue.liquidation_fee,
            f"tiers.{key.symbol}": key.symbol in venue.tiers,
        }
    elif key.type == "BaseToken" and venue.kind == "exchange" and key.symbol != venue.fee_asset:
        symbols = {key.symbol + venue.fee_asset, "default"}
        needs = {"spot_fee": venue.spot_fee, "spot_slippage": symbols & set(venue.spot_slippage)}
    elif key.type in ("aToken", "debtToken"):
        needs = {f"reserves.{key.symbol}": key.symbol in venue.reserves}
    else:
        needs = {}
    return [name for name, present in needs.items() if not present]
