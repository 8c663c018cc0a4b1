"""How kernels are compiled: the decorators, and what is called to compile or load them.

There are three ways, all with the same bits:

- the default, with what `internals` makes Numba do differently;
- ``BASIS_JIT=stock``: Numba as it is, for a release whose internals have changed. It is chosen with a warning where
  `self_test` fails. Compiling takes twice the time and sweeps two to four times theirs, a single backtest no more;
- ``NUMBA_DISABLE_JIT=1``: every function below is plain Python.
"""

import gc
import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numba
from numba import config, njit, typeof
from numba.np.numpy_support import carray

from basis.processes import start_python

from . import cache, intrinsics, turns

#: How kernels are compiled in this process (`MODE`).
DEFAULT, STOCK, PLAIN = "default", "stock", "plain"


def _choose_mode() -> str:
    if config.DISABLE_JIT:
        return PLAIN
    wanted = os.environ.get("BASIS_JIT", "")
    if wanted not in ("", STOCK):
        raise ValueError(f"BASIS_JIT is {wanted!r}; it must be {STOCK!r}, or not be set.")
    if wanted == STOCK:
        return STOCK
    try:
        # Both imports may fail, where Numba has other internals.
        from . import self_test

        self_test.check()
    except Exception as error:
        warnings.warn(
            f"Numba {numba.__version__} has other internals than the kernels were made for ({error!r}). They are "
            "compiled the stock way: the results are the same, but compiling and sweeps take longer. "
            "numba>=0.68,<0.69 is known to work; BASIS_JIT=stock silences this warning.",
            RuntimeWarning,
            stacklevel=2,
        )
        return STOCK
    return DEFAULT


MODE = _choose_mode()
if MODE == DEFAULT:
    from . import internals

#: No fastmath and no fused multiply-add: the bits are the same for any lane count and in plain Python.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}


def _njit(function: Callable, keep_on_disk: bool = False, **options: Any) -> Any:
    keep_on_disk = keep_on_disk and cache.CACHE is not None and MODE != PLAIN
    # Numba reads CACHE_DIR when it decorates; a setting left behind would capture the user's own caches.
    before = config.CACHE_DIR
    folder = cache.CACHE or ""
    config.CACHE_DIR = os.path.join(folder, STOCK) if MODE == STOCK else folder
    try:
        made = njit(function, cache=keep_on_disk and MODE == STOCK, **{**_OPTIONS, **options})
        if keep_on_disk and MODE == DEFAULT:
            made._cache = internals.KernelCache(function)
        return made
    finally:
        config.CACHE_DIR = before


def _part(function: Callable, forceinline: bool, **more: bool) -> Any:
    options = {"forceinline": forceinline, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **more}
    if MODE != DEFAULT:
        return _njit(function, **options)
    return internals.for_any_literal(_njit(function, pipeline_class=internals.PartCompiler, **options))


def stage(function: Callable) -> Any:
    """A part of the hour for one lane; always inlined, callable from kernels only."""
    return _part(function, forceinline=True)


def own_stage(function: Callable, is_own: Callable[[Any], bool]) -> Any:
    """A part that a user has written, with all that it calls of his.

    A place beyond an array raises and touches no other memory, and the turns of its loops are counted (`turns`).

    Parameters
    ----------
    is_own : whether a function that it calls, compiled by Numba, is one of the user
    """
    if MODE != DEFAULT:
        return _part(function, forceinline=True, boundscheck=True)

    def part(called: Callable, compiler: type, **options: Any) -> Any:
        wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        return _njit(called, pipeline_class=compiler, boundscheck=True, **{**wrappers, **options})

    return part(function, internals.own_code_compiler(is_own, part), forceinline=True)


def routine(function: Callable) -> Any:
    """A part of the hour that few lanes need: compiled once and called, not inlined."""
    # A callee inherits forceinline from its caller unless the option is given.
    return _part(function, forceinline=False)


def kernel(function: Callable) -> Any:
    """An entry point from Python, cached on disk; may be passed to another kernel as a pointer."""
    return _njit(function, keep_on_disk=True)


def open_kernel(function: Callable) -> Any:
    """An entry point that is read once for all books and bound to the sizes of each book (`bind_sizes`)."""
    return _part(function, forceinline=False) if MODE == DEFAULT else kernel(function)


def called_by_address(signature: Any) -> Callable[[Callable], Any]:
    """Decorator for functions that kernels call by their addresses, under a Numba signature.

    A function of the package is compiled when first used, and kept with the kernels whose constants it holds.
    """

    def decorate(function: Callable) -> Any:
        if MODE == PLAIN:
            return function
        if not function.__module__.startswith(__package__.partition(".")[0] + "."):
            return njit(signature, error_model="numpy")(function)
        return _njit(function, keep_on_disk=True)

    return decorate


def _digest(function: Any, *of: Any) -> str:
    """Names what is made of a function in the cache."""
    what = f"{function.py_func.__module__} {function.py_func.__qualname__} {of}"
    return hashlib.sha256(what.encode()).hexdigest()[:16]


@contextmanager
def _collector_pauses() -> Iterator[None]:
    """A compiler makes objects by the million, hardly any of them garbage that only the collector finds."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def _compiling(name: str, is_kept: bool = False) -> Iterator[None]:
    """Only one process at a time compiles a function for a signature: the others wait, and load it.

    What the cache has is loaded without waiting for anybody.
    """
    with nullcontext() if is_kept else cache.file_lock(name), _collector_pauses():
        yield


def _is_kept(function: Any, signature: Any) -> bool:
    """Whether this process or the cache has a function for a signature, as far as that is known."""
    if getattr(signature, "args", signature) in function.overloads:
        return True
    return MODE == DEFAULT and cache.CACHE is not None and internals.is_kept(function, signature)


def compiled(function: Any, args: tuple) -> Any:
    """`function` compiled (or loaded) for values such as `args`; a call of what comes back skips the dispatch."""
    if MODE == PLAIN:
        return function
    signature = tuple(typeof(a) for a in args)
    with _compiling(_digest(function, signature), _is_kept(function, signature)):
        return function.compile(signature)


def address_of(function: Any, signature: Any) -> int:
    """Address of a function for compiled code, compiled (or loaded) for `signature`."""
    if signature.args not in function.overloads:
        with _compiling(_digest(function, signature), _is_kept(function, signature)):
            function.get_compile_result(signature)
    made = function.get_compile_result(signature)
    return made.library.get_pointer_to_function(made.fndesc.llvm_func_name)


#: Machine code in use, by what it was made of.
_bound: list[Any] = []


def bind_sizes(function: Any, signature: Any, sizes: Mapping[str, int]) -> Any:
    """Compile (or load) an open kernel for `signature` and the sizes of a book.

    Numba takes longer to read a function than LLVM to make machine code of it: what it has read is kept, and only the
    rest is done for every book.

    Parameters
    ----------
    function : made by `open_kernel`
    sizes : by the names of the functions that return them, see `struct_view.StructView.size_constants`

    Returns
    -------
    int
        Its address for compiled code, where the stock way leaves the sizes open. The function in plain Python.
    """
    if MODE == PLAIN:
        return function
    if MODE == STOCK:
        return address_of(function, signature)
    machine = internals.machine()
    name = "bound-" + _digest(function, signature, sorted(sizes.items()), machine)

    def make() -> Any:
        return internals.bind(_read(function, signature, machine), signature, sizes, name)

    with _compiling(name, cache.is_kept(name)):
        _bound.append(cache.load_or_make(name, make, internals.dump, internals.load))
        return _bound[-1].get_pointer_to_function(name)


def kept_callback(name: str, signature: Any, make: Callable[[], tuple[Callable, Any]]) -> tuple[Any, Any]:
    """Compile (or load) a function that kernels call by its address.

    Parameters
    ----------
    name : names it in the cache, and says all that it is made of
    signature : Numba signature
    make : returns the function, still to be compiled, and an object that is kept with it, which may be filled while the
        function is compiled

    Returns
    -------
    (int, Any)
        Its address, and the object.
    """
    if MODE != DEFAULT:
        function, companion = make()
        return callback(function, signature), companion
    file = "callback-" + hashlib.sha256(f"{name} {signature} {internals.machine()}".encode()).hexdigest()[:16]

    def compile_it() -> tuple[Any, Any]:
        function, companion = make()
        read = internals.read(open_kernel(function), signature)
        return companion, internals.bind(read, signature, {}, file)

    def dump(made: tuple[Any, Any]) -> tuple[Any, Any]:
        return made[0], internals.dump(made[1])

    def load(kept: tuple[Any, Any]) -> tuple[Any, Any]:
        return kept[0], internals.load(kept[1])

    with _compiling(file, cache.is_kept(file)):
        companion, library = cache.load_or_make(file, compile_it, dump, load)
        _bound.append(library)
        return library.get_pointer_to_function(file), companion


class NeedsInterpreter(Exception):
    """A function that kernels are to call needs the Python interpreter, which they run without."""


#: What compiled code calls before it uses the interpreter.
_TAKES_INTERPRETER = "numba_gil_ensure"


@contextmanager
def _bounds_checked() -> Iterator[None]:
    """What Numba compiles meanwhile checks every place, its own `bincount` and `take_along_axis` for two."""
    before, config.BOUNDSCHECK = config.BOUNDSCHECK, 1
    try:
        yield
    finally:
        config.BOUNDSCHECK = before


def callback(function: Callable, signature: Any, is_own: bool = False) -> int:
    """Address of a function that is compiled for this process alone, for kernels to call.

    Parameters
    ----------
    is_own : whether it is one of a user; then what it calls of Numba is checked as it is itself

    Raises
    ------
    NeedsInterpreter
        Where it would wait for the interpreter, for good.
    """
    # Kernels call it by its address: wrappers for other callers would take as long again to compile.
    with _collector_pauses(), _bounds_checked() if is_own else nullcontext():
        made = njit(signature, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    if _TAKES_INTERPRETER in made.get_compile_result(signature).library.get_llvm_str():
        raise NeedsInterpreter
    _bound.append(made)
    return address_of(made, signature)


def _read(function: Any, signature: Any, machine: str) -> Any:
    """What Numba makes of an open kernel, before it is optimised."""
    name = "read-" + _digest(function, signature, machine)
    with _compiling(name, cache.is_kept(name)):
        return cache.load_or_make(name, lambda: internals.read(function, signature))


@contextmanager
def compile_in_parallel(prepare: str, kernels: Mapping[str, Any], signature: Any) -> Iterator[None]:
    """Compile kernels that the cache lacks in other processes, as far as there are processors for them.

    Who needs one of them meanwhile waits for it, or compiles it where no other process has begun.

    Parameters
    ----------
    prepare : ``module.function`` that compiles those whose names it is given
    kernels : by name
    """
    missing = []
    # There is no Python to start where a program embeds Python, or is frozen.
    if cache.CACHE is not None and MODE == DEFAULT and sys.executable and not getattr(sys, "frozen", False):
        missing = [name for name, made in kernels.items() if not internals.is_kept(made, signature)]
    module, _, function = prepare.rpartition(".")
    spare = min(processors() - 1, len(missing))
    helpers = []
    try:
        for i in range(spare):
            work = f"import {module} as kernels; kernels.{function}({missing[i::spare]})"
            code = f"from basis.processes import end_with_parent; end_with_parent(); {work}"
            with suppress(OSError):
                helpers.append(start_python("-c", code, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.communicate()


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _borrowed(array: Any, shape: Any) -> Any:
    return carray(intrinsics.pointer_to(array), shape)


def _whole(array: Any, shape: Any) -> Any:
    return array


#: borrowed(array, shape): the array without its owner, which the caller keeps alive. Its views cost no reference counts
#: (they are atomic), and where the shape is made of constants the strides are constants, too.
borrowed: Any = _whole if MODE == PLAIN else stage(_borrowed)


def _no_effect() -> None:
    pass


aligned_stack: Any = _no_effect if MODE == PLAIN else intrinsics.stack_on_cache_line
#: Gives a decision of a user's strategy the turns that its loops may take, where they are counted.
begin_decision: Any = turns.begin_decision if MODE == DEFAULT else _no_effect if MODE == PLAIN else stage(_no_effect)
keep_apart: Any = _no_effect if MODE == PLAIN else intrinsics.not_inlined
