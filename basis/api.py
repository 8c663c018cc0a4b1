"""What most users need: run a configuration, open a run, the engine. Imports everything below the command line."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .components.checkpoints import Checkpoint
from .config import Config, load_config
from .engine.blocking import run_blocking
from .engine.event_driven import Driver, EventDriver
from .engine.recording import Recording
from .engine.simulation import simulate, warn_if_stopped
from .engine.wiring import checked_mode, configured
from .errors import InputError, as_path, checked_call, shown
from .execution.interface import VenueInterface
from .inputs.plans import Strategy
from .market import DataProvider
from .market.panel import Panel
from .market.sources.clock import iso
from .reports import Result, open_run
from .strategies.compiled import CompiledStrategy
from .strategies.manager import StrategyManager

__all__ = ["EventDrivenStrategyEngine", "backtest", "default_data", "open_run"]

#: What a mapping among the arguments of `backtest` looks like.
_MAPPINGS = {
    "overrides": '{"strategy.margin_ratio_target": 0.8}',
    "positions": '{"binance:BaseToken:USDT": 50_000.0}',
    "components": '{"risk_monitor": MyRiskMonitor}',
    "interfaces": '{"bybit": MyClient}',
}


def default_data() -> Path:
    """Data folder where none is named: ``BASIS_DATA_DIR``, the checkout's sample, else the sample in the user cache."""
    named = os.environ.get("BASIS_DATA_DIR")
    if named:
        return Path(named)
    shipped = Path(__file__).resolve().parent.parent / "data" / "sample"
    if shipped.is_dir():
        return shipped
    import platformdirs

    from .market.sample import write_sample
    from .processes import write_beside

    cache = Path(platformdirs.user_cache_dir("basis", appauthor=False)) / "sample"
    if not cache.is_dir():
        write_beside(cache, write_sample)
    return cache


class EventDrivenStrategyEngine(EventDriver):
    __doc__ = EventDriver.__doc__

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
        strategy: "CompiledStrategy | Strategy | None" = None,
        **more: Any,
    ) -> None:
        self._own = strategy if isinstance(strategy, CompiledStrategy) else None
        if isinstance(strategy, CompiledStrategy):
            config = configured(config, initial_capital, share_class)
            strategy.check(config, positions)
            strategy = strategy.strategy_for(config)
        super().__init__(
            config, execution_mode, data_provider, initial_capital, share_class,
            positions=positions, strategy=strategy, **more,
        )  # fmt: skip

    @checked_call
    async def run_backtest(
        self,
        start_date: Any = None,
        end_date: Any = None,
        driver: Driver = "event",
        *,
        out: "str | Path | None" = None,
        force: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Run from start to end, inclusive, and give the result; once for an engine.

        Parameters
        ----------
        start_date, end_date : as of `backtest`
        driver : ``event`` goes through the components in every row, ``kernel`` runs the compiled loop; the same bits
        out, force, progress : as of `backtest`

        Raises
        ------
        InputError
            Where the data cannot be used, the engine has had its run, or a component needs the other driver.
        EngineError
            Where a component raises; the message names it, the cause is chained.
        """
        if out is not None:
            Result.check_target(out, force)
        start = start_date if start_date is not None else self.config.start
        end = end_date if end_date is not None else self.config.end
        recording = _told(await self.record(start, end, driver, progress), self._own)
        warn_if_stopped(recording)
        result = Result.from_recording(recording)
        if out is not None:
            result.save(out, force=force)
        return result


@checked_call
def backtest(
    config: "Config | Mapping[str, Any] | str | Path",
    data: "str | os.PathLike[str] | DataProvider | Panel | None" = None,
    start: Any = None,
    end: Any = None,
    overrides: Mapping[str, Any] | None = None,
    driver: Driver = "kernel",
    positions: Mapping[str, float] | None = None,
    resume: "Checkpoint | None" = None,
    out: "str | Path | None" = None,
    *,
    force: bool = False,
    strategy: "CompiledStrategy | type[StrategyManager] | Strategy | None" = None,
    components: Mapping[str, type] | None = None,
    interfaces: Mapping[str, type[VenueInterface]] | None = None,
    event_log: "str | Path | None" = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a strategy over a market and return its result.

    Parameters
    ----------
    config : name of a mode, path of a YAML, dict or Config
    data : data folder; a provider or a panel that is ready; None takes `default_data`
    start, end : first and last row, inclusive; a bare date is 00:00 UTC; None takes the configuration's, then the range
        common to all series the mode needs
    overrides : dotted configuration keys, ``{"strategy.margin_ratio_target": 0.8}``
    driver : ``kernel``, the compiled loop, or ``event``, the components one by one; both give the same bits
    positions : starting book ``{instrument key: quantity, "<perp key>|cost": K}`` instead of capital in one token
    resume : checkpoint of `Result.checkpoint`; the run goes on in the row after it
    out : folder to write the run to, made with those above it; nothing is written without it
    force : replace `out` where it exists
    strategy : another strategy than the mode's: a function made one by `basis.compiled`, or a subclass of
        `basis.StrategyManager` in plain Python
    components, interfaces : classes of one's own, by component and by venue (`EventDrivenStrategyEngine`)
    event_log : file that gets a line of JSON per event while the run goes on
    progress : called with (rows done, rows)

    Returns
    -------
    Result
        A run that stopped itself (broken identity, data hole, insolvency) warns, and says so in `status` and `cause`.

    Raises
    ------
    InputError
        Where configuration, data or usage are wrong, or an argument is misspelt; nothing is written then.

    Examples
    --------
    >>> result = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-30", out="runs/june")
    >>> result.status, len(result.equity)
    ('complete', 697)
    >>> bool(result.attribution["funding_pnl"].sum() > 0)
    True
    >>> same = basis.backtest(basis.BtcBasis(start="2024-06-01", end="2024-06-30"), driver="event")
    >>> same.equity.equals(result.equity)
    True
    """
    began = time.perf_counter()
    if driver not in ("kernel", "event"):
        raise InputError(f"driver {driver!r} is not available; use 'kernel' or 'event'.")
    checked_mode("backtest")
    _check_mappings(overrides=overrides, positions=positions, components=components, interfaces=interfaces)
    _check_writing(force, event_log, progress)
    window = {"start": start, "end": end}
    resolved = load_config(config, {**(overrides or {}), **{k: v for k, v in window.items() if v is not None}})
    if isinstance(data, DataProvider | Panel):
        market = data
        window = {"start": None, "end": None, "initial_capital": 1.0}
        if isinstance(market, DataProvider) and (
            market.config.model_copy(update=window) != resolved.model_copy(update=window)
        ):
            # what a provider resolves depends on the configuration
            market = type(market)(market.data_dir, resolved)
    else:
        market = DataProvider(default_data() if data is None else data, resolved)
    if out is not None:
        Result.check_target(out, force)
    elapsed = {"load": time.perf_counter() - began}
    if isinstance(strategy, type) and issubclass(strategy, StrategyManager):
        strategy.check_own(needs_decision=True)
        components, strategy = {**(components or {}), "strategy_manager": strategy}, None
    own = strategy if isinstance(strategy, CompiledStrategy) else None
    if own is not None:
        own.check(resolved, positions)
        strategy = own.strategy_for(resolved)
    if not isinstance(strategy, Strategy | None):
        raise InputError(
            f"strategy is {strategy!r}; give a function made one by basis.compiled, or a subclass of StrategyManager."
        )
    if not isinstance(resume, Checkpoint | None):
        raise InputError(f"resume is {resume!r}; give what Result.checkpoint has made, or leave it out.")
    if driver == "kernel" and not (components or interfaces or event_log):
        recording = simulate(
            resolved, market, resolved.start, resolved.end, positions, resume, strategy, progress, elapsed=elapsed
        )
    else:
        engine = EventDriver(
            resolved, "backtest", market, resolved.initial_capital, resolved.share_class,
            positions=positions, resume=resume, strategy=strategy,
            components=components, interfaces=interfaces, event_log=event_log,
        )  # fmt: skip
        recording = run_blocking(engine.record(resolved.start, resolved.end, driver, progress, elapsed=elapsed))
    recording = _told(recording, own)
    warn_if_stopped(recording)
    result = Result.from_recording(recording)
    if out is not None:
        result.save(out, force=force)
    return result


def _check_writing(force: Any, event_log: Any, progress: Any) -> None:
    """Refuse what says where and how a run is written or reported, and is of another kind."""
    if not isinstance(force, bool):
        raise InputError(f"force is {shown(force)}; give True to replace a run folder, else False.")
    if event_log is not None:
        as_path(event_log, "event_log")
    if progress is not None and not callable(progress):
        raise InputError(f"progress is {shown(progress)}; give a function of (rows done, rows), or leave it out.")


def _check_mappings(**given: Any) -> None:
    """Refuse arguments that are given and are no mappings."""
    for name, value in given.items():
        if not isinstance(value, Mapping | None):
            raise InputError(f"{name} is {shown(value)}; give a mapping, such as {_MAPPINGS[name]}, or leave it out.")


def _told(recording: Recording, strategy: CompiledStrategy | None) -> Recording:
    """The recording, whose cause says what a compiled strategy did wrong, where that is what stopped the run."""
    if strategy is None or recording.status != "stopped":
        return recording
    fault = strategy.fault(recording.loop.scratch.decision[0], recording.config)
    if fault is None:
        return recording
    row = recording.stop
    when = iso(int(recording.panel.timestamps[row]))
    return replace(recording, cause=f"strategy {strategy.function.__name__} failed in row {row} ({when}): {fault}.")
