"""What a compiled strategy did wrong, told as plain Python would tell it: strategy, exception, index and line."""

from ..components.run_state import RunState
from ..kernel.layout.shape import seen_views
from ..kernel.numba.turns import TURNS_PER_DECISION, EndlessLoop
from .book_names import BookNames
from .own_code import line_of, plain_copy
from .typed_view import plain_decision


def failure_of(run: RunState, error: Exception) -> tuple[str, Exception]:
    """What a compiled strategy raised in the row that it was shown last, and the exception that says most of it.

    Machine code knows neither the index nor the line of a place beyond an array. So the decision is made once more, in
    plain Python, and tells both where it comes to the same exception.
    """
    function = run.strategy.decide.function
    said, cause = "", error
    if isinstance(error, EndlessLoop):
        said = (
            f"did not come to an end: its loops took more than {TURNS_PER_DECISION:,} turns in one decision. "
            "Let the loop end, or write a basis.StrategyManager in plain Python"
        )
    else:
        again = _decided_again(run) if run.strategy.decide.runs_apart else None
        cause = again if again is not None and type(again) is type(error) else error
        said = f"raised {type(cause).__name__}" + (f": {cause}" if str(cause) else "")
    where = line_of(cause, function) or line_of(error, function)
    return f"strategy {function.__name__} {said}" + (f" ({where})" if where else ""), cause


def _decided_again(run: RunState) -> Exception | None:
    """What the last decision raises in plain Python, on copies of what it writes; None where it raises nothing."""
    made, start = run.strategy.decide, run.start
    book = BookNames(run.config, run.slots, start.plans, start.strategy.names(run.config))
    decide = plain_decision(plain_copy(made.function), book, len(made.params), run.columns)
    scratch = run.scratch
    seen = scratch.seen.copy()
    # what it remembered before it began
    seen_views(run.slots.shape(), seen).memory[0] = run.state.memory[:, 0]
    try:
        decide(seen[0], scratch.policy[0].copy(), scratch.actions[0].copy(), scratch.decision[0].copy(), None)
    except Exception as error:
        return error
    return None
