"""How an array is declared: a list of (name, how many, what it is, unit). Places, views and documentation follow.

Imports nothing but the standard library and numpy.
"""

from collections import namedtuple
from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple


class Item(NamedTuple):
    """One entry of a layout.

    Attributes
    ----------
    name : how code calls it
    count : how many places it takes: a number, the name of a count of `Shape`, or a product such as ``assets*slots``;
        empty for a single one
    what : what it is, one sentence
    unit : its unit
    """

    name: str
    count: "str | int"
    what: str
    unit: str = ""


class Layout:
    """Where the items of an array stand, one after the other.

    Attributes
    ----------
    items : the declaration
    Names : NamedTuple with a field for each item
    """

    def __init__(self, name: str, items: "tuple[Item, ...]") -> None:
        self.name, self.items = name, items
        self.Names: Any = namedtuple(name, [item.name for item in items])
        self._singles = [item.count == "" for item in items]
        self._factors = sorted({f for item in items if isinstance(item.count, str) for f in item.count.split("*") if f})
        self._known_edges: dict[tuple[int, ...], list[int]] = {}

    @staticmethod
    def _size(item: Item, counts: Mapping[str, int]) -> int:
        if isinstance(item.count, int):
            return item.count
        return prod(counts[factor] for factor in item.count.split("*")) if item.count else 1

    def width(self, counts: Mapping[str, int]) -> int:
        """Number of places in all."""
        return sum(self._size(item, counts) for item in self.items)

    def places(self, counts: Mapping[str, int], start: int = 0) -> Any:
        """First place of every item, as `Names`."""
        edges = self._edges(counts, start)
        return self.Names(*edges[:-1])

    def end_of(self, name: str, counts: Mapping[str, int], start: int = 0) -> int:
        """The place after the last of an item."""
        names = [item.name for item in self.items]
        return self._edges(counts, start)[names.index(name) + 1]

    def views(self, counts: Mapping[str, int], array: Any, start: int = 0, keeps_axis: bool = False) -> Any:
        """Views of an array along its first axis, as `Names`.

        An item of a single place loses that axis, unless it `keeps_axis`. Of an array that ends before them, the last
        items are empty.
        """
        length, edges = len(array), self._edges(counts, start)
        return self.Names(
            *[
                array[first] if is_single and first < length and not keeps_axis else array[first:end]
                for is_single, (first, end) in zip(self._singles, pairwise(edges), strict=True)
            ]
        )

    def _edges(self, counts: Mapping[str, int], start: int) -> list[int]:
        """First place of every item, and the end; worked out once for the same counts."""
        key = (start, *[counts[factor] for factor in self._factors])
        edges = self._known_edges.get(key)
        if edges is None:
            edges = [start]
            for item in self.items:
                edges.append(edges[-1] + self._size(item, counts))
            self._known_edges[key] = edges
        return edges

    def documentation(self) -> str:
        """A table of the items in Markdown."""
        cells = [(f"`{i.name}`", str(i.count or 1), i.what.replace("|", "\\|"), i.unit) for i in self.items]
        rows = [" | ".join(row) for row in (("name", "places", "what", "unit"), ("---",) * 4, *cells)]
        return "\n".join(f"| {row} |" for row in rows)
