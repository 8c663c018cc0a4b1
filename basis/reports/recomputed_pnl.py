"""The P&L of one row, recomputed from positions, prices and events (accounting §5).

It repeats none of the run's arithmetic on its state, so that it audits what was booked.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from basis.assets import load_assets
from basis.components.event_records import DEFICIT_BORNE
from basis.kernel.keys import QUOTE_ASSET, Key, parse_key
from basis.kernel.layout.codes import COLUMN_NAMES
from basis.reports.formatting import number
from basis.reports.row_inputs import STOP_DETAILS, RowInputs, is_perp


class Term(NamedTuple):
    """A part of a column's P&L: where it comes from, its formula with numbers, and its amount in share class."""

    column: str
    what: str
    formula: str
    amount: float


def recompute_terms(inputs: RowInputs) -> list[Term]:
    """All terms of the row's P&L that are not zero, in the order of the columns."""
    found = [*_funding_terms(inputs), *_event_terms(inputs)]
    if inputs.row:
        for name in inputs.run.table("positions").columns:
            if name != "timestamp" and "|" not in name:
                key = parse_key(name)
                found += _perp_terms(inputs, key) if key.type == "Perp" else _holding_terms(inputs, key)
    order = {name: place for place, name in enumerate(COLUMN_NAMES)}
    return sorted((term for term in found if term.amount != 0.0), key=lambda term: order[term.column])


# --- changes of value of what was held -------------------------------------------------------------------------------


def _holding_terms(inputs: RowInputs, key: Key) -> Iterable[Term]:
    """Change of value of cash, tokens, supplies and debts, by index, staking rate, peg and price in turn."""
    t, name = inputs.row, str(key)
    held = inputs.held_before(name) + inputs.held_before(f"{name}|in_transit")
    q = -held if key.type == "debtToken" else held
    asset = load_assets().underlying_of(key.base)
    i0, i1 = inputs.lending_index(key, t - 1), inputs.lending_index(key, t)
    (r0, k0), (r1, k1) = inputs.rate_and_peg(key.symbol, t - 1), inputs.rate_and_peg(key.symbol, t)
    p0, p1 = inputs.price(asset, t - 1), inputs.price(asset, t)
    if key.symbol in inputs.run.config.distributions and key.venue == "wallet":
        yield _change("dust_pnl", name, held, p0, p1)
        return
    interest = "borrow_cost" if key.type == "debtToken" else "supply_yield"
    yield _change(interest, name, q, i0, i1, r0 * k0 * p0)
    yield _change("staking_yield", name, q, r0, r1, i1 * k0 * p0)
    yield _change("peg_pnl", name, q, k0, k1, i1 * r1 * p0)
    yield _change("delta_pnl", name, q, p0, p1, i1 * r1 * k1)


def _perp_terms(inputs: RowInputs, key: Key) -> Iterable[Term]:
    """Change of value of a perp by spot price, basis, and the price of the quote currency, until it was closed."""
    t, name = inputs.row, str(key)
    q, cost = inputs.held_before(name), inputs.held_before(f"{name}|cost")
    m0, m1 = inputs.market(f"mark|{name}", t - 1), inputs.market(f"mark|{name}", t)
    s0, s1 = inputs.market(f"spot|{key.base}", t - 1), inputs.market(f"spot|{key.base}", t)
    u0, u1 = inputs.price(QUOTE_ASSET, t - 1), inputs.price(QUOTE_ASSET, t)
    closed_at = _price_closed_at(inputs, name, m1)
    if closed_at is None:
        yield _change("delta_pnl", name, q, s0, s1, u1)
        yield _change("basis_pnl", name, q, m0 - s0, m1 - s1, u1)
    else:
        yield _change("delta_pnl", f"{name}, to where it was closed", q, m0, closed_at, u1)
    yield _change("delta_pnl", f"{name}, its profit in {QUOTE_ASSET}", q * m0 - cost, u0, u1)


def _price_closed_at(inputs: RowInputs, name: str, mark: float) -> float | None:
    """Price at which a liquidation or a stop closed a perp within the hour; None if none did."""
    for event in inputs.events.itertuples():
        if event.instrument != name:
            continue
        if event.kind == "liquidation" and not event.price == event.reference_price == mark:
            return event.price
        if event.kind == "fill" and event.detail in STOP_DETAILS and event.reference_price != mark:
            return event.reference_price
    return None


def _change(column: str, what: str, held: float, before: float, now: float, *factors: float) -> Term:
    """A quantity times the change of its price, times the factors that convert it to share class."""
    amount = held * (now - before)
    for factor in factors:
        amount *= factor
    formula = f"{number(held)} × {number(now - before)} ({number(before)} → {number(now)})"
    return Term(column, what, formula + "".join(map(_times, factors)), amount)


def _times(factor: float) -> str:
    return "" if factor == 1.0 else f" × {number(factor)}"


# --- events ----------------------------------------------------------------------------------------------------------


def _funding_terms(inputs: RowInputs) -> Iterable[Term]:
    """Funding: −(quantity × price × rate), converted from the quote currency."""
    price = inputs.price(QUOTE_ASSET, inputs.row)
    for event in inputs.events_of("funding").itertuples():
        amount = -event.quantity * event.price * event.rate * price
        formula = f"−({number(event.quantity)}) × {number(event.price)} × {event.rate:.6%}" + _times(price)
        yield Term("funding_pnl", f"{event.instrument}, {event.effective_at:%H:%M}", formula, amount)


def _event_terms(inputs: RowInputs) -> Iterable[Term]:
    """Rewards, costs, and the value that conversions and lending liquidations gain or lose."""
    for event in inputs.events.itertuples():
        what = " ".join(filter(None, (event.kind, event.detail))) + f", {event.instrument}"
        if event.kind == "reward":
            price = inputs.price(parse_key(event.instrument).symbol, inputs.row)
            formula = f"{number(event.quantity)} × {number(price)}"
            yield Term("reward_pnl", event.instrument, formula, event.quantity * price)
        for column, (kind, field, recompute) in _COSTS.items():
            if getattr(event, field) != 0.0 and kind in (None, event.kind):
                yield Term(column, what, *recompute(inputs, event))
        is_lending_liquidation = event.kind == "liquidation" and not is_perp(event.instrument)
        if event.peg_conversion != 0.0:
            recompute = _seized_peg if is_lending_liquidation else _converted_peg
            yield Term("peg_pnl", what, *recompute(inputs, event))
        if event.detail == DEFICIT_BORNE:
            value = inputs.unit_value(parse_key(event.instrument), inputs.row)
            yield Term("deficit_borne", what, f"{number(event.quantity)} × {number(value)}", event.quantity * value)
        if is_lending_liquidation and event.price != event.reference_price:
            # The terms of the holding run to the prices of the row; this part left at the extreme of the hour.
            moved = event.price / event.reference_price
            value = inputs.unit_value(parse_key(event.instrument), inputs.row)
            formula = f"{number(event.quantity)} × {number(value)} × (1 − {number(moved)})"
            yield Term("delta_pnl", what, formula, event.quantity * value * (1.0 - moved))


# Each of the following gives formula and amount of an event. An empty formula stands for an amount taken as booked.


def _fee(inputs: RowInputs, event: Any) -> tuple[str, float]:
    if event.kind == "transfer":
        symbol = parse_key(event.instrument).symbol
        units, price = -event.quantity - event.amount, inputs.price(symbol, inputs.row)
        return f"−{number(units)} {symbol}" + _times(price), -units * price
    if event.kind == "liquidation" and not is_perp(event.instrument):
        amount = event.notional * event.rate / (1.0 + event.rate)
        return f"−{number(event.notional)} × {event.rate:.4%} ÷ (1 + {event.rate:.4%})", -amount
    amount = event.notional * event.rate
    if event.kind == "liquidation" and amount > event.fee * (1.0 + 1e-12):
        return f"no more than the margin left, of {number(event.notional)} × {event.rate:.4%}", -event.fee
    return f"−{number(event.notional)} × {event.rate:.4%}", -amount


def _slippage(inputs: RowInputs, event: Any) -> tuple[str, float]:
    venue = inputs.run.config.venues[parse_key(event.instrument).venue]
    # exchanges quote in the quote currency, and swaps on chain are priced in ether
    paid_in = QUOTE_ASSET if venue.kind == "exchange" else "ETH"
    units, price = _units_traded(event), inputs.price(paid_in, inputs.row)
    formula = f"{number(-units)} × ({number(event.price)} − {number(event.reference_price)})" + _times(price)
    return formula, -units * (event.price - event.reference_price) * price


def _gas(inputs: RowInputs, event: Any) -> tuple[str, float]:
    gwei, price = inputs.market("gas_price_gwei", inputs.row), inputs.price("ETH", inputs.row)
    formula = f"−{event.gas_units:,.0f} gas × {number(gwei)} gwei" + _times(price)
    return formula, -event.gas_units * gwei * 1e-9 * price


def _flash_fee(inputs: RowInputs, event: Any) -> tuple[str, float]:
    key = parse_key(event.instrument)
    schedule = inputs.run.config.venues[key.venue].flash_fee
    if schedule is None:
        return "", -event.flash_fee
    rate = schedule.at(inputs.timestamp.to_pydatetime()).value
    units, price = abs(event.amount), inputs.price(load_assets().underlying_of(key.base), inputs.row)
    return f"−{number(units)} × {rate:.4%}" + _times(price), -units * rate * price


def _seized_peg(inputs: RowInputs, event: Any) -> tuple[str, float]:
    """A lending liquidation takes collateral at its oracle price, which may differ from its market value."""
    value = inputs.unit_value(parse_key(event.instrument), inputs.row)
    moved = event.price / event.reference_price
    formula = f"{number(event.quantity)} × ({number(value)} − {number(event.reference_price)})" + _times(moved)
    return formula, event.quantity * (value - event.reference_price) * moved


def _converted_peg(inputs: RowInputs, event: Any) -> tuple[str, float]:
    """A conversion in the wallet, priced in ether, at a rate other than the market value of the token."""
    key = parse_key(event.instrument)
    (rate, peg), ether = inputs.rate_and_peg(key.symbol, inputs.row), inputs.price("ETH", inputs.row)
    value = rate * peg * inputs.price(load_assets().underlying_of(key.base), inputs.row) / ether
    units = _units_traded(event)
    formula = f"{number(units)} × ({number(value)} − {number(event.reference_price)})" + _times(ether)
    return formula, units * (value - event.reference_price) * ether


def _units_traded(event: Any) -> float:
    """Units of the token that changed hands, signed. The quantity of a lending token is scaled; its amount is not."""
    is_scaled = parse_key(event.instrument).type in ("aToken", "debtToken")
    return event.amount if is_scaled else event.quantity


#: Column of the attribution to the kind of event that it is booked with (None: any), the field of the event, and the
#: function that recomputes it.
_COSTS: dict[str, tuple[str | None, str, Callable[[RowInputs, Any], tuple[str, float]]]] = {
    "fees": ("fill", "fee", _fee),
    "slippage": ("fill", "slippage", _slippage),
    "gas": (None, "gas", _gas),
    "transfer_fees": ("transfer", "fee", _fee),
    "flash_fees": (None, "flash_fee", _flash_fee),
    "liquidation_loss": ("liquidation", "fee", _fee),
}
