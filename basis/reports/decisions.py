"""What became of a decision: orders told by what they lead to, and what stayed undone. Takes frames of events."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from basis.assets import load_assets
from basis.kernel.keys import parse_key
from basis.reports.formatting import number

#: What of an order may be left by rounding, relative.
_ROUNDING = 1e-9
#: Kinds of plans whose actions are in units of what is traded, and the share of one that is worth telling.
_IN_UNITS, _WORTH_TELLING = ("hedge", "long", "short"), 0.01


def undone(decided: Any, followed: Any, kinds: Mapping[str, str]) -> Iterator[str]:
    """What was decided in a row and not done, or not in full.

    Parameters
    ----------
    decided : events of the row of the decision
    followed : events that followed from its decisions, in any row
    kinds : asset of an action → kind of its plan
    """
    sent = followed[followed["kind"].isin(("order", "fill", "transfer", "reject"))]
    for reject in followed[followed["kind"] == "reject"].itertuples():
        what = reject.instrument or reject.action
        yield f"{reject.action} {what}: refused, {reject.detail}".replace(f"{what} {what}", str(what))
    orders = sent[sent["kind"] == "order"]
    for order in orders.itertuples():
        fills = sent[(sent["kind"] == "fill") & (sent["instrument"] == order.instrument) & (sent["seq"] > order.seq)]
        part = fills.head(1)
        if len(part) and "partial" in str(part["detail"].iloc[0]):
            left = order.quantity - float(part["quantity"].iloc[0])
            if abs(left) > _ROUNDING * abs(order.quantity):
                yield f"{order.instrument}: {number(left)} of {number(order.quantity)} was not filled"
    reached = {asset for name in {*sent["instrument"], *sent["destination"]} - {""} for asset in _assets_of(name)}
    on_its_way = (followed["kind"] == "transfer").any()
    for one in decided[decided["kind"] == "decision"].itertuples():
        asset = one.instrument.split()[0]
        if kinds.get(one.instrument) in _IN_UNITS and asset in reached:
            done = _traded(sent[sent["action"] == one.action], asset)
            if 0.0 < done < one.amount * (1.0 - _WORTH_TELLING):
                yield f"{one.action} {one.instrument}: {number(one.amount - done)} of {number(one.amount)} is left"
        elif asset not in reached:
            amount = f" {number(one.amount)}" if one.amount else ""
            why = "it waits for what is on its way" if on_its_way else "nothing had to be sent, or nothing could be"
            yield f"{one.action} {one.instrument}{amount}: {why}"


def _traded(sent: Any, asset: str) -> float:
    """Units of an asset that fills traded, of the leg that traded more."""
    fills = sent[sent["kind"] == "fill"]
    fills = fills[np.array([asset in _assets_of(name) for name in fills["instrument"]], dtype=bool)]
    legs = fills["quantity"].abs().groupby(fills["instrument"].str.contains(":Perp:")).sum()
    return float(legs.max()) if len(legs) else 0.0


def _assets_of(instrument: str) -> tuple[str, ...]:
    """The token of an instrument, and the asset that it stands for."""
    key = parse_key(instrument)
    return key.symbol, key.base, load_assets().underlying_of(key.base)


class Holdings:
    """Quantities as orders change them one by one, so that each is told by what it leads to.

    Parameters
    ----------
    before : instrument → quantity before the first order, what is under way included
    """

    def __init__(self, before: dict[str, float]) -> None:
        self._held = dict(before)

    def after(self, instrument: str, change: float) -> str:
        """``to 33,378 USDT at okx (+120)``, and keep the change."""
        now = self._held.get(instrument, 0.0) + change
        # what rounding leaves of a position that was closed is none
        now = 0.0 if abs(now) <= _ROUNDING * abs(change) else now
        self._held[instrument] = now
        venue, kind, symbol = instrument.split(":")
        what = f"{symbol} perp" if kind == "Perp" else symbol
        return f"to {number(now)} {what} at {venue} ({'+' if change > 0.0 else ''}{number(change)})"
