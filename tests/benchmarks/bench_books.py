"""Books that the benchmarks run, and how a run of the compiled loop is timed.

Each book comes from `simulate`, so that what is timed is what a backtest runs; only the lanes are set up here.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numba import njit

sys.path.append(str(Path(__file__).resolve().parents[1]))

from basis.config import load_config
from basis.engine.recording import Recording
from basis.engine.simulation import simulate
from basis.market import DataProvider
from basis.market.panel import Panel
from support.kernel_stages import END, Rerun, equity_of_lanes, lane_policy
from support.kernel_view import RunView, idle_strategy

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
#: Two years of hours.
HOURS = 17_520
LANES = 64
_VENUES = ("binance", "bybit", "okx")


class Took(NamedTuple):
    """Seconds of repeated calls: the median, and the best, which other load of the machine touches least."""

    median: float
    best: float

    def times(self, factor: float) -> "Took":
        return Took(self.median * factor, self.best * factor)


def timed(call: Callable[[], Any], repeats: int, before: Callable[[], Any] | None = None) -> Took:
    """Time a call; `before` is run, not timed, before each, and a first call warms up."""
    took = []
    for i in range(repeats + 1):
        if before is not None:
            before()
        began = time.perf_counter()
        call()
        if i:
            took.append(time.perf_counter() - began)
    return Took(median(took), min(took))


#: No limit of its policy is ever crossed, so it is asked in the first row only.
HOLD = idle_strategy(
    margin_low=-np.inf, margin_high=np.inf, max_drift=np.inf, rebalance=0.0, restricts=0.0, enter_rate=np.inf,
    leave_rate=-np.inf,
)  # fmt: skip


@dataclass(frozen=True)
class Book:
    """A book in a market, with the parameters its lanes run with.

    Attributes
    ----------
    name : what the table calls it
    recording : one run of it
    spread : (lane count) → (parameters, lanes) with a policy of its own for every lane; None where lanes are alike
    """

    name: str
    recording: Recording
    spread: Callable[[int], np.ndarray] | None = None

    @property
    def slots(self) -> int:
        return len(self.recording.slots.keys)

    @property
    def rows(self) -> int:
        return len(self.recording.panel)

    def parameters(self) -> np.ndarray:
        r = self.recording
        return lane_policy(r.config, r.slots, r.strategy)

    def start(
        self, lanes: int = 1, record: bool = False, parameters: np.ndarray | None = None, fresh: bool = False
    ) -> tuple[Callable, tuple, np.ndarray]:
        """A run that is ready to go: the compiled loop, its arguments, the block it will fill.

        What is recorded goes into memory that was written before, so that the run does not wait for the system to
        hand it out; `fresh` leaves it untouched, as a backtest has it.
        """
        made = RunView(self.recording)
        # room for all events beside what the loop wants free in every row
        events = len(made.raw_events) + 8192 if record else 0
        again = Rerun(made, lanes, parameters, events, recorded=record, capital=made.capital)
        if not fresh:
            again.touch_memory()
        return again.loop.run, (0, self.rows), again.state

    def equity(self, block: np.ndarray) -> np.ndarray:
        """Equity of every lane, share class."""
        return equity_of_lanes(block, self.recording.slots)

    def time(
        self,
        repeats: int,
        lanes: int = 1,
        record: bool = False,
        parameters: np.ndarray | None = None,
        fresh: bool = False,
    ) -> Took:
        """One run; setting up and loading the loop are not counted."""
        ready: list[tuple] = []

        def run() -> None:
            loop, args, _ = ready[0]
            row, reason = loop(*args)
            if (row, reason) != (self.rows, END):
                raise RuntimeError(f"{self.name}: the run ended in row {row} for reason {reason}")

        def begin() -> None:
            ready[:] = [self.start(lanes, record, parameters, fresh)]

        return timed(run, repeats, begin)


def sample_panel(config: Any) -> Panel:
    """The first two years of the sample in the checkout."""
    return DataProvider(SAMPLE, config).panel().slice(0, HOURS - 1)


#: What the lanes of a mode differ in: a key of the configuration, and its least and largest value.
_SPREAD = {
    "btc_basis": ("strategy.margin_ratio_target", 0.4, 0.6),
    "eth_leveraged": ("strategy.target_ltv", 0.80, 0.88),
}


def mode(name: str) -> Book:
    """A shipped mode with its defaults, on the sample."""
    config = load_config(name, environ={})
    recording = simulate(config, sample_panel(config))
    key, least, most = _SPREAD.get(name, ("strategy.position_deviation_threshold", 0.01, 0.03))

    def spread(lanes: int) -> np.ndarray:
        made = [config.replace({key: float(value)}) for value in np.linspace(least, most, lanes)]
        return np.hstack([lane_policy(c, recording.slots, recording.strategy) for c in made])

    return Book(f"{name}, sample", recording, spread)


def _walk(rng: np.random.Generator, start: float, step: float = 5e-4) -> np.ndarray:
    return start * np.exp(np.cumsum(rng.standard_normal(HOURS) * step))


def _growth(yearly: float) -> np.ndarray:
    return np.exp(np.arange(HOURS) * (yearly / 8760.0))


def held(slots: int, seed: int = 7) -> Book:
    """A book of 12 or 27 slots that is held untouched for two years in a calm synthetic market."""
    if slots == 12:
        markets, tokens = ("BTC",), ("wallet:USDT", "wallet:ETH", "binance:BTC")
        pools, debts = ("USDT", "weETH"), ("WETH",)
    elif slots == 27:
        markets = ("BTC", "ETH", "SOL")
        tokens = ("wallet:USDT", "wallet:ETH", "wallet:BTC", "wallet:weETH", "wallet:wstETH", "binance:BTC",
                  "binance:ETH", "binance:SOL", "bybit:BTC")  # fmt: skip
        pools, debts = ("USDT", "WETH", "weETH", "wstETH"), ("WETH", "USDT")
    else:
        raise ValueError(f"There are books of 12 and of 27 slots, not of {slots}.")
    rng = np.random.default_rng(seed)
    spot = {"BTC": _walk(rng, 60_000.0), "ETH": _walk(rng, 3_000.0), "SOL": _walk(rng, 150.0)}
    columns = {f"spot|{asset}": price for asset, price in spot.items()}
    columns["gas_price_gwei"] = np.full(HOURS, 5.0)
    for lst, yearly in (("weETH", 0.03), ("wstETH", 0.028)):
        columns[f"oracle_rate|{lst}"] = 1.05 * _growth(yearly)
        columns[f"market_rate|{lst}"] = columns[f"oracle_rate|{lst}"] * (1 + 2e-4 * rng.standard_normal(HOURS))
    for asset in pools:
        columns[f"liquidity_index|aave_v3:{asset}"] = 1.1 * _growth(0.03)
    for asset in debts:
        columns[f"borrow_index|aave_v3:{asset}"] = 1.1 * _growth(0.04)
    places = [name.split(":") for name in tokens]
    positions = {f"{venue}:BaseToken:{a}": 20_000.0 / spot[a][0] if a in spot else 20_000.0 for venue, a in places
                 if a not in ("weETH", "wstETH")}  # fmt: skip
    positions |= {f"wallet:BaseToken:{a}": 5.0 for _, a in places if a in ("weETH", "wstETH")}
    positions |= {f"aave_v3:aToken:{a}": 100_000.0 if a == "USDT" else 20.0 for a in pools}
    positions |= {f"aave_v3:debtToken:{a}": 10_000.0 if a == "USDT" else 5.0 for a in debts}
    for venue in _VENUES:
        positions[f"{venue}:BaseToken:USDT"] = 30_000.0 * len(markets)
        for asset in markets:
            key = f"{venue}:Perp:{asset}USDT"
            mark = spot[asset] * (1 + 3e-4 * rng.standard_normal(HOURS))
            columns |= {f"mark|{key}": mark, f"high|{key}": mark * 1.002, f"low|{key}": mark * 0.998}
            columns[f"funding_cash|{key}"] = np.where(np.arange(HOURS) % 8 == 7, 1e-4 * mark, 0.0)
            positions |= {key: -20_000.0 / mark[0], f"{key}|cost": -20_000.0}
    terms = {"brackets": [[None, 0.01, 0, 50]]}
    overrides: dict[str, Any] = {
        "instruments": [key for key in positions if "|" not in key],
        "risk.limits": {},
        "rewards.enabled": False,
        **{f"venues.{v}.tiers.SOLUSDT": terms for v in _VENUES},
        **{f"venues.{v}.{m}_slippage.SOLUSDT": 5 for v in _VENUES for m in ("spot", "perp")},
    }
    config = load_config("btc_basis", overrides, environ={})
    panel = Panel.from_columns("2024-01-01", 3600, columns)
    recording = simulate(config, panel, positions=positions, strategy=HOLD)
    book = Book(f"held book, {slots} slots", recording)
    if book.slots != slots or recording.status != "complete":
        raise RuntimeError(f"{book.name}: {book.slots} slots, {recording.status}: {recording.cause}")
    return book


@njit(error_model="numpy")
def _reference(hours, quantity, out):
    for t in range(hours.shape[0]):
        total = 0.0
        for j in range(12):
            total += quantity[j] * hours[t, j]
        out[t] = total


def reference(repeats: int) -> Took:
    """One hour of a plain compiled loop that sums 12 products an hour: what the machine can do now."""
    hours = np.random.default_rng(0).standard_normal((HOURS, 12))
    quantity, out = np.arange(1.0, 13.0), np.zeros(HOURS)
    return timed(lambda: _reference(hours, quantity, out), repeats).times(1 / HOURS)
