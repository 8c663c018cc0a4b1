"""Execution managers: a strategy's action becomes orders, step by step, and each order goes to its venue's client."""

import itertools
from typing import Any

from ..components.orders import Fill, Order
from ..components.run_state import CurrentRun
from ..config import Config
from ..config.instruments import conversion_of
from ..kernel.layout import codes
from ..kernel.step import Step


class ExecutionManager:
    """Takes the route of an action; what has been filled decides on the next step.

    Parameters
    ----------
    config, data_provider, run : see `PositionMonitor`
    wiring : the engine: `interfaces`, `position_update_handler`, `clock` are looked up there when they are used
    """

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun, wiring: Any) -> None:
        self.config, self.data_provider, self.run, self.wiring = config, data_provider, run, wiring

    async def execute_action(self, place: int, timestamp: Any = None, market_data: Any = None) -> int:
        """Carry out the action at `place` of the decision; returns the number of its fills.

        An order that is refused ends its step; the next step is sized by what there is then.
        """
        run, filled = self.run.state, 0
        for step in itertools.count():
            sent = run.do(Step.ROUTE, place, step)
            if sent < 0:
                break
            for j in range(sent):
                if not await self.execute_order(self._order(j)):
                    break
                filled += 1
        return filled

    async def execute_order(self, order: Order) -> bool:
        """Send an order to its venue and take the fill into the book; whether it was filled."""
        run, wiring = self.run.state, self.wiring
        # a manager of one's own may send more orders than a route has
        run.room_for_events()
        run.do(Step.SEND_ORDER, order.place)
        with wiring.clock.of(order.venue):
            fill = await wiring.interfaces[order.venue].execute(order)
            if not isinstance(fill, Fill) or (fill.reason and fill.reason not in codes.REASONS):
                raise TypeError(f"execute returned {fill!r}; give a Fill, rejected with one of {codes.REASONS[1:]}.")
        # a client of one's own may not know how much is under way
        waits = fill.wait_s > 0.0 and order.kind in ("transfer", "swap", "stake", "unstake")
        reason = fill.reason or (codes.REASONS[codes.QUEUE_FULL] if waits and run.is_queue_full else "")
        if reason:
            if run.do(Step.REFUSE_ORDER, order.place, codes.REASONS.index(reason)):
                with wiring.clock.of("position_update_handler"):
                    await wiring.position_update_handler.handle_position_update("reverted")
            return False
        with wiring.clock.of("position_update_handler"):
            await wiring.position_update_handler.handle_position_update("fill", fill)
        return True

    def _order(self, place: int) -> Order:
        """The order at a place of the step, by name."""
        run = self.run.state
        slots = run.slots
        code, slot, other, action, quantity = run.scratch.orders.item(0, place)
        kind = codes.ORDER_NAMES[code]
        keys = slots.keys
        if kind in ("spot", "perp"):
            counter = slots.venues.index(keys[slot].venue) if keys[slot].venue in slots.venues else 0
        else:
            counter = other
        number = int(run.state.decisions[0])
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
            action=codes.ACTION_NAMES[action],
            timestamp=run.timestamp or 0,
            client_order_id=f"{self.wiring.run_id}-{number:06d}-{run.events_written}",
            slot=slot,
            counter_slot=counter,
            place=place,
            action_code=action,
        )

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", ""


class CEXExecutionManager(ExecutionManager):
    """Trades and transfers at exchanges."""


class OnChainExecutionManager(ExecutionManager):
    """Loans, staking and swaps at protocols and markets on chain."""
