"""What a run checks of the series that it uses, in its window, and what it tells of them.

May import `basis.assets`, `basis.errors`, `basis.kernel.keys`, `basis.series_kinds`, numpy and the rest of
`basis.market` but `assemble`; takes a panel in the making.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from basis.assets import load_assets
from basis.errors import DataError
from basis.kernel.keys import GAS_ASSET
from basis.market import needed
from basis.market.checks.cross import (
    Member,
    check_assets,
    check_funding,
    check_funding_levels,
    check_level,
    check_prices,
)
from basis.market.checks.finding import Array, Finding, count_of, when
from basis.market.checks.rules import Rows, check_rows
from basis.market.sources.bars import Resolved
from basis.market.sources.clock import DAY, HOUR, YEAR_365, duration_ns, iso, modal_step, span_text, to_datetime
from basis.market.sources.reader import Table
from basis.series_kinds import FUNDING, GAS, LENDING, MARK, PERP, SPOT, kind_of

#: A `basis.market.assemble.PanelBuilder`, which imports this module.
PanelBuilder = Any
#: Time at an end of the window from which on a stand-in is told: a day.
_LONG_STAND_IN = 24 * HOUR
#: Share of the range of all series that one of them may cut off at the end without a word.
_CUT_SHORT = 0.05
#: A payout worth this much of what is held is no usual one, at once and as a rate a year, fraction: the largest known
#: were 0.2 % and 1.2 %.
_PAYOUT, _PAID_A_YEAR = 0.02, 0.30
#: Panel column of the price of ether, in which the worth of a payout is told.
_ETHER = f"spot|{GAS_ASSET}"
#: Most impossible findings that an error lists.
_MOST_LISTED = 5


def findings(builder: PanelBuilder) -> list[Finding]:
    """What is impossible or improbable in the series of a panel, in its window; the impossible first."""
    start, end = int(builder.timestamps[0]), int(builder.timestamps[-1])
    key = ("findings", start, end, *sorted(builder.files), *map(str, builder.needs.perps))
    return builder.store.cached(key, lambda: _findings(builder, start, end))


def _findings(builder: PanelBuilder, start: int, end: int) -> list[Finding]:
    found: list[Finding] = []
    files: dict[str, Rows] = {}
    for path in sorted(builder.files):
        table = builder.store.held(path)
        if table is not None:
            files[path] = rows_of(table, start, end, _cap(builder.config, path, start))
            found += check_rows(files[path])
    spots: dict[str, Member] = {}
    for asset in builder.spots:
        members = list(_members(builder, asset, files))
        found += check_prices(members, start, end)
        if members:
            spots[asset] = members[0]
    found += check_assets(list(spots.values()), start, end)
    for reference in filter(None, map(_reference, files.values())):
        if reference[0] in spots:
            found += check_level(spots[reference[0]], reference[1], start, end)
    for key in builder.needs.perps:
        found += _funding(builder, key)
    for asset in dict.fromkeys(key.base for key in builder.needs.perps):
        found += check_funding_levels(list(_fundings(builder, asset, files)), start, end)
    for symbol in builder.distributions:
        found += _distribution(builder, symbol)
    return sorted(found, key=lambda finding: (not finding.impossible, finding.series, finding.kind))


def doubt(builder: PanelBuilder) -> list[str]:
    """Everything that a run is told about its data: what is improbable, what stands in, what does not fit together.

    Raises
    ------
    DataError
        For what no market can have shown.
    """
    told = _judged(builder) if builder.config.data.checks != "off" else []
    return [*told, *warnings_of(builder)]


def warnings_of(builder: PanelBuilder) -> list[str]:
    """What stands in for a whole end of the window, what no longer trades, and what contradicts the configuration."""
    return list(dict.fromkeys([*_ends_without_trades(builder), *builder.warnings, *_contradictions(builder)]))


def _judged(builder: PanelBuilder) -> list[str]:
    """The findings of a panel as warnings.

    Raises
    ------
    DataError
        For what is impossible; with `data.checks=strict` for what is improbable, too.
    """
    found = findings(builder)
    fatal = [each for each in found if each.impossible or builder.config.data.checks == "strict"]
    if fatal:
        lines = [f"- {each}." for each in fatal[:_MOST_LISTED]]
        more = [f"- and {len(fatal) - _MOST_LISTED} more"] if len(fatal) > _MOST_LISTED else []
        what = "The data cannot be right" if fatal[0].impossible else "The data are doubtful, and data.checks is strict"
        way = f"Correct the files (`basis data check {builder.store.data_dir}` looks at all of them), leave the series "
        way += "out of data.sources, or set data.checks=off to run on them as they are."
        raise DataError("\n".join([f"{what}:", *lines, *more, way]))
    return [f"{each}." for each in found]


def rows_of(table: Table, start: int, end: int, cap: float | None = None) -> Rows:
    """The rows of a file in a window, and the one that is in force at its start; no payment at the start."""
    folder, _, name = table.path.removesuffix(needed.ENDING).partition("/")
    kind, step = kind_of(folder), modal_step(table.stamps)
    first = int(np.searchsorted(table.stamps, start if kind == FUNDING else start - step, "right"))
    rows = slice(first, int(np.searchsorted(table.stamps, end, "right")))
    columns = {key: values[rows] for key, values in {**table.checked, **table.columns}.items()}
    return Rows(f"{folder}/{name}", kind, table.stamps[rows], columns, step, cap)


def _cap(config: Any, path: str, start: int) -> float | None:
    """Largest funding rate of the venue whose file it is; None where it states none."""
    folder, _, name = path.partition("/")
    venue = config.venues.get(name.partition("_")[0]) if folder == FUNDING else None
    table = getattr(venue, "funding_cap", None)
    return table.at(to_datetime(start)).value if table else None


def _members(builder: PanelBuilder, asset: str, files: dict[str, Rows]) -> Iterator[Member]:
    """The files with prices of an asset, each once, spot first."""
    series, names = builder.spots[asset]
    if needed.quoted_in_ether(series):
        return
    paths = dict.fromkeys(builder.store.paths(series, names), SPOT)
    for key in builder.needs.perps:
        if key.base == asset:
            paths |= dict.fromkeys(builder.store.paths(*builder.marks[key]), PERP)
            paths |= dict.fromkeys(builder.store.mark_paths(*builder.marks[key]), MARK)
    for path, kind in paths.items():
        if path in files:
            rows = files[path]
            yield Member(rows.name, kind, rows.stamps, rows.get("open"), rows.step)


def _reference(rows: Rows) -> tuple[str, Member] | None:
    """The asset whose price in USD a file of gas or of a reserve also has, and that price; None for any other file."""
    column = {GAS: "eth_usd", LENDING: "oracle_price_usd"}.get(rows.kind, "")
    if column not in rows.columns:
        return None
    facts, asset = load_assets(), GAS_ASSET
    if rows.kind == LENDING:
        symbol = facts.symbol_of_file(rows.name.rpartition("/")[2])
        asset = "" if facts.is_staking_token(symbol) else facts.underlying_of(symbol)
    known = ~np.isnan(rows.columns[column])
    name = f"column {column} of {rows.name}"
    return asset, Member(name, rows.kind, rows.stamps[known], rows.columns[column][known], rows.step)


def _funding(builder: PanelBuilder, key: Any) -> list[Finding]:
    """Funding of one perp against the premium of its mark over spot, as the run has them."""
    text = str(key)
    mark, spot = (builder.columns.get(name) for name in (f"mark|{text}", f"spot|{key.base}"))
    if mark is None or spot is None or 2 * builder.step > 8 * HOUR:
        return []
    events, (series, names) = builder.settlements[text], builder.fundings[key]
    own = events.source == 0
    name = needed.source_paths(series, names[:1])[0].removesuffix(needed.ENDING)
    premium, per_row = mark / spot - 1.0, builder.step / (8 * HOUR)
    return check_funding(name, events.stamps[own], events.rates[own], events.rows[own], premium, per_row)


def _fundings(builder: PanelBuilder, asset: str, files: dict[str, Rows]) -> Iterator[tuple[str, Array, Array]]:
    """The files with funding of an asset, each once: name, stamps and payments."""
    keys = [key for key in builder.needs.perps if key.base == asset]
    for path in dict.fromkeys(path for key in keys for path in builder.store.paths(*builder.fundings[key])):
        if path in files:
            rates = files[path].get("funding_rate")
            known = ~np.isnan(rates)
            yield files[path].name, files[path].stamps[known], rates[known]


def _distribution(builder: PanelBuilder, symbol: str) -> Iterator[Finding]:
    """Payouts of a reward token that are worth more than any has been, of what they are paid on."""
    paid, price, held = builder.distributions[symbol], *map(builder.columns.get, (f"spot|{symbol}", _ETHER))
    if price is None or held is None:
        return
    row = np.searchsorted(builder.timestamps, paid.stamps, "left")
    inside = (row > 0) & (row < builder.timestamps.size)
    row, rates = row[inside], paid.rates[inside]
    with np.errstate(all="ignore"):
        worth = rates * price[row] / held[row]
        a_year = worth * (YEAR_365 / np.maximum((paid.ends - paid.starts)[inside], DAY))
    far = np.flatnonzero((worth > _PAYOUT) | (a_year > _PAID_A_YEAR))
    if far.size:
        first = far[0]
        message = (
            f"{rates[first]:g} {symbol} are paid for each ETH that is held, at a price of {price[row[first]]:g}: "
            f"{worth[first]:.2%} of it, {a_year[first]:.0%} a year, and more than {_PAYOUT:.0%}, or {_PAID_A_YEAR:.0%} "
            "a year, is unusual: amounts in another unit, or the price of another token"
        )
        name = f"rewards/{builder.config.distributions[symbol].table}"
        yield Finding(name, "payout", when(paid.stamps[inside][first]), int(far.size), message)


# --- what stands in -----------------------------------------------------------------------------------------------


def stand_in_at_an_end(title: str, names: tuple[str, ...], resolved: Resolved, timestamps: np.ndarray) -> str | None:
    """A sentence where the first source lacks the whole window, its beginning or its end; None where it does not."""
    own = np.flatnonzero(resolved.source == 0)
    if not (resolved.source > 0).any():
        return None
    others = _others(names, resolved.source)
    if not own.size:
        return f"{title}: {names[0]} has no prices in this window; those of {others} stand in for all of it."
    reach = _reach(timestamps[own], timestamps)
    outside = int((resolved.source[: own[0]] > 0).sum() + (resolved.source[own[-1] :] > 0).sum())
    if not reach or not outside:
        return None
    share = f"{100 * outside / timestamps.size:.1f} %"
    return f"{title}: the prices of {names[0]} {reach}; those of {others} stand in for the {share} of rows outside."


def payments_at_an_end(series: str, names: tuple[str, ...], source: np.ndarray, stamps: np.ndarray) -> str | None:
    """The same for settlements."""
    own = np.flatnonzero(source == 0)
    if not (source > 0).any():
        return None
    others = _others(names, source)
    if not own.size:
        return f"{series}: {names[0]} has no payments in this window; those of {others} stand in for all of them."
    reach = _reach(stamps[own], stamps)
    outside = count_of(int(own[0] + stamps.size - 1 - own[-1]), "payment")
    if not reach:
        return None
    return f"{series}: the payments of {names[0]} {reach}; those of {others} stand in for the {outside} outside."


def _others(names: tuple[str, ...], source: np.ndarray) -> str:
    return " and ".join(names[index] for index in np.unique(source[source > 0]))


def _reach(own: np.ndarray, instants: np.ndarray) -> str:
    """Where a source begins or ends a day or more inside of the instants; empty where it does not."""
    late = f"begin {iso(int(own[0]))}" if own[0] - instants[0] >= _LONG_STAND_IN else ""
    early = f"end {iso(int(own[-1]))}" if instants[-1] - own[-1] >= _LONG_STAND_IN else ""
    return " and ".join(filter(None, (late, early)))


def cut_short(ranges: Iterable[tuple[str, tuple[int, int] | None, bool]], first: int, last: int) -> str | None:
    """A sentence where one series ends long before the others, and the window of a run with it."""
    ends = {series: span[1] for series, span, _ in ranges if span is not None}
    reach = max(ends.values(), default=last)
    if reach - last <= _CUT_SHORT * (reach - first):
        return None
    series = min(ends, key=lambda name: ends[name])
    return f"{series}: its data end {iso(last)}, and the window with them; others reach to {iso(reach)}."


# --- what the configuration says ----------------------------------------------------------------------------------


def _contradictions(builder: PanelBuilder) -> Iterator[str]:
    """Where the configuration does not fit the files: intervals, steps of the grid, the venue of the spot price."""
    config = builder.config
    for key in builder.needs.perps:
        series, names = builder.fundings[key]
        events = builder.store.funding(series, names, key.venue)
        stated = getattr(config.venues.get(key.venue), "funding_interval", None)
        if stated and events.own.size > 2 and duration_ns(stated) != events.usual:
            yield (
                f"{series}: {names[0]} mostly settles every {span_text(events.usual)}, but "
                f"venues.{key.venue}.funding_interval is {span_text(duration_ns(stated))}; the file counts."
            )
    coarse: dict[tuple[int, int], list[str]] = {}
    for series, names in [builder.marks[key] for key in builder.needs.perps] + _traded_spots(builder):
        step = next((step for step in builder.store.bars(series, names).intervals if step), 0)
        if step and (between := int((builder.timestamps % step != 0).sum())):
            coarse.setdefault((step, between), []).append(series)
    for (step, between), series in coarse.items():
        yield (
            f"{', '.join(series)}: {between:,} of {builder.timestamps.size:,} rows lie between two candles of "
            f"{span_text(step)} and take the open of the last one; nothing moves there."
        )
    venue = getattr(config.strategy, "spot_venue", None)
    if venue and config.asset in builder.spots:
        series, names = builder.spots[config.asset]
        if names[0] != venue:
            yield (
                f"{series}: spot is traded at {venue} and priced by {names[0]}, which data.sources names first; "
                f"data.sources.{series}=[{venue}] takes its own prices."
            )


def _traded_spots(builder: PanelBuilder) -> list[tuple[str, tuple[str, ...]]]:
    return [builder.spots[asset] for asset in builder.needs.traded if asset in builder.spots]


def _ends_without_trades(builder: PanelBuilder) -> Iterator[str]:
    """Perps that no longer trade where the window ends."""
    end = int(builder.timestamps[-1])
    for series, stamp in builder.delisted.items():
        if end + builder.step > stamp:
            yield (
                f"{series}: its bars hold no trade from {iso(stamp)} to their end: the contract is taken for delisted, "
                "and the window ends there."
            )
