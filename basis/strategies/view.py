"""What a strategy sees of its run in plain Python, and the names that a view has, compiled or not."""

from typing import Any, NoReturn

from ..components.run_state import RunState
from ..config.layers import propose
from ..errors import InputError
from ..kernel.layout.shape import policy_views
from ..kernel.layout.state import POLICY, VIEW
from ..market.watched import WatchedColumns
from .book_names import ONE, BookNames

#: Flags of a view, which are numbers to the kernel.
FLAGS = ("arrived", "first", "last", "reverted", "signal_trusted")
#: Numbers of a view.
NUMBERS = tuple(item.name for item in VIEW.items if item.count == "" and item.name not in FLAGS)
#: Texts of a view: names of what a mode is about, so that one strategy serves several modes.
TEXTS = {
    "asset": "The asset of the mode.",
    "wallet": "Key of that in the wallet.",
    "staking_token": "Symbol of the staking token, in a mode that stakes.",
    "staking_wallet": "Key of the staking token in the wallet.",
    "long_side": "Asset of actions on the long side, in a mode that goes long and short.",
    "short_side": "Asset of actions on the short side.",
}
#: Numbers of the policy.
POLICY_NUMBERS = tuple(item.name for item in POLICY.items if item.count == "")
#: How a strategy in plain Python keeps memory.
KEEPING = "A strategy in plain Python keeps numbers by returning them: basis.Decision(actions, memory=(1.0, 0.0))."
NO_SUCH_VENUE = "there is no exchange of that number; they are 0 .. view.venues() - 1"


def refuse_writing(of: str, name: str, keeping: str = "") -> NoReturn:
    """Refuse to set a name of a view, a policy or an act."""
    keeping = keeping or "Numbers that a compiled strategy keeps go into view.memory, as in view.memory[0] = 1.0."
    raise InputError(f"{of}.{name} cannot be set; it is there to be read. {keeping}")


class Kept(tuple[float, ...]):
    """Numbers that a strategy kept: a tuple that says how others are kept."""

    def __setitem__(self, place: Any, value: Any) -> NoReturn:
        raise InputError(f"view.memory is a copy, which is not written. {KEEPING}")


def _described(item: Any) -> str:
    """What an item of a layout is, as `help` says it."""
    return f"{item.what[0].upper()}{item.what[1:]}{f' ({item.unit})' if item.unit else ''}."


def _add_numbers(kind: type, layout: Any, names: tuple[str, ...], make: Any) -> None:
    """Give a class a property for each item of a layout that is named, so that `dir`, Tab and `help` list it."""
    for item in layout.items:
        if item.name in names:
            setattr(kind, item.name, property(make(item.name), doc=_described(item)))


class PolicyView:
    """The policy of a run: targets and bands by name, such as ``view.policy.margin_low``.

    Where the mode sets no limit it is 1e200, or -1e200, which nothing reaches.
    """

    def __init__(self, book: BookNames, policy: Any) -> None:
        self._book, self._policy = book, policy_views(book.slots.shape(), policy)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"A policy has no {name!r}.{propose(name, POLICY_NUMBERS)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            getattr(self, name)
            refuse_writing("policy", name, "Set strategy.* of the configuration.")
        super().__setattr__(name, value)


def _of_policy(name: str) -> Any:
    def read(self: PolicyView) -> float:
        self._book.check(f"policy.{name}")
        return float(getattr(self._policy, name)[0])

    return read


_add_numbers(PolicyView, POLICY, POLICY_NUMBERS, _of_policy)


class SeenView:
    """A view over numbers that the kernel has written for a strategy.

    Parameters
    ----------
    book : what the run has
    seen : (view width,) what the kernel has written
    policy : (policies,) the policy of the run
    columns : what the market holds beside the book; None where it is not at hand
    """

    #: How a strategy of this view keeps memory, where that is not by writing it.
    _keeping = ""

    def __init__(self, book: BookNames, seen: Any, policy: Any, columns: WatchedColumns | None) -> None:
        shape = book.slots.shape()
        self._book, self._seen, self._columns = book, seen, columns
        self._first = VIEW.places(shape._asdict())
        self._weights = policy_views(shape, policy[:, None]).weight
        self._policy = PolicyView(book, policy[:, None])

    def __getattr__(self, name: str) -> NoReturn:
        names = [each for each in dir(type(self)) if not each.startswith("_")]
        raise AttributeError(f"A view has no {name!r}.{propose(name, names)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            getattr(self, name)
            refuse_writing("view", name, self._keeping)
        super().__setattr__(name, value)

    @property
    def policy(self) -> PolicyView:
        """Targets and bands of the run by name, such as ``view.policy.margin_low``."""
        return self._policy

    @property
    def memory(self) -> Any:
        """Numbers that the strategy keeps; they may be written."""
        return self._seen[self._first.memory : self._first.watched]

    def _at(self, what: str, given: str = "") -> float:
        place = self._book.resolve(what, given)
        return 1.0 if place == ONE else float(self._seen[place])

    def _watched(self, what: str, *given: str) -> float:
        wanted = self._book.watched(what, *given)
        if self._columns is None:
            raise InputError(f"view.{what}: the market of the run is not at hand.")
        return self._columns.at(wanted, float(self._seen[self._first.time]))

    def _venue(self, venue: int) -> int:
        if not 0 <= venue < self.venues():
            raise IndexError(NO_SUCH_VENUE)
        return venue

    def long(self, asset: str) -> float:
        """Units held long, spot and on-chain."""
        return self._at("long", asset)

    def short(self, asset: str) -> float:
        """Units short in perps; below 0 for what is long there."""
        return self._at("short", asset)

    def price(self, asset: str) -> float:
        """Share class per unit; 1 for the share class itself."""
        return self._at("price", asset)

    def quantity(self, key: str) -> float:
        """Stored quantity of an instrument of the run, ``wallet:BaseToken:USDT``."""
        return self._at("quantity", key)

    def in_transit(self, key: str) -> float:
        """Units on their way to an account, ``bybit:BaseToken:USDT``."""
        return self._at("in_transit", key)

    def funding(self, venue: str, window: str = "") -> float:
        """Funding of an exchange's perp of the asset, known in this row.

        Parameters
        ----------
        venue : an exchange, the key of a perp, or ``hedge`` for those of the mode by their weights
        window : ``7d`` for the sum of the rates settled within it; without it the rate settled last

        Returns
        -------
        float
            Fraction of the notional that the short received; NaN before the data reaches back a whole window, and where
            nothing was settled for three days.
        """
        return self._watched("funding", venue, window)

    def funding_apr(self, venue: str, window: str) -> float:
        """`funding` of a window as a rate per year of 365 days."""
        return self._watched("funding_apr", venue, window)

    def column(self, name: str) -> float:
        """A column of the market in this row, as the table `panel` of a result names it: ``spot|BTC``."""
        return self._watched("column", name)

    def mean(self, name: str, window: str) -> float:
        """Trailing mean of a column of the market over a window, ``7d``; NaN before the data has a whole one."""
        return self._watched("mean", name, window)

    def feature(self, name: str) -> float:
        """Column of a file of one's own (``strategy.features``), ``name.column``; NaN where none is young enough."""
        return self._watched("feature", name)

    def venues(self) -> int:
        """Number of exchanges."""
        return len(self._book.slots.venues)

    def weight(self, venue: int) -> float:
        """Share of the hedge of an exchange, by its place."""
        return float(self._weights[self._venue(venue), 0])

    def cash(self, venue: int) -> float:
        """Cash at an exchange, quote units, by its place."""
        return float(self._seen[self._first.quantity + self._venue(venue)])

    def perp(self, asset: str, venue: int) -> float:
        """Quantity of an asset's perp at an exchange, by its place."""
        first = self._book.resolve("perp", asset)
        return float(self._seen[first + self._venue(venue) * len(self._book.slots.markets)])


def _number(name: str) -> Any:
    def read(self: SeenView) -> float:
        self._book.check(f"view.{name}")
        return float(self._seen[getattr(self._first, name)])

    return read


def _flag(name: str) -> Any:
    def read(self: SeenView) -> bool:
        self._book.check(f"view.{name}")
        return bool(self._seen[getattr(self._first, name)] > 0.0)

    return read


def _text(name: str) -> Any:
    return lambda self: self._book.text(f"{{{name}}}")


_add_numbers(SeenView, VIEW, NUMBERS, _number)
_add_numbers(SeenView, VIEW, FLAGS, _flag)
for _name, _doc in TEXTS.items():
    setattr(SeenView, _name, property(_text(_name), doc=_doc))


class View(SeenView):
    """What a strategy sees of the run in its row, the same as a compiled one; a copy.

    `dir(view)` and `help(view)` list everything. Money is in share class, rates are fractions per year. What the run
    does not have is an error that says what to set, such as ``view.rate`` without ``strategy.rate_rule``. What cannot
    be known yet (a trailing window that is not whole) is NaN, which no comparison meets.

    Examples
    --------
    >>> class Looks(basis.StrategyManager):
    ...     every_row = True
    ...     def make_decision(self, timestamp=None, market_data=None):
    ...         if self.view.first:
    ...             print(self.view.equity, self.view.price("USDT"), self.view.funding_apr("hedge", "7d") > 0.0)
    >>> result = basis.backtest("btc_basis", strategy=Looks, start="2024-06-01", end="2024-06-02")
    100000.0 1.0 True
    """

    _keeping = KEEPING

    def __init__(self, run: RunState) -> None:
        start = run.start
        book = BookNames(run.config, run.slots, start.plans, start.strategy.names(run.config))
        super().__init__(book, run.scratch.seen[0].copy(), run.policy[:, 0], run.columns)

    @property
    def memory(self) -> tuple[float, ...]:
        """What the strategy kept; other numbers are kept by ``Decision(actions, memory)``."""
        return Kept(super().memory.tolist())
