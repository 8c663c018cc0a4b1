"""Wrong input: exit code 2, one message that names what is wrong, no traceback, and nothing written."""

import subprocess
import sys

import pytest
from small_market import FUNDING, SPOT, WINDOW, damage, naive, nulled, swapped, twice, with_value, without

BEFORE = [*WINDOW, "--end", "2024-05-03"]
ARGUMENTS = {
    "unknown mode": (["btc_bassis", *WINDOW], ["btc_bassis", "btc_basis"]),
    "no such configuration file": (["none.yaml", *WINDOW], ["none.yaml"]),
    "unknown key": (["btc_basis", *WINDOW, "--set", "strategy.rebalence=1"], ["strategy.rebalence", "rebalance"]),
    "unknown section": (["btc_basis", *WINDOW, "--set", "stratgy.rebalance=1"], ["stratgy", "strategy"]),
    "wrong type": (["btc_basis", *WINDOW, "--set", "strategy.rebalance=maybe"], ["strategy.rebalance", "maybe"]),
    "weights do not sum to 1": (
        ["btc_basis", *WINDOW, "--set", "strategy.hedge_allocation={binance: 0.5, okx: 0.4}"],
        ["strategy.hedge_allocation", "0.9"],
    ),
    "negative weight": (
        ["btc_basis", *WINDOW, "--set", "strategy.hedge_allocation={binance: 1.5, okx: -0.5}"],
        ["strategy.hedge_allocation", "-0.5"],
    ),
    "unknown venue": (
        ["btc_basis", *WINDOW, "--set", "strategy.hedge_allocation={binanse: 1}"],
        ["strategy.hedge_allocation", "binanse", "binance"],
    ),
    "share class EUR": (
        ["btc_basis", *WINDOW, "--set", "share_class=EUR"],
        ["Invalid share_class: EUR. Must be 'USDT' or 'ETH'."],
    ),
    "capital 0": (
        ["btc_basis", *WINDOW, "--set", "initial_capital=0"],
        ["Invalid initial_capital: 0", "Must be > 0."],
    ),
    "negative capital": (
        ["btc_basis", *WINDOW, "--set", "initial_capital=-5"],
        ["Invalid initial_capital: -5", "Must be > 0."],
    ),
    "capital NaN": (
        ["btc_basis", *WINDOW, "--set", "initial_capital=.nan"],
        ["Invalid initial_capital: nan. Must be > 0."],
    ),
    "infinite capital": (["btc_basis", *WINDOW, "--set", "initial_capital=.inf"], ["Invalid initial_capital: inf"]),
    "end before start": (["btc_basis", "--start", "2024-05-07", "--end", "2024-05-04"], ["2024-05-07", "2024-05-04"]),
    "a day that is none": (["btc_basis", "--start", "2024-05-32", "--end", "2024-06-02"], ["start", "2024-05-32"]),
    "a text for a date": (["btc_basis", "--start", "2024-05-04", "--end", "soon"], ["end", "soon"]),
    "window after the data": (["btc_basis", "--start", "2024-05-04", "--end", "2024-05-20"], ["2024-05-09"]),
    "window before the data": (["btc_basis", "--start", "2024-04-04", "--end", "2024-05-06"], ["2024-05-01"]),
    "--set without =": (["btc_basis", *WINDOW, "--set", "strategy.rebalance"], ["strategy.rebalance", "a.b=v"]),
    "--set that is no YAML": (["btc_basis", *WINDOW, "--set", "strategy.rebalance=[1"], ["strategy.rebalance"]),
}
DAMAGES = {
    "stamp twice": (SPOT[0], twice(100), ["spot/binance_btcusdt", "2024-05-05", "duplicate"]),
    "stamps out of order": (SPOT[0], swapped(100), ["spot/binance_btcusdt", "2024-05-05", "sort"]),
    "stamps without a zone": (SPOT[0], naive, ["spot/binance_btcusdt", "time zone"]),
    "missing column": ("perp/okx_btcusdt", without("open"), ["perp/okx_btcusdt", "open"]),
    "missing funding column": (FUNDING[2], without("funding_rate"), ["funding/okx_btcusdt", "funding_rate"]),
    "negative price": ("perp/okx_btcusdt", with_value("open", 100, -1.0), ["perp/okx_btcusdt", "open", "2024-05-05"]),
    "a tenfold tick": (
        SPOT[0],
        with_value("open", 100, 6e5),
        ["spot/binance_btcusdt at 2024-05-05 04:00", "open 600000"],
    ),
    "funding in per cent": (
        FUNDING[0],
        with_value("funding_rate", 12, 0.4),
        [FUNDING[0], "0.4", "per cent: divide by 100"],
    ),
    "price zero": (SPOT[0], with_value("open", 100, 0.0), ["spot/binance_btcusdt", "open", "2024-05-05"]),
    "infinite price": ("perp/okx_btcusdt", with_value("high", 9, float("inf")), ["perp/okx_btcusdt", "high", "inf"]),
    "negative gas price": ("gas/ethereum", with_value("gas_price_gwei", 100, -1.0), ["gas/ethereum", "2024-05-05"]),
}


def assert_refused(done, words):
    """Exit code 2 with one message that holds all the words."""
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert "Traceback" not in done.err
    assert done.err.count("Error:") == 1
    for word in words:
        assert word in done.err


def test_a_misspelt_command_or_choice_is_reported_in_whole_sentences(basis):
    reported = basis("backtst", "btc_basis").err
    assert reported == "Error: No such command 'backtst'. Did you mean 'backtest'? See `basis --help`.\n"
    reported = basis("backtest", "btc_basis", "--driver", "kernal").err
    assert reported.startswith("Error: Invalid value for '--driver': 'kernal' is not one of 'kernel', 'event'. See ")


@pytest.mark.parametrize("case", ARGUMENTS)
def test_wrong_arguments(basis, small_data, tmp_path, listing, case):
    args, words = ARGUMENTS[case]
    assert_refused(basis("backtest", *args, "--data", small_data, "--out", tmp_path / "runs" / "one"), words)
    assert listing() == []


def test_wrong_environment(basis, small_data, tmp_path, listing, monkeypatch):
    monkeypatch.setenv("BASIS__STRATEGY__REBALENCE", "1")
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    assert_refused(done, ["strategy.rebalence"])
    assert listing() == []


def test_an_environment_that_does_not_exist(basis, small_data, tmp_path, listing, monkeypatch):
    monkeypatch.setenv("BASIS_ENVIRONMENT", "prod")
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    assert_refused(done, ["BASIS_ENVIRONMENT is 'prod'", "dev, staging, production"])
    assert listing() == []


def test_wrong_file(basis, small_data, tmp_path, listing):
    (tmp_path / "mine.yaml").write_text("mode: btc_basis\nstrategy: {rebalance: maybe}\n")
    done = basis("backtest", tmp_path / "mine.yaml", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    assert_refused(done, ["strategy.rebalance", "maybe"])
    assert listing() == ["mine.yaml"]


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_data(basis, own_data, tmp_path, listing, case):
    series, change, words = DAMAGES[case]
    damage(own_data, series, change)
    before = listing()
    assert_refused(basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one"), words)
    assert listing() == before


def test_missing_data_folder(basis, tmp_path, listing):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", tmp_path / "none", "--out", tmp_path / "one")
    assert_refused(done, [str(tmp_path / "none")])
    assert listing() == []


def test_missing_data_folder_named_by_the_environment(basis, tmp_path, listing, monkeypatch):
    monkeypatch.setenv("BASIS_DATA_DIR", str(tmp_path / "none"))
    assert_refused(basis("backtest", "btc_basis", *WINDOW, "--out", tmp_path / "one"), [str(tmp_path / "none")])
    assert listing() == []


def test_missing_series(basis, own_data, tmp_path, listing):
    for name in SPOT:
        (own_data / f"{name}.parquet").unlink()
    before = listing()
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one")
    assert_refused(done, ["spot/btcusdt", *SPOT])
    assert listing() == before


def test_file_that_is_no_parquet(basis, own_data, tmp_path, listing):
    (own_data / "gas/ethereum.parquet").write_text("timestamp,gas_price_gwei\n")
    before = listing()
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one")
    assert_refused(done, ["gas/ethereum"])
    assert listing() == before


def test_too_little_funding(basis, own_data, tmp_path, listing):
    for name in FUNDING:
        damage(own_data, name, nulled("2024-05-05T00:00", "2024-05-05T23:00", "funding_rate"))
    before = listing()
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one")
    assert_refused(done, ["funding/", "min_funding_coverage"])
    assert listing() == before


def test_hole_at_the_first_row(basis, own_data, tmp_path, listing):
    for name in SPOT:
        damage(own_data, name, nulled("2024-05-03T00:00", "2024-05-04T00:00"))
    before = listing()
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one")
    assert_refused(done, ["spot/btcusdt", "2024-05-04"])
    assert listing() == before


def test_folder_that_cannot_be_written(basis, small_data, tmp_path, listing):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "one", "/dev/null/one"):
        done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out)
        assert_refused(done, [str(out)])
    assert (tmp_path / "file").read_text() == "mine"
    assert listing() == ["file"]


def test_folder_that_is_there(basis, small_data, tmp_path, listing):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine.txt").write_text("mine")
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    assert_refused(done, [str(tmp_path / "one"), "force"])
    assert listing() == ["one", "one/mine.txt"]


@pytest.mark.parametrize("target", ["none", "file", "empty"])
def test_replay_of_what_is_no_run(basis, tmp_path, listing, target):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert_refused(basis("replay", tmp_path / target), [str(tmp_path / target)])
    assert listing() == ["empty", "file"]


def test_wrong_configuration_is_reported_before_anything_is_compiled():
    code = """
import sys
from basis.cli import main
code = main(["backtest", "btc_basis", "--set", "initial_capital=0"])
print(code, [m for m in ("numba", "pandas", "plotly") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "2 []"
