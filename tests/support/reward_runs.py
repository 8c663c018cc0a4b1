"""Rewards worked out from the files of a data set: payouts by row, raw prices, and the dust they leave, in numpy."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from basis.market.panel import Distributions, Panel

from .result_checks import YEAR_S, events, held, series, term

ETHER, TOKEN, POOL = "wallet:BaseToken:ETH", "wallet:BaseToken:weETH", "aave_v3:aToken:weETH"
#: symbol → table, its column of tokens per eETH, its day of the payout, days after it.
TABLES = {
    "EIGEN": ("eigen_distributions", "eigen_per_eeth_computed", "period_end", 1),
    "ETHFI": ("ethfi_topups", "ethfi_per_eeth", "payout_date", 0),
}
DUST = {symbol: f"wallet:BaseToken:{symbol}" for symbol in TABLES}
DAY = pd.Timedelta(days=1)


class Payout(NamedTuple):
    """A payout inside a window: its row, the token, tokens per eETH for the days inside."""

    row: int
    symbol: str
    rate: float


def day(value):
    return pd.Timestamp(value).tz_localize("UTC")


def payouts(data, stamps, since=None):
    """Payouts after the first row; of a period, the share after the run's start counts."""
    since = stamps[0] if since is None else since
    out = []
    for symbol, (table, rate, payout, lag) in TABLES.items():
        for _, line in pd.read_parquet(data / "rewards" / f"{table}.parquet").iterrows():
            begins, ends = day(line["period_start"]), day(line["period_end"]) + DAY
            row = int(np.searchsorted(stamps, day(line[payout]) + lag * DAY))
            share = (ends - max(begins, since)) / (ends - begins)
            if 0 < row < len(stamps) and share > 0.0:
                out.append(Payout(row, symbol, line[rate] * share))
    return sorted(out)


def opens(data, name, stamps):
    """Opens of candles, carried; 0 before the first."""
    return series(data, f"spot/{name}", "open").reindex(stamps, method="ffill").fillna(0.0).to_numpy()


class Dust(NamedTuple):
    """What rewards do to a book, by row: tokens received, held and sold by symbol, prices, P&L, ether of the sales."""

    received: dict
    kept: dict
    sold: dict
    price: dict
    reward: np.ndarray
    drift: np.ndarray
    ether: np.ndarray
    slippage: np.ndarray
    gas: np.ndarray


def slipped(symbol, notional):
    """Fraction that the market takes of a sale of a notional in USDT."""
    buckets = term("uniswap_v3", "spot_slippage", f"{symbol}ETH")["buckets"]
    return next(bps for most, bps in buckets if most is None or notional <= most) * 1e-4


def dust_by_hand(result, data, threshold, share_class="ETH", sells=True):
    """`Dust` of a run on a data set: what it holds from its tables, all else from the files."""
    stamps = result.equity.index
    rows, paid = len(stamps), payouts(data, stamps)
    usdt = opens(data, "bybit_ethusdt", stamps)
    numeraire = np.ones(rows) if share_class == "ETH" else usdt
    in_ether = {symbol: opens(data, f"uniswapv3_{symbol.lower()}weth", stamps) for symbol in TABLES}
    rates = series(data, "lst/weeth", "oracle_rate_eth").reindex(stamps, method="ffill").to_numpy()
    gwei = result.panel["gas_price_gwei"].to_numpy()
    units = term("uniswap_v3", "gas_units", "swap")["value"]
    decisions = events(result, "decision").groupby("row")["action"].first()
    zeros = {symbol: np.zeros(rows) for symbol in TABLES}
    received, kept, sold = ({s: v.copy() for s, v in zeros.items()} for _ in range(3))
    reward, drift, ether, slippage, gas = np.zeros((5, rows))
    for t in range(1, rows):
        now = {symbol: kept[symbol][t - 1] for symbol in TABLES}
        drift[t] = sum(
            q * (in_ether[s][t] * numeraire[t] - in_ether[s][t - 1] * numeraire[t - 1]) for s, q in now.items()
        )
        for payout in (p for p in paid if p.row == t):
            eeth = held(result, TOKEN, t - 1) * rates[t]
            if POOL in result.positions:
                eeth += held(result, POOL, t - 1) * index(data, stamps[t]) * rates[t]
            received[payout.symbol][t] = eeth * payout.rate
            reward[t] += eeth * payout.rate * in_ether[payout.symbol][t] * numeraire[t]
            now[payout.symbol] += eeth * payout.rate
        worth = {s: q * in_ether[s][t] for s, q in now.items()}
        # what else there was to do came first, but for what the proceeds are put into
        busy = decisions.get(t, "sell_dust") != "sell_dust"
        if sells and sum(worth.values()) * numeraire[t] > threshold and not busy:
            for s, ether_worth in worth.items():
                if ether_worth > 0.0:
                    lost = slipped(s, ether_worth * usdt[t])
                    sold[s][t], now[s] = now[s], 0.0
                    ether[t] += ether_worth * (1.0 - lost)
                    slippage[t] += ether_worth * lost * numeraire[t]
                    gas[t] += units * gwei[t] * 1e-9
        for s in TABLES:
            kept[s][t] = now[s]
    return Dust(received, kept, sold, in_ether, reward, drift, ether, slippage, gas)


def index(data, stamp):
    """The supply index of weETH on Aave as it is known at an instant."""
    frame = pd.read_parquet(data / "aave" / "weeth.parquet").set_index("timestamp")
    known = frame[frame.index <= stamp].iloc[-1]
    return known["liquidity_index"] * (1.0 + known["supply_apr"] * (stamp - known.name).total_seconds() / YEAR_S)


def with_rewards(panel, paid, price, symbol="EIGEN", step=10):
    """A made panel with a reward token.

    Parameters
    ----------
    paid : (row of the payout, tokens per eETH) pairs, each for the `step` hours before it
    price : of a token in ETH, a number or (rows,)
    """
    hour = panel.step_s * 1_000_000_000
    stamps = np.array([panel.timestamps[0] + row * hour for row, _ in paid], dtype=np.int64)
    rates = np.array([rate for _, rate in paid], dtype=float)
    columns = {name: values.copy() for name, values in panel.columns.items()}
    columns[f"spot|{symbol}"] = np.asarray(price) * columns["spot|ETH"]
    made = Panel.from_columns(panel.timestamps, panel.step_s, columns)
    made.distributions.update(panel.distributions)
    made.distributions[symbol] = Distributions(stamps, stamps - step * hour, stamps, rates)
    return made
