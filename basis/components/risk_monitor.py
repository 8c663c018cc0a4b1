"""RiskMonitor: LTV, health factor, margin ratio by venue, delta drift and alerts."""

from typing import Any

from ..config import Config
from ..kernel.step import Step
from .run_state import CurrentRun
from .state_tables import Reading, risk


class RiskMonitor:
    """How near the book is to its limits; see `PositionMonitor` for the parameters."""

    def __init__(self, config: Config, data_provider: Any, run: CurrentRun) -> None:
        self.config, self.data_provider, self.run = config, data_provider, run

    async def assess_risk(self, exposure: Any = None, timestamp: Any = None) -> Reading:
        """Risk of the book as it stands: a row of `risk.parquet`; see `ExposureMonitor` for the parameters."""
        run = self.run.state
        if run.stands_at(timestamp):
            run.do(Step.ASSESS_RISK)
        return Reading.of(run, "risk", risk, timestamp)

    def test_extremes(self) -> int:
        """Margin of every venue at the adverse extremes of the hour that ended; bits of `kernel.step.plan_opening`."""
        return self.run.state.do(Step.PLAN_OPENING)

    def needs_attention(self) -> bool:
        """Whether anything but the passing of the hour happens in this row: near a limit, something due, a trigger."""
        return self.run.state.do(Step.NEEDS_ATTENTION) > 0

    def report_alerts(self) -> int:
        """Write an event for each limit crossed either way; returns the highest level (0, 1 warning, 2 critical)."""
        self.run.state.do(Step.REPORT_ALERTS)
        return self.alert_level

    @property
    def alert_level(self) -> int:
        """Highest level reported."""
        return int(self.run.state.state.alert_level[0])

    def keep_before_decision(self) -> None:
        """Keep the measures as they stand before the strategy decides."""
        self.run.state.do(Step.KEEP_RISK_BEFORE)

    def check_health(self) -> tuple[str, str]:
        """(status, message); alerts are the strategy's business and no fault."""
        return "healthy", "" if not self.run.has_begun else f"alert level {self.alert_level}"
