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
# # Quickstart
#
# One run of a carry strategy from configuration to report: what it earned, from what, and how near it came to its limits.
# The market is the synthetic sample that comes with the package. It has the shape of a market and says nothing about one;
# `DATA` puts your own data set in its place.

# %%
import tempfile
from pathlib import Path

import pandas as pd

from basis import backtest, load_config, open_run
from basis.plots.notebook import show_figures

# figures for JupyterLab, and for an exported page that needs no network
show_figures()
# a folder with your own data; None takes the sample, or the folder that BASIS_DATA_DIR names
DATA = None

# %% [markdown]
# ## What is run?
#
# A mode is a name; `load_config` gives everything it stands for, checked and frozen. `btc_basis` holds BTC and is short as
# much in perps on three exchanges, so that what it earns is funding.

# %%
config = load_config("btc_basis")
print(config.initial_capital, config.share_class, dict(config.strategy.hedge_allocation))
print("margin ratio target", config.strategy.margin_ratio_target, "limits", dict(config.risk.limits))

# %% [markdown]
# ## What came of it?
#
# Two years of hours take a fraction of a second. The first run of a version compiles its kernel, which takes about twenty
# seconds.

# %%
result = backtest(config, data=DATA)
result

# %% [markdown]
# The card shows the headline, the line of equity, and what one should know before believing either: here, where another
# venue's prices stand in and what serves as mark price.
#
# `stats()` has the rest. With `formatted=True` it is for reading; without, it gives numbers, and
# `result.stats().attrs["units"]` their units.

# %%
result.stats(formatted=True)

# %% [markdown]
# ## How did the money grow?

# %%
result.plot.equity()

# %%
result.plot.drawdown()

# %% [markdown]
# A basis book falls when it pays its costs and while funding is against it; the price of BTC itself moves both legs and
# cancels. A Sharpe ratio as high as this one is that of a book whose losses are rare and not yet in the sample, not a
# promise.

# %% [markdown]
# ## Where does the profit come from?
#
# Every hour the columns sum to the change of equity to rounding, so the table below is the whole of the profit. A run in
# which they did not would have stopped.

# %%
earned = result.attribution.sum()
table = pd.DataFrame({result.summary["share_class"]: earned, "of the P&L": earned / earned.sum()})
table[earned.abs() > 1e-6].style.format({"USDT": "{:,.2f}", "of the P&L": "{:.2%}"})

# %%
profit = result.summary["final_equity"] - result.summary["initial_equity"] - result.summary["net_flows"]
print(f"sum of the columns {earned.sum():,.6f}, change of equity {profit:,.6f}")

# %%
result.plot.attribution()

# %%
result.plot.attribution(kind="waterfall")

# %% [markdown]
# Funding pays for everything. Of the costs, fees and slippage of keeping the legs equal weigh most; basis comes and goes and
# leaves little.

# %% [markdown]
# ## How near was it to its limits?
#
# The strong lines are the worst margin ratio of each hour, at the extreme of the candles, which is where an exchange would
# have liquidated. The thin ones are after the hour's fills.

# %%
result.plot.risk()

# %% [markdown]
# ## What if one thing is different?
#
# An override is a dotted key. With all of it on OKX, funding is what OKX pays, and there is no other venue to even margin
# out with.

# %%
alone = backtest(config, data=DATA, overrides={"strategy.hedge_allocation": {"okx": 1.0}})
pd.DataFrame({"three venues": result.stats(formatted=True), "okx alone": alone.stats(formatted=True)}).loc[
    ["return", "Sharpe", "max drawdown", "costs, of the capital", "fills", "critical alerts"]
]

# %% [markdown]
# ## How much margin is enough?
#
# Less margin leaves more for the position and earns more funding. It also brings each ratio nearer to its limit.

# %%
targets = {}
for target in (0.3, 0.6):
    targets[target] = backtest(config, data=DATA, overrides={"strategy.margin_ratio_target": target})
compared = pd.DataFrame(
    {
        "margin ratio target": target,
        "return": run.summary["total_return"],
        "max drawdown": run.summary["max_drawdown"],
        "lowest margin ratio": min(run.summary["min_margin_ratio"].values()),
        "critical alerts": run.summary["alerts"]["critical"],
        "liquidations": run.summary["liquidations"],
    }
    for target, run in targets.items()
).set_index("margin ratio target")
compared.style.format("{:.2%}", subset=["return", "max drawdown", "lowest margin ratio"]).format_index("{:.0%}")

# %%
targets[0.3].plot.risk()

# %% [markdown]
# The shaded hours are alerts, and the diamonds where a ratio became critical: then the strategy may only reduce risk. That
# is what the higher return of the lower target is paid with.

# %% [markdown]
# ## What stays?
#
# A saved run is a folder of tables with its configuration, its manifest and `report.html`, one page that opens without a
# network. `open_run` gives the same result back.

# %%
with tempfile.TemporaryDirectory() as scratch:
    folder = result.save(Path(scratch) / "run")
    print(*sorted(path.name for path in folder.iterdir()), sep="\n")
    again = open_run(folder)
    assert again.equity.equals(result.equity)
    assert again.stats().equals(result.stats())

# %% [markdown]
# For print, every figure has a twin that matplotlib draws: `result.plot.equity(backend="matplotlib").savefig("equity.pdf")`.
