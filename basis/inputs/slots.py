"""The slots of a book: its instruments in the kernel's order, with what is known of their assets."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from ..kernel.keys import GAS_ASSET, QUOTE_ASSET, Key, parse_key
from ..kernel.layout.shape import BookCounts, Shape, make_shape


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
    limited : whether tokens and perps trade against the volume of the hour
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
    limited: bool = False

    @property
    def venues(self) -> tuple[str, ...]:
        return tuple(k.venue for k in self.cash)

    @property
    def ether(self) -> bool:
        """Whether the wallet has an ether slot, for which its other tokens are changed."""
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

    @cached_property
    def accounts(self) -> tuple[str, ...]:
        """Lending accounts: the venues of collaterals and debts, each once."""
        return tuple(dict.fromkeys(k.venue for k in (*self.collateral, *self.debt)))

    def shape(self, lanes: int = 1) -> Shape:
        """Shape of the book for a number of lanes."""
        return make_shape(self._counts, lanes)

    @cached_property
    def _counts(self) -> BookCounts:
        return BookCounts(
            venues=len(self.cash),
            tokens=len(self.token),
            collaterals=len(self.collateral),
            debts=len(self.debt),
            markets=len(self.markets),
            assets=len(self.assets),
            accounts=len(self.accounts),
            rewards=len(self.rewards),
            stops=self.stops,
            limited=self.limited,
        )


def make_slots(
    keys: Iterable["str | Key"],
    share_class: str,
    facts: AssetFacts,
    rewards: Iterable[str] = (),
    stops: bool = False,
    limited: bool = False,
) -> Slots:
    """Sort instrument keys into slots; the wallet's share class and the cash of every perp venue are always there.

    Parameters
    ----------
    facts : what is known of assets
    rewards : symbols of the wallet's tokens that are rewards: what their price does is dust P&L, no delta
    stops, limited : see `Slots`

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
        limited=limited,
    )
