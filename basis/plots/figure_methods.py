"""What `result.plot` and `comparison.plot` say of themselves: the figures there are. Imports nothing of a backend."""

import difflib
import inspect
from typing import Any, Never

from basis.errors import InputError, checked_call


class FigureMethods:
    """Methods that make figures. It displays their list, and the error for a misspelt one names the nearest."""

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(method):
                setattr(cls, name, checked_call(method))

    @classmethod
    def figures(cls) -> dict[str, str]:
        """Name of each figure → its first sentence."""
        return {
            name: inspect.cleandoc(method.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
            for name, method in vars(cls).items()
            if not name.startswith("_") and callable(method)
        }

    def __repr__(self) -> str:
        figures = self.figures()
        wide = max(map(len, figures)) + 2
        lines = (f"  {name + '()':<{wide}}  {text}" for name, text in figures.items())
        return "\n".join(["Figures, each a method of plot; help(plot.<name>) has its arguments:", *lines])

    def __call__(self, *args: Any, **named: Any) -> "FigureMethods":
        """Itself, whose display says what can be drawn.

        Raises
        ------
        InputError
            If anything is given: a figure is a method.
        """
        if args or named:
            first = args[0] if args and args[0] in self.figures() else "equity"
            raise InputError(f"plot takes no arguments: each figure is a method, as in plot.{first}().")
        return self

    def __getattr__(self, name: str) -> Never:
        if name.startswith("_"):
            raise AttributeError(name)
        names = list(self.figures())
        hint = suggestion(name, names) or f" There are {', '.join(names)}."
        raise AttributeError(f"There is no figure {name!r}.{hint}")

    def __dir__(self) -> list[str]:
        return sorted(self.figures())


def suggestion(given: object, names: Any) -> str:
    """The nearest name as a question, or an empty text."""
    found = difflib.get_close_matches(str(given), list(names), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""
