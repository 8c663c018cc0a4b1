"""What the gates share: the accounts of a result, its events by row, and the terms of venues from their YAML.

A gate looks at a mode as its user does: a configuration, a market, `basis.backtest`, and then the tables. What it
expects it works out itself, from prices, the files of a data set and `configs/venues`.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
YEAR_S = 31_536_000.0


# --- accounts --------------------------------------------------------------------------------------------------------


def columns_of(result):
    """Attribution columns, which make up the sum."""
    return list(result.attribution)


def check_accounts(result, allowed):
    """A run came to its end, its P&L adds up in every row, and only the columns allowed hold any."""
    assert result.status == "complete", result.cause
    rows, booked = result.equity, result.attribution[columns_of(result)]
    capital = result.summary["initial_equity"]
    close = 1e-9 * (capital + rows["net_flow"].abs().sum())
    earned = rows["equity"] - capital - rows["net_flow"].cumsum()
    assert (earned - booked.sum(axis=1).cumsum()).abs().max() <= close
    assert (earned.diff() - booked.sum(axis=1)).abs().max() <= close
    elsewhere = booked.drop(columns=list(allowed))
    assert (elsewhere == 0.0).all(axis=None), elsewhere.abs().sum()
    # the worths of what is held, and of what is under way, are the equity
    worths = result.exposure[[name for name in result.exposure if name.startswith("value|")]]
    assert (worths.sum(axis=1) - rows["equity"]).abs().max() <= close


def same_tables(one, other):
    """Whether two results hold the same bits."""
    names = ("equity", "attribution", "positions", "exposure", "risk")
    return all(getattr(one, name).equals(getattr(other, name)) for name in names)


# --- events ----------------------------------------------------------------------------------------------------------


def events(result, kind, row=None, **named):
    """Events of a kind (in a row), those whose columns hold what is named; `row` becomes a column."""
    found = result.events[result.events["kind"] == kind]
    found = found.assign(row=result.equity.index.get_indexer(pd.DatetimeIndex(found["timestamp"])))
    if row is not None:
        found = found[found["row"] == row]
    for column, value in named.items():
        found = found[found[column] == value]
    return found


def rows_of(result, kind, **named):
    """Rows in which there are such events."""
    return sorted(set(events(result, kind, **named)["row"]))


def reasons(result):
    """Why something was rejected, one entry per rejection."""
    return events(result, "reject")["detail"].tolist()


def held(result, key, row=slice(None)):
    """Stored quantity of an instrument after the fills of a row, or of every row."""
    return result.positions[key].iloc[row]


def under_way(result):
    """Whether anything travels after a row's fills, (rows,)."""
    transit = [name for name in result.positions if name.endswith("|in_transit")]
    return (result.positions[transit] != 0.0).any(axis=1).to_numpy()


# --- terms of venues -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _venue(name):
    return yaml.safe_load((ROOT / "configs" / "venues" / f"{name}.yaml").read_text())


def dated(table, when):
    """The entry of a dated table that holds on a day; the first serves for all days before it."""
    day = pd.Timestamp(when).date()
    begun = [entry for entry in table if entry["from"] <= day]
    return begun[-1] if begun else table[0]


def term(venue, *path, when="2024-05-29"):
    """A dated entry of a venue's YAML; what is ``like`` another venue stands there."""
    table = _venue(venue)
    for name in path:
        if "like" in table:
            return term(table["like"], *path, when=when)
        table = table[name]
    return dated(table, when)


def gas_cost(venue, operation, gwei, eth):
    """Worth of the gas of an operation, quote units."""
    return term(venue, "gas_units", operation)["value"] * gwei * 1e-9 * eth


def slippage_rate(venue, kind, notional, asset="BTC"):
    """Fraction of the price that a trade of a notional loses; `kind` is ``spot`` or ``perp``."""
    buckets = term(venue, f"{kind}_slippage", f"{asset}USDT")["buckets"]
    return next(bps for most, bps in buckets if most is None or notional <= most) * 1e-4


def slice_rate(rate_of, before, units):
    """Fraction of the price that a slice loses after others; `rate_of` gives that of a sum of units."""
    return (rate_of(before + units) * (before + units) - (rate_of(before) * before if before else 0.0)) / units


# --- files of a data set ---------------------------------------------------------------------------------------------


def utc(text):
    return pd.Timestamp(text, tz="UTC")


def series(data, name, column, stamp="timestamp"):
    """A column of a file of a data set by its instants, holes left out."""
    frame = pd.read_parquet(data / f"{name}.parquet", columns=list(dict.fromkeys((stamp, column))))
    return frame.dropna().set_index(stamp)[column].sort_index()


def filled(data, kind, venue, other, column):
    """A venue's own rows; where it has none, those of the other."""
    own, stand_in = (series(data, f"{kind}/{name}_btcusdt", column) for name in (venue, other))
    return pd.concat([own, stand_in[stand_in.index.difference(own.index)]]).sort_index()


def supply_index(data, stamp):
    """Aave's USDT supply index as it is known at an instant: the last observation, accrued linearly since."""
    frame = pd.read_parquet(data / "aave" / "usdt.parquet").set_index("timestamp")
    known = frame[frame.index <= stamp].iloc[-1]
    years = (stamp - known.name).total_seconds() / YEAR_S
    return known["liquidity_index"] * (1.0 + known["supply_apr"] * years)


def gas_price(data, stamp):
    """Gwei as known at an instant: that of the block sampled last before it."""
    stamps = pd.read_parquet(data / "gas" / "ethereum.parquet").columns
    known = series(data, "gas/ethereum", "gas_price_gwei", "sampled_at" if "sampled_at" in stamps else "timestamp")
    return known[known.index <= stamp].iloc[-1]


def settled(q, mark, rate, start, end):
    """Funding of a short of `q` units over (start, end], one payment per settlement of the venue."""
    paid = rate[(rate.index > start) & (rate.index <= end)]
    return q * float(np.sum(mark[paid.index].to_numpy() * paid.to_numpy()))
