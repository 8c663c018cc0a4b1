"""What a venue looks like to the execution managers, whoever plays it: a simulation, a test network, the real one."""

from abc import ABC, abstractmethod
from typing import Any

from ..components.orders import Fill, Order
from ..config import Config


class VenueInterface(ABC):
    """A client of one venue.

    Attributes
    ----------
    venue : name of the venue
    config : resolved configuration
    position_monitor, event_logger, data_provider : set by `ExecutionInterfaceFactory.set_interface_dependencies`
    """

    def __init__(self, venue: str, config: Config) -> None:
        self.venue, self.config = venue, config
        self.position_monitor: Any = None
        self.event_logger: Any = None
        self.data_provider: Any = None

    @abstractmethod
    async def execute(self, order: Order) -> Fill:
        """Carry out an order; a `Fill` that is false says why it was not. Positions are not touched here."""

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", ""
