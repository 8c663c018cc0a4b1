"""Every mode on a real data set, as the tables of docs/results.md, docs/policies.md and the README: ``make results``.

The data set is found by BASIS_TEST_DATA and is no part of the project; without it nothing is written.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import basis
from basis.config import list_modes, load_config

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
from support.signal_data import with_example_signals  # noqa: E402

DATA = Path(os.environ.get("BASIS_TEST_DATA", ROOT.parent / "shared" / "market_data"))
BEGIN, END = "<!-- results: made by `make results` -->", "<!-- end of results -->"
#: Market rates of staking tokens begin on the day before; the rule of the signals looks back over three days.
STAKED, SIGNALLED, START = "2024-05-14", "2024-01-04", "2024-01-01"
HEAD = (
    "mode", "from", "to", "return", "CAGR", "max drawdown", "funding", "lending", "staking", "rewards", "peg", "price",
    "costs", "liquidations", "stand-ins", "seconds",
)  # fmt: skip
#: What of the table the README shows.
IN_README = ("mode", "from", "return", "CAGR", "max drawdown", "costs")
#: Return and costs with what was shipped before: narrow bands, slippage tables without a source (November 2026).
BEFORE = {
    "btc_basis": ("9.00%", "-2.09%"), "eth_basis": ("7.77%", "-3.70%"), "pure_lending": ("10.03%", "-0.01%"),
    "eth_staking_only": ("4.45%", "-0.03%"), "eth_leveraged": ("8.95%", "-0.37%"),
    "usdt_market_neutral_no_leverage": ("5.69%", "-3.18%"), "usdt_market_neutral": ("0.37%", "-10.18%"),
    "ml_directional": ("6.70%", "-45.70%"),
}  # fmt: skip
MODES_IN_README = (
    "btc_basis", "eth_basis", "pure_lending", "eth_staking_only", "eth_leveraged", "usdt_market_neutral_no_leverage",
    "usdt_market_neutral", "ml_directional",
)  # fmt: skip
#: Columns of the attribution behind a column of the table.
CAUSES = {
    "funding": ("funding_pnl", "basis_pnl"),
    "lending": ("supply_yield", "borrow_cost"),
    "staking": ("staking_yield",),
    "rewards": ("reward_pnl", "dust_pnl"),
    "peg": ("peg_pnl",),
    "price": ("delta_pnl", "liquidation_loss"),
    "costs": ("fees", "slippage", "gas", "transfer_fees", "flash_fees"),
}


def row(data: Path, mode: str, overrides: dict[str, str]) -> list[str]:
    """One run: its headline, its P&L by cause in percent of the capital, and how long it takes once all is loaded."""
    strategy = load_config(mode, environ={}).strategy
    start = STAKED if strategy.lst is not None else SIGNALLED if strategy.signal_file is not None else START
    config = load_config(mode, {"start": start, **overrides}, environ={})
    provider = basis.DataProvider(data, config)
    took = []
    for _ in range(4):
        began = time.perf_counter()
        result = basis.backtest(config, provider)
        took.append(time.perf_counter() - began)
    summary, capital = result.summary, result.summary["initial_equity"]
    earned = {name: sum(summary["attribution"][part] for part in parts) / capital for name, parts in CAUSES.items()}
    coverage = result.manifest["coverage"]
    worst = min(coverage, key=lambda series: coverage[series]["own"])
    own = coverage[worst]["own"]
    named = mode + "".join(f", {value}" for key, value in overrides.items() if key == "asset")
    return [
        f"`{named}`", summary["start"][:10], summary["end"][:10],
        *(f"{summary[name]:.2%}" for name in ("total_return", "cagr_365", "max_drawdown")),
        *(f"{value:+.2%}" if abs(value) >= 5e-5 else "" for value in earned.values()),
        f"{summary['liquidations']}", "" if own >= 0.9995 else f"{1.0 - own:.1%} of {worst}", f"{median(took[1:]):.2f}",
    ]  # fmt: skip


def table(data: Path) -> str:
    runs = [(mode, {}) for mode in list_modes()]
    lending = 1 + [mode for mode, _ in runs].index("pure_lending")
    runs.insert(lending, ("pure_lending", {"asset": "ETH", "share_class": "ETH"}))
    rows = [row(data, mode, overrides) for mode, overrides in runs]
    rule = ["---", "---", "---", *("---:" for _ in HEAD[3:-2]), "---", "---:"]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (HEAD, rule, *rows))


#: Windows in which the defaults of the policies are shown, and what is compared with them, mode by mode.
WINDOWS = (("2024-05-14", "2024-12-31"), ("2025-01-01", "2025-09-17"))
THRESHOLD, DEPTH, BAND = "position_deviation_threshold", "rebalance_depth", "margin_ratio_band"
BUSY = {THRESHOLD: 0.02, BAND: [0.7, 1.5]}
POLICIES: dict[str, tuple[dict[str, object], ...]] = {
    "btc_basis": (
        {**BUSY, DEPTH: 1.0}, {}, {DEPTH: 0.0}, {DEPTH: 1.0}, {THRESHOLD: 0.06}, {THRESHOLD: 0.16}, {BAND: [0.85, 1.8]},
    ),
    "eth_basis": (
        {**BUSY, DEPTH: 1.0}, {}, {DEPTH: 0.0}, {DEPTH: 1.0}, {THRESHOLD: 0.06}, {THRESHOLD: 0.16}, {BAND: [0.85, 1.8]},
    ),
    "usdt_market_neutral_no_leverage": (
        {**BUSY, THRESHOLD: 0.05}, {}, {THRESHOLD: 0.1}, {THRESHOLD: 0.2}, {BAND: [0.7, 1.5]},
    ),
    "usdt_market_neutral": (
        {**BUSY, THRESHOLD: 0.05}, {}, {THRESHOLD: 0.1}, {THRESHOLD: 0.2}, {BAND: [0.7, 1.5]},
    ),
}  # fmt: skip
#: The levered hedge needs a size at which gas is small.
CAPITAL = {"usdt_market_neutral": 1e6}
CARRY = ("funding_pnl", "basis_pnl", "supply_yield", "borrow_cost", "staking_yield", "reward_pnl")


def policy_cells(data: Path, mode: str, settings: dict[str, object], window: tuple[str, str]) -> list[str]:
    """Costs over carry, return, fills and the lowest margin ratio of one run."""
    overrides = {f"strategy.{name}": value for name, value in settings.items()}
    overrides["initial_capital"] = CAPITAL.get(mode, 1e5)
    summary = basis.backtest(load_config(mode, overrides, environ={}), data, *window).summary
    found = summary["attribution"]
    carried, costs = sum(found[name] for name in CARRY), -sum(found[name] for name in CAUSES["costs"])
    lowest = min(summary["min_margin_ratio"].values())
    return [f"{costs / carried:.1%}", f"{summary['total_return']:.2%}", f"{summary['fills']}", f"{lowest:.2f}"]


def policy_table(data: Path) -> str:
    """The settings of a policy side by side, in two windows."""
    told = ("costs/carry", "return", "fills", "least margin")
    named = [f"{first[:7]}..{last[:7]}: {what}" for first, last in WINDOWS for what in told]
    lines = [["mode", "settings", *named], ["---", "---", *("---:" for _ in named)]]
    for mode, compared in POLICIES.items():
        for settings in compared:
            changed = ", ".join(f"{name} {value}" for name, value in settings.items()) or "**as shipped**"
            cells = [cell for window in WINDOWS for cell in policy_cells(data, mode, settings, window)]
            lines.append([f"`{mode}`", changed, *cells])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"{DATA} does not exist; name a data set by BASIS_TEST_DATA.")
    with tempfile.TemporaryDirectory() as folder:
        made = table(DATA if DATA.joinpath("signals").is_dir() else with_example_signals(DATA, Path(folder)))
    write(ROOT / "docs" / "results.md", made)
    write(ROOT / "docs" / "policies.md", policy_table(DATA))
    write(ROOT / "README.md", headline(made))
    print(made)


_HEAD_BEFORE = (("return before", "costs before"), ("---:", "---:"))


def headline(made: str) -> str:
    """The columns of the table that the README shows, in the order of its modes."""
    lines = [line.strip("| ").split(" | ") for line in made.splitlines()]
    places = [HEAD.index(name) for name in IN_README]
    rows = {cells[0].strip("`"): cells for cells in lines[2:]}
    head = [[*(cells[place] for place in places), *more] for cells, more in zip(lines[:2], _HEAD_BEFORE, strict=True)]
    shown = [[*(rows[mode][place] for place in places), *BEFORE[mode]] for mode in MODES_IN_README]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (*head, *shown))


def write(page: Path, made: str) -> None:
    """Put a table in its place on a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
