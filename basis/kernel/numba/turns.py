"""Counts the turns of loops that a user has written, so that one that never ends can be left.

Each thread that runs such loops has a `Turns` of its own: how many turns are left, and whether to stop at the next one.
`internals` puts the count at the head of every loop. It raises `EndlessLoop` there.
"""

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Turns of loops in one decision. At a nanosecond or two each, no strategy that looks at a market needs as many.
TURNS_PER_DECISION = 100_000_000
#: What a thread keeps: turns left, whether to stop, turns of a decision.
_LEFT, _STOP, _GIVEN = range(3)
_WORD = ir.IntType(64)


class EndlessLoop(Exception):
    """A loop was left: its turns were used up, or it was stopped."""


def _python(name: str, result: Any, *takes: Any) -> Any:
    function = getattr(ctypes.pythonapi, name)
    function.restype, function.argtypes = result, takes
    return function


#: What each thread keeps under this key is the address of its `Turns`. Python's own storage asks for no interpreter.
_KEY = _python("PyThread_tss_alloc", ctypes.c_void_p)()
_python("PyThread_tss_create", ctypes.c_int, ctypes.c_void_p)(_KEY)
_keep = _python("PyThread_tss_set", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class Turns:
    """How many turns a thread has left; made and used by one thread, stopped by any."""

    def __init__(self) -> None:
        self._words = np.zeros(3, dtype=np.int64)

    def begin(self) -> None:
        """Let the thread that calls this count here."""
        self._words[:] = TURNS_PER_DECISION, 0, TURNS_PER_DECISION
        _keep(_KEY, self._words.ctypes.data)

    def stop(self) -> None:
        """Let the thread leave its loop at the next turn."""
        self._words[_STOP] = 1


#: Where a thread counts that has no turns of its own, and is not stopped.
_unlimited = np.array([np.iinfo(np.int64).max, 0, 0], dtype=np.int64)


def _words_of_thread(builder: Any) -> tuple[Any, Any]:
    """Address of the thread's words, and whether it has any."""
    pointer = ir.IntType(8).as_pointer()
    get = cgutils.get_or_insert_function(builder.module, ir.FunctionType(pointer, [pointer]), "PyThread_tss_get")
    found = builder.ptrtoint(builder.call(get, [builder.inttoptr(_WORD(_KEY), pointer)]), _WORD)
    return found, builder.icmp_unsigned("!=", found, _WORD(0))


@intrinsic
def turns_of_thread(typingctx: Any) -> Any:
    """Address of the words of the thread that runs."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found, own = _words_of_thread(builder)
        return builder.select(own, found, _WORD(_unlimited.ctypes.data))

    return types.int64(), generate


@intrinsic
def begin_decision(typingctx: Any) -> Any:
    """Give the thread that runs the turns of a decision."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found, own = _words_of_thread(builder)
        with builder.if_then(own):
            words = builder.inttoptr(found, _WORD.as_pointer())
            builder.store(builder.load(builder.gep(words, [_WORD(_GIVEN)])), words)
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def is_over(typingctx: Any, words: Any) -> Any:
    """Count a turn; whether it is one too many, or the thread was stopped."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left = builder.inttoptr(args[0], _WORD.as_pointer())
        now = builder.sub(builder.load(left), _WORD(1))
        builder.store(now, left)
        # another thread may write it at any time
        stop = builder.load_atomic(builder.gep(left, [_WORD(_STOP)]), "monotonic", 8)
        return builder.or_(builder.icmp_signed("<", now, _WORD(0)), builder.icmp_signed("!=", stop, _WORD(0)))

    return types.boolean(types.int64), generate
