"""Which series a book needs, and which files may serve them. Imports `basis.errors` and `basis.kernel.keys` only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from basis.errors import DataError
from basis.kernel.keys import Key, parse_key

#: Liquid staking tokens with a protocol rate: `lst/<symbol lower>.parquet`.
LSTS = ("weETH", "wstETH")
#: Wrapped assets and what they are priced as.
WRAPPED = {"WETH": "ETH"}
STABLE = "USDT"


def is_lst(symbol: str) -> bool:
    """Whether a token is priced by a staking rate and the price of ETH."""
    return symbol in LSTS


def moves_with(symbol: str) -> str:
    """The asset whose price moves a token: ``ETH`` of weETH and WETH."""
    return "ETH" if is_lst(symbol) else WRAPPED.get(symbol, symbol)


@dataclass(slots=True)
class Plan:
    """Series of a book, each once and in the order in which the book names them.

    Attributes
    ----------
    spots : list[str]
        Assets with a spot price (``BTC``, ``ETH``).
    perps : list[Key]
    supplies, debts : list[str]
        Aave assets as the keys name them.
    lsts : list[str]
    usd : bool
        Whether a series of USD per USDT is configured.
    gas : bool
    rewards : list[str]
        Reward tokens of the wallet.
    signals : str
        Name of the signal series; empty where none is configured.
    tested : bool
        Whether a loan can be liquidated inside the hour: what is lent and owed moves with different assets.
    depth : bool
        Whether orders meet volume, impact or a resting price (`Config.depth`).
    """

    spots: list[str] = field(default_factory=list)
    perps: list[Key] = field(default_factory=list)
    supplies: list[str] = field(default_factory=list)
    debts: list[str] = field(default_factory=list)
    lsts: list[str] = field(default_factory=list)
    usd: bool = False
    gas: bool = False
    rewards: list[str] = field(default_factory=list)
    tested: bool = False
    depth: bool = False
    signals: str = ""

    def price(self, symbol: str) -> None:
        """Ask for what the price of a token takes."""
        if is_lst(symbol):
            _once(self.lsts, symbol)
        asset = moves_with(symbol)
        if asset != STABLE:
            _once(self.spots, asset)


def _once(items: list, item: Any) -> None:
    if item not in items:
        items.append(item)


def plan_series(keys: Iterable[str | Key], config: Any) -> Plan:
    """Series that the instruments `keys` need under `config`.

    Raises
    ------
    DataError
        Where a key is malformed.
    """
    plan = Plan(usd=bool(configured(config, "spot/usdtusd")), gas=bool(config.costs.enabled))
    for text in keys:
        try:
            key = parse_key(text)
        except ValueError as error:
            raise DataError(str(error)) from error
        if key.type == "Perp":
            _once(plan.perps, key)
        elif key.type == "aToken":
            _once(plan.supplies, key.symbol)
        elif key.type == "debtToken":
            _once(plan.debts, key.symbol)
        plan.price(key.base)
    if plan.gas or config.share_class == "ETH":
        plan.price("ETH")
    plan.rewards = [symbol for symbol in getattr(config, "distributions", ()) if symbol in plan.spots]
    plan.signals = getattr(config.strategy, "signal_file", None) or ""
    plan.depth = bool(getattr(config, "depth", False))
    plan.tested = bool(plan.debts) and len({moves_with(symbol) for symbol in (*plan.supplies, *plan.debts)}) > 1
    return plan


def configured(config: Any, series: str) -> tuple[str, ...]:
    """Sources that the configuration names for a series, in order; empty where it names none."""
    given = config.data.sources.get(series, ())
    return (given,) if isinstance(given, str) else tuple(given)


def spot_series(config: Any, asset: str) -> tuple[str, tuple[str, ...]]:
    """Series name and sources of an asset's spot price: in USDT, or in WETH where only that is configured.

    Raises
    ------
    DataError
        Where neither is configured; names the key to set.
    """
    names = [f"spot/{asset.lower()}usdt", f"spot/{asset.lower()}weth"]
    for name in names:
        if sources := configured(config, name):
            return name, sources
    raise DataError(
        f"No source for the price of {asset}: set data.sources[{names[0]!r}], for example to [binance, bybit] "
        f"(files spot/<source>_{asset.lower()}usdt.parquet)."
    )


def venue_series(config: Any, kind: str, key: Key) -> tuple[str, tuple[str, ...]]:
    """Series name and sources of a perp's bars or funding; the venue itself where nothing is configured."""
    name = f"{kind}/{key.venue}_{key.symbol.lower()}"
    return name, configured(config, name) or (key.venue,)


def source_paths(series: str, sources: Sequence[str], folder: str = "") -> list[str]:
    """File of each source: ``spot/btcusdt`` from bybit is ``spot/bybit_btcusdt.parquet``; or below another `folder`."""
    kind, name = series.split("/", 1)
    pair = name.rsplit("_", 1)[-1]
    return [f"{folder or kind}/{source}_{pair}.parquet" for source in sources]


def aave_path(symbol: str) -> str:
    """File of an Aave reserve; ETH is there as WETH."""
    return f"aave/{'weth' if symbol == 'ETH' else symbol.lower()}.parquet"


def lst_path(symbol: str) -> str:
    """File of a staking token's rates."""
    return f"lst/{symbol.lower()}.parquet"


def signals_path(name: str) -> str:
    """File of a signal series."""
    return f"signals/{name.removesuffix('.parquet')}.parquet"


def columns_of(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns to read from a file, and those that may be absent."""
    return COLUMNS[path.split("/", 1)[0].removesuffix(FINE)]


GAS_PATH = "gas/ethereum.parquet"

#: Folders with this ending hold five-minute candles, for grids finer than an hour.
FINE = "_5m"

#: Columns read per kind of file, and those that may be absent.
COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "spot": (("open",), ("volume",)),
    "perp": (("open", "high", "low"), ("volume",)),
    "funding": (("funding_rate",), ()),
    "aave": (("supply_apr", "variable_borrow_apr", "liquidity_index", "variable_borrow_index"), ()),
    "lst": (("oracle_rate_eth", "is_observed"), ("market_rate_eth_median24h",)),
    "gas": (("gas_price_gwei",), ("sampled_at",)),
    "signals": (("signal", "confidence", "sd"), ()),
}
