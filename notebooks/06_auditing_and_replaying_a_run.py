# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Auditing and replaying a run
#
# Why believe a backtest? Because its numbers can be worked out again: from the folder it leaves, by hand, by a
# second run in another process, and by another driver. This notebook does all of that for two months of
# `btc_basis`. The numbers in the text are those of the synthetic sample, which says nothing about a market.

# %%
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq

from basis import backtest, open_run
from basis.plots.notebook import show_figures
from basis.results.replay import replay

# figures for JupyterLab, and for an exported page that needs no network
show_figures()
# a folder with your own data; None takes the sample, or the folder that BASIS_DATA_DIR names
DATA = None

# %%
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name) / "run"
window = {"start": "2024-08-01", "end": "2024-10-01"}
result = backtest("btc_basis", data=DATA, out=folder, **window)
result

# %%
result.plot.overview()

# %% [markdown]
# ## What does a run leave?
#
# One folder, which appears whole or not at all. Tables are parquet files with a unit for each column; the rest can
# be read with any editor.

# %%
saved = open_run(folder)
rows = []
for path in sorted(folder.iterdir()):
    held = saved.table(path.stem) if path.suffix == ".parquet" else None
    rows.append(
        {
            "file": path.name,
            "kB": round(path.stat().st_size / 1000),
            "rows": "" if held is None else f"{len(held.to_pandas()):,}",
            "columns": "" if held is None else len(held.columns),
        }
    )
pd.DataFrame(rows).set_index("file")

# %% [markdown]
# ## What was it made of?
#
# The manifest names versions, a hash of every file that was read and of every table that was written, and how much
# of each series was its own.

# %%
manifest = saved.manifest
print(manifest["run_id"], "from", Path(manifest["data_dir"]).name)
print(manifest["package"]["name"], manifest["package"]["version"], manifest["versions"])
coverage = pd.DataFrame(manifest["coverage"]).T
coverage.style.format("{:.2%}")

# %%
print(*manifest["notes"], sep="\n")

# %% [markdown]
# `own` is what the first source of a series had, `resolved` what was there after others stood in. Where they
# differ, the run has seen another exchange's numbers, and says so.

# %% [markdown]
# ## Does it come out again?
#
# `replay` hashes the data, runs the folder's configuration once more in a fresh process, and compares every table
# bit for bit. On the command line it is `basis replay FOLDER`.

# %%
report = replay(folder)
print(report)
assert report.identical

# %% [markdown]
# ## Would it notice?
#
# A copy, in which one number of one table is changed by a millionth of a USDT:

# %%
forged = Path(scratch.name) / "forged"
shutil.copytree(folder, forged)
table = pq.read_table(forged / "equity.parquet")
values = table["equity"].to_numpy().copy()
values[700] += 1e-6
place = table.schema.get_field_index("equity")
pq.write_table(
    table.set_column(place, table.schema.field(place), pa.array(values)),
    forged / "equity.parquet",
)
report = replay(forged)
print(report)
assert not report.identical

# %% [markdown]
# ## What happened in one hour?
#
# The hour with most fills after the first day, as it was booked and as it is worked out again from positions,
# prices and events:

# %%
fills = result.events.query("kind == 'fill'")
later = fills[fills["timestamp"] > result.equity.index[24]]
busy = later.groupby("timestamp").size().idxmax()
result.explain(busy)

# %% [markdown]
# ## And by hand?
#
# Now without the package's help: numpy, the tables, and the definitions. Between two rows quantities stand still
# and prices move; then, at the prices of the row, things are settled and traded.
#
# - worth of the book: cash + coin · spot + Σ (quantity · mark − cost) of the perps
# - price (delta): (coin + Σ perp quantity) · change of spot
# - basis: Σ perp quantity · change of (mark − spot)
# - funding: −quantity · rate · mark at the settlement, which the panel holds as `funding_cash`
# - costs: those of the row's events

# %%
positions, panel, events = result.positions, result.panel, result.events
venues = list(result.config.strategy.hedge_allocation)
perps = [f"{venue}:Perp:BTCUSDT" for venue in venues]
spot = panel["spot|BTC"].to_numpy()
marks = panel[[f"mark|{perp}" for perp in perps]].to_numpy()
held = positions[perps].to_numpy()
paid = positions[[f"{perp}|cost" for perp in perps]].to_numpy()
coin = (
    positions[[name for name in positions if name.split("|")[0].endswith(":BTC")]]
    .sum(axis=1)
    .to_numpy()
)
cash = (
    positions[[name for name in positions if name.split("|")[0].endswith(":USDT")]]
    .sum(axis=1)
    .to_numpy()
)

worth = cash + coin * spot + (held * marks - paid).sum(axis=1)

before, premium = held[:-1], marks - spot[:, None]
by_hand = pd.DataFrame(
    0.0, index=positions.index, columns=["delta_pnl", "basis_pnl", "funding_pnl"]
)
by_hand.iloc[1:, 0] = (coin[:-1] + before.sum(axis=1)) * (spot[1:] - spot[:-1])
by_hand.iloc[1:, 1] = (before * (premium[1:] - premium[:-1])).sum(axis=1)
settled = panel[[f"funding_cash|{perp}" for perp in perps]].to_numpy()
by_hand.iloc[1:, 2] = -(before * settled[1:]).sum(axis=1)
costs = {"fees": "fee", "slippage": "slippage", "gas": "gas"}
trades = events[events["kind"] != "transfer"]
for column, name in costs.items():
    of_row = events if column == "gas" else trades
    by_hand[column] = (
        -of_row.groupby("timestamp")[name].sum().reindex(positions.index, fill_value=0.0)
    )
sent = events[events["kind"] == "transfer"].groupby("timestamp")["fee"].sum()
by_hand["transfer_fees"] = -sent.reindex(positions.index, fill_value=0.0)

booked = result.attribution[by_hand.columns]
pd.DataFrame(
    {
        "by hand": by_hand.sum(),
        "booked": booked.sum(),
        "largest difference of a row": (by_hand - booked).abs().max(),
    }
).style.format("{:,.6f}").format("{:.1e}", subset=["largest difference of a row"])

# %%
change = (
    pd.Series(worth, positions.index)
    .diff()
    .fillna(worth[0] - result.summary["initial_equity"])
)
figure = go.Figure()
for name, off in {
    "worth by hand against the equity": worth - result.equity["equity"],
    "columns by hand against the change of that worth": by_hand.sum(axis=1) - change,
}.items():
    figure.add_scatter(x=off.index, y=off, name=name, mode="lines", line_width=1)
figure.update_layout(
    template=result.plot.equity().layout.template,
    title="What is left unexplained, USDT",
    height=360,
    hovermode="x unified",
    legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    xaxis_title="time, UTC",
    yaxis={"exponentformat": "e", "tickformat": ".1e"},
)

# %%
assert (worth - result.equity["equity"]).abs().max() < 1e-6
assert (by_hand.sum(axis=1) - change).abs().max() < 1e-6

# %% [markdown]
# What is left is the rounding of sums, on a capital of 100,000 USDT. No column is a plug: each is worked out by
# itself, and together they are the change of what the book is worth.

# %%
result.plot.attribution(kind="waterfall")

# %% [markdown]
# ## Can it be cut in two?
#
# A checkpoint holds all that a run knows in a row. What goes on from it must be what would have been:

# %%
half = result.equity.index[len(result.equity) // 2]
rest = backtest("btc_basis", data=DATA, resume=result.checkpoint(half), **window)
after = result.equity.index > half
for name in ("positions", "exposure", "attribution"):
    assert getattr(rest, name).equals(getattr(result, name)[after]), name
print(
    f"cut at {half:%Y-%m-%d %H:%M}: {len(rest.equity):,} rows after it, the same to the bit"
)

# %% [markdown]
# ## And another driver?
#
# `driver="event"` takes every hour through the components, in Python. It is slower, and it gives the same bits:

# %%
slow = backtest("btc_basis", data=DATA, driver="event", **window)
for name in ("equity", "attribution", "positions", "exposure", "risk"):
    assert getattr(slow, name).equals(getattr(result, name)), name
print("the same to the bit")

# %% [markdown]
# ## What it means
#
# - The numbers are those of the data and the rules, and nothing else. Whether the rules are those of the world is
#   another question: fees, tiers, latencies and slippage are in `config.yaml` and in `configs/venues/`, each with
#   its source.
# - A run that cannot explain itself stops. A folder that was changed does not replay.

# %%
scratch.cleanup()
