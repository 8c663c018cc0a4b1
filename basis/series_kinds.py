"""The kinds of series of a data set: their folders, and how long a value of each may be carried.

A series is named ``<kind>/<name>``, as ``perp/okx_btcusdt``; the kind is the folder of its file. Each lending protocol
has a folder of its own (`configs/assets.yaml`). Leaf module: it may import `basis.assets` only.
"""

from datetime import timedelta

from basis.assets import load_assets

SPOT, PERP, FUNDING, STAKING, GAS = "spot", "perp", "funding", "lst", "gas"
REWARDS, SIGNALS, FEATURES = "rewards", "signals", "features"
#: Mark prices of perps, where they are apart from the last price.
MARK = "mark"
#: Kind that stands for every lending folder where all of them are meant.
LENDING = "lending"
#: Folders with this ending hold five-minute candles, for grids finer than an hour.
FINE = "_5m"

#: Limit of what has no limit of its own: prices and signals.
PRICE_LIMIT = "price"
#: Prices are candles of an hour: three of them may be missing.
_PRICE_STALENESS = timedelta(hours=3)
#: Reserves and staking rates are observed once a day: an observation may be half a day late.
_DAILY_STALENESS = timedelta(hours=36)
#: Gas only sets a cost: that of yesterday is near enough.
_GAS_STALENESS = timedelta(hours=24)

#: Features of one's own are known once a day, or more often: an observation may be half a day late.
_FEATURE_STALENESS = timedelta(hours=36)

#: First word of a panel column → kind of the series behind it; columns that are not named here are prices.
_KIND_OF_MEASURE = {
    "liquidity_index": LENDING,
    "borrow_index": LENDING,
    "supply_apr": LENDING,
    "borrow_apr": LENDING,
    "oracle_rate": STAKING,
    "market_rate": STAKING,
    "gas_price_gwei": GAS,
    "feature": FEATURES,
}


def kinds() -> tuple[str, ...]:
    """Every kind of series that a configuration may name."""
    return (SPOT, PERP, FUNDING, *load_assets().lending_folders(), STAKING, GAS, REWARDS, SIGNALS, FEATURES)


def folders() -> tuple[str, ...]:
    """Every folder of a data set, in the order of a listing."""
    fine = (SPOT, SPOT + FINE, PERP, PERP + FINE, MARK, MARK + FINE)
    return (*fine, *(kind for kind in kinds() if kind not in fine))


def kind_of(folder: str) -> str:
    """Kind of the series in a folder: ``spot`` of ``spot_5m``, `LENDING` of the folder of a lending protocol."""
    return LENDING if folder in load_assets().lending_folders() else folder.removesuffix(FINE)


def default_staleness() -> dict[str, timedelta]:
    """How long a value may be carried where the configuration does not say, by the name of the limit."""
    daily = (*load_assets().lending_folders(), STAKING)
    limits = {PRICE_LIMIT: _PRICE_STALENESS, **dict.fromkeys(daily, _DAILY_STALENESS), GAS: _GAS_STALENESS}
    return {**limits, FEATURES: _FEATURE_STALENESS}


def limit_of_series(series: str) -> str:
    """Name of the limit of a series: its kind, where that has one."""
    kind = series.partition("/")[0]
    return kind if kind in default_staleness() else PRICE_LIMIT


def limit_of_column(column: str) -> str:
    """Name of the limit of the series behind a column of the panel, as ``liquidity_index|aave_v3:USDT``."""
    measure, _, rest = column.partition("|")
    kind = _KIND_OF_MEASURE.get(measure, PRICE_LIMIT)
    return load_assets().lending_protocols[rest.partition(":")[0]].folder if kind == LENDING else kind
