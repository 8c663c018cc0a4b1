"""Record types of what passes through the kernel one at a time: actions, orders, fills, events, plans, terms, rewards.

All fields are float64 or int64, so that records have no gaps.
"""

import numpy as np

_F, _I = np.float64, np.int64


def _record(integers: str = "", floats: str = "") -> np.dtype:
    return np.dtype([(name, _I) for name in integers.split()] + [(name, _F) for name in floats.split()])


#: What a strategy asks for. `target` is filled in when its route begins; stop and take-profit are distances from the
#: price of the fill that opens, as fractions of it, 0 for none. `status` is DECIDED, REPORTED or GOES_ON (`codes`).
ACTION = _record("code plan status", "amount target stop take_profit")
#: What is sent to a venue: units, signed for trades; `action` is the code of the action that it belongs to.
ORDER = _record("kind slot destination action", "quantity")
#: What a venue made of an order. `fee_rate` is the fee by notional. `fee` counts units of what is sent; of a flash loan
#: it is a fraction. `wait_s` is the time until it arrives, `put_in` the ether that goes into a bundle.
FILL = _record("kind slot destination action", "quantity price reference fee_rate fee gas_units wait_s put_in")
#: What happened. Costs are in share class; `cash` is what an exchange books, in quote units.
EVENT = _record(
    "row lane kind code slot destination action correlation sequence",
    "quantity price reference fee_rate notional fee slippage gas gas_units cash amount effective level peg flash_fee",
)
#: What an action on an asset means: places of its asset, its token, its collateral, the venue of the token (-1: the
#: wallet), the market of its perps, the token that pays, where it is got and given back, its debt, and loops by hand.
PLAN = _record("kind asset token collateral venue market pays place debt loops")
#: Reward tokens for what is held: in which row, of which token, for which slot, per stored unit, and the rate shown.
PAYOUT = _record("row reward earner", "per_unit rate")

# --- terms, each dated by a terms index
#: Of an exchange: fees by notional, fee of a withdrawal in quote units, seconds in and out.
VENUE_TERMS = _record(
    "", "spot_taker spot_maker perp_taker perp_maker liquidation_fee withdrawal_fee deposit_latency withdrawal_latency"
)
#: Units of gas by operation.
GAS_TERMS = _record("", "transfer supply withdraw swap stake unstake borrow repay lever delever")
#: A margin tier: largest notional, maintenance rate and amount, largest leverage.
TIER = _record("", "max_notional rate amount leverage")
#: A bucket of slippage: largest notional, fraction of the price.
BUCKET = _record("", "max_notional fraction")
#: Of a wallet's token: fee at its market, seconds at its protocol.
STAKE_TERMS = _record("", "swap_fee stake_latency unstake_latency")
#: Of a collateral: largest loan to value at opening, liquidation bonus, supply cap in units of it.
COLLATERAL_TERMS = _record("", "max_ltv bonus supply_cap")
#: Of a lending account: rule of the close factor (`close_rules`), fee of a flash loan.
ACCOUNT_TERMS = _record("close_rule", "flash_fee")
#: Of a market: smallest step of a quantity (0 for none), smallest notional of an order in quote units.
LOT = _record("", "step min_notional")
