"""The columns of what a run reads and never writes: coefficients of an hour, market of a row, policy terms."""

from .declare import Item, Layout

#: What a stored unit is worth and earned in an hour, by slot (accounting §5). The pass over all lanes reads nothing
#: else. `yielding` counts tokens, collaterals and debts; the items from `is_gross` on never change in a run.
HOUR = Layout(
    "Hour",
    (
        Item("value", "slots", "worth of a stored unit; of a debt it is below 0", "share class"),
        Item("price_pnl", "slots", "what the price earned on a unit since the row before", "share class"),
        Item("unit", "slots", "units of the asset in a stored unit; of a debt below 0", "units"),
        Item("staking_pnl", "yielding", "what the protocol rate earned on a unit", "share class"),
        Item("peg_pnl", "yielding", "what market against protocol rate earned on a unit", "share class"),
        Item("supply_pnl", "collaterals", "what the supply index earned on a unit", "share class"),
        Item("borrow_pnl", "debts", "what the borrow index cost on a unit", "share class"),
        Item("basis_pnl", "perps", "what mark against spot earned on a unit", "share class"),
        Item("funding", "perps", "funding that a long unit pays", "quote"),
        Item("high", "perps", "highest mark of the hour that ended", "quote"),
        Item("low", "perps", "lowest mark of the hour that ended", "quote"),
        Item("oracle_value", "collaterals", "worth of a stored unit at oracle prices", "share class"),
        Item("threshold_value", "collaterals", "the same times the liquidation threshold", "share class"),
        Item("owed_value", "debts", "what a stored unit owes at oracle prices", "share class"),
        Item("asset_price", "assets", "price by asset", "share class"),
        Item("watched_rate", "", "what a rate rule watches", "per year"),
        Item("switching_cost", "", "rate that pays over the holding period for leaving and entering again", "per year"),
        Item(
            "safe_share", "", "share of the collateral's limit that is sure to stay at the hour's extremes", "fraction"
        ),
        Item("signal", "signals", "the signal, whether it is trusted, distance of stop and of take-profit"),
        Item("is_gross", "slots", "1 where the slot counts in gross exposure"),
        Item("is_invested", "slots", "1 where the slot is what the strategy holds long"),
        Item("in_asset", "assets*slots", "1 where a slot's units count for the asset"),
        Item("in_account", "accounts*lent", "1 where a collateral or debt belongs to the lending account"),
    ),
)
FIRST_CONSTANT = "is_gross"

#: What only fills, transfers and flows need of a row; prices in quote units (USDT).
MARKET = Layout(
    "Market",
    (
        Item("mark", "perps", "mark price", "quote"),
        Item("spot", "tokens", "tradable reference of a token", "quote"),
        Item("market_rate", "tokens", "ether per token where it trades; 0 where that is not known", "ETH"),
        Item("protocol_rate", "tokens", "ether per token at its protocol; 1 for what is no staking token", "ETH"),
        Item("liquidity_index", "collaterals", "index of a supplied balance"),
        Item("borrow_index", "debts", "index of a debt"),
        Item("low_factor", "lent", "worth at the hour's lowest prices over that at the row's", "ratio"),
        Item("low_usd_factor", "", "the same of a USD", "ratio"),
        Item("high_factor", "lent", "worth at the hour's highest prices over that at the row's", "ratio"),
        Item("high_usd_factor", "", "the same of a USD", "ratio"),
        Item("usd", "", "price of a USD as the lending protocol counts it", "share class"),
        Item("gas_price", "", "ether per unit of gas", "ETH"),
        Item("ether_price", "", "price of ether", "share class"),
        Item("deposit", "", "money that comes in", "share class"),
        Item("withdrawals_asked", "", "number of withdrawals asked for so far"),
        Item("time", "", "instant of the row", "seconds since the epoch"),
        Item("capacity", "limited", "most units that the orders of a row may take", "units"),
        Item("impact", "limited", "slippage of one unit; it grows with the root of the units", "fraction"),
        Item("resting_buy", "limited", "price at which a resting buying order was filled; 0 where it was not", "quote"),
        Item("resting_sell", "limited", "the same for selling", "quote"),
    ),
)
