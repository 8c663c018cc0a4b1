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
# # Levered staking through a crash
#
# `eth_leveraged` holds a staked token on Aave against a debt in ether, more than six times its capital: it earns
# the staking yield on all of it and pays interest on what it owes. What can go wrong is told here: the price falls,
# the peg breaks, the debt gets dear, or somebody wants money back on a bad day. The numbers in the text are those
# of the synthetic sample, in which a peg breaks in June 2025; it says nothing about a market.

# %%
import pandas as pd
import plotly.graph_objects as go

from basis import backtest, compare
from basis.plots.notebook import show_figures

# figures for JupyterLab, and for an exported page that needs no network
show_figures()
# a folder with your own data; None takes the sample, or the folder that BASIS_DATA_DIR names
DATA = None

# %%
result = backtest("eth_leveraged", data=DATA)
result

# %%
result.plot.overview()

# %% [markdown]
# Equity is in ether. On the sample it grows quietly for a year and a half, loses almost half of itself within a day
# in June 2025, and has it back three days later. The lowest panel did not notice.

# %% [markdown]
# ## Was it the price of ether?

# %%
ether = result.panel["spot|ETH"]
day = pd.Timedelta("1D")
fell = ether.pct_change(24).idxmin()
pd.Series(
    {
        "the worst 24 hours of ether end": f"{fell:%Y-%m-%d %H:%M} UTC",
        "ether, in USDT": f"{ether[fell] / ether[fell - day] - 1:+.1%}",
        "the book, in ether": f"{result.equity.equity[fell] / result.equity.equity[fell - day] - 1:+.3%}",
    }
).to_frame("")

# %% [markdown]
# No. What it holds and what it owes are both ether, so that their price cancels as long as it is counted in ether.
# On the sample the book gained a little on the day on which ether lost a third.

# %% [markdown]
# ## What was it then?

# %%
low = result.drawdown.idxmin()
around = result.panel.loc[low - 7 * day : low + 7 * day]
discount = around["market_rate|weETH"] / around["oracle_rate|weETH"] - 1
figure = go.Figure(
    go.Scatter(
        x=discount.index,
        y=discount,
        line_color="#AA4499",
        hovertemplate="%{y:.2%}<extra></extra>",
    )
)
figure.update_layout(
    template=result.plot.equity().layout.template,
    title="weETH at the market against its protocol's rate",
    height=360,
    hovermode="x unified",
    xaxis_title="time, UTC",
    yaxis={"title": "discount, %", "tickformat": ".1%"},
)

# %% [markdown]
# The market paid less for the token than its protocol gives for it. The book is valued at the market, so the
# discount counts as many times as the position is larger than the capital. On the sample it was 7.1 %, and the
# leverage 6.6: together 46 %.

# %% [markdown]
# ## What does the worst hour look like?

# %%
worst = result.returns().idxmin()
result.explain(worst)

# %% [markdown]
# On the sample nothing was done in that hour, and nothing had to be: no order, no alert. All of the loss stands in
# one line, `peg_pnl`, which is the quantity times the fall of the peg times the protocol's rate.

# %% [markdown]
# ## Was it near a liquidation?
#
# The pool does not ask the market. It values the collateral at the protocol's rate, so a discount does not bring a
# liquidation nearer. What does is interest: the debt grows faster than the collateral while borrowing is dear.

# %%
result.plot.risk()

# %%
result.plot.liquidation_distance()

# %%
nearest = result.risk["days_to_liquidation"].idxmin()
columns = ["ltv", "health_factor", "liquidation_distance", "days_to_liquidation"]
rows = {"at the lowest equity": low, "when interest came nearest": nearest}
pd.DataFrame({name: result.risk.loc[row, columns] for name, row in rows.items()})

# %% [markdown]
# `liquidation_distance` is how far the collateral's rate may fall against the debt, `days_to_liquidation` how long
# the rates known in that row would take. On the sample both are far away at the lowest equity: the rates there
# would never do it. The nearest is 109 days, in August 2025, when ether was dear to borrow.
#
# The map shows both at once for one row: left of the line and above it the loan is liquidated.

# %%
result.plot.liquidation_map(nearest)

# %% [markdown]
# ## What if somebody wants money back?
#
# A loss on paper becomes one in fact when the position has to be sold. Here 30 ether are withdrawn at the lowest
# equity, and in another run a month earlier.

# %%
early = max(low - 30 * day, result.equity.index[24])
asked = {
    "nobody": [],
    "a month earlier": [{"timestamp": early.isoformat(), "amount": -30}],
    "at the lowest": [{"timestamp": low.isoformat(), "amount": -30}],
}
runs = {
    name: backtest("eth_leveraged", data=DATA, overrides={"flows": flows})
    for name, flows in asked.items()
}
withdrawn = compare(*runs.values(), names=list(runs))
withdrawn.formatted.loc[["net flows", "P&L", "return", "max drawdown"]]

# %%
withdrawn.plot.attribution()

# %% [markdown]
# On the sample the withdrawal at the lowest equity takes almost half of the position with it, at a discount that is
# gone two days later: instead of some 22 ether the investors have lost four. The return hardly shows it. It is
# time-weighted, as that of a fund is: it says how the strategy did, and leaves out when money came and went. `P&L`
# is what is in the purse.

# %% [markdown]
# ## What would other leverage have done?
#
# `target_ltv` is debt over collateral. The leverage is 1 / (1 − that).

# %%
levels = (0.5, 0.7, 0.8, 0.85, 0.88)
swept = {
    f"{level:.0%}": backtest(
        "eth_leveraged", data=DATA, overrides={"strategy.target_ltv": level}
    )
    for level in levels
}
leverage = pd.DataFrame(
    {
        "target LTV": name,
        "leverage": 1 / (1 - level),
        "return": run.summary["total_return"],
        "max drawdown": run.summary["max_drawdown"],
        "lowest health factor": run.summary["min_health_factor"],
        "fewest days to liquidation": run.risk["days_to_liquidation"].min(),
        "liquidations": run.summary["liquidations"],
    }
    for level, (name, run) in zip(levels, swept.items())
).set_index("target LTV")
leverage.style.format(
    {
        "leverage": "{:.1f}",
        "return": "{:.1%}",
        "max drawdown": "{:.1%}",
        "lowest health factor": "{:.3f}",
        "fewest days to liquidation": "{:,.0f}",
    }
)

# %%
compare(*swept.values(), names=[f"LTV {name}" for name in swept]).plot.overview()

# %% [markdown]
# ## What it means
#
# - Return and drawdown both grow with the leverage. On the sample the drawdown grows from 14 to 57 % while the
#   return does not treble.
# - No run here was liquidated, and each could have been ruined by a withdrawal at the wrong hour. Liquidation is
#   not the only risk of a levered book.
# - A health factor says how the pool sees the loan. It says nothing about what the market would pay today.
