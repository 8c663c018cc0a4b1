"""PositionMonitor: the book, every quantity by instrument key; the only writer of quantities."""

import math
from typing import Any

from ..config import Config
from ..errors import ExecutionError
from ..kernel import hour
from ..kernel import layout as at
from .book import Book
from .deals import Fill
from .readings import Reading, positions

#: Orders whose quantity leaves a balance.
_LEAVES = ("spot", "transfer", "supply", "withdraw", "swap", "stake", "unstake", "repay")


class PositionMonitor:
    """What is held, where, and what is under way.

    Parameters
    ----------
    config, data_provider : shared by all components
    book : state of the run
    """

    def __init__(self, config: Config, data_provider: Any, book: Book) -> None:
        self.config, self.data_provider, self.book = config, data_provider, book

    async def get_snapshot(self, timestamp: Any = None) -> Reading:
        """Quantities as they stand (or stood after the fills of an earlier row): a row of `positions.parquet`.

        Before a run it is the starting book.
        """
        return Reading.of(self.book, "position", positions, timestamp)

    def update_position(self, trigger_event: str, changes: Any = None) -> bool:
        """Change quantities, once, for a reason; whether anything is different now.

        Parameters
        ----------
        trigger_event : ``liquidation`` (inside the hour that ended), ``settlement`` (what liquidations left, funding),
            ``margin_test`` (liquidation at the marks of the row), ``arrivals`` (transfers and deposits),
            ``withdrawal`` (what is owed to the investor), ``fill``, ``reverted`` (gas of a transaction that failed)
        changes : bits of `hour.begin` for the first two, the `Fill` for the last

        Raises
        ------
        ExecutionError
            Where a fill cannot be: not a number, or more than there is.
        """
        book = self.book
        if trigger_event == "fill":
            self._take(changes)
        elif trigger_event == "reverted":
            pass  # the gas is gone with the refusal
        elif trigger_event == "settlement":
            if changes & hour.PAUSES:
                book.do(hour.RELEASE)
            if changes & hour.FUNDS:
                book.do(hour.FUNDING)
        elif trigger_event == "liquidation":
            if changes & hour.STRIKES:
                book.do(hour.STRIKE)
            if changes & hour.REPORTS:
                book.do(hour.REPORT)
        elif trigger_event == "margin_test":
            return book.do(hour.STRIKE_AT_MARKS) > 0
        elif trigger_event == "arrivals":
            book.do(hour.ARRIVE)
            book.do(hour.FLOW)
            return book.head(at.ARRIVED) > 0.0 or book.head(at.FLOW) != 0.0
        elif trigger_event == "withdrawal":
            before = book.head(at.FLOW)
            book.do(hour.PAY)
            return book.head(at.FLOW) != before
        else:
            raise ValueError(f"trigger_event {trigger_event!r} is not known.")
        return True

    def _take(self, fill: Fill) -> None:
        """Take a fill into the book; the numbers are the venue's, whoever plays it."""
        order, deal = fill.order, self.book.desk.deal
        numbers = (
            fill.quantity,
            fill.price,
            fill.reference_price,
            fill.fee_rate,
            fill.fee,
            fill.gas_units,
            fill.wait_s,
        )
        if not all(math.isfinite(x) for x in numbers):
            raise ExecutionError(f"{order.venue} filled {order} with something that is no number: {fill}.")
        deal[at.D_KIND] = order.code
        deal[at.D_SLOT] = order.slot
        deal[at.D_DEST] = order.counter_slot
        deal[at.D_QUANTITY] = fill.quantity
        deal[at.D_PRICE] = fill.price
        deal[at.D_REFERENCE] = fill.reference_price
        deal[at.D_RATE] = fill.fee_rate
        deal[at.D_FEE] = fill.fee
        deal[at.D_UNITS] = fill.gas_units
        deal[at.D_WAIT] = fill.wait_s
        # what leaves: the cash of a purchase, the token of a sale, whatever is sent, supplied or withdrawn
        block, first = self.book.block, at.book_at(self.book.slots.shape()).q
        leaves, what = order.slot, abs(fill.quantity)
        if order.kind == "spot" and fill.quantity > 0.0:
            leaves = order.counter_slot
            what = fill.quantity * fill.price * (1.0 + fill.fee_rate)
        if order.kind == "withdraw":
            what = fill.quantity / fill.price
        held = float(block[first + leaves, 0])
        if order.kind in _LEAVES and what > held * (1.0 + 1e-9) + 1e-9:
            raise ExecutionError(f"{order.venue} filled {order} with {what!r}, but only {held!r} is held: {fill}.")
        self.book.do(hour.BOOK, order.place_and_action)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", "no run yet" if self.book.row is None else f"{len(self.book.slots.keys)} slots"
