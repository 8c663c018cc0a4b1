"""What knows Numba's internals stays in one package."""

import ast
from pathlib import Path

import basis

PACKAGE = Path(basis.__file__).parent
INTERNAL = ("numba.", "llvmlite")
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "kernel" / "numba" not in path.parents]


def imported(path):
    """Full names of what a file imports from other packages, imports inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_numba_is_imported_by_its_public_names():
    public = {"numba.config", "numba.from_dtype", "numba.njit", "numba.types"}
    found = {
        path.relative_to(PACKAGE).as_posix(): name
        for path in FILES
        for name in imported(path)
        if name.startswith(INTERNAL) and name not in public
    }
    assert len(FILES) > 100
    assert found == {}
