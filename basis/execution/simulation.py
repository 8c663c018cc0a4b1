"""Simulated venues: they fill at the kernel's prices, with its fees, margins and gas.

A simulator of one's own is a subclass with its `execute`; what it returns is booked as it is.
"""

from ..components.orders import Fill, Order
from ..components.run_state import RunState
from ..kernel.layout.codes import FILLED, REASONS
from ..kernel.layout.records import FILL
from ..kernel.step import Step
from .interface import VenueInterface

#: What a venue says of a fill, by the names of both the kernel and `Fill`.
_OF_VENUE = ("quantity", "price", "fee_rate", "fee", "gas_units", "wait_s", "put_in")


class SimulationClient(VenueInterface):
    """A simulated venue; override `execute` for one of one's own and give the class to ``backtest(interfaces=…)``.

    An order (`basis.components.orders.Order`) has ``kind``, ``venue``, ``instrument``, ``destination``, ``quantity``
    (units, signed for trades), ``action`` and ``timestamp``. The answer is a fill, which is booked as it is: its
    ``price``, ``reference_price`` (slippage is the distance between them), ``quantity``, ``fee_rate``, ``fee``,
    ``gas_units`` and ``wait_s`` may be changed by ``fill.replace(…)``; it is false where the venue refuses, and
    ``reason`` says why.

    Examples
    --------
    Trades two basis points worse than the venue's figures say:

    >>> class Wide(basis.SimulationClient):
    ...     async def execute(self, order):
    ...         fill = await super().execute(order)
    ...         if not fill or order.kind not in ("spot", "perp"):
    ...             return fill
    ...         return fill.replace(price=fill.price * (1.0002 if order.quantity > 0 else 0.9998))
    >>> june = {"start": "2024-06-01", "end": "2024-06-30"}
    >>> usual = basis.backtest("btc_basis", **june)
    >>> wide = basis.backtest("btc_basis", **june, interfaces={"bybit": Wide})
    >>> bool(wide.attribution["slippage"].sum() < usual.attribution["slippage"].sum())
    True
    """

    @property
    def run(self) -> RunState:
        """State of the run."""
        return self.position_monitor.run.state

    async def execute(self, order: Order) -> Fill:
        """Fill at the reference of the row with the venue's slippage and fee, or refuse.

        Parameters
        ----------
        order : Order

        Returns
        -------
        Fill
            False where it was refused.
        """
        status = self.run.do(Step.PRICE_ORDER, order.place)
        if status != FILLED:
            return Fill(order, REASONS[status])
        priced = dict(zip(FILL.names, self.run.scratch.fills.item(0), strict=True))
        return Fill(
            order,
            reference_price=priced["reference"],
            **{name: priced[name] for name in _OF_VENUE},
        )


class ExchangeSimulation(SimulationClient):
    """An exchange: spot, perps, withdrawals."""


class ProtocolSimulation(SimulationClient):
    """A lending protocol on chain."""


class WalletSimulation(SimulationClient):
    """The wallet: transfers to venues."""
