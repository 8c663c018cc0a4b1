"""Instrument keys `venue:type:symbol`. Pure Python, so that configuration can use it without Numba."""

from typing import NamedTuple

TYPES = ("BaseToken", "aToken", "debtToken", "Perp")
#: Quote assets a perp symbol may end with; linear contracts only.
QUOTES = ("USDT",)


#: Assets that lending protocols hold under another name.
RESERVES = {"ETH": "WETH"}


def reserve_of(asset: str) -> str:
    """The name under which a lending protocol holds an asset."""
    return RESERVES.get(asset, asset)


class Key(NamedTuple):
    """A parsed instrument key (accounting §2)."""

    venue: str
    type: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.type}:{self.symbol}"

    @property
    def base(self) -> str:
        """The asset whose price moves the instrument: ``BTC`` of ``BTCUSDT``; the symbol itself otherwise."""
        return self.symbol[: -len(self.quote)] if self.type == "Perp" else self.symbol

    @property
    def quote(self) -> str:
        """Quote asset of a perp; empty for the other types."""
        if self.type != "Perp":
            return ""
        return next(q for q in QUOTES if self.symbol.endswith(q))


def parse_key(text: "str | Key") -> Key:
    """Parse ``venue:type:symbol``.

    Raises
    ------
    ValueError
        Where a part is missing or the type is unknown; the message names the three parts.
    """
    if isinstance(text, Key):
        return text
    parts = text.split(":") if isinstance(text, str) else []
    if len(parts) != 3 or not all(parts):
        raise ValueError(
            f"Invalid instrument key {text!r}: a key has three parts, venue:type:symbol, as in 'binance:Perp:BTCUSDT'."
        )
    key = Key(*parts)
    if key.type not in TYPES:
        raise ValueError(
            f"Invalid instrument key {text!r}: type {key.type!r} is unknown; the parts are venue:type:symbol and the "
            f"type is one of {', '.join(TYPES)}."
        )
    if key.type == "Perp" and not any(key.symbol.endswith(q) and key.symbol != q for q in QUOTES):
        raise ValueError(
            f"Invalid instrument key {text!r}: a perp's symbol is base and quote, the quote one of {', '.join(QUOTES)}."
        )
    return key
