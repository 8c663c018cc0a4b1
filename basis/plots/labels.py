"""Texts for measures, instruments and numbers, the same on figures and in reports. Imports numpy only."""

import numpy as np

#: Risk measure to its name.
_MEASURES = {
    "margin_ratio": "margin ratio",
    "health_factor": "health factor",
    "net_delta_ratio": "net delta",
    "ltv": "LTV",
    "drawdown": "drawdown",
}
#: Type of an instrument key to the text for symbol and venue.
_INSTRUMENTS = {
    "BaseToken": "{} at {}",
    "Perp": "{} perp at {}",
    "aToken": "{} supplied at {}",
    "debtToken": "{} owed at {}",
}


def measure_label(measure: str) -> str:
    """Name of a risk measure: ``margin_ratio|okx`` is ``margin ratio at okx``."""
    head, _, tail = measure.partition("|")
    return _MEASURES.get(head, head) + (f" {'at ' if head == 'margin_ratio' else 'of '}{tail}" if tail else "")


def format_value(value: float, kind: str) -> str:
    """A risk measure with four digits; of a `kind` other than ``ratio`` it is a fraction and shown in percent."""
    shown = value if kind == "ratio" else 100.0 * value
    text = f"{shown:,.0f}" if abs(shown) >= 1_000.0 else f"{shown:.4g}"
    return text.replace("-", "−") + ("" if kind == "ratio" else "%")


def format_minute(stamp: np.datetime64) -> str:
    """An instant to the minute: ``2024-08-05 02:00``."""
    return str(stamp.astype("M8[m]")).replace("T", " ")


def instrument_label(key: str) -> str:
    """Name of an instrument: ``aave_v3:aToken:weETH`` is ``weETH supplied at aave_v3``."""
    parts = key.split(":")
    if len(parts) != 3:
        return key
    venue, kind, symbol = parts
    return _INSTRUMENTS.get(kind, "{} at {}").format(symbol, venue)
