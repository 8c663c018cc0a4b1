"""Instrument templates to instrument keys, and whether their venues can serve them.

May import `basis.kernel.keys` and this package's modules only.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from basis.config.fields import refuse
from basis.config.venues import Distribution, Venue
from basis.kernel.keys import Key, parse_key, reserve_of

if TYPE_CHECKING:
    from basis.config.models import Config

#: Protocol of each liquid staking token, and where it is traded.
STAKED_AT = {"weETH": "etherfi", "wstETH": "lido"}
DEX = "uniswap_v3"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KINDS = {
    "BaseToken": ("wallet", "exchange"),
    "Perp": ("exchange",),
    "aToken": ("protocol",),
    "debtToken": ("protocol",),
}


def expand(config: "Config") -> tuple[str, ...]:
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


def _distributed(config: "Config", keys: Iterable[str]) -> dict[str, Distribution]:
    held = {key.rpartition(":")[2] for key in keys} if config.rewards.enabled else set()
    paid = (item for venue in config.venues.values() for item in venue.rewards.items())
    return {symbol: terms for symbol, terms in paid if terms.on in held}


def distributions(config: "Config") -> dict[str, Distribution]:
    """Reward tokens that what the configuration holds is paid, by symbol; none where rewards are off."""
    return _distributed(config, config.instruments)


def _value(config: "Config", template: str, path: str) -> str:
    if path == "reserve":
        return reserve_of(config.asset)
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


def changers_of(config: "Config", symbol: str) -> tuple[str, ...]:
    """Where a token of the wallet is changed for ether: a staking token at its protocol and, last, at the market;
    reward tokens, and USDT where the wallet holds ether too, at the market; none for other tokens."""
    if symbol in STAKED_AT:
        return STAKED_AT[symbol], DEX
    swaps = symbol == "USDT" and {"wallet:BaseToken:USDT", "wallet:BaseToken:ETH"} <= set(config.instruments)
    return (DEX,) if swaps or symbol in config.distributions else ()


def check_instruments(config: "Config") -> None:
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
    market = config.venues.get(DEX)
    for symbol in config.distributions:
        what = f"{DEX}.spot_slippage.{symbol}ETH"
        if market is None or market.spot_fee is None or not {f"{symbol}ETH", "default"} & set(market.spot_slippage):
            refuse(f"venues.{what}", None, f"must be set: {symbol} is sold there (or set rewards.enabled=false)")


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
