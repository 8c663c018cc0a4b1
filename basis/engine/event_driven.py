"""The event engine: components wired once, an hour at a time, or in the rows where the compiled loop asks.

`EventDriver` ends a run with a `Recording`; the public engine of `basis.api` makes a result of it.
"""

import contextlib
import functools
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..components.checkpoints import Checkpoint
from ..components.event_logger import EventLogger
from ..components.exposure_monitor import ExposureMonitor
from ..components.pnl_calculator import PnLCalculator
from ..components.position_monitor import PositionMonitor
from ..components.risk_monitor import RiskMonitor
from ..components.run_state import CurrentRun, StartingBook
from ..errors import EngineError, InputError, checked_call
from ..execution.factory import ExecutionInterfaceFactory
from ..execution.interface import VenueInterface
from ..execution.managers import CEXExecutionManager, OnChainExecutionManager
from ..execution.simulation import ExchangeSimulation, ProtocolSimulation, WalletSimulation
from ..inputs.plans import Strategy
from ..kernel.layout import codes
from ..market.provider import PanelProvider
from ..market.sources.clock import iso
from ..processes import peak_memory
from ..series_kinds import limit_of_column
from ..strategies.factory import make_strategy
from ..strategies.manager import Action, BadDecision, Decision, StrategyManager
from .blocking import Breath, run_blocking
from .health import HealthManager, unified_health_manager
from .identity import make_run_id
from .position_update import PositionUpdateHandler
from .recording import Recording
from .row import RowDriver
from .simulation import PIECE, advance, finish, last_row, prepare
from .stopwatch import Stopwatch
from .wiring import (
    COMPONENTS,
    checked_mode,
    checked_provider,
    checked_strategy,
    component_classes,
    configured,
    named_errors,
)

Driver = Literal["kernel", "event"]
#: Those that the compiled loop does the work of, row by row.
_COMPILED = ("position_monitor", "event_logger", "exposure_monitor", "risk_monitor", "pnl_calculator")
_CLIENTS = (ExchangeSimulation, ProtocolSimulation, WalletSimulation)
#: Rows between two looks at whatever else waits in the caller's event loop, and between two reports of progress.
_BREATH, _REPORTED = 512, 512


class EventDriver:
    """Nine components around one book, and what drives them.

    A run goes through them hour by hour; after it each can be asked about the last row, or any instant of the run, and
    a decision can be carried out by hand. For a result alone `backtest` is shorter and quicker; the bits are the same.

    The components are attributes: ``position_monitor.get_snapshot()``,
    ``exposure_monitor.calculate_exposure(position, timestamp)``, ``risk_monitor.assess_risk(exposure, timestamp)``,
    ``pnl_calculator.calculate_pnl(exposure, risk, timestamp)`` and
    ``strategy_manager.make_decision(timestamp, market_data)``, all of them awaited; ``event_logger``,
    ``position_update_handler``, ``cex_execution_manager`` and ``onchain_execution_manager``. Readings are mappings by
    the names and in the units of the result's tables.

    Parameters
    ----------
    config : mode, path, dict or Config
    execution_mode : ``backtest``
    data_provider : `DataProvider` of the same configuration, or a `Panel` that is ready
    initial_capital, share_class : share class ``USDT`` or ``ETH``; these rule, and a configuration that holds others is
        an error
    positions, resume : starting book, checkpoint to go on from
    strategy : another strategy than the mode's
    components : name → class, a subclass of the built-in one (`COMPONENTS`)
    interfaces : venue → class of its client
    event_log : file that gets a line of JSON per event while a run goes on

    Raises
    ------
    InputError
        Where an argument is wrong.
    EngineError
        Where a component cannot be made; the cause is chained.

    Examples
    --------
    In a notebook cell write ``await`` before a call; elsewhere give the call to `asyncio.run`:

    >>> import asyncio
    >>> config = basis.load_config("btc_basis")
    >>> provider = basis.DataProvider(basis.api.default_data(), config)
    >>> engine = basis.EventDrivenStrategyEngine(config, "backtest", provider, 100_000.0, "USDT")
    >>> result = asyncio.run(engine.run_backtest("2024-06-01", "2024-06-08"))
    >>> position = asyncio.run(engine.position_monitor.get_snapshot())
    >>> bool(position["binance:BaseToken:BTC"] == result.positions["binance:BaseToken:BTC"].iloc[-1])
    True
    >>> status = asyncio.run(engine.get_status())
    >>> status["health"]["overall_status"], status["is_running"]
    ('healthy', False)
    """

    position_monitor: PositionMonitor
    event_logger: EventLogger
    exposure_monitor: ExposureMonitor
    risk_monitor: RiskMonitor
    pnl_calculator: PnLCalculator
    strategy_manager: StrategyManager
    position_update_handler: PositionUpdateHandler
    cex_execution_manager: CEXExecutionManager
    onchain_execution_manager: OnChainExecutionManager

    @checked_call
    def __init__(
        self,
        config: Any,
        execution_mode: str,
        data_provider: Any,
        initial_capital: float,
        share_class: str,
        *,
        positions: Mapping[str, float] | None = None,
        resume: Checkpoint | None = None,
        strategy: Strategy | None = None,
        components: Mapping[str, type] | None = None,
        interfaces: Mapping[str, type[VenueInterface]] | None = None,
        event_log: Any = None,
    ) -> None:
        self.config = configured(config, initial_capital, share_class)
        self.execution_mode = checked_mode(execution_mode)
        self.data_provider = checked_provider(data_provider, self.config)
        classes = component_classes(components)
        # what belongs to the engine holds it by a proxy, so that its arrays go with the last reference to it
        owner = weakref.proxy(self)
        self.clock = Stopwatch()
        self._row_driver = RowDriver(owner)
        self.health_manager = HealthManager()
        self.is_running = False
        #: What answers the loop: the number of actions in the kernel.
        self._given = 0
        self._start: dict[str, Any] = {"positions": positions, "resume": resume, "strategy": strategy}
        self._manager = classes["strategy_manager"]
        self._base = checked_strategy(strategy) or make_strategy(self.config)
        definition = named_errors("strategy_manager", lambda: classes["strategy_manager"].defined(self._base))
        self.run = CurrentRun(StartingBook(self.config, definition, positions, resume))
        #: Classes of one's own by component and venue: such a run cannot be repeated from its folder.
        self._own_code: dict[str, str] = {}
        for name, kind in classes.items():
            setattr(
                self, name, named_errors(name, lambda name=name, kind=kind: self._make(name, kind, owner, event_log))
            )
        self.interfaces = named_errors(
            "execution interfaces",
            lambda: ExecutionInterfaceFactory.create_all_interfaces(self.execution_mode, self.config, interfaces),
        )
        ExecutionInterfaceFactory.set_interface_dependencies(
            self.interfaces, self.position_monitor, self.event_logger, self.data_provider
        )
        self._watch(owner)
        self.name = unified_health_manager._add(self)

    def _watch(self, owner: Any) -> None:
        """Register what health is asked of."""
        watch = self.health_manager.register_component
        watch("data_provider", lambda: owner._check_data())
        for name in COMPONENTS:
            watch(name, lambda name=name: getattr(owner, name).check_health())
        for name in self.interfaces:
            watch(name, lambda name=name: owner.interfaces[name].check_health())

    def _make(self, name: str, kind: type, owner: Any, event_log: Any) -> Any:
        shared = (self.config, self.data_provider, self.run)
        if name == "event_logger":
            return kind(*shared, event_log)
        if name == "position_update_handler":
            return kind(owner)
        return kind(*shared, owner) if name.endswith("execution_manager") else kind(*shared)

    @functools.cached_property
    def run_id(self) -> str:
        """Name of the run, once a market is bound."""
        return make_run_id(self.run.state)

    def _check_data(self) -> tuple[str, str]:
        """What stopped a run, and series of the row that have used up half of what they may be carried."""
        if not self.run.has_begun:
            return "healthy", "no run yet"
        panel, row = self.run.state.panel, self.run.state.row_of()
        hole = panel.stop
        if hole is not None and hole.row <= row + 1:
            return "unhealthy", f"{hole.series} is {hole.age_s / 3600:.2f} h old in {iso(hole.instant)}"
        limits = {kind: limit.total_seconds() for kind, limit in self.config.data.max_staleness.items()}
        old = [
            f"{name} is {ages[row] / 3600:.2f} h old"
            for name, ages in panel.ages.items()
            if ages[row] > 0.5 * limits[limit_of_column(name)]
        ]
        return ("degraded", "; ".join(old)) if old else ("healthy", f"{len(panel.columns)} series")

    # --- a run -----------------------------------------------------------------------------------------------------

    async def record(
        self,
        start: Any = None,
        end: Any = None,
        driver: Driver = "event",
        progress: Callable[[int, int], None] | None = None,
        until: int | None = None,
        elapsed: Mapping[str, float] | None = None,
    ) -> Recording:
        """Run from start to end, inclusive; once for an engine.

        Parameters
        ----------
        driver : ``event`` goes through the components in every row; ``kernel`` runs the compiled loop, which asks for
            what is written in plain Python: a strategy, a venue's client, an execution manager
        progress : called with (rows done, rows)
        until : index of the last row to run; None runs all

        Raises
        ------
        InputError
            Where the data cannot be used, the engine has had its run, or a component needs the other driver.
        EngineError
            Where a component raises; the message names it, the cause is chained.
        """
        clock = time.perf_counter
        began = clock()
        self._window = (start, end)
        self._take_stock()
        handles = self._handles(driver)
        begin = functools.partial(prepare, self.run.start, self._market, start, end, handles)
        self.run.begin(named_errors("the market of data_provider", begin))
        run = self.run.state
        last = last_row(run, until)
        owner = weakref.proxy(self)
        self.event_logger.run_id = lambda: owner.run_id
        took = {**(elapsed or {}), "compile": run.compile_s}
        mark = clock()
        took["load"] = took.get("load", 0.0) + mark - began - run.compile_s
        self.event_logger.open()
        self.is_running = True
        try:
            row, reason = await (self._rows if driver == "event" else self._loop)(last, progress)
        except EngineError as error:
            # the log may be what failed
            with contextlib.suppress(Exception):
                self.event_logger.close(str(error))
            raise
        finally:
            self.is_running = False
        took["kernel"] = clock() - mark
        took["total"] = clock() - began + (elapsed or {}).get("load", 0.0)
        peak = peak_memory()
        recording = finish(
            run, row, reason, took, self._data_dir, self._repeat, until, spent=dict(self.clock.spent), peak_memory=peak,
            own_code=self._own_code,
        )  # fmt: skip
        stop = int(run.panel.timestamps[min(recording.stop, len(run.panel) - 1)])
        await self._guarded(self.log_events(recording.cause, stop, True))
        return recording

    async def log_events(self, cause: str | None = None, stop: int | None = None, over: bool = False) -> int:
        """Log what the run has written; `over` ends the log."""
        with self.clock.of("event_logger"):
            self.event_logger.collect()
            if over:
                self.event_logger.close(cause, stop)
        return codes.END

    def _take_stock(self) -> None:
        """What the run is made of, attributes that were replaced since the engine was built included."""
        manager = type(self.strategy_manager)
        if manager is not self._manager and manager.defined(self._base) != self.run.start.strategy:
            raise InputError(
                f"strategy_manager was replaced by a {manager.__name__} with plans or a policy of its own; give its "
                "class to the engine: components={'strategy_manager': …}."
            )
        components = {name: type(getattr(self, name)) for name in COMPONENTS}
        interfaces = {name: type(client) for name, client in self.interfaces.items()}
        own = {name: kind for name, kind in components.items() if kind is not COMPONENTS[name]}
        theirs = {name: kind for name, kind in interfaces.items() if kind not in _CLIENTS}
        self._own_code = {name: kind.__qualname__ for name, kind in (own | theirs).items()}
        self._again = {**self._start, "components": own, "interfaces": theirs}
        ExecutionInterfaceFactory.set_interface_dependencies(
            self.interfaces, self.position_monitor, self.event_logger, self.data_provider
        )

    @property
    def _market(self) -> Any:
        provider = self.data_provider
        return provider.whole if isinstance(provider, PanelProvider) else provider

    @property
    def _data_dir(self) -> str | None:
        found = getattr(self.data_provider, "data_dir", None)
        return None if found is None else str(found)

    def _repeat(self, row: int) -> Recording:
        """The same run up to a row, by a new engine."""
        config = self.config
        engine = EventDriver(
            config, "backtest", self.data_provider, config.initial_capital, config.share_class, **self._again
        )
        return run_blocking(engine.record(*self._window, driver="event", until=row))

    def _handles(self, driver: str) -> int:
        """What the compiled loop has to leave to Python."""
        if driver not in ("kernel", "event"):
            raise InputError(f"driver {driver!r} is not available; use 'kernel' or 'event'.")
        if driver == "event":
            return codes.NOTHING
        for name in (*_COMPILED, "position_update_handler"):
            kind = type(getattr(self, name))
            if kind is not COMPONENTS[name]:
                raise InputError(
                    f"{name} is a {kind.__name__}: the kernel driver does its work in compiled code and would pass it "
                    "by. Use driver='event'."
                )
        managers = ("cex_execution_manager", "onchain_execution_manager")
        if any(type(getattr(self, name)) is not COMPONENTS[name] for name in managers):
            return codes.OWN_ROW
        if any(type(client) not in _CLIENTS for client in self.interfaces.values()):
            return codes.OWN_ROW
        return codes.OWN_DECISION if self.asks_python else codes.NOTHING

    async def _rows(self, last: int, progress: Callable[[int, int], None] | None) -> tuple[int, int]:
        """The event driver: every row through the components."""
        run = self.run.state
        first, breath = run.first, Breath(_BREATH)
        for row in range(first, last):
            run.room_for_events()
            run.row = row
            reason = await self._guarded(self._row_driver.run_row(row))
            if reason != codes.END:
                return row, reason
            if progress is not None and row % _REPORTED == 0:
                progress(row - first, last - first)
            await breath.take()
        run.check_room()
        if progress is not None:
            progress(last - first, last - first)
        return last, codes.END

    async def _loop(self, last: int, progress: Callable[[int, int], None] | None) -> tuple[int, int]:
        """The kernel driver: the compiled loop, and an answer wherever it asks."""
        run = self.run.state
        row, given, breath = run.first, -1, Breath(_BREATH)
        while True:
            # a log is written while the run goes on, and who waits for the run may end it
            row, reason = advance(run, row, min(last, row + PIECE), progress, given, last)
            given = -1
            await breath.take()
            if reason == codes.END and row < last:
                run.row = row - 1
                await self._guarded(self.log_events())
                continue
            if reason != codes.ASKED:
                return row, reason
            run.row = row
            reason = await self._guarded(self._answer())
            if reason != codes.END:
                return row, reason
            given = self._given
            # not before the answer: a row that is refused is none of the run's
            await self._guarded(self.log_events())

    async def _answer(self) -> int:
        """What the loop asked for: the rest of the row, or a decision. Returns END, or BAD_DECISION."""
        self._given = 0
        if self.run.state.loop.run_context.caller_handles == codes.OWN_ROW:
            return await self._row_driver.process()
        self._given = self._row_driver.hand_over(await self._row_driver.decide())
        return codes.END

    async def _guarded(self, work: Any) -> int:
        """Await a part of the run; what a component raises names it."""
        try:
            return await work
        except BadDecision as error:
            if not self.is_running:
                raise
            if not self.asks_python:
                return codes.BAD_DECISION
            failure: Exception = error
        except Exception as error:
            failure = error
        name, run = self.clock.where(failure) or "engine", self.run.state
        self.health_manager.report_failure(name, failure)
        when = "" if run.timestamp is None else f" ({iso(run.timestamp)})"
        raise EngineError(f"{name} failed in row {run.row}{when}: {failure}") from failure

    @property
    def asks_python(self) -> bool:
        """Whether the strategy is written in plain Python."""
        return type(self.strategy_manager).make_decision is not StrategyManager.make_decision

    # --- a decision by hand ------------------------------------------------------------------------------------------

    async def execute_decision(
        self, decision: "Decision | list[Action]", timestamp: Any = None, market_data: Any = None
    ) -> None:
        """Carry out a decision in the current row.

        After a run this goes on from its last row on a copy; the result of the run stays as it is.

        Parameters
        ----------
        decision : a `Decision`, or a list of `Action`
        timestamp : instant of that row, to be sure; None takes it as it is

        Raises
        ------
        InputError
            Where an action cannot be: an unknown name or asset, an amount that is no number or below 0.
        EngineError
            Where a component raises; the message names it.
        """
        self.run.state.need_now(timestamp)
        if not self.is_running:
            self.run.go_on()
        await self._guarded(self._carry_out(decision, market_data))

    async def _carry_out(self, decision: Any, market_data: Any) -> int:
        self.run.state.room_for_events(2)
        if not await self._row_driver.carry_out(decision, market_data):
            raise InputError(f"The decision cannot be carried out: {decision}.")
        return await self.log_events()

    # --- status ----------------------------------------------------------------------------------------------------

    async def get_status(self) -> dict[str, Any]:
        """mode, share_class, execution_mode, health, current_timestamp, is_running."""
        timestamp = self.run.state.timestamp if self.run.has_begun else None
        return {
            "mode": self.config.mode,
            "share_class": self.config.share_class,
            "execution_mode": self.execution_mode,
            "health": self.health_manager.check_detailed_health(),
            "current_timestamp": None if timestamp is None else iso(timestamp),
            "is_running": self.is_running,
        }
