"""The explanation of a row as text and as HTML, in sections of lines."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from basis.kernel.keys import QUOTE_ASSET, parse_key
from basis.plots.labels import measure_label
from basis.reports.decisions import Holdings
from basis.reports.explained_row import ExplainedRow
from basis.reports.formatting import money, number, percent, with_minus_sign
from basis.reports.row_inputs import is_perp
from basis.texts import for_page

#: Columns of the market data that are shown, with their text and unit.
_MARKET = {
    "spot": ("{}", QUOTE_ASSET),
    "mark": ("{} mark", QUOTE_ASSET),
    "oracle_rate": ("{} at its protocol", "ETH"),
    "market_rate": ("{} at the market", "ETH"),
    "liquidity_index": ("supply index of {1} at {0}", ""),
    "borrow_index": ("borrow index of {1} at {0}", ""),
    "gas_price_gwei": ("gas", "gwei"),
    "signal": ("signal", ""),
}
#: When a risk measure is taken, to its column.
_MOMENTS = {"last row": "last_row", "worst since": "worst", "before": "before", "after": "after"}
#: Cost of a fill to its text.
_COSTS = {"fee": "fee", "slippage": "slippage", "gas": "gas", "flash_fee": "flash fee"}
#: P&L below this share of the allowed difference is a rounding error and not shown.
_ROUNDING = 1e-3


def to_text(row: ExplainedRow) -> str:
    """The row as text."""
    parts = [_title(row)]
    for title, lines in _sections(row).items():
        parts += [title, *(f"  {line}" for line in lines or ["none"])]
    return "\n".join(parts)


def to_html(row: ExplainedRow) -> str:
    """The row as an HTML table with one row per section."""
    table_rows = []
    for title, lines in _sections(row).items():
        cell = "".join(
            f"<div style='padding-left:{2 * line.startswith(' ')}em'>{for_page(line.strip())}</div>"
            for line in lines or ["none"]
        )
        table_rows.append(
            "<tr><td style='vertical-align:top;text-align:left;opacity:0.7;white-space:nowrap'>"
            f"{for_page(title)}</td><td style='text-align:left;font-variant-numeric:tabular-nums'>{cell}</td></tr>"
        )
    return f"<div><strong>{for_page(_title(row))}</strong><table>{''.join(table_rows)}</table></div>"


def _title(row: ExplainedRow) -> str:
    summary = row.run.summary
    since = "" if row.before is None else f", since {row.before:%H:%M}"
    return (
        f"{summary['mode']}, {row.timestamp:%Y-%m-%d %H:%M} UTC{since} (row {row.row} of {summary['rows']:,}; "
        f"amounts in {row.share_class} unless another unit is given)"
    )


def _sections(row: ExplainedRow) -> dict[str, list[str]]:
    share_class = row.share_class
    return {
        "Market": list(_market(row)),
        "Settled": [_settlement(event) for event in _rows(row.settled)],
        "Flows": [f"{event.detail}: {with_minus_sign(money(event.amount, share_class))}" for event in _rows(row.flows)],
        "Risk": list(_risk(row)),
        "Reasons": list(_reasons(row)),
        "Decision": list(_decision(row)),
        "Orders and fills": list(_orders(row)),
        "Undone": row.undone,
        "Exposure": list(_exposure(row)),
        "P&L": list(_pnl(row)),
        "Check": [_check(row)],
    }


def _rows(frame: Any) -> Iterable[Any]:
    return frame.itertuples()


def _lines(frame: Any) -> Iterable[tuple[str, Any]]:
    return frame.iterrows()


def _arrow(line: Any, show: Callable[[float], str] = number) -> str:
    """Value before → value now; in the first row only the latter."""
    now = with_minus_sign(show(line["now"]))
    return now if np.isnan(line["before"]) else f"{with_minus_sign(show(line['before']))} → {now}"


def _ratio(value: float) -> str:
    return "∞" if np.isinf(value) else with_minus_sign(f"{value:.4g}")


def _market(row: ExplainedRow) -> Iterable[str]:
    """Market data with their changes."""
    table = row.market
    for name, line in _lines(table):
        measure, _, what = name.partition("|")
        if measure not in _MARKET or not np.isfinite(line["now"]):
            continue
        template, unit = _MARKET[measure]
        # a reserve is a venue and a token: the parts of a name are filled in one by one
        names = what.split(":") if measure.endswith("_index") else [what]
        text = f"{template.format(*names)} {_arrow(line)} {unit}".rstrip()
        if measure not in ("signal", "gas_price_gwei") and np.isfinite(line["relative"]):
            small = 0.0 < abs(line["relative"]) < 1e-4
            change = f"{line['relative'] * 1e4:+.4f} bps" if small else f"{line['relative']:+.2%}"
            text += f" ({with_minus_sign(change)})"
        if measure == "mark":
            low, high = (number(table.loc[f"{side}|{what}", "now"]) for side in ("low", "high"))
            basis = line["now"] - table.loc[f"spot|{parse_key(what).base}", "now"]
            text += f", between {low} and {high}, {number(basis)} from spot"
        yield text


def _settlement(event: Any) -> str:
    """A settlement, with its recomputed amount."""
    recomputed = "" if np.isnan(event.recomputed) else f" (recomputed {number(event.recomputed)})"
    if event.kind == "funding":
        return (
            f"funding of {event.instrument} at {event.effective_at:%H:%M}: −({number(event.quantity)}) × "
            f"{number(event.price)} × {with_minus_sign(f'{event.rate:.6%}')} = {number(event.booked)} {QUOTE_ASSET}"
            f"{recomputed}"
        )
    if event.kind == "reward":
        return f"reward for {event.detail}: {number(event.booked)} {event.instrument}{recomputed}"
    if event.kind == "arrival":
        return f"arrival: {number(event.booked)} at {event.instrument}"
    what = "liquidation" if event.kind == "liquidation" else event.detail.replace("_", "-")
    cash = f", {number(event.booked)} {QUOTE_ASSET} of cash{recomputed}" if is_perp(event.instrument) else ""
    return f"{what} of {event.instrument}: {number(event.quantity)} at {number(event.price)}{cash}"


def _risk(row: ExplainedRow) -> Iterable[str]:
    """Risk measures with their limits, and alerts."""
    for name, line in _lines(row.risk):
        levels = line[list(_MOMENTS.values())]
        # without a position and without debt there is nothing to show
        if name.startswith("maintenance_ratio") or not (np.isfinite(levels) & (levels != 0.0)).any():
            continue
        moments = [
            f"{moment} {_ratio(line[column])}" for moment, column in _MOMENTS.items() if np.isfinite(line[column])
        ]
        limits = ""
        if np.isfinite(line["critical"]):
            limits = f" (warning {_ratio(line['warning'])}, critical {_ratio(line['critical'])})"
        yield f"{measure_label(name)}: {', '.join(moments)}{limits}"
    for event in _rows(row.alerts):
        yield f"alert: {event.detail}, {event.level}"


def _reasons(row: ExplainedRow) -> Iterable[str]:
    """Why the strategy was asked, and every number that it watches with its band."""
    for why in row.asked_because:
        measure, value, sign = (*why.split(), "", "", "")[:3]
        side = {"<": "below", ">": "above"}.get(sign)
        if side is not None and measure in row.bands.index:
            why = f"{measure} {value} {side} its band {_edges(row.bands.loc[measure])}"
        yield f"asked because: {why}"
    for name, band in _lines(row.bands):
        aim = "" if np.isnan(band["aim"]) else f", aims at {_ratio(band['aim'])}"
        yield f"{name} {_ratio(band['value'])}, band {_edges(band)}{aim}"


def _edges(band: Any) -> str:
    """``0.35–0.75``, or the one edge that a band has."""
    low, high = band["low"], band["high"]
    if np.isinf(low) and np.isinf(high):
        return "without edges"
    if np.isinf(low):
        return f"up to {_ratio(high)}"
    return f"from {_ratio(low)}" if np.isinf(high) else f"{_ratio(low)}–{_ratio(high)}"


def _decision(row: ExplainedRow) -> Iterable[str]:
    """Actions of the decision, and what each aims at."""
    kinds = row.run.reasons.plan_kinds
    for event in _rows(row.decision):
        amount, asset = number(event.amount) if event.amount else "", event.instrument
        aims, entry = "", event.action.startswith("entry")
        if amount and kinds.get(asset) == "margin":
            aims = ": a margin of {} {} at the venues" if entry else ": {} {} of the margin back to the investor"
        elif amount and kinds.get(asset) in ("hedge", "long", "short"):
            aims = f": {{}} {{}} {'more' if entry else 'less'}" + (" on both legs" if kinds[asset] == "hedge" else "")
        yield f"{event.action} {asset}" + (aims.format(amount, asset.split()[0]) if aims else f" {amount}".rstrip())


def _orders(row: ExplainedRow) -> Iterable[str]:
    """Orders, fills, rejects and transfers; a fill and a transfer are told by what they lead to."""
    orders = row.orders
    names = {*orders["instrument"], *orders["destination"]} - {""}
    holdings = Holdings({name: row.held_before_orders(name) for name in names})
    for event in _rows(orders):
        yield _order(event, row.share_class, holdings)


def _order(event: Any, share_class: str, holdings: Holdings) -> str:
    """An order, fill, reject or transfer."""
    where = f" → {event.destination}" if event.destination else ""
    if event.kind == "order":
        return f"order {event.detail} {event.instrument}{where}: {number(event.quantity)}"
    if event.kind == "reject":
        return f"reject {event.instrument}: {event.detail}"
    if event.kind == "transfer":
        reached = holdings.after(event.destination, event.amount) if event.destination else ""
        return f"transfer {event.instrument}{where}: {reached or number(-event.quantity)}, {event.detail}"
    text = f"fill {event.detail}: {holdings.after(event.instrument, event.quantity)}"
    if event.price:
        text += f" at {number(event.price)} (reference {number(event.reference_price)})"
    for name, label in _COSTS.items():
        if getattr(event, name) != 0.0:
            text += f", {label} {with_minus_sign(money(getattr(event, name), share_class))}"
    return text


def _exposure(row: ExplainedRow) -> Iterable[str]:
    """Net delta, gross exposure, and the quantities that changed."""
    table = row.exposure
    for name, line in _lines(table):
        if name.startswith("net_delta|"):
            asset = name.partition("|")[2]
            ratio = _arrow(table.loc[f"net_delta_ratio|{asset}"], percent)
            yield f"net delta {_arrow(line)} {asset}, {ratio} of equity"
    # cash in the share class itself is no exposure
    if table.loc["gross"].any():
        yield f"gross {_arrow(table.loc['gross'])} {row.share_class}"
    for name, line in _lines(row.positions):
        yield f"{name.replace('|', ' ').replace('in_transit', 'in transit')}: {_arrow(line)}"


def _pnl(row: ExplainedRow) -> Iterable[str]:
    """P&L by column, with its terms."""
    smallest = _ROUNDING * row.check.allowed
    for name, line in _lines(row.pnl):
        if abs(line["booked"]) < smallest and not abs(line["recomputed"]) >= smallest:
            continue
        recomputed = f", recomputed {number(line['recomputed'])}" if np.isfinite(line["recomputed"]) else ""
        yield f"{name} {number(line['booked'])}{recomputed}"
        for term in _rows(row.terms):
            if term.column == name and abs(term.amount) >= smallest:
                yield f"  {number(term.amount)} = {term.formula or 'as booked'}, {term.what}"
    if not row.is_recomputed:
        yield "not recomputed: the run resumed from a checkpoint, and its tables lack the state before this row"


def _check(row: ExplainedRow) -> str:
    """Whether the columns sum to the change of equity."""
    check = row.check
    verdict = "closes" if check.closes else "DOES NOT CLOSE"
    return (
        f"equity {number(check.equity_before)} → {number(check.equity)} less flows {number(check.net_flow)} = "
        f"{number(check.pnl)}; the columns sum to {number(check.columns)}: {verdict} "
        f"({abs(check.difference):.1e} apart, {check.allowed:.1e} allowed)"
    )
