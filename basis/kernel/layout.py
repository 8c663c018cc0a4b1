"""What stands where: slots of the book, rows of the state, columns of the hour, of events and of attribution.

A book is any list of instrument keys. Its slots are sorted by kind, ``cash | token | collateral | debt | perp``; reward
tokens are the last of the tokens, and perps form a (venue x market) grid so that those of a venue are neighbours. Sizes
are lengths of tuples (`Shape`). Compiled code asks a frame for them: they are constants in the loop over hours, which
is bound to each book (`jit.bound`), and words elsewhere, so that one source serves any book and any lane count.
Imports only the kernel's own `jit`.
"""

from itertools import pairwise
from typing import Any, NamedTuple

from .jit import shared


class Shape(NamedTuple):
    """Sizes of a book, each the length of a tuple of None. Perps are ``len(cash) * len(market)``."""

    lanes: Any
    cash: Any
    token: Any
    collateral: Any
    debt: Any
    market: Any
    asset: Any
    reward: Any
    stop: Any
    depth: Any


def make_shape(
    lanes: int,
    cash: int,
    token: int,
    collateral: int,
    debt: int,
    market: int,
    asset: int,
    reward: int = 0,
    stops: bool = False,
    depth: bool = False,
) -> Shape:
    """Shape from counts; `reward` of the tokens are reward tokens, `stops`: each perp has a stop and a take-profit,
    `depth`: tokens and perps trade against the volume of the hour."""
    stop = cash * market if stops else 0
    deep = token + cash * market if depth else 0
    counts = (lanes, cash, token, collateral, debt, market, asset, reward, stop, deep)
    return Shape(*[(None,) * k for k in counts])


# --- attribution (accounting §5), in the order of the run folder
COLUMN_NAMES = (
    "funding_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl", "peg_pnl", "delta_pnl", "basis_pnl",
    "dust_pnl", "fees", "slippage", "gas", "transfer_fees", "flash_fees", "liquidation_loss",
)  # fmt: skip
(
    FUNDING, SUPPLY, BORROW, STAKING, REWARD, PEG, DELTA, BASIS, DUST, FEES, SLIPPAGE, GAS, TRANSFER_FEES,
    FLASH_FEES, LIQUIDATION_LOSS,
) = range(15)  # fmt: skip
COLUMNS = len(COLUMN_NAMES)

# --- the head of the state and of a strategy's view: fixed positions
(
    EQUITY, GROSS, LTV, HEALTH_FACTOR, DRIFT, INVESTED, MARGIN_LOW, MARGIN_HIGH, PENDING, FLOW, FLOWS, ALERT,
    ARRIVED, FIRST, LAST, RATE, GAS_COST, QUOTE_PRICE, TAILED, DUST_WORTH, REVERTED, MEMORY,
) = range(22)  # fmt: skip
#: Rows a strategy may write to keep something from one decision to the next.
MEMORIES = 4
HEAD = MEMORY + MEMORIES
#: After the head a view shows, per asset: units held long, units short in perps, price in share class.
LONG, SHORT, PRICE = range(3)
SEEN = 3

# --- statistics of a lane
(
    CAPITAL, PEAK, DEEPEST_PEAK, DEEPEST, LEAST_BALANCE, LEAST_NOTIONAL, RESIDUAL, SCALE, FLAG, DECISIONS, EVENTS,
    PAID, NEXT_DUE,
) = range(13)  # fmt: skip
STATS = 13
#: A limit that nothing reaches; finite, so that it may be multiplied with zero.
NO_LIMIT = 1e200

# --- transit queue
QUEUE = 24
# --- actions and orders
NO_ACTION, ENTRY_FULL, ENTRY_PARTIAL, EXIT_PARTIAL, EXIT_FULL, SELL_DUST = range(6)
ACTION_NAMES = ("", "entry_full", "entry_partial", "exit_partial", "exit_full", "sell_dust")
#: An action is (action, plan, amount, target, stop, take-profit); the target is filled in when it is routed, the last
#: two are distances from the price of the fill that opens, as fractions of it, 0 for none.
ACTIONS, ACTION_WIDTH = 8, 6
TRADE_SPOT, TRADE_PERP, TRANSFER, SUPPLY_POOL, WITHDRAW_POOL, SWAP, STAKE, UNSTAKE, BORROW_POOL, REPAY_POOL = range(10)
#: In one transaction: lever up with tokens staked or bought, down to the target, down to no debt.
LEVER_STAKE, LEVER_SWAP, DELEVER, UNWIND = range(10, 14)
#: Fills that nobody decides when they happen (E_CODE of a fill): at a stop, at a take-profit.
STOPPED, TAKEN = 14, 15
#: An order is (type, slot, destination slot, quantity).
ORDERS, ORDER_WIDTH = 32, 4
#: What a venue made of an order. Rate: fee by notional; fee: units of what is sent; units: of gas; wait: seconds.
(
    D_KIND, D_SLOT, D_DEST, D_QUANTITY, D_PRICE, D_REFERENCE, D_RATE, D_FEE, D_UNITS, D_WAIT,
) = range(10)  # fmt: skip
DEAL_WIDTH = 10

# --- plans: what an action on an asset means
PLAN_NONE, PLAN_HEDGE, PLAN_MARGIN, PLAN_LEND, PLAN_STAKE, PLAN_LEVER, PLAN_DUST, PLAN_LONG, PLAN_SHORT = range(9)
#: plan row: kind, asset, token slot, collateral slot, venue of the token (-1 wallet), market of the perps, slot of the
#: token that pays, where it is got and given back (0 its protocol, 1 the market, 2 protocol and market), debt slot,
#: loops (0: one transaction)
(
    PLAN_KIND, PLAN_ASSET, PLAN_TOKEN, PLAN_COLLATERAL, PLAN_VENUE, PLAN_MARKET, PLAN_PAYS, PLAN_AT_MARKET,
    PLAN_DEBT, PLAN_LOOPS,
) = range(10)  # fmt: skip
PLAN_WIDTH = 10

# --- parameters of a lane: policy, the strategy's own, one weight per venue
(
    TARGET_MARGIN, BAND_LOW, BAND_HIGH, DEVIATION, MAX_DRIFT, GAS_RESERVE, REBALANCE, CLOSE_AT_END, ENTER_RATE,
    LEAVE_RATE, RESTRICT, MIN_INVESTED, MAX_INVESTED, ASK_ALWAYS, TARGET_LTV, LOW_LTV, HIGH_LTV,
    LEAST_HEALTH, DUST_LIMIT, DUST_PLAN,
) = range(20)  # fmt: skip
#: ENTER_RATE where no rate rule applies: the carry is always wanted.
NO_RULE = -1e300
#: What an hour shows of a signal, see `Hour`.
SIGNAL, TRUSTED, STOP_AT, TAKE_AT = range(4)
SIGNALS = 4
#: What a strategy keeps for itself, then one weight per venue.
OWN, OWNS = 20, 8
WEIGHT = OWN + OWNS

# --- terms of venues, one row per venue and regime
(
    SPOT_TAKER, PERP_TAKER, LIQUIDATION_FEE, WITHDRAWAL_FEE, DEPOSIT_LATENCY, WITHDRAWAL_LATENCY, SPOT_MAKER,
    PERP_MAKER,
) = range(8)  # fmt: skip
VENUE_TERMS = 8
(
    GAS_TRANSFER, GAS_SUPPLY, GAS_WITHDRAW, GAS_SWAP, GAS_STAKE, GAS_UNSTAKE, GAS_BORROW, GAS_REPAY, GAS_LEVER,
    GAS_DELEVER,
) = range(10)  # fmt: skip
GAS_TERMS = 10
#: Of a collateral: largest LTV at opening, liquidation bonus, supply cap in units of it.
LTV_MAX, BONUS, SUPPLY_CAP = range(3)
POOL_TERMS = 3
#: Of the lending market: rule of the close factor (`close_rules`), fee of a flash loan.
CLOSE_RULE, FLASH_FEE = range(2)
LENDING_TERMS = 2
#: What a token of the wallet costs to change into ether and back: fee at the market, seconds at its protocol.
SWAP_FEE, STAKE_LATENCY, UNSTAKE_LATENCY = range(3)
STAKE_TERMS = 3
#: Smallest step of a quantity (0: none) and smallest notional of an order, quote units.
LOT_STEP, LOT_LEAST = range(2)
LOT_TERMS = 2
#: margin tier: largest notional, maintenance rate, maintenance amount, largest leverage
TIER_NOTIONAL, TIER_RATE, TIER_AMOUNT, TIER_LEVERAGE = range(4)

# --- events
(
    DECISION,
    ORDER,
    FILL,
    REJECT,
    MOVE,
    ARRIVAL,
    FUNDING_PAID,
    REWARD_PAID,
    LIQUIDATION,
    ALERTED,
    FLOWED,
) = map(float, range(11))
KIND_NAMES = (
    "decision", "order", "fill", "reject", "transfer", "arrival", "funding", "reward", "liquidation", "alert", "flow",
)  # fmt: skip
(
    E_ROW, E_LANE, E_KIND, E_CODE, E_SLOT, E_DEST, E_QUANTITY, E_PRICE, E_REFERENCE, E_RATE, E_NOTIONAL, E_FEE,
    E_SLIPPAGE, E_GAS, E_GAS_UNITS, E_CASH, E_AMOUNT, E_EFFECTIVE, E_CORRELATION, E_LEVEL, E_ACTION, E_SEQ, E_PEG,
    E_FLASH,
) = range(24)  # fmt: skip
EVENT_WIDTH = 24
#: Reasons of a rejection (E_CODE of a reject).
REASONS = (
    "filled",
    "not enough cash",
    "not enough margin",
    "no gas: neither ETH nor share class in the wallet",
    "transit queue full",
    "amount below the fee",
    "not enough held",
    "critical alert: only reductions",
    "no such order",
    "withdrawal exceeds equity",
    "debt beyond the loan to value allowed",
    "health factor would fall below 1",
    "supply above the cap",
    "nothing to change at this loan to value",
    "no market price known",
    "no volume left to take in this hour",
    "below the smallest order of the venue",
)
(
    OK, NO_CASH, NO_MARGIN, NO_GAS, QUEUE_FULL, BELOW_FEE, NOT_HELD, CRITICAL, UNKNOWN_ORDER, EXCEEDS_EQUITY,
    BEYOND_LTV, BREAKS_HF, ABOVE_CAP, NOTHING_TO_DO, NO_MARKET, NO_VOLUME, BELOW_LOT,
) = range(17)  # fmt: skip
#: What a flow event is (E_CODE): money in, a request to take money out, money out.
DEPOSITED, REQUESTED, PAID_OUT = range(3)
FLOW_NAMES = ("deposit", "withdrawal requested", "withdrawal paid")

# --- why `advance` came back
END, ASKED, FULL, BROKEN, INSOLVENT, BAD_DECISION = range(6)


class Book(NamedTuple):
    """Kinds of rows of the state block: their first row (`book_at`) or their views (`book`).

    Those up to `take` are recorded in every row. Stop and take-profit are of no matter where nothing is open.
    """

    head: Any
    column: Any  # cumulative P&L by column
    funding: Any  # cumulative funding by venue
    q: Any
    cost: Any  # K of the perps
    transit: Any  # under way to cash and token slots
    delta: Any  # units by asset
    margin: Any  # margin ratio by venue
    worst: Any  # the same at the adverse extremes of the hour
    before: Any  # ltv, health factor, margin and maintenance ratio by venue, before the row's decision
    alert: Any  # level by measure: ltv, health factor, margin by venue, delta by asset, drawdown
    stop: Any  # price at which a perp is closed at a loss, quote; 0 where there is none
    take: Any  # the same for a take-profit
    stat: Any
    level: Any  # level of each measure now; `alert` holds what was last reported
    balance: Any  # margin balance by venue at the marks, share class
    notional: Any  # the sum of |q| * mark beside it
    worst_balance: Any  # the same at the adverse extremes of the hour, quote
    worst_notional: Any
    bound: Any  # maintenance rate no tier exceeds up to `cap`
    cap: Any
    due: Any  # cash of a liquidation, credited after the holding drift
    queue_to: Any
    queue_amount: Any
    queue_due: Any
    queue_by: Any  # number of the decision that sent it
    limit: Any  # alert limits by measure: warnings, then critical
    param: Any  # policy, the strategy's own, weights
    waiting: Any  # actions decided in the row before (`next_bar`)
    armed: Any  # 1 where the fill that opens a perp sets its stop and take-profit, at
    stop_by: Any  # this distance, and
    take_by: Any  # that; fractions of the price of the fill, 0 for none
    traded: Any  # units traded in this row, by token and perp; of a book with depth only


class Hour(NamedTuple):
    """Coefficients of an hour (`hour_at`, `hour_of`): what a stored unit is worth and earned, by slot (accounting §5).

    The last three never change in a run; they stand here because the loop reads one array and writes another.
    """

    value: Any
    price: Any
    unit: Any
    staking: Any
    peg: Any
    supply: Any
    borrow: Any
    basis: Any
    funding: Any
    high: Any
    low: Any
    oracle: Any
    threshold: Any
    owed: Any
    asset: Any  # price by asset
    rate: Any  # what a rate rule watches
    thin: Any  # what of the collateral's limit is sure to stay at the extremes of the hour
    signal: Any  # SIGNALS of a book with stops: -1, 0 or 1; whether it is trusted; distance of stop, of take-profit
    gross: Any  # 1 where the slot counts in gross exposure
    invested: Any  # 1 where the slot is what the strategy holds long
    member: Any  # (assets * slots) 1 where a slot's units count for the asset


class Quote(NamedTuple):
    """What only fills, transfers and flows need of a row (`quote_at`, `quote_of`); prices in quote units (USDT)."""

    mark: Any
    spot: Any  # tradable reference of the token slots
    market: Any  # ETH per unit of the token slots where they trade, and
    rate: Any  # at their protocol; 1 for what is no staking token
    index: Any  # liquidity index of the collateral slots, and
    debt_index: Any  # borrow index of the debt slots
    down: Any  # at the lowest prices of the hour: worth of collaterals, debts and USD over that at the row's, and
    up: Any  # at the highest
    usd: Any  # share class per USD
    gas: Any  # ETH per unit of gas, price of ETH in share class
    flow: Any  # deposit of this row, number of withdrawals asked so far
    time: Any  # seconds since the epoch
    # of a book with depth, by token and perp (accounting §8)
    room: Any  # most units an hour's orders may take; NO_LIMIT for any
    impact: Any  # slippage of one unit: it grows with the root of the units
    buy: Any  # price at which a buying order that rested over the bar was filled, 0 where it was not reached
    sell: Any  # the same for selling


class Table(NamedTuple):
    """What never changes in a run."""

    venue: Any  # (tokens,) venue of a token slot as cash index, -1 for the wallet
    plan: Any  # (plans, PLAN_WIDTH)
    wallet: Any  # (3,) slots in the wallet: share class, USDT, ETH; -1 where absent
    twin: Any  # (collaterals,) token place of the same token in the wallet, -1 where there is none
    withdrawal: Any  # (withdrawals,) amounts the investor asks for, in order, share class
    payout: Any  # (payouts, PAYOUT_WIDTH) rewards, in order of their rows


class Terms(NamedTuple):
    """Dated terms of the venues; first axis is the regime."""

    venue: Any  # (regimes, venues, VENUE_TERMS)
    gas: Any  # (regimes, GAS_TERMS)
    tier: Any  # (regimes, perps, tiers, 4)
    spot_slippage: Any  # (regimes, tokens, buckets, 2): largest notional, fraction
    perp_slippage: Any  # (regimes, perps, buckets, 2)
    stake: Any  # (regimes, tokens, STAKE_TERMS)
    pool: Any  # (regimes, collaterals, POOL_TERMS)
    lending: Any  # (regimes, LENDING_TERMS)
    lot: Any  # (regimes, tokens + perps, LOT_TERMS); none of a book without depth


class Model(NamedTuple):
    """Everything a run reads and never writes."""

    table: Any
    hours: Any  # (rows, width)
    quotes: Any  # (rows, width)
    regime: Any  # (rows,) int64
    busy: Any  # (rows,) uint8: FUNDS | FLOWS_DUE | CHANGES | CLOSES | REWARDS | ASKS (a signal is new)
    terms: Any
    settings: Any  # (4,) simulate liquidation, next bar, index of the final row, identity tolerance


LIQUIDATE, NEXT_BAR, FINAL_ROW, TOLERANCE = range(4)
SETTINGS = 4
FUNDS, FLOWS_DUE, CHANGES, CLOSES, REWARDS, ASKS = 1, 2, 4, 8, 16, 32
#: A payout: row, slot of the reward token, slot that earns it, tokens per stored unit of that, tokens per unit by rate.
PAYOUT_ROW, PAYOUT_TO, PAYOUT_FROM, PAYOUT_PER_UNIT, PAYOUT_RATE = range(5)
PAYOUT_WIDTH = 5


class Desk(NamedTuple):
    """Working space of a run."""

    seen: Any  # what the strategy sees
    row: Any  # coefficients of the hour
    hour: Any  # the same, for the strategy to look at
    param: Any  # parameters of the lane at hand
    actions: Any
    orders: Any
    deal: Any  # (DEAL_WIDTH,) the order at hand as its venue fills it
    need: Any
    surplus: Any
    events: Any
    count: Any  # (1,) events written


@shared
def perps(n):
    return len(n.cash) * len(n.market)


@shared
def slots(n):
    return len(n.cash) + len(n.token) + len(n.collateral) + len(n.debt) + len(n.cash) * len(n.market)


@shared
def first_perp(n):
    return len(n.cash) + len(n.token) + len(n.collateral) + len(n.debt)


@shared
def measures(n):
    return 3 + len(n.cash) + len(n.asset)


@shared
def recorded(n):
    v = len(n.cash)
    y = v + len(n.token) + len(n.asset)
    return HEAD + COLUMNS + v + slots(n) + perps(n) + y + 2 * v + (2 + 2 * v) + measures(n) + 2 * len(n.stop)


@shared
def signals(n):
    return SIGNALS if len(n.stop) > 0 else 0


@shared
def parameters(n):
    return WEIGHT + len(n.cash)


@shared
def still(n):
    return (2 + len(n.asset)) * slots(n)


@shared
def flag_row(n):
    return recorded(n) + FLAG


@shared
def rows(n):
    fixed = 2 * measures(n) + parameters(n)
    fixed += 1 + ACTIONS * ACTION_WIDTH + 3 * len(n.stop) + len(n.depth)
    return recorded(n) + STATS + measures(n) + 7 * len(n.cash) + 4 * QUEUE + fixed


@shared
def width(n):
    s = slots(n)
    y = len(n.token) + len(n.collateral) + len(n.debt)
    return 3 * s + 2 * y + 3 * len(n.collateral) + 2 * len(n.debt) + 4 * perps(n) + len(n.asset) + 2 + signals(n)


@shared
def quote_width(n):
    return perps(n) + 3 * len(n.token) + 3 * len(n.collateral) + 3 * len(n.debt) + 8 + 4 * len(n.depth)


@shared
def viewed(n):
    return HEAD + SEEN * len(n.asset) + slots(n) + perps(n) + len(n.cash)


@shared
def book_at(n):
    """First row of every kind in the state block, and the row after the last."""
    v = len(n.cash)
    c = COLUMNS + HEAD
    q = c + v
    cost = q + slots(n)
    transit = cost + perps(n)
    delta = transit + v + len(n.token)
    margin = delta + len(n.asset)
    worst = margin + v
    before = worst + v
    alert = before + 2 + 2 * v
    stop = alert + measures(n)
    take = stop + len(n.stop)
    stat = take + len(n.stop)
    level = stat + STATS
    balance = level + measures(n)
    notional = balance + v
    worst_balance = notional + v
    worst_notional = worst_balance + v
    bound = worst_notional + v
    cap = bound + v
    due = cap + v
    queue_to = due + v
    queue_amount = queue_to + QUEUE
    queue_due = queue_amount + QUEUE
    queue_by = queue_due + QUEUE
    limit = queue_by + QUEUE
    param = limit + 2 * measures(n)
    waiting = param + parameters(n)
    armed = waiting + 1 + ACTIONS * ACTION_WIDTH
    return Book(
        0, HEAD, c, q, cost, transit, delta, margin, worst, before, alert, stop, take, stat, level, balance, notional,
        worst_balance, worst_notional, bound, cap, due, queue_to, queue_amount, queue_due, queue_by, limit, param,
        waiting, armed, armed + len(n.stop), armed + 2 * len(n.stop), armed + 3 * len(n.stop),
    )  # fmt: skip


def _views(places, end, array):
    """Views of the rows between the places, as a tuple of the same kind."""
    edges = (*places, end)
    return type(places)(*[array[a:b] for a, b in pairwise(edges)])


def book(n, block):
    """Views of a state block by kind, each (rows of the kind, lanes), for Python callers."""
    return _views(book_at(n), rows(n), block)


@shared
def hour_at(n):
    """Place of every kind of coefficient in a row of the hour."""
    s = slots(n)
    y = len(n.token) + len(n.collateral) + len(n.debt)
    p = perps(n)
    staking = 3 * s
    peg = staking + y
    supply = peg + y
    borrow = supply + len(n.collateral)
    basis = borrow + len(n.debt)
    funding = basis + p
    high = funding + p
    low = high + p
    oracle = low + p
    threshold = oracle + len(n.collateral)
    owed = threshold + len(n.collateral)
    asset = owed + len(n.debt)
    rate = asset + len(n.asset)
    gross = rate + 2 + signals(n)
    return Hour(
        0, s, 2 * s, staking, peg, supply, borrow, basis, funding, high, low, oracle, threshold, owed, asset, rate,
        rate + 1, rate + 2, gross, gross + s, gross + 2 * s,
    )  # fmt: skip


def hour_of(n, row):
    """Views of a row of coefficients, or of the rows of a transposed table, for Python callers."""
    return _views(hour_at(n), width(n) + still(n), row)


@shared
def quote_at(n):
    """Place of every kind of quote in its row."""
    spot = perps(n)
    market = spot + len(n.token)
    rate = market + len(n.token)
    index = rate + len(n.token)
    debt_index = index + len(n.collateral)
    down = debt_index + len(n.debt)
    up = down + len(n.collateral) + len(n.debt) + 1
    usd = up + len(n.collateral) + len(n.debt) + 1
    gas = usd + 1
    room = gas + 5
    deep = len(n.depth)
    return Quote(
        0, spot, market, rate, index, debt_index, down, up, usd, gas, gas + 2, gas + 4,
        room, room + deep, room + 2 * deep, room + 3 * deep,
    )  # fmt: skip


def quote_of(n, row):
    """Views of a row of quotes, for Python callers."""
    return _views(quote_at(n), quote_width(n), row)
