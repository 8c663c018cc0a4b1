"""What the README and the pages of docs/ show works: their Python, what it prints, and the options that they name."""

import ast
import asyncio
import contextlib
import inspect
import io
import re
from pathlib import Path

import numpy as np
import pytest

import basis

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
#: Pages with Python → how many blocks they have.
WITH_PYTHON = {"README.md": 1, "python.md": 5, "strategies.md": 3, "engine.md": 1}
#: A block of Python, and the text that it prints where the page shows that.
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", flags=re.MULTILINE | re.DOTALL)


def blocks(page):
    """(source, shown output) of each block, behind as many empty lines as make its line numbers those of the page."""
    text = PAGES[page]
    return [("\n" * text.count("\n", 0, found.start(1)) + found[1], found[2]) for found in BLOCK.finditer(text)]


def run(source, page, names):
    """Run a block as a notebook cell would: `await` may stand at its top. Returns what it prints."""
    code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(code, names)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    return printed.getvalue()


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Page → names that its blocks have made, one after the other as in one notebook, in a folder with the sample."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").symlink_to(ROOT / "data")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for page in WITH_PYTHON:
            names = made[page] = {"__name__": "__main__", "printed": []}
            for source, _ in blocks(page):
                names["printed"].append(run(source, page, names))
    return made


def test_every_block_is_run():
    assert {page: text.count("```python") for page, text in PAGES.items() if "```python" in text} == WITH_PYTHON
    assert {page: len(blocks(page)) for page in WITH_PYTHON} == WITH_PYTHON


def test_the_readme_is_short_and_its_block_has_six_lines():
    assert PAGES["README.md"].count("\n") <= 150
    ((source, _),) = blocks("README.md")
    assert len([line for line in source.splitlines() if line]) == 6


def test_a_block_prints_what_is_shown(sessions):
    shown = {(page, i): text for page in WITH_PYTHON for i, (_, text) in enumerate(blocks(page)) if text is not None}
    assert shown == {(page, i): sessions[page]["printed"][i] for page, i in shown}
    assert len(shown) == 1


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_a_figure_is_the_last_line_of_its_block(page):
    """A notebook shows what a cell ends with, and nothing else."""
    for source, _ in blocks(page):
        lines = ast.parse(source).body
        drawn = [i for i, line in enumerate(lines) if ".plot." in ast.unparse(line)]
        assert drawn in ([], [len(lines) - 1])
        assert all(isinstance(lines[i], ast.Expr) and isinstance(lines[i].value, ast.Call) for i in drawn)
    assert page not in ("README.md", "python.md") or ".plot." in PAGES[page]


@pytest.mark.parametrize("page", ["README.md", "python.md"])
def test_a_block_can_be_run_again(page, sessions, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for source, _ in blocks(page):
        assert run(source, page, names) == run(source, page, names)


def test_the_table_of_the_readme_is_that_of_the_results():
    rows = [row.split(" | ") for row in PAGES["results.md"].splitlines() if row.startswith("| `")]
    wanted = {row[0]: [row[1], *row[3:6], row[12]] for row in rows}
    found = [
        row.strip("| ").split(" | ") for row in PAGES["README.md"].splitlines() if re.match(r"\| `\w+` \| 20", row)
    ]
    assert len(found) == 8
    assert {f"| {row[0]}": row[1:6] for row in found} == {f"| {row[0]}": wanted[f"| {row[0]}"] for row in found}


def test_the_first_block_makes_a_run_and_its_folder(sessions):
    session = sessions["python.md"]
    assert session["result"].status == "complete"
    assert session["result"].config.initial_capital == 250_000
    assert list(session["again"].equity) == list(session["result"].equity)


def test_runs_are_compared_as_the_second_block_says(sessions):
    session = sessions["python.md"]
    both = session["both"]
    assert list(both.stats.columns) == ["0.6", "0.3"]
    assert list(both.config.index) == ["strategy.margin_ratio_target"]
    assert len(session["daily"]) > 700


def test_the_compiled_function_is_run_with_its_parameter(sessions):
    session = sessions["strategies.md"]
    turnover = [session[name].stats()["turnover"] for name in ("compiled", "larger")]
    assert turnover[1] / turnover[0] == pytest.approx(1.25, rel=0.02)


def test_the_engine_gives_the_result_of_a_backtest(sessions):
    session = sessions["engine.md"]
    results = session["results"]
    same = basis.backtest("btc_basis", ROOT / "data" / "sample", "2024-06-01", "2024-06-30")
    assert results.equity.equals(same.equity)
    assert session["status"]["health"]["overall_status"] in ("healthy", "degraded")
    assert session["position"]["binance:BaseToken:BTC"] == results.positions["binance:BaseToken:BTC"].iloc[-1]
    assert session["pnl"]["equity"] == results.equity["equity"].iloc[-1]


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_the_strategy_does_what_its_line_says(sessions, driver):
    session = sessions["strategies.md"]
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

    text = PAGES["command_line.md"]
    usage = text[text.index("    basis backtest CONFIG") :]
    usage = usage[: usage.index("`CONFIG` is")]
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].partition("\n\n")[0]
    assert set(re.findall(r"basis ([a-z]+)", usage)) == set(re.findall(r"^  ([a-z]+)", listed, flags=re.MULTILINE))
    for command in ("report", "compare", "replay"):
        assert main([command, "--help"]) == 0
        options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
        line = re.search(rf"^    basis {command} .*$", usage, flags=re.MULTILINE)[0]
        assert set(re.findall(r"--[a-z]+", line)) == options


def test_the_columns_named_are_those_of_the_attribution(sessions):
    text = PAGES["accounting.md"]
    table = text[text.index("| column | what it holds |") : text.index("- **Slippage**")].strip()
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", row.split(" | ")[0])]
    assert sorted(named) == sorted(sessions["python.md"]["result"].attribution)


def test_the_options_named_are_those_there_are(capsys):
    from basis.cli import main

    text = PAGES["command_line.md"]
    usage = re.search(r"^    basis backtest CONFIG.*?(?=^    basis replay)", text, flags=re.MULTILINE | re.DOTALL)[0]
    assert main(["backtest", "--help"]) == 0
    said = set(re.findall(r"--[a-z]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z]+", usage)) == said - {"--help"}
