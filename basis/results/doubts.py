"""What of a run most deserves doubt: stand-ins, assumptions that carry the result, size against the market.

Each doubt is weighed by the share of what was earned that rests on it. Imports numpy and what the layers below have.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from basis.kernel.keys import parse_key
from basis.results.stats import COSTS
from basis.results.table import Table

#: Doubts that are named.
MOST = 3
#: Share of an hour's volume that can hardly be traded at the prices of the data.
_LARGE_SHARE = 0.1
#: A run of fewer days says little about a year, and how much of it is in doubt then.
_FEW_DAYS, _SHORT = 90, 0.5
#: What a pool of unknown size, and marks that are the candles' own, put in doubt.
_UNKNOWN_POOL, _CANDLE_MARKS = 0.1, 0.02
#: Size is named before the marks, however small it is.
_LEAST_SIZE = 0.03
_ASSUMED = "assumption"
#: What is earned by holding, and the share of it from which gas is warned of.
_CARRY = ("funding_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl")
_GAS_SHARE = 0.1
#: What was earned or carried counts as nothing below this share of the mean equity.
_NOTHING = 1e-6


class Doubt(NamedTuple):
    """A sentence, and the share of what was earned that it puts in doubt."""

    weight: float
    text: str


def doubts(
    config: Any, summary: Mapping[str, Any], manifest: Mapping[str, Any], table: Callable[[str], Table]
) -> list[str]:
    """The three things that most deserve doubt in a run, the gravest first, one sentence each.

    Parameters
    ----------
    table : name → table of the run; it needs equity, attribution, exposure, events and panel
    """
    earned = sum(value for name, value in summary["attribution"].items() if "|" not in name and value > 0.0)
    if earned <= _NOTHING * _mean(table("equity")["equity"]):
        earned = 0.0
    found = [
        *_stand_ins(summary, manifest, earned),
        *_assumed_costs(config, summary, table, earned),
        *_size(config, summary, table),
        *_pools(summary, table("exposure")),
        *_shortness(summary),
    ]
    return [doubt.text for doubt in sorted(found, key=lambda doubt: -doubt.weight)[:MOST]]


def _money(value: float, share_class: str) -> str:
    return f"{value:,.0f} {share_class}" if abs(value) >= 100.0 else f"{value:,.4g} {share_class}"


def _share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.001 else f"{value:.4%}"


def _mean(equity: np.ndarray) -> float:
    return float(equity.mean()) if len(equity) else 0.0


def _of_earned(amount: float, earned: float) -> str:
    """How much of what was earned an amount is, in words."""
    if earned <= 0.0:
        return "nothing was earned"
    return f"{_share(amount / earned)} of what was earned" if amount <= earned else "more than was earned"


def _stand_ins(summary: Mapping[str, Any], manifest: Mapping[str, Any], earned: float) -> Iterator[Doubt]:
    """Venues whose prices or settlements are those of another, by the funding that rests on them."""
    missing: dict[str, dict[str, float]] = {}
    for series, cover in manifest["coverage"].items():
        kind, _, name = series.partition("/")
        if kind in ("perp", "funding") and cover["resolved"] > cover["own"]:
            missing.setdefault(name.partition("_")[0], {})[kind] = cover["resolved"] - cover["own"]
    words = {"perp": "prices", "funding": "settlements"}
    for venue, shares in missing.items():
        funding = abs(summary["attribution"].get(f"funding_pnl|{venue}", 0.0))
        part = funding / earned if earned > 0.0 else 0.0
        what = " and ".join(f"{_share(shares[kind])} of its {words[kind]}" for kind in words if kind in shares)
        yield Doubt(
            max(shares.values()) * part,
            f"{venue}: {what} stand in from another venue; funding of {_money(funding, summary['share_class'])} "
            f"({_of_earned(funding, earned)}) rests on them.",
        )
    if any(note.startswith("marks:") for note in manifest["notes"]):
        yield Doubt(_CANDLE_MARKS, "Margin is measured at the candles of the perps: the data set has no mark prices.")


def _assumed_costs(
    config: Any, summary: Mapping[str, Any], table: Callable[[str], Table], earned: float
) -> Iterator[Doubt]:
    """Costs whose tables are marked as assumptions, with the return if they were twice as high."""
    events = table("events")
    venues = {name.partition(":")[0] for name in np.unique(events["instrument"][events["kind"] == "fill"].astype(str))}
    by_column = {
        "slippage": ("spot_slippage", "perp_slippage"),
        "fees": ("spot_fee", "perp_fee"),
        "gas": ("gas_units",),
        "transfer_fees": ("withdrawal_fee",),
        "flash_fees": ("flash_fee",),
    }
    everywhere = ("gas", "transfer_fees", "slippage")
    assumed = {}
    for column in COSTS:
        names = config.venues if column in everywhere else venues
        held = [
            getattr(config.venues[name], field)
            for name in names
            if name in config.venues
            for field in by_column[column]
        ]
        cost = -summary["attribution"][column]
        if cost > 0.0 and any(_is_assumed(each) for each in held):
            assumed[column] = cost
    total = sum(assumed.values())
    if total <= 0.0:
        return
    share_class = summary["share_class"]
    parts = ", ".join(f"{name.replace('_', ' ')} {_money(cost, share_class)}" for name, cost in assumed.items())
    part = total / earned if earned > 0.0 else 1.0
    twice = _return_less(summary["total_return"], table("equity"), table("attribution"), assumed)
    yield Doubt(
        part,
        f"Costs of {_money(total, share_class)} ({_of_earned(total, earned)}) rest on tables marked assumption: "
        f"{parts}. At twice that, the return would be about {twice:.2%}.".replace("-", "−"),
    )


def _return_less(total: float, equity: Table, attribution: Table, columns: Iterable[str]) -> float:
    """The time-weighted return if the costs in some columns were paid once more, each by the equity of its row."""
    held = equity["equity"]
    paid = np.zeros(len(held))
    for name in columns:
        paid -= attribution[name]
    shares = np.divide(paid, held, out=np.zeros(len(held)), where=held > 0.0)
    return float((1.0 + total) * np.prod(np.maximum(1.0 - shares, 0.0)) - 1.0)


def _is_assumed(held: Any) -> bool:
    """Whether a dated number, or one of a mapping of them, is marked as an assumption."""
    if held is None:
        return False
    if isinstance(held, Mapping):
        return any(_is_assumed(each) for each in held.values())
    return any(_ASSUMED in entry.source for entry in held)


def _size(config: Any, summary: Mapping[str, Any], table: Callable[[str], Table]) -> Iterator[Doubt]:
    """The largest order against the volume of its hour, and what capital that allows."""
    events, panel, equity = table("events"), table("panel"), table("equity")["equity"]
    fills = np.flatnonzero((events["kind"] == "fill") & (events["quantity"] != 0.0))
    rows = np.searchsorted(panel["timestamp"], events["timestamp"][fills])
    largest, where, at = 0.0, "", 0
    for instrument in np.unique(events["instrument"][fills].astype(str)):
        key = parse_key(instrument)
        name = f"volume|{instrument}" if key.type == "Perp" else f"volume|spot|{key.symbol}"
        if name not in panel.columns or key.venue not in config.venues or config.venues[key.venue].kind != "exchange":
            continue
        own = events["instrument"][fills] == instrument
        traded = np.zeros(len(panel))
        np.add.at(traded, rows[own], np.abs(events["quantity"][fills][own]))
        share = np.divide(traded, panel[name], out=np.zeros(len(panel)), where=np.nan_to_num(panel[name]) > 0.0)
        if len(share) and share.max() > largest:
            at = int(share.argmax())
            largest, where = float(share[at]), instrument
    if largest <= 0.0 or equity[at] <= 0.0:
        return
    when = str(panel["timestamp"][at].astype("M8[m]")).replace("T", " ")
    capital = float(f"{equity[at] * _LARGE_SHARE / largest:.2g}")
    moves = "" if config.execution.impact > 0.0 else ", and execution.impact is 0, so that size moves no price"
    yield Doubt(
        max(_LEAST_SIZE, min(1.0, largest / _LARGE_SHARE)),
        f"The largest orders of an hour were {_share(largest)} of its volume ({where}, {when}): {_LARGE_SHARE:.0%} "
        f"would be a capital of about {_money(capital, summary['share_class'])}{moves}.",
    )


def _pools(summary: Mapping[str, Any], exposure: Table) -> Iterator[Doubt]:
    """What is lent to a pool or borrowed from it, whose size no series tells."""
    lent = {"aToken": 0.0, "debtToken": 0.0}
    for name in exposure.columns:
        kind = name.split(":")[1] if name.startswith("value|") and name.count(":") == 2 else ""
        if kind in lent and len(exposure):
            lent[kind] += float(np.abs(exposure[name]).max())
    if lent["aToken"] > 0.0:
        share_class = summary["share_class"]
        owed = f" and {_money(lent['debtToken'], share_class)} borrowed" if lent["debtToken"] else ""
        yield Doubt(
            _UNKNOWN_POOL,
            f"Up to {_money(lent['aToken'], share_class)} are supplied{owed}: no series tells the size of the pool, so "
            "that they move no rate and can always be taken out.",
        )


def gas_warning(summary: Mapping[str, Any], equity: np.ndarray) -> str | None:
    """Which capital a run needs for gas to take no more than a tenth of what it carries; None where it takes less.

    Gas is the same for any size, so that twice the capital halves its share. A run that carries nothing has no share.

    Parameters
    ----------
    equity : (rows,) equity of the run, share class
    """
    found, mean = summary["attribution"], _mean(equity)
    carried, gas = sum(found[name] for name in _CARRY), -found["gas"]
    if _days(summary) < _FEW_DAYS or carried <= _NOTHING * mean or gas <= _GAS_SHARE * carried:
        return None
    capital = float(f"{mean * gas / (_GAS_SHARE * carried):.2g}")
    share_class = summary["share_class"]
    took = f"{gas / carried:.0%} of the carry" if gas <= carried else "more than the carry"
    return (
        f"Gas took {took} ({_money(gas, share_class)} of {_money(carried, share_class)}). It is the same for any size: "
        f"below a capital of about {_money(capital, share_class)} it takes more than {_GAS_SHARE:.0%}."
    )


def _days(summary: Mapping[str, Any]) -> float:
    begin, end = (np.datetime64(summary[name].removesuffix("Z")) for name in ("start", "end"))
    return float((end - begin) / np.timedelta64(1, "D"))


def _shortness(summary: Mapping[str, Any]) -> Iterator[Doubt]:
    days = _days(summary)
    if days < _FEW_DAYS:
        yield Doubt(_SHORT, f"The run covers {days:.3g} days: figures by year are extrapolated from them.")
