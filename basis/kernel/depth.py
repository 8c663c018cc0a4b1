"""What the market of an hour takes of an order, and at which price: slippage, impact, volume, lots (accounting §8).

Places count the tokens, then the perps. A book without depth trades any size at the slippage of its bucket.
"""

import math

from . import layout as at
from .numba.jit import stage

#: Rounding in a whole number of steps, relative and in steps.
_WHOLE = 1e-12
_STEP = 1e-9
#: Relative: what is left of a perp that counts as closed.
_CLOSED = 1e-12


@stage
def slippage_of(buckets, notional):
    """Fraction of price lost by an order of that notional; `buckets` is (buckets, 2): largest notional, fraction."""
    j = 0
    while (j < buckets.shape[0] - 1) & (notional > buckets[j, 0]):
        j += 1
    return buckets[j, 1]


@stage
def room_at(n, cells, tape, place, lane):
    """Units that may still be traded at a place in this row."""
    if len(n.depth) == 0:
        return at.NO_LIMIT
    left = tape[at.quote_at(n).room + place] - cells[at.book_at(n).traded + place, lane]
    return left if left > 0.0 else 0.0


@stage
def whole_lots(n, model, regime, place, units):
    """Units rounded down to the steps in which a place trades."""
    if len(n.depth) == 0:
        return units
    step = model.terms.lot[regime, place, at.LOT_STEP]
    if step <= 0.0:
        return units
    return math.floor(units / step * (1.0 + _WHOLE) + _STEP) * step


@stage
def admitted(n, cells, model, tape, regime, place, dq, held, reference, lane):
    """How much of an order its venue takes, and OK or why it takes nothing; what is `held` may go whole."""
    if len(n.depth) == 0:
        return dq, at.OK
    units = abs(dq)
    room = room_at(n, cells, tape, place, lane)
    if room <= 0.0:
        return 0.0, at.NO_VOLUME
    closes = held != 0.0 and abs(held + dq) <= abs(held) * _CLOSED
    if closes and units <= room:
        return dq, at.OK
    units = whole_lots(n, model, regime, place, units if units < room else room)
    if units <= 0.0 or (units * reference < model.terms.lot[regime, place, at.LOT_LEAST] and not closes):
        return 0.0, at.BELOW_LOT
    return (units if dq > 0.0 else -units), at.OK


@stage
def lost_at(n, cells, model, tape, regime, place, units, reference, lane):
    """Fraction of price a taker loses: by size, and by the root of its share of the volume, trades of the row before
    it included."""
    if place < len(n.token):
        slip = slippage_of(model.terms.spot_slippage[regime, place], units * reference)
    else:
        slip = slippage_of(model.terms.perp_slippage[regime, place - len(n.token)], units * reference)
    if len(n.depth) == 0:
        return slip
    size = cells[at.book_at(n).traded + place, lane] + units
    return slip + tape[at.quote_at(n).impact + place] * math.sqrt(size)


@stage
def dealt_at(n, cells, model, tape, regime, place, v, dq, reference, lane):
    """Price and fee rate of a trade: of an order that rested over the bar where the market came to it, else a
    taker's."""
    spot = place < len(n.token)
    if len(n.depth) > 0:
        resting = tape[(at.quote_at(n).buy if dq > 0.0 else at.quote_at(n).sell) + place]
        if resting > 0.0:
            return resting, model.terms.venue[regime, v, at.SPOT_MAKER if spot else at.PERP_MAKER]
    slip = lost_at(n, cells, model, tape, regime, place, abs(dq), reference, lane)
    price = reference * (1.0 + slip) if dq > 0.0 else reference * (1.0 - slip)
    return price, model.terms.venue[regime, v, at.SPOT_TAKER if spot else at.PERP_TAKER]


@stage
def worst_at(n, cells, model, tape, regime, place, units, reference, lane):
    """Fraction of price a trade either way may lose, whichever way it is dealt."""
    worst = lost_at(n, cells, model, tape, regime, place, units, reference, lane)
    if len(n.depth) > 0:
        for resting in (tape[at.quote_at(n).buy + place], tape[at.quote_at(n).sell + place]):
            off = abs(resting - reference) / reference
            worst = off if resting > 0.0 and off > worst else worst
    return worst


@stage
def note_traded(n, cells, place, units, lane):
    """What is traded counts against the rest of the row."""
    if len(n.depth) > 0:
        cells[at.book_at(n).traded + place, lane] += units


@stage
def open_trading(n, cells, lane):
    """Nothing has been traded in a row that begins."""
    for place in range(len(n.depth)):
        cells[at.book_at(n).traded + place, lane] = 0.0
