"""From a book and a market to what the loop reads: slots of the keys, coefficients per hour and slot (accounting §5).

What does not depend on the quantities is computed here once per hour and slot, so that the hour is mostly quantity
times coefficient. Plain numpy over whole columns; imports only the kernel's own `layout` and `keys`, and is given the
facts about assets (`AssetFacts`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from . import layout as at
from .keys import GAS_ASSET, QUOTE_ASSET, Key, parse_key

#: ETH per gwei.
_GWEI = 1e-9


class AssetFacts(Protocol):
    """What a book has to know of its tokens; `basis.assets.Assets` says it."""

    def underlying_of(self, symbol: str) -> str:
        """The asset whose price moves a token: ``ETH`` of weETH, WETH and ETH."""
        ...

    def is_staking_token(self, symbol: str) -> bool:
        """Whether a token is worth its underlying times a rate of its protocol."""
        ...


@dataclass(frozen=True)
class Slots:
    """The slots of a book, in the kernel's order ``cash | token | collateral | debt | perp``.

    Attributes
    ----------
    share_class : numeraire, ``USDT`` or ``ETH``
    cash, token, collateral, debt : keys by kind
    venues : venue names, one per cash slot
    markets : perp symbols; the perps are the grid venues x markets
    assets : priced assets other than the share class and rewards, in the order of the deltas
    held : the perps of the grid that the book really has
    underlying : (token, asset whose price moves it) of every token of the book
    staking_tokens : tokens of the book that are worth their underlying times a rate of their protocol
    rewards : reward tokens of the wallet, the last of the tokens
    stops : whether its perps have stops and take-profits, and its hours a signal
    depth : whether tokens and perps trade against the volume of the hour
    """

    share_class: str
    cash: tuple[Key, ...]
    token: tuple[Key, ...]
    collateral: tuple[Key, ...]
    debt: tuple[Key, ...]
    markets: tuple[str, ...]
    assets: tuple[str, ...]
    held: frozenset[Key]
    underlying: tuple[tuple[str, str], ...]
    staking_tokens: frozenset[str]
    rewards: tuple[Key, ...] = ()
    stops: bool = False
    depth: bool = False

    @property
    def venues(self) -> tuple[str, ...]:
        return tuple(k.venue for k in self.cash)

    @property
    def ether(self) -> bool:
        """Whether ether stands in the wallet, for which its other tokens are changed."""
        return Key("wallet", "BaseToken", GAS_ASSET) in self.token

    @property
    def perp(self) -> tuple[Key, ...]:
        """The whole grid; a venue that does not trade a market has a slot that stays empty."""
        return tuple(Key(v, "Perp", m) for v in self.venues for m in self.markets)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Key of every slot, in order."""
        return self.cash + self.token + self.collateral + self.debt + self.perp

    def underlying_of(self, symbol: str) -> str:
        """The asset whose price moves a token of the book."""
        return dict(self.underlying)[symbol]

    def asset_of(self, key: Key) -> str:
        """The priced asset of an instrument: ``ETH`` of weETH, WETH and ETHUSDT."""
        return self.underlying_of(key.base)

    def index(self, key: "str | Key") -> int:
        """Slot of a key, -1 where the book has none."""
        key = parse_key(key)
        return self.keys.index(key) if key in self.keys else -1

    def shape(self, lanes: int = 1) -> at.Shape:
        return at.make_shape(
            lanes,
            len(self.cash),
            len(self.token),
            len(self.collateral),
            len(self.debt),
            len(self.markets),
            len(self.assets),
            len(self.rewards),
            self.stops,
            self.depth,
        )


def make_slots(
    keys: Iterable["str | Key"],
    share_class: str,
    facts: AssetFacts,
    rewards: Iterable[str] = (),
    stops: bool = False,
    depth: bool = False,
) -> Slots:
    """Sort instrument keys into slots; the wallet's share class and the cash of every perp venue are always there.

    Parameters
    ----------
    facts : what is known of assets
    rewards : symbols of the wallet's tokens that are rewards: what their price does is dust P&L, no delta
    stops, depth : see `Slots`

    Raises
    ------
    ValueError
        For a malformed key.
    """
    parsed = list(dict.fromkeys(parse_key(k) for k in keys))
    perps = [k for k in parsed if k.type == "Perp"]
    venues = list(dict.fromkeys(k.venue for k in perps))
    for k in parsed:
        # a venue that trades spot settles in its own cash, too
        if k.type == "BaseToken" and k.venue not in ("wallet", *venues):
            venues.append(k.venue)
    cash = tuple(Key(v, "BaseToken", QUOTE_ASSET) for v in venues)
    wallet = Key("wallet", "BaseToken", share_class)
    tokens = [k for k in parsed if k.type == "BaseToken" and k not in cash]
    symbols = set(rewards)
    paid = tuple(k for k in tokens if k.venue == "wallet" and k.symbol in symbols)
    token = (*((wallet,) if wallet not in tokens else ()), *(k for k in tokens if k not in paid), *paid)
    collateral = tuple(k for k in parsed if k.type == "aToken")
    debt = tuple(k for k in parsed if k.type == "debtToken")
    markets = tuple(dict.fromkeys(k.symbol for k in perps))
    every = (*cash, *token, *collateral, *debt, *perps)
    underlying = {k.base: facts.underlying_of(k.base) for k in every}
    priced = [underlying[k.base] for k in every if k not in paid]
    return Slots(
        share_class,
        cash,
        token,
        collateral,
        debt,
        markets,
        assets=tuple(dict.fromkeys(a for a in priced if a != share_class)),
        held=frozenset(perps),
        underlying=tuple(underlying.items()),
        staking_tokens=frozenset(filter(facts.is_staking_token, underlying)),
        rewards=paid,
        stops=stops,
        depth=depth,
    )


class Depth(NamedTuple):
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
    """Per-hour arrays of a book in a market."""

    hours: np.ndarray  # (rows, width)
    quotes: np.ndarray  # (rows, quote width)


def _change(x: np.ndarray) -> np.ndarray:
    """x[t] - x[t-1], and 0 in the first row."""
    d = np.zeros_like(x)
    np.subtract(x[1:], x[:-1], out=d[1:])
    return d


def _before(x: np.ndarray) -> np.ndarray:
    """x[t-1], and x[0] in the first row."""
    return np.concatenate((x[:1], x[:-1]))


class _Market:
    """Prices of a market in share class, each computed once."""

    def __init__(self, columns: Mapping[str, np.ndarray], rows: int, slots: Slots, valuation: str):
        self.rows, self.slots, self.share_class, self.valuation = rows, slots, slots.share_class, valuation
        self.ones = np.ones(rows)
        # a reward token without a market is worth nothing
        nothing = {f"spot|{key.symbol}": np.zeros(rows) for key in slots.rewards}
        self.columns = {**nothing, **columns}
        self._price: dict[str, np.ndarray] = {}

    def column(self, name: str) -> np.ndarray:
        try:
            return self.columns[name]
        except KeyError:
            raise ValueError(f"The market has no column {name!r}, which the book needs.") from None

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
        """Protocol rate and peg (market over protocol; 1 at oracle valuation) of a token in units of its asset."""
        if symbol not in self.slots.staking_tokens:
            return self.ones, self.ones
        oracle = self.column(f"oracle_rate|{symbol}")
        if self.valuation == "oracle":
            return oracle, self.ones
        return oracle, self.column(f"market_rate|{symbol}") / oracle

    def shocks(self, slots: Slots) -> np.ndarray:
        """(2, collaterals + debts + 1, rows) worth at the lowest and highest prices of the hour over that at the row's.

        The last is that of a USD. Where all that is lent and owed moves with one asset, prices cancel in every ratio:
        there is nothing to be tested inside the hour, and all are 1. All assets are at their lowest, or their highest,
        together.
        """
        lent = [slots.asset_of(key) for key in (*slots.collateral, *slots.debt)]
        out = np.ones((2, len(lent) + 1, self.rows))
        if not slots.debt or len(set(lent)) < 2:
            return out
        for scene, side, worse in ((0, "low", np.minimum), (1, "high", np.maximum)):

            def factor(asset: str, side=side, worse=worse) -> np.ndarray:
                name = f"spot|{asset}"
                if asset == QUOTE_ASSET or f"{side}|{name}" not in self.columns:
                    return self.ones
                # the hour starts at the last price: its extremes are never on the better side of it
                price = self.column(name)
                extreme = worse(worse(self.column(f"{side}|{name}"), _before(price)), price)
                extreme[0] = price[0]
                return extreme / price

            own = factor(self.share_class)
            for j, asset in enumerate(lent):
                out[scene, j] = factor(asset) / own
            out[scene, -1] = 1.0 / own
        return out

    def traded(self, symbol: str) -> np.ndarray:
        """Tradable reference of a token in USDT."""
        asset = self.slots.underlying_of(symbol)
        quote = self.ones if asset == QUOTE_ASSET else self.column(f"spot|{asset}")
        return quote * self.traded_rate(symbol) if symbol in self.slots.staking_tokens else quote

    def traded_rate(self, symbol: str) -> np.ndarray:
        """Units of its asset per token where it trades, 0 in rows in which that is not known; its protocol's rate where
        no market series is loaded."""
        if symbol not in self.slots.staking_tokens:
            return self.ones
        name = f"market_rate|{symbol}"
        if name not in self.columns:
            return self.column(f"oracle_rate|{symbol}")
        return np.nan_to_num(self.columns[name], nan=0.0)


def _fill_depth(q: at.Quote, slots: Slots, market: _Market, depth: Depth) -> None:
    """What is to be had in the row's market, by token and perp; a token that no exchange trades is without limit."""
    q.room[:] = at.NO_LIMIT
    traded = [(i, f"spot|{slots.asset_of(k)}", q.spot[i]) for i, k in enumerate(slots.token) if k.venue in slots.venues]
    traded += [(len(slots.token) + i, str(k), q.mark[i]) for i, k in enumerate(slots.perp) if k in slots.held]
    for place, name, price in traded:
        if depth.impact > 0.0 or depth.participation < np.inf:
            # a volume that is not known is none
            volume = np.nan_to_num(market.column(f"volume|{name}"), nan=0.0)
            if depth.participation < np.inf:
                q.room[place] = depth.participation * volume
            if depth.impact > 0.0:
                volatility = np.nan_to_num(market.column(f"volatility|{name}"), nan=0.0)
                root = np.sqrt(volume)
                q.impact[place] = np.divide(
                    depth.impact * volatility, root, out=np.zeros(market.rows), where=root > 0.0
                )
                # where nothing was traded there is no price for it either
                q.room[place, volume == 0.0] = 0.0
        if depth.rests:
            # it is filled where the market went beyond it; a touch may leave it in the queue
            limit = _before(price)
            q.buy[place, 1:] = np.where(market.column(f"low|{name}") < limit, limit, 0.0)[1:]
            q.sell[place, 1:] = np.where(market.column(f"high|{name}") > limit, limit, 0.0)[1:]


def _fill_holding(h: at.Hour, q: at.Quote, market: _Market, i: int, thresholds: Mapping[str, Any]) -> None:
    """Coefficients of slot `i`, which holds cash, a token, a supply or a debt."""
    slots, key = market.slots, market.slots.keys[i]
    price = market.price(slots.asset_of(key))
    oracle, peg = market.rates(key.symbol)
    rated = key.symbol in slots.staking_tokens
    token = i - len(slots.cash)
    index = market.ones
    if key.type == "aToken":
        index = market.column(f"liquidity_index|{key.reserve}")
    elif key.type == "debtToken":
        index = market.column(f"borrow_index|{key.reserve}")
    unit = index * oracle * peg if rated else index
    worth = unit * price
    sign = -1.0 if key.type == "debtToken" else 1.0
    h.value[i] = sign * worth
    h.unit[i] = sign * unit
    h.price[i] = sign * unit * _change(price)
    rate_before = _before(oracle) * _before(peg) if rated else market.ones
    if key.type == "aToken":
        c = token - len(slots.token)
        h.supply[c] = _change(index) * rate_before * _before(price)
        h.oracle[c] = index * oracle * price
        h.threshold[c] = h.oracle[c] * thresholds.get(key.reserve, 0.0)
        q.index[c] = index
    if key.type == "debtToken":
        d = token - len(slots.token) - len(slots.collateral)
        q.debt_index[d] = index
        h.borrow[d] = -_change(index) * rate_before * _before(price)
        h.owed[d] = index * oracle * price
    if rated:
        h.staking[token] = sign * index * _change(oracle) * _before(peg) * _before(price)
        h.peg[token] = sign * index * oracle * _change(peg) * _before(price)
    if key.type == "BaseToken" and token >= 0:
        q.spot[token] = market.traded(key.symbol)
        # The market rate of what is changed for ether is its price in ether.
        swapped = key.symbol == QUOTE_ASSET and key.venue == "wallet" and slots.ether
        if swapped or key.symbol in {reward.symbol for reward in slots.rewards}:
            q.market[token] = q.spot[token] / market.column(f"spot|{GAS_ASSET}")
        else:
            q.market[token] = market.traded_rate(key.symbol)
        q.rate[token] = oracle


def _fill_perp(h: at.Hour, q: at.Quote, market: _Market, i: int) -> None:
    """Coefficients of perp `i` of the grid."""
    slots, key, cash = market.slots, market.slots.perp[i], market.price(QUOTE_ASSET)
    mark = market.column(f"mark|{key}")
    spot = market.column(f"spot|{key.base}")
    slot = len(slots.keys) - len(slots.perp) + i
    h.value[slot] = mark * cash
    h.unit[slot] = 1.0
    h.price[slot] = _change(spot) * cash + _before(mark) * _change(cash)
    h.basis[i] = _change(mark - spot) * cash
    h.funding[i] = market.columns.get(f"funding_cash|{key}", 0.0)
    # The hour starts at the last mark, so its extremes are never on the better side of it.
    h.high[i] = np.maximum(market.columns.get(f"high|{key}", mark), _before(mark))
    h.low[i] = np.minimum(market.columns.get(f"low|{key}", mark), _before(mark))
    q.mark[i] = mark


def make_coefficients(
    slots: Slots,
    columns: Mapping[str, np.ndarray],
    seconds: np.ndarray,
    valuation: str,
    thresholds: Mapping[str, float | np.ndarray] | None = None,
    rate: np.ndarray | None = None,
    flows: np.ndarray | None = None,
    depth: Depth | None = None,
) -> Coefficients:
    """Coefficients of accounting §5 for every slot and row.

    Parameters
    ----------
    slots : book
    columns : market columns by the names of `panel.parquet`, each (rows,) float64
    seconds : (rows,) float64, seconds since the epoch
    valuation : ``market`` or ``oracle``, at which LSTs are valued
    thresholds : liquidation threshold by reserve of the collateral (`Key.reserve`), one or (rows,)
    rate : (rows,) the carry rate a rate rule watches, annualised; zeros where there is none
    flows : (rows, 2) deposit of the row, number of withdrawals asked so far
    depth : of a book with depth

    Raises
    ------
    ValueError
        Where the market lacks a column; the message names it.
    """
    rows = len(seconds)
    n = slots.shape()
    market = _Market(columns, rows, slots, valuation)
    # one line per coefficient while they are made; one line per hour when the loop reads them
    hours, quotes = np.zeros((at.width(n), rows)), np.zeros((at.quote_width(n), rows))
    h, q = at.hour_of(n, hours), at.quote_of(n, quotes)
    for i, key in enumerate(slots.keys):
        if key.type != "Perp":
            _fill_holding(h, q, market, i, thresholds or {})
    for i, key in enumerate(slots.perp):
        if key in slots.held:
            _fill_perp(h, q, market, i)
    for a, asset in enumerate(slots.assets):
        h.asset[a] = market.price(asset)
    if rate is not None:
        h.rate[0] = rate
    if "gas_price_gwei" in columns:
        q.gas[0] = columns["gas_price_gwei"] * _GWEI
        q.gas[1] = market.price(GAS_ASSET)
    if flows is not None:
        q.flow[:] = flows.T
    down, up = market.shocks(slots)
    q.down[:], q.up[:] = down, up
    lent = len(slots.collateral)
    h.thin[0] = 1.0
    if slots.debt and lent:
        for scene in (down, up):
            h.thin[0] = np.minimum(h.thin[0], scene[:lent].min(axis=0) / scene[lent:-1].max(axis=0))
    if slots.depth:
        _fill_depth(q, slots, market, depth or Depth())
    # USD as the lending protocol counts it
    cash, usd = market.price(QUOTE_ASSET), columns.get(f"usd|{QUOTE_ASSET}")
    q.usd[0] = cash if usd is None else cash / usd
    q.time[0] = seconds
    return Coefficients(np.ascontiguousarray(hours.T), np.ascontiguousarray(quotes.T))
