"""Whether Numba's internals do what `internals` asks of them: run once for each cache folder, a file is read later."""

import ctypes
import hashlib
from typing import Any

import llvmlite
import numba
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

from . import cache, internals
from .intrinsics import SIZE_FUNCTION, size_function

_SIZE = "basis.self_test.size"
_SIGNATURE = types.float64(types.float64)
_OPTIONS: Any = {"pipeline_class": internals.PartCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@intrinsic
def _size(typingctx: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nowhere = ir.Constant(SIZE_FUNCTION.args[0], None)
        return builder.call(size_function(builder.module, _SIZE), [nowhere])

    return types.int64(), generate


def _parts() -> Any:
    """An open kernel that inlines one part, and calls another with a literal and with a variable."""

    @njit(forceinline=True, **_OPTIONS)
    def term(i, factor):
        return factor / (1.0 + i)

    @njit(forceinline=False, **_OPTIONS)
    def total(factor):
        found = 0.0
        for i in range(_size()):
            found += term(i, factor)
        return found

    total = internals.for_any_literal(total)

    @njit(forceinline=False, **_OPTIONS)
    def entry(factor):
        return total(factor) + total(2.0)

    return entry


def _expected(size: int, factor: float) -> float:
    return sum(factor / (1.0 + i) for i in range(size)) + sum(2.0 / (1.0 + i) for i in range(size))


def _call(address: int, factor: float) -> float:
    """Call machine code as Numba's own code calls it: (result, exception, arguments) → status."""
    result, error = ctypes.c_double(), ctypes.c_void_p()
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double)(address)
    status = function(ctypes.addressof(result), ctypes.addressof(error), factor)
    if status:
        raise RuntimeError(f"a bound kernel came back with status {status}")
    return result.value


def _run() -> bool:
    read = internals.read(_parts(), _SIGNATURE)
    kept = [internals.bind(read, _SIGNATURE, {_SIZE: size}, f"basis-self-test-{size}") for size in (3, 5)]
    for size, library in zip((3, 5), kept, strict=True):
        for made in (library, internals.load(internals.dump(library))):
            found = _call(made.get_pointer_to_function(library.name), 0.7)
            if found != _expected(size, 0.7):
                raise RuntimeError(f"a kernel bound to {size} returned {found!r}, not {_expected(size, 0.7)!r}")
    return True


def check() -> None:
    """Compile and run a small kernel in all the ways that kernels are, unless that went well before.

    Raises
    ------
    Exception
        Whatever went wrong.
    """
    made_of = (numba.__version__, llvmlite.__version__, binding.get_host_cpu_name())
    digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    cache.load_or_make(f"self-test-{digest}", _run)
