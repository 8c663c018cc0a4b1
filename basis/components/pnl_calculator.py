"""PnLCalculator: balance-based and attributed P&L and their identity; knows no mode, no venue, no driver."""

from typing import Any

from ..config import Config
from ..kernel import hour
from .book import Book
from .readings import Reading, pnl

#: Verdicts on a row.
GOOD, INSOLVENT, BROKEN = range(3)


class PnLCalculator:
    """What was earned and why; see `PositionMonitor` for the parameters."""

    def __init__(self, config: Config, data_provider: Any, book: Book) -> None:
        self.config, self.data_provider, self.book = config, data_provider, book
        self._verdict = GOOD

    async def calculate_pnl(self, exposure: Any = None, risk: Any = None, timestamp: Any = None) -> Reading:
        """P&L as it stands: a row of `equity.parquet` and of `attribution.parquet`; see `ExposureMonitor`."""
        return Reading.of(self.book, "pnl", pnl, timestamp)

    def attribute_hour(self) -> None:
        """Attribute what the book earned in the hour that ended, at unchanged quantities."""
        self.book.do(hour.ATTRIBUTE)

    def close_row(self) -> int:
        """Statistics and identity of the row: GOOD, INSOLVENT or BROKEN."""
        self._verdict = self.book.do(hour.CLOSE)
        return self._verdict

    def check_health(self) -> tuple[str, str]:
        """(status, message); unhealthy where the identity does not close."""
        if self.book.row is None:
            return "healthy", ""
        # inside a row the sums are under way: what counts is the last row that was closed
        row = self.book.row if self.book.finished else self.book.row - 1
        if row < self.book.first:
            return "healthy", ""
        assert self.book.panel is not None
        last = Reading.of(self.book, "pnl", pnl, int(self.book.panel.timestamps[row]))
        off = last["residual"]
        if not abs(off) <= self.book.tolerance or self._verdict == BROKEN:
            return "unhealthy", f"identity broken: balance-based and attributed P&L differ by {off!r}"
        if last.equity < 0.0:
            return "degraded", f"insolvent: equity {last.equity:.6g}"
        return "healthy", f"residual {off:.3g}"
