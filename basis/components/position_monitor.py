"""PositionMonitor: the book, every quantity by instrument key; the only writer of quantities."""

import math
from typing import Any

from ..config import Config
from ..errors import ExecutionError
from ..kernel.step import CHECKS, FUNDS, PAUSES, REPORTS, Step
from .orders import Fill
from .run_state import CurrentRun
from .state_tables import Reading, positions

#: Orders whose quantity leaves a balance.
_LEAVES = ("spot", "transfer", "supply", "withdraw", "swap", "stake", "unstake", "repay")


class PositionMonitor:
    """What is held, where, and what is under way.

    Parameters
    ----------
    config, data_provider : shared by all components
    run : what the run starts from and, once it has begun, its state
    """

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun) -> None:
        self.config, self.data_provider, self.run = config, data_provider, run

    async def get_snapshot(self, timestamp: Any = None) -> Reading:
        """Quantities as they stand (or stood after the fills of an earlier row): a row of `positions.parquet`.

        Before a run it is the starting book.
        """
        if not self.run.has_begun:
            return Reading.of_start(self.run.start)
        return Reading.of(self.run.state, "position", positions, timestamp)

    def update_position(self, trigger_event: str, changes: Any = None) -> bool:
        """Change quantities, once, for a reason; whether anything is different now.

        Parameters
        ----------
        trigger_event : ``liquidation`` (inside the hour that ended), ``settlement`` (what liquidations left, funding),
            ``margin_test`` (liquidation at the marks of the row), ``arrivals`` (transfers and deposits),
            ``withdrawal`` (what is owed to the investor), ``fill``, ``reverted`` (gas of a transaction that failed)
        changes : bits of `kernel.step.plan_opening` for the first two, the `Fill` for the last

        Raises
        ------
        ExecutionError
            Where a fill cannot be: not a number, or more than there is.
        """
        run = self.run.state
        if trigger_event == "fill":
            self._take(changes)
        elif trigger_event == "reverted":
            pass  # the gas is gone with the refusal
        elif trigger_event == "settlement":
            if changes & PAUSES:
                run.do(Step.CREDIT_CLOSINGS)
            if changes & FUNDS:
                run.do(Step.SETTLE_FUNDING)
        elif trigger_event == "liquidation":
            if changes & CHECKS:
                run.do(Step.CHECK_HOUR)
            if changes & REPORTS:
                run.do(Step.REPORT_FUNDING)
        elif trigger_event == "margin_test":
            return run.do(Step.CHECK_MARKS) > 0
        elif trigger_event == "arrivals":
            run.do(Step.RECEIVE)
            run.do(Step.TAKE_FLOWS)
            return run.state.arrived[0] > 0.0 or run.state.net_flow[0] != 0.0
        elif trigger_event == "withdrawal":
            before = run.state.net_flow[0]
            run.do(Step.PAY_WITHDRAWALS)
            return run.state.net_flow[0] != before
        else:
            raise ValueError(f"trigger_event {trigger_event!r} is not known.")
        return True

    def _take(self, fill: Fill) -> None:
        """Take a fill into the book; the numbers are the venue's, whoever plays it."""
        order = fill.order
        numbers = (
            fill.quantity,
            fill.price,
            fill.reference_price,
            fill.fee_rate,
            fill.fee,
            fill.gas_units,
            fill.wait_s,
            fill.put_in,
        )
        if not all(math.isfinite(x) for x in numbers):
            raise ExecutionError(f"{order.venue} filled {order} with something that is no number: {fill}.")
        # in the order of `kernel.layout.records.FILL`
        run = self.run.state
        run.scratch.fills[0] = (order.code, order.slot, order.counter_slot, order.action_code, *numbers)
        # what leaves: the cash of a purchase, the token of a sale, whatever is sent, supplied or withdrawn
        leaves, what = order.slot, abs(fill.quantity)
        if order.kind == "spot" and fill.quantity > 0.0:
            leaves = order.counter_slot
            what = fill.quantity * fill.price * (1.0 + fill.fee_rate)
        if order.kind == "withdraw":
            what = fill.quantity / fill.price
        held = float(run.state.quantity[leaves, 0])
        if order.kind in _LEAVES and what > held * (1.0 + 1e-9) + 1e-9:
            raise ExecutionError(f"{order.venue} filled {order} with {what!r}, but only {held!r} is held: {fill}.")
        run.do(Step.BOOK_FILL)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", "no run yet" if not self.run.has_begun else f"{len(self.run.state.slots.keys)} slots"
