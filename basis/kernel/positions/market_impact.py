"""What the market of an hour takes of an order, and at which price: slippage, impact, volume, lots (accounting §8).

A place counts the tokens, then the perps. A book without limited markets trades any size at the slippage of its bucket.
"""

import math

from ..layout import codes
from ..numba.jit import stage

#: Rounding in a whole number of lots, relative and in lots.
_ROUNDING = 1e-12
_ROUNDING_OF_LOTS = 1e-9
#: Relative: what is left of a perp that counts as closed.
_CLOSED = 1e-12


@stage
def slippage_of(buckets, notional):
    """Fraction of price lost by an order of a notional, by the buckets of a slippage table."""
    j = 0
    while (j < buckets.shape[0] - 1) & (notional > buckets[j].max_notional):
        j += 1
    return buckets[j].fraction


@stage
def remaining_capacity(run, t, lane, place):
    """Units that the orders of this row may still trade at a place."""
    if run.shape.limited == 0:
        return codes.NO_LIMIT
    left = run.market.capacity[t, place] - run.state.traded[place, lane]
    return left if left > 0.0 else 0.0


@stage
def within_capacity(run, t, lane, place, units):
    """Of `units` those that the market takes in this row; where it takes fewer, the action goes on in the next."""
    left = remaining_capacity(run, t, lane, place)
    if units > left:
        run.state.cut_short[lane] = 1.0
        return left
    return units


@stage
def whole_lots(run, t, place, units):
    """Units rounded down to the lots in which a place trades."""
    if run.shape.limited == 0:
        return units
    step = run.terms.lot[run.terms_index[t], place].step
    if step <= 0.0:
        return units
    return math.floor(units / step * (1.0 + _ROUNDING) + _ROUNDING_OF_LOTS) * step


@stage
def accepted_quantity(run, t, lane, place, dq, held, reference):
    """How much of an order its venue takes, and FILLED or why it takes nothing; what is `held` may go whole."""
    if run.shape.limited == 0:
        return dq, codes.FILLED
    units = abs(dq)
    taken = within_capacity(run, t, lane, place, units)
    if taken <= 0.0:
        return 0.0, codes.NO_VOLUME
    closes = held != 0.0 and abs(held + dq) <= abs(held) * _CLOSED
    if closes and units <= taken:
        return dq, codes.FILLED
    units = whole_lots(run, t, place, taken)
    least = run.terms.lot[run.terms_index[t], place].min_notional
    if units <= 0.0 or (units * reference < least and not closes):
        return 0.0, codes.BELOW_LOT
    return (units if dq > 0.0 else -units), codes.FILLED


@stage
def impact_of_slice(impact, before, units):
    """Fraction of price that a slice moves after others: what their sum pays, less what those before it have paid."""
    size = before + units
    if before <= 0.0 or units <= 0.0:
        return impact * math.sqrt(size)
    return impact * (size * math.sqrt(size) - before * math.sqrt(before)) / units


@stage
def slippage(run, t, lane, terms, place, units, reference):
    """Fraction of price that a taker loses: by size, and by the root of its share of the volume.

    What the row has traded there already counts towards both: the bucket is that of the sum so far, and the impact of
    all slices is that of their sum. `terms` is the index of the terms in force.
    """
    tokens = run.shape.tokens
    before = run.state.traded[place, lane]
    size = before + units
    if place < tokens:
        slip = slippage_of(run.terms.spot_slippage[terms, place], size * reference)
    else:
        slip = slippage_of(run.terms.perp_slippage[terms, place - tokens], size * reference)
    if run.shape.limited == 0:
        return slip
    return slip + impact_of_slice(run.market.impact[t, place], before, units)


@stage
def swap_slippage(run, t, lane, token, notional):
    """Fraction of price that a swap of a token of the wallet loses, by its notional and what the row has swapped."""
    swapped = run.state.traded[token, lane] + notional
    return slippage_of(run.terms.spot_slippage[run.terms_index[t], token], swapped)


@stage
def fill_price(run, t, lane, place, venue, dq, reference):
    """Price and fee rate of a trade: of an order that rested where the market reached it, else a taker's.

    Orders that risk asks for do not rest.
    """
    is_spot = place < run.shape.tokens
    terms = run.terms.venue[run.terms_index[t], venue]
    if run.shape.limited > 0 and run.state.is_urgent[lane] == 0.0:
        resting = run.market.resting_buy[t, place] if dq > 0.0 else run.market.resting_sell[t, place]
        if resting > 0.0:
            return resting, (terms.spot_maker if is_spot else terms.perp_maker)
    slip = slippage(run, t, lane, run.terms_index[t], place, abs(dq), reference)
    price = reference * (1.0 + slip) if dq > 0.0 else reference * (1.0 - slip)
    return price, (terms.spot_taker if is_spot else terms.perp_taker)


@stage
def slippage_limit(run, t, lane, place, units, reference):
    """Fraction of price that a trade either way may lose at most, whether it rests or takes."""
    worst = slippage(run, t, lane, run.terms_index[t], place, units, reference)
    if run.shape.limited > 0:
        for resting in (run.market.resting_buy[t, place], run.market.resting_sell[t, place]):
            off = abs(resting - reference) / reference
            worst = off if resting > 0.0 and off > worst else worst
    return worst


@stage
def note_traded(run, lane, place, units):
    """Count what is traded against the rest of the row."""
    run.state.traded[place, lane] += units


@stage
def open_trading(run, t, lane):
    """Begin the trading of a row, and of the hour that ended with it: once, nothing has been traded in it."""
    state = run.state
    if state.traded_at[lane] != run.market.time[t]:
        state.traded_at[lane] = run.market.time[t]
        for place in range(run.shape.tradable):
            state.traded[place, lane] = 0.0
