"""The book that a run starts from, as its user gives it: quantities and costs by instrument key."""

from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..errors import ConfigError, InputError, shown
from ..kernel.keys import parse_key


def starting_holdings(config: Config, positions: Mapping[str, float] | None) -> dict[str, float]:
    """Starting book: the positions given, or the capital where it arrives.

    Raises
    ------
    InputError
        Where a key or quantity makes no sense.
    """
    if positions is None:
        key = f"{config.start_venue}:BaseToken:{config.share_class}"
        if key not in config.instruments:
            cash = (k for k in config.instruments if k.endswith((":BaseToken:USDT", ":BaseToken:ETH")))
            raise ConfigError(
                f"start_venue {config.start_venue!r}, share_class {config.share_class!r}: {config.mode} has no {key}. "
                f"Start with {' or '.join(cash)}, or from positions."
            )
        return {key: float(config.initial_capital)}
    out: dict[str, float] = {}
    for name, amount in positions.items():
        text, _, measure = str(name).partition("|")
        try:
            key = parse_key(text)
        except ValueError as error:
            raise InputError(f"positions: {error}") from error
        if measure not in ("", "cost") or (measure == "cost" and key.type != "Perp"):
            raise InputError(f"positions: {name!r} is not known; write <key> for a quantity or <perp key>|cost.")
        try:
            value = float(amount)
        except (TypeError, ValueError, OverflowError):
            value = np.nan
        if not np.isfinite(value) or (value < 0.0 and key.type != "Perp"):
            raise InputError(
                f"positions: {name!r} is {shown(amount)}; it must be finite, and only a perp may be below 0."
            )
        out[f"{key}|cost" if measure else str(key)] = value
    for name, quantity in list(out.items()):
        key = parse_key(name.partition("|")[0])
        if key.type == "Perp" and "|" not in name and quantity != 0.0 and f"{key}|cost" not in out:
            raise InputError(f"positions: {name!r} needs '{name}|cost', its quantity times the average entry price.")
        held = out.get(str(key), 0.0)
        if name.endswith("|cost") and not (quantity * held > 0.0 or quantity == held == 0.0):
            raise InputError(f"positions: {name!r} is {quantity!r}; it must have the sign of the quantity ({held!r}).")
    return out
