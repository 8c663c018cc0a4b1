"""What a data set's columns are called, and what their values can be: the tables behind `basis.market.quality`.

May import: numpy only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

MAX_FUNDING = 0.03  # fraction per interval
MAX_APR = 10.0
MAX_INDEX = 100.0  # a reserve index above this is in another unit (ray, per cent)
MAX_GWEI = 5_000.0
LST_RANGE = (0.5, 3.0)  # ETH per token

PRICES = ("open", "high", "low", "close")
_AAVE = ("supply_apr", "variable_borrow_apr", "liquidity_index", "variable_borrow_index")

# folder -> the columns without which a row says nothing, in their order
MAIN: dict[str, tuple[str, ...]] = {
    "spot": PRICES,
    "spot_5m": PRICES,
    "perp": PRICES,
    "perp_5m": PRICES,
    "funding": ("funding_rate",),
    "aave": _AAVE,
    "lst": ("oracle_rate_eth",),
    "gas": ("gas_price_gwei",),
    "signals": ("signal", "confidence", "sd"),
}

# folder (or folder/series) -> further columns a data set must have, with their arrow types
ALSO: dict[str, dict[str, str]] = {
    "perp": {"volume": "double"},
    "perp_5m": {"volume": "double"},
    "aave": {"oracle_price_usd": "double"},
    "lst": {"is_observed": "bool", "market_rate_eth_median24h": "double"},
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

# folder -> (column, unit, test that a value fails); a test sees finite values only
LIMITS: dict[str, tuple[tuple[str, str, Callable[[Array], Array]], ...]] = {
    **{
        folder: (
            *((c, "a price above 0", lambda v: v <= 0) for c in PRICES),
            *((c, "at least 0", lambda v: v < 0) for c in ("volume", "quote_volume", "trades")),
        )
        for folder in ("spot", "spot_5m", "perp", "perp_5m")
    },
    "funding": (
        ("funding_rate", f"a fraction per interval within ±{MAX_FUNDING}", lambda v: np.abs(v) > MAX_FUNDING),
        ("perp_open", "a price above 0", lambda v: v <= 0),
    ),
    "aave": (
        *((c, f"a fraction per year in [0, {MAX_APR:g}]", lambda v: (v < 0) | (v > MAX_APR)) for c in _AAVE[:2]),
        *((c, f"in (0, {MAX_INDEX:g}]", lambda v: (v <= 0) | (v > MAX_INDEX)) for c in _AAVE[2:]),
        ("oracle_price_usd", "a price above 0", lambda v: v <= 0),
        ("utilization", "a fraction in [0, 1.05]", lambda v: (v < 0) | (v > 1.05)),
    ),
    "lst": tuple(
        (c, f"ETH per token in [{LST_RANGE[0]:g}, {LST_RANGE[1]:g}]", lambda v: (v < LST_RANGE[0]) | (v > LST_RANGE[1]))
        for c in ("oracle_rate_eth", "market_rate_eth_median24h")
    ),
    "gas": (("gas_price_gwei", f"gwei in (0, {MAX_GWEI:g}]", lambda v: (v <= 0) | (v > MAX_GWEI)),),
    "signals": (
        ("signal", "-1, 0 or 1", lambda v: ~np.isin(v, (-1, 0, 1))),
        ("confidence", "in [0, 1]", lambda v: (v < 0) | (v > 1)),
        ("sd", "at least 0", lambda v: v < 0),
    ),
}
