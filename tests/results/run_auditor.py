"""An outsider's book: quantities and costs rebuilt row by row from a run's start and events, without the engine."""

from collections import defaultdict


def rebuild(events, stamps, holdings, share_class, eth_price):
    """Yield (stamp, quantities, costs, under way) after the events of each row.

    `eth_price` is share class per ETH by row, needed where gas is paid.
    """
    held, cost, moving = defaultdict(float), defaultdict(float), defaultdict(float)
    for name, amount in holdings.items():
        key, _, measure = name.partition("|")
        (cost if measure else held)[key] = amount
    by_row = dict(tuple(events.groupby("timestamp")))
    for row, stamp in enumerate(stamps):
        for event in by_row[stamp].itertuples() if stamp in by_row else ():
            apply(event, held, cost, moving)
            if event.gas:
                pay_gas(event.gas, held, share_class, eth_price[row])
        yield stamp, dict(held), dict(cost), dict(moving)


def cash_of(event):
    return f"{event.venue}:BaseToken:USDT"


def apply(event, held, cost, moving):
    if event.kind == "fill" and event.detail == "spot":
        held[event.instrument] += event.quantity
        held[cash_of(event)] += event.amount
    elif event.kind == "fill" and event.detail == "perp":
        realised = move_perp(event, held, cost)
        assert abs(realised - event.realised_cash) <= 1e-9 * max(1.0, abs(realised))
        held[cash_of(event)] += event.amount
    elif event.kind == "fill":
        symbol = event.instrument.rsplit(":", 1)[1]
        held[event.instrument] += event.quantity
        held[f"wallet:BaseToken:{symbol}"] += event.amount
    elif event.kind == "transfer":
        held[event.instrument] += event.quantity
        late = event.effective_at > event.timestamp
        (moving if late else held)[event.destination] += event.amount
    elif event.kind == "arrival":
        assert event.effective_at <= event.timestamp
        held[event.instrument] += event.amount
        moving[event.instrument] -= event.amount
    elif event.kind == "funding":
        held[cash_of(event)] += event.amount
    elif event.kind == "liquidation":
        held[event.instrument] += event.quantity
        cost[event.instrument] = 0.0
        held[cash_of(event)] += event.amount
    elif event.kind == "flow":
        held[event.instrument] += event.quantity
    else:
        assert event.kind in ("decision", "order", "reject", "alert", "error")


def move_perp(event, held, cost):
    """Accounting §2: same side adds to the cost, a close realises its share of it, a flip is both."""
    key, dq, price = event.instrument, event.quantity, event.price
    before, spent = held[key], cost[key]
    after = held[key] = before + dq
    if before * dq >= 0.0:
        cost[key] = spent + dq * price
        return 0.0
    if before * after > 0.0:
        part = -dq / before
        cost[key] = spent * (1.0 - part)
        return part * (before * price - spent)
    cost[key] = after * price
    return before * price - spent


def pay_gas(worth, held, share_class, eth_price):
    eth, own = "wallet:BaseToken:ETH", f"wallet:BaseToken:{share_class}"
    if share_class != "ETH" and held.get(eth, 0.0) > 0.0:
        used = min(worth / eth_price, held[eth])
        held[eth] -= used
        worth -= used * eth_price
    held[own] -= worth
