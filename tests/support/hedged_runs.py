"""What the gates of ether against perp shorts share: small markets, the legs of a result, closed forms."""

import numpy as np
import pandas as pd

import basis

from .result_checks import YEAR_S, check_accounts, columns_of, events, held, series, utc
from .runs import busy
from .staking_markets import ether

VENUES = ("binance", "bybit", "okx")
WALLET, ETHER = "wallet:BaseToken:USDT", "wallet:BaseToken:ETH"
DEBT = "aave_v3:debtToken:WETH"
CAPITAL = 100_000.0
MAX_DRIFT = 0.02  # of the shipped configuration
FREE = {"costs.enabled": False, "transfers.instant": True}
HELD = {
    **FREE,
    "strategy.rebalance": False,
    "valuation": "oracle",
    "rewards.enabled": False,
    "risk.simulate_liquidation": False,
}
QUIET = {"risk.limits": {}}
COSTS = ("fees", "slippage", "gas", "transfer_fees", "flash_fees")
#: Columns that a mode may fill beside its costs.
EARNS = {
    "eth_basis": {"funding_pnl", "basis_pnl", "delta_pnl"},
    "usdt_market_neutral_no_leverage": {
        "funding_pnl",
        "basis_pnl",
        "delta_pnl",
        "staking_yield",
        "peg_pnl",
        "reward_pnl",
        "dust_pnl",
    },
}
EARNS["usdt_market_neutral"] = EARNS["usdt_market_neutral_no_leverage"] | {"supply_yield", "borrow_cost"}
PAYS = {
    "eth_basis": {"fees", "slippage", "gas", "transfer_fees"},
    "usdt_market_neutral_no_leverage": {"fees", "slippage", "gas", "transfer_fees"},
    "usdt_market_neutral": set(COSTS),
}


def perp(venue):
    return f"{venue}:Perp:ETHUSDT"


def cash(venue):
    return f"{venue}:BaseToken:USDT"


def books(mode):
    """Columns a mode may fill."""
    return EARNS[mode] | PAYS[mode]


def hedged(spot, basis=0.0, rate=1e-4, wick=0.002, every=8, apr=0.1, lst="weETH", staking=0.03, **more):
    """A panel of ether, a staking token, Aave and perps at every venue.

    Parameters
    ----------
    spot : (rows,) USDT
    basis : mark over spot less 1; a number or (rows,)
    rate, every : funding rate of every `every`-th row
    wick : how far the hour's extremes lie beyond its two marks, fraction; a number, (rows,), or either by venue
    apr : what a rate rule watches of funding, per year; a number or (rows,)
    """
    spot = np.asarray(spot, dtype=float)
    rows = len(spot)
    mark = spot * (1.0 + basis)
    before = np.concatenate((mark[:1], mark[:-1]))
    due = (np.arange(rows) % every == 0) & (np.arange(rows) > 0)
    columns = {f"supply_apr_mean__{lst}": np.full(rows, 0.001), "borrow_apr_mean__WETH": np.full(rows, 0.025)}
    for venue in VENUES:
        key = perp(venue)
        reach = np.broadcast_to(np.asarray(wick.get(venue, 0.002) if isinstance(wick, dict) else wick), rows)
        columns[f"mark__{key}"] = mark
        columns[f"high__{key}"] = np.maximum(mark, before) * (1.0 + reach)
        columns[f"low__{key}"] = np.minimum(mark, before) * (1.0 - 0.002)
        columns[f"high__{key}"][0] = columns[f"low__{key}"][0] = mark[0]
        columns[f"funding_rate__{key}"] = np.where(due, rate, 0.0)
        columns[f"funding_cash__{key}"] = np.where(due, rate, 0.0) * mark
        columns[f"funding_apr__{key}"] = np.broadcast_to(np.asarray(apr, dtype=float), rows)
    return ether(rows, lst=lst, eth=spot, staking=staking, **{**columns, **more})


def trade(mode, driver, panel, overrides=None, **more):
    return basis.backtest(mode, panel, overrides={**busy(mode), **(overrides or {})}, driver=driver, **more)


# --- what a result says, row by row ----------------------------------------------------------------------------------


def price(result):
    return result.panel["spot|ETH"].to_numpy()


def equity(result):
    return result.equity["equity"].to_numpy()


def short(result, venue=None):
    """Units short, at a venue or over all."""
    venues = VENUES if venue is None else (venue,)
    return -sum(held(result, perp(v)).to_numpy() for v in venues if perp(v) in result.positions)


def margin(result, venue, when=""):
    return result.risk[f"margin_ratio|{venue}{when}"].to_numpy()


def travelling(result):
    """Whether USDT travels between wallet and venues after a row's fills."""
    keys = [f"{k}|in_transit" for k in (WALLET, *map(cash, VENUES)) if f"{k}|in_transit" in result.positions]
    return (result.positions[keys] != 0.0).any(axis=1).to_numpy()


def net_delta(result):
    return result.exposure["net_delta_ratio|ETH"].to_numpy()


def long(result):
    """Ether held long, what is staked, lent and under way included, less what is owed."""
    return result.exposure["net_delta|ETH"].to_numpy() + short(result)


def share_on_chain(result):
    return long(result) * price(result) / equity(result)


def check_hedged(result, limit=MAX_DRIFT):
    """In no row is more ether held than is short, or less, by more than the band allows."""
    worst = np.abs(net_delta(result))
    # a book that is all but gone has no ratio to speak of
    worst = np.where(equity(result) > 1e-3 * CAPITAL, worst, 0.0)
    assert worst.max() <= limit, (int(worst.argmax()), worst.max())


def cumulated(result):
    return result.attribution[columns_of(result)].sum()


def check_columns(result, mode, *more):
    check_accounts(result, books(mode) | set(more))
    booked = cumulated(result)
    for name in COSTS:
        assert (result.attribution[name] <= 0.0).all(), name
    return booked


def fills(result, **named):
    return events(result, "fill", **named)


# --- closed forms, straight from the files of a data set -------------------------------------------------------------


def filled(data, kind, venue, column):
    """A venue's own rows; where it has none, those of the other."""
    other = "binance" if venue == "bybit" else "bybit"
    own, stand_in = (series(data, f"{kind}/{name}_ethusdt", column) for name in (venue, other))
    return pd.concat([own, stand_in[stand_in.index.difference(own.index)]]).sort_index()


def spot_of(data):
    return series(data, "spot/bybit_ethusdt", "open")


def perp_gain(data, weights, start, end):
    """What a unit short earns: -(m1 - m0) and every settlement, by weight of the venues."""
    basis_pnl = funding = 0.0
    for venue, weight in weights.items():
        mark = filled(data, "perp", venue, "open")
        rate = filled(data, "funding", venue, "funding_rate")
        paid = rate[(rate.index > utc(start)) & (rate.index <= utc(end))]
        basis_pnl -= weight * (mark[utc(end)] - mark[utc(start)])
        funding += weight * float(np.sum(mark[paid.index].to_numpy() * paid.to_numpy()))
    return basis_pnl, funding


def rate_growth(data, lst, start, end):
    """Growth of a protocol's rate; rows between two observations know the later one and are left out."""
    frame = pd.read_parquet(data / "lst" / f"{lst.lower()}.parquet").set_index("timestamp")
    rate = frame.loc[frame["is_observed"], "oracle_rate_eth"]
    before, after = (rate[rate.index <= utc(stamp)].iloc[-1] for stamp in (start, end))
    return after / before


def index_growth(data, name, index, rate, compounds, start, end):
    """Growth of an index of Aave: the last observation, and its rate since."""
    frame = pd.read_parquet(data / "aave" / f"{name.lower()}.parquet").set_index("timestamp")
    out = []
    for stamp in (utc(start), utc(end)):
        known = frame[frame.index <= stamp].iloc[-1]
        x = known[rate] * (stamp - known.name).total_seconds() / YEAR_S
        out.append(known[index] * (1.0 + x + x * x / 2.0 + x**3 / 6.0 if compounds else 1.0 + x))
    return out[1] / out[0]


def held_return(data, share, weights, start, end, lst=None, ltv=0.0):
    """Return of a share of equity in ether (staked, levered) against shorts, all held from first row to last."""
    spot = spot_of(data)
    first, last = spot[utc(start)], spot[utc(end)]
    grown = 1.0
    if lst:
        grown = rate_growth(data, lst, start, end)
    if ltv:
        factor = 1.0 / (1.0 - ltv)
        supplied = index_growth(data, lst, "liquidity_index", "supply_apr", False, start, end)
        owed = index_growth(data, "WETH", "variable_borrow_index", "variable_borrow_apr", True, start, end)
        grown = factor * grown * supplied - (factor - 1.0) * owed
    return share / first * (grown * last - first + sum(perp_gain(data, weights, start, end)))
