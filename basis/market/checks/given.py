"""A panel given in memory is checked as files are: its grid, its columns, and what their values can be.

May import `basis.errors`, `basis.series_kinds`, numpy, and of `basis.market` the panel, the rules and the findings.
"""

import difflib
from collections import OrderedDict

import numpy as np

from basis.errors import DataError
from basis.kernel.keys import GAS_ASSET
from basis.market.checks.finding import Array, count_of, say
from basis.market.panel import Panel, check_grid
from basis.market.quality_rules import LIMITS
from basis.series_kinds import GAS, LENDING, SIGNALS, SPOT, STAKING

#: First word of a column → kind of series and column of it whose limits its values keep.
_LIMITED = {
    **dict.fromkeys(("spot", "usd", "mark", "high", "low"), (SPOT, "open")),
    **dict.fromkeys(("volume", "volatility"), (SPOT, "volume")),
    "liquidity_index": (LENDING, "liquidity_index"), "borrow_index": (LENDING, "variable_borrow_index"),
    **dict.fromkeys(("supply_apr", "supply_apr_mean"), (LENDING, "supply_apr")),
    **dict.fromkeys(("borrow_apr", "borrow_apr_mean"), (LENDING, "variable_borrow_apr")),
    "oracle_rate": (STAKING, "oracle_rate_eth"), "market_rate": (STAKING, "market_rate_eth_median24h"),
    "gas_price_gwei": (GAS, "gas_price_gwei"),
    "signal": (SIGNALS, "signal"), "confidence": (SIGNALS, "confidence"), "sd": (SIGNALS, "sd"),
}  # fmt: skip
#: Those that have no limit but must be finite where they are known; of `feature` anything goes.
_FINITE = ("funding_rate", "funding_cash", "funding_apr", "staking_apr", "staking_week", "reward_rate", "feature")
#: Those that must be known in every row up to the one in which a run has to stop.
_KNOWN = (
    "spot", "usd", "mark", "high", "low", "liquidity_index", "borrow_index", "oracle_rate", "gas_price_gwei",
    "funding_rate", "funding_cash",
)  # fmt: skip
#: Panels that passed, the last few: a sweep runs over the same one many times.
_passed: OrderedDict[tuple[int, ...], tuple] = OrderedDict()
_KEPT = 4


def check_given(panel: Panel, judges: bool = True) -> None:
    """Refuse a panel that no files could have made.

    Parameters
    ----------
    panel : one that was made of files has been checked with them
    judges : whether values that no market can have shown are refused (`data.checks`); the grid always has to be right

    Raises
    ------
    DataError
        For the first thing that is wrong: names the column, the row and the value.
    """
    if panel.files:
        return
    # the arrays cannot be written, but others may have been put in their places
    made_of = (panel.timestamps, *panel.columns.values())
    key = (judges, *map(id, made_of))
    if key in _passed:
        return
    check_grid(panel.timestamps, panel.step_s)
    for name, values in panel.columns.items():
        _check_name(name)
        if values.shape != panel.timestamps.shape:
            raise DataError(f"Panel column {name!r} has shape {values.shape}, the grid {panel.timestamps.shape}.")
        if judges:
            _check_values(panel, name, values)
    _check_settlements(panel)
    _passed[key] = made_of
    while len(_passed) > _KEPT:
        _passed.popitem(last=False)


def _check_name(name: str) -> None:
    measure = name.partition("|")[0]
    if measure in _LIMITED or measure in _FINITE:
        return
    near = difflib.get_close_matches(measure, (*_LIMITED, *_FINITE), 1)
    hint = f" Did you mean {near[0]}{name[len(measure) :]}?" if near else ""
    raise DataError(
        f"Panel column {name!r} is none that a run reads.{hint} Name columns of your own feature|name.column."
    )


def _check_values(panel: Panel, name: str, values: Array) -> None:
    measure, _, key = name.partition("|")
    if measure in _KNOWN:
        before_stop = values[: panel.stop.row] if panel.stop is not None else values
        _refuse(panel, name, before_stop, np.isnan(before_stop), "known in every row")
    if measure == "feature":
        return
    _refuse(panel, name, values, np.isinf(values), "finite")
    kind, column = _LIMITED.get(measure, ("", ""))
    # transactions may be free, and a reward token, which has no perps, is worth nothing before there is a market for it
    has_perps = any(other.startswith("mark|") and other.endswith(f":{key}USDT") for other in panel.columns)
    may_be_nothing = measure == "gas_price_gwei" or (measure == "spot" and key != GAS_ASSET and not has_perps)
    free = (values == 0.0) & may_be_nothing
    for limited, allowed, fails in LIMITS.get(kind, ()):
        if limited == column:
            with np.errstate(invalid="ignore"):
                _refuse(panel, name, values, fails(values) & ~np.isnan(values) & ~free, allowed)
    high = panel.columns.get(f"high|{key}")
    if measure == "low" and high is not None and high.shape == values.shape:
        with np.errstate(invalid="ignore"):
            _refuse(panel, name, values, values > high, f"at most high|{key} of the same row")


def _refuse(panel: Panel, name: str, values: Array, wrong: Array, allowed: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise DataError(
            f"Panel column {name!r} must be {allowed}; not so in {count_of(rows.size, 'row')}, first "
            f"{values[rows[0]]:g} in row {rows[0]} ({say(panel.timestamps[rows[0]])}). Correct it, or set "
            "data.checks=off to run on it as it is."
        )


def _check_settlements(panel: Panel) -> None:
    for key, events in panel.settlements.items():
        if len({np.shape(part) for part in events}) > 1 or np.ndim(events.stamps) != 1:
            raise DataError(f"Panel settlements of {key}: its five arrays must have one length.")
        if (np.diff(events.stamps) < 0).any() or (np.diff(events.rows) < 0).any():
            raise DataError(f"Panel settlements of {key} must be in the order of their stamps and rows.")
        if events.rows.size and not (events.rows[0] >= 0 and events.rows[-1] < len(panel)):
            raise DataError(f"Panel settlements of {key}: a row is outside 0 .. {len(panel) - 1}.")
