"""The worked examples of the accounting that lending and staking serve (§9 B, C2), as two-row panels and runs.

Run as a script it prints every number of every case as hexadecimal floats, so that another process can compare bits.
"""

import json

from worked_cases import numbers

import basis
from basis.market.panel import Panel
from support.strategies import do_nothing

ETHER, TOKEN = "wallet:BaseToken:ETH", "wallet:BaseToken:weETH"
POOL, DEBT = "aave_v3:aToken:weETH", "aave_v3:debtToken:WETH"


def market(supply, borrow, peg, eth=2_900.0):
    """Two hours of a staking token on Aave; pairs of supply index, borrow index, market over protocol rate."""
    rate = (1.05, 1.0501)
    return Panel.from_columns(
        "2024-06-01",
        3600,
        {
            "spot|ETH": [eth, eth],
            "liquidity_index|aave_v3:weETH": list(supply),
            "borrow_index|aave_v3:WETH": list(borrow),
            "oracle_rate|weETH": list(rate),
            "market_rate|weETH": [r * k for r, k in zip(rate, peg, strict=True)],
            "gas_price_gwei": [25.0, 25.0],
        },
    )


@basis.compiled(every_row=True)
def delever_in_row_1(view, act):
    """Bring the loan to value down to its target."""
    if not view.first:
        act.exit_partial("ETH", 0.0)


def example_b(valuation, driver):
    """A loan to value of .909 brought down to .88; everything in the wallet goes in."""
    overrides = {
        "valuation": valuation,
        "risk.limits": {},
        "strategy.target_ltv": 0.88,
        "strategy.gas_reserve": 0,
        "venues.uniswap_v3.spot_slippage.weETHETH": 5,
    }
    panel = market((1.0005, 1.000501), (1.06, 1.06004), (0.998, 0.997))
    book = {POOL: 1_000.0, DEBT: 900.0, ETHER: 0.5}
    return basis.backtest(
        "eth_leveraged", panel, overrides=overrides, positions=book, strategy=delever_in_row_1, driver=driver
    )


def example_c2(valuation, driver):
    """A debt that grows beyond what its collateral carries, half of it repaid by a liquidator."""
    overrides = {"valuation": valuation, "risk.limits": {}}
    panel = market((1.0005, 1.0005), (1.06, 1.0602), (0.998, 0.97))
    book = {POOL: 1_000.0, DEBT: 945.0}
    return basis.backtest(
        "eth_leveraged", panel, overrides=overrides, positions=book, strategy=do_nothing, driver=driver
    )


EXAMPLES = {"B": example_b, "C2": example_c2}
#: (example, valuation, driver).
CASES = [(name, value, driver) for name in EXAMPLES for value in ("oracle", "market") for driver in ("kernel", "event")]


def run(case):
    name, valuation, driver = case
    return EXAMPLES[name](valuation, driver)


if __name__ == "__main__":
    print(json.dumps({", ".join(case): numbers(run(case)) for case in CASES}))
