"""The two calls most users need: run a configuration, open a run. Imports everything below the command line."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from .components.book import Checkpoint
from .config import Config, load_config
from .engine.simulation import simulate, warn_if_stopped
from .errors import InputError
from .market import DataProvider
from .market.panel import Panel
from .results import Result, open_run
from .strategies.base import Strategy

__all__ = ["backtest", "default_data", "open_run"]


def default_data() -> Path:
    """Data folder where none is named: ``BASIS_DATA_DIR``, the checkout's sample, else the sample in the user cache."""
    named = os.environ.get("BASIS_DATA_DIR")
    if named:
        return Path(named)
    shipped = Path(__file__).resolve().parent.parent / "data" / "sample"
    if shipped.is_dir():
        return shipped
    from .market.sample import write_sample

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "basis" / "sample"
    if not cache.is_dir():
        part = cache.with_name(f"sample.{os.getpid()}.part")
        write_sample(part)
        part.rename(cache)
    return cache


def backtest(
    config: "Config | Mapping[str, Any] | str | Path",
    data: "str | os.PathLike[str] | DataProvider | Panel | None" = None,
    start: Any = None,
    end: Any = None,
    overrides: Mapping[str, Any] | None = None,
    driver: Literal["kernel"] = "kernel",
    positions: Mapping[str, float] | None = None,
    resume: "Checkpoint | None" = None,
    out: "str | Path | None" = None,
    *,
    force: bool = False,
    strategy: Strategy | None = None,
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
    driver : ``kernel``, the compiled loop
    positions : starting book ``{instrument key: quantity, "<perp key>|cost": K}`` instead of capital in one token
    resume : checkpoint of `Result.checkpoint`; the run goes on in the row after it
    out : folder to write the run to; nothing is written without it
    force : replace `out` where it exists
    strategy : another strategy than the mode's (`basis.strategies.base`)
    progress : called with (rows done, rows)

    Returns
    -------
    Result
        A run that stopped itself (broken identity, data hole, insolvency) warns, and says so in `status` and `cause`.

    Raises
    ------
    InputError
        Where configuration, data or usage are wrong; nothing is written then.
    """
    began = time.perf_counter()
    if driver != "kernel":
        raise InputError(f"driver {driver!r} is not available; use 'kernel'.")
    window = {"start": start, "end": end}
    resolved = load_config(config, {**(overrides or {}), **{k: v for k, v in window.items() if v is not None}})
    if isinstance(data, DataProvider | Panel):
        market = data
        if isinstance(market, DataProvider) and market.config != resolved:
            # what a provider resolves depends on the configuration
            market = DataProvider(market.data_dir, resolved)
    else:
        market = DataProvider(Path(data) if data is not None else default_data(), resolved)
    if out is not None:
        Result.check_target(out, force)
    elapsed = {"load": time.perf_counter() - began}
    recording = simulate(
        resolved, market, resolved.start, resolved.end, positions, resume, strategy, progress, elapsed=elapsed
    )
    warn_if_stopped(recording)
    result = Result.from_recording(recording)
    if out is not None:
        result.save(out, force=force)
    return result
