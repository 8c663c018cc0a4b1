"""Runs by a kernel with something wrong in it, in plain Python: `python broken_runs.py DATA FOLDER`.

Some mistakes break the identity: such a run must stop itself. Others are consistent in themselves, so only an audit
can find them. Prints status and cause of each by name; runs that are complete are saved to FOLDER/<name>.
"""

import contextlib
import json
import sys
from pathlib import Path

import numba
import numpy as np

import basis
from basis.market import DataProvider
from support.kernel_faults import (
    funding_lines,
    pnl_line,
    quantities,
    replaced,
    scale_gas_units,
    scale_taker_fee_of_perps,
)

#: Enters at once, is paid funding, and is liquidated by the wick of the squeeze.
HEDGED = (
    "btc_basis",
    {
        "start": "2025-02-13",
        "end": "2025-02-15",
        "strategy.hedge_allocation": {"binance": 1.0, "bybit": 0.0, "okx": 0.0},
        "strategy.margin_ratio_target": 0.1,
        "strategy.rebalance": False,
        "risk.limits": {},
        "venues.binance.liquidation_fee": 0.001,
    },
)
#: Enters, and sends money home for a withdrawal.
LEAVING = (
    "btc_basis",
    {
        "start": "2025-02-03",
        "end": "2025-02-04",
        "strategy.hedge_allocation": {"binance": 1.0, "bybit": 0.0, "okx": 0.0},
        "flows": [{"timestamp": "2025-02-03T05:00:00Z", "amount": -20_000}],
    },
)
LENDING = (
    "pure_lending",
    {
        "start": "2024-02-01T05:00",
        "end": "2024-02-03",
        "flows": [{"timestamp": "2024-02-02T05:00:00Z", "amount": -20_000}],
    },
)


def unbooked(stage, column):
    """A stage that forgets to book a column."""

    def make(original):
        def forgetful(*arguments):
            line = pnl_line(arguments, column)
            before = line.copy()
            done = original(*arguments)
            line[:] = before
            return done

        return forgetful

    return lambda: replaced(stage, make)


def wrong_sign(stage, column, cash_too):
    """A stage that books a column with the wrong sign; with `cash_too` what moves the cash has it as well."""

    def make(original):
        def turned(*arguments):
            lines = [pnl_line(arguments, column), funding_lines(arguments)]
            lines += [quantities(arguments)] if cash_too else []
            before = [line.copy() for line in lines]
            done = original(*arguments)
            for line, old in zip(lines, before):
                line[:] = old - (line - old)
            return done

        return turned

    return lambda: replaced(stage, make)


def losing_arrivals():
    """What was under way is gone when it arrives."""

    def make(original):
        def losing(*arguments):
            held = quantities(arguments)
            before = held.copy()
            done = original(*arguments)
            held[:] = before
            return done

        return losing

    return replaced("let transfers arrive", make)


def answering(stage, answer):
    """A stage that answers something else: `answer(original answer)`."""
    return lambda: replaced(stage, lambda original: lambda *arguments: answer(original(*arguments)))


def other_terms(change):
    """Terms of venues that are not those of the configuration."""

    def make(original):
        def changed(*arguments):
            terms = original(*arguments)
            change(terms)
            return terms

        return changed

    return lambda: replaced("terms of the venues", make)


@contextlib.contextmanager
def other_panel(change):
    """A market that is not that of the files."""
    original = DataProvider.panel

    def changed(self, *arguments, **named):
        panel = original(self, *arguments, **named)
        for name, values in panel.columns.items():
            panel.columns[name] = np.ascontiguousarray(change(name.partition("|")[0], values))
        return panel

    DataProvider.panel = changed
    try:
        yield
    finally:
        DataProvider.panel = original


def _turned_funding(measure, values):
    return -values if measure == "funding_cash" else values


def _seen_too_early(measure, values):
    return np.append(values[1:], values[-1]) if measure in ("high", "low") else values


def _interpolated(measure, values):
    if measure != "liquidity_index":
        return values
    rows = np.arange(len(values))
    return np.interp(rows, rows[[0, -1]], values[[0, -1]])


#: name → (run, how it is broken, kind of the first event that cannot be booked right; None: the first hour).
INCONSISTENT = {
    "funding booked with the wrong sign": (HEDGED, wrong_sign("settle funding", "funding_pnl", False), "funding"),
    "funding not booked": (HEDGED, unbooked("settle funding", "funding_pnl"), "funding"),
    "fees not booked": (HEDGED, unbooked("book a trade", "fees"), "fill"),
    "slippage not booked": (HEDGED, unbooked("book a trade", "slippage"), "fill"),
    "gas not booked": (HEDGED, unbooked("book a transfer", "gas"), "transfer"),
    "transfer fees not booked": (LEAVING, unbooked("book a transfer", "transfer_fees"), "transfer home"),
    "liquidation not booked": (HEDGED, unbooked("liquidate", "liquidation_loss"), "liquidation"),
    "arrivals lost": (HEDGED, losing_arrivals, "arrival"),
    "basis not booked": (HEDGED, unbooked("attribute the hour", "basis_pnl"), "hour after the fills"),
    # as long as the hedge is whole there is no price P&L
    "price not booked": (HEDGED, unbooked("attribute the hour", "delta_pnl"), "liquidation"),
    "supply yield not booked": (LENDING, unbooked("attribute the hour", "supply_yield"), "hour after the fills"),
    "gas of supplies not booked": (LENDING, unbooked("book a supply", "gas"), "fill"),
}
#: name → (run, how it is broken).
CONSISTENT = {
    "nothing": (HEDGED, contextlib.nullcontext),
    "nothing, leaving": (LEAVING, contextlib.nullcontext),
    "nothing, lending": (LENDING, contextlib.nullcontext),
    "funding paid with the wrong sign": (HEDGED, wrong_sign("settle funding", "funding_pnl", True)),
    "funding turned in the market": (HEDGED, lambda: other_panel(_turned_funding)),
    "extremes seen too early": (HEDGED, lambda: other_panel(_seen_too_early)),
    "index interpolated": (LENDING, lambda: other_panel(_interpolated)),
    "maker fees": (HEDGED, other_terms(lambda terms: scale_taker_fee_of_perps(terms, 0.4))),
    "half the gas": (HEDGED, other_terms(lambda terms: scale_gas_units(terms, 0.5))),
    "transfers at once": (LEAVING, answering("latency of a transfer", lambda seconds: 0.0)),
    "slippage of the smallest order": (HEDGED, answering("slippage of a trade", lambda fraction: 3e-4)),
    "no maintenance margin": (HEDGED, answering("maintenance margin", lambda margin: 0.0)),
    "liquidated at the extreme": (HEDGED, answering("path to a liquidation", lambda share: min(1.0, share))),
    "never liquidated": (HEDGED, answering("path to a liquidation", lambda share: 2.0)),
}


def main(data, folder):
    found = {}
    for name, ((mode, overrides), broken, *_) in {**INCONSISTENT, **CONSISTENT}.items():
        with broken():
            result = basis.backtest(mode, data, overrides=overrides)
            found[name] = {"status": result.status, "cause": result.cause}
            if name in CONSISTENT:
                result.save(Path(folder) / name)
    print(json.dumps(found))


if __name__ == "__main__":
    assert numba.config.DISABLE_JIT, "run it with NUMBA_DISABLE_JIT=1"
    main(*sys.argv[1:])
