"""Text that others wrote, made safe to be shown on a terminal or a page. Leaf module: imports nothing of the package.

A file's text may hold what steers a terminal (escape sequences), turns the order of what is read (bidirectional marks),
or is a page's own language. What shows text does so through `visible` or `for_page`.
"""

import re
import unicodedata
from html import escape

#: Most characters of a text in one place.
_LONGEST = 4_000
_TAG = re.compile("<(?=[A-Za-z/!])")
#: Most characters of a cell of a table.
LONGEST_CELL = 300


def visible(text: object, longest: int = _LONGEST) -> str:
    """A text in which every character can be seen: what is no mark, letter or space is written as ``\\x1b``.

    Line breaks and tabs stay. A line that is longer than `longest` is cut.
    """
    lines = str(text).split("\n")
    return "\n".join(_shown(line if len(line) <= longest else line[:longest] + "…") for line in lines)


def without_tags(text: str) -> str:
    """A text in which no tag begins: figures read a few tags in their texts, links among them."""
    return _TAG.sub("‹", visible(text, LONGEST_CELL))


def for_page(text: object, longest: int = _LONGEST) -> str:
    """A text as HTML shows it, in an element or in an attribute."""
    return escape(visible(text, longest))


def _shown(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if _is_seen(c) else c.encode("unicode_escape").decode("ascii") for c in line)


def _is_seen(character: str) -> bool:
    return character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs"
