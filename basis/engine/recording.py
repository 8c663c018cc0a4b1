"""What a run leaves behind, as arrays: the one thing results are made from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..components.checkpoints import Checkpoint
from ..components.run_state import RunState
from ..config import Config
from ..inputs.slots import Slots
from ..kernel.context import Inputs
from ..kernel.loop import Loop
from ..market.panel import Panel


@dataclass(frozen=True, repr=False)
class Recording:
    """Arrays of a run; see docs/layout.md for their rows and columns.

    Attributes
    ----------
    record : (rows of the panel, recorded) float64, state after each row's fills
    events : (events,) records, see `kernel.layout.records.EVENT`
    block : (rows, 1) float64, final state
    loop : the loop that ran
    first, stop : first row that was run (1 for a resumed run) and the row after the last
    status : ``complete`` or ``stopped``
    cause : one sentence, where stopped
    elapsed : seconds of load, compile, kernel, total
    spent : seconds by component, of a run of the event driver
    peak_memory : largest memory of the process up to the end of such a run, bytes
    holdings : starting book
    given : whether the starting book was given as positions
    data_dir : folder of the data set, None for arrays in memory
    resumed : checkpoint it went on from
    repeat : runs it again up to a row
    own_code : classes of one's own, by component and venue
    notes : what of the columns that the strategy watches is not known in some rows
    """

    config: Config
    panel: Panel
    slots: Slots
    inputs: Inputs
    record: np.ndarray
    events: np.recarray
    block: np.ndarray
    loop: Loop
    first: int
    stop: int
    status: str
    cause: str | None
    elapsed: dict[str, float]
    holdings: dict[str, float]
    given: bool
    data_dir: str | None
    resumed: Checkpoint | None
    strategy: Any
    repeat: "Callable[[int], Recording]"
    own_code: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spent: dict[str, float] = field(default_factory=dict)
    peak_memory: int | None = None

    @classmethod
    def of(cls, run: RunState, **rest: Any) -> "Recording":
        """From a run that has ended."""
        return cls(
            config=run.config,
            panel=run.panel,
            slots=run.slots,
            inputs=run.inputs,
            record=run.record,
            events=run.events,
            block=run.block,
            loop=run.loop,
            first=run.first,
            holdings=run.holdings,
            given=run.start.given,
            resumed=run.resumed,
            strategy=run.strategy,
            notes=run.columns.notes,
            **rest,
        )
