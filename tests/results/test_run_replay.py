"""Replay: identical where nothing changed, and what changed by name."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis.errors import InputError
from basis.reports import Result, open_run
from basis.results.replay import replay

WINDOW = {"start": "2024-02-01", "end": "2024-02-04"}


@pytest.fixture
def own_data(sample_data, tmp_path):
    return shutil.copytree(sample_data, tmp_path / "data")


def test_identical(saved):
    report = replay(saved)
    assert report.identical
    assert report.differing == {}
    assert [m for m in report.messages if not m.startswith("note:")] == []
    assert "identical" in str(report)


def test_starting_positions_are_replayed(results, tmp_path):
    target = results["eth"].save(tmp_path / "run")
    assert open_run(target).manifest["positions"]["wallet:BaseToken:USDT"] == 50_000.0
    assert replay(target).identical


def test_a_resumed_run_is_replayed_and_continues_the_first(make_run, tmp_path):
    whole = Result.from_recording(make_run("btc_basis", WINDOW))
    half = whole.checkpoint("2024-02-02T12:00:00Z")
    rest = Result.from_recording(make_run("btc_basis", WINDOW, resume=half))
    assert rest.equity.index[0].hour == 13
    for name in ("equity", "attribution", "positions", "exposure"):
        first, again = getattr(whole, name), getattr(rest, name)
        assert (first.loc[again.index] == again).all(axis=None)
    assert rest.summary["initial_equity"] == whole.equity.equity.loc["2024-02-02T12:00:00Z"]
    target = rest.save(tmp_path / "run")
    assert (target / "checkpoint.npz").is_file()
    assert replay(target).identical
    copied = open_run(target).save(tmp_path / "copy")
    assert replay(copied).identical


def test_checkpoint_from_a_folder_is_that_of_the_run(results, saved):
    made, opened = results["flows"].checkpoint("2024-02-03"), open_run(saved).checkpoint("2024-02-03")
    assert made.timestamp == opened.timestamp
    assert np.array_equal(made.state, opened.state)


def test_changed_data_is_named_with_the_tables_that_differ(make_run, own_data, tmp_path):
    target = Result.from_recording(make_run("btc_basis", WINDOW, data=own_data)).save(tmp_path / "run")
    path = own_data / "perp" / "bybit_btcusdt.parquet"
    table = pq.read_table(path)
    stamps = table["timestamp"].cast(pa.int64()).to_numpy()
    opens = table["open"].to_numpy().copy()
    opens[np.searchsorted(stamps, np.datetime64("2024-02-03T05", "us").astype(np.int64))] *= 1.0 + 1e-6
    place = table.column_names.index("open")
    pq.write_table(table.set_column(place, table.field("open"), pa.array(opens)), path)
    report = replay(target)
    assert not report.identical
    assert any("perp/bybit_btcusdt.parquet has changed" in message for message in report.messages)
    assert "panel" in report.differing
    line = next(line for line in report.differing["panel"] if "'mark|bybit:Perp:BTCUSDT'" in line)
    assert "differs in 1 of 73 rows, first in row 53 (2024-02-03T05" in line


def test_one_flipped_byte_is_named(make_run, own_data, tmp_path):
    target = Result.from_recording(make_run("btc_basis", WINDOW, data=own_data)).save(tmp_path / "run")
    path = own_data / "spot" / "binance_btcusdt.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    report = replay(target)
    assert not report.identical
    assert any("spot/binance_btcusdt.parquet has changed" in message for message in report.messages)


def test_a_missing_file_and_a_changed_table_are_named(make_run, own_data, tmp_path):
    target = Result.from_recording(make_run("btc_basis", WINDOW, data=own_data)).save(tmp_path / "run")
    (own_data / "gas" / "ethereum.parquet").unlink()
    equity = pq.read_table(target / "equity.parquet")
    pq.write_table(equity.slice(0, 10), target / "equity.parquet")
    report = replay(target)
    assert any(message == "data: gas/ethereum.parquet is missing" for message in report.messages)
    assert any("equity.parquet has changed" in message for message in report.messages)
    assert any("could not be repeated: gas/ethereum" in message for message in report.messages)


def test_data_at_another_place(make_run, own_data, tmp_path, sample_data):
    target = Result.from_recording(make_run("pure_lending", WINDOW, data=own_data)).save(tmp_path / "run")
    own_data.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="does not exist"):
        replay(target)
    assert replay(target, tmp_path / "moved").identical


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        replay(tmp_path)
