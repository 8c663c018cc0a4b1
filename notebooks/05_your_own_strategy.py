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
# # A strategy of your own
#
# A strategy says what it wants; the engine trades it, keeps the accounts and says where the profit came from. This
# notebook writes one in a cell, changes it, sweeps its parameters, and shows what it looks like when it goes wrong.
# The numbers in the text are those of the synthetic sample, which says nothing about a market.

# %%
import time
import warnings

import pandas as pd
import plotly.graph_objects as go

import basis
from basis import Action, StrategyManager, backtest, compare
from basis.errors import InputError, RunStoppedWarning
from basis.plots.notebook import show_figures

# figures for JupyterLab, and for an exported page that needs no network
show_figures()
# a folder with your own data; None takes the sample, or the folder that BASIS_DATA_DIR names
DATA = None

# %% [markdown]
# ## What does a strategy look like?
#
# A function that gets a view of the book and an act. In the mode `btc_basis`, `BTC` is the coin with its hedge and
# `USDT` the margin behind the hedge. The function below keeps a share of the equity hedged and the rest as margin,
# and trades when it is off by more than a band. `help(basis.compiled)` lists what a view shows and an act can do.


# %%
@basis.compiled(every_row=True)
def steady(view, act, share=0.6, band=0.05):
    if view.alert >= 2 or view.pending > 0:  # an exchange is near, or money is called back
        act.exit_full("BTC")
        act.exit_full("USDT", view.equity)
        return
    wanted = share * view.equity / view.price("BTC")
    missing = wanted - view.long("BTC")
    if abs(missing) < band * wanted:
        return
    if missing < 0:
        act.exit_partial("BTC", -missing)
    act.entry_full("USDT", (1 - share) * view.equity)
    if missing > 0:
        act.entry_full("BTC", missing)


# %%
mine = backtest("btc_basis", data=DATA, strategy=steady)
mine

# %% [markdown]
# The decorator compiles it when it is first run, which takes about a second. After that two years of hours take
# some tenths of a second, with any parameters.

# %% [markdown]
# ## What does it do?

# %%
mine.plot.positions()

# %%
mine.plot.risk()

# %% [markdown]
# On the sample the hedge follows its share of the equity in steps, and the margin ratio of an exchange falls from
# one step to the next when BTC rises. Two warnings were reported. The lowest value, 14 % in February 2025, was
# inside an hour, at the high of a single candle: that is where an exchange would have looked, while alerts are
# judged at the rows.

# %% [markdown]
# ## Is it better than what ships?

# %%
shipped = backtest("btc_basis", data=DATA)
both = compare(mine, shipped, names=["steady", "shipped"])
shown = ["return", "Sharpe", "max drawdown", "costs, of the capital", "fills"]
both.formatted.loc[shown]

# %%
both.plot.attribution()

# %% [markdown]
# On the sample it earns less, as it has less in the hedge (60 % of the equity against two thirds), and its costs
# are lower, as its band is wider.

# %% [markdown]
# ## What if it left when funding turns?
#
# Change the cell, run it again. `view.funding_apr("hedge", "24h")` is the funding of the last day as a rate a year,
# over the exchanges by their weights. The new parameter says below which rate to leave.


# %%
@basis.compiled(every_row=True)
def wary(view, act, share=0.6, band=0.05, leave=0.0):
    rate = view.funding_apr("hedge", "24h")
    if view.alert >= 2 or view.pending > 0 or rate < leave:
        if view.long("BTC") > 0:
            act.exit_full("BTC")
        act.exit_full("USDT", view.equity)
        return
    wanted = share * view.equity / view.price("BTC")
    missing = wanted - view.long("BTC")
    if abs(missing) < band * wanted:
        return
    if missing < 0:
        act.exit_partial("BTC", -missing)
    act.entry_full("USDT", (1 - share) * view.equity)
    if missing > 0:
        act.entry_full("BTC", missing)


# %%
runs = {"steady": mine}
for leave in (-0.5, -0.1, 0.0):
    run = backtest("btc_basis", data=DATA, strategy=wary(leave=leave))
    runs[f"leaves below {leave:.0%}"] = run
turned = compare(*runs.values(), names=list(runs))
turned.formatted.loc[shown]

# %%
turned.plot.overview()

# %%
turned.plot.attribution()

# %% [markdown]
# On the sample every version of it is worse, and the more so the sooner it leaves. It does spare itself the funding
# it would have paid, and pays several times as much to get out and back in. The idea was about funding; the answer
# is about costs.

# %% [markdown]
# ## In above 8 %, out below 3 %?
#
# A rule with two thresholds on seven days of funding, in ten lines. A window may reach back before the first row.


# %%
@basis.compiled(every_row=True)
def carry(view, act, enter=0.08, leave=0.03):
    rate = view.funding_apr("hedge", "7d")
    if rate > enter and view.long("BTC") == 0:
        act.entry_full("USDT", 0.4 * view.equity)
        act.entry_full("BTC", 0.4 * view.equity / view.price("BTC"))
    if rate < leave and view.long("BTC") > 0:
        act.exit_full("BTC")


class Carry(StrategyManager):
    every_row = True

    def make_decision(self, timestamp=None, market_data=None):
        view, rate = self.view, self.view.funding_apr("hedge", "7d")
        if rate > 0.08 and view.long("BTC") == 0:
            coin = 0.4 * view.equity / view.price("BTC")
            return [Action("entry_full", "USDT", 0.4 * view.equity), Action("entry_full", "BTC", coin)]
        if rate < 0.03 and view.long("BTC") > 0:
            return [Action("exit_full", "BTC")]


HALF = {"start": "2024-02-01", "end": "2024-08-01"}
ruled = backtest("btc_basis", data=DATA, strategy=carry, **HALF)
in_python = backtest("btc_basis", data=DATA, strategy=Carry, **HALF)
held = (ruled.positions["binance:BaseToken:BTC"] > 0).mean()
same = ruled.equity.equals(in_python.equity)
print(f"in the hedge {held:.0%} of the time; the same bits in plain Python: {same}")

# %% [markdown]
# What else there is to see: `view.funding("okx")` is the last settlement of an exchange and
# `view.mean("spot|BTC", "30d")` the trailing mean of any column of `result.panel`. Numbers of your own lie in a file
# `features/<name>.parquet` of the data set, with the stamp from which each row is known; `strategy.features` names
# the file, and `view.feature("name.column")` reads it. `help(basis.View)` lists everything.

# %% [markdown]
# ## Which parameters?
#
# A sweep is a loop. Nothing is compiled again: parameters are numbers to the compiled function.

# %%
shares, bands = (0.4, 0.5, 0.6, 0.7, 0.8), (0.02, 0.05, 0.1, 0.2)
began = time.perf_counter()
swept = {
    (share, band): backtest("btc_basis", data=DATA, strategy=steady(share=share, band=band))
    for share in shares
    for band in bands
}
print(f"{len(swept)} runs in {time.perf_counter() - began:.1f} s")


# %%
def table(measure):
    """A number of each run, by share and band."""
    numbers = pd.Series({key: measure(run.summary) for key, run in swept.items()})
    return numbers.unstack()


def map_of(values, title):
    """A table drawn in colours, its numbers in percent."""
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[f"{band:.0%}" for band in values.columns],
            y=[f"{share:.0%}" for share in values.index],
            texttemplate="%{z:.2%}",
            hovertemplate="share %{y}, band %{x}: %{z:.3%}<extra></extra>",
            colorscale="Blues",
            showscale=False,
        )
    )
    return figure.update_layout(
        template=mine.plot.equity().layout.template,
        title=title,
        height=360,
        xaxis={"title": "band", "type": "category"},
        yaxis={"title": "share in the hedge", "type": "category"},
    )


map_of(table(lambda summary: summary["total_return"]), "Return")

# %%
map_of(
    table(lambda summary: min(summary["min_margin_ratio"].values())),
    "Lowest margin ratio at any exchange",
)

# %% [markdown]
# Two maps, as one is not enough. On the sample the return grows with the share up to 70 %, and so does what it was
# paid with: from there on some exchange was below 20 % inside an hour, whatever the band. At 80 % the function had
# to leave again and again, and the costs of that took more than the larger hedge earned. The best cell of a sweep
# is the one that fits its past best; the next best thing to know is how steep the ground around it is.

# %% [markdown]
# ## The same in plain Python
#
# A subclass of `StrategyManager` may use anything that Python has. It gets the same view, returns actions, and
# gives the same run, more slowly.


# %%
class Steady(StrategyManager):
    share, band = 0.6, 0.05

    async def make_decision(self, timestamp=None, market_data=None):
        view = self.view
        if view.alert >= 2 or view.pending > 0:
            return [Action("exit_full", "BTC"), Action("exit_full", "USDT", view.equity)]
        wanted = self.share * view.equity / view.price("BTC")
        missing = wanted - view.long("BTC")
        if abs(missing) < self.band * wanted:
            return None
        margin = Action("entry_full", "USDT", (1 - self.share) * view.equity)
        if missing < 0:
            return [Action("exit_partial", "BTC", -missing), margin]
        return [margin, Action("entry_full", "BTC", missing)]


began = time.perf_counter()
plain = backtest("btc_basis", data=DATA, strategy=Steady)
seconds = time.perf_counter() - began
difference = (plain.equity["equity"] - mine.equity["equity"]).abs().max()
print(f"{seconds:.1f} s; largest difference of the equity {difference:.6f} USDT")

# %% [markdown]
# ## What does an error look like?
#
# What is not there is told before the run begins, with the nearest name.


# %%
@basis.compiled
def misspelt(view, act):
    act.entry_full("BTC", 0.5 * view.equty / view.price("BTC"))


try:
    backtest("btc_basis", data=DATA, strategy=misspelt)
except InputError as error:
    print(error)


# %%
@basis.compiled
def elsewhere(view, act):
    act.entry_full("DOGE", 1_000)


try:
    backtest("btc_basis", data=DATA, strategy=elsewhere)
except InputError as error:
    print(error)

# %% [markdown]
# So is what the run does not have, and what compiled code cannot do.


# %%
@basis.compiled
def unwatched(view, act):
    if view.rate > 0.08:
        act.entry_full("BTC", 0.5)


@basis.compiled
def talks(view, act):
    print(view.equity)


for strategy in (unwatched, talks):
    try:
        backtest("btc_basis", data=DATA, strategy=strategy)
    except InputError as error:
        print(error)

# %% [markdown]
# An amount that is no number stops the run in its row, with what was wrong. The rows before it stay. A warning says
# so where nobody looks at `status`; it is left out here.


# %%
@basis.compiled
def divides(view, act):
    act.entry_full("BTC", view.equity / view.long("BTC"))  # nothing is held yet


with warnings.catch_warnings():
    warnings.simplefilter("ignore", RunStoppedWarning)
    broken = backtest("btc_basis", data=DATA, strategy=divides)
print(broken.status, broken.cause, sep="\n")


# %% [markdown]
# More than there is cannot be had: it is not traded, and the result says so.


# %%
@basis.compiled
def greedy(view, act):
    if view.first:
        act.entry_full("BTC", 1_000_000)


print(backtest("btc_basis", data=DATA, strategy=greedy).warnings[0])

# %% [markdown]
# ## What next?
#
# - Other modes have other assets: in `eth_leveraged`, `ETH` is the levered stake; `ml_directional` has `BTC long`
#   and `BTC short`, with stops.
# - `result.explain(timestamp)` tells an hour of your strategy as it tells one of any other.
# - `backtest(…, out="runs/mine")` keeps the run. The folder holds the strategy's name, its parameters and a hash of
#   its code, but not the code: a run of your own code cannot be replayed from the folder alone.
