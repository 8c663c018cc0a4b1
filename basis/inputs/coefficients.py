"""From a market to what the loop reads: coefficients per hour and slot, market columns per row (accounting §5).

What does not depend on quantities is computed here once per hour and slot, so that the hour is mostly quantity times
coefficient. Plain numpy over whole columns.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..kernel.keys import GAS_ASSET, QUOTE_ASSET, Key
from ..kernel.layout.codes import NO_LIMIT
from ..kernel.layout.shape import hour_views, market_views
from .slots import Slots

#: ETH per gwei.
GWEI = 1e-9


class MarketLimits(NamedTuple):
    """What orders meet beyond the slippage of their size (accounting §8).

    Attributes
    ----------
    impact : slippage of an order of the whole volume of the hour that ended, in volatilities of that hour
    participation : most of that volume which a run's orders of a row may take, fraction; inf for any
    rests : whether orders rest at the price of the row before for a bar, before they cross the spread
    """

    impact: float = 0.0
    participation: float = np.inf
    rests: bool = False


class Coefficients(NamedTuple):
    """Arrays of a book in a market, see `kernel.layout.inputs`."""

    hours: np.ndarray  # (rows, hour width)
    quotes: np.ndarray  # (rows, market width)


def change(x: np.ndarray) -> np.ndarray:
    """x[t] - x[t-1], and 0 in the first row."""
    d = np.zeros_like(x)
    np.subtract(x[1:], x[:-1], out=d[1:])
    return d


def before(x: np.ndarray) -> np.ndarray:
    """x[t-1], and x[0] in the first row."""
    return np.concatenate((x[:1], x[:-1]))


class MarketPrices:
    """Prices of a market in share class, each computed once.

    Parameters
    ----------
    columns : market columns by the names of `panel.parquet`, each (rows,) float64
    rows : number of rows
    slots : of the book
    valuation : ``market`` or ``oracle``, at which staking tokens are valued
    """

    def __init__(self, columns: Mapping[str, np.ndarray], rows: int, slots: Slots, valuation: str) -> None:
        self.rows, self.slots, self.share_class, self.valuation = rows, slots, slots.share_class, valuation
        self.ones = np.ones(rows)
        # a reward token without a market is worth nothing
        nothing = {f"spot|{key.symbol}": np.zeros(rows) for key in slots.rewards}
        self.columns = {**nothing, **columns}
        self._price: dict[str, np.ndarray] = {}

    def column(self, name: str) -> np.ndarray:
        """A column of the market.

        Raises
        ------
        DataError
            Where there is none.
        """
        try:
            return self.columns[name]
        except KeyError:
            raise DataError(f"The market has no column {name!r}, which the book needs. Add it to the panel.") from None

    def price(self, asset: str) -> np.ndarray:
        """Share class per unit of an asset; USD per USDT cancels, as every price is made through USDT."""
        if asset not in self._price:
            quote = self.ones if asset == QUOTE_ASSET else self.column(f"spot|{asset}")
            in_quote = self.share_class == QUOTE_ASSET
            unit = self.ones if in_quote else self.column(f"spot|{self.share_class}")
            same = asset == self.share_class
            self._price[asset] = self.ones if same else (quote if in_quote else quote / unit)
        return self._price[asset]

    def rates(self, symbol: str) -> tuple[np.ndarray, np.ndarray]:
        """Protocol rate and peg of a token in units of its asset; the peg is market over protocol, 1 at oracle
        valuation."""
        if symbol not in self.slots.staking_tokens:
            return self.ones, self.ones
        oracle = self.column(f"oracle_rate|{symbol}")
        if self.valuation == "oracle":
            return oracle, self.ones
        return oracle, self.column(f"market_rate|{symbol}") / oracle

    def tradable(self, symbol: str) -> np.ndarray:
        """Tradable reference of a token in USDT."""
        asset = self.slots.underlying_of(symbol)
        quote = self.ones if asset == QUOTE_ASSET else self.column(f"spot|{asset}")
        return quote * self.market_rate(symbol) if symbol in self.slots.staking_tokens else quote

    def market_rate(self, symbol: str) -> np.ndarray:
        """Units of its asset per token where it trades.

        It is 0 in rows in which that is not known, and the protocol's rate where no market series is loaded.
        """
        if symbol not in self.slots.staking_tokens:
            return self.ones
        name = f"market_rate|{symbol}"
        if name not in self.columns:
            return self.column(f"oracle_rate|{symbol}")
        return np.nan_to_num(self.columns[name], nan=0.0)

    def price_factors(self, side: str) -> np.ndarray:
        """(collaterals + debts + 1, rows) worth at the hour's ``low`` or ``high`` prices over that at the row's.

        The last is that of a USD. Where all that is lent and owed moves with one asset, prices cancel in every ratio:
        there is nothing to be tested inside the hour, and all are 1. All assets are at their lowest, or their highest,
        together.
        """
        slots = self.slots
        lent = [slots.asset_of(key) for key in (*slots.collateral, *slots.debt)]
        out = np.ones((len(lent) + 1, self.rows))
        if not slots.debt or len(set(lent)) < 2:
            return out
        own = self._factor(slots.share_class, side)
        for j, asset in enumerate(lent):
            out[j] = self._factor(asset, side) / own
        out[-1] = 1.0 / own
        return out

    def _factor(self, asset: str, side: str) -> np.ndarray:
        name = f"spot|{asset}"
        if asset == QUOTE_ASSET or f"{side}|{name}" not in self.columns:
            return self.ones
        worse = np.minimum if side == "low" else np.maximum
        # the hour starts at the last price: its extremes are never on the better side of it
        price = self.column(name)
        extreme = worse(worse(self.column(f"{side}|{name}"), before(price)), price)
        extreme[0] = price[0]
        return extreme / price


def _fill_holding(hour: Any, market: Any, prices: MarketPrices, i: int, key: Key) -> None:
    """Worth and yield of a unit of cash, a token, a collateral or a debt (slot `i`)."""
    slots = prices.slots
    price = prices.price(slots.asset_of(key))
    oracle, peg = prices.rates(key.symbol)
    rated = key.symbol in slots.staking_tokens
    index = prices.ones
    if key.type == "aToken":
        index = prices.column(f"liquidity_index|{key.reserve}")
    elif key.type == "debtToken":
        index = prices.column(f"borrow_index|{key.reserve}")
    unit = index * oracle * peg if rated else index
    sign = -1.0 if key.type == "debtToken" else 1.0
    hour.value[i] = sign * (unit * price)
    hour.unit[i] = sign * unit
    hour.price_pnl[i] = sign * unit * change(price)
    j = i - len(slots.cash)
    if rated:
        hour.staking_pnl[j] = sign * index * change(oracle) * before(peg) * before(price)
        hour.peg_pnl[j] = sign * index * oracle * change(peg) * before(price)
    rate_before = before(oracle) * before(peg) if rated else prices.ones
    if key.type == "aToken":
        c = j - len(slots.token)
        hour.supply_pnl[c] = change(index) * rate_before * before(price)
        hour.oracle_value[c] = index * oracle * price
        market.liquidity_index[:, c] = index
    elif key.type == "debtToken":
        d = j - len(slots.token) - len(slots.collateral)
        hour.borrow_pnl[d] = -change(index) * rate_before * before(price)
        hour.owed_value[d] = index * oracle * price
        market.borrow_index[:, d] = index
    elif j >= 0:
        _fill_token(market, prices, j, key)


def _fill_token(market: Any, prices: MarketPrices, j: int, key: Key) -> None:
    """Where a token trades, and at which prices."""
    slots = prices.slots
    market.spot[:, j] = prices.tradable(key.symbol)
    rewards = {reward.symbol for reward in slots.rewards}
    # what is changed for ether has a price in it
    changed = key.symbol in rewards or (key.symbol == QUOTE_ASSET and key.venue == "wallet" and slots.ether)
    in_ether = market.spot[:, j] / prices.column(f"spot|{GAS_ASSET}") if changed else prices.market_rate(key.symbol)
    market.market_rate[:, j] = in_ether
    market.protocol_rate[:, j] = prices.rates(key.symbol)[0]


def _fill_perp(hour: Any, market: Any, prices: MarketPrices, i: int, key: Key) -> None:
    """Worth of a unit of perp `i` of the grid, what mark and spot earn on it, its funding and its extremes."""
    columns = prices.columns
    cash = prices.price(QUOTE_ASSET)
    mark = prices.column(f"mark|{key}")
    spot = prices.column(f"spot|{key.base}")
    slot = len(prices.slots.keys) - len(prices.slots.perp) + i
    hour.value[slot] = mark * cash
    hour.unit[slot] = 1.0
    hour.price_pnl[slot] = change(spot) * cash + before(mark) * change(cash)
    hour.basis_pnl[i] = change(mark - spot) * cash
    hour.funding[i] = columns.get(f"funding_cash|{key}", 0.0)
    # the hour starts at the last mark: its extremes are never on the better side of it
    hour.high[i] = np.maximum(columns.get(f"high|{key}", mark), before(mark))
    hour.low[i] = np.minimum(columns.get(f"low|{key}", mark), before(mark))
    market.mark[:, i] = mark


def _fill_limits(market: Any, prices: MarketPrices, limits: MarketLimits) -> None:
    """What is to be had in the row's market, by token and perp; a token that no exchange trades is without limit."""
    slots = prices.slots
    market.capacity[:] = NO_LIMIT
    for place, key in enumerate((*slots.token, *slots.perp)):
        is_token = place < len(slots.token)
        if is_token and key.venue in slots.venues:
            _fill_limits_of(market, prices, limits, place, f"spot|{slots.asset_of(key)}")
        elif not is_token and key in slots.held:
            _fill_limits_of(market, prices, limits, place, str(key))


def _fill_limits_of(market: Any, prices: MarketPrices, limits: MarketLimits, place: int, name: str) -> None:
    """The same for one token or perp, whose market columns end with `name`."""
    tokens = len(prices.slots.token)
    price = market.spot[:, place] if place < tokens else market.mark[:, place - tokens]
    if limits.impact > 0.0 or limits.participation < np.inf:
        # a volume that is not known is none
        volume = np.nan_to_num(prices.column(f"volume|{name}"), nan=0.0)
        if limits.participation < np.inf:
            market.capacity[:, place] = limits.participation * volume
        if limits.impact > 0.0:
            volatility = np.nan_to_num(prices.column(f"volatility|{name}"), nan=0.0)
            root = np.sqrt(volume)
            impact = np.divide(limits.impact * volatility, root, out=np.zeros(prices.rows), where=root > 0.0)
            market.impact[:, place] = impact
            # where nothing was traded there is no price for it either
            market.capacity[volume == 0.0, place] = 0.0
    if limits.rests:
        # an order is filled where the market went beyond it; a touch may leave it in the queue
        resting = before(price)
        buys = np.where(prices.column(f"low|{name}") < resting, resting, 0.0)
        sells = np.where(prices.column(f"high|{name}") > resting, resting, 0.0)
        market.resting_buy[1:, place], market.resting_sell[1:, place] = buys[1:], sells[1:]


def _fill_prices(hour: Any, market: Any, prices: MarketPrices) -> None:
    """Prices by asset, of gas, of a USD, and at the extremes of the hour."""
    slots, columns = prices.slots, prices.columns
    for a, asset in enumerate(slots.assets):
        hour.asset_price[a] = prices.price(asset)
    if "gas_price_gwei" in columns:
        market.gas_price[:] = columns["gas_price_gwei"] * GWEI
        market.ether_price[:] = prices.price(GAS_ASSET)
    low, high = prices.price_factors("low"), prices.price_factors("high")
    market.low_factor[:], market.low_usd_factor[:] = low[:-1].T, low[-1]
    market.high_factor[:], market.high_usd_factor[:] = high[:-1].T, high[-1]
    hour.safe_share[0] = 1.0
    lent = len(slots.collateral)
    if slots.debt and lent:
        for factor in (low, high):
            worst = factor[:lent].min(axis=0) / factor[lent:-1].max(axis=0)
            hour.safe_share[0] = np.minimum(hour.safe_share[0], worst)
    # a USD as the lending protocol counts it
    cash = prices.price(QUOTE_ASSET)
    usd = columns.get(f"usd|{QUOTE_ASSET}")
    market.usd[:] = cash if usd is None else cash / usd


def make_coefficients(
    prices: MarketPrices,
    seconds: np.ndarray,
    thresholds: Mapping[str, float | np.ndarray] | None = None,
    limits: MarketLimits | None = None,
) -> Coefficients:
    """Coefficients of accounting §5 for every slot and row; what a rate rule watches, signals and flows are left 0.

    Parameters
    ----------
    prices : of the market
    seconds : (rows,) float64, seconds since the epoch
    thresholds : liquidation threshold by reserve of the collateral (`Key.reserve`), one or (rows,)
    limits : of a book whose markets are limited

    Raises
    ------
    ValueError
        Where the market lacks a column; the message names it.
    """
    slots, shape = prices.slots, prices.slots.shape()
    # one line per coefficient while they are made; one line per hour when the loop reads them
    hours, quotes = np.zeros((shape.hour_width, prices.rows)), np.zeros((shape.market_width, prices.rows))
    hour, market = hour_views(shape, hours), market_views(shape, quotes.T)
    for i, key in enumerate(slots.keys):
        if key.type != "Perp":
            _fill_holding(hour, market, prices, i, key)
    for c, key in enumerate(slots.collateral):
        hour.threshold_value[c] = hour.oracle_value[c] * (thresholds or {}).get(key.reserve, 0.0)
    for i, key in enumerate(slots.perp):
        if key in slots.held:
            _fill_perp(hour, market, prices, i, key)
    _fill_prices(hour, market, prices)
    if slots.limited:
        _fill_limits(market, prices, limits or MarketLimits())
    market.time[:] = seconds
    return Coefficients(np.ascontiguousarray(hours.T), np.ascontiguousarray(quotes.T))


def constants_of(slots: Slots, invested: tuple[int, ...] = ()) -> np.ndarray:
    """(hour end,) the coefficients that never change, in their places behind those that do.

    Parameters
    ----------
    invested : slots that the strategy holds long
    """
    shape = slots.shape()
    row = np.zeros(shape.hour_end)
    hour = hour_views(shape, row)
    hour.is_gross[:] = [slots.asset_of(k) != slots.share_class for k in slots.keys]
    hour.is_invested[list(invested)] = 1.0
    hour.in_asset[:] = [slots.asset_of(k) == a for a in slots.assets for k in slots.keys]
    hour.in_account[:] = [k.venue == a for a in slots.accounts for k in (*slots.collateral, *slots.debt)]
    return row
