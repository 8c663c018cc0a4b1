"""Short runs: a mode over a small market, once by the compiled loop or through the components."""

from basis.config import load_config
from basis.engine.blocking import run_blocking
from basis.engine.event_driven import EventDriver
from basis.engine.simulation import simulate
from basis.strategies.compiled import CompiledStrategy

from .kernel_view import RunView

#: Nothing costs anything, transfers arrive at once, nothing is watched.
FREE = {"costs.enabled": False, "transfers.instant": True, "risk.limits": {}}


#: Narrow bands and rebalances that go to the target, by strategy: small markets then see many of them.
_NARROW = {"strategy.margin_ratio_band": [0.7, 1.5]}
_BUSY = {
    "spot_perp": {**_NARROW, "strategy.position_deviation_threshold": 0.02, "strategy.rebalance_depth": 1.0},
    "hedged_staking": {**_NARROW, "strategy.position_deviation_threshold": 0.05},
    "hedged_levered_staking": {**_NARROW, "strategy.position_deviation_threshold": 0.05},
}


def busy(mode):
    """Overrides with which a shipped mode rebalances often."""
    return _BUSY.get(load_config(mode, environ={}).strategy.name, {})


def settings(mode="btc_basis", overrides=None, **more):
    """A configuration of a busy policy that the environment does not touch."""
    return load_config(mode, {**busy(mode), **(overrides or {}), **more}, environ={})


def run(panel, mode="btc_basis", overrides=None, strategy=None, positions=None, **kwargs):
    """Run a mode over a panel; overrides as dotted keys, a strategy compiled from a function or the kernel's own."""
    config = settings(mode, overrides)
    if isinstance(strategy, CompiledStrategy):
        strategy = strategy.strategy_for(config)
    return RunView(simulate(config, panel, strategy=strategy, positions=positions, **kwargs))


def engine_of(made, **more):
    """An event engine for the run that was made: the same market, start and strategy."""
    config = made.recording.config
    given = {
        "positions": made.recording.holdings if made.recording.given else None,
        "resume": made.recording.resumed,
        "strategy": made.recording.strategy,
    }
    return EventDriver(config, "backtest", made.panel, config.initial_capital, config.share_class, **{**given, **more})


def by_components(made, driver="event", **more):
    """The same run once more, through the components (or, with `driver` kernel, as far as they are asked)."""
    return RunView(run_blocking(engine_of(made, **more).record(driver=driver)))
