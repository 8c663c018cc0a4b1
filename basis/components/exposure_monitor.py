"""ExposureMonitor: values, net delta by asset, gross exposure and equity in share class."""

from typing import Any

from ..config import Config
from ..kernel import hour
from .book import Book
from .readings import Reading, exposure


class ExposureMonitor:
    """What the book is worth and exposed to; see `PositionMonitor` for the parameters."""

    def __init__(self, config: Config, data_provider: Any, book: Book) -> None:
        self.config, self.data_provider, self.book = config, data_provider, book

    async def calculate_exposure(self, position: Any = None, timestamp: Any = None) -> Reading:
        """Exposure of the book as it stands: a row of `exposure.parquet`, and `equity`.

        Parameters
        ----------
        position : the snapshot it belongs to; the book it was taken from is what counts
        timestamp : None or the row it stands in; an earlier instant of the run reads what was recorded then
        """
        if self.book.stands_at(timestamp):
            self.book.do(hour.EXPOSE)
        return Reading.of(self.book, "exposure", exposure, timestamp)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return "healthy", "" if self.book.row is None else f"equity {self.book.equity:.6g} {self.config.share_class}"
