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
# # Where a basis trade's profit comes from
#
# `btc_basis` holds BTC and is short as much of it in perps on three exchanges. Its price risk cancels; what is left
# is funding, the drift between spot and perp, and costs. This notebook takes the profit apart: by cause, by month,
# by exchange and by hour. The numbers in the text are those of the synthetic sample, which says nothing about a
# market.

# %%
import pandas as pd

from basis import backtest
from basis.plots.notebook import show_figures

# figures for JupyterLab, and for an exported page that needs no network
show_figures()
# a folder with your own data; None takes the sample, or the folder that BASIS_DATA_DIR names
DATA = None

# %%
result = backtest("btc_basis", data=DATA)
result

# %% [markdown]
# ## Which cause earned what?
#
# Every hour the change of equity is split exactly: prices move while quantities stand still, then quantities change
# while prices stand still. So the bars below lead from the first equity to the last without a rest.

# %%
result.plot.attribution(kind="waterfall")

# %%
result.plot.attribution(kind="share")

# %% [markdown]
# On the sample funding is 111 % of the profit: it earns all of it and pays the costs as well. The costs are those
# of keeping two legs equal, not those of getting in. The price of BTC moved from 44,000 to 90,000 USDT, and nothing
# of that is here: `price (delta)` is so small that it is not drawn.

# %%
fills = result.events.query("kind == 'fill'")
costs = fills.groupby("action")[["notional", "fee", "slippage"]].sum()
costs["fills"] = fills.groupby("action").size()
costs["bps of the notional"] = 1e4 * (costs["fee"] + costs["slippage"]) / costs["notional"]
costs.style.format("{:,.0f}").format("{:.2f}", subset=["bps of the notional"])

# %% [markdown]
# `entry_full` is how the position was opened. The partial ones follow the price: when it rises, margin runs short
# and a part of the position is closed to refill it; when it falls, the margin that is too much buys more.

# %% [markdown]
# ## When was it earned?

# %%
result.plot.attribution(kind="monthly")

# %%
result.plot.monthly_returns()

# %% [markdown]
# On the sample one month of twenty-four lost money: in September 2024 BTC fell by more than a quarter in a day, and
# for a week after it longs were paid to stay. Who is short pays then.

# %% [markdown]
# ## Which exchange paid?
#
# The lines above are what each exchange paid, the lines below what it settled: a rate for each eight hours, and
# what those of seven days make a year.

# %%
result.plot.funding()

# %%
by_venue = {}
for venue in result.config.strategy.hedge_allocation:
    perp = f"{venue}:Perp:BTCUSDT"
    notional = result.positions[perp].abs() * result.panel[f"mark|{perp}"]
    settled = result.panel[f"funding_rate|{perp}"].loc[lambda rate: rate != 0]
    paid = result.attribution_by_venue[f"funding_pnl|{venue}"].sum()
    years = (notional.index[-1] - notional.index[0]) / pd.Timedelta(days=365)
    by_venue[venue] = {
        "funding, USDT": paid,
        "mean notional, USDT": notional.mean(),
        "funding, of the notional a year": paid / notional.mean() / years,
        "settlements below zero": (settled < 0).mean(),
    }
pd.DataFrame(by_venue).T.style.format("{:,.0f}").format(
    "{:.1%}", subset=list(by_venue[venue])[2:]
)

# %% [markdown]
# An exchange gets a share of the position (`strategy.hedge_allocation`), so what it pays in all says little about
# its rate. By the notional the sample's exchanges are within three points of each other.

# %% [markdown]
# ## How bad was the worst day?

# %%
hourly = result.attribution
# a day ends at 00:00 UTC of the next, so that its last hour belongs to it
daily = hourly.groupby((hourly.index - pd.Timedelta("1s")).strftime("%Y-%m-%d")).sum()
daily = daily.loc[:, daily.abs().max() > 1e-6].assign(total=daily.sum(axis=1))
daily.nsmallest(8, "total").style.format("{:+,.2f}")

# %% [markdown]
# On the sample the worst day but the first is in that week of September 2024, and what makes it is funding. The day
# of the start pays for opening the position. What spot and perp drift apart in a day is less than 50 USDT on a
# capital of 100,000.

# %% [markdown]
# ## What happened in one hour?
#
# `explain` tells an hour as it was booked, and works it out again from positions, prices and events. The worst hour
# after the first day:

# %%
total = hourly.sum(axis=1)
worst = total.iloc[24:].idxmin()
result.explain(worst)

# %% [markdown]
# The last line is the check: the columns sum to the change of equity of that hour, to rounding.

# %% [markdown]
# ## What is left without costs?
#
# An override switches them off. The difference is more than the costs themselves, since what they take no longer
# earns.

# %%
free = backtest("btc_basis", data=DATA, overrides={"costs.enabled": False})
paid = -hourly[["fees", "slippage", "gas", "transfer_fees"]].sum().sum()
pd.Series(
    {
        "P&L": result.stats()["pnl"],
        "costs": paid,
        "P&L without costs": free.stats()["pnl"],
        "the difference": free.stats()["pnl"] - result.stats()["pnl"],
    }
).to_frame("USDT").style.format("{:,.2f}")

# %% [markdown]
# ## What it means
#
# - A basis trade is paid by those who want to be long on margin. It earns while they pay, and loses while they are
#   paid.
# - Its bad days are small, and they come in rows. A Sharpe ratio takes each day by itself and does not see that.
# - The profit here is that of a position that was never liquidated. How near it came is a question for
#   `result.plot.risk()` and `result.plot.liquidation_distance()`, in the quickstart.
