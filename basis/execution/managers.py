"""Execution managers: a strategy's action becomes orders, step by step, and each order goes to its venue's client."""

from typing import Any

from ..components.book import Book
from ..components.deals import KINDS, Fill, Order
from ..config import Config
from ..config.instruments import conversion_of
from ..kernel import hour
from ..kernel import layout as at


class ExecutionManager:
    """Takes the route of an action; what has been filled decides on the next step.

    Parameters
    ----------
    config, data_provider, book : see `PositionMonitor`
    wiring : the engine: `interfaces`, `position_update_handler`, `clock` are looked up there when they are used
    """

    def __init__(self, config: Config, data_provider: Any, book: Book, wiring: Any) -> None:
        self.config, self.data_provider, self.book, self.wiring = config, data_provider, book, wiring

    async def execute_action(self, place: int, timestamp: Any = None, market_data: Any = None) -> int:
        """Carry out the action that stands at `place` of the decision; returns the number of its fills.

        An order that is refused ends its step; the next step is sized by what there is then.
        """
        book, filled = self.book, 0
        for step in range(hour.STEPS):
            sent = book.do(hour.ROUTE, place * hour.STEPS + step)
            if sent < 0:
                break
            for j in range(sent):
                if not await self.execute_order(self._order(place, j)):
                    break
                filled += 1
        return filled

    async def execute_order(self, order: Order) -> bool:
        """Send an order to its venue and take the fill into the book; whether it was filled."""
        book, wiring = self.book, self.wiring
        book.do(hour.SEND, order.place_and_action)
        with wiring.clock.of(order.venue):
            fill = await wiring.interfaces[order.venue].execute(order)
            if not isinstance(fill, Fill) or (fill.reason and fill.reason not in at.REASONS):
                raise TypeError(f"execute returned {fill!r}; give a Fill, rejected with one of {at.REASONS[1:]}.")
        # a client of one's own may not know how much is under way
        waits = fill.wait_s > 0.0 and order.kind in ("transfer", "stake", "unstake")
        reason = fill.reason or (at.REASONS[at.QUEUE_FULL] if waits and book.is_queue_full else "")
        if reason:
            if book.do(hour.REFUSE, order.place_and_action + at.REASONS.index(reason)):
                with wiring.clock.of("position_update_handler"):
                    await wiring.position_update_handler.handle_position_update("reverted")
            return False
        with wiring.clock.of("position_update_handler"):
            await wiring.position_update_handler.handle_position_update("fill", fill)
        return True

    def _order(self, place: int, j: int) -> Order:
        """The order that stands at `j`, by name."""
        book, slots = self.book, self.book.slots
        code, slot, other, quantity = (float(x) for x in book.desk.orders[j])
        code, slot, other = int(code), int(slot), int(other)
        kind = KINDS[code]
        keys = slots.keys
        if kind in ("spot", "perp"):
            counter = slots.venues.index(keys[slot].venue) if keys[slot].venue in slots.venues else 0
        else:
            counter = other
        action = int(book.desk.actions[place, 0])
        number = int(book.block[at.book_at(slots.shape()).stat + at.DECISIONS, 0])
        venue = keys[other].venue if kind == "supply" else keys[slot].venue
        if kind in ("swap", "stake", "unstake"):
            conversions = (conversion_of(self.config, keys[i].symbol) for i in (slot, other))
            conversion = next(found for found in conversions if found.venues)
            venue = (conversion.market if kind == "swap" else conversion.protocol) or ""
        return Order(
            kind=kind,
            venue=venue,
            instrument=str(keys[slot]),
            destination="" if kind in ("spot", "perp") else str(keys[other]),
            quantity=quantity,
            action=at.ACTION_NAMES[action],
            timestamp=book.timestamp or 0,
            client_order_id=f"{self.wiring.run_id}-{number:06d}-{book.events_written}",
            code=code,
            slot=slot,
            counter_slot=counter,
            place_and_action=(j * 8 + action) * 64,
        )

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", ""


class CEXExecutionManager(ExecutionManager):
    """Trades and transfers at exchanges."""

    #: Kinds of plans whose actions it carries out.
    PLANS = (at.PLAN_HEDGE, at.PLAN_MARGIN, at.PLAN_LONG, at.PLAN_SHORT)


class OnChainExecutionManager(ExecutionManager):
    """Loans, staking and swaps at protocols and markets on chain."""

    PLANS = (at.PLAN_LEND, at.PLAN_STAKE, at.PLAN_LEVER, at.PLAN_DUST)
