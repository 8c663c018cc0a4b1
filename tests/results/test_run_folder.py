"""The run folder: whole or not at all, its files, and reading it back."""

import hashlib
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from basis.config import load_config
from basis.errors import InputError
from basis.reports import Result, open_run
from basis.results import folder
from basis.results.folder import TABLES, write_file, write_whole
from basis.results.table import Table, differences

FILES = {*(f"{name}.parquet" for name in TABLES), "summary.json", "manifest.json", "config.yaml", "report.html"}


def names(path):
    return sorted(os.listdir(path))


def test_files_of_a_run_folder(saved):
    assert set(names(saved)) == FILES
    assert stat.S_IMODE(saved.stat().st_mode) & 0o700 == 0o700


def test_parquet_has_utc_instants_units_and_zstd(saved):
    for name in TABLES:
        file = pq.ParquetFile(saved / f"{name}.parquet")
        schema = file.schema_arrow
        assert str(schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
        for field in schema:
            assert field.metadata[b"unit"], (name, field.name)
        assert {file.metadata.row_group(0).column(i).compression for i in range(len(schema))} == {"ZSTD"}


def test_other_readers_see_the_same(saved, results):
    import polars as pl

    frame = pd.read_parquet(saved / "equity.parquet").set_index("timestamp")
    assert (frame.equity == results["flows"].equity.equity).all()
    assert pl.read_parquet(saved / "events.parquet")["detail"].to_list() == list(results["flows"].events.detail)


def test_opened_is_what_was_saved(saved, results):
    made, opened = results["flows"], open_run(saved)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(made, name), getattr(opened, name), check_exact=True)
        assert getattr(made, name).attrs == getattr(opened, name).attrs
        assert list(differences(made.table(name), opened.table(name))) == []
    assert opened.summary == made.summary
    assert opened.config == made.config
    assert (opened.run_id, opened.status, opened.cause) == (made.run_id, "complete", None)
    pd.testing.assert_series_equal(opened.drawdown, made.drawdown)
    pd.testing.assert_series_equal(opened.returns("1D"), made.returns("1D"))
    assert opened.to_polars("risk").equals(made.to_polars("risk"))
    assert opened.warnings == made.warnings


def test_a_folder_does_not_ask_the_environment(saved, results, monkeypatch):
    monkeypatch.setenv("BASIS__STRATEGY__MARGIN_RATIO_TARGET", "0.9")
    assert open_run(saved).config == results["flows"].config


def test_manifest(saved, results, recordings, sample_data):
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["run_id"] == results["flows"].run_id
    for name, digest in manifest["tables"].items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest
    assert set(manifest["tables"]) == {f"{name}.parquet" for name in TABLES}
    for name, digest in manifest["data"].items():
        assert hashlib.sha256((sample_data / name).read_bytes()).hexdigest() == digest
    assert manifest["config"]["sha256"] == hashlib.sha256((saved / "config.yaml").read_bytes()).hexdigest()
    assert load_config(saved / "config.yaml", environ={}) == recordings["flows"].config
    assert manifest["coverage"]["spot/btcusdt"] == {"own": 1.0, "resolved": 1.0}
    assert any("mark" in note for note in manifest["notes"])
    assert manifest["seed"] == 0
    assert {"python", "numpy", "numba", "pyarrow", "platform"} <= set(manifest["versions"])
    assert (manifest["positions"], manifest["resumed"]) == (None, None)


def test_run_ids_are_deterministic_and_tell_runs_apart(make_run, results):
    from run_cases import CASES

    again = Result.from_recording(make_run(*CASES["plain"]))
    assert again.run_id == results["plain"].run_id
    assert again.run_id.startswith("btc_basis-20240201-20240214-")
    assert len({result.run_id for result in results.values()}) == len(results)


def test_an_existing_folder_is_kept_unless_forced(results, tmp_path):
    target = results["lending"].save(tmp_path / "run")
    with pytest.raises(InputError, match="exists already"):
        results["plain"].save(target)
    assert open_run(target).run_id == results["lending"].run_id
    results["plain"].save(target, force=True)
    assert open_run(target).run_id == results["plain"].run_id
    assert names(tmp_path) == ["run"]


def test_force_replaces_no_folder_that_is_none_of_ours(results, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all of it")
    with pytest.raises(InputError, match="not a run folder"):
        results["lending"].save(tmp_path / "mine", force=True)
    assert names(tmp_path / "mine") == ["thesis.tex"]


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("bug"), KeyboardInterrupt()])
@pytest.mark.parametrize("force", [False, True])
def test_a_failure_midway_leaves_what_was_there(results, tmp_path, monkeypatch, error, force):
    if force:
        results["lending"].save(tmp_path / "run")
    write = Table.write

    def fail(self, path):
        if self.name == "events":
            raise error
        write(self, path)

    monkeypatch.setattr(Table, "write", fail)
    expected = InputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        results["plain"].save(tmp_path / "run", force=force)
    assert names(tmp_path) == (["run"] if force else [])
    if force:
        assert open_run(tmp_path / "run").run_id == results["lending"].run_id


def test_a_failure_of_the_last_rename_puts_the_old_folder_back(results, tmp_path, monkeypatch):
    results["lending"].save(tmp_path / "run")
    rename = os.rename

    def fail(source, target):
        if str(source).endswith(".partial"):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(folder, "exchange", lambda *_: False)
    monkeypatch.setattr(folder.os, "rename", fail)
    with pytest.raises(InputError, match="Cannot write"):
        results["plain"].save(tmp_path / "run", force=True)
    assert names(tmp_path) == ["run"]
    assert open_run(tmp_path / "run").run_id == results["lending"].run_id


def test_folders_above_are_made_and_go_again_where_writing_fails(results, tmp_path):
    """A run folder and a report alike."""
    result = results["lending"]
    assert (result.save(tmp_path / "a" / "b" / "run", report=False) / "summary.json").is_file()
    assert result.report(tmp_path / "c" / "d" / "page.html").is_file()

    def fail(made):
        raise OSError("no room")

    for write in (write_whole, write_file):
        with pytest.raises(InputError, match="no room"):
            write(tmp_path / "e" / "f" / "out", fail)
        assert not (tmp_path / "e").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


def test_a_parent_that_cannot_be_written_is_named(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        results["lending"].save(tmp_path / "file" / "deep" / "run")
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(InputError, match="closed"):
        results["lending"].save(closed / "run")


def test_no_run_folder_is_told(tmp_path, saved):
    with pytest.raises(InputError, match="does not exist"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"manifest\.json"):
        open_run(tmp_path)


def test_an_opened_run_can_be_saved_elsewhere(saved, tmp_path):
    copied = open_run(saved).save(tmp_path / "copy")
    assert set(names(copied)) == FILES
    assert (copied / "manifest.json").read_bytes() == (saved / "manifest.json").read_bytes()


def test_non_finite_numbers_are_null(results, tmp_path):
    target = results["struck"].save(tmp_path / "run")
    text = (target / "summary.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["min_health_factor"] is None


def test_display(results):
    result = results["struck"]
    assert result.run_id in repr(result)
    shown = result._repr_html_()
    assert "liquidation" in shown
    assert "max drawdown" in shown
    assert "<script" not in shown


def test_unknown_table(results):
    with pytest.raises(InputError, match="equity, attribution"):
        results["plain"].table("trades")


def test_differences_name_column_and_first_row():
    stamps = np.arange(3).astype("M8[us]")
    first = Table("x", {"timestamp": stamps, "a": np.array([0.0, np.nan, 1.0]), "b": np.arange(3)}, {})
    same = Table("x", {"timestamp": stamps, "a": np.array([0.0, np.nan, 1.0]), "b": np.arange(3)}, {})
    assert list(differences(first, same)) == []
    other = Table("x", {"timestamp": stamps, "a": np.array([-0.0, np.nan, 2.0]), "c": np.arange(3)}, {})
    reported = list(differences(first, other))
    assert any("'b' is only in the first" in line for line in reported)
    assert any("'c' is only in the second" in line for line in reported)
    assert any("'a' differs in 2 of 3 rows, first in row 0" in line for line in reported)
    shorter = Table("x", {"timestamp": stamps[:2], "a": first["a"][:2], "b": np.arange(2)}, {})
    assert list(differences(first, shorter)) == ["x: 3 rows against 2"]


def test_saving_needs_no_pandas(sample_data, tmp_path):
    """A run from the command line pays for no frames."""
    code = f"""
import sys
from basis.config import load_config
from basis.engine.simulation import simulate
from basis.market import DataProvider
from basis.reports import Result, open_run
config = load_config("pure_lending", {{"start": "2024-02-01", "end": "2024-02-03"}}, environ={{}})
result = Result.from_recording(simulate(config, DataProvider({str(sample_data)!r}, config)))
open_run(result.save({str(tmp_path / "run")!r})).table("events")
print(repr(result), "pandas" in sys.modules, "polars" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("False False")
