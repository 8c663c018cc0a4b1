"""Instrument keys `venue:type:symbol`. Pure Python, so that configuration can use it without Numba."""

from typing import NamedTuple

TYPES = ("BaseToken", "aToken", "debtToken", "Perp")
#: Asset in which exchanges keep cash and quote prices. The accounts know one: perps are linear contracts in it.
QUOTE_ASSET = "USDT"
#: Asset in which the wallet pays for gas, and for which it changes its other tokens.
GAS_ASSET = "ETH"


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
        return QUOTE_ASSET if self.type == "Perp" else ""

    @property
    def reserve(self) -> str:
        """The reserve of a supply or a debt as the market's columns name it: ``aave_v3:WETH``."""
        return f"{self.venue}:{self.symbol}"


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
    if key.type == "Perp" and (not key.symbol.endswith(QUOTE_ASSET) or key.symbol == QUOTE_ASSET):
        raise ValueError(
            f"Invalid instrument key {text!r}: a perp's symbol is base and quote, and the quote is {QUOTE_ASSET}."
        )
    return key
