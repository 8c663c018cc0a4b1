"""The runs that are audited: mode, overrides, starting book; short enough to be repeated on every change."""

from support.runs import busy

ONE = {"binance": 1.0, "bybit": 0.0, "okx": 0.0}
FLOWS = [
    {"timestamp": "2024-05-12T03:00:00Z", "amount": 25_000},
    {"timestamp": "2024-05-14T10:20:00Z", "amount": -40_000},
    {"timestamp": "2024-05-14T10:40:00Z", "amount": -500},
    {"timestamp": "2024-05-20T00:00:00Z", "amount": 7_000.5},
]
LENDING_FLOWS = [
    {"timestamp": "2024-02-03T00:00:00Z", "amount": 50_000},
    # more than the cash in the wallet
    {"timestamp": "2024-02-07T05:30:00Z", "amount": -60_000},
    {"timestamp": "2024-02-07T06:00:00Z", "amount": -1_000},
    {"timestamp": "2024-02-12T00:00:00Z", "amount": 10_000},
    # more than everything
    {"timestamp": "2024-02-20T00:00:00Z", "amount": -500_000},
    # and money again, after all of it was paid
    {"timestamp": "2024-02-22T12:00:00Z", "amount": 20_000},
]

#: name → (mode, overrides, starting book), on the sample.
SAMPLE = {
    "squeeze": ("btc_basis", {**busy("btc_basis"), "start": "2025-01-28", "end": "2025-02-26"}, None),
    "crash": ("btc_basis", {"start": "2024-09-10", "end": "2024-10-01"}, None),
    "flows over a hole": ("btc_basis", {"start": "2024-05-10", "end": "2024-05-25", "flows": FLOWS}, None),
    # in, and money home for a withdrawal
    "leaving": (
        "btc_basis",
        {
            "start": "2025-02-03",
            "end": "2025-02-04",
            "strategy.hedge_allocation": ONE,
            "flows": [
                {"timestamp": "2025-02-03T03:20:00Z", "amount": 4_000},
                {"timestamp": "2025-02-03T05:00:00Z", "amount": -20_000},
            ],
        },
        None,
    ),
    "next bar": (
        "btc_basis",
        {"start": "2024-09-14", "end": "2024-09-24", "fill": "next_bar", "close_at_end": True},
        None,
    ),
    "liquidation everywhere": (
        "btc_basis",
        {
            "start": "2025-01-20",
            "end": "2025-02-20",
            "strategy.margin_ratio_target": 0.3,
            "strategy.rebalance": False,
        },
        None,
    ),
    "one venue": (
        "btc_basis",
        {"start": "2025-02-01", "end": "2025-02-18", "strategy.hedge_allocation": ONE},
        None,
    ),
    "liquidation with something left": (
        "btc_basis",
        {
            "start": "2025-02-10",
            "end": "2025-02-16",
            "strategy.hedge_allocation": ONE,
            "strategy.margin_ratio_target": 0.2,
            "strategy.rebalance": False,
            "venues.binance.liquidation_fee": 0.001,
        },
        None,
    ),
    "capital at the venue": (
        "btc_basis",
        {"start": "2024-09-15", "end": "2024-09-25", "strategy.hedge_allocation": ONE, "start_venue": "binance"},
        None,
    ),
    "four hours": (
        "btc_basis",
        {
            "start": "2024-02-01",
            "end": "2024-03-01",
            "bar_interval": "4h",
            "strategy.hedge_allocation": ONE,
            "flows": [{"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000}],
        },
        None,
    ),
    "lending": (
        "pure_lending",
        {"start": "2024-02-01", "end": "2024-02-26", "flows": LENDING_FLOWS},
        None,
    ),
    "signals": ("ml_directional", {"start": "2024-05-20", "end": "2024-09-01", "risk.limits": {}}, None),
    "signals, levered, next bar": (
        "ml_directional",
        {
            "start": "2024-09-01",
            "end": "2024-11-01",
            "fill": "next_bar",
            "strategy.margin_ratio_target": 0.1,
            "strategy.stop_sd": 9.0,
            "flows": [{"timestamp": "2024-09-10T00:00:00Z", "amount": -20_000}],
        },
        None,
    ),
    "ETH share class": (
        "btc_basis",
        {
            "start": "2024-09-14",
            "end": "2024-09-28",
            "share_class": "ETH",
            "initial_capital": 30,
            "risk.limits": {},
            "flows": [
                {"timestamp": "2024-09-16T00:00:00Z", "amount": 2.0},
                {"timestamp": "2024-09-20T00:00:00Z", "amount": -0.5},
            ],
        },
        {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0},
    ),
}

#: The same on real data.
REAL = {
    "all of it": ("btc_basis", {"start": "2024-05-01", "end": "2025-09-18"}, None),
    "August 2024": ("btc_basis", {"start": "2024-08-01", "end": "2024-09-01"}, None),
    "lending": ("pure_lending", {"start": "2024-01-01", "end": "2025-09-18"}, None),
}
