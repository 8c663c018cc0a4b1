"""How kernels are compiled and where they are kept: the one place that knows Numba's options.

``NUMBA_DISABLE_JIT=1`` turns every function below into plain Python, with the same bits.
"""

import fcntl
import functools
import gc
import hashlib
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numba
from numba import config, njit, typeof, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic, typeof_impl
from numba.np.numpy_support import carray

from . import compiler

_HERE = pathlib.Path(__file__).parent
#: No fastmath and no fused multiply-add: the bits are the same for any lane count and in plain Python.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}


def kernel_hash() -> str:
    """sha256 of the kernel sources, whatever they are compiled with."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def cache_folder() -> str | None:
    """Folder of the compiled kernels, named by a hash of all kernel sources; None where nothing can be written.

    Numba alone does not notice an edit in an imported module, so the name carries what the kernels are made of.
    Order: ``BASIS_CACHE_DIR``, the user's cache, the temporary folder.
    """
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:3]} {kernel_hash()}".encode())
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    roots = [os.environ.get("BASIS_CACHE_DIR") or os.path.join(user, "basis")]
    roots.append(os.path.join(tempfile.gettempdir(), f"basis-{os.getuid()}"))
    for root in roots:
        folder = os.path.join(root, "kernel-" + digest.hexdigest()[:16])
        try:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


CACHE = cache_folder()


@contextmanager
def _alone(what: str) -> Iterator[None]:
    """Only one process at a time does this with the cache.

    A cache that was removed is made again. One that is full or that knows no locks costs time, not the run.
    """
    with ExitStack() as stack:
        if CACHE is not None and not config.DISABLE_JIT:
            with suppress(OSError):
                os.makedirs(CACHE, exist_ok=True)
                lock = stack.enter_context(open(os.path.join(CACHE, f".{what}.lock"), "w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                # said aloud: a process that was forked meanwhile has the file open, too, and would go on holding it
                stack.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        yield


class _Cache(FunctionCache):
    """What several processes compile at a time is written by one after the other: all of it stands in one index.

    What is damaged is made again, and what cannot be written is not kept.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with suppress(Exception):
            return super().load_overload(sig, target_context)
        with _alone("index"), suppress(OSError):
            self.flush()

    def save_overload(self, sig: Any, data: Any) -> None:
        with _alone("index"), suppress(OSError):
            super().save_overload(sig, data)


def _njit(function: Callable, keep: bool, **options: Any) -> Any:
    # Numba reads CACHE_DIR when it decorates; a setting left behind would capture the user's own caches.
    before = config.CACHE_DIR
    config.CACHE_DIR = CACHE or ""
    try:
        made = njit(function, **_OPTIONS, **options)
        if keep and CACHE is not None and not config.DISABLE_JIT:
            made._cache = _Cache(function)
        return made
    finally:
        config.CACHE_DIR = before


def _part(function: Callable, forceinline: bool) -> Any:
    made = _njit(
        function,
        keep=False,
        forceinline=forceinline,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=compiler.PartCompiler,
    )
    return made if config.DISABLE_JIT else compiler.for_any_literal(made)


class _Shared:
    """A function that is plain Python for Python callers, and a part of the hour in kernels."""

    def __init__(self, function: Callable) -> None:
        self.function, self.part = function, _part(function, forceinline=True)
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


@typeof_impl.register(_Shared)
def _type_of_shared(value: _Shared, context: Any) -> Any:
    return types.Dispatcher(value.part)


def shared(function: Callable) -> Any:
    """A size or a view: plain Python for Python callers, inlined in kernels."""
    return function if config.DISABLE_JIT else _Shared(function)


def stage(function: Callable) -> Any:
    """A part of the hour for one lane; always inlined, callable from kernels only."""
    return _part(function, forceinline=True)


def routine(function: Callable) -> Any:
    """A part of the hour that few lanes need: compiled once and called, not inlined."""
    # said aloud: a callee inherits forceinline from its caller
    return _part(function, forceinline=False)


@intrinsic
def _apart(typingctx: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), generate


def kernel(function: Callable) -> Any:
    """An entry point from Python, cached on disk; may be passed to another kernel as a pointer."""
    return _njit(function, keep=True)


def _digest(function: Any, *of: Any) -> str:
    """Names what is made of a function in the cache."""
    what = f"{function.py_func.__module__} {function.py_func.__qualname__} {of}"
    return hashlib.sha256(what.encode()).hexdigest()[:16]


@contextmanager
def _compiling(what: str) -> Iterator[None]:
    """Only one process at a time compiles a function for a signature: the others wait, and load it.

    A compiler makes objects by the million, hardly any of them garbage that only the collector finds: it pauses.
    """
    with _alone(what), compiler.remembered_types():
        collects = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collects:
                gc.enable()


_F = types.float64
#: decide(view, hour, params, actions) → number of actions written.
DECIDE = types.int64(_F[::1], _F[::1], _F[::1], _F[:, ::1])


def strategy(function: Callable) -> Any:
    """Compile a decide function so that kernels can call it by pointer.

    ``decide(view, hour, params, actions) -> int`` over float64 arrays; see `basis.kernel.layout` for what stands
    where. It returns the number of actions it wrote; a negative number stops the run.
    """
    if config.DISABLE_JIT:
        return function
    if not function.__module__.startswith(__package__.partition(".")[0] + "."):
        return njit(DECIDE, error_model="numpy")(function)
    # shipped with the package: kept on disk beside the kernels whose constants it holds, compiled when first used
    return _njit(function, keep=True)


def compiled(function: Any, args: tuple) -> Any:
    """`function` compiled (or loaded) for values such as `args`; a call of what comes back skips the dispatch."""
    if config.DISABLE_JIT:
        return function
    signature = tuple(typeof(a) for a in args)
    with _compiling(_digest(function, signature)):
        return function.compile(signature)


def address_of(function: Any, signature: Any) -> int:
    """Address of a function for compiled code, compiled (or loaded) for `signature`."""
    if signature.args not in function.overloads:
        with _compiling(_digest(function, signature)):
            function.get_compile_result(signature)
    made = function.get_compile_result(signature)
    return made.library.get_pointer_to_function(made.fndesc.llvm_func_name)


@contextmanager
def beside(prepare: str, kernels: Mapping[str, Any], signature: Any) -> Iterator[None]:
    """Kernels that are in no cache yet are compiled by other processes, as far as there are processors for them.

    Whoever needs one waits for it, or compiles it himself where no other process has begun.

    Parameters
    ----------
    prepare : ``module.function`` that compiles those whose names it is given
    kernels : by name
    """
    missing = []
    # no program of its own (None), or one that is no Python: nobody to ask
    if CACHE is not None and not config.DISABLE_JIT and sys.executable and not getattr(sys, "frozen", False):
        missing = [name for name, made in kernels.items() if not compiler.is_kept(made, signature)]
    module, _, function = prepare.rpartition(".")
    roots = [str(_HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))}
    spare = min(processors() - 1, len(missing))
    helpers = []
    try:
        for i in range(spare):
            code = f"import {module} as kernels; kernels.{function}({missing[i::spare]})"
            with suppress(OSError):
                helpers.append(
                    subprocess.Popen(
                        # -P: what lies in the working directory is none of its business
                        [sys.executable, "-P", "-c", code],
                        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    )
                )  # fmt: skip
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.wait()


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_kernel(function: Callable) -> Any:
    """An entry point that is compiled once for all books, its sizes left open, and bound to those of each (`bound`)."""
    return function if config.DISABLE_JIT else _part(function, forceinline=False)


def bound(function: Any, signature: Any, sizes: Mapping[str, int]) -> Any:
    """An open kernel compiled (or loaded) for `signature` and the sizes of a book, by the names of their functions.

    Numba takes longer to read a function than LLVM to make machine code of it: what it has read is kept, and only the
    rest is done for every book.

    Returns
    -------
    int
        Its address for compiled code.
    """
    if config.DISABLE_JIT:
        return function
    machine = compiler.machine()
    what = "bound-" + _digest(function, signature, sorted(sizes.items()), machine)

    def make() -> Any:
        return compiler.bind(_read(function, signature, machine), signature, sizes, what)

    with _compiling(what):
        _bound.append(_kept(what, make, compiler.dump, compiler.load))
        return _bound[-1].get_pointer_to_function(what)


def _read(function: Any, signature: Any, machine: str) -> Any:
    """What Numba makes of an open kernel, before it is optimised."""
    what = "read-" + _digest(function, signature, machine)
    with _alone(what):
        return _kept(what, lambda: compiler.read(function, signature))


#: Machine code in use.
_bound: list[Any] = []


def _as_it_is(value: Any) -> Any:
    return value


def _kept(what: str, make: Callable[[], Any], dump: Callable = _as_it_is, load: Callable = _as_it_is) -> Any:
    """What stands in the cache under a name; made, and put there, where it does not."""
    if CACHE is None:
        return make()
    file = pathlib.Path(CACHE) / what
    # one that is damaged is made again
    with suppress(Exception):
        return load(pickle.loads(file.read_bytes()))
    made = make()
    unfinished = file.with_name(f".{what}.{os.getpid()}")
    # where it cannot be written it is not kept
    with suppress(OSError):
        try:
            unfinished.write_bytes(pickle.dumps(dump(made)))
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    return made


@intrinsic
def _pointer_to(typingctx: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.bitcast(data, context.get_value_type(signature.return_type))

    return types.CPointer(array.dtype)(array), generate


def _borrowed(array: Any, shape: Any) -> Any:
    return carray(_pointer_to(array), shape)


def _whole(array: Any, shape: Any) -> Any:
    return array


#: borrowed(array, shape): the array without its owner, which the caller keeps alive. Its views cost no reference counts
#: (they are atomic), and where the shape is made of constants the strides are constants, too.
borrowed: Any = _whole if config.DISABLE_JIT else stage(_borrowed)


@intrinsic
def _aligned_stack(typingctx: Any) -> Any:
    # Spilled vectors start on a cache line; LLVM would leave them on 16 bytes (4.1 against 5.6 ns at random).
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        builder.function.attributes.alignstack = 64
        return context.get_dummy_value()

    return types.none(), generate


def _plain_stack() -> None:
    pass


aligned_stack: Any = _plain_stack if config.DISABLE_JIT else _aligned_stack
apart: Any = _plain_stack if config.DISABLE_JIT else _apart
