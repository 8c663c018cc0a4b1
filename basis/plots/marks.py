"""What must be seen on a figure: limits, spans beyond them, alerts, liquidations, flows, a stop. Imports numpy only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from basis.plots import theme
from basis.plots.pictures import Limit, Marks, Panel, Picture, Shade
from basis.plots.run import LESS_IS_WORSE, RunNumbers, held_in_words, in_words, minute, value_in_words

#: Kind of a token of a lending market → what a liquidation does with it.
_LENT = {"aToken": "seized {} collateral", "debtToken": "repaid {} debt"}


def limits(measure: str, pair: tuple[float, float], kind: str, sign: float = 1.0) -> tuple[Limit, ...]:
    """Lines at warning and critical; the words stand away from each other, and from where the values should be."""
    less = measure.partition("|")[0] in LESS_IS_WORSE or sign < 0.0
    return tuple(
        Limit(
            theme.LEVELS[level].name,
            sign * value,
            theme.LEVELS[level].colour,
            f"{theme.LEVELS[level].name} {value_in_words(value, kind)}",
            above=level == 1 or not less,
        )
        for level, value in zip((1, 2), pair, strict=True)
    )


def levels(run: RunNumbers, measures: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """(rows,) highest level of each measure in each row: as the row left it, or as any of its events had it."""
    named = [name[len("alert|") :] for name in run.risk if name.startswith("alert|")]
    found = {name: run.risk[f"alert|{name}"].copy() for name in named if measures is None or name in measures}
    events = run.events
    for level, words in theme.LEVELS.items():
        hit = (events["kind"] == "alert") & (events["level"] == words.name)
        for name in set(events["instrument"][hit]) & set(found):
            own = hit & (events["instrument"] == name)
            rows = np.searchsorted(run.stamps, events["timestamp"][own])
            found[name][rows] = np.maximum(found[name][rows], level)
    return found


def shades(run: RunNumbers, measures: Sequence[str], wanted: Sequence[int]) -> tuple[Shade, ...]:
    """Spans in which any of the measures was at a level; each row lasts until the next."""
    each = levels(run, measures)
    if not each or not len(run):
        return ()
    worst = np.max(np.stack(list(each.values())), axis=0)
    found = []
    for level in wanted:
        within = np.concatenate(([False], worst == level, [False]))
        edges = np.flatnonzero(within[1:] != within[:-1])
        if len(edges):
            starts, ends = edges[::2], np.minimum(edges[1::2], len(run) - 1)
            found.append(Shade(level, run.stamps[starts], run.stamps[ends]))
    return tuple(found)


def crossings(run: RunNumbers, measures: Sequence[str]) -> tuple[Marks, ...]:
    """Every time a measure became critical, at the value that was reported."""
    events = run.events
    hit = (events["kind"] == "alert") & (events["level"] == "critical") & np.isin(events["instrument"], list(measures))
    if not hit.any():
        return ()
    stamps, values, words = events["timestamp"][hit], events["amount"][hit], []
    for name, value in zip(events["instrument"][hit], values, strict=True):
        kind = "ratio" if name == "health_factor" else "percent"
        limit = run.limits.get(name)
        beyond = "" if limit is None else f", limit {value_in_words(limit[1], kind)}"
        words.append(f"{in_words(name)} critical: {value_in_words(value, kind)}{beyond}")
    return (Marks("became critical", "critical", stamps, values, _together(stamps, words)),)


def liquidations(run: RunNumbers, line: np.ndarray | Mapping[str, np.ndarray]) -> tuple[Marks, ...]:
    """Liquidations on a line, or each on the line of its venue; those of one row and place are one mark."""
    events = run.events
    rows, values, words = [], [], []
    for event in np.flatnonzero(events["kind"] == "liquidation").tolist():
        own = line.get(str(events["venue"][event])) if isinstance(line, Mapping) else line
        if own is not None:
            row = int(np.searchsorted(run.stamps, events["timestamp"][event]))
            rows.append(row)
            values.append(float(own[row]) if np.isfinite(own[row]) else 0.0)
            words.append(_struck(run, event))
    if not rows:
        return ()
    stamps = run.stamps[rows]
    told = _together(stamps, words)
    _, first = np.unique(np.column_stack([rows, values]), axis=0, return_index=True)
    first.sort()
    texts = tuple(told[at] for at in first)
    return (Marks("liquidation", "liquidation", stamps[first], np.array(values)[first], texts),)


def _together(stamps: np.ndarray, words: Sequence[str]) -> tuple[str, ...]:
    """Words of each mark: its instant, then all that happened at it, for a hover shows one mark only."""
    groups: dict[np.datetime64, list[str]] = {}
    for stamp, text in zip(stamps, words, strict=True):
        groups.setdefault(stamp, []).append(text)
    return tuple("\n".join((f"{minute(stamp)} UTC", *groups[stamp])) for stamp in stamps)


def _struck(run: RunNumbers, event: int) -> str:
    """A liquidation in words."""
    events = run.events
    quantity, price, fee = (float(events[name][event]) for name in ("quantity", "price", "fee"))
    venue, (kind, symbol) = str(events["venue"][event]), str(events["instrument"][event]).split(":")[-2:]
    if kind in _LENT:
        # quantities are scaled balances, which nobody reads
        told = f"{_LENT[kind].format(symbol)} worth {run.money(float(events['notional'][event]))}"
    else:
        told = f"{'bought' if quantity > 0.0 else 'sold'} {abs(quantity):,.6g} {symbol} at {price:,.2f} USDT"
    if "bad debt" in str(events["detail"][event]):
        told += f", bad debt of {run.money(float(events['amount'][event]))}"
    return f"liquidation at {venue}: {told}" + (f", penalty {run.money(fee)}" if fee else "")


def flows(run: RunNumbers) -> Iterator[Marks]:
    """Deposits and withdrawals, where their cash moved."""
    for name, sign in (("deposit", 1.0), ("withdrawal", -1.0)):
        rows = np.flatnonzero(sign * run.net_flow > 0.0)
        if len(rows):
            words = [f"{name} of {run.money(sign * run.net_flow[row])}" for row in rows]
            yield Marks(name, name, run.stamps[rows], run.equity[rows], _together(run.stamps[rows], words))


def stop(run: RunNumbers, line: np.ndarray) -> tuple[Marks, ...]:
    if run.cause is None or not len(run):
        return ()
    return (Marks("stopped", "stop", run.stamps[-1:], line[-1:], (f"the run stopped itself: {run.cause}",)),)


# --- events ----------------------------------------------------------------------------------------------------------


def with_events(run: RunNumbers, picture: Picture, kinds: Sequence[str]) -> Picture:
    """The picture with events of some kinds on its upper panel; those of one kind and row are one mark.

    What the panel marks already is not marked twice.
    """
    if not picture.panels or not picture.timed:
        return picture
    panel, *others = picture.panels
    there = {marks.kind for marks in panel.marks}
    there |= {"flow"} if there & {"deposit", "withdrawal"} else set()
    heights = _heights(panel, len(run))
    found = [marks for kind in dict.fromkeys(kinds) if kind not in there for marks in _events(run, kind, heights)]
    return replace(picture, panels=(replace(panel, marks=(*panel.marks, *found)), *others))


def _heights(panel: Panel, rows: int) -> np.ndarray:
    """(rows,) where a mark stands: on the first line of the panel that has a value there, else at its foot."""
    found = np.full(rows, np.nan)
    for line in sorted(panel.lines, key=lambda line: line.faint):
        found = np.where(np.isfinite(found), found, line.values)
    return np.where(np.isfinite(found), found, 0.0 if panel.window is None else panel.window[0])


def _events(run: RunNumbers, kind: str, heights: np.ndarray) -> Iterator[Marks]:
    found = np.flatnonzero(run.events["kind"] == kind)
    if not len(found) or not len(run):
        return
    rows = np.minimum(np.searchsorted(run.stamps, run.events["timestamp"][found]), len(run) - 1)
    stamps = run.stamps[rows]
    texts = _together(stamps, [_told(run, int(event)) for event in found])
    _, first = np.unique(rows, return_index=True)
    yield Marks(kind, kind, stamps[first], heights[rows[first]], tuple(texts[at] for at in first))


def _told(run: RunNumbers, event: int) -> str:
    """An event in words."""
    events = run.events
    kind, venue, detail = (str(events[name][event]) for name in ("kind", "venue", "detail"))
    quantity, amount = float(events["quantity"][event]), float(events["amount"][event])
    instrument = str(events["instrument"][event])
    what = held_in_words(instrument)
    if kind == "liquidation":
        return _struck(run, event)
    if kind == "fill":
        costs = [
            (name.replace("_", " "), float(events[name][event])) for name in ("fee", "slippage", "gas", "flash_fee")
        ]
        paid = "".join(f", {name} {run.money(cost)}" for name, cost in costs if cost)
        # quantities of lent tokens are scaled balances, which nobody reads
        size = "" if "Token:" in instrument and venue == "aave_v3" else f"{quantity:+,.6g} "
        return f"{detail} fill: {size}{what}, worth {run.money(float(events['notional'][event]))}{paid}"
    if kind == "transfer":
        return f"transfer of {abs(quantity):,.6g} from {what} to {events['destination'][event]}, {detail}"
    if kind == "arrival":
        return f"arrival of {quantity:,.6g} {what}"
    if kind == "funding":
        rate = float(events["rate"][event])
        return f"funding on {what}: {amount:+,.2f} USDT at a rate of {rate:.4%}"
    if kind == "reward":
        return f"reward of {quantity:,.6g} {what}, worth {run.money(float(events['notional'][event]))}"
    if kind == "alert":
        shown = value_in_words(amount, "ratio" if instrument == "health_factor" else "percent")
        return f"{in_words(instrument)} {events['level'][event]}: {shown}"
    if kind == "decision":
        return f"decision: {events['action'][event]} {instrument} {amount:,.6g}"
    if kind == "order":
        return f"{detail} order: {quantity:+,.6g} {what}" if quantity else f"{detail} order: {what}"
    if kind == "reject":
        return f"rejected, {what}: {detail}"
    if kind == "flow":
        return f"flow of {amount:+,.6g}" + (f" ({detail})" if detail else "")
    return f"{kind}: {detail}"
