"""The documents lead somewhere: their links, the files and functions they name, and the sections that code cites."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from layout_page import PAGE, page

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("docs/*.md")))
#: ``accounting §4.6``, ``accounting §2, §5``, ``accounting §4.4-4.10``, ``(§9 A and C1)``: every number after a §.
CITED = re.compile(r"§(\d+(?:\.\d+)?)(?:-(\d+\.\d+))?")


def headings(path: Path) -> list[str]:
    """Headings of a document, those in code blocks left out."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        file, _, name = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (name and name not in map(anchor, headings(there))):
            broken.append(target)
    assert broken == []


@cache
def defined(path: Path) -> frozenset[str]:
    """Functions and classes of a module, methods too."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`((?:basis|configs|tests|docs|notebooks)/[\w/.]+)`(?! \(new\))", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_functions_of_a_row_are_in_the_files_named():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (`\w+`(?:, `\w+`)*) \| `([\w/]+\.py)` \|$", text, flags=re.MULTILINE)
    assert len(rows) > 35
    wrong = [
        f"{file}: {name}"
        for names, file in rows
        for name in re.findall(r"\w+", names)
        if name not in defined(ROOT / "basis" / "kernel" / file)
    ]
    assert wrong == []


def test_sections_that_are_cited_exist():
    sections = {heading.split()[0] for heading in headings(ROOT / "docs" / "accounting.md") if heading[0].isdigit()}
    cited = {}
    for path in [path for folder in ("basis", "tests", "configs") for path in (ROOT / folder).rglob("*.*")]:
        if path.suffix in (".py", ".yaml", ".jinja") and path != Path(__file__):
            for numbers in CITED.findall(path.read_text(encoding="utf-8")):
                for number in filter(None, numbers):
                    cited.setdefault(number, path.relative_to(ROOT).as_posix())
    assert len(cited) > 10
    assert {number: path for number, path in cited.items() if number not in sections} == {}


def test_the_page_of_the_layouts_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
