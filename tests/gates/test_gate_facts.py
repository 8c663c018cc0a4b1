"""What is added to the YAMLs alone runs: a staking token, a lending protocol, an asset."""

import shutil

import numpy as np
import pytest

import basis
from basis import config_files
from basis.config_files import config_dir, config_file
from basis.market.panel import Panel
from support.small_markets import market
from support.staking_markets import after, ether, grown

ROWS = 49


@pytest.fixture(autouse=True)
def own_configs(tmp_path, monkeypatch):
    """A copy of the shipped YAMLs in the place of them."""
    folder = tmp_path / "configs"
    shutil.copytree(config_dir(), folder)
    monkeypatch.setattr(config_files, "config_dir", lambda: folder)
    return folder


def edit(name, *changes):
    """Replace texts in a file of the copied YAMLs."""
    text = config_file(name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config_file(name).write_text(text)


def equal_tables(one, other):
    for name in ("equity", "attribution"):
        np.testing.assert_array_equal(getattr(one, name).to_numpy(), getattr(other, name).to_numpy())


def test_a_staking_token(driver):
    """A token with the terms of weETH earns what weETH earns."""
    entry = "  rETH: {underlying: ETH, staked_at: etherfi, traded_at: uniswap_v3}\n"
    edit("assets.yaml", ("  weETH:", entry + "  weETH:"))
    edit("venues/uniswap_v3.yaml", ("  weETHETH:", "  rETHETH: {from: 2024-01-01, buckets: 5, source: x}\n  weETHETH:"))
    overrides = {"strategy.stake_route": "protocol", "rewards.enabled": False}
    made = [
        basis.backtest(
            "eth_staking_only", ether(ROWS, lst=lst), driver=driver, overrides={**overrides, "strategy.lst": lst}
        )
        for lst in ("rETH", "weETH")
    ]
    assert made[0].positions["wallet:BaseToken:rETH"].iloc[-1] > 0.0
    equal_tables(*made)


@pytest.mark.parametrize("mode", ["pure_lending", "eth_leveraged"])
def test_a_lending_protocol(driver, mode):
    """A protocol with the terms of Aave runs on series of its own."""
    edit("assets.yaml", ("  aave_v3:", "  spark: {folder: spark}\n  aave_v3:"))
    shutil.copy(config_file("venues/aave_v3.yaml"), config_file("venues/spark.yaml"))
    edit("venues/spark.yaml", ("name: aave_v3", "name: spark"))
    panel = ether(ROWS, liquidity_index__USDT=grown(ROWS, 0.04, 1.1))
    columns = {name.replace("aave_v3:", "spark:"): values for name, values in panel.columns.items()}
    other = Panel.from_columns(panel.timestamps, panel.step_s, columns)
    one = basis.backtest(mode, panel, driver=driver)
    two = basis.backtest(mode, other, driver=driver, overrides={"strategy.lending_venue": "spark"})
    assert any(name.startswith("spark:aToken:") for name in two.positions.columns)
    assert any(two.events["venue"] == "spark")
    equal_tables(one, two)


class Idle(basis.StrategyManager):
    """Leaves everything as it is."""

    def make_decision(self, timestamp=None, market_data=None):
        return None


def test_accounts_at_two_lending_protocols(driver):
    """The debt of one grows at once: it alone is liquidated, and the book shows the worse of both."""
    edit("assets.yaml", ("  aave_v3:", "  spark: {folder: spark}\n  aave_v3:"))
    shutil.copy(config_file("venues/aave_v3.yaml"), config_file("venues/spark.yaml"))
    edit("venues/spark.yaml", ("name: aave_v3", "name: spark"))
    debt = '  - "{strategy.lending_venue}:debtToken:{reserve}"\n'
    edit("modes/eth_leveraged.yaml", (debt, debt + "  - spark:aToken:weETH\n  - spark:debtToken:WETH\n"))
    jump = 20
    panel = ether(ROWS)
    own = {name.replace("aave_v3:", "spark:"): x for name, x in panel.columns.items() if "aave_v3:" in name}
    own["borrow_index|spark:WETH"] = after(own["borrow_index|spark:WETH"], jump, 1.06)
    panel = Panel.from_columns(panel.timestamps, panel.step_s, {**panel.columns, **own})
    book = {
        "aave_v3:aToken:weETH": 50.0, "aave_v3:debtToken:WETH": 30.0, "wallet:BaseToken:ETH": 1.0,
        "spark:aToken:weETH": 10.0, "spark:debtToken:WETH": 9.2,
    }  # fmt: skip
    run = basis.backtest(
        "eth_leveraged", panel, positions=book, driver=driver, strategy=Idle, overrides={"risk.limits": {}}
    )
    struck = run.events.query("kind == 'liquidation'")
    assert set(struck["venue"]) == {"spark"}
    assert (struck["timestamp"] == run.positions.index[jump]).all()
    for key in ("aToken:weETH", "debtToken:WETH"):
        held = run.positions[f"aave_v3:{key}"]
        assert (held == held.iloc[0]).all()
        assert run.positions[f"spark:{key}"].iloc[jump] < run.positions[f"spark:{key}"].iloc[jump - 1]
    ltv = {}
    for venue in ("aave_v3", "spark"):
        owed = run.positions[f"{venue}:debtToken:WETH"] * panel.columns[f"borrow_index|{venue}:WETH"]
        backing = run.positions[f"{venue}:aToken:weETH"] * panel.columns[f"liquidity_index|{venue}:weETH"]
        ltv[venue] = (owed / (backing * panel.columns["oracle_rate|weETH"])).to_numpy()
    assert ltv["spark"][jump - 1] > ltv["aave_v3"][jump - 1] + 0.1
    np.testing.assert_allclose(run.risk["ltv"].to_numpy(), np.maximum(*ltv.values()), rtol=1e-12)
    worst = run.risk["ltv|worst"].to_numpy()
    np.testing.assert_allclose(worst[1:jump], np.maximum(*ltv.values())[1:jump], rtol=1e-12)
    assert worst[jump] == pytest.approx(ltv["spark"][jump - 1] * 1.06, rel=1e-4)
    assert run.summary["max_abs_residual"] < 1e-6


def test_the_series_of_a_lending_protocol(tmp_path):
    """Its folder of a data set is that of its entry."""
    edit("assets.yaml", ("  aave_v3:", "  spark: {folder: spark}\n  aave_v3:"))
    shutil.copy(config_file("venues/aave_v3.yaml"), config_file("venues/spark.yaml"))
    edit("venues/spark.yaml", ("name: aave_v3", "name: spark"))
    data = tmp_path / "data"
    shutil.copytree(basis.api.default_data(), data)
    (data / "aave").rename(data / "spark")
    config = basis.load_config("pure_lending", {"strategy.lending_venue": "spark", "data.max_staleness.spark": "30h"})
    panel = basis.DataProvider(data, config).panel(start="2024-06-01", end="2024-06-03")
    assert "spark/usdt.parquet" in panel.files
    assert panel.source_names["liquidity_index|spark:USDT"] == ("spark",)
    assert panel.ages["liquidity_index|spark:USDT"].max() == 23 * 3600.0


def test_an_asset_and_a_linear_venue(driver):
    """An asset needs no entry: a mode names it, and venues have its terms."""
    tiers = "[{from: 2024-01-01, source: x, brackets: [[null, 0.01, 0, 50]]}]"
    overrides = {
        "asset": "SOL",
        "assets": ["SOL"],
        "strategy.hedge_allocation": {"deribit": 1.0},
        "strategy.spot_venue": "deribit",
        "data.sources": {"spot/solusdt": ["deribit"], "spot/ethusdt": ["bybit"]},
    }
    text = config_file("venues/binance.yaml").read_text().replace("name: binance", "name: deribit")
    for kind in ("spot_slippage", "perp_slippage"):
        text = text.replace(f"{kind}:", f"{kind}:\n  SOLUSDT: [{{from: 2024-01-01, buckets: 5, source: x}}]\n  #")
    config_file("venues/deribit.yaml").write_text(text.replace("tiers:\n", f"tiers:\n  SOLUSDT: {tiers}\n"))
    panel = market(np.linspace(150.0, 160.0, ROWS), venues=("deribit",))
    columns = {name.replace("BTC", "SOL"): values for name, values in panel.columns.items()}
    made = basis.backtest(
        "btc_basis", Panel.from_columns(panel.timestamps, panel.step_s, columns), driver=driver, overrides=overrides
    )
    assert made.positions["deribit:Perp:SOLUSDT"].iloc[-1] < 0.0
    assert made.summary["max_abs_residual"] < 1e-4
