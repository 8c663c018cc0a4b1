"""The structure of the package, measured: short files and functions, no circles, a caged compiler, plain words.

Each measure is a test of its own, so that a change that breaks one names it and lists the places.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "basis"
MOST_LINES_OF_A_FILE = 450
#: Without the docstring.
MOST_LINES_OF_A_FUNCTION = 70
MOST_ARGUMENTS_IN_THE_KERNEL = 8
#: A protocol is named in one file of the package, and in one that lists the rules there are.
MOST_FILES_WITH_A_PROTOCOL = 2
PROTOCOL = re.compile(r"[\"']aave_v3[\"':]")
COMPILER_INTERNALS = re.compile(r"numba\.(core|extending|np)|from numba import extending|_dynfunc|llvmlite")
#: Words that a newcomer could not guess; each has a plain one in its place.
OLD_WORDS = frozenset(
    {
        "attend", "strike", "steer", "reckon", "appraise", "tape", "desk", "twin", "dearest", "purse_lacks", "standing",
        "carried_by", "naked", "astray", "beside", "asks", "nobody", "dealt_at", "room_at", "worst_at", "keep_row",
        "share_out", "bring_gas", "observe", "told", "told_in_html",
    }
)  # fmt: skip
#: Words that are plain elsewhere, but not for what they meant in the kernel.
OLD_WORDS_OF_THE_KERNEL = frozenset(
    {"aim", "tail", "review", "coef", "cells", "block", "busy", "thin", "fat", "put", "look", "keep"}
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[Path, str]:
    """Text of every module, by its path inside the package."""
    return {path.relative_to(PACKAGE): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(text) for path, text in sources().items()}


def functions() -> Iterator[tuple[Path, Function]]:
    """Every function of the package with its module, those inside classes and functions too."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield path, node


def length(function: Function) -> int:
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def arguments(function: Function) -> list[str]:
    """Names of all arguments, keyword-only and starred ones too."""
    given = function.args
    starred = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
    return [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, *starred)]


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_no_file_is_too_long():
    long = {str(path): text.count("\n") for path, text in sources().items() if text.count("\n") > MOST_LINES_OF_A_FILE}
    assert long == {}


def test_no_function_is_too_long():
    lengths = {f"{path}:{function.name}": length(function) for path, function in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_function_of_the_kernel_takes_too_many_arguments():
    counts = {f"{p}:{f.name}": len(arguments(f)) for p, f in functions() if p.parts[0] == "kernel"}
    assert {name: count for name, count in counts.items() if count > MOST_ARGUMENTS_IN_THE_KERNEL} == {}


# --- imports ---------------------------------------------------------------------------------------------------------


def module_names() -> dict[str, Path]:
    """Dotted name of every module → its path; a package has the name of its folder."""
    names = {}
    for path in sources():
        parts = path.with_suffix("").parts
        names[".".join(("basis", *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return names


def imported_modules(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a module imports, inside functions too; a module may import its own package."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}

    def counts(other: str) -> bool:
        own_package = known[other].name == "__init__.py" and name.startswith(f"{other}.")
        return other not in (name, "basis") and not own_package

    return {other for other in found if other in known and counts(other)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which leads to every other of its group."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = graph[ahead.pop()] - seen
            seen |= new
            ahead.extend(new)
        return seen

    leads_to = {name: reachable(name) for name in graph}
    groups = {tuple(sorted(o for o in leads_to[n] if n in leads_to[o])) for n in graph if n in leads_to[n]}
    return sorted(list(group) for group in groups)


def test_circles_are_found():
    """A guard for the measure itself."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_modules_import_each_other_in_a_circle():
    known = module_names()
    graph = {name: imported_modules(name, path, known) for name, path in known.items() if name != "basis"}
    assert circles(graph) == []


def test_the_internals_of_the_compiler_are_used_in_one_place():
    used = [str(path) for path, text in sources().items() if COMPILER_INTERNALS.search(text)]
    assert [path for path in used if not path.startswith("kernel/numba/")] == []


def test_the_compiler_is_pinned_from_above():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'"numba[^"]*<', text), "numba needs an upper pin in pyproject.toml"


# --- words -----------------------------------------------------------------------------------------------------------


def test_no_old_word_is_the_name_of_anything():
    """Of a function, a class or an argument."""
    used: dict[str, set[str]] = {}
    for path, tree in trees().items():
        for node in ast.walk(tree):
            named = [node.name] if isinstance(node, Function | ast.ClassDef) else []
            named += arguments(node) if isinstance(node, Function) else []
            old = OLD_WORDS | OLD_WORDS_OF_THE_KERNEL if path.parts[0] == "kernel" else OLD_WORDS
            for word in old.intersection(named):
                used.setdefault(word, set()).add(str(path))
    assert used == {}


def test_strategies_write_no_raw_actions():
    """They act by name, as the strategies of users do."""
    raw = {
        str(path): len(re.findall(r"\bactions\[\w+, ?\d\]", text))
        for path, text in sources().items()
        if path.parts[0] == "strategies"
    }
    assert {path: count for path, count in raw.items() if count} == {}


def test_a_protocol_is_named_in_few_files():
    named = [str(path) for path, text in sources().items() if PROTOCOL.search(text)]
    assert len(named) <= MOST_FILES_WITH_A_PROTOCOL, named


# --- around the package ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["accounting", "architecture", "adding"])
def test_the_documents_are_there(name):
    assert (ROOT / "docs" / f"{name}.md").is_file()


def test_only_the_door_knows_the_layout_of_the_kernel():
    """Tests read and write the kernel's state by name; the page of its layouts is made of the layouts themselves."""
    knows = re.compile(r"basis\.kernel(\.| import )(layout|frame|state|context)\b")
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}
    outside = [path for path in texts if not {"support", "docs"} & set(path.parts) and path != Path(__file__)]
    assert [str(path.relative_to(ROOT)) for path in outside if knows.search(texts[path])] == []
