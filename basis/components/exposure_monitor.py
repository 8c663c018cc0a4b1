"""ExposureMonitor: values, net delta by asset, gross exposure and equity in share class."""

from typing import Any

from ..config import Config
from ..kernel.step import Step
from .run_state import CurrentRun
from .state_tables import Reading, exposure


class ExposureMonitor:
    """What the book is worth and exposed to; see `PositionMonitor` for the parameters."""

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun) -> None:
        self.config, self.data_provider, self.run = config, data_provider, run

    async def calculate_exposure(self, position: Any = None, timestamp: Any = None) -> Reading:
        """Exposure of the book as it stands: a row of `exposure.parquet`, and `equity`.

        Parameters
        ----------
        position : the snapshot it belongs to; the book it was taken from is what counts
        timestamp : None or the current row; an earlier instant of the run reads what was recorded then
        """
        run = self.run.state
        if run.stands_at(timestamp):
            run.do(Step.CALCULATE_EXPOSURE)
        return Reading.of(run, "exposure", exposure, timestamp)

    def check_health(self) -> tuple[str, str]:
        """(status, message)."""
        return (
            "healthy",
            "" if not self.run.has_begun else f"equity {self.run.state.equity:.6g} {self.config.share_class}",
        )
