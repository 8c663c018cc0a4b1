"""The modes by name: their table, their constructors, and what editors are told of these."""

import inspect
import json
import shutil
import subprocess
import sys

import mode_stub
import pytest

import basis
from basis import config_files
from basis.config import list_modes as descriptions
from basis.config import load_config, modes
from basis.config.models import Config
from basis.config.strategy_settings import SETTINGS, StrategySettings
from basis.errors import ConfigError

NAMES = {
    "BtcBasis": "btc_basis",
    "EthBasis": "eth_basis",
    "PureLending": "pure_lending",
    "EthStakingOnly": "eth_staking_only",
    "EthLeveraged": "eth_leveraged",
    "UsdtMarketNeutralNoLeverage": "usdt_market_neutral_no_leverage",
    "UsdtMarketNeutral": "usdt_market_neutral",
    "MlDirectional": "ml_directional",
}
#: Keys of the configuration that say what a mode is, and are no arguments of it.
FIXED = {"mode", "description", "assets", "instrument_templates", "strategy"}


def test_the_table_has_every_mode():
    table = basis.list_modes()
    assert list(table.index) == list(descriptions())
    assert table.loc["eth_leveraged"].to_dict() == {
        "share_class": "ETH",
        "description": load_config("eth_leveraged").description,
        "constructor": "EthLeveraged",
        "assets": "ETH",
        "venues": "wallet, aave_v3",
        "instruments": ", ".join(load_config("eth_leveraged", environ={}).instruments),
    }
    assert table.loc["pure_lending", "assets"] == "USDT, ETH"
    assert "okx" in table.loc["btc_basis", "venues"]


def test_the_table_is_of_what_ships(monkeypatch):
    shipped = basis.list_modes()
    monkeypatch.setenv("BASIS__STRATEGY__HEDGE_ALLOCATION", "{bybit: 1}")
    assert basis.list_modes().equals(shipped)


def test_every_mode_has_its_constructor():
    assert modes.constructors() == NAMES
    assert set(NAMES.values()) == set(descriptions())
    assert set(NAMES) <= set(basis.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_without_arguments_it_is_the_mode(name):
    made = getattr(basis, name)()
    assert isinstance(made, Config)
    assert made == load_config(NAMES[name])


@pytest.mark.parametrize("name", NAMES)
def test_what_its_signature_shows_is_what_ships(name):
    constructor = getattr(basis, name)
    given = {
        argument.name: argument.default
        for argument in inspect.signature(constructor).parameters.values()
        if argument.name not in (*modes.SECTIONS, "rate_rule")
    }
    assert constructor(**given) == load_config(NAMES[name])
    assert basis.load_config(constructor()) == constructor()


def test_arguments_are_the_keys_of_the_models():
    given = {argument for name in NAMES for argument in inspect.signature(getattr(basis, name)).parameters}
    assert given == (set(Config.model_fields) - FIXED) | (set(StrategySettings.model_fields) - {"name"})


@pytest.mark.parametrize("name", NAMES)
def test_a_mode_takes_the_keys_that_its_file_sets(name):
    from basis.config_files import config_dir, read_yaml

    raw = read_yaml(config_dir() / "modes" / f"{NAMES[name]}.yaml")
    assert set(raw["strategy"]) - {"name"} <= set(inspect.signature(getattr(basis, name)).parameters)


def test_it_is_the_mode_with_overrides():
    flows = [{"timestamp": "2024-03-01", "amount": 5_000}]
    made = basis.BtcBasis(
        initial_capital=250_000,
        start="2024-02-01",
        fill="next_bar",
        flows=flows,
        margin_ratio_target=0.8,
        hedge_allocation={"bybit": 1.0},
        rate_rule={"enabled": True, "enter": 0.05, "leave": 0.0, "window": "3d"},
        costs={"enabled": False},
        risk={"simulate_liquidation": False, "limits.margin_ratio.critical": 0.25},
        data={"min_funding_coverage": 0.9, "sources.spot/btcusdt": ["bybit"]},
        venues={"bybit.perp_fee.taker": 0.0004},
    )
    assert made == load_config(
        "btc_basis",
        {
            "initial_capital": 250_000,
            "start": "2024-02-01",
            "fill": "next_bar",
            "flows": flows,
            "strategy.margin_ratio_target": 0.8,
            "strategy.hedge_allocation": {"bybit": 1.0},
            "strategy.rate_rule": {"enabled": True, "enter": 0.05, "leave": 0.0, "window": "3d"},
            "costs.enabled": False,
            "risk.simulate_liquidation": False,
            "risk.limits.margin_ratio.critical": 0.25,
            "data.min_funding_coverage": 0.9,
            "data.sources.spot/btcusdt": ["bybit"],
            "venues.bybit.perp_fee.taker": 0.0004,
        },
    )
    assert made.data.sources["perp/okx_btcusdt"] == ("okx", "bybit")
    with pytest.raises(Exception, match="frozen"):
        made.initial_capital = 1.0


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("BtcBasis", {"margin_ratio_traget": 0.5}, ["BtcBasis has no argument", "you mean margin_ratio_target?"]),
        ("BtcBasis", {"target_ltv": 0.5}, ["BtcBasis", "target_ltv", "Allowed: initial_capital"]),
        ("EthLeveraged", {"ltv": 0.5}, ["EthLeveraged", "target_ltv"]),
        ("EthLeveraged", {"target_ltv": 1.5}, ["strategy.target_ltv", "1.5", "must be < 1"]),
        ("PureLending", {"asset": "BTC"}, ["asset", "BTC", "USDT or ETH"]),
        ("BtcBasis", {"initial_capital": -1}, ["initial_capital", "-1", "Must be > 0"]),
        ("BtcBasis", {"costs": False}, ["costs", "False", "mapping"]),
        ("BtcBasis", {"costs": {"enabeld": False}}, ["costs.enabeld", "Did you mean enabled?"]),
        ("BtcBasis", {"start": "2024-13-01"}, ["start", "2024-13-01", "date or instant"]),
        ("BtcBasis", {"rate_rule": {"enabled": True}}, ["strategy.rate_rule", "enter", "must be set"]),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told(name, given, words):
    with pytest.raises(ConfigError) as caught:
        getattr(basis, name)(**given)
    for word in words:
        assert word.lower() in str(caught.value).lower()


def test_arguments_have_names():
    with pytest.raises(ConfigError, match=r"BtcBasis takes named arguments only, as in BtcBasis\(initial_capital="):
        basis.BtcBasis(100_000)


def test_a_misspelt_public_name_suggests_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'BtcBassis'\. Did you mean BtcBasis\?"):
        basis.BtcBassis


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_argument_with_its_meaning(name):
    constructor = getattr(basis, name)
    for argument in inspect.signature(constructor).parameters:
        assert f"\n{argument}\n    " in constructor.__doc__
    assert max(map(len, constructor.__doc__.splitlines())) <= 200


def test_editors_are_told_the_same():
    reported = mode_stub.STUB.read_text(encoding="utf-8")
    assert reported == mode_stub.stub(), "run make stubs"


def test_type_checkers_know_the_arguments(tmp_path):
    cell = tmp_path / "cell.py"
    cell.write_text(
        "import basis\n"
        "basis.BtcBasis(margin_ratio_target=0.5, start='2024-01-01', costs={'enabled': False}).initial_capital\n"
        "basis.BtcBasis(margin_ratio_traget=0.5)\n"
        "basis.BtcBasis(fill='later')\n"
        "basis.list_modes().index\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(cell)],
        capture_output=True,
        text=True,
        cwd=mode_stub.STUB.parents[2],
    )
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except (ValueError, KeyError):
        pytest.skip(f"pyright does not run here: {done.stderr.strip()[-200:]}")
    reported = [(entry["range"]["start"]["line"], entry["message"]) for entry in found]
    assert [line for line, _ in reported] == [2, 3], reported
    assert "margin_ratio_traget" in reported[0][1]


@pytest.mark.parametrize("live", [True, False])
def test_notebooks_complete_the_arguments(live):
    jedi = pytest.importorskip("jedi")
    cell = "import basis\nbasis.EthLeveraged(target_"
    script = jedi.Interpreter(cell, [{"basis": basis}]) if live else jedi.Script(cell)
    assert "target_ltv=" in [found.name_with_symbols for found in script.complete()]


def test_the_constructors_cost_no_frames():
    script = (
        "import sys, basis\n"
        "basis.BtcBasis(margin_ratio_target=0.6); basis.MlDirectional\n"
        "print(*[name for name in ('numba', 'numpy', 'pandas', 'plotly') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_shipped_strategy_says_which_settings_it_reads():
    from basis.strategies.factory import strategy_names

    assert set(SETTINGS) == set(strategy_names())


CARRY = """
mode: my_carry
description: Holds BTC spot on Bybit against a short there.
share_class: USDT
asset: BTC
instruments:
  - wallet:BaseToken:USDT
  - "{strategy.spot_venue}:BaseToken:USDT"
  - "{strategy.spot_venue}:BaseToken:{asset}"
  - "{hedge}:Perp:{asset}USDT"
strategy:
  name: spot_perp
  spot_venue: bybit
  hedge_allocation: {bybit: 1.0}
data:
  sources:
    spot/btcusdt: [bybit]
    spot/ethusdt: [bybit]
"""


@pytest.fixture
def own_mode(tmp_path, monkeypatch):
    """A mode of another name in a copy of the shipped YAMLs."""
    folder = tmp_path / "configs"
    shutil.copytree(config_files.config_dir(), folder)
    (folder / "modes" / "my_carry.yaml").write_text(CARRY)
    monkeypatch.setattr(config_files, "config_dir", lambda: folder)
    return folder / "modes" / "my_carry.yaml"


def test_a_mode_of_an_existing_strategy_is_one_file(own_mode):
    assert "my_carry" in basis.list_modes().index
    assert "MyCarry" in basis.__all__
    config = basis.MyCarry(margin_ratio_target=0.8)
    assert config == load_config("my_carry", {"strategy.margin_ratio_target": 0.8})
    assert set(inspect.signature(basis.MyCarry).parameters) == set(inspect.signature(basis.BtcBasis).parameters)
    assert "def MyCarry(\n" in mode_stub.stub()
    own = basis.backtest("my_carry", start="2024-06-01", end="2024-06-03")
    same = {"strategy.spot_venue": "bybit", "strategy.hedge_allocation": {"bybit": 1.0}}
    same["data.sources.spot/btcusdt"] = ["bybit"]
    shipped = basis.backtest("btc_basis", start="2024-06-01", end="2024-06-03", overrides=same)
    assert own.summary["mode"] == "my_carry"
    assert own.summary["fills"] > 0
    assert own.equity.equals(shipped.equity)


def test_a_mode_may_be_a_file_anywhere(own_mode, tmp_path, monkeypatch):
    path = tmp_path / "elsewhere.yaml"
    own_mode.rename(path)
    assert load_config(path).strategy.name == "spot_perp"
    assert basis.backtest(path, start="2024-06-01", end="2024-06-02").status == "complete"


@pytest.mark.parametrize(
    ("name", "words"),
    [("spot_prep", ["strategy.name: spot_prep", "Did you mean spot_perp?", "Allowed: directional"]),
     (None, ["strategy.name: None", "of mode my_carry"])],
)  # fmt: skip
def test_a_strategy_that_is_not_there_is_refused(own_mode, name, words):
    with pytest.raises(ConfigError) as caught:
        basis.backtest("my_carry", start="2024-06-01", end="2024-06-02", overrides={"strategy.name": name})
    for word in words:
        assert word in str(caught.value)


def test_a_configuration_that_stands_alone_runs_the_strategy_of_the_mode_it_names():
    raw = load_config("btc_basis", environ={}).to_dict()
    raw["instruments"] = raw.pop("instrument_templates")
    del raw["strategy"]["name"], raw["venues"]
    assert load_config(raw, environ={}).strategy.name == "spot_perp"
