"""RiskMonitor: LTV, health factor, margin ratio by venue, delta drift and alerts."""

from typing import Any

from ..config import Config
from ..kernel import hour
from ..kernel import layout as at
from .book import Book
from .readings import Reading, risk


class RiskMonitor:
    """How near the book is to its limits; see `PositionMonitor` for the parameters."""

    def __init__(self, config: Config, data_provider: Any, book: Book) -> None:
        self.config, self.data_provider, self.book = config, data_provider, book

    async def assess_risk(self, exposure: Any = None, timestamp: Any = None) -> Reading:
        """Risk of the book as it stands: a row of `risk.parquet`; see `ExposureMonitor` for the parameters."""
        if self.book.stands_at(timestamp):
            self.book.do(hour.ASSESS)
        return Reading.of(self.book, "risk", risk, timestamp)

    def test_extremes(self) -> int:
        """Margin of every venue at the adverse extremes of the hour that ended; bits of `hour.begin`."""
        return self.book.do(hour.BEGIN)

    def needs_attention(self) -> bool:
        """Whether anything but the passing of the hour happens in this row: near a limit, something due, a trigger."""
        return self.book.do(hour.LOOK) > 0

    def report_alerts(self) -> int:
        """Write an event for each limit crossed either way; returns the highest level (0, 1 warning, 2 critical)."""
        self.book.do(hour.ALERTS)
        return self.alert_level

    @property
    def alert_level(self) -> int:
        """Highest level reported."""
        return int(self.book.head(at.ALERT))

    def keep_before_decision(self) -> None:
        """Keep the measures as they stand before the strategy decides."""
        self.book.do(hour.BEFORE)

    def check_health(self) -> tuple[str, str]:
        """(status, message); alerts are the strategy's business and no fault."""
        return "healthy", "" if self.book.row is None else f"alert level {self.alert_level}"
