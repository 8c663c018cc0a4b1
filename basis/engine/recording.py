"""What a run leaves behind, as arrays: the one thing results are made from."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..config import Config
from ..kernel.coefficients import Slots
from ..kernel.layout import Model
from ..market import DataProvider
from ..market.panel import Panel


@dataclass(frozen=True)
class Checkpoint:
    """State of a run after the fills of one row: what `resume` takes.

    Attributes
    ----------
    timestamp : int64 ns UTC of the row
    started : int64 ns UTC of row 0 of the run
    share_class : numeraire
    keys : keys of the slots
    state : (rows,) float64, one lane of the state block
    """

    timestamp: int
    started: int
    share_class: str
    keys: tuple[str, ...]
    state: np.ndarray


@dataclass(frozen=True)
class Recording:
    """Arrays of a run; see `basis.kernel.layout` for what stands where.

    Attributes
    ----------
    record : (rows of the panel, recorded) float64, state after each row's fills
    events : (events, EVENT_WIDTH) float64
    block : (rows, 1) float64, final state
    first, stop : first row that was run (1 for a resumed run) and the row after the last
    status : ``complete`` or ``stopped``
    cause : one sentence, where stopped
    elapsed : seconds of load, compile, kernel, total
    holdings : starting book
    """

    config: Config
    panel: Panel
    slots: Slots
    model: Model
    record: np.ndarray
    events: np.ndarray
    block: np.ndarray
    first: int
    stop: int
    status: str
    cause: str | None
    elapsed: dict[str, float]
    holdings: dict[str, float]
    given: bool = False  # whether the starting book was given as positions
    provider: DataProvider | None = None
    resumed: Checkpoint | None = None
    strategy: Any = field(default=None, repr=False)
