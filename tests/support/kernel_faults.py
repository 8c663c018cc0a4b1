"""The door for broken kernels: a stage that does something else, terms that are not the configuration's.

For runs in plain Python (``NUMBA_DISABLE_JIT=1``), in which every module calls a stage by its name.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import basis.engine.simulation  # noqa: F401  every module that calls a stage is loaded
from basis.kernel.layout.codes import COLUMN_NAMES
from basis.kernel.layout.shape import Shape, pnl_views, state_views

#: What a stage does → its name in the kernel.
STAGES = {
    "settle funding": "settle_funding",
    "book a trade": "book_trade",
    "book a transfer": "book_transfer",
    "book a supply": "book_lending",
    "liquidate": "liquidate_venue",
    "let transfers arrive": "receive_arrivals",
    "attribute the hour": "attribute",
    "latency of a transfer": "latency",
    "slippage of a trade": "slippage_of",
    "maintenance margin": "maintenance_margin",
    "path to a liquidation": "share_to_liquidation",
    "terms of the venues": "make_terms",
}


@contextlib.contextmanager
def replaced(stage: str, make: Callable[[Callable], Callable]) -> Iterator[None]:
    """Every use of a stage is that of another: `make(original)`."""
    name = STAGES[stage]
    loaded = [module for name, module in sys.modules.items() if name.startswith(("basis.kernel", "basis.inputs"))]
    places = [module for module in loaded if hasattr(module, name)]
    if not places:
        raise LookupError(f"the kernel has no {name} any more: say in STAGES what does its work")
    original = getattr(places[0], name)
    other = make(original)
    for module in places:
        setattr(module, name, other)
    try:
        yield
    finally:
        for module in places:
            setattr(module, name, original)


def _block(arguments: tuple) -> tuple[Shape, np.ndarray]:
    """Shape and state of a stage, which gets them as they are or in its run."""
    first = arguments[0]
    return (first, arguments[1]) if isinstance(first, Shape) else (first.shape, first.block)


def pnl_line(arguments: tuple, column: str) -> np.ndarray:
    """The cumulative P&L of a column in the state that a stage was given; written to in place."""
    return pnl_views(*_block(arguments))[COLUMN_NAMES.index(column)]


def funding_lines(arguments: tuple) -> np.ndarray:
    """Cumulative funding by venue in the state that a stage was given."""
    return state_views(*_block(arguments)).venue_funding


def quantities(arguments: tuple) -> np.ndarray:
    """Quantities in the state that a stage was given."""
    return state_views(*_block(arguments)).quantity


def scale_taker_fee_of_perps(terms: Any, factor: float) -> None:
    """Change the taker fee of perps at every venue."""
    terms.venue.perp_taker *= factor


def scale_gas_units(terms: Any, factor: float) -> None:
    """Change the gas of every operation."""
    for name in terms.gas.dtype.names:
        terms.gas[name] *= factor
