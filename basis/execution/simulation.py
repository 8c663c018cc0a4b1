"""Simulated venues: they fill at the kernel's prices, with its fees, margins and gas.

A simulator of one's own is a subclass with its `execute`; what it returns is booked as it is.
"""

from ..components.book import Book
from ..components.deals import Fill, Order
from ..kernel import hour
from ..kernel import layout as at
from .interface import VenueInterface


class SimulationClient(VenueInterface):
    """A venue as the kernel sees it."""

    @property
    def book(self) -> Book:
        """State of the run."""
        return self.position_monitor.book

    async def execute(self, order: Order) -> Fill:
        """Fill at the reference of the row with the venue's slippage and fee, or refuse."""
        book = self.book
        status = book.do(hour.PRICE, order.place_and_action)
        if status != at.OK:
            return Fill(order, at.REASONS[status])
        deal = book.desk.deal.tolist()
        return Fill(order, "", *deal[at.D_QUANTITY :])


class ExchangeSimulation(SimulationClient):
    """An exchange: spot, perps, withdrawals."""


class ProtocolSimulation(SimulationClient):
    """A lending protocol on chain."""


class WalletSimulation(SimulationClient):
    """The wallet: transfers to venues."""
