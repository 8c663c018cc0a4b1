"""A run that does not add up stops itself; a table that does not add up is found by the audit, with its row."""

import pandas as pd
import pytest
from auditor import COLUMNS, Audit, audit
from broken_runs import CONSISTENT, HEDGED, INCONSISTENT, LEAVING, LENDING

import basis


@pytest.fixture(scope="module")
def broken(plain_python, sample_data, tmp_path_factory):
    """Folder of the saved runs, and what each run said."""
    folder = tmp_path_factory.mktemp("broken")
    return folder, plain_python("broken_runs.py", sample_data, folder)


@pytest.fixture(scope="module")
def sound(broken):
    """Audits of the same runs with nothing broken."""
    folder, _ = broken
    runs = (("nothing", HEDGED), ("nothing, leaving", LEAVING), ("nothing, lending", LENDING))
    return {run[1]["start"]: Audit(folder / name, folder) for name, run in runs}


def first_row(audit, what):
    """Row in which a mistake of that kind first shows in a sound run."""
    events = audit.events
    if what == "hour after the fills":
        return audit.stamps.get_loc(events.loc[events["kind"] == "fill", "timestamp"].iloc[0]) + 1
    if what == "transfer home":
        sent = events[(events["kind"] == "transfer") & (events["fee"] > 0.0)]
        return audit.stamps.get_loc(sent["timestamp"].iloc[0])
    return audit.stamps.get_loc(events.loc[events["kind"] == what, "timestamp"].iloc[0])


@pytest.mark.parametrize("name", INCONSISTENT)
def test_a_run_that_does_not_add_up_stops_in_the_row(name, broken, sound):
    _, reported = broken
    (_, overrides), _, what = INCONSISTENT[name]
    reference = sound[overrides["start"]]
    row = first_row(reference, what)
    assert reported[name]["status"] == "stopped"
    cause = reported[name]["cause"]
    assert cause.startswith("identity broken")
    assert f"row {row} ({reference.stamps[row]:%Y-%m-%dT%H:%M:%SZ})" in cause


@pytest.mark.parametrize("name", CONSISTENT)
def test_the_audit_finds_what_is_wrong_all_through(name, broken, sample_data):
    folder, reported = broken
    assert reported[name] == {"status": "complete", "cause": None}
    found = audit(folder / name, sample_data)
    # every such run adds up
    assert not [finding for finding in found if finding.check.startswith("identity")]
    assert bool(found) != name.startswith("nothing"), found


@pytest.fixture(scope="module")
def run(sample_data, tmp_path_factory):
    """A short run with every kind of event, and its folder."""
    folder = tmp_path_factory.mktemp("run") / "hedged"
    mode, overrides = HEDGED
    return basis.backtest(mode, sample_data, overrides=overrides, out=folder), folder


@pytest.fixture(scope="module")
def checked(run, sample_data):
    audit = Audit(run[1], sample_data)
    assert audit.run() == []
    return audit


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_millionth_of_the_capital_in_any_column_is_found(column, sign, checked):
    for row in (0, 17, len(checked.stamps) - 1):
        other = checked.changed("attribution", row, column, sign * 1e-6 * checked.capital)
        other.identity_holds()
        rows = {finding.timestamp for finding in other.found if finding.check == "identity of the row"}
        assert rows == {checked.stamps[row]}
        so_far = [finding.timestamp for finding in other.found if finding.check == "identity so far"]
        assert min(so_far) == checked.stamps[row]


def test_what_moves_between_two_columns_is_found_too(checked):
    """The sum of the row still holds."""
    for here, there in zip(COLUMNS, (*COLUMNS[1:], COLUMNS[0])):
        other = checked.changed("attribution", 20, here, 1e-6 * checked.capital)
        other = other.changed("attribution", 20, there, -1e-6 * checked.capital)
        other.run()
        assert not [finding for finding in other.found if finding.check.startswith("identity")]
        wrong = {finding.check for finding in other.found if finding.timestamp == checked.stamps[20]}
        assert {here, there} <= wrong


def test_a_changed_file_is_found(run, sample_data, tmp_path):
    """The same from the folder, as an outsider gets it."""
    result, _ = run
    folder = result.save(tmp_path / "run")
    table = pd.read_parquet(folder / "attribution.parquet")
    table.loc[30, "fees"] -= 1e-6 * 100_000.0
    table.to_parquet(folder / "attribution.parquet", index=False)
    found = audit(folder, sample_data)
    assert ("identity of the row", result.equity.index[30]) in {finding[:2] for finding in found}


def test_replay_names_the_column_and_the_row(run, tmp_path):
    """The package's own check of a folder."""
    from basis.results.replay import replay

    result, _ = run
    folder = result.save(tmp_path / "run")
    table = result.table("attribution")
    table["basis_pnl"][25] += 1e-6 * 100_000.0
    try:
        table.write(folder / "attribution.parquet")
    finally:
        table["basis_pnl"][25] -= 1e-6 * 100_000.0
    report = replay(folder)
    assert not report.identical
    assert set(report.differing) == {"attribution"}
    text = " ".join(report.differing["attribution"])
    assert "basis_pnl" in text
    assert "2025-02-14T01:00" in text or "row 25" in text
