"""What is asked of a venue, and what it answers: orders and fills, the same for simulated, test and live venues."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..kernel.layout.codes import ORDER_NAMES, REASONS


@dataclass(frozen=True, slots=True)
class Order:
    """One order to one venue.

    Attributes
    ----------
    kind : one of `kernel.layout.codes.ORDER_NAMES`
    venue : who carries it out
    instrument : key of what is traded, sent, supplied or withdrawn
    destination : key it goes to (transfers, pools); empty for trades
    quantity : units, signed for trades; of the underlying for pools
    action : action of the strategy it belongs to
    timestamp : instant of the row, ns UTC
    client_order_id : the same for every attempt to send it
    """

    kind: str
    venue: str
    instrument: str
    destination: str
    quantity: float
    action: str
    timestamp: int
    client_order_id: str
    # its place in the kernel's arrays, and the code of its action
    slot: int = field(repr=False)
    counter_slot: int = field(repr=False)
    place: int = field(repr=False)
    action_code: int = field(repr=False)

    @property
    def code(self) -> int:
        """Code of its kind in the kernel."""
        return ORDER_NAMES.index(self.kind)


@dataclass(frozen=True, slots=True)
class Fill:
    """What a venue made of an order.

    Attributes
    ----------
    reason : empty where it was filled; else why not, one of `kernel.layout.codes.REASONS`
    quantity : units filled, signed for trades
    price, reference_price : quote units per unit (index for pools); slippage is measured from the reference
    fee_rate : fee of a trade by its notional
    fee : fee of a transfer, units of what is sent
    gas_units : gas it takes
    wait_s : seconds until a transfer arrives
    put_in : ether of the wallet that goes into a bundle, gas included
    """

    order: Order
    reason: str = ""
    quantity: float = 0.0
    price: float = 0.0
    reference_price: float = 0.0
    fee_rate: float = 0.0
    fee: float = 0.0
    gas_units: float = 0.0
    wait_s: float = 0.0
    put_in: float = 0.0

    def __bool__(self) -> bool:
        return not self.reason

    def replace(self, **changes: Any) -> Self:
        """The same with other numbers."""
        return replace(self, **changes)

    @classmethod
    def rejected(cls, order: Order, reason: str) -> "Fill":
        """Not filled.

        Raises
        ------
        ValueError
            For a reason that is not one of `kernel.layout.codes.REASONS`.
        """
        if reason not in REASONS[1:]:
            raise ValueError(f"{reason!r} is no reason of a rejection; there are: {', '.join(REASONS[1:])}.")
        return cls(order, reason)
