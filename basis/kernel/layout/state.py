"""The rows of a lane's state, what a strategy sees, and the policy that a lane follows: one line each.

The block of a run is (rows, lanes): attribution, state, policy, one after the other.
"""

from .codes import ACTIONS, COLUMN_NAMES, MEMORIES, OWN_PARAMETERS, QUEUE
from .declare import Item, Layout

_OF_COLUMN = (
    "funding received or paid", "index growth on supply", "index growth on debt",
    "growth of the protocol rate of staking tokens", "reward tokens at their price when received",
    "market against protocol rate of staking tokens", "price of what is left unhedged",
    "mark against spot of the perps",
    "later price of reward tokens", "trading fees", "slippage", "gas", "fees of transfers", "fees of flash loans",
    "penalties and fees of liquidations", "debt without collateral that the pool bears",
)  # fmt: skip

#: Cumulative P&L by column (accounting §5); code names a column without its ending.
PNL = Layout(
    "Pnl",
    tuple(
        Item(name.removesuffix("_pnl"), "", what, "share class")
        for name, what in zip(COLUMN_NAMES, _OF_COLUMN, strict=True)
    ),
)

#: The items up to `take_profit_price` are recorded in every row.
LAST_RECORDED = "take_profit_price"
STATE = Layout(
    "State",
    (
        Item("equity", "", "worth of everything held and under way", "share class"),
        Item("gross", "", "gross exposure", "share class"),
        Item("ltv", "", "largest loan to value of a lending account", "ratio"),
        Item("health_factor", "", "smallest health factor of a lending account", "ratio"),
        Item("delta_drift", "", "worth of the largest net delta", "share class"),
        Item("invested", "", "worth of what the strategy holds long", "share class"),
        Item("withdrawal_pending", "", "what is owed to the investor", "share class"),
        Item("net_flow", "", "flows of this row", "share class"),
        Item("net_flows", "", "flows since the start", "share class"),
        Item("alert_level", "", "highest level reported: 0, 1 warning, 2 critical"),
        Item("arrived", "", "1 where something arrived in this row"),
        Item("processed", "", "1 where more was done in this row than the pass over all lanes"),
        Item("reverted_at", "", "when a bundle last reverted; 0 for never", "seconds"),
        Item("memory", MEMORIES, "what the strategy keeps"),
        Item("venue_funding", "venues", "cumulative funding by venue", "share class"),
        Item("quantity", "slots", "stored quantity of every slot", "units"),
        Item("cost", "perps", "K: quantity times average entry price", "quote"),
        Item("transit", "moving", "under way to the cash and token slots", "units"),
        Item("delta", "assets", "net delta by asset", "units"),
        Item("margin_ratio", "venues", "margin over notional", "ratio"),
        Item("worst_margin_ratio", "venues", "the same at the adverse extremes of the hour", "ratio"),
        Item("ltv_before", "", "`ltv` before the decision of the row", "ratio"),
        Item("health_factor_before", "", "`health_factor` before the decision", "ratio"),
        Item("margin_ratio_before", "venues", "`margin_ratio` before the decision", "ratio"),
        Item("maintenance_ratio_before", "venues", "maintenance margin over notional before the decision", "ratio"),
        Item("alert", "measures", "level last reported by measure: ltv, health factor, margins, deltas, drawdown"),
        Item("account_ltv", "accounts", "loan to value by lending account", "ratio"),
        Item("account_health_factor", "accounts", "health factor by lending account", "ratio"),
        Item("stop_price", "stops", "price at which a perp is closed at a loss; 0 for none", "quote"),
        Item("take_profit_price", "stops", "price at which a perp is closed at a profit; 0 for none", "quote"),
        Item("capital", "", "what the run accounts for", "share class"),
        Item("peak_equity", "", "highest equity, moved by flows", "share class"),
        Item("trough_equity", "", "equity of the deepest drawdown", "share class"),
        Item("trough_peak", "", "peak before the deepest drawdown", "share class"),
        Item("least_margin", "", "margin of the smallest margin ratio at the extremes", "quote"),
        Item("least_margin_notional", "", "notional beside it", "quote"),
        Item("largest_residual", "", "by how much the identity has been off", "share class"),
        Item("capital_moved", "", "capital and the sum of absolute flows: the scale of the identity", "share class"),
        Item("flag", "", "1 where a lane has to be looked at by itself"),
        Item("decisions", "", "number of decisions so far"),
        Item("events", "", "number of events so far"),
        Item("withdrawals_paid", "", "number of withdrawals paid so far"),
        Item("next_arrival", "", "when the next transfer arrives", "seconds"),
        Item("level", "measures", "level of every measure now; `alert` holds what was last reported"),
        Item("margin", "venues", "margin balance at the marks", "share class"),
        Item("notional", "venues", "sum of |quantity| times mark", "share class"),
        Item("worst_margin", "venues", "margin balance at the adverse extremes of the hour", "quote"),
        Item("worst_notional", "venues", "notional at the adverse extremes", "quote"),
        Item("maintenance_bound", "venues", "maintenance rate that no tier exceeds up to `bounded_notional`", "ratio"),
        Item("bounded_notional", "venues", "notional up to which `maintenance_bound` holds", "quote"),
        Item("closing_cash", "venues", "cash of closed perps, credited after the holding drift", "quote"),
        Item("queue_slot", QUEUE, "slot that a transfer goes to"),
        Item("queue_amount", QUEUE, "what arrives; 0 where the place is free", "units"),
        Item("queue_due", QUEUE, "when it arrives", "seconds"),
        Item("queue_decision", QUEUE, "number of the decision that sent it"),
        Item("waiting", "", "number of actions that wait for the next row, or go on in it (`aims`)"),
        Item("waiting_code", ACTIONS, "code of a waiting action"),
        Item("waiting_plan", ACTIONS, "its plan"),
        Item("waiting_amount", ACTIONS, "its amount", "units of the plan"),
        Item("waiting_target", ACTIONS, "what it aims at; below 0 where that is not fixed yet", "units of the plan"),
        Item("waiting_stop", ACTIONS, "distance of its stop", "fraction"),
        Item("waiting_take_profit", ACTIONS, "distance of its take-profit", "fraction"),
        Item("sets_stop", "stops", "side whose opening fill sets stop and take-profit: 1 long, -1 short, 0 neither"),
        Item("stop_distance", "stops", "distance at which it sets the stop; 0 for none", "fraction"),
        Item("take_profit_distance", "stops", "distance at which it sets the take-profit; 0 for none", "fraction"),
        Item("traded", "tradable", "units traded in a row, by token and perp; of a token of the wallet what it cost", "units"),
        Item("traded_at", "", "instant of that row", "seconds"),
        Item("cut_short", "", "1 where the market took less of the action under way than it aims at"),
    ),
)

#: What a lane follows: the policy of its configuration, the strategy's own parameters, one weight per venue.
POLICY = Layout(
    "Policy",
    (
        Item("margin_target", "", "margin ratio aimed at", "ratio"),
        Item("margin_low", "", "lower edge of the margin band", "ratio"),
        Item("margin_high", "", "upper edge of the margin band", "ratio"),
        Item("deviation", "", "how far a target may be off before it is traded", "fraction of equity"),
        Item("max_drift", "", "largest net delta", "fraction of equity"),
        Item("gas_reserve", "", "transactions for which gas is kept"),
        Item("rebalance", "", "1 where the strategy goes on after its entry"),
        Item("close_at_end", "", "1 where everything is closed in the last row"),
        Item("enter_rate", "", "rate above which the rate rule enters; NO_RULE for none", "per year"),
        Item("leave_rate", "", "rate below which the rate rule leaves", "per year"),
        Item("restricts", "", "1 where a critical alert allows only reductions"),
        Item("min_invested", "", "below this the strategy is asked", "fraction of equity"),
        Item("max_invested", "", "above this the strategy is asked", "fraction of equity"),
        Item("every_row", "", "1 where the strategy is asked in every row"),
        Item("target_ltv", "", "loan to value aimed at", "ratio"),
        Item("low_ltv", "", "below this the strategy is asked", "ratio"),
        Item("high_ltv", "", "above this the strategy is asked", "ratio"),
        Item("least_health", "", "health factor below which the strategy is asked", "ratio"),
        Item("dust_limit", "", "worth of reward tokens above which they are sold", "share class"),
        Item("sells_dust", "", "1 where the strategy sells reward tokens"),
        Item("instant_margin", "", "1 where margin arrives in the row in which it is sent"),
        Item("own", OWN_PARAMETERS, "the strategy's own parameters"),
        Item("weight", "venues", "share of the hedge by venue", "fraction"),
        Item("warning", "measures", "limit of a warning by measure; negated where less is worse"),
        Item("critical", "measures", "limit of a critical alert by measure"),
    ),
)

#: What a strategy sees of a lane.
VIEW = Layout(
    "View",
    (
        Item("equity", "", "worth of everything held and under way", "share class"),
        Item("gross", "", "gross exposure", "share class"),
        Item("ltv", "", "largest loan to value of a lending account", "ratio"),
        Item("health_factor", "", "smallest health factor of a lending account", "ratio"),
        Item("drift", "", "largest net delta", "fraction of equity"),
        Item("invested", "", "the long leg", "fraction of equity"),
        Item("margin_low", "", "smallest margin ratio of a venue, margin on its way included", "ratio"),
        Item("margin_high", "", "largest margin ratio of a venue, margin on its way included", "ratio"),
        Item("pending", "", "what is owed to the investor", "share class"),
        Item("alert", "", "highest level reported: 0, 1 warning, 2 critical"),
        Item("arrived", "", "1 where something arrived in this row"),
        Item("first", "", "1 in the first row"),
        Item("last", "", "1 in the last row"),
        Item("rate", "", "what a rate rule watches", "per year"),
        Item("gas_cost", "", "gas of the most expensive transaction of this book", "share class"),
        Item("quote_price", "", "price of a USDT", "share class"),
        Item("dust", "", "worth of the reward tokens", "share class"),
        Item("reverted", "", "1 where a bundle reverted within the last day"),
        Item("unfinished", "", "number of actions that go on, because the market took less than they aim at"),
        Item("signal", "", "-1, 0 or 1; 0 in a mode without a signal"),
        Item("signal_trusted", "", "1 where the signal's confidence reaches the threshold"),
        Item("stop_distance", "", "distance of a stop from the price of the fill", "fraction"),
        Item("take_profit_distance", "", "distance of a take-profit from the price of the fill", "fraction"),
        Item("memory", MEMORIES, "what the strategy keeps"),
        Item("long", "assets", "units held long, spot and on chain", "units"),
        Item("short", "assets", "units short in perps", "units"),
        Item("price", "assets", "price by asset", "share class"),
        Item("quantity", "slots", "stored quantity of every slot", "units"),
    ),
)
