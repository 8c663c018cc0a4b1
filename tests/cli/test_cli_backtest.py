"""`basis backtest` and `basis replay` from end to end, on a few days of the sample."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from small_market import SPOT, WINDOW, damage, nulled, with_value

TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events", "panel")
ONE_SPOT = ["--set", "data.sources.spot/btcusdt=[binance]"]


@pytest.fixture(scope="session")
def finished(small_data, tmp_path_factory):
    """Folder of one run of the small window, for reading only."""
    from basis.cli import main

    out = tmp_path_factory.mktemp("run") / "one"
    assert main(["backtest", "btc_basis", *WINDOW, "--data", str(small_data), "--out", str(out), "--quiet"]) == 0
    return out


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def number(text):
    return float(text.replace(",", ""))


def test_a_run_prints_its_headline_and_its_folder(basis, small_data, tmp_path, listing):
    out = tmp_path / "deep" / "one"
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == str(out)
    for word in ("btc_basis", "total return", "CAGR", "max drawdown", "fills", "liquidations", "warning: ", "seconds"):
        assert word in done.out
    assert {f"deep/one/{name}.parquet" for name in TABLES} <= set(listing())
    assert not [name for name in listing() if "tmp" in name]


def test_doubtful_data_are_told_wherever_a_result_is_seen(basis, own_data, tmp_path):
    """On the terminal, in the manifest, the report, and the card and warnings of a result that is opened again."""
    from basis import open_run

    (own_data / "perp/okx_btcusdt.parquet").unlink()
    damage(own_data, "spot/bybit_btcusdt", with_value("quote_volume", 100, 5.0))
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one")
    assert done.code == 0
    told = json.loads((tmp_path / "one" / "manifest.json").read_text())["warnings"]
    assert len(told) == 2
    assert told[0].startswith("spot/bybit_btcusdt at 2024-05-05 04:00: quote_volume / volume lies outside")
    assert told[1].startswith("perp/okx_btcusdt: okx has no prices in this window")
    result = open_run(tmp_path / "one")
    report = result.report(tmp_path / "report.html").read_text()
    for text in told:
        assert f"warning: {text}" in done.out
        assert text in result.warnings
        assert text in report
        assert text in result._repr_html_()
    (tmp_path / "one" / "manifest.json").write_text(
        json.dumps(
            {k: v for k, v in json.loads((tmp_path / "one" / "manifest.json").read_text()).items() if k != "warnings"}
        )
    )
    assert told[0] not in open_run(tmp_path / "one").warnings  # a run of an older version opens


def test_printed_causes_sum_to_the_printed_profit(basis, small_data, tmp_path):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one")
    lines = done.out.splitlines()
    top = next(i for i, line in enumerate(lines) if line.startswith("P&L"))
    causes = {}
    for line in lines[top + 1 :]:
        if not line.startswith("  "):
            break
        name, value = line.split()
        causes[name] = number(value)
    profit = number(lines[top].split()[-1])
    assert {"funding_pnl", "fees"} <= set(causes)
    assert sum(causes.values()) == pytest.approx(profit, abs=0.006 * len(causes))
    summary = summary_of(tmp_path / "one")
    gained = summary["final_equity"] - summary["initial_equity"] - summary["net_flows"]
    assert profit == pytest.approx(gained, abs=0.006)


def test_quiet_prints_the_folder_only(basis, small_data, tmp_path):
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one", "--quiet")
    assert (done.code, done.out, done.err) == (0, f"{tmp_path / 'one'}\n", "")


def test_the_folder_is_runs_and_the_runs_id_by_default(basis, small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--quiet")
    assert done.code == 0
    [folder] = (tmp_path / "runs").iterdir()
    assert folder.name == summary_of(folder)["run_id"]
    assert done.out.strip() == os.path.join("runs", folder.name)


def test_the_same_run_again_needs_no_force_by_default(basis, small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert basis("backtest", "btc_basis", *WINDOW, "--data", small_data).code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--set", "seed=1").code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_force_replaces_a_run(basis, small_data, tmp_path):
    out = tmp_path / "one"
    args = ["backtest", "btc_basis", "--data", small_data, "--out", out, "--start", "2024-05-04"]
    assert basis(*args, "--end", "2024-05-05").code == 0
    assert basis(*args, "--end", "2024-05-06").code == 2
    assert summary_of(out)["rows"] == 25
    assert basis(*args, "--end", "2024-05-06", "--force").code == 0
    assert summary_of(out)["rows"] == 49


def test_changes_reach_the_run(basis, small_data, tmp_path):
    args = ["--set", "initial_capital=5000", "--set", "strategy.hedge_allocation={okx: 1}"]
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", tmp_path / "one", *args)
    assert done.code == 0
    assert summary_of(tmp_path / "one")["initial_equity"] == pytest.approx(5000)
    columns = pq.read_schema(tmp_path / "one" / "positions.parquet").names
    assert [name for name in columns if name.endswith("Perp:BTCUSDT")] == ["okx:Perp:BTCUSDT"]


def test_the_data_set_may_come_from_the_environment(basis, small_data, tmp_path, monkeypatch):
    monkeypatch.setenv("BASIS_DATA_DIR", str(small_data))
    assert basis("backtest", "btc_basis", "--out", tmp_path / "one").code == 0
    summary = summary_of(tmp_path / "one")
    assert (summary["start"][:10], summary["end"][:10]) == ("2024-05-01", "2024-05-09")


def test_stand_ins_are_told(basis, own_data, tmp_path):
    damage(own_data, "funding/okx_btcusdt", nulled("2024-05-05T08:00", "2024-05-05T08:00", "funding_rate"))
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", tmp_path / "one")
    assert done.code == 0
    [line] = [line for line in done.out.splitlines() if line.startswith("funding/okx_btcusdt")]
    assert re.search(r"88\.889%.*100\.000%", line)
    [line] = [line for line in done.out.splitlines() if line.startswith("warning: funding/okx_btcusdt")]
    assert "bybit" in line


@pytest.fixture
def holed(own_data):
    """The small data set with six hours of BTC spot missing, which no other source fills under `ONE_SPOT`."""
    damage(own_data, SPOT[0], nulled("2024-05-05T06:00", "2024-05-05T11:00"))
    return own_data


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_a_long_hole_stops_the_run_and_keeps_the_rows_so_far(basis, holed, tmp_path, listing, driver):
    out = tmp_path / "one"
    done = basis("backtest", "btc_basis", *WINDOW, *ONE_SPOT, "--data", holed, "--out", out, "--driver", driver)
    assert done.code == 3
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    for word in ("spot/btcusdt", "2024-05-05"):
        assert word in done.err
    assert done.out.splitlines()[-1] == str(out)
    summary = summary_of(out)
    assert summary["status"] == "stopped"
    assert summary["cause"] in done.err
    assert {f"one/{name}.parquet" for name in TABLES} <= set(listing())
    rows = pq.read_metadata(out / "equity.parquet").num_rows
    # Carried for three hours from 05:00, so that 08:00 is the last row.
    assert rows == summary["rows"] == 24 + 9


def test_a_stopped_run_warns_once_and_not_as_python_does(holed, tmp_path):
    args = ["backtest", "btc_basis", *WINDOW, *ONE_SPOT, "--data", str(holed), "--out", str(tmp_path / "one"), "-q"]
    code = "import sys; from basis.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout == f"{tmp_path / 'one'}\n"
    assert done.stderr.count("\n") == 1
    assert "Warning" not in done.stderr


def test_the_same_hole_is_no_stop_where_another_source_fills_it(basis, holed, tmp_path):
    assert basis("backtest", "btc_basis", *WINDOW, "--data", holed, "--out", tmp_path / "one").code == 0
    assert summary_of(tmp_path / "one")["status"] == "complete"


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_an_interrupted_run_leaves_nothing(basis, small_data, tmp_path, listing, monkeypatch, driver):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("basis.cli.progress.Progress.__call__", interrupt)
    args = ["--out", tmp_path / "runs" / "one", "--driver", driver]
    done = basis("backtest", "btc_basis", *WINDOW, "--data", small_data, *args)
    assert done.code == 130
    assert done.err == "Interrupted.\n"
    assert listing() == []


@pytest.mark.parametrize("driver", ["kernel", "event"])
def test_control_c_leaves_nothing(sample_data, tmp_path, listing, driver):
    code = """
import sys
from basis.cli import main, progress
class Announced(progress.Progress):
    def __enter__(self):
        print("started", flush=True)
        return super().__enter__()
progress.Progress = Announced
sys.exit(main())
"""
    args = ["backtest", "btc_basis", "--data", str(sample_data), "--out", str(tmp_path / "runs" / "one")]
    args += ["--driver", driver]
    process = subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"started\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("the interrupt came too late, or where Python cannot raise it")
    assert process.returncode == 130
    assert err.endswith(b"Interrupted.\n")
    assert listing() == []


def test_replay_of_an_untouched_run_is_identical(basis, finished):
    done = basis("replay", finished)
    assert (done.code, done.err) == (0, "")
    assert "identical" in done.out


def test_replay_on_data_at_another_place(basis, small_data, finished, tmp_path):
    moved = shutil.copytree(small_data, tmp_path / "elsewhere")
    assert basis("replay", finished, "--data", moved).code == 0


def test_replay_of_a_changed_table_names_it(basis, small_data, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "one")
    table = pq.read_table(run / "equity.parquet")
    pq.write_table(with_value("equity", 7, 1.0)(table), run / "equity.parquet")
    done = basis("replay", run)
    assert done.code == 1
    said = done.out + done.err
    assert "Traceback" not in said
    for word in ("equity", "row 7"):
        assert word in said


def test_replay_on_changed_data_names_the_file(basis, own_data, tmp_path):
    out = tmp_path / "one"
    assert basis("backtest", "btc_basis", *WINDOW, "--data", own_data, "--out", out).code == 0
    damage(own_data, SPOT[0], with_value("open", 100, 60_000.0))
    done = basis("replay", out)
    assert done.code == 1
    assert "spot/binance_btcusdt" in done.out + done.err


def test_replay_of_a_stopped_run(basis, holed, tmp_path):
    out = tmp_path / "one"
    assert basis("backtest", "btc_basis", *WINDOW, *ONE_SPOT, "--data", holed, "--out", out).code == 3
    done = basis("replay", out)
    assert (done.code, done.err) == (0, "")
