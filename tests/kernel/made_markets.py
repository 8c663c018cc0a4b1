"""Small markets and runs by hand for the tests of kernel, engine, strategies and properties."""

import numpy as np

from basis.config import load_config
from basis.engine.blocking import run_blocking
from basis.engine.event_driven import EventDriver
from basis.engine.simulation import simulate
from basis.kernel import layout as at
from basis.market.panel import Panel

VENUES = ("binance", "bybit", "okx")
START = "2024-05-29"  # the exchanges' tiers change on 2024-05-30
HOUR = 3_600_000_000_000
FREE = {"costs.enabled": False, "transfers.instant": True, "risk.limits": {}}


def walk(rows, seed=0, volatility=0.004, first=60_000.0, drift=0.0):
    """A random walk of prices, USDT."""
    steps = np.random.default_rng(seed).standard_normal(rows) * volatility + drift
    steps[0] = 0.0
    return first * np.exp(np.cumsum(steps))


def steady(rows, price=60_000.0):
    """A price that stays."""
    return np.full(rows, price)


def path(*points):
    """Prices through (row, price) points, linear in between."""
    rows, prices = zip(*points, strict=True)
    return np.interp(np.arange(rows[-1] + 1), rows, prices)


def market(
    spot,
    start=START,
    step=3600,
    venues=VENUES,
    basis=0.0,
    wick=0.002,
    rate=1e-4,
    every=8,
    eth=3_000.0,
    gwei=20.0,
    apr=0.1,
):
    """A panel of one coin, perps at every venue, ETH and gas.

    Parameters
    ----------
    spot : (rows,) USDT
    basis : mark over spot less 1; a number, (rows,), or either by venue
    wick : how far the hour's extremes lie beyond its two marks, fraction; a number or (rows,)
    rate : funding rate of every `every`-th row; a number, (rows,), or either by venue
    apr : what a rate rule watches, per year; a number or (rows,)
    """
    spot = np.asarray(spot, dtype=float)
    rows = len(spot)
    columns = {
        "spot|BTC": spot,
        "spot|ETH": np.broadcast_to(np.asarray(eth, dtype=float), rows),
        "gas_price_gwei": np.broadcast_to(np.asarray(gwei, dtype=float), rows),
    }
    due = (np.arange(rows) % every == 0) & (np.arange(rows) > 0)
    for venue in venues:
        key = f"{venue}:Perp:BTCUSDT"
        own = basis[venue] if isinstance(basis, dict) else basis
        mark = spot * (1.0 + own)
        before = np.concatenate((mark[:1], mark[:-1]))
        columns[f"mark|{key}"] = mark
        columns[f"high|{key}"] = np.maximum(mark, before) * (1.0 + wick)
        columns[f"low|{key}"] = np.minimum(mark, before) * (1.0 - wick)
        columns[f"high|{key}"][0] = columns[f"low|{key}"][0] = mark[0]
        rates = np.where(due, rate[venue] if isinstance(rate, dict) else rate, 0.0)
        columns[f"funding_rate|{key}"] = rates
        columns[f"funding_cash|{key}"] = rates * mark
        columns[f"funding_apr|{key}"] = np.broadcast_to(np.asarray(apr, dtype=float), rows)
    return Panel.from_columns(start, step, columns)


def pool(rows, start=START, step=3600, apr=0.05, mean=None, gwei=20.0, eth=3_000.0, index=1.1):
    """A panel of a lending pool: supply index that grows by `apr` per year, what a rate rule watches in `mean`."""
    return Panel.from_columns(
        start,
        step,
        {
            "liquidity_index|aave_v3:USDT": index * np.cumprod(np.full(rows, 1.0 + apr * step / 31_536_000)),
            "supply_apr|aave_v3:USDT": np.full(rows, apr),
            "supply_apr_mean|aave_v3:USDT": np.broadcast_to(
                np.asarray(apr if mean is None else mean, dtype=float), rows
            ),
            "spot|ETH": np.broadcast_to(np.asarray(eth, dtype=float), rows),
            "gas_price_gwei": np.broadcast_to(np.asarray(gwei, dtype=float), rows),
        },
    )


def settings(mode="btc_basis", overrides=None, **more):
    """A configuration that the environment does not touch."""
    return load_config(mode, {**(overrides or {}), **more}, environ={})


def at_row(panel, row):
    """Instant of a row, as flows name it."""
    return np.datetime_as_string(np.datetime64(int(panel.timestamps[row]), "ns"), unit="s") + "Z"


def flows(panel, *pairs):
    """Flows from (row, amount) pairs."""
    return [{"timestamp": at_row(panel, row), "amount": amount} for row, amount in pairs]


class Run:
    """A recording with its rows by name; built by `run`."""

    def __init__(self, recording):
        self.recording = recording
        self.slots = recording.slots
        n = self.slots.shape()
        self.book = at.book(n, recording.record.T)
        self.hours = at.hour_of(n, recording.model.hours.T)
        self.events = recording.events
        self.status, self.cause, self.stop = recording.status, recording.cause, recording.stop
        self.panel = recording.panel

    def __getattr__(self, name):
        return getattr(self.recording, name)

    @property
    def equity(self):
        return self.book.head[at.EQUITY]

    @property
    def columns(self):
        """Cumulative P&L by column."""
        return dict(zip(at.COLUMN_NAMES, self.book.column, strict=True))

    @property
    def residual(self):
        """Balance-based less attributed P&L, row by row."""
        capital = self.recording.block[self._stat + at.CAPITAL, 0]
        return self.equity - capital - self.book.head[at.FLOWS] - self.book.column.sum(axis=0)

    @property
    def _stat(self):
        n = self.slots.shape()
        rows = np.arange(float(at.rows(n))).reshape(-1, 1)
        return int(at.book(n, rows).stat[0, 0])

    def q(self, key):
        return self.book.q[self.slots.index(key)]

    def cost(self, key):
        return self.book.cost[self.slots.index(key) - at.first_perp(self.slots.shape())]

    def transit(self, key):
        return self.book.transit[self.slots.index(key)]

    @property
    def long(self):
        """Units of spot BTC, (rows,)."""
        return sum(self.q(k) for k in self.slots.keys if k.type == "BaseToken" and k.symbol == "BTC")

    @property
    def short(self):
        """Units of BTC short over all venues, (rows,)."""
        return -sum(self.q(k) for k in self.slots.held)

    def short_at(self, venue):
        return -self.q(f"{venue}:Perp:BTCUSDT")

    def margin(self, venue):
        """Margin ratio of a venue after each row's fills."""
        return self.book.margin[self.slots.venues.index(venue)]

    def balance(self, venue):
        """Margin of a venue after each row's fills, USDT."""
        key = f"{venue}:Perp:BTCUSDT"
        mark = self.panel.columns[f"mark|{key}"]
        return self.q(f"{venue}:BaseToken:USDT") + self.q(key) * mark - self.cost(key)

    def of(self, kind, code=None):
        """Events of a kind (and code)."""
        found = self.events[self.events[:, at.E_KIND] == kind]
        return found if code is None else found[found[:, at.E_CODE] == code]

    def rejects(self):
        """(row, reason) of every rejection."""
        return [(int(e[at.E_ROW]), at.REASONS[int(e[at.E_CODE])]) for e in self.of(at.REJECT)]

    def rows_of(self, kind, code=None):
        return [int(e[at.E_ROW]) for e in self.of(kind, code)]


def run(panel, mode="btc_basis", overrides=None, **kwargs):
    """Run a mode over a panel; overrides as dotted keys."""
    return Run(simulate(settings(mode, overrides), panel, **kwargs))


def engine_of(made, **more):
    """An event engine for the run that was made: the same market, start and strategy."""
    config = made.recording.config
    given = {
        "positions": made.recording.holdings if made.recording.given else None,
        "resume": made.recording.resumed,
        "strategy": made.recording.strategy,
    }
    return EventDriver(config, "backtest", made.panel, config.initial_capital, config.share_class, **{**given, **more})


def by_components(made, driver="event", **more):
    """The same run once more, through the components (or, with `driver` kernel, as far as they are asked)."""
    return Run(run_blocking(engine_of(made, **more).record(driver=driver)))
