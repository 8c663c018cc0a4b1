"""Short books for the snapshot of `short_runs`: between them they hold every position and take every route.

Prices, rates and amounts are odd numbers, and no two venues are alike: a formula that takes the wrong one shows. What a
strategy does is written out by row, and every threshold is set here: no shipped default decides anything.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import basis
from basis.engine.simulation import simulate
from basis.market.panel import Panel
from support.kernel_view import RunView, with_policy
from support.runs import settings
from support.small_markets import VENUES
from support.staking_markets import grown

START = "2024-05-29T06:00:00"  # the tiers of the exchanges change in row 18
NO_LIMIT = 1e200
WEIGHTS = {"binance": 0.5, "bybit": 0.3, "okx": 0.2}
#: Thresholds that every mode reads, and those of hedges, of loans, of what is staked, of signals.
ANY = {"strategy.rebalance": True, "strategy.position_deviation_threshold": 0.02, "strategy.gas_reserve": 7.0}
HEDGE = {
    "strategy.hedge_allocation": WEIGHTS,
    "strategy.margin_ratio_band": [0.7, 1.5],
    "strategy.max_delta_drift": 0.02,
}
LOAN = {"strategy.target_ltv": 0.8, "strategy.ltv_band": 0.03, "strategy.min_health_factor": 1.04}
STAKED = {"strategy.lst": "weETH", "strategy.stake_route": "protocol", "strategy.dust_threshold": 40.0}
# markets by hand may hold what no file could
LIMITS = {"risk.limits": {}, "rewards.enabled": False, "data.checks": "off"}
EXPLICIT = {
    "btc_basis": {**HEDGE, "strategy.margin_ratio_target": 0.5, "strategy.spot_venue": "binance"},
    "ml_directional": {**HEDGE, "strategy.margin_ratio_target": 0.6},
    "pure_lending": {},
    "eth_staking_only": STAKED,
    "eth_leveraged": {**LOAN, **STAKED},
    "usdt_market_neutral_no_leverage": {**HEDGE, **STAKED, "strategy.stake_allocation": 0.6},
    "usdt_market_neutral": {**HEDGE, **LOAN, **STAKED, "strategy.stake_allocation": 0.6},
}
#: When a strategy is asked, by `kernel.layout.state.POLICY`; a run replaces some.
ASKED = {
    "margin_target": 0.5, "margin_low": 0.35, "margin_high": 0.75, "max_drift": 0.02, "min_invested": -NO_LIMIT,
    "max_invested": NO_LIMIT, "low_ltv": -NO_LIMIT, "high_ltv": NO_LIMIT, "least_health": 0.0,
}  # fmt: skip
#: What no margin and no delta asks for.
NEVER = {"margin_low": 0.0, "margin_high": NO_LIMIT, "max_drift": NO_LIMIT}
Acts = tuple[int | str | float, ...]


# --- strategies ------------------------------------------------------------------------------------------------------


def script(*acts: Acts, every_row: bool = True, start: str = START, step: int = 3600) -> Any:
    """A strategy that acts in given rows: (row, name of the action, asset, amount, stop and take-profit)."""
    first = float(np.datetime64(start, "s").astype(int))

    @basis.compiled(every_row=every_row)
    def scripted(view, act):
        for row, name, *given in acts:
            if row == round((view.time - first) / step):
                getattr(act, name)(*given)

    return scripted


def whenever_asked(name: str, asset: str, amount: float) -> Any:
    """A strategy that does the same whenever it is asked, which then shows in the run."""

    @basis.compiled
    def repeated(view, act):
        getattr(act, name)(asset, amount)

    return repeated


class Noting:
    """What decides, with a note of all that it is shown whenever it is asked."""

    def __init__(self, decides: Any) -> None:
        self._decides, self.seen = decides, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decides, name)

    def bind(self, *book: Any) -> Any:
        """What the kernel calls."""
        bound = self._decides.bind(*book)

        def decide(seen: np.ndarray, *rest: Any) -> int:
            self.seen.append(seen.copy())
            return bound.decide(seen, *rest)

        return bound._replace(decide=decide)


def short_run(
    mode: str, panel: Panel, strategy: Any, positions: Any = None, policy: Any = None, **more: Any
) -> RunView:
    """A run whose thresholds are all given; `more` are overrides with `.` written as `__`.

    What its strategy is shown is kept as `seen`, a row for each time that it is asked.
    """
    given = {name.replace("__", "."): value for name, value in more.items()}
    config = settings(mode, {**ANY, **LIMITS, **EXPLICIT[mode], **given})
    decides = with_policy(strategy.strategy_for(config), **{**ASKED, **(policy or {})})
    noting = Noting(decides.decide)
    made = RunView(simulate(config, panel, strategy=replace(decides, decide=noting), positions=positions))
    made.seen = np.array(noting.seen)
    return made


# --- markets ---------------------------------------------------------------------------------------------------------


def wave(rows: int, first: float, size: float, phase: float = 0.0, drift: float = 0.0) -> np.ndarray:
    """(rows,) a number that swings and drifts."""
    at = np.arange(rows)
    return first * (1.0 + size * (np.sin(0.9 * at + phase) - np.sin(phase)) + drift * at)


def perps(spot: np.ndarray, base: str, spread: float = 0.001, wick: float = 0.003, first: int = 0) -> dict[str, Any]:
    """Columns of a coin's perps at every venue, no two alike.

    Parameters
    ----------
    spread : mark over spot less 1, of the first venue; others have others
    wick : how far the extremes of the hour lie beyond its marks
    """
    rows, columns = len(spot), {}
    for number, venue in enumerate(VENUES[first:], 1):
        key = f"{venue}:Perp:{base}USDT"
        mark = spot * (1.0 + spread * wave(rows, number, 0.3, number))
        before = np.concatenate((mark[:1], mark[:-1]))
        rate = np.where(np.arange(rows) % (2 + number) == 2, 1e-4 * number, 0.0)
        columns[f"mark|{key}"] = mark
        columns[f"high|{key}"] = np.maximum(mark, before) * (1.0 + wick * number)
        columns[f"low|{key}"] = np.minimum(mark, before) * (1.0 - wick * (number + 0.5))
        columns[f"funding_rate|{key}"] = rate
        columns[f"funding_cash|{key}"] = rate * mark
        columns[f"funding_apr|{key}"] = wave(rows, 0.1, 0.9, number)
    return columns


def coins(spot: np.ndarray, eth: Any = None, usdt: Any = None, bases: tuple[str, ...] = ("BTC",), **more: Any) -> Panel:
    """A market of coins with perps at every venue, and gas; `more` goes to `perps`."""
    rows = len(spot)
    eth = wave(rows, 3_010.0, 0.02, 1.0) if eth is None else eth
    prices = {"BTC": spot, "ETH": eth, "SOL": spot / 400.0}
    columns = {
        **{f"spot|{base}": prices[base] for base in ("BTC", "ETH", *bases)},
        "gas_price_gwei": wave(rows, 23.0, 0.2, 2.0),
    }
    if usdt is not None:
        columns["usd|USDT"] = usdt
    for base in bases:
        columns |= perps(prices[base], base, **more)
    return Panel.from_columns(START, 3600, columns)


def deep(panel: Panel, volume: float, size: float = 0.5) -> Panel:
    """The market with volumes and volatilities, no two alike."""
    rows, known = len(panel), {}
    names = [name for name in panel.columns if name.startswith(("mark|", "spot|BTC"))]
    for number, name in enumerate(names, 1):
        which = name if name.startswith("spot") else name.partition("|")[2]
        known[f"volume|{which}"] = np.maximum(wave(rows, volume * number, size, number), 0.0)
        known[f"volatility|{which}"] = wave(rows, 0.004 * number, 0.3, number)
        if which == name:
            known[f"high|{which}"] = panel.columns[name] * 1.004
            known[f"low|{which}"] = panel.columns[name] * 0.997
    return replace(panel, columns={**panel.columns, **known})


def chain(rows: int, eth: Any = None, hedged: bool = False, peg: Any = None, **more: Any) -> Panel:
    """A market of ether, a staking token, Aave and, where it is hedged, perps; `more` are columns with `|` as `__`."""
    eth = wave(rows, 3_010.0, 0.02, 1.0) if eth is None else np.asarray(eth, dtype=float)
    rate = grown(rows, 0.9, 1.05)
    columns = {
        "spot|ETH": eth,
        "gas_price_gwei": wave(rows, 23.0, 0.2, 2.0),
        "oracle_rate|weETH": rate,
        "market_rate|weETH": rate * (wave(rows, 0.998, 0.001, 3.0) if peg is None else peg),
        "liquidity_index|aave_v3:weETH": grown(rows, 0.4, 1.0005),
        "liquidity_index|aave_v3:WETH": grown(rows, 0.5, 1.02),
        "liquidity_index|aave_v3:USDT": grown(rows, 0.6, 1.11),
        "borrow_index|aave_v3:WETH": grown(rows, 0.8, 1.06),
        "borrow_index|aave_v3:USDT": grown(rows, 0.7, 1.2),
        "oracle_rate|wstETH": grown(rows, 0.6, 1.17),
        "market_rate|wstETH": grown(rows, 0.6, 1.17) * wave(rows, 0.999, 0.002, 4.0),
        "liquidity_index|aave_v3:wstETH": grown(rows, 0.3, 1.01),
        "borrow_index|aave_v3:wstETH": grown(rows, 0.2, 1.05),
        "staking_apr|weETH": np.full(rows, 0.03),
        **{f"{name}|aave_v3:{asset}": wave(rows, 0.03, 0.9, number) for number, (name, asset) in enumerate(_RATES)},
        **(perps(eth, "ETH") if hedged else {}),
    }
    columns |= {name.replace("__", "|"): np.asarray(values, dtype=float) for name, values in more.items()}
    return Panel.from_columns(START, 3600, columns)


_RATES = [
    (f"{side}_apr{ending}", asset)
    for side, assets in (("supply", ("weETH", "WETH", "USDT")), ("borrow", ("WETH",)))
    for ending in ("", "_mean")
    for asset in assets
]


def with_cap(most: float) -> list[dict[str, Any]]:
    """Terms of a reserve of which no more may be supplied."""
    terms = {"ltv": 0.72, "liquidation_threshold": 0.75, "liquidation_bonus": 0.06, "source": "test"}
    return [{"from": "2024-01-01", "supply_cap": most, **terms}]


# --- what the books hold ---------------------------------------------------------------------------------------------

WALLET, ETHER, TOKEN = "wallet:BaseToken:USDT", "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"
SPOT = "binance:BaseToken:BTC"
POOL, DEBT = "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH"
CASH = {venue: f"{venue}:BaseToken:USDT" for venue in VENUES}


def perp(venue: str, base: str = "BTC") -> str:
    return f"{venue}:Perp:{base}USDT"


def at_venues(
    cash: dict[str, float], quantities: dict[str, float], price: float, base: str = "BTC"
) -> dict[str, float]:
    """A starting book of cash and perps by venue, opened at a price."""
    book = {CASH[venue]: amount for venue, amount in cash.items()}
    for venue, quantity in quantities.items():
        book[perp(venue, base)] = quantity
        book[f"{perp(venue, base)}|cost"] = quantity * price
    return book


#: Name of a book → what makes its run.
BOOKS: dict[str, Callable[[], RunView]] = {}


def book(function: Callable[[], RunView]) -> Callable[[], RunView]:
    """Keep a book under the name of its function."""
    BOOKS[function.__name__] = function
    return function
