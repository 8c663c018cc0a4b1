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
# # Comparing modes
#
# The same market, every mode that ships. Which earned most is the least of it: what they earn from, what they lose
# by and whether they lose together says more. The numbers in the text are those of the synthetic sample, which says
# nothing about a market.

# %%
import pandas as pd
import plotly.graph_objects as go

from basis import backtest, compare, list_modes
from basis.errors import InputError
from basis.plots.notebook import show_figures

# figures for JupyterLab, and for an exported page that needs no network
show_figures()
# a folder with your own data; None takes the sample, or the folder that BASIS_DATA_DIR names
DATA = None

# %% [markdown]
# ## What is there?

# %%
modes = list_modes()
modes[["share_class", "description", "venues"]].style.set_properties(
    **{"text-align": "left"}
)

# %% [markdown]
# ## How did each do?
#
# A mode whose series are not in the data says which one is missing, and is left out here. All get the same window:
# the one in which each of them has its data.

# %%
runs, missing = {}, {}
for mode in modes.index:
    try:
        runs[mode] = backtest(mode, data=DATA)
    except InputError as error:
        missing[mode] = str(error)
start = max(run.equity.index[0] for run in runs.values())
end = min(run.equity.index[-1] for run in runs.values())
runs = {
    mode: backtest(mode, data=DATA, start=start.isoformat(), end=end.isoformat())
    for mode in runs
}
print(f"{len(runs)} modes, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
for mode, words in missing.items():
    print(f"left out: {mode}: {words}")

# %%
everything = compare(*runs.values())
shown = [
    "return",
    "CAGR",
    "volatility",
    "Sharpe",
    "max drawdown",
    "worst day",
    "costs, of the capital",
    "fills",
]
everything.formatted.loc[shown].T

# %% [markdown]
# A return in ether and one in USDT cannot be set beside each other without a view on ether. `compare` converts
# nothing and says so in its notes:

# %%
print(*everything.notes, sep="\n")


# %%
def of(share_class):
    """The modes of one share class, side by side."""
    names = [
        mode for mode, run in runs.items() if run.summary["share_class"] == share_class
    ]
    return compare(*(runs[mode] for mode in names), names=names)


dollars, ether = of("USDT"), of("ETH")
dollars.plot.overview()

# %%
ether.plot.overview()

# %% [markdown]
# On the sample the three USDT modes that hedge without leverage end within three points of each other. The levered
# one earns less than any of them, and lost a third of its equity in June 2025, when the peg broke. `pure_lending`
# is the flattest line of all and earns half as much. In ether leverage trebles the return, and its drawdown is
# nearly seven times as deep.

# %% [markdown]
# ## What does each earn from?

# %%
share = everything.contribution.T
total = share.sum(axis=1)
share = share.loc[:, share.abs().max() > 5e-3].assign(total=total)
figure = go.Figure(
    go.Heatmap(
        z=share,
        x=share.columns.str.removesuffix("_pnl").str.replace("_", " "),
        y=share.index,
        text=share.map(lambda part: f"{100 * part:+.1f}" if abs(part) > 5e-4 else ""),
        texttemplate="%{text}",
        hovertemplate="%{y}, %{x}: %{z:+.3%}<extra></extra>",
        colorscale="RdBu",
        zmin=-0.4,
        zmax=0.4,
        showscale=False,
    )
)
theme = dollars.plot.growth().layout.template
figure.update_layout(
    template=theme,
    title="P&L by cause, % of the capital",
    height=460,
    yaxis_autorange="reversed",
)
figure.update_xaxes(tickangle=-40)

# %% [markdown]
# A row sums to its total, but for causes that are below half a percent in every mode and left out here.

# %%
dollars.plot.attribution()

# %% [markdown]
# On the sample funding feeds all the hedged modes alike. The levered one earns more from staking and its rewards
# than from funding, and all of that and more goes to the pool, in gas, in slippage and by the peg. `ml_directional`
# was right about the price and gave it to the exchange: its signals are those of an example rule.

# %% [markdown]
# ## What did a point of return cost?

# %%
figure = go.Figure()
for mode, metrics in everything.stats.items():
    share_class = everything.share_classes[mode]
    figure.add_scatter(
        x=[-metrics["max_drawdown"]],
        y=[metrics["cagr_365"]],
        mode="markers",
        marker={"size": 13, "symbol": "circle" if share_class == "USDT" else "diamond"},
        name=f"{mode}, in {share_class}",
        hovertemplate="deepest fall %{x:.2%}, growth a year %{y:.2%}",
    )
figure.update_layout(
    template=theme,
    title="Growth a year by the deepest fall",
    height=460,
    xaxis={
        "title": "max drawdown, logarithmic",
        "type": "log",
        "tickformat": ",.6~%",
        "dtick": 1,
    },
    yaxis={"title": "CAGR", "tickformat": ".0%"},
)

# %% [markdown]
# ## Do they fall together?
#
# A correlation of daily returns says what the days say that are in it, and one bad day may say it all.

# %%
daily = pd.DataFrame({mode: run.returns("1D") for mode, run in runs.items()})
alike = daily.corr()
figure = go.Figure(
    go.Heatmap(
        z=alike,
        x=alike.columns,
        y=alike.index,
        zmin=-1,
        zmax=1,
        colorscale="RdBu",
        texttemplate="%{z:.2f}",
        hovertemplate="%{y} with %{x}: %{z:.3f}<extra></extra>",
        showscale=False,
    )
)
figure.update_layout(
    template=theme,
    title="Correlation of daily returns",
    height=560,
    xaxis_tickangle=-40,
    yaxis_autorange="reversed",
)

# %%
worst = daily.idxmin()
pd.DataFrame(
    {
        "worst day ends": worst.dt.strftime("%Y-%m-%d 00:00"),
        "return of that day": daily.min().map("{:+.2%}".format),
    }
)

# %% [markdown]
# On the sample the four modes that hold a staked token have their worst day in common, the one in which the peg
# broke. The two hedges go along with each other: both have funding. A hedge beside lending spreads what can go
# wrong; two modes that hold the same token do not, whatever else is in them.

# %% [markdown]
# ## One mode, two settings
#
# The levered neutral mode trades when its position has drifted by a share of the equity. How often should it?

# %%
bands = {}
for band in (0.05, 0.1):
    overrides = {"strategy.position_deviation_threshold": band}
    bands[f"band {band:.0%}"] = backtest(
        "usdt_market_neutral", data=DATA, overrides=overrides
    )
settings = compare(*bands.values(), names=list(bands))
settings.formatted.loc[["return", "max drawdown", "costs, of the capital", "fills"]]

# %%
settings.plot.attribution()

# %%
settings.plot.differences()

# %% [markdown]
# On the sample the wider band earns nine points more, and nothing of it is better judgement: it trades half as
# often, and gas and slippage are what this mode dies of. `settings.config` has the differences as a table, and
# `settings.report(path)` writes all of it on a page.
