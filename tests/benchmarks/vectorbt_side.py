"""The vectorbt side of the comparison; runs in vectorbt's own environment: ``python vectorbt_side.py IN.npz OUT.json``.

It is given prices and the trades our run made, and measures `Portfolio.from_orders` and its value. Nothing of `basis`
is imported.
"""

import json
import sys
import time
from importlib.metadata import version
from statistics import median

import numpy as np
import pandas as pd
import vectorbt as vbt

REPEATS = 25
CHUNK = 100


def spread(seconds):
    """Median and best."""
    seconds = list(seconds)
    return median(seconds), min(seconds)


def orders(given, engine, close, size, scenarios=1):
    """One call: a group of two columns (spot, perp) that share their cash per scenario."""
    return vbt.Portfolio.from_orders(
        close,
        size,
        fees=np.tile(given["fees"], scenarios),
        slippage=np.tile(given["slippage"], scenarios),
        init_cash=float(given["capital"]),
        group_by=True if scenarios == 1 else np.repeat(np.arange(scenarios), 2),
        cash_sharing=True,
        freq="1h",
        engine=engine,
    )


def once(given, engine, close, size, scenarios=1):
    """Seconds of the simulation, and of the simulation with the value of every hour."""
    began = time.perf_counter()
    portfolio = orders(given, engine, close, size, scenarios)
    simulated = time.perf_counter()
    value = portfolio.value()
    return simulated - began, time.perf_counter() - began, portfolio, value


def main(source, target):
    given = np.load(source)
    # no time zone: pandas would box every stamp in each step, which costs vectorbt 300 ms a run
    index = pd.to_datetime(given["timestamps"])
    close = pd.DataFrame(given["close"], index=index, columns=["spot", "perp"])
    engines = ["numba"]
    try:
        import vectorbt_rust  # noqa: F401

        engines.append("rust")
    except ImportError:
        pass
    out = {
        "version": version("vectorbt"),
        "versions": {name: version(name) for name in ("numba", "numpy", "pandas")},
        "engines": {},
    }
    scenarios = int(given["scenarios"])
    factors = np.linspace(0.5, 1.5, scenarios)
    for engine in engines:
        # twice: what the first call compiles or loads is not counted
        _, _, portfolio, value = once(given, engine, close, given["size"])
        once(given, engine, close, given["size"])
        took = [once(given, engine, close, given["size"])[:2] for _ in range(REPEATS)]
        found = {
            "simulation_s": spread(t[0] for t in took),
            "value_s": spread(t[1] for t in took),
            "orders": len(portfolio.orders.records_arr),
            "final_value": float(value.iloc[-1]),
        }

        def wide(part, engine=engine):
            size = (given["size"][:, None, :] * part[None, :, None]).reshape(len(close), -1)
            prices = pd.DataFrame(np.tile(given["close"], (1, len(part))), index=index)
            return once(given, engine, prices, size, len(part))[1]

        wide(factors[:2])
        chunks = [wide(factors[i * CHUNK : (i + 1) * CHUNK]) * scenarios / CHUNK for i in range(3)]
        found["chunked_s"] = spread(chunks)
        # all in one call for the engine that is documented as the fastest alone: it takes most of a minute
        if bool(given["whole"]) and engine == engines[-1]:
            found["whole_s"] = spread([wide(factors)])
        out["engines"][engine] = found
    with open(target, "w") as file:
        json.dump(out, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
