"""One row through the components, in the order of accounting §4."""

import inspect
from typing import Any

from ..kernel.layout import codes, records
from ..kernel.pnl import BROKEN, INSOLVENT
from ..kernel.step import CHECKS, REPORTS, Step

#: A record is read whole: its fields one by one take longer.
_PLAN, _KIND = (list(kind.names or ()).index(name) for kind, name in ((records.ACTION, "plan"), (records.PLAN, "kind")))


class RowDriver:
    """Takes a row through the components of an engine.

    Parameters
    ----------
    engine : has the components as attributes, `run`, `clock` and `config`; they are looked up when they are used
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    async def run_row(self, row: int) -> int:
        """One row, in the order of accounting §4."""
        run, timed = self.engine.run.state, self.engine.clock.of
        run.do(Step.ENTER_ROW)
        run.do(Step.OPEN_ROW)
        signs = 0
        if row > 0:
            with timed("risk_monitor"):
                signs = self.engine.risk_monitor.test_extremes()
            if signs & (CHECKS | REPORTS):
                with timed("position_monitor"):
                    self.engine.position_monitor.update_position("liquidation", signs)
            with timed("pnl_calculator"):
                self.engine.pnl_calculator.attribute_hour()
        await self._update("settlement", signs)
        with timed("risk_monitor"):
            attention = self.engine.risk_monitor.needs_attention()
        reason = codes.END
        if attention:
            reason = await self.process()
            if reason != codes.END:
                return reason
        with timed("pnl_calculator"):
            verdict = self.engine.pnl_calculator.close_row()
        run.do(Step.RECORD_ROW)
        await self.engine.log_events()
        return {BROKEN: codes.BROKEN, INSOLVENT: codes.INSOLVENT}.get(verdict, codes.END)

    async def process(self) -> int:
        """The rest of a row that is more than the passing of the hour; END, or BAD_DECISION."""
        run, timed = self.engine.run.state, self.engine.clock.of
        timestamp, update = run.timestamp, self._update
        run.do(Step.BEGIN_PROCESSING)
        if self.engine.config.risk.simulate_liquidation or run.slots.stops:
            await update("margin_test")
        await update("arrivals")
        await self._pay()
        if self._fills_next_bar:
            await self._execute(run.do(Step.TAKE_WAITING), timestamp, None)
        with timed("risk_monitor"):
            before = self.engine.risk_monitor.alert_level
            self.engine.risk_monitor.report_alerts()
            self.engine.risk_monitor.keep_before_decision()
        if run.do(Step.IS_ASKED, number=before):
            if not await self.carry_out(await self.decide()):
                return codes.BAD_DECISION
        elif self._fills_next_bar or run.state.waiting[0] <= 0.0:
            return codes.END
        else:
            await self._execute(run.do(Step.TAKE_WAITING), timestamp, None)
        await self._pay()
        with timed("risk_monitor"):
            self.engine.risk_monitor.report_alerts()
        return codes.END

    async def _pay(self) -> None:
        """Pay what is owed to the investor, as far as the wallet covers it."""
        if self.engine.run.state.state.withdrawal_pending[0] > 0.0:
            await self._update("withdrawal")

    async def _update(self, trigger_event: str, changes: Any = None) -> None:
        with self.engine.clock.of("position_update_handler"):
            await self.engine.position_update_handler.handle_position_update(trigger_event, changes)

    async def decide(self) -> Any:
        """Ask the strategy about the current row."""
        timestamp = self.engine.run.state.timestamp
        with self.engine.clock.of("data_provider"):
            market_data = await self.engine.data_provider.get_market_data(timestamp)
        with self.engine.clock.of("strategy_manager"):
            if self.engine.asks_python:
                self.engine.run.state.do(Step.WRITE_VIEW)
            decision = self.engine.strategy_manager.make_decision(timestamp, market_data)
            return await decision if inspect.isawaitable(decision) else decision

    def hand_over(self, decision: Any) -> int:
        with self.engine.clock.of("strategy_manager"):
            return self.engine.strategy_manager.hand_over(decision)

    async def carry_out(self, decision: Any, market_data: Any = None) -> bool:
        """Carry a decision out, or keep it for the next row (`next_bar`); whether it was well-formed."""
        run = self.engine.run.state
        count = self.hand_over(decision)
        if run.do(Step.ACCEPT_DECISION, number=count) != codes.END:
            return False
        if not self._fills_next_bar:
            await self._execute(run.do(Step.TAKE_WAITING, number=count), run.timestamp, market_data)
        elif count > 0:
            run.do(Step.KEEP_FOR_NEXT_ROW, number=count)
        return True

    @property
    def _fills_next_bar(self) -> bool:
        return self.engine.config.fill == "next_bar"

    async def _execute(self, count: int, timestamp: Any, market_data: Any) -> None:
        """Carry out the actions in the kernel's memory."""
        run = self.engine.run.state
        for place in range(count):
            if run.do(Step.REFUSE_WHILE_CRITICAL, place):
                continue
            run.do(Step.RESOLVE_TARGET, place)
            kind = run.inputs.plans.item(run.scratch.actions.item(0, place)[_PLAN])[_KIND]
            on_chain = kind in codes.ON_CHAIN_PLANS
            name = "onchain_execution_manager" if on_chain else "cex_execution_manager"
            with self.engine.clock.of(name):
                await getattr(self.engine, name).execute_action(place, timestamp, market_data)
            run.do(Step.KEEP_AIM, place)
