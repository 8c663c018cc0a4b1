"""`basis report`, and what `basis backtest` says of the report it leaves."""

from pathlib import Path

import pytest
from small_market import WINDOW

from basis.reports import open_run
from support.browser import chromium


def test_a_run_says_where_its_report_is(basis, small_data, tmp_path):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    *table, line, folder = done.out.splitlines()
    assert line == f"report: {tmp_path / 'one' / 'report.html'}"
    assert Path(line.removeprefix("report: ")).is_file()
    assert folder == str(tmp_path / "one")
    assert len(table) <= 27


def test_the_table_names_the_venue_nearest_to_its_limit(basis, small_data, tmp_path):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    ratios = open_run(tmp_path / "one").summary["min_margin_ratio"]
    venue = min(ratios, key=ratios.get)
    [line] = [line for line in done.out.splitlines() if line.startswith("lowest margin ratio")]
    assert line.split() == ["lowest", "margin", "ratio,", venue, f"{ratios[venue]:.3%}"]
    done = basis("backtest", "pure_lending", *WINDOW, "--data", small_data, "--out", tmp_path / "two")
    assert "lowest margin ratio" not in done.out


def test_a_report_is_written_again(basis, small_data, tmp_path):
    out = tmp_path / "one"
    assert basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    report = out / "report.html"
    first = report.read_bytes()
    report.unlink()
    done = basis("report", out)
    assert (done.code, done.out, done.err) == (0, f"{report}\n", "")
    assert report.read_bytes() == first
    done = basis("report", out, "--out", tmp_path / "other.html")
    assert (done.code, done.out) == (0, f"{tmp_path / 'other.html'}\n")
    assert (tmp_path / "other.html").read_bytes() == first


def test_an_hour_is_explained(basis, small_data, tmp_path):
    out = tmp_path / "one"
    assert basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    when = str(open_run(out).equity.index[5])
    done = basis("explain", out, when)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{open_run(out).explain(when)}\n"
    done = basis("explain", out, "2031-01-01")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: ")
    done = basis("explain", tmp_path / "on", when)
    assert f"Did you mean {out}?" in done.err


def test_a_period_is_explained(basis, small_data, tmp_path):
    out = tmp_path / "one"
    assert basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    first, last = (str(open_run(out).equity.index[row]) for row in (2, -1))
    done = basis("explain", out, first, last)
    assert (done.code, done.out, done.err) == (0, f"{open_run(out).explain(first, last)}\n", "")
    done = basis("explain", out, last, first)
    assert (done.code, done.out) == (2, "")
    assert "The run has no rows from" in done.err


def test_what_most_deserves_doubt_is_printed(basis, small_data, tmp_path):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    doubts = open_run(tmp_path / "one").doubts
    assert 1 <= len(doubts) <= 3
    assert [line for line in done.out.splitlines() if line.startswith("doubt")] == [
        f"doubt {place}: {text}" for place, text in enumerate(doubts, 1)
    ]


def test_the_table_adds_up_as_printed(basis, small_data, tmp_path):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    [total] = [float(line.split()[-1].replace(",", "")) for line in done.out.splitlines() if line.startswith("P&L")]
    causes = [float(line.split()[-1].replace(",", "")) for line in done.out.splitlines() if line.startswith("  ")]
    assert len(causes) >= 3
    assert round(sum(causes), 2) == total


def test_what_is_there_and_no_page_is_kept(basis, small_data, tmp_path):
    out = tmp_path / "one"
    assert basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    before = (out / "equity.parquet").read_bytes()
    for target in (out / "equity.parquet", tmp_path, "/"):
        done = basis("report", out, "--out", target)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Error: ")
    assert (out / "equity.parquet").read_bytes() == before


@pytest.mark.parametrize("name", ["manifest.json", "summary.json"])
@pytest.mark.parametrize("content", ["{}", "[]", "no json"])
def test_a_broken_folder_is_told(basis, small_data, tmp_path, name, content):
    out = tmp_path / "one"
    assert basis("backtest", "pure_lending", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    (out / name).write_text(content)
    done = basis("report", out)
    assert done.code == 2
    assert name in done.err
    assert "Traceback" not in done.err


def test_what_is_no_run_is_told(basis, tmp_path):
    done = basis("report", tmp_path / "nowhere")
    assert done.code == 2
    assert done.err.startswith("Error: ")
    assert "not a run folder" in done.err
    assert done.out == ""


def test_a_report_is_printed(basis, small_data, tmp_path):
    chromium()
    out = tmp_path / "one"
    assert basis("backtest", "pure_lending", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    done = basis("report", out, "--pdf")
    assert (done.code, done.out, done.err) == (0, f"{out / 'report.pdf'}\n", "")
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    # a run folder stays one
    assert open_run(out).status == "complete"
    done = basis("report", out, "--pdf", "--out", tmp_path / "report.html")
    assert done.code == 2
    assert "ends in .pdf" in done.err


def test_without_a_browser_it_says_what_to_install(basis, small_data, tmp_path, monkeypatch):
    out = tmp_path / "one"
    assert basis("backtest", "pure_lending", *WINDOW, "--data", small_data, "--out", out, "--quiet").code == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    done = basis("report", out, "--pdf")
    assert (done.code, done.out) == (2, "")
    assert "apt install chromium" in done.err
    assert not list(out.glob("*.pdf*"))


def test_runs_are_compared(basis, small_data, tmp_path):
    for name, ratio in (("lean", 0.4), ("safe", 0.8)):
        change = f"strategy.margin_ratio_target={ratio}"
        done = basis("backtest", "btc_basis", *WINDOW, "--set", change, "--data", small_data, "--out", tmp_path / name)
        assert done.code == 0
    done = basis("compare", tmp_path / "lean", tmp_path / "safe", "--out", tmp_path / "both.html")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[-1] == str(tmp_path / "both.html")
    assert (tmp_path / "both.html").is_file()
    [target] = [line for line in lines if line.startswith("strategy.margin_ratio_target")]
    assert target.split()[1:] == ["0.4", "0.8"]
    [fills] = [line for line in lines if line.startswith("fills")]
    assert fills.split()[1:] == [f"{open_run(tmp_path / name).summary['fills']:,}" for name in ("lean", "safe")]
    [total] = [line for line in lines if line.startswith("sum of the columns")]
    profits = [open_run(tmp_path / name).stats()["pnl"] for name in ("lean", "safe")]
    assert [number for number in total.split() if "." in number and "%" not in number] == [f"{p:,.2f}" for p in profits]


def test_one_run_is_no_comparison(basis, tmp_path):
    done = basis("compare", tmp_path / "one")
    assert done.code == 2
    assert "two or more" in done.err
    done = basis("compare", tmp_path / "one", tmp_path / "two")
    assert done.code == 2
    assert "not a run folder" in done.err
