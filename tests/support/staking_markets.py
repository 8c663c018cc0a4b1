"""Small markets of a staking token, a lending pool and gas for the tests of gates and properties."""

import numpy as np

from basis.market.panel import Panel

YEAR_S = 31_536_000.0
START = "2024-06-01"


def grown(rows, apr, first=1.0, step=3600):
    """An index or a rate that grows by `apr` per year, a number or (rows,); that of row 0 is unused."""
    growth = np.broadcast_to(np.asarray(apr, dtype=float), rows) * step / YEAR_S
    return first * np.cumprod(np.concatenate(((1.0,), 1.0 + growth[1:])))


def after(values, row, factor):
    """The same path, times a factor from a row on."""
    return np.where(np.arange(len(values)) < row, values, values * factor)


def _column(name):
    measure, _, key = name.partition("__")
    lending = ("liquidity_index", "borrow_index", "supply_apr", "supply_apr_mean", "borrow_apr", "borrow_apr_mean")
    return f"{measure}|aave_v3:{key}" if measure in lending else name.replace("__", "|")


def ether(
    rows,
    start=START,
    step=3600,
    lst="weETH",
    staking=0.03,
    supply=0.001,
    borrow=0.025,
    peg=0.999,
    eth=3_000.0,
    gwei=20.0,
    pool=0.02,
    mean=None,
    **columns,
):
    """A panel of ether, one staking token and its debt on Aave.

    Parameters
    ----------
    staking, supply, borrow, pool : growth per year of the protocol rate, of the token's supply index, of the ether's
        borrow index and of the ether's supply index
    peg : market over protocol rate, a number or (rows,)
    mean : what a rate rule of lending watches
    columns : columns that replace these, `|` written as `__`; those of the lending pool without its venue
    """
    rate = grown(rows, staking, 1.05, step)
    made = {
        "spot|ETH": np.broadcast_to(np.asarray(eth, dtype=float), rows),
        "gas_price_gwei": np.broadcast_to(np.asarray(gwei, dtype=float), rows),
        f"oracle_rate|{lst}": rate,
        f"liquidity_index|aave_v3:{lst}": grown(rows, supply, 1.0005, step),
        "borrow_index|aave_v3:WETH": grown(rows, borrow, 1.06, step),
        "liquidity_index|aave_v3:WETH": grown(rows, pool, 1.02, step),
        "supply_apr|aave_v3:WETH": np.broadcast_to(np.asarray(pool, dtype=float), rows),
        "supply_apr_mean|aave_v3:WETH": np.broadcast_to(np.asarray(pool if mean is None else mean, dtype=float), rows),
        "staking_apr|" + lst: np.full(rows, 0.03),
    }
    made |= {_column(name): np.asarray(values, dtype=float) for name, values in columns.items()}
    made.setdefault(f"market_rate|{lst}", made[f"oracle_rate|{lst}"] * np.asarray(peg, dtype=float))
    return Panel.from_columns(start, step, made)
