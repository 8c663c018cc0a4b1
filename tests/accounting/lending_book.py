"""A lending book from outside: liquidations at the hour's extremes worked out in plain numbers, by accounting §6.

Amounts are units of the asset (indices and, for a staking token, its protocol's rate applied); prices are USDT.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

import basis
from basis.market.panel import Panel

#: Symbol of a reserve → asset that moves it; threshold and bonus outside any e-mode.
MOVES = {"WETH": "ETH", "weETH": "ETH", "USDT": "USDT"}
THRESHOLD = {"WETH": 0.83, "weETH": 0.8, "USDT": 0.78}
BONUS = {"WETH": 0.05, "weETH": 0.07, "USDT": 0.045}
RATE = 1.05  # of weETH, at its protocol


class Seizure(NamedTuple):
    """One liquidation: what was taken and repaid, in units, and at which price of ETH."""

    lent: str
    taken: float
    owed: str
    repaid: float
    eth: float


def price_of(symbol, eth):
    return {"ETH": eth, "USDT": 1.0}[MOVES[symbol]]


def health(lent, owed, eth):
    """Health factor at a price of ETH; inf without debt."""
    debt = sum(units * price_of(s, eth) for s, units in owed.items())
    limit = sum(units * price_of(s, eth) * THRESHOLD[s] for s, units in lent.items())
    return limit / debt if debt > 0.0 else np.inf


def loan_to_value(lent, owed, eth):
    debt = sum(units * price_of(s, eth) for s, units in owed.items())
    backing = sum(units * price_of(s, eth) for s, units in lent.items())
    return (debt / backing if backing > 0.0 else np.inf) if debt > 0.0 else 0.0


def seizures(lent, owed, eth, rule):
    """Liquidations at a price of ETH until the account is sound; changes both books."""
    out = []
    for _ in range(64):
        hf = health(lent, owed, eth)
        backing = {s: units * price_of(s, eth) for s, units in lent.items()}
        debts = {s: units * price_of(s, eth) for s, units in owed.items()}
        if hf >= 1.0 or sum(backing.values()) <= 0.0:
            break
        c, d = max(backing, key=backing.get), max(debts, key=debts.get)
        if rule == "aave_v3.0":
            repaid = 0.5 * debts[d] if hf > 0.95 else debts[d]
        else:
            large = backing[c] >= 2_000.0 and debts[d] >= 2_000.0
            repaid = min(0.5 * sum(debts.values()), debts[d]) if hf > 0.95 and large else debts[d]
        seized = repaid * (1.0 + BONUS[c])
        if seized > backing[c]:
            seized, repaid = backing[c], backing[c] / (1.0 + BONUS[c])
        out.append(Seizure(c, seized / price_of(c, eth), d, repaid / price_of(d, eth), eth))
        lent[c] = 0.0 if seized >= backing[c] else lent[c] - out[-1].taken
        owed[d] = 0.0 if repaid >= debts[d] else owed[d] - out[-1].repaid
    return out


# --- runs ------------------------------------------------------------------------------------------------------------


@basis.compiled
def never_acts(view, act):
    """Do nothing."""


def key(symbol, owed=False):
    return f"aave_v3:{'debtToken' if owed else 'aToken'}:{symbol}"


def market(eth, low=None, high=None, peg=1.0, growth=0.0, step=3600):
    """A panel of ETH, its extremes, three reserves and two debts; indices grow by `growth` an hour."""
    eth = np.asarray(eth, dtype=float)
    rows = len(eth)
    grown = (1.0 + growth) ** np.arange(rows)
    columns = {
        "spot|ETH": eth,
        "gas_price_gwei": np.full(rows, 20.0),
        "liquidity_index|aave_v3:WETH": 1.02 * grown,
        "liquidity_index|aave_v3:USDT": 1.1 * grown,
        "liquidity_index|aave_v3:weETH": 1.0005 * grown,
        "borrow_index|aave_v3:WETH": 1.06 * grown**2,
        "borrow_index|aave_v3:USDT": 1.2 * grown**2,
        "oracle_rate|weETH": np.full(rows, RATE),
        "market_rate|weETH": np.full(rows, RATE * peg),
    }
    if low is not None:
        columns["low|spot|ETH"] = np.asarray(low, dtype=float)
    if high is not None:
        columns["high|spot|ETH"] = np.asarray(high, dtype=float)
    return Panel.from_columns("2024-06-01", step, columns)


def per_unit(panel, symbol, row, owed=False):
    """Units of the asset per stored unit."""
    index = panel.columns[f"{'borrow' if owed else 'liquidity'}_index|aave_v3:{symbol}"][row]
    return index * (RATE if symbol == "weETH" else 1.0)


def book_of(lent, owed, panel):
    """Starting book with given units in row 0."""
    book = {key(s): units / per_unit(panel, s, 0) for s, units in lent.items()}
    return book | {key(s, True): units / per_unit(panel, s, 0, True) for s, units in owed.items()}


class Hour(NamedTuple):
    """A row by hand: units lent and owed after it, its seizures, worst health and LTV, P&L by column, equity."""

    lent: dict
    owed: dict
    seized: list
    health: float
    ltv: float
    pnl: dict
    equity: float


def by_hand(panel, book, rule="aave_v3.0", share_class="USDT", valuation="market"):
    """Every row of a book that only waits, worked out from its start."""
    columns, rows = panel.columns, len(panel)
    eth = columns["spot|ETH"]
    peg = columns["market_rate|weETH"] / columns["oracle_rate|weETH"] if valuation == "market" else np.ones(rows)
    stored = {side: {k.rpartition(":")[2]: v for k, v in book.items() if name in k}
              for side, name in (("lent", "aToken"), ("owed", "debtToken"))}  # fmt: skip
    q = {side: dict(stored[side]) for side in stored}

    def units(row):
        return [{s: v * per_unit(panel, s, row, side == "owed") for s, v in q[side].items()} for side in q]

    def worth(symbol, price, row):
        """Of a unit at oracle worth, in share class, as it is booked."""
        value = price_of(symbol, price) / (price if share_class == "ETH" else 1.0)
        return value * (peg[row] if symbol == "weETH" else 1.0)

    out = []
    for t in range(rows):
        lent, owed = units(t)
        start = dict(lent), dict(owed)
        columns_booked = ("supply_yield", "borrow_cost", "delta_pnl", "peg_pnl", "liquidation_loss", "deficit_borne")
        done, pnl = [], dict.fromkeys(columns_booked, 0.0)
        scenes = [eth[t]]
        if t > 0:
            down = min(columns["low|spot|ETH"][t], eth[t - 1], eth[t])
            up = max(columns["high|spot|ETH"][t], eth[t - 1], eth[t])
            scenes = [down, up, eth[t]]
            for price in scenes:
                done += seizures(lent, owed, price, rule)
            for side, sign, before in (("lent", 1.0, start[0]), ("owed", -1.0, start[1])):
                for s, whole in before.items():
                    past = q[side][s] * per_unit(panel, s, t - 1, side == "owed")
                    earned = sign * (whole - past) * worth(s, eth[t - 1], t)
                    pnl["supply_yield" if side == "lent" else "borrow_cost"] += earned
                    gone = 0.0
                    for seizure in done:
                        if getattr(seizure, side) == s:
                            some = seizure.taken if side == "lent" else seizure.repaid
                            gone += some
                            pnl["delta_pnl"] += sign * some * (worth(s, seizure.eth, t) - worth(s, eth[t - 1], t))
                    pnl["delta_pnl"] += sign * (whole - gone) * (worth(s, eth[t], t) - worth(s, eth[t - 1], t))
            for x in done:
                share = 1.0 / x.eth if share_class == "ETH" else 1.0
                lost = x.taken * price_of(x.lent, x.eth) - x.repaid * price_of(x.owed, x.eth)
                pnl["liquidation_loss"] -= lost * share
                pnl["peg_pnl"] += x.taken * (price_of(x.lent, x.eth) * share - worth(x.lent, x.eth, t))
        if done and rule == "aave_v3.3" and not any(v > 0.0 for v in lent.values()):
            # the pool bears what no collateral is left to cover
            pnl["deficit_borne"] = sum(v * worth(s, eth[t], t) for s, v in owed.items())
            owed = dict.fromkeys(owed, 0.0)
        found = [(health(*start, price), loan_to_value(*start, price)) for price in scenes]
        equity = sum(v * worth(s, eth[t], t) for s, v in lent.items())
        equity -= sum(v * worth(s, eth[t], t) for s, v in owed.items())
        out.append(Hour(lent, owed, done, min(f[0] for f in found), max(f[1] for f in found), pnl, equity))
        for side, now in (("lent", lent), ("owed", owed)):
            q[side] = {s: v / per_unit(panel, s, t, side == "owed") for s, v in now.items()}
    return out


def stored_by_hand(panel, hours, rows=None):
    """Stored quantities of every row, by key."""
    out = {}
    for side in ("lent", "owed"):
        for s in getattr(hours[0], side):
            owed = side == "owed"
            line = [getattr(hour, side)[s] / per_unit(panel, s, t, owed) for t, hour in enumerate(hours)]
            out[key(s, owed)] = np.array(line)
    return pd.DataFrame(out)
