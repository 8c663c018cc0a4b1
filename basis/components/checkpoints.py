"""Checkpoints: the state of a run after one row, and whether a state can be gone on from.

Compiled code reads places from the state without looking at them again, so a state that comes from outside is looked at
here: its length, what must be finite, and what must be a place or a code.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..inputs.slots import Slots
from ..kernel.layout import codes
from ..kernel.layout.shape import Shape, pnl_views, state_views
from ..kernel.start import aligned


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


#: What may be infinite, or not a number, in a state: ratios where nothing is held, what a strategy keeps, and bounds
#: that a run sets anew.
_MAY_BE_INFINITE = frozenset(
    {
        "ltv", "health_factor", "ltv_before", "health_factor_before", "margin_ratio", "margin_ratio_before",
        "worst_margin_ratio", "maintenance_ratio_before", "account_ltv", "account_health_factor", "next_arrival",
        "memory", "maintenance_bound", "bounded_notional",
    }
)  # fmt: skip
#: A count is not larger: counts are floats, and beyond this not exact.
_MOST = 2.0**53


def restored(checkpoint: Checkpoint, slots: Slots, share_class: str, plans: int) -> np.ndarray:
    """The state block (rows, 1) of a checkpoint.

    Parameters
    ----------
    plans : number of plans that the strategy has

    Raises
    ------
    InputError
        Where it is of another book, or is damaged.
    """
    keys, shape = tuple(str(k) for k in slots.keys), slots.shape()
    if checkpoint.keys != keys or checkpoint.share_class != share_class:
        raise InputError(
            f"resume: the checkpoint holds {', '.join(checkpoint.keys)} in {checkpoint.share_class}; this "
            f"configuration needs {', '.join(keys)} in {share_class}. Resume with the configuration that made it."
        )
    state = np.asarray(checkpoint.state)
    if state.dtype != np.float64 or state.shape != (shape.rows,):
        raise InputError(
            f"resume: the state of the checkpoint is {state.dtype} {state.shape}; this configuration needs float64 "
            f"({shape.rows},). Resume with the configuration and the version that made it."
        )
    block = aligned((shape.rows, 1))
    block[:, 0] = state
    if wrong := _damage(shape, block, plans):
        raise InputError(f"resume: the checkpoint is damaged: {wrong}. Make it again.")
    return block


def _damage(shape: Shape, block: np.ndarray, plans: int) -> str | None:
    """What no run can have left in a state; None where there is nothing."""
    state = state_views(shape, block)
    if not all(np.isfinite(line).all() for line in pnl_views(shape, block)):
        return "a P&L is not finite"
    for name in state._fields:
        if name not in _MAY_BE_INFINITE and not np.isfinite(getattr(state, name)).all():
            return f"{name} is not finite"
    limits = {
        "queue_slot": (0, shape.moving - 1),
        "queue_decision": (0, _MOST),
        "waiting": (0, codes.ACTIONS),
        "waiting_code": (0, len(codes.ACTION_NAMES) - 1),
        "waiting_plan": (0, max(plans, 1) - 1),
        "sets_stop": (-1, 1),
        "alert": (0, 2),
        "alert_level": (0, 2),
        "level": (0, 2),
        "decisions": (0, _MOST),
        "events": (0, _MOST),
        "withdrawals_paid": (0, _MOST),
    }
    for name, (least, most) in limits.items():
        values = getattr(state, name)
        if not ((values >= least) & (values <= most) & (values == np.round(values))).all():
            return f"{name} is not a whole number from {least} to {most:g}"
    return None
