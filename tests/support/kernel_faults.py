"""The door for broken kernels: a stage that does something else, terms that are not the configuration's.

For runs in plain Python (``NUMBA_DISABLE_JIT=1``), in which every module calls a stage by its name.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from basis.engine import model
from basis.kernel import coefficients, depth, exposure, fills, hour, layout, loop, pnl, risk, route, settle

_MODULES = (coefficients, depth, exposure, fills, hour, layout, loop, pnl, risk, route, settle, model)
#: What a stage does → its name in the kernel.
STAGES = {
    "settle funding": "settle_funding",
    "book a trade": "book_trade",
    "book a transfer": "book_transfer",
    "book a supply": "book_pool",
    "liquidate": "liquidate",
    "let transfers arrive": "arrive",
    "attribute the hour": "attribute",
    "latency of a transfer": "latency",
    "slippage of a trade": "slippage_of",
    "maintenance margin": "maintenance",
    "path to a liquidation": "path_to_liquidation",
    "terms of the venues": "make_terms",
}


@contextlib.contextmanager
def replaced(stage: str, make: Callable[[Callable], Callable]) -> Iterator[None]:
    """Every use of a stage is that of another: `make(original)`."""
    name = STAGES[stage]
    places = [module for module in _MODULES if hasattr(module, name)]
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


def _state(arguments: tuple) -> Any:
    """Named views of the state, which every stage that books takes as its second argument."""
    return layout.book(arguments[0], arguments[1])


def pnl_line(arguments: tuple, column: str) -> np.ndarray:
    """The cumulative P&L of a column in the state that a stage was given; written to in place."""
    place = layout.COLUMN_NAMES.index(column)
    return _state(arguments).column[place : place + 1]


def funding_lines(arguments: tuple) -> np.ndarray:
    """Cumulative funding by venue in the state that a stage was given."""
    return _state(arguments).funding


def quantities(arguments: tuple) -> np.ndarray:
    """Quantities in the state that a stage was given."""
    return _state(arguments).q


def scale_taker_fee_of_perps(terms: Any, factor: float) -> None:
    """Change the taker fee of perps at every venue."""
    terms.venue[:, :, layout.PERP_TAKER] *= factor


def scale_gas_units(terms: Any, factor: float) -> None:
    """Change the gas of every operation."""
    terms.gas[:] *= factor
