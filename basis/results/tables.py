"""Tables of a run from its recording: equity, attribution, positions, exposure, risk, panel. Plain numpy.

Rows are those of the run, from `first` to before `stop`; a resumed run's row 0 is the checkpoint's and only what the
first increments are taken from.
"""

import functools

import numpy as np

from basis.engine.model import measure_names
from basis.engine.recording import Recording
from basis.kernel import layout as at
from basis.kernel.jit import compiled
from basis.kernel.keys import Key
from basis.kernel.state import review
from basis.results.table import Column, Table, Text
from basis.results.units import unit


class Rows:
    """A recording seen as named rows; what several tables need is made once.

    Attributes
    ----------
    book : layout.Book
        Views (k, rows) of the state after each row's fills.
    hour : layout.Hour
        Views (k, rows) of the coefficients.
    stamps : numpy.ndarray
        (rows,) datetime64[us] UTC.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.slots = recording.slots
        self.shape = recording.slots.shape()
        self.span = slice(recording.first, recording.stop)
        self.whole = at.book(self.shape, recording.record.T)
        self.book = at.book(self.shape, recording.record.T[:, self.span])
        self.hour = at.hour_of(self.shape, recording.model.hours.T[:, self.span])
        self.quote = at.quote_of(self.shape, recording.model.quotes.T[:, self.span])
        self.stamps = (recording.panel.timestamps[self.span] // 1000).view("M8[us]")
        self.share_class = recording.slots.share_class

    @property
    def capital(self) -> float:
        """What the run accounts for, share class."""
        return float(at.book(self.shape, self.recording.block).stat[at.CAPITAL, 0])

    @property
    def started_from(self) -> float:
        """Equity before the first row: the capital, or the checkpoint's equity."""
        first = self.recording.first
        return float(self.whole.head[at.EQUITY, first - 1]) if first else self.capital

    @functools.cached_property
    def perps(self) -> list[tuple[int, int, int, Key]]:
        """Perps that the book really has: place in the grid, slot, venue, key."""
        markets = len(self.slots.markets)
        base = at.first_perp(self.shape)
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
        recording = self.recording
        record = recording.record[: recording.stop]
        out = np.zeros((recording.stop, 2 * len(self.slots.venues)))
        args = (self.shape, record, recording.model, out)
        compiled(review, args)(*args)
        return out[recording.first :]

    def increments(self, cumulative: np.ndarray) -> np.ndarray:
        """Increments by row of a cumulative line of the whole record."""
        first, stop = self.span.start, self.span.stop
        line = cumulative[first:stop]
        before = cumulative[first - 1] if first else 0.0
        return np.diff(line, prepend=before)

    def table(self, name: str, columns: dict[str, Column]) -> Table:
        """A table on the rows' instants."""
        made: dict[str, Column] = {"timestamp": self.stamps}
        for column, values in columns.items():
            made[column] = values if isinstance(values, Text) else np.ascontiguousarray(values)
        return Table(name, made, {column: unit(name, column, self.share_class) for column in made})


def equity(rows: Rows) -> Table:
    """Equity, flows, and P&L balance-based and attributed (accounting §5)."""
    head, panel = rows.book.head, rows.recording.panel
    balance = head[at.EQUITY] - rows.capital - head[at.FLOWS]
    attributed = np.zeros(len(rows.stamps))
    for line in rows.book.column:
        attributed = attributed + line
    usd = panel.columns.get("usd|USDT")
    worth = np.ones(len(rows.stamps)) if usd is None else usd[rows.span]
    if rows.share_class != "USDT":
        worth = worth * panel.columns[f"spot|{rows.share_class}"][rows.span]
    return rows.table(
        "equity",
        {
            "equity": head[at.EQUITY],
            "net_flow": head[at.FLOW],
            "withdrawal_pending": head[at.PENDING],
            "pnl_balance": balance,
            "pnl_attributed": attributed,
            "residual": balance - attributed,
            "share_class_usd": worth,
        },
    )


def attribution(rows: Rows) -> Table:
    """Increments of every attribution column, funding by venue beside the sum."""
    columns: dict[str, Column] = {name: rows.increments(rows.whole.column[c]) for c, name in enumerate(at.COLUMN_NAMES)}
    for v, venue in rows.margined:
        columns[f"funding_pnl|{venue}"] = rows.increments(rows.whole.funding[v])
    return rows.table("attribution", columns)


def positions(rows: Rows) -> Table:
    """Stored quantities after the row's fills, costs of perps, and what is under way."""
    book, slots = rows.book, rows.slots
    columns: dict[str, Column] = {}
    moving = len(slots.cash) + len(slots.token)
    for i, key in enumerate(slots.keys[: at.first_perp(rows.shape)]):
        columns[str(key)] = book.q[i]
        if i < moving:
            columns[f"{key}|in_transit"] = book.transit[i]
    for i, slot, _, key in rows.perps:
        columns[str(key)] = book.q[slot]
        columns[f"{key}|cost"] = book.cost[i]
    return rows.table("positions", columns)


def exposure(rows: Rows) -> Table:
    """Gross, delta by asset, and worth of every instrument; the worths sum to the equity."""
    book, hour, slots = rows.book, rows.hour, rows.slots
    held = book.head[at.EQUITY]
    columns: dict[str, Column] = {"gross": book.head[at.GROSS]}
    for a, asset in enumerate(slots.assets):
        columns[f"net_delta|{asset}"] = book.delta[a]
    for a, asset in enumerate(slots.assets):
        worth = book.delta[a] * hour.asset[a]
        # as in the kernel, a book without equity has no ratio
        columns[f"net_delta_ratio|{asset}"] = np.divide(worth, held, out=np.zeros_like(held), where=held > 0.0)
    moving = len(slots.cash) + len(slots.token)
    for i, key in enumerate(slots.keys[: at.first_perp(rows.shape)]):
        units = book.q[i] + book.transit[i] if i < moving else book.q[i]
        columns[f"value|{key}"] = units * hour.value[i]
    for i, slot, v, key in rows.perps:
        columns[f"value|{key}"] = book.q[slot] * hour.value[slot] - book.cost[i] * hour.value[v]
    return rows.table("exposure", columns)


def risk(rows: Rows) -> Table:
    """Risk measures after fills, before decisions and at the hour's extremes, and alert levels.

    `ltv|worst` and `health_factor|worst` are those before decisions: nothing on-chain is tested inside the hour.
    """
    book, slots = rows.book, rows.slots
    venues = len(slots.venues)
    told = book.head[at.TAILED] > 0.0
    columns: dict[str, Column] = {}

    def add(name: str, after: np.ndarray, before: np.ndarray, worst: np.ndarray | None = None) -> None:
        columns[name] = after
        # where nothing was decided, nothing changed
        columns[f"{name}|before"] = np.where(told, before, after)
        columns[f"{name}|worst"] = columns[f"{name}|before"] if worst is None else worst

    add("ltv", book.head[at.LTV], book.before[0])
    add("health_factor", book.head[at.HEALTH_FACTOR], book.before[1])
    for v, venue in rows.margined:
        add(f"margin_ratio|{venue}", book.margin[v], book.before[2 + v], book.worst[v])
    for v, venue in rows.margined:
        after, worst = rows.maintenance[:, v], rows.maintenance[:, venues + v]
        add(f"maintenance_ratio|{venue}", after, book.before[2 + venues + v], worst)
    margined = {f"margin_ratio|{venue}" for _, venue in rows.margined}
    for j, measure in enumerate(measure_names(slots)):
        if not measure.startswith("margin_ratio|") or measure in margined:
            columns[f"alert|{measure}"] = book.alert[j].astype(np.int8)
    return rows.table("risk", columns)


def panel(rows: Rows) -> Table:
    """What the run saw; where a value comes from and how old it is, where that is not the first source or not fresh."""
    market = rows.recording.panel
    columns: dict[str, Column] = {}
    for name, values in market.columns.items():
        columns[name] = values[rows.span]
        source = market.sources.get(name)
        if source is not None and (source[rows.span] > 0).any():
            # -1, no value, takes the last label
            columns[f"{name}|source"] = Text(
                (source[rows.span] % (len(market.source_names[name]) + 1)).astype(np.int32),
                (*market.source_names[name], ""),
            )
        age = market.ages.get(name)
        if age is not None and (age[rows.span] > 0.0).any():
            columns[f"{name}|age_s"] = age[rows.span]
    return rows.table("panel", columns)
