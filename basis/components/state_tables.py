"""What a book's state says, by the names of the run folder: for the tables of a run and for one row of it.

Every function gives columns, name → (rows,), of the rows it is given. Plain numpy.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..inputs.policy import measure_names
from ..inputs.slots import Slots
from ..kernel.context import pack
from ..kernel.keys import QUOTE_ASSET, Key
from ..kernel.layout.codes import COLUMN_NAMES
from ..kernel.layout.shape import hour_views, market_views, pnl_views, state_views
from ..kernel.start import maintenance_ratios, slot_values
from ..kernel.step import Step
from ..market.sources.clock import iso


class StateRows:
    """Recorded rows of a book seen by name; what several tables need is made once.

    Parameters
    ----------
    run : what has `slots`, `panel`, `inputs`, `loop` and `record` (a `RunState` with a market, a `Recording`)
    first, stop : first row, and the row after the last
    record : (rows, recorded) those rows, and before them the row before the first where there is one; None takes the
        run's

    Attributes
    ----------
    state, pnl : views (k, rows) of the state and of the cumulative P&L after each row's fills
    state_before, pnl_before : the same with the row before the first, where there is one
    hour, market : views (k, rows) of the coefficients, and (rows, k) of the market
    """

    def __init__(self, run: Any, first: int, stop: int, record: np.ndarray | None = None) -> None:
        self.run, self.first, self.stop, self.kept = run, first, stop, record
        self.slots: Slots = run.slots
        self.panel = run.panel
        self.shape = self.slots.shape()
        self.span = slice(first, stop)
        # the rows and, if there is one, the row before
        before = min(first, 1)
        kept = run.record[first - before : stop] if record is None else record
        self.state_before, self.pnl_before = state_views(self.shape, kept.T), pnl_views(self.shape, kept.T)
        rows = kept.T[:, before:]
        self.state, self.pnl = state_views(self.shape, rows), pnl_views(self.shape, rows)
        self.share_class = self.slots.share_class

    @functools.cached_property
    def hour(self) -> Any:
        return hour_views(self.shape, self.run.inputs.hours.T[:, self.span])

    @functools.cached_property
    def market(self) -> Any:
        return market_views(self.shape, self.run.inputs.quotes[self.span])

    @property
    def capital(self) -> float:
        """What the run accounts for, share class."""
        return float(state_views(self.shape, self.run.block).capital[0])

    def __len__(self) -> int:
        return self.stop - self.first

    @functools.cached_property
    def perps(self) -> list[tuple[int, int, int, Key]]:
        """Perps that the book really has: place in the grid, slot, venue, key."""
        markets = len(self.slots.markets)
        base = self.shape.first_perp
        grid = enumerate(self.slots.perp)
        return [(i, base + i, i // markets, key) for i, key in grid if key in self.slots.held]

    @functools.cached_property
    def margined(self) -> list[tuple[int, str]]:
        """Venues with a perp, with their place."""
        held = {v for _, _, v, _ in self.perps}
        return [(v, name) for v, name in enumerate(self.slots.venues) if v in held]

    @functools.cached_property
    def maintenance(self) -> np.ndarray:
        """(rows, 2 * venues) maintenance margin over notional: after fills, and at the hour's extremes."""
        return self._computed(maintenance_ratios)

    @functools.cached_property
    def values(self) -> np.ndarray:
        """(rows, slots) worth of every slot, share class, what is under way to it included."""
        return self._computed(slot_values)

    def _computed(self, compute: Callable[[Any, int, int, Any], np.ndarray]) -> np.ndarray:
        """What the kernel computes of recorded rows."""
        context = self.run.loop.run_context
        if self.kept is None:
            return compute(pack(context._replace(record=self.run.record)), self.first, self.stop, self.shape)
        before = min(self.first, 1)
        span, inputs = slice(self.first - before, self.stop), self.run.inputs
        quotes = inputs.quotes[span]
        seen = {name: getattr(inputs, name)[span] for name in ("hours", "terms_index", "row_flags")}
        context = context._replace(record=self.kept, quotes=quotes, market=market_views(self.shape, quotes), **seen)
        return compute(pack(context), before, before + len(self), self.shape)

    def increments(self, cumulative: np.ndarray) -> np.ndarray:
        """Increments by row of a cumulative line of `whole`."""
        return np.diff(cumulative) if self.first else np.diff(cumulative, prepend=0.0)


def equity(rows: StateRows) -> dict[str, np.ndarray]:
    """Equity, flows, and P&L balance-based and attributed (accounting §5)."""
    state, panel = rows.state, rows.panel
    balance = state.equity - rows.capital - state.net_flows
    attributed = np.zeros(len(rows))
    for line in rows.pnl:
        attributed = attributed + line
    usd = panel.columns.get(f"usd|{QUOTE_ASSET}")
    worth = np.ones(len(rows)) if usd is None else usd[rows.span]
    if rows.share_class != QUOTE_ASSET:
        worth = worth * panel.columns[f"spot|{rows.share_class}"][rows.span]
    return {
        "equity": state.equity,
        "net_flow": state.net_flow,
        "withdrawal_pending": state.withdrawal_pending,
        "pnl_balance": balance,
        "pnl_attributed": attributed,
        "residual": balance - attributed,
        "share_class_usd": worth,
    }


def attribution(rows: StateRows) -> dict[str, np.ndarray]:
    """Increments of every attribution column, funding by venue beside the sum."""
    lines = zip(COLUMN_NAMES, rows.pnl_before, strict=True)
    columns = {name: rows.increments(line) for name, line in lines}
    for v, venue in rows.margined:
        columns[f"funding_pnl|{venue}"] = rows.increments(rows.state_before.venue_funding[v])
    return columns


def positions(rows: StateRows) -> dict[str, np.ndarray]:
    """Stored quantities after the row's fills, costs of perps, and what is under way."""
    state, slots = rows.state, rows.slots
    columns = {}
    moving = len(slots.cash) + len(slots.token)
    for i, key in enumerate(slots.keys[: rows.shape.first_perp]):
        columns[str(key)] = state.quantity[i]
        if i < moving:
            columns[f"{key}|in_transit"] = state.transit[i]
    for i, slot, _, key in rows.perps:
        columns[str(key)] = state.quantity[slot]
        columns[f"{key}|cost"] = state.cost[i]
    return columns


def exposure(rows: StateRows) -> dict[str, np.ndarray]:
    """Gross, delta by asset, and worth of every instrument; the worths sum to the equity."""
    state, hour, slots = rows.state, rows.hour, rows.slots
    held = state.equity
    columns = {"gross": state.gross}
    for a, asset in enumerate(slots.assets):
        columns[f"net_delta|{asset}"] = state.delta[a]
    for a, asset in enumerate(slots.assets):
        worth = state.delta[a] * hour.asset_price[a]
        # as in the kernel, a book without equity has no ratio
        columns[f"net_delta_ratio|{asset}"] = np.divide(worth, held, out=np.zeros_like(held), where=held > 0.0)
    for slot, key in enumerate(slots.keys[: rows.shape.first_perp]):
        columns[f"value|{key}"] = rows.values[:, slot]
    for _, slot, _, key in rows.perps:
        columns[f"value|{key}"] = rows.values[:, slot]
    return columns


def risk(rows: StateRows) -> dict[str, np.ndarray]:
    """Risk measures after fills, before decisions and at the hour's extremes, and alert levels."""
    state, slots = rows.state, rows.slots
    venues = len(slots.venues)
    processed = state.processed > 0.0
    columns = {}

    def add(name: str, after: np.ndarray, before: np.ndarray, worst: np.ndarray | None = None) -> None:
        columns[name] = after
        # where nothing was decided, nothing changed
        columns[f"{name}|before"] = np.where(processed, before, after)
        columns[f"{name}|worst"] = columns[f"{name}|before"] if worst is None else worst

    ltv, health = _tested(rows)
    add("ltv", state.ltv, state.ltv_before, ltv)
    add("health_factor", state.health_factor, state.health_factor_before, health)
    for v, venue in rows.margined:
        add(f"margin_ratio|{venue}", state.margin_ratio[v], state.margin_ratio_before[v], state.worst_margin_ratio[v])
    for v, venue in rows.margined:
        after, worst = rows.maintenance[:, v], rows.maintenance[:, venues + v]
        add(f"maintenance_ratio|{venue}", after, state.maintenance_ratio_before[v], worst)
    if slots.stops:
        for i, slot, _, key in rows.perps:
            is_open = state.quantity[slot] != 0.0
            columns[f"stop|{key}"] = np.where(is_open, state.stop_price[i], 0.0)
            columns[f"take_profit|{key}"] = np.where(is_open, state.take_profit_price[i], 0.0)
    if slots.debt:
        columns |= _to_liquidation(rows)
    margined = {f"margin_ratio|{venue}" for _, venue in rows.margined}
    for j, measure in enumerate(measure_names(slots)):
        if not measure.startswith("margin_ratio|") or measure in margined:
            columns[f"alert|{measure}"] = state.alert[j].astype(np.int8)
    return columns


def _tested(rows: StateRows) -> tuple[np.ndarray | None, np.ndarray | None]:
    """LTV and health factor of what the hour was begun with, at its worst: the row's prices, its lowest, its highest.

    Of several accounts it is the worst of each measure. It is what a lending liquidation is decided by; None in a book
    that owes nothing, and as after fills in row 0.
    """
    if not rows.slots.debt:
        return None, None
    slots, state, hour, market = rows.slots, rows.state, rows.hour, rows.market
    lent = len(slots.collateral)
    held = rows.state_before.quantity[rows.shape.first_collateral : rows.shape.first_perp]
    held = held[:, :-1] if rows.first else np.concatenate((held[:, :1], held[:, :-1]), axis=1)
    ltv, health = np.zeros(len(rows)), np.full(len(rows), np.inf)
    lenders = np.array([[key.venue] for key in (*slots.collateral, *slots.debt)])
    factors = (np.ones_like(held), market.low_factor.T, market.high_factor.T)
    for venue, factor in itertools.product(slots.accounts, factors):
        worth = held * factor * (lenders == venue)
        owed = np.einsum("ij,ij->j", worth[lent:], hour.owed_value)
        backing = np.einsum("ij,ij->j", worth[:lent], hour.oracle_value)
        limit = np.einsum("ij,ij->j", worth[:lent], hour.threshold_value)
        owes = owed > 0.0
        ratio = np.divide(owed, backing, out=np.where(owes, np.inf, 0.0), where=owes & (backing > 0.0))
        ltv = np.maximum(ltv, ratio)
        health = np.minimum(health, np.divide(limit, owed, out=np.full(len(rows), np.inf), where=owes))
    if not rows.first:
        ltv[:1], health[:1] = state.ltv[:1], state.health_factor[:1]
    return ltv, health


def _to_liquidation(rows: StateRows) -> dict[str, np.ndarray]:
    """How far a lending liquidation is: the fall of the collateral's price against the debt that brings HF to 1, that
    price as a multiple of today's, and days until HF = 1 at the rates now known: supply, borrowing, and the staking
    rate of the last week (inf where HF does not fall or nothing is owed, 0 where it is 1 or less).

    d ln HF / dt is the growth of the collateral, weighted by what it lets be owed, less that of the debt.
    """
    slots, health = rows.slots, rows.state.health_factor
    count = len(slots.collateral)
    held = rows.state.quantity[rows.shape.first_collateral : rows.shape.first_perp]
    worth = held * np.concatenate((rows.hour.threshold_value, rows.hour.owed_value))
    growth = np.zeros_like(worth)
    for i, key in enumerate((*slots.collateral, *slots.debt)):
        side = "supply_apr" if key.type == "aToken" else "borrow_apr"
        for name in (f"{side}|{key.reserve}", f"staking_week|{key.symbol}"):
            if name in rows.panel.columns:
                growth[i] += np.nan_to_num(rows.panel.columns[name][rows.span])
    owes = np.isfinite(health)
    with np.errstate(divide="ignore", invalid="ignore"):
        earned = (growth * worth)[:count].sum(axis=0) / worth[:count].sum(axis=0)
        owed = (growth * worth)[count:].sum(axis=0) / worth[count:].sum(axis=0)
        days = np.where(owes & (owed > earned), 365.0 * np.log(health) / (owed - earned), np.inf)
        ratio = np.where(owes & (health > 0.0), 1.0 / health, 0.0)
    safe = ~owes | (health > 1.0)
    return {
        "liquidation_distance": np.where(owes & (health <= 0.0), 0.0, 1.0 - ratio),
        "liquidation_price": ratio,
        "days_to_liquidation": np.where(safe, days, 0.0),
    }


def pnl(rows: StateRows) -> dict[str, np.ndarray]:
    """`equity` and `attribution` side by side."""
    return {**equity(rows), **attribution(rows)}


@dataclass(frozen=True)
class _Unstarted:
    """What a snapshot of the position needs of a run that has no market."""

    slots: Slots
    panel: None = None


def positions_of(slots: Slots, block: np.ndarray) -> dict[str, float]:
    """`positions` of one state (rows, 1) of a book, whose market is not at hand."""
    rows = StateRows(_Unstarted(slots), 0, 1, block[: slots.shape().recorded].T)
    return {name: float(values[0]) for name, values in positions(rows).items()}


class Reading(Mapping[str, float]):
    """One row of a table of the run folder, by the same names, as it stood when it was read.

    Attributes
    ----------
    name : what was read
    timestamp : instant of its row, ns UTC; None before a run
    equity : worth of the book then, share class
    """

    __slots__ = ("_columns", "_kept", "_run", "_values", "name", "row")

    def __init__(
        self, run: Any, name: str, columns: Callable[[StateRows], dict[str, np.ndarray]], row: int, kept: np.ndarray
    ) -> None:
        self._run, self.name, self._columns, self.row, self._kept = run, name, columns, row, kept
        self._values: dict[str, float] | None = None

    @classmethod
    def of(
        cls, run: Any, name: str, columns: Callable[[StateRows], dict[str, np.ndarray]], timestamp: Any = None
    ) -> "Reading":
        """What a `RunState` says now, or said after the fills of an earlier row.

        Raises
        ------
        InputError
            Before a run, of what needs prices; for an instant outside the run.
        """
        row = run.row_of(timestamp)
        if row == run.row and not run.finished:
            run.do(Step.RECORD_ROW)
        return cls(run, name, columns, row, run.record[max(row - 1, 0) : row + 1].copy())

    @classmethod
    def of_start(cls, start: Any) -> "Reading":
        """The position of a `StartingBook`, before it has a market."""
        shape = start.slots.shape()
        return cls(_Unstarted(start.slots), "position", positions, 0, start.block[: shape.recorded].T.copy())

    def _fill(self) -> dict[str, float]:
        if self._values is None:
            rows = StateRows(self._run, self.row, self.row + 1, self._kept)
            self._values = {name: values[0].item() for name, values in self._columns(rows).items()}
            if self._columns is exposure:
                self._values["equity"] = self.equity
        return self._values

    @property
    def timestamp(self) -> int | None:
        return None if self._run.panel is None else int(self._run.panel.timestamps[self.row])

    @property
    def equity(self) -> float:
        return float(self._kept[-1, self._run.slots.shape().state.equity])

    def __getitem__(self, name: str) -> float:
        try:
            return self._fill()[name]
        except KeyError:
            raise KeyError(f"No {name!r} in {self.name}; there are {', '.join(self)}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._fill())

    def __len__(self) -> int:
        return len(self._fill())

    def __repr__(self) -> str:
        when = "" if self.timestamp is None else f" {iso(self.timestamp)}"
        return f"<{self.name}{when} " + ", ".join(f"{k}={v:.6g}" for k, v in self.items()) + ">"
