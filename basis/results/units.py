"""Units of the columns of a run folder. Imports no pandas."""

from basis.kernel.keys import QUOTE_ASSET as QUOTE
from basis.kernel.keys import Key, parse_key

RATIO = "fraction"

_EVENTS = {
    "seq": "count",
    "timestamp": "UTC",
    "effective_at": "UTC",
    "quantity": "units of the instrument (scaled for aToken and debtToken)",
    "price": f"{QUOTE} per unit (index for lending)",
    "reference_price": f"{QUOTE} per unit (index for lending)",
    "rate": "fraction of notional",
    "gas_units": "gas",
    "realised_cash": QUOTE,
    "amount": "units of the cash or underlying that moves",
}
_SHARE_CLASS = ("notional", "fee", "slippage", "gas", "flash_fee", "peg_conversion")
_PANEL = {
    "spot": f"{QUOTE}/{{base}}",
    "usd": "USD/{base}",
    "mark": f"{QUOTE}/{{base}}",
    "high": f"{QUOTE}/{{base}}",
    "low": f"{QUOTE}/{{base}}",
    "funding_rate": "fraction of notional",
    "funding_cash": f"{QUOTE}/{{base}}",
    "funding_apr": "1/year",
    "volume": "{base}",
    "volatility": "fraction of the price, per step",
    "liquidity_index": "{base} per scaled unit",
    "borrow_index": "{base} per scaled unit",
    "oracle_rate": "ETH/{base}",
    "market_rate": "ETH/{base}",
    "gas_price_gwei": "gwei per gas",
    "signal": "-1 short, 0 flat, 1 long",
    "confidence": "fraction",
    "sd": "fraction of the price",
    "feature": "as in its file",
}


def base_of(text: str) -> str:
    """The asset of an instrument key, the token of a lending reserve (``aave_v3:WETH``), or the name itself."""
    return parse_key(text).base if text.count(":") == 2 else text.rpartition(":")[2]


def unit_of_quantity(key: Key) -> str:
    """Unit of a stored quantity."""
    return f"scaled {key.symbol}" if key.type in ("aToken", "debtToken") else key.base


def unit(table: str, column: str, share_class: str) -> str:
    """Unit of a column of a table; the share class for money."""
    if column == "timestamp":
        return "UTC"
    measure, _, rest = column.partition("|")
    name, _, variant = rest.partition("|")
    if table == "equity":
        return f"USD/{share_class}" if column == "share_class_usd" else share_class
    if table == "attribution":
        return share_class
    if table == "positions":
        key = parse_key(measure)
        return (key.quote or QUOTE) if rest == "cost" else unit_of_quantity(key)
    if table == "exposure":
        return {"net_delta": name, "net_delta_ratio": "fraction of equity"}.get(measure, share_class)
    if table == "risk":
        fixed = {
            "alert": "level (0, 1 warning, 2 critical)",
            "health_factor": "ratio",
            "liquidation_distance": "fraction of the price of collateral in debt",
            "liquidation_price": "multiple of the price of collateral in debt",
            "days_to_liquidation": "days",
            "stop": f"{QUOTE}/{base_of(name)}",
            "take_profit": f"{QUOTE}/{base_of(name)}",
        }
        return fixed.get(measure, "fraction of notional" if measure.endswith("_ratio") else "fraction of collateral")
    if table == "events":
        return _EVENTS.get(column, share_class if column in _SHARE_CLASS else "text")
    if rest.endswith(("|age_s", "age_s")):
        return "s"
    if rest.endswith("source"):
        return "text"
    if measure == "volume" and name == "spot":
        name = variant
    return _PANEL.get(measure, "1/year" if "apr" in measure else "1").format(base=base_of(name))
