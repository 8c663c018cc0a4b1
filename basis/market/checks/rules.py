"""The rules that look at one series. Imports numpy, `basis.series_kinds`, `quality_rules` and siblings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from basis.market.checks.finding import Array, Finding, count_of, runs_of, say, when
from basis.market.quality_rules import LIMITS, PRICES
from basis.market.sources.clock import DAY, HOUR, YEAR_365
from basis.series_kinds import FUNDING, GAS, LENDING, MARK, PERP, SIGNALS, SPOT, STAKING

#: Rounding of prices in files, relative.
_ROUNDING = 1e-9
#: A tick that leaves its neighbours by this and comes back, as a logarithm; a market that moves so does not return.
_TICK = 0.10
#: How near the neighbours of such a tick are, as a share of its distance.
_RETURN = 0.2
#: Factor from which on such a tick is no price.
_NO_PRICE = np.log(2.0)
#: Half of the hourly moves beyond this: the column is no price.
_NO_SERIES = 0.2
#: Factor between an extreme and the nearer of open and close from which on it is told.
_WICK = 1.5
#: How far quote volume over volume may lie outside low to high: venues round both.
_VWAP = 1e-3
#: Bars without a trade in a row from which on they are told, and their share of a series.
_QUIET, _QUIET_SHARE = 12, 0.05
#: Fall of a reserve's index, and of a staking rate, from which on it is no such thing.
_INDEX_FALL, _RATE_FALL = 0.01, 0.05
#: A market rate of a staking token this far from the protocol's, fraction: told, and impossible.
_MARKET_OFF, _MARKET_WRONG = 0.10, 0.50
#: Factor between a stated rate and the growth of its index from which on the unit is wrong.
_UNIT_OF_RATE = 20.0
#: Growth a year below which a factor says nothing.
_LEAST_GROWTH = 1e-3
#: Growth within a day from which on an index and a staking rate are of something else, and a fall that is doubtful.
_INDEX_RISE, _RATE_RISE, _RATE_DIP = 0.01, 0.02, 0.01
#: Factor between an open and the next from which on the unit or the asset changes.
_JUMP = 20.0
#: Share of rows above which what single ones may have is told: bars without a high or a low, hours of hardly any gas.
_SOME_ROWS = 0.05
#: Value of an hour's volume above which it is in no base units, in USDT; the largest known are a third of it.
_MOST_TRADED = 5e10
#: Gas price below which it is doubtful, and is another unit, gwei.
_LOW_GAS, _NO_GAS = 0.01, 1e-6
#: Time over which funding is judged, and the shortest window in which it is.
_MONTH, _LEAST_SPAN = 30 * DAY, 10 * DAY
#: Payments of a month, as a rate a year, and of eight hours above which they are doubtful: twice and seven times the
#: largest of BTC and ETH since 2024.
_MOST_A_YEAR, _MOST_PAID = 0.80, 0.0075
#: A payment so many times the next largest is an outlier, if it is this large, among this many.
_OUTLIER, _LEAST_OUTLIER, _FEW = 8.0, 1e-3, 30
#: A typical standard deviation of a bar's return above this is in per cent.
_MOST_SD = 0.2


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one series.

    Attributes
    ----------
    name : its file without the ending, as ``perp/okx_btcusdt``
    kind : kind of the series (`basis.series_kinds.kind_of`)
    stamps : (N,) int64 ns, sorted
    columns : (N,) float64 by name, NaN where null
    step : the commonest distance of the stamps of the whole file, ns
    cap : largest funding rate of its venue, fraction per interval; None: `quality_rules.MAX_FUNDING`
    """

    name: str
    kind: str
    stamps: Array
    columns: dict[str, Array]
    step: int = 0
    cap: float | None = None

    def get(self, name: str) -> Array:
        """A column; NaN where the file has none."""
        found = self.columns.get(name)
        return np.full(self.stamps.size, np.nan) if found is None else found

    def finding(self, kind: str, rows: Array, message: str, impossible: bool = False) -> Finding:
        """A finding of the rows given by index."""
        first = when(self.stamps[rows].min()) if rows.size else None
        return Finding(self.name, kind, first, int(rows.size), message, impossible)


def check_rows(rows: Rows) -> list[Finding]:
    """Everything that one series shows by itself; rows with a hole are passed over."""
    if rows.stamps.size == 0:
        return []
    with np.errstate(all="ignore"):
        found = list(_limits(rows))
        if rows.kind in (SPOT, PERP, MARK):
            found += [*_order(rows), *_ticks(rows), *_jumps(rows), *_clock(rows), *_volumes(rows), *_extremes(rows)]
        elif rows.kind == FUNDING:
            found += _payments(rows)
        elif rows.kind == LENDING:
            found += _reserve(rows)
        elif rows.kind == STAKING:
            found += _staking(rows)
        elif rows.kind == GAS:
            found += _gas(rows)
        elif rows.kind == SIGNALS:
            sd = rows.get("sd")
            known = np.flatnonzero(~np.isnan(sd))
            if known.size and np.median(sd[known]) > _MOST_SD:
                text = f"sd is {np.median(sd[known]):g} in the median bar: it looks like per cent, divide by 100"
                found.append(rows.finding("out_of_range", known, text))
    return found


def _limits(rows: Rows) -> Iterator[Finding]:
    """Values outside what their unit can be."""
    for column, allowed, fails in LIMITS.get(rows.kind, ()):
        values = rows.columns.get(column)
        if values is None:
            continue
        if column == "funding_rate" and rows.cap is not None:
            allowed, bad = (
                f"a fraction per interval within ±{rows.cap:g}, the cap of the venue",
                np.abs(values) > rows.cap,
            )
        else:
            bad = fails(values) & ~np.isnan(values) | np.isinf(values)
        wrong = np.flatnonzero(bad)
        if wrong.size:
            first = values[wrong[0]]
            message = f"{column} must be {allowed}; not so in {count_of(wrong.size, 'row')}, first {first:g}"
            yield rows.finding("out_of_range", wrong, message + _unit(column, first), impossible=True)


def _unit(column: str, value: float) -> str:
    """The unit in which a value outside its range probably is."""
    size = abs(value)
    if column.endswith("_apr") or column in ("funding_rate", "utilization"):
        return "; it looks like per cent: divide by 100" if np.isfinite(value) else ""
    if column.endswith("_index"):
        return "; it looks like ray: divide by 1e27" if size > 1e20 else ""
    if column.endswith("_gwei"):
        return "; it looks like wei: divide by 1e9" if size > 1e6 else ""
    if "rate_eth" in column:
        return (
            "; it looks like wei: divide by 1e18"
            if size > 1e12
            else "; it looks like a price in USD"
            if size > 50
            else ""
        )
    return ""


def _order(rows: Rows) -> Iterator[Finding]:
    """Bars whose open or close lies outside high and low, and columns that are no prices."""
    open_, high, low, close = (rows.get(c) for c in PRICES)
    slack = _ROUNDING * np.abs(open_)
    crossed = low > high + slack
    outside = (np.fmin(open_, close) < low - slack) | (np.fmax(open_, close) > high + slack)
    wrong = np.flatnonzero(crossed | outside)
    if wrong.size:
        row = wrong[0]
        cause = ""
        volume = rows.get("volume")
        if 2 * crossed.sum() > wrong.size:
            cause = "; high and low look swapped"
        elif ((volume >= low - slack) & (volume <= high + slack))[wrong].mean() > 0.5:
            cause = "; open and volume look swapped"
        bar = ", ".join(f"{c} {rows.get(c)[row]:g}" for c in PRICES if c in rows.columns)
        message = f"{count_of(wrong.size, 'bar')} without low <= open, close <= high, first {bar}{cause}"
        yield rows.finding("ohlc", wrong, message, impossible=True)
    known = open_[open_ > 0]
    moves = np.abs(np.diff(np.log(known)))
    if moves.size >= _QUIET and np.median(moves) > _NO_SERIES:
        message = f"open moves by {np.expm1(np.median(moves)):.0%} from bar to bar: it is no price"
        yield rows.finding("no_price", np.flatnonzero(open_ > 0), message, impossible=True)


def _ticks(rows: Rows) -> Iterator[Finding]:
    """Opens that leave both neighbours and come back, and extremes far from their bar."""
    open_ = rows.get("open")
    known = np.flatnonzero(open_ > 0)
    if known.size >= 3:
        price = np.log(open_[known])
        off = np.abs(price[1:-1] - (price[:-2] + price[2:]) / 2)
        back = (off > _TICK) & (np.abs(price[2:] - price[:-2]) < _RETURN * off)
        near = rows.stamps[known[2:]] - rows.stamps[known[:-2]] <= 4 * max(rows.step, 1)
        where = np.flatnonzero(back & near)
        if where.size:
            worst = where[off[where].argmax()]
            row = known[worst + 1]
            message = (
                f"{count_of(where.size, 'open')} that the next one takes back, the most {open_[row]:g} after "
                f"{open_[known[worst]]:g} and before {open_[known[worst + 2]]:g} at {say(rows.stamps[row])}"
            )
            # a token of a thin pool may be bought up and sold again
            wrong = bool(off[worst] > _NO_PRICE) and not rows.name.endswith("weth")
            yield rows.finding("reverting_tick", known[where + 1], message, impossible=wrong)
    high, low = rows.get("high"), rows.get("low")
    body = [rows.get(c) for c in ("open", "close")]
    far = np.flatnonzero((high > _WICK * np.fmax(*body)) | (low * _WICK < np.fmin(*body)))
    if far.size and not rows.name.endswith("weth"):
        row = far[0]
        message = (
            f"{count_of(far.size, 'bar')} with a wick beyond a factor of {_WICK:g}, first high {high[row]:g} and "
            f"low {low[row]:g} at an open of {open_[row]:g}"
        )
        yield rows.finding("wick", far, message)


def _jumps(rows: Rows) -> Iterator[Finding]:
    """Opens that are a multiple of the one before, as where a file changes its unit."""
    open_ = rows.get("open")
    known = np.flatnonzero(open_ > 0)
    moves = np.abs(np.diff(np.log(open_[known])))
    jumped = np.flatnonzero((moves > np.log(_JUMP)) & (np.diff(rows.stamps[known]) <= DAY))
    if jumped.size:
        before, row = known[jumped[0]], known[jumped[0] + 1]
        message = (
            f"open goes from {open_[before]:g} to {open_[row]:g} in one step, and a factor of {_JUMP:g} is no move of "
            "a market: another unit or another asset"
        )
        yield rows.finding("jump", known[jumped + 1], message, impossible=True)


def _extremes(rows: Rows) -> Iterator[Finding]:
    """Bars that have an open, and no high or low."""
    known = ~np.isnan(rows.get("open"))
    for column in ("high", "low"):
        missing = np.flatnonzero(known & np.isnan(rows.get(column)))
        if column in rows.columns and missing.size > _SOME_ROWS * known.sum():
            message = (
                f"{column} is null in {missing.size:,} of {count_of(int(known.sum()), 'bar')} that have an open: "
                "nothing is tested within those bars"
            )
            yield rows.finding("no_extremes", missing, message)


def _payments(rows: Rows) -> Iterator[Finding]:
    """Funding that is larger than it has been: over a month, and in one payment."""
    known = np.flatnonzero(~np.isnan(rows.get("funding_rate")))
    stamps, rates = rows.stamps[known], rows.get("funding_rate")[known]
    if rates.size < 2:
        return
    span = min(int(stamps[-1] - stamps[0]), _MONTH)
    if span >= _LEAST_SPAN:
        a_year = _sum_of(rates, stamps, span) * (YEAR_365 / span)
        full = stamps - stamps[0] >= span - 8 * HOUR
        far = np.flatnonzero(full & (np.abs(a_year) > _MOST_A_YEAR))
        if far.size:
            worst = far[np.abs(a_year[far]).argmax()]
            message = (
                f"the payments of the {span // DAY} days to {say(stamps[worst])} make {a_year[worst]:.0%} a year, and "
                f"more than {_MOST_A_YEAR:.0%} is unusual: a factor, per cent, or payments that are there twice"
            )
            yield rows.finding("funding_level", known[far], message)
    size = np.abs(rates)
    paid = np.abs(_sum_of(rates, stamps, 8 * HOUR - HOUR // 60))  # stamps may be late by seconds
    next_largest = float(np.partition(size, -2)[-2])
    alone = (size > _OUTLIER * next_largest) & (size > _LEAST_OUTLIER) & (size.size >= _FEW)
    far = np.flatnonzero((paid > _MOST_PAID) | alone)
    if far.size:
        row = far[0]
        text = (
            f"{rates[row]:.3%} is paid, {size[row] / next_largest:.3g} times the next largest payment; "
            f"up to {_OUTLIER:g} times is usual"
            if alone[row]
            else f"{paid[row]:.3%} is paid within 8 h, and more than {_MOST_PAID:.2%} is unusual"
        )
        yield rows.finding("payment", known[far], f"{text}: a wrong row or another unit")


def _sum_of(values: Array, stamps: Array, span: int) -> Array:
    """Sum of the values in the time before each stamp, which is of it."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[1:] - total[np.searchsorted(stamps, stamps - span, "right")]


def _gas(rows: Rows) -> Iterator[Finding]:
    """Gas prices that are too small for gwei."""
    price = rows.get("gas_price_gwei")
    low = np.flatnonzero(price < _LOW_GAS)
    if low.size > _SOME_ROWS * (~np.isnan(price)).sum():
        message = (
            f"gas_price_gwei is below {_LOW_GAS:g} in {count_of(low.size, 'row')}, first {price[low[0]]:.3g}, and that "
            "is unusual: it looks like ETH, multiply by 1e9"
        )
        yield rows.finding("gas_unit", low, message, impossible=bool(np.median(price[low]) < _NO_GAS))


def _clock(rows: Rows) -> Iterator[Finding]:
    """Stamps off the clock: a candle begins on a whole minute, five minutes, hour."""
    step = min(rows.step, HOUR)
    off = np.flatnonzero(rows.stamps % step) if step > 0 else np.empty(0, np.int64)
    if not off.size:
        return
    closing = (rows.stamps[off] + HOUR // 3600) % step <= HOUR // 3600
    message = f"{count_of(off.size, 'stamp')} not on the clock"
    if closing.mean() > 0.5:
        message += (
            ": they look like the close of a candle (…:59:59.999), so that each price is used a bar late; "
            "stamp candles by their open"
        )
    yield rows.finding("off_grid", off, message)


def _volumes(rows: Rows) -> Iterator[Finding]:
    """Quote volume over volume outside the bar, and stretches without a trade."""
    high, low, volume, quote = (rows.get(c) for c in ("high", "low", "volume", "quote_volume"))
    mean = quote / volume
    off = (volume > 0) & (quote > 0) & ((mean < low * (1 - _VWAP)) | (mean > high * (1 + _VWAP)))
    wrong = np.flatnonzero(off)
    if wrong.size:
        factor = float(np.median(mean[wrong] / rows.get("open")[wrong]))
        power = float(np.log10(factor)) if factor > 0 else 0.0
        unit = abs(power) > 0.5 and abs(power - round(power)) < 0.02
        cause = f"; volume looks like units of {factor:.4g} (contracts, wei)" if unit else ""
        message = (
            f"quote_volume / volume lies outside low to high in {count_of(wrong.size, 'bar')}, first "
            f"{mean[wrong[0]]:g} at an open of {rows.get('open')[wrong[0]]:g}{cause}"
        )
        yield rows.finding("vwap", wrong, message)
    worth = volume * rows.get("open") * (HOUR / max(rows.step, 1))
    much = np.flatnonzero(worth > _MOST_TRADED)
    if much.size:
        message = (
            f"volume times open is {worth[much[0]]:.3g} USDT an hour ({volume[much[0]]:g} at "
            f"{rows.get('open')[much[0]]:g}), and more than {_MOST_TRADED:g} is unusual: volume looks like contracts "
            "or quote units"
        )
        yield rows.finding("volume_unit", much, message)
    traded = volume if "volume" in rows.columns else quote
    still = (traded == 0) & ~(high > low)
    if not (traded > 0).any():
        return
    runs = runs_of(still)
    longest = max(runs, key=lambda run: run[1], default=(0, 0))
    if longest[1] >= _QUIET or still.sum() > max(_QUIET_SHARE * still.size, 1):
        message = (
            f"{count_of(int(still.sum()), 'flat bar')} without a trade, longest {longest[1]} "
            f"from {say(rows.stamps[longest[0]])}"
        )
        yield rows.finding("flat", np.flatnonzero(still), message)


def _reserve(rows: Rows) -> Iterator[Finding]:
    """Indices that fall, and rates that are not the growth of their index."""
    for column, rate in (("liquidity_index", "supply_apr"), ("variable_borrow_index", "variable_borrow_apr")):
        index, apr = rows.get(column), rows.get(rate)
        known = np.flatnonzero(~(np.isnan(index) | np.isnan(apr)))
        if known.size < 2:
            continue
        growth = index[known][1:] / index[known][:-1] - 1
        fell = np.flatnonzero(growth < -_INDEX_FALL)
        if fell.size:
            row = known[fell[0]]
            message = (
                f"{column} falls in {count_of(fell.size, 'row')}, first from {index[row]:g} by {-growth[fell[0]]:.1%}"
            )
            yield rows.finding("index_falls", known[fell + 1], message, impossible=True)
            continue
        day, before = _in_a_day(rows.stamps[known], index[known])
        moved = np.flatnonzero((day > _INDEX_RISE) | (day < -_INDEX_FALL))
        if moved.size:
            first = moved[0]
            message = (
                f"{column} changes by {day[first]:+.1%} within a day, {before[first]:g} to {index[known][first]:g}, "
                f"and {_INDEX_RISE:.0%} is more than any reserve earns: it looks like the index of another reserve"
            )
            yield rows.finding("index_jumps", known[moved], message, impossible=True)
            continue
        a_year = float(np.median(growth * (YEAR_365 / np.diff(rows.stamps[known]))))
        stated = float(np.median(apr[known]))
        if known.size >= 5 and a_year > _LEAST_GROWTH and not 1 / _UNIT_OF_RATE < stated / a_year < _UNIT_OF_RATE:
            cause = "; it looks like per cent: divide by 100" if 50 < stated / a_year < 200 else ""
            message = f"{rate} is {stated:g} in the median row, but {column} grows by {a_year:.4g} a year{cause}"
            yield rows.finding("rate_and_index", known, message, impossible=True)


def _staking(rows: Rows) -> Iterator[Finding]:
    """Rates that fall as no protocol pays out, and markets far from them."""
    oracle, market = rows.get("oracle_rate_eth"), rows.get("market_rate_eth_median24h")
    for column, values, impossible in (("oracle_rate_eth", oracle, True), ("market_rate_eth_median24h", market, False)):
        known = np.flatnonzero(~np.isnan(values))
        change = values[known][1:] / values[known][:-1] - 1
        fell = np.flatnonzero(change <= -_RATE_FALL)
        if fell.size:
            before, row = known[fell[0]], known[fell[0] + 1]
            fall = f"{-change[fell[0]]:.0%} from one row to the next, {values[before]:g} to {values[row]:g}"
            message = f"{column} falls by {fall}"
            yield rows.finding("rate_falls", known[fell + 1], message, impossible)
    yield from _staking_day(rows, oracle)
    off = np.abs(market / oracle - 1)
    far = np.flatnonzero(off > _MARKET_OFF)
    if far.size:
        worst = far[off[far].argmax()]
        message = (
            f"the market rate is more than {_MARKET_OFF:.0%} from the protocol's in {count_of(far.size, 'row')}, worst "
            f"{market[worst]:g} against {oracle[worst]:g} at {say(rows.stamps[worst])}"
        )
        yield rows.finding("market_rate", far, message, impossible=bool(off[worst] > _MARKET_WRONG))


def _staking_day(rows: Rows, oracle: Array) -> Iterator[Finding]:
    """Protocol rates that change within a day as none does; falls in one step are told elsewhere."""
    known = np.flatnonzero(~np.isnan(oracle))
    day, before = _in_a_day(rows.stamps[known], oracle[known])
    fell_at_once = bool((oracle[known][1:] / oracle[known][:-1] - 1 <= -_RATE_FALL).any())
    moved = np.flatnonzero((day > _RATE_RISE) | ((day < -_RATE_DIP) & (not fell_at_once)))
    if moved.size:
        first = moved[0]
        message = (
            f"oracle_rate_eth changes by {day[first]:+.1%} within a day, {before[first]:g} to "
            f"{oracle[known][first]:g}, and +{_RATE_RISE:.0%} is more than any protocol pays, -{_RATE_DIP:.0%} more "
            "than any has lost: it looks like the rate of another token"
        )
        impossible = bool(day[moved].max() > _RATE_RISE or day[moved].min() <= -_RATE_FALL)
        yield rows.finding("rate_jumps", known[moved], message, impossible)


def _in_a_day(stamps: Array, values: Array) -> tuple[Array, Array]:
    """Growth of each value within a day, and the value that it grew from; over a longer hole, the growth per day."""
    rows = np.arange(stamps.size)
    first = np.minimum(np.searchsorted(stamps, stamps - DAY, "left"), np.maximum(rows - 1, 0))
    days = np.maximum((stamps - stamps[first]) / DAY, 1.0)
    return (values / values[first]) ** (1.0 / days) - 1.0, values[first]


def untraded_tail(stamps: Array, columns: dict[str, Array]) -> int | None:
    """Stamp (ns) of the first of the bars without a trade that end a series; None where it trades to its end."""
    volume, high, low = (columns.get(c) for c in ("volume", "high", "low"))
    if volume is None or volume.size == 0:
        return None
    still = (volume == 0) & (True if high is None or low is None else ~(high > low))
    traded = np.flatnonzero(~still & (volume > 0))
    if not traded.size or not still[traded[-1] + 1 :].all() or volume.size - 1 - traded[-1] < _QUIET:
        return None
    return int(stamps[traded[-1] + 1])
