"""An explained hour in words: the lines of its sections, as text and as HTML."""

from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from basis.kernel.keys import QUOTE_ASSET as QUOTE
from basis.kernel.keys import parse_key
from basis.plots.run import in_words
from basis.results.explain import is_perp, number, signed
from basis.results.stats import money, percent

if TYPE_CHECKING:
    from basis.results.explain import Explanation

#: Columns of the panel that are told: in words, and their unit.
_MARKET = {
    "spot": ("{}", QUOTE),
    "mark": ("{} mark", QUOTE),
    "oracle_rate": ("{} at its protocol", "ETH"),
    "market_rate": ("{} at the market", "ETH"),
    "liquidity_index": ("supply index of {1} at {0}", ""),
    "borrow_index": ("borrow index of {1} at {0}", ""),
    "gas_price_gwei": ("gas", "gwei"),
    "signal": ("signal", ""),
}
_MOMENTS = {"last row": "last_row", "worst since": "worst", "before": "before", "after": "after"}
_COSTS = {"fee": "fee", "slippage": "slippage", "gas": "gas", "flash_fee": "flash fee"}
#: P&L below this share of what the identity allows is rounding and not told.
_ROUNDING = 1e-3


def told(hour: "Explanation") -> str:
    """The hour as text."""
    parts = [_title(hour)]
    for title, lines in _sections(hour).items():
        parts += [title, *(f"  {line}" for line in lines or ["none"])]
    return "\n".join(parts)


def told_in_html(hour: "Explanation") -> str:
    """The hour as a table of its sections."""
    rows = []
    for title, lines in _sections(hour).items():
        cell = "".join(
            f"<div style='padding-left:{2 * line.startswith(' ')}em'>{escape(line.strip())}</div>"
            for line in lines or ["none"]
        )
        rows.append(
            "<tr><td style='vertical-align:top;text-align:left;opacity:0.7;white-space:nowrap'>"
            f"{escape(title)}</td><td style='text-align:left;font-variant-numeric:tabular-nums'>{cell}</td></tr>"
        )
    return f"<div><strong>{escape(_title(hour))}</strong><table>{''.join(rows)}</table></div>"


def _title(hour: "Explanation") -> str:
    summary = hour.result.summary
    since = "" if hour.before is None else f", since {hour.before:%H:%M}"
    return (
        f"{summary['mode']}, {hour.timestamp:%Y-%m-%d %H:%M} UTC{since} (row {hour.row} of {summary['rows']:,}; "
        f"amounts in {hour.share_class} where nothing else is said)"
    )


def _sections(hour: "Explanation") -> dict[str, list[str]]:
    share_class = hour.share_class
    return {
        "Market": list(_market(hour)),
        "Settled": [_settlement(event) for event in _rows(hour.settled)],
        "Flows": [f"{event.detail}: {signed(money(event.amount, share_class))}" for event in _rows(hour.flows)],
        "Risk": list(_risk(hour)),
        "Decision": [
            " ".join(filter(None, (event.action, event.instrument, number(event.amount) if event.amount else "")))
            for event in _rows(hour.decision)
        ],
        "Orders and fills": [_order(event, share_class) for event in _rows(hour.orders)],
        "Exposure": list(_exposure(hour)),
        "P&L": list(_pnl(hour)),
        "Check": [_check(hour)],
    }


def _rows(frame: Any) -> Iterable[Any]:
    return frame.itertuples()


def _lines(frame: Any) -> Iterable[tuple[str, Any]]:
    return frame.iterrows()


def _arrow(line: Any, show: Callable[[float], str] = number) -> str:
    """From what it was to what it is; in the first row only the latter."""
    now = signed(show(line["now"]))
    return now if np.isnan(line["before"]) else f"{signed(show(line['before']))} → {now}"


def _ratio(value: float) -> str:
    return "∞" if np.isinf(value) else signed(f"{value:.4g}")


def _market(hour: "Explanation") -> Iterable[str]:
    table = hour.market
    for name, line in _lines(table):
        measure, _, what = name.partition("|")
        if measure not in _MARKET or not np.isfinite(line["now"]):
            continue
        words, unit = _MARKET[measure]
        # a reserve is a venue and a token: the parts of a name are filled in one by one
        names = what.split(":") if measure.endswith("_index") else [what]
        text = f"{words.format(*names)} {_arrow(line)} {unit}".rstrip()
        if measure not in ("signal", "gas_price_gwei") and np.isfinite(line["relative"]):
            small = 0.0 < abs(line["relative"]) < 1e-4
            change = f"{line['relative'] * 1e4:+.4f} bps" if small else f"{line['relative']:+.2%}"
            text += f" ({signed(change)})"
        if measure == "mark":
            low, high = (number(table.loc[f"{side}|{what}", "now"]) for side in ("low", "high"))
            basis = line["now"] - table.loc[f"spot|{parse_key(what).base}", "now"]
            text += f", between {low} and {high}, {number(basis)} from spot"
        yield text


def _settlement(event: Any) -> str:
    again = "" if np.isnan(event.recomputed) else f" (recomputed {number(event.recomputed)})"
    if event.kind == "funding":
        return (
            f"funding of {event.instrument} at {event.effective_at:%H:%M}: −({number(event.quantity)}) × "
            f"{number(event.price)} × {signed(f'{event.rate:.6%}')} = {number(event.booked)} {QUOTE}{again}"
        )
    if event.kind == "reward":
        return f"reward for {event.detail}: {number(event.booked)} {event.instrument}{again}"
    if event.kind == "arrival":
        return f"arrival: {number(event.booked)} at {event.instrument}"
    what = "liquidation" if event.kind == "liquidation" else event.detail.replace("_", "-")
    cash = f", {number(event.booked)} {QUOTE} of cash{again}" if is_perp(event.instrument) else ""
    return f"{what} of {event.instrument}: {number(event.quantity)} at {number(event.price)}{cash}"


def _risk(hour: "Explanation") -> Iterable[str]:
    for name, line in _lines(hour.risk):
        levels = line[list(_MOMENTS.values())]
        # nothing open, nothing owed
        if name.startswith("maintenance_ratio") or not (np.isfinite(levels) & (levels != 0.0)).any():
            continue
        moments = [f"{words} {_ratio(line[column])}" for words, column in _MOMENTS.items() if np.isfinite(line[column])]
        limits = ""
        if np.isfinite(line["critical"]):
            limits = f" (warning {_ratio(line['warning'])}, critical {_ratio(line['critical'])})"
        yield f"{in_words(name)}: {', '.join(moments)}{limits}"
    for event in _rows(hour.alerts):
        yield f"alert: {event.detail}, {event.level}"


def _order(event: Any, share_class: str) -> str:
    where = f" → {event.destination}" if event.destination else ""
    if event.kind == "order":
        return f"order {event.detail} {event.instrument}{where}: {number(event.quantity)}"
    if event.kind == "reject":
        return f"reject {event.instrument}: {event.detail}"
    if event.kind == "transfer":
        return f"transfer {event.instrument}{where}: {number(-event.quantity)}, {event.detail}"
    text = f"fill {event.detail} {event.instrument}: {number(event.quantity)}"
    if event.price:
        text += f" at {number(event.price)} (reference {number(event.reference_price)})"
    for name, words in _COSTS.items():
        if getattr(event, name) != 0.0:
            text += f", {words} {signed(money(getattr(event, name), share_class))}"
    return text


def _exposure(hour: "Explanation") -> Iterable[str]:
    table = hour.exposure
    for name, line in _lines(table):
        if name.startswith("net_delta|"):
            asset = name.partition("|")[2]
            ratio = _arrow(table.loc[f"net_delta_ratio|{asset}"], percent)
            yield f"net delta {_arrow(line)} {asset}, {ratio} of equity"
    # what is counted in its own share class is no exposure
    if table.loc["gross"].any():
        yield f"gross {_arrow(table.loc['gross'])} {hour.share_class}"
    for name, line in _lines(hour.positions):
        yield f"{name.replace('|', ' ').replace('in_transit', 'under way')}: {_arrow(line)}"


def _pnl(hour: "Explanation") -> Iterable[str]:
    least = _ROUNDING * hour.check.allowed
    for name, line in _lines(hour.pnl):
        if abs(line["booked"]) < least and not abs(line["recomputed"]) >= least:
            continue
        again = f", recomputed {number(line['recomputed'])}" if np.isfinite(line["recomputed"]) else ""
        yield f"{name} {number(line['booked'])}{again}"
        for term in _rows(hour.terms):
            if term.column == name and abs(term.amount) >= least:
                yield f"  {number(term.amount)} = {term.formula or 'as booked'}, {term.what}"
    if not hour.is_whole:
        yield "not recomputed: the run went on from a checkpoint, which is none of its tables"


def _check(hour: "Explanation") -> str:
    check = hour.check
    verdict = "closes" if check.closes else "DOES NOT CLOSE"
    return (
        f"equity {number(check.equity_before)} → {number(check.equity)} less flows {number(check.net_flow)} = "
        f"{number(check.pnl)}; the columns sum to {number(check.columns)}: {verdict} "
        f"({abs(check.difference):.1e} apart, {check.allowed:.1e} allowed)"
    )
