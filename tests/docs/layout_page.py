"""Writes `docs/layout.md`, the tables of the kernel's arrays, from their declarations: ``make docs``."""

from pathlib import Path

import numpy as np

from basis.kernel.layout import records
from basis.kernel.layout.inputs import HOUR, MARKET
from basis.kernel.layout.state import LAST_RECORDED, PNL, POLICY, STATE, VIEW

PAGE = Path(__file__).resolve().parents[2] / "docs" / "layout.md"
HEAD = """# The arrays of the kernel

`make docs` writes this page from the declarations in `basis/kernel/layout`; a test keeps it up to date. Edit the
declarations, not the page. [architecture.md](architecture.md#layouts) explains how a layout is declared and read.

`places` says how many numbers an item takes: one, a fixed number, or one for each of a count of the book
(`basis/kernel/layout/shape.py`):

- `venues` exchanges, `tokens` in the wallet and at exchanges, `collaterals` supplied balances, `debts`, and `perps`,
  the grid of venues and markets; `slots` is all of these;
- `moving` cash and tokens, `yielding` tokens, collaterals and debts, `lent` collaterals and debts;
- `assets` priced assets other than the share class, `accounts` lending accounts, `measures` of the alerts, `signals`;
- `stops` the perps of a book with stops, else none; `limited` the tokens and perps of a book that trades against the
  volume of the hour, else none.
"""
#: Layout → the file that declares it, and what its array is.
PAGES = (
    (PNL, "state.py", "The first rows of a lane's state: cumulative P&L by column."),
    (STATE, "state.py", f"The rows after them. Those down to `{LAST_RECORDED}` are recorded in every row of the run."),
    (POLICY, "state.py", "The last rows of a lane's state: what the lane follows. They never change in a run."),
    (VIEW, "state.py", "What a strategy sees of a lane when it is asked."),
    (HOUR, "inputs.py", "Coefficients of a row. The pass over all lanes reads nothing else."),
    (MARKET, "inputs.py", "The market of a row, for fills, transfers, flows and liquidations."),
)
#: Record → what it is.
RECORDS = {
    "ACTION": "What a strategy asks for.",
    "ORDER": "What is sent to a venue.",
    "FILL": "What a venue made of an order.",
    "EVENT": "What happened, a row of `events.parquet`.",
    "PLAN": "What an action on an asset means.",
    "PAYOUT": "Reward tokens that are paid in a row.",
    "VENUE_TERMS": "Terms of an exchange.",
    "GAS_TERMS": "Gas units by operation.",
    "TIER": "A margin tier of a perp.",
    "BUCKET": "A bucket of a slippage table.",
    "STAKE_TERMS": "Terms of a token that is changed on chain.",
    "COLLATERAL_TERMS": "Terms of a collateral.",
    "ACCOUNT_TERMS": "Terms of a lending account.",
    "LOT": "Smallest step and smallest order of a market.",
}


def record_row(name: str, what: str) -> str:
    """A line of the table of records."""
    dtype: np.dtype = getattr(records, name)
    whole = [f"`{field}`" for field in dtype.names if dtype[field].kind == "i"]
    real = [f"`{field}`" for field in dtype.names if dtype[field].kind == "f"]
    return f"| `{name}` | {what} | {' '.join(whole)} | {' '.join(real)} |"


def page() -> str:
    """The page as the declarations have it."""
    parts = [HEAD]
    for layout, file, what in PAGES:
        declared = f"Declared in `basis/kernel/layout/{file}`."
        parts.append(f"## {layout.name}\n\n{what} {declared}\n\n{layout.documentation()}\n")
    rows = [record_row(name, what) for name, what in RECORDS.items()]
    table = ["| record | what | int64 | float64 |", "|---|---|---|---|", *rows]
    parts.append("## Records\n\nDeclared in `basis/kernel/layout/records.py`.\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
