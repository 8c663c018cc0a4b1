"""Text that others wrote reaches a terminal or a page with every character in sight."""

import json
import shutil

import pytest

import basis
from basis.errors import InputError
from basis.reports.run_report import make_report
from basis.results.folder import own_hash
from basis.texts import for_page, visible, without_tags

#: Steers a terminal, its title and its links; turns the order of what is read; is cut off by no screen.
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x1b]8;;http://x\x1b\\b\u202ec\u2066d\x9b1me\r\x00\ud800"
STEERING = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\r", "\x00", "\ud800")


def assert_harmless(text):
    assert [sign for sign in STEERING if sign in text] == []


def test_every_character_is_seen():
    assert_harmless(visible(HOSTILE))
    assert visible("two\nlines\tand µ – 東京 \u00a0 𝛿 \u2009") == "two\nlines\tand µ – 東京 \u00a0 𝛿 \u2009"
    assert visible("\x1b[2J") == "\\x1b[2J"
    assert len(visible("x" * 1_000_000)) < 10_000
    assert for_page("<a href='javascript:x'>\x1b") == "&lt;a href=&#x27;javascript:x&#x27;&gt;\\x1b"
    assert without_tags("<a href=x>0.3 < 0.4</a>") == "‹a href=x>0.3 < 0.4‹/a>"


@pytest.mark.parametrize(
    "command",
    [
        ["backtest", HOSTILE], ["backtest", f"{HOSTILE}.yaml"], ["backtest", "btc_basis", "--start", HOSTILE],
        ["backtest", "btc_basis", "--set", f"{HOSTILE}=1"], ["backtest", "btc_basis", "--data", HOSTILE],
        ["backtest", "btc_basis", "--set", f"strategy.signal_file={HOSTILE}"], ["report", HOSTILE], ["replay", HOSTILE],
        ["explain", HOSTILE, HOSTILE], ["compare", HOSTILE, HOSTILE], ["data", "check", HOSTILE.replace("\0", "")],
        ["backtest", "x" * 5_000], ["report", "x" * 5_000], ["data", "list", "x" * 5_000], [HOSTILE], ["--" + HOSTILE],
        ["backtest", "btc_basis", "--out", "x" * 5_000], ["backtest", "btc_basis", "--log", "x" * 5_000],
    ],
    ids=lambda command: command[0][:8] + command[-1][:4].replace("\x1b", "e"),
)  # fmt: skip
def test_arguments_are_shown_harmless(command, capsys, tmp_path, monkeypatch):
    from basis.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert_harmless(out + err)
    assert len(out + err) < 20_000


def test_messages_of_errors_are_harmless():
    with pytest.raises(InputError) as caught:
        basis.open_run(HOSTILE.replace("\0", ""))
    assert_harmless(str(caught.value))


def test_names_and_columns_of_a_data_set_are_shown_harmless(basis_command, sample_data, tmp_path, capsys):
    import pyarrow.parquet as pq

    (tmp_path / "spot").mkdir()
    table = pq.read_table(sample_data / "spot" / "binance_btcusdt.parquet").slice(0, 50)
    names = [name if name == "timestamp" else f"{name}\x1b[2J\u202e" for name in table.column_names]
    pq.write_table(table.rename_columns(names), tmp_path / "spot" / "binance\x1b[2J_btcusdt.parquet")
    for command in ("list", "check"):
        assert basis_command(["data", command, str(tmp_path)]) in (0, 1)
        assert_harmless("".join(capsys.readouterr()))


@pytest.fixture
def basis_command():
    from basis.cli import main

    return main


def test_a_run_folder_is_shown_harmless(sample_data, tmp_path, capsys, basis_command):
    result = basis.backtest("pure_lending", sample_data, start="2024-02-01", end="2024-02-03")
    folder = result.save(tmp_path / "run", report=False)
    text = HOSTILE[:-1] + "<script>alert(1)</script><a href='javascript:alert(1)'>x</a>"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"notes": [text], "warnings": [text], "created": text, "data_dir": text.replace("\0", "")}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "sha256": own_hash(manifest)}))
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "mode": text, "status": "stopped", "cause": text}))
    opened = basis.open_run(folder)
    both = basis.compare(opened, result, names=["a", "b"])
    pages = [make_report(opened), opened._repr_html_(), both._repr_html_(), opened.explain("2024-02-02")._repr_html_()]
    for page in pages:
        shown = page.rpartition("</style>")[2] if "<html" in page else page
        assert "<script>alert" not in page
        assert "<a href='javascript" not in page
        assert_harmless(shown.replace("\r\n", "\n") if "plotly" not in shown else shown[:20_000])
    other = shutil.copytree(folder, tmp_path / "other")
    for command in (["explain", str(folder), "2024-02-02"], ["compare", str(folder), str(other)]):
        basis_command(command)
        assert_harmless("".join(capsys.readouterr()))
