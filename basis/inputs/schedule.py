"""What happens in which row whatever the strategy does: the investor's flows, rewards, funding, changes of terms."""

from typing import NamedTuple

import numpy as np

from ..config import Config
from ..errors import ConfigError
from ..kernel.layout import codes, records
from ..kernel.numba.struct_view import make_records
from ..market.panel import Panel
from .slots import Slots

_NS = 1_000_000_000
_NS_PER_MICROSECOND = 1_000


class Flows(NamedTuple):
    """The investor's flows on the grid.

    Attributes
    ----------
    deposit : (rows,) money that comes in, share class
    asked : (rows,) number of withdrawals asked for so far
    withdrawals : amounts of the withdrawals, in order, share class
    rows : (rows,) whether there is a flow
    """

    deposit: np.ndarray
    asked: np.ndarray
    withdrawals: np.ndarray
    rows: np.ndarray


def schedule_flows(config: Config, panel: Panel, started: int) -> Flows:
    """Flows of the configuration on the grid of a panel.

    Parameters
    ----------
    started : int64 ns UTC of row 0 of the run

    Raises
    ------
    ConfigError
        For a flow before the start.
    """
    stamps = [int(f.timestamp.timestamp()) * _NS + f.timestamp.microsecond * _NS_PER_MICROSECOND for f in config.flows]
    early = next((f for f, s in zip(config.flows, stamps, strict=True) if s < started), None)
    if early is not None:
        raise ConfigError(
            f"flows: {early.timestamp.isoformat()} is before the start of the run; give flows from "
            "the start on, or raise initial_capital instead."
        )
    deposit, asked, rows = np.zeros(len(panel)), np.zeros(len(panel)), np.zeros(len(panel), dtype=bool)
    withdrawals = []
    for flow, stamp in zip(config.flows, stamps, strict=True):
        row = int(np.searchsorted(panel.timestamps, stamp))
        is_known = row == 0 and stamp < panel.timestamps[0]
        if flow.amount < 0:
            withdrawals.append(-flow.amount)
            asked[row:] += 1.0
        elif row < len(panel) and not is_known:
            deposit[row] += flow.amount
        if row < len(panel):
            rows[row] = True
    return Flows(deposit, asked, np.array(withdrawals, dtype=float), rows)


def make_payouts(config: Config, slots: Slots, panel: Panel, started: int) -> np.recarray:
    """(payouts,) records of the distributions in the panel's rows, in their order.

    Holders are paid by what they hold in the row of the payout, before its decisions, in the protocol's own token
    (weETH counts as weETH times its rate). Of a period that had begun before the run, the days since then count.

    Parameters
    ----------
    started : int64 ns UTC of row 0 of the run
    """
    out: list[tuple[int, int, int, float, float]] = []
    for symbol, terms in config.distributions.items():
        paid = panel.distributions.get(symbol)
        to = slots.index(f"wallet:BaseToken:{symbol}")
        if paid is None or to < 0:
            continue
        rows = np.searchsorted(panel.timestamps, paid.stamps, side="left")
        for k in np.flatnonzero((rows > 0) & (rows < len(panel))).tolist():
            since = max(int(paid.starts[k]), started)
            rate = paid.rates[k] * max(int(paid.ends[k]) - since, 0) / int(paid.ends[k] - paid.starts[k])
            if rate > 0.0:
                row = int(rows[k])
                out += [
                    (row, to, slot, per_unit, rate) for slot, per_unit in _earners(slots, panel, terms.on, row, rate)
                ]
    made = make_records(records.PAYOUT, len(out))
    for place, payout in enumerate(sorted(out)):
        made[place] = payout
    return made


def _earners(slots: Slots, panel: Panel, token: str, row: int, rate: float) -> list[tuple[int, float]]:
    """Slots whose holdings earn rewards for a token, and what a stored unit earns at a rate per unit."""
    found = []
    for slot, key in enumerate(slots.keys):
        if key.symbol == token and key.type in ("BaseToken", "aToken"):
            per_unit = rate
            if f"oracle_rate|{token}" in panel.columns:
                per_unit *= panel.columns[f"oracle_rate|{token}"][row]
            if key.type == "aToken":
                per_unit *= panel.columns[f"liquidity_index|{key.reserve}"][row]
            found.append((slot, per_unit))
    return found


def make_row_flags(
    config: Config,
    slots: Slots,
    panel: Panel,
    terms_index: np.ndarray,
    flow_rows: np.ndarray,
    payouts: np.recarray,
    signal: np.ndarray | None,
) -> np.ndarray:
    """(rows,) uint8, what every row holds that all lanes have to look at, see `kernel.layout.codes`."""
    funds = np.zeros(len(panel), dtype=bool)
    for key in slots.held:
        funds |= panel.columns.get(f"funding_cash|{key}", np.zeros(1)) != 0.0
    flags = codes.FUNDING_DUE * funds + codes.FLOWS_DUE * flow_rows
    flags[np.unique(payouts.row)] += codes.REWARDS_DUE
    flags[1:] += codes.TERMS_CHANGE * (np.diff(terms_index) != 0)
    if signal is not None:
        heard = signal[[codes.SIGNAL, codes.TRUSTED]]
        flags[1:] += codes.SIGNAL_CHANGES * (heard[:, 1:] != heard[:, :-1]).any(axis=0)
    flags[final_row(config, len(panel))] += codes.CLOSES * config.close_at_end
    return flags.astype(np.uint8)


def final_row(config: Config, rows: int) -> int:
    """The last row in which an exit can still fill: with `next_bar` the one before the last."""
    return max(0, rows - 1 - (config.fill == "next_bar"))
