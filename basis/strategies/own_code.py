"""What a compiled function of a user is made of: a digest of all that it reads, and what of it the kernel cannot run.

The kernel runs without the Python interpreter, which it neither holds nor waits for: code that needs it would wait for
good. And what a function reads from outside is a constant once it is compiled. So the first is refused, and the second
is part of the function's digest, where it can be told, or refused, too.
"""

import dis
import enum
import hashlib
import inspect
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import InputError

#: Packages whose functions are known by their names: their sources are not a user's.
_KNOWN = ("basis", "numba", "numpy", "math", "cmath", "operator", "builtins")
#: Builtins that need the interpreter.
_INTERPRETED = (
    "print", "input", "open", "str", "repr", "format", "eval", "exec", "compile", "breakpoint", "globals", "locals",
    "vars", "__import__",
)  # fmt: skip
_FORMATS = ("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONVERT_VALUE", "BUILD_STRING")
_BEGINS_WITH = ("BEFORE_WITH", "SETUP_WITH")
#: What may stand between the beginning of a statement and the `raise` of an exception made of constants.
_OF_CONSTANT_RAISE = (
    "PUSH_NULL", "LOAD_GLOBAL", "LOAD_CONST", "LOAD_ASSERTION_ERROR", "PRECALL", "CALL", "KW_NAMES", "LOAD_ATTR",
    "EXTENDED_ARG", "NOP", "CACHE", "LOAD_COMMON_CONSTANT",
)  # fmt: skip
_ENDS_STATEMENT = ("RESUME", "POP_TOP", "RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "END_FOR", "FOR_ITER")
_ATOMS = (bool, int, float, complex, str, bytes, types.NoneType)
_MUTABLE = (list, dict, set, bytearray, np.ndarray)
#: What to do instead of what needs the interpreter.
WAY_OUT = (
    "Compiled code runs without the Python interpreter. To see what a strategy does, read the tables of the result or "
    "result.explain(timestamp); for anything that needs Python, write a basis.StrategyManager in plain Python."
)
#: What reads and writes memory that no array bounds.
_UNCHECKED = ("flat", "as_strided", "carray", "farray")
_NOT_THERE = object()
#: Functions that a user has compiled himself → what they were made of when they were last used here.
_used: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


class NotCompilable(InputError):
    """A function does what compiled code cannot do; the message says what, where, and what to do instead."""


class _Read(NamedTuple):
    """Something that a function reads from outside.

    Attributes
    ----------
    name : as it is written, ``limits`` or ``settings.limits``
    value : what that is now
    line : where
    outer : whether it is a variable of an outer function rather than a global one
    """

    name: str
    value: Any
    line: int
    outer: bool


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _line(step: dis.Instruction) -> int:
    return (step.positions.lineno if step.positions else None) or 0


def _place(function: Callable, line: int) -> str:
    """Where a line stands, and what it says."""
    source = linecache.getline(function.__code__.co_filename, line).strip()
    return f"line {line}: {source}" if source else f"line {line}"


def _reads(function: Callable) -> Iterator[_Read]:
    """What a function reads from outside, attributes of modules followed."""
    code = function.__code__
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    builtins = function.__globals__.get("__builtins__", {})
    builtins = vars(builtins) if inspect.ismodule(builtins) else builtins
    for part in _codes(code):
        steps = list(dis.get_instructions(part))
        for i, step in enumerate(steps):
            name, outer = str(step.argval), False
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                value = function.__globals__.get(name, builtins.get(name, _NOT_THERE))
            elif step.opname == "LOAD_DEREF" and name in cells:
                outer = True
                try:
                    value = cells[name].cell_contents
                except ValueError:
                    continue
            else:
                continue
            for after in steps[i + 1 :]:
                if not (inspect.ismodule(value) and after.opname in ("LOAD_ATTR", "LOAD_METHOD")):
                    break
                name, value = f"{name}.{after.argval}", getattr(value, str(after.argval), _NOT_THERE)
            if value is not _NOT_THERE:
                yield _Read(name, value, _line(step), outer)


def _function_of(value: Any) -> Any:
    """The function of a user behind a value: itself, or what Numba has compiled of it; None for anything else."""
    function = getattr(value, "py_func", value)
    if not inspect.isfunction(function):
        return None
    package = (function.__module__ or "").partition(".")[0]
    return None if package in _KNOWN else function


def is_own(function: Any) -> bool:
    """Whether a function is one of a user, and of no library."""
    return _function_of(function) is not None


def digest_of(function: Callable) -> str:
    """Digest of a function: its code, the numbers and texts that it reads from outside, the functions that it calls.

    Raises
    ------
    InputError
        Where it reads something that can be changed in place, such as a list.
    """
    return hashlib.sha256(repr(_made_of(function, [])).encode()).hexdigest()


def _code_of(function: Callable) -> list[Any]:
    """Code and constants of a function and of those in it; the constants of a set have no order."""
    return [
        (part.co_code, [sorted(map(repr, c)) if isinstance(c, frozenset) else c for c in part.co_consts
                        if not inspect.iscode(c)], part.co_names, part.co_varnames)
        for part in _codes(function.__code__)
    ]  # fmt: skip


def _made_of(function: Callable, within: list[Callable]) -> Any:
    if function in within:
        return ("itself", within.index(function))
    within = [*within, function]
    found = {read.name: _worth(function, read, read.value, within) for read in _reads(function)}
    defaults = [repr(value) for value in function.__defaults__ or ()] if len(within) > 1 else []
    return _code_of(function), sorted(found.items(), key=lambda item: item[0]), defaults


def _worth(function: Callable, read: _Read, value: Any, within: list[Callable]) -> Any:
    """What a value is to a function that was compiled with it, of atoms."""
    kind = type(value)
    named = f"{kind.__module__}.{kind.__qualname__}"
    if kind in _ATOMS:
        return named, repr(value)
    if isinstance(value, _MUTABLE) or (hasattr(kind, "__setitem__") and not isinstance(value, type)):
        whose = "the variable" if read.outer else "the global"
        raise InputError(
            f"it reads {whose} {read.name!r}, a {kind.__name__}, which may change after the function was compiled "
            f"({_place(function, read.line)}). Make it a tuple or a number, or give it as a parameter."
        )
    if isinstance(value, enum.Enum):
        return named, repr(value.value)
    if isinstance(value, np.generic):
        return named, value.tobytes().hex()
    if isinstance(value, tuple):
        return named, tuple(_worth(function, read, item, within) for item in value)
    inner = _function_of(value)
    if inner is not None:
        return _made_of(inner, within)
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return value.__qualname__, repr([(item.name, item.value) for item in value])
    # a module, a class or a function of a library is known by its name
    return named, getattr(value, "__module__", ""), getattr(value, "__qualname__", getattr(value, "__name__", ""))


def _reachable(function: Callable, found: dict[Any, Any]) -> dict[Any, Any]:
    """Functions of a user that a function calls, itself first: function → what Numba has made of it."""
    if function in found:
        return found
    found[function] = None
    for read in _reads(function):
        inner = _function_of(read.value)
        if inner is not None:
            _reachable(inner, found)
            found[inner] = read.value if hasattr(read.value, "py_func") else None
    return found


def prepare(function: Callable) -> None:
    """Refuse what the kernel cannot run, and compile again what was compiled with other globals.

    Raises
    ------
    NotCompilable
        Where the function, or one that it calls, needs the interpreter, calls itself, or would not do the same twice;
        names the line.
    """
    called = _reachable(function, {})
    _refuse_recursion(function, [])
    for each in called:
        _refuse_interpreter(each, "" if each is function else f" of {each.__name__}")
    for each, made in reversed(called.items()):
        if made is None:
            continue
        digest = digest_of(each)
        if made.overloads and _used.get(made) != digest:
            made.recompile()
        _used[made] = digest


def _refuse_recursion(function: Callable, within: list[Callable]) -> None:
    """Refuse a function that calls itself: nothing bounds how deep, and a stack that overflows ends the process."""
    for read in _reads(function):
        inner = _function_of(read.value)
        if inner in (*within, function):
            through = "" if inner is function else f" by way of {function.__name__}"
            raise NotCompilable(
                f"{inner.__name__} calls itself{through} ({_place(function, read.line)}). Compiled code has a small "
                "stack: write it as a loop, or write a basis.StrategyManager in plain Python."
            )
        if inner is not None:
            _refuse_recursion(inner, [*within, function])


def plain_copy(function: Callable) -> Callable:
    """A function in plain Python that calls in plain Python what was compiled of a user's functions."""
    return _plain_copy(function, {})


def _plain_copy(function: Any, made: dict[Any, Any]) -> Any:
    if function in made:
        return made[function]
    names = dict(function.__globals__)
    cells = tuple(types.CellType(_plain(cell.cell_contents, made)) for cell in function.__closure__ or ())
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells or None)
    copy.__kwdefaults__ = function.__kwdefaults__
    made[function] = copy
    for read in _reads(function):
        first = read.name.partition(".")[0]
        if not read.outer and first in names:
            names[first] = _plain(names[first], made)
    return copy


def _plain(value: Any, made: dict[Any, Any]) -> Any:
    """A value, its compiled functions of a user put into plain Python: itself, or those of a module."""
    inner = _function_of(value)
    if inner is not None:
        return _plain_copy(inner, made)
    if inspect.ismodule(value) and value.__name__.partition(".")[0] not in (*_KNOWN, *sys.stdlib_module_names):
        own = {name: each for name, each in vars(value).items() if _function_of(each) is not None}
        return types.SimpleNamespace(
            **{**vars(value), **{name: _plain_copy(_function_of(each), made) for name, each in own.items()}}
        )
    return value


def _refuse_interpreter(function: Callable, of: str) -> None:
    """Refuse what of a function the kernel cannot run."""

    def refuse(what: str, line: int, way: str = WAY_OUT) -> None:
        raise NotCompilable(f"{what} ({_place(function, line)}{of}). {way}")

    for read in _reads(function):
        last = read.name.rpartition(".")[2]
        if (inspect.isbuiltin(read.value) and read.value.__module__ in ("builtins", "io", "_io")) or read.value is str:
            if last in _INTERPRETED:
                refuse(f"{last} needs the interpreter", read.line)
        elif type(getattr(read.value, "__self__", None)).__module__.partition(".")[0] in ("random", "_random", "numpy"):
            refuse(
                f"{read.name} is random, and a run is the same every time; read a file of numbers by view.feature",
                read.line,
            )
        elif type(read.value).__module__ in ("_ctypes", "_cffi_backend", "ctypes"):
            refuse(f"{read.name} is a foreign function, which may need the interpreter", read.line)
        elif type(read.value).__name__ == "_ObjModeContextType":
            refuse("objmode goes back to the interpreter", read.line)
        elif getattr(read.value, "targetoptions", {}).get("forceobj"):
            refuse(f"{read.name} was compiled in object mode, which needs the interpreter", read.line)
    for part in _codes(function.__code__):
        begin, steps = 0, list(dis.get_instructions(part))
        for i, step in enumerate(steps):
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_DEREF") and step.argval in _UNCHECKED:
                refuse(
                    f"{step.argval} reaches memory without a check", _line(step), "Index an array; a.ravel() is flat."
                )
            if step.opname in _FORMATS:
                refuse("a text is made while it runs, which needs the interpreter", _line(step))
            if step.opname in _BEGINS_WITH:
                refuse("a with block needs the interpreter", _line(step))
            if step.opname == "IMPORT_NAME":
                refuse("an import inside the function needs the interpreter", _line(step))
            if step.opname == "RAISE_VARARGS" and any(s.opname not in _OF_CONSTANT_RAISE for s in steps[begin:i]):
                refuse("an exception is made of what is known only when it runs; give it a constant text", _line(step))
            if step.opname in _ENDS_STATEMENT or step.opname.startswith(("STORE_", "POP_JUMP", "JUMP_")):
                begin = i + 1


def line_of(error: BaseException, function: Callable) -> str:
    """Where in a function, or in one that it calls, an exception was raised; empty where that is not known."""
    files = {each.__code__.co_filename for each in _reachable(function, {})}
    found, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in files:
            source = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            found = f"line {trace.tb_lineno}" + (f": {source}" if source else "")
        trace = trace.tb_next
    return found


def class_digest(kind: type, base: type) -> str:
    """Digest of a class in plain Python: its methods, what they call of its module, and plain numbers and texts.

    Parameters
    ----------
    kind : the class
    base : its parent that is not a user's
    """
    made_of = []
    for part in kind.__mro__[: kind.__mro__.index(base)]:
        for name, value in sorted(vars(part).items()):
            function = getattr(value, "__func__", value)
            if inspect.isfunction(function):
                made_of.append((name, _plain_code(function, [])))
            elif type(value) in _ATOMS and not name.startswith("__"):
                made_of.append((name, repr(value)))
    return hashlib.sha256(repr(made_of).encode()).hexdigest()


def _plain_code(function: Callable, within: list[Callable]) -> Any:
    if function in within:
        return "itself"
    found: dict[str, Any] = {}
    for read in _reads(function):
        if type(read.value) in _ATOMS:
            found[read.name] = repr(read.value)
        elif inspect.isfunction(read.value) and read.value.__globals__ is function.__globals__:
            found[read.name] = _plain_code(read.value, [*within, function])
    return _code_of(function), sorted(found.items(), key=lambda item: item[0])
