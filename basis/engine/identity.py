"""What a run is called: a name that says what it was made of."""

import functools
import hashlib
import json
from datetime import datetime
from typing import Any

import basis

from ..assets import facts_hash
from ..errors import InputError
from ..kernel.numba.cache import kernel_hash
from ..market.sources.clock import to_datetime
from ..strategies.factory import make_strategy

#: Length of the hash in a run id, hex digits.
_DIGITS = 10
#: sha256 of the kernel sources.
kernel_identity = functools.cache(kernel_hash)


def sha256_of(content: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def starting_positions(run: Any) -> dict[str, float] | None:
    """The starting book where it is not the capital in the share class at the start venue."""
    config = run.config
    usual = {f"{config.start_venue}:BaseToken:{config.share_class}": float(config.initial_capital)}
    return None if run.resumed is not None or run.holdings == usual else dict(run.holdings)


def own_strategy(run: Any) -> str | None:
    """Name of the strategy where it is not the mode's own."""
    strategy = run.strategy
    if strategy is None:
        return None
    try:
        return None if make_strategy(run.config) is strategy else str(getattr(strategy, "name", strategy))
    except InputError:
        return str(getattr(strategy, "name", strategy))


def _stamp(ns: int) -> str:
    moment = to_datetime(ns)
    return moment.strftime("%Y%m%d" if moment.time() == datetime.min.time() else "%Y%m%dT%H%M%S")


def make_run_id(run: Any) -> str:
    """``<mode>-<start>-<end>-<hash>``: the same for the same configuration, data, package version, kernel and start.

    The hash is of the resolved configuration, the data files, the package version, the kernel sources, the facts about
    assets, the window, the starting book and the checkpoint that was resumed.
    """
    stamps = run.panel.timestamps
    made_of = {
        # the window stands below, however it was given
        "config": {name: value for name, value in run.config.to_dict().items() if name not in ("start", "end")},
        "data": dict(sorted(run.panel.files.items())),
        "version": basis.__version__,
        "kernel": kernel_identity(),
        "assets": facts_hash(),
        "window": [int(stamps[0]), int(stamps[-1])],
        "positions": starting_positions(run),
        "strategy": own_strategy(run),
        "resumed": None if run.resumed is None else sha256_of(run.resumed.state.tobytes()),
    }
    digest = sha256_of(json.dumps(made_of, sort_keys=True, default=str).encode())
    return f"{run.config.mode}-{_stamp(int(stamps[run.first]))}-{_stamp(int(stamps[-1]))}-{digest[:_DIGITS]}"
