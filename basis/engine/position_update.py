"""PositionUpdateHandler: the tight loop after every position update."""

from typing import Any

from ..components.state_tables import Reading


class PositionUpdateHandler:
    """Position, exposure, risk, P&L, in this order, before anything else happens.

    Parameters
    ----------
    wiring : the engine; its components are looked up when they are used
    """

    def __init__(self, wiring: Any) -> None:
        self.wiring = wiring

    async def handle_position_update(self, trigger_event: str, changes: Any = None) -> Reading | None:
        """Update the position and all that follows from it; returns the P&L, None where nothing changed.

        Parameters
        ----------
        trigger_event, changes : see `PositionMonitor.update_position`
        """
        wiring = self.wiring
        timed, timestamp = wiring.clock.of, wiring.run.state.timestamp
        with timed("position_monitor"):
            if not wiring.position_monitor.update_position(trigger_event, changes):
                return None
            position = await wiring.position_monitor.get_snapshot()
        with timed("exposure_monitor"):
            exposure = await wiring.exposure_monitor.calculate_exposure(position, timestamp)
        with timed("risk_monitor"):
            risk = await wiring.risk_monitor.assess_risk(exposure, timestamp)
        with timed("pnl_calculator"):
            return await wiring.pnl_calculator.calculate_pnl(exposure, risk, timestamp)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", ""
