"""Run folders from elsewhere: no path of theirs is used, no link followed, and damage is one message or a warning."""

import hashlib
import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis.errors import BasisError, InputError
from basis.reports import Result, compare, open_run
from basis.reports.run_report import make_report
from basis.results.opened import RunFiles
from basis.results.replay import replay
from basis.results.rerun import rerun
from support.damage import changed_json, damaged, trials

HASH = "0" * 64


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of a run folder, without its report."""
    return shutil.copytree(saved, tmp_path / "copy", ignore=shutil.ignore_patterns("report.html"))


@pytest.fixture
def resumed(make_run, tmp_path):
    """Folder of a run that went on from a checkpoint."""
    window = {"start": "2024-02-01", "end": "2024-02-04"}
    half = Result.from_recording(make_run("pure_lending", window)).checkpoint("2024-02-02")
    return Result.from_recording(make_run("pure_lending", window, resume=half)).save(tmp_path / "resumed", report=False)


def rewrite(folder, name, change):
    """Change the JSON of a folder in place."""
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_name_in_the_manifest_is_no_path_to_write_to(resumed, tmp_path):
    """`resumed.file` of `../../x` overwrote that file when the run was saved."""
    (tmp_path / "mine").write_text("all of it")
    for name in ("../mine", str(tmp_path / "mine"), "..\\mine", "other.npz", "summary.json"):
        rewrite(resumed, "manifest.json", lambda held, name=name: held["resumed"].update(file=name))
        with pytest.raises(InputError, match=r"manifest\.json: resumed\.file"):
            open_run(resumed).save(tmp_path / "again" / "run", force=True)
    assert (tmp_path / "mine").read_text() == "all of it"
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "name", ["../../../etc/hostname", "/etc/hostname", "spot/../../x.parquet", "spot/x", "C:x.parquet"]
)
def test_no_hash_of_an_arbitrary_file_is_asked_for(copy, name):
    rewrite(copy, "manifest.json", lambda held: held["data"].update({name: HASH}))
    with pytest.raises(InputError, match="must be a parquet file of a data set"):
        replay(copy)


@pytest.mark.parametrize("name", ["../../other", "/etc/hostname", "a/b"])
def test_table_names_and_ids_are_names(copy, name):
    for change in (lambda held: held["tables"].update({name: HASH}), lambda held: held.update(run_id=name)):
        content = (copy / "manifest.json").read_text()
        rewrite(copy, "manifest.json", change)
        with pytest.raises(InputError, match="must be a name, not a path"):
            open_run(copy)
        (copy / "manifest.json").write_text(content)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes")
@pytest.mark.parametrize("name", ["manifest.json", "summary.json", "config.yaml", "equity.parquet", "events.parquet"])
def test_no_link_is_followed_and_no_pipe_waited_for(copy, saved, name):
    (copy / name).unlink()
    (copy / name).symlink_to(saved / name)
    with pytest.raises(InputError, match="is a link, which is not followed"):
        open_run(copy)
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(InputError, match=name):
        open_run(copy)


def test_a_report_that_is_a_link_is_not_copied(copy, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (copy / "report.html").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="link"):
        open_run(copy).save(tmp_path / "again")
    # a new one takes its place
    assert "secret" not in open_run(copy).report().read_text()[:1000]
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_table_that_changes_while_the_folder_is_open_is_refused(copy):
    result = open_run(copy)
    (copy / "equity.parquet").write_bytes((copy / "risk.parquet").read_bytes())
    with pytest.raises(InputError, match="was changed while it was open"):
        result.table("equity")


@pytest.mark.parametrize("nested", ["[" * 300 + "]" * 300, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000])
def test_deep_json_is_refused(copy, nested):
    content = (copy / "manifest.json").read_text().rstrip()
    (copy / "manifest.json").write_text(f'{content[:-1]}, "more": {nested}}}')
    with pytest.raises(InputError, match=r"manifest\.json: it is (no JSON|nested)"):
        open_run(copy)


def test_a_folder_of_an_earlier_version_is_said_to_be_one(copy):
    rewrite(copy, "manifest.json", lambda held: (held.pop("sha256"), held.pop("files")))
    (told,) = open_run(copy).changes
    assert "(summary.json, manifest.json), or an earlier version wrote it" in told


def test_sizes_are_limited(copy):
    with (copy / "manifest.json").open("r+b") as file:
        file.truncate(2**26)
    with pytest.raises(InputError, match=r"manifest\.json: it has 67,108,864 bytes, and at most"):
        open_run(copy)


def test_a_small_file_that_stands_for_a_huge_table_is_refused(copy):
    column = pa.chunked_array([pa.array([0.0] * 2**20)] * 300)
    pq.write_table(pa.table({"timestamp": column}), copy / "panel.parquet", compression="zstd")
    assert (copy / "panel.parquet").stat().st_size < 2**21
    with pytest.raises(InputError, match="stands for 314,572,800 cells"):
        open_run(copy).panel


def test_a_changed_table_is_told_on_the_card_and_in_the_report(copy, capsys):
    """An equity table that was doubled was shown as true."""
    table = pq.read_table(copy / "equity.parquet")
    place = table.column_names.index("equity")
    twice = pa.array(table["equity"].to_numpy() * 2)
    pq.write_table(table.set_column(place, table.schema.field("equity"), twice), copy / "equity.parquet")
    result = open_run(copy)
    told = "The run folder was changed after the run (equity.parquet)"
    assert any(text.startswith(told) for text in result.warnings)
    assert told in result._repr_html_()
    assert told in make_report(result)
    assert any(told in note for note in compare(result, open_run(copy), names=["a", "b"]).notes)
    for command in (["explain", str(copy), "2024-02-03 08:00"], ["report", str(copy)]):
        from basis.cli import main

        main(command)
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", ["summary.json", "config.yaml", "manifest.json"])
def test_a_changed_word_in_a_text_file_is_told(copy, name):
    path = copy / name
    before, after = {
        "summary.json": ('"fills": ', '"fills": 1'), "config.yaml": ("initial_capital: 1", "initial_capital: 2"),
        "manifest.json": ('"notes": [', '"notes": ["nothing to see", '),
    }[name]  # fmt: skip
    content = path.read_text()
    assert before in content
    path.write_text(content.replace(before, after, 1))
    assert open_run(copy).changes == [text for text in open_run(copy).warnings if f"({name})" in text] != []


def test_what_was_saved_is_not_changed(saved, tmp_path):
    assert open_run(saved).changes == []
    assert open_run(open_run(saved).save(tmp_path / "copy")).changes == []


def use(folder, other, with_report, with_replay):
    """What users do with a folder."""
    result = open_run(folder)
    repr(result), result._repr_html_(), result.warnings, result.stats(), result.events, result.config
    str(result.explain("2024-02-03 08:00")), str(result.explain("2024-02-03", "2024-02-04"))
    comparison = compare(other, result, names=["a", "b"])
    comparison.stats, comparison.attribution, comparison._repr_html_()
    result.plot.overview()
    result.save(folder.with_name("again"), report=False, force=True)
    if with_replay:
        # what a replay does in a process of its own
        rerun(RunFiles(folder))
    if with_report:
        make_report(result)
    return result


def says_the_same(first, second):
    """Whether two texts are one JSON: a space more or less is no change of the manifest, which has its own hash."""
    try:
        return json.loads(first) == json.loads(second)
    except ValueError:
        return False


def test_damaged_folders_are_one_message_or_a_warning(saved, tmp_path):
    """Damage that its maker has hashed anew, too: then it may go unnoticed, but never ends in a traceback."""
    from basis.results.folder import own_hash

    other, messages = open_run(saved), []
    files = sorted(path.name for path in saved.iterdir() if path.name != "report.html")
    for trial, chance in enumerate(trials(60)):
        folder = shutil.copytree(saved, tmp_path / "damaged", ignore=shutil.ignore_patterns("report.html"))
        name = chance.choice(files)
        content = (folder / name).read_bytes()
        by_value = name.endswith(".json") and chance.random() < 0.7
        bad = changed_json(content, chance) if by_value else damaged(content, chance)
        (folder / name).write_bytes(bad)
        is_same = bad == content or (name == "manifest.json" and says_the_same(bad, content))
        hashed = chance.random() < 0.4 and name != "manifest.json"
        if hashed:
            manifest = json.loads((folder / "manifest.json").read_text())
            place = manifest["tables"] if name in manifest["tables"] else manifest["files"]
            place[name] = manifest["config"]["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            manifest["config"]["sha256"] = hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()
            (folder / "manifest.json").write_text(json.dumps({**manifest, "sha256": own_hash(manifest)}))
        try:
            result = use(folder, other, trial % 10 == 0, name in ("config.yaml", "manifest.json"))
        except BasisError as error:
            messages.append(str(error))
        else:
            assert hashed or is_same or result.changes, (trial, name)
        shutil.rmtree(folder)
    assert all(messages)
