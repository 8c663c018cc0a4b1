"""The state of one run: what it holds, the row it stands in, what has happened. The components share one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..assets import load_assets
from ..config import Config
from ..errors import ConfigError, InputError
from ..kernel import layout as at
from ..kernel import state
from ..kernel.coefficients import Slots, make_slots
from ..kernel.frame import NOTHING
from ..kernel.keys import parse_key
from ..kernel.loop import EVENTS_PER_ROW, Loop
from ..market.panel import Panel
from ..market.sources.clock import iso


@dataclass(frozen=True)
class Checkpoint:
    """State of a run after the fills of one row: what `resume` takes.

    Attributes
    ----------
    timestamp : int64 ns UTC of the row
    started : int64 ns UTC of row 0 of the run
    share_class : numeraire
    keys : keys of the slots
    state : (rows,) float64, one lane of the state block
    """

    timestamp: int
    started: int
    share_class: str
    keys: tuple[str, ...]
    state: np.ndarray


def starting_holdings(config: Config, positions: Mapping[str, float] | None) -> dict[str, float]:
    """Starting book: the positions given, or the capital where it arrives.

    Raises
    ------
    InputError
        Where a key or quantity makes no sense.
    """
    if positions is None:
        key = f"{config.start_venue}:BaseToken:{config.share_class}"
        if key not in config.instruments:
            cash = (k for k in config.instruments if k.endswith((":BaseToken:USDT", ":BaseToken:ETH")))
            raise ConfigError(
                f"start_venue {config.start_venue!r}, share_class {config.share_class!r}: {config.mode} has no {key}. "
                f"Start with {' or '.join(cash)}, or from positions."
            )
        return {key: float(config.initial_capital)}
    out: dict[str, float] = {}
    for name, amount in positions.items():
        text, _, measure = str(name).partition("|")
        try:
            key = parse_key(text)
        except ValueError as error:
            raise InputError(f"positions: {error}") from error
        if measure not in ("", "cost") or (measure == "cost" and key.type != "Perp"):
            raise InputError(f"positions: {name!r} is not known; write <key> for a quantity or <perp key>|cost.")
        try:
            value = float(amount)
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value) or (value < 0.0 and key.type != "Perp"):
            raise InputError(f"positions: {name!r} is {amount!r}; it must be finite, and only a perp may be below 0.")
        out[f"{key}|cost" if measure else str(key)] = value
    for name, quantity in list(out.items()):
        key = parse_key(name.partition("|")[0])
        if key.type == "Perp" and "|" not in name and quantity != 0.0 and f"{key}|cost" not in out:
            raise InputError(f"positions: {name!r} needs '{name}|cost', its quantity times the average entry price.")
        held = out.get(str(key), 0.0)
        if name.endswith("|cost") and not (quantity * held > 0.0 or quantity == held == 0.0):
            raise InputError(f"positions: {name!r} is {quantity!r}; it must have the sign of the quantity ({held!r}).")
    return out


def slots_of(config: Config, holdings: Mapping[str, float], stops: bool = False) -> Slots:
    keys = [*config.instruments, *(name.partition("|")[0] for name in holdings)]
    slots = make_slots(keys, config.share_class, load_assets(), config.distributions, stops, config.depth)
    for venue in dict.fromkeys(k.venue for k in slots.keys):
        if venue not in config.venues:
            raise ConfigError(
                f"positions: venue {venue!r} is not one of this run's ({', '.join(config.venues)}); name it in "
                "strategy.hedge_allocation (weight 0 will do) or leave the position out."
            )
    return slots


def _restore(checkpoint: Checkpoint, slots: Slots, share_class: str) -> np.ndarray:
    keys = tuple(str(k) for k in slots.keys)
    if checkpoint.keys != keys or checkpoint.share_class != share_class:
        raise InputError(
            f"resume: the checkpoint holds {', '.join(checkpoint.keys)} in {checkpoint.share_class}; this "
            f"configuration needs {', '.join(keys)} in {share_class}. Resume with the configuration that made it."
        )
    block = state.aligned((len(checkpoint.state), 1))
    block[:, 0] = checkpoint.state
    return block


class Book:
    """State of one run, one lane.

    It begins with a starting book and stands in no row until a market is bound to it; it is never reset: another run is
    another book.

    Parameters
    ----------
    config : resolved configuration
    strategy : what its actions mean (`basis.strategies.base.Strategy`)
    positions : starting book instead of the capital in one token
    resume : checkpoint to go on from

    Attributes
    ----------
    slots : slots of the instruments
    block : (rows, 1) float64, the kernel's state
    panel, model, record, loop : the market bound, None before; see `bind`
    row : index of the row it stands in, None before the first
    first : first row of a run: 1 where it goes on from a checkpoint, which is row 0

    Raises
    ------
    InputError
        Where positions or checkpoint do not fit the configuration.
    """

    def __init__(
        self,
        config: Config,
        strategy: Any,
        positions: Mapping[str, float] | None = None,
        resume: Checkpoint | None = None,
    ) -> None:
        self.config, self.strategy, self.resumed = config, strategy, resume
        self.given = positions is not None
        #: Classes of one's own by component and venue: such a run cannot be repeated from its folder.
        self.own_code: dict[str, str] = {}
        self.holdings = starting_holdings(config, positions)
        self.slots: Slots = slots_of(config, self.holdings, strategy.signal is not None)
        self.first = 0 if resume is None else 1
        self.row: int | None = None
        #: Whether its run is over: then it is read from what was recorded, and nothing is written any more.
        self.finished = False
        self.panel: Panel | None = None
        self.model: Any = None
        self.record: Any = None
        self.loop: Any = None
        #: seconds it took to compile or load the loop
        self.compile_s = 0.0
        if resume is None:
            self.block = state.open_book(self.slots, self.holdings, float(config.initial_capital))
        else:
            self.block = _restore(resume, self.slots, config.share_class)

    @property
    def started(self) -> int | None:
        """Instant of row 0 of the run, ns UTC; None before a market is bound."""
        if self.resumed is not None:
            return self.resumed.started
        return None if self.panel is None else int(self.panel.timestamps[0])

    def bind(
        self, panel: Panel, model: at.Model, limits: np.ndarray, parameters: np.ndarray, asks: int = NOTHING
    ) -> None:
        """Give the book its market, once.

        Parameters
        ----------
        panel : the rows of the run
        model : what the kernel reads of them
        limits, parameters : policy, see `state.set_policy`
        asks : what the caller of the loop does himself (`basis.kernel.frame`)

        Raises
        ------
        InputError
            Where it has one already, or the starting book is worth nothing.
        """
        if self.panel is not None:
            raise InputError("This book has had its run; components are never reset. Make a new engine for a new run.")
        slots, config = self.slots, self.config
        if self.resumed is None and self.given:
            capital = state.worth(slots, self.holdings, model.hours[0])
            if not capital > 0.0:
                raise InputError(f"positions: the starting book is worth {capital:.6g} {config.share_class}, not > 0.")
            self.block = state.open_book(slots, self.holdings, capital)
        state.set_policy(slots, self.block, parameters, limits, config.risk.simulate_liquidation)
        n = slots.shape()
        self.record = np.zeros((len(panel), at.recorded(n)))
        if self.first:
            self.record[0] = self.block[: at.recorded(n), 0]
        plans = self.strategy.plans(config)
        long = [slots.index(plan.holds) for plan in plans if plan.holds]
        desk = state.make_desk(slots, max(8 * EVENTS_PER_ROW, len(panel)), long)
        self.panel, self.model = panel, model
        mark = time.perf_counter()
        self.loop = Loop(n, self.block, model, desk, self.strategy.decide, self.record, asks)
        self.compile_s = time.perf_counter() - mark

    def row_of(self, timestamp: Any = None) -> int:
        """The row it stands in, or the one at or before an instant that the run has passed.

        Raises
        ------
        InputError
            Before the first row of a run, and for an instant it has not come to.
        """
        if self.row is None or self.panel is None:
            raise InputError("No run yet: there is no row to read prices of. Call run_backtest first.")
        if timestamp is None or timestamp == self.timestamp:
            return self.row
        row = self.panel.row_at(timestamp)
        if row > self.row:
            now = iso(int(self.panel.timestamps[self.row]))
            raise InputError(f"The book stands in {now}; {timestamp!r} is after that.")
        return row

    def stands_at(self, timestamp: Any = None) -> bool:
        """Whether an instant (None: now) is that of a row that is still open."""
        return self.row_of(timestamp) == self.row and not self.finished

    def need_now(self, timestamp: Any = None) -> None:
        """The book stands in one row only.

        Raises
        ------
        InputError
            For an instant of another row.
        """
        if self.row_of(timestamp) != self.row and self.timestamp is not None:
            raise InputError(
                f"The book stands in {iso(self.timestamp)}; nothing can be decided at {timestamp!r} any more."
            )

    def fork(self) -> None:
        """Go on with a copy of the state, so that what a run has left stays as it is."""
        self.row_of()
        self.finished = False
        desk = self.desk
        copied = desk._replace(**{name: getattr(desk, name).copy() for name in desk._fields})
        self.block = state.copied(self.block)
        self.record = self.record.copy()
        n = self.slots.shape()
        self.loop = Loop(n, self.block, self.model, copied, self.strategy.decide, self.record, self.loop.frame.asks)

    def do(self, part: int, given: int = 0) -> int:
        """One part of the row it stands in; see `basis.kernel.hour.attend`."""
        return self.loop.do(part, self.row, given)

    @property
    def desk(self) -> at.Desk:
        return self.loop.desk

    @property
    def is_queue_full(self) -> bool:
        """Whether nothing more can be under way."""
        first = at.book_at(self.slots.shape()).queue_amount
        return bool((self.block[first : first + at.QUEUE, 0] != 0.0).all())

    @property
    def events_written(self) -> int:
        """Number of events so far."""
        return 0 if self.loop is None else int(self.desk.count[0])

    @property
    def timestamp(self) -> int | None:
        """Instant of the row it stands in, ns UTC."""
        return None if self.row is None or self.panel is None else int(self.panel.timestamps[self.row])

    @property
    def equity(self) -> float:
        """Worth of everything held, share class, as last calculated."""
        return self.head(at.EQUITY)

    @property
    def tolerance(self) -> float:
        """By how much balance-based and attributed P&L may differ, share class."""
        scale = self.head(at.book_at(self.slots.shape()).stat + at.SCALE)
        return float(self.model.settings[at.TOLERANCE]) * max(1.0, scale)

    def head(self, place: int) -> float:
        """A number of the state, by its row (`basis.kernel.layout`); the head's stand first."""
        return float(self.block[place, 0])
