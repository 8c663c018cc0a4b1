"""What the runs of these tests are: mode, overrides, starting book."""

FLOWS = [
    {"timestamp": "2024-02-05T03:00:00Z", "amount": 20_000},
    {"timestamp": "2024-02-10T03:30:00Z", "amount": -30_000},
]
CASES = {
    "plain": ("btc_basis", {"start": "2024-02-01", "end": "2024-02-14"}, None),
    "flows": ("btc_basis", {"start": "2024-02-01", "end": "2024-02-14", "flows": FLOWS}, None),
    "struck": (
        "btc_basis",
        {
            "start": "2024-01-20",
            "end": "2024-04-10",
            "strategy.margin_ratio_target": 0.15,
            "strategy.rebalance": False,
        },
        None,
    ),
    "lending": ("pure_lending", {"start": "2024-02-01", "end": "2024-02-08"}, None),
    "eth": (
        "btc_basis",
        {
            "start": "2024-02-01",
            "end": "2024-02-08",
            "share_class": "ETH",
            "initial_capital": 30,
            "risk.limits": {},
        },
        {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0},
    ),
    # two settlements in a row of a day
    "daily": ("btc_basis", {"start": "2024-02-01", "end": "2024-02-14", "bar_interval": "1d"}, None),
}
