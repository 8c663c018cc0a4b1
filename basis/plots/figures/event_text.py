"""The text of one event, for the hover text of its mark. Imports numpy only."""

from basis.plots.data import RunData, is_lending_token
from basis.plots.labels import format_value, instrument_label, measure_label

#: Type of a lending token to what a liquidation does with it.
_LIQUIDATED = {"aToken": "seized {} collateral", "debtToken": "repaid {} debt"}


def liquidation_text(run: RunData, event: int) -> str:
    """A liquidation: what was sold, seized or repaid, the bad debt and the penalty; `event` is its row in the table."""
    events = run.events
    quantity, price, fee = (float(events[name][event]) for name in ("quantity", "price", "fee"))
    venue, (kind, symbol) = str(events["venue"][event]), str(events["instrument"][event]).split(":")[-2:]
    if kind in _LIQUIDATED:
        # the quantity is a scaled balance, which means little to a reader
        text = f"{_LIQUIDATED[kind].format(symbol)} worth {run.money(float(events['notional'][event]))}"
    else:
        text = f"{'bought' if quantity > 0.0 else 'sold'} {abs(quantity):,.6g} {symbol} at {price:,.2f} USDT"
    if "bad debt" in str(events["detail"][event]):
        text += f", bad debt of {run.money(float(events['amount'][event]))}"
    if "borne by the pool" in str(events["detail"][event]):
        return f"debt without collateral at {venue}, {run.money(float(events['notional'][event]))}: borne by the pool"
    return f"liquidation at {venue}: {text}" + (f", penalty {run.money(fee)}" if fee else "")


def event_text(run: RunData, event: int) -> str:
    """Any event. `event` is its row in the table."""
    events = run.events
    kind, detail = (str(events[name][event]) for name in ("kind", "detail"))
    quantity, amount = float(events["quantity"][event]), float(events["amount"][event])
    instrument = str(events["instrument"][event])
    what = instrument_label(instrument)
    if kind == "liquidation":
        return liquidation_text(run, event)
    if kind == "fill":
        costs = [
            (name.replace("_", " "), float(events[name][event])) for name in ("fee", "slippage", "gas", "flash_fee")
        ]
        paid = "".join(f", {name} {run.money(cost)}" for name, cost in costs if cost)
        # the quantity of a lending token is a scaled balance, which means little to a reader
        size = "" if is_lending_token(instrument) else f"{quantity:+,.6g} "
        return f"{detail} fill: {size}{what}, worth {run.money(float(events['notional'][event]))}{paid}"
    if kind == "transfer":
        return f"transfer of {abs(quantity):,.6g} from {what} to {events['destination'][event]}, {detail}"
    if kind == "arrival":
        return f"arrival of {quantity:,.6g} {what}"
    if kind == "funding":
        rate = float(events["rate"][event])
        return f"funding on {what}: {amount:+,.2f} USDT at a rate of {rate:.4%}"
    if kind == "reward":
        return f"reward of {quantity:,.6g} {what}, worth {run.money(float(events['notional'][event]))}"
    if kind == "alert":
        shown = format_value(amount, "ratio" if instrument == "health_factor" else "percent")
        return f"{measure_label(instrument)} {events['level'][event]}: {shown}"
    if kind == "decision":
        return f"decision: {events['action'][event]} {instrument} {amount:,.6g}"
    if kind == "order":
        return f"{detail} order: {quantity:+,.6g} {what}" if quantity else f"{detail} order: {what}"
    if kind == "reject":
        return f"rejected, {what}: {detail}"
    if kind == "revert":
        return f"{detail} reverted, gas {run.money(float(events['gas'][event]))}"
    if kind == "flow":
        return f"flow of {amount:+,.6g}" + (f" ({detail})" if detail else "")
    return f"{kind}: {detail}"
