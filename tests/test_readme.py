"""What the README shows works: its Python, in the order in which it stands there, and the options it names."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import basis

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks():
    """Source of each Python block, behind as many empty lines as make its line numbers those of the README."""
    found = re.finditer(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return ["\n" * README.count("\n", 0, block.start(1)) + block[1] for block in found]


def run(source, names):
    """Run a block as a notebook cell would: `await` may stand at its top."""
    code = compile(source, str(ROOT / "README.md"), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Names that the blocks have made, one after the other as in one notebook, in a folder that has the sample."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").symlink_to(ROOT / "data")
    names = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for source in blocks():
            run(source, names)
    return names


def test_there_are_blocks():
    assert len(blocks()) == README.count("```python") == 5


def test_the_first_block_is_ten_lines():
    assert len([line for line in blocks()[0].splitlines() if line]) == 10


def test_the_first_block_makes_a_run_and_its_folder(session):
    assert session["result"].status == "complete"
    assert session["result"].config.initial_capital == 250_000
    assert list(session["again"].equity) == list(session["result"].equity)


def test_runs_are_compared_as_the_second_block_says(session):
    both = session["both"]
    assert list(both.stats.columns) == ["0.6", "0.3"]
    assert list(both.config.index) == ["strategy.margin_ratio_target"]
    assert len(session["daily"]) > 700


def test_the_compiled_function_is_run_with_its_parameter(session):
    turnover = [session[name].stats()["turnover"] for name in ("compiled", "larger")]
    assert turnover[1] / turnover[0] == pytest.approx(1.25, rel=0.02)


def test_the_engine_gives_the_result_of_a_backtest(session):
    results = session["results"]
    same = basis.backtest("btc_basis", ROOT / "data" / "sample", "2024-06-01", "2024-06-30")
    assert results.equity.equals(same.equity)
    assert session["status"]["health"]["overall_status"] in ("healthy", "degraded")
    assert session["position"]["binance:BaseToken:BTC"] == results.positions["binance:BaseToken:BTC"].iloc[-1]
    assert session["pnl"]["equity"] == results.equity["equity"].iloc[-1]


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_the_strategy_does_what_its_line_says(session, driver):
    modest = session["plain"]
    invested = (modest.exposure["value|binance:BaseToken:BTC"] / modest.equity["equity"]).to_numpy()
    assert invested[np.flatnonzero(invested)[0]] == pytest.approx(0.4, rel=0.01)
    coins = modest.positions["binance:BaseToken:BTC"].to_numpy()
    assert (np.diff(coins[np.flatnonzero(coins)]) == 0.0).all()
    assert modest.exposure["net_delta_ratio|BTC"].abs().max() < 1e-9
    again = basis.backtest(
        "btc_basis", ROOT / "data" / "sample", "2024-06-01", "2024-06-30", driver=driver, strategy=session["Modest"]
    )
    assert again.equity.equals(modest.equity)


def test_the_commands_named_are_those_there_are(capsys):
    from basis.cli import main

    usage = README[README.index("    basis backtest CONFIG") :]
    usage = usage[: usage.index("`CONFIG` is")]
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].partition("\n\n")[0]
    assert set(re.findall(r"basis ([a-z]+)", usage)) == set(re.findall(r"^  ([a-z]+)", listed, flags=re.MULTILINE))
    for command in ("report", "compare", "replay"):
        assert main([command, "--help"]) == 0
        options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
        line = re.search(rf"^    basis {command} .*$", usage, flags=re.MULTILINE)[0]
        assert set(re.findall(r"--[a-z]+", line)) == options


def test_the_columns_named_are_those_of_the_attribution(session):
    table = README[README.index("| column | what it holds |") : README.index("**Identity.**")]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", row.split(" | ")[0])]
    assert sorted(named) == sorted(name for name in session["result"].attribution if "|" not in name)


def test_the_options_named_are_those_there_are(capsys):
    from basis.cli import main

    usage = re.search(r"^    basis backtest CONFIG.*?(?=^    basis replay)", README, flags=re.MULTILINE | re.DOTALL)[0]
    assert main(["backtest", "--help"]) == 0
    said = set(re.findall(r"--[a-z]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z]+", usage)) == said - {"--help"}
