"""The golden table: a hash of every table and of the events of many runs, which no change may move unless it says so.

Each case is a mode, a data set and a setting. Its run is made by both drivers, which have to agree, and its tables are
hashed with their names, types and bits. ``golden.txt`` beside this file has one line per case: the case, how the run
ended, and a hash of each table. ``make golden`` compares; ``make golden ARGS="--accept TEXT"`` writes the lines whose
case holds TEXT anew, so that a declared change is accepted line by line and seen in the diff.
"""

import argparse
import hashlib
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import basis
from basis.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("golden.txt")
TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events")
#: Columns made with a logarithm, whose last digit depends on the processor: seven digits of them are compared.
OF_LOGARITHMS = ("days_to_liquidation",)
DRIVERS = ("kernel", "event")
MODES = (
    "pure_lending", "btc_basis", "eth_basis", "eth_staking_only", "eth_leveraged",
    "usdt_market_neutral_no_leverage", "usdt_market_neutral", "ml_directional",
)  # fmt: skip
HEDGED = ("btc_basis", "eth_basis", "usdt_market_neutral_no_leverage", "usdt_market_neutral")
ON_CHAIN = ("eth_staking_only", "eth_leveraged", "usdt_market_neutral_no_leverage", "usdt_market_neutral")
LEVERED = ("eth_leveraged", "usdt_market_neutral")
IN_ETHER = ("eth_staking_only", "eth_leveraged")
#: Data set → window. Each holds large moves, a change of terms, rewards and funding at several venues.
WINDOWS = {
    "sample": {"start": "2025-06-01", "end": "2025-06-22"},
    "real": {"start": "2024-07-26", "end": "2024-08-16"},
}
#: Share of the capital that flows in and out, by day of the window.
FLOWS = ((2, 0.2), (5, -0.3), (9, -0.01), (9, 0.04), (14, -3.0))


def _capital(mode: str) -> float:
    return 100.0 if mode in IN_ETHER else 100_000.0


def _flows(mode: str, data: str) -> list[dict[str, Any]]:
    first = pd.Timestamp(WINDOWS[data]["start"], tz="UTC") + pd.Timedelta("3h")
    return [
        {"timestamp": (first + pd.Timedelta(days=day)).isoformat(), "amount": share * _capital(mode)}
        for day, share in FLOWS
    ]


@basis.compiled
def compiled_half(view, act, share=0.3):
    """Half of what `PlainHalf` does in plain Python, compiled: the same actions in the same rows."""
    if view.pending > 0:
        act.exit_full("USDT", view.pending)
    if view.first:
        act.entry_full("USDT", share * view.equity)


class PlainHalf(basis.StrategyManager):
    """Puts 30 % of the equity to work in the plan called USDT, and takes out what the investor asks for."""

    def make_decision(self, timestamp=None, market_data=None):
        actions = []
        if self.view.pending > 0:
            actions.append(basis.Action("exit_full", "USDT", self.view.pending))
        if self.view.first:
            actions.append(basis.Action("entry_full", "USDT", 0.3 * self.view.equity))
        return actions


class Case(NamedTuple):
    """A run of the golden table."""

    data: str
    mode: str
    setting: str
    overrides: dict[str, Any]
    strategy: Any = None
    positions: dict[str, float] | None = None

    @property
    def name(self) -> str:
        return f"{self.data}/{self.mode}/{self.setting}"


def _shared(mode: str, data: str) -> dict[str, dict[str, Any]]:
    """Settings that every mode is run with."""
    big = 100.0 * _capital(mode)
    return {
        "shipped": {},
        "next_bar": {"fill": "next_bar", "flows": _flows(mode, data)},
        "flows": {"flows": _flows(mode, data), "close_at_end": True},
        "free": {"costs.enabled": False, "transfers.instant": True},
        "held": {"strategy.rebalance": False, "flows": _flows(mode, data)},
        "oracle": {"valuation": "oracle"},
        "impact": {"execution.impact": 1.0, "initial_capital": big},
        "participation": {"execution.participation": 0.01, "initial_capital": big},
        "lots": {"execution.lots": True, "flows": _flows(mode, data)},
        "maker": {"execution.orders": "maker", "fill": "next_bar"},
        "days": {"bar_interval": "1d", "fill": "next_bar"},
        "small": {"initial_capital": _capital(mode) / 300.0, "flows": _flows(mode, data)},
        "tight": {"strategy.position_deviation_threshold": 0.002, "flows": _flows(mode, data)},
    }


def _of_mode(mode: str, data: str) -> dict[str, dict[str, Any]]:
    """Settings that only some modes have: liquidations, rules, rewards, the other share class, venues."""
    found: dict[str, dict[str, Any]] = {}
    rule = {"enabled": True, "window": "48h", "enter": 0.05, "leave": 0.03}
    if mode != "ml_directional":
        found["rate_rule"] = {"strategy.rate_rule": rule}
        found["rate_rule_unpriced"] = {"strategy.rate_rule": {**rule, "holding_period": None}}
    if mode in HEDGED:
        found["thin_margin"] = {"strategy.margin_ratio_target": 0.06, "strategy.rebalance": False, "risk.limits": {}}
        found["thin_margin_rebalanced"] = {"strategy.margin_ratio_target": 0.06, "risk.limits": {}}
        found["one_venue"] = {"strategy.hedge_allocation": {"bybit": 1.0}, "flows": _flows(mode, data)}
        busy = {"strategy.position_deviation_threshold": 0.02, "strategy.margin_ratio_band": [0.7, 1.5]}
        found["busy"] = {**busy, "flows": _flows(mode, data)}
        found["busy_maker"] = {**busy, "execution.orders": "maker", "fill": "next_bar"}
    if mode in ("btc_basis", "eth_basis"):
        for depth in (0.0, 1.0):
            found[f"depth_{depth:g}"] = {"strategy.rebalance_depth": depth, "flows": _flows(mode, data)}
    if mode in ON_CHAIN:
        found["wstETH"] = {"strategy.lst": "wstETH", "flows": _flows(mode, data)}
        found["bought"] = {"strategy.stake_route": "market", "flows": _flows(mode, data)}
        found["rewards"] = {"strategy.dust_threshold": 0.0}
        found["no_rewards"] = {"rewards.enabled": False}
    if mode in LEVERED:
        found["near_liquidation"] = {
            "strategy.target_ltv": 0.899, "strategy.ltv_band": 0.02, "strategy.min_health_factor": 1.001,
            "strategy.rebalance": False, "risk.limits": {}, "valuation": "oracle",
        }  # fmt: skip
        found["loops"] = {"strategy.loop_steps": 4, "flows": _flows(mode, data)}
    if mode == "ml_directional":
        found["tight_stops"] = {"strategy.stop_sd": 0.5, "strategy.take_profit_sd": 1.0}
        found["levered"] = {"strategy.margin_ratio_target": 0.05, "strategy.rebalance": False, "risk.limits": {}}
        if data == "sample":
            found["five_minutes"] = {
                "bar_interval": "5m", "strategy.signal_file": "btc_5m", "start": "2025-03-02", "end": "2025-03-05",
            }  # fmt: skip
    if mode == "pure_lending":
        found["ether"] = {"share_class": "ETH", "asset": "ETH", "initial_capital": 100.0}
    return found


def _of_strategy(mode: str, data: str) -> Iterator[Case]:
    """Strategies of one's own, and starting books."""
    if mode in HEDGED or mode in ("pure_lending", "ml_directional"):
        flows = {"flows": _flows(mode, data)}
        yield Case(data, mode, "own_compiled", flows, compiled_half)
        yield Case(data, mode, "own_plain", flows, PlainHalf)
    if mode == "btc_basis":
        book = {
            "binance:BaseToken:USDT": 40_000.0, "binance:BaseToken:BTC": 1.5, "okx:BaseToken:USDT": 30_000.0,
            "okx:Perp:BTCUSDT": -1.2, "okx:Perp:BTCUSDT|cost": -50_000.0,
        }  # fmt: skip
        yield Case(data, mode, "positions", {}, None, book)
        ether = {"share_class": "ETH", "initial_capital": 30, "risk.limits": {}}
        held = {"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:USDT": 50_000.0}
        yield Case(data, mode, "in_ether", ether, None, held)
    if mode == "eth_leveraged":
        book = {"wallet:BaseToken:ETH": 2.0, "aave_v3:aToken:weETH": 1000.0, "aave_v3:debtToken:WETH": 925.0}
        for debt in (900.0, 990.0):
            yield Case(
                data, mode, f"owes_{debt:g}", {"risk.limits": {}}, None, {**book, "aave_v3:debtToken:WETH": debt}
            )
        held = {"risk.limits": {}, "strategy.rebalance": False}
        for debt in (960.0, 965.0, 990.0):
            yield Case(data, mode, f"held_{debt:g}", held, None, {**book, "aave_v3:debtToken:WETH": debt})
        yield Case(data, mode, "without_gas", {"risk.limits": {}}, None, {**book, "wallet:BaseToken:ETH": 0.0})
    if mode == "pure_lending":
        # the real window has a fall by a third in it, the sample is borrowed against to the edge
        debt = 197_000.0 if data == "real" else 326_000.0
        book = {"wallet:BaseToken:USDT": 2.0, "aave_v3:aToken:WETH": 100.0, "aave_v3:debtToken:USDT": debt}
        held = {"risk.limits": {}, "strategy.rebalance": False}
        yield Case(data, mode, "owes_dollars", held, None, book)
        yield Case(data, mode, "owes_little", held, None, {key: amount / 100.0 for key, amount in book.items()})


def cases(data: str) -> list[Case]:
    """Every case of a data set."""
    found = []
    for mode in MODES:
        named = {**_shared(mode, data), **_of_mode(mode, data)}
        found += [Case(data, mode, setting, overrides) for setting, overrides in named.items()]
        found += _of_strategy(mode, data)
    return found


def _hash_of(table: pd.DataFrame) -> str:
    """Hash of names, types and bits of a table with its index."""
    digest = hashlib.sha256()
    for name, column in [("index", table.index.to_series()), *table.items()]:
        if name in OF_LOGARITHMS:
            column = column.astype("f4")
        digest.update(f"{name} {len(column)}\n".encode())
        if column.dtype.kind in "fiub":
            digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
        else:
            digest.update("\n".join(map(str, column)).encode())
    return digest.hexdigest()[:12]


def run(case: Case, folder: Path, driver: str) -> str:
    """How a case ends and the hash of each table; the class of the error where it is refused."""
    overrides = {**WINDOWS[case.data], **case.overrides}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = basis.backtest(
                case.mode, folder, overrides=overrides, strategy=case.strategy, positions=case.positions, driver=driver
            )
        except InputError as error:
            return f"refused {type(error).__name__}"
    made = {name: pd.DataFrame(result.table(name).to_pandas(index=name != "events")) for name in TABLES}
    # why a decision was asked is worked out from these tables, and has tests of its own
    made["events"].loc[made["events"]["kind"] == "decision", "detail"] = ""
    # the name of a run holds a hash of the kernel's sources, which a redesign changes
    made["events"]["correlation_id"] = [text.rpartition("-")[2] for text in made["events"]["correlation_id"]]
    return " ".join([result.status, str(len(made["events"])), *map(_hash_of, made.values())])


def line_of(case: Case, folder: Path) -> str:
    """The line of a case; both drivers have to agree on it."""
    found = {driver: run(case, folder, driver) for driver in DRIVERS}
    if len(set(found.values())) > 1:
        return f"{case.name} DRIVERS DIFFER {found}"
    return f"{case.name} {found['kernel']}"


def read_table() -> dict[str, str]:
    """Case → line of ``golden.txt``."""
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    return {line.split()[0]: line for line in lines if line and not line.startswith("#")}


def difference(expected: str, found: str) -> str:
    """Which parts of two lines differ, by name."""
    names = ("case", "status", "number of events", *TABLES)
    pairs = zip(names, expected.split(), found.split(), strict=False)
    return ", ".join(name for name, one, other in pairs if one != other) or "length"


def real_folder(folder: Path, data: Path) -> Path:
    """Real data with the signals of the sample's example rule, which `ml_directional` needs."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.signal_data import with_example_signals

    return with_example_signals(data, folder)


def main() -> int:
    """Compare, or accept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", metavar="TEXT", help="write the lines anew whose case holds TEXT ('' for all)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases whose name holds TEXT")
    parser.add_argument("--data", metavar="DIR", help="real data; default: ../shared/market_data, if it is there")
    arguments = parser.parse_args()
    named = Path(arguments.data) if arguments.data else ROOT.parent / "shared" / "market_data"
    table = read_table()
    differing = 0
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"sample": ROOT / "data" / "sample"}
        if named.is_dir():
            folders["real"] = real_folder(Path(scratch), named)
        else:
            print(f"no real data at {named}: only the sample is compared")
        for data, folder in folders.items():
            for case in cases(data):
                if arguments.only not in case.name:
                    continue
                line = line_of(case, folder)
                if line == table.get(case.name):
                    continue
                if "DIFFER" not in line and arguments.accept is not None and arguments.accept in case.name:
                    table[case.name] = line
                    print(f"accepted: {line}")
                    continue
                differing += 1
                expected = table.get(case.name, f"{case.name} is not in the table")
                print(f"{case.name}: {difference(expected, line)}\n  table {expected}\n  found {line}")
    if arguments.accept is not None:
        unfinished = TABLE.with_suffix(".tmp")
        unfinished.write_text("".join(f"{line}\n" for line in table.values()))
        unfinished.replace(TABLE)
    print(f"{differing} lines differ of {len(table)}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
