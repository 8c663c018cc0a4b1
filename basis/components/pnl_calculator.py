"""PnLCalculator: balance-based and attributed P&L and their identity; knows no mode, no venue, no driver."""

from typing import Any

from ..config import Config
from ..kernel.pnl import BROKEN, HOLDS
from ..kernel.step import Step
from .run_state import CurrentRun
from .state_tables import Reading, pnl


class PnLCalculator:
    """What was earned and why; see `PositionMonitor` for the parameters."""

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun) -> None:
        self.config, self.data_provider, self.run = config, data_provider, run
        self._verdict = HOLDS

    async def calculate_pnl(self, exposure: Any = None, risk: Any = None, timestamp: Any = None) -> Reading:
        """P&L as it stands: a row of `equity.parquet` and of `attribution.parquet`; see `ExposureMonitor`."""
        return Reading.of(self.run.state, "pnl", pnl, timestamp)

    def attribute_hour(self) -> None:
        """Attribute what the book earned in the hour that ended, at unchanged quantities."""
        self.run.state.do(Step.ATTRIBUTE)

    def close_row(self) -> int:
        """Statistics and identity of the row: HOLDS, INSOLVENT or BROKEN."""
        self._verdict = self.run.state.do(Step.CHECK_IDENTITY)
        return self._verdict

    def check_health(self) -> tuple[str, str]:
        """(status, message); unhealthy where the identity does not close."""
        if not self.run.has_begun:
            return "healthy", ""
        # inside a row the sums are under way: what counts is the last row that was closed
        run = self.run.state
        row = run.row_of() - (not run.finished)
        if row < run.first:
            return "healthy", ""
        last = Reading.of(run, "pnl", pnl, int(run.panel.timestamps[row]))
        off = last["residual"]
        if not abs(off) <= run.tolerance or self._verdict == BROKEN:
            return "unhealthy", f"identity broken: balance-based and attributed P&L differ by {off!r}"
        if last.equity < 0.0:
            return "degraded", f"insolvent: equity {last.equity:.6g}"
        return "healthy", f"residual {off:.3g}"
