"""Which series a book needs, and which files may serve them.

May import `basis.assets`, `basis.errors`, `basis.kernel.keys` and `basis.series_kinds` only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from basis.assets import load_assets
from basis.errors import DataError
from basis.kernel.keys import GAS_ASSET, QUOTE_ASSET, Key, parse_key
from basis.series_kinds import (
    FEATURES,
    FINE,
    FUNDING,
    GAS,
    LENDING,
    MARK,
    PERP,
    REWARDS,
    SIGNALS,
    SPOT,
    STAKING,
    kind_of,
)

#: Name of the gas series.
GAS_SERIES = f"{GAS}/ethereum"
#: Series of the price of the quote asset in USD.
USD_SERIES = f"{SPOT}/{QUOTE_ASSET.lower()}usd"
#: Ending of a data file.
ENDING = ".parquet"

#: Columns read per kind of series, and those that may be absent.
_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    SPOT: (("open",), ("volume",)),
    PERP: (("open", "high", "low"), ("volume",)),
    MARK: (("open", "high", "low"), ()),
    FUNDING: (("funding_rate",), ("interval",)),
    LENDING: (("supply_apr", "variable_borrow_apr", "liquidity_index", "variable_borrow_index"), ()),
    STAKING: (("oracle_rate_eth", "is_observed"), ("market_rate_eth_median24h",)),
    GAS: (("gas_price_gwei",), ("sampled_at",)),
    SIGNALS: (("signal", "confidence", "sd"), ()),
}

#: Further columns that the checks of a run look at, per kind of series.
_CHECKED: dict[str, tuple[str, ...]] = {
    SPOT: ("high", "low", "close", "quote_volume"),
    PERP: ("close", "quote_volume"),
    LENDING: ("oracle_price_usd",),
    GAS: ("eth_usd",),
}


@dataclass(slots=True)
class NeededSeries:
    """The series of a book, each once and in the order in which the book names them.

    Attributes
    ----------
    spots : list[str]
        Assets with a spot price (``BTC``, ``ETH``).
    traded : list[str]
        Those of them that the book holds at an exchange, where they are traded.
    perps : list[Key]
    supplies, debts : list[Key]
        What is supplied to and borrowed from lending protocols.
    staking_tokens : list[str]
        Liquid staking tokens.
    usd : bool
        Whether a series of USD per USDT is configured.
    gas : bool
    rewards : list[str]
        Reward tokens of the wallet.
    tested : bool
        Whether a loan can be liquidated inside the hour: what is lent and owed moves with different assets.
    depth : bool
        Whether orders meet volume, impact or a resting price (`Config.depth`).
    signals : str
        Name of the signal series; empty where none is configured.
    features : tuple[str, ...]
        Names of files of one's own.
    """

    spots: list[str] = field(default_factory=list)
    traded: list[str] = field(default_factory=list)
    perps: list[Key] = field(default_factory=list)
    supplies: list[Key] = field(default_factory=list)
    debts: list[Key] = field(default_factory=list)
    staking_tokens: list[str] = field(default_factory=list)
    usd: bool = False
    gas: bool = False
    rewards: list[str] = field(default_factory=list)
    tested: bool = False
    depth: bool = False
    signals: str = ""
    features: tuple[str, ...] = ()

    def add_price(self, symbol: str) -> None:
        """Add the series that the price of a token takes."""
        facts = load_assets()
        if facts.is_staking_token(symbol):
            _add(self.staking_tokens, symbol)
        asset = facts.underlying_of(symbol)
        if asset != QUOTE_ASSET:
            _add(self.spots, asset)


def _add(items: list, item: Any) -> None:
    if item not in items:
        items.append(item)


def needed_series(keys: Iterable[str | Key], config: Any) -> NeededSeries:
    """Series that the instruments `keys` need under `config`.

    Raises
    ------
    DataError
        Where a key is malformed.
    """
    needed = NeededSeries(usd=bool(configured(config, USD_SERIES)), gas=bool(config.costs.enabled))
    for text in keys:
        try:
            key = parse_key(text)
        except ValueError as error:
            raise DataError(str(error)) from error
        if key.type == "Perp":
            _add(needed.perps, key)
        elif key.type == "aToken":
            _add(needed.supplies, key)
        elif key.type == "debtToken":
            _add(needed.debts, key)
        elif key.symbol != QUOTE_ASSET and getattr(config.venues.get(key.venue), "kind", "") == "exchange":
            _add(needed.traded, load_assets().underlying_of(key.symbol))
        needed.add_price(key.base)
    if needed.gas or config.share_class == GAS_ASSET:
        needed.add_price(GAS_ASSET)
    needed.rewards = [symbol for symbol in getattr(config, "distributions", ()) if symbol in needed.spots]
    needed.signals = getattr(config.strategy, "signal_file", None) or ""
    needed.features = tuple(name.removesuffix(ENDING) for name in getattr(config.strategy, "features", ()))
    needed.depth = bool(getattr(config, "depth", False))
    underlying = {load_assets().underlying_of(key.symbol) for key in (*needed.supplies, *needed.debts)}
    needed.tested = bool(needed.debts) and len(underlying) > 1
    return needed


def configured(config: Any, series: str) -> tuple[str, ...]:
    """Sources that the configuration names for a series, in order; empty where it names none."""
    given = config.data.sources.get(series, ())
    return (given,) if isinstance(given, str) else tuple(given)


def spot_series(config: Any, asset: str) -> tuple[str, tuple[str, ...]]:
    """Series name and sources of an asset's spot price: in USDT, or in wrapped ether where only that is configured.

    Raises
    ------
    DataError
        Where neither is configured; names the key to set.
    """
    names = [f"{SPOT}/{asset.lower()}{quote}" for quote in (QUOTE_ASSET.lower(), _wrapped_ether())]
    for name in names:
        if sources := configured(config, name):
            return name, sources
    file = f"{SPOT}/<source>_{asset.lower()}{QUOTE_ASSET.lower()}{ENDING}"
    raise DataError(
        f"No source for the price of {asset}: set data.sources[{names[0]!r}], for example to [binance, bybit] "
        f"(files {file})."
    )


def ether_series(asset: str) -> str:
    """Name of the series of an asset's spot price in wrapped ether."""
    return f"{SPOT}/{asset.lower()}{_wrapped_ether()}"


def quoted_in_ether(series: str) -> bool:
    """Whether a spot series is in wrapped ether, as those of reward tokens are."""
    return series.endswith(_wrapped_ether())


def _wrapped_ether() -> str:
    return load_assets().reserve_of(GAS_ASSET).lower()


def venue_series(config: Any, kind: str, key: Key) -> tuple[str, tuple[str, ...]]:
    """Series name and sources of a perp's bars or funding; the venue itself where nothing is configured."""
    name = f"{kind}/{key.venue}_{key.symbol.lower()}"
    return name, configured(config, name) or (key.venue,)


def source_paths(series: str, sources: Sequence[str], folder: str = "") -> list[str]:
    """File of each source: ``spot/btcusdt`` from bybit is ``spot/bybit_btcusdt.parquet``; or below another `folder`."""
    kind, name = series.split("/", 1)
    pair = name.rsplit("_", 1)[-1]
    return [f"{folder or kind}/{source}_{pair}{ENDING}" for source in sources]


def path_of(series: str) -> str:
    """File of a series that has one source."""
    return series + ENDING


def reserve_series(key: Key) -> str:
    """Series of the reserve of a supply or a debt; a protocol holds the wrapper of an asset (ETH is there as WETH).

    Raises
    ------
    DataError
        Where the venue is no lending protocol.
    """
    facts = load_assets()
    if key.venue not in facts.lending_protocols:
        known = ", ".join(facts.lending_protocols)
        raise DataError(f"{key}: {key.venue} is no lending protocol of configs/assets.yaml; it names {known}.")
    return f"{facts.lending_protocols[key.venue].folder}/{facts.reserve_of(key.symbol).lower()}"


def staking_series(symbol: str) -> str:
    """Series of a staking token's rates."""
    return f"{STAKING}/{symbol.lower()}"


def signal_series(name: str) -> str:
    """Series of a signal, which a configuration may name with its ending."""
    return f"{SIGNALS}/{name.removesuffix(ENDING)}"


def feature_series(name: str) -> str:
    """Series of a file of one's own."""
    return f"{FEATURES}/{name}"


def columns_of(path: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Columns to read from a file, those of them that may be absent, and those that only checks look at."""
    kind = kind_of(path.split("/", 1)[0])
    return *_COLUMNS[kind], _CHECKED.get(kind, ())


def is_series(path: str) -> bool:
    """Whether a file is a series of the market, not a table of days or a file of one's own."""
    return path.split("/", 1)[0] not in (REWARDS, FEATURES)


def mark_path(path: str) -> str:
    """File of the mark prices of a perp, beside that of its candles."""
    folder, _, name = path.partition("/")
    return f"{MARK}{folder.removeprefix(PERP)}/{name}"


def fine_folder(series: str) -> str:
    """Folder of the five-minute candles of a series."""
    return series.split("/", 1)[0] + FINE
