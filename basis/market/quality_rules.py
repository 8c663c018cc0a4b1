"""What a data set's columns are called, and what their values can be: the tables behind `basis.market.quality`.

The tables are by kind of series (`basis.series_kinds.kind_of` a folder). May import: `basis.series_kinds`, numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from basis.series_kinds import FUNDING, GAS, LENDING, MARK, PERP, SIGNALS, SPOT, STAKING

Array = np.ndarray[Any, np.dtype[Any]]

# Values beyond these are not extreme but in another unit, or wrong.
MAX_FUNDING = 0.03  # fraction per interval; exchanges cap it near here
MAX_APR = 10.0  # fraction per year; Aave's steepest rate curves end near 3
MAX_INDEX = 100.0  # a reserve's index starts at 1; above this it is in another unit (ray, per cent)
MAX_UTILIZATION = 1.05  # fraction; interest that accrues can carry it a little above 1
MAX_GWEI = 5_000.0  # far above every hour since 2023
LST_RANGE = (0.5, 3.0)  # ETH per token

PRICES = ("open", "high", "low", "close")
_RESERVE = ("supply_apr", "variable_borrow_apr", "liquidity_index", "variable_borrow_index")

# kind -> the columns without which a row says nothing, in their order
MAIN: dict[str, tuple[str, ...]] = {
    SPOT: PRICES,
    PERP: PRICES,
    MARK: ("open", "high", "low"),
    FUNDING: ("funding_rate",),
    LENDING: _RESERVE,
    STAKING: ("oracle_rate_eth",),
    GAS: ("gas_price_gwei",),
    SIGNALS: ("signal", "confidence", "sd"),
}

# kind (or folder/series) -> further columns a data set must have, with their arrow types
ALSO: dict[str, dict[str, str]] = {
    PERP: {"volume": "double"},
    LENDING: {"oracle_price_usd": "double"},
    STAKING: {"is_observed": "bool", "market_rate_eth_median24h": "double"},
    "rewards/eigen_distributions": {
        "period_start": "date32[day]", "period_end": "date32[day]", "eigen_per_eeth_computed": "double"
    },
    "rewards/ethfi_topups": {"payout_date": "date32[day]", "ethfi_per_eeth": "double"},
    "rewards/ethfi_seasons_estimated": {
        "payout_date": "date32[day]", "ethfi_per_eeth_low": "double", "ethfi_per_eeth_high": "double"
    },
    "rewards/eeth_apy_daily": {"base_apy": "double"},
}  # fmt: skip

DAY_COLUMNS = ("period_start", "payout_date")  # what orders the tables that have no timestamp

_BARS: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    *((c, "a price above 0", lambda v: v <= 0) for c in PRICES),
    *((c, "at least 0", lambda v: v < 0) for c in ("volume", "quote_volume", "trades")),
)

# kind -> (column, unit, test that a value fails); a test sees finite values only
LIMITS: dict[str, tuple[tuple[str, str, Callable[[Array], Array]], ...]] = {
    SPOT: _BARS,
    PERP: _BARS,
    MARK: _BARS[:3],
    FUNDING: (
        ("funding_rate", f"a fraction per interval within ±{MAX_FUNDING}", lambda v: np.abs(v) > MAX_FUNDING),
        ("perp_open", "a price above 0", lambda v: v <= 0),
    ),
    LENDING: (
        *((c, f"a fraction per year in [0, {MAX_APR:g}]", lambda v: (v < 0) | (v > MAX_APR)) for c in _RESERVE[:2]),
        *((c, f"in (0, {MAX_INDEX:g}]", lambda v: (v <= 0) | (v > MAX_INDEX)) for c in _RESERVE[2:]),
        ("oracle_price_usd", "a price above 0", lambda v: v <= 0),
        ("utilization", f"a fraction in [0, {MAX_UTILIZATION:g}]", lambda v: (v < 0) | (v > MAX_UTILIZATION)),
    ),
    STAKING: tuple(
        (c, f"ETH per token in [{LST_RANGE[0]:g}, {LST_RANGE[1]:g}]", lambda v: (v < LST_RANGE[0]) | (v > LST_RANGE[1]))
        for c in ("oracle_rate_eth", "market_rate_eth_median24h")
    ),
    GAS: (("gas_price_gwei", f"gwei in (0, {MAX_GWEI:g}]", lambda v: (v <= 0) | (v > MAX_GWEI)),),
    SIGNALS: (
        ("signal", "-1, 0 or 1", lambda v: ~np.isin(v, (-1, 0, 1))),
        ("confidence", "in [0, 1]", lambda v: (v < 0) | (v > 1)),
        ("sd", "at least 0", lambda v: v < 0),
    ),
}
