"""What a run is called: a name that says what it was made of."""

import functools
import hashlib
import json
from datetime import datetime
from pathlib import Path
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
_PACKAGE = Path(basis.__file__).parent
#: What shows a run, and makes no number of it.
_SHOWS = ("cli", "plots", "reports")


def source_hash(package: Path = _PACKAGE) -> str:
    """sha256 of the sources that make a run's tables and its summary: all but those that show them."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in _SHOWS:
            digest.update(name.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


#: That of this process, taken when it begins: an edit afterwards does not change what it runs.
SOURCE = source_hash()


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
    """``<mode>-<start>-<end>-<hash>``: the same for the same configuration, data, code and start.

    The hash is of the resolved configuration, the data files, the package's version and sources, the facts about
    assets, the strategy, the window, the starting book and the checkpoint that was resumed. So no run of other code
    takes the folder of this one.
    """
    stamps = run.panel.timestamps
    made_of = {
        # the window stands below, however it was given
        "config": {name: value for name, value in run.config.to_dict().items() if name not in ("start", "end")},
        "data": dict(sorted(run.panel.files.items())),
        "version": basis.__version__,
        "source": SOURCE,
        "assets": facts_hash(),
        "window": [int(stamps[0]), int(stamps[-1])],
        "positions": starting_positions(run),
        "strategy": own_strategy(run),
        "resumed": None if run.resumed is None else sha256_of(run.resumed.state.tobytes()),
    }
    digest = sha256_of(json.dumps(made_of, sort_keys=True, default=str).encode())
    return f"{run.config.mode}-{_stamp(int(stamps[run.first]))}-{_stamp(int(stamps[-1]))}-{digest[:_DIGITS]}"
