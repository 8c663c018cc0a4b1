"""Codes and fixed limits of the kernel: attribution columns, actions, orders, plans, events, reasons, row flags."""

# --- attribution (accounting §5), in the order of the run folder
COLUMN_NAMES = (
    "funding_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl", "peg_pnl", "delta_pnl", "basis_pnl",
    "dust_pnl", "fees", "slippage", "gas", "transfer_fees", "flash_fees", "liquidation_loss",
    "deficit_borne",
)  # fmt: skip
COLUMNS = len(COLUMN_NAMES)

#: A limit that nothing reaches. It is finite, so that it may be multiplied with zero.
NO_LIMIT = 1e200
#: The rate at which a strategy enters where no rate rule applies: the carry is always wanted.
NO_RULE = -1e300
#: An amount must be smaller than this to count as finite.
TOO_LARGE = 1e300

#: Transfers that can be under way at a time: so many for each venue, and no fewer than `QUEUE`.
QUEUE, QUEUE_PER_VENUE = 24, 3
#: Most liquidations of a loan in a row, at the same prices; each that does not cure halves the debt.
LIQUIDATIONS = 64
#: Numbers that a strategy may keep from one decision to the next.
MEMORIES = 4
#: Parameters that a strategy may have of its own.
OWN_PARAMETERS = 8
#: Columns that a strategy may watch: trailing means, funding, features.
WATCHED = 24

# --- actions
NO_ACTION, ENTRY_FULL, ENTRY_PARTIAL, EXIT_PARTIAL, EXIT_FULL, SELL_DUST = range(6)
ACTION_NAMES = ("", "entry_full", "entry_partial", "exit_partial", "exit_full", "sell_dust")
#: Most actions of a decision.
ACTIONS = 8
#: Of an action: nothing has come of it yet; its decision has been reported; it goes on from an earlier row.
DECIDED, REPORTED, GOES_ON = range(3)

#: Numbers that a compiled strategy notes of a decision: how many actions, and what was wrong with one.
DECISION_NOTES = 5

# --- orders
(
    TRADE_SPOT, TRADE_PERP, TRANSFER, SUPPLY, WITHDRAW, SWAP, STAKE, UNSTAKE, BORROW, REPAY,
    # in one transaction: lever up with tokens staked or bought, down to the target, down to no debt
    LEVER_STAKE, LEVER_SWAP, DELEVER, UNWIND,
    # fills without an order: at a stop, at a take-profit
    STOPPED, TAKEN_PROFIT,
) = range(16)  # fmt: skip
#: Name of every kind of order, by its code.
ORDER_NAMES = (
    "spot", "perp", "transfer", "supply", "withdraw", "swap", "stake", "unstake", "borrow", "repay",
    "lever_stake", "lever_swap", "delever", "unwind",
)  # fmt: skip
# --- plans: what an action on an asset means (see `basis.kernel.routes`)
PLAN_NONE, PLAN_HEDGE, PLAN_MARGIN, PLAN_LEND, PLAN_STAKE, PLAN_LEVER, PLAN_DUST, PLAN_LONG, PLAN_SHORT = range(9)
#: Name of every kind of plan, by its code.
PLAN_NAMES = ("", "hedge", "margin", "lend", "stake", "lever", "dust", "long", "short")
#: Plans that are carried out on chain; the others are carried out at exchanges.
ON_CHAIN_PLANS = (PLAN_LEND, PLAN_STAKE, PLAN_LEVER, PLAN_DUST)
#: Where a token is got and given back: at its protocol, at the market, or at its protocol and then at the market.
AT_PROTOCOL, AT_MARKET, LEAVES_AT_MARKET = range(3)

# --- events
(
    DECISION, ORDER, FILL, REJECT, MOVE, ARRIVAL, FUNDING_PAID, REWARD_PAID, LIQUIDATION, ALERT, FLOW, REVERT,
) = range(12)  # fmt: skip
#: A revert is a transaction that failed and has cost its gas; it follows its reject.
EVENT_NAMES = (
    "decision", "order", "fill", "reject", "transfer", "arrival", "funding", "reward", "liquidation", "alert", "flow",
    "revert",
)  # fmt: skip
#: What a flow event is: money in, a request to take money out, money out.
DEPOSITED, REQUESTED, PAID_OUT = range(3)
FLOW_NAMES = ("deposit", "withdrawal requested", "withdrawal paid")
#: What is liquidated: perps of a venue, a leg of a loan, the leg of a loan that leaves bad debt; and a debt without
#: collateral that the pool bears.
PERPS_LIQUIDATED, LOAN_LIQUIDATED, BAD_DEBT, DEFICIT_BORNE = range(4)

#: Why an order is refused, by its code; the first is no refusal.
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
    "no room to go on: the decision has as many actions as there may be",
)
(
    FILLED, NO_CASH, NO_MARGIN, NO_GAS, QUEUE_FULL, BELOW_FEE, NOT_HELD, CRITICAL, UNKNOWN_ORDER, EXCEEDS_EQUITY,
    BEYOND_LTV, BREAKS_HEALTH, ABOVE_CAP, NOTHING_TO_DO, NO_MARKET, NO_VOLUME, BELOW_LOT,
    TOO_MANY_ACTIONS,
) = range(18)  # fmt: skip

# --- what a row holds that every lane has to look at (`inputs.row_flags`)
FUNDING_DUE, FLOWS_DUE, TERMS_CHANGE, CLOSES, REWARDS_DUE, SIGNAL_CHANGES = 1, 2, 4, 8, 16, 32
#: Rows in which every lane is processed.
EVERY_LANE = FLOWS_DUE | TERMS_CHANGE | CLOSES | REWARDS_DUE | SIGNAL_CHANGES

# --- what a signal says of an hour: -1, 0 or 1; whether it is trusted; distance of stop and of take-profit
SIGNAL, TRUSTED, STOP_DISTANCE, TAKE_PROFIT_DISTANCE = range(4)
SIGNALS = 4

# --- settings of a run
LIQUIDATES, NEXT_BAR, FINAL_ROW, TOLERANCE = range(4)
SETTINGS = 4

# --- why `advance` came back
END, ASKED, FULL, BROKEN, INSOLVENT, BAD_DECISION = range(6)

# --- what a caller of the loop does himself: nothing, the decision, all that follows the pass over all lanes
NOTHING, OWN_DECISION, OWN_ROW = range(3)
