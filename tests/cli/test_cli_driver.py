"""`--driver` and `--log`: the same folder whatever drives the hours, events as they happen, a component that fails."""

import json
import re

import pyarrow.parquet as pq
import pytest
from small_market import SPOT, WINDOW, damage, nulled

DRIVERS = ("kernel", "event")
TABLES = ("equity", "attribution", "positions", "exposure", "risk", "events", "panel")


@pytest.fixture
def call(basis, small_data, tmp_path):
    """One run of the small window to ``tmp_path/NAME``."""

    def call(name, *args):
        out = tmp_path / name
        return basis("backtest", "btc_basis", *WINDOW, "--data", small_data, "--out", out, *args)

    return call


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_either_driver_writes_the_same_folder(call, tmp_path):
    for driver in DRIVERS:
        assert call(driver, "--driver", driver).code == 0
    for table in TABLES:
        one, other = (tmp_path / driver / f"{table}.parquet" for driver in DRIVERS)
        assert one.read_bytes() == other.read_bytes(), table
    assert (tmp_path / "kernel" / "config.yaml").read_text() == (tmp_path / "event" / "config.yaml").read_text()


def test_replay_of_a_run_of_the_event_driver(basis, call, tmp_path):
    assert call("one", "--driver", "event").code == 0
    done = basis("replay", tmp_path / "one")
    assert (done.code, done.err) == (0, "")


def test_an_unknown_driver_names_those_there_are(call, listing):
    done = call("one", "--driver", "evnt")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    for word in ("--driver", "evnt", "kernel", "event"):
        assert word in done.err
    assert listing() == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_progress_reaches_the_last_row(call, monkeypatch, driver):
    seen = []
    monkeypatch.setattr("basis.cli.progress.Progress.__call__", lambda self, done, total: seen.append((done, total)))
    assert call("one", "--driver", driver).code == 0
    rows = 3 * 24 + 1
    assert seen[-1] == (rows, rows)
    assert seen == sorted(seen)


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_log_holds_the_events_of_the_run(call, tmp_path, driver):
    log = tmp_path / "logs" / "events.jsonl"
    done = call("one", "--driver", driver, "--log", log)
    assert (done.code, done.err) == (0, "")
    logged, table = lines(log), pq.read_table(tmp_path / "one" / "events.parquet").to_pylist()
    assert len(logged) == len(table) > 20
    assert list(logged[0]) == list(table[0])
    for line, row in zip(logged, table, strict=True):
        stamp = row["timestamp"].isoformat().replace("+00:00", "Z")
        assert (line["timestamp"], line["seq"]) == (stamp, row["seq"])
        if row["kind"] == "decision":
            # worked out from the tables when the run has ended
            assert row["detail"].startswith("trigger=")
            row["detail"] = ""
        assert {name: line[name] for name in row if not name.endswith(("timestamp", "_at"))} == {
            name: value for name, value in row.items() if not name.endswith(("timestamp", "_at"))
        }


def test_the_log_is_the_same_for_either_driver(call, tmp_path):
    for driver in DRIVERS:
        assert call(driver, "--driver", driver, "--log", tmp_path / f"{driver}.jsonl").code == 0
    assert (tmp_path / "kernel.jsonl").read_bytes() == (tmp_path / "event.jsonl").read_bytes()


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_log_of_a_run_that_stopped_itself_ends_with_the_cause(basis, own_data, tmp_path, driver):
    damage(own_data, SPOT[0], nulled("2024-05-05T06:00", "2024-05-05T11:00"))
    log, one_source = tmp_path / "events.jsonl", ["--set", "data.sources.spot/btcusdt=[binance]"]
    args = ["--out", tmp_path / "one", "--driver", driver, "--log", log, *one_source]
    done = basis("backtest", "btc_basis", *WINDOW, "--data", own_data, *args)
    assert done.code == 3
    last = lines(log)[-1]
    assert (last["kind"], f"Error: {last['detail']}\n") == ("error", done.err)


def test_a_log_that_is_there_is_replaced_with_force_only(call, tmp_path):
    log = tmp_path / "events.jsonl"
    assert call("one", "--log", log).code == 0
    first = log.read_text()
    done = call("two", "--log", log, "--end", "2024-05-05")
    assert done.code == 2
    assert "--force" in done.err
    assert log.read_text() == first
    assert call("two", "--log", log, "--end", "2024-05-05", "--force").code == 0
    assert 0 < len(lines(log)) < len(first.splitlines())


LOGS = {
    "a folder": ("folder", "folder"),
    "below a file": ("mine.txt/events.jsonl", "mine.txt"),
    "another file": ("mine.txt", "no log of events"),
    "the run's folder": ("one", "run's folder"),
    "inside the run's folder": ("one/events.jsonl", "run's folder"),
    "inside another run's folder": ("run/events.jsonl", "run's folder"),
}


@pytest.mark.parametrize("case", LOGS)
def test_a_log_that_cannot_be(call, tmp_path, listing, case):
    name, word = LOGS[case]
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("mine")
    before = listing()
    done = call("one", "--log", tmp_path / name, "--force")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    assert word in done.err
    assert listing() == before
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_wrong_input_leaves_no_log(call, listing, tmp_path):
    assert call("one", "--log", tmp_path / "events.jsonl", "--end", "2030-01-01").code == 2
    assert listing() == []


# --- a component that fails ------------------------------------------------------------------------------------------


@pytest.fixture
def down(monkeypatch):
    """An exchange that answers no order."""

    async def fail(self, order):
        raise ConnectionError("no route\nto the venue")

    monkeypatch.setattr("basis.execution.simulation.ExchangeSimulation.execute", fail, raising=False)


def test_a_component_that_fails_stops_the_run_with_one_line(call, listing, down):
    done = call("one", "--driver", "event")
    assert (done.code, done.out) == (3, "")
    assert re.fullmatch(r"Error: binance failed in row \d+ \(2024-05-04T.*\): no route to the venue\n", done.err)
    assert listing() == []


def test_what_was_there_stays_when_a_component_fails(call, tmp_path, down):
    assert call("one").code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert call("one", "--driver", "event", "--force").code == 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()} == before


def test_the_traceback_is_shown_for_debugging(call, down, monkeypatch):
    monkeypatch.setenv("BASIS_DEBUG", "1")
    done = call("one", "--driver", "event")
    assert done.code == 3
    assert "ConnectionError" in done.err
