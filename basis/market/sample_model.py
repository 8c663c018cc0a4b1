"""The processes behind the synthetic market: prices, premiums, funding, pools, staking rates, lending, gas.

May import: numpy only. Every function is a pure function of the seed; each series draws from its own named random
stream, so that adding one leaves the others as they were. Prices live on the grid of hour openings, with a warm-up
before `START` that is cut off when written. Prices in USDT, natural logs, rates per year as fractions unless said
otherwise.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Columns = dict[str, Array]

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 1, tzinfo=UTC)  # last stamp of every series, inclusive
WARM_UP_HOURS = 240


@dataclass(frozen=True)
class Event:
    """Something the sample is made to contain: from `start` to `end` (UTC), and what it does."""

    start: datetime
    end: datetime
    text: str


def _at(*args: int) -> datetime:
    return datetime(*args, tzinfo=UTC)  # type: ignore[arg-type]


EVENTS: dict[str, Event] = {
    "binance_hole": Event(
        _at(2024, 5, 15, 9),
        _at(2024, 5, 15, 11),
        "three null hours in Binance BTC spot and perp (first and last stamp)",
    ),
    "crash": Event(_at(2024, 9, 17, 6), _at(2024, 9, 18, 4), "BTC -27 %, ETH -33 % in 22 hours"),
    "funding_flip": Event(_at(2024, 9, 19), _at(2024, 9, 27), "funding clearly negative on every venue"),
    "okx_funding_hole": Event(_at(2024, 11, 20, 8), _at(2024, 11, 20, 8), "one OKX settlement is null (BTC and ETH)"),
    "squeeze": Event(_at(2025, 2, 3), _at(2025, 2, 17), "BTC +53 %, ETH +45 % in two weeks"),
    "squeeze_wick": Event(_at(2025, 2, 14, 15), _at(2025, 2, 14, 16), "one bar whose high is 14 % (ETH 9 %) above it"),
    "depeg": Event(_at(2025, 6, 10, 8), _at(2025, 6, 12), "weETH trades 7 %, wstETH 6 % below its oracle rate"),
    "borrow_spike": Event(_at(2025, 8, 20), _at(2025, 8, 26), "WETH borrow APR above 25 %, USDT supply APR jumps"),
}

# Anchors of the two price paths: (instant, BTC, ETH) in USDT; the noise wanders around their log-linear join.
_KNOTS: tuple[tuple[datetime, float, float], ...] = (
    (_at(2023, 12, 1), 41_000, 2_200),
    (_at(2024, 3, 20), 58_000, 3_200),
    (_at(2024, 6, 30), 53_000, 3_000),
    (EVENTS["crash"].start, 61_000, 3_300),
    (EVENTS["crash"].end, 61_000 * 0.73, 3_300 * 0.67),
    (_at(2024, 12, 15), 59_000, 2_900),
    (EVENTS["squeeze"].start, 57_000, 2_700),
    (EVENTS["squeeze"].end, 57_000 * 1.53, 2_700 * 1.45),
    (_at(2025, 5, 1), 79_000, 3_500),
    (_at(2025, 7, 15), 97_000, 4_300),
    (_at(2025, 10, 1), 88_000, 3_700),
    (_at(2026, 1, 10), 96_000, 4_100),
)

_YEAR_S = 365 * 86_400
_BP = 1e-4
_FUNDING_CAP = 0.003
_INTEREST = 1 * _BP  # per 8 h

# name -> (mean premium in bp, volume per hour in the base, USDT per trade or 0 where the venue counts none)
SPOT = {"binance_btcusdt": (0.0, 1_400, 2_500), "bybit_btcusdt": (0.1, 420, 0), "bybit_ethusdt": (0.1, 6_500, 0)}
PERP = {
    "binance_btcusdt": (0.2, 8_200, 4_600),
    "bybit_btcusdt": (0.3, 3_600, 0),
    "okx_btcusdt": (0.1, 2_900, 0),
    "binance_ethusdt": (0.2, 98_000, 2_900),
    "bybit_ethusdt": (0.3, 36_000, 0),
    "okx_ethusdt": (0.1, 42_000, 0),
}
_CONTRACT = {"BTC": 0.01, "ETH": 0.1}  # base units per OKX contract


class _Curve(NamedTuple):
    """Kinked rate curve of a lending reserve: rates per year, utilisation as a fraction."""

    base: float
    kink: float
    slope1: float
    slope2: float
    reserve_factor: float


# reserve -> curve, (mean utilisation, standard deviation), (liquidity index, borrow index) at START, supply in units
RESERVES: dict[str, tuple[_Curve, tuple[float, float], tuple[float, float], float]] = {
    "usdt": (_Curve(0.0, 0.92, 0.055, 0.60, 0.10), (0.865, 0.03), (1.03, 1.045), 1.1e9),
    "weth": (_Curve(0.0, 0.92, 0.027, 0.80, 0.15), (0.868, 0.013), (1.02, 1.03), 9.5e5),
    "weeth": (_Curve(0.01, 0.35, 0.07, 3.0, 0.45), (0.05, 0.012), (1.0, 1.0), 8.0e5),
    "wsteth": (_Curve(0.0025, 0.45, 0.045, 0.85, 0.15), (0.12, 0.03), (1.0005, 1.004), 1.0e6),
}


def stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class Clock(NamedTuple):
    """Hour openings from the warm-up to one hour past `END` (the close of the last bar)."""

    hours: Array  # int64 seconds since the epoch
    cut: slice  # the rows that are written

    def index(self, instant: datetime) -> int:
        return int(instant.timestamp() - self.hours[0]) // 3600

    def window(self, event: str) -> slice:
        """Rows of an event, its last stamp included."""
        return slice(self.index(EVENTS[event].start), self.index(EVENTS[event].end) + 1)


def make_clock() -> Clock:
    first = int(START.timestamp()) - WARM_UP_HOURS * 3600
    hours = np.arange(first, int(END.timestamp()) + 2 * 3600, 3600, dtype=np.int64)
    return Clock(hours, slice(WARM_UP_HOURS, hours.size - 1))


def price_paths(clock: Clock, seed: int) -> tuple[Columns, Columns]:
    """Log mid prices at the hour openings and the volatility of the hour that starts there (per hour, a fraction)."""
    n = clock.hours.size
    rng = stream(seed, "prices")
    z = rng.standard_t(4.5, (2, n)) / np.sqrt(4.5 / 2.5)
    z = np.clip(z, -7, 7)
    z[1] = 0.82 * z[0] + np.sqrt(1 - 0.82**2) * z[1]
    hour_of_day = (clock.hours // 3600) % 24
    season = 1 + 0.25 * np.sin((hour_of_day - 9) * np.pi / 12)
    boost = np.ones(n)
    for name, height in (("crash", 1.2), ("squeeze", 0.5)):
        window = clock.window(name)
        age = np.arange(n) - window.stop
        boost[window] += height
        boost += height * np.where(age >= 0, np.exp(-np.maximum(age, 0) / 60.0), 0.0)
    knots = np.array([k[0].timestamp() for k in _KNOTS])
    log_price, vol = {}, {}
    for row, (asset, hourly) in enumerate((("BTC", 0.0052), ("ETH", 0.0066))):
        anchor = np.interp(clock.hours, knots, np.log([(k[1], k[2])[row] for k in _KNOTS]))
        noise, sigma = _clustered_noise(z[row], hourly, season * boost)
        steps = np.diff(anchor, append=anchor[-1])
        frozen = np.zeros(n, dtype=bool)
        for name, evenness in (("crash", 1.5), ("squeeze", 4.0)):
            window = clock.window(name)
            inside = slice(window.start, window.stop - 1)
            # Same lumps for both assets; the noise must not blur the move, so its sum over the window is taken out.
            lumps = stream(seed, f"lumps:{name}").dirichlet(np.full(inside.stop - inside.start, evenness))
            steps[inside] = steps[inside].sum() * lumps + noise[inside] - noise[inside].mean()
            frozen[inside] = True
        wander = np.zeros(n)
        for i in range(n - 1):  # the noise decays towards the anchor with a time constant of 1,400 hours
            wander[i + 1] = wander[i] if frozen[i] else wander[i] * (1 - 1 / 1_400) + noise[i]
        log_price[asset] = anchor[0] + np.concatenate(([0.0], np.cumsum(steps[:-1]))) + wander
        vol[asset] = sigma
    return log_price, vol


def _clustered_noise(z: Array, hourly: float, scale: Array) -> tuple[Array, Array]:
    """GARCH(1,1) returns of unconditional volatility `hourly`, times a given scale; returns (noise, volatility)."""
    alpha, beta = 0.09, 0.895
    variance = hourly**2
    sigma = np.empty(z.size)
    for i in range(z.size):
        sigma[i] = np.sqrt(variance)
        variance = hourly**2 * (1 - alpha - beta) + variance * (alpha * z[i] ** 2 + beta)
        variance = min(variance, (4 * hourly) ** 2)
    sigma = sigma * scale
    return sigma * z, sigma


def _reverting(rng: np.random.Generator, target: Array, hours: float, sd: Array | float) -> Array:
    """First-order process that reverts to `target` in `hours` with stationary deviation `sd` (same units as target)."""
    keep = np.exp(-1 / hours)
    shock = rng.standard_normal(target.size) * sd * np.sqrt(1 - keep**2)
    out = np.empty(target.size)
    level = target[0]
    for i in range(target.size):
        level = target[i] + keep * (level - target[i]) + shock[i]
        out[i] = level
    return out


def _trailing(log_price: Array, hours: int) -> Array:
    """Log return of the last `hours` hours (0 before there are as many)."""
    out = np.zeros(log_price.size)
    out[hours:] = log_price[hours:] - log_price[:-hours]
    return out


def base_of(name: str) -> str:
    """`binance_btcusdt` -> `BTC`."""
    return name.split("_")[1][:3].upper()


def venue_premium(clock: Clock, seed: int, kind: str, name: str, log_price: Array, vol: Array) -> Array:
    """Log premium of a venue over the mid: for perps the market's, tied to trend and volatility, plus its own."""
    own = stream(seed, f"{kind}:{name}")
    offset = (SPOT if kind == "spot" else PERP)[name][0]
    noise = offset * _BP + 0.35 * _BP * own.standard_normal(log_price.size)
    if kind == "spot":
        return noise
    pair = name.split("_")[1]
    trend = _trailing(log_price, 168)
    target = 0.1 * _BP + 3.2 * _BP * np.tanh(trend / 0.10) + 1.0 * _BP * np.tanh(_trailing(log_price, 24) / 0.05)
    flip = clock.window("funding_flip")
    target[flip] = -6.5 * _BP
    # The market's premium is one stream per asset: venues share it and differ by little.
    common = _reverting(stream(seed, f"premium:{pair}"), target, 14.0, 1.1 * _BP * np.sqrt(vol / vol.mean()))
    return common + _reverting(own, np.zeros(target.size), 30.0, 0.4 * _BP) + noise


def _tick(base: str, price: Array) -> Array:
    """Prices on the tick of the pair: 0.5 USDT for BTC, 0.05 USDT for ETH."""
    return np.round(price * 2) / 2 if base == "BTC" else np.round(np.round(price * 20) / 20, 2)


def bars(clock: Clock, seed: int, kind: str, name: str, path: Array, mid: Array, vol: Array) -> Columns:
    """Hourly bars of a venue around its price at the openings; the extremes are those of the mid, shared by venues."""
    rng = stream(seed, f"bars:{kind}:{name}")
    base = base_of(name)
    _, volume, trade_size = (SPOT if kind == "spot" else PERP)[name]
    n = path.size - 1
    up, down = extremes(clock, seed, base, mid, vol)
    wick = clock.window("squeeze_wick").start
    up[wick] += 0.012 if kind == "perp" else 0.0
    close = path[1:] + 0.2 * _BP * rng.standard_normal(n)
    up, down = up * np.exp(0.04 * rng.standard_normal(n)), down * np.exp(0.04 * rng.standard_normal(n))
    up[wick] = np.clip(up[wick], 0.13, 0.16) if base == "BTC" else np.clip(up[wick], 0.08, 0.11)
    open_, close_ = _tick(base, np.exp(path[:-1])), _tick(base, np.exp(close))
    high = np.maximum(_tick(base, np.exp(np.maximum(path[:-1], close) + up)), np.maximum(open_, close_))
    low = np.minimum(_tick(base, np.exp(np.minimum(path[:-1], close) - down)), np.minimum(open_, close_))
    traded = _traded(rng, volume, high, low, open_, vol[:-1])
    amount = np.round(traded, 1 if base == "BTC" else 0)
    quote = np.round(amount * (open_ + close_) / 2)
    out = {"open": open_, "high": high, "low": low, "close": close_, "volume": amount, "quote_volume": quote}
    if trade_size:
        out["trades"] = np.round(quote / trade_size * np.exp(0.1 * rng.standard_normal(n)))
    if name.startswith("okx"):
        out["volume_contracts"] = np.round(out.pop("volume") / _CONTRACT[base])
        out["volume"] = np.round(out["volume_contracts"] * _CONTRACT[base], 2)
        out = {k: out[k] for k in ("open", "high", "low", "close", "volume", "volume_contracts")}
    if name == "binance_btcusdt":
        for values in out.values():
            values[clock.window("binance_hole")] = np.nan
    return {"timestamp": clock.hours[clock.cut]} | {k: v[clock.cut] for k, v in out.items()}


def extremes(clock: Clock, seed: int, base: str, mid: Array, vol: Array) -> tuple[Array, Array]:
    """How far each bar of an asset goes above and below its ends (logs), the same for every venue; with the wick."""
    up, down = _excess(stream(seed, f"extremes:{base}"), mid[:-1], mid[1:], vol[:-1])
    up[clock.window("squeeze_wick").start] = {"BTC": 0.135, "ETH": 0.085}[base]
    return up, down


def _excess(rng: np.random.Generator, start: Array, end: Array, vol: Array) -> tuple[Array, Array]:
    """How far a Brownian bridge of volatility `vol` goes above the higher and below the lower of its ends (logs)."""
    move = end - start
    spread = [np.sqrt(move**2 - 2 * (0.9 * vol) ** 2 * np.log(rng.random(start.size))) for _ in range(2)]
    return (spread[0] - np.abs(move)) / 2, (spread[1] - np.abs(move)) / 2


def _traded(rng: np.random.Generator, level: float, high: Array, low: Array, open_: Array, vol: Array) -> Array:
    """Volume of each bar: grows with its range and the volatility, with noise that lasts for hours."""
    activity = 0.55 * np.log((high - low) / open_ / 0.008 + 0.05) + 0.5 * np.log(vol / vol.mean())
    activity += _reverting(rng, np.zeros(open_.size), 20.0, 0.3)
    return level * np.exp(activity + 0.15 * rng.standard_normal(open_.size))


def pool_bars(clock: Clock, seed: int, name: str, price: float, volume: float, eth: Array, vol: Array) -> Columns:
    """Bars of a DEX pool: a bar opens where the last one closed. `price` 0 means ETH in USDT, else token in WETH."""
    rng = stream(seed, f"pool:{name}")
    if price:
        z = np.clip(rng.standard_t(5, eth.size) / np.sqrt(5 / 3), -7, 7)
        noise, vol = _clustered_noise(z, 0.0075, np.ones(eth.size))
        path = np.log(price) + np.zeros(eth.size)
        for i in range(eth.size - 1):
            path[i + 1] = np.log(price) + (path[i] - np.log(price)) * (1 - 1 / 1_500) + noise[i]
        grid = 2.0**30
    else:
        path = eth + _reverting(rng, np.zeros(eth.size), 3.0, 4 * _BP)
        grid = 2.0**9
    up, down = extremes(clock, seed, "ETH", eth, vol) if not price else _excess(rng, path[:-1], path[1:], vol[:-1])
    bounds = np.maximum(path[:-1], path[1:]) + up, np.minimum(path[:-1], path[1:]) - down
    quoted = np.round(np.exp(path) * grid) / grid
    high, low = (np.round(np.exp(b) * grid) / grid for b in bounds)
    out = {"open": quoted[:-1], "high": high, "low": low, "close": quoted[1:]}
    out["quote_volume"] = np.round(_traded(rng, volume, high, low, quoted[:-1], vol[:-1]), 0 if not price else 3)
    return {"timestamp": clock.hours[clock.cut]} | {k: v[clock.cut] for k, v in out.items()}


def funding(clock: Clock, seed: int, name: str, path: Array, mid: Array, perp_open: Array) -> Columns:
    """Settlements: mean premium of the eight openings before the stamp plus interest, capped; a fraction per 8 h."""
    premium = np.expm1(path - mid)
    rows = np.arange(clock.cut.start, clock.cut.stop, 8)
    mean = np.mean([premium[rows - k] for k in range(1, 9)], axis=0)
    noise = 0.1 * _BP * stream(seed, f"funding:{name}").standard_normal(rows.size)
    rate = np.round(np.clip(mean + _INTEREST + noise, -_FUNDING_CAP, _FUNDING_CAP), 8)
    stamps = clock.hours[rows]
    out = {"timestamp": stamps, "funding_rate": rate}
    out["perp_open"] = perp_open[rows - clock.cut.start]
    if name.startswith("okx"):
        out["source_stamp"] = (stamps + 8 * 3600).astype(np.float64)
        gap = stamps == int(EVENTS["okx_funding_hole"].start.timestamp())
        out["funding_rate"][gap] = np.nan
        out["source_stamp"][gap] = np.nan
    return out


def lst(clock: Clock, seed: int, name: str, first_rate: float, apr: float) -> Columns:
    """Staking token: an oracle rate that steps at midnight, and the trailing 24 h median of a pool price near it."""
    rng = stream(seed, f"lst:{name}")
    days = (clock.hours - clock.hours[0]) // 86_400  # the warm-up starts at midnight
    daily_apr = np.clip(_reverting(rng, np.full(days[-1] + 1, apr), 20.0, 0.002), 0.015, 0.06)
    growth = np.cumsum(np.log1p(daily_apr / 365))
    growth -= growth[days[clock.cut.start]]
    oracle = np.round(first_rate * np.exp(growth[days]), 10)
    peg = _reverting(rng, np.full(days.size, -3 * _BP), 24.0, 5 * _BP) + 1.5 * _BP * rng.standard_normal(days.size)
    window = clock.window("depeg")
    depth = {"weeth": 0.070, "wsteth": 0.058}[name]
    age = np.arange(days.size) - window.start
    hold = window.stop - window.start
    shape = np.clip(age / 4.0, 0, 1) * np.exp(-np.maximum(age - hold, 0) / 10.0)
    peg -= depth * shape * np.exp(0.02 * rng.standard_normal(days.size))
    pool = oracle * (1 + peg)
    median = np.median(np.lib.stride_tricks.sliding_window_view(pool, 24), axis=1)
    market = np.concatenate((np.full(23, np.nan), median))
    observed = (clock.hours % 86_400) == 0
    cut = clock.cut
    return {
        "timestamp": clock.hours[cut],
        "oracle_rate_eth": oracle[cut],
        "is_observed": observed[cut],
        "market_rate_eth_median24h": np.round(market[cut], 6),
    }


def reserve(clock: Clock, seed: int, name: str, log_price: Array, usd: Array) -> Columns:
    """Daily snapshots of a reserve whose utilisation moves hourly; the indices accrue hour by hour at the hour's rates.

    Supply accrues linearly, debt by the third-order expansion of per-second compounding; rates are APR.
    """
    curve, (mean, sd), (liquidity, borrow), supplied = RESERVES[name]
    rng = stream(seed, f"aave:{name}")
    n = clock.hours.size
    target = np.full(n, mean)
    if name == "usdt":  # rising markets borrow dollars
        target += 0.03 * np.tanh(_trailing(log_price, 168) / 0.10)
    use = _reverting(rng, target, 60.0, sd)
    spike = clock.window("borrow_spike")
    if name in ("usdt", "weth"):
        use[spike] = _reverting(rng, np.full(spike.stop - spike.start, 0.965 if name == "usdt" else 0.955), 12.0, 0.002)
    use = np.clip(use, 0.005, 0.995)
    debt_apr = curve.base + curve.slope1 * np.minimum(use / curve.kink, 1)
    debt_apr += curve.slope2 * np.maximum(use - curve.kink, 0) / (1 - curve.kink)
    supply_apr = debt_apr * use * (1 - curve.reserve_factor)
    dt = 3600 / _YEAR_S
    first = clock.cut.start
    x = debt_apr[first:] * dt
    supply_index = liquidity * np.concatenate(([1.0], np.cumprod(1 + supply_apr[first:] * dt)))
    debt_index = borrow * np.concatenate(([1.0], np.cumprod(1 + x + x**2 / 2 + x**3 / 6)))
    total = supplied * np.exp(_reverting(rng, np.zeros(n), 400.0, 0.12))
    rows = np.arange(0, clock.cut.stop - first, 24)
    at = rows + first
    debt = np.round(total * use, 6)[at]
    total = np.round(total, 6)[at]
    dollar = 1 + 2 * _BP * np.clip(rng.standard_normal(rows.size), -3, 3)
    return {
        "timestamp": clock.hours[at],
        "block_number": block_number(clock.hours[at]).astype(np.float64),
        "supply_apr": np.round(supply_apr[at], 16),
        "variable_borrow_apr": np.round(debt_apr[at], 16),
        "liquidity_index": np.round(supply_index[rows], 16),
        "variable_borrow_index": np.round(debt_index[rows], 16),
        "total_supplied": total,
        "total_variable_debt": debt,
        "utilization": debt / total,
        "oracle_price_usd": np.round(dollar if name == "usdt" else usd[rows], 8),
    }


def block_number(seconds: Array) -> Array:
    """Number of the last block mined at an instant (seconds since the epoch): one every 12 s."""
    return 18_900_000 + (seconds - int(START.timestamp())) // 12


def gas(clock: Clock, seed: int, eth_usd: Array, vol: Array) -> Columns:
    """Hourly gas price in gwei: log-normal around a falling level, a daily rhythm, spikes, busier when prices move.

    Each sample is a block mined before its label, so that it was known then.
    """
    rng = stream(seed, "gas")
    n = clock.hours.size
    progress = np.linspace(0, 1, n)
    level = np.log(28.0) - 2.2 * progress + 0.35 * np.log(vol / vol.mean())
    level += 0.25 * np.sin(((clock.hours // 3600) % 24 - 9) * np.pi / 12)
    level += _reverting(rng, np.zeros(n), 36.0, 0.35) + 0.12 * rng.standard_normal(n)
    spikes = np.where(rng.random(n) < 0.004, rng.exponential(0.9, n), 0.0)
    spike = 0.0
    for i in range(n):
        spike = max(spike * 0.6, spikes[i])
        level[i] += spike
    base = np.clip(np.exp(level), 0.3, 600.0)
    tips = [np.clip(np.exp(mean + 0.4 * rng.standard_normal(n)), 0.01, 20.0) for mean in (-3.0, -0.6, 0.5)]
    tips = list(np.sort(np.round(tips, 2), axis=0))
    base = np.round(base, 2)
    lag = 12 * rng.integers(1, 60, n)
    cut = clock.cut
    return {
        "timestamp": clock.hours[cut],
        "gas_price_gwei": np.round(base + tips[1], 2)[cut],
        "base_fee_gwei": base[cut],
        "priority_fee_p25_gwei": tips[0][cut],
        "priority_fee_p50_gwei": tips[1][cut],
        "priority_fee_p75_gwei": tips[2][cut],
        "block_number": block_number(clock.hours - lag)[cut],
        "sampled_at": (clock.hours - lag)[cut],
        "sample_lag_s": lag[cut],
        "is_fresh": (np.abs(lag) < 1800)[cut],
        "eth_usd": eth_usd,
    }
