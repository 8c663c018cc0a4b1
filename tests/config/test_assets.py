"""The facts about assets: what ships, what it names, and how a wrong file is refused."""

import shutil

import pytest

from basis import config_files
from basis.assets import load_assets
from basis.config import load_config
from basis.config_files import config_dir, config_file, read_yaml
from basis.errors import ConfigError
from basis.kernel.keys import Key
from basis.series_kinds import default_staleness, folders, kind_of, kinds, limit_of_column, limit_of_series


@pytest.fixture
def own_configs(tmp_path, monkeypatch):
    """A copy of the shipped YAMLs in the place of them."""
    folder = tmp_path / "configs"
    shutil.copytree(config_dir(), folder)
    monkeypatch.setattr(config_files, "config_dir", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("symbol", "asset"),
    [("weETH", "ETH"), ("wstETH", "ETH"), ("WETH", "ETH"), ("ETH", "ETH"), ("BTC", "BTC"), ("SOL", "SOL")],
)
def test_a_token_moves_with_its_underlying(symbol, asset):
    assert load_assets().underlying_of(symbol) == asset


def test_lending_protocols_hold_wrappers():
    assert [load_assets().reserve_of(asset) for asset in ("ETH", "BTC", "USDT")] == ["WETH", "WBTC", "USDT"]
    assert load_assets().wrapper_of("USDT") is None


def test_every_venue_that_is_named_ships_and_is_of_the_right_kind():
    facts = load_assets()
    venues = {path.stem: read_yaml(path)["kind"] for path in (config_dir() / "venues").glob("*.yaml")}
    assert {venues[token.staked_at] for token in facts.staking_tokens.values()} == {"protocol"}
    assert {venues[token.traded_at] for token in facts.staking_tokens.values()} == {"dex"}
    assert {venues[name] for name in facts.lending_protocols} == {"protocol"}
    assert venues[facts.swap_venue] == "dex"


def test_files_are_named_by_their_tokens():
    assert [load_assets().symbol_of_file(stem) for stem in ("weeth", "weth", "usdt", "sol")] == [
        "weETH", "WETH", "USDT", "SOL",
    ]  # fmt: skip


def test_kinds_of_series():
    assert kinds() == ("spot", "perp", "funding", "aave", "lst", "gas", "rewards", "signals", "features")
    assert folders()[:4] == ("spot", "spot_5m", "perp", "perp_5m")
    assert [kind_of(folder) for folder in ("perp_5m", "aave", "lst")] == ["perp", "lending", "lst"]
    assert [limit_of_series(series) for series in ("spot/btcusdt", "aave/usdt", "gas/ethereum", "signals/a")] == [
        "price", "aave", "gas", "price",
    ]  # fmt: skip
    columns = ("mark|okx:Perp:BTCUSDT", "liquidity_index|aave_v3:USDT", "oracle_rate|weETH", "gas_price_gwei")
    columns += ("feature|mine.score",)
    assert [limit_of_column(column) for column in columns] == ["price", "aave", "lst", "gas", "features"]
    assert set(map(limit_of_column, columns)) == set(default_staleness())


def test_the_column_of_a_reserve_names_its_venue():
    assert Key("aave_v3", "debtToken", "WETH").reserve == "aave_v3:WETH"


def test_an_edit_is_seen(own_configs):
    assert not load_assets().is_staking_token("rETH")
    text = config_file("assets.yaml").read_text()
    entry = "  rETH: {underlying: ETH, staked_at: lido, traded_at: uniswap_v3}\n"
    config_file("assets.yaml").write_text(text.replace("  weETH:", entry + "  weETH:"))
    assert load_assets().is_staking_token("rETH")
    assert load_config("eth_staking_only", {"strategy.lst": "rETH"}, {}).strategy.lst == "rETH"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("swap_venue:", "swap_venues:", ["assets.yaml", "swap_venue, swap_venues", "lending_protocols"]),
        ("staked_at: lido, ", "", ["liquid_staking_tokens.wstETH", "staked_at"]),
        ("{folder: aave}", "aave", ["lending_protocols.aave_v3", "'aave'", "folder"]),
    ],
)
def test_a_wrong_file_is_refused(own_configs, old, new, words):
    file = own_configs / "assets.yaml"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_assets()
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_missing_file_is_named(own_configs):
    (own_configs / "assets.yaml").unlink()
    with pytest.raises(ConfigError, match=r"assets\.yaml"):
        load_assets()


def test_a_token_that_is_not_listed_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"strategy\.lst: weET\. Must be 'weETH' or 'wstETH'\. Did you mean weETH\?"):
        load_config("eth_staking_only", {"strategy.lst": "weET"}, {})
    with pytest.raises(ConfigError, match=r"strategy\.lending_venue: aave\. Must be 'aave_v3'\."):
        load_config("pure_lending", {"strategy.lending_venue": "aave"}, {})
